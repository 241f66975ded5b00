/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The IDE channel and its ATA and ATAPI devices (ATA/ATAPI-7, INCITS 397; MMC-5 for the packet commands). */
#pragma once

#include "block/block.h"
#include "engine/machine/machine.h"

typedef struct VmIdeBus    VmIdeBus;
typedef struct VmIdeDevice VmIdeDevice;

#define VM_IDE_BUS_TYPE "IDE"
#define VM_IDE_SECTOR   512u
#define VM_IDE_CD_BLOCK 2048u
#define VM_IDE_BUFFER   (256 * VM_IDE_SECTOR)

enum { /* status */
  VM_IDE_ERR = 1 << 0, VM_IDE_DRQ = 1 << 3, VM_IDE_DSC = 1 << 4, VM_IDE_DF = 1 << 5, VM_IDE_DRDY = 1 << 6,
  VM_IDE_BSY = 1 << 7,
};
enum { /* error */
  VM_IDE_ABRT = 1 << 2, VM_IDE_MCR = 1 << 3, VM_IDE_IDNF = 1 << 4, VM_IDE_MC = 1 << 5, VM_IDE_UNC = 1 << 6,
};

/* The host's DMA engine of a channel. */
typedef struct VmIdeDmaOps {
  /* Moves up to LEN bytes between BUF and guest memory, going on where the last call ended; returns how many, fewer
   * when its table is exhausted. */
  uint32_t (*move) (void *opaque, void *buf, uint32_t len, bool to_memory);
  bool     (*running) (void *opaque);             /* has the guest started it? */
  void     (*finished) (void *opaque, bool error); /* the device is done */
  void     (*interrupt) (void *opaque);           /* the device raises its interrupt */
} VmIdeDmaOps;

struct VmIdeBus {
  VmBus              parent;
  VmIdeDevice       *unit[2];
  VmIrq              irq;
  const VmIdeDmaOps *dma;      /* NULL: PIO only */
  void              *dma_opaque;
  VmRegion           command_ports, control_port;
  /* guest state */
  uint8_t            selected; /* 0 or 1 */
  uint8_t            control;  /* nIEN 2, SRST 4, HOB 80 */
};

typedef struct VmIdeRegs { /* task file; each has its previous ("high order byte") value */
  uint8_t feature, count, lba_low, lba_mid, lba_high, device;
} VmIdeRegs;

struct VmIdeDevice {
  VmDevice parent;
  /* properties */
  VmDrive *drive;
  uint32_t unit_number, cyls, heads, secs, lcyls, lheads, lsecs;
  int      bios_chs_trans;
  char    *serial, *version, *model;
  uint64_t wwn, logical_block_size, physical_block_size, discard_granularity, min_io_size, opt_io_size;
  uint16_t rotation_rate;
  int32_t  bootindex;
  VmOnOffAuto write_cache, account_invalid, account_failed, backend_defaults;
  bool     share_rw;
  int      rerror, werror;
  /* wiring */
  VmIdeBus *bus;
  bool      is_cd;
  /* guest state */
  VmIdeRegs regs, previous;
  uint8_t   status, error;
  uint8_t   command;
  uint8_t   multiple;          /* sectors per interrupt of READ/WRITE MULTIPLE; 0: not set */
  uint8_t   xfer_mode;
  bool      write_cache_on;
  uint16_t  identify[256];
  uint8_t  *buffer;            /* VM_IDE_BUFFER bytes */
  uint32_t  buffer_size;
  uint32_t  data_at, data_end; /* what the data register still has or wants */
  /* the transfer under way */
  uint64_t  lba;
  uint32_t  sectors;           /* left */
  uint32_t  chunk;             /* bytes in the buffer */
  bool      dma_wanted, dma_to_memory, busy_io; /* busy_io: a block request is out */
  struct iovec iov;
  void    (*data_done) (VmIdeDevice *dev); /* the guest has read or written all of the buffer */
  void    (*dma_step) (VmIdeDevice *dev);
  /* ATAPI */
  uint8_t   packet[12];
  uint8_t   sense_key, asc, ascq;
  bool      medium_changed, event_pending, tray_locked;
  uint32_t  cd_block;          /* bytes of a block as transferred */
  uint32_t  cd_left;           /* reply bytes not yet offered */
  uint16_t  byte_limit;
};

extern const VmType vm_ide_device_type, vm_ide_hd_type, vm_ide_cd_type;

/* Ports are mapped by the owner, which also sets irq and dma. */
void vm_ide_bus_init (VmIdeBus *bus, VmDevice *owner, const char *name);
void vm_ide_bus_destroy (VmIdeBus *bus);
void vm_ide_bus_reset (VmIdeBus *bus);
/* Eight command ports and the one control port; opaque VmIdeBus. */
extern const VmRegionOps vm_ide_command_ops, vm_ide_control_ops;
/* The guest started the DMA engine. */
void vm_ide_dma_started (VmIdeBus *bus);
extern const VmField vm_ide_bus_state[];
/* Makes the devices of the machine's drives on this channel. */
bool vm_ide_create_drives (VmMachine *machine, VmIdeBus *bus, int bus_number, GError **error);

/* --- between the parts ---------------------------------------------------------------------------- */

void ide_raise_irq (VmIdeDevice *dev);
void ide_abort (VmIdeDevice *dev);
void ide_finish (VmIdeDevice *dev, uint8_t error); /* end of a command, with its interrupt */
/* Offers (or wants) LEN bytes of the buffer by PIO, then calls DONE. */
void ide_start_pio (VmIdeDevice *dev, uint32_t len, void (*done) (VmIdeDevice *dev));
/* Waits for the DMA engine, then calls STEP. */
void ide_start_dma (VmIdeDevice *dev, bool to_memory, void (*step) (VmIdeDevice *dev));
void ide_dma_finished (VmIdeDevice *dev, bool error);

void ide_fill_identify (VmIdeDevice *dev);
void atapi_fill_identify (VmIdeDevice *dev);
void atapi_packet (VmIdeDevice *dev);
void atapi_reset (VmIdeDevice *dev);
void atapi_medium_changed (void *dev);
