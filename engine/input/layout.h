/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys and the symbols they make, by the layout of -k: for viewers that send symbols, and for text consoles. Never changes once
 * made. */
#pragma once

#include "engine/base/base.h"

typedef struct VmLayout VmLayout;

enum
{ /* what must be held for a symbol */
  VM_LEVEL_SHIFT = 1,
  VM_LEVEL_ALTGR = 2,
};

/* LAYOUT as -k has it; NULL: en-us. */
VmLayout *vm_layout_new (const char *layout, GError **error);
void vm_layout_free (VmLayout *layout);
/* The evdev code of the key that makes KEYSYM, preferably with HELD (VM_LEVEL_*); 0: none does. *NEEDS: what must be
 * held for it; UINT_MAX: it does not matter. */
uint16_t vm_layout_find (const VmLayout *layout, uint32_t keysym, unsigned held, unsigned *needs);
/* What a key makes at a level (VM_LEVEL_*); 0: nothing. */
uint32_t vm_layout_symbol (const VmLayout *layout, uint16_t key, unsigned level);
