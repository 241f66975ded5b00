/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Page walk (Intel SDM vol. 3, chapter 4): no paging, 32-bit with PSE-36, PAE, four and five levels. */
#include "engine/tcg/softmmu/softmmu-private.h"

enum {
  PTE_P = 1 << 0, PTE_W = 1 << 1, PTE_U = 1 << 2, PTE_A = 1 << 5, PTE_D = 1 << 6, PTE_PS = 1 << 7,
  PTE_G = 1 << 8,
};
#define PTE_NX   VM_BIT (63)
#define PTE_ADDR VM_MASK (51, 12)

enum {
  WALK_AGAIN = -1,          /* an entry changed under us */
  WALK_FAULT = 0x40000000,  /* beside the error code, which may be 0 */
};

/* Reads a table entry. *SLOT is where it lies in host memory, NULL when it lies in no RAM or ROM. */
static inline uint64_t
read_entry (VmX86Env *env, uint64_t phys, unsigned size, void **slot)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  const VmFlatRange *r = tcg->second->recent[0];

  phys = mmu_a20 (env, phys);
  if (G_UNLIKELY (r == NULL || phys < r->start || phys > r->last))
    r = mmu_find_range (tcg, phys);
  if (G_UNLIKELY (r == NULL || r->host == NULL || r->last - phys < size - 1))
    {
      *slot = NULL;
      return mmu_region_load (env, phys, size, false);
    }
  *slot = r->host + (phys - r->start);
  return size == 8 ? __atomic_load_n ((const uint64_t *) *slot, __ATOMIC_RELAXED)
                   : __atomic_load_n ((const uint32_t *) *slot, __ATOMIC_RELAXED);
}

/* Sets BITS of an entry if it still is OLD; false: it is not. */
static bool
set_bits (VmX86Env *env, uint64_t phys, unsigned size, void *slot, uint64_t old, uint64_t bits)
{
  const VmFlatRange *r = mmu_find_range (vm_tcg_cpu (env), mmu_a20 (env, phys));
  uint64_t wanted = old | bits, offset;
  Page page = { 0 };

  if (slot == NULL || r->readonly)
    return true; /* tables in registers or ROM: nothing to write to */
  offset = r->region->ram_offset + r->offset + (mmu_a20 (env, phys) - r->start);
  if (r->region->ram)
    page.flags = &r->region->ram->page_flags[offset >> VM_PAGE_SHIFT];
  if (size == 8)
    {
      if (!__atomic_compare_exchange_n ((uint64_t *) slot, &old, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return false;
    }
  else
    {
      uint32_t old32 = old;

      if (!__atomic_compare_exchange_n ((uint32_t *) slot, &old32, (uint32_t) wanted, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
        return false;
    }
  mmu_ram_stored (env, &page, mmu_a20 (env, phys), size);
  return true;
}

static inline bool
update_entry (VmX86Env *env, uint64_t phys, unsigned size, void *slot, uint64_t old, uint64_t bits)
{
  return G_LIKELY ((old & bits) == bits) || set_bits (env, phys, size, slot, old, bits);
}

bool
mmu_permits (const VmX86Env *env, uint64_t phys, unsigned access, unsigned ctx, uint32_t *error)
{
  bool is_user = ctx == VM_TLB_USER;

  *error = 0;
  if (is_user && !(phys & PERM_U))
    return false;
  if (access == VM_ACCESS_FETCH)
    return !(phys & PERM_NX) && (is_user || !(phys & PERM_U) || !(env->cr4 & VM_CR4_SMEP));
  /* the key's part of the error code does not depend on the other rights (SDM volume 3, 4.7) */
  if ((phys & PERM_PK) && (phys & PERM_U) && (env->cr4 & VM_CR4_PKE))
    {
      unsigned key = (phys >> PERM_KEY_SHIFT) & 15;
      unsigned deny = env->pkru >> (key * 2);

      if ((deny & 1) ||
          (access == VM_ACCESS_WRITE && (deny & 2) && (is_user || (env->cr0 & VM_CR0_WP))))
        {
          *error = VM_PF_PK;
          return false;
        }
    }
  if (!is_user && (phys & PERM_U) && (env->cr4 & VM_CR4_SMAP) && ctx != VM_TLB_SUPERVISOR_AC)
    return false;
  return access != VM_ACCESS_WRITE || (phys & PERM_W) || (!is_user && !(env->cr0 & VM_CR0_WP));
}

/* BITS (P, RSVD, PK) with what the access adds. */
static int
fault_code (const VmX86Env *env, unsigned access, unsigned ctx, uint32_t bits)
{
  if (access == VM_ACCESS_WRITE)
    bits |= VM_PF_W;
  if (ctx == VM_TLB_USER)
    bits |= VM_PF_U;
  if (access == VM_ACCESS_FETCH &&
      ((env->cr4 & VM_CR4_SMEP) || ((env->cr4 & VM_CR4_PAE) && (env->efer & VM_EFER_NXE))))
    bits |= VM_PF_ID;
  return (int) (bits | WALK_FAULT);
}

/* Judges the leaf and sets its A and D bits. */
static inline int
finish_walk (VmX86Env *env, uint64_t entry_phys, unsigned size, void *slot, uint64_t entry,
             unsigned access, unsigned ctx, Walk *walk)
{
  uint32_t error;
  uint64_t bits = PTE_A;

  if (!mmu_permits (env, walk->phys, access, ctx, &error))
    return fault_code (env, access, ctx, VM_PF_P | error);
  if (access == VM_ACCESS_WRITE)
    bits |= PTE_D;
  if (!update_entry (env, entry_phys, size, slot, entry, bits))
    return WALK_AGAIN;
  if ((entry | bits) & PTE_D)
    walk->phys |= PERM_D;
  walk->global = (entry & PTE_G) && (env->cr4 & VM_CR4_PGE);
  return 0;
}

static int
walk_32 (VmX86Env *env, uint64_t linear, unsigned access, unsigned ctx, Walk *walk)
{
  uint64_t phys_mask = vm_x86_cpu (env)->phys_mask;
  uint64_t pde_phys = (env->cr3 & 0xfffff000) | ((linear >> 20) & 0xffc);
  void *slot;
  uint32_t pde = read_entry (env, pde_phys, 4, &slot);
  uint64_t pte_phys;
  uint32_t pte, perm;

  if (!(pde & PTE_P))
    return fault_code (env, access, ctx, 0);
  perm = pde & (PTE_W | PTE_U);
  if ((pde & PTE_PS) && (env->cr4 & VM_CR4_PSE))
    {
      uint64_t high = (uint64_t) (pde & 0x1fe000) << 19;

      if ((pde & (1u << 21)) || (high & ~phys_mask))
        return fault_code (env, access, ctx, VM_PF_P | VM_PF_RSVD);
      walk->shift = 22;
      walk->phys = high | (pde & 0xffc00000) | (linear & 0x3ff000);
      walk->phys |= (perm & PTE_W ? PERM_W : 0) | (perm & PTE_U ? PERM_U : 0);
      return finish_walk (env, pde_phys, 4, slot, pde, access, ctx, walk);
    }
  if (!update_entry (env, pde_phys, 4, slot, pde, PTE_A))
    return WALK_AGAIN;
  pte_phys = (pde & 0xfffff000) | ((linear >> 10) & 0xffc);
  pte = read_entry (env, pte_phys, 4, &slot);
  if (!(pte & PTE_P))
    return fault_code (env, access, ctx, 0);
  perm &= pte;
  walk->shift = 12;
  walk->phys = (pte & 0xfffff000) | (perm & PTE_W ? PERM_W : 0) | (perm & PTE_U ? PERM_U : 0);
  return finish_walk (env, pte_phys, 4, slot, pte, access, ctx, walk);
}

/* PAE below the PDPTE registers, and long mode: entries of 8 bytes from level TOP down to 1. */
static int
walk_64 (VmX86Env *env, uint64_t linear, unsigned access, unsigned ctx, Walk *walk, uint64_t table_phys,
         unsigned top)
{
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  uint64_t reserved = ~vm_x86_cpu (env)->phys_mask & (is_long ? VM_MASK (51, 12) : VM_MASK (62, 12));
  uint64_t perm = PTE_W | PTE_U, nx = 0;

  if (!(env->efer & VM_EFER_NXE))
    reserved |= PTE_NX;
  for (unsigned level = top;; level--)
    {
      unsigned shift = 12 + 9 * (level - 1);
      uint64_t entry_phys = table_phys | (((linear >> shift) & 511) << 3);
      void *slot;
      uint64_t entry = read_entry (env, entry_phys, 8, &slot);
      bool is_leaf = level == 1 || ((entry & PTE_PS) && level <= 3);

      if (!(entry & PTE_P))
        return fault_code (env, access, ctx, 0);
      if ((entry & reserved) || (level > 3 && (entry & PTE_PS)) ||
          (level == 3 && is_leaf && !vm_x86_cpu (env)->has_1g_pages) ||
          (level > 1 && is_leaf && (entry & VM_MASK (shift - 1, 13))))
        return fault_code (env, access, ctx, VM_PF_P | VM_PF_RSVD);
      perm &= entry;
      nx |= entry;
      if (is_leaf)
        {
          walk->shift = shift;
          walk->phys = (entry & PTE_ADDR & (~UINT64_C (0) << shift)) | (linear & VM_MASK (shift - 1, 12));
          walk->phys |= (perm & PTE_W ? PERM_W : 0) | (perm & PTE_U ? PERM_U : 0) |
                        (nx & PTE_NX ? PERM_NX : 0);
          if (is_long)
            walk->phys |= PERM_PK | ((entry >> 59) & 15) << PERM_KEY_SHIFT;
          return finish_walk (env, entry_phys, 8, slot, entry, access, ctx, walk);
        }
      if (!update_entry (env, entry_phys, 8, slot, entry, PTE_A))
        return WALK_AGAIN;
      table_phys = entry & PTE_ADDR;
    }
}

static int
walk_once (VmX86Env *env, uint64_t linear, unsigned access, unsigned ctx, Walk *walk)
{
  walk->global = false;
  if (!(env->cr0 & VM_CR0_PG))
    {
      walk->shift = 12;
      walk->phys = (linear & 0xfffff000) | PERM_W | PERM_D | (ctx == VM_TLB_USER ? PERM_U : 0);
      return 0;
    }
  if (env->efer & VM_EFER_LMA)
    return walk_64 (env, linear, access, ctx, walk, env->cr3 & PTE_ADDR,
                    env->cr4 & VM_CR4_LA57 ? 5 : 4);
  if (env->cr4 & VM_CR4_PAE)
    {
      uint64_t pdpte = env->pdpte[(linear >> 30) & 3];

      if (!(pdpte & PTE_P))
        return fault_code (env, access, ctx, 0);
      return walk_64 (env, linear & 0xffffffff, access, ctx, walk, pdpte & PTE_ADDR, 2);
    }
  return walk_32 (env, linear & 0xffffffff, access, ctx, walk);
}

bool
mmu_walk (VmX86Env *env, uint64_t linear, unsigned access, unsigned ctx, Walk *walk, uint32_t *error)
{
  int result;

  do
    result = walk_once (env, linear, access, ctx, walk);
  while (G_UNLIKELY (result == WALK_AGAIN));
  walk->phys = mmu_a20 (env, walk->phys);
  *error = result & ~WALK_FAULT;
  return result == 0;
}

bool
vm_mmu_load_pdptrs (VmX86Env *env, uint64_t cr3)
{
  uint64_t reserved = (~vm_x86_cpu (env)->phys_mask & VM_MASK (62, 12)) | PTE_NX | VM_MASK (8, 5) | 6;
  uint64_t pdpte[4];
  void *slot;

  for (unsigned i = 0; i < 4; i++)
    {
      pdpte[i] = read_entry (env, (cr3 & 0xffffffe0) + i * 8, 8, &slot);
      if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved))
        return false;
    }
  for (unsigned i = 0; i < 4; i++)
    env->pdpte[i] = pdpte[i];
  return true;
}
