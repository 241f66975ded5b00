/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thousands of TCP connections out of a guest that is not there, through the user-mode network to a server on this
 * host: answered and closed, dropped after the answer, dropped before it. Memory and descriptors stay what they were.
 */
#include "engine/machine/machine.h"
#include "engine/options/keyvals.h"
#include "net/net-private.h"
#include "tests/char/rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <malloc.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_A_TIME 40
#define WARM_UP 1000
#define CONNECTIONS 5000
#define ANSWER 3000 /* bytes */
#define INSIDE 80   /* the guest's server */

enum
{
  TCP_FIN = 1,
  TCP_SYN = 2,
  TCP_RST = 4,
  TCP_ACK = 16
};

typedef enum Way
{
  WAY_WHOLE,
  WAY_RESET,
  WAY_EARLY,
  WAYS
} Way; /* how a connection ends */

typedef struct Connection
{
  uint16_t port; /* the guest's, or the one that somebody outside has */
  Way way;
  bool inward, open, done;
  uint32_t seq, ack;
  unsigned got;
} Connection;

typedef struct Segment
{
  uint16_t from, port;
  uint8_t flags;
  uint32_t seq;
  size_t len;
} Segment;

typedef struct Bench
{
  Fixture f;
  VmMachine machine;
  VmNetdev *netdev;
  VmNetPort guest;
  Connection connections[AT_A_TIME];
  GArray *inbox; /* Segment: nobody sends from within a delivery */
  uint16_t server;
  unsigned answered, ended;
  GHashTable *inward; /* Connection by itself: of those that come from outside */
  uint16_t outside;   /* the forwarded port */
  gint visits;        /* that a visitor is still to make */
} Bench;

/* --- the guest ------------------------------------------------------------------------------------------------ */

static void
send_tcp (Bench *b, Connection *c, uint8_t flags, const char *text)
{
  uint16_t from = c->inward ? INSIDE : c->port, to = c->inward ? c->port : b->server;
  uint8_t frame[200] = { 0x52, 0x55, 0x0a, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0, 0x45 };
  size_t len = strlen (text);
  struct iovec iov = { frame, 54 + len };
  VmNetLayers l;
  VmNetPacket packet = { &iov, 1, iov.iov_len, { .flags = VM_NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 } };

  vm_store_be16 (frame + 16, 40 + len);
  frame[22] = 64;
  frame[23] = 6;
  memcpy (frame + 26, "\x0a\0\2\x0f\x0a\0\2\2", 8);
  vm_store_be16 (frame + 24, vm_net_checksum (&(struct iovec){ frame + 14, 20 }, 1, 0, 20, 0));
  vm_store_be16 (frame + 34, from);
  vm_store_be16 (frame + 36, to);
  vm_store_be32 (frame + 38, c->seq);
  vm_store_be32 (frame + 42, c->ack);
  frame[46] = 0x50;
  frame[47] = flags;
  vm_store_be16 (frame + 48, 32768);
  memcpy (frame + 54, text, len);
  g_assert_true (vm_net_layers (&packet, &l));
  vm_net_start_sum (frame, &l);
  c->seq += len + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
  vm_net_send (&b->guest, &packet, NULL);
}

static void
end (Bench *b, Connection *c)
{
  c->done = true;
  b->ended++;
}

static void
handle (Bench *b, Connection *c, uint8_t flags, uint32_t seq, size_t len)
{
  if (flags & TCP_RST)
    {
      end (b, c);
      return;
    }
  if (!c->open && flags & TCP_SYN)
    {
      c->open = true;
      c->ack = seq + 1;
      send_tcp (b, c, TCP_ACK, "GET");
      if (c->way == WAY_EARLY)
        {
          send_tcp (b, c, TCP_RST | TCP_ACK, "");
          end (b, c);
        }
      return;
    }
  if (seq != c->ack || (!len && !(flags & TCP_FIN)))
    return;
  c->ack += len + (flags & TCP_FIN ? 1 : 0);
  c->got += len;
  if (c->got == ANSWER && len)
    {
      b->answered++;
      send_tcp (b, c, c->way == WAY_RESET ? TCP_RST | TCP_ACK : TCP_FIN | TCP_ACK, "");
      if (c->way == WAY_RESET)
        end (b, c);
      return;
    }
  send_tcp (b, c, TCP_ACK, "");
  if (flags & TCP_FIN)
    end (b, c);
}

static bool
guest_receive (void *opaque, const VmNetPacket *packet)
{
  uint8_t frame[54];
  Bench *b = opaque;
  VmNetLayers l;

  if (!vm_net_layers (packet, &l) || l.protocol != 6 || l.l2 != 14 || l.l3 != 20)
    return true;
  vm_net_packet_copy (packet, 0, frame, sizeof frame);
  Segment s = { vm_load_be16 (frame + 34), vm_load_be16 (frame + 36), frame[47], vm_load_be32 (frame + 38),
                l.ip_len - l.l3 - l.l4 };
  g_array_append_val (b->inbox, s);
  return true;
}

static const VmNetPortOps guest_ops = { .receive = guest_receive };

/* The guest's server: an answer to what is asked, and the end when the other end has had enough. */
static void
serve_inside (Bench *b, const Segment *s)
{
  Connection *c = g_hash_table_lookup (b->inward, GUINT_TO_POINTER (s->from));

  if (s->flags & TCP_RST)
    {
      g_hash_table_remove (b->inward, GUINT_TO_POINTER (s->from));
      return;
    }
  if (s->flags & TCP_SYN)
    {
      c = g_new0 (Connection, 1);
      *c = (Connection){ .port = s->from, .inward = true, .seq = g_test_rand_int (), .ack = s->seq + 1 };
      g_hash_table_insert (b->inward, GUINT_TO_POINTER (s->from), c);
      send_tcp (b, c, TCP_SYN | TCP_ACK, "");
      return;
    }
  if (!c || s->seq != c->ack || (!s->len && !(s->flags & TCP_FIN)))
    return;
  c->ack += s->len + (s->flags & TCP_FIN ? 1 : 0);
  b->answered += s->len != 0;
  /* One in twenty ends as it should, and stays with libslirp for ten seconds more: it closed first. */
  if (s->flags & TCP_FIN)
    {
      send_tcp (b, c, s->from % 20 ? TCP_RST | TCP_ACK : TCP_FIN | TCP_ACK, "");
      g_hash_table_remove (b->inward, GUINT_TO_POINTER (s->from));
    }
  else
    send_tcp (b, c, TCP_ACK, "an answer");
}

static void
read_inbox (Bench *b)
{
  for (guint k = 0; k < b->inbox->len; k++)
    {
      Segment s = g_array_index (b->inbox, Segment, k);
      if (s.port == INSIDE)
        serve_inside (b, &s);
      for (unsigned i = 0; i < AT_A_TIME; i++)
        if (b->connections[i].port == s.port && !b->connections[i].done)
          {
            handle (b, &b->connections[i], s.flags, s.seq, s.len);
            break;
          }
    }
  g_array_set_size (b->inbox, 0);
}

/* --- the server ------------------------------------------------------------------------------------------------- */

static void *
serve (void *opaque)
{
  int listener = GPOINTER_TO_INT (opaque), fd;
  static const char answer[ANSWER];
  char request[3];

  while ((fd = accept (listener, NULL, NULL)) >= 0)
    {
      /* Who has gone already is no error. */
      if (recv (fd, request, sizeof request, MSG_WAITALL) > 0 && send (fd, answer, sizeof answer, MSG_NOSIGNAL) > 0)
        while (recv (fd, request, sizeof request, 0) > 0)
          ;
      close (fd);
    }
  return NULL;
}

/* --- what is used ------------------------------------------------------------------------------------------------ */

static size_t
resident (void)
{
  g_autofree char *text = NULL;
  unsigned long pages = 0;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%*u %lu", &pages), ==, 1);
  return pages * (size_t) getpagesize ();
}

static unsigned
descriptors (void)
{
  DIR *folder = opendir ("/proc/self/fd");
  unsigned n = 0;

  g_assert_nonnull (folder);
  while (readdir (folder))
    n++;
  closedir (folder);
  return n;
}

static void
connect_many (Bench *b, int count)
{
  static uint16_t port = 1024;

  for (int done = 0; done < count; done += AT_A_TIME)
    {
      int64_t limit = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
      b->ended = 0;
      for (unsigned i = 0; i < AT_A_TIME; i++)
        {
          b->connections[i] = (Connection){ .port = port, .way = i % WAYS, .seq = g_test_rand_int () };
          port = port == 65535 ? 1024 : port + 1;
          send_tcp (b, &b->connections[i], TCP_SYN, "");
        }
      while (b->ended < AT_A_TIME && g_get_monotonic_time () < limit)
        {
          spin (&b->f);
          read_inbox (b);
        }
      g_assert_cmpuint (b->ended, ==, AT_A_TIME);
    }
}

/* Visitors of the forwarded port: some want an answer, some only ask, some not even that. */
static void *
visit (void *opaque)
{
  Bench *b = opaque;
  const struct sockaddr_in address
      = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK), .sin_port = htons (b->outside) };
  char answer[9];

  for (unsigned i = 0; g_atomic_int_get (&b->visits) > 0; i++, (void) g_atomic_int_add (&b->visits, -1))
    {
      int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect (fd, (const struct sockaddr *) &address, sizeof address) == 0 && i % 3
          && send (fd, "GET", 3, MSG_NOSIGNAL) == 3 && i % 3 == 1)
        recv (fd, answer, sizeof answer, MSG_WAITALL);
      close (fd);
      g_usleep (500); /* libslirp's listeners have room for one: the next would wait a second for its turn */
    }
  return NULL;
}

static void
visit_many (Bench *b, int count)
{
  int64_t limit = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;

  g_atomic_int_set (&b->visits, count);
  GThread *thread = g_thread_new ("visitor", visit, b);
  while ((g_atomic_int_get (&b->visits) > 0 || g_hash_table_size (b->inward)) && g_get_monotonic_time () < limit)
    {
      spin (&b->f);
      read_inbox (b);
    }
  g_assert_cmpint (g_atomic_int_get (&b->visits), <=, 0);
  g_thread_join (thread);
}

/* Until no more than N descriptors are open. */
static void
settle (Bench *b, unsigned n)
{
  int64_t limit = g_get_monotonic_time () + 13 * G_USEC_PER_SEC;

  while (descriptors () > n && g_get_monotonic_time () < limit)
    {
      spin (&b->f);
      read_inbox (b);
      g_usleep (10000);
    }
}

static void
check (Bench *b, void (*many) (Bench *b, int count), int warm_up, int count, const char *what)
{
  unsigned before = descriptors ();

  many (b, warm_up);
  settle (b, before);
  size_t heap = mallinfo2 ().uordblks, memory = resident ();
  unsigned n = descriptors ();
  many (b, count);
  settle (b, n);
  size_t heap_after = mallinfo2 ().uordblks, memory_after = resident ();
  g_test_message ("%d connections %s: allocated %zd bytes more, resident %zd KiB more, descriptors %d more", count,
                  what, (ssize_t) (heap_after - heap), (ssize_t) (memory_after - memory) / 1024,
                  (int) (descriptors () - n));
  g_assert_cmpuint (descriptors (), <=, n + AT_A_TIME);
#if !defined __SANITIZE_ADDRESS__ /* it keeps what was freed */
  g_assert_cmpuint (heap_after, <=, heap + 100000);
  g_assert_cmpuint (memory_after, <=, memory + VM_MIB);
#endif
}

static uint16_t
free_port (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &size), ==, 0);
  close (fd);
  return ntohs (address.sin_port);
}

static void
test_connections (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  Bench *b = g_new0 (Bench, 1);
  int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (listener, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listener, 200), ==, 0);
  g_assert_cmpint (getsockname (listener, (struct sockaddr *) &address, &size), ==, 0);
  b->server = ntohs (address.sin_port);
  GThread *thread = g_thread_new ("server", serve, GINT_TO_POINTER (listener));
  b->inbox = g_array_new (FALSE, FALSE, sizeof (Segment));
  set_up (&b->f, NULL);
  b->machine.env = (VmEnv){ .loop = b->f.loop, .clocks = b->f.clocks, .root = b->f.root };
  vm_clocks_set_running (b->f.clocks, true);
  b->inward = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  b->outside = free_port ();
  g_autofree char *text = g_strdup_printf ("type=user,id=n,hostfwd=tcp:127.0.0.1:%u-:%d", b->outside, INSIDE);
  g_assert_true (vm_keyvals_parse (list, text, NULL, 0, NULL));
  b->netdev = vm_netdev_new_from_list (&b->machine, list, NULL, NULL);
  g_assert_nonnull (b->netdev);
  vm_net_port_init (&b->guest, &guest_ops, b);
  vm_net_port_set_takes (&b->guest, VM_NET_TAKES_ALL);
  vm_net_port_connect (&b->guest, g_ptr_array_index (b->netdev->ports, 0));
  /* Who asks is known. */
  vm_net_send_bytes (&b->guest,
                     "\xff\xff\xff\xff\xff\xff\x52\x54\0\x12\x34\x56\x08\x06\0\1\x08\0\6\4\0\1\x52\x54\0\x12\x34\x56"
                     "\x0a\0\2\x0f\0\0\0\0\0\0\x0a\0\2\2",
                     42, NULL);

  check (b, connect_many, WARM_UP, CONNECTIONS, "out");
  g_assert_cmpuint (b->answered, >=, (WARM_UP + CONNECTIONS) / WAYS);
  b->answered = 0;
  check (b, visit_many, WARM_UP / 2, CONNECTIONS / 5, "in");
  g_assert_cmpuint (b->answered, >=, (WARM_UP / 2 + CONNECTIONS / 5) / 3);

  shutdown (listener, SHUT_RDWR);
  g_thread_join (thread);
  close (listener);
  vm_net_port_close (&b->guest);
  vm_netdev_remove (b->netdev);
  spin (&b->f);
  vm_object_remove_child (vm_object_child (b->f.root, "netdevs"));
  tear_down (&b->f, NULL);
  g_array_unref (b->inbox);
  g_hash_table_unref (b->inward);
  g_free (b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/user/connections", test_connections);
  return g_test_run ();
}
