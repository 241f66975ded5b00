/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interrupt controllers in the kernel: GSIs, routes, messages, file descriptors (KVM API, sections 4.24 to 4.29,
 * 4.52, 4.71, 4.75, 7.5). */
#include "config.h"

#include "engine/kvm/kvm-private.h"

#include <errno.h>
#include <sys/ioctl.h>

enum { IOAPIC_PINS = 24, FIRST_FREE_GSI = 24, MAX_GSIS = 4096 };

/* --- routes ------------------------------------------------------------------------------------ */

static void
commit_routes (KvmAccel *accel)
{
  accel->routing->nr = accel->n_routes;
  accel->routing->flags = 0;
  if (ioctl (accel->vm_fd, KVM_SET_GSI_ROUTING, accel->routing) < 0)
    g_warning ("kvm: interrupt routes: %s", g_strerror (errno));
}

static struct kvm_irq_routing_entry *
add_route (KvmAccel *accel)
{
  accel->routing = g_realloc (accel->routing, sizeof *accel->routing +
                                                (accel->n_routes + 1) * sizeof accel->routing->entries[0]);
  struct kvm_irq_routing_entry *e = &accel->routing->entries[accel->n_routes++];
  memset (e, 0, sizeof *e);
  return e;
}

static void
add_pin (KvmAccel *accel, unsigned gsi, unsigned chip, unsigned pin)
{
  struct kvm_irq_routing_entry *e = add_route (accel);

  e->gsi = gsi;
  e->type = KVM_IRQ_ROUTING_IRQCHIP;
  e->u.irqchip.irqchip = chip;
  e->u.irqchip.pin = pin;
}

static void
set_message (struct kvm_irq_routing_entry *e, uint64_t address, uint32_t data)
{
  e->type = KVM_IRQ_ROUTING_MSI;
  e->u.msi.address_lo = (uint32_t) address;
  e->u.msi.address_hi = address >> 32;
  e->u.msi.data = data;
}

static struct kvm_irq_routing_entry *
message_route (KvmAccel *accel, unsigned gsi)
{
  for (unsigned i = 0; i < accel->n_routes; i++)
    if (accel->routing->entries[i].gsi == gsi && accel->routing->entries[i].type == KVM_IRQ_ROUTING_MSI)
      return &accel->routing->entries[i];
  return NULL;
}

static int
irqchip_add_msi_route (VmAccel *base, uint64_t address, uint32_t data)
{
  KvmAccel *accel = (KvmAccel *) base;

  if (accel->irqchip == VM_IRQCHIP_OFF)
    return -1;
  for (unsigned gsi = FIRST_FREE_GSI; gsi < MAX_GSIS; gsi++)
    if (!(accel->used_gsis[gsi / 64] >> (gsi % 64) & 1))
      {
        struct kvm_irq_routing_entry *e = add_route (accel);

        accel->used_gsis[gsi / 64] |= VM_BIT (gsi % 64);
        e->gsi = gsi;
        set_message (e, address, data);
        commit_routes (accel);
        return gsi;
      }
  return -1;
}

static void
irqchip_update_msi_route (VmAccel *base, int gsi, uint64_t address, uint32_t data)
{
  KvmAccel *accel = (KvmAccel *) base;
  struct kvm_irq_routing_entry *e = message_route (accel, gsi);

  if (!e)
    return;
  set_message (e, address, data);
  commit_routes (accel);
}

static void
irqchip_remove_msi_route (VmAccel *base, int gsi)
{
  KvmAccel *accel = (KvmAccel *) base;
  struct kvm_irq_routing_entry *e = message_route (accel, gsi);

  if (!e)
    return;
  *e = accel->routing->entries[--accel->n_routes];
  accel->used_gsis[gsi / 64] &= ~VM_BIT (gsi % 64);
  commit_routes (accel);
}

/* In the split mode the pins' messages stand in the table for their vectors' ends to be reported. */
static void
irqchip_set_ioapic_routes (VmAccel *base, const uint64_t *address, const uint32_t *data, unsigned n)
{
  KvmAccel *accel = (KvmAccel *) base;

  if (accel->irqchip != VM_IRQCHIP_SPLIT)
    return;
  for (unsigned pin = 0; pin < MIN (n, IOAPIC_PINS); pin++)
    {
      struct kvm_irq_routing_entry *e = message_route (accel, pin);

      if (!e)
        {
          e = add_route (accel);
          e->gsi = pin;
        }
      set_message (e, address[pin], data[pin]);
    }
  commit_routes (accel);
}

/* --- creation ---------------------------------------------------------------------------------- */

static bool
create_all (KvmAccel *accel, GError **error)
{
  if (ioctl (accel->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
    return vm_fail (error, "kvm: could not create the interrupt controllers: %s", g_strerror (errno));
  for (unsigned i = 0; i < 16; i++)
    if (i != 2)
      add_pin (accel, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, i & 7);
  /* The timer's interrupt 0 is input 2 of the I/O APIC. */
  for (unsigned i = 0; i < IOAPIC_PINS; i++)
    if (i != 2)
      add_pin (accel, i, KVM_IRQCHIP_IOAPIC, i == 0 ? 2 : i);
  commit_routes (accel);
  return true;
}

static bool
create_split (KvmAccel *accel, GError **error)
{
  struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };

  if (ioctl (accel->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
    return vm_fail (error, "kvm: kernel-irqchip=split is not supported by this kernel: %s", g_strerror (errno));
  return true;
}

static bool
irqchip_create (VmAccel *base, VmIrqchipMode *mode, GError **error)
{
  KvmAccel *accel = (KvmAccel *) base;
  bool ok = true;

  if (accel->irqchip_choice == VM_IRQCHIP_ON)
    ok = create_all (accel, error);
  else if (accel->irqchip_choice == VM_IRQCHIP_SPLIT)
    ok = create_split (accel, error);
  if (ok)
    accel->irqchip = *mode = accel->irqchip_choice;
  return ok;
}

/* --- use --------------------------------------------------------------------------------------- */

static void
irqchip_set_gsi (VmAccel *base, unsigned gsi, int level)
{
  struct kvm_irq_level line = { .irq = gsi, .level = level != 0 };

  (void) ioctl (((KvmAccel *) base)->vm_fd, KVM_IRQ_LINE, &line);
}

static bool
irqchip_send_msi (VmAccel *base, uint64_t address, uint32_t data)
{
  struct kvm_msi msi = { .address_lo = (uint32_t) address, .address_hi = address >> 32, .data = data };

  return ioctl (((KvmAccel *) base)->vm_fd, KVM_SIGNAL_MSI, &msi) >= 0;
}

static bool
irqchip_set_irqfd (VmAccel *base, int fd, int resample_fd, int gsi, bool on, GError **error)
{
  KvmAccel *accel = (KvmAccel *) base;
  struct kvm_irqfd irqfd = { .fd = fd, .gsi = gsi, .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN };

  if (accel->irqchip == VM_IRQCHIP_OFF)
    return vm_fail (error, "interrupts from file descriptors need kernel-irqchip");
  if (on && resample_fd >= 0)
    {
      irqfd.flags |= KVM_IRQFD_FLAG_RESAMPLE;
      irqfd.resamplefd = resample_fd;
    }
  if (ioctl (accel->vm_fd, KVM_IRQFD, &irqfd) < 0)
    return vm_fail (error, "kvm: interrupt from a file descriptor: %s", g_strerror (errno));
  return true;
}

static void
irqchip_set_eoi_hook (VmAccel *base, void (*func) (void *opaque, uint8_t vector), void *opaque)
{
  KvmAccel *accel = (KvmAccel *) base;

  accel->eoi_hook = func;
  accel->eoi_opaque = opaque;
}

/* --- saving ------------------------------------------------------------------------------------ */

G_STATIC_ASSERT (sizeof (struct kvm_irqchip) - 8 <= VM_IRQCHIP_STATE_MAX);

static unsigned
chip_id (VmIrqchipPart part)
{
  return part == VM_IRQCHIP_PIC_MASTER ? KVM_IRQCHIP_PIC_MASTER
       : part == VM_IRQCHIP_PIC_SLAVE ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_IOAPIC;
}

static bool
irqchip_get_state (VmAccel *base, VmIrqchipPart part, void *state, size_t *size)
{
  KvmAccel *accel = (KvmAccel *) base;
  struct kvm_irqchip chip = { .chip_id = chip_id (part) };

  *size = sizeof chip.chip;
  if (ioctl (accel->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
    return false;
  memcpy (state, &chip.chip, sizeof chip.chip);
  return true;
}

static bool
irqchip_set_state (VmAccel *base, VmIrqchipPart part, const void *state, size_t size)
{
  KvmAccel *accel = (KvmAccel *) base;
  struct kvm_irqchip chip = { .chip_id = chip_id (part) };

  if (size != sizeof chip.chip)
    return false;
  memcpy (&chip.chip, state, sizeof chip.chip);
  return ioctl (accel->vm_fd, KVM_SET_IRQCHIP, &chip) >= 0;
}

static bool
irqchip_get_lapic (VmVcpu *vcpu, uint8_t page[1024])
{
  struct kvm_lapic_state state;

  if (ioctl (kvm_vcpu (vcpu)->fd, KVM_GET_LAPIC, &state) < 0)
    return false;
  memcpy (page, state.regs, 1024);
  return true;
}

static bool
irqchip_set_lapic (VmVcpu *vcpu, const uint8_t page[1024])
{
  struct kvm_lapic_state state;

  memcpy (state.regs, page, 1024);
  return ioctl (kvm_vcpu (vcpu)->fd, KVM_SET_LAPIC, &state) >= 0;
}

const VmIrqchipOps kvm_irqchip_ops = {
  .create = irqchip_create, .set_gsi = irqchip_set_gsi, .send_msi = irqchip_send_msi,
  .add_msi_route = irqchip_add_msi_route, .update_msi_route = irqchip_update_msi_route,
  .remove_msi_route = irqchip_remove_msi_route, .set_irqfd = irqchip_set_irqfd,
  .set_ioapic_routes = irqchip_set_ioapic_routes, .set_eoi_hook = irqchip_set_eoi_hook,
  .get_state = irqchip_get_state, .set_state = irqchip_set_state, .get_lapic = irqchip_get_lapic,
  .set_lapic = irqchip_set_lapic,
};
