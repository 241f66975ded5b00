/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers and state of the PCnet-PCI II (AMD Am79C970A data sheet, 19436), and what its files do for each other. */
#pragma once

#include "devices/net/eeprom93xx.h"
#include "devices/net/registers.h"
#include "engine/base/base.h"
#include "net/net.h"

#define PCNET_N_CSRS 128
#define PCNET_N_BCRS 32

enum
{
  CSR0_INIT = 1 << 0,
  CSR0_STRT = 1 << 1,
  CSR0_STOP = 1 << 2,
  CSR0_TDMD = 1 << 3,
  CSR0_TXON = 1 << 4,
  CSR0_RXON = 1 << 5,
  CSR0_IENA = 1 << 6,
  CSR0_INTR = 1 << 7,
  CSR0_IDON = 1 << 8,
  CSR0_TINT = 1 << 9,
  CSR0_RINT = 1 << 10,
  CSR0_MERR = 1 << 11,
  CSR0_MISS = 1 << 12,
  CSR0_CERR = 1 << 13,
  CSR0_BABL = 1 << 14,
  CSR0_ERR = 1 << 15,
  CSR0_CAUSES = 0x7f00,
};
enum
{
  CSR3_BSWP = 1 << 2,
  CSR3_LAPPEN = 1 << 5,
  CSR3_MASKS = 0x5f00
};
enum
{
  CSR4_TXSTRT = 1 << 3,
  CSR4_UINT = 1 << 6,
  CSR4_UINTCMD = 1 << 7,
  CSR4_MFCO = 1 << 9,
  CSR4_ASTRP_RCV = 1 << 10,
  CSR4_DPOLL = 1 << 12,
  CSR4_CAUSES = 0x026a
};
enum
{
  CSR5_SPND = 1 << 0,
  CSR5_MPINT = 1 << 4,
  CSR5_EXDINT = 1 << 7,
  CSR5_SLPINT = 1 << 9,
  CSR5_SINT = 1 << 11,
  CSR5_LTINTEN = 1 << 14,
  CSR5_TOKINTD = 1 << 15,
  CSR5_CAUSES = 0x0a90
};
enum
{
  MODE_DRX = 1 << 0,
  MODE_DTX = 1 << 1,
  MODE_LOOP = 1 << 2,
  MODE_DXMTFCS = 1 << 3,
  MODE_DRCVPA = 1 << 13,
  MODE_DRCVBC = 1 << 14,
  MODE_PROM = 1 << 15
};
enum
{
  BCR18_DWIO = 1 << 7,
  BCR2_APROMWE = 1 << 8,
  BCR20_SSIZE32 = 1 << 8,
  BCR20_CSRPCNET = 1 << 9
};
enum
{
  BCR19_DATA = 1 << 0,
  BCR19_SK = 1 << 1,
  BCR19_CS = 1 << 2,
  BCR19_EEN = 1 << 4,
  BCR19_EEDET = 1 << 13,
  BCR19_PREAD = 1 << 14,
  BCR19_PVALID = 1 << 15
};

/* Upper half of the descriptors' second word; 16-bit descriptors have the upper eight bits. */
enum
{
  MD_OWN = 1 << 15,
  MD_ERR = 1 << 14,
  MD_STP = 1 << 9,
  MD_ENP = 1 << 8,
  TMD_ADD_FCS = 1 << 13,
  TMD_LTINT = 1 << 12,
  RMD_PAM = 1 << 6,
  RMD_LAFM = 1 << 5,
  RMD_BAM = 1 << 4,
};

typedef struct Pcnet
{
  VmPciDevice parent;
  VmNetCard card; /* properties */
  /* wiring */
  VmNetRegisters registers;
  VmTimer poll;    /* the chip looks into its rings now and then */
  int64_t poll_ns; /* less often while nothing happens */
  bool sending;    /* a packet waits for the back end: tx goes on when it is gone */
  bool in_tx;
  bool rx_stalled; /* packets wait for descriptors */
  uint8_t *tx_data;
  uint32_t tx_data_size;
  /* guest state */
  uint16_t csr[PCNET_N_CSRS], bcr[PCNET_N_BCRS];
  uint16_t rap;
  uint8_t aprom[16];
  VmEeprom93xx eeprom;
  uint16_t tx_index, rx_index; /* of the descriptors whose turn it is */
  uint32_t rx_at;              /* of the frame that looks ahead: bytes that the driver has */
  uint32_t tx_len;             /* of the packet under way */
  bool tx_started, tx_fcs;     /* it has its check sequence */
} Pcnet;

static inline uint32_t
pcnet_csr32 (const Pcnet *self, unsigned n)
{
  return (uint32_t) self->csr[n + 1] << 16 | self->csr[n];
}

/* One descriptor in any of the four software styles. */
typedef struct PcnetDesc
{
  uint32_t at, buffer, size;
  uint16_t flags;
} PcnetDesc;

/* pcnet.c */
void pcnet_update_pin (Pcnet *self);
void pcnet_poll_soon (Pcnet *self);
/* pcnet-ring.c */
bool pcnet_init_block (Pcnet *self); /* reads it */
void pcnet_transmit (Pcnet *self);
void pcnet_tx_reset (Pcnet *self);
bool pcnet_receive (void *opaque, const VmNetPacket *packet);
bool pcnet_rx_filter (VmObject *device, VmNetRxFilter *filter);
