/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process: going into the background, its name, its pid file. */
#include "app/app.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int ready_fd = -1; /* the waiting parent's end of a pipe */

/* The parent's exit status is 0 once the child says that all is set up, else 1. */
static G_NORETURN void
wait_for_child (int fd)
{
  char byte;
  ssize_t n;

  do
    n = read (fd, &byte, 1);
  while (n < 0 && errno == EINTR);
  _exit (n == 1 ? 0 : 1);
}

bool
app_daemonize (GError **error)
{
  int fds[2];

  if (pipe2 (fds, O_CLOEXEC) != 0)
    return vm_fail (error, "cannot make a pipe: %s", g_strerror (errno));
  pid_t pid = fork ();
  if (pid < 0)
    return vm_fail (error, "cannot fork: %s", g_strerror (errno));
  if (pid > 0)
    {
      close (fds[1]);
      wait_for_child (fds[0]);
    }
  close (fds[0]);
  ready_fd = fds[1];
  setsid ();
  pid = fork ();
  if (pid < 0)
    return vm_fail (error, "cannot fork: %s", g_strerror (errno));
  if (pid > 0)
    _exit (0);
  umask (027);
  return true;
}

void
app_daemon_ready (void)
{
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  if (ready_fd < 0)
    return;
  if (chdir ("/") != 0)
    perror ("chdir /");
  for (int fd = 0; null >= 0 && fd < 3; fd++)
    dup2 (null, fd);
  if (null > 2)
    close (null);
  if (write (ready_fd, "", 1) < 0)
    exit (1); /* the parent is gone: nobody waits for this machine */
  close (ready_fd);
  ready_fd = -1;
}

bool
app_write_pidfile (const char *path, GError **error)
{
  int fd = open (path, O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  if (fd < 0)
    return vm_fail (error, "cannot create PID file: Could not create '%s': %s", path, g_strerror (errno));
  if (fcntl (fd, F_SETLK, &lock) != 0)
    {
      vm_fail (error, "cannot create PID file: Could not lock '%s': %s", path, g_strerror (errno));
      close (fd);
      return false;
    }
  g_autofree char *text = g_strdup_printf ("%ld\n", (long) getpid ());
  bool ok = ftruncate (fd, 0) == 0 && write (fd, text, strlen (text)) == (ssize_t) strlen (text);
  if (!ok)
    {
      vm_fail (error, "cannot create PID file: Could not write '%s': %s", path, g_strerror (errno));
      close (fd);
    }
  return ok; /* the descriptor stays open: it holds the lock */
}

void
app_remove_pidfile (const char *path)
{
  unlink (path);
}

void
app_name_process (const char *name)
{
  prctl (PR_SET_NAME, name);
}
