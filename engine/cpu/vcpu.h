/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A virtual processor as the machine sees it: a thread that runs an accelerator's exec function, can be
 * kicked, paused and given work. Nothing here knows an architecture. */
#pragma once

#include "engine/bus/device.h"

typedef struct VmKeyVals  VmKeyVals;
typedef struct VmVcpu     VmVcpu;
typedef struct VmVcpuSet  VmVcpuSet;
typedef struct VmAccel    VmAccel;
typedef struct VmAccelOps VmAccelOps;
typedef struct VmIrqchipOps VmIrqchipOps;
typedef void (*VmVcpuWork) (VmVcpu *vcpu, void *opaque);

typedef enum VmVcpuExit {
  VM_VCPU_EXIT_KICKED,   /* something to look at: work, pause, interrupt; run again afterwards */
  VM_VCPU_EXIT_HALTED,   /* waits for an interrupt: sleep until kicked */
  VM_VCPU_EXIT_SHUTDOWN, /* triple fault */
  VM_VCPU_EXIT_DEBUG,    /* breakpoint, watchpoint or single step done */
  VM_VCPU_EXIT_ERROR,    /* the accelerator cannot go on; it has reported why */
} VmVcpuExit;

/* What a debugger wants caught, and why a vCPU stopped for it. */
typedef enum VmDebugKind {
  VM_DEBUG_NONE,
  VM_DEBUG_STEP,
  VM_DEBUG_SOFT,   /* breakpoints: software and hardware only differ in what the debugger calls them ... */
  VM_DEBUG_HARD,   /* ... and in how many there are */
  VM_DEBUG_WRITE,
  VM_DEBUG_READ,
  VM_DEBUG_ACCESS,
} VmDebugKind;

typedef struct VmDebugPoint {
  uint64_t    address; /* linear */
  uint64_t    length;
  VmDebugKind kind;
} VmDebugPoint;

struct VmVcpu {
  VmDevice   parent;
  VmVcpuSet *set;
  VmAccel   *accel;
  unsigned   index;
  GThread   *thread;
  uint32_t   thread_id;        /* of the host */
  bool       created, stop_requested, stopped, unplugged; /* under set's mutex */
  bool       halted;           /* last exec said HALTED and no kick came since */
  uint32_t   kicks;            /* atomic */
  GQueue     work;             /* under set's mutex */
  /* The debugger's; changed while the vCPU stands. */
  bool       singlestep;       /* wants one instruction */
  bool       step_masked;      /* ... with interrupts held back */
  bool       held;             /* stays where it is when the set is resumed */
  VmDebugPoint *points;        /* vm_vcpu_set_points() */
  unsigned   n_points;
  VmDebugPoint debug_stop;     /* why exec ended with EXIT_DEBUG; whoever is told clears its kind, not before that
                                * does the vCPU go on */
  uint64_t   affinity_id;      /* APIC id */
  /* engine/cpu's own, under set's mutex */
  struct VmVcpuRunner *runner; /* the thread, with all vCPUs that share it */
  bool       in_exec;
  bool       ended;
  GError    *begin_error;
};

/* A counter that an accelerator keeps. Names and order of the enums are those of QMP. */
typedef enum VmAccelStatUnit {
  VM_ACCEL_STAT_NO_UNIT, VM_ACCEL_STAT_BYTES, VM_ACCEL_STAT_SECONDS, VM_ACCEL_STAT_CYCLES, VM_ACCEL_STAT_BOOLEAN,
} VmAccelStatUnit;
typedef struct VmAccelStat {
  const char     *name;
  unsigned        type;        /* cumulative, instant, peak, linear and logarithmic histogram */
  VmAccelStatUnit unit;
  int             base, exponent; /* a value counts base to the power of this many units */
  uint32_t        bucket_size; /* of a linear histogram */
  unsigned        n;
  const uint64_t *values;
} VmAccelStat;

/* One per accelerator type; the functions an accelerator supplies. Nobody includes its other headers. */
struct VmAccelOps {
  const char *name;            /* "tcg", "kvm", "qtest" */
  const char *help;
  /* NULL error: usable. Otherwise why not ("could not open /dev/kvm: ..."). Does not start anything. */
  bool (*probe) (GError **error);
  bool (*init) (VmAccel *accel, VmEnv *env, GError **error);
  void (*finish) (VmAccel *accel);
  /* On the vCPU's own thread, before and after its life. */
  bool (*vcpu_begin) (VmVcpu *vcpu, GError **error);
  void (*vcpu_end) (VmVcpu *vcpu);
  /* Runs guest code without the machine lock until there is a reason to return. */
  VmVcpuExit (*exec) (VmVcpu *vcpu);
  /* Any thread: make exec return (or notice an interrupt) soon. It may come when exec has been entered but
   * not yet begun, so it must stick until exec returns. Set's mutex is held: takes no locks. */
  void (*kick) (VmVcpu *vcpu);
  /* State of the vCPU in the architecture's struct is up to date / was changed by someone else. Called
   * on its own thread or while it is stopped. */
  void (*state_fetch) (VmVcpu *vcpu);
  void (*state_store) (VmVcpu *vcpu);
  /* The vCPU's points have changed; on its own thread outside exec. False: some cannot be caught. NULL: none can. */
  bool (*debug_update) (VmVcpu *vcpu);
  bool debug_patches;          /* software breakpoints: the debugger puts break instructions into memory */
  bool (*has_work) (VmVcpu *vcpu); /* would a halted vCPU wake up now? Set's mutex is held: takes no locks */
  /* Any device that was just made and has no properties yet; a processor is told what it may offer. May be NULL. */
  void (*prepare) (VmAccel *accel, VmDevice *dev);
  /* Calls FUNC for each counter of VCPU, or of the machine (NULL). Engine loop. NULL: keeps none. */
  void (*foreach_stat) (VmAccel *accel, VmVcpu *vcpu, void (*func) (const VmAccelStat *stat, void *opaque),
                        void *opaque);
  /* A translator: what it holds, as "info jit" shows it; newly allocated. Engine loop. NULL: translates nothing. */
  char *(*describe) (VmAccel *accel, VmVcpuSet *set);
  /* A translator: one instruction for each translated block from now on, or many. Engine loop. */
  void (*set_singlestep) (VmAccel *accel, VmVcpuSet *set, bool on);
  bool one_thread_for_all;     /* filled by init: tcg thread=single */
  const VmIrqchipOps *irqchip; /* interrupt controllers it can take over (irqchip.h); NULL: none */
  const VmProp *props;         /* of -accel NAME,... in the accel's own struct */
  size_t        size;          /* of that struct, which begins with VmAccel */
};

struct VmAccel {
  VmObject          parent;
  const VmAccelOps *ops;
  VmEnv            *env;
  VmType           *own_type; /* made from ops: "tcg-accel" */
  bool              own_slices; /* filled by init: vCPUs on one thread take turns by themselves */
  bool              no_smm;   /* filled by init: system management mode is not to be had */
  bool              singlestep; /* what set_singlestep() said last */
};

/* One use of -accel: its name (or several, "kvm:tcg") and its other settings (may be NULL). */
typedef struct VmAccelChoice {
  const char      *name;
  const VmKeyVals *props; /* "accel" in it is not looked at */
} VmAccelChoice;
/* The first of the CHOICES that works, out of the NULL-terminated TABLE; says on stderr why one before it did
 * not. An unknown name is skipped when another follows; a wrong setting ends the search. */
VmAccel *vm_accel_choose (const VmAccelOps *const *table, const VmAccelChoice *choices, size_t n, VmEnv *env,
                          GError **error);
void     vm_accel_free (VmAccel *accel); /* finish, and the last reference; no vCPU uses it any more */

VmVcpuSet *vm_vcpu_set_new (VmEnv *env, VmAccel *accel);
void       vm_vcpu_set_free (VmVcpuSet *set);
/* Adds a realized vCPU and starts its thread (stopped). */
bool       vm_vcpu_set_add (VmVcpuSet *set, VmVcpu *vcpu, GError **error);
/* Ends its thread and forgets it. Not from a vCPU thread. */
void       vm_vcpu_set_remove (VmVcpuSet *set, VmVcpu *vcpu);
unsigned   vm_vcpu_set_count (VmVcpuSet *set);
VmVcpu    *vm_vcpu_set_get (VmVcpuSet *set, unsigned index);

void vm_vcpu_set_resume (VmVcpuSet *set);
/* Returns when all vCPUs have left exec. Not from a vCPU thread (there it only requests). */
void vm_vcpu_set_pause (VmVcpuSet *set);

void vm_vcpu_kick (VmVcpu *vcpu);   /* any thread; wakes a halted one too */
VmVcpu *vm_vcpu_current (void);     /* of this thread, or NULL */
/* FUNC runs on the vCPU's thread outside exec, without locks. _run waits for it, releasing the machine lock
 * meanwhile; not from the thread of another vCPU (two could wait for each other): post there. */
void vm_vcpu_post (VmVcpu *vcpu, VmVcpuWork func, void *opaque);
void vm_vcpu_run (VmVcpu *vcpu, VmVcpuWork func, void *opaque);
/* FUNC runs on VCPU's thread while every other vCPU is outside exec. */
void vm_vcpu_post_exclusive (VmVcpu *vcpu, VmVcpuWork func, void *opaque);

/* Told on the engine loop. */
typedef struct VmVcpuSetEvents {
  void (*triple_fault) (void *opaque, VmVcpu *vcpu);
  void (*debug) (void *opaque, VmVcpu *vcpu);
  void (*failed) (void *opaque, VmVcpu *vcpu);
} VmVcpuSetEvents;
void vm_vcpu_set_events (VmVcpuSet *set, const VmVcpuSetEvents *events, void *opaque);

/* Points that end exec from now on, in place of those before. False: the accelerator cannot catch them all. */
bool vm_vcpu_set_points (VmVcpu *vcpu, const VmDebugPoint *points, unsigned n);
/* A breakpoint at the linear address PC, or NULL. */
const VmDebugPoint *vm_vcpu_break_at (const VmVcpu *vcpu, uint64_t pc);
