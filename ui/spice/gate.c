/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where viewers come in. None of them speaks to the library at once: each has a line, which is its descriptor, one that
 * the library has the other end of, and what goes between them; what it says is judged first (judge.c). TLS ends here
 * and begins anew, because the library lets some in by that only. All of it is on a thread of its own: the library's
 * may wait for what a viewer says. */
#include "ui/spice/server-private.h"

#include "engine/io/websocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536
#define CHUNKS_IN_A_ROW 8  /* then others have their turn */
#define ROOM 65536         /* bytes that wait for an end, before more is read at the other */
#define FIRST_WORD_MS 5000 /* for a display channel's: the library's screens stand still meanwhile */
#define LAST_WORDS_MS 5000 /* for a viewer to read them */

struct SpiceGate
{
  SpiceHere *here;
  VmLoop *loop;
  GThread *thread;
  SSL_CTX *to_viewers, *to_library; /* NULL: no TLS */
  GPtrArray *lines;                 /* Line *; the gate's thread */
  unsigned knocking, settling, ending;
  bool attending; /* posted */
};

typedef struct End
{
  int fd; /* -1: gone */
  SpiceTls *tls;
  GByteArray *out;
  GSource *watch;
  GIOCondition waits_for;
} End;

typedef struct Line
{
  SpiceGate *gate;
  End viewer, library;
  bool met;                        /* the viewer has said something */
  bool knocking, settling, ending; /* count in the gate's; ENDING: the library was told that the viewer has gone */
  VmWebsocket *web;                /* NULL: the viewer speaks SPICE from its first byte on */
  SpiceJudge *judge;
  GSource *patience;
} Line;

/* --- ends -------------------------------------------------------------------------------------------------------- */

static void
end_init (End *e, int fd, SSL_CTX *context, bool server)
{
  e->fd = fd;
  e->out = g_byte_array_new ();
  e->tls = context ? spice_tls_new (context, server) : NULL;
}

static void
end_close (End *e)
{
  vm_source_clear (&e->watch);
  if (e->fd >= 0)
    close (e->fd);
  e->fd = -1;
  e->waits_for = 0;
  g_byte_array_set_size (e->out, 0);
}

static void
end_clear (End *e)
{
  end_close (e);
  g_clear_pointer (&e->tls, spice_tls_free);
  g_byte_array_unref (e->out);
}

/* At once, if nothing waits before it. */
static bool
say (End *e, const uint8_t *bytes, size_t len)
{
  if (e->fd < 0)
    return true;
  if (e->tls)
    return spice_tls_say (e->tls, bytes, len, e->out);
  if (!len)
    return true;
  ssize_t n = e->out->len ? 0 : send (e->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  n = MAX (n, 0); /* flush() sees why not */
  g_byte_array_append (e->out, bytes + n, (guint) (len - (size_t) n));
  return true;
}

static bool
hear (End *e, const uint8_t *bytes, size_t len, GByteArray *plain)
{
  if (e->tls)
    return spice_tls_hear (e->tls, bytes, len, plain, e->out);
  g_byte_array_append (plain, bytes, (guint) len);
  return true;
}

static bool
flush (End *e)
{
  while (e->out->len)
    {
      ssize_t n = send (e->fd, e->out->data, e->out->len, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0)
        return errno == EAGAIN || errno == EINTR;
      g_byte_array_remove_range (e->out, 0, (guint) n);
    }
  return true;
}

/* --- what goes between them -------------------------------------------------------------------------------------- */

static void count (SpiceGate *gate, bool *was, bool is, unsigned *all);

static void
line_free (Line *l)
{
  SpiceGate *gate = l->gate;

  count (gate, &l->knocking, false, &gate->knocking);
  count (gate, &l->settling, false, &gate->settling);
  count (gate, &l->ending, false, &gate->ending);
  g_ptr_array_remove_fast (gate->lines, l);
  vm_source_clear (&l->patience);
  end_clear (&l->viewer);
  end_clear (&l->library);
  g_clear_pointer (&l->web, vm_websocket_free);
  spice_judge_free (l->judge);
  g_free (l);
}

static void
lose_viewer (Line *l)
{
  g_autoptr (GByteArray) last = g_byte_array_new ();

  flush (&l->viewer);
  end_close (&l->viewer);
  spice_judge_end (l->judge, last);
  say (&l->library, last->data, last->len);
}

static bool
from_viewer (Line *l, const uint8_t *bytes, size_t len)
{
  g_autoptr (GByteArray) heard = g_byte_array_new (), judged = g_byte_array_new ();
  bool fine = hear (&l->viewer, bytes, len, heard);

  if (!l->met && heard->len)
    {
      l->met = true;
      l->web = heard->data[0] == 'G' ? vm_websocket_new () : NULL; /* GET / HTTP/1.1 */
    }
  if (l->web)
    {
      g_autoptr (GByteArray) payload = g_byte_array_new (), answer = g_byte_array_new ();
      fine &= vm_websocket_receive (l->web, heard->data, heard->len, payload, answer);
      fine &= say (&l->viewer, answer->data, answer->len);
      fine &= spice_judge_hear (l->judge, payload->data, payload->len, judged);
    }
  else
    fine &= spice_judge_hear (l->judge, heard->data, heard->len, judged);
  return say (&l->library, judged->data, judged->len) && fine;
}

static bool
from_library (Line *l, const uint8_t *bytes, size_t len)
{
  g_autoptr (GByteArray) heard = NULL, framed = NULL, judged = g_byte_array_new ();
  bool fine = true;

  if (l->library.tls)
    {
      heard = g_byte_array_new ();
      fine = hear (&l->library, bytes, len, heard);
      bytes = heard->data;
      len = heard->len;
    }
  bool proper = spice_judge_answer (l->judge, bytes, len, judged);
  fine &= say (&l->library, judged->data, judged->len);
  if (!proper)
    lose_viewer (l);
  if (l->web && len)
    {
      framed = g_byte_array_new ();
      vm_websocket_send (bytes, len, framed);
      bytes = framed->data;
      len = framed->len;
    }
  return say (&l->viewer, bytes, len) && fine;
}

static void
lose (Line *l, End *e)
{
  if (e == &l->viewer && e->fd >= 0)
    lose_viewer (l);
  else
    end_close (e);
}

/* True: there may be more. */
static bool
carry (Line *l, End *from)
{
  uint8_t bytes[CHUNK];
  bool is_viewer = from == &l->viewer;
  End *to = is_viewer ? &l->library : &l->viewer;

  if (from->fd < 0 || to->out->len >= ROOM || (is_viewer && spice_judge_pauses (l->judge)))
    return false;
  ssize_t n = recv (from->fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return false;
  if (n <= 0 || !(is_viewer ? from_viewer : from_library) (l, bytes, (size_t) n))
    lose (l, from);
  return true;
}

static void pump (Line *l);
static void arrange (Line *l);

static gboolean
on_impatience (gpointer opaque)
{
  Line *l = opaque;

  vm_source_clear (&l->patience);
  if (l->library.fd < 0 || l->ending)
    line_free (l);
  else
    {
      lose (l, &l->viewer);
      pump (l);
    }
  return G_SOURCE_REMOVE;
}

static void
be_patient (Line *l, guint ms)
{
  if (l->patience)
    return;
  l->patience = g_timeout_source_new (ms);
  g_source_set_callback (l->patience, on_impatience, l, NULL);
  g_source_attach (l->patience, vm_loop_context (l->gate->loop));
}

static bool
on_ready (int fd, GIOCondition condition, void *opaque)
{
  pump (opaque);
  return true;
}

static void
wait_for (Line *l, End *e, GIOCondition what)
{
  if (e->fd < 0 || e->waits_for == what)
    return;
  vm_source_clear (&e->watch);
  e->waits_for = what;
  if (what)
    e->watch = vm_loop_watch_fd (l->gate->loop, e->fd, what, on_ready, l);
}

/* The library does not survive those of a viewer's channels that end while its screens take another one in, whatever
 * the order. So none ends meanwhile, as far as it hears; and none is let in before the library has hung up on those
 * that did. Neither keeps the other waiting for ever: who knocks is next. */
static void
tell_end (Line *l)
{
  SpiceGate *gate = l->gate;

  if (l->viewer.fd >= 0 || l->library.fd < 0 || l->library.out->len || l->ending || gate->settling || gate->knocking)
    return;
  count (gate, &l->ending, true, &gate->ending);
  shutdown (l->library.fd, SHUT_WR);
  be_patient (l, LAST_WORDS_MS);
}

static void
let_in (Line *l)
{
  g_autoptr (GByteArray) judged = g_byte_array_new ();

  bool fine = spice_judge_let_in (l->judge, judged);
  say (&l->library, judged->data, judged->len);
  if (!fine)
    lose_viewer (l);
  arrange (l);
}

static void
do_attend (void *opaque)
{
  SpiceGate *gate = opaque;

  gate->attending = false;
  for (guint i = 0; !gate->ending && i < gate->lines->len; i++)
    if (((Line *) g_ptr_array_index (gate->lines, i))->knocking)
      let_in (g_ptr_array_index (gate->lines, i));
  for (guint i = 0; i < gate->lines->len; i++)
    tell_end (g_ptr_array_index (gate->lines, i));
}

static void
count (SpiceGate *gate, bool *was, bool is, unsigned *all)
{
  if (*was == is)
    return;
  *was = is;
  *all = is ? *all + 1 : *all - 1;
  if (gate->attending)
    return;
  gate->attending = true;
  vm_loop_post (gate->loop, do_attend, gate);
}

static void
flush_both (Line *l)
{
  if (!flush (&l->library))
    lose (l, &l->library);
  if (!flush (&l->viewer))
    lose (l, &l->viewer);
}

/* What is waited for from now on. */
static void
arrange (Line *l)
{
  SpiceGate *gate = l->gate;
  bool hears = l->library.fd >= 0 && l->library.out->len < ROOM && !spice_judge_pauses (l->judge);

  if (l->viewer.fd < 0) /* one whose login ended only then */
    lose_viewer (l);
  count (gate, &l->knocking, spice_judge_knocks (l->judge), &gate->knocking);
  count (gate, &l->settling, spice_judge_is_new (l->judge), &gate->settling);
  tell_end (l);
  if (l->library.fd < 0)
    be_patient (l, LAST_WORDS_MS);
  else if (spice_judge_waits (l->judge))
    be_patient (l, FIRST_WORD_MS);
  else if (!l->ending)
    vm_source_clear (&l->patience);
  wait_for (l, &l->viewer, (hears ? G_IO_IN : 0) | (l->viewer.out->len ? G_IO_OUT : 0));
  wait_for (l, &l->library, (l->viewer.out->len < ROOM ? G_IO_IN : 0) | (l->library.out->len ? G_IO_OUT : 0));
}

static void
pump (Line *l)
{
  bool more = true;

  flush_both (l);
  for (int i = 0; more && i < CHUNKS_IN_A_ROW; i++)
    {
      more = carry (l, &l->viewer);
      more |= carry (l, &l->library);
      flush_both (l);
    }
  if (l->library.fd < 0 && !l->viewer.out->len)
    line_free (l);
  else
    arrange (l);
}

/* --- who comes --------------------------------------------------------------------------------------------------- */

static void
do_open (void *opaque)
{
  Line *l = opaque;

  g_ptr_array_add (l->gate->lines, l);
  if (l->library.tls)
    say (&l->library, NULL, 0); /* the first to speak */
  pump (l);
}

bool
spice_gate_admit (SpiceHere *here, int fd, bool tls, bool skip_auth)
{
  SpiceGate *gate = here->gate;
  int one = 1, ends[2];

  if ((tls && !gate->to_viewers) || socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
    return false;
  here->arriving = fd;
  bool ok = (tls ? spice_server_add_ssl_client : spice_server_add_client) (here->server, ends[0], skip_auth) == 0;
  here->arriving = -1;
  if (!ok)
    {
      close (ends[1]);
      return false;
    }
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* of a Unix socket it fails */
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  Line *l = g_new0 (Line, 1);
  l->gate = gate;
  l->judge = spice_judge_new (&here->migrating, !tls);
  end_init (&l->viewer, fd, tls ? gate->to_viewers : NULL, true);
  end_init (&l->library, ends[1], tls ? gate->to_library : NULL, false);
  vm_loop_post (gate->loop, do_open, l);
  return true;
}

/* One that the library listens at. */
void
spice_gate_answer (int fd, int event, void *opaque)
{
  SpiceHere *here = opaque;
  struct sockaddr_storage where;
  socklen_t size = sizeof where;
  int client = accept4 (fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

  if (client < 0)
    return;
  bool tls = getsockname (fd, (struct sockaddr *) &where, &size) == 0 && here->spice->options.tls_port
             && ((where.ss_family == AF_INET
                  && ntohs (((struct sockaddr_in *) &where)->sin_port) == here->spice->options.tls_port)
                 || (where.ss_family == AF_INET6
                     && ntohs (((struct sockaddr_in6 *) &where)->sin6_port) == here->spice->options.tls_port));
  if (!spice_gate_admit (here, client, tls, false))
    close (client);
}

/* The library only sees the gate. */
void
spice_gate_introduce (SpiceHere *here, SpiceChannelEventInfo *info)
{
  if (here->arriving < 0)
    return;
  info->flags |= SPICE_CHANNEL_EVENT_FLAG_ADDR_EXT;
  info->llen_ext = sizeof info->laddr_ext;
  info->plen_ext = sizeof info->paddr_ext;
  memset (&info->laddr_ext, 0, sizeof info->laddr_ext);
  memset (&info->paddr_ext, 0, sizeof info->paddr_ext);
  getsockname (here->arriving, (struct sockaddr *) &info->laddr_ext, &info->llen_ext);
  getpeername (here->arriving, (struct sockaddr *) &info->paddr_ext, &info->plen_ext);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static gpointer
gate_thread (gpointer data)
{
  SpiceGate *gate = data;

  vm_loop_run (gate->loop);
  while (gate->lines->len)
    line_free (g_ptr_array_index (gate->lines, 0));
  return NULL;
}

bool
spice_gate_start (SpiceHere *here, GError **error)
{
  const SpiceOptions *o = &here->spice->options;
  SpiceGate *gate = here->gate = g_new0 (SpiceGate, 1);

  gate->here = here;
  here->arriving = -1;
  gate->loop = vm_loop_new ("spice gate", NULL);
  gate->lines = g_ptr_array_new ();
  gate->thread = g_thread_new (here->spice->machine->env.name_threads ? "spice gate" : NULL, gate_thread, gate);
  if (!o->tls_port)
    return true;
  gate->to_viewers = spice_tls_server (o, error);
  gate->to_library = spice_tls_client (o);
  return gate->to_viewers;
}

/* After the library's server: what that says last still goes. */
void
spice_gate_stop (SpiceHere *here)
{
  SpiceGate *gate = g_steal_pointer (&here->gate);

  if (!gate)
    return;
  vm_loop_quit (gate->loop);
  g_thread_join (gate->thread);
  vm_loop_free (gate->loop);
  SSL_CTX_free (gate->to_viewers);
  SSL_CTX_free (gate->to_library);
  g_ptr_array_unref (gate->lines);
  g_free (gate);
}
