/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors that clients send along with commands: named ones, and sets that files are opened from. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

#include "engine/base/fdset.h"

#include <limits.h>
#include <unistd.h>

static void
close_fd (gpointer data)
{
  close (GPOINTER_TO_INT (data) - 1);
}

void
vm_fds_init (VmMonitors *all)
{
  all->fds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, close_fd);
}

void
vm_fds_free (VmMonitors *all)
{
  g_hash_table_unref (all->fds);
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

/* --- sets: those of -add-fd too --- */

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
  VmqAddfdInfo *info = g_new0 (VmqAddfdInfo, 1);
  info->fdset_id = vm_fdset_add (args->has_fdset_id ? args->fdset_id : -1, fd, args->opaque);
  info->fd = fd;
  return info;
}

bool
vm_qmp_remove_fd (VmMonitor *mon, const VmqRemoveFdArg *args, GError **error)
{
  if (args->has_fd && (args->fd < 0 || args->fd > INT_MAX))
    return vm_fail (error, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT ", fd:%" G_GINT64_FORMAT "' not found",
                    (gint64) args->fdset_id, (gint64) args->fd);
  return vm_fdset_remove (args->fdset_id, args->has_fd ? (int) args->fd : -1, error);
}

static void
describe_fd (int64_t set, int fd, const char *opaque, void *data)
{
  GPtrArray *list = data;
  VmqFdsetInfo *last = list->len ? g_ptr_array_index (list, list->len - 1) : NULL;
  VmqFdsetFdInfo *info = g_new0 (VmqFdsetFdInfo, 1);

  if (!last || last->fdset_id != set)
    {
      last = g_new0 (VmqFdsetInfo, 1);
      last->fdset_id = set;
      last->fds = g_ptr_array_new ();
      g_ptr_array_add (list, last);
    }
  info->fd = fd;
  info->opaque = g_strdup (opaque);
  g_ptr_array_add (last->fds, info);
}

GPtrArray *
vm_qmp_query_fdsets (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  vm_fdset_foreach (describe_fd, list);
  return list;
}

int
vm_monitor_take_fd (VmMonitor *mon, const char *name, GError **error)
{
  return vm_fds_take (mon->all, name, error);
}
