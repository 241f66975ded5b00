/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page walk, the second-level TLB and the access paths share. */
#pragma once

#include "engine/tcg/softmmu/tlb.h"

/* Rights of a translation as the page tables give them, judged against the access each time. They sit in
 * the low 12 bits of a page's physical address. */
enum {
  PERM_W      = 1 << 0,
  PERM_U      = 1 << 1,
  PERM_NX     = 1 << 2,
  PERM_D      = 1 << 3, /* the leaf's dirty bit is set (or paging is off) */
  PERM_PK     = 1 << 4, /* protection keys apply: four-level paging */
  PERM_ROM    = 1 << 5, /* host memory is not to be written */
  PERM_G      = 1 << 6, /* survives MOV CR3 */
  PERM_KEY_SHIFT = 8,
};

/* One translated page. */
typedef struct Page {
  uint64_t phys;  /* page address | PERM_* | key << PERM_KEY_SHIFT */
  uint8_t *host;  /* the page's bytes when reads are direct, or NULL */
  uint8_t *flags; /* VM_PAGE_*, VM_DIRTY_* of the page when host is RAM, or NULL */
} Page;

typedef struct Walk {
  uint64_t phys;   /* page address | PERM_* */
  unsigned shift;  /* of the page: 12, 21, 22, 30 */
  bool     global;
} Walk;

#define TLB2_SET_BITS 13
#define TLB2_SETS     (1u << TLB2_SET_BITS)
#define TLB2_WAYS     4
#define ASID_MAX      4094u /* 4095 would make the top page's tag look invalid */
#define PCID_SLOTS    64u
#define JOURNAL_SIZE  8192u

typedef struct Tlb2Entry {
  uint64_t tag;   /* linear page | ASID */
  Page     page;
} Tlb2Entry;
_Static_assert (sizeof (Tlb2Entry) == 32, "two a cache line");

#define L1_SLOTS (VM_TLB_CONTEXTS * 2 * VM_TLB_SIZE)

/* Filled places of the L1, as indexes into VmTcgCpu.tlb seen as one array: those of global pages and the others. A
 * place that changed sides may be in both. */
struct VmTlbJournal {
  struct { unsigned n; bool overflow; uint32_t slot[JOURNAL_SIZE]; } list[2];
  uint64_t global[L1_SLOTS / 64]; /* which of them are of global pages */
};

/* ASIDs name address spaces in the tags: a flush takes a fresh one and leaves the old entries to be
 * replaced. Global pages have one of their own. */
struct VmTlb2 {
  unsigned asid, global_asid, next_asid;
  struct { uint16_t pcid, asid; } pcid[PCID_SLOTS]; /* asid 0: none */
  unsigned victim;
  const VmFlatRange *recent[2]; /* of the view in use */
  VmFlatView        *view;      /* the one in use: VmTcgCpu.view or .smm_view */
  bool     any_large;
  uint64_t huge[16];            /* hashed set of the 1 GiB areas that pages of that size filled from */
  uint64_t large[1024];         /* hashed set of the 2 MiB areas that large pages filled from */
  Tlb2Entry set[TLB2_SETS][TLB2_WAYS] __attribute__ ((aligned (64)));
};

/* Null when ADDR is in no range. */
const VmFlatRange *mmu_find_range (VmTcgCpu *tcg, uint64_t phys);
/* Host page and flags of the physical page in PAGE->phys. */
void     mmu_resolve_page (VmTcgCpu *tcg, Page *page);
uint64_t mmu_region_load (VmX86Env *env, uint64_t phys, unsigned size, bool user);
void     mmu_region_store (VmX86Env *env, uint64_t phys, uint64_t value, unsigned size, bool user);
/* After bytes of the RAM page at PHYS were written. */
void     mmu_ram_stored (VmX86Env *env, const Page *page, uint64_t phys, unsigned len);

/* False: *ERROR is the error code of the page fault (noted nowhere yet). */
bool     mmu_walk (VmX86Env *env, uint64_t linear, unsigned access, unsigned ctx, Walk *walk, uint32_t *error);
/* True when the access is within the rights; *error gets VM_PF_PK when a protection key forbids it. */
bool     mmu_permits (const VmX86Env *env, uint64_t phys, unsigned access, unsigned ctx, uint32_t *error);
/* L2, then the walk; fills the L2 and, for data, the L1. False: the page fault is in env->exc_*. */
bool     mmu_translate (VmX86Env *env, uint64_t linear, unsigned access, unsigned ctx, Page *page);
/* Notes a page fault in env->exc_*. */
void     mmu_note_fault (VmX86Env *env, uint64_t linear, uint32_t error);

bool     mmu_watched (VmTcgCpu *tcg, uint64_t linear);
void     mmu_watch_access (VmX86Env *env, uint64_t linear, unsigned len, bool is_write);

static inline uint64_t
mmu_a20 (const VmX86Env *env, uint64_t phys)
{
  return env->a20_masked ? phys & ~UINT64_C (0x100000) : phys;
}
