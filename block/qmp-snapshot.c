/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots of a machine as monitors ask for them: jobs in QMP, at once for people. */
#include "block/drives.h"
#include "block/job.h"
#include "block/snapshot.h"
#include "engine/monitor/hmp.h"
#include "engine/monitor/qmp-handlers.h"

/* --- jobs ------------------------------------------------------------------------------------------------------- */

typedef struct SnapshotJob
{
  VmMachine *machine;
  char *tag;
  VmSnapshotPlace place;
  VmFiber *fiber;
  bool done, ok;
  GError *error;
} SnapshotJob;

/* On the engine loop, where the machine is. */
static void
carry_out (void *opaque)
{
  VmJob *job = opaque;
  SnapshotJob *s = job->state;

  switch (job->klass->type)
    {
    case VMQ_JOB_TYPE_SNAPSHOT_SAVE:
      s->ok = vm_snapshot_save (s->machine, s->tag, false, &s->place, &s->error);
      break;
    case VMQ_JOB_TYPE_SNAPSHOT_LOAD:
      s->ok = vm_snapshot_load (s->machine, s->tag, &s->place, &s->error);
      break;
    default:
      s->ok = vm_snapshot_delete (s->machine, s->tag, &s->place, &s->error);
      break;
    }
  s->done = true;
  vm_fiber_wake (s->fiber);
}

static bool
snapshot_run (VmJob *job, GError **error)
{
  SnapshotJob *s = job->state;

  job->total = 1;
  s->fiber = vm_fiber_self ();
  vm_loop_post (s->machine->env.loop, carry_out, job);
  while (!s->done)
    vm_fiber_suspend ();
  job->done = 1;
  if (!s->ok)
    g_propagate_error (error, g_steal_pointer (&s->error));
  return s->ok;
}

static void
snapshot_clean (VmJob *job)
{
  SnapshotJob *s = job->state;

  g_clear_pointer (&s->tag, g_free);
  g_free ((char *) (uintptr_t) s->place.vmstate);
  if (s->place.devices)
    g_ptr_array_unref ((GPtrArray *) (uintptr_t) s->place.devices);
  s->place = (VmSnapshotPlace){ 0 };
}

static const VmJobClass save_class
    = { .type = VMQ_JOB_TYPE_SNAPSHOT_SAVE, .run = snapshot_run, .clean = snapshot_clean };
static const VmJobClass load_class
    = { .type = VMQ_JOB_TYPE_SNAPSHOT_LOAD, .run = snapshot_run, .clean = snapshot_clean };
static const VmJobClass delete_class
    = { .type = VMQ_JOB_TYPE_SNAPSHOT_DELETE, .run = snapshot_run, .clean = snapshot_clean };

typedef struct Call
{
  VmMachine *machine;
  VmBlockGraph *graph;
  const VmJobClass *klass;
  const char *id, *tag, *vmstate;
  const GPtrArray *devices;
  GError **error;
  bool ok;
} Call;

static void
start_job (void *opaque)
{
  Call *call = opaque;
  VmJob *job = vm_job_new (call->graph, call->id, call->klass, sizeof (SnapshotJob), call->error);
  SnapshotJob *s;
  GPtrArray *devices;

  call->ok = job != NULL;
  if (!job)
    return;
  job->auto_dismiss = false;
  devices = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < call->devices->len; i++)
    g_ptr_array_add (devices, g_strdup (g_ptr_array_index (call->devices, i)));
  s = job->state;
  *s = (SnapshotJob){ .machine = call->machine,
                      .tag = g_strdup (call->tag),
                      .place = { g_strdup (call->vmstate), devices } };
  vm_job_start (job);
}

static bool
start (VmMonitor *mon, Call *call, GError **error)
{
  call->machine = vm_monitor_machine (mon);
  vm_drives_bind (call->machine);
  call->graph = vm_drives_find (call->machine->env.root)->graph;
  call->error = error;
  vm_graph_call (call->graph, start_job, call);
  return call->ok;
}

bool
vm_qmp_snapshot_save (VmMonitor *mon, const VmqSnapshotSaveArg *args, GError **error)
{
  Call call = {
    .klass = &save_class, .id = args->job_id, .tag = args->tag, .vmstate = args->vmstate, .devices = args->devices
  };

  return start (mon, &call, error);
}

bool
vm_qmp_snapshot_load (VmMonitor *mon, const VmqSnapshotLoadArg *args, GError **error)
{
  Call call = {
    .klass = &load_class, .id = args->job_id, .tag = args->tag, .vmstate = args->vmstate, .devices = args->devices
  };

  return start (mon, &call, error);
}

bool
vm_qmp_snapshot_delete (VmMonitor *mon, const VmqSnapshotDeleteArg *args, GError **error)
{
  Call call = { .klass = &delete_class, .id = args->job_id, .tag = args->tag, .devices = args->devices };

  return start (mon, &call, error);
}

/* At once: a name is a few bytes. */
bool
vm_qmp_x_snapshot_rename (VmMonitor *mon, const VmqXSnapshotRenameArg *args, GError **error)
{
  const VmSnapshotPlace place = { .devices = args->devices };

  return vm_snapshot_rename (vm_monitor_machine (mon), args->tag, args->name, &place, error);
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static void
report (VmMonitor *mon, bool ok, GError *error)
{
  if (!ok)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
  g_clear_error (&error);
}

void
vm_hmp_savevm (VmMonitor *mon, const VmHmpArgs *args)
{
  GError *error = NULL;
  bool ok = vm_snapshot_save (vm_monitor_machine (mon), vm_hmp_text (args, "name"), true, NULL, &error);

  report (mon, ok, error);
}

void
vm_hmp_loadvm (VmMonitor *mon, const VmHmpArgs *args)
{
  GError *error = NULL;
  bool ok = vm_snapshot_load (vm_monitor_machine (mon), vm_hmp_text (args, "name"), NULL, &error);

  report (mon, ok, error);
}

void
vm_hmp_delvm (VmMonitor *mon, const VmHmpArgs *args)
{
  GError *error = NULL;
  bool ok = vm_snapshot_delete (vm_monitor_machine (mon), vm_hmp_text (args, "name"), NULL, &error);

  report (mon, ok, error);
}

void
vm_hmp_info_snapshots (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = vm_snapshot_describe (vm_monitor_machine (mon), &error);

  vm_monitor_puts (mon, text ? text : error->message);
  if (!text)
    vm_monitor_puts (mon, "\n");
}

char **
vm_complete_snapshot (VmMonitor *mon, unsigned n, const char *start)
{
  g_auto (GStrv) tags = vm_snapshot_tags (vm_monitor_machine (mon));
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();

  for (guint i = 0; n == 0 && tags[i]; i++)
    if (*tags[i] && g_str_has_prefix (tags[i], start))
      g_strv_builder_add (out, tags[i]);
  return g_strv_builder_end (out);
}
