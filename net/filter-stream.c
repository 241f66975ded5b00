/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets in a byte stream over a character back end. */
#include "net/filter-stream.h"

#include "net/net-private.h"

#include <string.h>

#define HEADER 12 /* struct virtio_net_hdr_mrg_rxbuf, as most have it */
#define SMALL_HEADER 10
#define WAITING_MAX (4u << 20)

/* --- in ------------------------------------------------------------------------------------------------------ */

static size_t
takes (void *opaque)
{
  return 65536;
}

/* The bytes of the packet at the front, with what is before it; 0: not known yet. Nonsense is SIZE_MAX. */
static size_t
needed (const VmNetStream *s)
{
  size_t head = s->header ? 8 : 4, len;

  if (s->in->len < head)
    return 0;
  len = vm_load_be32 (s->in->data);
  if (len > VM_NET_FRAME_MAX + HEADER || (s->header && vm_load_be32 (s->in->data + 4) > len))
    return SIZE_MAX;
  return head + len;
}

static void
hand_over (VmNetStream *s, size_t size)
{
  size_t head = s->header ? 8 : 4, virtio = s->header ? vm_load_be32 (s->in->data + 4) : 0;
  struct iovec iov = { s->in->data + head + virtio, size - head - virtio };
  VmNetPacket packet = { &iov, 1, iov.iov_len, { 0 } };

  if (virtio >= SMALL_HEADER)
    memcpy (&packet.header, s->in->data + head, sizeof packet.header);
  if (packet.len >= 14 && packet.len <= VM_NET_FRAME_MAX)
    s->got (s->opaque, &packet);
}

static void
receive (void *opaque, const uint8_t *buf, size_t len)
{
  VmNetStream *s = opaque;
  size_t size;

  if (s->lost || !s->got)
    return;
  g_byte_array_append (s->in, buf, len);
  while (s->open && (size = needed (s)) && size != SIZE_MAX && s->in->len >= size)
    {
      hand_over (s, size);
      if (s->open)
        g_byte_array_remove_range (s->in, 0, size);
    }
  if (s->open && needed (s) == SIZE_MAX)
    {
      s->lost = true;
      g_byte_array_set_size (s->in, 0);
    }
}

/* --- out ------------------------------------------------------------------------------------------------------ */

static void
writable (void *opaque)
{
  VmNetStream *s = opaque;
  size_t done = s->out->len ? vm_char_fe_write (&s->fe, s->out->data, s->out->len) : 0;

  g_byte_array_remove_range (s->out, 0, MIN (done, s->out->len));
}

static bool
emit (void *opaque, const VmNetPacket *packet)
{
  VmNetStream *s = opaque;
  size_t virtio = s->header ? HEADER : 0;
  uint8_t head[8 + HEADER] = { 0 };
  guint at = s->out->len;

  if (at + packet->len > WAITING_MAX)
    return true;
  vm_store_be32 (head, packet->len + virtio);
  vm_store_be32 (head + 4, virtio);
  memcpy (head + 8, &packet->header, sizeof packet->header);
  g_byte_array_append (s->out, head, virtio ? sizeof head : 4);
  at = s->out->len;
  g_byte_array_set_size (s->out, at + packet->len);
  vm_net_packet_copy (packet, 0, s->out->data + at, packet->len);
  return true;
}

void
vm_net_stream_send (VmNetStream *s, const VmNetPacket *packet)
{
  bool waiting = s->out->len > 0, done;

  if (!s->header && vm_net_needs_work (packet, 0))
    vm_net_do_work (packet, 0, emit, s, &done);
  else
    emit (s, packet);
  if (!waiting)
    writable (s);
}

/* --- open and close --------------------------------------------------------------------------------------------- */

static void
event (void *opaque, VmCharEvent what)
{
  VmNetStream *s = opaque;

  if (what != VM_CHAR_OPENED && what != VM_CHAR_CLOSED)
    return;
  g_byte_array_set_size (s->in, 0);
  g_byte_array_set_size (s->out, 0);
  s->lost = false;
}

static const VmCharFeOps ops = { .can_receive = takes, .receive = receive, .event = event, .writable = writable };

bool
vm_net_stream_open (VmNetStream *s, VmObject *root, const char *id, const char *who, GError **error)
{
  VmChardev *chr = vm_chardev_find (root, id);

  if (!chr)
    {
      g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "%sDevice '%s' not found", who, id);
      return false;
    }
  s->in = g_byte_array_new ();
  s->out = g_byte_array_new ();
  s->open = vm_char_fe_attach_to (&s->fe, chr, &ops, s, NULL);
  return s->open || vm_fail (error, "Device '%s' is in use", id);
}

void
vm_net_stream_close (VmNetStream *s)
{
  if (s->open)
    vm_char_fe_detach (&s->fe);
  s->open = false;
  g_clear_pointer (&s->in, g_byte_array_unref);
  g_clear_pointer (&s->out, g_byte_array_unref);
}
