/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SPICE server as the program has it: its thread, its module, what it is told of the machine; and the viewer of
 * -display spice-app. */
#include "ui/spice/spice-private.h"

#include "audio/audio.h"
#include "engine/base/log.h"
#include "engine/base/module.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* --- news for it ------------------------------------------------------------------------------------------------- */

static void
do_input (void *opaque)
{
  VmSpice *spice = opaque;

  if (!spice->server)
    return;
  spice->module->leds_changed (spice);
  spice->module->pointer_changed (spice);
}

static void
on_input_changed (void *opaque)
{
  VmSpice *spice = opaque;

  vm_loop_post (spice->loop, do_input, spice);
}

static void
do_migrate_start (void *opaque)
{
  VmSpice *spice = opaque;

  if (spice->server)
    spice->module->migrate_start (spice);
}

static void
do_migrate_end (void *opaque)
{
  VmSpice *spice = opaque;

  if (spice->server)
    spice->module->migrate_end (spice, true);
}

static void
do_migrate_fail (void *opaque)
{
  VmSpice *spice = opaque;

  if (spice->server)
    spice->module->migrate_end (spice, false);
}

static void
on_state (VmMachine *machine, void *opaque)
{
  VmSpice *spice = opaque;

  switch (machine->state)
    {
    case VM_RUN_FINISH_MIGRATE:
      spice->migrating = true;
      vm_loop_post (spice->loop, do_migrate_start, spice);
      break;
    case VM_RUN_POSTMIGRATE:
      if (spice->migrating)
        vm_loop_post (spice->loop, do_migrate_end, spice);
      spice->migrating = false;
      break;
    default:
      if (spice->migrating)
        vm_loop_post (spice->loop, do_migrate_fail, spice);
      spice->migrating = false;
      break;
    }
}

/* --- the viewer of -display spice-app ---------------------------------------------------------------------------- */

bool
vm_spice_prepare_app (VmSettings *s, GError **error)
{
  bool gl = false;

  if (!vm_keyvals_bool (s->display_opts, "gl", &gl, error))
    return false;
  if (gl)
    return vm_fail (error, "-display spice-app,gl=on is not available in this build: pictures are sent, not textures");
  if (!s->spice)
    s->spice = vm_keyvals_new ();
  return true;
}

/* A socket in a folder that is this user's alone, so that nobody need be asked for a password. */
static bool
make_app_socket (VmSpice *spice, GError **error)
{
  g_autofree char *folder = g_build_filename (g_get_user_runtime_dir (), "vitrine-XXXXXX", NULL);

  if (!g_mkdtemp (folder))
    return vm_fail (error, "cannot make a folder in '%s' for the viewer's socket: %s", g_get_user_runtime_dir (),
                    g_strerror (errno));
  spice->app_socket = g_build_filename (folder, "spice.sock", NULL);
  vm_keyvals_set (spice->list, "unix", "on");
  vm_keyvals_set (spice->list, "addr", spice->app_socket);
  vm_keyvals_set (spice->list, "disable-ticketing", "on");
  vm_keyvals_set (spice->list, "image-compression", "off");
  vm_keyvals_set (spice->list, "streaming-video", "off");
  return true;
}

static bool
start_viewer (VmSpice *spice, GError **error)
{
  g_autofree char *uri = g_strconcat ("spice+unix://", spice->app_socket, NULL);

  if (g_app_info_launch_default_for_uri (uri, NULL, error))
    return true;
  g_prefix_error (error, "no viewer could be started for %s: ", uri);
  return false;
}

static void
remove_app_folder (VmSpice *spice)
{
  if (!spice->app_socket)
    return;
  g_autofree char *folder = g_path_get_dirname (spice->app_socket);
  g_unlink (spice->app_socket);
  g_rmdir (folder);
  g_clear_pointer (&spice->app_socket, g_free);
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

VmSpice *
vm_spice_new (VmMachine *machine)
{
  VmSpice *spice = g_new0 (VmSpice, 1);

  spice->machine = machine;
  spice->pipes = g_ptr_array_new ();
  spice->channels = g_ptr_array_new ();
  spice->expires = INT64_MAX;
  machine->spice_of = spice;
  machine->spice_added = spice_pipe_new;
  return spice;
}

static gpointer
spice_thread (gpointer data)
{
  VmSpice *spice = data;

  vm_loop_run (spice->loop);
  return NULL;
}

typedef struct Start
{
  VmSpice *spice;
  bool ok;
  GError *error;
} Start;

static void
do_start (void *opaque)
{
  Start *start = opaque;

  start->ok = start->spice->module->start (start->spice, &start->error);
  if (start->ok)
    spice_pipes_open (start->spice);
}

static void
do_stop (void *opaque)
{
  VmSpice *spice = opaque;

  if (spice->server)
    {
      spice_pipes_close (spice);
      spice->module->stop (spice);
      spice->server = NULL;
    }
  vm_loop_quit (spice->loop);
}

static void
end_thread (VmSpice *spice)
{
  vm_loop_post (spice->loop, do_stop, spice);
  g_thread_join (spice->thread);
  vm_loop_free (spice->loop);
  spice->loop = NULL;
}

bool
spice_serve (VmSpice *spice, const SpiceServerModule *module, GError **error)
{
  VmMachine *m = spice->machine;
  Start start = { .spice = spice };

  spice->module = module;
  spice->loop = vm_loop_new ("spice", NULL);
  spice->thread = g_thread_new (m->env.name_threads ? "spice" : NULL, spice_thread, spice);
  vm_loop_call (spice->loop, do_start, &start);
  if (!start.ok)
    {
      g_propagate_error (error, start.error);
      end_thread (spice);
      return false;
    }
  vm_audio_provide (&m->env, spice->module->sound (), spice);
  vm_input_watch (m->env.input, on_input_changed, spice);
  vm_machine_watch (m, VM_MACHINE_STATE, on_state, spice);
  return true;
}

bool
vm_spice_open (VmSpice *spice, GError **error)
{
  VmMachine *m = spice->machine;
  bool app = !g_strcmp0 (m->settings->display, "spice-app");

  spice->list = vm_keyvals_copy (m->settings->spice);
  if ((app && !make_app_socket (spice, error)) || !spice_options_read (&spice->options, m, spice->list, error))
    return false;
  if (spice->options.secret)
    spice->password = g_strdup (spice->options.secret);
  const SpiceServerModule *module = vm_module_symbol ("ui/spice", SPICE_MODULE, SPICE_MODULE_SYMBOL, error);
  if (!module)
    {
      g_prefix_error (error, "-spice: ");
      return false;
    }
  return spice_serve (spice, module, error) && (!app || start_viewer (spice, error));
}

void
vm_spice_close (VmSpice *spice)
{
  VmMachine *m = spice->machine;

  if (spice->loop)
    {
      vm_audio_withdraw (&m->env, spice->module->sound ());
      vm_input_unwatch (m->env.input, on_input_changed, spice);
      vm_machine_unwatch (m, VM_MACHINE_STATE, on_state, spice);
      end_thread (spice);
      /* What the library said last. */
      bool taken = vm_lock_enter (m->lock);
      vm_loop_run_posted (m->env.loop);
      vm_lock_leave (m->lock, taken);
    }
  remove_app_folder (spice);
}

void
vm_spice_free (VmSpice *spice)
{
  if (spice->password)
    explicit_bzero (spice->password, strlen (spice->password));
  g_free (spice->password);
  spice_options_clear (&spice->options);
  g_clear_pointer (&spice->list, vm_keyvals_free);
  g_ptr_array_unref (spice->pipes);
  g_ptr_array_unref (spice->channels);
  g_free (spice);
}
