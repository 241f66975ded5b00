/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guest instruction to host bytes (Intel SDM vol. 2, chapter 2). */
#include "engine/tcg/host-x86_64/reencode.h"

typedef struct Encoding {
  bool rex_w, rex_r, rex_x, rex_b;
  bool need_rex, no_rex;
} Encoding;

void
vm_host_operands_init (VmHostOperands *ops, const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];
  bool legacy_byte = !(insn->flags & (VM_INSN_REX | VM_INSN_VEX));

  *ops = (VmHostOperands) {
    .reg = insn->reg, .rm = insn->rm, .vvvv = insn->vvvv,
    .mem = insn->flags & VM_INSN_MEM, .lock = insn->flags & VM_INSN_LOCK,
    .base = insn->base, .index = insn->index, .scale = insn->scale, .disp = insn->disp,
  };
  if (legacy_byte && row->enc & VM_ENC_REG_BYTE && insn->reg >= 4)
    ops->reg |= VM_HOST_HIGH_BYTE;
  if (legacy_byte && row->enc & VM_ENC_RM_BYTE && insn->rm >= 4)
    ops->rm |= VM_HOST_HIGH_BYTE;
}

static void
note_byte_register (Encoding *e, uint8_t number)
{
  if (number & VM_HOST_HIGH_BYTE)
    e->no_rex = true;
  else if (number >= 4)
    e->need_rex = true;
}

static Encoding
encoding_of (const VmInsn *insn, const VmInsnRow *row, const VmHostOperands *ops)
{
  Encoding e = { 0 };

  if (row->enc & VM_ENC_SIZED)
    e.rex_w = insn->opsize == 8;
  else
    e.rex_w = insn->flags & VM_INSN_REXW;
  if (row->enc & VM_ENC_OPREG)
    e.rex_b = ops->reg & 8;
  else if (row->enc & VM_ENC_MODRM)
    {
      e.rex_r = !(row->enc & VM_ENC_EXT) && ops->reg & 8;
      if (ops->mem)
        {
          e.rex_b = ops->base != VM_REG_NONE && ops->base & 8;
          e.rex_x = ops->index != VM_REG_NONE && ops->index & 8;
        }
      else
        e.rex_b = ops->rm & 8;
    }
  if (row->enc & VM_ENC_REG_BYTE)
    note_byte_register (&e, ops->reg);
  if (row->enc & VM_ENC_RM_BYTE && !ops->mem)
    note_byte_register (&e, ops->rm);
  return e;
}

static uint8_t *
put_legacy (uint8_t *p, const VmInsn *insn, const VmInsnRow *row, const Encoding *e)
{
  static const uint8_t mandatory[] = {
    [VM_PREFIX_66] = 0x66, [VM_PREFIX_F3] = 0xf3, [VM_PREFIX_F2] = 0xf2
  };
  uint8_t rex = e->rex_w << 3 | e->rex_r << 2 | e->rex_x << 1 | e->rex_b;

  if (row->enc & VM_ENC_SIZED_66 && insn->opsize == 2)
    *p++ = 0x66;
  if (mandatory[row->prefix])
    *p++ = mandatory[row->prefix];
  if (rex || e->need_rex)
    *p++ = 0x40 | rex;
  if (row->map)
    *p++ = 0x0f;
  if (row->map >= 2)
    *p++ = row->map == 2 ? 0x38 : 0x3a;
  return p;
}

static uint8_t *
put_vex (uint8_t *p, const VmInsn *insn, const VmInsnRow *row, const VmHostOperands *ops,
         const Encoding *e)
{
  static const uint8_t pp_of[] = { [VM_PREFIX_66] = 1, [VM_PREFIX_F3] = 2, [VM_PREFIX_F2] = 3 };
  uint8_t low = (~ops->vvvv & 15) << 3 | (insn->flags & VM_INSN_VEX_L ? 4 : 0) | pp_of[row->prefix];

  if (row->map == 1 && !e->rex_w && !e->rex_x && !e->rex_b)
    {
      *p++ = 0xc5;
      *p++ = (e->rex_r ? 0 : 0x80) | low;
      return p;
    }
  *p++ = 0xc4;
  *p++ = (e->rex_r ? 0 : 0x80) | (e->rex_x ? 0 : 0x40) | (e->rex_b ? 0 : 0x20) | row->map;
  *p++ = (e->rex_w ? 0x80 : 0) | low;
  return p;
}

static uint8_t *
put_memory (uint8_t *p, uint8_t reg_field, const VmHostOperands *ops)
{
  static const uint8_t log2_of[] = { [1] = 0, [2] = 1, [4] = 2, [8] = 3 };
  unsigned base = ops->base & 7;
  unsigned mod;

  if (ops->base == VM_REG_NONE)
    mod = 0;
  else if (ops->disp == 0 && base != 5)
    mod = 0;
  else
    mod = ops->disp >= -128 && ops->disp <= 127 ? 1 : 2;

  if (ops->base == VM_REG_NONE || ops->index != VM_REG_NONE || base == 4)
    {
      unsigned index = ops->index == VM_REG_NONE ? 4 : ops->index & 7;
      unsigned scale = ops->index == VM_REG_NONE ? 0 : log2_of[ops->scale & 15];

      *p++ = mod << 6 | reg_field | 4;
      *p++ = scale << 6 | index << 3 | (ops->base == VM_REG_NONE ? 5 : base);
    }
  else
    *p++ = mod << 6 | reg_field | base;

  if (mod == 1)
    *p++ = (uint8_t) ops->disp;
  else if (mod == 2 || ops->base == VM_REG_NONE)
    {
      vm_store_le32 (p, ops->disp);
      p += 4;
    }
  return p;
}

/* Bytes of the immediate; -1 for forms that have no place in generated code. */
static int
put_immediate (uint8_t *p, const VmInsn *insn, const VmInsnRow *row)
{
  unsigned size;

  switch (row->imm)
    {
    case VM_IMM_NONE:
      return 0;
    case VM_IMM_B:
      p[0] = (uint8_t) insn->imm;
      return 1;
    case VM_IMM_IS4:
      p[0] = (uint8_t) insn->imm2;
      return 1;
    case VM_IMM_BB:
      p[0] = (uint8_t) insn->imm;
      p[1] = (uint8_t) insn->imm2;
      return 2;
    case VM_IMM_W:
      size = 2;
      break;
    case VM_IMM_Z:
      size = insn->opsize == 2 ? 2 : 4;
      break;
    case VM_IMM_V:
      size = insn->opsize;
      break;
    default:
      return -1;
    }
  vm_store_le (p, insn->imm, size);
  return size;
}

unsigned
vm_emit_insn (uint8_t *out, const VmInsn *insn, const VmHostOperands *ops)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];
  Encoding e = encoding_of (insn, row, ops);
  bool rex = e.rex_w || e.rex_r || e.rex_x || e.rex_b || e.need_rex;
  uint8_t *p = out;
  int imm;

  if (rex && e.no_rex)
    return 0;
  if (ops->lock)
    *p++ = 0xf0;
  if (ops->segment && ops->mem)
    *p++ = ops->segment;
  p = row->enc & VM_ENC_VEX ? put_vex (p, insn, row, ops, &e) : put_legacy (p, insn, row, &e);

  if (row->enc & VM_ENC_OPREG)
    *p++ = (insn->opcode & 0xf8) | (ops->reg & 7);
  else
    *p++ = insn->opcode;
  if (row->enc & VM_ENC_MODRM)
    {
      uint8_t reg_field = (row->enc & VM_ENC_EXT ? insn->modrm >> 3 & 7 : ops->reg & 7) << 3;

      if (ops->mem)
        p = put_memory (p, reg_field, ops);
      else
        *p++ = 0xc0 | reg_field | (ops->rm & 7);
    }
  imm = put_immediate (p, insn, row);
  return imm < 0 ? 0 : p + imm - out;
}
