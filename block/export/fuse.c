/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of block-export-add type=fuse: a node as a regular file, in the place of one that is there (libfuse 3, its
 * low-level interface). Each request of the kernel is a fiber. */
#define FUSE_USE_VERSION 34

#include "block/export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum
{
  MAX_IO = 1024 * 1024,
  ATTR_TIMEOUT_S = 1,
};

typedef struct FuseExport
{
  VmExport parent;
  char *mountpoint;
  struct fuse_session *session;
  GSource *watch;
  bool growable, mounted;
  unsigned requests, opens;
  VmFiberQueue idle;
  struct stat st; /* of the file below, and what was set since */
} FuseExport;

static FuseExport *
export_of (fuse_req_t request)
{
  return fuse_req_userdata (request);
}

static VmNode *
node_of (fuse_req_t request)
{
  return export_of (request)->parent.root->node;
}

/* --- attributes -----------------------------------------------------------------------------------------------------
 */

static void
fill_attributes (const FuseExport *e, struct stat *st)
{
  VmNode *node = e->parent.root->node;
  uint64_t allocated = node->driver->allocated ? node->driver->allocated (node) : node->size;

  *st = (struct stat){ .st_ino = FUSE_ROOT_ID,
                       .st_mode = e->st.st_mode,
                       .st_nlink = 1,
                       .st_uid = e->st.st_uid,
                       .st_gid = e->st.st_gid,
                       .st_size = (off_t) node->size,
                       .st_blksize = MAX (node->limits.alignment, 4096),
                       .st_blocks = (blkcnt_t) (allocated / 512),
                       .st_atim = e->st.st_atim,
                       .st_mtim = e->st.st_mtim,
                       .st_ctim = e->st.st_ctim };
}

static void
op_getattr (fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
  struct stat st;

  fill_attributes (export_of (request), &st);
  fuse_reply_attr (request, &st, ATTR_TIMEOUT_S);
}

static int
resize (FuseExport *e, uint64_t size)
{
  VmEdge *root = e->parent.root;
  unsigned perm = root->perm;
  int status;

  if (!e->parent.writable)
    return -EACCES;
  if (!vm_edge_set_perms (root, perm | VM_PERM_RESIZE, root->shared, NULL))
    return -EPERM;
  status = vm_node_truncate (root->node, size, true, VM_PREALLOC_OFF, 0, NULL);
  if (!e->growable)
    vm_edge_set_perms (root, perm, root->shared, NULL);
  return MIN (status, 0);
}

static void
op_setattr (fuse_req_t request, fuse_ino_t ino, struct stat *st, int what, struct fuse_file_info *info)
{
  static const int known = FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID
                           | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME | FUSE_SET_ATTR_ATIME_NOW
                           | FUSE_SET_ATTR_MTIME_NOW;
  FuseExport *e = export_of (request);
  int status = 0;

  if (what & ~known || (what & FUSE_SET_ATTR_SIZE && st->st_size < 0))
    status = -ENOTSUP;
  if (!status && what & FUSE_SET_ATTR_MODE && st->st_mode & (S_IWUSR | S_IWGRP | S_IWOTH) && !e->parent.writable)
    status = -EROFS;
  if (!status && what & FUSE_SET_ATTR_SIZE)
    status = resize (e, (uint64_t) st->st_size);
  if (status < 0)
    {
      fuse_reply_err (request, -status);
      return;
    }
  if (what & FUSE_SET_ATTR_MODE)
    e->st.st_mode = (st->st_mode & 07777) | S_IFREG;
  if (what & FUSE_SET_ATTR_UID)
    e->st.st_uid = st->st_uid;
  if (what & FUSE_SET_ATTR_GID)
    e->st.st_gid = st->st_gid;
  op_getattr (request, ino, info);
}

static void
op_lookup (fuse_req_t request, fuse_ino_t parent, const char *name)
{
  fuse_reply_err (request, ENOENT); /* there is one file only */
}

static void
op_forget (fuse_req_t request, fuse_ino_t ino, uint64_t n)
{
  fuse_reply_none (request);
}

static void
op_open (fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
  FuseExport *e = export_of (request);

  if ((info->flags & O_ACCMODE) != O_RDONLY && !e->parent.writable)
    {
      fuse_reply_err (request, EACCES);
      return;
    }
  info->direct_io = 1;
  e->opens++;
  if (fuse_reply_open (request, info))
    e->opens--; /* it was interrupted */
}

static void
op_release (fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
  FuseExport *e = export_of (request);

  e->opens -= e->opens > 0;
  fuse_reply_err (request, 0);
}

/* --- data ------------------------------------------------------------------------------------- */

static void
op_read (fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info)
{
  VmNode *node = node_of (request);
  uint64_t at = (uint64_t) MAX (offset, 0);
  void *buffer = NULL;
  int status = 0;

  size = at < node->size ? MIN (MIN (size, MAX_IO), node->size - at) : 0;
  if (posix_memalign (&buffer, VM_PAGE_SIZE, MAX (size, VM_PAGE_SIZE)))
    status = -ENOMEM;
  else if (size)
    status = vm_node_pread (node, at, buffer, size);
  if (status < 0)
    fuse_reply_err (request, -status);
  else
    fuse_reply_buf (request, buffer, size);
  free (buffer);
}

static void
op_write (fuse_req_t request, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *info)
{
  FuseExport *e = export_of (request);
  VmNode *node = node_of (request);
  uint64_t at = (uint64_t) MAX (offset, 0);
  struct iovec iov;
  int status = e->parent.writable ? 0 : -EACCES;

  size = MIN (size, MAX_IO);
  if (!status && at + size > node->size)
    {
      if (e->growable)
        status = resize (e, at + size);
      else
        size = at < node->size ? node->size - at : 0;
    }
  if (!status && !size)
    status = -ENOSPC;
  if (!status)
    status = vm_node_write (node, at, vm_vec_buffer (&iov, data, size), vm_export_write_flags (&e->parent));
  if (status < 0)
    fuse_reply_err (request, -status);
  else
    fuse_reply_write (request, size);
}

static int
do_fallocate (FuseExport *e, int mode, uint64_t offset, uint64_t len)
{
  VmNode *node = e->parent.root->node;
  uint64_t end = offset + len;
  bool keep = mode & FALLOC_FL_KEEP_SIZE, zero = mode & FALLOC_FL_ZERO_RANGE, punch = mode & FALLOC_FL_PUNCH_HOLE;
  int status;

  if (!e->parent.writable)
    return -EACCES;
  if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE) || (punch && (!keep || zero)))
    return -EOPNOTSUPP;
  if (end > node->size && !keep)
    {
      status = e->growable ? resize (e, end) : -EOPNOTSUPP;
      if (status < 0)
        return status;
    }
  if (!zero && !punch) /* space is made when it is written */
    return 0;
  if (offset >= node->size)
    return 0;
  return vm_node_write_zeroes (node, offset, MIN (end, node->size) - offset, punch ? VM_REQ_UNMAP : 0);
}

static void
op_fallocate (fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t len, struct fuse_file_info *info)
{
  int status = offset < 0 || len <= 0 || len > INT64_MAX - offset
                   ? -EINVAL
                   : do_fallocate (export_of (request), mode, (uint64_t) offset, (uint64_t) len);

  fuse_reply_err (request, status < 0 ? -status : 0);
}

static void
op_fsync (fuse_req_t request, fuse_ino_t ino, int data_only, struct fuse_file_info *info)
{
  int status = vm_node_flush (node_of (request));

  fuse_reply_err (request, status < 0 ? -status : 0);
}

static void
op_flush (fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
  op_fsync (request, ino, 1, info);
}

static void
op_lseek (fuse_req_t request, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *info)
{
  VmNode *node = node_of (request);
  uint64_t at = (uint64_t) MAX (offset, 0);
  VmExtent extent;
  int status = 0;

  if ((whence != SEEK_HOLE && whence != SEEK_DATA) || offset < 0)
    {
      fuse_reply_err (request, EINVAL);
      return;
    }
  for (; at < node->size; at += extent.len)
    {
      status = vm_node_status_above (node, NULL, at, node->size - at, &extent);
      if (status < 0 || !(extent.flags & VM_EXTENT_ZERO) == (whence == SEEK_DATA))
        break;
    }
  if (status < 0)
    fuse_reply_err (request, -status);
  else if (at >= node->size && (whence == SEEK_DATA || (uint64_t) offset >= node->size))
    fuse_reply_err (request, ENXIO);
  else
    fuse_reply_lseek (request, (off_t) MIN (at, node->size));
}

static void
op_init (void *opaque, struct fuse_conn_info *connection)
{
  connection->max_read = MAX_IO; /* as the mount was told */
  connection->max_write = MIN (connection->max_write, MAX_IO);
}

static const struct fuse_lowlevel_ops operations = {
  .init = op_init,
  .lookup = op_lookup,
  .forget = op_forget,
  .getattr = op_getattr,
  .setattr = op_setattr,
  .open = op_open,
  .release = op_release,
  .read = op_read,
  .write = op_write,
  .fallocate = op_fallocate,
  .flush = op_flush,
  .fsync = op_fsync,
  .lseek = op_lseek,
};

/* --- the kernel's requests -------------------------------------------------------------------- */

static void
take_request (void *opaque)
{
  FuseExport *e = opaque;
  struct fuse_buf buf = { 0 };

  if (fuse_session_receive_buf (e->session, &buf) > 0)
    {
      vm_export_ref (&e->parent);
      e->requests++;
      vm_export_begin (&e->parent);
      fuse_session_process_buf (e->session, &buf);
      vm_export_end (&e->parent);
      e->requests--;
      vm_fiber_queue_wake_all (&e->idle);
      vm_export_unref (&e->parent);
    }
  free (buf.mem);
}

static bool
on_request (int fd, GIOCondition condition, void *opaque)
{
  FuseExport *e = opaque;

  if (condition & (G_IO_ERR | G_IO_HUP)) /* somebody has unmounted it */
    {
      vm_source_clear (&e->watch);
      return false;
    }
  vm_fiber_spawn (vm_graph_loop (e->parent.graph), take_request, e);
  return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static bool
fuse_in_use (const VmExport *export)
{
  return ((const FuseExport *) export)->opens > 0;
}

static void
do_unmount (void *opaque)
{
  fuse_session_unmount (((FuseExport *) opaque)->session);
}

static void
unmount (FuseExport *e)
{
  if (e->watch)
    vm_source_clear (&e->watch);
  while (e->requests)
    vm_fiber_queue_wait (&e->idle);
  if (e->mounted)
    vm_fiber_work (do_unmount, e);
  e->mounted = false;
}

static void
fuse_shut_down (VmExport *export)
{
  unmount ((FuseExport *) export);
}

static void
fuse_free (VmExport *export)
{
  FuseExport *e = (FuseExport *) export;

  if (e->session)
    fuse_session_destroy (e->session);
  g_free (e->mountpoint);
  g_free (e);
}

static const VmExportKind fuse_kind
    = { .type = VMQ_BLOCK_EXPORT_TYPE_FUSE, .in_use = fuse_in_use, .shut_down = fuse_shut_down, .free = fuse_free };

typedef struct Mount
{
  FuseExport *e;
  bool allow_other, ok;
} Mount;

static void
do_mount (void *opaque)
{
  Mount *m = opaque;
  g_autofree char *options
      = g_strdup_printf ("max_read=%d,default_permissions%s", MAX_IO, m->allow_other ? ",allow_other" : "");
  char *words[] = { (char *) "vitrine", (char *) "-o", options, NULL };
  struct fuse_args args = FUSE_ARGS_INIT (3, words);

  m->e->session = fuse_session_new (&args, &operations, sizeof operations, m->e);
  fuse_opt_free_args (&args);
  m->ok = m->e->session && fuse_session_mount (m->e->session, m->e->mountpoint) == 0;
  if (!m->ok && m->e->session)
    fuse_session_destroy (g_steal_pointer (&m->e->session));
}

static bool
mount_export (FuseExport *e, const VmqBlockExportOptionsFuse *o, GError **error)
{
  VmqFuseExportAllowOther allow = o->has_allow_other ? o->allow_other : VMQ_FUSE_EXPORT_ALLOW_OTHER_AUTO;
  Mount m = { e, allow != VMQ_FUSE_EXPORT_ALLOW_OTHER_OFF, false };

  vm_fiber_work (do_mount, &m);
  if (!m.ok && allow == VMQ_FUSE_EXPORT_ALLOW_OTHER_AUTO)
    {
      m.allow_other = false;
      vm_fiber_work (do_mount, &m);
    }
  if (!m.ok)
    return vm_fail (error, "Failed to mount FUSE session to export at '%s'", e->mountpoint);
  e->mounted = true;
  int fd = fuse_session_fd (e->session);
  fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK);
  e->watch = vm_loop_watch_fd (vm_graph_loop (e->parent.graph), fd, G_IO_IN, on_request, e);
  return true;
}

VmExport *vm_export_fuse_new (VmNode *node, const VmqBlockExportAddArg *options, GError **error); /* by name */

VmExport *
vm_export_fuse_new (VmNode *node, const VmqBlockExportAddArg *options, GError **error)
{
  const VmqBlockExportOptionsFuse *o = options->u.fuse;
  bool writable = options->has_writable && options->writable;
  FuseExport *e = g_new0 (FuseExport, 1);

  e->mountpoint = g_strdup (o->mountpoint);
  e->growable = o->has_growable && o->growable;
  if (stat (o->mountpoint, &e->st) < 0)
    vm_fail (error, "Failed to stat '%s': %s", o->mountpoint, g_strerror (errno));
  else if (!S_ISREG (e->st.st_mode))
    vm_fail (error, "'%s' is not a regular file", o->mountpoint);
  else if (e->growable && !writable)
    vm_fail (error, "A growable export must be writable");
  else if (vm_export_init (&e->parent, &fuse_kind, node, options->id, writable, VM_PERM_ALL, error))
    {
      e->parent.writethrough = options->has_writethrough && options->writethrough;
      e->st.st_mode = S_IFREG | S_IRUSR | (writable ? S_IWUSR : 0);
      e->st.st_uid = getuid ();
      e->st.st_gid = getgid ();
      if ((!e->growable
           || vm_edge_set_perms (e->parent.root, e->parent.root->perm | VM_PERM_RESIZE, e->parent.root->shared, error))
          && mount_export (e, o, error))
        return &e->parent;
      g_clear_pointer (&e->parent.id, g_free); /* nobody has heard of it */
      vm_export_unref (&e->parent);
      return NULL;
    }
  g_free (e->mountpoint);
  g_free (e);
  return NULL;
}
