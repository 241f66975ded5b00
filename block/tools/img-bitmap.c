/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img bitmap: makes, removes, clears, switches and merges the bitmaps kept in an image. */
#include "block/tools/img-bitmap.h"

#include "block/bitmap.h"
#include "block/tools/img.h"

#include <errno.h>

static VmDirtyBitmap *
find (VmNode *node, const char *name)
{
  for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
    {
      VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
      if (bitmap->name && !strcmp (bitmap->name, name))
        return bitmap;
    }
  return NULL;
}

static VmDirtyBitmap *
need (VmNode *node, const char *name, bool sound, GError **error)
{
  VmDirtyBitmap *bitmap = find (node, name);

  if (!bitmap)
    {
      vm_fail (error, "Dirty bitmap '%s' not found", name);
      return NULL;
    }
  if (sound && bitmap->inconsistent)
    {
      vm_fail (error,
               "Bitmap '%s' is inconsistent and cannot be used\n"
               "Try block-dirty-bitmap-remove to delete this bitmap from disk",
               name);
      return NULL;
    }
  return bitmap;
}

static bool
check_new (VmNode *node, const char *name, uint64_t granularity, GError **error)
{
  if (!*name)
    return vm_fail (error, "Bitmap name cannot be empty");
  if (strlen (name) > VM_BITMAP_MAX_NAME)
    return vm_fail (error, "Bitmap name too long: %s", name);
  if (find (node, name))
    return vm_fail (error, "Bitmap already exists: %s", name);
  if (granularity < 512 || !vm_is_pow2 (granularity) || granularity > 2 * VM_GIB)
    return vm_fail (error, "Granularity must be power of 2 and at least 512");
  if (!node->driver->bitmap_can_store)
    return vm_fail (error, "Can't store persistent bitmaps to %s: %s", node->name, g_strerror (ENOTSUP));
  return node->driver->bitmap_can_store (node, name, (uint32_t) granularity, error);
}

static VmDirtyBitmap *
add (VmNode *node, const char *name, uint64_t granularity, GError **error)
{
  uint32_t cluster = node->driver->cluster_size ? node->driver->cluster_size (node) : 0;
  VmDirtyBitmap *bitmap;

  if (!granularity)
    granularity = cluster ? CLAMP (cluster, 4096, 65536) : 65536;
  if (!check_new (node, name, granularity, error))
    return NULL;
  bitmap = vm_bitmap_new (name, node->size, granularity);
  if (!bitmap)
    {
      vm_fail (error, "The bitmap is too big for the memory");
      return NULL;
    }
  bitmap->persistent = true;
  if (!node->bitmaps)
    node->bitmaps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_bitmap_free);
  g_ptr_array_add (node->bitmaps, bitmap);
  return bitmap;
}

static bool
remove_bitmap (VmNode *node, const char *name, GError **error)
{
  VmDirtyBitmap *bitmap = need (node, name, false, error);
  int err = 0;

  if (!bitmap)
    return false;
  if (bitmap->persistent && node->driver->bitmap_remove)
    err = node->driver->bitmap_remove (node, name, error);
  if (err < 0 && err != -ENOENT) /* one that was added just now is not in the image yet */
    return vm_fail (error, "Failed to remove persistent bitmap '%s' from node '%s': %s", name, node->name,
                    g_strerror (-err));
  g_ptr_array_remove (node->bitmaps, bitmap);
  return true;
}

static bool
merge (VmNode *from, const char *source, VmNode *to, const char *name, GError **error)
{
  VmDirtyBitmap *into = need (to, name, true, error), *of = into ? need (from, source, true, error) : NULL;

  if (!of)
    return false;
  if (of->size != into->size)
    return vm_fail (error,
                    "Bitmaps are of different sizes (destination size is %" G_GUINT64_FORMAT
                    ", source size is %" G_GUINT64_FORMAT ") and can't be merged",
                    into->size, of->size);
  vm_bitmap_merge (into, of);
  return true;
}

/* --- for convert ------------------------------------------------------------------------------------------------ */

static bool
worth_copying (const VmDirtyBitmap *bitmap)
{
  return bitmap->name && bitmap->persistent;
}

bool
vm_img_check_bitmaps (VmTool *tool, VmNode *node, bool skip_broken)
{
  if (!node->driver->bitmap_can_store)
    return vm_tool_error (tool, NULL, "Source lacks bitmap support");
  for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
    {
      const VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
      if (worth_copying (bitmap) && bitmap->inconsistent && !skip_broken)
        return vm_tool_error (tool, NULL,
                              "Cannot copy inconsistent bitmap '%s'\n"
                              "Try --skip-broken-bitmaps, or use '%s bitmap --remove' to delete it from disk",
                              bitmap->name, tool->program);
    }
  return true;
}

bool
vm_img_copy_bitmaps (VmTool *tool, VmNode *from, VmNode *to)
{
  GError *error = NULL;

  for (guint i = 0; from->bitmaps && i < from->bitmaps->len; i++)
    {
      const VmDirtyBitmap *bitmap = g_ptr_array_index (from->bitmaps, i);
      if (!worth_copying (bitmap))
        continue;
      if (bitmap->inconsistent)
        {
          vm_tool_error (tool, NULL, "warning: Skipping inconsistent bitmap '%s'", bitmap->name);
          continue;
        }
      VmDirtyBitmap *copy = add (to, bitmap->name, vm_bitmap_granularity (bitmap), &error);
      if (!copy)
        return vm_tool_error (tool, error, "Failed to create bitmap %s", bitmap->name);
      copy->recording = bitmap->recording;
      vm_bitmap_merge (copy, bitmap);
    }
  return true;
}

/* --- the command ------------------------------------------------------------------------------------------------- */

typedef struct Action
{
  int what;
  const char *source;
} Action;

static bool
act (VmNode *node, VmNode *source, const char *name, const Action *action, uint64_t granularity, GError **error)
{
  VmDirtyBitmap *bitmap;

  switch (action->what)
    {
    case IMG_ADD:
      return add (node, name, granularity, error) != NULL;
    case IMG_REMOVE:
      return remove_bitmap (node, name, error);
    case IMG_MERGE:
      return merge (source ? source : node, action->source, node, name, error);
    default:
      bitmap = need (node, name, true, error);
      if (!bitmap)
        return false;
      if (action->what == IMG_CLEAR)
        vm_bitmap_clear (bitmap, 0, bitmap->size);
      else
        bitmap->recording = action->what == IMG_ENABLE;
      return true;
    }
}

static const char *
action_name (int what)
{
  switch (what)
    {
    case IMG_ADD:
      return "add";
    case IMG_REMOVE:
      return "remove";
    case IMG_CLEAR:
      return "clear";
    case IMG_ENABLE:
      return "enable";
    case IMG_DISABLE:
      return "disable";
    default:
      return "merge";
    }
}

static int
run (VmTool *tool, VmNode *node, VmNode *source, const char *name, const GArray *actions, uint64_t granularity)
{
  for (guint i = 0; i < actions->len; i++)
    {
      const Action *action = &g_array_index (actions, Action, i);
      GError *error = NULL;
      if (!act (node, source, name, action, granularity, &error))
        return !vm_tool_error (tool, error, "Operation %s on bitmap %s failed", action_name (action->what), name);
    }
  return 0;
}

int
vm_img_bitmap (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "add", no_argument, NULL, IMG_ADD },
                                           { "clear", no_argument, NULL, IMG_CLEAR },
                                           { "disable", no_argument, NULL, IMG_DISABLE },
                                           { "enable", no_argument, NULL, IMG_ENABLE },
                                           { "granularity", required_argument, NULL, 'g' },
                                           { "merge", required_argument, NULL, IMG_MERGE },
                                           { "remove", no_argument, NULL, IMG_REMOVE },
                                           { "source-file", required_argument, NULL, 'b' },
                                           { "source-format", required_argument, NULL, 'F' },
                                           { NULL } };
  g_autoptr (GArray) actions = g_array_new (FALSE, FALSE, sizeof (Action));
  VmToolOpen how = { .write = true }, source_how = { NULL };
  VmToolImage image = { NULL }, source = { NULL };
  bool adds = false, merges = false;
  uint64_t granularity = 0;
  VmImgArgs args = { argc, argv, ":b:f:F:g:h", options, &how, NULL, 0 };
  int c, status = 1;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'b':
        source_how.name = optarg;
        break;
      case 'F':
        source_how.format = optarg;
        break;
      case 'g':
        if (!vm_tool_size (tool, "granularity", optarg, 1, INT64_MAX, &granularity))
          return 1;
        break;
      case IMG_ADD:
      case IMG_CLEAR:
      case IMG_DISABLE:
      case IMG_ENABLE:
      case IMG_MERGE:
      case IMG_REMOVE:
        {
          Action action = { c, optarg };
          adds |= c == IMG_ADD;
          merges |= c == IMG_MERGE;
          g_array_append_val (actions, action);
          break;
        }
      default:
        return args.status;
      }
  if (!actions->len)
    return !vm_tool_error (tool, NULL,
                           "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
  if (granularity && !adds)
    return !vm_tool_error (tool, NULL, "granularity only supported with --add");
  if (source_how.format && !source_how.name)
    return !vm_tool_error (tool, NULL, "-F only supported with -b");
  if (source_how.name && !merges)
    return !vm_tool_error (tool, NULL, "Merge bitmap source file only supported with --merge");
  if (argc - optind != 2)
    return !vm_tool_error (tool, NULL, "Expecting filename and bitmap name");
  how.name = argv[optind];
  if (vm_tool_open (tool, &how, &image) && (!source_how.name || vm_tool_open (tool, &source_how, &source)))
    status = run (tool, image.node, source.node, argv[optind + 1], actions, granularity);
  vm_tool_close (&source);
  vm_tool_close (&image);
  return status;
}
