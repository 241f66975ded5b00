/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPUID (Intel SDM vol. 2, AMD APM vol. 3 appendix E). */
#include "engine/x86/model.h"

static bool
is_amd (const VmX86Cpu *cpu)
{
  return g_strcmp0 (cpu->model->vendor, "AuthenticAMD") == 0 ||
         g_strcmp0 (cpu->model->vendor, "HygonGenuine") == 0;
}

static unsigned
count (uint32_t n)
{
  return n ? n : 1;
}

/* Bits that number N things. */
static unsigned
width (unsigned n)
{
  return n > 1 ? 32 - __builtin_clz (n - 1) : 0;
}

static unsigned
core_shift (const VmX86Model *m)
{
  return width (count (m->threads));
}

static unsigned
die_shift (const VmX86Model *m)
{
  return core_shift (m) + width (count (m->cores));
}

static unsigned
package_shift (const VmX86Model *m)
{
  return die_shift (m) + width (count (m->dies));
}

static uint32_t
apic_id (const VmX86Model *m)
{
  return m->apic_id == UINT32_MAX ? 0 : m->apic_id;
}

static unsigned
logical_count (const VmX86Model *m)
{
  return count (m->threads) * count (m->cores) * count (m->dies);
}

static void
vendor_leaf (const VmX86Cpu *cpu, uint32_t max, uint32_t out[4])
{
  char text[12] = { 0 };

  memcpy (text, cpu->model->vendor ? cpu->model->vendor : "", MIN (12, strlen (cpu->model->vendor ? cpu->model->vendor : "")));
  out[0] = max;
  out[1] = vm_load_le32 (text);
  out[3] = vm_load_le32 (text + 4);
  out[2] = vm_load_le32 (text + 8);
}

static uint32_t
signature (const VmX86Model *m)
{
  uint32_t family = MIN (m->family, 15), extended = m->family > 15 ? m->family - 15 : 0;

  return m->stepping | (m->model & 15) << 4 | family << 8 | (m->model >> 4) << 16 | extended << 20;
}

static void
leaf_1 (const VmX86Cpu *cpu, uint32_t out[4])
{
  const VmX86Model *m = cpu->model;
  unsigned logical = logical_count (m);

  out[0] = signature (m);
  out[1] = (apic_id (m) & 0xff) << 24 | (vm_x86_has (cpu, VM_X86_FEATURE_CLFLUSH) ? 8 << 8 : 0);
  out[2] = m->words[VM_X86_WORD_1_ECX];
  out[3] = m->words[VM_X86_WORD_1_EDX];
  if (cpu->env.cr4 & VM_CR4_OSXSAVE)
    out[2] |= 1u << 27;
  if (!(cpu->env.apic_base & 0x800))
    out[3] &= ~(1u << 9); /* the APIC is switched off */
  if (logical > 1)
    {
      out[1] |= MIN (logical, 255) << 16;
      out[3] |= 1u << 28;
    }
}

/* --- caches ------------------------------------------------------------------------------------------ */

typedef struct Cache {
  unsigned level, type; /* 1 data, 2 code, 3 unified */
  unsigned kib, ways, sets, line;
} Cache;

static const Cache caches[4] = {
  { 1, 1, 32, 8, 64, 64 },
  { 1, 2, 32, 8, 64, 64 },
  { 2, 3, 4096, 16, 4096, 64 },
  { 3, 3, 16384, 16, 16384, 64 },
};

static unsigned
n_caches (const VmX86Model *m)
{
  return m->l3_cache ? 4 : 3;
}

/* Leaf 4, and AMD's 8000001Dh which has the same form. */
static void
cache_leaf (const VmX86Cpu *cpu, unsigned index, bool is_amd_leaf, uint32_t out[4])
{
  const VmX86Model *m = cpu->model;
  const Cache *c;
  unsigned sharers;

  memset (out, 0, 16);
  if (index >= n_caches (m))
    return;
  c = &caches[index];
  sharers = c->level == 3 ? 1u << die_shift (m) : 1u << core_shift (m);
  out[0] = c->type | c->level << 5 | 1 << 8 | (MIN (sharers, 4096) - 1) << 14;
  if (!is_amd_leaf)
    out[0] |= (MIN (1u << (package_shift (m) - core_shift (m)), 64) - 1) << 26;
  out[1] = (c->line - 1) | (c->ways - 1) << 22;
  out[2] = c->sets - 1;
  out[3] = c->level == 3 ? 2 : 0; /* inclusive */
}

/* --- topology ------------------------------------------------------------------------------------------ */

static void
topology_leaf (const VmX86Cpu *cpu, unsigned sub, bool with_dies, uint32_t out[4])
{
  const VmX86Model *m = cpu->model;
  unsigned threads = count (m->threads), cores = count (m->cores), dies = count (m->dies);

  out[0] = out[1] = 0;
  out[2] = sub & 0xff;
  out[3] = apic_id (m);
  if (sub == 0)
    {
      out[0] = core_shift (m);
      out[1] = threads;
      out[2] |= 1 << 8;
    }
  else if (sub == 1)
    {
      out[0] = with_dies ? die_shift (m) : package_shift (m);
      out[1] = threads * cores * (with_dies ? 1 : dies);
      out[2] |= 2 << 8;
    }
  else if (sub == 2 && with_dies)
    {
      out[0] = package_shift (m);
      out[1] = threads * cores * dies;
      out[2] |= 5 << 8;
    }
}

/* --- extended state ---------------------------------------------------------------------------------------- */

enum { XSAVE_AVX_OFFSET = 576, XSAVE_AVX_SIZE = 256, XSAVE_PKRU_OFFSET = 832, XSAVE_PKRU_SIZE = 8 };

uint64_t
vm_x86_xcr0_mask (const VmX86Cpu *cpu)
{
  uint64_t mask = 1;

  if (!vm_x86_has (cpu, VM_X86_FEATURE_XSAVE))
    return 0;
  if (vm_x86_has (cpu, VM_X86_FEATURE_SSE))
    mask |= 2;
  if (vm_x86_has (cpu, VM_X86_FEATURE_AVX))
    mask |= 4;
  if (vm_x86_has (cpu, VM_X86_FEATURE_PKU))
    mask |= 1 << 9;
  return mask;
}

bool
vm_x86_xcr0_valid (const VmX86Cpu *cpu, uint64_t value)
{
  return (value & 1) && !(value & ~vm_x86_xcr0_mask (cpu)) && !((value & 4) && !(value & 2));
}

static uint32_t
xsave_size (uint64_t components)
{
  if (components & (1 << 9))
    return XSAVE_PKRU_OFFSET + XSAVE_PKRU_SIZE;
  return components & 4 ? XSAVE_AVX_OFFSET + XSAVE_AVX_SIZE : 576;
}

/* Of the compacted form. */
static uint32_t
xsavec_size (uint64_t components)
{
  return 576 + (components & 4 ? XSAVE_AVX_SIZE : 0) + (components & (1 << 9) ? XSAVE_PKRU_SIZE : 0);
}

static void
xsave_leaf (const VmX86Cpu *cpu, unsigned sub, uint32_t out[4])
{
  uint64_t mask = vm_x86_xcr0_mask (cpu);

  memset (out, 0, 16);
  if (mask == 0)
    return;
  if (sub == 0)
    {
      out[0] = mask;
      out[1] = xsave_size (cpu->env.xcr0);
      out[2] = xsave_size (mask);
    }
  else if (sub == 1)
    {
      out[0] = cpu->model->words[VM_X86_WORD_D_1_EAX];
      out[1] = xsavec_size (cpu->env.xcr0 | cpu->env.xss);
    }
  else if (sub == 2 && (mask & 4))
    {
      out[0] = XSAVE_AVX_SIZE;
      out[1] = XSAVE_AVX_OFFSET;
    }
  else if (sub == 9 && (mask & (1 << 9)))
    {
      out[0] = XSAVE_PKRU_SIZE;
      out[1] = XSAVE_PKRU_OFFSET;
    }
}

/* --- the leaves ---------------------------------------------------------------------------------------------- */

static void
basic_leaf (VmX86Cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
  const VmX86Model *m = cpu->model;

  switch (leaf)
    {
    case 0:
      vendor_leaf (cpu, m->level, out);
      break;
    case 1:
      leaf_1 (cpu, out);
      break;
    case 2: /* "ask leaf 4" */
      if (!is_amd (cpu))
        out[0] = 0x00ff0001 | (m->level < 4 ? 0x7d << 8 : 0); /* else a 2 MiB L2 */
      break;
    case 4:
      if (!is_amd (cpu))
        cache_leaf (cpu, sub, false, out);
      break;
    case 5:
      out[2] = 3; /* interrupts break MWAIT even when masked */
      break;
    case 6:
      out[0] = m->words[VM_X86_WORD_6_EAX];
      break;
    case 7:
      if (sub == 0)
        {
          out[0] = m->words[VM_X86_WORD_7_1_EAX] ? 1 : 0;
          out[1] = m->words[VM_X86_WORD_7_EBX];
          out[2] = m->words[VM_X86_WORD_7_ECX] | (cpu->env.cr4 & VM_CR4_PKE ? 1 << 4 : 0);
          out[3] = m->words[VM_X86_WORD_7_EDX];
        }
      else if (sub == 1)
        out[0] = m->words[VM_X86_WORD_7_1_EAX];
      break;
    case 0xb:
      if (m->has_cpuid_0xb)
        topology_leaf (cpu, sub, false, out);
      break;
    case 0xd:
      xsave_leaf (cpu, sub, out);
      break;
    case 0x1f:
      topology_leaf (cpu, sub, true, out);
      break;
    default:
      break;
    }
}

static void
brand_leaf (const VmX86Cpu *cpu, unsigned part, uint32_t out[4])
{
  char text[48] = { 0 };
  const char *id = cpu->model->model_id ? cpu->model->model_id : "";

  memcpy (text, id, MIN (strlen (id), sizeof text));
  for (unsigned i = 0; i < 4; i++)
    out[i] = vm_load_le32 (text + part * 16 + i * 4);
}

static void
extended_leaf (VmX86Cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
  const VmX86Model *m = cpu->model;
  unsigned logical = logical_count (m);

  switch (leaf)
    {
    case 0x80000000:
      vendor_leaf (cpu, m->xlevel, out);
      break;
    case 0x80000001:
      out[0] = signature (m);
      out[2] = m->words[VM_X86_WORD_80000001_ECX];
      out[3] = m->words[VM_X86_WORD_80000001_EDX];
      if (is_amd (cpu))
        {
          out[3] |= m->words[VM_X86_WORD_1_EDX] & 0x0183f3ff;
          if (logical > 1)
            out[2] |= 1 << 1; /* cores, not hyper-threads */
        }
      else if (!(cpu->env.mode & VM_MODE_CS64))
        out[3] &= ~(1u << 11); /* Intel shows SYSCALL in 64-bit mode only */
      break;
    case 0x80000002: case 0x80000003: case 0x80000004:
      brand_leaf (cpu, leaf - 0x80000002, out);
      break;
    case 0x80000005:
      if (is_amd (cpu))
        {
          out[0] = 0x01ff01ff;
          out[1] = 0x01ff01ff;
          out[2] = caches[0].kib << 24 | caches[0].ways << 16 | 1 << 8 | 64;
          out[3] = caches[1].kib << 24 | caches[1].ways << 16 | 1 << 8 | 64;
        }
      break;
    case 0x80000006:
      out[2] = caches[2].kib << 16 | 8 << 12 | 1 << 8 | 64;
      if (is_amd (cpu))
        {
          out[1] = 0x42004200;
          if (m->l3_cache)
            out[3] = (caches[3].kib / 512) << 18 | 8 << 12 | 1 << 8 | 64;
        }
      break;
    case 0x80000007:
      out[3] = m->words[VM_X86_WORD_80000007_EDX];
      break;
    case 0x80000008:
      out[0] = m->phys_bits;
      if (vm_x86_has (cpu, VM_X86_FEATURE_LM))
        out[0] |= (vm_x86_has (cpu, VM_X86_FEATURE_LA57) ? 57 : 48) << 8;
      out[1] = m->words[VM_X86_WORD_80000008_EBX];
      if (is_amd (cpu) && logical > 1)
        out[2] = (MIN (logical, 256) - 1) | package_shift (m) << 12;
      break;
    case 0x8000000a:
      if (vm_x86_has (cpu, VM_X86_FEATURE_SVM))
        {
          out[0] = 1;
          out[1] = 16;
          out[3] = m->words[VM_X86_WORD_SVM_EDX];
        }
      break;
    case 0x8000001d:
      if (vm_x86_has (cpu, VM_X86_FEATURE_TOPOEXT))
        cache_leaf (cpu, sub, true, out);
      break;
    case 0x8000001e:
      if (vm_x86_has (cpu, VM_X86_FEATURE_TOPOEXT))
        {
          out[0] = apic_id (m);
          out[1] = (apic_id (m) >> core_shift (m) & 0xff) | (count (m->threads) - 1) << 8;
          out[2] = apic_id (m) >> die_shift (m) & 0xff;
          out[2] |= (count (m->dies) - 1) << 8;
        }
      break;
    case 0x80000021:
      out[0] = m->words[VM_X86_WORD_80000021_EAX];
      break;
    default:
      break;
    }
}

void
vm_x86_cpuid (VmX86Cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
  const VmX86Model *m = cpu->model;

  memset (out, 0, 16);
  if (leaf >= 0x80000000)
    {
      if (leaf > m->xlevel && leaf < 0xc0000000)
        return;
      extended_leaf (cpu, leaf, sub, out);
      return;
    }
  if (leaf >= 0x40000000 && leaf < 0x40000100)
    {
      if (!vm_x86_has (cpu, VM_X86_FEATURE_HYPERVISOR) || !m->has_tcg_leaf)
        return;
      if (leaf == 0x40000000)
        {
          memcpy (out + 1, "TCGTCGTCGTCG", 12);
          out[0] = 0x40000001;
        }
      return;
    }
  if (leaf > m->level)
    {
      if (is_amd (cpu))
        return;
      leaf = m->level; /* Intel answers for the last basic leaf */
    }
  basic_leaf (cpu, leaf, sub, out);
}
