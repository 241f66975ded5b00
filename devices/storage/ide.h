/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ATA bus and its disks and packet devices (ATA8-ACS, T13/1699-D; MMC-6 for the packet commands). One command core
 * serves them all; how commands arrive and where data goes is the business of a VmIdeTransport. */
#pragma once

#include "block/block.h"
#include "devices/storage/dma-sg.h"
#include "engine/clock/clock.h"
#include "engine/machine/machine.h"

typedef struct VmIdeBus    VmIdeBus;
typedef struct VmIdeDevice VmIdeDevice;

#define VM_IDE_BUS_TYPE "IDE"
#define VM_IDE_SECTOR   512u
#define VM_IDE_CD_BLOCK 2048u
#define VM_IDE_BUFFER   (256 * VM_IDE_SECTOR)
#define VM_IDE_DMA_STEP (4 * VM_MIB) /* most of one request to the medium */

enum { /* status */
  VM_IDE_ERR = 1 << 0, VM_IDE_DRQ = 1 << 3, VM_IDE_DSC = 1 << 4, VM_IDE_DF = 1 << 5, VM_IDE_DRDY = 1 << 6,
  VM_IDE_BSY = 1 << 7,
};
enum { /* error */
  VM_IDE_ABRT = 1 << 2, VM_IDE_MCR = 1 << 3, VM_IDE_IDNF = 1 << 4, VM_IDE_MC = 1 << 5, VM_IDE_UNC = 1 << 6,
};

/* The host's side of a channel. */
typedef struct VmIdeTransport {
  bool sata;
  bool (*running) (void *opaque);                 /* has the guest started the DMA engine? */
  /* Adds the guest memory of the command's next LEN bytes; fewer when its table ends. */
  void (*table) (void *opaque, VmDmaSg *sg, uint64_t len);
  void (*finished) (void *opaque, bool error);    /* the device is done with the engine */
  void (*interrupt) (void *opaque);               /* the device raises its interrupt */
  /* Moves all that the data register offers or wants, announced by an interrupt or not. NULL: the guest does. */
  void (*pio) (void *opaque, bool interrupt);
} VmIdeTransport;

struct VmIdeBus {
  VmBus              parent;
  unsigned           number;   /* among its controller's: of firmware's paths */
  unsigned           n_units;
  VmIdeDevice       *unit[2];
  VmIrq              irq;
  const VmIdeTransport *transport; /* NULL: ports without DMA */
  void              *transport_opaque;
  VmDmaSg            sg;       /* of the transfer under way; its owner set the address space */
  VmRegion           command_ports, control_port;
  /* guest state */
  uint8_t            selected; /* 0 or 1 */
  uint8_t            control;  /* nIEN 2, SRST 4, HOB 80 */
};

typedef struct VmIdeRegs { /* task file; each has its previous ("high order byte") value */
  uint8_t feature, count, lba_low, lba_mid, lba_high, device;
} VmIdeRegs;

#define VM_IDE_SELF_TESTS 21 /* the log keeps as many */

struct VmIdeDevice {
  VmDevice parent;
  /* properties */
  VmBlockConf conf;
  uint32_t unit_number, cyls, heads, secs, lcyls, lheads, lsecs;
  int      bios_chs_trans;     /* VmIdeChsTrans */
  char    *serial, *version, *model;
  uint64_t wwn;
  uint16_t rotation_rate;
  int32_t  bootindex;
  /* wiring */
  VmIdeBus *bus;
  bool      is_cd;
  /* guest state */
  VmIdeRegs regs, previous;
  uint8_t   status, error;
  uint8_t   command;
  uint8_t   last_command;      /* the one before */
  uint8_t   multiple;          /* sectors per interrupt of READ/WRITE MULTIPLE; 0: not set */
  uint8_t   xfer_mode;
  bool      write_cache_on, look_ahead_on;
  uint8_t   apm;               /* advanced power management level; 0: off */
  uint64_t  max_sectors;       /* SET MAX ADDRESS: what the guest sees of the disk; 0: all */
  uint8_t   standby_code;      /* of STANDBY and IDLE: when to fall asleep */
  bool      standing_by;
  VmTimer   standby;
  bool      smart_on, smart_autosave;
  uint32_t  starts, n_self_tests;
  uint8_t   self_test[VM_IDE_SELF_TESTS];    /* their kinds, newest at N_SELF_TESTS - 1 modulo */
  uint16_t  self_test_hour[VM_IDE_SELF_TESTS];
  uint8_t   ncq_error[VM_IDE_SECTOR];        /* log 10h */
  uint16_t  identify[256];
  uint8_t  *buffer;            /* VM_IDE_BUFFER bytes */
  uint32_t  buffer_size;
  uint32_t  data_at, data_end; /* what the data register still has or wants, in the buffer */
  bool      data_out;          /* the guest writes it */
  /* the transfer under way */
  uint64_t  lba;
  uint32_t  sectors;           /* left */
  uint32_t  chunk;             /* bytes in the buffer, or of the request */
  uint32_t  transferred;       /* bytes of the command that have moved */
  bool      dma_wanted, dma_to_memory, busy_io; /* busy_io: a block request is out */
  uint64_t  sg_at;             /* how far in the bus's list */
  VmDmaMap  map;
  struct iovec iov;
  void    (*data_done) (VmIdeDevice *dev); /* the guest has read or written all of the buffer */
  void    (*dma_step) (VmIdeDevice *dev);
  void    (*dma_ended) (VmIdeDevice *dev, int status);
  uint8_t   data_step_number, dma_step_number; /* of the first two, as saved */
  /* ATAPI */
  uint8_t   packet[12];
  uint8_t   sense_key, asc, ascq;
  bool      medium_changed, event_pending, tray_locked;
  bool      tray_open;         /* as saved; else of the drive */
  uint32_t  cd_block;          /* bytes of a block as transferred */
  uint32_t  cd_left;           /* reply bytes not yet offered */
  uint16_t  byte_limit;
};

typedef enum VmIdeChsTrans {
  VM_IDE_CHS_AUTO, VM_IDE_CHS_NONE, VM_IDE_CHS_LBA, VM_IDE_CHS_LARGE, VM_IDE_CHS_RECHS
} VmIdeChsTrans;

extern const VmType vm_ide_device_type, vm_ide_hd_type, vm_ide_cd_type;

/* Ports are mapped by the owner, which also sets irq and transport. */
void vm_ide_bus_init (VmIdeBus *bus, VmDevice *owner, const char *name, unsigned number, unsigned n_units);
void vm_ide_bus_destroy (VmIdeBus *bus);
void vm_ide_bus_reset (VmIdeBus *bus);
/* Eight command ports and the one control port; opaque VmIdeBus. */
extern const VmRegionOps vm_ide_command_ops, vm_ide_control_ops;
/* The guest started the DMA engine. */
void vm_ide_dma_started (VmIdeBus *bus);
extern const VmField vm_ide_bus_state[];

/* --- for transports without ports ------------------------------------------------------------- */

void ide_run_command (VmIdeDevice *dev, uint8_t command);
void ide_device_reset (VmIdeDevice *dev); /* waits for what is under way; the signature is in the task file */
/* Sectors that commands may name. */
uint64_t ide_total_sectors (const VmIdeDevice *dev);
/* The error register's bits for a request's errno. */
uint8_t ide_error_of (int status);

/* --- between the parts ------------------------------------------------------------------------ */

#define IDE_MAX_MULTIPLE 16
enum { IDE_CONTROL_NIEN = 1 << 1, IDE_CONTROL_SRST = 1 << 2, IDE_CONTROL_HOB = 1 << 7 };
enum { IDE_DEVICE_LBA = 1 << 6, IDE_DEVICE_UNIT = 1 << 4 };

void ide_raise_irq (VmIdeDevice *dev);
void ide_abort (VmIdeDevice *dev);
void ide_finish (VmIdeDevice *dev, uint8_t error); /* end of a command, with its interrupt */
void ide_set_signature (VmIdeDevice *dev);
void ide_take_lba (VmIdeDevice *dev, bool ext);
void ide_put_lba (VmIdeDevice *dev, uint64_t lba, bool ext); /* the task file's address */
/* LEN bytes of the buffer from FROM on for (or by) the guest, then DONE is called. */
enum { IDE_PIO_OUT = 1 << 0, IDE_PIO_IRQ = 1 << 1 };
void ide_start_pio (VmIdeDevice *dev, uint32_t from, uint32_t len, unsigned flags, void (*done) (VmIdeDevice *dev));
/* The buffer's first LEN bytes are the whole answer. */
void ide_reply_pio (VmIdeDevice *dev, uint32_t len);
void ide_reply_dma (VmIdeDevice *dev, uint32_t len);
/* Waits for the DMA engine, then calls STEP. */
void ide_start_dma (VmIdeDevice *dev, bool to_memory, void (*step) (VmIdeDevice *dev));
/* Moves up to LEN bytes of the buffer; returns how many. */
uint32_t ide_dma_buffer (VmIdeDevice *dev, uint32_t len);
/* SECTORS at LBA between medium and guest memory; ENDED is told 0, an errno, or 1: the table was too short. */
void ide_transfer_dma (VmIdeDevice *dev, bool to_memory, void (*ended) (VmIdeDevice *dev, int status));
void ide_dma_finished (VmIdeDevice *dev, bool error);
void ide_flush (VmIdeDevice *dev);

/* ide-features.c */
void ide_set_features (VmIdeDevice *dev);
void ide_read_native_max (VmIdeDevice *dev);
void ide_read_native_max_ext (VmIdeDevice *dev);
void ide_set_max (VmIdeDevice *dev);
void ide_set_max_ext (VmIdeDevice *dev);
void ide_power_command (VmIdeDevice *dev);
void ide_check_power (VmIdeDevice *dev);
void ide_touch (VmIdeDevice *dev); /* a command that needs the medium: it spins, the timer starts again */
void ide_standby_expired (void *opaque);

/* ide-logs.c */
void ide_smart (VmIdeDevice *dev);
void ide_read_log (VmIdeDevice *dev);

/* Saving: the functions that go on with a transfer, as numbers, and back; false: there is no such number, or it does
 * not fit the rest. */
void ide_name_steps (VmIdeDevice *dev);
bool ide_find_steps (VmIdeDevice *dev);
/* The packet device's; ends with NULL. */
typedef void (*VmIdeStep) (VmIdeDevice *dev);
extern const VmIdeStep atapi_steps[];
void atapi_dma_ended (VmIdeDevice *dev, int status);

void ide_fill_identify (VmIdeDevice *dev);
void atapi_fill_identify (VmIdeDevice *dev);
void atapi_packet (VmIdeDevice *dev);
void atapi_reset (VmIdeDevice *dev);
void atapi_medium_changed (void *dev);
