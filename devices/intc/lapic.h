/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local APICs of the processors, the bus that joins them, and the window for message-signalled interrupts. */
#pragma once

#include "engine/x86/cpu.h"

typedef struct VmLapic    VmLapic;
typedef struct VmLapicBus VmLapicBus;

#define VM_LAPIC_DEFAULT_BASE UINT64_C (0xfee00000)
#define VM_LAPIC_MSI_SIZE     VM_MIB

typedef enum VmLapicMode { /* delivery mode of messages, vectors and LVT entries */
  VM_LAPIC_FIXED, VM_LAPIC_LOWEST, VM_LAPIC_SMI, VM_LAPIC_RESERVED, VM_LAPIC_NMI, VM_LAPIC_INIT,
  VM_LAPIC_STARTUP, VM_LAPIC_EXTINT,
} VmLapicMode;

typedef struct VmLapicMessage {
  uint32_t destination; /* 8 bits, or 32 between x2APICs */
  uint8_t  vector;
  uint8_t  mode;        /* VmLapicMode */
  bool     logical;
  bool     level;
} VmLapicMessage;

/* One per machine, in the board's struct. */
struct VmLapicBus {
  VmEnv     *env;
  VmAccel   *accel;      /* the APICs are inside it: set before the first is made; NULL: they are devices */
  GPtrArray *apics;      /* VmLapic * (inside the accelerator: VmKvmApic *), by processor index */
  VmRegion   region;     /* 0xfee00000: registers for processors, messages for everyone else */
  unsigned   turn;       /* where the next arbitration among equals begins */
  /* A level-triggered vector was served: for I/O APICs. */
  void (*eoi) (void *opaque, uint8_t vector);
  void *eoi_opaque;
  /* Acknowledges the 8259 pair: ExtINT. */
  int  (*extint) (void *opaque);
  void *extint_opaque;
};

struct VmLapic {
  VmDevice    parent;
  /* properties */
  uint32_t    initial_id;
  uint8_t     version;
  bool        vapic;
  /* wiring */
  VmX86Cpu   *cpu;
  VmLapicBus *bus;
  VmRegion    moved;     /* registers at another place than the usual one */
  bool        moved_mapped;
  /* guest state */
  uint64_t base;         /* IA32_APIC_BASE */
  uint32_t id, ldr, dfr, svr, esr, esr_pending;
  uint32_t lvt[6];       /* timer, thermal, performance, LINT0, LINT1, error */
  uint32_t isr[8], tmr[8], irr[8];
  uint64_t icr;
  uint8_t  tpr;
  uint8_t  lint_levels;  /* bit 0: LINT0, bit 1: LINT1 */
  uint32_t initial_count, divide;
  int64_t  count_start;  /* virtual ns when the timer began its present run */
  VmTimer  timer;
};

extern const VmType vm_lapic_type;
extern const VmX86ApicOps vm_lapic_ops;

void vm_lapic_bus_init (VmLapicBus *bus, VmEnv *env);
void vm_lapic_bus_destroy (VmLapicBus *bus);
/* Sends MESSAGE to whom it names; true when somebody took it. */
bool vm_lapic_bus_deliver (VmLapicBus *bus, const VmLapicMessage *message);
/* A write of DATA to ADDRESS in 0xfeexxxxx. */
void vm_lapic_bus_message (VmLapicBus *bus, uint64_t address, uint32_t data);
/* The 8259 output to everybody's LINT0, the NMI wire to everybody's LINT1. */
VmIrq vm_lapic_bus_lint (VmLapicBus *bus, unsigned n);

/* Wires APIC to its processor and the bus; before realize. */
void vm_lapic_attach (VmLapic *apic, VmLapicBus *bus, VmX86Cpu *cpu);
/* "info lapic" */
char *vm_lapic_describe (VmLapic *apic);
