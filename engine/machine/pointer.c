/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pointing devices on serial lines: from input events to the character back end that is the device. */
#include "engine/input/input.h"
#include "engine/machine/machine-private.h"

typedef struct Pointer
{
  VmChardev *chr;
  VmInputHandler *handler;
  bool absolute, moved;
  int x, y; /* absolute: where it is; else what has gathered since it was told */
  unsigned buttons;
} Pointer;

static void
pointer_event (void *opaque, const VmInputEvent *event)
{
  static const uint8_t bits[VM_BUTTON_N] = {
    [VM_BUTTON_LEFT] = 1,
    [VM_BUTTON_RIGHT] = 2,
    [VM_BUTTON_MIDDLE] = 4,
  };
  Pointer *p = opaque;
  int *axis = event->code == VM_AXIS_X ? &p->x : &p->y;

  if (event->kind == VM_INPUT_BUTTON && event->code < VM_BUTTON_N)
    p->buttons = event->down ? p->buttons | bits[event->code] : p->buttons & ~bits[event->code];
  else if (event->kind == VM_INPUT_ABS)
    *axis = event->value;
  else if (event->kind == VM_INPUT_REL)
    *axis = CLAMP (*axis + (int64_t) event->value, -1000, 1000);
  else
    return;
  p->moved = true;
}

static void
pointer_sync (void *opaque)
{
  Pointer *p = opaque;

  if (!p->moved)
    return;
  p->moved = false;
  vm_chardev_pointer (p->chr, p->x, p->y, p->buttons);
  if (!p->absolute)
    p->x = p->y = 0;
}

void *
vm_machine_pointer_added (void *machine, VmChardev *chr, bool absolute)
{
  static const VmInputHandlerOps mouse_ops = {
    .name = "Microsoft serial mouse",
    .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_REL,
    .event = pointer_event,
    .sync = pointer_sync,
  };
  static const VmInputHandlerOps tablet_ops = {
    .name = "Wacom PenPartner tablet",
    .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_ABS,
    .event = pointer_event,
    .sync = pointer_sync,
  };
  VmMachine *m = machine;
  Pointer *p = g_new0 (Pointer, 1);

  p->chr = chr;
  p->absolute = absolute;
  p->handler = vm_input_register (m->env.input, absolute ? &tablet_ops : &mouse_ops, p, NULL);
  vm_input_activate (p->handler);
  return p;
}

void
vm_machine_pointer_gone (void *machine, void *pointer)
{
  Pointer *p = pointer;

  vm_input_unregister (p->handler);
  g_free (p);
}
