/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound between cards, host back ends ("audiodevs") and those who listen in.
 *
 *   card's voice -> [convert, resample, volume] -> mix -> host stream's ring -> sound server
 *   card's voice <- [convert, resample, volume] <-------- host stream's ring <- sound server
 *
 * Cards and listeners belong to the engine loop: everything they call, and every call they get, is with the machine
 * lock held, as device code and loop dispatch always have it. Nothing blocks and nothing fails for want of a host: a
 * voice runs at its pace whether anybody hears it or not.
 *
 * Time. Each voice runs on the virtual clock, so it stands while the machine is stopped. The core ticks each
 * timer-period while a voice is active and asks the voice for (or gives it) as many frames as its rate says have gone
 * by. The pace of a voice with a function is pulled by less than a per cent towards that of the host's sound clock, so
 * the card's crystal follows the host's, what the card plays reaches the host unchanged, and nothing drifts. What a
 * voice without a function writes at its own pace is resampled by the same small amount instead. Frames of one tick
 * come and go in one piece: cards that show a position between two ticks can reckon from the virtual clock.
 *
 * Saved states: a voice has none. A card sets its voices up again in post_load: format, volume, active. */
#pragma once

#include "engine/clock/clock.h"
#include "engine/object/object.h"

struct VmEnv;
struct VmKeyVals;
struct json_object;
typedef struct VmMachine       VmMachine;
typedef struct VmAudio         VmAudio;
typedef struct VmAudiodev      VmAudiodev;
typedef struct VmAudioVoice    VmAudioVoice;
typedef struct VmAudioListener VmAudioListener;

#define VM_AUDIO_CHANNELS 8
#define VM_AUDIO_RATE_MIN 1000
#define VM_AUDIO_RATE_MAX 768000

/* --- formats ------------------------------------------------------------------------------------------- */

typedef enum VmAudioSample { /* in the order of QMP's AudioFormat */
  VM_AUDIO_U8,
  VM_AUDIO_S8,
  VM_AUDIO_U16,
  VM_AUDIO_S16,
  VM_AUDIO_U32,
  VM_AUDIO_S32,
  VM_AUDIO_F32,
  VM_AUDIO_SAMPLE_N,
} VmAudioSample;

/* Interleaved. Channels in the order front left and right, (3 on) centre, LFE, rear left and right, side left and
 * right; four are front and rear. */
typedef struct VmAudioFormat {
  uint32_t rate;     /* frames a second */
  uint8_t  channels; /* 1 to VM_AUDIO_CHANNELS */
  uint8_t  sample;   /* VmAudioSample */
  bool     big_endian;
} VmAudioFormat;

/* Whether rate, channels and sample are in bounds. */
bool     vm_audio_format_ok (const VmAudioFormat *format);
unsigned vm_audio_frame_bytes (const VmAudioFormat *format);
bool     vm_audio_format_equal (const VmAudioFormat *a, const VmAudioFormat *b);

/* --- cards --------------------------------------------------------------------------------------------- */

/* Embedded in the device. */
typedef struct VmAudioCard {
  char       *audiodev; /* property: the id; NULL: the default */
  /* between attach and detach */
  VmAudiodev *dev;
  char       *name;     /* what host mixers show: the device's id, or its model */
} VmAudioCard;

#define VM_AUDIO_CARD_PROPS(Type, field)                                                                              \
  VM_PROP_STRING ("audiodev", Type, field.audiodev, NULL, "host sound back end: the id of an -audiodev")

/* In realize: finds the back end. "Property 'AC97.audiodev' can't find value 'x'"; without an id and a default:
 * "no default audio driver available". MODEL is the type's name. */
bool vm_audio_card_attach (VmAudioCard *card, struct VmEnv *env, VmObject *device, const char *model, GError **error);
/* In unrealize, after its voices are closed; also undoes a failed attach. */
void vm_audio_card_detach (VmAudioCard *card);

/* BYTES, whole frames, are wanted (the function writes up to so many with vm_audio_write(); what is missing is
 * silence) or have come (it reads them with vm_audio_read(); what it leaves is dropped). It may change the format, or
 * stop or close the voice. */
typedef void (*VmAudioFunc) (void *opaque, size_t bytes);

/* A voice is made inactive, at full volume. NAME is what host mixers show after the card's ("dac1"). FUNC may be NULL:
 * then the card writes (or reads) whenever it likes, of its own timers or of the guest's transfers, on average at the
 * voice's rate. FORMAT may be anything a guest sets: while it is not OK, the voice is silent and FUNC is not called. */
VmAudioVoice *vm_audio_open_out (VmAudioCard *card, const char *name, const VmAudioFormat *format, VmAudioFunc func,
                                 void *opaque);
VmAudioVoice *vm_audio_open_in (VmAudioCard *card, const char *name, const VmAudioFormat *format, VmAudioFunc func,
                                void *opaque);
void vm_audio_close (VmAudioVoice *voice); /* NULL: nothing */
/* Drops what is under way when it is another one. */
void vm_audio_set_format (VmAudioVoice *voice, const VmAudioFormat *format);
/* Starts and stops it. What was written is still played; what was recorded and not read is dropped. */
void vm_audio_set_active (VmAudioVoice *voice, bool active);
bool vm_audio_is_active (const VmAudioVoice *voice);
/* GAIN: of N channels, 1 unchanged, the rest as the last; no more than 16 (24 dB). */
void vm_audio_set_volume (VmAudioVoice *voice, bool mute, unsigned n, const float *gain);

/* Plays BYTES; returns how many were taken, whole frames: not more than vm_audio_free(). */
size_t vm_audio_write (VmAudioVoice *voice, const void *bytes, size_t size);
size_t vm_audio_free (const VmAudioVoice *voice); /* within FUNC: what is left of BYTES */
/* Takes what was recorded; returns how many bytes, whole frames. */
size_t vm_audio_read (VmAudioVoice *voice, void *bytes, size_t size);
size_t vm_audio_available (const VmAudioVoice *voice);
/* The card hands on what this voice records evenly, until the next tick: which is a part of the latency. */
void vm_audio_set_even (VmAudioVoice *voice, bool even);
/* Time until what is written now is heard, or since what is read now was said, as far as is known. */
int64_t vm_audio_latency_ns (const VmAudioVoice *voice);

/* --- who listens in: VNC, wavcapture ------------------------------------------------------------------- */

typedef struct VmAudioListenerOps {
  /* The first voice of the back end begins to play, or the last one ended; may be NULL. */
  void (*playing) (void *opaque, bool playing);
  /* What was mixed in this tick, in the listener's format. */
  void (*sound) (void *opaque, const void *bytes, size_t size);
} VmAudioListenerOps;

/* Hears all that DEV plays, before the host does. Begins with playing (true) when something is. FORMAT is OK. */
VmAudioListener *vm_audio_listen (VmAudiodev *dev, const VmAudioFormat *format, const VmAudioListenerOps *ops,
                                  void *opaque);
void vm_audio_unlisten (VmAudioListener *listener); /* NULL: nothing */
/* NULL: no such id. ENV's machine; an id of NULL is the default back end, if there is one. */
VmAudiodev *vm_audiodev_find (struct VmEnv *env, const char *id);
const char *vm_audiodev_id (const VmAudiodev *dev);
const char *vm_audiodev_driver (const VmAudiodev *dev); /* "pa" */

/* --- who carries sound for the host: SPICE, D-Bus, the back ends of this folder ------------------------ */

/* One host stream. The core makes it when a voice needs it. Its ring holds frames of its format. */
typedef struct VmAudioStream {
  VmAudiodev   *dev;
  bool          recording;
  unsigned      index;     /* of those of this direction: in.voices, out.voices */
  char         *name;      /* for mixers: the card's and voice's, or the machine's */
  VmAudioFormat format;    /* as wanted; start() and vm_audio_stream_reformat() may change it. Host byte order. */
  int64_t       buffer_ns; /* what the host should hold beyond the ring: from latency, buffer-length */
  void         *state;     /* the class's, of stream_size bytes, zeroed */
  struct VmAudioRing *ring;
} VmAudioStream;

typedef struct VmAudioClass {
  const char *name;        /* "pa", as "-audiodev driver=" has it */
  size_t state_size;       /* of VmAudiodev.state */
  size_t stream_size;      /* of VmAudioStream.state */
  bool no_recording;       /* it can only play */
  bool no_clock;           /* the host takes (or has) whatever there is: nothing to follow */
  bool single;             /* there is one stream in each direction, whatever "voices" says */
  /* OPTIONS: of the union of Audiodev's driver; NULL for a provider. Does not wait. NULL: nothing to do. */
  bool (*open) (VmAudiodev *dev, const void *options, GError **error);
  void (*close) (VmAudiodev *dev);
  /* FORMAT, in host byte order, becomes the nearest that the host can have, as far as is known without waiting. NULL:
   * it can have any. */
  void (*settle) (VmAudioStream *stream, VmAudioFormat *format);
  /* Sound is about to come (or is wanted); the engine does not wait for the host, which may be out of reach now and
   * come later. Between start and stop the class's threads use the ring. After stop() has returned they do not. NULL:
   * nothing is heard. */
  void (*start) (VmAudioStream *stream);
  void (*stop) (VmAudioStream *stream);
  /* On the engine loop: after each tick's sound is in the ring, or before it is taken out. NULL: threads do it. */
  void (*pump) (VmAudioStream *stream);
  /* Another device of the host is wanted, now and for streams to come: vm_audiodev_device(). NULL: it has no choice. */
  void (*choose) (VmAudiodev *dev, bool recording);
  /* The host is to set the volume, the core leaves it; NULL: the core does. */
  void (*volume) (VmAudioStream *stream, bool mute, unsigned n, const float *gain);
} VmAudioClass;

/* KLASS carries the sound of those audiodevs whose driver is its name, now and later ("spice", "dbus"); until then, and
 * after vm_audio_withdraw(), they are silent. OPAQUE: vm_audiodev_opaque(). */
void  vm_audio_provide (struct VmEnv *env, const VmAudioClass *klass, void *opaque);
void  vm_audio_withdraw (struct VmEnv *env, const VmAudioClass *klass);
void *vm_audiodev_opaque (const VmAudiodev *dev);
void *vm_audiodev_state (const VmAudiodev *dev);
VmLoop *vm_audiodev_loop (const VmAudiodev *dev);

/* The device of the host that is wanted; NULL: its default one, whichever that is. Free it. Any thread. */
char *vm_audiodev_device (VmAudiodev *dev, bool recording);
/* A list of devices, and one more for it. */
GPtrArray *vm_audio_devices_new (void);
void vm_audio_devices_add (GPtrArray *devices, const char *name, const char *description);
/* DEVICES are what the host has now, which it takes; NULL: nobody knows. A choice that is not among them any more falls
 * back to what the options name. Returns whether the one that is wanted was not there and is now: the streams that went
 * elsewhere are to come back. Any thread. */
bool vm_audiodev_found (VmAudiodev *dev, bool recording, GPtrArray *devices);

/* From any one thread at a time, never waiting: takes frames to play, silence where there are none, and returns the
 * bytes of sound among them. Keeps the ring at its level: skips what is too old. SIZE: whole frames. */
size_t vm_audio_stream_take (VmAudioStream *stream, void *bytes, size_t size);
/* The same without silence and without keeping a level: what there is, for pump(). */
size_t vm_audio_stream_drain (VmAudioStream *stream, void *bytes, size_t size);
size_t vm_audio_stream_filled (const VmAudioStream *stream);
/* Frames that were recorded; too many are dropped. */
void   vm_audio_stream_give (VmAudioStream *stream, const void *bytes, size_t size);
/* Room for recorded frames until the level is as wanted, for pump(). */
size_t vm_audio_stream_wanted (const VmAudioStream *stream);
/* Time until what was just taken is heard to its end, or since the last frame of what was just given was said; a source
 * that knows its sound before it is heard has less than zero. Any thread. */
void   vm_audio_stream_set_host_delay (VmAudioStream *stream, int64_t ns);
/* On the engine loop, while no thread uses the ring: the host has another format. */
void   vm_audio_stream_reformat (VmAudioStream *stream, const VmAudioFormat *format);

/* --- who makes them ------------------------------------------------------------------------------------ */

/* -audiodev from a list of keys, or from JSON, which it takes (SOURCE: VmSchemaSource). STANDARD: cards that name none
 * get it. */
VmAudiodev *vm_audiodev_new_from_list (VmMachine *machine, const struct VmKeyVals *list, bool standard, GError **error);
VmAudiodev *vm_audiodev_new_from_json (VmMachine *machine, struct json_object *json, int source, bool standard,
                                       GError **error);
/* Kinds this build knows, a line each, as "-audiodev help" has them. */
char *vm_audio_drivers (void);
