/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All VNC servers of a machine: their thread, making and ending servers. */
#include "ui/vnc/vnc-private.h"

#include "engine/base/log.h"
#include "engine/base/module.h"

#include <errno.h>
#include <unistd.h>

#define ENCODERS_MAX 8
#define NICE 5 /* the guest comes first; comparing and sending pictures is work, too */

/* --- threads --------------------------------------------------------------------------------------------------- */

static gpointer
main_thread (gpointer data)
{
  VmVnc *vnc = data;

  vnc_step_back (NICE);
  vm_loop_run (vnc->loop);
  return NULL;
}

/* LEDs, or how the pointer goes. */
static void
input_told (void *opaque)
{
  VmVnc *vnc = opaque;
  VmInput *input = vnc->machine->env.input;

  for (guint i = 0; i < vnc->screens->len; i++)
    {
      VncScreen *s = g_ptr_array_index (vnc->screens, i);
      for (guint k = s->clients->len; k-- > 0;)
        {
          VncClient *c = g_ptr_array_index (s->clients, k);
          if ((c->features & VNC_HAS_LEDS) && c->leds_told != vm_input_leds (input))
            c->news |= VNC_NEWS_LEDS;
          if ((c->features & VNC_HAS_POINTER_MODE) && c->absolute_told != vm_input_is_absolute (input, s->console))
            c->news |= VNC_NEWS_POINTER_MODE;
          if (c->news)
            vnc_client_update (c);
        }
    }
}

static void
on_input_changed (void *opaque)
{
  VmVnc *vnc = opaque;

  vm_loop_post (vnc->loop, input_told, vnc);
}

static void
start_threads (VmVnc *vnc)
{
  unsigned n = CLAMP (g_get_num_processors () / 2, 1, ENCODERS_MAX);
  bool named = vnc->machine->env.name_threads;

  if (vnc->loop)
    return;
  vnc->loop = vm_loop_new ("vnc", NULL);
  vnc->jobs = vnc_jobs_new (vnc->loop, n, named);
  vnc->jpegs = vnc_jpegs_new ();
  vnc->thread = g_thread_new (named ? "vnc" : NULL, main_thread, vnc);
  vm_input_watch (vnc->machine->env.input, on_input_changed, vnc);
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

VmVnc *
vm_vnc_new (VmMachine *machine)
{
  VmVnc *vnc = g_new0 (VmVnc, 1);

  vnc->machine = machine;
  vnc->servers = g_ptr_array_new ();
  vnc->screens = g_ptr_array_new ();
  machine->vnc_of = vnc;
  return vnc;
}

void
vnc_server_set_password (VncServer *s, const char *password)
{
  if (s->password)
    {
      explicit_bzero (s->password, strlen (s->password));
      g_free (s->password);
    }
  s->password = g_strdup (password);
}

void
vnc_server_free (VncServer *s)
{
  vnc_server_stop_listening (s);
  g_ptr_array_unref (s->listeners);
  g_ptr_array_unref (s->clients);
  vm_source_clear (&s->key_timer);
  g_queue_clear_full (&s->keys, g_free);
  vm_layout_free (s->keyboard);
  if (s->console)
    vm_console_unref (s->console);
  vnc_server_set_password (s, NULL);
  vnc_options_clear (&s->options);
  g_free (s);
}

static void
stop (void *opaque)
{
  VmVnc *vnc = opaque;

  vnc->stopping = true;
  for (guint i = 0; i < vnc->servers->len; i++)
    {
      VncServer *s = g_ptr_array_index (vnc->servers, i);
      vnc_server_stop_listening (s);
      for (guint k = s->clients->len; k-- > 0;)
        vnc_client_close (g_ptr_array_index (s->clients, k));
    }
  if (!vnc->n_clients)
    vm_loop_quit (vnc->loop);
}

void
vm_vnc_free (VmVnc *vnc)
{
  if (!vnc)
    return;
  if (vnc->loop)
    {
      vm_input_unwatch (vnc->machine->env.input, on_input_changed, vnc);
      vm_loop_post (vnc->loop, stop, vnc);
      g_thread_join (vnc->thread);
      vnc_jobs_free (vnc->jobs);
      vnc_jpegs_free (vnc->jpegs);
      for (guint i = 0; i < vnc->servers->len; i++)
        vnc_server_free (g_ptr_array_index (vnc->servers, i));
      /* What clients said last, that they leave the clipboard for instance. */
      VmLock *lock = vm_loop_lock (vnc->machine->env.loop);
      bool taken = lock && vm_lock_enter (lock);
      vm_loop_run_posted (vnc->machine->env.loop);
      if (lock)
        vm_lock_leave (lock, taken);
      vm_loop_free (vnc->loop);
    }
  vnc->machine->vnc_of = NULL;
  g_ptr_array_unref (vnc->servers);
  g_ptr_array_unref (vnc->screens);
  g_free (vnc);
}

/* --- one more ------------------------------------------------------------------------------------------------------
 */

static bool
bind_to_console (VncServer *s, GError **error)
{
  VmDisplay *display = s->vnc->machine->env.display;
  const VncOptions *o = &s->options;

  if (!o->display)
    return true;
  VmConsole *console = vm_display_find_console (display, o->display, o->head);
  if (!console)
    return vm_fail (error, o->head ? "Device '%s' has no head %u" : "Device '%s' not found", o->display, o->head);
  s->console = vm_console_ref (console);
  return true;
}

static bool
connect_out (VncServer *s, int *fd, GError **error)
{
  const VmAddress *a = &s->options.address;
  g_autoptr (GArray) list = vm_address_resolve (a, SOCK_STREAM, false, error);
  int why = EADDRNOTAVAIL;

  for (guint i = 0; list && i < list->len; i++)
    {
      const VmSockaddr *addr = &g_array_index (list, VmSockaddr, i);
      *fd = socket (addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (*fd >= 0 && connect (*fd, &addr->any, addr->len) == 0)
        return true;
      why = errno;
      if (*fd >= 0)
        close (*fd);
    }
  g_autofree char *where = vm_address_text (a);
  return list && vm_fail (error, "Failed to connect to '%s': %s", where, g_strerror (why));
}

typedef struct Call
{
  VncServer *server;
  int fd;
  bool ok, skip_auth;
  GError *error;
} Call;

/* On the VNC thread from here on. */
static void
do_open (void *opaque)
{
  Call *call = opaque;
  VncServer *s = call->server;

  call->ok = vnc_server_listen (s, &call->error);
  if (!call->ok)
    return;
  g_ptr_array_add (s->vnc->servers, s);
  if (call->fd >= 0)
    vnc_client_start (vnc_client_new (s, call->fd, false));
}

static bool
is_loopback (const VmSockaddr *addr)
{
  if (addr->any.sa_family == AF_INET)
    return ntohl (addr->in.sin_addr.s_addr) >> 24 == 127;
  return addr->any.sa_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK (&addr->in6.sin6_addr);
}

/* In words, because the default of -vnc :0 is anybody. */
static void
warn_if_open (const VncServer *s)
{
  const VncOptions *o = &s->options;
  bool loopback = true;

  for (guint i = 0; i < s->listeners->len; i++)
    {
      const VncListener *l = g_ptr_array_index (s->listeners, i);
      VmSockaddr addr;
      loopback &= !vm_sockaddr_of (&addr, l->fd, false) || is_loopback (&addr);
    }
  if (loopback)
    return;
  if (!o->password && !o->sasl && !(o->creds && vm_tls_creds_are_x509 (o->creds)))
    vm_report_warning ("VNC server '%s' lets everybody in who can reach this host: they see and operate the guest. "
                       "Write localhost before the display number, or ask for a password (password-secret=ID)",
                       o->id);
  else if (!o->creds && !o->sasl)
    vm_report_warning ("VNC server '%s' sends everything in the clear, and only the first eight characters of its "
                       "password count: use tls-creds=ID, too",
                       o->id);
}

static bool
load_sasl (VmVnc *vnc, GError **error)
{
  if (!vnc->sasl)
    vnc->sasl = vm_module_symbol ("ui/vnc", VNC_SASL_MODULE, VNC_SASL_SYMBOL, error);
  if (!vnc->sasl)
    g_prefix_error (error, "sasl=on: ");
  return vnc->sasl != NULL;
}

bool
vm_vnc_open (VmVnc *vnc, const VmKeyVals *list, GError **error)
{
  VncServer *s = g_new0 (VncServer, 1);
  Call call = { .server = s, .fd = -1 };

  s->vnc = vnc;
  s->listeners = g_ptr_array_new_with_free_func (vnc_listener_free);
  s->clients = g_ptr_array_new ();
  s->expires = INT64_MAX;
  bool ok = vnc_options_read (&s->options, vnc->machine, list, error)
            && (!vnc_find_server (vnc, s->options.id) || vm_fail (error, "Duplicate ID '%s' for vnc", s->options.id))
            && (s->keyboard = vm_layout_new (vnc->machine->settings->keyboard_layout, error))
            && bind_to_console (s, error) && (!s->options.sasl || load_sasl (vnc, error))
            && (!s->options.reverse || connect_out (s, &call.fd, error));
  if (ok)
    {
      vnc_server_set_password (s, s->options.secret);
      start_threads (vnc);
      vm_loop_call (vnc->loop, do_open, &call);
      if (!call.ok)
        g_propagate_error (error, call.error);
      ok = call.ok;
    }
  if (!ok)
    vnc_server_free (s);
  else
    warn_if_open (s);
  return ok;
}

char *
vm_vnc_address (VmVnc *vnc)
{
  VncServer *s = vnc_find_server (vnc, NULL);
  VmSockaddr addr;

  if (!s || !s->listeners->len)
    return NULL;
  const VncListener *l = g_ptr_array_index (s->listeners, 0);
  return vm_sockaddr_of (&addr, l->fd, false) ? vm_sockaddr_text (&addr) : NULL;
}

/* --- fewer, and who looks --------------------------------------------------------------------------------------- */

typedef struct Errand
{
  VmVnc *vnc;
  const char *id;
  int64_t number;
  json_object *list;
  bool ok;
} Errand;

static bool
run (Errand *errand, VmPostFunc func)
{
  if (errand->vnc->loop)
    vm_loop_call (errand->vnc->loop, func, errand);
  return errand->ok;
}

static void
do_close (void *opaque)
{
  Errand *e = opaque;
  VncServer *s = vnc_find_server (e->vnc, e->id);

  if (!s)
    return;
  e->ok = true;
  s->ended = true;
  g_ptr_array_remove (e->vnc->servers, s);
  vnc_server_stop_listening (s);
  for (guint i = s->clients->len; i-- > 0;)
    vnc_client_close (g_ptr_array_index (s->clients, i));
  if (!s->clients->len)
    vnc_server_free (s);
}

bool
vm_vnc_close (VmVnc *vnc, const char *id)
{
  return run (&(Errand){ .vnc = vnc, .id = id }, do_close);
}

static void
do_drop (void *opaque)
{
  Errand *e = opaque;

  for (guint i = 0; i < e->vnc->servers->len; i++)
    {
      const VncServer *s = g_ptr_array_index (e->vnc->servers, i);
      for (guint k = 0; k < s->clients->len && !e->ok; k++)
        {
          VncClient *c = g_ptr_array_index (s->clients, k);
          if (c->number != e->number)
            continue;
          e->ok = true;
          vnc_client_close (c);
          return;
        }
    }
}

bool
vm_vnc_drop (VmVnc *vnc, int64_t number)
{
  return run (&(Errand){ .vnc = vnc, .number = number }, do_drop);
}

/* Where it comes from; a Unix socket's peers have no names, but are processes of this host. */
static char *
name_peer (const VncClient *c)
{
  VmSockaddr addr;
  struct ucred peer;
  socklen_t len = sizeof peer;

  if (vm_sockaddr_of (&addr, c->wire.fd, true) && addr.any.sa_family != AF_UNIX)
    return vm_sockaddr_text (&addr);
  if (getsockopt (c->wire.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0)
    return g_strdup_printf ("unix:%ld", (long) peer.pid);
  return g_strdup ("unix:");
}

static json_object *
describe_viewer (const VncClient *c)
{
  json_object *viewer = json_object_new_object ();
  int64_t age = g_get_monotonic_time () - c->since;
  const char *user = c->user ? c->user : c->dname;
  g_autofree char *address = name_peer (c);

  json_object_object_add (viewer, "number", json_object_new_int64 (c->number));
  json_object_object_add (viewer, "address", json_object_new_string (address));
  if (user)
    json_object_object_add (viewer, "user", json_object_new_string (user));
  json_object_object_add (viewer, "since", json_object_new_int64 ((g_get_real_time () - age) / G_USEC_PER_SEC));
  json_object_object_add (viewer, "looks", json_object_new_boolean (c->initialized));
  return viewer;
}

static void
do_describe (void *opaque)
{
  Errand *e = opaque;

  for (guint i = 0; i < e->vnc->servers->len; i++)
    {
      const VncServer *s = g_ptr_array_index (e->vnc->servers, i);
      json_object *server = json_object_new_object (), *addresses = json_object_new_array (),
                  *viewers = json_object_new_array ();
      g_autofree char *auth = vnc_server_auth_name (s);
      for (guint k = 0; k < s->listeners->len; k++)
        {
          VmSockaddr addr;
          g_autofree char *text = NULL;
          if (vm_sockaddr_of (&addr, ((const VncListener *) s->listeners->pdata[k])->fd, false))
            text = vm_sockaddr_text (&addr);
          json_object_array_add (addresses, json_object_new_string (text ? text : ""));
        }
      for (guint k = 0; k < s->clients->len; k++)
        {
          const VncClient *c = g_ptr_array_index (s->clients, k);
          if (!c->wire.over)
            json_object_array_add (viewers, describe_viewer (c));
        }
      json_object_object_add (server, "id", json_object_new_string (s->options.id));
      json_object_object_add (server, "auth", json_object_new_string (auth));
      json_object_object_add (server, "addresses", addresses);
      json_object_object_add (server, "viewers", viewers);
      json_object_array_add (e->list, server);
    }
}

json_object *
vm_vnc_describe (VmVnc *vnc)
{
  Errand e = { .vnc = vnc, .list = json_object_new_array () };

  run (&e, do_describe);
  return e.list;
}
