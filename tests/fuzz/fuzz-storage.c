/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A controller of disks on the bench and a driver out of its mind: FUZZ_STORAGE says which. Anything in registers and
 * in the tables that they point to, with enough sense that commands get through now and then. */
#include "devices/nvme/nvme.h"
#include "devices/storage/ahci.h"
#include "devices/storage/pflash.h"
#include "tests/devices/disk-rig.h"
#include "tests/fuzz/fuzz.h"

#define LISTS 0x10000u /* tables and queues lie from here to the end of LISTS_SIZE */
#define LISTS_SIZE 0x10000u
#define DATA 0x100000u
#define FLASH_BASE UINT64_C (0xffc00000)
#define FLASH_SIZE (256 * VM_KIB)

extern const VmType vm_ich9_ahci_type, vm_sdhci_pci_type, vm_sd_card_type;

/* An address that may mean something. */
static uint32_t
place (Input *in)
{
  uint32_t kind = take (in, 1), at = take (in, 2);

  switch (kind & 7)
    {
    case 0:
      return (uint32_t) DISK_RIG_BAR + (at & 0x1fff); /* itself */
    case 1:
      return 0xfee00000 + (at & 0xfff);
    case 2:
      return (uint32_t) DISK_RIG_RAM - (at & 0xfff);
    case 3:
    case 4:
      return LISTS + (at & 0xff80);
    default:
      return DATA + (at << 2);
    }
}

static void
settle (DiskRig *r)
{
  disk_rig_settle (r);
}

/* --- AHCI ------------------------------------------------------------------------------------------------------------
 */

static void
ahci_set_up (DiskRig *r)
{
  disk_rig_drive (r, "d", VM_MIB, false);
  disk_rig_drive (r, "c", VM_MIB, true);
  disk_rig_add (r, &vm_ich9_ahci_type, 5, NULL);
  disk_rig_plug (r, &vm_ide_hd_type, 0, (const char *const[]){ "drive", "d", NULL });
  disk_rig_plug (r, &vm_ide_cd_type, 1, (const char *const[]){ "drive", "c", NULL });
  disk_rig_write (r, 4, 1);
  disk_rig_write (r, 4, 0x80000002);
}

static void
ahci_start (DiskRig *r, unsigned port)
{
  disk_rig_write (r, 0x100 + 0x80 * port + PORT_CMD, 0);
  disk_rig_write (r, 0x100 + 0x80 * port + PORT_CLB, LISTS + 0x8000 * port);
  disk_rig_write (r, 0x100 + 0x80 * port + PORT_FB, LISTS + 0x8000 * port + 0x400);
  disk_rig_write (r, 0x100 + 0x80 * port + PORT_CMD, CMD_FRE);
  disk_rig_write (r, 0x100 + 0x80 * port + PORT_IE, 0xffffffff);
  disk_rig_write (r, 0x100 + 0x80 * port + PORT_CMD, CMD_FRE | CMD_ST);
}

static void
ahci_command (DiskRig *r, Input *in)
{
  static const uint8_t commands[]
      = { 0x60, 0x61, 0x25, 0x35, 0xa0, 0xa0, 0xec, 0xb0, 0x2f, 0x06, 0xef, 0x20, 0xea, 0xc5 };
  uint8_t fis[64] = { 0x27, 0x80 }, header[16] = { 0 }, entry[16] = { 0 }, kind = (uint8_t) take (in, 1);
  unsigned port = kind & 1, slot = take (in, 1) & 7, n = kind >> 1 & 3;
  uint32_t table = LISTS + 0x8000 * port + 0x1000 + 0x400 * slot;

  fis[2] = kind & 0x80 ? (uint8_t) take (in, 1) : commands[take (in, 1) % sizeof commands];
  fis[3] = (uint8_t) take (in, 1);
  fis[4] = (uint8_t) take (in, 1);
  fis[5] = (uint8_t) take (in, 1);
  fis[7] = 0x40;
  fis[12] = fis[2] >> 1 == 0x30 ? (uint8_t) (slot << 3) : (uint8_t) take (in, 1);
  fis[15] = kind & 0x40 ? (uint8_t) take (in, 1) : 0;
  fis[1] = (kind & 0x60) == 0x60 ? 0 : 0x80;
  for (unsigned i = 0; i < 4; i++)
    fis[0x30 + i] = 0; /* beyond the FIS */
  header[0] = 5 | (uint8_t) (kind << 2 & 0x60);
  vm_store_le16 (header + 2, (uint16_t) (n + 1));
  vm_store_le32 (header + 8, table);
  disk_rig_poke (r, LISTS + 0x8000 * port + 32 * slot, header, sizeof header);
  disk_rig_poke (r, table, fis, sizeof fis);
  for (unsigned i = 0; i < 12; i++)
    fis[i] = (uint8_t) take (in, 1);
  disk_rig_poke (r, table + 0x40, fis, 12);
  for (unsigned i = 0; i <= n; i++)
    {
      vm_store_le32 (entry, place (in));
      vm_store_le32 (entry + 12, take (in, 2));
      disk_rig_poke (r, table + 0x80 + 16 * i, entry, sizeof entry);
    }
  if (kind & 8)
    disk_rig_write (r, 0x100 + 0x80 * port + PORT_SACT, 1u << slot);
  disk_rig_write (r, 0x100 + 0x80 * port + PORT_CI, 1u << slot);
}

/* --- NVMe ------------------------------------------------------------------------------------------------------------
 */

static void
nvme_set_up (DiskRig *r)
{
  disk_rig_drive (r, "d", VM_MIB, false);
  disk_rig_drive (r, "e", VM_MIB, false);
  disk_rig_add (r, &vm_nvme_type, 0,
                (const char *const[]){ "serial", "F", "drive", "d", "cmb_size_mb", "1", "max_ioqpairs", "4", NULL });
  disk_rig_plug (r, &vm_nvme_ns_type, 0, (const char *const[]){ "drive", "e", NULL });
}

static void
nvme_begin (DiskRig *r, unsigned how)
{
  disk_rig_write (r, 0x14, 0);
  disk_rig_write (r, 0x24, 0x000f000f);
  disk_rig_write (r, 0x28, LISTS);
  disk_rig_write (r, 0x30, LISTS + 0x1000);
  disk_rig_write (r, 0x14, 0x00460001 | (how & 1) << 7);
}

static void
nvme_entry (DiskRig *r, Input *in, unsigned *tail)
{
  static const uint8_t admin[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 0x15, 0x7c, 0x80 };
  static const uint8_t io[] = { 0, 1, 2, 5, 8, 9, 0xc, 0x19 };
  uint8_t e[64] = { 0 }, kind = (uint8_t) take (in, 1);
  unsigned q = kind & 3;

  e[0] = kind & 0x80 ? (uint8_t) take (in, 1) : q ? io[take (in, 1) % sizeof io] : admin[take (in, 1) % sizeof admin];
  e[1] = kind & 0x40 ? (uint8_t) take (in, 1) : 0;
  e[2] = (uint8_t) take (in, 1);
  vm_store_le32 (e + 4, kind & 0x20 ? take (in, 4) : 1 + (kind >> 2 & 1));
  vm_store_le32 (e + 24, place (in));
  vm_store_le32 (e + 32, place (in));
  e[39] = (uint8_t) take (in, 1);
  if (!(kind & 0x40))
    e[39] = 0;
  vm_store_le32 (e + 40, q ? take (in, 1) : (take (in, 1) & (kind & 0x10 ? 7u : 255u)) | take (in, 1) << 16);
  vm_store_le32 (e + 44, q ? 4u : take (in, 1) | take (in, 1) << 16);
  vm_store_le32 (e + 48, take (in, 2));
  disk_rig_poke (r, LISTS + 0x2000 * q + 64 * tail[q], e, sizeof e);
  tail[q] = (tail[q] + 1) % 16;
  disk_rig_write (r, 0x1000 + 8 * q, tail[q]);
}

static void
nvme_queues (DiskRig *r, unsigned *tail)
{
  for (unsigned q = 1; q < 4; q++)
    for (unsigned step = 0; step < 2; step++)
      {
        uint8_t e[64] = { step ? 1 : 5 };

        vm_store_le32 (e + 24, LISTS + 0x2000 * q + (step ? 0 : 0x1000));
        vm_store_le32 (e + 40, q | 15 << 16);
        vm_store_le32 (e + 44, step ? 1 | q << 16 : 3);
        disk_rig_poke (r, LISTS + 64 * tail[0], e, sizeof e);
        tail[0] = (tail[0] + 1) % 16;
        disk_rig_write (r, 0x1000, tail[0]);
      }
}

enum
{
  OP_COMMAND,
  OP_COMMAND_AGAIN,
  OP_REGISTER,
  OP_START,
  OP_MEMORY,
  OP_SETTLE,
  OP_CONFIG,
  OP_RING
};

/* --- SD --------------------------------------------------------------------------------------------------------------
 */

static void
sd_set_up (DiskRig *r)
{
  disk_rig_drive (r, "d", VM_MIB, false);
  disk_rig_add (r, &vm_sdhci_pci_type, 0, (const char *const[]){ "sd-spec-version", "3", NULL });
  disk_rig_plug (r, &vm_sd_card_type, 0, (const char *const[]){ "drive", "d", "spec_version", "3", NULL });
}

static void
sd_command (DiskRig *r, uint32_t argument, uint16_t mode, uint16_t command)
{
  disk_rig_write (r, 0x08, argument);
  disk_rig_write (r, 0x0c, mode | (uint32_t) command << 16);
}

/* Powered, and the card selected. */
static void
sd_start (DiskRig *r)
{
  disk_rig_write (r, 0x28, 0x00000f02);
  disk_rig_write (r, 0x2c, 0x00000005);
  disk_rig_write (r, 0x34, 0xffffffff);
  disk_rig_write (r, 0x38, 0xffffffff);
  sd_command (r, 0, 0, 0);
  sd_command (r, 0x1aa, 0, 0x081a);
  sd_command (r, 0, 0, 0x371a);
  sd_command (r, 0x40ff8000, 0, 0x2902);
  sd_command (r, 0, 0, 0x0209);
  sd_command (r, 0, 0, 0x031a);
  sd_command (r, disk_rig_read (r, 0x10) & 0xffff0000, 0, 0x071b);
}

static void
sd_step (DiskRig *r, Input *in, uint8_t op, unsigned *tail)
{
  static const uint8_t commands[] = { 6, 7, 9, 12, 13, 16, 17, 18, 18, 23, 24, 25, 25, 27, 32, 33, 38, 55, 51, 22 };
  uint8_t how = (uint8_t) take (in, 1), index = commands[take (in, 1) % sizeof commands];

  switch (op & 7)
    {
    case OP_START:
      sd_start (r);
      break;
    case OP_RING: /* bytes through the port */
      for (unsigned n = take (in, 1) * 4; n; n--)
        if (op & 8)
          disk_rig_write (r, 0x20, n);
        else
          disk_rig_read (r, 0x20);
      break;
    default:
      disk_rig_write (r, 0x30, 0xffffffff);
      disk_rig_write (r, 0x00, place (in));
      disk_rig_write (r, 0x58, LISTS + take (in, 2));
      disk_rig_write (r, 0x04, (how & 1 ? take (in, 2) : 0x7200) | take (in, 1) << 16);
      disk_rig_write (r, 0x28, 0x00000f02 | (how >> 1 & 3) << 3);
      sd_command (r, how & 8 ? take (in, 4) : take (in, 1) << 9, (uint16_t) take (in, 1),
                  (uint16_t) (index << 8 | (how & 0x10 ? take (in, 1) : 0x3a)));
      break;
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

static void
ahci_step (DiskRig *r, Input *in, uint8_t op, unsigned *tail)
{
  switch (op & 7)
    {
    case OP_COMMAND:
    case OP_COMMAND_AGAIN:
      ahci_command (r, in);
      break;
    case OP_START:
      ahci_start (r, op >> 3 & 1);
      break;
    default:
      disk_rig_write (r, 0x100 + 0x80 * (op >> 3 & 1) + (take (in, 1) & 0x3c), take (in, 4));
      break;
    }
}

static void
nvme_step (DiskRig *r, Input *in, uint8_t op, unsigned *tail)
{
  switch (op & 7)
    {
    case OP_COMMAND:
    case OP_COMMAND_AGAIN:
      nvme_entry (r, in, tail);
      break;
    case OP_START:
      memset (tail, 0, 4 * sizeof *tail);
      nvme_begin (r, op >> 3);
      if (op & 16)
        nvme_queues (r, tail);
      break;
    default:
      disk_rig_write (r, 0x1000 + 4 * (op >> 3 & 7), take (in, 1) & 31);
      break;
    }
}

static void
flash_run (Input *in)
{
  DiskRig rig, *r = &rig;
  VmPflash *flash;

  disk_rig_init (r);
  flash = (VmPflash *) vm_device_new (&vm_pflash_type);
  flash->drive = disk_rig_drive (r, "f", FLASH_SIZE, false);
  flash->sector_length = 4096;
  flash->num_blocks = FLASH_SIZE / 4096;
  vm_object_set_str (&flash->parent.parent, "name", "flash");
  vm_object_set_uint (&flash->parent.parent, "width", 1u << (take (in, 1) & 3));
  rig_add (&r->rig, flash, NULL);
  vm_region_add (&r->rig.system_memory, FLASH_BASE, &flash->region);
  while (in->left)
    {
      static const uint8_t commands[] = { 0x20, 0xd0, 0x40, 0xe8, 0xff, 0x70, 0x50, 0x90, 0x98, 0x60 };
      uint8_t op = (uint8_t) take (in, 1);
      unsigned size = 1u << (op & 3);
      uint64_t at = FLASH_BASE + take (in, 3) % (FLASH_SIZE - 7);

      if (op & 0x80)
        rig_load (&r->rig, at, size);
      else
        rig_store (&r->rig, at, op & 0x40 ? take (in, size) : commands[take (in, 1) % sizeof commands], size);
      if ((op & 0x3c) == 0x3c)
        settle (r);
    }
  rig_remove (flash);
  disk_rig_clear (r);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  bool nvme = !strcmp (FUZZ_STORAGE, "nvme"), sd = !strcmp (FUZZ_STORAGE, "sdhci");
  Input in = { data, size };
  DiskRig rig, *r = &rig;
  unsigned tail[4] = { 0 };

  if (!strcmp (FUZZ_STORAGE, "pflash"))
    {
      flash_run (&in);
      return;
    }
  disk_rig_init (r);
  (sd ? sd_set_up : nvme ? nvme_set_up : ahci_set_up) (r);
  while (in.left)
    {
      uint8_t op = (uint8_t) take (&in, 1);

      switch (op & 7)
        {
        case OP_REGISTER:
          disk_rig_write (r, take (&in, 2) & 0x1ffc, op & 8 ? place (&in) : take (&in, 4));
          break;
        case OP_MEMORY:
          rig_store (&r->rig, LISTS + take (&in, 2) % (LISTS_SIZE - 8), op & 8 ? place (&in) : take (&in, 4), 4);
          break;
        case OP_SETTLE:
          settle (r);
          break;
        case OP_CONFIG:
          disk_rig_set_config (r, 0x40 + (take (&in, 1) & 0xbc), take (&in, 4), 4);
          disk_rig_set_config (r, PCI_COMMAND, op & 8 ? 7 : take (&in, 1) | PCI_COMMAND_MEMORY, 2);
          break;
        default:
          (sd ? sd_step : nvme ? nvme_step : ahci_step) (r, &in, op, tail);
          break;
        }
    }
  disk_rig_clear (r);
}
