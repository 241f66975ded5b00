/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guest-linear memory access of the translator: the inline TLB that generated code probes, the per-vCPU
 * second level behind it, the page walk, and the slow paths (registers, page crossings, code pages).
 * Everything here is built with -mgeneral-regs-only: it may run while the host vector and x87 registers
 * hold guest values. What leaves this world (device access) goes through vm_tcg_leave_guest_fpu(). */
#pragma once

#include <setjmp.h>

#include "engine/x86/cpu.h"

typedef struct VmTcgCpu VmTcgCpu;

#define VM_TLB_BITS 12
#define VM_TLB_SIZE (1u << VM_TLB_BITS)

/* TAG is the page's linear address; a miss never matches (all ones in the low bits). HOST = page's host
 * address - TAG, so that linear + host_addend is the byte. */
typedef struct VmTlbEntry {
  uint64_t tag;
  uint64_t addend;
} VmTlbEntry;
#define VM_TLB_INVALID UINT64_MAX

/* A context is who accesses: selected by the block key at translation time. */
enum { VM_TLB_USER, VM_TLB_SUPERVISOR, VM_TLB_SUPERVISOR_AC, VM_TLB_CONTEXTS };
enum { VM_ACCESS_READ, VM_ACCESS_WRITE, VM_ACCESS_FETCH };

/* An entry exists only where the direct access is right without further thought: present, permitted,
 * accessed bit set, plain RAM; for writes also dirty bit set and page not flagged CODE or dirty-logged. */
typedef struct VmTlb {
  VmTlbEntry read[VM_TLB_SIZE];
  VmTlbEntry write[VM_TLB_SIZE];
} VmTlb;

static inline unsigned
vm_tlb_index (uint64_t linear)
{
  return (linear >> VM_PAGE_SHIFT) & (VM_TLB_SIZE - 1);
}

/* The translator's part of a vCPU. Generated code reaches it by a register of its own or by a fixed
 * distance from VmX86Env: see host-x86_64/README. */
struct VmTcgCpu {
  VmTlb     tlb[VM_TLB_CONTEXTS];
  VmX86Cpu *cpu;
  struct VmTlbJournal *journal;
  struct VmTlb2       *second;     /* L2 */
  VmFlatView          *view;       /* counted; renewed at safe points */
  VmFlatView          *smm_view;
  unsigned             view_generation, smm_view_generation;
  bool                 fetched_global; /* what vm_mmu_fetch_page() found last is a global page */
  void                *interp;     /* of interp/ */
  void                *fpu;        /* of fpu/: thunks */
  void                *code;       /* of code/: block caches */
  sigjmp_buf          *fault_env;  /* where vm_x86_raise() goes while the interpreter runs */
  /* Grows whenever translations of code addresses may have changed: CR3, flushes, INVLPG, memory map. What
   * is derived from vm_mmu_fetch_page() holds only while it stands still. */
  uint64_t             fetch_epoch;
  /* The same in detail: everything may have changed; else these pages did. Who keeps a table of code pages takes up
   * both before it is used again, and sets n_fetch_drops to 0. */
  uint64_t             fetch_flushes;
  uint64_t             fetch_switches; /* all but global pages did */
  unsigned             n_fetch_drops;
  uint64_t             fetch_drop[8];
  /* DR6 bits of data breakpoints hit by the present instruction; the exec loop and the interpreter call
   * vm_sys_single_step_trap() when it is not 0 at the instruction's end. */
  uint32_t             watch_hit;
  uint32_t             delivery_ext; /* EXT bit of error codes while an event is delivered */
  uint64_t             monitor_line, monitor_sum; /* MONITOR: the line and what was in it; 1: none */
  bool                 debug_hit;  /* a debugger's watchpoint was hit: leave exec with EXIT_DEBUG */
  uint64_t             debug_hit_address;
  unsigned             debug_hit_watch; /* index in debug_watches */
  const struct VmTlbWatch *debug_watches; /* of the debugger; array of n_debug_watches */
  unsigned             n_debug_watches;
  unsigned             n_watch_pages;     /* kept by vm_tlb_update_watches() */
  uint64_t             watch_pages[24];
  bool                 watch_all;         /* more pages than that: nothing is direct */
  /* Hears of each access, when set: vm_tlb_update_watches() then. */
  void               (*access_hook) (VmX86Env *env, uint64_t linear, unsigned len, bool is_write);
};
_Static_assert (sizeof (VmTcgCpu) <= VM_X86_ACCEL_AREA, "the translator's part fits its place");

/* Nothing that was known of code addresses holds any more. */
static inline void
vm_tlb_forget_fetches (VmTcgCpu *tcg)
{
  tcg->fetch_epoch++;
  tcg->fetch_flushes++;
}

typedef struct VmTlbWatch {
  uint64_t start, last; /* linear, inclusive */
  bool     on_read, on_write;
} VmTlbWatch;

static inline VmTcgCpu *
vm_tcg_cpu (VmX86Env *env)
{
  return (VmTcgCpu *) (void *) env->accel_area;
}

/* Life of the TLBs: called on the vCPU's thread by the accelerator's vcpu_begin and vcpu_end. */
void vm_tlb_begin (VmX86Cpu *cpu);
void vm_tlb_end (VmX86Cpu *cpu);
/* Between blocks, and after device accesses: takes up a changed memory map (flushing). */
void vm_tlb_safe_point (VmX86Env *env);
/* After DR7 or the debugger's list changed; drops what they cover from the L1. */
void vm_tlb_update_watches (VmX86Env *env);

/* Exceptions. In the interpreter and its helpers: does not return. EFLAGS, RIP and GPRs must be those at the
 * start of the instruction (commit last). */
G_NORETURN void vm_x86_raise (VmX86Env *env, int vector);
G_NORETURN void vm_x86_raise_error (VmX86Env *env, int vector, uint32_t error);
G_NORETURN void vm_x86_raise_page_fault (VmX86Env *env, uint64_t linear, uint32_t error);

/* Interpreter's accesses at a linear address (segment base added, limit checked by the caller). CTX is
 * vm_tlb_context(env), or VM_TLB_SUPERVISOR for implicit system accesses. They raise on faults. Sizes 1, 2, 4, 8;
 * an aligned access is one host access. */
static inline unsigned
vm_tlb_context (const VmX86Env *env)
{
  if ((env->mode & VM_MODE_CPL) == VM_MODE_CPL)
    return VM_TLB_USER;
  return env->mode & VM_MODE_SMAP_AC ? VM_TLB_SUPERVISOR_AC : VM_TLB_SUPERVISOR;
}
uint64_t vm_mmu_load (VmX86Env *env, uint64_t linear, unsigned size, unsigned ctx);
void     vm_mmu_store (VmX86Env *env, uint64_t linear, uint64_t value, unsigned size, unsigned ctx);
/* Up to 64 bytes (vector operands); all checks before any byte moves. */
void     vm_mmu_load_bytes (VmX86Env *env, uint64_t linear, void *buf, unsigned len, unsigned ctx);
void     vm_mmu_store_bytes (VmX86Env *env, uint64_t linear, const void *buf, unsigned len, unsigned ctx);
/* Raises what a write of LEN bytes would raise; read-modify-write and multi-part pushes begin with it. */
void     vm_mmu_probe_write (VmX86Env *env, uint64_t linear, unsigned len, unsigned ctx);
/* LOCK CMPXCHG of SIZE 1, 2, 4, 8 or 16 bytes at LINEAR, atomic on RAM of one page whatever the page is used for.
 * EXPECTED is what the caller has loaded from there and receives the value found; elsewhere than in RAM DESIRED is
 * simply stored. Both arrays have two elements when SIZE is 16. */
bool     vm_mmu_cmpxchg (VmX86Env *env, uint64_t linear, uint64_t *expected, const uint64_t *desired,
                         unsigned size, unsigned ctx);
/* Host address good for LEN bytes within one page, or NULL when the access must go the slow way (registers,
 * crossing, code page). Raises on faults. String chunks and locked operations use it. Legal until the next
 * flush, mode change or helper. */
void    *vm_mmu_host (VmX86Env *env, uint64_t linear, unsigned len, unsigned access, unsigned ctx);
/* Instruction bytes at a linear address: host pointer of the page's RAM and its block and offset, for the
 * decoder. Raises #PF with the ID bit; NULL when code runs from no RAM: fetch by vm_mmu_fetch_byte(). */
const uint8_t *vm_mmu_fetch_page (VmX86Env *env, uint64_t linear, VmRamBlock **block, uint64_t *ram_offset,
                                  uint64_t *phys_page);
uint8_t        vm_mmu_fetch_byte (VmX86Env *env, uint64_t linear);

/* For generated code's stubs: the same without raising. false: the exception is in env->exc_*, state is
 * untouched. */
bool vm_mmu_try_load (VmX86Env *env, uint64_t linear, unsigned size, unsigned ctx, uint64_t *value);
bool vm_mmu_try_store (VmX86Env *env, uint64_t linear, uint64_t value, unsigned size, unsigned ctx);
/* Fills the L1 entry when the page is direct; NULL with exc_vector == -1: not direct, use try_load/store. */
void *vm_mmu_try_host (VmX86Env *env, uint64_t linear, unsigned len, unsigned access, unsigned ctx);

/* Invalidation, own vCPU only (others by vm_vcpu_post). */
void vm_tlb_flush_all (VmX86Env *env);          /* global entries too; CR0/CR4/EFER/PAT/A20/SMM changes */
void vm_tlb_switch_cr3 (VmX86Env *env, uint64_t cr3, bool keep); /* MOV CR3 with PCID rules */
void vm_tlb_flush_page (VmX86Env *env, uint64_t linear);
void vm_tlb_invpcid (VmX86Env *env, unsigned type, unsigned pcid, uint64_t linear);
/* Write entries of a RAM page must be caught again: it became a code page or its dirty bit was taken. */
void vm_tlb_protect_ram (VmX86Env *env, VmRamBlock *block, uint64_t offset, uint64_t len);

/* Permissions changed in how they are judged (CR0.WP, CR4.SMEP/SMAP/PKE, PKRU), translations did not. */
void vm_tlb_flush_l1 (VmX86Env *env);
/* PAE: loads the four PDPTE registers from CR3. False: a reserved bit is set, registers unchanged (#GP). */
bool vm_mmu_load_pdptrs (VmX86Env *env, uint64_t cr3);
/* Physical memory as the processor sees it (A20, SMM): saved state maps, task segments under debuggers. */
uint64_t vm_mmu_phys_load (VmX86Env *env, uint64_t phys, unsigned size);
void     vm_mmu_phys_store (VmX86Env *env, uint64_t phys, uint64_t value, unsigned size);

/* Before C code that may use vector or x87 registers: guest values are saved into env, host MXCSR set. */
void vm_tcg_leave_guest_fpu (VmX86Env *env);
