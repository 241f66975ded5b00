/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent in the guest (spice-vdagent, the Windows agent) at the other end of "-chardev qemu-vdagent".
 *
 * What it can is in vm_display_agent_state(). Its clipboard is a peer of vm_display_clipboard(), it gets the sizes that
 * viewers ask of consoles, its pointer is a device of engine/input: viewers do nothing for these. Files are sent here.
 */
#pragma once

#include "engine/char/char.h"
#include "engine/display/display.h"
#include "engine/input/input.h"

/* For a back end without a sink; both end together. Machine lock held. */
VmAgent *vm_agent_new (VmDisplay *display, VmInput *input, VmChardev *chr, bool mouse, bool clipboard);

/* --- files for the guest; any thread -------------------------------------------------------------- */

typedef struct VmAgentFiles VmAgentFiles;

typedef struct VmAgentProgress
{
  unsigned file, n_files; /* which one is on its way, from 0 */
  const char *name;       /* its, for people */
  uint64_t sent, total;   /* bytes, of all */
  bool ended;             /* nothing more comes after this */
  const GError *error;    /* when it ended badly: a sentence; G_IO_ERROR_CANCELLED after a cancel */
} VmAgentProgress;

typedef void (*VmAgentFilesFunc) (VmAgentFiles *files, const VmAgentProgress *progress, void *opaque);

/* Sends the regular files PATHS (NULL-terminated, copied) one after the other; where they end up the agent decides,
 * mostly in the user's folder for downloads. FUNC is called in CONTEXT (NULL: the default one) as it goes on and once
 * at its end. */
VmAgentFiles *vm_agent_send_files (VmDisplay *display, const char *const *paths, GMainContext *context,
                                   VmAgentFilesFunc func, void *opaque);
void vm_agent_files_cancel (VmAgentFiles *files); /* the end follows */
/* From CONTEXT's thread: FUNC is not called any more. What is under way goes on. */
void vm_agent_files_free (VmAgentFiles *files);
