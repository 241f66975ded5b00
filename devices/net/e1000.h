/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State of the 8254x, and what its files do for each other. */
#pragma once

#include "devices/net/e1000-regs.h"
#include "devices/net/eeprom93xx.h"
#include "devices/pci/pci.h"
#include "net/net.h"

#define E1000_MMIO_SIZE   0x20000
#define E1000_EEPROM_N    64

/* The context of segmentation or of check sums (3.3.6). */
typedef struct E1000Context {
  uint8_t  ipcss, ipcso, tucss, tucso, hdrlen, flags; /* flags: bit 0 TCP, bit 1 IPv4 */
  uint16_t ipcse, tucse, mss;
  uint32_t paylen;
} E1000Context;

typedef struct E1000 {
  VmPciDevice parent;
  /* properties */
  VmNetCard card;
  bool      autonegotiation, mitigation, extra_mac_registers, migrate_tso_props, init_vet;
  /* wiring */
  VmRegion  mmio, io;
  VmTimer   link_timer, int_timer, late_timer;
  bool      sending;       /* a packet waits for the back end: tx goes on when it is gone */
  bool      in_tx;
  uint8_t  *tx_data;
  uint32_t  tx_data_size;  /* VM_NET_FRAME_MAX */
  uint32_t  tx_len;        /* bytes of the packet so far */
  /* guest state */
  uint32_t  regs[E1000_MMIO_SIZE / 4 / 4]; /* the first 32 KiB */
  uint16_t  phy[32];
  VmEeprom93xx eeprom;
  uint32_t  io_addr;
  E1000Context tso, csum;
  bool      tx_tse, tx_started; /* of the packet under way */
  uint8_t   tx_popts;
  bool      tx_vlan;
  uint16_t  tx_vlan_tag;
  uint32_t  late_causes;   /* to be told when late_timer fires */
  int64_t   late_limit;    /* ns: not later than this */
} E1000;

static inline uint32_t *
e1000_reg (E1000 *self, uint32_t offset)
{
  return &self->regs[offset / 4];
}

/* e1000.c */
void e1000_interrupt (E1000 *self, uint32_t causes);
/* The same after DELAY units of 1.024 us without another, at most after ABSOLUTE (0: as DELAY). */
void e1000_interrupt_late (E1000 *self, uint32_t causes, uint32_t delay, uint32_t absolute);
void e1000_count (E1000 *self, uint32_t offset, uint64_t n); /* 32 bits, stops at ones; the ...L of pairs: 64 bits */
/* e1000-tx.c */
void e1000_transmit (E1000 *self);
void e1000_tx_reset (E1000 *self);
void e1000_packet_sent (void *opaque);
/* e1000-rx.c */
bool e1000_receive (void *opaque, const VmNetPacket *packet);
bool e1000_rx_filter (VmObject *device, VmNetRxFilter *filter);
/* e1000-phy.c */
void e1000_phy_reset (E1000 *self);
void e1000_eeprom_fill (E1000 *self);
uint32_t e1000_eecd_read (E1000 *self);
void e1000_eecd_write (E1000 *self, uint32_t value);
void e1000_mdic_write (E1000 *self, uint32_t value);
void e1000_link_update (E1000 *self, bool up);
void e1000_start_negotiation (E1000 *self);
