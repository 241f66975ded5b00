/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs the bridge helper and takes the interface it makes. */
#include "net/helper.h"

#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *
find_helper (void)
{
  static const char *const places[] = { VM_LIBEXECDIR "/vitrine-bridge-helper", "/usr/lib/qemu/qemu-bridge-helper",
                                        "/usr/libexec/qemu-bridge-helper" };

  for (size_t i = 0; i < G_N_ELEMENTS (places); i++)
    if (access (places[i], X_OK) == 0)
      return places[i];
  return NULL;
}

static int
receive_fd (int socket)
{
  char byte, control[CMSG_SPACE (sizeof (int))];
  struct iovec iov = { &byte, 1 };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  const struct cmsghdr *c;
  ssize_t n;
  int fd = -1;

  do
    n = recvmsg (socket, &msg, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  c = n > 0 ? CMSG_FIRSTHDR (&msg) : NULL;
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN (sizeof (int)))
    memcpy (&fd, CMSG_DATA (c), sizeof fd);
  return fd;
}

int
vm_net_bridge_helper (const char *helper, const char *bridge, bool vnet_hdr, GError **error)
{
  const char *program = helper ? helper : find_helper ();
  g_auto (GStrv) words = NULL;
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) why = NULL;
  int pair[2], fd = -1, status;
  GPid pid;

  if (!program)
    {
      vm_fail (error, "no bridge helper is installed");
      return -1;
    }
  if (!g_shell_parse_argv (program, NULL, &words, &why))
    {
      vm_fail (error, "bridge helper '%s': %s", program, why->message);
      return -1;
    }
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    {
      vm_fail (error, "socketpair failed: %s", g_strerror (errno));
      return -1;
    }
  g_autofree char *fd_arg = g_strdup_printf ("--fd=%d", 3), *br_arg = g_strdup_printf ("--br=%s", bridge);
  for (char **w = words; *w; w++)
    g_ptr_array_add (argv, *w);
  if (vnet_hdr)
    g_ptr_array_add (argv, (char *) "--use-vnet");
  g_ptr_array_add (argv, fd_arg);
  g_ptr_array_add (argv, br_arg);
  g_ptr_array_add (argv, NULL);
  const int target = 3;
  bool started = g_spawn_async_with_pipes_and_fds (NULL, (const char *const *) argv->pdata, NULL,
                                                   G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, -1, -1, -1, &pair[1],
                                                   &target, 1, &pid, NULL, NULL, NULL, &why);
  close (pair[1]);
  if (started)
    {
      fd = receive_fd (pair[0]);
      while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
        ;
      g_spawn_close_pid (pid);
    }
  close (pair[0]);
  if (!started)
    vm_fail (error, "bridge helper failed: %s", why->message);
  else if (fd < 0)
    vm_fail (error, "bridge helper failed: it sent no interface (status %d)",
             WIFEXITED (status) ? WEXITSTATUS (status) : -1);
  return fd;
}
