/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Start and end of the window. */
#include "config.h"

#include "ui/gtk/ui-gtk.h"

#include <glib/gi18n-lib.h>
#include <gtk/gtk.h>
#include <locale.h>
#include <setjmp.h>

#include "engine/base/log.h"
#include "ui/gtk/lost-display.h"
#include "ui/gtk/machine-window.h"
#include "ui/gtk/session-bus.h"
#include "ui-resources.h"

typedef struct Ui {
  GMainLoop    *loop;
  GtkWidget    *window;
  VmSessionBus *bus;
  jmp_buf       lost; /* the display server has gone */
} Ui;

/* Where translations lie: where the user says (as for gettext(1)), beside an installed module, in the build folder. */
static const char *
ui_locale_dir (void)
{
  const char *folder = g_getenv ("TEXTDOMAINDIR");

  if (folder && *folder)
    return folder;
  return g_file_test (VM_MODULEDIR "/vitrine-ui-gtk.so", G_FILE_TEST_EXISTS) ? VM_LOCALEDIR : VM_BUILDDIR "/po";
}

static bool
ui_probe (const VmSettings *settings, GError **error)
{
  VmUiOptions options;

  if (!vm_ui_options_read (&options, settings, error))
    return false;
  if (!gtk_init_check (NULL, NULL))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "gtk initialization failed");
      return false;
    }
  /* GTK takes the user's locale for all there is; the engine reads and writes numbers the C way. */
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (GETTEXT_PACKAGE, ui_locale_dir ());
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  return true;
}

static void
ui_tell_bus (Ui *ui, VmSession *session)
{
  const char *name = vm_session_name (session);

  vm_session_bus_set_running (ui->bus, name ? name : _ ("A virtual machine"), vm_session_is_running (session));
}

static void
ui_session_event (VmSession *session, VmSessionEvent event, const char *name, const char *data, void *opaque)
{
  Ui *ui = opaque;

  if (event == VM_SESSION_QUIT)
    g_main_loop_quit (ui->loop);
  else if (ui->window)
    {
      vm_machine_window_session_event (VM_MACHINE_WINDOW (ui->window), event, name, data);
      ui_tell_bus (ui, session);
    }
}

static void
ui_load_style (void)
{
  g_autoptr (GtkCssProvider) provider = gtk_css_provider_new ();

  gtk_css_provider_load_from_resource (provider, "/vitrine/ui/style.css");
  gtk_style_context_add_provider_for_screen (gdk_screen_get_default (), GTK_STYLE_PROVIDER (provider),
                                             GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
}

/* --- without a display server ------------------------------------------------------------------------ */

static void
ui_lost (void *opaque)
{
  longjmp (((Ui *) opaque)->lost, 1);
}

static void
headless_event (VmSession *session, VmSessionEvent event, const char *name, const char *data, void *opaque)
{
  if (event == VM_SESSION_QUIT)
    g_main_loop_quit (opaque);
}

/* The window cannot be taken down without its server; it is left where it is. */
static void
ui_run_on_headless (Ui *ui, VmMachine *machine, VmSession *session)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (context, FALSE);
  VmSession *rest = vm_session_new (machine, context, headless_event, loop);

  vm_report_warning ("the display server has gone: the machine runs on without a window");
  if (ui->window)
    vm_machine_window_abandon (VM_MACHINE_WINDOW (ui->window));
  vm_session_free (session);
  g_main_loop_run (loop);
  vm_session_free (rest);
}

static void
ui_run (VmMachine *machine, void (*started) (void *opaque), void *opaque)
{
  Ui ui = { .loop = g_main_loop_new (NULL, FALSE) };
  VmUiOptions options;

  vm_ui_gtk_register_resource ();
  ui_load_style ();
  gdk_set_program_class ("Vitrine");
  gtk_window_set_default_icon_name ("org.vitrine.Vitrine");
  VmSession *session = vm_session_new (machine, NULL, ui_session_event, &ui);
  /* Said and checked by probe. */
  vm_ui_options_read (&options, vm_session_settings (session), NULL);
  if (started)
    started (opaque);
  if (setjmp (ui.lost))
    {
      ui_run_on_headless (&ui, machine, session);
      return;
    }
  vm_lost_display_watch (ui_lost, &ui);

  ui.window = vm_machine_window_new (session, &options);
  ui.bus = vm_session_bus_new (gtk_widget_get_action_group (ui.window, "win"));
  vm_machine_window_set_bus (VM_MACHINE_WINDOW (ui.window), ui.bus);
  ui_tell_bus (&ui, session);
  gtk_widget_show (ui.window);
  g_main_loop_run (ui.loop);

  vm_machine_window_set_bus (VM_MACHINE_WINDOW (ui.window), NULL);
  vm_session_bus_free (ui.bus);
  gtk_widget_destroy (g_steal_pointer (&ui.window));
  vm_session_free (session);
  g_main_loop_unref (ui.loop);
}

const VmUiModule vm_ui_gtk = { .probe = ui_probe, .run = ui_run };
