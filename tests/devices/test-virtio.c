/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Virtio devices as their drivers see them: both interfaces, both layouts, and drivers that break the rules. */
#include "devices/scsi/scsi.h"
#include "devices/virtio/virtio-serial.h"
#include "engine/state/state.h"
#include "tests/devices/virtio-rig.h"

extern const VmType vm_virtio_blk_pci_type, vm_virtio_blk_pci_non_transitional_type, vm_virtio_rng_pci_type,
  vm_virtio_balloon_pci_type, vm_virtio_serial_pci_type, vm_virtserialport_type, vm_virtio_scsi_pci_type;

enum { HEADER = 0x200000, DATA = 0x210000, STATUS = 0x220000, OTHER = 0x230000 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { NEEDS_RESET = 64 };
#define DISK_SIZE (2 * VM_MIB)
#define EVENT_IDX VM_BIT (VIRTIO_F_EVENT_IDX)
#define INDIRECT  VM_BIT (VIRTIO_F_INDIRECT_DESC)
#define PACKED    VM_BIT (VIRTIO_F_RING_PACKED)

static void
blk_init (VirtioRig *r, const char *const *props)
{
  static const char *const usual[] = { "drive", "d", "serial", "SN-1", "packed", "on", NULL };

  virtio_rig_init (r);
  virtio_rig_make_drive (r, DISK_SIZE);
  virtio_rig_add (r, &vm_virtio_blk_pci_type, props ? props : usual);
}

static void
put_header (VirtioRig *r, uint32_t type, uint64_t sector)
{
  rig_store (&r->rig, HEADER, type, 8);
  rig_store (&r->rig, HEADER + 8, sector, 8);
  rig_store (&r->rig, STATUS, 0xee, 1);
}

/* One request of LEN bytes at DATA; its status. */
static uint8_t
request (VirtioRig *r, uint32_t type, uint64_t sector, uint32_t len, bool write, bool indirect)
{
  VirtioRigPiece pieces[4] = { { HEADER, 16, false } };
  unsigned n = 1;

  put_header (r, type, sector);
  if (len > 512)
    {
      pieces[n++] = (VirtioRigPiece) { DATA, 512, write };
      pieces[n++] = (VirtioRigPiece) { DATA + 512, len - 512, write };
    }
  else if (len)
    pieces[n++] = (VirtioRigPiece) { DATA, len, write };
  pieces[n++] = (VirtioRigPiece) { STATUS, 1, true };
  virtio_rig_add_chain (r, 0, pieces, n, indirect);
  virtio_rig_ring (r, 0);
  g_assert_cmpint (virtio_rig_take (r, 0), >=, 0);
  return (uint8_t) rig_load (&r->rig, STATUS, 1);
}

static void
exercise_disk (VirtioRig *r, bool indirect)
{
  for (unsigned round = 0; round < 20; round++) /* round the ring a few times */
    {
      uint64_t sector = 7 + 3 * round;

      for (uint32_t at = 0; at < 1536; at += 8)
        rig_store (&r->rig, DATA + at, (uint64_t) (round + 1) << 32 | at, 8);
      g_assert_cmpuint (request (r, T_OUT, sector, 1536, false, indirect), ==, 0);
      for (uint32_t at = 0; at < 1536; at += 8)
        rig_store (&r->rig, DATA + at, 0, 8);
      g_assert_cmpuint (request (r, T_IN, sector, 1536, true, indirect), ==, 0);
      for (uint32_t at = 0; at < 1536; at += 8)
        g_assert_cmpuint (rig_load (&r->rig, DATA + at, 8), ==, (uint64_t) (round + 1) << 32 | at);
    }
  g_assert_cmpuint (request (r, T_FLUSH, 0, 0, false, indirect), ==, 0);
  g_assert_cmpuint (request (r, T_GET_ID, 0, 20, true, indirect), ==, 0);
  g_assert_cmpuint (rig_load (&r->rig, DATA, 4), ==, 0x312d4e53); /* "SN-1" */
  g_assert_cmpuint (rig_load (&r->rig, DATA + 4, 8), ==, 0);
  g_assert_cmpuint (request (r, 77, 0, 0, false, indirect), ==, 2);
  g_assert_cmpuint (request (r, T_IN, DISK_SIZE / 512, 512, true, indirect), ==, 1);
  g_assert_cmpuint (request (r, T_IN, UINT64_MAX / 512, 1536, true, indirect), ==, 1);
  g_assert_cmpuint (request (r, T_IN, 0, 100, true, indirect), ==, 1);
  g_assert_cmpuint (request (r, T_OUT, DISK_SIZE / 512 - 1, 1024, false, indirect), ==, 1);
  rig_store (&r->rig, DATA, 7, 8); /* sector, count, flags */
  rig_store (&r->rig, DATA + 8, 3, 8);
  g_assert_cmpuint (request (r, T_WRITE_ZEROES, 0, 16, false, indirect), ==, 0);
  g_assert_cmpuint (request (r, T_IN, 7, 512, true, indirect), ==, 0);
  g_assert_cmpuint (rig_load (&r->rig, DATA, 8), ==, 0);
  rig_store (&r->rig, DATA, 7, 8);
  rig_store (&r->rig, DATA + 8, UINT64_C (1) << 32 | 3, 8); /* "unmap" is not for discards */
  g_assert_cmpuint (request (r, T_DISCARD, 0, 16, false, indirect), ==, 2);
  rig_store (&r->rig, DATA + 8, 3, 8);
  g_assert_cmpuint (request (r, T_DISCARD, 0, 16, false, indirect), ==, 0);
  rig_store (&r->rig, DATA, DISK_SIZE / 512, 8);
  g_assert_cmpuint (request (r, T_DISCARD, 0, 16, false, indirect), ==, 1);
}

static void
test_blk (void)
{
  static const struct { bool legacy; uint64_t features; bool indirect; uint16_t num; } modes[] = {
    { false, 0, false, 8 }, { false, EVENT_IDX, false, 8 }, { false, INDIRECT, true, 4 },
    { false, INDIRECT | EVENT_IDX, true, 8 }, { false, PACKED, false, 7 }, { false, PACKED | EVENT_IDX, false, 8 },
    { false, PACKED | INDIRECT, true, 5 }, { true, 0, false, 0 }, { true, EVENT_IDX | INDIRECT, true, 0 },
  };
  VirtioRig r;

  blk_init (&r, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (modes); i++)
    {
      r.legacy = modes[i].legacy;
      virtio_rig_start (&r, modes[i].features, 1, modes[i].num);
      exercise_disk (&r, modes[i].indirect);
      g_assert_false (r.dev->vdev->broken);
    }
  virtio_rig_clear (&r);
}

static void
test_identity (void)
{
  static const char *const modern[] = { "drive", "d", NULL };
  VirtioRig r;

  blk_init (&r, NULL);
  g_assert_cmphex (virtio_rig_config (&r, 0, 4), ==, 0x10011af4);
  g_assert_cmphex (virtio_rig_config (&r, 8, 4), ==, 0x01000000);
  g_assert_cmphex (virtio_rig_config (&r, 0x2c, 4), ==, 0x00021af4);
  g_assert_cmphex (virtio_rig_config (&r, 0x34, 1), ==, 0x98);
  /* The window of the configuration space: device features, without a BAR. */
  virtio_rig_set_config (&r, PCI_COMMAND, 0, 2);
  virtio_rig_set_config (&r, 0x84 + 4, 4, 1);
  virtio_rig_set_config (&r, 0x84 + 8, MODERN_DF, 4);
  virtio_rig_set_config (&r, 0x84 + 12, 4, 4);
  g_assert_cmphex (virtio_rig_config (&r, 0x84 + 16, 4), ==, 0x30006e54);
  virtio_rig_clear (&r);

  virtio_rig_init (&r);
  virtio_rig_make_drive (&r, DISK_SIZE);
  virtio_rig_add (&r, &vm_virtio_blk_pci_non_transitional_type, modern);
  g_assert_cmphex (virtio_rig_config (&r, 0, 4), ==, 0x10421af4);
  g_assert_cmphex (virtio_rig_config (&r, 8, 1), ==, 1);
  g_assert_cmphex (virtio_rig_config (&r, 0x10, 4), ==, 0);
  virtio_rig_clear (&r);
}

/* Without VERSION_1 the modern interface is not for a driver. */
static void
test_features (void)
{
  VirtioRig r;

  blk_init (&r, NULL);
  virtio_rig_write (&r, MODERN_STATUS, 3, 1);
  virtio_rig_write (&r, MODERN_GF_SELECT, 0, 4);
  virtio_rig_write (&r, MODERN_GF, 0xffffffff, 4);
  virtio_rig_write (&r, MODERN_STATUS, 11, 1);
  g_assert_cmpuint (virtio_rig_read (&r, MODERN_STATUS, 1), ==, 3);
  virtio_rig_write (&r, MODERN_GF_SELECT, 1, 4);
  virtio_rig_write (&r, MODERN_GF, 1, 4);
  virtio_rig_write (&r, MODERN_STATUS, 11, 1);
  g_assert_cmpuint (virtio_rig_read (&r, MODERN_STATUS, 1), ==, 11);
  g_assert_cmphex (r.dev->vdev->features, ==, UINT64_C (0x130006e54));
  virtio_rig_clear (&r);
}

/* The driver says at which index it wants to hear. */
static void
test_event_index (void)
{
  const VirtioRigPiece pieces[] = { { HEADER, 16, false }, { STATUS, 1, true } };
  VirtioRig r;

  blk_init (&r, NULL);
  virtio_rig_start (&r, EVENT_IDX, 1, 16);
  put_header (&r, T_FLUSH, 0);
  rig_store (&r.rig, VIRTIO_RIG_QUEUE (0) + 0x4000 + 4 + 2 * 16, 2, 2); /* used event: the third */
  virtio_rig_read (&r, MODERN_ISR, 1);
  for (int i = 0; i < 5; i++)
    {
      virtio_rig_add_chain (&r, 0, pieces, 2, false);
      virtio_rig_ring (&r, 0);
      g_assert_cmpuint (virtio_rig_read (&r, MODERN_ISR, 1), ==, i == 2);
      g_assert_cmpint (virtio_rig_take (&r, 0), >=, 0);
      /* The device wants the next one. */
      g_assert_cmpuint (rig_load (&r.rig, VIRTIO_RIG_QUEUE (0) + 0x8000 + 4 + 8 * 16, 2), ==, i + 1);
    }
  virtio_rig_clear (&r);
}

static void
test_batch (void)
{
  VirtioRig r;

  blk_init (&r, NULL);
  virtio_rig_start (&r, 0, 1, 64);
  for (uint32_t i = 0; i < 8; i++) /* neighbours: one request of the medium */
    {
      const VirtioRigPiece pieces[] = { { HEADER + 16 * i, 16, false }, { DATA + 512 * i, 512, false },
                                        { STATUS + i, 1, true } };

      rig_store (&r.rig, HEADER + 16 * i, T_OUT, 8);
      rig_store (&r.rig, HEADER + 16 * i + 8, 100 + i, 8);
      rig_store (&r.rig, DATA + 512 * i, 0xabc0 + i, 8);
      rig_store (&r.rig, STATUS + i, 0xee, 1);
      virtio_rig_add_chain (&r, 0, pieces, 3, false);
    }
  virtio_rig_ring (&r, 0);
  for (uint32_t i = 0; i < 8; i++)
    {
      g_assert_cmpint (virtio_rig_take (&r, 0), ==, 1);
      g_assert_cmpuint (rig_load (&r.rig, STATUS + i, 1), ==, 0);
    }
  g_assert_cmpuint (vm_block_stats (r.drive->block)->operations[VM_BLOCK_WRITE], ==, 1);
  g_assert_cmpuint (request (&r, T_IN, 103, 512, true, false), ==, 0);
  g_assert_cmphex (rig_load (&r.rig, DATA, 8), ==, 0xabc3);
  virtio_rig_clear (&r);
}

/* --- drivers that break the rules ------------------------------------------------------------------------- */

typedef void (*Crime) (VirtioRig *r, uint32_t desc, uint32_t avail);

static void
put (VirtioRig *r, uint32_t at, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
  rig_store (&r->rig, at, addr, 8);
  rig_store (&r->rig, at + 8, len, 4);
  rig_store (&r->rig, at + 12, flags, 2);
  rig_store (&r->rig, at + 14, next, 2);
}

static void
crime_loop (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, HEADER, 16, 1, 1);
  put (r, desc + 16, HEADER, 16, 1, 0);
}

static void
crime_next (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, HEADER, 16, 1, 8);
}

static void
crime_head (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  rig_store (&r->rig, avail + 4, 8, 2);
}

static void
crime_index (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  rig_store (&r->rig, avail + 2, 9, 2);
}

static void
crime_empty (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, HEADER, 0, 0, 0);
}

static void
crime_order (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, STATUS, 1, 3, 1);
  put (r, desc + 16, HEADER, 16, 0, 0);
}

static void
crime_nowhere (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, UINT64_C (0x123456789000), UINT32_MAX, 0, 0);
}

static void
crime_end (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, UINT64_MAX - 15, 32, 0, 0);
}

static void
crime_registers (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, HEADER, 16, 1, 1);
  put (r, desc + 16, VIRTIO_RIG_MODERN, 0x20000, 2, 0); /* the device itself */
}

static void
crime_no_status (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, HEADER, 16, 0, 0);
}

static void
crime_short (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, HEADER, 15, 1, 1);
  put (r, desc + 16, STATUS, 1, 2, 0);
}

static void
crime_table_size (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, OTHER, 24, 4, 0);
}

static void
crime_table_loop (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, OTHER, 32, 4, 0);
  put (r, OTHER, HEADER, 16, 1, 1);
  put (r, OTHER + 16, HEADER, 16, 1, 0);
}

static void
crime_table_nested (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, OTHER, 16, 4, 0);
  put (r, OTHER, OTHER, 16, 4, 0);
}

static void
crime_table_nowhere (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, UINT64_C (0xffffff0000000), 1 << 20, 4, 0);
}

static void
crime_table_and_next (VirtioRig *r, uint32_t desc, uint32_t avail)
{
  put (r, desc, OTHER, 16, 5, 1);
}

static void
test_crimes (void)
{
  static const Crime crimes[] = {
    crime_loop, crime_next, crime_head, crime_index, crime_empty, crime_order, crime_nowhere, crime_end,
    crime_registers, crime_no_status, crime_short, crime_table_size, crime_table_loop, crime_table_nested,
    crime_table_nowhere, crime_table_and_next,
  };
  VirtioRig r;

  blk_init (&r, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (crimes); i++)
    {
      virtio_rig_start (&r, INDIRECT, 1, 8);
      rig_store (&r.rig, VIRTIO_RIG_QUEUE (0) + 0x4000 + 2, 1, 2);
      put_header (&r, T_IN, 0);
      crimes[i] (&r, VIRTIO_RIG_QUEUE (0), VIRTIO_RIG_QUEUE (0) + 0x4000);
      virtio_rig_ring (&r, 0);
      if (!(virtio_rig_read (&r, MODERN_STATUS, 1) & NEEDS_RESET))
        g_error ("crime %zu went through", i);
      g_assert_cmpint (virtio_rig_take (&r, 0), ==, -1);
      virtio_rig_ring (&r, 0);
      virtio_rig_start (&r, 0, 1, 8);
      g_assert_cmpuint (request (&r, T_FLUSH, 0, 0, false, false), ==, 0);
    }
  /* A ring in registers, or half past the end of memory. */
  for (int i = 0; i < 2; i++)
    {
      virtio_rig_start (&r, 0, 0, 0);
      virtio_rig_write (&r, MODERN_Q_SELECT, 0, 2);
      virtio_rig_write (&r, MODERN_Q_SIZE, 256, 2);
      virtio_rig_write (&r, MODERN_Q_DESC, i ? (uint32_t) VIRTIO_RIG_MODERN : VIRTIO_RIG_RAM - 2048, 4);
      virtio_rig_write (&r, MODERN_Q_ENABLE, 1, 2);
      virtio_rig_ring (&r, 0);
      g_assert_cmpuint (virtio_rig_read (&r, MODERN_STATUS, 1) & NEEDS_RESET, ==, NEEDS_RESET);
    }
  virtio_rig_clear (&r);
}

/* --- the others ---------------------------------------------------------------------------------------------- */

static void
test_queue_reset (void)
{
  VirtioRig r;

  blk_init (&r, NULL);
  virtio_rig_start (&r, VM_BIT (VIRTIO_F_RING_RESET), 1, 8);
  for (int i = 0; i < 3; i++)
    {
      g_assert_cmpuint (request (&r, T_FLUSH, 0, 0, false, false), ==, 0);
      virtio_rig_write (&r, MODERN_Q_RESET, 1, 2);
      g_assert_cmpuint (virtio_rig_read (&r, MODERN_Q_RESET, 2), ==, 0);
      g_assert_cmpuint (virtio_rig_read (&r, MODERN_Q_ENABLE, 2), ==, 0);
      virtio_rig_set_queue (&r, 0, 16);
    }
  virtio_rig_clear (&r);
}

/* The saved half of a conversation goes on in another device. */
static void
test_state (void)
{
  g_autoptr (GByteArray) saved = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  VmStateWriter writer = { vm_state_write_array, saved };
  VirtioRig r;

  blk_init (&r, NULL);
  virtio_rig_start (&r, PACKED | EVENT_IDX, 1, 7);
  for (int i = 0; i < 5; i++)
    g_assert_cmpuint (request (&r, T_FLUSH, 0, 0, false, false), ==, 0);
  g_assert_true (vm_state_write_header (&writer, &error) && vm_state_write_objects (&writer, &r.rig.env, &error)
                 && vm_state_write_end (&writer, &error));
  g_assert_no_error (error);
  vm_device_reset (&r.dev->parent.parent, VM_RESET_COLD);
  g_assert_cmpuint (r.dev->vdev->status, ==, 0);
  VmStateCursor cursor = { saved->data, saved->len };
  vm_state_load (vm_state_read_cursor, &cursor, &r.rig.env, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (r.dev->vdev->status, ==, 15);
  for (int i = 0; i < 5; i++)
    g_assert_cmpuint (request (&r, T_FLUSH, 0, 0, false, false), ==, 0);
  virtio_rig_clear (&r);
}

static void
test_rng (void)
{
  static const char *const props[] = { "max-bytes", "100", "period", "1000", NULL };
  const VirtioRigPiece piece = { DATA, 64, true };
  VirtioRig r;

  virtio_rig_init (&r);
  virtio_rig_add (&r, &vm_virtio_rng_pci_type, props);
  virtio_rig_start (&r, 0, 1, 8);
  for (int i = 0; i < 3; i++)
    virtio_rig_add_chain (&r, 0, &piece, 1, false);
  virtio_rig_ring (&r, 0);
  g_assert_cmpint (virtio_rig_take (&r, 0), ==, 64);
  g_assert_cmpint (virtio_rig_take (&r, 0), ==, 36); /* all of this second */
  g_assert_cmpint (virtio_rig_take (&r, 0), ==, -1);
  rig_advance (&r.rig, 1100 * VM_NS_PER_MS);
  virtio_rig_settle (&r);
  g_assert_cmpint (virtio_rig_take (&r, 0), ==, 64);
  g_assert_cmpuint (rig_load (&r.rig, DATA, 8) | rig_load (&r.rig, DATA + 8, 8), !=, 0);
  virtio_rig_clear (&r);
}

static void
test_balloon (void)
{
  static const char *const props[] = { "guest-stats-polling-interval", "1", NULL };
  const VirtioRigPiece pfns = { DATA, 8, false }, stats = { OTHER, 20, false };
  VirtioRig r;

  virtio_rig_init (&r);
  virtio_rig_add (&r, &vm_virtio_balloon_pci_type, props);
  virtio_rig_start (&r, VM_BIT (1), 3, 8);
  rig_store (&r.rig, 0x800000, 42, 8);
  rig_store (&r.rig, 0x802000, 43, 8);
  rig_store (&r.rig, DATA, 0x800, 4);
  rig_store (&r.rig, DATA + 4, 0xfffffff0, 4); /* not there */
  virtio_rig_add_chain (&r, 0, &pfns, 1, false);
  virtio_rig_ring (&r, 0);
  g_assert_cmpint (virtio_rig_take (&r, 0), ==, 0);
  g_assert_cmpuint (rig_load (&r.rig, 0x800000, 8), ==, 0);
  g_assert_cmpuint (rig_load (&r.rig, 0x802000, 8), ==, 43);
  rig_store (&r.rig, OTHER, 4, 2);
  rig_store (&r.rig, OTHER + 2, 123456, 8);
  rig_store (&r.rig, OTHER + 10, 999, 2);
  virtio_rig_add_chain (&r, 2, &stats, 1, false);
  virtio_rig_ring (&r, 2);
  g_autofree char *text = vm_object_get (&r.dev->parent.parent.parent, "guest-stats", NULL);
  g_assert_nonnull (strstr (text, "\"stat-free-memory\": 123456"));
  g_assert_nonnull (strstr (text, "\"stat-swap-in\": -1"));
  g_assert_cmpint (virtio_rig_take (&r, 2), ==, -1);
  rig_advance (&r.rig, 1100 * VM_NS_PER_MS);
  virtio_rig_settle (&r);
  g_assert_cmpint (virtio_rig_take (&r, 2), ==, 0); /* tell me more */
  g_assert_true (vm_object_set (&r.dev->parent.parent.parent, "guest-stats-polling-interval", "0", NULL));
  g_assert_cmpint (vm_clocks_next_deadline (r.rig.env.clocks, VM_CLOCK_VIRTUAL), ==, -1);
  g_assert_false (vm_object_set (&r.dev->parent.parent.parent, "guest-stats-polling-interval", "-1", NULL));
  virtio_rig_clear (&r);
}

static void
control (VirtioRig *r, uint32_t port, uint16_t event, uint16_t value)
{
  const VirtioRigPiece piece = { DATA, 8, false };

  rig_store (&r->rig, DATA, port, 4);
  rig_store (&r->rig, DATA + 4, event, 2);
  rig_store (&r->rig, DATA + 6, value, 2);
  virtio_rig_add_chain (r, 3, &piece, 1, false);
  virtio_rig_ring (r, 3);
  g_assert_cmpint (virtio_rig_take (r, 3), ==, 0);
}

static void
test_serial (void)
{
  VirtioRigPiece room = { OTHER, 64, true };
  VmVirtioSerialPort *port;
  VmVirtioSerial *serial;
  VirtioRig r;

  virtio_rig_init (&r);
  virtio_rig_add (&r, &vm_virtio_serial_pci_type, NULL);
  serial = (VmVirtioSerial *) r.dev->vdev;
  port = (VmVirtioSerialPort *) vm_device_new (&vm_virtserialport_type);
  vm_object_set_str (&port->parent.parent, "name", "agent");
  rig_add (&r.rig, port, &serial->bus);
  virtio_rig_start (&r, VM_BIT (1), 6, 8);
  control (&r, 0, 0, 1); /* ready: the answer waits for room */
  g_assert_cmpint (virtio_rig_take (&r, 2), ==, -1);
  for (int i = 0; i < 3; i++)
    virtio_rig_add_chain (&r, 2, &room, 1, false);
  virtio_rig_ring (&r, 2);
  g_assert_cmpint (virtio_rig_take (&r, 2), ==, 8);
  g_assert_cmphex (rig_load (&r.rig, OTHER, 8), ==, UINT64_C (0x0001000100000001)); /* port 1 is new */
  control (&r, 1, 3, 1);
  g_assert_cmpint (virtio_rig_take (&r, 2), ==, 8 + 6);
  g_assert_cmphex (rig_load (&r.rig, OTHER, 8), ==, UINT64_C (0x0001000700000001)); /* its name */
  g_assert_cmphex (rig_load (&r.rig, OTHER + 8, 4), ==, 0x6e656761);
  control (&r, 1, 6, 1);
  g_assert_true (port->guest_open);
  virtio_rig_add_chain (&r, 5, &(VirtioRigPiece) { DATA, 100, false }, 1, false);
  virtio_rig_ring (&r, 5);
  g_assert_cmpint (virtio_rig_take (&r, 5), ==, 0); /* to nobody */
  control (&r, 77, 3, 1);
  control (&r, UINT32_MAX, 6, 1);
  g_assert_false (r.dev->vdev->broken);
  rig_remove (port);
  virtio_rig_settle (&r);
  g_assert_cmpint (virtio_rig_take (&r, 2), ==, 8);
  g_assert_cmphex (rig_load (&r.rig, OTHER, 8), ==, UINT64_C (0x0001000200000001)); /* port 1 is gone */
  virtio_rig_clear (&r);
}

/* --- scsi ------------------------------------------------------------------------------------------------ */

/* The news of a disk that goes are to be put into the card's own registers, where a zero would reset it, and with it the
 * disk that is half gone. */
static void
test_scsi_event (void)
{
  static const VirtioRigPiece news = { VIRTIO_RIG_MODERN + MODERN_STATUS - 1, 2, true };
  VmDevice *disk = vm_device_new (&vm_scsi_hd_type);
  VirtioRig r;

  virtio_rig_init (&r);
  virtio_rig_make_drive (&r, VM_MIB);
  virtio_rig_add (&r, &vm_virtio_scsi_pci_type, NULL);
  disk->parent.scope = r.rig.env.root;
  g_assert_true (vm_object_set (&disk->parent, "drive", "d", NULL));
  rig_add (&r.rig, disk, g_ptr_array_index (r.dev->vdev->parent.buses, 0));
  virtio_rig_start (&r, UINT64_MAX, 3, 16);
  virtio_rig_add_chain (&r, 1, &news, 1, false);
  virtio_rig_ring (&r, 1);
  rig_remove (disk);
  virtio_rig_settle (&r);
  g_assert_cmphex (virtio_rig_read (&r, MODERN_STATUS, 1), ==, 0xf);
  g_assert_cmpint (virtio_rig_take (&r, 1), ==, 2);
  virtio_rig_clear (&r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virtio/identity", test_identity);
  g_test_add_func ("/virtio/features", test_features);
  g_test_add_func ("/virtio/blk", test_blk);
  g_test_add_func ("/virtio/event-index", test_event_index);
  g_test_add_func ("/virtio/batch", test_batch);
  g_test_add_func ("/virtio/crimes", test_crimes);
  g_test_add_func ("/virtio/queue-reset", test_queue_reset);
  g_test_add_func ("/virtio/state", test_state);
  g_test_add_func ("/virtio/rng", test_rng);
  g_test_add_func ("/virtio/balloon", test_balloon);
  g_test_add_func ("/virtio/serial", test_serial);
  g_test_add_func ("/virtio/scsi/event", test_scsi_event);
  return g_test_run ();
}
