/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guest addresses: effective address, segment checks, the inline TLB probe, stack accesses. */
#include "engine/tcg/host-x86_64/translate.h"

void
tr_get (Tr *tr, unsigned host, unsigned guest)
{
  int reg = tr_host_reg (guest);

  if (reg < 0)
    asm_load (&tr->a, 8, host, ENV, ENV_GPR (guest));
  else if ((unsigned) reg != host)
    asm_mov (&tr->a, 8, host, reg);
}

void
tr_put (Tr *tr, unsigned guest, unsigned host)
{
  int reg = tr_host_reg (guest);

  if (reg < 0)
    asm_store (&tr->a, 8, host, ENV, ENV_GPR (guest));
  else if ((unsigned) reg != host)
    asm_mov (&tr->a, 8, reg, host);
}

void
tr_put_sized (Tr *tr, unsigned guest, unsigned host, unsigned size)
{
  int reg = tr_host_reg (guest);

  if (reg >= 0)
    asm_mov (&tr->a, size, reg, host);
  else if (size == 4)
    {
      asm_mov (&tr->a, 4, host, host);
      asm_store (&tr->a, 8, host, ENV, ENV_GPR (guest));
    }
  else
    asm_store (&tr->a, size, host, ENV, ENV_GPR (guest));
}

/* A base or index register: itself, or loaded into SPARE. */
static unsigned
address_reg (Tr *tr, unsigned guest, unsigned spare)
{
  int reg = tr_host_reg (guest);

  if (reg >= 0)
    return reg;
  asm_load (&tr->a, 8, spare, ENV, ENV_GPR (guest));
  return spare;
}

static unsigned
log2_of (unsigned scale)
{
  return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
}

/* base + index * scale + disp into register TO, SIZE bytes wide. */
static void
emit_lea (Tr *tr, const VmInsn *insn, unsigned to, unsigned size)
{
  Asm *a = &tr->a;
  bool has_index = insn->index != VM_REG_NONE;
  unsigned index = has_index ? address_reg (tr, insn->index, T1) : 0;

  if (insn->base == VM_REG_RIP)
    {
      unsigned next = tr->insn[tr->at].offset + insn->len;

      asm_load (a, 8, to, ENV, SLOT_PC_BASE);
      if (insn->disp > INT32_MAX - 8192)
        {
          asm_lea (a, 8, to, to, next);
          next = 0;
        }
      asm_lea (a, size, to, to, insn->disp + (int32_t) next);
    }
  else if (insn->base != VM_REG_NONE)
    {
      unsigned base = address_reg (tr, insn->base, to == T0 ? T0 : T2);

      if (has_index)
        asm_lea_index (a, size, to, base, index, log2_of (insn->scale), insn->disp);
      else if (insn->disp == 0 && size >= 4)
        asm_mov (a, size, to, base);
      else
        asm_lea (a, size, to, base, insn->disp);
    }
  else if (has_index)
    asm_lea_no_base (a, size, to, index, log2_of (insn->scale), insn->disp);
  else
    asm_mov_imm (a, to, size == 8 ? (uint64_t) (int64_t) insn->disp : (uint32_t) insn->disp);
}

void
tr_offset (Tr *tr, const VmInsn *insn)
{
  emit_lea (tr, insn, T0, insn->addrsize == 8 ? 8 : 4);
  if (insn->addrsize == 2)
    asm_movzx (&tr->a, 2, T0, T0);
}

void
tr_segment (Tr *tr, unsigned seg, unsigned size, unsigned access)
{
  Asm *a = &tr->a;
  bool is_data = seg == VM_SS || seg == VM_DS || seg == VM_ES;

  if (IS64 (tr))
    {
      if (seg == VM_FS || seg == VM_GS)
        {
          asm_load (a, 8, T1, ENV, ENV_SEG (seg, base));
          asm_lea_index (a, 8, T0, T0, T1, 0, 0);
        }
      return;
    }
  if ((is_data && tr->mode & VM_MODE_FLAT_DATA) ||
      (seg == VM_CS && tr->mode & VM_MODE_FLAT_CS && access == VM_ACCESS_READ))
    return;
  asm_lea (a, 8, T1, T0, size);
  asm_alu_mem (a, ALU_CMP, 8, T1, ENV,
               EXEC_OFF (seg_end) + (seg * 2 + (access == VM_ACCESS_WRITE)) * sizeof (uint64_t));
  tr_callout_at (tr, asm_jcc (a, CC_A));
  if (is_data && tr->mode & VM_MODE_DS_ES_ZERO)
    return;
  asm_load (a, 8, T1, ENV, ENV_SEG (seg, base));
  asm_lea_index (a, 4, T0, T0, T1, 0, 0);
}

void
tr_probe (Tr *tr, unsigned size, unsigned access)
{
  Asm *a = &tr->a;
  int32_t table = TCG_OFF (tlb) + tr->ctx * sizeof (VmTlb) +
                  (access == VM_ACCESS_WRITE ? offsetof (VmTlb, write) : offsetof (VmTlb, read));
  Cold *cold;

  asm_mov (a, 4, T1, T0);
  asm_shift (a, SHIFT_SHR, 4, T1, VM_PAGE_SHIFT - 4);
  if (size == 1)
    asm_mov (a, 8, T2, T0);
  else
    asm_lea (a, 8, T2, T0, size - 1);
  asm_alu_imm (a, ALU_AND, 4, T1, (VM_TLB_SIZE - 1) << 4);
  asm_alu_imm (a, ALU_AND, 8, T2, -4096);
  asm_op_mem (a, 8, 0x3b, T2, ENV, T1, 0, table);
  cold = tr_cold (tr, COLD_FILL, asm_jcc (a, CC_NE));
  asm_op_mem (a, 8, 0x03, T0, ENV, T1, 0, table + offsetof (VmTlbEntry, addend));
  cold->back = asm_pc (a);
  cold->site = tr_site (tr);
  cold->info = FILL_INFO (size, access, tr->ctx);
}

/* --- shared checks ------------------------------------------------------------------------------- */

/* The check of a whole group, made at its first access, which is DISP from guest register BASE and OFFSET from the
 * root. Leaves in T0 and the slot what to add to a linear address. When it fails for good the block's plain
 * twin goes on: each of its accesses for itself. */
static void
check_group (Tr *tr, TrGroup *g, unsigned base, int32_t disp, int64_t offset)
{
  Asm *a = &tr->a;
  unsigned width = IS64 (tr) ? 8 : 4, access = g->is_write ? VM_ACCESS_WRITE : VM_ACCESS_READ;
  int32_t table = TCG_OFF (tlb) + tr->ctx * sizeof (VmTlb) +
                  (g->is_write ? offsetof (VmTlb, write) : offsetof (VmTlb, read));
  int32_t low = disp - (int32_t) (offset - g->low);
  const uint8_t *again;
  Cold *cold;

  if (tr->insn[tr->at].live_in)
    tr_flags_to_slot (tr);
  tr_clobber_flags (tr);
  again = asm_pc (a);
  asm_lea (a, width, T0, address_reg (tr, base, T0), low);
  asm_mov (a, 4, T1, T0);
  asm_shift (a, SHIFT_SHR, 4, T1, VM_PAGE_SHIFT - 4);
  asm_lea (a, 8, T2, T0, g->high - g->low - 1);
  asm_alu_imm (a, ALU_AND, 4, T1, (VM_TLB_SIZE - 1) << 4);
  asm_alu_imm (a, ALU_AND, 8, T2, -4096);
  asm_op_mem (a, 8, 0x3b, T2, ENV, T1, 0, table);
  cold = tr_cold (tr, COLD_GROUP, asm_jcc (a, CC_NE));
  cold->back = again;
  cold->info = FILL_INFO (g->high - g->low, access, tr->ctx);
  cold->link = tr_link (tr, tr->insn[tr->at].offset);
  cold->link->variant |= VARIANT_PLAIN;
  cold->link->flags_saved = true;
  asm_op_mem (a, 8, 0x8b, T0, ENV, T1, 0, table + offsetof (VmTlbEntry, addend));
  asm_store (a, 8, T0, ENV, SLOT_GROUP (g->slot));
  g->done = true;
}

static TrMem
group_memory (Tr *tr, TrGroup *g, unsigned base, int32_t disp, int64_t offset)
{
  Asm *a = &tr->a;
  int reg = tr_host_reg (base);

  if (!g->done)
    check_group (tr, g, base, disp, offset);
  else
    asm_load (a, 8, T0, ENV, SLOT_GROUP (g->slot));
  if (IS64 (tr) && reg >= 0)
    return (TrMem) { .base = reg, .index = T0, .disp = disp };
  if (IS64 (tr))
    {
      asm_load (a, 8, T1, ENV, ENV_GPR (base));
      asm_lea_index (a, 8, T0, T0, T1, 0, 0);
      return (TrMem) { .base = T0, .index = -1, .disp = disp };
    }
  asm_lea (a, 4, T1, reg, disp); /* wraps as the guest's addresses do */
  asm_lea_index (a, 8, T0, T0, T1, 0, 0);
  return (TrMem) { .base = T0, .index = -1 };
}

TrMem
tr_memory (Tr *tr, const VmInsn *insn, unsigned size, unsigned access)
{
  TrInsn *t = &tr->insn[tr->at];

  if (t->group)
    return group_memory (tr, &tr->group[t->group - 1], insn->base, insn->disp, t->group_offset);
  tr_clobber_flags (tr);
  tr_offset (tr, insn);
  tr_segment (tr, insn->seg, size, access);
  tr_probe (tr, size, access);
  return (TrMem) { .base = T0, .index = -1 };
}

TrMem
tr_stack (Tr *tr, int delta, unsigned size, unsigned access)
{
  Asm *a = &tr->a;
  TrInsn *t = &tr->insn[tr->at];
  unsigned width = IS64 (tr) ? 8 : 4;

  if (t->stack_group)
    return group_memory (tr, &tr->group[t->stack_group - 1], VM_RSP, delta, t->stack_group_offset);
  tr_clobber_flags (tr);
  if (delta)
    asm_lea (a, width, T0, GUEST_RSP, delta);
  else
    asm_mov (a, width, T0, GUEST_RSP);
  if (!IS64 (tr) && !(tr->mode & VM_MODE_SS32))
    asm_movzx (a, 2, T0, T0);
  tr_segment (tr, VM_SS, size, access);
  tr_probe (tr, size, access);
  return (TrMem) { .base = T0, .index = -1 };
}

void
tr_stack_adjust (Tr *tr, int delta)
{
  Asm *a = &tr->a;

  if (IS64 (tr))
    asm_lea (a, 8, GUEST_RSP, GUEST_RSP, delta);
  else if (tr->mode & VM_MODE_SS32)
    asm_lea (a, 4, GUEST_RSP, GUEST_RSP, delta);
  else
    {
      asm_lea (a, 4, T1, GUEST_RSP, delta);
      asm_mov (a, 2, GUEST_RSP, T1);
    }
}
