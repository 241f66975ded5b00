/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A console as a tab's page. */
#include "config.h"

#include "ui/gtk/console-page.h"

#include <glib/gi18n-lib.h>

#define EMPTY_WIDTH  640 /* of a page without a picture */
#define EMPTY_HEIGHT 400
#define TINY_WIDTH   128 /* smaller is no picture yet, but a card that nobody has set up */
#define TINY_HEIGHT  64

struct _VmConsolePage {
  VmPage             parent_instance;
  VmConsole         *console;
  VmDisplayWidget   *display;
  VmInputController *input;
  GtkWidget         *empty, *scrolled;
  GtkWidget         *notice, *buttons, *start; /* over the picture of a machine that has stopped */
};

G_DEFINE_TYPE (VmConsolePage, vm_console_page, VM_TYPE_PAGE)

static void
page_show_picture (VmConsolePage *self)
{
  bool picture = self->display && vm_display_widget_has_picture (self->display);

  /* The display stays mapped below: it is who learns that a picture came. */
  gtk_widget_set_visible (self->empty, !picture);
}

static void
page_dispose (GObject *object)
{
  VmConsolePage *self = VM_CONSOLE_PAGE (object);

  /* Before the widget it watches. */
  g_clear_object (&self->input);
  self->display = NULL;
  G_OBJECT_CLASS (vm_console_page_parent_class)->dispose (object);
}

/* --- a page ------------------------------------------------------------------------------------------ */

static void
page_set_zoom (VmPage *page, const VmZoom *zoom)
{
  VmConsolePage *self = VM_CONSOLE_PAGE (page);
  GtkPolicyType policy = zoom->mode == VM_ZOOM_FIXED ? GTK_POLICY_AUTOMATIC : GTK_POLICY_NEVER;

  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (self->scrolled), policy, policy);
  if (self->display)
    vm_display_widget_set_zoom (self->display, zoom);
}

static void
page_set_notice (VmPage *page, const char *text, const char *start)
{
  VmConsolePage *self = VM_CONSOLE_PAGE (page);

  gtk_label_set_text (GTK_LABEL (self->notice), text ? text : "");
  gtk_widget_set_visible (self->notice, text != NULL);
  gtk_widget_set_visible (self->buttons, text && start);
  if (start)
    gtk_button_set_label (GTK_BUTTON (self->start), start);
  if (self->display)
    vm_display_widget_set_dimmed (self->display, text != NULL);
}

static void
page_wanted_size (VmPage *page, int *width, int *height)
{
  VmConsolePage *self = VM_CONSOLE_PAGE (page);
  int guest_width, guest_height;

  *width = EMPTY_WIDTH;
  *height = EMPTY_HEIGHT;
  if (!self->display || !vm_display_widget_has_picture (self->display))
    return;
  vm_display_widget_guest_size (self->display, &guest_width, &guest_height);
  if (guest_width < TINY_WIDTH || guest_height < TINY_HEIGHT)
    return;
  gtk_widget_get_size_request (GTK_WIDGET (self->display), width, height);
  if (*width < 0)
    {
      /* Fit asks for nothing: the picture at 100 %. */
      int scale = gtk_widget_get_scale_factor (GTK_WIDGET (self));

      *width = (guest_width + scale - 1) / scale;
      *height = (guest_height + scale - 1) / scale;
    }
}

static void
page_focus (VmPage *page)
{
  VmConsolePage *self = VM_CONSOLE_PAGE (page);

  if (self->display)
    gtk_widget_grab_focus (GTK_WIDGET (self->display));
}

static void
vm_console_page_class_init (VmConsolePageClass *klass)
{
  VmPageClass *page = VM_PAGE_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = page_dispose;
  page->set_zoom = page_set_zoom;
  page->set_notice = page_set_notice;
  page->wanted_size = page_wanted_size;
  page->focus = page_focus;
}

static GtkWidget *
page_add_label (VmConsolePage *self, const char *name)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_widget_set_name (label, name);
  gtk_label_set_line_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_justify (GTK_LABEL (label), GTK_JUSTIFY_CENTER);
  gtk_widget_set_halign (label, GTK_ALIGN_CENTER);
  gtk_widget_set_valign (label, GTK_ALIGN_CENTER);
  gtk_widget_set_no_show_all (label, TRUE);
  gtk_overlay_add_overlay (GTK_OVERLAY (self), label);
  gtk_overlay_set_overlay_pass_through (GTK_OVERLAY (self), label, TRUE);
  return label;
}

static GtkWidget *
page_add_button (VmConsolePage *self, const char *label, const char *action)
{
  GtkWidget *button = gtk_button_new_with_mnemonic (label);

  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), action);
  gtk_container_add (GTK_CONTAINER (self->buttons), button);
  gtk_widget_show (button);
  return button;
}

static void
vm_console_page_init (VmConsolePage *self)
{
  self->scrolled = gtk_scrolled_window_new (NULL, NULL);
  gtk_scrolled_window_set_overlay_scrolling (GTK_SCROLLED_WINDOW (self->scrolled), FALSE);
  gtk_container_add (GTK_CONTAINER (self), self->scrolled);
  self->empty = page_add_label (self, "empty");
  gtk_label_set_text (GTK_LABEL (self->empty), _("Guest has not initialized the display (yet)."));
  self->notice = page_add_label (self, "notice");
  self->buttons = gtk_button_box_new (GTK_ORIENTATION_HORIZONTAL);
  gtk_widget_set_name (self->buttons, "notice-buttons");
  gtk_button_box_set_layout (GTK_BUTTON_BOX (self->buttons), GTK_BUTTONBOX_CENTER);
  gtk_box_set_spacing (GTK_BOX (self->buttons), 6);
  gtk_widget_set_halign (self->buttons, GTK_ALIGN_CENTER);
  gtk_widget_set_valign (self->buttons, GTK_ALIGN_END);
  gtk_widget_set_no_show_all (self->buttons, TRUE);
  self->start = page_add_button (self, _("_Start"), "win.start");
  page_add_button (self, _("_Log"), "win.log");
  gtk_overlay_add_overlay (GTK_OVERLAY (self), self->buttons);
  gtk_widget_show (self->scrolled);
}

GtkWidget *
vm_console_page_new (VmSession *session, VmConsole *console, const VmUiOptions *options)
{
  VmConsolePage *self = g_object_new (VM_TYPE_CONSOLE_PAGE, NULL);

  self->console = console;
  vm_page_set_title (VM_PAGE (self), console ? vm_console_name (console) : "");
  if (console)
    {
      self->display = VM_DISPLAY_WIDGET (vm_display_widget_new (session, console, options));
      self->input = vm_input_controller_new (self->display, options);
      gtk_container_add (GTK_CONTAINER (self->scrolled), GTK_WIDGET (self->display));
      g_signal_connect_object (self->display, "resized", G_CALLBACK (page_show_picture), self, G_CONNECT_SWAPPED);
    }
  else
    {
      gtk_label_set_text (GTK_LABEL (self->empty), _("This machine has no display."));
    }
  gtk_widget_show_all (GTK_WIDGET (self));
  page_show_picture (self);
  return GTK_WIDGET (self);
}

VmConsole *
vm_console_page_console (VmConsolePage *self)
{
  return self->console;
}

VmDisplayWidget *
vm_console_page_display (VmConsolePage *self)
{
  return self->display;
}

VmInputController *
vm_console_page_input (VmConsolePage *self)
{
  return self->input;
}
