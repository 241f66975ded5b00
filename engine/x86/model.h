/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPU models: feature words and the bits that C code asks for, the models' table, the -cpu option's value. */
#pragma once

#include "engine/x86/cpu.h"

/* Feature words, in the order in which warnings name them. features.tsv assigns the names. */
typedef enum VmX86Word {
  VM_X86_WORD_1_EDX, VM_X86_WORD_1_ECX, VM_X86_WORD_7_EBX, VM_X86_WORD_7_ECX, VM_X86_WORD_7_EDX,
  VM_X86_WORD_7_1_EAX, VM_X86_WORD_80000001_EDX, VM_X86_WORD_80000001_ECX, VM_X86_WORD_80000007_EDX,
  VM_X86_WORD_80000008_EBX, VM_X86_WORD_80000021_EAX, VM_X86_WORD_C0000001_EDX, VM_X86_WORD_KVM_EAX, VM_X86_WORD_KVM_EDX,
  VM_X86_WORD_SVM_EDX, VM_X86_WORD_D_1_EAX, VM_X86_WORD_6_EAX, VM_X86_WORD_14_ECX, VM_X86_WORD_12_EAX,
  VM_X86_WORD_12_EBX, VM_X86_WORD_ARCH_CAPABILITIES, VM_X86_WORD_CORE_CAPABILITY,
  VM_X86_WORD_PERF_CAPABILITIES, VM_X86_WORD_NESTED_0, VM_X86_WORD_NESTED_1, VM_X86_WORD_NESTED_2,
  VM_X86_WORD_HYPERV, VM_X86_WORD_N,
} VmX86Word;
_Static_assert (VM_X86_WORD_N <= VM_X86_FEATURE_WORDS, "words fit");

#define VM_X86_FEATURE(word, bit) (VM_X86_WORD_##word * 32 + (bit))
enum { /* those that C code asks for */
  VM_X86_FEATURE_FPU = VM_X86_FEATURE (1_EDX, 0), VM_X86_FEATURE_VME = VM_X86_FEATURE (1_EDX, 1),
  VM_X86_FEATURE_DE = VM_X86_FEATURE (1_EDX, 2), VM_X86_FEATURE_PSE = VM_X86_FEATURE (1_EDX, 3),
  VM_X86_FEATURE_TSC = VM_X86_FEATURE (1_EDX, 4), VM_X86_FEATURE_PAE = VM_X86_FEATURE (1_EDX, 6),
  VM_X86_FEATURE_MCE = VM_X86_FEATURE (1_EDX, 7), VM_X86_FEATURE_APIC = VM_X86_FEATURE (1_EDX, 9),
  VM_X86_FEATURE_SEP = VM_X86_FEATURE (1_EDX, 11), VM_X86_FEATURE_MTRR = VM_X86_FEATURE (1_EDX, 12),
  VM_X86_FEATURE_PGE = VM_X86_FEATURE (1_EDX, 13), VM_X86_FEATURE_PAT = VM_X86_FEATURE (1_EDX, 16),
  VM_X86_FEATURE_PSE36 = VM_X86_FEATURE (1_EDX, 17), VM_X86_FEATURE_CLFLUSH = VM_X86_FEATURE (1_EDX, 19),
  VM_X86_FEATURE_FXSR = VM_X86_FEATURE (1_EDX, 24), VM_X86_FEATURE_SSE = VM_X86_FEATURE (1_EDX, 25),
  VM_X86_FEATURE_HT = VM_X86_FEATURE (1_EDX, 28), VM_X86_FEATURE_MONITOR = VM_X86_FEATURE (1_ECX, 3),
  VM_X86_FEATURE_VMX = VM_X86_FEATURE (1_ECX, 5), VM_X86_FEATURE_PCID = VM_X86_FEATURE (1_ECX, 17),
  VM_X86_FEATURE_X2APIC = VM_X86_FEATURE (1_ECX, 21),
  VM_X86_FEATURE_TSC_DEADLINE = VM_X86_FEATURE (1_ECX, 24), VM_X86_FEATURE_XSAVE = VM_X86_FEATURE (1_ECX, 26),
  VM_X86_FEATURE_OSXSAVE = VM_X86_FEATURE (1_ECX, 27), VM_X86_FEATURE_AVX = VM_X86_FEATURE (1_ECX, 28),
  VM_X86_FEATURE_HYPERVISOR = VM_X86_FEATURE (1_ECX, 31),
  VM_X86_FEATURE_FSGSBASE = VM_X86_FEATURE (7_EBX, 0), VM_X86_FEATURE_TSC_ADJUST = VM_X86_FEATURE (7_EBX, 1),
  VM_X86_FEATURE_SMEP = VM_X86_FEATURE (7_EBX, 7), VM_X86_FEATURE_INVPCID = VM_X86_FEATURE (7_EBX, 10),
  VM_X86_FEATURE_SMAP = VM_X86_FEATURE (7_EBX, 20), VM_X86_FEATURE_UMIP = VM_X86_FEATURE (7_ECX, 2),
  VM_X86_FEATURE_PKU = VM_X86_FEATURE (7_ECX, 3), VM_X86_FEATURE_OSPKE = VM_X86_FEATURE (7_ECX, 4),
  VM_X86_FEATURE_LA57 = VM_X86_FEATURE (7_ECX, 16), VM_X86_FEATURE_RDPID = VM_X86_FEATURE (7_ECX, 22),
  VM_X86_FEATURE_SPEC_CTRL = VM_X86_FEATURE (7_EDX, 26), VM_X86_FEATURE_STIBP = VM_X86_FEATURE (7_EDX, 27),
  VM_X86_FEATURE_ARCH_CAPABILITIES = VM_X86_FEATURE (7_EDX, 29),
  VM_X86_FEATURE_CORE_CAPABILITY = VM_X86_FEATURE (7_EDX, 30), VM_X86_FEATURE_SSBD = VM_X86_FEATURE (7_EDX, 31),
  VM_X86_FEATURE_SYSCALL = VM_X86_FEATURE (80000001_EDX, 11), VM_X86_FEATURE_NX = VM_X86_FEATURE (80000001_EDX, 20),
  VM_X86_FEATURE_FXSR_OPT = VM_X86_FEATURE (80000001_EDX, 25),
  VM_X86_FEATURE_PDPE1GB = VM_X86_FEATURE (80000001_EDX, 26),
  VM_X86_FEATURE_RDTSCP = VM_X86_FEATURE (80000001_EDX, 27), VM_X86_FEATURE_LM = VM_X86_FEATURE (80000001_EDX, 29),
  VM_X86_FEATURE_SVM = VM_X86_FEATURE (80000001_ECX, 2), VM_X86_FEATURE_TOPOEXT = VM_X86_FEATURE (80000001_ECX, 22),
  VM_X86_FEATURE_IBPB = VM_X86_FEATURE (80000008_EBX, 12), VM_X86_FEATURE_IBRS = VM_X86_FEATURE (80000008_EBX, 14),
  VM_X86_FEATURE_AMD_STIBP = VM_X86_FEATURE (80000008_EBX, 15),
  VM_X86_FEATURE_AMD_SSBD = VM_X86_FEATURE (80000008_EBX, 24),
  VM_X86_FEATURE_VIRT_SSBD = VM_X86_FEATURE (80000008_EBX, 25),
  VM_X86_FEATURE_AUTO_IBRS = VM_X86_FEATURE (80000021_EAX, 8),
  VM_X86_FEATURE_XSAVEOPT = VM_X86_FEATURE (D_1_EAX, 0), VM_X86_FEATURE_XSAVEC = VM_X86_FEATURE (D_1_EAX, 1),
  VM_X86_FEATURE_XGETBV1 = VM_X86_FEATURE (D_1_EAX, 2), VM_X86_FEATURE_XSAVES = VM_X86_FEATURE (D_1_EAX, 3),
};

typedef enum VmX86ModelKind { VM_X86_MODEL_TABLE, VM_X86_MODEL_BASE, VM_X86_MODEL_MAX, VM_X86_MODEL_HOST } VmX86ModelKind;

typedef struct VmX86ModelDef {
  const char    *name;      /* "Haswell-v2" */
  const char    *alias_of;  /* of the version it stands for; NULL: is one itself */
  const char    *description;
  VmX86ModelKind kind;
  const char    *vendor, *model_id;
  uint32_t       family, model, stepping, level, xlevel;
  uint32_t       words[VM_X86_WORD_N];
} VmX86ModelDef;

/* klass of the CPU types. */
typedef struct VmX86CpuClass {
  VmDeviceClass        device;
  const VmX86ModelDef *def;
} VmX86CpuClass;

typedef struct VmX86FeatureName {
  const char *name;
  uint16_t    feature;  /* VM_X86_FEATURE () */
  bool        is_alias; /* another spelling */
} VmX86FeatureName;
extern const VmX86FeatureName vm_x86_feature_names[]; /* ends with a NULL name */
extern const VmX86ModelDef *const vm_x86_models[];    /* ends with NULL */

static inline bool
vm_x86_has (const VmX86Cpu *cpu, unsigned feature)
{
  return cpu->model->words[feature / 32] >> (feature % 32) & 1;
}

/* By CPUID name, for the decoder: "amd-insns", "intel-insns" and "amd-branch" (66 shortens near branches) go by
 * the vendor. MODEL is a VmX86Model. */
bool vm_x86_model_has_name (void *model, const char *name);
bool vm_x86_is_intel (const VmX86Cpu *cpu); /* or one that follows Intel's rules */
/* May XCR0 be set to VALUE? */
bool vm_x86_xcr0_valid (const VmX86Cpu *cpu, uint64_t value);
/* What XCR0 may hold at most. */
uint64_t vm_x86_xcr0_mask (const VmX86Cpu *cpu);
/* What the translator can do on this host: VM_X86_FEATURE_WORDS words. */
void vm_x86_translator_words (uint32_t *words);

/* The value of -cpu. */
typedef struct VmX86CpuOption {
  const VmType *type;
  GPtrArray    *names, *values; /* properties to set, in order */
} VmX86CpuOption;
VmX86CpuOption *vm_x86_cpu_parse (const VmTypeList *types, const char *text, GError **error);
void            vm_x86_cpu_option_free (VmX86CpuOption *option);
/* A CPU with the option's properties; not realized. */
VmX86Cpu       *vm_x86_cpu_new (const VmX86CpuOption *option, GError **error);
/* Drops the features of a CPU that is not realized which cannot be had; their names. */
char          **vm_x86_cpu_limit (VmX86Cpu *cpu);
/* "-cpu help" */
char           *vm_x86_cpu_help (void);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmX86CpuOption, vm_x86_cpu_option_free)

/* Used by the generated types. */
extern const VmProp  vm_x86_feature_props[];
void vm_x86_cpu_init (VmObject *obj);
bool vm_x86_cpu_realize (VmDevice *dev, GError **error);
void vm_x86_cpu_reset_device (VmDevice *dev, VmResetKind kind);
void vm_x86_cpu_unrealize (VmDevice *dev);
bool vm_x86_cpu_post_load (VmDevice *dev, GError **error);
