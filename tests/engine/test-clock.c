/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clocks and timers. */
#include "engine/clock/clock.h"

#include <stdatomic.h>

typedef struct Fixture {
  VmLoop   *loop;
  VmClocks *clocks;
  GString  *log;
} Fixture;

typedef struct Named {
  VmTimer  timer;
  Fixture *f;
  char     name;
  int64_t  period;
  unsigned fired;
} Named;

static void
fixture_set_up (Fixture *f, gconstpointer data)
{
  f->loop = vm_loop_new ("test", NULL);
  f->clocks = vm_clocks_new (f->loop);
  f->log = g_string_new (NULL);
}

static void
fixture_tear_down (Fixture *f, gconstpointer data)
{
  vm_clocks_free (f->clocks);
  vm_loop_free (f->loop);
  g_string_free (f->log, TRUE);
}

static void
named_fire (void *opaque)
{
  Named *self = opaque;

  g_string_append_c (self->f->log, self->name);
  self->fired++;
  if (self->period >= 0)
    vm_timer_set (&self->timer, vm_clock_now (self->f->clocks, self->timer.type) + self->period);
}

static void
named_init (Named *self, Fixture *f, char name, VmClockType type)
{
  *self = (Named) { .f = f, .name = name, .period = -1 };
  vm_timer_init (&self->timer, f->clocks, type, named_fire, self);
}

static void
test_virtual_stands (Fixture *f, gconstpointer data)
{
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL), ==, 0);
  vm_clocks_set_running (f->clocks, true);
  g_usleep (1000);
  int64_t a = vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL);
  g_assert_cmpint (a, >=, VM_NS_PER_MS);
  vm_clocks_set_running (f->clocks, false);
  int64_t b = vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL);
  g_assert_cmpint (b, >=, a);
  g_usleep (1000);
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL), ==, b);
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL_RT), ==, b);
  vm_clocks_set_virtual (f->clocks, 12345);
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL), ==, 12345);
  vm_clocks_set_running (f->clocks, true);
  int64_t c = vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL);
  g_assert_cmpint (c, >=, 12345);
  g_assert_cmpint (c, <, VM_NS_PER_SEC * 10);
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_HOST), >, INT64_C (1600000000) * VM_NS_PER_SEC);
}

static void
test_order (Fixture *f, gconstpointer data)
{
  static const struct {
    char    name;
    int64_t expire;
  } timers[] = { { 'd', 400 }, { 'a', 100 }, { 'c', 300 }, { 'e', 500 }, { 'b', 200 }, { 'f', 500 } };
  Named named[G_N_ELEMENTS (timers)];

  for (size_t i = 0; i < G_N_ELEMENTS (timers); i++)
    {
      named_init (&named[i], f, timers[i].name, VM_CLOCK_VIRTUAL);
      vm_timer_set (&named[i].timer, timers[i].expire);
    }
  g_assert_cmpint (vm_clocks_next_deadline (f->clocks, VM_CLOCK_VIRTUAL), ==, 100);
  g_assert_cmpint (vm_clocks_next_deadline (f->clocks, VM_CLOCK_HOST), ==, -1);
  vm_clocks_advance_to (f->clocks, 250);
  g_assert_cmpstr (f->log->str, ==, "ab");
  vm_timer_set (&named[0].timer, 600);   /* d moves to the end */
  vm_timer_cancel (&named[2].timer);     /* c never fires */
  vm_timer_cancel (&named[2].timer);
  g_assert_cmpint (vm_clocks_advance_to (f->clocks, 1000), ==, 1000);
  g_assert_cmpstr (f->log->str, ==, "abefd");
  g_assert_false (vm_timer_pending (&named[0].timer));
}

static void
test_rearm (Fixture *f, gconstpointer data)
{
  Named a, b;

  vm_clocks_set_manual (f->clocks, true);
  vm_clocks_set_running (f->clocks, true);
  named_init (&a, f, 'a', VM_CLOCK_VIRTUAL);
  named_init (&b, f, 'b', VM_CLOCK_VIRTUAL_RT);
  a.period = 100;
  b.period = 250;
  vm_timer_set (&a.timer, 100);
  vm_timer_set (&b.timer, 250);
  g_assert_cmpint (vm_clocks_advance_to (f->clocks, 600), ==, 600);
  g_assert_cmpstr (f->log->str, ==, "aabaabaa");
  vm_timer_cancel (&a.timer);
  vm_timer_cancel (&b.timer);
  /* A period of nothing does not hang. */
  a.period = 0;
  vm_timer_set (&a.timer, 700);
  g_assert_cmpint (vm_clocks_advance_to (f->clocks, 800), ==, 800);
  g_assert_cmpuint (a.fired, >, 10);
  vm_timer_cancel (&a.timer);
}

static void
test_heap (Fixture *f, gconstpointer data)
{
  enum { N = 500 };
  Named *named = g_new (Named, N);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  int64_t last = 0;
  unsigned pending = 0;

  for (unsigned i = 0; i < N; i++)
    named_init (&named[i], f, '.', VM_CLOCK_VIRTUAL);
  for (unsigned i = 0; i < 20000; i++)
    {
      VmTimer *timer = &named[g_rand_int_range (rand, 0, N)].timer;

      if (g_rand_int_range (rand, 0, 3) == 0)
        vm_timer_cancel (timer);
      else
        vm_timer_set (timer, g_rand_int_range (rand, 1, 100000));
    }
  for (unsigned i = 0; i < N; i++)
    pending += vm_timer_pending (&named[i].timer);
  while (vm_clocks_next_deadline (f->clocks, VM_CLOCK_VIRTUAL) >= 0)
    {
      int64_t next = vm_clocks_next_deadline (f->clocks, VM_CLOCK_VIRTUAL);

      g_assert_cmpint (next, >=, last);
      last = next;
      vm_clocks_advance_to (f->clocks, next);
    }
  g_assert_cmpuint (f->log->len, ==, pending);
  g_free (named);
}

static void
run_until (Fixture *f, size_t n_fired)
{
  while (f->log->len < n_fired)
    vm_loop_iterate (f->loop, true);
}

static void
test_loop_fires (Fixture *f, gconstpointer data)
{
  Named v, r, h, early;

  named_init (&v, f, 'v', VM_CLOCK_VIRTUAL);
  named_init (&r, f, 'r', VM_CLOCK_REALTIME);
  named_init (&h, f, 'h', VM_CLOCK_HOST);
  named_init (&early, f, 'e', VM_CLOCK_REALTIME);
  vm_timer_set (&v.timer, VM_NS_PER_MS);
  vm_timer_set (&r.timer, vm_clock_now (f->clocks, VM_CLOCK_REALTIME) + 2 * VM_NS_PER_MS);
  run_until (f, 1);
  g_assert_cmpstr (f->log->str, ==, "r"); /* the virtual clock stands */
  vm_timer_set (&h.timer, vm_clock_now (f->clocks, VM_CLOCK_HOST) + VM_NS_PER_MS);
  run_until (f, 2);
  g_assert_cmpstr (f->log->str, ==, "rh");
  vm_clocks_set_running (f->clocks, true);
  run_until (f, 3);
  g_assert_cmpstr (f->log->str, ==, "rhv");
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL), >=, VM_NS_PER_MS);
  /* One that moves forward, one that moves back. */
  int64_t now = vm_clock_now (f->clocks, VM_CLOCK_REALTIME);
  vm_timer_set (&r.timer, now + VM_NS_PER_MS);
  vm_timer_set (&early.timer, now + 60 * VM_NS_PER_SEC);
  vm_timer_set (&r.timer, now + 4 * VM_NS_PER_MS);
  vm_timer_set (&early.timer, now + 2 * VM_NS_PER_MS);
  run_until (f, 5);
  g_assert_cmpstr (f->log->str, ==, "rhver");
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_REALTIME), >=, now + 4 * VM_NS_PER_MS);
}

/* A timer that always wants to fire again leaves room for the rest of the loop. */
static void
count_post (void *opaque)
{
  g_string_append_c (((Fixture *) opaque)->log, 'p');
}

static void
test_loop_survives_zero_period (Fixture *f, gconstpointer data)
{
  Named r;

  named_init (&r, f, 'r', VM_CLOCK_REALTIME);
  r.period = 0;
  vm_timer_set (&r.timer, 0);
  vm_loop_post (f->loop, count_post, f);
  for (unsigned i = 0; i < 10; i++)
    vm_loop_iterate (f->loop, true);
  g_assert_nonnull (strchr (f->log->str, 'p'));
  vm_timer_cancel (&r.timer);
}

typedef struct Reader {
  VmClocks   *clocks;
  atomic_bool stop;
} Reader;

static gpointer
read_clock (gpointer data)
{
  Reader *self = data;
  int64_t last = 0;

  while (!atomic_load (&self->stop))
    {
      int64_t now = vm_clock_now (self->clocks, VM_CLOCK_VIRTUAL);

      g_assert_cmpint (now, >=, last);
      last = now;
    }
  return NULL;
}

/* Readers never see time go back while it is stopped and started. */
static void
test_lock_free_reads (Fixture *f, gconstpointer data)
{
  Reader reader = { .clocks = f->clocks };
  GThread *thread = g_thread_new ("reader", read_clock, &reader);

  for (unsigned i = 0; i < 3000; i++)
    {
      vm_clocks_set_running (f->clocks, i & 1);
      if (i % 64 == 0)
        g_usleep (50);
    }
  atomic_store (&reader.stop, true);
  g_thread_join (thread);
}

static void
test_read_is_cheap (Fixture *f, gconstpointer data)
{
  vm_clocks_set_running (f->clocks, true);
  int64_t begin = vm_clock_now (f->clocks, VM_CLOCK_REALTIME);
  for (unsigned i = 0; i < 100000; i++)
    vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL);
  g_test_message ("%" G_GINT64_FORMAT " ns per reading",
                  (vm_clock_now (f->clocks, VM_CLOCK_REALTIME) - begin) / 100000);
}

static void
test_muldiv (void)
{
  g_assert_cmpuint (vm_muldiv64 (UINT64_MAX, 1000, 1000), ==, UINT64_MAX);
  g_assert_cmpuint (vm_muldiv64 (1193182, 1000000000, 1193182), ==, 1000000000);
}

#define ADD(path, func)                                                                          \
  g_test_add (path, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

static bool
never_idle (void *opaque)
{
  return false;
}

/* Time is what the count says; those set by callbacks wait for the next look. */
static void
test_counted (Fixture *f, gconstpointer data)
{
  Named a, b;

  named_init (&a, f, 'a', VM_CLOCK_VIRTUAL);
  named_init (&b, f, 'b', VM_CLOCK_VIRTUAL);
  b.period = 0;
  vm_timer_set (&a.timer, 100);
  VmCountedClock *clock = vm_clocks_set_counted (f->clocks, never_idle, NULL);
  vm_clocks_set_running (f->clocks, true);
  g_assert_cmpint (clock->deadline, ==, 100);
  vm_timer_set (&b.timer, 50);
  g_assert_cmpint (clock->deadline, ==, 50);
  clock->now = 49;
  g_assert_cmpint (vm_clock_now (f->clocks, VM_CLOCK_VIRTUAL), ==, 49);
  vm_clocks_fire_counted (f->clocks, false);
  g_assert_cmpstr (f->log->str, ==, "");
  vm_clocks_fire_counted (f->clocks, true);
  g_assert_cmpstr (f->log->str, ==, "b");
  g_assert_cmpint (clock->now, ==, 50);
  g_assert_cmpint (clock->deadline, ==, 50);
  vm_timer_cancel (&b.timer);
  clock->now = 120;
  vm_clocks_fire_counted (f->clocks, false);
  g_assert_cmpstr (f->log->str, ==, "ba");
  g_assert_cmpint (clock->deadline, ==, INT64_MAX);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/clock/virtual-stands", test_virtual_stands);
  ADD ("/clock/order", test_order);
  ADD ("/clock/rearm", test_rearm);
  ADD ("/clock/heap", test_heap);
  ADD ("/clock/loop-fires", test_loop_fires);
  ADD ("/clock/zero-period", test_loop_survives_zero_period);
  ADD ("/clock/lock-free-reads", test_lock_free_reads);
  ADD ("/clock/read-is-cheap", test_read_is_cheap);
  g_test_add_func ("/clock/muldiv", test_muldiv);
  ADD ("/clock/counted", test_counted);
  return g_test_run ();
}
