/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x-lockstep: each block is run by tier 0, undone, run as generated code, and both outcomes are compared. Blocks
 * hold only instructions that can be undone then, and lead nowhere by themselves. */
#include "engine/tcg/decode/table.h"
#include "engine/tcg/host-x86_64/jit-private.h"
#include "engine/tcg/interp/interp.h"

#include "engine/base/log.h"

#define MAX_WRITES 128
#define MAX_BYTES  64

typedef struct State {
  uint64_t gpr[16], rip, eflags;
  VmX86Vec ymm[16];
  VmX86Fx  fx;
  bool     raised;
  int      vector;
  uint32_t error;
  uint64_t address;
} State;

typedef struct Write {
  uint8_t *host;
  unsigned len;
  uint8_t  before[MAX_BYTES], after[MAX_BYTES];
} Write;

typedef struct Trial {
  State    start, interpreted, compiled;
  Write    write[MAX_WRITES];
  unsigned n_writes, n_insns;
  uint32_t undefined;
  struct { VmInsn insn; uint64_t rip; } ran[64];
  unsigned n_ran;
  bool     other_end; /* the plain twin, which went on for the block, does not end where that does */
} Trial;

static void
get_state (const VmX86Env *env, State *s)
{
  memcpy (s->gpr, env->gpr, sizeof s->gpr);
  s->rip = env->rip;
  s->eflags = env->eflags;
  memcpy (s->ymm, env->ymm, sizeof s->ymm);
  s->fx = env->fx;
}

static void
set_state (VmX86Env *env, const State *s)
{
  memcpy (env->gpr, s->gpr, sizeof s->gpr);
  env->rip = s->rip;
  env->eflags = s->eflags;
  memcpy (env->ymm, s->ymm, sizeof s->ymm);
  env->fx = s->fx;
}

bool
jit_lockstep_undoes (const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];

  if (row->attrs & (VM_ATTR_REP | VM_ATTR_VSIB) || insn->flags & (VM_INSN_UD | VM_INSN_TOOLONG))
    return false;
  if (row->imm == VM_IMM_REL && insn->imm == 0)
    return false; /* taken or not cannot be told apart */
  if (row->op == VM_OP_POP && insn->flags & VM_INSN_MEM)
    return false; /* looking at its destination first may fault otherwise than it does */
  switch (row->class_)
    {
    case VM_CLASS_X:
      return row->op == VM_OP_JCC || row->op == VM_OP_JMP || row->op == VM_OP_CALL || row->op == VM_OP_RET ||
             row->op == VM_OP_JMP_IND || row->op == VM_OP_CALL_IND || row->op == VM_OP_LOOP || row->op == VM_OP_JCXZ;
    case VM_CLASS_H:
      return row->op == VM_OP_DIV || row->op == VM_OP_IDIV;
    default:
      return true;
    }
}

/* What INSN may write: remembered; false when that is no plain memory. */
static bool
note_write (VmX86Env *env, Trial *t, uint64_t linear, unsigned len)
{
  Write *w = &t->write[t->n_writes];

  if (len == 0 || len > MAX_BYTES || t->n_writes == MAX_WRITES ||
      (uint64_t) ((int64_t) (linear << 16) >> 16) != linear)
    return false;
  w->host = vm_mmu_try_host (env, linear, len, VM_ACCESS_WRITE, vm_tlb_context (env));
  env->exc_vector = -1;
  if (w->host == NULL)
    return false;
  w->len = len;
  memcpy (w->before, w->host, len);
  t->n_writes++;
  return true;
}

static bool
note_writes (VmX86Env *env, Trial *t, const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];
  uint64_t sp = env->gpr[VM_RSP];

  if (row->op == VM_OP_PUSH || row->op == VM_OP_PUSH_SREG || row->op == VM_OP_PUSHF || row->op == VM_OP_CALL ||
      row->op == VM_OP_CALL_IND)
    {
      sp -= insn->opsize;
      if (!(env->mode & VM_MODE_CS64))
        sp = (env->seg[VM_SS].base + (env->mode & VM_MODE_SS32 ? (uint32_t) sp : (uint16_t) sp)) & UINT32_MAX;
      return note_write (env, t, sp, insn->opsize);
    }
  for (unsigned i = 0; i < row->n_operands; i++)
    {
      unsigned kind = row->operand[i].kind;
      bool is_memory = kind == VM_OPND_E || kind == VM_OPND_M || kind == VM_OPND_W || kind == VM_OPND_Q || kind == VM_OPND_O;

      /* Registers of devices are not read twice. */
      if (is_memory && row->operand[i].access == 1 && insn->flags & VM_INSN_MEM)
        {
          unsigned len = jit_operand_bytes (insn, row->operand[i].size);
          uint64_t linear;

          if (len == 0 || (row->op == VM_OP_BT && row->imm == VM_IMM_NONE))
            return false;
          linear = vm_insn_linear (env, insn, len, VM_ACCESS_READ);
          if ((linear & ~VM_PAGE_MASK) + len <= VM_PAGE_SIZE &&
              vm_mmu_try_host (env, linear, len, VM_ACCESS_READ, vm_tlb_context (env)) == NULL && env->exc_vector < 0)
            return false;
          env->exc_vector = -1;
        }
      if (is_memory && row->operand[i].access & 2 && (insn->flags & VM_INSN_MEM))
        {
          unsigned len = jit_operand_bytes (insn, row->operand[i].size);
          bool bits = row->op == VM_OP_BTS || row->op == VM_OP_BTR || row->op == VM_OP_BTC;
          uint64_t linear;

          if (bits && row->imm == VM_IMM_NONE)
            {
              VmInsn moved = *insn;
              int64_t offset = insn->opsize == 8 ? (int64_t) env->gpr[insn->reg]
                               : insn->opsize == 4 ? (int32_t) env->gpr[insn->reg] : (int16_t) env->gpr[insn->reg];

              if (offset >> 6 != (int32_t) (offset >> 6) || insn->addrsize < 4 || insn->opsize < 4)
                return false;
              linear = vm_insn_linear (env, &moved, 1, VM_ACCESS_WRITE);
              linear += (offset >> (insn->opsize == 8 ? 6 : 5)) * insn->opsize;
              if (!(env->mode & VM_MODE_CS64))
                linear = (uint32_t) linear;
            }
          else
            linear = vm_insn_linear (env, insn, len, VM_ACCESS_WRITE);
          if (!note_write (env, t, linear, len))
            return false;
        }
    }
  return true;
}

/* False: what comes out hangs on flags that were left undefined. */
static bool
note_undefined (Trial *t, const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];

  if (vm_insn_flags_read (insn) & t->undefined)
    return false;
  if (!(row->attrs & VM_ATTR_FCOND))
    t->undefined &= ~(uint32_t) row->flags_written;
  t->undefined |= row->flags_undefined;
  return true;
}

/* False: cannot be undone, nothing happened. */
static bool
interpret (VmX86Env *env, Trial *t, VmCodeView *view, const VmBlock *block)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  sigjmp_buf jump, *outer = tcg->fault_env;
  volatile bool result = true;
  volatile unsigned offset = block->start;
  uint64_t base = env->rip - block->start;

  tcg->fault_env = &jump;
  if (sigsetjmp (jump, 0) == 0)
    while (offset < block->end && t->n_ran < G_N_ELEMENTS (t->ran))
      {
        VmInsn insn;

        if (!vm_code_insn (tcg->code, view->page, offset, view->mode, &insn) || !note_undefined (t, &insn) ||
            !note_writes (env, t, &insn))
          {
            result = false;
            break;
          }
        t->ran[t->n_ran].insn = insn;
        t->ran[t->n_ran++].rip = env->rip;
        vm_interp_insn (env, &insn);
        t->n_insns++;
        offset += insn.len;
        if (env->mode != view->mode || env->shadow)
          {
            result = false;
            break;
          }
        if ((env->mode & VM_MODE_CS64 ? env->rip : (uint32_t) env->rip) !=
            (env->mode & VM_MODE_CS64 ? base + offset : (uint32_t) (base + offset)))
          break;
      }
  else
    {
      t->interpreted.raised = true;
      t->interpreted.vector = env->exc_vector;
      t->interpreted.error = env->exc_error;
      t->interpreted.address = env->exc_addr;
    }
  tcg->fault_env = outer;
  return result;
}

/* A shared check that failed leads to the block's plain twin: part of the same trial. */
static void
finish_plain (VmJit *jit, Trial *t, VmCodeView *view, unsigned end)
{
  while (jit->pending && jit->pending->variant & VARIANT_PLAIN)
    {
      unsigned offset = jit->pending->target, variant = jit->pending->variant;
      VmBlock *block = vm_code_find (jit->code, vm_block_key (view, offset, variant));

      if (block == NULL)
        block = jit_translate (jit, view, offset, variant);
      jit->pending = NULL;
      if (block == NULL)
        return;
      t->other_end |= block->end != end;
      jit_enter (jit, block->entry_saved, variant);
    }
}

static void
compile_run (VmJit *jit, Trial *t, VmCodeView *view, const uint8_t *entry, unsigned variant, unsigned end)
{
  VmX86Env *env = jit->env;
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  sigjmp_buf jump, *outer = tcg->fault_env;

  env->exc_vector = -1;
  tcg->fault_env = &jump;
  if (sigsetjmp (jump, 0) == 0)
    {
      jit_enter (jit, entry, variant);
      finish_plain (jit, t, view, end);
    }
  else
    {
      t->compiled.raised = true;
      t->compiled.vector = env->exc_vector;
      t->compiled.error = env->exc_error;
      t->compiled.address = env->exc_addr;
    }
  tcg->fault_env = outer;
}

static void
undo (Trial *t)
{
  for (unsigned i = t->n_writes; i-- > 0;)
    {
      memcpy (t->write[i].after, t->write[i].host, t->write[i].len);
      memcpy (t->write[i].host, t->write[i].before, t->write[i].len);
    }
}

/* --- comparing ----------------------------------------------------------------------------------- */

static bool
same_fx (const VmX86Fx *a, const VmX86Fx *b)
{
  return a->fcw == b->fcw && a->fsw == b->fsw && a->ftw == b->ftw && a->mxcsr == b->mxcsr &&
         memcmp (a->st, b->st, sizeof a->st) == 0;
}

static bool
same (const Trial *t)
{
  const State *a = &t->interpreted, *b = &t->compiled;
  uint32_t flags = ~t->undefined;

  /* A return to a non-canonical address: tier 0 faults before the jump, generated code behind it. */
  if (a->raised && !b->raised && a->vector == VM_EXC_GP && (uint64_t) ((int64_t) (b->rip << 16) >> 16) != b->rip)
    return true;
  if (a->raised != b->raised || a->rip != b->rip || memcmp (a->gpr, b->gpr, sizeof a->gpr) != 0 ||
      memcmp (a->ymm, b->ymm, sizeof a->ymm) != 0 || !same_fx (&a->fx, &b->fx))
    return false;
  if (a->raised)
    return a->vector == b->vector && a->error == b->error && (a->vector != VM_EXC_PF || a->address == b->address);
  if ((a->eflags ^ b->eflags) & flags)
    return false;
  /* Later writes to the same place come last in both. */
  for (unsigned i = 0; i < t->n_writes; i++)
    {
      bool again = false;

      for (unsigned k = i + 1; k < t->n_writes; k++)
        again |= t->write[k].host < t->write[i].host + t->write[i].len &&
                 t->write[i].host < t->write[k].host + t->write[k].len;
      if (!again && memcmp (t->write[i].host, t->write[i].after, t->write[i].len) != 0)
        return false;
    }
  return true;
}

static void
print_differences (const Trial *t)
{
  const State *a = &t->interpreted, *b = &t->compiled;

  vm_report_error ("lockstep: tier 0 and generated code differ after %u instructions", t->n_insns);
  for (unsigned i = 0; i < t->n_ran; i++)
    {
      char line[128];

      vm_insn_format (&t->ran[i].insn, t->ran[i].rip, line, sizeof line);
      vm_report_error ("  %" G_GINT64_MODIFIER "x  %s", t->ran[i].rip, line);
    }
  vm_report_error ("  raised %d/%d vector %d/%d error %x/%x rip %" G_GINT64_MODIFIER "x/%" G_GINT64_MODIFIER
                   "x eflags %" G_GINT64_MODIFIER "x/%" G_GINT64_MODIFIER "x (undefined %x)",
                   a->raised, b->raised, a->vector, b->vector, a->error, b->error, a->rip, b->rip, a->eflags,
                   b->eflags, t->undefined);
  for (unsigned i = 0; i < 16; i++)
    if (a->gpr[i] != b->gpr[i])
      vm_report_error ("  gpr %u: started %" G_GINT64_MODIFIER "x, %" G_GINT64_MODIFIER "x/%" G_GINT64_MODIFIER "x", i,
                       t->start.gpr[i], a->gpr[i], b->gpr[i]);
  for (unsigned i = 0; i < 16; i++)
    if (memcmp (&a->ymm[i], &b->ymm[i], 32))
      vm_report_error ("  ymm %u: %" G_GINT64_MODIFIER "x %" G_GINT64_MODIFIER "x / %" G_GINT64_MODIFIER
                       "x %" G_GINT64_MODIFIER "x", i, a->ymm[i].q[1], a->ymm[i].q[0], b->ymm[i].q[1], b->ymm[i].q[0]);
  if (!same_fx (&a->fx, &b->fx))
    vm_report_error ("  x87: fcw %x/%x fsw %x/%x ftw %x/%x mxcsr %x/%x", a->fx.fcw, b->fx.fcw, a->fx.fsw, b->fx.fsw,
                     a->fx.ftw, b->fx.ftw, a->fx.mxcsr, b->fx.mxcsr);
  for (unsigned i = 0; i < t->n_writes; i++)
    if (memcmp (t->write[i].host, t->write[i].after, t->write[i].len))
      vm_report_error ("  memory written by number %u differs", i);
}

bool
jit_lockstep (VmJit *jit, VmCodeView *view, uint64_t pc, const uint8_t *entry, unsigned variant)
{
  VmX86Env *env = jit->env;
  const VmBlock *block = vm_code_find (jit->code, vm_block_key (view, pc & ~VM_PAGE_MASK, variant));
  g_autofree Trial *t = NULL;
  bool can;

  if (block == NULL)
    return false;
  t = g_new (Trial, 1);
  t->n_writes = t->n_insns = t->n_ran = t->undefined = 0;
  t->interpreted.raised = t->compiled.raised = t->other_end = false;
  get_state (env, &t->start);
  can = interpret (env, t, view, block);
  get_state (env, &t->interpreted);
  undo (t);
  set_state (env, &t->start);
  env->exc_vector = -1;
  jit->variant = 0;
  if (!can)
    return false;

  compile_run (jit, t, view, entry, variant, block->end);
  get_state (env, &t->compiled);
  if (!t->other_end && !same (t))
    {
      print_differences (t);
      if (++jit->n_differences >= 20)
        {
          vm_report_error ("lockstep: too many differences");
          jit->env->shutdown = true;
        }
    }
  if (t->compiled.raised)
    {
      VmTcgCpu *tcg = vm_tcg_cpu (env);

      g_clear_pointer (&t, g_free);
      siglongjmp (*tcg->fault_env, 1);
    }
  return true;
}
