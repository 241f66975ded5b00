/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See fixture.h. */
#include "config.h"

#include "tests/tcg/fixture.h"

#include "engine/tcg/decode/ops.h"
#include "engine/tcg/fpu/fpu.h"

#define PTE_NX VM_BIT (63)
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 32, PTE_D = 64 };

VmFixture *
vm_fixture_new (uint64_t ram_size)
{
  VmFixture *f = g_new0 (VmFixture, 1);
  GError *error = NULL;

  f->lock = vm_lock_new ();
  f->memory = vm_memory_new (f->lock);
  f->ram_size = ram_size;
  bool taken = vm_lock_enter (f->lock);
  vm_region_init (&f->root, f->memory, "root", 0);
  if (!vm_region_init_ram (&f->ram_region, f->memory, "ram", ram_size, &error))
    g_error ("%s", error->message);
  vm_region_add (&f->root, 0, &f->ram_region);
  vm_address_space_init (&f->as, f->memory, &f->root, "cpu");
  vm_lock_leave (f->lock, taken);
  f->ram = vm_region_ram_ptr (&f->ram_region);
  f->block = f->ram_region.ram;

  f->cpu = g_aligned_alloc0 (1, sizeof *f->cpu, 64);
  f->env = &f->cpu->env;
  f->cpu->memory_as = f->cpu->smm_as = &f->as;
  f->cpu->phys_mask = VM_MASK (39, 0);
  f->next_table = ram_size - VM_PAGE_SIZE;
  f->env->cr3 = f->next_table;
  f->next_table -= VM_PAGE_SIZE;
  f->env->fx.mxcsr = 0x1f80;
  f->env->fx.mxcsr_mask = 0xffff;
  f->env->fx.fcw = 0x37f;
  f->env->xcr0 = 7;
  f->env->exc_vector = -1;
  vm_fixture_set_mode (f, 64, 0, 0, 0);
  vm_tlb_begin (f->cpu);
  return f;
}

void
vm_fixture_free (VmFixture *f)
{
  bool taken;

  vm_fpu_end (vm_tcg_cpu (f->env));
  vm_tlb_end (f->cpu);
  g_aligned_free (f->cpu);
  taken = vm_lock_enter (f->lock);
  vm_address_space_destroy (&f->as);
  vm_region_remove (&f->ram_region);
  vm_region_destroy (&f->ram_region);
  vm_region_destroy (&f->root);
  vm_lock_leave (f->lock, taken);
  vm_memory_free (f->memory);
  vm_lock_free (f->lock);
  g_free (f);
}

void
vm_fixture_map (VmFixture *f, uint64_t linear, uint64_t phys, uint64_t size, unsigned rights)
{
  for (uint64_t end = linear + size; linear != end; linear += VM_PAGE_SIZE, phys += VM_PAGE_SIZE)
    {
      uint64_t table = f->env->cr3;

      for (unsigned level = 3; level > 0; level--)
        {
          uint8_t *entry = f->ram + table + (linear >> (12 + 9 * level) & 511) * 8;

          if (!(vm_load_le64 (entry) & PTE_P))
            {
              vm_store_le64 (entry, f->next_table | PTE_P | PTE_W | PTE_U | PTE_A);
              f->next_table -= VM_PAGE_SIZE;
            }
          table = vm_load_le64 (entry) & VM_MASK (51, 12);
        }
      vm_store_le64 (f->ram + table + (linear >> 12 & 511) * 8,
                     phys | PTE_P | PTE_U | PTE_A | (rights & VM_FIXTURE_WRITE ? PTE_W | PTE_D : 0) |
                       (rights & VM_FIXTURE_EXECUTE ? 0 : PTE_NX));
    }
  vm_tlb_flush_all (f->env);
}

void
vm_fixture_set_mode (VmFixture *f, unsigned bits, unsigned cpl, uint64_t cs_base, uint64_t data_base)
{
  VmX86Env *env = f->env;
  uint16_t attr = VM_SEG_P | VM_SEG_S | VM_SEG_RW | VM_SEG_ACCESSED | cpl << VM_SEG_DPL_SHIFT;
  uint32_t limit = bits == 16 ? 0xffff : UINT32_MAX;

  memset (env->gpr, 0, sizeof env->gpr);
  env->eflags = 2;
  env->cr0 = VM_CR0_PE | VM_CR0_PG | VM_CR0_MP | VM_CR0_ET | VM_CR0_NE | VM_CR0_WP | VM_CR0_AM;
  env->cr4 = VM_CR4_PAE | VM_CR4_OSFXSR | VM_CR4_OSXMMEXCPT | VM_CR4_OSXSAVE | VM_CR4_FSGSBASE;
  env->efer = VM_EFER_SCE | VM_EFER_LME | VM_EFER_LMA | VM_EFER_NXE;
  env->shadow = 0;
  if (bits != 16)
    attr |= VM_SEG_G;
  for (unsigned i = 0; i < VM_SEG_N; i++)
    env->seg[i] = (VmX86Seg) { .base = bits == 16 ? data_base : 0, .limit = limit, .selector = 8 * (i + 1) | cpl,
                               .attr = attr | (bits == 16 ? 0 : VM_SEG_DB) };
  env->seg[VM_CS].base = bits == 16 ? cs_base : 0;
  env->seg[VM_CS].attr = attr | VM_SEG_CODE | (bits == 64 ? VM_SEG_L : bits == 32 ? VM_SEG_DB : 0);
  vm_x86_update_mode (env);
}

void
vm_fixture_write (VmFixture *f, uint64_t phys, const void *bytes, size_t len)
{
  memcpy (f->ram + phys, bytes, len);
  vm_ram_written (f->memory, f->block, phys, len);
}

int
vm_fixture_run (VmFixture *f, unsigned limit)
{
  VmTcgCpu *tcg = vm_tcg_cpu (f->env);
  sigjmp_buf jump;
  volatile int vector = -1;

  f->env->exc_vector = -1;
  tcg->fault_env = &jump;
  if (sigsetjmp (jump, 0) == 0)
    for (volatile unsigned n = 0; n < limit; n++)
      {
        VmInsn insn;

        vm_interp_fetch (f->env, &insn);
        vm_interp_insn (f->env, &insn);
      }
  else
    vector = f->env->exc_vector;
  tcg->fault_env = NULL;
  return vector;
}

int
vm_fixture_step (VmFixture *f)
{
  return vm_fixture_run (f, 1);
}
