/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of an image. */
#include "block/info.h"

#include "block/create.h"

#include <inttypes.h>
#include <time.h>

static void
add_text (json_object *to, const char *name, const char *text)
{
  if (text)
    json_object_object_add (to, name, json_object_new_string (text));
}

static void
add_number (json_object *to, const char *name, uint64_t number)
{
  json_object_object_add (to, name, json_object_new_int64 ((int64_t) MIN (number, (uint64_t) INT64_MAX)));
}

void
vm_snapshot_info_free (VmSnapshotInfo *info)
{
  if (!info)
    return;
  g_free (info->id);
  g_free (info->name);
  g_free (info);
}

char *
vm_format_size (uint64_t size)
{
  static const char units[] = " KMGTPE";
  double value = (double) size;
  unsigned unit = 0;

  while (value >= 1000 && unit < 6)
    {
      value /= 1024;
      unit++;
    }
  return unit ? g_strdup_printf ("%0.3g %ciB", value, units[unit]) : g_strdup_printf ("%0.3g B", value);
}

char *
vm_snapshot_row (const VmSnapshotInfo *s)
{
  g_autofree char *size = vm_format_size (s->vm_state_size);
  char date[64] = "", clock[64], count[32] = "";
  time_t t = (time_t) s->date_sec;
  uint64_t ms = s->vm_clock_ns / 1000000;
  struct tm tm;

  if (localtime_r (&t, &tm))
    strftime (date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
  g_snprintf (clock, sizeof clock, "%02" PRIu64 ":%02u:%02u.%03u", ms / 3600000, (unsigned) (ms / 60000 % 60),
              (unsigned) (ms / 1000 % 60), (unsigned) (ms % 1000));
  if (s->icount != UINT64_MAX)
    g_snprintf (count, sizeof count, "%" PRIu64, s->icount);
  return g_strdup_printf ("%-9s %-16s %8s%20s%13s%11s\n", s->id, s->name, size, date, clock, count);
}

json_object *
vm_snapshot_info (const VmSnapshotInfo *s)
{
  json_object *out = json_object_new_object ();

  add_text (out, "id", s->id);
  add_text (out, "name", s->name);
  add_number (out, "vm-state-size", s->vm_state_size);
  json_object_object_add (out, "date-sec", json_object_new_int64 (s->date_sec));
  add_number (out, "date-nsec", s->date_nsec);
  add_number (out, "vm-clock-sec", s->vm_clock_ns / 1000000000);
  add_number (out, "vm-clock-nsec", s->vm_clock_ns % 1000000000);
  if (s->icount != UINT64_MAX)
    add_number (out, "icount", s->icount);
  return out;
}

static void
add_snapshots (json_object *to, VmNode *node)
{
  g_autoptr (GPtrArray) list = node->driver->snapshot_list ? node->driver->snapshot_list (node) : NULL;
  json_object *out;

  if (!list || !list->len)
    return;
  out = json_object_new_array ();
  for (guint i = 0; i < list->len; i++)
    json_object_array_add (out, vm_snapshot_info (g_ptr_array_index (list, i)));
  json_object_object_add (to, "snapshots", out);
}

char *
vm_node_full_backing_name (VmNode *node)
{
  return node->backing_name ? vm_image_backing_path (node->filename, node->backing_name, NULL) : NULL;
}

static uint64_t
allocated (VmNode *node)
{
  if (node->driver->allocated)
    return node->driver->allocated (node);
  return node->file ? allocated (node->file->node) : UINT64_MAX;
}

static void
add_backing_name (json_object *to, VmNode *node)
{
  g_autofree char *full = NULL;

  if (!node->backing_name || !*node->backing_name)
    return;
  full = vm_node_full_backing_name (node);
  add_text (to, "backing-filename", node->backing_name);
  add_text (to, "full-backing-filename", full);
  add_text (to, "backing-filename-format", node->backing_format);
}

static json_object *
children_info (VmNode *node)
{
  json_object *out = json_object_new_array ();

  for (guint i = 0; node->children && i < node->children->len; i++)
    {
      const VmEdge *edge = g_ptr_array_index (node->children, i);
      if (edge->role & VM_ROLE_COW)
        continue;
      json_object *child = json_object_new_object ();
      add_text (child, "name", edge->name);
      json_object_object_add (child, "info", vm_node_info (edge->node, VM_INFO_CHILDREN));
      json_object_array_add (out, child);
    }
  return out;
}

json_object *
vm_node_info (VmNode *node, unsigned flags)
{
  const VmBlockDriver *driver = node->driver;
  json_object *out = json_object_new_object (), *specific = driver->describe ? driver->describe (node) : NULL;
  uint64_t bytes = allocated (node);

  if (flags & VM_INFO_CHILDREN)
    json_object_object_add (out, "children", children_info (node));
  VmNode *below = flags & VM_INFO_BACKING ? vm_node_backing (node) : NULL;
  if (below)
    json_object_object_add (out, "backing-image", vm_node_info (below, flags));
  add_text (out, "filename", node->filename);
  add_text (out, "format", driver->name);
  add_number (out, "virtual-size", node->size);
  if (bytes != UINT64_MAX)
    add_number (out, "actual-size", bytes);
  if (driver->cluster_size && driver->cluster_size (node))
    add_number (out, "cluster-size", driver->cluster_size (node));
  if (node->encrypted)
    json_object_object_add (out, "encrypted", json_object_new_boolean (true));
  add_backing_name (out, node);
  add_snapshots (out, node);
  if (specific)
    json_object_object_add (out, "format-specific", specific);
  json_object_object_add (out, "dirty-flag", json_object_new_boolean (driver->is_dirty && driver->is_dirty (node)));
  return out;
}

/* --- for people -------------------------------------------------------------------------------------------------- */

static void add_members (json_object *json, unsigned indent, GString *text);

static void
add_value (json_object *json, unsigned indent, GString *text)
{
  if (json_object_is_type (json, json_type_object) || json_object_is_type (json, json_type_array))
    {
      g_string_append_c (text, '\n');
      add_members (json, indent + 1, text);
    }
  else
    g_string_append_printf (text, " %s\n", json_object_get_string (json));
}

static void
add_members (json_object *json, unsigned indent, GString *text)
{
  if (json_object_is_type (json, json_type_array))
    {
      for (size_t i = 0; i < json_object_array_length (json); i++)
        {
          g_string_append_printf (text, "%*s[%zu]:", indent * 4, "", i);
          add_value (json_object_array_get_idx (json, i), indent, text);
        }
      return;
    }
  json_object_object_foreach (json, key, value)
  {
    g_autofree char *name = g_strdelimit (g_strdup (key), "-", ' ');
    g_string_append_printf (text, "%*s%s:", indent * 4, "", name);
    add_value (value, indent, text);
  }
}

void
vm_info_specific_text (json_object *specific, unsigned indent, GString *text)
{
  json_object *data;

  if (!json_object_object_get_ex (specific, "data", &data) || !json_object_object_length (data))
    return;
  g_string_append_printf (text, "%*sFormat specific information:\n", indent * 4, "");
  add_members (data, indent + 1, text);
}
