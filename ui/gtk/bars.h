/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages over the tabs about what goes wrong while the machine is there, each with what may be done about it. */
#pragma once

#include <stdbool.h>

#include "ui/gtk/question.h"

GtkWidget *vm_bars_new (void);
/* One per ID, which of a GTK_MESSAGE_INFO goes by itself: a later one takes the place of the earlier. A choice closes the bar; OPAQUE is for the choices. */
void vm_bars_show (GtkWidget *bars, const char *id, GtkMessageType type, const char *text, const VmChoice *choices,
                   unsigned n, gpointer opaque);
void vm_bars_hide (GtkWidget *bars, const char *id);
/* What a BLOCK_* event of the monitor says, in words; NULL: nothing a person has to know. *STOPPED: the machine waits. */
char *vm_bars_text_of_event (const char *name, const char *data, bool *stopped);
