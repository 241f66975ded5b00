/* SPDX-License-Identifier: GPL-3.0-or-later */
/* C that generated code reaches while host vector and x87 registers hold guest values: built for general
 * registers only. */
#include "engine/tcg/host-x86_64/jit-private.h"

#define MXCSR_DEFAULT 0x1f80u

#define ALWAYS_INLINE inline __attribute__ ((always_inline))

/* Guest memory: of any alignment. */
typedef uint32_t any32 __attribute__ ((aligned (1), may_alias));
typedef uint64_t any64 __attribute__ ((aligned (1), may_alias));

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

/* The element of SIZE bytes at LINEAR; false: it is not plain memory. The look-up of generated code comes first. */
static ALWAYS_INLINE bool
gather_element (VmX86Env *env, uint64_t linear, unsigned size, unsigned ctx, uint64_t *value)
{
  const VmTlbEntry *e = &vm_tcg_cpu (env)->tlb[ctx].read[vm_tlb_index (linear)];
  const void *host;

  if (G_LIKELY (e->tag == ((linear + size - 1) & VM_PAGE_MASK)))
    host = (const void *) (uintptr_t) (linear + e->addend);
  else
    host = jit_fill (env, linear, FILL_INFO (size, VM_ACCESS_READ, ctx));
  if (host == NULL)
    return false;
  *value = size == 8 ? *(const volatile any64 *) host : *(const volatile any32 *) host;
  return true;
}

static ALWAYS_INLINE void *
gather (VmX86Env *env, uint64_t base, uint32_t info, unsigned size, unsigned index_size)
{
  VmX86Vec *dest = &env->ymm[info & 15], result = { 0 };
  const VmX86Vec *mask = &env->ymm[info >> 4 & 15], *index = &env->ymm[info >> 8 & 15];
  unsigned n = info >> 12 & 15, scale = info >> 20 & 3, ctx = info >> 24;
  uint64_t limit = info >> 22 & 1 ? UINT64_MAX : UINT32_MAX;

  for (unsigned i = 0; i < n; i++)
    {
      uint64_t element = index_size == 8 ? index->q[i] : (uint64_t) (int64_t) (int32_t) index->d[i];
      bool selected = size == 8 ? mask->q[i] >> 63 : mask->d[i] >> 31;
      uint64_t value = size == 8 ? dest->q[i] : dest->d[i];

      if (selected && !gather_element (env, (base + (element << scale)) & limit, size, ctx, &value))
        return NULL;
      /* Whole words, which the processor can forward to the copy below. */
      if (size == 8)
        result.q[i] = value;
      else
        result.q[i >> 1] = i & 1 ? result.q[i >> 1] | value << 32 : value;
    }
  *dest = result;
  return dest;
}

/* The registers are in the struct. NULL: some element is not plain memory, nothing was changed. */
void *
jit_gather (VmX86Env *env, uint64_t base, uint32_t info)
{
  bool wide_data = (info >> 16 & 3) == 3, wide_index = (info >> 18 & 3) == 3;

  if (wide_data)
    return wide_index ? gather (env, base, info, 8, 8) : gather (env, base, info, 8, 4);
  return wide_index ? gather (env, base, info, 4, 8) : gather (env, base, info, 4, 4);
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
