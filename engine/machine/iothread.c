/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object iothread. */
#include "engine/machine/iothread.h"

#include "engine/machine/user-object.h"

#include <inttypes.h>
#include <unistd.h>

#define POOL_MAX 64

VmLoop *
vm_iothread_loop (VmIothread *thread)
{
  return thread->loop;
}

unsigned
vm_iothread_max_batch (const VmIothread *thread)
{
  return (unsigned) MIN (thread->aio_max_batch, 1024);
}

VmIothread *
vm_iothread_use (VmIothread *thread)
{
  thread->users++;
  return (VmIothread *) vm_object_ref (&thread->parent);
}

void
vm_iothread_unuse (VmIothread *thread)
{
  thread->users--;
  vm_object_unref (&thread->parent);
}

static gpointer
iothread_main (gpointer data)
{
  vm_loop_run (data);
  return NULL;
}

static void
get_thread_id (void *opaque)
{
  *(int64_t *) opaque = gettid ();
}

static void
polling_changed (VmObject *obj)
{
  VmIothread *t = (VmIothread *) obj;

  if (t->loop)
    vm_loop_set_polling (t->loop, (VmLoopPolling){ t->poll_max_ns, t->poll_grow, t->poll_shrink });
}

static bool
check_number (const char *name, int64_t value, GError **error)
{
  return value >= 0 || vm_fail (error, "%s value must be in range [0, %" PRId64 "]", name, INT64_MAX);
}

static bool
iothread_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  VmIothread *t = (VmIothread *) obj;
  g_autofree char *name = g_strdup_printf ("IO %s", obj->id);

  if (!check_number ("poll-max-ns", t->poll_max_ns, error) || !check_number ("poll-grow", t->poll_grow, error)
      || !check_number ("poll-shrink", t->poll_shrink, error)
      || !check_number ("aio-max-batch", t->aio_max_batch, error))
    return false;
  if (t->thread_pool_min || t->thread_pool_max != POOL_MAX)
    return vm_fail (error, "thread-pool-min, thread-pool-max: images are read by the workers of the block thread, "
                           "not of an iothread");
  t->loop = vm_loop_new (name, NULL);
  polling_changed (obj);
  t->thread = g_thread_new (name, iothread_main, t->loop);
  vm_loop_call (t->loop, get_thread_id, &t->thread_id);
  return true;
}

static void
iothread_finalize (VmObject *obj)
{
  VmIothread *t = (VmIothread *) obj;

  if (!t->loop)
    return;
  vm_loop_quit (t->loop);
  g_thread_join (t->thread);
  vm_loop_free (t->loop);
}

static bool
iothread_can_go (VmObject *obj)
{
  return !((VmIothread *) obj)->users;
}

static const VmProp iothread_props[] = {
  VM_PROP_RT ("poll-max-ns", VmIothread, poll_max_ns, 32768, "longest time it looks for work without sleeping",
              polling_changed),
  VM_PROP_RT ("poll-grow", VmIothread, poll_grow, 0, "factor by which that time grows; 0: 2", polling_changed),
  VM_PROP_RT ("poll-shrink", VmIothread, poll_shrink, 0, "divisor by which it shrinks; 0: to nothing",
              polling_changed),
  VM_PROP ("aio-max-batch", VmIothread, aio_max_batch, 0, "requests of a queue taken in a row; 0: any"),
  VM_PROP ("thread-pool-min", VmIothread, thread_pool_min, 0, "none: the block thread has the workers"),
  VM_PROP ("thread-pool-max", VmIothread, thread_pool_max, POOL_MAX, "none: the block thread has the workers"),
  { 0 },
};

static const VmUserObjectClass iothread_class = { .complete = iothread_complete, .can_go = iothread_can_go };

const VmType vm_iothread_type = {
  .name = "iothread",
  .parent = &vm_user_object_type,
  .size = sizeof (VmIothread),
  .help = "A thread for the queues of devices",
  .props = iothread_props,
  .klass = &iothread_class,
  .finalize = iothread_finalize,
};
