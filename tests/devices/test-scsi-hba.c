/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SCSI adapters on a PCI bus without a machine: a script of the LSI 53C895A that reads a disk, one that never ends, one
 * that selects nobody; programmed I/O and DMA of the Am53C974; a frame of the MegaRAID. */
#include "block/block.h"
#include "devices/pci/pci.h"
#include "devices/scsi/scsi.h"
#include "tests/devices/rig.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define IO_BASE  0xc000u
#define MEM_BASE 0xe0000000u
#define SCRIPT   0x1000u
#define MESSAGE  0x2000u
#define CDB      0x2010u
#define STATUS   0x2020u
#define DATA     0x4000u
#define SENSE    0x2040u

extern const VmType vm_lsi53c895a_type, vm_am53c974_type, vm_megasas_type;

typedef struct Host {
  VmDevice parent;
  VmPciBus pci;
} Host;

typedef struct Bench {
  Rig          rig;
  Host        *host;
  VmPciDevice *card;
  Probe        irq;
  char        *path;
} Bench;

static const VmDeviceClass host_class = { .category = "Misc" };
static const VmType host_type = {
  .name = "test-host", .parent = &vm_device_type, .size = sizeof (Host), .klass = &host_class,
};

static unsigned
map_pin (void *opaque, unsigned devfn, unsigned pin)
{
  return 0;
}

static void
set_line (void *opaque, unsigned line, int level)
{
  Probe *probe = opaque;

  probe->rises += level && !probe->level;
  probe->level = level;
}

static const VmPciRouting routing = { .map = map_pin, .set = set_line, .n_lines = 1 };

static void
bench_init (Bench *b, const VmType *type)
{
  g_autoptr (GError) error = NULL;
  VmDriveOptions options = { .id = "disk", .format = "raw" };
  int fd = g_file_open_tmp ("vitrine-scsi-XXXXXX", &b->path, NULL);
  VmDevice *disk = vm_device_new (&vm_scsi_hd_type);

  rig_init (&b->rig, 256 * VM_KIB);
  g_assert_cmpint (ftruncate (fd, VM_MIB), ==, 0);
  g_assert_cmpint (pwrite (fd, "second sector", 13, 512), ==, 13);
  close (fd);
  options.file = b->path;
  vm_drive_new (b->rig.env.root, b->rig.env.loop, &options, &error);
  g_assert_no_error (error);
  b->irq = (Probe) { 0 };
  b->host = (Host *) vm_device_new (&host_type);
  rig_add (&b->rig, b->host, NULL);
  vm_pci_bus_init_root (&b->host->pci, &b->host->parent, NULL, &b->rig.system_memory, &b->rig.system_io,
                        &b->rig.system_memory);
  vm_pci_bus_set_routing (&b->host->pci, &routing, &b->irq);
  b->card = (VmPciDevice *) vm_device_new (type);
  rig_add (&b->rig, b->card, &b->host->pci.parent);
  disk->parent.scope = b->rig.env.root;
  g_assert_true (vm_object_set (&disk->parent, "drive", "disk", NULL));
  rig_add (&b->rig, disk, g_ptr_array_index (b->card->parent.buses, 0));
  VM_SCSI_DEVICE (disk)->attentions = 0;
  for (unsigned i = 0; i < 6; i++)
    if (b->card->bar[i].region)
      vm_pci_config_cycle_write (&b->host->pci, 0, (unsigned) b->card->addr, 0x10 + 4 * i,
                                 b->card->bar[i].flags & PCI_BAR_IO ? IO_BASE : MEM_BASE + i * 0x100000, 4);
  vm_pci_config_cycle_write (&b->host->pci, 0, (unsigned) b->card->addr, 4, 7, 2);
}

static void
bench_clear (Bench *b)
{
  rig_remove (b->host);
  rig_clear (&b->rig);
  g_unlink (b->path);
  g_free (b->path);
}

/* Until the adapter interrupts. */
static void
wait_irq (Bench *b)
{
  while (!b->irq.level)
    {
      vm_loop_iterate (b->rig.env.loop, false);
      rig_advance (&b->rig, 100 * VM_NS_PER_US);
    }
}

static void
put (Bench *b, uint32_t addr, const void *data, unsigned len)
{
  vm_as_write (&b->rig.memory_as, addr, VM_MEM_ATTRS_NONE, data, len);
}

static void
assert_sector (Bench *b, uint32_t addr)
{
  char text[13];

  vm_as_read (&b->rig.memory_as, addr, VM_MEM_ATTRS_NONE, text, sizeof text);
  g_assert_cmpmem (text, 13, "second sector", 13);
}

static const uint8_t read_cdb[10] = { 0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0 };

/* --- LSI ------------------------------------------------------------------------------------------- */

static void
put_script (Bench *b, const uint32_t *words, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    rig_store (&b->rig, SCRIPT + 4 * i, words[i], 4);
}

static void
lsi_start (Bench *b)
{
  rig_out (&b->rig, IO_BASE + 0x04, 0x47, 1); /* SCID: answers reselection */
  rig_out (&b->rig, IO_BASE + 0x39, 0x7d, 1); /* DIEN */
  rig_out (&b->rig, IO_BASE + 0x40, 0x048f, 2); /* SIEN */
  rig_out (&b->rig, IO_BASE + 0x2c, SCRIPT, 4);
}

static void
test_lsi_read (void)
{
  static const uint32_t script[] = {
    0x41000000, SCRIPT + 0x50, /* 00: select 0 with ATN, or be reselected */
    0x0e000003, MESSAGE,       /* IDENTIFY, SIMPLE 5 */
    0x0a00000a, CDB,
    0x870b0000, SCRIPT + 0x30, /* message in: the target disconnects */
    0x810b0000, SCRIPT + 0x70, /* data in */
    0x98080000, 0xbad1,
    0x0f000001, MESSAGE + 8,   /* 30: DISCONNECT */
    0x60000040, 0,             /* acknowledged */
    0x48000000, 0,             /* wait for the disconnection, */
    0x50000000, SCRIPT + 0x28, /* then for reselection */
    0x0f000001, MESSAGE + 9,   /* 50: IDENTIFY */
    0x60000040, 0,
    0x0f000002, MESSAGE + 10,  /* SIMPLE 5 */
    0x60000040, 0,
    0x09000200, DATA,          /* 70 */
    0x0b000001, STATUS,
    0x0f000001, MESSAGE + 12,  /* COMMAND COMPLETE */
    0x60000040, 0,
    0x48000000, 0,
    0x98080000, 0x600d,
  };
  Bench b;
  static const uint8_t message[3] = { 0xc0, 0x20, 5 };

  bench_init (&b, &vm_lsi53c895a_type);
  put (&b, MESSAGE, message, 3);
  put (&b, CDB, read_cdb, 10);
  put_script (&b, script, G_N_ELEMENTS (script));
  rig_store (&b.rig, STATUS, 0xff, 1);
  lsi_start (&b);
  wait_irq (&b);
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x14, 1) & 3, ==, 1); /* ISTAT: DMA interrupt */
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x0c, 1), ==, 0x84);  /* DSTAT: interrupt instruction */
  g_assert_cmpint (b.irq.level, ==, 0);
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x30, 4), ==, 0x600d);
  assert_sector (&b, DATA);
  g_assert_cmphex (rig_load (&b.rig, STATUS, 1), ==, VM_SCSI_GOOD);
  g_assert_cmphex (rig_load (&b.rig, MESSAGE + 8, 1), ==, 0x04);
  g_assert_cmphex (rig_load (&b.rig, MESSAGE + 9, 1), ==, 0x80);
  g_assert_cmphex (rig_load (&b.rig, MESSAGE + 11, 1), ==, 5);
  bench_clear (&b);
}

static void
test_lsi_endless (void)
{
  static const uint32_t script[] = { 0x80880000, (uint32_t) -8 };
  Bench b;
  int64_t begun = g_get_monotonic_time ();

  bench_init (&b, &vm_lsi53c895a_type);
  put_script (&b, script, 2);
  lsi_start (&b);
  for (unsigned i = 0; i < 10; i++)
    rig_advance (&b.rig, 100 * VM_NS_PER_US);
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x15, 1) & 2, ==, 2); /* still running */
  rig_out (&b.rig, IO_BASE + 0x14, 0x80, 1);                       /* abort */
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x0c, 1), ==, 0x90);
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x15, 1) & 2, ==, 0);
  g_assert_cmpint (g_get_monotonic_time () - begun, <, 5 * G_USEC_PER_SEC);
  bench_clear (&b);
}

static void
test_lsi_nobody (void)
{
  static const uint32_t script[] = { 0x41030000, 0, 0x0e000001, MESSAGE, 0x98080000, 0xbad };
  Bench b;

  bench_init (&b, &vm_lsi53c895a_type);
  put_script (&b, script, 6);
  lsi_start (&b);
  wait_irq (&b);
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x42, 2), ==, 0x0400); /* selection timeout */
  g_assert_cmphex (rig_in (&b.rig, IO_BASE + 0x2c, 4), ==, SCRIPT + 16);
  /* Memory moves and the register file. */
  rig_store (&b.rig, DATA, 0x12345678, 4);
  static const uint32_t moves[] = {
    0xc0000004, DATA, DATA + 16, 0xe1340004, DATA, 0x78345500, 0, 0x7e340100, 0, 0xe0340004, DATA + 32, 0x98080000, 1,
  };
  put_script (&b, moves, G_N_ELEMENTS (moves));
  lsi_start (&b);
  wait_irq (&b);
  g_assert_cmphex (rig_load (&b.rig, DATA + 16, 4), ==, 0x12345678);
  g_assert_cmphex (rig_load (&b.rig, DATA + 32, 4), ==, 0x12345656); /* loaded with 55, plus 1 */
  bench_clear (&b);
}

/* --- Am53C974 -------------------------------------------------------------------------------------- */

static void
test_esp (void)
{
  Bench b;
  unsigned esp = IO_BASE;

  bench_init (&b, &vm_am53c974_type);
  rig_out (&b.rig, esp + 4 * 3, 0x02, 1); /* reset */
  rig_out (&b.rig, esp + 4 * 4, 0, 1);    /* target */
  rig_out (&b.rig, esp + 4 * 2, 0x80, 1); /* IDENTIFY */
  for (unsigned i = 0; i < 10; i++)
    rig_out (&b.rig, esp + 4 * 2, read_cdb[i], 1);
  rig_out (&b.rig, esp + 4 * 3, 0x42, 1); /* select with ATN */
  wait_irq (&b);
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 4, 1) & 7, ==, 1); /* data in */
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 6, 1), ==, 4);
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 5, 1), ==, 0x18);
  g_assert_cmpint (b.irq.level, ==, 0);
  rig_out (&b.rig, esp, 0, 1);
  rig_out (&b.rig, esp + 4, 2, 1); /* 512 bytes */
  rig_out (&b.rig, esp + 4 * 3, 0x90, 1);
  rig_out (&b.rig, esp + 0x44, 512, 4);
  rig_out (&b.rig, esp + 0x48, DATA, 4);
  rig_out (&b.rig, esp + 0x40, 0x83, 4);
  wait_irq (&b);
  assert_sector (&b, DATA);
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 4, 1) & 0x17, ==, 0x13); /* status phase, count is zero */
  rig_in (&b.rig, esp + 4 * 5, 1);
  rig_out (&b.rig, esp + 4 * 3, 0x11, 1); /* status and message */
  wait_irq (&b);
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 5, 1), ==, 0x08);
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 2, 1), ==, VM_SCSI_GOOD);
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 2, 1), ==, 0);
  rig_out (&b.rig, esp + 4 * 3, 0x12, 1); /* message accepted: the bus is free */
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 5, 1), ==, 0x20);
  rig_out (&b.rig, esp + 4 * 4, 3, 1);
  rig_out (&b.rig, esp + 4 * 3, 0x41, 1); /* nobody there */
  g_assert_cmphex (rig_in (&b.rig, esp + 4 * 5, 1), ==, 0x20);
  bench_clear (&b);
}

/* --- MegaRAID -------------------------------------------------------------------------------------- */

static void
test_megasas (void)
{
  Bench b;
  uint8_t frame[64] = { 0 };

  bench_init (&b, &vm_megasas_type);
  g_assert_cmphex (rig_load (&b.rig, MEM_BASE + 0xb0, 4) >> 28, ==, 0xb); /* ready */
  frame[0] = 3;      /* SCSI for a logical drive, polled */
  frame[2] = 0xff;
  frame[6] = 10;
  frame[7] = 2;      /* two pieces */
  frame[0x10] = 0x11;
  vm_store_le32 (frame + 0x14, 512);
  memcpy (frame + 0x20, read_cdb, 10);
  vm_store_le32 (frame + 0x30, DATA);
  vm_store_le32 (frame + 0x34, 5);
  vm_store_le32 (frame + 0x38, DATA + 5);
  vm_store_le32 (frame + 0x3c, 507);
  put (&b, 0x8000, frame, sizeof frame);
  rig_store (&b.rig, MEM_BASE + 0x40, 0x8001, 4);
  while (rig_load (&b.rig, 0x8002, 1) == 0xff)
    vm_loop_iterate (b.rig.env.loop, false);
  g_assert_cmphex (rig_load (&b.rig, 0x8002, 1), ==, 0);
  assert_sector (&b, DATA);
  /* Beyond the end: CHECK CONDITION with sense data. */
  frame[0x22] = 1;
  frame[1] = 18;
  vm_store_le32 (frame + 0x18, SENSE);
  put (&b, 0x8000, frame, sizeof frame);
  rig_store (&b.rig, MEM_BASE + 0x40, 0x8001, 4);
  g_assert_cmphex (rig_load (&b.rig, 0x8002, 2), ==, 0x022d);
  g_assert_cmphex (rig_load (&b.rig, SENSE + 12, 1), ==, 0x21);
  frame[4] = 9;
  put (&b, 0x8000, frame, sizeof frame);
  rig_store (&b.rig, MEM_BASE + 0x40, 0x8001, 4);
  g_assert_cmphex (rig_load (&b.rig, 0x8002, 1), ==, 0x0c);
  bench_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scsi-hba/lsi/read", test_lsi_read);
  g_test_add_func ("/scsi-hba/lsi/endless", test_lsi_endless);
  g_test_add_func ("/scsi-hba/lsi/nobody", test_lsi_nobody);
  g_test_add_func ("/scsi-hba/esp", test_esp);
  g_test_add_func ("/scsi-hba/megasas", test_megasas);
  return g_test_run ();
}
