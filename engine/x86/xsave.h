/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FXSAVE and XSAVE images of the register state (Intel SDM vol. 1, section 10.5 and chapter 13), for the
 * instructions, for debuggers and for KVM. */
#pragma once

#include "engine/x86/cpu.h"

enum {
  VM_XSTATE_X87 = 1 << 0, VM_XSTATE_SSE = 1 << 1, VM_XSTATE_AVX = 1 << 2, VM_XSTATE_PKRU = 1 << 9,
  /* All that VmX86Env holds: what XCR0 may have under the translator. */
  VM_XSTATE_ALL = VM_XSTATE_X87 | VM_XSTATE_SSE | VM_XSTATE_AVX | VM_XSTATE_PKRU,
};
#define VM_XSAVE_COMPACTED (UINT64_C (1) << 63)
#define VM_XSAVE_LEGACY    512u
#define VM_XSAVE_MAX       1024u /* any image this file writes */

/* CPUID leaf 0Dh: size and place of a component (2 and up) in the standard format; 0: unknown. */
unsigned vm_xsave_component_size (unsigned component);
unsigned vm_xsave_component_offset (unsigned component);
/* Place in the compacted format of XCOMP_BV. */
unsigned vm_xsave_compacted_offset (unsigned component, uint64_t xcomp_bv);
/* Bytes of an image with the components of MASK. */
unsigned vm_xsave_size (uint64_t mask, bool compacted);

/* Components not in their initial state. MXCSR counts as SSE state, as XSAVEC and XSAVES see it, when
 * WITH_MXCSR. */
uint64_t vm_xsave_in_use (const VmX86Env *env, bool with_mxcsr);
/* Puts the components of MASK into their initial state; vector registers below N_VECTORS only. */
void     vm_xsave_init (VmX86Env *env, uint64_t mask, unsigned n_vectors);

/* x87 part, MXCSR and N_VECTORS (8 or 16) xmm registers; the rest of the 512 bytes stays. WIDE: 64-bit FIP and
 * FDP (REX.W); else 32 bits and selectors, which are 0. */
void vm_fxsave_store (const VmX86Env *env, uint8_t *image, bool wide, unsigned n_vectors);
void vm_fxsave_load_x87 (VmX86Env *env, const uint8_t *image, bool wide);
void vm_fxsave_load_xmm (VmX86Env *env, const uint8_t *image, unsigned n_vectors);
/* Moves the top of the stack: the image holds registers in stack order, the physical ones stay. */
void vm_x87_set_top (VmX86Fx *fx, unsigned top);
/* FSW.ES and B from flags and masks, as loads of FCW or FSW set them. */
void vm_x87_update_summary (VmX86Fx *fx);

/* A standard-format image of all of MASK: SIZE bytes, at least vm_xsave_size (MASK, false). */
void vm_xsave_store (const VmX86Env *env, uint8_t *image, uint64_t mask);
/* Its reverse; components absent from XSTATE_BV are initialised. False: reserved bits are set, env is
 * untouched. */
bool vm_xsave_load (VmX86Env *env, const uint8_t *image, uint64_t mask);

/* Full tag word (two bits a register) of FNSTENV, gdb; and back. */
uint16_t vm_x87_full_tags (const VmX86Fx *fx);
uint8_t  vm_x87_abridged_tags (uint16_t full);

/* IGNNE#: what a write to port F0h does. Releases FERR#; waiting instructions go on until the error is
 * cleared. Machine lock held. */
void vm_x86_ignore_fpu_error (VmX86Cpu *cpu);
