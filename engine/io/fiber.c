/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fibers: stacks, switching between them (System V ABI, x86-64: rbx, rbp, r12-r15, MXCSR and the x87 control word are
 * the callee's to keep), and the list of those to go on. */
#include "engine/io/fiber.h"

#include <stdatomic.h>
#include <sys/mman.h>

#if defined __SANITIZE_ADDRESS__
#define FIBER_ASAN 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_SIZE (256 * 1024)
#define GUARD_SIZE 4096
#define STACKS_KEPT 64

struct VmFiber
{
  VmLoop *loop;
  VmFiberFunc func;
  void *opaque;
  char *stack;      /* with its guard page below */
  void *sp;         /* while it does not run */
  VmFiber *resumer; /* who runs when it waits; NULL: the thread itself */
  bool ended;
  atomic_int wakes; /* those not yet taken; -1: it waits */
  void *fake_stack; /* of the address sanitizer */
};

/* What a thread that runs fibers needs. */
typedef struct Thread
{
  VmFiber *current;
  GQueue ready;  /* to go on when the present fiber waits or ends */
  GQueue stacks; /* to use again */
  void *sp;      /* of the thread itself, while a fiber runs */
  void *fake_stack;
  const void *bottom;
  size_t size;
} Thread;

static void
thread_free (gpointer data)
{
  Thread *t = data;
  char *stack;

  while ((stack = g_queue_pop_head (&t->stacks)))
    munmap (stack, GUARD_SIZE + STACK_SIZE);
  g_queue_clear (&t->ready);
  g_free (t);
}

static GPrivate this_thread = G_PRIVATE_INIT (thread_free);

/* Never inlined: a loop may be run by another thread when a fiber goes on, and then this is another one's. */
static __attribute__ ((noinline)) Thread *
thread_get (void)
{
  Thread *t = g_private_get (&this_thread);

  if (!t)
    {
      t = g_new0 (Thread, 1);
      g_private_set (&this_thread, t);
    }
  return t;
}

/* --- switching --------------------------------------------------------------------------------------- */

/* Keeps the state of the caller on its stack, its address in *SAVE, and returns to that which LOAD is the address of.
 */
void vm_fiber_switch (void **save, void *load);
__asm__(".text\n"
        ".p2align 4\n"
        ".globl vm_fiber_switch\n"
        ".hidden vm_fiber_switch\n"
        ".type vm_fiber_switch, @function\n"
        "vm_fiber_switch:\n"
        "  pushq %rbp\n"
        "  pushq %rbx\n"
        "  pushq %r12\n"
        "  pushq %r13\n"
        "  pushq %r14\n"
        "  pushq %r15\n"
        "  subq $8, %rsp\n"
        "  stmxcsr (%rsp)\n"
        "  fnstcw 4(%rsp)\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  ldmxcsr (%rsp)\n"
        "  fldcw 4(%rsp)\n"
        "  addq $8, %rsp\n"
        "  popq %r15\n"
        "  popq %r14\n"
        "  popq %r13\n"
        "  popq %r12\n"
        "  popq %rbx\n"
        "  popq %rbp\n"
        "  ret\n"
        ".size vm_fiber_switch, .-vm_fiber_switch\n");

/* The address sanitizer wants to know of stacks: SELF (NULL: the thread itself) runs now. */
static void
arrive (VmFiber *self, void *fake_stack)
{
#ifdef FIBER_ASAN
  Thread *t = thread_get ();
  const void *bottom;
  size_t size;

  __sanitizer_finish_switch_fiber (fake_stack, &bottom, &size);
  if (self && !self->resumer)
    {
      t->bottom = bottom;
      t->size = size;
    }
#endif
}

/* FROM and TO: NULL is the thread itself. ENDED: nothing comes back to FROM. */
static void
switch_to (VmFiber *from, VmFiber *to, bool ended)
{
  Thread *t = thread_get ();
  void *load = to ? to->sp : t->sp;

#ifdef FIBER_ASAN
  __sanitizer_start_switch_fiber (ended  ? NULL
                                  : from ? &from->fake_stack
                                         : &t->fake_stack,
                                  to ? to->stack + GUARD_SIZE : t->bottom, to ? STACK_SIZE : t->size);
#endif
  t->current = to;
  vm_fiber_switch (from ? &from->sp : &t->sp, load);
  arrive (from, from ? from->fake_stack : thread_get ()->fake_stack);
}

static void
fiber_main (void)
{
  VmFiber *self = thread_get ()->current;

  arrive (self, NULL);
  self->func (self->opaque);
  self->ended = true;
  switch_to (self, self->resumer, true);
  g_assert_not_reached ();
}

static void
prepare_stack (VmFiber *fiber)
{
  Thread *t = thread_get ();
  uint64_t *sp;

  fiber->stack = g_queue_pop_head (&t->stacks);
  if (!fiber->stack)
    {
      fiber->stack = mmap (NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
      if (fiber->stack == MAP_FAILED)
        g_error ("no memory for the stack of a fiber");
      mprotect (fiber->stack, GUARD_SIZE, PROT_NONE);
    }
#ifdef FIBER_ASAN
  /* What frames of an ended fiber have left behind, also in a mapping that was given back. */
  __asan_unpoison_memory_region (fiber->stack + GUARD_SIZE, STACK_SIZE);
#endif
  sp = (uint64_t *) (void *) (fiber->stack + GUARD_SIZE + STACK_SIZE);
  *--sp = 0; /* where fiber_main() would return to; and aligns as a call does */
  *--sp = (uintptr_t) fiber_main;
  for (unsigned i = 0; i < 6; i++)
    *--sp = 0;
  *--sp = UINT64_C (0x037f00001f80); /* FPU control word and MXCSR as a process begins */
  fiber->sp = sp;
}

static void
fiber_free (VmFiber *fiber)
{
  Thread *t = thread_get ();

  if (t->stacks.length < STACKS_KEPT)
    g_queue_push_head (&t->stacks, fiber->stack);
  else
    munmap (fiber->stack, GUARD_SIZE + STACK_SIZE);
  g_free (fiber);
}

/* Runs FIBER until it waits or ends. */
static void
enter (VmFiber *fiber)
{
  VmFiber *self = thread_get ()->current;

  fiber->resumer = self;
  switch_to (self, fiber, false);
  if (fiber->ended)
    fiber_free (fiber);
}

/* The same from outside of fibers, and those that became ready by it. */
static void
enter_all (VmFiber *fiber)
{
  for (; fiber; fiber = g_queue_pop_head (&thread_get ()->ready))
    enter (fiber);
}

/* --- starting, waiting, going on ------------------------------------------------------------------------ */

static void
start (void *opaque)
{
  VmFiber *fiber = opaque;

  prepare_stack (fiber);
  if (thread_get ()->current)
    enter (fiber);
  else
    enter_all (fiber);
}

void
vm_fiber_spawn (VmLoop *loop, VmFiberFunc func, void *opaque)
{
  VmFiber *fiber = g_new0 (VmFiber, 1);

  fiber->loop = loop;
  fiber->func = func;
  fiber->opaque = opaque;
  if (vm_loop_is_current (loop))
    start (fiber);
  else
    vm_loop_post (loop, start, fiber);
}

VmFiber *
vm_fiber_self (void)
{
  return thread_get ()->current;
}

VmLoop *
vm_fiber_loop (const VmFiber *fiber)
{
  return fiber->loop;
}

void
vm_fiber_suspend (void)
{
  VmFiber *self = vm_fiber_self ();

  g_assert (self != NULL);
  /* From 0 to -1 it waits; from more there is a wake-up to take. */
  if (atomic_fetch_sub (&self->wakes, 1) == 0)
    switch_to (self, self->resumer, false);
}

static void
go_on (void *opaque)
{
  Thread *t = thread_get ();

  if (t->current)
    g_queue_push_tail (&t->ready, opaque);
  else
    enter_all (opaque);
}

void
vm_fiber_wake (VmFiber *fiber)
{
  if (atomic_fetch_add (&fiber->wakes, 1) != -1)
    return;
  if (vm_loop_is_current (fiber->loop))
    go_on (fiber);
  else
    vm_loop_post (fiber->loop, go_on, fiber);
}

static void
wake (void *opaque)
{
  vm_fiber_wake (opaque);
}

void
vm_fiber_yield (void)
{
  VmFiber *self = vm_fiber_self ();

  vm_loop_post (self->loop, wake, self);
  vm_fiber_suspend ();
}

void
vm_fiber_sleep (int64_t ns)
{
  VmFiber *self = vm_fiber_self ();
  VmWakeup *wakeup = vm_wakeup_new (self->loop, wake, self);

  vm_wakeup_arm (wakeup, g_get_monotonic_time () * 1000 + MAX (ns, 0));
  vm_fiber_suspend ();
  vm_wakeup_free (wakeup);
}

/* --- work that blocks ------------------------------------------------------------------------------------- */

typedef struct Errand
{
  VmFiberFunc func;
  void *opaque;
  VmFiber *fiber;
} Errand;

static void
run_errand (void *opaque)
{
  Errand *errand = opaque;

  errand->func (errand->opaque);
}

static void
errand_done (void *opaque)
{
  Errand *errand = opaque;

  vm_fiber_wake (errand->fiber);
}

void
vm_fiber_work (VmFiberFunc func, void *opaque)
{
  Errand errand = { func, opaque, vm_fiber_self () };

  if (!errand.fiber)
    {
      func (opaque);
      return;
    }
  vm_loop_work (errand.fiber->loop, run_errand, errand_done, &errand);
  vm_fiber_suspend ();
}

/* --- between fibers ------------------------------------------------------------------------------------------ */

void
vm_fiber_queue_wait (VmFiberQueue *queue)
{
  g_queue_push_tail (&queue->fibers, vm_fiber_self ());
  vm_fiber_suspend ();
}

bool
vm_fiber_queue_wake (VmFiberQueue *queue)
{
  VmFiber *fiber = g_queue_pop_head (&queue->fibers);

  if (fiber)
    vm_fiber_wake (fiber);
  return fiber != NULL;
}

void
vm_fiber_queue_wake_all (VmFiberQueue *queue)
{
  for (guint n = queue->fibers.length; n && vm_fiber_queue_wake (queue); n--)
    ;
}

void
vm_fiber_mutex_lock (VmFiberMutex *mutex)
{
  VmFiber *self = vm_fiber_self ();

  g_assert (self && mutex->owner != self);
  if (mutex->owner)
    vm_fiber_queue_wait (&mutex->waiting); /* and then it is ours */
  else
    mutex->owner = self;
}

void
vm_fiber_mutex_unlock (VmFiberMutex *mutex)
{
  g_assert (mutex->owner == vm_fiber_self ());
  mutex->owner = g_queue_peek_head (&mutex->waiting.fibers);
  vm_fiber_queue_wake (&mutex->waiting);
}

void
vm_fiber_rw_read (VmFiberRwLock *lock)
{
  if (lock->writer || lock->writers_waiting.fibers.length)
    vm_fiber_queue_wait (&lock->readers_waiting); /* who wakes us has counted us */
  else
    lock->readers++;
}

void
vm_fiber_rw_write (VmFiberRwLock *lock)
{
  if (lock->writer || lock->readers)
    vm_fiber_queue_wait (&lock->writers_waiting);
  else
    lock->writer = true;
}

static void
admit_readers (VmFiberRwLock *lock)
{
  lock->readers += lock->readers_waiting.fibers.length;
  vm_fiber_queue_wake_all (&lock->readers_waiting);
}

static void
admit_writer (VmFiberRwLock *lock)
{
  lock->writer = true;
  vm_fiber_queue_wake (&lock->writers_waiting);
}

/* After a writer the readers who waited meanwhile, after the last reader a writer: nobody starves. */
void
vm_fiber_rw_unlock (VmFiberRwLock *lock)
{
  g_assert (lock->writer || lock->readers);
  if (lock->writer)
    {
      lock->writer = false;
      if (lock->readers_waiting.fibers.length)
        admit_readers (lock);
      else if (lock->writers_waiting.fibers.length)
        admit_writer (lock);
    }
  else if (--lock->readers == 0 && lock->writers_waiting.fibers.length)
    admit_writer (lock);
}
