/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The LSI53C895A and its forebear 53C810: between registers and SCRIPTS processor. */
#pragma once

#include "devices/pci/pci.h"
#include "devices/scsi/link.h"

#define LSI_RAM_SIZE 8192u

enum { /* registers; those of several bytes are little-endian */
  SCNTL0 = 0x00, SCNTL1 = 0x01, SCNTL2 = 0x02, SCNTL3 = 0x03, SCID = 0x04, SXFER = 0x05, SDID = 0x06, GPREG = 0x07,
  SFBR = 0x08, SOCL = 0x09, SSID = 0x0a, SBCL = 0x0b, DSTAT = 0x0c, SSTAT0 = 0x0d, SSTAT1 = 0x0e, SSTAT2 = 0x0f,
  DSA = 0x10, ISTAT0 = 0x14, ISTAT1 = 0x15, MBOX0 = 0x16, MBOX1 = 0x17, CTEST0 = 0x18, CTEST1 = 0x19, CTEST2 = 0x1a,
  CTEST3 = 0x1b, TEMP = 0x1c, DFIFO = 0x20, CTEST4 = 0x21, CTEST5 = 0x22, CTEST6 = 0x23, DBC = 0x24, DCMD = 0x27,
  DNAD = 0x28, DSP = 0x2c, DSPS = 0x30, SCRATCHA = 0x34, DMODE = 0x38, DIEN = 0x39, SBR = 0x3a, DCNTL = 0x3b,
  ADDER = 0x3c, SIEN0 = 0x40, SIEN1 = 0x41, SIST0 = 0x42, SIST1 = 0x43, SLPAR = 0x44, MACNTL = 0x46, GPCNTL = 0x47,
  STIME0 = 0x48, STIME1 = 0x49, RESPID0 = 0x4a, RESPID1 = 0x4b, STEST0 = 0x4c, STEST1 = 0x4d, STEST2 = 0x4e,
  STEST3 = 0x4f, SIDL = 0x50, STEST4 = 0x52, SODL = 0x54, CCNTL0 = 0x56, CCNTL1 = 0x57, SBDL = 0x58, SCRATCHB = 0x5c,
  SCRATCHC = 0x60, MMRS = 0xa0, MMWS = 0xa4, SFS = 0xa8, DRS = 0xac, SBMS = 0xb0, DBMS = 0xb4, DNAD64 = 0xb8,
  PMJAD1 = 0xc0, PMJAD2 = 0xc4, RBC = 0xc8, UA = 0xcc, ESA = 0xd0, IA = 0xd4, SBC = 0xd8, CSBC = 0xdc,
};
enum { SCNTL1_CON = 0x10, SCNTL1_RST = 0x08 };
enum { SCNTL2_SDU = 0x80 };
enum { SCID_RRE = 0x40 };
enum { DSTAT_DFE = 0x80, DSTAT_BF = 0x20, DSTAT_ABRT = 0x10, DSTAT_SSI = 0x08, DSTAT_SIR = 0x04, DSTAT_IID = 0x01 };
enum { ISTAT0_ABRT = 0x80, ISTAT0_SRST = 0x40, ISTAT0_SIGP = 0x20, ISTAT0_SEM = 0x10, ISTAT0_CON = 0x08,
       ISTAT0_INTF = 0x04, ISTAT0_SIP = 0x02, ISTAT0_DIP = 0x01 };
enum { ISTAT1_SRUN = 0x02, ISTAT1_SIRQD = 0x01 };
enum { DMODE_MAN = 0x01 };
enum { DCNTL_SSM = 0x10, DCNTL_STD = 0x04, DCNTL_IRQD = 0x02 };
enum { CTEST2_SIGP = 0x40, CTEST2_PCICIE = 0x08 };
enum { SIST0_MA = 0x80, SIST0_CMP = 0x40, SIST0_SEL = 0x20, SIST0_RSL = 0x10, SIST0_SGE = 0x08, SIST0_UDC = 0x04,
       SIST0_RST = 0x02, SIST0_PAR = 0x01 };
enum { SIST1_STO = 0x04, SIST1_GEN = 0x02, SIST1_HTH = 0x01 };
enum { CCNTL0_ENPMJ = 0x80, CCNTL0_PMJCTL = 0x40, CCNTL0_ENNDJ = 0x20 };
enum { CCNTL1_XTIMOD = 0x04, CCNTL1_EXTIBMV = 0x02, CCNTL1_EXDBMV = 0x01 };

typedef enum LsiWait { /* what the SCRIPTS processor waits for */
  LSI_WAIT_NONE,
  LSI_WAIT_AGAIN,    /* the same instruction is tried again when the bus changes */
  LSI_WAIT_MOVE,     /* the rest of a block move */
  LSI_WAIT_N,
} LsiWait;

typedef struct Lsi {
  VmPciDevice parent;
  VmScsiLink  link;
  VmRegion    io, mmio, ram_region;
  VmTimer     run_timer, gen_timer;
  bool        inside;        /* the processor is at work further up the stack */
  /* guest state */
  uint8_t     reg[256];
  uint8_t     ram[LSI_RAM_SIZE];
  bool        running, carry, select_failed;
  bool        connected;     /* and nobody has waited for the disconnection */
  uint8_t     wait;          /* LsiWait */
  uint32_t    insn;          /* address of the instruction */
  uint64_t    move_addr;     /* of the next byte of a block move; the count is DBC */
  uint32_t    move_entry;    /* where its count and address were */
} Lsi;

static inline uint32_t
lsi_reg32 (const Lsi *s, unsigned reg)
{
  return vm_load_le32 (s->reg + reg);
}
static inline void
lsi_set_reg32 (Lsi *s, unsigned reg, uint32_t value)
{
  vm_store_le32 (s->reg + reg, value);
}

/* Registers as the CPU and SCRIPTS see them, a byte each. */
uint8_t lsi_read_reg (Lsi *s, unsigned reg);
void    lsi_write_reg (Lsi *s, unsigned reg, uint8_t value);
/* Memory as the chip sees it: its own registers and RAM are reached inside. False: a bus fault was raised. */
bool    lsi_dma (Lsi *s, uint64_t addr, void *buf, uint32_t len, bool to_memory);

/* Interrupts; those that are fatal stop the processor. */
void lsi_raise_dma (Lsi *s, uint8_t bits);
void lsi_raise_scsi (Lsi *s, uint8_t sist0, uint8_t sist1);
void lsi_update_irq (Lsi *s);

/* Starts at DSP, goes on after a wait. */
void lsi_start (Lsi *s);
void lsi_run (Lsi *s);
