/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of sound: pipes, rings, voices, streams, back ends. See audio.h for who may call what. */
#pragma once

#include "audio/audio.h"

#include "engine/machine/machine.h"

struct VmKeyVals;
struct VmqAudiodev;

/* --- format.c: samples as floating point numbers, 1 is full scale -------------------------------------- */

void vm_audio_to_float (const VmAudioFormat *format, const void *bytes, float *out, size_t samples);
void vm_audio_from_float (const VmAudioFormat *format, const float *in, void *bytes, size_t samples);
void vm_audio_silence (const VmAudioFormat *format, void *bytes, size_t size);
/* FRAMES of FROM channels become frames of TO channels; OUT is not IN. */
void vm_audio_remap (const float *in, unsigned from, float *out, unsigned to, size_t frames);

/* --- pipe.c: a stretch of the way where rate and channels change --------------------------------------- */

typedef struct VmAudioPipe
{
  uint32_t rate_in, rate_out;
  unsigned channels_in, channels_out;
  double adjust;           /* so much more comes out than the rates say: 1 is as they say */
  void *resampler;         /* NULL: the rates are the same */
  float *a, *b;            /* scratch */
  size_t a_size, b_size;   /* floats */
  float *fifo;             /* what came out and nobody has taken: frames of channels_out */
  size_t fifo_size, start, filled; /* in frames */
} VmAudioPipe;

void vm_audio_pipe_setup (VmAudioPipe *pipe, const VmAudioFormat *in, const VmAudioFormat *out);
void vm_audio_pipe_clear (VmAudioPipe *pipe); /* all of it; setup may follow */
/* From now on; a resampler stays once there is one. */
void vm_audio_pipe_adjust (VmAudioPipe *pipe, double adjust);
/* GAIN: of each channel of FORMAT; NULL: unchanged. */
void vm_audio_pipe_feed (VmAudioPipe *pipe, const VmAudioFormat *format, const void *bytes, size_t frames,
                         const float *gain);
void vm_audio_pipe_feed_floats (VmAudioPipe *pipe, const float *in, size_t frames, const float *gain);
/* The frames that may be taken, in one piece. */
const float *vm_audio_pipe_out (const VmAudioPipe *pipe);
void vm_audio_pipe_taken (VmAudioPipe *pipe, size_t frames);

/* --- ring.c: between the engine and a thread of the host's, without locks ------------------------------ */

/* One writer, one reader; counts are of frames since the beginning and only grow. */
typedef struct VmAudioRing
{
  uint8_t *bytes;
  unsigned frame;              /* bytes */
  size_t size;                 /* frames, a power of two */
  size_t level;                /* atomic: what the reader should find at most, or the writer leave */
  uint64_t written, taken;     /* atomic */
  size_t chunk;                /* atomic: what the host moves at once, on the average */
  size_t burst, chunk_before;  /* the host's: pieces that came together, CHUNK without them */
  int64_t burst_ns;            /* the host's: when the first of them came */
  unsigned fresh;              /* atomic: next calls of a host that fills its buffers first */
  uint64_t missing;            /* atomic: frames that the host got as silence, or that found no room */
  int64_t host_delay;          /* atomic, ns; 0: nobody knows. See vm_audio_stream_set_host_delay() */
  int64_t moved_ns;            /* atomic: when the host last moved some, real time */
  VmAudioFormat format;
} VmAudioRing;

#define VM_RING_FRESH 4

VmAudioRing *vm_audio_ring_new (const VmAudioFormat *format);
void vm_audio_ring_free (VmAudioRing *ring);
size_t vm_audio_ring_filled (const VmAudioRing *ring);
size_t vm_audio_ring_write (VmAudioRing *ring, const void *bytes, size_t frames); /* what found room */
size_t vm_audio_ring_write_silence (VmAudioRing *ring, size_t frames);
size_t vm_audio_ring_read (VmAudioRing *ring, void *bytes, size_t frames); /* what there was; NULL: to nowhere */

/* --- a back end ---------------------------------------------------------------------------------------- */

/* The host's devices, of which one may be chosen. */
typedef struct VmAudioHosts
{
  GMutex lock;            /* for all of it */
  GPtrArray *list;        /* VmAudioHost *; NULL: nobody knows */
  char *given, *wanted;   /* names: by the options, now; NULL: the default one */
  bool missed;            /* what is wanted was not among those of LIST */
} VmAudioHosts;

/* "in." and "out." of an -audiodev. */
typedef struct VmAudioSide
{
  bool mute;              /* by whoever has the machine; the guest does not know */
  VmAudioHosts hosts;
  bool mixing, fixed;
  VmAudioFormat format;   /* when fixed */
  unsigned voices;        /* host streams at most */
  int64_t latency_ns;     /* wanted, all in all; 0: the class's */
  GPtrArray *streams;     /* VmStream * */
} VmAudioSide;

struct VmAudiodev
{
  VmObject parent;        /* /audiodevs/ID */
  VmAudio *audio;
  struct VmqAudiodev *options; /* as given, defaults filled in */
  const VmAudioClass *klass;   /* NULL: nobody carries its sound (now) */
  void *state, *opaque;
  VmAudioSide side[2];    /* playing, recording */
  int64_t period_ns, last_ns; /* of ticks; virtual time of the last one */
  int64_t last_real_ns;
  bool stood;                 /* before this tick the machine stood still: what went short is no wonder */
  VmTimer timer;
  GPtrArray *voices;      /* VmAudioVoice *, of both directions */
  GPtrArray *listeners;   /* VmAudioListener * */
  bool ticking, playing;
  unsigned cards;
};
extern const VmType vm_audiodev_type;

struct VmAudio
{
  VmObject parent;        /* /audiodevs */
  VmMachine *machine;
  VmEnv *env;
  GPtrArray *devs;        /* VmAudiodev *, in order */
  GPtrArray *providers;   /* VmAudioProvider * */
  GPtrArray *captures;    /* VmAudioCapture *, of the human monitor; see hmp-audio.c */
  VmAudiodev *standard;   /* for cards that name none; NULL: not yet */
  int64_t (*now_ns) (void); /* real time, on any thread; a test's own */
};

VmAudio *vm_audio_get (VmEnv *env);
/* -audiodev, -audio. Takes OPTIONS. STANDARD: for cards that name none. */
VmAudiodev *vm_audiodev_new (VmMachine *machine, struct VmqAudiodev *options, bool standard, GError **error);
void vm_audio_stop_captures (VmAudio *audio);
/* For a card that names none when nobody said which: a sound server that runs, else silence. */
VmAudiodev *vm_audiodev_make_standard (VmEnv *env, GError **error);
/* By a class's open(): the latency wanted when the user did not say buffer-length. */
void vm_audiodev_set_latency (VmAudiodev *dev, bool recording, int64_t ns);
/* The same: the host's device that the options name (NULL: none). */
void vm_audiodev_set_device (VmAudiodev *dev, bool recording, const char *name);
/* hosts.c */
void vm_audio_hosts_init (VmAudioHosts *hosts);
void vm_audio_hosts_clear (VmAudioHosts *hosts);
extern const VmProp vm_audiodev_props[];
/* "in" or "out" of the driver's options, whatever the driver. */
struct VmqAudiodevPerDirectionOptions *vm_audiodev_direction (const struct VmqAudiodev *options, bool recording);

/* --- a host stream ------------------------------------------------------------------------------------- */

typedef struct VmStream
{
  VmAudioStream host;       /* what its class sees */
  GPtrArray *voices;        /* VmAudioVoice *: those that it carries now */
  bool started;             /* the class has it */
  unsigned serial;          /* of its ring: whether a voice's function changed it */
  bool straight;            /* this tick: one voice whose bytes are the host's */
  double due;               /* frames, less than one, left over of the last tick */
  double average;           /* what waits between here and the host's clock, in frames */
  double host_delay;        /* average of the ring's, ns */
  int64_t reserve_ns;       /* for ticks that are late: as much as was once missing */
  double pull;              /* pace - 1: what the host's clock asks for */
  uint64_t last_taken;      /* ring position of the host at the last tick */
  int64_t last_moved_ns;    /* when it last changed, real time */
  int64_t there_ns;         /* how long the host has been there */
  uint64_t last_missing;
  bool primed;              /* recording: the level was reached */
  int64_t idle_ns;          /* how long it has had no voice */
  uint64_t underruns;
  float *mix;               /* of one tick */
  size_t mix_size;          /* floats */
  uint8_t *bytes;           /* of one tick, in the host's format */
  size_t bytes_size;
} VmStream;

/* Finds VOICE a stream, as the side's settings say, and starts it. */
void vm_stream_join (VmAudioVoice *voice);
void vm_stream_leave (VmAudioVoice *voice);
void vm_stream_start (VmStream *stream); /* its class may just have come */
void vm_stream_stop (VmStream *stream);
void vm_stream_tell_volume (VmStream *stream);
void vm_stream_free (VmStream *stream);
void vm_audiodev_tick (void *dev);        /* now, up to this moment */
void vm_audiodev_arm (VmAudiodev *dev);   /* ticks while there is something to do */

/* --- a voice ------------------------------------------------------------------------------------------- */

struct VmAudioVoice
{
  VmAudiodev *dev;
  char *name;
  bool recording, active, valid, closed; /* valid: the format is OK; closed: by its own function */
  bool own_pace;            /* it is not pulled by the host's clock */
  bool even;                /* its card hands on what it recorded until the next tick */
  bool told;                /* that no host stream is left for it */
  VmAudioFormat format;
  unsigned frame;           /* bytes */
  VmAudioFunc func;
  void *opaque;
  bool mute, plain;         /* plain: gains are 1 and it is not mute */
  float gain[VM_AUDIO_CHANNELS];
  VmStream *stream;         /* NULL: nobody carries it */
  VmAudioPipe pipe;
  double due;               /* frames, less than one, left over of the last tick */
  unsigned serial;          /* of its format: whether FUNC changed it */
  uint8_t *raw;             /* frames in the card's format: within a tick, or until the next; a queue */
  size_t raw_size, raw_start, raw_filled; /* bytes */
  size_t wanted;            /* bytes that FUNC may still write */
  bool waiting;             /* plays at its own pace: until there is enough to begin */
};

void vm_voice_free (VmAudioVoice *voice);
/* The pipe between it and its stream, after either's format changed. */
void vm_voice_connect (VmAudioVoice *voice);
/* FRAMES of it, as its function or its queue have them; returns how many there are at RAW. */
size_t vm_voice_collect (VmAudioVoice *voice, size_t frames);
void vm_voice_drop (VmAudioVoice *voice, size_t bytes); /* from the start of the queue */
uint8_t *vm_voice_room (VmAudioVoice *voice, size_t bytes); /* at the end of the queue */
size_t vm_voice_queue_limit (const VmAudioVoice *voice);    /* bytes, when it has no function */

/* --- listener.c ---------------------------------------------------------------------------------------- */

struct VmAudioListener
{
  VmAudiodev *dev;
  VmAudioFormat format;
  const VmAudioListenerOps *ops;
  void *opaque;
  GPtrArray *taps;          /* VmTap *: one for each stream that has played */
  float *mix;
  uint8_t *bytes;
  size_t size;              /* frames there is room for in both */
  bool gone;                /* within a tick */
};

/* FRAMES of STREAM: floats, or, when MIX is NULL, bytes of its format. */
void vm_audio_listeners_feed (VmAudiodev *dev, const VmStream *stream, const float *mix, const void *bytes,
                              size_t frames);
void vm_audio_listeners_deliver (VmAudiodev *dev);
void vm_audio_listeners_playing (VmAudiodev *dev);
void vm_audio_listeners_forget (VmAudiodev *dev, const VmStream *stream);

/* --- back ends ----------------------------------------------------------------------------------------- */

extern const VmAudioClass vm_audio_none_class, vm_audio_wav_class, vm_audio_oss_class;
/* KIND's class, from its module; NULL without an error: a provider will bring it. */
const VmAudioClass *vm_audio_class_of (const char *kind, GError **error);
