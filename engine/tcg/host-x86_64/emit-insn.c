/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Instructions inside a block: those passed through with other registers or another memory operand, and the
 * special ones. */
#include "engine/tcg/host-x86_64/translate.h"

unsigned
jit_operand_bytes (const VmInsn *insn, unsigned size)
{
  unsigned vector = insn->flags & VM_INSN_VEX_L ? 32 : 16;

  switch (size)
    {
    case VM_SIZE_B: return 1;
    case VM_SIZE_W: return 2;
    case VM_SIZE_D: case VM_SIZE_SS: return 4;
    case VM_SIZE_Q: case VM_SIZE_SD: return 8;
    case VM_SIZE_V: return insn->opsize;
    case VM_SIZE_Z: return insn->opsize == 2 ? 2 : 4;
    case VM_SIZE_Y: return insn->opsize == 8 ? 8 : 4;
    case VM_SIZE_X: case VM_SIZE_PS: case VM_SIZE_PD: return vector;
    case VM_SIZE_DQ: return 16;
    case VM_SIZE_QQ: return 32;
    case VM_SIZE_H: return vector / 2;
    case VM_SIZE_F: return vector / 4;
    case VM_SIZE_E: return vector / 8;
    case VM_SIZE_T: return 10;
    default: return 0;
    }
}

/* --- registers of a passed-through instruction --------------------------------------------------- */

typedef struct Regs {
  uint8_t guest[3], host[3];
  bool    load[3], store[3];
  unsigned n;
} Regs;

/* The host register for guest GPR N; those kept in memory get a scratch register. */
static uint8_t
map_gpr (Regs *r, unsigned n, bool load, bool store, bool has_memory)
{
  static const uint8_t scratch[2][3] = { { T0, T1, T2 }, { T1, T2, 0 } };
  int reg = tr_host_reg (n);
  unsigned i;

  if (reg >= 0)
    return reg;
  for (i = 0; i < r->n; i++)
    if (r->guest[i] == n)
      break;
  if (i == r->n)
    {
      r->guest[i] = n;
      r->host[i] = scratch[has_memory][i];
      r->n++;
    }
  r->load[i] |= load;
  r->store[i] |= store;
  return r->host[i];
}

static void
map_operand (Regs *r, const VmInsn *insn, const VmOperandSpec *spec, VmHostOperands *ops)
{
  uint8_t *field;
  bool partial = spec->size == VM_SIZE_B || spec->size == VM_SIZE_W ||
                 ((spec->size == VM_SIZE_V || spec->size == VM_SIZE_Z) && insn->opsize < 4);

  switch (spec->kind)
    {
    case VM_OPND_G: case VM_OPND_Z:
      field = &ops->reg;
      break;
    case VM_OPND_E: case VM_OPND_R:
      if (ops->mem)
        return;
      field = &ops->rm;
      break;
    case VM_OPND_B:
      field = &ops->vvvv;
      break;
    default:
      return;
    }
  if (!(*field & VM_HOST_HIGH_BYTE))
    *field = map_gpr (r, *field, spec->access & 1 || partial, spec->access & 2, ops->mem);
}

static const VmOperandSpec *
memory_operand (const VmInsnRow *row)
{
  for (unsigned i = 0; i < row->n_operands; i++)
    switch (row->operand[i].kind)
      {
      case VM_OPND_E: case VM_OPND_M: case VM_OPND_W: case VM_OPND_Q:
        return &row->operand[i];
      default:
        break;
      }
  return NULL;
}

/* AH..BH beside a register that needs REX: swap with the low byte around the instruction. */
static bool
emit_host (Tr *tr, const VmInsn *insn, VmHostOperands *ops)
{
  Asm *a = &tr->a;
  unsigned n = vm_emit_insn (a->p, insn, ops);
  uint8_t *field, low, swap;

  if (n)
    {
      a->p += n;
      return true;
    }
  if (tr_row (insn)->op == VM_OP_CMPXCHG)
    return false;
  field = ops->reg & VM_HOST_HIGH_BYTE ? &ops->reg : ops->rm & VM_HOST_HIGH_BYTE ? &ops->rm : NULL;
  if (field == NULL)
    return false;
  low = *field & 3;
  swap = 0xc0 | (low + 4) << 3 | low;
  *field = low;
  asm_8 (a, 0x86), asm_8 (a, swap);
  n = vm_emit_insn (a->p, insn, ops);
  if (n == 0)
    {
      a->p -= 2;
      return false;
    }
  a->p += n;
  asm_8 (a, 0x86), asm_8 (a, swap);
  return true;
}

/* Vector and x87 registers have to be the guest's from here on. */
static void
need_state (Tr *tr, const VmInsnRow *row)
{
  unsigned bit = 0;

  if (row->attrs & (VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX))
    bit |= VARIANT_VECTOR;
  if (row->attrs & (VM_ATTR_STATE_X87 | VM_ATTR_STATE_MMX))
    bit |= VARIANT_X87;
  for (unsigned i = 0; i < row->n_operands; i++)
    if (row->operand[i].kind == VM_OPND_P || row->operand[i].kind == VM_OPND_Q || row->operand[i].kind == VM_OPND_N)
      bit |= VARIANT_X87;
  if (bit & ~tr->variant & VARIANT_VECTOR)
    asm_call_to (&tr->a, tr->jit->stubs.load_vector);
  if (bit & ~tr->variant & VARIANT_X87)
    asm_call_to (&tr->a, tr->jit->stubs.load_x87);
  tr->variant |= bit;
}

/* With one processor LOCK only costs; but Linux's memory barrier towards devices is a locked operation on the
 * stack. */
static bool
keeps_lock (const Tr *tr, const VmInsn *insn)
{
  return insn->flags & VM_INSN_LOCK && (!tr->jit->single_cpu || insn->base == VM_RSP);
}

static bool
uses_fpu (const VmInsnRow *row)
{
  return row->attrs & (VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX | VM_ATTR_STATE_X87 | VM_ATTR_STATE_MMX);
}

/* What emission changed, to be undone when it turns out not to work. */
typedef struct Mark {
  uint8_t *p;
  TrFlags  flags;
  JitSite *site;
  unsigned n_cold, n_sites, n_links, variant;
  uint32_t groups_done;
} Mark;

static Mark
mark (const Tr *tr)
{
  Mark m = { .p = tr->a.p, .flags = tr->flags, .site = tr->site, .n_cold = tr->n_cold,
             .n_sites = tr->block->n_sites, .n_links = tr->block->n_links, .variant = tr->variant };

  for (unsigned i = 0; i < tr->n_groups; i++)
    m.groups_done |= (uint32_t) tr->group[i].done << i;
  return m;
}

static void
go_back (Tr *tr, const Mark *m)
{
  tr->a.p = m->p;
  tr->flags = m->flags;
  tr->site = m->site;
  tr->n_cold = m->n_cold;
  tr->block->n_sites = m->n_sites;
  tr->block->n_links = m->n_links;
  for (unsigned i = 0; i < tr->n_groups; i++)
    tr->group[i].done = m->groups_done >> i & 1;
  tr->variant = m->variant;
}

static bool
has_high_byte (const VmHostOperands *ops)
{
  return ops->reg & VM_HOST_HIGH_BYTE || ops->rm & VM_HOST_HIGH_BYTE;
}

unsigned
tr_access (const VmInsn *insn)
{
  const VmOperandSpec *memory = memory_operand (tr_row (insn));

  return (memory && memory->access & 2) || insn->flags & VM_INSN_LOCK ? VM_ACCESS_WRITE : VM_ACCESS_READ;
}

/* Passes INSN through. */
static bool
pass (Tr *tr, const TrInsn *t, const VmInsn *insn)
{
  const VmInsnRow *row = tr_row (insn);
  uint32_t written = (row->flags_written | row->flags_undefined) & VM_ARITH_FLAGS;
  uint32_t wanted = vm_insn_flags_read (insn) & VM_ARITH_FLAGS;
  VmHostOperands ops;
  Regs regs = { 0 };
  const Mark before = mark (tr);
  unsigned size = 0;

  vm_host_operands_init (&ops, insn);
  if (written)
    wanted |= t->live_out & ~tr_flags_killed (insn);
  wanted &= t->live_in;
  if (row->attrs & VM_ATTR_VSIB)
    return false;
  if (ops.mem)
    {
      const VmOperandSpec *memory = memory_operand (row);

      size = memory ? jit_operand_bytes (insn, memory->size) : 0;
      if (size == 0)
        return false;
    }
  need_state (tr, row);
  if (ops.mem)
    {
      unsigned access = tr_access (insn);

      TrMem m = tr_memory (tr, insn, size, access);

      if (m.index >= 0 && has_high_byte (&ops))
        {
          asm_lea_index (&tr->a, 8, T0, m.base, T0, 0, m.disp);
          m = (TrMem) { .base = T0, .index = -1 };
        }
      ops.base = m.base;
      ops.index = m.index >= 0 ? m.index : VM_REG_NONE;
      ops.disp = m.disp;
      ops.scale = 1;
      ops.segment = 0;
      ops.lock = keeps_lock (tr, insn);
    }
  for (unsigned i = 0; i < row->n_operands; i++)
    map_operand (&regs, insn, &row->operand[i], &ops);
  tr_need_flags (tr, wanted);
  for (unsigned i = 0; i < regs.n; i++)
    if (regs.load[i])
      asm_load (&tr->a, 8, regs.host[i], ENV, ENV_GPR (regs.guest[i]));
  if (uses_fpu (row) || row->op == VM_OP_DIV || row->op == VM_OP_IDIV || row->op == VM_OP_CMPXCHG16B)
    {
      JitSite *site = tr_site (tr);

      site->variant = tr->variant;
      site->fault_flags = tr->flags.host ? SITE_FLAGS_HOST : site->flags;
    }
  if (!emit_host (tr, insn, &ops))
    {
      go_back (tr, &before);
      return false;
    }
  for (unsigned i = 0; i < regs.n; i++)
    if (regs.store[i])
      asm_store (&tr->a, 8, regs.host[i], ENV, ENV_GPR (regs.guest[i]));
  tr_set_flags (tr, written);
  return true;
}

/* --- the special ones ---------------------------------------------------------------------------- */

static bool
emit_lea (Tr *tr, const VmInsn *insn)
{
  int to = tr_host_reg (insn->reg);

  /* Directly when everything is in host registers of the right width. */
  if (to >= 0 && insn->addrsize >= 4 && insn->opsize >= 4 && insn->base != VM_REG_NONE && insn->base != VM_REG_RIP &&
      tr_host_reg (insn->base) >= 0 && (insn->index == VM_REG_NONE || tr_host_reg (insn->index) >= 0))
    {
      unsigned size = MIN (insn->addrsize, insn->opsize);
      unsigned scale = insn->scale == 8 ? 3 : insn->scale == 4 ? 2 : insn->scale == 2 ? 1 : 0;

      if (insn->index == VM_REG_NONE)
        asm_lea (&tr->a, size, to, tr_host_reg (insn->base), insn->disp);
      else
        asm_lea_index (&tr->a, size, to, tr_host_reg (insn->base), tr_host_reg (insn->index), scale, insn->disp);
      return true;
    }
  tr_offset (tr, insn);
  tr_put_sized (tr, insn->reg, T0, insn->opsize);
  return true;
}

static bool
emit_moffs (Tr *tr, const VmInsn *insn)
{
  bool is_store = insn->opcode & 2;
  unsigned size = insn->opsize, access = is_store ? VM_ACCESS_WRITE : VM_ACCESS_READ;

  tr_clobber_flags (tr);
  asm_mov_imm (&tr->a, T0, insn->addrsize == 8 ? insn->imm : insn->addrsize == 4 ? (uint32_t) insn->imm
                                                                                 : (uint16_t) insn->imm);
  tr_segment (tr, insn->seg, size, access);
  tr_probe (tr, size, access);
  if (is_store)
    asm_store (&tr->a, size, RAX, T0, 0);
  else
    asm_load (&tr->a, size, RAX, T0, 0);
  return true;
}

/* Pushes T1's low SIZE bytes, which wait in the slot while the address is made. */
static void
push_value (Tr *tr, unsigned size)
{
  TrMem m;

  asm_store (&tr->a, 8, T1, ENV, SLOT_VALUE);
  m = tr_stack (tr, -(int) size, size, VM_ACCESS_WRITE);
  asm_load (&tr->a, 8, T1, ENV, SLOT_VALUE);
  tr_store (tr, size, T1, m);
  tr_stack_adjust (tr, -(int) size);
}

static bool
emit_push (Tr *tr, const VmInsn *insn)
{
  const VmOperandSpec *spec = &tr_row (insn)->operand[0];
  Asm *a = &tr->a;
  unsigned size = insn->opsize;

  if (spec->kind == VM_OPND_I)
    {
      TrMem m = tr_stack (tr, -(int) size, size, VM_ACCESS_WRITE);

      if (m.index >= 0)
        {
          asm_lea_index (a, 8, T0, m.base, T0, 0, m.disp);
          m.disp = 0;
        }
      asm_store_imm (a, size, (uint32_t) insn->imm, T0, m.disp);
      tr_stack_adjust (tr, -(int) size);
    }
  else if (spec->kind == VM_OPND_E && insn->flags & VM_INSN_MEM)
    {
      tr_load_zx (tr, size, T1, tr_memory (tr, insn, size, VM_ACCESS_READ));
      push_value (tr, size);
    }
  else
    {
      unsigned guest = spec->kind == VM_OPND_E ? insn->rm : insn->reg;
      int reg = tr_host_reg (guest);
      TrMem m = tr_stack (tr, -(int) size, size, VM_ACCESS_WRITE);

      if (reg < 0)
        asm_load (a, 8, T1, ENV, ENV_GPR (guest));
      tr_store (tr, size, reg < 0 ? T1 : (unsigned) reg, m);
      tr_stack_adjust (tr, -(int) size);
    }
  return true;
}

static bool
emit_push_sreg (Tr *tr, const VmInsn *insn)
{
  static const uint8_t seg_of[] = { [VM_OPND_ES - VM_OPND_ES] = VM_ES, [VM_OPND_CS - VM_OPND_ES] = VM_CS,
                                    [VM_OPND_SS - VM_OPND_ES] = VM_SS, [VM_OPND_DS - VM_OPND_ES] = VM_DS,
                                    [VM_OPND_FS - VM_OPND_ES] = VM_FS, [VM_OPND_GS - VM_OPND_ES] = VM_GS };
  unsigned kind = tr_row (insn)->operand[0].kind, size = insn->opsize;
  TrMem m;

  if (kind < VM_OPND_ES || kind > VM_OPND_GS || size != 2)
    return false; /* the wide forms may write two bytes only */
  m = tr_stack (tr, -(int) size, size, VM_ACCESS_WRITE);
  asm_load_zx (&tr->a, 2, T1, ENV, ENV_SEG (seg_of[kind - VM_OPND_ES], selector));
  tr_store (tr, size, T1, m);
  tr_stack_adjust (tr, -(int) size);
  return true;
}

static bool
emit_pop (Tr *tr, const VmInsn *insn)
{
  const VmOperandSpec *spec = &tr_row (insn)->operand[0];
  unsigned size = insn->opsize;
  unsigned guest = spec->kind == VM_OPND_E ? insn->rm : insn->reg;
  int reg = tr_host_reg (guest);
  TrMem m;

  if (insn->flags & VM_INSN_MEM)
    return false;
  m = tr_stack (tr, 0, size, VM_ACCESS_READ);
  if (reg >= 0 && size >= 4 && guest != VM_RSP)
    {
      tr_load (tr, size, reg, m);
      tr_stack_adjust (tr, size);
      return true;
    }
  tr_load_zx (tr, size, T2, m);
  tr_stack_adjust (tr, size);
  tr_put_sized (tr, guest, T2, size);
  return true;
}

static bool
emit_leave (Tr *tr, const VmInsn *insn)
{
  Asm *a = &tr->a;
  unsigned size = insn->opsize, width = IS64 (tr) ? 8 : 4;

  if (!IS64 (tr) && (!(tr->mode & VM_MODE_SS32) || size != 4))
    return false;
  if (IS64 (tr) && size != 8)
    return false;
  tr_clobber_flags (tr);
  asm_mov (a, width, T0, RBP);
  tr_segment (tr, VM_SS, size, VM_ACCESS_READ);
  tr_probe (tr, size, VM_ACCESS_READ);
  asm_load (a, size, T1, T0, 0);
  asm_lea (a, width, GUEST_RSP, RBP, size);
  asm_mov (a, width, RBP, T1);
  return true;
}

static bool
emit_pushf (Tr *tr, const VmInsn *insn)
{
  Asm *a = &tr->a;

  if (tr->mode & VM_MODE_VM)
    return false;
  tr_flags_to_slot (tr);
  tr->flags.host = false;
  asm_load (a, 4, T1, ENV, ENV_OFF (eflags));
  asm_alu_imm (a, ALU_AND, 4, T1, ~(uint32_t) (VM_ARITH_FLAGS | VM_RF | VM_VM));
  asm_load_zx (a, 1, T2, ENV, SLOT_FLAGS + 1);
  asm_alu_imm (a, ALU_AND, 4, T2, 0xd5);
  asm_alu (a, ALU_OR, 4, T1, T2);
  asm_load_zx (a, 1, T2, ENV, SLOT_FLAGS);
  asm_alu_imm (a, ALU_AND, 4, T2, 1);
  asm_shift (a, SHIFT_SHL, 4, T2, 11);
  asm_alu (a, ALU_OR, 4, T1, T2);
  push_value (tr, insn->opsize);
  return true;
}

static bool
emit_direction (Tr *tr, bool set)
{
  Asm *a = &tr->a;

  tr_clobber_flags (tr);
  asm_alu_mem_imm (a, set ? ALU_OR : ALU_AND, 4, ENV, ENV_OFF (eflags), set ? VM_DF : ~VM_DF);
  return true;
}

/* CBW and CWD families have no operands that would carry their size. */
static void
emit_sized_plain (Tr *tr, const VmInsn *insn, uint8_t opcode)
{
  Asm *a = &tr->a;

  if (insn->opsize == 2)
    asm_8 (a, 0x66);
  if (insn->opsize == 8)
    asm_8 (a, 0x48);
  asm_8 (a, opcode);
}

/* INC and DEC of 40..4F, and 82 /n, have other opcodes in 64-bit code. */
static bool
pass_changed (Tr *tr, const TrInsn *t)
{
  VmInsn insn = t->insn;
  const VmInsnRow *row = tr_row (&insn);

  if (row->op == VM_OP_INC || row->op == VM_OP_DEC)
    {
      Asm *a = &tr->a;
      uint32_t kept = t->live_out & VM_CF;
      unsigned reg = tr_host_reg (insn.reg);

      tr_need_flags (tr, kept);
      asm_op_reg (a, insn.opsize, 0xff, row->op == VM_OP_DEC, reg);
      tr_set_flags (tr, VM_ARITH_FLAGS);
      return true;
    }
  insn.opcode = 0x80;
  return pass (tr, t, &insn);
}

/* BT family with a bit offset in a register beside memory: the offset moves the address. */
static bool
emit_bit_string (Tr *tr, const TrInsn *t)
{
  const VmInsn *insn = &t->insn;
  bool is_write = tr_row (insn)->op != VM_OP_BT;
  unsigned access = is_write ? VM_ACCESS_WRITE : VM_ACCESS_READ, size = insn->opsize;
  unsigned shift = size == 8 ? 6 : 5;
  Asm *a = &tr->a;

  if (size < 4 || insn->addrsize < 4 || (insn->addrsize == 4 && size == 8))
    return false;
  tr_clobber_flags (tr);
  tr_offset (tr, insn);
  tr_get (tr, T1, insn->reg);
  if (size == 4)
    asm_op_reg (a, 8, 0x63, T1, T1); /* movsxd */
  asm_shift (a, SHIFT_SAR, 8, T1, shift);
  asm_lea_index (a, insn->addrsize, T0, T0, T1, size == 8 ? 3 : 2, 0);
  tr_segment (tr, insn->seg, size, access);
  tr_probe (tr, size, access);
  tr_get (tr, T2, insn->reg);
  asm_alu_imm (a, ALU_AND, 4, T2, size * 8 - 1);
  tr_need_flags (tr, t->live_out & ~(uint32_t) VM_CF);
  if (keeps_lock (tr, insn))
    asm_8 (a, 0xf0);
  asm_op_mem (a, size, 0x0f00 | insn->opcode, T2, T0, -1, 0, 0);
  tr_set_flags (tr, VM_ARITH_FLAGS);
  return true;
}

/* CLI and STI where nothing is to be checked: IF is only looked at outside. After STI one more instruction runs,
 * then pending interrupts are. */
static bool
emit_interrupt_flag (Tr *tr, bool set)
{
  Asm *a = &tr->a;

  if (tr->mode & (VM_MODE_IOPL_LOW | VM_MODE_VM))
    return false;
  tr_clobber_flags (tr);
  asm_alu_mem_imm (a, set ? ALU_OR : ALU_AND, 4, ENV, ENV_OFF (eflags), set ? VM_IF : ~VM_IF);
  if (set)
    {
      uint8_t *none;

      /* For what polls: returns, jumps back, callouts. Straight code gets a check of its own. */
      asm_alu_mem_imm (a, ALU_CMP, 4, ENV, ENV_OFF (request), 0);
      none = asm_jcc_short (a, CC_E);
      asm_8 (a, 0xf0);
      asm_alu_mem_imm (a, ALU_OR, 4, ENV, ENV_OFF (poll), VM_POLL_IRQ);
      asm_bind_short (a, none);
      tr->check_events_at = tr->at + 1;
    }
  return true;
}

/* CLAC and STAC where AC is so already: else tier 0 changes the mode. */
static bool
emit_ac (Tr *tr, bool set)
{
  Asm *a = &tr->a;

  if (tr->mode & (VM_MODE_CPL | VM_MODE_VM) || set != !!(tr->mode & VM_MODE_SMAP_AC))
    return false;
  tr_clobber_flags (tr);
  asm_op_mem (a, 4, 0xf7, 0, ENV, -1, 0, ENV_OFF (eflags)); /* test */
  asm_32 (a, VM_AC);
  tr_callout_at (tr, asm_jcc (a, set ? CC_E : CC_NE));
  return true;
}

static bool
emit_rdpkru (Tr *tr)
{
  Asm *a = &tr->a;

  tr_clobber_flags (tr);
  asm_op_mem (a, 4, 0xf7, 0, ENV, -1, 0, ENV_OFF (cr4));
  asm_32 (a, VM_CR4_PKE);
  tr_callout_at (tr, asm_jcc (a, CC_E));
  asm_op_reg (a, 4, 0x85, RCX, RCX);
  tr_callout_at (tr, asm_jcc (a, CC_NE));
  asm_load (a, 4, RAX, ENV, ENV_OFF (pkru));
  asm_mov_imm (a, RDX, 0);
  return true;
}

static void
emit_swapgs (Tr *tr)
{
  Asm *a = &tr->a;

  asm_load (a, 8, T0, ENV, ENV_SEG (VM_GS, base));
  asm_load (a, 8, T1, ENV, ENV_OFF (kernel_gs_base));
  asm_store (a, 8, T1, ENV, ENV_SEG (VM_GS, base));
  asm_store (a, 8, T0, ENV, ENV_OFF (kernel_gs_base));
}

/* A whole vector register into the state block, or back. */
static void
move_vector (Asm *a, unsigned reg, bool store)
{
  asm_8 (a, 0xc4), asm_8 (a, (reg & 8 ? 0 : 0x80) | 0x41), asm_8 (a, 0x7c);
  asm_8 (a, store ? 0x11 : 0x10);
  asm_8 (a, 0x80 | (reg & 7) << 3 | (ENV & 7));
  asm_32 (a, ENV_OFF (ymm) + reg * sizeof (VmX86Vec));
}

static bool
emit_gather (Tr *tr, const VmInsn *insn)
{
  static const uint8_t log2_of[] = { [1] = 0, [2] = 1, [4] = 2, [8] = 3 };
  unsigned index = insn->index == VM_REG_NONE ? 4 : insn->index, dest = insn->reg, mask = insn->vvvv;
  unsigned data_log2 = insn->flags & VM_INSN_REXW ? 3 : 2, index_log2 = insn->opcode & 1 ? 3 : 2;
  unsigned n = (insn->flags & VM_INSN_VEX_L ? 32 : 16) >> MAX (data_log2, index_log2);
  bool is_data = insn->seg == VM_SS || insn->seg == VM_DS || insn->seg == VM_ES;
  VmInsn base = *insn;
  Asm *a = &tr->a;

  if ((insn->modrm & 7) != 4 || insn->addrsize != (IS64 (tr) ? 8 : 4) || dest == index || dest == mask ||
      mask == index || !tr->jit->has_avx || !(IS64 (tr) || (is_data && tr->mode & VM_MODE_FLAT_DATA)))
    return false;
  need_state (tr, tr_row (insn));
  tr_clobber_flags (tr);
  base.index = VM_REG_NONE;
  tr_offset (tr, &base);
  tr_segment (tr, insn->seg, 1, VM_ACCESS_READ);
  move_vector (a, index, true);
  move_vector (a, mask, true);
  move_vector (a, dest, true);
  asm_mov_imm (a, T2, GATHER_INFO (dest, mask, index, n, data_log2, index_log2, log2_of[insn->scale & 15], IS64 (tr),
                                   tr->ctx));
  asm_call_to (a, tr->jit->stubs.gather);
  asm_alu (a, ALU_OR, 8, T0, T0);
  tr_callout_at (tr, asm_jcc (a, CC_E));
  tr->site->variant = tr->variant;
  move_vector (a, dest, false);
  /* vpxor: the mask is used up. */
  asm_8 (a, 0xc4), asm_8 (a, (mask & 8 ? 0 : 0x80) | 0x41 | (mask & 8 ? 0 : 0x20)), asm_8 (a, (~mask & 15) << 3 | 1);
  asm_8 (a, 0xef), asm_8 (a, 0xc0 | (mask & 7) << 3 | (mask & 7));
  return true;
}

static bool
is_passed (const VmInsn *insn, const VmInsnRow *row)
{
  switch (row->class_)
    {
    case VM_CLASS_P: case VM_CLASS_M:
      return true;
    case VM_CLASS_H:
      switch (row->op)
        {
        case VM_OP_DIV: case VM_OP_IDIV: case VM_OP_FLDCW: case VM_OP_FNSTCW: case VM_OP_FNSTSW: case VM_OP_LDMXCSR:
        case VM_OP_STMXCSR: case VM_OP_VLDMXCSR: case VM_OP_VSTMXCSR: case VM_OP_CMPXCHG8B: case VM_OP_CMPXCHG16B:
        /* Whole operands are checked: where that fails tier 0 looks at the selected elements alone. */
        case VM_OP_VMASKMOVPS_LOAD: case VM_OP_VMASKMOVPD_LOAD: case VM_OP_VPMASKMOVD_LOAD:
        case VM_OP_VPMASKMOVQ_LOAD: case VM_OP_VMASKMOVPS_STORE: case VM_OP_VMASKMOVPD_STORE:
        case VM_OP_VPMASKMOVD_STORE: case VM_OP_VPMASKMOVQ_STORE:
          return true;
        default:
          /* MMX forms that name only MMX registers and memory. */
          return row->attrs & VM_ATTR_STATE_MMX && row->op != VM_OP_EMMS && row->op != VM_OP_MASKMOVQ &&
                 row->n_operands > 0 && row->map != 4;
        }
    default:
      return false;
    }
}

unsigned
tr_plain_access (const VmInsn *insn)
{
  const VmInsnRow *row = tr_row (insn);
  const VmOperandSpec *memory = memory_operand (row);
  bool plain = is_passed (insn, row) || row->op == VM_OP_XCHG || row->op == VM_OP_CALL_IND || row->op == VM_OP_JMP_IND ||
               (row->op == VM_OP_PUSH && row->operand[0].kind == VM_OPND_E);

  if (!plain || memory == NULL || row->attrs & VM_ATTR_VSIB)
    return 0;
  return jit_operand_bytes (insn, memory->size);
}

static bool
special (Tr *tr, TrInsn *t)
{
  const VmInsn *insn = &t->insn;

  switch (tr_row (insn)->op)
    {
    case VM_OP_LEA:
      return emit_lea (tr, insn);
    case VM_OP_MOV:
      return emit_moffs (tr, insn);
    case VM_OP_XCHG:
      return pass (tr, t, insn);
    case VM_OP_BT: case VM_OP_BTS: case VM_OP_BTR: case VM_OP_BTC:
      return insn->flags & VM_INSN_MEM ? emit_bit_string (tr, t) : pass (tr, t, insn);
    case VM_OP_PUSH:
      return emit_push (tr, insn);
    case VM_OP_PUSH_SREG:
      return emit_push_sreg (tr, insn);
    case VM_OP_POP:
      return emit_pop (tr, insn);
    case VM_OP_LEAVE:
      return emit_leave (tr, insn);
    case VM_OP_PUSHF:
      return emit_pushf (tr, insn);
    case VM_OP_CLD:
      return emit_direction (tr, false);
    case VM_OP_STD:
      return emit_direction (tr, true);
    case VM_OP_NOP_MODRM:
      return true;
    default:
      return false;
    }
}

bool
tr_insn (Tr *tr, TrInsn *t)
{
  const VmInsn *insn = &t->insn;
  const VmInsnRow *row = tr_row (insn);

  switch (row->op)
    {
    case VM_OP_NOP: case VM_OP_ENDBR64: case VM_OP_ENDBR32:
      return true;
    case VM_OP_CBW:
      emit_sized_plain (tr, insn, 0x98);
      return true;
    case VM_OP_CWD:
      emit_sized_plain (tr, insn, 0x99);
      return true;
    case VM_OP_CLI:
      return emit_interrupt_flag (tr, false);
    case VM_OP_STI:
      return emit_interrupt_flag (tr, true);
    case VM_OP_CLAC:
      return emit_ac (tr, false);
    case VM_OP_STAC:
      return emit_ac (tr, true);
    case VM_OP_RDPKRU:
      return emit_rdpkru (tr);
    case VM_OP_SWAPGS:
      emit_swapgs (tr);
      return true;
    default:
      break;
    }
  if (!(row->enc & VM_ENC_VEX) && row->map == 0 &&
      (insn->opcode == 0x82 || (row->enc & VM_ENC_OPREG && insn->opcode >= 0x40 && insn->opcode < 0x50)))
    return pass_changed (tr, t);
  if (row->attrs & VM_ATTR_VSIB)
    return emit_gather (tr, insn);
  if (is_passed (insn, row))
    return pass (tr, t, insn);
  return row->class_ == VM_CLASS_S && special (tr, t);
}
