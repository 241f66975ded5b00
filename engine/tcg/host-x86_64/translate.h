/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The translator while it works on one block. */
#pragma once

#include "engine/tcg/decode/table.h"
#include "engine/tcg/host-x86_64/jit-private.h"
#include "engine/tcg/host-x86_64/reencode.h"

#define MAX_INSNS 64
#define MAX_GROUPS 16
#define GROUP_SLOTS 3
#define MAX_COLD  (MAX_INSNS * 6 + 8)
#define MAX_LINKS (MAX_INSNS * 2 + MAX_GROUPS + 4)

typedef struct TrInsn {
  VmInsn   insn;
  uint16_t offset;
  bool     over;      /* ends in the next page */
  bool     stop;      /* tier 0 does it, then the block is left */
  uint8_t  group, stack_group; /* number + 1 of the shared check of its memory operand, of its stack access */
  int64_t  group_offset, stack_group_offset; /* the access, from the group's root */
  uint32_t live_in, live_out; /* arithmetic flags somebody still wants */
} TrInsn;

/* Accesses that one check covers: [root + LOW, root + HIGH). */
typedef struct TrGroup {
  uint16_t root;
  int64_t  low, high;
  bool     is_write, saw_exit, done;
  unsigned n, first, last;
  int      slot;
} TrGroup;

/* A memory operand of emitted code. */
typedef struct TrMem {
  uint8_t base;
  int     index; /* -1: none */
  int32_t disp;
} TrMem;

typedef enum ColdKind { COLD_FILL, COLD_CALLOUT, COLD_RESUME, COLD_EXIT, COLD_CROSS, COLD_GROUP, COLD_LEAVE } ColdKind;

/* Where the arithmetic flags are. All false: nobody wants them. */
typedef struct TrFlags {
  bool host, slot, not_cf;
} TrFlags;

typedef struct Cold {
  ColdKind     kind;
  uint8_t     *from;      /* rel32 that leads here; NULL: none */
  const uint8_t *back;
  JitSite     *site;
  VmBlockLink *link;
  uint32_t     info;      /* FILL_INFO */
  TrFlags      flags;
  bool         flags_dead;
} Cold;

typedef struct Tr {
  VmJit      *jit;
  VmCode     *code;
  VmCodeView *view;
  VmCodePage *page;
  VmCodeView *next_view;  /* of the page behind it where the block was met; NULL: not known */
  uint32_t    mode;
  unsigned    ctx;
  VmBlock    *block;
  Asm         a;          /* hot code */
  Asm         c;          /* cold code */
  TrInsn      insn[MAX_INSNS];
  unsigned    n_insns, at;
  unsigned    end;        /* offset after the last */
  unsigned    variant;
  TrFlags     flags;
  JitSite    *site;       /* of the present instruction, once asked for */
  uint32_t    insn_host;  /* where the present one's code begins */
  Cold        cold[MAX_COLD];
  unsigned    n_cold;
  uint64_t    depends;
  TrGroup     group[MAX_GROUPS];
  unsigned    n_groups;
  bool        plain;      /* no shared checks */
  unsigned    check_events_at; /* behind this instruction, counted from 1; 0: nowhere */
} Tr;

#define IS64(tr) (((tr)->mode & VM_MODE_CS64) != 0)

/* Host register of a guest GPR, or -1 when it stays in memory. */
static inline int
tr_host_reg (unsigned guest)
{
  return guest == VM_RSP ? GUEST_RSP : guest <= 10 ? (int) guest : -1;
}

static inline const VmInsnRow *
tr_row (const VmInsn *insn)
{
  return &vm_insn_rows[insn->row];
}

/* translate-log.c: COLD is where its code out of line begins. */
void tr_log (const Tr *tr, const uint8_t *cold);

/* --- translate.c: flags, sites, links --- */

/* Arithmetic flags that come out of INSN whatever they were before. */
uint32_t tr_flags_killed (const VmInsn *insn);

/* The host's flags are about to be lost: those wanted are saved first. Uses T1. */
void     tr_clobber_flags (Tr *tr);
/* Makes WANTED flags right in the host register. Uses T1. */
void     tr_need_flags (Tr *tr, uint32_t wanted);
/* All flags as 16 bits in the slot. */
void     tr_flags_to_slot (Tr *tr);
void     tr_set_flags (Tr *tr, uint32_t written);
JitSite *tr_site (Tr *tr);
/* A jump (its rel32 at FROM) to tier 0 for the present instruction. */
void     tr_callout_at (Tr *tr, uint8_t *from);
/* Tier 0 does the present instruction; goes on behind it, or leaves when STOP. */
void     tr_callout (Tr *tr, bool stop);
Cold    *tr_cold (Tr *tr, ColdKind kind, uint8_t *from);
VmBlockLink *tr_link (Tr *tr, int32_t target);
/* Nobody looks at the flags at TARGET of this page before they are written. */
bool     tr_flags_dead_at (Tr *tr, int32_t target);

/* --- emit-memory.c --- */

/* The memory operand of INSN, SIZE bytes, checked and translated. Uses T0..T2; the result uses T0. */
TrMem tr_memory (Tr *tr, const VmInsn *insn, unsigned size, unsigned access);
/* What the stack pointer plus DELTA names, likewise. */
TrMem tr_stack (Tr *tr, int delta, unsigned size, unsigned access);
/* The offset alone, truncated to the address size, in T0. */
void tr_offset (Tr *tr, const VmInsn *insn);
/* T0: offset in segment SEG -> linear address. Uses T1. */
void tr_segment (Tr *tr, unsigned seg, unsigned size, unsigned access);
/* T0: linear address -> host address. Uses T1, T2. */
void tr_probe (Tr *tr, unsigned size, unsigned access);
/* Adds DELTA to the stack pointer, within its size. Uses T1. */
void tr_stack_adjust (Tr *tr, int delta);
/* A guest register into a host register, and back (whole). */
void tr_get (Tr *tr, unsigned host, unsigned guest);
void tr_put (Tr *tr, unsigned guest, unsigned host);
/* The low SIZE bytes of HOST into the guest register, as an instruction of that operand size does. */
void tr_put_sized (Tr *tr, unsigned guest, unsigned host, unsigned size);

static inline void
tr_load (Tr *tr, unsigned size, unsigned reg, TrMem m)
{
  asm_op_mem (&tr->a, size, size == 1 ? 0x8a : 0x8b, reg, m.base, m.index, 0, m.disp);
}

static inline void
tr_load_zx (Tr *tr, unsigned size, unsigned reg, TrMem m)
{
  if (size >= 4)
    tr_load (tr, size, reg, m);
  else
    asm_op_mem (&tr->a, 4, size == 1 ? 0x0fb6 : 0x0fb7, reg, m.base, m.index, 0, m.disp);
}

static inline void
tr_store (Tr *tr, unsigned size, unsigned reg, TrMem m)
{
  asm_op_mem (&tr->a, size, size == 1 ? 0x88 : 0x89, reg, m.base, m.index, 0, m.disp);
}

/* --- plan.c --- */

/* Finds accesses that can share a check. */
void tr_plan (Tr *tr);

/* --- emit-insn.c --- */

/* Bytes of the memory operand when INSN is passed through with it (or pushes, pops or jumps by it); 0: other. */
unsigned tr_plain_access (const VmInsn *insn);
/* VM_ACCESS_* of the memory operand. */
unsigned tr_access (const VmInsn *insn);

/* False: tier 0 has to do it. */
bool     tr_insn (Tr *tr, TrInsn *t);

/* --- emit-flow.c --- */

/* May the block end with this one in generated code? */
bool tr_is_flow (const Tr *tr, const VmInsn *insn);
/* True: the block goes on after it (a conditional jump). */
bool tr_flow (Tr *tr, TrInsn *t);
/* Behind the present instruction: leaves when an interrupt is pending; in the shadow of STI, with one instruction to
 * go first. */
void tr_check_events (Tr *tr, bool in_shadow);
/* Leaves for TARGET, an offset from the page's start. */
void tr_jump (Tr *tr, int32_t target, bool backward);
/* Is the page behind this one still the one seen at translation? Else tier 0 does the present instruction. */
void tr_check_next_page (Tr *tr);
void tr_cross_check (Tr *tr, Asm *a, VmBlockLink *link, uint8_t *miss[2]);
