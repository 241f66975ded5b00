/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waking a loop at a point in time: a timerfd, see timerfd_create(2). */
#include "engine/io/loop.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct VmWakeup {
  int        fd;
  int64_t    armed; /* INT64_MAX: not */
  GSource   *source;
  VmPostFunc func;
  void      *opaque;
};

static bool
wakeup_fired (int fd, GIOCondition condition, void *opaque)
{
  VmWakeup *self = opaque;
  uint64_t expirations;
  ssize_t n = read (fd, &expirations, sizeof expirations);

  /* Moved to a later time meanwhile. */
  if (n < 0 && errno == EAGAIN)
    return true;
  self->armed = INT64_MAX;
  self->func (self->opaque);
  return true;
}

static VmWakeup *
wakeup_new (VmLoop *loop, clockid_t clock, VmPostFunc func, void *opaque)
{
  VmWakeup *self = g_new0 (VmWakeup, 1);

  self->fd = timerfd_create (clock, TFD_CLOEXEC | TFD_NONBLOCK);
  if (self->fd < 0)
    g_error ("no file descriptor left for a timer: %s", g_strerror (errno));
  self->armed = INT64_MAX;
  self->func = func;
  self->opaque = opaque;
  self->source = vm_loop_watch_fd (loop, self->fd, G_IO_IN, wakeup_fired, self);
  return self;
}

VmWakeup *
vm_wakeup_new (VmLoop *loop, VmPostFunc func, void *opaque)
{
  return wakeup_new (loop, CLOCK_MONOTONIC, func, opaque);
}

VmWakeup *
vm_wakeup_new_wall (VmLoop *loop, VmPostFunc func, void *opaque)
{
  return wakeup_new (loop, CLOCK_REALTIME, func, opaque);
}

void
vm_wakeup_free (VmWakeup *self)
{
  if (!self)
    return;
  vm_source_clear (&self->source);
  close (self->fd);
  g_free (self);
}

void
vm_wakeup_arm (VmWakeup *self, int64_t expire_ns)
{
  struct itimerspec spec = { 0 };

  if (expire_ns == self->armed)
    return;
  self->armed = expire_ns;
  if (expire_ns != INT64_MAX)
    {
      /* All zeroes would disarm it. */
      int64_t ns = MAX (expire_ns, 1);

      spec.it_value.tv_sec = ns / 1000000000;
      spec.it_value.tv_nsec = ns % 1000000000;
    }
  timerfd_settime (self->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}
