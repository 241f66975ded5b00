/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that the kernel works on by itself. A fiber puts its request into the queue and waits; requests of one round
 * of the loop are handed over together. */
#include "config.h"

#include "block/protocols/aio.h"

#include "block/graph-private.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef VM_HAVE_URING
#include <liburing.h>
#endif

#define DEPTH 128
#define PIECES 64

typedef struct Request
{
  VmFiber *fiber;
  int64_t result;
  struct iovec iov[PIECES];
} Request;

typedef struct VmAio
{
  VmLoop *loop;
  GSource *source;
  unsigned under_way;   /* in the kernel's hands or about to be */
  bool will_submit;     /* at the end of this round */
  VmFiberQueue waiting; /* for a place */
  /* Linux AIO */
  aio_context_t context;
  int event_fd;
  struct iocb *batch[DEPTH];
  struct iocb blocks[DEPTH];
  GQueue unused; /* struct iocb * */
  unsigned n_batch;
#ifdef VM_HAVE_URING
  struct io_uring ring;
#endif
} VmAio;

static void
finish (VmAio *aio, Request *r, int64_t result)
{
  r->result = result;
  aio->under_way--;
  vm_fiber_wake (r->fiber);
  vm_fiber_queue_wake (&aio->waiting);
}

/* At once, when there is nothing to wait for; else with those of this round of the loop. */
static void
submit (VmAio *aio, VmPostFunc func)
{
  if (aio->under_way == 1 && !aio->will_submit)
    func (aio);
  else if (!aio->will_submit)
    {
      aio->will_submit = true;
      vm_loop_post (aio->loop, func, aio);
    }
}

/* --- Linux AIO ------------------------------------------------------------------------------------------- */

static bool
native_ready (int fd, GIOCondition condition, void *opaque)
{
  VmAio *aio = opaque;
  struct io_event events[32];
  struct timespec now = { 0, 0 };
  uint64_t count;
  long n;

  if (read (fd, &count, sizeof count) < 0)
    return true; /* somebody else has taken them */
  do /* those that come later make the descriptor readable again */
    {
      n = syscall (SYS_io_getevents, aio->context, 0L, (long) G_N_ELEMENTS (events), events, &now);
      for (long i = 0; i < n; i++)
        {
          g_queue_push_tail (&aio->unused, (void *) (uintptr_t) events[i].obj);
          finish (aio, (Request *) (uintptr_t) events[i].data, events[i].res);
        }
    }
  while (n == G_N_ELEMENTS (events));
  return true;
}

static void
native_submit (void *opaque)
{
  VmAio *aio = opaque;
  unsigned done = 0, n = aio->n_batch;

  aio->will_submit = false;
  aio->n_batch = 0;
  while (done < n)
    {
      long taken = syscall (SYS_io_submit, aio->context, (long) (n - done), aio->batch + done);
      if (taken > 0)
        {
          done += (unsigned) taken;
          continue;
        }
      struct iocb *failed = aio->batch[done++];
      g_queue_push_tail (&aio->unused, failed);
      finish (aio, (Request *) (uintptr_t) failed->aio_data, taken < 0 ? -errno : -EIO);
    }
}

static void
native_queue (VmAio *aio, Request *r, int fd, bool write, uint64_t offset, unsigned n)
{
  struct iocb *block = g_queue_pop_head (&aio->unused);

  *block = (struct iocb){ .aio_data = (uintptr_t) r,
                          .aio_lio_opcode = write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV,
                          .aio_fildes = (uint32_t) fd,
                          .aio_buf = (uintptr_t) r->iov,
                          .aio_nbytes = n,
                          .aio_offset = (int64_t) offset,
                          .aio_flags = IOCB_FLAG_RESFD,
                          .aio_resfd = (uint32_t) aio->event_fd };
  aio->batch[aio->n_batch++] = block;
  submit (aio, native_submit);
}

static bool
native_start (VmAio *aio, GError **error)
{
  if (syscall (SYS_io_setup, DEPTH, &aio->context) < 0)
    return vm_fail (error, "Unable to use linux AIO: %s", g_strerror (errno));
  aio->event_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  for (unsigned i = 0; i < DEPTH; i++)
    g_queue_push_tail (&aio->unused, &aio->blocks[i]);
  aio->source = vm_loop_watch_fd (aio->loop, aio->event_fd, G_IO_IN, native_ready, aio);
  return true;
}

static void
native_free (void *opaque)
{
  VmAio *aio = opaque;

  vm_source_clear (&aio->source);
  syscall (SYS_io_destroy, aio->context);
  close (aio->event_fd);
  g_queue_clear (&aio->unused);
  g_free (aio);
}

/* --- io_uring --------------------------------------------------------------------------------------------- */

#ifdef VM_HAVE_URING
static bool
uring_ready (int fd, GIOCondition condition, void *opaque)
{
  VmAio *aio = opaque;
  struct io_uring_cqe *cqe;

  while (io_uring_peek_cqe (&aio->ring, &cqe) == 0)
    {
      Request *r = io_uring_cqe_get_data (cqe);
      int64_t result = cqe->res;
      io_uring_cqe_seen (&aio->ring, cqe);
      finish (aio, r, result);
    }
  return true;
}

static void
uring_submit (void *opaque)
{
  VmAio *aio = opaque;

  aio->will_submit = false;
  /* What the kernel does not take now (it is short of memory) is handed over again. */
  if (io_uring_submit (&aio->ring) < 0 || io_uring_sq_ready (&aio->ring))
    {
      aio->will_submit = true;
      vm_loop_post (aio->loop, uring_submit, aio);
    }
  uring_ready (-1, G_IO_IN, aio);
}

static void
uring_queue (VmAio *aio, Request *r, int fd, bool write, uint64_t offset, unsigned n)
{
  struct io_uring_sqe *sqe = io_uring_get_sqe (&aio->ring);

  if (write)
    io_uring_prep_writev (sqe, fd, r->iov, n, offset);
  else
    io_uring_prep_readv (sqe, fd, r->iov, n, offset);
  io_uring_sqe_set_data (sqe, r);
  submit (aio, uring_submit);
}

static bool
uring_start (VmAio *aio, GError **error)
{
  int status = io_uring_queue_init (DEPTH, &aio->ring, 0);

  if (status < 0)
    return vm_fail (error, "Unable to use io_uring: %s", g_strerror (-status));
  aio->source = vm_loop_watch_fd (aio->loop, aio->ring.ring_fd, G_IO_IN, uring_ready, aio);
  return true;
}

static void
uring_free (void *opaque)
{
  VmAio *aio = opaque;

  vm_source_clear (&aio->source);
  io_uring_queue_exit (&aio->ring);
  g_free (aio);
}
#else
static void
uring_queue (VmAio *aio, Request *r, int fd, bool write, uint64_t offset, unsigned n)
{
  g_assert_not_reached ();
}

static bool
uring_start (VmAio *aio, GError **error)
{
  return vm_fail (error, "aio=io_uring: not available in this build");
}

static void
uring_free (void *opaque)
{
}
#endif

/* --- both --------------------------------------------------------------------------------------------------- */

bool
vm_aio_prepare (VmBlockGraph *graph, bool uring, GError **error)
{
  if (graph->aio[uring])
    return true;

  VmAio *aio = g_new0 (VmAio, 1);

  aio->loop = graph->loop;
  if (!(uring ? uring_start (aio, error) : native_start (aio, error)))
    {
      g_free (aio);
      return false;
    }
  graph->aio[uring] = aio;
  graph->aio_free[uring] = uring ? uring_free : native_free;
  return true;
}

static int64_t
move_some (VmAio *aio, bool uring, int fd, bool write, uint64_t offset, VmVec vec)
{
  Request r = { .fiber = vm_fiber_self () };
  unsigned n = vm_vec_take (&vec, r.iov, PIECES);

  while (aio->under_way >= DEPTH)
    vm_fiber_queue_wait (&aio->waiting);
  aio->under_way++;
  if (uring)
    uring_queue (aio, &r, fd, write, offset, n);
  else
    native_queue (aio, &r, fd, write, offset, n);
  vm_fiber_suspend ();
  return r.result;
}

int
vm_aio_transfer (VmBlockGraph *graph, bool uring, int fd, bool write, uint64_t offset, VmVec vec)
{
  while (vec.size)
    {
      int64_t moved = move_some (graph->aio[uring], uring, fd, write, offset, vec);
      if (moved == -EINTR || moved == -EAGAIN)
        continue;
      if (moved < 0)
        return (int) moved;
      if (moved == 0 && write)
        return -ENOSPC;
      if (moved == 0)
        {
          vm_vec_fill (vec, 0, 0, vec.size);
          return 0;
        }
      offset += (uint64_t) moved;
      vec = vm_vec_slice (vec, (size_t) moved, vec.size - (size_t) moved);
    }
  return 0;
}
