/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text of a decoded instruction in Intel syntax, for logs and reports. */
#include "config.h"

#include "engine/tcg/decode/decode-private.h"

typedef struct Text {
  char  *buf;
  size_t size, len;
} Text;

static void put (Text *t, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
put (Text *t, const char *format, ...)
{
  va_list ap;
  int n;

  va_start (ap, format);
  n = g_vsnprintf (t->buf + t->len, t->size - t->len, format, ap);
  va_end (ap);
  t->len = MIN (t->len + n, t->size - 1);
}

static const char *const names64[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
static const char *const names8[16] = { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil",
                                        "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b" };
static const char *const names_high[4] = { "ah", "ch", "dh", "bh" };
static const char *const names_seg[8] = { "es", "cs", "ss", "ds", "fs", "gs", "seg6", "seg7" };
static const char *const conditions[16] = { "o", "no", "b", "ae", "e", "ne", "be", "a",
                                            "s", "ns", "p", "np", "l", "ge", "le", "g" };

static void
put_gpr (Text *t, unsigned reg, unsigned size, bool rex)
{
  reg &= 15;
  if (size == 1)
    put (t, "%s", reg >= 4 && reg < 8 && !rex ? names_high[reg - 4] : names8[reg]);
  else if (reg >= 8)
    put (t, "%s%s", names64[reg], size == 8 ? "" : size == 4 ? "d" : "w");
  else
    put (t, "%s%s", size == 8 ? "r" : size == 4 ? "e" : "", names64[reg] + 1);
}

static unsigned
gpr_size (const VmInsn *insn, unsigned size)
{
  switch (size)
    {
    case VM_SIZE_B: return 1;
    case VM_SIZE_W: return 2;
    case VM_SIZE_D: return 4;
    case VM_SIZE_Q: return 8;
    case VM_SIZE_Z: return MIN (insn->opsize, 4);
    case VM_SIZE_Y: return insn->opsize == 8 ? 8 : 4;
    default: return insn->opsize;
    }
}

static const char *
pointer_name (const VmInsn *insn, unsigned size)
{
  bool l = insn->flags & VM_INSN_VEX_L;

  switch (size)
    {
    case VM_SIZE_B: return "byte ";
    case VM_SIZE_W: return "word ";
    case VM_SIZE_D: case VM_SIZE_SS: return "dword ";
    case VM_SIZE_Q: case VM_SIZE_SD: return "qword ";
    case VM_SIZE_V: case VM_SIZE_Z: case VM_SIZE_Y:
      return ((const char *const[]) { "byte ", "word ", "dword ", "qword " })
        [__builtin_ctz (gpr_size (insn, size) | 8)];
    case VM_SIZE_X: case VM_SIZE_PS: case VM_SIZE_PD: return l ? "ymmword " : "xmmword ";
    case VM_SIZE_DQ: return "xmmword ";
    case VM_SIZE_QQ: return "ymmword ";
    case VM_SIZE_H: return l ? "xmmword " : "qword ";
    case VM_SIZE_F: return l ? "qword " : "dword ";
    case VM_SIZE_E: return l ? "dword " : "word ";
    case VM_SIZE_T: return "tword ";
    case VM_SIZE_P: return "far ";
    default: return "";
    }
}

static void
put_memory (Text *t, const VmInsn *insn, const VmInsnRow *row, uint64_t next_pc)
{
  const char *plus = "";
  int64_t disp = insn->disp;

  if (insn->flags & VM_INSN_SEGOV)
    put (t, "%s:", names_seg[insn->seg]);
  put (t, "[");
  if (insn->base == VM_REG_RIP)
    {
      put (t, "rip");
      plus = "+";
    }
  else if (insn->base != VM_REG_NONE)
    {
      put_gpr (t, insn->base, insn->addrsize, true);
      plus = "+";
    }
  if (insn->index != VM_REG_NONE)
    {
      put (t, "%s", plus);
      if (row->attrs & VM_ATTR_VSIB)
        put (t, "%cmm%u", insn->flags & VM_INSN_VEX_L ? 'y' : 'x', insn->index);
      else
        put_gpr (t, insn->index, insn->addrsize, true);
      if (insn->scale != 1)
        put (t, "*%u", insn->scale);
      plus = "+";
    }
  if (*plus == 0)
    put (t, "0x%" G_GINT64_MODIFIER "x",
         row->imm == VM_IMM_MOFFS ? insn->imm : insn->addrsize == 8 ? (uint64_t) disp : (uint32_t) disp);
  else if (disp)
    put (t, "%c0x%" G_GINT64_MODIFIER "x", disp < 0 ? '-' : '+', disp < 0 ? -disp : disp);
  put (t, "]");
  if (insn->base == VM_REG_RIP)
    put (t, " (0x%" G_GINT64_MODIFIER "x)", next_pc + disp);
}

static void
put_operand (Text *t, const VmInsn *insn, const VmInsnRow *row, const VmOperandSpec *o, uint64_t next_pc)
{
  unsigned size = gpr_size (insn, o->size);
  bool rex = insn->flags & VM_INSN_REX;
  char vec = o->size == VM_SIZE_QQ ||
             ((insn->flags & VM_INSN_VEX_L) && o->size != VM_SIZE_DQ && o->size != VM_SIZE_SS && o->size != VM_SIZE_SD)
             ? 'y' : 'x';

  switch (o->kind)
    {
    case VM_OPND_E: case VM_OPND_M: case VM_OPND_W: case VM_OPND_Q: case VM_OPND_O:
      if (insn->flags & VM_INSN_MEM)
        {
          put (t, "%s", o->access || o->size != VM_SIZE_V ? pointer_name (insn, o->size) : "");
          put_memory (t, insn, row, next_pc);
          return;
        }
      if (o->kind == VM_OPND_W)
        put (t, "%cmm%u", vec, insn->rm);
      else if (o->kind == VM_OPND_Q)
        put (t, "mm%u", insn->rm & 7);
      else
        put_gpr (t, insn->rm, size, rex);
      return;
    case VM_OPND_G: put_gpr (t, insn->reg, size, rex); return;
    case VM_OPND_R: put_gpr (t, insn->rm, size, rex); return;
    case VM_OPND_Z: put_gpr (t, insn->reg, size, rex); return;
    case VM_OPND_B: put_gpr (t, insn->vvvv, size, true); return;
    case VM_OPND_I:
      put (t, "0x%" G_GINT64_MODIFIER "x",
           (o == &row->operand[0] || (o - 1)->kind != VM_OPND_I ? insn->imm : insn->imm2) &
           (~UINT64_C (0) >> (64 - 8 * (o->size == VM_SIZE_B ? 1 : insn->opsize == 1 ? 1 : insn->opsize))));
      return;
    case VM_OPND_J: put (t, "0x%" G_GINT64_MODIFIER "x", next_pc + insn->imm); return;
    case VM_OPND_A: put (t, "0x%x:0x%" G_GINT64_MODIFIER "x", insn->imm2, insn->imm); return;
    case VM_OPND_X:
      put (t, "%s%s:[", pointer_name (insn, o->size), names_seg[insn->seg]);
      put_gpr (t, VM_RSI, insn->addrsize, true);
      put (t, "]");
      return;
    case VM_OPND_Y:
      put (t, "%ses:[", pointer_name (insn, o->size));
      put_gpr (t, VM_RDI, insn->addrsize, true);
      put (t, "]");
      return;
    case VM_OPND_V: put (t, "%cmm%u", vec, insn->reg); return;
    case VM_OPND_U: put (t, "%cmm%u", vec, insn->rm); return;
    case VM_OPND_H: put (t, "%cmm%u", vec, insn->vvvv); return;
    case VM_OPND_L: put (t, "%cmm%u", vec, insn->imm2 >> 4); return;
    case VM_OPND_P: put (t, "mm%u", insn->reg & 7); return;
    case VM_OPND_N: put (t, "mm%u", insn->rm & 7); return;
    case VM_OPND_S: put (t, "%s", names_seg[insn->reg & 7]); return;
    case VM_OPND_C: put (t, "cr%u", insn->reg); return;
    case VM_OPND_D: put (t, "dr%u", insn->reg); return;
    case VM_OPND_RAX: put_gpr (t, VM_RAX, size, rex); return;
    case VM_OPND_RCX: put_gpr (t, VM_RCX, size, rex); return;
    case VM_OPND_RDX: put_gpr (t, VM_RDX, size, rex); return;
    case VM_OPND_AH: put (t, "ah"); return;
    case VM_OPND_ONE: put (t, "1"); return;
    case VM_OPND_ST0: put (t, "st0"); return;
    case VM_OPND_STI: put (t, "st%u", insn->rm & 7); return;
    case VM_OPND_XMM0: put (t, "xmm0"); return;
    default:
      if (o->kind >= VM_OPND_ES && o->kind <= VM_OPND_GS)
        put (t, "%s", names_seg[o->kind - VM_OPND_ES]);
      return;
    }
}

/* "cbw/cwde/cdqe" by operand size; "jcc" with its condition. */
static void
put_mnemonic (Text *t, const VmInsn *insn, const VmInsnRow *row)
{
  const char *name = row->mnemonic, *end;
  size_t len = strlen (name);

  if (vm_row_match[insn->row].flags & MATCH_CC)
    {
      put (t, "%.*s%s", (int) len - 2, name, conditions[insn->opcode & 15]);
      return;
    }
  for (unsigned size = 2; size < insn->opsize && (end = strchr (name, '/')); size *= 2)
    name = end + 1;
  put (t, "%.*s", (int) strcspn (name, "/"), name);
}

void
vm_insn_format (const VmInsn *insn, uint64_t pc, char *buf, size_t size)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];
  Text t = { buf, size, 0 };

  if (size == 0)
    return;
  buf[0] = 0;
  if (insn->flags & VM_INSN_TOOLONG)
    {
      put (&t, "(too long)");
      return;
    }
  if (insn->flags & VM_INSN_UD)
    put (&t, "(undefined) ");
  if (insn->flags & VM_INSN_LOCK)
    put (&t, "lock ");
  if ((row->attrs & VM_ATTR_REP) && (insn->flags & VM_INSN_REP))
    put (&t, row->attrs & VM_ATTR_REPZ ? "repe " : "rep ");
  if ((row->attrs & VM_ATTR_REP) && (insn->flags & VM_INSN_REPNE))
    put (&t, "repne ");
  put_mnemonic (&t, insn, row);
  for (unsigned i = 0; i < row->n_operands; i++)
    {
      put (&t, i ? ", " : " ");
      put_operand (&t, insn, row, &row->operand[i], pc + insn->len);
    }
}
