/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The "tcg" accelerator: interpreter and translator behind VmAccelOps. */
#include "engine/tcg/exec.h"

#include "engine/tcg/icount.h"
#include "engine/tcg/plugin/plugins.h"
#include "engine/tcg/sys/sys.h"

#include <inttypes.h>

enum { THREAD_AUTO, THREAD_SINGLE, THREAD_MULTI };

static const char *const thread_names[] = { "auto", "single", "multi", NULL };

static const VmProp tcg_props[] = {
  VM_PROP_ENUMERATED ("thread", VmTcgAccel, thread, THREAD_AUTO, thread_names,
                      "one host thread per vCPU (multi) or one for all (single)"),
  VM_PROP ("tb-size", VmTcgAccel, tb_size, 0, "translation cache size in MiB"),
  VM_PROP ("one-insn-per-tb", VmTcgAccel, one_insn_per_tb, false, "one guest instruction per translated block"),
  VM_PROP ("split-wx", VmTcgAccel, split_wx, true, "separate writable and executable code mappings"),
  { .name = "x-lockstep", .help = "compare generated code with the interpreter, block by block",
    .kind = VM_PROP_BOOL, .flags = VM_PROP_HIDDEN, VM_PROP_COMMON (VmTcgAccel, lockstep) },
  { .name = "x-interpret", .help = "interpret all guest code", .kind = VM_PROP_BOOL, .flags = VM_PROP_HIDDEN,
    VM_PROP_COMMON (VmTcgAccel, interpret) },
  { .name = "x-precise-flags", .help = "keep arithmetic flags that only an exception would show",
    .kind = VM_PROP_BOOL, .flags = VM_PROP_HIDDEN, VM_PROP_COMMON (VmTcgAccel, precise_flags) },
  { 0 }
};

static const VmAccelOps tcg_single_ops;

static bool
tcg_probe (GError **error)
{
  return true;
}

static void
tcg_view_changed (VmMemoryListener *listener)
{
  vm_code_shared_poll (VM_CONTAINER_OF (listener, VmTcgAccel, listener)->shared);
}

static void
tcg_dirty_cleared (VmMemoryListener *listener, VmRamBlock *block, uint64_t offset, uint64_t len)
{
  vm_code_shared_protect (VM_CONTAINER_OF (listener, VmTcgAccel, listener)->shared, block, offset, len);
}

static bool
tcg_init (VmAccel *base, VmEnv *env, GError **error)
{
  VmTcgAccel *accel = (VmTcgAccel *) base;

  if (env->icount.enabled)
    {
      accel->icount = vm_icount_new (env);
      base->own_slices = true;
    }
  if (accel->thread == THREAD_SINGLE || accel->icount)
    base->ops = &tcg_single_ops;
  base->singlestep = accel->one_insn_per_tb;
  accel->shared = vm_code_shared_new (env->memory);
  accel->listener = (VmMemoryListener) { .commit = tcg_view_changed, .dirty_cleared = tcg_dirty_cleared };
  vm_memory_listener_add (&accel->listener, env->memory_as);
  return true;
}

static void
tcg_finish (VmAccel *base)
{
  VmTcgAccel *accel = (VmTcgAccel *) base;

  if (accel->listener.as)
    vm_memory_listener_remove (&accel->listener);
  g_clear_pointer (&accel->shared, vm_code_shared_free);
  g_clear_pointer (&accel->icount, vm_icount_free);
  g_clear_pointer (&accel->plugins, vm_plugins_free);
}

static void
tcg_kick (VmVcpu *vcpu)
{
  __atomic_fetch_or (&((VmX86Cpu *) vcpu)->env.poll, VM_POLL_KICK, __ATOMIC_SEQ_CST);
}

/* The state is always in the struct outside exec. */
static void
tcg_state_fetch (VmVcpu *vcpu)
{
}

static void
tcg_state_store (VmVcpu *vcpu)
{
  VmX86Env *env = &((VmX86Cpu *) vcpu)->env;

  vm_x86_update_mode (env);
  vm_tlb_flush_all (env);
}

static bool
tcg_has_work (VmVcpu *vcpu)
{
  return vm_sys_has_wakeup (&((VmX86Cpu *) vcpu)->env);
}

typedef struct TcgStats
{
  uint64_t pages, blocks, memory, runs, fetches, exceptions, cleared;
} TcgStats;

static void
add_stats (VmVcpu *vcpu, void *opaque)
{
  VmX86Env *env = &((VmX86Cpu *) vcpu)->env;
  const VmTcgExec *x = vm_tcg_exec_part (env);
  TcgStats *s = opaque;
  VmCodeCount count = vm_code_count (vm_tcg_cpu (env)->code);

  s->pages += count.pages;
  s->blocks += count.blocks;
  s->memory += count.memory;
  s->runs += x->n_runs;
  s->fetches += x->n_fetches;
  s->exceptions += x->n_exceptions;
  s->cleared += x->n_cleared;
}

static char *
tcg_describe (VmAccel *accel, VmVcpuSet *set)
{
  TcgStats s = { 0 };

  for (unsigned i = 0; i < vm_vcpu_set_count (set); i++)
    vm_vcpu_run (vm_vcpu_set_get (set, i), add_stats, &s);
  return g_strdup_printf ("Translation buffer state:\n"
                          "guest pages with code  %" PRIu64 "\n"
                          "TB count               %" PRIu64 "\n"
                          "decoded instructions   %" PRIu64 " bytes\n\n"
                          "Statistics:\n"
                          "runs of the exec loop  %" PRIu64 "\n"
                          "code page look-ups     %" PRIu64 "\n"
                          "exceptions             %" PRIu64 "\n"
                          "code table clears      %" PRIu64 "\n",
                          s.pages, s.blocks, s.memory, s.runs, s.fetches, s.exceptions, s.cleared);
}

static void
forget_code (VmVcpu *vcpu, void *opaque)
{
  vm_code_reset (vm_tcg_cpu (&((VmX86Cpu *) vcpu)->env)->code);
}

static void
tcg_set_singlestep (VmAccel *base, VmVcpuSet *set, bool on)
{
  VmTcgAccel *accel = (VmTcgAccel *) base;

  if (accel->one_insn_per_tb == on)
    return;
  accel->one_insn_per_tb = base->singlestep = on; /* read when a block is begun */
  for (unsigned i = 0; i < vm_vcpu_set_count (set); i++)
    vm_vcpu_run (vm_vcpu_set_get (set, i), forget_code, NULL);
}

#define TCG_OPS                                                                                  \
  .name = "tcg", .help = "translates guest code", .probe = tcg_probe, .init = tcg_init,          \
  .finish = tcg_finish, .vcpu_begin = vm_tcg_exec_begin, .vcpu_end = vm_tcg_exec_end,            \
  .exec = vm_tcg_exec, .kick = tcg_kick, .state_fetch = tcg_state_fetch,                         \
  .state_store = tcg_state_store, .has_work = tcg_has_work, .props = tcg_props,                  \
  .debug_update = vm_tcg_debug_update, .describe = tcg_describe, .set_singlestep = tcg_set_singlestep,                                                          \
  .size = sizeof (VmTcgAccel)

const VmAccelOps vm_tcg_accel_ops = { TCG_OPS };
static const VmAccelOps tcg_single_ops = { TCG_OPS, .one_thread_for_all = true };
