/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Streams of the sound device (OASIS Virtual I/O Device 1.2, 5.14.6.6 and 5.14.6.8): a buffer of the driver comes back
 * when all of it was played or filled. */
#include "devices/virtio/virtio-sound.h"

#define CHUNK 4096u
#define STATUS_SIZE 8u /* behind the data: status, latency */

/* By the driver's number: what it is here, or nothing. */
static const struct
{
  uint8_t number, sample;
} formats[] = {
  { 3, VM_AUDIO_S8 },   { 4, VM_AUDIO_U8 },   { 5, VM_AUDIO_S16 },  { 6, VM_AUDIO_U16 },
  { 17, VM_AUDIO_S32 }, { 18, VM_AUDIO_U32 }, { 19, VM_AUDIO_F32 },
};
static const uint32_t rates[]
    = { 5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000, 384000 };

static bool
stream_format (const SndStream *s, VmAudioFormat *format)
{
  *format = (VmAudioFormat){ .channels = s->channels, .sample = VM_AUDIO_SAMPLE_N };
  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].number == s->format)
      format->sample = formats[i].sample;
  if (s->rate < G_N_ELEMENTS (rates))
    format->rate = rates[s->rate];
  return s->channels >= 1 && s->channels <= 2 && format->rate && format->sample != VM_AUDIO_SAMPLE_N;
}

void
snd_stream_info (const SndStream *s, uint8_t info[32])
{
  uint64_t known = 0;

  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
    known |= VM_BIT (formats[i].number);
  memset (info, 0, 32);
  vm_store_le64 (info + 8, known);
  vm_store_le64 (info + 16, VM_MASK (G_N_ELEMENTS (rates) - 1, 0));
  info[24] = s->input ? SND_INPUT : SND_OUTPUT;
  info[25] = 1;
  info[26] = 2;
}

/* --- elements --------------------------------------------------------------------------------- */

static void
element_finish (SndElement *element, VirtioSound *sound, bool rx, uint32_t status, int64_t latency, uint32_t written)
{
  GQueue *taken = &sound->taken[rx];
  const struct iovec *in = vm_virtq_in (&element->e);
  uint8_t raw[STATUS_SIZE];

  vm_store_le32 (raw, status);
  vm_store_le32 (raw + 4, (uint32_t) CLAMP (latency, 0, UINT32_MAX));
  vm_iov_put (in, element->e.n_in, rx ? element->size : 0, raw, sizeof raw);
  if (g_queue_peek_head (taken) != element)
    sound->gaps[rx] = true;
  g_queue_remove (taken, element);
  if (g_queue_is_empty (taken))
    sound->gaps[rx] = false;
  vm_virtqueue_push (element, written + STATUS_SIZE);
}

static void
stream_finish_first (SndStream *s, uint32_t status)
{
  SndElement *element = g_queue_pop_head (&s->elements);
  VmAudioFormat format;
  int64_t latency = 0;

  if (stream_format (s, &format) && s->voice)
    latency = vm_audio_latency_ns (s->voice) * format.rate / VM_NS_PER_SEC * vm_audio_frame_bytes (&format);
  element_finish (element, s->sound, s->input, status, latency, s->input ? s->done : 0);
  s->done = 0;
}

/* A buffer says which stream it is for. */
static void
take_element (VirtioSound *sound, SndElement *element, bool rx)
{
  size_t out = vm_iov_size (vm_virtq_out (&element->e), element->e.n_out);
  size_t in = vm_iov_size (vm_virtq_in (&element->e), element->e.n_in);
  uint8_t raw[4];
  uint32_t index = UINT32_MAX;

  g_queue_push_tail (&sound->taken[rx], element);
  if (vm_iov_get (vm_virtq_out (&element->e), element->e.n_out, 0, raw, sizeof raw) == sizeof raw)
    index = vm_load_le32 (raw);
  element->size
      = (uint32_t) (in < STATUS_SIZE ? 0 : MIN (rx ? in - STATUS_SIZE : out - MIN (out, sizeof raw), UINT32_MAX / 2));
  SndStream *s = index < sound->n_streams ? &sound->stream[index] : NULL;
  if (!s || s->input != rx || s->state < SND_PREPARED || in < STATUS_SIZE || element->size == 0)
    element_finish (element, sound, rx, s && s->input == rx && s->state < SND_PREPARED ? SND_IO_ERR : SND_BAD_MSG, 0,
                    0);
  else
    g_queue_push_tail (&s->elements, element);
}

void
snd_handle_transfer (VmVirtio *v, VmVirtqueue *q)
{
  VirtioSound *sound = (VirtioSound *) v;
  SndElement *element;

  vm_virtqueue_set_notification (q, false);
  while ((element = vm_virtqueue_next (q, sizeof *element)))
    take_element (sound, element, q == sound->queue[SND_RX]);
}

/* After a save they are all there still. */
static void
take_again (VirtioSound *sound)
{
  SndElement *element;

  if (!sound->untaken)
    return;
  sound->untaken = false;
  for (unsigned rx = 0; rx < 2; rx++)
    while ((element = vm_virtqueue_pop (sound->queue[SND_TX + rx], sizeof *element)))
      take_element (sound, element, rx);
}

/* What is to be played or filled. A saved position may be behind the end of what the driver has put there since. */
static SndElement *
first_element (SndStream *s)
{
  SndElement *element;

  while ((element = g_queue_peek_head (&s->elements)) && s->done >= element->size)
    stream_finish_first (s, SND_OK);
  return element;
}

/* --- the voice -------------------------------------------------------------------------------- */

static void
on_play (void *opaque, size_t bytes)
{
  SndStream *s = opaque;
  SndElement *element;
  uint8_t buf[CHUNK];
  VmAudioFormat format;
  uint32_t n = 0, frame;

  take_again (s->sound);
  if (!stream_format (s, &format))
    return;
  frame = vm_audio_frame_bytes (&format);
  while (bytes > 0 && (element = first_element (s)))
    {
      uint32_t wanted = (uint32_t) MIN (MIN (bytes, sizeof buf - n), element->size - s->done);
      size_t got = vm_iov_get (vm_virtq_out (&element->e), element->e.n_out, 4 + s->done, buf + n, wanted);

      s->done += wanted;
      n += (uint32_t) got;
      bytes -= wanted;
      if (s->done >= element->size)
        stream_finish_first (s, SND_OK);
      if (n == sizeof buf || bytes == 0 || g_queue_is_empty (&s->elements))
        {
          vm_audio_write (s->voice, buf, n - n % frame);
          n = 0;
        }
    }
}

static void
on_record (void *opaque, size_t bytes)
{
  SndStream *s = opaque;
  SndElement *element;
  uint8_t buf[CHUNK];
  size_t n;

  take_again (s->sound);
  while ((n = vm_audio_read (s->voice, buf, sizeof buf)) > 0)
    for (size_t at = 0; at < n && (element = first_element (s));)
      {
        uint32_t part = (uint32_t) MIN (n - at, element->size - s->done);

        vm_iov_put (vm_virtq_in (&element->e), element->e.n_in, s->done, buf + at, part);
        s->done += part;
        at += part;
        if (s->done >= element->size)
          stream_finish_first (s, SND_OK);
      }
}

/* --- control ---------------------------------------------------------------------------------- */

static void
stream_flush (SndStream *s)
{
  while (!g_queue_is_empty (&s->elements))
    stream_finish_first (s, SND_OK);
  s->done = 0;
}

static void
stream_update_voice (SndStream *s)
{
  VmAudioFormat format;

  stream_format (s, &format);
  vm_audio_set_format (s->voice, &format);
  vm_audio_set_active (s->voice, s->state == SND_RUNNING);
}

uint32_t
snd_stream_set_params (SndStream *s, const uint8_t message[24])
{
  SndStream wanted = { .channels = message[20], .format = message[21], .rate = message[22] };
  uint32_t buffer = vm_load_le32 (message + 8), period = vm_load_le32 (message + 12);
  VmAudioFormat format;

  if (s->state == SND_RUNNING || s->state == SND_STOPPED)
    return SND_BAD_MSG;
  if (vm_load_le32 (message + 16) || !stream_format (&wanted, &format)) /* no features were offered */
    return SND_NOT_SUPP;
  if (period == 0 || buffer == 0 || buffer % period || period % vm_audio_frame_bytes (&format))
    return SND_BAD_MSG;
  stream_flush (s);
  s->channels = wanted.channels;
  s->format = wanted.format;
  s->rate = wanted.rate;
  s->buffer_bytes = buffer;
  s->period_bytes = period;
  s->state = SND_SET;
  stream_update_voice (s);
  return SND_OK;
}

uint32_t
snd_stream_command (SndStream *s, uint32_t code)
{
  static const struct
  {
    uint8_t from, to; /* FROM: a bit for each state */
  } moves[] = {
    [SND_PCM_PREPARE - SND_PCM_PREPARE] = { 1 << SND_SET | 1 << SND_PREPARED | 1 << SND_STOPPED, SND_PREPARED },
    [SND_PCM_RELEASE - SND_PCM_PREPARE] = { 1 << SND_PREPARED | 1 << SND_STOPPED, SND_SET },
    [SND_PCM_START - SND_PCM_PREPARE] = { 1 << SND_PREPARED | 1 << SND_STOPPED, SND_RUNNING },
    [SND_PCM_STOP - SND_PCM_PREPARE] = { 1 << SND_RUNNING, SND_STOPPED },
  };
  unsigned n = code - SND_PCM_PREPARE;

  if (n >= G_N_ELEMENTS (moves) || !(moves[n].from >> s->state & 1))
    return SND_BAD_MSG;
  s->state = moves[n].to;
  stream_update_voice (s);
  if (code == SND_PCM_RELEASE)
    stream_flush (s);
  return SND_OK;
}

/* --- life ------------------------------------------------------------------------------------- */

void
snd_stream_open (SndStream *s, VirtioSound *sound, unsigned index)
{
  static const VmAudioFormat format = { 48000, 2, VM_AUDIO_S16, false };
  g_autofree char *name = g_strdup_printf ("pcm%u", index);

  s->sound = sound;
  s->index = index;
  s->input = index >= (sound->n_streams + 1) / 2;
  g_queue_init (&s->elements);
  s->voice = s->input ? vm_audio_open_in (&sound->card, name, &format, on_record, s)
                      : vm_audio_open_out (&sound->card, name, &format, on_play, s);
}

void
snd_stream_close (SndStream *s)
{
  vm_audio_close (g_steal_pointer (&s->voice));
}

void
snd_streams_reset (VirtioSound *sound)
{
  SndElement *element;

  for (unsigned i = 0; i < sound->n_streams; i++)
    {
      SndStream *s = &sound->stream[i];

      g_queue_clear (&s->elements);
      s->state = SND_NEW;
      s->channels = s->format = s->rate = 0;
      s->buffer_bytes = s->period_bytes = s->done = 0;
      vm_audio_set_active (s->voice, false);
    }
  for (unsigned rx = 0; rx < 2; rx++)
    {
      while ((element = g_queue_pop_tail (&sound->taken[rx])))
        vm_virtqueue_drop (element);
      sound->gaps[rx] = false;
    }
  sound->untaken = false;
}

void
snd_streams_settle (VirtioSound *sound)
{
  for (unsigned i = 0; i < sound->n_streams; i++)
    if (sound->gaps[sound->stream[i].input])
      stream_flush (&sound->stream[i]);
    else
      g_queue_clear (&sound->stream[i].elements);
  for (unsigned rx = 0; rx < 2; rx++)
    while (!g_queue_is_empty (&sound->taken[rx]))
      vm_virtqueue_unpop (g_queue_pop_tail (&sound->taken[rx]));
  sound->untaken = true;
}

bool
snd_stream_loaded (SndStream *s, GError **error)
{
  VmAudioFormat format;

  if (s->state > SND_STOPPED || (s->state != SND_NEW && !stream_format (s, &format)))
    return vm_fail (error, "stream %u has an impossible state", s->index);
  stream_update_voice (s);
  return true;
}

const VmField virtio_sound_stream_state[] = { VM_FIELD (SndStream, state),        VM_FIELD (SndStream, channels),
                                              VM_FIELD (SndStream, format),       VM_FIELD (SndStream, rate),
                                              VM_FIELD (SndStream, buffer_bytes), VM_FIELD (SndStream, period_bytes),
                                              VM_FIELD (SndStream, done),         { 0 } };
