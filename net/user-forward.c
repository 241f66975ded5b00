/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ways into and out of a user-mode network: host ports that lead to the guest, guest addresses that lead to a program or
 * a character back end, and a shared folder by the host's Samba. */
#include "engine/char/char.h"
#include "engine/machine/machine.h"
#include "engine/schema/types.h"
#include "net/net-private.h"
#include "net/user.h"

#include <arpa/inet.h>
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

static const char *
bad_rule (GError **error, const char *rule, const char *why)
{
  vm_fail (error, "Invalid host forwarding rule '%s' (%s)", rule, why);
  return NULL;
}

/* Takes "[HOST]:PORT" up to END off P; HOST in brackets is IPv6. *HOST is newly allocated. */
static bool
take_endpoint (const char **p, char end, char **host, unsigned *port)
{
  const char *colon;
  char *stop;

  if (**p == '[')
    {
      const char *close = strchr (*p, ']');
      if (!close || close[1] != ':')
        return false;
      *host = g_strndup (*p + 1, close - *p - 1);
      colon = close + 1;
    }
  else
    {
      colon = strchr (*p, ':');
      if (!colon || memchr (*p, '-', colon - *p))
        return false;
      *host = g_strndup (*p, colon - *p);
    }
  unsigned long n = strtoul (colon + 1, &stop, 10);
  if (!g_ascii_isdigit (colon[1]) || *stop != end || n > 65535)
    return false;
  *port = n;
  *p = stop + (end != 0);
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
  return !*host || inet_pton (AF_INET, host, &a->v4.sin_addr) == 1;
}

/* "[tcp|udp]:[ADDRESS]:PORT" and then "-[GUEST]:PORT" when GUEST is wanted. Without an address the host listens on its
 * loopback only; 0.0.0.0 opens the port to everyone. */
static const char *
parse_rule (const VmNetUser *user, const char *rule, bool *udp, Address *host, socklen_t *host_len, Address *guest,
            socklen_t *guest_len, GError **error)
{
  const struct in_addr loopback = { htonl (INADDR_LOOPBACK) };
  g_autofree char *host_text = NULL, *guest_text = NULL;
  const char *p = rule;
  unsigned host_port, guest_port;
  bool v6;

  *udp = g_str_has_prefix (p, "udp:");
  if (*udp || g_str_has_prefix (p, "tcp:"))
    p += 4;
  else if (*p == ':')
    p++;
  else
    return bad_rule (error, rule, strchr (p, ':') ? "bad protocol name" : "no protocol");
  v6 = *p == '[';
  if (!take_endpoint (&p, guest ? '-' : 0, &host_text, &host_port))
    return bad_rule (error, rule, "bad host port");
  if (!fill_address (host, host_len, host_text, host_port, v6, loopback))
    return bad_rule (error, rule, "bad host address");
  if (!guest)
    return rule;
  v6 = *p == '[';
  if (!take_endpoint (&p, 0, &guest_text, &guest_port) || !guest_port)
    return bad_rule (error, rule, "bad guest port");
  if (!fill_address (guest, guest_len, guest_text, guest_port, v6, user->dhcp))
    return bad_rule (error, rule, "bad guest address");
  if (v6 && !*guest_text)
    return bad_rule (error, rule, "an IPv6 guest address is needed");
  return rule;
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

  if (!parse_rule (user, rule, &udp, &host, &len, NULL, NULL, error))
    return false;
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

/* smbd is started for each connection, with settings of its own in a folder of its own. */
static bool
share_folder (VmNetUser *user, const char *folder, GError **error)
{
  const struct passwd *me = getpwuid (geteuid ());
  g_autofree char *path = g_canonicalize_filename (folder, NULL), *conf = NULL, *text = NULL, *command = NULL;
  struct in_addr addr = user->smb;

  if (access (SMBD, X_OK) < 0)
    return vm_fail (error, "Could not find '%s', please install it: the Debian package is samba", SMBD);
  if (!me)
    return vm_fail (error, "Failed to retrieve user name");
  if (!g_file_test (path, G_FILE_TEST_IS_DIR) || access (path, R_OK | X_OK) < 0)
    return vm_fail (error, "Error accessing shared directory '%s': %s", folder,
                    g_strerror (g_file_test (path, G_FILE_TEST_EXISTS) ? ENOTDIR : ENOENT));
  if (strpbrk (path, "\n\r"))
    return vm_fail (error, "the name of a shared folder may not have line ends");
  user->share = g_dir_make_tmp ("vitrine-smb.XXXXXX", error);
  if (!user->share)
    return false;
  conf = g_build_filename (user->share, "smb.conf", NULL);
  text = g_strdup_printf ("[global]\n"
                          "private dir=%1$s\ninterfaces=127.0.0.1\nbind interfaces only=yes\npid directory=%1$s\n"
                          "lock directory=%1$s\nstate directory=%1$s\ncache directory=%1$s\n"
                          "ncalrpc dir=%1$s/ncalrpc\nlog file=%1$s/log.smbd\nsmb passwd file=%1$s/smbpasswd\n"
                          "security = user\nmap to guest = Bad User\nload printers = no\nprinting = bsd\n"
                          "disable spoolss = yes\nusershare max shares = 0\n\n"
                          "[qemu]\npath=%2$s\nread only=no\nguest ok=yes\nforce user=%3$s\n",
                          user->share, path, me->pw_name);
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
