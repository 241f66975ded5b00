/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chunks and messages. Lengths are the guest's claims: memory follows what has really come. */
#include "engine/agent/wire.h"

#define FIRST_ROOM 4096
#define PUMP_MAX (256 * 1024) /* bytes at a time */
#define HEAD_MAX 32

typedef struct VdOutgoing
{
  uint8_t head[VD_WIRE_HEADER + HEAD_MAX];
  unsigned head_len;
  GBytes *body;
  size_t size, sent; /* of head and body */
  VdSentFunc func;
  void *opaque;
} VdOutgoing;

static void
outgoing_free (VdOutgoing *message)
{
  g_clear_pointer (&message->body, g_bytes_unref);
  g_free (message);
}

void
vd_wire_init (VdWire *wire, const VdWireOps *ops, void *opaque)
{
  *wire = (VdWire){ .ops = ops, .opaque = opaque };
  for (unsigned i = 0; i < VDP_END_PORT; i++)
    g_queue_init (&wire->outgoing[i]);
}

void
vd_wire_clear (VdWire *wire)
{
  for (unsigned i = 0; i < VDP_END_PORT; i++)
    {
      g_queue_clear_full (&wire->outgoing[i], (GDestroyNotify) outgoing_free);
      g_free (wire->incoming[i].data);
    }
  vd_wire_init (wire, wire->ops, wire->opaque);
}

/* --- from the guest ---------------------------------------------------------------------------- */

static void
incoming_begin (VdWire *wire, VdIncoming *in)
{
  bool known = vm_load_le32 (in->header) == VD_AGENT_PROTOCOL;

  in->type = vm_load_le32 (in->header + offsetof (VDAgentMessage, type));
  in->size = vm_load_le32 (in->header + offsetof (VDAgentMessage, size));
  in->got = 0;
  in->room = 0;
  if (known && in->size <= wire->ops->limit (wire->opaque, in->type))
    {
      in->room = MIN (in->size, FIRST_ROOM);
      in->data = g_malloc (MAX (in->room, 1));
    }
}

/* Keeps what came, or lets all of the message go when there is no memory for it. */
static void
incoming_add (VdIncoming *in, const uint8_t *bytes, size_t len)
{
  if (in->data && in->got + len > in->room)
    {
      size_t room = MIN (in->size, MAX (in->got + len, in->room * 2));
      uint8_t *data = g_try_realloc (in->data, room);

      if (data)
        in->room = room;
      else
        g_free (in->data);
      in->data = data;
    }
  if (in->data && len)
    memcpy (in->data + in->got, bytes, len);
  in->got += len;
}

static void
incoming_end (VdWire *wire, VdIncoming *in)
{
  g_autoptr (GBytes) data = in->data ? g_bytes_new_take (in->data, in->size) : NULL;

  in->data = NULL;
  in->have = 0;
  if (data)
    wire->ops->message (wire->opaque, in->type, data);
}

/* Part of a message; returns how much of BYTES was used. */
static size_t
wire_receive_part (VdWire *wire, VdIncoming *in, const uint8_t *bytes, size_t len)
{
  size_t n;

  if (in->have < VD_WIRE_HEADER)
    {
      n = MIN (len, VD_WIRE_HEADER - in->have);
      memcpy (in->header + in->have, bytes, n);
      in->have += n;
      if (in->have < VD_WIRE_HEADER)
        return n;
      incoming_begin (wire, in);
    }
  else
    {
      n = MIN (len, in->size - in->got);
      incoming_add (in, bytes, n);
    }
  if (in->got == in->size)
    incoming_end (wire, in);
  return n;
}

void
vd_wire_receive (VdWire *wire, const uint8_t *bytes, size_t len)
{
  while (len)
    {
      size_t n;

      if (wire->have < sizeof wire->header)
        {
          n = MIN (len, sizeof wire->header - wire->have);
          memcpy (wire->header + wire->have, bytes, n);
          wire->have += n;
          wire->port = vm_load_le32 (wire->header);
          wire->left = vm_load_le32 (wire->header + 4);
        }
      else
        {
          n = MIN (len, wire->left);
          if (n && wire->port < VDP_END_PORT) /* others are nobody's */
            n = wire_receive_part (wire, &wire->incoming[wire->port], bytes, n);
          wire->left -= n;
        }
      bytes += n;
      len -= n;
      if (wire->have == sizeof wire->header && !wire->left)
        wire->have = 0;
    }
}

/* --- to the guest ------------------------------------------------------------------------------ */

void
vd_wire_send (VdWire *wire, uint32_t port, uint32_t type, const void *head, size_t head_len, GBytes *body,
              VdSentFunc sent, void *opaque)
{
  VdOutgoing *message = g_new0 (VdOutgoing, 1);
  size_t size = head_len + (body ? g_bytes_get_size (body) : 0);

  g_assert (head_len <= HEAD_MAX && size <= UINT32_MAX);
  vm_store_le32 (message->head, VD_AGENT_PROTOCOL);
  vm_store_le32 (message->head + offsetof (VDAgentMessage, type), type);
  vm_store_le32 (message->head + offsetof (VDAgentMessage, size), size);
  if (head_len)
    memcpy (message->head + VD_WIRE_HEADER, head, head_len);
  message->head_len = VD_WIRE_HEADER + head_len;
  message->body = body;
  message->size = VD_WIRE_HEADER + size;
  message->func = sent;
  message->opaque = opaque;
  g_queue_push_tail (&wire->outgoing[port], message);
}

unsigned
vd_wire_waiting (const VdWire *wire, uint32_t port)
{
  return wire->outgoing[port].length;
}

static void
outgoing_copy (const VdOutgoing *message, uint8_t *to, size_t n)
{
  size_t at = message->sent, from_head = at < message->head_len ? MIN (n, message->head_len - at) : 0;

  if (from_head)
    memcpy (to, message->head + at, from_head);
  if (n > from_head)
    memcpy (to + from_head,
            (const uint8_t *) g_bytes_get_data (message->body, NULL) + (at + from_head - message->head_len),
            n - from_head);
}

/* The server's port, which has the pointer, goes before files and contents. */
static bool
wire_next_chunk (VdWire *wire)
{
  uint32_t port = VDP_SERVER_PORT;

  if (g_queue_is_empty (&wire->outgoing[port]))
    port = VDP_CLIENT_PORT;
  VdOutgoing *message = g_queue_peek_head (&wire->outgoing[port]);
  if (!message)
    return false;

  size_t n = MIN (message->size - message->sent, VD_AGENT_MAX_DATA_SIZE);
  vm_store_le32 (wire->chunk, port);
  vm_store_le32 (wire->chunk + 4, n);
  outgoing_copy (message, wire->chunk + sizeof (VDIChunkHeader), n);
  message->sent += n;
  wire->chunk_at = 0;
  wire->chunk_len = sizeof (VDIChunkHeader) + n;
  if (message->sent == message->size)
    {
      VdSentFunc func = message->func;
      void *opaque = message->opaque;

      g_queue_pop_head (&wire->outgoing[port]);
      outgoing_free (message);
      if (func)
        func (opaque);
    }
  return true;
}

bool
vd_wire_pump (VdWire *wire)
{
  for (size_t done = 0; done < PUMP_MAX;)
    {
      if (wire->chunk_at == wire->chunk_len && !wire_next_chunk (wire))
        return false;
      size_t n = MIN (wire->ops->room (wire->opaque), wire->chunk_len - wire->chunk_at);
      const uint8_t *bytes = wire->chunk + wire->chunk_at;
      if (!n)
        return false;
      /* First: who takes them may close the connection. */
      wire->chunk_at += n;
      wire->ops->put (wire->opaque, bytes, n);
      done += n;
    }
  return true;
}
