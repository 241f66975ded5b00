/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sound device (OASIS Virtual I/O Device 1.2, 5.14): its messages, and what its files share. */
#pragma once

#include "audio/audio.h"
#include "devices/virtio/virtio.h"

#define SND_STREAMS 64u
#define SND_JACKS 8u
#define SND_CHMAPS 4u
#define SND_QUEUE 64u

enum
{
  SND_CONTROL,
  SND_EVENT,
  SND_TX,
  SND_RX,
  SND_QUEUES
};
enum
{ /* codes */
  SND_JACK_INFO = 1,
  SND_JACK_REMAP = 2,
  SND_PCM_INFO = 0x100,
  SND_PCM_SET_PARAMS,
  SND_PCM_PREPARE,
  SND_PCM_RELEASE,
  SND_PCM_START,
  SND_PCM_STOP,
  SND_CHMAP_INFO = 0x200,
  SND_OK = 0x8000,
  SND_BAD_MSG,
  SND_NOT_SUPP,
  SND_IO_ERR,
};
enum
{
  SND_OUTPUT,
  SND_INPUT
};

typedef enum SndState
{
  SND_NEW,
  SND_SET,
  SND_PREPARED,
  SND_RUNNING,
  SND_STOPPED
} SndState;

typedef struct VirtioSound VirtioSound;

/* A buffer of the driver that is being played or filled. */
typedef struct SndElement
{
  VmVirtqElement e;
  uint32_t size; /* of its data */
} SndElement;

typedef struct SndStream
{
  VirtioSound *sound;
  unsigned index;
  bool input;
  VmAudioVoice *voice;
  GQueue elements; /* SndElement */
  /* guest state */
  uint8_t state;                  /* SndState */
  uint8_t channels, format, rate; /* the last two as the driver numbers them */
  uint32_t buffer_bytes, period_bytes;
  uint32_t done; /* bytes of the first element */
} SndStream;

struct VirtioSound
{
  VmVirtio parent;
  /* properties */
  VmAudioCard card;
  uint32_t jacks, n_streams, chmaps;
  /* wiring */
  VmVirtqueue *queue[SND_QUEUES];
  GQueue taken[2]; /* elements of TX and RX that are not given back, in the order of the ring */
  bool gaps[2];    /* some were given back out of that order */
  bool untaken;    /* a save gave them up: they are to be taken again */
  /* guest state */
  SndStream stream[SND_STREAMS];
};

extern const VmField virtio_sound_stream_state[];

void snd_stream_open (SndStream *s, VirtioSound *sound, unsigned index);
void snd_stream_close (SndStream *s);
/* The control requests of streams; what they answer. */
uint32_t snd_stream_set_params (SndStream *s, const uint8_t message[24]);
uint32_t snd_stream_command (SndStream *s, uint32_t code);
void snd_stream_info (const SndStream *s, uint8_t info[32]);
bool snd_stream_loaded (SndStream *s, GError **error);
/* All of them to the state after reset; their elements are dropped. */
void snd_streams_reset (VirtioSound *sound);
/* Elements go back to the ring as if never taken, where that can be; else they are done. */
void snd_streams_settle (VirtioSound *sound);
void snd_handle_transfer (VmVirtio *v, VmVirtqueue *q);
