/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages between APICs (Intel SDM volume 3, "Issuing Interprocessor Interrupts", "Message Signalled
 * Interrupts") and the page of registers at the APIC base. */
#include "devices/intc/lapic-private.h"

#include "devices/intc/kvm-chips.h"
#include "engine/base/trace.h"

#define XAPIC_BROADCAST  0xff
#define X2APIC_BROADCAST UINT32_MAX

/* --- destinations ---------------------------------------------------------------------------------- */

/* WIDE: the destination has 32 bits, its sender is an x2APIC. */
static bool
lapic_is_destination (const VmLapic *self, uint32_t destination, bool logical, bool wide)
{
  if (!lapic_enabled (self))
    return false;
  if (destination == (wide ? X2APIC_BROADCAST : XAPIC_BROADCAST))
    return true;
  if (!logical)
    return destination == (lapic_is_x2 (self) ? self->initial_id : self->id);
  if (lapic_is_x2 (self))
    return self->ldr >> 16 == destination >> 16 && (self->ldr & destination & 0xffff) != 0;
  if (destination > 0xff)
    return false;
  if (self->dfr >> 28 == 0xf)
    return (self->ldr >> 24 & destination) != 0;
  /* Cluster model: cluster 15 means all of them. */
  return ((destination >> 4) == 0xf || self->ldr >> 28 == destination >> 4)
         && (self->ldr >> 24 & destination & 0xf) != 0;
}

static void
lapic_receive (VmLapic *self, const VmLapicMessage *message)
{
  switch (message->mode)
    {
    case VM_LAPIC_FIXED:
    case VM_LAPIC_LOWEST:
      lapic_accept (self, message->vector, message->level);
      break;
    case VM_LAPIC_SMI:
      vm_x86_request (self->cpu, VM_REQ_SMI);
      break;
    case VM_LAPIC_NMI:
      vm_x86_request (self->cpu, VM_REQ_NMI);
      break;
    case VM_LAPIC_INIT:
      lapic_init (self);
      vm_x86_request (self->cpu, VM_REQ_INIT);
      break;
    case VM_LAPIC_STARTUP:
      vm_x86_send_sipi (self->cpu, message->vector);
      break;
    case VM_LAPIC_EXTINT:
      if (self->bus->extint)
        {
          int vector = self->bus->extint (self->bus->extint_opaque);

          if (vector >= 0)
            lapic_accept (self, (uint8_t) vector, false);
        }
      break;
    default:
      break;
    }
}

static bool
lapic_bus_send (VmLapicBus *bus, const VmLapicMessage *message, bool wide)
{
  VmLapic *chosen = NULL;
  bool any = false;
  unsigned n = bus->apics->len;

  for (unsigned i = 0; i < n; i++)
    {
      VmLapic *apic = g_ptr_array_index (bus->apics, (bus->turn + i) % n);

      if (!lapic_is_destination (apic, message->destination, message->logical, wide))
        continue;
      any = true;
      if (message->mode != VM_LAPIC_LOWEST && message->mode != VM_LAPIC_EXTINT)
        lapic_receive (apic, message);
      else if (lapic_is_on (apic) && (!chosen || lapic_ppr (apic) < lapic_ppr (chosen)))
        chosen = apic;
    }
  if (chosen)
    {
      lapic_receive (chosen, message);
      bus->turn = (chosen->cpu->parent.index + 1) % n;
    }
  return any;
}

/* --- inside the accelerator ------------------------------------------------------------------------ */

static bool
lapic_bus_forward (VmLapicBus *bus, const VmLapicMessage *message)
{
  uint64_t address = VM_LAPIC_DEFAULT_BASE | (uint64_t) (message->destination & 0xff) << 12
                     | (uint64_t) message->logical << 2;
  uint32_t data = message->vector | (uint32_t) message->mode << 8 | (message->level ? 3u << 14 : 0);

  return bus->accel->ops->irqchip->send_msi (bus->accel, address, data);
}

/* The 8259 as a device reaches the first processor; NMI reaches all. */
static void
lapic_bus_forward_lint (VmLapicBus *bus, unsigned n, bool level)
{
  for (unsigned i = 0; i < bus->apics->len; i++)
    {
      VmX86Cpu *cpu = ((VmKvmApic *) g_ptr_array_index (bus->apics, i))->cpu;

      if (n == 1 && level)
        vm_x86_request (cpu, VM_REQ_NMI);
      else if (n == 0 && i == 0 && level)
        vm_x86_request (cpu, VM_REQ_HARD);
      else if (n == 0 && i == 0)
        vm_x86_unrequest (cpu, VM_REQ_HARD);
    }
}

/* --- messages ---------------------------------------------------------------------------------------- */

bool
vm_lapic_bus_deliver (VmLapicBus *bus, const VmLapicMessage *message)
{
  vm_trace (APIC_DELIVER_IRQ, "dest %u logical %d mode %u vector %u level %d", message->destination, message->logical,
            message->mode, message->vector, message->level);
  if (bus->accel)
    return lapic_bus_forward (bus, message);
  return lapic_bus_send (bus, message, false);
}

void
vm_lapic_bus_message (VmLapicBus *bus, uint64_t address, uint32_t data)
{
  VmLapicMessage message = {
    .destination = (uint32_t) (address >> 12 & 0xff), .logical = (address >> 2 & 1) != 0,
    .vector = (uint8_t) data, .mode = data >> 8 & 7, .level = (data >> 15 & 1) != 0,
  };

  if (bus->accel)
    {
      bus->accel->ops->irqchip->send_msi (bus->accel, address, data);
      return;
    }
  /* Redirection hint with a physical destination names one processor anyway. */
  lapic_bus_send (bus, &message, false);
}

void
lapic_send_ipi (VmLapic *self)
{
  uint32_t low = (uint32_t) self->icr;
  bool wide = lapic_is_x2 (self);
  VmLapicMessage message = {
    .destination = wide ? (uint32_t) (self->icr >> 32) : (uint32_t) (self->icr >> 56),
    .logical = (low & ICR_LOGICAL) != 0, .vector = (uint8_t) low, .mode = low >> ICR_MODE_SHIFT & 7,
  };
  bool needs_vector = message.mode == VM_LAPIC_FIXED || message.mode == VM_LAPIC_LOWEST;

  if (message.mode == VM_LAPIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
    return; /* INIT level de-assert: only old processors synchronise arbitration ids by it */
  if (needs_vector && message.vector < 16)
    {
      lapic_error (self, ESR_SEND_VECTOR);
      return;
    }
  switch (low >> ICR_SHORTHAND_SHIFT & 3)
    {
    case 0:
      lapic_bus_send (self->bus, &message, wide);
      break;
    case 1:
      if (message.mode == VM_LAPIC_FIXED)
        lapic_receive (self, &message);
      break;
    case 2: /* all */
      message.destination = wide ? X2APIC_BROADCAST : XAPIC_BROADCAST;
      message.logical = false;
      lapic_bus_send (self->bus, &message, wide);
      break;
    default: /* all but self */
      for (unsigned i = 0; i < self->bus->apics->len; i++)
        {
          VmLapic *apic = g_ptr_array_index (self->bus->apics, i);

          if (apic != self && lapic_enabled (apic))
            lapic_receive (apic, &message);
        }
      break;
    }
}

/* --- local pins --------------------------------------------------------------------------------------- */

static void
lapic_bus_set_lint (void *opaque, int n, int level)
{
  VmLapicBus *bus = opaque;

  if (bus->accel)
    {
      lapic_bus_forward_lint (bus, (unsigned) n, level != 0);
      return;
    }
  for (unsigned i = 0; i < bus->apics->len; i++)
    {
      VmLapic *apic = g_ptr_array_index (bus->apics, i);
      uint32_t lvt = apic->lvt[LVT_LINT0 + n];
      bool was = apic->lint_levels >> n & 1;

      apic->lint_levels = (uint8_t) (level ? apic->lint_levels | 1 << n : apic->lint_levels & ~(1 << n));
      if (level && !was && (lvt >> LVT_MODE_SHIFT & 7) != VM_LAPIC_EXTINT && lapic_enabled (apic))
        lapic_local (apic, LVT_LINT0 + (unsigned) n);
      else if (n == 1 && level && !was && !lapic_enabled (apic))
        vm_x86_request (apic->cpu, VM_REQ_NMI); /* LINT1 is the NMI pin then */
      else
        lapic_update (apic);
    }
}

VmIrq
vm_lapic_bus_lint (VmLapicBus *bus, unsigned n)
{
  return (VmIrq) { .func = lapic_bus_set_lint, .opaque = bus, .n = (int) n };
}

/* --- the page of registers -------------------------------------------------------------------------------- */

/* The APIC whose registers an access to page ADDR reaches, or NULL: then it is a message. */
static VmLapic *
lapic_bus_addressed (VmLapicBus *bus, uint64_t addr, VmMemAttrs attrs)
{
  VmVcpu *vcpu = vm_vcpu_current ();
  VmLapic *apic = NULL;

  if (attrs.dma || bus->accel || bus->apics->len == 0)
    return NULL;
  for (unsigned i = 0; i < bus->apics->len && vcpu; i++)
    {
      apic = g_ptr_array_index (bus->apics, i);
      if (&apic->cpu->parent == vcpu)
        break;
      apic = NULL;
    }
  if (!vcpu)
    apic = g_ptr_array_index (bus->apics, 0); /* a debugger */
  if (!apic || !lapic_enabled (apic) || lapic_is_x2 (apic)
      || VM_ALIGN_DOWN (addr, VM_PAGE_SIZE) != (apic->base & VM_PAGE_MASK))
    return NULL;
  return apic;
}

static VmMemResult
lapic_bus_read_at (VmLapicBus *bus, uint64_t addr, uint64_t *value, VmMemAttrs attrs)
{
  VmLapic *apic = lapic_bus_addressed (bus, addr, attrs);

  *value = UINT32_MAX;
  if (apic)
    *value = (addr & 0xf) == 0 ? lapic_register_read (apic, addr >> 4 & 0xff) : 0;
  return VM_MEM_OK;
}

static VmMemResult
lapic_bus_write_at (VmLapicBus *bus, uint64_t addr, uint64_t value, VmMemAttrs attrs)
{
  VmLapic *apic = lapic_bus_addressed (bus, addr, attrs);

  if (!apic)
    vm_lapic_bus_message (bus, addr, (uint32_t) value);
  else if ((addr & 0xf) == 0)
    lapic_register_write (apic, addr >> 4 & 0xff, (uint32_t) value);
  return VM_MEM_OK;
}

static VmMemResult
lapic_msi_read (void *opaque, uint64_t offset, uint64_t *value, unsigned size, VmMemAttrs attrs)
{
  return lapic_bus_read_at (opaque, VM_LAPIC_DEFAULT_BASE + offset, value, attrs);
}

static VmMemResult
lapic_msi_write (void *opaque, uint64_t offset, uint64_t value, unsigned size, VmMemAttrs attrs)
{
  return lapic_bus_write_at (opaque, VM_LAPIC_DEFAULT_BASE + offset, value, attrs);
}

static VmMemResult
lapic_moved_read (void *opaque, uint64_t offset, uint64_t *value, unsigned size, VmMemAttrs attrs)
{
  VmLapic *self = opaque;

  return lapic_bus_read_at (self->bus, (self->base & VM_PAGE_MASK) + offset, value, attrs);
}

static VmMemResult
lapic_moved_write (void *opaque, uint64_t offset, uint64_t value, unsigned size, VmMemAttrs attrs)
{
  VmLapic *self = opaque;
  uint64_t addr = (self->base & VM_PAGE_MASK) + offset;

  return lapic_bus_addressed (self->bus, addr, attrs) ? lapic_bus_write_at (self->bus, addr, value, attrs)
                                                      : VM_MEM_OK;
}

static const VmRegionOps lapic_msi_ops = {
  .read_attrs = lapic_msi_read, .write_attrs = lapic_msi_write,
  .valid = { .min = 1, .max = 8 }, .impl = { .min = 4, .max = 4 },
};
static const VmRegionOps lapic_moved_ops = {
  .read_attrs = lapic_moved_read, .write_attrs = lapic_moved_write,
  .valid = { .min = 1, .max = 8 }, .impl = { .min = 4, .max = 4 },
};

void
lapic_bus_map (VmLapic *self)
{
  uint64_t page = self->base & VM_PAGE_MASK;
  bool moved = lapic_enabled (self) && !lapic_is_x2 (self)
               && page - VM_LAPIC_DEFAULT_BASE >= VM_LAPIC_MSI_SIZE;

  if (!self->bus || !self->bus->env)
    return;
  if (self->moved_mapped && (!moved || self->moved.addr != page))
    {
      vm_region_destroy (&self->moved);
      self->moved_mapped = false;
    }
  if (!moved || self->moved_mapped)
    return;
  vm_region_init_io (&self->moved, self->bus->env->memory, &lapic_moved_ops, self, "apic", VM_PAGE_SIZE);
  vm_region_add_overlap (self->bus->env->system_memory, page, &self->moved, 4096);
  self->moved_mapped = true;
}

/* --- life -------------------------------------------------------------------------------------------------- */

void
vm_lapic_bus_init (VmLapicBus *bus, VmEnv *env)
{
  bus->env = env;
  bus->apics = g_ptr_array_new ();
  vm_region_init_io (&bus->region, env->memory, &lapic_msi_ops, bus, "apic-msi", VM_LAPIC_MSI_SIZE);
  vm_region_add_overlap (env->system_memory, VM_LAPIC_DEFAULT_BASE, &bus->region, 4096);
}

void
vm_lapic_bus_destroy (VmLapicBus *bus)
{
  if (!bus->env)
    return;
  vm_region_destroy (&bus->region);
  for (unsigned i = 0; i < bus->apics->len; i++)
    if (bus->accel)
      ((VmKvmApic *) g_ptr_array_index (bus->apics, i))->bus = NULL;
    else
      ((VmLapic *) g_ptr_array_index (bus->apics, i))->bus = NULL;
  g_clear_pointer (&bus->apics, g_ptr_array_unref);
  bus->env = NULL;
}

void
vm_lapic_attach (VmLapic *apic, VmLapicBus *bus, VmX86Cpu *cpu)
{
  apic->bus = bus;
  apic->cpu = cpu;
  cpu->apic_ops = &vm_lapic_ops;
  cpu->apic = apic;
  g_ptr_array_add (bus->apics, apic);
}

/* --- info lapic ---------------------------------------------------------------------------------------------- */

static void
lapic_describe_bits (GString *out, const char *name, const uint32_t bits[8])
{
  bool any = false;

  g_string_append_printf (out, "%s\t ", name);
  for (unsigned n = 0; n < 256; n++)
    if (bits[n / 32] >> n % 32 & 1)
      {
        g_string_append_printf (out, "%u ", n);
        any = true;
      }
  g_string_append (out, any ? "\n" : "(none)\n");
}

char *
vm_lapic_describe (VmLapic *self)
{
  static const char *const names[LVT_N] = { "LVTT", "LVTTHMR", "LVTPC", "LVT0", "LVT1", "LVTERR" };
  static const char *const modes[8] = {
    "Fixed", "Lowest", "SMI", "...", "NMI", "INIT", "SIPI", "ExtINT",
  };
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "dumping local APIC state for CPU %-2u\n\n", self->cpu->parent.index);
  for (unsigned n = 0; n < LVT_N; n++)
    g_string_append_printf (out, "%s\t 0x%08x %s %s vector %u%s\n", names[n], self->lvt[n],
                            modes[self->lvt[n] >> LVT_MODE_SHIFT & 7],
                            self->lvt[n] & LVT_LEVEL ? "level" : "edge", self->lvt[n] & LVT_VECTOR,
                            self->lvt[n] & LVT_MASKED ? " masked" : "");
  g_string_append_printf (out, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n",
                          self->divide, 1u << lapic_timer_shift (self), self->initial_count,
                          lapic_timer_count (self));
  g_string_append_printf (out, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", self->svr,
                          self->svr & SVR_ENABLED ? "enabled" : "disabled",
                          self->svr & SVR_FOCUS ? "off" : "on", self->svr & 0xff);
  g_string_append_printf (out, "ICR\t 0x%08x %s vector %u\nICR2\t 0x%08x\nESR\t 0x%08x\n",
                          (uint32_t) self->icr, modes[self->icr >> ICR_MODE_SHIFT & 7],
                          (unsigned) self->icr & 0xff, (uint32_t) (self->icr >> 32), self->esr);
  lapic_describe_bits (out, "ISR", self->isr);
  lapic_describe_bits (out, "IRR", self->irr);
  g_string_append_printf (out, "\nAPR 0x00 TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n", self->tpr,
                          self->dfr >> 28, lapic_is_x2 (self) ? self->ldr : self->ldr >> 24, lapic_ppr (self));
  return g_string_free (out, FALSE);
}
