/* SPDX-License-Identifier: GPL-3.0-or-later */
/* While there are jobs the engine is asked twice a second how far they are. One that saves or loads the machine itself
 * keeps the engine from answering; how far that is can be read beside it. */
#include "config.h"

#include "ui/gtk/jobs.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/size.h"

#define LOOK_MS 250
#define SHOW_US 500000    /* what ends before is not worth a row */
#define DETAIL_US 2000000 /* from here on with numbers */

typedef struct Job
{
  VmJobs *jobs;
  char *id, *title;
  char *why; /* it failed; NULL: it has not, as far as is known */
  bool ours, concluded, seen;
  gpointer owner;
  VmJobEnded ended;
  gint64 started;
  int64_t done, total;
  bool whole_machine; /* saves or loads it */
  GtkWidget *row, *label, *bar, *cancel;
} Job;

struct _VmJobs
{
  GtkBox parent_instance;
  VmSession *session;
  GPtrArray *list; /* Job * */
  unsigned serial;
  guint timer;
  bool asking;
};

G_DEFINE_TYPE (VmJobs, vm_jobs, GTK_TYPE_BOX)

enum
{
  ENDED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
job_free (gpointer data)
{
  Job *job = data;

  if (job->row)
    gtk_widget_destroy (job->row);
  g_clear_object (&job->owner);
  g_free (job->id);
  g_free (job->title);
  g_free (job->why);
  g_free (job);
}

static Job *
jobs_find (VmJobs *self, const char *id)
{
  for (guint i = 0; i < self->list->len; i++)
    if (!strcmp (((Job *) self->list->pdata[i])->id, id))
      return self->list->pdata[i];
  return NULL;
}

/* --- a row ------------------------------------------------------------------------------------------------------ */

static void
job_cancel (GtkButton *button, Job *job)
{
  gtk_widget_set_sensitive (GTK_WIDGET (button), FALSE);
  if (job->whole_machine)
    vm_session_cancel_progress (job->jobs->session);
  else
    vm_call (job->jobs->session, job->jobs, "job-cancel", vm_json_dict ("id", VM_TEXT (job->id), NULL), NULL, NULL);
}

static void
job_show (Job *job)
{
  job->row = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  job->label = gtk_label_new (job->title);
  job->bar = gtk_progress_bar_new ();
  job->cancel = gtk_button_new_with_mnemonic (_ ("_Cancel"));
  gtk_widget_set_name (job->row, "job");
  gtk_label_set_ellipsize (GTK_LABEL (job->label), PANGO_ELLIPSIZE_END);
  gtk_label_set_xalign (GTK_LABEL (job->label), 0);
  gtk_widget_set_valign (job->bar, GTK_ALIGN_CENTER);
  gtk_box_pack_start (GTK_BOX (job->row), job->label, TRUE, TRUE, 6);
  gtk_box_pack_end (GTK_BOX (job->row), job->cancel, FALSE, FALSE, 0);
  gtk_box_pack_end (GTK_BOX (job->row), job->bar, FALSE, FALSE, 0);
  gtk_widget_set_no_show_all (job->bar, TRUE);
  atk_object_set_name (gtk_widget_get_accessible (job->bar), job->title);
  g_signal_connect (job->cancel, "clicked", G_CALLBACK (job_cancel), job);
  gtk_widget_show_all (job->row);
  gtk_container_add (GTK_CONTAINER (job->jobs), job->row);
}

/* "Saving “x”: 12.5 MB of 100.0 MB, 50.0 MB/s, 2 s left" */
static char *
job_text (const Job *job, double seconds)
{
  g_autofree char *done = vm_format_size (job->done), *total = vm_format_size (job->total);
  double rate = seconds > 0 ? job->done / seconds : 0;
  g_autofree char *speed = vm_format_size ((guint64) rate);

  if (job->total <= 1)
    /* Translators: what is done, and for how long already. */
    return g_strdup_printf (_ ("%s: %.0f s"), job->title, seconds);
  if (rate < 1)
    return g_strdup_printf (_ ("%s: %s of %s"), job->title, done, total);
  /* Translators: what is done; bytes so far, of all, in a second; and the time left. */
  return g_strdup_printf (_ ("%s: %s of %s, %s/s, %.0f s left"), job->title, done, total, speed,
                          MAX (0, job->total - job->done) / rate);
}

static void
job_update (Job *job)
{
  gint64 age = g_get_monotonic_time () - job->started;
  uint64_t done, total;
  bool cancellable = true;

  job->whole_machine = vm_session_progress (job->jobs->session, &done, &total, &cancellable) && job->ours;
  if (job->whole_machine)
    {
      job->done = (int64_t) done;
      job->total = (int64_t) total;
    }
  if (age < SHOW_US)
    return;
  if (!job->row)
    job_show (job);
  gtk_widget_set_sensitive (job->cancel, cancellable && (job->whole_machine || job->total > 1));
  if (age < DETAIL_US)
    return;
  g_autofree char *text = job_text (job, (double) age / G_USEC_PER_SEC);
  gtk_label_set_text (GTK_LABEL (job->label), text);
  gtk_widget_set_tooltip_text (job->label, text);
  gtk_widget_show (job->bar);
  if (job->total > 1)
    gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (job->bar), CLAMP ((double) job->done / job->total, 0, 1));
  else
    gtk_progress_bar_pulse (GTK_PROGRESS_BAR (job->bar));
}

/* --- all of them ------------------------------------------------------------------------------------------------ */

static Job *
jobs_add (VmJobs *self, const char *id, const char *title)
{
  Job *job = g_new0 (Job, 1);

  *job = (Job){ .jobs = self, .id = g_strdup (id), .title = g_strdup (title), .started = g_get_monotonic_time () };
  g_ptr_array_add (self->list, job);
  return job;
}

static void
jobs_end (VmJobs *self, Job *job, const char *error)
{
  VmJobEnded ended = job->ended;
  bool took_long = g_get_monotonic_time () - job->started >= DETAIL_US;
  g_autofree char *title = g_strdup (job->title), *why = g_strdup (error);
  gpointer owner = g_steal_pointer (&job->owner);

  g_ptr_array_remove (self->list, job);
  if (ended)
    ended (owner, why);
  if (took_long)
    g_signal_emit (self, signals[ENDED], 0, title, why);
  g_clear_object (&owner);
}

static void
got_jobs (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmJobs *self = owner;

  self->asking = false;
  for (guint i = 0; i < self->list->len; i++)
    ((Job *) self->list->pdata[i])->seen = false;
  for (size_t i = 0; i < vm_json_length (result); i++)
    {
      json_object *info = json_object_array_get_idx (result, i);
      const char *id = vm_json_text (info, "id"), *status = vm_json_text (info, "status");
      Job *job = jobs_find (self, id);
      if (!job)
        {
          /* Translators: the kind of a job of others, such as "mirror", and its name. */
          g_autofree char *title = g_strdup_printf (_ ("Job %s “%s”"), vm_json_text (info, "type"), id);
          job = jobs_add (self, id, title);
        }
      job->seen = true;
      if (vm_json_number (info, "total-progress") > 1)
        {
          job->done = vm_json_number (info, "current-progress");
          job->total = vm_json_number (info, "total-progress");
        }
      if (strcmp (status, "concluded") != 0)
        continue;
      if (vm_json_get (info, "error") && !job->why)
        job->why = g_strdup (vm_json_text (info, "error"));
      if (job->ours)
        {
          vm_call (self->session, self, "job-dismiss", vm_json_dict ("id", VM_TEXT (id), NULL), NULL, NULL);
          jobs_end (self, job, job->why);
        }
      else
        {
          job->concluded = true; /* who started it dismisses it */
        }
    }
  for (guint i = self->list->len; result && i-- > 0;)
    {
      Job *job = self->list->pdata[i];
      if ((!job->seen && !job->ours) || job->concluded)
        jobs_end (self, job, job->why);
    }
}

static gboolean
jobs_look (gpointer user_data)
{
  VmJobs *self = user_data;

  if (!self->list->len)
    {
      self->timer = 0;
      return G_SOURCE_REMOVE;
    }
  for (guint i = 0; i < self->list->len; i++)
    job_update (self->list->pdata[i]);
  if (!self->asking)
    {
      self->asking = true;
      vm_call (self->session, self, "query-jobs", NULL, got_jobs, NULL);
    }
  return G_SOURCE_CONTINUE;
}

static void
jobs_wake (VmJobs *self)
{
  if (!self->timer)
    self->timer = g_timeout_add (LOOK_MS, jobs_look, self);
}

static void
job_started (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmJobs *self = owner;
  g_autofree char *id = data;
  Job *job = jobs_find (self, id);

  if (job && error)
    jobs_end (self, job, error->message);
}

void
vm_jobs_start (VmJobs *self, const char *command, json_object *arguments, const char *title, gpointer owner,
               VmJobEnded ended)
{
  const char *id = vm_json_text (arguments, "job-id");
  Job *job = jobs_add (self, id, title);

  job->ours = true;
  job->owner = g_object_ref (owner);
  job->ended = ended;
  vm_call (self->session, self, command, arguments, job_started, g_strdup (job->id));
  jobs_wake (self);
}

char *
vm_jobs_new_id (VmJobs *self)
{
  return g_strdup_printf ("window%u", self->serial++);
}

void
vm_jobs_event (VmJobs *self, const char *name, const char *data)
{
  if (strcmp (name, "JOB_STATUS_CHANGE") != 0)
    return;
  jobs_wake (self);
  if (!self->asking)
    {
      self->asking = true;
      vm_call (self->session, self, "query-jobs", NULL, got_jobs, NULL);
    }
}

/* --- object ----------------------------------------------------------------------------------------------------- */

static void
jobs_dispose (GObject *object)
{
  VmJobs *self = VM_JOBS (object);

  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->list)
    g_ptr_array_set_size (self->list, 0);
  G_OBJECT_CLASS (vm_jobs_parent_class)->dispose (object);
}

static void
jobs_finalize (GObject *object)
{
  g_ptr_array_unref (VM_JOBS (object)->list);
  G_OBJECT_CLASS (vm_jobs_parent_class)->finalize (object);
}

static void
vm_jobs_class_init (VmJobsClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = jobs_dispose;
  G_OBJECT_CLASS (klass)->finalize = jobs_finalize;
  signals[ENDED] = g_signal_new ("ended", VM_TYPE_JOBS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                                 G_TYPE_STRING, G_TYPE_STRING);
}

static void
vm_jobs_init (VmJobs *self)
{
  gtk_orientable_set_orientation (GTK_ORIENTABLE (self), GTK_ORIENTATION_VERTICAL);
  gtk_style_context_add_class (gtk_widget_get_style_context (GTK_WIDGET (self)), "vitrine-jobs");
  self->list = g_ptr_array_new_with_free_func (job_free);
  gtk_widget_show (GTK_WIDGET (self));
}

GtkWidget *
vm_jobs_new (VmSession *session)
{
  VmJobs *self = g_object_new (VM_TYPE_JOBS, NULL);

  self->session = session;
  return GTK_WIDGET (self);
}
