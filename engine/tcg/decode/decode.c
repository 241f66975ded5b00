/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The instruction decoder: prefixes, opcode look-up in the generated tables, operands (SDM volume 2,
 * chapter 2 and appendix A; APM volume 3, chapter 1). */
#include "config.h"

#include "engine/tcg/decode/decode-private.h"

#define MAX_LEN 15
#define VALID_CR 0x11d /* CR0, 2, 3, 4, 8 */

typedef struct Decoder {
  const uint8_t *bytes;
  unsigned       len, pos;
  unsigned       bits;
  const uint64_t *features;
  VmInsn        *insn;
  uint8_t        rex;       /* 0x40..0x4f, or 0; for VEX made up from its bits */
  uint8_t        prefix;    /* last of F3 and F2 */
  bool           osize, asize, vex, bad;
  uint8_t        pp;        /* mask bit for VmRowMatch.pp */
  unsigned       map;
  const VmRowMatch *match;
} Decoder;

/* Bytes are first counted, then read: a byte that is not there reads as 0 and the caller sees pos > len. */
static uint8_t
next (Decoder *d)
{
  unsigned pos = d->pos++;

  return pos < d->len ? d->bytes[pos] : 0;
}

static uint64_t
next_n (Decoder *d, unsigned n)
{
  unsigned pos = d->pos;

  d->pos += n;
  return d->pos <= d->len ? vm_load_le (d->bytes + pos, n) : 0;
}

static uint8_t
peek (const Decoder *d)
{
  return d->pos < d->len ? d->bytes[d->pos] : 0;
}

static int64_t
sign_extend (uint64_t v, unsigned size)
{
  unsigned shift = 64 - size * 8;

  return (int64_t) (v << shift) >> shift;
}

static bool
has_feature (const Decoder *d, unsigned feature)
{
  return !d->features || feature == VM_FEATURE_NONE || (d->features[feature / 64] >> (feature % 64) & 1);
}

/* Returns the first byte of the opcode. */
static uint8_t
decode_prefixes (Decoder *d)
{
  VmInsn *insn = d->insn;

  for (;;)
    {
      uint8_t byte = next (d);

      switch (byte)
        {
        case 0x26: case 0x2e: case 0x36: case 0x3e:
          if (d->bits != 64)
            {
              insn->seg = byte >> 3 & 3;
              insn->flags |= VM_INSN_SEGOV;
            }
          break;
        case 0x64: case 0x65:
          insn->seg = byte - 0x64 + VM_FS;
          insn->flags |= VM_INSN_SEGOV;
          break;
        case 0x66:
          d->osize = true;
          insn->flags |= VM_INSN_OSIZE;
          break;
        case 0x67:
          d->asize = true;
          insn->flags |= VM_INSN_ASIZE;
          break;
        case 0xf0:
          insn->flags |= VM_INSN_LOCK;
          break;
        case 0xf2: case 0xf3:
          d->prefix = byte;
          insn->flags = (insn->flags & ~(VM_INSN_REP | VM_INSN_REPNE)) |
                        (byte == 0xf3 ? VM_INSN_REP : VM_INSN_REPNE);
          break;
        default:
          if (d->bits == 64 && (byte & 0xf0) == 0x40)
            {
              d->rex = byte;
              if (d->pos > MAX_LEN)
                return 0;
              continue;
            }
          return byte;
        }
      /* A REX prefix counts only right before the opcode. */
      d->rex = 0;
      if (d->pos > d->len || d->pos > MAX_LEN)
        return 0;
    }
}

static bool
is_vex (const Decoder *d, uint8_t byte)
{
  if (byte != 0xc4 && byte != 0xc5)
    return false;
  return d->bits == 64 || (peek (d) & 0xc0) == 0xc0;
}

static void
decode_vex (Decoder *d, uint8_t byte)
{
  VmInsn *insn = d->insn;
  uint8_t p1 = next (d), p2 = p1, map = 1, rex = 0x40;

  if (d->rex || d->osize || d->prefix || (insn->flags & VM_INSN_LOCK))
    d->bad = true;
  rex |= p1 & 0x80 ? 0 : 4;
  if (byte == 0xc4)
    {
      p2 = next (d);
      map = p1 & 31;
      rex |= (p1 & 0x40 ? 0 : 2) | (p1 & 0x20 ? 0 : 1);
      rex |= p2 & 0x80 ? 8 : 0;
    }
  if (d->bits != 64)
    rex &= 0x48;
  insn->flags |= VM_INSN_VEX;
  if (p2 & 4)
    insn->flags |= VM_INSN_VEX_L;
  insn->vvvv = ~(p2 >> 3) & 15;
  d->rex = rex;
  d->vex = true;
  d->pp = 1 << (p2 & 3);
  if (map < 1 || map > 3)
    {
      d->bad = true;
      map = 1;
    }
  d->map = VM_MAP_VEX + map - 1;
  insn->opcode = next (d);
}

static void
decode_opcode (Decoder *d)
{
  uint8_t byte = decode_prefixes (d);

  d->map = VM_MAP_1;
  if (is_vex (d, byte))
    {
      decode_vex (d, byte);
      return;
    }
  d->pp = d->prefix == 0xf3 ? 4 : d->prefix == 0xf2 ? 8 : d->osize ? 2 : 1;
  if (byte == 0x0f)
    {
      d->map = VM_MAP_0F;
      byte = next (d);
      if (byte == 0x38 || byte == 0x3a)
        {
          d->map = byte == 0x38 ? VM_MAP_0F38 : VM_MAP_0F3A;
          byte = next (d);
        }
      else if (byte == 0x0f)
        d->map = VM_MAP_3DNOW;
    }
  d->insn->opcode = byte;
}

static bool
row_matches (const Decoder *d, const VmRowMatch *m, uint8_t modrm)
{
  const VmInsn *insn = d->insn;

  if (!(m->pp & d->pp))
    return false;
  if (m->mode && m->mode != (d->bits == 64 ? 2 : 1))
    return false;
  if (m->w && m->w != (d->rex & 8 ? 2 : 1))
    return false;
  if (m->l && m->l != (insn->flags & VM_INSN_VEX_L ? 2 : 1))
    return false;
  if (m->flags & MATCH_MODRM)
    {
      if (m->mod && m->mod != (modrm >= 0xc0 ? 2 : 1))
        return false;
      if (m->reg != 255 && m->reg != (modrm >> 3 & 7))
        return false;
      if (m->rm != 255 && m->rm != (modrm & 7))
        return false;
    }
  if (m->asize && m->asize != insn->addrsize)
    return false;
  if ((m->flags & MATCH_B0) && (d->rex & 1))
    return false;
  return has_feature (d, vm_insn_rows[m - vm_row_match].feature);
}

static void
look_up (Decoder *d, uint8_t opcode, uint8_t modrm)
{
  const VmLookup *l = &vm_lookup[d->map][opcode];
  unsigned first = l->first, count = l->count;

  if (count == 255)
    {
      const VmLookupReg *r = &vm_lookup_by_reg[l->first][modrm >> 3 & 7];

      first = r->first;
      count = r->count;
    }
  for (unsigned i = 0; i < count; i++)
    {
      const VmRowMatch *m = &vm_row_match[vm_candidates[first + i]];

      if (row_matches (d, m, modrm))
        {
          d->match = m;
          d->insn->row = m - vm_row_match;
          return;
        }
    }
  d->match = &vm_row_match[0];
  d->insn->row = 0;
  d->bad = true;
}

static void
decode_memory16 (Decoder *d, uint8_t modrm)
{
  static const struct { uint8_t base, index; } forms[8] = {
    { VM_RBX, VM_RSI }, { VM_RBX, VM_RDI }, { VM_RBP, VM_RSI }, { VM_RBP, VM_RDI },
    { VM_RSI, VM_REG_NONE }, { VM_RDI, VM_REG_NONE }, { VM_RBP, VM_REG_NONE }, { VM_RBX, VM_REG_NONE },
  };
  VmInsn *insn = d->insn;
  unsigned mod = modrm >> 6, rm = modrm & 7;

  insn->base = forms[rm].base;
  insn->index = forms[rm].index;
  if (mod == 0 && rm == 6)
    {
      insn->base = VM_REG_NONE;
      mod = 2;
    }
  if (mod == 1)
    insn->disp = sign_extend (next (d), 1);
  else if (mod == 2)
    insn->disp = sign_extend (next_n (d, 2), 2);
}

static void
decode_memory32 (Decoder *d, uint8_t modrm)
{
  VmInsn *insn = d->insn;
  unsigned mod = modrm >> 6, rm = modrm & 7;

  if (rm == 4)
    {
      uint8_t sib = next (d);

      insn->scale = 1 << (sib >> 6);
      insn->index = (sib >> 3 & 7) | (d->rex & 2 ? 8 : 0);
      if (insn->index == 4)
        insn->index = VM_REG_NONE;
      rm = sib & 7;
      insn->base = rm | (d->rex & 1 ? 8 : 0);
      if (rm == 5 && mod == 0)
        {
          insn->base = VM_REG_NONE;
          mod = 2;
        }
    }
  else if (rm == 5 && mod == 0)
    {
      insn->base = d->bits == 64 ? VM_REG_RIP : VM_REG_NONE;
      mod = 2;
    }
  else
    insn->base = rm | (d->rex & 1 ? 8 : 0);
  if (mod == 1)
    insn->disp = sign_extend (next (d), 1);
  else if (mod == 2)
    insn->disp = sign_extend (next_n (d, 4), 4);
}

static void
decode_modrm (Decoder *d, uint8_t modrm)
{
  VmInsn *insn = d->insn;

  insn->modrm = modrm;
  insn->reg = (modrm >> 3 & 7) | (d->rex & 4 ? 8 : 0);
  insn->rm = (modrm & 7) | (d->rex & 1 ? 8 : 0);
  if (modrm >= 0xc0)
    return;
  insn->flags |= VM_INSN_MEM;
  if (insn->addrsize == 2)
    decode_memory16 (d, modrm);
  else
    decode_memory32 (d, modrm);
  if (!(insn->flags & VM_INSN_SEGOV))
    insn->seg = insn->base == VM_RBP || insn->base == VM_RSP ? VM_SS : VM_DS;
}

/* Moves to and from control and debug registers take a register whatever modrm.mod says. */
static void
fix_register_only (Decoder *d, const VmInsnRow *row, uint8_t modrm)
{
  for (unsigned i = 0; i < row->n_operands; i++)
    if (row->operand[i].kind == VM_OPND_C || row->operand[i].kind == VM_OPND_D)
      {
        d->insn->modrm = modrm;
        d->insn->reg = (modrm >> 3 & 7) | (d->rex & 4 ? 8 : 0);
        d->insn->rm = (modrm & 7) | (d->rex & 1 ? 8 : 0);
        return;
      }
  decode_modrm (d, modrm);
}

static uint8_t
operand_size (const Decoder *d, const VmInsnRow *row)
{
  const VmRowMatch *m = d->match;
  bool osize = d->osize && !(m->flags & MATCH_P66);

  if (m->flags & MATCH_BYTE)
    return 1;
  if (d->vex)
    return d->rex & 8 && d->bits == 64 ? 8 : 4;
  if (d->bits != 64)
    {
      if (row->attrs & VM_ATTR_O8 || m->flags & MATCH_P66)
        return 4;
      return (d->bits == 32) != osize ? 4 : 2;
    }
  if (row->attrs & VM_ATTR_O8)
    return 8;
  if (row->attrs & VM_ATTR_F64)
    {
      /* Intel's processors ignore 66 on near branches, AMD's honour it. */
      if (osize && !(d->rex & 8) && d->features && has_feature (d, VM_FEATURE_AMD_BRANCH))
        return 2;
      return 8;
    }
  if (d->rex & 8)
    return 8;
  if (osize)
    return 2;
  return row->attrs & VM_ATTR_D64 ? 8 : 4;
}

static uint64_t
decode_immediate (Decoder *d, unsigned kind)
{
  VmInsn *insn = d->insn;
  unsigned size = insn->opsize;

  switch (kind)
    {
    case IMM_B: case IMM_IS4:
      return next (d);
    case IMM_BS:
      return sign_extend (next (d), 1);
    case IMM_W:
      return next_n (d, 2);
    case IMM_Z:
      size = size == 2 ? 2 : 4;
      return sign_extend (next_n (d, size), size);
    case IMM_V:
      return next_n (d, size);
    case IMM_FAR:
      {
        uint64_t offset = next_n (d, size);

        insn->imm2 = next_n (d, 2);
        return offset;
      }
    case IMM_OFFSET:
      insn->flags |= VM_INSN_MEM;
      if (!(insn->flags & VM_INSN_SEGOV))
        insn->seg = VM_DS;
      return next_n (d, insn->addrsize);
    default:
      return 0;
    }
}

static void
decode_immediates (Decoder *d)
{
  const VmRowMatch *m = d->match;
  VmInsn *insn = d->insn;

  if (m->imm1 == IMM_IS4)
    {
      insn->imm2 = next (d) & (d->bits == 64 ? 0xff : 0x7f);
      insn->imm = insn->imm2 & 15;
      return;
    }
  if (m->imm1)
    insn->imm = decode_immediate (d, m->imm1);
  if (m->imm2)
    insn->imm2 = decode_immediate (d, m->imm2);
}

/* Rules that make a form undefined although its opcode exists. */
static void
check_legality (Decoder *d, const VmInsnRow *row)
{
  VmInsn *insn = d->insn;

  /* AMD: LOCK MOV CR0 is CR8, outside 64-bit mode too. */
  if ((insn->flags & VM_INSN_LOCK) && insn->reg == 0 && d->features && has_feature (d, VM_FEATURE_CR8LEGACY) &&
      (row->op == VM_OP_MOV_TO_CR || row->op == VM_OP_MOV_FROM_CR))
    {
      insn->flags &= ~VM_INSN_LOCK;
      insn->reg = 8;
    }

  /* LOCK needs a memory destination: "add r, m" shares the operation with "add m, r". */
  if ((insn->flags & VM_INSN_LOCK) && (!(row->attrs & VM_ATTR_LOCK) || !(insn->flags & VM_INSN_MEM)))
    d->bad = true;
  for (unsigned i = 0; i < row->n_operands; i++)
    if ((row->operand[i].kind == VM_OPND_C && !(VALID_CR >> insn->reg & 1)) ||
        (row->operand[i].kind == VM_OPND_D && insn->reg > 7))
      d->bad = true;
  if (row->attrs & VM_ATTR_VSIB)
    {
      if ((insn->modrm & 7) != 4 || insn->addrsize == 2)
        d->bad = true;
      if (insn->index == VM_REG_NONE)
        insn->index = 4;
    }
}

static void
finish (Decoder *d)
{
  VmInsn *insn = d->insn;

  /* VEX.W means nothing outside 64-bit mode, unless it selects the form. */
  if (d->vex && d->bits != 64 && !d->match->w)
    d->rex &= ~8;
  if (d->rex)
    insn->flags |= (d->vex ? 0 : VM_INSN_REX) | (d->rex & 8 ? VM_INSN_REXW : 0);
  if (d->bad)
    insn->flags |= VM_INSN_UD;
}

unsigned
vm_insn_decode (const uint8_t *bytes, unsigned len, unsigned code_bits, const uint64_t *features,
                VmInsn *insn)
{
  Decoder d = { .bytes = bytes, .len = MIN (len, MAX_LEN), .bits = code_bits, .features = features,
                .insn = insn };
  const VmInsnRow *row;
  const VmLookup *l;
  uint8_t modrm = 0;
  bool has_modrm;

  *insn = (VmInsn) { .seg = VM_DS, .base = VM_REG_NONE, .index = VM_REG_NONE, .scale = 1 };
  decode_opcode (&d);
  insn->addrsize = code_bits == 64 ? (d.asize ? 4 : 8) : (code_bits == 32) != d.asize ? 4 : 2;
  l = &vm_lookup[d.map][insn->opcode];
  has_modrm = l->modrm || d.map == VM_MAP_3DNOW || (l->count == 0 && d.map != VM_MAP_1 && d.map != VM_MAP_0F);
  if (has_modrm)
    modrm = next (&d);
  if (d.pos > d.len)
    goto incomplete;

  if (d.map == VM_MAP_3DNOW)
    {
      /* The opcode follows the operands. */
      decode_modrm (&d, modrm);
      insn->opcode = next (&d);
      look_up (&d, insn->opcode, modrm);
      row = &vm_insn_rows[insn->row];
      insn->opsize = operand_size (&d, row);
    }
  else
    {
      look_up (&d, insn->opcode, modrm);
      row = &vm_insn_rows[insn->row];
      insn->opsize = operand_size (&d, row);
      if (has_modrm)
        fix_register_only (&d, row, modrm);
      else if (d.match->flags & MATCH_OPREG)
        insn->reg = insn->rm = (insn->opcode & 7) | (d.rex & 1 ? 8 : 0);
      decode_immediates (&d);
    }
  /* All four bits are to be as they should where none is used; of a register's number, outside 64-bit mode, three count. */
  if (d.vex && insn->row && !(d.match->flags & MATCH_VVVV) && insn->vvvv != 0)
    d.bad = true;
  if (d.vex && code_bits != 64)
    insn->vvvv &= 7;
  if (insn->row)
    check_legality (&d, row);
  finish (&d);

incomplete:
  if (d.pos > MAX_LEN && len >= MAX_LEN)
    {
      insn->flags |= VM_INSN_TOOLONG;
      insn->row = 0;
      insn->len = MAX_LEN;
      return MAX_LEN;
    }
  insn->len = d.pos;
  return d.pos;
}

/* Flags a condition code tests (SDM volume 2, appendix B.1.4). */
static uint32_t
condition_flags (unsigned cc)
{
  static const uint16_t flags[8] = {
    VM_OF, VM_CF, VM_ZF, VM_CF | VM_ZF, VM_SF, VM_PF, VM_SF | VM_OF, VM_SF | VM_OF | VM_ZF,
  };

  return flags[cc >> 1 & 7];
}

uint32_t
vm_insn_flags_read (const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];

  if (vm_row_match[insn->row].flags & MATCH_CC)
    return condition_flags (insn->opcode);
  return row->flags_read;
}

int
vm_insn_static_fault (const VmInsn *insn, uint32_t mode)
{
  uint32_t attrs = vm_insn_rows[insn->row].attrs;
  bool protected = (mode & VM_MODE_PE) && !(mode & VM_MODE_VM);

  if (insn->flags & (VM_INSN_UD | VM_INSN_TOOLONG))
    return insn->flags & VM_INSN_TOOLONG ? VM_EXC_GP : VM_EXC_UD;
  if (!(attrs & (VM_ATTR_PE | VM_ATTR_PRIV | VM_ATTR_STATE_X87 | VM_ATTR_STATE_MMX | VM_ATTR_STATE_SSE |
                 VM_ATTR_STATE_AVX)))
    return -1;
  if ((attrs & VM_ATTR_PE) && !protected)
    return VM_EXC_UD;
  if ((attrs & (VM_ATTR_STATE_MMX | VM_ATTR_STATE_SSE)) && (mode & VM_MODE_EM))
    return VM_EXC_UD;
  if ((attrs & VM_ATTR_STATE_SSE) && !(mode & VM_MODE_OSFXSR))
    return VM_EXC_UD;
  if ((attrs & VM_ATTR_STATE_AVX) && !(mode & VM_MODE_AVX))
    return VM_EXC_UD;
  if ((attrs & VM_ATTR_PRIV) && (mode & VM_MODE_CPL))
    return VM_EXC_GP;
  if ((attrs & VM_ATTR_STATE_X87) && (mode & (VM_MODE_EM | VM_MODE_TS)))
    return VM_EXC_NM;
  if ((attrs & (VM_ATTR_STATE_MMX | VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX)) && (mode & VM_MODE_TS))
    return VM_EXC_NM;
  return -1;
}
