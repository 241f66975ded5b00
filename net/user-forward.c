/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ways into and out of a user-mode network: host ports that lead to the guest, guest addresses that lead to a program or
 * a character back end, and a shared folder by the host's Samba. */
#include "engine/char/char.h"
#include "engine/machine/machine.h"
#include "engine/schema/types.h"
#include "net/net-private.h"
#include "net/user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMBD "/usr/sbin/smbd"

typedef union Address
{
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} Address;

/* --- host ports ----------------------------------------------------------------------------------------------- */

static bool
bad_rule (GError **error, const char *rule, const char *why)
{
  return vm_fail (error, "Invalid host forwarding rule '%s' (%s)", rule, why);
}

/* Takes "HOST:" off P; HOST in brackets is IPv6. Newly allocated; NULL: there is no colon before what ends it. */
static char *
take_host (const char **p, bool *v6)
{
  const char *end = strchr (*p, **p == '[' ? ']' : ':'), *start = *p;

  *v6 = **p == '[';
  if (!end || (*v6 && end[1] != ':'))
    return NULL;
  *p = end + 1 + *v6;
  return g_strndup (start + *v6, end - start - *v6);
}

/* Takes a port of at least LOWEST that ends at END. */
static bool
take_port (const char **p, const char *end, unsigned lowest, unsigned *port)
{
  char *stop;
  unsigned long n = strtoul (*p, &stop, 10);

  if (!g_ascii_isdigit (**p) || stop != end || n > 65535 || n < lowest)
    return false;
  *port = n;
  *p = end;
  return true;
}

static bool
fill_address (Address *a, socklen_t *len, const char *host, unsigned port, bool v6, struct in_addr standard)
{
  *a = (Address){ 0 };
  if (v6)
    {
      a->v6.sin6_family = AF_INET6;
      a->v6.sin6_port = htons (port);
      *len = sizeof a->v6;
      return !*host || inet_pton (AF_INET6, host, &a->v6.sin6_addr) == 1;
    }
  a->v4.sin_family = AF_INET;
  a->v4.sin_port = htons (port);
  a->v4.sin_addr = standard;
  *len = sizeof a->v4;
  return !*host || inet_aton (host, &a->v4.sin_addr);
}

/* "[tcp|udp]:[ADDRESS]:PORT" and then "-[GUEST]:PORT" when GUEST is wanted. Without an address the host listens on its
 * loopback only; 0.0.0.0 opens the port to everyone. */
static bool
parse_rule (const VmNetUser *user, const char *rule, bool *udp, Address *host, socklen_t *host_len, Address *guest,
            socklen_t *guest_len, GError **error)
{
  const struct in_addr loopback = { htonl (INADDR_LOOPBACK) };
  const char *p = strchr (rule, ':'), *end;
  size_t name = p ? p - rule : 0;
  g_autofree char *host_text = NULL, *guest_text = NULL;
  unsigned port = 0;
  bool v6;

  if (!p)
    return bad_rule (error, rule, "No : separators");
  *udp = name == 3 && !strncmp (rule, "udp", 3);
  if (name && !*udp && (name != 3 || strncmp (rule, "tcp", 3) != 0))
    return bad_rule (error, rule, "Bad protocol name");
  p++;
  host_text = take_host (&p, &v6);
  if (!host_text)
    return bad_rule (error, rule, "Missing : separator");
  if (!fill_address (host, host_len, host_text, 0, v6, loopback))
    return bad_rule (error, rule, "Bad host address");
  end = guest ? strchr (p, '-') : p + strlen (p);
  if (!end)
    return bad_rule (error, rule, "Bad host port separator");
  if (!take_port (&p, end, 0, &port))
    return bad_rule (error, rule, "Bad host port");
  fill_address (host, host_len, host_text, port, v6, loopback);
  if (!guest)
    return true;
  p++;
  guest_text = take_host (&p, &v6);
  if (!guest_text)
    return bad_rule (error, rule, "Missing guest address");
  if (!fill_address (guest, guest_len, guest_text, 0, v6, user->dhcp) || (v6 && !*guest_text))
    return bad_rule (error, rule, "Bad guest address");
  if (!take_port (&p, p + strlen (p), 1, &port))
    return bad_rule (error, rule, "Bad guest port");
  fill_address (guest, guest_len, guest_text, port, v6, user->dhcp);
  return true;
}

bool
vm_net_user_add_hostfwd (VmNetUser *user, const char *rule, GError **error)
{
  Address host, guest;
  socklen_t host_len, guest_len;
  bool udp;

  if (!parse_rule (user, rule, &udp, &host, &host_len, &guest, &guest_len, error))
    return false;
  if (slirp_add_hostxfwd (user->slirp, &host.any, host_len, &guest.any, guest_len,
                          (udp ? SLIRP_HOSTFWD_UDP : 0) | (host.any.sa_family == AF_INET6 ? SLIRP_HOSTFWD_V6ONLY : 0))
      < 0)
    return vm_fail (error, "Could not set up host forwarding rule '%s': %s", rule, g_strerror (errno));
  return true;
}

bool
vm_net_user_remove_hostfwd (VmNetUser *user, const char *rule, GError **error)
{
  Address host;
  socklen_t len;
  bool udp;

  if (!parse_rule (user, rule, &udp, &host, &len, NULL, NULL, NULL))
    return vm_fail (error, "invalid format");
  if (slirp_remove_hostxfwd (user->slirp, &host.any, len, udp ? SLIRP_HOSTFWD_UDP : 0) < 0)
    return vm_fail (error, "host forwarding rule for %s not found", rule);
  return true;
}

/* --- guest addresses ------------------------------------------------------------------------------------------ */

typedef struct GuestForward
{
  VmNetUser *user;
  struct in_addr server;
  int port;
  VmCharFe fe;
  char *chardev; /* made for it; NULL: the user's */
} GuestForward;

static ssize_t
to_chardev (const void *buf, size_t len, void *opaque)
{
  GuestForward *f = opaque;

  return vm_char_fe_write (&f->fe, buf, len);
}

static size_t
guest_takes (void *opaque)
{
  GuestForward *f = opaque;

  return slirp_socket_can_recv (f->user->slirp, f->server, f->port);
}

static void
to_guest (void *opaque, const uint8_t *buf, size_t len)
{
  GuestForward *f = opaque;

  slirp_socket_recv (f->user->slirp, f->server, f->port, buf, len);
}

static const VmCharFeOps forward_ops = { .can_receive = guest_takes, .receive = to_guest };

static bool
open_forward_chardev (GuestForward *f, const char *device, const char *rule, GError **error)
{
  VmMachine *machine = f->user->netdev->net->machine;
  VmChardev *chr = vm_chardev_find (machine->env.root, device);

  if (!chr)
    {
      VmCharLegacy legacy = { 0 };
      g_autofree char *id = g_strdup_printf ("guestfwd.%s.%u", f->user->netdev->parent.id,
                                             f->user->guest_forwards->len);
      if (!vm_chardev_parse_legacy (device, false, &legacy, error))
        {
          g_prefix_error (error, "Could not open guest forwarding device '%s': ", device);
          return false;
        }
      if (legacy.reuse)
        chr = vm_chardev_find (machine->env.root, legacy.reuse);
      else if (legacy.options)
        {
          vm_char_options_set_id (legacy.options, id);
          chr = vm_chardev_new (vm_machine_char_env (machine), legacy.options, error);
          f->chardev = g_strdup (id);
        }
      vm_char_legacy_clear (&legacy);
      if (!chr && !(error && *error))
        vm_fail (error, "Could not open guest forwarding device '%s'", device);
    }
  return chr && vm_char_fe_attach_to (&f->fe, chr, &forward_ops, f, error);
}

static void
free_forward (void *opaque)
{
  GuestForward *f = opaque;
  VmMachine *machine = f->user->netdev->net->machine;
  VmChardev *chr = f->chardev ? vm_chardev_find (machine->env.root, f->chardev) : NULL;

  vm_char_fe_detach (&f->fe);
  if (chr)
    vm_chardev_remove (chr, NULL);
  g_free (f->chardev);
  g_free (f);
}

/* "[tcp]:SERVER:PORT-DEVICE" or "-cmd:COMMAND". */
static bool
add_guestfwd (VmNetUser *user, const char *rule, GError **error)
{
  const char *p = g_str_has_prefix (rule, "tcp:") ? rule + 4 : *rule == ':' ? rule + 1 : NULL;
  const char *colon = p ? strchr (p, ':') : NULL;
  g_autofree char *server = colon ? g_strndup (p, colon - p) : NULL;
  struct in_addr addr = { user->net.s_addr | (htonl (0x0204) & ~user->mask.s_addr) };
  char *end = NULL;
  unsigned long port = colon ? strtoul (colon + 1, &end, 10) : 0;

  if (!port || port > 65535 || !end || *end != '-' || !end[1] || (*server && inet_pton (AF_INET, server, &addr) != 1))
    return vm_fail (error, "Invalid guest forwarding rule '%s'", rule);
  if (g_str_has_prefix (end + 1, "cmd:"))
    {
      if (slirp_add_exec (user->slirp, end + 5, &addr, port) < 0)
        return vm_fail (error, "Conflicting/invalid host:port in guest forwarding rule '%s'", rule);
      return true;
    }
  GuestForward *f = g_new0 (GuestForward, 1);
  f->user = user;
  f->server = addr;
  f->port = port;
  g_ptr_array_add (user->guest_forwards, f);
  if (!open_forward_chardev (f, end + 1, rule, error))
    return false;
  if (slirp_add_guestfwd (user->slirp, to_chardev, f, &addr, port) < 0)
    return vm_fail (error, "Conflicting/invalid host:port in guest forwarding rule '%s'", rule);
  return true;
}

/* --- a shared folder -------------------------------------------------------------------------------------------- */

/* smbd is started for each connection, with settings of its own in a folder of its own. What is shared is a link there:
 * smbd has its own ideas of percent signs in names, of spaces at their ends and of line ends, and no way to quote them. */
static bool
share_folder (VmNetUser *user, const char *folder, GError **error)
{
  const struct passwd *me = getpwuid (geteuid ());
  g_autofree char *path = g_canonicalize_filename (folder, NULL), *conf = NULL, *link = NULL, *text = NULL,
                  *command = NULL;
  struct in_addr addr = user->smb;

  if (access (SMBD, X_OK) < 0)
    return vm_fail (error, "Could not find '%s', please install it: the Debian package is samba", SMBD);
  if (!me)
    return vm_fail (error, "Failed to retrieve user name");
  if (!g_file_test (path, G_FILE_TEST_IS_DIR) || access (path, R_OK | X_OK) < 0)
    return vm_fail (error, "Error accessing shared directory '%s': %s", folder,
                    g_strerror (g_file_test (path, G_FILE_TEST_EXISTS) ? ENOTDIR : ENOENT));
  user->share = g_dir_make_tmp ("vitrine-smb.XXXXXX", error);
  if (!user->share)
    return false;
  conf = g_build_filename (user->share, "smb.conf", NULL);
  link = g_build_filename (user->share, "folder", NULL);
  if (symlink (path, link) < 0)
    return vm_fail (error, "%s: %s", link, g_strerror (errno));
  text = g_strdup_printf ("[global]\n"
                          "private dir=%1$s\ninterfaces=127.0.0.1\nbind interfaces only=yes\npid directory=%1$s\n"
                          "lock directory=%1$s\nstate directory=%1$s\ncache directory=%1$s\n"
                          "ncalrpc dir=%1$s/ncalrpc\nlog file=%1$s/log.smbd\nsmb passwd file=%1$s/smbpasswd\n"
                          "security = user\nmap to guest = Bad User\nload printers = no\nprinting = bsd\n"
                          "disable spoolss = yes\nusershare max shares = 0\n\n"
                          "[qemu]\npath=%2$s\nread only=no\nguest ok=yes\nforce user=%3$s\n",
                          user->share, link, me->pw_name);
  if (!g_file_set_contents (conf, text, -1, error))
    return false;
  command = g_strdup_printf (SMBD " -l %s -s %s", user->share, conf);
  if (slirp_add_exec (user->slirp, command, &addr, 139) < 0 || slirp_add_exec (user->slirp, command, &addr, 445) < 0)
    return vm_fail (error, "Conflicting/invalid smbserver address");
  return true;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *child = g_build_filename (path, name, NULL);
      if (g_file_test (child, G_FILE_TEST_IS_DIR) && !g_file_test (child, G_FILE_TEST_IS_SYMLINK))
        remove_tree (child);
      else
        g_unlink (child);
    }
  g_rmdir (path);
}

void
vm_net_user_remove_share (VmNetUser *user)
{
  if (user->share)
    remove_tree (user->share);
  g_clear_pointer (&user->share, g_free);
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

bool
vm_net_user_open_forwards (VmNetUser *user, const VmqNetdevUserOptions *o, GError **error)
{
  user->guest_forwards = g_ptr_array_new_with_free_func (free_forward);
  for (guint i = 0; o->hostfwd && i < o->hostfwd->len; i++)
    if (!vm_net_user_add_hostfwd (user, ((VmqNetdevString *) o->hostfwd->pdata[i])->str, error))
      return false;
  for (guint i = 0; o->guestfwd && i < o->guestfwd->len; i++)
    if (!add_guestfwd (user, ((VmqNetdevString *) o->guestfwd->pdata[i])->str, error))
      return false;
  return !o->smb || share_folder (user, o->smb, error);
}

void
vm_net_user_close_forwards (VmNetUser *user)
{
  g_clear_pointer (&user->guest_forwards, g_ptr_array_unref);
}

VmNetUser *
vm_net_user_of (VmNetdev *netdev)
{
  return netdev->klass && !strcmp (netdev->klass->name, "user") ? netdev->state : NULL;
}

char *
vm_net_user_describe (VmNetUser *user)
{
  char *info = slirp_connection_info (user->slirp);
  char *text = g_strdup_printf ("Hub %d (%s):\n%s", vm_net_hub_of (user->port->peer), user->netdev->parent.id, info);

  free (info);
  return text;
}
