/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client of "-display dbus,p2p=yes" that is none: calls with any arguments and descriptors, answers of all kinds to
 * what it is asked, while the guest and its agent say things, too. */
#include "engine/agent/agent.h"
#include "tests/audio/bench.h"
#include "tests/fuzz/fuzz.h"
#include "ui/dbus/dbus-private.h"
#include "ui/dbus/ui-dbus.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#define WIDTH 64
#define HEIGHT 48
#define PATIENCE_MS 5000
#define STRANGERS 16 /* descriptors that a client gave away and still has the other ends of */

typedef struct Method
{
  const char *path, *interface, *name, *signature;
} Method;

#define CONSOLE(n) DBUS_ROOT "/Console_" #n
#define DISPLAY1 "org.qemu.Display1."
#define PROPERTIES "org.freedesktop.DBus.Properties"

static const Method methods[] = {
  { CONSOLE (0), DISPLAY1 "Keyboard", "Press", "(u)" },
  { CONSOLE (0), DISPLAY1 "Keyboard", "Release", "(u)" },
  { CONSOLE (0), DISPLAY1 "Mouse", "Press", "(u)" },
  { CONSOLE (0), DISPLAY1 "Mouse", "Release", "(u)" },
  { CONSOLE (0), DISPLAY1 "Mouse", "SetAbsPosition", "(uu)" },
  { CONSOLE (0), DISPLAY1 "Mouse", "RelMotion", "(ii)" },
  { CONSOLE (0), DISPLAY1 "MultiTouch", "SendEvent", "(utdd)" },
  { CONSOLE (0), DISPLAY1 "Console", "SetUIInfo", "(qqiiuu)" },
  { CONSOLE (0), DISPLAY1 "Console", "RegisterListener", "(h)" },
  { CONSOLE (1), DISPLAY1 "Console", "RegisterListener", "(h)" },
  { CONSOLE (1), DISPLAY1 "Keyboard", "Press", "(u)" },
  { DBUS_ROOT "/Clipboard", DISPLAY1 "Clipboard", "Register", "()" },
  { DBUS_ROOT "/Clipboard", DISPLAY1 "Clipboard", "Unregister", "()" },
  { DBUS_ROOT "/Clipboard", DISPLAY1 "Clipboard", "Grab", "(uuas)" },
  { DBUS_ROOT "/Clipboard", DISPLAY1 "Clipboard", "Release", "(u)" },
  { DBUS_ROOT "/Clipboard", DISPLAY1 "Clipboard", "Request", "(uas)" },
  { DBUS_ROOT "/Audio", DISPLAY1 "Audio", "RegisterOutListener", "(h)" },
  { DBUS_ROOT "/Audio", DISPLAY1 "Audio", "RegisterInListener", "(h)" },
  { DBUS_ROOT "/Chardev_serial0", DISPLAY1 "Chardev", "Register", "(h)" },
  { DBUS_ROOT "/Chardev_serial0", DISPLAY1 "Chardev", "SendBreak", "()" },
  { CONSOLE (0), PROPERTIES, "Get", "(ss)" },
  { CONSOLE (0), PROPERTIES, "Set", "(ssv)" },
  { DBUS_ROOT "/VM", PROPERTIES, "GetAll", "(s)" },
  { DBUS_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "()" },
  { DBUS_ROOT, "org.freedesktop.DBus.Introspectable", "Introspect", "()" },
  { CONSOLE (9), DISPLAY1 "Console", "SetUIInfo", "(qqiiuu)" },
};

typedef struct Run
{
  Bench bench;
  VmSettings *settings;
  VmConsole *console;
  VmCharEnv chars;
  VmCharFe agent_end, text_end; /* the guest's */
  VmText *text;
  GPtrArray *texts;
  VmAudioVoice *voices[2];
  /* the session */
  VmSessionFunc event;
  void *event_opaque;
  VmSessionClient take_client;
  void *take_opaque;
  /* the client */
  Input in;
  GDBusConnection *client;
  GPtrArray *friends;       /* GDBusConnection *: at the other ends of some of its descriptors */
  unsigned connecting;      /* those that are yet to come */
  int strangers[STRANGERS]; /* -1: none */
  unsigned n_strangers;
  bool asked_last;
} Run;

/* --- the session that the display has ------------------------------------------------------------------------------
 */

struct VmSession
{
  Run *run;
};

VmSession *
vm_session_new (VmMachine *machine, GMainContext *context, VmSessionFunc func, void *opaque)
{
  VmSession *session = g_new0 (VmSession, 1);

  session->run = machine->monitors->pdata[0];
  session->run->event = func;
  session->run->event_opaque = opaque;
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
  return session->run->bench.machine->env.display;
}

VmInput *
vm_session_input (VmSession *session)
{
  return session->run->bench.machine->env.input;
}

const VmSettings *
vm_session_settings (VmSession *session)
{
  return session->run->settings;
}

GPtrArray *
vm_session_texts (VmSession *session)
{
  return g_ptr_array_ref (session->run->texts);
}

void
vm_session_take_clients (VmSession *session, const char *protocol, VmSessionClient func, void *opaque)
{
  session->run->take_client = func;
  session->run->take_opaque = opaque;
}

/* --- the machine ---------------------------------------------------------------------------------------------------
 */

static size_t
end_room (void *opaque)
{
  return 512;
}

static void
end_receive (void *opaque, const uint8_t *buf, size_t len)
{
}

static void
on_agent (void *opaque, VmChardev *chr, bool mouse, bool clipboard)
{
  VmEnv *env = bench_env (&((Run *) opaque)->bench);

  vm_agent_new (env->display, env->input, chr, mouse, clipboard);
}

static void
on_sound (void *opaque, size_t bytes)
{
}

static void
set_up (Run *r)
{
  static const VmConsoleOps ops = { 0 };
  static const VmCharFeOps end_ops = { .can_receive = end_room, .receive = end_receive };
  g_autoptr (VmCharOptions) options = vm_char_options_parse ("qemu-vdagent,id=agent,clipboard=on,mouse=on", NULL);
  VmAudioSpec *spec = g_new0 (VmAudioSpec, 1);
  VmEnv *env;

  bench_init (&r->bench, true);
  env = bench_env (&r->bench);
  r->bench.machine->lock = r->bench.lock;
  r->bench.machine->monitors = g_ptr_array_new (); /* only the session looks there */
  g_ptr_array_add (r->bench.machine->monitors, r);
  env->display = vm_display_new (env->loop, env->clocks);
  env->input = vm_input_new (env->loop);
  r->console = vm_console_new (env->display, NULL, 0, &ops, NULL);
  vm_console_set_surface (r->console, vm_surface_new (WIDTH, HEIGHT));
  r->chars = (VmCharEnv){
    .loop = env->loop, .clocks = env->clocks, .root = env->root, .opaque = r, .agent_added = on_agent
  };
  VmChardev *agent = vm_chardev_new (&r->chars, options, NULL);
  VmChardev *serial = vm_chardev_new_sink (&r->chars, "serial0", "vc", NULL);
  r->text = vm_text_new (env->loop, serial, 80, 24, NULL, NULL);
  r->texts = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_text_unref);
  g_ptr_array_add (r->texts, vm_text_ref (r->text));
  g_assert_true (vm_char_fe_attach_to (&r->agent_end, agent, &end_ops, r, NULL));
  g_assert_true (vm_char_fe_attach_to (&r->text_end, serial, &end_ops, r, NULL));
  r->settings = vm_settings_new ();
  vm_keyvals_set (r->settings->display_opts, "p2p", "yes");
  vm_keyvals_set (r->settings->display_opts, "audiodev", "s");
  spec->options = vm_keyvals_new ();
  vm_keyvals_set (spec->options, "driver", "dbus");
  vm_keyvals_set (spec->options, "id", "s");
  g_ptr_array_add (r->settings->audios, spec);
  r->friends = g_ptr_array_new_with_free_func (g_object_unref);
}

static void
tear_down (Run *r)
{
  VmEnv *env = bench_env (&r->bench);

  for (unsigned i = 0; i < G_N_ELEMENTS (r->voices); i++)
    vm_audio_close (r->voices[i]);
  vm_char_fe_detach (&r->agent_end);
  vm_char_fe_detach (&r->text_end);
  vm_chardev_remove_all (&r->chars);
  g_ptr_array_unref (r->texts);
  vm_text_unref (r->text);
  while (vm_loop_iterate (env->loop, false))
    ;
  vm_console_free (r->console);
  vm_input_free (env->input);
  vm_display_free (env->display);
  env->display = NULL;
  env->input = NULL;
  vm_settings_free (r->settings);
  g_ptr_array_unref (r->bench.machine->monitors);
  bench_clear (&r->bench);
  g_ptr_array_unref (r->friends);
}

/* --- the client ----------------------------------------------------------------------------------------------------
 */

static GVariant *
make_variant (Input *in, const GVariantType *type, unsigned depth)
{
  static const char *const strings[] = { "text/plain;charset=utf-8",
                                         "image/png",
                                         "text/plain",
                                         "",
                                         DISPLAY1 "Console",
                                         DISPLAY1 "Mouse",
                                         "Width",
                                         "IsAbsolute",
                                         "UTF8_STRING",
                                         "\xc3\xa4" };
  uint64_t value = take (in, 1);

  if (value & 0x80)
    value = (uint64_t) take (in, 4) << 32 | take (in, 4);
  else if (value & 0x40)
    value = take (in, 2);
  switch (*g_variant_type_peek_string (type))
    {
    case 'b':
      return g_variant_new_boolean (value & 1);
    case 'q':
      return g_variant_new_uint16 ((guint16) value);
    case 'i':
      return g_variant_new_int32 ((gint32) value);
    case 'u':
      return g_variant_new_uint32 ((guint32) value);
    case 't':
      return g_variant_new_uint64 (value);
    case 'h':
      return g_variant_new_handle ((gint32) value & 3);
    case 'd':
      {
        double number;
        memcpy (&number, &value, sizeof number);
        return g_variant_new_double (value < 0x10000 ? (double) value : number);
      }
    case 's':
      return g_variant_new_string (strings[value % G_N_ELEMENTS (strings)]);
    case 'v':
      return g_variant_new_variant (
          make_variant (in, depth < 8 ? G_VARIANT_TYPE ("u") : G_VARIANT_TYPE ("s"), depth + 1));
    case 'a':
      {
        GVariantBuilder list;
        g_variant_builder_init (&list, type);
        for (unsigned n = value & 15; n; n--)
          g_variant_builder_add_value (&list, make_variant (in, g_variant_type_element (type), depth + 1));
        return g_variant_builder_end (&list);
      }
    default:
      {
        GVariantBuilder list;
        g_variant_builder_init (&list, type);
        for (const GVariantType *t = g_variant_type_first (type); t; t = g_variant_type_next (t))
          g_variant_builder_add_value (&list, make_variant (in, t, depth + 1));
        return g_variant_builder_end (&list);
      }
    }
}

/* On GDBus' thread: what this end is asked. The answer may be what was wanted. */
static GDBusMessage *
on_message (GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data)
{
  g_autoptr (GDBusMessage) reply = NULL;

  if (!incoming || g_dbus_message_get_message_type (message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
    return message;
  switch (g_dbus_message_get_serial (message) % 7)
    {
    case 0:
      reply = g_dbus_message_new_method_error_literal (message, "org.example.No", "");
      break;
    case 1: /* not what the call promises, mostly */
      reply = g_dbus_message_new_method_reply (message);
      g_dbus_message_set_body (reply, g_variant_new ("(u)", 7));
      break;
    case 2: /* nothing */
      g_object_unref (message);
      return NULL;
    default:
      reply = g_dbus_message_new_method_reply (message);
      if (!g_strcmp0 (g_dbus_message_get_member (message), "Request"))
        g_dbus_message_set_body (reply,
                                 g_variant_new ("(s@ay)", "text/plain", g_variant_new_bytestring ("a\r\nb\xff")));
      else if (!g_strcmp0 (g_dbus_message_get_member (message), "Read"))
        g_dbus_message_set_body (reply, g_variant_new ("(@ay)", g_variant_new_bytestring ("0123456789")));
      else if (!g_strcmp0 (g_dbus_message_get_member (message), "Get"))
        g_dbus_message_set_body (
            reply,
            g_variant_new ("(v)", g_variant_new_strv ((const char *const[]){ DISPLAY1 "Listener.Unix.Map" }, 1)));
    }
  g_dbus_connection_send_message (connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
  g_object_unref (message);
  return NULL;
}

static void
on_friend (GObject *source, GAsyncResult *result, gpointer data)
{
  Run *r = data;
  GDBusConnection *connection = g_dbus_connection_new_finish (result, NULL);

  r->connecting--;
  if (!connection)
    return;
  g_dbus_connection_add_filter (connection, on_message, NULL, NULL);
  g_dbus_connection_start_message_processing (connection);
  if (r->asked_last)
    g_object_unref (connection);
  else
    g_ptr_array_add (r->friends, connection);
}

static void
connect_end (Run *r, int fd, GAsyncReadyCallback done)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);

  g_dbus_connection_new (G_IO_STREAM (stream), NULL,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
                             | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                         NULL, NULL, done, r);
}

static int
make_fd (Run *r)
{
  unsigned kind = take (&r->in, 1);
  int ends[2] = { -1, -1 };

  if (kind % 8 == 0)
    return open ("/dev/null", O_RDWR | O_CLOEXEC);
  if (kind % 8 == 1 ? pipe (ends)
                    : socketpair (AF_UNIX, (kind % 8 == 2 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0, ends))
    return -1;
  if (kind % 8 >= 5)
    {
      connect_end (r, ends[1], on_friend);
      r->connecting++;
      return ends[0];
    }
  int *place = &r->strangers[r->n_strangers++ % STRANGERS];
  if (*place >= 0)
    close (*place);
  *place = ends[1];
  return ends[0];
}

static GUnixFDList *
make_fds (Run *r)
{
  GUnixFDList *fds = g_unix_fd_list_new ();

  for (unsigned n = take (&r->in, 1) % 3; n; n--)
    {
      int fd = make_fd (r);
      if (fd >= 0)
        {
          g_unix_fd_list_append (fds, fd, NULL);
          close (fd);
        }
    }
  return fds;
}

static void
call (Run *r)
{
  unsigned which = take (&r->in, 1), odd = take (&r->in, 1);
  const Method *m = &methods[which % G_N_ELEMENTS (methods)], *other = &methods[odd % G_N_ELEMENTS (methods)];
  bool mixed = odd >= 0xf0;
  g_autoptr (GDBusMessage) message
      = g_dbus_message_new_method_call (NULL, m->path, m->interface, mixed ? other->name : m->name);
  const GVariantType *type = G_VARIANT_TYPE (mixed && odd & 1 ? other->signature : m->signature);

  if (strchr (g_variant_type_peek_string (type), 'h'))
    {
      g_autoptr (GUnixFDList) fds = make_fds (r);
      g_dbus_message_set_unix_fd_list (message, fds);
    }
  g_dbus_message_set_body (message, make_variant (&r->in, type, 0));
  if (odd & 1)
    g_dbus_message_set_flags (message, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
  g_dbus_connection_send_message (r->client, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static const uint8_t *
take_bytes (Run *r, size_t *n)
{
  const uint8_t *at = r->in.data;

  *n = MIN (*n, r->in.left);
  r->in.data += *n;
  r->in.left -= *n;
  return at;
}

/* A message that is one but for what it says: "port, size; protocol, type, opaque, size" (spice/vd_agent.h). */
static void
agent_says (Run *r)
{
  uint32_t type = take (&r->in, 1) % 20, head[7] = { 1, 0, 1, type, 0, 0, 0 };
  size_t n = take (&r->in, 1);
  const uint8_t *data = take_bytes (r, &n);

  head[1] = (uint32_t) (20 + n);
  head[6] = (uint32_t) n;
  vm_char_fe_write (&r->agent_end, head, sizeof head);
  vm_char_fe_write (&r->agent_end, data, n);
}

static void
step (Run *r)
{
  size_t n;
  const uint8_t *bytes;

  switch (take (&r->in, 1) % 8)
    {
    case 0:
      agent_says (r);
      break;
    case 1:
      n = take (&r->in, 1);
      bytes = take_bytes (r, &n);
      vm_char_fe_write (&r->text_end, bytes, n);
      break;
    case 2:
      n = take (&r->in, 1);
      bytes = take_bytes (r, &n);
      for (unsigned i = 0; i < STRANGERS; i++)
        if (r->strangers[i] >= 0 && send (r->strangers[i], bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
          {
            close (r->strangers[i]);
            r->strangers[i] = -1;
          }
      break;
    case 3:
      vm_console_damage (r->console, (int) take (&r->in, 1), (int) take (&r->in, 1), 8, 8);
      if (take (&r->in, 1) % 8 == 0)
        vm_console_set_surface (r->console, vm_surface_new (1 + (int) take (&r->in, 1), 1 + (int) take (&r->in, 1)));
      bench_advance (&r->bench, 20 * VM_NS_PER_MS);
      break;
    default:
      call (r);
    }
}

static void
end_run (Run *r)
{
  g_ptr_array_set_size (r->friends, 0);
  g_idle_remove_by_data (r);
  r->event (NULL, VM_SESSION_QUIT, NULL, NULL, r->event_opaque);
}

static void
on_last (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GVariant) value = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);

  end_run (data);
}

static gboolean
on_idle (gpointer data)
{
  Run *r = data;

  while (vm_loop_iterate (bench_env (&r->bench)->loop, false))
    ;
  if (!r->client || r->asked_last)
    {
      g_usleep (50);
      return G_SOURCE_CONTINUE;
    }
  if (r->in.left && !g_dbus_connection_is_closed (r->client))
    {
      step (r);
      return G_SOURCE_CONTINUE;
    }
  r->asked_last = true;
  g_dbus_connection_call (r->client, NULL, DBUS_ROOT, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                          G_DBUS_CALL_FLAGS_NONE, PATIENCE_MS, NULL, on_last, r);
  return G_SOURCE_CONTINUE;
}

static void
on_client (GObject *source, GAsyncResult *result, gpointer data)
{
  Run *r = data;
  g_autoptr (GError) error = NULL;

  r->client = g_dbus_connection_new_finish (result, &error);
  if (!r->client)
    g_error ("the client is not let in: %s", error->message);
  g_dbus_connection_set_exit_on_close (r->client, FALSE);
  g_dbus_connection_add_filter (r->client, on_message, NULL, NULL);
  g_dbus_connection_start_message_processing (r->client);
}

static void
on_started (void *opaque)
{
  const VmAudioFormat format = { .rate = 48000, .channels = 2, .sample = VM_AUDIO_S16 };
  Run *r = opaque;
  int ends[2];

  bench_add (&r->bench, "dbus,id=s");
  r->voices[0] = vm_audio_open_out (&r->bench.card, "out", &format, on_sound, r);
  r->voices[1] = vm_audio_open_in (&r->bench.card, "in", &format, on_sound, r);
  for (unsigned i = 0; i < G_N_ELEMENTS (r->voices); i++)
    vm_audio_set_active (r->voices[i], true);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
  r->take_client (NULL, ends[0], r->take_opaque);
  connect_end (r, ends[1], on_client);
  g_idle_add (on_idle, r);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Run *r = g_new0 (Run, 1);

  r->in = (Input){ data, size };
  for (unsigned i = 0; i < STRANGERS; i++)
    r->strangers[i] = -1;
  set_up (r);
  vm_ui_dbus.run (r->bench.machine, on_started, r);
  if (r->client)
    g_dbus_connection_close_sync (r->client, NULL, NULL);
  for (unsigned i = 0; i < STRANGERS; i++)
    if (r->strangers[i] >= 0)
      close (r->strangers[i]);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_clear_object (&r->client);
  r->asked_last = true;
  tear_down (r);
  while (r->connecting) /* nobody has the other ends any more */
    g_main_context_iteration (NULL, TRUE);
  g_free (r);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  for (int n = g_rand_int_range (rand, 1, 60); n > 0; n--)
    {
      uint8_t op = (uint8_t) g_rand_int_range (rand, 0, 16), bytes[24];
      for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (g_rand_boolean (rand) ? g_rand_int (rand) & 15 : g_rand_int (rand));
      g_byte_array_append (input, &op, 1);
      if (op % 8 == 0 && g_rand_boolean (rand)) /* what the agent can: all */
        g_byte_array_append (input, (const uint8_t[]){ 6, 8, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff }, 10);
      else
        g_byte_array_append (input, bytes, (guint) g_rand_int_range (rand, 2, sizeof bytes));
    }
}
