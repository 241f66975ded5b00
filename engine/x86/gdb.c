/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers by gdb's numbers, and their description (gdb manual, appendix G: "Target Descriptions", i386 features). A
 * processor with long mode is shown as x86-64 whatever mode it is in, because gdb keeps one description. */
#include "engine/x86/gdb.h"

#include "engine/x86/model.h"
#include "engine/x86/xsave.h"

typedef enum Kind {
  GPR, RIP, FLAGS, SELECTOR, ST, X87, XMM, MXCSR, YMMH, BASE, K_GS_BASE, CR, EFER, KINDS,
} Kind;

/* Registers in a row: COUNT of a kind, named by NAMES or by PATTERN. Bits in 64-bit and 32-bit descriptions; 0: not in
 * it. */
typedef struct Group {
  Kind        kind;
  const char *feature;
  const char *names[9], *pattern;
  uint8_t     index[9];      /* what a name stands for; by pattern: its number */
  uint8_t     count[2], bits[2]; /* 64, 32 */
  const char *type[2];
} Group;

enum { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };

#define CORE "org.gnu.gdb.i386.core"
#define SYSTEM "org.vitrine.i386.system"

static const Group groups[] = {
  { GPR, CORE, { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp" }, NULL,
    { VM_RAX, VM_RBX, VM_RCX, VM_RDX, VM_RSI, VM_RDI, VM_RBP, VM_RSP }, { 8, 0 }, { 64, 0 }, { "int64" } },
  { GPR, CORE, { "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" }, NULL, { 8, 9, 10, 11, 12, 13, 14, 15 },
    { 8, 0 }, { 64, 0 }, { "int64" } },
  { GPR, CORE, { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" }, NULL, { 0, 1, 2, 3, 4, 5, 6, 7 },
    { 0, 8 }, { 0, 32 }, { NULL, "int32" } },
  { RIP, CORE, { "rip" }, NULL, { 0 }, { 1, 0 }, { 64, 0 }, { "code_ptr" } },
  { RIP, CORE, { "eip" }, NULL, { 0 }, { 0, 1 }, { 0, 32 }, { NULL, "code_ptr" } },
  { FLAGS, CORE, { "eflags" }, NULL, { 0 }, { 1, 1 }, { 32, 32 }, { "i386_eflags", "i386_eflags" } },
  { SELECTOR, CORE, { "cs", "ss", "ds", "es", "fs", "gs" }, NULL, { VM_CS, VM_SS, VM_DS, VM_ES, VM_FS, VM_GS },
    { 6, 6 }, { 32, 32 }, { "int32", "int32" } },
  { ST, CORE, { NULL }, "st%u", { 0 }, { 8, 8 }, { 80, 80 }, { "i387_ext", "i387_ext" } },
  { X87, CORE, { "fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop" }, NULL,
    { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP }, { 8, 8 }, { 32, 32 }, { "int", "int" } },
  { XMM, "org.gnu.gdb.i386.sse", { NULL }, "xmm%u", { 0 }, { 16, 8 }, { 128, 128 }, { "vec128", "vec128" } },
  { MXCSR, "org.gnu.gdb.i386.sse", { "mxcsr" }, NULL, { 0 }, { 1, 1 }, { 32, 32 }, { "i386_mxcsr", "i386_mxcsr" } },
  { YMMH, "org.gnu.gdb.i386.avx", { NULL }, "ymm%uh", { 0 }, { 16, 8 }, { 128, 128 }, { "uint128", "uint128" } },
  { BASE, "org.gnu.gdb.i386.segments", { "fs_base", "gs_base" }, NULL, { VM_FS, VM_GS }, { 2, 0 }, { 64, 0 },
    { "int" } },
  { BASE, SYSTEM, { "fs_base", "gs_base" }, NULL, { VM_FS, VM_GS }, { 0, 2 }, { 0, 32 }, { NULL, "int" } },
  { K_GS_BASE, SYSTEM, { "k_gs_base" }, NULL, { 0 }, { 1, 0 }, { 64, 0 }, { "int" } },
  { CR, SYSTEM, { "cr0" }, NULL, { 0 }, { 1, 1 }, { 64, 32 }, { "x86_cr0", "x86_cr0" } },
  { CR, SYSTEM, { "cr2", "cr3" }, NULL, { 2, 3 }, { 2, 2 }, { 64, 32 }, { "int64", "int32" } },
  { CR, SYSTEM, { "cr4" }, NULL, { 4 }, { 1, 1 }, { 64, 32 }, { "x86_cr4", "x86_cr4" } },
  { CR, SYSTEM, { "cr8" }, NULL, { 8 }, { 1, 0 }, { 64, 0 }, { "int64" } },
  { EFER, SYSTEM, { "efer" }, NULL, { 0 }, { 1, 0 }, { 64, 0 }, { "x86_efer" } },
};

static unsigned
flavour_of (const VmX86Cpu *cpu)
{
  return vm_x86_has (cpu, VM_X86_FEATURE_LM) ? 0 : 1;
}

static unsigned
count_of (const VmX86Cpu *cpu, const Group *g)
{
  if (g->kind == YMMH && !vm_x86_has (cpu, VM_X86_FEATURE_AVX))
    return 0;
  if ((g->kind == XMM || g->kind == MXCSR) && !vm_x86_has (cpu, VM_X86_FEATURE_SSE))
    return 0;
  return g->count[flavour_of (cpu)];
}

/* The group that register N is in, and its place there; NULL: no such register. */
static const Group *
find (const VmX86Cpu *cpu, unsigned n, unsigned *index)
{
  for (size_t i = 0; i < G_N_ELEMENTS (groups); i++)
    {
      unsigned count = count_of (cpu, &groups[i]);

      if (n < count)
        {
          *index = groups[i].pattern ? n : groups[i].index[n];
          return &groups[i];
        }
      n -= count;
    }
  return NULL;
}

/* --- description ----------------------------------------------------------------------------------- */

typedef struct Field {
  const char *name;
  uint8_t bit;
} Field;

static void
add_flags (GString *xml, const char *id, unsigned bytes, const Field *fields)
{
  g_string_append_printf (xml, "<flags id=\"%s\" size=\"%u\">", id, bytes);
  for (; fields->name; fields++)
    g_string_append_printf (xml, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", fields->name, fields->bit,
                            fields->bit);
  g_string_append (xml, "</flags>");
}

static void
add_types (GString *xml, const char *feature, unsigned register_bytes)
{
  static const Field eflags[] = { { "CF", 0 }, { "PF", 2 }, { "AF", 4 }, { "ZF", 6 }, { "SF", 7 }, { "TF", 8 },
    { "IF", 9 }, { "DF", 10 }, { "OF", 11 }, { "NT", 14 }, { "RF", 16 }, { "VM", 17 }, { "AC", 18 }, { "VIF", 19 },
    { "VIP", 20 }, { "ID", 21 }, { NULL, 0 } };
  static const Field cr0[] = { { "PE", 0 }, { "MP", 1 }, { "EM", 2 }, { "TS", 3 }, { "ET", 4 }, { "NE", 5 }, { "WP", 16 },
    { "AM", 18 }, { "NW", 29 }, { "CD", 30 }, { "PG", 31 }, { NULL, 0 } };
  static const Field cr4[] = { { "VME", 0 }, { "PVI", 1 }, { "TSD", 2 }, { "DE", 3 }, { "PSE", 4 }, { "PAE", 5 },
    { "MCE", 6 }, { "PGE", 7 }, { "PCE", 8 }, { "OSFXSR", 9 }, { "OSXMMEXCPT", 10 }, { "UMIP", 11 }, { "LA57", 12 },
    { "VMXE", 13 }, { "FSGSBASE", 16 }, { "PCIDE", 17 }, { "OSXSAVE", 18 }, { "SMEP", 20 }, { "SMAP", 21 },
    { "PKE", 22 }, { NULL, 0 } };
  static const Field efer[] = { { "SCE", 0 }, { "LME", 8 }, { "LMA", 10 }, { "NXE", 11 }, { "SVME", 12 }, { "FFXSR", 14 },
    { NULL, 0 } };
  static const Field mxcsr[] = { { "IE", 0 }, { "DE", 1 }, { "ZE", 2 }, { "OE", 3 }, { "UE", 4 }, { "PE", 5 },
    { "DAZ", 6 }, { "IM", 7 }, { "DM", 8 }, { "ZM", 9 }, { "OM", 10 }, { "UM", 11 }, { "PM", 12 }, { "FZ", 15 },
    { NULL, 0 } };

  if (!strcmp (feature, CORE))
    add_flags (xml, "i386_eflags", 4, eflags);
  else if (!strcmp (feature, SYSTEM))
    {
      add_flags (xml, "x86_cr0", register_bytes, cr0);
      add_flags (xml, "x86_cr4", register_bytes, cr4);
      add_flags (xml, "x86_efer", register_bytes, efer);
    }
  else if (!strcmp (feature, "org.gnu.gdb.i386.sse"))
    {
      static const char *const vectors[][3] = { { "v4f", "ieee_single", "4" }, { "v2d", "ieee_double", "2" },
        { "v16i8", "int8", "16" }, { "v8i16", "int16", "8" }, { "v4i32", "int32", "4" }, { "v2i64", "int64", "2" } };
      static const char *const members[][2] = { { "v4_float", "v4f" }, { "v2_double", "v2d" }, { "v16_int8", "v16i8" },
        { "v8_int16", "v8i16" }, { "v4_int32", "v4i32" }, { "v2_int64", "v2i64" }, { "uint128", "uint128" } };

      for (size_t i = 0; i < G_N_ELEMENTS (vectors); i++)
        g_string_append_printf (xml, "<vector id=\"%s\" type=\"%s\" count=\"%s\"/>", vectors[i][0], vectors[i][1],
                                vectors[i][2]);
      g_string_append (xml, "<union id=\"vec128\">");
      for (size_t i = 0; i < G_N_ELEMENTS (members); i++)
        g_string_append_printf (xml, "<field name=\"%s\" type=\"%s\"/>", members[i][0], members[i][1]);
      g_string_append (xml, "</union>");
      add_flags (xml, "i386_mxcsr", 4, mxcsr);
    }
}

static char *
describe (VmVcpu *vcpu)
{
  const VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  unsigned flavour = flavour_of (cpu), n = 0;
  const char *feature = NULL;
  GString *xml = g_string_new ("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>");

  g_string_append_printf (xml, "<architecture>%s</architecture>", flavour ? "i386" : "i386:x86-64");
  for (size_t i = 0; i < G_N_ELEMENTS (groups); i++)
    {
      const Group *g = &groups[i];
      unsigned count = count_of (cpu, g);

      if (count == 0)
        continue;
      if (!feature || strcmp (feature, g->feature))
        {
          g_string_append_printf (xml, "%s<feature name=\"%s\">", feature ? "</feature>" : "", g->feature);
          feature = g->feature;
          add_types (xml, feature, flavour ? 4 : 8);
        }
      for (unsigned k = 0; k < count; k++, n++)
        {
          g_autofree char *numbered = g->pattern ? g_strdup_printf (g->pattern, k) : NULL; /* constant patterns */
          g_string_append_printf (xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>",
                                  numbered ? numbered : g->names[k], g->bits[flavour], g->type[flavour], n);
        }
    }
  g_string_append (xml, "</feature></target>");
  return g_string_free (xml, FALSE);
}

/* --- reading --------------------------------------------------------------------------------------- */

static unsigned
size_of (VmVcpu *vcpu, unsigned n)
{
  const VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  unsigned index;
  const Group *g = find (cpu, n, &index);

  return g ? g->bits[flavour_of (cpu)] / 8 : 0;
}

static uint64_t
read_x87 (const VmX86Fx *fx, unsigned index)
{
  switch (index)
    {
    case FCTRL: return fx->fcw;
    case FSTAT: return fx->fsw;
    case FTAG:  return vm_x87_full_tags (fx);
    case FISEG: return fx->fip >> 32 & 0xffff;
    case FIOFF: return (uint32_t) fx->fip;
    case FOSEG: return fx->fdp >> 32 & 0xffff;
    case FOOFF: return (uint32_t) fx->fdp;
    default:    return fx->fop;
    }
}

static uint64_t
read_cr (const VmX86Cpu *cpu, unsigned index)
{
  switch (index)
    {
    case 0: return cpu->env.cr0;
    case 2: return cpu->env.cr2;
    case 3: return cpu->env.cr3;
    case 4: return cpu->env.cr4;
    default: return cpu->apic_ops ? cpu->apic_ops->get_tpr (cpu->apic) >> 4 : 0;
    }
}

static void
read_register (VmVcpu *vcpu, unsigned n, uint8_t *bytes)
{
  const VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  const VmX86Env *env = &cpu->env;
  unsigned index;
  const Group *g = find (cpu, n, &index);
  uint64_t value = 0;

  if (!g)
    return;
  switch (g->kind)
    {
    case GPR: value = env->gpr[index]; break;
    case RIP: value = env->rip; break;
    case FLAGS: value = env->eflags; break;
    case SELECTOR: value = env->seg[index].selector; break;
    case X87: value = read_x87 (&env->fx, index); break;
    case MXCSR: value = env->fx.mxcsr; break;
    case BASE: value = env->seg[index].base; break;
    case K_GS_BASE: value = env->kernel_gs_base; break;
    case CR: value = read_cr (cpu, index); break;
    case EFER: value = env->efer; break;
    case ST: memcpy (bytes, env->fx.st[index], 10); return;
    case XMM: memcpy (bytes, env->ymm[index].b, 16); return;
    case YMMH: memcpy (bytes, env->ymm[index].b + 16, 16); return;
    case KINDS: break;
    }
  vm_store_le (bytes, value, g->bits[flavour_of (cpu)] / 8);
}

/* --- writing: nothing that the processor itself would refuse --------------------------------------- */

static bool
is_canonical (const VmX86Env *env, uint64_t linear)
{
  unsigned shift = env->cr4 & VM_CR4_LA57 ? 7 : 16;

  return (uint64_t) ((int64_t) (linear << shift) >> shift) == linear;
}

static VmAddressSpace *
memory_of (VmVcpu *vcpu)
{
  const VmX86Cpu *cpu = (VmX86Cpu *) vcpu;

  return cpu->env.smm && cpu->smm_as ? cpu->smm_as : cpu->memory_as;
}

static bool
read_quad (VmX86Cpu *cpu, uint64_t phys, uint64_t *value)
{
  VmAddressSpace *as = memory_of (&cpu->parent);
  uint8_t bytes[8];

  if (!as || vm_as_read (as, phys, VM_MEM_ATTRS_NONE, bytes, sizeof bytes) != VM_MEM_OK)
    return false;
  *value = vm_load_le64 (bytes);
  return true;
}

/* A descriptor of the table that SELECTOR names, byte order as in memory. */
static bool
read_descriptor (VmX86Cpu *cpu, uint16_t selector, uint64_t *descriptor)
{
  const VmX86Env *env = &cpu->env;
  uint64_t base = selector & 4 ? env->ldt.base : env->gdt.base;
  uint32_t limit = selector & 4 ? env->ldt.limit : env->gdt.limit;
  uint64_t phys;

  if ((selector & ~7u) + 7 > limit)
    return false;
  phys = vm_x86_debug_translate (cpu, base + (selector & ~7u));
  return phys != UINT64_MAX && read_quad (cpu, phys, descriptor);
}

/* In protected mode what the tables say, without a look at privileges: they stay those of SS. */
static bool
write_selector (VmX86Cpu *cpu, unsigned index, uint16_t selector)
{
  VmX86Env *env = &cpu->env;
  VmX86Seg *seg = &env->seg[index];
  uint64_t d;

  if (seg->selector == selector)
    return true;
  if (!(env->mode & VM_MODE_PE) || env->mode & VM_MODE_VM)
    {
      seg->selector = selector;
      seg->base = (uint32_t) selector << 4;
      return true;
    }
  if (!(selector & ~3u))
    {
      if (index == VM_CS || index == VM_SS)
        return false;
      *seg = (VmX86Seg) { .selector = selector };
      return true;
    }
  if (!read_descriptor (cpu, selector, &d))
    return false;
  VmX86Seg loaded = { .selector = selector, .base = (d >> 16 & 0xffffff) | (d >> 56) << 24,
                      .limit = (d & 0xffff) | (d >> 32 & 0xf0000), .attr = (d >> 40 & 0xf0ff) | VM_SEG_ACCESSED };
  bool is_code = loaded.attr & VM_SEG_CODE;
  if (!(loaded.attr & VM_SEG_P) || !(loaded.attr & VM_SEG_S) || (index == VM_CS) != is_code)
    return false;
  if ((index == VM_SS || index == VM_CS) && ((loaded.attr ^ seg->attr) & VM_SEG_DPL))
    return false;
  if (loaded.attr & VM_SEG_G)
    loaded.limit = loaded.limit << 12 | 0xfff;
  *seg = loaded;
  return true;
}

static bool
write_cr3 (VmX86Cpu *cpu, uint64_t value)
{
  VmX86Env *env = &cpu->env;
  bool pae = env->cr0 & VM_CR0_PG && env->cr4 & VM_CR4_PAE && !(env->efer & VM_EFER_LMA);
  uint64_t pdpte[4];

  if (value & ~cpu->phys_mask)
    return false;
  for (unsigned i = 0; pae && i < 4; i++)
    if (!read_quad (cpu, (value & 0xffffffe0) + 8 * i, &pdpte[i]))
      return false;
  env->cr3 = value;
  if (pae)
    memcpy (env->pdpte, pdpte, sizeof pdpte);
  return true;
}

/* Only what changes no mode. */
static bool
write_bits (uint64_t *reg, uint64_t value, uint64_t may_change)
{
  if ((*reg ^ value) & ~may_change)
    return false;
  *reg = value;
  return true;
}

static bool
write_cr (VmX86Cpu *cpu, unsigned index, uint64_t value)
{
  VmX86Env *env = &cpu->env;

  switch (index)
    {
    case 0:
      return write_bits (&env->cr0, value,
                         VM_CR0_MP | VM_CR0_EM | VM_CR0_TS | VM_CR0_NE | VM_CR0_WP | VM_CR0_AM);
    case 2:
      env->cr2 = value;
      return true;
    case 3:
      return write_cr3 (cpu, value);
    case 4:
      return write_bits (&env->cr4, value,
                         VM_CR4_TSD | VM_CR4_DE | VM_CR4_PGE | VM_CR4_PCE | VM_CR4_OSFXSR | VM_CR4_OSXMMEXCPT);
    default:
      if (!cpu->apic_ops || value > 15)
        return value == 0;
      cpu->apic_ops->set_tpr (cpu->apic, value << 4);
      return true;
    }
}

static bool
write_x87 (VmX86Fx *fx, unsigned index, uint32_t value)
{
  switch (index)
    {
    case FCTRL: fx->fcw = (value & 0x1f7f) | 0x40; break;
    case FSTAT:
      vm_x87_set_top (fx, value >> 11 & 7);
      fx->fsw = value;
      break;
    case FTAG:  fx->ftw = vm_x87_abridged_tags (value); break;
    case FISEG: fx->fip = (uint32_t) fx->fip | (uint64_t) (value & 0xffff) << 32; break;
    case FIOFF: fx->fip = (fx->fip & ~(uint64_t) UINT32_MAX) | value; break;
    case FOSEG: fx->fdp = (uint32_t) fx->fdp | (uint64_t) (value & 0xffff) << 32; break;
    case FOOFF: fx->fdp = (fx->fdp & ~(uint64_t) UINT32_MAX) | value; break;
    default:    fx->fop = value & 0x7ff; break;
    }
  vm_x87_update_summary (fx);
  return true;
}

static bool
write_base (const VmX86Env *env, uint64_t *reg, uint64_t value)
{
  if (!is_canonical (env, value))
    return false;
  *reg = value;
  return true;
}

static bool
write_value (VmX86Cpu *cpu, Kind kind, unsigned index, uint64_t value)
{
  VmX86Env *env = &cpu->env;

  switch (kind)
    {
    case GPR: env->gpr[index] = value; return true;
    case RIP: env->rip = value; return true;
    case FLAGS:
      /* Virtual-8086 mode is entered by no such way. */
      if ((env->eflags ^ value) & VM_VM)
        return false;
      env->eflags = (value & 0x3f7fd5) | 2;
      return true;
    case SELECTOR: return write_selector (cpu, index, value);
    case X87: return write_x87 (&env->fx, index, value);
    case MXCSR:
      if (value & ~UINT64_C (0xffff))
        return false;
      env->fx.mxcsr = value;
      return true;
    case BASE: return write_base (env, &env->seg[index].base, value);
    case K_GS_BASE: return write_base (env, &env->kernel_gs_base, value);
    case CR: return write_cr (cpu, index, value);
    case EFER: return write_bits (&env->efer, value, VM_EFER_SCE);
    default: return false;
    }
}

static bool
write_register (VmVcpu *vcpu, unsigned n, const uint8_t *bytes)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  VmX86Env *env = &cpu->env;
  unsigned index;
  const Group *g = find (cpu, n, &index);

  if (!g)
    return false;
  if (g->kind == ST)
    memcpy (env->fx.st[index], bytes, 10);
  else if (g->kind == XMM)
    memcpy (env->ymm[index].b, bytes, 16);
  else if (g->kind == YMMH)
    memcpy (env->ymm[index].b + 16, bytes, 16);
  else if (!write_value (cpu, g->kind, index, vm_load_le (bytes, g->bits[flavour_of (cpu)] / 8)))
    return false;
  vm_x86_update_mode (env);
  return true;
}

static void
set_pc (VmVcpu *vcpu, uint64_t pc)
{
  ((VmX86Cpu *) vcpu)->env.rip = pc;
}

static const uint8_t int3[] = { 0xcc };

const VmGdbArch vm_x86_gdb = {
  .description = describe,
  .size = size_of,
  .read = read_register,
  .write = write_register,
  .set_pc = set_pc,
  .memory = memory_of,
  .break_insn = int3,
  .break_insn_len = sizeof int3,
};
