/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A viewer made of spice-client-glib, driven by lines: "viewer KEY=VALUE..." sets properties of the session (of the
 * "uri", "host", "port", "tls-port", "unix-path", "password", "ca-file" ... kind) and connects. It says what happens, a
 * line an event, and does what lines of its input say; each of these is answered by "ok ..." or "no ...". */
#include <spice-client.h>
#include <spice/vd_agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISPLAYS 16

typedef struct Viewer
{
  GMainLoop *loop;
  SpiceSession *session;
  SpiceMainChannel *main;
  SpiceInputsChannel *inputs;
  SpiceChannel *displays[DISPLAYS];
  GHashTable *ports; /* by name */
  char *copied;      /* text that the guest may have; NULL: none */
  GString *line;
} Viewer;

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

/* --- what happens --------------------------------------------------------------------------------------------------
 */

static const char *
name_of (SpiceChannel *channel)
{
  int type;

  g_object_get (channel, "channel-type", &type, NULL);
  return spice_channel_type_to_string (type);
}

static void
on_channel_event (SpiceChannel *channel, SpiceChannelEvent event, gpointer opaque)
{
  static const char *const names[] = {
    [SPICE_CHANNEL_OPENED] = "opened", [SPICE_CHANNEL_SWITCHING] = "switching", [SPICE_CHANNEL_CLOSED] = "closed"
  };
  const GError *error = spice_channel_get_error (channel);

  if (event >= SPICE_CHANNEL_ERROR_CONNECT)
    say ("event %s %s %s", name_of (channel),
         event == SPICE_CHANNEL_ERROR_AUTH   ? "auth"
         : event == SPICE_CHANNEL_ERROR_TLS  ? "tls"
         : event == SPICE_CHANNEL_ERROR_LINK ? "link"
                                             : "error",
         error ? error->message : "");
  else if (event != SPICE_CHANNEL_NONE)
    say ("event %s %s", name_of (channel), names[event]);
}

static void
on_mouse (SpiceMainChannel *channel, gpointer opaque)
{
  int mode;

  g_object_get (channel, "mouse-mode", &mode, NULL);
  say ("event mouse %s", mode == 2 ? "client" : "server");
}

static void
on_agent (SpiceMainChannel *channel, gpointer opaque)
{
  gboolean connected;

  g_object_get (channel, "agent-connected", &connected, NULL);
  say ("event agent %d", connected);
}

/* The guest has something: text is asked for. */
static gboolean
on_clip_grab (SpiceMainChannel *channel, guint selection, guint32 *types, guint n, gpointer opaque)
{
  for (guint i = 0; i < n; i++)
    if (selection == VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD && types[i] == VD_AGENT_CLIPBOARD_UTF8_TEXT)
      spice_main_channel_clipboard_selection_request (channel, selection, types[i]);
  return TRUE;
}

static void
on_clip_data (SpiceMainChannel *channel, guint selection, guint type, gpointer data, guint size, gpointer opaque)
{
  g_autofree char *text = g_base64_encode (data, size);

  say ("event clipboard %s", text);
}

static gboolean
on_clip_request (SpiceMainChannel *channel, guint selection, guint type, Viewer *v)
{
  if (v->copied)
    spice_main_channel_clipboard_selection_notify (channel, selection, type, (const guchar *) v->copied,
                                                   strlen (v->copied));
  return TRUE;
}

static void
on_sent (GObject *source, GAsyncResult *result, gpointer opaque)
{
  g_autoptr (GError) error = NULL;

  say (spice_main_channel_file_copy_finish (SPICE_MAIN_CHANNEL (source), result, &error) ? "event sent"
                                                                                         : "event not-sent %s",
       error ? error->message : "");
}

static void
on_leds (SpiceInputsChannel *channel, gpointer opaque)
{
  int leds;

  g_object_get (channel, "key-modifiers", &leds, NULL);
  say ("event leds %d", leds);
}

static void
on_primary (SpiceChannel *channel, gint format, gint width, gint height, gint stride, gint shmid, gpointer data,
            gpointer opaque)
{
  int id;

  g_object_get (channel, "channel-id", &id, NULL);
  say ("event primary %d %d %d", id, width, height);
}

static void
on_cursor (SpiceChannel *channel, gint width, gint height, gint x, gint y, gpointer data, gpointer opaque)
{
  say ("event cursor %d %d %d %d", width, height, x, y);
}

static void
on_port_opened (SpicePortChannel *port, GParamSpec *spec, Viewer *v)
{
  g_autofree char *name = NULL;
  gboolean opened;

  g_object_get (port, "port-name", &name, "port-opened", &opened, NULL);
  if (!name)
    return;
  g_hash_table_insert (v->ports, g_strdup (name), port);
  say ("event port %s %d", name, opened);
}

static void
on_port_data (SpicePortChannel *port, gpointer data, gint len, gpointer opaque)
{
  g_autofree char *text = g_base64_encode (data, len), *name = NULL;

  g_object_get (port, "port-name", &name, NULL);
  say ("event data %s %s", name, text);
}

static void
on_playback (SpicePlaybackChannel *channel, gint format, gint channels, gint rate, gpointer opaque)
{
  say ("event playback %d %d", channels, rate);
}

/* How loud it is. */
static void
on_sound (SpicePlaybackChannel *channel, gpointer data, gint size, gpointer opaque)
{
  const gint16 *samples = data;
  int most = 0;

  for (int i = 0; i < size / 2; i++)
    most = MAX (most, ABS (samples[i]));
  say ("event sound %d", most);
}

static void
on_channel (SpiceSession *session, SpiceChannel *channel, Viewer *v)
{
  int id;

  g_object_get (channel, "channel-id", &id, NULL);
  g_signal_connect (channel, "channel-event", G_CALLBACK (on_channel_event), v);
  if (SPICE_IS_MAIN_CHANNEL (channel))
    {
      v->main = SPICE_MAIN_CHANNEL (channel);
      g_signal_connect (channel, "main-mouse-update", G_CALLBACK (on_mouse), v);
      g_signal_connect (channel, "main-agent-update", G_CALLBACK (on_agent), v);
      g_signal_connect (channel, "main-clipboard-selection-grab", G_CALLBACK (on_clip_grab), v);
      g_signal_connect (channel, "main-clipboard-selection-request", G_CALLBACK (on_clip_request), v);
      g_signal_connect (channel, "main-clipboard-selection", G_CALLBACK (on_clip_data), v);
    }
  else if (SPICE_IS_INPUTS_CHANNEL (channel))
    {
      v->inputs = SPICE_INPUTS_CHANNEL (channel);
      g_signal_connect (channel, "inputs-modifiers", G_CALLBACK (on_leds), v);
    }
  else if (SPICE_IS_DISPLAY_CHANNEL (channel) && id >= 0 && id < DISPLAYS)
    {
      v->displays[id] = channel;
      g_signal_connect (channel, "display-primary-create", G_CALLBACK (on_primary), v);
    }
  else if (SPICE_IS_CURSOR_CHANNEL (channel))
    g_signal_connect (channel, "cursor-set", G_CALLBACK (on_cursor), v);
  else if (SPICE_IS_PORT_CHANNEL (channel))
    {
      g_signal_connect (channel, "notify::port-opened", G_CALLBACK (on_port_opened), v);
      g_signal_connect (channel, "port-data", G_CALLBACK (on_port_data), v);
    }
  else if (SPICE_IS_PLAYBACK_CHANNEL (channel))
    {
      g_signal_connect (channel, "playback-start", G_CALLBACK (on_playback), v);
      g_signal_connect (channel, "playback-data", G_CALLBACK (on_sound), v);
    }
  spice_channel_connect (channel);
}

static void
on_gone (SpiceSession *session, Viewer *v)
{
  say ("event gone");
  g_main_loop_quit (v->loop);
}

/* --- what it is told -------------------------------------------------------------------------------------------------
 */

static void
dump (Viewer *v, int id, const char *path)
{
  SpiceDisplayPrimary p;

  if (id < 0 || id >= DISPLAYS || !v->displays[id] || !spice_display_channel_get_primary (v->displays[id], 0, &p))
    {
      say ("no primary");
      return;
    }
  FILE *file = fopen (path, "wb");
  if (!file)
    {
      say ("no file");
      return;
    }
  for (int y = 0; y < p.height; y++)
    for (int x = 0; x < p.width; x++)
      {
        const guint8 *at = p.data + (gssize) y * p.stride + x * 4;
        putc (at[2], file);
        putc (at[1], file);
        putc (at[0], file);
      }
  fclose (file);
  say ("ok %d %d", p.width, p.height);
}

static int
number (char **words, guint n, guint i)
{
  return i < n ? atoi (words[i]) : 0;
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer opaque)
{
  spice_port_channel_write_finish (SPICE_PORT_CHANNEL (source), result, NULL);
  g_free (opaque);
}

static void
obey (Viewer *v, const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  guint n = g_strv_length (words);
#define N(i) number (words, n, i)

  if (!n)
    return;
  if (!strcmp (words[0], "dump") && n == 3)
    {
      dump (v, N (1), words[2]);
      return;
    }
  if (!strcmp (words[0], "quit"))
    {
      spice_session_disconnect (v->session);
      g_main_loop_quit (v->loop);
    }
  else if (!strcmp (words[0], "monitors") && v->main)
    {
      for (guint i = 1; i + 1 < n; i += 2)
        {
          spice_main_channel_update_display_enabled (v->main, (int) (i / 2), TRUE, FALSE);
          spice_main_channel_update_display (v->main, (int) (i / 2), 0, 0, N (i), N (i + 1), FALSE);
        }
      spice_main_channel_send_monitor_config (v->main);
    }
  else if (!strcmp (words[0], "copy") && n == 2 && v->main)
    { /* base64 */
      guint32 type = VD_AGENT_CLIPBOARD_UTF8_TEXT;
      gsize size;
      g_free (v->copied);
      g_autofree guchar *text = g_base64_decode (words[1], &size);
      v->copied = g_strndup ((const char *) text, size);
      spice_main_channel_clipboard_selection_grab (v->main, VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD, &type, 1);
    }
  else if (!strcmp (words[0], "send") && n == 2 && v->main)
    {
      GFile *files[] = { g_file_new_for_path (words[1]), NULL };
      spice_main_channel_file_copy_async (v->main, files, G_FILE_COPY_NONE, NULL, NULL, NULL, on_sent, NULL);
      g_object_unref (files[0]);
    }
  else if (!strcmp (words[0], "mode") && v->main)
    spice_main_channel_request_mouse_mode (v->main, N (1));
  else if (!strcmp (words[0], "down") && v->inputs)
    spice_inputs_channel_key_press (v->inputs, (guint) N (1));
  else if (!strcmp (words[0], "up") && v->inputs)
    spice_inputs_channel_key_release (v->inputs, (guint) N (1));
  else if (!strcmp (words[0], "motion") && v->inputs)
    spice_inputs_channel_motion (v->inputs, N (1), N (2), N (3));
  else if (!strcmp (words[0], "position") && v->inputs)
    spice_inputs_channel_position (v->inputs, N (1), N (2), N (3), N (4));
  else if (!strcmp (words[0], "press") && v->inputs)
    spice_inputs_channel_button_press (v->inputs, N (1), N (2));
  else if (!strcmp (words[0], "release") && v->inputs)
    spice_inputs_channel_button_release (v->inputs, N (1), N (2));
  else if (!strcmp (words[0], "write") && n == 3 && g_hash_table_lookup (v->ports, words[1]))
    {
      char *text = g_strdup (words[2]);
      spice_port_channel_write_async (g_hash_table_lookup (v->ports, words[1]), text, strlen (text), NULL, on_written,
                                      text);
    }
  else if (!strcmp (words[0], "break") && n == 2 && g_hash_table_lookup (v->ports, words[1]))
    spice_port_channel_event (g_hash_table_lookup (v->ports, words[1]), 2);
  else
    {
      say ("no %s", words[0]);
      return;
    }
  say ("ok");
}

static gboolean
on_input (GIOChannel *channel, GIOCondition condition, gpointer opaque)
{
  Viewer *v = opaque;
  char buf[4096], *end;
  ssize_t n = read (STDIN_FILENO, buf, sizeof buf);

  if (n <= 0)
    {
      g_main_loop_quit (v->loop);
      return FALSE;
    }
  g_string_append_len (v->line, buf, n);
  while ((end = strchr (v->line->str, '\n')))
    {
      *end = 0;
      obey (v, v->line->str);
      g_string_erase (v->line, 0, end + 1 - v->line->str);
    }
  return TRUE;
}

int
main (int argc, char **argv)
{
  Viewer v = { .loop = g_main_loop_new (NULL, FALSE), .session = spice_session_new (), .line = g_string_new (NULL) };
  GIOChannel *input = g_io_channel_unix_new (STDIN_FILENO);

  v.ports = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (int i = 1; i < argc; i++)
    {
      g_auto (GStrv) pair = g_strsplit (argv[i], "=", 2);
      GParamSpec *spec = pair[1] ? g_object_class_find_property (G_OBJECT_GET_CLASS (v.session), pair[0]) : NULL;
      if (!spec)
        return 2;
      if (spec->value_type == G_TYPE_STRING)
        g_object_set (v.session, pair[0], pair[1], NULL);
      else if (spec->value_type == G_TYPE_STRV)
        {
          g_auto (GStrv) list = g_strsplit (pair[1], ",", -1);
          g_object_set (v.session, pair[0], list, NULL);
        }
      else
        g_object_set (v.session, pair[0], atoi (pair[1]), NULL);
    }
  g_signal_connect (v.session, "channel-new", G_CALLBACK (on_channel), &v);
  g_signal_connect (v.session, "disconnected", G_CALLBACK (on_gone), &v);
  g_io_add_watch (input, G_IO_IN | G_IO_HUP, on_input, &v);
  if (!spice_session_connect (v.session))
    return 1;
  g_main_loop_run (v.loop);
  return 0;
}
