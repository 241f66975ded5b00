/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs small bare-metal guests on the interpreter and compares registers and memory with what their sources
 * say (lines ";= NAME=HEX"). Arguments: pairs of source and flat binary. */
#include "config.h"

#include <stdlib.h>

#include "engine/tcg/decode/table.h"
#include "engine/tcg/interp/interp.h"
#include "engine/tcg/sys/sys.h"
#include "engine/x86/model.h"

#define RAM_SIZE (16 * VM_MIB)
#define LOAD_AT 0x1000

extern const VmType x86_cpu_max_type;

typedef struct Guest {
  VmLock        *lock;
  VmMemory      *memory;
  VmRegion       root, ram;
  VmAddressSpace as;
  VmX86Cpu      *cpu;
  uint8_t       *bytes;
} Guest;

static void
guest_start (Guest *g, const char *binary)
{
  g_autofree char *image = NULL;
  gsize len;
  bool taken;

  g_assert_true (g_file_get_contents (binary, &image, &len, NULL));
  g->lock = vm_lock_new ();
  g->memory = vm_memory_new (g->lock);
  taken = vm_lock_enter (g->lock);
  vm_region_init (&g->root, g->memory, "root", 0);
  g_assert_true (vm_region_init_ram (&g->ram, g->memory, "ram", RAM_SIZE, NULL));
  vm_region_add (&g->root, 0, &g->ram);
  vm_address_space_init (&g->as, g->memory, &g->root, "cpu");
  vm_lock_leave (g->lock, taken);
  g->bytes = vm_region_ram_ptr (&g->ram);
  memcpy (g->bytes + LOAD_AT, image, len);
  g->cpu = (VmX86Cpu *) vm_device_new (&x86_cpu_max_type);
  g->cpu->memory_as = &g->as;
  g_assert_true (vm_x86_cpu_realize ((VmDevice *) g->cpu, NULL));
  g->cpu->env.seg[VM_CS] = g->cpu->env.seg[VM_DS];
  g->cpu->env.seg[VM_CS].attr |= VM_SEG_CODE;
  g->cpu->env.rip = LOAD_AT;
  vm_x86_update_mode (&g->cpu->env);
  vm_tlb_begin (g->cpu);
  vm_tcg_cpu (&g->cpu->env)->interp = vm_interp_new (vm_x86_model_has_name, g->cpu->model);
}

static void
guest_end (Guest *g)
{
  bool taken;

  vm_interp_free (vm_tcg_cpu (&g->cpu->env)->interp);
  vm_tlb_end (g->cpu);
  vm_object_unref ((VmObject *) g->cpu);
  taken = vm_lock_enter (g->lock);
  vm_address_space_destroy (&g->as);
  vm_region_destroy (&g->ram);
  vm_region_destroy (&g->root);
  vm_lock_leave (g->lock, taken);
  vm_memory_free (g->memory);
  vm_lock_free (g->lock);
}

/* Until HLT, shutdown or too many steps. */
static void
guest_run (Guest *g)
{
  VmX86Env *env = &g->cpu->env;
  sigjmp_buf jump;
  volatile unsigned steps = 0;

  vm_tcg_cpu (env)->fault_env = &jump;
  if (sigsetjmp (jump, 0) != 0)
    vm_sys_deliver_exception (env);
  while (!env->halted && !env->shutdown && steps++ < 1000000)
    {
      VmInsn insn;

      if (!env->shadow)
        vm_sys_take_events (env);
      vm_interp_fetch (env, &insn);
      if (g_getenv ("TRACE"))
        {
          char text[128];

          vm_insn_format (&insn, env->rip, text, sizeof text);
          g_printerr ("%04x:%08" G_GINT64_MODIFIER "x %-40s eax=%08" G_GINT64_MODIFIER "x esp=%08" G_GINT64_MODIFIER "x\n",
                      env->seg[VM_CS].selector, env->rip, text, env->gpr[VM_RAX], env->gpr[VM_RSP]);
        }
      vm_interp_insn (env, &insn);
    }
  vm_tcg_cpu (env)->fault_env = NULL;
}

static uint64_t
value_of (Guest *g, const char *name)
{
  static const char *const names[16] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
                                         "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
  const VmX86Env *env = &g->cpu->env;

  if (g_str_has_prefix (name, "m32["))
    return vm_load_le32 (g->bytes + strtoul (name + 4, NULL, 16));
  if (g_str_has_prefix (name, "m64["))
    return vm_load_le64 (g->bytes + strtoul (name + 4, NULL, 16));
  if (strcmp (name, "cr2") == 0)
    return env->cr2;
  if (strcmp (name, "shutdown") == 0)
    return env->shutdown;
  for (unsigned i = 0; i < 16; i++)
    if (strcmp (name, names[i]) == 0 || (name[0] == 'r' && strcmp (name + 1, names[i]) == 0))
      return env->gpr[i];
    else if (name[0] == 'e' && strcmp (name + 1, names[i]) == 0)
      return (uint32_t) env->gpr[i];
  g_error ("unknown name %s", name);
}

static void
test_guest (const void *data)
{
  char **files = (char **) data;
  g_autofree char *source = NULL;
  g_auto (GStrv) lines = NULL;
  Guest g = { 0 };
  bool good = true;

  g_assert_true (g_file_get_contents (files[0], &source, NULL, NULL));
  lines = g_strsplit (source, "\n", -1);
  guest_start (&g, files[1]);
  guest_run (&g);
  for (unsigned i = 0; lines[i]; i++)
    if (g_str_has_prefix (lines[i], ";= "))
      {
        g_auto (GStrv) pair = g_strsplit (lines[i] + 3, "=", 2);
        uint64_t wanted = strtoull (pair[1], NULL, 16), is = value_of (&g, pair[0]);

        if (is != wanted)
          {
            good = false;
            g_test_message ("%s is %" G_GINT64_MODIFIER "x, not %" G_GINT64_MODIFIER "x", pair[0], is, wanted);
          }
      }
  if (!good)
    {
      g_autofree char *registers = vm_x86_describe_registers (g.cpu, false);

      g_test_message ("%s", registers);
      g_test_fail ();
    }
  guest_end (&g);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (int i = 1; i + 1 < argc; i += 2)
    {
      g_autofree char *base = g_path_get_basename (argv[i]);
      g_autofree char *name = g_strdup_printf ("/tcg/guest/%s", base);

      g_test_add_data_func (name, argv + i, test_guest);
    }
  return g_test_run ();
}
