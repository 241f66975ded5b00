/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-nbd as a client: "--list", and "--connect", which is the kernel's part of nbd(4). */
#include "block/tools/nbd-client.h"

#include "block/protocols/nbd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nbd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- listing -------------------------------------------------------------------------------------------------------
 */

static void
print_flags (uint16_t flags)
{
  static const char *const names[] = { NULL,     "readonly", "flush", "fua",    "rotational", "trim",
                                       "zeroes", "df",       "multi", "resize", "cache",      "fast-zero" };

  printf ("  flags: 0x%x (", flags);
  for (unsigned i = 1; i < G_N_ELEMENTS (names); i++)
    if (flags & (1u << i))
      printf (" %s", names[i]);
  printf (" )\n");
}

static void
print_export (const NbdExportInfo *info)
{
  printf (" export: '%s'\n", info->name);
  if (info->description && *info->description)
    printf ("  description: %s\n", info->description);
  if (info->flags & NBD_HAS_FLAGS)
    {
      printf ("  size:  %" PRIu64 "\n", info->size);
      print_flags (info->flags);
    }
  if (info->min_block)
    printf ("  min block: %" PRIu32 "\n  opt block: %" PRIu32 "\n  max block: %" PRIu32 "\n", info->min_block,
            info->best_block, info->max_block);
  if (!info->contexts->len)
    return;
  printf ("  available meta contexts: %u\n", info->contexts->len);
  for (guint i = 0; i < info->contexts->len; i++)
    printf ("   %s\n", (const char *) g_ptr_array_index (info->contexts, i));
}

int
vm_nbd_list (VmTool *tool, VmSocketAddr *addr, VmTlsCreds *creds, const char *hostname)
{
  NbdTerms terms = { .export = "", .creds = creds, .hostname = hostname ? hostname : vm_socket_addr_host (addr) };
  GError *error = NULL;
  GPtrArray *list = NULL;
  int pending = -1, fd = vm_socket_connect (addr, &pending, &error);

  if (fd >= 0)
    {
      VmStream stream;
      vm_stream_init (&stream, vm_graph_loop (tool->graph), fd);
      list = nbd_list (&stream, &terms, &error);
      vm_stream_clear (&stream);
    }
  if (!list)
    return !vm_tool_error (tool, error, "%s", "");
  printf ("exports available: %u\n", list->len);
  for (guint i = 0; i < list->len; i++)
    print_export (g_ptr_array_index (list, i));
  g_ptr_array_unref (list);
  return 0;
}

/* --- the kernel's device ---------------------------------------------------------------------------------------------
 */

struct VmNbdDevice
{
  VmLoop *loop;
  int fd;
  VmStream stream;
  GThread *thread;
  VmPostFunc gone;
  void *opaque;
};

static gpointer
device_main (gpointer data)
{
  VmNbdDevice *d = data;

  if (ioctl (d->fd, NBD_DO_IT) < 0 && errno != EPIPE)
    g_warning ("the kernel's NBD client: %s", g_strerror (errno));
  ioctl (d->fd, NBD_CLEAR_QUE);
  ioctl (d->fd, NBD_CLEAR_SOCK);
  if (d->gone)
    vm_loop_post (d->loop, d->gone, d->opaque);
  return NULL;
}

static bool
set_up (VmNbdDevice *d, const char *device, const NbdTerms *terms, GError **error)
{
  unsigned long sector = MAX (terms->min_block, 512);
  int readonly = terms->flags & NBD_READ_ONLY ? 1 : 0;

  if (terms->size % sector)
    return vm_fail (error, "Export size is not a multiple of %lu: the kernel would hide the rest", sector);
  /* The kernel waits for the socket by itself. */
  if (fcntl (d->stream.fd, F_SETFL, fcntl (d->stream.fd, F_GETFL) & ~O_NONBLOCK) < 0
      || ioctl (d->fd, NBD_CLEAR_SOCK) < 0 || ioctl (d->fd, NBD_SET_BLKSIZE, sector) < 0
      || ioctl (d->fd, NBD_SET_SIZE_BLOCKS, (unsigned long) (terms->size / sector)) < 0
      || ioctl (d->fd, NBD_SET_FLAGS, (unsigned long) terms->flags) < 0 || ioctl (d->fd, BLKROSET, &readonly) < 0
      || ioctl (d->fd, NBD_SET_SOCK, (unsigned long) d->stream.fd) < 0)
    return vm_fail (error, "Failed to set NBD socket of %s: %s", device, g_strerror (errno));
  return true;
}

static void
device_free (VmNbdDevice *d)
{
  vm_stream_clear (&d->stream);
  if (d->fd >= 0)
    close (d->fd);
  g_free (d);
}

VmNbdDevice *
vm_nbd_device_connect (VmTool *tool, VmNbdServer *server, const char *name, const char *device, VmPostFunc gone,
                       void *opaque)
{
  VmNbdDevice *d = g_new0 (VmNbdDevice, 1);
  /* The kernel takes simple replies only. */
  NbdTerms terms = { .export = name ? name : "", .simple = true };
  GError *error = NULL;
  int ends[2];
  bool ok;

  d->loop = vm_graph_loop (tool->graph);
  d->stream.fd = -1;
  d->gone = gone;
  d->opaque = opaque;
  d->fd = open (device, O_RDWR | O_CLOEXEC);
  if (d->fd < 0)
    ok = vm_fail (&error, "Failed to open %s: %s", device, g_strerror (errno));
  else if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
    ok = vm_fail (&error, "Failed to make a socket: %s", g_strerror (errno));
  else
    {
      vm_stream_init (&d->stream, d->loop, ends[0]);
      vm_nbd_server_accept (server, ends[1]);
      ok = nbd_connect (&d->stream, &terms, &error) && set_up (d, device, &terms, &error);
    }
  if (!ok)
    {
      device_free (d);
      vm_tool_error (tool, error, "%s", "");
      return NULL;
    }
  d->thread = g_thread_new ("nbd-device", device_main, d);
  return d;
}

static void
join (void *opaque)
{
  g_thread_join (((VmNbdDevice *) opaque)->thread);
}

void
vm_nbd_device_disconnect (VmNbdDevice *device)
{
  device->gone = NULL;
  ioctl (device->fd, NBD_DISCONNECT);
  vm_fiber_work (join, device);
  device_free (device);
}

int
vm_nbd_device_clear (VmTool *tool, const char *device)
{
  int fd = open (device, O_RDWR | O_CLOEXEC);

  if (fd < 0)
    return !vm_tool_error (tool, NULL, "Cannot open %s: %s", device, g_strerror (errno));
  if (ioctl (fd, NBD_CLEAR_QUE) < 0 || ioctl (fd, NBD_DISCONNECT) < 0 || ioctl (fd, NBD_CLEAR_SOCK) < 0)
    {
      int why = errno;
      close (fd);
      return !vm_tool_error (tool, NULL, "Cannot disconnect %s: %s", device, g_strerror (why));
    }
  printf ("%s disconnected\n", device);
  close (fd);
  return 0;
}
