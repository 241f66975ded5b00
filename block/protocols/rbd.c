/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of "rbd": images in a Ceph cluster, with librbd. Requests are asynchronous and complete on its threads;
 * what only waits goes to workers. */
#include "block/node.h"
#include "engine/crypto/secret.h"

#include <errno.h>
#include <rbd/librbd.h>

enum
{
  DEFAULT_ORDER = 22, /* objects of 4 MiB */
};

typedef struct RbdState
{
  rados_t cluster;
  rados_ioctx_t io;
  rbd_image_t image;
  uint64_t object_size;
} RbdState;

typedef struct Errand
{
  RbdState *s;
  const VmqBlockdevOptionsRbd *options;
  char *key, *passphrase;
  bool readonly, cache;
  uint64_t size;
  int order, status;
  GError **error;
} Errand;

/* --- opening --------------------------------------------------------------------------------------------------------
 */

static bool
configure (Errand *e, const char *name, const char *value)
{
  int status = value ? rados_conf_set (e->s->cluster, name, value) : 0;

  return status >= 0 || vm_fail (e->error, "rbd: cannot set %s: %s", name, g_strerror (-status));
}

static bool
configure_auth (Errand *e)
{
  static const char *const names[] = { [VMQ_RBD_AUTH_MODE_CEPHX] = "cephx", [VMQ_RBD_AUTH_MODE_NONE] = "none" };
  const GArray *modes = e->options->auth_client_required;
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; modes && i < modes->len; i++)
    g_string_append_printf (text, "%s%s", i ? ";" : "", names[g_array_index (modes, VmqRbdAuthMode, i)]);
  return configure (e, "auth_client_required", text->len ? text->str : NULL) && configure (e, "key", e->key);
}

static bool
configure_servers (Errand *e)
{
  const GPtrArray *servers = e->options->server;
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; servers && i < servers->len; i++)
    {
      const VmqInetSocketAddressBase *a = g_ptr_array_index (servers, i);
      g_string_append_printf (text, strchr (a->host, ':') ? "%s[%s]:%s" : "%s%s:%s", i ? ";" : "", a->host, a->port);
    }
  return configure (e, "mon_host", text->len ? text->str : NULL);
}

static bool
join_cluster (Errand *e)
{
  const VmqBlockdevOptionsRbd *o = e->options;
  RbdState *s = e->s;
  int status = rados_create (&s->cluster, o->user);

  if (status < 0)
    return vm_fail (e->error, "error initializing: %s", g_strerror (-status));
  status = rados_conf_read_file (s->cluster, o->conf);
  if (status < 0 && o->conf)
    return vm_fail (e->error, "error reading conf file %s: %s", o->conf, g_strerror (-status));
  if (!configure_auth (e) || !configure_servers (e) || !configure (e, "rbd_cache", e->cache ? "true" : "false"))
    return false;
  status = rados_connect (s->cluster);
  if (status < 0)
    return vm_fail (e->error, "error connecting: %s", g_strerror (-status));
  status = rados_ioctx_create (s->cluster, o->pool, &s->io);
  if (status < 0)
    return vm_fail (e->error, "error opening pool %s: %s", o->pool, g_strerror (-status));
  if (o->namespace)
    rados_ioctx_set_namespace (s->io, o->namespace);
  return true;
}

static bool
load_encryption (Errand *e)
{
  const RbdState *s = e->s;
  int status = -ENOTSUP;

  if (!e->options->encrypt)
    return true;
  if (!e->passphrase)
    return vm_fail (e->error, "rbd: encrypt.key-secret is missing");
  if (e->options->encrypt->format == VMQ_RBD_IMAGE_ENCRYPTION_FORMAT_LUKS)
    {
      rbd_encryption_luks1_format_options_t luks
          = { .passphrase = e->passphrase, .passphrase_size = strlen (e->passphrase) };
      status = rbd_encryption_load (s->image, RBD_ENCRYPTION_FORMAT_LUKS1, &luks, sizeof luks);
    }
  else if (e->options->encrypt->format == VMQ_RBD_IMAGE_ENCRYPTION_FORMAT_LUKS2)
    {
      rbd_encryption_luks2_format_options_t luks
          = { .passphrase = e->passphrase, .passphrase_size = strlen (e->passphrase) };
      status = rbd_encryption_load (s->image, RBD_ENCRYPTION_FORMAT_LUKS2, &luks, sizeof luks);
    }
  else
    return vm_fail (e->error, "rbd: encrypt.format=luks-any needs a newer librbd");
  return status >= 0 || vm_fail (e->error, "error loading encryption: %s", g_strerror (-status));
}

static void
do_open (void *opaque)
{
  Errand *e = opaque;
  RbdState *s = e->s;
  const VmqBlockdevOptionsRbd *o = e->options;
  rbd_image_info_t info;

  e->status = -EIO;
  if (!join_cluster (e))
    return;
  int status = e->readonly ? rbd_open_read_only (s->io, o->image, &s->image, o->snapshot)
                           : rbd_open (s->io, o->image, &s->image, o->snapshot);
  if (status < 0)
    {
      vm_fail (e->error, "error reading header from %s: %s", o->image, g_strerror (-status));
      return;
    }
  if (!load_encryption (e))
    return;
  status = rbd_stat (s->image, &info, sizeof info);
  if (status < 0 || rbd_get_size (s->image, &e->size) < 0)
    {
      vm_fail (e->error, "error getting image info from %s: %s", o->image, g_strerror (status < 0 ? -status : EIO));
      return;
    }
  s->object_size = info.obj_size;
  e->status = 0;
}

static void
do_close (void *opaque)
{
  RbdState *s = opaque;

  if (s->image)
    rbd_close (s->image);
  if (s->io)
    rados_ioctx_destroy (s->io);
  if (s->cluster)
    rados_shutdown (s->cluster);
}

static bool
take_secrets (VmBlockGraph *graph, Errand *e)
{
  VmObject *objects = vm_graph_objects (graph);
  const VmqRbdEncryptionOptions *encrypt = e->options->encrypt;

  if (e->options->key_secret)
    {
      size_t len;
      uint8_t *bytes = vm_secret_get (objects, e->options->key_secret, &len, e->error);
      if (!bytes)
        return false;
      e->key = g_base64_encode (bytes, len);
      vm_secret_free (bytes, len);
    }
  if (encrypt && encrypt->key_secret)
    e->passphrase = vm_secret_get_text (objects, encrypt->key_secret, e->error);
  return !encrypt || !encrypt->key_secret || e->passphrase;
}

static void
drop_secrets (Errand *e)
{
  if (e->key)
    vm_secret_free (e->key, strlen (e->key));
  if (e->passphrase)
    vm_secret_free (e->passphrase, strlen (e->passphrase));
}

static bool
rbd_node_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsRbd *o = opaque;
  RbdState *s = node->state;
  Errand e = { .s = s, .options = o, .cache = !node->cache_direct, .error = error, .status = -EIO };

  if (o->snapshot && !node->readonly)
    {
      if (!node->auto_readonly)
        return vm_fail (error, "rbd snapshots are read-only");
      node->readonly = true;
    }
  e.readonly = node->readonly;
  if (take_secrets (node->graph, &e))
    vm_fiber_work (do_open, &e);
  drop_secrets (&e);
  if (e.status < 0)
    {
      vm_fiber_work (do_close, s);
      return false;
    }
  node->size = e.size;
  node->limits.optimal_transfer = (uint32_t) MIN (s->object_size, UINT32_MAX);
  node->limits.discard_alignment = 0;
  node->filename
      = g_strdup_printf ("rbd:%s%s%s/%s%s%s", o->pool, o->namespace ? "/" : "", o->namespace ? o->namespace : "",
                         o->image, o->snapshot ? "@" : "", o->snapshot ? o->snapshot : "");
  return true;
}

static void
rbd_node_close (VmNode *node)
{
  vm_fiber_work (do_close, node->state);
}

/* --- requests --------------------------------------------------------------------------------- */

typedef struct Call
{
  rbd_completion_t completion;
} Call;

static void
on_complete (rbd_completion_t completion, void *opaque)
{
  vm_fiber_wake (opaque); /* from a thread of the library */
}

static int
call_begin (Call *call)
{
  return rbd_aio_create_completion (vm_fiber_self (), on_complete, &call->completion);
}

/* STARTED: what the library said to the request. */
static int
call_end (Call *call, int started)
{
  ssize_t status = started;

  if (started >= 0)
    {
      vm_fiber_suspend ();
      status = rbd_aio_get_return_value (call->completion);
    }
  rbd_aio_release (call->completion);
  return (int) MIN (status, 0);
}

static struct iovec *
pieces_of (VmVec vec, int *n)
{
  struct iovec piece, *pieces;
  VmVec rest = vec;
  unsigned count = 0;

  while (rest.size)
    count += vm_vec_take (&rest, &piece, 1);
  pieces = g_new (struct iovec, MAX (count, 1));
  rest = vec;
  *n = (int) vm_vec_take (&rest, pieces, count);
  return pieces;
}

static int
transfer (VmNode *node, bool write, uint64_t offset, VmVec vec)
{
  const RbdState *s = node->state;
  int n, status;
  g_autofree struct iovec *pieces = pieces_of (vec, &n);
  Call call;

  status = vec.size ? call_begin (&call) : 0;
  if (status < 0 || !vec.size)
    return status;
  return call_end (&call, write ? rbd_aio_writev (s->image, pieces, n, offset, call.completion)
                                : rbd_aio_readv (s->image, pieces, n, offset, call.completion));
}

static int
rbd_node_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return transfer (node, false, offset, vec);
}

static void
do_resize (void *opaque)
{
  Errand *e = opaque;

  e->status = rbd_resize (e->s->image, e->size);
}

static int
resize (VmNode *node, uint64_t size)
{
  Errand e = { .s = node->state, .size = size };

  vm_fiber_work (do_resize, &e);
  if (e.status >= 0)
    node->size = size;
  return MIN (e.status, 0);
}

static int
rbd_node_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = offset + vec.size > node->size ? resize (node, offset + vec.size) : 0;

  return status < 0 ? status : transfer (node, true, offset, vec);
}

static int
rbd_node_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  const RbdState *s = node->state;
  Call call;
  int status = call_begin (&call);

  if (status < 0)
    return status;
  return call_end (&call, rbd_aio_write_zeroes (s->image, offset, len, call.completion,
                                                flags & VM_REQ_UNMAP ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION, 0));
}

static int
rbd_node_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  const RbdState *s = node->state;
  Call call;
  int status = call_begin (&call);

  return status < 0 ? status : call_end (&call, rbd_aio_discard (s->image, offset, len, call.completion));
}

static int
rbd_node_flush (VmNode *node)
{
  const RbdState *s = node->state;
  Call call;
  int status = call_begin (&call);

  return status < 0 ? status : call_end (&call, rbd_aio_flush (s->image, call.completion));
}

static int
rbd_node_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  int status;

  if (prealloc != VM_PREALLOC_OFF)
    {
      vm_fail (error, "Unsupported preallocation mode");
      return -ENOTSUP;
    }
  status = resize (node, size);
  if (status < 0)
    vm_fail (error, "Failed to resize file: %s", g_strerror (-status));
  return status;
}

/* --- creating --------------------------------------------------------------------------------- */

static void
do_create (void *opaque)
{
  Errand *e = opaque;

  e->status = -EIO;
  if (!join_cluster (e))
    return;
  e->status = rbd_create (e->s->io, e->options->image, e->size, &e->order);
  if (e->status < 0)
    vm_fail (e->error, "error rbd create: %s", g_strerror (-e->status));
}

static bool
rbd_node_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                 GError **error)
{
  json_object *json = vm_graph_parse_name (graph, name, error);
  VmqBlockdevOptions *options
      = json ? vm_schema_read (&vmq_type_blockdevoptions, json, VM_SCHEMA_TEXT, NULL, error) : NULL;
  RbdState s = { NULL };
  Errand e = { .s = &s, .size = size, .order = DEFAULT_ORDER, .cache = true, .error = error, .status = -EIO };

  if (options)
    {
      e.options = options->u.rbd;
      if (take_secrets (graph, &e))
        vm_fiber_work (do_create, &e);
      drop_secrets (&e);
      vm_fiber_work (do_close, &s);
    }
  vm_schema_free (&vmq_type_blockdevoptions, options);
  json_object_put (json);
  return e.status >= 0;
}

extern const VmBlockDriver vm_block_rbd; /* by name */
const VmBlockDriver vm_block_rbd = {
  .name = "rbd",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (RbdState),
  .grows = true,
  .open = rbd_node_open,
  .close = rbd_node_close,
  .read = rbd_node_read,
  .write = rbd_node_write,
  .write_zeroes = rbd_node_write_zeroes,
  .discard = rbd_node_discard,
  .flush = rbd_node_flush,
  .truncate = rbd_node_truncate,
  .create = rbd_node_create,
};
