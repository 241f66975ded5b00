/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -d in_asm, op, op_opt, out_asm: one block as it was translated. */
#include "engine/tcg/host-x86_64/translate.h"

#include "engine/tcg/logging.h"

#include <inttypes.h>

static void
put_flags (GString *text, const char *what, uint32_t flags)
{
  static const struct { uint32_t bit; char letter; } letters[] = {
    { VM_OF, 'O' }, { VM_SF, 'S' }, { VM_ZF, 'Z' }, { VM_AF, 'A' }, { VM_PF, 'P' }, { VM_CF, 'C' },
  };

  g_string_append_printf (text, " %s ", what);
  for (unsigned i = 0; i < G_N_ELEMENTS (letters); i++)
    g_string_append_c (text, flags & letters[i].bit ? letters[i].letter : '-');
}

static void
put_ops (GString *text, const Tr *tr, uint64_t page)
{
  g_string_append (text, "OP:\n");
  for (unsigned i = 0; i < tr->n_insns; i++)
    {
      const VmInsn *insn = &tr->insn[i].insn;
      const VmInsnRow *row = tr_row (insn);

      g_string_append_printf (text, " %08" PRIx64 "  %-12s class %c operand size %u address size %u",
                              page + tr->insn[i].offset, row->mnemonic, "PMSHX"[row->class_], insn->opsize, insn->addrsize);
      put_flags (text, "reads", vm_insn_flags_read (insn));
      put_flags (text, "writes", row->flags_written | row->flags_undefined);
      g_string_append_c (text, '\n');
    }
  g_string_append_c (text, '\n');
}

static void
put_planned_ops (GString *text, const Tr *tr, uint64_t page)
{
  g_string_append (text, "OP after optimization and liveness analysis:\n");
  for (unsigned i = 0; i < tr->n_insns; i++)
    {
      const TrInsn *t = &tr->insn[i];

      g_string_append_printf (text, " %08" PRIx64 "  %-12s", page + t->offset, tr_row (&t->insn)->mnemonic);
      put_flags (text, "wanted before", t->live_in);
      put_flags (text, "after", t->live_out);
      if (t->group)
        g_string_append_printf (text, " memory check %u at %+" PRId64, t->group, t->group_offset);
      if (t->stack_group)
        g_string_append_printf (text, " stack check %u at %+" PRId64, t->stack_group, t->stack_group_offset);
      if (t->stop)
        g_string_append (text, " interpreted, ends the block");
      g_string_append_c (text, '\n');
    }
  g_string_append_c (text, '\n');
}

/* Writable address P as generated code knows it. */
static void
put_bytes (GString *text, const uint8_t *code, size_t len)
{
  for (size_t i = 0; i < len; i++)
    {
      if (i % 16 == 0)
        g_string_append_printf (text, "%s%p: ", i ? "\n" : "", (const void *) (code + i));
      g_string_append_printf (text, " %02x", code[i]);
    }
  g_string_append_c (text, '\n');
}

void
tr_log (const Tr *tr, const uint8_t *cold)
{
  uint64_t page = vm_tcg_pc (tr->jit->env) & VM_PAGE_MASK;
  g_autoptr (GString) text = NULL;

  if (!vm_log_covers (page + tr->block->start))
    return;
  text = g_string_new ("----------------\n");
  if (vm_log_enabled (VM_LOG_IN_ASM))
    {
      g_string_append (text, "IN: \n");
      for (unsigned i = 0; i < tr->n_insns; i++)
        vm_tcg_log_insn (text, &tr->insn[i].insn, page + tr->insn[i].offset,
                         tr->insn[i].over ? NULL : tr->page->host + tr->insn[i].offset);
      g_string_append_c (text, '\n');
    }
  if (vm_log_enabled (VM_LOG_OP | VM_LOG_OP_IND | VM_LOG_OP_PLUGIN))
    put_ops (text, tr, page);
  if (vm_log_enabled (VM_LOG_OP_OPT))
    put_planned_ops (text, tr, page);
  if (vm_log_enabled (VM_LOG_OUT_ASM))
    {
      const uint8_t *hot = tr->block->host_start, *hot_end = asm_pc (&tr->a), *cold_end = asm_pc (&tr->c);

      g_string_append_printf (text, "OUT: [size=%zu]\n", (size_t) (hot_end - hot + (cold_end - cold)));
      put_bytes (text, hot, hot_end - hot);
      if (cold_end > cold)
        {
          g_string_append (text, "  -- out of line\n");
          put_bytes (text, cold, cold_end - cold);
        }
      g_string_append_c (text, '\n');
    }
  vm_tcg_leave_guest_fpu (tr->jit->env);
  vm_log_print ("%s", text->str);
}
