/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two levels of TLB: filling, flushing, address-space tags, the memory map's changes. */
#include "engine/tcg/softmmu/softmmu-private.h"

#include "engine/tcg/logging.h"

static inline VmTlbEntry *
l1_entries (VmTcgCpu *tcg)
{
  return (VmTlbEntry *) (void *) tcg->tlb;
}

static inline VmTlbEntry *
l1_table (VmTcgCpu *tcg, unsigned ctx, unsigned access)
{
  return access == VM_ACCESS_WRITE ? tcg->tlb[ctx].write : tcg->tlb[ctx].read;
}

/* --- physical memory --------------------------------------------------------------------------- */

static const VmFlatRange *
search_view (const VmFlatView *view, uint64_t phys)
{
  size_t low = 0, high = view->n;

  while (low < high)
    {
      size_t middle = (low + high) / 2;
      const VmFlatRange *r = &view->ranges[middle];

      if (phys < r->start)
        high = middle;
      else if (phys > r->last)
        low = middle + 1;
      else
        return r;
    }
  return NULL;
}

const VmFlatRange *
mmu_find_range (VmTcgCpu *tcg, uint64_t phys)
{
  struct VmTlb2 *l2 = tcg->second;
  const VmFlatRange *r = l2->recent[0];

  if (G_LIKELY (r != NULL && phys >= r->start && phys <= r->last))
    return r;
  r = l2->recent[1];
  if (r == NULL || phys < r->start || phys > r->last)
    {
      if (l2->view == NULL)
        return NULL;
      r = search_view (l2->view, phys);
      if (r == NULL || r->host == NULL)
        return r;
    }
  l2->recent[1] = l2->recent[0];
  l2->recent[0] = r;
  return r;
}

void
mmu_resolve_page (VmTcgCpu *tcg, Page *page)
{
  uint64_t phys = page->phys & VM_PAGE_MASK;
  const VmFlatRange *r = mmu_find_range (tcg, phys);

  page->host = NULL;
  page->flags = NULL;
  if (r == NULL || r->host == NULL || r->last - phys < VM_PAGE_SIZE - 1)
    return;
  page->host = r->host + (phys - r->start);
  if (r->readonly)
    page->phys |= PERM_ROM;
  if (r->region->ram)
    page->flags = &r->region->ram->page_flags[(r->region->ram_offset + r->offset + (phys - r->start)) >>
                                              VM_PAGE_SHIFT];
}

/* --- life -------------------------------------------------------------------------------------- */

static void
use_view (VmX86Env *env)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);

  tcg->second->view = env->smm && tcg->smm_view ? tcg->smm_view : tcg->view;
  tcg->second->recent[0] = tcg->second->recent[1] = NULL;
}

static void
renew_view (VmAddressSpace *as, VmFlatView **view, unsigned *generation)
{
  VmFlatView *old = *view;

  if (as == NULL)
    return;
  /* The number first: a change in between shows as one more renewal, never as one missed. */
  *generation = __atomic_load_n (&as->generation, __ATOMIC_ACQUIRE);
  *view = vm_address_space_view (as);
  if (old)
    vm_flat_view_unref (old);
}

void
vm_tlb_begin (VmX86Cpu *cpu)
{
  VmTcgCpu *tcg = vm_tcg_cpu (&cpu->env);

  tcg->cpu = cpu;
  tcg->monitor_line = 1;
  tcg->second = g_aligned_alloc0 (1, sizeof *tcg->second, 64);
  tcg->journal = g_new0 (struct VmTlbJournal, 1);
  for (unsigned i = 0; i < L1_SLOTS; i++)
    l1_entries (tcg)[i].tag = VM_TLB_INVALID;
  tcg->second->next_asid = ASID_MAX; /* the first flush clears the L2 */
  renew_view (cpu->memory_as, &tcg->view, &tcg->view_generation);
  renew_view (cpu->smm_as, &tcg->smm_view, &tcg->smm_view_generation);
  vm_tlb_flush_all (&cpu->env);
}

void
vm_tlb_end (VmX86Cpu *cpu)
{
  VmTcgCpu *tcg = vm_tcg_cpu (&cpu->env);

  g_clear_pointer (&tcg->view, vm_flat_view_unref);
  g_clear_pointer (&tcg->smm_view, vm_flat_view_unref);
  g_clear_pointer (&tcg->journal, g_free);
  g_clear_pointer (&tcg->second, g_aligned_free);
}

void
vm_tlb_safe_point (VmX86Env *env)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmX86Cpu *cpu = tcg->cpu;
  bool memory, smm;

  memory = cpu->memory_as &&
           __atomic_load_n (&cpu->memory_as->generation, __ATOMIC_ACQUIRE) != tcg->view_generation;
  smm = cpu->smm_as &&
        __atomic_load_n (&cpu->smm_as->generation, __ATOMIC_ACQUIRE) != tcg->smm_view_generation;
  if (G_LIKELY (!memory && !smm))
    return;
  vm_tcg_leave_guest_fpu (env);
  if (memory)
    renew_view (cpu->memory_as, &tcg->view, &tcg->view_generation);
  if (smm)
    renew_view (cpu->smm_as, &tcg->smm_view, &tcg->smm_view_generation);
  vm_tlb_flush_all (env);
}

/* --- flushing ---------------------------------------------------------------------------------- */

static inline bool
slot_is_global (const struct VmTlbJournal *journal, unsigned slot)
{
  return journal->global[slot / 64] >> (slot % 64) & 1;
}

static inline void
note_slot (struct VmTlbJournal *journal, unsigned slot, bool global)
{
  if (G_LIKELY (journal->list[global].n < JOURNAL_SIZE))
    journal->list[global].slot[journal->list[global].n++] = slot;
  else
    journal->list[global].overflow = true;
  journal->global[slot / 64] = (journal->global[slot / 64] & ~VM_BIT (slot % 64)) | (uint64_t) global << (slot % 64);
}

/* Drops the entries of global pages, or the others. */
static void
clear_l1 (VmTcgCpu *tcg, bool global)
{
  struct VmTlbJournal *journal = tcg->journal;
  VmTlbEntry *entries = l1_entries (tcg);
  bool overflow = journal->list[global].overflow;
  unsigned n = overflow ? L1_SLOTS : journal->list[global].n;

  for (unsigned i = 0; i < n; i++)
    {
      unsigned slot = overflow ? i : journal->list[global].slot[i];

      if (slot_is_global (journal, slot) == global)
        entries[slot].tag = VM_TLB_INVALID;
    }
  journal->list[global].n = 0;
  journal->list[global].overflow = false;
}

void
vm_tlb_flush_l1 (VmX86Env *env)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);

  clear_l1 (tcg, false);
  clear_l1 (tcg, true);
  vm_tlb_forget_fetches (tcg);
}

/* An ASID that no L2 entry carries. */
static unsigned
fresh_asid (struct VmTlb2 *l2)
{
  if (l2->next_asid >= ASID_MAX)
    {
      for (unsigned i = 0; i < TLB2_SETS; i++)
        for (unsigned way = 0; way < TLB2_WAYS; way++)
          l2->set[i][way].tag = VM_TLB_INVALID;
      for (unsigned i = 0; i < PCID_SLOTS; i++)
        l2->pcid[i].asid = 0;
      l2->next_asid = 1;
      l2->global_asid = l2->next_asid++;
    }
  return l2->next_asid++;
}

static unsigned
current_pcid (const VmX86Env *env)
{
  return env->cr4 & VM_CR4_PCIDE ? env->cr3 & 0xfff : 0;
}

static void
new_asid_for (struct VmTlb2 *l2, unsigned pcid, bool current)
{
  unsigned asid = fresh_asid (l2);

  l2->pcid[pcid % PCID_SLOTS].pcid = pcid;
  l2->pcid[pcid % PCID_SLOTS].asid = asid;
  if (current)
    l2->asid = asid;
}

static void
clear_large (struct VmTlb2 *l2)
{
  if (l2->any_large)
    for (unsigned i = 0; i < G_N_ELEMENTS (l2->large); i++)
      l2->large[i] = 0;
  l2->any_large = false;
  memset (l2->huge, 0, sizeof l2->huge);
}

void
vm_tlb_flush_all (VmX86Env *env)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  struct VmTlb2 *l2 = tcg->second;

  if (l2 == NULL)
    return; /* no thread yet, so nothing is cached */
  if (vm_log_enabled (VM_LOG_MMU))
    vm_tcg_log_mmu (env, "all translations dropped, cr3", env->cr3);
  use_view (env);
  vm_tlb_flush_l1 (env);
  clear_large (l2);
  for (unsigned i = 0; i < PCID_SLOTS; i++)
    l2->pcid[i].asid = 0;
  l2->global_asid = fresh_asid (l2);
  new_asid_for (l2, current_pcid (env), true);
}

void
vm_tlb_switch_cr3 (VmX86Env *env, uint64_t cr3, bool keep)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  struct VmTlb2 *l2 = tcg->second;
  unsigned pcid = env->cr4 & VM_CR4_PCIDE ? cr3 & 0xfff : 0;

  if (l2 == NULL)
    return;
  if (vm_log_enabled (VM_LOG_MMU))
    vm_tcg_log_mmu (env, "address space", cr3);
  clear_l1 (tcg, false);
  tcg->fetch_epoch++;
  tcg->fetch_switches++;
  if (keep && l2->pcid[pcid % PCID_SLOTS].pcid == pcid && l2->pcid[pcid % PCID_SLOTS].asid != 0)
    l2->asid = l2->pcid[pcid % PCID_SLOTS].asid;
  else
    new_asid_for (l2, pcid, true);
}

static void
drop_l2_page (struct VmTlb2 *l2, uint64_t page, unsigned asid)
{
  Tlb2Entry *set = l2->set[(page >> VM_PAGE_SHIFT) & (TLB2_SETS - 1)];

  for (unsigned way = 0; way < TLB2_WAYS; way++)
    if (set[way].tag == (page | asid))
      set[way].tag = VM_TLB_INVALID;
}

static void
drop_l1_page (VmTcgCpu *tcg, uint64_t page)
{
  unsigned index = vm_tlb_index (page);

  for (unsigned ctx = 0; ctx < VM_TLB_CONTEXTS; ctx++)
    {
      if (tcg->tlb[ctx].read[index].tag == page)
        tcg->tlb[ctx].read[index].tag = VM_TLB_INVALID;
      if (tcg->tlb[ctx].write[index].tag == page)
        tcg->tlb[ctx].write[index].tag = VM_TLB_INVALID;
    }
}

static unsigned
large_hash (uint64_t linear)
{
  return ((linear >> 22) * UINT64_C (0x9e3779b97f4a7c15)) >> 48;
}

static unsigned
huge_hash (uint64_t linear)
{
  return ((linear >> 30) * UINT64_C (0x9e3779b97f4a7c15)) >> 54;
}

static void
drop_fetches (VmTcgCpu *tcg, uint64_t page)
{
  if (tcg->n_fetch_drops < G_N_ELEMENTS (tcg->fetch_drop))
    {
      tcg->fetch_drop[tcg->n_fetch_drops++] = page;
      tcg->fetch_epoch++;
    }
  else
    vm_tlb_forget_fetches (tcg);
}

void
vm_tlb_flush_page (VmX86Env *env, uint64_t linear)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  struct VmTlb2 *l2 = tcg->second;
  uint64_t page = linear & VM_PAGE_MASK;
  unsigned hash = large_hash (linear), huge = huge_hash (linear);

  if (vm_log_enabled (VM_LOG_MMU))
    vm_tcg_log_mmu (env, "translation dropped", linear);
  if (l2 == NULL)
    return;
  if (G_UNLIKELY (l2->huge[huge / 64] & VM_BIT (huge % 64)))
    {
      vm_tlb_flush_all (env);
      return;
    }
  if (l2->any_large && (l2->large[hash / 64] & VM_BIT (hash % 64)))
    {
      /* Some large page in these 4 MiB was used: 1024 small entries at most. */
      uint64_t base = linear & ~(4 * VM_MIB - 1);

      vm_tlb_forget_fetches (tcg);
      for (unsigned i = 0; i < 1024; i++)
        {
          uint64_t p = base + i * (uint64_t) VM_PAGE_SIZE;

          drop_l1_page (tcg, p);
          drop_l2_page (l2, p, l2->asid);
          drop_l2_page (l2, p, l2->global_asid);
        }
      return;
    }
  drop_fetches (tcg, page);
  drop_l1_page (tcg, page);
  drop_l2_page (l2, page, l2->asid);
  drop_l2_page (l2, page, l2->global_asid);
}

void
vm_tlb_invpcid (VmX86Env *env, unsigned type, unsigned pcid, uint64_t linear)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  struct VmTlb2 *l2 = tcg->second;
  bool is_current = pcid == current_pcid (env);

  if (l2 == NULL)
    return;
  switch (type)
    {
    case 0: /* one address: global translations may go too */
      if (is_current)
        vm_tlb_flush_page (env, linear);
      else if (l2->pcid[pcid % PCID_SLOTS].pcid == pcid)
        l2->pcid[pcid % PCID_SLOTS].asid = 0;
      break;
    case 1: /* one context, without global translations */
      if (is_current)
        vm_tlb_switch_cr3 (env, env->cr3, false);
      else if (l2->pcid[pcid % PCID_SLOTS].pcid == pcid)
        l2->pcid[pcid % PCID_SLOTS].asid = 0;
      break;
    case 2: /* everything */
      vm_tlb_flush_all (env);
      break;
    default: /* every context, without global translations */
      for (unsigned i = 0; i < PCID_SLOTS; i++)
        l2->pcid[i].asid = 0;
      vm_tlb_switch_cr3 (env, env->cr3, false);
      break;
    }
}

void
vm_tlb_protect_ram (VmX86Env *env, VmRamBlock *block, uint64_t offset, uint64_t len)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  struct VmTlbJournal *journal = tcg->journal;
  uintptr_t first = (uintptr_t) block->host + (offset & VM_PAGE_MASK);
  uintptr_t end = (uintptr_t) block->host + offset + len;

  if (journal == NULL)
    return;
  for (unsigned global = 0; global < 2; global++)
    {
      bool overflow = journal->list[global].overflow;
      unsigned count = overflow ? L1_SLOTS : journal->list[global].n;

      for (unsigned i = 0; i < count; i++)
        {
          unsigned slot = overflow ? i : journal->list[global].slot[i];
          VmTlbEntry *e = &l1_entries (tcg)[slot];
          uintptr_t host = (uintptr_t) (e->tag + e->addend);

          if (e->tag == VM_TLB_INVALID || slot / VM_TLB_SIZE % 2 == 0 || host < first || host >= end)
            continue;
          e->tag = VM_TLB_INVALID;
          /* Stores may have gone through this entry since the dirty bits were taken; once more is safe. */
          __atomic_fetch_or (&block->page_flags[(host - (uintptr_t) block->host) >> VM_PAGE_SHIFT],
                             VM_DIRTY_VGA | VM_DIRTY_MIGRATION, __ATOMIC_RELAXED);
        }
    }
}

/* --- filling ----------------------------------------------------------------------------------- */

static void
fill_l1 (VmTcgCpu *tcg, uint64_t page, unsigned access, unsigned ctx, uint8_t *host, bool global)
{
  VmTlbEntry *e = &l1_table (tcg, ctx, access)[vm_tlb_index (page)];
  unsigned slot = e - l1_entries (tcg);

  if (e->tag == VM_TLB_INVALID || slot_is_global (tcg->journal, slot) != global)
    note_slot (tcg->journal, slot, global);
  e->tag = page;
  e->addend = (uintptr_t) host - page;
}

static Tlb2Entry *
find_l2 (struct VmTlb2 *l2, uint64_t page)
{
  Tlb2Entry *set = l2->set[(page >> VM_PAGE_SHIFT) & (TLB2_SETS - 1)];
  uint64_t own = page | l2->asid, global = page | l2->global_asid;

  for (unsigned way = 0; way < TLB2_WAYS; way++)
    if (set[way].tag == own || set[way].tag == global)
      return &set[way];
  return NULL;
}

static Tlb2Entry *
fill_l2 (VmX86Env *env, uint64_t page, Walk *walk, Tlb2Entry *old)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  struct VmTlb2 *l2 = tcg->second;
  Tlb2Entry *set = l2->set[(page >> VM_PAGE_SHIFT) & (TLB2_SETS - 1)];
  Tlb2Entry *e = old;

  if (e == NULL)
    {
      e = &set[l2->victim++ % TLB2_WAYS];
      for (unsigned way = 0; way < TLB2_WAYS; way++)
        if (set[way].tag == VM_TLB_INVALID)
          e = &set[way];
    }
  e->tag = page | (walk->global ? l2->global_asid : l2->asid);
  e->page.phys = walk->phys | (walk->global ? PERM_G : 0);
  mmu_resolve_page (tcg, &e->page);
  if (walk->shift > 22)
    {
      unsigned hash = huge_hash (page);

      l2->huge[hash / 64] |= VM_BIT (hash % 64);
    }
  else if (walk->shift > 12)
    {
      unsigned hash = large_hash (page);

      l2->large[hash / 64] |= VM_BIT (hash % 64);
      l2->any_large = true;
    }
  return e;
}

bool
mmu_translate (VmX86Env *env, uint64_t linear, unsigned access, unsigned ctx, Page *page)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  uint64_t linear_page = linear & VM_PAGE_MASK;
  Tlb2Entry *e = find_l2 (tcg->second, linear_page);
  uint32_t error;

  if (G_UNLIKELY (e == NULL || !mmu_permits (env, e->page.phys, access, ctx, &error) ||
                  (access == VM_ACCESS_WRITE && !(e->page.phys & PERM_D))))
    {
      Walk walk;

      if (!mmu_walk (env, linear, access, ctx, &walk, &error))
        {
          /* What was cached is stale, or the access is forbidden: the fault itself invalidates it. */
          if (e)
            vm_tlb_flush_page (env, linear);
          mmu_note_fault (env, linear, error);
          return false;
        }
      e = fill_l2 (env, linear_page, &walk, e);
    }
  *page = e->page;
  if (page->host == NULL || access == VM_ACCESS_FETCH || (tcg->n_watch_pages && mmu_watched (tcg, linear)))
    return true;
  if (access == VM_ACCESS_WRITE)
    {
      uint8_t flags;

      if ((page->phys & PERM_ROM) || page->flags == NULL)
        return true;
      flags = __atomic_load_n (page->flags, __ATOMIC_ACQUIRE);
      if ((flags & (VM_DIRTY_VGA | VM_DIRTY_MIGRATION)) != (VM_DIRTY_VGA | VM_DIRTY_MIGRATION))
        flags = __atomic_fetch_or (page->flags, VM_DIRTY_VGA | VM_DIRTY_MIGRATION, __ATOMIC_ACQ_REL);
      if (flags & VM_PAGE_CODE)
        return true;
    }
  fill_l1 (tcg, linear_page, access, ctx, page->host, page->phys & PERM_G);
  return true;
}
