/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The addresses of a user-mode network, from what was said and what follows from it. */
#include "engine/schema/types.h"
#include "net/user.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

static bool
parse4 (const char *text, struct in_addr *addr)
{
  return inet_pton (AF_INET, text, addr) == 1;
}

/* "10.0.2.0/24", "10.0.2.0/255.255.255.0", "10.0.2.0" (the mask of its class). */
static bool
parse_net (VmNetUser *user, const char *text, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  struct in_addr net;
  uint32_t mask, host;

  if (!parse4 (parts[0], &net))
    return vm_fail (error, "Failed to parse net");
  host = ntohl (net.s_addr);
  if (!parts[1])
    mask = host >> 31 == 0 ? 0xff000000 : host >> 30 == 2 ? 0xfff00000 : host >> 29 == 6 ? 0xffffff00 : 0xfffffff0;
  else
    {
      char *end;
      unsigned long bits = strtoul (parts[1], &end, 10);
      struct in_addr m;
      if (*parts[1] && !*end)
        {
          if (bits < 4 || bits > 32)
            return vm_fail (error, "Invalid netmask provided (must be in range 4-32)");
          mask = 0xffffffff << (32 - bits);
        }
      else if (parse4 (parts[1], &m))
        mask = ntohl (m.s_addr);
      else
        return vm_fail (error, "Failed to parse netmask (trailing chars)");
    }
  user->mask.s_addr = htonl (mask);
  user->net.s_addr = htonl (host & mask);
  return true;
}

/* TEXT or, when it was not given, number N of the network. WHAT and OUTSIDE as messages have it; OUTSIDE NULL: it may
 * lie elsewhere. A name server that does is reached as any other host. */
static bool
pick (const VmNetUser *user, struct in_addr *addr, const char *text, uint32_t n, const char *what, const char *outside,
      GError **error)
{
  if (!text)
    {
      addr->s_addr = user->net.s_addr | (htonl (n) & ~user->mask.s_addr);
      return true;
    }
  if (!parse4 (text, addr))
    return vm_fail (error, "Failed to parse %s", what);
  if (outside && (addr->s_addr & user->mask.s_addr) != user->net.s_addr)
    return vm_fail (error, "%s doesn't belong to network", outside);
  return true;
}

static bool
configure4 (VmNetUser *user, const VmqNetdevUserOptions *o, SlirpConfig *config, GError **error)
{
  const char *net = o->net ? o->net : o->ip ? o->ip : "10.0.2.0/24";

  if (!parse_net (user, net, error) || !pick (user, &user->host, o->host, 2, "host", "Host", error)
      || !pick (user, &user->dhcp, o->dhcpstart, 15, "DHCP start address", "DHCP", error)
      || !pick (user, &user->dns, o->dns, 3, "DNS", NULL, error)
      || !pick (user, &user->smb, o->smbserver, 4, "SMB address", "SMB server", error))
    return false;
  if (user->dhcp.s_addr == user->host.s_addr || user->dhcp.s_addr == user->dns.s_addr)
    return vm_fail (error, "DHCP must be different from host and DNS");
  if (user->dns.s_addr == user->host.s_addr)
    return vm_fail (error, "DNS must be different from host");
  if (user->smb.s_addr == user->host.s_addr || user->smb.s_addr == user->dns.s_addr)
    return vm_fail (error, "SMB server must be different from host and DNS");
  config->vnetwork = user->net;
  config->vnetmask = user->mask;
  config->vhost = user->host;
  config->vdhcp_start = user->dhcp;
  config->vnameserver = user->dns;
  return true;
}

static bool
same_prefix (const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
  unsigned bytes = bits / 8, rest = bits % 8;

  return !memcmp (a, b, bytes) && (!rest || (a->s6_addr[bytes] ^ b->s6_addr[bytes]) >> (8 - rest) == 0);
}

static bool
configure6 (const VmqNetdevUserOptions *o, SlirpConfig *config, GError **error)
{
  int64_t bits = o->has_ipv6_prefixlen ? o->ipv6_prefixlen : 64;

  if (inet_pton (AF_INET6, o->ipv6_prefix ? o->ipv6_prefix : "fec0::", &config->vprefix_addr6) != 1)
    return vm_fail (error, "Failed to parse IPv6 prefix");
  if (bits < 0 || bits > 126)
    return vm_fail (error, "Invalid IPv6 prefix provided (IPv6 prefix length must be between 0 and 126)");
  config->vprefix_len = bits;
  struct in6_addr *const addrs[] = { &config->vhost6, &config->vnameserver6 };
  const char *const texts[] = { o->ipv6_host, o->ipv6_dns };
  for (int i = 0; i < 2; i++)
    {
      if (!texts[i])
        {
          *addrs[i] = config->vprefix_addr6;
          addrs[i]->s6_addr[15] |= 2 + i;
          continue;
        }
      if (inet_pton (AF_INET6, texts[i], addrs[i]) != 1)
        return vm_fail (error, i ? "Failed to parse IPv6 DNS" : "Failed to parse IPv6 host");
      if (i == 0 && !same_prefix (addrs[i], &config->vprefix_addr6, bits))
        return vm_fail (error, "IPv6 Host doesn't belong to network");
    }
  if (!memcmp (&config->vhost6, &config->vnameserver6, sizeof config->vhost6))
    return vm_fail (error, "IPv6 DNS must be different from IPv6 host");
  return true;
}

bool
vm_net_user_configure (VmNetUser *user, const VmqNetdevUserOptions *o, SlirpConfig *config, GPtrArray *search,
                       GError **error)
{
  /* One said "on" alone means only that; "off" leaves the other on. */
  bool v4 = o->has_ipv4 ? o->ipv4 : !(o->has_ipv6 && o->ipv6), v6 = o->has_ipv6 ? o->ipv6 : !(o->has_ipv4 && o->ipv4);

  if (!v4 && (o->net || o->ip || o->host || o->dhcpstart || o->dns || o->smbserver))
    return vm_fail (error, "IPv4 disabled but netmask/host/dns provided");
  if (!v6 && (o->ipv6_prefix || o->ipv6_host || o->ipv6_dns))
    return vm_fail (error, "IPv6 disabled but prefix/host6/dns6 provided");
  if (!v4 && !v6)
    return vm_fail (error, "IPv4 and IPv6 disabled");
  if (o->tftp_server_name && strlen (o->tftp_server_name) > 255)
    return vm_fail (error, "'tftp-server-name' parameter cannot exceed 255 bytes");
  if (o->domainname && !*o->domainname)
    return vm_fail (error, "'domainname' parameter cannot be empty");
  if (o->domainname && strlen (o->domainname) > 255)
    return vm_fail (error, "'domainname' parameter cannot exceed 255 bytes");
  config->in_enabled = v4;
  config->in6_enabled = v6;
  if (!configure4 (user, o, config, error) || !configure6 (o, config, error))
    return false;
  for (guint i = 0; o->dnssearch && i < o->dnssearch->len; i++)
    g_ptr_array_add (search, ((VmqNetdevString *) o->dnssearch->pdata[i])->str);
  g_ptr_array_add (search, NULL);
  config->vdnssearch = search->len > 1 ? (const char **) search->pdata : NULL;
  config->restricted = o->has_restrict_ && o->restrict_;
  config->vhostname = o->hostname;
  config->vdomainname = o->domainname;
  config->tftp_path = o->tftp;
  config->tftp_server_name = o->tftp_server_name;
  config->bootfile = o->bootfile;
  g_autofree char *net = g_strdup (inet_ntoa (user->net));
  vm_netdev_set_info (user->netdev, "net=%s,restrict=%s", net, config->restricted ? "on" : "off");
  return true;
}
