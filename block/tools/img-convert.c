/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img convert and dd: what the user said, and the images opened for it. */
#include "block/create.h"
#include "block/tools/convert.h"
#include "block/tools/img-bitmap.h"
#include "block/tools/img.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_DEPTH 16
#define MAX_SPARSE (16 * VM_MIB)

typedef struct Options
{
  VmToolOpen how; /* of the sources */
  const char *out_format, *cache, *source_cache, *backing, *backing_format, *snapshot;
  const char *output;
  GPtrArray *lists; /* of -o */
  bool target_image_opts, existing, shown, sparse_given;
  bool bitmaps, skip_broken;
} Options;

/* --- the images ------------------------------------------------------------------------------------------------ */

static bool
open_sources (VmTool *tool, const Options *o, char **names, VmConvert *c)
{
  VmToolOpen how = o->how;

  vm_tool_parse_cache (o->source_cache, &how.cache);
  c->sources = g_new0 (VmConvertSource, c->n_sources);
  for (unsigned i = 0; i < c->n_sources; i++)
    {
      VmConvertSource *s = &c->sources[i];
      how.name = names[i];
      if (!vm_tool_open (tool, &how, &s->image))
        return false;
      if (o->snapshot && !vm_tool_load_snapshot (tool, s->image.node, o->snapshot))
        return false;
      s->start = c->total;
      s->size = VM_ALIGN_UP (s->image.node->size, 512);
      if (s->size > INT64_MAX - c->total)
        return vm_tool_error (tool, NULL, "The images are too big together");
      c->total += s->size;
    }
  /* A single image keeps its size to the byte. */
  if (c->n_sources == 1)
    c->total = c->sources[0].size = c->sources[0].image.node->size;
  return true;
}

static bool
make_target (VmTool *tool, const Options *o, VmConvert *c)
{
  const VmBlockDriver *format = vm_graph_find_driver (tool->graph, o->out_format);
  const VmBlockDriver *protocol;
  g_autoptr (VmCreateValues) values = NULL;
  GError *error = NULL;
  uint64_t size = c->total;
  VmToolCache cache = { 0 };

  protocol = vm_image_protocol (tool->graph, o->output, &error);
  if (!protocol)
    return vm_tool_error (tool, error, "%s", "");
  if (!format->create && format->kind != VM_DRIVER_PROTOCOL && strcmp (format->name, "raw") != 0)
    return vm_tool_error (tool, NULL, "Format driver '%s' does not support image creation", format->name);
  if (!protocol->create)
    return vm_tool_error (tool, NULL, "Protocol driver '%s' does not support image creation", protocol->name);
  values = vm_create_values_new (format, protocol, false);
  for (guint i = 0; i < o->lists->len; i++)
    if (!vm_create_values_parse (values, g_ptr_array_index (o->lists, i), &error))
      return vm_tool_error (tool, error, "%s", "");
  if (o->backing && !vm_create_values_knows (values, "backing_file"))
    return vm_tool_error (tool, NULL, "Backing file not supported for file format '%s'", format->name);
  if (o->backing && !vm_create_values_set (values, "backing_file", o->backing, &error))
    return vm_tool_error (tool, error, "%s", "");
  if (o->backing_format && vm_create_values_knows (values, "backing_fmt")
      && !vm_create_values_set (values, "backing_fmt", o->backing_format, &error))
    return vm_tool_error (tool, error, "%s", "");
  c->over_backing = vm_create_text (values, "backing_file") && *vm_create_text (values, "backing_file");
  if (c->over_backing && !vm_create_text (values, "backing_fmt"))
    return vm_tool_error (tool, NULL, "Use of backing file requires explicit backing format");
  if (c->over_backing && c->n_sources > 1)
    return vm_tool_error (tool, NULL,
                          "Having a backing file for the target makes no sense when concatenating multiple "
                          "input images");
  if (vm_create_has (values, "size"))
    size = vm_create_number (values, "size");
  if (size < c->total)
    return vm_tool_error (tool, NULL, "output file is smaller than input file");
  c->created = true;
  vm_tool_parse_cache (o->cache, &cache);
  return vm_image_create_values (tool->graph, o->output, format, protocol, size, values,
                                 cache.no_flush ? VM_OPEN_UNSAFE : 0, &error)
         || vm_tool_error (tool, error, "%s: error while converting %s", o->output, format->name);
}

static bool
open_target (VmTool *tool, const Options *o, VmConvert *c)
{
  VmToolOpen how = { .name = o->output,
                     .format = o->target_image_opts ? NULL : o->out_format,
                     .image_opts = o->target_image_opts,
                     .write = true };
  VmNode *node;

  vm_tool_parse_cache (o->cache, &how.cache);
  if (!vm_tool_open (tool, &how, &c->target))
    return false;
  node = c->target.node;
  if (o->existing)
    {
      c->over_backing = o->backing != NULL;
      if (o->backing && !node->driver->has_backing)
        return vm_tool_error (tool, NULL, "Backing file not supported for file format '%s'", node->driver->name);
      if (c->target_is_zero && vm_node_backing (node))
        return vm_tool_error (tool, NULL, "Cannot use --target-is-zero when the destination image has a backing file");
    }
  if (node->size < c->total)
    return vm_tool_error (tool, NULL, "output file is smaller than input file");
  if (c->compressed && !node->driver->can_compress)
    return vm_tool_error (tool, NULL, "Compression not supported for this file format");
  return true;
}

/* --- the command line ------------------------------------------------------------------------------------------ */

static bool
check_options (VmTool *tool, const Options *o, VmConvert *c)
{
  VmToolCache cache;

  if (o->skip_broken && !o->bitmaps)
    return vm_tool_error (tool, NULL, "Use of --skip-broken-bitmaps requires --bitmaps");
  if (o->how.format && o->how.image_opts)
    return vm_tool_error (tool, NULL, "--image-opts and --format are mutually exclusive");
  if (c->offload && c->compressed)
    return vm_tool_error (tool, NULL, "Cannot enable copy offloading when -c is used");
  if (c->offload && o->sparse_given)
    return vm_tool_error (tool, NULL, "Cannot enable copy offloading when -S is used");
  if (o->existing && o->lists->len)
    vm_tool_error (tool, NULL, "warning: -o has no effect when skipping image creation");
  if (o->target_image_opts && !o->existing)
    return vm_tool_error (tool, NULL, "--target-image-opts requires use of -n flag");
  if (o->target_image_opts && o->out_format)
    return vm_tool_error (tool, NULL, "--target-image-opts and --target-format are mutually exclusive");
  if (c->target_is_zero && !o->existing)
    return vm_tool_error (tool, NULL, "--target-is-zero requires use of -n flag");
  if (!vm_tool_parse_cache (o->cache, &cache))
    return vm_tool_error (tool, NULL, "Invalid cache option: %s", o->cache);
  if (!vm_tool_parse_cache (o->source_cache, &cache))
    return vm_tool_error (tool, NULL, "Invalid source cache option: %s", o->source_cache);
  return true;
}

static bool
check_formats (VmTool *tool, Options *o, VmConvert *c)
{
  const VmBlockDriver *format;

  if (c->n_sources > 1 && o->snapshot)
    return vm_tool_error (tool, NULL, "No support for concatenating multiple snapshot");
  if (o->target_image_opts)
    return true;
  if (!o->out_format)
    o->out_format = "raw";
  format = vm_graph_find_driver (tool->graph, o->out_format);
  if (!format)
    return vm_tool_error (tool, NULL, "Unknown file format '%s'", o->out_format);
  /* Before an image that is there is overwritten. */
  if (c->compressed && format->kind == VM_DRIVER_FORMAT && !format->can_compress)
    return vm_tool_error (tool, NULL, "Compression not supported for this file format");
  return true;
}

/* Before a target is made that could not keep them. */
static bool
check_bitmaps (VmTool *tool, const Options *o, const VmConvert *c)
{
  if (!vm_img_check_bitmaps (tool, c->sources[0].image.node, o->skip_broken))
    return false;
  return o->existing || vm_graph_find_driver (tool->graph, o->out_format)->bitmap_can_store
         || vm_tool_error (tool, NULL, "Format driver '%s' does not support bitmaps", o->out_format);
}

static int
convert (VmTool *tool, Options *o, char **names, VmConvert *c)
{
  bool ok = check_formats (tool, o, c) && open_sources (tool, o, names, c)
            && (!o->bitmaps || check_bitmaps (tool, o, c))
            && (o->existing || make_target (tool, o, c)) && open_target (tool, o, c) && vm_convert_run (c)
            && (!o->bitmaps || vm_img_copy_bitmaps (tool, c->sources[0].image.node, c->target.node));

  for (unsigned i = 0; c->sources && i < c->n_sources; i++)
    vm_tool_close (&c->sources[i].image);
  g_free (c->sources);
  vm_tool_close (&c->target);
  return !ok;
}

static bool
take_number (VmTool *tool, const char *text, unsigned *depth)
{
  char *end;
  guint64 n = g_ascii_strtoull (text, &end, 0);

  if (*end || !*text || n < 1 || n > MAX_DEPTH)
    return vm_tool_error (tool, NULL, "Invalid number of coroutines. Allowed number of coroutines is between 1 and %d",
                          MAX_DEPTH);
  *depth = (unsigned) n;
  return true;
}

static bool
take_sparse (VmTool *tool, const char *text, uint64_t *sparse)
{
  if (!vm_parse_size (text, 'B', sparse, NULL))
    return vm_tool_size (tool, "buffer size for sparse output", text, 0, MAX_SPARSE, sparse);
  if (*sparse % 512 || *sparse > MAX_SPARSE)
    return vm_tool_error (tool, NULL,
                          "Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to "
                          "%" PRIu64 ". Select 0 to disable sparse detection (fully allocates output).",
                          (uint64_t) MAX_SPARSE);
  return true;
}

int
vm_img_convert (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "source-format", required_argument, NULL, 'f' },
                                           { "force-share", no_argument, NULL, 'U' },
                                           { "target-image-opts", no_argument, NULL, IMG_TARGET_IMAGE_OPTS },
                                           { "salvage", no_argument, NULL, IMG_SALVAGE },
                                           { "target-is-zero", no_argument, NULL, IMG_TARGET_IS_ZERO },
                                           { "bitmaps", no_argument, NULL, IMG_BITMAPS },
                                           { "skip-broken-bitmaps", no_argument, NULL, IMG_SKIP_BROKEN },
                                           { NULL } };
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  Options o = { .cache = "unsafe", .source_cache = "writeback", .lists = lists };
  VmConvert convert_ = { .tool = tool, .depth = 8, .sparse = 4096 };
  VmImgArgs args = { argc, argv, ":hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:", options, &o.how, NULL, 0 };
  int c, status;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'O':
        o.out_format = optarg;
        break;
      case 'B':
        o.backing = optarg;
        break;
      case 'F':
        o.backing_format = optarg;
        break;
      case 'C':
        convert_.offload = true;
        break;
      case 'c':
        convert_.compressed = true;
        break;
      case 'o':
        g_ptr_array_add (lists, optarg);
        break;
      case 'l':
        o.snapshot = optarg;
        break;
      case 'S':
        o.sparse_given = true;
        if (!take_sparse (tool, optarg, &convert_.sparse))
          return 1;
        break;
      case 'p':
        o.shown = true;
        break;
      case 't':
        o.cache = optarg;
        break;
      case 'T':
        o.source_cache = optarg;
        break;
      case 'q':
        convert_.quiet = true;
        break;
      case 'n':
        o.existing = true;
        break;
      case 'm':
        if (!take_number (tool, optarg, &convert_.depth))
          return 1;
        break;
      case 'W':
        convert_.any_order = true;
        break;
      case 'r':
        if (!vm_tool_size (tool, "rate limit", optarg, 0, INT64_MAX, &convert_.rate))
          return 1;
        break;
      case IMG_TARGET_IMAGE_OPTS:
        o.target_image_opts = true;
        break;
      case IMG_SALVAGE:
        convert_.salvage = true;
        break;
      case IMG_TARGET_IS_ZERO:
        convert_.target_is_zero = true;
        break;
      case IMG_BITMAPS:
        o.bitmaps = true;
        break;
      case IMG_SKIP_BROKEN:
        o.skip_broken = true;
        break;
      default:
        return args.status;
      }
  for (guint i = 0; i < lists->len; i++)
    if (vm_img_wants_help (g_ptr_array_index (lists, i)))
      return vm_img_option_help (tool, o.out_format ? o.out_format : "raw", optind < argc ? argv[argc - 1] : NULL);
  if (!check_options (tool, &o, &convert_))
    return 1;
  convert_.n_sources = argc - optind > 1 ? (unsigned) (argc - optind - 1) : 0;
  if (!convert_.n_sources)
    return !vm_tool_error (tool, NULL, "Must specify image file name");
  o.output = argv[argc - 1];
  vm_tool_progress_start (tool, o.shown && !convert_.quiet);
  status = convert (tool, &o, argv + optind, &convert_);
  vm_tool_progress_end (tool);
  return status;
}

/* --- dd -------------------------------------------------------------------------------------------------------- */

typedef struct Dd
{
  VmToolOpen how; /* of the input */
  const char *input, *output, *out_format;
  uint64_t block, count, skip;
  bool has_count;
} Dd;

static bool
dd_operand (VmTool *tool, Dd *dd, const char *text)
{
  const char *equals = strchr (text, '='), *value = equals ? equals + 1 : NULL;
  g_autofree char *name = equals ? g_strndup (text, equals - text) : g_strdup (text);

  if (!value)
    return vm_tool_error (tool, NULL, "unrecognized operand %s", text);
  if (!strcmp (name, "if"))
    dd->input = value;
  else if (!strcmp (name, "of"))
    dd->output = value;
  else if (!strcmp (name, "bs"))
    return vm_tool_size (tool, "bs", value, 1, INT32_MAX, &dd->block);
  else if (!strcmp (name, "count"))
    return (dd->has_count = vm_tool_size (tool, "count", value, 0, INT64_MAX, &dd->count));
  else if (!strcmp (name, "skip"))
    return vm_tool_size (tool, "skip", value, 0, INT64_MAX, &dd->skip);
  else
    return vm_tool_error (tool, NULL, "unrecognized operand %s", name);
  return true;
}

static int
dd_copy (VmTool *tool, VmNode *from, VmNode *to, uint64_t start, uint64_t len)
{
  uint8_t *buffer = vm_tool_buffer (tool, VM_MIB);
  uint64_t at = 0;
  int err = 0;

  if (!buffer)
    return 1;
  while (at < len && err >= 0)
    {
      uint64_t n = MIN (VM_MIB, len - at);
      err = vm_node_pread (from, start + at, buffer, n);
      if (err < 0)
        {
          vm_tool_error (tool, NULL, "error while reading from input image file: %s", g_strerror (-err));
          break;
        }
      err = vm_node_pwrite (to, at, buffer, n);
      if (err < 0)
        vm_tool_error (tool, NULL, "error while writing to output image file: %s", g_strerror (-err));
      at += n;
    }
  free (buffer);
  if (err >= 0 && (err = vm_node_flush (to)) < 0)
    vm_tool_error (tool, NULL, "error while writing to output image file: %s", g_strerror (-err));
  return err < 0;
}

static int
dd_run (VmTool *tool, const Dd *dd)
{
  VmToolOpen in = dd->how;
  VmToolOpen out = { .name = dd->output, .format = dd->out_format, .write = true };
  VmImageCreate create = { .name = dd->output, .format = dd->out_format, .has_size = true };
  VmToolImage from = { NULL }, to = { NULL };
  uint64_t size, start, len;
  GError *error = NULL;
  int status = 1;

  in.name = dd->input;
  if (!vm_tool_open (tool, &in, &from))
    return 1;
  size = from.node->size;
  if (dd->has_count && dd->count < size / dd->block + 1)
    size = MIN (size, dd->count * dd->block);
  /* Counting begins behind what is skipped. */
  start = dd->skip > from.node->size / dd->block ? UINT64_MAX : dd->skip * dd->block;
  len = start > from.node->size ? 0 : MIN (size, from.node->size - start);
  create.size = len;
  if (start > from.node->size)
    vm_tool_error (tool, NULL, "%s: cannot skip to specified offset", dd->input);
  if (!vm_image_create (tool->graph, &create, &error))
    vm_tool_error (tool, error, "%s: error while creating output image of type %s", dd->output, dd->out_format);
  else if (vm_tool_open (tool, &out, &to))
    status = len ? dd_copy (tool, from.node, to.node, start, len) : 0;
  vm_tool_close (&to);
  vm_tool_close (&from);
  return status;
}

int
vm_img_dd (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS, { "force-share", no_argument, NULL, 'U' }, { NULL } };
  Dd dd = { .block = 512, .out_format = "raw" };
  VmImgArgs args = { argc, argv, ":hf:O:U", options, &dd.how, NULL, 0 };
  int c;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'O':
        dd.out_format = optarg;
        break;
      default:
        return args.status;
      }
  for (int i = optind; i < argc; i++)
    if (!dd_operand (tool, &dd, argv[i]))
      return 1;
  if (!dd.input || !dd.output)
    return !vm_tool_error (tool, NULL, "Must specify both input and output files");
  if (!vm_graph_find_driver (tool->graph, dd.out_format))
    return !vm_tool_error (tool, NULL, "Unknown file format '%s'", dd.out_format);
  return dd_run (tool, &dd);
}
