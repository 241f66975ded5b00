/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound on D-Bus, from a card on the bench to a client and back: what is played arrives whole, what is recorded is
 * heard, clients that come late or do not answer. */
#include "tests/audio/bench.h"
#include "ui/dbus/dbus-private.h"

#include <string.h>
#include <sys/socket.h>

#include <gio/gunixfdlist.h>

#define RATE 44100

static const char xml[]
    = "<node><interface name='org.qemu.Display1.AudioOutListener'>"
      "<method name='Init'><arg type='t'/><arg type='y'/><arg type='b'/><arg type='b'/><arg type='u'/><arg type='y'/>"
      "<arg type='u'/><arg type='u'/><arg type='b'/></method><method name='Fini'><arg type='t'/></method>"
      "<method name='SetEnabled'><arg type='t'/><arg type='b'/></method>"
      "<method name='Write'><arg type='t'/><arg type='ay'/></method></interface>"
      "<interface name='org.qemu.Display1.AudioInListener'>"
      "<method name='Init'><arg type='t'/><arg type='y'/><arg type='b'/><arg type='b'/><arg type='u'/><arg type='y'/>"
      "<arg type='u'/><arg type='u'/><arg type='b'/></method><method name='Fini'><arg type='t'/></method>"
      "<method name='SetEnabled'><arg type='t'/><arg type='b'/></method>"
      "<method name='Read'><arg type='t'/><arg type='t'/><arg type='ay' direction='out'/></method></interface></node>";

typedef struct Heard
{
  GDBusConnection *connection;
  guint object;
  unsigned inits, ends, writes;
  bool enabled, deaf;
  GByteArray *sound;
  int16_t next; /* sample to be recorded */
  unsigned reads;
} Heard;

typedef struct Rig
{
  Bench bench;
  GDBusObjectManagerServer *manager;
  DbusAudio *audio;
  GDBusConnection *server, *client;
  int16_t next;       /* sample to be played */
  GByteArray *record; /* what the card has recorded */
  VmAudioVoice *out, *in;
} Rig;

static void
on_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method,
         GVariant *args, GDBusMethodInvocation *invocation, gpointer data)
{
  Heard *heard = data;
  GVariant *answer = NULL;

  if (!strcmp (method, "Init"))
    {
      guchar bits, channels;
      gboolean is_signed, is_float;
      guint32 rate, frame, second;
      g_variant_get (args, "(tybbuyuub)", NULL, &bits, &is_signed, &is_float, &rate, &channels, &frame, &second, NULL);
      g_assert_true (bits == 16 && is_signed && !is_float && channels == 2 && frame == 4 && rate == RATE
                     && second == 4 * RATE);
      heard->inits++;
    }
  else if (!strcmp (method, "Fini"))
    heard->ends++;
  else if (!strcmp (method, "SetEnabled"))
    {
      gboolean on;
      g_variant_get (args, "(tb)", NULL, &on);
      heard->enabled = on;
    }
  else if (!strcmp (method, "Write"))
    {
      g_autoptr (GVariant) sound = g_variant_get_child_value (args, 1);
      gsize len;
      gconstpointer bytes = g_variant_get_fixed_array (sound, &len, 1);
      g_byte_array_append (heard->sound, bytes, (guint) len);
      heard->writes++;
    }
  else
    {
      guint64 size;
      heard->reads++;
      g_variant_get (args, "(tt)", NULL, &size);
      GByteArray *sound = g_byte_array_new ();
      for (guint64 i = 0; i < size / 4; i++, heard->next++)
        {
          int16_t frame[2] = { heard->next, heard->next };
          g_byte_array_append (sound, (const guint8 *) frame, sizeof frame);
        }
      g_autoptr (GBytes) bytes = g_byte_array_free_to_bytes (sound);
      answer = g_variant_new ("(@ay)", g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE));
    }
  if (heard->deaf)
    g_object_unref (invocation);
  else
    g_dbus_method_invocation_return_value (invocation, answer);
}

static void
on_connection (GObject *source, GAsyncResult *result, gpointer data)
{
  *(GDBusConnection **) data = g_dbus_connection_new_finish (result, NULL);
  g_assert_nonnull (*(GDBusConnection **) data);
}

static void
connect_end (int fd, GDBusConnectionFlags flags, GDBusConnection **connection)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);
  g_autofree char *guid = flags & G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER ? g_dbus_generate_guid () : NULL;

  g_dbus_connection_new (G_IO_STREAM (stream), guid, flags, NULL, NULL, on_connection, connection);
}

/* Some ticks of the card, and time for what goes between the threads of GDBus. */
static void
run (Rig *rig, unsigned ticks)
{
  for (unsigned i = 0; i < ticks; i++)
    {
      bench_advance (&rig->bench, 10 * VM_NS_PER_MS);
      g_usleep (1000);
      while (g_main_context_iteration (NULL, FALSE))
        ;
    }
}

static void
on_registered (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) value
      = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), NULL, result, &error);

  g_assert_no_error (error);
  g_assert_nonnull (value);
}

static void
listen_to (Rig *rig, Heard *heard, bool recording)
{
  static const GDBusInterfaceVTable vtable = { .method_call = on_call };
  g_autoptr (GDBusNodeInfo) info = g_dbus_node_info_new_for_xml (xml, NULL);
  const char *kind = recording ? "In" : "Out";
  g_autofree char *path = g_strdup_printf (DBUS_ROOT "/Audio%sListener", kind);
  g_autofree char *interface = g_strdup_printf ("org.qemu.Display1.Audio%sListener", kind);
  g_autofree char *method = g_strdup_printf ("Register%sListener", kind);
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new_from_array (&fds[1], 1);
  heard->sound = g_byte_array_new ();
  g_dbus_connection_call_with_unix_fd_list (rig->client, NULL, DBUS_ROOT "/Audio", "org.qemu.Display1.Audio", method,
                                            g_variant_new ("(h)", 0), NULL, G_DBUS_CALL_FLAGS_NONE, -1, list, NULL,
                                            on_registered, NULL);
  connect_end (fds[0], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
               &heard->connection);
  while (!heard->connection)
    g_main_context_iteration (NULL, TRUE);
  heard->object = g_dbus_connection_register_object (
      heard->connection, path, g_dbus_node_info_lookup_interface (info, interface), &vtable, heard, NULL, NULL);
  g_dbus_connection_start_message_processing (heard->connection);
}

static void
stop_listening (Heard *heard)
{
  g_dbus_connection_unregister_object (heard->connection, heard->object); /* calls may be on their way */
  g_dbus_connection_close_sync (heard->connection, NULL, NULL);
  g_clear_object (&heard->connection);
  g_byte_array_unref (heard->sound);
}

static void
play (void *opaque, size_t bytes)
{
  Rig *rig = opaque;

  for (; bytes >= 4; bytes -= 4, rig->next++)
    {
      int16_t frame[2] = { rig->next, rig->next };
      vm_audio_write (rig->out, frame, sizeof frame);
    }
}

static void
record (void *opaque, size_t bytes)
{
  Rig *rig = opaque;
  guint at = rig->record->len;

  g_byte_array_set_size (rig->record, at + (guint) bytes);
  g_byte_array_set_size (rig->record, at + (guint) vm_audio_read (rig->in, rig->record->data + at, bytes));
}

static void
rig_init (Rig *rig)
{
  static const VmAudioFormat format = { .rate = RATE, .channels = 2, .sample = VM_AUDIO_S16 };
  int fds[2];

  *rig = (Rig){ .record = g_byte_array_new () };
  bench_init (&rig->bench, true);
  rig->bench.machine->lock = rig->bench.lock;
  rig->manager = g_dbus_object_manager_server_new (DBUS_ROOT);
  bench_add (&rig->bench, "dbus,id=a");
  rig->audio = dbus_audio_new (rig->bench.machine, rig->manager);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  connect_end (fds[0], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, &rig->server);
  connect_end (fds[1], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, &rig->client);
  while (!rig->server || !rig->client)
    g_main_context_iteration (NULL, TRUE);
  g_dbus_object_manager_server_set_connection (rig->manager, rig->server);
  rig->out = vm_audio_open_out (&rig->bench.card, "dac", &format, play, rig);
  rig->in = vm_audio_open_in (&rig->bench.card, "adc", &format, record, rig);
}

static void
rig_clear (Rig *rig)
{
  vm_audio_close (rig->out);
  vm_audio_close (rig->in);
  dbus_audio_free (rig->audio);
  bench_clear (&rig->bench);
  g_dbus_connection_close_sync (rig->client, NULL, NULL);
  g_object_unref (rig->manager);
  g_object_unref (rig->server);
  g_object_unref (rig->client);
  g_byte_array_unref (rig->record);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* Frames, after silence, that go up by one each: how many. */
static unsigned
count_rising (const GByteArray *sound)
{
  const int16_t *samples = (const int16_t *) sound->data;
  unsigned n = sound->len / 4, from = 0;

  while (from < n && !samples[2 * from])
    from++;
  for (unsigned i = from + 1; i < n; i++)
    g_assert_cmpint (samples[2 * i], ==, (int16_t) (samples[2 * i - 2] + 1));
  return n - from;
}

static void
test_played (void)
{
  Heard early = { 0 }, late = { 0 };
  Rig rig;

  rig_init (&rig);
  listen_to (&rig, &early, false);
  run (&rig, 20);
  g_assert_cmpuint (early.writes, ==, 0);
  vm_audio_set_active (rig.out, true);
  run (&rig, 30);
  listen_to (&rig, &late, false);
  run (&rig, 30);
  g_assert_cmpuint (early.inits, ==, 1);
  g_assert_cmpuint (late.inits, ==, 1);
  g_assert_true (early.enabled && late.enabled);
  g_assert_cmpuint (count_rising (early.sound), >, RATE / 2);
  g_assert_cmpuint (count_rising (late.sound), >, RATE / 5);
  stop_listening (&late); /* goes without a word */
  run (&rig, 10);
  vm_audio_close (g_steal_pointer (&rig.out));
  run (&rig, 600);
  g_assert_cmpuint (early.ends, ==, 1);
  g_assert_false (early.enabled);
  stop_listening (&early);
  rig_clear (&rig);
}

static void
test_recorded (void)
{
  Heard heard = { .next = 1 };
  Rig rig;

  rig_init (&rig);
  listen_to (&rig, &heard, true);
  vm_audio_set_active (rig.in, true);
  run (&rig, 100);
  g_assert_cmpuint (heard.inits, ==, 1);
  g_assert_cmpuint (rig.record->len, >, RATE * 2);
  g_assert_cmpuint (heard.reads, >, 10);
  stop_listening (&heard);
  run (&rig, 20); /* silence */
  rig_clear (&rig);
}

static void
test_deaf (void)
{
  Heard deaf = { .deaf = true }, good = { 0 };
  Rig rig;

  rig_init (&rig);
  listen_to (&rig, &deaf, false);
  listen_to (&rig, &good, false);
  vm_audio_set_active (rig.out, true);
  run (&rig, 200);
  g_assert_cmpuint (deaf.writes, <=, 50);
  g_assert_cmpuint (count_rising (good.sound), >, RATE);
  stop_listening (&good);
  stop_listening (&deaf);
  rig_clear (&rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dbus-sound/played", test_played);
  g_test_add_func ("/dbus-sound/recorded", test_recorded);
  g_test_add_func ("/dbus-sound/deaf", test_deaf);
  return g_test_run ();
}
