/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of the user's for firmware: option ROMs and fw_cfg items; ROMs of cards that have no register for them. */
#include "devices/board/pc.h"

#include "devices/firmware/fw-cfg.h"
#include "engine/base/log.h"
#include "engine/crypto/tls-creds.h"

#define ROM_MAX (16 * VM_MIB)

static bool
add_rom_file (VmPc *pc, const char *folder, const char *file, int bootindex, GError **error)
{
  g_autofree char *path = vm_machine_find_file (&pc->parent, file), *data = NULL;
  g_autofree char *base = g_path_get_basename (file);
  g_autofree char *name = g_strdup_printf ("%s/%s", folder, base);
  g_autofree char *boot = g_strdup_printf ("/rom@%s", name);
  gsize size;

  if (!path || !g_file_get_contents (path, &data, &size, NULL))
    return vm_fail (error, "Could not open option rom '%s'", file);
  if (size == 0 || size > ROM_MAX)
    return vm_fail (error, "option rom '%s' is empty or too big", file);
  return vm_fw_cfg_add_file (pc->fw_cfg, name, data, size, error)
         && vm_machine_add_boot_device (&pc->parent, bootindex, NULL, boot, error);
}

bool
vm_pc_add_vga_rom (VmPc *pc, const char *file, GError **error)
{
  return add_rom_file (pc, "vgaroms", file, -1, error);
}

/* --- -fw_cfg ------------------------------------------------------------------------------------------- */

/* What an object makes for firmware: of all kinds only cipher suites do. */
static bool
add_generated (VmPc *pc, const VmFwCfgSpec *spec, GError **error)
{
  VmObject *root = pc->parent.env.root, *obj = vm_user_object_find (root, spec->gen_id);
  size_t len;

  if (!obj)
    return vm_fail (error, "%s: Cannot find object ID '%s'", spec->text, spec->gen_id);
  if (strcmp (obj->type->name, "tls-cipher-suites") != 0)
    return vm_fail (error, "%s: Object ID '%s' is not a 'fw_cfg-data-generator' subclass", spec->text, spec->gen_id);
  g_autofree uint8_t *suites = vm_tls_cipher_suites (root, spec->gen_id, &len, error);
  return suites && vm_fw_cfg_add_file (pc->fw_cfg, spec->name, suites, len, error);
}

static bool
add_user_item (VmPc *pc, const VmFwCfgSpec *spec, GError **error)
{
  g_autofree char *data = NULL;
  g_autoptr (GError) why = NULL;
  gsize size;

  if (!spec->name || strlen (spec->name) > 55)
    return vm_fail (error, "-fw_cfg: the name must have 1 to 55 characters");
  if (vm_fw_cfg_has_file (pc->fw_cfg, spec->name))
    return vm_fail (error, "%s: duplicate fw_cfg file name: %s", spec->text, spec->name);
  if (spec->string)
    return vm_fw_cfg_add_file (pc->fw_cfg, spec->name, spec->string, strlen (spec->string), error);
  if (spec->gen_id)
    return add_generated (pc, spec, error);
  if (!g_file_get_contents (spec->file, &data, &size, &why))
    return vm_fail (error, "%s: can't load %s: %s", spec->text, spec->file, why->message);
  return vm_fw_cfg_add_file (pc->fw_cfg, spec->name, data, size, error);
}

bool
vm_pc_add_user_files (VmPc *pc, GError **error)
{
  const VmSettings *s = pc->parent.settings;

  for (guint i = 0; i < s->option_roms->len; i++)
    {
      const VmOptionRom *rom = g_ptr_array_index (s->option_roms, i);

      if (!add_rom_file (pc, "genroms", rom->file, rom->bootindex, error))
        return false;
    }
  for (guint i = 0; i < s->fw_cfg->len; i++)
    if (!add_user_item (pc, g_ptr_array_index (s->fw_cfg, i), error))
      return false;
  return true;
}
