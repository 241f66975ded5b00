/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The packets of a guest into a user-mode network that leads nowhere (restrict=on): ARP, DHCP, TFTP, DNS, TCP and what
 * only looks like it. */
#include "engine/machine/machine.h"
#include "engine/options/keyvals.h"
#include "net/net-private.h"
#include "tests/char/rig.h"
#include "tests/fuzz/fuzz.h"

static bool
guest_receive (void *opaque, const VmNetPacket *packet)
{
  unsigned *n = opaque;
  uint8_t bytes[64];

  vm_net_packet_copy (packet, 0, bytes, sizeof bytes);
  return ++*n % 64 != 0;
}

static const VmNetPortOps guest_ops = { .receive = guest_receive };

void
fuzz_one (const uint8_t *data, size_t size)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  VmMachine machine = { 0 };
  VmNetPort guest;
  unsigned got = 0;
  Fixture f = { 0 };

  set_up (&f, NULL);
  machine.env.loop = f.loop;
  machine.env.clocks = f.clocks;
  machine.env.root = f.root;
  g_assert_true (vm_keyvals_parse (list, "type=user,id=n,restrict=on,tftp=/nowhere,dnssearch=a.example,hostname=h",
                                   NULL, 0, NULL));
  VmNetdev *netdev = vm_netdev_new_from_list (&machine, list, NULL, NULL);
  g_assert_nonnull (netdev);
  vm_net_port_init (&guest, &guest_ops, &got);
  vm_net_port_set_takes (&guest, size ? data[0] & VM_NET_TAKES_ALL : 0);
  vm_net_port_connect (&guest, g_ptr_array_index (netdev->ports, 0));
  for (size_t at = 1; at + 2 < size;)
    {
      size_t len = MIN ((size_t) (data[at] << 8 | data[at + 1]) % 2000, size - at - 2);
      struct iovec iov = { (void *) (data + at + 2), len };
      VmNetPacket packet = { &iov, 1, len, { 0 } };
      at += 2 + len;
      if (len > 60 && data[at - 1] & 1)
        packet.header = (VmNetHeader){ data[at - 2] & 3, data[at - 3] & 7, data[at - 4],
                                       data[at - 5] * 4, data[at - 6],     data[at - 7] & 31 };
      vm_net_send (&guest, &packet, NULL);
      vm_net_port_ready (&guest);
      if (len % 16 == 3)
        spin (&f);
    }
  vm_net_port_close (&guest);
  vm_netdev_remove (netdev);
  spin (&f); /* what it had posted */
  vm_object_remove_child (vm_object_child (f.root, "netdevs"));
  tear_down (&f, NULL);
}

/* A frame with sums as they should be, most of the time. */
static size_t
make_ip (GRand *rand, uint8_t *f, uint8_t protocol, const uint8_t *payload, size_t len)
{
  static const uint8_t targets[][4] = { { 10, 0, 2, 2 }, { 10, 0, 2, 3 }, { 255, 255, 255, 255 }, { 127, 0, 0, 1 } };
  struct iovec iov = { f, 14 + 20 + len };

  memcpy (f, "\x52\x55\x0a\0\2\2\x52\x54\0\x12\x34\x56\x08\0\x45\0", 16);
  vm_store_be16 (f + 16, 20 + len);
  vm_store_be16 (f + 18, g_rand_int (rand) & 3);
  vm_store_be16 (f + 20, g_rand_int_range (rand, 0, 5) ? 0 : g_rand_int (rand) & 0x3fff);
  f[22] = 64;
  f[23] = protocol;
  vm_store_be16 (f + 24, 0);
  memcpy (f + 26, "\x0a\0\2\x0f", 4);
  memcpy (f + 30, targets[g_rand_int_range (rand, 0, 4)], 4);
  vm_store_be16 (f + 24, vm_net_checksum (&iov, 1, 14, 20, 0));
  memcpy (f + 34, payload, len);
  return 34 + len;
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  const uint8_t takes = g_rand_int (rand);

  g_byte_array_append (input, &takes, 1);
  for (int i = g_rand_int_range (rand, 1, 30); i > 0; i--)
    {
      uint8_t body[600] = { 0 }, frame[700] = { 0 };
      size_t len = g_rand_int_range (rand, 8, 400);
      static const uint16_t ports[] = { 67, 69, 53, 80, 7 };

      for (int j = 0; j < 40; j++)
        body[g_rand_int_range (rand, 0, (int) len)] = g_rand_int (rand);
      vm_store_be16 (body, 1000 + (g_rand_int (rand) & 3));
      vm_store_be16 (body + 2, ports[g_rand_int_range (rand, 0, 5)]);
      switch (g_rand_int_range (rand, 0, 6))
        {
        case 0:
          len = 42;
          memcpy (frame, "\xff\xff\xff\xff\xff\xff\x52\x54\0\x12\x34\x56\x08\x06\0\1\x08\0\6\4\0", 21);
          frame[21] = g_rand_int_range (rand, 0, 5);
          memcpy (frame + 28, "\x0a\0\2\x0f", 4);
          memcpy (frame + 38, "\x0a\0\2\x03", 4);
          break;
        case 1: /* DHCP */
          vm_store_be16 (body, 68);
          vm_store_be16 (body + 2, 67);
          vm_store_be16 (body + 4, len);
          vm_store_be16 (body + 6, 0);
          body[8] = 1;
          if (len > 260)
            memcpy (body + 8 + 236, "\x63\x82\x53\x63\x35\1\1", 7);
          len = make_ip (rand, frame, 17, body, len);
          break;
        case 2: /* TFTP and others over UDP */
          vm_store_be16 (body + 4, len);
          vm_store_be16 (body + 6, 0);
          vm_store_be16 (body + 8, g_rand_int_range (rand, 0, 6));
          len = make_ip (rand, frame, 17, body, len);
          break;
        case 3:
        case 4:
          body[12] = g_rand_int_range (rand, 4, 9) << 4;
          body[13] = 1 << g_rand_int_range (rand, 0, 5) | 1 << g_rand_int_range (rand, 0, 5);
          len = make_ip (rand, frame, 6, body, MAX (len, 40));
          break;
        default: /* IPv6: neighbours and routers */
          memcpy (frame, "\x33\x33\0\0\0\2\x52\x54\0\x12\x34\x56\x86\xdd\x60", 15);
          vm_store_be16 (frame + 18, len);
          frame[20] = g_rand_boolean (rand) ? 58 : g_rand_boolean (rand) ? 17 : g_rand_int (rand);
          frame[21] = 255;
          frame[22] = 0xfe;
          frame[23] = 0x80;
          frame[37] = 9;
          memcpy (frame + 38, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 16);
          memcpy (frame + 54, body, len);
          frame[54] = 133 + g_rand_int_range (rand, 0, 5);
          len += 54;
          break;
        }
      if (!g_rand_int_range (rand, 0, 4))
        frame[g_rand_int_range (rand, 0, (int) len)] = g_rand_int (rand);
      uint8_t head[2];
      vm_store_be16 (head, len);
      g_byte_array_append (input, head, 2);
      g_byte_array_append (input, frame, len);
    }
}
