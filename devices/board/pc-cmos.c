/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What firmware finds in CMOS RAM: memory sizes, drives, boot order. The bytes are those of the PC/AT and, from
 * 30h on, those that SeaBIOS documents. */
#include "devices/board/pc.h"

#include "devices/firmware/fw-cfg.h"
#include "devices/storage/fdc.h"
#include "devices/storage/ide.h"

enum {
  CMOS_SHUTDOWN = 0x0f, CMOS_FLOPPY_TYPES = 0x10, CMOS_DISK_TYPES = 0x12, CMOS_EQUIPMENT = 0x14,
  CMOS_BASE_MEMORY = 0x15, CMOS_EXTENDED_MEMORY = 0x17, CMOS_DISK_EXTENDED_TYPES = 0x19, CMOS_DISKS = 0x1b,
  CMOS_EXTENDED_MEMORY_POST = 0x30, CMOS_MEMORY_ABOVE_16M = 0x34, CMOS_BOOT_FLAGS = 0x38,
  CMOS_DISK_TRANSLATIONS = 0x39, CMOS_BOOT_ORDER = 0x3d, CMOS_MEMORY_ABOVE_4G = 0x5b, CMOS_CPUS = 0x5f,
};
enum { EQUIPMENT_FLOPPY = 1 << 0, EQUIPMENT_FPU = 1 << 1, EQUIPMENT_MOUSE = 1 << 2 };
#define SHUTDOWN_RESUME 0xfe

static void
cmos_set (VmPc *pc, unsigned at, uint64_t value, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    vm_mc146818_set_cmos (pc->rtc, at + i, (uint8_t) (value >> i * 8));
}

/* --- boot order ------------------------------------------------------------------------------------------ */

static int
boot_device_code (char letter)
{
  switch (letter)
    {
    case 'a':
    case 'b':
      return 1;
    case 'c':
      return 2;
    case 'd':
      return 3;
    case 'n':
      return 4;
    default:
      return 0;
    }
}

bool
vm_pc_set_boot_order (VmMachine *machine, const char *order, GError **error)
{
  VmPc *pc = VM_PC (machine);
  uint8_t code[3] = { 0 };
  size_t n = strlen (order);

  if (n > G_N_ELEMENTS (code))
    return vm_fail (error, "Too many boot devices for PC");
  for (size_t i = 0; i < n; i++)
    {
      code[i] = (uint8_t) boot_device_code (order[i]);
      if (code[i] == 0)
        return vm_fail (error, "Invalid boot device for PC: '%c'", order[i]);
    }
  cmos_set (pc, CMOS_BOOT_ORDER, (uint8_t) (code[1] << 4 | code[0]), 1);
  cmos_set (pc, CMOS_BOOT_FLAGS, (uint8_t) (code[2] << 4 | (pc->fd_bootchk ? 0 : 1)), 1);
  return true;
}

static const char *
normal_order (const VmMachine *machine)
{
  return machine->settings->boot_order ? machine->settings->boot_order : "cad";
}

/* The first reset starts the machine; "once" is over at the second. */
static void
pc_on_reset (VmMachine *machine, void *opaque)
{
  VmPc *pc = VM_PC (machine);

  if (++pc->resets == 2 && machine->settings->boot_once)
    vm_pc_set_boot_order (machine, normal_order (machine), NULL); /* it was checked at start-up */
}

/* Firmware tells a resume from a start by the shutdown byte. */
static void
pc_on_suspend (VmMachine *machine, void *opaque)
{
  cmos_set (VM_PC (machine), CMOS_SHUTDOWN, SHUTDOWN_RESUME, 1);
}

static void
pc_on_exit (VmMachine *machine, void *opaque)
{
  VM_PC (machine)->closing = true;
}

void
vm_pc_watch_machine (VmPc *pc)
{
  vm_machine_watch (&pc->parent, VM_MACHINE_EXIT, pc_on_exit, NULL);
  vm_machine_watch (&pc->parent, VM_MACHINE_RESET, pc_on_reset, NULL);
  vm_machine_watch (&pc->parent, VM_MACHINE_SUSPEND, pc_on_suspend, NULL);
}

/* --- sizes and drives --------------------------------------------------------------------------------------- */

/* Drive types of the AT BIOS. */
static uint8_t
floppy_types (VmPc *pc)
{
  static const uint8_t codes[]
      = { [VM_FLOPPY_144] = 4, [VM_FLOPPY_288] = 5, [VM_FLOPPY_120] = 2, [VM_FLOPPY_NONE] = 0 };
  VmBus *bus = vm_bus_find (&pc->parent.env, "floppy-bus.0");

  if (!bus)
    return 0;
  return (uint8_t) (codes[vm_fdc_drive_kind ((VmFdc *) bus->owner, 0)] << 4
                    | codes[vm_fdc_drive_kind ((VmFdc *) bus->owner, 1)]);
}

static VmIdeDevice *
find_disk (VmPc *pc, unsigned n)
{
  VmBus *bus = vm_bus_find (&pc->parent.env, n / 2 ? "ide.1" : "ide.0");
  VmIdeDevice *disk = bus && strcmp (bus->type_name, VM_IDE_BUS_TYPE) == 0 ? ((VmIdeBus *) bus)->unit[n % 2] : NULL;

  return disk && !disk->is_cd ? disk : NULL;
}

/* Disks of the first channel have type 47, "of the user": nine bytes say the geometry. */
static void
fill_disk (VmPc *pc, unsigned n, const VmIdeDevice *disk)
{
  unsigned at = CMOS_DISKS + 9 * n;

  cmos_set (pc, CMOS_DISK_EXTENDED_TYPES + n, 47, 1);
  cmos_set (pc, at, disk->cyls, 2);
  cmos_set (pc, at + 2, disk->heads, 1);
  cmos_set (pc, at + 3, 0xffff, 2);
  cmos_set (pc, at + 5, 0xc0 | (disk->heads > 8) << 3, 1);
  cmos_set (pc, at + 6, disk->cyls, 2);
  cmos_set (pc, at + 8, disk->secs, 1);
}

/* How firmware makes cylinders, heads and sectors of what the disk says, two bits for each of four disks. */
static unsigned
disk_translation (const VmIdeDevice *disk)
{
  if (disk->bios_chs_trans != VM_IDE_CHS_AUTO)
    return (unsigned) disk->bios_chs_trans - VM_IDE_CHS_NONE;
  return disk->cyls <= 1024 && disk->heads <= 16 && disk->secs <= 63 ? 0 : VM_IDE_CHS_LBA - VM_IDE_CHS_NONE;
}

static void
fill_disks (VmPc *pc)
{
  unsigned types = 0, translations = 0;

  for (unsigned n = 0; n < 4; n++)
    {
      VmIdeDevice *disk = find_disk (pc, n);

      if (!disk)
        continue;
      translations |= disk_translation (disk) << 2 * n;
      if (n >= 2)
        continue;
      types |= n ? 0x0f : 0xf0;
      fill_disk (pc, n, disk);
    }
  cmos_set (pc, CMOS_DISK_TYPES, types, 1);
  cmos_set (pc, CMOS_DISK_TRANSLATIONS, translations, 1);
}

void
vm_pc_count_cpus (VmPc *pc)
{
  unsigned n = MAX (vm_vcpu_set_count (pc->parent.vcpus), 1);

  cmos_set (pc, CMOS_CPUS, MIN (n - 1, 255), 1);
  vm_fw_cfg_add_u16 (pc->fw_cfg, VM_FW_CFG_NB_CPUS, (uint16_t) n);
}

void
vm_pc_fill_cmos (VmPc *pc)
{
  uint64_t below = pc->below_4g, extended = below > VM_MIB ? (below - VM_MIB) / VM_KIB : 0;
  uint8_t equipment = EQUIPMENT_FPU | EQUIPMENT_MOUSE, types = floppy_types (pc);
  unsigned floppies = (types >> 4 ? 1 : 0) + (types & 15 ? 1 : 0);

  cmos_set (pc, CMOS_BASE_MEMORY, MIN (below / VM_KIB, 640), 2);
  cmos_set (pc, CMOS_EXTENDED_MEMORY, MIN (extended, 65535), 2);
  cmos_set (pc, CMOS_EXTENDED_MEMORY_POST, MIN (extended, 65535), 2);
  cmos_set (pc, CMOS_MEMORY_ABOVE_16M, below > 16 * VM_MIB ? MIN ((below - 16 * VM_MIB) / 65536, 65535) : 0, 2);
  cmos_set (pc, CMOS_MEMORY_ABOVE_4G, pc->above_4g / 65536, 3);
  vm_pc_count_cpus (pc);
  cmos_set (pc, CMOS_FLOPPY_TYPES, types, 1);
  if (floppies > 0)
    equipment |= (uint8_t) (EQUIPMENT_FLOPPY | (floppies - 1) << 6);
  cmos_set (pc, CMOS_EQUIPMENT, equipment, 1);
  fill_disks (pc);
}
