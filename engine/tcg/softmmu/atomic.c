/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Locked operations where the inline path does not reach: code pages, logged pages, pages that are not RAM. */
#include "engine/tcg/softmmu/softmmu-private.h"

typedef uint16_t U16 __attribute__ ((aligned (1), may_alias));
typedef uint32_t U32 __attribute__ ((aligned (1), may_alias));
typedef uint64_t U64 __attribute__ ((aligned (1), may_alias));

static uint64_t
size_mask (unsigned size)
{
  return UINT64_MAX >> (64 - MIN (size, 8) * 8);
}

#define CMPXCHG(suffix, operand, type)                                                           \
  __asm__ volatile ("lock cmpxchg" suffix " %" operand "3, %1"                                   \
                    : "=@ccz" (done), "+m" (*(type *) p), "+a" (e[0]) \
                    : "r" (desired[0]) : "memory")

static bool
host_cmpxchg (void *p, uint64_t *e, const uint64_t *desired, unsigned size)
{
  bool done;

  switch (size)
    {
    case 1: CMPXCHG ("b", "b", uint8_t); break;
    case 2: CMPXCHG ("w", "w", U16); break;
    case 4: CMPXCHG ("l", "k", U32); break;
    case 8: CMPXCHG ("q", "q", U64); break;
    default:
      __asm__ volatile ("lock cmpxchg16b (%5)" : "=@ccz" (done), "+a" (e[0]), "+d" (e[1])
                        : "b" (desired[0]), "c" (desired[1]), "r" (p) : "memory");
      return done;
    }
  e[0] &= size_mask (size);
  return done;
}

bool
vm_mmu_cmpxchg (VmX86Env *env, uint64_t linear, uint64_t *expected, const uint64_t *desired, unsigned size,
                unsigned ctx)
{
  unsigned part = MIN (size, 8);
  bool done;
  Page page;

  vm_mmu_probe_write (env, linear, size, ctx);
  if ((linear & ~VM_PAGE_MASK) + size <= VM_PAGE_SIZE)
    {
      if (!mmu_translate (env, linear, VM_ACCESS_WRITE, ctx, &page))
        siglongjmp (*vm_tcg_cpu (env)->fault_env, 1);
      if (page.host && !(page.phys & PERM_ROM) && (size < 16 || (linear & 15) == 0))
        {
          unsigned offset = linear & ~VM_PAGE_MASK;

          done = host_cmpxchg (page.host + offset, expected, desired, size);
          mmu_ram_stored (env, &page, (page.phys & VM_PAGE_MASK) | offset, size);
          if (vm_tcg_cpu (env)->n_watch_pages)
            mmu_watch_access (env, linear, size, true);
          return done;
        }
    }
  /* Registers, ROM, or over a page's end: a bus lock means nothing there. Comparing would read a register twice
   * and might never end. */
  for (unsigned i = 0; i * 8 < size; i++)
    vm_mmu_store (env, linear + i * 8, desired[i], part, ctx);
  return true;
}
