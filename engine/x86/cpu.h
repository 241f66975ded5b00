/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The architectural state of one x86 processor (Intel SDM volumes 1 and 3, AMD APM volume 2), shared by
 * every accelerator. Generated code addresses VmX86Env by fixed offsets from its start; keep what it uses
 * often in the first 128 bytes. */
#pragma once

#include "engine/cpu/vcpu.h"

enum { VM_RAX, VM_RCX, VM_RDX, VM_RBX, VM_RSP, VM_RBP, VM_RSI, VM_RDI };
enum { VM_ES, VM_CS, VM_SS, VM_DS, VM_FS, VM_GS, VM_SEG_N };

enum { /* EFLAGS */
  VM_CF = 1 << 0, VM_PF = 1 << 2, VM_AF = 1 << 4, VM_ZF = 1 << 6, VM_SF = 1 << 7, VM_TF = 1 << 8,
  VM_IF = 1 << 9, VM_DF = 1 << 10, VM_OF = 1 << 11, VM_IOPL = 3 << 12, VM_NT = 1 << 14, VM_RF = 1 << 16,
  VM_VM = 1 << 17, VM_AC = 1 << 18, VM_VIF = 1 << 19, VM_VIP = 1 << 20, VM_ID = 1 << 21,
  VM_ARITH_FLAGS = VM_CF | VM_PF | VM_AF | VM_ZF | VM_SF | VM_OF,
};
enum { /* CR0 */
  VM_CR0_PE = 1u << 0, VM_CR0_MP = 1u << 1, VM_CR0_EM = 1u << 2, VM_CR0_TS = 1u << 3, VM_CR0_ET = 1u << 4,
  VM_CR0_NE = 1u << 5, VM_CR0_WP = 1u << 16, VM_CR0_AM = 1u << 18, VM_CR0_NW = 1u << 29,
  VM_CR0_CD = 1u << 30, VM_CR0_PG = 1u << 31,
};
enum { /* CR4 */
  VM_CR4_VME = 1 << 0, VM_CR4_PVI = 1 << 1, VM_CR4_TSD = 1 << 2, VM_CR4_DE = 1 << 3, VM_CR4_PSE = 1 << 4,
  VM_CR4_PAE = 1 << 5, VM_CR4_MCE = 1 << 6, VM_CR4_PGE = 1 << 7, VM_CR4_PCE = 1 << 8,
  VM_CR4_OSFXSR = 1 << 9, VM_CR4_OSXMMEXCPT = 1 << 10, VM_CR4_UMIP = 1 << 11, VM_CR4_LA57 = 1 << 12,
  VM_CR4_VMXE = 1 << 13, VM_CR4_FSGSBASE = 1 << 16, VM_CR4_PCIDE = 1 << 17, VM_CR4_OSXSAVE = 1 << 18,
  VM_CR4_SMEP = 1 << 20, VM_CR4_SMAP = 1 << 21, VM_CR4_PKE = 1 << 22,
};
enum { /* EFER */
  VM_EFER_SCE = 1 << 0, VM_EFER_LME = 1 << 8, VM_EFER_LMA = 1 << 10, VM_EFER_NXE = 1 << 11,
  VM_EFER_FFXSR = 1 << 14, VM_EFER_AIBRSE = 1 << 21,
};
enum { /* vectors */
  VM_EXC_DE, VM_EXC_DB, VM_EXC_NMI, VM_EXC_BP, VM_EXC_OF, VM_EXC_BR, VM_EXC_UD, VM_EXC_NM, VM_EXC_DF,
  VM_EXC_TS = 10, VM_EXC_NP, VM_EXC_SS, VM_EXC_GP, VM_EXC_PF, VM_EXC_MF = 16, VM_EXC_AC, VM_EXC_MC,
  VM_EXC_XM,
};
enum { /* #PF error code */
  VM_PF_P = 1, VM_PF_W = 2, VM_PF_U = 4, VM_PF_RSVD = 8, VM_PF_ID = 16, VM_PF_PK = 32,
};

/* Segment register with its hidden part. ATTR is the descriptor's bits 40..55 with the limit nibble taken
 * out: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15. */
typedef struct VmX86Seg {
  uint64_t base;
  uint32_t limit; /* last valid offset, granularity applied */
  uint16_t selector;
  uint16_t attr;
} VmX86Seg;
enum {
  VM_SEG_TYPE = 15, VM_SEG_ACCESSED = 1, VM_SEG_RW = 2, VM_SEG_DC = 4, VM_SEG_CODE = 8, VM_SEG_S = 16,
  VM_SEG_DPL = 3 << 5, VM_SEG_P = 1 << 7, VM_SEG_AVL = 1 << 12, VM_SEG_L = 1 << 13, VM_SEG_DB = 1 << 14,
  VM_SEG_G = 1 << 15,
};
#define VM_SEG_DPL_SHIFT 5

typedef struct VmX86Table {
  uint64_t base;
  uint16_t limit;
} VmX86Table;

typedef union VmX86Vec { /* a ymm register */
  uint8_t  b[32];
  uint16_t w[16];
  uint32_t d[8];
  uint64_t q[4];
} VmX86Vec;

/* Legacy FXSAVE layout + XSAVE header; only the x87 part and MXCSR are kept current in it, the vector
 * registers live in VmX86Env.ymm. */
typedef struct VmX86Fx {
  uint16_t fcw, fsw;
  uint8_t  ftw, reserved0;
  uint16_t fop;
  uint64_t fip, fdp;
  uint32_t mxcsr, mxcsr_mask;
  uint8_t  st[8][16];
  uint8_t  xmm[16][16];
  uint8_t  available[96];
  uint64_t xstate_bv, xcomp_bv;
  uint8_t  header_rest[48];
} __attribute__ ((aligned (64))) VmX86Fx;
_Static_assert (sizeof (VmX86Fx) == 576, "XSAVE legacy area and header");

/* Why exec should stop or look: one word that other threads set and generated code polls. */
enum {
  VM_POLL_KICK = 1 << 0,     /* leave exec */
  VM_POLL_IRQ  = 1 << 1,     /* an interrupt source changed: HARD, NMI, SMI, INIT, SIPI below */
  VM_POLL_FLUSH = 1 << 2,    /* accelerator's own queued work: TLB, code */
};
enum { /* VmX86Env.request, atomic */
  VM_REQ_HARD = 1 << 0, /* the local APIC (or the 8259 wired to LINT0/INTR) has a vector */
  VM_REQ_NMI  = 1 << 1,
  VM_REQ_SMI  = 1 << 2,
  VM_REQ_INIT = 1 << 3,
  VM_REQ_SIPI = 1 << 4,
  VM_REQ_MCE  = 1 << 5,
  VM_REQ_NMI_MORE = 1 << 6, /* a second NMI came before the first was taken */
};

#define VM_X86_ACCEL_AREA (512 * 1024)

typedef struct VmX86Env {
  /* --- offset 0: generated code, keep together --- */
  uint64_t gpr[16];
  uint64_t rip;
  uint64_t eflags;      /* whole, bit 1 set; arithmetic flags included whenever outside generated code */
  uint32_t poll;        /* VM_POLL_*; atomic */
  uint32_t mode;        /* VM_MODE_*: the block key, kept by vm_x86_update_mode() */
  uint64_t scratch[6];  /* of generated code and its stubs */
  VmX86Seg seg[VM_SEG_N];

  VmX86Seg   ldt, tr;
  VmX86Table gdt, idt;
  uint64_t   cr0, cr2, cr3, cr4;
  uint64_t   efer, xcr0, xss;
  uint64_t   dr[8];
  uint32_t   pkru, tsc_aux;

  VmX86Fx  fx;
  VmX86Vec ymm[16] __attribute__ ((aligned (64)));

  /* --- events --- */
  uint32_t request;        /* VM_REQ_*; atomic */
  uint8_t  sipi_vector;
  bool     wait_for_sipi;  /* after INIT on an application processor */
  bool     halted;         /* HLT, MWAIT */
  bool     shutdown;
  bool     smm, smm_inhibits_nmi;
  bool     nmi_blocked;    /* until IRET */
  bool     a20_masked;     /* physical bit 20 forced to 0 */
  uint8_t  shadow;         /* 1: STI, 2: MOV SS; interrupts wait for one instruction */
  bool     ferr;           /* FERR# to the chipset: IRQ 13 */
  bool     ignne;          /* IGNNE# from the chipset until the x87 error is cleared: port F0h */
  int32_t  exc_vector;     /* being delivered, for #DF rules; -1 */
  uint32_t exc_error;
  uint64_t exc_addr;       /* CR2 to be */

  /* --- model-specific registers --- */
  uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
  uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
  uint64_t apic_base, tsc_adjust, tsc_deadline;
  int64_t  tsc_offset;
  uint64_t pat, mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
  uint64_t misc_enable, feature_control, debugctl, smbase, spec_ctrl, virt_ssbd;
  uint64_t mcg_status, mcg_ctl, mc_banks[4 * 10];
  uint64_t bios_sign_id, platform_info, power_ctl;
  uint64_t pdpte[4];       /* PAE page-directory-pointer registers, loaded with CR3 */

  /* The accelerator's own per-vCPU data (VmTcgCpu with its TLBs), at a fixed distance so that generated
   * code reaches it from the same base register. */
  uint8_t accel_area[VM_X86_ACCEL_AREA] __attribute__ ((aligned (64)));
} VmX86Env;

/* What the CPU asks its local APIC. Without one (isapc with -apic), get_vector asks the 8259. */
typedef struct VmX86ApicOps {
  int      (*get_vector) (void *apic);        /* acknowledges; -1: spurious, nothing to deliver */
  bool     (*has_vector) (void *apic);        /* deliverable against TPR now? */
  uint8_t  (*get_tpr) (void *apic);           /* 8 bits; CR8 is its upper half */
  void     (*set_tpr) (void *apic, uint8_t tpr);
  bool     (*set_base) (void *apic, uint64_t value); /* IA32_APIC_BASE; false: #GP */
  bool     (*msr_read) (void *apic, uint32_t msr, uint64_t *value);  /* 0x800..0x8ff; false: #GP */
  bool     (*msr_write) (void *apic, uint32_t msr, uint64_t value);
  void     (*set_deadline) (void *apic, uint64_t tsc);
} VmX86ApicOps;

typedef struct VmX86Model VmX86Model;

/* Block key and everything a decoder or translator may specialise on. */
enum {
  VM_MODE_CS64   = 1 << 0,  /* 64-bit code */
  VM_MODE_CS32   = 1 << 1,  /* 32-bit default operand and address size */
  VM_MODE_SS32   = 1 << 2,  /* stack pointer is ESP, not SP (64-bit mode: RSP) */
  VM_MODE_LMA    = 1 << 3,  /* long mode active, compatibility mode included */
  VM_MODE_PE     = 1 << 4,
  VM_MODE_VM     = 1 << 5,  /* virtual-8086 */
  VM_MODE_CPL    = 3 << 6,
  VM_MODE_TF     = 1 << 8,
  VM_MODE_RF     = 1 << 9,
  VM_MODE_AC_CHECK = 1 << 10, /* CR0.AM & EFLAGS.AC & CPL 3: alignment checks */
  VM_MODE_SMAP_AC  = 1 << 11, /* SMAP on, CPL < 3 and EFLAGS.AC set: user pages allowed */
  VM_MODE_IOPL_LOW = 1 << 12, /* CPL > IOPL (or VM86 with IOPL < 3): CLI, STI, IN, OUT are checked */
  VM_MODE_EM     = 1 << 13,
  VM_MODE_TS     = 1 << 14,
  VM_MODE_MP     = 1 << 15,
  VM_MODE_OSFXSR = 1 << 16,
  VM_MODE_AVX    = 1 << 17, /* CR4.OSXSAVE and XCR0 has SSE and AVX */
  VM_MODE_SMM    = 1 << 18,
  VM_MODE_FLAT_CS = 1 << 19, /* base 0, limit 4 GiB - 1, readable */
  VM_MODE_FLAT_DATA = 1 << 20, /* SS, DS and ES: base 0, limit 4 GiB - 1, writable, expand up */
  VM_MODE_BP     = 1 << 21, /* DR7 or debugger breakpoints are active: checked mode */
  VM_MODE_PG     = 1 << 22,
  VM_MODE_ICOUNT = 1 << 23,
  VM_MODE_DS_ES_ZERO = 1 << 24, /* SS, DS and ES have base 0 (limits still checked) */
};
#define VM_MODE_CPL_SHIFT 6

#define VM_X86_FEATURE_WORDS 32

/* A processor's identity and what it offers; properties of the CPU types set it, realize settles it. model.h
 * has the names of the words. */
struct VmX86Model {
  const struct VmX86ModelDef *def;
  uint32_t words[VM_X86_FEATURE_WORDS]; /* requested; after realize what the guest has */
  char    *vendor, *model_id;
  uint32_t family, model, stepping;
  uint32_t level, xlevel;       /* UINT32_MAX: by what is offered */
  uint32_t min_level, min_xlevel;
  uint32_t phys_bits;           /* 0: by the model */
  uint32_t apic_id, socket_id, die_id, core_id, thread_id; /* UINT32_MAX: the board's choice */
  uint32_t threads, cores, dies; /* of a package, each of the one above; 0: one */
  uint64_t tsc_frequency;       /* 0: the default */
  uint64_t ucode_rev;
  bool     check, enforce, host_phys_bits, has_tcg_leaf, l3_cache, has_cpuid_0xb, start_powered_off;
  bool     ignored_bool;        /* accepted for other accelerators' sake */
  uint64_t ignored_number;
  char    *ignored_text;
  uint64_t insn_features[4];    /* by the decoder's numbers; the translator fills it */
};

typedef struct VmX86Cpu {
  VmVcpu              parent;
  VmX86Model         *model;         /* &model_data */
  VmX86Model          model_data;
  const uint32_t     *supported;     /* words the accelerator can offer; NULL: the translator's */
  const char         *supporter;     /* its name in warnings: "TCG", "host" */
  const VmX86ApicOps *apic_ops;
  void               *apic;
  VmIrq               ferr_irq;
  VmAddressSpace     *memory_as;     /* as seen outside SMM */
  VmAddressSpace     *smm_as;        /* with SMRAM open; NULL: same */
  uint64_t            phys_mask;     /* bits above MAXPHYADDR are reserved in page tables */
  bool                has_1g_pages;
  uint64_t            tsc_frequency; /* Hz */
  void               *accel_state;   /* VmTcgCpu * or the KVM vcpu */
  VmX86Env            env __attribute__ ((aligned (64)));
} VmX86Cpu;

extern const VmType vm_x86_cpu_type; /* abstract; each model is a child: "qemu64-x86_64-cpu" */

static inline VmX86Cpu *
vm_x86_cpu (VmX86Env *env)
{
  return VM_CONTAINER_OF (env, VmX86Cpu, env);
}

static inline unsigned
vm_x86_cpl (const VmX86Env *env)
{
  return (env->mode & VM_MODE_CPL) >> VM_MODE_CPL_SHIFT;
}

/* A processor without properties yet: what the accelerator can offer, instead of the translator. WORDS stay its own. */
void vm_x86_cpu_offer (VmX86Cpu *cpu, const uint32_t *words, const char *supporter);
/* Recomputes env->mode from segments, control registers, EFLAGS, XCR0, DR7. Call after changing any. */
void vm_x86_update_mode (VmX86Env *env);
/* Power-on and INIT state (SDM vol. 3, table 9-1). */
void vm_x86_reset (VmX86Cpu *cpu, bool is_init);
/* Sets VM_REQ_* bits and kicks. Any thread. */
void vm_x86_request (VmX86Cpu *cpu, uint32_t bits);
void vm_x86_unrequest (VmX86Cpu *cpu, uint32_t bits);
void vm_x86_send_sipi (VmX86Cpu *cpu, uint8_t vector);
void vm_x86_set_a20 (VmX86Cpu *cpu, bool enabled);
/* What is loaded into bases and MSRs: of the implemented width, whatever CR4.LA57 says (SDM volume 1, 3.3.7.1). */
bool     vm_x86_is_canonical_base (const VmX86Cpu *cpu, uint64_t v);
uint64_t vm_x86_read_tsc (VmX86Cpu *cpu);
void     vm_x86_write_tsc (VmX86Cpu *cpu, uint64_t value); /* moves TSC_ADJUST as well */
/* When the TSC will be TSC, as VM_CLOCK_VIRTUAL has it; the past gives a time in the past. */
int64_t  vm_x86_tsc_to_ns (VmX86Cpu *cpu, uint64_t tsc);

/* CPUID as the guest sees it; depends on CR4.OSXSAVE, XCR0, APIC id. */
void vm_x86_cpuid (VmX86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* MSRs that are plain state or go to the APIC; false means #GP. Both accelerators use them. */
bool vm_x86_rdmsr (VmX86Cpu *cpu, uint32_t msr, uint64_t *value);
bool vm_x86_wrmsr (VmX86Cpu *cpu, uint32_t msr, uint64_t value);

/* A page walk for debuggers and monitors: no faults, no A/D updates. UINT64_MAX: not mapped. */
uint64_t vm_x86_debug_translate (VmX86Cpu *cpu, uint64_t linear);
/* "info registers" */
char *vm_x86_describe_registers (VmX86Cpu *cpu, bool with_fpu);
char *vm_x86_describe_tlb (VmX86Cpu *cpu); /* "info tlb" */
char *vm_x86_describe_mem (VmX86Cpu *cpu); /* "info mem" */
