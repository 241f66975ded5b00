/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the symbols that viewers without key codes send to keys, by the layout of -k. */
#pragma once

#include "engine/base/base.h"

typedef struct VncKeyboard VncKeyboard;

enum
{ /* what must be held for a symbol */
  VNC_LEVEL_SHIFT = 1,
  VNC_LEVEL_ALTGR = 2,
};

/* LAYOUT as -k has it; NULL: en-us. */
VncKeyboard *vnc_keyboard_new (const char *layout, GError **error);
void vnc_keyboard_free (VncKeyboard *keyboard);
/* The evdev code of the key that makes KEYSYM, preferably with HELD (VNC_LEVEL_*); 0: none does. *NEEDS: what must be
 * held for it; UINT_MAX: it does not matter. */
uint16_t vnc_keyboard_find (const VncKeyboard *keyboard, uint32_t keysym, unsigned held, unsigned *needs);
