/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS over a channel that never blocks (RFC 5246, RFC 8446). One loop owns a session. */
#pragma once

#include "engine/crypto/tls-creds.h"
#include "engine/io/loop.h"

#include <sys/types.h>

typedef struct VmTlsSession VmTlsSession;

/* The channel below: as read(2) and send(2) do, with errno; EAGAIN when nothing can be done now. */
typedef struct VmTlsChannel
{
  ssize_t (*read) (void *opaque, void *buf, size_t len);
  ssize_t (*write) (void *opaque, const void *buf, size_t len);
  void *opaque;
} VmTlsChannel;

/* HOSTNAME (may be NULL): whom a client wants to see in the server's certificate. AUTHZ (may be NULL): the object
 * below the credentials' root that a server asks about the client's name. Keeps the credentials alive. */
VmTlsSession *vm_tls_session_new (VmTlsCreds *creds, const char *hostname, const char *authz, GError **error);
/* Either before anything else. The descriptor stays the caller's. */
void vm_tls_session_set_fd (VmTlsSession *session, int fd);
void vm_tls_session_set_channel (VmTlsSession *session, const VmTlsChannel *channel);
void vm_tls_session_free (VmTlsSession *session); /* from its own callback too */

/* Shakes hands over FD in LOOP, then checks who is there. FUNC gets NULL when all is well; it comes from the loop,
 * once, at the latest after a minute. */
typedef void (*VmTlsDone) (void *opaque, const GError *error);
void vm_tls_session_start (VmTlsSession *session, VmLoop *loop, int fd, VmTlsDone func, void *opaque);

/* One step of it by hand, for other channels. */
typedef enum VmTlsStep
{
  VM_TLS_DONE,
  VM_TLS_WANT_READ,
  VM_TLS_WANT_WRITE,
  VM_TLS_FAILED
} VmTlsStep;
VmTlsStep vm_tls_session_handshake (VmTlsSession *session, GError **error);

/* As read(2): 0 is the orderly end, ECONNABORTED any other. */
ssize_t vm_tls_session_read (VmTlsSession *session, void *buf, size_t len);
/* As send(2): takes nothing (EAGAIN) while something of before is still to be sent. */
ssize_t vm_tls_session_write (VmTlsSession *session, const void *buf, size_t len);
/* What has been decrypted and not read: the descriptor does not show it. */
size_t vm_tls_session_pending (const VmTlsSession *session);
/* True when all that was written has gone to the channel. */
bool vm_tls_session_flush (VmTlsSession *session);
void vm_tls_session_bye (VmTlsSession *session); /* tells the other end; no answer is awaited */
/* The distinguished name or user name that the other end has proved, after the handshake; NULL: none. */
const char *vm_tls_session_peer (const VmTlsSession *session);
