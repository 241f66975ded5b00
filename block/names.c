/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of images and what they stand for: paths, "nbd://host/x", "json:{...}". */
#include "block/graph-private.h"

#include <fcntl.h>
#include <linux/cdrom.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- names -------------------------------------------------------------------------------------------------- */

/* The length of "nbd" in "nbd://..."; 0: a path. */
static size_t
scheme_length (const char *name)
{
  size_t n = strcspn (name, ":/");

  return name[n] == ':' ? n : 0;
}

bool
vm_graph_name_has_scheme (const char *name)
{
  return scheme_length (name) > 0;
}

static json_object *
parse_json_name (const char *text, GError **error)
{
  enum json_tokener_error why;
  json_object *json = json_tokener_parse_verbose (text, &why), *nested;

  if (!json)
    {
      vm_fail (error, "Could not parse the JSON options: %s", json_tokener_error_desc (why));
      return NULL;
    }
  if (!json_object_is_type (json, json_type_object))
    {
      json_object_put (json);
      vm_fail (error, "Invalid JSON object given");
      return NULL;
    }
  nested = vm_json_nest (json, error);
  json_object_put (json);
  return nested;
}

static const char *
driver_of_path (const char *path)
{
  struct stat st;
  bool cdrom;
  int fd;

  if (stat (path, &st) < 0)
    return "file";
  if (S_ISCHR (st.st_mode))
    return "host_device";
  if (!S_ISBLK (st.st_mode))
    return "file";
  fd = open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    return "host_device";
  cdrom = ioctl (fd, CDROM_DRIVE_STATUS, CDSL_CURRENT) >= 0;
  close (fd);
  return cdrom ? "host_cdrom" : "host_device";
}

static json_object *
path_options (const char *path)
{
  json_object *options = json_object_new_object ();

  json_object_object_add (options, "driver", json_object_new_string (driver_of_path (path)));
  json_object_object_add (options, "filename", json_object_new_string (path));
  return options;
}

static bool
has_scheme (const VmBlockDriver *driver, const char *name, size_t len)
{
  for (const char *const *s = driver->schemes; s && *s; s++)
    if (strlen (*s) == len && !strncmp (*s, name, len))
      return true;
  return false;
}

json_object *
vm_graph_parse_name (VmBlockGraph *graph, const char *name, GError **error)
{
  size_t n = scheme_length (name);

  if (!n)
    return path_options (name);
  if (g_str_has_prefix (name, "json:"))
    return parse_json_name (name + strlen ("json:"), error);
  if (g_str_has_prefix (name, "file:"))
    return path_options (name + strlen ("file:"));
  for (const VmBlockDriver *const *d = graph->drivers; *d; d++)
    {
      if (!has_scheme (*d, name, n))
        continue;
      json_object *options = json_object_new_object ();
      json_object_object_add (options, "driver", json_object_new_string ((*d)->name));
      if ((*d)->parse_name ? (*d)->parse_name (name, options, error) : true)
        {
          if (!strcmp ((*d)->name, "iscsi"))
            vm_graph_complete_iscsi (graph, options);
          return options;
        }
      json_object_put (options);
      return NULL;
    }
  g_autofree char *scheme = g_strndup (name, n);
  if (vm_schema_enum_value (&vmq_type_blockdevdriver, scheme) >= 0)
    vm_fail (error, "Protocol '%s' is not available in this build", scheme);
  else
    vm_fail (error, "Unknown protocol '%s'", scheme);
  return NULL;
}

/* --- and back ---------------------------------------------------------------------------------------------------- */

static json_object *
full_options (VmNode *node)
{
  json_object *out = json_object_new_object ();

  json_object_object_foreach (node->options, key, value)
  {
    static const char *const left_out[]
        = { "node-name", "cache", "read-only", "auto-read-only", "discard", "force-share", "detect-zeroes", NULL };
    if (!g_strv_contains (left_out, key))
      json_object_object_add (out, key, json_object_get (value));
  }
  for (guint i = 0; i < node->children->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (node->children, i);
      if (!strcmp (edge->name, "backing") && node->backing_from_image)
        continue;
      if (strchr (edge->name, '.'))
        continue; /* the list is there as it was given */
      json_object_object_add (out, edge->name, full_options (edge->node));
    }
  return out;
}

char *
vm_node_json_name (VmNode *node)
{
  json_object *options = full_options (node);
  g_autofree char *text = vm_json_to_string (options, false);

  json_object_put (options);
  return g_strconcat ("json:", text, NULL);
}
