/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One block from guest to host code: choosing its instructions, flag liveness, the frame around emission. */
#include "engine/tcg/host-x86_64/translate.h"

#include "engine/tcg/logging.h"

/* --- flags -------------------------------------------------------------------------------------- */

void
tr_flags_to_slot (Tr *tr)
{
  Asm *a = &tr->a;

  if (tr->flags.slot)
    return;
  tr_need_flags (tr, VM_ARITH_FLAGS);
  asm_mov (a, 8, T1, RAX);
  asm_8 (a, 0x9f);                                        /* lahf */
  asm_8 (a, 0x0f), asm_8 (a, 0x90), asm_8 (a, 0xc0);      /* seto al */
  asm_store (a, 2, RAX, ENV, SLOT_FLAGS);
  asm_mov (a, 8, RAX, T1);
  tr->flags.slot = true;
}

void
tr_clobber_flags (Tr *tr)
{
  uint32_t live = tr->insn[tr->at].live_in;

  if (!tr->flags.host)
    return;
  if (live != 0 && !tr->flags.slot && !(tr->flags.not_cf && live == VM_CF))
    {
      if (live == VM_CF)
        {
          asm_op_mem (&tr->a, 1, 0x0f93, 0, ENV, -1, 0, SLOT_NOT_CF); /* setnc */
          tr->flags.not_cf = true;
        }
      else
        tr_flags_to_slot (tr);
    }
  tr->flags.host = false;
}

static void
restore_all (Asm *a)
{
  asm_mov (a, 8, T1, RAX);
  asm_load_zx (a, 2, RAX, ENV, SLOT_FLAGS);
  asm_8 (a, 0x04), asm_8 (a, 0x7f); /* add al, 7fh: OF as it was */
  asm_8 (a, 0x9e);                  /* sahf */
  asm_mov (a, 8, RAX, T1);
}

static void
restore_cf (Asm *a)
{
  asm_op_mem (a, 1, 0x80, ALU_CMP, ENV, -1, 0, SLOT_NOT_CF);
  asm_8 (a, 1);
}

void
tr_need_flags (Tr *tr, uint32_t wanted)
{
  Asm *a = &tr->a;

  if (tr->flags.host || wanted == 0)
    return;
  if (tr->flags.slot && wanted == VM_CF)
    {
      asm_op_mem (a, 2, 0x0fba, 4, ENV, -1, 0, SLOT_FLAGS); /* bt word [slot], 8 */
      asm_8 (a, 8);
    }
  else if (tr->flags.slot)
    {
      restore_all (a);
      tr->flags.host = true;
    }
  else if (tr->flags.not_cf)
    restore_cf (a);
  /* Else nobody wanted them where they were lost: whatever is there will do. */
}

void
tr_set_flags (Tr *tr, uint32_t written)
{
  if (written & VM_ARITH_FLAGS)
    tr->flags = (TrFlags) { .host = true };
}

/* --- sites, links, cold code --------------------------------------------------------------------- */

Cold *
tr_cold (Tr *tr, ColdKind kind, uint8_t *from)
{
  Cold *cold = &tr->cold[tr->n_cold++];

  g_assert (tr->n_cold <= MAX_COLD);
  *cold = (Cold) { .kind = kind, .from = from, .flags = tr->flags };
  return cold;
}

JitSite *
tr_site (Tr *tr)
{
  const TrInsn *t = &tr->insn[tr->at];
  JitSite *site = tr->site;

  if (site == NULL)
    {
      site = tr->site = &((JitSite *) tr->block->sites)[tr->block->n_sites++];
      *site = (JitSite) {
        .block = tr->block, .host = tr->insn_host, .offset = t->offset, .len = t->insn.len,
        .flags = SITE_FLAGS_SLOT, .fault_flags = SITE_FLAGS_SLOT, .variant = tr->variant,
      };
    }
  if (!tr->flags.slot && tr->flags.not_cf)
    site->flags = SITE_FLAGS_NOT_CF;
  return site;
}

void
tr_callout_at (Tr *tr, uint8_t *from)
{
  tr_cold (tr, COLD_CALLOUT, from)->site = tr_site (tr);
}

void
tr_callout (Tr *tr, bool stop)
{
  Asm *a = &tr->a;
  JitSite *site;

  tr_clobber_flags (tr);
  site = tr_site (tr);
  if (!tr->insn[tr->at].over)
    site->insn = &tr->insn[tr->at].insn; /* close_block() makes it a copy */
  asm_mov_imm (a, T1, (uintptr_t) site);
  asm_jmp_to (a, tr->jit->stubs.callout);
  if (stop)
    {
      tr->site = NULL; /* never comes back */
      return;
    }
  /* It comes back with the flags in the slot. */
  tr->flags = (TrFlags) { .slot = true };
  site->resume = asm_pc (a) - tr->jit->rx;
}

VmBlockLink *
tr_link (Tr *tr, int32_t target)
{
  VmBlockLink *link = &tr->block->links[tr->block->n_links++];

  g_assert (tr->block->n_links <= MAX_LINKS);
  *link = (VmBlockLink) { .from = tr->block, .target = target, .variant = tr->variant };
  return link;
}

/* Behind the hot code of the present instruction: where those that left it come back. */
static void
finish_site (Tr *tr, const TrInsn *t)
{
  JitSite *site = tr->site;
  Cold *cold;

  tr->site = NULL;
  if (site == NULL || site->resume)
    return;
  if (t->live_out == 0 || (tr->flags.slot && !tr->flags.host) || !(tr->flags.host || tr->flags.not_cf))
    {
      site->resume = asm_pc (&tr->a) - tr->jit->rx;
      return;
    }
  cold = tr_cold (tr, COLD_RESUME, NULL);
  cold->site = site;
  cold->back = asm_pc (&tr->a);
}

static void
emit_cold (Tr *tr, Cold *cold)
{
  Asm *c = &tr->c;

  if (cold->from)
    asm_bind (c, cold->from);
  switch (cold->kind)
    {
    case COLD_FILL:
      asm_mov_imm (c, T2, cold->info);
      asm_mov_imm (c, T1, (uintptr_t) cold->site);
      asm_call_to (c, tr->jit->stubs.fill);
      asm_jmp_to (c, cold->back);
      break;
    case COLD_CALLOUT:
      asm_mov_imm (c, T1, (uintptr_t) cold->site);
      asm_jmp_to (c, tr->jit->stubs.callout);
      break;
    case COLD_RESUME:
      cold->site->resume = asm_pc (c) - tr->jit->rx;
      if (cold->flags.host)
        restore_all (c);
      if (!cold->flags.slot && cold->flags.not_cf)
        {
          if (!cold->flags.host)
            {
              asm_op_mem (c, 2, 0x0fba, 4, ENV, -1, 0, SLOT_FLAGS);
              asm_8 (c, 8);
            }
          asm_op_mem (c, 1, 0x0f93, 0, ENV, -1, 0, SLOT_NOT_CF);
        }
      asm_jmp_to (c, cold->back);
      break;
    case COLD_LEAVE:
      /* Never linked to anything: its patch is a place nobody runs. */
      cold->link->patch = asm_jmp (c);
      cold->link->patch_pc = asm_pc (c);
      cold->link->unlinked = asm_pc (c);
      asm_bind (c, cold->from);
      if (cold->info)
        asm_store_imm (c, 1, cold->info, ENV, ENV_OFF (shadow));
      asm_mov_imm (c, T0, (uintptr_t) cold->link);
      asm_jmp_to (c, tr->jit->stubs.exit_slot);
      break;
    case COLD_GROUP:
      asm_mov_imm (c, T2, cold->info);
      asm_call_to (c, tr->jit->stubs.fill_soft);
      asm_alu (c, ALU_OR, 8, T0, T0);
      asm_bind_to (asm_jcc (c, CC_NE), c->rx_offset, cold->back);
      /* The plain twin; the jump there is linked like any other. */
      cold->link->patch = asm_jmp (c);
      cold->link->patch_pc = asm_pc (c);
      cold->link->unlinked = asm_pc (c);
      asm_mov_imm (c, T0, (uintptr_t) cold->link);
      asm_jmp_to (c, tr->jit->stubs.exit_slot);
      break;
    case COLD_CROSS:
      {
        uint8_t *miss[2];

        /* A conditional jump into another page: flags still in the host register. */
        if (!cold->flags_dead && !cold->flags.slot)
          {
            asm_mov (c, 8, T1, RAX);
            asm_8 (c, 0x9f);
            asm_8 (c, 0x0f), asm_8 (c, 0x90), asm_8 (c, 0xc0);
            asm_store (c, 2, RAX, ENV, SLOT_FLAGS);
            asm_mov (c, 8, RAX, T1);
          }
        tr_cross_check (tr, c, cold->link, miss);
        asm_bind (c, miss[0]);
        asm_bind (c, miss[1]);
      }
      /* fall through */
    case COLD_EXIT:
      if (cold->link->unlinked == NULL)
        {
          cold->link->unlinked = asm_pc (c);
          asm_bind_to (cold->link->patch, c->rx_offset, asm_pc (c));
        }
      asm_mov_imm (c, T0, (uintptr_t) cold->link);
      asm_jmp_to (c, cold->link->flags_saved ? tr->jit->stubs.exit_slot : tr->jit->stubs.exit_host);
      break;
    }
}

/* --- choosing ------------------------------------------------------------------------------------ */

static uint32_t
flags_read (const VmInsn *insn)
{
  const VmInsnRow *row = tr_row (insn);
  uint32_t read = vm_insn_flags_read (insn);

  if (row->attrs & VM_ATTR_FCOND)
    {
      /* By an immediate count that is not zero the shifts always write. */
      bool is_shift = row->op == VM_OP_SHL || row->op == VM_OP_SHR || row->op == VM_OP_SAR ||
                      row->op == VM_OP_SHLD || row->op == VM_OP_SHRD;

      if (!(is_shift && row->imm == VM_IMM_B && (insn->imm & 31) != 0))
        read |= row->flags_written | row->flags_undefined;
    }
  return read & VM_ARITH_FLAGS;
}

uint32_t
tr_flags_killed (const VmInsn *insn)
{
  const VmInsnRow *row = tr_row (insn);
  uint32_t killed = row->flags_written | row->flags_undefined;

  /* Processors leave alone what these have undefined, and there is code that counts on it. */
  switch (row->op)
    {
    case VM_OP_BSF: case VM_OP_BSR: case VM_OP_MUL: case VM_OP_IMUL: case VM_OP_IMUL_WIDE: case VM_OP_DIV:
    case VM_OP_IDIV: case VM_OP_BT: case VM_OP_BTS: case VM_OP_BTR: case VM_OP_BTC:
      killed = row->flags_written;
      break;
    default:
      break;
    }
  return killed & VM_ARITH_FLAGS & ~flags_read (insn);
}

bool
tr_flags_dead_at (Tr *tr, int32_t target)
{
  uint32_t wanted = VM_ARITH_FLAGS;

  if (target < 0 || target >= VM_PAGE_SIZE || tr->jit->accel->lockstep ||
      tr->jit->accel->precise_flags)
    return false;
  for (unsigned n = 0; n < 8 && target < VM_PAGE_SIZE; n++)
    {
      VmInsn insn;

      if (!vm_code_insn (tr->code, tr->page, target, tr->mode, &insn) || insn.flags & (VM_INSN_UD | VM_INSN_TOOLONG))
        return false;
      tr->depends |= vm_code_lines (target, insn.len); /* within the page, or it were not cached */
      if (flags_read (&insn) & wanted || tr_row (&insn)->class_ == VM_CLASS_X)
        return false;
      wanted &= ~tr_flags_killed (&insn);
      if (wanted == 0)
        return true;
      target += insn.len;
    }
  return false;
}

/* Tier 0 does this one and the block ends there. Others of class X may go on: coming back from tier 0 looks at
 * whatever they could have changed. */
static bool
must_stop (const Tr *tr, const VmInsn *insn)
{
  const VmInsnRow *row = tr_row (insn);

  if (insn->flags & (VM_INSN_UD | VM_INSN_TOOLONG) || vm_insn_static_fault (insn, tr->mode) >= 0)
    return true;
  if (row->class_ != VM_CLASS_X || tr_is_flow (tr, insn))
    return false;
  return (row->attrs & VM_ATTR_IP && !(row->attrs & VM_ATTR_REP)) || row->op == VM_OP_HLT || row->op == VM_OP_MWAIT ||
         row->op == VM_OP_PAUSE || row->op == VM_OP_MOV_TO_CR;
}

/* A block of nothing but system calls, returns from interrupts and the like saves the way over the exec loop. */
static bool
may_begin (const Tr *tr, const TrInsn *t)
{
  return !t->over && !(t->insn.flags & (VM_INSN_UD | VM_INSN_TOOLONG)) && vm_insn_static_fault (&t->insn, tr->mode) < 0;
}

static bool
goes_on (const VmInsn *insn)
{
  unsigned op = tr_row (insn)->op;

  return op == VM_OP_JCC || op == VM_OP_LOOP || op == VM_OP_JCXZ;
}

static void
choose (Tr *tr, unsigned offset)
{
  unsigned max = tr->jit->accel->one_insn_per_tb ? 1 : MAX_INSNS;

  while (tr->n_insns < max && offset < VM_PAGE_SIZE)
    {
      TrInsn *t = &tr->insn[tr->n_insns];

      if (!vm_code_insn (tr->code, tr->page, offset, tr->mode, &t->insn))
        {
          if (tr->next_view == NULL ||
              !vm_code_insn_over (tr->code, tr->page, tr->next_view->page, offset, tr->mode, &t->insn))
            break;
          t->over = true;
        }
      t->offset = offset;
      t->stop = must_stop (tr, &t->insn);
      if (t->stop && tr->n_insns == 0 && !may_begin (tr, t))
        break;
      if (tr->jit->accel->lockstep && (t->stop || !jit_lockstep_undoes (&t->insn)))
        break;
      tr->n_insns++;
      offset += t->insn.len;
      if (t->stop || (tr_is_flow (tr, &t->insn) && !goes_on (&t->insn)))
        break;
    }
  tr->end = offset;
}

static bool
may_fault (const VmInsn *insn)
{
  return insn->flags & VM_INSN_MEM || tr_row (insn)->class_ > VM_CLASS_M ||
         tr_row (insn)->attrs & (VM_ATTR_STATE_X87 | VM_ATTR_STATE_MMX | VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX);
}

static void
find_liveness (Tr *tr)
{
  bool precise = tr->jit->accel->precise_flags;
  uint32_t live = VM_ARITH_FLAGS;

  for (unsigned i = tr->n_insns; i-- > 0;)
    {
      TrInsn *t = &tr->insn[i];

      if (tr_row (&t->insn)->class_ == VM_CLASS_X)
        live = VM_ARITH_FLAGS;
      t->live_out = live;
      live = (live & ~tr_flags_killed (&t->insn)) | flags_read (&t->insn);
      if (t->stop || (precise && may_fault (&t->insn)))
        live = VM_ARITH_FLAGS;
      t->live_in = live;
    }
}

/* --- the frame ----------------------------------------------------------------------------------- */

static void
allocate (Tr *tr, unsigned start)
{
  JitSegment *s;
  VmBlock *block;

  jit_memory_reserve (tr->jit);
  s = &tr->jit->segment[tr->jit->current];
  block = tr->block = (VmBlock *) (void *) s->meta;
  s->meta += sizeof *block;
  memset (block, 0, sizeof *block);
  block->sites = s->meta;
  s->meta += sizeof (JitSite) * tr->n_insns;
  block->links = (VmBlockLink *) (void *) s->meta;
  s->meta += sizeof (VmBlockLink) * MAX_LINKS;
  block->page = tr->page;
  block->view = tr->view;
  block->start = start;
  block->end = tr->end;
  if (tr->insn[tr->n_insns - 1].over)
    block->tail_page = tr->next_view->page;
  block->key = vm_block_key (tr->view, start, tr->variant | (tr->plain ? VARIANT_PLAIN : 0));
  tr->a = (Asm) { .p = s->hot, .end = s->hot_end, .rx_offset = tr->jit->rx_offset };
  tr->c = (Asm) { .p = s->cold, .end = s->cold_end, .rx_offset = tr->jit->rx_offset };
}

/* The links' array is last: what it does not need goes back, then the bytes follow. */
static void
close_block (Tr *tr)
{
  JitSegment *s = &tr->jit->segment[tr->jit->current];
  VmBlock *block = tr->block;
  unsigned in_page;

  s->meta = (uint8_t *) (block->links + block->n_links);
  block->bytes = s->meta;
  in_page = MIN (block->end, VM_PAGE_SIZE) - block->start;
  memcpy (block->bytes, tr->page->host + block->start, in_page);
  s->meta += VM_ALIGN_UP (in_page, 8);
  for (unsigned i = 0; i < block->n_sites; i++)
    {
      JitSite *site = &((JitSite *) block->sites)[i];

      if (site->insn)
        {
          memcpy (s->meta, site->insn, sizeof (VmInsn));
          site->insn = (const VmInsn *) (void *) s->meta;
          s->meta += sizeof (VmInsn);
        }
    }
  block->host_end = asm_pc (&tr->a);
  block->depends = tr->depends & ~vm_code_lines (block->start, in_page);
  s->hot = tr->a.p;
  s->cold = tr->c.p;
  block->segment = tr->jit->current;
  g_ptr_array_add (s->blocks, block);
}

static void
emit (Tr *tr)
{
  VmBlock *block = tr->block;
  bool falls_through = true;

  block->host_start = asm_pc (&tr->a);
  block->entry_saved = asm_pc (&tr->a);
  if (tr->insn[0].live_in)
    restore_all (&tr->a);
  block->entry = asm_pc (&tr->a);
  tr->flags = (TrFlags) { .host = true };

  for (tr->at = 0; tr->at < tr->n_insns; tr->at++)
    {
      TrInsn *t = &tr->insn[tr->at];

      tr->insn_host = asm_pc (&tr->a) - tr->jit->rx;
      if (t->over && !t->stop)
        tr_check_next_page (tr);
      if (t->stop)
        {
          tr_callout (tr, true);
          falls_through = false;
        }
      else if (tr_is_flow (tr, &t->insn))
        {
          falls_through = tr_flow (tr, t);
          if (!falls_through)
            tr->site = NULL; /* tier 0 leaves for where it leads */
        }
      else if (!tr_insn (tr, t))
        tr_callout (tr, false);
      finish_site (tr, t);
      if (tr->at > 0 && tr->check_events_at == tr->at && falls_through)
        tr_check_events (tr, false);
    }
  if (falls_through)
    {
      tr->at = tr->n_insns - 1;
      if (tr->check_events_at == tr->n_insns)
        tr_check_events (tr, true);
      tr_jump (tr, tr->end, !(tr->mode & VM_MODE_CS64) && tr->end >= VM_PAGE_SIZE);
    }
  for (unsigned i = 0; i < tr->n_cold; i++)
    emit_cold (tr, &tr->cold[i]);
}

/* The page behind the one at PC, when it was executed lately too. */
static VmCodeView *
next_view (VmJit *jit, unsigned ctx)
{
  uint64_t page = (vm_tcg_pc (jit->env) & VM_PAGE_MASK) + VM_PAGE_SIZE;
  const VmItlbEntry *e;

  if (!(jit->env->mode & VM_MODE_CS64))
    page = (uint32_t) page;
  e = &jit->exec->itlb[ctx][(page >> VM_PAGE_SHIFT) & (VM_ITLB_SIZE - 1)];
  return e->tag == page ? vm_code_view_by_id (jit->code, e->id >> VM_PAGE_SHIFT) : NULL;
}

VmBlock *
jit_translate (VmJit *jit, VmCodeView *view, unsigned offset, unsigned variant)
{
  Tr tr = {
    .jit = jit, .code = jit->code, .view = view, .page = view->page, .mode = view->mode,
    .ctx = vm_tlb_context (jit->env), .variant = variant & (VARIANTS - 1), .plain = variant & VARIANT_PLAIN,
  };

  jit->single_cpu = vm_code_n_cpus (jit->code) == 1;
  tr.next_view = next_view (jit, tr.ctx);
  choose (&tr, offset);
  if (tr.n_insns == 0 || !vm_code_page_ready (view->page))
    return NULL;
  find_liveness (&tr);
  tr_plan (&tr);
  allocate (&tr, offset);
  const uint8_t *cold = asm_pc (&tr.c);
  emit (&tr);
  close_block (&tr);
  vm_code_add (jit->code, tr.block);
  if (vm_log_enabled (VM_TCG_LOG_MAKE))
    tr_log (&tr, cold);
  jit->n_translated++;
  jit->n_insns += tr.n_insns;
  return tr.block;
}
