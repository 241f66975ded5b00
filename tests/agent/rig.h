/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's side of an agent without a machine: a loop, a display, an input, a back end "qemu-vdagent". */
#pragma once

#include "engine/agent/agent.h"
#include "engine/display/clipboard.h"

typedef struct AgentRig
{
  VmLock *lock;
  VmLoop *loop;
  VmClocks *clocks;
  VmObject *root;
  VmCharEnv env;
  VmDisplay *display;
  VmInput *input;
  VmChardev *chr;
  bool entered;
} AgentRig;

void agent_rig_init (AgentRig *rig, bool mouse, bool clipboard);
void agent_rig_clear (AgentRig *rig); /* the front end has let go */
void agent_rig_spin (AgentRig *rig);  /* what is ready now */
