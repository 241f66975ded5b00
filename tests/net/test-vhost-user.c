/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Partners of vhost-user that come while the machine runs: one that takes its time, one that never answers, one that
 * leaves in the middle. Nothing waits for them. */
#include "engine/schema/types.h"
#include "net/net-private.h"
#include "tests/char/rig.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE (5 * G_USEC_PER_SEC)
#define AT_ONCE (G_USEC_PER_SEC / 2)

typedef struct Bench
{
  Fixture f;
  VmNet *net;
  VmNetdev *netdev;
  char *path;
} Bench;

static void
bench_init (Bench *b)
{
  g_autoptr (GError) error = NULL;
  VmqNetdevVhostUserOptions options = { .chardev = (char *) "c" };

  memset (b, 0, sizeof *b);
  set_up (&b->f, NULL);
  b->net = (VmNet *) vm_object_new (&vm_net_type);
  b->net->loop = b->f.loop;
  b->net->clocks = b->f.clocks;
  b->net->root = b->f.root;
  vm_object_add_child (b->f.root, "netdevs", &b->net->parent);
  b->path = g_strdup_printf ("%s/vitrine-vhost-%d", g_get_tmp_dir (), getpid ());
  g_autofree char *text = g_strdup_printf ("socket,id=c,path=%s,server=on,wait=off", b->path);
  make (&b->f, text);
  b->netdev = (VmNetdev *) vm_object_new (&vm_netdev_type);
  b->netdev->net = b->net;
  b->netdev->klass = &vm_netdev_vhost_user_class;
  b->netdev->state = g_malloc0 (b->netdev->klass->state_size);
  vm_object_set_id (&b->netdev->parent, "n");
  vm_object_add_child (&b->net->parent, "n", &b->netdev->parent);
  g_assert_true (b->netdev->klass->open (b->netdev, &options, &error));
  g_assert_no_error (error);
  g_assert_true (b->netdev->no_carrier);
}

/* The loop's rounds until DONE or for TIME; returns how long the longest took. */
static int64_t
rounds (Bench *b, const bool *done, bool wanted, int64_t time)
{
  int64_t begin = g_get_monotonic_time (), longest = 0;

  while (*done != wanted && g_get_monotonic_time () - begin < time)
    {
      int64_t at = g_get_monotonic_time ();
      vm_loop_iterate (b->f.loop, false);
      longest = MAX (longest, g_get_monotonic_time () - at);
      g_usleep (1000);
    }
  return longest;
}

static void
bench_clear (Bench *b)
{
  vm_object_remove_child (&b->netdev->parent);
  vm_object_unref (&b->netdev->parent);
  rounds (b, &(bool){ false }, true, 50000); /* what was under way is told */
  vm_object_remove_child (&b->net->parent);
  vm_object_unref (&b->net->parent);
  tear_down (&b->f, NULL);
  g_unlink (b->path);
  g_free (b->path);
}

static int
come (const Bench *b)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, b->path, sizeof address.sun_path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  return fd;
}

/* Answers the questions that come, each after a while. */
static void *
answer (void *socket)
{
  int fd = GPOINTER_TO_INT (socket);
  uint32_t head[3];

  while (read (fd, head, sizeof head) == sizeof head)
    {
      uint64_t value = 0;
      if (head[2] && read (fd, &value, MIN (head[2], sizeof value)) < 0)
        break;
      g_usleep (100000);
      value = head[0] == 1 ? 0x140008000 : head[0] == 15 ? 9 : head[0] == 17 ? 1 : 0;
      const uint32_t reply[] = { head[0], 5, 8, (uint32_t) value, (uint32_t) (value >> 32) };
      if ((head[0] == 1 || head[0] == 15 || head[0] == 17 || head[1] & 8) && write (fd, reply, sizeof reply) < 0)
        break;
    }
  return NULL;
}

static void
test_slow (void)
{
  Bench b;

  bench_init (&b);
  g_assert_cmphex (b.netdev->vhost->features (b.netdev) >> 32 & 1, ==, 1);
  for (int round = 0; round < 2; round++)
    {
      int fd = come (&b);
      GThread *thread = g_thread_new ("partner", answer, GINT_TO_POINTER (fd));
      g_assert_cmpint (rounds (&b, &b.netdev->no_carrier, false, PATIENCE), <, AT_ONCE);
      g_assert_false (b.netdev->no_carrier);
      g_assert_cmphex (b.netdev->vhost->features (b.netdev), ==, 0x100008000);
      shutdown (fd, SHUT_RDWR);
      g_thread_join (thread);
      close (fd);
      rounds (&b, &b.netdev->no_carrier, true, PATIENCE);
      g_assert_true (b.netdev->no_carrier);
    }
  bench_clear (&b);
}

static void
test_silent (void)
{
  const bool never = false;
  Bench b;
  char byte;

  bench_init (&b);
  int fd = come (&b);
  g_assert_cmpint (rounds (&b, &never, true, 2500000), <, AT_ONCE);
  g_assert_true (b.netdev->no_carrier);
  while (recv (fd, &byte, 1, MSG_DONTWAIT) == 1) /* its questions; then the end */
    ;
  g_assert_cmpint (recv (fd, &byte, 1, MSG_DONTWAIT), ==, 0);
  close (fd);
  /* The next one is not kept waiting by it, nor by one that left at once, nor is the end. */
  fd = come (&b);
  rounds (&b, &never, true, 100000);
  close (fd);
  rounds (&b, &never, true, 100000);
  fd = come (&b);
  rounds (&b, &never, true, 100000);
  int64_t begin = g_get_monotonic_time ();
  bench_clear (&b);
  g_assert_cmpint (g_get_monotonic_time () - begin, <, AT_ONCE);
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vhost-user/slow", test_slow);
  g_test_add_func ("/vhost-user/silent", test_silent);
  return g_test_run ();
}
