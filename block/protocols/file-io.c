/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of the host: requests. What would make the graph's thread wait goes to a worker; what the page cache answers at
 * once does not. */
#include "block/protocols/file-private.h"

#include "block/graph-private.h"
#include "block/protocols/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECES 64
#define BOUNCE (1024 * 1024)
#define INLINE_MAX (128 * 1024) /* copied by the graph's thread itself */
#define ZEROS (1024 * 1024)
#define WRITES 16 /* of others that a worker does behind its own */

/* What the page cache makes short is done at once where nobody else waits for the graph's thread. */
static bool
is_short (const VmNode *node)
{
  return node->graph->patient && !node->cache_direct;
}

static void
work (const VmNode *node, VmFiberFunc func, void *opaque)
{
  if (is_short (node))
    func (opaque);
  else
    vm_fiber_work (func, opaque);
}

/* --- transfers ------------------------------------------------------------------------------------------ */

typedef struct Transfer
{
  FileState *s;
  bool write;
  uint64_t offset;
  VmVec vec; /* what is left */
  int status;
  VmFiber *fiber;
  bool done, turn; /* by another's worker; it is for its fiber to go on */
} Transfer;

/* One call; FLAGS as of preadv2(). Returns what the call does. */
static ssize_t
move_some (Transfer *t, int flags)
{
  struct iovec iov[PIECES];
  VmVec rest = t->vec;
  unsigned n = vm_vec_take (&rest, iov, PIECES);
  ssize_t moved;

  do
    moved = t->write ? pwritev2 (t->s->fd, iov, (int) n, (off_t) t->offset, flags)
                     : preadv2 (t->s->fd, iov, (int) n, (off_t) t->offset, flags);
  while (moved < 0 && errno == EINTR);
  if (moved > 0)
    {
      t->offset += (uint64_t) moved;
      t->vec = vm_vec_slice (t->vec, (size_t) moved, t->vec.size - (size_t) moved);
    }
  return moved;
}

static void
move_all (void *opaque)
{
  Transfer *t = opaque;

  while (t->vec.size)
    {
      ssize_t moved = move_some (t, 0);
      if (moved < 0)
        {
          t->status = -errno;
          return;
        }
      if (moved == 0 && t->write)
        {
          t->status = -ENOSPC;
          return;
        }
      if (moved == 0) /* the end of the file */
        {
          vm_vec_fill (t->vec, 0, 0, t->vec.size);
          return;
        }
    }
}

/* Writes into the page cache exclude each other in the host, where those who wait keep a processor busy, too. One
 * worker does them in their order. */
typedef struct Writer
{
  VmLoop *loop;
  GAsyncQueue *queue;
  Transfer *first;
} Writer;

static void
written (void *opaque)
{
  Transfer *t = opaque;

  t->done = true;
  vm_fiber_wake (t->fiber);
}

static void
write_many (void *opaque)
{
  Writer *w = opaque;
  Transfer *t;

  move_all (w->first);
  for (unsigned i = 0; i < WRITES && (t = g_async_queue_try_pop (w->queue)); i++)
    {
      move_all (t);
      vm_loop_post (w->loop, written, t);
    }
}

static void
write_in_turn (const VmNode *node, Transfer *t)
{
  FileState *s = t->s;
  Writer w = { vm_graph_loop (node->graph), s->writes, t };

  if (!s->writes)
    w.queue = s->writes = g_async_queue_new ();
  t->fiber = vm_fiber_self ();
  if (s->writing)
    {
      g_async_queue_push (s->writes, t);
      while (!t->done && !t->turn)
        vm_fiber_suspend ();
    }
  if (t->done)
    return;
  s->writing = true;
  vm_fiber_work (write_many, &w);
  Transfer *next = g_async_queue_try_pop (s->writes);
  if (next)
    {
      next->turn = true;
      vm_fiber_wake (next->fiber);
    }
  else
    s->writing = false;
}

/* True when all was there, or could be taken, without waiting. */
static bool
move_without_wait (Transfer *t, bool *possible)
{
  if (!*possible || t->vec.size > INLINE_MAX)
    return false;
  while (t->vec.size)
    {
      ssize_t moved = move_some (t, RWF_NOWAIT);
      if (moved < 0 && errno != EAGAIN)
        *possible = false; /* a real error shows again when it may wait */
      if (moved <= 0)
        return false;
    }
  return true;
}

static int
move_bounced (FileState *s, bool write, uint64_t offset, VmVec vec)
{
  size_t size = MIN (BOUNCE, vec.size);
  void *buffer = aligned_alloc (s->memory_align, VM_ALIGN_UP (size, s->memory_align));
  int status = 0;

  if (!buffer)
    return -ENOMEM;
  for (size_t done = 0; status >= 0 && done < vec.size;)
    {
      size_t part = MIN (size, vec.size - done);
      struct iovec iov;
      Transfer t = { .s = s, .write = write, .offset = offset + done, .vec = vm_vec_buffer (&iov, buffer, part) };
      if (write)
        vm_vec_read (vec, done, buffer, part);
      vm_fiber_work (move_all, &t);
      status = t.status;
      if (!write && status >= 0)
        vm_vec_write (vec, done, buffer, part);
      done += part;
    }
  free (buffer);
  return status;
}

static int
file_move (VmNode *node, bool write, uint64_t offset, VmVec vec)
{
  FileState *s = node->state;
  Transfer t = { .s = s, .write = write, .offset = offset, .vec = vec };

  if (s->memory_align > 1 && !vm_vec_is_aligned (vec, s->memory_align))
    return move_bounced (s, write, offset, vec);
  if (s->aio != FILE_AIO_THREADS)
    return vm_aio_transfer (node->graph, s->aio == FILE_AIO_URING, s->fd, write, offset, vec);
  if (write && vec.size <= INLINE_MAX && is_short (node))
    move_all (&t);
  else if (!move_without_wait (&t, write ? &s->nowait_write : &s->nowait_read))
    {
      if (write && !node->cache_direct && !s->is_device)
        write_in_turn (node, &t);
      else
        vm_fiber_work (move_all, &t);
    }
  if (write && s->behind)
    vm_write_behind_note (s->behind, offset, vec.size);
  return t.status;
}

int
file_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return file_move (node, false, offset, vec);
}

int
file_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return file_move (node, true, offset, vec);
}

/* --- errands: calls without data ------------------------------------------------------------------------------ */

typedef struct Errand
{
  FileState *s;
  uint64_t offset, len;
  unsigned flags;
  VmPreallocation prealloc;
  VmExtent *extent;
  int status;
} Errand;

static void
do_flush (void *opaque)
{
  Errand *e = opaque;

  e->status = fdatasync (e->s->fd) < 0 ? -errno : 0;
}

int
file_flush (VmNode *node)
{
  FileState *s = node->state;
  Errand e = { .s = s };

  /* After one failure the host has forgotten which pages did not get there. */
  if (s->sync_failed)
    return -EIO;
  if (!s->writable)
    return 0;
  vm_fiber_work (do_flush, &e);
  if (e.status < 0)
    s->sync_failed = true;
  return e.status;
}

typedef struct CopyErrand
{
  int fd, source;
  off_t offset, source_offset;
  uint64_t len;
  int status;
} CopyErrand;

static void
do_copy (void *opaque)
{
  CopyErrand *e = opaque;

  while (e->len)
    {
      ssize_t n = copy_file_range (e->source, &e->source_offset, e->fd, &e->offset, e->len, 0);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0) /* not between these files, or past the end: reading says what is wrong */
        {
          e->status = n == 0 || errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ? -ENOTSUP
                                                                                                           : -errno;
          return;
        }
      e->len -= (uint64_t) n;
    }
}

int
file_copy_from (VmNode *node, uint64_t offset, VmNode *source, uint64_t source_offset, uint64_t len)
{
  FileState *s = node->state;
  const FileState *from = source->state;
  CopyErrand e = { s->fd, from->fd, (off_t) offset, (off_t) source_offset, len, 0 };

  s->data_end = 0;
  vm_fiber_work (do_copy, &e);
  if (s->behind && e.status >= 0)
    vm_write_behind_note (s->behind, offset, len);
  return e.status;
}

static void
end_bulk (void *opaque)
{
  Errand *e = opaque;

  e->status = vm_write_behind_free (g_steal_pointer (&e->s->behind));
}

int
file_bulk (VmNode *node, bool begin)
{
  FileState *s = node->state;
  Errand e = { .s = s };

  if (begin && !s->is_device && !node->cache_direct)
    s->behind = vm_write_behind_new (s->fd);
  if (begin || !s->behind)
    return 0;
  vm_fiber_work (end_bulk, &e);
  /* The host tells of a failure once. */
  if (e.status < 0)
    s->sync_failed = true;
  return e.status;
}

static bool
is_unsupported (int error)
{
  return error == EOPNOTSUPP || error == ENOSYS || error == ENODEV || error == EINVAL || error == ENOTTY;
}

static int
punch (FileState *s, uint64_t offset, uint64_t len)
{
  struct stat st;

  if (s->no_punch)
    return -ENOTSUP;
  if (fallocate (s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) len) < 0)
    {
      s->no_punch = is_unsupported (errno);
      return s->no_punch ? -ENOTSUP : -errno;
    }
  if (!s->is_device && fstat (s->fd, &st) == 0 && (uint64_t) st.st_size < offset + len
      && ftruncate (s->fd, (off_t) (offset + len)) < 0)
    return -errno;
  return 0;
}

static void
do_zero (void *opaque)
{
  Errand *e = opaque;
  struct stat st;

  e->status = -ENOTSUP;
  if ((e->flags & VM_REQ_UNMAP) && (e->status = punch (e->s, e->offset, e->len)) != -ENOTSUP)
    return;
  if (!e->s->no_zero)
    {
      if (fallocate (e->s->fd, FALLOC_FL_ZERO_RANGE, (off_t) e->offset, (off_t) e->len) == 0)
        {
          e->status = 0;
          return;
        }
      e->s->no_zero = is_unsupported (errno);
      if (!e->s->no_zero)
        {
          e->status = -errno;
          return;
        }
    }
  /* Behind the end there are zeros once the end is moved. */
  if (!e->s->is_device && fstat (e->s->fd, &st) == 0 && (uint64_t) st.st_size <= e->offset)
    e->status = ftruncate (e->s->fd, (off_t) (e->offset + e->len)) < 0 ? -errno : 0;
}

int
file_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  FileState *s = node->state;
  Errand e = { .s = s, .offset = offset, .len = len, .flags = flags };

  s->data_end = 0;
  work (node, do_zero, &e);
  return e.status;
}

static void
do_discard (void *opaque)
{
  Errand *e = opaque;
  uint64_t range[2] = { e->offset, e->len };

  if (!e->s->is_block)
    e->status
        = e->s->no_punch ? -ENOTSUP
          : fallocate (e->s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) e->offset, (off_t) e->len) < 0
              ? -errno
              : 0;
  else
    e->status = ioctl (e->s->fd, BLKDISCARD, range) < 0 ? -errno : 0;
  if (e->status < 0 && is_unsupported (-e->status))
    e->status = -ENOTSUP;
}

int
file_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  FileState *s = node->state;
  Errand e = { .s = s, .offset = offset, .len = len };

  s->data_end = 0;
  work (node, do_discard, &e);
  return e.status;
}

/* --- status ----------------------------------------------------------------------------------------------------- */

static void
do_seek (void *opaque)
{
  Errand *e = opaque;
  VmExtent *extent = e->extent;
  off_t data = lseek (e->s->fd, (off_t) e->offset, SEEK_DATA), hole;

  if (data < 0 && errno == ENXIO) /* a hole up to the end */
    {
      extent->flags |= VM_EXTENT_ZERO;
      return;
    }
  if (data > (off_t) e->offset)
    {
      extent->flags |= VM_EXTENT_ZERO;
      extent->len = (uint64_t) data - e->offset;
      return;
    }
  extent->flags |= VM_EXTENT_DATA;
  if (data < 0)
    return; /* cannot be told: data */
  hole = lseek (e->s->fd, (off_t) e->offset, SEEK_HOLE);
  if (hole > (off_t) e->offset)
    {
      extent->len = (uint64_t) hole - e->offset;
      e->s->data_start = e->offset;
      e->s->data_end = (uint64_t) hole;
    }
}

int
file_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  FileState *s = node->state;
  Errand e = { .s = s, .offset = offset, .len = len, .extent = extent };

  *extent = (VmExtent){
    .len = node->size - offset, .flags = VM_EXTENT_ALLOCATED | VM_EXTENT_HAS_OFFSET, .file_offset = offset, .file = node
  };
  if (offset >= s->data_start && offset < s->data_end)
    {
      extent->flags |= VM_EXTENT_DATA;
      extent->len = s->data_end - offset;
    }
  else
    work (node, do_seek, &e);
  return 0;
}

uint64_t
file_allocated (VmNode *node)
{
  struct stat st;

  return fstat (((FileState *) node->state)->fd, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0;
}

/* --- size ------------------------------------------------------------------------------------------------------- */

void
file_refresh_size (VmNode *node)
{
  FileState *s = node->state;
  struct stat st;
  off_t end;

  if (s->is_block)
    {
      if (ioctl (s->fd, BLKGETSIZE64, &node->size) < 0)
        node->size = 0;
    }
  else if (s->is_device)
    node->size = (end = lseek (s->fd, 0, SEEK_END)) > 0 ? (uint64_t) end : 0;
  else if (fstat (s->fd, &st) == 0)
    node->size = (uint64_t) st.st_size;
}

static int
write_zeros (int fd, uint64_t offset, uint64_t end)
{
  size_t size = MIN (ZEROS, end - offset);
  void *zeros = aligned_alloc (4096, VM_ALIGN_UP (size, 4096));
  int status = 0;

  if (!zeros)
    return -ENOMEM;
  memset (zeros, 0, VM_ALIGN_UP (size, 4096));
  while (status >= 0 && offset < end)
    {
      ssize_t n = pwrite (fd, zeros, MIN (size, end - offset), (off_t) offset);
      if (n < 0 && errno != EINTR)
        status = -errno;
      offset += (uint64_t) MAX (n, 0);
    }
  free (zeros);
  return status < 0 || fsync (fd) == 0 ? status : -errno;
}

int
file_preallocate (int fd, uint64_t old_size, uint64_t size, VmPreallocation prealloc)
{
  int status = 0;

  if (size <= old_size)
    return 0;
  if (prealloc == VM_PREALLOC_FALLOC)
    status = -posix_fallocate (fd, (off_t) old_size, (off_t) (size - old_size));
  else if (prealloc == VM_PREALLOC_FULL)
    status = write_zeros (fd, old_size, size);
  return status;
}

static void
do_truncate (void *opaque)
{
  Errand *e = opaque;
  struct stat st;
  uint64_t old_size = fstat (e->s->fd, &st) == 0 ? (uint64_t) st.st_size : 0;

  e->status = ftruncate (e->s->fd, (off_t) e->len) < 0 ? -errno : 0;
  if (e->status >= 0)
    e->status = file_preallocate (e->s->fd, old_size, e->len, e->prealloc);
  if (e->status < 0 && e->len > old_size && ftruncate (e->s->fd, (off_t) old_size) < 0)
    return; /* the first error is the one to tell */
}

int
file_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  FileState *s = node->state;
  Errand e = { .s = s, .len = size, .prealloc = prealloc };

  if (s->is_device)
    {
      if (prealloc != VM_PREALLOC_OFF)
        return vm_fail (error, "Preallocation mode is not supported for devices"), -ENOTSUP;
      if (size == node->size || (!exact && size < node->size))
        return 0;
      vm_fail (error, size > node->size ? "Cannot grow device files" : "Cannot resize device files");
      return -EINVAL;
    }
  if (prealloc == VM_PREALLOC_METADATA)
    return vm_fail (error, "Unsupported preallocation mode 'metadata'"), -ENOTSUP;
  if (size < node->size && prealloc != VM_PREALLOC_OFF)
    return vm_fail (error, "Preallocation can't be used for shrinking files"), -ENOTSUP;
  s->data_end = 0;
  work (node, do_truncate, &e);
  if (e.status < 0)
    {
      vm_fail (error, "Failed to resize the file: %s", g_strerror (-e.status));
      return e.status;
    }
  node->size = size;
  return 0;
}
