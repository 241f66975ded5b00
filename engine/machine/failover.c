/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Primary network cards and when they are plugged: see failover.h. */
#include "engine/machine/failover.h"

#include "engine/base/log.h"
#include "engine/machine/machine-private.h"

typedef struct Primary
{
  VmDeviceSpec *spec;
  char *standby;
  VmDevice *sample;             /* as checked when it was ordered; not of the machine */
  bool plugged, wanted, loaded; /* now; by a state that is being loaded; for its sake */
} Primary;

struct VmFailover
{
  GPtrArray *primaries; /* Primary * */
  GHashTable *ready;    /* ids of standbys */
  bool posted;
};

static void
primary_free (void *data)
{
  Primary *p = data;

  vm_device_spec_free (p->spec);
  vm_object_unref (&p->sample->parent);
  g_free (p->standby);
  g_free (p);
}

void
vm_failover_free (struct VmFailover *f)
{
  if (!f)
    return;
  g_ptr_array_unref (f->primaries);
  g_hash_table_unref (f->ready);
  g_free (f);
}

static struct VmFailover *
get (VmMachine *m)
{
  if (!m->priv->failover)
    {
      m->priv->failover = g_new0 (struct VmFailover, 1);
      m->priv->failover->primaries = g_ptr_array_new_with_free_func (primary_free);
      m->priv->failover->ready = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    }
  return m->priv->failover;
}

static Primary *
find (const VmMachine *m, const char *id)
{
  const struct VmFailover *f = m->priv->failover;

  for (guint i = 0; f && i < f->primaries->len; i++)
    {
      Primary *p = g_ptr_array_index (f->primaries, i);
      if (!strcmp (p->spec->id, id))
        return p;
    }
  return NULL;
}

/* --- coming and going --------------------------------------------------------------------------------------- */

static bool
plug (VmMachine *m, Primary *p, GError **error)
{
  p->plugged = true; /* its id is not taken any longer */
  if (vm_machine_plug_now (m, p->spec, error))
    return true;
  p->plugged = false;
  return false;
}

static void
unplug (VmMachine *m, Primary *p)
{
  VmObject *obj = vm_object_child (m->peripheral, p->spec->id);

  if (obj)
    vm_device_unrealize (VM_DEVICE (obj));
  p->plugged = false;
}

static void
plug_ready (void *opaque)
{
  VmMachine *m = opaque;
  struct VmFailover *f = get (m);

  f->posted = false;
  for (guint i = 0; i < f->primaries->len; i++)
    {
      Primary *p = g_ptr_array_index (f->primaries, i);
      g_autoptr (GError) error = NULL;
      if (!p->plugged && g_hash_table_contains (f->ready, p->standby) && !plug (m, p, &error))
        vm_report_warning ("failover: device '%s' cannot be plugged: %s", p->spec->id, error->message);
    }
}

void
vm_failover_set_ready (VmMachine *m, const char *id, bool ready)
{
  struct VmFailover *f = get (m);

  if (!ready)
    {
      g_hash_table_remove (f->ready, id);
      return;
    }
  vm_machine_emit (m, "FAILOVER_NEGOTIATED", "{\"device-id\": \"%s\"}", id);
  g_hash_table_add (f->ready, g_strdup (id));
  if (!f->posted)
    vm_loop_post (m->env.loop, plug_ready, m); /* it may be in the middle of an access to the bus */
  f->posted = true;
}

bool
vm_failover_take (VmMachine *m, VmDevice *dev, const VmBus *bus, const VmDeviceSpec *spec, bool *waits, GError **error)
{
  g_autofree char *standby = vm_type_find_prop (dev->parent.type, "failover_pair_id", NULL)
                                 ? vm_object_get (&dev->parent, "failover_pair_id", NULL)
                                 : NULL;
  struct VmFailover *f;
  Primary *p;

  *waits = false;
  if (!standby || !*standby)
    return true;
  if (!spec->id)
    return vm_fail (error, "Device with failover_pair_id needs to have id");
  if (!bus || !bus->hotplug)
    return vm_fail (error, "Bus '%s' does not support hotplugging", bus ? bus->name : "main-system-bus");
  f = get (m);
  p = g_new0 (Primary, 1);
  p->spec = g_new0 (VmDeviceSpec, 1);
  *p->spec = (VmDeviceSpec){ g_strdup (spec->driver), g_strdup (spec->id), g_strdup (spec->bus),
                             vm_keyvals_copy (spec->props), g_strdup (spec->text) };
  p->sample = (VmDevice *) vm_object_ref (&dev->parent);
  p->plugged = g_hash_table_contains (f->ready, standby);
  p->standby = g_steal_pointer (&standby);
  g_ptr_array_add (f->primaries, p);
  *waits = !p->plugged;
  return true;
}

/* A device called ID is not part of the machine any longer: nor is the order for it. */
void
vm_failover_gone (VmMachine *m, const char *id)
{
  Primary *p = id ? find (m, id) : NULL;

  if (p)
    g_ptr_array_remove (m->priv->failover->primaries, p);
}

bool
vm_failover_waits (const VmMachine *m, const char *id)
{
  const Primary *p = find (m, id);

  return p && !p->plugged;
}

bool
vm_failover_forget (VmMachine *m, const char *id)
{
  if (!vm_failover_waits (m, id))
    return false;
  vm_failover_gone (m, id);
  return true;
}

bool
vm_failover_waits_with (const VmMachine *m, const char *property, const char *value)
{
  const struct VmFailover *f = m->priv->failover;

  for (guint i = 0; f && i < f->primaries->len; i++)
    {
      const Primary *p = g_ptr_array_index (f->primaries, i);
      if (!p->plugged && !g_strcmp0 (vm_keyvals_get (p->spec->props, property), value))
        return true;
    }
  return false;
}

/* At the start, of those that nobody will ever call. */
void
vm_failover_warn (const VmMachine *m)
{
  const struct VmFailover *f = m->priv->failover;

  for (guint i = 0; f && i < f->primaries->len; i++)
    {
      const Primary *p = g_ptr_array_index (f->primaries, i);
      VmObject *standby = vm_object_child (m->peripheral, p->standby);
      g_autofree char *on = standby && vm_type_find_prop (standby->type, "failover", NULL)
                                ? vm_object_get (standby, "failover", NULL)
                                : NULL;
      if (g_strcmp0 (on, "true") != 0 && g_strcmp0 (on, "on") != 0)
        vm_report_warning ("device '%s' waits for its standby '%s', a virtio-net with failover=on, which is not there",
                           p->spec->id, p->standby);
    }
}

/* --- saved machines -------------------------------------------------------------------------------------------- */

char *
vm_failover_save (const VmMachine *m)
{
  const struct VmFailover *f = m->priv->failover;
  GString *ids = g_string_new (NULL);

  for (guint i = 0; f && i < f->primaries->len; i++)
    {
      const Primary *p = g_ptr_array_index (f->primaries, i);
      if (p->plugged)
        g_string_append_printf (ids, "%s\n", p->spec->id);
    }
  return g_string_free (ids, FALSE);
}

/* The state to come has these primaries: those that wait are plugged for it. */
bool
vm_failover_load (VmMachine *m, const char *ids, GError **error)
{
  g_auto (GStrv) list = g_strsplit (ids ? ids : "", "\n", -1); /* NULL: none */
  struct VmFailover *f = m->priv->failover;

  for (guint i = 0; f && i < f->primaries->len; i++)
    {
      Primary *p = g_ptr_array_index (f->primaries, i);
      p->wanted = g_strv_contains ((const char *const *) list, p->spec->id);
      p->loaded = p->wanted && !p->plugged;
      if (p->loaded && !(p->loaded = plug (m, p, error)))
        return false;
    }
  return true;
}

/* What was done by vm_failover_load() is undone; or the state is being put in place, and those it lacks go. */
void
vm_failover_load_end (VmMachine *m, bool ok)
{
  struct VmFailover *f = m->priv->failover;

  for (guint i = 0; f && i < f->primaries->len; i++)
    {
      Primary *p = g_ptr_array_index (f->primaries, i);
      if (p->plugged && (ok ? !p->wanted : p->loaded))
        unplug (m, p);
      p->loaded = false;
    }
}
