/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input events on their way from viewers to devices, with device-independent key codes.
 *
 * Key codes are the Linux evdev codes (KEY_A = 30 ...), whose names here are those of the QMP QKeyCode enum.
 * Viewers send from any thread; events are posted to the engine loop and go to the handlers there. */
#pragma once

#include "engine/bus/device.h"

typedef struct VmConsole VmConsole;

typedef enum VmInputKind { VM_INPUT_KEY, VM_INPUT_BUTTON, VM_INPUT_REL, VM_INPUT_ABS, VM_INPUT_TOUCH } VmInputKind;
typedef enum VmButton {
  VM_BUTTON_LEFT, VM_BUTTON_MIDDLE, VM_BUTTON_RIGHT, VM_BUTTON_WHEEL_UP, VM_BUTTON_WHEEL_DOWN,
  VM_BUTTON_SIDE, VM_BUTTON_EXTRA, VM_BUTTON_WHEEL_LEFT, VM_BUTTON_WHEEL_RIGHT, VM_BUTTON_N,
} VmButton;
enum
{
  VM_AXIS_X,
  VM_AXIS_Y,
  VM_TOUCH_CONTACT
};
#define VM_ABS_MAX 0x7fff /* absolute axes run from 0 to this over the whole console */

typedef struct VmInputEvent {
  VmInputKind kind;
  uint16_t code; /* evdev key code, VmButton, axis; of a touch: an axis or VM_TOUCH_CONTACT */
  bool        down;
  uint8_t slot;  /* of a touch: which finger, 0..VM_TOUCH_SLOTS - 1 */
  int32_t value; /* rel: delta in guest pixels; abs, touch: 0..VM_ABS_MAX */
} VmInputEvent;
#define VM_TOUCH_SLOTS 10

enum { VM_LED_SCROLL = 1, VM_LED_NUM = 2, VM_LED_CAPS = 4 };

/* --- devices' side (engine loop) ------------------------------------------------------------------ */

typedef struct VmInputHandlerOps {
  const char *name;   /* "PS/2 keyboard": for query-mice and errors */
  uint32_t    kinds;  /* bit set of 1 << VmInputKind it takes */
  void (*event) (void *opaque, const VmInputEvent *event);
  void (*sync) (void *opaque); /* end of a group that belongs together */
} VmInputHandlerOps;

typedef struct VmInputHandler VmInputHandler;
VmInputHandler *vm_input_register (VmInput *input, const VmInputHandlerOps *ops, void *opaque, VmConsole *console);
void vm_input_unregister (VmInputHandler *handler);
/* The newest activated handler of a kind gets its events (an absolute tablet takes over when its driver starts). */
void vm_input_activate (VmInputHandler *handler);
/* What is typed and clicked at CONSOLE is for its own handlers alone, also while the machine is stopped: text consoles. */
void vm_input_set_apart (VmInput *input, VmConsole *console, bool apart);
void vm_input_set_leds (VmInput *input, uint32_t leds); /* the keyboard device was told by the guest */

/* --- viewers' side (any thread) -------------------------------------------------------------------- */

VmInput *vm_input_new (VmLoop *loop);
void     vm_input_free (VmInput *input);
/* Each call is one event group; keys are tracked so that vm_input_release_all() lifts what is down. Events are
 * dropped while the machine is stopped (vm_input_set_enabled). */
void vm_input_key (VmInput *input, VmConsole *console, uint16_t key, bool down);
void vm_input_button (VmInput *input, VmConsole *console, VmButton button, bool down);
void vm_input_motion (VmInput *input, VmConsole *console, int dx, int dy);
void vm_input_position (VmInput *input, VmConsole *console, int x, int y, int width, int height);
/* A finger: FIRST when it comes, LAST when it goes (then its place does not matter). */
void vm_input_touch (VmInput *input, VmConsole *console, unsigned slot, bool first, bool last, int x, int y, int width,
                     int height);
void vm_input_events (VmInput *input, VmConsole *console, const VmInputEvent *events, unsigned n);
void vm_input_release_all (VmInput *input);
bool vm_input_is_absolute (VmInput *input, VmConsole *console); /* does the pointer go by position now? */
bool vm_input_has_touch (VmInput *input);                       /* is there a device that fingers go to? */
uint32_t vm_input_leds (VmInput *input);
void vm_input_set_enabled (VmInput *input, bool enabled);
/* FUNC on the engine loop when absolute/relative or LEDs change; it must only post. NULL opaque tag removes. */
typedef void (*VmInputChanged) (void *opaque);
void vm_input_watch (VmInput *input, VmInputChanged func, void *opaque);
void vm_input_unwatch (VmInput *input, VmInputChanged func, void *opaque);

/* Pointing devices, the active one first. Engine loop only. */
unsigned    vm_input_n_pointers (VmInput *input);
const char *vm_input_pointer (VmInput *input, unsigned n, bool *current, bool *absolute); /* NULL past the end */
bool        vm_input_select_pointer (VmInput *input, unsigned n);

/* Names of QMP: "a", "ret", "ctrl", "f1", "kp_enter" <-> evdev codes. -1 / NULL: unknown. */
int         vm_key_from_name (const char *name);
const char *vm_key_name (uint16_t key);
/* PS/2 set-1 number (E0 codes have bit 7 set, as the "send-key" number form uses) <-> evdev. 0: none. */
uint16_t    vm_key_from_number (unsigned number);
unsigned    vm_key_to_number (uint16_t key);
/* PS/2 bytes of a key for scan code set 1, 2 or 3; returns the count (at most 8). */
unsigned    vm_key_to_ps2 (uint16_t key, bool down, unsigned set, uint8_t out[8]);
/* Sequence for "send-key": presses all, waits HOLD_MS, releases in reverse order. Engine loop. */
void        vm_input_send_chord (VmInput *input, VmClocks *clocks, const uint16_t *keys, unsigned n, unsigned hold_ms);
