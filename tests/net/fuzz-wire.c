/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes over wires: FUZZ_WIRE says which. "stream": a peer that sends anything, in any pieces, to a guest that
 * takes frames now and then, and the other way; what arrives is what a plain reading of the bytes says. "l2tpv3": data
 * messages that may be none. */
#include "tests/fuzz/fuzz.h"
#include "tests/net/bench.h"

#include "net/l2tpv3.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- streams ----------------------------------------------------------------------------------------------------- */

typedef struct Wire
{
  Bench bench;
  VmNetdev *netdev;
  Guest guest;
  int fd;           /* the peer's; -1: it has gone */
  GByteArray *to;   /* all the peer has sent */
  GByteArray *due;  /* what the guest has sent, framed */
  GByteArray *from; /* what of that has come */
  uint8_t *frame;   /* that waits */
  unsigned kept;
  uint8_t count;
} Wire;

static void
send_some (Wire *w, Input *in)
{
  /* Mostly with a length that means something. */
  uint8_t head[4], how = (uint8_t) take (in, 1) % 32;
  uint32_t len = take (in, 2) % 3000, told = how == 1 ? take (in, 4) : len;
  ssize_t n;

  len = MIN (len, (uint32_t) in->left);
  if (how > 1)
    told = len;
  if (how)
    {
      vm_store_be32 (head, told);
      if (send (w->fd, head, 4, MSG_DONTWAIT | MSG_NOSIGNAL) != 4)
        return;
      g_byte_array_append (w->to, head, 4);
    }
  n = send (w->fd, in->data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n > 0)
    g_byte_array_append (w->to, in->data, n);
  in->data += len;
  in->left -= len;
}

static void
guest_sends (Wire *w, Input *in)
{
  static const size_t sizes[] = { 1, 60, 1514, 9000, 65000 };
  size_t len = sizes[take (in, 1) % G_N_ELEMENTS (sizes)];
  uint8_t head[4];

  if (w->guest.sent != w->kept)
    return;
  g_free (w->frame);
  w->frame = g_malloc (len);
  memset (w->frame, w->count++, len);
  vm_store_be32 (head, (uint32_t) len);
  g_byte_array_append (w->due, head, 4);
  g_byte_array_append (w->due, w->frame, len);
  w->kept += !guest_send (&w->guest, w->frame, len);
}

static void
peer_reads (Wire *w, size_t most)
{
  uint8_t buffer[70000];
  ssize_t n = recv (w->fd, buffer, MIN (most, sizeof buffer), MSG_DONTWAIT);

  if (n > 0)
    g_byte_array_append (w->from, buffer, n);
}

/* Whether the guest got what the bytes of the peer say, frame by frame. */
static void
check (Wire *w)
{
  guint at = 0, n = 0;

  while (w->to->len - at >= 4)
    {
      uint32_t len = vm_load_be32 (w->to->data + at);
      if (len > VM_NET_FRAME_MAX || w->to->len - at - 4 < len)
        break;
      if (len)
        {
          gsize size;
          g_assert_cmpuint (n, <, w->guest.got->len);
          const uint8_t *got = g_bytes_get_data (g_ptr_array_index (w->guest.got, n++), &size);
          g_assert_cmpmem (got, size, w->to->data + at + 4, len);
        }
      at += 4 + len;
    }
  g_assert_cmpuint (n, ==, w->guest.got->len);
  g_assert_cmpuint (w->from->len, <=, w->due->len);
  g_assert_true (!w->from->len || memcmp (w->from->data, w->due->data, w->from->len) == 0);
}

static void
fuzz_stream (Input *in)
{
  Wire w = { .to = g_byte_array_new (), .due = g_byte_array_new (), .from = g_byte_array_new () };
  bool closed = false;
  int fds[2];

  bench_init (&w.bench);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  w.fd = fds[0];
  w.netdev = bench_add (&w.bench, "stream,id=n,addr.type=fd,addr.str=%d", fds[1]);
  guest_init (&w.guest, w.netdev);
  while (in->left && !closed)
    switch (take (in, 1) % 8)
      {
      case 0:
      case 1:
      case 2:
        send_some (&w, in);
        break;
      case 3:
        guest_ready (&w.guest, take (in, 1) % 8);
        break;
      case 4:
        guest_sends (&w, in);
        break;
      case 5:
        peer_reads (&w, 1 + (size_t) take (in, 2) * 2);
        break;
      case 6:
        closed = take (in, 1) == 0xaa;
        break;
      default:
        bench_turn (&w.bench);
        break;
      }
  guest_ready (&w.guest, UINT_MAX);
  for (int i = 0, idle = 0; idle < 4 && i < 3000; i++)
    {
      guint before = w.guest.got->len + w.from->len;
      peer_reads (&w, 65536);
      bench_turn (&w.bench);
      idle = before == w.guest.got->len + w.from->len ? idle + 1 : 0;
    }
  check (&w);
  /* It goes with or without the peer having gone before. */
  if (closed)
    close (w.fd);
  for (int i = 0; i < 4; i++)
    bench_turn (&w.bench);
  bench_drop (&w.bench, w.netdev);
  g_assert_cmpuint (w.guest.sent, ==, w.kept);
  guest_clear (&w.guest);
  if (!closed)
    close (w.fd);
  bench_clear (&w.bench);
  g_byte_array_unref (w.to);
  g_byte_array_unref (w.due);
  g_byte_array_unref (w.from);
  g_free (w.frame);
}

/* --- L2TPv3 ---------------------------------------------------------------------------------------------------------
 */

static void
fuzz_l2tp (Input *in)
{
  uint32_t how = take (in, 1);
  VmNetL2tp s = { .udp = how & 1,
                  .ip4_header = (how & 3) == 2,
                  .has_cookie = how & 4,
                  .wide_cookie = how & 8,
                  .counter = how & 16,
                  .pinned = how & 32,
                  .rx_session = 0x01020304,
                  .rx_cookie = 0x0506070801020304,
                  .tx_session = 0x01020304,
                  .tx_cookie = 0x0506070801020304,
                  .offset = how & 64 ? take (in, 1) : 0 };
  uint8_t head[VM_NET_WRAPPING_MAX + 1];
  size_t size = vm_net_l2tp_size (&s);

  while (in->left)
    {
      /* From our own hand, with some of it changed. */
      size_t extra = take (in, 1) % 40, ip = s.ip4_header ? 20 : 0, len = ip + size + extra;
      uint8_t *message = g_malloc0 (len);
      if (ip)
        message[0] = 0x45;
      vm_net_l2tp_put (&s, message + ip);
      for (uint32_t changes = take (in, 1) % 8; changes; changes--)
        message[take (in, 1) % len] = (uint8_t) take (in, 1);
      size_t cut = take (in, 1) & 1 ? take (in, 1) % (len + 1) : len;
      message = g_realloc (message, MAX (cut, 1));
      ssize_t start = vm_net_l2tp_check (&s, message, cut);
      g_assert_true (start == -1 || (start > 0 && (size_t) start < cut));
      if (start > 0)
        {
          const uint8_t *session = message + (start - (ssize_t) size) + (s.udp ? 4 : 0);
          g_assert_cmphex (vm_load_be32 (session), ==, s.rx_session);
        }
      g_free (message);
    }
  head[size] = 0xa5;
  vm_net_l2tp_put (&s, head);
  g_assert_cmphex (head[size], ==, 0xa5);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Input in = { data, size };

  if (!strcmp (FUZZ_WIRE, "stream"))
    fuzz_stream (&in);
  else
    fuzz_l2tp (&in);
}
