/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes each change down in a log of the form that Linux's dm-log-writes has (Documentation/admin-guide/device-mapper/
 * log-writes): what was on the disk at any moment can be made again from it.
 *
 * A super block, then entries of a header and its data, in units of sectors. A write is entered when it is done, a
 * flush where it began: what stands before the flush had to be on stable storage when that was done. */
#include "block/node.h"

#include "engine/schema/types.h"

#include <errno.h>

#define LOG_MAGIC UINT64_C (0x6a736677736872)
#define LOG_VERSION 1
#define SUPER_MAGIC 0
#define SUPER_VERSION 8
#define SUPER_ENTRIES 16
#define SUPER_SECTOR 24
#define SUPER_LENGTH 28
#define ENTRY_LENGTH 32

enum
{
  LOG_FLUSH = 1,
  LOG_FUA = 2,
  LOG_DISCARD = 4,
};

typedef struct Blklogwrites
{
  VmEdge *log;
  uint64_t sector; /* bytes */
  uint64_t end;    /* of the log, in sectors */
  uint64_t entries, written_entries;
  uint64_t interval;
  VmFiberMutex lock; /* entries are written one after the other */
} Blklogwrites;

static int
write_super (Blklogwrites *s)
{
  g_autofree uint8_t *block = g_malloc0 (s->sector);
  uint64_t entries = s->entries;
  int status;

  vm_store_le64 (block + SUPER_MAGIC, LOG_MAGIC);
  vm_store_le64 (block + SUPER_VERSION, LOG_VERSION);
  vm_store_le64 (block + SUPER_ENTRIES, entries);
  vm_store_le32 (block + SUPER_SECTOR, (uint32_t) s->sector);
  status = vm_node_pwrite (s->log->node, 0, block, s->sector);
  if (status >= 0)
    s->written_entries = entries;
  return status;
}

/* The end of the log that is there. */
static bool
find_end (Blklogwrites *s, GError **error)
{
  VmNode *log = s->log->node;
  uint8_t head[MAX (SUPER_LENGTH, ENTRY_LENGTH)];
  uint64_t n;

  if (log->size < SUPER_LENGTH || vm_node_pread (log, 0, head, SUPER_LENGTH) < 0)
    return vm_fail (error, "Could not read log superblock");
  if (vm_load_le64 (head + SUPER_MAGIC) != LOG_MAGIC)
    return vm_fail (error, "Invalid log superblock magic");
  if (vm_load_le64 (head + SUPER_VERSION) != LOG_VERSION)
    return vm_fail (error, "Unsupported log version %" PRIu64, vm_load_le64 (head + SUPER_VERSION));
  s->sector = vm_load_le32 (head + SUPER_SECTOR);
  if (s->sector < 512 || s->sector > 8 * VM_MIB || !vm_is_pow2 (s->sector))
    return vm_fail (error, "Invalid log sector size %" PRIu64, s->sector);
  n = vm_load_le64 (head + SUPER_ENTRIES);
  for (s->end = 1, s->entries = 0; s->entries < n; s->entries++)
    {
      uint64_t flags, sectors;
      if (s->end > log->size / s->sector || vm_node_pread (log, s->end * s->sector, head, ENTRY_LENGTH) < 0)
        return vm_fail (error, "Failed to read log entry %" PRIu64, s->entries);
      flags = vm_load_le64 (head + 16);
      sectors = flags & LOG_DISCARD ? 0 : vm_load_le64 (head + 8); /* of data */
      if (flags & ~UINT64_C (31) || sectors > log->size / s->sector)
        return vm_fail (error, "Invalid log entry %" PRIu64, s->entries);
      s->end += 1 + sectors;
    }
  return true;
}

static bool
start_log (VmNode *node, const VmqBlockdevOptionsBlklogwrites *o, GError **error)
{
  Blklogwrites *s = node->state;

  s->interval = o->has_log_super_update_interval ? (uint64_t) o->log_super_update_interval : 4096;
  if (o->has_log_super_update_interval && o->log_super_update_interval <= 0)
    return vm_fail (error, "Invalid log superblock update interval %" PRId64, o->log_super_update_interval);
  if (o->has_log_append && o->log_append)
    return (!o->has_log_sector_size || vm_fail (error, "log-append and log-sector-size are mutually exclusive"))
           && find_end (s, error);
  s->sector = o->has_log_sector_size ? (uint64_t) o->log_sector_size : MAX (node->limits.alignment, 512);
  if (s->sector < 512 || s->sector > 8 * VM_MIB || !vm_is_pow2 (s->sector))
    return vm_fail (error, "Invalid log sector size %" PRIu64, s->sector);
  s->end = 1;
  return true;
}

static bool
blklogwrites_open (VmNode *node, const void *options, GError **error)
{
  Blklogwrites *s = node->state;
  int status;

  if (!vm_node_open_child (node, "file", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error)
      || !(s->log = vm_node_open_child (node, "log", VM_ROLE_METADATA, true, error)))
    return false;
  node->limits = node->file->node->limits;
  if (!start_log (node, options, error))
    return false;
  if (!node->readonly && (status = write_super (s)) < 0)
    return vm_fail (error, "Could not write the log's super block: %s", g_strerror (-status));
  node->size = node->file->node->size;
  node->limits.alignment = MAX (node->limits.alignment, (uint32_t) s->sector);
  return true;
}

static void
blklogwrites_close (VmNode *node)
{
  Blklogwrites *s = node->state;

  if (!node->readonly && s->written_entries != s->entries)
    write_super (s); /* the last flush has said what went wrong */
}

static void
blklogwrites_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                          unsigned *child_shared)
{
  bool log = edge->role & VM_ROLE_METADATA;

  *child_perm = !log ? perm : VM_PERM_READ | (node->readonly ? 0 : VM_PERM_WRITE | VM_PERM_RESIZE);
  *child_shared = log ? VM_PERM_READ | VM_PERM_UNCHANGED : shared;
}

static int
write_entry (Blklogwrites *s, uint64_t offset, uint64_t len, uint64_t flags, uint64_t data, VmVec vec)
{
  g_autofree uint8_t *head = g_malloc0 (s->sector);
  uint64_t at = s->end;
  int status;

  vm_store_le64 (head, offset / s->sector);
  vm_store_le64 (head + 8, len / s->sector);
  vm_store_le64 (head + 16, flags);
  vm_store_le64 (head + 24, 0);
  status = vm_node_pwrite (s->log->node, at * s->sector, head, s->sector);
  if (status >= 0 && vec.size)
    status = vm_node_write (s->log->node, (at + 1) * s->sector, vec, 0);
  else if (status >= 0 && data)
    status = vm_node_write_zeroes (s->log->node, (at + 1) * s->sector, data, 0);
  if (status < 0)
    return status;
  s->end = at + 1 + data / s->sector;
  s->entries++;
  return s->entries - s->written_entries >= s->interval ? write_super (s) : 0;
}

/* DATA bytes follow: those of VEC, else zeros. */
static int
enter (VmNode *node, uint64_t offset, uint64_t len, uint64_t flags, uint64_t data, VmVec vec)
{
  Blklogwrites *s = node->state;
  int status;

  vm_fiber_mutex_lock (&s->lock);
  status = write_entry (s, offset, len, flags, data, vec);
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

static int
blklogwrites_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_read (node->file->node, offset, vec, flags);
}

static int
blklogwrites_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = vm_node_write (node->file->node, offset, vec, flags);

  return status < 0 ? status : enter (node, offset, vec.size, flags & VM_REQ_FUA ? LOG_FUA : 0, vec.size, vec);
}

static int
blklogwrites_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  int status = vm_node_write_zeroes (node->file->node, offset, len, flags);

  return status < 0 ? status : enter (node, offset, len, flags & VM_REQ_FUA ? LOG_FUA : 0, len, (VmVec){ 0 });
}

static int
blklogwrites_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  int status = vm_node_discard (node->file->node, offset, len);

  return status < 0 ? status : enter (node, offset, len, LOG_DISCARD, 0, (VmVec){ 0 });
}

static int
blklogwrites_flush (VmNode *node)
{
  Blklogwrites *s = node->state;
  int status = enter (node, 0, 0, LOG_FLUSH, 0, (VmVec){ 0 });

  if (status < 0)
    return status;
  vm_fiber_mutex_lock (&s->lock);
  status = s->entries == s->written_entries ? 0 : write_super (s);
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

const VmBlockDriver vm_blklogwrites_driver = {
  .name = "blklogwrites",
  .help = "Writes all changes down in a log",
  .kind = VM_DRIVER_FILTER,
  .state_size = sizeof (Blklogwrites),
  .open = blklogwrites_open,
  .close = blklogwrites_close,
  .child_perms = blklogwrites_child_perms,
  .read = blklogwrites_read,
  .write = blklogwrites_write,
  .write_zeroes = blklogwrites_write_zeroes,
  .discard = blklogwrites_discard,
  .flush = blklogwrites_flush,
};
