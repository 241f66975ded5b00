/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys of ncurses, and sequences that it does not know. */
#include "config.h"

#define NCURSES_WIDECHAR 1
#include "ui/curses/curses-keys.h"

#include <curses.h>
#include <glib.h>
#include <stdio.h>

#include "engine/display/display.h"

/* After the engine's headers: its macros have everyday names. */
#include <term.h>
#include <unistd.h>

enum
{
  SYM_BACKSPACE = 0xff08,
  SYM_TAB = 0xff09,
  SYM_RETURN = 0xff0d,
  SYM_ESCAPE = 0xff1b,
  SYM_F1 = 0xffbe,
};

static uint32_t
function_key (unsigned n, unsigned *modifiers)
{
  static const unsigned held[] = { 0, VM_TYPE_SHIFT, VM_TYPE_CTRL, VM_TYPE_CTRL | VM_TYPE_SHIFT, VM_TYPE_ALT };

  if (n < 1 || n > 12 * G_N_ELEMENTS (held))
    return 0;
  *modifiers = held[(n - 1) / 12];
  return SYM_F1 + (n - 1) % 12;
}

/* Keys with modifiers, as xterm and its kin send them: few descriptions of terminals have them. */
static const struct
{
  const char *sequence; /* with the number of the modifiers */
  uint16_t keysym;
} held_keys[] = {
  { "\033[1;%uA", 0xff52 }, { "\033[1;%uB", 0xff54 }, { "\033[1;%uC", 0xff53 }, { "\033[1;%uD", 0xff51 },
  { "\033[1;%uH", 0xff50 }, { "\033[1;%uF", 0xff57 }, { "\033[2;%u~", 0xff63 }, { "\033[3;%u~", 0xffff },
  { "\033[5;%u~", 0xff55 }, { "\033[6;%u~", 0xff56 },
};

#define HELD_KEY 0x1000 /* beyond ncurses' own codes; eight for each */

void
vm_curses_define_keys (void)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (held_keys); i++)
    for (unsigned held = 1; held < 8; held++)
      {
        char sequence[16];
        snprintf (sequence, sizeof sequence, held_keys[i].sequence, held + 1);
        define_key (sequence, (int) (HELD_KEY + i * 8 + held));
      }
}

static uint32_t
held_key (unsigned code, unsigned *modifiers)
{
  unsigned held = code % 8;

  if (code / 8 >= G_N_ELEMENTS (held_keys))
    return 0;
  *modifiers = (held & 1 ? VM_TYPE_SHIFT : 0) | (held & 2 ? VM_TYPE_ALT : 0) | (held & 4 ? VM_TYPE_CTRL : 0);
  return held_keys[code / 8].keysym;
}

static uint32_t
code_key (int code, unsigned *modifiers)
{
  static const struct
  {
    uint16_t code, keysym;
    uint8_t modifiers;
  } keys[] = {
    { KEY_UP, 0xff52, 0 },
    { KEY_DOWN, 0xff54, 0 },
    { KEY_LEFT, 0xff51, 0 },
    { KEY_RIGHT, 0xff53, 0 },
    { KEY_HOME, 0xff50, 0 },
    { KEY_END, 0xff57, 0 },
    { KEY_FIND, 0xff50, 0 },
    { KEY_SELECT, 0xff57, 0 },
    { KEY_PPAGE, 0xff55, 0 },
    { KEY_NPAGE, 0xff56, 0 },
    { KEY_IC, 0xff63, 0 },
    { KEY_DC, 0xffff, 0 },
    { KEY_BACKSPACE, SYM_BACKSPACE, 0 },
    { KEY_ENTER, SYM_RETURN, 0 },
    { KEY_BTAB, SYM_TAB, VM_TYPE_SHIFT },
    { KEY_SR, 0xff52, VM_TYPE_SHIFT },
    { KEY_SF, 0xff54, VM_TYPE_SHIFT },
    { KEY_SLEFT, 0xff51, VM_TYPE_SHIFT },
    { KEY_SRIGHT, 0xff53, VM_TYPE_SHIFT },
    { KEY_SHOME, 0xff50, VM_TYPE_SHIFT },
    { KEY_SEND, 0xff57, VM_TYPE_SHIFT },
    { KEY_SPREVIOUS, 0xff55, VM_TYPE_SHIFT },
    { KEY_SNEXT, 0xff56, VM_TYPE_SHIFT },
    { KEY_SIC, 0xff63, VM_TYPE_SHIFT },
    { KEY_SDC, 0xffff, VM_TYPE_SHIFT },
    { KEY_SUSPEND, 'z', VM_TYPE_CTRL },
  };

  if (code >= KEY_F (1) && code <= KEY_F (60))
    return function_key ((unsigned) (code - KEY_F0), modifiers);
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    if (keys[i].code == code)
      {
        *modifiers = keys[i].modifiers;
        return keys[i].keysym;
      }
  return code >= HELD_KEY ? held_key ((unsigned) (code - HELD_KEY), modifiers) : 0;
}

uint32_t
vm_curses_key (wint_t code, bool is_key, unsigned *modifiers)
{
  *modifiers = 0;
  if (is_key)
    return code_key ((int) code, modifiers);
  if (code == 0x7f || (code == (unsigned char) erasechar () && code < 0x20))
    return SYM_BACKSPACE;
  if (code == '\t')
    return SYM_TAB;
  if (code == '\r')
    return SYM_RETURN;
  if (code == 0x1b)
    return SYM_ESCAPE;
  if (code < 0x20)
    {
      *modifiers = VM_TYPE_CTRL;
      return code == 0 ? ' ' : code <= 26 ? code + 'a' - 1 : code + '@';
    }
  return code < 0x100 ? code : 0x01000000 + code;
}

bool
vm_curses_knows_terminal (void)
{
  int why;

  return setupterm (NULL, STDOUT_FILENO, &why) == OK;
}
