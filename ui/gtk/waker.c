/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A source that is ready once after each poke. */
#include "ui/gtk/waker.h"

static gboolean
waker_dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  g_source_set_ready_time (source, -1);
  callback (user_data);
  return G_SOURCE_CONTINUE;
}

static const GSourceFuncs waker_funcs = { .dispatch = waker_dispatch };

GSource *
vm_waker_new (GSourceFunc func, gpointer opaque)
{
  GSource *source = g_source_new ((GSourceFuncs *) &waker_funcs, sizeof (GSource));

  g_source_set_callback (source, func, opaque, NULL);
  g_source_attach (source, NULL);
  return source;
}

void
vm_waker_poke (GSource *waker)
{
  g_source_set_ready_time (waker, 0);
}

void
vm_waker_free (GSource *waker)
{
  g_source_destroy (waker);
  g_source_unref (waker);
}
