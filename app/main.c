/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine [options] [disk_image]: from the command line to a running machine and back to an exit status. */
#include "config.h"

#include "app/app.h"
#include "devices/board/board.h"
#include "devices/intc/lapic.h"
#include "engine/base/fdset.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"
#include "engine/char/char.h"
#include "engine/debug/gdb.h"
#include "engine/debug/qtest.h"
#include "engine/kvm/kvm.h"
#include "engine/monitor/monitor.h"
#include "engine/options/options.h"
#include "engine/tcg/exec.h"
#include "engine/tcg/plugin/plugins.h"
#include "net/net.h"
#include "ui/spice/spice.h"
#include "ui/ui.h"
#include "ui/vnc/vnc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const VmAccelOps *const app_accels[] = {
  &vm_tcg_accel_ops,
#ifdef VM_HAVE_KVM
  &vm_kvm_accel_ops,
#endif
  &vm_qtest_accel_ops,
  NULL,
};

typedef struct App
{
  VmSettings *settings;
  VmTypeList *types;
  VmMachine *machine;
  VmMonitors *monitors;
  VmVnc *vnc;
  VmSpice *spice;
  VmQtest *qtest;
  const VmUiModule *ui;
  AppUser user;
  bool pidfile;
  int status;
  GThread *engine;
} App;

/* --- the window --- */

static GModule *
open_module (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS) ? g_module_open (path, G_MODULE_BIND_LOCAL) : NULL;
}

/* An installed module, else the one of the build folder this program was made in. */
static bool
load_ui (App *app, GError **error)
{
  const char *name = app->settings->display;
  g_autofree char *file = g_strdup_printf ("vitrine-ui-%s.so", name), *symbol = g_strdup_printf ("vm_ui_%s", name);
  g_autofree char *built = g_build_filename (VM_BUILDDIR, "ui", name, NULL);
  GModule *module = open_module (VM_MODULEDIR, file);

  g_strdelimit (symbol, "-", '_');

  if (!module)
    module = open_module (built, file);
  if (!module)
    return vm_fail (error,
                    "the window needs the module %s, which cannot be loaded: %s; install it or use "
                    "-display none",
                    file, g_module_error () ? g_module_error () : "it is not installed");
  g_module_make_resident (module); /* GTK cannot be unloaded */
  if (!g_module_symbol (module, symbol, (gpointer *) &app->ui))
    return vm_fail (error, "%s is not a user interface: %s", file, g_module_error ());
  return app->ui->probe (app->settings, error);
}

static bool
is_installed (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* Without the window, where nobody said anything: as the documentation has it. */
static void
show_by_vnc (App *app)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  vm_keyvals_add (list, "vnc", "localhost:0");
  vm_keyvals_add (list, "to", "99");
  g_ptr_array_add (app->settings->vncs, vm_vnc_spec_new (list, NULL));
  app->settings->display = g_strdup ("none");
}

static bool
choose_display (App *app, GError **error)
{
  static const char *const windows[] = { "gtk", "sdl", "curses", NULL };
  VmSettings *s = app->settings;

  if (!s->display && (s->vncs->len || s->spice))
    s->display = g_strdup ("none");
  else if (!s->display && !is_installed (VM_MODULEDIR, "vitrine-ui-gtk.so")
           && !is_installed (VM_BUILDDIR "/ui/gtk", "vitrine-ui-gtk.so"))
    show_by_vnc (app);
  if (s->display && !strcmp (s->display, "spice-app"))
    return vm_spice_prepare_app (s, error);
  if (s->display && !strcmp (s->display, "none"))
    return true;
  if (s->daemonize && (!s->display || g_strv_contains (windows, s->display)))
    return vm_fail (error, "-daemonize needs -display none, -vnc or -spice");
  if (!s->display)
    s->display = g_strdup ("gtk");
  return load_ui (app, error);
}

/* --- building the machine: the documented order --- */

static char *
describe_lapic (VmVcpu *vcpu)
{
  VmLapic *apic = ((VmX86Cpu *) vcpu)->apic;

  return apic ? vm_lapic_describe (apic) : g_strdup ("no local APIC\n");
}

static bool
check_start (const VmSettings *s, GError **error)
{
  if (s->kernel && !g_file_test (s->kernel, G_FILE_TEST_EXISTS))
    return vm_fail (error, "qemu: could not open kernel file '%s': %s", s->kernel, g_strerror (ENOENT));
  /* A Multiboot kernel takes a list, with arguments: whoever reads that one looks at its files. */
  if (s->initrd && !strpbrk (s->initrd, ", ") && !g_file_test (s->initrd, G_FILE_TEST_EXISTS))
    return vm_fail (error, "qemu: could not load initrd '%s'", s->initrd);
  if (s->dtb)
    return vm_fail (error, "-dtb: this machine takes no device tree");
  return true;
}

static bool
open_monitors (App *app, GError **error)
{
  VmMachine *m = app->machine;
  bool taken = vm_lock_enter (m->lock), ok = true;

  for (guint i = 0; ok && i < m->monitors->len; i++)
    ok = vm_monitors_open (app->monitors, g_ptr_array_index (m->monitors, i), error);
  vm_lock_leave (m->lock, taken);
  return ok;
}

static bool
open_vncs (App *app, GError **error)
{
  const GPtrArray *vncs = app->settings->vncs;

  for (guint i = 0; i < vncs->len; i++)
    {
      const VmVncSpec *spec = g_ptr_array_index (vncs, i);
      if (!vm_vnc_open (app->vnc, spec->options, error))
        {
          if (spec->text)
            g_prefix_error (error, "%s: ", spec->text);
          return false;
        }
      if (!spec->text)
        {
          g_autofree char *where = vm_vnc_address (app->vnc);
          printf ("VNC server running on %s\n", where);
          fflush (stdout);
        }
    }
  return true;
}

/* Nobody drives devices, or sees a prompt, before all is there. */
static bool
open_doors (App *app, GError **error)
{
  VmMachine *m = app->machine;
  bool taken = vm_lock_enter (m->lock);

  vm_net_warn (m);
  vm_monitors_start (app->monitors);
  bool ok
      = open_vncs (app, error) && (!m->settings->spice || vm_spice_open (app->spice, error)) && (!m->qtest_chardev || (app->qtest = vm_qtest_new (m, error))) && (!m->gdb_chardev || vm_gdb_start (m, error));
  vm_lock_leave (m->lock, taken);
  return ok;
}

static bool
preconfigure (App *app, GError **error)
{
  if (app->settings->preconfig)
    vm_monitors_start (app->monitors);
  return vm_machine_preconfig (app->machine, error);
}

static bool
add_plugins (VmMachine *m, GError **error)
{
  const GPtrArray *plugins = m->settings->plugins;

  for (guint i = 0; i < plugins->len; i++)
    {
      const VmPluginSpec *plugin = g_ptr_array_index (plugins, i);
      if (!vm_tcg_add_plugin (m->accel, plugin->file, plugin->args, m->settings->smp.cpus, m->settings->smp.max_cpus,
                              error))
        return false;
    }
  return true;
}

static bool
build_machine (App *app, const VmBoard *board, GError **error)
{
  VmMachine *m = app->machine = vm_machine_new (board, app->settings, app->types, vm_boards, error);

  if (!m)
    return false;
  m->arch = &app_arch_x86;
  m->describe_lapic = describe_lapic;
  m->open_networks = app_open_networks;
  m->open_sound = app_open_sound;
#ifdef VM_HAVE_KVM
  m->kvm_present = true;
#endif
  app->monitors = vm_monitors_new (m);
  app->vnc = vm_vnc_new (m);
  app->spice = vm_spice_new (m);
  return vm_machine_create_backends (m, error) && open_monitors (app, error)
         && vm_machine_init_accel (m, app_accels, error) && add_plugins (m, error) && preconfigure (app, error)
         && app_open_drives (m, error)
         && vm_machine_create_ram (m, error) && check_start (app->settings, error) && vm_machine_init_board (m, error)
         && vm_machine_create_devices (m, error) && app_load_snapshot (m, error) && open_doors (app, error);
}

static bool
set_up_log (const VmSettings *s, GError **error)
{
  vm_log_set_mask (s->log_items);
  vm_log_set_filter (s->log_filter ? g_array_ref (s->log_filter) : NULL);
  if (s->log_file && !vm_log_set_file (s->log_file, error))
    return false;
  for (guint i = 0; i < s->traces->len; i++)
    {
      const VmTraceSpec *spec = g_ptr_array_index (s->traces, i);

      if (spec->enable)
        vm_trace_enable (spec->where, spec->enable);
      if ((spec->events && !vm_trace_enable_file (spec->events, error))
          || (spec->file && !vm_log_set_file (spec->file, error)))
        return false;
    }
  return true;
}

/* Descriptors that the caller left open: "/dev/fdset/N". */
static bool
take_fds (const VmSettings *s, GError **error)
{
  for (guint i = 0; i < s->fds->len; i++)
    {
      const VmFdSpec *spec = g_ptr_array_index (s->fds, i);
      if (vm_fdset_add_own (spec->set, spec->fd, spec->opaque, error))
        continue;
      g_prefix_error (error, "%s: ", spec->text);
      return false;
    }
  return true;
}

/* Paths of a machine file are relative to where it is. */
static bool
enter_folder (const VmSettings *s, GError **error)
{
  g_autofree char *folder = s->machine_file ? g_path_get_dirname (s->machine_file) : NULL;

  return !folder || chdir (folder) == 0
         || vm_fail (error, "cannot change to the folder '%s': %s", folder, g_strerror (errno));
}

static bool
prepare_process (App *app, GError **error)
{
  VmSettings *s = app->settings;

  vm_log_set_prefix (s->msg_timestamp, s->msg_guest_name ? s->name : NULL);
  return enter_folder (s, error) && app_find_user (s, &app->user, error) && take_fds (s, error)
         && (!s->lock_memory || app_lock_memory (error)) && (!s->async_teardown || app_start_teardown (error));
}

/* Once all files are open and all threads there are. */
static bool
confine (App *app, GError **error)
{
  if (!app_drop_privileges (app->settings, &app->user, error) || !app_enter_sandbox (&app->settings->sandbox, error))
    return false;
  if (app->settings->sandbox.enable)
    app->machine->env.confine_vcpu = app_confine_vcpu;
  return true;
}

static bool
prepare (App *app, GError **error)
{
  VmSettings *s = app->settings;
  const VmBoard *board = vm_board_find (vm_boards, s->machine);

  if (!board)
    return vm_fail (error, "unsupported machine type\nUse -machine help to list supported machines");
  if (s->daemonize && !app_daemonize (error))
    return false;
  if (!prepare_process (app, error))
    return false;
  if (s->process_name)
    app_name_process (s->process_name);
  if (s->seed_given)
    g_random_set_seed (s->seed);
  if (!set_up_log (s, error) || !vm_settings_complete (s, board, app->types, error) || !choose_display (app, error))
    return false;
  if (s->pidfile)
    { /* still to be found when the working folder has changed */
      char *path = g_canonicalize_filename (s->pidfile, NULL);
      g_free (s->pidfile);
      s->pidfile = path;
    }
  if (s->pidfile && !(app->pidfile = app_write_pidfile (s->pidfile, error)))
    return false;
  return build_machine (app, board, error) && confine (app, error);
}

/* --- running --- */

static gpointer
engine_thread (gpointer data)
{
  App *app = data;

  app->status = vm_machine_run (app->machine);
  return NULL;
}

static void
start_engine (void *opaque)
{
  App *app = opaque;

  app->engine = g_thread_new (app->settings->debug_threads ? "engine" : NULL, engine_thread, app);
}

static void
daemon_ready (void *opaque)
{
  app_daemon_ready ();
}

static void
run (App *app)
{
  /* Whoever waits for the daemon may send it a signal at once: not before the loop that takes it runs. */
  vm_loop_post (app->machine->env.loop, daemon_ready, NULL);
  if (!app->ui)
    {
      app->status = vm_machine_run (app->machine); /* the main thread is the engine thread */
      return;
    }
  app->ui->run (app->machine, start_engine, app);
  vm_machine_quit (app->machine, 0, VM_CAUSE_HOST_UI); /* does nothing when the machine ended first */
  g_thread_join (app->engine);
}

static void
tear_down (App *app)
{
  if (app->machine)
    vm_gdb_stop (app->machine);
  g_clear_pointer (&app->qtest, vm_qtest_free);
  g_clear_pointer (&app->vnc, vm_vnc_free);
  if (app->spice)
    vm_spice_close (app->spice);
  g_clear_pointer (&app->monitors, vm_monitors_free);
  g_clear_pointer (&app->machine, vm_machine_free);
  g_clear_pointer (&app->spice, vm_spice_free);
  if (app->pidfile)
    app_remove_pidfile (app->settings->pidfile);
  g_clear_pointer (&app->types, vm_type_list_free);
  g_clear_pointer (&app->settings, vm_settings_free);
  g_free (app->user.name);
}

static int
fail (const GError *error)
{
  /* Errors of firmware and kernel files are told without the program's name: test suites look for that. */
  if (g_str_has_prefix (error->message, "qemu: "))
    fprintf (stderr, "%s\n", error->message);
  else if (*error->message == ':') /* ":FILE:LINE: why" of a configuration file */
    fprintf (stderr, "%s%s\n", vm_log_program (), error->message);
  else
    vm_report_error ("%s", error->message);
  return 1;
}

int
main (int argc, char **argv)
{
  App app = { .settings = vm_settings_new () };
  g_autoptr (GError) error = NULL;

  signal (SIGPIPE, SIG_IGN);
  vm_log_set_program (argv[0]);
  app.types = vm_type_list_new (vm_all_types, vm_n_all_types);
  switch (vm_options_parse (argc, argv, app.settings, &error))
    {
    case VM_OPTIONS_DONE:
      break;
    case VM_OPTIONS_FAIL:
      app.status = fail (error);
      break;
    case VM_OPTIONS_RUN:
      if (app.settings->help_topic)
        app.status = app_print_list (app.settings, app.types, vm_boards);
      else if (prepare (&app, &error))
        run (&app);
      else /* or the machine was told to end before it was made */
        app.status = error ? fail (error) : vm_machine_exit_status (app.machine);
      break;
    }
  tear_down (&app);
  return app.status;
}
