/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NBD server: listening, connections, exports. */
#include "block/export/nbd-private.h"
#include "engine/clock/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- connections ----------------------------------------------------------------------------------------------------
 */

static void watch_listener (VmNbdServer *s);

static void
on_handshake_late (void *opaque)
{
  vm_stream_break (&((NbdConnection *) opaque)->stream);
}

static bool
negotiate_in_time (NbdConnection *c)
{
  VmNbdServer *s = c->server;
  VmWakeup *timer = vm_wakeup_new (c->stream.loop, on_handshake_late, c);
  bool ok;

  if (s->options.handshake_s)
    vm_wakeup_arm (timer, g_get_monotonic_time () * 1000 + s->options.handshake_s * VM_NS_PER_SEC);
  ok = nbd_negotiate (c);
  vm_wakeup_free (timer);
  return ok;
}

static void
connection_life (void *opaque)
{
  NbdConnection *c = opaque;
  VmNbdServer *s = c->server;

  if (negotiate_in_time (c))
    nbd_serve (c);
  vm_stream_break (&c->stream); /* who still answers sees the end */
  while (c->in_flight)
    vm_fiber_queue_wait (&c->wake);
  g_ptr_array_remove (s->connections, c);
  vm_stream_clear (&c->stream);
  if (c->export)
    vm_export_unref (&c->export->parent);
  g_free (c);
  watch_listener (s);
  if (s->options.changed)
    s->options.changed (s->options.opaque);
  vm_fiber_queue_wake_all (&s->empty);
}

void
vm_nbd_server_accept (VmNbdServer *s, int fd)
{
  NbdConnection *c = g_new0 (NbdConnection, 1);

  c->server = s;
  vm_stream_init (&c->stream, vm_graph_loop (s->graph), fd);
  g_ptr_array_add (s->connections, c);
  if (s->options.changed)
    s->options.changed (s->options.opaque);
  vm_fiber_spawn (vm_graph_loop (s->graph), connection_life, c);
}

static bool
on_connect (int fd, GIOCondition condition, void *opaque)
{
  VmNbdServer *s = opaque;
  int client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;

  if (client < 0)
    return true;
  setsockopt (client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* of a UNIX socket it fails */
  setsockopt (client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  vm_nbd_server_accept (s, client);
  if (s->options.limit && s->connections->len >= s->options.limit && s->watch)
    vm_source_clear (&s->watch); /* others wait until one has gone */
  return s->watch != NULL;
}

static void
watch_listener (VmNbdServer *s)
{
  bool room = !s->options.limit || s->connections->len < s->options.limit;

  if (s->listener >= 0 && room && !s->watch)
    s->watch = vm_loop_watch_fd (vm_graph_loop (s->graph), s->listener, G_IO_IN, on_connect, s);
}

void
vm_nbd_server_listen (VmNbdServer *server, int fd, VmSocketAddr *addr)
{
  server->listener = fd;
  server->addr = addr;
  watch_listener (server);
}

unsigned
vm_nbd_server_connections (const VmNbdServer *server)
{
  return server->connections->len;
}

/* --- exports ---------------------------------------------------------------------------------------------------------
 */

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

static bool
nbd_in_use (const VmExport *e)
{
  return e->refs > 1;
}

static void
nbd_shut_down (VmExport *export)
{
  NbdExport *e = (NbdExport *) export;

  g_ptr_array_remove (e->server->exports, e);
  for (guint i = 0; i < e->server->connections->len; i++)
    {
      NbdConnection *c = g_ptr_array_index (e->server->connections, i);
      if (c->export == e)
        vm_stream_break (&c->stream);
    }
}

static void
nbd_free (VmExport *export)
{
  NbdExport *e = (NbdExport *) export;

  for (guint i = 0; i < e->bitmaps->len; i++)
    ((VmDirtyBitmap *) g_ptr_array_index (e->bitmaps, i))->busy--;
  g_ptr_array_unref (e->bitmaps);
  g_ptr_array_unref (e->bitmap_names);
  g_free (e->name);
  g_free (e->description);
  g_free (e);
}

static const VmExportKind nbd_kind
    = { .type = VMQ_BLOCK_EXPORT_TYPE_NBD, .in_use = nbd_in_use, .shut_down = nbd_shut_down, .free = nbd_free };

static VmDirtyBitmap *
bitmap_of (VmNode *node, const char *name)
{
  for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
    {
      VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
      if (bitmap->name && !strcmp (bitmap->name, name))
        return bitmap;
    }
  return NULL;
}

static VmDirtyBitmap *
find_bitmap (VmNode *node, const VmNbdBitmap *b, GError **error)
{
  VmDirtyBitmap *found = NULL;

  if (b->node)
    {
      VmNode *other = vm_node_find (node->graph, b->node);
      if (!other)
        return vm_fail (error, "Cannot find device='%s' nor node-name='%s'", b->node, b->node), NULL;
      found = bitmap_of (other, b->name);
    }
  else
    for (VmNode *layer = node; layer && !found; layer = vm_node_backing (layer))
      {
        found = bitmap_of (layer, b->name);
        if (!found)
          found = bitmap_of (vm_node_skip_filters (layer), b->name);
      }
  if (!found)
    vm_fail (error, "Bitmap '%s' is not found", b->name);
  return found;
}

static bool
offer_bitmaps (NbdExport *e, const VmNbdExportOptions *o, GError **error)
{
  for (unsigned i = 0; i < o->n_bitmaps; i++)
    {
      const char *name = o->bitmaps[i].name;
      VmDirtyBitmap *found = find_bitmap (o->node, &o->bitmaps[i], error);
      if (!found)
        return false;
      if (found->inconsistent)
        return vm_fail (error, "Bitmap '%s' is inconsistent and cannot be used", name);
      if (found->busy)
        return vm_fail (error, "Bitmap '%s' is currently in use by another operation and cannot be used", name);
      if (!e->parent.writable && !o->node->readonly && found->recording)
        return vm_fail (error, "Enabled bitmap '%s' incompatible with readonly export", name);
      if (strlen (name) > NBD_MAX_NAME / 2 || e->bitmaps->len + NBD_CONTEXT_BITMAP == NBD_MAX_CONTEXTS)
        return vm_fail (error, "Too many bitmaps, or too long a name");
      g_ptr_array_add (e->bitmaps, found);
      g_ptr_array_add (e->bitmap_names, g_strdup_printf ("qemu:dirty-bitmap:%s", name));
      found->busy++;
    }
  return true;
}

bool
vm_nbd_server_add (VmNbdServer *server, const VmNbdExportOptions *o, GError **error)
{
  const char *name = o->name ? o->name : "";
  NbdExport *e;

  if (strlen (name) > NBD_MAX_NAME)
    return vm_fail (error, "export name '%s' too long", name);
  if (o->description && strlen (o->description) > NBD_MAX_NAME)
    return vm_fail (error, "description '%s' too long", o->description);
  if (nbd_find_export (server, name, strlen (name)))
    return vm_fail (error, "NBD server already has export named '%s'", name);
  e = g_new0 (NbdExport, 1);
  if (!vm_export_init (&e->parent, &nbd_kind, o->node, o->id, o->writable, o->share, error))
    {
      g_free (e);
      return false;
    }
  e->parent.writethrough = o->writethrough;
  e->server = server;
  e->name = g_strdup (name);
  e->description = g_strdup (o->description);
  e->depth = o->allocation_depth;
  e->bitmaps = g_ptr_array_new ();
  e->bitmap_names = g_ptr_array_new_with_free_func (g_free);
  if (offer_bitmaps (e, o, error))
    {
      g_ptr_array_add (server->exports, e);
      return true;
    }
  g_clear_pointer (&e->parent.id, g_free); /* nobody has heard of it */
  vm_export_unref (&e->parent);
  return false;
}

/* --- the server ----------------------------------------------------------------------------------------------------
 */

VmNbdServer *
vm_nbd_server_new (VmBlockGraph *graph, const VmNbdServerOptions *options)
{
  VmNbdServer *s = g_new0 (VmNbdServer, 1);

  s->graph = graph;
  s->options = *options;
  s->options.authz = g_strdup (options->authz);
  if (s->options.creds)
    vm_object_ref ((VmObject *) s->options.creds);
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
  if (s->addr)
    vm_socket_unlink (s->addr);
  s->options.changed = NULL;
  while (s->exports->len)
    vm_export_shut_down (g_ptr_array_index (s->exports, s->exports->len - 1));
  for (guint i = 0; i < s->connections->len; i++)
    {
      NbdConnection *c = g_ptr_array_index (s->connections, i);
      vm_stream_break (&c->stream);
      nbd_give_up_question (c); /* who would answer may be waiting for us */
    }
  while (s->connections->len)
    vm_fiber_queue_wait (&s->empty);
  g_ptr_array_unref (s->exports);
  g_ptr_array_unref (s->connections);
  vm_socket_addr_free (s->addr);
  if (s->options.creds)
    vm_object_unref ((VmObject *) s->options.creds);
  g_free ((char *) (uintptr_t) s->options.authz);
  g_free (s);
}
