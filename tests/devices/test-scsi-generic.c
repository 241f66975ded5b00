/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SCSI devices of the host: "scsi-generic" before a device that is made up here. The linker puts __wrap_ioctl() in the
 * place of ioctl() ("--wrap"). */
#include "block/block.h"
#include "devices/scsi/scsi.h"
#include "tests/devices/rig.h"

#include <scsi/sg.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#define BLOCK  512u
#define BLOCKS 64u

int __real_ioctl (int fd, unsigned long request, ...);
int __wrap_ioctl (int fd, unsigned long request, ...);
extern const VmType vm_scsi_generic_type, vm_scsi_block_type;

/* --- the device -------------------------------------------------------------------------------------------- */

static uint8_t medium[BLOCKS * BLOCK];
static unsigned commands, timeout_ms;
static bool host_fails;

static void
fake_command (sg_io_hdr_t *h)
{
  const uint8_t *c = h->cmdp;
  uint8_t *data = h->dxferp;
  uint32_t lba = vm_load_be32 (c + 2), len = vm_load_be16 (c + 7) * BLOCK;

  commands++;
  timeout_ms = h->timeout;
  h->status = VM_SCSI_GOOD;
  h->host_status = host_fails ? 3 : 0; /* time out */
  h->resid = 0;
  h->sb_len_wr = 0;
  switch (c[0])
    {
    case 0x00:
      break;
    case 0x12:
      memset (data, 0, h->dxfer_len);
      memcpy (data, "\0\0\6\2\x1f\0\0\0FAKE    MEDIUM", MIN (22, h->dxfer_len));
      h->resid = (int) h->dxfer_len - 36;
      break;
    case 0x25:
      vm_store_be32 (data, BLOCKS - 1);
      vm_store_be32 (data + 4, BLOCK);
      break;
    case 0x28:
      g_assert_cmpint (h->dxfer_direction, ==, SG_DXFER_FROM_DEV);
      memcpy (data, medium + lba * BLOCK, MIN (len, h->dxfer_len));
      break;
    case 0x2a:
      g_assert_cmpint (h->dxfer_direction, ==, SG_DXFER_TO_DEV);
      memcpy (medium + lba * BLOCK, data, MIN (len, h->dxfer_len));
      break;
    default:
      h->status = VM_SCSI_CHECK_CONDITION;
      h->sb_len_wr = (uint8_t) vm_scsi_sense_fixed (h->sbp, VM_SCSI_SENSE_INVALID_OPCODE);
      break;
    }
}

int
__wrap_ioctl (int fd, unsigned long request, ...)
{
  va_list ap;
  void *arg;

  va_start (ap, request);
  arg = va_arg (ap, void *);
  va_end (ap);
  if (request == SG_GET_VERSION_NUM)
    return *(int *) arg = 30536, 0;
  if (request != SG_IO)
    return __real_ioctl (fd, request, arg);
  fake_command (arg);
  return 0;
}

/* --- the adapter ------------------------------------------------------------------------------------------- */

typedef struct Adapter {
  VmDevice  parent;
  VmScsiBus bus;
} Adapter;

static const VmDeviceClass adapter_class = { .category = "Misc" };
static const VmType adapter_type = {
  .name = "adapter", .parent = &vm_device_type, .size = sizeof (Adapter), .klass = &adapter_class,
};

static VmScsiRequest *completed;

static void
on_complete (VmScsiRequest *req)
{
  completed = req;
}

static const VmScsiBusOps ops = {
  .tcq = true, .autosense = true, .max_target = 7, .max_lun = 7, .host_id = UINT_MAX, .complete = on_complete,
};

typedef struct Bench {
  Rig      rig;
  Adapter *adapter;
} Bench;

static void
bench_init (Bench *b)
{
  VmDriveOptions options = { .id = "d", .file = "host_device:/dev/null", .format = "raw" };
  g_autoptr (GError) error = NULL;
  VmDevice *dev;

  host_fails = false;
  rig_init (&b->rig, VM_MIB);
  vm_drive_new (b->rig.env.root, b->rig.env.loop, &options, &error);
  g_assert_no_error (error);
  b->adapter = (Adapter *) vm_device_new (&adapter_type);
  rig_add (&b->rig, b->adapter, NULL);
  vm_scsi_bus_init (&b->adapter->bus, &b->adapter->parent, NULL, &ops, b->adapter);
  dev = vm_device_new (&vm_scsi_generic_type);
  dev->parent.scope = b->rig.env.root;
  g_assert_true (vm_object_set (&dev->parent, "drive", "d", NULL));
  g_assert_true (vm_object_set (&dev->parent, "io_timeout", "7", NULL));
  rig_add (&b->rig, dev, &b->adapter->bus.parent);
  commands = 0;
}

static void
bench_clear (Bench *b)
{
  rig_remove (b->adapter);
  rig_clear (&b->rig);
}

/* The caller's reference. */
static VmScsiRequest *
run (Bench *b, const uint8_t *cdb, unsigned cdb_len, void *data, size_t len)
{
  struct iovec iov = { data, len };
  VmScsiRequest *req = vm_scsi_request_new (&b->adapter->bus, 0, 0, 0, 1, cdb, cdb_len, NULL);

  g_assert_nonnull (req);
  completed = NULL;
  vm_scsi_request_start (req, &iov, len ? 1 : 0);
  while (!completed)
    vm_loop_iterate (b->rig.env.loop, true);
  g_assert_true (completed == req);
  return req;
}

static void
test_commands (void)
{
  static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 255 }, unknown[10] = { 0x4d };
  static const uint8_t write[10] = { 0x2a, 0, 0, 0, 0, 5, 0, 0, 2 }, read[10] = { 0x28, 0, 0, 0, 0, 5, 0, 0, 2 };
  uint8_t out[2 * BLOCK], in[2 * BLOCK] = { 0 };
  VmScsiRequest *req;
  Bench b;

  bench_init (&b);
  req = run (&b, inquiry, sizeof inquiry, in, 255);
  g_assert_cmpint (req->status, ==, VM_SCSI_GOOD);
  g_assert_cmpuint (req->moved, ==, 36);
  g_assert_cmpmem (in + 8, 4, "FAKE", 4);
  g_assert_cmpuint (timeout_ms, ==, 7000);
  vm_scsi_request_unref (req);
  for (unsigned i = 0; i < sizeof out; i++)
    out[i] = (uint8_t) (i * 7);
  req = run (&b, write, sizeof write, out, sizeof out);
  g_assert_cmpint (req->status, ==, VM_SCSI_GOOD);
  vm_scsi_request_unref (req);
  g_assert_cmpmem (medium + 5 * BLOCK, sizeof out, out, sizeof out);
  req = run (&b, read, sizeof read, in, sizeof in);
  g_assert_cmpint (req->status, ==, VM_SCSI_GOOD);
  vm_scsi_request_unref (req);
  g_assert_cmpmem (in, sizeof in, out, sizeof out);
  /* The device's own sense data comes through. */
  req = run (&b, unknown, sizeof unknown, NULL, 0);
  g_assert_cmpint (req->status, ==, VM_SCSI_CHECK_CONDITION);
  g_assert_cmpint (vm_scsi_sense_parse (req->sense, req->sense_len).asc, ==, 0x20);
  vm_scsi_request_unref (req);
  g_assert_cmpuint (commands, ==, 4);
  bench_clear (&b);
}

static void
test_host_trouble (void)
{
  static const uint8_t ready[6] = { 0 };
  VmScsiRequest *req;
  Bench b;

  bench_init (&b);
  host_fails = true;
  req = run (&b, ready, sizeof ready, NULL, 0);
  g_assert_cmpint (req->status, ==, VM_SCSI_TASK_ABORTED);
  vm_scsi_request_unref (req);
  bench_clear (&b);
}

/* A disk needs a size, and a device that speaks SCSI at all. */
static void
test_refusals (void)
{
  g_autoptr (GError) error = NULL;
  VmDevice *dev;
  Bench b;

  bench_init (&b);
  VmDriveOptions options = { .id = "e", .file = "host_device:/dev/zero", .format = "raw" };
  vm_drive_new (b.rig.env.root, b.rig.env.loop, &options, &error);
  g_assert_no_error (error);
  dev = vm_device_new (&vm_scsi_block_type);
  dev->parent.scope = b.rig.env.root;
  g_assert_true (vm_object_set (&dev->parent, "drive", "e", NULL));
  g_assert_false (vm_device_realize (dev, &b.rig.env, &b.adapter->bus.parent, &error));
  g_assert_nonnull (strstr (error->message, "has no size"));
  vm_object_unref (&dev->parent);
  bench_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scsi-generic/commands", test_commands);
  g_test_add_func ("/scsi-generic/host-trouble", test_host_trouble);
  g_test_add_func ("/scsi-generic/refusals", test_refusals);
  return g_test_run ();
}
