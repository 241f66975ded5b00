/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SCSI: command blocks of any kind for disks and CD-ROM drives ("scsi-cdb"), and each PCI adapter under accesses of any
 * kind with memory full of scripts, rings and tables of any kind (FUZZ_SCSI is its name). */
#include "block/block.h"
#include "devices/pci/pci.h"
#include "devices/scsi/scsi.h"
#include "tests/devices/rig.h"
#include "tests/fuzz/fuzz.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define RAM_SIZE  (256 * VM_KIB)
#define DISK_SIZE (3 * VM_MIB + 2048)
#define IO_BASE   0xc000u
#define MEM_BASE  0xe0000000u
#define MEM_STEP  0x100000u

typedef struct Adapter {
  VmDevice  parent;
  VmPciBus  pci;
  VmScsiBus bus;
} Adapter;

typedef struct Bench {
  Rig          rig;
  VmDrive     *drives[2];
  Adapter     *adapter;
  VmPciDevice *card;
} Bench;

/* --- command blocks -------------------------------------------------------------------------------- */

static uint8_t memory[64 * 1024];
static struct iovec pieces[3];

static void
cdb_transfer (VmScsiRequest *req)
{
  unsigned size = 1 + (req->tag >> 1) % 5000;
  bool more = req->moved < MIN (40000, 64 * size) && req->tag & 1; /* each byte by itself takes a minute */

  pieces[0] = (struct iovec) { memory, size };
  vm_scsi_request_continue (req, pieces, more ? 1 : 0);
}

static void
cdb_complete (VmScsiRequest *req)
{
  vm_scsi_request_unref (req);
}

static void
cdb_released (VmScsiRequest *req)
{
  if (req->cancelled)
    vm_scsi_request_unref (req);
}

static const VmScsiBusOps cdb_ops = {
  .tcq = true, .max_target = 3, .max_lun = 3, .host_id = UINT_MAX, .transfer = cdb_transfer, .complete = cdb_complete,
  .released = cdb_released,
};

static const VmDeviceClass adapter_class = { .category = "Misc" };
static const VmType adapter_type = {
  .name = "fuzz-adapter", .parent = &vm_device_type, .size = sizeof (Adapter), .klass = &adapter_class,
};

static void
cdb_step (Bench *b, Input *in)
{
  static const uint8_t known[] = { 0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f,
                                   0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x55, 0x5a, 0x88, 0x8a, 0x8f, 0x93, 0x9e,
                                   0xa0, 0xa8, 0xaa, 0xad, 0xbd, 0xbe };
  uint8_t how = (uint8_t) take (in, 1), cdb[32];
  VmScsiRequest *req;

  for (unsigned i = 0; i < sizeof cdb; i++)
    cdb[i] = i < 16 || (how & 0x80) ? (uint8_t) take (in, 1) : 0;
  if (how & 1)
    cdb[0] = known[cdb[0] % sizeof known];
  if (how & 2) /* numbers that fit the medium */
    cdb[2] = cdb[3] = cdb[6] = cdb[10] = cdb[11] = 0;
  memcpy (memory, cdb, sizeof cdb);
  req = vm_scsi_request_new (&b->adapter->bus, 0, how >> 2 & 1, how >> 3 & 3, take (in, 2), cdb, sizeof cdb, NULL);
  if (!req)
    return;
  for (unsigned i = 0; i < 3; i++)
    pieces[i] = (struct iovec) { memory + 20000 * i, take (in, 2) % 20000 };
  vm_scsi_request_ref (req);
  vm_scsi_request_start (req, pieces, how & 0x20 ? 3 : 0);
  if (how & 0x40)
    vm_scsi_request_cancel (req);
  vm_scsi_request_unref (req);
  while (vm_loop_iterate (b->rig.env.loop, false))
    ;
  /* One at a time: they share their memory. */
  for (guint i = 0; i < b->adapter->bus.parent.devices->len; i++)
    {
      VmScsiDevice *dev = g_ptr_array_index (b->adapter->bus.parent.devices, i);

      while (dev->requests->len)
        vm_loop_iterate (b->rig.env.loop, true);
    }
}

/* --- adapters -------------------------------------------------------------------------------------- */

/* Instructions that a script for the LSI chips is made of. */
static const uint32_t scripts[] = {
  0x41000000, 0x40010000, 0x43000100, 0x0e000001, 0x0e000003, 0x0a00000a, 0x0a000006, 0x09000200,
  0x08000200, 0x19000000, 0x0b000001, 0x0f000001, 0x0f000002, 0x60000040, 0x58000008, 0x48000000,
  0x50000000, 0x80880000, 0x87830000, 0x88880000, 0x90080000, 0x98080000, 0x98180000, 0x78340400,
  0x6a080000, 0x72340000, 0xc0000010, 0xe1340004, 0xe0340004, 0xf1100004,
};

static const uint8_t esp_commands[] = { 0x01, 0x10, 0x11, 0x12, 0x18, 0x41, 0x42, 0x43, 0x46, 0x90, 0xc2, 0x98 };

static void
write_ram (Bench *b, uint32_t addr, uint32_t value)
{
  rig_store (&b->rig, addr % RAM_SIZE & ~3u, value, 4);
}

static void
write_bar (Bench *b, unsigned bar, uint32_t offset, uint32_t value, unsigned size)
{
  const VmPciBar *which = &b->card->bar[bar % 6];

  if (!which->region || which->addr == UINT64_MAX)
    return;
  offset %= (uint32_t) which->size;
  if (which->flags & PCI_BAR_IO)
    rig_out (&b->rig, (uint16_t) (which->addr + offset), value, MIN (size, 4));
  else
    rig_store (&b->rig, which->addr + offset, value, size);
}

/* Of the Fusion-MPT adapter: to the state in which it takes requests, with memory for answers. */
static void
mpt_start (Bench *b)
{
  write_bar (b, 0, 0x00, 0x40000000, 4);
  write_bar (b, 0, 0x00, 0x420b0000, 4);
  for (unsigned i = 0; i < 11; i++)
    write_bar (b, 0, 0x00, i ? i == 3 ? 80 : 0 : 0x02000004, 4);
  for (unsigned i = 0; i < 64; i++)
    write_bar (b, 0, i < 48 ? 0x30 : 0x44, i < 48 ? 0 : 0x8000 + 128 * i, 4);
}

static void
mpt_request (Bench *b, Input *in)
{
  static const uint8_t functions[] = { 0, 0, 0, 1, 3, 4, 4, 5, 6, 7, 0x1b };
  uint32_t addr = 0x4000 + (take (in, 1) << 7), how = take (in, 1);

  write_ram (b, addr, take (in, 1) % 9 | (how & 0x80 ? take (in, 1) << 16 : 0)
                        | (uint32_t) functions[take (in, 1) % sizeof functions] << 24);
  for (unsigned i = 1; i < 32; i++)
    write_ram (b, addr + 4 * i, how & 1 << i % 6 ? take (in, 2) : 0);
  write_ram (b, addr + 4, how & 0x40 ? take (in, 4) : 0x200a);
  write_ram (b, addr + 0x18, take (in, 1) | take (in, 1) << 24);
  write_ram (b, addr + 0x28, take (in, 2));
  write_ram (b, addr + 0x30, (how & 0x20 ? take (in, 1) : 0xd1) << 24 | take (in, 2));
  write_ram (b, addr + 0x34, take (in, 2));
  write_bar (b, 0, 0x40, addr, 4);
  rig_in (&b->rig, IO_BASE + 0x44, 4);
}

static void
adapter_step (Bench *b, Input *in)
{
  uint8_t op = (uint8_t) take (in, 1);
  unsigned bar = take (in, 1) % 4, size = 1u << (op >> 4) % 3;
  uint32_t addr, n;

  switch (op & 15)
    {
    default:
      addr = take (in, 2);
      write_bar (b, bar, op & 0x80 ? addr & 0xff : addr, take (in, 4) & (op & 0x40 ? 0x3fffc : ~0u), size);
      break;
    case 5:
      if (b->card->bar[bar].region && b->card->bar[bar].addr != UINT64_MAX && !(b->card->bar[bar].flags & PCI_BAR_IO))
        rig_load (&b->rig, b->card->bar[bar].addr + take (in, 2) % b->card->bar[bar].size, size);
      else
        rig_in (&b->rig, (uint16_t) (IO_BASE + take (in, 1)), size);
      break;
    case 6:
      addr = take (in, 2);
      for (n = take (in, 1) % 32; n; n--, addr += 4)
        write_ram (b, addr, take (in, 4));
      break;
    case 7: /* a script, and off it goes */
      addr = take (in, 2) & ~7u;
      for (n = 0; n < 16; n++)
        {
          write_ram (b, addr + 8 * n, scripts[op & 0x40 ? n : take (in, 1) % G_N_ELEMENTS (scripts)]);
          write_ram (b, addr + 8 * n + 4, op & 0x80 ? take (in, 1) * 4 : take (in, 4));
        }
      write_bar (b, 0, 0x04, 0x47, 1);
      write_bar (b, 0, 0x2c, addr, 4);
      break;
    case 8: /* of chips with few commands, one that is known */
      write_bar (b, 0, 0x0c, esp_commands[take (in, 1) % sizeof esp_commands], 1);
      break;
    case 9:
      rig_advance (&b->rig, (int64_t) take (in, 1) * VM_NS_PER_US);
      break;
    case 10:
      while (vm_loop_iterate (b->rig.env.loop, false))
        ;
      break;
    case 12:
      mpt_start (b);
      break;
    case 13: case 14:
      mpt_request (b, in);
      break;
    case 11: /* numbers of a table where drivers put them */
      for (n = 0; n < 8; n++)
        write_ram (b, bar * 4096 + 4 * n, take (in, 1));
      break;
    }
}

/* --- frame ----------------------------------------------------------------------------------------- */

static VmDrive *
make_drive (Bench *b, const char *id, bool readonly)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("vitrine-fuzz-XXXXXX", &path, NULL);
  VmDriveOptions options = { .id = id, .file = path, .format = "raw", .readonly = readonly };
  VmDrive *drive;

  g_assert_cmpint (ftruncate (fd, DISK_SIZE), ==, 0);
  g_close (fd, NULL);
  drive = vm_drive_new (b->rig.env.root, b->rig.env.loop, &options, &error);
  g_assert_no_error (error);
  g_unlink (path);
  return drive;
}

static void
add_disks (Bench *b, VmBus *bus)
{
  for (unsigned i = 0; i < 2; i++)
    {
      VmDevice *dev = vm_device_new (i ? &vm_scsi_cd_type : &vm_scsi_hd_type);

      dev->parent.scope = b->rig.env.root;
      g_assert_true (vm_object_set (&dev->parent, "drive", i ? "cd" : "disk", NULL));
      rig_add (&b->rig, dev, bus);
    }
}

static void
add_card (Bench *b, const VmType *type)
{
  VmPciDevice *card = (VmPciDevice *) vm_device_new (type);

  vm_pci_bus_init_root (&b->adapter->pci, &b->adapter->parent, NULL, &b->rig.system_memory, &b->rig.system_io,
                        &b->rig.system_memory);
  rig_add (&b->rig, card, &b->adapter->pci.parent);
  b->card = card;
  add_disks (b, g_ptr_array_index (card->parent.buses, 0));
}

extern const VmType *const vm_all_types[]; /* generated */
extern const size_t vm_n_all_types;

static Bench *
the_bench (void)
{
  static Bench *b;
  VmTypeList *types;

  if (b)
    return b;
  b = g_new0 (Bench, 1);
  rig_init (&b->rig, RAM_SIZE);
  b->drives[0] = make_drive (b, "disk", false);
  b->drives[1] = make_drive (b, "cd", true);
  b->adapter = (Adapter *) vm_device_new (&adapter_type);
  rig_add (&b->rig, b->adapter, NULL);
  if (g_str_equal (FUZZ_SCSI, "scsi-cdb"))
    {
      vm_scsi_bus_init (&b->adapter->bus, &b->adapter->parent, NULL, &cdb_ops, b->adapter);
      add_disks (b, &b->adapter->bus.parent);
      return b;
    }
  types = vm_type_list_new (vm_all_types, vm_n_all_types);
  add_card (b, vm_type_find (types, FUZZ_SCSI));
  vm_type_list_free (types);
  return b;
}

static void
set_up_card (Bench *b)
{
  unsigned devfn = (unsigned) b->card->addr;

  for (unsigned i = 0; i < 6; i++)
    {
      const VmPciBar *bar = &b->card->bar[i];

      if (bar->region)
        vm_pci_config_cycle_write (&b->adapter->pci, 0, devfn, 0x10 + 4 * i,
                                   bar->flags & PCI_BAR_IO ? IO_BASE : MEM_BASE + i * MEM_STEP, 4);
    }
  vm_pci_config_cycle_write (&b->adapter->pci, 0, devfn, 0x04, 7, 2);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Bench *b = the_bench ();
  Input in = { data, size };

  if (b->card)
    set_up_card (b);
  while (in.left)
    {
      if (b->card)
        adapter_step (b, &in);
      else
        cdb_step (b, &in);
    }
  vm_device_reset (&b->adapter->parent, VM_RESET_COLD);
  /* What is under way would come in the next run, and a thread that has just got memory looks like a leak. */
  for (unsigned i = 0; i < G_N_ELEMENTS (b->drives); i++)
    vm_block_drain (b->drives[i]->block);
  while (vm_loop_iterate (b->rig.env.loop, false))
    ;
}
