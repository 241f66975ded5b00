/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What keys send, as xterm's do. */
#include "engine/display/terminal-private.h"

#include <stdio.h>
#include <string.h>

/* Symbols of the X protocol (X11/keysymdef.h). */
enum
{
  SYM_BACKSPACE = 0xff08,
  SYM_TAB = 0xff09,
  SYM_RETURN = 0xff0d,
  SYM_ESCAPE = 0xff1b,
  SYM_LEFT_TAB = 0xfe20,
  SYM_KP_ENTER = 0xff8d,
  SYM_KP_STAR = 0xffaa,
  SYM_KP_9 = 0xffb9,
  SYM_KP_EQUAL = 0xffbd,
};

/* Letters that end "ESC [" or "ESC O". */
static char
letter_of (uint32_t keysym)
{
  static const struct
  {
    uint16_t keysym, pad;
    char letter;
  } keys[] = {
    { 0xff50, 0xff95, 'H' }, { 0xff51, 0xff96, 'D' }, { 0xff52, 0xff97, 'A' }, { 0xff53, 0xff98, 'C' },
    { 0xff54, 0xff99, 'B' }, { 0xff57, 0xff9c, 'F' }, { 0xffbe, 0xff91, 'P' }, { 0xffbf, 0xff92, 'Q' },
    { 0xffc0, 0xff93, 'R' }, { 0xffc1, 0xff94, 'S' },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    if (keys[i].keysym == keysym || keys[i].pad == keysym)
      return keys[i].letter;
  return 0;
}

/* Numbers that stand before "~". */
static unsigned
number_of (uint32_t keysym)
{
  static const struct
  {
    uint16_t keysym, pad, number;
  } keys[] = {
    { 0xff63, 0xff9e, 2 },  { 0xffff, 0xff9f, 3 },  { 0xff55, 0xff9a, 5 },  { 0xff56, 0xff9b, 6 },
    { 0xffc2, 0xffc2, 15 }, { 0xffc3, 0xffc3, 17 }, { 0xffc4, 0xffc4, 18 }, { 0xffc5, 0xffc5, 19 },
    { 0xffc6, 0xffc6, 20 }, { 0xffc7, 0xffc7, 21 }, { 0xffc8, 0xffc8, 23 }, { 0xffc9, 0xffc9, 24 },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    if (keys[i].keysym == keysym || keys[i].pad == keysym)
      return keys[i].number;
  return 0;
}

static uint32_t
character_of (uint32_t keysym)
{
  switch (keysym)
    {
    case SYM_BACKSPACE:
      return 0x7f;
    case SYM_TAB:
      return '\t';
    case SYM_RETURN:
    case SYM_KP_ENTER:
      return '\r';
    case SYM_ESCAPE:
      return 0x1b;
    case SYM_KP_EQUAL:
      return '=';
    default:
      break;
    }
  if (keysym >= SYM_KP_STAR && keysym <= SYM_KP_9)
    return keysym - SYM_KP_STAR + '*';
  if (keysym >= 0x01000000 && keysym <= 0x0110ffff)
    return keysym - 0x01000000;
  if (keysym == 0x20ac) /* the euro sign has a symbol of its own that keyboards use */
    return 0x20ac;
  return (keysym >= 0x20 && keysym < 0x7f) || (keysym >= 0xa0 && keysym <= 0xff) ? keysym : 0;
}

/* Ctrl with a character; what has no control character stays. */
static uint32_t
with_ctrl (uint32_t c)
{
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 1;
  if (c >= '@' && c <= '_')
    return c - '@';
  if (c == ' ' || c == '2')
    return 0;
  if (c >= '3' && c <= '7')
    return c - '3' + 0x1b;
  if (c == '/' || c == '-')
    return 0x1f;
  if (c == '8')
    return 0x7f;
  return c == 0x7f ? '\b' : c;
}

size_t
vm_terminal_key (const VmTerminal *t, uint32_t keysym, unsigned modifiers, uint8_t out[VM_TERMINAL_KEY_MAX])
{
  char letter = letter_of (keysym), *to = (char *) out;
  unsigned number = number_of (keysym), held = 1;
  uint32_t c = character_of (keysym);
  size_t n = 0;

  held += !!(modifiers & VM_TYPE_SHIFT) + 2 * !!(modifiers & VM_TYPE_ALT) + 4 * !!(modifiers & VM_TYPE_CTRL);
  if (keysym == SYM_LEFT_TAB || (keysym == SYM_TAB && modifiers & VM_TYPE_SHIFT))
    return snprintf (to, VM_TERMINAL_KEY_MAX, "\033[Z");
  if (letter && held > 1)
    return snprintf (to, VM_TERMINAL_KEY_MAX, "\033[1;%u%c", held, letter);
  if (letter)
    return snprintf (to, VM_TERMINAL_KEY_MAX, "\033%c%c", t->cursor_keys || letter >= 'P' ? 'O' : '[', letter);
  if (number && held > 1)
    return snprintf (to, VM_TERMINAL_KEY_MAX, "\033[%u;%u~", number, held);
  if (number)
    return snprintf (to, VM_TERMINAL_KEY_MAX, "\033[%u~", number);
  if (!c)
    return 0;
  if (modifiers & VM_TYPE_CTRL)
    c = with_ctrl (c);
  if (modifiers & VM_TYPE_ALT)
    out[n++] = 0x1b;
  n += g_unichar_to_utf8 (c, to + n);
  if (c == '\r' && t->newline)
    out[n++] = '\n';
  return n;
}
