/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames on their way between the engine and a thread of a sound server: one writer, one reader, no locks, and neither
 * ever waits for the other. */
#include "audio/audio-private.h"

#define RING_MS 500
#define BURST_NS (2 * VM_NS_PER_MS) /* what was recorded comes in pieces, so close together */

VmAudioRing *
vm_audio_ring_new (const VmAudioFormat *format)
{
  VmAudioRing *ring = g_new0 (VmAudioRing, 1);

  ring->format = *format;
  ring->frame = vm_audio_frame_bytes (format);
  ring->size = 1024;
  while (ring->size < (size_t) format->rate * RING_MS / 1000)
    ring->size *= 2;
  ring->level = ring->size / 2;
  ring->fresh = VM_RING_FRESH;
  ring->bytes = g_malloc0 (ring->size * ring->frame);
  return ring;
}

void
vm_audio_ring_free (VmAudioRing *ring)
{
  if (!ring)
    return;
  g_free (ring->bytes);
  g_free (ring);
}

size_t
vm_audio_ring_filled (const VmAudioRing *ring)
{
  uint64_t taken = __atomic_load_n (&ring->taken, __ATOMIC_ACQUIRE);

  return __atomic_load_n (&ring->written, __ATOMIC_ACQUIRE) - taken;
}

/* FRAMES from position AT, in at most two pieces; BYTES is NULL for silence. */
static void
copy_in (VmAudioRing *ring, uint64_t at, const uint8_t *bytes, size_t frames)
{
  while (frames)
    {
      size_t offset = at & (ring->size - 1), n = MIN (frames, ring->size - offset);
      if (bytes)
        memcpy (ring->bytes + offset * ring->frame, bytes, n * ring->frame);
      else
        vm_audio_silence (&ring->format, ring->bytes + offset * ring->frame, n * ring->frame);
      bytes = bytes ? bytes + n * ring->frame : NULL;
      at += n;
      frames -= n;
    }
}

static size_t
write_frames (VmAudioRing *ring, const void *bytes, size_t frames)
{
  size_t n = MIN (frames, ring->size - vm_audio_ring_filled (ring));

  copy_in (ring, ring->written, bytes, n);
  __atomic_store_n (&ring->written, ring->written + n, __ATOMIC_RELEASE);
  return n;
}

size_t
vm_audio_ring_write (VmAudioRing *ring, const void *bytes, size_t frames)
{
  return write_frames (ring, bytes, frames);
}

size_t
vm_audio_ring_write_silence (VmAudioRing *ring, size_t frames)
{
  return write_frames (ring, NULL, frames);
}

size_t
vm_audio_ring_read (VmAudioRing *ring, void *bytes, size_t frames)
{
  size_t n = MIN (frames, vm_audio_ring_filled (ring)), rest = n;
  uint64_t at = ring->taken;

  for (uint8_t *out = bytes; out && rest;)
    {
      size_t offset = at & (ring->size - 1), part = MIN (rest, ring->size - offset);
      memcpy (out, ring->bytes + offset * ring->frame, part * ring->frame);
      out += part * ring->frame;
      at += part;
      rest -= part;
    }
  __atomic_store_n (&ring->taken, ring->taken + n, __ATOMIC_RELEASE);
  return n;
}

/* --- what classes call --------------------------------------------------------------------------------- */

/* What the host moves at once, on the average: the engine leaves room for it. */
static void
note_chunk (const VmAudioStream *stream, size_t frames)
{
  VmAudioRing *ring = stream->ring;
  size_t chunk = __atomic_load_n (&ring->chunk, __ATOMIC_RELAXED);
  unsigned fresh = __atomic_load_n (&ring->fresh, __ATOMIC_RELAXED);
  int64_t now = stream->dev->audio->now_ns ();

  if (stream->recording && ring->burst && now - ring->burst_ns < BURST_NS)
    {
      frames += ring->burst;
      chunk = ring->chunk_before;
    }
  else
    ring->burst_ns = now;
  ring->burst = frames;
  ring->chunk_before = chunk;
  __atomic_store_n (&ring->moved_ns, now, __ATOMIC_RELAXED);
  if (fresh)
    {
      __atomic_store_n (&ring->fresh, fresh - 1, __ATOMIC_RELAXED);
      return;
    }
  chunk = chunk && (!stream->recording || frames < chunk) ? (chunk * 15 + frames + 15) / 16 : frames;
  __atomic_store_n (&ring->chunk, chunk, __ATOMIC_RELAXED);
}

size_t
vm_audio_stream_take (VmAudioStream *stream, void *bytes, size_t size)
{
  VmAudioRing *ring = stream->ring;
  size_t frames = size / ring->frame, filled = vm_audio_ring_filled (ring);
  size_t level = __atomic_load_n (&ring->level, __ATOMIC_RELAXED);

  /* Much too old: nobody took anything for a while. */
  if (filled > 2 * level + 2 * frames)
    vm_audio_ring_read (ring, NULL, filled - level - frames);
  note_chunk (stream, frames);
  size_t n = vm_audio_ring_read (ring, bytes, frames);
  if (n < frames)
    {
      vm_audio_silence (&ring->format, (uint8_t *) bytes + n * ring->frame, (frames - n) * ring->frame);
      __atomic_fetch_add (&ring->missing, frames - n, __ATOMIC_RELAXED);
    }
  return n * ring->frame;
}

size_t
vm_audio_stream_drain (VmAudioStream *stream, void *bytes, size_t size)
{
  return vm_audio_ring_read (stream->ring, bytes, size / stream->ring->frame) * stream->ring->frame;
}

size_t
vm_audio_stream_filled (const VmAudioStream *stream)
{
  return vm_audio_ring_filled (stream->ring) * stream->ring->frame;
}

void
vm_audio_stream_give (VmAudioStream *stream, const void *bytes, size_t size)
{
  VmAudioRing *ring = stream->ring;
  size_t frames = size / ring->frame;

  note_chunk (stream, frames);
  if (write_frames (ring, bytes, frames) < frames)
    __atomic_fetch_add (&ring->missing, 1, __ATOMIC_RELAXED);
}

size_t
vm_audio_stream_wanted (const VmAudioStream *stream)
{
  size_t level = __atomic_load_n (&stream->ring->level, __ATOMIC_RELAXED), filled = vm_audio_ring_filled (stream->ring);

  return filled < level ? (level - filled) * stream->ring->frame : 0;
}

void
vm_audio_stream_set_host_delay (VmAudioStream *stream, int64_t ns)
{
  __atomic_store_n (&stream->ring->host_delay, ns ? ns : 1, __ATOMIC_RELAXED);
}
