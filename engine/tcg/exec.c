/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The exec loop: events, exceptions, tier 0 runs over cached instructions, and the way into generated code. */
#include "engine/tcg/exec.h"

#include "engine/base/log.h"
#include "engine/tcg/decode/table.h"
#include "engine/tcg/fpu/fpu.h"
#include "engine/tcg/host-x86_64/jit.h"
#include "engine/tcg/icount.h"
#include "engine/tcg/interp/interp.h"
#include "engine/tcg/logging.h"
#include "engine/tcg/plugin/plugins.h"
#include "engine/tcg/sys/sys.h"
#include "engine/x86/model.h"

/* --- code look-up ------------------------------------------------------------------------------- */

static void
clear_itlb (VmTcgExec *x, unsigned ctx)
{
  if (x->itlb_n_used[ctx] > G_N_ELEMENTS (x->itlb_used[ctx]))
    for (unsigned i = 0; i < VM_ITLB_SIZE; i++)
      x->itlb[ctx][i].tag = VM_TLB_INVALID;
  else
    for (unsigned i = 0; i < x->itlb_n_used[ctx]; i++)
      x->itlb[ctx][x->itlb_used[ctx][i]].tag = VM_TLB_INVALID;
  x->itlb_n_used[ctx] = 0;
}

static inline bool
is_global (const VmTcgExec *x, unsigned ctx, unsigned index)
{
  return x->itlb_global[ctx][index / 64] >> (index % 64) & 1;
}

/* Another address space: entries of global pages stay. */
static void
clear_private (VmTcgExec *x, unsigned ctx)
{
  unsigned n = 0;

  if (x->itlb_n_used[ctx] > G_N_ELEMENTS (x->itlb_used[ctx]))
    {
      for (unsigned i = 0; i < VM_ITLB_SIZE; i++)
        if (!is_global (x, ctx, i))
          x->itlb[ctx][i].tag = VM_TLB_INVALID;
      return;
    }
  for (unsigned i = 0; i < x->itlb_n_used[ctx]; i++)
    {
      unsigned index = x->itlb_used[ctx][i];

      if (is_global (x, ctx, index))
        x->itlb_used[ctx][n++] = index;
      else
        x->itlb[ctx][index].tag = VM_TLB_INVALID;
    }
  x->itlb_n_used[ctx] = n;
}

/* Takes up what was invalidated page by page. */
static void
drop_pages (VmTcgExec *x, VmTcgCpu *tcg)
{
  for (unsigned i = 0; i < tcg->n_fetch_drops; i++)
    for (unsigned ctx = 0; ctx < VM_TLB_CONTEXTS; ctx++)
      {
        VmItlbEntry *entry = &x->itlb[ctx][(tcg->fetch_drop[i] >> VM_PAGE_SHIFT) & (VM_ITLB_SIZE - 1)];

        if (entry->tag == tcg->fetch_drop[i])
          entry->tag = VM_TLB_INVALID;
      }
  tcg->n_fetch_drops = 0;
}

static void
check_itlb_key (VmX86Env *env, VmTcgExec *x, unsigned ctx)
{
  VmItlbKey *key = &x->itlb_key[ctx];
  const VmX86Seg *cs = &env->seg[VM_CS];
  uint64_t epoch = vm_tcg_cpu (env)->fetch_flushes;
  bool is_64 = env->mode & VM_MODE_CS64;
  uint64_t base = is_64 ? 0 : cs->base;
  uint32_t limit = is_64 ? UINT32_MAX : cs->limit;

  if (G_UNLIKELY (vm_tcg_cpu (env)->n_fetch_drops != 0))
    drop_pages (x, vm_tcg_cpu (env));
  if (G_LIKELY (key->epoch == epoch && key->mode == env->mode && key->cs_base == base && key->cs_limit == limit))
    {
      if (G_UNLIKELY (key->switches != vm_tcg_cpu (env)->fetch_switches))
        {
          clear_private (x, ctx);
          key->switches = vm_tcg_cpu (env)->fetch_switches;
        }
      return;
    }
  clear_itlb (x, ctx);
  x->n_cleared++;
  *key = (VmItlbKey) { .epoch = epoch, .switches = vm_tcg_cpu (env)->fetch_switches, .mode = env->mode,
                       .cs_base = base, .cs_limit = limit };
}

/* Is all of the linear page inside CS, and reached without wrapping? */
static bool
page_inside_cs (const VmX86Env *env, uint64_t page)
{
  const VmX86Seg *cs = &env->seg[VM_CS];
  uint64_t first;

  if (env->mode & VM_MODE_CS64)
    return (uint64_t) ((int64_t) (page << 16) >> 16) == page;
  first = (uint32_t) (page - cs->base);
  return first + VM_PAGE_SIZE - 1 <= (env->mode & VM_MODE_CS32 ? cs->limit : MIN (cs->limit, 0xffff));
}

static bool
is_canonical (const VmX86Env *env, uint64_t pc)
{
  unsigned shift = env->cr4 & VM_CR4_LA57 ? 7 : 16;

  return (uint64_t) ((int64_t) (pc << shift) >> shift) == pc;
}

VmCodeView *
vm_tcg_known_code (VmX86Env *env, uint64_t pc)
{
  VmTcgExec *x = vm_tcg_exec_part (env);
  unsigned ctx = vm_tlb_context (env);
  const VmItlbEntry *entry = &x->itlb[ctx][(pc >> VM_PAGE_SHIFT) & (VM_ITLB_SIZE - 1)];

  check_itlb_key (env, x, ctx);
  return entry->tag == (pc & VM_PAGE_MASK) ? vm_code_view_by_id (vm_tcg_cpu (env)->code, entry->id >> VM_PAGE_SHIFT)
                                           : NULL;
}

VmCodeView *
vm_tcg_lookup_code (VmX86Env *env, uint64_t pc, bool *direct)
{
  VmTcgExec *x = vm_tcg_exec_part (env);
  VmCode *code = vm_tcg_cpu (env)->code;
  unsigned ctx = vm_tlb_context (env), index = (pc >> VM_PAGE_SHIFT) & (VM_ITLB_SIZE - 1);
  VmItlbEntry *entry = &x->itlb[ctx][index];
  uint64_t linear = pc & VM_PAGE_MASK, offset, phys;
  const uint8_t *host;
  VmRamBlock *ram;
  VmCodePage *page;
  VmCodeView *view;

  *direct = true;
  check_itlb_key (env, x, ctx);
  if (G_LIKELY (entry->tag == linear))
    return vm_code_view_by_id (code, entry->id >> VM_PAGE_SHIFT);
  /* Compiled indirect transfers come here with RIP already at the target. */
  if ((env->mode & VM_MODE_CS64) && !is_canonical (env, pc))
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (G_UNLIKELY (x->breaks != NULL) && vm_tcg_debug_has_page (x->breaks, linear))
    return NULL;
  x->n_fetches++;
  host = vm_mmu_fetch_page (env, pc, &ram, &offset, &phys); /* CR2 is the exact address */
  if (host == NULL)
    return NULL;
  page = vm_code_page (code, ram, offset, host);
  if (!vm_code_page_ready (page))
    return NULL;
  view = vm_code_view (code, page, env->mode);
  if (view == NULL)
    return NULL;
  *direct = page_inside_cs (env, linear);
  if (*direct)
    {
      if (entry->tag == VM_TLB_INVALID && x->itlb_n_used[ctx]++ < G_N_ELEMENTS (x->itlb_used[ctx]))
        x->itlb_used[ctx][x->itlb_n_used[ctx] - 1] = index;
      x->itlb_global[ctx][index / 64] = (x->itlb_global[ctx][index / 64] & ~VM_BIT (index % 64)) |
                                        (uint64_t) vm_tcg_cpu (env)->fetched_global << (index % 64);
      entry->tag = linear;
      entry->id = (uint64_t) view->id << VM_PAGE_SHIFT;
    }
  return view;
}

#define MAX_RUN 256 /* instructions */

/* --- tier 0 ------------------------------------------------------------------------------------- */

/* BYTES: of the instruction, NULL: nobody kept them. */
static inline void
interpret (VmX86Env *env, VmTcgExec *x, VmInsn *insn, const uint8_t *bytes)
{
  if (G_UNLIKELY (x->plugins != NULL))
    vm_plugins_insn (x, vm_tcg_pc (env), insn, bytes);
  if (G_UNLIKELY (x->icount != NULL))
    {
      uint64_t rip = env->rip;

      vm_icount_step (x->icount);
      vm_interp_insn (env, insn);
      /* A repetition that something came between goes on as the same instruction. */
      x->icount->partial = insn->flags & (VM_INSN_REP | VM_INSN_REPNE) && env->rip == rip;
    }
  else
    vm_interp_insn (env, insn);
}

static void
step_uncached (VmX86Env *env)
{
  VmInsn insn;

  vm_tcg_exec_part (env)->n_uncached++;
  vm_interp_fetch (env, &insn);
  if (vm_log_enabled (VM_LOG_IN_ASM))
    vm_tcg_log_single (env, &insn, vm_tcg_pc (env));
  if (G_UNLIKELY (vm_tcg_exec_part (env)->plugin_blocks))
    vm_plugins_block (vm_tcg_exec_part (env), vm_tcg_pc (env), 1, insn.len);
  interpret (env, vm_tcg_exec_part (env), &insn, NULL);
}

static inline bool
ends_run (const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];

  return row->class_ == VM_CLASS_X || row->attrs & VM_ATTR_IP;
}

static void
tell_block (VmTcgExec *x, VmCode *code, VmCodeView *view, uint64_t pc)
{
  unsigned begin = pc & ~VM_PAGE_MASK, offset = begin, n = 0;
  VmInsn insn;

  while (n < MAX_RUN && offset < VM_PAGE_SIZE && vm_code_insn (code, view->page, offset, view->mode, &insn))
    {
      offset += insn.len;
      n++;
      if (ends_run (&insn))
        break;
    }
  if (n)
    vm_plugins_block (x, pc, n, offset - begin);
}

/* Instructions of one page, up to the first that may go elsewhere. */
static void
run_tier0 (VmX86Env *env, VmCodeView *view, uint64_t pc)
{
  VmTcgExec *x = vm_tcg_exec_part (env);
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmCode *code = tcg->code;
  VmCodePage *page = view->page;
  uint64_t epoch = tcg->fetch_epoch, limit = env->seg[VM_CS].limit;
  bool check_limit = !(env->mode & (VM_MODE_CS64 | VM_MODE_FLAT_CS));
  unsigned offset = pc & ~VM_PAGE_MASK;
  VmInsn insn;

  if (G_UNLIKELY (x->plugin_blocks))
    tell_block (x, code, view, pc);
  for (unsigned n = 0; n < MAX_RUN; n++)
    {
      uint64_t next;

      if (!vm_code_insn (code, page, offset, view->mode, &insn) ||
          (check_limit && env->rip + insn.len - 1 > limit))
        {
          step_uncached (env);
          return;
        }
      next = env->rip + insn.len;
      x->n_cold++;
      interpret (env, x, &insn, page->host + offset);
      offset += insn.len;
      if (ends_run (&insn) || env->rip != next || vm_sys_has_event (env) || env->mode != view->mode ||
          tcg->fetch_epoch != epoch || offset >= VM_PAGE_SIZE || tcg->debug_hit ||
          (x->icount && vm_icount_due (x->icount)))
        return;
    }
}

/* --- one turn ----------------------------------------------------------------------------------- */

static void
run (VmX86Env *env, VmTcgExec *x)
{
  uint64_t pc = vm_tcg_pc (env);
  bool direct;
  VmCodeView *view;

  x->n_runs++;
  if (G_UNLIKELY (x->breaks != NULL) && vm_tcg_debug_stops (env, x, pc))
    return;
  if (env->mode & VM_MODE_BP)
    vm_sys_check_code_breakpoint (env, pc);
  if (G_UNLIKELY (env->mode & VM_TIER0_MODES || env->shadow || x->vcpu->singlestep))
    {
      if (vm_log_enabled (VM_TCG_LOG_ENTER))
        vm_tcg_log_enter (env, pc, NULL);
      step_uncached (env);
      return;
    }
  view = vm_tcg_lookup_code (env, pc, &direct);
  if (view != NULL && x->jit != NULL && direct && vm_jit_run (x->jit, view, pc))
    return;
  if (vm_log_enabled (VM_TCG_LOG_ENTER))
    vm_tcg_log_enter (env, pc, NULL);
  if (G_UNLIKELY (view == NULL))
    {
      step_uncached (env);
      return;
    }
  if (vm_log_enabled (VM_LOG_IN_ASM))
    vm_tcg_log_run (env, view, pc);
  run_tier0 (env, view, pc);
}

/* Takes what others asked for. True: leave exec. */
static bool
attend (VmX86Env *env)
{
  uint32_t poll = __atomic_exchange_n (&env->poll, 0, __ATOMIC_ACQ_REL);

  vm_tlb_safe_point (env);
  if (vm_code_is_full (vm_tcg_cpu (env)->code))
    vm_code_reset (vm_tcg_cpu (env)->code);
  return poll & VM_POLL_KICK;
}

static bool
leave_for_debugger (VmX86Env *env, VmTcgExec *x)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  bool leave = tcg->debug_hit || x->vcpu->singlestep;

  if (leave)
    vm_tcg_debug_note (env, x);
  tcg->debug_hit = false;
  return leave;
}

/* The debugger steps past interrupts; only one that halts is let out by them. */
static bool
steps_masked (const VmX86Env *env, const VmTcgExec *x)
{
  return x->vcpu->singlestep && x->vcpu->step_masked && !env->halted && !env->wait_for_sipi;
}

static VmVcpuExit
loop (VmX86Env *env, VmTcgExec *x)
{
  for (;;)
    {
      if (G_UNLIKELY (x->icount != NULL) && vm_icount_due (x->icount) && vm_icount_attend (x->icount, x))
        return VM_VCPU_EXIT_KICKED;
      if (G_UNLIKELY (__atomic_load_n (&env->poll, __ATOMIC_RELAXED)) && attend (env))
        return VM_VCPU_EXIT_KICKED;
      if (G_UNLIKELY (__atomic_load_n (&env->request, __ATOMIC_RELAXED)) && !env->shadow && !steps_masked (env, x))
        vm_sys_take_events (env);
      if (G_UNLIKELY (env->shutdown))
        return VM_VCPU_EXIT_SHUTDOWN;
      if (G_UNLIKELY (env->halted || env->wait_for_sipi))
        {
          if (x->icount && vm_icount_skip_idle (x->icount, x))
            continue;
          return VM_VCPU_EXIT_HALTED;
        }
      run (env, x);
      if (G_UNLIKELY (x->vcpu->singlestep || vm_tcg_cpu (env)->debug_hit) && leave_for_debugger (env, x))
        return VM_VCPU_EXIT_DEBUG;
    }
}

VmVcpuExit
vm_tcg_exec (VmVcpu *vcpu)
{
  VmX86Env *env = &((VmX86Cpu *) vcpu)->env;
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmTcgExec *x = vm_tcg_exec_part (env);
  sigjmp_buf fault_env;
  VmVcpuExit why;

  if (x->icount)
    vm_icount_enter (x->icount, x);
  vm_tlb_safe_point (env); /* much may have happened while the vCPU stood */
  if (x->jit)
    vm_jit_follow_log (x->jit);
  tcg->fault_env = &fault_env;
  /* Comes back here with the exception in env->exc_*; delivering it may raise the next one. */
  if (sigsetjmp (fault_env, 0) != 0)
    {
      x->n_exceptions++;
      if (vm_log_enabled (VM_LOG_MMU) && env->exc_vector == VM_EXC_PF)
        vm_tcg_log_mmu (env, "page fault at", env->exc_addr);
      if (!vm_sys_deliver_exception (env))
        {
          tcg->fault_env = NULL;
          return VM_VCPU_EXIT_SHUTDOWN;
        }
      if (G_UNLIKELY (vcpu->singlestep || tcg->debug_hit) && leave_for_debugger (env, x))
        {
          tcg->fault_env = NULL;
          return VM_VCPU_EXIT_DEBUG;
        }
    }
  why = loop (env, x);
  tcg->fault_env = NULL;
  if (x->icount && why == VM_VCPU_EXIT_HALTED)
    vm_icount_idle (x->icount, x);
  return why;
}

int
vm_tcg_exec_trial (VmVcpu *vcpu, unsigned limit, bool eager)
{
  VmX86Env *env = &((VmX86Cpu *) vcpu)->env;
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmTcgExec *x = vm_tcg_exec_part (env);
  volatile int vector = -1;
  sigjmp_buf fault_env;

  env->exc_vector = -1;
  if (x->jit)
    vm_jit_set_eager (x->jit, eager);
  tcg->fault_env = &fault_env;
  if (sigsetjmp (fault_env, 0) == 0)
    for (volatile unsigned i = 0; i < limit && !env->halted; i++)
      run (env, x);
  else
    vector = env->exc_vector;
  tcg->fault_env = NULL;
  return vector;
}

/* --- life --------------------------------------------------------------------------------------- */

bool
vm_tcg_exec_begin (VmVcpu *vcpu, GError **error)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  VmTcgCpu *tcg = vm_tcg_cpu (&cpu->env);
  VmTcgExec *x = vm_tcg_exec_part (&cpu->env);
  VmTcgAccel *accel = (VmTcgAccel *) vcpu->accel;

  memset (x, 0, sizeof *x);
  x->accel = accel;
  x->vcpu = vcpu;
  for (unsigned ctx = 0; ctx < VM_TLB_CONTEXTS; ctx++)
    {
      x->itlb_n_used[ctx] = UINT32_MAX;
      clear_itlb (x, ctx);
    }
  vm_tlb_begin (cpu);
  if (cpu->model)
    tcg->interp = vm_interp_new (vm_x86_model_has_name, cpu->model);
  tcg->code = vm_code_new (accel->shared, cpu, tcg->interp ? ((VmInterp *) tcg->interp)->features : NULL);
  x->icount = accel->icount;
  if (x->icount)
    vm_icount_join (x->icount, x);
  vm_plugins_begin (x);
  if (!accel->interpret && !accel->icount && !x->plugins)
    {
      x->jit = vm_jit_new (&cpu->env, accel, error);
      if (x->jit == NULL)
        {
          vm_tcg_exec_end (vcpu);
          return false;
        }
    }
  cpu->accel_state = tcg;
  return true;
}

void
vm_tcg_exec_end (VmVcpu *vcpu)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  VmTcgCpu *tcg = vm_tcg_cpu (&cpu->env);
  VmTcgExec *x = vm_tcg_exec_part (&cpu->env);

  vm_log (VM_LOG_OP_OPT, "turns %" G_GUINT64_FORMAT ", tier 0 instructions %" G_GUINT64_FORMAT " (uncached %"
          G_GUINT64_FORMAT "), page look-ups %" G_GUINT64_FORMAT ", tables cleared %" G_GUINT64_FORMAT
          ", exceptions %" G_GUINT64_FORMAT "\n", x->n_runs, x->n_cold, x->n_uncached, x->n_fetches, x->n_cleared,
          x->n_exceptions);
  vm_tcg_debug_end (x);
  vm_plugins_end (x);
  if (x->icount)
    vm_icount_leave (x->icount, x);
  if (tcg->code)
    vm_code_free (tcg->code);
  tcg->code = NULL;
  g_clear_pointer (&x->jit, vm_jit_free);
  if (cpu->model)
    g_clear_pointer ((VmInterp **) &tcg->interp, vm_interp_free);
  vm_fpu_end (tcg);
  vm_tlb_end (cpu);
}
