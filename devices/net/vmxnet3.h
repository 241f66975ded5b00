/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware's paravirtual network card, first revision: what driver and device share, as the interface's published
 * definitions lay it out, and the state. All numbers in memory are little endian. */
#pragma once

#include "devices/pci/pci.h"
#include "net/net.h"
#include "net/rss.h"

#define VMXNET3_TX_QUEUES 8
#define VMXNET3_RX_QUEUES 16
#define VMXNET3_INTRS     25
#define VMXNET3_MULTICAST 256 /* addresses kept; with more all multicast passes */
#define VMXNET3_MAGIC     3133079265u

enum { /* BAR 0: eight bytes for each vector or queue */
  VMXNET3_IMR = 0, VMXNET3_TXPROD = 0x600, VMXNET3_RXPROD = 0x800, VMXNET3_RXPROD2 = 0xa00,
};
enum { /* BAR 1 */
  VMXNET3_VRRS = 0x00, VMXNET3_UVRS = 0x08, VMXNET3_DSAL = 0x10, VMXNET3_DSAH = 0x18, VMXNET3_CMD = 0x20,
  VMXNET3_MACL = 0x28, VMXNET3_MACH = 0x30, VMXNET3_ICR = 0x38, VMXNET3_ECR = 0x40,
};
enum { /* commands: set, get */
  CMD_ACTIVATE = 0xcafe0000, CMD_QUIESCE, CMD_RESET, CMD_RX_MODE, CMD_MAC_FILTERS, CMD_VLAN_FILTERS, CMD_RSS, CMD_IML,
  CMD_PMCFG, CMD_FEATURE,
  CMD_QUEUE_STATUS = 0xf00d0000, CMD_STATS, CMD_LINK, CMD_MAC_LOW, CMD_MAC_HIGH, CMD_DID_LOW, CMD_DID_HIGH,
  CMD_EXTRA_INFO, CMD_CONF_INTR, CMD_RING_INFO,
};
enum { /* the shared area: offsets */
  SHARED_MAGIC = 0, SHARED_FEATURES = 24, SHARED_QUEUES = 40, SHARED_QUEUES_LEN = 52, SHARED_MTU = 56, SHARED_MAX_SG = 60,
  SHARED_N_TX = 62, SHARED_N_RX = 63, SHARED_AUTO_MASK = 80, SHARED_N_INTRS = 81, SHARED_EVENT_INTR = 82,
  SHARED_RX_MODE = 120, SHARED_MF_LEN = 124, SHARED_MF = 128, SHARED_VLANS = 136, SHARED_RSS_LEN = 652, SHARED_RSS = 656,
  SHARED_SIZE = 696, SHARED_ECR = 696,
};
enum { /* a queue's description */
  QUEUE_UPDATE = 0, QUEUE_RING = 16, QUEUE_RING2 = 24, QUEUE_COMP = 32, QUEUE_RING_N = 56, QUEUE_RING2_N = 60,
  QUEUE_COMP_N = 64, QUEUE_INTR = 72, QUEUE_STOPPED = 80, QUEUE_ERROR = 84, QUEUE_STATS = 88, QUEUE_SIZE = 256,
};
enum { FEATURE_RXCSUM = 1, FEATURE_RSS = 2, FEATURE_RXVLAN = 4, FEATURE_LRO = 8 };
enum { MODE_UCAST = 1, MODE_MCAST = 2, MODE_BCAST = 4, MODE_ALL_MULTI = 8, MODE_PROMISC = 16 };
enum { EVENT_RQERR = 1, EVENT_TQERR = 2, EVENT_LINK = 4 };
enum { ERROR_NOEOP = 0x80000000u, ERROR_BIG = 0x80000002u };
enum { /* dwords 2 and 3 of a descriptor to send */
  TX_LEN = 0x3fff, TX_GEN = 1 << 14, TX_HLEN = 0x3ff, TX_OM = 3 << 10, TX_OM_CSUM = 2 << 10, TX_OM_TSO = 3 << 10,
  TX_EOP = 1 << 12, TX_CQ = 1 << 13, TX_TI = 1 << 15,
};
enum { RX_LEN = 0x3fff, RX_BODY = 1 << 14, RX_GEN = 1u << 31 }; /* dword 2 of one to receive into */
enum { /* dwords 0, 2 and 3 of a completion */
  DONE_EOP = 1 << 14, DONE_SOP = 1 << 15, DONE_CNC = 1 << 30, DONE_TS = 1 << 15, DONE_TUC = 1 << 16, DONE_UDP = 1 << 17,
  DONE_TCP = 1 << 18, DONE_IPC = 1 << 19, DONE_V6 = 1 << 20, DONE_V4 = 1 << 21, DONE_FRAGMENT = 1 << 22, DONE_FCS = 1 << 23,
  DONE_RX = 3 << 24, DONE_GEN = 1u << 31,
};
enum { /* counters, each for packets and bytes; the last two for packets */
  STAT_LARGE = 0, STAT_UNICAST = 2, STAT_MULTICAST = 4, STAT_BROADCAST = 6,
  STAT_TX_ERROR = 8, STAT_TX_DISCARD = 9, STAT_RX_NO_BUFFER = 8, STAT_RX_ERROR = 9, STATS_N = 10,
};

typedef struct Vmxnet3 Vmxnet3;

typedef struct Vmxnet3Ring {
  uint64_t base;
  uint32_t size, next; /* descriptors of 16 bytes */
  uint8_t  gen;        /* of those that are the device's (completions: that are new) */
} Vmxnet3Ring;

typedef struct Vmxnet3Tx {
  Vmxnet3 *card;
  unsigned index;
  bool     running;
  uint8_t *data;       /* the packet under way */
  uint32_t data_size;
  /* guest state */
  Vmxnet3Ring ring, comp;
  uint8_t  intr;
  bool     started, told; /* a packet has begun; its completion is wanted */
  bool     stopped;
  uint32_t len, pieces, how[2]; /* dwords 2 and 3 of its first descriptor */
  uint32_t error;
  uint64_t stats[STATS_N];
} Vmxnet3Tx;

typedef struct Vmxnet3Rx {
  Vmxnet3Ring ring[2], comp;
  uint8_t  intr;
  bool     waiting;    /* the driver was asked to say when there are buffers */
  uint64_t stats[STATS_N];
} Vmxnet3Rx;

struct Vmxnet3 {
  VmPciDevice parent;
  /* properties */
  VmNetCard card;
  bool      old_msi_offsets, disable_pcie;
  /* wiring */
  VmRegion  queues, registers, msix;
  VmTimer   tx_timer;
  Vmxnet3Tx *sending;
  /* guest state */
  bool      active, auto_mask;
  uint32_t  result;     /* of the last command */
  uint32_t  dsal;
  uint64_t  shared, queue_table;
  uint64_t  features;
  uint8_t   mac[6];
  uint32_t  n_tx, n_rx, event_intr;
  uint32_t  masked, pending, asserted; /* a bit for each vector */
  uint32_t  rx_mode;
  uint32_t  vlans[128];
  uint8_t   multicast[VMXNET3_MULTICAST * 6];
  uint32_t  n_multicast;
  bool      all_multicast; /* there were too many */
  uint32_t  hash_types, hash_n;
  uint8_t   hash_key[VM_NET_HASH_KEY], hash_table[128];
  Vmxnet3Tx tx[VMXNET3_TX_QUEUES];
  Vmxnet3Rx rx[VMXNET3_RX_QUEUES];
};

static inline void
vmxnet3_ring_step (Vmxnet3Ring *r)
{
  if (++r->next >= r->size)
    {
      r->next = 0;
      r->gen ^= 1;
    }
}

/* vmxnet3.c */
void vmxnet3_interrupt (Vmxnet3 *s, unsigned vector);
void vmxnet3_event (Vmxnet3 *s, uint32_t event);
/* The next completion: DWORDS, of which the last one's generation is the ring's. */
void vmxnet3_complete (Vmxnet3 *s, Vmxnet3Ring *comp, uint32_t dwords[4]);
/* One packet of LEN bytes to or from MAC. */
void vmxnet3_count (uint64_t *stats, const uint8_t *mac, size_t len);
uint64_t vmxnet3_queue_at (const Vmxnet3 *s, bool rx, unsigned index);
/* vmxnet3-tx.c */
void vmxnet3_transmit (Vmxnet3Tx *q);
void vmxnet3_tx_timer (void *card);
void vmxnet3_tx_stop (Vmxnet3 *s);
/* vmxnet3-rx.c */
bool vmxnet3_receive (void *card, const VmNetPacket *packet);
bool vmxnet3_rx_filter (VmObject *device, VmNetRxFilter *filter);
void vmxnet3_rx_ready (Vmxnet3 *s, unsigned queue);
