/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about dirty bitmaps, which are actions of transactions, too. */
#include "block/bitmap.h"
#include "block/qmp-call.h"
#include "engine/monitor/qmp-handlers.h"

typedef struct BitmapState
{
  VmNode *node;
  VmDirtyBitmap *bitmap;
  VmDirtyBitmap *backup; /* the bits before */
  bool recording;        /* before */
} BitmapState;

enum
{
  MAY_BE_READONLY = 1,
  MAY_BE_INCONSISTENT = 2,
};

static VmDirtyBitmap *
find (VmBlockCall *call, const char *device, const char *name, VmNode **owner, GError **error)
{
  VmNode *node = vm_block_call_device (call, device, error);

  for (guint i = 0; node && node->bitmaps && i < node->bitmaps->len; i++)
    {
      VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
      if (!g_strcmp0 (bitmap->name, name))
        {
          *owner = node;
          return bitmap;
        }
    }
  if (node)
    vm_fail (error, "Dirty bitmap '%s' not found", name);
  return NULL;
}

static bool
check (const VmDirtyBitmap *bitmap, unsigned allowed, GError **error)
{
  if (bitmap->busy)
    return vm_fail (error, "Bitmap '%s' is currently in use by another operation and cannot be used", bitmap->name);
  if (bitmap->readonly && !(allowed & MAY_BE_READONLY))
    return vm_fail (error, "Bitmap '%s' is readonly and cannot be modified", bitmap->name);
  return !bitmap->inconsistent || allowed & MAY_BE_INCONSISTENT
         || vm_fail (error, "Bitmap '%s' is inconsistent and cannot be used", bitmap->name);
}

/* --- made and taken away ----------------------------------------------------------------------------------- */

static uint64_t
default_granularity (VmNode *node)
{
  uint64_t cluster = node->driver->cluster_size ? node->driver->cluster_size (node) : 0;

  return cluster ? CLAMP (cluster, 4096, 65536) : 65536;
}

static bool
add_prepare (VmAction *action, GError **error)
{
  const VmqBlockDirtyBitmapAdd *a = action->args;
  BitmapState *s = action->state;
  uint64_t granularity;
  g_autoptr (GError) none = NULL;

  if (!*a->name)
    return vm_fail (error, "Bitmap name cannot be empty");
  if (!(s->node = vm_block_call_device (action->call, a->node, error)))
    return false;
  granularity = a->has_granularity ? (uint64_t) a->granularity : default_granularity (s->node);
  if (granularity < 512 || !vm_is_pow2 (granularity) || granularity > UINT64_C (1) << 31)
    return vm_fail (error, "Granularity must be power of 2 and at least 512");
  if (strlen (a->name) > VM_BITMAP_MAX_NAME)
    return vm_fail (error, "Bitmap name is too long");
  if (find (action->call, a->node, a->name, &s->node, &none))
    return vm_fail (error, "Bitmap already exists: %s", a->name);
  if (a->has_persistent && a->persistent)
    {
      if (s->node->readonly || !s->node->driver->bitmap_can_store)
        return vm_fail (error, "Cannot store dirty bitmaps in file '%s'", s->node->filename);
      if (!s->node->driver->bitmap_can_store (s->node, a->name, (uint32_t) granularity, error))
        return false;
    }
  s->bitmap = vm_bitmap_new (a->name, s->node->size, granularity);
  if (!s->bitmap)
    return vm_fail (error, "The bitmap is too big for the memory");
  s->bitmap->persistent = a->has_persistent && a->persistent;
  s->bitmap->recording = !a->has_disabled || !a->disabled;
  vm_action_drain (action, s->node);
  if (!s->node->bitmaps)
    s->node->bitmaps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_bitmap_free);
  g_ptr_array_add (s->node->bitmaps, s->bitmap);
  return true;
}

static void
add_abort (VmAction *action)
{
  BitmapState *s = action->state;

  g_ptr_array_remove (s->node->bitmaps, s->bitmap);
}

const VmActionKind vm_action_bitmap_add = { .size = sizeof (BitmapState), .prepare = add_prepare, .abort = add_abort };

static bool
remove_prepare (VmAction *action, GError **error)
{
  const VmqBlockDirtyBitmap *a = action->args;
  BitmapState *s = action->state;

  s->bitmap = find (action->call, a->node, a->name, &s->node, error);
  if (!s->bitmap || !check (s->bitmap, MAY_BE_INCONSISTENT, error))
    return false;
  vm_action_drain (action, s->node);
  s->bitmap->busy++; /* other actions have no use for it */
  s->recording = s->bitmap->recording;
  if (s->bitmap->persistent && s->node->driver->bitmap_remove
      && s->node->driver->bitmap_remove (s->node, s->bitmap->name, error) < 0)
    {
      s->bitmap->busy--;
      return false;
    }
  return true;
}

/* If it was in the image, it is stored again when that is closed. */
static void
remove_abort (VmAction *action)
{
  BitmapState *s = action->state;

  s->bitmap->busy--;
  s->bitmap->modified = true;
}

static void
remove_commit (VmAction *action)
{
  BitmapState *s = action->state;

  g_ptr_array_remove (s->node->bitmaps, s->bitmap);
}

const VmActionKind vm_action_bitmap_remove
    = { .size = sizeof (BitmapState), .prepare = remove_prepare, .commit = remove_commit, .abort = remove_abort };

/* --- changed ---------------------------------------------------------------------------------------------------- */

static bool
keep_bits (BitmapState *s, GError **error)
{
  s->backup = vm_bitmap_new (NULL, s->bitmap->size, vm_bitmap_granularity (s->bitmap));
  if (!s->backup)
    return vm_fail (error, "The bitmap is too big for the memory");
  vm_bitmap_merge (s->backup, s->bitmap);
  return true;
}

static void
bits_abort (VmAction *action)
{
  BitmapState *s = action->state;

  vm_bitmap_clear (s->bitmap, 0, s->bitmap->size);
  vm_bitmap_merge (s->bitmap, s->backup);
}

static void
bits_clean (VmAction *action)
{
  vm_bitmap_free (((BitmapState *) action->state)->backup);
}

/* The bitmap that is meant, of a node that stands still. */
static bool
take_bitmap (VmAction *action, GError **error)
{
  const VmqBlockDirtyBitmap *a = action->args;
  BitmapState *s = action->state;

  s->bitmap = find (action->call, a->node, a->name, &s->node, error);
  if (!s->bitmap || !check (s->bitmap, 0, error))
    return false;
  vm_action_drain (action, s->node);
  return true;
}

static bool
clear_prepare (VmAction *action, GError **error)
{
  BitmapState *s = action->state;

  if (!take_bitmap (action, error) || !keep_bits (s, error))
    return false;
  vm_bitmap_clear (s->bitmap, 0, s->bitmap->size);
  return true;
}

const VmActionKind vm_action_bitmap_clear
    = { .size = sizeof (BitmapState), .prepare = clear_prepare, .abort = bits_abort, .clean = bits_clean };

static bool
record_prepare (VmAction *action, bool recording, GError **error)
{
  BitmapState *s = action->state;

  if (!take_bitmap (action, error))
    return false;
  s->recording = s->bitmap->recording;
  s->bitmap->recording = recording;
  return true;
}

static bool
enable_prepare (VmAction *action, GError **error)
{
  return record_prepare (action, true, error);
}

static bool
disable_prepare (VmAction *action, GError **error)
{
  return record_prepare (action, false, error);
}

static void
record_abort (VmAction *action)
{
  BitmapState *s = action->state;

  s->bitmap->recording = s->recording;
}

const VmActionKind vm_action_bitmap_enable
    = { .size = sizeof (BitmapState), .prepare = enable_prepare, .abort = record_abort };
const VmActionKind vm_action_bitmap_disable
    = { .size = sizeof (BitmapState), .prepare = disable_prepare, .abort = record_abort };

/* "name", of the same node, or {"node": ..., "name": ...} */
static VmDirtyBitmap *
find_source (VmAction *action, json_object *source, GError **error)
{
  const VmqBlockDirtyBitmapMerge *a = action->args;
  json_object *node, *name;
  VmDirtyBitmap *bitmap;
  VmNode *owner;

  if (json_object_is_type (source, json_type_string))
    bitmap = find (action->call, a->node, json_object_get_string (source), &owner, error);
  else if (json_object_object_get_ex (source, "node", &node) && json_object_object_get_ex (source, "name", &name))
    bitmap = find (action->call, json_object_get_string (node), json_object_get_string (name), &owner, error);
  else
    return vm_fail (error, "Parameter 'bitmaps' expects names of bitmaps"), NULL;
  return bitmap && check (bitmap, MAY_BE_READONLY, error) ? bitmap : NULL;
}

static bool
merge_prepare (VmAction *action, GError **error)
{
  const VmqBlockDirtyBitmapMerge *a = action->args;
  BitmapState *s = action->state;

  s->bitmap = find (action->call, a->node, a->target, &s->node, error);
  if (!s->bitmap || !check (s->bitmap, 0, error))
    return false;
  vm_action_drain (action, s->node);
  if (!keep_bits (s, error))
    return false;
  for (guint i = 0; i < a->bitmaps->len; i++)
    {
      VmDirtyBitmap *from = find_source (action, g_ptr_array_index (a->bitmaps, i), error);
      if (from && from->size != s->bitmap->size)
        from = (vm_fail (error,
                         "Bitmaps are of different sizes (destination size is %" PRIu64 " and source size is %" PRIu64
                         ") and can't be merged",
                         s->bitmap->size, from->size),
                NULL);
      if (!from)
        {
          bits_abort (action);
          return false;
        }
      vm_bitmap_merge (s->bitmap, from);
    }
  return true;
}

const VmActionKind vm_action_bitmap_merge
    = { .size = sizeof (BitmapState), .prepare = merge_prepare, .abort = bits_abort, .clean = bits_clean };

/* --- commands ------------------------------------------------------------------------------------------------------
 */

#define COMMAND(name, Type)                                                                                            \
  bool vm_qmp_block_dirty_bitmap_##name (VmMonitor *mon, const Type *args, GError **error)                             \
  {                                                                                                                    \
    return vm_action_run (mon, &vm_action_bitmap_##name, args, error);                                                 \
  }
COMMAND (add, VmqBlockDirtyBitmapAddArg)
COMMAND (remove, VmqBlockDirtyBitmapRemoveArg)
COMMAND (clear, VmqBlockDirtyBitmapClearArg)
COMMAND (enable, VmqBlockDirtyBitmapEnableArg)
COMMAND (disable, VmqBlockDirtyBitmapDisableArg)
COMMAND (merge, VmqBlockDirtyBitmapMergeArg)

static bool
hash (VmBlockCall *call, GError **error)
{
  const VmqXDebugBlockDirtyBitmapSha256Arg *a = call->args;
  VmNode *node;
  VmDirtyBitmap *bitmap = find (call, a->node, a->name, &node, error);
  VmqBlockDirtyBitmapSha256 *out = call->result;
  g_autofree uint8_t *bytes = NULL;
  size_t n;

  if (!bitmap)
    return false;
  n = (vm_bitmap_bits (bitmap) + 63) / 64 * 8;
  if (!(bytes = g_try_malloc (n + 1)))
    return vm_fail (error, "The bitmap is too big for the memory");
  vm_bitmap_save (bitmap, 0, bytes, n);
  out->sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes, n);
  return true;
}

VmqBlockDirtyBitmapSha256 *
vm_qmp_x_debug_block_dirty_bitmap_sha256 (VmMonitor *mon, const VmqXDebugBlockDirtyBitmapSha256Arg *args,
                                          GError **error)
{
  VmqBlockDirtyBitmapSha256 *out = g_new0 (VmqBlockDirtyBitmapSha256, 1);
  VmBlockCall call = { .func = hash, .args = args, .result = out };

  if (vm_block_call (mon, &call, error))
    return out;
  vm_schema_free (&vmq_type_blockdirtybitmapsha256, out);
  return NULL;
}
