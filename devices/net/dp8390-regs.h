/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bits of the DP8390's registers, and of the RTL8029AS' (see dp8390.c for the data sheets). */
#pragma once

/* Ports beside the chip's sixteen. */
enum
{
  NE_DATA = 0x10,
  NE_RESET = 0x18
};
enum
{
  CR_STP = 1 << 0,
  CR_STA = 1 << 1,
  CR_TXP = 1 << 2,
  CR_RD = 7 << 3,
  CR_RD_READ = 1 << 3,
  CR_RD_WRITE = 2 << 3,
  CR_RD_SEND = 3 << 3,
  CR_RD_ABORT = 4 << 3,
  CR_PAGE = 3 << 6
};
enum
{
  ISR_PRX = 1 << 0,
  ISR_PTX = 1 << 1,
  ISR_RXE = 1 << 2,
  ISR_TXE = 1 << 3,
  ISR_OVW = 1 << 4,
  ISR_CNT = 1 << 5,
  ISR_RDC = 1 << 6,
  ISR_RST = 1 << 7
};
enum
{
  DCR_WTS = 1 << 0,
  DCR_LAS = 1 << 2,
  DCR_LS = 1 << 3
};
enum
{
  TCR_CRC = 1 << 0,
  TCR_LB = 3 << 1
};
enum
{
  TSR_PTX = 1 << 0
};
enum
{
  RCR_AR = 1 << 1,
  RCR_AB = 1 << 2,
  RCR_AM = 1 << 3,
  RCR_PRO = 1 << 4,
  RCR_MON = 1 << 5
};
enum
{
  RSR_PRX = 1 << 0,
  RSR_MPA = 1 << 4,
  RSR_PHY = 1 << 5,
  RSR_DIS = 1 << 6
};
enum
{
  CONFIG0_BNC = 1 << 2
};
enum
{
  EE_DO = 1 << 0,
  EE_DI = 1 << 1,
  EE_SK = 1 << 2,
  EE_CS = 1 << 3,
  EE_MODE = 3 << 6,
  EE_LOAD = 1 << 6,
  EE_PROGRAM = 2 << 6,
  EE_CONFIG = 3 << 6
};
