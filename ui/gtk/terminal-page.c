/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VTE does the terminal. What the guest writes is only drawn: no title, no link, no clipboard of the host's is its to
 * change. */
#include "config.h"

#include "ui/gtk/terminal-page.h"

#define PCRE2_CODE_UNIT_WIDTH 0
#include <glib/gi18n-lib.h>
#include <pcre2.h>
#include <vte/vte.h>

#include "ui/gtk/text-request.h"
#include "ui/gtk/waker.h"

#define SCROLLBACK 10000 /* lines */
/* While a guest pours out text the terminal gets that many bytes each time, and then time to draw them. */
#define FEED 32768
#define FEED_US 10000
#define PASTE_MAX (16 << 20)  /* bytes */
#define PIECE 32768           /* bytes that are pasted at once */
#define HELD_MAX (512 * 1024) /* bytes; no piece becomes as many */
#define COLUMNS 80       /* unless the back end says */
#define ROWS 24

struct _VmTerminalPage
{
  VmPage parent_instance;
  VmText *text;
  uint64_t position;
  gint64 next_feed; /* monotonic microseconds */
  GByteArray *held; /* typed, and the port had no room yet */
  char *paste;      /* NULL: nothing is pasted */
  gsize paste_len, paste_at, left_out;
  GSource *waker;
  VteTerminal *terminal;
  GtkWidget *scrollbar, *search_bar, *search_entry, *not_found;
};

G_DEFINE_TYPE (VmTerminalPage, vm_terminal_page, VM_TYPE_PAGE)

enum
{
  SIGNAL_SELECTION_CHANGED,
  SIGNAL_PASTING,
  SIGNAL_N
};
static guint signals[SIGNAL_N];

/* --- bytes ------------------------------------------------------------------------------------------- */

/* Engine loop. */
static void
terminal_said (VmText *text, void *opaque)
{
  vm_waker_poke (VM_TERMINAL_PAGE (opaque)->waker);
}

static void
terminal_feed (VmTerminalPage *self)
{
  gint64 now = g_get_monotonic_time ();
  uint8_t bytes[FEED];
  bool lost;

  if (now < self->next_feed)
    {
      g_source_set_ready_time (self->waker, self->next_feed);
      return;
    }
  size_t n = vm_text_read (self->text, &self->position, bytes, sizeof bytes, &lost);
  if (lost) /* perhaps in the middle of a sequence */
    vte_terminal_feed (self->terminal, "\030\033[m\r\n", -1);
  vte_terminal_feed (self->terminal, (const char *) bytes, n);
  if (n < sizeof bytes)
    return;
  self->next_feed = now + FEED_US;
  g_source_set_ready_time (self->waker, self->next_feed);
}

/* What a guest makes the terminal answer is dropped when it never reads that. */
static void
terminal_commit (VteTerminal *terminal, const char *bytes, guint len, VmTerminalPage *self)
{
  gsize n = self->held->len ? 0 : vm_text_write (self->text, (const uint8_t *) bytes, len);

  g_byte_array_append (self->held, (const guint8 *) bytes + n, MIN (len - n, HELD_MAX - self->held->len));
}

static void
paste_end (VmTerminalPage *self)
{
  g_clear_pointer (&self->paste, g_free);
  g_signal_emit (self, signals[SIGNAL_PASTING], 0);
}

/* Whole lines, unless they are long. */
static void
paste_piece (VmTerminalPage *self)
{
  const char *at = self->paste + self->paste_at;
  gsize rest = self->paste_len - self->paste_at, n = MIN (rest, PIECE);
  const char *line = n < rest ? g_strrstr_len (at, (gssize) n, "\n") : NULL;

  n = line ? (gsize) (line + 1 - at) : vm_text_whole (at, rest, n);
  g_autofree char *piece = g_utf8_make_valid (at, (gssize) n);
  self->paste_at += n;
  vte_terminal_paste_text (self->terminal, piece);
  if (self->paste && self->paste_at == self->paste_len)
    paste_end (self);
  else
    vm_waker_poke (self->waker);
}

static gboolean
terminal_wake (gpointer user_data)
{
  VmTerminalPage *self = user_data;

  terminal_feed (self);
  if (self->held->len)
    g_byte_array_remove_range (self->held, 0, (guint) vm_text_write (self->text, self->held->data, self->held->len));
  if (self->paste && !self->held->len)
    paste_piece (self);
  return G_SOURCE_CONTINUE;
}

/* --- keys -------------------------------------------------------------------------------------------- */

static void
terminal_scroll (VmTerminalPage *self, int lines)
{
  GtkAdjustment *adjustment = gtk_scrollable_get_vadjustment (GTK_SCROLLABLE (self->terminal));

  gtk_adjustment_set_value (adjustment, gtk_adjustment_get_value (adjustment) + lines);
}

/* Those that terminals have, and those of built-in text consoles. */
static gboolean
terminal_key_press (GtkWidget *widget, GdkEventKey *event, VmTerminalPage *self)
{
  GdkModifierType mods = event->state & gtk_accelerator_get_default_mod_mask ();
  guint key = gdk_keyval_to_lower (event->keyval);

  if (mods == (GDK_CONTROL_MASK | GDK_SHIFT_MASK) && key == GDK_KEY_c)
    vm_terminal_page_copy (self);
  else if (mods == (GDK_CONTROL_MASK | GDK_SHIFT_MASK) && key == GDK_KEY_v)
    vm_terminal_page_paste (self);
  else if (mods == (GDK_CONTROL_MASK | GDK_SHIFT_MASK) && key == GDK_KEY_a)
    vm_terminal_page_select_all (self);
  else if (mods == (GDK_CONTROL_MASK | GDK_SHIFT_MASK) && key == GDK_KEY_f)
    vm_terminal_page_find (self);
  else if (mods == GDK_CONTROL_MASK && key == GDK_KEY_Up)
    terminal_scroll (self, -1);
  else if (mods == GDK_CONTROL_MASK && key == GDK_KEY_Down)
    terminal_scroll (self, 1);
  else if (mods == GDK_CONTROL_MASK && key == GDK_KEY_Page_Up)
    terminal_scroll (self, -10);
  else if (mods == GDK_CONTROL_MASK && key == GDK_KEY_Page_Down)
    terminal_scroll (self, 10);
  else
    return FALSE;
  return TRUE;
}

static gboolean
terminal_button_press (GtkWidget *widget, GdkEventButton *event, VmTerminalPage *self)
{
  if (!gdk_event_triggers_context_menu ((GdkEvent *) event))
    return FALSE;
  g_autoptr (GMenu) model = g_menu_new ();
  if (vm_terminal_page_has_selection (self))
    g_menu_append (model, _ ("_Copy"), "win.copy");
  g_menu_append (model, _ ("_Paste"), "win.paste");
  g_menu_append (model, _ ("Select _All"), "win.select-all");
  g_menu_append (model, _ ("_Find…"), "win.find");
  GtkWidget *menu = gtk_menu_new_from_model (G_MENU_MODEL (model));
  gtk_menu_attach_to_widget (GTK_MENU (menu), widget, NULL);
  g_signal_connect (menu, "selection-done", G_CALLBACK (gtk_widget_destroy), NULL);
  gtk_menu_popup_at_pointer (GTK_MENU (menu), (GdkEvent *) event);
  return TRUE;
}

static void
terminal_selection_changed (VmTerminalPage *self)
{
  g_signal_emit (self, signals[SIGNAL_SELECTION_CHANGED], 0);
}

bool
vm_terminal_page_has_selection (VmTerminalPage *self)
{
  return vte_terminal_get_has_selection (self->terminal);
}

void
vm_terminal_page_copy (VmTerminalPage *self)
{
  if (vm_terminal_page_has_selection (self))
    vte_terminal_copy_clipboard_format (self->terminal, VTE_FORMAT_TEXT);
}

static void
terminal_text_came (const char *text, gsize len, gsize left_out, gpointer page)
{
  VmTerminalPage *self = page;

  if (len && self->text && !self->paste)
    {
      self->paste = g_memdup2 (text, len);
      self->paste_len = len;
      self->paste_at = 0;
      self->left_out = left_out;
      if (len > PIECE)
        g_signal_emit (self, signals[SIGNAL_PASTING], 0);
      vm_waker_poke (self->waker);
    }
  g_object_unref (self);
}

void
vm_terminal_page_paste (VmTerminalPage *self)
{
  vm_request_text (gtk_widget_get_clipboard (GTK_WIDGET (self), GDK_SELECTION_CLIPBOARD), PASTE_MAX, terminal_text_came,
                   g_object_ref (self));
}

bool
vm_terminal_page_is_pasting (VmTerminalPage *self)
{
  return self->paste != NULL;
}

void
vm_terminal_page_stop_pasting (VmTerminalPage *self)
{
  self->left_out = 0; /* whoever stops it knows */
  if (self->paste)
    paste_end (self);
}

gsize
vm_terminal_page_left_out (VmTerminalPage *self, gsize *pasted)
{
  *pasted = self->paste_len;
  return self->left_out;
}

void
vm_terminal_page_select_all (VmTerminalPage *self)
{
  vte_terminal_select_all (self->terminal);
}

/* --- finding ----------------------------------------------------------------------------------------- */

static void
search_step (VmTerminalPage *self, bool up)
{
  const char *words = gtk_entry_get_text (GTK_ENTRY (self->search_entry));
  bool found
      = *words
        && (up ? vte_terminal_search_find_previous (self->terminal) : vte_terminal_search_find_next (self->terminal));

  gtk_widget_set_visible (self->not_found, *words && !found);
}

static void
search_changed (VmTerminalPage *self)
{
  const char *words = gtk_entry_get_text (GTK_ENTRY (self->search_entry));
  g_autofree char *pattern = g_regex_escape_string (words, -1);
  VteRegex *regex
      = *words ? vte_regex_new_for_search (pattern, -1, PCRE2_UTF | PCRE2_MULTILINE | PCRE2_CASELESS, NULL) : NULL;

  vte_terminal_search_set_regex (self->terminal, regex, 0);
  vte_terminal_search_set_wrap_around (self->terminal, TRUE);
  if (regex)
    vte_regex_unref (regex);
  /* From the end: what was said last is what is looked for. */
  search_step (self, true);
}

static void
search_previous (VmTerminalPage *self)
{
  search_step (self, true);
}

static void
search_next (VmTerminalPage *self)
{
  search_step (self, false);
}

static void
search_close (VmTerminalPage *self)
{
  gtk_widget_grab_focus (GTK_WIDGET (self->terminal));
  gtk_widget_hide (self->search_bar);
}

void
vm_terminal_page_find (VmTerminalPage *self)
{
  gtk_widget_show (self->search_bar);
  gtk_widget_grab_focus (self->search_entry);
}

static void
search_button (VmTerminalPage *self, GtkWidget *box, const char *icon, const char *name,
               void (*func) (VmTerminalPage *))
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon, GTK_ICON_SIZE_BUTTON);

  gtk_widget_set_tooltip_text (button, name);
  atk_object_set_name (gtk_widget_get_accessible (button), name);
  g_signal_connect_object (button, "clicked", G_CALLBACK (func), self, G_CONNECT_SWAPPED);
  gtk_box_pack_start (GTK_BOX (box), button, FALSE, FALSE, 0);
}

/* It lies over the terminal and takes no room of its own. */
static void
add_search (VmTerminalPage *self)
{
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);

  /* No GtkSearchBar: what is typed while that one still slides in is lost. */
  self->search_bar = gtk_event_box_new ();
  gtk_style_context_add_class (gtk_widget_get_style_context (self->search_bar), "background");
  self->search_entry = gtk_search_entry_new ();
  atk_object_set_name (gtk_widget_get_accessible (self->search_entry), _ ("Find in terminal"));
  self->not_found = gtk_label_new (_ ("Not found"));
  gtk_widget_set_no_show_all (self->not_found, TRUE);
  gtk_box_pack_start (GTK_BOX (line), self->search_entry, TRUE, TRUE, 0);
  search_button (self, line, "go-up-symbolic", _ ("Find previous"), search_previous);
  search_button (self, line, "go-down-symbolic", _ ("Find next"), search_next);
  gtk_box_pack_start (GTK_BOX (line), self->not_found, FALSE, FALSE, 0);
  search_button (self, line, "window-close-symbolic", _ ("Close"), search_close);
  gtk_container_set_border_width (GTK_CONTAINER (line), 6);
  gtk_container_add (GTK_CONTAINER (self->search_bar), line);
  gtk_widget_show_all (line);
  gtk_widget_set_no_show_all (self->search_bar, TRUE);
  g_signal_connect_object (self->search_entry, "search-changed", G_CALLBACK (search_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->search_entry, "activate", G_CALLBACK (search_previous), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->search_entry, "previous-match", G_CALLBACK (search_previous), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->search_entry, "next-match", G_CALLBACK (search_next), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->search_entry, "stop-search", G_CALLBACK (search_close), self, G_CONNECT_SWAPPED);
  gtk_widget_set_halign (self->search_bar, GTK_ALIGN_END);
  gtk_widget_set_valign (self->search_bar, GTK_ALIGN_START);
  gtk_overlay_add_overlay (GTK_OVERLAY (self), self->search_bar);
}

/* --- a page ------------------------------------------------------------------------------------------ */

static void
terminal_set_zoom (VmPage *page, const VmZoom *zoom)
{
  vte_terminal_set_font_scale (VM_TERMINAL_PAGE (page)->terminal, zoom->mode == VM_ZOOM_FIXED ? zoom->percent / 100.0 : 1);
}

static void
terminal_wanted_size (VmPage *page, int *width, int *height)
{
  VmTerminalPage *self = VM_TERMINAL_PAGE (page);
  GtkStyleContext *style = gtk_widget_get_style_context (GTK_WIDGET (self->terminal));
  unsigned columns, rows;
  GtkBorder padding;
  int bar;

  vm_text_size (self->text, &columns, &rows);
  gtk_style_context_get_padding (style, gtk_style_context_get_state (style), &padding);
  gtk_widget_get_preferred_width (self->scrollbar, &bar, NULL);
  *width = (int) (columns ? columns : COLUMNS) * (int) vte_terminal_get_char_width (self->terminal) + padding.left
           + padding.right + bar;
  *height
      = (int) (rows ? rows : ROWS) * (int) vte_terminal_get_char_height (self->terminal) + padding.top + padding.bottom;
}

static void
terminal_focus (VmPage *page)
{
  gtk_widget_grab_focus (GTK_WIDGET (VM_TERMINAL_PAGE (page)->terminal));
}

static void
terminal_dispose (GObject *object)
{
  VmTerminalPage *self = VM_TERMINAL_PAGE (object);

  if (self->text)
    vm_text_unwatch (self->text, terminal_said, self);
  g_clear_pointer (&self->waker, vm_waker_free);
  vm_terminal_page_stop_pasting (self);
  g_clear_pointer (&self->text, vm_text_unref);
  G_OBJECT_CLASS (vm_terminal_page_parent_class)->dispose (object);
}

static void
terminal_finalize (GObject *object)
{
  g_byte_array_unref (VM_TERMINAL_PAGE (object)->held);
  G_OBJECT_CLASS (vm_terminal_page_parent_class)->finalize (object);
}

static void
vm_terminal_page_class_init (VmTerminalPageClass *klass)
{
  VmPageClass *page = VM_PAGE_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = terminal_dispose;
  G_OBJECT_CLASS (klass)->finalize = terminal_finalize;
  page->set_zoom = terminal_set_zoom;
  page->wanted_size = terminal_wanted_size;
  page->focus = terminal_focus;
  signals[SIGNAL_SELECTION_CHANGED] = g_signal_new ("selection-changed", VM_TYPE_TERMINAL_PAGE, G_SIGNAL_RUN_LAST, 0,
                                                    NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_PASTING]
      = g_signal_new ("pasting", VM_TYPE_TERMINAL_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vm_terminal_page_init (VmTerminalPage *self)
{
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0), *terminal = vte_terminal_new ();

  self->held = g_byte_array_new ();
  self->terminal = VTE_TERMINAL (terminal);
  vte_terminal_set_scrollback_lines (self->terminal, SCROLLBACK);
  vte_terminal_set_scroll_on_keystroke (self->terminal, TRUE);
  vte_terminal_set_scroll_on_output (self->terminal, FALSE);
  vte_terminal_set_audible_bell (self->terminal, FALSE);
  vte_terminal_set_mouse_autohide (self->terminal, TRUE);
  vte_terminal_set_allow_hyperlink (self->terminal, FALSE);
  self->scrollbar
      = gtk_scrollbar_new (GTK_ORIENTATION_VERTICAL, gtk_scrollable_get_vadjustment (GTK_SCROLLABLE (terminal)));
  gtk_box_pack_start (GTK_BOX (line), terminal, TRUE, TRUE, 0);
  gtk_box_pack_start (GTK_BOX (line), self->scrollbar, FALSE, FALSE, 0);
  gtk_container_add (GTK_CONTAINER (self), line);
  add_search (self);
  g_signal_connect (terminal, "commit", G_CALLBACK (terminal_commit), self);
  g_signal_connect (terminal, "key-press-event", G_CALLBACK (terminal_key_press), self);
  g_signal_connect (terminal, "button-press-event", G_CALLBACK (terminal_button_press), self);
  g_signal_connect_object (terminal, "selection-changed", G_CALLBACK (terminal_selection_changed), self,
                           G_CONNECT_SWAPPED);
}

GtkWidget *
vm_terminal_page_new (VmText *text)
{
  VmTerminalPage *self = g_object_new (VM_TYPE_TERMINAL_PAGE, NULL);
  AtkObject *accessible = gtk_widget_get_accessible (GTK_WIDGET (self->terminal));
  unsigned columns, rows;

  self->text = vm_text_ref (text);
  vm_text_size (text, &columns, &rows);
  vte_terminal_set_size (self->terminal, columns ? columns : COLUMNS, rows ? rows : ROWS);
  vm_page_set_title (VM_PAGE (self), vm_text_id (text));
  atk_object_set_name (accessible, vm_text_id (text));
  atk_object_set_description (accessible, _ ("Terminal of the machine"));
  gtk_widget_show_all (GTK_WIDGET (self));
  self->waker = vm_waker_new (terminal_wake, self);
  vm_text_watch (text, terminal_said, self);
  vm_waker_poke (self->waker); /* what was said before */
  return GTK_WIDGET (self);
}

VmText *
vm_terminal_page_text (VmTerminalPage *self)
{
  return self->text;
}
