/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of an agent share: life and pointer (agent.c), clipboard, files. All of it under the machine lock. */
#pragma once

#include "engine/agent/agent.h"
#include "engine/agent/wire.h"
#include "engine/display/clipboard.h"

#define VD_HEADS_MAX 16

/* The pointer over one console. */
typedef struct VdPointer
{
  VmAgent *agent;
  VmConsole *console;
  unsigned index; /* the console's */
  VmInputHandler *handler;
  int x, y; /* of VM_ABS_MAX */
  bool moved, waits;
} VdPointer;

struct VmAgent
{
  unsigned refs; /* the back end's, and one for each post and job under way */
  VmDisplay *display;
  VmInput *input;
  VmChardev *chr;        /* NULL: gone */
  bool mouse, clipboard; /* wanted */
  bool open;             /* the guest listens */
  bool connected;        /* and has said what it can: */
  uint64_t caps;
  unsigned session; /* counts the guest's opens */
  bool kicked;
  GByteArray *in; /* not looked at yet */
  VdWire wire;
  VmListener listener;
  bool heads_changed, sizes_changed;
  unsigned buttons;
  unsigned n_pointers;
  VdPointer pointers[VD_HEADS_MAX];
  /* clipboard */
  VmClipPeer peer;
  bool told[VM_CLIP_SELECTIONS];                     /* the guest thinks that something is offered */
  bool answering[VM_CLIP_SELECTIONS][VM_CLIP_TYPES]; /* a content is on its way to the guest */
  uint32_t serials[VM_CLIP_SELECTIONS];
  /* files; the first is being sent */
  GQueue transfers; /* VmAgentFiles *, each a reference */
  uint32_t next_id;
};

static inline bool
vd_agent_can (const VmAgent *agent, unsigned cap)
{
  return agent->connected && agent->caps >> cap & 1;
}

VmAgent *vd_agent_ref (VmAgent *agent);
void vd_agent_unref (VmAgent *agent);
void vd_agent_send (VmAgent *agent, uint32_t port, uint32_t type, const void *head, size_t head_len, GBytes *body,
                    VdSentFunc sent, void *opaque);

void vd_clipboard_start (VmAgent *agent); /* the agent can; again: its capabilities have changed */
void vd_clipboard_stop (VmAgent *agent);
void vd_clipboard_message (VmAgent *agent, uint32_t type, GBytes *data);
/* The longest message of the clipboard that makes sense now. */
size_t vd_clipboard_limit (VmAgent *agent);

void vd_files_status (VmAgent *agent, GBytes *data);
void vd_files_stop (VmAgent *agent); /* it went away */
