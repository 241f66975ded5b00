/* SPDX-License-Identifier: GPL-3.0-or-later */
/* UTF8_STRING as it comes; GTK's conversion for programs that only have other kinds of text. */
#include "ui/gtk/text-request.h"

#include <string.h>

typedef struct Request
{
  gsize max;
  VmTextCame came;
  gpointer data;
} Request;

gsize
vm_text_whole (const char *text, gsize len, gsize n)
{
  /* Bytes that go on a character begin with 10; there are three in a row at most. */
  for (int i = 0; i < 3 && n && n < len && ((guchar) text[n] & 0xc0) == 0x80; i++)
    n--;
  return MIN (n, len);
}

static void
request_end (Request *request, const char *text, gsize len)
{
  g_autofree Request *kept = request;
  gsize n = text ? vm_text_whole (text, len, MIN (len, request->max)) : 0;

  request->came (text, n, len - n, request->data);
}

static void
text_came (GtkClipboard *clipboard, const char *text, gpointer request)
{
  request_end (request, text, text ? strlen (text) : 0);
}

static void
contents_came (GtkClipboard *clipboard, GtkSelectionData *selection, gpointer request)
{
  int len = gtk_selection_data_get_length (selection);

  if (len > 0)
    request_end (request, (const char *) gtk_selection_data_get_data (selection), (gsize) len);
  else
    gtk_clipboard_request_text (clipboard, text_came, request);
}

void
vm_request_text (GtkClipboard *clipboard, gsize max, VmTextCame came, gpointer data)
{
  Request *request = g_new (Request, 1);

  *request = (Request){ max, came, data };
  gtk_clipboard_request_contents (clipboard, gdk_atom_intern_static_string ("UTF8_STRING"), contents_came, request);
}
