/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound for viewers: the QEMU Audio extension of the community's protocol document. What the guest plays belongs to the
 * engine's thread; both sides only post to each other. */
#include "ui/vnc/vnc-private.h"

#define LATE_MAX (96 * 1024) /* unread by the client: sound that would wait behind so much is left out */

enum
{ /* of the client */
  ENABLE = 0,
  DISABLE = 1,
  SET_FORMAT = 2
};
enum
{ /* of ours */
  END = 0,
  BEGIN = 1,
  DATA = 2
};

struct VncSound
{
  int refs; /* atomic: the client's, and one for each message under way */
  VmLoop *loop, *engine;
  VmAudiodev *dev;
  /* VNC thread */
  VncClient *client; /* NULL: it is gone */
  VmAudioFormat format;
  bool on;
  unsigned wishes; /* how many so far: what came of an earlier one is left out */
  /* engine */
  VmAudioListener *listener;
  unsigned granted; /* the number of the wish that LISTENER came of */
};

/* A message between the two threads. */
typedef struct Post
{
  struct VncSound *sound;
  unsigned wish;
  /* to the engine */
  bool on;
  VmAudioFormat format;
  /* from it */
  uint16_t operation;
  GBytes *bytes;
} Post;

static void
sound_unref (struct VncSound *sound)
{
  if (g_atomic_int_dec_and_test (&sound->refs))
    g_free (sound);
}

static void
post (VmLoop *loop, VmPostFunc func, Post values)
{
  g_atomic_int_inc (&values.sound->refs);
  vm_loop_post (loop, func, g_memdup2 (&values, sizeof values));
}

static void
post_free (Post *p)
{
  sound_unref (p->sound);
  g_clear_pointer (&p->bytes, g_bytes_unref);
  g_free (p);
}

/* --- VNC thread: from the engine to the client ------------------------------------------------------------------- */

static void
tell_client (void *opaque)
{
  Post *p = opaque;
  VncClient *c = p->sound->client;
  gsize len = 0;
  const void *bytes = p->bytes ? g_bytes_get_data (p->bytes, &len) : NULL;

  if (c && p->wish == p->sound->wishes && (!bytes || c->wire.extra + len <= LATE_MAX))
    {
      g_autoptr (GByteArray) m = g_byte_array_new ();
      vnc_put_u16 (m, 255 << 8 | 1);
      vnc_put_u16 (m, p->operation);
      if (bytes)
        {
          vnc_put_u32 (m, (uint32_t) len);
          g_byte_array_append (m, bytes, (guint) len);
        }
      vnc_wire_write (&c->wire, m->data, m->len);
    }
  post_free (p);
}

/* --- engine loop ----------------------------------------------------------------------------------------------------
 */

static void
on_playing (void *opaque, bool playing)
{
  struct VncSound *sound = opaque;

  post (sound->loop, tell_client, (Post){ sound, .wish = sound->granted, .operation = playing ? BEGIN : END });
}

static void
on_sound (void *opaque, const void *bytes, size_t size)
{
  struct VncSound *sound = opaque;

  if (size)
    post (sound->loop, tell_client,
          (Post){ sound, .wish = sound->granted, .operation = DATA, .bytes = g_bytes_new (bytes, size) });
}

static void
grant (void *opaque)
{
  static const VmAudioListenerOps ops = { .playing = on_playing, .sound = on_sound };
  Post *p = opaque;
  struct VncSound *sound = p->sound;

  vm_audio_unlisten (g_steal_pointer (&sound->listener));
  sound->granted = p->wish;
  if (p->on)
    sound->listener = vm_audio_listen (sound->dev, &p->format, &ops, sound);
  post_free (p);
}

/* --- VNC thread: from the client to the engine ----------------------------------------------------------------------
 */

void
vnc_sound_join (VncClient *c)
{
  VmMachine *machine = c->server->vnc->machine;
  struct VncSound *sound;

  if (!c->server->options.audiodev)
    return;
  sound = g_new0 (struct VncSound, 1);
  *sound = (struct VncSound){ .refs = 1,
                              .loop = c->wire.loop,
                              .engine = machine->env.loop,
                              .dev = c->server->options.audiodev,
                              .client = c,
                              .format = { .rate = 44100, .channels = 2, .sample = VM_AUDIO_S16 } };
  c->sound = sound;
}

static void
wish (struct VncSound *sound, bool on)
{
  sound->on = on;
  sound->wishes++;
  post (sound->engine, grant, (Post){ sound, .wish = sound->wishes, .on = on, .format = sound->format });
}

void
vnc_sound_leave (VncClient *c)
{
  struct VncSound *sound = g_steal_pointer (&c->sound);

  if (!sound)
    return;
  sound->client = NULL;
  if (sound->on)
    wish (sound, false);
  sound_unref (sound);
}

static bool
set_format (struct VncSound *sound, const uint8_t *m)
{
  VmAudioFormat format = { .rate = vm_load_be32 (m + 2), .channels = m[1], .sample = m[0] };

  if (format.sample > VM_AUDIO_S32 || format.channels > 2 || !vm_audio_format_ok (&format))
    return false;
  sound->format = format;
  if (sound->on)
    wish (sound, true);
  return true;
}

bool
vnc_sound_message (VncClient *c)
{
  uint8_t m[6];

  if (!c->sound || !vnc_wire_read (&c->wire, m, 2))
    return false;
  switch (vm_load_be16 (m))
    {
    case ENABLE:
      if (!c->sound->on)
        wish (c->sound, true);
      return true;
    case DISABLE:
      if (c->sound->on)
        wish (c->sound, false);
      return true;
    case SET_FORMAT:
      return vnc_wire_read (&c->wire, m, sizeof m) && set_format (c->sound, m);
    default:
      return false;
    }
}
