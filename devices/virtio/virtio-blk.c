/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The block device (OASIS Virtual I/O Device 1.2, 5.2). */
#include "devices/virtio/virtio-blk.h"

#include "engine/machine/machine.h"

#define SECTOR 512
#define MERGE_MAX 32              /* requests in one */
#define MERGE_BYTES (4 * VM_MIB)

enum {
  F_SEG_MAX = 2, F_GEOMETRY = 4, F_RO = 5, F_BLK_SIZE = 6, F_SCSI = 7, F_FLUSH = 9, F_TOPOLOGY = 10,
  F_CONFIG_WCE = 11, F_MQ = 12, F_DISCARD = 13, F_WRITE_ZEROES = 14,
};
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13, T_BARRIER = 1u << 31 };
enum { S_OK, S_IOERR, S_UNSUPP };
enum { /* configuration */
  CFG_CAPACITY = 0, CFG_SEG_MAX = 12, CFG_CYLINDERS = 16, CFG_HEADS = 18, CFG_SECTORS = 19, CFG_BLK_SIZE = 20,
  CFG_PHYSICAL_EXP = 24, CFG_MIN_IO = 26, CFG_OPT_IO = 28, CFG_WRITEBACK = 32, CFG_NUM_QUEUES = 34,
  CFG_MAX_DISCARD = 36, CFG_MAX_DISCARD_SEG = 40, CFG_DISCARD_ALIGN = 44, CFG_MAX_ZEROES = 48,
  CFG_MAX_ZEROES_SEG = 52, CFG_ZEROES_UNMAP = 56,
};
enum { HEADER_SIZE = 16, SEGMENT_SIZE = 16, ID_SIZE = 20, SEGMENT_UNMAP = 1 };
#define MAX_SECTORS (UINT32_MAX >> 10) /* of a discard: 2 GiB, and an int of bytes holds it */

typedef struct Request {
  VmVirtqElement e;
  VmVirtioBlk   *blk;
  struct Request *next;  /* merged into the one before */
  uint64_t       offset, len;
  bool           write;
} Request;

/* Requests of one queue that follow each other on the disk. */
typedef struct Batch {
  Request *first, *last;
  unsigned n, n_iov;
  uint64_t end, bytes;
} Batch;

static VmBlock *
medium (const VmVirtioBlk *s)
{
  return s->conf.drive->block;
}

/* --- completion ------------------------------------------------------------------------------------------ */

/* The status byte is the last one for writing. */
static void
request_done (Request *r, uint8_t status, uint64_t moved)
{
  size_t size = vm_iov_size (vm_virtq_in (&r->e), r->e.n_in);

  vm_iov_put (vm_virtq_in (&r->e), r->e.n_in, size - 1, &status, 1);
  /* What counts is up to and with the status: all of a read, even where it failed. */
  vm_virtqueue_push (r, (uint32_t) MIN (moved + 1 < size && moved ? size : moved + 1, UINT32_MAX));
}

static void
on_done (void *opaque, int status)
{
  for (Request *r = opaque, *next; r; r = next)
    {
      next = r->next;
      request_done (r, status ? S_IOERR : S_OK, r->write ? 0 : r->len);
    }
}

/* --- reads and writes ------------------------------------------------------------------------------------ */

static void
batch_submit (VmVirtioBlk *s, Batch *b)
{
  struct iovec iov[VM_VIRTQUEUE_MAX];
  unsigned n = 0;

  if (!b->first)
    return;
  for (Request *r = b->first; r; r = r->next)
    n += r->write ? vm_iov_slice (vm_virtq_out (&r->e), r->e.n_out, HEADER_SIZE, r->len, iov + n)
                  : vm_iov_slice (vm_virtq_in (&r->e), r->e.n_in, 0, r->len, iov + n);
  if (b->first->write)
    vm_block_write (medium (s), b->first->offset, iov, n, on_done, b->first);
  else
    vm_block_read (medium (s), b->first->offset, iov, n, on_done, b->first);
  *b = (Batch) { 0 };
}

static void
batch_add (VmVirtioBlk *s, Batch *b, Request *r)
{
  unsigned n = r->e.n_out + r->e.n_in;
  bool fits = b->first && s->request_merging && b->first->write == r->write && b->end == r->offset && b->n < MERGE_MAX
              && b->n_iov + n <= VM_VIRTQUEUE_MAX && b->bytes + r->len <= MERGE_BYTES;

  if (!fits)
    batch_submit (s, b);
  if (b->last)
    b->last->next = r;
  else
    b->first = r;
  b->last = r;
  b->n++;
  b->n_iov += n;
  b->bytes += r->len;
  b->end = r->offset + r->len;
}

static bool
range_fits (const VmVirtioBlk *s, uint64_t sector, uint64_t sectors)
{
  uint64_t unit = s->conf.logical_block_size / SECTOR, capacity = vm_block_size (medium (s)) / SECTOR;

  return sector % unit == 0 && sectors % unit == 0 && sector <= capacity && sectors <= capacity - sector;
}

static void
transfer (VmVirtioBlk *s, Batch *b, Request *r, uint64_t sector, bool write)
{
  uint64_t out = vm_iov_size (vm_virtq_out (&r->e), r->e.n_out) - HEADER_SIZE;
  uint64_t in = vm_iov_size (vm_virtq_in (&r->e), r->e.n_in) - 1;

  r->write = write;
  r->len = write ? out : in;
  r->offset = sector * SECTOR;
  if (r->len % SECTOR || !range_fits (s, sector, r->len / SECTOR) || (write && vm_block_readonly (medium (s))))
    request_done (r, S_IOERR, 0);
  else if (r->len == 0)
    request_done (r, S_OK, 0);
  else
    batch_add (s, b, r);
}

/* --- the others ------------------------------------------------------------------------------------------ */

static void
range_request (VmVirtioBlk *s, Request *r, bool zeroes)
{
  uint8_t segment[SEGMENT_SIZE];
  size_t size = vm_iov_size (vm_virtq_out (&r->e), r->e.n_out) - HEADER_SIZE;
  uint32_t sectors, flags, max = zeroes ? s->max_write_zeroes_sectors : s->max_discard_sectors;
  uint64_t sector;

  r->write = true;
  if (!(zeroes ? s->write_zeroes : s->discard) || size > SEGMENT_SIZE)
    {
      request_done (r, S_UNSUPP, 0);
      return;
    }
  if (vm_iov_get (vm_virtq_out (&r->e), r->e.n_out, HEADER_SIZE, segment, sizeof segment) != sizeof segment
      || vm_block_readonly (medium (s)))
    {
      request_done (r, S_IOERR, 0);
      return;
    }
  sector = vm_load_le64 (segment);
  sectors = vm_load_le32 (segment + 8);
  flags = vm_load_le32 (segment + 12);
  if (flags & ~(zeroes ? (uint32_t) SEGMENT_UNMAP : 0))
    request_done (r, S_UNSUPP, 0);
  else if (sectors > max || !range_fits (s, sector, sectors))
    request_done (r, S_IOERR, 0);
  else if (!sectors)
    request_done (r, S_OK, 0);
  else if (zeroes)
    vm_block_write_zeroes (medium (s), sector * SECTOR, (uint64_t) sectors * SECTOR,
                           flags & SEGMENT_UNMAP ? VM_BLOCK_UNMAP : 0, on_done, r);
  else
    vm_block_discard (medium (s), sector * SECTOR, (uint64_t) sectors * SECTOR, on_done, r);
}

static void
get_id (VmVirtioBlk *s, Request *r)
{
  char id[ID_SIZE] = { 0 };
  size_t room = vm_iov_size (vm_virtq_in (&r->e), r->e.n_in) - 1;

  if (s->serial)
    memcpy (id, s->serial, MIN (strlen (s->serial), sizeof id));
  room = vm_iov_put (vm_virtq_in (&r->e), r->e.n_in, 0, id, MIN (room, sizeof id));
  request_done (r, S_OK, room);
}

static void
handle_request (VmVirtioBlk *s, Batch *b, Request *r)
{
  uint8_t header[HEADER_SIZE];
  uint32_t type;

  r->blk = s;
  if (!r->e.n_in || vm_iov_get (vm_virtq_out (&r->e), r->e.n_out, 0, header, sizeof header) != sizeof header)
    {
      VmVirtio *v = &s->parent;

      vm_virtio_break (v, "a request without header or status");
      vm_virtqueue_drop (r);
      return;
    }
  type = vm_load_le32 (header) & ~(uint32_t) T_BARRIER;
  if (type == T_IN || type == T_OUT)
    {
      transfer (s, b, r, vm_load_le64 (header + 8), type == T_OUT);
      return;
    }
  batch_submit (s, b); /* what follows may be about it */
  switch (type)
    {
    case T_FLUSH:
      r->write = true;
      vm_block_flush (medium (s), on_done, r);
      break;
    case T_GET_ID:
      get_id (s, r);
      break;
    case T_DISCARD: case T_WRITE_ZEROES:
      range_request (s, r, type == T_WRITE_ZEROES);
      break;
    default: /* and SCSI commands: the medium is no SCSI device */
      request_done (r, S_UNSUPP, 0);
      break;
    }
}

static void
handle_queue (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtioBlk *s = (VmVirtioBlk *) v;
  Batch batch = { 0 };
  Request *r;

  vm_virtqueue_set_notification (q, false);
  while ((r = vm_virtqueue_next (q, sizeof *r)))
    handle_request (s, &batch, r);
  batch_submit (s, &batch);
}

/* --- features and configuration -------------------------------------------------------------------------- */

static bool
initial_write_cache (const VmVirtioBlk *s)
{
  return s->conf.write_cache != VM_ONOFFAUTO_OFF;
}

static uint64_t
blk_features (VmVirtio *v)
{
  const VmVirtioBlk *s = (const VmVirtioBlk *) v;
  uint64_t features = VM_BIT (F_SEG_MAX) | VM_BIT (F_GEOMETRY) | VM_BIT (F_BLK_SIZE) | VM_BIT (F_TOPOLOGY);

  if (vm_block_readonly (medium (s)))
    features |= VM_BIT (F_RO);
  if (s->scsi)
    features |= VM_BIT (F_SCSI);
  if (initial_write_cache (s) || (s->x_enable_wce && s->config_wce))
    features |= VM_BIT (F_FLUSH);
  if (s->config_wce)
    features |= VM_BIT (F_CONFIG_WCE);
  if (s->num_queues > 1)
    features |= VM_BIT (F_MQ);
  if (s->discard)
    features |= VM_BIT (F_DISCARD);
  if (s->write_zeroes)
    features |= VM_BIT (F_WRITE_ZEROES);
  return features;
}

static void
blk_config_get (VmVirtio *v, uint8_t *config)
{
  const VmVirtioBlk *s = (const VmVirtioBlk *) v;
  const VmBlockConf *conf = &s->conf;
  uint32_t unit = (uint32_t) (s->report_discard_granularity ? conf->discard_granularity : conf->logical_block_size);

  vm_store_le64 (config + CFG_CAPACITY, vm_block_size (medium (s)) / SECTOR);
  vm_store_le32 (config + CFG_SEG_MAX, s->seg_max_adjust ? s->queue_size - 2u : 128 - 2);
  vm_store_le16 (config + CFG_CYLINDERS, (uint16_t) s->cyls);
  config[CFG_HEADS] = (uint8_t) s->heads;
  config[CFG_SECTORS] = (uint8_t) (s->secs & ~((uint32_t) conf->logical_block_size / SECTOR - 1));
  vm_store_le32 (config + CFG_BLK_SIZE, (uint32_t) conf->logical_block_size);
  config[CFG_PHYSICAL_EXP]
    = (uint8_t) (g_bit_storage (conf->physical_block_size) - g_bit_storage (conf->logical_block_size));
  vm_store_le16 (config + CFG_MIN_IO, (uint16_t) (conf->min_io_size / conf->logical_block_size));
  vm_store_le32 (config + CFG_OPT_IO, (uint32_t) (conf->opt_io_size / conf->logical_block_size));
  config[CFG_WRITEBACK] = s->write_cache;
  vm_store_le16 (config + CFG_NUM_QUEUES, s->num_queues);
  vm_store_le32 (config + CFG_MAX_DISCARD, s->max_discard_sectors);
  vm_store_le32 (config + CFG_MAX_DISCARD_SEG, 1);
  vm_store_le32 (config + CFG_DISCARD_ALIGN, MAX (unit, SECTOR) / SECTOR);
  vm_store_le32 (config + CFG_MAX_ZEROES, s->max_write_zeroes_sectors);
  vm_store_le32 (config + CFG_MAX_ZEROES_SEG, 1);
  config[CFG_ZEROES_UNMAP] = 1;
}

static void
set_write_cache (VmVirtioBlk *s, bool on)
{
  if (s->write_cache == on)
    return;
  s->write_cache = on;
  vm_block_set_write_cache (medium (s), on);
}

static void
blk_config_set (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size)
{
  if (vm_virtio_has (v, F_CONFIG_WCE) && offset <= CFG_WRITEBACK && offset + size > CFG_WRITEBACK)
    set_write_cache ((VmVirtioBlk *) v, config[CFG_WRITEBACK] & 1);
}

/* A driver that cannot flush relies on writes being safe when they are done. */
static void
blk_status_set (VmVirtio *v, uint8_t old)
{
  VmVirtioBlk *s = (VmVirtioBlk *) v;

  if (!v->status)
    set_write_cache (s, initial_write_cache (s));
  else if ((v->status & ~old & VIRTIO_STATUS_DRIVER_OK) && !vm_virtio_has (v, F_CONFIG_WCE))
    set_write_cache (s, vm_virtio_has (v, F_FLUSH));
}

static void
blk_stop (VmVirtio *v)
{
  vm_block_drain (medium ((VmVirtioBlk *) v));
}

/* --- life ------------------------------------------------------------------------------------------------ */

static bool
check_sectors (const char *name, uint32_t value, GError **error)
{
  return (value >= 1 && value <= MAX_SECTORS)
         || vm_fail (error, "invalid %s property (%u), must be between 1 and %u", name, value, MAX_SECTORS);
}

static bool
blk_check (VmVirtioBlk *s, GError **error)
{
  if (!s->num_queues)
    return vm_fail (error, "num-queues property must be larger than 0");
  if (s->num_queues > VM_VIRTIO_QUEUES)
    return vm_fail (error, "num-queues property must be at most %d", VM_VIRTIO_QUEUES);
  if (s->queue_size <= 2)
    return vm_fail (error, "invalid queue-size property (%u), must be > 2", s->queue_size);
  if (!vm_is_pow2 (s->queue_size) || s->queue_size > VM_VIRTQUEUE_MAX)
    return vm_fail (error, "invalid queue-size property (%u), must be a power of 2 (max %d)", s->queue_size,
                    VM_VIRTQUEUE_MAX);
  if (s->scsi && vm_virtio_bus (&s->parent)->modern)
    return vm_fail (error, "Please set scsi=off for virtio-blk devices in order to use virtio 1.0");
  if (s->lcyls || s->lheads || s->lsecs)
    return vm_fail (error, "lcyls, lheads, lsecs: not available in this build");
  if (s->cyls || s->heads || s->secs)
    {
      if (s->cyls < 1 || s->cyls > 65535)
        return vm_fail (error, "cyls must be between 1 and 65535");
      if (s->heads < 1 || s->heads > 255)
        return vm_fail (error, "heads must be between 1 and 255");
      if (s->secs < 1 || s->secs > 255)
        return vm_fail (error, "secs must be between 1 and 255");
    }
  return (!s->discard || check_sectors ("max-discard-sectors", s->max_discard_sectors, error))
         && (!s->write_zeroes || check_sectors ("max-write-zeroes-sectors", s->max_write_zeroes_sectors, error));
}

static void
on_resized (void *device)
{
  vm_virtio_config_changed (device);
}

static void
blk_release (VmVirtioBlk *s)
{
  s->conf.drive->resized = NULL;
  vm_drive_release (s->conf.drive);
}

static bool
blk_claim (VmVirtioBlk *s, GError **error)
{
  VmDevice *dev = &s->parent.parent;
  bool readonly = s->conf.drive && s->conf.drive->block && vm_block_readonly (s->conf.drive->block);

  if (!vm_block_conf_claim (&s->conf, &dev->parent, readonly, NULL, error))
    return false;
  s->conf.drive->resized = on_resized;
  if (s->bootindex < 0 || !dev->env->machine
      || vm_machine_add_boot_device (dev->env->machine, s->bootindex, dev, "/disk@0,0", error))
    return true;
  blk_release (s);
  return false;
}

/* On iothreads, when the user wants it: with several, the first hears of what the medium has done. */
static bool
blk_serve (VmVirtioBlk *s, GError **error)
{
  VmLoop *loop = NULL;

  if (s->vq_mapping && s->iothread)
    vm_fail (error, "iothread and iothread-vq-mapping properties cannot be set at the same time");
  else if (!s->vq_mapping && !s->iothread)
    return true;
  else if (s->iothread)
    {
      loop = vm_iothread_loop (vm_iothread_use (s->iothread));
      vm_virtio_set_loops (&s->parent, &loop, 1, vm_iothread_max_batch (s->iothread));
    }
  else
    vm_vq_mapping_apply (s->vq_mapping, &s->parent, &loop, error);
  if (loop)
    {
      vm_drive_set_loop (s->conf.drive, loop, s->parent.lock);
      return true;
    }
  if (s->bootindex >= 0 && s->parent.parent.env->machine)
    vm_machine_remove_boot_device (s->parent.parent.env->machine, &s->parent.parent);
  blk_release (s);
  return false;
}

static bool
blk_realize (VmDevice *dev, GError **error)
{
  VmVirtioBlk *s = (VmVirtioBlk *) dev;

  if (s->num_queues == VM_VIRTIO_BLK_QUEUES_AUTO)
    s->num_queues = 1;
  if (!blk_check (s, error) || !blk_claim (s, error))
    return false;
  if (!s->cyls)
    {
      s->heads = 16;
      s->secs = 63;
      s->cyls = (uint32_t) CLAMP (vm_block_size (medium (s)) / SECTOR / (16 * 63), 2, 16383);
    }
  s->write_cache = initial_write_cache (s);
  s->parent.config_size = s->write_zeroes ? CFG_ZEROES_UNMAP + 1 : s->discard ? CFG_MAX_ZEROES : CFG_MAX_DISCARD;
  for (unsigned i = 0; i < s->num_queues; i++)
    vm_virtio_add_queue (&s->parent, s->queue_size, handle_queue);
  return blk_serve (s, error);
}

static void
blk_unrealize (VmDevice *dev)
{
  VmVirtioBlk *s = (VmVirtioBlk *) dev;

  vm_virtio_shut_down (&s->parent);
  if (s->bootindex >= 0 && dev->env->machine)
    vm_machine_remove_boot_device (dev->env->machine, dev);
  blk_release (s);
  vm_virtio_leave_loops (&s->parent);
  if (s->iothread)
    vm_iothread_unuse (s->iothread);
  if (s->vq_mapping)
    vm_vq_mapping_leave (s->vq_mapping);
}

static bool
blk_settle (VmVirtio *v, GError **error)
{
  return vm_drive_settle (((VmVirtioBlk *) v)->conf.drive, &v->parent.parent, error);
}

static bool
blk_post_load (VmDevice *dev, GError **error)
{
  VmVirtioBlk *s = (VmVirtioBlk *) dev;

  vm_block_set_write_cache (medium (s), s->write_cache);
  return true;
}

const VmProp vm_virtio_blk_props[]
    = { VM_BLOCK_CONF_PROPS (VmVirtioBlk, conf),
        VM_BLOCK_ERROR_PROPS (VmVirtioBlk, conf),
        VM_PROP ("cyls", VmVirtioBlk, cyls, 0, "cylinders"),
        VM_PROP ("heads", VmVirtioBlk, heads, 0, "heads"),
        VM_PROP ("secs", VmVirtioBlk, secs, 0, "sectors a track"),
        VM_PROP ("lcyls", VmVirtioBlk, lcyls, 0, "logical cylinders"),
        VM_PROP ("lheads", VmVirtioBlk, lheads, 0, "logical heads"),
        VM_PROP ("lsecs", VmVirtioBlk, lsecs, 0, "logical sectors a track"),
        VM_PROP_STRING ("serial", VmVirtioBlk, serial, NULL, "serial number, 20 characters of it"),
        VM_PROP ("config-wce", VmVirtioBlk, config_wce, true, "the driver may switch the write cache"),
        VM_PROP ("x-enable-wce-if-config-wce", VmVirtioBlk, x_enable_wce, true, "flushes are offered where it may"),
        VM_PROP ("scsi", VmVirtioBlk, scsi, false, "legacy: SCSI commands, which no medium understands"),
        VM_PROP ("request-merging", VmVirtioBlk, request_merging, true, "adjacent requests go to the medium as one"),
        VM_PROP ("num-queues", VmVirtioBlk, num_queues, VM_VIRTIO_BLK_QUEUES_AUTO,
                 "request queues; 65535: a processor each"),
        VM_PROP ("queue-size", VmVirtioBlk, queue_size, 256, "entries of a queue"),
        VM_PROP ("seg-max-adjust", VmVirtioBlk, seg_max_adjust, true, "segments of a request follow the queue's size"),
        VM_PROP ("discard", VmVirtioBlk, discard, true, "discards"),
        VM_PROP ("report-discard-granularity", VmVirtioBlk, report_discard_granularity, true, "their unit is told"),
        VM_PROP ("write-zeroes", VmVirtioBlk, write_zeroes, true, "writes of zeroes without data"),
        VM_PROP ("max-discard-sectors", VmVirtioBlk, max_discard_sectors, MAX_SECTORS, "of one discard"),
        VM_PROP ("max-write-zeroes-sectors", VmVirtioBlk, max_write_zeroes_sectors, MAX_SECTORS, "of one such write"),
        VM_PROP_LINK_TO ("iothread", VmVirtioBlk, iothread, &vm_iothread_type, "thread that serves it"),
        VM_PROP_CUSTOM_KIND ("iothread-vq-mapping", VmVirtioBlk, vq_mapping, &vm_prop_vq_mapping, NULL,
                             "list of iothreads, and of queues that each serves"),
        VM_PROP ("bootindex", VmVirtioBlk, bootindex, -1, "place in the boot order"),
        { 0 } };

static const VmField blk_state[] = {
  VM_FIELD (VmVirtioBlk, write_cache),
  { 0 }
};

static const VmVirtioClass blk_class = {
  .parent = {
    .realize = blk_realize, .unrealize = blk_unrealize, .post_load = blk_post_load, .category = "Storage",
    .user_creatable = true, .hotpluggable = true,
  },
  .id = VIRTIO_ID_BLOCK, .legacy_features = VM_BIT (F_SCSI), .features = blk_features, .config_get = blk_config_get,
  .config_set = blk_config_set, .status_set = blk_status_set, .stop = blk_stop, .settle = blk_settle,
};

const VmType vm_virtio_blk_type = {
  .name = "virtio-blk-device", .parent = &vm_virtio_type, .size = sizeof (VmVirtioBlk),
  .help = "Virtio block device", .props = vm_virtio_blk_props, .state = blk_state, .klass = &blk_class,
};
