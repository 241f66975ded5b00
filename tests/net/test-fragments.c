/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fragments of a guest before they reach libslirp: in any order, twice, overlapping, beyond the end, too many. */
#include "net/net-private.h"
#include "net/user.h"
#include "tests/char/rig.h"

#include <string.h>

#define LEN 9001

static bool
feed (VmNetUser *user, unsigned id, unsigned offset, const uint8_t *bytes, unsigned len, bool more, size_t *total)
{
  VmNetLayers l;

  memcpy (user->frame, "\x52\x55\x0a\0\2\2\x52\x54\0\x12\x34\x56\x08\0\x45\0", 16);
  memset (user->frame + 16, 0, 18);
  vm_store_be16 (user->frame + 16, 20 + len);
  vm_store_be16 (user->frame + 18, id);
  vm_store_be16 (user->frame + 20, offset / 8 | (more ? 0x2000 : 0));
  user->frame[23] = 17;
  memcpy (user->frame + 26, "\x0a\0\2\x0f\x0a\0\2\2", 8);
  memcpy (user->frame + 34, bytes, len);
  *total = 34 + len;
  struct iovec iov = { user->frame, *total };
  g_assert_true (vm_net_layers (&(VmNetPacket){ &iov, 1, *total, { 0 } }, &l));
  return vm_net_user_reassemble (user, user->frame, total, &l);
}

typedef struct Bench
{
  Fixture fixture;
  VmNet net;
  VmNetdev netdev;
  VmNetUser *user;
  uint8_t *data; /* 64 KiB of chance */
} Bench;

static VmNetUser *
begin (Bench *b)
{
  memset (b, 0, sizeof *b);
  set_up (&b->fixture, NULL);
  b->net.clocks = b->fixture.clocks;
  b->netdev.net = &b->net;
  b->user = g_new0 (VmNetUser, 1);
  b->user->netdev = &b->netdev;
  b->data = g_malloc (65536);
  for (unsigned i = 0; i < 65536; i++)
    b->data[i] = g_test_rand_int ();
  return b->user;
}

/* What never became whole has not been kept without bounds. */
static void
end (Bench *b)
{
  g_assert_cmpuint (b->user->fragments.length, <=, 16);
  vm_net_user_drop_fragments (b->user);
  g_free (b->user);
  g_free (b->data);
  tear_down (&b->fixture, NULL);
}

static void
test_fragments (void)
{
  Bench b;
  VmNetUser *user = begin (&b);
  const uint8_t *data = b.data;
  size_t total;

  g_assert_true (feed (user, 1, 0, data, 100, false, &total)); /* none */
  for (unsigned round = 0; round < 50; round++)
    {
      unsigned size = g_test_rand_int_range (1, 180) * 8, n = (LEN + size - 1) / size,
               at = g_test_rand_int_range (0, n);
      bool whole = false;
      for (unsigned i = 0; i < n; i++)
        {
          unsigned offset = (at + i) % n * size;
          g_assert_false (whole);
          whole = feed (user, 2, offset, data + offset, MIN (size, LEN - offset), offset + size < LEN, &total);
        }
      g_assert_true (whole);
      g_assert_cmpuint (total, ==, 34 + LEN);
      g_assert_cmpmem (user->frame + 34, LEN, data, LEN);
      struct iovec ip = { user->frame, 34 };
      g_assert_cmphex (vm_net_checksum (&ip, 1, 14, 20, 0), ==, 0);
      g_assert_cmpuint (user->frame[16] << 8 | user->frame[17], ==, 20 + LEN);
    }
  /* What overlaps, goes beyond the end or beyond all bounds is given up. */
  g_assert_false (feed (user, 3, 0, data, 80, true, &total));
  g_assert_false (feed (user, 3, 72, data, 80, false, &total));
  g_assert_false (feed (user, 3, 80, data, 80, false, &total));
  g_assert_false (feed (user, 4, 80, data, 80, false, &total));
  g_assert_false (feed (user, 4, 160, data, 80, true, &total));
  g_assert_false (feed (user, 5, 65528, data, 800, false, &total));
  g_assert_false (feed (user, 6, 0, data, 81, true, &total));
  g_assert_false (feed (user, 7, 800, data, 80, true, &total));
  g_assert_false (feed (user, 7, 8, data, 80, false, &total)); /* the end lies before what came */
  g_assert_false (feed (user, 7, 0, data, 8, true, &total));
  for (unsigned i = 0; i < 1000; i++)
    g_assert_false (feed (user, 100 + i, 8, data, 80, true, &total));
  end (&b);
}

/* --- IPv6 ---------------------------------------------------------------------------------------------------- */

/* With destination options of eight bytes before the fragment's header when OPTIONS. */
static bool
feed_six (VmNetUser *user, unsigned id, unsigned offset, const uint8_t *bytes, unsigned len, bool more, bool options,
          size_t *total)
{
  uint8_t *ip = user->frame + 14, *at = ip + 40;
  VmNetLayers l;

  memcpy (user->frame, "\x52\x55\x0a\0\2\2\x52\x54\0\x12\x34\x56\x86\xdd", 14);
  memset (ip, 0, 40);
  ip[0] = 0x60;
  vm_store_be16 (ip + 4, (options ? 8 : 0) + 8 + len);
  ip[6] = options ? 60 : 44;
  ip[7] = 64;
  memcpy (ip + 8, "\xfe\xc0\0\0\0\0\0\0\x50\x54\0\xff\xfe\x12\x34\x56", 16);
  memcpy (ip + 24, "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 16);
  if (options)
    {
      memcpy (at, (const uint8_t[]){ 44, 0, 1, 4, 0, 0, 0, 0 }, 8);
      at += 8;
    }
  at[0] = 17;
  at[1] = 0;
  vm_store_be16 (at + 2, offset | more);
  vm_store_be16 (at + 4, 0x1234);
  vm_store_be16 (at + 6, id);
  memcpy (at + 8, bytes, len);
  *total = at + 8 + len - user->frame;
  struct iovec iov = { user->frame, *total };
  g_assert_true (vm_net_layers (&(VmNetPacket){ &iov, 1, *total, { 0 } }, &l));
  return vm_net_user_reassemble (user, user->frame, total, &l);
}

static void
test_six (void)
{
  Bench b;
  VmNetUser *user = begin (&b);
  const uint8_t *data = b.data;
  size_t total;

  for (unsigned round = 0; round < 50; round++)
    {
      unsigned size = g_test_rand_int_range (1, 180) * 8, n = (LEN + size - 1) / size,
               at = g_test_rand_int_range (0, n), skip = round % 2 * 8;
      bool whole = false;
      for (unsigned i = 0; i < n; i++)
        {
          unsigned offset = (at + i) % n * size;
          g_assert_false (whole);
          whole = feed_six (user, 2, offset, data + offset, MIN (size, LEN - offset), offset + size < LEN, skip,
                            &total);
        }
      g_assert_true (whole || n == 1);
      g_assert_cmpuint (total, ==, 54 + skip + LEN);
      g_assert_cmpmem (user->frame + 54 + skip, LEN, data, LEN);
      g_assert_cmpuint (user->frame[18] << 8 | user->frame[19], ==, skip + LEN);
      g_assert_cmpuint (user->frame[skip ? 54 : 20], ==, 17); /* nothing more of fragments */
      g_assert_cmpuint (user->frame[20], ==, skip ? 60 : 17);
    }
  /* The longest there can be; one byte more is too many. */
  g_assert_false (feed_six (user, 3, 0, data, 64000, true, false, &total));
  g_assert_true (feed_six (user, 3, 64000, data + 64000, 1495, false, false, &total));
  g_assert_cmpuint (total, ==, 54 + 65495);
  g_assert_cmpmem (user->frame + 54, 65495, data, 65495);
  g_assert_false (feed_six (user, 4, 0, data, 64000, true, false, &total));
  g_assert_false (feed_six (user, 4, 64000, data + 64000, 1496, false, false, &total));
  g_assert_false (feed_six (user, 5, 0, data, 64000, true, true, &total));
  g_assert_false (feed_six (user, 5, 64000, data, 1488, false, true, &total));
  /* Those of one number and of both versions are of two datagrams. */
  g_assert_false (feed_six (user, 6, 0, data, 80, true, false, &total));
  g_assert_false (feed (user, 6, 80, data, 80, false, &total));
  g_assert_true (feed_six (user, 6, 80, data + 80, 81, false, false, &total));
  /* What overlaps is given up. */
  g_assert_false (feed_six (user, 7, 0, data, 80, true, false, &total));
  g_assert_false (feed_six (user, 7, 72, data, 80, false, false, &total));
  g_assert_false (feed_six (user, 7, 80, data, 80, false, false, &total));
  for (unsigned i = 0; i < 1000; i++)
    g_assert_false (feed_six (user, 100 + i, 8, data, 80, true, false, &total));
  end (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/user/fragments", test_fragments);
  g_test_add_func ("/user/fragments/six", test_six);
  return g_test_run ();
}
