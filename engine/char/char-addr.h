/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets: looking names up without blocking, and writing them down. */
#pragma once

#include "engine/base/base.h"
#include "engine/io/loop.h"
#include "engine/options/keyvals.h"

#include <netdb.h>
#include <sys/socket.h>

typedef struct VmCharLookup VmCharLookup;
/* LIST NULL: failed, as ERROR says. The list is the callee's. */
typedef void (*VmCharLookupFunc) (void *opaque, struct addrinfo *list, const GError *error);

/* Address family after ipv4= and ipv6=, or -1 with ERROR set. */
int           vm_char_addr_family (const VmKeyVals *options, GError **error);
/* May ask a name server: at start-up only. */
struct addrinfo *vm_char_addr_resolve (const char *host, const char *port, int family, int type, bool passive,
                                       GError **error);
/* Calls FUNC from the loop when the answer is there, maybe before it returns (then the result is NULL). */
VmCharLookup *vm_char_lookup (VmLoop *loop, const char *host, const char *port, int family, VmCharLookupFunc func,
                              void *opaque);
void          vm_char_lookup_cancel (VmCharLookup *lookup);
/* "127.0.0.1:4444", "[::1]:4444", "/path", "@abstract". */
char         *vm_char_addr_text (const struct sockaddr_storage *addr, socklen_t len);
