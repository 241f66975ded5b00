/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens around instructions in the interpreter, and cases with a name in the design notes. */
#include "config.h"

#include "tests/tcg/fixture.h"

#define CODE 0x10000u
#define DATA 0x20000u
#define DATA_PAGES 4

static VmFixture *
start (unsigned bits, const void *code, size_t len)
{
  VmFixture *f = vm_fixture_new (VM_MIB);

  vm_fixture_map (f, CODE, CODE, 2 * VM_PAGE_SIZE, VM_FIXTURE_WRITE | VM_FIXTURE_EXECUTE);
  vm_fixture_map (f, DATA, DATA, DATA_PAGES * VM_PAGE_SIZE, VM_FIXTURE_WRITE);
  vm_fixture_write (f, CODE, code, len);
  vm_fixture_set_mode (f, bits, 3, CODE, DATA);
  f->env->rip = bits == 16 ? 0 : CODE;
  f->env->gpr[VM_RSP] = bits == 16 ? 0x1000 : DATA + 0x1000;
  return f;
}
#define START(bits, ...) \
  start (bits, (const uint8_t[]) { __VA_ARGS__ }, sizeof ((const uint8_t[]) { __VA_ARGS__ }))

static void
test_pop_to_stack (void)
{
  VmFixture *f = START (64, 0x8f, 0x04, 0x24); /* pop qword [rsp]: the address counts from the new RSP */

  vm_store_le64 (f->ram + DATA + 0x1000, 0x1234);
  g_assert_cmpint (vm_fixture_step (f), ==, -1);
  g_assert_cmphex (f->env->gpr[VM_RSP], ==, DATA + 0x1008);
  g_assert_cmphex (vm_load_le64 (f->ram + DATA + 0x1008), ==, 0x1234);
  vm_fixture_free (f);
}

static void
test_push_sp (void)
{
  VmFixture *f = START (16, 0x54);

  vm_fixture_step (f);
  g_assert_cmphex (vm_load_le16 (f->ram + DATA + 0xffe), ==, 0x1000);
  vm_fixture_free (f);
}

/* A fault in a repetition leaves registers at the element that faulted. */
static void
test_rep_fault (void)
{
  VmFixture *f = START (64, 0xf3, 0xaa);
  uint64_t end = DATA + DATA_PAGES * VM_PAGE_SIZE;

  f->env->gpr[VM_RAX] = 0x5a;
  f->env->gpr[VM_RDI] = end - 5000;
  f->env->gpr[VM_RCX] = 6000;
  g_assert_cmpint (vm_fixture_step (f), ==, VM_EXC_PF);
  g_assert_cmphex (f->env->exc_addr, ==, end);
  g_assert_cmphex (f->env->exc_error, ==, VM_PF_W | VM_PF_U);
  g_assert_cmphex (f->env->gpr[VM_RDI], ==, end);
  g_assert_cmpuint (f->env->gpr[VM_RCX], ==, 1000);
  g_assert_cmphex (f->env->rip, ==, CODE);
  g_assert_cmphex (f->ram[end - 1], ==, 0x5a);
  vm_fixture_free (f);
}

/* A pending event stops a repetition between chunks, with progress. */
static void
test_rep_interrupted (void)
{
  VmFixture *f = START (64, 0xf3, 0xaa);

  f->env->poll = VM_POLL_IRQ;
  f->env->gpr[VM_RDI] = DATA;
  f->env->gpr[VM_RCX] = 3 * VM_PAGE_SIZE;
  g_assert_cmpint (vm_fixture_step (f), ==, -1);
  g_assert_cmpuint (f->env->gpr[VM_RCX], ==, 2 * VM_PAGE_SIZE);
  g_assert_cmphex (f->env->rip, ==, CODE);
  vm_fixture_step (f);
  vm_fixture_step (f);
  g_assert_cmphex (f->env->rip, ==, CODE + 2);
  vm_fixture_free (f);
}

/* Overlapping: the source's bytes repeat with the distance's period. */
static void
test_rep_overlap (void)
{
  VmFixture *f = START (64, 0xf3, 0xa4);

  memcpy (f->ram + DATA, "abc", 3);
  f->env->gpr[VM_RSI] = DATA;
  f->env->gpr[VM_RDI] = DATA + 3;
  f->env->gpr[VM_RCX] = 5000;
  g_assert_cmpint (vm_fixture_step (f), ==, -1);
  for (unsigned i = 0; i < 5003; i++)
    g_assert_cmpint (f->ram[DATA + i], ==, "abc"[i % 3]);
  vm_fixture_free (f);
}

/* Addresses of 16 bits wrap in the middle of a repetition, elements that would straddle fault. */
static void
test_rep_wrap (void)
{
  VmFixture *f = START (16, 0xf3, 0xaa);

  f->env->seg[VM_ES].base = DATA;
  f->env->gpr[VM_RDI] = 0x3000;
  f->env->gpr[VM_RCX] = 0x800;
  f->env->gpr[VM_RAX] = 0x77;
  f->env->eflags |= VM_DF;
  g_assert_cmpint (vm_fixture_step (f), ==, -1);
  g_assert_cmphex (f->env->gpr[VM_RDI], ==, 0x2800);
  g_assert_cmphex (f->ram[DATA + 0x2801], ==, 0x77);
  g_assert_cmphex (f->ram[DATA + 0x2800], ==, 0);
  vm_fixture_free (f);
}

static void
test_trap_flag (void)
{
  VmFixture *f = START (64, 0x90, 0x90);

  f->env->eflags |= VM_TF;
  vm_x86_update_mode (f->env);
  g_assert_cmpint (vm_fixture_step (f), ==, VM_EXC_DB);
  g_assert_cmphex (f->env->rip, ==, CODE + 1);
  vm_fixture_free (f);
}

static void
test_resume_flag (void)
{
  VmFixture *f = START (64, 0x90, 0x90);

  f->env->eflags |= VM_RF;
  vm_x86_update_mode (f->env);
  g_assert_cmpint (vm_fixture_step (f), ==, -1);
  g_assert_false (f->env->eflags & VM_RF);
  vm_fixture_free (f);
}

/* The code segment's limit ends a fetch even when memory goes on. */
static void
test_fetch_limit (void)
{
  VmFixture *f = START (32, 0x90, 0xb8, 1, 0, 0, 0);

  f->env->seg[VM_CS].limit = CODE + 4;
  vm_x86_update_mode (f->env);
  g_assert_cmpint (vm_fixture_step (f), ==, -1);
  g_assert_cmpint (vm_fixture_step (f), ==, VM_EXC_GP);
  g_assert_cmphex (f->env->rip, ==, CODE + 1);
  vm_fixture_free (f);
}

/* The second page of an instruction faults only when the instruction reaches into it. */
static void
test_fetch_next_page (void)
{
  VmFixture *f = START (64, 0);
  const uint8_t code[] = { 0x90, 0xb8 };

  vm_fixture_write (f, CODE + 2 * VM_PAGE_SIZE - 2, code, sizeof code);
  f->env->rip = CODE + 2 * VM_PAGE_SIZE - 2;
  g_assert_cmpint (vm_fixture_step (f), ==, -1);
  g_assert_cmpint (vm_fixture_step (f), ==, VM_EXC_PF);
  g_assert_cmphex (f->env->exc_addr, ==, CODE + 2 * VM_PAGE_SIZE);
  vm_fixture_free (f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tcg/interp/pop-to-stack", test_pop_to_stack);
  g_test_add_func ("/tcg/interp/push-sp", test_push_sp);
  g_test_add_func ("/tcg/interp/rep-fault", test_rep_fault);
  g_test_add_func ("/tcg/interp/rep-interrupted", test_rep_interrupted);
  g_test_add_func ("/tcg/interp/rep-overlap", test_rep_overlap);
  g_test_add_func ("/tcg/interp/rep-wrap", test_rep_wrap);
  g_test_add_func ("/tcg/interp/trap-flag", test_trap_flag);
  g_test_add_func ("/tcg/interp/resume-flag", test_resume_flag);
  g_test_add_func ("/tcg/interp/fetch-limit", test_fetch_limit);
  g_test_add_func ("/tcg/interp/fetch-next-page", test_fetch_next_page);
  return g_test_run ();
}
