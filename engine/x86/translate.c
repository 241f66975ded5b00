/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Page tables seen from outside: translation for debuggers, "info tlb" and "info mem". */
#include "engine/x86/arch-ops.h"
#include "engine/x86/model.h"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_PS = 0x80 };
#define PTE_ADDR VM_MASK (51, 12)

typedef struct Paging {
  VmX86Cpu *cpu;
  unsigned  levels;     /* 2 (also for the part of PAE below its registers), 4, 5 */
  unsigned  entry_size; /* 4, 8 */
  bool      is_pae;
} Paging;

static bool
paging_of (VmX86Cpu *cpu, Paging *p)
{
  const VmX86Env *env = &cpu->env;

  p->cpu = cpu;
  p->is_pae = (env->cr4 & VM_CR4_PAE) && !(env->efer & VM_EFER_LMA);
  p->levels = env->efer & VM_EFER_LMA ? (env->cr4 & VM_CR4_LA57 ? 5 : 4) : p->is_pae ? 3 : 2;
  p->entry_size = env->cr4 & VM_CR4_PAE ? 8 : 4;
  return (env->cr0 & VM_CR0_PG) != 0;
}

static uint64_t
read_entry (const Paging *p, uint64_t phys)
{
  VmX86Cpu *cpu = p->cpu;
  VmAddressSpace *as = cpu->env.smm && cpu->smm_as ? cpu->smm_as : cpu->memory_as;

  if (cpu->env.a20_masked)
    phys &= ~UINT64_C (0x100000);
  return as ? vm_as_load (as, phys, p->entry_size, (VmMemAttrs) { .smm = cpu->env.smm }, NULL) : 0;
}

static unsigned
index_bits (const Paging *p)
{
  return p->entry_size == 8 ? 9 : 10;
}

static unsigned
level_shift (const Paging *p, unsigned level)
{
  return 12 + index_bits (p) * (level - 1);
}

static bool
is_leaf (const Paging *p, uint64_t entry, unsigned level)
{
  if (level == 1)
    return true;
  if (!(entry & PTE_PS) || level > 3 || (level == 3 && p->is_pae))
    return false;
  return p->entry_size == 8 || (p->cpu->env.cr4 & VM_CR4_PSE);
}

static uint64_t
leaf_address (const Paging *p, uint64_t entry, unsigned level)
{
  if (p->entry_size == 4 && level == 2)
    return (entry & 0xffc00000) | (entry & 0x1fe000) << 19;
  return entry & (p->entry_size == 8 ? PTE_ADDR : 0xfffff000) & (~UINT64_C (0) << level_shift (p, level));
}

static uint64_t
root_of (const Paging *p)
{
  uint64_t cr3 = p->cpu->env.cr3;

  return p->is_pae ? cr3 & 0xffffffe0 : cr3 & (p->entry_size == 8 ? PTE_ADDR : 0xfffff000);
}

static uint64_t
entry_at (const Paging *p, uint64_t table, unsigned level, unsigned index)
{
  if (p->is_pae && level == 3)
    return p->cpu->env.pdpte[index & 3];
  return read_entry (p, table + index * p->entry_size);
}

uint64_t
vm_x86_debug_translate (VmX86Cpu *cpu, uint64_t linear)
{
  uint64_t a20 = cpu->env.a20_masked ? ~UINT64_C (0x100000) : UINT64_MAX, table;
  Paging p;

  if (!(cpu->env.efer & VM_EFER_LMA))
    linear &= UINT32_MAX;
  if (!paging_of (cpu, &p))
    return linear & a20;
  table = root_of (&p);
  for (unsigned level = p.levels; level > 0; level--)
    {
      unsigned shift = level_shift (&p, level);
      unsigned index = linear >> shift & ((1u << index_bits (&p)) - 1);
      uint64_t entry = entry_at (&p, table, level, index);

      if (!(entry & PTE_P))
        return UINT64_MAX;
      if (is_leaf (&p, entry, level))
        return (leaf_address (&p, entry, level) | (linear & (VM_BIT (shift) - 1))) & a20;
      table = entry & (p.entry_size == 8 ? PTE_ADDR : 0xfffff000);
    }
  return UINT64_MAX;
}

/* --- listing --------------------------------------------------------------------------------------- */

enum { MAX_LINES = 1 << 18 };

/* For each leaf: its linear address, the entry, the level, and the rights of all levels (U and W). An absent
 * range is told with ENTRY 0. Returns false to stop. */
typedef bool (*LeafFunc) (void *opaque, const Paging *p, uint64_t linear, uint64_t entry, unsigned level,
                          unsigned rights);

static uint64_t
extend (const Paging *p, uint64_t linear)
{
  unsigned top = p->levels == 5 ? 57 : 48;

  return p->levels >= 4 ? (uint64_t) ((int64_t) (linear << (64 - top)) >> (64 - top)) : linear;
}

static bool
visit (const Paging *p, uint64_t table, unsigned level, uint64_t linear, unsigned rights, LeafFunc func,
       void *opaque)
{
  unsigned n = p->is_pae && level == 3 ? 4 : 1u << index_bits (p);

  for (unsigned i = 0; i < n; i++)
    {
      uint64_t entry = entry_at (p, table, level, i);
      uint64_t at = linear | (uint64_t) i << level_shift (p, level);
      unsigned below = p->is_pae && level == 3 ? rights : rights & entry;

      if (!(entry & PTE_P) || is_leaf (p, entry, level))
        {
          if (!func (opaque, p, extend (p, at), entry & PTE_P ? entry : 0, level, below))
            return false;
        }
      else if (!visit (p, entry & (p->entry_size == 8 ? PTE_ADDR : 0xfffff000), level - 1, at, below, func, opaque))
        return false;
    }
  return true;
}

typedef struct TlbText {
  GString *text;
  unsigned lines;
} TlbText;

static bool
print_leaf (void *opaque, const Paging *p, uint64_t linear, uint64_t entry, unsigned level, unsigned rights)
{
  TlbText *t = opaque;

  (void) rights;
  if (entry == 0)
    return true;
  g_string_append_printf (t->text,
                          "%016" G_GINT64_MODIFIER "x: %016" G_GINT64_MODIFIER "x %c%c%c%c%c%c%c%c%c\n", linear,
                          leaf_address (p, entry, level), p->entry_size == 8 && entry >> 63 ? 'X' : '-',
                          entry & 0x100 ? 'G' : '-', level > 1 ? 'P' : '-', entry & 0x40 ? 'D' : '-',
                          entry & 0x20 ? 'A' : '-', entry & 0x10 ? 'C' : '-', entry & 8 ? 'T' : '-',
                          entry & 4 ? 'U' : '-', entry & 2 ? 'W' : '-');
  return ++t->lines < MAX_LINES;
}

char *
vm_x86_describe_tlb (VmX86Cpu *cpu)
{
  TlbText t = { .text = g_string_new (NULL) };
  Paging p;

  if (!paging_of (cpu, &p))
    g_string_append (t.text, "PG disabled\n");
  else
    visit (&p, root_of (&p), p.levels, 0, PTE_U | PTE_W, print_leaf, &t);
  return g_string_free (t.text, FALSE);
}

typedef struct MemText {
  GString *text;
  unsigned lines;
  uint64_t start;
  int      rights; /* of the range that begins at START; -1: nothing mapped */
} MemText;

static void
end_range (MemText *m, uint64_t end)
{
  if (m->rights < 0)
    return;
  g_string_append_printf (m->text,
                          "%016" G_GINT64_MODIFIER "x-%016" G_GINT64_MODIFIER "x %016" G_GINT64_MODIFIER "x %cr%c\n",
                          m->start, end, end - m->start, m->rights & PTE_U ? 'u' : '-', m->rights & PTE_W ? 'w' : '-');
  m->lines++;
}

static bool
add_range (void *opaque, const Paging *p, uint64_t linear, uint64_t entry, unsigned level, unsigned rights)
{
  MemText *m = opaque;
  int now = entry ? (int) (rights & (PTE_U | PTE_W)) : -1;

  (void) p;
  (void) level;
  if (now == m->rights)
    return true;
  end_range (m, linear);
  m->start = linear;
  m->rights = now;
  return m->lines < MAX_LINES;
}

char *
vm_x86_describe_mem (VmX86Cpu *cpu)
{
  MemText m = { .text = g_string_new (NULL), .rights = -1 };
  Paging p;

  if (!paging_of (cpu, &p))
    g_string_append (m.text, "PG disabled\n");
  else
    {
      visit (&p, root_of (&p), p.levels, 0, PTE_U | PTE_W, add_range, &m);
      end_range (&m, p.levels >= 4 ? 0 : UINT64_C (0x100000000));
    }
  return g_string_free (m.text, FALSE);
}

static bool
add_mapping (void *opaque, const Paging *p, uint64_t linear, uint64_t entry, unsigned level, unsigned rights)
{
  GArray *list = opaque;
  VmMapping m = { linear, entry ? leaf_address (p, entry, level) : 0, VM_BIT (level_shift (p, level)) };
  VmMapping *last = list->len ? &g_array_index (list, VmMapping, list->len - 1) : NULL;

  (void) rights;
  if (entry == 0)
    return true;
  if (last && last->linear + last->size == m.linear && last->physical + last->size == m.physical)
    last->size += m.size;
  else
    g_array_append_val (list, m);
  return list->len < MAX_LINES;
}

void
vm_x86_list_mappings (VmVcpu *vcpu, GArray *mappings)
{
  Paging p;

  if (paging_of ((VmX86Cpu *) vcpu, &p))
    visit (&p, root_of (&p), p.levels, 0, PTE_U | PTE_W, add_mapping, mappings);
}
