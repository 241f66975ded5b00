/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Converters of the High Definition Audio codecs: stream formats (High Definition Audio Specification 1.0a, 3.7.1), and
 * the way between the link and the host.
 *
 * The voice sets the pace; it comes in bursts. A driver that looks at its position in between expects it to move, so a
 * timer does part of the work in small steps, ahead of the voice when playing and after it when recording. */
#include "devices/audio/hda-audio.h"

#include "engine/base/log.h"

#include <math.h>

#define TICK_NS (2 * VM_NS_PER_MS)
#define CHUNK_FRAMES 128u
#define CHUNK_BYTES (CHUNK_FRAMES * 16 * 4)

/* --- formats -------------------------------------------------------------------------------------------------------
 */

static unsigned
stream_channels (const HdaConverter *c)
{
  return (c->format & 15) + 1u;
}

static uint32_t
format_rate (uint16_t format)
{
  uint32_t base = format >> 14 & 1 ? 44100 : 48000, times = (format >> 11 & 7) + 1u, by = (format >> 8 & 7) + 1u;

  return times > 4 ? 0 : base * times / by;
}

/* Samples of 20 and 24 bits are the upper ones of 32. */
static VmAudioFormat
voice_format (const HdaConverter *c)
{
  static const uint8_t samples[8] = { VM_AUDIO_U8,  VM_AUDIO_S16,      VM_AUDIO_S32,      VM_AUDIO_S32,
                                      VM_AUDIO_S32, VM_AUDIO_SAMPLE_N, VM_AUDIO_SAMPLE_N, VM_AUDIO_SAMPLE_N };
  VmAudioFormat format = {
    .rate = c->format >> 15 ? 0 : format_rate (c->format), /* bit 15: not PCM */
    .channels = (uint8_t) MIN (2, stream_channels (c)),
    .sample = samples[c->format >> 4 & 7],
  };

  return format;
}

static unsigned
sample_bytes (const HdaConverter *c)
{
  unsigned bits = c->format >> 4 & 7;

  return bits == 0 ? 1 : bits == 1 ? 2 : 4;
}

static unsigned
stream_frame (const HdaConverter *c)
{
  return sample_bytes (c) * stream_channels (c);
}

static unsigned
voice_frame (const HdaConverter *c)
{
  return sample_bytes (c) * MIN (2, stream_channels (c));
}

/* Where the voice's channels are in a frame of the stream. */
static unsigned
channel_offset (const HdaConverter *c)
{
  unsigned room = stream_frame (c) - voice_frame (c);

  return MIN (c->channel * sample_bytes (c), room);
}

/* --- FIFO ----------------------------------------------------------------------------------------------------------
 */

static uint32_t
fifo_take (HdaConverter *c, uint8_t *buf, uint32_t len)
{
  uint32_t n = MIN (len, c->filled), first = MIN (n, HDA_FIFO - c->read);

  memcpy (buf, c->fifo + c->read, first);
  memcpy (buf + first, c->fifo, n - first);
  c->read = (c->read + n) % HDA_FIFO;
  c->filled -= n;
  return n;
}

static void
fifo_put (HdaConverter *c, const uint8_t *buf, uint32_t len)
{
  uint32_t at = (c->read + c->filled) % HDA_FIFO, first = MIN (len, HDA_FIFO - at);

  memcpy (c->fifo + at, buf, first);
  memcpy (c->fifo, buf + first, len - first);
  c->filled += len;
}

static uint32_t
link_transfer (HdaConverter *c, void *buf, uint32_t len)
{
  VmHdaBus *bus = vm_hda_bus (&c->codec->parent);

  return bus->ops->transfer (bus, c->tag, c->output, buf, len);
}

/* --- the voice ------------------------------------------------------------------------------------------------------
 */

static void
end_when_empty (HdaConverter *c)
{
  if (!c->running && c->filled < stream_frame (c))
    {
      c->read = c->filled = 0;
      vm_audio_set_active (c->voice, false);
    }
}

/* The FIFO first, the rest straight from memory: there is never a gap because the timer is late. A voice ends when it
 * is asked again: what it was given last is still to be heard. */
static void
on_play (void *opaque, size_t bytes)
{
  HdaConverter *c = opaque;
  unsigned whole = stream_frame (c), part = voice_frame (c), at = channel_offset (c);
  size_t frames = bytes / part;
  uint8_t buf[CHUNK_BYTES];

  c->burst = (uint32_t) MIN (frames * whole, HDA_FIFO / 2);
  end_when_empty (c);
  while (frames > 0)
    {
      uint32_t wanted = (uint32_t) MIN (frames, CHUNK_FRAMES) * whole, n = fifo_take (c, buf, wanted);

      if (n < wanted)
        n += link_transfer (c, buf + n, wanted - n);
      n /= whole;
      if (n == 0)
        {
          hda_converter_update_running (c); /* a bad list of buffers has ended it */
          break;
        }
      if (whole != part)
        for (uint32_t i = 0; i < n; i++)
          memmove (buf + i * part, buf + i * whole + at, part);
      vm_audio_write (c->voice, buf, n * part);
      frames -= n;
    }
}

/* The oldest FRAMES of those that are there go to the guest. */
static void
hand_on (HdaConverter *c, uint64_t frames)
{
  unsigned whole = stream_frame (c);
  uint8_t buf[CHUNK_BYTES];

  for (frames = MIN (frames, c->filled / whole); frames > 0;)
    {
      uint32_t step = (uint32_t) MIN (frames, CHUNK_FRAMES);

      if (link_transfer (c, buf, fifo_take (c, buf, step * whole)) < step * whole)
        break;
      frames -= step;
    }
}

static void
give_frames (HdaConverter *c, uint8_t *buf, uint32_t len)
{
  uint8_t old[CHUNK_BYTES];
  uint32_t room = HDA_FIFO - c->filled;

  if (!c->codec->use_timer)
    {
      link_transfer (c, buf, len);
      return;
    }
  if (room < len)
    link_transfer (c, old, fifo_take (c, old, len - room));
  fifo_put (c, buf, len);
}

/* What the timer has not handed on by now goes first: the voice may be faster, and the guest is not to hear it later
 * and later. */
static void
on_record (void *opaque, size_t bytes)
{
  HdaConverter *c = opaque;
  unsigned whole = stream_frame (c), part = voice_frame (c), at = channel_offset (c);
  uint8_t buf[CHUNK_BYTES], spread[CHUNK_BYTES];
  size_t frames = bytes / part;

  hand_on (c, c->filled / whole);
  while (frames > 0)
    {
      size_t n = vm_audio_read (c->voice, buf, MIN (frames, CHUNK_FRAMES) * part) / part;

      if (n == 0)
        break;
      frames -= n;
      memset (spread, 0, n * whole);
      for (size_t i = 0; i < n; i++)
        memcpy (spread + i * whole + at, buf + i * part, part);
      give_frames (c, spread, (uint32_t) n * whole);
    }
}

/* --- the timer ------------------------------------------------------------------------------------------------------
 */

static int64_t
converter_now (const HdaConverter *c)
{
  return vm_clock_now (c->codec->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

/* Not further ahead of the voice than what it takes next. */
static void
play_ahead (HdaConverter *c, uint64_t frames)
{
  unsigned whole = stream_frame (c);
  uint32_t room = c->burst > c->filled ? c->burst - c->filled : 0;
  uint8_t buf[CHUNK_BYTES];

  for (frames = MIN (frames, room / whole); frames > 0;)
    {
      uint32_t step = (uint32_t) MIN (frames, CHUNK_FRAMES), n = link_transfer (c, buf, step * whole) / whole;

      fifo_put (c, buf, n * whole);
      if (n < step)
        break;
      frames -= n;
    }
}

static void
on_tick (void *opaque)
{
  HdaConverter *c = opaque;
  int64_t now = converter_now (c);
  uint64_t due = vm_muldiv64 ((uint64_t) MAX (0, now - c->start), format_rate (c->format), VM_NS_PER_SEC);
  uint64_t frames = due > c->frames ? due - c->frames : 0;

  c->frames = due;
  if (c->output)
    play_ahead (c, frames);
  else
    hand_on (c, frames);
  if (c->running)
    vm_timer_set (&c->timer, now + TICK_NS);
}

/* --- changes --------------------------------------------------------------------------------------------------------
 */

void
hda_converter_update_volume (HdaConverter *c)
{
  float gain[2];

  for (int i = 0; i < 2; i++)
    gain[i] = c->amp[i] & HDA_AMP_MUTE
                  ? 0
                  : (float) pow (10, ((int) MIN (c->amp[i] & 0x7fu, HDA_AMP_STEPS) - (int) HDA_AMP_STEPS) / 20.0);
  vm_audio_set_volume (c->voice, (c->amp[0] & c->amp[1] & HDA_AMP_MUTE) != 0, 2, gain);
}

static void
begin_count (HdaConverter *c)
{
  c->start = converter_now (c);
  c->frames = 0;
  c->burst = MIN (HDA_FIFO / 2, format_rate (c->format) / 100 * stream_frame (c));
}

void
hda_converter_set_format (HdaConverter *c, uint16_t format)
{
  if (c->format == format)
    return;
  c->format = format;
  c->read = c->filled = 0;
  begin_count (c);
  VmAudioFormat wanted = voice_format (c);
  vm_audio_set_format (c->voice, &wanted);
}

void
hda_converter_update_running (HdaConverter *c)
{
  VmHdaBus *bus = vm_hda_bus (&c->codec->parent);
  bool running = c->tag != 0 && bus->ops->running (bus, c->tag, c->output);

  if (running == c->running)
    return;
  c->running = running;
  if (c->codec->debug)
    vm_log_print ("%s: %s %s: stream %u, %u Hz, %u channels, %u bytes a frame\n",
                  c->codec->parent.parent.parent.type->name, c->output ? "playing" : "recording",
                  running ? "begins" : "ends", c->tag, format_rate (c->format), stream_channels (c), stream_frame (c));
  if (running)
    {
      begin_count (c);
      vm_audio_set_active (c->voice, true);
      if (c->codec->use_timer)
        vm_timer_set (&c->timer, c->start + TICK_NS);
      return;
    }
  vm_timer_cancel (&c->timer);
  if (!c->output)
    {
      c->read = c->filled = 0;
      vm_audio_set_active (c->voice, false);
    }
  else
    end_when_empty (c);
}

/* --- life -----------------------------------------------------------------------------------------------------------
 */

void
hda_converter_init (HdaConverter *c, HdaAudio *codec, bool output)
{
  VmClocks *clocks = codec->parent.parent.env->clocks;

  c->codec = codec;
  c->output = output;
  vm_timer_init (&c->timer, clocks, VM_CLOCK_VIRTUAL, on_tick, c);
  VmAudioFormat format = voice_format (c);
  c->voice = output ? vm_audio_open_out (&codec->card, "dac", &format, on_play, c)
                    : vm_audio_open_in (&codec->card, "adc", &format, on_record, c);
  vm_audio_set_even (c->voice, codec->use_timer);
}

void
hda_converter_close (HdaConverter *c)
{
  vm_timer_cancel (&c->timer);
  vm_audio_close (c->voice);
  c->voice = NULL;
}

void
hda_converter_reset (HdaConverter *c)
{
  c->tag = c->channel = 0;
  c->amp[0] = c->amp[1] = HDA_AMP_STEPS;
  c->running = false;
  c->read = c->filled = 0;
  vm_timer_cancel (&c->timer);
  vm_audio_set_active (c->voice, false);
  hda_converter_set_format (c, 0);
  hda_converter_update_volume (c);
}

bool
hda_converter_loaded (HdaConverter *c, GError **error)
{
  if (c->read >= HDA_FIFO || c->filled > HDA_FIFO || c->tag > 15 || c->channel > 15)
    return vm_fail (error, "a converter's state is out of bounds");
  VmAudioFormat format = voice_format (c);
  vm_audio_set_format (c->voice, &format);
  hda_converter_update_volume (c);
  vm_audio_set_active (c->voice, c->running || (c->output && c->filled));
  c->burst = MIN (HDA_FIFO / 2, format_rate (c->format) / 100 * stream_frame (c));
  return true;
}

const VmField hda_converter_state[] = { VM_FIELD (HdaConverter, format),         VM_FIELD (HdaConverter, tag),
                                        VM_FIELD (HdaConverter, channel),        VM_FIELD_ARRAY (HdaConverter, amp),
                                        VM_FIELD (HdaConverter, running),        VM_FIELD (HdaConverter, read),
                                        VM_FIELD (HdaConverter, filled),         VM_FIELD (HdaConverter, start),
                                        VM_FIELD (HdaConverter, frames),         VM_FIELD_ARRAY (HdaConverter, fifo),
                                        VM_FIELD_TIMER_OF (HdaConverter, timer), { 0 } };
