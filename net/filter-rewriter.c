/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object filter-rewriter: TCP sequence numbers for the secondary machine of COLO (docs: COLO proxy). Clients talk to
 * the primary and know its initial sequence numbers (RFC 9293, 3.4.1); the secondary gets the same packets and has
 * chosen others. What goes to the secondary names its own numbers, what it answers names the primary's. */
#include "net/filter.h"

#include "net/net-private.h"

#include <string.h>

#define CONNECTIONS 16384 /* the oldest is forgotten */

enum
{
  FIN = 1,
  SYN = 2,
  RST = 4,
  ACK = 16
};

/* Seen from the machine: its own address second. */
typedef struct Key
{
  uint8_t client[16], server[16];
  uint16_t client_port, server_port;
  uint8_t version;
} Key;

typedef struct Connection
{
  Key key;
  GList link;             /* in FilterRewriter.order */
  bool known;             /* OFFSET is */
  bool answered;          /* the secondary's SYN was seen: START is its number */
  uint32_t start, offset; /* of the secondary's numbers from the primary's */
  uint8_t finished;       /* directions that said FIN */
} Connection;

typedef struct FilterRewriter
{
  VmNetFilter parent;
  bool header;
  GHashTable *connections; /* Connection * by itself */
  GQueue order;            /* the same, oldest first */
  uint8_t *frame;
} FilterRewriter;

/* --- connections ------------------------------------------------------------------------------------------------ */

static guint
hash_key (gconstpointer key)
{
  const uint8_t *p = key;
  guint hash = 5381;

  for (size_t i = 0; i < sizeof (Key); i++)
    hash = hash * 33 + p[i];
  return hash;
}

static gboolean
same_key (gconstpointer a, gconstpointer b)
{
  return !memcmp (a, b, sizeof (Key));
}

static void
forget (FilterRewriter *self, Connection *c)
{
  g_queue_unlink (&self->order, &c->link);
  g_hash_table_remove (self->connections, c);
}

static Connection *
remember (FilterRewriter *self, const Key *key)
{
  Connection *c = g_new0 (Connection, 1);

  if (g_hash_table_size (self->connections) >= CONNECTIONS)
    forget (self, self->order.head->data);
  c->key = *key;
  c->link.data = c;
  g_queue_push_tail_link (&self->order, &c->link);
  g_hash_table_add (self->connections, c);
  return c;
}

/* --- packets ---------------------------------------------------------------------------------------------------- */

static void
make_key (Key *key, const uint8_t *frame, const VmNetLayers *l, bool to_guest)
{
  const uint8_t *ip = frame + l->l2, *tcp = ip + l->l3;
  size_t size = l->ip_version == 4 ? 4 : 16;
  const uint8_t *from = ip + (size == 4 ? 12 : 8), *to = from + size;

  memset (key, 0, sizeof *key);
  key->version = l->ip_version;
  memcpy (key->client, to_guest ? from : to, size);
  memcpy (key->server, to_guest ? to : from, size);
  memcpy (&key->client_port, to_guest ? tcp : tcp + 2, 2);
  memcpy (&key->server_port, to_guest ? tcp + 2 : tcp, 2);
}

/* Selective acknowledgements (RFC 2018) name the same numbers. */
static void
shift_sack (uint8_t *tcp, unsigned len, uint32_t by)
{
  for (unsigned at = 20; at + 1 < len && tcp[at] != 0;)
    {
      unsigned size = tcp[at] == 1 ? 1 : tcp[at + 1];
      if (size == 0 || at + size > len || (size == 1 && tcp[at] != 1))
        return;
      for (unsigned i = 2; tcp[at] == 5 && i + 4 <= size; i += 4)
        vm_store_be32 (tcp + at + i, vm_load_be32 (tcp + at + i) + by);
      at += size;
    }
}

/* True: the packet has other numbers now. */
static bool
rewrite (FilterRewriter *self, uint8_t *frame, const VmNetLayers *l, bool to_guest)
{
  uint8_t *tcp = frame + l->l2 + l->l3, flags = tcp[13];
  Connection *c;
  bool changed = false;
  Key key;

  make_key (&key, frame, l, to_guest);
  c = g_hash_table_lookup (self->connections, &key);
  if (to_guest && (flags & (SYN | ACK)) == SYN)
    {
      /* Ports may be used again. */
      if (c)
        forget (self, c);
      remember (self, &key);
      return false;
    }
  if (!c)
    return false;
  if (to_guest)
    {
      if (flags & ACK && !c->known && c->answered)
        {
          c->offset = c->start - (vm_load_be32 (tcp + 8) - 1);
          c->known = true;
        }
      if (flags & ACK && c->known && c->offset)
        {
          vm_store_be32 (tcp + 8, vm_load_be32 (tcp + 8) + c->offset);
          shift_sack (tcp, l->l4, c->offset);
          changed = true;
        }
    }
  else if ((flags & (SYN | ACK)) == (SYN | ACK))
    {
      if (!c->known)
        c->start = vm_load_be32 (tcp + 4);
      c->answered = true;
    }
  if (!to_guest && c->known && c->offset)
    {
      vm_store_be32 (tcp + 4, vm_load_be32 (tcp + 4) - c->offset);
      changed = true;
    }
  if (flags & RST || (c->finished == 3 && !(flags & FIN)))
    forget (self, c);
  else if (flags & FIN)
    c->finished |= to_guest ? 1 : 2;
  return changed;
}

/* Unless it is yet to be made: then it does not depend on what changed. */
static void
finish_sum (uint8_t *frame, size_t len, const VmNetLayers *l, const VmNetHeader *header)
{
  struct iovec iov = { frame, len };
  unsigned l3 = l->l2 + l->l3, size = l->ip_len - l->l3;
  uint8_t *tcp = frame + l3;

  if (header->flags & VM_NET_NEEDS_CSUM || l3 + size > len)
    return;
  tcp[16] = tcp[17] = 0;
  uint16_t sum = vm_net_checksum (&iov, 1, l3, size, vm_net_pseudo_sum (frame + l->l2, l->ip_version, 6, size));
  tcp[16] = sum >> 8;
  tcp[17] = sum;
}

static bool
rewriter_receive (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet)
{
  FilterRewriter *self = (FilterRewriter *) filter;
  struct iovec iov = { self->frame, packet->len };
  VmNetLayers l;

  if (!vm_net_layers (packet, &l) || l.protocol != 6 || l.l4 < 20 || packet->len > VM_NET_FRAME_MAX)
    return false;
  vm_net_packet_copy (packet, 0, self->frame, packet->len);
  if (!rewrite (self, self->frame, &l, from->netdev != NULL))
    return false;
  finish_sum (self->frame, packet->len, &l, &packet->header);
  vm_net_filter_pass (filter, from, &(VmNetPacket){ &iov, 1, packet->len, packet->header });
  return true;
}

/* --- the type ------------------------------------------------------------------------------------------------------
 */

static bool
rewriter_start (VmNetFilter *filter, GError **error)
{
  FilterRewriter *self = (FilterRewriter *) filter;

  self->connections = g_hash_table_new_full (hash_key, same_key, g_free, NULL);
  g_queue_init (&self->order);
  self->frame = g_malloc (VM_NET_FRAME_MAX);
  return true;
}

static void
rewriter_stop (VmNetFilter *filter)
{
  FilterRewriter *self = (FilterRewriter *) filter;

  g_clear_pointer (&self->connections, g_hash_table_unref);
  g_queue_init (&self->order);
  g_clear_pointer (&self->frame, g_free);
}

static const VmProp rewriter_props[] = {
  VM_PROP ("vnet_hdr_support", FilterRewriter, header, 0, "packets have virtio headers; here they always may"),
  { 0 },
};

static const VmNetFilterClass rewriter_class = {
  VM_NET_FILTER_USER,
  .start = rewriter_start,
  .stop = rewriter_stop,
  .receive = rewriter_receive,
};

const VmType vm_net_filter_rewriter_type = {
  .name = "filter-rewriter",
  .parent = &vm_net_filter_type,
  .size = sizeof (FilterRewriter),
  .help = "Translates the TCP sequence numbers of COLO's secondary machine",
  .props = rewriter_props,
  .klass = &rewriter_class,
};
