/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filters of a back end: order and direction, streams of packets to and from sockets, files that tcpdump reads, the
 * sequence numbers of COLO's secondary. */
#include "net/filter.h"
#include "net/net-private.h"
#include "tests/char/rig.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern const VmType vm_net_filter_mirror_type, vm_net_filter_redirector_type, vm_net_filter_rewriter_type,
    vm_net_filter_dump_type, vm_net_filter_buffer_type;

/* --- a back end between a card and the world ------------------------------------------------------------------ */

typedef struct End
{
  VmNetPort *port;
  GPtrArray *got; /* GBytes * */
  VmNetHeader last;
} End;

typedef struct Bench
{
  Fixture f;
  VmNet *net;
  VmNetdev *netdev;
  VmNetPort card;
  End host, guest;
} Bench;

static bool
end_receive (void *opaque, const VmNetPacket *packet)
{
  End *end = opaque;
  uint8_t *bytes = g_malloc (packet->len);

  vm_net_packet_copy (packet, 0, bytes, packet->len);
  g_ptr_array_add (end->got, g_bytes_new_take (bytes, packet->len));
  end->last = packet->header;
  return true;
}

static const VmNetPortOps end_ops = { .receive = end_receive };
static const VmNetdevClass bench_class = { .name = "bench" };

static void
bench_init (Bench *b)
{
  memset (b, 0, sizeof *b);
  set_up (&b->f, NULL);
  b->net = (VmNet *) vm_object_new (&vm_net_type);
  b->net->loop = b->f.loop;
  b->net->clocks = b->f.clocks;
  b->net->root = b->f.root;
  vm_object_add_child (b->f.root, "netdevs", &b->net->parent);
  b->netdev = (VmNetdev *) vm_object_new (&vm_netdev_type);
  b->netdev->net = b->net;
  b->netdev->klass = &bench_class;
  vm_object_set_id (&b->netdev->parent, "n");
  vm_object_add_child (&b->net->parent, "n", &b->netdev->parent);
  b->host.got = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  b->guest.got = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  b->host.port = vm_netdev_add_port (b->netdev, &end_ops, &b->host);
  b->guest.port = &b->card;
  vm_net_port_init (&b->card, &end_ops, &b->guest);
  vm_net_port_connect (b->host.port, &b->card);
}

static void
bench_clear (Bench *b)
{
  vm_net_port_close (&b->card);
  vm_object_remove_child (&b->netdev->parent);
  vm_object_unref (&b->netdev->parent);
  vm_object_remove_child (&b->net->parent);
  vm_object_unref (&b->net->parent);
  g_ptr_array_unref (b->host.got);
  g_ptr_array_unref (b->guest.got);
  tear_down (&b->f, NULL);
}

/* PROPS: names and values, NULL at the end. */
static VmNetFilter *
try_filter (Bench *b, const VmType *type, const char *id, const char *const *props, GError **error)
{
  VmNetFilter *filter = (VmNetFilter *) vm_object_new (type);

  vm_object_set_id (&filter->parent, id);
  vm_object_add_child (b->f.root, id, &filter->parent);
  vm_object_unref (&filter->parent);
  g_assert_true (vm_object_set (&filter->parent, "netdev", "n", error));
  for (; *props; props += 2)
    g_assert_true (vm_object_set (&filter->parent, props[0], props[1], error));
  if (vm_net_filter_complete (&filter->parent, NULL, error))
    return filter;
  vm_object_remove_child (&filter->parent);
  return NULL;
}

#define FILTER(b, kind, id, ...)                                                                                       \
  add_filter (b, &vm_net_filter_##kind##_type, id, (const char *const[]){ __VA_ARGS__, NULL })

static VmNetFilter *
add_filter (Bench *b, const VmType *type, const char *id, const char *const *props)
{
  g_autoptr (GError) error = NULL;
  VmNetFilter *filter = try_filter (b, type, id, props, &error);

  g_assert_no_error (error);
  return filter;
}

static int
join (Bench *b, const char *name)
{
  struct sockaddr_un addr = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_snprintf (addr.sun_path, sizeof addr.sun_path, "%s/%s", b->f.dir, name);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &addr, sizeof addr), ==, 0);
  for (int i = 0; i < 20; i++)
    spin (&b->f);
  return fd;
}

static int
chardev (Bench *b, const char *id)
{
  g_autofree char *text = g_strdup_printf ("socket,id=%s,path=%%/%s,server=on,wait=off", id, id);

  make (&b->f, text);
  return join (b, id);
}

static void
send_text (VmNetPort *from, const char *text)
{
  char frame[64] = { 0 };

  g_strlcpy (frame + 14, text, 40);
  vm_net_send_bytes (from, frame, 60, NULL);
}

static void
assert_text (const End *end, guint i, const char *text)
{
  g_assert_cmpuint (i, <, end->got->len);
  g_assert_cmpstr ((const char *) g_bytes_get_data (g_ptr_array_index (end->got, i), NULL) + 14, ==, text);
}

/* What a socket has got, with the loop's help. */
static GByteArray *
hear (Bench *b, int fd, size_t want)
{
  GByteArray *got = g_byte_array_new ();
  uint8_t part[4096];

  for (int i = 0; i < 2000 && got->len < want; i++)
    {
      struct pollfd p = { fd, POLLIN, 0 };
      spin (&b->f);
      if (poll (&p, 1, 1) > 0)
        {
          ssize_t n = read (fd, part, sizeof part);
          g_assert_cmpint (n, >, 0);
          g_byte_array_append (got, part, n);
        }
    }
  g_assert_cmpuint (got->len, >=, want);
  return got;
}

static void
assert_silence (Bench *b, int fd)
{
  struct pollfd p = { fd, POLLIN, 0 };

  for (int i = 0; i < 5; i++)
    spin (&b->f);
  g_assert_cmpint (poll (&p, 1, 20), ==, 0);
}

static void
wait_for (Bench *b, const End *end, guint n)
{
  for (int i = 0; i < 2000 && end->got->len < n; i++)
    {
      spin (&b->f);
      g_usleep (500);
    }
  g_assert_cmpuint (end->got->len, ==, n);
}

/* --- streams ---------------------------------------------------------------------------------------------------- */

static void
test_mirror (void)
{
  Bench b;

  bench_init (&b);
  int fd = chardev (&b, "m");
  VmNetFilter *filter = FILTER (&b, mirror, "f", "outdev", "m", "queue", "rx");
  send_text (b.guest.port, "to the world");
  send_text (b.host.port, "to the guest");
  assert_text (&b.host, 0, "to the world");
  assert_text (&b.guest, 0, "to the guest");
  g_autoptr (GByteArray) got = hear (&b, fd, 64);
  g_assert_cmpuint (got->len, ==, 64);
  g_assert_cmpmem (got->data, 4, "\0\0\0\x3c", 4);
  g_assert_cmpstr ((char *) got->data + 4 + 14, ==, "to the world");
  /* Off: packets pass, nothing is told. */
  g_assert_true (vm_object_set (&filter->parent, "status", "off", NULL));
  send_text (b.guest.port, "quietly");
  assert_text (&b.host, 1, "quietly");
  assert_silence (&b, fd);
  g_assert_true (vm_object_set (&filter->parent, "status", "on", NULL));
  send_text (b.guest.port, "again");
  g_byte_array_unref (hear (&b, fd, 64));
  /* Nobody listens: nothing piles up, and the next one gets whole packets. */
  close (fd);
  for (int i = 0; i < 1000; i++)
    {
      send_text (b.guest.port, "lost");
      if (i % 100 == 0)
        spin (&b.f);
    }
  fd = join (&b, "m");
  send_text (b.guest.port, "found");
  g_autoptr (GByteArray) more = hear (&b, fd, 64);
  g_assert_cmpmem (more->data, 4, "\0\0\0\x3c", 4);
  g_assert_cmpuint (more->len % 64, ==, 0);
  g_assert_cmpstr ((char *) more->data + more->len - 60 + 14, ==, "found");
  close (fd);
  bench_clear (&b);
}

/* Long segments: in one piece with their header where the other end agreed to that, else as the wire would have them.
 */
static void
test_headers (void)
{
  Bench b;
  uint8_t frame[3054] = { 0 };

  memcpy (frame, "\x52\x54\0\x12\x34\x56\x52\x55\x0a\0\x02\x02\x08\0\x45\0\x0b\xe0\0\0\0\0\x40\6", 24);
  memcpy (frame + 26, "\x0a\0\x02\x0f\x0a\0\x02\x02\x04\xd2\0\x50", 12);
  frame[46] = 0x50;
  struct iovec iov = { frame, 54 + 2988 };
  VmNetPacket packet = { &iov, 1, iov.iov_len, { VM_NET_NEEDS_CSUM, VM_NET_GSO_TCPV4, 54, 1000, 34, 16 } };
  frame[16] = (iov.iov_len - 14) >> 8;
  frame[17] = (iov.iov_len - 14) & 255;

  bench_init (&b);
  vm_net_port_set_takes (b.host.port, VM_NET_TAKES_ALL);
  int plain = chardev (&b, "p"), whole = chardev (&b, "w");
  FILTER (&b, mirror, "f", "outdev", "p");
  FILTER (&b, mirror, "g", "outdev", "w", "vnet_hdr_support", "on");
  vm_net_send (b.guest.port, &packet, NULL);
  g_autoptr (GByteArray) one = hear (&b, whole, 8 + 12 + packet.len), many = hear (&b, plain, 3 * 58 + 2988);
  g_assert_cmpuint (one->len, ==, 20 + packet.len);
  g_assert_cmpmem (one->data + 4, 4, "\0\0\0\x0c", 4);
  g_assert_cmpmem (one->data + 8, 10, &packet.header, 10);
  g_assert_cmpuint (many->len, ==, 3 * 58 + 2988);
  g_assert_cmpmem (many->data, 4, "\0\0\x04\x1e", 4);
  /* And back in, as it was. */
  int in = chardev (&b, "i");
  FILTER (&b, redirector, "r", "indev", "i", "queue", "rx", "vnet_hdr_support", "on");
  g_assert_cmpint (write (in, one->data, one->len), ==, one->len);
  wait_for (&b, &b.host, 2);
  g_assert_cmpmem (&b.host.last, 10, &packet.header, 10);
  close (in);
  close (plain);
  close (whole);
  bench_clear (&b);
}

static void
test_redirect (void)
{
  Bench b;
  uint8_t packet[64] = { 0, 0, 0, 60 };

  bench_init (&b);
  int out = chardev (&b, "o"), in = chardev (&b, "i");
  FILTER (&b, redirector, "f", "outdev", "o", "queue", "tx");
  send_text (b.host.port, "taken away");
  g_assert_cmpuint (b.guest.got->len, ==, 0);
  g_autoptr (GByteArray) got = hear (&b, out, 64);
  g_assert_cmpstr ((char *) got->data + 18, ==, "taken away");
  /* What comes in goes on behind its own filter: towards the guest that is after f. */
  VmNetFilter *second = FILTER (&b, redirector, "g", "indev", "i", "queue", "tx");
  strcpy ((char *) packet + 18, "brought back");
  for (int i = 0; i < 64; i += 16)
    {
      g_assert_cmpint (write (in, packet + i, 16), ==, 16);
      for (int j = 0; j < 5; j++)
        spin (&b.f);
    }
  wait_for (&b, &b.guest, 1);
  assert_text (&b.guest, 0, "brought back");
  g_assert_cmpuint (b.host.got->len, ==, 0);
  /* Nonsense: nothing more of it, until somebody else comes. */
  g_assert_cmpint (write (in, "\xff\xff\xff\xff", 4), ==, 4);
  g_assert_cmpint (write (in, packet, 64), ==, 64);
  for (int i = 0; i < 20; i++)
    spin (&b.f);
  g_assert_cmpuint (b.guest.got->len, ==, 1);
  close (in);
  for (int i = 0; i < 20; i++)
    spin (&b.f);
  in = join (&b, "i");
  g_assert_cmpint (write (in, packet, 64), ==, 64);
  wait_for (&b, &b.guest, 2);
  vm_object_remove_child (&second->parent);
  /* The other direction goes to the host. */
  FILTER (&b, redirector, "h", "indev", "i", "queue", "rx");
  g_assert_cmpint (write (in, packet, 64), ==, 64);
  wait_for (&b, &b.host, 1);
  close (in);
  close (out);
  bench_clear (&b);
}

static void
test_places (void)
{
  Bench b;
  g_autoptr (GError) error = NULL;

  bench_init (&b);
  VmNetFilter *first = FILTER (&b, rewriter, "a", "position", "tail");
  VmNetFilter *second = FILTER (&b, rewriter, "b", "position", "head");
  VmNetFilter *third = FILTER (&b, rewriter, "c", "position", "id=b");
  VmNetFilter *fourth = FILTER (&b, rewriter, "d", "position", "id=a", "insert", "before");
  VmNetFilter *const want[] = { second, third, fourth, first };
  for (guint i = 0; i < 4; i++)
    g_assert_true (g_ptr_array_index (b.netdev->filters, i) == want[i]);
  static const struct
  {
    const VmType *type;
    const char *props[7], *why;
  } bad[] = {
    { &vm_net_filter_rewriter_type, { "position", "x" }, "Parameter 'position' expects 'head', 'tail' or 'id=<id>'" },
    { &vm_net_filter_rewriter_type, { "position", "id=x" }, "filter 'x' not found" },
    { &vm_net_filter_rewriter_type, { "insert", "x" }, "Parameter 'insert' does not accept value 'x'" },
    { &vm_net_filter_mirror_type, { "outdev", "x" }, "Device 'x' not found" },
    { &vm_net_filter_mirror_type, { NULL }, "filter mirror needs 'outdev' property set" },
    { &vm_net_filter_redirector_type,
      { NULL },
      "filter redirector needs 'indev' or 'outdev' at least one property set" },
    { &vm_net_filter_redirector_type,
      { "indev", "x", "outdev", "x" },
      "'indev' and 'outdev' could not be same for filter redirector" },
    { &vm_net_filter_redirector_type, { "indev", "x" }, "IN Device 'x' not found" },
    { &vm_net_filter_redirector_type, { "outdev", "x" }, "OUT Device 'x' not found" },
    { &vm_net_filter_buffer_type, { NULL }, "Property 'filter-buffer.interval' requires a positive value" },
    { &vm_net_filter_dump_type,
      { "file", "/nowhere/x" },
      "net dump: can't open /nowhere/x: No such file or directory" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_null (try_filter (&b, bad[i].type, "z", bad[i].props, &error));
      g_assert_cmpstr (error->message, ==, bad[i].why);
      g_clear_error (&error);
    }
  bench_clear (&b);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static void
test_dump (void)
{
  g_autofree char *file = NULL, *tool = g_find_program_in_path ("tcpdump"), *out = NULL;
  gsize len;
  Bench b;

  bench_init (&b);
  file = in_dir (&b.f, "%/x.pcap");
  VmNetFilter *filter = FILTER (&b, dump, "f", "file", file, "maxlen", "50");
  send_text (b.guest.port, "one");
  send_text (b.host.port, "two");
  g_assert_true (g_file_get_contents (file, &out, &len, NULL));
  g_assert_cmpuint (len, ==, 24 + 2 * (16 + 50));
  g_assert_cmpmem (out, 4, "\xd4\xc3\xb2\xa1", 4);
  g_assert_cmpstr (out + 24 + 16 + 14, ==, "one");
  vm_object_remove_child (&filter->parent);
  if (tool)
    {
      const char *argv[] = { tool, "-nn", "-r", file, NULL };
      g_autofree char *said = NULL;
      int status;
      g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &said, NULL,
                                   &status, NULL));
      g_assert_cmpint (status, ==, 0);
      g_auto (GStrv) lines = g_strsplit (said, "\n", -1);
      unsigned packets = 0;
      for (char **line = lines; *line; line++)
        packets += g_ascii_isdigit (**line);
      g_assert_cmpuint (packets, ==, 2);
    }
  else
    g_test_message ("without tcpdump");
  bench_clear (&b);
}

/* --- sequence numbers -----------------------------------------------------------------------------------------------
 */

enum
{
  FIN = 1,
  SYN = 2,
  RST = 4,
  ACK = 16
};

static void
send_tcp (VmNetPort *from, bool to_guest, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t sack)
{
  static const uint8_t client[] = { 10, 0, 2, 2 }, server[] = { 10, 0, 2, 15 };
  uint8_t f[66]
      = { [12] = 8, [14] = 0x45, [17] = 52, [22] = 64, [23] = 6, [46] = 0x80, [49] = 100, [54] = 1, 1, 5, 10 };
  struct iovec iov = { f, sizeof f };

  memcpy (f + 26, to_guest ? client : server, 4);
  memcpy (f + 30, to_guest ? server : client, 4);
  f[to_guest ? 34 : 36] = 0x40;
  f[to_guest ? 37 : 35] = 80;
  vm_store_be32 (f + 38, seq);
  vm_store_be32 (f + 42, ack);
  f[47] = flags;
  vm_store_be32 (f + 58, sack);
  vm_store_be32 (f + 62, sack + 10);
  uint16_t sum = vm_net_checksum (&iov, 1, 34, 32, vm_net_pseudo_sum (f + 14, 4, 6, 32));
  f[50] = sum >> 8;
  f[51] = sum;
  vm_net_send_bytes (from, f, sizeof f, NULL);
}

static const uint8_t *
last_tcp (const End *end)
{
  const uint8_t *f = g_bytes_get_data (g_ptr_array_index (end->got, end->got->len - 1), NULL);
  struct iovec iov = { (void *) f, 66 };

  g_assert_cmphex (vm_net_checksum (&iov, 1, 34, 32, vm_net_pseudo_sum (f + 14, 4, 6, 32)), ==, 0);
  return f + 34;
}

static void
test_rewriter (void)
{
  const uint32_t primary = 0xfffffff0, secondary = 5000;
  Bench b;

  bench_init (&b);
  VmNetFilter *filter = FILTER (&b, rewriter, "f", "vnet_hdr_support", "on");
  for (int round = 0; round < 3; round++)
    {
      send_tcp (b.host.port, true, SYN, 77, 0, 0);
      send_tcp (b.guest.port, false, SYN | ACK, secondary, 78, 0);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.host) + 4), ==, secondary); /* the primary's is not known yet */
      send_tcp (b.host.port, true, ACK, 78, primary + 1, primary + 100);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.guest) + 8), ==, secondary + 1);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.guest) + 24), ==, secondary + 100);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.guest) + 28), ==, secondary + 110);
      send_tcp (b.guest.port, false, ACK, secondary + 1, 90, 60);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.host) + 4), ==, primary + 1);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.host) + 8), ==, 90);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.host) + 24), ==, 60); /* of the client's numbers */
      /* The end of it: then nothing is known of these ports. */
      if (round == 1)
        send_tcp (b.host.port, true, RST, 78, 0, 0);
      else
        {
          send_tcp (b.guest.port, false, FIN | ACK, secondary + 1, 90, 0);
          g_assert_cmphex (vm_load_be32 (last_tcp (&b.host) + 4), ==, primary + 1);
          send_tcp (b.host.port, true, FIN | ACK, 90, primary + 2, 0);
          g_assert_cmphex (vm_load_be32 (last_tcp (&b.guest) + 8), ==, secondary + 2);
          send_tcp (b.guest.port, false, ACK, secondary + 2, 91, 0);
          g_assert_cmphex (vm_load_be32 (last_tcp (&b.host) + 4), ==, primary + 2);
        }
      send_tcp (b.guest.port, false, ACK, 1234, 90, 0);
      g_assert_cmphex (vm_load_be32 (last_tcp (&b.host) + 4), ==, 1234);
    }
  vm_object_remove_child (&filter->parent);
  bench_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/filters/mirror", test_mirror);
  g_test_add_func ("/filters/headers", test_headers);
  g_test_add_func ("/filters/redirect", test_redirect);
  g_test_add_func ("/filters/places", test_places);
  g_test_add_func ("/filters/dump", test_dump);
  g_test_add_func ("/filters/rewriter", test_rewriter);
  return g_test_run ();
}
