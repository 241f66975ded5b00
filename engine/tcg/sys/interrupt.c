/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Delivery of interrupts and exceptions (Intel SDM vol. 3, chapters 6 and 20): IVT, 16, 32 and 64-bit IDTs, task
 * gates, virtual-8086 mode with its extensions, double and triple faults. */
#include "engine/base/log.h"
#include "engine/tcg/sys/sys-private.h"

static bool
has_error_code (unsigned vector)
{
  return vector == VM_EXC_DF || (vector >= VM_EXC_TS && vector <= VM_EXC_PF) || vector == VM_EXC_AC;
}

/* #GP and friends about an IDT entry. */
G_NORETURN static void
raise_idt (VmX86Env *env, int vector, unsigned number)
{
  vm_x86_raise_error (env, vector, number << 3 | 2 | vm_tcg_cpu (env)->delivery_ext);
}

typedef struct Event {
  VmEventKind kind;
  unsigned    vector;
  bool        has_error;
  uint32_t    error;
  uint64_t    return_rip;
  uint64_t    flags;  /* image to be pushed */
} Event;

/* --- real mode --------------------------------------------------------------------------------- */

static void
deliver_real (VmX86Env *env, const Event *ev)
{
  uint32_t entry;
  Stack st;

  if (ev->vector * 4 + 3 > env->idt.limit)
    raise_idt (env, VM_EXC_GP, ev->vector);
  entry = sys_load (env, env->idt.base + ev->vector * 4, 4);
  sys_stack_current (env, &st);
  sys_stack_push (&st, ev->flags, 2);
  sys_stack_push (&st, env->seg[VM_CS].selector, 2);
  sys_stack_push (&st, ev->return_rip, 2);
  sys_stack_commit (&st);
  env->eflags &= ~(uint64_t) (VM_IF | VM_TF | VM_AC | VM_RF);
  sys_set_seg_real (env, VM_CS, entry >> 16);
  env->rip = entry & 0xffff;
  vm_x86_update_mode (env);
}

/* --- protected mode ------------------------------------------------------------------------------ */

typedef struct Gate {
  unsigned type, ist;
  uint16_t selector;
  uint64_t offset;
  Desc     desc;
} Gate;

static void
read_gate (VmX86Env *env, const Event *ev, Gate *gate)
{
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  unsigned size = is_long ? 16 : 8;
  uint64_t raw, address = env->idt.base + ev->vector * size;
  uint16_t attr;

  if (ev->vector * size + size - 1 > env->idt.limit)
    raise_idt (env, VM_EXC_GP, ev->vector);
  raw = sys_load (env, address, 8);
  gate->desc.low = raw;
  gate->desc.high = raw >> 32;
  gate->desc.address = address;
  attr = desc_attr (&gate->desc);
  gate->type = attr & (VM_SEG_S | 15);
  gate->selector = gate->desc.low >> 16;
  gate->offset = (gate->desc.low & 0xffff) | (gate->desc.high & 0xffff0000);
  gate->ist = 0;
  if (is_long ? gate->type != SYS_INT32 && gate->type != SYS_TRAP32
              : gate->type != SYS_INT32 && gate->type != SYS_TRAP32 && gate->type != SYS_INT16 &&
                  gate->type != SYS_TRAP16 && gate->type != SYS_TASK)
    raise_idt (env, VM_EXC_GP, ev->vector);
  if (ev->kind == VM_EVENT_SOFT_INT && attr_dpl (attr) < vm_x86_cpl (env))
    raise_idt (env, VM_EXC_GP, ev->vector);
  if (!(attr & VM_SEG_P))
    raise_idt (env, VM_EXC_NP, ev->vector);
  if (is_long)
    {
      gate->offset |= sys_load (env, address + 8, 4) << 32;
      gate->ist = gate->desc.high & 7;
    }
  else if (gate->type == SYS_INT16 || gate->type == SYS_TRAP16)
    gate->offset &= 0xffff;
}

static void
enter_handler (VmX86Env *env, const Gate *gate, Desc *code, unsigned cpl)
{
  sys_mark_accessed (env, code);
  sys_set_cs (env, gate->selector, code, cpl);
  env->rip = gate->offset;
  env->eflags &= ~(uint64_t) (VM_TF | VM_VM | VM_RF | VM_NT);
  if ((gate->type & 1) == 0)
    env->eflags &= ~(uint64_t) VM_IF;
  vm_x86_update_mode (env);
}

static void
deliver_64 (VmX86Env *env, const Event *ev, const Gate *gate, Desc *code, unsigned new_cpl)
{
  bool is_inner = new_cpl < vm_x86_cpl (env);
  VmX86Seg ss = { .selector = new_cpl, .attr = new_cpl << VM_SEG_DPL_SHIFT };
  uint64_t sp = env->gpr[VM_RSP];
  Stack st;

  if (gate->ist || is_inner)
    sp = sys_tss_stack_64 (env, new_cpl, gate->ist);
  if (!is_canonical (env, gate->offset))
    sys_raise_zero (env, VM_EXC_GP);
  sys_stack_new (env, &st, is_inner ? &ss : &env->seg[VM_SS], sp & ~UINT64_C (15), new_cpl);
  st.error = 0;
  sys_stack_reserve (&st, ev->has_error ? 48 : 40);
  sys_stack_push (&st, env->seg[VM_SS].selector, 8);
  sys_stack_push (&st, env->gpr[VM_RSP], 8);
  sys_stack_push (&st, ev->flags, 8);
  sys_stack_push (&st, env->seg[VM_CS].selector, 8);
  sys_stack_push (&st, ev->return_rip, 8);
  if (ev->has_error)
    sys_stack_push (&st, ev->error, 8);
  if (is_inner)
    env->seg[VM_SS] = ss;
  env->gpr[VM_RSP] = st.sp;
  enter_handler (env, gate, code, new_cpl);
}

static void
push_vm86_segments (VmX86Env *env, Stack *st, unsigned size)
{
  sys_stack_push (st, env->seg[VM_GS].selector, size);
  sys_stack_push (st, env->seg[VM_FS].selector, size);
  sys_stack_push (st, env->seg[VM_DS].selector, size);
  sys_stack_push (st, env->seg[VM_ES].selector, size);
}

static void
deliver_32 (VmX86Env *env, const Event *ev, const Gate *gate, Desc *code, unsigned new_cpl)
{
  unsigned size = gate->type == SYS_INT16 || gate->type == SYS_TRAP16 ? 2 : 4;
  bool is_inner = new_cpl < vm_x86_cpl (env), from_vm86 = (env->eflags & VM_VM) != 0;
  unsigned slots = 3 + (is_inner ? 2 : 0) + (from_vm86 ? 4 : 0) + ev->has_error;
  VmX86Seg ss = { 0 };
  Stack st;

  if (is_inner)
    {
      uint64_t sp = sys_tss_stack (env, new_cpl, &ss);

      sys_stack_new (env, &st, &ss, sp, new_cpl);
    }
  else
    sys_stack_current (env, &st);
  sys_check_target (env, code, gate->offset);
  sys_stack_reserve (&st, slots * size);
  if (from_vm86)
    push_vm86_segments (env, &st, size);
  if (is_inner)
    {
      sys_stack_push (&st, env->seg[VM_SS].selector, size);
      sys_stack_push (&st, env->gpr[VM_RSP], size);
    }
  sys_stack_push (&st, ev->flags, size);
  sys_stack_push (&st, env->seg[VM_CS].selector, size);
  sys_stack_push (&st, ev->return_rip, size);
  if (ev->has_error)
    sys_stack_push (&st, ev->error, size);
  sys_mark_accessed (env, code);
  if (from_vm86)
    {
      static const uint8_t nulled[] = { VM_ES, VM_DS, VM_FS, VM_GS };

      for (unsigned i = 0; i < 4; i++)
        env->seg[nulled[i]] = (VmX86Seg) { 0 };
    }
  if (is_inner)
    env->seg[VM_SS] = ss;
  sys_stack_commit (&st);
  enter_handler (env, gate, code, new_cpl);
}

static void
deliver_task (VmX86Env *env, const Event *ev, const Gate *gate)
{
  Stack st;

  sys_task_gate (env, &gate->desc, TASK_CALL, ev->return_rip);
  if (!ev->has_error)
    return;
  sys_stack_current (env, &st);
  sys_stack_push (&st, ev->error, env->tr.attr & 8 ? 4 : 2);
  sys_stack_commit (&st);
}

static void
deliver_protected (VmX86Env *env, const Event *ev)
{
  unsigned cpl = vm_x86_cpl (env), new_cpl;
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  uint16_t attr;
  Gate gate;
  Desc code;

  read_gate (env, ev, &gate);
  if (gate.type == SYS_TASK)
    {
      deliver_task (env, ev, &gate);
      return;
    }
  if (is_null (gate.selector))
    sys_raise_zero (env, VM_EXC_GP);
  sys_read_desc (env, gate.selector, VM_EXC_GP, &code);
  attr = desc_attr (&code);
  if (!attr_is_code (attr) || attr_dpl (attr) > cpl ||
      (is_long && (attr & (VM_SEG_L | VM_SEG_DB)) != VM_SEG_L))
    sys_raise_selector (env, VM_EXC_GP, gate.selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, gate.selector);
  new_cpl = attr_is_conforming (attr) ? cpl : attr_dpl (attr);
  if ((env->eflags & VM_VM) && new_cpl != 0)
    sys_raise_selector (env, VM_EXC_GP, gate.selector);
  if (is_long)
    deliver_64 (env, ev, &gate, &code, new_cpl);
  else
    deliver_32 (env, ev, &gate, &code, new_cpl);
}

/* --- entry --------------------------------------------------------------------------------------- */

static void
trace (const VmX86Env *env, const Event *ev)
{
  static const char *const names[] = { "external", "exception", "int", "icebp" };

  vm_log (VM_LOG_INT,
          "%s %02x error=%04x at %04x:%016" G_GINT64_MODIFIER "x cpl=%u sp=%04x:%016" G_GINT64_MODIFIER
          "x flags=%08x cr2=%016" G_GINT64_MODIFIER "x rax=%016" G_GINT64_MODIFIER "x\n",
          names[ev->kind], ev->vector, ev->error, env->seg[VM_CS].selector, env->rip, vm_x86_cpl (env),
          env->seg[VM_SS].selector, env->gpr[VM_RSP], (unsigned) env->eflags, env->cr2, env->gpr[VM_RAX]);
}

/* RF in the pushed image: set for faults, so that the instruction may restart past its breakpoint. */
static bool
is_fault (const VmX86Env *env, const Event *ev)
{
  if (ev->kind != VM_EVENT_EXCEPTION || ev->vector == VM_EXC_DF || ev->vector == VM_EXC_MC ||
      ev->vector == VM_EXC_BP || ev->vector == VM_EXC_OF)
    return false;
  return ev->vector != VM_EXC_DB || (env->exc_addr & (1u << 13)); /* general detect is a fault */
}

void
vm_sys_deliver (VmX86Env *env, VmEventKind kind, unsigned vector, uint32_t error, uint64_t return_rip)
{
  Event ev = { .kind = kind, .vector = vector, .error = error, .return_rip = return_rip,
               .flags = env->eflags };
  VmTcgCpu *tcg = vm_tcg_cpu (env);

  ev.has_error = kind == VM_EVENT_EXCEPTION && has_error_code (vector);
  if (vm_log_enabled (VM_LOG_INT))
    {
      vm_tcg_leave_guest_fpu (env);
      trace (env, &ev);
    }
  if (is_fault (env, &ev))
    ev.flags |= VM_RF;
  tcg->delivery_ext = kind != VM_EVENT_SOFT_INT;
  if (is_real (env))
    deliver_real (env, &ev);
  else
    deliver_protected (env, &ev);
  tcg->delivery_ext = 0;
  env->shadow = 0;
}

void
vm_sys_int_n (VmX86Env *env, unsigned vector, uint64_t return_rip)
{
  if (env->eflags & VM_VM)
    {
      bool redirected = false;

      if (env->cr4 & VM_CR4_VME)
        {
          /* The 32 bytes below the I/O bitmap say which vectors go to the protected-mode handler. */
          uint16_t map;
          uint8_t byte;

          if (103 > env->tr.limit || !(env->tr.attr & 8))
            vm_x86_raise_error (env, VM_EXC_GP, 0);
          map = sys_load (env, env->tr.base + 0x66, 2);
          if (map < 32 || map - 32 + vector / 8 > env->tr.limit)
            vm_x86_raise_error (env, VM_EXC_GP, 0);
          byte = sys_load (env, env->tr.base + map - 32 + vector / 8, 1);
          redirected = !(byte >> (vector % 8) & 1);
        }
      if (redirected)
        {
          uint64_t flags = env->eflags;
          uint32_t entry = sys_load (env, vector * 4, 4);
          Stack st;

          if (iopl (env) < 3)
            flags = (flags & ~(uint64_t) VM_IF) | VM_IOPL | (flags & VM_VIF ? VM_IF : 0);
          sys_stack_current (env, &st);
          sys_stack_push (&st, flags, 2);
          sys_stack_push (&st, env->seg[VM_CS].selector, 2);
          sys_stack_push (&st, return_rip, 2);
          sys_stack_commit (&st);
          sys_set_seg_real (env, VM_CS, entry >> 16);
          env->rip = entry & 0xffff;
          env->eflags &= ~(uint64_t) (VM_TF | VM_NT | VM_RF | (iopl (env) < 3 ? VM_VIF : VM_IF));
          vm_x86_update_mode (env);
          return;
        }
      if (iopl (env) < 3)
        vm_x86_raise_error (env, VM_EXC_GP, 0);
    }
  vm_sys_deliver (env, VM_EVENT_SOFT_INT, vector, 0, return_rip);
}

/* --- exceptions ---------------------------------------------------------------------------------- */

enum { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static int
class_of (int vector)
{
  switch (vector)
    {
    case VM_EXC_DE: case VM_EXC_TS: case VM_EXC_NP: case VM_EXC_SS: case VM_EXC_GP: return CONTRIBUTORY;
    case VM_EXC_PF: return PAGE_FAULT;
    default: return BENIGN;
    }
}

/* What FIRST, whose delivery raised SECOND, becomes; -1: triple fault. */
static int
combine (int first, int second)
{
  if (first == VM_EXC_DF)
    return class_of (second) == BENIGN ? second : -1;
  if ((class_of (first) == CONTRIBUTORY && class_of (second) == CONTRIBUTORY) ||
      (class_of (first) == PAGE_FAULT && class_of (second) != BENIGN))
    return VM_EXC_DF;
  return second;
}

static void
apply_side_effects (VmX86Env *env, int vector)
{
  if (vector == VM_EXC_PF)
    env->cr2 = env->exc_addr;
  else if (vector == VM_EXC_DB)
    {
      env->dr[6] = (env->dr[6] & ~UINT64_C (0xf)) | env->exc_addr;
      env->dr[7] &= ~UINT64_C (0x2000); /* general detect */
      vm_x86_update_mode (env);
    }
}

bool
vm_sys_deliver_exception (VmX86Env *env)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  sigjmp_buf *outer = tcg->fault_env, here;
  volatile int first = env->exc_vector;
  volatile bool delivered = false;

  tcg->fault_env = &here;
  tcg->watch_hit = 0;
  if (sigsetjmp (here, 0) != 0)
    {
      int vector = combine (first, env->exc_vector);

      if (vector < 0)
        {
          vm_log (VM_LOG_CPU_RESET | VM_LOG_INT, "triple fault at %04x:%" G_GINT64_MODIFIER "x\n",
                  env->seg[VM_CS].selector, env->rip);
          env->shutdown = true;
          delivered = true;
        }
      if (vector == VM_EXC_DF && env->exc_vector != VM_EXC_DF)
        {
          env->exc_error = 0;
          /* The address of a page fault that became a double fault stays visible. */
          if (env->exc_vector == VM_EXC_PF)
            env->cr2 = env->exc_addr;
        }
      first = vector;
    }
  if (!delivered)
    {
      apply_side_effects (env, first);
      vm_sys_deliver (env, VM_EVENT_EXCEPTION, first, env->exc_error, env->rip);
    }
  tcg->fault_env = outer;
  tcg->delivery_ext = 0;
  env->exc_vector = -1;
  return !env->shutdown;
}

void
vm_sys_raise_debug (VmX86Env *env, uint32_t dr6_bits)
{
  env->exc_vector = VM_EXC_DB;
  env->exc_error = 0;
  env->exc_addr = dr6_bits;
  siglongjmp (*vm_tcg_cpu (env)->fault_env, 1);
}

void
vm_sys_single_step_trap (VmX86Env *env)
{
  uint32_t bits = vm_tcg_cpu (env)->watch_hit;

  if (env->eflags & VM_TF || bits == 0)
    bits |= 1u << 14;
  vm_tcg_cpu (env)->watch_hit = 0;
  env->halted = false; /* HLT and MWAIT end with a debug exception */
  vm_sys_raise_debug (env, bits);
}

void
vm_sys_check_code_breakpoint (VmX86Env *env, uint64_t linear)
{
  uint64_t dr7 = env->dr[7];
  uint32_t hit = 0;

  if ((env->eflags & VM_RF) || env->shadow == 2) /* MOV SS was before: SDM volume 3, 6.8.3 */
    return;
  for (unsigned i = 0; i < 4; i++)
    if ((dr7 >> (i * 2) & 3) && (dr7 >> (16 + i * 4) & 15) == 0 && env->dr[i] == linear)
      hit |= 1u << i;
  if (hit)
    vm_sys_raise_debug (env, hit);
}
