/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See generate.h. */
#include "config.h"

#include "tests/tcg-fuzz/generate.h"

#include "engine/tcg/decode/decode-private.h"

/* --- random ------------------------------------------------------------------------------------ */

void
fuzz_random_seed (FuzzRandom *r, uint64_t seed)
{
  r->s[0] = seed * UINT64_C (0x9e3779b97f4a7c15) + 1;
  r->s[1] = ~seed * UINT64_C (0xbf58476d1ce4e5b9) + 3;
  for (unsigned i = 0; i < 8; i++)
    fuzz_random (r);
}

uint64_t
fuzz_random (FuzzRandom *r) /* xorshift128+ */
{
  uint64_t a = r->s[0], b = r->s[1];

  r->s[0] = b;
  a ^= a << 23;
  r->s[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
  return r->s[1] + b;
}

unsigned
fuzz_below (FuzzRandom *r, unsigned n)
{
  return (fuzz_random (r) >> 32) * n >> 32;
}

bool
fuzz_chance (FuzzRandom *r, unsigned percent)
{
  return fuzz_below (r, 100) < percent;
}

uint64_t
fuzz_value (FuzzRandom *r)
{
  static const uint64_t edges[] = {
    0, 1, 2, 0x7f, 0x80, 0x81, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
    UINT64_C (0x100000000), INT64_MAX, (uint64_t) INT64_MIN, UINT64_MAX, UINT64_MAX - 1, UINT64_C (0xffffffff80000000),
  };
  unsigned kind = fuzz_below (r, 10);

  if (kind < 4)
    return edges[fuzz_below (r, G_N_ELEMENTS (edges))];
  if (kind < 6)
    return fuzz_below (r, 64);
  if (kind < 7)
    return fuzz_random (r) & fuzz_random (r) & fuzz_random (r);
  return fuzz_random (r) >> fuzz_below (r, 64);
}

uint64_t
fuzz_address (FuzzRandom *r, unsigned bits)
{
  uint64_t base = bits == 16 ? 0 : FUZZ_DATA, offset;

  if (fuzz_chance (r, 85))
    offset = fuzz_below (r, FUZZ_READ_ONLY - 64);
  else
    offset = fuzz_below (r, FUZZ_DATA_SIZE);
  if (fuzz_chance (r, 10)) /* over a page's end */
    offset = (offset & ~UINT64_C (0xfff)) + 0xff0 + fuzz_below (r, 32);
  if (fuzz_chance (r, 40))
    offset &= ~UINT64_C (15);
  if (bits == 64 && fuzz_chance (r, 20))
    {
      base = FUZZ_HIGH;
      offset &= FUZZ_HIGH_SIZE - 1;
    }
  return base + offset;
}

/* --- instructions ------------------------------------------------------------------------------ */

typedef struct Bytes {
  uint8_t *at;
  unsigned n;
} Bytes;

static void
put (Bytes *b, uint64_t v, unsigned size)
{
  for (unsigned i = 0; i < size && b->n < 16; i++, v >>= 8)
    b->at[b->n++] = v;
}

static void
put_prefixes (FuzzRandom *r, const VmRowMatch *m, const VmInsnRow *row, unsigned bits, Bytes *b)
{
  bool osize = fuzz_chance (r, 25);

  if ((row->attrs & VM_ATTR_LOCK) ? fuzz_chance (r, 15) : fuzz_chance (r, 1))
    put (b, 0xf0, 1);
  if (fuzz_chance (r, 10) || (m->asize && m->asize != bits / 8))
    put (b, 0x67, 1);
  if (fuzz_chance (r, 5))
    put (b, ((const uint8_t[]) { 0x26, 0x2e, 0x36, 0x3e })[fuzz_below (r, 4)], 1);
  if (row->attrs & VM_ATTR_REP)
    {
      if (fuzz_chance (r, 60))
        put (b, 0xf2 + fuzz_below (r, 2), 1);
    }
  else if (m->pp == 4 || m->pp == 8)
    put (b, m->pp == 4 ? 0xf3 : 0xf2, 1);
  else if (fuzz_chance (r, 2))
    put (b, 0xf2 + fuzz_below (r, 2), 1);
  if (m->pp == 2 || (osize && m->pp != 1))
    put (b, 0x66, 1);
}

static void
put_opcode (const VmRowMatch *m, uint8_t opcode, Bytes *b)
{
  if (m->map != VM_MAP_1)
    put (b, 0x0f, 1);
  if (m->map == VM_MAP_0F38)
    put (b, 0x38, 1);
  if (m->map == VM_MAP_0F3A)
    put (b, 0x3a, 1);
  put (b, m->map == VM_MAP_3DNOW ? 0x0f : opcode, 1);
}

static void
put_vex (FuzzRandom *r, const VmRowMatch *m, unsigned bits, uint8_t opcode, Bytes *b)
{
  unsigned pp = __builtin_ctz (m->pp), map = m->map - VM_MAP_VEX + 1;
  unsigned w = m->w ? m->w - 1 : fuzz_below (r, 2), l = m->l ? m->l - 1 : fuzz_below (r, 2);
  unsigned rxb = bits == 64 ? fuzz_below (r, 8) : 7;
  unsigned vvvv = m->flags & MATCH_VVVV || fuzz_chance (r, 2) ? fuzz_below (r, 16) : 15;

  if (bits != 64)
    vvvv |= 8;
  if (map == 1 && !w && (rxb & 3) == 3 && fuzz_chance (r, 60))
    {
      put (b, 0xc5, 1);
      put (b, (rxb & 4) << 5 | vvvv << 3 | l << 2 | pp, 1);
    }
  else
    {
      put (b, 0xc4, 1);
      put (b, rxb << 5 | map, 1);
      put (b, w << 7 | vvvv << 3 | l << 2 | pp, 1);
    }
  put (b, opcode, 1);
}

static void
put_modrm (FuzzRandom *r, const VmRowMatch *m, const VmInsnRow *row, unsigned asize, Bytes *b)
{
  bool memory = m->mod == 1 || (m->mod == 0 && fuzz_chance (r, 50));
  unsigned mod = memory ? fuzz_below (r, 3) : 3;
  unsigned reg = m->reg != 255 ? m->reg : fuzz_below (r, 8), rm = m->rm != 255 ? m->rm : fuzz_below (r, 8);

  if (row->attrs & VM_ATTR_VSIB && fuzz_chance (r, 95))
    rm = 4;
  put (b, mod << 6 | reg << 3 | rm, 1);
  if (mod == 3)
    return;
  if (asize == 2)
    {
      unsigned size = mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;

      put (b, fuzz_random (r), size);
      return;
    }
  unsigned size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  if (rm == 4)
    {
      unsigned sib = fuzz_random (r) & 0xff;

      put (b, sib, 1);
      if (mod == 0 && (sib & 7) == 5)
        size = 4;
    }
  else if (rm == 5 && mod == 0)
    size = 4;
  put (b, fuzz_value (r), size);
}

static unsigned
immediate_size (const VmInsn *insn, unsigned kind)
{
  switch (kind)
    {
    case IMM_B: case IMM_BS: case IMM_IS4: return 1;
    case IMM_W: return 2;
    case IMM_Z: return insn->opsize == 2 ? 2 : 4;
    case IMM_V: return insn->opsize;
    case IMM_FAR: return insn->opsize + 2;
    case IMM_OFFSET: return insn->addrsize;
    default: return 0;
    }
}

unsigned
fuzz_make_insn (FuzzRandom *r, unsigned row_index, unsigned bits, uint8_t bytes[16])
{
  const VmRowMatch *m = &vm_row_match[row_index];
  const VmInsnRow *row = &vm_insn_rows[row_index];
  Bytes b = { bytes, 0 };
  uint8_t opcode = m->opcode;
  unsigned asize;
  VmInsn insn;

  if (m->mode == (bits == 64 ? 1 : 2))
    return 0;
  if (m->flags & MATCH_OPREG)
    opcode |= fuzz_below (r, 8);
  if (m->flags & MATCH_CC)
    opcode |= fuzz_below (r, 16);
  asize = bits / 8;
  if (m->map >= VM_MAP_VEX)
    put_vex (r, m, bits, opcode, &b);
  else
    {
      put_prefixes (r, m, row, bits, &b);
      if (bits == 64 && (fuzz_chance (r, 60) || m->w == 2))
        put (&b, 0x40 | (fuzz_random (r) & 15 & ~(m->w == 1 ? 8 : 0) & ~(m->flags & MATCH_B0 ? 1 : 0)) | (m->w == 2 ? 8 : 0), 1);
      put_opcode (m, opcode, &b);
    }
  if (memchr (bytes, 0x67, b.n))
    asize = bits == 64 ? 4 : bits == 32 ? 2 : 4;
  if (m->flags & MATCH_MODRM)
    put_modrm (r, m, row, asize, &b);
  if (m->map == VM_MAP_3DNOW)
    put (&b, opcode, 1);
  /* Sizes of immediates depend on prefixes: the decoder knows. */
  uint8_t probe[16] = { 0 };
  memcpy (probe, bytes, b.n);
  vm_insn_decode (probe, 15, bits, NULL, &insn);
  put (&b, fuzz_value (r), immediate_size (&insn, m->imm1));
  put (&b, fuzz_value (r), immediate_size (&insn, m->imm2));
  return b.n > 15 ? 0 : b.n;
}

/* --- states ------------------------------------------------------------------------------------ */

static void
random_extended (FuzzRandom *r, uint8_t *p)
{
  uint64_t mantissa = fuzz_value (r) | (fuzz_chance (r, 95) ? VM_BIT (63) : 0);
  uint16_t exponent = fuzz_chance (r, 70) ? 0x3fff - 40 + fuzz_below (r, 80) : fuzz_value (r);

  vm_store_le64 (p, mantissa);
  vm_store_le16 (p + 8, exponent | (fuzz_chance (r, 40) ? 0x8000 : 0));
}

static uint32_t
random_float (FuzzRandom *r)
{
  static const uint32_t edges[] = {
    0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 1, 0x007fffff, 0x00800000,
    0x80800001, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x3f000000, 0x0d000000, 0x2f800000,
  };

  return fuzz_chance (r, 60) ? edges[fuzz_below (r, G_N_ELEMENTS (edges))] : fuzz_random (r);
}

static uint64_t
random_double (FuzzRandom *r)
{
  static const uint16_t exponents[] = { 0, 1, 0x7ff, 0x7fe, 0x3ff, 0x3fe, 0x41e, 0x43e, 0x36a, 0x380, 0x47f, 0x1ff };
  uint64_t exponent = exponents[fuzz_below (r, G_N_ELEMENTS (exponents))] | (fuzz_random (r) & 0x800);

  return exponent << 52 | (fuzz_chance (r, 50) ? 0 : fuzz_random (r) >> 12 & ~(fuzz_random (r) & 0xffffffff));
}

static uint64_t
random_quarter (FuzzRandom *r, unsigned kind)
{
  if (kind == 0)
    return random_float (r) | (uint64_t) random_float (r) << 32;
  if (kind == 1)
    return random_double (r);
  return fuzz_chance (r, 50) ? fuzz_random (r) : fuzz_value (r);
}

static void
random_xsave (FuzzRandom *r, uint8_t *x)
{
  uint16_t fcw = 0x37f & ~(fuzz_chance (r, 30) ? fuzz_random (r) & 0x300 : 0);
  uint32_t mxcsr = 0x1f80 | (fuzz_chance (r, 50) ? 0 : fuzz_random (r) & 0xe040);

  if (fuzz_chance (r, 15))
    fcw &= ~(fuzz_random (r) & 0x3f);
  if (fuzz_chance (r, 15))
    mxcsr &= ~(fuzz_random (r) & 0x1f80);
  memset (x, 0, FUZZ_XSAVE);
  vm_store_le16 (x, fcw | (fuzz_random (r) & 0xc00));
  /* Flags that are not masked would be an error that waits. */
  vm_store_le16 (x + 2, fuzz_chance (r, 50) ? 0 : fuzz_random (r) & (0x7f00 | (fcw & 0x3f)));
  x[4] = fuzz_chance (r, 60) ? 0xff >> fuzz_below (r, 8) : fuzz_random (r);
  vm_store_le32 (x + 24, mxcsr | (fuzz_chance (r, 50) ? 0 : fuzz_random (r) & 0x3f));
  for (unsigned i = 0; i < 8; i++)
    random_extended (r, x + 32 + 16 * i);
  for (unsigned i = 0, kind = 0; i < 32; i++)
    {
      if (i % 2 == 0)
        kind = fuzz_below (r, 3);
      vm_store_le64 (x + 160 + 8 * i, random_quarter (r, kind));
      vm_store_le64 (x + 576 + 8 * i, random_quarter (r, kind));
    }
  x[512] = 7;
}

void
fuzz_make_state (FuzzRandom *r, unsigned bits, FuzzState *s)
{
  for (unsigned i = 0; i < 16; i++)
    s->gpr[i] = fuzz_chance (r, 15) ? fuzz_address (r, bits) : fuzz_value (r);
  if (fuzz_chance (r, 90))
    s->gpr[VM_RSP] = (bits == 16 ? 0 : FUZZ_DATA) + 0x4000 + fuzz_below (r, 0x400) * 8;
  s->eflags = 0x202 | (fuzz_random (r) & (VM_ARITH_FLAGS | (fuzz_chance (r, 30) ? VM_DF : 0))) |
              (fuzz_chance (r, 2) ? VM_AC : 0);
  random_xsave (r, s->xsave);
  if (bits != 64)
    for (unsigned i = 0; i < 16; i++)
      s->gpr[i] = i < 8 ? (uint32_t) s->gpr[i] : 0;
}

/* --- aiming ------------------------------------------------------------------------------------ */

static uint64_t
mask_of (unsigned size)
{
  return UINT64_MAX >> (64 - size * 8);
}

static uint64_t
offset_of (const VmInsn *insn, const FuzzState *s, bool vsib)
{
  uint64_t offset = (int64_t) insn->disp;

  if (insn->base == VM_REG_RIP)
    offset += s->rip + insn->len;
  else if (insn->base != VM_REG_NONE)
    offset += s->gpr[insn->base];
  if (insn->index != VM_REG_NONE && !vsib)
    offset += s->gpr[insn->index] * insn->scale;
  return offset & mask_of (insn->addrsize);
}

static void
set_register (FuzzState *s, unsigned reg, uint64_t v, unsigned size, unsigned bits)
{
  s->gpr[reg] = size == 2 ? (s->gpr[reg] & ~UINT64_C (0xffff)) | (v & 0xffff) : v & mask_of (size);
  if (bits != 64)
    s->gpr[reg] = (uint32_t) s->gpr[reg];
}

static void
aim_memory (FuzzRandom *r, const VmInsn *insn, const VmInsnRow *row, unsigned bits, uint8_t *bytes, FuzzState *s)
{
  const VmRowMatch *m = &vm_row_match[insn->row];
  uint64_t target = fuzz_address (r, bits), by;
  bool vsib = row->attrs & VM_ATTR_VSIB;
  unsigned tail = immediate_size (insn, m->imm1) + immediate_size (insn, m->imm2) + (m->map == VM_MAP_3DNOW);

  if (row->imm == VM_IMM_MOFFS)
    {
      for (unsigned i = 0; i < insn->addrsize; i++, target >>= 8)
        bytes[insn->len - insn->addrsize + i] = target;
      return;
    }
  if (vsib)
    for (unsigned i = 0; i < 4; i++)
      {
        vm_store_le64 (s->xsave + 160 + insn->index * 16 + 8 * (i & 1), fuzz_below (r, 256) | (uint64_t) fuzz_below (r, 256) << 32);
        vm_store_le64 (s->xsave + 576 + insn->index * 16 + 8 * (i & 1), fuzz_below (r, 256) | (uint64_t) fuzz_below (r, 256) << 32);
      }
  by = target - offset_of (insn, s, vsib);
  if (insn->base < 16)
    {
      unsigned times = !vsib && insn->base == insn->index ? insn->scale + 1 : 1;

      set_register (s, insn->base, s->gpr[insn->base] + by / times, insn->addrsize, bits);
    }
  else if (insn->addrsize != 2)
    {
      uint32_t disp = insn->disp + by;

      memcpy (bytes + insn->len - tail - 4, &disp, 4);
    }
}

/* A free run must not land in the middle of its own instructions: nobody has looked at what these bytes do. */
static uint64_t
code_target (FuzzRandom *r, unsigned bits, bool step)
{
  unsigned from = step ? 0 : FUZZ_CODE_SIZE / 2;

  return (bits == 16 ? 0 : FUZZ_CODE) + from + fuzz_below (r, FUZZ_CODE_SIZE - from);
}

static uint64_t
data_linear (unsigned bits, uint64_t offset)
{
  return bits == 16 ? FUZZ_DATA + (offset & 0xffff) : offset;
}

static void
aim_special (FuzzRandom *r, const VmInsn *insn, const VmInsnRow *row, unsigned bits, FuzzState *s, bool step,
             void (*write) (uint64_t linear, const void *data, unsigned len))
{
  uint64_t memory = (insn->flags & VM_INSN_MEM) ? data_linear (bits, offset_of (insn, s, false)) : 0, target;

  switch (row->op)
    {
    case VM_OP_BT: case VM_OP_BTS: case VM_OP_BTR: case VM_OP_BTC:
      if (memory && row->operand[1].kind == VM_OPND_G && insn->reg != insn->base && insn->reg != insn->index)
        set_register (s, insn->reg, (uint64_t) fuzz_below (r, 20000) - 10000, insn->opsize, bits);
      break;
    case VM_OP_XLAT:
      set_register (s, VM_RBX, fuzz_address (r, bits), insn->addrsize, bits);
      break;
    case VM_OP_ENTER: case VM_OP_LEAVE:
      set_register (s, VM_RBP, fuzz_address (r, bits), bits / 8, bits);
      break;
    case VM_OP_DIV: case VM_OP_IDIV:
      if (fuzz_chance (r, 60))
        set_register (s, VM_RDX, s->gpr[VM_RAX] >> 63 ? UINT64_MAX : 0, bits / 8, bits);
      break;
    case VM_OP_CMPXCHG: case VM_OP_CMPXCHG8B: case VM_OP_CMPXCHG16B:
      if (memory && fuzz_chance (r, 50))
        {
          uint64_t equal[2] = { s->gpr[VM_RAX], s->gpr[VM_RDX] };

          if (row->op == VM_OP_CMPXCHG8B)
            equal[0] = (uint32_t) equal[0] | equal[1] << 32;
          write (memory, equal, 16);
        }
      break;
    case VM_OP_LDMXCSR: case VM_OP_VLDMXCSR:
      /* Bit 17 exists on some processors only. */
      target = fuzz_random (r) & (fuzz_chance (r, 80) ? 0xffff : 0xfffdffff);
      if (memory)
        write (memory, &target, 4);
      break;
    case VM_OP_RET:
      target = code_target (r, bits, step);
      write (data_linear (bits, s->gpr[VM_RSP]), &target, insn->opsize);
      break;
    case VM_OP_JMP_IND: case VM_OP_CALL_IND:
      target = code_target (r, bits, step);
      if (memory)
        write (memory, &target, insn->opsize);
      else if (fuzz_chance (r, 80))
        set_register (s, insn->rm, target, 8, bits);
      break;
    default:
      break;
    }
  if (row->attrs & VM_ATTR_REP && fuzz_chance (r, 97))
    set_register (s, VM_RCX, fuzz_below (r, step ? 20 : fuzz_chance (r, 50) ? 20 : 6000), insn->addrsize, bits);
}

void
fuzz_aim (FuzzRandom *r, const VmInsn *insn, unsigned bits, uint8_t *bytes, FuzzState *s, bool step,
          void (*write) (uint64_t linear, const void *data, unsigned len))
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];

  if (fuzz_chance (r, 5))
    return;
  if ((insn->flags & VM_INSN_MEM) && row->op != VM_OP_LEA)
    aim_memory (r, insn, row, bits, bytes, s);
  for (unsigned i = 0; i < row->n_operands; i++)
    if (row->operand[i].kind == VM_OPND_X)
      set_register (s, VM_RSI, fuzz_address (r, bits), insn->addrsize, bits);
    else if (row->operand[i].kind == VM_OPND_Y)
      set_register (s, VM_RDI, fuzz_address (r, bits), insn->addrsize, bits);
  aim_special (r, insn, row, bits, s, step, write);
}
