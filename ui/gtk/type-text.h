/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text as the keys that make it, for guests without a clipboard: on the layout of -k, or else on this host's. */
#pragma once

#include <gtk/gtk.h>

#include "engine/machine/session.h"

#define VM_TYPE_CHARS_MAX 10000

typedef struct VmTyping VmTyping;

/* Types what the layout has keys for, a few characters a second more than people do. DONE (OPAQUE, how many characters
 * it has no keys for) comes at the end, also after a stop; the typing is gone then. */
VmTyping *vm_typing_start (VmSession *session, VmConsole *console, const char *text,
                           void (*done) (gpointer opaque, unsigned missing), gpointer opaque);
void vm_typing_stop (VmTyping *self);
