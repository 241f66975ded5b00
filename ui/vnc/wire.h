/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of one connection: a socket, TLS when wanted, WebSocket when wanted, a layer of SASL when agreed. What is
 * read is waited for in a fiber; what is written goes when it can. */
#pragma once

#include "engine/crypto/tls-session.h"
#include "engine/io/fiber.h"
#include "engine/io/websocket.h"
#include "ui/vnc/sasl.h"

typedef struct VncWire
{
  VmLoop *loop;
  int fd;
  VmTlsSession *tls;      /* NULL: in the clear */
  VmWebsocket *websocket; /* NULL: plain */
  VncSasl *sasl;          /* NULL: no layer; not the wire's */
  GByteArray *in, *out;
  guint in_at, out_at;
  size_t extra; /* of OUT: not pictures */
  GSource *read_watch, *write_watch, *poke;
  VmFiber *waiting; /* for the peer, or for TLS */
  unsigned fills;
  bool reading; /* it waits for the peer to say more */
  bool over;
  void (*drained) (void *opaque); /* all has gone to the kernel; NULL: nobody asks */
  void *opaque;
} VncWire;

/* Takes the descriptor. */
void vnc_wire_init (VncWire *wire, VmLoop *loop, int fd);
void vnc_wire_clear (VncWire *wire);
/* Any time: the end. Who waits is woken soon. */
void vnc_wire_break (VncWire *wire);
/* Wakes who waits, on the loop's next round. */
void vnc_wire_poke (VncWire *wire);
/* In the connection's fiber: until it is woken, for whatever reason. */
void vnc_wire_wait (VncWire *wire);

/* In the connection's fiber; false: it is over. */
bool vnc_wire_start_tls (VncWire *wire, VmTlsCreds *creds, GError **error);
bool vnc_wire_start_websocket (VncWire *wire); /* after TLS; waits for the request */
bool vnc_wire_read (VncWire *wire, void *buf, size_t len);
bool vnc_wire_skip (VncWire *wire, uint64_t len);

/* A client that does not read what it is told, pictures apart, is over. */
void vnc_wire_write (VncWire *wire, const void *buf, size_t len);
void vnc_wire_write_picture (VncWire *wire, const void *buf, size_t len);
/* Takes the bytes, and leaves an array that is of no use but to be filled anew. */
void vnc_wire_give_picture (VncWire *wire, GByteArray **bytes);
static inline size_t
vnc_wire_pending (const VncWire *wire)
{
  return wire->out->len - wire->out_at;
}
