/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The event loop: a GMainContext taken through its phases by hand, so that the lock is held only
 * while dispatching, and a queue of functions other threads want run here. */
#include "engine/io/loop.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

typedef struct Post Post;
struct Post {
  Post      *next;
  VmPostFunc func;
  void      *opaque;
};

struct VmLoop {
  char            *name;
  VmLock          *lock;
  GMainContext    *context;
  GSource         *posts;
  GPollFD         *fds;
  int              n_fds;
  atomic_uintptr_t thread;   /* running it; 0: none */
  atomic_bool      quit;
  pthread_mutex_t  mutex;    /* guards the queue */
  Post            *first, **last;
  atomic_bool      has_posts;
  Post            *running;  /* taken from the queue, not yet run; the loop's thread */
  VmLoopPolling    polling;  /* under mutex */
  bool             polls;    /* atomic: there is any */
  int64_t          poll_ns;  /* how long the loop looks now */
  GThreadPool     *workers;  /* under mutex: NULL until there was work */
};

typedef struct PostSource {
  GSource source;
  VmLoop *loop;
} PostSource;

static bool
lock_enter (VmLoop *loop)
{
  return loop->lock && vm_lock_enter (loop->lock);
}

static void
lock_leave (VmLoop *loop, bool taken)
{
  if (loop->lock)
    vm_lock_leave (loop->lock, taken);
}

/* Takes the whole queue: what is posted from now on waits for the next round. */
static Post *
take_posts (VmLoop *loop)
{
  pthread_mutex_lock (&loop->mutex);
  Post *list = loop->first;
  loop->first = NULL;
  loop->last = &loop->first;
  atomic_store (&loop->has_posts, false);
  pthread_mutex_unlock (&loop->mutex);
  return list;
}

static void
run_posts (VmLoop *loop)
{
  Post **end = &loop->running;

  while (*end)
    end = &(*end)->next;
  *end = take_posts (loop);
  for (Post *post; (post = loop->running);)
    {
      loop->running = post->next;
      post->func (post->opaque);
      g_free (post);
    }
}

void
vm_loop_run_posted (VmLoop *loop)
{
  while (loop->running || atomic_load (&loop->has_posts))
    run_posts (loop);
}

static gboolean
posts_prepare (GSource *source, int *timeout)
{
  *timeout = -1;
  return atomic_load (&((PostSource *) source)->loop->has_posts);
}

static gboolean
posts_check (GSource *source)
{
  return atomic_load (&((PostSource *) source)->loop->has_posts);
}

static gboolean
posts_dispatch (GSource *source, GSourceFunc func, gpointer data)
{
  run_posts (((PostSource *) source)->loop);
  return G_SOURCE_CONTINUE;
}

static const GSourceFuncs posts_funcs = {
  .prepare = posts_prepare,
  .check = posts_check,
  .dispatch = posts_dispatch,
};

VmLoop *
vm_loop_new (const char *name, VmLock *lock)
{
  VmLoop *loop = g_new0 (VmLoop, 1);

  loop->name = g_strdup (name);
  loop->lock = lock;
  loop->context = g_main_context_new ();
  loop->last = &loop->first;
  pthread_mutex_init (&loop->mutex, NULL);
  loop->n_fds = 8;
  loop->fds = g_new (GPollFD, loop->n_fds);
  loop->posts = g_source_new ((GSourceFuncs *) &posts_funcs, sizeof (PostSource));
  ((PostSource *) loop->posts)->loop = loop;
  g_source_set_name (loop->posts, "posts");
  g_source_attach (loop->posts, loop->context);
  return loop;
}

void
vm_loop_free (VmLoop *loop)
{
  if (!loop)
    return;
  g_assert (atomic_load (&loop->thread) == 0);
  if (loop->workers)
    g_thread_pool_free (loop->workers, FALSE, TRUE);
  /* Whom these were meant for may be gone: they are not run. */
  for (Post *post = take_posts (loop), *next; post; post = next)
    {
      next = post->next;
      g_free (post);
    }
  vm_source_clear (&loop->posts);
  g_main_context_unref (loop->context);
  pthread_mutex_destroy (&loop->mutex);
  g_free (loop->fds);
  g_free (loop->name);
  g_free (loop);
}

GMainContext *
vm_loop_context (VmLoop *loop)
{
  return loop->context;
}

VmLock *
vm_loop_lock (VmLoop *loop)
{
  return loop->lock;
}

bool
vm_loop_is_current (const VmLoop *loop)
{
  return atomic_load_explicit (&loop->thread, memory_order_relaxed) == (uintptr_t) pthread_self ();
}

/* Asks the context which descriptors it waits for; returns how many. */
static int
query (VmLoop *loop, int priority, int *timeout)
{
  int n;

  while ((n = g_main_context_query (loop->context, priority, timeout, loop->fds, loop->n_fds))
         > loop->n_fds)
    {
      loop->n_fds = n * 2;
      loop->fds = g_renew (GPollFD, loop->fds, loop->n_fds);
    }
  return n;
}

static int
wait_for (VmLoop *loop, int n, int timeout_ms)
{
  struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
  int ready;

  /* GPollFD is defined to be laid out as struct pollfd. */
  G_STATIC_ASSERT (sizeof (GPollFD) == sizeof (struct pollfd));
  ready = ppoll ((struct pollfd *) (void *) loop->fds, n, timeout_ms < 0 ? NULL : &timeout, NULL);
  for (int i = 0; ready < 0 && i < n; i++)
    loop->fds[i].revents = 0;
  return ready;
}

static int64_t
monotonic_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C (1000000000) + now.tv_nsec;
}

#define POLL_FIRST_NS 4000 /* when it begins to look */

/* After a wait of WAITED_NS. */
static int64_t
next_poll_ns (const VmLoopPolling *polling, int64_t poll_ns, int64_t waited_ns)
{
  int64_t next = poll_ns;

  if (waited_ns > polling->max_ns)
    next = polling->shrink ? poll_ns / polling->shrink : 0;
  else if (waited_ns > poll_ns && !poll_ns)
    next = POLL_FIRST_NS;
  else if (waited_ns > poll_ns && __builtin_mul_overflow (poll_ns, polling->grow ? polling->grow : 2, &next))
    next = polling->max_ns;
  return CLAMP (next, 0, polling->max_ns);
}

static void
poll_and_wait (VmLoop *loop, int n, int timeout_ms)
{
  pthread_mutex_lock (&loop->mutex);
  VmLoopPolling polling = loop->polling;
  pthread_mutex_unlock (&loop->mutex);
  int64_t begin = monotonic_ns (), end = begin + MIN (loop->poll_ns, polling.max_ns);

  while (monotonic_ns () < end)
    if (wait_for (loop, n, 0) > 0)
      return;
  wait_for (loop, n, timeout_ms);
  loop->poll_ns = next_poll_ns (&polling, loop->poll_ns, monotonic_ns () - begin);
}

void
vm_loop_set_polling (VmLoop *loop, VmLoopPolling polling)
{
  pthread_mutex_lock (&loop->mutex);
  loop->polling = polling;
  __atomic_store_n (&loop->polls, polling.max_ns > 0, __ATOMIC_RELAXED);
  pthread_mutex_unlock (&loop->mutex);
}

static bool
round_once (VmLoop *loop, bool may_block)
{
  int priority, timeout;

  g_main_context_prepare (loop->context, &priority);
  int n = query (loop, priority, &timeout);
  if (may_block && timeout != 0 && __atomic_load_n (&loop->polls, __ATOMIC_RELAXED))
    poll_and_wait (loop, n, timeout);
  else
    wait_for (loop, n, may_block ? timeout : 0);
  /* This fails when a source was added meanwhile; the next round sees it. */
  if (!g_main_context_check (loop->context, priority, loop->fds, n))
    return false;
  bool taken = lock_enter (loop);
  g_main_context_dispatch (loop->context);
  lock_leave (loop, taken);
  return true;
}

/* Makes the calling thread the one that runs LOOP; returns who did before (itself, when nested). */
static uintptr_t
become_current (VmLoop *loop)
{
  bool acquired = g_main_context_acquire (loop->context);

  g_assert (acquired);
  g_main_context_push_thread_default (loop->context);
  return atomic_exchange (&loop->thread, (uintptr_t) pthread_self ());
}

static void
resign (VmLoop *loop, uintptr_t before)
{
  atomic_store (&loop->thread, before);
  g_main_context_pop_thread_default (loop->context);
  g_main_context_release (loop->context);
}

void
vm_loop_run (VmLoop *loop)
{
  uintptr_t before = become_current (loop);

  while (!atomic_load (&loop->quit))
    round_once (loop, true);
  /* Posts made before the quit are still honoured: somebody may be waiting in vm_loop_call(). */
  bool taken = lock_enter (loop);
  run_posts (loop);
  lock_leave (loop, taken);
  atomic_store (&loop->quit, false);
  resign (loop, before);
}

void
vm_loop_quit (VmLoop *loop)
{
  atomic_store (&loop->quit, true);
  g_main_context_wakeup (loop->context);
}

bool
vm_loop_iterate (VmLoop *loop, bool may_block)
{
  uintptr_t before = become_current (loop);
  bool dispatched = round_once (loop, may_block);

  resign (loop, before);
  return dispatched;
}

void
vm_loop_post (VmLoop *loop, VmPostFunc func, void *opaque)
{
  Post *post = g_new (Post, 1);

  *post = (Post) { .func = func, .opaque = opaque };
  pthread_mutex_lock (&loop->mutex);
  bool was_empty = !loop->first;
  *loop->last = post;
  loop->last = &post->next;
  atomic_store (&loop->has_posts, true);
  /* Inside the mutex: once the post can run, it may be the one that ends the loop's life. The loop's own thread does not
   * wait now, and looks for posts before it does. */
  if (was_empty && !vm_loop_is_current (loop))
    g_main_context_wakeup (loop->context);
  pthread_mutex_unlock (&loop->mutex);
}

typedef struct Call {
  VmPostFunc      func;
  void           *opaque;
  pthread_mutex_t mutex;
  pthread_cond_t  cond;
  bool            done;
} Call;

static void
call_run (void *opaque)
{
  Call *call = opaque;

  call->func (call->opaque);
  pthread_mutex_lock (&call->mutex);
  call->done = true;
  pthread_cond_signal (&call->cond);
  pthread_mutex_unlock (&call->mutex);
}

void
vm_loop_call (VmLoop *loop, VmPostFunc func, void *opaque)
{
  if (vm_loop_is_current (loop))
    {
      bool taken = lock_enter (loop);
      func (opaque);
      lock_leave (loop, taken);
      return;
    }
  g_assert (!loop->lock || !vm_lock_held (loop->lock));
  Call call = { func, opaque, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
  vm_loop_post (loop, call_run, &call);
  pthread_mutex_lock (&call.mutex);
  while (!call.done)
    pthread_cond_wait (&call.cond, &call.mutex);
  pthread_mutex_unlock (&call.mutex);
  pthread_cond_destroy (&call.cond);
  pthread_mutex_destroy (&call.mutex);
}

/* GLib would take the descriptor of a source that is dispatched out of its set, and put it back, for the case that the
 * function iterates the loop; either wakes the loop for a round in vain. Here it goes only when that is so. */
typedef struct FdSource {
  GSource      source;
  int          fd;
  GIOCondition condition;
  gpointer     tag;      /* NULL: out of the set, until the function has returned */
  bool         running;
  VmFdFunc     func;
  void        *opaque;
} FdSource;

static gboolean
fd_check (GSource *source)
{
  FdSource *self = (FdSource *) source;

  return self->tag && g_source_query_unix_fd (source, self->tag) != 0;
}

static gboolean
fd_dispatch (GSource *source, GSourceFunc func, gpointer data)
{
  FdSource *self = (FdSource *) source;

  if (self->running)
    {
      g_source_remove_unix_fd (source, g_steal_pointer (&self->tag));
      return G_SOURCE_CONTINUE;
    }
  self->running = true;
  bool stays = self->func (self->fd, g_source_query_unix_fd (source, self->tag), self->opaque);
  self->running = false;
  if (!self->tag && !g_source_is_destroyed (source))
    self->tag = g_source_add_unix_fd (source, self->fd, self->condition);
  return stays;
}

static const GSourceFuncs fd_funcs = { .check = fd_check, .dispatch = fd_dispatch };

GSource *
vm_loop_watch_fd (VmLoop *loop, int fd, GIOCondition condition, VmFdFunc func, void *opaque)
{
  GSource *source = g_source_new ((GSourceFuncs *) &fd_funcs, sizeof (FdSource));
  FdSource *self = (FdSource *) source;

  self->fd = fd;
  self->condition = condition;
  self->func = func;
  self->opaque = opaque;
  g_source_set_can_recurse (source, TRUE);
  self->tag = g_source_add_unix_fd (source, fd, condition);
  g_source_attach (source, loop->context);
  return source;
}

void
vm_source_clear (GSource **source)
{
  if (!*source)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

/* --- work that blocks --------------------------------------------------------------------------------- */

typedef struct Work {
  VmPostFunc func, done;
  void      *opaque;
} Work;

static void
run_work (gpointer data, gpointer loop)
{
  Work *work = data;

  work->func (work->opaque);
  vm_loop_post (loop, work->done, work->opaque);
  g_free (work);
}

/* They do not end before the program does: nobody can wait for GLib's threads, and what a library keeps for a thread is
 * let go of when the thread ends, which must not meet what lets go of it for all threads at exit (libssh's OpenSSL freed
 * it twice). Said once: each time wakes those that wait, and who asks for one meanwhile gets a new one. */
static void
keep_threads (void)
{
  if (g_thread_pool_get_max_unused_threads () < 0)
    return;
  g_thread_pool_set_max_unused_threads (-1);
  g_thread_pool_set_max_idle_time (0);
}

/* Threads are shared with other loops' pools. Their number bounds how much the host is asked at once, not how much may
 * be waiting. */
void
vm_loop_work (VmLoop *loop, VmPostFunc func, VmPostFunc done, void *opaque)
{
  Work *work = g_new (Work, 1);

  *work = (Work) { func, done, opaque };
  pthread_mutex_lock (&loop->mutex);
  if (!loop->workers)
    {
      keep_threads ();
      loop->workers = g_thread_pool_new (run_work, loop, (int) MAX (16, 2 * g_get_num_processors ()), FALSE, NULL);
    }
  pthread_mutex_unlock (&loop->mutex);
  g_thread_pool_push (loop->workers, work, NULL);
}
