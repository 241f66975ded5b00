/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sets of handed-over file descriptors. */
#include "engine/base/fdset.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct Entry
{
  int64_t set;
  int fd;
  char *opaque;
} Entry;

static GMutex mutex;       /* guards the next */
static GPtrArray *entries; /* Entry *, sorted by set; NULL: none yet */

static void
entry_free (gpointer data)
{
  Entry *e = data;

  close (e->fd);
  g_free (e->opaque);
  g_free (e);
}

static int64_t
first_free_set (void)
{
  int64_t set = 0;

  for (guint i = 0; i < entries->len; i++)
    if (((const Entry *) g_ptr_array_index (entries, i))->set == set)
      set++;
  return set;
}

int64_t
vm_fdset_add (int64_t set, int fd, const char *opaque)
{
  Entry *e = g_new0 (Entry, 1);
  guint at = 0;

  g_mutex_lock (&mutex);
  if (!entries)
    entries = g_ptr_array_new_with_free_func (entry_free);
  *e = (Entry){ set < 0 ? first_free_set () : set, fd, g_strdup (opaque) };
  set = e->set;
  while (at < entries->len && ((const Entry *) g_ptr_array_index (entries, at))->set <= set)
    at++;
  g_ptr_array_insert (entries, (int) at, e);
  g_mutex_unlock (&mutex);
  return set;
}

bool
vm_fdset_add_own (int64_t set, int fd, const char *opaque, GError **error)
{
  int flags = fcntl (fd, F_GETFD), copy;

  /* What the program opens itself is closed on exec; what it inherited cannot be. */
  if (flags < 0 || (flags & FD_CLOEXEC))
    return vm_fail (error, "fd is not valid or already in use");
  copy = fcntl (fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0)
    return vm_fail (error, "error duplicating fd: %s", g_strerror (errno));
  vm_fdset_add (set, copy, opaque);
  return true;
}

bool
vm_fdset_remove (int64_t set, int fd, GError **error)
{
  bool found = false;

  g_mutex_lock (&mutex);
  for (guint i = entries ? entries->len : 0; i-- > 0;)
    {
      const Entry *e = g_ptr_array_index (entries, i);
      if (e->set != set || (fd >= 0 && e->fd != fd))
        continue;
      g_ptr_array_remove_index (entries, i);
      found = true;
    }
  g_mutex_unlock (&mutex);
  if (found)
    return true;
  return fd < 0 ? vm_fail (error, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT "' not found", set)
                : vm_fail (error, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT ", fd:%d' not found", set, fd);
}

void
vm_fdset_foreach (VmFdSetFunc func, void *data)
{
  g_mutex_lock (&mutex);
  for (guint i = 0; entries && i < entries->len; i++)
    {
      const Entry *e = g_ptr_array_index (entries, i);
      func (e->set, e->fd, e->opaque, data);
    }
  g_mutex_unlock (&mutex);
}

static int
open_from_set (int64_t set, int flags)
{
  int found = -1, status;
  bool has_set = false;

  g_mutex_lock (&mutex);
  for (guint i = 0; entries && i < entries->len && found < 0; i++)
    {
      const Entry *e = g_ptr_array_index (entries, i);
      if (e->set != set)
        continue;
      has_set = true;
      status = fcntl (e->fd, F_GETFL);
      if (status >= 0 && (status & O_ACCMODE) == (flags & O_ACCMODE))
        found = fcntl (e->fd, F_DUPFD_CLOEXEC, 0);
    }
  g_mutex_unlock (&mutex);
  if (found < 0)
    {
      errno = has_set ? EACCES : ENOENT;
      return -1;
    }
  /* What open() would have done to the file's state. */
  const int settable = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;
  status = fcntl (found, F_GETFL);
  if (fcntl (found, F_SETFL, (status & ~settable) | (flags & settable)) != 0
      || ((flags & O_TRUNC) && ftruncate (found, 0) != 0))
    {
      int code = errno;
      close (found);
      errno = code;
      return -1;
    }
  return found;
}

int
vm_open (const char *path, int flags, int mode)
{
  static const char prefix[] = "/dev/fdset/";
  char *end;

  if (!g_str_has_prefix (path, prefix))
    return open (path, flags | O_CLOEXEC, mode);
  gint64 set = g_ascii_strtoll (path + strlen (prefix), &end, 10);
  if (*end || end == path + strlen (prefix) || set < 0)
    {
      errno = EINVAL;
      return -1;
    }
  return open_from_set (set, flags);
}
