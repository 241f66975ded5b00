/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening nodes by their options: generic members, the driver's own by the schema, children, backing files. */
#include "block/graph-private.h"

#include "engine/base/log.h"

#include <errno.h>

#define MAX_CHAIN 100 /* layers: each takes some of a fiber's stack */
#define PROBE_SIZE 2048

/* --- members ------------------------------------------------------------------------------------------ */

static json_object *
member (json_object *options, const char *name)
{
  json_object *value = NULL;

  json_object_object_get_ex (options, name, &value);
  return value;
}

static const char *
text_member (json_object *options, const char *name)
{
  json_object *value = member (options, name);

  return value && json_object_is_type (value, json_type_string) ? json_object_get_string (value) : NULL;
}

/* The member NAME of lists and objects ("children.2"). */
static json_object *
child_member (json_object *options, const char *name)
{
  const char *dot = strrchr (name, '.');
  json_object *value = member (options, name);

  if (value || !dot)
    return value;
  g_autofree char *list = g_strndup (name, dot - name);
  value = member (options, list);
  if (value && json_object_is_type (value, json_type_array))
    return json_object_array_get_idx (value, g_ascii_strtoull (dot + 1, NULL, 10));
  return value && json_object_is_type (value, json_type_object) ? member (value, dot + 1) : NULL;
}

static void
inherit_bool (json_object *options, const char *name, bool value)
{
  if (!member (options, name))
    json_object_object_add (options, name, json_object_new_boolean (value));
}

/* What a child has of its parent where it does not say otherwise. */
static void
inherit (json_object *options, const VmNode *parent, unsigned role, VmSchemaSource source)
{
  json_object *cache = member (options, "cache");

  if (!cache)
    {
      cache = json_object_new_object ();
      json_object_object_add (options, "cache", cache);
    }
  if (json_object_is_type (cache, json_type_object))
    {
      inherit_bool (cache, "direct", parent->cache_direct);
      inherit_bool (cache, "no-flush", parent->cache_no_flush);
    }
  inherit_bool (options, "force-share", (parent->open_flags & VM_OPEN_FORCE_SHARE) != 0);
  if (role & VM_ROLE_COW)
    inherit_bool (options, "read-only", true);
  else
    {
      inherit_bool (options, "read-only", parent->readonly);
      inherit_bool (options, "auto-read-only", parent->auto_readonly);
      /* Formats decide what is given back; a filter passes on what its parent asks for. */
      if (!member (options, "discard"))
        json_object_object_add (options, "discard", json_object_new_string ("unmap"));
    }
}

/* --- guessing the format ---------------------------------------------------------------------------------- */

static const VmBlockDriver *
probe (VmNode *file)
{
  const VmBlockDriver *best = NULL;
  int best_score = 0;
  uint8_t head[PROBE_SIZE];
  size_t n = MIN (sizeof head, file->size);

  if (vm_node_pread (file, 0, head, n) < 0)
    n = 0;
  for (const VmBlockDriver *const *d = vm_graph_drivers (file->graph); *d; d++)
    {
      int score = (*d)->probe && n ? (*d)->probe (head, n, file) : 0;
      if (score > best_score)
        {
          best = *d;
          best_score = score;
        }
    }
  return best ? best : vm_graph_find_driver (file->graph, "raw");
}

const char *
vm_graph_probe (VmNode *file)
{
  return probe (file)->name;
}

static void
warn_of_guess (const VmNode *file)
{
  vm_report_warning ("Image format was not specified for '%s' and probing guessed raw.\n"
                     "         Automatically detecting the format is dangerous for raw images, write operations on "
                     "block 0 will be restricted.\n"
                     "         Specify the 'raw' format explicitly to remove the restrictions.",
                     file->filename);
}

/* --- one node ------------------------------------------------------------------------------------------------ */

typedef struct Opening
{
  VmBlockGraph *graph;
  json_object *options; /* nested; its own */
  VmSchemaSource source;
  unsigned flags;
  const char *path; /* before members in messages; NULL: nothing */
  VmNode *file;     /* opened by probing; NULL: none */
  bool guessed;
} Opening;

static VmNode *open_node (Opening *o, GError **error);
static bool open_chain (VmNode *node, GError **error);

/* The reference goes when it cannot be. */
static VmNode *
with_chain (VmNode *node, GError **error)
{
  if (node && !open_chain (node, error))
    {
      vm_node_unref (node);
      return NULL;
    }
  return node;
}

static VmNode *
open_child_options (VmNode *parent, json_object *given, unsigned role, VmSchemaSource source, unsigned flags,
                    const char *path, GError **error)
{
  json_object *options = NULL;
  VmNode *node;

  json_object_deep_copy (given, &options, NULL);
  if (parent)
    inherit (options, parent, role, source);
  node = open_node (&(Opening){ parent->graph, options, source, flags, path, NULL, false }, error);
  json_object_put (options);
  return node;
}

/* A protocol without a name is what its file name says. */
static bool
complete_protocol (VmBlockGraph *graph, json_object *options, GError **error)
{
  const char *filename = text_member (options, "filename");

  if (member (options, "driver") || !filename)
    return true;
  json_object *parsed = vm_graph_parse_name (graph, filename, error);
  if (!parsed)
    return false;
  json_object_object_foreach (parsed, key, value) if (!member (options, key) || !strcmp (key, "filename"))
      json_object_object_add (options, key, json_object_get (value));
  if (!member (parsed, "filename"))
    json_object_object_del (options, "filename");
  json_object_put (parsed);
  return true;
}

/* Opens what the image lies on and looks into it. */
static bool
guess_format (Opening *o, GError **error)
{
  json_object *file = member (o->options, "file");
  const VmBlockDriver *driver;

  if (!file)
    return vm_fail (error, "Must specify either driver or file");
  if (json_object_is_type (file, json_type_string))
    {
      VmNode *node = vm_node_find (o->graph, json_object_get_string (file));
      if (!node)
        return vm_fail (error, "Cannot find device='%s' nor node-name='%s'", json_object_get_string (file),
                        json_object_get_string (file));
      o->file = vm_node_ref (node);
    }
  else
    {
      /* A stand-in for the node that will be: its generic members are handed down. */
      VmNode parent = { .graph = o->graph };
      json_object *cache = member (o->options, "cache"), *copy = NULL;
      if (!complete_protocol (o->graph, file, error))
        return false;
      json_object_deep_copy (file, &copy, NULL);
      for (size_t i = 0; i < 3; i++)
        {
          static const char *const names[] = { "read-only", "auto-read-only", "force-share" };
          json_object *value = member (o->options, names[i]);
          if (value && !member (copy, names[i]))
            json_object_object_add (copy, names[i], json_object_get (value));
        }
      if (cache && !member (copy, "cache"))
        json_object_object_add (copy, "cache", json_object_get (cache));
      parent.readonly = (o->flags & VM_OPEN_READONLY) != 0;
      parent.auto_readonly = (o->flags & VM_OPEN_PROBE) != 0;
      parent.open_flags = o->flags;
      o->file = open_child_options (&parent, copy, VM_ROLE_DATA, o->source, o->flags & (VM_OPEN_UNSAFE | VM_OPEN_PROBE),
                                    "file", error);
      json_object_put (copy);
      o->file = with_chain (o->file, error);
      if (!o->file)
        return false;
    }
  driver = probe (o->file);
  o->guessed = !strcmp (driver->name, "raw");
  json_object_object_add (o->options, "driver", json_object_new_string (driver->name));
  return true;
}

static bool
name_is_well_formed (const char *name)
{
  if (!g_ascii_isalpha (*name))
    return false;
  for (const char *c = name; *c; c++)
    if (!g_ascii_isalnum (*c) && !strchr ("-._", *c))
      return false;
  return strlen (name) < 32;
}

static bool
set_name (VmNode *node, const char *name, GError **error)
{
  node->named = name != NULL;
  if (!name)
    {
      node->name = g_strdup_printf ("#block%03u", node->graph->next_id++);
      return true;
    }
  if (!name_is_well_formed (name))
    return vm_fail (error, "Invalid node-name: '%s'", name);
  if (vm_node_find (node->graph, name))
    return vm_fail (error, "Duplicate nodes with node-name='%s'", name);
  node->name = g_strdup (name);
  return true;
}

static VmNode *
node_new (VmBlockGraph *graph, const VmBlockDriver *driver)
{
  VmNode *node = g_new0 (VmNode, 1);

  node->graph = graph;
  node->driver = driver;
  node->refs = 1;
  node->state = g_malloc0 (MAX (driver->state_size, 1));
  node->children = g_ptr_array_new ();
  node->parents = g_ptr_array_new ();
  node->core = g_new0 (VmNodeCore, 1);
  return node;
}

VmNode *
vm_node_new_filter (VmNode *below, const VmBlockDriver *driver, const char *name, GError **error)
{
  VmNode *node = node_new (below->graph, driver);

  node->options = json_object_new_object ();
  node->size = below->size;
  node->limits = below->limits;
  node->readonly = below->readonly;
  node->discard_unmap = true; /* as asked of it */
  node->write_flags = VM_REQ_FUA;
  if (!set_name (node, name, error)
      || !vm_node_attach (node, "file", below, VM_ROLE_FILTERED | VM_ROLE_PRIMARY, error))
    {
      vm_node_free (node);
      return NULL;
    }
  node->filename = g_strdup (below->filename);
  g_ptr_array_add (below->graph->nodes, node);
  return node;
}

static bool
take_generic (VmNode *node, const Opening *o, const VmqBlockdevOptions *options, GError **error)
{
  node->open_flags = o->flags;
  node->source = o->source;
  node->readonly = (options->has_read_only && options->read_only) || (o->flags & VM_OPEN_READONLY);
  node->auto_readonly = options->has_auto_read_only ? options->auto_read_only : false;
  if (options->cache)
    {
      node->cache_direct = options->cache->has_direct && options->cache->direct;
      node->cache_no_flush = options->cache->has_no_flush && options->cache->no_flush;
    }
  node->discard_unmap = options->has_discard && options->discard == VMQ_BLOCKDEV_DISCARD_OPTIONS_UNMAP;
  if (options->has_detect_zeroes)
    node->detect_zeroes = options->detect_zeroes;
  if (node->detect_zeroes == VMQ_BLOCKDEV_DETECT_ZEROES_OPTIONS_UNMAP && !node->discard_unmap)
    return vm_fail (error, "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
  if (options->has_force_share && options->force_share)
    node->open_flags |= VM_OPEN_FORCE_SHARE;
  if ((node->open_flags & VM_OPEN_FORCE_SHARE) && !node->readonly)
    return vm_fail (error, "force-share=on can only be used with read-only images");
  return true;
}

/* A file name for messages when the driver has not set one. */
static void
complete_filename (VmNode *node)
{
  if (node->filename)
    return;
  if (node->file)
    node->filename = g_strdup (node->file->node->filename);
  else
    node->filename = vm_node_json_name (node);
}

static bool
driver_open (VmNode *node, const Opening *o, const void *variant, GError **error)
{
  if (!node->driver->open (node, variant, error))
    return false;
  complete_filename (node);
  if (node->size > INT64_MAX)
    {
      if (node->driver->close)
        node->driver->close (node);
      return vm_fail (error, "Image '%s' is too big", node->filename);
    }
  return true;
}

/* The words of -drive are not those of the schema. */
static bool
check_driver (const Opening *o, GError **error)
{
  const char *name = text_member (o->options, "driver");

  if (!name || vm_graph_find_driver (o->graph, name))
    return true;
  if (vm_schema_enum_value (&vmq_type_blockdevdriver, name) >= 0)
    return vm_fail (error, "Driver '%s' is not available in this build", name);
  if (!(o->flags & VM_OPEN_PROBE))
    return true; /* reading it says so */
  return vm_fail (error, "Unknown driver '%s'", name);
}

static bool
is_known_member (const VmSchemaType *type, const char *name)
{
  for (const VmSchemaMember *m = type->members; m->name; m++)
    if (!strcmp (m->name, name))
      return true;
  return false;
}

static bool
check_members (const Opening *o, GError **error)
{
  const char *name = text_member (o->options, "driver");
  int index = name ? vm_schema_enum_value (&vmq_type_blockdevdriver, name) : -1;
  const VmSchemaType *variant = index >= 0 ? vmq_type_blockdevoptions.variants[index] : NULL;

  if (!variant || !(o->flags & VM_OPEN_PROBE))
    return true;
  json_object_object_foreach (
      o->options, key,
      value) if (!is_known_member (&vmq_type_blockdevoptions, key) && !is_known_member (variant, key)
                 && strcmp (key, "backing")
                        != 0) return vm_fail (error, "Block %s '%s' does not support the option '%s'",
                                              vm_graph_find_driver (o->graph, name)->kind == VM_DRIVER_PROTOCOL
                                                  ? "protocol"
                                                  : "format",
                                              name, key);
  return true;
}

static VmNode *
open_by_driver (Opening *o, const VmqBlockdevOptions *options, GError **error)
{
  const VmBlockDriver *driver = vm_graph_find_driver (o->graph, vmq_type_blockdevdriver.names[options->driver]);
  VmNode *node;

  driver = vm_block_driver_load (driver, error);
  if (!driver)
    return NULL;
  node = node_new (o->graph, driver);
  node->options = json_object_get (o->options);
  node->opened_file = g_steal_pointer (&o->file);
  node->guessed = o->guessed;
  if (!take_generic (node, o, options, error) || !set_name (node, options->node_name, error)
      || !driver_open (node, o, options->u.any, error))
    {
      vm_node_free (node);
      return NULL;
    }
  if (node->opened_file) /* the driver had no use for it */
    vm_node_unref (g_steal_pointer (&node->opened_file));
  if (node->guessed && !node->readonly)
    warn_of_guess (node);
  g_ptr_array_add (o->graph->nodes, node);
  return node;
}

static VmNode *
open_node (Opening *o, GError **error)
{
  VmNode *node = NULL;

  if ((o->flags & VM_OPEN_PROBE) && !complete_protocol (o->graph, o->options, error))
    return NULL;
  if (!member (o->options, "driver") && (o->flags & VM_OPEN_PROBE) && !guess_format (o, error))
    return NULL;
  if (check_driver (o, error) && check_members (o, error))
    {
      VmqBlockdevOptions *options = vm_schema_read (&vmq_type_blockdevoptions, o->options, o->source, o->path, error);
      if (options)
        node = open_by_driver (o, options, error);
      vm_schema_free (&vmq_type_blockdevoptions, options);
    }
  if (o->file)
    vm_node_unref (g_steal_pointer (&o->file));
  return node;
}

/* --- children ------------------------------------------------------------------------------------------------- */

static VmNode *
open_child (VmNode *node, const char *name, unsigned role, json_object *given, GError **error)
{
  unsigned flags;

  if (!strcmp (name, "file") && node->opened_file)
    return g_steal_pointer (&node->opened_file);
  if (json_object_is_type (given, json_type_string))
    {
      const char *reference = json_object_get_string (given);
      VmNode *child = vm_node_find (node->graph, reference);
      if (!child)
        vm_fail (error, "Cannot find device='%s' nor node-name='%s'", reference, reference);
      return child ? vm_node_ref (child) : NULL;
    }
  if (!json_object_is_type (given, json_type_object))
    {
      vm_fail (error, "Invalid parameter type for '%s', expected: BlockdevRef", name);
      return NULL;
    }
  flags = node->open_flags & (VM_OPEN_UNSAFE | VM_OPEN_PROBE | VM_OPEN_INACTIVE | VM_OPEN_NO_IO | VM_OPEN_NO_BACKING);
  return with_chain (open_child_options (node, given, role, node->source, flags, name, error), error);
}

VmEdge *
vm_node_open_child (VmNode *node, const char *name, unsigned role, bool required, GError **error)
{
  json_object *given = child_member (node->options, name);
  VmNode *child;
  VmEdge *edge;

  if (!given && !(node->opened_file && !strcmp (name, "file")))
    {
      if (required)
        vm_fail (error,
                 node->open_flags & VM_OPEN_PROBE ? "A block device must be specified for \"%s\""
                                                  : "Parameter '%s' is missing",
                 name);
      return NULL;
    }
  child = open_child (node, name, role, given, error);
  if (!child)
    return NULL;
  edge = vm_node_attach (node, name, child, role, error);
  vm_node_unref (child);
  return edge;
}

/* --- backing files ---------------------------------------------------------------------------------------------- */

/* Relative names are seen from the folder of the image that holds them. */
static char *
resolve_name (const VmNode *node, const char *name)
{
  const VmNode *file = node;

  while (file->file)
    file = file->file->node;
  if (vm_graph_name_has_scheme (name) || g_path_is_absolute (name) || !file->filename
      || g_str_has_prefix (file->filename, "json:"))
    return g_strdup (name);
  const char *slash = strrchr (file->filename, '/');
  return slash ? g_strdup_printf ("%.*s/%s", (int) (slash - file->filename), file->filename, name) : g_strdup (name);
}

char *
vm_node_backing_path (VmNode *node)
{
  return node->backing_name ? resolve_name (node, node->backing_name) : NULL;
}

static bool
is_none (json_object *value)
{
  return json_object_is_type (value, json_type_null)
         || (json_object_is_type (value, json_type_string) && !json_object_get_string_len (value));
}

/* The options of the backing file: what the image says, under what the user says. NULL without ERROR: none. */
static json_object *
backing_options (VmNode *node, GError **error)
{
  json_object *given = member (node->options, "backing"), *options = NULL, *file;
  g_autofree char *name = vm_node_backing_path (node);

  if (given && !json_object_is_type (given, json_type_object))
    {
      vm_fail (error, "Invalid parameter type for 'backing', expected: BlockdevRef");
      return NULL;
    }
  if (given && (member (given, "driver") || member (given, "file")))
    return json_object_get (given);
  if (!name)
    {
      if (given)
        vm_fail (error, "The image has no backing file");
      return NULL;
    }
  if (!(file = vm_graph_parse_name (node->graph, name, error)))
    return NULL;
  if (g_str_has_prefix (name, "json:"))
    options = file;
  else
    {
      options = json_object_new_object ();
      json_object_object_add (options, "file", file);
      if (node->backing_format)
        json_object_object_add (options, "driver", json_object_new_string (node->backing_format));
    }
  if (given)
    {
      json_object_object_foreach (given, key, value) json_object_object_add (options, key, json_object_get (value));
    }
  node->backing_from_image = true;
  return options;
}

static bool
attach_backing (VmNode *node, VmNode *backing, GError **error)
{
  bool ok = vm_node_attach (node, "backing", backing, VM_ROLE_COW, error) != NULL;

  vm_node_unref (backing);
  return ok;
}

/* Opens what is directly below NODE; *BACKING NULL: nothing more is to be done there. */
static bool
open_backing (VmNode *node, VmNode **backing, GError **error)
{
  json_object *given = NULL, *options;
  bool is_given = json_object_object_get_ex (node->options, "backing", &given); /* null is NULL */
  g_autoptr (GError) why = NULL;

  *backing = NULL;
  if (!node->driver->has_backing || node->backing || (node->open_flags & VM_OPEN_NO_BACKING)
      || (is_given && is_none (given)))
    return true;
  if (given && json_object_is_type (given, json_type_string))
    {
      VmNode *found = vm_node_find (node->graph, json_object_get_string (given));
      if (!found)
        return vm_fail (error, "Cannot find device='%s' nor node-name='%s'", json_object_get_string (given),
                        json_object_get_string (given));
      return attach_backing (node, vm_node_ref (found), error);
    }
  options = backing_options (node, &why);
  if (options)
    {
      unsigned flags = node->open_flags & (VM_OPEN_UNSAFE | VM_OPEN_NO_IO);
      *backing = open_child_options (node, options, VM_ROLE_COW, VM_SCHEMA_TEXT, flags | VM_OPEN_PROBE, NULL, &why);
      json_object_put (options);
    }
  if (why)
    return vm_fail (error, "Could not open backing file: %s", why->message);
  return !*backing || attach_backing (node, *backing, error);
}

/* Layer by layer, not by recursion: chains are long. */
static bool
open_chain (VmNode *node, GError **error)
{
  for (unsigned depth = 0; node; depth++)
    {
      VmNode *backing;
      if (depth == MAX_CHAIN)
        return vm_fail (error, "Could not open backing file: the chain has more than %d images, or a loop", MAX_CHAIN);
      if (!open_backing (node, &backing, error))
        return false;
      node = backing;
    }
  return true;
}

/* --- from outside ---------------------------------------------------------------------------------------------------
 */

VmNode *
vm_node_open (VmBlockGraph *graph, json_object *options, VmSchemaSource source, unsigned flags, GError **error)
{
  json_object *nested = vm_json_nest (options, error);
  VmNode *node;

  if (!nested)
    return NULL;
  node = open_node (&(Opening){ graph, nested, source, flags, NULL, NULL, false }, error);
  json_object_put (nested);
  return with_chain (node, error);
}

/* FROM's members go to TO unless it has them. */
static void
merge (json_object *to, json_object *from)
{
  json_object_object_foreach (from, key, value) if (!member (to, key))
      json_object_object_add (to, key, json_object_get (value));
}

static bool
merge_name (VmBlockGraph *graph, json_object *options, const char *name, GError **error)
{
  const char *format = text_member (options, "driver");
  const VmBlockDriver *driver = format ? vm_graph_find_driver (graph, format) : NULL;
  json_object *parsed = vm_graph_parse_name (graph, name, error);

  if (!parsed)
    return false;
  if (g_str_has_prefix (name, "json:") || (driver && driver->kind == VM_DRIVER_PROTOCOL))
    merge (options, parsed);
  else
    {
      json_object *file = member (options, "file");
      if (!file || !json_object_is_type (file, json_type_object))
        {
          file = json_object_new_object ();
          json_object_object_add (options, "file", file);
        }
      merge (file, parsed);
    }
  json_object_put (parsed);
  return true;
}

VmNode *
vm_node_open_name (VmBlockGraph *graph, const char *name, const char *format, json_object *options, unsigned flags,
                   GError **error)
{
  json_object *all = options ? vm_json_nest (options, error) : json_object_new_object ();
  VmNode *node = NULL;

  if (!all)
    return NULL;
  if (format)
    json_object_object_add (all, "driver", json_object_new_string (format));
  if (format && !vm_graph_find_driver (graph, format))
    vm_fail (error, "Unknown driver '%s'", format);
  else if (!name || merge_name (graph, all, name, error))
    node = vm_node_open (graph, all, VM_SCHEMA_TEXT, flags | VM_OPEN_PROBE, error);
  json_object_put (all);
  return node;
}
