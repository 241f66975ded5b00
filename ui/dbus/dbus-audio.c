/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound of "-audiodev dbus": clients register for what is played or to be recorded, each over a connection of its own
 * (interfaces org.qemu.Display1.AudioOutListener and AudioInListener). The engine's side of a voice and the clients'
 * are on two threads: news goes one way in a queue, what was recorded the other in a buffer. */
#include "config.h"

#include "ui/dbus/dbus-private.h"

#include <unistd.h>

#include "audio/audio.h"
#include "engine/io/lock.h"

#define ANSWER_MS 10000
#define NEWS_MAX 100            /* pieces of sound on their way to the main thread */
#define CALLS_MAX 50            /* that a client has not answered; then it misses some */
#define CLIENTS_MAX 32
#define RECORDED_MAX (1u << 20) /* bytes */

/* What is played or recorded by one stream of the host. */
typedef struct Voice
{
  int refs; /* atomic */
  uint64_t id;
  bool recording;
  VmAudioFormat format;
  int pieces; /* atomic: on their way */
  int asked;  /* atomic: a client is to record something */
  GMutex mutex;
  GByteArray *recorded;
} Voice;

typedef enum NewsKind
{
  VOICE_BEGINS,
  VOICE_ENDS,
  VOICE_SAYS,
  VOICE_WANTS,
} NewsKind;

typedef struct News
{
  NewsKind kind;
  Voice *voice; /* a reference */
  GBytes *sound;
  guint64 wanted;
} News;

struct DbusAudio
{
  VmMachine *machine;
  GDBusObjectManagerServer *manager;
  GDBusObjectSkeleton *object;
  VmdAudio *interface;
  GPtrArray *clients; /* Client * */
  GPtrArray *voices;  /* Voice *: those that play or record now */
  uint64_t last_id;   /* engine loop */
  GAsyncQueue *news;
  int woken; /* atomic */
};

typedef struct Client
{
  int refs; /* the audio's, and one for each call under way */
  DbusAudio *audio;
  bool recording, closed;
  GDBusConnection *connection; /* NULL: not yet */
  GCancellable *cancellable;
  unsigned calls; /* not answered yet */
} Client;

static Voice *
voice_ref (Voice *voice)
{
  g_atomic_int_inc (&voice->refs);
  return voice;
}

static void
voice_unref (gpointer data)
{
  Voice *voice = data;

  if (!g_atomic_int_dec_and_test (&voice->refs))
    return;
  g_mutex_clear (&voice->mutex);
  g_byte_array_unref (voice->recorded);
  g_free (voice);
}

static void
news_free (gpointer data)
{
  News *news = data;

  voice_unref (news->voice);
  g_clear_pointer (&news->sound, g_bytes_unref);
  g_free (news);
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

static void
client_unref (Client *client)
{
  if (--client->refs)
    return;
  g_clear_object (&client->connection);
  g_object_unref (client->cancellable);
  g_free (client);
}

static void
client_close (gpointer data)
{
  Client *client = data;

  client->closed = true;
  g_cancellable_cancel (client->cancellable);
  if (client->connection)
    {
      g_signal_handlers_disconnect_by_data (client->connection, client);
      g_dbus_connection_close (client->connection, NULL, NULL, NULL);
    }
  client_unref (client);
}

static void
client_end (Client *client)
{
  if (!client->closed)
    g_ptr_array_remove (client->audio->clients, client);
}

static void
client_call (Client *client, const char *method, GVariant *args, GAsyncReadyCallback answered, gpointer data)
{
  const char *path = client->recording ? DBUS_ROOT "/AudioInListener" : DBUS_ROOT "/AudioOutListener";
  const char *interface = client->recording ? "org.qemu.Display1.AudioInListener"
                                            : "org.qemu.Display1.AudioOutListener";

  client->calls++;
  client->refs++;
  g_dbus_connection_call (client->connection, NULL, path, interface, method, args, NULL,
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS, client->cancellable, answered, data);
}

/* The answer to a call, if there is one; a client that is not there any more goes. */
static GVariant *
client_answered (Client *client, GObject *source, GAsyncResult *result)
{
  g_autoptr (GError) error = NULL;
  GVariant *value = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  client->calls--;
  if (!value && !g_dbus_error_is_remote_error (error))
    client_end (client);
  client_unref (client);
  return value;
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GVariant) value = client_answered (data, source, result);
}

static void
client_begin_voice (Client *client, const Voice *voice)
{
  static const uint8_t bits[] = { 8, 8, 16, 16, 32, 32, 32 };
  const VmAudioFormat *f = &voice->format;
  bool is_signed = f->sample == VM_AUDIO_S8 || f->sample == VM_AUDIO_S16 || f->sample == VM_AUDIO_S32;
  unsigned frame = vm_audio_frame_bytes (f);

  client_call (client, "Init",
               g_variant_new ("(tybbuyuub)", voice->id, bits[f->sample], is_signed, f->sample == VM_AUDIO_F32, f->rate,
                              f->channels, frame, frame * f->rate, G_BYTE_ORDER == G_BIG_ENDIAN),
               on_answer, client);
  client_call (client, "SetEnabled", g_variant_new ("(tb)", voice->id, TRUE), on_answer, client);
}

static void
client_end_voice (Client *client, const Voice *voice)
{
  client_call (client, "SetEnabled", g_variant_new ("(tb)", voice->id, FALSE), on_answer, client);
  client_call (client, "Fini", g_variant_new ("(t)", voice->id), on_answer, client);
}

typedef struct Recording
{
  Client *client;
  Voice *voice;
} Recording;

static void
on_recorded (GObject *source, GAsyncResult *result, gpointer data)
{
  Recording *recording = data;
  Voice *voice = recording->voice;
  g_autoptr (GVariant) value = client_answered (recording->client, source, result);
  g_autoptr (GVariant) sound = NULL;

  if (value && g_variant_is_of_type (value, G_VARIANT_TYPE ("(ay)")))
    {
      gsize len;
      sound = g_variant_get_child_value (value, 0);
      const guint8 *bytes = g_variant_get_fixed_array (sound, &len, 1);
      g_mutex_lock (&voice->mutex);
      len = MIN (len, RECORDED_MAX - voice->recorded->len);
      g_byte_array_append (voice->recorded, bytes, (guint) (len - len % vm_audio_frame_bytes (&voice->format)));
      g_mutex_unlock (&voice->mutex);
    }
  g_atomic_int_set (&voice->asked, 0);
  voice_unref (voice);
  g_free (recording);
}

/* The first client that records is the one. */
static void
record (DbusAudio *audio, Voice *voice, guint64 wanted)
{
  for (guint i = 0; i < audio->clients->len; i++)
    {
      Client *client = audio->clients->pdata[i];
      if (!client->recording || !client->connection)
        continue;
      Recording *recording = g_new (Recording, 1);
      *recording = (Recording){ client, voice_ref (voice) };
      client_call (client, "Read", g_variant_new ("(tt)", voice->id, wanted), on_recorded, recording);
      return;
    }
  g_atomic_int_set (&voice->asked, 0);
}

/* --- news of the engine ------------------------------------------------------------------------------------------- */

static void
take_news (DbusAudio *audio, const News *news)
{
  Voice *voice = news->voice;

  if (news->kind == VOICE_BEGINS)
    g_ptr_array_add (audio->voices, voice_ref (voice));
  else if (news->kind == VOICE_WANTS)
    {
      record (audio, voice, news->wanted);
      return;
    }
  else if (news->kind == VOICE_SAYS)
    g_atomic_int_add (&voice->pieces, -1);
  for (guint i = 0; i < audio->clients->len; i++)
    {
      Client *client = audio->clients->pdata[i];
      if (client->recording != voice->recording || !client->connection)
        continue;
      if (news->kind == VOICE_BEGINS)
        client_begin_voice (client, voice);
      else if (news->kind == VOICE_ENDS)
        client_end_voice (client, voice);
      else if (client->calls < CALLS_MAX)
        client_call (client, "Write",
                     g_variant_new ("(t@ay)", voice->id,
                                    g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, news->sound, TRUE)),
                     on_answer, client);
    }
  if (news->kind == VOICE_ENDS)
    g_ptr_array_remove (audio->voices, voice);
}

static gboolean
on_news (gpointer data)
{
  DbusAudio *audio = data;
  News *news;

  g_atomic_int_set (&audio->woken, 0);
  while ((news = g_async_queue_try_pop (audio->news)))
    {
      take_news (audio, news);
      news_free (news);
    }
  return G_SOURCE_REMOVE;
}

/* --- the engine's side -------------------------------------------------------------------------------------------- */

static void
tell (DbusAudio *audio, NewsKind kind, Voice *voice, GBytes *sound, guint64 wanted)
{
  News *news = g_new (News, 1);

  *news = (News){ kind, voice_ref (voice), sound, wanted };
  g_async_queue_push (audio->news, news);
  if (g_atomic_int_compare_and_exchange (&audio->woken, 0, 1))
    g_idle_add_full (G_PRIORITY_DEFAULT, on_news, audio, NULL);
}

static void
stream_start (VmAudioStream *stream)
{
  DbusAudio *audio = vm_audiodev_opaque (stream->dev);
  Voice **place = stream->state, *voice = g_new0 (Voice, 1);

  voice->refs = 1;
  voice->id = ++audio->last_id;
  voice->recording = stream->recording;
  voice->format = stream->format;
  g_mutex_init (&voice->mutex);
  voice->recorded = g_byte_array_new ();
  *place = voice;
  tell (audio, VOICE_BEGINS, voice, NULL, 0);
}

static void
stream_stop (VmAudioStream *stream)
{
  Voice **place = stream->state;

  tell (vm_audiodev_opaque (stream->dev), VOICE_ENDS, *place, NULL, 0);
  g_clear_pointer (place, voice_unref);
}

static void
pump_out (VmAudioStream *stream, Voice *voice)
{
  GByteArray *sound = g_byte_array_new ();
  uint8_t bytes[4096];
  size_t n, whole = sizeof bytes - sizeof bytes % vm_audio_frame_bytes (&voice->format);

  while ((n = vm_audio_stream_drain (stream, bytes, whole)))
    g_byte_array_append (sound, bytes, (guint) n);
  if (sound->len && g_atomic_int_get (&voice->pieces) < NEWS_MAX)
    {
      g_atomic_int_inc (&voice->pieces);
      tell (vm_audiodev_opaque (stream->dev), VOICE_SAYS, voice, g_byte_array_free_to_bytes (sound), 0);
    }
  else
    g_byte_array_unref (sound);
}

static void
pump_in (VmAudioStream *stream, Voice *voice)
{
  size_t wanted = vm_audio_stream_wanted (stream), n;

  g_mutex_lock (&voice->mutex);
  n = MIN (wanted, voice->recorded->len);
  vm_audio_stream_give (stream, voice->recorded->data, n);
  g_byte_array_remove_range (voice->recorded, 0, (guint) n);
  g_mutex_unlock (&voice->mutex);
  if (wanted && g_atomic_int_compare_and_exchange (&voice->asked, 0, 1))
    tell (vm_audiodev_opaque (stream->dev), VOICE_WANTS, voice, NULL, wanted);
}

static void
stream_pump (VmAudioStream *stream)
{
  Voice *voice = *(Voice **) stream->state;

  if (voice)
    (stream->recording ? pump_in : pump_out) (stream, voice);
}

static const VmAudioClass audio_class = {
  .name = "dbus",
  .stream_size = sizeof (Voice *),
  .no_clock = true,
  .start = stream_start,
  .stop = stream_stop,
  .pump = stream_pump,
};

/* --- registering -------------------------------------------------------------------------------------------------- */

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *error, gpointer data)
{
  client_end (data);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  Client *client = data;
  DbusAudio *audio = client->audio;
  GDBusConnection *connection = g_dbus_connection_new_finish (result, NULL);

  if (!connection || client->closed)
    {
      g_clear_object (&connection);
      client_end (client);
    }
  else
    {
      client->connection = connection;
      g_signal_connect (connection, "closed", G_CALLBACK (on_closed), client);
      g_dbus_connection_start_message_processing (connection);
      for (guint i = 0; i < audio->voices->len; i++)
        if (((const Voice *) audio->voices->pdata[i])->recording == client->recording)
          client_begin_voice (client, audio->voices->pdata[i]);
    }
  client_unref (client);
}

static bool
register_client (DbusAudio *audio, GDBusMethodInvocation *invocation, GUnixFDList *fds, GVariant *handle,
                 bool recording)
{
  if (audio->clients->len == CLIENTS_MAX)
    {
      dbus_refuse (invocation, DBUS_FAILED, "There are too many listeners");
      return false;
    }
  int fd = dbus_take_fd (invocation, fds, handle);
  if (fd < 0)
    return false;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);
  if (!socket)
    {
      close (fd);
      dbus_refuse (invocation, DBUS_FAILED, "The listener is not a socket");
      return false;
    }
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);
  Client *client = g_new0 (Client, 1);
  client->refs = 2; /* one until it is connected */
  client->audio = audio;
  client->recording = recording;
  client->cancellable = g_cancellable_new ();
  g_ptr_array_add (audio->clients, client);
  g_dbus_connection_new (G_IO_STREAM (stream), guid,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER
                             | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                         NULL, client->cancellable, on_connected, client);
  return true;
}

static gboolean
on_register_out (VmdAudio *interface, GDBusMethodInvocation *invocation, GUnixFDList *fds, GVariant *handle,
                 gpointer data)
{
  if (register_client (data, invocation, fds, handle, false))
    vmd_audio_complete_register_out_listener (interface, invocation, NULL);
  return TRUE;
}

static gboolean
on_register_in (VmdAudio *interface, GDBusMethodInvocation *invocation, GUnixFDList *fds, GVariant *handle,
                gpointer data)
{
  if (register_client (data, invocation, fds, handle, true))
    vmd_audio_complete_register_in_listener (interface, invocation, NULL);
  return TRUE;
}

/* --- coming and going --------------------------------------------------------------------------------------------- */

DbusAudio *
dbus_audio_new (VmMachine *machine, GDBusObjectManagerServer *manager)
{
  static const char *const none[] = { NULL };
  DbusAudio *audio = g_new0 (DbusAudio, 1);

  audio->machine = machine;
  audio->manager = manager;
  audio->clients = g_ptr_array_new_with_free_func (client_close);
  audio->voices = g_ptr_array_new_with_free_func (voice_unref);
  audio->news = g_async_queue_new_full (news_free);
  audio->object = g_dbus_object_skeleton_new (DBUS_ROOT "/Audio");
  audio->interface = vmd_audio_skeleton_new ();
  vmd_audio_set_interfaces (audio->interface, none);
  g_signal_connect (audio->interface, "handle-register-out-listener", G_CALLBACK (on_register_out), audio);
  g_signal_connect (audio->interface, "handle-register-in-listener", G_CALLBACK (on_register_in), audio);
  g_dbus_object_skeleton_add_interface (audio->object, G_DBUS_INTERFACE_SKELETON (audio->interface));
  bool taken = vm_lock_enter (machine->lock);
  vm_audio_provide (&machine->env, &audio_class, audio);
  vm_lock_leave (machine->lock, taken);
  g_dbus_object_manager_server_export (manager, audio->object);
  return audio;
}

void
dbus_audio_free (DbusAudio *audio)
{
  VmMachine *machine = audio->machine;
  bool taken = vm_lock_enter (machine->lock);

  vm_audio_withdraw (&machine->env, &audio_class);
  vm_lock_leave (machine->lock, taken);
  while (g_idle_remove_by_data (audio))
    ;
  g_dbus_object_manager_server_unexport (audio->manager, DBUS_ROOT "/Audio");
  g_ptr_array_unref (audio->clients);
  g_ptr_array_unref (audio->voices);
  g_async_queue_unref (audio->news);
  g_signal_handlers_disconnect_by_data (audio->interface, audio);
  g_object_unref (audio->interface);
  g_object_unref (audio->object);
  g_free (audio);
}
