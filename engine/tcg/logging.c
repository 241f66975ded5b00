/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -d says about running guest code: blocks that are entered, registers, memory management, far transfers. */
#include "engine/tcg/exec.h"

#include "engine/base/log.h"
#include "engine/tcg/decode/table.h"
#include "engine/tcg/logging.h"

#include <inttypes.h>

void
vm_tcg_log_enter (VmX86Env *env, uint64_t pc, const void *host)
{
  if (!vm_log_covers (pc))
    return;
  vm_tcg_leave_guest_fpu (env);
  vm_log (VM_LOG_EXEC, "Trace %u: %p [%016" PRIx64 "/%016" PRIx64 "/%08x/00000000]\n", vm_x86_cpu (env)->parent.index,
          host, env->mode & VM_MODE_CS64 ? 0 : env->seg[VM_CS].base, pc, env->mode);
  if (vm_log_enabled (VM_LOG_CPU))
    {
      g_autofree char *text = vm_x86_describe_registers (vm_x86_cpu (env), vm_log_enabled (VM_LOG_FPU | VM_LOG_VPU));
      vm_log_print ("%s", text);
    }
}

void
vm_tcg_log_insn (GString *text, const VmInsn *insn, uint64_t pc, const uint8_t *bytes)
{
  char line[128];

  vm_insn_format (insn, pc, line, sizeof line);
  g_string_append_printf (text, pc >> 32 ? "0x%016" PRIx64 ":  " : "0x%08" PRIx64 ":  ", pc);
  for (unsigned i = 0; i < 8 || i < insn->len; i++)
    g_string_append_printf (text, bytes && i < insn->len ? "%02x " : "   ", bytes && i < insn->len ? bytes[i] : 0);
  g_string_append_printf (text, " %s\n", line);
}

void
vm_tcg_log_run (VmX86Env *env, VmCodeView *view, uint64_t pc)
{
  VmCode *code = vm_tcg_cpu (env)->code;
  g_autoptr (GString) text = NULL;
  unsigned offset = pc & ~VM_PAGE_MASK, n = 0;
  VmInsn insn;

  if (!vm_log_covers (pc))
    return;
  text = g_string_new ("----------------\nIN: \n");
  for (; offset < VM_PAGE_SIZE && vm_code_insn (code, view->page, offset, view->mode, &insn) && n < 256; n++)
    {
      const VmInsnRow *row = &vm_insn_rows[insn.row];

      vm_tcg_log_insn (text, &insn, (pc & VM_PAGE_MASK) + offset, view->page->host + offset);
      offset += insn.len;
      if (row->class_ == VM_CLASS_X || row->attrs & VM_ATTR_IP)
        break;
    }
  vm_tcg_leave_guest_fpu (env);
  if (n)
    vm_log_print ("%s\n", text->str);
}

void
vm_tcg_log_single (VmX86Env *env, const VmInsn *insn, uint64_t pc)
{
  g_autoptr (GString) text = NULL;

  if (!vm_log_covers (pc))
    return;
  vm_tcg_leave_guest_fpu (env);
  text = g_string_new ("----------------\nIN: \n");
  vm_tcg_log_insn (text, insn, pc, NULL);
  vm_log_print ("%s\n", text->str);
}

void
vm_tcg_log_mmu (VmX86Env *env, const char *what, uint64_t value)
{
  vm_tcg_leave_guest_fpu (env);
  vm_log_print ("CPU %u: %s %016" PRIx64 "\n", vm_x86_cpu (env)->parent.index, what, value);
}

void
vm_tcg_log_far (VmX86Env *env, const char *what, uint16_t selector, uint64_t offset)
{
  if (!(env->cr0 & VM_CR0_PE) || env->eflags & VM_VM)
    return;
  vm_tcg_leave_guest_fpu (env);
  vm_log_print ("%s %04x:%016" PRIx64 ", at %04x:%016" PRIx64 " cpl=%u sp=%04x:%016" PRIx64 "\n", what, selector,
                offset, env->seg[VM_CS].selector, env->rip, vm_x86_cpl (env), env->seg[VM_SS].selector,
                env->gpr[VM_RSP]);
}
