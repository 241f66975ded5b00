/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -iscsi says: settings of sessions whose disks are named by URLs, for one target or for all. */
#include "block/drives.h"
#include "block/graph-private.h"
#include "block/machine.h"
#include "engine/options/keyvals.h"

static const char *
member (json_object *from, const char *key)
{
  json_object *value;

  return json_object_object_get_ex (from, key, &value) ? json_object_get_string (value) : NULL;
}

/* The words of the option are not those of nodes. */
static bool
take_digest (json_object *entry, const char *word, GError **error)
{
  static const char *const words[][2] = { { "CRC32C", "crc32c" },
                                          { "NONE", "none" },
                                          { "CRC32C-NONE", "crc32c-none" },
                                          { "CR32C-NONE", "crc32c-none" }, /* as it is documented */
                                          { "NONE-CRC32C", "none-crc32c" } };

  for (unsigned i = 0; i < G_N_ELEMENTS (words); i++)
    if (!strcmp (words[i][0], word))
      {
        json_object_object_add (entry, "header-digest", json_object_new_string (words[i][1]));
        return true;
      }
  return vm_fail (error, "Invalid header-digest setting : %s", word);
}

bool
vm_drives_add_iscsi (VmMachine *machine, const VmKeyVals *list, GError **error)
{
  VmBlockGraph *graph = vm_drives_graph (machine->env.root, machine->env.loop);
  json_object *entry = json_object_new_object ();
  bool ok = true;

  for (guint i = 0; ok && i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      if (!strcmp (pair->key, "header-digest"))
        ok = take_digest (entry, pair->value, error);
      else
        json_object_object_add (entry, pair->key, json_object_new_string (pair->value));
    }
  if (ok && member (entry, "password") && member (entry, "password-secret"))
    ok = vm_fail (error, "'password' and 'password-secret' properties are mutually exclusive");
  if (ok && member (entry, "user") && !member (entry, "password") && !member (entry, "password-secret"))
    ok = vm_fail (error, "CHAP username specified but no password was given");
  if (!ok)
    {
      json_object_put (entry);
      return false;
    }
  if (!graph->iscsi)
    graph->iscsi = json_object_new_array ();
  json_object_array_add (graph->iscsi, entry);
  return true;
}

/* The last that is meant for TARGET alone, else the last for all. */
static json_object *
find_entry (json_object *list, const char *target)
{
  json_object *found = NULL;
  bool own = false;

  for (size_t i = 0; i < json_object_array_length (list); i++)
    {
      json_object *entry = json_object_array_get_idx (list, i);
      const char *id = member (entry, "id");
      if (id ? !strcmp (id, target) : !own)
        {
          found = entry;
          own = id != NULL;
        }
    }
  return found;
}

void
vm_graph_complete_iscsi (VmBlockGraph *graph, json_object *options)
{
  const char *target = member (options, "target");
  json_object *entry = graph->iscsi && target ? find_entry (graph->iscsi, target) : NULL;
  bool named = member (options, "user") != NULL;

  if (!entry)
    return;
  json_object_object_foreach (entry, key, value)
  {
    bool of_user = !strcmp (key, "user") || g_str_has_prefix (key, "password");
    if (strcmp (key, "id") != 0 && !(named && of_user) && !member (options, key))
      json_object_object_add (options, key, json_object_get (value));
  }
}
