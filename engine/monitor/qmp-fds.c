/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors that clients send along with commands: named ones, and sets that files are opened from. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

#include <unistd.h>

typedef struct VmFdsetFd
{
  int fd;
  char *opaque;
} VmFdsetFd;

typedef struct VmFdset
{
  int64_t id;
  GPtrArray *fds; /* VmFdsetFd * */
} VmFdset;

static void
close_fd (gpointer data)
{
  close (GPOINTER_TO_INT (data) - 1);
}

static void
fdset_fd_free (gpointer data)
{
  VmFdsetFd *f = data;

  close (f->fd);
  g_free (f->opaque);
  g_free (f);
}

static void
fdset_free (gpointer data)
{
  VmFdset *set = data;

  g_ptr_array_unref (set->fds);
  g_free (set);
}

void
vm_fds_init (VmMonitors *all)
{
  all->fds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, close_fd);
  all->fdsets = g_ptr_array_new_with_free_func (fdset_free);
}

void
vm_fds_free (VmMonitors *all)
{
  g_hash_table_unref (all->fds);
  g_ptr_array_unref (all->fdsets);
}

int
vm_fds_take (VmMonitors *all, const char *name, GError **error)
{
  g_autofree char *key = NULL;
  gpointer value;

  if (!g_hash_table_steal_extended (all->fds, name, (gpointer *) &key, &value))
    {
      vm_fail (error, "File descriptor named '%s' has not been found", name);
      return -1;
    }
  return GPOINTER_TO_INT (value) - 1;
}

static int
take_sent (VmMonitor *mon, GError **error)
{
  int fd = vm_char_fe_connected (&mon->fe) ? vm_char_fe_take_fd (&mon->fe) : -1;

  if (fd < 0)
    vm_fail (error, "No file descriptor supplied via SCM_RIGHTS");
  return fd;
}

/* --- named --- */

bool
vm_qmp_getfd (VmMonitor *mon, const VmqGetfdArg *args, GError **error)
{
  int fd = take_sent (mon, error);

  if (fd < 0)
    return false;
  if (g_ascii_isdigit (*args->fdname))
    {
      close (fd);
      return vm_fail (error, "Parameter 'fdname' expects a name not starting with a digit");
    }
  g_hash_table_insert (mon->all->fds, g_strdup (args->fdname), GINT_TO_POINTER (fd + 1));
  return true;
}

bool
vm_qmp_closefd (VmMonitor *mon, const VmqClosefdArg *args, GError **error)
{
  return g_hash_table_remove (mon->all->fds, args->fdname)
         || vm_fail (error, "File descriptor named '%s' not found", args->fdname);
}

/* --- sets --- */

static VmFdset *
find_set (VmMonitors *all, int64_t id)
{
  for (guint i = 0; i < all->fdsets->len; i++)
    {
      VmFdset *set = g_ptr_array_index (all->fdsets, i);
      if (set->id == id)
        return set;
    }
  return NULL;
}

static VmFdset *
add_set (VmMonitors *all, int64_t id)
{
  VmFdset *set = g_new0 (VmFdset, 1);

  set->id = id;
  set->fds = g_ptr_array_new_with_free_func (fdset_fd_free);
  g_ptr_array_add (all->fdsets, set);
  return set;
}

static int64_t
free_set_id (VmMonitors *all)
{
  int64_t id = 0;

  while (find_set (all, id))
    id++;
  return id;
}

VmqAddfdInfo *
vm_qmp_add_fd (VmMonitor *mon, const VmqAddFdArg *args, GError **error)
{
  int fd = take_sent (mon, error);

  if (fd < 0)
    return NULL;
  if (args->has_fdset_id && args->fdset_id < 0)
    {
      close (fd);
      vm_fail (error, "Parameter 'fdset-id' expects a non-negative value");
      return NULL;
    }
  int64_t id = args->has_fdset_id ? args->fdset_id : free_set_id (mon->all);
  VmFdset *set = find_set (mon->all, id);
  VmFdsetFd *f = g_new0 (VmFdsetFd, 1);
  f->fd = fd;
  f->opaque = g_strdup (args->opaque);
  g_ptr_array_add ((set ? set : add_set (mon->all, id))->fds, f);
  VmqAddfdInfo *info = g_new0 (VmqAddfdInfo, 1);
  info->fdset_id = id;
  info->fd = fd;
  return info;
}

bool
vm_qmp_remove_fd (VmMonitor *mon, const VmqRemoveFdArg *args, GError **error)
{
  VmFdset *set = find_set (mon->all, args->fdset_id);
  bool found = set && !args->has_fd;

  for (guint i = set && args->has_fd ? set->fds->len : 0; i-- > 0;)
    if (((VmFdsetFd *) g_ptr_array_index (set->fds, i))->fd == args->fd)
      {
        g_ptr_array_remove_index (set->fds, i);
        found = true;
      }
  if (!found && args->has_fd)
    return vm_fail (error, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT ", fd:%" G_GINT64_FORMAT "' not found",
                    (gint64) args->fdset_id, (gint64) args->fd);
  if (!found)
    return vm_fail (error, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT "' not found", (gint64) args->fdset_id);
  if (!args->has_fd || !set->fds->len)
    g_ptr_array_remove (mon->all->fdsets, set);
  return true;
}

GPtrArray *
vm_qmp_query_fdsets (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  for (guint i = 0; i < mon->all->fdsets->len; i++)
    {
      const VmFdset *set = g_ptr_array_index (mon->all->fdsets, i);
      VmqFdsetInfo *info = g_new0 (VmqFdsetInfo, 1);
      info->fdset_id = set->id;
      info->fds = g_ptr_array_new ();
      for (guint j = 0; j < set->fds->len; j++)
        {
          const VmFdsetFd *f = g_ptr_array_index (set->fds, j);
          VmqFdsetFdInfo *fd = g_new0 (VmqFdsetFdInfo, 1);
          fd->fd = f->fd;
          fd->opaque = g_strdup (f->opaque);
          g_ptr_array_add (info->fds, fd);
        }
      g_ptr_array_add (list, info);
    }
  return list;
}
