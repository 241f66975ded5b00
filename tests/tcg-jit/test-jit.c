/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random sequences of instructions through tier 1 in lockstep with tier 0, and what lockstep cannot see: chains
 * of blocks, calls, patched code. */
#include "config.h"

#include "engine/tcg/host-x86_64/jit-private.h"
#include "tests/tcg/fixture.h"

#define CODE_LINEAR 0x400000
#define CODE_PHYS   0x100000
#define DATA        0x800000

typedef struct Bench {
  VmFixture   *f;
  VmTcgAccel  *accel;
  VmInterp    *interp;
  VmTcgExec   *x;
  char        *host_flags; /* of /proc/cpuinfo */
  uint64_t     random;
} Bench;

static bool
host_has (void *opaque, const char *name)
{
  g_autofree char *word = g_strdup_printf (" %s ", name);

  g_strdelimit (word, ".-", '_');
  return strcmp (name, "amd-insns") == 0 || strstr (opaque, word) != NULL;
}

static char *
read_host_flags (void)
{
  g_autofree char *text = NULL;
  char *line, *end;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL) || !(line = strstr (text, "\nflags")) ||
      !(end = strchr (line + 1, '\n')))
    return g_strdup ("");
  return g_strdup_printf ("%.*s ", (int) (end - line - 1), line + 1);
}

static void
bench_begin (Bench *b, unsigned bits, bool lockstep)
{
  GError *error = NULL;

  *b = (Bench) { .f = vm_fixture_new (64 * VM_MIB), .random = 88172645463325252 };
  vm_fixture_map (b->f, CODE_LINEAR, CODE_PHYS, 0x10000, VM_FIXTURE_WRITE | VM_FIXTURE_EXECUTE);
  vm_fixture_map (b->f, DATA, DATA, 0x20000, VM_FIXTURE_WRITE);
  vm_fixture_set_mode (b->f, bits, 0, CODE_LINEAR, DATA);
  b->accel = g_new0 (VmTcgAccel, 1);
  b->accel->shared = vm_code_shared_new (b->f->memory);
  b->accel->lockstep = lockstep;
  b->f->cpu->parent.accel = &b->accel->parent;
  b->host_flags = read_host_flags ();
  b->interp = vm_interp_new (host_has, b->host_flags);
  vm_tcg_cpu (b->f->env)->interp = b->interp;
  vm_tlb_end (b->f->cpu);
  g_assert_true (vm_tcg_exec_begin (&b->f->cpu->parent, &error));
  b->x = vm_tcg_exec_part (b->f->env);
}

static void
bench_end (Bench *b)
{
  vm_tcg_exec_end (&b->f->cpu->parent);
  vm_code_shared_free (b->accel->shared);
  g_free (b->accel);
  vm_tlb_begin (b->f->cpu);
  vm_tcg_cpu (b->f->env)->interp = NULL;
  vm_interp_free (b->interp);
  vm_fixture_free (b->f);
  g_free (b->host_flags);
}

static uint64_t
next_random (Bench *b)
{
  b->random ^= b->random << 13;
  b->random ^= b->random >> 7;
  b->random ^= b->random << 17;
  return b->random * UINT64_C (0x2545f4914f6cdd1d);
}

static uint64_t
edge (Bench *b)
{
  switch (next_random (b) % 6)
    {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return VM_BIT (next_random (b) % 64);
    case 3: return VM_BIT (next_random (b) % 64) - 1;
    default: return next_random (b);
    }
}

/* --- lockstep ------------------------------------------------------------------------------------ */

/* Operands near a few pointers, so that address checks are shared. */
static bool
is_wanted (Bench *b, const VmInsn *insn, bool near)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];

  if (insn->flags & (VM_INSN_UD | VM_INSN_TOOLONG) || !jit_lockstep_undoes (insn) ||
      vm_insn_static_fault (insn, b->f->env->mode) >= 0 || g_str_has_prefix (row->mnemonic, "sha1") ||
      g_str_has_prefix (row->mnemonic, "sha2"))
    return false;
  if (near && insn->flags & VM_INSN_MEM)
    return insn->index == VM_REG_NONE && insn->base < 16 && (1 << insn->base & 0x40d0) && ABS (insn->disp) < 300 &&
           insn->seg != VM_FS && insn->seg != VM_GS;
  return row->class_ != VM_CLASS_X || next_random (b) % 4 == 0;
}

static unsigned
make_sequence (Bench *b, unsigned bits, bool near, uint8_t *code)
{
  static const uint8_t escapes[4] = { 0x0f, 0x66, 0xf3, 0xc4 };
  unsigned len = 0, wanted = 1 + next_random (b) % (near ? 20 : 8);

  for (unsigned n = 0, tries = 0; n < wanted && tries < 3000; tries++)
    {
      uint64_t bytes[2] = { next_random (b), next_random (b) };
      uint8_t *p = (uint8_t *) bytes;
      unsigned kind = next_random (b) % 7;
      VmInsn insn;

      if (kind < 4)
        p[0] = escapes[kind];
      if (kind == 1 || kind == 2)
        p[1] = 0x0f;
      if (vm_insn_decode (p, 15, bits, b->interp->features, &insn) > 15 || !is_wanted (b, &insn, near))
        continue;
      memcpy (code + len, p, insn.len);
      len += insn.len;
      n++;
    }
  memset (code + len, 0xf4, 4); /* HLT */
  return len + 4;
}

static void
randomize_state (Bench *b, unsigned bits, bool near)
{
  VmX86Env *env = b->f->env;

  for (unsigned i = 0; i < 16; i++)
    {
      bool is_pointer = near ? 0x40d0 >> i & 1 : next_random (b) % 3;

      env->gpr[i] = !is_pointer ? edge (b) : (bits == 16 ? 0x4000 : DATA + 0x8000) + (next_random (b) & 0xfff);
      for (unsigned k = 0; k < 4; k++)
        env->ymm[i].q[k] = edge (b);
    }
  env->eflags = 2 | (next_random (b) & VM_ARITH_FLAGS);
  env->fx.mxcsr = 0x1f80;
  env->fx.fcw = 0x37f;
  env->fx.fsw = 0;
  env->fx.ftw = next_random (b);
  for (unsigned i = 0; i < 8; i++)
    {
      vm_store_le64 (env->fx.st[i], next_random (b) | VM_BIT (63));
      vm_store_le16 (env->fx.st[i] + 8, 0x3ff0 + (next_random (b) & 31));
    }
  for (unsigned i = 0; i < 64; i++)
    vm_store_le64 (b->f->ram + DATA + (next_random (b) & 0xfff8), edge (b));
}

static void
run_sequence (Bench *b, unsigned bits, bool near, unsigned number)
{
  VmX86Env *env = b->f->env;
  uint8_t code[512];
  unsigned offset = number * 448 % 0xe000, len = make_sequence (b, bits, near, code);

  if ((offset & 0xfff) + len > VM_PAGE_SIZE)
    return;
  vm_fixture_write (b->f, CODE_PHYS + offset, code, len);
  randomize_state (b, bits, near);
  env->rip = bits == 16 ? offset : CODE_LINEAR + offset;
  env->halted = env->shutdown = false;
  env->shadow = 0;
  vm_x86_update_mode (env);
  vm_tcg_exec_trial (&b->f->cpu->parent, 1, true);
}

static void
test_lockstep (const void *data)
{
  unsigned bits = GPOINTER_TO_UINT (data);
  Bench b;

  bench_begin (&b, bits, true);
  for (unsigned i = 0; i < 6000; i++)
    run_sequence (&b, bits, i & 1, i);
  g_assert_cmpuint (b.x->jit->n_differences, ==, 0);
  g_assert_cmpuint (b.x->jit->n_entered, >, 500);
  bench_end (&b);
}

/* --- whole programs -------------------------------------------------------------------------------- */

static void
run_program (Bench *b, const uint8_t *code, size_t len)
{
  VmX86Env *env = b->f->env;

  vm_fixture_write (b->f, CODE_PHYS, code, len);
  env->rip = CODE_LINEAR;
  env->gpr[VM_RSP] = DATA + 0x10000;
  env->halted = false;
  g_assert_cmpint (vm_tcg_exec_trial (&b->f->cpu->parent, 1000000, false), ==, -1);
  g_assert_true (env->halted);
}

static void
test_calls (void)
{
  /* mov edi,20; call fib; hlt; fib: cmp edi,2; jb out; push rbx; push rdi; dec edi; call fib; mov rbx,rax; pop rdi;
   * sub edi,2; call fib; add rax,rbx; pop rbx; ret; out: mov eax,edi; ret */
  static const uint8_t code[] = {
    0xbf, 20, 0, 0, 0, 0xe8, 1, 0, 0, 0, 0xf4, 0x83, 0xff, 2, 0x72, 0x1a, 0x53, 0x57, 0xff, 0xcf, 0xe8, 0xf2, 0xff,
    0xff, 0xff, 0x48, 0x89, 0xc3, 0x5f, 0x83, 0xef, 2, 0xe8, 0xe6, 0xff, 0xff, 0xff, 0x48, 0x01, 0xd8, 0x5b, 0xc3,
    0x89, 0xf8, 0xc3
  };
  Bench b;

  bench_begin (&b, 64, false);
  run_program (&b, code, sizeof code);
  g_assert_cmpuint (b.f->env->gpr[VM_RAX], ==, 6765);
  g_assert_cmpuint (b.f->env->gpr[VM_RSP], ==, DATA + 0x10000);
  g_assert_cmpuint (b.x->jit->n_entered, <, 2000); /* blocks call each other */
  bench_end (&b);
}

static void
test_patched_code (void)
{
  /* mov ecx,1000; again: mov [rip+1],ecx; mov eax,0 (patched); add rdx,rax; dec ecx; jnz again; hlt */
  static const uint8_t code[] = {
    0xb9, 0xe8, 3, 0, 0, 0x89, 0x0d, 1, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0x48, 0x01, 0xc2, 0xff, 0xc9, 0x75, 0xee, 0xf4
  };
  Bench b;

  bench_begin (&b, 64, false);
  run_program (&b, code, sizeof code);
  g_assert_cmpuint (b.f->env->gpr[VM_RDX], ==, 500500);
  bench_end (&b);
}

static void
test_over_page_end (void)
{
  g_autofree uint8_t *code = g_malloc0 (0x1010);
  /* again: add rax,rcx; lea rbx,[rax+rax+11223344h] (over the end); dec ecx; jnz again; hlt */
  static const uint8_t loop[] = { 0x48, 0x01, 0xc8, 0x48, 0x8d, 0x9c, 0x00, 0x44, 0x33, 0x22, 0x11, 0xff, 0xc9, 0x75,
                                  0xf1, 0xf4 };
  Bench b;

  memset (code, 0x90, 0x1010);
  code[0] = 0xb9;
  vm_store_le32 (code + 1, 10000);
  memcpy (code + 0xff9, loop, sizeof loop);
  bench_begin (&b, 64, false);
  run_program (&b, code, 0x1010);
  g_assert_cmpuint (b.f->env->gpr[VM_RAX], ==, 50005000);
  g_assert_cmpuint (b.f->env->gpr[VM_RBX], ==, 2 * 50005000 + 0x11223344);
  g_assert_cmpuint (b.x->n_uncached, <, 200);
  bench_end (&b);
}

static void
test_divide_error (void)
{
  /* mov eax,5; xor edx,edx; xor ecx,ecx; div ecx */
  static const uint8_t code[] = { 0xb8, 5, 0, 0, 0, 0x31, 0xd2, 0x31, 0xc9, 0xf7, 0xf1, 0xf4 };
  Bench b;

  bench_begin (&b, 64, false);
  vm_fixture_write (b.f, CODE_PHYS, code, sizeof code);
  for (unsigned i = 0; i < 20; i++)
    {
      b.f->env->rip = CODE_LINEAR;
      g_assert_cmpint (vm_tcg_exec_trial (&b.f->cpu->parent, 100, i > 2), ==, VM_EXC_DE);
      g_assert_cmphex (b.f->env->rip, ==, CODE_LINEAR + 9);
    }
  bench_end (&b);
}

static gpointer
kick_soon (gpointer env)
{
  g_usleep (50000);
  __atomic_fetch_or (&((VmX86Env *) env)->poll, VM_POLL_KICK, __ATOMIC_RELAXED);
  return NULL;
}

/* Guests that never jump back nor return still hear of events; else the test does not end. */
static void
expect_to_stop (unsigned bits, const uint8_t *code, unsigned len, unsigned second_at)
{
  Bench b;
  GThread *kicker;

  bench_begin (&b, bits, false);
  vm_fixture_write (b.f, CODE_PHYS, code, len);
  vm_fixture_write (b.f, CODE_PHYS + second_at, code, len);
  b.f->env->rip = bits == 16 ? 0 : CODE_LINEAR;
  b.f->env->gpr[VM_RSP] = bits == 16 ? 0x8000 : DATA + 0x8000;
  kicker = g_thread_new ("kicker", kick_soon, b.f->env);
  g_assert_cmpint (vm_tcg_exec_trial (&b.f->cpu->parent, 1000, true), <, 0);
  g_thread_join (kicker);
  bench_end (&b);
}

static void
test_endless (void)
{
  /* lea rsp,[rsp+8]; call there again */
  static const uint8_t calls[] = { 0x48, 0x8d, 0x64, 0x24, 8, 0xe8, 0xf6, 0xff, 0xff, 0xff };
  /* jmp 8000h on, twice around the segment */
  static const uint8_t jumps[] = { 0xe9, 0xfd, 0x7f };

  expect_to_stop (64, calls, sizeof calls, 0);
  expect_to_stop (16, jumps, sizeof jumps, 0x8000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/tcg-jit/lockstep/64", GUINT_TO_POINTER (64), test_lockstep);
  g_test_add_data_func ("/tcg-jit/lockstep/32", GUINT_TO_POINTER (32), test_lockstep);
  g_test_add_data_func ("/tcg-jit/lockstep/16", GUINT_TO_POINTER (16), test_lockstep);
  g_test_add_func ("/tcg-jit/calls", test_calls);
  g_test_add_func ("/tcg-jit/patched-code", test_patched_code);
  g_test_add_func ("/tcg-jit/over-page-end", test_over_page_end);
  g_test_add_func ("/tcg-jit/divide-error", test_divide_error);
  g_test_add_func ("/tcg-jit/endless", test_endless);
  return g_test_run ();
}
