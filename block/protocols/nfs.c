/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of "nfs": files of NFS servers (RFC 1813), with libnfs. */
#include "block/protocols/errand.h"

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
  VmErrands errands;
  struct nfs_context *nfs;
  struct nfsfh *file;
  uint64_t allocated;
} NfsState;

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
open_file (VmErrand *e, const char *name)
{
  NfsState *s = e->state;
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
do_open (VmErrand *e)
{
  NfsState *s = e->state;
  const VmqBlockdevOptionsNfs *o = e->options;
  const char *slash = strrchr (o->path, '/');

  e->status = -EIO;
  if (!slash || !slash[1])
    {
      vm_fail (e->error, "Invalid path '%s': it must be /folder/file", o->path);
      return;
    }
  g_autofree char *folder = slash == o->path ? g_strdup ("/") : g_strndup (o->path, slash - o->path);
  s->nfs = nfs_init_context ();
  if (!s->nfs)
    vm_fail (e->error, "Failed to init NFS context");
  else if (!take_options (s, o, e->cache_direct, e->error))
    ;
  else if (nfs_mount (s->nfs, o->server->host, folder) < 0)
    vm_fail (e->error, "Failed to mount nfs share: %s", nfs_get_error (s->nfs));
  else if (open_file (e, slash))
    e->status = 0;
}

/* Moves the pieces one after the other. */
static void
move (VmErrand *e, int (*some) (NfsState *s, uint64_t offset, struct iovec *piece))
{
  struct iovec piece;
  VmVec rest = e->vec;
  uint64_t at = e->offset;

  e->status = 0;
  while (rest.size && e->status >= 0)
    {
      vm_vec_take (&rest, &piece, 1);
      while (piece.iov_len && e->status >= 0)
        {
          int n = some (e->state, at, &piece);
          e->status = MIN (n, 0);
          if (n > 0)
            {
              at += (unsigned) n;
              piece.iov_base = (char *) piece.iov_base + n;
              piece.iov_len -= (unsigned) n;
            }
        }
    }
}

static int
read_some (NfsState *s, uint64_t offset, struct iovec *piece)
{
  int n = nfs_pread (s->nfs, s->file, offset, piece->iov_len, piece->iov_base);

  if (n < 0 || (n > 0 && (size_t) n <= piece->iov_len))
    return n;
  memset (piece->iov_base, 0, piece->iov_len); /* it has become shorter */
  return (int) piece->iov_len;
}

static int
write_some (NfsState *s, uint64_t offset, struct iovec *piece)
{
  int n = nfs_pwrite (s->nfs, s->file, offset, piece->iov_len, piece->iov_base);

  return n ? n : -EIO;
}

static void
do_read (VmErrand *e)
{
  move (e, read_some);
}

static void
do_write (VmErrand *e)
{
  move (e, write_some);
}

static void
do_flush (VmErrand *e)
{
  NfsState *s = e->state;

  e->status = MIN (nfs_fsync (s->nfs, s->file), 0);
}

static void
do_truncate (VmErrand *e)
{
  NfsState *s = e->state;

  e->status = MIN (nfs_ftruncate (s->nfs, s->file, e->size), 0);
}

static const VmErrandOps nfs_ops
    = { .open = do_open, .close = do_close, .read = do_read, .write = do_write, .flush = do_flush };

static bool
nfs_node_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsNfs *o = opaque;

  if (!vm_errands_open (node, &nfs_ops, o, error))
    return false;
  node->filename = g_strdup_printf ("nfs://%s%s", o->server->host, o->path);
  return true;
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
  status = vm_errands_run (node, do_truncate, &(VmErrand){ .size = size });
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
  return vm_errands_create (graph, &nfs_ops, sizeof (NfsState), name, size, 0, error);
}

extern const VmBlockDriver vm_block_nfs; /* by name */
const VmBlockDriver vm_block_nfs = {
  .name = "nfs",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (NfsState),
  .grows = true,
  .open = nfs_node_open,
  .close = vm_errands_close,
  .read = vm_errands_read,
  .write = vm_errands_write,
  .flush = vm_errands_flush,
  .truncate = nfs_node_truncate,
  .allocated = nfs_node_allocated,
  .create = nfs_node_create,
};
