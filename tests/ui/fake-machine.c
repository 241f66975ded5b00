/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real window on a machine that is not there: an engine thread with a display and an input that a test commands
 * through standard input, and that says on standard output what reached it. Stands in for engine/machine/session.h.
 *
 * Usage: fake-machine "gtk,OPTION=..." [NAME [LAYOUT [-snapshot]]]; fake-machine-sdl "sdl,OPTION=..." [NAME] */
#include <gio/gio.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/agent/agent.h"
#include "engine/base/log.h"
#include "engine/char/text.h"
#include "engine/clock/clock.h"
#ifdef FAKE_SDL
#include "ui/sdl/ui-sdl.h"
#define FAKE_UI vm_ui_sdl
#else
#include <gtk/gtk.h>

#include "ui/gtk/ui-gtk.h"
#include "ui/vnc/vnc.h"
#define FAKE_UI vm_ui_gtk
#endif

#define CONSOLES 2

typedef struct Way { /* from one end to the other */
  VmCharFe   *to, *from;
  GByteArray *held;
} Way;

/* What VmMachine is here. */
typedef struct Fake {
  VmLock         *lock;
  VmLoop         *loop;
  VmClocks       *clocks;
  VmDisplay      *display;
  VmInput        *input;
  VmConsole      *consoles[CONSOLES];
  VmInputHandler *absolute, *relative, *fingers; /* the last: NULL unless there is a touch screen */
  VmSettings     *settings;
  VmSession      *session;
  VmRunState      state; /* atomic */
  VmCharEnv       chars;
  VmCharFe        port;  /* what the terminal is on */
  VmText         *text;  /* NULL: none */
  GChecksum      *sum;   /* of what is typed there; NULL: it is said as it comes */
  size_t          summed;
  bool            deaf;  /* the guest does not read */
  VmCharFe        agent, wire; /* the guest's end of the agent's channel, and the test that speaks there */
  Way             to_host, to_test;
  VmMachine       machine; /* whom its VNC servers belong to; else empty */
  GHashTable     *answers; /* command -> char *: JSON, text, or "!" and an error */
} Fake;

struct VmSession {
  Fake         *fake;
  GMainContext *context; /* NULL: the default one */
  VmSessionFunc func;
  void         *opaque;
};

typedef struct Told {
  VmSession     *session;
  VmSessionEvent event;
  char          *name, *data;
} Told;

static void
say (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vprintf (format, args);
  va_end (args);
  putchar ('\n');
  fflush (stdout);
}

/* --- events for the window --------------------------------------------------------------------------- */

static gboolean
told_deliver (gpointer user_data)
{
  g_autofree Told *told = user_data;

  told->session->func (told->session, told->event, told->name, told->data, told->session->opaque);
  g_free (told->name);
  g_free (told->data);
  return G_SOURCE_REMOVE;
}

static void
fake_tell_event (Fake *fake, VmSessionEvent event, const char *name, const char *data)
{
  Told *told = g_new (Told, 1);

  *told = (Told) { fake->session, event, g_strdup (name), g_strdup (data) };
  g_main_context_invoke (fake->session->context, told_deliver, told);
}

static void
fake_tell (Fake *fake, VmSessionEvent event, const char *data)
{
  fake_tell_event (fake, event, NULL, data);
}

static void
fake_set_state (Fake *fake, VmRunState state)
{
  __atomic_store_n (&fake->state, state, __ATOMIC_RELAXED);
  vm_input_set_enabled (fake->input, state == VM_RUN_RUNNING);
  say ("state %d", state);
  fake_tell (fake, VM_SESSION_STATE, NULL);
}

/* --- what the window sends --------------------------------------------------------------------------- */

static void
fake_input_event (void *opaque, const VmInputEvent *event)
{
  static const char *const kinds[] = { "key", "button", "rel", "abs", "touch" };

  if (event->kind == VM_INPUT_KEY || event->kind == VM_INPUT_BUTTON)
    say ("%s %u %d", kinds[event->kind], event->code, event->down);
  else if (event->kind == VM_INPUT_TOUCH && event->code == VM_TOUCH_CONTACT)
    say ("touch %u %s", event->slot, event->down ? "down" : "up");
  else if (event->kind == VM_INPUT_TOUCH)
    say ("touch %u %c %d", event->slot, "xy"[event->code], event -> value);
  else
    say ("%s %u %d", kinds[event->kind], event->code, event->value);
}

static const VmInputHandlerOps keyboard_ops
  = { "keyboard", 1 << VM_INPUT_KEY, fake_input_event, NULL };
static const VmInputHandlerOps mouse_ops
  = { "mouse", 1 << VM_INPUT_REL | 1 << VM_INPUT_BUTTON, fake_input_event, NULL };
static const VmInputHandlerOps tablet_ops
  = { "tablet", 1 << VM_INPUT_ABS | 1 << VM_INPUT_BUTTON, fake_input_event, NULL };

static const VmInputHandlerOps touch_ops = { "fingers", 1 << VM_INPUT_TOUCH, fake_input_event, NULL };

static void
fake_ui_info (void *opaque, const VmUiInfo *info)
{
  say ("ui-info %u %u", info->width, info->height);
}

static const VmConsoleOps console_ops = { .ui_info = fake_ui_info };

/* --- a serial port ----------------------------------------------------------------------------------- */

static size_t
port_can_receive (void *opaque)
{
  const Fake *fake = opaque;

  return fake->deaf ? 0 : fake->sum ? 4096 : 16;
}

static void
port_receive (void *opaque, const uint8_t *bytes, size_t len)
{
  Fake *fake = opaque;

  if (fake->sum)
    {
      g_checksum_update (fake->sum, bytes, (gssize) len);
      fake->summed += len;
      return;
    }
  g_autofree char *plain = g_strndup ((const char *) bytes, len), *text = g_strescape (plain, NULL);
  say ("typed %s", text);
}

static const VmCharFeOps port_ops = { .can_receive = port_can_receive, .receive = port_receive };

static void
fake_vc_added (void *opaque, VmChardev *chr, const VmCharOptions *options)
{
  Fake *fake = opaque;

  fake->text = vm_text_new (fake->loop, chr, 80, 24, NULL, NULL);
}

/* --- the agent in the guest: a test behind a socket ---------------------------------------------------- */

static size_t
way_room (const Way *way)
{
  return way->held->len ? 0 : 4096;
}

static void
way_flush (Way *way)
{
  g_byte_array_remove_range (way->held, 0, vm_char_fe_write (way->to, way->held->data, way->held->len));
  if (!way->held->len)
    vm_char_fe_accept_input (way->from);
}

static void
way_take (Way *way, const uint8_t *bytes, size_t len)
{
  g_byte_array_append (way->held, bytes, len);
  way_flush (way);
}

static size_t
wire_can_receive (void *opaque)
{
  return way_room (&((Fake *) opaque)->to_host);
}

static void
wire_receive (void *opaque, const uint8_t *bytes, size_t len)
{
  way_take (&((Fake *) opaque)->to_host, bytes, len);
}

static void
wire_writable (void *opaque)
{
  way_flush (&((Fake *) opaque)->to_test);
}

static size_t
agent_can_receive (void *opaque)
{
  return way_room (&((Fake *) opaque)->to_test);
}

static void
agent_receive (void *opaque, const uint8_t *bytes, size_t len)
{
  way_take (&((Fake *) opaque)->to_test, bytes, len);
}

static void
agent_writable (void *opaque)
{
  way_flush (&((Fake *) opaque)->to_host);
}

static const VmCharFeOps agent_ops
  = { .can_receive = agent_can_receive, .receive = agent_receive, .writable = agent_writable };

/* The guest's driver finds the agent's channel once the test is there. */
static void
wire_event (void *opaque, VmCharEvent event)
{
  Fake *fake = opaque;

  if (event == VM_CHAR_OPENED)
    vm_char_fe_attach_to (&fake->agent, vm_chardev_find (fake->chars.root, "vdagent"), &agent_ops, fake, NULL);
}

static const VmCharFeOps wire_ops
  = { .can_receive = wire_can_receive, .receive = wire_receive, .event = wire_event, .writable = wire_writable };

static void
fake_agent_added (void *opaque, VmChardev *chr, bool mouse, bool clipboard)
{
  Fake *fake = opaque;

  vm_agent_new (fake->display, fake->input, chr, mouse, clipboard);
}

/* PATH: a socket of the test. */
static void
fake_agent (Fake *fake, const char *path)
{
  g_autoptr (VmCharOptions) wire = vm_char_options_new ("socket", "wire"),
                            agent = vm_char_options_new ("qemu-vdagent", "vdagent");

  fake->to_host = (Way) { &fake->agent, &fake->wire, g_byte_array_new () };
  fake->to_test = (Way) { &fake->wire, &fake->agent, g_byte_array_new () };
  vm_char_options_set (wire, "path", path);
  vm_char_options_set (agent, "clipboard", "on");
  vm_char_options_set (agent, "mouse", "off");
  vm_chardev_new (&fake->chars, agent, NULL);
  vm_char_fe_attach_to (&fake->wire, vm_chardev_new (&fake->chars, wire, NULL), &wire_ops, fake, NULL);
}

static void
files_told (VmAgentFiles *files, const VmAgentProgress *progress, void *opaque)
{
  if (!progress->ended)
    return;
  say ("files %s", progress->error ? progress->error->message : "fine");
  vm_agent_files_free (files);
}

/* --- commands of the test ---------------------------------------------------------------------------- */

/* Every pixel its own, the top byte rubbish. tests/ui/test-window.py knows the same rule. */
static uint32_t
fake_pixel (unsigned x, unsigned y)
{
  return x * 0x9e3779b1u + y * 0x85ebca6bu + 0x5a000000u;
}

static void
fake_mode (VmConsole *console, int width, int height)
{
  VmSurface *surface = vm_surface_new (width, height);

  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      ((uint32_t *) (surface->data + (size_t) y * surface->stride))[x] = fake_pixel (x, y);
  vm_console_set_surface (console, surface);
}

static void
fake_fill (VmConsole *console, int x, int y, int width, int height, uint32_t color)
{
  VmSurface *surface = vm_console_surface (console);

  vm_console_lock (console);
  for (int row = y; row < y + height; row++)
    for (int column = x; column < x + width; column++)
      ((uint32_t *) (surface->data + (size_t) row * surface->stride))[column] = color;
  vm_console_unlock (console);
  vm_console_damage (console, x, y, width, height);
}

static void
fake_cursor (VmConsole *console, int size, uint32_t color)
{
  VmCursor *cursor = vm_cursor_new (size, size);

  for (int i = 0; i < size * size; i++)
    cursor->data[i] = color;
  vm_console_set_cursor (console, cursor);
}

#ifndef FAKE_SDL
/* What no test can make the display server send: fingers and wheels without clicks. */
typedef struct Gesture
{
  GdkEventType type;
  int finger;
  double x, y; /* in the first display; of a wheel: how far */
} Gesture;

static void
find_display (GtkWidget *widget, gpointer data)
{
  GtkWidget **found = data;

  if (g_str_equal (G_OBJECT_TYPE_NAME (widget), "VmDisplayWidget"))
    *found = widget;
  else if (!*found && GTK_IS_CONTAINER (widget))
    gtk_container_forall (GTK_CONTAINER (widget), find_display, data);
}

static gboolean
gesture_send (gpointer user_data)
{
  g_autofree Gesture *gesture = user_data;
  GtkWidget *display = NULL;
  g_autoptr (GList) windows = gtk_window_list_toplevels ();

  for (GList *at = windows; at && !display; at = at->next)
    find_display (at->data, &display);
  g_autoptr (GdkEvent) event = gdk_event_new (gesture->type);
  event->any.window = g_object_ref (gtk_widget_get_window (display));
  event->any.send_event = TRUE;
  gdk_event_set_device (event, gdk_seat_get_pointer (gdk_display_get_default_seat (gdk_display_get_default ())));
  if (gesture->type == GDK_SCROLL)
    {
      event->scroll.direction = GDK_SCROLL_SMOOTH;
      event->scroll.delta_x = gesture->x;
      event->scroll.delta_y = gesture->y;
    }
  else
    {
      event->touch.sequence = (gpointer) (intptr_t) (gesture->finger + 1);
      event->touch.emulating_pointer = gesture->finger == 0;
      event->touch.x = gesture->x;
      event->touch.y = gesture->y;
    }
  gtk_main_do_event (event);
  return G_SOURCE_REMOVE;
}

static gboolean
turn_round (gpointer user_data)
{
  gtk_widget_set_default_direction (GTK_TEXT_DIR_RTL);
  return G_SOURCE_REMOVE;
}

static gboolean
sleep_in_window (gpointer ms)
{
  g_usleep (GPOINTER_TO_UINT (ms) * 1000);
  return G_SOURCE_REMOVE;
}

static gboolean
work_in_window (gpointer ms)
{
  struct timespec now, end;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &end);
  gint64 until
      = end.tv_sec * G_GINT64_CONSTANT (1000000000) + end.tv_nsec + GPOINTER_TO_UINT (ms) * G_GINT64_CONSTANT (1000000);
  do
    clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  while (now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec < until);
  return G_SOURCE_REMOVE;
}

/* "scroll DX DY"; "touch begin|update|end FINGER X Y"; "right-to-left": as where people write so; "sleep MS", "work
 * MS": the window does, and nothing else */
static void
fake_gesture (char **w, unsigned n)
{
  if (g_str_equal (w[0], "right-to-left"))
    g_main_context_invoke (NULL, turn_round, NULL);
  if ((g_str_equal (w[0], "sleep") || g_str_equal (w[0], "work")) && n == 2)
    g_main_context_invoke (NULL, w[0][0] == 's' ? sleep_in_window : work_in_window, GUINT_TO_POINTER (atoi (w[1])));

  bool scroll = g_str_equal (w[0], "scroll") && n == 3, touch = g_str_equal (w[0], "touch") && n == 5;
  Gesture gesture = { .type = GDK_SCROLL };

  if (!scroll && !touch)
    return;
  if (touch)
    {
      gesture.type = w[1][0] == 'b' ? GDK_TOUCH_BEGIN : w[1][0] == 'u' ? GDK_TOUCH_UPDATE : GDK_TOUCH_END;
      gesture.finger = atoi (w[2]);
    }
  gesture.x = g_ascii_strtod (w[n - 2], NULL);
  gesture.y = g_ascii_strtod (w[n - 1], NULL);
  g_main_context_invoke (NULL, gesture_send, g_memdup2 (&gesture, sizeof gesture));
}
#else
static void
fake_gesture (char **w, unsigned n)
{
}
#endif

static void
fake_quit (void *opaque)
{
  Fake *fake = opaque;

  say ("quit");
  fake_tell (fake, VM_SESSION_QUIT, NULL);
  vm_loop_quit (fake->loop);
}

static void
fake_command (Fake *fake, const char *line)
{
  g_auto (GStrv) w = g_strsplit (line, " ", -1);
  unsigned n = g_strv_length (w);
  long a[6] = { 0 };

  for (unsigned i = 1; i < n && i <= G_N_ELEMENTS (a); i++)
    a[i - 1] = strtol (w[i], NULL, 0);
  fake_gesture (w, n);
  if (g_str_equal (w[0], "mode") && n == 3)
    fake_mode (fake->consoles[0], a[0], a[1]);
  else if (g_str_equal (w[0], "fill") && n == 6)
    fake_fill (fake->consoles[0], a[0], a[1], a[2], a[3], a[4]);
  else if (g_str_equal (w[0], "cursor") && n == 3)
    fake_cursor (fake->consoles[0], a[0], a[1]);
  else if (g_str_equal (w[0], "move-cursor") && n == 4)
    vm_console_move_cursor (fake->consoles[0], a[0], a[1], a[2]);
  else if (g_str_equal (w[0], "absolute") && n == 2)
    vm_input_activate (a[0] ? fake->absolute : fake->relative);
  else if (g_str_equal (w[0], "fingers") && n == 2 && a[0] && !fake->fingers)
    fake->fingers = vm_input_register (fake->input, &touch_ops, NULL, NULL);
  else if (g_str_equal (w[0], "leds") && n == 2)
    vm_input_set_leds (fake->input, a[0]);
  else if (g_str_equal (w[0], "state") && n == 2)
    fake_set_state (fake, a[0]);
  else if (g_str_equal (w[0], "shutdown") && n == 2)
    {
      g_autofree char *data = g_strdup_printf ("{\"guest\": true, \"reason\": \"%s\"}", w[1]);

      fake_set_state (fake, VM_RUN_SHUTDOWN);
      fake_tell (fake, VM_SESSION_SHUTDOWN, data);
    }
  else if (g_str_equal (w[0], "event") && n == 3) /* NAME, DATA without blanks */
    {
      g_autofree char *data = g_strcompress (w[2]);
      fake_tell_event (fake, VM_SESSION_QMP, w[1], data);
    }
  else if (g_str_equal (w[0], "quit"))
    fake_quit (fake);
  else if (g_str_equal (w[0], "second"))
    {
      fake->consoles[1] = vm_console_new (fake->display, NULL, 1, &console_ops, fake);
      fake_mode (fake->consoles[1], 400, 300);
      fake_tell (fake, VM_SESSION_CONSOLES, NULL);
    }
  else if (g_str_equal (w[0], "no-second"))
    {
      vm_console_free (g_steal_pointer (&fake->consoles[1]));
      fake_tell (fake, VM_SESSION_CONSOLES, NULL);
    }
  else if (g_str_equal (w[0], "serial"))
    {
      VmCharOptions *options = vm_char_options_new ("vc", "serial_0");
      vm_char_fe_attach_to (&fake->port, vm_chardev_new (&fake->chars, options, NULL), &port_ops, fake, NULL);
      vm_char_options_free (options);
      fake_tell (fake, VM_SESSION_TEXTS, NULL);
    }
  else if (g_str_equal (w[0], "no-serial"))
    {
      vm_char_fe_detach (&fake->port);
      vm_chardev_remove (vm_chardev_find (fake->chars.root, "serial_0"), NULL);
      g_clear_pointer (&fake->text, vm_text_unref);
      fake_tell (fake, VM_SESSION_TEXTS, NULL);
    }
  else if (g_str_equal (w[0], "deaf") && n == 2)
    {
      fake->deaf = a[0];
      vm_char_fe_accept_input (&fake->port);
    }
  else if (g_str_equal (w[0], "sum") && fake->sum) /* what was typed since the first time */
    {
      say ("sum %zu %s", fake->summed, g_checksum_get_string (fake->sum));
      g_clear_pointer (&fake->sum, g_checksum_free);
    }
  else if (g_str_equal (w[0], "sum"))
    {
      fake->sum = g_checksum_new (G_CHECKSUM_MD5);
      fake->summed = 0;
    }
  else if (g_str_equal (w[0], "agent") && n == 2)
    fake_agent (fake, w[1]);
  else if (g_str_equal (w[0], "no-agent"))
    vm_char_fe_set_open (&fake->agent, false);
  else if (g_str_equal (w[0], "files") && n >= 2)
    vm_agent_send_files (fake->display, (const char *const *) w + 1, NULL, files_told, NULL);
  else if (g_str_equal (w[0], "answer") && n == 3) /* a command, or a line with "_" for blanks; what it returns from now on */
    g_hash_table_insert (fake->answers, g_strdup (w[1]), g_strcompress (w[2]));
  else if (g_str_equal (w[0], "say") && n == 3) /* the text, how often */
    {
      g_autofree char *text = g_strcompress (w[1]);
      for (long i = 0; i < a[1]; i++)
        vm_char_fe_write (&fake->port, text, strlen (text));
    }
  say ("done %s", w[0]);
}

static bool
fake_stdin (int fd, GIOCondition condition, void *opaque)
{
  char buffer[4096];
  ssize_t n = read (fd, buffer, sizeof buffer - 1);

  if (n <= 0)
    return false;
  buffer[n] = 0;
  g_auto (GStrv) lines = g_strsplit (g_strchomp (buffer), "\n", -1);
  for (unsigned i = 0; lines[i]; i++)
    fake_command (opaque, lines[i]);
  return true;
}

/* --- session.h --------------------------------------------------------------------------------------- */

VmSession *
vm_session_new (VmMachine *machine, GMainContext *context, VmSessionFunc func, void *opaque)
{
  VmSession *session = g_new0 (VmSession, 1);

  *session = (VmSession) { (Fake *) machine, context, func, opaque };
  session->fake->session = session;
  return session;
}

void
vm_session_free (VmSession *session)
{
  g_free (session);
}

VmDisplay *
vm_session_display (VmSession *session)
{
  return session->fake->display;
}

VmInput *
vm_session_input (VmSession *session)
{
  return session->fake->input;
}

GPtrArray *
vm_session_texts (VmSession *session)
{
  GPtrArray *texts = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_text_unref);

  if (session->fake->text)
    g_ptr_array_add (texts, vm_text_ref (session->fake->text));
  return texts;
}

const VmSettings *
vm_session_settings (VmSession *session)
{
  return session->fake->settings;
}

const char *
vm_session_name (VmSession *session)
{
  return session->fake->settings->name;
}

VmRunState
vm_session_state (VmSession *session)
{
  return __atomic_load_n (&session->fake->state, __ATOMIC_RELAXED);
}

bool
vm_session_is_running (VmSession *session)
{
  return vm_session_state (session) == VM_RUN_RUNNING;
}

static void
fake_stop (void *opaque)
{
  fake_set_state (opaque, VM_RUN_PAUSED);
}

static void
fake_cont (void *opaque)
{
  fake_set_state (opaque, VM_RUN_RUNNING);
}

void
vm_session_stop (VmSession *session)
{
  vm_loop_post (session->fake->loop, fake_stop, session->fake);
}

void
vm_session_cont (VmSession *session)
{
  vm_loop_post (session->fake->loop, fake_cont, session->fake);
}

void
vm_session_send_keys (VmSession *session, const char *chord, VmSessionDone done, void *opaque)
{
  say ("keys %s", chord);
}

const char *
vm_session_accel (VmSession *session)
{
  return "tcg";
}

void
vm_session_reset (VmSession *session)
{
  say ("reset");
}

void
vm_session_powerdown (VmSession *session)
{
  say ("powerdown");
}

void
vm_session_quit (VmSession *session)
{
  vm_loop_post (session->fake->loop, fake_quit, session->fake);
}

/* --- commands ---------------------------------------------------------------------------------------- */

const char *const vm_run_state_names[VM_RUN_N + 1]
  = { "debug",   "inmigrate", "internal-error", "io-error", "paused",    "postmigrate", "prelaunch",      "finish-migrate",
      "restore-vm", "running", "save-vm",       "shutdown", "suspended", "watchdog",    "guest-panicked", "colo" };

typedef struct Asked {
  VmSession    *session;
  char         *what, *arguments;
  VmSessionDone done;
  void         *opaque;
} Asked;

static gboolean
asked_answer (gpointer user_data)
{
  g_autofree Asked *asked = user_data;
  json_object *arguments = json_tokener_parse (asked->arguments ? asked->arguments : "{}"), *property = NULL;
  /* "qom-get_PROPERTY" before "qom-get" */
  json_object_object_get_ex (arguments, "property", &property);
  g_autofree char *what = g_strdup_printf ("%s_%s", asked->what, property ? json_object_get_string (property) : "");
  const char *answer = g_hash_table_lookup (asked->session->fake->answers, what);
  if (!answer)
    answer = g_hash_table_lookup (asked->session->fake->answers, g_strdelimit (asked->what, " ", '_'));
  json_object_put (arguments);
  g_autoptr (GError) error = NULL;

  if (answer && *answer == '!')
    g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_FAILED, answer + 1);
  if (asked->done)
    asked->done (asked->session, error ? NULL : answer ? answer : "{}", error, asked->opaque);
  g_free (asked->what);
  g_free (asked->arguments);
  return G_SOURCE_REMOVE;
}

static void
asked_do (void *opaque)
{
  Asked *asked = opaque;

  /* What the window only looks at is not worth a line. */
  if (!g_str_has_prefix (asked->what, "query-") && !g_str_has_prefix (asked->what, "info ")
      && strcmp (asked->what, "qom-get") != 0)
    say ("command %s %s", asked->what, asked->arguments ? asked->arguments : "");
  g_main_context_invoke (NULL, asked_answer, asked);
}

static void
fake_ask (VmSession *session, const char *what, const char *arguments, VmSessionDone done, void *opaque)
{
  Asked *asked = g_new (Asked, 1);

  *asked = (Asked) { session, g_strdup (what), g_strdup (arguments), done, opaque };
  vm_loop_post (session->fake->loop, asked_do, asked);
}

void
vm_session_command (VmSession *session, const char *command, const char *arguments, VmSessionDone done, void *opaque)
{
  fake_ask (session, command, arguments, done, opaque);
}

void
vm_session_run_hmp (VmSession *session, const char *line, VmSessionDone done, void *opaque)
{
  fake_ask (session, line, NULL, done, opaque);
}

void
vm_session_find_place (VmSession *session, const char *driver, VmSessionDone done, void *opaque)
{
  g_autofree char *what = g_strconcat ("place_", driver, NULL);
  const char *answer = g_hash_table_lookup (session->fake->answers, what);
  g_autoptr (GError) error = answer ? NULL : g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "no bus takes it");

  done (session, answer, error, opaque);
}

bool
vm_session_progress (VmSession *session, uint64_t *done, uint64_t *total, bool *cancellable)
{
  return false;
}

void
vm_session_cancel_progress (VmSession *session)
{
}

/* --- VNC servers: those that were told by "answer vnc-servers" ----------------------------------------- */

#ifndef FAKE_SDL
VmMachine *
vm_session_machine (VmSession *session)
{
  return &session->fake->machine;
}

bool
vm_vnc_open (VmVnc *vnc, const VmKeyVals *options, GError **error)
{
  return vm_fail (error, "nobody can connect");
}

bool
vm_vnc_close (VmVnc *vnc, const char *id)
{
  say ("vnc close %s", id);
  return true;
}

bool
vm_vnc_drop (VmVnc *vnc, int64_t number)
{
  say ("vnc drop %d", (int) number);
  return true;
}

json_object *
vm_vnc_describe (VmVnc *vnc)
{
  const Fake *fake = (const Fake *) (const void *) vnc;
  const char *answer = g_hash_table_lookup (fake->answers, "vnc-servers");

  return json_tokener_parse (answer ? answer : "[]");
}
#endif

typedef struct Dump {
  VmSession    *session;
  VmConsole    *console;
  char         *path;
  VmSessionDone done;
  void         *opaque;
  GError       *error;
} Dump;

static gboolean
dump_answer (gpointer user_data)
{
  g_autofree Dump *dump = user_data;

  dump->done (dump->session, dump->error ? NULL : "{}", dump->error, dump->opaque);
  g_clear_error (&dump->error);
  g_free (dump->path);
  return G_SOURCE_REMOVE;
}

static void
dump_write (void *opaque)
{
  Dump *dump = opaque;

  vm_console_screendump (dump->console, dump->path, "png", &dump->error);
  say ("screenshot %d", !dump->error);
  g_main_context_invoke (NULL, dump_answer, dump);
}

void
vm_session_screendump (VmSession *session, VmConsole *console, const char *path, const char *format,
                       VmSessionDone done, void *opaque)
{
  Dump *dump = g_new0 (Dump, 1);

  *dump = (Dump) { session, console, g_strdup (path), done, opaque, NULL };
  vm_loop_post (session->fake->loop, dump_write, dump);
}

/* --- program ----------------------------------------------------------------------------------------- */

static gpointer
fake_thread (gpointer user_data)
{
  vm_loop_run (((Fake *) user_data)->loop);
  return NULL;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  Fake fake = { .state = VM_RUN_RUNNING };

  vm_log_set_program (argv[0]);
  fake.settings = vm_settings_new ();
  fake.settings->name = g_strdup (argc > 2 && *argv[2] ? argv[2] : NULL);
  fake.settings->keyboard_layout = g_strdup (argc > 3 && *argv[3] ? argv[3] : NULL);
  if (argc > 4)
    {
      VmDriveSpec *drive = g_new0 (VmDriveSpec, 1);
      drive->snapshot = true;
      g_ptr_array_add (fake.settings->drives, drive);
    }
  if (!vm_keyvals_parse (fake.settings->display_opts, argv[1] ? argv[1] : "gtk", "type", 0, &error)
      || !FAKE_UI.probe (fake.settings, &error))
    {
      vm_report_error ("-display: %s", error->message);
      return 1;
    }

  fake.answers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  fake.lock = vm_lock_new ();
  fake.loop = vm_loop_new ("engine", fake.lock);
  fake.clocks = vm_clocks_new (fake.loop);
  fake.display = vm_display_new (fake.loop, fake.clocks);
  fake.input = vm_input_new (fake.loop);
  fake.machine.env.loop = fake.loop;
  fake.machine.vnc_of = &fake;
  fake.chars = (VmCharEnv) { .loop = fake.loop, .clocks = fake.clocks, .root = vm_object_new (&vm_container_type),
                             .opaque = &fake, .vc_added = fake_vc_added, .agent_added = fake_agent_added };
  fake.consoles[0] = vm_console_new (fake.display, NULL, 0, &console_ops, &fake);
  vm_input_register (fake.input, &keyboard_ops, NULL, NULL);
  fake.relative = vm_input_register (fake.input, &mouse_ops, NULL, NULL);
  fake.absolute = vm_input_register (fake.input, &tablet_ops, NULL, NULL);
  GSource *commands = vm_loop_watch_fd (fake.loop, 0, G_IO_IN | G_IO_HUP, fake_stdin, &fake);
  GThread *thread = g_thread_new ("engine", fake_thread, &fake);

  FAKE_UI.run ((VmMachine *) &fake, NULL, NULL);
  g_thread_join (thread);
  vm_source_clear (&commands);
  say ("end");
  vm_settings_free (fake.settings);
  return 0;
}
