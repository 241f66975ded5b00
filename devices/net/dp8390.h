/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The chip of NE2000 cards (National Semiconductor DP8390D data sheet) with the card's memory and ports around it; as
 * RTL8029AS (Realtek data sheet) also with that chip's page 3. The DP8390 itself has no way to tell whether there is a
 * link: its transceiver is at the other end of a cable. The RTL8029AS shows in page 3 what its link test finds. */
#pragma once

#include "devices/net/eeprom93xx.h"
#include "engine/base/base.h"
#include "engine/bus/device.h"
#include "net/net.h"

#define DP8390_PORTS 32
#define DP8390_RAM 0x4000u /* bytes, and where they begin */

typedef struct Dp8390
{
  VmNetCard card; /* properties */
  /* wiring */
  VmIrq irq;
  bool realtek; /* an RTL8029AS */
  uint8_t burst; /* frames since the driver last took note of any */
  bool sending; /* the frame in tx waits for the back end */
  uint8_t tx[DP8390_RAM];
  /* guest state */
  uint8_t cr, isr, imr, dcr, tcr, tsr, rcr, rsr;
  uint8_t pstart, pstop, bnry, curr, tpsr; /* pages */
  uint16_t tbcr, rsar, rbcr, crda;         /* CRDA: where remote DMA is */
  uint8_t par[6], mar[8];
  uint8_t counters[3];      /* frame alignment, check sequence, missed */
  uint8_t fifo[8], fifo_at; /* what a loopback leaves */
  uint8_t next_page;        /* of the frame that "send packet" reads */
  uint8_t page3[16];        /* CONFIG0 to 3, 9346CR, and so on */
  uint8_t prom[32], ram[DP8390_RAM];
  VmEeprom93xx eeprom;
} Dp8390;

extern const VmField dp8390_state[];

/* In realize and unrealize of DEV. OPS: receive is dp8390_receive(). */
bool dp8390_attach (Dp8390 *self, VmDevice *dev, const VmNetCardOps *ops, VmIrq irq, GError **error);
void dp8390_detach (Dp8390 *self);
void dp8390_reset (Dp8390 *self);
void dp8390_post_load (Dp8390 *self);
bool dp8390_receive (void *opaque, const VmNetPacket *packet);
void dp8390_rx_filter (const Dp8390 *self, VmNetRxFilter *filter);

extern const VmRegionOps dp8390_ops; /* opaque: the chip; DP8390_PORTS */
