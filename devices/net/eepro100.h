/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers and state of the 8255x (Intel 8255x 10/100 Mbps Ethernet Controller Family Open Source Software Developer
 * Manual, chapters 6 and 8), and what its files do for each other. */
#pragma once

#include "devices/net/eeprom93xx.h"
#include "devices/pci/pci.h"
#include "engine/base/base.h"
#include "net/net.h"

#define EEPRO_CSR_SIZE 64
#define EEPRO_CONFIG_SIZE 32

enum
{
  CSR_STATUS = 0x00,
  CSR_ACK = 0x01,
  CSR_COMMAND = 0x02,
  CSR_MASK = 0x03,
  CSR_POINTER = 0x04,
  CSR_PORT = 0x08,
  CSR_FLASH = 0x0c,
  CSR_EEPROM = 0x0e,
  CSR_MDI = 0x10,
  CSR_RX_COUNT = 0x14,
  CSR_FLOW = 0x18,
  CSR_PMDR = 0x1b,
  CSR_GENERAL = 0x1c,
  CSR_GENERAL_STATUS = 0x1d
};
enum
{
  ACK_FCP = 1 << 0,
  ACK_SWI = 1 << 2,
  ACK_MDI = 1 << 3,
  ACK_RNR = 1 << 4,
  ACK_CNA = 1 << 5,
  ACK_FR = 1 << 6,
  ACK_CX = 1 << 7
};
enum
{
  MASK_ALL = 1 << 0,
  MASK_SI = 1 << 1
};
enum
{
  CUC_NOP,
  CUC_START,
  CUC_RESUME,
  CUC_DUMP_ADDRESS = 4,
  CUC_DUMP,
  CUC_BASE,
  CUC_DUMP_RESET,
  CUC_STATIC_RESUME = 10
};
enum
{
  RUC_NOP,
  RUC_START,
  RUC_RESUME,
  RUC_REDIRECT,
  RUC_ABORT,
  RUC_HEADER_SIZE,
  RUC_BASE
};
enum
{
  CU_IDLE,
  CU_SUSPENDED,
  CU_ACTIVE
};
enum
{
  RU_IDLE,
  RU_SUSPENDED,
  RU_NO_RESOURCES,
  RU_READY = 4
};
enum
{
  PORT_RESET,
  PORT_SELF_TEST,
  PORT_SELECTIVE_RESET,
  PORT_DUMP
};
enum
{
  EE_SK = 1 << 0,
  EE_CS = 1 << 1,
  EE_DI = 1 << 2,
  EE_DO = 1 << 3
};
#define MDI_READY (1u << 28)
#define MDI_IE (1u << 29)

/* Of command blocks and receive frame descriptors. */
enum
{
  CB_C = 1 << 15,
  CB_OK = 1 << 13
};
enum
{
  CB_EL = 1 << 15,
  CB_S = 1 << 14,
  CB_I = 1 << 13,
  CB_SF = 1 << 3,
  CB_COMMAND = 7
};
enum
{
  CB_NOP,
  CB_ADDRESS,
  CB_CONFIGURE,
  CB_MULTICAST,
  CB_TRANSMIT,
  CB_MICROCODE,
  CB_DUMP,
  CB_DIAGNOSE,
  CB_IP_TRANSMIT = 9 /* with CB_SF in it */
};
/* Of the word that such a block has in place of its first buffer (manual, appendix B). */
enum
{
  IPCB_SCHEDULE = 2,
  IPCB_ACTIVATION = 3,
  IPCB_VLAN = 4,
  SCHEDULE_IP_SUM = 1 << 4,
  SCHEDULE_SUM = 1 << 5,
  SCHEDULE_LARGE = 1 << 7,
  ACTIVATION_VLAN = 1 << 1
};
enum
{
  RFD_VLAN = 1 << 12,
  RFD_NO_SPACE = 1 << 9,
  RFD_TYPE = 1 << 5,
  RFD_PARSED = 1 << 3,
  RFD_NO_MATCH = 1 << 2,
  RFD_NOT_IA = 1 << 1
};
enum
{
  RFD_EOF = 1 << 15,
  RFD_F = 1 << 14
};

/* What extended descriptors have behind the others' 16 bytes. */
enum
{
  RFDX_VLAN = 0,
  RFDX_PARSER = 2,
  RFDX_SUMS = 6,
  RFDX_SIZE = 16,
  PARSER_DONE = 1 << 3,
  PARSER_TCP = 0,
  PARSER_UDP = 1,
  PARSER_IP = 3,
  SUMS_IP_CHECKED = 1 << 0,
  SUMS_IP_GOOD = 1 << 1,
  SUMS_CHECKED = 1 << 4,
  SUMS_GOOD = 1 << 5
};

/* Counters, in the order they are dumped. */
enum
{
  STAT_TX_GOOD = 0,
  STAT_RX_GOOD = 9,
  STAT_RX_NO_RESOURCES = 12,
  STAT_RX_SHORT = 15,
  EEPRO_N_STATS = 20
};

typedef struct Eepro100Class
{
  VmPciClass parent;
  uint16_t eeprom_words;
  bool is_82557; /* without power management, and what came later */
  bool parses;   /* knows IP: check sums, segments, tags */
} Eepro100Class;

typedef struct Eepro100
{
  VmPciDevice parent;
  VmNetCard card; /* properties */
  /* wiring */
  VmRegion mmio, io, flash;
  VmTimer timer; /* a list of commands that never ends is gone on with */
  bool sending;  /* a packet waits for the back end: the list goes on when it is gone */
  bool in_cu;
  uint8_t *tx_data;
  uint32_t tx_data_size;
  /* guest state */
  uint8_t csr[EEPRO_CSR_SIZE];
  uint8_t cu, ru;          /* states */
  uint32_t cu_base, cu_at; /* the command block that is next, or that it stands at when suspended */
  uint32_t ru_base, ru_at; /* the descriptor for the next frame */
  uint32_t stat_address;
  uint8_t config[EEPRO_CONFIG_SIZE];
  uint8_t ia[6], hash[8];
  uint32_t stats[EEPRO_N_STATS];
  uint16_t phy[32];
  VmEeprom93xx eeprom;
} Eepro100;

/* eepro100.c */
void eepro100_interrupt (Eepro100 *self, uint8_t causes);
/* eepro100-cu.c */
void eepro100_cu_command (Eepro100 *self, unsigned command, uint32_t pointer);
void eepro100_cu_run (Eepro100 *self);
void eepro100_cu_reset (Eepro100 *self);
void eepro100_configure_defaults (Eepro100 *self);
void eepro100_dump (Eepro100 *self, uint32_t address); /* internal registers */
/* eepro100-ru.c */
void eepro100_ru_command (Eepro100 *self, unsigned command, uint32_t pointer);
bool eepro100_receive (void *opaque, const VmNetPacket *packet);
bool eepro100_take (Eepro100 *self, const VmNetPacket *packet); /* whether it comes from the wire or not */
bool eepro100_rx_filter (VmObject *device, VmNetRxFilter *filter);

static inline bool
eepro100_parses (const Eepro100 *self)
{
  return ((const Eepro100Class *) vm_type_klass (self->parent.parent.parent.type))->parses;
}

static inline bool
eepro100_loops (const Eepro100 *self)
{
  return self->config[10] >> 6 != 0;
}
