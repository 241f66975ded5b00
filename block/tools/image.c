/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening images as the options of the tools say. */
#include "block/tools/tool.h"

#include "engine/options/keyvals.h"

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
  nested = vm_graph_nest_options (flat, error);
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
