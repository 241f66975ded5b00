/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back ends that use sockets against plain sockets: frames in streams and datagrams, peers that are slow, that talk
 * nonsense, that leave in the middle. */
#include "tests/net/bench.h"

#include "engine/machine/machine.h"
#include "net/net-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- frames and sockets --------------------------------------------------------------------------------------- */

/* The frame number N of LEN bytes. */
static uint8_t *
frame (unsigned n, size_t len)
{
  uint8_t *bytes = g_malloc (len + 1);

  for (size_t i = 0; i < len; i++)
    bytes[i] = (uint8_t) (n * 31 + i * 7 + (i >> 8));
  return bytes;
}

static void
assert_frame (const Guest *guest, guint at, unsigned n, size_t len)
{
  g_autofree uint8_t *want = frame (n, len);
  gsize size;

  g_assert_cmpuint (at, <, guest->got->len);
  const void *got = g_bytes_get_data (g_ptr_array_index (guest->got, at), &size);
  g_assert_cmpmem (got, size, want, len);
}

static void
add_framed (GByteArray *out, unsigned n, size_t len)
{
  g_autofree uint8_t *bytes = frame (n, len);
  uint32_t head = htonl ((uint32_t) len);

  g_byte_array_append (out, (const uint8_t *) &head, 4);
  g_byte_array_append (out, bytes, len);
}

static void
put (int fd, const void *bytes, size_t len)
{
  g_assert_cmpint (send (fd, bytes, len, MSG_NOSIGNAL), ==, (ssize_t) len);
}

static void
pair (int fds[2], int type)
{
  g_assert_cmpint (socketpair (AF_UNIX, type, 0, fds), ==, 0);
  fcntl (fds[0], F_SETFL, O_NONBLOCK);
}

/* A stream back end on one end of a pair; the other end. */
static int
stream_on_pair (Bench *bench, VmNetdev **netdev, Guest *guest)
{
  int fds[2];

  pair (fds, SOCK_STREAM);
  *netdev = bench_add (bench, "stream,id=n,addr.type=fd,addr.str=%d", fds[1]);
  guest_init (guest, *netdev);
  return fds[0];
}

static bool
is_closed (int fd)
{
  char byte;
  ssize_t n = recv (fd, &byte, 1, MSG_DONTWAIT);

  return n == 0 || (n < 0 && errno != EAGAIN);
}

static struct sockaddr_in
loopback (unsigned port)
{
  return (struct sockaddr_in){ .sin_family = AF_INET,
                               .sin_port = htons ((uint16_t) port),
                               .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
}

/* Bound to the loopback; *PORT is which one it got. */
static int
bound (int type, unsigned *port)
{
  struct sockaddr_in name = loopback (0);
  socklen_t len = sizeof name;
  int fd = socket (AF_INET, type | SOCK_NONBLOCK, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &name, len), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &name, &len), ==, 0);
  *port = ntohs (name.sin_port);
  return fd;
}

static unsigned
free_port (int type)
{
  unsigned port;

  close (bound (type, &port));
  return port;
}

static int
call (unsigned port)
{
  struct sockaddr_in name = loopback (port);
  int fd = socket (AF_INET, SOCK_STREAM, 0);

  g_assert_cmpint (connect (fd, (struct sockaddr *) &name, sizeof name), ==, 0);
  fcntl (fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static struct sockaddr_un
path_name (const char *path)
{
  struct sockaddr_un name = { .sun_family = AF_UNIX };

  g_strlcpy (name.sun_path, path, sizeof name.sun_path);
  return name;
}

static int
at_path (const char *path, int type)
{
  struct sockaddr_un name = path_name (path);
  int fd = socket (AF_UNIX, type | SOCK_NONBLOCK, 0);

  unlink (path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &name, sizeof name), ==, 0);
  if (type == SOCK_STREAM)
    g_assert_cmpint (listen (fd, 4), ==, 0);
  return fd;
}

/* --- streams -------------------------------------------------------------------------------------------------------
 */

static void
test_split (void)
{
  static const size_t sizes[] = { 60, 0, 1, 97, 14 };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  VmNetdev *netdev;
  Guest guest;
  Bench bench;

  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    add_framed (bytes, i, sizes[i]);
  bench_init (&bench);
  int fd = stream_on_pair (&bench, &netdev, &guest);
  g_assert_true (vm_net_port_link_up (&guest.port));
  for (guint at = 0; at <= bytes->len + 1; at++)
    {
      /* At each place once; the last time one by one. */
      for (guint i = 0, part; i < bytes->len; i += part)
        {
          part = at > bytes->len ? 1 : i < at ? at : bytes->len - i;
          put (fd, bytes->data + i, part);
          for (int turn = 0; turn < 3; turn++)
            bench_turn (&bench);
        }
      bench_until (&bench, guest.got->len == 4);
      for (unsigned i = 0, n = 0; i < G_N_ELEMENTS (sizes); i++)
        if (sizes[i])
          assert_frame (&guest, n++, i, sizes[i]);
      g_ptr_array_set_size (guest.got, 0);
    }
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  g_assert_true (is_closed (fd));
  close (fd);
  bench_clear (&bench);
}

static void
test_lengths (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  static const uint32_t wrong[] = { VM_NET_FRAME_MAX + 1, 0x10000000, 0x7fffffff, 0x80000000, 0xffffffff };
  Guest guest;
  Bench bench;
  unsigned port = free_port (SOCK_STREAM);

  bench_init (&bench);
  VmNetdev *netdev = bench_add (&bench, "socket,id=n,listen=:%u", port);
  guest_init (&guest, netdev);
  add_framed (bytes, 5, VM_NET_FRAME_MAX);
  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      uint32_t head = htonl (wrong[i]);

      g_assert_false (vm_net_port_link_up (&guest.port));
      int fd = call (port);
      bench_until (&bench, vm_net_port_link_up (&guest.port));
      for (guint at = 0; at < bytes->len;)
        {
          ssize_t n = send (fd, bytes->data + at, bytes->len - at, 0);
          at += MAX (n, 0);
          bench_turn (&bench);
        }
      put (fd, &head, 4);
      bench_until (&bench, is_closed (fd));
      close (fd);
      g_assert_cmpuint (guest.got->len, ==, 1);
      assert_frame (&guest, 0, 5, VM_NET_FRAME_MAX);
      g_ptr_array_set_size (guest.got, 0);
    }
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  bench_clear (&bench);
}

/* Reads the frames FIRST..LAST of LEN bytes. */
static void
read_frames (Bench *bench, int fd, GByteArray *got, unsigned first, unsigned last, size_t len)
{
  for (unsigned n = first; n <= last; n++)
    {
      g_autofree uint8_t *want = frame (n, len);
      uint8_t buffer[4096];

      for (gint64 end = g_get_monotonic_time () + 10 * G_USEC_PER_SEC; got->len < len + 4;)
        {
          ssize_t part = recv (fd, buffer, sizeof buffer, MSG_DONTWAIT);
          if (part > 0)
            g_byte_array_append (got, buffer, part);
          else
            bench_turn (bench);
          g_assert_cmpint (g_get_monotonic_time (), <, end);
        }
      g_assert_cmpuint (ntohl (*(uint32_t *) got->data), ==, len);
      g_assert_cmpmem (got->data + 4, len, want, len);
      g_byte_array_remove_range (got, 0, len + 4);
    }
}

/* A peer that does not read stops the guest; what is kept of its frames is one at most. */
static void
test_slow_reader (void)
{
  g_autoptr (GByteArray) got = g_byte_array_new ();
  VmNetdev *netdev;
  Guest guest;
  Bench bench;
  enum
  {
    LEN = 9001
  };

  bench_init (&bench);
  int fd = stream_on_pair (&bench, &netdev, &guest);
  for (int round = 0; round < 3; round++)
    {
      unsigned n = 0;
      g_autofree uint8_t *kept = NULL;

      for (bool gone = true; gone; n++)
        {
          g_free (kept);
          kept = frame (n, LEN);
          gone = guest_send (&guest, kept, LEN);
          g_assert_cmpuint (n, <, 1000);
        }
      g_assert_cmpuint (n, >, 5);
      for (int turn = 0; turn < 20; turn++)
        bench_turn (&bench);
      g_assert_false (vm_net_can_send (&guest.port));
      g_assert_cmpuint (guest.sent, ==, round);
      read_frames (&bench, fd, got, 0, n - 1, LEN);
      bench_until (&bench, guest.sent == (unsigned) round + 1);
      g_assert_true (vm_net_can_send (&guest.port));
    }
  g_assert_cmpuint (got->len, ==, 0);
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  close (fd);
  bench_clear (&bench);
}

/* A guest that takes nothing stops the peer. */
static void
test_full_guest (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  VmNetdev *netdev;
  Guest guest;
  Bench bench;
  enum
  {
    LEN = 1514,
    COUNT = 5000
  };
  size_t at = 0;

  for (unsigned i = 0; i < COUNT; i++)
    add_framed (bytes, i, LEN);
  bench_init (&bench);
  int fd = stream_on_pair (&bench, &netdev, &guest);
  guest.room = 0;
  for (int idle = 0; idle < 50;)
    {
      ssize_t n = send (fd, bytes->data + at, bytes->len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      idle = n > 0 ? 0 : idle + 1;
      at += MAX (n, 0);
      bench_turn (&bench);
    }
  g_assert_cmpuint (at, <, 2 << 20);
  for (unsigned i = 0; guest.got->len < COUNT; i++)
    {
      ssize_t n = send (fd, bytes->data + at, bytes->len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      at += MAX (n, 0);
      guest_ready (&guest, i % 90);
      bench_turn (&bench);
      g_assert_cmpuint (i, <, 100000);
    }
  for (unsigned i = 0; i < COUNT; i++)
    assert_frame (&guest, i, i, LEN);
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  close (fd);
  bench_clear (&bench);
}

static void
test_vanish (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree uint8_t *some = frame (1, 60000);
  VmNetdev *netdev;
  Guest guest;
  Bench bench;

  bench_init (&bench);
  /* In the middle of a frame; frames that wait for the guest come yet. */
  int fd = stream_on_pair (&bench, &netdev, &guest);
  for (unsigned i = 0; i < 4; i++)
    add_framed (bytes, i, 100);
  guest.room = 1;
  put (fd, bytes->data, bytes->len - 50);
  bench_until (&bench, guest.got->len == 1);
  close (fd);
  for (int turn = 0; turn < 20; turn++)
    bench_turn (&bench);
  guest_ready (&guest, 9);
  bench_until (&bench, !vm_net_port_link_up (&guest.port));
  g_assert_cmpuint (guest.got->len, ==, 3);
  assert_frame (&guest, 2, 2, 100);
  g_assert_true (guest_send (&guest, some, 60)); /* into nothing */
  guest_clear (&guest);
  bench_drop (&bench, netdev);

  /* While frames of the guest wait: it may go on. */
  fd = stream_on_pair (&bench, &netdev, &guest);
  while (guest_send (&guest, some, 60000))
    ;
  close (fd);
  bench_until (&bench, guest.sent == 1);
  g_assert_false (vm_net_port_link_up (&guest.port));
  guest_clear (&guest);
  bench_drop (&bench, netdev);

  /* The back end goes while a frame waits for the guest and another for the peer. */
  fd = stream_on_pair (&bench, &netdev, &guest);
  while (guest_send (&guest, some, 60000))
    ;
  guest.room = 0;
  put (fd, bytes->data, bytes->len);
  for (int turn = 0; turn < 20; turn++)
    bench_turn (&bench);
  bench_drop (&bench, netdev);
  g_assert_cmpuint (guest.sent, ==, 1);
  guest_ready (&guest, 9);
  guest_clear (&guest);
  close (fd);
  bench_clear (&bench);
}

static void
test_reconnect (void)
{
  g_autofree uint8_t *some = frame (3, 77);
  uint8_t buffer[100];
  Guest guest;
  Bench bench;

  bench_init (&bench);
  g_autofree char *path = bench_path (&bench, "s");
  /* Nobody there, once: that is all. */
  VmNetdev *netdev = bench_add (&bench, "stream,id=once,addr.type=unix,addr.path=%%/s");
  g_assert_cmpstr (netdev->info, ==, "connection error");
  bench_drop (&bench, netdev);
  netdev = bench_add (&bench, "stream,id=n,addr.type=unix,addr.path=%%/s,reconnect-ms=20");
  guest_init (&guest, netdev);
  for (int turn = 0; turn < 200; turn++)
    bench_turn (&bench);
  g_assert_false (vm_net_port_link_up (&guest.port));
  int listener = at_path (path, SOCK_STREAM);
  for (int round = 0; round < 3; round++)
    {
      bench_until (&bench, vm_net_port_link_up (&guest.port));
      int fd = accept4 (listener, NULL, NULL, SOCK_NONBLOCK);
      g_assert_cmpint (fd, >=, 0);
      g_assert_true (g_str_has_prefix (netdev->info, "unix:"));
      g_assert_true (guest_send (&guest, some, 77));
      g_assert_cmpint (recv (fd, buffer, sizeof buffer, 0), ==, 81);
      g_assert_cmpmem (buffer + 4, 77, some, 77);
      close (fd);
      bench_until (&bench, !vm_net_port_link_up (&guest.port));
    }
  close (listener);
  unlink (path);
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  bench_clear (&bench);
}

/* The address that listens on PORT, from the system's table. */
static unsigned
listens_at (unsigned port)
{
  g_autofree char *table = NULL;
  g_auto (GStrv) lines = NULL;

  g_assert_true (g_file_get_contents ("/proc/net/tcp", &table, NULL, NULL));
  lines = g_strsplit (table, "\n", -1);
  for (int i = 1; lines[i]; i++)
    {
      unsigned address, at, state;
      if (sscanf (lines[i], " %*u: %x:%x %*x:%*x %x", &address, &at, &state) == 3 && at == port && state == 10)
        return ntohl (address);
    }
  return 0;
}

static void
test_server (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  unsigned port = free_port (SOCK_STREAM);
  Guest guest;
  Bench bench;

  add_framed (bytes, 2, 64);
  bench_init (&bench);
  g_autofree char *path = bench_path (&bench, "s");
  VmNetdev *netdev = bench_add (&bench, "stream,id=n,server=on,addr.type=inet,addr.host=,addr.port=%u", port);
  g_assert_cmphex (listens_at (port), ==, INADDR_LOOPBACK);
  guest_init (&guest, netdev);
  /* One at a time; the next one's turn comes. */
  int first = call (port), second = call (port);
  put (first, bytes->data, bytes->len);
  put (second, bytes->data, bytes->len);
  bench_until (&bench, guest.got->len == 1);
  for (int turn = 0; turn < 50; turn++)
    bench_turn (&bench);
  g_assert_cmpuint (guest.got->len, ==, 1);
  close (first);
  bench_until (&bench, guest.got->len == 2);
  close (second);
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  g_assert_cmpuint (listens_at (port), ==, 0);

  /* "to": the first that is free. */
  unsigned taken;
  int holder = bound (SOCK_STREAM, &taken);
  g_assert_cmpint (listen (holder, 1), ==, 0);
  netdev = bench_add (&bench, "stream,id=n,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=%u,addr.to=%u", taken,
                      MIN (taken + 40, 65535));
  bench_drop (&bench, netdev);
  close (holder);

  /* A file of its own, which goes with it; one that is in the way is no harm. */
  close (at_path (path, SOCK_STREAM));
  netdev = bench_add (&bench, "stream,id=n,server=on,addr.type=unix,addr.path=%%/s");
  VmNetdev *client = bench_add (&bench, "stream,id=m,addr.type=unix,addr.path=%%/s");
  Guest other;
  guest_init (&guest, netdev);
  guest_init (&other, client);
  bench_until (&bench, vm_net_port_link_up (&guest.port) && vm_net_port_link_up (&other.port));
  guest_send (&guest, "to the other", 12);
  guest_send (&other, "and back", 8);
  bench_until (&bench, guest.got->len == 1 && other.got->len == 1);
  guest_clear (&guest);
  guest_clear (&other);
  bench_drop (&bench, client);
  bench_drop (&bench, netdev);
  bench_clear (&bench);
}

/* Names are asked for elsewhere while the machine runs, and who asked may be gone when the answer comes. */
static void
test_names (void)
{
  unsigned port = free_port (SOCK_STREAM);
  Guest guest;
  Bench bench;

  bench_init (&bench);
  VmNet *net = vm_net_get (&bench.machine->env);
  net->monitor = (VmMonitor *) &bench; /* netdev_add */
  VmNetdev *server
      = bench_add (&bench, "stream,id=s,server=on,addr.type=inet,addr.host=localhost,addr.ipv4=on,addr.port=%u", port);
  bench_until (&bench, listens_at (port) == INADDR_LOOPBACK);
  VmNetdev *client = bench_add (&bench, "socket,id=c,connect=localhost:%u", port);
  guest_init (&guest, client);
  bench_until (&bench, vm_net_port_link_up (&guest.port));
  VmNetdev *udp
      = bench_add (&bench, "socket,id=u,udp=localhost:%u,localaddr=localhost:%u", port, free_port (SOCK_DGRAM));
  bench_until (&bench, g_str_has_prefix (udp->info, "socket: udp=127.0.0.1"));
  for (int i = 0; i < 20; i++)
    {
      VmNetdev *brief = bench_add (&bench, "stream,id=b%d,addr.type=inet,addr.host=localhost,addr.port=%u", i, port);
      VmNetdev *short_lived = bench_add (&bench, "socket,id=d%d,udp=localhost:1,localaddr=localhost:0", i);
      if (i % 2)
        bench_turn (&bench);
      bench_drop (&bench, brief);
      bench_drop (&bench, short_lived);
    }
  net->monitor = NULL;
  guest_clear (&guest);
  bench_drop (&bench, udp);
  bench_drop (&bench, client);
  bench_drop (&bench, server);
  bench_clear (&bench);
}

/* --- datagrams -----------------------------------------------------------------------------------------------------
 */

/* Frames both ways between GUEST's back end and the socket FD, which is connected to it. */
static void
exchange (Bench *bench, Guest *guest, int fd)
{
  static const size_t sizes[] = { 1, 60, 1514, 9000, 60000 };
  g_autofree uint8_t *buffer = g_malloc (70000);

  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autofree uint8_t *bytes = frame (i, sizes[i]);

      put (fd, bytes, sizes[i]);
      bench_until (bench, guest->got->len == i + 1);
      assert_frame (guest, i, i, sizes[i]);
      g_assert_true (guest_send (guest, bytes, sizes[i]));
      g_assert_cmpint (recv (fd, buffer, 70000, 0), ==, (ssize_t) sizes[i]);
      g_assert_cmpmem (buffer, sizes[i], bytes, sizes[i]);
    }
  /* A burst, for a guest that takes some now and then. */
  g_ptr_array_set_size (guest->got, 0);
  guest->room = 3;
  for (unsigned n = 0, i = 0; guest->got->len < 200; i++)
    {
      g_autofree uint8_t *bytes = frame (n, 500);
      if (n < 200 && send (fd, bytes, 500, MSG_DONTWAIT) == 500)
        n++;
      bench_turn (bench);
      guest_ready (guest, i % 5);
      g_assert_cmpuint (i, <, 100000);
    }
  for (unsigned i = 0; i < 200; i++)
    assert_frame (guest, i, i, 500);
  guest->room = UINT_MAX;
}

static void
test_udp (void)
{
  unsigned port, own = free_port (SOCK_DGRAM);
  struct sockaddr_in there = loopback (own);
  Guest guest;
  Bench bench;
  int fd = bound (SOCK_DGRAM, &port);

  g_assert_cmpint (connect (fd, (struct sockaddr *) &there, sizeof there), ==, 0);
  bench_init (&bench);
  for (int older = 0; older < 2; older++)
    {
      VmNetdev *netdev = older ? bench_add (&bench, "socket,id=n,udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", port, own)
                               : bench_add (&bench,
                                            "dgram,id=n,local.type=inet,local.host=,local.port=%u,remote.type=inet,"
                                            "remote.host=127.0.0.1,remote.port=%u",
                                            own, port);
      guest_init (&guest, netdev);
      exchange (&bench, &guest, fd);
      guest_clear (&guest);
      bench_drop (&bench, netdev);
    }
  /* Nobody there: lost, and nothing else. */
  close (fd);
  VmNetdev *netdev = bench_add (&bench, "socket,id=n,udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", port, own);
  guest_init (&guest, netdev);
  for (int i = 0; i < 50; i++)
    {
      g_assert_true (guest_send (&guest, "lost", 4));
      bench_turn (&bench);
    }
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  bench_clear (&bench);
}

static void
test_dgram_fd (void)
{
  Guest guest;
  Bench bench;
  int fds[2];

  bench_init (&bench);
  for (int older = 0; older < 2; older++)
    {
      pair (fds, SOCK_DGRAM);
      VmNetdev *netdev
          = bench_add (&bench, older ? "socket,id=n,fd=%d" : "dgram,id=n,local.type=fd,local.str=%d", fds[1]);
      guest_init (&guest, netdev);
      exchange (&bench, &guest, fds[0]);
      guest_clear (&guest);
      bench_drop (&bench, netdev);
      close (fds[0]);
    }
  bench_clear (&bench);
}

/* A Unix peer whose queue is full stops the guest, whether or not it takes from us only. */
static void
test_dgram_path (void)
{
  Guest guest;
  Bench bench;

  bench_init (&bench);
  g_autofree char *path = bench_path (&bench, "peer"), *own = bench_path (&bench, "own");
  for (int exclusive = 0; exclusive < 2; exclusive++)
    {
      struct sockaddr_un name = path_name (own);
      int fd = at_path (path, SOCK_DGRAM);
      VmNetdev *netdev
          = bench_add (&bench, "dgram,id=n,local.type=unix,local.path=%%/own,remote.type=unix,remote.path=%%/peer");

      guest_init (&guest, netdev);
      if (exclusive)
        {
          g_assert_cmpint (connect (fd, (struct sockaddr *) &name, sizeof name), ==, 0);
          exchange (&bench, &guest, fd);
        }
      unsigned n = 0, got = 0;
      uint8_t buffer[2000];
      for (int round = 0; round < 5; round++)
        {
          g_autofree uint8_t *bytes = NULL;
          for (bool gone = true; gone; n++)
            {
              g_free (bytes);
              bytes = frame (n, 700);
              gone = guest_send (&guest, bytes, 700);
              g_assert_cmpuint (n, <, 10000);
            }
          for (int turn = 0; turn < 50; turn++)
            bench_turn (&bench);
          g_assert_cmpuint (guest.sent, ==, round);
          while (got < n)
            {
              g_autofree uint8_t *want = frame (got, 700);
              ssize_t part = recv (fd, buffer, sizeof buffer, MSG_DONTWAIT);
              if (part < 0)
                {
                  bench_turn (&bench);
                  continue;
                }
              g_assert_cmpmem (buffer, part, want, 700);
              got++;
            }
          g_assert_cmpuint (guest.sent, ==, round + 1);
        }
      close (fd);
      g_assert_true (guest_send (&guest, "lost", 4));
      /* Another one in its place is found. */
      fd = at_path (path, SOCK_DGRAM);
      g_assert_true (guest_send (&guest, "found", 5));
      g_assert_cmpint (recv (fd, buffer, sizeof buffer, 0), ==, 5);
      guest_clear (&guest);
      bench_drop (&bench, netdev);
      g_assert_cmpint (access (own, F_OK), <, 0);
      close (fd);
      unlink (path);
    }
  bench_clear (&bench);
}

/* All in a group hear all others, and not themselves. */
static void
test_group (void)
{
  unsigned port = free_port (SOCK_DGRAM);
  struct ip_mreq join
      = { .imr_multiaddr.s_addr = inet_addr ("230.9.8.7"), .imr_interface.s_addr = htonl (INADDR_LOOPBACK) };
  struct sockaddr_in group
      = { .sin_family = AF_INET, .sin_port = htons ((uint16_t) port), .sin_addr = join.imr_multiaddr };
  VmNetdev *netdevs[3];
  Guest guests[3];
  Bench bench;
  char buffer[100];
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), one = 1;

  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &group, sizeof group), ==, 0);
  if (setsockopt (fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) < 0)
    {
      g_test_skip ("no multicast here");
      close (fd);
      return;
    }
  setsockopt (fd, IPPROTO_IP, IP_MULTICAST_IF, &join.imr_interface, sizeof join.imr_interface);
  bench_init (&bench);
  netdevs[0] = bench_add (&bench, "socket,id=a,mcast=230.9.8.7:%u,localaddr=127.0.0.1", port);
  netdevs[1] = bench_add (&bench,
                          "dgram,id=b,remote.type=inet,remote.host=230.9.8.7,remote.port=%u,local.type=inet,"
                          "local.host=127.0.0.1,local.port=0",
                          port);
  int given = socket (AF_INET, SOCK_DGRAM, 0);
  setsockopt (given, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt (given, IPPROTO_IP, IP_MULTICAST_IF, &join.imr_interface, sizeof join.imr_interface);
  g_assert_cmpint (bind (given, (struct sockaddr *) &group, sizeof group), ==, 0);
  g_assert_cmpint (setsockopt (given, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join), ==, 0);
  netdevs[2] = bench_add (&bench,
                          "dgram,id=c,remote.type=inet,remote.host=230.9.8.7,remote.port=%u,local.type=fd,local.str=%d",
                          port, given);
  for (int i = 0; i < 3; i++)
    guest_init (&guests[i], netdevs[i]);
  g_assert_true (guest_send (&guests[0], "from a", 6));
  bench_until (&bench, guests[1].got->len == 1 && guests[2].got->len == 1);
  g_assert_true (guest_send (&guests[1], "from b", 6));
  bench_until (&bench, guests[0].got->len == 1 && guests[2].got->len == 2);
  g_assert_cmpint (recv (fd, buffer, sizeof buffer, 0), ==, 6);
  g_assert_cmpint (recv (fd, buffer, sizeof buffer, 0), ==, 6);
  g_assert_cmpint (sendto (fd, "outside", 7, 0, (struct sockaddr *) &group, sizeof group), ==, 7);
  bench_until (&bench, guests[0].got->len == 2 && guests[1].got->len == 2 && guests[2].got->len == 3);
  for (int turn = 0; turn < 50; turn++)
    bench_turn (&bench);
  g_assert_cmpuint (guests[0].got->len, ==, 2);
  g_assert_cmpuint (guests[1].got->len, ==, 2);
  for (int i = 0; i < 3; i++)
    {
      guest_clear (&guests[i]);
      bench_drop (&bench, netdevs[i]);
    }
  close (fd);
  bench_clear (&bench);
}

/* --- L2TPv3 ---------------------------------------------------------------------------------------------------------
 */

#define SESSION "\x55\x66\x77\x88"

static void
l2tp_in (Bench *bench, Guest *guest, int fd, const char *head, size_t len, bool good)
{
  char message[200];
  guint before = guest->got->len;

  memcpy (message, head, len);
  memcpy (message + len, "a frame", 7);
  put (fd, message, len + 7);
  put (fd, head, len); /* nothing in it */
  if (good)
    {
      bench_until (bench, guest->got->len == before + 1);
      gsize size;
      const void *got = g_bytes_get_data (g_ptr_array_index (guest->got, before), &size);
      g_assert_cmpmem (got, size, "a frame", 7);
    }
  for (int turn = 0; turn < 10; turn++)
    bench_turn (bench);
  g_assert_cmpuint (guest->got->len, ==, before + good);
}

#define IN(head, good) l2tp_in (&bench, &guest, fd, head, sizeof head - 1, good)

static void
l2tp_out (Guest *guest, int fd, const char *head, size_t len)
{
  char buffer[200];

  g_assert_true (guest_send (guest, "payload", 7));
  ssize_t n = recv (fd, buffer, sizeof buffer, 0);
  g_assert_cmpint (n, ==, (ssize_t) len + 7);
  g_assert_cmpmem (buffer, len, head, len);
  g_assert_cmpmem (buffer + len, 7, "payload", 7);
}

#define OUT(head) l2tp_out (&guest, fd, head, sizeof head - 1)

static void
test_l2tp (void)
{
  unsigned port, own = free_port (SOCK_DGRAM);
  struct sockaddr_in there = loopback (own);
  Guest guest;
  Bench bench;
  int fd = bound (SOCK_DGRAM, &port);
  g_autofree char *base
      = g_strdup_printf ("l2tpv3,id=n,src=127.0.0.1,dst=127.0.0.1,udp=on,srcport=%u,dstport=%u,txsession=0x11223344,"
                         "rxsession=0x55667788",
                         own, port);

  g_assert_cmpint (connect (fd, (struct sockaddr *) &there, sizeof there), ==, 0);
  bench_init (&bench);
  VmNetdev *netdev = bench_add (&bench, "%s", base);
  guest_init (&guest, netdev);
  OUT ("\0\3\0\0\x11\x22\x33\x44");
  IN ("\0\3\0\0" SESSION, true);
  IN ("\0\3\0\0\x55\x66\x77\x89", false);
  IN ("\x80\3\0\0" SESSION, false); /* a control message */
  IN ("\0\2\0\0" SESSION, false);
  IN ("\0\3\0", false);
  guest_clear (&guest);
  bench_drop (&bench, netdev);

  netdev = bench_add (&bench, "%s,txcookie=0x3344,rxcookie=0xfedcba98", base);
  guest_init (&guest, netdev);
  OUT ("\0\3\0\0\x11\x22\x33\x44\0\0\x33\x44");
  IN ("\0\3\0\0" SESSION "\xfe\xdc\xba\x98", true);
  IN ("\0\3\0\0" SESSION "\xfe\xdc\xba\x99", false);
  IN ("\0\3\0\0" SESSION, false);
  guest_clear (&guest);
  bench_drop (&bench, netdev);

  netdev = bench_add (
      &bench, "%s,txcookie=0x99aabbccddeeff00,rxcookie=0x0102030405060708,cookie64=on,counter=on,offset=3", base);
  guest_init (&guest, netdev);
  OUT ("\0\3\0\0\x11\x22\x33\x44\x99\xaa\xbb\xcc\xdd\xee\xff\0\0\0\0\1\0\0\0");
  OUT ("\0\3\0\0\x11\x22\x33\x44\x99\xaa\xbb\xcc\xdd\xee\xff\0\0\0\0\2\0\0\0");
#define COUNTED(n) "\0\3\0\0" SESSION "\1\2\3\4\5\6\7\x8" n "\xee\xee\xee"
  IN (COUNTED ("\xff\xff\xff\xfe"), true);
  IN (COUNTED ("\xff\xff\xff\xfe"), false); /* again */
  IN (COUNTED ("\xff\xff\xff\xff"), true);
  IN (COUNTED ("\0\0\0\2"), true);  /* one is missing */
  IN (COUNTED ("\0\0\0\1"), false); /* and comes late */
  IN (COUNTED ("\0\0\0\3"), true);
  IN ("\0\3\0\0" SESSION "\1\2\3\4\5\6\7\x9\0\0\0\4\xee\xee\xee", false);
  guest_clear (&guest);
  bench_drop (&bench, netdev);

  /* A sender that begins anew is believed after a while. */
  netdev = bench_add (&bench, "%s,counter=on", base);
  guest_init (&guest, netdev);
  IN ("\0\3\0\0" SESSION "\0\1\0\0", true);
  for (uint8_t i = 0; i < 40; i++)
    {
      uint8_t message[] = { 0, 3, 0, 0, 0x55, 0x66, 0x77, 0x88, 0, 0, 0, i, 'x' };
      put (fd, message, sizeof message);
      bench_turn (&bench);
    }
  bench_until (&bench, guest.got->len >= 1 + 40 - 8);
  g_assert_cmpuint (guest.got->len, ==, 1 + 40 - 8);
  guest_clear (&guest);
  bench_drop (&bench, netdev);

  netdev = bench_add (&bench, "%s,pincounter=on", base);
  guest_init (&guest, netdev);
  OUT ("\0\3\0\0\x11\x22\x33\x44\0\0\0\0");
  OUT ("\0\3\0\0\x11\x22\x33\x44\0\0\0\0");
  IN ("\0\3\0\0" SESSION "\0\0\0\0", true);
  IN ("\0\3\0\0" SESSION "\0\0\0\0", true);
  guest_clear (&guest);
  bench_drop (&bench, netdev);
  close (fd);
  bench_clear (&bench);
}

/* Straight over IP the kernel leaves its header on what comes, if it is IPv4. */
static void
test_l2tp_raw (void)
{
  static const struct
  {
    const char *address;
    int family;
  } kinds[] = { { "127.0.0.1", AF_INET }, { "::1", AF_INET6 } };
  Guest guests[2];
  VmNetdev *netdevs[2];
  Bench bench;
  int probe = socket (AF_INET, SOCK_RAW, 115);

  if (probe < 0)
    {
      g_test_skip ("needs privileges");
      return;
    }
  close (probe);
  bench_init (&bench);
  for (unsigned k = 0; k < G_N_ELEMENTS (kinds); k++)
    {
      const char *address = kinds[k].address, *six = kinds[k].family == AF_INET6 ? ",ipv6=on" : "";
      probe = socket (kinds[k].family, SOCK_RAW, 115);
      struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
      bool has = probe >= 0 && (k == 0 || bind (probe, (struct sockaddr *) &any, sizeof any) == 0);
      close (probe);
      if (!has)
        continue;
      for (unsigned i = 0; i < 2; i++)
        {
          netdevs[i] = bench_add (&bench, "l2tpv3,id=n%u,src=%s,dst=%s,txsession=%u,rxsession=%u,counter=on%s", i,
                                  address, address, 10 + i, 11 - i, six);
          guest_init (&guests[i], netdevs[i]);
        }
      for (unsigned n = 0; n < 50; n++)
        {
          g_autofree uint8_t *bytes = frame (n, 1514);
          g_assert_true (guest_send (&guests[n % 2], bytes, 1514));
          bench_until (&bench, guests[(n + 1) % 2].got->len == n / 2 + 1);
          assert_frame (&guests[(n + 1) % 2], n / 2, n, 1514);
        }
      for (unsigned i = 0; i < 2; i++)
        {
          guest_clear (&guests[i]);
          bench_drop (&bench, netdevs[i]);
        }
    }
  bench_clear (&bench);
}

/* --- what is refused -------------------------------------------------------------------------- */

static void
test_refusals (void)
{
  static const char *const cases[][2] = {
    { "socket,id=n", "exactly one of listen=, connect=, mcast= or udp= is required" },
    { "socket,id=n,listen=:0,connect=127.0.0.1:1", "exactly one of" },
    { "socket,id=n,fd=5,listen=:0", "exactly one of" },
    { "socket,id=n,listen=0", "host address '0' doesn't contain ':' separating host from port" },
    { "socket,id=n,listen=127.0.0.1:abc", "port number 'abc' is invalid" },
    { "socket,id=n,connect=127.0.0.1:70000", "port number '70000' is invalid" },
    { "socket,id=n,listen=127.0.0.1:", "port number '' is invalid" },
    { "socket,id=n,listen=no.such.invalid:1", "can't resolve host address 'no.such.invalid'" },
    { "socket,id=n,connect=no.such.invalid:1", "can't resolve host address 'no.such.invalid'" },
    { "socket,id=n,mcast=127.0.0.1:4000",
      "specified mcastaddr 127.0.0.1 (0x7f000001) does not contain a multicast address" },
    { "socket,id=n,mcast=230.0.0.1:4001,localaddr=some", "localaddr 'some' is not a valid IPv4 address" },
    { "socket,id=n,udp=127.0.0.1:1", "localaddr= is mandatory with udp=" },
    { "socket,id=n,udp=127.0.0.1:1,localaddr=127.0.0.1", "doesn't contain ':'" },
    { "socket,id=n,listen=:0,localaddr=127.0.0.1", "localaddr= is only valid with mcast= or udp=" },
    { "socket,id=n,fd=abc", "Invalid file descriptor number 'abc'" },
    { "socket,id=n,fd=999", "Can't use file descriptor 999: Bad file descriptor" },
    { "stream,id=n,addr.type=inet,addr.host=127.0.0.1,addr.port=1,addr.ipv4=off,addr.ipv6=off",
      "Cannot disable IPv4 and IPv6" },
    { "stream,id=n,addr.type=inet,addr.host=127.0.0.1,addr.port=99999,server=on", "address resolution failed" },
    { "stream,id=n,addr.type=inet,addr.host=localhost,addr.numeric=on,addr.port=1", "address resolution failed" },
    { "stream,id=n,addr.type=unix,addr.path=/no/such/folder/s,server=on",
      "Failed to bind socket to /no/such/folder/s" },
    { "stream,id=n,addr.type=unix,server=on,addr.path=/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "is too long" },
    { "stream,id=n,addr.type=unix,addr.path=x,server=on,reconnect-ms=5",
      "'reconnect-ms' option is incompatible with socket in server listen mode" },
    { "stream,id=n,addr.type=unix,addr.path=x,reconnect=1,reconnect-ms=5", "mutually exclusive" },
    { "stream,id=n,addr.type=unix,addr.path=x,reconnect-ms=-1", "expects uint32_t" },
    { "dgram,id=n", "dgram requires local= parameter" },
    { "dgram,id=n,remote.type=unix,remote.path=x", "dgram requires local= parameter" },
    { "dgram,id=n,local.type=unix,local.path=x", "type=inet or type=unix requires remote parameter" },
    { "dgram,id=n,local.type=unix,local.path=x,remote.type=inet,remote.host=127.0.0.1,remote.port=1",
      "remote and local types must be the same" },
    { "dgram,id=n,local.type=unix,local.path=x,remote.type=inet,remote.host=230.0.0.1,remote.port=1",
      "only support inet or fd type for local" },
    { "dgram,id=n,local.type=fd,local.str=3,remote.type=inet,remote.host=127.0.0.1,remote.port=1",
      "don't set remote with local.fd" },
    { "dgram,id=n,local.type=unix,local.path=/no/such/folder/s,remote.type=unix,remote.path=x",
      "can't bind unix=/no/such/folder/s to socket: No such file or directory" },
    { "dgram,id=n,local.type=inet,local.host=::1,local.port=0,remote.type=inet,remote.host=127.0.0.1,remote.port=1",
      "same family" },
    { "l2tpv3,id=n,src=127.0.0.1,dst=127.0.0.1,txsession=1,udp=on", "need both src and dst port for udp" },
    { "l2tpv3,id=n,src=127.0.0.1,dst=127.0.0.1,txsession=99999999999,udp=on",
      "Parameter 'txsession' expects uint32_t" },
    { "l2tpv3,id=n,src=127.0.0.1,dst=127.0.0.1,txsession=1,txcookie=1",
      "require both 'rxcookie' and 'txcookie' or neither" },
    { "l2tpv3,id=n,src=127.0.0.1,dst=127.0.0.1,txsession=1,txcookie=1,rxcookie=0x100000000", "cookie64=on" },
    { "l2tpv3,id=n,src=127.0.0.1,dst=127.0.0.1,txsession=1,offset=256", "offset must be less than 256 bytes" },
    { "l2tpv3,id=n,src=no.such.invalid,dst=127.0.0.1,txsession=1,udp=on,srcport=1,dstport=1",
      "could not resolve src 'no.such.invalid'" },
    { "vde,id=n,sock=x,mode=-1", "Parameter 'mode' expects" },
    { "netmap,id=n,ifname=x", "network backend 'netmap': not available in this build" },
    { "af-xdp,id=n,ifname=x", "network backend 'af-xdp': not available in this build" },
    { "vhost-vdpa,id=n,vhostdev=x", "network backend 'vhost-vdpa': not available in this build" },
  };
  Bench bench;

  bench_init (&bench);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    bench_refuse (&bench, cases[i][0], cases[i][1]);
  /* Of another kind, in use already, or the program's own. */
  int fds[2];
  pair (fds, SOCK_DGRAM);
  g_autofree char *wrong = g_strdup_printf ("stream,id=n,addr.type=fd,addr.str=%d", fds[1]);
  bench_refuse (&bench, wrong, "is no stream socket");
  close (fds[0]);
  pair (fds, SOCK_STREAM);
  fcntl (fds[1], F_SETFD, FD_CLOEXEC);
  g_autofree char *own = g_strdup_printf ("stream,id=n,addr.type=fd,addr.str=%d", fds[1]);
  bench_refuse (&bench, own, "in use by this program");
  close (fds[0]);
  close (fds[1]);
  bench_clear (&bench);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/stream/split", test_split);
  g_test_add_func ("/net/stream/lengths", test_lengths);
  g_test_add_func ("/net/stream/slow-reader", test_slow_reader);
  g_test_add_func ("/net/stream/full-guest", test_full_guest);
  g_test_add_func ("/net/stream/vanish", test_vanish);
  g_test_add_func ("/net/stream/reconnect", test_reconnect);
  g_test_add_func ("/net/stream/server", test_server);
  g_test_add_func ("/net/names", test_names);
  g_test_add_func ("/net/dgram/udp", test_udp);
  g_test_add_func ("/net/dgram/fd", test_dgram_fd);
  g_test_add_func ("/net/dgram/path", test_dgram_path);
  g_test_add_func ("/net/dgram/group", test_group);
  g_test_add_func ("/net/l2tp/udp", test_l2tp);
  g_test_add_func ("/net/l2tp/raw", test_l2tp_raw);
  g_test_add_func ("/net/refusals", test_refusals);
  return g_test_run ();
}
