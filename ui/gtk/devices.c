/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads what query-block, "info network" and "info usernet" say. */
#include "config.h"

#include "ui/gtk/devices.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/waker.h"

#define ACTIVITY_MS 200 /* five looks a second */
#define SOUND_LOOKS 5   /* of these one at what the host has for sound */

enum
{
  PLACE_DISK,
  PLACE_CD,
  PLACE_NIC,
  N_PLACES
};

/* Types to try, the best first. */
static const struct
{
  unsigned place;
  const char *driver;
} tries[] = {
  { PLACE_DISK, "virtio-blk-pci" }, { PLACE_DISK, "scsi-hd" },   { PLACE_DISK, "usb-storage" },
  { PLACE_CD, "scsi-cd" },          { PLACE_CD, "usb-storage" }, { PLACE_NIC, "virtio-net-pci" },
};

typedef struct Place
{
  const char *driver; /* NULL: none */
  char *bus;
} Place;

struct _VmDevices
{
  GObject parent_instance;
  VmSession *session;
  VmListener listener; /* hears of the agent */
  GSource *waker;
  GPtrArray *media, *nics, *forwards;
  GPtrArray *sounds;
  Place places[N_PLACES];
  /* being gathered */
  bool asking, again;
  bool jobs; /* work on disks */
  GPtrArray *new_media, *new_nics, *new_forwards, *new_sounds;
  Place new_places[N_PLACES];
  guint activity; /* timer; 0: nobody looks */
  bool asked_activity;
  unsigned looks;
};

G_DEFINE_TYPE (VmDevices, vm_devices, G_TYPE_OBJECT)

enum
{
  CHANGED,
  ACTIVITY,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

/* --- parts -------------------------------------------------------------------------------------------------- */

static void
media_free (gpointer data)
{
  VmMedium *media = data;

  g_free (media->qdev);
  g_free (media->name);
  g_free (media->file);
  g_free (media->format);
  g_free (media->node);
  g_free (media->folder);
  g_free (media->label);
  g_free (media);
}

static void
nic_free (gpointer data)
{
  VmNic *nic = data;

  g_free (nic->name);
  g_free (nic->model);
  g_free (nic->netdev);
  g_free (nic->type);
  g_free (nic->mac);
  g_free (nic);
}

static void
forward_free (gpointer data)
{
  VmForward *forward = data;

  g_free (forward->netdev);
  g_free (forward->host);
  g_free (forward->guest);
  g_free (forward);
}

static void
sound_free (gpointer data)
{
  VmSound *sound = data;

  for (unsigned side = 0; side < 2; side++)
    {
      g_free (sound->side[side].device);
      json_object_put (sound->side[side].devices);
    }
  g_free (sound->id);
  g_free (sound->driver);
  g_free (sound);
}

static bool
media_equal (const VmMedium *a, const VmMedium *b)
{
  return a->kind == b->kind && !g_strcmp0 (a->qdev, b->qdev) && !g_strcmp0 (a->file, b->file)
         && !g_strcmp0 (a->format, b->format) && a->locked == b->locked && a->open == b->open
         && a->readonly == b->readonly && a->busy == b->busy;
}

static bool
nic_equal (const VmNic *a, const VmNic *b)
{
  return !g_strcmp0 (a->name, b->name) && !g_strcmp0 (a->netdev, b->netdev) && !g_strcmp0 (a->mac, b->mac)
         && a->link == b->link && a->fixed == b->fixed;
}

static bool
forward_equal (const VmForward *a, const VmForward *b)
{
  return !g_strcmp0 (a->netdev, b->netdev) && a->udp == b->udp && !g_strcmp0 (a->host, b->host)
         && !g_strcmp0 (a->guest, b->guest) && a->host_port == b->host_port && a->guest_port == b->guest_port;
}

static bool
sound_equal_of (gconstpointer a, gconstpointer b)
{
  const VmSound *one = a, *other = b;
  bool same = !g_strcmp0 (one->id, other->id);

  for (unsigned side = 0; side < 2; side++)
    same = same && one->side[side].mute == other->side[side].mute
           && !g_strcmp0 (one->side[side].device, other->side[side].device)
           && json_object_equal (one->side[side].devices, other->side[side].devices);
  return same;
}

/* Puts NEW in the place of *OLD; whether they differ. */
static bool
replace_list (GPtrArray **old, GPtrArray **new, bool (*equal) (gconstpointer, gconstpointer))
{
  bool same = (*old)->len == (*new)->len;

  for (guint i = 0; same && i < (*old)->len; i++)
    same = equal ((*old)->pdata[i], (*new)->pdata[i]);
  g_ptr_array_unref (*old);
  *old = g_steal_pointer (new);
  return !same;
}

static bool
media_equal_of (gconstpointer a, gconstpointer b)
{
  return media_equal (a, b);
}

static bool
nic_equal_of (gconstpointer a, gconstpointer b)
{
  return nic_equal (a, b);
}

static bool
forward_equal_of (gconstpointer a, gconstpointer b)
{
  return forward_equal (a, b);
}

static bool
replace_place (Place *old, Place *new)
{
  bool same = old->driver == new->driver && !g_strcmp0 (old->bus, new->bus);

  g_free (old->bus);
  *old = *new;
  *new = (Place){ 0 };
  return !same;
}

/* --- asking ------------------------------------------------------------------------------------------------- */

/* "json:{"driver":"raw","file":{"driver":"vvfat","dir":FOLDER,"label":LABEL}}" */
static void
read_share (VmMedium *media)
{
  json_object *image = g_str_has_prefix (media->file, "json:") ? json_tokener_parse (media->file + 5) : NULL;
  json_object *file = vm_json_get (image, "file") ? vm_json_get (image, "file") : image;

  if (media->kind != VM_MEDIUM_FLOPPY && !strcmp (vm_json_text (file, "driver"), "vvfat"))
    {
      media->kind = VM_MEDIUM_DISK; /* one that is only read is told with a tray */
      media->folder = g_strdup (vm_json_text (file, "dir"));
      media->label = g_strdup (vm_json_get (file, "label") ? vm_json_text (file, "label") : "VVFAT");
    }
  json_object_put (image);
}

static void
add_media (VmDevices *self, json_object *block)
{
  const char *qdev = vm_json_text (block, "qdev"), *device = vm_json_text (block, "device");
  json_object *inserted = vm_json_get (block, "inserted");

  if (!*qdev)
    return; /* a drive that no device has */
  VmMedium *media = g_new0 (VmMedium, 1);
  const char *slash = strrchr (qdev, '/');
  media->kind = vm_json_get (block, "tray_open")    ? VM_MEDIUM_CD
                : vm_json_flag (block, "removable") ? VM_MEDIUM_FLOPPY
                                                    : VM_MEDIUM_DISK;
  media->qdev = g_strdup (qdev);
  media->name = g_strdup (*device ? device : slash ? slash + 1 : qdev);
  media->locked = vm_json_flag (block, "locked");
  media->open = vm_json_flag (block, "tray_open");
  media->busy = self->jobs;
  if (inserted)
    {
      media->file = g_strdup (vm_json_text (inserted, "file"));
      media->format = g_strdup (vm_json_text (inserted, "drv"));
      media->node = g_strdup (vm_json_text (inserted, "node-name"));
      media->readonly = vm_json_flag (inserted, "ro");
      read_share (media);
    }
  VmMedium *before = vm_devices_find_medium (self, qdev);
  if (before)
    {
      media->activity = before->activity;
      media->read = before->read;
      media->written = before->written;
    }
  g_ptr_array_add (self->new_media, media);
}

bool
vm_jobs_work (json_object *jobs)
{
  for (size_t i = 0; i < vm_json_length (jobs); i++)
    if (strcmp (vm_json_text (json_object_array_get_idx (jobs, i), "status"), "concluded") != 0)
      return true;
  return false;
}

static void
got_block_jobs (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VM_DEVICES (owner)->jobs = vm_jobs_work (result);
}

static void
got_block (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  for (size_t i = 0; i < vm_json_length (result); i++)
    add_media (owner, json_object_array_get_idx (result, i));
}

/* What comes after KEY, up to a comma or the line's end. */
static char *
told (const char *text, const char *key)
{
  const char *value = strstr (text, key);

  return value ? g_strndup (value + strlen (key), strcspn (value + strlen (key), ",\r")) : g_strdup ("");
}

/* "e1000.0: index=0,type=nic,model=e1000,macaddr=..." and below it " \ net0: index=0,type=user,..." */
static void
got_network (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  g_auto (GStrv) lines = g_strsplit (result ? json_object_get_string (result) : "", "\n", -1);
  VmNic *last = NULL;

  for (char **line = lines; *line; line++)
    {
      bool below = g_str_has_prefix (*line, " \\ ");
      const char *text = *line + (below ? 3 : strspn (*line, " ")), *colon = strstr (text, ": index=");
      if (!colon || !g_str_has_prefix (colon, ": index=0,"))
        continue;
      g_autofree char *name = g_strndup (text, colon - text);
      g_autofree char *kind = told (text, "type=");
      if (below && last)
        {
          g_free (last->netdev);
          g_free (last->type);
          last->netdev = g_steal_pointer (&name);
          last->type = g_steal_pointer (&kind);
        }
      else if (!strcmp (kind, "nic"))
        {
          last = g_new0 (VmNic, 1);
          last->name = g_steal_pointer (&name);
          last->model = told (text, "model=");
          last->mac = told (text, "macaddr=");
          last->link = true;
          for (guint i = 0; i < self->nics->len; i++)
            {
              const VmNic *before = self->nics->pdata[i];
              if (strcmp (before->name, last->name))
                continue;
              last->activity = before->activity;
              last->received = before->received;
              last->sent = before->sent;
            }
          g_ptr_array_add (self->new_nics, last);
        }
      else
        {
          last = NULL;
        }
    }
}

static int
parse_port (const char *text)
{
  guint64 port;

  return g_ascii_string_to_unsigned (text, 10, 0, 65535, &port, NULL) ? (int) port : 0;
}

/* "  TCP[HOST_FORWARD]  12       127.0.0.1  2222       10.0.2.15    22     0     0" below "Hub -1 (net0):" */
static void
got_usernet (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  g_auto (GStrv) lines = g_strsplit (result ? json_object_get_string (result) : "", "\n", -1);
  g_autofree char *netdev = NULL;

  for (char **line = lines; *line; line++)
    {
      const char *open = strstr (*line, " ("), *close = strrchr (*line, ')');
      if (g_str_has_prefix (*line, "Hub ") && open && close && close > open)
        {
          g_free (netdev);
          netdev = g_strndup (open + 2, close - open - 2);
          continue;
        }
      if (!netdev || !strstr (*line, "[HOST_FORWARD]"))
        continue;
      g_auto (GStrv) all = g_strsplit_set (*line, " \t", -1);
      const char *words[8];
      unsigned n = 0;
      for (char **word = all; *word && n < G_N_ELEMENTS (words); word++)
        if (**word)
          words[n++] = *word;
      if (n < 6)
        continue;
      VmForward *forward = g_new0 (VmForward, 1);
      forward->netdev = g_strdup (netdev);
      forward->udp = g_str_has_prefix (words[0], "UDP");
      forward->host = g_strdup (words[2]);
      forward->host_port = parse_port (words[3]);
      forward->guest = g_strdup (words[4]);
      forward->guest_port = parse_port (words[5]);
      g_ptr_array_add (self->new_forwards, forward);
    }
}

/* What is asked of each -audiodev, in this order. */
static const char *const sound_properties[]
    = { "out-mute", "in-mute", "out-device", "in-device", "out-devices", "in-devices", "underruns" };
#define SOUND_PROPERTIES G_N_ELEMENTS (sound_properties)

static void
got_sound (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  guint index = GPOINTER_TO_UINT (data), property = index % SOUND_PROPERTIES, side = property % 2;
  VmSound *sound = g_ptr_array_index (self->new_sounds, index / SOUND_PROPERTIES);

  if (property == SOUND_PROPERTIES - 1)
    sound->underruns = json_object_get_int64 (result);
  else if (property < 2)
    sound->side[side].mute = json_object_get_boolean (result);
  else if (property < 4)
    sound->side[side].device = g_strdup (result ? json_object_get_string (result) : "");
  else
    sound->side[side].devices = json_object_get (result);
}

static void
ask_sound (VmDevices *self, const VmSound *sound, guint property, VmAnswer answer, gpointer data)
{
  g_autofree char *path = g_strconcat ("/audiodevs/", sound->id, NULL);

  vm_call (self->session, self, "qom-get",
           vm_json_dict ("path", VM_TEXT (path), "property", VM_TEXT (sound_properties[property]), NULL), answer, data);
}

static void
got_audiodevs (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;

  for (size_t i = 0; i < vm_json_length (result); i++)
    {
      json_object *entry = json_object_array_get_idx (result, i);
      VmSound *sound = g_new0 (VmSound, 1);
      sound->id = g_strdup (vm_json_text (entry, "id"));
      sound->driver = g_strdup (vm_json_text (entry, "driver"));
      g_ptr_array_add (self->new_sounds, sound);
      for (guint property = 0; property < SOUND_PROPERTIES; property++)
        ask_sound (self, sound, property, got_sound, GUINT_TO_POINTER (i * SOUND_PROPERTIES + property));
    }
}

static void
got_place (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  Place *place = &VM_DEVICES (owner)->new_places[tries[i].place];

  if (!result || place->driver)
    return;
  *place = (Place){ tries[i].driver, g_strdup (vm_json_text (result, "bus")) };
}

static void devices_ask (VmDevices *self);

/* Everything else was answered before this. */
static void
got_last (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  bool changed = replace_list (&self->media, &self->new_media, media_equal_of);

  changed |= replace_list (&self->nics, &self->new_nics, nic_equal_of);
  changed |= replace_list (&self->forwards, &self->new_forwards, forward_equal_of);
  changed |= replace_list (&self->sounds, &self->new_sounds, sound_equal_of);
  for (unsigned i = 0; i < N_PLACES; i++)
    changed |= replace_place (&self->places[i], &self->new_places[i]);
  self->asking = false;
  if (self->again)
    devices_ask (self);
  if (changed)
    g_signal_emit (self, signals[CHANGED], 0);
}

static void
got_link (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  guint index = GPOINTER_TO_UINT (data);

  if (result && index < self->new_nics->len)
    ((VmNic *) self->new_nics->pdata[index])->link = json_object_get_boolean (result);
}

/* Where one more would find no place, one that is there does not leave it either. */
static void
got_nic_place (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  guint index = GPOINTER_TO_UINT (data);

  if (index < self->new_nics->len)
    ((VmNic *) self->new_nics->pdata[index])->fixed = error != NULL;
}

/* Cards and their back ends are known now. */
static void
ask_links (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;

  for (guint i = 0; i < self->new_nics->len; i++)
    {
      const VmNic *nic = self->new_nics->pdata[i];
      vm_call_find_place (self->session, self, nic->model, got_nic_place, GUINT_TO_POINTER (i));
      if (!nic->netdev)
        continue;
      g_autofree char *path = g_strconcat ("/netdevs/", nic->netdev, NULL);
      vm_call (self->session, self, "qom-get",
               vm_json_dict ("path", VM_TEXT (path), "property", VM_TEXT ("link"), NULL), got_link,
               GUINT_TO_POINTER (i));
    }
  vm_call (self->session, self, "query-status", NULL, got_last, NULL);
}

static void
devices_ask (VmDevices *self)
{
  self->asking = true;
  self->again = false;
  self->new_media = g_ptr_array_new_with_free_func (media_free);
  self->new_nics = g_ptr_array_new_with_free_func (nic_free);
  self->new_forwards = g_ptr_array_new_with_free_func (forward_free);
  self->new_sounds = g_ptr_array_new_with_free_func (sound_free);
  vm_call (self->session, self, "query-block-jobs", NULL, got_block_jobs, NULL);
  vm_call (self->session, self, "query-block", NULL, got_block, NULL);
  vm_call (self->session, self, "query-audiodevs", NULL, got_audiodevs, NULL);
  vm_call_hmp (self->session, self, "info network", got_network, NULL);
  vm_call_hmp (self->session, self, "info usernet", got_usernet, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tries); i++)
    vm_call_find_place (self->session, self, tries[i].driver, got_place, GUINT_TO_POINTER (i));
  vm_call (self->session, self, "query-status", NULL, ask_links, NULL);
}

void
vm_devices_refresh (VmDevices *self)
{
  if (self->asking)
    self->again = true;
  else
    devices_ask (self);
}

/* --- activity ------------------------------------------------------------------------------------------------- */

static void
got_stats (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  bool changed = false;

  self->asked_activity = false;
  for (size_t i = 0; i < vm_json_length (result); i++)
    {
      json_object *entry = json_object_array_get_idx (result, i), *stats = vm_json_get (entry, "stats");
      VmMedium *media = vm_devices_find_medium (self, vm_json_text (entry, "qdev"));
      if (!media)
        continue;
      int64_t read = vm_json_number (stats, "rd_bytes"), written = vm_json_number (stats, "wr_bytes");
      unsigned activity
          = (read > media->read ? VM_ACTIVITY_READ : 0) | (written > media->written ? VM_ACTIVITY_WRITE : 0);
      changed |= activity != media->activity;
      media->activity = activity;
      media->read = read;
      media->written = written;
    }
  if (changed)
    g_signal_emit (self, signals[ACTIVITY], 0);
}

static void
got_traffic (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  const char *netdev = g_quark_to_string (GPOINTER_TO_UINT (data));
  int64_t received = vm_json_number (result, "to-guest"), sent = vm_json_number (result, "from-guest");
  bool changed = false;

  for (guint i = 0; result && i < self->nics->len; i++)
    {
      VmNic *nic = self->nics->pdata[i];
      if (g_strcmp0 (nic->netdev, netdev))
        continue;
      unsigned activity
          = (received > nic->received ? VM_ACTIVITY_READ : 0) | (sent > nic->sent ? VM_ACTIVITY_WRITE : 0);
      changed |= activity != nic->activity;
      nic->activity = activity;
      nic->received = received;
      nic->sent = sent;
    }
  if (changed)
    g_signal_emit (self, signals[ACTIVITY], 0);
}

/* The host's devices come and go without the engine's saying so. DATA: of one of the sounds, see got_sound(). */
static void
got_sound_again (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *self = owner;
  guint index = GPOINTER_TO_UINT (data), property = index % SOUND_PROPERTIES;
  VmSound *sound = index / SOUND_PROPERTIES < self->sounds->len ? self->sounds->pdata[index / SOUND_PROPERTIES] : NULL;

  if (!sound || error)
    return;
  if (property == SOUND_PROPERTIES - 1 && sound->underruns != json_object_get_int64 (result))
    {
      sound->underruns = json_object_get_int64 (result);
      g_signal_emit (self, signals[ACTIVITY], 0);
    }
  else if (property < SOUND_PROPERTIES - 1 && !json_object_equal (result, sound->side[property % 2].devices))
    vm_devices_refresh (self);
}

static void
look_at_sounds (VmDevices *self)
{
  for (guint i = 0; i < self->sounds->len; i++)
    for (guint property = 4; property < SOUND_PROPERTIES; property++)
      ask_sound (self, self->sounds->pdata[i], property, got_sound_again,
                 GUINT_TO_POINTER (i * SOUND_PROPERTIES + property));
}

static gboolean
look_at_activity (gpointer user_data)
{
  VmDevices *self = user_data;

  /* One question at a time: the engine may be busy. */
  if (self->asked_activity || self->media->len + self->nics->len + self->sounds->len == 0)
    return G_SOURCE_CONTINUE;
  if (self->looks++ % SOUND_LOOKS == 0)
    look_at_sounds (self);
  for (guint i = 0; i < self->nics->len; i++)
    {
      const VmNic *nic = self->nics->pdata[i];
      if (!nic->netdev)
        continue;
      g_autofree char *path = g_strconcat ("/netdevs/", nic->netdev, NULL);
      vm_call (self->session, self, "qom-get",
               vm_json_dict ("path", VM_TEXT (path), "property", VM_TEXT ("traffic"), NULL), got_traffic,
               GUINT_TO_POINTER (g_quark_from_string (nic->netdev)));
    }
  self->asked_activity = true;
  vm_call (self->session, self, "query-blockstats", NULL, got_stats, NULL);
  return G_SOURCE_CONTINUE;
}

void
vm_devices_watch_activity (VmDevices *self, bool watch)
{
  if (watch && !self->activity)
    self->activity = g_timeout_add (ACTIVITY_MS, look_at_activity, self);
  else if (!watch && self->activity)
    {
      g_clear_handle_id (&self->activity, g_source_remove);
      for (guint i = 0; i < self->media->len; i++)
        ((VmMedium *) self->media->pdata[i])->activity = 0;
      for (guint i = 0; i < self->nics->len; i++)
        ((VmNic *) self->nics->pdata[i])->activity = 0;
      g_signal_emit (self, signals[ACTIVITY], 0);
    }
}

/* --- the agent ---------------------------------------------------------------------------------------------------- */

/* Engine loop. */
static void
agent_changed (VmListener *listener)
{
  vm_waker_poke (VM_CONTAINER_OF (listener, VmDevices, listener)->waker);
}

static const VmListenerOps listener_ops = { .agent_changed = agent_changed };

static gboolean
look_at_agent (gpointer user_data)
{
  g_signal_emit (user_data, signals[CHANGED], 0);
  return G_SOURCE_CONTINUE;
}

bool
vm_devices_agent_takes_files (VmDevices *self)
{
  VmAgentState state = vm_display_agent_state (vm_session_display (self->session));

  return state.connected && state.files;
}

/* --- object --------------------------------------------------------------------------------------------------- */

void
vm_devices_close (VmDevices *self)
{
  vm_listener_remove (vm_session_display (self->session), &self->listener);
  g_clear_pointer (&self->waker, vm_waker_free);
}

static void
devices_dispose (GObject *object)
{
  VmDevices *self = VM_DEVICES (object);

  if (self->waker)
    vm_devices_close (self);
  G_OBJECT_CLASS (vm_devices_parent_class)->dispose (object);
}

static void
devices_finalize (GObject *object)
{
  VmDevices *self = VM_DEVICES (object);

  g_clear_handle_id (&self->activity, g_source_remove);
  g_ptr_array_unref (self->media);
  g_ptr_array_unref (self->nics);
  g_ptr_array_unref (self->forwards);
  g_clear_pointer (&self->new_media, g_ptr_array_unref);
  g_clear_pointer (&self->new_nics, g_ptr_array_unref);
  g_ptr_array_unref (self->sounds);
  g_clear_pointer (&self->new_forwards, g_ptr_array_unref);
  g_clear_pointer (&self->new_sounds, g_ptr_array_unref);
  for (unsigned i = 0; i < N_PLACES; i++)
    {
      g_free (self->places[i].bus);
      g_free (self->new_places[i].bus);
    }
  G_OBJECT_CLASS (vm_devices_parent_class)->finalize (object);
}

static void
vm_devices_class_init (VmDevicesClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = devices_dispose;
  G_OBJECT_CLASS (klass)->finalize = devices_finalize;
  signals[CHANGED] = g_signal_new ("changed", VM_TYPE_DEVICES, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[ACTIVITY]
      = g_signal_new ("activity", VM_TYPE_DEVICES, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vm_devices_init (VmDevices *self)
{
  self->media = g_ptr_array_new_with_free_func (media_free);
  self->nics = g_ptr_array_new_with_free_func (nic_free);
  self->forwards = g_ptr_array_new_with_free_func (forward_free);
  self->sounds = g_ptr_array_new_with_free_func (sound_free);
}

VmDevices *
vm_devices_new (VmSession *session)
{
  VmDevices *self = g_object_new (VM_TYPE_DEVICES, NULL);

  self->session = session;
  self->waker = vm_waker_new (look_at_agent, self);
  self->listener.ops = &listener_ops;
  vm_listener_add (vm_session_display (session), &self->listener, NULL);
  return self;
}

VmSession *
vm_devices_session (VmDevices *self)
{
  return self->session;
}

const GPtrArray *
vm_devices_media (VmDevices *self)
{
  return self->media;
}

const GPtrArray *
vm_devices_nics (VmDevices *self)
{
  return self->nics;
}

const GPtrArray *
vm_devices_forwards (VmDevices *self)
{
  return self->forwards;
}

const GPtrArray *
vm_devices_sounds (VmDevices *self)
{
  return self->sounds;
}

VmMedium *
vm_devices_find_medium (VmDevices *self, const char *qdev)
{
  for (guint i = 0; i < self->media->len; i++)
    if (!g_strcmp0 (((VmMedium *) self->media->pdata[i])->qdev, qdev))
      return self->media->pdata[i];
  return NULL;
}

/* The first empty one, else the first. */
VmMedium *
vm_devices_first_medium (VmDevices *self, VmMediumKind kind)
{
  VmMedium *first = NULL;

  for (guint i = 0; i < self->media->len; i++)
    {
      VmMedium *media = self->media->pdata[i];
      if (media->kind == kind && (!first || (first->file && !media->file)))
        first = media;
    }
  return first;
}

const char *
vm_devices_disk_driver (VmDevices *self, const char **bus)
{
  *bus = self->places[PLACE_DISK].bus;
  return self->places[PLACE_DISK].driver;
}

const char *
vm_devices_cd_driver (VmDevices *self, const char **bus)
{
  *bus = self->places[PLACE_CD].bus;
  return self->places[PLACE_CD].driver;
}

bool
vm_devices_take_nics (VmDevices *self)
{
  return self->places[PLACE_NIC].driver != NULL;
}

const VmNic *
vm_devices_find_nic (VmDevices *self, const char *name)
{
  for (guint i = 0; i < self->nics->len; i++)
    if (!g_strcmp0 (((const VmNic *) self->nics->pdata[i])->name, name))
      return self->nics->pdata[i];
  return NULL;
}

char *
vm_medium_title (const VmMedium *media)
{
  switch (media->kind)
    {
    case VM_MEDIUM_CD:
      /* Translators: %s is the name of the drive. */
      return g_strdup_printf (_ ("CD drive %s"), media->name);
    case VM_MEDIUM_FLOPPY:
      return g_strdup_printf (_ ("Floppy drive %s"), media->name);
    default:
      if (!media->folder)
        return g_strdup_printf (_ ("Disk %s"), media->name);
      g_autofree char *base = g_path_get_basename (media->folder), *shown = g_filename_display_name (base);
      /* Translators: %s is its name. */
      return g_strdup_printf (_ ("Shared folder %s"), shown);
    }
}

char *
vm_medium_describe (const VmMedium *media)
{
  const char *doing = media->activity & VM_ACTIVITY_WRITE  ? _ ("writing")
                      : media->activity & VM_ACTIVITY_READ ? _ ("reading")
                                                           : _ ("idle");

  if (!media->file)
    return g_strdup (media->open ? _ ("empty, tray open") : _ ("empty"));
  g_autofree char *base = media->folder ? g_strdup (media->folder) : g_path_get_basename (media->file);
  g_autofree char *shown = g_filename_display_name (base);
  /* Translators: a file's name, and what is done with it: "debian.iso, reading". */
  return g_strdup_printf (media->readonly ? _ ("%s (read-only), %s") : _ ("%s, %s"), shown, doing);
}

char *
vm_medium_no_growth (const VmMedium *media)
{
  /* And the filters that pass it on. */
  static const char *const formats[]
      = { "qcow2", "raw", "qed", "luks", "file", "throttle", "copy-on-read", "compress", "preallocate", NULL };

  if (media->kind == VM_MEDIUM_CD)
    return g_strdup (_ ("a CD has the size it has"));
  if (media->kind == VM_MEDIUM_FLOPPY)
    return g_strdup (_ ("a floppy disk has the size it has"));
  if (!media->file)
    return g_strdup (_ ("there is nothing in it"));
  if (media->folder)
    return g_strdup (_ ("it is a folder"));
  if (media->readonly)
    return g_strdup (_ ("it is read-only"));
  if (g_str_has_prefix (media->file, "/dev/") && !g_str_has_prefix (media->file, "/dev/shm/"))
    return g_strdup (_ ("it is a device of the host"));
  if (!g_strv_contains (formats, media->format))
    /* Translators: %s is a format of disk images, such as "vmdk". */
    return g_strdup_printf (_ ("“%s” images have the size they were made with"), media->format);
  return media->busy ? g_strdup (_ ("a job works on disks")) : NULL;
}

/* Whichever bus it went to: udev goes by what is on the disk, and writes what is no letter as its code. */
char *
vm_medium_mount_line (const VmMedium *media)
{
  GString *line = g_string_new (NULL);

  g_string_printf (line, "sudo mount -o %s /dev/disk/by-label/", media->readonly ? "ro" : "rw");
  for (const char *at = media->label; *at; at++)
    if (g_ascii_isalnum (*at) || strchr ("#+-.:=@_", *at))
      g_string_append_c (line, *at);
    else
      g_string_append_printf (line, "\\\\x%02x", (unsigned char) *at);
  return g_string_free (g_string_append (line, " /mnt"), FALSE);
}

char *
vm_nic_title (const VmNic *nic)
{
  /* Translators: %s is the name of a network card. */
  return g_strdup_printf (_ ("Network card %s"), nic->name);
}

char *
vm_nic_describe (const VmNic *nic)
{
  if (!nic->link || !nic->netdev)
    return g_strdup (_ ("no cable"));
  return g_strdup (nic->activity == (VM_ACTIVITY_READ | VM_ACTIVITY_WRITE) ? _ ("cable in, sending and receiving")
                   : nic->activity & VM_ACTIVITY_WRITE                     ? _ ("cable in, sending")
                   : nic->activity & VM_ACTIVITY_READ                      ? _ ("cable in, receiving")
                                                                           : _ ("cable in"));
}

/* The name that people know of the device that is chosen; NULL: none is. */
static const char *
sound_device (const VmSound *sound, unsigned side)
{
  const char *name = sound->side[side].device;

  for (size_t i = 0; name && *name && i < vm_json_length (sound->side[side].devices); i++)
    {
      json_object *device = json_object_array_get_idx (sound->side[side].devices, i);
      if (!strcmp (vm_json_text (device, "name"), name))
        return vm_json_text (device, "description");
    }
  return name && *name ? name : NULL;
}

char *
vm_sound_describe (const VmSound *sound)
{
  g_autoptr (GStrvBuilder) parts = g_strv_builder_new ();
  const char *out = sound_device (sound, 0), *in = sound_device (sound, 1);
  g_autofree char *to = out ? g_strdup_printf (_ ("plays to %s"), out) : NULL;
  g_autofree char *from = in ? g_strdup_printf (_ ("records from %s"), in) : NULL;
  unsigned n = (unsigned) sound->underruns;
  /* Translators: times that sound was not there when it was to be played. */
  g_autofree char *runs = n ? g_strdup_printf (ngettext ("%u underrun", "%u underruns", n), n) : NULL;
  const char *const all[] = { sound->driver,
                              to,
                              from,
                              sound->side[0].mute ? _ ("plays nothing") : NULL,
                              sound->side[1].mute ? _ ("records silence") : NULL,
                              runs };

  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i])
      g_strv_builder_add (parts, all[i]);
  g_auto (GStrv) list = g_strv_builder_end (parts);
  return g_strjoinv (", ", list);
}
