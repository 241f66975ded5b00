/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serial ATA AHCI 1.3.1: what the controller's parts know of each other. */
#pragma once

#include "devices/pci/pci.h"
#include "devices/storage/ide.h"

#define AHCI_PORTS 6
#define AHCI_SLOTS 32

typedef struct VmAhci     VmAhci;
typedef struct AhciPort   AhciPort;

enum { /* registers of a port */
  PORT_CLB = 0x00, PORT_CLBU = 0x04, PORT_FB = 0x08, PORT_FBU = 0x0c, PORT_IS = 0x10, PORT_IE = 0x14, PORT_CMD = 0x18,
  PORT_TFD = 0x20, PORT_SIG = 0x24, PORT_SSTS = 0x28, PORT_SCTL = 0x2c, PORT_SERR = 0x30, PORT_SACT = 0x34,
  PORT_CI = 0x38, PORT_SNTF = 0x3c,
};
enum { /* PxIS and PxIE */
  IS_DHRS = 1 << 0, IS_PSS = 1 << 1, IS_DSS = 1 << 2, IS_SDBS = 1 << 3, IS_UFS = 1 << 4, IS_DPS = 1 << 5,
  IS_PCS = 1 << 6, IS_PRCS = 1 << 22, IS_OFS = 1 << 24, IS_IFS = 1 << 27,
  IS_HBDS = 1 << 28, IS_HBFS = 1 << 29, IS_TFES = 1 << 30,
};
#define IS_WRITABLE 0xfdc000ffu /* of PxIE; the same bits of PxIS are cleared by ones, but for these two */
#define IS_OF_SERR  (IS_UFS | IS_PCS | IS_PRCS)
enum { /* PxCMD */
  CMD_ST = 1 << 0, CMD_SUD = 1 << 1, CMD_POD = 1 << 2, CMD_CLO = 1 << 3, CMD_FRE = 1 << 4, CMD_FR = 1 << 14,
  CMD_CR = 1 << 15, CMD_ATAPI = 1 << 24, CMD_DLAE = 1 << 25,
};
#define CMD_CCS_SHIFT 8

/* One queued command on its way. */
typedef struct AhciQueued {
  AhciPort *port;
  uint8_t   tag;
  bool      busy, write, fua;
  uint64_t  lba, at;      /* AT: how far in the list */
  uint32_t  sectors;
  VmDmaSg   sg;
  VmDmaMap  map;
  uint32_t  chunk;
} AhciQueued;

struct AhciPort {
  VmAhci     *hba;
  unsigned    n;
  VmIdeBus    bus;
  AhciQueued  queued[AHCI_SLOTS];
  /* guest state */
  uint64_t    clb, fb;
  uint32_t    is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
  bool        signature_due; /* the device's first FIS waits for the guest's receive area */
  bool        soft_reset;    /* SRST is held */
  bool        halted;        /* a command failed: none is taken until the guest has cleared PxCMD.ST */
  /* the command under way, when it is none of the queue */
  bool        active;
  uint8_t     slot;
  uint8_t     header[16];    /* of it */
  uint32_t    prd, prd_at;   /* place in its table: entry, bytes of it that are used */
  bool        running, moving; /* not saved: on the stack */
};

struct VmAhci {
  VmPciDevice parent;
  /* wiring */
  VmRegion registers, index_data;
  AhciPort port[AHCI_PORTS];
  /* guest state */
  uint32_t ghc, is, index;
};

enum { HEADER_ATAPI = 1 << 5, HEADER_WRITE = 1 << 6, HEADER_RESET = 1 << 8, HEADER_CLEAR_BUSY = 1 << 10 };

/* ahci.c */
void ahci_port_interrupt (AhciPort *port, uint32_t bits);

/* ahci-port.c */
extern const VmIdeTransport ahci_transport;
void ahci_port_reset (AhciPort *port);   /* COMRESET: the device's state is that after power-on */
void ahci_port_stop (AhciPort *port);    /* PxCMD.ST falls */
void ahci_port_run (AhciPort *port);     /* takes what PxCI offers */
void ahci_port_receive (AhciPort *port); /* PxCMD.FRE rises */
static inline VmIdeDevice *
ahci_port_device (const AhciPort *port)
{
  return port->bus.unit[0];
}
/* The device's registers as a FIS. */
void ahci_send_register (AhciPort *port, bool interrupt);
/* Writes LEN bytes into the receive area at OFFSET. */
void ahci_post (AhciPort *port, unsigned offset, const uint8_t *fis, unsigned len);
/* Guest memory of a command's table from entry *PRD, byte *AT, on; both move along. */
void ahci_table (AhciPort *port, const uint8_t *header, uint32_t *prd, uint32_t *at, VmDmaSg *sg, uint64_t len);
bool ahci_read_header (AhciPort *port, unsigned slot, uint8_t *header);

/* ahci-ncq.c */
bool ahci_is_queued (uint8_t command);
void ahci_queue (AhciPort *port, unsigned slot, const uint8_t *header, const uint8_t *fis);
bool ahci_queue_busy (const AhciPort *port);
void ahci_queue_free (AhciPort *port);
