/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DECchip 21143 Fast Ethernet (Hardware Reference Manual, EC-QWC4E): registers, descriptors, state. */
#pragma once

#include "devices/net/eeprom93xx.h"
#include "devices/net/registers.h"
#include "net/net.h"

#define TULIP_SETUP 192  /* bytes of a setup frame */
#define TULIP_FRAME 2560 /* a longer one the receive watchdog cuts off */

enum { /* CSR0, bus mode */
  CSR0_SWR = 1 << 0, CSR0_DSL = 31 << 2, /* dwords between descriptors */
};
enum { /* CSR5, status; CSR7, interrupt enable */
  CSR5_TI = 1 << 0, CSR5_TPS = 1 << 1, CSR5_TU = 1 << 2, CSR5_TJT = 1 << 3, CSR5_LNP = 1 << 4, CSR5_UNF = 1 << 5,
  CSR5_RI = 1 << 6, CSR5_RU = 1 << 7, CSR5_RPS = 1 << 8, CSR5_RWT = 1 << 9, CSR5_ETI = 1 << 10, CSR5_GTE = 1 << 11,
  CSR5_LNF = 1 << 12, CSR5_FBE = 1 << 13, CSR5_ERI = 1 << 14, CSR5_AIS = 1 << 15, CSR5_NIS = 1 << 16, CSR5_RS = 7 << 17,
  CSR5_TS = 7 << 20, CSR5_GPI = 1 << 26, CSR5_LC = 1 << 27,
  CSR5_RS_RUNNING = 3 << 17, CSR5_RS_SUSPENDED = 4 << 17, CSR5_TS_RUNNING = 1 << 20, CSR5_TS_SUSPENDED = 6 << 20,
  CSR5_NORMAL = CSR5_TI | CSR5_TU | CSR5_RI | CSR5_GTE | CSR5_ERI,
  CSR5_ABNORMAL = CSR5_TPS | CSR5_TJT | CSR5_LNP | CSR5_UNF | CSR5_RU | CSR5_RPS | CSR5_RWT | CSR5_ETI | CSR5_LNF | CSR5_FBE
                  | CSR5_GPI | CSR5_LC,
};
enum { /* CSR6, operation mode */
  CSR6_HP = 1 << 0, CSR6_SR = 1 << 1, CSR6_HO = 1 << 2, CSR6_PB = 1 << 3, CSR6_IF = 1 << 4, CSR6_PR = 1 << 6,
  CSR6_PM = 1 << 7, CSR6_OM = 3 << 10, CSR6_ST = 1 << 13, CSR6_PS = 1 << 18, CSR6_TTM = 1 << 22, CSR6_RA = 1 << 30,
};
enum { /* CSR9, serial ROM and MII management */
  CSR9_CS = 1 << 0, CSR9_CLK = 1 << 1, CSR9_DI = 1 << 2, CSR9_DO = 1 << 3, CSR9_SR = 1 << 11, CSR9_MDC = 1 << 16,
  CSR9_MDO = 1 << 17, CSR9_MII = 1 << 18, CSR9_MDI = 1 << 19,
};
enum { CSR11_CON = 1 << 16 };
enum { DES0_OWN = 1u << 31 };
enum { /* RDES0, RDES1 */
  RDES0_FF = 1 << 30, RDES0_ES = 1 << 15, RDES0_DE = 1 << 14, RDES0_RF = 1 << 11, RDES0_MF = 1 << 10, RDES0_FS = 1 << 9,
  RDES0_LS = 1 << 8, RDES0_TL = 1 << 7, RDES0_FT = 1 << 5,
  DES1_END = 1 << 25, DES1_CHAINED = 1 << 24,
};
enum { /* TDES1 */
  TDES1_IC = 1u << 31, TDES1_LS = 1 << 30, TDES1_FS = 1 << 29, TDES1_FT1 = 1 << 28, TDES1_SET = 1 << 27, TDES1_AC = 1 << 26,
  TDES1_DPD = 1 << 23, TDES1_FT0 = 1 << 22,
};

/* The wires of MII management (IEEE 802.3, 22.2.4.5). */
typedef struct TulipMdio {
  uint8_t  phase, bits; /* bits of the phase so far */
  bool     clock, out;
  uint16_t command, data;
} TulipMdio;

typedef struct Tulip {
  VmPciDevice parent;
  /* properties */
  VmNetCard card;
  /* wiring */
  VmNetRegisters registers;
  VmTimer   tx_timer, rx_timer, gp_timer, stop_timer;
  bool      sending, running;
  uint8_t  *tx_data;
  uint32_t  tx_data_size;
  /* guest state */
  uint32_t  csr[16];
  uint32_t  stopped;      /* CSR5_TPS and CSR5_RPS that stop_timer will tell */
  uint32_t  rx_at, tx_at; /* the current descriptors */
  uint32_t  tx_len, tx_how; /* of the frame under way: bytes, its first TDES1 */
  uint8_t   setup[TULIP_SETUP];
  VmEeprom93xx srom;
  TulipMdio mdio;
  uint16_t  phy[32];
} Tulip;

typedef struct TulipDesc {
  uint32_t des[4];
} TulipDesc;

/* tulip.c */
void tulip_interrupt (Tulip *s, uint32_t causes);
void tulip_set_state (Tulip *s, uint32_t mask, uint32_t state); /* of CSR5_RS or CSR5_TS */
/* tulip-io.c */
void tulip_transmit (void *card);
void tulip_tx_reset (Tulip *s);
bool tulip_receive (void *card, const VmNetPacket *packet);
bool tulip_rx_filter (VmObject *device, VmNetRxFilter *filter);
/* tulip-phy.c */
void tulip_srom_fill (Tulip *s);
void tulip_phy_reset (Tulip *s);
void tulip_phy_link (Tulip *s, bool up);
uint32_t tulip_csr9_read (const Tulip *s);
void tulip_csr9_write (Tulip *s, uint32_t value);
