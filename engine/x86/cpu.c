/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The CPU device types: properties, what the guest gets of what was asked for, the -cpu option. */
#include "engine/base/log.h"
#include "engine/base/trace.h"
#include "engine/x86/model.h"

#if defined (__x86_64__)
#include <cpuid.h>
#endif

/* --- features ---------------------------------------------------------------------------------------- */

bool
vm_x86_is_intel (const VmX86Cpu *cpu)
{
  const char *vendor = cpu->model->vendor;

  return g_strcmp0 (vendor, "AuthenticAMD") != 0 && g_strcmp0 (vendor, "HygonGenuine") != 0;
}

static int
find_feature (const char *name)
{
  for (const VmX86FeatureName *f = vm_x86_feature_names; f->name; f++)
    if (strcmp (f->name, name) == 0)
      return f->feature;
  return -1;
}

bool
vm_x86_model_has_name (void *opaque, const char *name)
{
  const VmX86Model *model = opaque;
  bool is_amd = g_strcmp0 (model->vendor, "AuthenticAMD") == 0 || g_strcmp0 (model->vendor, "HygonGenuine") == 0;
  int feature;

  if (strcmp (name, "amd-insns") == 0 || strcmp (name, "amd-branch") == 0)
    return is_amd;
  if (strcmp (name, "intel-insns") == 0)
    return !is_amd;
  feature = find_feature (strcmp (name, "x87") == 0 ? "fpu" : name);
  return feature >= 0 && (model->words[feature / 32] >> (feature % 32) & 1);
}

/* What the translator does itself, whatever the host has. */
static const char *const own_features[] = {
  "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "sep", "mtrr", "pge", "mca", "cmov", "pat",
  "pse36", "clflush", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "pni", "monitor", "cx16", "pcid", "x2apic",
  "movbe", "popcnt", "tsc-deadline", "xsave", "rdrand", "hypervisor", "fsgsbase", "tsc-adjust", "smep", "erms",
  "invpcid", "rdseed", "smap", "clflushopt", "clwb", "umip", "pku", "la57", "rdpid", "fsrm", "syscall", "nx",
  "mmxext", "fxsr-opt", "pdpe1gb", "rdtscp", "lm", "lahf-lm", "cmp-legacy", "cr8legacy", "misalignsse",
  "3dnowprefetch", "topoext", "invtsc", "clzero", "xsaveerptr", "wbnoinvd", "arat", "xsaveopt", "xsavec", "xgetbv1",
  "xsaves", "movdiri", "movdir64b", "cldemote", "serialize", "null-sel-clr-base", "auto-ibrs",
  "arch-capabilities", "rdctl-no", "skip-l1dfl-vmentry", "ssb-no", "mds-no", "pschange-mc-no", "taa-no",
};

/* What is passed through to the host, so that the host must have it: name, leaf, subleaf, register, bit. */
static const struct { const char *name; uint32_t leaf, sub; uint8_t reg, bit; } host_features[] = {
  { "pclmulqdq", 1, 0, 2, 1 },  { "ssse3", 1, 0, 2, 9 },    { "fma", 1, 0, 2, 12 },    { "sse4.1", 1, 0, 2, 19 },
  { "sse4.2", 1, 0, 2, 20 },    { "aes", 1, 0, 2, 25 },     { "avx", 1, 0, 2, 28 },    { "f16c", 1, 0, 2, 29 },
  { "bmi1", 7, 0, 1, 3 },       { "avx2", 7, 0, 1, 5 },     { "bmi2", 7, 0, 1, 8 },    { "adx", 7, 0, 1, 19 },
  { "sha-ni", 7, 0, 1, 29 },    { "gfni", 7, 0, 2, 8 },     { "vaes", 7, 0, 2, 9 },
  { "vpclmulqdq", 7, 0, 2, 10 }, { "abm", 0x80000001, 0, 2, 5 }, { "sse4a", 0x80000001, 0, 2, 6 },
};

static void
add_feature (uint32_t *words, const char *name)
{
  int feature = find_feature (name);

  g_assert (feature >= 0);
  words[feature / 32] |= 1u << (feature % 32);
}

static bool
host_has (uint32_t leaf, uint32_t sub, unsigned reg, unsigned bit)
{
#if defined (__x86_64__)
  uint32_t r[4];

  if (!__get_cpuid_count (leaf, sub, &r[0], &r[1], &r[2], &r[3]))
    return false;
  return r[reg] >> bit & 1;
#else
  return false;
#endif
}

void
vm_x86_translator_words (uint32_t *words)
{
#if defined (__x86_64__)
  bool ymm = __builtin_cpu_supports ("avx"); /* the host's system saves them */
#else
  bool ymm = false;
#endif

  memset (words, 0, VM_X86_FEATURE_WORDS * sizeof *words);
  for (unsigned i = 0; i < G_N_ELEMENTS (own_features); i++)
    add_feature (words, own_features[i]);
  for (unsigned i = 0; i < G_N_ELEMENTS (host_features); i++)
    {
      const char *name = host_features[i].name;
      bool wants_ymm = strstr (name, "avx") || g_str_equal (name, "fma") || g_str_equal (name, "f16c") ||
                       g_str_equal (name, "vaes") || g_str_equal (name, "vpclmulqdq");

      if ((ymm || !wants_ymm) &&
          host_has (host_features[i].leaf, host_features[i].sub, host_features[i].reg, host_features[i].bit))
        add_feature (words, name);
    }
}

/* --- filtering ---------------------------------------------------------------------------------------- */

static const char *const word_names[VM_X86_WORD_N] = {
  [VM_X86_WORD_1_EDX] = "CPUID.01H:EDX", [VM_X86_WORD_1_ECX] = "CPUID.01H:ECX",
  [VM_X86_WORD_7_EBX] = "CPUID.07H:EBX", [VM_X86_WORD_7_ECX] = "CPUID.07H:ECX",
  [VM_X86_WORD_7_EDX] = "CPUID.07H:EDX", [VM_X86_WORD_7_1_EAX] = "CPUID.07H:EAX",
  [VM_X86_WORD_80000001_EDX] = "CPUID.80000001H:EDX", [VM_X86_WORD_80000001_ECX] = "CPUID.80000001H:ECX",
  [VM_X86_WORD_80000007_EDX] = "CPUID.80000007H:EDX", [VM_X86_WORD_80000008_EBX] = "CPUID.80000008H:EBX",
  [VM_X86_WORD_80000021_EAX] = "CPUID.80000021H:EAX", [VM_X86_WORD_C0000001_EDX] = "CPUID.C0000001H:EDX",
  [VM_X86_WORD_SVM_EDX] = "CPUID.8000000AH:EDX",
  [VM_X86_WORD_D_1_EAX] = "CPUID.0DH:EAX", [VM_X86_WORD_6_EAX] = "CPUID.06H:EAX",
  [VM_X86_WORD_14_ECX] = "CPUID.14H:ECX", [VM_X86_WORD_12_EAX] = "CPUID.12H:EAX",
  [VM_X86_WORD_12_EBX] = "CPUID.12H:EBX", [VM_X86_WORD_ARCH_CAPABILITIES] = "MSR(10AH)",
  [VM_X86_WORD_CORE_CAPABILITY] = "MSR(CFH)", [VM_X86_WORD_PERF_CAPABILITIES] = "MSR(345H)",
};

static const char *
feature_name (unsigned feature)
{
  for (const VmX86FeatureName *f = vm_x86_feature_names; f->name; f++)
    if (f->feature == feature && !f->is_alias)
      return f->name;
  return NULL;
}

/* Bits that mean nothing without another feature: dropped silently with it. */
static void
drop_dependent (uint32_t *words)
{
  bool has_svm = words[VM_X86_WORD_80000001_ECX] >> 2 & 1;
  bool has_xsave = words[VM_X86_WORD_1_ECX] >> 26 & 1;
  bool has_avx = words[VM_X86_WORD_1_ECX] >> 28 & 1;

  if (!has_svm)
    words[VM_X86_WORD_SVM_EDX] = 0;
  if (!has_xsave)
    words[VM_X86_WORD_D_1_EAX] = 0;
  if (!has_xsave)
    words[VM_X86_WORD_1_ECX] &= ~(1u << 28);
  if (!has_xsave || !has_avx)
    {
      words[VM_X86_WORD_1_ECX] &= ~(1u << 12 | 1u << 29);          /* fma, f16c */
      words[VM_X86_WORD_7_EBX] &= ~(1u << 5);                      /* avx2 */
      words[VM_X86_WORD_7_ECX] &= ~(1u << 9 | 1u << 10);           /* vaes, vpclmulqdq */
    }
  if (!(words[VM_X86_WORD_7_EDX] >> 29 & 1))
    words[VM_X86_WORD_ARCH_CAPABILITIES] = 0;
  if (!(words[VM_X86_WORD_7_EDX] >> 30 & 1))
    words[VM_X86_WORD_CORE_CAPABILITY] = 0;
  if (!(words[VM_X86_WORD_1_ECX] >> 15 & 1))
    words[VM_X86_WORD_PERF_CAPABILITIES] = 0;
}

static bool
filter_features (VmX86Cpu *cpu, GError **error)
{
  VmX86Model *m = cpu->model;
  uint32_t own[VM_X86_FEATURE_WORDS];
  const uint32_t *supported = cpu->supported ? cpu->supported : own;
  const char *who = cpu->supporter ? cpu->supporter : "TCG";
  bool speaks = (m->check || m->enforce) && (m->apic_id == 0 || m->apic_id == UINT32_MAX), missing = false;

  vm_x86_translator_words (own);
  for (unsigned word = 0; word < VM_X86_WORD_N; word++)
    {
      uint32_t lacking = m->words[word] & ~supported[word];

      m->words[word] &= ~lacking;
      if (word_names[word] == NULL) /* para-virtual and nested features: nothing the guest could miss */
        continue;
      for (unsigned bit = 0; bit < 32 && lacking; bit++)
        if (lacking >> bit & 1)
          {
            const char *name = feature_name (word * 32 + bit);

            missing = true;
            if (speaks)
              vm_report_warning ("%s doesn't support requested feature: %s%s%s [bit %u]", who, word_names[word],
                                 name ? "." : "", name ? name : "", bit);
          }
    }
  if (missing && m->enforce)
    return vm_fail (error, "%s doesn't support requested features", who);
  drop_dependent (m->words);
  return true;
}

char **
vm_x86_cpu_limit (VmX86Cpu *cpu)
{
  VmX86Model *m = cpu->model;
  uint32_t own[VM_X86_FEATURE_WORDS];
  const uint32_t *supported = cpu->supported ? cpu->supported : own;
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  vm_x86_translator_words (own);
  if (m->def->kind == VM_X86_MODEL_HOST && !cpu->supported)
    g_strv_builder_add (names, "kvm");
  for (unsigned word = 0; word < VM_X86_WORD_N; word++)
    {
      uint32_t lacking = m->words[word] & ~supported[word];

      m->words[word] &= ~lacking;
      for (unsigned bit = 0; bit < 32 && word_names[word]; bit++)
        {
          const char *name = lacking >> bit & 1 ? feature_name (word * 32 + bit) : NULL;

          if (name)
            g_strv_builder_add (names, name);
        }
    }
  drop_dependent (m->words);
  return g_strv_builder_end (names);
}

/* --- life ----------------------------------------------------------------------------------------------- */

static const VmX86ModelDef *
def_of (const VmObject *obj)
{
  return ((const VmX86CpuClass *) vm_type_klass (obj->type))->def;
}

#if defined (__x86_64__)
static void
take_host_identity (VmX86Model *m)
{
  uint32_t r[4], brand[13] = { 0 };

  if (__get_cpuid (0, &r[0], &r[1], &r[2], &r[3]))
    {
      uint32_t text[4] = { r[1], r[3], r[2], 0 };

      g_free (m->vendor);
      m->vendor = g_strdup ((const char *) text);
    }
  if (__get_cpuid (1, &r[0], &r[1], &r[2], &r[3]))
    {
      m->stepping = r[0] & 15;
      m->family = (r[0] >> 8 & 15) + ((r[0] >> 8 & 15) == 15 ? r[0] >> 20 & 0xff : 0);
      m->model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
    }
  for (unsigned i = 0; i < 3; i++)
    if (!__get_cpuid (0x80000002 + i, &brand[i * 4], &brand[i * 4 + 1], &brand[i * 4 + 2], &brand[i * 4 + 3]))
      return;
  g_free (m->model_id);
  m->model_id = g_strdup ((const char *) brand);
}
#endif

void
vm_x86_cpu_init (VmObject *obj)
{
  VmX86Cpu *cpu = (VmX86Cpu *) obj;
  const VmX86ModelDef *def = def_of (obj);
  VmX86Model *m = &cpu->model_data;

  cpu->model = m;
  m->def = def;
  g_free (m->vendor);
  g_free (m->model_id);
  m->vendor = g_strdup (def->vendor);
  m->model_id = g_strdup (def->model_id);
  m->family = def->family;
  m->model = def->model;
  m->stepping = def->stepping;
  m->min_level = def->level;
  m->min_xlevel = def->xlevel;
  memcpy (m->words, def->words, sizeof def->words);
  if (def->kind == VM_X86_MODEL_MAX || def->kind == VM_X86_MODEL_HOST)
    {
      uint32_t words[VM_X86_FEATURE_WORDS];

      vm_x86_translator_words (words);
      for (unsigned i = 0; i < VM_X86_WORD_N; i++)
        m->words[i] |= words[i];
      m->words[VM_X86_WORD_1_EDX] &= ~(1u << 28); /* ht: by the topology */
      m->words[VM_X86_WORD_80000001_ECX] &= ~(1u << 1 | 1u << 22);
#if defined (__x86_64__)
      if (def->kind == VM_X86_MODEL_HOST)
        take_host_identity (m);
#endif
    }
  cpu->env.exc_vector = -1;
}

void
vm_x86_cpu_offer (VmX86Cpu *cpu, const uint32_t *words, const char *supporter)
{
  VmX86Model *m = cpu->model;
  VmX86ModelKind kind = m->def->kind;

  cpu->supported = words;
  cpu->supporter = supporter;
  if (kind != VM_X86_MODEL_MAX && kind != VM_X86_MODEL_HOST)
    return;
  memcpy (m->words, words, VM_X86_WORD_N * sizeof *words);
  m->words[VM_X86_WORD_1_EDX] &= ~(1u << 28); /* ht: by the topology */
  m->words[VM_X86_WORD_80000001_ECX] &= ~(1u << 1 | 1u << 22);
  m->words[VM_X86_WORD_80000007_EDX] &= ~(1u << 8); /* invtsc: only by name, the guest could not be moved */
  m->host_phys_bits = true;
#if defined (__x86_64__)
  take_host_identity (m);
#endif
}

static void
cpu_finalize (VmObject *obj)
{
  VmX86Model *m = &((VmX86Cpu *) obj)->model_data;

  g_clear_pointer (&m->vendor, g_free);
  g_clear_pointer (&m->model_id, g_free);
  g_clear_pointer (&m->ignored_text, g_free);
}

/* The highest leaves that what is offered needs, unless the user says. */
static void
settle_levels (VmX86Model *m)
{
  uint32_t level = m->min_level, xlevel = m->min_xlevel;

  if (m->words[VM_X86_WORD_6_EAX])
    level = MAX (level, 6);
  if (m->words[VM_X86_WORD_7_EBX] || m->words[VM_X86_WORD_7_ECX] || m->words[VM_X86_WORD_7_EDX])
    level = MAX (level, 7);
  if (m->words[VM_X86_WORD_1_ECX] >> 26 & 1)
    level = MAX (level, 0xd);
  if (m->words[VM_X86_WORD_80000001_EDX] || m->words[VM_X86_WORD_80000001_ECX])
    xlevel = MAX (xlevel, 0x80000001);
  if (m->words[VM_X86_WORD_80000007_EDX])
    xlevel = MAX (xlevel, 0x80000007);
  if (m->words[VM_X86_WORD_80000008_EBX] || (m->words[VM_X86_WORD_80000001_EDX] >> 29 & 1))
    xlevel = MAX (xlevel, 0x80000008);
  if (m->words[VM_X86_WORD_80000001_ECX] >> 2 & 1)
    xlevel = MAX (xlevel, 0x8000000a);
  if (m->words[VM_X86_WORD_80000001_ECX] >> 22 & 1)
    xlevel = MAX (xlevel, 0x8000001e);
  if (m->words[VM_X86_WORD_80000021_EAX])
    xlevel = MAX (xlevel, 0x80000021);
  if (m->threads > 1 || m->cores > 1 || m->dies > 1)
    level = MAX (level, m->has_cpuid_0xb && level >= 4 ? 0xb : 4);
  if (m->dies > 1)
    level = MAX (level, 0x1f);
  if (m->level == UINT32_MAX)
    m->level = level;
  if (m->xlevel == UINT32_MAX)
    m->xlevel = xlevel;
}

static bool
settle_phys_bits (VmX86Cpu *cpu, GError **error)
{
  VmX86Model *m = cpu->model;
  bool is_long = vm_x86_has (cpu, VM_X86_FEATURE_LM);

#if defined (__x86_64__)
  uint32_t r[4];

  if (m->host_phys_bits && is_long && __get_cpuid (0x80000008, &r[0], &r[1], &r[2], &r[3]))
    m->phys_bits = r[0] & 0xff;
#endif
  if (!is_long)
    {
      if (m->phys_bits != 0)
        return vm_fail (error, "phys-bits is not user-configurable in 32 bit");
      m->phys_bits = vm_x86_has (cpu, VM_X86_FEATURE_PSE36) || vm_x86_has (cpu, VM_X86_FEATURE_PAE) ? 36 : 32;
    }
  else if (m->phys_bits == 0)
    m->phys_bits = 40;
  else if (m->phys_bits < 32 || m->phys_bits > 52)
    return vm_fail (error, "phys-bits should be between 32 and 52  (but is %u)", m->phys_bits);
  cpu->phys_mask = VM_MASK (m->phys_bits - 1, 0);
  return true;
}

bool
vm_x86_cpu_realize (VmDevice *dev, GError **error)
{
  VmX86Cpu *cpu = (VmX86Cpu *) dev;
  VmX86Model *m = cpu->model;

  if (m->def->kind == VM_X86_MODEL_HOST && cpu->supported == NULL)
    return vm_fail (error, "CPU model 'host' requires KVM or HVF");
  if (!filter_features (cpu, error) || !settle_phys_bits (cpu, error))
    return false;
  /* AMD repeats these bits in the extended leaf; CPUID puts them there. */
  settle_levels (m);
  cpu->has_1g_pages = vm_x86_has (cpu, VM_X86_FEATURE_PDPE1GB);
  cpu->tsc_frequency = m->tsc_frequency ? m->tsc_frequency : VM_NS_PER_SEC;
  if (cpu->memory_as == NULL && dev->env)
    cpu->memory_as = dev->env->memory_as;
  if (m->apic_id != UINT32_MAX)
    cpu->parent.affinity_id = m->apic_id;
  vm_x86_reset (cpu, false);
  return true;
}

void
vm_x86_cpu_unrealize (VmDevice *dev)
{
  (void) dev; /* the set of vCPUs ends its thread */
}

static void
log_reset (VmX86Cpu *cpu)
{
  vm_trace (CPU_RESET, "cpu %u", cpu->parent.index);
  if (!vm_log_enabled (VM_LOG_CPU_RESET))
    return;
  if (cpu->parent.accel && cpu->parent.accel->ops->state_fetch)
    cpu->parent.accel->ops->state_fetch (&cpu->parent);
  g_autofree char *text = vm_x86_describe_registers (cpu, true);
  vm_log_print ("CPU Reset (CPU %u)\n%s", cpu->parent.index, text);
}

void
vm_x86_cpu_reset_device (VmDevice *dev, VmResetKind kind)
{
  VmX86Cpu *cpu = (VmX86Cpu *) dev;

  (void) kind;
  log_reset (cpu);
  vm_x86_reset (cpu, false);
  if (cpu->parent.accel && cpu->parent.accel->ops->state_store)
    cpu->parent.accel->ops->state_store (&cpu->parent);
}

bool
vm_x86_cpu_post_load (VmDevice *dev, GError **error)
{
  VmX86Cpu *cpu = (VmX86Cpu *) dev;
  VmX86Env *env = &cpu->env;

  if (env->xcr0 != 1 && !vm_x86_xcr0_valid (cpu, env->xcr0))
    return vm_fail (error, "saved state enables CPU features that this CPU lacks");
  if ((env->cr0 & VM_CR0_PG) && !(env->cr0 & VM_CR0_PE))
    return vm_fail (error, "saved CPU state has paging without protection");
  env->eflags |= 2;
  env->exc_vector = -1;
  vm_x86_update_mode (env);
  if (cpu->parent.accel && cpu->parent.accel->ops->state_store)
    cpu->parent.accel->ops->state_store (&cpu->parent);
  return true;
}

/* --- properties ------------------------------------------------------------------------------------------ */

#define MODEL(field) model_data.field
#define IGNORED(name) VM_PROP (name, VmX86Cpu, MODEL (ignored_bool), false, "for other accelerators")
#define IGNORED_NUMBER(name) VM_PROP (name, VmX86Cpu, MODEL (ignored_number), 0, "for other accelerators")

static const VmProp cpu_props[] = {
  VM_PROP ("family", VmX86Cpu, MODEL (family), 0, "CPUID family"),
  VM_PROP ("model", VmX86Cpu, MODEL (model), 0, "CPUID model"),
  VM_PROP ("stepping", VmX86Cpu, MODEL (stepping), 0, "CPUID stepping"),
  VM_PROP_STRING ("vendor", VmX86Cpu, MODEL (vendor), "", "CPUID vendor, twelve characters"),
  VM_PROP_STRING ("model-id", VmX86Cpu, MODEL (model_id), "", "processor name"),
  VM_PROP ("level", VmX86Cpu, MODEL (level), UINT32_MAX, "highest basic CPUID leaf"),
  VM_PROP ("xlevel", VmX86Cpu, MODEL (xlevel), UINT32_MAX, "highest extended CPUID leaf"),
  VM_PROP ("min-level", VmX86Cpu, MODEL (min_level), 0, "lower bound of level"),
  VM_PROP ("min-xlevel", VmX86Cpu, MODEL (min_xlevel), 0, "lower bound of xlevel"),
  VM_PROP ("phys-bits", VmX86Cpu, MODEL (phys_bits), 0, "physical address bits"),
  VM_PROP ("host-phys-bits", VmX86Cpu, MODEL (host_phys_bits), false, "as many physical address bits as the host"),
  VM_PROP ("apic-id", VmX86Cpu, MODEL (apic_id), UINT32_MAX, "local APIC id"),
  VM_PROP ("socket-id", VmX86Cpu, MODEL (socket_id), UINT32_MAX, "package it sits in"),
  VM_PROP ("die-id", VmX86Cpu, MODEL (die_id), UINT32_MAX, "die in the package"),
  VM_PROP ("core-id", VmX86Cpu, MODEL (core_id), UINT32_MAX, "core on the die"),
  VM_PROP ("thread-id", VmX86Cpu, MODEL (thread_id), UINT32_MAX, "thread of the core"),
  VM_PROP ("tsc-frequency", VmX86Cpu, MODEL (tsc_frequency), 0, "time-stamp counter frequency in Hz"),
  VM_PROP ("ucode-rev", VmX86Cpu, MODEL (ucode_rev), 0, "microcode revision register"),
  VM_PROP ("check", VmX86Cpu, MODEL (check), true, "warn about features that cannot be had"),
  VM_PROP ("enforce", VmX86Cpu, MODEL (enforce), false, "refuse to start without a requested feature"),
  VM_PROP ("tcg-cpuid", VmX86Cpu, MODEL (has_tcg_leaf), true, "hypervisor leaf of the translator"),
  VM_PROP ("l3-cache", VmX86Cpu, MODEL (l3_cache), true, "report a level-3 cache"),
  VM_PROP ("cpuid-0xb", VmX86Cpu, MODEL (has_cpuid_0xb), true, "extended topology leaf"),
  VM_PROP ("start-powered-off", VmX86Cpu, MODEL (start_powered_off), false, "wait for a start-up message"),
  IGNORED ("kvm"), IGNORED ("pmu"), IGNORED ("lmce"), IGNORED ("migratable"), IGNORED ("legacy-cache"),
  IGNORED ("full-cpuid-auto-level"), IGNORED ("fill-mtrr-mask"), IGNORED ("host-cache-info"),
  IGNORED ("vmware-cpuid-freq"), IGNORED ("kvm-no-smi-migration"), IGNORED ("kvm-pv-enforce-cpuid"),
  IGNORED ("hv-passthrough"), IGNORED ("hv-enforce-cpuid"), IGNORED ("x-migrate-smi-count"),
  IGNORED ("x-force-features"), IGNORED ("x-vendor-cpuid-only"), IGNORED ("x-intel-pt-auto-level"),
  IGNORED_NUMBER ("hv-spinlocks"), IGNORED_NUMBER ("hv-version-id-build"), IGNORED_NUMBER ("hv-version-id-major"),
  IGNORED_NUMBER ("hv-version-id-minor"), IGNORED_NUMBER ("hv-version-id-sbranch"),
  IGNORED_NUMBER ("hv-version-id-snumber"), IGNORED_NUMBER ("hv-version-id-spack"),
  IGNORED_NUMBER ("host-phys-bits-limit"), IGNORED_NUMBER ("level-func7"), IGNORED_NUMBER ("lbr-fmt"),
  IGNORED_NUMBER ("min-xlevel2"), IGNORED_NUMBER ("xlevel2"), IGNORED_NUMBER ("node-id"),
  VM_PROP_STRING ("hv-vendor-id", VmX86Cpu, MODEL (ignored_text), NULL, "for other accelerators"),
  { .kind = VM_PROP_EMBED, .name = "", .embed = vm_x86_feature_props },
  { 0 }
};

/* --- saved state ------------------------------------------------------------------------------------------- */

#define ENV(field) VM_FIELD (VmX86Env, field)
#define ENV_ARRAY(field) VM_FIELD_ARRAY (VmX86Env, field)

static const VmField seg_state[] = {
  VM_FIELD (VmX86Seg, base), VM_FIELD (VmX86Seg, limit), VM_FIELD (VmX86Seg, selector), VM_FIELD (VmX86Seg, attr),
  { 0 }
};
static const VmField table_state[] = { VM_FIELD (VmX86Table, base), VM_FIELD (VmX86Table, limit), { 0 } };
static const VmField fx_state[] = {
  VM_FIELD (VmX86Fx, fcw), VM_FIELD (VmX86Fx, fsw), VM_FIELD (VmX86Fx, ftw), VM_FIELD (VmX86Fx, fop),
  VM_FIELD (VmX86Fx, fip), VM_FIELD (VmX86Fx, fdp), VM_FIELD (VmX86Fx, mxcsr),
  { .name = "st", .kind = VM_FIELD_NUMBER, .offset = offsetof (VmX86Fx, st), .size = 1, .count = 128 },
  { 0 }
};
static const VmField env_state[] = {
  ENV_ARRAY (gpr), ENV (rip), ENV (eflags), VM_FIELD_EMBED_ARRAY (VmX86Env, seg, seg_state),
  VM_FIELD_EMBED (VmX86Env, ldt, seg_state), VM_FIELD_EMBED (VmX86Env, tr, seg_state),
  VM_FIELD_EMBED (VmX86Env, gdt, table_state), VM_FIELD_EMBED (VmX86Env, idt, table_state),
  ENV (cr0), ENV (cr2), ENV (cr3), ENV (cr4), ENV (efer), ENV (xcr0), ENV (xss), ENV_ARRAY (dr), ENV (pkru),
  ENV (tsc_aux), VM_FIELD_EMBED (VmX86Env, fx, fx_state),
  { .name = "ymm", .kind = VM_FIELD_NUMBER, .offset = offsetof (VmX86Env, ymm), .size = 8, .count = 64 },
  ENV (request), ENV (sipi_vector), ENV (wait_for_sipi), ENV (halted), ENV (smm), ENV (smm_inhibits_nmi),
  ENV (nmi_blocked), ENV (a20_masked), ENV (shadow), ENV (ferr),
  ENV (star), ENV (lstar), ENV (cstar), ENV (sfmask), ENV (kernel_gs_base), ENV (sysenter_cs), ENV (sysenter_esp),
  ENV (sysenter_eip), ENV (apic_base), ENV (tsc_adjust), ENV (tsc_deadline), ENV (tsc_offset), ENV (pat),
  ENV (mtrr_def_type), ENV_ARRAY (mtrr_fixed), ENV_ARRAY (mtrr_base), ENV_ARRAY (mtrr_mask), ENV (misc_enable),
  ENV (feature_control), ENV (debugctl), ENV (smbase), ENV (spec_ctrl), ENV (virt_ssbd), ENV (mcg_status),
  ENV (mcg_ctl), ENV_ARRAY (mc_banks), ENV (bios_sign_id), ENV (platform_info), ENV (power_ctl), ENV_ARRAY (pdpte),
  { 0 }
};
static const VmField cpu_state[] = { VM_FIELD_EMBED (VmX86Cpu, env, env_state), { 0 } };

static const VmDeviceClass cpu_class = { .category = "CPU" };

const VmType vm_x86_cpu_type = {
  .name = "x86_64-cpu", .parent = &vm_device_type, .size = sizeof (VmX86Cpu), .abstract = true,
  .help = "x86 processor", .props = cpu_props, .state = cpu_state, .klass = &cpu_class, .finalize = cpu_finalize,
};

/* --- the -cpu option ------------------------------------------------------------------------------------------ */

void
vm_x86_cpu_option_free (VmX86CpuOption *option)
{
  if (option == NULL)
    return;
  g_ptr_array_unref (option->names);
  g_ptr_array_unref (option->values);
  g_free (option);
}

static bool
known_property (const VmX86CpuOption *option, const char *name, const char *value, bool is_flag, GError **error)
{
  uint32_t offset;

  if (vm_type_find_prop (option->type, name, &offset))
    return true;
  if (is_flag)
    return vm_fail (error, "Property '%s.%s' not found", option->type->name, name);
  return vm_fail (error, "can't apply global %s.%s=%s: Property '%s.%s' not found", option->type->name, name, value,
                  option->type->name, name);
}

static void
add_setting (VmX86CpuOption *option, const char *name, const char *value)
{
  g_ptr_array_add (option->names, g_strdup (name));
  g_ptr_array_add (option->values, g_strdup (value));
}

/* "name", "name=value", and old spellings; flags with a sign come later. */
static bool
add_item (VmX86CpuOption *option, const char *item, GError **error)
{
  const char *equals = strchr (item, '=');
  g_autofree char *name = equals ? g_strndup (item, equals - item) : g_strdup (item);
  g_autofree char *value = g_strdup (equals ? equals + 1 : "on");

  if (strcmp (name, "tsc-freq") == 0)
    {
      uint64_t hz;
      char *end;
      double number = g_ascii_strtod (value, &end);
      double scale = *end == 'G' || *end == 'g' ? 1e9 : *end == 'M' || *end == 'm' ? 1e6
                     : *end == 'K' || *end == 'k' ? 1e3 : 1;

      if (end == value || number < 0 || number * scale > 1e18 || (*end && end[1]))
        return vm_fail (error, "bad numerical value %s", value);
      hz = number * scale;
      g_free (name);
      g_free (value);
      name = g_strdup ("tsc-frequency");
      value = g_strdup_printf ("%" G_GUINT64_FORMAT, hz);
    }
  if (!known_property (option, name, value, false, error))
    return false;
  add_setting (option, name, value);
  return true;
}

static bool
add_flags (VmX86CpuOption *option, char **items, char sign, GError **error)
{
  for (unsigned i = 1; items[i]; i++)
    if (items[i][0] == sign)
      {
        if (!known_property (option, items[i] + 1, NULL, true, error))
          return false;
        add_setting (option, items[i] + 1, sign == '+' ? "on" : "off");
      }
  return true;
}

VmX86CpuOption *
vm_x86_cpu_parse (const VmTypeList *types, const char *text, GError **error)
{
  g_autoptr (VmX86CpuOption) option = g_new0 (VmX86CpuOption, 1);
  g_auto (GStrv) items = g_strsplit (text, ",", -1);
  g_autofree char *type_name = NULL;

  option->names = g_ptr_array_new_with_free_func (g_free);
  option->values = g_ptr_array_new_with_free_func (g_free);
  if (items[0] == NULL || items[0][0] == '\0')
    {
      vm_fail (error, "-cpu option cannot be empty");
      return NULL;
    }
  type_name = g_strdup_printf ("%s-x86_64-cpu", items[0]);
  option->type = vm_type_find (types, type_name);
  if (option->type == NULL && g_str_has_suffix (items[0], "-x86_64-cpu"))
    option->type = vm_type_find (types, items[0]);
  if (option->type == NULL || option->type->abstract || !vm_type_is_a (option->type, &vm_x86_cpu_type))
    {
      vm_fail (error, "unable to find CPU model '%s'", items[0]);
      return NULL;
    }
  for (unsigned i = 1; items[i]; i++)
    if (items[i][0] && items[i][0] != '+' && items[i][0] != '-' && !add_item (option, items[i], error))
      return NULL;
  /* Signs win over assignments, minus over plus, wherever they stand. */
  if (!add_flags (option, items, '+', error) || !add_flags (option, items, '-', error))
    return NULL;
  return g_steal_pointer (&option);
}

VmX86Cpu *
vm_x86_cpu_new (const VmX86CpuOption *option, GError **error)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vm_device_new (option->type);

  for (unsigned i = 0; i < option->names->len; i++)
    {
      const char *name = option->names->pdata[i], *value = option->values->pdata[i];
      g_autoptr (GError) inner = NULL;

      if (!vm_object_set ((VmObject *) cpu, name, value, &inner))
        {
          vm_fail (error, "can't apply global %s.%s=%s: %s", option->type->name, name, value, inner->message);
          vm_object_unref ((VmObject *) cpu);
          return NULL;
        }
    }
  if (cpu->model->vendor == NULL || (strlen (cpu->model->vendor) != 12 && cpu->model->def->kind != VM_X86_MODEL_BASE))
    {
      vm_fail (error, "can't apply global %s.vendor=%s: Property '.vendor' doesn't take value '%s'", option->type->name,
               cpu->model->vendor ? cpu->model->vendor : "", cpu->model->vendor ? cpu->model->vendor : "");
      vm_object_unref ((VmObject *) cpu);
      return NULL;
    }
  return cpu;
}

static int
compare_names (const void *a, const void *b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char *
vm_x86_cpu_help (void)
{
  GString *text = g_string_new ("Available CPUs:\n");
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  unsigned column = 0;

  for (unsigned i = 0; vm_x86_models[i]; i++)
    {
      const VmX86ModelDef *def = vm_x86_models[i];

      if (def->alias_of == NULL)
        g_string_append_printf (text, "x86 %-20s  %s\n", def->name, def->description);
      else if (g_str_has_prefix (def->alias_of, def->name) && g_str_has_suffix (def->alias_of, "-v1"))
        g_string_append_printf (text, "x86 %-20s  (alias configured by machine type)\n", def->name);
      else
        g_string_append_printf (text, "x86 %-20s  (alias of %s)\n", def->name, def->alias_of);
    }
  g_string_append (text, "\nRecognized CPUID flags:\n");
  for (const VmX86FeatureName *f = vm_x86_feature_names; f->name; f++)
    if (!f->is_alias && f->feature / 32 != VM_X86_WORD_HYPERV)
      g_ptr_array_add (names, (void *) f->name);
  g_ptr_array_sort (names, compare_names);
  for (unsigned i = 0; i < names->len; i++)
    {
      const char *name = names->pdata[i];
      unsigned len = strlen (name);

      if (column && column + len + 1 >= 75)
        {
          g_string_append_c (text, '\n');
          column = 0;
        }
      g_string_append_printf (text, "%s%s", column ? " " : "  ", name);
      column += len + (column ? 1 : 2);
    }
  g_string_append_c (text, '\n');
  return g_string_free (text, FALSE);
}
