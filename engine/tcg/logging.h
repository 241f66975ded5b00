/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The -d items about guest code. Each of these is asked for by its item first; they may be called while host registers
 * hold the guest's. */
#pragma once

#include "engine/base/log.h"
#include "engine/tcg/code/code.h"

/* Items that show blocks when they are made: with them the translator makes them at first sight. */
#define VM_TCG_LOG_MAKE (VM_LOG_IN_ASM | VM_LOG_OUT_ASM | VM_LOG_OP | VM_LOG_OP_OPT | VM_LOG_OP_IND | VM_LOG_OP_PLUGIN)
#define VM_TCG_LOG_ENTER (VM_LOG_EXEC | VM_LOG_CPU)

/* The block at PC is about to run; HOST is its code, NULL when it is interpreted. */
void vm_tcg_log_enter (VmX86Env *env, uint64_t pc, const void *host);
/* One line of in_asm; BYTES may be NULL. */
void vm_tcg_log_insn (GString *text, const VmInsn *insn, uint64_t pc, const uint8_t *bytes);
/* in_asm of interpreted code: up to the first instruction that may go elsewhere; one instruction. */
void vm_tcg_log_run (VmX86Env *env, VmCodeView *view, uint64_t pc);
void vm_tcg_log_single (VmX86Env *env, const VmInsn *insn, uint64_t pc);
void vm_tcg_log_mmu (VmX86Env *env, const char *what, uint64_t value);
/* pcall: a transfer "WHAT SELECTOR:OFFSET", where the processor is now. Says nothing outside protected mode. */
void vm_tcg_log_far (VmX86Env *env, const char *what, uint16_t selector, uint64_t offset);
