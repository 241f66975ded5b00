/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hand-written pieces between C and generated code (System V x86-64 calling convention). */
#include "engine/tcg/host-x86_64/jit-private.h"

/* Guest registers that live in host registers, by guest number. */
static const uint8_t pinned[11] = { RAX, RCX, RDX, RBX, GUEST_RSP, RBP, RSI, RDI, R8, R9, R10 };
/* Those of them that C may change. */
static const uint8_t volatile_pinned[] = { RAX, RCX, RDX, RSI, RDI, R8, R9, R10, GUEST_RSP };
static const uint8_t callee_saved[] = { RBP, RBX, R12, R13, R14, R15 };

static const uint8_t *
begin (Asm *a)
{
  while ((uintptr_t) a->p & 15)
    asm_8 (a, 0x90);
  return asm_pc (a);
}

static void
spill (Asm *a)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (pinned); i++)
    asm_store (a, 8, pinned[i], ENV, ENV_GPR (i));
}

static void
reload (Asm *a)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (pinned); i++)
    asm_load (a, 8, pinned[i], ENV, ENV_GPR (i));
}

static void
call_c (Asm *a, void *function)
{
  asm_mov_imm (a, RAX, (uintptr_t) function);
  asm_call_reg (a, RAX);
}

/* LAHF and SETO into the slot; RAX survives by way of T1. */
static void
save_flags (Asm *a)
{
  asm_mov (a, 8, T1, RAX);
  asm_8 (a, 0x9f);
  asm_8 (a, 0x0f), asm_8 (a, 0x90), asm_8 (a, 0xc0);
  asm_store (a, 2, RAX, ENV, SLOT_FLAGS);
  asm_mov (a, 8, RAX, T1);
}

static void
env_argument (Asm *a)
{
  asm_lea (a, 8, RDI, ENV, -ENV_BIAS);
}

/* Loads what bit BIT of register REG says. */
static void
test_variant (Asm *a, unsigned reg, unsigned bit, const uint8_t *load)
{
  uint8_t *skip;

  asm_op_reg (a, 1, 0xf6, 0, reg);
  asm_8 (a, bit);
  skip = asm_jcc_short (a, CC_E);
  asm_call_to (a, load);
  asm_bind_short (a, skip);
}

#define RETURN_STACK (256 * 1024)

static void
make_enter (VmJit *jit, Asm *a)
{
  const uint8_t *bottom = begin (a);

  /* The guest returned to an address that happens to be this one's: T0 has it. */
  asm_lea (a, 8, RSP, RSP, -8);
  asm_store (a, 8, T0, ENV, ENV_OFF (rip));
  asm_mov_imm (a, T0, EXIT_STATE);
  jit->stubs.bottom = asm_jmp (a);

  jit->stubs.enter = (JitEnter) (uintptr_t) begin (a);
  for (unsigned i = 0; i < G_N_ELEMENTS (callee_saved); i++)
    asm_push (a, callee_saved[i]);
  /* The bottom of the paired calls: what a return finds here sends it the long way. */
  asm_mov_imm (a, RAX, (uintptr_t) bottom);
  asm_alu_imm (a, ALU_SUB, 8, RSP, 8);
  asm_push (a, RAX);
  asm_push (a, RAX);
  asm_lea (a, 8, ENV, RDI, ENV_BIAS);
  asm_store (a, 8, RSP, ENV, EXEC_OFF (host_sp));
  asm_lea (a, 8, RAX, RSP, -RETURN_STACK);
  asm_store (a, 8, RAX, ENV, EXEC_OFF (return_limit));
  asm_mov (a, 8, T0, RSI);
  test_variant (a, RDX, VARIANT_VECTOR, jit->stubs.load_vector);
  test_variant (a, RDX, VARIANT_X87, jit->stubs.load_x87);
  reload (a);
  asm_jmp_reg (a, T0);
}

/* Guest registers are in the struct already; T0 is what enter returns. */
static const uint8_t *
make_leave (Asm *a)
{
  const uint8_t *start = begin (a);
  uint8_t *no_vector, *no_x87;

  asm_load (a, 8, RSP, ENV, EXEC_OFF (host_sp));
  asm_alu_mem_imm (a, ALU_CMP, 1, ENV, EXEC_OFF (vector_live), 0);
  no_vector = asm_jcc_short (a, CC_E);
  env_argument (a);
  call_c (a, jit_save_vector);
  asm_bind_short (a, no_vector);
  asm_alu_mem_imm (a, ALU_CMP, 1, ENV, EXEC_OFF (x87_live), 0);
  no_x87 = asm_jcc_short (a, CC_E);
  env_argument (a);
  call_c (a, jit_save_x87);
  asm_bind_short (a, no_x87);
  asm_mov (a, 8, RAX, T0);
  asm_alu_imm (a, ALU_ADD, 8, RSP, 24);
  for (unsigned i = G_N_ELEMENTS (callee_saved); i-- > 0;)
    asm_pop (a, callee_saved[i]);
  asm_ret (a);
  return start;
}

static void
make_exits (VmJit *jit, Asm *a, const uint8_t *leave)
{
  jit->stubs.exit_host = begin (a);
  save_flags (a);
  jit->stubs.exit_slot = asm_pc (a);
  spill (a);
  asm_jmp_to (a, leave);
  asm_bind_to (jit->stubs.bottom, a->rx_offset, jit->stubs.exit_slot);
}

static void
make_callout (VmJit *jit, Asm *a, const uint8_t *leave)
{
  uint8_t *stay, *keep;

  jit->stubs.callout = begin (a);
  spill (a);
  env_argument (a);
  asm_mov (a, 8, RSI, T1);
  call_c (a, jit_callout);
  asm_mov (a, 8, T0, RAX);
  asm_alu (a, 1 /* or */, 8, T0, T0);
  stay = asm_jcc_short (a, CC_NE);
  asm_jmp_to (a, leave);
  asm_bind_short (a, stay);
  asm_op_reg (a, 1, 0xf6, 0, RDX);
  asm_8 (a, RESUME_DROP_STACK);
  keep = asm_jcc_short (a, CC_E);
  asm_load (a, 8, RSP, ENV, EXEC_OFF (host_sp));
  asm_bind_short (a, keep);
  test_variant (a, RDX, VARIANT_VECTOR, jit->stubs.load_vector);
  test_variant (a, RDX, VARIANT_X87, jit->stubs.load_x87);
  reload (a);
  asm_jmp_reg (a, T0);
}

static void
make_faults (VmJit *jit, Asm *a)
{
  jit->stubs.fault_host = begin (a);
  asm_mov (a, 8, T2, T1);
  save_flags (a);
  asm_mov (a, 8, T1, T2);
  jit->stubs.fault_slot = asm_pc (a);
  asm_load (a, 8, RSP, ENV, EXEC_OFF (host_sp));
  asm_jmp_to (a, jit->stubs.callout);
}

/* The vector and x87 registers stay as they are: FUNCTION is built for general registers only. */
static const uint8_t *
make_fill (VmJit *jit, Asm *a, void *(*function) (VmX86Env *, uint64_t, uint32_t), bool soft)
{
  unsigned n = G_N_ELEMENTS (volatile_pinned);
  const uint8_t *start = begin (a);
  uint8_t *fail, *no_vector, *no_x87;

  for (unsigned i = 0; i < n; i++)
    asm_push (a, volatile_pinned[i]);
  asm_load (a, 2, RAX, ENV, EXEC_OFF (vector_live)); /* and x87_live */
  asm_push (a, RAX);
  asm_alu_imm (a, ALU_SUB, 8, RSP, 8); /* 9 + 1 + 1 words and the return address: aligned */
  env_argument (a);
  asm_mov (a, 8, RSI, T0);
  asm_mov (a, 8, RDX, T2);
  call_c (a, function);
  asm_mov (a, 8, T0, RAX);
  asm_alu_imm (a, ALU_ADD, 8, RSP, 8);
  asm_pop (a, RAX);
  asm_op_mem (a, 1, 0x3a, RAX, ENV, -1, 0, EXEC_OFF (vector_live)); /* cmp al, [...] */
  no_vector = asm_jcc_short (a, CC_E);
  asm_call_to (a, jit->stubs.load_vector);
  asm_bind_short (a, no_vector);
  asm_shift (a, SHIFT_SHR, 4, RAX, 8);
  asm_op_mem (a, 1, 0x3a, RAX, ENV, -1, 0, EXEC_OFF (x87_live));
  no_x87 = asm_jcc_short (a, CC_E);
  asm_call_to (a, jit->stubs.load_x87);
  asm_bind_short (a, no_x87);
  for (unsigned i = n; i-- > 0;)
    asm_pop (a, volatile_pinned[i]);
  if (soft)
    {
      asm_ret (a);
      return start;
    }
  asm_alu (a, 1, 8, T0, T0);
  fail = asm_jcc_short (a, CC_E);
  asm_ret (a);
  asm_bind_short (a, fail);
  asm_lea (a, 8, RSP, RSP, 8);
  asm_jmp_to (a, jit->stubs.callout);
  return start;
}

static void
make_load_vector (VmJit *jit, Asm *a)
{
  jit->stubs.load_vector = begin (a);
  for (unsigned i = 0; i < 16; i++)
    {
      int32_t disp = ENV_OFF (ymm) + i * 32;

      if (jit->has_avx) /* vmovups ymm, [r15 + disp] */
        {
          asm_8 (a, 0xc4);
          asm_8 (a, (i >= 8 ? 0 : 0x80) | 0x40 | 0x00 | 1);
          asm_8 (a, 0x7c);
        }
      else
        {
          asm_rex (a, false, i, 0, ENV, false);
          asm_8 (a, 0x0f);
        }
      asm_8 (a, 0x10);
      asm_8 (a, 0x80 | (i & 7) << 3 | (ENV & 7));
      asm_32 (a, disp);
    }
  asm_op_mem (a, 4, 0x0fae, 2, ENV, -1, 0, ENV_OFF (fx.mxcsr)); /* ldmxcsr */
  asm_store_imm (a, 1, 1, ENV, EXEC_OFF (vector_live));
  asm_ret (a);
}

/* XRSTOR of the x87 part alone: the vector registers may be live. Its header bit must say that there is one. */
static void
make_load_x87 (VmJit *jit, Asm *a)
{
  jit->stubs.load_x87 = begin (a);
  asm_push (a, RAX);
  asm_push (a, RDX);
  asm_store_imm (a, 8, 1, ENV, ENV_OFF (fx.xstate_bv));
  asm_store_imm (a, 8, 0, ENV, ENV_OFF (fx.xcomp_bv));
  for (unsigned i = 0; i < 48; i += 8)
    asm_store_imm (a, 8, 0, ENV, ENV_OFF (fx.header_rest) + i);
  asm_mov_imm (a, RAX, 1);
  asm_mov_imm (a, RDX, 0);
  asm_op_mem (a, 8, 0x0fae, 5, ENV, -1, 0, ENV_OFF (fx)); /* xrstor64 */
  asm_store_imm (a, 1, 1, ENV, EXEC_OFF (x87_live));
  asm_pop (a, RDX);
  asm_pop (a, RAX);
  asm_ret (a);
}

/* T0 is the target RIP; flags are saved. Finds the block by linear page, view and offset, and jumps to it or calls
 * it; on a miss leaves with RIP stored. */
void
jit_emit_indirect (const VmJit *jit, Asm *a, unsigned variant, bool with_base, unsigned ctx, bool is_call)
{
  int32_t itlb = EXEC_OFF (itlb) + ctx * sizeof (VmItlbEntry) * VM_ITLB_SIZE;
  const uint8_t *miss = jit->stubs.indirect_miss[variant];

  asm_store (a, 8, T0, ENV, ENV_OFF (rip));
  asm_alu_mem_imm (a, ALU_CMP, 4, ENV, ENV_OFF (poll), 0);
  asm_bind_to (asm_jcc (a, CC_NE), a->rx_offset, miss);
  if (with_base)
    {
      asm_load (a, 8, T1, ENV, ENV_SEG (VM_CS, base));
      asm_lea_index (a, 4, T1, T0, T1, 0, 0);
      asm_mov (a, 4, T2, T1);
      asm_alu_imm (a, ALU_AND, 4, T2, -4096);
      asm_alu (a, ALU_SUB, 8, T0, T1);
      asm_alu (a, ALU_ADD, 8, T0, T2);
      asm_store (a, 8, T0, ENV, SLOT_PC_BASE);
      asm_mov (a, 4, T0, T1);
      asm_alu_imm (a, ALU_AND, 4, T0, 0xfff);
    }
  else
    {
      asm_mov (a, 8, T2, T0);
      asm_alu_imm (a, ALU_AND, 8, T2, -4096);
      asm_store (a, 8, T2, ENV, SLOT_PC_BASE);
      asm_alu_imm (a, ALU_AND, 4, T0, 0xfff);
    }
  asm_mov (a, 8, T1, T2);
  asm_shift (a, SHIFT_SHR, 8, T1, 8);
  asm_alu_imm (a, ALU_AND, 4, T1, (VM_ITLB_SIZE - 1) << 4);
  asm_op_mem (a, 8, 0x3b, T2, ENV, T1, 0, itlb);
  asm_bind_to (asm_jcc (a, CC_NE), a->rx_offset, miss);
  asm_op_mem (a, 8, 0x8b, T1, ENV, T1, 0, itlb + 8);
  asm_alu (a, ALU_OR, 8, T1, T0);
  asm_op_reg (a, 4, 0x69, T0, T1); /* imul t0d, t1d, imm32 */
  asm_32 (a, JUMP_HASH_MUL);
  if (variant)
    {
      asm_mov_imm (a, T2, (uint64_t) variant << 32);
      asm_alu (a, ALU_OR, 8, T1, T2);
    }
  asm_shift (a, SHIFT_SHR, 4, T0, 32 - JUMP_HASH_BITS);
  asm_shift (a, SHIFT_SHL, 4, T0, 4);
  asm_mov_imm (a, T2, (uintptr_t) jit->jump_hash_pc);
  asm_op_mem (a, 8, 0x3b, T1, T2, T0, 0, 0);
  asm_bind_to (asm_jcc (a, CC_NE), a->rx_offset, miss);
  asm_op_mem (a, 4, 0xff, is_call ? 2 : 4, T2, T0, 0, offsetof (JumpEntry, entry));
}

static void
make_indirect_miss (VmJit *jit, Asm *a, unsigned variant)
{
  jit->stubs.indirect_miss[variant] = begin (a);
  asm_mov_imm (a, T0, EXIT_INDIRECT + variant);
  asm_jmp_to (a, jit->stubs.exit_slot);
}

/* Frames that the guest left without returning are skipped, up to three; else the host stack begins anew. */
static void
make_return_other (VmJit *jit, Asm *a, const uint8_t *indirect)
{
  uint8_t *bottom;

  asm_lea (a, 8, T2, RSP, 64);
  asm_alu_mem (a, ALU_CMP, 8, T2, ENV, EXEC_OFF (host_sp));
  bottom = asm_jcc_short (a, CC_A);
  for (unsigned skip = 1; skip <= 3; skip++)
    {
      uint8_t *next;

      asm_alu_mem (a, ALU_CMP, 8, T1, RSP, skip * 16 + 8);
      next = asm_jcc_short (a, CC_NE);
      asm_alu_imm (a, ALU_ADD, 8, RSP, skip * 16);
      asm_ret (a);
      asm_bind_short (a, next);
    }
  asm_bind_short (a, bottom);
  asm_load (a, 8, RSP, ENV, EXEC_OFF (host_sp));
  asm_jmp_to (a, indirect);
}

void
jit_stubs_make (VmJit *jit)
{
  Asm a = { .p = jit->rw, .end = jit->rw + STUBS_SIZE, .rx_offset = jit->rx_offset };
  const uint8_t *leave;

  make_load_vector (jit, &a);
  make_load_x87 (jit, &a);
  make_enter (jit, &a);
  leave = make_leave (&a);
  make_exits (jit, &a, leave);
  make_callout (jit, &a, leave);
  make_faults (jit, &a);
  jit->stubs.fill = make_fill (jit, &a, jit_fill, false);
  jit->stubs.fill_soft = make_fill (jit, &a, jit_fill, true);
  jit->stubs.gather = make_fill (jit, &a, jit_gather, true);
  for (unsigned variant = 0; variant < VARIANTS; variant++)
    make_indirect_miss (jit, &a, variant);
  for (unsigned variant = 0; variant < VARIANTS; variant++)
    for (unsigned with_base = 0; with_base < 2; with_base++)
      for (unsigned ctx = 0; ctx < VM_TLB_CONTEXTS; ctx++)
        {
          jit->stubs.indirect[variant][with_base][ctx] = begin (&a);
          jit_emit_indirect (jit, &a, variant, with_base, ctx, false);
          jit->stubs.return_other[variant][with_base][ctx] = begin (&a);
          make_return_other (jit, &a, jit->stubs.indirect[variant][with_base][ctx]);
        }
  g_assert (a.p < a.end);
}
