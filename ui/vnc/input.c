/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client's hands: keys by code or by symbol, the pointer. */
#include "ui/vnc/vnc-private.h"

#include <linux/input-event-codes.h>

enum
{ /* what of it is held, left and right apart so that one may come up alone */
  LEFT_SHIFT = 1 << 0,
  RIGHT_SHIFT = 1 << 1,
  ALTGR = 1 << 2,
  LEFT_CTRL = 1 << 3,
  RIGHT_CTRL = 1 << 4,
  LEFT_ALT = 1 << 5,
};

static VmInput *
input_of (const VncClient *c)
{
  return c->server->vnc->machine->env.input;
}

static unsigned
modifier_of (uint16_t key)
{
  switch (key)
    {
    case KEY_LEFTSHIFT:
      return LEFT_SHIFT;
    case KEY_RIGHTSHIFT:
      return RIGHT_SHIFT;
    case KEY_RIGHTALT:
      return ALTGR;
    case KEY_LEFTCTRL:
      return LEFT_CTRL;
    case KEY_RIGHTCTRL:
      return RIGHT_CTRL;
    case KEY_LEFTALT:
      return LEFT_ALT;
    default:
      return 0;
    }
}

static void
press (VncClient *c, uint16_t key, bool down)
{
  unsigned number = vm_key_to_number (key), modifier = modifier_of (key);

  c->modifiers = down ? c->modifiers | modifier : c->modifiers & ~modifier;
  if (number < G_N_ELEMENTS (c->down))
    {
      if (!down && !c->down[number])
        return; /* of before it came, or taken by us */
      c->down[number] = down;
    }
  vnc_server_key (c->server, key, down);
}

static void
tap (VncClient *c, uint16_t key)
{
  vnc_server_key (c->server, key, true);
  vnc_server_key (c->server, key, false);
}

void
vnc_client_clear_keys (VncClient *c)
{
  for (unsigned number = 0; number < G_N_ELEMENTS (c->down); number++)
    if (c->down[number])
      {
        c->down[number] = false;
        vnc_server_key (c->server, vm_key_from_number (number), false);
      }
  c->modifiers = 0;
  if (c->screen && c->buttons)
    vnc_client_pointer (c, 0, c->last_x, c->last_y);
}

/* --- lock keys -------------------------------------------------------------------------------------------------- */

/* What is typed shows whether Caps Lock and Num Lock are on at the client. */
static void
sync_locks (VncClient *c, uint32_t keysym)
{
  uint32_t leds = vm_input_leds (input_of (c));
  bool shift = c->modifiers & (LEFT_SHIFT | RIGHT_SHIFT);

  if (!c->server->options.lock_key_sync || (c->features & VNC_HAS_LEDS)
      || (c->modifiers & (LEFT_CTRL | RIGHT_CTRL | LEFT_ALT)))
    return;
  bool upper = keysym >= 'A' && keysym <= 'Z', lower = keysym >= 'a' && keysym <= 'z';
  if ((upper || lower) && (upper != shift) != ((leds & VM_LED_CAPS) != 0))
    tap (c, KEY_CAPSLOCK);
  bool digits = keysym >= 0xffaa && keysym <= 0xffb9, motion = keysym >= 0xff95 && keysym <= 0xff9f;
  if (digits && (keysym == 0xffae || keysym >= 0xffb0) && !(leds & VM_LED_NUM))
    tap (c, KEY_NUMLOCK);
  else if (motion && keysym != 0xff9d && (leds & VM_LED_NUM))
    tap (c, KEY_NUMLOCK);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* Ctrl+Alt+1 to 9 go from console to console, where the server is not bound to one. */
static bool
switches_console (VncClient *c, uint16_t key)
{
  VmDisplay *display = c->server->vnc->machine->env.display;

  if (c->server->console || !(c->modifiers & (LEFT_CTRL | RIGHT_CTRL)) || !(c->modifiers & LEFT_ALT) || key < KEY_1
      || key > KEY_9)
    return false;
  VmConsole *console = vm_display_ref_console (display, key - KEY_1);
  if (!console)
    return true;
  unsigned held = c->modifiers;
  vnc_client_clear_keys (c); /* the guest does not learn what they were for */
  c->modifiers = held;
  if (console != c->screen->console)
    vnc_client_show (c, console);
  vm_console_unref (console);
  return true;
}

/* A symbol that needs other shifts than are held gets them for a moment. */
static void
press_symbol (VncClient *c, uint16_t key, bool down, unsigned needs, uint32_t keysym)
{
  bool shift = c->modifiers & (LEFT_SHIFT | RIGHT_SHIFT), altgr = c->modifiers & ALTGR;
  bool letter = (keysym >= 'A' && keysym <= 'Z') || (keysym >= 'a' && keysym <= 'z');
  bool by_caps = letter && c->server->options.lock_key_sync;
  bool fix_shift = down && needs != UINT_MAX && !by_caps && shift != !!(needs & VM_LEVEL_SHIFT);
  bool fix_altgr = down && needs != UINT_MAX && !altgr && (needs & VM_LEVEL_ALTGR);
  uint16_t which = c->modifiers & RIGHT_SHIFT ? KEY_RIGHTSHIFT : KEY_LEFTSHIFT;

  if (fix_shift)
    vnc_server_key (c->server, which, !shift);
  if (fix_altgr)
    vnc_server_key (c->server, KEY_RIGHTALT, true);
  press (c, key, down);
  if (fix_altgr)
    vnc_server_key (c->server, KEY_RIGHTALT, false);
  if (fix_shift)
    vnc_server_key (c->server, which, shift);
}

/* A text console takes symbols, and codes of viewers that have no symbols. */
static void
type (VncClient *c, uint16_t key, bool down, uint32_t keysym)
{
  VmConsole *console = c->screen->console;
  bool shift = c->modifiers & (LEFT_SHIFT | RIGHT_SHIFT), ctrl = c->modifiers & (LEFT_CTRL | RIGHT_CTRL);
  unsigned modifier = modifier_of (key);

  c->modifiers = down ? c->modifiers | modifier : c->modifiers & ~modifier;
  if (!keysym)
    vm_input_key (input_of (c), console, key, down);
  else if (down && !modifier)
    vm_console_type (console, keysym,
                     (shift ? VM_TYPE_SHIFT : 0) | (ctrl ? VM_TYPE_CTRL : 0)
                         | (c->modifiers & LEFT_ALT ? VM_TYPE_ALT : 0));
}

void
vnc_client_key (VncClient *c, bool down, uint32_t keysym, unsigned xt, bool has_xt)
{
  unsigned held
      = (c->modifiers & (LEFT_SHIFT | RIGHT_SHIFT) ? VM_LEVEL_SHIFT : 0) | (c->modifiers & ALTGR ? VM_LEVEL_ALTGR : 0);
  unsigned needs = UINT_MAX;
  uint16_t key = has_xt ? vm_key_from_number (xt) : 0;

  vnc_screen_hurry (c->screen);
  if (!key)
    key = vm_layout_find (c->server->keyboard, keysym, held, &needs);
  if (down && switches_console (c, key))
    return;
  if (c->screen->console && vm_console_is_text (c->screen->console))
    {
      type (c, key, down, keysym);
      return;
    }
  if (!key)
    return;
  if (down)
    sync_locks (c, keysym);
  press_symbol (c, key, down, needs, keysym);
}

/* --- the pointer ---------------------------------------------------------------------------------------------------
 */

static void
add_event (VmInputEvent *events, unsigned *n, VmInputKind kind, uint16_t code, int32_t value, bool down)
{
  events[(*n)++] = (VmInputEvent){ .kind = kind, .code = code, .value = value, .down = down };
}

static void
send_motion (VncClient *c, int x, int y)
{
  VmInput *input = input_of (c);
  VmConsole *console = c->screen->console;

  if (vm_input_is_absolute (input, console))
    {
      if (!c->has_last || x != c->last_x || y != c->last_y)
        vm_input_position (input, console, x, y, c->screen->width, c->screen->height);
    }
  else if (c->features & VNC_HAS_POINTER_MODE)
    { /* told so, the client sends how far it went */
      if (x != 0x7fff || y != 0x7fff)
        vm_input_motion (input, console, x - 0x7fff, y - 0x7fff);
    }
  else if (c->has_last && (x != c->last_x || y != c->last_y))
    vm_input_motion (input, console, x - c->last_x, y - c->last_y);
  c->last_x = x;
  c->last_y = y;
  c->has_last = true;
}

void
vnc_client_pointer (VncClient *c, unsigned buttons, int x, int y)
{
  static const VmButton order[]
      = { VM_BUTTON_LEFT,       VM_BUTTON_MIDDLE,      VM_BUTTON_RIGHT, VM_BUTTON_WHEEL_UP, VM_BUTTON_WHEEL_DOWN,
          VM_BUTTON_WHEEL_LEFT, VM_BUTTON_WHEEL_RIGHT, VM_BUTTON_SIDE,  VM_BUTTON_EXTRA };
  VmInputEvent events[G_N_ELEMENTS (order)];
  unsigned n = 0, changed = buttons ^ c->buttons;

  vnc_screen_hurry (c->screen);
  send_motion (c, x, y);
  for (unsigned i = 0; i < G_N_ELEMENTS (order); i++)
    if (changed & 1u << i)
      add_event (events, &n, VM_INPUT_BUTTON, order[i], 0, buttons & 1u << i);
  c->buttons = (uint16_t) buttons;
  if (n)
    vm_input_events (input_of (c), c->screen->console, events, n);
}
