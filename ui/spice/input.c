/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hands of the clients: scan codes, a mouse, and a tablet while the guest takes positions. */
#include "ui/spice/server-private.h"

#include <linux/input-event-codes.h>

/* Buttons as the library hands them over: the order of a PS/2 mouse. */
static const struct
{
  uint32_t mask;
  VmButton button;
} buttons_of[] = {
  { 1 << 0, VM_BUTTON_LEFT },     { 1 << 1, VM_BUTTON_RIGHT },      { 1 << 2, VM_BUTTON_MIDDLE },
  { 1 << 4, VM_BUTTON_WHEEL_UP }, { 1 << 5, VM_BUTTON_WHEEL_DOWN }, { 1 << 6, VM_BUTTON_SIDE },
  { 1 << 7, VM_BUTTON_EXTRA },
};
#define WHEEL_MAX 16 /* steps of one message */

static VmInput *
input_of (const SpiceHere *here)
{
  return here->spice->machine->env.input;
}

/* Where it points. The library has no more than one pointer for all screens. */
static VmConsole *
console_of (const SpiceHere *here)
{
  return here->screens->len ? spice_screen_console (g_ptr_array_index (here->screens, 0)) : NULL;
}

static void
hurry (SpiceHere *here)
{
  for (guint i = 0; i < here->screens->len; i++)
    spice_screen_hurry (g_ptr_array_index (here->screens, i));
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

/* Bytes of scan code set 1. */
static void
push_scan (SpiceKbdInstance *sin, uint8_t byte)
{
  SpiceHere *here = VM_CONTAINER_OF (sin, SpiceHere, keyboard);
  VmInput *input = input_of (here);

  hurry (here);
  if (here->scan_skip)
    { /* E1 1D 45, E1 9D C5: Pause, whose bytes mean something else alone */
      if (--here->scan_skip == 0)
        vm_input_key (input, console_of (here), KEY_PAUSE, !(byte & 0x80));
      return;
    }
  if (byte == 0xe0 || byte == 0xe1)
    {
      here->scan_prefix = byte == 0xe0 ? 0x80 : 0;
      here->scan_skip = byte == 0xe1 ? 2 : 0;
      return;
    }
  uint16_t key = vm_key_from_number ((byte & 0x7f) | here->scan_prefix);
  here->scan_prefix = 0;
  if (key)
    vm_input_key (input, console_of (here), key, !(byte & 0x80));
}

static uint8_t
leds_of (VmInput *input)
{
  return (uint8_t) vm_input_leds (input); /* the bits are the protocol's */
}

static uint8_t
get_leds (SpiceKbdInstance *sin)
{
  return leds_of (input_of (VM_CONTAINER_OF (sin, SpiceHere, keyboard)));
}

void
spice_leds_changed (VmSpice *spice)
{
  SpiceHere *here = spice->server;

  spice_server_kbd_leds (&here->keyboard, leds_of (input_of (here)));
}

static const SpiceKbdInterface keyboard_interface = {
  .base = { .type = SPICE_INTERFACE_KEYBOARD,
            .description = "keyboard",
            .major_version = SPICE_INTERFACE_KEYBOARD_MAJOR,
            .minor_version = SPICE_INTERFACE_KEYBOARD_MINOR },
  .push_scan_freg = push_scan,
  .get_leds = get_leds,
};

/* --- the pointer ------------------------------------------------------------------------------------------------- */

static void
set_buttons (SpiceHere *here, uint32_t buttons, int wheel)
{
  VmInputEvent events[G_N_ELEMENTS (buttons_of)];
  uint32_t changed = buttons ^ here->buttons;
  unsigned n = 0;

  for (unsigned i = 0; i < G_N_ELEMENTS (buttons_of); i++)
    if (changed & buttons_of[i].mask)
      events[n++] = (VmInputEvent){ .kind = VM_INPUT_BUTTON,
                                    .code = buttons_of[i].button,
                                    .down = (buttons & buttons_of[i].mask) != 0 };
  here->buttons = buttons;
  if (n)
    vm_input_events (input_of (here), console_of (here), events, n);
  for (int i = 0; i < MIN (ABS (wheel), WHEEL_MAX); i++)
    {
      VmButton button = wheel < 0 ? VM_BUTTON_WHEEL_UP : VM_BUTTON_WHEEL_DOWN;
      vm_input_button (input_of (here), console_of (here), button, true);
      vm_input_button (input_of (here), console_of (here), button, false);
    }
}

static void
mouse_motion (SpiceMouseInstance *sin, int dx, int dy, int dz, uint32_t buttons)
{
  SpiceHere *here = VM_CONTAINER_OF (sin, SpiceHere, mouse);

  hurry (here);
  if (dx || dy)
    vm_input_motion (input_of (here), console_of (here), dx, dy);
  set_buttons (here, buttons, dz);
}

static void
mouse_buttons (SpiceMouseInstance *sin, uint32_t buttons)
{
  SpiceHere *here = VM_CONTAINER_OF (sin, SpiceHere, mouse);

  hurry (here);
  set_buttons (here, buttons, 0);
}

static const SpiceMouseInterface mouse_interface = {
  .base = { .type = SPICE_INTERFACE_MOUSE,
            .description = "mouse",
            .major_version = SPICE_INTERFACE_MOUSE_MAJOR,
            .minor_version = SPICE_INTERFACE_MOUSE_MINOR },
  .motion = mouse_motion,
  .buttons = mouse_buttons,
};

static void
tablet_set_size (SpiceTabletInstance *sin, int width, int height)
{
  SpiceHere *here = VM_CONTAINER_OF (sin, SpiceHere, tablet);

  here->tablet_width = width;
  here->tablet_height = height;
}

static void
tablet_position (SpiceTabletInstance *sin, int x, int y, uint32_t buttons)
{
  SpiceHere *here = VM_CONTAINER_OF (sin, SpiceHere, tablet);

  hurry (here);
  if (here->tablet_width > 0 && here->tablet_height > 0)
    vm_input_position (input_of (here), console_of (here), CLAMP (x, 0, here->tablet_width - 1),
                       CLAMP (y, 0, here->tablet_height - 1), here->tablet_width, here->tablet_height);
  set_buttons (here, buttons, 0);
}

static void
tablet_wheel (SpiceTabletInstance *sin, int wheel, uint32_t buttons)
{
  set_buttons (VM_CONTAINER_OF (sin, SpiceHere, tablet), buttons, wheel);
}

static void
tablet_buttons (SpiceTabletInstance *sin, uint32_t buttons)
{
  SpiceHere *here = VM_CONTAINER_OF (sin, SpiceHere, tablet);

  hurry (here);
  set_buttons (here, buttons, 0);
}

static const SpiceTabletInterface tablet_interface = {
  .base = { .type = SPICE_INTERFACE_TABLET,
            .description = "tablet",
            .major_version = SPICE_INTERFACE_TABLET_MAJOR,
            .minor_version = SPICE_INTERFACE_TABLET_MINOR },
  .set_logical_size = tablet_set_size,
  .position = tablet_position,
  .wheel = tablet_wheel,
  .buttons = tablet_buttons,
};

void
spice_pointer_changed (VmSpice *spice)
{
  SpiceHere *here = spice->server;
  bool absolute = vm_input_is_absolute (input_of (here), console_of (here));

  if (absolute == here->tablet_there)
    return;
  here->tablet_there = absolute;
  if (absolute)
    spice_server_add_interface (here->server, &here->tablet.base);
  else
    spice_server_remove_interface (&here->tablet.base);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

bool
spice_input_start (SpiceHere *here, GError **error)
{
  here->keyboard.base.sif = &keyboard_interface.base;
  here->mouse.base.sif = &mouse_interface.base;
  here->tablet.base.sif = &tablet_interface.base;
  if (spice_server_add_interface (here->server, &here->keyboard.base) != 0
      || spice_server_add_interface (here->server, &here->mouse.base) != 0)
    return vm_fail (error, "spice: the library takes no keyboard and mouse");
  spice_pointer_changed (here->spice);
  return true;
}

void
spice_input_stop (SpiceHere *here)
{
  if (here->tablet_there)
    spice_server_remove_interface (&here->tablet.base);
  here->tablet_there = false;
}
