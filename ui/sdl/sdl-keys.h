/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SDL's numbers of keys, which are those of USB (HID usage tables, page 7), as evdev's. */
#pragma once

#include <stdint.h>

uint16_t vm_sdl_key (unsigned scancode); /* 0: none */
