/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about jobs that are there. */
#include "block/qmp-call.h"
#include "engine/monitor/qmp-handlers.h"

/* --- jobs as such --------------------------------------------------------------------------------------------------
 */

static bool
list_jobs (VmBlockCall *call, GError **error)
{
  const GPtrArray *jobs = vm_jobs (call->graph);
  bool block_list = call->args != NULL;

  for (guint i = 0; i < jobs->len; i++)
    {
      const VmJob *job = g_ptr_array_index (jobs, i);
      if (block_list && job->klass->block)
        {
          VmqBlockJobInfo *info = g_new0 (VmqBlockJobInfo, 1);
          info->type = g_strdup (vmq_type_jobtype.names[job->klass->type]);
          info->device = g_strdup (job->id);
          info->len = (int64_t) job->total;
          info->offset = (int64_t) job->done;
          info->busy = !job->still;
          info->paused = job->user_paused;
          info->speed = (int64_t) job->speed;
          info->io_status = job->io_status;
          info->ready = job->status == VMQ_JOB_STATUS_READY || job->status == VMQ_JOB_STATUS_STANDBY;
          info->status = job->status;
          info->auto_finalize = job->auto_finalize;
          info->auto_dismiss = job->auto_dismiss;
          info->error = g_strdup (job->error);
          g_ptr_array_add (call->result, info);
        }
      else if (!block_list)
        {
          VmqJobInfo *info = g_new0 (VmqJobInfo, 1);
          info->id = g_strdup (job->id);
          info->type = job->klass->type;
          info->status = job->status;
          info->current_progress = (int64_t) job->done;
          info->total_progress = (int64_t) job->total;
          info->error = g_strdup (job->error);
          g_ptr_array_add (call->result, info);
        }
    }
  return true;
}

static GPtrArray *
query (VmMonitor *mon, bool block)
{
  VmBlockCall call = { .func = list_jobs, .result = g_ptr_array_new (), .args = block ? &block : NULL };

  if (vm_drives_find (vm_monitor_machine (mon)->env.root)) /* else there is no disk yet */
    vm_block_call (mon, &call, NULL);
  return call.result;
}

GPtrArray *
vm_qmp_query_jobs (VmMonitor *mon, GError **error)
{
  return query (mon, false);
}

GPtrArray *
vm_qmp_query_block_jobs (VmMonitor *mon, GError **error)
{
  return query (mon, true);
}

/* --- what is done to them --------------------------------------------------------------------------------------- */

typedef struct Verb
{
  const char *id;
  bool block; /* among jobs on disks, whose clients know other errors */
  bool (*func) (VmJob *job, const void *args, GError **error);
  const void *args;
} Verb;

static bool
run_verb (VmBlockCall *call, GError **error)
{
  const Verb *v = call->args;
  VmJob *job = vm_job_find (call->graph, v->id);

  if (job && (!v->block || job->klass->block))
    return v->func (job, v->args, error);
  if (!v->block)
    return vm_fail (error, "Job not found");
  g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_ACTIVE, "Block job '%s' not found", v->id);
  return false;
}

static bool
do_set_speed (VmJob *job, const void *args, GError **error)
{
  return vm_job_set_speed (job, ((const VmqBlockJobSetSpeedArg *) args)->speed, error);
}

static bool
do_cancel_now (VmJob *job, const void *args, GError **error)
{
  return vm_job_cancel (job, true, error);
}

static bool
do_cancel_gently (VmJob *job, const void *args, GError **error)
{
  const VmqBlockJobCancelArg *a = args;

  return vm_job_cancel (job, a->has_force && a->force, error);
}

static bool
do_change (VmJob *job, const void *args, GError **error)
{
  const VmqBlockJobChangeArg *a = args;

  return vm_job_change (job, a->type, a->u.any ? a->u.mirror->copy_mode : VMQ_MIRROR_COPY_MODE_BACKGROUND, error);
}

#define SIMPLE(verb)                                                                                                   \
  static bool do_##verb (VmJob *job, const void *args, GError **error)                                                 \
  {                                                                                                                    \
    return vm_job_##verb (job, error);                                                                                 \
  }
SIMPLE (pause)
SIMPLE (resume)
SIMPLE (complete)
SIMPLE (finalize)
SIMPLE (dismiss)

/* The command, its arguments, which of them names the job, among which jobs, what is done. */
#define VERB(command, Type, member, is_block, verb)                                                                    \
  bool vm_qmp_##command (VmMonitor *mon, const Vmq##Type##Arg *args, GError **error)                                   \
  {                                                                                                                    \
    Verb v = { args->member, is_block, do_##verb, args };                                                              \
    return vm_block_call (mon, &(VmBlockCall){ .func = run_verb, .args = &v }, error);                                 \
  }
VERB (job_pause, JobPause, id, false, pause)
VERB (job_resume, JobResume, id, false, resume)
VERB (job_cancel, JobCancel, id, false, cancel_now)
VERB (job_complete, JobComplete, id, false, complete)
VERB (job_dismiss, JobDismiss, id, false, dismiss)
VERB (job_finalize, JobFinalize, id, false, finalize)
VERB (block_job_pause, BlockJobPause, device, true, pause)
VERB (block_job_resume, BlockJobResume, device, true, resume)
VERB (block_job_cancel, BlockJobCancel, device, true, cancel_gently)
VERB (block_job_complete, BlockJobComplete, device, true, complete)
VERB (block_job_dismiss, BlockJobDismiss, id, true, dismiss)
VERB (block_job_finalize, BlockJobFinalize, id, true, finalize)
VERB (block_job_set_speed, BlockJobSetSpeed, device, true, set_speed)
VERB (block_job_change, BlockJobChange, id, true, change)
