/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys that a host keeps for itself, as a menu. */
#pragma once

#include <gio/gio.h>

/* Items for the action "win.send-keys", whose parameter is what vm_session_send_keys() takes. */
void vm_send_keys_fill (GMenu *menu);
