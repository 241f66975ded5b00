/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening images as the options of the tools say. */
#include "block/tools/tool.h"

#include "block/create.h"
#include "engine/options/keyvals.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

json_object *
vm_tool_nest (const char *list, GError **error)
{
  g_autoptr (VmKeyVals) pairs = vm_keyvals_new ();
  json_object *flat, *nested;

  if (!vm_keyvals_parse (pairs, list, NULL, 0, error))
    return NULL;
  flat = json_object_new_object ();
  for (guint i = 0; i < pairs->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (pairs->pairs, i);
      json_object_object_add (flat, pair->key, json_object_new_string (pair->value));
    }
  nested = vm_json_nest (flat, error);
  json_object_put (flat);
  return nested;
}

/* --- opening -------------------------------------------------------------------------------------------------- */

static const VmRootClass tool_root = { .kind = "program" };

static json_object *
more_options (const VmToolOpen *how)
{
  json_object *options = json_object_new_object ();

  if (how->options)
    {
      json_object_object_foreach (how->options, key, value)
          json_object_object_add (options, key, json_object_get (value));
    }
  if (how->aio)
    {
      json_object *file = json_object_new_object ();
      json_object_object_add (file, "aio", json_object_new_string (how->aio));
      json_object_object_add (options, "file", file);
    }
  if (how->cache.direct || how->cache.no_flush)
    {
      json_object *cache = json_object_new_object ();
      json_object_object_add (cache, "direct", json_object_new_string (how->cache.direct ? "on" : "off"));
      json_object_object_add (cache, "no-flush", json_object_new_string (how->cache.no_flush ? "on" : "off"));
      json_object_object_add (options, "cache", cache);
    }
  return options;
}

static VmNode *
open_node (VmTool *tool, const VmToolOpen *how, unsigned flags, GError **error)
{
  json_object *options = more_options (how);
  VmNode *node = NULL;

  if (how->image_opts)
    {
      json_object *named = vm_tool_nest (how->name, error);
      if (named)
        {
          json_object_object_foreach (options, key, value) json_object_object_add (named, key, json_object_get (value));
          node = vm_node_open (tool->graph, named, VM_SCHEMA_TEXT, flags, error);
          json_object_put (named);
        }
    }
  else
    {
      node = vm_node_open_name (tool->graph, how->name, how->format, options, flags, error);
    }
  json_object_put (options);
  return node;
}

bool
vm_tool_try_open (VmTool *tool, const VmToolOpen *how, VmToolImage *image, GError **error)
{
  unsigned flags = how->flags | (how->write ? 0 : VM_OPEN_READONLY) | (how->format ? 0 : VM_OPEN_PROBE)
                   | (how->cache.no_flush ? VM_OPEN_UNSAFE : 0) | (how->force_share ? VM_OPEN_FORCE_SHARE : 0);
  unsigned perm = (how->flags & VM_OPEN_NO_IO ? 0 : VM_PERM_READ) | (how->write ? VM_PERM_WRITE : 0)
                  | (how->resize ? VM_PERM_RESIZE : 0);

  *image = (VmToolImage){ .write_flags = how->cache.writethrough ? VM_REQ_FUA : 0 };
  image->node = open_node (tool, how, flags, error);
  if (!image->node)
    return false;
  image->root = vm_node_attach_root (image->node, tool->program, &tool_root, tool, perm,
                                     how->force_share ? VM_PERM_ALL : VM_PERM_READ | VM_PERM_UNCHANGED, error);
  if (!image->root)
    g_clear_pointer (&image->node, vm_node_unref);
  return image->root != NULL;
}

bool
vm_tool_open (VmTool *tool, const VmToolOpen *how, VmToolImage *image)
{
  GError *error = NULL;

  if (how->image_opts && how->format)
    return vm_tool_error (tool, NULL, "--image-opts and --format are mutually exclusive");
  return vm_tool_try_open (tool, how, image, &error) || vm_tool_error (tool, error, "Could not open '%s'", how->name);
}

void
vm_tool_close (VmToolImage *image)
{
  if (image->root)
    vm_node_detach (image->root);
  if (image->node)
    vm_node_unref (image->node);
  *image = (VmToolImage){ NULL };
}

/* --- what stands on an image ------------------------------------------------------------------------------------- */

VmNode *
vm_tool_put_overlay (VmTool *tool, VmNode *below, GError **error)
{
  const VmBlockDriver *format = vm_graph_find_driver (tool->graph, "qcow2");
  const VmBlockDriver *protocol = vm_graph_find_driver (tool->graph, "file");
  g_autofree char *path = g_build_filename (g_getenv ("TMPDIR") ? g_getenv ("TMPDIR") : "/var/tmp", "vio.XXXXXX", NULL);
  VmNode *node = NULL;
  int fd = mkstemp (path);

  if (fd < 0)
    {
      vm_fail (error, "Could not make the temporary file '%s': %s", path, g_strerror (errno));
      return NULL;
    }
  close (fd);
  g_autoptr (VmCreateValues) values = vm_create_values_new (format, protocol, false);
  if (vm_image_create_values (tool->graph, path, format, protocol, below->size, values, VM_OPEN_UNSAFE, error))
    {
      json_object *options = json_object_new_object (), *file = json_object_new_object ();
      json_object_object_add (options, "driver", json_object_new_string ("qcow2"));
      json_object_object_add (file, "driver", json_object_new_string ("file"));
      json_object_object_add (file, "filename", json_object_new_string (path));
      json_object_object_add (options, "file", file);
      json_object_object_add (options, "backing", json_object_new_string (below->name));
      node = vm_node_open (tool->graph, options, VM_SCHEMA_TEXT, 0, error);
      json_object_put (options);
    }
  unlink (path);
  return node;
}

bool
vm_tool_load_snapshot (VmTool *tool, VmNode *node, const char *text)
{
  const char *id = text, *name = NULL;
  json_object *named = NULL, *snapshot = NULL, *value;
  GError *error = NULL;
  bool ok;

  if (!node->driver->snapshot_load)
    return vm_tool_error (tool, NULL, "Failed to load snapshot: Block format '%s' does not support internal snapshots",
                          node->driver->name);
  if (g_str_has_prefix (text, "snapshot."))
    {
      named = vm_tool_nest (text, &error);
      if (!named)
        return vm_tool_error (tool, error, "Failed in parsing snapshot param '%s'", text);
      json_object_object_get_ex (named, "snapshot", &snapshot);
      id = json_object_object_get_ex (snapshot, "id", &value) ? json_object_get_string (value) : NULL;
      name = json_object_object_get_ex (snapshot, "name", &value) ? json_object_get_string (value) : NULL;
      ok = node->driver->snapshot_load (node, id, name, &error);
    }
  else
    {
      ok = node->driver->snapshot_load (node, text, NULL, NULL)
           || node->driver->snapshot_load (node, NULL, text, &error);
    }
  json_object_put (named);
  return ok || vm_tool_error (tool, error, "Failed to load snapshot");
}
