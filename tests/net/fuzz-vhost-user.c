/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A vhost-user partner that answers anything: what it says lies in the socket before it is asked. */
#include "engine/options/keyvals.h"
#include "engine/schema/types.h"
#include "net/net-private.h"
#include "tests/char/rig.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

static void
operate (VmNetdev *netdev, uint8_t op)
{
  static const uint8_t memory[4096];
  const VmVhostRegion regions[2]
      = { { 0, 4096, 0, (uint8_t *) memory, 0 }, { 1 << 20, 4096, 0, (uint8_t *) memory, 0 } };
  VmVhostRing rings[2] = { { 256, 0, memory, memory, memory, 1, 1, true }, { 0 } };

  if (!netdev->vhost)
    return;
  switch (op & 7)
    {
    case 0:
    case 1:
      netdev->vhost->start (netdev, netdev->vhost->features (netdev), regions, op >> 3 & 1 ? 2 : 0, rings, 2, NULL);
      break;
    case 2:
      netdev->vhost->stop (netdev, rings, 2);
      break;
    case 3:
      netdev->vhost->set_memory (netdev, regions, 2, NULL);
      break;
    case 4:
      netdev->vhost->enable (netdev, 0, op & 8);
      break;
    case 5:
      netdev->vhost->announce (netdev, memory);
      break;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  size_t n_ops = size ? data[0] % 8 : 0;
  g_autofree char *text = NULL;
  Fixture f;
  int pair[2];

  if (size < 1 + n_ops || socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return;
  memset (&f, 0, sizeof f);
  set_up (&f, NULL);
  VmNet *net = (VmNet *) vm_object_new (&vm_net_type);
  net->loop = f.loop;
  net->clocks = f.clocks;
  net->root = f.root;
  vm_object_add_child (f.root, "netdevs", &net->parent);
  text = g_strdup_printf ("socket,id=c,fd=%d", pair[0]);
  make (&f, text);
  if (write (pair[1], data + 1 + n_ops, MIN (size - 1 - n_ops, 65536)) < 0)
    g_test_message ("nothing was said");
  shutdown (pair[1], SHUT_WR);
  VmNetdev *netdev = (VmNetdev *) vm_object_new (&vm_netdev_type);
  VmqNetdevVhostUserOptions options = { .chardev = (char *) "c" };
  netdev->net = net;
  netdev->klass = &vm_netdev_vhost_user_class;
  netdev->state = g_malloc0 (netdev->klass->state_size);
  vm_object_set_id (&netdev->parent, "n");
  vm_object_add_child (&net->parent, "n", &netdev->parent);
  if (netdev->klass->open (netdev, &options, NULL))
    for (size_t i = 0; i < n_ops; i++)
      {
        operate (netdev, data[1 + i]);
        spin (&f);
      }
  vm_object_remove_child (&netdev->parent);
  vm_object_unref (&netdev->parent);
  vm_object_remove_child (&net->parent);
  vm_object_unref (&net->parent);
  close (pair[1]);
  tear_down (&f, NULL);
}

static void
add (GByteArray *input, uint32_t request, uint32_t flags, uint64_t value, uint32_t size)
{
  const uint32_t head[] = { request, flags, size };

  g_byte_array_append (input, (const uint8_t *) head, sizeof head);
  g_byte_array_append (input, (const uint8_t *) &value, MIN (size, 8));
}

/* The answers to the first questions, some of them true; then to whatever comes. */
void
fuzz_make (GRand *rand, GByteArray *input)
{
  const uint8_t n_ops = g_rand_int_range (rand, 0, 8);
  const uint64_t features = 0x140008000ull | (g_rand_boolean (rand) ? g_rand_int (rand) : 0);
  const uint64_t protocol = g_rand_boolean (rand) ? 13 : g_rand_int (rand) & 15;

  g_byte_array_append (input, &n_ops, 1);
  for (int i = 0; i < n_ops; i++)
    {
      uint8_t op = i ? g_rand_int (rand) : 8;
      g_byte_array_append (input, &op, 1);
    }
  add (input, 1, 5, features, 8);
  add (input, 15, 5, protocol, 8);
  if (protocol & 8)
    add (input, 16, 5, 0, 8);
  if (protocol & 1)
    add (input, 17, 5, g_rand_int_range (rand, 0, 3), 8);
  if (protocol & 8)
    add (input, 3, 5, 0, 8);
  static const uint8_t order[] = { 2, 5, 8, 10, 9, 14, 13, 12, 18, 11 };
  for (unsigned i = 0; i < sizeof order + 4u && g_rand_int_range (rand, 0, 30); i++)
    add (input, g_rand_int_range (rand, 0, 20) ? order[i % sizeof order] : g_rand_int (rand),
         g_rand_int_range (rand, 0, 20) ? 5 : g_rand_int (rand), g_rand_int_range (rand, 0, 20) ? 0 : g_rand_int (rand),
         g_rand_int_range (rand, 0, 30) ? 8 : g_rand_int (rand));
}
