/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared address checks: accesses of a block that lie at constant distances from each other are checked together,
 * once, when they begin; the later ones only add the page's host distance. Registers are followed symbolically:
 * each is a root (an unknown value) plus a constant. */
#include "engine/tcg/host-x86_64/translate.h"

#define MAX_SPAN 1024 /* bytes one check may cover: longer ones would often cross a page */

typedef struct Sym {
  uint16_t root;
  int64_t  offset;
} Sym;

typedef struct Plan {
  Tr      *tr;
  Sym      sym[16];
  uint16_t next_root;
  uint8_t  open[MAX_GROUPS]; /* numbers of groups that may still grow */
  unsigned n_open;
  bool     full;
} Plan;

static unsigned
natural_width (const Tr *tr)
{
  return IS64 (tr) ? 8 : 4;
}

static void
renew (Plan *p, unsigned reg)
{
  p->sym[reg & 15] = (Sym) { .root = p->next_root++ };
}

static void
renew_all (Plan *p)
{
  for (unsigned i = 0; i < 16; i++)
    renew (p, i);
}

/* --- what instructions do to registers ------------------------------------------------------------ */

static bool
writes_implicitly (unsigned op)
{
  switch (op)
    {
    case VM_OP_MUL: case VM_OP_IMUL_WIDE: case VM_OP_DIV: case VM_OP_IDIV: case VM_OP_CMPXCHG: case VM_OP_CMPXCHG8B:
    case VM_OP_CMPXCHG16B: case VM_OP_CBW: case VM_OP_CWD: case VM_OP_LAHF: case VM_OP_XLAT: case VM_OP_FNSTSW:
      return true;
    default:
      return false;
    }
}

static void
track_operands (Plan *p, const VmInsn *insn, const VmInsnRow *row)
{
  bool legacy = !(insn->flags & (VM_INSN_REX | VM_INSN_VEX));

  for (unsigned i = 0; i < row->n_operands; i++)
    {
      const VmOperandSpec *o = &row->operand[i];
      unsigned reg;

      if (!(o->access & 2))
        continue;
      switch (o->kind)
        {
        case VM_OPND_G: case VM_OPND_Z:
          reg = insn->reg;
          break;
        case VM_OPND_E: case VM_OPND_R:
          if (insn->flags & VM_INSN_MEM)
            continue;
          reg = insn->rm;
          break;
        case VM_OPND_B:
          reg = insn->vvvv;
          break;
        case VM_OPND_RAX: case VM_OPND_AH:
          reg = VM_RAX;
          break;
        case VM_OPND_RCX:
          reg = VM_RCX;
          break;
        case VM_OPND_RDX:
          reg = VM_RDX;
          break;
        default:
          continue;
        }
      if (o->size == VM_SIZE_B && legacy && reg >= 4 && reg < 8)
        renew (p, reg - 4);
      renew (p, reg);
    }
  if (row->attrs & (VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX) && row->imm != VM_IMM_NONE)
    renew (p, VM_RCX); /* PCMPxSTRI */
  if (writes_implicitly (row->op))
    {
      renew (p, VM_RAX);
      renew (p, VM_RDX);
    }
}

static bool
move (Plan *p, const VmInsn *insn, const VmInsnRow *row)
{
  unsigned to, from;

  if (row->op != VM_OP_MOV || insn->flags & VM_INSN_MEM || insn->opsize != natural_width (p->tr) ||
      !(row->enc & VM_ENC_MODRM) || row->enc & VM_ENC_EXT)
    return false;
  to = row->operand[0].kind == VM_OPND_E ? insn->rm : insn->reg;
  from = row->operand[0].kind == VM_OPND_E ? insn->reg : insn->rm;
  p->sym[to] = p->sym[from];
  return true;
}

static bool
add_constant (Plan *p, const VmInsn *insn, const VmInsnRow *row)
{
  int64_t by = insn->imm;

  if (insn->flags & VM_INSN_MEM || insn->opsize != natural_width (p->tr))
    return false;
  switch (row->op)
    {
    case VM_OP_INC: by = 1; break;
    case VM_OP_DEC: by = -1; break;
    case VM_OP_ADD: break;
    case VM_OP_SUB: by = -by; break;
    default: return false;
    }
  if (row->op == VM_OP_ADD || row->op == VM_OP_SUB)
    {
      if (row->operand[0].kind != VM_OPND_E || row->operand[1].kind != VM_OPND_I)
        return false;
    }
  if (by > INT32_MAX || by < -INT32_MAX)
    return false;
  p->sym[row->enc & VM_ENC_OPREG ? insn->reg : insn->rm].offset += by;
  return true;
}

static void
track (Plan *p, const VmInsn *insn, const VmInsnRow *row)
{
  unsigned width = natural_width (p->tr);

  switch (row->op)
    {
    case VM_OP_PUSH: case VM_OP_PUSH_SREG: case VM_OP_PUSHF: case VM_OP_CALL: case VM_OP_CALL_IND:
      p->sym[VM_RSP].offset -= insn->opsize;
      return;
    case VM_OP_POP:
      p->sym[VM_RSP].offset += insn->opsize;
      if (!(insn->flags & VM_INSN_MEM))
        renew (p, row->operand[0].kind == VM_OPND_E ? insn->rm : insn->reg);
      return;
    case VM_OP_LEAVE:
      p->sym[VM_RSP] = p->sym[VM_RBP];
      p->sym[VM_RSP].offset += insn->opsize;
      renew (p, VM_RBP);
      if (insn->opsize != width)
        renew (p, VM_RSP);
      return;
    case VM_OP_LEA:
      if (insn->opsize == width && insn->addrsize == width && insn->base < 16 && insn->index == VM_REG_NONE)
        {
          Sym base = p->sym[insn->base];

          base.offset += insn->disp;
          p->sym[insn->reg] = base;
        }
      else
        renew (p, insn->reg);
      return;
    case VM_OP_NOP: case VM_OP_NOP_MODRM: case VM_OP_CLD: case VM_OP_STD: case VM_OP_JCC: case VM_OP_JMP:
      return;
    default:
      break;
    }
  if (row->class_ > VM_CLASS_M && row->op != VM_OP_XCHG && row->op != VM_OP_BT && row->op != VM_OP_BTS &&
      row->op != VM_OP_BTR && row->op != VM_OP_BTC)
    renew_all (p);
  else if (!move (p, insn, row) && !add_constant (p, insn, row))
    track_operands (p, insn, row);
}

/* --- groups -------------------------------------------------------------------------------------- */

static void
note_exit (Plan *p)
{
  for (unsigned i = 0; i < p->n_open; i++)
    p->tr->group[p->open[i]].saw_exit = true;
}

/* An access at SYM + DISP. Returns its group's number, or -1. */
static int
add_access (Plan *p, Sym sym, int64_t disp, unsigned size, bool is_write, unsigned at)
{
  Tr *tr = p->tr;
  int64_t low = sym.offset + disp, high = low + size;
  TrGroup *g;

  if (disp > 1 << 30 || disp < -(1 << 30))
    return -1; /* the start of a group has to be a displacement too */
  for (unsigned i = 0; i < p->n_open; i++)
    {
      g = &tr->group[p->open[i]];
      if (g->root != sym.root)
        continue;
      if (MAX (high, g->high) - MIN (low, g->low) <= MAX_SPAN && !(is_write && !g->is_write && g->saw_exit))
        {
          g->low = MIN (low, g->low);
          g->high = MAX (high, g->high);
          g->is_write |= is_write;
          g->n++;
          g->last = at;
          return p->open[i];
        }
      p->open[i] = p->open[--p->n_open];
      break;
    }
  if (tr->n_groups == MAX_GROUPS)
    return -1;
  g = &tr->group[tr->n_groups];
  *g = (TrGroup) { .root = sym.root, .low = low, .high = high, .is_write = is_write, .n = 1, .first = at, .last = at };
  p->open[p->n_open++] = tr->n_groups;
  return tr->n_groups++;
}

static bool
segment_is_flat (const Tr *tr, unsigned seg)
{
  if (IS64 (tr))
    return seg != VM_FS && seg != VM_GS;
  return tr->mode & VM_MODE_FLAT_DATA && (seg == VM_SS || seg == VM_DS || seg == VM_ES);
}

static void
plan_access (Plan *p, TrInsn *t, unsigned at)
{
  const VmInsn *insn = &t->insn;
  const VmInsnRow *row = tr_row (insn);
  Tr *tr = p->tr;
  unsigned size;

  if (insn->flags & VM_INSN_MEM && insn->base < 16 && insn->index == VM_REG_NONE &&
      insn->addrsize == natural_width (tr) && segment_is_flat (tr, insn->seg) &&
      (size = tr_plain_access (insn)) != 0)
    {
      Sym sym = p->sym[insn->base];

      t->group = 1 + add_access (p, sym, insn->disp, size, tr_access (insn) == VM_ACCESS_WRITE, at);
      t->group_offset = sym.offset + insn->disp;
    }
  if (!segment_is_flat (tr, VM_SS) || (!IS64 (tr) && !(tr->mode & VM_MODE_SS32)))
    return;
  size = insn->opsize;
  switch (row->op)
    {
    case VM_OP_PUSH: case VM_OP_PUSH_SREG: case VM_OP_PUSHF: case VM_OP_CALL: case VM_OP_CALL_IND:
      t->stack_group = 1 + add_access (p, p->sym[VM_RSP], -(int) size, size, true, at);
      t->stack_group_offset = p->sym[VM_RSP].offset - size;
      break;
    case VM_OP_POP: case VM_OP_RET:
      if (insn->flags & VM_INSN_MEM)
        break;
      t->stack_group = 1 + add_access (p, p->sym[VM_RSP], 0, size, false, at);
      t->stack_group_offset = p->sym[VM_RSP].offset;
      break;
    default:
      break;
    }
}

/* Slots of the state block hold what a check found; a group needs one from its first access to its last. */
static void
assign_slots (Tr *tr)
{
  int busy_until[GROUP_SLOTS];

  for (unsigned i = 0; i < GROUP_SLOTS; i++)
    busy_until[i] = -1;
  for (unsigned i = 0; i < tr->n_groups; i++)
    {
      TrGroup *g = &tr->group[i];

      g->slot = -1;
      if (g->n < 2)
        continue;
      for (unsigned k = 0; k < GROUP_SLOTS; k++)
        if (busy_until[k] < (int) g->first)
          {
            g->slot = k;
            busy_until[k] = g->last;
            break;
          }
    }
  for (unsigned i = 0; i < tr->n_insns; i++)
    {
      TrInsn *t = &tr->insn[i];

      if (t->group && tr->group[t->group - 1].slot < 0)
        t->group = 0;
      if (t->stack_group && tr->group[t->stack_group - 1].slot < 0)
        t->stack_group = 0;
    }
}

void
tr_plan (Tr *tr)
{
  Plan p = { .tr = tr, .next_root = 1 };

  if (tr->plain || (!IS64 (tr) && !(tr->mode & VM_MODE_CS32)))
    return;
  renew_all (&p);
  for (unsigned i = 0; i < tr->n_insns; i++)
    {
      TrInsn *t = &tr->insn[i];
      const VmInsnRow *row = tr_row (&t->insn);

      if (t->stop)
        break;
      plan_access (&p, t, i);
      if (row->class_ == VM_CLASS_X || row->class_ == VM_CLASS_H)
        note_exit (&p);
      track (&p, &t->insn, row);
    }
  assign_slots (tr);
}
