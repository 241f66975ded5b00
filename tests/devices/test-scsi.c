/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SCSI disks and CD-ROM drives behind an adapter that is a test: commands, sense data, mode pages, units of a target,
 * memory in one piece, in scattered pieces and in windows. */
#include "block/block.h"
#include "devices/scsi/scsi.h"
#include "tests/devices/rig.h"

#include <glib/gstdio.h>
#include <json-c/json.h>
#include <unistd.h>

#define DISK_SIZE (4 * VM_MIB)

typedef struct Adapter {
  VmDevice   parent;
  VmScsiBus  bus;
  bool       windowed; /* gives memory in windows of WINDOW bytes */
  uint32_t   window, at;
  uint8_t   *data;
  uint32_t   data_len;
  struct iovec iov;
  int        completed, released, attentions;
  uint8_t    status;
  uint64_t   moved;
  bool       overrun;
  VmScsiSense sense;
} Adapter;

typedef struct Bench {
  Rig      rig;
  Adapter *adapter;
  char    *path;
  VmDrive *drive;
  uint8_t  data[VM_MIB];
  struct iovec pieces[64];
} Bench;

/* --- the adapter ----------------------------------------------------------------------------------- */

static void
adapter_transfer (VmScsiRequest *req)
{
  Adapter *self = req->hba;
  uint32_t len = MIN (self->window, self->data_len - self->at);

  if (!self->windowed)
    len = 0;
  self->iov = (struct iovec) { self->data + self->at, len };
  self->at += len;
  vm_scsi_request_continue (req, &self->iov, len ? 1 : 0);
}

static void
adapter_complete (VmScsiRequest *req)
{
  Adapter *self = req->hba;

  g_assert_cmpint (self->released, >, self->completed);
  self->completed++;
  self->status = req->status;
  self->moved = req->moved;
  self->overrun = req->overrun;
  self->sense = vm_scsi_sense_parse (req->sense, req->sense_len);
}

static void
adapter_released (VmScsiRequest *req)
{
  ((Adapter *) req->hba)->released++;
}

static void
adapter_attention (VmScsiBus *bus, VmScsiDevice *dev, VmScsiSense sense)
{
  ((Adapter *) bus->opaque)->attentions++;
}

static const VmScsiBusOps whole_ops = {
  .tcq = true, .autosense = true, .max_target = 7, .max_lun = 300, .host_id = 7,
  .complete = adapter_complete, .released = adapter_released, .attention = adapter_attention,
};
static const VmScsiBusOps windowed_ops = {
  .max_target = 7, .max_lun = 7, .host_id = UINT_MAX, .transfer = adapter_transfer,
  .complete = adapter_complete, .released = adapter_released,
};

static const VmDeviceClass adapter_class = { .category = "Misc" };
static const VmType adapter_type = {
  .name = "test-adapter", .parent = &vm_device_type, .size = sizeof (Adapter), .klass = &adapter_class,
};

/* --- the bench ------------------------------------------------------------------------------------- */

static VmDrive *
bench_drive (Bench *b, const char *id, const char *path, bool readonly)
{
  g_autoptr (GError) error = NULL;
  VmDriveOptions options = { .id = id, .file = path, .format = path ? "raw" : NULL, .readonly = readonly };
  /* Several drives have one file. */
  options.options = path ? json_tokener_parse ("{\"file.locking\":\"off\"}") : NULL;
  VmDrive *drive = vm_drive_new (b->rig.env.root, b->rig.env.loop, &options, &error);

  g_assert_no_error (error);
  json_object_put (options.options);
  return drive;
}

static VmScsiDevice *
bench_add (Bench *b, const VmType *type, const char *drive, const char *const *props)
{
  VmDevice *dev = vm_device_new (type);

  dev->parent.scope = b->rig.env.root;
  g_assert_true (vm_object_set (&dev->parent, "drive", drive, NULL));
  for (; props && *props; props += 2)
    {
      g_autoptr (GError) error = NULL;

      vm_object_set (&dev->parent, props[0], props[1], &error);
      g_assert_no_error (error);
    }
  rig_add (&b->rig, dev, &b->adapter->bus.parent);
  return VM_SCSI_DEVICE (dev);
}

static void
bench_init (Bench *b, const VmScsiBusOps *ops)
{
  int fd = g_file_open_tmp ("vitrine-scsi-XXXXXX", &b->path, NULL);
  uint8_t sector[512];

  rig_init (&b->rig, 0);
  g_assert_cmpint (ftruncate (fd, DISK_SIZE), ==, 0);
  for (unsigned i = 0; i < 256; i++)
    {
      memset (sector, i, sizeof sector);
      g_assert_cmpint (pwrite (fd, sector, sizeof sector, i * 512), ==, sizeof sector);
    }
  close (fd);
  b->adapter = (Adapter *) vm_device_new (&adapter_type);
  rig_add (&b->rig, b->adapter, NULL);
  vm_scsi_bus_init (&b->adapter->bus, &b->adapter->parent, NULL, ops, b->adapter);
  b->adapter->windowed = ops->transfer != NULL;
  b->adapter->window = 700; /* no multiple of anything */
  b->drive = bench_drive (b, "d0", b->path, false);
}

static void
bench_clear (Bench *b)
{
  rig_remove (b->adapter);
  rig_clear (&b->rig);
  g_unlink (b->path);
  g_free (b->path);
}

static VmScsiRequest *
bench_new (Bench *b, unsigned target, unsigned lun, const uint8_t *cdb, uint32_t len)
{
  Adapter *self = b->adapter;

  self->at = 0;
  self->data = b->data;
  self->data_len = len;
  return vm_scsi_request_new (&self->bus, 0, target, lun, 1, cdb, 16, self);
}

/* Runs a command on 0:LUN with LEN bytes of data; the status. */
static uint8_t
command_on (Bench *b, unsigned lun, const uint8_t *cdb, uint32_t len)
{
  Adapter *self = b->adapter;
  VmScsiRequest *req = bench_new (b, 0, lun, cdb, len);
  int before = self->completed;
  unsigned n = 0;

  g_assert_nonnull (req);
  /* Scattered over pieces of odd sizes that do not touch, unless windows are asked for. */
  for (uint32_t at = 0; at < len && !self->windowed; n++)
    {
      uint32_t part = n == G_N_ELEMENTS (b->pieces) - 1 ? len - at : MIN (len - at, 100 + 37 * n);

      b->pieces[n] = (struct iovec) { b->data + at, part };
      at += part;
    }
  vm_scsi_request_start (req, b->pieces, n);
  while (self->completed == before)
    vm_loop_iterate (b->rig.env.loop, true);
  vm_scsi_request_unref (req);
  return self->status;
}

#define COMMAND(b, len, ...) command_on (b, 0, (const uint8_t[16]){ __VA_ARGS__ }, len)

static void
assert_sense (Bench *b, VmScsiSense sense)
{
  g_assert_cmphex (b->adapter->sense.key, ==, sense.key);
  g_assert_cmphex (b->adapter->sense.asc, ==, sense.asc);
  g_assert_cmphex (b->adapter->sense.ascq, ==, sense.ascq);
}

static void
take_power_on (Bench *b)
{
  g_assert_cmphex (COMMAND (b, 0, 0x00), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (b, vm_scsi_attention_sense (VM_SCSI_UA_POWER_ON));
  g_assert_cmphex (COMMAND (b, 0, 0x00), ==, VM_SCSI_GOOD);
}

/* --- cases ----------------------------------------------------------------------------------------- */

static void
test_inquiry (void)
{
  Bench b;
  const char *const props[] = { "serial", "S1", "wwn", "0x5000c50015ea71ac", "vendor", "ACME", "rotation_rate", "1",
                                NULL };

  bench_init (&b, &whole_ops);
  bench_add (&b, &vm_scsi_hd_type, "d0", props);
  g_assert_cmphex (COMMAND (&b, 36, 0x12, 0, 0, 0, 36), ==, VM_SCSI_GOOD);
  g_assert_cmpuint (b.adapter->moved, ==, 36);
  g_assert_cmpmem (b.data + 8, 8, "ACME    ", 8);
  g_assert_cmphex (b.data[0], ==, 0);
  g_assert_cmphex (b.data[7] & 2, ==, 2);
  /* An allocation length is a limit, and memory is one. */
  memset (b.data, 0xee, 64);
  g_assert_cmphex (COMMAND (&b, 64, 0x12, 0, 0, 0, 5), ==, VM_SCSI_GOOD);
  g_assert_cmpuint (b.adapter->moved, ==, 5);
  g_assert_cmphex (b.data[5], ==, 0xee);
  g_assert_cmphex (COMMAND (&b, 10, 0x12, 0, 0, 0, 36), ==, VM_SCSI_GOOD);
  g_assert_true (b.adapter->overrun);

  COMMAND (&b, 255, 0x12, 1, 0x00, 0, 255);
  g_assert_cmpmem (b.data, 10, "\0\0\0\6\0\x80\x83\xb0\xb1\xb2", 10);
  COMMAND (&b, 255, 0x12, 1, 0x80, 0, 255);
  g_assert_cmpmem (b.data, 6, "\0\x80\0\2S1", 6);
  COMMAND (&b, 255, 0x12, 1, 0x83, 0, 255);
  g_assert_cmpmem (b.data + 4, 6, "\2\0\0\2S1", 6);
  g_assert_cmpmem (b.data + 10, 12, "\1\3\0\x08\x50\0\xc5\0\x15\xea\x71\xac", 12);
  COMMAND (&b, 255, 0x12, 1, 0xb1, 0, 255);
  g_assert_cmpuint (vm_load_be16 (b.data + 4), ==, 1);
  g_assert_cmphex (COMMAND (&b, 255, 0x12, 1, 0x77, 0, 255), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_INVALID_FIELD);
  bench_clear (&b);
}

static void
test_read_write (gconstpointer ops)
{
  Bench b;
  VmScsiDevice *dev;

  bench_init (&b, ops);
  dev = bench_add (&b, &vm_scsi_hd_type, "d0", NULL);
  take_power_on (&b);
  COMMAND (&b, 8, 0x25);
  g_assert_cmpuint (vm_load_be32 (b.data), ==, DISK_SIZE / 512 - 1);
  g_assert_cmphex (COMMAND (&b, 16 * 512, 0x28, 0, 0, 0, 0, 7, 0, 0, 16), ==, VM_SCSI_GOOD);
  for (unsigned i = 0; i < 16; i++)
    g_assert_cmphex (b.data[512 * i + 17], ==, 7 + i);
  for (unsigned i = 0; i < 5 * 512; i++)
    b.data[i] = i / 3;
  g_assert_cmphex (COMMAND (&b, 5 * 512, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5), ==, VM_SCSI_GOOD);
  memset (b.data, 0, sizeof b.data);
  g_assert_cmphex (COMMAND (&b, 5 * 512, 0xa8, 0, 1, 0, 0, 0, 0, 0, 0, 5), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_LBA_RANGE);
  g_assert_cmphex (COMMAND (&b, 5 * 512, 0xa8, 0, 0, 0, 0, 1, 0, 0, 0, 5), ==, VM_SCSI_GOOD);
  for (unsigned i = 0; i < 5 * 512; i++)
    g_assert_cmphex (b.data[i], ==, (uint8_t) (i / 3));
  /* VERIFY compares. */
  g_assert_cmphex (COMMAND (&b, 5 * 512, 0x2f, 2, 0, 0, 0, 1, 0, 0, 5), ==, VM_SCSI_GOOD);
  b.data[2000]++;
  g_assert_cmphex (COMMAND (&b, 5 * 512, 0x2f, 2, 0, 0, 0, 1, 0, 0, 5), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_MISCOMPARE);
  /* WRITE SAME of a pattern, then of zeros by UNMAP bit; SYNCHRONIZE CACHE. */
  memset (b.data, 0x5a, 512);
  g_assert_cmphex (COMMAND (&b, 512, 0x41, 0, 0, 0, 0, 64, 0, 4, 0), ==, VM_SCSI_GOOD);
  COMMAND (&b, 512, 0x28, 0, 0, 0, 0x04, 0x3f, 0, 0, 1);
  g_assert_cmphex (b.data[511], ==, 0x5a);
  memset (b.data, 0, 512);
  g_assert_cmphex (COMMAND (&b, 512, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 8), ==, VM_SCSI_GOOD);
  COMMAND (&b, 9 * 512, 0x28, 0, 0, 0, 0, 64, 0, 0, 9);
  g_assert_cmphex (b.data[8 * 512 - 1], ==, 0);
  g_assert_cmphex (b.data[8 * 512], ==, 0x5a);
  g_assert_cmphex (COMMAND (&b, 0, 0x35), ==, VM_SCSI_GOOD);
  /* UNMAP: a list that is refused whole, then one that is done. */
  memset (b.data, 0, 64);
  vm_store_be16 (b.data, 38);
  vm_store_be16 (b.data + 2, 32);
  vm_store_be64 (b.data + 8, 72);
  vm_store_be32 (b.data + 16, 8);
  vm_store_be64 (b.data + 24, DISK_SIZE / 512);
  vm_store_be32 (b.data + 32, 1);
  g_assert_cmphex (COMMAND (&b, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_LBA_RANGE);
  vm_store_be16 (b.data + 2, 16);
  g_assert_cmphex (COMMAND (&b, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40), ==, VM_SCSI_GOOD);
  g_assert_cmpuint (dev->requests->len, ==, 0);
  bench_clear (&b);
}

static void
test_sense (void)
{
  Bench b;

  bench_init (&b, &windowed_ops);
  bench_add (&b, &vm_scsi_hd_type, "d0", NULL);
  take_power_on (&b);
  g_assert_cmphex (COMMAND (&b, 0, 0xdf), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_INVALID_OPCODE);
  /* An adapter without autosense asks. */
  g_assert_cmphex (COMMAND (&b, 18, 0x03, 0, 0, 0, 18), ==, VM_SCSI_GOOD);
  g_assert_cmphex (vm_scsi_sense_parse (b.data, 18).asc, ==, 0x20);
  g_assert_cmphex (COMMAND (&b, 18, 0x03, 0, 0, 0, 18), ==, VM_SCSI_GOOD);
  g_assert_cmphex (vm_scsi_sense_parse (b.data, 18).key, ==, 0);
  /* Descriptor format by the control mode page. */
  g_assert_cmphex (COMMAND (&b, 255, 0x1a, 8, 0x0a, 0, 255), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[4], ==, 0x0a);
  b.data[0] = 0;
  b.data[6] |= 4;
  g_assert_cmphex (COMMAND (&b, 16, 0x15, 0x10, 0, 0, 16), ==, VM_SCSI_GOOD);
  g_assert_cmphex (COMMAND (&b, 0, 0xdf), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_INVALID_OPCODE);
  vm_scsi_bus_reset (&b.adapter->bus);
  g_assert_cmphex (COMMAND (&b, 0, 0x00), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, vm_scsi_attention_sense (VM_SCSI_UA_BUS_RESET));
  bench_clear (&b);
}

static void
test_mode (void)
{
  Bench b;

  bench_init (&b, &whole_ops);
  bench_add (&b, &vm_scsi_hd_type, "d0", (const char *const[]) { "dpofua", "on", NULL });
  take_power_on (&b);
  g_assert_cmphex (COMMAND (&b, 255, 0x1a, 0, 0x3f, 0, 255), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[2], ==, 0x10);
  g_assert_cmpuint (b.data[3], ==, 8);
  g_assert_cmpuint (vm_load_be32 (b.data + 4), ==, DISK_SIZE / 512);
  g_assert_cmpuint (b.data[0] + 1, ==, b.adapter->moved);
  /* The write cache goes off and on; nothing else of the page gives way. */
  g_assert_cmphex (COMMAND (&b, 255, 0x1a, 8, 0x48, 0, 255), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[6], ==, 4);
  g_assert_cmphex (COMMAND (&b, 255, 0x5a, 8, 0x08, 0, 0, 0, 0, 0, 255), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[10], ==, 4);
  memset (b.data, 0, 8);
  b.data[10] = 0;
  g_assert_cmphex (COMMAND (&b, 28, 0x55, 0x10, 0, 0, 0, 0, 0, 0, 28), ==, VM_SCSI_GOOD);
  g_assert_cmphex (COMMAND (&b, 255, 0x1a, 8, 0x08, 0, 255), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[6], ==, 0);
  memset (b.data, 0, 4);
  b.data[7] = 1;
  g_assert_cmphex (COMMAND (&b, 24, 0x15, 0x10, 0, 0, 24), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_INVALID_PARAM);
  g_assert_cmphex (COMMAND (&b, 3, 0x15, 0x10, 0, 0, 3), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_LIST_LENGTH);
  g_assert_cmphex (COMMAND (&b, 255, 0x1a, 8, 0xc8, 0, 255), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_SAVING);
  bench_clear (&b);
}

/* A disk whose image is only read is one, and says so. */
static void
test_write_protected (void)
{
  Bench b;

  bench_init (&b, &whole_ops);
  bench_drive (&b, "d1", b.path, true);
  bench_add (&b, &vm_scsi_hd_type, "d1", NULL);
  take_power_on (&b);
  g_assert_cmphex (COMMAND (&b, 255, 0x1a, 0, 0x3f, 0, 255), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[2] & 0x80, ==, 0x80);
  g_assert_cmphex (COMMAND (&b, 512, 0x2a, 0, 0, 0, 0, 7, 0, 0, 1), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_WRITE_PROTECTED);
  g_assert_cmphex (COMMAND (&b, 512, 0x28, 0, 0, 0, 0, 7, 0, 0, 1), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[0], ==, 7);
  bench_clear (&b);
}

static void
test_units (void)
{
  Bench b;
  const uint8_t inquiry[16] = { 0x12, 0, 0, 0, 36 };
  uint8_t lun[8];

  bench_init (&b, &whole_ops);
  bench_drive (&b, "d1", b.path, true);
  bench_add (&b, &vm_scsi_hd_type, "d0", (const char *const[]) { "scsi-id", "0", "lun", "1", NULL });
  bench_add (&b, &vm_scsi_cd_type, "d1", (const char *const[]) { "scsi-id", "0", "lun", "260", NULL });
  g_assert_null (bench_new (&b, 3, 0, inquiry, 36));
  /* LUN 0 is not there, but its target is. */
  g_assert_cmphex (command_on (&b, 0, inquiry, 36), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[0], ==, 0x7f);
  g_assert_cmphex (command_on (&b, 0, (const uint8_t[16]) { 0 }, 0), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_LUN_NOT_SUPPORTED);
  g_assert_cmphex (command_on (&b, 0, (const uint8_t[16]) { 0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0 }, 256), ==, VM_SCSI_GOOD);
  g_assert_cmpuint (vm_load_be32 (b.data), ==, 16);
  g_assert_cmpuint (vm_scsi_lun_decode (b.data + 8), ==, 1);
  g_assert_cmpuint (vm_scsi_lun_decode (b.data + 16), ==, 260);
  for (unsigned i = 0; i < 16384; i += 127)
    {
      vm_scsi_lun_encode (lun, i);
      g_assert_cmpuint (vm_scsi_lun_decode (lun), ==, i);
    }
  g_assert_cmphex (command_on (&b, 260, inquiry, 36), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[0], ==, 5);
  bench_clear (&b);
}

static void
test_addresses (void)
{
  Bench b;
  g_autoptr (GError) error = NULL;
  VmDevice *dev;
  VmScsiDevice *first;

  bench_init (&b, &whole_ops);
  bench_drive (&b, "d1", b.path, true);
  first = bench_add (&b, &vm_scsi_cd_type, "d1", NULL);
  g_assert_cmpuint (first->scsi_id, ==, 0);
  g_assert_cmpuint (first->lun, ==, 0);
  for (unsigned i = 0; i < 3; i++)
    {
      static const char *const bad[3][3] = { { "0", "0", "lun already used by" }, { "7", "0", "adapter's own" },
                                             { "8", "0", "bad scsi device id: 8" } };

      dev = vm_device_new (&vm_scsi_hd_type);
      dev->parent.scope = b.rig.env.root;
      vm_object_set (&dev->parent, "drive", "d0", NULL);
      vm_object_set (&dev->parent, "scsi-id", bad[i][0], NULL);
      vm_object_set (&dev->parent, "lun", bad[i][1], NULL);
      g_assert_false (vm_device_realize (dev, &b.rig.env, &b.adapter->bus.parent, &error));
      g_assert_nonnull (strstr (error->message, bad[i][2]));
      g_clear_error (&error);
      vm_object_unref (&dev->parent);
    }
  g_autofree char *path = b.adapter->bus.parent.device_path (&b.adapter->bus.parent, &first->parent);
  g_assert_cmpstr (path, ==, "channel@0/disk@0,0");
  bench_clear (&b);
}

static void
test_cdrom (void)
{
  Bench b;
  VmScsiDevice *dev;
  VmDrive *drive;

  bench_init (&b, &whole_ops);
  drive = bench_drive (&b, "cd", b.path, true);
  dev = bench_add (&b, &vm_scsi_cd_type, "cd", NULL);
  take_power_on (&b);
  COMMAND (&b, 8, 0x25);
  g_assert_cmpuint (vm_load_be32 (b.data), ==, DISK_SIZE / 2048 - 1);
  g_assert_cmpuint (vm_load_be32 (b.data + 4), ==, 2048);
  g_assert_cmphex (COMMAND (&b, 2048, 0x28, 0, 0, 0, 0, 1, 0, 0, 1), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[0], ==, 4);
  /* READ CD, user data and raw. */
  g_assert_cmphex (COMMAND (&b, 2 * 2352, 0xbe, 0, 0, 0, 0, 1, 0, 0, 2, 0xf8), ==, VM_SCSI_GOOD);
  g_assert_cmpuint (b.adapter->moved, ==, 2 * 2352);
  g_assert_cmphex (b.data[16], ==, 4);
  g_assert_cmphex (b.data[2352 + 16], ==, 8);
  g_assert_cmphex (b.data[2352 + 14], ==, 2); /* frame 2 of second 2 */
  COMMAND (&b, 100, 0x43, 0, 0, 0, 0, 0, 0, 0, 100);
  g_assert_cmpuint (vm_load_be16 (b.data), ==, 18);
  g_assert_cmphex (COMMAND (&b, 2048, 0x2a, 0, 0, 0, 0, 1, 0, 0, 1), ==, VM_SCSI_CHECK_CONDITION);
  /* The tray: locked, then opened, then another medium. */
  COMMAND (&b, 0, 0x1e, 0, 0, 0, 1);
  g_assert_true (drive->locked);
  g_assert_cmphex (COMMAND (&b, 0, 0x1b, 0, 0, 0, 2), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_REMOVAL_PREVENTED);
  COMMAND (&b, 0, 0x1e, 0, 0, 0, 0);
  g_assert_cmphex (COMMAND (&b, 0, 0x1b, 0, 0, 0, 2), ==, VM_SCSI_GOOD);
  g_assert_true (drive->tray_open);
  g_assert_cmphex (COMMAND (&b, 0, 0x00), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_NO_MEDIUM_OPEN);
  g_assert_cmphex (COMMAND (&b, 0, 0x1b, 0, 0, 0, 3), ==, VM_SCSI_GOOD);
  g_assert_cmpint (b.adapter->attentions, ==, 1);
  g_assert_cmphex (COMMAND (&b, 8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), ==, VM_SCSI_GOOD);
  g_assert_cmphex (b.data[4], ==, 2);
  g_assert_cmphex (COMMAND (&b, 0, 0x00), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, vm_scsi_attention_sense (VM_SCSI_UA_MEDIUM));
  g_assert_cmphex (COMMAND (&b, 0, 0x00), ==, VM_SCSI_GOOD);
  g_assert_cmpuint (dev->requests->len, ==, 0);
  bench_clear (&b);
}

static void
test_cancel (void)
{
  Bench b;
  VmScsiDevice *dev;
  const uint8_t read[16] = { 0x28, 0, 0, 0, 0, 0, 0, 1, 0 };
  VmScsiRequest *req;
  struct iovec iov;

  bench_init (&b, &whole_ops);
  dev = bench_add (&b, &vm_scsi_hd_type, "d0", NULL);
  take_power_on (&b);
  int completed = b.adapter->completed, released = b.adapter->released;

  req = bench_new (&b, 0, 0, read, sizeof b.data);
  iov = (struct iovec) { b.data, 256 * 512 };
  vm_scsi_request_start (req, &iov, 1);
  g_assert_true (vm_scsi_device_find_request (dev, 1) == req);
  vm_scsi_request_cancel (req);
  vm_scsi_request_unref (req);
  while (b.adapter->released == released)
    vm_loop_iterate (b.rig.env.loop, true);
  g_assert_cmpint (b.adapter->completed, ==, completed);
  /* One is on its way while the disk is pulled out. */
  req = bench_new (&b, 0, 0, read, sizeof b.data);
  vm_scsi_request_start (req, &iov, 1);
  vm_scsi_request_unref (req);
  rig_remove (dev);
  g_assert_cmpint (b.adapter->released, ==, released + 2);
  bench_clear (&b);
}

static void
test_stopped (void)
{
  Bench b;

  bench_init (&b, &whole_ops);
  bench_add (&b, &vm_scsi_hd_type, "d0", NULL);
  take_power_on (&b);
  COMMAND (&b, 0, 0x1b, 0, 0, 0, 0);
  g_assert_cmphex (COMMAND (&b, 512, 0x28, 0, 0, 0, 0, 1, 0, 0, 1), ==, VM_SCSI_CHECK_CONDITION);
  assert_sense (&b, VM_SCSI_SENSE_NOT_READY);
  COMMAND (&b, 0, 0x1b, 0, 0, 0, 1);
  g_assert_cmphex (COMMAND (&b, 512, 0x28, 0, 0, 0, 0, 1, 0, 0, 1), ==, VM_SCSI_GOOD);
  /* FUA without dpofua, protection. */
  g_assert_cmphex (COMMAND (&b, 512, 0x2a, 8, 0, 0, 0, 1, 0, 0, 1), ==, VM_SCSI_CHECK_CONDITION);
  g_assert_cmphex (COMMAND (&b, 512, 0x28, 0x20, 0, 0, 0, 1, 0, 0, 1), ==, VM_SCSI_CHECK_CONDITION);
  bench_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scsi/inquiry", test_inquiry);
  g_test_add_data_func ("/scsi/read-write/scattered", &whole_ops, test_read_write);
  g_test_add_data_func ("/scsi/read-write/windows", &windowed_ops, test_read_write);
  g_test_add_func ("/scsi/sense", test_sense);
  g_test_add_func ("/scsi/mode", test_mode);
  g_test_add_func ("/scsi/write-protected", test_write_protected);
  g_test_add_func ("/scsi/units", test_units);
  g_test_add_func ("/scsi/addresses", test_addresses);
  g_test_add_func ("/scsi/cdrom", test_cdrom);
  g_test_add_func ("/scsi/cancel", test_cancel);
  g_test_add_func ("/scsi/stopped", test_stopped);
  return g_test_run ();
}
