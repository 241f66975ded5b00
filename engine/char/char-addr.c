/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets in lists of keys. */
#include "engine/char/char-addr.h"

#include <sys/socket.h>

int
vm_char_addr_family (const VmKeyVals *options, GError **error)
{
  bool v4 = true, v6 = true;

  if (vm_keyvals_has (options, "ipv4") != vm_keyvals_has (options, "ipv6"))
    {
      /* ipv4=on alone means only that one. */
      bool *other = vm_keyvals_has (options, "ipv4") ? &v6 : &v4, *given = other == &v6 ? &v4 : &v6;
      if (!vm_keyvals_bool (options, given == &v4 ? "ipv4" : "ipv6", given, error))
        return -1;
      *other = !*given;
    }
  else if (!vm_keyvals_bool (options, "ipv4", &v4, error) || !vm_keyvals_bool (options, "ipv6", &v6, error))
    return -1;
  if (!v4 && !v6)
    {
      vm_fail (error, "neither IPv4 nor IPv6 is allowed");
      return -1;
    }
  return v4 && v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
}
