/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What whoever has the machine may say of its sound while it runs: which device of the host, and whether any is heard.
 * These are properties of /audiodevs/ID, for qom-get and qom-set. */
#include "audio/audio-private.h"

#include <json-c/json.h>

typedef struct VmAudioHost
{
  char *name, *description;
} VmAudioHost;

static void
host_free (gpointer data)
{
  VmAudioHost *host = data;

  g_free (host->name);
  g_free (host->description);
  g_free (host);
}

GPtrArray *
vm_audio_devices_new (void)
{
  return g_ptr_array_new_with_free_func (host_free);
}

void
vm_audio_devices_add (GPtrArray *devices, const char *name, const char *description)
{
  VmAudioHost *host = g_new (VmAudioHost, 1);

  *host = (VmAudioHost){ g_strdup (name), g_strdup (description ? description : name) };
  g_ptr_array_add (devices, host);
}

static bool
is_among (const GPtrArray *devices, const char *name)
{
  for (guint i = 0; i < devices->len; i++)
    if (!strcmp (((const VmAudioHost *) g_ptr_array_index (devices, i))->name, name))
      return true;
  return false;
}

void
vm_audio_hosts_init (VmAudioHosts *hosts)
{
  g_mutex_init (&hosts->lock);
}

void
vm_audio_hosts_clear (VmAudioHosts *hosts)
{
  g_clear_pointer (&hosts->list, g_ptr_array_unref);
  g_free (hosts->given);
  g_free (hosts->wanted);
  g_mutex_clear (&hosts->lock);
}

void
vm_audiodev_set_device (VmAudiodev *dev, bool recording, const char *name)
{
  VmAudioHosts *hosts = &dev->side[recording].hosts;

  hosts->given = g_strdup (name);
  hosts->wanted = g_strdup (name);
}

char *
vm_audiodev_device (VmAudiodev *dev, bool recording)
{
  VmAudioHosts *hosts = &dev->side[recording].hosts;

  g_mutex_lock (&hosts->lock);
  char *name = g_strdup (hosts->wanted);
  g_mutex_unlock (&hosts->lock);
  return name;
}

bool
vm_audiodev_found (VmAudiodev *dev, bool recording, GPtrArray *devices)
{
  VmAudioHosts *hosts = &dev->side[recording].hosts;
  bool missed;

  g_mutex_lock (&hosts->lock);
  g_clear_pointer (&hosts->list, g_ptr_array_unref);
  hosts->list = devices;
  if (devices && hosts->wanted && !is_among (devices, hosts->wanted))
    {
      g_free (hosts->wanted);
      hosts->wanted = g_strdup (hosts->given);
    }
  missed = hosts->missed;
  hosts->missed = devices && hosts->wanted && !is_among (devices, hosts->wanted);
  missed = missed && !hosts->missed && devices && hosts->wanted;
  g_mutex_unlock (&hosts->lock);
  return missed;
}

/* --- properties ---------------------------------------------------------------------------------------- */

/* FIELD is the side's. An empty name: the default device. */
static bool
set_device (VmObject *obj, void *field, const char *text, GError **error)
{
  VmAudiodev *dev = (VmAudiodev *) obj;
  VmAudioHosts *hosts = field;
  bool known;

  if (!dev->klass || !dev->klass->choose)
    return vm_fail (error, "audiodev '%s': driver '%s' cannot choose a device", obj->id, vm_audiodev_driver (dev));
  g_mutex_lock (&hosts->lock);
  known = !*text || (hosts->list && is_among (hosts->list, text));
  if (known)
    {
      g_free (hosts->wanted);
      hosts->wanted = *text ? g_strdup (text) : NULL;
      hosts->missed = false;
    }
  g_mutex_unlock (&hosts->lock);
  if (!known)
    return vm_fail (error, "audiodev '%s': the host has no device '%s'", obj->id, text);
  dev->klass->choose (dev, hosts == &dev->side[1].hosts);
  return true;
}

static char *
get_device (VmObject *obj, const void *field)
{
  VmAudiodev *dev = (VmAudiodev *) obj;

  return vm_audiodev_device (dev, field == &dev->side[1].hosts);
}

/* [{"name": ..., "description": ...}]; null: nobody knows, or there is no choice. */
static char *
get_devices (VmObject *obj, const void *field)
{
  VmAudiodev *dev = (VmAudiodev *) obj;
  VmAudioHosts *hosts = &dev->side[field == &dev->side[1].hosts].hosts;

  g_mutex_lock (&hosts->lock);
  json_object *list = hosts->list && dev->klass && dev->klass->choose ? json_object_new_array () : NULL;
  for (guint i = 0; list && i < hosts->list->len; i++)
    {
      const VmAudioHost *host = g_ptr_array_index (hosts->list, i);
      json_object *entry = json_object_new_object ();
      json_object_object_add (entry, "name", json_object_new_string (host->name));
      json_object_object_add (entry, "description", json_object_new_string (host->description));
      json_object_array_add (list, entry);
    }
  g_mutex_unlock (&hosts->lock);
  char *text = g_strdup (list ? json_object_to_json_string_ext (list, JSON_C_TO_STRING_PLAIN) : "null");
  json_object_put (list);
  return text;
}

static char *
get_underruns (VmObject *obj, const void *field)
{
  const VmAudiodev *dev = (const VmAudiodev *) obj;
  uint64_t n = 0;

  for (int side = 0; side < 2; side++)
    for (guint i = 0; i < dev->side[side].streams->len; i++)
      n += ((const VmStream *) g_ptr_array_index (dev->side[side].streams, i))->underruns;
  return g_strdup_printf ("%" PRIu64, n);
}

static const VmPropCustom device_kind = { .type_name = "str", .set = set_device, .get = get_device };
static const VmPropCustom devices_kind = { .type_name = "list", .get = get_devices, .json = true };
static const VmPropCustom underruns_kind = { .type_name = "int", .get = get_underruns, .json = true };

#define READ_ONLY(pname, field_, kind_, phelp)                                                                        \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_CUSTOM, .flags = VM_PROP_READONLY, .custom = (kind_),           \
    VM_PROP_COMMON (VmAudiodev, field_) }

const VmProp vm_audiodev_props[] = {
  VM_PROP_RT ("out-mute", VmAudiodev, side[0].mute, false, "the host plays nothing", NULL),
  VM_PROP_RT ("in-mute", VmAudiodev, side[1].mute, false, "the guest records silence", NULL),
  VM_PROP_CUSTOM_KIND ("out-device", VmAudiodev, side[0].hosts, &device_kind, NULL,
                       "device of the host that plays; empty: its default one"),
  VM_PROP_CUSTOM_KIND ("in-device", VmAudiodev, side[1].hosts, &device_kind, NULL,
                       "device of the host that records; empty: its default one"),
  READ_ONLY ("out-devices", side[0].hosts, &devices_kind, "those that the host has to play"),
  READ_ONLY ("in-devices", side[1].hosts, &devices_kind, "those that the host has to record"),
  READ_ONLY ("underruns", side, &underruns_kind, "times that sound was not there when it was wanted"),
  { 0 },
};
