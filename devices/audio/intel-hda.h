/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The High Definition Audio controllers of the ICH6 and ICH9: registers and state. */
#pragma once

#include "devices/audio/hda.h"
#include "devices/pci/pci.h"

#define HDA_STREAMS_IN 4u
#define HDA_STREAMS_OUT 4u
#define HDA_STREAMS (HDA_STREAMS_IN + HDA_STREAMS_OUT)

enum
{ /* registers (3.3) */
  HDA_GCAP = 0x00,
  HDA_OUTPAY = 0x04,
  HDA_GCTL = 0x08,
  HDA_WAKEEN = 0x0c,
  HDA_STATESTS = 0x0e,
  HDA_GSTS = 0x10,
  HDA_OUTSTRMPAY = 0x18,
  HDA_INTCTL = 0x20,
  HDA_INTSTS = 0x24,
  HDA_WALCLK = 0x30,
  HDA_SSYNC_ICH = 0x34,
  HDA_SSYNC = 0x38,
  HDA_CORBLBASE = 0x40,
  HDA_CORBUBASE = 0x44,
  HDA_CORBWP = 0x48,
  HDA_CORBRP = 0x4a,
  HDA_CORBCTL = 0x4c,
  HDA_CORBSTS = 0x4d,
  HDA_CORBSIZE = 0x4e,
  HDA_RIRBLBASE = 0x50,
  HDA_RIRBUBASE = 0x54,
  HDA_RIRBWP = 0x58,
  HDA_RINTCNT = 0x5a,
  HDA_RIRBCTL = 0x5c,
  HDA_RIRBSTS = 0x5d,
  HDA_RIRBSIZE = 0x5e,
  HDA_ICOI = 0x60,
  HDA_ICII = 0x64,
  HDA_ICIS = 0x68,
  HDA_DPLBASE = 0x70,
  HDA_DPUBASE = 0x74,
  HDA_SD = 0x80,
  HDA_SD_STEP = 0x20,
  HDA_SD_CTL = 0x00,
  HDA_SD_STS = 0x03,
  HDA_SD_LPIB = 0x04,
  HDA_SD_CBL = 0x08,
  HDA_SD_LVI = 0x0c,
  HDA_SD_FIFOS = 0x10,
  HDA_SD_FMT = 0x12,
  HDA_SD_BDPL = 0x18,
  HDA_SD_BDPU = 0x1c,
  HDA_ALIAS = 0x2000, /* the wall clock and the positions once more (3.3.43) */
};
enum
{
  GCTL_CRST = 1 << 0,
  GCTL_FCNTRL = 1 << 1,
  GCTL_UNSOL = 1 << 8
};
enum
{
  GSTS_FSTS = 1 << 1
};
enum
{
  INT_GLOBAL = 31,
  INT_CONTROLLER = 30
};
enum
{
  CORBCTL_MEIE = 1 << 0,
  CORBCTL_RUN = 1 << 1,
  CORBSTS_MEI = 1 << 0,
  CORBRP_RST = 1 << 15
};
enum
{
  RIRBCTL_INT = 1 << 0,
  RIRBCTL_RUN = 1 << 1,
  RIRBCTL_OIC = 1 << 2,
  RIRBWP_RST = 1 << 15
};
enum
{
  RIRBSTS_INT = 1 << 0,
  RIRBSTS_OIS = 1 << 2
};
enum
{
  ICIS_ICB = 1 << 0,
  ICIS_IRV = 1 << 1
};
enum
{
  SDCTL_SRST = 1 << 0,
  SDCTL_RUN = 1 << 1,
  SDCTL_IOCE = 1 << 2,
  SDCTL_FEIE = 1 << 3,
  SDCTL_DEIE = 1 << 4,
  SDCTL_TAG_SHIFT = 20
};
enum
{
  SDSTS_BCIS = 1 << 2,
  SDSTS_FIFOE = 1 << 3,
  SDSTS_DESE = 1 << 4,
  SDSTS_FIFORDY = 1 << 5
};
enum
{
  BDL_IOC = 1 << 0
};

typedef struct HdaStream
{
  /* registers */
  uint32_t ctl, lpib, cbl, bdpl, bdpu; /* CTL: 24 bits */
  uint16_t lvi, fmt;
  uint8_t sts;
  /* where it is in the list of buffers */
  uint8_t entry;
  bool loaded; /* the next three are of that entry */
  uint64_t addr;
  uint32_t len, flags;
  uint32_t offset; /* in it, below LEN */
} HdaStream;

typedef struct IntelHda
{
  VmPciDevice parent;
  /* properties */
  bool old_msi_addr;
  VmOnOffAuto msi;
  uint32_t debug;
  /* wiring */
  VmHdaBus bus;
  VmRegion mmio;
  /* guest state */
  uint32_t gctl, intctl, ssync, corb_lbase, corb_ubase, rirb_lbase, rirb_ubase, icoi, icii, dp_lbase, dp_ubase;
  uint16_t wakeen, statests, gsts, corbwp, corbrp, rirbwp, rintcnt, icis, responses;
  uint8_t corbctl, corbsts, rirbctl, rirbsts;
  int64_t wall_start;            /* virtual ns when the wall clock was 0 */
  uint32_t raised;               /* interrupts the host was told of by message */
  HdaStream stream[HDA_STREAMS]; /* inputs first */
} IntelHda;

static inline bool
hda_stream_is_output (unsigned n)
{
  return n >= HDA_STREAMS_IN;
}

extern const VmHdaLinkOps intel_hda_link_ops;
extern const VmField intel_hda_stream_state[];

void intel_hda_update_irq (IntelHda *self);
/* Register REG (0..0x1c) of stream N. LANES: the bits that are written. */
uint32_t intel_hda_stream_read (const IntelHda *self, unsigned n, unsigned reg);
void intel_hda_stream_write (IntelHda *self, unsigned n, unsigned reg, uint32_t value, uint32_t lanes);
void intel_hda_write_ssync (IntelHda *self, uint32_t ssync);
void intel_hda_streams_reset (IntelHda *self);
