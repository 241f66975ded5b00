/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A display server that goes away takes the window along; GDK would end the program, and the machine with it. */
#pragma once

#include <stdbool.h>

/* LOST (OPAQUE) is called when the connection is found broken, from the middle of GDK, and must not return: it jumps
 * out of the main loop. GDK is not to be called after that. False: this kind of display cannot be watched. */
bool vm_lost_display_watch (void (*lost) (void *opaque), void *opaque);
