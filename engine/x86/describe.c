/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "info registers". */
#include "engine/x86/model.h"

#define X64 "%016" G_GINT64_MODIFIER "x"

static const char *const system_names[2][16] = {
  { "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16", "TrapGate16", "Reserved",
    "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved", "IntGate32", "TrapGate32" },
  { "<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
    "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64", "TrapGate64" },
};

static void
describe_segment (GString *text, const VmX86Env *env, const char *name, const VmX86Seg *s)
{
  uint16_t a = s->attr;
  uint32_t raw_limit = a & VM_SEG_G ? s->limit >> 12 : s->limit;
  uint32_t flags = (uint32_t) a << 8 | (raw_limit & 0xf0000);
  bool is_long = (env->efer & VM_EFER_LMA) != 0;

  if (env->mode & VM_MODE_CS64)
    g_string_append_printf (text, "%-3s=%04x " X64 " %08x %08x", name, s->selector, s->base, s->limit, flags);
  else
    g_string_append_printf (text, "%-3s=%04x %08x %08x %08x", name, s->selector, (uint32_t) s->base, s->limit, flags);
  if ((env->mode & VM_MODE_PE) && (a & VM_SEG_P))
    {
      g_string_append_printf (text, " DPL=%d ", (a & VM_SEG_DPL) >> VM_SEG_DPL_SHIFT);
      if (!(a & VM_SEG_S))
        g_string_append (text, system_names[is_long][a & VM_SEG_TYPE]);
      else if (a & VM_SEG_CODE)
        g_string_append_printf (text, "%s [%c%c%c]", a & VM_SEG_L ? "CS64" : a & VM_SEG_DB ? "CS32" : "CS16",
                                a & VM_SEG_DC ? 'C' : '-', a & VM_SEG_RW ? 'R' : '-',
                                a & VM_SEG_ACCESSED ? 'A' : '-');
      else
        g_string_append_printf (text, "%s [%c%c%c]", (a & VM_SEG_DB) || is_long ? "DS  " : "DS16",
                                a & VM_SEG_DC ? 'E' : '-', a & VM_SEG_RW ? 'W' : '-',
                                a & VM_SEG_ACCESSED ? 'A' : '-');
    }
  g_string_append_c (text, '\n');
}

static void
describe_general (GString *text, const VmX86Env *env)
{
  static const uint8_t order[8] = { VM_RAX, VM_RBX, VM_RCX, VM_RDX, VM_RSI, VM_RDI, VM_RBP, VM_RSP };
  static const char *const names[8] = { "AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP" };
  bool is_64 = (env->mode & VM_MODE_CS64) != 0;
  uint64_t f = env->eflags;

  for (unsigned i = 0; i < 8; i++)
    if (is_64)
      g_string_append_printf (text, "R%s=" X64 "%c", names[i], env->gpr[order[i]], i % 4 == 3 ? '\n' : ' ');
    else
      g_string_append_printf (text, "E%s=%08x%c", names[i], (uint32_t) env->gpr[order[i]], i % 4 == 3 ? '\n' : ' ');
  for (unsigned i = 8; is_64 && i < 16; i++)
    g_string_append_printf (text, "R%-2u=" X64 "%c", i, env->gpr[i], i % 4 == 3 ? '\n' : ' ');
  if (is_64)
    g_string_append_printf (text, "RIP=" X64 " RFL=%08x", env->rip, (uint32_t) f);
  else
    g_string_append_printf (text, "EIP=%08x EFL=%08x", (uint32_t) env->rip, (uint32_t) f);
  g_string_append_printf (text, " [%c%c%c%c%c%c%c] CPL=%u II=%d A20=%d SMM=%d HLT=%d\n", f & VM_DF ? 'D' : '-',
                          f & VM_OF ? 'O' : '-', f & VM_SF ? 'S' : '-', f & VM_ZF ? 'Z' : '-',
                          f & VM_AF ? 'A' : '-', f & VM_PF ? 'P' : '-', f & VM_CF ? 'C' : '-', vm_x86_cpl (env),
                          env->shadow != 0, !env->a20_masked, env->smm, env->halted);
}

static void
describe_control (GString *text, const VmX86Env *env)
{
  static const char *const names[VM_SEG_N] = { "ES", "CS", "SS", "DS", "FS", "GS" };
  bool is_64 = (env->mode & VM_MODE_CS64) != 0;

  for (unsigned i = 0; i < VM_SEG_N; i++)
    describe_segment (text, env, names[i], &env->seg[i]);
  describe_segment (text, env, "LDT", &env->ldt);
  describe_segment (text, env, "TR", &env->tr);
  if (is_64)
    g_string_append_printf (text,
                            "GDT=     " X64 " %08x\nIDT=     " X64 " %08x\n"
                            "CR0=%08x CR2=" X64 " CR3=" X64 " CR4=%08x\n",
                            env->gdt.base, env->gdt.limit, env->idt.base, env->idt.limit, (uint32_t) env->cr0,
                            env->cr2, env->cr3, (uint32_t) env->cr4);
  else
    g_string_append_printf (text,
                            "GDT=     %08x %08x\nIDT=     %08x %08x\nCR0=%08x CR2=%08x CR3=%08x CR4=%08x\n",
                            (uint32_t) env->gdt.base, env->gdt.limit, (uint32_t) env->idt.base, env->idt.limit,
                            (uint32_t) env->cr0, (uint32_t) env->cr2, (uint32_t) env->cr3, (uint32_t) env->cr4);
  for (unsigned i = 0; i < 4; i++)
    g_string_append_printf (text, "DR%u=" X64 " ", i, env->dr[i]);
  g_string_append_printf (text, "\nDR6=" X64 " DR7=" X64 "\nEFER=" X64 "\n", env->dr[6], env->dr[7], env->efer);
}

static void
describe_fpu (GString *text, const VmX86Env *env)
{
  unsigned top = env->fx.fsw >> 11 & 7, n = env->mode & VM_MODE_CS64 ? 16 : 8;

  g_string_append_printf (text, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", env->fx.fcw, env->fx.fsw, top,
                          env->fx.ftw, env->fx.mxcsr);
  for (unsigned i = 0; i < 8; i++)
    {
      const uint8_t *st = env->fx.st[(i - top) & 7]; /* registers by number, not by place on the stack */

      g_string_append_printf (text, "FPR%u=" X64 " %04x%c", i, vm_load_le64 (st), vm_load_le16 (st + 8),
                              i & 1 ? '\n' : ' ');
    }
  for (unsigned i = 0; i < n; i++)
    if (env->mode & VM_MODE_AVX)
      g_string_append_printf (text, "YMM%02u=" X64 " " X64 " " X64 " " X64 "\n", i, env->ymm[i].q[3],
                              env->ymm[i].q[2], env->ymm[i].q[1], env->ymm[i].q[0]);
    else
      g_string_append_printf (text, "XMM%02u=" X64 " " X64 "%c", i, env->ymm[i].q[1], env->ymm[i].q[0],
                              i & 1 ? '\n' : ' ');
}

char *
vm_x86_describe_registers (VmX86Cpu *cpu, bool with_fpu)
{
  GString *text = g_string_new (NULL);

  describe_general (text, &cpu->env);
  describe_control (text, &cpu->env);
  if (with_fpu)
    describe_fpu (text, &cpu->env);
  return g_string_free (text, FALSE);
}
