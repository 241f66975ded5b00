/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firmware in flash chips: the first ends at 4 GiB, the second ends where the first begins. */
#include "devices/board/pc.h"

#include "devices/storage/pflash.h"

#define FOUR_GIB (4 * VM_GIB)
#define FLASH_SECTOR 4096u
#define FLASHES 2

/* The drive of -drive if=pflash, or of the machine's property. */
static bool
flash_drive_name (VmPc *pc, unsigned n, const char **name, GError **error)
{
  const char *property = pc->pflash[n];
  VmDriveSpec *spec = vm_settings_find_drive (pc->parent.settings, VM_IF_PFLASH, 0, (int) n);

  if (property && spec)
    return vm_fail (error, "%s: -machine pflash%u=%s says what that flash holds", spec->text, n, property);
  if (spec)
    spec->claimed = true;
  *name = spec ? spec->id : property;
  return true;
}

/* The low end of the address space shows what the real mode of a processor starts from; as a copy, because commands
 * to the chip do not change it. */
static bool
map_low_copy (VmPc *pc, VmRegion *rom_space, VmPflash *flash, GError **error)
{
  uint64_t size = flash->region.size, low = MIN (size, 128 * VM_KIB);

  if (!vm_region_init_rom (&pc->bios_low, pc->parent.env.memory, "isa-bios", low, error))
    return false;
  memcpy (vm_region_ram_ptr (&pc->bios_low), (uint8_t *) vm_region_ram_ptr (&flash->region) + size - low, low);
  vm_region_add_overlap (rom_space, VM_MIB - low, &pc->bios_low, 1);
  return true;
}

static VmPflash *
make_flash (VmPc *pc, unsigned n, const char *drive, uint64_t taken, GError **error)
{
  VmMachine *machine = &pc->parent;
  VmPflash *flash = (VmPflash *) vm_machine_new_device (machine, &vm_pflash_type);
  g_autofree char *name = g_strdup_printf ("system.flash%u", n);
  uint64_t size;
  bool ok = false;

  flash->parent.parent.scope = machine->env.root;
  if (vm_object_set (&flash->parent.parent, "drive", drive, error))
    {
      size = flash->drive->block ? vm_block_size (flash->drive->block) : 0;
      if (size == 0 || size % FLASH_SECTOR)
        vm_fail (error,
                 "system firmware block device %s has invalid size %" G_GUINT64_FORMAT
                 ": its size must be a non-zero multiple of 0x%x",
                 drive, size, FLASH_SECTOR);
      else if (size > pc->max_fw_size - MIN (taken, pc->max_fw_size))
        vm_fail (error, "combined size of system firmware exceeds %" G_GUINT64_FORMAT " bytes", pc->max_fw_size);
      else
        {
          flash->sector_length = FLASH_SECTOR;
          flash->num_blocks = (uint32_t) (size / FLASH_SECTOR);
          vm_object_set_str (&flash->parent.parent, "name", name);
          vm_object_add_child (&machine->parent, name, &flash->parent.parent);
          ok = vm_device_realize (&flash->parent, &machine->env, NULL, error);
        }
    }
  vm_object_unref (&flash->parent.parent);
  return ok ? flash : NULL;
}

bool
vm_pc_map_flash (VmPc *pc, VmRegion *rom_space, bool *mapped, GError **error)
{
  VmRegion *memory = pc->parent.env.system_memory;
  const char *names[FLASHES];
  uint64_t taken = 0;

  *mapped = false;
  for (unsigned i = 0; i < FLASHES; i++)
    if (!flash_drive_name (pc, i, &names[i], error))
      return false;
  if (!names[0])
    return !names[1] || vm_fail (error, "pflash1 needs firmware in pflash0");
  if (pc->parent.settings->firmware)
    return vm_fail (error, "-bios %s: the firmware is in pflash0", pc->parent.settings->firmware);
  for (unsigned i = 0; i < FLASHES && names[i]; i++)
    {
      VmPflash *flash = make_flash (pc, i, names[i], taken, error);

      if (!flash)
        return false;
      taken += flash->region.size;
      vm_region_add (memory, FOUR_GIB - taken, &flash->region);
      if (i == 0 && !map_low_copy (pc, rom_space, flash, error))
        return false;
    }
  *mapped = true;
  return true;
}
