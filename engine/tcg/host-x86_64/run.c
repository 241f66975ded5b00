/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Into generated code and out of it: finding blocks, linking them, single instructions done by tier 0. */
#include "engine/tcg/host-x86_64/jit-private.h"

#include "engine/base/log.h"
#include "engine/tcg/decode/table.h"
#include "engine/tcg/interp/interp.h"
#include "engine/tcg/logging.h"
#include "engine/tcg/sys/sys.h"

#define HOT_ENOUGH   6
#define DEFAULT_SIZE 96 /* MiB */

/* --- state at the border ------------------------------------------------------------------------ */

uint64_t
jit_rip (const VmX86Env *env, int32_t offset)
{
  uint64_t rip = env->scratch[SCRATCH_PC_BASE] + (int64_t) offset;

  return env->mode & VM_MODE_CS64 ? rip : (uint32_t) rip;
}

void
jit_flags_to_slot (VmX86Env *env)
{
  uint16_t slot = (env->eflags & 0xd5) << 8 | 0x200 | !!(env->eflags & VM_OF);

  memcpy (&env->scratch[SCRATCH_FLAGS], &slot, sizeof slot);
}

void
jit_flags_from_slot (VmX86Env *env, unsigned kind)
{
  const uint8_t *slot = (const uint8_t *) &env->scratch[SCRATCH_FLAGS];

  if (kind == SITE_FLAGS_NOT_CF)
    env->eflags = (env->eflags & ~(uint64_t) VM_CF) | (slot[4] ? 0 : VM_CF);
  else
    env->eflags = (env->eflags & ~(uint64_t) VM_ARITH_FLAGS) | (slot[1] & 0xd5) | (slot[0] & 1 ? VM_OF : 0);
}

static uint64_t
end_of (const VmX86Seg *s, bool is_write)
{
  unsigned type = s->attr & VM_SEG_TYPE;

  if (!(s->attr & VM_SEG_P))
    return 0;
  if (type & VM_SEG_CODE ? is_write || !(type & VM_SEG_RW) : (type & VM_SEG_DC) || (is_write && !(type & VM_SEG_RW)))
    return 0;
  return (uint64_t) s->limit + 1;
}

void
jit_sync_segments (VmX86Env *env, VmTcgExec *x)
{
  if (env->mode & VM_MODE_CS64)
    return;
  for (unsigned i = 0; i < VM_SEG_N; i++)
    {
      x->seg_end[i][0] = end_of (&env->seg[i], false);
      x->seg_end[i][1] = end_of (&env->seg[i], true);
    }
}

/* --- one instruction by tier 0 ------------------------------------------------------------------ */

/* Block behind a system call, a return from it or the like, without a way over the exec loop: where nothing waits and
 * the tables know the target. */
static JitResume
go_on (VmX86Env *env, VmTcgExec *x)
{
  VmJit *jit = x->jit;
  VmCodeView *view;
  JumpEntry *e;
  uint64_t pc, key;

  if (env->shadow || env->halted || env->wait_for_sipi || env->shutdown || env->mode & VM_TIER0_MODES ||
      vm_sys_has_event (env) || x->vcpu->singlestep || jit->accel->lockstep || jit->unchained)
    return (JitResume) { NULL, 0 };
  pc = vm_tcg_pc (env);
  view = vm_tcg_known_code (env, pc);
  if (view == NULL)
    return (JitResume) { NULL, 0 };
  key = vm_block_key (view, pc & ~VM_PAGE_MASK, 0);
  e = &jit->jump_hash[jump_hash (key)];
  if (e->key != key)
    {
      VmBlock *block = vm_code_find (jit->code, key);

      if (block == NULL)
        return (JitResume) { NULL, 0 };
      *e = (JumpEntry) { key, block->entry_saved };
    }
  env->scratch[SCRATCH_PC_BASE] = env->rip - (pc & ~VM_PAGE_MASK);
  jit_sync_segments (env, x);
  return (JitResume) { e->entry, RESUME_DROP_STACK };
}

JitResume
jit_callout (VmX86Env *env, JitSite *site)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmTcgExec *x = vm_tcg_exec_part (env);
  const VmBlock *block = site->block;
  uint64_t epoch = tcg->fetch_epoch, next;
  uint32_t mode = env->mode, kills;
  JitResume resume = { x->jit->rx + site->resume, site->variant };
  VmInsn insn;

  vm_tcg_leave_guest_fpu (env);
  env->rip = jit_rip (env, site->offset);
  jit_flags_from_slot (env, site->flags);
  if (site->insn)
    insn = *site->insn;
  else if (!vm_code_insn (tcg->code, block->page, site->offset, mode, &insn))
    vm_interp_fetch (env, &insn);
  x->jit->n_callouts++;
  x->jit->callouts_by_row[insn.row]++;
  next = env->rip + insn.len;
  kills = vm_code_kills (tcg->code); /* the dead may be on the host stack */
  vm_interp_insn (env, &insn);
  jit_flags_to_slot (env);
  if (tcg->debug_hit || tcg->watch_hit || __atomic_load_n (&env->poll, __ATOMIC_RELAXED))
    resume.pc = NULL;
  else if (site->resume == 0 || vm_code_kills (tcg->code) != kills || env->rip != next || insn.len != site->len ||
           env->mode != mode || tcg->fetch_epoch != epoch || env->shadow)
    resume = go_on (env, x);
  else
    jit_sync_segments (env, x);
  x->jit->n_left += resume.pc == NULL;
  return resume;
}

/* --- look-up and links --------------------------------------------------------------------------- */

static void
unlink_op (void *opaque, VmBlockLink *link)
{
  vm_store_le32 (link->patch, link->unlinked - link->patch_pc);
  if (link->patch_id)
    vm_store_le32 (link->patch_id, 0);
}

static void
link_op (void *opaque, VmBlockLink *link)
{
  const uint8_t *entry = link->flags_saved ? link->to->entry_saved : link->to->entry;

  if (link->patch_id)
    vm_store_le32 (link->patch_id, link->to->view->id << VM_PAGE_SHIFT);
  vm_store_le32 (link->patch, entry - link->patch_pc);
}

static void
killed_op (void *opaque, VmBlock *block)
{
  VmJit *jit = opaque;
  JumpEntry *e = &jit->jump_hash[jump_hash (block->key)];

  if (e->key == block->key)
    e->key = 0;
  if (jit->pending && jit->pending->from == block)
    jit->pending = NULL;
}

static const VmCodeOps code_ops = { .unlink = unlink_op, .link = link_op, .killed = killed_op };

/* The RIP that LINK leads to, seen from the page it leaves. */
static uint64_t
link_rip (const VmX86Env *env, const VmBlockLink *link)
{
  uint64_t rip = jit_rip (env, link->target);

  return link->wraps_16 ? rip & 0xffff : rip;
}

static VmBlock *
find_block (VmJit *jit, VmCodeView *view, unsigned offset, unsigned variant)
{
  uint64_t key = vm_block_key (view, offset, variant);
  VmBlock *block = vm_code_find (jit->code, key);
  unsigned heat;

  if (block)
    return block;
  block = vm_code_revive (jit->code, view, key);
  if (block)
    {
      jit->n_revived++;
      return block;
    }
  if (!vm_code_page_ready (view->page))
    return NULL;
  heat = vm_code_heat (view->page, offset, view->mode);
  if (heat == VM_CODE_HEAT_NEVER || (heat < HOT_ENOUGH && !jit->eager && !vm_log_enabled (VM_TCG_LOG_MAKE)))
    return NULL;
  block = jit_translate (jit, view, offset, variant);
  if (block == NULL) /* one at the page's end may have a chance when the next page is known */
    vm_code_set_heat (view->page, offset, view->mode, offset > VM_PAGE_SIZE - 15 ? 0 : VM_CODE_HEAT_NEVER);
  return block;
}

/* After an exit over a link the state wants BLOCK: join them, if nothing came between. */
static void
join (VmJit *jit, VmCodeView *view, unsigned offset, VmBlock *block)
{
  VmBlockLink *link = jit->pending;

  if (link == NULL || link->to == block || jit->accel->lockstep || jit->unchained ||
      (link->target & ~VM_PAGE_MASK) != offset ||
      link->from->view->mode != view->mode || link->variant != block->key >> 32 ||
      (link->patch_id == NULL && link->from->view != view) || jit->pending_rip != jit->env->rip)
    return;
  if (link->to)
    vm_code_unlink (jit->code, link);
  vm_code_link (jit->code, link, block);
}

bool
vm_jit_run (VmJit *jit, VmCodeView *view, uint64_t pc)
{
  unsigned offset = pc & ~VM_PAGE_MASK;
  unsigned variant = jit->variant;
  uint64_t key = vm_block_key (view, offset, variant);
  JumpEntry *e = &jit->jump_hash[jump_hash (key)];
  const uint8_t *entry;

  if (jit->pending || e->key != key || jit->accel->lockstep)
    {
      VmBlock *block = find_block (jit, view, offset, variant);

      if (block)
        {
          join (jit, view, offset, block);
          e->key = jit->accel->lockstep || jit->unchained ? 0 : key;
          e->entry = block->entry_saved;
        }
      jit->pending = NULL;
      if (block == NULL)
        {
          jit->variant = 0;
          return false;
        }
    }
  entry = e->entry;
  if (G_UNLIKELY (jit->accel->lockstep))
    return jit_lockstep (jit, view, pc, entry, variant);
  jit->variant = 0;
  if (vm_log_enabled (VM_TCG_LOG_ENTER))
    vm_tcg_log_enter (jit->env, pc, entry);
  jit_enter (jit, entry, variant);
  return true;
}

void
jit_enter (VmJit *jit, const uint8_t *entry, unsigned variant)
{
  VmX86Env *env = jit->env;
  uintptr_t why;

  env->scratch[SCRATCH_PC_BASE] = env->rip - (vm_tcg_pc (env) & ~VM_PAGE_MASK);
  jit_flags_to_slot (env);
  jit_sync_segments (env, jit->exec);
  jit_signals_enter (jit);
  jit->n_entered++;
  why = jit->stubs.enter (env, entry, variant);
  jit_flags_from_slot (env, SITE_FLAGS_SLOT);
  if (why > EXIT_INDIRECT + VARIANTS)
    {
      VmBlockLink *link = (VmBlockLink *) why;

      env->rip = link_rip (env, link);
      jit->pending = link;
      jit->pending_rip = env->rip;
      jit->variant = link->variant;
    }
  else if (why >= EXIT_INDIRECT)
    jit->variant = why - EXIT_INDIRECT;
}

/* --- life ---------------------------------------------------------------------------------------- */

VmJit *
vm_jit_new (VmX86Env *env, const VmTcgAccel *accel, GError **error)
{
  VmJit *jit = g_new0 (VmJit, 1);
  size_t size = accel->tb_size ? accel->tb_size : DEFAULT_SIZE;

  size = CLAMP (size, 8, 1024);
  jit->env = env;
  jit->exec = vm_tcg_exec_part (env);
  jit->accel = accel;
  jit->code = vm_tcg_cpu (env)->code;
  jit->callouts_by_row = g_new0 (uint32_t, vm_insn_n_rows);
  jit->has_avx = jit->exec->has_avx = __builtin_cpu_supports ("avx");
  if (!jit_memory_init (jit, size * VM_MIB, accel->split_wx, error) || !jit_signals_begin (jit, error))
    {
      jit_memory_free (jit);
      g_free (jit);
      return NULL;
    }
  jit_stubs_make (jit);
  vm_code_set_ops (jit->code, &code_ops, jit);
  return jit;
}

static void
log_statistics (const VmJit *jit)
{
  vm_log (VM_LOG_OP_OPT, "blocks %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " instructions, revived %" G_GUINT64_FORMAT
          ", entered %" G_GUINT64_FORMAT ", callouts %" G_GUINT64_FORMAT " of which left %" G_GUINT64_FORMAT "\n",
          jit->n_translated, jit->n_insns, jit->n_revived, jit->n_entered, jit->n_callouts, jit->n_left);
  for (unsigned row = 0; row < vm_insn_n_rows; row++)
    if (jit->callouts_by_row[row] > jit->n_callouts / 200)
      vm_log (VM_LOG_OP_OPT, "  %10u %s\n", jit->callouts_by_row[row], vm_insn_rows[row].mnemonic);
}

void
vm_jit_free (VmJit *jit)
{
  if (vm_log_enabled (VM_LOG_OP_OPT))
    log_statistics (jit);
  g_free (jit->callouts_by_row);
  jit_signals_end (jit);
  jit_memory_free (jit);
  g_free (jit);
}

void
vm_jit_follow_log (VmJit *jit)
{
  bool unchained = vm_log_enabled (VM_LOG_NOCHAIN);

  if (unchained == jit->unchained)
    return;
  jit->unchained = unchained;
  vm_code_reset (jit->code); /* its blocks may be linked */
  jit->pending = NULL;
}

void
vm_jit_set_eager (VmJit *jit, bool eager)
{
  jit->eager = eager;
}
