/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host streams and the tick: once in a period what has gone by since the last one is taken from all voices, mixed and
 * handed to the host, and the other way round.
 *
 * How the two clocks are kept together: the ring between engine and host should hold LEVEL frames. Its average distance
 * from that says how much the host's clock is ahead, and the pace follows, by a ten-thousandth for each millisecond. */
#include "audio/audio-private.h"

#include "engine/base/log.h"

#include <math.h>

#define PULL_GAIN 0.1 /* a second: part of the distance that is made up for */
#define PULL_MAX 0.005
#define SETTLE_GAIN 0.5 /* the same in the first time with a host */
#define SETTLE_NS (10 * VM_NS_PER_SEC)
#define AVERAGE_NS (1.0 * VM_NS_PER_SEC)
#define TICK_MAX_NS (200 * VM_NS_PER_MS) /* what is later than that is lost */
#define ABSENT_NS (250 * VM_NS_PER_MS)   /* a host that moves nothing for so long is not there */
#define RESERVE_NS (4 * VM_NS_PER_MS)    /* more after each underrun */
#define RESERVE_MAX (60 * VM_NS_PER_MS)
#define RESERVE_DECAY 10000           /* a tenth of a millisecond each second */
#define LINGER_NS (2 * VM_NS_PER_SEC) /* a stream without voices stays a while: sounds often come in a row */

static VmAudioSide *
side_of (const VmStream *stream)
{
  return &stream->host.dev->side[stream->host.recording];
}

/* --- the class's part ---------------------------------------------------------------------------------- */

static void
new_ring (VmStream *stream)
{
  vm_audio_ring_free (stream->host.ring);
  stream->host.ring = vm_audio_ring_new (&stream->host.format);
  stream->serial++;
  stream->average = stream->pull = stream->due = stream->host_delay = 0;
  stream->last_taken = stream->last_missing = 0;
  stream->last_moved_ns = stream->there_ns = 0;
  stream->primed = false;
  for (guint i = 0; i < stream->voices->len; i++)
    vm_voice_connect (g_ptr_array_index (stream->voices, i));
  vm_audio_listeners_forget (stream->host.dev, stream);
}

/* A back end that sets the volume itself can do so for one voice. */
static bool
host_sets_volume (const VmStream *stream)
{
  return stream->started && stream->host.dev->klass->volume && stream->voices->len == 1;
}

void
vm_stream_tell_volume (VmStream *stream)
{
  static const float full[VM_AUDIO_CHANNELS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
  const VmAudioClass *klass = stream->host.dev->klass;

  if (host_sets_volume (stream))
    {
      const VmAudioVoice *voice = g_ptr_array_index (stream->voices, 0);
      klass->volume (&stream->host, voice->mute, VM_AUDIO_CHANNELS, voice->gain);
    }
  else if (stream->started && klass->volume)
    klass->volume (&stream->host, false, VM_AUDIO_CHANNELS, full);
}

void
vm_stream_start (VmStream *stream)
{
  VmAudiodev *dev = stream->host.dev;
  const VmAudioClass *klass = dev->klass;
  VmAudioFormat format = stream->host.format;

  if (stream->started || !klass || !klass->start || (stream->host.recording && klass->no_recording))
    return;
  stream->host.state = g_malloc0 (MAX (klass->stream_size, 1));
  stream->host.buffer_ns = MAX (side_of (stream)->latency_ns / 2, 5 * VM_NS_PER_MS);
  if (klass->settle)
    klass->settle (&stream->host, &format);
  stream->started = true;
  stream->host.format = format;
  new_ring (stream); /* what was left of the last time is old */
  klass->start (&stream->host);
  vm_stream_tell_volume (stream);
}

void
vm_stream_stop (VmStream *stream)
{
  if (!stream->started)
    return;
  stream->host.dev->klass->stop (&stream->host);
  stream->started = false;
  stream->pull = 0;
  g_clear_pointer (&stream->host.state, g_free);
}

void
vm_stream_free (VmStream *stream)
{
  vm_stream_stop (stream);
  vm_audio_listeners_forget (stream->host.dev, stream);
  vm_audio_ring_free (stream->host.ring);
  g_ptr_array_unref (stream->voices);
  g_free (stream->host.name);
  g_free (stream->mix);
  g_free (stream->bytes);
  g_free (stream);
}

void
vm_audio_stream_reformat (VmAudioStream *host, const VmAudioFormat *format)
{
  VmStream *stream = VM_CONTAINER_OF (host, VmStream, host);

  if (vm_audio_format_equal (&host->format, format) || !vm_audio_format_ok (format))
    return;
  host->format = *format;
  new_ring (stream);
}

/* --- voices find streams ------------------------------------------------------------------------------- */

static VmStream *
add_stream (VmAudioVoice *voice, unsigned index)
{
  VmAudioSide *side = &voice->dev->side[voice->recording];
  VmStream *stream = g_new0 (VmStream, 1);

  stream->host.dev = voice->dev;
  stream->host.recording = voice->recording;
  stream->host.index = index;
  stream->host.name = g_strdup (voice->name);
  stream->host.format = side->fixed ? side->format : voice->format;
  stream->host.format.big_endian = G_BYTE_ORDER == G_BIG_ENDIAN;
  stream->voices = g_ptr_array_new ();
  new_ring (stream);
  g_ptr_array_add (side->streams, stream);
  return stream;
}

/* With mixing off a stream has one voice and its format. Else a stream of the same format does, then a new one while
 * there may be more, then the one with the least to do. */
static VmStream *
choose_stream (VmAudioVoice *voice)
{
  VmAudioSide *side = &voice->dev->side[voice->recording];
  VmStream *idle = NULL, *least = NULL;

  for (guint i = 0; i < side->streams->len; i++)
    {
      VmStream *stream = g_ptr_array_index (side->streams, i);
      VmAudioFormat own = stream->host.format;
      own.big_endian = voice->format.big_endian;
      if (!stream->voices->len && (!idle || side->fixed || vm_audio_format_equal (&own, &voice->format)))
        idle = stream;
      if (!least || stream->voices->len < least->voices->len)
        least = stream;
    }
  if (idle && !side->fixed)
    { /* it takes the voice's format */
      VmAudioFormat format = voice->format;
      format.big_endian = G_BYTE_ORDER == G_BIG_ENDIAN;
      if (!vm_audio_format_equal (&idle->host.format, &format))
        {
          vm_stream_stop (idle);
          vm_audio_stream_reformat (&idle->host, &format);
        }
    }
  if (idle)
    return idle;
  for (guint i = 0; i < side->streams->len && side->mixing && !side->fixed; i++)
    {
      VmStream *stream = g_ptr_array_index (side->streams, i);
      if (stream->host.format.rate == voice->format.rate && stream->host.format.channels == voice->format.channels)
        return stream;
    }
  if (side->streams->len < side->voices)
    return add_stream (voice, side->streams->len);
  return side->mixing ? least : NULL;
}

void
vm_stream_join (VmAudioVoice *voice)
{
  VmStream *stream = voice->stream ? voice->stream : choose_stream (voice);

  if (!stream)
    {
      if (!voice->told)
        vm_report_warning ("audiodev '%s': no host stream is left for '%s', which will not be heard; see the option "
                           "\"voices\"",
                           voice->dev->parent.id, voice->name);
      voice->told = true;
      return;
    }
  if (!voice->stream)
    {
      voice->stream = stream;
      g_ptr_array_add (stream->voices, voice);
      stream->idle_ns = 0;
      vm_voice_connect (voice);
    }
  vm_stream_start (stream);
  vm_stream_tell_volume (stream);
  vm_audiodev_arm (voice->dev);
}

void
vm_stream_leave (VmAudioVoice *voice)
{
  if (!voice->stream)
    return;
  g_ptr_array_remove (voice->stream->voices, voice);
  if (voice->stream->voices->len)
    vm_stream_tell_volume (voice->stream);
  voice->stream = NULL;
  if (!voice->recording)
    voice->raw_start = voice->raw_filled = 0;
  vm_audio_pipe_clear (&voice->pipe);
}

/* Whether there is a clock of the host's to follow. */
static bool
has_clock (const VmStream *stream)
{
  return stream->started && !stream->host.dev->klass->no_clock;
}

/* --- keeping level ------------------------------------------------------------------------------------- */

/* Whether a card has what the tick brought for as long as until the next one. */
static bool
hands_on_evenly (const VmStream *stream)
{
  for (guint i = 0; i < stream->voices->len; i++)
    if (((const VmAudioVoice *) g_ptr_array_index (stream->voices, i))->even)
      return true;
  return false;
}

/* Frames that should be in the ring after a tick's sound came, or before it is taken: what is left of the latency that
 * was asked for, but enough for what the host moves at once and until the next tick, be it late. */
static size_t
level_of (const VmStream *stream)
{
  const VmAudioRing *ring = stream->host.ring;
  int64_t tick = stream->host.dev->period_ns, latency = side_of (stream)->latency_ns;
  int64_t host = stream->host_delay != 0 ? (int64_t) stream->host_delay : stream->host.buffer_ns;
  int64_t chunk = vm_muldiv64 (__atomic_load_n (&ring->chunk, __ATOMIC_RELAXED), VM_NS_PER_SEC, ring->format.rate);
  int64_t least = tick + tick / 2 + VM_NS_PER_MS + chunk + stream->reserve_ns;
  /* The average is of the moment when the host has half of a chunk. */
  int64_t ns = latency - host + (stream->host.recording ? -chunk / 2 : chunk / 2);

  if (stream->host.recording && !hands_on_evenly (stream))
    ns += tick; /* which goes to the card at once */

  return MIN (vm_muldiv64 (MAX (ns, least), ring->format.rate, VM_NS_PER_SEC), ring->size / 2);
}

static bool
host_is_there (VmStream *stream, uint64_t moved)
{
  int64_t now = stream->host.dev->audio->now_ns ();

  if (moved != stream->last_taken)
    {
      stream->last_taken = moved;
      stream->last_moved_ns = now;
    }
  return stream->last_moved_ns && now - stream->last_moved_ns < ABSENT_NS;
}

/* The engine was late: it may be so again. */
static void
went_short (VmStream *stream)
{
  if (stream->host.dev->stood)
    return;
  stream->underruns++;
  stream->reserve_ns = MIN (stream->reserve_ns + RESERVE_NS, RESERVE_MAX);
}

/* What should be in the ring on the average, of FILLED that is at a like moment of each tick. The host moves frames in
 * chunks, but hears (or says) them one by one: what it has of the last one is reckoned from the time. */
static double
smooth (const VmStream *stream, size_t filled)
{
  const VmAudioRing *ring = stream->host.ring;
  double chunk = (double) __atomic_load_n (&ring->chunk, __ATOMIC_RELAXED);
  int64_t since = stream->host.dev->audio->now_ns () - __atomic_load_n (&ring->moved_ns, __ATOMIC_RELAXED);
  double heard = CLAMP (since * (double) ring->format.rate / VM_NS_PER_SEC, 0, chunk) - chunk / 2;

  return stream->host.recording ? filled + heard : filled - heard;
}

static void
follow (VmStream *stream, size_t filled, size_t level, int64_t elapsed, bool there)
{
  VmAudioRing *ring = stream->host.ring;
  double weight = MIN (1.0, elapsed / AVERAGE_NS),
         delay = (double) __atomic_load_n (&ring->host_delay, __ATOMIC_RELAXED);
  double away;

  if (!there)
    {
      __atomic_store_n (&ring->fresh, stream->host.recording ? 0 : VM_RING_FRESH, __ATOMIC_RELAXED);
      stream->average = level;
      stream->pull = 0;
      stream->host_delay = stream->host.recording ? delay : 0; /* what was said of playing is old */
      stream->there_ns = 0;
      return;
    }
  stream->reserve_ns = MAX (stream->reserve_ns - elapsed / RESERVE_DECAY, 0);
  stream->host_delay += (delay - stream->host_delay) * (stream->host_delay == 0 ? 1 : weight / 2);
  stream->average += (smooth (stream, filled) - stream->average) * weight;
  away = (stream->host.recording ? stream->average - level : level - stream->average) / ring->format.rate;
  stream->pull = CLAMP (away * (stream->there_ns < SETTLE_NS ? SETTLE_GAIN : PULL_GAIN), -PULL_MAX, PULL_MAX);
  stream->there_ns += elapsed;
}

/* --- playing ------------------------------------------------------------------------------------------- */

static size_t
whole (double *due)
{
  size_t n = *due > 0 ? (size_t) *due : 0;

  *due -= n;
  return n;
}

/* A voice that goes at its own pace is followed by changing its rate, so that its queue keeps the same length. */
static double
own_pull (const VmAudioVoice *voice)
{
  size_t tick = vm_muldiv64 (voice->dev->period_ns, voice->format.rate, VM_NS_PER_SEC);
  double away;

  if (voice->func || voice->recording || !voice->active)
    return 0;
  away = (double) (voice->raw_filled / voice->frame) - 2.0 * tick;
  return fabs (away) <= tick ? 0 : CLAMP (away / voice->format.rate * PULL_GAIN, -PULL_MAX, PULL_MAX);
}

/* Whether there is enough in the queue to begin. */
static bool
may_begin (VmAudioVoice *voice)
{
  size_t tick = vm_muldiv64 (voice->dev->period_ns, voice->format.rate, VM_NS_PER_SEC);

  if (voice->func || !voice->active)
    return true;
  if (voice->waiting)
    voice->waiting = voice->raw_filled < 2 * tick * voice->frame;
  else
    voice->waiting = !voice->raw_filled;
  return !voice->waiting;
}

/* Its frames of this tick go into the pipe; or, when STRAIGHT, stay where they are and are counted. */
static size_t
play_voice (VmAudioVoice *voice, int64_t elapsed, size_t frames, bool straight)
{
  const VmStream *stream = voice->stream;
  unsigned serial = voice->serial;
  double pull = own_pull (voice);
  size_t wanted, n;

  if (!may_begin (voice))
    return 0;
  if (voice->own_pace)
    voice->due += (double) elapsed * voice->format.rate * (1 + pull) / VM_NS_PER_SEC;
  else
    voice->due += (double) frames * voice->format.rate / stream->host.format.rate;
  wanted = whole (&voice->due);
  if (straight && voice->own_pace)
    wanted = frames;
  n = vm_voice_collect (voice, wanted);
  if (voice->closed || voice->stream != stream || serial != voice->serial)
    return 0;
  if (straight)
    return n;
  if (voice->own_pace && (has_clock (stream) || pull != 0))
    vm_audio_pipe_adjust (&voice->pipe, (1 + stream->pull) / (1 + pull));
  if (n)
    vm_audio_pipe_feed (&voice->pipe, &voice->format, voice->raw + voice->raw_start, n,
                        voice->plain || host_sets_volume (stream) ? NULL : voice->gain);
  vm_voice_drop (voice, n * voice->frame);
  return n;
}

static void
stop_when_drained (VmAudioVoice *voice)
{
  if (!voice->active && !voice->raw_filled && !voice->pipe.filled)
    vm_stream_leave (voice);
}

static void
reserve_tick (VmStream *stream, size_t frames)
{
  size_t floats = frames * stream->host.format.channels, bytes = frames * vm_audio_frame_bytes (&stream->host.format);

  if (stream->mix_size < floats)
    {
      stream->mix_size = floats;
      stream->mix = g_renew (float, stream->mix, floats);
    }
  if (stream->bytes_size < bytes)
    {
      stream->bytes_size = bytes;
      stream->bytes = g_realloc (stream->bytes, bytes);
    }
}

/* The one voice whose bytes can go to the host as they are; NULL: none. */
static VmAudioVoice *
straight_voice (const VmStream *stream)
{
  VmAudioVoice *voice = stream->voices->len == 1 ? g_ptr_array_index (stream->voices, 0) : NULL;

  if (!voice || !vm_audio_format_equal (&voice->format, &stream->host.format)
      || !(voice->plain || host_sets_volume (stream)) || voice->pipe.resampler || voice->pipe.filled
      || (voice->own_pace && (has_clock (stream) || own_pull (voice) != 0)))
    return NULL;
  return voice;
}

/* Bytes of this tick, in the host's format. NULL: nobody wants them, or a voice's function changed the stream. */
static const void *
mix_out (VmStream *stream, int64_t elapsed, size_t frames)
{
  VmAudiodev *dev = stream->host.dev;
  VmAudioVoice *voice = straight_voice (stream);
  unsigned frame = vm_audio_frame_bytes (&stream->host.format);
  size_t samples = frames * stream->host.format.channels;
  bool heard = stream->started || dev->listeners->len;
  unsigned serial = stream->serial;

  reserve_tick (stream, frames);
  if (voice)
    {
      size_t n = play_voice (voice, elapsed, frames, true);
      if (serial != stream->serial)
        return NULL;
      if (voice->stream != stream || voice->closed)
        n = 0;
      if (n)
        memcpy (stream->bytes, voice->raw + voice->raw_start, n * frame);
      vm_voice_drop (voice, n * frame);
      vm_audio_silence (&stream->host.format, stream->bytes + n * frame, (frames - n) * frame);
      vm_audio_listeners_feed (dev, stream, NULL, stream->bytes, frames);
      stop_when_drained (voice);
      return stream->bytes;
    }
  memset (stream->mix, 0, samples * sizeof *stream->mix);
  for (guint i = 0; i < stream->voices->len; i++)
    {
      voice = g_ptr_array_index (stream->voices, i);
      play_voice (voice, elapsed, frames, false);
      if (serial != stream->serial)
        return NULL;
      if (i >= stream->voices->len || g_ptr_array_index (stream->voices, i) != voice)
        {
          i--; /* it left */
          continue;
        }
      size_t n = MIN (frames, voice->pipe.filled);
      const float *from = vm_audio_pipe_out (&voice->pipe);
      for (size_t s = 0; heard && (!voice->mute || host_sets_volume (stream)) && s < n * stream->host.format.channels;
           s++)
        stream->mix[s] += from[s];
      vm_audio_pipe_taken (&voice->pipe, n);
    }
  for (guint i = stream->voices->len; i-- > 0;)
    stop_when_drained (g_ptr_array_index (stream->voices, i));
  if (!heard)
    return NULL;
  vm_audio_listeners_feed (dev, stream, stream->mix, NULL, frames);
  vm_audio_from_float (&stream->host.format, stream->mix, stream->bytes, samples);
  return stream->bytes;
}

static void
tick_out (VmStream *stream, int64_t elapsed)
{
  const VmAudioClass *klass = stream->host.dev->klass;
  VmAudioRing *ring = stream->host.ring;
  bool clocked = has_clock (stream);
  uint64_t missing = __atomic_load_n (&ring->missing, __ATOMIC_RELAXED);
  size_t level = level_of (stream), filled = vm_audio_ring_filled (ring), frames;
  bool there = clocked && host_is_there (stream, __atomic_load_n (&ring->taken, __ATOMIC_RELAXED));
  bool has_voice = stream->voices->len > 0;
  unsigned serial = stream->serial;
  const void *bytes;

  stream->due += (double) elapsed * stream->host.format.rate * (1 + stream->pull) / VM_NS_PER_SEC;
  frames = whole (&stream->due);
  bytes = mix_out (stream, elapsed, frames);
  if (!stream->started || serial != stream->serial)
    return;
  if (side_of (stream)->mute)
    vm_audio_silence (&stream->host.format, stream->bytes, frames * ring->frame);
  __atomic_store_n (&ring->level, level, __ATOMIC_RELAXED);
  if (clocked && filled + frames < level && (missing != stream->last_missing || !stream->last_moved_ns))
    { /* the host went without, or has just begun: back to the level at once */
      if (there && stream->last_missing)
        went_short (stream);
      vm_audio_ring_write_silence (ring, level - filled - frames);
      stream->average = level;
      filled = level - frames;
    }
  stream->last_missing = missing;
  if (clocked ? there || filled <= level : has_voice) /* what nobody hears is not kept */
    vm_audio_ring_write (ring, bytes, frames);
  if (clocked)
    follow (stream, filled + frames, level, elapsed, there);
  if (klass->pump)
    klass->pump (&stream->host);
}

/* --- recording ----------------------------------------------------------------------------------------- */

static void
record_voice (VmAudioVoice *voice, const VmStream *stream, size_t frames)
{
  size_t n, bytes;
  uint8_t *room;

  if (voice->own_pace && has_clock (stream))
    vm_audio_pipe_adjust (&voice->pipe, 1 / (1 + stream->pull));
  if (frames)
    vm_audio_pipe_feed_floats (&voice->pipe, stream->mix, frames, NULL);
  n = voice->pipe.filled;
  bytes = n * voice->frame;
  if (!voice->func && voice->raw_filled + bytes > vm_voice_queue_limit (voice))
    vm_voice_drop (voice, MIN (voice->raw_filled, voice->raw_filled + bytes - vm_voice_queue_limit (voice)));
  room = vm_voice_room (voice, bytes);
  const float *from = vm_audio_pipe_out (&voice->pipe);
  if (voice->mute)
    vm_audio_silence (&voice->format, room, bytes);
  else if (voice->plain)
    vm_audio_from_float (&voice->format, from, room, n * voice->format.channels);
  else
    {
      g_autofree float *loud = g_new (float, n * voice->format.channels + 1);
      for (size_t s = 0; s < n * voice->format.channels; s++)
        loud[s] = from[s] * voice->gain[s % voice->format.channels];
      vm_audio_from_float (&voice->format, loud, room, n * voice->format.channels);
    }
  vm_audio_pipe_taken (&voice->pipe, n);
  voice->raw_filled += bytes;
  if (!voice->func || !bytes)
    return;
  unsigned serial = voice->serial;
  voice->func (voice->opaque, bytes);
  if (!voice->closed && serial == voice->serial)
    vm_voice_drop (voice, voice->raw_filled);
}

static void
tick_in (VmStream *stream, int64_t elapsed)
{
  const VmAudioClass *klass = stream->host.dev->klass;
  VmAudioRing *ring = stream->host.ring;
  bool clocked = has_clock (stream);
  size_t level = level_of (stream), filled, frames, n = 0;
  unsigned serial = stream->serial;

  __atomic_store_n (&ring->level, level, __ATOMIC_RELAXED);
  if (stream->started && klass->pump)
    klass->pump (&stream->host);
  if (!stream->voices->len)
    return;
  filled = vm_audio_ring_filled (ring);
  if (clocked && filled > 2 * level + 2 * ring->chunk)
    { /* too old: the machine stood still */
      vm_audio_ring_read (ring, NULL, filled - level);
      filled = level;
      stream->average = level;
    }
  if (clocked)
    follow (stream, filled, level, elapsed, stream->primed);
  stream->due += (double) elapsed * stream->host.format.rate * (1 + stream->pull) / VM_NS_PER_SEC;
  frames = whole (&stream->due);
  reserve_tick (stream, frames);
  if (stream->primed && filled < frames && clocked)
    went_short (stream);
  if (stream->primed || !clocked)
    stream->primed = !clocked || filled >= frames;
  else if (filled && smooth (stream, filled) >= level)
    { /* the first chunk may have been too much */
      vm_audio_ring_read (ring, NULL, MIN (filled, (size_t) (smooth (stream, filled) - level)));
      stream->primed = true;
    }
  if (stream->started && (stream->primed || !clocked))
    n = vm_audio_ring_read (ring, stream->bytes, frames);
  if (side_of (stream)->mute)
    vm_audio_silence (&stream->host.format, stream->bytes, n * ring->frame);
  vm_audio_to_float (&stream->host.format, stream->bytes, stream->mix, n * stream->host.format.channels);
  memset (stream->mix + n * stream->host.format.channels, 0,
          (frames - n) * stream->host.format.channels * sizeof *stream->mix);
  for (guint i = 0; i < stream->voices->len; i++)
    {
      VmAudioVoice *voice = g_ptr_array_index (stream->voices, i);
      record_voice (voice, stream, frames);
      if (i >= stream->voices->len || g_ptr_array_index (stream->voices, i) != voice)
        i--;
      if (serial != stream->serial)
        return;
    }
}

/* --- the tick ------------------------------------------------------------------------------------------ */

/* Streams without voices end after a while; returns whether there are any left. */
static bool
tick_side (VmAudiodev *dev, bool recording, int64_t elapsed)
{
  GPtrArray *streams = dev->side[recording].streams;
  bool busy = false;

  for (guint i = 0; i < streams->len; i++)
    {
      VmStream *stream = g_ptr_array_index (streams, i);
      if (!stream->voices->len)
        {
          stream->idle_ns += elapsed;
          if (stream->idle_ns > LINGER_NS)
            {
              vm_stream_stop (stream);
              continue;
            }
        }
      busy = true;
      if (recording)
        tick_in (stream, elapsed);
      else
        tick_out (stream, elapsed);
    }
  return busy;
}

void
vm_audiodev_tick (void *opaque)
{
  VmAudiodev *dev = opaque;
  int64_t now = vm_clock_now (dev->audio->env->clocks, VM_CLOCK_VIRTUAL);
  int64_t elapsed = CLAMP (now - dev->last_ns, 0, TICK_MAX_NS);
  int64_t real = dev->audio->now_ns ();
  bool busy;

  dev->stood = real - dev->last_real_ns > now - dev->last_ns + dev->period_ns;
  dev->last_real_ns = real;
  dev->last_ns = now;
  dev->ticking = true;
  busy = tick_side (dev, true, elapsed);
  busy |= tick_side (dev, false, elapsed);
  vm_audio_listeners_deliver (dev);
  dev->ticking = false;
  for (guint i = dev->voices->len; i-- > 0;)
    {
      VmAudioVoice *voice = g_ptr_array_index (dev->voices, i);
      if (voice->closed)
        vm_voice_free (voice);
    }
  vm_audio_listeners_playing (dev);
  if (busy)
    vm_timer_set (&dev->timer, now + dev->period_ns);
}

void
vm_audiodev_arm (VmAudiodev *dev)
{
  if (vm_timer_pending (&dev->timer) || dev->ticking)
    return;
  dev->last_ns = vm_clock_now (dev->audio->env->clocks, VM_CLOCK_VIRTUAL);
  dev->last_real_ns = dev->audio->now_ns ();
  vm_timer_set (&dev->timer, dev->last_ns + dev->period_ns);
}
