/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a "vc" back end has said, for whoever shows it as a terminal: the window's tabs. The bytes are kept in a ring,
 * the oldest go first; a viewer PULLS what came since its last look, so that none slows the guest. */
#pragma once

#include "engine/char/char.h"

#define VM_TEXT_KEPT (256 * 1024) /* bytes */

typedef struct VmText VmText;
typedef void (*VmTextFunc) (VmText *text, void *opaque);

/* Stands behind CHR. CLOSED, which may be NULL, is called when the back end goes. COLUMNS and ROWS 0: not said. Engine
 * loop. */
VmText *vm_text_new (VmLoop *loop, VmChardev *chr, unsigned columns, unsigned rows, VmTextFunc closed, void *opaque);
/* Any thread; the last one frees it. */
VmText *vm_text_ref (VmText *text);
void    vm_text_unref (VmText *text);
const char *vm_text_id (const VmText *text); /* of the back end */
/* Of "-chardev dbus": the name of a stream, which is no text for a screen; NULL: it is one. Set before others see it. */
const char *vm_text_stream (const VmText *text);
void    vm_text_set_stream (VmText *text, const char *name);
void    vm_text_size (const VmText *text, unsigned *columns, unsigned *rows);

/* --- viewers; any thread -------------------------------------------------------------------------------- */

/* Copies at most SIZE of the bytes after *POSITION, which starts as 0 and moves on; *LOST (may be NULL) tells that some
 * in between are gone for good. 0: nothing new. */
size_t vm_text_read (VmText *text, uint64_t *position, uint8_t *bytes, size_t size, bool *lost);
/* Bytes that were typed; what the front end has no room for waits, to a limit. How many were taken; when there is room
 * for more after some were not, those that watch are called. */
size_t vm_text_write (VmText *text, const uint8_t *bytes, size_t len);
void   vm_text_send_break (VmText *text);
/* FUNC is called on the engine loop when there is more to read or room for what was refused; it must only post to its
 * own loop. */
void   vm_text_watch (VmText *text, VmTextFunc func, void *opaque);
void   vm_text_unwatch (VmText *text, VmTextFunc func, void *opaque);
/* How many watch. */
unsigned vm_text_watches (VmText *text);
