/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vCPU threads with an accelerator that only counts: no lost wake-up, no deadlock, exclusive is exclusive. */
#include "engine/cpu/vcpu.h"
#include "engine/options/keyvals.h"

typedef struct FakeCpu {
  VmVcpu   parent;
  int      kicked;   /* sticky until exec returns */
  int      irq;      /* atomic */
  int      taken;    /* irqs seen */
  int      loops;
  int      in_exec;
  int      works;
  int      begun, ended;
  VmVcpuExit leave;  /* what exec returns at once when not KICKED */
} FakeCpu;

static const VmDeviceClass fake_class = { 0 };
static const VmType fake_cpu_type = {
  .name = "fake-cpu", .parent = &vm_device_type, .size = sizeof (FakeCpu), .klass = &fake_class,
};

typedef struct FakeAccel {
  VmAccel  parent;
  uint32_t level;
} FakeAccel;

typedef struct Fixture {
  VmLock    *lock;
  VmLoop    *loop;
  VmClocks  *clocks;
  VmEnv      env;
  VmAccel   *accel;
  VmVcpuSet *set;
  GThread   *thread;
  int        events[5]; /* by VmVcpuExit */
} Fixture;

/* --- the accelerator --------------------------------------------------------------------------- */

static bool
fake_init (VmAccel *accel, VmEnv *env, GError **error)
{
  return true;
}

static bool
fake_begin (VmVcpu *vcpu, GError **error)
{
  FakeCpu *cpu = (FakeCpu *) vcpu;

  g_assert (vm_vcpu_current () == vcpu);
  if (vcpu->index == 99)
    return vm_fail (error, "no such processor");
  g_atomic_int_set (&cpu->begun, 1);
  return true;
}

static void
fake_end (VmVcpu *vcpu)
{
  g_atomic_int_set (&((FakeCpu *) vcpu)->ended, 1);
}

static VmVcpuExit
fake_exec (VmVcpu *vcpu)
{
  FakeCpu *cpu = (FakeCpu *) vcpu;
  VmLock *lock = vm_loop_lock (vcpu->accel->env->loop);
  VmVcpuExit exit = VM_VCPU_EXIT_KICKED;

  g_assert (vm_vcpu_current () == vcpu);
  g_assert (!vm_lock_held (lock));
  g_atomic_int_set (&cpu->in_exec, 1);
  while (!g_atomic_int_get (&cpu->kicked))
    {
      if (cpu->leave != VM_VCPU_EXIT_KICKED)
        {
          exit = cpu->leave;
          cpu->leave = VM_VCPU_EXIT_KICKED;
          break;
        }
      if (g_atomic_int_compare_and_exchange (&cpu->irq, 1, 0))
        g_atomic_int_inc (&cpu->taken);
      else if (g_atomic_int_get (&cpu->irq) < 0) /* a machine that halts when idle */
        {
          exit = VM_VCPU_EXIT_HALTED;
          break;
        }
      if (g_atomic_int_add (&cpu->loops, 1) % 64 == 0)
        {
          bool entered = vm_lock_enter (lock); /* a device access */
          vm_lock_leave (lock, entered);
        }
    }
  g_atomic_int_set (&cpu->in_exec, 0);
  g_atomic_int_set (&cpu->kicked, 0);
  return exit;
}

static void
fake_kick (VmVcpu *vcpu)
{
  g_atomic_int_set (&((FakeCpu *) vcpu)->kicked, 1);
}

static const VmProp fake_props[] = { VM_PROP ("level", FakeAccel, level, 3, "a number"), { 0 } };
#define FAKE_OPS                                                                                 \
  .name = "fake", .init = fake_init, .vcpu_begin = fake_begin, .vcpu_end = fake_end,             \
  .exec = fake_exec, .kick = fake_kick, .props = fake_props, .size = sizeof (FakeAccel)
static const VmAccelOps fake_ops = { FAKE_OPS };
static const VmAccelOps fake_single_ops = { FAKE_OPS, .one_thread_for_all = true };

/* --- set-up ------------------------------------------------------------------------------------ */

static void
count_exit (Fixture *f, VmVcpuExit exit)
{
  g_assert (vm_loop_is_current (f->loop));
  g_atomic_int_inc (&f->events[exit]);
}

static void
on_triple_fault (void *opaque, VmVcpu *vcpu)
{
  count_exit (opaque, VM_VCPU_EXIT_SHUTDOWN);
}

static void
on_debug (void *opaque, VmVcpu *vcpu)
{
  count_exit (opaque, VM_VCPU_EXIT_DEBUG);
  vcpu->debug_stop.kind = VM_DEBUG_NONE;
}

static void
on_failed (void *opaque, VmVcpu *vcpu)
{
  count_exit (opaque, VM_VCPU_EXIT_ERROR);
}

static const VmVcpuSetEvents events = { on_triple_fault, on_debug, on_failed };

static void *
loop_main (void *opaque)
{
  vm_loop_run (opaque);
  return NULL;
}

static void
set_up (Fixture *f, const void *ops)
{
  const VmAccelOps *const table[] = { ops, NULL };
  const VmAccelChoice choice = { .name = "fake" };

  f->lock = vm_lock_new ();
  f->loop = vm_loop_new ("test", f->lock);
  f->clocks = vm_clocks_new (f->loop);
  f->env = (VmEnv) { .loop = f->loop, .clocks = f->clocks };
  f->accel = vm_accel_choose (table, &choice, 1, &f->env, NULL);
  g_assert_nonnull (f->accel);
  bool entered = vm_lock_enter (f->lock);
  f->set = vm_vcpu_set_new (&f->env, f->accel);
  vm_vcpu_set_events (f->set, &events, f);
  vm_lock_leave (f->lock, entered);
  f->thread = g_thread_new ("loop", loop_main, f->loop);
}

static void
tear_down (Fixture *f, const void *data)
{
  bool entered = vm_lock_enter (f->lock);

  vm_vcpu_set_free (f->set);
  vm_lock_leave (f->lock, entered);
  vm_loop_quit (f->loop);
  g_thread_join (f->thread);
  vm_accel_free (f->accel);
  vm_clocks_free (f->clocks);
  vm_loop_free (f->loop);
  vm_lock_free (f->lock);
}

static FakeCpu *
add_cpu (Fixture *f, unsigned index)
{
  FakeCpu *cpu = (FakeCpu *) vm_object_new (&fake_cpu_type);
  g_autoptr (GError) error = NULL;

  cpu->parent.index = index;
  g_assert_true (vm_vcpu_set_add (f->set, &cpu->parent, &error));
  g_assert_true (g_atomic_int_get (&cpu->begun));
  vm_object_unref (&cpu->parent.parent.parent); /* the set has one */
  return cpu;
}

static void
await (int *value, int at_least)
{
  for (unsigned i = 0; g_atomic_int_get (value) < at_least; i++)
    {
      g_assert_cmpuint (i, <, 100000);
      g_usleep (100);
    }
}

/* --- tests ------------------------------------------------------------------------------------- */

static void
test_pause (Fixture *f, const void *data)
{
  FakeCpu *cpus[3];

  for (unsigned i = 0; i < 3; i++)
    cpus[i] = add_cpu (f, i);
  for (unsigned round = 0; round < 100; round++)
    {
      bool entered = vm_lock_enter (f->lock);

      vm_vcpu_set_resume (f->set);
      if (round % 3 == 0)
        {
          vm_lock_leave (f->lock, entered);
          for (unsigned i = 0; i < 3; i++)
            await (&cpus[i]->loops, g_atomic_int_get (&cpus[i]->loops) + 1);
          entered = vm_lock_enter (f->lock);
        }
      vm_vcpu_set_pause (f->set); /* they may be waiting for the lock we hold */
      g_assert (vm_lock_held (f->lock));
      for (unsigned i = 0; i < 3; i++)
        g_assert_cmpint (g_atomic_int_get (&cpus[i]->in_exec), ==, 0);
      vm_lock_leave (f->lock, entered);
    }
}

static void
test_wake (Fixture *f, const void *data)
{
  FakeCpu *cpu = add_cpu (f, 0);

  g_atomic_int_set (&cpu->irq, -1);
  vm_vcpu_set_resume (f->set);
  for (int i = 1; i <= 5000; i++)
    {
      /* An interrupt; afterwards it goes idle by itself again. */
      g_atomic_int_set (&cpu->irq, 1);
      vm_vcpu_kick (&cpu->parent);
      while (g_atomic_int_get (&cpu->taken) < i)
        g_thread_yield ();
      g_atomic_int_compare_and_exchange (&cpu->irq, 0, -1);
    }
  await (&cpu->taken, 5000);
}

static void
do_work (VmVcpu *vcpu, void *opaque)
{
  FakeCpu *cpu = (FakeCpu *) vcpu;

  g_assert (vm_vcpu_current () == vcpu);
  g_assert_cmpint (cpu->in_exec, ==, 0);
  g_atomic_int_inc (&cpu->works);
  if (opaque)
    g_atomic_int_inc ((int *) opaque);
}

static void
test_work (Fixture *f, const void *data)
{
  FakeCpu *cpu = add_cpu (f, 0), *idle = add_cpu (f, 1);
  int done = 0;

  g_atomic_int_set (&idle->irq, -1);
  vm_vcpu_run (&cpu->parent, do_work, &done); /* stopped */
  g_assert_cmpint (done, ==, 1);
  vm_vcpu_set_resume (f->set);
  for (int i = 0; i < 500; i++)
    {
      bool entered = vm_lock_enter (f->lock);
      vm_vcpu_post (&idle->parent, do_work, NULL);
      vm_vcpu_run (&cpu->parent, do_work, &done);
      g_assert_cmpint (done, ==, i + 2);
      vm_lock_leave (f->lock, entered);
    }
  vm_vcpu_run (&idle->parent, do_work, &done);
  g_assert_cmpint (idle->works, ==, 501);
}

typedef struct Exclusive {
  FakeCpu *cpus[4];
  int      inside, done;
} Exclusive;

static void
do_exclusive (VmVcpu *vcpu, void *opaque)
{
  Exclusive *x = opaque;

  g_assert_cmpint (g_atomic_int_add (&x->inside, 1), ==, 0);
  for (unsigned i = 0; i < 4; i++)
    g_assert_cmpint (g_atomic_int_get (&x->cpus[i]->in_exec), ==, 0);
  g_atomic_int_add (&x->inside, -1);
  g_atomic_int_inc (&x->done);
}

static void
test_exclusive (Fixture *f, const void *data)
{
  Exclusive x = { 0 };

  for (unsigned i = 0; i < 4; i++)
    x.cpus[i] = add_cpu (f, i);
  vm_vcpu_set_resume (f->set);
  for (int round = 0; round < 100; round++)
    {
      for (unsigned i = 0; i < 4; i++)
        vm_vcpu_post_exclusive (&x.cpus[i]->parent, do_exclusive, &x);
      if (round % 10 == 0)
        {
          bool entered = vm_lock_enter (f->lock);
          vm_vcpu_set_pause (f->set);
          vm_vcpu_set_resume (f->set);
          vm_lock_leave (f->lock, entered);
        }
    }
  await (&x.done, 400);
  for (unsigned i = 0; i < 4; i++) /* and they run on */
    await (&x.cpus[i]->loops, g_atomic_int_get (&x.cpus[i]->loops) + 100);
}

static void
test_fair (Fixture *f, const void *data)
{
  FakeCpu *cpus[3];

  for (unsigned i = 0; i < 3; i++)
    cpus[i] = add_cpu (f, i);
  g_assert (cpus[0]->parent.thread == cpus[2]->parent.thread);
  vm_vcpu_set_resume (f->set);
  for (int turn = 1; turn < 4; turn++)
    for (unsigned i = 0; i < 3; i++)
      await (&cpus[i]->loops, g_atomic_int_get (&cpus[i]->loops) + 10);
}

static void
test_events (Fixture *f, const void *data)
{
  static const VmVcpuExit exits[] = { VM_VCPU_EXIT_SHUTDOWN, VM_VCPU_EXIT_DEBUG, VM_VCPU_EXIT_ERROR };
  FakeCpu *cpu = add_cpu (f, 0);

  for (unsigned i = 0; i < G_N_ELEMENTS (exits); i++)
    {
      cpu->leave = exits[i];
      vm_vcpu_set_resume (f->set);
      await (&f->events[exits[i]], 1);
      int loops = g_atomic_int_get (&cpu->loops);
      g_usleep (2000);
      g_assert_cmpint (g_atomic_int_get (&cpu->loops), ==, loops); /* waits for somebody to resume it */
      vm_vcpu_set_pause (f->set);
    }
  vm_vcpu_set_resume (f->set);
  await (&cpu->loops, g_atomic_int_get (&cpu->loops) + 1);
}

static void
test_add_remove (Fixture *f, const void *data)
{
  FakeCpu *bad = (FakeCpu *) vm_object_new (&fake_cpu_type);
  g_autoptr (GError) error = NULL;

  bad->parent.index = 99;
  g_assert_false (vm_vcpu_set_add (f->set, &bad->parent, &error));
  g_assert_cmpstr (error->message, ==, "no such processor");
  g_assert_cmpuint (vm_vcpu_set_count (f->set), ==, 0);
  vm_object_unref (&bad->parent.parent.parent);

  vm_vcpu_set_resume (f->set);
  for (unsigned i = 0; i < 20; i++)
    {
      FakeCpu *a = add_cpu (f, 0), *b = add_cpu (f, 1);

      vm_vcpu_set_resume (f->set);
      await (&b->loops, 1);
      vm_object_ref (&a->parent.parent.parent);
      bool entered = vm_lock_enter (f->lock);
      vm_vcpu_set_remove (f->set, &a->parent);
      vm_lock_leave (f->lock, entered);
      g_assert_cmpint (g_atomic_int_get (&a->ended), ==, 1);
      g_assert (vm_vcpu_set_get (f->set, 0) == &b->parent);
      vm_vcpu_kick (&a->parent); /* nobody there: nothing happens */
      vm_object_unref (&a->parent.parent.parent);
      vm_vcpu_set_remove (f->set, &b->parent);
    }
}

/* --- accelerators ------------------------------------------------------------------------------ */

static bool
broken_probe (GError **error)
{
  return vm_fail (error, "No such file or directory");
}

static const VmAccelOps broken_ops = { .name = "broken", .probe = broken_probe, .size = sizeof (VmAccel) };
static const VmAccelOps *const accels[] = { &broken_ops, &fake_ops, NULL };

static VmAccel *
choose (const char *name, const char *settings, GError **error)
{
  static VmEnv env;
  g_autoptr (VmKeyVals) props = vm_keyvals_new ();
  const VmAccelChoice choice = { .name = name, .props = props };

  if (settings)
    g_assert_true (vm_keyvals_parse (props, settings, "accel", VM_KEYVALS_STRICT, NULL));
  return vm_accel_choose (accels, &choice, 1, &env, error);
}

static void
expect_failure (const char *name, const char *settings, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (choose (name, settings, &error));
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_choose (void)
{
  VmAccel *accel = choose ("fake", "fake,level=7", NULL);

  g_assert (accel->ops == &fake_ops);
  g_assert_cmpuint (((FakeAccel *) accel)->level, ==, 7);
  vm_accel_free (accel);
  accel = choose ("broken:nonsense:fake", NULL, NULL);
  g_assert_cmpuint (((FakeAccel *) accel)->level, ==, 3);
  vm_accel_free (accel);
  expect_failure ("broken", NULL, "failed to initialize broken: No such file or directory");
  expect_failure ("nonsense", NULL, "invalid accelerator nonsense");
  expect_failure ("fake", "fake,colour=red", "Property 'fake-accel.colour' not found");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, ops, func) g_test_add ("/cpu/" name, Fixture, ops, set_up, func, tear_down)
  ADD ("pause", &fake_ops, test_pause);
  ADD ("pause/one-thread", &fake_single_ops, test_pause);
  ADD ("wake", &fake_ops, test_wake);
  ADD ("work", &fake_ops, test_work);
  ADD ("work/one-thread", &fake_single_ops, test_work);
  ADD ("exclusive", &fake_ops, test_exclusive);
  ADD ("exclusive/one-thread", &fake_single_ops, test_exclusive);
  ADD ("fair/one-thread", &fake_single_ops, test_fair);
  ADD ("events", &fake_ops, test_events);
  ADD ("add-remove", &fake_ops, test_add_remove);
  ADD ("add-remove/one-thread", &fake_single_ops, test_add_remove);
  g_test_add_func ("/cpu/choose", test_choose);
  return g_test_run ();
}
