/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A debugger's breakpoints and watchpoints in translated code. Guest memory is not touched: a page with breakpoints
 * never enters the table of code pages, so that the exec loop sees each of its instructions come; watched pages are
 * softmmu/watch.c's. */
#include "engine/tcg/exec.h"

#include <stdlib.h>

typedef struct VmTcgBreaks {
  uint64_t   *pcs; /* sorted */
  unsigned    n;
  uint64_t    pages; /* hashed set of the pages that have some */
  VmTlbWatch *watches;
  uint16_t   *watch_points; /* which of the vCPU's points each watch is */
} VmTcgBreaks;

static uint64_t
page_bit (uint64_t linear)
{
  return UINT64_C (1) << (linear >> VM_PAGE_SHIFT & 63);
}

static int
compare (const void *a, const void *b)
{
  uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

  return x < y ? -1 : x > y;
}

void
vm_tcg_debug_end (VmTcgExec *x)
{
  VmTcgBreaks *b = x->breaks;

  x->breaks = NULL;
  if (b == NULL)
    return;
  g_free (b->pcs);
  g_free (b->watches);
  g_free (b->watch_points);
  g_free (b);
}

static void
add_watch (VmTcgBreaks *b, unsigned n, const VmDebugPoint *p, unsigned index)
{
  b->watches[n] = (VmTlbWatch) {
    .start = p->address,
    .last = p->address + MAX (p->length, 1) - 1,
    .on_read = p->kind != VM_DEBUG_WRITE,
    .on_write = p->kind != VM_DEBUG_READ,
  };
  if (b->watches[n].last < p->address)
    b->watches[n].last = UINT64_MAX;
  b->watch_points[n] = index;
}

bool
vm_tcg_debug_update (VmVcpu *vcpu)
{
  VmX86Env *env = &((VmX86Cpu *) vcpu)->env;
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmTcgExec *x = vm_tcg_exec_part (env);
  VmTcgBreaks *b = NULL;
  unsigned n_watches = 0, n_points = MIN (vcpu->n_points, UINT16_MAX);

  vm_tcg_debug_end (x);
  if (n_points)
    {
      b = g_new0 (VmTcgBreaks, 1);
      b->pcs = g_new (uint64_t, n_points);
      b->watches = g_new (VmTlbWatch, n_points);
      b->watch_points = g_new (uint16_t, n_points);
      for (unsigned i = 0; i < n_points; i++)
        {
          const VmDebugPoint *p = &vcpu->points[i];

          if (p->kind >= VM_DEBUG_WRITE)
            {
              add_watch (b, n_watches++, p, i);
              continue;
            }
          b->pcs[b->n++] = p->address;
          b->pages |= page_bit (p->address);
        }
      qsort (b->pcs, b->n, sizeof *b->pcs, compare);
    }
  x->breaks = b;
  tcg->debug_watches = b ? b->watches : NULL;
  tcg->n_debug_watches = n_watches;
  vm_tlb_update_watches (env);
  vm_tlb_forget_fetches (tcg); /* empties the tables of code pages */
  return n_points == vcpu->n_points;
}

bool
vm_tcg_debug_has_page (const VmTcgBreaks *b, uint64_t page)
{
  if (!(b->pages & page_bit (page)))
    return false;
  for (unsigned low = 0, high = b->n; low < high;)
    {
      unsigned middle = (low + high) / 2;
      uint64_t found = b->pcs[middle] & VM_PAGE_MASK;

      if (found == page)
        return true;
      if (found < page)
        low = middle + 1;
      else
        high = middle;
    }
  return false;
}

/* One that is stepped leaves the place it stands on. */
bool
vm_tcg_debug_stops (VmX86Env *env, VmTcgExec *x, uint64_t pc)
{
  const VmTcgBreaks *b = x->breaks;
  const VmDebugPoint *point;

  if (!(b->pages & page_bit (pc)) || x->vcpu->singlestep || !bsearch (&pc, b->pcs, b->n, sizeof *b->pcs, compare))
    return false;
  point = vm_vcpu_break_at (x->vcpu, pc);
  if (point == NULL)
    return false;
  x->vcpu->debug_stop = *point;
  vm_tcg_cpu (env)->debug_hit = true;
  return true;
}

void
vm_tcg_debug_note (VmX86Env *env, VmTcgExec *x)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmDebugPoint *stop = &x->vcpu->debug_stop;

  if (stop->kind)
    return;
  *stop = (VmDebugPoint) { .address = vm_tcg_pc (env), .length = 1, .kind = VM_DEBUG_STEP };
  if (!tcg->debug_hit || x->breaks == NULL || tcg->debug_hit_watch >= tcg->n_debug_watches)
    return;
  *stop = x->vcpu->points[x->breaks->watch_points[tcg->debug_hit_watch]];
  stop->address = tcg->debug_hit_address;
}
