/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests of the agent's host side. */
#include "tests/agent/rig.h"

static void
rig_agent_added (void *opaque, VmChardev *chr, bool mouse, bool clipboard)
{
  AgentRig *rig = opaque;

  vm_agent_new (rig->display, rig->input, chr, mouse, clipboard);
}

void
agent_rig_init (AgentRig *rig, bool mouse, bool clipboard)
{
  *rig = (AgentRig){ .lock = vm_lock_new () };
  rig->loop = vm_loop_new ("test", rig->lock);
  rig->clocks = vm_clocks_new (rig->loop);
  rig->root = vm_object_new (&vm_container_type);
  rig->entered = vm_lock_enter (rig->lock);
  rig->display = vm_display_new (rig->loop, rig->clocks);
  rig->input = vm_input_new (rig->loop);
  rig->env = (VmCharEnv){
    .loop = rig->loop,
    .clocks = rig->clocks,
    .root = rig->root,
    .opaque = rig,
    .agent_added = rig_agent_added,
  };
  g_autoptr (VmCharOptions) options = vm_char_options_new ("qemu-vdagent", "vdagent");
  vm_char_options_set (options, "mouse", mouse ? "on" : "off");
  vm_char_options_set (options, "clipboard", clipboard ? "on" : "off");
  rig->chr = vm_chardev_new (&rig->env, options, NULL);
  g_assert_nonnull (rig->chr);
}

void
agent_rig_spin (AgentRig *rig)
{
  for (unsigned i = 0; i < 10; i++)
    vm_loop_iterate (rig->loop, false);
}

void
agent_rig_clear (AgentRig *rig)
{
  agent_rig_spin (rig);
  vm_chardev_remove_all (&rig->env);
  agent_rig_spin (rig);
  vm_object_unref (rig->root);
  vm_input_free (rig->input);
  vm_display_free (rig->display);
  vm_lock_leave (rig->lock, rig->entered);
  vm_clocks_free (rig->clocks);
  vm_loop_free (rig->loop);
  vm_lock_free (rig->lock);
}
