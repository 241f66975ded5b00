/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img info, check, map, snapshot: what is in an image. */
#include "block/info.h"
#include "block/tools/img.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* --- info ----------------------------------------------------------------------------------------------------- */

static const char *
text_of (json_object *json, const char *name)
{
  json_object *value;

  return json_object_object_get_ex (json, name, &value) ? json_object_get_string (value) : NULL;
}

static bool
number_of (json_object *json, const char *name, uint64_t *number)
{
  json_object *value;

  if (!json_object_object_get_ex (json, name, &value))
    return false;
  *number = (uint64_t) json_object_get_int64 (value);
  return true;
}

static void
print_snapshots (json_object *list)
{
  fputs ("Snapshot list:\n" VM_SNAPSHOT_HEAD, stdout);
  for (size_t i = 0; i < json_object_array_length (list); i++)
    {
      json_object *s = json_object_array_get_idx (list, i);
      uint64_t state = 0, date = 0, sec = 0, nsec = 0, icount = UINT64_MAX;
      number_of (s, "vm-state-size", &state);
      number_of (s, "date-sec", &date);
      number_of (s, "vm-clock-sec", &sec);
      number_of (s, "vm-clock-nsec", &nsec);
      number_of (s, "icount", &icount);
      VmSnapshotInfo info = { .id = (char *) (uintptr_t) text_of (s, "id"),
                              .name = (char *) (uintptr_t) text_of (s, "name"),
                              .vm_state_size = state,
                              .date_sec = (int64_t) date,
                              .vm_clock_ns = sec * 1000000000 + nsec,
                              .icount = icount };
      g_autofree char *row = vm_snapshot_row (&info);
      fputs (row, stdout);
    }
}

static bool
is_true (json_object *info, const char *name)
{
  json_object *value;

  return json_object_object_get_ex (info, name, &value) && json_object_get_boolean (value);
}

/* PROTOCOL: a child, of which other things are of interest. */
static void
print_info (json_object *info, unsigned indent, bool protocol)
{
  const char *backing = text_of (info, "backing-filename"), *full = text_of (info, "full-backing-filename");
  g_autofree char *size = NULL;
  unsigned left = indent * 4;
  json_object *value;
  uint64_t n = 0;

  number_of (info, "virtual-size", &n);
  size = vm_format_size (n);
  printf ("%*s%s: %s\n", left, "", protocol ? "filename" : "image", text_of (info, "filename"));
  printf ("%*s%s: %s\n", left, "", protocol ? "protocol type" : "file format", text_of (info, "format"));
  printf ("%*s%s: %s (%" PRIu64 " bytes)\n", left, "", protocol ? "file length" : "virtual size", size, n);
  g_autofree char *disk = number_of (info, "actual-size", &n) ? vm_format_size (n) : g_strdup ("unavailable");
  printf ("%*sdisk size: %s\n", left, "", disk);
  if (is_true (info, "encrypted"))
    printf ("%*sencrypted: yes\n", left, "");
  if (number_of (info, "cluster-size", &n))
    printf ("%*scluster_size: %" PRIu64 "\n", left, "", n);
  if (is_true (info, "dirty-flag"))
    printf ("%*scleanly shut down: no\n", left, "");
  if (backing)
    {
      printf ("%*sbacking file: %s", left, "", backing);
      if (!full)
        printf (" (cannot determine actual path)");
      else if (strcmp (full, backing) != 0)
        printf (" (actual path: %s)", full);
      putchar ('\n');
      if (text_of (info, "backing-filename-format"))
        printf ("%*sbacking file format: %s\n", left, "", text_of (info, "backing-filename-format"));
    }
  if (json_object_object_get_ex (info, "snapshots", &value))
    print_snapshots (value);
  if (json_object_object_get_ex (info, "format-specific", &value))
    vm_tool_print_specific (value, indent);
}

static void
print_children (json_object *info, const char *path, unsigned indent)
{
  json_object *children, *below;

  if (!json_object_object_get_ex (info, "children", &children))
    return;
  for (size_t i = 0; i < json_object_array_length (children); i++)
    {
      json_object *child = json_object_array_get_idx (children, i);
      if (!json_object_object_get_ex (child, "info", &below))
        continue;
      g_autofree char *name = g_strdup_printf ("%s/%s", path, text_of (child, "name"));
      printf ("%*sChild node '%s':\n", indent * 4, "", name);
      print_info (below, indent + 1, true);
      print_children (below, name, indent + 1);
    }
}

static void
print_all (json_object *list)
{
  for (size_t i = 0; i < json_object_array_length (list); i++)
    {
      json_object *info = json_object_array_get_idx (list, i);
      if (i)
        putchar ('\n');
      print_info (info, 0, false);
      print_children (info, "", 0);
    }
}

/* The images of the chain from HOW's down, each opened for itself. */
static bool
collect (VmTool *tool, const VmToolOpen *how, bool chain, json_object *list)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *name = g_strdup (how->name), *format = g_strdup (how->format);
  bool image_opts = how->image_opts;

  while (name)
    {
      VmToolOpen one = *how;
      VmToolImage image;
      if (!g_hash_table_add (seen, g_strdup (name)))
        return vm_tool_error (tool, NULL, "Backing file '%s' creates an infinite loop.", name);
      one.name = name;
      one.format = format;
      one.image_opts = image_opts;
      if (!vm_tool_open (tool, &one, &image))
        return false;
      json_object_array_add (list, vm_node_info (image.node, VM_INFO_CHILDREN));
      g_free (name);
      g_free (format);
      name = chain ? vm_node_full_backing_name (image.node) : NULL;
      format = name ? g_strdup (image.node->backing_format) : NULL;
      image_opts = false;
      if (name && !*name)
        g_clear_pointer (&name, g_free);
      vm_tool_close (&image);
    }
  return true;
}

int
vm_img_info (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "format", required_argument, NULL, 'f' },
                                           { "output", required_argument, NULL, IMG_OUTPUT },
                                           { "backing-chain", no_argument, NULL, IMG_BACKING_CHAIN },
                                           { "force-share", no_argument, NULL, 'U' },
                                           { NULL } };
  VmToolOpen how = { .flags = VM_OPEN_NO_BACKING | VM_OPEN_NO_IO };
  bool as_json = false, chain = false, ok;
  json_object *list;
  VmImgArgs args = { argc, argv, ":hf:U", options, &how, &as_json, 0 };
  int c;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case IMG_BACKING_CHAIN:
        chain = true;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  how.name = argv[optind];
  list = json_object_new_array ();
  ok = collect (tool, &how, chain, list);
  if (ok && as_json)
    vm_tool_print_json (chain ? list : json_object_array_get_idx (list, 0));
  else if (ok)
    print_all (list);
  json_object_put (list);
  return !ok;
}

/* --- check ---------------------------------------------------------------------------------------------------- */

enum
{
  CHECK_FAILED = 1,
  CHECK_CORRUPT = 2,
  CHECK_LEAKS = 3,
  CHECK_UNSUPPORTED = 63
};

static void
print_finding (void *opaque, const char *line)
{
  fprintf (stderr, "%s\n", line);
}

static void
silent (void *opaque, const char *line)
{
}

static void
print_check_human (const VmCheckResult *r)
{
  if (!r->corruptions && !r->leaks && !r->check_errors)
    puts ("No errors were found on the image.");
  if (r->corruptions)
    printf ("\n%" PRIu64 " errors were found on the image.\n"
            "Data may be corrupted, or further writes to the image may corrupt it.\n",
            r->corruptions);
  if (r->leaks)
    printf ("\n%" PRIu64 " leaked clusters were found on the image.\n"
            "This means waste of disk space, but no harm to data.\n",
            r->leaks);
  if (r->check_errors)
    printf ("\n%" PRIu64 " internal errors have occurred during the check.\n", r->check_errors);
  if (r->total_clusters && r->allocated_clusters)
    printf ("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
            r->allocated_clusters, r->total_clusters,
            100.0 * (double) r->allocated_clusters / (double) r->total_clusters,
            100.0 * (double) r->fragmented_clusters / (double) r->allocated_clusters,
            100.0 * (double) r->compressed_clusters / (double) r->allocated_clusters);
  if (r->image_end)
    printf ("Image end offset: %" PRIu64 "\n", r->image_end);
}

static void
add_positive (json_object *json, const char *name, uint64_t number)
{
  if (number)
    json_object_object_add (json, name, json_object_new_int64 ((int64_t) number));
}

static void
print_check_json (const VmCheckResult *r, const char *name, const char *format)
{
  json_object *json = json_object_new_object ();

  json_object_object_add (json, "filename", json_object_new_string (name));
  json_object_object_add (json, "format", json_object_new_string (format));
  json_object_object_add (json, "check-errors", json_object_new_int64 ((int64_t) r->check_errors));
  add_positive (json, "image-end-offset", r->image_end);
  add_positive (json, "corruptions", r->corruptions);
  add_positive (json, "leaks", r->leaks);
  add_positive (json, "corruptions-fixed", r->corruptions_fixed);
  add_positive (json, "leaks-fixed", r->leaks_fixed);
  add_positive (json, "total-clusters", r->total_clusters);
  add_positive (json, "allocated-clusters", r->allocated_clusters);
  add_positive (json, "fragmented-clusters", r->fragmented_clusters);
  add_positive (json, "compressed-clusters", r->compressed_clusters);
  vm_tool_print_json (json);
  json_object_put (json);
}

/* Runs the check; what was repaired is checked once more, and that counts. False: told. */
static int
check (VmTool *tool, VmNode *node, VmCheckResult *result, unsigned fix, bool human)
{
  VmCheckResult first = *result;
  int err = node->driver->check (node, &first, fix);
  bool fixed = first.corruptions_fixed || first.leaks_fixed;

  if (err == -ENOTSUP)
    return err;
  if (!err && fixed)
    {
      if (human)
        printf ("The following inconsistencies were found and repaired:\n\n"
                "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
                "Double checking the fixed image now...\n",
                first.leaks_fixed, first.corruptions_fixed);
      fflush (stdout);
      err = node->driver->check (node, result, 0);
      result->corruptions_fixed = first.corruptions_fixed;
      result->leaks_fixed = first.leaks_fixed;
    }
  else
    {
      *result = first;
    }
  return err;
}

static int
check_status (const VmCheckResult *r)
{
  if (r->corruptions || r->check_errors)
    return r->corruptions ? CHECK_CORRUPT : CHECK_FAILED;
  return r->leaks ? CHECK_LEAKS : 0;
}

static int
check_image (VmTool *tool, VmToolImage *image, const char *name, unsigned fix, bool as_json, bool quiet)
{
  VmCheckResult result = { .print = quiet ? silent : print_finding };
  int err;

  if (!image->node->driver->check || (err = check (tool, image->node, &result, fix, !as_json && !quiet)) == -ENOTSUP)
    {
      vm_tool_error (tool, NULL, "This image format does not support checks");
      return CHECK_UNSUPPORTED;
    }
  if (err < 0)
    {
      vm_tool_error (tool, NULL, "Check failed: %s", g_strerror (-err));
      return CHECK_FAILED;
    }
  if (as_json && !quiet)
    print_check_json (&result, name, image->node->driver->name);
  else if (!quiet)
    print_check_human (&result);
  return check_status (&result);
}

int
vm_img_check (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "format", required_argument, NULL, 'f' },
                                           { "repair", required_argument, NULL, 'r' },
                                           { "output", required_argument, NULL, IMG_OUTPUT },
                                           { "force-share", no_argument, NULL, 'U' },
                                           { NULL } };
  VmToolOpen how = { .flags = VM_OPEN_CHECK | VM_OPEN_NO_BACKING };
  bool as_json = false, quiet = false;
  const char *cache = "writeback";
  unsigned fix = 0;
  VmToolImage image;
  VmImgArgs args = { argc, argv, ":hf:r:T:qU", options, &how, &as_json, 0 };
  int c, status;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'r':
        if (!strcmp (optarg, "leaks"))
          fix = VM_CHECK_FIX_LEAKS;
        else if (!strcmp (optarg, "all"))
          fix = VM_CHECK_FIX_LEAKS | VM_CHECK_FIX_ERRORS;
        else
          return vm_tool_usage (tool, "Unknown option value for -r (expecting 'leaks' or 'all'): %s", optarg);
        break;
      case 'T':
        cache = optarg;
        break;
      case 'q':
        quiet = true;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  how.name = argv[optind];
  if (!vm_tool_parse_cache (cache, &how.cache))
    return !vm_tool_error (tool, NULL, "Invalid source cache option: %s", cache);
  how.write = how.resize = fix != 0;
  if (!vm_tool_open (tool, &how, &image))
    return 1;
  status = check_image (tool, &image, how.name, fix, as_json, quiet);
  vm_tool_close (&image);
  return status;
}

/* --- map ------------------------------------------------------------------------------------------------------ */

typedef struct MapEntry
{
  uint64_t start, length, offset;
  bool data, zero, present, compressed, has_offset;
  unsigned depth;
  VmNode *file;
} MapEntry;

/* What the chain says of the bytes from OFFSET: the first layer that has them, or none. */
static int
map_at (VmNode *top, uint64_t offset, uint64_t len, MapEntry *entry)
{
  VmNode *node = vm_node_skip_filters (top);
  unsigned depth = 0;
  VmExtent extent;
  int err;

  *entry = (MapEntry){ .start = offset };
  for (;;)
    {
      err = vm_node_status (node, offset, len, &extent);
      if (err < 0)
        return err;
      len = MIN (len, extent.len);
      VmNode *below = vm_node_backing (node);
      if (extent.flags & VM_EXTENT_ALLOCATED || !below)
        break;
      if (offset >= below->size)
        {
          /* The backing file ends before: zeros, by this layer's say. */
          extent.flags = VM_EXTENT_ZERO;
          break;
        }
      len = MIN (len, below->size - offset);
      node = vm_node_skip_filters (below);
      depth++;
    }
  bool allocated = extent.flags & VM_EXTENT_ALLOCATED;
  entry->length = len;
  entry->depth = depth;
  entry->present = allocated;
  entry->data = extent.flags & VM_EXTENT_DATA;
  entry->zero = extent.flags & VM_EXTENT_ZERO || !allocated;
  entry->compressed = extent.flags & VM_EXTENT_COMPRESSED;
  entry->has_offset = extent.flags & VM_EXTENT_HAS_OFFSET;
  entry->offset = extent.file_offset;
  entry->file = entry->has_offset ? extent.file : NULL;
  return 0;
}

/* Whether B goes on as A ends. */
static bool
map_joins (const MapEntry *a, const MapEntry *b)
{
  return a->data == b->data && a->zero == b->zero && a->present == b->present && a->depth == b->depth
         && a->compressed == b->compressed && a->has_offset == b->has_offset && a->file == b->file
         && (!a->has_offset || a->offset + a->length == b->offset);
}

static bool
print_entry (VmTool *tool, const MapEntry *e, bool as_json, bool first)
{
  static const char *const words[] = { "false", "true" };

  if (as_json)
    {
      printf ("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %u, \"present\": %s, \"zero\": %s, "
              "\"data\": %s, \"compressed\": %s",
              first ? "[" : ",\n", e->start, e->length, e->depth, words[e->present], words[e->zero], words[e->data],
              words[e->compressed]);
      if (e->has_offset)
        printf (", \"offset\": %" PRIu64, e->offset);
      putchar ('}');
      return true;
    }
  if (!e->data || e->zero)
    return true;
  if (!e->has_offset)
    return vm_tool_error (tool, NULL, "File contains external, encrypted or compressed clusters.");
  g_autofree char *to = g_strdup_printf (e->offset ? "0x%" PRIx64 : "%" PRIx64, e->offset);
  g_autofree char *from = g_strdup_printf (e->start ? "0x%" PRIx64 : "%" PRIx64, e->start);
  g_autofree char *length = g_strdup_printf ("0x%" PRIx64, e->length);
  printf ("%-16s%-16s%-16s%s\n", from, length, to, e->file ? e->file->filename : "");
  return true;
}

static int
map (VmTool *tool, VmNode *node, uint64_t start, uint64_t length, bool as_json)
{
  MapEntry held = { 0 }, next;
  bool first = true;
  uint64_t end = MIN (node->size, length > UINT64_MAX - start ? UINT64_MAX : start + length);

  if (!as_json)
    printf ("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
  for (uint64_t at = start; at < end; at += next.length)
    {
      int err = map_at (node, at, end - at, &next);
      if (err < 0 || !next.length)
        return !vm_tool_error (tool, NULL, "Failed to read image metadata: %s", g_strerror (err ? -err : EIO));
      if (held.length && map_joins (&held, &next))
        {
          held.length += next.length;
          continue;
        }
      if (held.length)
        {
          if (!print_entry (tool, &held, as_json, first))
            return 1;
          first = false;
        }
      held = next;
    }
  if (held.length && !print_entry (tool, &held, as_json, first))
    return 1;
  if (as_json)
    puts (held.length ? "]" : "[]");
  return 0;
}

int
vm_img_map (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "format", required_argument, NULL, 'f' },
                                           { "output", required_argument, NULL, IMG_OUTPUT },
                                           { "force-share", no_argument, NULL, 'U' },
                                           { "start-offset", required_argument, NULL, 's' },
                                           { "max-length", required_argument, NULL, 'l' },
                                           { NULL } };
  VmToolOpen how = { .flags = 0 };
  uint64_t start = 0, length = UINT64_MAX;
  bool as_json = false;
  VmToolImage image;
  VmImgArgs args = { argc, argv, ":f:s:l:hU", options, &how, &as_json, 0 };
  int c, status;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 's':
        if (!vm_tool_size (tool, "start offset", optarg, 0, INT64_MAX, &start))
          return 1;
        break;
      case 'l':
        if (!vm_tool_size (tool, "max length", optarg, 0, INT64_MAX, &length))
          return 1;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  how.name = argv[optind];
  if (!vm_tool_open (tool, &how, &image))
    return 1;
  status = map (tool, image.node, start, length, as_json);
  vm_tool_close (&image);
  return status;
}

/* --- snapshot ------------------------------------------------------------------------------------------------- */

static bool
list_snapshots (VmNode *node)
{
  g_autoptr (GPtrArray) list = node->driver->snapshot_list ? node->driver->snapshot_list (node) : NULL;

  if (!list || !list->len)
    return true;
  fputs ("Snapshot list:\n" VM_SNAPSHOT_HEAD, stdout);
  for (guint i = 0; i < list->len; i++)
    {
      g_autofree char *row = vm_snapshot_row (g_ptr_array_index (list, i));
      fputs (row, stdout);
    }
  return true;
}

static bool
create_snapshot (VmTool *tool, VmNode *node, const char *name)
{
  int64_t now = g_get_real_time ();
  VmSnapshotInfo info = { .name = (char *) (uintptr_t) name,
                          .disk_size = node->size,
                          .date_sec = now / G_USEC_PER_SEC,
                          .date_nsec = (uint32_t) (now % G_USEC_PER_SEC * 1000) };
  GError *error = NULL;
  bool ok;

  if (!node->driver->snapshot_create)
    return vm_tool_error (tool, NULL, "Could not create snapshot '%s': %d (%s)", name, -ENOTSUP, g_strerror (ENOTSUP));
  ok = node->driver->snapshot_create (node, &info, &error);
  g_free (info.id);
  return ok || vm_tool_error (tool, error, "Could not create snapshot '%s'", name);
}

static bool
has_snapshot (VmNode *node, const char *text, const char **id)
{
  g_autoptr (GPtrArray) list = node->driver->snapshot_list ? node->driver->snapshot_list (node) : NULL;
  bool by_id = false, by_name = false;

  for (guint i = 0; list && i < list->len; i++)
    {
      const VmSnapshotInfo *s = g_ptr_array_index (list, i);
      by_id |= !strcmp (s->id, text);
      by_name |= !strcmp (s->name, text);
    }
  *id = by_id ? text : NULL;
  return by_id || by_name;
}

static bool
delete_snapshot (VmTool *tool, VmNode *node, const char *text)
{
  GError *error = NULL;
  const char *id;

  if (!has_snapshot (node, text, &id))
    return vm_tool_error (tool, NULL, "Could not delete snapshot '%s': snapshot not found", text);
  return node->driver->snapshot_delete (node, id, id ? NULL : text, &error)
         || vm_tool_error (tool, error, "Could not delete snapshot '%s'", text);
}

static bool
apply_snapshot (VmTool *tool, VmNode *node, const char *text)
{
  GError *error = NULL;

  if (!node->driver->snapshot_apply)
    return vm_tool_error (tool, NULL, "Could not apply snapshot '%s': Block driver does not support snapshots", text);
  return node->driver->snapshot_apply (node, text, &error)
         || vm_tool_error (tool, error, "Could not apply snapshot '%s'", text);
}

int
vm_img_snapshot (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS, { "force-share", no_argument, NULL, 'U' }, { NULL } };
  VmToolOpen how = { NULL };
  const char *name = NULL;
  VmToolImage image;
  VmImgArgs args = { argc, argv, ":la:c:d:hqU", options, &how, NULL, 0 };
  int c, action = 0;
  bool ok;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'l':
      case 'a':
      case 'c':
      case 'd':
        if (action)
          return vm_tool_usage (tool, "Cannot mix '-l', '-a', '-c', '-d'");
        action = c;
        name = optarg;
        break;
      case 'q':
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  how.name = argv[optind];
  how.write = action && action != 'l';
  how.resize = action == 'a';
  how.flags = VM_OPEN_NO_BACKING;
  if (!vm_tool_open (tool, &how, &image))
    return 1;
  ok = action == 'c'   ? create_snapshot (tool, image.node, name)
       : action == 'a' ? apply_snapshot (tool, image.node, name)
       : action == 'd' ? delete_snapshot (tool, image.node, name)
                       : action != 'l' || list_snapshots (image.node);
  vm_tool_close (&image);
  return !ok;
}
