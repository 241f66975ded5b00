/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMDK, VMware's disk images: sparse, flat, split and compressed ones, and those of ESX (VMware "Virtual Disk Format"
 * 1.1 and 5.0). */
#include "block/formats/vmdk-private.h"

#include <errno.h>
#include <inttypes.h>

enum
{
  MARKER = 12, /* before a compressed grain: its sector, its size */
  MAX_GRAIN = 64 << 20,
};

/* --- where things are ------------------------------------------------------------------------------------- */

static VmdkExtent *
find_extent (const Vmdk *s, uint64_t offset)
{
  unsigned low = 0, high = s->extents->len;

  while (low < high)
    {
      unsigned mid = (low + high) / 2;
      VmdkExtent *e = &g_array_index (s->extents, VmdkExtent, mid);
      if (offset >= e->start + e->size)
        low = mid + 1;
      else
        high = mid;
    }
  return low < s->extents->len ? &g_array_index (s->extents, VmdkExtent, low) : NULL;
}

static int
get (VmNode *node, const VmdkExtent *e, uint64_t at, uint32_t *value)
{
  Vmdk *s = node->state;
  uint8_t raw[4] = { 0 };
  int err = vm_meta_read (&s->map.meta, e->file, at, raw, 4);

  *value = vm_load_le32 (raw);
  return err;
}

static int
put (VmNode *node, const VmdkExtent *e, uint64_t at, uint32_t value)
{
  Vmdk *s = node->state;
  uint8_t raw[4];

  vm_store_le32 (raw, value);
  return vm_meta_write (&s->map.meta, e->file, at, raw, 4);
}

/* The place of the entry of the grain at OFFSET of the extent, in the table that DIRECTORY names; 0: no table. */
static int
entry_place (VmNode *node, const VmdkExtent *e, uint64_t directory, uint64_t offset, uint64_t *place)
{
  uint64_t index = offset / e->grain;
  uint32_t table;
  int err = get (node, e, directory + 4 * (index / e->entries), &table);

  *place = table ? table * UINT64_C (512) + 4 * (index % e->entries) : 0;
  if (!err && table && !vm_map_within (table * UINT64_C (512), e->entries * 4, MAX (e->end, e->file->size)))
    err = -EUCLEAN;
  return err;
}

/* The backing file must be the one the image was made over. */
static int
check_parent (VmNode *node)
{
  Vmdk *s = node->state;
  VmNode *parent = vm_node_backing (node);

  if (!parent || s->parent == VMDK_PARENT_RIGHT)
    return 0;
  if (s->parent == VMDK_PARENT_UNKNOWN)
    {
      const Vmdk *p = parent->driver == node->driver ? parent->state : NULL;
      s->parent = p && p->cid == s->parent_cid ? VMDK_PARENT_RIGHT : VMDK_PARENT_WRONG;
    }
  return s->parent == VMDK_PARENT_RIGHT ? 0 : -EINVAL;
}

static int
vmdk_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Vmdk *s = node->state;
  const VmdkExtent *e = find_extent (s, offset);

  if (!e)
    return -EIO;
  uint64_t at = offset - e->start, place;
  m->file = e->file;
  m->len = e->size - at;
  if (e->kind == VMDK_SE)
    {
      int status = vm_vmdk_se_lookup (node, e, at, m);
      return status || m->kind != VM_MAP_HOLE ? status : check_parent (node);
    }
  if (e->kind != VMDK_SPARSE)
    {
      m->kind = e->kind == VMDK_FLAT ? VM_MAP_DATA : VM_MAP_ZERO;
      m->offset = e->offset + at;
      return 0;
    }
  m->len = MIN (m->len, e->grain - at % e->grain);
  uint32_t entry = 0;
  int err = entry_place (node, e, e->directory, at, &place);
  if (!err && place)
    err = get (node, e, place, &entry);
  if (err)
    return err;
  if (!entry)
    return check_parent (node);
  if (entry == 1 && e->zeroed)
    {
      m->kind = VM_MAP_ZERO;
      return 0;
    }
  uint64_t grain = entry * UINT64_C (512);
  if (grain >= MAX (e->end, e->file->size))
    return -EUCLEAN;
  m->kind = e->compressed ? VM_MAP_PACKED : VM_MAP_DATA;
  m->offset = e->compressed ? grain : grain + at % e->grain;
  return 0;
}

static int
vmdk_unpack (VmNode *node, uint64_t offset, const VmMapping *m, VmVec vec)
{
  const VmdkExtent *e = find_extent (node->state, offset);
  uint8_t marker[MARKER];
  uint64_t at = m->offset, len = e->grain * 2;

  if (e->markers)
    {
      int err = vm_node_pread (e->file, at, marker, MARKER);
      if (err < 0)
        return err;
      at += MARKER;
      len = vm_load_le32 (marker + 8);
      if (!len || len > e->grain * 2)
        return -EIO;
    }
  else if (at < e->file->size)
    len = MIN (len, e->file->size - at);
  if (!vm_map_within (at, len, e->file->size))
    return -EIO;
  g_autofree uint8_t *packed = g_try_malloc (len), *plain = g_try_malloc (e->grain);
  if (!packed || !plain)
    return -ENOMEM;
  int err = vm_node_pread (e->file, at, packed, len);
  if (err < 0)
    return err;
  ssize_t n = vm_inflate (packed, len, plain, e->grain, 15);
  uint64_t in_grain = (offset - e->start) % e->grain;
  if (n < 0 || in_grain + vec.size > (uint64_t) n)
    return -EIO;
  vm_vec_write (vec, 0, plain + in_grain, vec.size);
  return 0;
}

/* --- new grains -------------------------------------------------------------------------------------------- */

static int
vmdk_allocate (VmNode *node, VmPlace *place)
{
  VmdkExtent *e = find_extent (node->state, place->start);

  if (!e || e->kind != VMDK_SPARSE)
    return -ENOTSUP;
  if (e->compressed)
    return VM_MAP_PACK;
  if (e->end / 512 > UINT32_MAX)
    return -ENOSPC;
  place->file = e->file;
  place->offset = e->end;
  place->reserve = e->grain;
  e->end += e->grain;
  return 0;
}

/* A table that is still missing: whole before the directory names it. */
static int
make_table (VmNode *node, VmdkExtent *e, uint64_t directory, uint64_t offset, uint64_t *place)
{
  Vmdk *s = node->state;
  uint64_t at = e->end, bytes = VM_ALIGN_UP (e->entries * 4, 512), index = offset / e->grain;

  if (at / 512 > UINT32_MAX)
    return -ENOSPC;
  e->end += bytes;
  int err = vm_file_zero (e->file, at, bytes);
  vm_meta_forget (&s->map.meta);
  if (!err)
    err = put (node, e, directory + 4 * (index / e->entries), at / 512);
  *place = at + 4 * (index % e->entries);
  return err;
}

static int
set_entry (VmNode *node, uint64_t offset, uint32_t entry)
{
  VmdkExtent *e = find_extent (node->state, offset);
  uint64_t at = offset - e->start, place;
  int err = 0;

  /* The copy first: it never has less than the table in use. */
  if (e->redundant)
    {
      err = entry_place (node, e, e->redundant, at, &place);
      if (!err && place)
        err = put (node, e, place, entry);
    }
  if (!err)
    err = entry_place (node, e, e->directory, at, &place);
  if (!err && !place)
    err = make_table (node, e, e->directory, at, &place);
  return err ? err : put (node, e, place, entry);
}

static int
vmdk_link (VmNode *node, const VmPlace *place)
{
  if (!place->zero)
    return set_entry (node, place->start, place->offset / 512);
  const VmdkExtent *e = find_extent (node->state, place->start);
  return e->zeroed ? set_entry (node, place->start, 1) : -ENOTSUP;
}

static int
vmdk_write_packed (VmNode *node, uint64_t offset, VmVec vec)
{
  VmdkExtent *e = find_extent (node->state, offset);

  if (!e || !e->compressed)
    return -ENOTSUP;
  size_t room = e->grain + e->grain / 1000 + 64;
  g_autofree uint8_t *plain = g_try_malloc0 (e->grain), *packed = g_try_malloc0 (MARKER + room + 512);
  if (!plain || !packed)
    return -ENOMEM;
  vm_vec_read (vec, 0, plain, vec.size);
  ssize_t len = vm_deflate (plain, e->grain, packed + MARKER, room, 15);
  if (len < 0)
    return -EIO;
  uint64_t at = e->end, bytes = VM_ALIGN_UP (MARKER + len, 512);
  if (at / 512 > UINT32_MAX)
    return -ENOSPC;
  vm_store_le64 (packed, (offset - e->start) / 512);
  vm_store_le32 (packed + 8, len);
  e->end += bytes;
  int err = vm_file_grow (e->file, at, bytes);
  if (!err)
    err = vm_node_pwrite (e->file, at, e->markers ? packed : packed + MARKER, e->markers ? bytes : bytes - MARKER);
  return err < 0 ? err : set_entry (node, offset, at / 512);
}

static const VmMapOps vmdk_ops = {
  .lookup = vmdk_lookup,
  .unpack = vmdk_unpack,
  .allocate = vmdk_allocate,
  .link = vmdk_link,
  .write_packed = vmdk_write_packed,
};
static const VmMapOps vmdk_zeroed_ops = {
  .lookup = vmdk_lookup,
  .unpack = vmdk_unpack,
  .allocate = vmdk_allocate,
  .link = vmdk_link,
  .can_zero = true,
  .write_packed = vmdk_write_packed,
};

/* Children of the image see by its content id that it has changed. */
static int
change_cid (VmNode *node)
{
  Vmdk *s = node->state;

  if (s->readonly_extents)
    return -EACCES;
  if (s->cid_changed || !s->descriptor)
    return 0;
  s->cid_changed = true;
  uint32_t cid = g_random_int_range (1, INT32_MAX);
  g_autofree char *value = g_strdup_printf ("%08" PRIx32, cid);
  g_autofree char *text = vm_vmdk_set_value (s->descriptor, "CID", value, "version");
  int err = text ? vm_vmdk_write_descriptor (node, text) : -EIO;
  if (!err)
    s->cid = cid;
  return err;
}

static int
vmdk_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int err = change_cid (node);

  return err ? err : vm_map_write (node, offset, vec, flags);
}

static int
vmdk_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  int err = change_cid (node);

  return err ? err : vm_map_write_zeroes (node, offset, len, flags);
}

/* --- opening ----------------------------------------------------------------------------------------------- */

static int
vmdk_probe (const uint8_t *head, size_t n, VmNode *file)
{
  if (n >= 4 && (!memcmp (head, VMDK_MAGIC, 4) || !memcmp (head, COWD_MAGIC, 4)))
    return 100;
  return vm_vmdk_is_descriptor ((const char *) head, n) ? 100 : 0;
}

/* H becomes the footer of images whose directory was written last. */
static bool
take_footer (VmNode *file, uint8_t *h, GError **error)
{
  uint64_t at = file->size - MIN (file->size, 1024);
  uint8_t footer[VMDK_HEADER];

  if (vm_load_le64 (h + VMDK_AT_DIRECTORY) != VMDK_DIRECTORY_AT_END)
    return true;
  if (!vm_file_read_header (file, at, footer, VMDK_HEADER, error))
    return false;
  if (memcmp (footer, VMDK_MAGIC, 4) || vm_load_le64 (footer + VMDK_AT_DIRECTORY) == VMDK_DIRECTORY_AT_END)
    return vm_fail (error, "Invalid footer");
  memcpy (h, footer, VMDK_HEADER);
  return true;
}

static bool
take_sparse_header (VmdkExtent *e, const uint8_t *h, GError **error)
{
  uint32_t version = vm_load_le32 (h + VMDK_AT_VERSION), flags = vm_load_le32 (h + VMDK_AT_FLAGS);
  uint64_t capacity = vm_load_le64 (h + VMDK_AT_CAPACITY), grain = vm_load_le64 (h + VMDK_AT_GRAIN);
  uint64_t redundant = vm_load_le64 (h + VMDK_AT_REDUNDANT), directory = vm_load_le64 (h + VMDK_AT_DIRECTORY);

  if (version < 1 || version > 3)
    return vm_fail (error, "Unsupported VMDK version %" PRIu32, version);
  if ((flags & VMDK_FLAG_LINE_ENDS) && memcmp (h + VMDK_AT_LINE_ENDS, VMDK_LINE_ENDS, 4))
    return vm_fail (error, "The VMDK image was damaged by a transfer as text");
  e->compressed = flags & VMDK_FLAG_COMPRESSED;
  e->markers = flags & VMDK_FLAG_MARKERS;
  e->zeroed = flags & VMDK_FLAG_ZEROED;
  if (e->compressed && vm_load_le16 (h + VMDK_AT_ALGORITHM) != 1)
    return vm_fail (error, "The VMDK image is compressed by an unknown method");
  e->entries = vm_load_le32 (h + VMDK_AT_ENTRIES);
  if (!e->entries || e->entries > VMDK_ENTRIES)
    return vm_fail (error, e->entries ? "L2 table size too big" : "The VMDK image has grain tables without entries");
  if (!vm_is_pow2 (grain) || grain > MAX_GRAIN / 512)
    return vm_fail (error, "Invalid granularity, image may be corrupt");
  const uint64_t max = INT64_MAX / 1024;
  if (capacity > max || directory > max || redundant > max || vm_load_le64 (h + VMDK_AT_OVERHEAD) > max)
    return vm_fail (error, "The header of the VMDK image is damaged");
  e->grain = grain * 512;
  e->size = capacity * 512;
  e->directory = directory * 512;
  e->redundant = flags & VMDK_FLAG_REDUNDANT ? redundant * 512 : 0;
  uint64_t overhead = vm_load_le64 (h + VMDK_AT_OVERHEAD) * 512;
  if (e->file->size < overhead)
    return vm_fail (error, "File truncated, expecting at least %" PRIu64 " bytes", overhead);
  e->end = MAX (VM_ALIGN_UP (e->file->size, 512), overhead);
  return true;
}

static bool
take_cowd_header (VmdkExtent *e, const uint8_t *h, GError **error)
{
  uint32_t grain = vm_load_le32 (h + COWD_AT_GRAIN);

  if (!vm_is_pow2 (grain) || grain > MAX_GRAIN / 512)
    return vm_fail (error, "Invalid granularity, image may be corrupt");
  e->entries = COWD_ENTRIES;
  e->grain = grain * UINT64_C (512);
  e->size = vm_load_le32 (h + COWD_AT_SECTORS) * UINT64_C (512);
  e->directory = vm_load_le32 (h + COWD_AT_DIRECTORY) * UINT64_C (512);
  e->end = VM_ALIGN_UP (e->file->size, 512);
  return true;
}

static bool
check_tables (VmNode *node, VmdkExtent *e, GError **error)
{
  const Vmdk *s = node->state;
  uint64_t covered = e->grain * e->entries;

  e->tables = (e->size + covered - 1) / covered;
  if (e->tables > 32 * VM_MIB)
    return vm_fail (error, "L1 size too big");
  if (e->directory < VMDK_HEADER || !vm_map_within (e->directory, e->tables * 4, e->file->size)
      || (e->redundant && !vm_map_within (e->redundant, e->tables * 4, e->file->size)))
    return vm_fail (error, "The grain directory of the VMDK image lies behind its end");
  for (unsigned i = 0; i < s->extents->len; i++)
    {
      const VmdkExtent *other = &g_array_index (s->extents, VmdkExtent, i);
      if (other->kind == VMDK_SE
          || (other->kind == VMDK_SPARSE && (other->grain != e->grain || other->size % e->grain)))
        return vm_fail (error, "VMDK images with extents of different grains are not supported");
    }
  if (e->start % e->grain)
    return vm_fail (error, "VMDK images with extents of different grains are not supported");
  return true;
}

bool
vm_vmdk_add_sparse (VmNode *node, VmNode *file, const char *filename, const char *type, uint64_t size, GError **error)
{
  Vmdk *s = node->state;
  uint8_t h[VMDK_HEADER];
  VmdkExtent e = { .kind = VMDK_SPARSE, .file = file, .start = node->size };

  if (!vm_file_read_header (file, 0, h, VMDK_HEADER, error))
    return false;
  bool ok;
  if (!memcmp (h, VMDK_MAGIC, 4))
    ok = take_footer (file, h, error) && take_sparse_header (&e, h, error);
  else if (!memcmp (h, COWD_MAGIC, 4))
    ok = take_cowd_header (&e, h, error);
  else
    return vm_fail (error, "Image not in VMDK format");
  if (!ok)
    return false;
  if (size && size > e.size)
    return vm_fail (error, "The extent '%s' of the VMDK image is smaller than its descriptor says", filename);
  e.size = size ? size : e.size;
  if (!check_tables (node, &e, error))
    return false;
  e.filename = g_strdup (filename);
  e.type = g_strdup (type);
  g_array_append_val (s->extents, e);
  node->size += e.size;
  s->map.block = e.grain;
  if (e.zeroed && s->extents->len == 1)
    s->map.ops = &vmdk_zeroed_ops;
  return true;
}

static bool
read_descriptor (VmNode *node, uint64_t at, uint64_t room, GError **error)
{
  Vmdk *s = node->state;
  VmNode *file = node->file->node;
  uint64_t len = room ? room : file->size;

  if (len > VMDK_MAX_DESCRIPTOR || !len)
    return vm_fail (error, "Cannot get file size of the VMDK descriptor");
  s->descriptor = g_malloc0 (len + 1);
  s->descriptor_at = at;
  s->descriptor_room = room;
  return vm_file_read_header (file, at, s->descriptor, len, error);
}

static bool
take_descriptor (VmNode *node, GError **error)
{
  static const char *const types[]
      = { "monolithicFlat",       "monolithicSparse", "vmfs",   "vmfsSparse", "twoGbMaxExtentSparse",
          "twoGbMaxExtentFlat",   "streamOptimized",  "custom", "vmfsThin",   "vmfsPreallocated",
          "vmfsEagerZeroedThick", "seSparse",         NULL };
  Vmdk *s = node->state;

  s->create_type = vm_vmdk_value (s->descriptor, "createType");
  if (!s->create_type)
    return vm_fail (error, "invalid VMDK image descriptor");
  if (!g_strv_contains (types, s->create_type))
    return vm_fail (error, "Unsupported image type '%s'", s->create_type);
  vm_vmdk_id (s->descriptor, "CID", &s->cid);
  if (!vm_vmdk_id (s->descriptor, "parentCID", &s->parent_cid))
    s->parent_cid = VMDK_NO_PARENT;
  if (s->parent_cid != VMDK_NO_PARENT)
    {
      node->backing_name = vm_vmdk_value (s->descriptor, "parentFileNameHint");
      if (node->backing_name)
        node->backing_format = g_strdup ("vmdk");
    }
  return true;
}

static bool
open_sparse (VmNode *node, const uint8_t *h, GError **error)
{
  VmNode *file = node->file->node;
  uint64_t at = vm_load_le64 (h + VMDK_AT_DESCRIPTOR), len = vm_load_le64 (h + VMDK_AT_DESCRIPTOR_LEN);
  bool has_descriptor = !memcmp (h, VMDK_MAGIC, 4) && at && len;

  if (has_descriptor && (at > INT64_MAX / 512 || len > VMDK_MAX_DESCRIPTOR / 512))
    return vm_fail (error, "The descriptor of the VMDK image does not lie where one can");
  if (has_descriptor)
    {
      Vmdk *s = node->state;
      if (!read_descriptor (node, at * 512, len * 512, error))
        return false;
      /* One extent of several has room for a descriptor, and none. */
      if (!*s->descriptor)
        g_clear_pointer (&s->descriptor, g_free);
      else if (!take_descriptor (node, error))
        return false;
    }
  return vm_vmdk_add_sparse (node, file, file->filename, "", 0, error);
}

static bool
vmdk_open_image (VmNode *node, GError **error)
{
  Vmdk *s = node->state;
  uint8_t h[VMDK_HEADER] = { 0 };

  s->map.ops = &vmdk_ops;
  s->map.layered = true;
  s->map.flat = true;
  s->map.block = 65536;
  s->parent_cid = VMDK_NO_PARENT;
  if (!vm_format_open_file (node, error))
    return false;
  VmNode *file = node->file->node;
  if (!vm_file_read_header (file, 0, h, MIN (VMDK_HEADER, file->size), error))
    return false;
  bool ok;
  if (!memcmp (h, VMDK_MAGIC, 4) || !memcmp (h, COWD_MAGIC, 4))
    ok = open_sparse (node, h, error);
  else
    ok = read_descriptor (node, 0, 0, error) && take_descriptor (node, error) && vm_vmdk_open_extents (node, error);
  if (ok && s->se_sparse && !vm_format_readonly (node, NULL))
    return vm_fail (error, "VMDK images of type seSparse can only be read: open them with read-only=on");
  if (ok && s->readonly_extents && !node->readonly)
    return vm_fail (error, "The VMDK image has extents that may only be read: open it with read-only=on");
  return ok;
}

static void
vmdk_free (VmNode *node)
{
  Vmdk *s = node->state;

  for (unsigned i = 0; i < s->extents->len; i++)
    {
      VmdkExtent *e = &g_array_index (s->extents, VmdkExtent, i);
      g_free (e->filename);
      g_free (e->type);
    }
  g_array_unref (s->extents);
  g_free (s->descriptor);
  g_free (s->create_type);
  vm_map_close (node);
}

static bool
vmdk_open (VmNode *node, const void *options, GError **error)
{
  Vmdk *s = node->state;

  s->extents = g_array_new (FALSE, TRUE, sizeof (VmdkExtent));
  bool ok = vmdk_open_image (node, error);
  if (!ok)
    vmdk_free (node);
  return ok;
}

/* --- describing, checking ----------------------------------------------------------------------------------- */

static json_object *
vmdk_describe (VmNode *node)
{
  const Vmdk *s = node->state;
  json_object *result = json_object_new_object (), *data = json_object_new_object (), *list = json_object_new_array ();

  for (unsigned i = 0; i < s->extents->len; i++)
    {
      const VmdkExtent *e = &g_array_index (s->extents, VmdkExtent, i);
      json_object *one = json_object_new_object ();
      if (e->compressed)
        json_object_object_add (one, "compressed", json_object_new_boolean (true));
      json_object_object_add (one, "virtual-size", json_object_new_uint64 (e->size));
      json_object_object_add (one, "filename", json_object_new_string (e->file ? e->file->filename : ""));
      if (e->kind == VMDK_SPARSE || e->kind == VMDK_SE)
        json_object_object_add (one, "cluster-size", json_object_new_uint64 (e->grain));
      json_object_object_add (one, "format", json_object_new_string (e->type));
      json_object_array_add (list, one);
    }
  json_object_object_add (data, "cid", json_object_new_uint64 (s->cid));
  json_object_object_add (data, "parent-cid", json_object_new_uint64 (s->parent_cid));
  json_object_object_add (data, "create-type", json_object_new_string (s->create_type ? s->create_type : ""));
  json_object_object_add (data, "extents", list);
  json_object_object_add (result, "type", json_object_new_string ("vmdk"));
  json_object_object_add (result, "data", data);
  return result;
}

static uint32_t
vmdk_cluster_size (VmNode *node)
{
  const Vmdk *s = node->state;

  for (unsigned i = 0; i < s->extents->len; i++)
    {
      VmdkKind kind = g_array_index (s->extents, VmdkExtent, i).kind;
      if (kind != VMDK_SPARSE && kind != VMDK_SE)
        return 0;
    }
  return s->map.block;
}

static int
check_extent (VmNode *node, const VmdkExtent *e, VmCheckResult *result)
{
  VmUnitMap units = { 0 };
  int err = 0;

  for (uint64_t at = 0; at < e->size && !err; at += e->grain)
    {
      uint64_t place;
      uint32_t entry = 0;
      err = entry_place (node, e, e->directory, at, &place);
      if (!err && place)
        err = get (node, e, place, &entry);
      if (err == -EUCLEAN)
        {
          vm_check_say (result, "ERROR: grain table for sector %" PRIu64 " points after EOF", (e->start + at) / 512);
          result->corruptions++;
          at += e->grain * (e->entries - 1);
          err = 0;
          continue;
        }
      if (err || !place)
        {
          at += err ? 0 : e->grain * (e->entries - 1 - at / e->grain % e->entries);
          continue;
        }
      if (!entry || (entry == 1 && e->zeroed))
        continue;
      if (entry * UINT64_C (512) >= e->file->size)
        vm_check_say (result, "ERROR: cluster offset for sector %" PRIu64 " points after EOF", (e->start + at) / 512);
      else if (!vm_units_add (&units, entry))
        vm_check_say (result, "ERROR: the grain of sector %" PRIu64 " is used twice", (e->start + at) / 512);
      else
        continue;
      result->corruptions++;
    }
  vm_units_free (&units);
  return err;
}

static int
vmdk_check (VmNode *node, VmCheckResult *result, unsigned fix)
{
  const Vmdk *s = node->state;
  int err = 0;

  for (unsigned i = 0; i < s->extents->len && !err; i++)
    {
      const VmdkExtent *e = &g_array_index (s->extents, VmdkExtent, i);
      if (e->kind == VMDK_SPARSE)
        err = check_extent (node, e, result);
      else if (e->kind == VMDK_SE)
        err = vm_vmdk_se_check (node, e, result);
    }
  if (err)
    result->check_errors++;
  return err;
}

/* All files together. */
static uint64_t
vmdk_allocated (VmNode *node)
{
  uint64_t bytes = 0;

  for (unsigned i = 0; i < node->children->len; i++)
    {
      const VmEdge *edge = node->children->pdata[i];
      if (!(edge->role & VM_ROLE_COW) && edge->node->driver->allocated)
        bytes += edge->node->driver->allocated (edge->node);
    }
  return bytes;
}

static bool
vmdk_change_backing (VmNode *node, const char *name, const char *format, GError **error)
{
  Vmdk *s = node->state;
  VmNode *parent = vm_node_backing (node);
  const Vmdk *p = parent && parent->driver == node->driver ? parent->state : NULL;

  if (!s->descriptor)
    return vm_fail (error, "The VMDK image has no descriptor to name a backing file in");
  if (name && format && strcmp (format, "vmdk"))
    return vm_fail (error, "backing_file must be a vmdk image");
  uint32_t cid = name && p ? p->cid : VMDK_NO_PARENT;
  g_autofree char *id = g_strdup_printf ("%08" PRIx32, cid), *hint = name ? g_strdup_printf ("\"%s\"", name) : NULL;
  g_autofree char *half = vm_vmdk_set_value (s->descriptor, "parentCID", id, "CID");
  g_autofree char *text = half ? vm_vmdk_set_value (half, "parentFileNameHint", hint, "createType") : NULL;
  int err = text ? vm_vmdk_write_descriptor (node, text) : -EIO;
  if (err)
    return vm_fail (error, "Could not write the descriptor of the VMDK image: %s", g_strerror (-err));
  s->parent_cid = cid;
  s->parent = VMDK_PARENT_UNKNOWN;
  return true;
}

const VmBlockDriver vm_vmdk_driver = {
  .name = "vmdk",
  .help = "VMware disk image",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Vmdk),
  .has_backing = true,
  .can_compress = true,
  .probe = vmdk_probe,
  .open = vmdk_open,
  .close = vmdk_free,
  .read = vm_map_read,
  .write = vmdk_write,
  .write_zeroes = vmdk_write_zeroes,
  .discard = vm_map_discard,
  .status = vm_map_status,
  .create = vm_vmdk_create,
  .create_options = vm_vmdk_create_options,
  .change_backing = vmdk_change_backing,
  .check = vmdk_check,
  .allocated = vmdk_allocated,
  .describe = vmdk_describe,
  .cluster_size = vmdk_cluster_size,
};
