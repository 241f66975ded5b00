/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a user interface may do with a machine. Commands are posted to the engine loop; answers and events come
 * back on the main context that the session was opened with. Nothing here blocks. Consoles, keys and pointers go
 * by engine/display/display.h and engine/input/input.h, whose viewers' side is safe on any thread. */
#pragma once

#include "engine/char/text.h"
#include "engine/display/display.h"
#include "engine/input/input.h"
#include "engine/machine/machine.h"

typedef struct VmSession VmSession;

typedef enum VmSessionEvent
{
  VM_SESSION_STATE,     /* the run state changed: vm_session_state() */
  VM_SESSION_RESET,     /* the machine was reset */
  VM_SESSION_POWERDOWN, /* the power button was pressed */
  VM_SESSION_SHUTDOWN,  /* the guest or the host ended the machine */
  VM_SESSION_QUIT,      /* the engine is about to finish: drop what belongs to it, then vm_session_free() */
  VM_SESSION_CONSOLES,  /* consoles came or went */
  VM_SESSION_TEXTS,     /* text consoles came or went */
  VM_SESSION_QMP,       /* any other event of the monitor: NAME and DATA */
} VmSessionEvent;

/* NAME and DATA (JSON text or NULL) are those of the QMP event behind it, if any. */
typedef void (*VmSessionFunc) (VmSession *session, VmSessionEvent event, const char *name, const char *data,
                               void *opaque);
/* RESULT is JSON text (for run_hmp: the plain text) or NULL on failure, when ERROR is set. */
typedef void (*VmSessionDone) (VmSession *session, const char *result, const GError *error, void *opaque);

/* CONTEXT NULL: the default one. FUNC may be NULL. */
VmSession *vm_session_new (VmMachine *machine, GMainContext *context, VmSessionFunc func, void *opaque);
void vm_session_free (VmSession *session); /* from its context; outstanding answers are dropped */

/* --- facts that never change or are kept for this side; no waiting ----------------------------------- */

VmMachine *vm_session_machine (VmSession *session);
VmDisplay *vm_session_display (VmSession *session);
VmInput *vm_session_input (VmSession *session);
const VmSettings *vm_session_settings (VmSession *session);
const char *vm_session_name (VmSession *session);  /* -name, or NULL */
const char *vm_session_accel (VmSession *session); /* "tcg", "kvm" */
VmRunState vm_session_state (VmSession *session);
bool vm_session_is_running (VmSession *session);

/* Text consoles ("vc" character back ends) in order: VmText *, each a reference; free with g_ptr_array_unref(). How
 * to read and write them is engine/char/text.h's affair. As pictures they are among the consoles of the display. */
GPtrArray *vm_session_texts (VmSession *session);

/* --- commands; DONE may be NULL ------------------------------------------------------------------------- */

/* Any QMP command: ARGUMENTS is the text of a JSON object or NULL. */
void vm_session_command (VmSession *session, const char *command, const char *arguments, VmSessionDone done,
                         void *opaque);
void vm_session_run_hmp (VmSession *session, const char *line, VmSessionDone done, void *opaque);
void vm_session_stop (VmSession *session);
void vm_session_cont (VmSession *session);
void vm_session_reset (VmSession *session);
void vm_session_powerdown (VmSession *session);
void vm_session_quit (VmSession *session);
/* FORMAT "png" or "ppm"; CONSOLE NULL: the first. */
void vm_session_screendump (VmSession *session, VmConsole *console, const char *path, const char *format,
                            VmSessionDone done, void *opaque);
/* "ctrl-alt-delete" or "ctrl+alt+f1": pressed together, released after 100 ms. */
void vm_session_send_keys (VmSession *session, const char *chord, VmSessionDone done, void *opaque);
/* Where a DRIVER could be plugged in while the machine runs: RESULT is {"bus": NAME}; ERROR: nowhere. */
void vm_session_find_place (VmSession *session, const char *driver, VmSessionDone done, void *opaque);

/* --- clients that others have accepted ("add_client") --------------------------------------------------------- */

typedef void (*VmSessionClient) (VmSession *session, int fd, void *opaque);
/* Those of PROTOCOL come to FUNC, which owns the descriptor. One session at a time; FUNC NULL: no more. */
void vm_session_take_clients (VmSession *session, const char *protocol, VmSessionClient func, void *opaque);

/* --- saving and loading, during which the engine does nothing else; no waiting ------------------------------- */

/* Bytes so far, and bytes at most; false: nothing of the kind is under way. */
bool vm_session_progress (VmSession *session, uint64_t *done, uint64_t *total, bool *cancellable);
/* It ends soon, and nothing has changed. */
void vm_session_cancel_progress (VmSession *session);
