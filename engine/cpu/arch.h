/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What monitors and debuggers want to know of a processor, whatever its architecture. All are called on the
 * vCPU's thread outside exec, or while it stands. */
#pragma once

#include "engine/cpu/vcpu.h"

typedef struct VmCpuModelInfo { /* what -cpu accepts */
  const char *name;      /* "qemu64" */
  const char *type_name; /* "qemu64-x86_64-cpu" */
  const char *alias_of;  /* another model's name, or NULL */
  const char *help;
  bool        migration_safe, is_static, deprecated;
} VmCpuModelInfo;

#define VM_GDB_REGISTER_MAX 32 /* bytes */

/* Registers by the numbers of the target description that gdb is given. */
typedef struct VmGdbArch {
  char    *(*description) (VmVcpu *vcpu); /* target.xml */
  unsigned (*size) (VmVcpu *vcpu, unsigned n); /* bytes; 0: there are no more */
  void     (*read) (VmVcpu *vcpu, unsigned n, uint8_t *bytes);
  bool     (*write) (VmVcpu *vcpu, unsigned n, const uint8_t *bytes); /* false: such a value cannot be */
  void     (*set_pc) (VmVcpu *vcpu, uint64_t pc);
  VmAddressSpace *(*memory) (VmVcpu *vcpu); /* physical memory as it sees it now; NULL: the machine's */
  const uint8_t *break_insn;  /* for accelerators that need breakpoints in memory */
  unsigned   break_insn_len;
} VmGdbArch;

/* Linear addresses that lie at physical ones. */
typedef struct VmMapping {
  uint64_t linear, physical, size;
} VmMapping;

/* An error that the hardware is said to have found. */
typedef struct VmMachineCheck {
  unsigned bank;
  uint64_t status, mcg_status, address, misc;
} VmMachineCheck;
typedef enum VmMachineCheckResult {
  VM_MACHINE_CHECK_REFUSED,  /* the guest never hears of it */
  VM_MACHINE_CHECK_RECORDED, /* in registers, with an interrupt or without */
  VM_MACHINE_CHECK_FATAL,    /* the processor shuts down */
} VmMachineCheckResult;

typedef struct VmArchOps {
  const char *name;          /* "x86_64" */
  unsigned    address_bytes; /* of a register */
  uint16_t    elf_machine;   /* EM_* of core files */
  const char *const *core_registers; /* names for register_value, in the order of an ELF core; ends with NULL */
  char *(*describe_registers) (VmVcpu *vcpu, bool with_fpu);
  char *(*describe_tlb) (VmVcpu *vcpu);
  char *(*describe_mem) (VmVcpu *vcpu);
  void (*list_mappings) (VmVcpu *vcpu, GArray *mappings); /* VmMapping: what its page tables say; joined, rising */
  bool (*translate) (VmVcpu *vcpu, uint64_t virt, uint64_t *phys);  /* no faults, no A/D updates */
  bool (*register_value) (VmVcpu *vcpu, const char *name, uint64_t *value); /* "eip", "rax", "cs" */
  void (*foreach_model) (void (*func) (const VmCpuModelInfo *model, void *opaque), void *opaque);
  /* MODEL is a new CPU object with what a user asked for; drops what cannot be had on this host, as realize would.
   * The names of what was dropped, ends with NULL. */
  char **(*limit_model) (VmVcpu *model, const VmAccel *accel);
  /* One instruction at PC; BYTES has LEN of them. Its text, *USED bytes; NULL: cannot. */
  char *(*disassemble) (VmVcpu *vcpu, uint64_t pc, const uint8_t *bytes, size_t len, unsigned *used);
  /* TEXT: for who asked for it, newly allocated or NULL. NULL: there is no such thing. */
  VmMachineCheckResult (*machine_check) (VmVcpu *vcpu, const VmMachineCheck *check, char **text);
  const VmGdbArch *gdb; /* NULL: gdb cannot be served */
} VmArchOps;
