/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paging rights in every mode against a second, plain statement of the rules; what the TLBs may and must not
 * remember; accesses over page ends; data breakpoints; speed with "-m perf". */
#include "config.h"

#include <stdlib.h>

#include "engine/tcg/sys/sys.h"
#include "engine/x86/model.h"

#define RAM_SIZE (64 * VM_MIB)
#define TABLES   0x100000 /* page tables from here on, one a page */
#define DATA     0x800000

extern const VmType x86_cpu_max_type;

typedef struct Mmu {
  VmLock        *lock;
  VmMemory      *memory;
  VmRegion       root, ram, rom, io;
  VmAddressSpace as;
  VmX86Cpu      *cpu;
  VmX86Env      *env;
  uint8_t       *bytes;
  uint64_t       next_table;
  uint64_t       io_value;
} Mmu;

static uint64_t
io_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((Mmu *) opaque)->io_value + offset;
}

static void
io_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  ((Mmu *) opaque)->io_value = value << 8 | size;
}

static const VmRegionOps io_ops = { .read = io_read, .write = io_write, .valid = { 1, 8, true }, .impl = { 1, 8, true } };

static void
mmu_start (Mmu *m)
{
  bool taken;

  memset (m, 0, sizeof *m);
  m->lock = vm_lock_new ();
  m->memory = vm_memory_new (m->lock);
  taken = vm_lock_enter (m->lock);
  vm_region_init (&m->root, m->memory, "root", 0);
  g_assert_true (vm_region_init_ram (&m->ram, m->memory, "ram", RAM_SIZE, NULL));
  vm_region_add (&m->root, 0, &m->ram);
  g_assert_true (vm_region_init_rom (&m->rom, m->memory, "rom", 0x10000, NULL));
  vm_region_add (&m->root, 0x10000000, &m->rom);
  vm_region_init_io (&m->io, m->memory, &io_ops, m, "io", 0x1000);
  vm_region_add (&m->root, 0x20000000, &m->io);
  vm_address_space_init (&m->as, m->memory, &m->root, "cpu");
  vm_lock_leave (m->lock, taken);
  m->bytes = vm_region_ram_ptr (&m->ram);
  m->cpu = (VmX86Cpu *) vm_device_new (&x86_cpu_max_type);
  m->cpu->memory_as = &m->as;
  g_assert_true (vm_x86_cpu_realize ((VmDevice *) m->cpu, NULL));
  m->env = &m->cpu->env;
  vm_tlb_begin (m->cpu);
}

static void
mmu_end (Mmu *m)
{
  bool taken;

  vm_tlb_end (m->cpu);
  vm_object_unref ((VmObject *) m->cpu);
  taken = vm_lock_enter (m->lock);
  vm_address_space_destroy (&m->as);
  vm_region_destroy (&m->io);
  vm_region_destroy (&m->rom);
  vm_region_destroy (&m->ram);
  vm_region_destroy (&m->root);
  vm_lock_leave (m->lock, taken);
  vm_memory_free (m->memory);
  vm_lock_free (m->lock);
}

/* --- rights ------------------------------------------------------------------------------------------ */

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX VM_BIT (63)

typedef struct Mode {
  const char *name;
  unsigned    levels, entry, leaf; /* leaf: the level whose entry maps */
  bool        is_long, la57;
} Mode;

static const Mode modes[] = {
  { "32", 2, 4, 1 },      { "pse", 2, 4, 2 },      { "pae", 3, 8, 1 },           { "pae-2m", 3, 8, 2 },
  { "long", 4, 8, 1, true }, { "long-2m", 4, 8, 2, true }, { "long-1g", 4, 8, 3, true }, { "la57", 5, 8, 1, true, true },
};

#define LINEAR 0x40403000 /* an index of 1 and more at every level */

static unsigned
shift_of (const Mode *mode, unsigned level)
{
  return 12 + (mode->entry == 8 ? 9 : 10) * (level - 1);
}

static void
put_entry (Mmu *m, const Mode *mode, uint64_t table, unsigned index, uint64_t value)
{
  if (mode->entry == 8)
    vm_store_le64 (m->bytes + table + index * 8, value);
  else
    vm_store_le32 (m->bytes + table + index * 4, value);
}

static uint64_t
get_entry (Mmu *m, const Mode *mode, uint64_t table, unsigned index)
{
  return mode->entry == 8 ? vm_load_le64 (m->bytes + table + index * 8) : vm_load_le32 (m->bytes + table + index * 4);
}

static unsigned
index_of (const Mode *mode, uint64_t linear, unsigned level)
{
  return linear >> shift_of (mode, level) & ((mode->entry == 8 ? 512 : 1024) - 1);
}

/* Tables for LINEAR: the entry above the leaf has rights UPPER, the leaf LEAF. */
static void
build (Mmu *m, const Mode *mode, uint64_t upper, uint64_t leaf)
{
  VmX86Env *env = m->env;
  uint64_t table = TABLES;

  for (unsigned level = mode->levels; level >= mode->leaf; level--)
    {
      uint64_t entry = (table + VM_PAGE_SIZE) | P | W | U;

      if (level == mode->leaf)
        entry = (shift_of (mode, level) > 12 ? (shift_of (mode, level) == 30 ? 0 : DATA) | PS : DATA) | leaf;
      else if (level == mode->leaf + 1)
        entry = (table + VM_PAGE_SIZE) | upper;
      if (mode->levels == 3 && level == 3)
        entry = (table + VM_PAGE_SIZE) | P;
      put_entry (m, mode, table, index_of (mode, LINEAR, level), entry);
      table += VM_PAGE_SIZE;
    }
  env->cr3 = TABLES;
  env->cr0 = VM_CR0_PE | VM_CR0_PG | VM_CR0_ET | (env->cr0 & VM_CR0_WP);
  if (mode->levels == 3)
    g_assert_true (vm_mmu_load_pdptrs (env, env->cr3));
  vm_tlb_flush_all (env);
}

static void
set_cpl (VmX86Env *env, unsigned cpl, bool is_long)
{
  env->seg[VM_SS].attr = (env->seg[VM_SS].attr & ~VM_SEG_DPL) | cpl << VM_SEG_DPL_SHIFT;
  env->seg[VM_CS].attr = (env->seg[VM_CS].attr & ~VM_SEG_L) | (is_long ? VM_SEG_L : 0);
  vm_x86_update_mode (env);
}

/* The rules once more: -1 no fault, else the error code. */
static int
expected (const VmX86Env *env, const Mode *mode, uint64_t upper, uint64_t leaf, unsigned access, unsigned ctx)
{
  bool user = ctx == VM_TLB_USER, write = access == VM_ACCESS_WRITE, fetch = access == VM_ACCESS_FETCH;
  bool nxe = env->efer & VM_EFER_NXE, no_upper = mode->levels == mode->leaf || (mode->levels == 3 && mode->leaf == 2);
  uint64_t both = no_upper ? leaf : upper & leaf;
  bool page_user = both & U, page_write = both & W;
  bool page_nx = ((no_upper ? 0 : upper) | leaf) & NX;
  int code = (write ? VM_PF_W : 0) | (user ? VM_PF_U : 0);

  if (fetch && ((env->cr4 & VM_CR4_SMEP) || (mode->entry == 8 && nxe)))
    code |= VM_PF_ID;
  if (!(upper & P) && !no_upper)
    return code;
  if (mode->entry == 8 && !nxe && (upper & NX) && !no_upper)
    return code | VM_PF_P | VM_PF_RSVD;
  if (!(leaf & P))
    return code;
  if (mode->entry == 8 && !nxe && (leaf & NX))
    return code | VM_PF_P | VM_PF_RSVD;
  code |= VM_PF_P;
  if (user && !page_user)
    return code;
  /* said whatever else is denied (SDM volume 3, 4.7) */
  if (mode->is_long && !fetch && page_user && (env->cr4 & VM_CR4_PKE))
    {
      unsigned deny = env->pkru >> (leaf >> 59 & 15) * 2;

      if ((deny & 1) || (write && (deny & 2) && (user || (env->cr0 & VM_CR0_WP))))
        return code | VM_PF_PK;
    }
  if (write && !page_write && (user || (env->cr0 & VM_CR0_WP)))
    return code;
  if (fetch && page_nx)
    return code;
  if (fetch && !user && page_user && (env->cr4 & VM_CR4_SMEP))
    return code;
  if (!fetch && !user && page_user && (env->cr4 & VM_CR4_SMAP) && ctx != VM_TLB_SUPERVISOR_AC)
    return code;
  return -1;
}

static int
try_access (Mmu *m, uint64_t linear, unsigned access, unsigned ctx)
{
  VmX86Env *env = m->env;
  sigjmp_buf jump;
  uint64_t value;
  bool ok;

  env->exc_vector = -1;
  if (access == VM_ACCESS_READ)
    ok = vm_mmu_try_load (env, linear, 4, ctx, &value);
  else if (access == VM_ACCESS_WRITE)
    ok = vm_mmu_try_store (env, linear, 0x12345678, 4, ctx);
  else
    {
      vm_tcg_cpu (env)->fault_env = &jump;
      ok = sigsetjmp (jump, 0) == 0;
      if (ok)
        vm_mmu_fetch_byte (env, linear);
    }
  if (ok)
    return -1;
  g_assert_cmpint (env->exc_vector, ==, VM_EXC_PF);
  g_assert_cmphex (env->exc_addr, ==, linear);
  return env->exc_error;
}

static void
check_one (Mmu *m, const Mode *mode, uint64_t upper, uint64_t leaf, unsigned access, unsigned ctx)
{
  int wanted = expected (m->env, mode, upper, leaf, access, ctx), is;
  uint64_t table = TABLES + (mode->levels - mode->leaf) * VM_PAGE_SIZE, after;

  build (m, mode, upper, leaf);
  is = try_access (m, LINEAR, access, ctx);
  if (is != wanted)
    g_error ("%s upper %" G_GINT64_MODIFIER "x leaf %" G_GINT64_MODIFIER "x access %u ctx %u cr0 %x cr4 %x efer %x: "
             "%x, not %x", mode->name, upper, leaf, access, ctx, (unsigned) m->env->cr0, (unsigned) m->env->cr4,
             (unsigned) m->env->efer, is, wanted);
  after = get_entry (m, mode, table, index_of (mode, LINEAR, mode->leaf));
  if (wanted < 0)
    g_assert_cmphex (after & (A | D), ==, (leaf & (A | D)) | A | (access == VM_ACCESS_WRITE ? D : 0));
  else
    g_assert_cmphex (after & (A | D), ==, leaf & (A | D));
  /* Once more: what was cached gives the same answer. */
  g_assert_cmpint (try_access (m, LINEAR, access, ctx), ==, wanted);
}

static void
check_mode (Mmu *m, const Mode *mode, unsigned settings)
{
  static const uint64_t rights[] = { 0, P, P | W, P | U, P | W | U };
  VmX86Env *env = m->env;

  env->cr0 = settings & 1 ? VM_CR0_WP : 0;
  env->cr4 = (mode->entry == 8 ? VM_CR4_PAE : 0) | VM_CR4_PSE | (mode->la57 ? VM_CR4_LA57 : 0) |
             (settings & 2 ? VM_CR4_SMEP : 0) | (settings & 4 ? VM_CR4_SMAP : 0) |
             (settings & 16 ? VM_CR4_PKE : 0);
  env->efer = (settings & 8 ? VM_EFER_NXE : 0) | (mode->is_long ? VM_EFER_LME | VM_EFER_LMA : 0);
  env->pkru = 0x00000024; /* key 1: no access, key 2: no writes */
  for (unsigned i = 0; i < G_N_ELEMENTS (rights); i++)
    for (unsigned j = 0; j < G_N_ELEMENTS (rights); j++)
      for (unsigned nx = 0; nx < (mode->entry == 8 ? 4 : 1); nx++)
        for (unsigned key = 0; key < (settings & 16 && mode->is_long ? 3 : 1); key++)
          for (unsigned access = 0; access < 3; access++)
            for (unsigned ctx = 0; ctx < VM_TLB_CONTEXTS; ctx++)
              {
                uint64_t upper = rights[i] | (nx & 1 ? NX : 0), leaf = rights[j] | (nx & 2 ? NX : 0);

                set_cpl (env, ctx == VM_TLB_USER ? 3 : 0, mode->is_long);
                check_one (m, mode, upper, leaf | (uint64_t) key << 59, access, ctx);
              }
}

static void
test_rights (void)
{
  Mmu m;

  mmu_start (&m);
  for (unsigned i = 0; i < G_N_ELEMENTS (modes); i++)
    for (unsigned settings = 0; settings < (modes[i].is_long ? 32 : 16); settings++)
      check_mode (&m, &modes[i], settings);
  mmu_end (&m);
}

/* --- reserved bits ----------------------------------------------------------------------------------------- */

static void
test_reserved (void)
{
  VmX86Env *env;
  Mmu m;

  mmu_start (&m);
  env = m.env;
  for (unsigned i = 0; i < G_N_ELEMENTS (modes); i++)
    {
      const Mode *mode = &modes[i];
      unsigned top = mode->entry == 8 ? (mode->is_long ? 51 : 62) : 31;

      env->cr4 = (mode->entry == 8 ? VM_CR4_PAE : 0) | VM_CR4_PSE | (mode->la57 ? VM_CR4_LA57 : 0);
      env->efer = VM_EFER_NXE | (mode->is_long ? VM_EFER_LME | VM_EFER_LMA : 0);
      env->cr0 = 0;
      set_cpl (env, 0, mode->is_long);
      for (unsigned bit = 13; bit <= top; bit++)
        {
          bool above = bit >= 40 && mode->entry == 8;
          bool in_large = mode->leaf > 1 && bit < shift_of (mode, mode->leaf);
          bool is_reserved = above || (in_large && (mode->entry == 8 || bit == 21));

          if (!is_reserved)
            continue;
          build (&m, mode, P | W | U, P | W | U | VM_BIT (bit));
          g_assert_cmpint (try_access (&m, LINEAR, VM_ACCESS_READ, VM_TLB_SUPERVISOR), ==, VM_PF_P | VM_PF_RSVD);
        }
    }
  mmu_end (&m);
}

/* --- what is remembered -------------------------------------------------------------------------------------- */

static const Mode *const long_mode = &modes[4];

static void
start_long (Mmu *m)
{
  mmu_start (m);
  m->env->cr4 = VM_CR4_PAE | VM_CR4_PGE;
  m->env->efer = VM_EFER_LME | VM_EFER_LMA | VM_EFER_NXE;
  m->env->cr0 = VM_CR0_WP;
  set_cpl (m->env, 0, true);
  build (m, long_mode, P | W | U, P | W);
}

static void
set_leaf (Mmu *m, uint64_t linear, uint64_t leaf)
{
  put_entry (m, long_mode, TABLES + 3 * VM_PAGE_SIZE, index_of (long_mode, linear, 1), leaf);
}

static uint64_t
load (Mmu *m, uint64_t linear)
{
  uint64_t value = 0;

  g_assert_true (vm_mmu_try_load (m->env, linear, 4, VM_TLB_SUPERVISOR, &value));
  return value;
}

static void
test_flush (void)
{
  Mmu m;
  VmX86Env *env;

  start_long (&m);
  env = m.env;
  vm_store_le32 (m.bytes + DATA, 1);
  vm_store_le32 (m.bytes + DATA + 0x1000, 2);
  /* absent pages are not remembered, nor read-only ones */
  set_leaf (&m, LINEAR, 0);
  vm_tlb_flush_page (env, LINEAR);
  g_assert_cmpint (try_access (&m, LINEAR, VM_ACCESS_READ, VM_TLB_SUPERVISOR), ==, 0);
  set_leaf (&m, LINEAR, DATA | P);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  g_assert_cmpint (try_access (&m, LINEAR, VM_ACCESS_WRITE, VM_TLB_SUPERVISOR), ==, VM_PF_P | VM_PF_W);
  set_leaf (&m, LINEAR, DATA | P | W);
  g_assert_cmpint (try_access (&m, LINEAR, VM_ACCESS_WRITE, VM_TLB_SUPERVISOR), ==, -1);
  vm_store_le32 (m.bytes + DATA, 1);
  /* INVLPG */
  set_leaf (&m, LINEAR, (DATA + 0x1000) | P | W);
  vm_tlb_flush_page (env, LINEAR + 0xfff);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  /* a flushing CR3 load drops it, a global page stays */
  set_leaf (&m, LINEAR, DATA | P | W);
  vm_tlb_switch_cr3 (env, env->cr3, false);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  set_leaf (&m, LINEAR, DATA | P | W | G);
  vm_tlb_flush_page (env, LINEAR);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  set_leaf (&m, LINEAR, (DATA + 0x1000) | P | W | G);
  vm_tlb_switch_cr3 (env, env->cr3, false);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  vm_tlb_flush_all (env);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  vm_tlb_flush_page (env, LINEAR);
  /* the same place of the table, global no longer */
  set_leaf (&m, LINEAR, DATA | P | W);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  set_leaf (&m, LINEAR, (DATA + 0x1000) | P | W);
  vm_tlb_switch_cr3 (env, env->cr3, false);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  vm_tlb_flush_page (env, LINEAR);
  /* PCIDs: kept when told so, dropped else, INVPCID */
  set_leaf (&m, LINEAR, DATA | P | W);
  vm_tlb_flush_all (env);
  env->cr4 |= VM_CR4_PCIDE;
  env->cr3 = TABLES | 1;
  vm_tlb_switch_cr3 (env, env->cr3, false);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  set_leaf (&m, LINEAR, (DATA + 0x1000) | P | W);
  env->cr3 = TABLES | 2;
  vm_tlb_switch_cr3 (env, env->cr3, true);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  env->cr3 = TABLES | 1;
  vm_tlb_switch_cr3 (env, env->cr3, true);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  vm_tlb_invpcid (env, 1, 1, 0);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  set_leaf (&m, LINEAR, DATA | P | W);
  vm_tlb_invpcid (env, 0, 2, LINEAR);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  vm_tlb_invpcid (env, 3, 0, 0);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  mmu_end (&m);
}

static void
test_large_flush (void)
{
  const Mode *mode = &modes[5];
  Mmu m;

  start_long (&m);
  build (&m, mode, P | W | U, P | W);
  vm_store_le32 (m.bytes + DATA + 0x5000, 1);
  vm_store_le32 (m.bytes + DATA + 0x205000, 2);
  load (&m, LINEAR + 0x2000);
  g_assert_cmphex (load (&m, LINEAR + 0x2000), ==, 1);
  put_entry (&m, mode, TABLES + 2 * VM_PAGE_SIZE, index_of (mode, LINEAR, 2), (DATA + 0x200000) | P | W | PS);
  vm_tlb_flush_page (m.env, LINEAR + 0x100000); /* elsewhere in the same large page */
  g_assert_cmphex (load (&m, LINEAR + 0x2000), ==, 2);
  mmu_end (&m);
}

/* More pages than the journal and the L2 hold. */
static void
test_many (void)
{
  Mmu m;
  uint64_t sum = 0;

  mmu_start (&m);
  m.env->cr0 = VM_CR0_PE;
  m.env->seg[VM_CS].limit = UINT32_MAX;
  vm_x86_update_mode (m.env);
  vm_tlb_flush_all (m.env);
  for (unsigned round = 0; round < 3; round++)
    {
      for (unsigned ctx = 0; ctx < VM_TLB_CONTEXTS; ctx++)
        for (uint64_t at = 0; at < RAM_SIZE; at += VM_PAGE_SIZE)
          {
            uint64_t value;

            g_assert_true (vm_mmu_try_store (m.env, at + 8, at + round, 8, ctx));
            g_assert_true (vm_mmu_try_load (m.env, at + 8, 8, ctx, &value));
            g_assert_cmphex (value, ==, at + round);
            sum += value;
          }
      vm_tlb_flush_l1 (m.env);
      for (unsigned i = 0; i < 6 * VM_TLB_SIZE; i++)
        g_assert_true (((VmTlbEntry *) (void *) vm_tcg_cpu (m.env)->tlb)[i].tag == VM_TLB_INVALID);
    }
  for (unsigned i = 0; i < 10000; i++) /* all ASIDs and round again */
    {
      vm_tlb_switch_cr3 (m.env, 0, false);
      sum += load (&m, 8);
    }
  g_assert_cmphex (sum, !=, 0);
  mmu_end (&m);
}

/* --- not plain RAM ------------------------------------------------------------------------------------------- */

static void
test_crossing (void)
{
  Mmu m;
  uint64_t value;

  start_long (&m);
  set_leaf (&m, LINEAR, DATA | P | W);
  set_leaf (&m, LINEAR + 0x1000, 0);
  vm_store_le32 (m.bytes + DATA + 0xffc, 0x11223344);
  m.env->exc_vector = -1;
  g_assert_false (vm_mmu_try_store (m.env, LINEAR + 0xffe, UINT32_MAX, 4, VM_TLB_SUPERVISOR));
  g_assert_cmphex (m.env->exc_addr, ==, LINEAR + 0x1000);
  g_assert_cmphex (vm_load_le32 (m.bytes + DATA + 0xffc), ==, 0x11223344);
  set_leaf (&m, LINEAR + 0x1000, 0x20000000 | P | W);
  m.io_value = 0x5566;
  g_assert_true (vm_mmu_try_load (m.env, LINEAR + 0xffe, 4, VM_TLB_SUPERVISOR, &value));
  g_assert_cmphex (value, ==, 0x55661122);
  mmu_end (&m);
}

static void
test_regions (void)
{
  Mmu m;
  uint64_t value;

  start_long (&m);
  vm_store_le32 ((uint8_t *) vm_region_ram_ptr (&m.rom), 0xcafe);
  set_leaf (&m, LINEAR, 0x10000000 | P | W);
  set_leaf (&m, LINEAR + 0x1000, 0x20000000 | P | W);
  set_leaf (&m, LINEAR + 0x2000, 0x30000000 | P | W);
  g_assert_cmphex (load (&m, LINEAR), ==, 0xcafe);
  g_assert_cmpint (try_access (&m, LINEAR, VM_ACCESS_WRITE, VM_TLB_SUPERVISOR), ==, -1);
  g_assert_cmphex (load (&m, LINEAR), ==, 0xcafe);
  g_assert_null (vm_mmu_try_host (m.env, LINEAR, 4, VM_ACCESS_WRITE, VM_TLB_SUPERVISOR));
  m.io_value = 7;
  g_assert_cmphex (load (&m, LINEAR + 0x1010), ==, 0x17);
  g_assert_true (vm_mmu_try_store (m.env, LINEAR + 0x1000, 0x99, 2, VM_TLB_SUPERVISOR));
  g_assert_cmphex (m.io_value, ==, 0x9902);
  g_assert_cmphex (load (&m, LINEAR + 0x2000), ==, UINT32_MAX);
  g_assert_true (vm_mmu_try_store (m.env, LINEAR + 0x2000, 1, 8, VM_TLB_SUPERVISOR));
  /* A20 */
  vm_store_le32 (m.bytes + DATA, 1);
  vm_store_le32 (m.bytes + DATA + 0x100000, 2);
  set_leaf (&m, LINEAR, (DATA + 0x100000) | P | W);
  vm_tlb_flush_all (m.env);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  memcpy (m.bytes, m.bytes + TABLES, 0x5000); /* the tables at bit 20 go to 0 with it */
  vm_x86_set_a20 (m.cpu, false);
  vm_tlb_flush_all (m.env);
  g_assert_cmphex (load (&m, LINEAR), ==, 1);
  vm_x86_set_a20 (m.cpu, true);
  vm_tlb_flush_all (m.env);
  /* a change of the memory map */
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  value = vm_tcg_cpu (m.env)->fetch_epoch;
  vm_lock_enter (m.lock);
  vm_region_set_enabled (&m.ram, false);
  vm_region_set_enabled (&m.ram, true);
  vm_lock_leave (m.lock, true);
  vm_tlb_safe_point (m.env);
  g_assert_cmphex (vm_tcg_cpu (m.env)->fetch_epoch, !=, value);
  g_assert_cmphex (load (&m, LINEAR), ==, 2);
  mmu_end (&m);
}

/* What the exec loop is told of code pages that may have moved. */
static void
test_fetches (void)
{
  Mmu m;
  VmTcgCpu *tcg;
  uint64_t epoch, flushes, switches;

  start_long (&m);
  tcg = vm_tcg_cpu (m.env);
  vm_tlb_flush_all (m.env);
  tcg->n_fetch_drops = 0;
  epoch = tcg->fetch_epoch, flushes = tcg->fetch_flushes, switches = tcg->fetch_switches;
  vm_tlb_flush_page (m.env, LINEAR + 5);
  g_assert_cmpuint (tcg->n_fetch_drops, ==, 1);
  g_assert_cmphex (tcg->fetch_drop[0], ==, LINEAR & VM_PAGE_MASK);
  g_assert_cmpuint (tcg->fetch_epoch, >, epoch);
  g_assert_cmpuint (tcg->fetch_flushes, ==, flushes);
  /* more than fit */
  for (unsigned i = 0; i < G_N_ELEMENTS (tcg->fetch_drop); i++)
    vm_tlb_flush_page (m.env, LINEAR);
  g_assert_cmpuint (tcg->n_fetch_drops, ==, G_N_ELEMENTS (tcg->fetch_drop));
  g_assert_cmpuint (tcg->fetch_flushes, >, flushes);
  epoch = tcg->fetch_epoch, flushes = tcg->fetch_flushes;
  vm_tlb_switch_cr3 (m.env, m.env->cr3, false);
  g_assert_cmpuint (tcg->fetch_epoch, >, epoch);
  g_assert_cmpuint (tcg->fetch_flushes, ==, flushes);
  g_assert_cmpuint (tcg->fetch_switches, >, switches);
  vm_tlb_flush_all (m.env);
  g_assert_cmpuint (tcg->fetch_flushes, >, flushes);
  mmu_end (&m);
}

static void
test_dirty (void)
{
  Mmu m;
  uint8_t *flags;

  start_long (&m);
  set_leaf (&m, LINEAR, DATA | P | W);
  flags = &m.ram.ram->page_flags[DATA >> VM_PAGE_SHIFT];
  *flags = 0;
  load (&m, LINEAR);
  g_assert_cmphex (*flags, ==, 0);
  g_assert_cmpint (try_access (&m, LINEAR, VM_ACCESS_WRITE, VM_TLB_SUPERVISOR), ==, -1);
  g_assert_cmphex (*flags & VM_DIRTY_VGA, !=, 0);
  g_assert_nonnull (vm_mmu_try_host (m.env, LINEAR, 4, VM_ACCESS_WRITE, VM_TLB_SUPERVISOR));
  /* taken away while a direct entry exists: dirty once more, then quiet */
  *flags = 0;
  vm_tlb_protect_ram (m.env, m.ram.ram, DATA, VM_PAGE_SIZE);
  g_assert_cmphex (*flags & VM_DIRTY_VGA, !=, 0);
  *flags = 0;
  vm_tlb_protect_ram (m.env, m.ram.ram, DATA, VM_PAGE_SIZE);
  g_assert_cmphex (*flags, ==, 0);
  mmu_end (&m);
}

static void
test_watch (void)
{
  Mmu m;
  VmTcgCpu *tcg;
  VmTlbWatch watch = { LINEAR + 0x1010, LINEAR + 0x101f, true, false };

  start_long (&m);
  tcg = vm_tcg_cpu (m.env);
  set_leaf (&m, LINEAR + 0x1000, DATA | P | W);
  load (&m, LINEAR);
  m.env->dr[2] = LINEAR + 0x20;
  m.env->dr[7] = 0x400 | 0x10 | 0x0f000000; /* DR2, reads and writes, 4 bytes */
  vm_tlb_update_watches (m.env);
  load (&m, LINEAR + 0x24);
  g_assert_cmphex (tcg->watch_hit, ==, 0);
  load (&m, LINEAR + 0x1d);
  g_assert_cmphex (tcg->watch_hit, ==, 4);
  tcg->watch_hit = 0;
  load (&m, LINEAR + 0x23);
  g_assert_cmphex (tcg->watch_hit, ==, 4);
  g_assert_null (vm_mmu_try_host (m.env, LINEAR, 4, VM_ACCESS_READ, VM_TLB_SUPERVISOR));
  tcg->debug_watches = &watch;
  tcg->n_debug_watches = 1;
  vm_tlb_update_watches (m.env);
  g_assert_true (vm_mmu_try_store (m.env, LINEAR + 0x1010, 0, 4, VM_TLB_SUPERVISOR));
  g_assert_false (tcg->debug_hit);
  load (&m, LINEAR + 0x101c);
  g_assert_true (tcg->debug_hit);
  tcg->n_debug_watches = 0;
  m.env->dr[7] = 0x400;
  vm_tlb_update_watches (m.env);
  load (&m, LINEAR);
  g_assert_nonnull (vm_mmu_try_host (m.env, LINEAR, 4, VM_ACCESS_READ, VM_TLB_SUPERVISOR));
  mmu_end (&m);
}

/* --- speed ----------------------------------------------------------------------------------------------------- */

static void
test_speed (void)
{
  const Mode *mode = &modes[4];
  enum { PAGES = 512, ROUNDS = 2000 };
  Mmu m;

  if (!g_test_perf ())
    {
      g_test_skip ("with -m perf");
      return;
    }
  start_long (&m);
  for (unsigned i = 0; i < 512; i++)
    put_entry (&m, mode, TABLES + 3 * VM_PAGE_SIZE, i, (DATA + i * 0x1000) | P | W | U | A | D);
  for (unsigned kind = 0; kind < 3; kind++)
    {
      static const char *const names[] = { "hit", "refill from L2", "walk" };
      uint64_t base = LINEAR & ~UINT64_C (0x1fffff), best = UINT64_MAX, value;

      for (unsigned round = 0; round < ROUNDS; round++)
        {
          if (kind == 1)
            vm_tlb_flush_l1 (m.env);
          else if (kind == 2)
            vm_tlb_switch_cr3 (m.env, m.env->cr3, false);
          uint64_t start = __builtin_ia32_rdtsc ();
          for (unsigned i = 0; i < PAGES; i++)
            vm_mmu_try_load (m.env, base + i * 0x1000 + i % 64 * 64, 8, VM_TLB_SUPERVISOR, &value);
          best = MIN (best, __builtin_ia32_rdtsc () - start);
        }
      g_test_message ("%s: %.1f cycles", names[kind], (double) best / PAGES);
    }
  mmu_end (&m);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tcg/mmu/rights", test_rights);
  g_test_add_func ("/tcg/mmu/reserved", test_reserved);
  g_test_add_func ("/tcg/mmu/flush", test_flush);
  g_test_add_func ("/tcg/mmu/fetches", test_fetches);
  g_test_add_func ("/tcg/mmu/large-flush", test_large_flush);
  g_test_add_func ("/tcg/mmu/many", test_many);
  g_test_add_func ("/tcg/mmu/crossing", test_crossing);
  g_test_add_func ("/tcg/mmu/regions", test_regions);
  g_test_add_func ("/tcg/mmu/dirty", test_dirty);
  g_test_add_func ("/tcg/mmu/watch", test_watch);
  g_test_add_func ("/tcg/mmu/speed", test_speed);
  return g_test_run ();
}
