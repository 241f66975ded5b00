/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The chips every PC has on its ISA bus, its ports, drives and graphics adapter. */
#include "devices/board/pc.h"

#include "devices/input/i8042.h"
#include "devices/input/vmmouse.h"
#include "devices/input/vmport.h"
#include "devices/audio/pcspk.h"
#include "devices/misc/port92.h"
#include "devices/timer/hpet.h"
#include "devices/timer/i8257.h"
#include "engine/base/log.h"
#include "engine/x86/xsave.h"

#define HPET_BASE UINT64_C (0xfed00000)

const VmType *
vm_pc_type (VmPc *pc, const char *name)
{
  return vm_type_find (pc->parent.types, name);
}

VmDevice *
vm_pc_add (VmPc *pc, const char *type, VmBus *bus, GError **error)
{
  const VmType *found = vm_pc_type (pc, type);

  if (!found)
    {
      g_set_error (error, VM_ERROR, VM_ERROR_NOT_AVAILABLE, "Device '%s' is not available in this build", type);
      return NULL;
    }
  return vm_machine_add_device (&pc->parent, found, bus, error);
}

/* Realizes DEV on the ISA bus and drops the reference that _new gave. */
static bool
isa_realize (VmPc *pc, void *dev, GError **error)
{
  bool ok = vm_device_realize (dev, &pc->parent.env, &pc->isa->parent, error);

  vm_object_unref (dev);
  return ok;
}

/* --- timers ---------------------------------------------------------------------------------------------- */

static bool
make_hpet (VmPc *pc, GError **error)
{
  VmHpet *hpet = (VmHpet *) vm_machine_new_device (&pc->parent, &vm_hpet_type);
  bool ok;

  hpet->intcap = 1 << 2;
  for (unsigned n = 0; n < VM_PC_GSIS; n++)
    hpet->irq[n] = vm_pc_irq (pc, n, VM_PC_IRQ_HPET);
  hpet->pit_disable = pc->pit ? vm_i8254_irq_disable (pc->pit) : (VmIrq) { 0 };
  hpet->rtc_disable = vm_mc146818_irq_disable (pc->rtc);
  ok = vm_device_realize (&hpet->parent, &pc->parent.env, NULL, error);
  vm_object_unref (&hpet->parent.parent);
  if (ok)
    vm_region_add (pc->parent.env.system_memory, HPET_BASE, &hpet->region);
  return ok;
}

static bool
make_timers (VmPc *pc, GError **error)
{
  VmPcspk *speaker;

  pc->rtc = (VmMc146818 *) vm_machine_new_device (&pc->parent, &vm_mc146818_type);
  pc->rtc->base_year = 0; /* the century byte is always kept here */
  if (!isa_realize (pc, pc->rtc, error))
    return false;
  if (pc->pit_wanted != VM_ONOFFAUTO_OFF)
    {
      pc->pit = (VmI8254 *) vm_machine_new_device (&pc->parent, &vm_i8254_type);
      pc->pit->iobase = 0x40;
      pc->pit->irq = vm_isa_irq (&pc->pit->parent.parent, 0);
      if (!isa_realize (pc, pc->pit, error))
        return false;
      speaker = (VmPcspk *) vm_machine_new_device (&pc->parent, &vm_pcspk_type);
      speaker->pit = vm_object_ref (&pc->pit->parent.parent.parent);
      if (pc->pcspk_audiodev)
        vm_object_set_str (&speaker->parent.parent.parent, "audiodev", pc->pcspk_audiodev);
      if (!isa_realize (pc, speaker, error))
        return false;
    }
  return !pc->hpet || make_hpet (pc, error);
}

/* --- DMA, keyboard, port 92 ---------------------------------------------------------------------------------- */

static bool
make_dma (VmPc *pc, unsigned controller, GError **error)
{
  VmI8257 *dma = (VmI8257 *) vm_machine_new_device (&pc->parent, &vm_i8257_type);

  dma->base = controller ? 0xc0 : 0;
  dma->page_base = controller ? 0x88 : 0x80;
  dma->pageh_base = -1;
  dma->dshift = (int32_t) controller;
  return isa_realize (pc, dma, error);
}

static bool
make_keyboard (VmPc *pc, GError **error)
{
  VmI8042 *kbc;
  VmVmport *port;
  VmVmmouse *mouse;
  VmPort92 *port92 = (VmPort92 *) vm_machine_new_device (&pc->parent, &vm_port92_type);

  port92->a20 = vm_pc_a20 (pc);
  if (!isa_realize (pc, port92, error))
    return false;
  if (!pc->i8042_wanted)
    return true;
  kbc = (VmI8042 *) vm_machine_new_device (&pc->parent, &vm_i8042_type);
  vm_i8042_set_a20 (kbc, vm_pc_a20 (pc));
  if (!isa_realize (pc, kbc, error))
    return false;
  if (pc->vmport == VM_ONOFFAUTO_OFF)
    return true;
  port = (VmVmport *) vm_machine_new_device (&pc->parent, &vm_vmport_type);
  vm_vmport_set_machine (port, pc->parent.ram_size, pc->parent.settings->uuid);
  if (!isa_realize (pc, port, error))
    return false;
  mouse = (VmVmmouse *) vm_machine_new_device (&pc->parent, &vm_vmmouse_type);
  vm_vmmouse_connect (mouse, port, kbc);
  return isa_realize (pc, mouse, error);
}

/* --- port F0: the program has dealt with the floating-point error -------------------------------------------- */

static uint64_t
ferr_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0xff;
}

static void
ferr_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPc *pc = opaque;

  for (unsigned i = 0; i < vm_vcpu_set_count (pc->parent.vcpus); i++)
    vm_x86_ignore_fpu_error ((VmX86Cpu *) vm_vcpu_set_get (pc->parent.vcpus, i));
}

static const VmRegionOps ferr_ops = { .read = ferr_read, .write = ferr_write, .impl = { .min = 1, .max = 1 } };

bool
vm_pc_make_isa_chips (VmPc *pc, GError **error)
{
  VmEnv *env = &pc->parent.env;

  vm_region_init_io (&pc->ferr_port, env->memory, &ferr_ops, pc, "ioportF0", 1);
  vm_region_add (env->system_io, 0xf0, &pc->ferr_port);
  return vm_pc_make_pics (pc, error) && make_timers (pc, error) && make_dma (pc, 0, error)
         && make_dma (pc, 1, error) && make_keyboard (pc, error);
}

/* --- ports -------------------------------------------------------------------------------------------------------- */

static bool
make_ports (VmPc *pc, const GPtrArray *ids, const char *type, unsigned max, GError **error)
{
  for (guint i = 0; i < ids->len; i++)
    {
      const char *id = g_ptr_array_index (ids, i);
      const VmType *found = vm_pc_type (pc, type);
      VmDevice *dev;

      if (!id)
        continue;
      if (i >= max)
        return vm_fail (error, "too many %s devices: the board has %u", type, max);
      if (!found)
        return vm_fail (error, "Device '%s' is not available in this build", type);
      dev = vm_machine_new_device (&pc->parent, found);
      if (vm_type_find_prop (found, "index", NULL))
        vm_object_set_uint (&dev->parent, "index", i);
      vm_object_set_str (&dev->parent, "chardev", id);
      if (!isa_realize (pc, dev, error))
        return false;
    }
  return true;
}

bool
vm_pc_make_isa_ports (VmPc *pc, GError **error)
{
  VmMachine *m = &pc->parent;

  return make_ports (pc, m->serials, "isa-serial", VM_PC_COM_PORTS, error)
         && make_ports (pc, m->parallels, "isa-parallel", 3, error)
         && make_ports (pc, m->debugcons, "isa-debugcon", 1, error);
}

/* --- drives ---------------------------------------------------------------------------------------------------------- */

static bool
add_drive (VmPc *pc, VmDriveSpec *spec, GError **error)
{
  bool floppy = spec->interface == VM_IF_FLOPPY;
  const char *type = floppy ? "floppy" : spec->media == VM_MEDIA_CDROM ? "ide-cd" : "ide-hd";
  g_autofree char *bus_name = floppy ? g_strdup ("floppy-bus.0") : g_strdup_printf ("ide.%d", spec->bus);
  VmBus *bus = vm_bus_find (&pc->parent.env, bus_name);
  const VmType *found = vm_pc_type (pc, type);
  VmDevice *dev;
  bool ok;

  if (!found || !bus)
    return true; /* who wants it hears that the board does not have this place */
  dev = vm_machine_new_device (&pc->parent, found);
  vm_object_set_uint (&dev->parent, "unit", (uint64_t) spec->unit);
  ok = vm_object_set (&dev->parent, "drive", spec->id, error)
       && vm_device_realize (dev, &pc->parent.env, bus, error);
  vm_object_unref (&dev->parent);
  spec->claimed = true;
  return ok;
}

bool
vm_pc_add_drives (VmPc *pc, GError **error)
{
  const GPtrArray *drives = pc->parent.settings->drives;

  for (guint i = 0; i < drives->len; i++)
    {
      VmDriveSpec *spec = g_ptr_array_index (drives, i);

      if (!spec->claimed && (spec->interface == VM_IF_IDE || spec->interface == VM_IF_FLOPPY)
          && !add_drive (pc, spec, error))
        return false;
    }
  return true;
}

/* --- graphics ---------------------------------------------------------------------------------------------------------- */

/* ISA cards have no register for their ROM: firmware finds it by fw_cfg. */
static const struct { const char *name, *pci, *isa, *isa_rom; } vga_types[] = {
  { "std", "VGA", "isa-vga", "vgabios-isavga.bin" },
  { "cirrus", "cirrus-vga", "isa-cirrus-vga", "vgabios-cirrus.bin" },
  { "vmware", "vmware-svga", NULL, NULL }, { "qxl", "qxl-vga", NULL, NULL },
  { "virtio", "virtio-vga", NULL, NULL },
};

bool
vm_pc_add_vga (VmPc *pc, VmBus *bus, bool pci, GError **error)
{
  const char *wanted = pc->parent.settings->vga;

  if (!wanted || strcmp (wanted, "none") == 0)
    return true;
  for (size_t i = 0; i < G_N_ELEMENTS (vga_types); i++)
    {
      const char *type = pci ? vga_types[i].pci : vga_types[i].isa;

      if (strcmp (wanted, vga_types[i].name) != 0)
        continue;
      if (!type || !vm_pc_type (pc, type))
        return vm_fail (error, "-vga %s: not available on this machine in this build", wanted);
      return vm_pc_add (pc, type, bus, error) && (pci || vm_pc_add_vga_rom (pc, vga_types[i].isa_rom, error));
    }
  return vm_fail (error, "-vga %s: unknown vga type", wanted);
}
