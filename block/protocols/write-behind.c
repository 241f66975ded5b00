/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Left alone, the host keeps what a long copy writes until a fifth of its memory is dirty, and takes new memory for all
 * of it. In a virtual machine whose free memory its host has taken back, each new page costs a fault there: copying
 * 8 GiB took 30 s with it and 5 s without (one machine, 24 GiB). A thread goes behind the writer: it starts the
 * writing of each step, and when that is WINDOW back waits for it and lets go of its pages, which the writer then gets
 * again. It never holds up the writer: where storage is slow the host decides as it always does. Files that hold less
 * than WINDOW are left to the host: beginning to write them costs as much as the copying of a sparse image. */
#include "block/protocols/write-behind.h"

#include "engine/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#define STEP (8 * VM_MIB)
#define WINDOW (256 * VM_MIB) /* what is smaller stays in memory: it may well be wanted next */
#define SLACK STEP            /* requests in flight do not end in order */

struct VmWriteBehind
{
  GThread *thread;
  GMutex mutex;
  GCond cond;
  uint64_t written, end; /* under the mutex, as STOP */
  bool stop;
  int fd;     /* of the thread */
  int status; /* of the thread until it has ended */
};

static void
keep_first (VmWriteBehind *w, int result)
{
  if (result < 0 && w->status >= 0)
    w->status = -errno;
}

static void *
follow (void *opaque)
{
  VmWriteBehind *w = opaque;
  const unsigned whole = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

  for (uint64_t at = 0;; at += STEP)
    {
      g_mutex_lock (&w->mutex);
      while (!w->stop && (w->written < WINDOW || w->end < at + STEP + SLACK))
        g_cond_wait (&w->cond, &w->mutex);
      bool stop = w->stop;
      g_mutex_unlock (&w->mutex);
      if (stop)
        return NULL;
      keep_first (w, sync_file_range (w->fd, (off_t) at, STEP, SYNC_FILE_RANGE_WRITE));
      if (at < WINDOW)
        continue;
      keep_first (w, sync_file_range (w->fd, (off_t) (at - WINDOW), STEP, whole));
      posix_fadvise (w->fd, (off_t) (at - WINDOW), STEP, POSIX_FADV_DONTNEED);
    }
}

VmWriteBehind *
vm_write_behind_new (int fd)
{
  VmWriteBehind *w = g_new0 (VmWriteBehind, 1);

  g_mutex_init (&w->mutex);
  g_cond_init (&w->cond);
  w->fd = fcntl (fd, F_DUPFD_CLOEXEC, 0);
  w->thread = w->fd < 0 ? NULL : g_thread_try_new ("write-behind", follow, w, NULL);
  if (w->thread)
    return w;
  vm_write_behind_free (w);
  return NULL;
}

void
vm_write_behind_note (VmWriteBehind *w, uint64_t offset, uint64_t len)
{
  uint64_t end = offset + len;

  g_mutex_lock (&w->mutex);
  w->written += len;
  if (w->written >= WINDOW && w->end / STEP < end / STEP)
    g_cond_signal (&w->cond);
  w->end = MAX (w->end, end);
  g_mutex_unlock (&w->mutex);
}

int
vm_write_behind_free (VmWriteBehind *w)
{
  int status;

  if (w->thread)
    {
      g_mutex_lock (&w->mutex);
      w->stop = true;
      g_cond_signal (&w->cond);
      g_mutex_unlock (&w->mutex);
      g_thread_join (w->thread);
    }
  if (w->fd >= 0)
    close (w->fd);
  g_mutex_clear (&w->mutex);
  g_cond_clear (&w->cond);
  status = w->status;
  g_free (w);
  return status;
}
