/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns: who has had least is next. See jobs.h. */
#include "ui/vnc/jobs.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NICE 10 /* the guest comes first, then those who talk to viewers */

struct VncJobs
{
  VmLoop *loop;
  GPtrArray *threads; /* GThread * */
  GMutex mutex;
  GCond more;
  GPtrArray *waiting; /* VncJob *; under the mutex, as the rest */
  unsigned under_way;
  int64_t floor; /* what those who were there all the time have had */
  bool ending;
};

void
vnc_step_back (int steps)
{
  id_t self = (id_t) gettid ();

  setpriority (PRIO_PROCESS, self, MIN (19, getpriority (PRIO_PROCESS, self) + steps));
}

static int64_t
processor_time (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

/* NULL: the end. */
static VncJob *
wait_for_turn (VncJobs *jobs)
{
  guint least = 0;

  while (!jobs->waiting->len && !jobs->ending)
    g_cond_wait (&jobs->more, &jobs->mutex);
  if (!jobs->waiting->len)
    return NULL;
  for (guint i = 1; i < jobs->waiting->len; i++)
    {
      const VncJob *job = g_ptr_array_index (jobs->waiting, i), *best = g_ptr_array_index (jobs->waiting, least);
      if (job->spent < best->spent)
        least = i;
    }
  VncJob *job = g_ptr_array_remove_index (jobs->waiting, least);
  jobs->floor = MAX (jobs->floor, job->spent);
  return job;
}

static gpointer
work (gpointer data)
{
  VncJobs *jobs = data;
  struct sched_param none = { 0 };
  VncJob *job;

  vnc_step_back (NICE);
  sched_setscheduler (0, SCHED_BATCH, &none); /* waking up interrupts nobody */
  g_mutex_lock (&jobs->mutex);
  while ((job = wait_for_turn (jobs)))
    {
      jobs->under_way++;
      g_mutex_unlock (&jobs->mutex);
      int64_t begin = processor_time ();
      bool all = job->turn (job->opaque);
      job->spent += processor_time () - begin;
      g_mutex_lock (&jobs->mutex);
      jobs->under_way--;
      if (all)
        vm_loop_post (jobs->loop, job->done, job->opaque);
      else
        g_ptr_array_add (jobs->waiting, job);
    }
  g_mutex_unlock (&jobs->mutex);
  return NULL;
}

VncJobs *
vnc_jobs_new (VmLoop *loop, unsigned threads, bool named)
{
  VncJobs *jobs = g_new0 (VncJobs, 1);

  jobs->loop = loop;
  g_mutex_init (&jobs->mutex);
  g_cond_init (&jobs->more);
  jobs->waiting = g_ptr_array_new ();
  jobs->threads = g_ptr_array_new ();
  for (unsigned i = 0; i < threads; i++)
    g_ptr_array_add (jobs->threads, g_thread_new (named ? "vnc encoder" : NULL, work, jobs));
  return jobs;
}

void
vnc_jobs_free (VncJobs *jobs)
{
  g_mutex_lock (&jobs->mutex);
  jobs->ending = true;
  g_cond_broadcast (&jobs->more);
  g_mutex_unlock (&jobs->mutex);
  for (guint i = 0; i < jobs->threads->len; i++)
    g_thread_join (g_ptr_array_index (jobs->threads, i));
  g_ptr_array_unref (jobs->threads);
  g_ptr_array_unref (jobs->waiting);
  g_cond_clear (&jobs->more);
  g_mutex_clear (&jobs->mutex);
  g_free (jobs);
}

void
vnc_jobs_push (VncJobs *jobs, VncJob *job)
{
  g_mutex_lock (&jobs->mutex);
  job->spent = MAX (job->spent, jobs->floor); /* nobody saves turns up */
  g_ptr_array_add (jobs->waiting, job);
  g_cond_signal (&jobs->more);
  g_mutex_unlock (&jobs->mutex);
}

bool
vnc_jobs_are_idle (VncJobs *jobs)
{
  g_mutex_lock (&jobs->mutex);
  bool idle = !jobs->under_way && !jobs->waiting->len;
  g_mutex_unlock (&jobs->mutex);
  return idle;
}
