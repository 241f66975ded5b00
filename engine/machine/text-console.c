/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text consoles for viewers that have no terminal of their own: what a back end said goes through ours to a console's
 * surface and cells, keys go back. Where a viewer's terminal shows the same text, that one answers the guest's
 * questions. */
#include "engine/base/log.h"
#include "engine/display/terminal.h"
#include "engine/input/input.h"
#include "engine/input/layout.h"
#include "engine/machine/machine-private.h"

#include <linux/input-event-codes.h>

/* Where nobody said how big. */
#define COLUMNS 80
#define ROWS 24

#define SLICE_MAX 4096      /* bytes at a time, so that others get their turn ... */
#define SLICE_CELLS 8000000 /* ... also where every few bytes change a whole big screen */
#define LATE_SLICES 16      /* at a refresh, of what other terminals have shown already */

struct VmTextConsole
{
  int refs;
  VmMachine *m; /* NULL: it is gone, but something of it is on its way */
  VmText *text;
  VmTerminal *terminal;
  VmConsole *console;
  VmInputHandler *handler;
  VmLayout *layout; /* made when the first key comes */
  bool layout_tried;
  uint64_t position; /* in the text */
  bool posted;
  VmCells *drawn;
  uint64_t drawn_serial;
  bool shift[2], ctrl[2], alt, altgr, caps; /* held */
};

static void
text_console_unref (VmTextConsole *self)
{
  if (--self->refs)
    return;
  vm_terminal_free (self->terminal);
  vm_text_unref (self->text);
  vm_layout_free (self->layout);
  vm_cells_unref (self->drawn);
  g_free (self);
}

/* --- what was said ------------------------------------------------------------------------------------------------ */

static bool
text_console_feed (VmTextConsole *self)
{
  unsigned columns, rows;
  uint8_t bytes[SLICE_MAX];
  bool lost;

  vm_terminal_size (self->terminal, &columns, &rows);
  size_t slice = CLAMP (SLICE_CELLS / (columns * rows), 64, sizeof bytes);
  size_t n = vm_text_read (self->text, &self->position, bytes, slice, &lost);
  if (lost)
    vm_terminal_lost (self->terminal);
  vm_terminal_feed (self->terminal, bytes, n);
  return n == slice;
}

static void text_console_said (VmText *text, void *opaque);

static void
text_console_listen (void *opaque)
{
  VmTextConsole *self = opaque;

  self->posted = false;
  /* Another terminal shows it, and answers: ours reads when somebody looks. */
  if (self->m && vm_text_watches (self->text) == 1 && text_console_feed (self))
    text_console_said (self->text, self);
  text_console_unref (self);
}

static void
text_console_said (VmText *text, void *opaque)
{
  VmTextConsole *self = opaque;

  if (self->posted)
    return;
  self->posted = true;
  self->refs++;
  vm_loop_post (self->m->env.loop, text_console_listen, self);
}

static void
text_console_answer (void *opaque, const uint8_t *bytes, size_t len)
{
  VmTextConsole *self = opaque;

  if (vm_text_watches (self->text) == 1)
    vm_text_write (self->text, bytes, len);
}

/* --- the picture -------------------------------------------------------------------------------------------------- */

static void
text_console_refresh (void *opaque)
{
  VmTextConsole *self = opaque;
  VmSurface *surface = vm_console_surface (self->console);
  unsigned columns, rows;

  for (unsigned i = 0; i < LATE_SLICES && text_console_feed (self); i++)
    ;
  if (surface && self->drawn && self->drawn_serial == vm_terminal_serial (self->terminal))
    return;
  if (!surface)
    {
      vm_terminal_size (self->terminal, &columns, &rows);
      surface = vm_surface_new ((int) columns * VM_FONT_WIDTH, (int) rows * VM_FONT_HEIGHT);
      if (!surface)
        return;
      vm_console_set_surface (self->console, surface);
      g_clear_pointer (&self->drawn, vm_cells_unref);
    }
  VmCells *cells = vm_terminal_cells (self->terminal);
  vm_cells_draw (cells, self->drawn, self->console, surface);
  vm_cells_unref (self->drawn);
  self->drawn = cells;
  self->drawn_serial = vm_terminal_serial (self->terminal);
  vm_console_set_cells (self->console, vm_cells_ref (cells));
}

static void
text_console_invalidate (void *opaque)
{
  VmTextConsole *self = opaque;

  g_clear_pointer (&self->drawn, vm_cells_unref);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* Lines to scroll back for a key, which is then not sent; 0: it does not scroll. */
static int
scrolls (VmTextConsole *self, uint32_t keysym, unsigned modifiers)
{
  unsigned columns, rows;

  vm_terminal_size (self->terminal, &columns, &rows);
  if (modifiers == VM_TYPE_CTRL)
    switch (keysym)
      {
      case 0xff52: /* up, down, page up, page down */
        return 1;
      case 0xff54:
        return -1;
      case 0xff55:
        return 10;
      case 0xff56:
        return -10;
      default:
        return 0;
      }
  if (modifiers == VM_TYPE_SHIFT && (keysym == 0xff55 || keysym == 0xff56))
    return keysym == 0xff55 ? (int) rows / 2 : -(int) (rows / 2);
  return 0;
}

static void
text_console_type (void *opaque, uint32_t keysym, unsigned modifiers)
{
  VmTextConsole *self = opaque;
  int lines = scrolls (self, keysym, modifiers);
  uint8_t bytes[VM_TERMINAL_KEY_MAX];

  if (lines)
    {
      vm_terminal_scroll (self->terminal, lines);
      return;
    }
  size_t n = vm_terminal_key (self->terminal, keysym, modifiers, bytes);
  if (!n)
    return;
  vm_terminal_scroll (self->terminal, INT_MIN);
  vm_text_write (self->text, bytes, n);
}

/* A viewer without symbols: the layout of -k makes them. */
static void
text_console_key (VmTextConsole *self, uint16_t key, bool down)
{
  switch (key)
    {
    case KEY_LEFTSHIFT:
    case KEY_RIGHTSHIFT:
      self->shift[key == KEY_RIGHTSHIFT] = down;
      return;
    case KEY_LEFTCTRL:
    case KEY_RIGHTCTRL:
      self->ctrl[key == KEY_RIGHTCTRL] = down;
      return;
    case KEY_LEFTALT:
      self->alt = down;
      return;
    case KEY_RIGHTALT:
      self->altgr = down;
      return;
    case KEY_CAPSLOCK:
      self->caps ^= down;
      return;
    default:
      break;
    }
  if (!down)
    return;
  if (!self->layout && !self->layout_tried)
    {
      g_autoptr (GError) error = NULL;
      self->layout_tried = true;
      self->layout = vm_layout_new (self->m->settings->keyboard_layout, &error);
      if (!self->layout)
        vm_report_warning ("text consoles: %s", error->message);
    }
  if (!self->layout)
    return;
  bool shift = self->shift[0] || self->shift[1], ctrl = self->ctrl[0] || self->ctrl[1];
  bool pad = key >= KEY_KP7 && key <= KEY_KPDOT && key != KEY_KPMINUS && key != KEY_KPPLUS;
  uint32_t keysym
      = vm_layout_symbol (self->layout, key, (shift || pad ? VM_LEVEL_SHIFT : 0) | (self->altgr ? VM_LEVEL_ALTGR : 0));
  uint32_t c = keysym < 0x100 ? keysym : 0;
  if (self->caps && g_unichar_isalpha (c))
    keysym = shift ? g_unichar_tolower (c) : g_unichar_toupper (c);
  text_console_type (self, keysym,
                     (shift ? VM_TYPE_SHIFT : 0) | (ctrl ? VM_TYPE_CTRL : 0) | (self->alt ? VM_TYPE_ALT : 0));
}

static void
text_console_event (void *opaque, const VmInputEvent *event)
{
  VmTextConsole *self = opaque;

  if (event->kind == VM_INPUT_KEY)
    text_console_key (self, event->code, event->down);
  else if (event->down && (event->code == VM_BUTTON_WHEEL_UP || event->code == VM_BUTTON_WHEEL_DOWN))
    vm_terminal_scroll (self->terminal, event->code == VM_BUTTON_WHEEL_UP ? 3 : -3);
}

/* --- coming and going --------------------------------------------------------------------------------------------- */

VmTextConsole *
vm_text_console_new (VmMachine *m, VmText *text)
{
  static const VmConsoleOps ops = {
    .refresh = text_console_refresh,
    .invalidate = text_console_invalidate,
    .type = text_console_type,
  };
  static const VmInputHandlerOps input_ops = {
    .name = "text console",
    .kinds = 1 << VM_INPUT_KEY | 1 << VM_INPUT_BUTTON,
    .event = text_console_event,
  };
  VmTextConsole *self = g_new0 (VmTextConsole, 1);
  unsigned columns, rows;

  vm_text_size (text, &columns, &rows);
  self->refs = 1;
  self->m = m;
  self->text = vm_text_ref (text);
  self->terminal = vm_terminal_new (columns ? columns : COLUMNS, rows ? rows : ROWS, text_console_answer, self);
  self->console = vm_console_new_text (m->env.display, vm_text_id (text), &ops, self);
  vm_input_set_apart (m->env.input, self->console, true);
  self->handler = vm_input_register (m->env.input, &input_ops, self, self->console);
  vm_text_watch (text, text_console_said, self);
  text_console_said (text, self); /* something may have been said before */
  return self;
}

void
vm_text_console_free (VmTextConsole *self)
{
  vm_text_unwatch (self->text, text_console_said, self);
  vm_input_unregister (self->handler);
  vm_input_set_apart (self->m->env.input, self->console, false);
  vm_console_free (g_steal_pointer (&self->console));
  self->m = NULL;
  text_console_unref (self);
}

VmText *
vm_text_console_text (const VmTextConsole *self)
{
  return self->text;
}
