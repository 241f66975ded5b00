/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files for the guest: a worker reads them piece by piece, one piece is in the queue to the agent at a time. */
#include "engine/agent/agent-private.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (32 * VD_AGENT_MAX_DATA_SIZE)
#define TRANSFERS_MAX 16 /* that wait for their turn */
#define ANSWER_MS 30000  /* for an agent to take a file or to say that it has it */

typedef enum FileStep
{
  FILE_WAITS, /* for its turn */
  FILE_OPENING,
  FILE_OFFERED, /* the agent has not answered yet */
  FILE_SENDING,
  FILE_SENT, /* the agent has not said that it is there */
} FileStep;

struct VmAgentFiles
{
  int refs; /* atomic: the user's, that of the transfer, one for each post and job */
  VmDisplay *display;
  char **paths;
  GMainContext *context;
  VmAgentFilesFunc func; /* context's thread; NULL: freed */
  void *opaque;
  int cancelled; /* atomic */
  /* machine lock held, or a worker while its job runs */
  VmAgent *agent; /* NULL: not begun, or ended */
  FileStep step;
  bool busy;   /* a job runs */
  bool flying; /* a piece is in the queue to the agent */
  unsigned file;
  uint32_t id; /* of the file on the wire */
  int fd;      /* -1: none */
  uint64_t size, at;
  uint64_t before; /* bytes of the files before this one */
  GBytes *piece;
  GError *trouble; /* of the job */
  VmTimer patience;
  /* under the mutex: what the user is told next */
  GMutex mutex;
  bool telling, ended, told_end;
  unsigned now_file;
  uint64_t sent, total;
  GError *error;
};

static void files_next (VmAgentFiles *files);

static VmAgentFiles *
files_ref (VmAgentFiles *files)
{
  g_atomic_int_inc (&files->refs);
  return files;
}

static void
files_unref (VmAgentFiles *files)
{
  if (!g_atomic_int_dec_and_test (&files->refs))
    return;
  if (files->fd >= 0)
    close (files->fd);
  g_clear_pointer (&files->piece, g_bytes_unref);
  g_clear_error (&files->trouble);
  g_clear_error (&files->error);
  g_mutex_clear (&files->mutex);
  g_main_context_unref (files->context);
  g_strfreev (files->paths);
  g_free (files);
}

/* --- to the user --------------------------------------------------------------------------------- */

static gboolean
files_tell (gpointer user_data)
{
  VmAgentFiles *files = user_data;

  g_mutex_lock (&files->mutex);
  files->telling = false;
  VmAgentProgress progress = {
    .file = files->now_file,
    .n_files = g_strv_length (files->paths),
    .sent = files->sent,
    .total = files->total,
    .ended = files->ended,
    .error = files->error,
  };
  bool over = files->told_end;
  files->told_end |= files->ended;
  g_mutex_unlock (&files->mutex);
  g_autofree char *name
      = progress.file < progress.n_files ? g_filename_display_basename (files->paths[progress.file]) : NULL;
  progress.name = name;
  if (files->func && !over)
    files->func (files, &progress, files->opaque);
  return G_SOURCE_REMOVE;
}

/* The state now; quick repeats are one call. */
static void
files_report (VmAgentFiles *files, bool ended, GError *error)
{
  g_mutex_lock (&files->mutex);
  if (!files->ended)
    {
      files->now_file = files->file;
      files->sent = files->before + files->at;
      files->ended = ended;
      files->error = error;
      error = NULL;
    }
  bool post = !files->telling;
  files->telling = true;
  g_mutex_unlock (&files->mutex);
  g_clear_error (&error);
  if (!post)
    return;
  GSource *source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, files_tell, files_ref (files), (GDestroyNotify) files_unref);
  g_source_attach (source, files->context);
  g_source_unref (source);
}

/* --- the transfer -------------------------------------------------------------------------------- */

static void
files_close (VmAgentFiles *files)
{
  if (files->fd >= 0 && !files->busy)
    {
      close (files->fd);
      files->fd = -1;
    }
  vm_timer_cancel (&files->patience);
}

/* Takes ERROR over. The agent goes on with the next transfer. */
static void
files_end (VmAgentFiles *files, GError *error)
{
  VmAgent *agent = g_steal_pointer (&files->agent);

  files_report (files, true, error);
  files_close (files);
  g_queue_remove (&agent->transfers, files);
  files_unref (files);
  VmAgentFiles *next = g_queue_peek_head (&agent->transfers);
  if (next && next->step == FILE_WAITS)
    files_next (next);
}

static void files_fail (VmAgentFiles *files, GIOErrorEnum code, const char *format, ...) G_GNUC_PRINTF (3, 4);

static void
files_fail (VmAgentFiles *files, GIOErrorEnum code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  files_end (files, g_error_new_valist (G_IO_ERROR, code, format, args));
  va_end (args);
}

/* Tells the agent that no more comes of the file it has begun with. */
static void
files_call_off (VmAgentFiles *files)
{
  uint8_t status[sizeof (VDAgentFileXferStatusMessage)];

  if (files->step < FILE_OFFERED || !files->agent->connected)
    return;
  vm_store_le32 (status, files->id);
  vm_store_le32 (status + 4, VD_AGENT_FILE_XFER_STATUS_CANCELLED);
  vd_agent_send (files->agent, VDP_CLIENT_PORT, VD_AGENT_FILE_XFER_STATUS, status, sizeof status, NULL, NULL, NULL);
}

static const char *
files_path (VmAgentFiles *files)
{
  return files->paths[files->file];
}

static void
files_be_patient (VmAgentFiles *files)
{
  vm_timer_set (&files->patience, vm_clock_now (files->patience.clocks, VM_CLOCK_REALTIME) + ANSWER_MS * VM_NS_PER_MS);
}

static void
files_lost_patience (void *opaque)
{
  VmAgentFiles *files = opaque;

  if (!files->agent)
    return;
  files_call_off (files);
  files_fail (files, G_IO_ERROR_TIMED_OUT, "The agent in the guest does not answer");
}

/* What a job has left behind; false: the transfer is over. */
static bool
files_job_is_fine (VmAgentFiles *files)
{
  files->busy = false;
  if (!files->agent) /* ended meanwhile */
    files_close (files);
  else if (g_atomic_int_get (&files->cancelled))
    {
      files_call_off (files);
      files_fail (files, G_IO_ERROR_CANCELLED, "Cancelled");
    }
  else if (files->trouble)
    {
      files_call_off (files);
      files_end (files, g_steal_pointer (&files->trouble));
    }
  else
    return true;
  files_unref (files);
  return false;
}

static void
job_read (void *opaque)
{
  VmAgentFiles *files = opaque;
  size_t want = MIN (PIECE, files->size - files->at), have = 0;
  uint8_t *bytes = g_malloc (MAX (want, 1));

  while (have < want)
    {
      ssize_t n = pread (files->fd, bytes + have, want - have, files->at + have);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          g_set_error (&files->trouble, G_IO_ERROR, G_IO_ERROR_FAILED, "Could not read '%s': %s", files_path (files),
                       n < 0 ? g_strerror (errno) : "it has become shorter");
          break;
        }
      have += n;
    }
  files->piece = g_bytes_new_take (bytes, have);
}

static void job_read_done (void *opaque);

static void
files_read (VmAgentFiles *files)
{
  files->busy = true;
  vm_loop_work (vm_display_loop (files->display), job_read, job_read_done, files_ref (files));
}

/* A piece has gone to the guest, that of the transfer which is on or of one that was called off. */
static void
files_piece_sent (void *opaque)
{
  VmAgentFiles *files = g_queue_peek_head (&((VmAgent *) opaque)->transfers);

  if (!files || files->step != FILE_SENDING || !files->flying)
    return;
  files->flying = false;
  files_report (files, false, NULL);
  if (files->at < files->size)
    files_read (files);
  else
    {
      files->step = FILE_SENT;
      files_be_patient (files);
    }
}

static void
job_read_done (void *opaque)
{
  VmAgentFiles *files = opaque;
  uint8_t head[sizeof (VDAgentFileXferDataMessage)];
  g_autoptr (GBytes) piece = g_steal_pointer (&files->piece);

  if (!files_job_is_fine (files))
    return;
  vm_store_le32 (head, files->id);
  vm_store_le64 (head + 4, g_bytes_get_size (piece));
  files->at += g_bytes_get_size (piece);
  files->flying = true;
  vd_agent_send (files->agent, VDP_CLIENT_PORT, VD_AGENT_FILE_XFER_DATA, head, sizeof head, g_steal_pointer (&piece),
                 files_piece_sent, files->agent);
  files_unref (files);
}

static void
job_open (void *opaque)
{
  VmAgentFiles *files = opaque;
  const char *path = files_path (files);
  struct stat st;

  /* The sum comes first of all. */
  for (unsigned i = 0; files->file == 0 && files->paths[i]; i++)
    if (stat (files->paths[i], &st) == 0 && S_ISREG (st.st_mode))
      {
        g_mutex_lock (&files->mutex);
        files->total += st.st_size;
        g_mutex_unlock (&files->mutex);
      }
  files->fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (files->fd < 0 || fstat (files->fd, &st) < 0)
    g_set_error (&files->trouble, G_IO_ERROR, g_io_error_from_errno (errno), "Could not open '%s': %s", path,
                 g_strerror (errno));
  else if (!S_ISREG (st.st_mode))
    g_set_error (&files->trouble, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE,
                 S_ISDIR (st.st_mode) ? "'%s' is a folder" : "'%s' is no file", path);
  else
    files->size = st.st_size;
}

static void
job_open_done (void *opaque)
{
  VmAgentFiles *files = opaque;
  g_autoptr (GKeyFile) description = g_key_file_new ();
  g_autofree char *name = g_filename_display_basename (files_path (files));
  uint8_t head[sizeof (VDAgentFileXferStartMessage)];
  gsize len;

  if (!files_job_is_fine (files))
    return;
  g_key_file_set_string (description, "vdagent-file-xfer", "name", name);
  g_key_file_set_uint64 (description, "vdagent-file-xfer", "size", files->size);
  char *text = g_key_file_to_data (description, &len, NULL);
  files->id = ++files->agent->next_id;
  files->step = FILE_OFFERED;
  vm_store_le32 (head, files->id);
  /* With the NUL, as agents expect it. */
  vd_agent_send (files->agent, VDP_CLIENT_PORT, VD_AGENT_FILE_XFER_START, head, sizeof head,
                 g_bytes_new_take (text, len + 1), NULL, NULL);
  files_be_patient (files);
  files_report (files, false, NULL);
  files_unref (files);
}

/* Begins with the present file, or ends after the last. */
static void
files_next (VmAgentFiles *files)
{
  if (!files_path (files))
    {
      files_end (files, NULL);
      return;
    }
  files->step = FILE_OPENING;
  files->at = 0;
  files->busy = true;
  vm_loop_work (vm_display_loop (files->display), job_open, job_open_done, files_ref (files));
}

/* --- what the agent says ------------------------------------------------------------------------- */

static void
files_refused (VmAgentFiles *files, uint32_t result, const uint8_t *detail, size_t len)
{
  g_autofree char *name = g_filename_display_basename (files_path (files));

  switch (result)
    {
    case VD_AGENT_FILE_XFER_STATUS_CANCELLED:
      files_fail (files, G_IO_ERROR_CANCELLED, "The guest does not want '%s'", name);
      break;
    case VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE:
      if (len >= sizeof (VDAgentFileXferStatusNotEnoughSpace))
        {
          g_autofree char *room = g_format_size (vm_load_le64 (detail)), *size = g_format_size (files->size);
          files_fail (files, G_IO_ERROR_NO_SPACE, "The guest has no room for '%s': it is %s, there are %s left", name,
                      size, room);
        }
      else
        files_fail (files, G_IO_ERROR_NO_SPACE, "The guest has no room for '%s'", name);
      break;
    case VD_AGENT_FILE_XFER_STATUS_SESSION_LOCKED:
      files_fail (files, G_IO_ERROR_PERMISSION_DENIED, "The guest's screen is locked: it takes no files");
      break;
    case VD_AGENT_FILE_XFER_STATUS_VDAGENT_NOT_CONNECTED:
      files_fail (files, G_IO_ERROR_NOT_CONNECTED, "Nobody is logged in at the guest's desktop who could take files");
      break;
    case VD_AGENT_FILE_XFER_STATUS_DISABLED:
      files_fail (files, G_IO_ERROR_NOT_SUPPORTED, "The guest's settings do not let it take files");
      break;
    default:
      files_fail (files, G_IO_ERROR_FAILED, "The guest could not take '%s'", name);
      break;
    }
}

void
vd_files_status (VmAgent *agent, GBytes *data)
{
  gsize size;
  const uint8_t *bytes = g_bytes_get_data (data, &size);
  VmAgentFiles *files = g_queue_peek_head (&agent->transfers);

  if (size < sizeof (VDAgentFileXferStatusMessage) || !files || files->step < FILE_OFFERED
      || vm_load_le32 (bytes) != files->id)
    return;
  uint32_t result = vm_load_le32 (bytes + 4);
  if (result == VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA)
    {
      if (files->step != FILE_OFFERED)
        return;
      vm_timer_cancel (&files->patience);
      files->step = FILE_SENDING;
      files_read (files);
    }
  else if (result != VD_AGENT_FILE_XFER_STATUS_SUCCESS)
    files_refused (files, result, bytes + sizeof (VDAgentFileXferStatusMessage),
                   size - sizeof (VDAgentFileXferStatusMessage));
  else if (files->step == FILE_SENT)
    {
      files_close (files);
      files->before += files->size;
      files->file++;
      files_next (files);
    }
}

void
vd_files_stop (VmAgent *agent)
{
  VmAgentFiles *files;

  while ((files = g_queue_pop_tail (&agent->transfers)))
    {
      files->agent = NULL;
      files_report (files, true,
                    g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED, "The agent in the guest went away"));
      files_close (files);
      files_unref (files);
    }
}

/* --- the user's side ------------------------------------------------------------------------------ */

static void
files_start (void *opaque)
{
  VmAgentFiles *files = opaque;
  VmAgent *agent = vm_display_agent (files->display);
  GError *error = NULL;

  if (!agent || !agent->connected)
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED, "There is no agent in the guest that could take files");
  else if (vd_agent_can (agent, VD_AGENT_CAP_FILE_XFER_DISABLED))
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "The guest's settings do not let it take files");
  else if (agent->transfers.length >= TRANSFERS_MAX)
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_BUSY, "Too many files are on their way to the guest already");
  else if (g_atomic_int_get (&files->cancelled))
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "Cancelled");
  if (error)
    {
      files_report (files, true, error);
      files_unref (files);
      return;
    }
  /* The reference goes from the post to the queue. */
  files->agent = agent;
  vm_timer_init (&files->patience, vm_display_clocks (files->display), VM_CLOCK_REALTIME, files_lost_patience, files);
  g_queue_push_tail (&agent->transfers, files);
  if (agent->transfers.length == 1)
    files_next (files);
}

VmAgentFiles *
vm_agent_send_files (VmDisplay *display, const char *const *paths, GMainContext *context, VmAgentFilesFunc func,
                     void *opaque)
{
  VmAgentFiles *files = g_new0 (VmAgentFiles, 1);

  files->refs = 2; /* the user's and the post's */
  files->display = display;
  files->paths = g_strdupv ((char **) paths);
  files->context = g_main_context_ref (context ? context : g_main_context_default ());
  files->func = func;
  files->opaque = opaque;
  files->fd = -1;
  g_mutex_init (&files->mutex);
  vm_loop_post (vm_display_loop (display), files_start, files);
  return files;
}

static void
files_cancel (void *opaque)
{
  VmAgentFiles *files = opaque;

  /* A job that runs sees to it when it is done. */
  if (files->agent && !files->busy)
    {
      files_call_off (files);
      files_fail (files, G_IO_ERROR_CANCELLED, "Cancelled");
    }
  files_unref (files);
}

void
vm_agent_files_cancel (VmAgentFiles *files)
{
  g_atomic_int_set (&files->cancelled, 1);
  vm_loop_post (vm_display_loop (files->display), files_cancel, files_ref (files));
}

void
vm_agent_files_free (VmAgentFiles *files)
{
  files->func = NULL;
  files_unref (files);
}
