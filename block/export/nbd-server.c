/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NBD server: listening, connections, exports. */
#include "block/export/nbd-private.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a socket in fibers ------------------------------------------------------------------------------------------- */

static bool
on_ready (int fd, GIOCondition condition, void *opaque)
{
  vm_fiber_wake (opaque);
  return false;
}

static void
wait_for (NbdConnection *c, GIOCondition condition)
{
  GSource *watch = vm_loop_watch_fd (vm_graph_loop (c->server->graph), c->fd, condition, on_ready, vm_fiber_self ());

  vm_fiber_suspend ();
  vm_source_clear (&watch);
}

bool
nbd_read (NbdConnection *c, void *buffer, size_t len)
{
  for (size_t at = 0; at < len;)
    {
      ssize_t n = recv (c->fd, (char *) buffer + at, len - at, MSG_DONTWAIT);
      if (n > 0)
        at += (size_t) n;
      else if (n < 0 && errno == EAGAIN)
        wait_for (c, G_IO_IN);
      else if (n == 0 || errno != EINTR)
        return false;
    }
  return true;
}

bool
nbd_write (NbdConnection *c, const void *buffer, size_t len)
{
  for (size_t at = 0; at < len;)
    {
      ssize_t n = send (c->fd, (const char *) buffer + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0)
        at += (size_t) n;
      else if (errno == EAGAIN)
        wait_for (c, G_IO_OUT);
      else if (errno != EINTR)
        return false;
    }
  return true;
}

/* --- connections ----------------------------------------------------------------------------------------------------
 */

static void watch_listener (VmNbdServer *s);

static void
connection_life (void *opaque)
{
  NbdConnection *c = opaque;
  VmNbdServer *s = c->server;

  if (nbd_negotiate (c))
    nbd_serve (c);
  while (c->in_flight)
    vm_fiber_queue_wait (&c->wake);
  g_ptr_array_remove (s->connections, c);
  close (c->fd);
  g_free (c);
  watch_listener (s);
  if (s->changed)
    s->changed (s->opaque);
  vm_fiber_queue_wake_all (&s->empty);
}

static bool
on_connect (int fd, GIOCondition condition, void *opaque)
{
  VmNbdServer *s = opaque;
  int client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  NbdConnection *c;

  if (client < 0)
    return true;
  c = g_new0 (NbdConnection, 1);
  c->server = s;
  c->fd = client;
  g_ptr_array_add (s->connections, c);
  if (s->changed)
    s->changed (s->opaque);
  vm_fiber_spawn (vm_graph_loop (s->graph), connection_life, c);
  if (s->limit && s->connections->len >= s->limit && s->watch)
    vm_source_clear (&s->watch); /* others wait until one has gone */
  return s->watch != NULL;
}

static void
watch_listener (VmNbdServer *s)
{
  bool room = !s->limit || s->connections->len < s->limit;

  if (s->listener >= 0 && room && !s->watch)
    s->watch = vm_loop_watch_fd (vm_graph_loop (s->graph), s->listener, G_IO_IN, on_connect, s);
}

void
vm_nbd_server_listen (VmNbdServer *server, int fd)
{
  server->listener = fd;
  watch_listener (server);
}

unsigned
vm_nbd_server_connections (const VmNbdServer *server)
{
  return server->connections->len;
}

/* --- exports ---------------------------------------------------------------------------------------------------------
 */

static void
drain_begin (void *opaque)
{
  ((NbdExport *) opaque)->drains++;
}

static bool
drain_busy (void *opaque)
{
  return ((NbdExport *) opaque)->in_flight > 0;
}

static void
drain_end (void *opaque)
{
  NbdExport *e = opaque;

  if (!--e->drains)
    vm_fiber_queue_wake_all (&e->wake);
}

static const VmRootClass export_root
    = { .kind = "export", .drain_begin = drain_begin, .drain_busy = drain_busy, .drain_end = drain_end };

NbdExport *
nbd_find_export (VmNbdServer *server, const char *name, size_t len)
{
  for (guint i = 0; i < server->exports->len; i++)
    {
      NbdExport *e = g_ptr_array_index (server->exports, i);
      if (strlen (e->name) == len && !memcmp (e->name, name, len))
        return e;
    }
  return NULL;
}

static void
export_free (NbdExport *e)
{
  if (e->root)
    vm_node_detach (e->root);
  for (guint i = 0; i < e->bitmaps->len; i++)
    ((VmDirtyBitmap *) g_ptr_array_index (e->bitmaps, i))->busy--;
  g_ptr_array_unref (e->bitmaps);
  g_ptr_array_unref (e->bitmap_names);
  g_free (e->name);
  g_free (e->description);
  g_free (e);
}

static bool
offer_bitmaps (NbdExport *e, VmNode *node, const char *const *names, GError **error)
{
  for (; names && *names; names++)
    {
      VmDirtyBitmap *found = NULL;
      for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
        {
          VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
          if (bitmap->name && !strcmp (bitmap->name, *names))
            found = bitmap;
        }
      if (!found)
        return vm_fail (error, "Bitmap '%s' is not found", *names);
      if (found->inconsistent)
        return vm_fail (error, "Bitmap '%s' is inconsistent and cannot be used", *names);
      if (e->writable && found->recording)
        return vm_fail (error, "Bitmap '%s' records what clients of a writable export write", *names);
      if (e->bitmaps->len + NBD_CONTEXT_BITMAP == NBD_MAX_CONTEXTS)
        return vm_fail (error, "Too many bitmaps");
      found->busy++;
      g_ptr_array_add (e->bitmaps, found);
      g_ptr_array_add (e->bitmap_names, g_strdup_printf ("qemu:dirty-bitmap:%s", *names));
    }
  return true;
}

bool
vm_nbd_server_add (VmNbdServer *server, const VmNbdExportOptions *o, GError **error)
{
  const char *name = o->name ? o->name : "";
  NbdExport *e;

  if (strlen (name) > NBD_MAX_NAME || (o->description && strlen (o->description) > NBD_MAX_NAME))
    return vm_fail (error, "export name or description is too long");
  if (nbd_find_export (server, name, strlen (name)))
    return vm_fail (error, "NBD server already has export named '%s'", name);
  e = g_new0 (NbdExport, 1);
  e->server = server;
  e->name = g_strdup (name);
  e->description = g_strdup (o->description);
  e->writable = o->writable;
  e->shared = o->shared;
  e->depth = o->allocation_depth;
  e->bitmaps = g_ptr_array_new ();
  e->bitmap_names = g_ptr_array_new_with_free_func (g_free);
  e->root = vm_node_attach_root (o->node, "nbd", &export_root, e, VM_PERM_READ | (o->writable ? VM_PERM_WRITE : 0),
                                 o->share, error);
  if (e->root && offer_bitmaps (e, o->node, o->bitmaps, error))
    {
      g_ptr_array_add (server->exports, e);
      return true;
    }
  export_free (e);
  return false;
}

VmNbdServer *
vm_nbd_server_new (VmBlockGraph *graph, unsigned limit, void (*changed) (void *opaque), void *opaque)
{
  VmNbdServer *s = g_new0 (VmNbdServer, 1);

  s->graph = graph;
  s->limit = limit;
  s->changed = changed;
  s->opaque = opaque;
  s->exports = g_ptr_array_new ();
  s->connections = g_ptr_array_new ();
  s->listener = -1;
  return s;
}

void
vm_nbd_server_free (VmNbdServer *s)
{
  if (!s)
    return;
  vm_source_clear (&s->watch);
  if (s->listener >= 0)
    close (s->listener);
  s->listener = -1;
  s->changed = NULL;
  for (guint i = 0; i < s->connections->len; i++)
    shutdown (((NbdConnection *) g_ptr_array_index (s->connections, i))->fd, SHUT_RDWR);
  while (s->connections->len)
    vm_fiber_queue_wait (&s->empty);
  for (guint i = 0; i < s->exports->len; i++)
    export_free (g_ptr_array_index (s->exports, i));
  g_ptr_array_unref (s->exports);
  g_ptr_array_unref (s->connections);
  g_free (s);
}
