/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports and their queues, hubs, and what is done to packets for ends that take less than was left undone. */
#include "net/net-private.h"

#include <string.h>

/* --- two ends ------------------------------------------------------------------------------------------------- */

typedef struct End
{
  VmNetPort port;
  GPtrArray *got;   /* GBytes * */
  VmNetHeader last;
  unsigned room;    /* packets it takes yet */
  unsigned sent, links, drained;
  bool answers;     /* sends one back while it receives */
  bool up;
} End;

static bool
end_receive (void *opaque, const VmNetPacket *packet)
{
  End *end = opaque;
  g_autofree uint8_t *bytes = g_malloc (packet->len);

  if (!end->room)
    return false;
  end->room--;
  g_assert_cmpuint (vm_net_packet_copy (packet, 0, bytes, packet->len), ==, packet->len);
  g_ptr_array_add (end->got, g_bytes_new (bytes, packet->len));
  end->last = packet->header;
  if (end->answers)
    {
      end->answers = false;
      vm_net_send_bytes (&end->port, "answer", 6, NULL);
    }
  return true;
}

static void
end_sent (void *opaque)
{
  ((End *) opaque)->sent++;
}

static void
end_link (void *opaque, bool up)
{
  ((End *) opaque)->links++;
  ((End *) opaque)->up = up;
}

static void
end_drained (void *opaque)
{
  ((End *) opaque)->drained++;
}

static const VmNetPortOps end_ops = { .receive = end_receive, .link_changed = end_link, .drained = end_drained };

static void
end_init (End *end)
{
  *end = (End){ .got = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref), .room = UINT_MAX };
  vm_net_port_init (&end->port, &end_ops, end);
}

static void
end_clear (End *end)
{
  vm_net_port_close (&end->port);
  g_ptr_array_unref (end->got);
}

static void
assert_got (const End *end, guint i, const char *text)
{
  gsize len;
  const char *bytes;

  g_assert_cmpuint (i, <, end->got->len);
  bytes = g_bytes_get_data (g_ptr_array_index (end->got, i), &len);
  g_assert_cmpmem (bytes, len, text, strlen (text));
}

static void
test_order (void)
{
  End a, b;
  char stay[] = "third";

  end_init (&a);
  end_init (&b);
  g_assert_true (vm_net_send_bytes (&a.port, "nobody", 6, NULL)); /* without a peer it is gone */
  vm_net_port_connect (&a.port, &b.port);
  g_assert_true (a.up && b.up);
  g_assert_true (vm_net_send_bytes (&a.port, "first", 5, end_sent));
  b.room = 0;
  g_assert_true (vm_net_send_bytes (&a.port, "second", 6, NULL)); /* a copy waits */
  g_assert_false (vm_net_can_send (&a.port));
  g_assert_false (vm_net_send_bytes (&a.port, stay, 5, end_sent)); /* this one stays where it is */
  stay[0] = 'T';
  g_assert_cmpuint (b.got->len, ==, 1);
  b.room = 1;
  vm_net_port_ready (&b.port);
  g_assert_cmpuint (b.got->len, ==, 2);
  g_assert_cmpuint (a.sent, ==, 0);
  b.room = 5;
  vm_net_port_ready (&b.port);
  assert_got (&b, 0, "first");
  assert_got (&b, 1, "second");
  assert_got (&b, 2, "Third");
  g_assert_cmpuint (a.sent, ==, 1);
  g_assert_cmpuint (a.drained, ==, 1);
  g_assert_true (vm_net_can_send (&a.port));
  end_clear (&a);
  g_assert_false (b.up);
  end_clear (&b);
}

/* What a card does when it is reset, and when it goes. */
static void
test_give_up (void)
{
  End a, b;

  end_init (&a);
  end_init (&b);
  vm_net_port_connect (&a.port, &b.port);
  b.room = 0;
  g_assert_false (vm_net_send_bytes (&a.port, "x", 1, end_sent));
  vm_net_port_forget (&a.port);
  b.room = 9;
  vm_net_port_ready (&b.port);
  g_assert_cmpuint (b.got->len, ==, 0);
  g_assert_cmpuint (a.sent, ==, 0);
  b.room = 0;
  g_assert_false (vm_net_send_bytes (&a.port, "x", 1, end_sent));
  end_clear (&b); /* the other side goes: the sender may go on */
  g_assert_cmpuint (a.sent, ==, 1);
  end_clear (&a);
}

static void
test_bounds (void)
{
  g_autofree uint8_t *frame = g_malloc0 (VM_NET_FRAME_MAX + 1);
  End a, b;

  end_init (&a);
  end_init (&b);
  vm_net_port_connect (&a.port, &b.port);
  g_assert_true (vm_net_send_bytes (&a.port, frame, VM_NET_FRAME_MAX + 1, end_sent));
  g_assert_cmpuint (b.got->len, ==, 0);
  b.room = 0;
  for (int i = 0; i < 10000; i++)
    g_assert_true (vm_net_send_bytes (&a.port, frame, 1500, NULL));
  g_assert_cmpuint (b.port.held_bytes, <=, 4 << 20);
  g_assert_cmpuint (b.port.dropped, >, 7000);
  b.room = UINT_MAX;
  vm_net_port_ready (&b.port);
  g_assert_cmpuint (b.got->len + b.port.dropped, ==, 10000);
  g_assert_cmpuint (b.port.held_bytes, ==, 0);
  /* An answer while the port receives comes after that. */
  a.answers = true;
  b.answers = true;
  g_ptr_array_set_size (b.got, 0);
  vm_net_send_bytes (&a.port, "ping", 4, NULL);
  assert_got (&a, 0, "answer");
  assert_got (&b, 0, "ping");
  assert_got (&b, 1, "answer");
  end_clear (&a);
  end_clear (&b);
}

/* --- segments -------------------------------------------------------------------------------------------------- */

/* The plain way of RFC 1071. */
static unsigned
sum_of (const uint8_t *p, size_t len, uint32_t sum)
{
  for (size_t i = 0; i < len; i += 2)
    sum += p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

typedef struct Kind
{
  bool v6, udp, tagged;
  unsigned options; /* bytes of them in TCP */
} Kind;

static size_t
make_frame (uint8_t *f, const Kind *k, size_t payload)
{
  size_t l2 = 14, l3 = k->v6 ? 40 : 20, l4 = k->udp ? 8 : 20 + k->options, total = l3 + l4 + payload;

  memset (f, 0, 128);
  memcpy (f, "\x52\x54\0\x12\x34\x56\x52\x55\x0a\0\x02\x02", 12);
  if (k->tagged)
    {
      vm_store_be16 (f + 12, 0x8100);
      vm_store_be16 (f + 14, 7);
      l2 = 18;
    }
  vm_store_be16 (f + l2 - 2, k->v6 ? 0x86dd : 0x0800);
  uint8_t *ip = f + l2, *t = ip + l3;
  if (k->v6)
    {
      ip[0] = 0x60;
      vm_store_be16 (ip + 4, total - 40);
      ip[6] = k->udp ? 17 : 6;
      for (int i = 8; i < 40; i++)
        ip[i] = i * 7;
    }
  else
    {
      ip[0] = 0x45;
      vm_store_be16 (ip + 2, total);
      vm_store_be16 (ip + 4, 1000);
      ip[8] = 64;
      ip[9] = k->udp ? 17 : 6;
      for (int i = 12; i < 20; i++)
        ip[i] = i * 7;
    }
  vm_store_be16 (t, 1234);
  vm_store_be16 (t + 2, 80);
  if (k->udp)
    vm_store_be16 (t + 4, 8 + payload);
  else
    {
      memcpy (t + 4, "\x10\x20\x30\x40", 4);
      t[12] = (20 + k->options) / 4 << 4;
      t[13] = 0x19 | 0x80; /* ACK, PSH, FIN, CWR */
    }
  for (size_t i = 0; i < payload; i++)
    t[l4 + i] = g_test_rand_int ();
  return l2 + total;
}

static void
check_frame (const uint8_t *f, size_t len, const Kind *k)
{
  size_t l2 = k->tagged ? 18 : 14, l3 = k->v6 ? 40 : 20;
  const uint8_t *ip = f + l2, *t = ip + l3;
  size_t rest = len - l2 - l3;
  uint32_t pseudo = (k->udp ? 17 : 6) + rest;

  if (!k->v6)
    {
      g_assert_cmpuint (vm_load_be16 (ip + 2), ==, l3 + rest);
      g_assert_cmphex (sum_of (ip, 20, 0), ==, 0xffff);
    }
  else
    g_assert_cmpuint (vm_load_be16 (ip + 4), ==, rest);
  pseudo = sum_of (ip + (k->v6 ? 8 : 12), k->v6 ? 32 : 8, pseudo);
  g_assert_cmphex (sum_of (t, rest, pseudo), ==, 0xffff);
}

/* The same bytes in pieces. */
static unsigned
cut (uint8_t *bytes, size_t len, struct iovec *iov, unsigned max)
{
  unsigned n = 0;

  while (len)
    {
      size_t part = n + 1 == max ? len : MIN (len, (size_t) g_test_rand_int_range (1, 3000));
      iov[n++] = (struct iovec){ bytes, part };
      bytes += part;
      len -= part;
    }
  return n;
}

static void
test_segments (void)
{
  g_autofree uint8_t *frame = g_malloc (VM_NET_FRAME_MAX);
  End a, b;

  end_init (&a);
  end_init (&b);
  vm_net_port_connect (&a.port, &b.port);
  for (int round = 0; round < 400; round++)
    {
      Kind k = { .v6 = round & 1, .tagged = round & 2, .udp = (round & 12) == 12, .options = (round & 16) ? 12 : 0 };
      size_t head = (k.tagged ? 18 : 14) + (k.v6 ? 40 : 20) + (k.udp ? 8 : 20 + k.options);
      size_t payload = g_test_rand_int_range (1, 60000), mss = g_test_rand_int_range (100, 1460), len, at = 0;
      struct iovec iov[64];
      VmNetPacket packet = { .iov = iov };

      len = make_frame (frame, &k, payload);
      packet.len = len;
      packet.n = cut (frame, len, iov, 64);
      packet.header = (VmNetHeader){
        .flags = VM_NET_NEEDS_CSUM, .gso_size = mss, .csum_start = head - (k.udp ? 8 : 20 + k.options),
        .gso_type = k.udp ? VM_NET_GSO_UDP_L4 : k.v6 ? VM_NET_GSO_TCPV6 : VM_NET_GSO_TCPV4,
        .csum_offset = k.udp ? 6 : 16,
      };
      g_ptr_array_set_size (b.got, 0);
      b.room = g_test_rand_int_range (0, 20);
      bool gone = vm_net_send (&a.port, &packet, end_sent);
      while (!gone && b.port.held)
        {
          b.room = g_test_rand_int_range (0, 20);
          vm_net_port_ready (&b.port);
        }
      g_assert_cmpuint (b.got->len, ==, (payload + mss - 1) / mss);
      for (guint i = 0; i < b.got->len; i++)
        {
          gsize n;
          const uint8_t *f = g_bytes_get_data (g_ptr_array_index (b.got, i), &n);
          check_frame (f, n, &k);
          g_assert_cmpmem (f + head, n - head, frame + head + at, MIN (mss, payload - at));
          const uint8_t *tcp = f + packet.header.csum_start;
          if (!k.udp)
            {
              bool last = i + 1 == b.got->len;
              g_assert_cmphex (vm_load_be16 (tcp + 4) << 16 | vm_load_be16 (tcp + 6), ==, 0x10203040 + at);
              g_assert_cmphex (tcp[13], ==, 0x10 | (last ? 9 : 0) | (i ? 0 : 0x80));
            }
          if (!k.v6)
            g_assert_cmpuint (vm_load_be16 (f + (k.tagged ? 18 : 14) + 4), ==, 1000 + i);
          at += n - head;
        }
      /* Who takes them as they are gets one. */
      vm_net_port_set_takes (&b.port, VM_NET_TAKES_ALL);
      g_ptr_array_set_size (b.got, 0);
      b.room = 1;
      g_assert_true (vm_net_send (&a.port, &packet, end_sent));
      g_assert_cmpuint (b.got->len, ==, 1);
      g_assert_cmpuint (b.last.gso_size, ==, mss);
      vm_net_port_set_takes (&b.port, 0);
    }
  end_clear (&a);
  end_clear (&b);
}

/* A datagram cut by IP: fragments fit together, and the sum is that of the whole. */
static void
test_fragments (void)
{
  g_autofree uint8_t *frame = g_malloc (VM_NET_FRAME_MAX), *whole = g_malloc0 (VM_NET_FRAME_MAX);
  const Kind k = { .udp = true };
  End a, b;

  end_init (&a);
  end_init (&b);
  vm_net_port_connect (&a.port, &b.port);
  for (int round = 0; round < 50; round++)
    {
      size_t payload = g_test_rand_int_range (2000, 60000), len = make_frame (frame, &k, payload), covered = 0;
      struct iovec iov[64];
      VmNetPacket packet = { .iov = iov, .len = len };

      packet.n = cut (frame, len, iov, 64);
      packet.header = (VmNetHeader){ VM_NET_NEEDS_CSUM, VM_NET_GSO_UDP, 42, 1480, 34, 6 };
      g_ptr_array_set_size (b.got, 0);
      g_assert_true (vm_net_send (&a.port, &packet, NULL));
      for (guint i = 0; i < b.got->len; i++)
        {
          gsize n;
          const uint8_t *f = g_bytes_get_data (g_ptr_array_index (b.got, i), &n);
          size_t at = (vm_load_be16 (f + 20) & 0x1fff) * 8;
          g_assert_cmphex (sum_of (f + 14, 20, 0), ==, 0xffff);
          g_assert_cmpuint (at, ==, covered);
          g_assert_cmpint (!!(vm_load_be16 (f + 20) & 0x2000), ==, i + 1 < b.got->len);
          g_assert_cmpuint (n, <=, 1514);
          memcpy (whole + 34 + at, f + 34, n - 34);
          covered += n - 34;
        }
      g_assert_cmpuint (covered, ==, payload + 8);
      memcpy (whole, frame, 34);
      ((uint8_t *) whole)[24] = ((uint8_t *) whole)[25] = 0;
      vm_store_be16 (whole + 24, ~sum_of (whole + 14, 20, 0));
      check_frame (whole, len, &k);
      g_assert_cmpmem (whole + 42, payload, frame + 42, payload);
    }
  end_clear (&a);
  end_clear (&b);
}

/* Headers that make no sense: whatever comes out fits the bounds. */
static void
test_nonsense (void)
{
  g_autofree uint8_t *frame = g_malloc (VM_NET_FRAME_MAX);
  static const uint8_t types[] = { 0, 1, 3, 4, 5, 0x81, 0x84, 99 };
  End a, b;

  end_init (&a);
  end_init (&b);
  vm_net_port_connect (&a.port, &b.port);
  for (int round = 0; round < 20000; round++)
    {
      Kind k = { .v6 = round & 1, .tagged = round & 2, .udp = round & 4 };
      size_t len = make_frame (frame, &k, g_test_rand_int_range (1, 3000));
      struct iovec iov[8];
      VmNetPacket packet = { .iov = iov, .len = len };

      for (int i = g_test_rand_int_range (0, 6); i > 0; i--)
        frame[g_test_rand_int_range (0, 70)] = g_test_rand_int ();
      if (round % 5 == 0)
        packet.len = g_test_rand_int_range (1, 80);
      packet.n = cut (frame, packet.len, iov, 8);
      packet.header = (VmNetHeader){ g_test_rand_int_range (0, 4), types[g_test_rand_int_range (0, 8)],
                                     g_test_rand_int (), g_test_rand_int_range (0, round % 3 ? 2000 : 8),
                                     g_test_rand_int_range (0, 100), g_test_rand_int_range (0, 40) };
      g_ptr_array_set_size (b.got, 0);
      vm_net_port_set_takes (&b.port, round % 7 ? 0 : g_test_rand_int_range (0, VM_NET_TAKES_ALL));
      g_assert_true (vm_net_send (&a.port, &packet, NULL));
      vm_net_finish (frame, packet.len, &packet.header);
    }
  end_clear (&a);
  end_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/order", test_order);
  g_test_add_func ("/net/give-up", test_give_up);
  g_test_add_func ("/net/bounds", test_bounds);
  g_test_add_func ("/net/segments", test_segments);
  g_test_add_func ("/net/fragments", test_fragments);
  g_test_add_func ("/net/nonsense", test_nonsense);
  return g_test_run ();
}
