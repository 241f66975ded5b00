/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raw images on host files and devices, by blocking calls on a worker pool. */
#include "block/block.h"
#include "engine/base/fdset.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 8
#define PROTECTED 512

struct VmBlock {
  int          refs;
  VmLoop      *loop;
  char        *path;
  int          fd;
  uint64_t     size;
  bool         readonly, protect_first, write_through;
  GThreadPool *pool;
  GMutex       mutex;
  GCond        idle;
  unsigned     in_flight;  /* under mutex: until DONE has been called */
  GQueue       finished;   /* under mutex: requests whose DONE is to be called */
  VmBlockStats stats;      /* engine loop */
};

typedef struct Request {
  VmBlock     *block;
  VmBlockRequestKind kind;
  uint64_t     offset, len;
  unsigned     n, flags;
  bool         zeroes;     /* a write of LEN of them, without a vector */
  int          status;
  gint64       begun;      /* microseconds of the host */
  VmBlockDone  done;
  void        *opaque;
  struct iovec iov[]; /* a copy: consumed as the transfer goes on */
} Request;

/* --- on the workers ------------------------------------------------------------------------------- */

/* Drops the first LEN bytes of the vector. */
static void
iov_advance (struct iovec **iov, unsigned *n, size_t len)
{
  while (*n && len >= (*iov)->iov_len)
    {
      len -= (*iov)->iov_len;
      (*iov)++;
      (*n)--;
    }
  if (*n)
    {
      (*iov)->iov_base = (char *) (*iov)->iov_base + len;
      (*iov)->iov_len -= len;
    }
}

static int
request_transfer (Request *r)
{
  struct iovec *iov = r->iov;
  unsigned n = r->n;
  uint64_t offset = r->offset;

  while (n)
    {
      unsigned part = MIN (n, IOV_MAX);
      ssize_t moved = r->kind == VM_BLOCK_READ ? preadv (r->block->fd, iov, part, offset)
                                              : pwritev (r->block->fd, iov, part, offset);

      if (moved < 0 && errno == EINTR)
        continue;
      if (moved < 0)
        return -errno;
      if (moved == 0 && r->kind == VM_BLOCK_WRITE)
        return -ENOSPC;
      if (moved == 0)
        {
          for (; n; n--, iov++)
            memset (iov->iov_base, 0, iov->iov_len);
          return 0;
        }
      offset += moved;
      iov_advance (&iov, &n, moved);
    }
  return 0;
}

static int
request_zeroes (Request *r)
{
  static const uint8_t zeros[64 * 1024];
  int mode = r->flags & VM_BLOCK_UNMAP ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;

  if (fallocate (r->block->fd, mode, r->offset, r->len) == 0)
    return 0;
  for (uint64_t done = 0; done < r->len;)
    {
      ssize_t n = pwrite (r->block->fd, zeros, MIN (sizeof zeros, r->len - done), r->offset + done);
      if (n < 0 && errno != EINTR)
        return -errno;
      done += MAX (n, 0);
    }
  return 0;
}

static int
request_discard (Request *r)
{
  if (fallocate (r->block->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r->offset, r->len) == 0)
    return 0;
  return errno == EOPNOTSUPP || errno == ENODEV ? 0 : -errno; /* a hint: doing nothing is allowed */
}

static void
request_account (const Request *r)
{
  VmBlockStats *s = &r->block->stats;

  if (r->status < 0)
    {
      s->failed[r->kind]++;
      return;
    }
  s->operations[r->kind]++;
  s->bytes[r->kind] += r->len;
  s->time_ns[r->kind] += (g_get_monotonic_time () - r->begun) * 1000;
  if (r->kind == VM_BLOCK_WRITE)
    s->highest = MAX (s->highest, r->offset + r->len);
}

static void
block_complete (void *opaque)
{
  VmBlock *block = opaque;

  for (;;)
    {
      g_mutex_lock (&block->mutex);
      Request *r = g_queue_pop_head (&block->finished);
      g_mutex_unlock (&block->mutex);
      if (!r)
        break;
      request_account (r);
      r->done (r->opaque, r->status);
      g_free (r);
      g_mutex_lock (&block->mutex);
      block->in_flight--;
      g_cond_broadcast (&block->idle);
      g_mutex_unlock (&block->mutex);
      vm_block_unref (block);
    }
  vm_block_unref (block);
}

static void
request_run (void *data, void *unused)
{
  Request *r = data;
  VmBlock *block = r->block;

  switch (r->kind)
    {
    case VM_BLOCK_READ:
    case VM_BLOCK_WRITE:
      r->status = r->zeroes ? request_zeroes (r) : request_transfer (r);
      if (!r->status && r->kind == VM_BLOCK_WRITE && (r->flags & VM_BLOCK_FUA))
        r->status = fdatasync (block->fd) < 0 ? -errno : 0;
      break;
    case VM_BLOCK_FLUSH:
      r->status = fdatasync (block->fd) < 0 ? -errno : 0;
      break;
    default:
      r->status = request_discard (r);
      break;
    }
  /* Posted inside the mutex: whoever drains and sees this request finished may free the block and the loop next. */
  g_mutex_lock (&block->mutex);
  g_queue_push_tail (&block->finished, r);
  vm_loop_post (block->loop, block_complete, vm_block_ref (block));
  g_cond_broadcast (&block->idle);
  g_mutex_unlock (&block->mutex);
}

/* --- requests --------------------------------------------------------------------------------------- */

static size_t
iov_length (const struct iovec *iov, unsigned n)
{
  size_t len = 0;

  for (unsigned i = 0; i < n; i++)
    len += iov[i].iov_len;
  return len;
}

static void
request_submit (VmBlock *block, const Request *what, const struct iovec *iov, VmBlockDone done, void *opaque)
{
  Request *r = g_malloc0 (sizeof *r + what->n * sizeof *iov);

  *r = *what;
  r->block = vm_block_ref (block);
  r->begun = g_get_monotonic_time ();
  r->done = done;
  r->opaque = opaque;
  if (r->n)
    memcpy (r->iov, iov, r->n * sizeof *iov);
  if (block->write_through)
    r->flags |= VM_BLOCK_FUA;
  g_mutex_lock (&block->mutex);
  block->in_flight++;
  if (r->status)
    g_queue_push_tail (&block->finished, r);
  g_mutex_unlock (&block->mutex);
  if (r->status)
    vm_loop_post (block->loop, block_complete, vm_block_ref (block));
  else
    g_thread_pool_push (block->pool, r, NULL);
}

void
vm_block_read (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_READ, .offset = offset, .len = iov_length (iov, n), .n = n };

  request_submit (block, &r, iov, done, opaque);
}

static int
write_refusal (const VmBlock *block, uint64_t offset, uint64_t len)
{
  if (block->readonly || (block->protect_first && offset < PROTECTED))
    return -EPERM;
  return offset > block->size || len > block->size - offset ? -ENOSPC : 0;
}

void
vm_block_write_flags (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, unsigned flags, VmBlockDone done,
                      void *opaque)
{
  Request r = { .kind = VM_BLOCK_WRITE, .offset = offset, .len = iov_length (iov, n), .n = n, .flags = flags };

  r.status = write_refusal (block, offset, r.len);
  request_submit (block, &r, iov, done, opaque);
}

void
vm_block_write (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done, void *opaque)
{
  vm_block_write_flags (block, offset, iov, n, 0, done, opaque);
}

void
vm_block_write_zeroes (VmBlock *block, uint64_t offset, uint64_t len, unsigned flags, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_WRITE, .offset = offset, .len = len, .flags = flags, .zeroes = true };

  r.status = write_refusal (block, offset, len);
  request_submit (block, &r, NULL, done, opaque);
}

void
vm_block_flush (VmBlock *block, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_FLUSH };

  request_submit (block, &r, NULL, done, opaque);
}

void
vm_block_discard (VmBlock *block, uint64_t offset, uint64_t len, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_DISCARD, .offset = offset, .len = len };

  if (block->readonly)
    r.status = -EPERM;
  else if (offset > block->size || len > block->size - offset)
    r.status = -EINVAL;
  request_submit (block, &r, NULL, done, opaque);
}

void
vm_block_set_write_cache (VmBlock *block, bool on)
{
  block->write_through = !on;
}

VmBlockLimits
vm_block_limits (const VmBlock *block)
{
  return (VmBlockLimits) { .alignment = 1 };
}

void
vm_block_drain (VmBlock *block)
{
  vm_block_ref (block);
  g_mutex_lock (&block->mutex);
  while (block->in_flight)
    {
      if (g_queue_is_empty (&block->finished))
        g_cond_wait (&block->idle, &block->mutex);
      else
        {
          g_mutex_unlock (&block->mutex);
          block_complete (vm_block_ref (block));
          g_mutex_lock (&block->mutex);
        }
    }
  g_mutex_unlock (&block->mutex);
  vm_block_unref (block);
}

/* --- life ---------------------------------------------------------------------------------------------- */

static bool
block_find_size (VmBlock *block, GError **error)
{
  struct stat st;

  if (fstat (block->fd, &st) < 0)
    return vm_fail (error, "Could not open '%s': %s", block->path, g_strerror (errno));
  if (S_ISDIR (st.st_mode))
    return vm_fail (error, "Could not open '%s': %s", block->path, g_strerror (EISDIR));
  if (S_ISREG (st.st_mode))
    block->size = st.st_size;
  else if (!S_ISBLK (st.st_mode) || ioctl (block->fd, BLKGETSIZE64, &block->size) < 0)
    return vm_fail (error, "Could not open '%s': neither a file nor a block device", block->path);
  return true;
}

VmBlock *
vm_block_open (VmLoop *loop, const char *path, unsigned flags, GError **error)
{
  bool readonly = flags & VM_BLOCK_READONLY;
  int fd = vm_open (path, readonly ? O_RDONLY : O_RDWR, 0);

  if (fd < 0)
    {
      vm_fail (error, "Could not open '%s': %s", path, g_strerror (errno));
      return NULL;
    }

  VmBlock *block = g_new0 (VmBlock, 1);

  block->refs = 1;
  block->loop = loop;
  block->path = g_strdup (path);
  block->fd = fd;
  block->readonly = readonly;
  block->protect_first = flags & VM_BLOCK_PROTECT_FIRST;
  g_mutex_init (&block->mutex);
  g_cond_init (&block->idle);
  g_queue_init (&block->finished);
  block->pool = g_thread_pool_new (request_run, NULL, WORKERS, FALSE, NULL);
  if (!block_find_size (block, error))
    g_clear_pointer (&block, vm_block_unref);
  return block;
}

VmBlock *
vm_block_ref (VmBlock *block)
{
  g_atomic_int_inc (&block->refs);
  return block;
}

void
vm_block_unref (VmBlock *block)
{
  if (!block || !g_atomic_int_dec_and_test (&block->refs))
    return;
  /* Requests hold references: nothing is under way here. */
  g_thread_pool_free (block->pool, FALSE, TRUE);
  close (block->fd);
  g_mutex_clear (&block->mutex);
  g_cond_clear (&block->idle);
  g_free (block->path);
  g_free (block);
}

uint64_t
vm_block_size (const VmBlock *block)
{
  return block->size;
}

bool
vm_block_readonly (const VmBlock *block)
{
  return block->readonly;
}

const VmBlockStats *
vm_block_stats (const VmBlock *block)
{
  return &block->stats;
}

uint64_t
vm_block_allocated (const VmBlock *block)
{
  struct stat st;

  return fstat (block->fd, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0;
}

const char *
vm_block_path (const VmBlock *block)
{
  return block->path;
}
