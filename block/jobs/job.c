/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs: their life, what users do to them, and what is told of it. */
#include "block/job.h"

#include "block/graph-private.h"

#include <errno.h>

struct VmJobs
{
  GPtrArray *list; /* VmJob * */
};

const GPtrArray *
vm_jobs (VmBlockGraph *graph)
{
  if (!graph->jobs)
    {
      graph->jobs = g_new0 (VmJobs, 1);
      graph->jobs->list = g_ptr_array_new ();
    }
  return graph->jobs->list;
}

VmJob *
vm_job_find (VmBlockGraph *graph, const char *id)
{
  const GPtrArray *list = vm_jobs (graph);

  for (guint i = 0; i < list->len; i++)
    {
      VmJob *job = g_ptr_array_index (list, i);
      if (!strcmp (job->id, id))
        return job;
    }
  return NULL;
}

/* --- events ----------------------------------------------------------------------------------------------------- */

static json_object *
member (json_object *to, const char *name, json_object *value)
{
  json_object_object_add (to, name, value);
  return to;
}

static json_object *
text (const char *value)
{
  return json_object_new_string (value);
}

static void
set_status (VmJob *job, VmqJobStatus status)
{
  if (job->status == status)
    return;
  job->status = status;
  if (!job->id)
    return;
  json_object *data = member (json_object_new_object (), "id", text (job->id));
  vm_graph_event (job->graph, "JOB_STATUS_CHANGE", member (data, "status", text (vmq_type_jobstatus.names[status])));
}

static void
block_event (VmJob *job, const char *name)
{
  json_object *data;

  if (!job->id || !job->klass->block)
    return;
  data = member (json_object_new_object (), "type", text (vmq_type_jobtype.names[job->klass->type]));
  if (!strcmp (name, "BLOCK_JOB_PENDING"))
    {
      vm_graph_event (job->graph, name, member (data, "id", text (job->id)));
      return;
    }
  member (data, "device", text (job->id));
  member (data, "len", json_object_new_int64 ((int64_t) job->total));
  member (data, "offset", json_object_new_int64 ((int64_t) job->done));
  member (data, "speed", json_object_new_int64 ((int64_t) job->speed));
  if (job->error && !strcmp (name, "BLOCK_JOB_COMPLETED"))
    member (data, "error", text (job->error));
  vm_graph_event (job->graph, name, data);
}

/* --- making ------------------------------------------------------------------------------------------------------ */

VmJob *
vm_job_new (VmBlockGraph *graph, const char *id, const VmJobClass *klass, size_t state_size, GError **error)
{
  VmJob *job;

  if (id && vm_job_find (graph, id))
    {
      vm_fail (error, "Job ID '%s' already in use", id);
      return NULL;
    }
  job = g_new0 (VmJob, 1);
  job->graph = graph;
  job->klass = klass;
  job->id = g_strdup (id);
  job->state = g_malloc0 (state_size);
  job->auto_finalize = job->auto_dismiss = true;
  job->roots = g_ptr_array_new ();
  vm_jobs (graph);
  if (id)
    g_ptr_array_add (graph->jobs->list, job);
  return job;
}

/* --- groups ----------------------------------------------------------------------------------------------------- */

struct VmJobGroup
{
  unsigned refs;
  GPtrArray *jobs; /* VmJob *, those that are not forgotten */
};

VmJobGroup *
vm_job_group_new (void)
{
  VmJobGroup *group = g_new0 (VmJobGroup, 1);

  group->refs = 1;
  group->jobs = g_ptr_array_new ();
  return group;
}

void
vm_job_group_unref (VmJobGroup *group)
{
  if (--group->refs)
    return;
  g_ptr_array_unref (group->jobs);
  g_free (group);
}

void
vm_job_join (VmJob *job, VmJobGroup *group)
{
  if (!group)
    return;
  group->refs++;
  job->group = group;
  g_ptr_array_add (group->jobs, job);
}

static void
leave_group (VmJob *job)
{
  if (!job->group)
    return;
  g_ptr_array_remove (job->group->jobs, job);
  vm_job_group_unref (g_steal_pointer (&job->group));
}

static void
wake (VmJob *job)
{
  vm_fiber_queue_wake_all (&job->wake);
}

/* JOB is done or lost: the others hear of it. */
static void
tell_group (VmJob *job, bool lost)
{
  for (guint i = 0; job->group && i < job->group->jobs->len; i++)
    {
      VmJob *other = g_ptr_array_index (job->group->jobs, i);
      if (other == job || other->ended)
        continue;
      if (lost)
        {
          other->cancelled = other->forced = true;
          other->user_paused = false;
        }
      wake (other);
    }
}

/* Others have still to do. */
static bool
group_works (const VmJob *job)
{
  for (guint i = 0; job->group && i < job->group->jobs->len; i++)
    {
      const VmJob *other = g_ptr_array_index (job->group->jobs, i);
      if (!other->ended && other->status != VMQ_JOB_STATUS_WAITING && other->status != VMQ_JOB_STATUS_PENDING)
        return true;
    }
  return false;
}

/* One that waits for its user makes all wait. */
static bool
group_waits_for_user (const VmJob *job)
{
  bool waits = !job->auto_finalize && !job->finalizing;

  for (guint i = 0; job->group && i < job->group->jobs->len; i++)
    {
      const VmJob *other = g_ptr_array_index (job->group->jobs, i);
      waits |= !other->ended && !other->auto_finalize && !other->finalizing;
    }
  return waits;
}

/* --- filters ---------------------------------------------------------------------------------------------------- */

static int
filter_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_read (node->file->node, offset, vec, flags);
}

static int
filter_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_write (node->file->node, offset, vec, flags);
}

static int
filter_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  return vm_node_write_zeroes (node->file->node, offset, len, flags);
}

static int
filter_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  return vm_node_discard (node->file->node, offset, len);
}

#define FILTER(driver_name)                                                                                            \
  {                                                                                                                    \
    .name = driver_name, .help = "Over what a job works on", .kind = VM_DRIVER_FILTER, .read = filter_read,            \
    .write = filter_write, .write_zeroes = filter_write_zeroes, .discard = filter_discard                              \
  }
static const VmBlockDriver mirror_filter = FILTER ("mirror_top"), commit_filter = FILTER ("commit_top"),
                           stream_filter = FILTER ("copy-on-read"), backup_filter = FILTER ("copy-before-write");

bool
vm_job_insert_filter (VmJob *job, VmNode *node, const char *name, GError **error)
{
  const VmBlockDriver *driver = job->klass->type == VMQ_JOB_TYPE_MIRROR   ? &mirror_filter
                                : job->klass->type == VMQ_JOB_TYPE_COMMIT ? &commit_filter
                                : job->klass->type == VMQ_JOB_TYPE_STREAM ? &stream_filter
                                                                          : &backup_filter;

  job->filter = vm_node_new_filter (node, driver, name, error);
  if (!job->filter)
    return false;
  if (vm_node_replace (node, job->filter, error))
    return true;
  vm_node_unref (g_steal_pointer (&job->filter));
  return false;
}

static void
release (VmJob *job)
{
  if (job->klass->clean)
    job->klass->clean (job);
  if (job->filter)
    {
      /* Whoever came by it comes to what is below it now. */
      if (job->filter->parents->len)
        vm_node_replace (job->filter, job->filter->file->node, NULL);
      vm_node_unref (g_steal_pointer (&job->filter));
    }
  while (job->roots->len)
    vm_node_detach (g_ptr_array_remove_index (job->roots, job->roots->len - 1));
}

static void
forget (VmJob *job)
{
  g_ptr_array_remove (job->graph->jobs->list, job);
  leave_group (job);
  g_ptr_array_unref (job->roots);
  g_free (job->state);
  g_free (job->error);
  g_free (job->id);
  g_free (job);
}

void
vm_job_free (VmJob *job)
{
  release (job);
  forget (job);
}

static void
drain_begin (void *opaque)
{
  ((VmJob *) opaque)->drains++;
}

static bool
drain_busy (void *opaque)
{
  VmJob *job = opaque;

  return (!job->still || job->workers) && !job->ended;
}

static void
drain_end (void *opaque)
{
  VmJob *job = opaque;

  if (!--job->drains)
    vm_fiber_queue_wake_all (&job->wake);
}

static const VmRootClass job_root
    = { .kind = "job", .drain_begin = drain_begin, .drain_busy = drain_busy, .drain_end = drain_end };

bool
vm_job_attach (VmJob *job, VmNode *node, const char *who, unsigned perm, unsigned shared, GError **error)
{
  VmEdge *root = vm_node_attach_root (node, who, &job_root, job, perm, shared, error);

  if (!root)
    return false;
  g_ptr_array_add (job->roots, root);
  return true;
}

/* --- in the fiber ------------------------------------------------------------------------------------------------ */

void
vm_job_still (VmJob *job, bool still)
{
  job->still = still;
}

static void
wait_for_users (VmJob *job)
{
  job->still = true;
  vm_fiber_queue_wait (&job->wake);
  job->still = false;
}

static bool
is_stopped (const VmJob *job)
{
  return job->drains || job->user_paused;
}

/* Ready and not forced: cancelling is a way to end well. */
static bool
is_cancelled (const VmJob *job)
{
  return job->cancelled && job->forced;
}

bool
vm_job_point (VmJob *job)
{
  VmqJobStatus before = job->status;
  bool ready = before == VMQ_JOB_STATUS_READY;

  if (is_stopped (job) && !is_cancelled (job))
    {
      set_status (job, ready ? VMQ_JOB_STATUS_STANDBY : VMQ_JOB_STATUS_PAUSED);
      while (is_stopped (job) && !is_cancelled (job))
        wait_for_users (job);
      set_status (job, before);
    }
  while (job->drains) /* also of a cancelled job: what it undoes comes later */
    wait_for_users (job);
  return !is_cancelled (job);
}

typedef struct Alarm
{
  VmJob *job;
  bool waiting, over;
  VmWakeup *wakeup;
} Alarm;

static void
alarm_rings (void *opaque)
{
  Alarm *alarm = opaque;

  vm_fiber_queue_wake_all (&alarm->job->wake);
}

bool
vm_job_sleep (VmJob *job, int64_t ns)
{
  Alarm alarm = { .job = job };
  int64_t end = g_get_monotonic_time () * 1000 + ns;

  alarm.wakeup = vm_wakeup_new (vm_graph_loop (job->graph), alarm_rings, &alarm);
  vm_wakeup_arm (alarm.wakeup, end);
  wait_for_users (job);
  vm_wakeup_free (alarm.wakeup);
  return vm_job_point (job);
}

void
vm_job_worker (VmJob *job, void (*func) (void *opaque), void *opaque)
{
  job->workers++;
  vm_fiber_spawn (vm_graph_loop (job->graph), func, opaque);
}

void
vm_job_worker_done (VmJob *job)
{
  job->workers--;
  vm_fiber_queue_wake_all (&job->wake);
}

void
vm_job_progress (VmJob *job, uint64_t bytes)
{
  job->done += bytes;
  vm_job_slow_down (job, bytes);
}

void
vm_job_slow_down (VmJob *job, uint64_t bytes)
{
  int64_t now = g_get_monotonic_time () * 1000;

  if (!job->speed)
    return;
  job->free_at = MAX (job->free_at, now) + (int64_t) ((double) bytes * 1e9 / (double) job->speed);
  while (job->speed && job->free_at > now && !is_cancelled (job))
    {
      vm_job_sleep (job, job->free_at - now);
      now = g_get_monotonic_time () * 1000;
    }
}

void
vm_job_ready (VmJob *job)
{
  if (job->status == VMQ_JOB_STATUS_READY)
    return;
  set_status (job, VMQ_JOB_STATUS_READY);
  block_event (job, "BLOCK_JOB_READY");
}

bool
vm_job_failed (VmJob *job, VmJobOnError policy, bool read, int status, bool *retry)
{
  static const char *const actions[] = { "report", "ignore", "report", "stop" };
  bool stop = policy == VM_JOB_STOP || ((policy == VM_JOB_ENOSPC || policy == VM_JOB_AUTO) && status == -ENOSPC);
  int action = stop ? VM_JOB_STOP : policy == VM_JOB_IGNORE ? VM_JOB_IGNORE : VM_JOB_REPORT;
  json_object *data = json_object_new_object ();

  member (data, "device", text (job->id ? job->id : ""));
  member (data, "operation", text (read ? "read" : "write"));
  vm_graph_event (job->graph, "BLOCK_JOB_ERROR", member (data, "action", text (actions[action])));
  *retry = stop;
  if (stop)
    {
      job->user_paused = true;
      job->io_status = status == -ENOSPC ? VMQ_BLOCK_DEVICE_IO_STATUS_NOSPACE : VMQ_BLOCK_DEVICE_IO_STATUS_FAILED;
    }
  return action != VM_JOB_REPORT;
}

/* --- the way of a job -------------------------------------------------------------------------------------------- */

static void
take_error (VmJob *job, GError *error)
{
  g_free (job->error);
  job->error = g_strdup (error ? error->message : "Operation canceled");
  g_clear_error (&error);
}

static bool
await_finalize (VmJob *job)
{
  set_status (job, VMQ_JOB_STATUS_WAITING);
  tell_group (job, false);
  while (group_works (job) && !job->cancelled)
    wait_for_users (job);
  if (job->cancelled)
    return false;
  set_status (job, VMQ_JOB_STATUS_PENDING);
  if (!job->auto_finalize)
    block_event (job, "BLOCK_JOB_PENDING");
  while (group_waits_for_user (job) && !job->cancelled)
    wait_for_users (job);
  return !job->cancelled;
}

static void
job_life (void *opaque)
{
  VmJob *job = opaque;
  GError *error = NULL;
  bool ok;

  set_status (job, VMQ_JOB_STATUS_RUNNING);
  ok = vm_job_point (job) && job->klass->run (job, &error);
  job->cancelled &= !ok; /* a mirror that was asked to stop when it was ready has done its work */
  ok = ok && await_finalize (job);
  job->still = true;
  ok = ok && (!job->klass->commit || job->klass->commit (job, &error));
  if (!ok)
    {
      take_error (job, error);
      set_status (job, VMQ_JOB_STATUS_ABORTING);
      tell_group (job, true);
    }
  release (job);
  job->ended = true;
  tell_group (job, false);
  block_event (job, job->cancelled ? "BLOCK_JOB_CANCELLED" : "BLOCK_JOB_COMPLETED");
  set_status (job, VMQ_JOB_STATUS_CONCLUDED);
  while (!job->auto_dismiss && !job->dismissed)
    vm_fiber_queue_wait (&job->wake);
  set_status (job, VMQ_JOB_STATUS_NULL);
  forget (job);
}

void
vm_job_start (VmJob *job)
{
  set_status (job, VMQ_JOB_STATUS_CREATED);
  vm_fiber_spawn (vm_graph_loop (job->graph), job_life, job);
}

/* --- what users do ------------------------------------------------------------------------------------------------ */

static bool
allowed (const VmJob *job, const char *verb, unsigned states, GError **error)
{
  if (states & (1u << job->status))
    return true;
  return vm_fail (error, "Job '%s' in state '%s' cannot accept command verb '%s'", job->id,
                  vmq_type_jobstatus.names[job->status], verb);
}

#define STATE(name) (1u << VMQ_JOB_STATUS_##name)
#define ALIVE (STATE (CREATED) | STATE (RUNNING) | STATE (PAUSED) | STATE (READY) | STATE (STANDBY))

bool
vm_job_pause (VmJob *job, GError **error)
{
  if (!allowed (job, "pause", ALIVE, error))
    return false;
  if (job->user_paused)
    return vm_fail (error, "Job is already paused");
  job->user_paused = true;
  wake (job);
  return true;
}

bool
vm_job_resume (VmJob *job, GError **error)
{
  if (!job->user_paused)
    return vm_fail (error, "Can't resume a job that was not paused");
  if (!allowed (job, "resume", ALIVE, error))
    return false;
  job->user_paused = false;
  job->io_status = VMQ_BLOCK_DEVICE_IO_STATUS_OK;
  wake (job);
  return true;
}

bool
vm_job_cancel (VmJob *job, bool force, GError **error)
{
  bool ready = job->status == VMQ_JOB_STATUS_READY || job->status == VMQ_JOB_STATUS_STANDBY;

  if (!allowed (job, "cancel", ALIVE | STATE (WAITING) | STATE (PENDING), error))
    return false;
  job->cancelled = true;
  job->forced |= force || !ready;
  job->user_paused = false;
  wake (job);
  return true;
}

bool
vm_job_complete (VmJob *job, GError **error)
{
  if (!allowed (job, "complete", STATE (READY), error))
    return false;
  if (!job->klass->can_complete || job->cancelled || job->user_paused)
    return vm_fail (error, "The active block job '%s' cannot be completed", job->id);
  job->completing = true;
  wake (job);
  return true;
}

bool
vm_job_finalize (VmJob *job, GError **error)
{
  if (!allowed (job, "finalize", STATE (PENDING), error))
    return false;
  for (guint i = 0; job->group && i < job->group->jobs->len; i++)
    ((VmJob *) g_ptr_array_index (job->group->jobs, i))->finalizing = true;
  job->finalizing = true;
  wake (job);
  tell_group (job, false);
  return true;
}

bool
vm_job_dismiss (VmJob *job, GError **error)
{
  if (!allowed (job, "dismiss", STATE (CONCLUDED), error))
    return false;
  job->dismissed = true;
  wake (job);
  return true;
}

bool
vm_job_set_speed (VmJob *job, int64_t speed, GError **error)
{
  if (speed < 0)
    return vm_fail (error, "Parameter 'speed' expects a non-negative value");
  if (!allowed (job, "set-speed", ALIVE, error))
    return false;
  job->speed = (uint64_t) speed;
  job->free_at = 0;
  wake (job);
  return true;
}

bool
vm_job_change (VmJob *job, VmqJobType type, VmqMirrorCopyMode mode, GError **error)
{
  if (!allowed (job, "change", ALIVE, error))
    return false;
  if (type != job->klass->type)
    return vm_fail (error, "Job '%s' is '%s' job, not '%s'", job->id, vmq_type_jobtype.names[job->klass->type],
                    vmq_type_jobtype.names[type]);
  if (!job->klass->change)
    return vm_fail (error, "Job type does not support change");
  return job->klass->change (job, mode, error);
}

void
vm_jobs_cancel_all (VmBlockGraph *graph)
{
  const GPtrArray *list = vm_jobs (graph);

  while (list->len) /* a job that ends is taken out */
    {
      VmJob *job = g_ptr_array_index (list, 0);
      job->auto_dismiss = job->dismissed = true;
      job->cancelled = job->forced = true;
      job->user_paused = false;
      wake (job);
      vm_fiber_yield ();
      if (list->len && g_ptr_array_index (list, 0) == (gpointer) job)
        vm_fiber_sleep (1000000);
    }
  g_ptr_array_unref (graph->jobs->list);
  g_clear_pointer (&graph->jobs, g_free);
}
