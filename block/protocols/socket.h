/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stream sockets in fibers: addresses of the schema, connecting, listening, and a stream that may be under TLS. */
#pragma once

#include "block/vec.h"
#include "engine/crypto/tls-session.h"
#include "engine/io/fiber.h"
#include "engine/schema/types.h"

/* --- addresses ----------------------------------------------------------------------------------------------- */

typedef struct VmSocketAddr VmSocketAddr;

VmSocketAddr *vm_socket_addr_new (const VmqSocketAddress *address, GError **error);
VmSocketAddr *vm_socket_addr_new_legacy (const VmqSocketAddressLegacy *address, GError **error);
VmSocketAddr *vm_socket_addr_new_inet (const char *host, const char *port);
VmSocketAddr *vm_socket_addr_new_unix (const char *path);
void vm_socket_addr_free (VmSocketAddr *addr);
const char *vm_socket_addr_host (const VmSocketAddr *addr); /* NULL: it has none */
char *vm_socket_addr_text (const VmSocketAddr *addr);       /* "host:port", "path" */
/* "nbd://host:port/NAME", "nbd+unix:///NAME?socket=path". */
char *vm_socket_addr_url (const VmSocketAddr *addr, const char *scheme, const char *name);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmSocketAddr, vm_socket_addr_free)

/* A descriptor that does not block, or -1. In a fiber. *PENDING, -1 before, is for vm_socket_cancel(), by which other
 * fibers end the attempt. A descriptor as address is taken the first time. */
int vm_socket_connect (VmSocketAddr *addr, int *pending, GError **error);
void vm_socket_cancel (int *pending);
int vm_socket_listen (VmSocketAddr *addr, GError **error);
/* Socket files of ADDR are gone. */
void vm_socket_unlink (const VmSocketAddr *addr);

/* --- streams ----------------------------------------------------------------------------------------------------- */

typedef struct VmStream
{
  VmLoop *loop;
  int fd; /* -1: none */
  VmTlsSession *tls;
  uint8_t *ahead; /* read and not yet asked for */
  size_t ahead_at, ahead_n;
} VmStream;

void vm_stream_init (VmStream *s, VmLoop *loop, int fd); /* FD does not block; it becomes the stream's */
void vm_stream_clear (VmStream *s);                      /* closes; nobody reads or writes any more */
/* All of it, or false: the stream is over. One fiber reads and one writes at a time. */
bool vm_stream_read (VmStream *s, void *buffer, size_t len);
bool vm_stream_read_vec (VmStream *s, VmVec vec);
bool vm_stream_skip (VmStream *s, uint64_t len);
bool vm_stream_write (VmStream *s, const void *buffer, size_t len);
bool vm_stream_write_vec (VmStream *s, const void *head, size_t len, VmVec vec);
/* Shakes hands; what was read ahead before must be nothing. HOSTNAME and AUTHZ as for vm_tls_session_new(). */
bool vm_stream_start_tls (VmStream *s, VmTlsCreds *creds, const char *hostname, GError **error);
void vm_stream_break (VmStream *s); /* those who wait see the end */
