/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data watchpoints: DR7's (SDM vol. 3, 18.2) and the debugger's. Watched pages never enter the L1, so that each
 * access to them comes by the slow path and is compared here. */
#include "engine/tcg/softmmu/softmmu-private.h"

static unsigned
breakpoint_length (uint64_t dr7, unsigned i)
{
  static const uint8_t lengths[4] = { 1, 2, 8, 4 };

  return lengths[(dr7 >> (18 + i * 4)) & 3];
}

static void
add_page (VmTcgCpu *tcg, uint64_t linear)
{
  uint64_t page = linear & VM_PAGE_MASK;

  for (unsigned i = 0; i < tcg->n_watch_pages; i++)
    if (tcg->watch_pages[i] == page)
      return;
  if (tcg->n_watch_pages < G_N_ELEMENTS (tcg->watch_pages))
    tcg->watch_pages[tcg->n_watch_pages++] = page;
  else
    tcg->watch_all = true;
}

void
vm_tlb_update_watches (VmX86Env *env)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  uint64_t dr7 = env->dr[7];

  tcg->n_watch_pages = 0;
  tcg->watch_all = false;
  for (unsigned i = 0; i < 4; i++)
    if ((dr7 >> (i * 2) & 3) && (dr7 >> (16 + i * 4) & 1)) /* enabled, writes or reads and writes */
      add_page (tcg, env->dr[i]);
  for (unsigned i = 0; i < tcg->n_debug_watches; i++)
    {
      const VmTlbWatch *w = &tcg->debug_watches[i];

      for (uint64_t page = w->start & VM_PAGE_MASK; page <= w->last && !tcg->watch_all; page += VM_PAGE_SIZE)
        {
          add_page (tcg, page);
          if (page == VM_PAGE_MASK)
            break; /* the last one there is */
        }
    }
  if (tcg->access_hook)
    {
      tcg->watch_all = true;
      if (tcg->n_watch_pages == 0)
        tcg->watch_pages[tcg->n_watch_pages++] = UINT64_MAX; /* no page's address */
    }
  if (tcg->second)
    vm_tlb_flush_l1 (env);
}

bool
mmu_watched (VmTcgCpu *tcg, uint64_t linear)
{
  for (unsigned i = 0; i < tcg->n_watch_pages; i++)
    if (tcg->watch_pages[i] == (linear & VM_PAGE_MASK))
      return true;
  return tcg->watch_all;
}

void
mmu_watch_access (VmX86Env *env, uint64_t linear, unsigned len, bool is_write)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  uint64_t dr7 = env->dr[7], last = linear + len - 1;

  if (G_UNLIKELY (tcg->access_hook != NULL))
    {
      vm_tcg_leave_guest_fpu (env);
      tcg->access_hook (env, linear, len, is_write);
    }
  for (unsigned i = 0; i < 4; i++)
    {
      unsigned kind = dr7 >> (16 + i * 4) & 3, size = breakpoint_length (dr7, i);
      uint64_t start = env->dr[i] & ~(uint64_t) (size - 1);

      if (!(kind & 1) || (kind == 1 && !is_write) || last < start || linear > start + size - 1)
        continue;
      if (dr7 >> (i * 2) & 3)
        tcg->watch_hit |= 1u << i;
    }
  for (unsigned i = 0; i < tcg->n_debug_watches; i++)
    {
      const VmTlbWatch *w = &tcg->debug_watches[i];

      if ((is_write ? w->on_write : w->on_read) && last >= w->start && linear <= w->last)
        {
          if (!tcg->debug_hit)
            {
              tcg->debug_hit_address = MAX (linear, w->start);
              tcg->debug_hit_watch = i;
            }
          tcg->debug_hit = true;
          __atomic_fetch_or (&env->poll, VM_POLL_KICK, __ATOMIC_RELAXED);
        }
    }
}
