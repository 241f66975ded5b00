/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes a TAP interface, joins it to a bridge and hands it to its parent: for virtual machines of people without
 * privileges. Meant to be installed set-uid root, or with the file capability CAP_NET_ADMIN; which bridges it serves
 * stands in bridge.conf: "allow NAME|all", "deny NAME|all", "include FILE", one a line. What is not allowed is denied,
 * and a denial outweighs all. Files are read with the caller's own rights: one that the caller may not read says
 * nothing.
 *
 * Everything but CAP_NET_ADMIN is given up before anything that the caller says is looked at. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 8
#define LINE_SIZE 1024

static const char *const default_files[] = { "/etc/qemu/bridge.conf", VM_SYSCONFDIR "/vitrine/bridge.conf" };

/* Says what is wrong, and where: "open: No such file or directory" when there is an errno. */
static void complain (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

static void
complain (const char *format, ...)
{
  va_list args;

  fprintf (stderr, "vitrine-bridge-helper: ");
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fprintf (stderr, "\n");
}

/* --- privileges --------------------------------------------------------------------------------------------- */

static bool
drop_privileges (void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2] = { { 0 } };
  uid_t uid = getuid ();
  gid_t gid = getgid ();

  if (prctl (PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresgid (gid, gid, gid) < 0 || setresuid (uid, uid, uid) < 0)
    return false;
  data[0].effective = data[0].permitted = 1u << CAP_NET_ADMIN;
  if (syscall (SYS_capset, &header, data) < 0)
    return false;
  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* --- who may use what ------------------------------------------------------------------------------------------ */

typedef struct Verdict
{
  const char *bridge;
  bool allowed, denied;
  unsigned files; /* that were read */
} Verdict;

static bool read_rules (Verdict *verdict, const char *path, unsigned depth);

static bool
read_line (Verdict *verdict, const char *path, unsigned number, char *line, unsigned depth)
{
  char *rest, *word, *what, *more;

  line[strcspn (line, "#\r\n")] = '\0';
  word = strtok_r (line, " \t", &rest);
  if (!word)
    return true;
  what = strtok_r (NULL, " \t", &rest);
  more = strtok_r (NULL, " \t", &rest);
  if (what && !more && !strcmp (word, "include"))
    return read_rules (verdict, what, depth + 1);
  bool allow = !strcmp (word, "allow"), matches = what && (!strcmp (what, "all") || !strcmp (what, verdict->bridge));
  if (!what || more || (!allow && strcmp (word, "deny") != 0))
    {
      complain ("%s:%u: '%s' is no rule: allow, deny or include with one word is wanted", path, number, word);
      return false;
    }
  verdict->allowed |= matches && allow;
  verdict->denied |= matches && !allow;
  return true;
}

/* False: the rules cannot be trusted. A file that is not there, or not for the caller, has none. */
static bool
read_rules (Verdict *verdict, const char *path, unsigned depth)
{
  char line[LINE_SIZE];
  unsigned number = 0;
  bool ok = true;
  FILE *file;

  if (depth > DEPTH_MAX)
    {
      complain ("%s: files include each other too deeply", path);
      return false;
    }
  file = fopen (path, "re");
  if (!file)
    {
      if (errno == ENOENT || errno == EACCES)
        return true;
      complain ("%s: %s", path, strerror (errno));
      return false;
    }
  verdict->files++;
  while (ok && fgets (line, sizeof line, file))
    {
      number++;
      if (!strchr (line, '\n') && strlen (line) == sizeof line - 1)
        {
          complain ("%s:%u: the line is too long", path, number);
          ok = false;
        }
      ok = ok && read_line (verdict, path, number, line, depth);
    }
  if (ferror (file))
    {
      complain ("%s: %s", path, strerror (errno));
      ok = false;
    }
  fclose (file);
  return ok;
}

static bool
may_use (const char *bridge)
{
  Verdict verdict = { .bridge = bridge };

  for (size_t i = 0; i < sizeof default_files / sizeof *default_files; i++)
    if (!read_rules (&verdict, default_files[i], 0))
      return false;
  if (!verdict.files)
    complain ("there is neither %s nor %s, which say who may use what", default_files[0], default_files[1]);
  else if (verdict.denied || !verdict.allowed)
    complain ("access denied: no rule allows the bridge '%s'", bridge);
  return verdict.allowed && !verdict.denied;
}

/* --- the interface ---------------------------------------------------------------------------------------------- */

static void
set_name (struct ifreq *ifr, const char *name)
{
  memset (ifr, 0, sizeof *ifr);
  strncpy (ifr->ifr_name, name, IFNAMSIZ - 1);
}

static int
failed (const char *what, const char *name)
{
  complain ("%s '%s': %s", what, name, strerror (errno));
  return -1;
}

/* NAME: room for the name it gets. */
static int
make_tap (bool header, char *name)
{
  struct ifreq ifr;
  int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC);

  if (fd < 0)
    return failed ("cannot open", "/dev/net/tun");
  set_name (&ifr, "tap%d");
  ifr.ifr_flags = IFF_TAP | IFF_NO_PI | (header ? IFF_VNET_HDR : 0);
  if (ioctl (fd, TUNSETIFF, &ifr) < 0)
    {
      close (fd);
      return failed ("cannot make an interface with", "/dev/net/tun");
    }
  memcpy (name, ifr.ifr_name, IFNAMSIZ);
  name[IFNAMSIZ - 1] = '\0';
  return fd;
}

static int
join (int control, const char *tap, const char *bridge)
{
  struct ifreq ifr;
  unsigned index = if_nametoindex (tap);

  set_name (&ifr, bridge);
  if (ioctl (control, SIOCGIFMTU, &ifr) < 0)
    return failed ("cannot find the bridge", bridge);
  int mtu = ifr.ifr_mtu;
  set_name (&ifr, tap);
  ifr.ifr_mtu = mtu;
  if (ioctl (control, SIOCSIFMTU, &ifr) < 0)
    return failed ("cannot set the largest packet of", tap);
  /* A bridge takes the lowest address of its ports: this one shall not change it. */
  set_name (&ifr, tap);
  if (ioctl (control, SIOCGIFHWADDR, &ifr) < 0)
    return failed ("cannot read the address of", tap);
  ifr.ifr_hwaddr.sa_data[0] = (char) 0xfe;
  if (ioctl (control, SIOCSIFHWADDR, &ifr) < 0)
    return failed ("cannot set the address of", tap);
  set_name (&ifr, bridge);
  ifr.ifr_ifindex = (int) index;
  if (ioctl (control, SIOCBRADDIF, &ifr) < 0)
    return failed ("cannot join the bridge", bridge);
  set_name (&ifr, tap);
  if (ioctl (control, SIOCGIFFLAGS, &ifr) < 0)
    return failed ("cannot look at", tap);
  ifr.ifr_flags |= IFF_UP;
  return ioctl (control, SIOCSIFFLAGS, &ifr) < 0 ? failed ("cannot bring up", tap) : 0;
}

static int
send_fd (int to, int fd)
{
  char byte = 0, control[CMSG_SPACE (sizeof (int))] = { 0 };
  struct iovec iov = { &byte, 1 };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  struct cmsghdr *c = CMSG_FIRSTHDR (&msg);
  ssize_t n;

  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN (sizeof (int));
  memcpy (CMSG_DATA (c), &fd, sizeof fd);
  do
    n = sendmsg (to, &msg, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n == 1 ? 0 : failed ("cannot hand over", "the interface");
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static int
usage (void)
{
  fprintf (stderr, "Usage: vitrine-bridge-helper [--use-vnet] --br=BRIDGE --fd=UNIX-SOCKET\n");
  return EXIT_FAILURE;
}

static bool
is_unix_socket (int fd)
{
  int domain;
  socklen_t len = sizeof domain;

  return getsockopt (fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

int
main (int argc, char **argv)
{
  const char *bridge = NULL;
  char tap[IFNAMSIZ], *end;
  bool header = false;
  long socket_fd = -1;

  if (!drop_privileges ())
    {
      complain ("cannot give up privileges, or there is no right to change networks: %s", strerror (errno));
      return EXIT_FAILURE;
    }
  for (int i = 1; i < argc; i++)
    {
      if (!strcmp (argv[i], "--use-vnet"))
        header = true;
      else if (!strncmp (argv[i], "--br=", 5))
        bridge = argv[i] + 5;
      else if (!strncmp (argv[i], "--fd=", 5))
        {
          socket_fd = strtol (argv[i] + 5, &end, 10);
          if (!argv[i][5] || *end || socket_fd < 0 || socket_fd > INT_MAX)
            return usage ();
        }
      else
        return usage ();
    }
  if (!bridge || socket_fd < 0)
    return usage ();
  if (!*bridge || strlen (bridge) >= IFNAMSIZ || strpbrk (bridge, "/ \t\n"))
    {
      complain ("'%s' is no name of a bridge", bridge);
      return EXIT_FAILURE;
    }
  if (!is_unix_socket ((int) socket_fd))
    {
      complain ("descriptor %ld is no Unix socket", socket_fd);
      return EXIT_FAILURE;
    }
  if (!may_use (bridge))
    return EXIT_FAILURE;
  int control = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (control < 0)
    {
      complain ("cannot make a socket: %s", strerror (errno));
      return EXIT_FAILURE;
    }
  int fd = make_tap (header, tap);
  return fd < 0 || join (control, tap, bridge) < 0 || send_fd ((int) socket_fd, fd) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
