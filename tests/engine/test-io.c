/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lock and the loop. */
#include "engine/io/loop.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static int64_t
now_ns (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C (1000000000) + t.tv_nsec;
}

/* --- lock ------------------------------------------------------------------------------------- */

typedef struct Shared {
  VmLock     *lock;
  GCond       cond;
  unsigned    counter; /* guarded by the lock */
  bool        ready;
  atomic_bool stop;
} Shared;

static void
test_lock_nesting (void)
{
  VmLock *lock = vm_lock_new ();

  g_assert_false (vm_lock_held (lock));
  bool outer = vm_lock_enter (lock);
  bool inner = vm_lock_enter (lock);
  g_assert_true (outer && !inner && vm_lock_held (lock));
  vm_lock_leave (lock, inner);
  g_assert_true (vm_lock_held (lock));
  vm_lock_leave (lock, outer);
  g_assert_false (vm_lock_held (lock));
  vm_lock_free (lock);
}

static gpointer
count_up (gpointer data)
{
  Shared *shared = data;

  for (unsigned i = 0; i < 20000; i++)
    {
      bool taken = vm_lock_enter (shared->lock);
      shared->counter++;
      vm_lock_leave (shared->lock, taken);
    }
  return NULL;
}

static void
test_lock_exclusion (void)
{
  Shared shared = { .lock = vm_lock_new () };
  GThread *threads[4];

  for (unsigned i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("count", count_up, &shared);
  for (unsigned i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (shared.counter, ==, 80000);
  vm_lock_free (shared.lock);
}

static gpointer
hog (gpointer data)
{
  Shared *shared = data;

  while (!atomic_load (&shared->stop))
    {
      bool taken = vm_lock_enter (shared->lock);
      int64_t until = now_ns () + 20000;
      while (now_ns () < until)
        shared->counter++;
      vm_lock_leave (shared->lock, taken);
    }
  return NULL;
}

/* Two threads that hardly ever let go do not keep a third one out for long. */
static void
test_lock_fairness (void)
{
  Shared shared = { .lock = vm_lock_new () };
  GThread *hogs[2] = { g_thread_new ("hog", hog, &shared), g_thread_new ("hog", hog, &shared) };
  int64_t worst = 0, sum = 0;

  for (unsigned i = 0; i < 100; i++)
    {
      g_usleep (200);
      int64_t before = now_ns ();
      bool taken = vm_lock_enter (shared.lock);
      int64_t waited = now_ns () - before;
      vm_lock_leave (shared.lock, taken);
      worst = MAX (worst, waited);
      sum += waited;
    }
  atomic_store (&shared.stop, true);
  g_thread_join (hogs[0]);
  g_thread_join (hogs[1]);
  g_test_message ("waited %" G_GINT64_FORMAT " us on average, %" G_GINT64_FORMAT " us at worst",
                  sum / 100000, worst / 1000);
  g_assert_cmpint (sum / 100, <, 20000000);
  vm_lock_free (shared.lock);
}

static gpointer
signal_later (gpointer data)
{
  Shared *shared = data;

  for (unsigned i = 0; i < 2000; i++)
    {
      bool taken = vm_lock_enter (shared->lock);
      while (shared->ready)
        vm_lock_wait (shared->lock, &shared->cond);
      shared->ready = true;
      g_cond_broadcast (&shared->cond);
      vm_lock_leave (shared->lock, taken);
    }
  return NULL;
}

/* Two threads hand a flag to and fro; a lost wake-up would hang here. */
static void
test_lock_wait (void)
{
  Shared shared = { .lock = vm_lock_new () };
  GThread *noise = g_thread_new ("count", count_up, &shared);
  GThread *thread = g_thread_new ("signal", signal_later, &shared);

  for (unsigned i = 0; i < 2000; i++)
    {
      bool taken = vm_lock_enter (shared.lock);
      while (!shared.ready)
        vm_lock_wait (shared.lock, &shared.cond);
      g_assert_true (vm_lock_held (shared.lock));
      shared.ready = false;
      g_cond_broadcast (&shared.cond);
      vm_lock_leave (shared.lock, taken);
    }
  g_thread_join (thread);
  g_thread_join (noise);
  vm_lock_free (shared.lock);
}

/* --- loop ------------------------------------------------------------------------------------- */

typedef struct Fixture {
  VmLock     *lock;
  VmLoop     *loop;
  GThread    *thread;
  unsigned    next;     /* guarded by the lock */
  atomic_uint fired;
} Fixture;

static gpointer
run_loop (gpointer data)
{
  vm_loop_run (data);
  return NULL;
}

static void
fixture_start (Fixture *f)
{
  f->lock = vm_lock_new ();
  f->loop = vm_loop_new ("test", f->lock);
  f->thread = g_thread_new ("loop", run_loop, f->loop);
}

static void
fixture_stop (Fixture *f)
{
  vm_loop_quit (f->loop);
  g_thread_join (f->thread);
  vm_loop_free (f->loop);
  vm_lock_free (f->lock);
}

typedef struct Numbered {
  Fixture *f;
  unsigned number;
} Numbered;

static void
check_order (void *opaque)
{
  Numbered *self = opaque;

  g_assert_true (vm_loop_is_current (self->f->loop));
  g_assert_true (vm_lock_held (self->f->lock));
  g_assert_cmpuint (self->f->next, ==, self->number);
  self->f->next++;
  g_free (self);
}

static void
get_next (void *opaque)
{
  Numbered *self = opaque;

  self->number = self->f->next;
}

static void
test_posts_in_order (void)
{
  Fixture f = { 0 };
  Numbered result = { &f, 0 };

  fixture_start (&f);
  for (unsigned i = 0; i < 1000; i++)
    {
      Numbered *numbered = g_new (Numbered, 1);

      *numbered = (Numbered) { &f, i };
      vm_loop_post (f.loop, check_order, numbered);
    }
  vm_loop_call (f.loop, get_next, &result);
  g_assert_cmpuint (result.number, ==, 1000);
  fixture_stop (&f);
}

static void
post_again (void *opaque)
{
  Fixture *f = opaque;

  if (atomic_fetch_add (&f->fired, 1) < 10)
    vm_loop_post (f->loop, post_again, f);
  else
    vm_loop_quit (f->loop);
  /* On the loop's own thread a call runs at once. */
  unsigned before = atomic_load (&f->fired);
  Numbered result = { f, 77 };
  vm_loop_call (f->loop, get_next, &result);
  g_assert_cmpuint (result.number, ==, f->next);
  g_assert_cmpuint (atomic_load (&f->fired), ==, before);
}

static void
test_posts_from_loop (void)
{
  Fixture f = { .lock = vm_lock_new () };

  f.loop = vm_loop_new ("test", f.lock);
  vm_loop_post (f.loop, post_again, &f);
  vm_loop_run (f.loop);
  g_assert_cmpuint (atomic_load (&f.fired), ==, 11);
  g_assert_false (vm_loop_is_current (f.loop));
  g_assert_false (vm_lock_held (f.lock));
  g_assert_false (vm_loop_iterate (f.loop, false));
  vm_loop_free (f.loop);
  vm_lock_free (f.lock);
}

static void
count_fire (void *opaque)
{
  atomic_fetch_add (&((Fixture *) opaque)->fired, 1);
}

static void
test_wakeup (void)
{
  Fixture f = { 0 };
  int64_t late = 0;

  f.loop = vm_loop_new ("test", NULL);
  VmWakeup *wakeup = vm_wakeup_new (f.loop, count_fire, &f);
  for (unsigned i = 1; i <= 20; i++)
    {
      int64_t due = now_ns () + 300000;

      vm_wakeup_arm (wakeup, due);
      while (atomic_load (&f.fired) < i)
        vm_loop_iterate (f.loop, true);
      g_assert_cmpint (now_ns (), >=, due);
      late += now_ns () - due;
    }
  g_test_message ("late by %" G_GINT64_FORMAT " us on average", late / 20000);
  vm_wakeup_arm (wakeup, now_ns () + 1000000);
  vm_wakeup_arm (wakeup, INT64_MAX);
  g_usleep (2000);
  g_assert_false (vm_loop_iterate (f.loop, false));
  vm_wakeup_arm (wakeup, 0); /* long ago */
  g_assert_true (vm_loop_iterate (f.loop, true));
  vm_wakeup_free (wakeup);
  vm_loop_free (f.loop);
}

static bool
read_byte (int fd, GIOCondition condition, void *opaque)
{
  char byte;

  if (condition & G_IO_IN)
    g_assert_cmpint (read (fd, &byte, 1), ==, 1);
  count_fire (opaque);
  return !(condition & G_IO_HUP);
}

static void
test_watch (void)
{
  Fixture f = { 0 };
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  f.loop = vm_loop_new ("test", NULL);
  GSource *source = vm_loop_watch_fd (f.loop, fds[0], G_IO_IN | G_IO_HUP, read_byte, &f);
  g_assert_false (vm_loop_iterate (f.loop, false));
  g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
  g_assert_true (vm_loop_iterate (f.loop, true));
  g_assert_cmpuint (atomic_load (&f.fired), ==, 1);
  close (fds[1]);
  g_assert_true (vm_loop_iterate (f.loop, true));
  g_assert_true (g_source_is_destroyed (source));
  vm_source_clear (&source);
  g_assert_null (source);
  vm_source_clear (&source);
  close (fds[0]);
  vm_loop_free (f.loop);
}

/* Whether a descriptor would wake the loop, and whether it has something to do without. */
static void
look (Fixture *f, bool *woken, bool *busy)
{
  GMainContext *context = vm_loop_context (f->loop);
  GPollFD fds[8];
  int priority, timeout;

  g_assert_true (g_main_context_acquire (context));
  *busy = g_main_context_prepare (context, &priority);
  int n = g_main_context_query (context, priority, &timeout, fds, G_N_ELEMENTS (fds));
  g_assert_cmpint (n, <=, G_N_ELEMENTS (fds));
  *woken = g_poll (fds, n, 0) > 0;
  g_main_context_release (context);
}

static bool
is_quiet (Fixture *f)
{
  bool woken, busy;

  look (f, &woken, &busy);
  return !woken && !busy;
}

/* What has been done leaves nothing behind that wakes the loop once more. */
static void
test_no_wake_in_vain (void)
{
  Fixture f = { 0 };
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  f.loop = vm_loop_new ("test", NULL);
  GSource *source = vm_loop_watch_fd (f.loop, fds[0], G_IO_IN, read_byte, &f);
  VmWakeup *wakeup = vm_wakeup_new (f.loop, count_fire, &f);
  while (!is_quiet (&f))
    vm_loop_iterate (f.loop, false);
  for (unsigned i = 0; i < 10; i++)
    {
      g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
      g_assert_false (is_quiet (&f));
      g_assert_true (vm_loop_iterate (f.loop, true));
      g_assert_true (is_quiet (&f));
      vm_wakeup_arm (wakeup, 0);
      g_assert_false (is_quiet (&f));
      g_assert_true (vm_loop_iterate (f.loop, true));
      g_assert_true (is_quiet (&f));
    }
  g_assert_cmpuint (atomic_load (&f.fired), ==, 20);
  /* From another thread it does wake. */
  vm_loop_post (f.loop, count_fire, &f);
  g_assert_false (is_quiet (&f));
  vm_loop_iterate (f.loop, true);
  g_assert_cmpuint (atomic_load (&f.fired), ==, 21);
  vm_wakeup_free (wakeup);
  vm_source_clear (&source);
  vm_loop_free (f.loop);
  close (fds[0]);
  close (fds[1]);
}

static bool
post_to_own_loop (int fd, GIOCondition condition, void *opaque)
{
  Fixture *f = opaque;

  vm_loop_post (f->loop, count_fire, f);
  return read_byte (fd, condition, opaque);
}

/* A post from within the loop is no wake. */
static void
test_own_post (void)
{
  Fixture f = { 0 };
  bool woken, busy;
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  f.loop = vm_loop_new ("test", NULL);
  GSource *source = vm_loop_watch_fd (f.loop, fds[0], G_IO_IN, post_to_own_loop, &f);
  while (!is_quiet (&f))
    vm_loop_iterate (f.loop, false);
  g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
  g_assert_true (vm_loop_iterate (f.loop, true));
  g_assert_cmpuint (atomic_load (&f.fired), ==, 1);
  look (&f, &woken, &busy);
  g_assert_true (busy && !woken);
  g_assert_true (vm_loop_iterate (f.loop, true));
  g_assert_cmpuint (atomic_load (&f.fired), ==, 2);
  g_assert_true (is_quiet (&f));
  vm_source_clear (&source);
  vm_loop_free (f.loop);
  close (fds[0]);
  close (fds[1]);
}

/* The descriptor stays ready while the function that it called iterates the loop. */
static bool
iterate_within (int fd, GIOCondition condition, void *opaque)
{
  Fixture *f = opaque;

  g_assert_cmpuint (f->next, ==, 0);
  f->next++;
  count_fire (f);
  for (unsigned i = 0; i < 3; i++)
    vm_loop_iterate (f->loop, false);
  g_assert_true (is_quiet (f));
  f->next--;
  return true;
}

static void
test_nested (void)
{
  Fixture f = { 0 };
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  f.loop = vm_loop_new ("test", NULL);
  GSource *source = vm_loop_watch_fd (f.loop, fds[0], G_IO_IN | G_IO_HUP, iterate_within, &f);
  close (fds[1]);
  for (unsigned i = 1; i <= 5; i++)
    {
      while (atomic_load (&f.fired) < i)
        vm_loop_iterate (f.loop, true);
      g_assert_false (is_quiet (&f));
    }
  vm_source_clear (&source);
  vm_loop_free (f.loop);
  close (fds[0]);
}

/* A vCPU that does nothing but device accesses leaves the loop its share. */
static void
test_loop_is_not_starved (void)
{
  Fixture f = { 0 };
  int64_t begin, worst = 0;

  fixture_start (&f);
  Shared shared = { .lock = f.lock };
  GThread *vcpu = g_thread_new ("vcpu", hog, &shared);
  begin = now_ns ();
  for (unsigned i = 0; i < 100; i++)
    {
      Numbered result = { &f, 0 };
      int64_t before = now_ns ();

      vm_loop_call (f.loop, get_next, &result);
      worst = MAX (worst, now_ns () - before);
    }
  int64_t took = now_ns () - begin;
  atomic_store (&shared.stop, true);
  g_thread_join (vcpu);
  g_test_message ("100 calls took %" G_GINT64_FORMAT " us, the worst %" G_GINT64_FORMAT " us",
                  took / 1000, worst / 1000);
  g_assert_cmpint (took, <, INT64_C (5000000000));
  fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lock/nesting", test_lock_nesting);
  g_test_add_func ("/lock/exclusion", test_lock_exclusion);
  g_test_add_func ("/lock/fairness", test_lock_fairness);
  g_test_add_func ("/lock/wait", test_lock_wait);
  g_test_add_func ("/loop/posts-in-order", test_posts_in_order);
  g_test_add_func ("/loop/posts-from-loop", test_posts_from_loop);
  g_test_add_func ("/loop/wakeup", test_wakeup);
  g_test_add_func ("/loop/watch", test_watch);
  g_test_add_func ("/loop/no-wake-in-vain", test_no_wake_in_vain);
  g_test_add_func ("/loop/own-post", test_own_post);
  g_test_add_func ("/loop/nested", test_nested);
  g_test_add_func ("/loop/not-starved", test_loop_is_not_starved);
  return g_test_run ();
}
