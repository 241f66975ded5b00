/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events on their way to QMP clients: time stamps, the check against the schema, rate limits. */
#include "engine/monitor/monitor-private.h"

#include "engine/base/log.h"
#include "engine/base/trace.h"

/* One limited event, by name and source: what came too early waits here, the last one wins. */
typedef struct Throttle
{
  VmMonitors *all;
  const VmSchemaEvent *event;
  json_object *waiting; /* message; NULL: none */
  VmTimer timer;
} Throttle;

static void
throttle_free (gpointer data)
{
  Throttle *t = data;

  vm_timer_cancel (&t->timer);
  json_object_put (t->waiting);
  g_free (t);
}

void
vm_events_free (VmMonitors *all)
{
  g_clear_pointer (&all->throttles, g_hash_table_unref);
}

static void
broadcast (VmMonitors *all, json_object *message)
{
  for (guint i = 0; i < all->open->len; i++)
    {
      VmMonitor *mon = g_ptr_array_index (all->open, i);
      if (mon->control && mon->negotiated)
        vm_qmp_send (mon, json_object_get (message));
    }
}

static void
on_timer (void *opaque)
{
  Throttle *t = opaque;
  VmClocks *clocks = t->all->machine->env.clocks;

  if (!t->waiting)
    return; /* quiet long enough: the next one goes out at once */
  json_object *message = g_steal_pointer (&t->waiting);
  broadcast (t->all, message);
  json_object_put (message);
  vm_timer_set (&t->timer, vm_clock_now (clocks, VM_CLOCK_REALTIME) + t->event->rate_ms * VM_NS_PER_MS);
}

static Throttle *
find_throttle (VmMonitors *all, const VmSchemaEvent *event, json_object *data)
{
  json_object *source = NULL;

  if (!all->throttles)
    all->throttles = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, throttle_free);
  if (event->rate_key && data)
    json_object_object_get_ex (data, event->rate_key, &source);
  g_autofree char *key = g_strconcat (event->name, ":", source ? json_object_get_string (source) : "", NULL);
  Throttle *t = g_hash_table_lookup (all->throttles, key);
  if (!t)
    {
      t = g_new0 (Throttle, 1);
      t->all = all;
      t->event = event;
      vm_timer_init (&t->timer, all->machine->env.clocks, VM_CLOCK_REALTIME, on_timer, t);
      g_hash_table_insert (all->throttles, g_steal_pointer (&key), t);
    }
  return t;
}

static void
send_or_hold (VmMonitors *all, const VmSchemaEvent *event, json_object *data, json_object *message)
{
  VmClocks *clocks = all->machine->env.clocks;

  if (!event->rate_ms)
    {
      broadcast (all, message);
      json_object_put (message);
      return;
    }
  Throttle *t = find_throttle (all, event, data);
  if (vm_timer_pending (&t->timer))
    {
      json_object_put (t->waiting);
      t->waiting = message;
      return;
    }
  broadcast (all, message);
  json_object_put (message);
  vm_timer_set (&t->timer, vm_clock_now (clocks, VM_CLOCK_REALTIME) + event->rate_ms * VM_NS_PER_MS);
}

/* The data of an event must be what the schema promises: clients were told so. */
static json_object *
checked_data (const VmSchemaEvent *event, const char *text)
{
  json_object *data = text ? json_tokener_parse (text) : NULL;

  if (!event->data)
    return NULL;
  g_autoptr (GError) error = NULL;
  void *value = vm_schema_read (event->data, data, VM_SCHEMA_JSON, NULL, &error);
  if (!value)
    g_error ("event %s: %s", event->name, error->message);
  vm_schema_free (event->data, value);
  return data;
}

void
vm_events_sink (void *opaque, const char *name, const char *data_json)
{
  VmMonitors *all = opaque;
  const VmSchemaEvent *event = vm_schema_find_event (name);
  json_object *message = json_object_new_object (), *stamp = json_object_new_object ();
  gint64 now = g_get_real_time ();

  g_assert (event);
  bool hidden = vm_schema_is_hidden (&all->machine->settings->compat, event->flags);
  vm_trace (QMP_EVENT, "%s %s", name, data_json ? data_json : "");
  json_object *data = checked_data (event, data_json);
  json_object_object_add (stamp, "seconds", json_object_new_int64 (now / G_USEC_PER_SEC));
  json_object_object_add (stamp, "microseconds", json_object_new_int64 (now % G_USEC_PER_SEC));
  json_object_object_add (message, "timestamp", stamp);
  json_object_object_add (message, "event", json_object_new_string (name));
  if (data)
    json_object_object_add (message, "data", json_object_get (data));
  for (guint i = 0; i < all->taps->len; i++)
    {
      const VmTap *tap = &g_array_index (all->taps, VmTap, i);
      tap->func (tap->opaque, name, data_json);
    }
  if (hidden)
    json_object_put (message);
  else
    send_or_hold (all, event, data, message);
  json_object_put (data);
}
