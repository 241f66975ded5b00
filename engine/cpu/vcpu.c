/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads of virtual processors: run, pause, kick, work, exclusive sections.
 *
 * Lock order: machine lock, then the set's mutex, then the loop's queue of posts. Accelerators' kick and
 * has_work are called under the mutex and take nothing; exec, work and begin/end run without any lock.
 * Whoever waits for a vCPU gives up the machine lock meanwhile, because that vCPU may want it to get out of a
 * device access.
 *
 * No wake-up is lost: what a vCPU thread sleeps for (running, work, kicks, exclusive) only changes under the
 * mutex that it holds from looking at it until it sleeps; and in_exec is set under the mutex as well, so a kick
 * finds the vCPU either about to look or inside exec, where the accelerator's kick sticks. */
#include "engine/cpu/vcpu.h"

#include "engine/base/trace.h"
#include "engine/io/loop.h"

#include <pthread.h>
#include <unistd.h>

#define SLICE_NS (10 * VM_NS_PER_MS) /* of a vCPU that shares its thread */

typedef struct VmVcpuRunner {
  VmVcpuSet     *set;
  GThread       *thread;
  pthread_cond_t wake;
  GPtrArray     *vcpus; /* VmVcpu *: one, or all of the set */
  bool           poked; /* there is something new to look at */
  bool           quit;
  bool           confined; /* VmEnv's confine_vcpu has been called */
} VmVcpuRunner;

struct VmVcpuSet {
  int             refs; /* atomic: the owner's and one per event under way */
  VmEnv          *env;
  VmAccel        *accel;
  pthread_mutex_t mutex;
  pthread_cond_t  changed; /* stopped, created, in_exec, work done */
  GPtrArray      *vcpus;
  VmVcpuRunner   *shared; /* one thread for all */
  VmVcpu         *exclusive;
  bool            running;
  VmTimer         slice;
  bool            slice_armed; /* or about to be */
  const VmVcpuSetEvents *events;
  void           *events_opaque;
};

typedef struct Work {
  VmVcpuWork func;
  void      *opaque;
  bool       exclusive;
  bool      *done; /* somebody waits */
} Work;

/* The vCPU whose exec, work or callback runs on this thread: a thread-local, not shared state. */
static GPrivate current_vcpu = G_PRIVATE_INIT (NULL);

VmVcpu *
vm_vcpu_current (void)
{
  return g_private_get (&current_vcpu);
}

static void
set_lock (VmVcpuSet *set)
{
  pthread_mutex_lock (&set->mutex);
}

static void
set_unlock (VmVcpuSet *set)
{
  pthread_mutex_unlock (&set->mutex);
}

/* Gives up the machine lock for a wait, however often this thread has entered it. */
static bool
machine_release (VmVcpuSet *set)
{
  VmLock *lock = vm_loop_lock (set->env->loop);
  bool held = lock && vm_lock_held (lock);

  if (held)
    vm_lock_leave (lock, true);
  return held;
}

static void
machine_retake (VmVcpuSet *set, bool held)
{
  if (held)
    vm_lock_enter (vm_loop_lock (set->env->loop));
}

static void
set_unref (VmVcpuSet *set)
{
  if (!g_atomic_int_dec_and_test (&set->refs))
    return;
  pthread_mutex_destroy (&set->mutex);
  pthread_cond_destroy (&set->changed);
  g_ptr_array_unref (set->vcpus);
  g_free (set);
}

/* --- kicks ------------------------------------------------------------------------------------- */

static void
poke_locked (VmVcpuRunner *runner)
{
  runner->poked = true;
  pthread_cond_signal (&runner->wake);
}

static void
kick_locked (VmVcpu *vcpu)
{
  __atomic_fetch_add (&vcpu->kicks, 1, __ATOMIC_RELAXED);
  __atomic_store_n (&vcpu->halted, false, __ATOMIC_RELAXED);
  if (vcpu->in_exec)
    vcpu->accel->ops->kick (vcpu);
  else if (vcpu->runner)
    /* Another one may have the thread they share. */
    for (unsigned i = 0; i < vcpu->runner->vcpus->len; i++)
      {
        VmVcpu *other = vcpu->runner->vcpus->pdata[i];

        if (other->in_exec)
          other->accel->ops->kick (other);
      }
  if (vcpu->runner)
    poke_locked (vcpu->runner);
}

void
vm_vcpu_kick (VmVcpu *vcpu)
{
  VmVcpuSet *set = vcpu->set;

  if (!set)
    return;
  set_lock (set);
  kick_locked (vcpu);
  set_unlock (set);
}

/* --- events ------------------------------------------------------------------------------------ */

typedef struct Event {
  VmVcpuSet *set;
  VmVcpu    *vcpu;
  VmVcpuExit exit;
} Event;

static void
event_deliver (void *opaque)
{
  g_autofree Event *event = opaque;
  VmVcpuSet *set = event->set;
  const VmVcpuSetEvents *events = set->events;

  if (events && event->exit == VM_VCPU_EXIT_SHUTDOWN && events->triple_fault)
    events->triple_fault (set->events_opaque, event->vcpu);
  /* With several stops at once, the first one told may have dealt with them all. */
  if (events && event->exit == VM_VCPU_EXIT_DEBUG && events->debug && event->vcpu->debug_stop.kind)
    events->debug (set->events_opaque, event->vcpu);
  if (events && event->exit == VM_VCPU_EXIT_ERROR && events->failed)
    events->failed (set->events_opaque, event->vcpu);
  vm_object_unref (&event->vcpu->parent.parent);
  set_unref (set);
}

static void
event_post (VmVcpu *vcpu, VmVcpuExit exit)
{
  Event *event = g_new (Event, 1);

  *event = (Event) { .set = vcpu->set, .vcpu = vcpu, .exit = exit };
  vm_object_ref (&vcpu->parent.parent);
  g_atomic_int_inc (&vcpu->set->refs);
  vm_loop_post (vcpu->set->env->loop, event_deliver, event);
}

/* --- the thread -------------------------------------------------------------------------------- */

static void
wake_all_locked (VmVcpuSet *set)
{
  for (unsigned i = 0; i < set->vcpus->len; i++)
    poke_locked (((VmVcpu *) set->vcpus->pdata[i])->runner);
  pthread_cond_broadcast (&set->changed);
}

/* Kicks whoever is in exec; false when nobody is. */
static bool
kick_out_locked (VmVcpuSet *set)
{
  bool any = false;

  for (unsigned i = 0; i < set->vcpus->len; i++)
    {
      VmVcpu *vcpu = set->vcpus->pdata[i];

      if (vcpu->in_exec)
        vcpu->accel->ops->kick (vcpu);
      any |= vcpu->in_exec;
    }
  return any;
}

/* Loop thread: whoever has the shared thread gives it to the next one. */
static void
slice_over (void *opaque)
{
  VmVcpuSet *set = opaque;

  set_lock (set);
  bool busy = set->slice_armed = kick_out_locked (set);
  set_unlock (set);
  if (busy)
    vm_timer_set (&set->slice, vm_clock_now (set->env->clocks, VM_CLOCK_REALTIME) + SLICE_NS);
}

static void
slice_begin (void *opaque)
{
  VmVcpuSet *set = opaque;

  if (set->slice.clocks)
    vm_timer_set (&set->slice, vm_clock_now (set->env->clocks, VM_CLOCK_REALTIME) + SLICE_NS);
  set_unref (set);
}

static void
slice_arm_locked (VmVcpuSet *set)
{
  if (!set->shared || set->accel->own_slices || set->vcpus->len < 2 || set->slice_armed)
    return;
  set->slice_armed = true;
  g_atomic_int_inc (&set->refs);
  vm_loop_post (set->env->loop, slice_begin, set);
}

/* Keeps the others out of exec until _end. Two that want it at once take turns: who waits is outside. */
static void
exclusive_begin_locked (VmVcpu *vcpu)
{
  VmVcpuSet *set = vcpu->set;

  while (set->exclusive)
    pthread_cond_wait (&set->changed, &set->mutex);
  set->exclusive = vcpu;
  while (kick_out_locked (set))
    pthread_cond_wait (&set->changed, &set->mutex);
}

static void
exclusive_end_locked (VmVcpu *vcpu)
{
  vcpu->set->exclusive = NULL;
  wake_all_locked (vcpu->set);
}

static void
work_do_locked (VmVcpu *vcpu)
{
  VmVcpuSet *set = vcpu->set;

  for (Work *work; (work = g_queue_pop_head (&vcpu->work));)
    {
      if (work->exclusive)
        exclusive_begin_locked (vcpu);
      set_unlock (set);
      work->func (vcpu, work->opaque);
      set_lock (set);
      if (work->exclusive)
        exclusive_end_locked (vcpu);
      if (work->done)
        {
          *work->done = true;
          pthread_cond_broadcast (&set->changed);
        }
      g_free (work);
    }
}

static void
exec_locked (VmVcpu *vcpu)
{
  VmVcpuSet *set = vcpu->set;
  uint32_t kicks = vcpu->kicks;

  vcpu->in_exec = true;
  slice_arm_locked (set);
  set_unlock (set);
  vm_trace (VCPU_RUN, "cpu %u", vcpu->index);
  VmVcpuExit exit = vcpu->accel->ops->exec (vcpu);
  vm_trace (VCPU_LEAVE, "cpu %u why %d", vcpu->index, exit);
  set_lock (set);
  vcpu->in_exec = false;
  if (set->exclusive)
    pthread_cond_broadcast (&set->changed);

  if (exit == VM_VCPU_EXIT_HALTED && vcpu->kicks == kicks)
    {
      vm_trace (VCPU_HALT, "cpu %u", vcpu->index);
      __atomic_store_n (&vcpu->halted, true, __ATOMIC_RELAXED);
    }
  if (exit == VM_VCPU_EXIT_DEBUG && !vcpu->debug_stop.kind)
    vcpu->debug_stop.kind = VM_DEBUG_STEP;
  if (exit == VM_VCPU_EXIT_SHUTDOWN || exit == VM_VCPU_EXIT_DEBUG || exit == VM_VCPU_EXIT_ERROR)
    {
      vcpu->stop_requested = true; /* until somebody resumes the set */
      event_post (vcpu, exit);
    }
}

static void
begin_locked (VmVcpu *vcpu)
{
  g_autoptr (GError) error = NULL;

  set_unlock (vcpu->set);
  vcpu->thread_id = gettid ();
  bool ok = !vcpu->accel->ops->vcpu_begin || vcpu->accel->ops->vcpu_begin (vcpu, &error);
  set_lock (vcpu->set);
  if (ok)
    vcpu->created = true;
  else
    {
      vcpu->begin_error = error ? g_steal_pointer (&error) : g_error_new (VM_ERROR, VM_ERROR_FAILED, "vCPU failed");
      vcpu->ended = true;
    }
  pthread_cond_broadcast (&vcpu->set->changed);
}

static void
end_locked (VmVcpu *vcpu)
{
  if (vcpu->created)
    {
      work_do_locked (vcpu); /* somebody may wait for it */
      set_unlock (vcpu->set);
      if (vcpu->accel->ops->vcpu_end)
        vcpu->accel->ops->vcpu_end (vcpu);
      set_lock (vcpu->set);
    }
  vcpu->ended = true;
  vcpu->stopped = true;
  pthread_cond_broadcast (&vcpu->set->changed);
}

/* Does what there is to do for VCPU; false when it has to sleep. */
static bool
step_locked (VmVcpu *vcpu)
{
  VmVcpuSet *set = vcpu->set;
  const VmAccelOps *ops = vcpu->accel->ops;

  if (vcpu->ended)
    return false;
  g_private_set (&current_vcpu, vcpu);
  if (!vcpu->created)
    begin_locked (vcpu);
  if (vcpu->created)
    work_do_locked (vcpu);
  if (vcpu->unplugged && !vcpu->ended)
    end_locked (vcpu);
  if (vcpu->ended)
    return false;

  bool stop = vcpu->stop_requested || !set->running;
  if (stop != vcpu->stopped)
    {
      vcpu->stopped = stop;
      pthread_cond_broadcast (&set->changed);
    }
  if (stop || set->exclusive)
    return false;
  if (vcpu->halted && !(ops->has_work && ops->has_work (vcpu)))
    return false;
  __atomic_store_n (&vcpu->halted, false, __ATOMIC_RELAXED);
  if (!vcpu->runner->confined)
    {
      vcpu->runner->confined = true;
      if (set->env->confine_vcpu)
        {
          set_unlock (set);
          set->env->confine_vcpu ();
          set_lock (set);
          return true; /* things may have changed meanwhile */
        }
    }
  exec_locked (vcpu);
  return true;
}

static void *
runner_main (void *opaque)
{
  VmVcpuRunner *runner = opaque;
  VmVcpuSet *set = runner->set;

  set_lock (set);
  while (!runner->quit)
    {
      bool busy = false;

      runner->poked = false;
      for (unsigned i = 0, n = runner->vcpus->len; i < n && i < runner->vcpus->len; i++)
        busy |= step_locked (runner->vcpus->pdata[i]);
      g_private_set (&current_vcpu, NULL);
      while (!busy && !runner->poked && !runner->quit)
        pthread_cond_wait (&runner->wake, &set->mutex);
    }
  set_unlock (set);
  return NULL;
}

static VmVcpuRunner *
runner_new (VmVcpuSet *set)
{
  VmVcpuRunner *runner = g_new0 (VmVcpuRunner, 1);

  runner->set = set;
  pthread_cond_init (&runner->wake, NULL);
  runner->vcpus = g_ptr_array_new ();
  return runner;
}

/* Lock not held; its vCPUs have ended. */
static void
runner_free (VmVcpuRunner *runner)
{
  set_lock (runner->set);
  runner->quit = true;
  pthread_cond_signal (&runner->wake);
  set_unlock (runner->set);
  g_thread_join (runner->thread);
  pthread_cond_destroy (&runner->wake);
  g_ptr_array_unref (runner->vcpus);
  g_free (runner);
}

/* --- the set ----------------------------------------------------------------------------------- */

VmVcpuSet *
vm_vcpu_set_new (VmEnv *env, VmAccel *accel)
{
  VmVcpuSet *set = g_new0 (VmVcpuSet, 1);

  set->refs = 1;
  set->env = env;
  set->accel = accel;
  pthread_mutex_init (&set->mutex, NULL);
  pthread_cond_init (&set->changed, NULL);
  set->vcpus = g_ptr_array_new ();
  if (env->clocks)
    vm_timer_init (&set->slice, env->clocks, VM_CLOCK_REALTIME, slice_over, set);
  return set;
}

void
vm_vcpu_set_free (VmVcpuSet *set)
{
  while (set->vcpus->len)
    vm_vcpu_set_remove (set, set->vcpus->pdata[set->vcpus->len - 1]);
  if (set->slice.clocks)
    vm_timer_cancel (&set->slice);
  set->slice.clocks = NULL; /* a slice_begin under way finds nothing to arm */
  set->events = NULL;
  set_unref (set);
}

void
vm_vcpu_set_events (VmVcpuSet *set, const VmVcpuSetEvents *events, void *opaque)
{
  set->events = events;
  set->events_opaque = opaque;
}

bool
vm_vcpu_set_add (VmVcpuSet *set, VmVcpu *vcpu, GError **error)
{
  bool one_thread = set->accel->ops->one_thread_for_all;
  VmVcpuRunner *runner = one_thread && set->shared ? set->shared : runner_new (set);
  g_autofree char *accel = g_ascii_strup (set->accel->ops->name, -1);
  g_autofree char *name
      = one_thread ? g_strdup_printf ("ALL CPUs/%s", accel) : g_strdup_printf ("CPU %u/%s", vcpu->index, accel);

  set_lock (set);
  vcpu->set = set;
  vcpu->accel = set->accel;
  vcpu->runner = runner;
  vcpu->created = vcpu->ended = vcpu->unplugged = vcpu->stopped = vcpu->halted = vcpu->in_exec = false;
  vcpu->stop_requested = true;
  g_queue_init (&vcpu->work);
  vm_object_ref (&vcpu->parent.parent);
  g_ptr_array_add (set->vcpus, vcpu);
  g_ptr_array_add (runner->vcpus, vcpu);
  if (one_thread)
    set->shared = runner;
  if (!runner->thread)
    runner->thread = g_thread_new (set->env->name_threads ? name : NULL, runner_main, runner);
  vcpu->thread = runner->thread;
  poke_locked (runner);
  set_unlock (set);

  bool held = machine_release (set);
  set_lock (set);
  while (!vcpu->created && !vcpu->ended)
    pthread_cond_wait (&set->changed, &set->mutex);
  GError *failed = g_steal_pointer (&vcpu->begin_error);
  set_unlock (set);
  machine_retake (set, held);
  if (!failed)
    return true;
  g_propagate_error (error, failed);
  vm_vcpu_set_remove (set, vcpu);
  return false;
}

void
vm_vcpu_set_remove (VmVcpuSet *set, VmVcpu *vcpu)
{
  bool held = machine_release (set);
  VmVcpuRunner *runner = vcpu->runner;

  set_lock (set);
  vcpu->unplugged = true;
  kick_locked (vcpu);
  while (!vcpu->ended)
    pthread_cond_wait (&set->changed, &set->mutex);
  g_ptr_array_remove (set->vcpus, vcpu);
  g_ptr_array_remove (runner->vcpus, vcpu);
  vcpu->runner = NULL;
  vcpu->thread = NULL;
  bool last = runner->vcpus->len == 0;
  if (last && runner == set->shared)
    set->shared = NULL;
  set_unlock (set);
  if (last)
    runner_free (runner);
  machine_retake (set, held);
  vcpu->set = NULL;
  g_clear_pointer (&vcpu->points, g_free);
  vcpu->n_points = 0;
  vcpu->held = vcpu->singlestep = false;
  vcpu->debug_stop.kind = VM_DEBUG_NONE;
  vm_object_unref (&vcpu->parent.parent);
}

unsigned
vm_vcpu_set_count (VmVcpuSet *set)
{
  set_lock (set);
  unsigned n = set->vcpus->len;
  set_unlock (set);
  return n;
}

VmVcpu *
vm_vcpu_set_get (VmVcpuSet *set, unsigned index)
{
  set_lock (set);
  VmVcpu *vcpu = index < set->vcpus->len ? set->vcpus->pdata[index] : NULL;
  set_unlock (set);
  return vcpu;
}

void
vm_vcpu_set_resume (VmVcpuSet *set)
{
  set_lock (set);
  set->running = true;
  for (unsigned i = 0; i < set->vcpus->len; i++)
    {
      VmVcpu *vcpu = set->vcpus->pdata[i];
      vcpu->stop_requested = vcpu->held || vcpu->debug_stop.kind;
    }
  wake_all_locked (set);
  set_unlock (set);
}

static bool
all_stopped_locked (VmVcpuSet *set)
{
  for (unsigned i = 0; i < set->vcpus->len; i++)
    {
      VmVcpu *vcpu = set->vcpus->pdata[i];
      if (!vcpu->stopped && !vcpu->ended)
        return false;
    }
  return true;
}

void
vm_vcpu_set_pause (VmVcpuSet *set)
{
  bool on_vcpu = vm_vcpu_current () != NULL;
  bool held = !on_vcpu && machine_release (set);

  set_lock (set);
  set->running = false;
  for (unsigned i = 0; i < set->vcpus->len; i++)
    kick_locked (set->vcpus->pdata[i]);
  /* Another thread may resume the set while we wait; then there is nothing left to wait for. */
  while (!on_vcpu && !set->running && !all_stopped_locked (set))
    pthread_cond_wait (&set->changed, &set->mutex);
  set_unlock (set);
  machine_retake (set, held);
}

/* --- work -------------------------------------------------------------------------------------- */

static void
post_locked (VmVcpu *vcpu, Work work)
{
  if (vcpu->ended)
    {
      if (work.done)
        *work.done = true;
      return;
    }
  g_queue_push_tail (&vcpu->work, g_memdup2 (&work, sizeof work));
  if (vcpu->in_exec)
    vcpu->accel->ops->kick (vcpu);
  poke_locked (vcpu->runner);
}

/* A vCPU without a thread (not added yet, or removed) has nothing to be told. */
static void
post (VmVcpu *vcpu, Work work)
{
  VmVcpuSet *set = vcpu->set;

  if (!set)
    return;
  set_lock (set);
  post_locked (vcpu, work);
  set_unlock (set);
}

void
vm_vcpu_post (VmVcpu *vcpu, VmVcpuWork func, void *opaque)
{
  post (vcpu, (Work) { .func = func, .opaque = opaque });
}

void
vm_vcpu_post_exclusive (VmVcpu *vcpu, VmVcpuWork func, void *opaque)
{
  post (vcpu, (Work) { .func = func, .opaque = opaque, .exclusive = true });
}

void
vm_vcpu_run (VmVcpu *vcpu, VmVcpuWork func, void *opaque)
{
  VmVcpu *self = vm_vcpu_current ();
  VmVcpuSet *set = vcpu->set;
  bool done = false;

  if (!set || (self && self->runner == vcpu->runner)) /* on this very thread, or on none */
    {
      g_private_set (&current_vcpu, vcpu);
      func (vcpu, opaque);
      g_private_set (&current_vcpu, self);
      return;
    }
  g_assert (!self);
  bool held = machine_release (set);
  set_lock (set);
  post_locked (vcpu, (Work) { .func = func, .opaque = opaque, .done = &done });
  while (!done)
    pthread_cond_wait (&set->changed, &set->mutex);
  set_unlock (set);
  machine_retake (set, held);
}
