/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text out of the desktop's clipboard, however much of it there is: GTK's own way would convert and check all of it,
 * which takes longer than a window may stand still. */
#pragma once

#include <gtk/gtk.h>

/* LEN bytes of TEXT, which is NULL when there is none; LEFT_OUT more were too many. Whole characters where it is UTF-8,
 * which nobody has checked. */
typedef void (*VmTextCame) (const char *text, gsize len, gsize left_out, gpointer data);

/* At most MAX bytes. */
void vm_request_text (GtkClipboard *clipboard, gsize max, VmTextCame came, gpointer data);
/* The greatest number of bytes, at most N of the LEN there are, that ends with a character. */
gsize vm_text_whole (const char *text, gsize len, gsize n);
