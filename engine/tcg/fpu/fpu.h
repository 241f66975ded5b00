/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vector, MMX and x87 instructions of the interpreter: executed by the host's own instruction, from thunks
 * made on demand, with the guest's registers loaded around it. The functions named by x86-simd.tab and
 * x86-fpu.tab are declared in decode/ops.h. */
#pragma once

#include "engine/tcg/softmmu/tlb.h"

/* Frees the thunks of a vCPU; they are made when first needed. */
void vm_fpu_end (VmTcgCpu *tcg);

/* An unmasked x87 exception is pending (FSW.ES): raises #MF, or drives FERR# when CR0.NE is clear. */
void vm_fpu_check_pending (VmX86Env *env);
/* After FSW changed: an error that became pending drives FERR# when CR0.NE is clear, one that went away
 * releases it and IGNNE#. */
void vm_fpu_update_ferr (VmX86Env *env);
