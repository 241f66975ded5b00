/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host back ends as a whole: made by name, found, given up; and who carries their sound. */
#include "audio/audio-private.h"

#include "engine/base/log.h"
#include "engine/base/module.h"
#include "engine/machine/machine.h"
#include "engine/options/keyvals.h"
#include "engine/schema/types.h"

#include <unistd.h>

#define VOICES_MAX 64

/* --- kinds --------------------------------------------------------------------------------------------- */

/* In the order of "-audiodev help". */
static const struct
{
  const char *name;
  const VmAudioClass *klass; /* NULL: a module's, or, without a module, a provider's */
  const char *module;
} kinds[] = {
  { "none", &vm_audio_none_class, NULL },
  { "alsa", NULL, "vitrine-audio-alsa" },
  { "dbus", NULL, NULL },
  { "jack", NULL, "vitrine-audio-jack" },
  { "oss", &vm_audio_oss_class, NULL },
  { "pa", NULL, "vitrine-audio-pa" },
  { "pipewire", NULL, "vitrine-audio-pipewire" },
  { "sdl", NULL, "vitrine-audio-sdl" },
  { "sndio", NULL, "vitrine-audio-sndio" },
  { "spice", NULL, NULL },
  { "wav", &vm_audio_wav_class, NULL },
};

const VmAudioClass vm_audio_none_class = { .name = "none", .no_clock = true };

const VmAudioClass *
vm_audio_class_of (const char *kind, GError **error)
{
  for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (!strcmp (kinds[i].name, kind))
      return kinds[i].module ? vm_module_symbol ("audio", kinds[i].module, "vm_audio_class", error) : kinds[i].klass;
  vm_fail (error, "audio driver '%s': not available in this build", kind);
  return NULL;
}

char *
vm_audio_drivers (void)
{
  GString *out = g_string_new (NULL);

  for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (!kinds[i].module || vm_audio_class_of (kinds[i].name, NULL))
      g_string_append_printf (out, "%s\n", kinds[i].name);
  return g_string_free (out, FALSE);
}

/* --- the objects --------------------------------------------------------------------------------------- */

typedef struct VmAudioProvider
{
  const VmAudioClass *klass;
  void *opaque;
} VmAudioProvider;

static void
audio_init (VmObject *obj)
{
  VmAudio *audio = (VmAudio *) obj;

  audio->devs = g_ptr_array_new ();
  audio->providers = g_ptr_array_new_with_free_func (g_free);
  audio->captures = g_ptr_array_new ();
}

static void
audio_finalize (VmObject *obj)
{
  VmAudio *audio = (VmAudio *) obj;

  g_ptr_array_unref (audio->devs);
  g_ptr_array_unref (audio->providers);
  g_ptr_array_unref (audio->captures);
}

const VmType vm_audio_type = {
  .name = "audio",
  .parent = &vm_object_type,
  .size = sizeof (VmAudio),
  .help = "the sound back ends of a machine",
  .init = audio_init,
  .finalize = audio_finalize,
};

/* Nobody carries its sound any more; voices and listeners may stay. */
static void
drop_class (VmAudiodev *dev)
{
  const VmAudioClass *klass = dev->klass;

  if (!klass)
    return;
  for (int side = 0; side < 2; side++)
    for (guint i = 0; i < dev->side[side].streams->len; i++)
      vm_stream_stop (g_ptr_array_index (dev->side[side].streams, i));
  if (klass->close)
    klass->close (dev);
  dev->klass = NULL;
  g_clear_pointer (&dev->state, g_free);
}

static bool
take_class (VmAudiodev *dev, const VmAudioClass *klass, void *opaque, const void *options, GError **error)
{
  dev->state = g_malloc0 (MAX (klass->state_size, 1));
  dev->opaque = opaque;
  dev->klass = klass;
  if (klass->open && !klass->open (dev, options, error))
    {
      dev->klass = NULL;
      g_clear_pointer (&dev->state, g_free);
      return false;
    }
  if (klass->single)
    dev->side[0].voices = dev->side[1].voices = 1;
  for (int side = 0; side < 2; side++)
    for (guint i = 0; i < dev->side[side].streams->len; i++)
      {
        VmStream *stream = g_ptr_array_index (dev->side[side].streams, i);
        if (stream->voices->len)
          vm_stream_start (stream);
      }
  return true;
}

static void
audiodev_init (VmObject *obj)
{
  VmAudiodev *dev = (VmAudiodev *) obj;

  dev->voices = g_ptr_array_new ();
  dev->listeners = g_ptr_array_new ();
  dev->side[0].streams = g_ptr_array_new ();
  dev->side[1].streams = g_ptr_array_new ();
  vm_audio_hosts_init (&dev->side[0].hosts);
  vm_audio_hosts_init (&dev->side[1].hosts);
}

static void
audiodev_finalize (VmObject *obj)
{
  VmAudiodev *dev = (VmAudiodev *) obj;

  drop_class (dev);
  if (dev->timer.clocks)
    vm_timer_cancel (&dev->timer);
  while (dev->listeners->len)
    vm_audio_unlisten (g_ptr_array_index (dev->listeners, 0));
  while (dev->voices->len)
    vm_audio_close (g_ptr_array_index (dev->voices, 0));
  for (int side = 0; side < 2; side++)
    {
      for (guint i = 0; i < dev->side[side].streams->len; i++)
        vm_stream_free (g_ptr_array_index (dev->side[side].streams, i));
      g_ptr_array_unref (dev->side[side].streams);
      vm_audio_hosts_clear (&dev->side[side].hosts);
    }
  g_ptr_array_unref (dev->voices);
  g_ptr_array_unref (dev->listeners);
  vm_schema_free (&vmq_type_audiodev, dev->options);
}

const VmType vm_audiodev_type = {
  .name = "audiodev",
  .parent = &vm_object_type,
  .size = sizeof (VmAudiodev),
  .help = "a sound back end",
  .props = vm_audiodev_props,
  .init = audiodev_init,
  .finalize = audiodev_finalize,
};

/* --- the machine's moments ----------------------------------------------------------------------------- */

static void
machine_ready (VmMachine *machine, void *opaque)
{
  const VmAudio *audio = opaque;

  for (guint i = 0; i < audio->devs->len; i++)
    {
      const VmAudiodev *dev = g_ptr_array_index (audio->devs, i);
      if (!dev->klass)
        vm_report_warning ("audiodev '%s' will be silent: nothing here takes sound for '%s'", dev->parent.id,
                           vm_audiodev_driver (dev));
    }
}

/* Files get their last bytes, servers their farewell, while everything is still there. */
static void
machine_exit (VmMachine *machine, void *opaque)
{
  const VmAudio *audio = opaque;

  vm_audio_stop_captures (opaque);
  for (guint i = 0; i < audio->devs->len; i++)
    {
      VmAudiodev *dev = g_ptr_array_index (audio->devs, i);
      drop_class (dev);
      vm_timer_cancel (&dev->timer);
    }
}

static int64_t
real_time (void)
{
  return g_get_monotonic_time () * VM_NS_PER_US;
}

VmAudio *
vm_audio_get (VmEnv *env)
{
  VmObject *obj = vm_object_child (env->root, "audiodevs");

  if (!obj)
    {
      obj = vm_object_new (&vm_audio_type);
      VmAudio *audio = (VmAudio *) obj;
      audio->env = env;
      audio->machine = env->machine;
      audio->now_ns = real_time;
      vm_object_add_child (env->root, "audiodevs", obj);
      vm_object_unref (obj);
      if (audio->machine)
        {
          vm_machine_watch (audio->machine, VM_MACHINE_READY, machine_ready, audio);
          vm_machine_watch (audio->machine, VM_MACHINE_EXIT, machine_exit, audio);
        }
    }
  return (VmAudio *) obj;
}

/* --- settings ------------------------------------------------------------------------------------------ */

/* The options of all drivers begin with in and out, and these with the same members. */
VmqAudiodevPerDirectionOptions *
vm_audiodev_direction (const VmqAudiodev *options, bool recording)
{
  const VmqAudiodevGenericOptions *both = options->u.any;

  return recording ? both->in : both->out;
}

static bool
in_bounds (const char *side, const char *key, int64_t value, int64_t min, int64_t max, GError **error)
{
  return (value >= min && value <= max)
         || vm_fail (error, "Parameter '%s.%s' expects a number from %" PRId64 " to %" PRId64, side, key, min, max);
}

/* Says in OPTIONS what was left out, as "query-audiodevs" shows it. */
static bool
settle_side (VmAudioSide *side, VmqAudiodevPerDirectionOptions *o, const char *name, GError **error)
{
  if (!o->has_mixing_engine)
    o->has_mixing_engine = o->mixing_engine = true;
  if (!o->has_fixed_settings)
    {
      o->has_fixed_settings = true;
      o->fixed_settings = o->mixing_engine;
    }
  if (o->fixed_settings && !o->mixing_engine)
    return vm_fail (error, "You can't use fixed-settings without mixeng");
  if (!o->fixed_settings && (o->has_frequency || o->has_channels || o->has_format))
    return vm_fail (error, "You can't use frequency, channels or format with fixed-settings=off");
  if (!o->has_frequency)
    o->frequency = 44100;
  if (!o->has_channels)
    o->channels = 2;
  if (!o->has_format)
    o->format = VMQ_AUDIO_FORMAT_S16;
  if (!o->has_voices || !o->voices)
    o->voices = 1;
  o->has_frequency = o->has_channels = o->has_format = o->has_voices = true;
  if (!in_bounds (name, "frequency", o->frequency, VM_AUDIO_RATE_MIN, VM_AUDIO_RATE_MAX, error)
      || !in_bounds (name, "channels", o->channels, 1, VM_AUDIO_CHANNELS, error)
      || !in_bounds (name, "voices", o->voices, 1, VOICES_MAX, error)
      || (o->has_buffer_length && !in_bounds (name, "buffer-length", o->buffer_length, 0, 10000000, error)))
    return false;
  side->mixing = o->mixing_engine;
  side->fixed = o->fixed_settings;
  side->voices = o->voices;
  side->latency_ns = o->has_buffer_length ? o->buffer_length * VM_NS_PER_US : 0;
  side->format = (VmAudioFormat){ .rate = o->frequency,
                                  .channels = o->channels,
                                  .sample = (uint8_t) o->format,
                                  .big_endian = G_BYTE_ORDER == G_BIG_ENDIAN };
  return true;
}

static bool
settle (VmAudiodev *dev, GError **error)
{
  VmqAudiodev *o = dev->options;

  if (!o->has_timer_period)
    o->timer_period = 10000;
  o->has_timer_period = true;
  /* More often would cost more than the rest of it; more seldom would be heard. */
  dev->period_ns = CLAMP (o->timer_period, 1000, 100000) * VM_NS_PER_US;
  return settle_side (&dev->side[0], vm_audiodev_direction (o, false), "out", error)
         && settle_side (&dev->side[1], vm_audiodev_direction (o, true), "in", error);
}

void
vm_audiodev_set_latency (VmAudiodev *dev, bool recording, int64_t ns)
{
  if (!dev->side[recording].latency_ns)
    dev->side[recording].latency_ns = CLAMP (ns, 0, 10 * VM_NS_PER_SEC);
}

/* --- coming -------------------------------------------------------------------------------------------- */

static const VmAudioProvider *
provider_of (const VmAudio *audio, const char *kind)
{
  for (guint i = 0; i < audio->providers->len; i++)
    {
      const VmAudioProvider *provider = g_ptr_array_index (audio->providers, i);
      if (!strcmp (provider->klass->name, kind))
        return provider;
    }
  return NULL;
}

static bool
open_class (VmAudiodev *dev, GError **error)
{
  const char *kind = vm_audiodev_driver (dev);
  const VmAudioProvider *provider = provider_of (dev->audio, kind);
  g_autoptr (GError) why = NULL;

  if (provider)
    return take_class (dev, provider->klass, provider->opaque, NULL, error);
  const VmAudioClass *klass = vm_audio_class_of (kind, &why);
  if (klass)
    return take_class (dev, klass, NULL, dev->options->u.any, error);
  if (!why)
    return true; /* somebody will provide for it */
  g_propagate_error (error, g_steal_pointer (&why));
  return false;
}

/* All numbers are of 32 bits and without a sign, but for OSS's policy. */
static bool
check_numbers (json_object *options, GError **error)
{
  json_object_object_foreach (options, key, value)
  {
    int64_t number = json_object_is_type (value, json_type_int) ? json_object_get_int64 (value) : 0;
    if ((number < 0 || number > UINT32_MAX) && strcmp (key, "dsp-policy") != 0)
      return vm_fail (error, "Parameter '%s' expects uint32_t", key);
    if (json_object_is_type (value, json_type_object) && !check_numbers (value, error))
      return false;
  }
  return true;
}

static bool
check_options (VmqAudiodev *options, GError **error)
{
  json_object *json = vm_schema_write (&vmq_type_audiodev, &options);
  bool ok = check_numbers (json, error);

  json_object_put (json);
  return ok;
}

VmAudiodev *
vm_audiodev_new (VmMachine *machine, VmqAudiodev *options, bool standard, GError **error)
{
  VmAudio *audio = vm_audio_get (&machine->env);
  VmAudiodev *dev;
  g_autoptr (GError) why = NULL;

  if (vm_object_child (&audio->parent, options->id))
    {
      vm_fail (error, "Duplicate ID '%s' for audiodev", options->id);
      vm_schema_free (&vmq_type_audiodev, options);
      return NULL;
    }
  dev = (VmAudiodev *) vm_object_new (&vm_audiodev_type);
  dev->audio = audio;
  dev->options = options;
  vm_object_set_id (&dev->parent, options->id);
  vm_timer_init (&dev->timer, machine->env.clocks, VM_CLOCK_VIRTUAL, vm_audiodev_tick, dev);
  if (!check_options (options, &why) || !settle (dev, &why) || !open_class (dev, &why))
    {
      g_propagate_error (error, g_steal_pointer (&why));
      vm_object_unref (&dev->parent);
      return NULL;
    }
  g_ptr_array_add (audio->devs, dev);
  if (standard)
    audio->standard = dev;
  vm_object_add_child (&audio->parent, dev->parent.id, &dev->parent);
  vm_object_unref (&dev->parent);
  return dev;
}

/* Those who fill in what was left out find both sides. */
static void
add_side (json_object *options, const char *name)
{
  if (!json_object_object_get_ex (options, name, NULL))
    json_object_object_add (options, name, json_object_new_object ());
}

VmAudiodev *
vm_audiodev_new_from_json (VmMachine *machine, json_object *json, int source, bool standard, GError **error)
{
  json_object *nested = vm_json_nest (json, error);
  VmqAudiodev *options = NULL;

  if (nested)
    {
      add_side (nested, "in");
      add_side (nested, "out");
      options = vm_schema_read (&vmq_type_audiodev, nested, source, NULL, error);
    }
  json_object_put (nested);
  json_object_put (json);
  return options ? vm_audiodev_new (machine, options, standard, error) : NULL;
}

VmAudiodev *
vm_audiodev_new_from_list (VmMachine *machine, const VmKeyVals *list, bool standard, GError **error)
{
  json_object *json = json_object_new_object ();

  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      json_object_object_add (json, pair->key, json_object_new_string (pair->value));
    }
  return vm_audiodev_new_from_json (machine, json, VM_SCHEMA_TEXT, standard, error);
}

/* --- the one that cards get who name none -------------------------------------------------------------- */

/* Whether a server's socket is there: asking it would mean waiting. */
static bool
server_runs (const char *variable, const char *socket)
{
  const char *folder = g_get_user_runtime_dir ();
  g_autofree char *path = g_build_filename (folder, socket, NULL);

  return g_getenv (variable) || access (path, W_OK) == 0;
}

VmAudiodev *
vm_audiodev_make_standard (VmEnv *env, GError **error)
{
  VmAudio *audio = vm_audio_get (env);
  const VmMachine *machine = audio->machine;
  const char *kind = provider_of (audio, "spice")                    ? "spice"
                     : server_runs ("PIPEWIRE_REMOTE", "pipewire-0") ? "pipewire"
                     : server_runs ("PULSE_SERVER", "pulse/native")  ? "pa"
                                                                     : "none";
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (machine && machine->settings && machine->settings->nodefaults)
    {
      const VmAudiodev *first = audio->devs->len ? g_ptr_array_index (audio->devs, 0) : NULL;
      if (!first)
        vm_fail (error, "no default audio driver available");
      else
        vm_fail (error, "no default audio driver available\nPerhaps you wanted to use -audio or set audiodev=%s?",
                 first->parent.id);
      return NULL;
    }
  if (!vm_audio_class_of (kind, NULL) && strcmp (kind, "spice") != 0)
    kind = "none";
  vm_keyvals_add (list, "id", "#default");
  vm_keyvals_add (list, "driver", kind);
  return vm_audiodev_new_from_list (audio->machine, list, true, error);
}

VmAudiodev *
vm_audiodev_find (VmEnv *env, const char *id)
{
  VmObject *audio = vm_object_child (env->root, "audiodevs");

  if (!audio)
    return NULL;
  return id ? (VmAudiodev *) vm_object_child (audio, id) : ((VmAudio *) audio)->standard;
}

const char *
vm_audiodev_id (const VmAudiodev *dev)
{
  return dev->parent.id;
}

const char *
vm_audiodev_driver (const VmAudiodev *dev)
{
  return vmq_type_audiodevdriver.names[dev->options->driver];
}

void *
vm_audiodev_opaque (const VmAudiodev *dev)
{
  return dev->opaque;
}

void *
vm_audiodev_state (const VmAudiodev *dev)
{
  return dev->state;
}

VmLoop *
vm_audiodev_loop (const VmAudiodev *dev)
{
  return dev->audio->env->loop;
}

/* --- providers ----------------------------------------------------------------------------------------- */

void
vm_audio_provide (VmEnv *env, const VmAudioClass *klass, void *opaque)
{
  VmAudio *audio = vm_audio_get (env);
  VmAudioProvider *provider = g_new0 (VmAudioProvider, 1);

  provider->klass = klass;
  provider->opaque = opaque;
  g_ptr_array_add (audio->providers, provider);
  for (guint i = 0; i < audio->devs->len; i++)
    {
      VmAudiodev *dev = g_ptr_array_index (audio->devs, i);
      g_autoptr (GError) error = NULL;
      if (!dev->klass && !strcmp (vm_audiodev_driver (dev), klass->name)
          && !take_class (dev, klass, opaque, NULL, &error))
        vm_report_warning ("audiodev '%s': %s", dev->parent.id, error->message);
    }
}

void
vm_audio_withdraw (VmEnv *env, const VmAudioClass *klass)
{
  VmAudio *audio = vm_audio_get (env);

  for (guint i = 0; i < audio->devs->len; i++)
    {
      VmAudiodev *dev = g_ptr_array_index (audio->devs, i);
      if (dev->klass == klass)
        drop_class (dev);
    }
  for (guint i = audio->providers->len; i-- > 0;)
    if (((VmAudioProvider *) g_ptr_array_index (audio->providers, i))->klass == klass)
      g_ptr_array_remove_index (audio->providers, i);
}
