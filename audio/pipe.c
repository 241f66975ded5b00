/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rate and channels of a voice become those of a stream, or the other way round. */
#include "audio/audio-private.h"

#include <speex/speex_resampler.h>

#define QUALITY 3      /* of 0 to 10: 48 taps when the rate rises; noise at -80 dB */
#define CUSHION 8      /* frames: a resampler gives one more or less than asked for */
#define FIFO_SECONDS 1 /* nobody takes: then the oldest go */

static void
reserve (float **buffer, size_t *size, size_t floats)
{
  if (*size < floats)
    {
      *size = floats + floats / 2;
      *buffer = g_renew (float, *buffer, *size);
    }
}

/* The fraction nearest to VALUE whose parts the library can have: products of two of them stay below 2^32. */
static void
nearest_fraction (double value, spx_uint32_t *num, spx_uint32_t *den)
{
  uint64_t n0 = 0, d0 = 1, n1 = 1, d1 = 0;

  for (double rest = value;; rest = 1 / (rest - (uint64_t) rest))
    {
      uint64_t whole = (uint64_t) MIN (rest, 65536.0), n = whole * n1 + n0, d = whole * d1 + d0;
      if (n > 65535 || d > 65535)
        break;
      n0 = n1, d0 = d1, n1 = n, d1 = d;
      if (rest - whole < 1e-9)
        break;
    }
  *num = n1;
  *den = d1;
}

static void
set_ratio (VmAudioPipe *pipe)
{
  spx_uint32_t num, den;

  nearest_fraction (pipe->rate_in / (pipe->rate_out * pipe->adjust), &num, &den);
  if (num && den)
    speex_resampler_set_rate_frac (pipe->resampler, num, den, pipe->rate_in, pipe->rate_out);
}

static void
make_resampler (VmAudioPipe *pipe)
{
  int error;

  pipe->resampler = speex_resampler_init (pipe->channels_out, pipe->rate_in, pipe->rate_out, QUALITY, &error);
  if (!pipe->resampler) /* no memory: sound at the wrong pitch is better than none */
    return;
  /* It begins with the silence that its filter is long, so that as much comes out as the rates say from the start. */
  reserve (&pipe->fifo, &pipe->fifo_size, (size_t) CUSHION * pipe->channels_out);
  memset (pipe->fifo, 0, sizeof *pipe->fifo * CUSHION * pipe->channels_out);
  pipe->start = 0;
  pipe->filled = MAX (pipe->filled, CUSHION);
}

void
vm_audio_pipe_clear (VmAudioPipe *pipe)
{
  if (pipe->resampler)
    speex_resampler_destroy (pipe->resampler);
  g_free (pipe->a);
  g_free (pipe->b);
  g_free (pipe->fifo);
  *pipe = (VmAudioPipe){ 0 };
}

void
vm_audio_pipe_setup (VmAudioPipe *pipe, const VmAudioFormat *in, const VmAudioFormat *out)
{
  vm_audio_pipe_clear (pipe);
  pipe->rate_in = in->rate;
  pipe->rate_out = out->rate;
  pipe->channels_in = in->channels;
  pipe->channels_out = out->channels;
  pipe->adjust = 1;
  if (in->rate != out->rate)
    make_resampler (pipe);
}

void
vm_audio_pipe_adjust (VmAudioPipe *pipe, double adjust)
{
  if (!pipe->resampler)
    make_resampler (pipe);
  /* Less than a part of a million is not worth new coefficients. */
  if (adjust > pipe->adjust - 1e-6 && adjust < pipe->adjust + 1e-6)
    return;
  pipe->adjust = adjust;
  if (pipe->resampler)
    set_ratio (pipe);
}

const float *
vm_audio_pipe_out (const VmAudioPipe *pipe)
{
  return pipe->fifo ? pipe->fifo + pipe->start * pipe->channels_out : NULL; /* nothing has come yet */
}

void
vm_audio_pipe_taken (VmAudioPipe *pipe, size_t frames)
{
  pipe->start += frames;
  pipe->filled -= frames;
}

/* Room for FRAMES at the end of the queue. */
static float *
fifo_room (VmAudioPipe *pipe, size_t frames)
{
  size_t most = (size_t) pipe->rate_out * FIFO_SECONDS;

  if (pipe->filled + frames > most)
    vm_audio_pipe_taken (pipe, MIN (pipe->filled, pipe->filled + frames - most));
  if (pipe->start)
    memmove (pipe->fifo, vm_audio_pipe_out (pipe), pipe->filled * pipe->channels_out * sizeof *pipe->fifo);
  pipe->start = 0;
  reserve (&pipe->fifo, &pipe->fifo_size, (pipe->filled + frames) * pipe->channels_out);
  return pipe->fifo + pipe->filled * pipe->channels_out;
}

/* IN has as many channels as go out. */
static void
resample (VmAudioPipe *pipe, const float *in, size_t frames)
{
  while (frames)
    {
      spx_uint32_t taken = MIN (frames, 65536);
      spx_uint32_t made = (spx_uint32_t) ((double) taken * pipe->rate_out / pipe->rate_in * 1.02) + 16;
      float *out = fifo_room (pipe, made);
      speex_resampler_process_interleaved_float (pipe->resampler, in, &taken, out, &made);
      if (!taken && !made)
        return;
      pipe->filled += made;
      in += (size_t) taken * pipe->channels_out;
      frames -= taken;
    }
}

void
vm_audio_pipe_feed_floats (VmAudioPipe *pipe, const float *in, size_t frames, const float *gain)
{
  if (!frames)
    return;
  if (gain)
    {
      reserve (&pipe->a, &pipe->a_size, frames * pipe->channels_in);
      for (size_t f = 0; f < frames; f++)
        for (unsigned c = 0; c < pipe->channels_in; c++)
          pipe->a[f * pipe->channels_in + c] = in[f * pipe->channels_in + c] * gain[c];
      in = pipe->a;
    }
  if (pipe->channels_in != pipe->channels_out)
    {
      reserve (&pipe->b, &pipe->b_size, frames * pipe->channels_out);
      vm_audio_remap (in, pipe->channels_in, pipe->b, pipe->channels_out, frames);
      in = pipe->b;
    }
  if (pipe->resampler)
    resample (pipe, in, frames);
  else
    {
      memcpy (fifo_room (pipe, frames), in, frames * pipe->channels_out * sizeof *in);
      pipe->filled += frames;
    }
}

void
vm_audio_pipe_feed (VmAudioPipe *pipe, const VmAudioFormat *format, const void *bytes, size_t frames, const float *gain)
{
  reserve (&pipe->a, &pipe->a_size, frames * pipe->channels_in);
  vm_audio_to_float (format, bytes, pipe->a, frames * pipe->channels_in);
  vm_audio_pipe_feed_floats (pipe, pipe->a, frames, gain);
}
