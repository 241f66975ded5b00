/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers and state of the RTL8139C+ (Realtek data sheet 1.6, chapters 6 and 9), and what its files do for each other. */
#pragma once

#include "devices/net/eeprom93xx.h"
#include "devices/net/registers.h"
#include "engine/base/base.h"
#include "net/net.h"

enum {
  RTL_IDR = 0x00, RTL_MAR = 0x08, RTL_TSD = 0x10, RTL_TSAD = 0x20, RTL_RBSTART = 0x30, RTL_CR = 0x37, RTL_CAPR = 0x38,
  RTL_CBR = 0x3a, RTL_IMR = 0x3c, RTL_ISR = 0x3e, RTL_TCR = 0x40, RTL_RCR = 0x44, RTL_TCTR = 0x48, RTL_MPC = 0x4c,
  RTL_9346CR = 0x50, RTL_CONFIG0 = 0x51, RTL_CONFIG1 = 0x52, RTL_TIMERINT = 0x54, RTL_MSR = 0x58, RTL_CONFIG3 = 0x59,
  RTL_CONFIG4 = 0x5a, RTL_MULINT = 0x5c, RTL_RERID = 0x5e, RTL_TSAD_ALL = 0x60, RTL_BMCR = 0x62, RTL_BMSR = 0x64,
  RTL_ANAR = 0x66, RTL_ANLPAR = 0x68, RTL_ANER = 0x6a, RTL_NWAYTR = 0x70, RTL_CSCR = 0x74, RTL_CONFIG5 = 0xd8,
  RTL_TPPOLL = 0xd9, RTL_CPCR = 0xe0, RTL_RDSAR = 0xe4, RTL_ETTHR = 0xec,
  /* in the place of TSD and TSAD while CPCR_TX is set */
  RTL_DTCCR = 0x10, RTL_TNPDS = 0x20, RTL_THPDS = 0x28,
};

enum { CR_BUFE = 1 << 0, CR_TE = 1 << 2, CR_RE = 1 << 3, CR_RST = 1 << 4 };
enum {
  ISR_ROK = 1 << 0, ISR_RER = 1 << 1, ISR_TOK = 1 << 2, ISR_TER = 1 << 3, ISR_RXOVW = 1 << 4, ISR_LINK = 1 << 5,
  ISR_FOVW = 1 << 6, ISR_TDU = 1 << 7, ISR_SW = 1 << 8, ISR_LENCHG = 1 << 13, ISR_TIMEOUT = 1 << 14, ISR_SERR = 1 << 15,
};
enum { TSD_OWN = 1 << 13, TSD_TOK = 1 << 15, TSD_SIZE = 0x1fff, TSD_WRITABLE = 0x003f3fff };
enum { TCR_CRC = 1 << 16, TCR_LOOPBACK = 3 << 17 };
enum { RCR_AAP = 1 << 0, RCR_APM = 1 << 1, RCR_AM = 1 << 2, RCR_AB = 1 << 3, RCR_AR = 1 << 4, RCR_AER = 1 << 5,
       RCR_WRAP = 1 << 7 };
enum { EECR_DO = 1 << 0, EECR_DI = 1 << 1, EECR_SK = 1 << 2, EECR_CS = 1 << 3,
       EECR_MODE = 3 << 6, EECR_LOAD = 1 << 6, EECR_PROGRAM = 2 << 6, EECR_CONFIG = 3 << 6 };
enum { MSR_LINKB = 1 << 2, MSR_SPEED_10 = 1 << 3 };
enum { BMCR_DUPLEX = 1 << 8, BMCR_RESTART = 1 << 9, BMCR_ANE = 1 << 12, BMCR_SPEED = 1 << 13, BMCR_RESET = 1 << 15 };
enum { BMSR_LINK = 1 << 2, BMSR_AN_DONE = 1 << 5 };
enum { TPPOLL_SWINT = 1 << 0, TPPOLL_NORMAL = 1 << 6, TPPOLL_HIGH = 1 << 7 };
enum { CPCR_TX = 1 << 0, CPCR_RX = 1 << 1, CPCR_DAC = 1 << 4, CPCR_RXCHKSUM = 1 << 5, CPCR_RXVLAN = 1 << 6 };

/* What stands before a frame in the ring of C mode. */
enum { RXH_ROK = 1 << 0, RXH_LONG = 1 << 3, RXH_RUNT = 1 << 4, RXH_BAR = 1 << 13, RXH_PAM = 1 << 14, RXH_MAR = 1 << 15 };

/* The first word of C+ descriptors, and the second. */
#define CP_OWN        (1u << 31)
#define CP_EOR        (1u << 30)
#define CP_FS         (1u << 29)
#define CP_LS         (1u << 28)
enum {
  CPTX_LGSEN = 1 << 27, CPTX_IPCS = 1 << 18, CPTX_UDPCS = 1 << 17, CPTX_TCPCS = 1 << 16,
  CPTX2_TAGC = 1 << 17,
  CPRX_MAR = 1 << 26, CPRX_PAM = 1 << 25, CPRX_BAR = 1 << 24, CPRX_PID_SHIFT = 16, CPRX_IPF = 1 << 15,
  CPRX_UDPF = 1 << 14, CPRX_TCPF = 1 << 13, CPRX_SIZE = 0x1fff,
  CPRX2_TAVA = 1 << 16,
};
enum { CPRX_PID_TCP = 1, CPRX_PID_UDP = 2, CPRX_PID_IP = 3 };

typedef struct Rtl8139Tally { /* 6.2.3, as it is dumped */
  uint64_t tx_ok, rx_ok, tx_errors;
  uint32_t rx_errors, tx_1_collision, tx_collisions, rx_multicast;
  uint64_t rx_physical, rx_broadcast;
  uint16_t rx_missed, frame_align, tx_abort, tx_underrun;
} Rtl8139Tally;

typedef struct Rtl8139 {
  VmPciDevice parent;
  VmNetCard card;        /* properties */
  /* wiring */
  VmNetRegisters registers;
  VmTimer   timer;       /* TimerInt */
  VmTimer   tx_timer;    /* a ring that never ends is gone on with */
  bool      sending;     /* a packet waits for the back end: tx goes on when it is gone */
  bool      in_tx;
  uint8_t  *tx_data;
  uint32_t  tx_data_size;
  /* guest state */
  uint8_t   regs[256];
  VmEeprom93xx eeprom;
  int64_t   timer_base;  /* ns when TCTR was 0 */
  uint8_t   tx_next;     /* C mode: the descriptor whose turn it is */
  uint8_t   tx_index[2], rx_index; /* C+: in the rings of normal and high priority */
  uint32_t  tx_len;      /* C+: of the packet under way */
  uint32_t  tx_first[2]; /* words of its first descriptor */
  bool      tx_started;
  Rtl8139Tally tally;
} Rtl8139;

static inline uint16_t
rtl8139_reg16 (const Rtl8139 *self, unsigned reg)
{
  return vm_load_le16 (self->regs + reg);
}
static inline uint32_t
rtl8139_reg32 (const Rtl8139 *self, unsigned reg)
{
  return vm_load_le32 (self->regs + reg);
}
static inline bool
rtl8139_loopback (const Rtl8139 *self)
{
  return (rtl8139_reg32 (self, RTL_TCR) & TCR_LOOPBACK) == TCR_LOOPBACK;
}

/* rtl8139.c */
void rtl8139_interrupt (Rtl8139 *self, uint16_t causes);
/* rtl8139-tx.c */
void rtl8139_transmit (Rtl8139 *self);
void rtl8139_tx_reset (Rtl8139 *self);
void rtl8139_dump_tally (Rtl8139 *self);
/* rtl8139-rx.c */
bool rtl8139_receive (void *opaque, const VmNetPacket *packet);
bool rtl8139_take (Rtl8139 *self, const VmNetPacket *packet); /* whether it comes from the wire or not */
bool rtl8139_rx_filter (VmObject *device, VmNetRxFilter *filter);
bool rtl8139_buffer_empty (const Rtl8139 *self);
