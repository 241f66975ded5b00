/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the tier-1 compiler share: code memory, stubs, and the places generated code uses. */
#pragma once

#include "engine/tcg/host-x86_64/asm.h"
#include "engine/tcg/host-x86_64/jit.h"

/* --- registers ---------------------------------------------------------------------------------- */

/* R15 points ENV_BIAS bytes into VmX86Env so that its first 256 bytes have short displacements. The guest's RSP is
 * in R11; RAX..RBX, RBP..R10 are themselves; the guest's R11..R15 stay in memory. R12..R14 are free. */
#define ENV       R15
#define GUEST_RSP R11
#define T0        R12
#define T1        R13
#define T2        R14
#define ENV_BIAS  128

#define ENV_OFF(field)  ((int32_t) offsetof (VmX86Env, field) - ENV_BIAS)
#define ENV_GPR(n)      ((int32_t) (offsetof (VmX86Env, gpr) + (n) * 8) - ENV_BIAS)
#define ENV_SEG(n, field)                                                                        \
  ((int32_t) (offsetof (VmX86Env, seg) + (n) * sizeof (VmX86Seg) + offsetof (VmX86Seg, field)) - ENV_BIAS)
#define TCG_OFF(field)  ((int32_t) (offsetof (VmX86Env, accel_area) + offsetof (VmTcgCpu, field)) - ENV_BIAS)
#define EXEC_OFF(field)                                                                          \
  ((int32_t) (offsetof (VmX86Env, accel_area) + VM_TCG_EXEC_OFFSET + offsetof (VmTcgExec, field)) - ENV_BIAS)

/* VmX86Env.scratch: */
#define SLOT_PC_BASE    ENV_OFF (scratch[0]) /* RIP of the block's page start: RIP = this + offset in page */
#define SLOT_FLAGS      ENV_OFF (scratch[1]) /* 16 bits: SETO in the low byte, LAHF's AH in the high one */
#define SLOT_NOT_CF     (ENV_OFF (scratch[1]) + 4) /* a byte: CF clear */
#define SLOT_VALUE      ENV_OFF (scratch[2]) /* a value over a second memory access */
#define SLOT_GROUP(n)   (ENV_OFF (scratch[3]) + (n) * 8) /* of three shared address checks */

enum { SCRATCH_PC_BASE, SCRATCH_FLAGS };

/* What a block expects in host registers: part of its key. */
enum { VARIANT_VECTOR = 1, VARIANT_X87 = 2, VARIANTS = 4,
       VARIANT_PLAIN = 4 /* no shared address checks */ };

/* --- an instruction that may leave generated code ------------------------------------------------- */

enum { SITE_FLAGS_SLOT, SITE_FLAGS_NOT_CF, SITE_FLAGS_HOST };

typedef struct JitSite {
  VmBlock *block;
  const VmInsn *insn;  /* a copy, where tier 0 does it every time; else NULL */
  uint32_t host;     /* where its code begins, from the region's start */
  uint32_t resume;   /* where to go on after it was done elsewhere; 0: leave */
  uint16_t offset;   /* in the guest page */
  uint8_t  len;
  uint8_t  flags;    /* SITE_FLAGS_*: when it leaves by a stub */
  uint8_t  fault_flags; /* when the host instruction itself faults */
  uint8_t  variant;
} JitSite;

/* --- code memory ---------------------------------------------------------------------------------- */

#define JUMP_HASH_BITS 14
#define JUMP_HASH_SIZE (1u << JUMP_HASH_BITS)
#define JUMP_HASH_MUL  0x9e3779b1u

typedef struct JumpEntry {
  uint64_t       key;   /* vm_block_key(); 0: none */
  const uint8_t *entry; /* flags in the state block */
} JumpEntry;

static inline unsigned
jump_hash (uint64_t key)
{
  return (uint32_t) key * JUMP_HASH_MUL >> (32 - JUMP_HASH_BITS);
}

#define N_SEGMENTS    16
#define STUBS_SIZE    (64 * 1024)
#define BLOCK_MAX_HOT  24576 /* bytes one block may take */
#define BLOCK_MAX_COLD 24576

typedef struct JitSegment {
  uint8_t   *hot, *hot_start, *hot_end;
  uint8_t   *cold, *cold_start, *cold_end;
  uint8_t   *meta, *meta_start, *meta_end;
  GPtrArray *blocks; /* in the order of their code */
} JitSegment;

/* Returns a VmBlockLink's address, EXIT_STATE or EXIT_INDIRECT + variant. */
typedef uintptr_t (*JitEnter) (VmX86Env *env, const uint8_t *entry, unsigned variant);
enum { EXIT_STATE, EXIT_INDIRECT };

typedef struct JitStubs {
  JitEnter       enter;
  uint8_t       *bottom;       /* rel32 inside the first stub */
  const uint8_t *exit_host;    /* T0: link or 0; flags in the host register */
  const uint8_t *exit_slot;    /* the same; flags saved or dead */
  const uint8_t *callout;      /* T1: site; flags saved or dead */
  const uint8_t *fault_host;   /* from the signal handler; T1: site */
  const uint8_t *fault_slot;
  const uint8_t *fill;         /* called; T0: linear address, T1: site, T2: info -> T0: host address */
  const uint8_t *fill_soft;    /* the same; T0 is 0 when it cannot be */
  const uint8_t *gather;       /* called; T0: address without the index, T2: GATHER_INFO -> T0: 0 when it cannot be */
  const uint8_t *load_vector;  /* called; flags and registers kept */
  const uint8_t *load_x87;
  const uint8_t *indirect[VARIANTS][2][VM_TLB_CONTEXTS]; /* T0: target; [][1]: code segment with a base */
  const uint8_t *indirect_miss[VARIANTS];
  /* Jumped to by a return that did not match. T0: target; T1: what it looked for. */
  const uint8_t *return_other[VARIANTS][2][VM_TLB_CONTEXTS];
} JitStubs;

/* T2 of the fill stub. */
#define FILL_INFO(size, access, ctx) ((size) | (access) << 16 | (ctx) << 24)
/* T2 of the gather stub: three vector registers, and the shape of the elements (sizes as logarithms). */
#define GATHER_INFO(dest, mask, index, n, data_log2, index_log2, scale_log2, is_wide, ctx)       \
  ((dest) | (mask) << 4 | (index) << 8 | (n) << 12 | (data_log2) << 16 | (index_log2) << 18 |   \
   (scale_log2) << 20 | (is_wide) << 22 | (ctx) << 24)

struct VmJit {
  VmX86Env         *env;
  VmTcgExec        *exec;
  const VmTcgAccel *accel;
  VmCode           *code;
  uint8_t          *rw, *rx;        /* the same memory, writable and executable */
  size_t            size;
  ptrdiff_t         rx_offset;
  uint8_t          *meta;           /* in the low 2 GiB, so that addresses are short immediates */
  size_t            meta_size;
  JumpEntry        *jump_hash;      /* writable address */
  const uint8_t    *jump_hash_pc;
  JitStubs          stubs;
  JitSegment        segment[N_SEGMENTS];
  unsigned          current;
  VmBlockLink      *pending;        /* the last exit; linked when its target is known */
  uint64_t          pending_rip;
  unsigned          variant;        /* to go on with */
  bool              has_avx, single_cpu, eager;
  bool              unchained;      /* -d nochain: each block comes back to the exec loop */
  void             *alt_stack;
  unsigned          n_differences;
  /* Told at the end to "-d op_opt". */
  uint64_t          n_translated, n_insns, n_entered, n_callouts, n_left, n_fills, n_revived;
  uint32_t         *callouts_by_row;
};

bool jit_memory_init (VmJit *jit, size_t size, bool split, GError **error); /* SPLIT: never writable and executable at one address */
void jit_memory_free (VmJit *jit);
/* Makes room for one more block, evicting the oldest segment. */
void jit_memory_reserve (VmJit *jit);
/* The block whose code holds PC, or NULL. */
VmBlock *jit_memory_find (VmJit *jit, const uint8_t *pc);

void jit_stubs_make (VmJit *jit);
void jit_emit_indirect (const VmJit *jit, Asm *a, unsigned variant, bool with_base, unsigned ctx, bool is_call);

/* NULL: not from here. */
VmBlock *jit_translate (VmJit *jit, VmCodeView *view, unsigned offset, unsigned variant);

/* Runs until an exit; the state is in the struct. */
void jit_enter (VmJit *jit, const uint8_t *entry, unsigned variant);
/* Compares ENTRY's block with tier 0, for one block. False: not possible here, run it as usual. */
bool jit_lockstep (VmJit *jit, VmCodeView *view, uint64_t pc, const uint8_t *entry, unsigned variant);

/* May a block have INSN when it is to be run twice? */
bool jit_lockstep_undoes (const VmInsn *insn);
/* Bytes of an operand of size VM_SIZE_*; 0: not plain. */
unsigned jit_operand_bytes (const VmInsn *insn, unsigned size);

/* Where generated code goes on after a callout: by System V's convention in RAX and RDX. */
typedef struct JitResume {
  const uint8_t *pc;   /* NULL: leave */
  uint64_t       info; /* variant | RESUME_DROP_STACK */
} JitResume;
#define RESUME_DROP_STACK 0x80 /* paired calls belong to other code */

/* Called by stubs. */
JitResume jit_callout (VmX86Env *env, JitSite *site);
void    *jit_fill (VmX86Env *env, uint64_t linear, uint32_t info);
void    *jit_gather (VmX86Env *env, uint64_t base, uint32_t info);
void     jit_save_vector (VmX86Env *env);
void     jit_save_x87 (VmX86Env *env);

/* The segment limits generated code compares with. */
void jit_sync_segments (VmX86Env *env, VmTcgExec *x);
void jit_flags_to_slot (VmX86Env *env);
void jit_flags_from_slot (VmX86Env *env, unsigned kind);
/* RIP of an offset from the start of the running block's page. */
uint64_t jit_rip (const VmX86Env *env, int32_t offset);

bool jit_signals_begin (VmJit *jit, GError **error);
void jit_signals_end (VmJit *jit);
/* Several vCPUs may take turns on one thread. */
void jit_signals_enter (VmJit *jit);
