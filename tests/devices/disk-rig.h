/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bench for controllers of disks: a PCI bus with one function whose memory is mapped, and drives. */
#pragma once

#include "block/block.h"
#include "devices/isa/piix3.h"
#include "devices/pci/i440fx.h"
#include "tests/devices/rig.h"

#define DISK_RIG_RAM   (16 * VM_MIB)
#define DISK_RIG_DEVFN VM_PCI_DEVFN (4, 0)
#define DISK_RIG_BAR   UINT64_C (0xe0000000)
#define DISK_RIG_BLOCK 512u
#define DISK_RIG_MESSAGE 0x1000u /* where messages (MSI, vector 0 of MSI-X) go: an address in RAM */

typedef struct DiskRig {
  Rig           rig;
  VmI440fxHost *host;
  VmI440fx     *bridge;
  VmPiix3      *piix3;
  VmPciDevice  *dev;
  GPtrArray    *paths;
  VmDrive      *drives[4];
} DiskRig;

void     disk_rig_init (DiskRig *r);
void     disk_rig_clear (DiskRig *r);
/* A file whose sector N begins with N, as drive ID. */
VmDrive *disk_rig_drive (DiskRig *r, const char *id, uint64_t size, bool cdrom);
/* The image's bytes, which the caller frees. */
uint8_t *disk_rig_bytes (DiskRig *r, const char *id, uint64_t offset, size_t len);
/* PROPS: name, value, ..., NULL. BAR is where the registers are. */
void     disk_rig_add (DiskRig *r, const VmType *type, unsigned bar, const char *const *props);
VmDevice *disk_rig_plug (DiskRig *r, const VmType *type, unsigned bus, const char *const *props);
void     disk_rig_settle (DiskRig *r); /* until nothing moves */
uint32_t disk_rig_config (DiskRig *r, unsigned reg, unsigned size);
void     disk_rig_set_config (DiskRig *r, unsigned reg, uint32_t value, unsigned size);
static inline uint32_t
disk_rig_read (DiskRig *r, unsigned reg)
{
  return (uint32_t) rig_load (&r->rig, DISK_RIG_BAR + reg, 4);
}
static inline void
disk_rig_write (DiskRig *r, unsigned reg, uint32_t value)
{
  rig_store (&r->rig, DISK_RIG_BAR + reg, value, 4);
}
void     disk_rig_poke (DiskRig *r, uint64_t addr, const void *data, size_t len);
void     disk_rig_peek (DiskRig *r, uint64_t addr, void *data, size_t len);
