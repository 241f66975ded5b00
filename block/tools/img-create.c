/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img create, measure, amend, resize: what is said of sizes and options. */
#include "block/create.h"
#include "block/tools/img.h"

#include <stdio.h>

static void
say (const char *text)
{
  printf ("%s\n", text);
  fflush (stdout);
}

static bool
any_help (const GPtrArray *lists)
{
  for (guint i = 0; i < lists->len; i++)
    if (vm_img_wants_help (g_ptr_array_index (lists, i)))
      return true;
  return false;
}

int
vm_img_option_help (VmTool *tool, const char *format, const char *name)
{
  const VmBlockDriver *driver = vm_graph_find_driver (tool->graph, format), *protocol = NULL;
  g_autofree char *lines = NULL;
  GError *error = NULL;

  if (!driver)
    return !vm_tool_error (tool, NULL, "Unknown file format '%s'", format);
  if (!driver->create && driver->kind != VM_DRIVER_PROTOCOL && strcmp (format, "raw") != 0)
    return !vm_tool_error (tool, NULL, "Format driver '%s' does not support image creation", format);
  if (name)
    {
      protocol = vm_image_protocol (tool->graph, name, &error);
      if (!protocol)
        return !vm_tool_error (tool, error, "%s", "");
      if (!protocol->create)
        return !vm_tool_error (tool, NULL, "Protocol driver '%s' does not support image creation", protocol->name);
    }
  lines = vm_create_help (driver, protocol, false);
  if (name)
    printf ("Supported options:\n%s", lines);
  else
    printf ("Supported %s options:\n%s", format, lines);
  if (!name && driver->kind != VM_DRIVER_PROTOCOL)
    printf ("\nThe protocol level may support further options.\n"
            "Specify the target filename to include those options.\n");
  return 0;
}

int
vm_img_create (VmTool *tool, int argc, char **argv)
{
  static const struct option options[]
      = { { "help", no_argument, NULL, 'h' }, { "object", required_argument, NULL, IMG_OBJECT }, { NULL } };
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  VmImageCreate spec = { .format = "raw", .options = lists, .say = say };
  GError *error = NULL;
  VmImgArgs args = { argc, argv, ":F:b:f:ho:qu", options, NULL, NULL, 0 };
  int c;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'F':
        spec.backing_format = optarg;
        break;
      case 'b':
        spec.backing = optarg;
        break;
      case 'f':
        spec.format = optarg;
        break;
      case 'o':
        g_ptr_array_add (lists, optarg);
        break;
      case 'q':
        spec.say = NULL;
        break;
      case 'u':
        spec.unsafe = true;
        break;
      default:
        return args.status;
      }
  spec.name = optind < argc ? argv[optind++] : NULL;
  if (any_help (lists))
    return vm_img_option_help (tool, spec.format, spec.name);
  if (!spec.name)
    return vm_tool_usage (tool, "Expecting image file name");
  if (optind < argc)
    {
      spec.has_size = true;
      if (!vm_tool_size (tool, "image size", argv[optind++], 0, INT64_MAX, &spec.size))
        return 1;
    }
  if (optind < argc)
    return vm_tool_usage (tool, "Unexpected argument: %s", argv[optind]);
  if (!vm_image_create (tool->graph, &spec, &error))
    return !vm_tool_error (tool, error, "%s", spec.name);
  return 0;
}

/* --- measure -------------------------------------------------------------------------------------------------- */

static void
print_measure (bool as_json, uint64_t required, uint64_t fully, uint64_t bitmaps)
{
  bool has_bitmaps = bitmaps != UINT64_MAX;

  if (as_json)
    {
      json_object *json = json_object_new_object ();
      if (has_bitmaps)
        json_object_object_add (json, "bitmaps", json_object_new_int64 ((int64_t) bitmaps));
      json_object_object_add (json, "required", json_object_new_int64 ((int64_t) required));
      json_object_object_add (json, "fully-allocated", json_object_new_int64 ((int64_t) fully));
      vm_tool_print_json (json);
      json_object_put (json);
      return;
    }
  printf ("required size: %" G_GUINT64_FORMAT "\nfully allocated size: %" G_GUINT64_FORMAT "\n", required, fully);
  if (has_bitmaps)
    printf ("bitmaps size: %" G_GUINT64_FORMAT "\n", bitmaps);
}

static int
measure (VmTool *tool, const char *format, const GPtrArray *lists, uint64_t size, VmNode *source, bool as_json)
{
  const VmBlockDriver *driver = vm_graph_find_driver (tool->graph, format);
  uint64_t required = 0, fully = 0, bitmaps = UINT64_MAX;
  g_autoptr (VmCreateValues) values = NULL;
  GError *error = NULL;

  if (!driver)
    return !vm_tool_error (tool, NULL, "Unknown file format '%s'", format);
  if (!driver->create && driver->kind != VM_DRIVER_PROTOCOL && strcmp (format, "raw") != 0)
    return !vm_tool_error (tool, NULL, "Format driver '%s' does not support image creation", format);
  values = vm_create_values_new (driver, vm_graph_find_driver (tool->graph, "file"), false);
  for (guint i = 0; i < lists->len; i++)
    if (!vm_create_values_parse (values, g_ptr_array_index (lists, i), &error))
      return !vm_tool_error (tool, error, "%s", "");
  if (!driver->measure)
    return !vm_tool_error (tool, NULL, "Block driver '%s' does not support size measurement", format);
  if (vm_create_has (values, "size") && !source)
    size = vm_create_number (values, "size");
  if (!driver->measure (values, source ? source->size : size, source, &required, &fully, &bitmaps, &error))
    return !vm_tool_error (tool, error, "%s", "");
  print_measure (as_json, required, fully, source && source->driver->bitmap_can_store ? bitmaps : UINT64_MAX);
  return 0;
}

int
vm_img_measure (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "force-share", no_argument, NULL, 'U' },
                                           { "output", required_argument, NULL, IMG_OUTPUT },
                                           { "size", required_argument, NULL, IMG_SIZE },
                                           { NULL } };
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  const char *format = "raw", *snapshot = NULL;
  VmToolOpen how = { .cache = { false } };
  bool as_json = false, has_size = false;
  VmToolImage image = { NULL };
  uint64_t size = 0;
  VmImgArgs args = { argc, argv, ":hf:l:o:O:U", options, &how, &as_json, 0 };
  int c, status;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'l':
        snapshot = optarg;
        break;
      case 'o':
        g_ptr_array_add (lists, optarg);
        break;
      case 'O':
        format = optarg;
        break;
      case IMG_SIZE:
        if (!vm_tool_size (tool, "image size", optarg, 0, INT64_MAX, &size))
          return 1;
        has_size = true;
        break;
      default:
        return args.status;
      }
  if (argc - optind > 1)
    return !vm_tool_error (tool, NULL, "At most one filename argument is allowed.");
  how.name = optind < argc ? argv[optind] : NULL;
  if (!how.name && (how.image_opts || how.format || snapshot))
    return !vm_tool_error (tool, NULL, "--image-opts, -f, and -l can only be used with a filename argument.");
  if (!how.name && !has_size)
    return !vm_tool_error (tool, NULL, "Either --size N or one filename must be specified.");
  if (how.name && has_size)
    return !vm_tool_error (tool, NULL, "--size N cannot be used together with a filename.");
  if (any_help (lists))
    return vm_img_option_help (tool, format, NULL);
  if (how.name && !vm_tool_open (tool, &how, &image))
    return 1;
  status = snapshot && !vm_tool_load_snapshot (tool, image.node, snapshot)
               ? 1
               : measure (tool, format, lists, size, image.node, as_json);
  vm_tool_close (&image);
  return status;
}

/* --- amend ---------------------------------------------------------------------------------------------------- */

static void
amend_progress (void *opaque, uint64_t done, uint64_t total)
{
  vm_tool_progress (opaque, done, total);
}

static bool
amend (VmTool *tool, VmNode *node, const GPtrArray *lists, bool force, bool shown)
{
  g_autoptr (VmCreateValues) values = vm_create_values_new (node->driver, NULL, true);
  GError *error = NULL;
  bool ok;

  if (!node->driver->amend)
    return vm_tool_error (tool, NULL, "Format driver '%s' does not support option amendment", node->driver->name);
  for (guint i = 0; i < lists->len; i++)
    if (!vm_create_values_parse (values, g_ptr_array_index (lists, i), &error))
      return vm_tool_error (tool, error, "%s", "");
  vm_tool_progress_start (tool, shown);
  ok = node->driver->amend (node, values, force, amend_progress, tool, &error);
  if (ok)
    vm_tool_progress (tool, 1, 1);
  vm_tool_progress_end (tool);
  return ok || vm_tool_error (tool, error, "%s", "");
}

static int
amend_help (VmTool *tool, const char *format)
{
  const VmBlockDriver *driver = vm_graph_find_driver (tool->graph, format);
  g_autofree char *lines = NULL;

  if (!driver)
    return !vm_tool_error (tool, NULL, "Unknown file format '%s'", format);
  if (!driver->amend)
    return !vm_tool_error (tool, NULL, "Format driver '%s' does not support option amendment", format);
  lines = vm_create_help (driver, NULL, true);
  printf ("Amend options for '%s':\n%s", format, lines);
  return 0;
}

int
vm_img_amend (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS, { "force", no_argument, NULL, IMG_FORCE }, { NULL } };
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  VmToolOpen how = { .write = true, .resize = true };
  bool shown = false, quiet = false, force = false, ok;
  const char *cache = "writeback";
  VmToolImage image;
  VmImgArgs args = { argc, argv, ":ho:f:t:pq", options, &how, NULL, 0 };
  int c;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'o':
        g_ptr_array_add (lists, optarg);
        break;
      case 't':
        cache = optarg;
        break;
      case 'p':
        shown = true;
        break;
      case 'q':
        quiet = true;
        break;
      case IMG_FORCE:
        force = true;
        break;
      default:
        return args.status;
      }
  if (!lists->len)
    return vm_tool_usage (tool, "Must specify options (-o)");
  if (how.format && any_help (lists))
    return amend_help (tool, how.format);
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  how.name = argv[optind];
  if (!vm_tool_parse_cache (cache, &how.cache))
    return !vm_tool_error (tool, NULL, "Invalid cache option: %s", cache);
  if (!vm_tool_open (tool, &how, &image))
    return 1;
  ok = any_help (lists) ? !amend_help (tool, image.node->driver->name)
                        : amend (tool, image.node, lists, force, shown && !quiet);
  vm_tool_close (&image);
  return !ok;
}

/* --- resize --------------------------------------------------------------------------------------------------- */

static bool
parse_prealloc (const char *text, VmPreallocation *prealloc)
{
  static const char *const names[] = { "off", "metadata", "falloc", "full" };

  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    if (!strcmp (text, names[i]))
      {
        *prealloc = i;
        return true;
      }
  return false;
}

static bool
resize (VmTool *tool, VmNode *node, int sign, uint64_t size, bool shrink, VmPreallocation prealloc, bool quiet)
{
  uint64_t present = node->size, wanted;
  GError *error = NULL;

  if (sign < 0 ? size >= present : !size)
    return vm_tool_error (tool, NULL, "New image size must be positive");
  wanted = sign < 0 ? present - size : sign > 0 ? present + size : size;
  if (wanted < present && prealloc)
    return vm_tool_error (tool, NULL, "Preallocation can only be used for growing images");
  if (wanted < present && !shrink)
    {
      vm_tool_error (tool, NULL, "Use the --shrink option to perform a shrink operation.");
      return vm_tool_error (tool, NULL,
                            "warning: Shrinking an image will delete all data beyond the shrunken image's end. Before "
                            "performing such an operation, make sure there is no important data there.");
    }
  if (wanted > INT64_MAX || (sign > 0 && wanted < present))
    return vm_tool_error (tool, NULL, "The new image size is too big");
  if (vm_node_truncate (node, wanted, true, prealloc, 0, &error) < 0)
    return vm_tool_error (tool, error, "%s", "");
  if (!quiet)
    puts ("Image resized.");
  return true;
}

int
vm_img_resize (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "preallocation", required_argument, NULL, IMG_PREALLOCATION },
                                           { "shrink", no_argument, NULL, IMG_SHRINK },
                                           { NULL } };
  VmToolOpen how = { .write = true, .resize = true };
  VmPreallocation prealloc = VM_PREALLOC_OFF;
  bool quiet = false, shrink = false, ok;
  GError *error = NULL;
  VmToolImage image;
  const char *text;
  uint64_t size;
  VmImgArgs args = { argc, argv, ":f:hq", options, &how, NULL, 0 };
  int c, sign;

  /* The size comes last and may begin with "-". */
  if (argc < 3)
    return vm_tool_usage (tool, "Not enough arguments");
  text = argv[--argc];
  args.argc = argc;
  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'q':
        quiet = true;
        break;
      case IMG_PREALLOCATION:
        if (!parse_prealloc (optarg, &prealloc))
          return !vm_tool_error (tool, NULL, "Invalid preallocation mode '%s'", optarg);
        break;
      case IMG_SHRINK:
        shrink = true;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting image file name and size");
  how.name = argv[optind];
  sign = *text == '+' ? 1 : *text == '-' ? -1 : 0;
  if (!vm_parse_size (text + (sign != 0), 'B', &size, &error))
    return !vm_tool_error (tool, error, "%s", "");
  if (!vm_tool_open (tool, &how, &image))
    return 1;
  ok = resize (tool, image.node, sign, size, shrink, prealloc, quiet);
  vm_tool_close (&image);
  return !ok;
}
