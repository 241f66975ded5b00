/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The exec loop's part of a vCPU, behind VmTcgCpu in the accelerator's area, and the accelerator object. */
#pragma once

#include "engine/tcg/code/code.h"

#define VM_ITLB_BITS 10
#define VM_ITLB_SIZE (1u << VM_ITLB_BITS)

/* Linear page -> view. Generated code compares both: an entry exists only when the page may be executed in
 * the mode of its table and lies wholly inside the code segment. */
typedef struct VmItlbEntry {
  uint64_t tag;   /* VM_TLB_INVALID: none */
  uint64_t id;    /* of the view, << VM_PAGE_SHIFT */
} VmItlbEntry;

/* Who the code of a table runs as; when one differs the table is cleared. */
typedef struct VmItlbKey {
  uint64_t epoch, switches;
  uint64_t cs_base;
  uint32_t cs_limit, mode;
} VmItlbKey;

typedef struct VmJit VmJit; /* host-x86_64/jit.h */
typedef struct VmPlugins VmPlugins; /* plugin/plugins.h */

typedef struct VmTcgAccel {
  VmAccel       parent;
  int           thread;
  uint32_t      tb_size;       /* MiB; 0: the engine chooses */
  bool          one_insn_per_tb;
  bool          split_wx;
  bool          lockstep;      /* compare tier 1 with tier 0, block by block */
  bool          interpret;     /* no tier 1 */
  bool          precise_flags; /* faults show arithmetic flags that nobody would read */
  VmCodeShared *shared;
  VmMemoryListener listener;   /* tells the vCPUs of a new flat view */
  struct VmIcount *icount;     /* icount.c; NULL: instructions are not counted */
  VmPlugins    *plugins;       /* NULL: none */
} VmTcgAccel;

typedef struct VmTcgExec {
  VmItlbEntry itlb[VM_TLB_CONTEXTS][VM_ITLB_SIZE];
  VmItlbKey   itlb_key[VM_TLB_CONTEXTS];
  uint64_t    itlb_global[VM_TLB_CONTEXTS][VM_ITLB_SIZE / 64]; /* which entries stay when the address space changes */
  uint16_t    itlb_used[VM_TLB_CONTEXTS][64];
  unsigned    itlb_n_used[VM_TLB_CONTEXTS]; /* above 64: all */
  uint64_t    seg_end[VM_SEG_N][2]; /* first invalid offset for reads and writes; 0: ask the slow path */
  uint8_t     vector_live, x87_live;  /* host registers hold the guest's; adjacent */
  bool        has_avx;
  uint64_t    host_sp;         /* of the frame that entered generated code */
  uint64_t    return_limit;    /* lowest host stack address for paired calls */
  VmTcgAccel *accel;
  VmJit      *jit;
  struct VmTcgBreaks *breaks;  /* the debugger's (debug.c); NULL: none */
  VmVcpu     *vcpu;
  struct VmIcount *icount;     /* the accelerator's */
  const VmPlugins *plugins;    /* the accelerator's, when they want to see code; tier 1 is off then */
  bool        plugin_blocks;
  bool        idle;            /* with ICOUNT: left exec halted; under the machine lock */
  uint64_t    n_runs, n_uncached, n_cold, n_fetches, n_exceptions, n_cleared; /* statistics */
} VmTcgExec;

#define VM_TCG_EXEC_OFFSET ((sizeof (VmTcgCpu) + 63) & ~(size_t) 63)
_Static_assert (VM_TCG_EXEC_OFFSET + sizeof (VmTcgExec) <= VM_X86_ACCEL_AREA, "both parts fit");

/* Mode bits that generated code does not know about: such code runs on tier 0. */
#define VM_TIER0_MODES (VM_MODE_TF | VM_MODE_RF | VM_MODE_AC_CHECK | VM_MODE_BP | VM_MODE_ICOUNT)

static inline VmTcgExec *
vm_tcg_exec_part (VmX86Env *env)
{
  return (VmTcgExec *) (void *) (env->accel_area + VM_TCG_EXEC_OFFSET);
}

/* Linear address of CS:RIP. */
static inline uint64_t
vm_tcg_pc (const VmX86Env *env)
{
  if (env->mode & VM_MODE_CS64)
    return env->rip;
  return (uint32_t) (env->seg[VM_CS].base + env->rip);
}

/* The view of the page at PC, filled into the table when generated code may use it (*DIRECT). Raises #PF; NULL:
 * the page is no RAM, or not wholly inside the code segment, or must not be cached yet. */
VmCodeView *vm_tcg_lookup_code (VmX86Env *env, uint64_t pc, bool *direct);

/* The same when the table has it, else NULL. */
VmCodeView *vm_tcg_known_code (VmX86Env *env, uint64_t pc);

VmVcpuExit vm_tcg_exec (VmVcpu *vcpu);
bool       vm_tcg_exec_begin (VmVcpu *vcpu, GError **error);
void       vm_tcg_exec_end (VmVcpu *vcpu);
/* For tests: at most LIMIT turns of the loop without events. Returns the vector that was raised, undelivered, or -1.
 * EAGER translates at first sight. */
int        vm_tcg_exec_trial (VmVcpu *vcpu, unsigned limit, bool eager);

/* debug.c: the debugger's points. Pages with breakpoints are left to tier 0, one instruction at a time. */
bool vm_tcg_debug_update (VmVcpu *vcpu);
void vm_tcg_debug_end (VmTcgExec *x);
bool vm_tcg_debug_has_page (const struct VmTcgBreaks *breaks, uint64_t page);
/* Is there a breakpoint at PC that the vCPU stops for? Then debug_hit is set. */
bool vm_tcg_debug_stops (VmX86Env *env, VmTcgExec *x, uint64_t pc);
/* Exec is about to end with EXIT_DEBUG: says why. */
void vm_tcg_debug_note (VmX86Env *env, VmTcgExec *x);

/* tcg.c */
extern const VmAccelOps vm_tcg_accel_ops;
