/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing what was chosen when a qcow2 image was made. */
#include "block/qcow2/qcow2-private.h"

static bool fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static bool
fail (GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *text = NULL;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, text);
  return false;
}

typedef struct Progress
{
  void (*func) (void *opaque, uint64_t done, uint64_t total);
  void *opaque;
} Progress;

static void
report (const Progress *p, uint64_t done, uint64_t total)
{
  if (p->func)
    p->func (p->opaque, done, total);
}

/* --- the backing file ------------------------------------------------------------------------------------------- */

static int
set_backing (Qcow2 *s, const char *name, const char *format)
{
  g_autofree char *old_name = s->backing_name, *old_format = s->backing_format;
  int status;

  s->backing_name = name && *name ? g_strdup (name) : NULL;
  s->backing_format = s->backing_name && format && *format ? g_strdup (format) : NULL;
  /* What was read through the old backing file may have been copied: it is there before that is gone. */
  if ((status = qcow2_begin_changes (s)) >= 0 && (status = qcow2_barrier (s)) >= 0
      && (status = qcow2_header_write (s)) >= 0)
    return qcow2_meta_flush (s);
  g_free (s->backing_name);
  g_free (s->backing_format);
  s->backing_name = g_steal_pointer (&old_name);
  s->backing_format = g_steal_pointer (&old_format);
  return status;
}

bool
qcow2_change_backing (VmNode *node, const char *name, const char *format, GError **error)
{
  Qcow2 *s = node->state;
  int status;

  if (name && strlen (name) > 1023)
    return fail (error, "Backing file name too long");
  if (format && strlen (format) >= 16)
    return fail (error, "Backing format name too long");
  if (name && *name && s->autoclear & AUTOCLEAR_RAW)
    return fail (error, "Cannot set a backing file for an image with data-file-raw");
  vm_fiber_rw_write (&s->gate);
  vm_fiber_mutex_lock (&s->lock);
  status = set_backing (s, name, format);
  vm_fiber_mutex_unlock (&s->lock);
  vm_fiber_rw_unlock (&s->gate);
  if (status < 0)
    return fail (error, "Could not change the backing file: %s",
                 status == -ENOSPC ? "its name does not fit into the header" : g_strerror (-status));
  g_free (node->backing_name);
  g_free (node->backing_format);
  node->backing_name = g_strdup (s->backing_name);
  node->backing_format = g_strdup (s->backing_format);
  return true;
}

/* --- versions ------------------------------------------------------------------------------------------------------
 */

/* Version 2 has no zero clusters: nothing where nothing is below, zeros that are data elsewhere. */
static int
expand_zeroes (Qcow2 *s, const Progress *p)
{
  g_autofree uint8_t *zeros = g_malloc0 (s->cluster_size);
  int status = 0;

  for (uint64_t offset = 0; offset < s->size && status >= 0;)
    {
      Qcow2Map map;
      struct iovec iov;

      if ((status = qcow2_map (s, offset, s->size - offset, &map)) < 0)
        break;
      if (map.kind == KIND_ZERO && !qcow2_backing (s))
        {
          vm_fiber_mutex_lock (&s->lock);
          status = qcow2_discard_at (s, offset, VM_ALIGN_UP (map.len, s->cluster_size), FREE_OTHER, true);
          vm_fiber_mutex_unlock (&s->lock);
        }
      else if (map.kind == KIND_ZERO)
        {
          map.len = MIN (map.len, s->cluster_size);
          status = qcow2_write_at (s, offset, vm_vec_buffer (&iov, zeros, map.len));
        }
      offset += map.len;
      report (p, offset, s->size);
    }
  return status;
}

/* Whether any snapshot has zero clusters. */
static int
snapshots_have_zeroes (Qcow2 *s, bool *found)
{
  g_autofree uint8_t *table = g_malloc (s->cluster_size);
  int status = 0;

  *found = false;
  for (guint i = 0; i < s->snapshots->len && status >= 0; i++)
    {
      const Qcow2Snapshot *snapshot = s->snapshots->pdata[i];

      for (uint32_t k = 0; k < snapshot->l1_size && status >= 0; k++)
        {
          uint8_t bytes[8];
          uint64_t offset;

          if ((status = qcow2_meta_read (s, snapshot->l1_offset + k * UINT64_C (8), bytes, 8)) < 0
              || !(offset = vm_load_be64 (bytes) & ENTRY_OFFSET)
              || (status = qcow2_meta_read (s, offset, table, s->cluster_size)) < 0)
            continue;
          for (unsigned e = 0; e < VM_BIT (s->l2_bits); e++)
            *found |= qcow2_entry_load (s, table, e).bitmap >> 32 != 0;
        }
    }
  return status;
}

static bool
downgrade (Qcow2 *s, const Progress *p, GError **error)
{
  bool zeroes;
  int status;

  if (s->refcount_order != 4)
    return fail (error, "compat=0.10 requires refcount_bits=16");
  if (s->incompatible & ~(uint64_t) (INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT))
    return fail (error, "Cannot downgrade an image with %s",
                 qcow2_external (s)                           ? "a data file"
                 : s->incompatible & INCOMPATIBLE_EXTENDED_L2 ? "extended L2 entries"
                                                              : "a compression type other than zlib");
  if (s->bitmaps && s->bitmaps->len)
    return fail (error, "Cannot downgrade an image with persistent bitmaps");
  if ((status = snapshots_have_zeroes (s, &zeroes)) >= 0 && zeroes)
    return fail (error, "Cannot downgrade an image whose internal snapshots have zero clusters");
  if (status >= 0)
    status = expand_zeroes (s, p);
  vm_fiber_mutex_lock (&s->lock);
  s->compatible &= ~(uint64_t) COMPATIBLE_LAZY;
  s->lazy = false;
  if (status >= 0 && (status = qcow2_barrier (s)) >= 0 && (status = qcow2_mark_clean (s)) >= 0)
    {
      s->version = 2;
      s->incompatible = s->compatible = s->autoclear = 0;
      status = qcow2_header_write (s);
    }
  vm_fiber_mutex_unlock (&s->lock);
  return status >= 0 || fail (error, "Failed to turn the image into version 2: %s", g_strerror (-status));
}

static bool
upgrade (Qcow2 *s, GError **error)
{
  int status;

  vm_fiber_mutex_lock (&s->lock);
  s->version = 3;
  /* Snapshots of version 3 say how big the disk was. */
  status = s->snapshots->len ? qcow2_snapshots_write (s) : 0;
  if (status >= 0)
    status = qcow2_header_write (s);
  if (status < 0)
    s->version = 2;
  vm_fiber_mutex_unlock (&s->lock);
  return status >= 0
         || fail (error, "Failed to turn the image into version 3: %s",
                  status == -ENOSPC ? "its header does not fit" : g_strerror (-status));
}

/* --- all -------------------------------------------------------------------------------------- */

typedef struct Wanted
{
  unsigned version, order;
  bool lazy, raw;
  const char *data_name;
} Wanted;

static bool
read_wanted (Qcow2 *s, const VmCreateValues *values, Wanted *w, GError **error)
{
  const char *compat = vm_create_has (values, "compat") ? vm_create_text (values, "compat") : NULL;
  uint64_t bits
      = vm_create_has (values, "refcount_bits") ? vm_create_number (values, "refcount_bits") : 1u << s->refcount_order;

  *w = (Wanted){ .version = s->version };
  if (compat && (g_str_equal (compat, "0.10") || g_str_equal (compat, "v2")))
    w->version = 2;
  else if (compat && (g_str_equal (compat, "1.1") || g_str_equal (compat, "v3")))
    w->version = 3;
  else if (compat)
    return fail (error, "Unknown compatibility level %s", compat);
  if (!vm_is_pow2 (bits) || bits > 64)
    return fail (error, "Refcount width must be a power of two and may not exceed 64 bits");
  if (bits != 16 && w->version < 3)
    return fail (
        error,
        "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)");
  w->order = (unsigned) __builtin_ctzll (bits);
  w->lazy = vm_create_has (values, "lazy_refcounts") ? vm_create_bool (values, "lazy_refcounts")
                                                     : s->compatible & COMPATIBLE_LAZY;
  if (w->lazy && w->version < 3)
    {
      if (vm_create_has (values, "lazy_refcounts"))
        return fail (
            error, "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
      w->lazy = false;
    }
  w->raw = vm_create_has (values, "data_file_raw") ? vm_create_bool (values, "data_file_raw")
                                                   : s->autoclear & AUTOCLEAR_RAW;
  if (w->raw && !(s->autoclear & AUTOCLEAR_RAW))
    return fail (error, "data-file-raw cannot be set on existing images");
  w->data_name = vm_create_has (values, "data_file") ? vm_create_text (values, "data_file") : NULL;
  if (w->data_name && !qcow2_external (s))
    return fail (error, "data-file can only be set for images that use an external data file");
  return true;
}

static bool
amend_header (Qcow2 *s, const VmCreateValues *values, const Wanted *w, GError **error)
{
  int status;

  vm_fiber_mutex_lock (&s->lock);
  if (w->data_name)
    {
      g_free (s->data_name);
      s->data_name = g_strdup (w->data_name);
    }
  if (!w->raw)
    s->autoclear &= ~(uint64_t) AUTOCLEAR_RAW;
  s->lazy = w->lazy;
  s->compatible = (s->compatible & ~(uint64_t) COMPATIBLE_LAZY) | (w->lazy ? COMPATIBLE_LAZY : 0);
  status = w->lazy ? 0 : qcow2_mark_clean (s);
  if (status >= 0)
    status = qcow2_header_write (s);
  vm_fiber_mutex_unlock (&s->lock);
  return status >= 0
         || fail (error, "Failed to update the image header: %s",
                  status == -ENOSPC ? "it does not fit into a cluster" : g_strerror (-status));
}

/* They may be named as they are: others would change what the disk holds, which is rebase's work. */
static bool
check_backing (const Qcow2 *s, const VmCreateValues *values, GError **error)
{
  const char *name = vm_create_text (values, "backing_file"), *format = vm_create_text (values, "backing_fmt");

  return (!name && !format)
         || (!g_strcmp0 (name, s->backing_name) && !g_strcmp0 (format, s->backing_format))
         || fail (error, "Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.");
}

static bool
amend_all (VmNode *node, const VmCreateValues *values, bool force, const Progress *p, GError **error)
{
  static const char *const keys[]
      = { "encrypt.keyslot", "encrypt.new-secret", "encrypt.old-secret", "encrypt.state", "encrypt.iter-time" };
  Qcow2 *s = node->state;
  Wanted w;
  int status;

  if (!read_wanted (s, values, &w, error) || !check_backing (s, values, error))
    return false;
  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_begin_changes (s);
  vm_fiber_mutex_unlock (&s->lock);
  if (status < 0)
    return fail (error, "Could not write the image: %s", g_strerror (-status));
  for (unsigned i = 0; i < G_N_ELEMENTS (keys); i++)
    if (vm_create_has (values, keys[i]))
      {
        if (!qcow2_crypt_amend (s, values, force, error))
          return false;
        break;
      }
  if (w.version > s->version && !upgrade (s, error))
    return false;
  if (w.order != s->refcount_order && !qcow2_change_refcount_width (s, w.order, error))
    return false;
  if (!amend_header (s, values, &w, error))
    return false;
  if (vm_create_has (values, "size") && vm_create_number (values, "size") != s->size
      && !qcow2_resize (s, VM_ALIGN_UP (vm_create_number (values, "size"), 512), VM_PREALLOC_OFF, error))
    return false;
  node->size = s->size;
  return w.version >= s->version || downgrade (s, p, error);
}

bool
qcow2_amend (VmNode *node, const VmCreateValues *values, bool force,
             void (*progress) (void *opaque, uint64_t done, uint64_t total), void *opaque, GError **error)
{
  Qcow2 *s = node->state;
  Progress p = { progress, opaque };
  bool ok;

  if (qcow2_usable (s, true) < 0)
    return fail (error, "The image is corrupt");
  for (const VmCreateOption *o = qcow2_create_options; o->name; o++)
    if (!o->amend && vm_create_has (values, o->name))
      return fail (error, "Changing '%s' of an image is not possible", o->name);
  vm_fiber_rw_write (&s->gate);
  ok = amend_all (node, values, force, &p, error);
  vm_fiber_rw_unlock (&s->gate);
  report (&p, 1, 1);
  return ok;
}
