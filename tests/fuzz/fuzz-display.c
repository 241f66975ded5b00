/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A display card on the bench, a driver out of its mind and a viewer: FUZZ_DISPLAY says which card. */
#include "devices/display/cirrus.h"
#include "devices/display/vmware.h"
#include "tests/devices/disk-rig.h"
#include "tests/fuzz/fuzz.h"

extern const VmType vm_secondary_vga_type, vm_bochs_display_type, vm_cirrus_pci_type, vm_vmware_svga_type;

#define PORTS 0xc000u
#define SECOND (DISK_RIG_BAR + 128 * VM_MIB) /* where the next memory BAR is */

typedef struct Target
{
  const char *name;
  const VmType *type;
  unsigned vram, second; /* BARs; SECOND has registers, or the FIFO */
  void (*act) (DiskRig *r, Input *in);
} Target;

static void
vbe (DiskRig *r, Input *in)
{
  static const uint16_t enable[] = { 0, 1, 0x41, 0xc1, 0x61, 2, 0x81, 0x43 };
  unsigned reg = take (in, 1) % VBE_REGS;
  uint32_t value = take (in, 2);

  rig_store (&r->rig, SECOND + 0x500 + 2 * reg, reg == VBE_ENABLE ? enable[value & 7] : value, 2);
  rig_load (&r->rig, SECOND + 0x500 + 2 * reg, 2);
}

/* Extended registers, most of all those of the BLT engine; a BLT now and then. */
static void
cirrus (DiskRig *r, Input *in)
{
  static const uint8_t rops[]
      = { 0x00, 0x05, 0x06, 0x09, 0x0b, 0x0d, 0x0e, 0x50, 0x59, 0x6d, 0x90, 0x95, 0xad, 0xd0, 0xd6, 0xda };
  uint8_t op = (uint8_t) take (in, 1);

  switch (op & 3)
    {
    case 0:
      rig_out (&r->rig, 0x3c4, take (in, 1), 1);
      rig_out (&r->rig, 0x3c5, take (in, 1), 1);
      break;
    case 1:
      rig_out (&r->rig, 0x3ce, take (in, 1) & 0x3f, 1);
      rig_out (&r->rig, 0x3cf, take (in, 1), 1);
      break;
    case 2: /* in memory */
      rig_store (&r->rig, SECOND + 0x100 + (take (in, 1) & 0x3c), take (in, 4), 4);
      break;
    case 3:
      rig_store (&r->rig, SECOND + 0x118, take (in, 1), 1);
      rig_store (&r->rig, SECOND + 0x11a, rops[op >> 4], 1);
      rig_store (&r->rig, SECOND + 0x140, 0, 1);
      rig_store (&r->rig, SECOND + 0x140, BLT_START, 1);
      if (op & 8)
        for (unsigned n = take (in, 1); n; n--)
          rig_store (&r->rig, DISK_RIG_BAR + 16 * VM_MIB, n * 0x01010101u, 4);
      break;
    }
}

/* Registers at ports, and commands in the FIFO. */
static void
vmware (DiskRig *r, Input *in)
{
  static const uint8_t commands[] = { 1, 2, 3, 19, 20, 21, 22, 25, 29, 30, 33, 99 };
  uint8_t op = (uint8_t) take (in, 1);
  uint32_t next;

  switch (op & 7)
    {
    case 0:
      rig_out (&r->rig, PORTS, take (in, 1) % 48, 4);
      rig_out (&r->rig, PORTS + 1, take (in, 2), 4);
      rig_in (&r->rig, PORTS + 1, 4);
      break;
    case 1: /* a mode */
      for (unsigned reg = 1; reg < 4; reg++)
        {
          rig_out (&r->rig, PORTS, 4 - reg, 4);
          rig_out (&r->rig, PORTS + 1, reg == 3 ? 1 : take (in, 2) & 0xfff, 4);
        }
      break;
    case 2: /* where the FIFO is; mostly a place that can be */
      rig_store (&r->rig, SECOND, op & 0x80 ? take (in, 4) : 0x1000u, 4);
      rig_store (&r->rig, SECOND + 4, op & 0x40 ? take (in, 4) : 0x10000u, 4);
      rig_store (&r->rig, SECOND + 8, op & 0x20 ? take (in, 4) : 0x1000u, 4);
      rig_store (&r->rig, SECOND + 12, op & 0x10 ? take (in, 4) : 0x1000u, 4);
      rig_out (&r->rig, PORTS, 20, 4);
      rig_out (&r->rig, PORTS + 1, 1, 4);
      break;
    case 3:
      rig_store (&r->rig, SECOND + take (in, 2), take (in, 4), 4);
      break;
    default:
      next = (uint32_t) rig_load (&r->rig, SECOND + 8, 4) & 0xfffc;
      rig_store (&r->rig, SECOND + next, commands[take (in, 1) % G_N_ELEMENTS (commands)], 4);
      for (unsigned n = take (in, 1) & 31; n; n--)
        {
          next = next + 4 >= 0x10000 ? 0x1000 : next + 4;
          rig_store (&r->rig, SECOND + next, op & 0x80 ? take (in, 1) : take (in, 2), 4);
        }
      rig_store (&r->rig, SECOND + 8, next + 4 >= 0x10000 ? 0x1000 : next + 4, 4);
      rig_out (&r->rig, PORTS, 21, 4);
      rig_out (&r->rig, PORTS + 1, 1, 4);
      break;
    }
}

static const Target targets[] = {
  { "secondary-vga", &vm_secondary_vga_type, 0, 2, vbe },
  { "bochs-display", &vm_bochs_display_type, 0, 2, vbe },
  { "cirrus-vga", &vm_cirrus_pci_type, 0, 1, cirrus },
  { "vmware-svga", &vm_vmware_svga_type, 1, 2, vmware },
};

static void
step (DiskRig *r, const Target *t, VmConsole *console, Input *in)
{
  uint8_t op = (uint8_t) take (in, 1);
  unsigned size = 1u << (op >> 3 & 3) % 3;

  switch (op & 7)
    {
    case 0: /* a VGA, where there is one */
      rig_out (&r->rig, (uint16_t) (0x3b0 + take (in, 1) % 0x30), take (in, size), size);
      break;
    case 1:
      rig_in (&r->rig, (uint16_t) (0x3b0 + take (in, 1) % 0x30), size);
      break;
    case 2:
      rig_store (&r->rig, 0xa0000 + take (in, 3) % 0x20000, take (in, size), size);
      rig_load (&r->rig, 0xa0000 + take (in, 2), size);
      break;
    case 3:
      rig_store (&r->rig, DISK_RIG_BAR + take (in, 4) % (32 * VM_MIB), take (in, size), size);
      break;
    case 4:
      rig_store (&r->rig, SECOND + take (in, 2) % 0x1000, take (in, size), size);
      rig_load (&r->rig, SECOND + take (in, 2) % 0x1000, size);
      break;
    case 5:
      if (op & 8)
        rig_advance (&r->rig, (int64_t) take (in, 2) * VM_NS_PER_US);
      vm_console_refresh_now (console);
      break;
    default:
      t->act (r, in);
      break;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  const Target *t = targets;
  Input in = { data, size };
  DiskRig rig, *r = &rig;
  VmDisplay *display;

  while (strcmp (t->name, FUZZ_DISPLAY) != 0)
    t++;
  disk_rig_init (r);
  display = r->rig.env.display = vm_display_new (r->rig.env.loop, r->rig.env.clocks);
  disk_rig_add (r, t->type, t->vram, (const char *const[]){ "romfile", "", NULL });
  if (t->vram)
    disk_rig_set_config (r, PCI_BAR0, PORTS, 4);
  disk_rig_set_config (r, PCI_BAR0 + 4 * t->second, (uint32_t) SECOND, 4);
  while (in.left)
    step (r, t, vm_display_console (display, 0), &in);
  vm_console_refresh_now (vm_display_console (display, 0));
  rig_remove (g_steal_pointer (&r->dev));
  disk_rig_settle (r);
  vm_display_free (display);
  r->rig.env.display = NULL;
  disk_rig_clear (r);
}
