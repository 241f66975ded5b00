/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back ends on the bench: see bench.h. */
#include "tests/net/bench.h"

#include "engine/machine/machine.h"
#include "engine/options/keyvals.h"

#include <glib/gstdio.h>

/* --- the bench ---------------------------------------------------------------------------------------------- */

void
bench_init (Bench *bench)
{
  VmEnv *env;

  *bench = (Bench){ .machine = g_new0 (VmMachine, 1) };
  bench->dir = g_dir_make_tmp ("test-net-XXXXXX", NULL);
  bench->lock = vm_lock_new ();
  bench->entered = vm_lock_enter (bench->lock);
  env = &bench->machine->env;
  env->loop = vm_loop_new ("test", bench->lock);
  env->clocks = vm_clocks_new (env->loop);
  env->root = vm_object_new (&vm_container_type);
}

void
bench_clear (Bench *bench)
{
  VmEnv *env = &bench->machine->env;

  vm_object_unref (env->root);
  vm_clocks_free (env->clocks);
  vm_lock_leave (bench->lock, bench->entered);
  vm_loop_free (env->loop);
  vm_lock_free (bench->lock);
  g_free (bench->machine);
  g_assert_cmpint (g_rmdir (bench->dir), ==, 0); /* what was made there is gone */
  g_free (bench->dir);
}

char *
bench_path (Bench *bench, const char *name)
{
  return g_build_filename (bench->dir, name, NULL);
}

VmNetdev *
bench_try (Bench *bench, const char *text, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_auto (GStrv) parts = g_strsplit (text, "%", -1);
  g_autofree char *whole = g_strjoinv (bench->dir, parts);

  return vm_keyvals_parse (list, whole, "type", VM_KEYVALS_STRICT, error)
             ? vm_netdev_new_from_list (bench->machine, list, NULL, error)
             : NULL;
}

VmNetdev *
bench_add (Bench *bench, const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  VmNetdev *netdev = bench_try (bench, text, &error);
  g_assert_no_error (error);
  g_assert_nonnull (netdev);
  return netdev;
}

void
bench_refuse (Bench *bench, const char *text, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (bench_try (bench, text, &error));
  g_assert_nonnull (error);
  if (!strstr (error->message, why))
    g_error ("%s: \"%s\" is not in \"%s\"", text, why, error->message);
}

void
bench_drop (Bench *bench, VmNetdev *netdev)
{
  g_assert_true (vm_netdev_delete (bench->machine, netdev->parent.id, NULL));
}

void
bench_turn (Bench *bench)
{
  VmLoop *loop = bench->machine->env.loop;

  if (!vm_loop_iterate (loop, false))
    g_usleep (200);
}

/* --- the guest ------------------------------------------------------------------------------------------------- */

static bool
guest_receive (void *opaque, const VmNetPacket *packet)
{
  Guest *guest = opaque;
  uint8_t *bytes;

  if (!guest->room)
    return false;
  guest->room--;
  bytes = g_malloc (packet->len);
  g_assert_cmpuint (vm_net_packet_copy (packet, 0, bytes, packet->len), ==, packet->len);
  g_ptr_array_add (guest->got, g_bytes_new_take (bytes, packet->len));
  return true;
}

static const VmNetPortOps ops = { .receive = guest_receive };

void
guest_init (Guest *guest, VmNetdev *netdev)
{
  *guest = (Guest){ .got = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref), .room = UINT_MAX };
  vm_net_port_init (&guest->port, &ops, guest);
  vm_net_port_connect (&guest->port, g_ptr_array_index (netdev->ports, 0));
}

void
guest_clear (Guest *guest)
{
  vm_net_port_close (&guest->port);
  g_ptr_array_unref (guest->got);
}

static void
guest_sent (void *opaque)
{
  ((Guest *) opaque)->sent++;
}

bool
guest_send (Guest *guest, const void *frame, size_t len)
{
  size_t half = len / 2;
  struct iovec iov[2] = { { (void *) frame, half }, { (char *) frame + half, len - half } };

  return vm_net_send (&guest->port, &(VmNetPacket){ .iov = iov, .n = 2, .len = len }, guest_sent);
}

void
guest_ready (Guest *guest, unsigned room)
{
  guest->room = room;
  vm_net_port_ready (&guest->port);
}
