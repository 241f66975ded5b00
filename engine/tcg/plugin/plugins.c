/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared objects that watch what guests execute. */
#include "engine/tcg/plugin/plugins.h"

#include "engine/base/log.h"
#include "engine/tcg/plugin/vitrine-plugin.h"

#include <gmodule.h>

typedef struct Plugin
{
  GModule *module;
  VitrineCallbacks callbacks;
} Plugin;

struct VmPlugins
{
  GArray *list; /* Plugin */
};

static void
log_text (const char *text)
{
  vm_log (VM_LOG_PLUGIN, "%s", text);
}

static const VitrineCallbacks *
callbacks_at (const VmPlugins *plugins, guint i)
{
  return &g_array_index (plugins->list, Plugin, i).callbacks;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static bool
install (Plugin *plugin, const char *file, char **args, unsigned vcpus, unsigned max_vcpus, GError **error)
{
  int (*function) (const VitrineHost *host, VitrineCallbacks *callbacks, int argc, char **argv);
  const VitrineHost host = { .size = sizeof host,
                             .api = VITRINE_PLUGIN_API,
                             .target = "x86_64",
                             .vcpus = vcpus,
                             .max_vcpus = max_vcpus,
                             .log = log_text };
  int status;

  if (!g_module_symbol (plugin->module, "vitrine_plugin_install", (gpointer *) &function) || !function)
    return vm_fail (error, "Could not load plugin %s: it has no function vitrine_plugin_install", file);
  plugin->callbacks.size = sizeof plugin->callbacks;
  status = function (&host, &plugin->callbacks, (int) g_strv_length (args), args);
  return status == 0
         || vm_fail (error, "Could not load plugin %s: vitrine_plugin_install returned error code %d", file, status);
}

bool
vm_tcg_add_plugin (VmAccel *accel, const char *file, char **args, unsigned vcpus, unsigned max_vcpus, GError **error)
{
  VmTcgAccel *tcg = (VmTcgAccel *) accel;
  Plugin plugin = { 0 };

  if (accel->ops->describe == NULL) /* it translates nothing */
    return vm_fail (error, "-plugin needs accel=tcg");
  plugin.module = g_module_open (file, G_MODULE_BIND_LOCAL);
  if (!plugin.module)
    return vm_fail (error, "Could not load plugin %s: %s", file, g_module_error ());
  if (!install (&plugin, file, args, vcpus, max_vcpus, error))
    {
      g_module_close (plugin.module);
      return false;
    }
  if (!tcg->plugins)
    {
      tcg->plugins = g_new0 (VmPlugins, 1);
      tcg->plugins->list = g_array_new (FALSE, FALSE, sizeof (Plugin));
    }
  g_array_append_val (tcg->plugins->list, plugin);
  return true;
}

void
vm_plugins_free (VmPlugins *plugins)
{
  if (!plugins)
    return;
  for (guint i = 0; i < plugins->list->len; i++)
    {
      const VitrineCallbacks *c = callbacks_at (plugins, i);
      if (c->exit)
        c->exit (c->user);
      g_module_close (g_array_index (plugins->list, Plugin, i).module);
    }
  g_array_unref (plugins->list);
  g_free (plugins);
}

bool
vm_plugins_want_blocks (const VmPlugins *plugins)
{
  bool want = false;

  for (guint i = 0; plugins && i < plugins->list->len; i++)
    want |= callbacks_at (plugins, i)->block || callbacks_at (plugins, i)->count_blocks;
  return want;
}

bool
vm_plugins_want_code (const VmPlugins *plugins)
{
  bool want = vm_plugins_want_blocks (plugins);

  for (guint i = 0; plugins && i < plugins->list->len; i++)
    want |= callbacks_at (plugins, i)->insn || callbacks_at (plugins, i)->count_insns;
  return want;
}

bool
vm_plugins_want_accesses (const VmPlugins *plugins)
{
  bool want = false;

  for (guint i = 0; plugins && i < plugins->list->len; i++)
    want |= callbacks_at (plugins, i)->access || callbacks_at (plugins, i)->count_accesses;
  return want;
}

void
vm_plugins_begin (VmTcgExec *x)
{
  const VmPlugins *plugins = x->accel->plugins;

  x->plugins = vm_plugins_want_code (plugins) ? plugins : NULL;
  x->plugin_blocks = vm_plugins_want_blocks (plugins);
  if (vm_plugins_want_accesses (plugins))
    {
      VmX86Env *env = &((VmX86Cpu *) x->vcpu)->env;

      vm_tcg_cpu (env)->access_hook = vm_plugins_access;
      vm_tlb_update_watches (env);
    }
  for (guint i = 0; plugins && i < plugins->list->len; i++)
    if (callbacks_at (plugins, i)->vcpu_init)
      callbacks_at (plugins, i)->vcpu_init (callbacks_at (plugins, i)->user, x->vcpu->index);
}

void
vm_plugins_end (VmTcgExec *x)
{
  const VmPlugins *plugins = x->accel->plugins;

  for (guint i = 0; plugins && i < plugins->list->len; i++)
    if (callbacks_at (plugins, i)->vcpu_exit)
      callbacks_at (plugins, i)->vcpu_exit (callbacks_at (plugins, i)->user, x->vcpu->index);
}

/* Bytes of an instruction that no page of code has kept. */
static const uint8_t *
fetch (VmX86Cpu *cpu, uint64_t address, uint8_t *bytes, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    {
      uint64_t phys = vm_x86_debug_translate (cpu, address + i);
      bytes[i] = phys == UINT64_MAX ? 0 : (uint8_t) vm_as_load (cpu->memory_as, phys, 1, VM_MEM_ATTRS_NONE, NULL);
    }
  return bytes;
}

/* --- what they hear of -------------------------------------------------------------------------------------------- */

void
vm_plugins_insn (VmTcgExec *x, uint64_t address, const VmInsn *insn, const uint8_t *bytes)
{
  VitrineInsn seen = { .size = sizeof seen, .address = address, .bytes = bytes, .length = insn->len };
  uint8_t fetched[16];
  unsigned index = x->vcpu->index;

  for (guint i = 0; i < x->plugins->list->len; i++)
    {
      const VitrineCallbacks *c = callbacks_at (x->plugins, i);
      if (c->count_insns)
        c->count_insns[index]++;
      if (!c->insn)
        continue;
      if (!seen.bytes)
        seen.bytes = fetch ((VmX86Cpu *) x->vcpu, address, fetched, insn->len);
      c->insn (c->user, index, &seen);
    }
}

void
vm_plugins_block (VmTcgExec *x, uint64_t address, unsigned instructions, unsigned bytes)
{
  const VitrineBlock block = { sizeof block, address, instructions, bytes };
  unsigned index = x->vcpu->index;

  for (guint i = 0; i < x->plugins->list->len; i++)
    {
      const VitrineCallbacks *c = callbacks_at (x->plugins, i);
      if (c->count_blocks)
        c->count_blocks[index]++;
      if (c->block)
        c->block (c->user, index, &block);
    }
}

void
vm_plugins_access (VmX86Env *env, uint64_t linear, unsigned len, bool is_write)
{
  const VmTcgExec *x = vm_tcg_exec_part (env);
  const VmPlugins *plugins = x->accel->plugins;
  const VitrineAccess access = { sizeof access, linear, len, is_write };
  unsigned index = x->vcpu->index;

  for (guint i = 0; i < plugins->list->len; i++)
    {
      const VitrineCallbacks *c = callbacks_at (plugins, i);
      if (c->count_accesses)
        c->count_accesses[index]++;
      if (c->access)
        c->access (c->user, index, &access);
    }
}
