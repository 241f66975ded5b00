/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State of the 8254x and the 82574, and what their files do for each other. */
#pragma once

#include "devices/net/e1000-regs.h"
#include "devices/net/eeprom93xx.h"
#include "devices/pci/pci.h"
#include "net/net.h"
#include "net/rss.h"

#define E1000_MMIO_SIZE   0x20000
#define E1000_EEPROM_N    64
#define E1000_QUEUES      2 /* of each direction, in the model that has most */

typedef struct E1000 E1000;

/* The context of segmentation or of check sums (3.3.6). */
typedef struct E1000Context {
  uint8_t  ipcss, ipcso, tucss, tucso, hdrlen, flags; /* flags: bit 0 TCP, bit 1 IPv4 */
  uint16_t ipcse, tucse, mss;
  uint32_t paylen;
} E1000Context;

/* A transmit queue, and its packet under way. */
typedef struct E1000Tx {
  E1000    *card;
  unsigned  index;
  bool      running;
  uint8_t  *data;
  uint32_t  data_size; /* VM_NET_FRAME_MAX */
  uint32_t  len;       /* bytes of the packet so far */
  E1000Context tso, csum;
  bool      tse, started;
  uint8_t   popts;
  bool      vlan, stamp;
  uint16_t  vlan_tag;
} E1000Tx;

/* A received frame as it comes off the wire: padded, with a check sequence, without a tag that was stripped. */
typedef struct E1000Frame {
  VmNetPacket packet;
  VmNetLayers layers;  /* of the frame before its tag was stripped */
  bool        has_layers;
  unsigned    stripped; /* bytes */
  uint16_t    tag;
  uint8_t     status, errors; /* of the legacy descriptor */
} E1000Frame;

/* What the chips do in ways of their own. */
typedef struct E1000Plain { /* registers that are as they were written: the bits kept */
  uint16_t first, last;
  uint32_t mask;
} E1000Plain;
typedef struct E1000Model {
  uint32_t causes; /* the bits of ICR */
  unsigned queues; /* of each direction */
  const E1000Plain *plain; /* more of these; ends with 0; NULL: none */
  uint32_t (*true_offset) (uint32_t offset); /* where a register is that has a second place; NULL: none has */
  void (*update) (E1000 *self, uint32_t causes); /* CAUSES came, or may be told now; 0: ICR or IMS lost some */
  void (*reset_mac) (E1000 *self); /* what the common part leaves */
  bool (*write) (E1000 *self, uint32_t offset, uint32_t value); /* false: see the common ones */
  bool (*read) (E1000 *self, uint32_t offset, uint32_t *value);
  uint32_t (*store) (E1000 *self, const VmNetPacket *packet, E1000Frame *frame); /* causes; 0: no room */
  void (*sent) (E1000 *self, E1000Tx *q); /* NULL: nothing */
} E1000Model;

struct E1000 {
  VmPciDevice parent;
  /* properties */
  VmNetCard card;
  bool      autonegotiation, mitigation, extra_mac_registers, migrate_tso_props, init_vet;
  /* wiring */
  const E1000Model *model;
  VmRegion  mmio, io;
  VmTimer   link_timer, int_timer, late_timer, tx_timer;
  E1000Tx  *sending;       /* its packet waits for the back end: tx goes on when it is gone */
  /* guest state */
  uint32_t  regs[E1000_MMIO_SIZE / 4 / 4]; /* the first 32 KiB */
  uint16_t  phy[32];
  VmEeprom93xx eeprom;
  uint32_t  io_addr;
  E1000Tx   tx[E1000_QUEUES];
  uint32_t  late_causes;   /* to be told when late_timer fires */
  int64_t   late_limit;    /* ns: not later than this */
};

static inline uint32_t *
e1000_reg (E1000 *self, uint32_t offset)
{
  return &self->regs[offset / 4];
}

/* e1000-core.c */
bool e1000_attach (E1000 *self, const E1000Model *model, GError **error);
void e1000_detach (E1000 *self);
void e1000_add_io (E1000 *self, unsigned n, uint32_t size);
void e1000_reset (VmDevice *dev, VmResetKind kind);
bool e1000_post_load (VmDevice *dev, GError **error);
void e1000_reset_mac (E1000 *self);
int64_t e1000_now (const E1000 *self);
void e1000_interrupt (E1000 *self, uint32_t causes);
/* The same after DELAY units of 1.024 us without another, at most after ABSOLUTE (0: as DELAY). */
void e1000_interrupt_late (E1000 *self, uint32_t causes, uint32_t delay, uint32_t absolute);
/* What was to be told later: now. */
uint32_t e1000_take_late (E1000 *self);
void e1000_count (E1000 *self, uint32_t offset, uint64_t n); /* 32 bits, stops at ones; the ...L of pairs: 64 bits */
extern const VmField e1000_state[];
/* e1000-tx.c */
void e1000_transmit (E1000 *self);
void e1000_tx_reset (E1000 *self);
void e1000_packet_sent (void *opaque);
/* e1000-rx.c */
bool e1000_receive (void *opaque, const VmNetPacket *packet);
bool e1000_rx_filter (VmObject *device, VmNetRxFilter *filter);
uint32_t e1000_rx_ring_size (const E1000 *self, unsigned queue);
uint32_t e1000_rx_free (const E1000 *self, unsigned queue); /* descriptors */
uint64_t e1000_rx_base (const E1000 *self, unsigned queue);
/* Into legacy descriptors with buffers of SIZE bytes; false: no room. */
bool e1000_rx_store (E1000 *self, unsigned queue, uint32_t size, const E1000Frame *frame);
uint32_t e1000_rx_buffer_size (const E1000 *self);
/* e1000-phy.c */
void e1000_phy_reset (E1000 *self);
void e1000_eeprom_fill (E1000 *self);
uint32_t e1000_eecd_read (E1000 *self);
void e1000_eecd_write (E1000 *self, uint32_t value);
void e1000_mdic_write (E1000 *self, uint32_t value);
void e1000_link_update (E1000 *self, bool up);
void e1000_start_negotiation (E1000 *self);
