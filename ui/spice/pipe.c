/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Character back ends of SPICE viewers. The engine has one end of the queues and the SPICE thread the other; each tells
 * the other by a message when there is more in them, or room again, and neither waits. */
#include "ui/spice/spice-private.h"

#define QUEUE_MAX (64 * 1024)
#define CHUNK 4096

static SpicePipe *
pipe_ref (SpicePipe *p)
{
  g_atomic_int_inc (&p->refs);
  return p;
}

static void
pipe_unref (SpicePipe *p)
{
  if (!g_atomic_int_dec_and_test (&p->refs))
    return;
  g_byte_array_unref (p->to_guest);
  g_byte_array_unref (p->to_client);
  g_mutex_clear (&p->mutex);
  g_free (p->subtype);
  g_free (p->portname);
  g_free (p);
}

/* --- messages to the SPICE thread -------------------------------------------------------------------------------- */

static void
do_change (void *opaque)
{
  SpicePipe *p = opaque;

  g_mutex_lock (&p->mutex);
  p->change_posted = false;
  g_mutex_unlock (&p->mutex);
  if (p->instance)
    p->spice->module->pipe_changed (p);
  pipe_unref (p);
}

/* Mutex held. */
static void
tell_spice (SpicePipe *p)
{
  if (p->change_posted || !p->spice->loop)
    return;
  p->change_posted = true;
  vm_loop_post (p->spice->loop, do_change, pipe_ref (p));
}

static void
do_add (void *opaque)
{
  SpicePipe *p = opaque;

  p->spice->module->pipe_added (p->spice, p);
  pipe_unref (p);
}

static void
do_remove (void *opaque)
{
  SpicePipe *p = opaque;

  if (p->instance)
    p->spice->module->pipe_removed (p);
  pipe_unref (p);
}

/* --- the engine's end -------------------------------------------------------------------------------------------- */

/* To the guest, as far as it goes. */
static void
deliver (SpicePipe *p)
{
  uint8_t chunk[CHUNK];

  while (p->chr)
    {
      size_t room = MIN (vm_chardev_can_receive (p->chr), sizeof chunk);
      g_mutex_lock (&p->mutex);
      size_t n = MIN (room, p->to_guest->len);
      if (n)
        {
          memcpy (chunk, p->to_guest->data, n);
          g_byte_array_remove_range (p->to_guest, 0, (guint) n);
          if (p->client_short && p->to_guest->len < QUEUE_MAX / 2)
            {
              p->client_short = false;
              tell_spice (p);
            }
        }
      g_mutex_unlock (&p->mutex);
      if (!n)
        return;
      vm_chardev_receive (p->chr, chunk, n);
    }
}

static void
do_deliver (void *opaque)
{
  SpicePipe *p = opaque;

  g_mutex_lock (&p->mutex);
  p->deliver_posted = false;
  bool room = p->guest_short && p->to_client->len < QUEUE_MAX / 2;
  if (room)
    p->guest_short = false;
  g_mutex_unlock (&p->mutex);
  if (p->chr && room)
    vm_chardev_writable (p->chr);
  deliver (p);
  pipe_unref (p);
}

/* Mutex held. */
static void
tell_engine (SpicePipe *p)
{
  if (p->deliver_posted)
    return;
  p->deliver_posted = true;
  vm_loop_post (p->spice->machine->env.loop, do_deliver, pipe_ref (p));
}

static size_t
sink_write (void *opaque, const uint8_t *buf, size_t len)
{
  SpicePipe *p = opaque;

  g_mutex_lock (&p->mutex);
  size_t n = MIN (len, QUEUE_MAX - p->to_client->len);
  g_byte_array_append (p->to_client, buf, (guint) n);
  p->guest_short |= n < len;
  tell_spice (p);
  g_mutex_unlock (&p->mutex);
  return n;
}

static void
sink_accept_input (void *opaque)
{
  deliver (opaque);
}

static void
sink_listen (void *opaque, bool on)
{
  SpicePipe *p = opaque;

  g_mutex_lock (&p->mutex);
  p->listening = on;
  if (!on) /* nobody gets the rest */
    g_byte_array_set_size (p->to_guest, 0);
  tell_spice (p);
  g_mutex_unlock (&p->mutex);
}

static void
sink_closed (void *opaque)
{
  SpicePipe *p = opaque;

  p->chr = NULL;
  g_ptr_array_remove (p->spice->pipes, p);
  if (p->spice->loop)
    vm_loop_post (p->spice->loop, do_remove, pipe_ref (p));
  pipe_unref (p);
}

bool
spice_pipe_new (VmMachine *machine, VmChardev *chr, bool port, const char *name, GError **error)
{
  static const VmCharSink sink = {
    .write = sink_write,
    .accept_input = sink_accept_input,
    .closed = sink_closed,
    .listen = sink_listen,
  };
  VmSpice *spice = machine->spice_of;

  if (port && !machine->settings->spice)
    return vm_fail (error, "spice not enabled");
  SpicePipe *p = g_new0 (SpicePipe, 1);
  p->spice = spice;
  p->refs = 1;
  p->chr = chr;
  p->subtype = g_strdup (port ? "port" : name);
  p->portname = port ? g_strdup (name) : NULL;
  p->to_guest = g_byte_array_new ();
  p->to_client = g_byte_array_new ();
  g_mutex_init (&p->mutex);
  g_ptr_array_add (spice->pipes, p);
  vm_chardev_set_sink (chr, &sink, p);
  if (spice->loop)
    vm_loop_post (spice->loop, do_add, pipe_ref (p));
  return true;
}

void
spice_pipes_open (VmSpice *spice)
{
  for (guint i = 0; i < spice->pipes->len; i++)
    spice->module->pipe_added (spice, g_ptr_array_index (spice->pipes, i));
}

void
spice_pipes_close (VmSpice *spice)
{
  for (guint i = 0; i < spice->pipes->len; i++)
    {
      SpicePipe *p = g_ptr_array_index (spice->pipes, i);
      if (p->instance)
        spice->module->pipe_removed (p);
    }
}

/* --- the SPICE thread's end ----------------------------------------------------------------------------------------
 */

size_t
spice_pipe_read (SpicePipe *p, uint8_t *buf, size_t len)
{
  g_mutex_lock (&p->mutex);
  size_t n = MIN (len, p->to_client->len);
  if (n)
    {
      memcpy (buf, p->to_client->data, n);
      g_byte_array_remove_range (p->to_client, 0, (guint) n);
    }
  if (p->guest_short && p->to_client->len < QUEUE_MAX / 2)
    tell_engine (p);
  g_mutex_unlock (&p->mutex);
  return n;
}

size_t
spice_pipe_write (SpicePipe *p, const uint8_t *buf, size_t len)
{
  g_mutex_lock (&p->mutex);
  size_t n = p->listening ? MIN (len, QUEUE_MAX - p->to_guest->len) : len;
  if (p->listening)
    g_byte_array_append (p->to_guest, buf, (guint) n);
  p->client_short |= n < len;
  if (n)
    tell_engine (p);
  g_mutex_unlock (&p->mutex);
  return n;
}

bool
spice_pipe_listening (SpicePipe *p)
{
  g_mutex_lock (&p->mutex);
  bool on = p->listening;
  g_mutex_unlock (&p->mutex);
  return on;
}

typedef struct News
{
  SpicePipe *pipe;
  enum
  {
    CAME,
    WENT,
    BREAK
  } what;
} News;

static void
do_news (void *opaque)
{
  g_autofree News *news = opaque;
  SpicePipe *p = news->pipe;

  if (p->chr && news->what == BREAK)
    vm_chardev_send_break (p->chr);
  else if (p->chr)
    {
      if (news->what == WENT)
        { /* what was meant for whoever went */
          g_mutex_lock (&p->mutex);
          g_byte_array_set_size (p->to_client, 0);
          g_mutex_unlock (&p->mutex);
        }
      vm_chardev_set_connected (p->chr, news->what == CAME);
    }
  pipe_unref (p);
}

static void
tell_news (SpicePipe *p, int what)
{
  News *news = g_new (News, 1);

  *news = (News){ pipe_ref (p), what };
  vm_loop_post (p->spice->machine->env.loop, do_news, news);
}

void
spice_pipe_set_connected (SpicePipe *p, bool connected)
{
  tell_news (p, connected ? CAME : WENT);
}

void
spice_pipe_break (SpicePipe *p)
{
  tell_news (p, BREAK);
}
