/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets as people write them, what the kernel takes, and the way between: looking names up without
 * holding up a loop, listening. */
#pragma once

#include "engine/io/loop.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef enum VmAddressKind
{
  VM_ADDRESS_INET,
  VM_ADDRESS_UNIX,
  VM_ADDRESS_VSOCK
} VmAddressKind;

typedef struct VmAddress
{
  VmAddressKind kind;
  char *host;  /* Unix: the path; vsock: the id. "": any of this host's */
  char *port;  /* not of Unix */
  int family;  /* Internet: AF_UNSPEC, AF_INET, AF_INET6 */
  unsigned to; /* listening: the last port to try; 0: only one */
  bool numeric, keep_alive, mptcp;
  bool abstract, loose; /* Unix: no file; its name is as long as can be */
} VmAddress;

void vm_address_clear (VmAddress *address);
void vm_address_copy (VmAddress *to, const VmAddress *from);
char *vm_address_text (const VmAddress *address); /* "host:port", "/path", "@abstract" */

typedef struct VmSockaddr
{
  socklen_t len;
  union
  {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
  };
} VmSockaddr;

/* "127.0.0.1:4444", "[::1]:4444", "/path", "@abstract". */
char *vm_sockaddr_text (const VmSockaddr *addr);
bool vm_sockaddr_of (VmSockaddr *addr, int fd, bool peer); /* the socket's own name, or its peer's */

/* What ADDRESS means for sockets of TYPE: VmSockaddr, one or more; NULL with ERROR set. May ask a name server, that is,
 * take long. PASSIVE: for listening. */
GArray *vm_address_resolve (const VmAddress *address, int type, bool passive, GError **error);
/* The same when nobody has to be asked; else NULL, without ERROR when asking is what remains to be done. */
GArray *vm_address_resolve_now (const VmAddress *address, int type, bool passive, GError **error);

typedef struct VmLookup VmLookup;
/* LIST, which is the callee's; NULL: failed, as ERROR says. */
typedef void (*VmLookupFunc) (void *opaque, GArray *list, const GError *error);
/* Resolves on a thread of its own. FUNC is called from the loop; the lookup is over then. */
VmLookup *vm_lookup_start (VmLoop *loop, const VmAddress *address, int type, bool passive, VmLookupFunc func,
                           void *opaque);
void vm_lookup_cancel (VmLookup *lookup); /* FUNC will not be called; NULL: nothing */

/* A socket that listens at the first of LIST that can be had and does not block; -1 with ERROR set. A Unix socket's
 * file that is in the way is removed. */
int vm_address_listen (const VmAddress *address, const GArray *list, int backlog, GError **error);
