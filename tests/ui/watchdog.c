/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A module for GTK programs, loaded by $GTK_MODULES: how long their main loop does anything else than wait for events,
 * a line each time that is more than a millisecond in the file of $VITRINE_WATCHDOG:
 *
 *   END BLOCKED RAN SLEPT WAITED
 *
 * END is in seconds of the monotonic clock, the others are in milliseconds. A thread that is not waiting for events
 * runs, sleeps (for a lock, an answer, a file), or waits for a processor, which is the host's affair and not counted as
 * BLOCKED. Nor is what it sleeps while the display server, process $VITRINE_WATCHDOG_SERVER, waits for a processor.
 * When it takes too long, the callers' addresses come in lines that begin with '#' or '/'. */
#include <execinfo.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ll /* nanoseconds */
#define TOO_LONG (40 * MS)
#define LOOK_US 5000

typedef struct Mark
{ /* nanoseconds */
  gint64 wall, ran, waited, server_waited;
} Mark;

static struct
{
  int log, schedstat, server; /* files; -1: none */
  pthread_t thread;
  GPollFunc poll;
  Mark began;
  gint64 busy; /* atomic: since when; 0: waits for events */
} dog;

void gtk_module_init (int *argc, char ***argv);

static gint64
now (clockid_t clock)
{
  struct timespec time;

  clock_gettime (clock, &time);
  return time.tv_sec * 1000 * MS + time.tv_nsec;
}

/* The second number: how long the thread could have run and did not. */
static gint64
run_delay (int file)
{
  char text[80] = "";
  long long ran, waited = 0;

  if (file >= 0 && pread (file, text, sizeof text - 1, 0) > 0)
    sscanf (text, "%lld %lld", &ran, &waited);
  return waited;
}

static Mark
mark (void)
{
  return (Mark){ now (CLOCK_MONOTONIC), now (CLOCK_THREAD_CPUTIME_ID), run_delay (dog.schedstat),
                 run_delay (dog.server) };
}

static void
busy_ended (void)
{
  Mark end = mark (), *began = &dog.began;
  gint64 wall = end.wall - began->wall, ran = end.ran - began->ran, waited = end.waited - began->waited;
  gint64 slept = MAX (wall - ran - waited, 0);
  gint64 blocked = ran + MAX (slept - (end.server_waited - began->server_waited), 0);

  __atomic_store_n (&dog.busy, 0, __ATOMIC_SEQ_CST);
  if (began->wall && wall > MS)
    dprintf (dog.log, "%.6f %.1f %.1f %.1f %.1f\n", end.wall / 1e9, (double) blocked / MS, (double) ran / MS,
             (double) slept / MS, (double) waited / MS);
}

static gint
watched_poll (GPollFD *fds, guint n, gint timeout)
{
  busy_ended ();
  gint ready = dog.poll (fds, n, timeout);
  dog.began = mark ();
  __atomic_store_n (&dog.busy, dog.began.wall, __ATOMIC_SEQ_CST);
  return ready;
}

static void
tell_callers (int number)
{
  void *callers[40];
  static const char title[] = "# callers\n";

  if (write (dog.log, title, sizeof title - 1) > 0)
    backtrace_symbols_fd (callers, backtrace (callers, G_N_ELEMENTS (callers)), dog.log);
}

static gpointer
look (gpointer data)
{
  gint64 told = 0;

  while (true)
    {
      g_usleep (LOOK_US);
      gint64 busy = __atomic_load_n (&dog.busy, __ATOMIC_SEQ_CST);
      if (busy && busy != told && now (CLOCK_MONOTONIC) - busy > TOO_LONG)
        {
          told = busy;
          pthread_kill (dog.thread, SIGRTMAX - 2);
        }
    }
  return NULL;
}

void
gtk_module_init (int *argc, char ***argv)
{
  const char *path = getenv ("VITRINE_WATCHDOG"), *server = getenv ("VITRINE_WATCHDOG_SERVER");
  struct sigaction action = { .sa_handler = tell_callers, .sa_flags = SA_RESTART };
  void *caller;

  if (!path)
    return;
  backtrace (&caller, 1); /* loads what it needs: not in a signal handler */
  dog.log = open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  dog.schedstat = open ("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  g_autofree char *of_server = server ? g_strdup_printf ("/proc/%s/schedstat", server) : NULL;
  dog.server = of_server ? open (of_server, O_RDONLY | O_CLOEXEC) : -1;
  dog.thread = pthread_self ();
  dog.poll = g_main_context_get_poll_func (NULL);
  sigaction (SIGRTMAX - 2, &action, NULL);
  g_thread_unref (g_thread_new ("watchdog", look, NULL));
  g_main_context_set_poll_func (NULL, watched_poll);
}
