/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The server's side of WebSocket (RFC 6455), as bytes in and bytes out: what carries them is the caller's. */
#pragma once

#include "engine/base/base.h"

typedef struct VmWebsocket VmWebsocket;

VmWebsocket *vm_websocket_new (void);
void vm_websocket_free (VmWebsocket *websocket);
/* Bytes of the client. What it says is appended to PAYLOAD, never more than LEN; what it must be told (the answer to
 * its request, pongs, the end) to OUT. False: over; what is in OUT still goes, then the connection is closed. */
bool vm_websocket_receive (VmWebsocket *websocket, const uint8_t *buf, size_t len, GByteArray *payload,
                           GByteArray *out);
bool vm_websocket_is_open (const VmWebsocket *websocket); /* the request has been granted */
/* BUF as one message for the client. */
void vm_websocket_send (const uint8_t *buf, size_t len, GByteArray *out);
/* "No more from here": before the connection is closed. */
void vm_websocket_close (VmWebsocket *websocket, GByteArray *out);
