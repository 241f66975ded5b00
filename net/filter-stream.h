/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets in a byte stream, as filters and sockets between machines write them: the length in four bytes, most
 * significant first; where both sides agreed on it the length of a virtio header in front of the frame in four more;
 * then the bytes. */
#pragma once

#include "engine/char/char.h"
#include "net/net.h"

typedef struct VmNetStream {
  VmCharFe fe;
  bool     header;    /* packets have virtio headers */
  void   (*got) (void *opaque, const VmNetPacket *packet);
  void    *opaque;
  GByteArray *in, *out; /* a packet in parts; what the other end has not taken yet */
  bool     lost;      /* nonsense came: all is swallowed until somebody else is there */
  bool     open;
} VmNetStream;

/* Claims back end ID below ROOT. GOT NULL: what comes is not for us. WHO goes before messages: "IN ". */
bool vm_net_stream_open (VmNetStream *stream, VmObject *root, const char *id, const char *who, GError **error);
void vm_net_stream_close (VmNetStream *stream);
/* A copy; dropped while the other end is slow. What the other end could not do is done here. */
void vm_net_stream_send (VmNetStream *stream, const VmNetPacket *packet);
