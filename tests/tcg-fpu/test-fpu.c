/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vector and x87 behaviour that a comparison with the host cannot show: privileged formats, errors reported later,
 * restart in the middle, state images. */
#include "config.h"

#include "engine/tcg/decode/ops.h"
#include "engine/tcg/fpu/fpu.h"
#include "engine/x86/xsave.h"
#include "tests/tcg-fpu/fake.h"

typedef struct Fixture {
  VmX86Cpu *cpu;
  VmX86Env *env;
  uint8_t  *mem;      /* 8 KiB, 64-byte aligned; RBX points to it */
  int       irq_level;
} Fixture;

#define MEM_SIZE 8192u

static void
on_irq (void *opaque, int n, int level)
{
  ((Fixture *) opaque)->irq_level = level;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->cpu = fake_cpu_new ();
  f->env = &f->cpu->env;
  f->mem = g_aligned_alloc0 (1, MEM_SIZE, 64);
  f->env->gpr[VM_RBX] = (uintptr_t) f->mem;
  f->env->eflags = 2;
  f->cpu->ferr_irq = (VmIrq) { on_irq, f, 0 };
  f->cpu->parent.parent.env = g_new0 (VmEnv, 1);
  fake_set_memory ((uintptr_t) f->mem, MEM_SIZE);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_free (f->cpu->parent.parent.env);
  fake_cpu_free (f->cpu);
  g_aligned_free (f->mem);
}

static int
run_bits (Fixture *f, unsigned bits, const char *hex)
{
  uint8_t bytes[16] = { 0 };
  unsigned len = 0;
  VmInsn insn;

  for (; *hex; hex += *hex == ' ' ? 1 : 2)
    if (*hex != ' ')
      bytes[len++] = g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]);
  g_assert_cmpuint (vm_insn_decode (bytes, len, bits, NULL, &insn), ==, len);
  g_assert_cmpuint (insn.flags & VM_INSN_UD, ==, 0);
  /* A host address does not fit into less. */
  if (insn.flags & VM_INSN_MEM)
    insn.addrsize = 8;
  return fake_run (f->env, &insn);
}

static int
run (Fixture *f, const char *hex)
{
  return run_bits (f, 64, hex);
}

/* --- x87 errors -------------------------------------------------------------------------------- */

static void
unmask_zero_divide (Fixture *f)
{
  vm_store_le16 (f->mem, 0x37b);
  g_assert_cmpint (run (f, "d9 2b"), ==, -1);         /* fldcw [rbx] */
  g_assert_cmpint (run (f, "d9 e8"), ==, -1);         /* fld1 */
  g_assert_cmpint (run (f, "d9 ee"), ==, -1);         /* fldz */
  g_assert_cmpint (run (f, "de f9"), ==, -1);         /* fdivp: the error, not yet reported */
  g_assert_cmphex (f->env->fx.fsw & 0x80ff, ==, 0x8084);
}

static void
test_mf (Fixture *f, gconstpointer data)
{
  unmask_zero_divide (f);
  g_assert_cmpint (f->irq_level, ==, 0);
  g_assert_cmpint (run (f, "d9 e8"), ==, VM_EXC_MF);
  g_assert_cmpint (run (f, "9b"), ==, VM_EXC_MF);
  g_assert_cmpint (run (f, "0f fc c1"), ==, VM_EXC_MF); /* paddb mm0, mm1 */
  g_assert_cmpint (run (f, "df e0"), ==, -1);           /* fnstsw ax */
  g_assert_cmphex (f->env->gpr[VM_RAX] & 0x80ff, ==, 0x8084);
  g_assert_cmpint (run (f, "db e2"), ==, -1);           /* fnclex */
  g_assert_cmpint (run (f, "9b"), ==, -1);
}

static void
test_ferr (Fixture *f, gconstpointer data)
{
  f->env->cr0 &= ~(uint64_t) VM_CR0_NE;
  unmask_zero_divide (f);
  g_assert_cmpint (f->irq_level, ==, 1);
  vm_x86_ignore_fpu_error (f->cpu);                     /* port F0h */
  g_assert_cmpint (f->irq_level, ==, 0);
  g_assert_cmpint (run (f, "d9 e8"), ==, -1);           /* goes on meanwhile */
  g_assert_cmpint (f->irq_level, ==, 0);
  g_assert_true (f->env->ignne);
  g_assert_cmpint (run (f, "db e3"), ==, -1);           /* fninit */
  g_assert_false (f->env->ignne);
  unmask_zero_divide (f);
  g_assert_cmpint (f->irq_level, ==, 1);
  g_assert_cmpint (run (f, "db e2"), ==, -1);           /* fnclex takes FERR# back */
  g_assert_cmpint (f->irq_level, ==, 0);
}

static void
test_ferr_by_control_word (Fixture *f, gconstpointer data)
{
  g_assert_cmpint (run (f, "d9 e8"), ==, -1);
  g_assert_cmpint (run (f, "d9 ee"), ==, -1);
  g_assert_cmpint (run (f, "de f9"), ==, -1);           /* masked */
  g_assert_cmphex (f->env->fx.fsw & 0x80ff, ==, 4);
  vm_store_le16 (f->mem, 0x37b);
  g_assert_cmpint (run (f, "d9 2b"), ==, -1);           /* unmasked later */
  g_assert_cmpint (run (f, "9b"), ==, VM_EXC_MF);
}

static void
test_unmasked_store (Fixture *f, gconstpointer data)
{
  vm_store_le16 (f->mem, 0x37e);
  g_assert_cmpint (run (f, "d9 2b"), ==, -1);
  vm_store_le32 (f->mem + 16, 0x12345678);
  g_assert_cmpint (run (f, "d9 5b 10"), ==, -1);        /* fstp dword [rbx+16]: empty stack */
  g_assert_cmphex (vm_load_le32 (f->mem + 16), ==, 0x12345678);
  g_assert_cmphex (f->env->fx.fsw & 0x3800, ==, 0);     /* not popped */
  g_assert_cmpint (run (f, "9b"), ==, VM_EXC_MF);
}

static void
test_wait (Fixture *f, gconstpointer data)
{
  f->env->mode |= VM_MODE_TS;
  g_assert_cmpint (run (f, "9b"), ==, -1);
  f->env->mode |= VM_MODE_MP;
  g_assert_cmpint (run (f, "9b"), ==, VM_EXC_NM);
}

/* --- environments ------------------------------------------------------------------------------ */

static void
test_environment (Fixture *f, gconstpointer data)
{
  VmX86Fx *fx = &f->env->fx;
  uint32_t mode = f->env->mode;

  run (f, "d9 e8");                       /* fld1 */
  run (f, "d9 ee");                       /* fldz: top is 6 */
  fx->fip = 0x12345;
  fx->fdp = 0x6789a;
  fx->fop = 0x1d9;
  g_assert_cmpint (run_bits (f, 32, "d9 33"), ==, -1);
  g_assert_cmphex (vm_load_le32 (f->mem), ==, 0xffff037f);
  g_assert_cmphex (vm_load_le32 (f->mem + 4), ==, 0xffff3000);
  g_assert_cmphex (vm_load_le32 (f->mem + 8), ==, 0xffff1fff);
  g_assert_cmphex (vm_load_le32 (f->mem + 12), ==, 0x12345);
  g_assert_cmphex (vm_load_le32 (f->mem + 16), ==, 0x01d90000);
  g_assert_cmphex (vm_load_le32 (f->mem + 20), ==, 0x6789a);

  g_assert_cmpint (run_bits (f, 32, "66 d9 33"), ==, -1);
  g_assert_cmphex (vm_load_le16 (f->mem + 4), ==, 0x1fff);
  g_assert_cmphex (vm_load_le16 (f->mem + 6), ==, 0x2345);

  f->env->mode = mode & ~(uint32_t) VM_MODE_PE;
  g_assert_cmpint (run_bits (f, 32, "66 d9 33"), ==, -1);
  g_assert_cmphex (vm_load_le16 (f->mem + 8), ==, 0x11d9);
  g_assert_cmphex (vm_load_le16 (f->mem + 12), ==, 0x6000);
  g_assert_cmpint (run_bits (f, 32, "d9 33"), ==, -1);
  g_assert_cmphex (vm_load_le32 (f->mem + 12), ==, 0xffff2345);
  g_assert_cmphex (vm_load_le32 (f->mem + 16), ==, 0x000011d9);

  memset (f->mem, 0, 28);
  vm_store_le32 (f->mem, 0xffff);
  vm_store_le32 (f->mem + 4, 0x2800);
  vm_store_le32 (f->mem + 8, 0x3fff);
  vm_store_le32 (f->mem + 12, 0xabcd);
  vm_store_le32 (f->mem + 16, 0x0001f456);
  g_assert_cmpint (run_bits (f, 32, "d9 23"), ==, -1);
  g_assert_cmphex (fx->fcw, ==, 0x1f7f);
  g_assert_cmphex (fx->fsw, ==, 0x2800);
  g_assert_cmphex (fx->ftw, ==, 0x80);
  g_assert_cmphex (fx->fip, ==, 0x1fabcd);
  g_assert_cmphex (fx->fop, ==, 0x456);
}

static void
test_save_restore (Fixture *f, gconstpointer data)
{
  VmX86Fx before;

  run (f, "d9 e8");
  run (f, "d9 eb");                       /* fldpi */
  run (f, "d9 ec");
  before = f->env->fx;
  g_assert_cmpint (run (f, "dd 33"), ==, -1);           /* fnsave */
  g_assert_cmphex (f->env->fx.ftw, ==, 0);
  g_assert_cmphex (f->env->fx.fsw, ==, 0);
  g_assert_cmpint (run (f, "dd 23"), ==, -1);           /* frstor */
  g_assert_cmpmem (before.st, 48, f->env->fx.st, 48);
  g_assert_cmphex (before.fsw, ==, f->env->fx.fsw);
  g_assert_cmphex (before.ftw, ==, f->env->fx.ftw);
}

/* --- SIMD exceptions --------------------------------------------------------------------------- */

static void
test_xm (Fixture *f, gconstpointer data)
{
  VmX86Env *env = f->env;

  env->fx.mxcsr = 0x1f80 & ~(1 << 9);                   /* divide by zero unmasked */
  env->ymm[0].d[0] = 0x3f800000;
  env->ymm[0].d[1] = 0x7fc00000;
  g_assert_cmpint (run (f, "f3 0f 5e c1"), ==, VM_EXC_XM);
  g_assert_cmphex (env->fx.mxcsr & 0x3f, ==, 4);
  g_assert_cmphex (env->ymm[0].d[0], ==, 0x3f800000);
  env->cr4 &= ~(uint64_t) VM_CR4_OSXMMEXCPT;
  g_assert_cmpint (run (f, "f3 0f 5e c1"), ==, VM_EXC_UD);
  env->fx.mxcsr = 0x1f80 & ~(1 << 11);                  /* underflow, exact but tiny */
  env->ymm[0].d[0] = 0x00800000;
  env->ymm[1].d[0] = 0x3f000000;
  env->cr4 |= VM_CR4_OSXMMEXCPT;
  g_assert_cmpint (run (f, "f3 0f 59 c1"), ==, VM_EXC_XM);
  g_assert_cmphex (env->fx.mxcsr & 0x10, ==, 0x10);
  env->fx.mxcsr = 0x1f80;
  g_assert_cmpint (run (f, "f3 0f 59 c1"), ==, -1);
  g_assert_cmphex (env->fx.mxcsr, ==, 0x1f80);
}

static void
test_alignment (Fixture *f, gconstpointer data)
{
  g_assert_cmpint (run (f, "0f 28 43 08"), ==, VM_EXC_GP);     /* movaps */
  g_assert_cmpint (run (f, "0f 10 43 08"), ==, -1);            /* movups */
  g_assert_cmpint (run (f, "66 0f fc 43 08"), ==, VM_EXC_GP);  /* paddb */
  g_assert_cmpint (run (f, "c5 f9 fc 43 08"), ==, -1);         /* vpaddb */
  g_assert_cmpint (run (f, "c5 fc 28 43 10"), ==, VM_EXC_GP);  /* vmovaps ymm */
  g_assert_cmpint (run (f, "c5 fc 28 43 20"), ==, -1);
  g_assert_cmpint (run (f, "f3 0f 58 43 03"), ==, -1);         /* addss */
  vm_store_le32 (f->mem, 0x10000);
  g_assert_cmpint (run (f, "0f ae 13"), ==, VM_EXC_GP);        /* ldmxcsr */
}

/* --- masks ------------------------------------------------------------------------------------- */

static void
test_gather_restart (Fixture *f, gconstpointer data)
{
  VmX86Env *env = f->env;

  for (unsigned i = 0; i < 8; i++)
    {
      env->ymm[1].d[i] = i == 3 ? 1000000 : i;
      env->ymm[2].d[i] = i == 1 ? 0x7fffffff : 0x80000000;
      env->ymm[0].d[i] = 0xcafe0000 + i;
      vm_store_le32 (f->mem + 4 * i, 0x1000 + i);
    }
  g_assert_cmpint (run (f, "c4 e2 6d 90 04 8b"), ==, VM_EXC_PF);  /* vpgatherdd ymm0, [rbx+ymm1*4], ymm2 */
  g_assert_cmphex (env->exc_addr, ==, (uintptr_t) f->mem + 4000000);
  g_assert_cmphex (env->ymm[0].d[0], ==, 0x1000);
  g_assert_cmphex (env->ymm[0].d[1], ==, 0xcafe0001);
  g_assert_cmphex (env->ymm[0].d[2], ==, 0x1002);
  g_assert_cmphex (env->ymm[0].d[3], ==, 0xcafe0003);
  g_assert_cmphex (env->ymm[2].d[2], ==, 0);
  g_assert_cmphex (env->ymm[2].d[4], ==, 0x80000000);
  env->ymm[1].d[3] = 3;
  g_assert_cmpint (run (f, "c4 e2 6d 90 04 8b"), ==, -1);
  g_assert_cmphex (env->ymm[0].d[3], ==, 0x1003);
  g_assert_cmphex (env->ymm[0].d[7], ==, 0x1007);
  g_assert_cmphex (env->ymm[2].q[0] | env->ymm[2].q[1] | env->ymm[2].q[2] | env->ymm[2].q[3], ==, 0);
  g_assert_cmpint (run (f, "c4 e2 7d 90 04 8b"), ==, VM_EXC_UD);  /* mask is the destination */
}

static void
test_mask_store (Fixture *f, gconstpointer data)
{
  VmX86Env *env = f->env;

  env->gpr[VM_RBX] = (uintptr_t) f->mem + MEM_SIZE - 16;
  for (unsigned i = 0; i < 8; i++)
    env->ymm[0].d[i] = 0x100 + i;
  for (unsigned i = 0; i < 4; i++)
    env->ymm[1].d[i] = i & 1 ? 0x80000000 : 0;
  g_assert_cmpint (run (f, "c4 e2 75 2e 03"), ==, -1);            /* vmaskmovps [rbx], ymm1, ymm0 */
  g_assert_cmphex (vm_load_le32 (f->mem + MEM_SIZE - 16), ==, 0);
  g_assert_cmphex (vm_load_le32 (f->mem + MEM_SIZE - 12), ==, 0x101);
  memset (f->mem + MEM_SIZE - 16, 0, 16);
  env->ymm[1].d[7] = 0x80000000;
  g_assert_cmpint (run (f, "c4 e2 75 2e 03"), ==, VM_EXC_PF);     /* nothing was written before */
  g_assert_cmphex (vm_load_le32 (f->mem + MEM_SIZE - 12), ==, 0);
}

/* --- state images ------------------------------------------------------------------------------ */

static void
fill_state (VmX86Env *env)
{
  for (unsigned i = 0; i < 16; i++)
    for (unsigned k = 0; k < 32; k++)
      env->ymm[i].b[k] = i * 16 + k + 1;
  env->fx.fcw = 0x27f;
  env->fx.ftw = 3;
  env->fx.fsw = 0x3800;
  for (unsigned i = 0; i < 8; i++)
    memset (env->fx.st[i], i + 1, 10);
  env->fx.mxcsr = 0x1fa0;
}

static void
set_mask (VmX86Env *env, uint64_t mask)
{
  env->gpr[VM_RAX] = (uint32_t) mask;
  env->gpr[VM_RDX] = mask >> 32;
}

static void
test_fxsave (Fixture *f, gconstpointer data)
{
  VmX86Env *env = f->env;

  fill_state (env);
  memset (f->mem, 0xee, 512);
  g_assert_cmpint (run (f, "0f ae 43 08"), ==, VM_EXC_GP);
  env->mode &= ~(uint32_t) VM_MODE_CS64;
  g_assert_cmpint (run_bits (f, 32, "0f ae 03"), ==, -1);
  g_assert_cmphex (f->mem[160 + 127], ==, env->ymm[7].b[15]);
  g_assert_cmphex (f->mem[160 + 128], ==, 0xee);
  env->mode |= VM_MODE_CS64;
  g_assert_cmpint (run (f, "0f ae 03"), ==, -1);
  g_assert_cmphex (f->mem[160 + 128], ==, env->ymm[8].b[0]);
  g_assert_cmphex (f->mem[416], ==, 0xee);
  memset (env->ymm, 0, sizeof env->ymm);
  g_assert_cmpint (run (f, "0f ae 0b"), ==, -1);
  g_assert_cmphex (env->ymm[15].b[3], ==, 15 * 16 + 4);
  g_assert_cmphex (env->ymm[15].b[16], ==, 0);
  vm_store_le32 (f->mem + 24, 0x80000000);
  g_assert_cmpint (run (f, "0f ae 0b"), ==, VM_EXC_GP);
}

static void
test_xsave (Fixture *f, gconstpointer data)
{
  VmX86Env *env = f->env;
  VmX86Vec saved[16];

  fill_state (env);
  memcpy (saved, env->ymm, sizeof saved);
  set_mask (env, UINT64_MAX);
  vm_store_le64 (f->mem + 512, 0xff00);                        /* bits of others stay */
  g_assert_cmpint (run (f, "0f ae 63 20"), ==, VM_EXC_GP);     /* not 64-byte aligned */
  g_assert_cmpint (run (f, "0f ae 23"), ==, -1);
  g_assert_cmphex (vm_load_le64 (f->mem + 512), ==, 0xff07);
  g_assert_cmpmem (f->mem + 576 + 16, 16, env->ymm[1].b + 16, 16);
  g_assert_cmpint (run (f, "0f ae 2b"), ==, VM_EXC_GP);        /* xrstor: unknown component */
  vm_store_le64 (f->mem + 512, 3);
  g_assert_cmpint (run (f, "0f ae 2b"), ==, -1);
  g_assert_cmphex (env->ymm[5].b[3], ==, saved[5].b[3]);
  g_assert_cmphex (env->ymm[5].q[2], ==, 0);                   /* AVX was initialised */
  vm_store_le64 (f->mem + 528, 1);
  g_assert_cmpint (run (f, "0f ae 2b"), ==, VM_EXC_GP);        /* reserved header bytes */

  memcpy (env->ymm, saved, sizeof saved);
  for (unsigned i = 0; i < 16; i++)
    env->ymm[i].q[2] = env->ymm[i].q[3] = 0;
  memset (f->mem, 0xcc, 1024);
  g_assert_cmpint (run (f, "0f ae 33"), ==, -1);               /* xsaveopt leaves out what is initial */
  g_assert_cmphex (vm_load_le64 (f->mem + 512) & 7, ==, 3);
  g_assert_cmphex (f->mem[576], ==, 0xcc);

  env->cr4 &= ~(uint64_t) VM_CR4_OSXSAVE;
  g_assert_cmpint (run (f, "0f ae 23"), ==, VM_EXC_UD);
}

static void
test_xsavec (Fixture *f, gconstpointer data)
{
  VmX86Env *env = f->env;
  VmX86Vec saved[16];

  env->xcr0 = VM_XSTATE_ALL;
  fill_state (env);
  env->pkru = 0x55;
  memcpy (saved, env->ymm, sizeof saved);
  set_mask (env, VM_XSTATE_SSE | VM_XSTATE_PKRU);
  memset (f->mem, 0xcc, 1024);
  g_assert_cmpint (run (f, "0f c7 23"), ==, -1);
  g_assert_cmphex (vm_load_le64 (f->mem + 512), ==, VM_XSTATE_SSE | VM_XSTATE_PKRU);
  g_assert_cmphex (vm_load_le64 (f->mem + 520), ==, VM_XSAVE_COMPACTED | VM_XSTATE_SSE | VM_XSTATE_PKRU);
  g_assert_cmphex (vm_load_le32 (f->mem + 576), ==, 0x55);     /* right behind the header */
  g_assert_cmphex (f->mem[0], ==, 0xcc);
  memset (f->mem + 528, 0, 48);
  memset (env->ymm, 0, sizeof env->ymm);
  env->pkru = 0;
  env->fx.mxcsr = 0x1f80;
  set_mask (env, VM_XSTATE_ALL);
  g_assert_cmpint (run (f, "0f ae 2b"), ==, -1);
  g_assert_cmphex (env->pkru, ==, 0x55);
  g_assert_cmphex (env->fx.mxcsr, ==, 0x1fa0);
  g_assert_cmphex (env->fx.fcw, ==, 0x37f);                    /* x87 was initialised */
  g_assert_cmpmem (env->ymm[9].b, 16, saved[9].b, 16);
  vm_store_le64 (f->mem + 512, VM_XSTATE_AVX);                 /* not in XCOMP_BV */
  g_assert_cmpint (run (f, "0f ae 2b"), ==, VM_EXC_GP);
  g_assert_cmpint (run (f, "0f c7 2b"), ==, -1);               /* xsaves */
  memset (f->mem + 528, 0, 48);
  g_assert_cmpint (run (f, "0f c7 1b"), ==, -1);               /* xrstors */
  vm_store_le64 (f->mem + 520, 0);
  g_assert_cmpint (run (f, "0f c7 1b"), ==, VM_EXC_GP);
}

static void
test_image (Fixture *f, gconstpointer data)
{
  VmX86Env *env = f->env;
  uint8_t image[VM_XSAVE_MAX];
  VmX86Vec saved[16];

  fill_state (env);
  env->pkru = 7;
  memcpy (saved, env->ymm, sizeof saved);
  g_assert_cmpuint (vm_xsave_size (VM_XSTATE_ALL, false), <=, sizeof image);
  vm_xsave_store (env, image, VM_XSTATE_ALL);
  vm_xsave_init (env, VM_XSTATE_ALL, 16);
  g_assert_cmphex (vm_xsave_in_use (env, false), ==, 0);
  g_assert_true (vm_xsave_load (env, image, VM_XSTATE_ALL));
  g_assert_cmpmem (env->ymm, sizeof saved, saved, sizeof saved);
  g_assert_cmphex (env->pkru, ==, 7);
  g_assert_cmphex (env->fx.fcw, ==, 0x27f | 0x40);
  g_assert_false (vm_xsave_load (env, image, VM_XSTATE_X87));
}

/* More forms than there is room for thunks. */
static void
test_many_thunks (Fixture *f, gconstpointer data)
{
  char hex[32];

  for (unsigned round = 0; round < 2; round++)
    for (unsigned i = 0; i < 0x4000; i += 3)
      {
        uint8_t imm = i;

        for (unsigned k = 0; k < 4; k++)
          f->env->ymm[1].d[k] = k + i;
        /* pshufd xmm(2..7), xmm1 and its VEX form */
        g_snprintf (hex, sizeof hex, i & 0x2000 ? "c5 f9 70 %02x %02x" : "66 0f 70 %02x %02x",
                    0xc1 | (2 + (i >> 8) % 6) << 3, imm);
        g_assert_cmpint (run (f, hex), ==, -1);
        for (unsigned k = 0; k < 4; k++)
          g_assert_cmpuint (f->env->ymm[2 + (i >> 8) % 6].d[k], ==, (imm >> (2 * k) & 3) + i);
      }
}

int
main (int argc, char **argv)
{
  static const struct { const char *name; void (*func) (Fixture *, gconstpointer); } tests[] = {
    { "/fpu/mf", test_mf }, { "/fpu/ferr", test_ferr }, { "/fpu/unmask-later", test_ferr_by_control_word },
    { "/fpu/unmasked-store", test_unmasked_store }, { "/fpu/wait", test_wait },
    { "/fpu/environment", test_environment }, { "/fpu/save-restore", test_save_restore },
    { "/fpu/xm", test_xm }, { "/fpu/alignment", test_alignment },
    { "/fpu/gather-restart", test_gather_restart }, { "/fpu/mask-store", test_mask_store },
    { "/fpu/fxsave", test_fxsave }, { "/fpu/xsave", test_xsave }, { "/fpu/xsavec", test_xsavec },
    { "/fpu/image", test_image }, { "/fpu/many-thunks", test_many_thunks },
  };

  g_test_init (&argc, &argv, NULL);
  if (!__builtin_cpu_supports ("avx2"))
    {
      g_print ("1..0 # SKIP host without AVX2\n");
      return 0;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].name, Fixture, NULL, set_up, tests[i].func, tear_down);
  return g_test_run ();
}
