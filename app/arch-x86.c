/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What monitors may ask of an x86 processor. */
#include "app/app.h"
#include "engine/tcg/decode/insn.h"
#include "engine/x86/arch-ops.h"
#include "engine/x86/gdb.h"
#include "engine/x86/model.h"

#include <elf.h>

static VmX86Env *
env_of (VmVcpu *vcpu)
{
  return &((VmX86Cpu *) vcpu)->env;
}

static char *
describe_registers (VmVcpu *vcpu, bool with_fpu)
{
  return vm_x86_describe_registers ((VmX86Cpu *) vcpu, with_fpu);
}

static char *
describe_tlb (VmVcpu *vcpu)
{
  return vm_x86_describe_tlb ((VmX86Cpu *) vcpu);
}

static char *
describe_mem (VmVcpu *vcpu)
{
  return vm_x86_describe_mem ((VmX86Cpu *) vcpu);
}

static bool
translate (VmVcpu *vcpu, uint64_t virt, uint64_t *phys)
{
  *phys = vm_x86_debug_translate ((VmX86Cpu *) vcpu, virt);
  return *phys != UINT64_MAX;
}

/* "eax", "rax", "r8d", "ax", "al", "ah": one of the 16 in part or whole. */
static bool
general_register (const VmX86Env *env, const char *name, uint64_t *value)
{
  static const char *const stems[] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" };
  char stem = *name;

  if ((stem == 'r' || stem == 'e') && strlen (name) == 3)
    for (unsigned i = 0; i < 8; i++)
      if (!strcmp (name + 1, stems[i]))
        {
          *value = stem == 'r' ? env->gpr[i] : (uint32_t) env->gpr[i];
          return true;
        }
  for (unsigned i = 0; i < 8; i++)
    {
      if (!strcmp (name, stems[i]))
        {
          *value = (uint16_t) env->gpr[i];
          return true;
        }
      if (i < 4 && strlen (name) == 2 && name[0] == stems[i][0] && (name[1] == 'l' || name[1] == 'h'))
        {
          *value = (uint8_t) (env->gpr[i] >> (name[1] == 'h' ? 8 : 0));
          return true;
        }
    }
  if (stem == 'r' && g_ascii_isdigit (name[1]))
    {
      char *end;
      guint64 n = g_ascii_strtoull (name + 1, &end, 10);
      if (n >= 8 && n <= 15 && !*end)
        {
          *value = env->gpr[n];
          return true;
        }
    }
  return false;
}

static bool
register_value (VmVcpu *vcpu, const char *name, uint64_t *value)
{
  static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };
  const VmX86Env *env = env_of (vcpu);
  const struct
  {
    const char *name;
    uint64_t value;
  } others[] = {
    { "rip", env->rip },
    { "eip", (uint32_t) env->rip },
    { "pc", env->seg[VM_CS].base + env->rip },
    { "eflags", env->eflags },
    { "rflags", env->eflags },
    { "cr0", env->cr0 },
    { "cr2", env->cr2 },
    { "cr3", env->cr3 },
    { "cr4", env->cr4 },
    { "efer", env->efer },
  };

  if (general_register (env, name, value))
    return true;
  for (unsigned i = 0; i < G_N_ELEMENTS (segments); i++)
    if (!strncmp (name, segments[i], 2) && (!name[2] || !strcmp (name + 2, ".base") || !strcmp (name + 2, ".limit")))
      {
        *value = !name[2] ? env->seg[i].selector : name[3] == 'b' ? env->seg[i].base : env->seg[i].limit;
        return true;
      }
  for (unsigned i = 0; i < G_N_ELEMENTS (others); i++)
    if (!strcmp (name, others[i].name))
      {
        *value = others[i].value;
        return true;
      }
  return false;
}

static void
foreach_model (void (*func) (const VmCpuModelInfo *model, void *opaque), void *opaque)
{
  for (const VmX86ModelDef *const *m = vm_x86_models; *m; m++)
    {
      g_autofree char *type = g_strdup_printf ("%s-x86_64-cpu", (*m)->name);
      bool fixed = (*m)->kind == VM_X86_MODEL_TABLE;
      VmCpuModelInfo info = { .name = (*m)->name,
                              .type_name = type,
                              .alias_of = (*m)->alias_of,
                              .help = (*m)->description,
                              .migration_safe = fixed || (*m)->kind == VM_X86_MODEL_BASE,
                              .is_static = (*m)->kind == VM_X86_MODEL_BASE };
      func (&info, opaque);
    }
}

static char **
limit_model (VmVcpu *model, const VmAccel *accel)
{
  return vm_x86_cpu_limit ((VmX86Cpu *) model);
}

static char *
disassemble (VmVcpu *vcpu, uint64_t pc, const uint8_t *bytes, size_t len, unsigned *used)
{
  /* All features: what the guest's processor lacks is still worth reading. */
  static const uint64_t features[8] = { ~UINT64_C (0), ~UINT64_C (0), ~UINT64_C (0), ~UINT64_C (0),
                                        ~UINT64_C (0), ~UINT64_C (0), ~UINT64_C (0), ~UINT64_C (0) };
  uint32_t mode = env_of (vcpu)->mode;
  unsigned bits = mode & VM_MODE_CS64 ? 64 : mode & VM_MODE_CS32 ? 32 : 16;
  char text[160];
  VmInsn insn;

  unsigned n = vm_insn_decode (bytes, len, bits, features, &insn);
  if (n > len)
    return NULL;
  *used = n;
  vm_insn_format (&insn, pc, text, sizeof text);
  return g_strdup (text);
}

/* System V ABI, x86-64 supplement: as Linux writes NT_PRSTATUS. */
static const char *const core_registers[]
    = { "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9",      "r8",      "rax", "rcx", "rdx", "rsi",
        "rdi", "rax", "rip", "cs",  "eflags", "rsp", "ss", "fs.base", "gs.base", "ds",  "es",  "fs",  "gs",  NULL };

const VmArchOps app_arch_x86 = {
  .name = "x86_64",
  .address_bytes = 8,
  .elf_machine = EM_X86_64,
  .core_registers = core_registers,
  .describe_registers = describe_registers,
  .describe_tlb = describe_tlb,
  .describe_mem = describe_mem,
  .translate = translate,
  .register_value = register_value,
  .foreach_model = foreach_model,
  .machine_check = vm_x86_machine_check,
  .list_mappings = vm_x86_list_mappings,
  .limit_model = limit_model,
  .disassemble = disassemble,
  .gdb = &vm_x86_gdb,
};
