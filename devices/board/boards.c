/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of boards. A versioned PC is the newest one with the values that older releases had. */
#include "devices/board/board.h"

#include "devices/board/none.h"
#include "devices/board/pc-compat.h"
#include "devices/board/pc-i440fx.h"

#define PC_BOARD(major, minor, palias, pdeprecated, pcompat)                                      \
  static const VmBoard pc_##major##_##minor = {                                                   \
    .name = "pc-i440fx-" #major "." #minor, .alias = (palias),                                    \
    .desc = "Standard PC (i440FX + PIIX, 1996)", .type = &vm_pc_i440fx_machine_type,              \
    .is_default = (palias) != NULL, .deprecated = (pdeprecated), .hotpluggable_cpus = true,       \
    .numa_mem_supported = (major) * 100 + (minor) <= 500, .memory_slots = true,                   \
    .max_cpus = 255, .default_cpu = "qemu64-x86_64-cpu", .default_ram_id = "pc.ram",              \
    .default_vga = (major) * 100 + (minor) <= 201 ? "cirrus" : "std",                             \
    .default_nic = "e1000", .default_drive_if = VM_IF_IDE,                  \
    .drive_units = { [VM_IF_IDE] = 2, [VM_IF_FLOPPY] = 2 }, .compat = (pcompat),                  \
    .init = vm_pc_i440fx_init,                                                                    \
  }
#define PC_NEW(major, minor, palias) PC_BOARD (major, minor, palias, false, NULL)
#define PC_OLD(major, minor, pdeprecated)                                                         \
  static const VmCompat *const compat_##major##_##minor[] = { VM_PC_UP_TO_##major##_##minor, NULL }; \
  PC_BOARD (major, minor, NULL, pdeprecated, compat_##major##_##minor)

PC_NEW (9, 1, "pc");
PC_NEW (9, 0, NULL);
PC_NEW (8, 2, NULL);
PC_NEW (8, 1, NULL);
PC_NEW (8, 0, NULL);
PC_NEW (7, 2, NULL);
PC_OLD (7, 1, false);
PC_OLD (7, 0, false);
PC_OLD (6, 2, false);
PC_OLD (6, 1, false);
PC_OLD (6, 0, false);
PC_OLD (5, 2, false);
PC_OLD (5, 1, false);
PC_OLD (5, 0, false);
PC_OLD (4, 2, false);
PC_OLD (4, 1, false);
PC_OLD (4, 0, false);
PC_OLD (3, 1, false);
PC_OLD (3, 0, false);
PC_OLD (2, 12, false);
PC_OLD (2, 11, false);
PC_OLD (2, 10, false);
PC_OLD (2, 9, false);
PC_OLD (2, 8, false);
PC_OLD (2, 7, false);
PC_OLD (2, 6, false);
PC_OLD (2, 5, false);
PC_OLD (2, 4, false);
PC_OLD (2, 3, false);
PC_OLD (2, 2, false);
PC_OLD (2, 1, false);
PC_OLD (2, 0, false);
PC_OLD (1, 7, true);
PC_OLD (1, 6, true);
PC_OLD (1, 5, true);
PC_OLD (1, 4, true);

static const VmBoard isapc = {
  .name = "isapc", .desc = "ISA-only PC", .type = &vm_isapc_machine_type, .hotpluggable_cpus = true,
  .max_cpus = 1, .default_cpu = "486-x86_64-cpu", .default_ram_id = "pc.ram", .default_vga = "cirrus",
  .default_nic = "ne2k_isa", .default_drive_if = VM_IF_IDE,
  .drive_units = { [VM_IF_IDE] = 2, [VM_IF_FLOPPY] = 2 }, .init = vm_isapc_init,
};

static const VmBoard none = {
  .name = "none", .desc = "empty machine", .type = &vm_none_machine_type, .max_cpus = 1,
  .default_ram_id = "ram", .no_serial = true, .no_parallel = true, .no_floppy = true, .no_cdrom = true,
  .init = vm_none_init,
};

const VmBoard *const vm_boards[] = {
  &pc_9_1, &pc_9_0, &pc_8_2, &pc_8_1, &pc_8_0, &pc_7_2, &pc_7_1, &pc_7_0, &pc_6_2, &pc_6_1,
  &pc_6_0, &pc_5_2, &pc_5_1, &pc_5_0, &pc_4_2, &pc_4_1, &pc_4_0, &pc_3_1, &pc_3_0, &pc_2_12,
  &pc_2_11, &pc_2_10, &pc_2_9, &pc_2_8, &pc_2_7, &pc_2_6, &pc_2_5, &pc_2_4, &pc_2_3, &pc_2_2,
  &pc_2_1, &pc_2_0, &pc_1_7, &pc_1_6, &pc_1_5, &pc_1_4, &isapc, &none, NULL,
};
