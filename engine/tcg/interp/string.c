/* SPDX-License-Identifier: GPL-3.0-or-later */
/* String instructions. A repetition runs in chunks that lie in one page of each operand, on host pointers with
 * the host's own string instructions (so overlapping operands behave as they must); registers are committed
 * after each chunk, and between chunks a pending event ends the run with RIP still at the instruction. */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

typedef struct Operand {
  uint8_t  seg, reg;  /* segment, VM_RSI or VM_RDI */
  uint8_t  access;
  uint64_t linear;    /* of the present element */
  void    *host;      /* of it, or NULL */
} Operand;

typedef struct String {
  VmX86Env     *env;
  const VmInsn *insn;
  unsigned      size, asize, ctx;
  bool          repeated, down;
  uint64_t      count;  /* elements left, this chunk included; 1 without a repeat prefix */
} String;

static bool
begin (String *s, VmX86Env *env, const VmInsn *insn)
{
  s->env = env;
  s->insn = insn;
  s->size = insn->opsize;
  s->asize = insn->addrsize;
  s->ctx = vm_tlb_context (env);
  s->repeated = insn->flags & (VM_INSN_REP | VM_INSN_REPNE);
  s->down = env->eflags & VM_DF;
  s->count = s->repeated ? env->gpr[VM_RCX] & size_mask (s->asize) : 1;
  if (s->count)
    return true;
  env->rip = next_rip (env, insn);
  return false;
}

static uint64_t
address_of (const String *s, const Operand *o)
{
  return s->env->gpr[o->reg] & size_mask (s->asize);
}

/* Checks the present element of O; raises its faults. Returns how many elements from it on (at most MAX) can be
 * done on o->host, 0 when this one goes the slow way. */
static uint64_t
open_operand (String *s, Operand *o, uint64_t max)
{
  VmX86Env *env = s->env;
  uint64_t offset = address_of (s, o), room, n;
  unsigned in_page;

  o->linear = vm_seg_linear (env, o->seg, offset, s->size, o->access);
  if (G_UNLIKELY (env->mode & VM_MODE_AC_CHECK) && (o->linear & (s->size - 1)))
    vm_x86_raise_error (env, VM_EXC_AC, 0);
  in_page = o->linear & ~VM_PAGE_MASK;
  if (in_page + s->size > VM_PAGE_SIZE)
    return 0;
  o->host = vm_mmu_host (env, o->linear, s->size, o->access, s->ctx);
  if (o->host == NULL)
    return 0;
  /* Bytes on from here, this element's included, within the page ... */
  room = s->down ? in_page + s->size : VM_PAGE_SIZE - in_page;
  n = MIN (max, room / s->size);
  if (n > 1 && !(env->mode & VM_MODE_CS64))
    {
      const VmX86Seg *seg = &env->seg[o->seg];
      bool expands_down = (seg->attr & (VM_SEG_CODE | VM_SEG_DC)) == VM_SEG_DC;

      /* ... and within the segment and the address size. Expand-down segments go one by one. */
      room = s->down ? offset + s->size : MIN ((uint64_t) seg->limit, size_mask (s->asize)) - offset + 1;
      n = MIN (n, MAX (expands_down ? 1 : room / s->size, 1));
    }
  else if (n > 1 && s->asize != 8)
    n = MIN (n, MAX ((s->down ? offset + s->size : size_mask (s->asize) - offset + 1) / s->size, 1));
  return n;
}

static void
advance (String *s, const Operand *o, uint64_t n)
{
  uint64_t by = n * s->size, v = s->env->gpr[o->reg];

  gpr_write_address (s->env, o->reg, s->down ? v - by : v + by, s->asize);
}

/* N elements are done and their registers advanced. Returns whether to go on with the next chunk. */
static bool
commit (String *s, uint64_t n, bool ended)
{
  VmX86Env *env = s->env;

  s->count -= n;
  if (s->repeated)
    gpr_write_address (env, VM_RCX, s->count, s->asize);
  if (s->count == 0 || ended)
    {
      env->rip = next_rip (env, s->insn);
      return false;
    }
  return !(env->mode & VM_MODE_TF) && __atomic_load_n (&env->poll, __ATOMIC_RELAXED) == 0 &&
         vm_tcg_cpu (env)->watch_hit == 0;
}

/* With TF set, every element is a step of its own. */
static uint64_t
chunk_limit (const String *s)
{
  return s->env->mode & VM_MODE_TF ? 1 : s->count;
}

#define HOST_STRING(text, ...)                                                                   \
  do                                                                                             \
    {                                                                                            \
      if (s.down)                                                                                \
        __asm__ volatile ("std\n\t" text "\n\tcld" __VA_ARGS__);                                 \
      else                                                                                       \
        __asm__ volatile (text __VA_ARGS__);                                                     \
    }                                                                                            \
  while (0)
#define HOST_MOVS(text) HOST_STRING (text, : "+S" (source), "+D" (target), "+c" (count) : : "memory")
#define HOST_STOS(text) HOST_STRING (text, : "+D" (target), "+c" (count) : "a" (v) : "memory")

void
vm_op_movs (VmX86Env *env, const VmInsn *insn)
{
  String s;
  Operand from = { .seg = insn->seg, .reg = VM_RSI, .access = VM_ACCESS_READ };
  Operand to = { .seg = VM_ES, .reg = VM_RDI, .access = VM_ACCESS_WRITE };
  uint64_t n, m, v = 0;

  if (!begin (&s, env, insn))
    return;
  do
    {
      n = open_operand (&s, &from, chunk_limit (&s));
      if (n == 0)
        v = vm_mmu_load (env, from.linear, s.size, s.ctx); /* its fault comes before the target's */
      m = open_operand (&s, &to, n ? n : 1);
      if (n && m)
        {
          void *source = from.host, *target = to.host;
          uint64_t count = n = m;

          switch (s.size)
            {
            case 1: HOST_MOVS ("rep movsb"); break;
            case 2: HOST_MOVS ("rep movsw"); break;
            case 4: HOST_MOVS ("rep movsl"); break;
            default: HOST_MOVS ("rep movsq"); break;
            }
        }
      else
        {
          if (n)
            v = vm_mmu_load (env, from.linear, s.size, s.ctx);
          n = 1;
          vm_mmu_store (env, to.linear, v, s.size, s.ctx);
        }
      advance (&s, &from, n);
      advance (&s, &to, n);
    }
  while (commit (&s, n, false));
}

void
vm_op_stos (VmX86Env *env, const VmInsn *insn)
{
  String s;
  Operand to = { .seg = VM_ES, .reg = VM_RDI, .access = VM_ACCESS_WRITE };
  uint64_t n, v = env->gpr[VM_RAX];

  if (!begin (&s, env, insn))
    return;
  do
    {
      n = open_operand (&s, &to, chunk_limit (&s));
      if (n)
        {
          void *target = to.host;
          uint64_t count = n;

          switch (s.size)
            {
            case 1: HOST_STOS ("rep stosb"); break;
            case 2: HOST_STOS ("rep stosw"); break;
            case 4: HOST_STOS ("rep stosl"); break;
            default: HOST_STOS ("rep stosq"); break;
            }
        }
      else
        {
          n = 1;
          vm_mmu_store (env, to.linear, v & size_mask (s.size), s.size, s.ctx);
        }
      advance (&s, &to, n);
    }
  while (commit (&s, n, false));
}

static uint64_t
element (const void *host, unsigned size)
{
  uint64_t v = 0;

  memcpy (&v, host, size);
  return v;
}

static uint64_t
load_element (String *s, const Operand *o)
{
  return vm_mmu_load (s->env, o->linear, s->size, s->ctx);
}

void
vm_op_lods (VmX86Env *env, const VmInsn *insn)
{
  String s;
  Operand from = { .seg = insn->seg, .reg = VM_RSI, .access = VM_ACCESS_READ };
  uint64_t n, v;

  if (!begin (&s, env, insn))
    return;
  do
    {
      n = open_operand (&s, &from, chunk_limit (&s));
      if (n)
        v = element ((char *) from.host + (s.down ? -1 : 1) * (int64_t) ((n - 1) * s.size), s.size);
      else
        {
          n = 1;
          v = load_element (&s, &from);
        }
      if (s.size == 4)
        env->gpr[VM_RAX] = v;
      else
        env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~size_mask (s.size)) | v;
      advance (&s, &from, n);
    }
  while (commit (&s, n, false));
}

/* Upwards, eight bytes at a time: how many of N elements come before those that may decide. At least one is left. */
static uint64_t
skip_undecided (const String *s, const uint8_t *a, const uint8_t *b, uint64_t v, uint64_t n)
{
  bool until_equal = s->insn->flags & VM_INSN_REPNE;
  uint64_t low = UINT64_MAX / size_mask (s->size); /* 1 in each element */
  uint64_t pattern = v * low, high = low << (8 * s->size - 1), lanes = 8 / s->size, i = 0;

  for (; n - i > lanes; i += lanes)
    {
      uint64_t differ = element (b + i * s->size, 8) ^ (a ? element (a + i * s->size, 8) : pattern);

      /* An element is zero where the two are equal. */
      if (until_equal ? ((differ - low) & ~differ & high) != 0 : differ != 0)
        break;
    }
  return i;
}

/* Compares N elements of A (or the constant V when A is NULL) with those of B until one decides. Returns how many
 * were looked at; *last_a and *last_b are the last two. */
static uint64_t
compare_run (const String *s, const uint8_t *a, const uint8_t *b, uint64_t v, uint64_t n, uint64_t *last_a,
             uint64_t *last_b)
{
  int64_t step = s->down ? -(int64_t) s->size : s->size;
  bool until_equal = s->insn->flags & VM_INSN_REPNE;
  uint64_t i = s->down ? 0 : skip_undecided (s, a, b, v, n), x = v, y = 0;

  while (i < n)
    {
      if (a)
        x = element (a + (int64_t) i * step, s->size);
      y = element (b + (int64_t) i * step, s->size);
      i++;
      if ((x == y) == until_equal)
        break;
    }
  *last_a = x;
  *last_b = y;
  return i;
}

static bool
decided (const String *s)
{
  bool equal = s->env->eflags & VM_ZF;

  return s->repeated && equal == !!(s->insn->flags & VM_INSN_REPNE);
}

void
vm_op_cmps (VmX86Env *env, const VmInsn *insn)
{
  String s;
  Operand first = { .seg = insn->seg, .reg = VM_RSI, .access = VM_ACCESS_READ };
  Operand second = { .seg = VM_ES, .reg = VM_RDI, .access = VM_ACCESS_READ };
  uint64_t n, m, a, b;

  if (!begin (&s, env, insn))
    return;
  do
    {
      n = open_operand (&s, &first, chunk_limit (&s));
      m = open_operand (&s, &second, n ? n : 1);
      if (n && m)
        n = compare_run (&s, first.host, second.host, 0, m, &a, &b);
      else
        {
          n = 1;
          a = load_element (&s, &first);
          b = load_element (&s, &second);
        }
      vm_interp_compare (env, a, b, s.size);
      advance (&s, &first, n);
      advance (&s, &second, n);
    }
  while (commit (&s, n, decided (&s)));
}

void
vm_op_scas (VmX86Env *env, const VmInsn *insn)
{
  String s;
  Operand second = { .seg = VM_ES, .reg = VM_RDI, .access = VM_ACCESS_READ };
  uint64_t n, a = env->gpr[VM_RAX] & size_mask (insn->opsize), b;

  if (!begin (&s, env, insn))
    return;
  do
    {
      n = open_operand (&s, &second, chunk_limit (&s));
      if (n)
        n = compare_run (&s, NULL, second.host, a, n, &a, &b);
      else
        {
          n = 1;
          b = load_element (&s, &second);
        }
      vm_interp_compare (env, a, b, s.size);
      advance (&s, &second, n);
    }
  while (commit (&s, n, decided (&s)));
}
