/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the process gives up, holds on to and leaves behind: -run-with, -runas, -chroot, -overcommit mem-lock. */
#include "app/app.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* "uid:gid" */
static bool
parse_ids (const char *text, uid_t *uid, gid_t *gid)
{
  char *end;
  guint64 u, g;

  if (!g_ascii_isdigit (*text))
    return false;
  u = g_ascii_strtoull (text, &end, 10);
  if (*end != ':' || !g_ascii_isdigit (end[1]))
    return false;
  g = g_ascii_strtoull (end + 1, &end, 10);
  if (*end || u >= UINT32_MAX || g >= UINT32_MAX)
    return false;
  *uid = (uid_t) u;
  *gid = (gid_t) g;
  return true;
}

bool
app_find_user (const VmSettings *s, AppUser *user, GError **error)
{
  if (!s->run_as)
    return true;
  const struct passwd *entry = getpwnam (s->run_as);
  if (entry)
    {
      user->uid = entry->pw_uid;
      user->gid = entry->pw_gid;
      user->name = g_strdup (entry->pw_name);
    }
  else if (!parse_ids (s->run_as, &user->uid, &user->gid))
    {
      return vm_fail (error, "%s: User \"%s\" doesn't exist (and is not <uid>:<gid>)", s->run_as_option, s->run_as);
    }
  user->given = true;
  return true;
}

static bool
become (const AppUser *user, GError **error)
{
  if (setgid (user->gid) != 0)
    return vm_fail (error, "Failed to setgid(%u): %s", (unsigned) user->gid, g_strerror (errno));
  if ((user->name ? initgroups (user->name, user->gid) : setgroups (1, &user->gid)) != 0)
    return vm_fail (error, "Failed to set the supplementary groups: %s", g_strerror (errno));
  if (setuid (user->uid) != 0)
    return vm_fail (error, "Failed to setuid(%u): %s", (unsigned) user->uid, g_strerror (errno));
  if (user->uid != 0 && setuid (0) == 0)
    return vm_fail (error, "Dropping privileges failed");
  return true;
}

bool
app_drop_privileges (const VmSettings *s, const AppUser *user, GError **error)
{
  if (s->chroot && (chroot (s->chroot) != 0 || chdir ("/") != 0))
    return vm_fail (error, "chroot failed");
  return !user->given || become (user, error);
}

bool
app_lock_memory (GError **error)
{
  return mlockall (MCL_CURRENT | MCL_FUTURE) == 0 || vm_fail (error, "locking memory failed: %s", g_strerror (errno));
}

/* --- -run-with async-teardown=on --- */

/* Shares the address space, so that the memory goes when this one does, after the parent is gone for its parent. */
static int
teardown_main (void *arg)
{
  sigset_t all, hup;
  char name[16];
  int got;

  setsid ();
  sigfillset (&all);
  sigprocmask (SIG_BLOCK, &all, NULL);
  g_snprintf (name, sizeof name, "cleanup/%d", (int) GPOINTER_TO_INT (arg));
  prctl (PR_SET_NAME, name);
  prctl (PR_SET_PDEATHSIG, SIGHUP);
  close_range (0, ~0u, 0);
  sigemptyset (&hup);
  sigaddset (&hup, SIGHUP);
  if (getppid () == (pid_t) GPOINTER_TO_INT (arg)) /* else it was too late for the signal */
    sigwait (&hup, &got);
  _exit (0);
}

bool
app_start_teardown (GError **error)
{
  size_t size = 64 * 1024;
  char *stack = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

  if (stack == MAP_FAILED)
    return vm_fail (error, "cannot start the teardown process: %s", g_strerror (errno));
  if (clone (teardown_main, stack + size, CLONE_VM, GINT_TO_POINTER (getpid ())) < 0)
    return vm_fail (error, "cannot start the teardown process: %s", g_strerror (errno));
  return true; /* the stack is in use for as long as this process lives */
}
