/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fibers: order, waiting, waking from other threads, locks, many at once. */
#include "engine/io/fiber.h"

#include <string.h>

static GString *trace;
static VmLoop *loop;

static void
note (const char *text)
{
  g_string_append (trace, text);
}

static void
until_idle (void)
{
  while (vm_loop_iterate (loop, false))
    ;
}

static void
setup (char *fixture, const void *data)
{
  loop = vm_loop_new ("test", NULL);
  trace = g_string_new (NULL);
  vm_loop_iterate (loop, false); /* this thread is the loop's from now on */
}

static void
teardown (char *fixture, const void *data)
{
  vm_loop_free (loop);
  g_string_free (trace, TRUE);
}

/* --- order --- */

static void
yielding (void *opaque)
{
  const char *const *names = opaque;

  note (names[0]);
  vm_fiber_yield ();
  note (names[1]);
}

static void
spawn_from_loop (void *opaque)
{
  static const char *const a[] = { "a", "A" }, *const b[] = { "b", "B" };

  vm_fiber_spawn (loop, yielding, (void *) a);
  note ("|");
  vm_fiber_spawn (loop, yielding, (void *) b);
  note ("|");
}

static void
test_order (char *fixture, const void *data)
{
  vm_loop_post (loop, spawn_from_loop, NULL);
  until_idle ();
  g_assert_cmpstr (trace->str, ==, "a|b|AB");
  g_assert_null (vm_fiber_self ());
}

/* --- a wake-up before the wait is kept --- */

static void
wakes_itself (void *opaque)
{
  vm_fiber_wake (vm_fiber_self ());
  vm_fiber_suspend ();
  note ("kept");
}

static void
test_early_wake (char *fixture, const void *data)
{
  vm_fiber_spawn (loop, wakes_itself, NULL);
  until_idle ();
  g_assert_cmpstr (trace->str, ==, "kept");
}

/* --- work on other threads, many fibers --- */

#define MANY 300

typedef struct Sum
{
  int n, done;
} Sum;

static void
add_slowly (void *opaque)
{
  g_usleep (100);
  g_atomic_int_add (&((Sum *) opaque)->n, 1);
}

static void
three_errands (void *opaque)
{
  char filler[20000];

  for (int i = 0; i < 3; i++)
    {
      memset (filler, i, sizeof filler);
      vm_fiber_work (add_slowly, opaque);
      for (size_t k = 0; k < sizeof filler; k += 999)
        g_assert_cmpint (filler[k], ==, i);
    }
  ((Sum *) opaque)->done++;
}

static void
test_many (char *fixture, const void *data)
{
  Sum sum = { 0 };

  for (int i = 0; i < MANY; i++)
    vm_fiber_spawn (loop, three_errands, &sum);
  while (sum.done < MANY)
    vm_loop_iterate (loop, true);
  g_assert_cmpint (sum.n, ==, 3 * MANY);
}

/* --- sleeping --- */

static void
sleeps (void *opaque)
{
  int ms = GPOINTER_TO_INT (opaque);
  gint64 begun = g_get_monotonic_time ();

  vm_fiber_sleep (ms * G_GINT64_CONSTANT (1000000));
  g_assert_cmpint (g_get_monotonic_time () - begun, >=, ms * 1000 - 1);
  note (".");
}

static void
test_sleep (char *fixture, const void *data)
{
  for (int i = 5; i >= 0; i--)
    vm_fiber_spawn (loop, sleeps, GINT_TO_POINTER (i * 10));
  while (trace->len < 6)
    vm_loop_iterate (loop, true);
}

/* --- locks --- */

typedef struct Shared
{
  VmFiberMutex mutex;
  VmFiberRwLock rw;
  int inside, most, writers, left;
} Shared;

static void
in_mutex (void *opaque)
{
  Shared *s = opaque;

  vm_fiber_mutex_lock (&s->mutex);
  s->inside++;
  s->most = MAX (s->most, s->inside);
  vm_fiber_yield ();
  vm_fiber_work (add_slowly, &(Sum){ 0 });
  s->inside--;
  vm_fiber_mutex_unlock (&s->mutex);
  s->left--;
}

static void
test_mutex (char *fixture, const void *data)
{
  Shared s = { .left = 20 };

  for (int i = 0; i < 20; i++)
    vm_fiber_spawn (loop, in_mutex, &s);
  while (s.left)
    vm_loop_iterate (loop, true);
  g_assert_cmpint (s.most, ==, 1);
  g_assert_null (s.mutex.owner);
}

static void
reads (void *opaque)
{
  Shared *s = opaque;

  vm_fiber_rw_read (&s->rw);
  g_assert_cmpint (s->writers, ==, 0);
  s->inside++;
  s->most = MAX (s->most, s->inside);
  vm_fiber_yield ();
  s->inside--;
  vm_fiber_rw_unlock (&s->rw);
  s->left--;
}

static void
writes (void *opaque)
{
  Shared *s = opaque;

  vm_fiber_rw_write (&s->rw);
  g_assert_cmpint (s->inside, ==, 0);
  s->writers++;
  g_assert_cmpint (s->writers, ==, 1);
  vm_fiber_yield ();
  s->writers--;
  vm_fiber_rw_unlock (&s->rw);
  s->left--;
}

static void
test_rw_lock (char *fixture, const void *data)
{
  Shared s = { .left = 40 };

  for (int i = 0; i < 40; i++)
    vm_fiber_spawn (loop, i % 8 == 3 ? writes : reads, &s);
  while (s.left)
    vm_loop_iterate (loop, true);
  g_assert_cmpint (s.most, >, 1);
  g_assert_cmpint (s.rw.readers, ==, 0);
  g_assert_false (s.rw.writer);
}

/* --- a fiber that goes on when another thread runs the loop --- */

static void
quits (void *opaque)
{
  VmFiber **self = opaque;

  *self = vm_fiber_self ();
  vm_fiber_suspend ();
  note (vm_loop_is_current (loop) ? "there" : "elsewhere");
  vm_loop_quit (loop);
}

static gpointer
run_loop (gpointer unused)
{
  vm_loop_run (loop);
  return NULL;
}

static void
test_other_thread (char *fixture, const void *data)
{
  VmFiber *fiber = NULL;
  GThread *thread;

  vm_fiber_spawn (loop, quits, &fiber);
  until_idle ();
  thread = g_thread_new ("loop", run_loop, NULL);
  vm_fiber_wake (fiber);
  g_thread_join (thread);
  g_assert_cmpstr (trace->str, ==, "there");
}

/* --- workers --- */

static int n_ended, n_met;

static void
count_end (void *value)
{
  g_atomic_int_inc (&n_ended);
}

static void
meet (void *opaque)
{
  static GPrivate mark = G_PRIVATE_INIT (count_end);

  g_private_set (&mark, &mark);
  g_atomic_int_inc (&n_met);
  while (g_atomic_int_get (&n_met) < 8)
    g_usleep (100);
}

static void
work_with_others (void *opaque)
{
  vm_fiber_work (meet, NULL);
  (*(int *) opaque)--;
}

/* A thread that ends while the program ends meets its libraries' last words. */
static void
test_workers_stay (char *fixture, const void *data)
{
  int left = 8;

  for (int i = 0; i < 8; i++)
    vm_fiber_spawn (loop, work_with_others, &left);
  while (left)
    vm_loop_iterate (loop, true);
  vm_loop_free (loop);
  loop = NULL;
  g_usleep (100 * 1000);
  g_assert_cmpint (g_atomic_int_get (&n_ended), ==, 0);
}

static void
do_nothing (void *opaque)
{
}

static void
work_a_little (void *opaque)
{
  vm_fiber_work (do_nothing, NULL);
  (*(int *) opaque)--;
}

static int
count_threads (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  int n = 0;

  while (g_dir_read_name (dir))
    n++;
  return n;
}

/* They serve the loops that come after theirs. */
static void
test_workers_are_shared (char *fixture, const void *data)
{
  int before = 0;

  for (int i = 0; i < 300; i++)
    {
      int left = 4;
      if (i == 30)
        before = count_threads ();
      for (int n = 0; n < 4; n++)
        vm_fiber_spawn (loop, work_a_little, &left);
      while (left)
        vm_loop_iterate (loop, true);
      vm_loop_free (loop);
      loop = vm_loop_new ("test", NULL);
      vm_loop_iterate (loop, false);
    }
  g_assert_cmpint (count_threads (), <=, before + 16);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    void (*func) (char *, const void *);
  } tests[] = {
    { "/fiber/order", test_order },
    { "/fiber/early-wake", test_early_wake },
    { "/fiber/many", test_many },
    { "/fiber/sleep", test_sleep },
    { "/fiber/mutex", test_mutex },
    { "/fiber/rw-lock", test_rw_lock },
    { "/fiber/other-thread", test_other_thread },
    { "/fiber/workers-stay", test_workers_stay },
    { "/fiber/workers-are-shared", test_workers_are_shared },
  };

  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].name, char, NULL, setup, tests[i].func, teardown);
  return g_test_run ();
}
