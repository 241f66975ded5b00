/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Main memory and the BIOS of a PC in the address space. */
#include "devices/board/pc.h"

#define FOUR_GIB      (4 * VM_GIB)
#define LOW_DEFAULT   UINT64_C (0xe0000000) /* most RAM below 4 GiB: the rest is for PCI */
#define LOW_WITH_MORE UINT64_C (0xc0000000) /* when there is RAM above: whole gigabytes page better */
#define BIOS_UNIT     0x10000u
#define ISA_BIOS_MAX  0x20000u

static void
pc_split_ram (VmPc *pc)
{
  uint64_t size = pc->parent.ram_size, low = pc->max_ram_below_4g;

  if (low == 0)
    low = size >= LOW_DEFAULT ? LOW_WITH_MORE : LOW_DEFAULT;
  low = MIN (low, FOUR_GIB - 512 * VM_MIB);
  pc->below_4g = MIN (size, low);
  pc->above_4g = size - pc->below_4g;
}

void
vm_pc_map_ram (VmPc *pc)
{
  VmMachine *machine = &pc->parent;

  pc_split_ram (pc);
  if (!machine->ram)
    return;
  vm_region_init_alias (&pc->ram_low, "ram-below-4g", machine->ram, 0, pc->below_4g);
  vm_region_add (machine->env.system_memory, 0, &pc->ram_low);
  if (pc->above_4g == 0)
    return;
  vm_region_init_alias (&pc->ram_high, "ram-above-4g", machine->ram, pc->below_4g, pc->above_4g);
  vm_region_add (machine->env.system_memory, FOUR_GIB, &pc->ram_high);
}

static void
pc_refill_bios (VmMachine *machine, void *opaque)
{
  VmPc *pc = VM_PC (machine);

  memcpy (vm_region_ram_ptr (&pc->bios), pc->bios_data, pc->bios_size);
  vm_ram_written (machine->env.memory, pc->bios.ram, pc->bios.ram_offset, pc->bios_size);
}

bool
vm_pc_map_bios (VmPc *pc, VmRegion *rom_space, const char *default_file, bool writable, GError **error)
{
  VmMachine *machine = &pc->parent;
  VmMemory *memory = machine->env.memory;
  const char *name = machine->settings->firmware ? machine->settings->firmware : default_file;
  g_autofree char *path = vm_machine_find_file (machine, name), *data = NULL;
  gsize size, low;

  if (!path || !g_file_get_contents (path, &data, &size, NULL))
    return vm_fail (error, "qemu: could not load PC BIOS '%s'", name);
  if (size == 0 || size % BIOS_UNIT != 0 || size > pc->max_fw_size)
    return vm_fail (error, "qemu: could not load PC BIOS '%s': its size must be a multiple of 64 KiB up to %"
                    G_GUINT64_FORMAT " MiB", name, pc->max_fw_size / VM_MIB);
  if (!(writable ? vm_region_init_ram (&pc->bios, memory, "pc.bios", size, error)
                 : vm_region_init_rom (&pc->bios, memory, "pc.bios", size, error)))
    return false;
  memcpy (vm_region_ram_ptr (&pc->bios), data, size);
  vm_region_add (rom_space, FOUR_GIB - size, &pc->bios);
  low = MIN (size, ISA_BIOS_MAX);
  vm_region_init_alias (&pc->bios_low, "isa-bios", &pc->bios, size - low, low);
  vm_region_set_readonly (&pc->bios_low, !writable);
  vm_region_add_overlap (rom_space, VM_MIB - low, &pc->bios_low, 1);
  if (!writable)
    return true;
  pc->bios_data = g_steal_pointer (&data);
  pc->bios_size = size;
  vm_machine_watch (machine, VM_MACHINE_RESET, pc_refill_bios, NULL);
  return true;
}
