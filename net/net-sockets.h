/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the back ends that use sockets share. */
#pragma once

#include "engine/io/connect.h"
#include "net/frames.h"
#include "net/net-private.h"

struct VmqSocketAddress;

/* --- names (names.c) ------------------------------------------------------------------------------------------ */

/* "[HOST]:PORT" of the older options; HOST may be an IPv6 address in brackets. ADDRESS is to be cleared in any case. */
bool vm_net_split (const char *text, VmAddress *address, GError **error);
/* Who listens without saying where does so for this host only. */
void vm_net_default_host (VmAddress *address, bool passive);
bool vm_net_is_group (const VmSockaddr *name);

/* Up to two names that must be known before a socket can be made. At start the name server is waited for, so that
 * errors are the command line's; later it is not. */
typedef struct VmNetNames
{
  VmNetdev *netdev;
  struct
  {
    bool wanted, passive;
    const char *what; /* for errors: NULL: a host address */
    VmAddress address;
    VmSockaddr found;
    VmLookup *lookup;
  } name[2];
  int socket_type;
  bool (*ready) (VmNetdev *netdev, GError **error); /* all have been found */
} VmNetNames;

bool vm_net_names_resolve (VmNetNames *names, GError **error); /* calls ready(), or will; false: none of that */
void vm_net_names_clear (VmNetNames *names);
const VmSockaddr *vm_net_names_get (const VmNetNames *names, unsigned i); /* NULL: it was not wanted */

/* A descriptor people gave, a socket of TYPE (0: any); -1 with ERROR set. */
int vm_net_take_socket (VmNetdev *netdev, const char *name, int type, GError **error);

/* --- connections (stream.c) ------------------------------------------------------------------------------------- */

typedef struct VmNetWire
{
  VmNetdev *netdev;
  VmNetFrames frames;
  VmAddress address; /* host NULL: a descriptor was given */
  bool older;        /* "socket": described in its way, without events */
  bool server;
  int listener;     /* -1: none */
  char *bound_path; /* to be removed */
  GSource *accepting;
  VmLookup *lookup; /* of where to listen */
  VmConnect *connect;
  uint64_t reconnect_ms; /* 0: once is enough */
  VmTimer retry;
  bool complained;
} VmNetWire;

void vm_net_wire_init (VmNetWire *s, VmNetdev *netdev);
bool vm_net_wire_start (VmNetWire *s, GError **error);         /* listens or connects, as SERVER says, to ADDRESS */
bool vm_net_wire_adopt (VmNetWire *s, int fd, GError **error); /* a connected or listening socket; takes it */
void vm_net_wire_close (VmNetWire *s);

/* --- datagrams (dgram.c) ------------------------------------------------------------------------------------------ */

enum
{
  VM_NET_REMOTE,
  VM_NET_LOCAL
}; /* names */

typedef struct VmNetDgram
{
  VmNetDatagrams link;
  VmNetNames names;
  int fd;           /* to be used instead of a socket of our own; -1: none */
  bool older;       /* "socket" */
  char *bound_path; /* to be removed; NULL: none */
} VmNetDgram;

void vm_net_dgram_init (VmNetDgram *d, VmNetdev *netdev);
bool vm_net_dgram_start (VmNetDgram *d, GError **error); /* with the names that are wanted, or the descriptor */
bool vm_net_dgram_adopt (VmNetDgram *d, int fd, GError **error);
void vm_net_dgram_close (VmNetDgram *d);
