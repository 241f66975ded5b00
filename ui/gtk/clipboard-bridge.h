/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The window's clipboard between its thread and the engine's: calls are posted there; what comes back is the newest
 * state, told once for any number of changes. */
#pragma once

#include "engine/display/clipboard.h"
#include "engine/machine/session.h"

typedef struct VmClipBridge VmClipBridge;

/* On the default main context. */
typedef struct VmClipBridgeOps
{
  void (*offered) (void *opaque, VmClipSelection selection, unsigned types); /* anew, by the guest; 0: nothing */
  void (*request) (void *opaque, VmClipSelection selection, VmClipType type);
  void (*received) (void *opaque, VmClipSelection selection, VmClipType type, GBytes *data);
  void (*agent_changed) (void *opaque); /* NULL: it does not matter */
} VmClipBridgeOps;

VmClipBridge *vm_clip_bridge_new (VmDisplay *display, const VmClipBridgeOps *ops, void *opaque);
void vm_clip_bridge_free (VmClipBridge *bridge);                                            /* no calls after that */
void vm_clip_bridge_grab (VmClipBridge *bridge, VmClipSelection selection, unsigned types); /* 0: releases */
void vm_clip_bridge_request (VmClipBridge *bridge, VmClipSelection selection, VmClipType type);
void vm_clip_bridge_deliver (VmClipBridge *bridge, VmClipSelection selection, VmClipType type, GBytes *data);
void vm_clip_bridge_set_mode (VmClipBridge *bridge, VmClipMode mode);
void vm_clip_bridge_set_primary (VmClipBridge *bridge, bool on);
