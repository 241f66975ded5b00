/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metadata of image files through a small cache of pages, and what formats do with the file below them. */
#include "block/formats/meta.h"

#include <errno.h>

enum
{
  PAGE = 32768,
  PAGES = 128,
  RANGES = 4,        /* of a batch */
  RANGE_MAX = 262144 /* bytes */
};

struct VmMetaPage
{
  VmNode *file; /* NULL: free */
  uint64_t index, used;
  uint8_t *data;
};

/* Neighbouring writes that are kept back, oldest first. */
struct VmMetaBatch
{
  struct VmMetaRange
  {
    VmNode *file;
    uint64_t offset;
    GByteArray *bytes;
  } ranges[RANGES];
  unsigned n;
  int status; /* the first error */
};

static struct VmMetaPage *
find (VmMeta *meta, VmNode *file, uint64_t index)
{
  if (!meta->pages)
    return NULL;
  struct VmMetaPage *page = &meta->pages[meta->last];
  if (page->file == file && page->index == index)
    return page;
  for (unsigned i = 0; i < PAGES; i++)
    if (meta->pages[i].file == file && meta->pages[i].index == index)
      {
        meta->last = i;
        return &meta->pages[i];
      }
  return NULL;
}

static void
forget_range (VmMeta *meta, VmNode *file, uint64_t offset, uint64_t len)
{
  for (uint64_t index = offset / PAGE; index * PAGE < offset + len; index++)
    {
      struct VmMetaPage *page = find (meta, file, index);
      if (page)
        page->file = NULL;
    }
}

static int
write_through (VmNode *file, uint64_t offset, const void *from, size_t len)
{
  int err = vm_file_grow (file, offset, len);

  if (!err)
    err = vm_node_pwrite (file, offset, from, len);
  return MIN (err, 0);
}

static int
write_batch (VmMeta *meta)
{
  struct VmMetaBatch *batch = meta->batch;

  for (unsigned i = 0; batch && i < batch->n; i++)
    {
      struct VmMetaRange *r = &batch->ranges[i];
      int err = write_through (r->file, r->offset, r->bytes->data, r->bytes->len);
      if (err)
        forget_range (meta, r->file, r->offset, r->bytes->len);
      if (!batch->status)
        batch->status = err;
      g_byte_array_unref (r->bytes);
    }
  if (batch)
    batch->n = 0;
  return batch ? batch->status : 0;
}

static int
load (VmMeta *meta, VmNode *file, uint64_t index, struct VmMetaPage **page)
{
  if (!meta->pages)
    meta->pages = g_new0 (struct VmMetaPage, PAGES);
  int status = write_batch (meta); /* the page shall have it */
  if (status)
    return status;
  unsigned oldest = 0;
  for (unsigned i = 1; i < PAGES; i++)
    if (meta->pages[i].used < meta->pages[oldest].used)
      oldest = i;
  struct VmMetaPage *p = &meta->pages[oldest];
  if (!p->data)
    p->data = g_malloc (PAGE);
  p->file = NULL;
  memset (p->data, 0, PAGE);
  uint64_t offset = index * PAGE;
  if (offset < file->size)
    {
      int err = vm_node_pread (file, offset, p->data, MIN (PAGE, file->size - offset));
      if (err < 0)
        return err;
    }
  p->file = file;
  p->index = index;
  meta->last = oldest;
  *page = p;
  return 0;
}

int
vm_meta_read (VmMeta *meta, VmNode *file, uint64_t offset, void *to, size_t len)
{
  int err = 0;

  vm_fiber_mutex_lock (&meta->lock);
  while (len && !err)
    {
      size_t at = offset % PAGE, n = MIN (len, PAGE - at);
      struct VmMetaPage *page = find (meta, file, offset / PAGE);
      if (!page)
        err = load (meta, file, offset / PAGE, &page);
      if (err)
        break;
      page->used = ++meta->clock;
      memcpy (to, page->data + at, n);
      to = (uint8_t *) to + n;
      offset += n;
      len -= n;
    }
  vm_fiber_mutex_unlock (&meta->lock);
  return err;
}

/* Into a range of the batch that FROM overlaps or goes on with, or a new one. */
static int
keep_back (VmMeta *meta, VmNode *file, uint64_t offset, const void *from, size_t len)
{
  struct VmMetaBatch *batch = meta->batch;
  struct VmMetaRange *r;

  for (r = batch->ranges; r < batch->ranges + batch->n; r++)
    if (r->file == file && offset >= r->offset && offset <= r->offset + r->bytes->len
        && offset + len - r->offset <= RANGE_MAX)
      break;
  bool overlaps = false;
  for (struct VmMetaRange *other = batch->ranges; other < batch->ranges + batch->n; other++)
    overlaps |= other != r && other->file == file && offset < other->offset + other->bytes->len
                && other->offset < offset + len;
  if (overlaps || r == batch->ranges + RANGES)
    {
      int err = write_batch (meta);
      if (err)
        return err;
      r = batch->ranges;
    }
  if (r == batch->ranges + batch->n)
    {
      *r = (struct VmMetaRange){ file, offset, g_byte_array_new () };
      batch->n++;
    }
  uint64_t at = offset - r->offset;
  if (at + len > r->bytes->len)
    g_byte_array_set_size (r->bytes, at + len);
  memcpy (r->bytes->data + at, from, len);
  return 0;
}

int
vm_meta_write (VmMeta *meta, VmNode *file, uint64_t offset, const void *from, size_t len)
{
  vm_fiber_mutex_lock (&meta->lock);
  int err = meta->batch ? keep_back (meta, file, offset, from, len) : write_through (file, offset, from, len);
  /* After an error nobody knows what the file holds: the page is read again. */
  if (err)
    forget_range (meta, file, offset, len);
  while (len && !err)
    {
      size_t at = offset % PAGE, n = MIN (len, PAGE - at);
      struct VmMetaPage *page = find (meta, file, offset / PAGE);
      if (page)
        memcpy (page->data + at, from, n);
      from = (const uint8_t *) from + n;
      offset += n;
      len -= n;
    }
  vm_fiber_mutex_unlock (&meta->lock);
  return err;
}

void
vm_meta_batch_begin (VmMeta *meta)
{
  g_assert (!meta->batch);
  meta->batch = g_new0 (struct VmMetaBatch, 1);
}

int
vm_meta_batch_end (VmMeta *meta)
{
  vm_fiber_mutex_lock (&meta->lock);
  int err = write_batch (meta);
  g_clear_pointer (&meta->batch, g_free);
  vm_fiber_mutex_unlock (&meta->lock);
  return err;
}

void
vm_meta_forget (VmMeta *meta)
{
  vm_fiber_mutex_lock (&meta->lock);
  for (unsigned i = 0; meta->pages && i < PAGES; i++)
    meta->pages[i].file = NULL;
  vm_fiber_mutex_unlock (&meta->lock);
}

void
vm_meta_free (VmMeta *meta)
{
  for (unsigned i = 0; meta->pages && i < PAGES; i++)
    g_free (meta->pages[i].data);
  g_clear_pointer (&meta->pages, g_free);
}

int
vm_file_grow (VmNode *file, uint64_t offset, uint64_t len)
{
  if (len > INT64_MAX || offset > INT64_MAX - len)
    return -EFBIG;
  if (offset + len <= file->size)
    return 0;
  return MIN (0, vm_node_truncate (file, offset + len, false, VM_PREALLOC_OFF, 0, NULL));
}

int
vm_file_read (VmNode *file, uint64_t offset, VmVec vec)
{
  if (!vec.size)
    return 0;
  if (offset >= file->size)
    return -EIO;
  size_t n = MIN (vec.size, file->size - offset);
  int err = vm_node_read (file, offset, vm_vec_slice (vec, 0, n), 0);
  if (err >= 0 && n < vec.size)
    vm_vec_fill (vec, n, 0, vec.size - n);
  return MIN (err, 0);
}

int
vm_file_zero (VmNode *file, uint64_t offset, uint64_t len)
{
  uint64_t size = file->size;
  int err = vm_file_grow (file, offset, len);

  if (!err && offset < size)
    err = vm_node_write_zeroes (file, offset, MIN (len, size - offset), 0);
  return MIN (err, 0);
}

bool
vm_file_read_header (VmNode *file, uint64_t offset, void *to, size_t len, GError **error)
{
  if (len > file->size || offset > file->size - len)
    return vm_fail (error, "The image is cut off: it ends after %" G_GUINT64_FORMAT " bytes", file->size);
  int err = vm_node_pread (file, offset, to, len);
  return err >= 0 || vm_fail (error, "Could not read the image's metadata: %s", g_strerror (-err));
}

bool
vm_file_write_header (VmNode *file, uint64_t offset, const void *from, size_t len, GError **error)
{
  int err = vm_file_grow (file, offset, len);

  if (!err)
    err = vm_node_pwrite (file, offset, from, len);
  return err >= 0 || vm_fail (error, "Could not write the image's metadata: %s", g_strerror (-err));
}
