/* SPDX-License-Identifier: GPL-3.0-or-later */
/* C that generated code reaches while host vector and x87 registers hold guest values: built for general
 * registers only. */
#include "engine/tcg/host-x86_64/jit-private.h"

#define MXCSR_DEFAULT 0x1f80u

static bool
is_canonical (const VmX86Env *env, uint64_t linear)
{
  unsigned unused = env->cr4 & VM_CR4_LA57 ? 7 : 16;

  return (uint64_t) ((int64_t) (linear << unused) >> unused) == linear;
}

void *
jit_fill (VmX86Env *env, uint64_t linear, uint32_t info)
{
  void *host;

  /* The table of pages knows only translations: this check belongs to the segment. */
  if (!is_canonical (env, linear) || !is_canonical (env, linear + (info & 0xffff) - 1))
    return NULL;
  host = vm_mmu_try_host (env, linear, info & 0xffff, info >> 16 & 0xff, info >> 24);
  env->exc_vector = -1; /* the interpreter meets the fault again, with the whole instruction */
  return host;
}

void
jit_save_vector (VmX86Env *env)
{
  VmTcgExec *x = vm_tcg_exec_part (env);
  uint32_t mxcsr = MXCSR_DEFAULT;

  x->vector_live = 0;
  __asm__ volatile ("stmxcsr %0" : "=m" (env->fx.mxcsr));
  if (x->has_avx)
    __asm__ volatile ("vmovups %%ymm0, 0(%0)\n\tvmovups %%ymm1, 32(%0)\n\t"
                      "vmovups %%ymm2, 64(%0)\n\tvmovups %%ymm3, 96(%0)\n\t"
                      "vmovups %%ymm4, 128(%0)\n\tvmovups %%ymm5, 160(%0)\n\t"
                      "vmovups %%ymm6, 192(%0)\n\tvmovups %%ymm7, 224(%0)\n\t"
                      "vmovups %%ymm8, 256(%0)\n\tvmovups %%ymm9, 288(%0)\n\t"
                      "vmovups %%ymm10, 320(%0)\n\tvmovups %%ymm11, 352(%0)\n\t"
                      "vmovups %%ymm12, 384(%0)\n\tvmovups %%ymm13, 416(%0)\n\t"
                      "vmovups %%ymm14, 448(%0)\n\tvmovups %%ymm15, 480(%0)\n\t"
                      "vzeroupper"
                      : : "r" (env->ymm) : "memory");
  else
    __asm__ volatile ("movups %%xmm0, 0(%0)\n\tmovups %%xmm1, 32(%0)\n\t"
                      "movups %%xmm2, 64(%0)\n\tmovups %%xmm3, 96(%0)\n\t"
                      "movups %%xmm4, 128(%0)\n\tmovups %%xmm5, 160(%0)\n\t"
                      "movups %%xmm6, 192(%0)\n\tmovups %%xmm7, 224(%0)\n\t"
                      "movups %%xmm8, 256(%0)\n\tmovups %%xmm9, 288(%0)\n\t"
                      "movups %%xmm10, 320(%0)\n\tmovups %%xmm11, 352(%0)\n\t"
                      "movups %%xmm12, 384(%0)\n\tmovups %%xmm13, 416(%0)\n\t"
                      "movups %%xmm14, 448(%0)\n\tmovups %%xmm15, 480(%0)"
                      : : "r" (env->ymm) : "memory");
  __asm__ volatile ("ldmxcsr %0" : : "m" (mxcsr));
}

/* The host's instruction pointer must not show: FIP and FDP keep what the struct had. */
void
jit_save_x87 (VmX86Env *env)
{
  VmTcgExec *x = vm_tcg_exec_part (env);
  uint64_t fip = env->fx.fip, fdp = env->fx.fdp;

  x->x87_live = 0;
  __asm__ volatile ("xsave64 (%0)\n\tfninit" : : "r" (&env->fx), "a" (1), "d" (0) : "memory");
  env->fx.fip = fip;
  env->fx.fdp = fdp;
}

void
vm_tcg_leave_guest_fpu (VmX86Env *env)
{
  VmTcgExec *x = vm_tcg_exec_part (env);

  if (x->vector_live)
    jit_save_vector (env);
  if (x->x87_live)
    jit_save_x87 (env);
}
