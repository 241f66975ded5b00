/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all pages have: a title, and calls to the kind. */
#include "ui/gtk/page.h"

typedef struct VmPagePrivate
{
  char *title;
} VmPagePrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (VmPage, vm_page, GTK_TYPE_OVERLAY)

static VmPagePrivate *
private_of (VmPage *self)
{
  return vm_page_get_instance_private (self);
}

static void
page_finalize (GObject *object)
{
  g_free (private_of (VM_PAGE (object))->title);
  G_OBJECT_CLASS (vm_page_parent_class)->finalize (object);
}

static void
vm_page_class_init (VmPageClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = page_finalize;
}

static void
vm_page_init (VmPage *self)
{
  gtk_style_context_add_class (gtk_widget_get_style_context (GTK_WIDGET (self)), "vitrine-page");
}

const char *
vm_page_title (VmPage *self)
{
  return private_of (self)->title;
}

void
vm_page_set_title (VmPage *self, const char *title)
{
  VmPagePrivate *priv = private_of (self);

  g_free (priv->title);
  priv->title = g_strdup (title);
}

void
vm_page_set_zoom (VmPage *self, const VmZoom *zoom)
{
  VM_PAGE_GET_CLASS (self)->set_zoom (self, zoom);
}

void
vm_page_set_notice (VmPage *self, const char *text, const char *start)
{
  if (VM_PAGE_GET_CLASS (self)->set_notice)
    VM_PAGE_GET_CLASS (self)->set_notice (self, text, start);
}

void
vm_page_wanted_size (VmPage *self, int *width, int *height)
{
  VM_PAGE_GET_CLASS (self)->wanted_size (self, width, height);
}

void
vm_page_focus (VmPage *self)
{
  VM_PAGE_GET_CLASS (self)->focus (self);
}
