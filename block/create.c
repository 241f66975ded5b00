/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options of new images, and making images. */
#include "block/create.h"

#include "engine/options/keyvals.h"

#include <stdlib.h>

struct VmCreateValues
{
  const VmCreateOption *tables[2]; /* the format's, the protocol's; either may be NULL */
  bool amend;
  GHashTable *given;   /* name -> value as text */
  GHashTable *numbers; /* name -> uint64_t *, of those given */
};

VmCreateValues *
vm_create_values_new (const VmBlockDriver *format, const VmBlockDriver *protocol, bool amend)
{
  VmCreateValues *values = g_new0 (VmCreateValues, 1);

  values->tables[0] = format ? format->create_options : NULL;
  values->tables[1] = protocol && protocol != format ? protocol->create_options : NULL;
  values->amend = amend;
  values->given = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  values->numbers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return values;
}

void
vm_create_values_free (VmCreateValues *values)
{
  if (!values)
    return;
  g_hash_table_destroy (values->given);
  g_hash_table_destroy (values->numbers);
  g_free (values);
}

static const VmCreateOption size_option = VM_CREATE_SIZE;

/* TABLE may be NULL. */
static const VmCreateOption *
find_in (const VmCreateOption *table, const char *name)
{
  for (const VmCreateOption *o = table; o && o->name; o++)
    if (!strcmp (o->name, name))
      return o;
  return NULL;
}

static const VmCreateOption *
find_option (const VmCreateValues *values, const char *name)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (values->tables); i++)
    {
      const VmCreateOption *o = find_in (values->tables[i], name);
      if (o)
        return o;
    }
  return !strcmp (name, "size") ? &size_option : NULL;
}

bool
vm_create_values_knows (const VmCreateValues *values, const char *name)
{
  return find_option (values, name) != NULL;
}

static bool
parse_bool (const char *text, bool *value)
{
  *value = !strcmp (text, "on") || !strcmp (text, "yes") || !strcmp (text, "true") || !strcmp (text, "y");
  return *value || !strcmp (text, "off") || !strcmp (text, "no") || !strcmp (text, "false") || !strcmp (text, "n");
}

static bool
parse_number (const VmCreateOption *option, const char *text, uint64_t *number, GError **error)
{
  bool on = false;
  char *end;

  switch (option->kind)
    {
    case 'b':
      if (!parse_bool (text, &on))
        return vm_fail (error, "Parameter '%s' expects 'on' or 'off'", option->name);
      *number = on;
      return true;
    case 'z':
      return vm_parse_size_param (option->name, text, 'B', number, error);
    case 'n':
      *number = g_ascii_strtoull (text, &end, 0);
      if (!*text || *end)
        return vm_fail (error, "Parameter '%s' expects a number", option->name);
      return true;
    default:
      *number = 0;
      return true;
    }
}

bool
vm_create_values_set (VmCreateValues *values, const char *name, const char *value, GError **error)
{
  const VmCreateOption *option = find_option (values, name);
  uint64_t number;

  if (!option)
    return vm_fail (error, "Invalid parameter '%s'", name);
  if (!values->amend && option->amend_only)
    return vm_fail (error, "Invalid parameter '%s'", name);
  if (values->amend && !option->amend)
    return vm_fail (error, "Invalid parameter '%s'\nThis option is only supported for image creation", name);
  if (!parse_number (option, value, &number, error))
    return false;
  g_hash_table_replace (values->given, g_strdup (name), g_strdup (value));
  g_hash_table_replace (values->numbers, g_strdup (name), g_memdup2 (&number, sizeof number));
  return true;
}

bool
vm_create_values_parse (VmCreateValues *values, const char *list, GError **error)
{
  g_autoptr (VmKeyVals) pairs = vm_keyvals_new ();

  if (!vm_keyvals_parse (pairs, list, NULL, 0, error))
    return false;
  for (guint i = 0; i < pairs->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (pairs->pairs, i);
      if (!vm_create_values_set (values, pair->key, pair->value, error))
        return false;
    }
  return true;
}

bool
vm_create_has (const VmCreateValues *values, const char *name)
{
  return g_hash_table_contains (values->given, name);
}

const char *
vm_create_text (const VmCreateValues *values, const char *name)
{
  const char *given = g_hash_table_lookup (values->given, name);
  const VmCreateOption *option = find_option (values, name);

  return given || values->amend ? given : option ? option->initial : NULL;
}

uint64_t
vm_create_number (const VmCreateValues *values, const char *name)
{
  const uint64_t *given = g_hash_table_lookup (values->numbers, name);
  const VmCreateOption *option = find_option (values, name);
  uint64_t number = 0;

  if (given)
    return *given;
  if (option && option->initial)
    parse_number (option, option->initial, &number, NULL);
  return number;
}

bool
vm_create_bool (const VmCreateValues *values, const char *name)
{
  return vm_create_number (values, name) != 0;
}

/* --- texts -------------------------------------------------------------------------------------------------- */

static void
append_value (GString *out, const VmCreateValues *values, const VmCreateOption *option)
{
  const char *text = vm_create_text (values, option->name);
  g_autofree char *shown = NULL;

  if (!text)
    return;
  if (option->kind == 'z' || option->kind == 'n')
    shown = g_strdup_printf ("%" G_GUINT64_FORMAT, vm_create_number (values, option->name));
  g_string_append_printf (out, " %s=%s", option->name, shown ? shown : text);
}

char *
vm_create_values_to_string (const VmCreateValues *values, uint64_t size)
{
  GString *out = g_string_new (NULL);

  if (!find_in (values->tables[0], "size"))
    g_string_append_printf (out, " size=%" G_GUINT64_FORMAT, size);
  for (unsigned i = 0; i < G_N_ELEMENTS (values->tables); i++)
    for (const VmCreateOption *o = values->tables[i]; o && o->name; o++)
      if (i && find_in (values->tables[0], o->name))
        continue; /* the format's goes before the protocol's */
      else if (!strcmp (o->name, "size"))
        g_string_append_printf (out, " size=%" G_GUINT64_FORMAT, size);
      else
        append_value (out, values, o);
  g_string_erase (out, 0, 1);
  return g_string_free (out, FALSE);
}

static int
compare_lines (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static void
add_help (GPtrArray *lines, const VmCreateOption *o)
{
  const char *kind = o->kind == 'b' ? "bool (on/off)" : o->kind == 'z' ? "size" : o->kind == 'n' ? "num" : "str";
  g_autofree char *head = g_strdup_printf ("%s=<%s>", o->name, kind);

  g_ptr_array_add (lines, g_strdup_printf ("  %-22s - %s\n", head, o->help));
}

char *
vm_create_help (const VmBlockDriver *format, const VmBlockDriver *protocol, bool amend)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  const VmBlockDriver *drivers[] = { format, protocol == format ? NULL : protocol };
  GString *out = g_string_new (NULL);

  add_help (lines, &size_option);
  for (unsigned i = 0; i < G_N_ELEMENTS (drivers); i++)
    for (const VmCreateOption *o = drivers[i] ? drivers[i]->create_options : NULL; o && o->name; o++)
      if ((amend ? o->amend : !o->amend_only) && strcmp (o->name, "size") != 0
          && !(i && find_in (format ? format->create_options : NULL, o->name)))
        add_help (lines, o);
  g_ptr_array_sort (lines, compare_lines);
  for (guint i = 0; i < lines->len; i++)
    g_string_append (out, g_ptr_array_index (lines, i));
  return g_string_free (out, FALSE);
}

/* --- making ------------------------------------------------------------------------------------------------- */

/* "nbd:", "json:", ...: what comes before a ":" that no "/" precedes. */
static bool
has_protocol (const char *name)
{
  return name[strcspn (name, ":/")] == ':';
}

char *
vm_image_backing_path (const char *image, const char *backing, GError **error)
{
  if (has_protocol (backing) || g_path_is_absolute (backing) || !*backing)
    return g_strdup (backing);
  if (g_str_has_prefix (image, "json:"))
    {
      vm_fail (error, "Cannot use relative backing file names for '%s'", image);
      return NULL;
    }
  const char *slash = strrchr (image, '/');
  return slash ? g_strdup_printf ("%.*s%s", (int) (slash + 1 - image), image, backing) : g_strdup (backing);
}

const VmBlockDriver *
vm_image_protocol (VmBlockGraph *graph, const char *name, GError **error)
{
  json_object *options = vm_graph_parse_name (graph, name, error), *driver;
  const VmBlockDriver *found = NULL;

  if (!options)
    return NULL;
  if (json_object_object_get_ex (options, "driver", &driver))
    found = vm_graph_find_driver (graph, json_object_get_string (driver));
  if (!found)
    vm_fail (error, "Unknown protocol '%s'", name);
  json_object_put (options);
  return found ? vm_block_driver_load (found, error) : NULL;
}

/* What is said of the file alone: "preallocation=metadata" is the format's. */
static VmCreateValues *
values_of_file (const VmCreateValues *values, const VmBlockDriver *format, const VmBlockDriver *protocol)
{
  VmCreateValues *own = vm_create_values_new (NULL, protocol, false);

  for (const VmCreateOption *o = protocol->create_options; o && o->name; o++)
    if (vm_create_has (values, o->name) && !find_in (format->create_options, o->name))
      vm_create_values_set (own, o->name, vm_create_text (values, o->name), NULL);
  return own;
}

static const VmRootClass create_root = { .kind = "program" };

/* The file below the image; *ROOT keeps it from others. */
static VmNode *
open_file (VmBlockGraph *graph, const char *name, unsigned flags, VmEdge **root, GError **error)
{
  json_object *options = vm_graph_parse_name (graph, name, error);
  VmNode *file = options ? vm_node_open (graph, options, VM_SCHEMA_TEXT, flags, error) : NULL;

  json_object_put (options);
  if (!file)
    return NULL;
  *root = vm_node_attach_root (file, "create", &create_root, NULL, VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE,
                               VM_PERM_READ | VM_PERM_UNCHANGED, error);
  if (!*root)
    g_clear_pointer (&file, vm_node_unref);
  return file;
}

bool
vm_image_create_values (VmBlockGraph *graph, const char *name, const VmBlockDriver *format,
                        const VmBlockDriver *protocol, uint64_t size, const VmCreateValues *values, unsigned flags,
                        GError **error)
{
  VmEdge *root = NULL;
  VmNode *file;
  bool ok, whole = format == protocol || !format->create; /* the protocol's image is all there is */

  /* Until it is clear that there will be a new image, the old one stays. */
  if (!whole && !format->create (graph, NULL, name, size, values, error))
    return false;
  if (protocol->create)
    {
      g_autoptr (VmCreateValues) own = whole ? NULL : values_of_file (values, format, protocol);
      if (!protocol->create (graph, NULL, name, whole ? size : 0, own ? own : values, error))
        return false;
      if (whole)
        return true;
    }
  file = open_file (graph, name, flags, &root, error);
  if (!file)
    {
      if (!protocol->create)
        g_prefix_error (error, "Protocol driver '%s' does not support image creation, and opening the image failed: ",
                        protocol->name);
      return false;
    }
  if (whole)
    ok = file->size >= size || vm_fail (error, "The image file '%s' is too small", name);
  else
    ok = format->create (graph, file, name, size, values, error);
  if (ok && vm_node_flush (file) < 0)
    ok = vm_fail (error, "Could not flush '%s'", name);
  vm_node_detach (root);
  vm_node_unref (file);
  return ok;
}

/* The size of the backing file, which must be an image; without a format the one found is told as a hint. */
static bool
check_backing (VmBlockGraph *graph, const VmImageCreate *spec, const char *backing, const char *format, uint64_t *size,
               GError **error)
{
  g_autofree char *path = vm_image_backing_path (spec->name, backing, error);
  VmNode *node;

  if (!path)
    return false;
  node = vm_node_open_name (graph, path, format, NULL,
                            VM_OPEN_READONLY | VM_OPEN_NO_BACKING | VM_OPEN_NO_IO | VM_OPEN_FORCE_SHARE
                                | (format ? 0 : VM_OPEN_PROBE),
                            error);
  if (!node)
    {
      if (error && *error)
        {
          GError *longer
              = g_error_new ((*error)->domain, (*error)->code, "%s\nCould not open backing image.", (*error)->message);
          g_clear_error (error);
          g_propagate_error (error, longer);
        }
      return false;
    }
  *size = node->size;
  if (!format)
    vm_fail (error, "Backing file specified without backing format\nDetected format of %s.", node->driver->name);
  vm_node_unref (node);
  return format != NULL;
}

static bool
take_backing (VmCreateValues *values, const VmImageCreate *spec, GError **error)
{
  if (spec->backing && !vm_create_values_knows (values, "backing_file"))
    return vm_fail (error, "Backing file not supported for file format '%s'", spec->format);
  if (spec->backing_format && !vm_create_values_knows (values, "backing_fmt"))
    return vm_fail (error, "Backing file format not supported for file format '%s'", spec->format);
  return (!spec->backing || vm_create_values_set (values, "backing_file", spec->backing, error))
         && (!spec->backing_format || vm_create_values_set (values, "backing_fmt", spec->backing_format, error));
}

static bool
find_size (VmBlockGraph *graph, VmCreateValues *values, const VmImageCreate *spec, uint64_t *size, GError **error)
{
  const char *backing = vm_create_text (values, "backing_file");
  const char *format = vm_create_text (values, "backing_fmt");
  bool known = spec->has_size;

  *size = spec->size;
  if (vm_create_has (values, "size"))
    {
      if (known)
        return vm_fail (error, "The image size must be specified only once");
      *size = vm_create_number (values, "size");
      known = true;
    }
  if (backing && *backing)
    {
      uint64_t backing_size;
      if (!strcmp (backing, spec->name))
        return vm_fail (error, "Error: Trying to create an image with the same filename as the backing file");
      if (spec->unsafe)
        {
          if (!format)
            return vm_fail (error, "Backing file specified without backing format");
        }
      else
        {
          if (!check_backing (graph, spec, backing, format, &backing_size, error))
            return false;
          *size = known ? *size : backing_size;
          known = true;
        }
    }
  return known || vm_fail (error, "Image creation needs a size parameter");
}

bool
vm_image_create (VmBlockGraph *graph, const VmImageCreate *spec, GError **error)
{
  const VmBlockDriver *format = vm_graph_find_driver (graph, spec->format), *protocol;
  g_autoptr (VmCreateValues) values = NULL;
  uint64_t size;

  if (!format)
    return vm_fail (error, "Unknown file format '%s'", spec->format);
  protocol = vm_image_protocol (graph, spec->name, error);
  if (!protocol)
    return false;
  if (format->kind == VM_DRIVER_PROTOCOL)
    protocol = format;
  if (!format->create && format->kind != VM_DRIVER_PROTOCOL && strcmp (format->name, "raw") != 0)
    return vm_fail (error, "Format driver '%s' does not support image creation", format->name);
  values = vm_create_values_new (format, protocol, false);
  for (guint i = 0; spec->options && i < spec->options->len; i++)
    if (!vm_create_values_parse (values, g_ptr_array_index (spec->options, i), error))
      return false;
  if (!take_backing (values, spec, error) || !find_size (graph, values, spec, &size, error))
    return false;
  if (spec->say)
    {
      g_autofree char *list = vm_create_values_to_string (values, size);
      g_autofree char *text = g_strdup_printf ("Formatting '%s', fmt=%s %s", spec->name, format->name, list);
      spec->say (text);
    }
  return vm_image_create_values (graph, spec->name, format, protocol, size, values, 0, error);
}
