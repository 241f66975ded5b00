/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the engine's threads tell the window's that there is something to look at: any number of pokes before the
 * main loop comes round are one call. */
#pragma once

#include <glib.h>

/* FUNC (OPAQUE) runs on the default main context after each poke. */
GSource *vm_waker_new (GSourceFunc func, gpointer opaque);
void     vm_waker_poke (GSource *waker); /* any thread */
void     vm_waker_free (GSource *waker);
