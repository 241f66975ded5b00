/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files, block devices and CD-ROM drives of the host: opening and creating. */
#include "block/protocols/file-private.h"

#include "block/protocols/aio.h"
#include "engine/base/fdset.h"
#include "engine/schema/types.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- opening --------------------------------------------------------------------------------------------- */

int
file_open_fd (const VmNode *node, const char *path, bool writable)
{
  int flags = (writable ? O_RDWR : O_RDONLY) | (node->cache_direct ? O_DIRECT : 0);

  /* A drive without medium can be opened only so; and a pipe, to be refused, without waiting for its other end. */
  if (strcmp (node->driver->name, "host_device"))
    flags |= O_NONBLOCK;
  return vm_open (path, flags, 0);
}

typedef struct OpenErrand
{
  const VmNode *node;
  const char *path;
  bool writable;
  int fd, error;
} OpenErrand;

static void
do_open (void *opaque)
{
  OpenErrand *e = opaque;

  e->fd = file_open_fd (e->node, e->path, e->writable);
  e->error = errno;
}

static bool
open_path (VmNode *node, FileState *s, GError **error)
{
  OpenErrand e = { node, s->path, !node->readonly, -1, 0 };

  vm_fiber_work (do_open, &e);
  if (e.fd < 0 && e.writable && node->auto_readonly && (e.error == EACCES || e.error == EROFS || e.error == EPERM))
    {
      e.writable = false;
      node->readonly = true;
      vm_fiber_work (do_open, &e);
    }
  if (e.fd < 0 && e.error == EINVAL && node->cache_direct)
    return vm_fail (error, "Could not open '%s': filesystem does not support O_DIRECT", s->path);
  if (e.fd < 0)
    return vm_fail (error, "Could not open '%s': %s", s->path, g_strerror (e.error));
  s->fd = s->lock_fd = e.fd;
  s->writable = e.writable;
  return true;
}

static bool
check_kind (VmNode *node, FileState *s, GError **error)
{
  bool wants_device = strcmp (node->driver->name, "file") != 0;
  struct stat st;

  if (fstat (s->fd, &st) < 0)
    return vm_fail (error, "Could not open '%s': %s", s->path, g_strerror (errno));
  s->is_block = S_ISBLK (st.st_mode);
  s->is_device = s->is_block || S_ISCHR (st.st_mode);
  if (S_ISDIR (st.st_mode))
    return vm_fail (error, "Could not open '%s': %s", s->path, g_strerror (EISDIR));
  if (wants_device && !s->is_device)
    return vm_fail (error, "'%s' driver requires '%s' to be either a character or block device", node->driver->name,
                    s->path);
  if (!wants_device && !S_ISREG (st.st_mode))
    return vm_fail (error, "'file' driver requires '%s' to be a regular file", s->path);
  return true;
}

/* What cache.direct=on demands of requests. */
static void
find_alignment (VmNode *node, FileState *s)
{
  int sector = 512;

  s->memory_align = 1;
  if (!node->cache_direct)
    return;
  if (s->is_block && ioctl (s->fd, BLKSSZGET, &sector) == 0)
    node->limits.alignment = (uint32_t) sector;
  else
    {
      void *buffer = aligned_alloc (4096, 4096);
      node->limits.alignment = buffer && pread (s->fd, buffer, 512, 0) < 0 && errno == EINVAL ? 4096 : 512;
      free (buffer);
    }
  s->memory_align = 4096;
}

static bool
choose_aio (VmNode *node, FileState *s, const VmqBlockdevOptionsFile *options, GError **error)
{
  s->aio = !options->has_aio                                   ? FILE_AIO_THREADS
           : options->aio == VMQ_BLOCKDEV_AIO_OPTIONS_NATIVE   ? FILE_AIO_NATIVE
           : options->aio == VMQ_BLOCKDEV_AIO_OPTIONS_IO_URING ? FILE_AIO_URING
                                                               : FILE_AIO_THREADS;
  if (s->aio == FILE_AIO_NATIVE && !node->cache_direct)
    return vm_fail (error, "aio=native was specified, but it requires cache.direct=on, which was not specified.");
  return s->aio == FILE_AIO_THREADS || vm_aio_prepare (node->graph, s->aio == FILE_AIO_URING, error);
}

static bool
file_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsFile *options = opaque;
  FileState *s = node->state;

  if (options->pr_manager)
    return vm_fail (error, "pr-manager=%s: not available in this build", options->pr_manager);
  if (options->has_aio_max_batch && options->aio_max_batch)
    return vm_fail (error, "aio-max-batch=%" PRId64 ": not available in this build", options->aio_max_batch);
  if (options->has_x_check_cache_dropped && options->x_check_cache_dropped)
    return vm_fail (error, "x-check-cache-dropped=on: not available in this build");
  s->path = g_strdup (options->filename);
  if (!open_path (node, s, error))
    {
      g_free (s->path);
      return false;
    }
  node->filename = g_strdup (s->path);
  if (!check_kind (node, s, error) || !choose_aio (node, s, options, error)
      || !file_choose_locking (s, options->has_locking ? (int) options->locking : VMQ_ON_OFF_AUTO_AUTO, error))
    {
      close (s->fd);
      g_free (s->path);
      return false;
    }
  find_alignment (node, s);
  file_refresh_size (node);
  s->nowait_read = s->nowait_write = !node->cache_direct;
  return true;
}

static void
file_close (VmNode *node)
{
  FileState *s = node->state;

  if (s->lock_fd != s->fd)
    close (s->lock_fd);
  close (s->fd);
  g_clear_pointer (&s->writes, g_async_queue_unref);
  g_free (s->path);
}

/* --- creating ---------------------------------------------------------------------------------------------- */

const VmCreateOption file_create_options[] = {
  { "nocow", 'b', NULL, "Turn off copy-on-write (valid only on btrfs)", false },
  { "preallocation", 's', NULL, "Preallocation mode (allowed values: off, falloc, full)", false },
  { "extent_size_hint", 'z', NULL, "Extent size hint for the image file, 0 to disable", false },
  { 0 },
};

typedef struct CreateErrand
{
  const char *path;
  uint64_t size;
  VmPreallocation prealloc;
  bool nocow;
  uint64_t extent_size;
  GError **error;
  bool ok;
} CreateErrand;

static void
set_attributes (int fd, const CreateErrand *e)
{
  struct fsxattr attr;
  int flags;

  /* Both are hints: file systems that know nothing of them are as good. */
  if (e->nocow && ioctl (fd, FS_IOC_GETFLAGS, &flags) == 0)
    {
      flags |= FS_NOCOW_FL;
      ioctl (fd, FS_IOC_SETFLAGS, &flags);
    }
  if (e->extent_size && ioctl (fd, FS_IOC_FSGETXATTR, &attr) == 0)
    {
      attr.fsx_xflags |= FS_XFLAG_EXTSIZE;
      attr.fsx_extsize = (uint32_t) MIN (e->extent_size, UINT32_MAX);
      ioctl (fd, FS_IOC_FSSETXATTR, &attr);
    }
}

static void
do_create (void *opaque)
{
  CreateErrand *e = opaque;
  int fd = vm_open (e->path, O_RDWR | O_CREAT, 0644), status = 0;

  if (fd < 0)
    {
      vm_fail (e->error, "Could not create '%s': %s", e->path, g_strerror (errno));
      return;
    }
  /* Not before it is clear that nobody uses what is there. */
  if (file_check_unused (fd, e->path, e->error))
    {
      if (ftruncate (fd, 0) < 0)
        status = -errno;
      set_attributes (fd, e);
      if (status >= 0 && ftruncate (fd, (off_t) e->size) < 0)
        status = -errno;
      if (status >= 0)
        status = file_preallocate (fd, 0, e->size, e->prealloc);
      e->ok = status >= 0 || vm_fail (e->error, "Could not resize '%s': %s", e->path, g_strerror (-status));
    }
  close (fd);
}

bool
file_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
             GError **error)
{
  /* Of an image in a format of its own, the format sees to that. */
  const char *prealloc = values && size ? vm_create_text (values, "preallocation") : NULL;
  CreateErrand e = { .path = g_str_has_prefix (name, "file:") ? name + strlen ("file:") : name, .size = size };

  e.error = error;
  if (prealloc && !strcmp (prealloc, "falloc"))
    e.prealloc = VM_PREALLOC_FALLOC;
  else if (prealloc && !strcmp (prealloc, "full"))
    e.prealloc = VM_PREALLOC_FULL;
  else if (prealloc && strcmp (prealloc, "off") != 0)
    return vm_fail (error, "Invalid parameter '%s'", prealloc);
  e.nocow = values && vm_create_bool (values, "nocow");
  e.extent_size
      = values && vm_create_has (values, "extent_size_hint") ? vm_create_number (values, "extent_size_hint") : 0;
  vm_fiber_work (do_create, &e);
  return e.ok;
}

/* --- drivers ----------------------------------------------------------------------------------------------- */

#define FILE_FUNCTIONS                                                                                                 \
  .state_size = sizeof (FileState), .kind = VM_DRIVER_PROTOCOL, .open = file_open, .close = file_close,                \
  .set_perms = file_set_perms, .read = file_read, .write = file_write, .write_zeroes = file_write_zeroes,              \
  .discard = file_discard, .bulk = file_bulk, .flush = file_flush, .truncate = file_truncate,                          \
  .refresh_size = file_refresh_size, .allocated = file_allocated

const VmBlockDriver vm_file_driver = {
  .name = "file",
  .help = "File of the host",
  .grows = true,
  .status = file_status,
  .copy_from = file_copy_from,
  .create = file_create,
  .create_options = file_create_options,
  FILE_FUNCTIONS,
};

static const char *const host_device_schemes[] = { "host_device", NULL };

static bool
host_parse_name (const char *name, json_object *options, GError **error)
{
  json_object_object_add (options, "filename", json_object_new_string (strchr (name, ':') + 1));
  return true;
}

typedef struct ControlErrand
{
  int fd;
  unsigned long request;
  void *arg;
  int status;
} ControlErrand;

static void
do_control (void *opaque)
{
  ControlErrand *e = opaque;

  e->status = ioctl (e->fd, e->request, e->arg) < 0 ? -errno : 0;
}

static int
host_control (VmNode *node, unsigned long request, void *arg)
{
  const FileState *s = node->state;
  ControlErrand e = { s->fd, request, arg, 0 };

  vm_fiber_work (do_control, &e);
  return e.status;
}

const VmBlockDriver vm_host_device_driver = {
  .name = "host_device",
  .help = "Block or character device of the host",
  .schemes = host_device_schemes,
  .parse_name = host_parse_name,
  .control = host_control,
  FILE_FUNCTIONS,
};

static const char *const host_cdrom_schemes[] = { "host_cdrom", NULL };

const VmBlockDriver vm_host_cdrom_driver = {
  .name = "host_cdrom",
  .help = "CD-ROM drive of the host",
  .schemes = host_cdrom_schemes,
  .parse_name = host_parse_name,
  .control = host_control,
  FILE_FUNCTIONS,
};
