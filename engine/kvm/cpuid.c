/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The processor model's CPUID, less what this host's KVM cannot do (KVM API, sections 4.20 and 4.46). */
#include "config.h"

#include "engine/kvm/kvm-private.h"
#include "engine/x86/model.h"

#include <errno.h>
#include <sys/ioctl.h>

#define MAX_ENTRIES 256u

typedef struct Table { /* laid out as struct kvm_cpuid2 */
  uint32_t n, padding;
  struct kvm_cpuid_entry2 entry[MAX_ENTRIES];
} Table;
G_STATIC_ASSERT (offsetof (Table, entry) == offsetof (struct kvm_cpuid2, entries));

static const struct kvm_cpuid_entry2 *
find (const Table *t, uint32_t leaf, uint32_t subleaf)
{
  for (unsigned i = 0; i < t->n; i++)
    if (t->entry[i].function == leaf &&
        (t->entry[i].index == subleaf || !(t->entry[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
      return &t->entry[i];
  return NULL;
}

/* Feature words: keep what the kernel supports as well. Bits that the kernel itself switches are always kept. */
static void
filter (const KvmAccel *accel, const Table *supported, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
  enum { X2APIC = 1 << 21, TSC_DEADLINE = 1 << 24, OSXSAVE = 1 << 27, HYPERVISOR = 1u << 31 };
  const struct kvm_cpuid_entry2 *s = find (supported, leaf, subleaf);
  static const struct kvm_cpuid_entry2 none;

  if (!s)
    s = &none;
  if (leaf == 1)
    {
      uint32_t extra = OSXSAVE | HYPERVISOR | (accel->irqchip == VM_IRQCHIP_OFF ? 0 : X2APIC | TSC_DEADLINE);

      out[2] &= (s->ecx & ~(uint32_t) (X2APIC | TSC_DEADLINE)) | extra;
      out[3] &= s->edx;
    }
  else if (leaf == 7 || leaf == 0x80000001)
    {
      if (leaf == 7 && subleaf)
        out[0] &= s->eax;
      out[1] &= s->ebx | (leaf == 7 ? 0 : ~0u);
      out[2] &= s->ecx;
      out[3] &= s->edx;
    }
  else if (leaf == 13 && subleaf == 1)
    out[0] &= s->eax;
}

static bool
add (const KvmAccel *accel, VmX86Cpu *cpu, Table *t, const Table *supported, uint32_t leaf, uint32_t subleaf,
     bool indexed, uint32_t out[4])
{
  struct kvm_cpuid_entry2 *e = &t->entry[t->n];

  if (t->n == MAX_ENTRIES)
    return false;
  vm_x86_cpuid (cpu, leaf, subleaf, out);
  filter (accel, supported, leaf, subleaf, out);
  *e = (struct kvm_cpuid_entry2) {
    .function = leaf, .index = subleaf, .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
    .eax = out[0], .ebx = out[1], .ecx = out[2], .edx = out[3],
  };
  t->n++;
  return true;
}

/* Subleaves of the leaves that have them; which is the last differs. */
static void
add_leaf (const KvmAccel *accel, VmX86Cpu *cpu, Table *t, const Table *supported, uint32_t leaf)
{
  uint32_t out[4] = { 0 }, last = 0;

  switch (leaf)
    {
    case 4: case 0x8000001d:
      for (uint32_t i = 0; i < 8; i++)
        if (!add (accel, cpu, t, supported, leaf, i, true, out) || (out[0] & 31) == 0)
          break;
      break;
    case 0xb: case 0x1f:
      for (uint32_t i = 0; i < 8; i++)
        if (!add (accel, cpu, t, supported, leaf, i, true, out) || (out[2] >> 8 & 0xff) == 0)
          break;
      break;
    case 7: case 0x14: case 0x1d:
      add (accel, cpu, t, supported, leaf, 0, true, out);
      last = MIN (out[0], 8);
      for (uint32_t i = 1; i <= last; i++)
        add (accel, cpu, t, supported, leaf, i, true, out);
      break;
    case 0xd:
      for (uint32_t i = 0; i < 63; i++)
        {
          vm_x86_cpuid (cpu, leaf, i, out);
          if (i < 2 || out[0])
            add (accel, cpu, t, supported, leaf, i, true, out);
        }
      break;
    default:
      add (accel, cpu, t, supported, leaf, 0, false, out);
      break;
    }
}

static void
add_range (const KvmAccel *accel, VmX86Cpu *cpu, Table *t, const Table *supported, uint32_t first)
{
  uint32_t out[4] = { 0 };

  vm_x86_cpuid (cpu, first, 0, out);
  if (out[0] < first || out[0] > first + 0x100)
    return;
  for (uint32_t leaf = first, last = out[0]; leaf <= last; leaf++)
    add_leaf (accel, cpu, t, supported, leaf);
}

/* Registers that a vCPU's state here has no room for (state.c), and guests inside of the guest: whoever sees the
 * feature would lose them. */
static void
drop_uncarried (uint32_t *words)
{
  words[VM_X86_WORD_1_ECX] &= ~(1u << 5 | 1u << 15); /* vmx, pdcm */
  words[VM_X86_WORD_7_EBX] &= ~(1u << 2 | 1u << 14 | 1u << 16 | 1u << 17 | 1u << 21 | 1u << 25 | 1u << 26 | 1u << 27
                                | 1u << 28 | 1u << 30 | 1u << 31); /* sgx, mpx, intel-pt, avx512 */
  words[VM_X86_WORD_7_ECX] &= ~(1u << 1 | 1u << 6 | 1u << 7 | 1u << 11 | 1u << 12 | 1u << 14 | 1u << 30);
  words[VM_X86_WORD_7_EDX] &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 24
                                | 1u << 25); /* avx512, lbr, cet, amx */
  words[VM_X86_WORD_7_1_EAX] &= ~(1u << 5 | 1u << 21);
  words[VM_X86_WORD_80000001_ECX] &= ~(1u << 2 | 1u << 15 | 1u << 23); /* svm, lwp, perfctr-core */
  words[VM_X86_WORD_D_1_EAX] &= 0xf;
}

/* What MSR 10AH of a guest will say is the kernel's choice. */
static uint32_t
arch_capabilities (const KvmAccel *accel)
{
  g_autofree struct kvm_msrs *msrs = g_malloc0 (sizeof *msrs + sizeof msrs->entries[0]);

  msrs->nmsrs = 1;
  msrs->entries[0].index = 0x10a;
  return ioctl (accel->fd, KVM_GET_MSRS, msrs) == 1 ? (uint32_t) msrs->entries[0].data : 0;
}

bool
kvm_cpuid_words (KvmAccel *accel, GError **error)
{
  static const struct
  {
    VmX86Word word;
    uint32_t leaf, subleaf;
    unsigned reg;
  } sources[] = {
    { VM_X86_WORD_1_EDX, 1, 0, 3 },
    { VM_X86_WORD_1_ECX, 1, 0, 2 },
    { VM_X86_WORD_7_EBX, 7, 0, 1 },
    { VM_X86_WORD_7_ECX, 7, 0, 2 },
    { VM_X86_WORD_7_EDX, 7, 0, 3 },
    { VM_X86_WORD_7_1_EAX, 7, 1, 0 },
    { VM_X86_WORD_80000001_EDX, 0x80000001, 0, 3 },
    { VM_X86_WORD_80000001_ECX, 0x80000001, 0, 2 },
    { VM_X86_WORD_80000007_EDX, 0x80000007, 0, 3 },
    { VM_X86_WORD_80000008_EBX, 0x80000008, 0, 1 },
    { VM_X86_WORD_80000021_EAX, 0x80000021, 0, 0 },
    { VM_X86_WORD_D_1_EAX, 13, 1, 0 },
    { VM_X86_WORD_6_EAX, 6, 0, 0 },
  };
  enum { TSC_DEADLINE = 1 << 24, OSXSAVE = 1 << 27, HYPERVISOR = 1u << 31, OSPKE = 1 << 4 };
  g_autofree Table *table = g_new0 (Table, 1);
  uint32_t *words = accel->words;

  table->n = MAX_ENTRIES;
  if (ioctl (accel->fd, KVM_GET_SUPPORTED_CPUID, table) < 0)
    return vm_fail (error, "could not ask for the host's features: %s", g_strerror (errno));
  for (size_t i = 0; i < G_N_ELEMENTS (sources); i++)
    {
      const struct kvm_cpuid_entry2 *e = find (table, sources[i].leaf, sources[i].subleaf);
      const uint32_t regs[4] = { e ? e->eax : 0, e ? e->ebx : 0, e ? e->ecx : 0, e ? e->edx : 0 };
      words[sources[i].word] = regs[sources[i].reg];
    }
  words[VM_X86_WORD_1_ECX] &= ~(uint32_t) (OSXSAVE | TSC_DEADLINE); /* the first follows CR4 */
  words[VM_X86_WORD_1_ECX] |= HYPERVISOR;
  if (ioctl (accel->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0 && accel->irqchip_choice != VM_IRQCHIP_OFF)
    words[VM_X86_WORD_1_ECX] |= TSC_DEADLINE;
  words[VM_X86_WORD_7_ECX] &= ~(uint32_t) OSPKE;
  words[VM_X86_WORD_ARCH_CAPABILITIES] = arch_capabilities (accel);
  drop_uncarried (words);
  return true;
}

bool
kvm_cpuid_set (KvmVcpu *v, GError **error)
{
  g_autofree Table *table = g_new0 (Table, 1), *supported = g_new0 (Table, 1);
  uint32_t out[4] = { 0 };

  supported->n = MAX_ENTRIES;
  if (ioctl (v->accel->fd, KVM_GET_SUPPORTED_CPUID, supported) < 0)
    return vm_fail (error, "kvm: could not ask for the host's features: %s", g_strerror (errno));
  add_range (v->accel, v->cpu, table, supported, 0);
  vm_x86_cpuid (v->cpu, 1, 0, out);
  if (out[2] >> 31)
    add_range (v->accel, v->cpu, table, supported, 0x40000000);
  add_range (v->accel, v->cpu, table, supported, 0x80000000);
  if (ioctl (v->fd, KVM_SET_CPUID2, table) < 0)
    return vm_fail (error, "kvm: could not set the processor's features: %s", g_strerror (errno));
  return true;
}
