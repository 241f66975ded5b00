/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The VMware "backdoor" port 5658h (as published with open-vm-tools): commands in the processor's registers. */
#pragma once

#include "devices/isa/isa.h"
#include "engine/x86/cpu.h"

typedef struct VmVmport VmVmport;
extern const VmType vm_vmport_type; /* "vmport" */

#define VM_VMPORT_MAGIC 0x564d5868u

/* Handles one command; returns the new EAX. The other registers may be changed in ENV. */
typedef uint32_t (*VmVmportFunc) (void *opaque, VmX86Env *env);
void vm_vmport_register (VmVmport *port, unsigned command, VmVmportFunc func, void *opaque);
/* What the guest should see, before realize. */
void vm_vmport_set_machine (VmVmport *port, uint64_t ram_size, const uint8_t uuid[16]);
