/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes and drives of the settings become those of the block layer. */
#include "app/app.h"
#include "block/machine.h"
#include "block/snapshot.h"

static bool
open_node (VmMachine *machine, const VmBlockdevSpec *spec, GError **error)
{
  json_object *options = spec->json ? json_tokener_parse (spec->json) : json_object_new_object ();
  bool ok;

  for (guint i = 0; !spec->json && i < spec->options->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (spec->options->pairs, i);
      json_object_object_add (options, pair->key, json_object_new_string (pair->value));
    }
  ok = vm_graph_add_node (vm_drives_graph (machine->env.root, machine->env.loop), options,
                          spec->json ? VM_SCHEMA_JSON : VM_SCHEMA_TEXT, error);
  json_object_put (options);
  return ok;
}

static bool
open_all (VmMachine *machine, const char **text, GError **error)
{
  const VmSettings *settings = machine->settings;

  for (guint i = 0; i < settings->iscsi->len; i++)
    if (!vm_drives_add_iscsi (machine, g_ptr_array_index (settings->iscsi, i), error))
      return *text = "-iscsi", false;
  for (guint i = 0; i < settings->blockdevs->len; i++)
    {
      const VmBlockdevSpec *spec = g_ptr_array_index (settings->blockdevs, i);
      *text = spec->text;
      if (!open_node (machine, spec, error))
        return false;
    }
  for (guint i = 0; i < settings->drives->len; i++)
    {
      const VmDriveSpec *spec = g_ptr_array_index (settings->drives, i);
      *text = spec->text;
      if (!vm_drive_add (machine, spec, error))
        return false;
    }
  return true;
}

bool
app_open_drives (VmMachine *machine, GError **error)
{
  const char *text = NULL;
  bool taken = vm_lock_enter (machine->lock), ok;

  vm_drives_bind (machine);
  ok = open_all (machine, &text, error);

  vm_lock_leave (machine->lock, taken);
  if (!ok && text)
    g_prefix_error (error, "%s: ", text);
  return ok;
}

bool
app_load_snapshot (VmMachine *machine, GError **error)
{
  const char *tag = machine->settings->loadvm;
  bool taken = vm_lock_enter (machine->lock);
  bool ok = !tag || vm_snapshot_load (machine, tag, NULL, error);

  vm_lock_leave (machine->lock, taken);
  return ok;
}
