/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other end of a card on the bench: see wire.h. */
#include "tests/net/wire.h"

static bool
wire_receive (void *opaque, const VmNetPacket *packet)
{
  Wire *wire = opaque;
  uint8_t *bytes;

  if (wire->full)
    return false;
  bytes = g_malloc (packet->len);
  vm_net_packet_copy (packet, 0, bytes, packet->len);
  g_ptr_array_add (wire->got, g_bytes_new_take (bytes, packet->len));
  return true;
}

static const VmNetPortOps ops = { .receive = wire_receive };

void
wire_init (Wire *wire, VmNetCard *card, unsigned queue)
{
  *wire = (Wire){ .got = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref) };
  vm_net_port_init (&wire->port, &ops, wire);
  vm_net_port_connect (&wire->port, &card->ports[queue]);
}

void
wire_clear (Wire *wire)
{
  vm_net_port_close (&wire->port);
  g_ptr_array_unref (wire->got);
}

const uint8_t *
wire_frame (const Wire *wire, guint i, size_t *len)
{
  gsize n;
  const uint8_t *bytes;

  g_assert_cmpuint (i, <, wire->got->len);
  bytes = g_bytes_get_data (g_ptr_array_index (wire->got, i), &n);
  *len = n;
  return bytes;
}
