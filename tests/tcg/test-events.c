/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events from outside and exceptions about exceptions: priorities, shadows, double and triple faults, SMM, INIT and
 * SIPI. Code is real-mode bytes at 0000:1000 unless a test says otherwise. */
#include "config.h"

#include "engine/tcg/interp/interp.h"
#include "engine/tcg/sys/sys.h"
#include "engine/x86/model.h"

extern const VmType x86_cpu_max_type, x86_cpu_pentium3_type;

typedef struct Box {
  VmLock        *lock;
  VmMemory      *memory;
  VmRegion       root, ram;
  VmAddressSpace as;
  VmX86Cpu      *cpu;
  VmX86Env      *env;
  uint8_t       *bytes;
  int            vector; /* the next external interrupt */
} Box;

static int
get_vector (void *apic)
{
  Box *b = apic;

  vm_x86_unrequest (b->cpu, VM_REQ_HARD);
  return b->vector;
}

static const VmX86ApicOps apic_ops = { .get_vector = get_vector };

static void
box_start_type (Box *b, const VmType *type, const char *code, size_t len)
{
  bool taken;

  memset (b, 0, sizeof *b);
  b->lock = vm_lock_new ();
  b->memory = vm_memory_new (b->lock);
  taken = vm_lock_enter (b->lock);
  vm_region_init (&b->root, b->memory, "root", 0);
  g_assert_true (vm_region_init_ram (&b->ram, b->memory, "ram", 4 * VM_MIB, NULL));
  vm_region_add (&b->root, 0, &b->ram);
  vm_address_space_init (&b->as, b->memory, &b->root, "cpu");
  vm_lock_leave (b->lock, taken);
  b->bytes = vm_region_ram_ptr (&b->ram);
  memcpy (b->bytes + 0x1000, code, len);
  b->cpu = (VmX86Cpu *) vm_device_new (type);
  b->env = &b->cpu->env;
  b->cpu->memory_as = &b->as;
  b->cpu->apic_ops = &apic_ops;
  b->cpu->apic = b;
  b->cpu->model->check = false;
  g_assert_true (vm_x86_cpu_realize ((VmDevice *) b->cpu, NULL));
  b->env->seg[VM_CS] = b->env->seg[VM_DS];
  b->env->seg[VM_CS].attr |= VM_SEG_CODE;
  b->env->rip = 0x1000;
  b->env->gpr[VM_RSP] = 0x7000;
  vm_x86_update_mode (b->env);
  vm_tlb_begin (b->cpu);
  vm_tcg_cpu (b->env)->interp = vm_interp_new (vm_x86_model_has_name, b->cpu->model);
  /* interrupt N goes to 0000:2000 + N * 10h, which holds HLT */
  for (unsigned n = 0; n < 256; n++)
    {
      vm_store_le32 (b->bytes + n * 4, 0x2000 + n * 16);
      b->bytes[0x2000 + n * 16] = 0xf4;
    }
}

static void
box_start (Box *b, const char *code, size_t len)
{
  box_start_type (b, &x86_cpu_max_type, code, len);
}

static void
box_end (Box *b)
{
  bool taken;

  vm_interp_free (vm_tcg_cpu (b->env)->interp);
  vm_tlb_end (b->cpu);
  vm_object_unref ((VmObject *) b->cpu);
  taken = vm_lock_enter (b->lock);
  vm_address_space_destroy (&b->as);
  vm_region_destroy (&b->ram);
  vm_region_destroy (&b->root);
  vm_lock_leave (b->lock, taken);
  vm_memory_free (b->memory);
  vm_lock_free (b->lock);
}

/* One turn of the exec loop: an event or an instruction. */
static void
box_step (Box *b)
{
  VmX86Env *env = b->env;
  sigjmp_buf jump;
  VmInsn insn;

  vm_tcg_cpu (env)->fault_env = &jump;
  if (sigsetjmp (jump, 0) != 0)
    vm_sys_deliver_exception (env);
  else if (env->shadow || !vm_sys_take_events (env))
    {
      if (!env->halted && !env->wait_for_sipi)
        {
          vm_interp_fetch (env, &insn);
          vm_interp_insn (env, &insn);
        }
    }
  vm_tcg_cpu (env)->fault_env = NULL;
}

static void
box_run (Box *b)
{
  for (unsigned i = 0; i < 1000 && !b->env->halted && !b->env->shutdown; i++)
    box_step (b);
}

#define START(b, code) box_start (b, code, sizeof code - 1)
/* Was the handler of vector N the last thing that ran? */
#define ASSERT_HALTED_IN(b, n)                                                                   \
  G_STMT_START                                                                                   \
  {                                                                                              \
    g_assert_true ((b).env->halted);                                                             \
    g_assert_cmphex ((b).env->rip, ==, 0x2001 + (n) * 16);                                       \
  }                                                                                              \
  G_STMT_END

static void
test_sti_shadow (void)
{
  Box b;

  /* sti; inc ax; inc bx */
  START (&b, "\xfb\x40\x43\xf4");
  b.vector = 0x40;
  vm_x86_request (b.cpu, VM_REQ_HARD);
  box_step (&b);
  g_assert_true (vm_sys_has_wakeup (b.env));
  box_run (&b);
  ASSERT_HALTED_IN (b, 0x40);
  g_assert_cmpuint (b.env->gpr[VM_RAX], ==, 1);
  g_assert_cmpuint (b.env->gpr[VM_RBX], ==, 0);
  box_end (&b);

  /* sti; cli: nothing gets through */
  START (&b, "\xfb\xfa\x40\xf4");
  b.vector = 0x40;
  vm_x86_request (b.cpu, VM_REQ_HARD);
  box_run (&b);
  g_assert_cmphex (b.env->rip, ==, 0x1004);
  g_assert_false (vm_sys_has_wakeup (b.env));
  box_end (&b);
}

static void
test_mov_ss_shadow (void)
{
  Box b;

  /* mov ss,ax; mov sp,7100: not even an NMI in between */
  START (&b, "\x8e\xd0\xbc\x00\x71\x40\xf4");
  box_step (&b);
  vm_x86_request (b.cpu, VM_REQ_NMI);
  box_run (&b);
  ASSERT_HALTED_IN (b, 2);
  g_assert_cmphex (b.env->gpr[VM_RSP], ==, 0x70fa);
  g_assert_cmphex (vm_load_le16 (b.bytes + 0x70fa), ==, 0x1005);
  /* blocked until IRET */
  vm_x86_request (b.cpu, VM_REQ_NMI);
  g_assert_false (vm_sys_has_wakeup (b.env));
  b.bytes[0x2021] = 0xcf; /* after the HLT: iret */
  b.env->halted = false;
  box_step (&b);
  g_assert_cmphex (b.env->rip, ==, 0x1005);
  box_run (&b);
  ASSERT_HALTED_IN (b, 2);
  box_end (&b);
}

static void
test_halt (void)
{
  Box b;

  START (&b, "\xfb\xf4\x40\xf4");
  box_run (&b);
  g_assert_cmphex (b.env->rip, ==, 0x1002);
  g_assert_false (vm_sys_has_wakeup (b.env));
  b.vector = 0x33;
  vm_x86_request (b.cpu, VM_REQ_HARD);
  g_assert_true (vm_sys_has_wakeup (b.env));
  box_step (&b);
  box_run (&b);
  ASSERT_HALTED_IN (b, 0x33);
  box_end (&b);
}

/* Two NMIs before the next boundary: one runs, one waits for its IRET; a third is lost (SDM volume 3, 6.7.1). */
static void
test_two_nmis (void)
{
  Box b;

  START (&b, "\x90\xf4");
  b.bytes[0x2020] = 0x41; /* the handler: inc cx; iret */
  b.bytes[0x2021] = 0xcf;
  for (unsigned i = 0; i < 3; i++)
    vm_x86_request (b.cpu, VM_REQ_NMI);
  box_run (&b);
  while (vm_sys_has_wakeup (b.env))
    {
      b.env->halted = false;
      box_step (&b);
    }
  g_assert_cmphex (b.env->gpr[VM_RCX], ==, 2);
  box_end (&b);
}

static void
test_single_step (void)
{
  Box b;

  /* push 102h; popf; nop; the trap comes after the NOP */
  START (&b, "\x68\x02\x01\x9d\x90\x40\xf4");
  box_run (&b);
  ASSERT_HALTED_IN (b, 1);
  g_assert_cmphex (vm_load_le16 (b.bytes + b.env->gpr[VM_RSP]), ==, 0x1005);
  g_assert_cmphex (b.env->dr[6], ==, 0xffff4ff0);
  box_end (&b);

  /* push 102h; popf; hlt: the trap ends the halt (SDM volume 2, HLT) */
  START (&b, "\x68\x02\x01\x9d\xf4\x40\xf4");
  for (unsigned i = 0; i < 4; i++)
    box_step (&b);
  ASSERT_HALTED_IN (b, 1);
  g_assert_cmphex (vm_load_le16 (b.bytes + b.env->gpr[VM_RSP]), ==, 0x1005);
  box_end (&b);
}

/* A data breakpoint hit by MOV SS waits for the next instruction, and a code breakpoint there is lost
 * (SDM volume 3, 6.8.3). */
static void
test_mov_ss_breakpoint (void)
{
  /* mov ss, [3000h]; then int 20h, int1, or inc ax */
  static const struct
  {
    const char *code;
    unsigned    first_ip; /* where the last #DB came from */
    uint64_t    rsp;
  } cases[] = {
    { "\x8e\x16\x00\x30\xcd\x20", 0x2200, 0x7000 - 12 },
    { "\x8e\x16\x00\x30\xf1\x90", 0x1005, 0x7000 - 6 },
    { "\x8e\x16\x00\x30\x40\xf4", 0x1005, 0x7000 - 6 },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Box b;

      box_start (&b, cases[i].code, 6);
      b.env->dr[1] = 0x3000;
      b.env->dr[2] = 0x1004;
      b.env->dr[7] = 0x0070042a; /* DR1: two bytes, read or write; DR2: execution */
      vm_x86_update_mode (b.env);
      vm_tlb_update_watches (b.env);
      box_run (&b);
      ASSERT_HALTED_IN (b, 1);
      g_assert_cmphex (b.env->gpr[VM_RSP], ==, cases[i].rsp);
      g_assert_cmphex (vm_load_le16 (b.bytes + b.env->gpr[VM_RSP]), ==, cases[i].first_ip);
      g_assert_cmphex (b.env->dr[6], ==, 0xffff0ff2);
      box_end (&b);
    }
}

/* Long mode with the first 2 MiB mapped, code at 1000h. */
static void
box_start_long (Box *b, const char *code, size_t len)
{
  VmX86Env *env;

  box_start (b, code, len);
  env = b->env;
  vm_store_le64 (b->bytes + 0x200000, 0x201007);
  vm_store_le64 (b->bytes + 0x201000, 0x202007);
  vm_store_le64 (b->bytes + 0x202000, 0x87);
  env->cr3 = 0x200000;
  env->cr4 |= VM_CR4_PAE;
  env->efer |= VM_EFER_LME | VM_EFER_LMA | VM_EFER_SCE;
  env->cr0 |= VM_CR0_PG | VM_CR0_PE;
  env->seg[VM_CS].attr |= VM_SEG_L;
  vm_x86_update_mode (env);
  vm_tlb_flush_all (env);
}

/* The exception that the next instruction raises, or -1. */
static int
box_try (Box *b)
{
  VmX86Env *env = b->env;
  sigjmp_buf jump;
  VmInsn insn;
  volatile int vector = -1;

  vm_tcg_cpu (env)->fault_env = &jump;
  if (sigsetjmp (jump, 0) == 0)
    {
      vm_interp_fetch (env, &insn);
      vm_interp_insn (env, &insn);
    }
  else
    {
      vector = env->exc_vector;
      env->exc_vector = -1;
    }
  vm_tcg_cpu (env)->fault_env = NULL;
  return vector;
}

/* SYSCALL and SYSRET trap by the TF they leave with: SYSRET that restores TF at once, SYSCALL only if SFMASK keeps it. */
static void
test_syscall_trap (void)
{
  Box b;

  box_start_long (&b, "\x48\x0f\x07\x0f\x05", 5); /* sysret; syscall */
  b.env->star = UINT64_C (0x0010000800000000);
  b.env->lstar = 0x1100;
  b.env->gpr[VM_RCX] = 0x1003;
  b.env->gpr[11] = VM_TF | 2;
  g_assert_cmpint (box_try (&b), ==, VM_EXC_DB);
  g_assert_cmphex (b.env->rip, ==, 0x1003);
  g_assert_cmpint (vm_x86_cpl (b.env), ==, 3);
  g_assert_cmphex (b.env->exc_addr, ==, 1u << 14);
  b.env->sfmask = VM_TF;
  g_assert_cmpint (box_try (&b), ==, -1);
  g_assert_cmphex (b.env->rip, ==, 0x1100);
  g_assert_cmphex (b.env->gpr[11] & VM_TF, ==, VM_TF);
  b.env->sfmask = 0;
  b.env->rip = 0x1003;
  b.env->eflags |= VM_TF;
  vm_x86_update_mode (b.env);
  g_assert_cmpint (box_try (&b), ==, VM_EXC_DB);
  g_assert_cmphex (b.env->rip, ==, 0x1100);
  box_end (&b);
}

/* Bases may have all implemented bits, with four levels too (SDM volume 1, 3.3.7.1). */
static void
test_wide_bases (void)
{
  static const char code[] = "\x0f\x01\x14\x25\x00\x30\x00\x00\x0f\x30"; /* lgdt [3000h]; wrmsr */

  for (unsigned la57 = 0; la57 < 2; la57++)
    {
      Box b;

      box_start_long (&b, code, sizeof code - 1);
      if (!la57)
        b.cpu->model->words[VM_X86_WORD_7_ECX] &= ~(1u << 16);
      vm_store_le64 (b.bytes + 0x3002, UINT64_C (0xffaaaaaaaaaaaaaa));
      g_assert_cmpint (box_try (&b), ==, la57 ? -1 : VM_EXC_GP);
      b.env->rip = 0x1008;
      b.env->gpr[VM_RCX] = 0xc0000102;
      b.env->gpr[VM_RAX] = 0xaaaaaaaa;
      b.env->gpr[VM_RDX] = 0xffaaaaaa;
      g_assert_cmpint (box_try (&b), ==, la57 ? -1 : VM_EXC_GP);
      b.env->rip = 0x1008;
      b.env->gpr[VM_RDX] = 0xaaaaaaaa;
      g_assert_cmpint (box_try (&b), ==, VM_EXC_GP);
      box_end (&b);
    }
}

/* IRET to the user makes privileged segments null, which in 64-bit mode says nothing about their bases. */
static void
test_iret_null (void)
{
  static const uint64_t frame[] = { 0x1800, 0x1b, 2, 0x6000, 0x23 };
  Box b;

  box_start_long (&b, "\x48\xcf", 2);
  vm_store_le64 (b.bytes + 0x4018, UINT64_C (0x00affb000000ffff));
  vm_store_le64 (b.bytes + 0x4020, UINT64_C (0x00cff3000000ffff));
  b.env->gdt = (VmX86Table) { .base = 0x4000, .limit = 0x27 };
  b.env->seg[VM_GS].selector = 0x10;
  b.env->seg[VM_GS].base = 0x123456789000;
  b.env->gpr[VM_RSP] = 0x6800;
  for (unsigned i = 0; i < G_N_ELEMENTS (frame); i++)
    vm_store_le64 (b.bytes + 0x6800 + i * 8, frame[i]);
  g_assert_cmpint (box_try (&b), ==, -1);
  g_assert_cmpint (vm_x86_cpl (b.env), ==, 3);
  g_assert_cmphex (b.env->seg[VM_GS].selector, ==, 0);
  g_assert_cmphex (b.env->seg[VM_GS].attr & VM_SEG_P, ==, 0);
  g_assert_cmphex (b.env->seg[VM_GS].base, ==, 0x123456789000);
  box_end (&b);
}

static void
test_triple_fault (void)
{
  Box b;

  /* lidt with limit 0: the #UD cannot be delivered, nor the #GP, nor the #DF */
  START (&b, "\x0f\x01\x1e\x00\x30\x0f\x0b");
  memset (b.bytes + 0x3000, 0, 6);
  box_run (&b);
  g_assert_true (b.env->shutdown);
  g_assert_cmpint (b.env->exc_vector, ==, -1);
  box_end (&b);

  /* limit for 0 to 8: #UD works, #GP becomes #DF */
  START (&b, "\x0f\x01\x1e\x00\x30\xcd\x20");
  vm_store_le16 (b.bytes + 0x3000, 8 * 4 + 3);
  box_run (&b);
  ASSERT_HALTED_IN (b, 8);
  box_end (&b);
}

static void
test_smm (const VmType *type, uint32_t revision)
{
  Box b;

  box_start_type (&b, type, "\x40\xf4", 2);
  b.env->gpr[VM_RBX] = 0x11223344;
  b.env->gpr[VM_RSI] = 0x55667788;
  b.env->seg[VM_FS].base = 0x123450;
  b.env->seg[VM_FS].limit = 0xabcdefff;
  b.env->seg[VM_FS].attr |= VM_SEG_G;
  b.env->cr4 = VM_CR4_PSE;
  /* at 38000: mov dword [cs: save map's SMBASE], 40000; mov word [cs:8100h],ax; rsm */
  memcpy (b.bytes + 0x38000, "\x2e\x66\xc7\x06\x00\x00\x00\x00\x04\x00\x2e\xa3\x00\x81\x0f\xaa", 16);
  vm_store_le16 (b.bytes + 0x38004, revision == 0x20064 ? 0xff00 : 0xfef8);
  vm_store_le32 (b.bytes + 0x38006, 0x40000);
  vm_x86_request (b.cpu, VM_REQ_SMI | VM_REQ_NMI);
  box_step (&b);
  g_assert_true (b.env->smm);
  g_assert_true (b.env->nmi_blocked);
  g_assert_cmphex (b.env->seg[VM_CS].base, ==, 0x30000);
  g_assert_cmphex (b.env->rip, ==, 0x8000);
  g_assert_cmphex (b.env->cr4, ==, 0);
  g_assert_cmphex (vm_load_le32 (b.bytes + (revision == 0x20064 ? 0x3fefc : 0x3fefc)), ==, revision);
  for (unsigned i = 0; i < 3; i++)
    box_step (&b);
  g_assert_false (b.env->smm);
  g_assert_cmphex (b.env->smbase, ==, 0x40000);
  g_assert_cmphex (b.env->rip, ==, 0x1000);
  g_assert_cmphex (b.env->gpr[VM_RBX], ==, 0x11223344);
  g_assert_cmphex (b.env->gpr[VM_RSI], ==, 0x55667788);
  g_assert_cmphex (b.env->seg[VM_FS].base, ==, 0x123450);
  g_assert_cmphex (b.env->seg[VM_FS].limit, ==, 0xabcdefff);
  g_assert_cmphex (b.env->cr4, ==, VM_CR4_PSE);
  box_run (&b); /* the NMI waited */
  ASSERT_HALTED_IN (b, 2);
  /* RSM outside */
  b.env->rip = 0x100;
  memcpy (b.bytes + 0x100, "\x0f\xaa", 2);
  b.env->halted = false;
  box_run (&b);
  ASSERT_HALTED_IN (b, 6);
  box_end (&b);
}

static void
test_smm_64 (void)
{
  test_smm (&x86_cpu_max_type, 0x20064);
}

static void
test_smm_32 (void)
{
  test_smm (&x86_cpu_pentium3_type, 0x20000);
}

static void
test_init_sipi (void)
{
  Box b;

  START (&b, "\x40\xf4");
  b.env->xcr0 = 7;
  vm_x86_request (b.cpu, VM_REQ_INIT);
  box_step (&b);
  g_assert_cmphex (b.env->rip, ==, 0xfff0);
  g_assert_cmphex (b.env->seg[VM_CS].base, ==, 0xffff0000);
  g_assert_cmphex (b.env->xcr0, ==, 7);
  g_assert_false (b.env->wait_for_sipi);
  b.env->apic_base &= ~UINT64_C (0x100); /* now as an application processor */
  vm_x86_request (b.cpu, VM_REQ_INIT);
  box_step (&b);
  g_assert_true (b.env->wait_for_sipi);
  vm_x86_request (b.cpu, VM_REQ_NMI | VM_REQ_HARD);
  box_step (&b);
  g_assert_true (b.env->wait_for_sipi);
  g_assert_false (vm_sys_has_wakeup (b.env));
  vm_x86_send_sipi (b.cpu, 0x9a);
  g_assert_true (vm_sys_has_wakeup (b.env));
  box_step (&b);
  g_assert_false (b.env->wait_for_sipi);
  g_assert_cmphex (b.env->seg[VM_CS].base, ==, 0x9a000);
  g_assert_cmphex (b.env->rip, ==, 0);
  box_end (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tcg/events/sti-shadow", test_sti_shadow);
  g_test_add_func ("/tcg/events/mov-ss-shadow", test_mov_ss_shadow);
  g_test_add_func ("/tcg/events/halt", test_halt);
  g_test_add_func ("/tcg/events/two-nmis", test_two_nmis);
  g_test_add_func ("/tcg/events/single-step", test_single_step);
  g_test_add_func ("/tcg/events/mov-ss-breakpoint", test_mov_ss_breakpoint);
  g_test_add_func ("/tcg/events/syscall-trap", test_syscall_trap);
  g_test_add_func ("/tcg/events/wide-bases", test_wide_bases);
  g_test_add_func ("/tcg/events/iret-null", test_iret_null);
  g_test_add_func ("/tcg/events/triple-fault", test_triple_fault);
  g_test_add_func ("/tcg/events/smm-64", test_smm_64);
  g_test_add_func ("/tcg/events/smm-32", test_smm_32);
  g_test_add_func ("/tcg/events/init-sipi", test_init_sipi);
  return g_test_run ();
}
