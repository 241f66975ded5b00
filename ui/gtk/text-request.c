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

static void
request_end (Request *request, const char *text, gsize len)
{
  g_autofree Request *kept = request;
  const char *end;

  if (!text)
    {
      request->came (NULL, 0, request->data);
      return;
    }
  len = MIN (len, request->max);
  /* A character that is cut goes; anything else that is none is replaced. */
  if (!g_utf8_validate_len (text, len, &end) && text + len - end < 4
      && g_utf8_get_char_validated (end, text + len - end) == (gunichar) -2)
    len = (gsize) (end - text);
  g_autofree char *valid = g_utf8_make_valid (text, (gssize) len);
  request->came (valid, strlen (valid), request->data);
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
