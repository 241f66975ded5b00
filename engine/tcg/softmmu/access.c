/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loads and stores at linear addresses: the fast path again for C callers, then pages that are registers,
 * ROM, code, watched or unassigned, and accesses over a page's end. */
#include "engine/tcg/softmmu/softmmu-private.h"

#include "engine/tcg/code/code.h"

/* --- raising ----------------------------------------------------------------------------------- */

static void
note (VmX86Env *env, int vector, uint32_t error, uint64_t address)
{
  env->exc_vector = vector;
  env->exc_error = error;
  env->exc_addr = address;
}

void
mmu_note_fault (VmX86Env *env, uint64_t linear, uint32_t error)
{
  note (env, VM_EXC_PF, error, linear);
}

G_NORETURN static void
leave (VmX86Env *env)
{
  siglongjmp (*vm_tcg_cpu (env)->fault_env, 1);
}

void
vm_x86_raise (VmX86Env *env, int vector)
{
  note (env, vector, 0, 0);
  leave (env);
}

void
vm_x86_raise_error (VmX86Env *env, int vector, uint32_t error)
{
  note (env, vector, error, 0);
  leave (env);
}

void
vm_x86_raise_page_fault (VmX86Env *env, uint64_t linear, uint32_t error)
{
  note (env, VM_EXC_PF, error, linear);
  leave (env);
}

/* --- bytes ------------------------------------------------------------------------------------- */

/* Guest bytes: of any alignment, and nothing that the compiler may reason about. */
typedef uint16_t any16 __attribute__ ((aligned (1), may_alias));
typedef uint32_t any32 __attribute__ ((aligned (1), may_alias));
typedef uint64_t any64 __attribute__ ((aligned (1), may_alias));

static inline uint64_t
host_load (const void *p, unsigned size)
{
  switch (size)
    {
    case 1: return *(const volatile uint8_t *) p;
    case 2: return *(const volatile any16 *) p;
    case 4: return *(const volatile any32 *) p;
    case 8: return *(const volatile any64 *) p;
    default:
      {
        uint64_t v = 0;

        for (unsigned i = 0; i < size; i++)
          v |= (uint64_t) ((const volatile uint8_t *) p)[i] << (i * 8);
        return v;
      }
    }
}

static inline void
host_store (void *p, uint64_t v, unsigned size)
{
  switch (size)
    {
    case 1: *(volatile uint8_t *) p = v; break;
    case 2: *(volatile any16 *) p = v; break;
    case 4: *(volatile any32 *) p = v; break;
    case 8: *(volatile any64 *) p = v; break;
    default:
      for (unsigned i = 0; i < size; i++)
        ((volatile uint8_t *) p)[i] = v >> (i * 8);
      break;
    }
}

static inline uint64_t
ones (unsigned size)
{
  return size >= 8 ? UINT64_MAX : VM_BIT (size * 8) - 1;
}

/* --- what is not direct ------------------------------------------------------------------------ */

static VmMemAttrs
attrs_of (const VmX86Env *env, bool user)
{
  return (VmMemAttrs) { .smm = env->smm, .user = user };
}

uint64_t
mmu_region_load (VmX86Env *env, uint64_t phys, unsigned size, bool user)
{
  const VmFlatRange *r = mmu_find_range (vm_tcg_cpu (env), phys);
  uint64_t value = 0;

  if (r == NULL)
    {
      /* Nothing up to the next range: only the part of it that lies there can answer. */
      if (size > 1 && mmu_find_range (vm_tcg_cpu (env), phys + size - 1) != NULL)
        goto bytes;
      return ones (size);
    }
  if (r->last - phys < size - 1 || (size & (size - 1)))
    goto bytes;
  if (r->host)
    return host_load (r->host + (phys - r->start), size);
  vm_tcg_leave_guest_fpu (env);
  vm_region_read (r->region, r->offset + (phys - r->start), &value, size, attrs_of (env, user));
  vm_tlb_safe_point (env);
  return value & ones (size);

bytes:
  for (unsigned i = 0; i < size; i++)
    value |= mmu_region_load (env, phys + i, 1, user) << (i * 8);
  return value;
}

void
mmu_region_store (VmX86Env *env, uint64_t phys, uint64_t value, unsigned size, bool user)
{
  const VmFlatRange *r = mmu_find_range (vm_tcg_cpu (env), phys);

  if (size > 1 && (size & (size - 1) || (r ? r->last - phys < size - 1
                                           : mmu_find_range (vm_tcg_cpu (env), phys + size - 1) != NULL)))
    {
      for (unsigned i = 0; i < size; i++)
        mmu_region_store (env, phys + i, value >> (i * 8) & 0xff, 1, user);
      return;
    }
  if (r == NULL)
    return;
  if (r->host && !r->readonly)
    {
      uint64_t offset = r->offset + (phys - r->start);
      Page page = { .phys = phys & VM_PAGE_MASK };

      host_store (r->host + (phys - r->start), value, size);
      if (r->region->ram)
        page.flags = &r->region->ram->page_flags[(r->region->ram_offset + offset) >> VM_PAGE_SHIFT];
      mmu_ram_stored (env, &page, phys, size);
      return;
    }
  if (r->region->kind == VM_REGION_ROM || r->region->kind == VM_REGION_RAM)
    return; /* writes vanish */
  vm_tcg_leave_guest_fpu (env);
  vm_region_write (r->region, r->offset + (phys - r->start), value, size, attrs_of (env, user));
  vm_tlb_safe_point (env);
}

void
mmu_ram_stored (VmX86Env *env, const Page *page, uint64_t phys, unsigned len)
{
  uint8_t flags;

  if (page->flags == NULL)
    return;
  flags = __atomic_load_n (page->flags, __ATOMIC_ACQUIRE);
  if ((flags & (VM_DIRTY_VGA | VM_DIRTY_MIGRATION)) != (VM_DIRTY_VGA | VM_DIRTY_MIGRATION))
    __atomic_fetch_or (page->flags, VM_DIRTY_VGA | VM_DIRTY_MIGRATION, __ATOMIC_RELAXED);
  if (flags & VM_PAGE_CODE)
    {
      const VmFlatRange *r = mmu_find_range (vm_tcg_cpu (env), phys);

      if (r && r->region->ram)
        vm_code_written (env, r->region->ram, r->region->ram_offset + r->offset + (phys - r->start), len);
    }
}

uint64_t
vm_mmu_phys_load (VmX86Env *env, uint64_t phys, unsigned size)
{
  return mmu_region_load (env, mmu_a20 (env, phys), size, false);
}

void
vm_mmu_phys_store (VmX86Env *env, uint64_t phys, uint64_t value, unsigned size)
{
  mmu_region_store (env, mmu_a20 (env, phys), value, size, false);
}

/* --- one page's part of an access -------------------------------------------------------------- */

static uint64_t
page_load (VmX86Env *env, const Page *page, uint64_t linear, unsigned size, unsigned ctx)
{
  unsigned offset = linear & ~VM_PAGE_MASK;

  if (page->host)
    return host_load (page->host + offset, size);
  return mmu_region_load (env, (page->phys & VM_PAGE_MASK) | offset, size, ctx == VM_TLB_USER);
}

static void
page_store (VmX86Env *env, const Page *page, uint64_t linear, uint64_t value, unsigned size, unsigned ctx)
{
  unsigned offset = linear & ~VM_PAGE_MASK;
  uint64_t phys = (page->phys & VM_PAGE_MASK) | offset;

  if (page->host && !(page->phys & PERM_ROM))
    {
      host_store (page->host + offset, value, size);
      mmu_ram_stored (env, page, phys, size);
    }
  else
    mmu_region_store (env, phys, value, size, ctx == VM_TLB_USER);
}

/* Addresses wrap at 4 GiB outside 64-bit code. */
static uint64_t
second_page (const VmX86Env *env, uint64_t linear)
{
  uint64_t next = (linear & VM_PAGE_MASK) + VM_PAGE_SIZE;

  return env->mode & VM_MODE_CS64 || linear > UINT32_MAX ? next : next & UINT32_MAX;
}

static inline uint8_t *
l1_lookup (VmTcgCpu *tcg, uint64_t linear, unsigned len, unsigned access, unsigned ctx)
{
  const VmTlbEntry *e = access == VM_ACCESS_WRITE ? &tcg->tlb[ctx].write[vm_tlb_index (linear)]
                                                  : &tcg->tlb[ctx].read[vm_tlb_index (linear)];

  if (G_LIKELY (e->tag == ((linear + len - 1) & VM_PAGE_MASK) && ((linear ^ (linear + len - 1)) < VM_PAGE_SIZE)))
    return (uint8_t *) (uintptr_t) (linear + e->addend);
  return NULL;
}

static inline unsigned
bytes_in_page (uint64_t linear, unsigned len)
{
  unsigned room = VM_PAGE_SIZE - (linear & ~VM_PAGE_MASK);

  return MIN (room, len);
}

static bool
try_load_slow (VmX86Env *env, uint64_t linear, unsigned size, unsigned ctx, uint64_t *value)
{
  unsigned first = bytes_in_page (linear, size);
  Page page, next;

  if (!mmu_translate (env, linear, VM_ACCESS_READ, ctx, &page))
    return false;
  if (first == size)
    *value = page_load (env, &page, linear, size, ctx);
  else
    {
      uint64_t linear2 = second_page (env, linear);

      if (!mmu_translate (env, linear2, VM_ACCESS_READ, ctx, &next))
        return false;
      *value = page_load (env, &page, linear, first, ctx) |
               page_load (env, &next, linear2, size - first, ctx) << (first * 8);
    }
  if (vm_tcg_cpu (env)->n_watch_pages)
    mmu_watch_access (env, linear, size, false);
  return true;
}

static bool
try_store_slow (VmX86Env *env, uint64_t linear, uint64_t value, unsigned size, unsigned ctx)
{
  unsigned first = bytes_in_page (linear, size);
  Page page, next;

  if (!mmu_translate (env, linear, VM_ACCESS_WRITE, ctx, &page))
    return false;
  if (first == size)
    page_store (env, &page, linear, value, size, ctx);
  else
    {
      uint64_t linear2 = second_page (env, linear);

      if (!mmu_translate (env, linear2, VM_ACCESS_WRITE, ctx, &next))
        return false;
      page_store (env, &page, linear, value & ones (first), first, ctx);
      page_store (env, &next, linear2, value >> (first * 8), size - first, ctx);
    }
  if (vm_tcg_cpu (env)->n_watch_pages)
    mmu_watch_access (env, linear, size, true);
  return true;
}

/* --- public ------------------------------------------------------------------------------------ */

bool
vm_mmu_try_load (VmX86Env *env, uint64_t linear, unsigned size, unsigned ctx, uint64_t *value)
{
  const uint8_t *host = l1_lookup (vm_tcg_cpu (env), linear, size, VM_ACCESS_READ, ctx);

  if (G_LIKELY (host != NULL))
    {
      *value = host_load (host, size);
      return true;
    }
  return try_load_slow (env, linear, size, ctx, value);
}

bool
vm_mmu_try_store (VmX86Env *env, uint64_t linear, uint64_t value, unsigned size, unsigned ctx)
{
  uint8_t *host = l1_lookup (vm_tcg_cpu (env), linear, size, VM_ACCESS_WRITE, ctx);

  if (G_LIKELY (host != NULL))
    {
      host_store (host, value, size);
      return true;
    }
  return try_store_slow (env, linear, value, size, ctx);
}

uint64_t
vm_mmu_load (VmX86Env *env, uint64_t linear, unsigned size, unsigned ctx)
{
  uint64_t value;

  if (!vm_mmu_try_load (env, linear, size, ctx, &value))
    leave (env);
  return value;
}

void
vm_mmu_store (VmX86Env *env, uint64_t linear, uint64_t value, unsigned size, unsigned ctx)
{
  if (!vm_mmu_try_store (env, linear, value, size, ctx))
    leave (env);
}

/* The pages of [LINEAR, LINEAR + LEN), at most two; false when one faults. */
static bool
translate_both (VmX86Env *env, uint64_t linear, unsigned len, unsigned access, unsigned ctx, Page page[2])
{
  return mmu_translate (env, linear, access, ctx, &page[0]) &&
         (bytes_in_page (linear, len) == len ||
          mmu_translate (env, second_page (env, linear), access, ctx, &page[1]));
}

/* Bytes of the next piece: up to 8, of a size that registers know, within the page. */
static unsigned
piece (uint64_t linear, unsigned len)
{
  unsigned n = bytes_in_page (linear, MIN (len, 8));

  return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

void
vm_mmu_load_bytes (VmX86Env *env, uint64_t linear, void *buf, unsigned len, unsigned ctx)
{
  Page page[2];
  unsigned in_first = bytes_in_page (linear, len);
  uint8_t *out = buf;

  if (!translate_both (env, linear, len, VM_ACCESS_READ, ctx, page))
    leave (env);
  for (unsigned i = 0, n; i < len; i += n)
    {
      bool is_first = i < in_first;
      uint64_t at = is_first ? linear + i : second_page (env, linear) + (i - in_first);

      n = piece (at, len - i);
      host_store (out + i, page_load (env, &page[!is_first], at, n, ctx), n);
    }
  if (vm_tcg_cpu (env)->n_watch_pages)
    mmu_watch_access (env, linear, len, false);
}

void
vm_mmu_store_bytes (VmX86Env *env, uint64_t linear, const void *buf, unsigned len, unsigned ctx)
{
  Page page[2];
  unsigned in_first = bytes_in_page (linear, len);
  const uint8_t *in = buf;

  if (!translate_both (env, linear, len, VM_ACCESS_WRITE, ctx, page))
    leave (env);
  for (unsigned i = 0, n; i < len; i += n)
    {
      bool is_first = i < in_first;
      uint64_t at = is_first ? linear + i : second_page (env, linear) + (i - in_first);

      n = piece (at, len - i);
      page_store (env, &page[!is_first], at, host_load (in + i, n), n, ctx);
    }
  if (vm_tcg_cpu (env)->n_watch_pages)
    mmu_watch_access (env, linear, len, true);
}

void
vm_mmu_probe_write (VmX86Env *env, uint64_t linear, unsigned len, unsigned ctx)
{
  Page page[2];

  if (l1_lookup (vm_tcg_cpu (env), linear, len, VM_ACCESS_WRITE, ctx))
    return;
  if (!translate_both (env, linear, len, VM_ACCESS_WRITE, ctx, page))
    leave (env);
}

void *
vm_mmu_try_host (VmX86Env *env, uint64_t linear, unsigned len, unsigned access, unsigned ctx)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  uint8_t *host = l1_lookup (tcg, linear, len, access, ctx);
  Page page[2];

  env->exc_vector = -1;
  if (G_LIKELY (host != NULL))
    return host;
  if (bytes_in_page (linear, len) != len)
    return NULL;
  if (!mmu_translate (env, linear, access, ctx, page))
    return NULL;
  /* The L1 has it now exactly when direct access is right. */
  return l1_lookup (tcg, linear, len, access, ctx);
}

void *
vm_mmu_host (VmX86Env *env, uint64_t linear, unsigned len, unsigned access, unsigned ctx)
{
  void *host = vm_mmu_try_host (env, linear, len, access, ctx);

  if (host == NULL && env->exc_vector >= 0)
    leave (env);
  return host;
}

const uint8_t *
vm_mmu_fetch_page (VmX86Env *env, uint64_t linear, VmRamBlock **block, uint64_t *ram_offset,
                   uint64_t *phys_page)
{
  unsigned ctx = (env->mode & VM_MODE_CPL) == VM_MODE_CPL ? VM_TLB_USER : VM_TLB_SUPERVISOR;
  const VmFlatRange *r;
  Page page;

  if (!mmu_translate (env, linear, VM_ACCESS_FETCH, ctx, &page))
    leave (env);
  *phys_page = page.phys & VM_PAGE_MASK;
  vm_tcg_cpu (env)->fetched_global = page.phys & PERM_G;
  *block = NULL;
  *ram_offset = 0;
  if (page.host == NULL)
    return NULL;
  r = mmu_find_range (vm_tcg_cpu (env), *phys_page);
  if (r == NULL || r->region->ram == NULL || r->region->ram_device)
    return NULL;
  *block = r->region->ram;
  *ram_offset = r->region->ram_offset + r->offset + (*phys_page - r->start);
  return page.host;
}

uint8_t
vm_mmu_fetch_byte (VmX86Env *env, uint64_t linear)
{
  unsigned ctx = (env->mode & VM_MODE_CPL) == VM_MODE_CPL ? VM_TLB_USER : VM_TLB_SUPERVISOR;
  Page page;

  if (!mmu_translate (env, linear, VM_ACCESS_FETCH, ctx, &page))
    leave (env);
  return page_load (env, &page, linear, 1, ctx);
}
