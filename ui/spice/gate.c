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
#define SETTLE_MS 500      /* for the library's screens to take a new viewer in, from its first word on */
#define LAST_WORDS_MS 5000 /* for a viewer to read them */

struct SpiceGate
{
  SpiceHere *here;
  VmLoop *loop;
  GThread *thread;
  SSL_CTX *to_viewers, *to_library; /* NULL: no TLS */
  GPtrArray *lines;                 /* Line *; the gate's thread */
  unsigned unsettled;
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
  bool met;         /* the viewer has said something */
  bool told;        /* the library was, that the viewer has gone */
  bool unsettled;   /* counts in the gate's */
  VmWebsocket *web; /* NULL: the viewer speaks SPICE from its first byte on */
  SpiceJudge *judge;
  GSource *patience, *settling;
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

static bool
say (End *e, const uint8_t *bytes, size_t len)
{
  if (e->fd < 0)
    return true;
  if (e->tls)
    return spice_tls_say (e->tls, bytes, len, e->out);
  g_byte_array_append (e->out, bytes, (guint) len);
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

static void settle (Line *l);

static void
line_free (Line *l)
{
  settle (l);
  g_ptr_array_remove_fast (l->gate->lines, l);
  vm_source_clear (&l->patience);
  end_clear (&l->viewer);
  end_clear (&l->library);
  g_clear_pointer (&l->web, vm_websocket_free);
  spice_judge_free (l->judge);
  g_free (l);
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
  if (!l->library.tls && !l->web)
    return say (&l->viewer, bytes, len);
  g_autoptr (GByteArray) heard = g_byte_array_new (), framed = g_byte_array_new ();
  bool fine = hear (&l->library, bytes, len, heard);
  if (!l->web)
    return say (&l->viewer, heard->data, heard->len) && fine;
  if (heard->len)
    vm_websocket_send (heard->data, heard->len, framed);
  return say (&l->viewer, framed->data, framed->len) && fine;
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

  if (from->fd < 0 || to->out->len >= ROOM)
    return false;
  ssize_t n = recv (from->fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return false;
  if (n <= 0 || !(is_viewer ? from_viewer : from_library) (l, bytes, (size_t) n))
    lose (l, from);
  return true;
}

static void pump (Line *l);

static gboolean
on_impatience (gpointer opaque)
{
  Line *l = opaque;

  vm_source_clear (&l->patience);
  if (l->library.fd < 0)
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
 * the order; so none ends meanwhile, as far as it hears. */
static void
tell_end (Line *l)
{
  if (l->viewer.fd >= 0 || l->library.fd < 0 || l->library.out->len || l->told || l->gate->unsettled)
    return;
  shutdown (l->library.fd, SHUT_WR);
  l->told = true;
}

static void
settle (Line *l)
{
  vm_source_clear (&l->settling);
  if (!l->unsettled)
    return;
  l->unsettled = false;
  if (--l->gate->unsettled)
    return;
  for (guint i = 0; i < l->gate->lines->len; i++)
    tell_end (g_ptr_array_index (l->gate->lines, i));
}

static gboolean
on_settled (gpointer opaque)
{
  settle (opaque);
  return G_SOURCE_REMOVE;
}

/* A display channel is new from the end of its login on. */
static void
watch_settling (Line *l)
{
  bool waits = spice_judge_waits (l->judge);

  if (waits && !l->unsettled)
    {
      l->unsettled = true;
      l->gate->unsettled++;
    }
  else if (!waits && l->unsettled && !l->settling && !l->library.out->len)
    {
      l->settling = g_timeout_source_new (SETTLE_MS);
      g_source_set_callback (l->settling, on_settled, l, NULL);
      g_source_attach (l->settling, vm_loop_context (l->gate->loop));
    }
}

static void
flush_both (Line *l)
{
  if (!flush (&l->library))
    lose (l, &l->library);
  if (!flush (&l->viewer))
    lose (l, &l->viewer);
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
    {
      line_free (l);
      return;
    }
  watch_settling (l);
  tell_end (l);
  if (l->library.fd < 0)
    be_patient (l, LAST_WORDS_MS);
  else if (spice_judge_waits (l->judge))
    be_patient (l, FIRST_WORD_MS);
  else
    vm_source_clear (&l->patience);
  wait_for (l, &l->viewer,
            (l->library.fd >= 0 && l->library.out->len < ROOM ? G_IO_IN : 0) | (l->viewer.out->len ? G_IO_OUT : 0));
  wait_for (l, &l->library, (l->viewer.out->len < ROOM ? G_IO_IN : 0) | (l->library.out->len ? G_IO_OUT : 0));
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
  l->judge = spice_judge_new (&here->migrating);
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
