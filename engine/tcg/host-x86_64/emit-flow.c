/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Near jumps, calls and returns. */
#include "engine/tcg/host-x86_64/translate.h"

static bool
same_page (int32_t target)
{
  return target >= 0 && target < VM_PAGE_SIZE;
}

bool
tr_is_flow (const Tr *tr, const VmInsn *insn)
{
  unsigned width = IS64 (tr) ? 8 : tr->mode & VM_MODE_CS32 ? 4 : 2;

  switch (tr_row (insn)->op)
    {
    case VM_OP_JCC: case VM_OP_JMP: case VM_OP_CALL: case VM_OP_RET: case VM_OP_JMP_IND: case VM_OP_CALL_IND:
    case VM_OP_LOOP: case VM_OP_JCXZ:
      /* An operand size that is not the segment's cuts RIP: rare. */
      return insn->opsize == width && !(insn->addrsize == 2 && tr_row (insn)->op == VM_OP_JCXZ && IS64 (tr));
    default:
      return false;
    }
}

/* --- to another page ----------------------------------------------------------------------------- */

/* Goes on at LINK's target when the page there is the one it was linked to. Flags are in the slot. */
void
tr_cross_check (Tr *tr, Asm *a, VmBlockLink *link, uint8_t *miss[2])
{
  int32_t itlb = EXEC_OFF (itlb) + tr->ctx * sizeof (VmItlbEntry) * VM_ITLB_SIZE;
  int32_t page = link->target & ~0xfff;
  bool is_64 = IS64 (tr), with_base = !is_64 && !(tr->mode & VM_MODE_FLAT_CS);
  unsigned linear = with_base ? T2 : T0;

  asm_load (a, is_64 ? 8 : 4, T0, ENV, SLOT_PC_BASE);
  asm_lea (a, is_64 ? 8 : 4, T0, T0, page);
  if (with_base)
    {
      asm_load (a, 4, T2, ENV, ENV_SEG (VM_CS, base));
      asm_lea_index (a, 4, T2, T0, T2, 0, 0);
    }
  asm_mov (a, 4, T1, linear);
  asm_shift (a, SHIFT_SHR, 4, T1, VM_PAGE_SHIFT - 4);
  asm_alu_imm (a, ALU_AND, 4, T1, (VM_ITLB_SIZE - 1) << 4);
  asm_op_mem (a, 8, 0x3b, linear, ENV, T1, 0, itlb);
  miss[0] = asm_jcc (a, CC_NE);
  asm_op_mem (a, 4, 0x81, ALU_CMP, ENV, T1, 0, itlb + offsetof (VmItlbEntry, id));
  asm_32 (a, 0);
  link->patch_id = a->p - 4;
  miss[1] = asm_jcc (a, CC_NE);
  asm_store (a, 8, T0, ENV, SLOT_PC_BASE);
  link->patch = asm_jmp (a);
  link->patch_pc = asm_pc (a);
}

void
tr_check_next_page (Tr *tr)
{
  Asm *a = &tr->a;
  int32_t itlb = EXEC_OFF (itlb) + tr->ctx * sizeof (VmItlbEntry) * VM_ITLB_SIZE;
  bool is_64 = IS64 (tr), with_base = !is_64 && !(tr->mode & VM_MODE_FLAT_CS);

  tr_clobber_flags (tr);
  asm_load (a, is_64 ? 8 : 4, T0, ENV, SLOT_PC_BASE);
  asm_lea (a, is_64 ? 8 : 4, T0, T0, VM_PAGE_SIZE);
  if (with_base)
    {
      asm_load (a, 4, T1, ENV, ENV_SEG (VM_CS, base));
      asm_lea_index (a, 4, T0, T0, T1, 0, 0);
    }
  asm_mov (a, 4, T1, T0);
  asm_shift (a, SHIFT_SHR, 4, T1, VM_PAGE_SHIFT - 4);
  asm_alu_imm (a, ALU_AND, 4, T1, (VM_ITLB_SIZE - 1) << 4);
  asm_op_mem (a, 8, 0x3b, T0, ENV, T1, 0, itlb);
  tr_callout_at (tr, asm_jcc (a, CC_NE));
  asm_op_mem (a, 4, 0x81, ALU_CMP, ENV, T1, 0, itlb + offsetof (VmItlbEntry, id));
  asm_32 (a, tr->next_view->id << VM_PAGE_SHIFT);
  tr_callout_at (tr, asm_jcc (a, CC_NE));
}

/* --- direct jumps -------------------------------------------------------------------------------- */

static bool
wraps_16 (const Tr *tr)
{
  return !(tr->mode & (VM_MODE_CS64 | VM_MODE_CS32));
}

static VmBlockLink *
new_link (Tr *tr, int32_t target)
{
  VmBlockLink *link = tr_link (tr, target);

  link->wraps_16 = wraps_16 (tr);
  return link;
}

/* The flags where a linked block will look for them. */
static void
settle_flags (Tr *tr, bool into_slot)
{
  if (into_slot)
    tr_flags_to_slot (tr);
  else if (!tr->flags.host && !tr->flags.slot)
    tr_need_flags (tr, VM_ARITH_FLAGS);
}

static void
emit_poll (Tr *tr, VmBlockLink *link)
{
  asm_alu_mem_imm (&tr->a, ALU_CMP, 4, ENV, ENV_OFF (poll), 0);
  tr_cold (tr, COLD_EXIT, asm_jcc (&tr->a, CC_NE))->link = link;
}

void
tr_check_events (Tr *tr, bool in_shadow)
{
  const TrInsn *t = &tr->insn[tr->at];
  VmBlockLink *link = new_link (tr, t->offset + t->insn.len);
  Cold *cold;

  if (t->live_out)
    settle_flags (tr, true);
  link->flags_saved = true;
  asm_alu_mem_imm (&tr->a, ALU_CMP, 4, ENV, ENV_OFF (request), 0);
  cold = tr_cold (tr, COLD_LEAVE, asm_jcc (&tr->a, CC_NE));
  cold->link = link;
  cold->info = in_shadow;
  tr->flags.host = false;
}

void
tr_jump (Tr *tr, int32_t target, bool backward)
{
  Asm *a = &tr->a;
  VmBlockLink *link = new_link (tr, target);
  bool dead = tr_flags_dead_at (tr, target);

  if (same_page (target))
    {
      if (backward && !dead)
        settle_flags (tr, true);
      else if (!dead)
        settle_flags (tr, false);
      link->flags_saved = dead ? false : backward ? true : !tr->flags.host;
      if (dead && !tr->flags.host && tr->flags.slot)
        link->flags_saved = true;
      if (backward)
        emit_poll (tr, link);
      link->patch = asm_jmp (a);
      link->patch_pc = asm_pc (a);
      tr_cold (tr, COLD_EXIT, NULL)->link = link;
    }
  else
    {
      uint8_t *miss[2];

      settle_flags (tr, true);
      link->flags_saved = true;
      if (backward)
        emit_poll (tr, link);
      tr_cross_check (tr, a, link, miss);
      tr_cold (tr, COLD_EXIT, miss[0])->link = link;
      tr_cold (tr, COLD_EXIT, miss[1])->link = link;
    }
}

/* Jumps to TARGET when the condition holds; flags are in the host register. */
static void
jump_if (Tr *tr, unsigned cc, int32_t target, bool backward)
{
  Asm *a = &tr->a;
  VmBlockLink *link = new_link (tr, target);
  bool dead = tr_flags_dead_at (tr, target);

  if (!same_page (target))
    {
      Cold *cold;

      if (backward)
        {
          uint8_t *over = asm_jcc (a, cc ^ 1);
          TrFlags before = tr->flags;
          uint8_t *miss[2];

          settle_flags (tr, true);
          link->flags_saved = true;
          emit_poll (tr, link);
          tr_cross_check (tr, a, link, miss);
          tr_cold (tr, COLD_EXIT, miss[0])->link = link;
          tr_cold (tr, COLD_EXIT, miss[1])->link = link;
          asm_bind (a, over);
          tr->flags = before;
          return;
        }
      link->flags_saved = true;
      cold = tr_cold (tr, COLD_CROSS, asm_jcc (a, cc));
      cold->link = link;
      cold->flags_dead = dead;
      return;
    }
  if (!backward)
    {
      link->patch = asm_jcc (a, cc);
      link->patch_pc = asm_pc (a);
      tr_cold (tr, COLD_EXIT, NULL)->link = link;
      return;
    }
  {
    uint8_t *over = asm_jcc_short (a, cc ^ 1);
    TrFlags before = tr->flags;

    if (!dead)
      {
        settle_flags (tr, true);
        link->flags_saved = true;
      }
    asm_alu_mem_imm (a, ALU_CMP, 4, ENV, ENV_OFF (poll), 0);
    link->patch = asm_jcc (a, CC_E);
    link->patch_pc = asm_pc (a);
    tr_cold (tr, COLD_EXIT, asm_jmp (a))->link = link;
    asm_bind_short (a, over);
    tr->flags = before;
  }
}

static int32_t
target_of (const TrInsn *t)
{
  return (int32_t) t->offset + t->insn.len + (int32_t) t->insn.imm;
}

/* LOOP, JCXZ: their tests spoil the flags, so those are saved. */
static void
emit_counter (Tr *tr, TrInsn *t, bool decrement)
{
  Asm *a = &tr->a;
  unsigned size = t->insn.addrsize;
  int32_t target = target_of (t);
  VmBlockLink *link;
  uint8_t *over, *miss[2];
  TrFlags before;

  tr_flags_to_slot (tr);
  if (decrement)
    asm_alu_imm (a, ALU_SUB, size, RCX, 1);
  else
    asm_op_reg (a, size, 0x85, RCX, RCX);
  tr->flags = (TrFlags) { .slot = true };
  over = asm_jcc (a, decrement ? CC_E : CC_NE);
  before = tr->flags;
  link = new_link (tr, target);
  link->flags_saved = true;
  emit_poll (tr, link);
  if (same_page (target))
    {
      link->patch = asm_jmp (a);
      link->patch_pc = asm_pc (a);
      tr_cold (tr, COLD_EXIT, NULL)->link = link;
    }
  else
    {
      tr_cross_check (tr, a, link, miss);
      tr_cold (tr, COLD_EXIT, miss[0])->link = link;
      tr_cold (tr, COLD_EXIT, miss[1])->link = link;
    }
  asm_bind (a, over);
  tr->flags = before;
}

/* --- calls, returns, indirect jumps --------------------------------------------------------------- */

/* Calls are paired with their returns on the host's own stack, so that its return predictor works for the guest:
 * a call pushes the return RIP it expects and calls; a return that finds the RIP it loaded there returns. The
 * variant is mixed in, because the code behind the call expects its own. Whenever generated code is left, the
 * host stack is dropped. */
#define VARIANT_TAG(variant) ((uint64_t) (variant) << 56)

/* RIP behind the present instruction into REG. */
static void
next_rip (Tr *tr, unsigned reg)
{
  const TrInsn *t = &tr->insn[tr->at];

  asm_load (&tr->a, 8, reg, ENV, SLOT_PC_BASE);
  asm_lea (&tr->a, IS64 (tr) ? 8 : 4, reg, reg, t->offset + t->insn.len);
}

static const uint8_t *
indirect_stub (const Tr *tr)
{
  bool with_base = !IS64 (tr) && !(tr->mode & VM_MODE_FLAT_CS);

  return tr->jit->stubs.indirect[tr->variant][with_base][tr->ctx];
}

/* In line, so that the host's predictor learns each site for itself. */
static void
indirect (Tr *tr, bool is_call)
{
  bool with_base = !IS64 (tr) && !(tr->mode & VM_MODE_FLAT_CS);

  jit_emit_indirect (tr->jit, &tr->a, tr->variant, with_base, tr->ctx, is_call);
}

/* The operand of an indirect jump or call in T0. */
static void
load_target (Tr *tr, const VmInsn *insn)
{
  unsigned size = insn->opsize;

  if (insn->flags & VM_INSN_MEM)
    {
      tr_load_zx (tr, size, T0, tr_memory (tr, insn, size, VM_ACCESS_READ));
      return;
    }
  tr_get (tr, T0, insn->rm);
  if (size < 8)
    asm_movzx (&tr->a, size, T0, T0);
}

/* Pushes the return address for the guest, and for the host with what it has to match. A guest that calls and calls
 * finds its events where the host's stack begins anew: it leaves by LINK (NULL: what follows looks itself). */
static void
push_return (Tr *tr, unsigned size, VmBlockLink *link)
{
  Asm *a = &tr->a;
  uint8_t *deep;
  TrMem m = tr_stack (tr, -(int) size, size, VM_ACCESS_WRITE);

  next_rip (tr, T1);
  tr_store (tr, size, T1, m);
  if (IS64 (tr))
    tr_stack_adjust (tr, -(int) size);
  else
    {
      asm_mov (a, 4, T2, T1);
      tr_stack_adjust (tr, -(int) size); /* may use T1 */
      asm_movzx (a, size, T1, T2);
    }
  asm_alu_mem (a, ALU_CMP, 8, RSP, ENV, EXEC_OFF (return_limit));
  deep = asm_jcc_short (a, CC_A);
  asm_load (a, 8, RSP, ENV, EXEC_OFF (host_sp));
  if (link)
    emit_poll (tr, link);
  asm_bind_short (a, deep);
  if (tr->variant)
    {
      asm_mov_imm (a, T2, VARIANT_TAG (tr->variant));
      asm_alu (a, ALU_XOR, 8, T1, T2);
    }
  asm_push (a, T1);
}

/* Where the host's return comes back: T0 is the guest's return RIP. Goes on behind the call. */
static void
landing_pad (Tr *tr)
{
  Asm *a = &tr->a;
  const TrInsn *t = &tr->insn[tr->at];
  int32_t next = t->offset + t->insn.len;

  asm_lea (a, 8, RSP, RSP, 8);
  asm_lea (a, IS64 (tr) ? 8 : 4, T0, T0, -next);
  asm_store (a, 8, T0, ENV, SLOT_PC_BASE);
  tr->flags = (TrFlags) { .slot = true };
  tr_jump (tr, next, false);
}

static void
call_next (Tr *tr, unsigned size)
{
  TrMem m = tr_stack (tr, -(int) size, size, VM_ACCESS_WRITE);
  int32_t next;

  next_rip (tr, T1);
  tr_store (tr, size, T1, m);
  tr_stack_adjust (tr, -(int) size);
  next = tr->insn[tr->at].offset + tr->insn[tr->at].insn.len;
  tr_jump (tr, next, !IS64 (tr) && !same_page (next));
}

static void
emit_call (Tr *tr, VmBlockLink *link)
{
  Asm *a = &tr->a;

  if (same_page (link->target))
    {
      link->patch = asm_call (a);
      link->patch_pc = asm_pc (a);
      tr_cold (tr, COLD_EXIT, NULL)->link = link;
    }
  else
    {
      /* Called as a piece, so that its jump keeps the return address. */
      uint8_t *piece = asm_call (a);
      uint8_t *over = asm_jmp (a);
      uint8_t *miss[2];

      asm_bind (a, piece);
      tr_cross_check (tr, a, link, miss);
      tr_cold (tr, COLD_EXIT, miss[0])->link = link;
      tr_cold (tr, COLD_EXIT, miss[1])->link = link;
      asm_bind (a, over);
    }
}

static void
emit_ret (Tr *tr, const VmInsn *insn)
{
  unsigned size = insn->opsize, extra = insn->opcode == 0xc2 ? (uint16_t) insn->imm : 0;
  bool with_base = !IS64 (tr) && !(tr->mode & VM_MODE_FLAT_CS);
  Asm *a = &tr->a;

  tr_load_zx (tr, size, T0, tr_stack (tr, 0, size, VM_ACCESS_READ));
  tr_stack_adjust (tr, size + extra);
  if (tr->variant)
    {
      asm_mov_imm (a, T1, VARIANT_TAG (tr->variant));
      asm_alu (a, ALU_XOR, 8, T1, T0);
    }
  else
    asm_mov (a, 8, T1, T0);
  asm_alu_mem_imm (a, ALU_CMP, 4, ENV, ENV_OFF (poll), 0);
  asm_bind_to (asm_jcc (a, CC_NE), a->rx_offset, indirect_stub (tr));
  asm_alu_mem (a, ALU_CMP, 8, T1, RSP, 8);
  asm_bind_to (asm_jcc (a, CC_NE), a->rx_offset, tr->jit->stubs.return_other[tr->variant][with_base][tr->ctx]);
  asm_ret (a);
}

bool
tr_flow (Tr *tr, TrInsn *t)
{
  const VmInsn *insn = &t->insn;
  int32_t target = target_of (t);
  /* Outside of 64-bit code the way forward leads back over the end of the segment. */
  bool backward = target <= t->offset || (!IS64 (tr) && !same_page (target)), flags_dead;
  unsigned size = insn->opsize;
  VmBlockLink *link;

  switch (tr_row (insn)->op)
    {
    case VM_OP_JCC:
      tr_need_flags (tr, VM_ARITH_FLAGS);
      tr->flags.host = true;
      jump_if (tr, insn->opcode & 15, target, backward);
      return true;
    case VM_OP_LOOP:
      emit_counter (tr, t, true);
      return true;
    case VM_OP_JCXZ:
      emit_counter (tr, t, false);
      return true;
    case VM_OP_JMP:
      tr_jump (tr, target, backward);
      return false;
    case VM_OP_CALL:
      flags_dead = tr_flags_dead_at (tr, target);
      if (flags_dead)
        t->live_in = t->live_out = 0;
      else
        tr_flags_to_slot (tr);
      if (insn->imm == 0)
        {
          /* CALL to the next instruction reads the program counter: nothing ever returns. */
          call_next (tr, size);
          return false;
        }
      link = new_link (tr, target);
      link->flags_saved = !flags_dead || !same_page (target);
      push_return (tr, size, link);
      emit_call (tr, link);
      landing_pad (tr);
      return false;
    case VM_OP_RET:
      tr_flags_to_slot (tr);
      emit_ret (tr, insn);
      return false;
    case VM_OP_JMP_IND:
      tr_flags_to_slot (tr);
      load_target (tr, insn);
      indirect (tr, false);
      return false;
    case VM_OP_CALL_IND:
      tr_flags_to_slot (tr);
      load_target (tr, insn);
      asm_store (&tr->a, 8, T0, ENV, SLOT_VALUE);
      push_return (tr, size, NULL);
      asm_load (&tr->a, 8, T0, ENV, SLOT_VALUE);
      indirect (tr, true);
      landing_pad (tr);
      return false;
    default:
      g_assert_not_reached ();
    }
}
