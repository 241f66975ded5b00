/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fw_cfg device tells firmware about a PC. */
#include "devices/board/pc.h"

#include "devices/firmware/fw-cfg.h"
#include "devices/firmware/kernel.h"
#include "devices/firmware/smbios.h"

#define E820_RAM 1u
#define E820_ENTRY 20

static void
e820_add (GByteArray *table, uint64_t start, uint64_t size, uint32_t type)
{
  uint8_t entry[E820_ENTRY];

  vm_store_le64 (entry, start);
  vm_store_le64 (entry + 8, size);
  vm_store_le32 (entry + 16, type);
  g_byte_array_append (table, entry, sizeof entry);
}

static bool
add_memory_map (VmPc *pc, GError **error)
{
  g_autoptr (GByteArray) table = g_byte_array_new ();

  e820_add (table, 0, pc->below_4g, E820_RAM);
  if (pc->above_4g)
    e820_add (table, 4 * VM_GIB, pc->above_4g, E820_RAM);
  return vm_fw_cfg_add_file (pc->fw_cfg, "etc/e820", table->data, table->len, error);
}

/* Entries of the key HPET: a count, then event block id, address, minimal tick, page protection. */
static void
add_hpet (VmPc *pc)
{
  uint8_t entries[1 + 8 * 15] = { 0 };

  if (pc->hpet)
    {
      entries[0] = 1;
      vm_store_le32 (entries + 1, 0x8086a201);
      vm_store_le64 (entries + 5, UINT64_C (0xfed00000));
      vm_store_le16 (entries + 13, 100);
    }
  vm_fw_cfg_add_bytes (pc->fw_cfg, VM_FW_CFG_HPET, entries, sizeof entries);
}

static bool
add_u32_file (VmPc *pc, const char *name, int value, GError **error)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, (uint32_t) value);
  return vm_fw_cfg_add_file (pc->fw_cfg, name, bytes, sizeof bytes, error);
}

static bool
add_boot_settings (VmPc *pc, GError **error)
{
  const VmSettings *s = pc->parent.settings;
  uint8_t bytes[2];

  vm_fw_cfg_add_u16 (pc->fw_cfg, VM_FW_CFG_BOOT_MENU, s->boot_menu);
  if (s->boot_splash_time >= 0)
    {
      if (s->boot_splash_time > 0xffff)
        return vm_fail (error, "splash-time is invalid, it should be a value between 0 and 65535");
      vm_store_le16 (bytes, (uint16_t) s->boot_splash_time);
      if (!vm_fw_cfg_add_file (pc->fw_cfg, "etc/boot-menu-wait", bytes, sizeof bytes, error))
        return false;
    }
  if (s->boot_splash)
    {
      g_autofree char *path = vm_machine_find_file (&pc->parent, s->boot_splash), *data = NULL;
      gsize size;
      bool is_bmp;

      if (!path || !g_file_get_contents (path, &data, &size, NULL) || size < 30)
        return vm_fail (error, "failed to read splash file '%s'", s->boot_splash);
      is_bmp = data[0] == 'B' && data[1] == 'M';
      if (!is_bmp && ((uint8_t) data[0] != 0xff || (uint8_t) data[1] != 0xd8))
        return vm_fail (error, "splash file '%s' format not recognized; must be JPEG or 24 bit BMP", s->boot_splash);
      if (!vm_fw_cfg_add_file (pc->fw_cfg, is_bmp ? "bootsplash.bmp" : "bootsplash.jpg", data, size, error))
        return false;
    }
  /* All ones: do not reboot after a failed boot. */
  return add_u32_file (pc, "etc/boot-fail-wait", s->boot_reboot_timeout, error);
}

static void
add_numbers (VmPc *pc)
{
  const VmSettings *s = pc->parent.settings;
  uint32_t last_id = pc->apic_ids[pc->n_possible - 1];

  vm_fw_cfg_add_bytes (pc->fw_cfg, VM_FW_CFG_UUID, s->uuid, sizeof s->uuid);
  vm_fw_cfg_add_u16 (pc->fw_cfg, VM_FW_CFG_NOGRAPHIC, s->nographic);
  vm_fw_cfg_add_u64 (pc->fw_cfg, VM_FW_CFG_RAM_SIZE, pc->parent.ram_size);
  vm_fw_cfg_add_u16 (pc->fw_cfg, VM_FW_CFG_NB_CPUS, (uint16_t) s->smp.cpus);
  /* Firmware takes this for a bound of APIC ids. */
  vm_fw_cfg_add_u16 (pc->fw_cfg, VM_FW_CFG_MAX_CPUS, (uint16_t) (last_id + 1));
  vm_fw_cfg_add_u32 (pc->fw_cfg, VM_FW_CFG_IRQ0_OVERRIDE, 1);
}

bool
vm_pc_make_fw_cfg (VmPc *pc, GError **error)
{
  pc->fw_cfg = (VmFwCfg *) vm_machine_add_device (&pc->parent, &vm_fw_cfg_io_type, NULL, error);
  if (!pc->fw_cfg)
    return false;
  add_numbers (pc);
  add_hpet (pc);
  return add_memory_map (pc, error) && add_boot_settings (pc, error) && vm_pc_add_user_files (pc, error)
         && vm_kernel_load (&pc->parent, pc->fw_cfg, pc->below_4g, error);
}

static bool
add_smbios (VmPc *pc, GError **error)
{
  VmMachine *machine = &pc->parent;
  VmVcpu *first = vm_vcpu_set_get (machine->vcpus, 0);
  uint32_t leaf[4] = { 0 };
  VmSmbiosInfo info = {
    .low_ram = pc->below_4g, .high_ram = pc->above_4g, .product = machine->board->desc,
    .version = machine->board->name, .entry64 = g_strcmp0 (pc->smbios_entry_point, "64") == 0,
  };

  if (first)
    vm_x86_cpuid ((VmX86Cpu *) first, 1, 0, leaf);
  info.cpuid_signature = leaf[0];
  info.cpuid_features = leaf[3];
  return vm_smbios_install (machine, pc->fw_cfg, &info, error);
}

bool
vm_pc_finish_fw_cfg (VmPc *pc, GError **error)
{
  g_autofree char *order = vm_machine_boot_order (&pc->parent);

  if (!add_smbios (pc, error))
    return false;
  if (pc->device_memory.memory)
    {
      uint8_t end[8];
      vm_store_le64 (end, pc->device_memory_start + pc->device_memory.size);
      if (!vm_fw_cfg_add_file (pc->fw_cfg, "etc/reserved-memory-end", end, sizeof end, error))
        return false;
    }
  return !order || !*order
         || vm_fw_cfg_add_file (pc->fw_cfg, "bootorder", order, strlen (order) + 1, error);
}
