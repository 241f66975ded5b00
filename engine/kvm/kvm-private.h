/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The KVM accelerator (Documentation/virt/kvm/api.rst of the kernel): its object, its part of a vCPU. */
#pragma once

#include "engine/cpu/irqchip.h"
#include "engine/kvm/kvm.h"
#include "engine/io/loop.h"
#include "engine/x86/cpu.h"

#include <linux/kvm.h>
#include <pthread.h>

typedef struct KvmAccel KvmAccel;

typedef struct KvmSlot {
  uint32_t    id;      /* with the kernel's address space in the upper half */
  uint64_t    guest, size;
  uint8_t    *host;
  VmRamBlock *block;
  uint64_t    block_offset;
  uint32_t    flags;
} KvmSlot;

/* Follows one address space: memory as seen outside or inside of SMM, or ports. */
typedef struct KvmListener {
  VmMemoryListener parent;
  KvmAccel        *accel;
  uint16_t         space;   /* the kernel's number */
  bool             ports;
  GArray          *slots;   /* KvmSlot */
} KvmListener;

struct KvmAccel {
  VmAccel       parent;
  /* properties */
  char         *device;
  int           irqchip_choice;   /* off, on, split: order of the names */
  uint64_t      shadow_mem;
  uint32_t      dirty_ring_size;
  /* the kernel's */
  int           fd, vm_fd;
  uint32_t      words[VM_X86_FEATURE_WORDS]; /* CPUID that guests can be given */
  int           run_size;
  uint32_t      max_slots;
  bool          has_readonly, has_smm, has_xsave2, has_any_length_eventfd, has_coalesced_ports;
  uint32_t      debug_flags;      /* that KVM_SET_GUEST_DEBUG takes */
  int           coalesced_page;   /* of the ring in a vCPU's mapping; 0: none */
  struct kvm_coalesced_mmio_ring *ring; /* of the first vCPU; all share it */
  bool          flushing;         /* its writes are being made; machine lock */
  GHashTable   *slot_ids;         /* those in use */
  KvmListener   memory, smm, ports;
  bool          smm_listens;
  VmIrqchipMode irqchip;
  struct kvm_irq_routing *routing;
  unsigned      n_routes;
  uint64_t      used_gsis[64];    /* bit set */
  void        (*eoi_hook) (void *opaque, uint8_t vector);
  void         *eoi_opaque;
};

typedef struct KvmVcpu {
  KvmAccel       *accel;
  VmX86Cpu       *cpu;
  int             fd;
  struct kvm_run *run;
  pthread_t       thread;
  bool            env_valid;  /* VmX86Env holds the registers */
  bool            env_dirty;  /* and the kernel must be told before it runs */
  struct kvm_guest_debug debug; /* for the points; without stepping */
  bool            debugging;  /* the kernel was told of points or a step */
  int64_t         tsc_offset; /* of env when it was last in step with the kernel */
  struct kvm_vcpu_events events; /* as fetched at events_rip */
  uint64_t        events_rip;
  bool            interruptible;  /* IF at the last exit; atomic */
} KvmVcpu;

static inline KvmVcpu *
kvm_vcpu (VmVcpu *vcpu)
{
  return ((VmX86Cpu *) vcpu)->accel_state;
}

static inline VmLock *
kvm_lock (const KvmAccel *accel)
{
  return vm_loop_lock (accel->parent.env->loop);
}

/* memory.c */
void kvm_memory_begin (KvmAccel *accel, VmEnv *env);
void kvm_memory_begin_smm (KvmAccel *accel, VmAddressSpace *as);
void kvm_memory_end (KvmAccel *accel);
void kvm_memory_flush_coalesced (void *accel);

/* irqchip.c */
extern const VmIrqchipOps kvm_irqchip_ops;

/* state.c: whole register state of a vCPU that does not run */
bool kvm_state_fetch (KvmVcpu *v);
bool kvm_state_store (KvmVcpu *v);

/* cpuid.c */
bool kvm_cpuid_set (KvmVcpu *v, GError **error);

/* What the kernel can offer, as the model's feature words. */
bool kvm_cpuid_words (KvmAccel *accel, GError **error);

/* stats.c */
void kvm_foreach_stat (VmAccel *accel, VmVcpu *vcpu, void (*func) (const VmAccelStat *stat, void *opaque),
                       void *opaque);

/* debug.c */
bool kvm_debug_update (VmVcpu *vcpu);
void kvm_debug_prepare (KvmVcpu *v); /* before running */
bool kvm_debug_stops (KvmVcpu *v);   /* after KVM_EXIT_DEBUG; false: it was the guest's own affair */

/* vcpu.c */
bool       kvm_vcpu_begin (VmVcpu *vcpu, GError **error);
void       kvm_vcpu_end (VmVcpu *vcpu);
VmVcpuExit kvm_vcpu_exec (VmVcpu *vcpu);
void       kvm_vcpu_kick (VmVcpu *vcpu);
bool       kvm_vcpu_has_work (VmVcpu *vcpu);
