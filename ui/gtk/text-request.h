/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text out of the desktop's clipboard, however much of it there is: GTK's own way would convert and check all of it,
 * which takes longer than a window may stand still. */
#pragma once

#include <gtk/gtk.h>

/* TEXT ends with 0 after LEN bytes and is NULL when there is none. */
typedef void (*VmTextCame) (const char *text, gsize len, gpointer data);

/* At most MAX bytes, whole characters; what is no UTF-8 in them is replaced. */
void vm_request_text (GtkClipboard *clipboard, gsize max, VmTextCame came, gpointer data);
