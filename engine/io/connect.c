/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connecting stream sockets: see connect.h. */
#include "engine/io/connect.h"

#include <errno.h>
#include <unistd.h>

struct VmConnect
{
  VmConnect **kept; /* by the owner */
  VmLoop *loop;
  VmAddress address;
  VmConnectFunc func;
  void *opaque;
  VmLookup *lookup;
  GArray *list; /* VmSockaddr: what was found */
  guint next;
  int fd; /* -1: none is being tried */
  GSource *settled;
};

static void
connect_free (VmConnect *c)
{
  *c->kept = NULL;
  vm_lookup_cancel (c->lookup);
  vm_source_clear (&c->settled);
  if (c->fd >= 0)
    close (c->fd);
  g_clear_pointer (&c->list, g_array_unref);
  vm_address_clear (&c->address);
  g_free (c);
}

static void
finish (VmConnect *c, int fd, const GError *error)
{
  VmConnectFunc func = c->func;
  void *opaque = c->opaque;

  connect_free (c);
  func (opaque, fd, error);
}

static void
fail (VmConnect *c, int why)
{
  g_autofree char *where = vm_address_text (&c->address);
  g_autoptr (GError) error = NULL;

  vm_fail (&error, "Failed to connect to '%s': %s", where, g_strerror (why));
  finish (c, -1, error);
}

static void
succeed (VmConnect *c)
{
  int fd = c->fd, one = 1;

  c->fd = -1;
  if (c->address.kind == VM_ADDRESS_INET && c->address.keep_alive)
    setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  finish (c, fd, NULL);
}

static void try_next (VmConnect *c, int why);

static bool
connect_settled (int fd, GIOCondition condition, void *opaque)
{
  VmConnect *c = opaque;
  int why = 0;
  socklen_t len = sizeof why;

  vm_source_clear (&c->settled);
  getsockopt (fd, SOL_SOCKET, SO_ERROR, &why, &len);
  if (why)
    try_next (c, why);
  else
    succeed (c);
  return true;
}

/* The next of what was found; WHY the one before failed. */
static void
try_next (VmConnect *c, int why)
{
  bool mptcp = c->address.kind == VM_ADDRESS_INET && c->address.mptcp;

  while (c->next < c->list->len)
    {
      const VmSockaddr *name = &g_array_index (c->list, VmSockaddr, c->next++);

      if (c->fd >= 0)
        close (c->fd);
      c->fd = socket (name->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, mptcp ? IPPROTO_MPTCP : 0);
      if (c->fd >= 0 && connect (c->fd, &name->any, name->len) == 0)
        {
          succeed (c);
          return;
        }
      why = errno;
      if (c->fd >= 0 && why == EINPROGRESS)
        {
          c->settled = vm_loop_watch_fd (c->loop, c->fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, connect_settled, c);
          return;
        }
    }
  fail (c, why);
}

static void
looked_up (void *opaque, GArray *list, const GError *error)
{
  VmConnect *c = opaque;

  c->lookup = NULL;
  c->list = list;
  if (list)
    try_next (c, ECONNREFUSED);
  else
    finish (c, -1, error);
}

void
vm_connect_start (VmConnect **kept, VmLoop *loop, const VmAddress *address, VmConnectFunc func, void *opaque)
{
  VmConnect *c = g_new0 (VmConnect, 1);
  g_autoptr (GError) error = NULL;
  GArray *list;

  *kept = c;
  c->kept = kept;
  c->loop = loop;
  vm_address_copy (&c->address, address);
  c->func = func;
  c->opaque = opaque;
  c->fd = -1;
  list = vm_address_resolve_now (address, SOCK_STREAM, false, &error);
  if (list || error)
    looked_up (c, list, error);
  else
    c->lookup = vm_lookup_start (loop, address, SOCK_STREAM, false, looked_up, c);
}

void
vm_connect_cancel (VmConnect **kept)
{
  if (*kept)
    connect_free (*kept);
}
