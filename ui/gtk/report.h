/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What went wrong and how things stand, in dialogs whose text can be copied. */
#pragma once

#include <gtk/gtk.h>

#include "engine/machine/session.h"

/* TITLE: what was not done. CAUSE: why, may be NULL. REMEDY: what now, may be NULL. Said in the log, too. */
void vm_report_failure (GtkWindow *parent, VmSession *session, const char *title, const char *cause,
                        const char *remedy);
/* Command line, versions, the last lines of the log. One of each window at a time. */
void vm_report_show_diagnostics (GtkWindow *parent, VmSession *session);
void vm_report_show_log (GtkWindow *parent, VmSession *session);
/* The text of the first of these. Free the result. */
char *vm_report_diagnostics (VmSession *session);
