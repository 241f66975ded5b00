/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Flash: array, identification, erase, program, buffered writes, protection, and what reaches the drive. */
#include "devices/storage/pflash.h"
#include "tests/devices/disk-rig.h"

#define BASE UINT64_C (0xffc00000)
#define SIZE (256 * VM_KIB)

typedef struct Bench
{
  DiskRig r;
  VmPflash *flash;
} Bench;

static void
set_up (Bench *b, bool readonly, const char *name, bool value)
{
  memset (b, 0, sizeof *b);
  disk_rig_init (&b->r);
  b->flash = (VmPflash *) vm_device_new (&vm_pflash_type);
  b->flash->drive = disk_rig_drive (&b->r, "f", SIZE, readonly);
  b->flash->sector_length = 4096;
  b->flash->num_blocks = SIZE / 4096;
  vm_object_set_str (&b->flash->parent.parent, "name", "flash");
  if (name)
    vm_object_set_uint (&b->flash->parent.parent, name, value);
  rig_add (&b->r.rig, b->flash, NULL);
  vm_region_add (&b->r.rig.system_memory, BASE, &b->flash->region);
}

static void
clear (Bench *b)
{
  rig_remove (b->flash);
  disk_rig_clear (&b->r);
}

static uint8_t
get (Bench *b, uint32_t offset)
{
  return (uint8_t) rig_load (&b->r.rig, BASE + offset, 1);
}

static void
put (Bench *b, uint32_t offset, uint8_t value)
{
  rig_store (&b->r.rig, BASE + offset, value, 1);
}

static void
test_reading (void)
{
  Bench bench, *b = &bench;

  set_up (b, false, NULL, false);
  g_assert_cmpuint (rig_load (&b->r.rig, BASE + 512 * 7, 4), ==, 7);
  g_assert_true (b->flash->region.romd);
  put (b, 0, 0x98);
  g_assert_false (b->flash->region.romd);
  g_assert_cmpuint (get (b, 0x10), ==, 'Q');
  g_assert_cmpuint (get (b, 0x12), ==, 'Y');
  g_assert_cmpuint (get (b, 0x27), ==, 18);
  g_assert_cmpuint (get (b, 0x2d), ==, 63);
  g_assert_cmpuint (get (b, 0x2f), ==, 16);
  put (b, 0, 0x70);
  g_assert_cmphex (get (b, 0), ==, 0x80);
  put (b, 0, 0xff);
  g_assert_true (b->flash->region.romd);
  clear (b);
}

static void
test_writing (void)
{
  Bench bench, *b = &bench;
  g_autofree uint8_t *bytes = NULL;

  set_up (b, false, NULL, false);
  put (b, 0x1800, 0x20);
  put (b, 0x1800, 0xd0);
  g_assert_cmphex (get (b, 0), ==, 0x80);
  put (b, 0x1005, 0x40);
  put (b, 0x1005, 0x5a);
  put (b, 0x1100, 0xe8);
  g_assert_cmphex (get (b, 0), ==, 0x80);
  put (b, 0x1100, 3);
  for (unsigned i = 0; i < 4; i++)
    put (b, 0x1110 + i, (uint8_t) (i + 1));
  put (b, 0x1100, 0xd0);
  put (b, 0, 0xff);
  g_assert_cmpuint (rig_load (&b->r.rig, BASE + 0xe00, 4), ==, 7);
  g_assert_cmphex (rig_load (&b->r.rig, BASE + 0x1000, 8), ==, UINT64_C (0xffff5affffffffff));
  g_assert_cmphex (rig_load (&b->r.rig, BASE + 0x1110, 8), ==, UINT64_C (0xffffffff04030201));
  disk_rig_settle (&b->r);
  bytes = disk_rig_bytes (&b->r, "f", 0xe00, 0x400);
  g_assert_cmpuint (vm_load_le32 (bytes), ==, 7);
  g_assert_cmphex (bytes[0x205], ==, 0x5a);
  g_assert_cmphex (bytes[0x310], ==, 1);
  clear (b);
}

static void
test_protection (void)
{
  Bench bench, *b = &bench;

  set_up (b, true, NULL, false);
  put (b, 0x1000, 0x20);
  put (b, 0x1000, 0xd0);
  g_assert_cmphex (get (b, 0) & 0x22, ==, 0x22);
  put (b, 0, 0x50);
  put (b, 0, 0x40);
  put (b, 0, 0x00);
  g_assert_cmphex (get (b, 0) & 0x12, ==, 0x12);
  put (b, 0, 0xff);
  g_assert_cmpuint (rig_load (&b->r.rig, BASE + 0x1000, 4), ==, 8);
  clear (b);

  set_up (b, false, "secure", true);
  put (b, 0, 0x98);
  g_assert_true (b->flash->region.romd);
  vm_as_store (&b->r.rig.memory_as, BASE, 0x70, 1, (VmMemAttrs){ .smm = true });
  g_assert_false (b->flash->region.romd);
  g_assert_cmpuint (rig_load (&b->r.rig, BASE + 512, 4), ==, 1);
  clear (b);
}

/* A buffered write that leaves its block, one that is not confirmed, and any command at all. */
static void
test_wrong (void)
{
  Bench bench, *b = &bench;

  set_up (b, false, NULL, false);
  put (b, 0x1000, 0xe8);
  put (b, 0x1000, 1);
  put (b, 0x1020, 1);
  put (b, 0x9021, 2);
  put (b, 0x1000, 0xd0);
  put (b, 0, 0x70);
  g_assert_cmphex (get (b, 0), ==, 0x90);
  put (b, 0, 0x50);
  for (unsigned c = 0; c < 256; c++)
    {
      put (b, SIZE - 1, (uint8_t) c);
      get (b, SIZE - 1);
      rig_store (&b->r.rig, BASE + SIZE - 8, UINT64_MAX, 8);
      rig_load (&b->r.rig, BASE + SIZE - 8, 8);
    }
  clear (b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pflash/reading", test_reading);
  g_test_add_func ("/pflash/writing", test_writing);
  g_test_add_func ("/pflash/protection", test_protection);
  g_test_add_func ("/pflash/wrong", test_wrong);
  return g_test_run ();
}
