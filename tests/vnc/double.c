/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See double.h. */
#include "tests/vnc/double.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the servers want of a machine. */
void
vm_machine_emit (VmMachine *machine, const char *name, const char *format, ...)
{
}

void
vm_machine_request_reset (VmMachine *machine, VmShutdownCause cause)
{
}

void
vm_machine_request_powerdown (VmMachine *machine)
{
}

/* Sound: somebody always plays, a little for each who begins to listen. */
struct VmAudioListener
{
  const VmAudioListenerOps *ops;
  void *opaque;
};

VmAudiodev *
vm_audiodev_find (struct VmEnv *env, const char *id)
{
  return (VmAudiodev *) env;
}

VmAudioListener *
vm_audio_listen (VmAudiodev *dev, const VmAudioFormat *format, const VmAudioListenerOps *ops, void *opaque)
{
  static const uint8_t sound[4800];
  VmAudioListener *listener = g_new (VmAudioListener, 1);

  *listener = (VmAudioListener){ ops, opaque };
  ops->playing (opaque, true);
  ops->sound (opaque, sound, 100 * vm_audio_frame_bytes (format));
  return listener;
}

void
vm_audio_unlisten (VmAudioListener *listener)
{
  g_free (listener);
}

VncDouble *
vnc_double_new (const char *server, int width, int height)
{
  static const VmConsoleOps ops = { 0 };
  VncDouble *d = g_new0 (VncDouble, 1);
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_autoptr (GError) error = NULL;
  VmEnv *env = &d->machine.env;

  d->machine.settings = &d->settings;
  env->loop = vm_loop_new ("engine", NULL);
  env->clocks = vm_clocks_new (env->loop);
  env->display = vm_display_new (env->loop, env->clocks);
  env->input = vm_input_new (env->loop);
  d->console = vm_console_new (env->display, NULL, 0, &ops, NULL);
  d->surface = vm_surface_new (width, height);
  vm_console_set_surface (d->console, d->surface);
  d->vnc = vm_vnc_new (&d->machine);
  g_assert_true (vm_keyvals_parse (list, server, "vnc", 0, &error));
  if (!vm_vnc_open (d->vnc, list, &error))
    g_error ("%s", error->message);
  return d;
}

void
vnc_double_free (VncDouble *d)
{
  VmEnv *env = &d->machine.env;

  vm_vnc_free (d->vnc);
  while (vm_loop_iterate (env->loop, false))
    ;
  vm_console_free (d->console);
  vm_display_free (env->display);
  vm_input_free (env->input);
  vm_clocks_free (env->clocks);
  vm_loop_free (env->loop);
  g_free (d);
}

typedef struct Come
{
  VncDouble *d;
  int fd;
  bool skip_auth, websocket;
  unsigned n;
} Come;

static void
do_connect (void *opaque)
{
  Come *come = opaque;
  VncClient *c = vnc_client_new (g_ptr_array_index (come->d->vnc->servers, 0), come->fd, come->websocket);

  c->skip_auth = come->skip_auth;
  vnc_client_start (c);
}

int
vnc_double_connect (VncDouble *d, bool skip_auth, bool websocket)
{
  Come come = { .d = d, .skip_auth = skip_auth, .websocket = websocket };
  int ends[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==, 0);
  come.fd = ends[0];
  vm_loop_call (d->vnc->loop, do_connect, &come);
  return ends[1];
}

static void
do_count (void *opaque)
{
  Come *come = opaque;

  come->n = come->d->vnc->n_clients;
}

void
vnc_double_settle (VncDouble *d)
{
  Come come = { .d = d };

  do
    {
      while (vm_loop_iterate (d->machine.env.loop, false))
        ;
      vm_loop_call (d->vnc->loop, do_count, &come);
      if (come.n)
        g_usleep (100);
    }
  while (come.n);
}
