/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of the vdagent protocol (spice/vd_agent.h) in chunks on a stream of bytes. */
#pragma once

#include "engine/base/base.h"

#include <spice/vd_agent.h>

#define VD_WIRE_HEADER ((unsigned) sizeof (VDAgentMessage))

typedef struct VdWireOps
{
  size_t (*room) (void *opaque); /* bytes the guest takes now */
  void (*put) (void *opaque, const uint8_t *bytes, size_t len);
  size_t (*limit) (void *opaque, uint32_t type); /* the longest message of this type worth keeping */
  void (*message) (void *opaque, uint32_t type, GBytes *data);
} VdWireOps;

typedef void (*VdSentFunc) (void *opaque);

/* A message from the guest, as far as it has come. */
typedef struct VdIncoming
{
  uint8_t header[sizeof (VDAgentMessage)];
  unsigned have; /* of the header */
  uint32_t type;
  size_t size, got, room; /* of the data: all of it, come so far, allocated */
  uint8_t *data;          /* NULL: not worth keeping */
} VdIncoming;

typedef struct VdWire
{
  const VdWireOps *ops;
  void *opaque;
  /* from the guest */
  uint8_t header[sizeof (VDIChunkHeader)];
  unsigned have;
  uint32_t port, left; /* of the present chunk */
  VdIncoming incoming[VDP_END_PORT];
  /* to it; messages of different ports may alternate, those of one may not */
  GQueue outgoing[VDP_END_PORT];
  uint8_t chunk[sizeof (VDIChunkHeader) + VD_AGENT_MAX_DATA_SIZE];
  unsigned chunk_at, chunk_len;
} VdWire;

void vd_wire_init (VdWire *wire, const VdWireOps *ops, void *opaque);
void vd_wire_clear (VdWire *wire); /* the guest's end was closed: all that is under way is forgotten */
void vd_wire_receive (VdWire *wire, const uint8_t *bytes, size_t len);
/* Takes BODY (may be NULL) over. SENT (may be NULL) when the guest's end has all of it; never after a clear. */
void vd_wire_send (VdWire *wire, uint32_t port, uint32_t type, const void *head, size_t head_len, GBytes *body,
                   VdSentFunc sent, void *opaque);
unsigned vd_wire_waiting (const VdWire *wire, uint32_t port); /* messages */
/* Hands over what the guest takes, within reason; true when it would take more at once. */
bool vd_wire_pump (VdWire *wire);
