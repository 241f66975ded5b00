/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of "iscsi": logical units of iSCSI targets (RFC 7143, SBC-3), with libiscsi. Its calls wait, so they are
 * made on workers, one at a time for each session. */
#include "block/node.h"
#include "engine/crypto/secret.h"

#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

enum
{
  TRIES = 30,
  FIRST_PAUSE_US = 10000,
  MAX_TRANSFER = 16 * 1024 * 1024,
};

#define DEFAULT_NAME "iqn.2008-11.org.linux-kvm"

typedef struct IscsiState
{
  struct iscsi_context *iscsi;
  int lun;
  uint32_t block_size;
  bool write_protected, can_unmap, can_write_same, unmap_zeroes;
  VmFiberMutex mutex;
} IscsiState;

typedef struct Errand
{
  IscsiState *s;
  VmNode *node;
  const VmqBlockdevOptionsIscsi *options;
  const char *password;
  uint64_t offset, len;
  VmVec vec;
  struct iovec *pieces;
  int n_pieces, status;
  unsigned flags;
  VmExtent *extent;
  GError **error;
} Errand;

/* --- commands -------------------------------------------------------------------------------------------------------
 */

static int
status_of_task (const struct scsi_task *task)
{
  if (!task)
    return -EIO;
  if (task->status == SCSI_STATUS_GOOD)
    return 0;
  if (task->status == SCSI_STATUS_TIMEOUT)
    return -ETIMEDOUT;
  if (task->status == SCSI_STATUS_RESERVATION_CONFLICT)
    return -EBUSY;
  if (task->status != SCSI_STATUS_CHECK_CONDITION)
    return -EIO;
  if (task->sense.key == SCSI_SENSE_DATA_PROTECTION)
    return task->sense.ascq == SCSI_SENSE_ASCQ_WRITE_PROTECTED ? -EACCES : -ENOSPC;
  return task->sense.key == SCSI_SENSE_ILLEGAL_REQUEST ? -ENOTSUP : -EIO;
}

/* Not now, which is no failure. */
static bool
should_repeat (const struct scsi_task *task)
{
  return task
         && ((task->status == SCSI_STATUS_CHECK_CONDITION && task->sense.key == SCSI_SENSE_UNIT_ATTENTION)
             || task->status == SCSI_STATUS_BUSY || task->status == SCSI_STATUS_TASK_SET_FULL);
}

static struct scsi_task *
send_command (Errand *e, struct scsi_task *(*command) (Errand *e))
{
  gulong pause = FIRST_PAUSE_US;
  struct scsi_task *task;

  for (unsigned i = 0;; i++)
    {
      task = command (e);
      e->status = status_of_task (task);
      if (i == TRIES || !should_repeat (task))
        return task;
      if (task->status != SCSI_STATUS_CHECK_CONDITION)
        {
          g_usleep (pause);
          pause = MIN (pause * 2, 1000000);
        }
      scsi_free_scsi_task (task);
    }
}

static void
do_command (Errand *e, struct scsi_task *(*command) (Errand *e))
{
  struct scsi_task *task = send_command (e, command);

  if (task)
    scsi_free_scsi_task (task);
}

static struct scsi_task *
read_blocks (Errand *e)
{
  return iscsi_read16_iov_sync (e->s->iscsi, e->s->lun, e->offset / e->s->block_size, (uint32_t) e->len,
                                (int) e->s->block_size, 0, 0, 0, 0, 0, (struct scsi_iovec *) (void *) e->pieces,
                                e->n_pieces);
}

static struct scsi_task *
write_blocks (Errand *e)
{
  return iscsi_write16_iov_sync (e->s->iscsi, e->s->lun, e->offset / e->s->block_size, NULL, (uint32_t) e->len,
                                 (int) e->s->block_size, 0, 0, 0, 0, 0, (struct scsi_iovec *) (void *) e->pieces,
                                 e->n_pieces);
}

static struct scsi_task *
synchronize (Errand *e)
{
  return iscsi_synchronizecache10_sync (e->s->iscsi, e->s->lun, 0, 0, 0, 0);
}

static struct scsi_task *
unmap (Errand *e)
{
  struct unmap_list list = { .lba = e->offset / e->s->block_size, .num = (uint32_t) (e->len / e->s->block_size) };

  return iscsi_unmap_sync (e->s->iscsi, e->s->lun, 0, 0, &list, 1);
}

static struct scsi_task *
write_same (Errand *e)
{
  g_autofree unsigned char *zeros = g_malloc0 (e->s->block_size);

  return iscsi_writesame16_sync (e->s->iscsi, e->s->lun, e->offset / e->s->block_size, zeros, e->s->block_size,
                                 (uint32_t) (e->len / e->s->block_size), 0, (e->flags & VM_REQ_UNMAP) != 0, 0, 0);
}

static struct scsi_task *
lba_status (Errand *e)
{
  return iscsi_get_lba_status_sync (e->s->iscsi, e->s->lun, e->offset / e->s->block_size, 8 + 16);
}

static struct scsi_task *
read_capacity (Errand *e)
{
  return iscsi_readcapacity16_sync (e->s->iscsi, e->s->lun);
}

static struct scsi_task *
inquire (Errand *e)
{
  return iscsi_inquiry_sync (e->s->iscsi, e->s->lun, 0, 0, 64);
}

static struct scsi_task *
inquire_provisioning (Errand *e)
{
  return iscsi_inquiry_sync (e->s->iscsi, e->s->lun, 1, SCSI_INQUIRY_PAGECODE_LOGICAL_BLOCK_PROVISIONING, 64);
}

static struct scsi_task *
inquire_limits (Errand *e)
{
  return iscsi_inquiry_sync (e->s->iscsi, e->s->lun, 1, SCSI_INQUIRY_PAGECODE_BLOCK_LIMITS, 255);
}

static struct scsi_task *
sense_mode (Errand *e)
{
  return iscsi_modesense6_sync (e->s->iscsi, e->s->lun, 1, SCSI_MODESENSE_PC_CURRENT, 0x3f, 0, 255);
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool
set_up (Errand *e, struct iscsi_context *iscsi)
{
  static const enum iscsi_header_digest digests[]
      = { ISCSI_HEADER_DIGEST_CRC32C, ISCSI_HEADER_DIGEST_NONE, ISCSI_HEADER_DIGEST_CRC32C_NONE,
          ISCSI_HEADER_DIGEST_NONE_CRC32C };
  const VmqBlockdevOptionsIscsi *o = e->options;

  if (iscsi_init_transport (iscsi, o->transport == VMQ_ISCSI_TRANSPORT_ISER ? ISER_TRANSPORT : TCP_TRANSPORT))
    return vm_fail (e->error, "Error initializing transport: %s", iscsi_get_error (iscsi));
  if (iscsi_set_targetname (iscsi, o->target))
    return vm_fail (e->error, "iSCSI: Failed to set target name: %s", iscsi_get_error (iscsi));
  if (e->password && iscsi_set_initiator_username_pwd (iscsi, o->user, e->password))
    return vm_fail (e->error, "Failed to set initiator username and password: %s", iscsi_get_error (iscsi));
  iscsi_set_session_type (iscsi, ISCSI_SESSION_NORMAL);
  iscsi_set_header_digest (iscsi,
                           digests[o->has_header_digest ? o->header_digest : VMQ_ISCSI_HEADER_DIGEST_NONE_CRC32C]);
  iscsi_set_timeout (iscsi, o->has_timeout ? (int) o->timeout : 0);
  if (iscsi_full_connect_sync (iscsi, o->portal, e->s->lun))
    return vm_fail (e->error, "iSCSI: Failed to connect to LUN : %s", iscsi_get_error (iscsi));
  return true;
}

/* What a command's answer says; NULL without one. */
static void *
ask (Errand *e, struct scsi_task *(*command) (Errand *e), struct scsi_task **task)
{
  *task = send_command (e, command);
  return e->status >= 0 ? scsi_datain_unmarshall (*task) : NULL;
}

static void
done_with (struct scsi_task *task)
{
  if (task)
    scsi_free_scsi_task (task);
}

static bool
find_size (Errand *e)
{
  struct scsi_task *task;
  const struct scsi_readcapacity16 *capacity = ask (e, read_capacity, &task);
  IscsiState *s = e->s;
  bool ok = capacity != NULL;

  if (!ok)
    vm_fail (e->error, "iSCSI: failed to send readcapacity16 command: %s", iscsi_get_error (s->iscsi));
  else if (capacity->block_length < 512 || capacity->block_length > 65536
           || capacity->block_length & (capacity->block_length - 1)
           || capacity->returned_lba > INT64_MAX / capacity->block_length - 1)
    ok = vm_fail (e->error, "iSCSI: the logical unit has a size that makes no sense");
  else
    {
      s->block_size = capacity->block_length;
      s->can_unmap = capacity->lbpme;
      s->unmap_zeroes = capacity->lbprz;
      e->node->size = (capacity->returned_lba + 1) * s->block_size;
    }
  done_with (task);
  return ok;
}

/* What a target does not tell is not used. */
static void
find_abilities (Errand *e)
{
  VmBlockLimits *limits = &e->node->limits;
  IscsiState *s = e->s;
  struct scsi_task *task;
  const struct scsi_inquiry_logical_block_provisioning *lbp
      = s->can_unmap ? ask (e, inquire_provisioning, &task) : NULL;

  if (s->can_unmap)
    {
      s->can_write_same = lbp && lbp->lbpws;
      s->can_unmap = lbp && lbp->lbpu;
      done_with (task);
    }
  limits->alignment = s->block_size;
  limits->max_transfer = MAX_TRANSFER;
  limits->max_discard = limits->max_zero = (uint64_t) 65535 * s->block_size;
  const struct scsi_inquiry_block_limits *bl = ask (e, inquire_limits, &task);
  if (bl)
    {
      if (bl->max_xfer_len)
        limits->max_transfer = MIN (limits->max_transfer, (uint64_t) bl->max_xfer_len * s->block_size);
      if (bl->max_unmap && bl->max_unmap != UINT32_MAX)
        limits->max_discard = MIN (limits->max_discard, (uint64_t) bl->max_unmap * s->block_size);
      if (bl->max_ws_len)
        limits->max_zero = MIN (limits->max_zero, bl->max_ws_len * s->block_size);
      if (bl->opt_unmap_gran > 1 && bl->opt_unmap_gran < 65536 && !(bl->opt_unmap_gran & (bl->opt_unmap_gran - 1)))
        limits->discard_alignment = bl->opt_unmap_gran * s->block_size;
    }
  done_with (task);
}

static bool
find_kind (Errand *e)
{
  struct scsi_task *task;
  const struct scsi_inquiry_standard *inquiry = ask (e, inquire, &task);
  int type = inquiry ? (int) inquiry->device_type : -1;

  done_with (task);
  if (type < 0)
    return vm_fail (e->error, "iSCSI: Inquiry command failed: %s", iscsi_get_error (e->s->iscsi));
  if (type != SCSI_INQUIRY_PERIPHERAL_DEVICE_TYPE_DIRECT_ACCESS && type != SCSI_INQUIRY_PERIPHERAL_DEVICE_TYPE_MMC)
    return vm_fail (e->error, "iSCSI: the logical unit is neither a disk nor a CD-ROM");
  const struct scsi_mode_sense *mode = ask (e, sense_mode, &task);
  e->s->write_protected
      = type == SCSI_INQUIRY_PERIPHERAL_DEVICE_TYPE_MMC || (mode && mode->device_specific_parameter & 0x80);
  done_with (task);
  return true;
}

static void
do_close (void *opaque)
{
  IscsiState *s = opaque;

  if (!s->iscsi)
    return;
  if (iscsi_is_logged_in (s->iscsi))
    iscsi_logout_sync (s->iscsi);
  iscsi_destroy_context (s->iscsi);
}

static void
do_open (void *opaque)
{
  Errand *e = opaque;
  const VmqBlockdevOptionsIscsi *o = e->options;
  g_autofree char *name
      = o->initiator_name ? g_strdup (o->initiator_name) : g_strdup_printf (DEFAULT_NAME ":%s", g_get_host_name ());
  bool ok;

  e->s->iscsi = iscsi_create_context (name);
  ok = e->s->iscsi ? set_up (e, e->s->iscsi) && find_kind (e) && find_size (e)
                   : vm_fail (e->error, "iSCSI: Failed to create iSCSI context.");
  if (ok)
    find_abilities (e);
  e->status = ok ? 0 : -EIO;
}

static bool
check_options (VmNode *node, const VmqBlockdevOptionsIscsi *o, GError **error)
{
  if (o->has_lun && (o->lun < 0 || o->lun > 16383))
    return vm_fail (error, "Parameter 'lun' expects a number up to 16383");
  if (o->has_timeout && (o->timeout < 0 || o->timeout > INT32_MAX))
    return vm_fail (error, "Parameter 'timeout' expects a number of seconds");
  if (o->password && o->password_secret)
    return vm_fail (error, "'password' and 'password-secret' properties are mutually exclusive");
  if (o->user && !o->password && !o->password_secret)
    return vm_fail (error, "CHAP username specified but no password was given");
  if (!o->user && (o->password || o->password_secret))
    return vm_fail (error, "CHAP password specified but no user was given");
  return true;
}

static bool
iscsi_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsIscsi *o = opaque;
  IscsiState *s = node->state;
  Errand e = { .s = s, .node = node, .options = o, .password = o->password, .error = error };
  char *secret = NULL;

  if (!check_options (node, o, error))
    return false;
  if (o->password_secret)
    {
      e.password = secret = vm_secret_get_text (vm_graph_objects (node->graph), o->password_secret, error);
      if (!secret)
        return false;
    }
  s->lun = o->has_lun ? (int) o->lun : 0;
  vm_fiber_work (do_open, &e);
  if (secret)
    vm_secret_free (secret, strlen (secret));
  bool ok = e.status >= 0;
  if (ok && s->write_protected && !node->readonly)
    {
      ok = node->auto_readonly || vm_fail (error, "LUN is write protected");
      node->readonly = true;
    }
  if (!ok)
    {
      vm_fiber_work (do_close, s);
      return false;
    }
  node->filename = g_strdup_printf ("iscsi://%s/%s/%d", o->portal, o->target, s->lun);
  return true;
}

static void
iscsi_close (VmNode *node)
{
  vm_fiber_work (do_close, node->state);
}

/* --- requests --------------------------------------------------------------------------------- */

static void
do_read (void *opaque)
{
  do_command (opaque, read_blocks);
}

static void
do_write (void *opaque)
{
  do_command (opaque, write_blocks);
}

static void
do_flush (void *opaque)
{
  Errand *e = opaque;

  do_command (e, synchronize);
  if (e->status == -ENOTSUP) /* it has no cache */
    e->status = 0;
}

static void
do_unmap (void *opaque)
{
  do_command (opaque, unmap);
}

static void
do_write_same (void *opaque)
{
  do_command (opaque, write_same);
}

static void
do_lba_status (void *opaque)
{
  Errand *e = opaque;
  struct scsi_task *task;
  const struct scsi_get_lba_status *answer = ask (e, lba_status, &task);
  const struct scsi_lba_status_descriptor *d = answer && answer->num_descriptors ? &answer->descriptors[0] : NULL;

  if (d && d->lba == e->offset / e->s->block_size && d->num_blocks)
    {
      e->extent->len = MIN (e->len, (uint64_t) d->num_blocks * e->s->block_size);
      if (d->provisioning != SCSI_PROVISIONING_TYPE_MAPPED)
        e->extent->flags = VM_EXTENT_ALLOCATED | VM_EXTENT_HAS_OFFSET | (e->s->unmap_zeroes ? VM_EXTENT_ZERO : 0);
    }
  done_with (task);
}

static int
run (IscsiState *s, VmFiberFunc func, Errand *e)
{
  e->s = s;
  vm_fiber_mutex_lock (&s->mutex);
  vm_fiber_work (func, e);
  vm_fiber_mutex_unlock (&s->mutex);
  return e->status;
}

static int
transfer (IscsiState *s, VmFiberFunc func, uint64_t offset, VmVec vec)
{
  unsigned n = 0;
  VmVec rest = vec;
  struct iovec piece;
  int status;

  while (rest.size)
    n += vm_vec_take (&rest, &piece, 1);
  if (!n)
    return 0;
  struct iovec *pieces = g_new (struct iovec, n);
  rest = vec;
  vm_vec_take (&rest, pieces, n);
  status = run (s, func, &(Errand){ .offset = offset, .len = vec.size, .pieces = pieces, .n_pieces = (int) n });
  g_free (pieces);
  return status;
}

static int
iscsi_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return transfer (node->state, do_read, offset, vec);
}

static int
iscsi_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return transfer (node->state, do_write, offset, vec);
}

static int
iscsi_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  IscsiState *s = node->state;

  if (!s->can_write_same)
    return -ENOTSUP;
  return run (s, do_write_same, &(Errand){ .offset = offset, .len = len, .flags = s->unmap_zeroes ? flags : 0 });
}

static int
iscsi_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  IscsiState *s = node->state;

  return s->can_unmap ? run (s, do_unmap, &(Errand){ .offset = offset, .len = len }) : -ENOTSUP;
}

static int
iscsi_flush (VmNode *node)
{
  return run (node->state, do_flush, &(Errand){ 0 });
}

static int
iscsi_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  IscsiState *s = node->state;

  *extent = (VmExtent){ .len = len,
                        .flags = VM_EXTENT_ALLOCATED | VM_EXTENT_DATA | VM_EXTENT_HAS_OFFSET,
                        .file_offset = offset,
                        .file = node };
  if (s->can_unmap && offset % s->block_size == 0)
    run (s, do_lba_status, &(Errand){ .offset = offset, .len = len, .extent = extent }); /* else it may be data */
  return 0;
}

extern const VmBlockDriver vm_block_iscsi; /* by name */
const VmBlockDriver vm_block_iscsi = {
  .name = "iscsi",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (IscsiState),
  .open = iscsi_open,
  .close = iscsi_close,
  .read = iscsi_read,
  .write = iscsi_write,
  .write_zeroes = iscsi_write_zeroes,
  .discard = iscsi_discard,
  .flush = iscsi_flush,
  .status = iscsi_status,
};
