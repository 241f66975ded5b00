/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a terminal sends, as symbols of the X protocol with VM_TYPE_* modifiers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

/* CODE as get_wch() gave it, IS_KEY when that was KEY_CODE_YES; 0: it means nothing. */
uint32_t vm_curses_key (wint_t code, bool is_key, unsigned *modifiers);
/* Once the screen is there. */
void vm_curses_define_keys (void);
/* Whether there is a description of what $TERM says. */
bool vm_curses_knows_terminal (void);
