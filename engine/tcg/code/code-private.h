/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the registry of one vCPU and the table they share know of each other. */
#pragma once

#include "engine/tcg/code/code.h"

/* Other vCPUs that were asked to catch writes to a page and did not yet. */
struct CodeWait {
  int refs, remaining; /* atomic */
};

#define RECENT_PAGES_BITS  12
#define RECENT_BLOCKS_BITS 13

struct VmCode {
  VmCodeShared    *shared;
  VmX86Cpu        *cpu;
  const uint64_t  *features;
  GHashTable      *pages;   /* number of the RAM page -> VmCodePage */
  GHashTable      *blocks;  /* key -> VmBlock, live */
  GPtrArray       *views;   /* by id */
  /* In front of the two tables, by hash. */
  struct { uint64_t number; VmCodePage *page; } recent_page[1 << RECENT_PAGES_BITS];
  VmBlock         *recent_block[1 << RECENT_BLOCKS_BITS];
  size_t           memory;  /* bytes of decoded instructions */
  uint32_t         kills;
  const VmCodeOps *ops;
  void            *opaque;
  void            *protecting; /* posted work that takes more pages along; under the shared mutex */
};

void code_wait_unref (CodeWait *wait);
void code_shared_join (VmCodeShared *shared, VmCode *code);
void code_shared_leave (VmCodeShared *shared, VmCode *code);
/* LINES of PAGE are about to be looked at. */
void code_shared_claim (VmCode *code, VmCodePage *page, uint64_t lines);
