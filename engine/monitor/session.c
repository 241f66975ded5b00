/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The session API: a user interface's commands go to the engine loop, answers and events come back on its own
 * main context. Declared in engine/machine/session.h. */
#include "engine/machine/session.h"

#include "engine/monitor/monitor.h"
#include "engine/monitor/progress.h"

#include <unistd.h>

struct VmSession
{
  int refs; /* atomic: the owner's and one for each message under way */
  VmMachine *machine;
  VmMonitors *monitors;
  GMainContext *context;
  VmSessionFunc func;
  void *opaque;
  bool closed;  /* owner's context only: nothing is delivered any more */
  int state;    /* atomic copy of the run state */
  GMutex mutex; /* guards texts */
  GPtrArray *texts;
  VmListener listener; /* hears of consoles */
  VmSessionClient take_client; /* owner's context only */
  void *take_client_opaque;
};

static void
session_unref (VmSession *s)
{
  if (!g_atomic_int_dec_and_test (&s->refs))
    return;
  g_main_context_unref (s->context);
  g_ptr_array_unref (s->texts);
  g_mutex_clear (&s->mutex);
  g_free (s);
}

static VmSession *
session_ref (VmSession *s)
{
  g_atomic_int_inc (&s->refs);
  return s;
}

/* --- to the user interface --- */

typedef struct Delivery
{
  VmSession *session;
  VmSessionEvent event;
  char *name, *data;
  VmSessionDone done; /* an answer; NULL: an event */
  int client;         /* a descriptor + 1; 0: none */
  void *opaque;
  GError *error;
} Delivery;

static void
delivery_free (gpointer data)
{
  Delivery *d = data;

  session_unref (d->session);
  g_free (d->name);
  g_free (d->data);
  g_clear_error (&d->error);
  if (d->client)
    close (d->client - 1);
  g_free (d);
}

static int
steal_client (Delivery *d)
{
  int fd = d->client - 1;

  d->client = 0;
  return fd;
}

static gboolean
deliver (gpointer data)
{
  Delivery *d = data;
  VmSession *s = d->session;

  if (d->client)
    {
      if (!s->closed && s->take_client)
        s->take_client (s, steal_client (d), s->take_client_opaque);
    }
  else if (!s->closed && d->done)
    d->done (s, d->data, d->error, d->opaque);
  else if (!s->closed && s->func)
    s->func (s, d->event, d->name, d->data, s->opaque);
  return G_SOURCE_REMOVE;
}

static void
send_delivery (Delivery *d)
{
  GSource *source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT); /* keeps the order of events */
  g_source_set_callback (source, deliver, d, delivery_free);
  g_source_attach (source, d->session->context);
  g_source_unref (source);
}

static void
send_event (VmSession *s, VmSessionEvent event, const char *name, const char *data)
{
  Delivery *d = g_new0 (Delivery, 1);

  *d = (Delivery){ .session = session_ref (s), .event = event, .name = g_strdup (name), .data = g_strdup (data) };
  send_delivery (d);
}

/* --- what the engine tells; engine loop --- */

static void
on_qmp_event (void *opaque, const char *name, const char *data)
{
  static const struct
  {
    const char *name;
    VmSessionEvent event;
  } kinds[] = {
    { "RESET", VM_SESSION_RESET },
    { "POWERDOWN", VM_SESSION_POWERDOWN },
    { "SHUTDOWN", VM_SESSION_SHUTDOWN },
  };
  VmSessionEvent event = VM_SESSION_QMP;

  for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (!strcmp (name, kinds[i].name))
      event = kinds[i].event;
  send_event (opaque, event, name, data);
}

static void
on_state (VmMachine *machine, void *opaque)
{
  VmSession *s = opaque;

  g_atomic_int_set (&s->state, machine->state);
  send_event (s, VM_SESSION_STATE, NULL, NULL);
}

static void
copy_texts (VmSession *s)
{
  g_mutex_lock (&s->mutex);
  g_ptr_array_set_size (s->texts, 0);
  for (guint i = 0; i < s->machine->texts->len; i++)
    g_ptr_array_add (s->texts, vm_text_ref (g_ptr_array_index (s->machine->texts, i)));
  g_mutex_unlock (&s->mutex);
}

static void
on_texts (VmMachine *machine, void *opaque)
{
  VmSession *s = opaque;

  copy_texts (s);
  send_event (s, VM_SESSION_TEXTS, NULL, NULL);
}

static void
on_exit_event (VmMachine *machine, void *opaque)
{
  send_event (opaque, VM_SESSION_QUIT, NULL, NULL);
}

static void
on_consoles_changed (VmListener *listener)
{
  send_event (VM_CONTAINER_OF (listener, VmSession, listener), VM_SESSION_CONSOLES, NULL, NULL);
}

static const VmListenerOps listener_ops = { .consoles_changed = on_consoles_changed };

static void
on_client (void *opaque, int fd)
{
  Delivery *d = g_new0 (Delivery, 1);

  *d = (Delivery){ .session = session_ref (opaque), .client = fd + 1 };
  send_delivery (d);
}

/* --- opening and closing --- */

VmSession *
vm_session_new (VmMachine *machine, GMainContext *context, VmSessionFunc func, void *opaque)
{
  VmSession *s = g_new0 (VmSession, 1);
  bool taken = vm_lock_enter (machine->lock);

  s->refs = 1;
  s->machine = machine;
  s->monitors = vm_monitors_of (machine);
  s->context = g_main_context_ref (context ? context : g_main_context_default ());
  s->func = func;
  s->opaque = opaque;
  s->state = machine->state;
  g_mutex_init (&s->mutex);
  s->texts = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_text_unref);
  copy_texts (s);
  vm_monitors_add_tap (s->monitors, on_qmp_event, s);
  vm_machine_watch (machine, VM_MACHINE_STATE, on_state, s);
  vm_machine_watch (machine, VM_MACHINE_TEXTS, on_texts, s);
  vm_machine_watch (machine, VM_MACHINE_QUIT, on_exit_event, s);
  s->listener.ops = &listener_ops;
  vm_listener_add (machine->env.display, &s->listener, NULL);
  vm_lock_leave (machine->lock, taken);
  return s;
}

void
vm_session_free (VmSession *s)
{
  if (!s)
    return;
  bool taken = vm_lock_enter (s->machine->lock);
  vm_listener_remove (s->machine->env.display, &s->listener);
  vm_machine_unwatch (s->machine, VM_MACHINE_STATE, on_state, s);
  vm_machine_unwatch (s->machine, VM_MACHINE_TEXTS, on_texts, s);
  vm_machine_unwatch (s->machine, VM_MACHINE_QUIT, on_exit_event, s);
  vm_monitors_remove_tap (s->monitors, on_qmp_event, s);
  if (s->take_client)
    vm_monitors_set_client_taker (s->monitors, NULL, NULL, NULL);
  vm_lock_leave (s->machine->lock, taken);
  s->closed = true;
  session_unref (s);
}

void
vm_session_take_clients (VmSession *s, const char *protocol, VmSessionClient func, void *opaque)
{
  bool taken = vm_lock_enter (s->machine->lock);

  s->take_client = func;
  s->take_client_opaque = opaque;
  vm_monitors_set_client_taker (s->monitors, protocol, func ? on_client : NULL, s);
  vm_lock_leave (s->machine->lock, taken);
}

/* --- facts --- */

VmMachine *
vm_session_machine (VmSession *s)
{
  return s->machine;
}

VmDisplay *
vm_session_display (VmSession *s)
{
  return s->machine->env.display;
}

VmInput *
vm_session_input (VmSession *s)
{
  return s->machine->env.input;
}

const VmSettings *
vm_session_settings (VmSession *s)
{
  return s->machine->settings;
}

const char *
vm_session_name (VmSession *s)
{
  return s->machine->settings->name;
}

const char *
vm_session_accel (VmSession *s)
{
  return s->machine->accel->ops->name;
}

VmRunState
vm_session_state (VmSession *s)
{
  return g_atomic_int_get (&s->state);
}

bool
vm_session_is_running (VmSession *s)
{
  return vm_session_state (s) == VM_RUN_RUNNING;
}

static gpointer
ref_text (gconstpointer text, gpointer opaque)
{
  return vm_text_ref ((VmText *) text);
}

GPtrArray *
vm_session_texts (VmSession *s)
{
  g_mutex_lock (&s->mutex);
  GPtrArray *out = g_ptr_array_copy (s->texts, ref_text, NULL);
  g_mutex_unlock (&s->mutex);
  return out;
}

/* --- commands --- */

typedef struct Command
{
  VmSession *session;
  char *name; /* NULL: LINE for the human monitor */
  char *arguments;
  VmSessionDone done;
  void *opaque;
} Command;

static void
run_command (void *data)
{
  Command *c = data;
  Delivery *d = g_new0 (Delivery, 1);

  *d = (Delivery){ .session = session_ref (c->session), .done = c->done, .opaque = c->opaque };
  if (c->name)
    {
      json_object *arguments = c->arguments ? json_tokener_parse (c->arguments) : NULL;
      json_object *result = vm_monitors_execute (c->session->monitors, c->name, arguments, &d->error);
      d->data = result ? vm_json_to_string (result, false) : NULL;
      json_object_put (result);
      json_object_put (arguments);
    }
  else
    {
      d->data = vm_monitors_run_hmp (c->session->monitors, c->arguments, 0);
    }
  if (d->done)
    send_delivery (d);
  else
    delivery_free (d);
  session_unref (c->session);
  g_free (c->name);
  g_free (c->arguments);
  g_free (c);
}

static void
post (VmSession *s, const char *name, const char *arguments, VmSessionDone done, void *opaque)
{
  Command *c = g_new0 (Command, 1);

  *c = (Command){ session_ref (s), g_strdup (name), g_strdup (arguments), done, opaque };
  vm_loop_post (s->machine->env.loop, run_command, c);
}

void
vm_session_command (VmSession *s, const char *command, const char *arguments, VmSessionDone done, void *opaque)
{
  post (s, command, arguments, done, opaque);
}

void
vm_session_run_hmp (VmSession *s, const char *line, VmSessionDone done, void *opaque)
{
  post (s, NULL, line, done, opaque);
}

void
vm_session_stop (VmSession *s)
{
  post (s, "stop", NULL, NULL, NULL);
}

void
vm_session_cont (VmSession *s)
{
  post (s, "cont", NULL, NULL, NULL);
}

void
vm_session_reset (VmSession *s)
{
  post (s, "system_reset", NULL, NULL, NULL);
}

void
vm_session_powerdown (VmSession *s)
{
  post (s, "system_powerdown", NULL, NULL, NULL);
}

/* A closed window is not a QMP client's "quit": the event says who did it. */
void
vm_session_quit (VmSession *s)
{
  vm_machine_quit (s->machine, 0, VM_CAUSE_HOST_UI);
}

/* Consoles are objects here and names on the wire. */
typedef struct Dump
{
  VmSession *session;
  VmConsole *console;
  char *path, *format;
  VmSessionDone done;
  void *opaque;
} Dump;

static void
run_dump (void *data)
{
  Dump *dump = data;
  VmSession *s = dump->session;
  Delivery *d = g_new0 (Delivery, 1);
  VmConsole *console = dump->console ? dump->console : vm_display_console (s->machine->env.display, 0);

  *d = (Delivery){ .session = session_ref (s), .done = dump->done, .opaque = dump->opaque };
  if (!console)
    {
      vm_fail (&d->error, "There is no console to take a screendump from");
    }
  else
    {
      vm_console_refresh_now (console);
      if (vm_console_screendump (console, dump->path, dump->format, &d->error))
        d->data = g_strdup ("{}");
    }
  if (d->done)
    send_delivery (d);
  else
    delivery_free (d);
  session_unref (s);
  g_free (dump->path);
  g_free (dump->format);
  g_free (dump);
}

void
vm_session_screendump (VmSession *s, VmConsole *console, const char *path, const char *format, VmSessionDone done,
                       void *opaque)
{
  Dump *dump = g_new0 (Dump, 1);

  *dump = (Dump){ session_ref (s), console, g_strdup (path), g_strdup (format), done, opaque };
  vm_loop_post (s->machine->env.loop, run_dump, dump);
}

void
vm_session_send_keys (VmSession *s, const char *chord, VmSessionDone done, void *opaque)
{
  g_auto (GStrv) keys = g_strsplit_set (chord, "-+", -1);
  json_object *arguments = json_object_new_object (), *list = json_object_new_array ();

  for (char **key = keys; *key; key++)
    {
      json_object *value = json_object_new_object ();
      json_object_object_add (value, "type", json_object_new_string ("qcode"));
      json_object_object_add (value, "data", json_object_new_string (*key));
      json_object_array_add (list, value);
    }
  json_object_object_add (arguments, "keys", list);
  post (s, "send-key", json_object_to_json_string (arguments), done, opaque);
  json_object_put (arguments);
}

/* --- places for devices --- */

typedef struct Place
{
  VmSession *session;
  char *driver;
  VmSessionDone done;
  void *opaque;
  /* while looking */
  const char *family;
  const VmBus *found;
} Place;

static bool
look_at_buses (VmDevice *dev, void *opaque)
{
  Place *place = opaque;

  for (guint i = 0; dev->buses && i < dev->buses->len && !place->found; i++)
    {
      const VmBus *bus = g_ptr_array_index (dev->buses, i);
      bool room = !bus->max_devices || bus->devices->len < bus->max_devices;
      if (bus->hotplug && room && !g_strcmp0 (bus->type_name, place->family))
        place->found = bus;
    }
  return !place->found;
}

static void
run_find_place (void *data)
{
  Place *place = data;
  VmMachine *machine = place->session->machine;
  Delivery *d = g_new0 (Delivery, 1);
  const VmType *type = vm_type_find (machine->types, place->driver);
  const VmDeviceClass *klass = type && vm_type_is_a (type, &vm_device_type) ? vm_type_klass (type) : NULL;

  *d = (Delivery){ .session = session_ref (place->session), .done = place->done, .opaque = place->opaque };
  place->family = klass ? vm_device_bus_type (type) : NULL;
  if (place->family && klass->hotpluggable)
    vm_device_foreach (machine->env.root, look_at_buses, place);
  if (place->found)
    {
      json_object *result = json_object_new_object ();
      json_object_object_add (result, "bus", json_object_new_string (place->found->name));
      d->data = vm_json_to_string (result, false);
      json_object_put (result);
    }
  else if (!klass)
    vm_fail (&d->error, "there is no device '%s' in this build", place->driver);
  else
    vm_fail (&d->error, "no bus of this machine takes a '%s' while it is on", place->driver);
  send_delivery (d);
  session_unref (place->session);
  g_free (place->driver);
  g_free (place);
}

void
vm_session_find_place (VmSession *s, const char *driver, VmSessionDone done, void *opaque)
{
  Place *place = g_new0 (Place, 1);

  *place = (Place){ .session = session_ref (s), .driver = g_strdup (driver), .done = done, .opaque = opaque };
  vm_loop_post (s->machine->env.loop, run_find_place, place);
}

/* --- saving and loading --- */

bool
vm_session_progress (VmSession *s, uint64_t *done, uint64_t *total, bool *cancellable)
{
  return vm_progress_get (s->machine, done, total, cancellable);
}

void
vm_session_cancel_progress (VmSession *s)
{
  vm_progress_cancel (s->machine);
}
