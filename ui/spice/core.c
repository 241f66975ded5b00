/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The library's timers and descriptors on the loop of its thread. */
#include "ui/spice/server-private.h"

#include <glib-unix.h>
#include <sys/socket.h>

/* The library calls back without saying for which server; but only on its thread. */
static GPrivate this_server = G_PRIVATE_INIT (NULL);

SpiceHere *
spice_here (void)
{
  return g_private_get (&this_server);
}

static void
source_free (gpointer source)
{
  g_source_destroy (source);
  g_source_unref (source);
}

void
spice_core_enter (SpiceHere *here)
{
  here->sources = g_hash_table_new_full (NULL, NULL, source_free, NULL);
  g_private_set (&this_server, here);
}

void
spice_core_leave (void)
{
  g_clear_pointer (&spice_here ()->sources, g_hash_table_unref);
  g_private_set (&this_server, NULL);
}

/* The library's connections that have not logged in survive its server: what is still to be called is called off when
 * the server goes. */
static GSource *
attach (GSource *source, GSourceFunc func, void *opaque)
{
  SpiceHere *here = spice_here ();

  g_source_set_callback (source, func, opaque, NULL);
  if (here)
    {
      g_source_attach (source, vm_loop_context (here->spice->loop));
      g_hash_table_add (here->sources, g_source_ref (source));
    }
  return source;
}

static void
detach (GSource **source)
{
  SpiceHere *here = spice_here ();

  if (here && *source)
    g_hash_table_remove (here->sources, *source);
  vm_source_clear (source);
}

/* --- timers ------------------------------------------------------------------------------------------------------ */

struct SpiceTimer
{
  SpiceTimerFunc func;
  void *opaque;
  GSource *source; /* NULL: not running */
};

static SpiceTimer *
timer_add (SpiceTimerFunc func, void *opaque)
{
  SpiceTimer *t = g_new0 (SpiceTimer, 1);

  t->func = func;
  t->opaque = opaque;
  return t;
}

static gboolean
timer_fired (gpointer data)
{
  SpiceTimer *t = data;

  detach (&t->source);
  t->func (t->opaque); /* may free T */
  return G_SOURCE_REMOVE;
}

static void
timer_start (SpiceTimer *t, uint32_t ms)
{
  detach (&t->source);
  t->source = attach (g_timeout_source_new (ms), timer_fired, t);
}

static void
timer_cancel (SpiceTimer *t)
{
  detach (&t->source);
}

static void
timer_remove (SpiceTimer *t)
{
  timer_cancel (t);
  g_free (t);
}

/* --- descriptors ------------------------------------------------------------------------------------------------- */

struct SpiceWatch
{
  int fd, mask;
  SpiceWatchFunc func;
  void *opaque;
  GSource *source; /* NULL: MASK is 0 */
};

static gboolean
watch_ready (gint fd, GIOCondition condition, gpointer data)
{
  SpiceWatch *w = data;
  int event = 0;

  /* An end or an error shows when it is read, or written. */
  if (condition & ~G_IO_OUT)
    event |= w->mask & SPICE_WATCH_EVENT_READ ? SPICE_WATCH_EVENT_READ : SPICE_WATCH_EVENT_WRITE;
  if (condition & G_IO_OUT)
    event |= SPICE_WATCH_EVENT_WRITE;
  w->func (fd, event, w->opaque); /* may free W */
  return G_SOURCE_CONTINUE;
}

static void
watch_update_mask (SpiceWatch *w, int mask)
{
  GIOCondition condition = G_IO_HUP | G_IO_ERR;

  if (mask == w->mask)
    return;
  detach (&w->source);
  w->mask = mask;
  if (!mask)
    return;
  condition |= mask & SPICE_WATCH_EVENT_READ ? G_IO_IN : 0;
  condition |= mask & SPICE_WATCH_EVENT_WRITE ? G_IO_OUT : 0;
  w->source = attach (g_unix_fd_source_new (w->fd, condition), G_SOURCE_FUNC (watch_ready), w);
}

static bool
is_listening (int fd)
{
  int yes = 0;
  socklen_t size = sizeof yes;

  return getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) == 0 && yes;
}

static SpiceWatch *
watch_add (int fd, int mask, SpiceWatchFunc func, void *opaque)
{
  SpiceWatch *w = g_new0 (SpiceWatch, 1);

  w->fd = fd;
  w->func = func;
  w->opaque = opaque;
  if (spice_here () && is_listening (fd))
    {
      w->func = spice_gate_answer;
      w->opaque = spice_here ();
    }
  else if (spice_here ())
    spice_login_waits (spice_here (), fd);
  watch_update_mask (w, mask);
  return w;
}

static void
watch_remove (SpiceWatch *w)
{
  detach (&w->source);
  g_free (w);
}

const SpiceCoreInterface *
spice_core (void)
{
  static const SpiceCoreInterface core = {
    .base = { .type = SPICE_INTERFACE_CORE,
              .description = "vitrine",
              .major_version = SPICE_INTERFACE_CORE_MAJOR,
              .minor_version = SPICE_INTERFACE_CORE_MINOR },
    .timer_add = timer_add,
    .timer_start = timer_start,
    .timer_cancel = timer_cancel,
    .timer_remove = timer_remove,
    .watch_add = watch_add,
    .watch_update_mask = watch_update_mask,
    .watch_remove = watch_remove,
    .channel_event = spice_channel_event,
  };

  return &core;
}
