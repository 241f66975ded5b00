/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AHCI: what a driver does with a disk and a CD drive on its ports, and what goes wrong. */
#include "devices/storage/ahci.h"
#include "tests/devices/disk-rig.h"

#define LIST 0x10000u /* command list, receive area and command tables of port N at N * AREA */
#define RECEIVE 0x11000u
#define TABLES 0x12000u
#define TABLE_SIZE 0x400u
#define AREA 0x20000u
#define DATA 0x100000u
#define DISK_SECTORS 8192u

extern const VmType vm_ich9_ahci_type;

typedef struct Prd
{
  uint32_t addr, len;
} Prd;

static unsigned
reg (unsigned port, unsigned offset)
{
  return 0x100 + 0x80 * port + offset;
}

static uint32_t
port_read (DiskRig *r, unsigned port, unsigned offset)
{
  return disk_rig_read (r, reg (port, offset));
}

static void
port_start (DiskRig *r, unsigned port)
{
  disk_rig_write (r, reg (port, PORT_CLB), LIST + AREA * port);
  disk_rig_write (r, reg (port, PORT_FB), RECEIVE + AREA * port);
  disk_rig_write (r, reg (port, PORT_CMD), CMD_FRE);
  disk_rig_write (r, reg (port, PORT_SERR), 0xffffffff);
  disk_rig_write (r, reg (port, PORT_IS), 0xffffffff);
  disk_rig_write (r, reg (port, PORT_IE), 0x7dc000ff);
  disk_rig_write (r, reg (port, PORT_CMD), CMD_FRE | CMD_ST);
}

static void
set_up (DiskRig *r)
{
  disk_rig_init (r);
  disk_rig_drive (r, "d", DISK_SECTORS * 512, false);
  disk_rig_drive (r, "c", 1 * VM_MIB, true);
  disk_rig_add (r, &vm_ich9_ahci_type, 5, NULL);
  disk_rig_plug (r, &vm_ide_hd_type, 0, (const char *const[]){ "drive", "d", "serial", "AHCI1", NULL });
  disk_rig_plug (r, &vm_ide_cd_type, 2, (const char *const[]){ "drive", "c", NULL });
  disk_rig_set_config (r, 0x84, DISK_RIG_MESSAGE, 4);
  disk_rig_set_config (r, 0x8c, 0x1234, 2);
  disk_rig_set_config (r, 0x82, 1, 2);
  disk_rig_write (r, 4, 1); /* the links come up */
  disk_rig_write (r, 4, 0x80000002);
  port_start (r, 0);
  port_start (r, 2);
}

/* A command of FIS (command, LBA, count) in SLOT with what it moves. */
static void
prepare (DiskRig *r, unsigned port, unsigned slot, const uint8_t *fis, bool write, const uint8_t *packet,
         const Prd *prd, unsigned n)
{
  uint8_t header[32] = { 5 | (write ? 1 << 6 : 0) | (packet ? 1 << 5 : 0) };
  uint32_t table = TABLES + AREA * port + TABLE_SIZE * slot;

  vm_store_le16 (header + 2, (uint16_t) n);
  vm_store_le32 (header + 8, table);
  disk_rig_poke (r, LIST + AREA * port + 32 * slot, header, sizeof header);
  disk_rig_poke (r, table, fis, 20);
  if (packet)
    disk_rig_poke (r, table + 0x40, packet, 12);
  for (unsigned i = 0; i < n; i++)
    {
      uint8_t entry[16] = { 0 };

      vm_store_le32 (entry, prd[i].addr);
      vm_store_le32 (entry + 12, prd[i].len - 1);
      disk_rig_poke (r, table + 0x80 + 16 * i, entry, sizeof entry);
    }
}

static void
make_fis (uint8_t *fis, uint8_t command, uint64_t lba, uint16_t count, uint8_t feature)
{
  memset (fis, 0, 20);
  fis[0] = 0x27;
  fis[1] = 0x80;
  fis[2] = command;
  fis[3] = feature;
  for (unsigned i = 0; i < 3; i++)
    {
      fis[4 + i] = (uint8_t) (lba >> 8 * i);
      fis[8 + i] = (uint8_t) (lba >> (24 + 8 * i));
    }
  fis[7] = 0x40;
  fis[12] = (uint8_t) count;
  fis[13] = (uint8_t) (count >> 8);
}

static void
issue (DiskRig *r, unsigned port, uint32_t slots)
{
  disk_rig_write (r, reg (port, PORT_CI), slots);
  disk_rig_settle (r);
}

static uint32_t
byte_count (DiskRig *r, unsigned port, unsigned slot)
{
  return (uint32_t) rig_load (&r->rig, LIST + AREA * port + 32 * slot + 4, 4);
}

static void
run (DiskRig *r, uint8_t command, uint64_t lba, uint16_t count, bool write, const Prd *prd, unsigned n)
{
  uint8_t fis[20];

  make_fis (fis, command, lba, count, 0);
  prepare (r, 0, 0, fis, write, NULL, prd, n);
  issue (r, 0, 1);
}

static void
test_registers (void)
{
  DiskRig r;

  set_up (&r);
  g_assert_cmphex (disk_rig_read (&r, 0), ==, 0xc0141f05);
  g_assert_cmphex (disk_rig_read (&r, 0x0c), ==, 0x3f);
  g_assert_cmphex (disk_rig_read (&r, 0x10), ==, 0x00010000);
  g_assert_cmphex (port_read (&r, 0, PORT_SSTS), ==, 0x113);
  g_assert_cmphex (port_read (&r, 1, PORT_SSTS), ==, 0);
  g_assert_cmphex (port_read (&r, 0, PORT_SIG), ==, 0x00000101);
  g_assert_cmphex (port_read (&r, 2, PORT_SIG), ==, 0xeb140101);
  g_assert_cmphex (port_read (&r, 0, PORT_TFD) & 0xff, ==, 0x50);
  g_assert_cmphex (port_read (&r, 0, PORT_CMD) & (CMD_FR | CMD_CR | CMD_ATAPI), ==, CMD_FR | CMD_CR);
  g_assert_cmphex (port_read (&r, 2, PORT_CMD) & CMD_ATAPI, ==, CMD_ATAPI);
  g_assert_cmphex (rig_load (&r.rig, RECEIVE + 0x40, 1), ==, 0x34);
  disk_rig_clear (&r);
}

static void
test_identify (void)
{
  uint8_t id[512];
  DiskRig r;

  set_up (&r);
  run (&r, 0xec, 0, 0, false, &(Prd){ DATA, 512 }, 1);
  g_assert_cmphex (port_read (&r, 0, PORT_CI), ==, 0);
  g_assert_cmphex (port_read (&r, 0, PORT_IS), ==, IS_PSS);
  g_assert_cmpuint (byte_count (&r, 0, 0), ==, 512);
  g_assert_cmphex (rig_load (&r.rig, DISK_RIG_MESSAGE, 4), ==, 0x1234);
  disk_rig_peek (&r, DATA, id, sizeof id);
  g_assert_cmpmem (id + 20, 6, "HAIC 1", 6);
  g_assert_cmpuint (vm_load_le16 (id + 2 * 75), ==, 31);
  g_assert_cmphex (vm_load_le16 (id + 2 * 76) & 1 << 8, ==, 1 << 8);
  g_assert_cmpuint (vm_load_le32 (id + 2 * 100), ==, DISK_SECTORS);
  disk_rig_clear (&r);
}

/* Odd pieces, over the edge of pages, and a write that goes back. */
static void
test_dma (void)
{
  static const Prd pieces[] = { { DATA + 0xffe, 514 }, { DATA + 0x3000, 2 }, { DATA + 0x5002, 2044 } };
  DiskRig r;
  g_autofree uint8_t *bytes = NULL;

  set_up (&r);
  run (&r, 0x25, 100, 5, false, pieces, 3);
  g_assert_cmphex (port_read (&r, 0, PORT_IS), ==, IS_DHRS);
  g_assert_cmpuint (byte_count (&r, 0, 0), ==, 2560);
  g_assert_cmpuint (rig_load (&r.rig, DATA + 0xffe, 2), ==, 100);
  g_assert_cmpuint (rig_load (&r.rig, DATA + 0xffe + 512, 2), ==, 101);
  g_assert_cmpuint (rig_load (&r.rig, DATA + 0x5002 + 508, 2), ==, 102);
  rig_store (&r.rig, DATA + 0x8000, 0xdecafbad, 4);
  run (&r, 0x35, 7, 1, true, &(Prd){ DATA + 0x8000, 512 }, 1);
  run (&r, 0xea, 0, 0, false, NULL, 0);
  bytes = disk_rig_bytes (&r, "d", 7 * 512, 4);
  g_assert_cmphex (vm_load_le32 (bytes), ==, 0xdecafbad);
  /* Half of the table is missing: the port stands until it is started anew. */
  run (&r, 0x25, 0, 4, false, &(Prd){ DATA, 1024 }, 1);
  g_assert_cmphex (port_read (&r, 0, PORT_TFD), ==, 0x0451);
  g_assert_cmphex (port_read (&r, 0, PORT_IS) & IS_TFES, ==, IS_TFES);
  g_assert_cmphex (port_read (&r, 0, PORT_CI), ==, 1);
  port_start (&r, 0);
  disk_rig_write (&r, reg (0, PORT_CMD), CMD_FRE);
  port_start (&r, 0);
  run (&r, 0x25, 9, 1, false, &(Prd){ DATA, 512 }, 1);
  g_assert_cmpuint (rig_load (&r.rig, DATA, 4), ==, 9);
  disk_rig_clear (&r);
}

static void
queue (DiskRig *r, unsigned tag, bool write, uint64_t lba, uint16_t count, uint32_t addr)
{
  uint8_t fis[20];

  make_fis (fis, write ? 0x61 : 0x60, lba, (uint16_t) (tag << 3), (uint8_t) count);
  prepare (r, 0, tag, fis, write, NULL, &(Prd){ addr, count * 512u }, 1);
  disk_rig_write (r, reg (0, PORT_SACT), 1u << tag);
}

static void
test_queue (void)
{
  uint8_t log[512];
  DiskRig r;

  set_up (&r);
  for (unsigned tag = 0; tag < 32; tag++)
    queue (&r, tag, false, 64 * tag, 8, DATA + 0x1000 * tag);
  issue (&r, 0, 0xffffffff);
  g_assert_cmphex (port_read (&r, 0, PORT_SACT), ==, 0);
  g_assert_cmphex (port_read (&r, 0, PORT_CI), ==, 0);
  g_assert_cmphex (port_read (&r, 0, PORT_IS), ==, IS_SDBS);
  for (unsigned tag = 0; tag < 32; tag++)
    g_assert_cmpuint (rig_load (&r.rig, DATA + 0x1000 * tag + 512, 4), ==, 64 * tag + 1);
  disk_rig_write (&r, reg (0, PORT_IS), 0xffffffff);

  queue (&r, 3, true, 1, 8, DATA);
  queue (&r, 4, false, DISK_SECTORS - 1, 8, DATA + 0x4000);
  issue (&r, 0, 1 << 3 | 1 << 4);
  g_assert_cmphex (port_read (&r, 0, PORT_IS) & IS_TFES, ==, IS_TFES);
  g_assert_cmphex (port_read (&r, 0, PORT_SACT) & 1 << 4, ==, 1 << 4);
  g_assert_cmphex (port_read (&r, 0, PORT_TFD) >> 8, ==, VM_IDE_IDNF);
  disk_rig_write (&r, reg (0, PORT_CMD), CMD_FRE);
  port_start (&r, 0);
  run (&r, 0x2f, 0x10, 1, false, &(Prd){ DATA, 512 }, 1);
  disk_rig_peek (&r, DATA, log, sizeof log);
  g_assert_cmpuint (log[0], ==, 4);
  g_assert_cmphex (log[3], ==, VM_IDE_IDNF);
  g_assert_cmpuint (vm_load_le16 (log + 4), ==, DISK_SECTORS - 1);
  disk_rig_clear (&r);
}

static void
packet (DiskRig *r, const uint8_t *cdb, uint8_t feature, uint32_t len)
{
  uint8_t fis[20];

  make_fis (fis, 0xa0, 0, 0, feature);
  fis[5] = 0xff; /* byte limit */
  fis[6] = 0xff;
  prepare (r, 2, 1, fis, false, cdb, &(Prd){ DATA, len }, 1);
  issue (r, 2, 2);
}

static void
test_packets (void)
{
  static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 }, ready[12] = { 0 },
                       read[12] = { 0x28, 0, 0, 0, 0, 5, 0, 0, 3 }, beyond[12] = { 0x28, 0, 0, 1, 0, 0, 0, 0, 1 },
                       raw[12] = { 0xbe, 0, 0, 0, 0, 2, 0, 0, 1, 0xf8 };
  DiskRig r;

  set_up (&r);
  packet (&r, inquiry, 0, 64);
  g_assert_cmphex (rig_load (&r.rig, DATA, 2), ==, 0x8005);
  packet (&r, ready, 0, 64);
  g_assert_cmphex (port_read (&r, 2, PORT_TFD) & 1, ==, 0);
  packet (&r, read, 1, 3 * 2048);
  g_assert_cmpuint (rig_load (&r.rig, DATA, 4), ==, 20);
  g_assert_cmpuint (rig_load (&r.rig, DATA + 4096, 4), ==, 28);
  packet (&r, read, 0, 3 * 2048); /* the same by PIO */
  g_assert_cmpuint (rig_load (&r.rig, DATA + 4096, 4), ==, 28);
  g_assert_cmpuint (byte_count (&r, 2, 1), ==, 3 * 2048);
  packet (&r, raw, 1, 2352);
  g_assert_cmpuint (rig_load (&r.rig, DATA + 16, 4), ==, 8);
  g_assert_cmphex (rig_load (&r.rig, DATA + 12, 4), ==, 0x01020200); /* 0:2:2, mode 1 */
  packet (&r, beyond, 1, 2048);
  g_assert_cmphex (port_read (&r, 2, PORT_TFD) >> 12, ==, 5);
  disk_rig_clear (&r);
}

static void
test_resets (void)
{
  uint8_t fis[20] = { 0x27 };
  DiskRig r;

  set_up (&r);
  fis[15] = 4;
  prepare (&r, 0, 0, fis, false, NULL, NULL, 0);
  issue (&r, 0, 1);
  g_assert_cmphex (port_read (&r, 0, PORT_CI), ==, 0);
  fis[15] = 0;
  prepare (&r, 0, 0, fis, false, NULL, NULL, 0);
  disk_rig_write (&r, reg (0, PORT_IS), 0xffffffff);
  issue (&r, 0, 1);
  g_assert_cmphex (port_read (&r, 0, PORT_TFD), ==, 0x0150);

  disk_rig_write (&r, reg (0, PORT_CMD), CMD_FRE);
  disk_rig_write (&r, reg (0, PORT_SCTL), 0x301);
  g_assert_cmphex (port_read (&r, 0, PORT_SSTS), ==, 0);
  disk_rig_write (&r, reg (0, PORT_SCTL), 0x300);
  g_assert_cmphex (port_read (&r, 0, PORT_SSTS), ==, 0x113);
  g_assert_cmphex (port_read (&r, 0, PORT_SIG), ==, 0x101);
  g_assert_cmphex (port_read (&r, 0, PORT_IS) & IS_PCS, ==, IS_PCS);
  disk_rig_write (&r, reg (0, PORT_SERR), 0xffffffff);
  g_assert_cmphex (port_read (&r, 0, PORT_IS) & IS_PCS, ==, 0);

  disk_rig_write (&r, 4, 0x80000001);
  g_assert_cmphex (disk_rig_read (&r, 4), ==, 0x80000000);
  g_assert_cmphex (port_read (&r, 0, PORT_CLB), ==, 0);
  g_assert_cmphex (port_read (&r, 0, PORT_TFD), ==, 0x7f);
  disk_rig_clear (&r);
}

/* Tables that lead nowhere, into the controller itself, or that never end. */
static void
test_hostile (void)
{
  static const Prd own = { (uint32_t) DISK_RIG_BAR, 512 }, nowhere = { 0xd0000000, 512 };
  DiskRig r;

  set_up (&r);
  run (&r, 0x25, 1, 1, false, &own, 1);
  disk_rig_write (&r, reg (0, PORT_CMD), CMD_FRE);
  port_start (&r, 0);
  run (&r, 0x35, 1, 1, true, &nowhere, 1);
  disk_rig_write (&r, reg (0, PORT_CMD), CMD_FRE);
  disk_rig_write (&r, reg (0, PORT_CLB), (uint32_t) DISK_RIG_BAR);
  disk_rig_write (&r, reg (0, PORT_FB), (uint32_t) DISK_RIG_BAR);
  disk_rig_write (&r, reg (0, PORT_CMD), CMD_FRE | CMD_ST);
  issue (&r, 0, 0xffffffff);
  disk_rig_write (&r, reg (0, PORT_CMD), 0);
  port_start (&r, 0);
  run (&r, 0x25, 3, 1, false, &(Prd){ DATA, 512 }, 1);
  g_assert_cmpuint (rig_load (&r.rig, DATA, 4), ==, 3);
  disk_rig_clear (&r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ahci/registers", test_registers);
  g_test_add_func ("/ahci/identify", test_identify);
  g_test_add_func ("/ahci/dma", test_dma);
  g_test_add_func ("/ahci/queue", test_queue);
  g_test_add_func ("/ahci/packets", test_packets);
  g_test_add_func ("/ahci/resets", test_resets);
  g_test_add_func ("/ahci/hostile", test_hostile);
  return g_test_run ();
}
