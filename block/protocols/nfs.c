/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of "nfs": files of NFS servers (RFC 1813), with libnfs. Its calls wait, so they are made on workers, one
 * at a time for each mount. */
#include "block/node.h"

#include <errno.h>
#include <fcntl.h>
#include <nfsc/libnfs.h>
#include <sys/stat.h>

enum
{
  MAX_READAHEAD = 1024 * 1024,
  MAX_CACHE_PAGES = 8 * 1024 * 1024 / NFS_BLKSIZE,
  MAX_DEBUG = 2,
};

typedef struct NfsState
{
  struct nfs_context *nfs;
  struct nfsfh *file;
  uint64_t allocated;
  VmFiberMutex mutex;
} NfsState;

typedef struct Errand
{
  NfsState *s;
  const VmqBlockdevOptionsNfs *options;
  int flags;
  bool cache_direct;
  uint64_t offset, size;
  VmVec vec;
  int status;
  GError **error;
} Errand;

static bool
take_options (NfsState *s, const VmqBlockdevOptionsNfs *o, bool cache_direct, GError **error)
{
  if (o->has_user)
    nfs_set_uid (s->nfs, (int) o->user);
  if (o->has_group)
    nfs_set_gid (s->nfs, (int) o->group);
  if (o->has_tcp_syn_count)
    nfs_set_tcp_syncnt (s->nfs, (int) o->tcp_syn_count);
  if (o->has_readahead_size && cache_direct)
    return vm_fail (error, "Cannot enable NFS readahead if cache.direct = on");
  if (o->has_readahead_size)
    nfs_set_readahead (s->nfs, (uint32_t) CLAMP (o->readahead_size, 0, MAX_READAHEAD));
  if (o->has_page_cache_size && cache_direct)
    return vm_fail (error, "Cannot enable NFS pagecache if cache.direct = on");
  if (o->has_page_cache_size)
    nfs_set_pagecache (s->nfs, (uint32_t) CLAMP (o->page_cache_size, 0, MAX_CACHE_PAGES));
  if (o->has_debug)
    nfs_set_debug (s->nfs, (int) CLAMP (o->debug, 0, MAX_DEBUG));
  return true;
}

static void
do_close (void *opaque)
{
  NfsState *s = opaque;

  if (s->file)
    nfs_close (s->nfs, s->file);
  if (s->nfs)
    nfs_destroy_context (s->nfs);
}

static bool
open_file (Errand *e, const char *name)
{
  NfsState *s = e->s;
  int status
      = e->flags & O_CREAT ? nfs_creat (s->nfs, name, 0600, &s->file) : nfs_open (s->nfs, name, e->flags, &s->file);
  struct nfs_stat_64 st;

  if (status < 0)
    return vm_fail (e->error, "Failed to open file : %s", nfs_get_error (s->nfs));
  if (e->flags & O_CREAT && nfs_ftruncate (s->nfs, s->file, e->size) < 0)
    return vm_fail (e->error, "Failed to set the size of the file : %s", nfs_get_error (s->nfs));
  if (nfs_fstat64 (s->nfs, s->file, &st) < 0)
    return vm_fail (e->error, "Failed to fstat file : %s", nfs_get_error (s->nfs));
  e->size = st.nfs_size;
  s->allocated = st.nfs_blocks * 512;
  return true;
}

static void
do_open (void *opaque)
{
  Errand *e = opaque;
  const VmqBlockdevOptionsNfs *o = e->options;
  const char *slash = strrchr (o->path, '/');

  e->status = -EIO;
  if (!slash || !slash[1])
    {
      vm_fail (e->error, "Invalid path '%s': it must be /folder/file", o->path);
      return;
    }
  g_autofree char *folder = slash == o->path ? g_strdup ("/") : g_strndup (o->path, slash - o->path);
  e->s->nfs = nfs_init_context ();
  if (!e->s->nfs)
    vm_fail (e->error, "Failed to init NFS context");
  else if (!take_options (e->s, o, e->cache_direct, e->error))
    ;
  else if (nfs_mount (e->s->nfs, o->server->host, folder) < 0)
    vm_fail (e->error, "Failed to mount nfs share: %s", nfs_get_error (e->s->nfs));
  else if (open_file (e, slash))
    e->status = 0;
}

static bool
nfs_node_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsNfs *o = opaque;
  NfsState *s = node->state;
  Errand e = { .s = s, .options = o, .flags = node->readonly ? O_RDONLY : O_RDWR, .error = error };

  e.cache_direct = node->cache_direct;
  vm_fiber_work (do_open, &e);
  if (e.status < 0)
    {
      vm_fiber_work (do_close, s);
      return false;
    }
  node->size = e.size;
  node->filename = g_strdup_printf ("nfs://%s%s", o->server->host, o->path);
  return true;
}

static void
nfs_node_close (VmNode *node)
{
  vm_fiber_work (do_close, node->state);
}

static int
run (NfsState *s, VmFiberFunc func, Errand *e)
{
  e->s = s;
  vm_fiber_mutex_lock (&s->mutex);
  vm_fiber_work (func, e);
  vm_fiber_mutex_unlock (&s->mutex);
  return e->status;
}

static void
do_read (void *opaque)
{
  Errand *e = opaque;
  struct iovec piece;
  VmVec rest = e->vec;
  uint64_t at = e->offset;

  e->status = 0;
  while (rest.size && e->status >= 0)
    {
      vm_vec_take (&rest, &piece, 1);
      while (piece.iov_len && e->status >= 0)
        {
          int n = nfs_pread (e->s->nfs, e->s->file, at, piece.iov_len, piece.iov_base);
          if (n < 0)
            e->status = n;
          else if (n == 0 || (size_t) n > piece.iov_len) /* it has become shorter */
            {
              memset (piece.iov_base, 0, piece.iov_len);
              n = (int) piece.iov_len;
            }
          if (n > 0)
            {
              at += (unsigned) n;
              piece.iov_base = (char *) piece.iov_base + n;
              piece.iov_len -= (unsigned) n;
            }
        }
    }
}

static void
do_write (void *opaque)
{
  Errand *e = opaque;
  struct iovec piece;
  VmVec rest = e->vec;
  uint64_t at = e->offset;

  e->status = 0;
  while (rest.size && e->status >= 0)
    {
      vm_vec_take (&rest, &piece, 1);
      while (piece.iov_len && e->status >= 0)
        {
          int n = nfs_pwrite (e->s->nfs, e->s->file, at, piece.iov_len, piece.iov_base);
          if (n <= 0)
            e->status = n < 0 ? n : -EIO;
          else
            {
              at += (unsigned) n;
              piece.iov_base = (char *) piece.iov_base + n;
              piece.iov_len -= (unsigned) n;
            }
        }
    }
}

static void
do_flush (void *opaque)
{
  Errand *e = opaque;

  e->status = MIN (nfs_fsync (e->s->nfs, e->s->file), 0);
}

static void
do_truncate (void *opaque)
{
  Errand *e = opaque;

  e->status = MIN (nfs_ftruncate (e->s->nfs, e->s->file, e->size), 0);
}

static int
nfs_node_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return run (node->state, do_read, &(Errand){ .offset = offset, .vec = vec });
}

static int
nfs_node_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = run (node->state, do_write, &(Errand){ .offset = offset, .vec = vec });

  if (status >= 0)
    node->size = MAX (node->size, offset + vec.size);
  return status;
}

static int
nfs_node_flush (VmNode *node)
{
  return run (node->state, do_flush, &(Errand){ 0 });
}

static int
nfs_node_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  int status;

  if (prealloc != VM_PREALLOC_OFF)
    {
      vm_fail (error, "Unsupported preallocation mode");
      return -ENOTSUP;
    }
  status = run (node->state, do_truncate, &(Errand){ .size = size });
  if (status < 0)
    vm_fail (error, "Failed to truncate file: %s", g_strerror (-status));
  else
    node->size = size;
  return status;
}

static uint64_t
nfs_node_allocated (VmNode *node)
{
  return ((NfsState *) node->state)->allocated;
}

static bool
nfs_node_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                 GError **error)
{
  json_object *json = vm_graph_parse_name (graph, name, error);
  VmqBlockdevOptions *options
      = json ? vm_schema_read (&vmq_type_blockdevoptions, json, VM_SCHEMA_TEXT, NULL, error) : NULL;
  NfsState s = { NULL };
  Errand e = { .s = &s, .flags = O_RDWR | O_CREAT, .size = size, .error = error, .status = -EIO };

  if (options)
    {
      e.options = options->u.nfs;
      vm_fiber_work (do_open, &e);
      vm_fiber_work (do_close, &s);
    }
  vm_schema_free (&vmq_type_blockdevoptions, options);
  json_object_put (json);
  return e.status >= 0;
}

extern const VmBlockDriver vm_block_nfs; /* by name */
const VmBlockDriver vm_block_nfs = {
  .name = "nfs",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (NfsState),
  .grows = true,
  .open = nfs_node_open,
  .close = nfs_node_close,
  .read = nfs_node_read,
  .write = nfs_node_write,
  .flush = nfs_node_flush,
  .truncate = nfs_node_truncate,
  .allocated = nfs_node_allocated,
  .create = nfs_node_create,
};
