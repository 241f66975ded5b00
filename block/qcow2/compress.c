/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compressed clusters: zlib (RFC 1951, a window of 4 KiB) and zstd (RFC 8878). Many are worked on at a time, and what
 * comes out lies side by side in the file. After the qcow2 specification, "Compressed Clusters Descriptor". */
#include "block/qcow2/qcow2-private.h"

#include <zlib.h>
#include <zstd.h>

#define BATCH 32 /* clusters compressed before they are written */
/* In a window of 4 KiB, searching longer than this takes half as long again and gains some percent. */
#define ZLIB_LEVEL 3

/* --- the codecs, on workers ------------------------------------------------------------------------------ */

typedef struct Codec
{
  bool zstd;
  const uint8_t *in;
  size_t in_len;
  uint8_t *out;
  size_t out_len; /* room; then what came out, 0: does not fit or is damaged */
} Codec;

static size_t
deflate_cluster (const Codec *c)
{
  z_stream z = { 0 };
  size_t n = 0;

  if (deflateInit2 (&z, ZLIB_LEVEL, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  z.next_in = (uint8_t *) (uintptr_t) c->in;
  z.avail_in = (uInt) c->in_len;
  z.next_out = c->out;
  z.avail_out = (uInt) c->out_len;
  if (deflate (&z, Z_FINISH) == Z_STREAM_END)
    n = c->out_len - z.avail_out;
  deflateEnd (&z);
  return n;
}

static void
codec_compress (void *opaque)
{
  Codec *c = opaque;
  size_t n;

  if (!c->zstd)
    {
      c->out_len = deflate_cluster (c);
      return;
    }
  n = ZSTD_compress (c->out, c->out_len, c->in, c->in_len, ZSTD_CLEVEL_DEFAULT);
  c->out_len = ZSTD_isError (n) ? 0 : n;
}

static size_t
inflate_cluster (const Codec *c)
{
  z_stream z = { 0 };
  int status;

  if (inflateInit2 (&z, -15) != Z_OK)
    return 0;
  z.next_in = (uint8_t *) (uintptr_t) c->in;
  z.avail_in = (uInt) c->in_len;
  z.next_out = c->out;
  z.avail_out = (uInt) c->out_len;
  status = inflate (&z, Z_FINISH);
  inflateEnd (&z);
  /* Whatever follows a cluster of data is not looked at. */
  return (status == Z_STREAM_END || status == Z_BUF_ERROR) && !z.avail_out ? c->out_len : 0;
}

static size_t
unzstd_cluster (const Codec *c)
{
  ZSTD_DStream *stream = ZSTD_createDStream ();
  ZSTD_inBuffer in = { c->in, c->in_len, 0 };
  ZSTD_outBuffer out = { c->out, c->out_len, 0 };

  while (out.pos < out.size)
    {
      size_t in_before = in.pos, out_before = out.pos, left = ZSTD_decompressStream (stream, &out, &in);

      if (ZSTD_isError (left) || (in.pos == in_before && out.pos == out_before))
        break;
    }
  ZSTD_freeDStream (stream);
  return out.pos == out.size ? out.size : 0;
}

static void
codec_decompress (void *opaque)
{
  Codec *c = opaque;

  c->out_len = c->zstd ? unzstd_cluster (c) : inflate_cluster (c);
}

/* --- reading ----------------------------------------------------------------------------------------------- */

static int
decompress (Qcow2 *s, uint64_t entry, uint8_t *out)
{
  uint64_t offset, len;
  g_autofree uint8_t *in = NULL;
  Codec codec;
  int status;

  qcow2_compressed_place (s, entry, &offset, &len);
  if (!(in = g_try_malloc (len)))
    return -ENOMEM;
  if ((status = qcow2_meta_read (s, offset, in, len)) < 0)
    return status;
  codec = (Codec){ s->compression == 1, in, len, out, s->cluster_size };
  vm_fiber_work (codec_decompress, &codec);
  return codec.out_len ? 0 : -EIO;
}

int
qcow2_read_compressed (Qcow2 *s, uint64_t entry, uint64_t in_cluster, VmVec vec)
{
  uint8_t *flat = vec.size == s->cluster_size ? vm_vec_flat (vec, 0, vec.size) : NULL;
  g_autofree uint8_t *plain = NULL;
  int status;

  if (flat)
    return decompress (s, entry, flat);
  if (s->plain_entry != entry)
    {
      if (!(plain = g_try_malloc (s->cluster_size)))
        return -ENOMEM;
      if ((status = decompress (s, entry, plain)) < 0)
        return status;
      g_free (s->plain);
      s->plain = g_steal_pointer (&plain);
      s->plain_entry = entry;
    }
  vm_vec_write (vec, 0, s->plain + in_cluster, vec.size);
  return 0;
}

/* --- writing ----------------------------------------------------------------------------------------------- */

typedef struct Piece
{
  Qcow2Group *group;
  Codec codec;
  uint8_t *in, *out; /* owned */
  uint64_t place;    /* in the file */
  bool zero;
} Piece;

static void
piece_run (void *opaque)
{
  Piece *p = opaque;

  vm_fiber_work (codec_compress, &p->codec);
  qcow2_group_done (p->group, 0);
}

/* N clusters out of VEC, the last one maybe not whole. */
static int
compress_all (Qcow2 *s, VmVec vec, Piece *pieces, unsigned n)
{
  Qcow2Group group = { 0 };
  int status = 0;

  for (unsigned i = 0; i < n; i++)
    {
      Piece *p = pieces + i;
      size_t at = i * s->cluster_size, len = MIN (s->cluster_size, vec.size - at);
      const uint8_t *in;

      *p = (Piece){ .group = &group, .zero = vm_vec_is_zero (vec, at, len) };
      if (p->zero)
        continue;
      in = len == s->cluster_size ? vm_vec_flat (vec, at, len) : NULL;
      p->out = g_try_malloc (s->cluster_size);
      if (!p->out || (!in && !(p->in = g_try_malloc0 (s->cluster_size))))
        {
          status = -ENOMEM;
          break;
        }
      if (!in)
        {
          vm_vec_read (vec, at, p->in, len);
          in = p->in;
        }
      p->codec = (Codec){ s->compression == 1, in, s->cluster_size, p->out, s->cluster_size - 1 };
      qcow2_group_run (&group, piece_run, p);
    }
  qcow2_group_wait (&group);
  return status;
}

/* Places for those that got smaller. With the lock. */
static int
place_all (Qcow2 *s, Piece *pieces, unsigned n)
{
  unsigned x = 62 - (s->cluster_bits - 8);
  int status = 0;

  for (unsigned i = 0; i < n && status >= 0; i++)
    {
      Piece *p = pieces + i;

      if (p->zero || !p->codec.out_len)
        continue;
      if (s->lazy && (status = qcow2_mark_dirty (s)) < 0)
        break;
      if ((status = qcow2_allocate_bytes (s, p->codec.out_len, &p->place)) < 0)
        break;
      if (p->place + p->codec.out_len > VM_BIT (x))
        { /* too far away for a descriptor */
          uint64_t first = p->place >> s->cluster_bits, last = (p->place + p->codec.out_len - 1) >> s->cluster_bits;

          qcow2_free_now (s, first << s->cluster_bits, last - first + 1);
          p->place = 0;
          p->codec.out_len = 0;
        }
    }
  return status;
}

/* What follows each other goes out in one write. */
static int
write_all (Qcow2 *s, const Piece *pieces, unsigned n)
{
  struct iovec iov[BATCH];
  int status = 0;

  for (unsigned i = 0, next; i < n && status >= 0; i = next)
    {
      uint64_t end = pieces[i].place + pieces[i].codec.out_len;
      unsigned parts = 1;

      next = i + 1;
      if (!pieces[i].place)
        continue;
      iov[0] = (struct iovec){ pieces[i].out, pieces[i].codec.out_len };
      for (; next < n && (!pieces[next].place || pieces[next].place == end); next++)
        if (pieces[next].place)
          {
            iov[parts++] = (struct iovec){ pieces[next].out, pieces[next].codec.out_len };
            end += pieces[next].codec.out_len;
          }
      qcow2_event (s, VMQ_BLKDEBUG_EVENT_WRITE_COMPRESSED);
      if ((status = qcow2_check_overlap (s, 0, pieces[i].place, end - pieces[i].place)) >= 0)
        status = vm_node_write (qcow2_file (s), pieces[i].place, vm_vec (iov, parts), 0);
    }
  return status;
}

static void
unplace (Qcow2 *s, Piece *p)
{
  uint64_t first = p->place >> s->cluster_bits, last = (p->place + p->codec.out_len - 1) >> s->cluster_bits;

  qcow2_free_now (s, first << s->cluster_bits, last - first + 1);
  p->place = 0;
}

static int
link_all (Qcow2 *s, uint64_t offset, Piece *pieces, unsigned n)
{
  unsigned x = 62 - (s->cluster_bits - 8);

  for (unsigned i = 0; i < n; i++)
    {
      Piece *p = pieces + i;
      uint64_t sectors;
      Qcow2Cached *slice;
      unsigned index;
      int status;

      if (!p->place)
        continue;
      if ((status = qcow2_l2_get (s, offset + i * s->cluster_size, true, &slice, &index)) < 0)
        return status;
      sectors = ((p->place + p->codec.out_len - 1) >> 9) - (p->place >> 9);
      qcow2_entry_free (s, qcow2_entry_load (s, slice->data, index), FREE_OTHER);
      qcow2_entry_store (s, slice->data, index, (Qcow2Entry){ ENTRY_COMPRESSED | sectors << x | p->place, 0 });
      qcow2_cache_dirty (&s->l2, slice);
      s->unflushed = true;
      qcow2_cache_put (slice);
      p->place = 0;
    }
  return 0;
}

/* N clusters at OFFSET in the places they got. With the lock, without it while it writes. */
static int
store_all (Qcow2 *s, uint64_t offset, Piece *pieces, unsigned n)
{
  Qcow2Allocation a = { .offset = offset, .len = n * s->cluster_size };
  int status;

  /* All of it at once: nobody else may be in the middle. */
  for (uint64_t at = 0; at < a.len;)
    {
      uint64_t len = a.len - at;

      at = qcow2_wait_allocations (s, offset + at, &len) ? 0 : at + len;
    }
  a.link.data = &a;
  g_queue_push_tail_link (&s->allocations, &a.link);
  status = place_all (s, pieces, n);
  vm_fiber_mutex_unlock (&s->lock);
  if (status >= 0)
    status = write_all (s, pieces, n);
  vm_fiber_mutex_lock (&s->lock);
  if (status >= 0)
    status = link_all (s, offset, pieces, n);
  for (unsigned i = 0; status < 0 && i < n; i++)
    if (pieces[i].place)
      unplace (s, pieces + i);
  g_queue_unlink (&s->allocations, &a.link);
  vm_fiber_queue_wake_all (&a.waiting);
  return status;
}

static int
write_batch (Qcow2 *s, uint64_t offset, VmVec vec)
{
  unsigned n = (unsigned) qcow2_clusters (s, vec.size);
  Piece pieces[BATCH];
  bool plain[BATCH];
  int status;

  memset (pieces, 0, sizeof pieces);
  status = compress_all (s, vec, pieces, n);
  if (status >= 0)
    {
      vm_fiber_mutex_lock (&s->lock);
      if ((status = qcow2_begin_changes (s)) >= 0)
        status = store_all (s, offset, pieces, n);
      vm_fiber_mutex_unlock (&s->lock);
    }
  for (unsigned i = 0; i < n; i++)
    {
      plain[i] = !pieces[i].codec.out_len; /* zeros, and what does not get smaller */
      g_free (pieces[i].in);
      g_free (pieces[i].out);
    }
  for (unsigned i = 0; i < n && status >= 0; i++)
    if (plain[i])
      {
        uint64_t at = i * s->cluster_size, len = MIN (s->cluster_size, vec.size - at);

        if (!pieces[i].zero || !qcow2_reads_zero (s, offset + at, len))
          status = qcow2_write_at (s, offset + at, vm_vec_slice (vec, at, len));
      }
  return status;
}

int
qcow2_write_compressed (Qcow2 *s, uint64_t offset, VmVec vec)
{
  size_t done = 0;
  int status = 0;

  if (qcow2_external (s))
    return -ENOTSUP;
  while (done < vec.size && status >= 0)
    {
      uint64_t at = offset + done, in = at & (s->cluster_size - 1), len = vec.size - done;

      if (in || (len < s->cluster_size && at + len < s->size))
        { /* not a whole cluster */
          len = MIN (len, s->cluster_size - in);
          status = qcow2_write_at (s, at, vm_vec_slice (vec, done, len));
        }
      else
        {
          len = MIN (len, BATCH * s->cluster_size);
          if (at + len < s->size)
            len = VM_ALIGN_DOWN (len, s->cluster_size);
          status = write_batch (s, at, vm_vec_slice (vec, done, len));
        }
      done += len;
    }
  return status;
}
