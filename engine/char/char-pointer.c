/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pointing devices on serial lines: the Microsoft mouse (with the middle button of Logitech) and the Wacom PenPartner
 * tablet (protocol IV, as the Linux driver wacom_serial4 speaks it). */
#include "engine/char/char-private.h"

#include <stdio.h>

#define QUEUE 256

typedef struct PointerChar
{
  VmChardev parent;
  uint8_t queue[QUEUE];
  unsigned n;
  unsigned modem, buttons;
  bool flushing;
  void *source; /* who feeds it, as pointer_added() has it */
  /* wctablet */
  char command[16];
  unsigned command_len;
  bool stopped;
} PointerChar;

/* --- to the front end ---------------------------------------------------------------------------- */

static void
pointer_flush (void *opaque)
{
  PointerChar *s = opaque;
  VmChardev *chr = &s->parent;

  s->flushing = false;
  for (size_t n; s->n && (n = MIN (vm_chardev_can_receive (chr), s->n)) > 0;)
    {
      uint8_t bytes[QUEUE];

      memcpy (bytes, s->queue, n);
      s->n -= n;
      memmove (s->queue, s->queue + n, s->n);
      vm_chardev_receive (chr, bytes, n);
    }
  vm_object_unref (&chr->parent);
}

static void
pointer_accept_input (VmChardev *chr)
{
  PointerChar *s = (PointerChar *) chr;

  if (s->flushing || !s->n)
    return;
  s->flushing = true;
  vm_object_ref (&chr->parent);
  vm_loop_post (chr->env->loop, pointer_flush, s);
}

static void
pointer_send (PointerChar *s, const void *bytes, unsigned len)
{
  if (len > QUEUE - s->n)
    return; /* nobody reads: the oldest movements count */
  memcpy (s->queue + s->n, bytes, len);
  s->n += len;
  pointer_accept_input (&s->parent);
}

static bool
pointer_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  bool absolute = chr->parent.type == &vm_chardev_wctablet_type;

  chr->open = true;
  vm_chardev_set_filename (chr, "%s", vm_chardev_class (chr)->backend);
  if (chr->env->pointer_added)
    ((PointerChar *) chr)->source = chr->env->pointer_added (chr->env->opaque, chr, absolute);
  return true;
}

static void
pointer_close (VmChardev *chr)
{
  PointerChar *s = (PointerChar *) chr;

  if (s->source)
    chr->env->pointer_gone (chr->env->opaque, g_steal_pointer (&s->source));
}

/* --- msmouse: three bytes of 7 bits a movement, a fourth for the middle button --------------------- */

static void
mouse_move (PointerChar *s, int dx, int dy, unsigned buttons)
{
  unsigned old = s->buttons;
  uint8_t bytes[4];

  s->buttons = buttons;
  if ((s->modem & (VM_CHAR_DTR | VM_CHAR_RTS)) != (VM_CHAR_DTR | VM_CHAR_RTS))
    return; /* no power */
  dx = CLAMP (dx, -128, 127);
  dy = CLAMP (dy, -128, 127);
  bytes[0] = 0x40 | (buttons & 1) << 5 | (buttons & 2) << 3 | (dy & 0xc0) >> 4 | (dx & 0xc0) >> 6;
  bytes[1] = dx & 0x3f;
  bytes[2] = dy & 0x3f;
  bytes[3] = (buttons & 4) << 3;
  pointer_send (s, bytes, (old ^ buttons) & 4 || buttons & 4 ? 4 : 3);
}

/* The mouse lives on the two lines; when both have come up it says its name. */
static bool
mouse_set_modem (VmChardev *chr, unsigned lines)
{
  PointerChar *s = (PointerChar *) chr;
  const unsigned power = VM_CHAR_DTR | VM_CHAR_RTS;
  bool was = (s->modem & power) == power;

  s->modem = lines;
  if ((lines & power) != power)
    s->n = 0;
  else if (!was)
    pointer_send (s, "M", 1);
  return true;
}

static bool
mouse_get_modem (VmChardev *chr, unsigned *lines)
{
  *lines = (((PointerChar *) chr)->modem & (VM_CHAR_DTR | VM_CHAR_RTS)) | VM_CHAR_CTS | VM_CHAR_DSR;
  return true;
}

static const VmChardevClass msmouse_class = {
  .backend = "msmouse",
  .open = pointer_open,
  .close = pointer_close,
  .accept_input = pointer_accept_input,
  .set_modem = mouse_set_modem,
  .get_modem = mouse_get_modem,
};

const VmType vm_chardev_msmouse_type = {
  .name = "chardev-msmouse",
  .parent = &vm_chardev_type,
  .size = sizeof (PointerChar),
  .help = "a Microsoft serial mouse",
  .klass = &msmouse_class,
};

/* --- wctablet: commands end with a carriage return, a movement has seven bytes -------------------- */

#define TABLET_WIDTH 5040
#define TABLET_HEIGHT 3779

enum
{
  TABLET_SYNC = 0x80,
  TABLET_NEAR = 0x40,
  TABLET_PEN = 0x20,
  TABLET_BUTTON = 0x08
};

static void
tablet_move (PointerChar *s, int x, int y, unsigned buttons)
{
  unsigned tx = CLAMP (x, 0, VM_CHAR_POINTER_MAX) * TABLET_WIDTH / VM_CHAR_POINTER_MAX;
  unsigned ty = CLAMP (y, 0, VM_CHAR_POINTER_MAX) * TABLET_HEIGHT / VM_CHAR_POINTER_MAX;
  bool touch = buttons & 1;
  const uint8_t bytes[7] = {
    TABLET_SYNC | TABLET_NEAR | TABLET_PEN | (buttons ? TABLET_BUTTON : 0) | (tx >> 14 & 3),
    tx >> 7 & 0x7f,
    tx & 0x7f,
    (touch ? 0x08 : 0) | (buttons & 2 ? 0x10 : 0) | (buttons & 4 ? 0x20 : 0) | (ty >> 14 & 3),
    ty >> 7 & 0x7f,
    ty & 0x7f,
    touch ? 0x3f : 0x40, /* pressure, in two's complement of seven bits */
  };

  if (!s->stopped)
    pointer_send (s, bytes, sizeof bytes);
}

static void
tablet_command (PointerChar *s, const char *command)
{
  char text[32];

  if (!strcmp (command, "~#")) /* model and version */
    pointer_send (s, "~#CT-0045R,V1.3-5,\r", 19);
  else if (!strcmp (command, "~C"))
    pointer_send (s, text, snprintf (text, sizeof text, "~C%05d,%05d\r", TABLET_WIDTH, TABLET_HEIGHT));
  else if (!strcmp (command, "~R")) /* settings, and points an inch */
    pointer_send (s, "~RE202C900,000,02,1270,1270\r", 28);
  else if (!strcmp (command, "SP"))
    s->stopped = true;
  else if (!strcmp (command, "ST") || !strcmp (command, "#") || !strcmp (command, "RE"))
    s->stopped = false;
}

/* "~" begins a command, wherever it comes; what is too long is none. */
static size_t
tablet_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  PointerChar *s = (PointerChar *) chr;

  for (size_t i = 0; i < len; i++)
    {
      bool end = buf[i] == '\r' || buf[i] == '\n';

      if (buf[i] == '~')
        s->command_len = 0;
      if (!end && s->command_len < sizeof s->command - 1)
        s->command[s->command_len++] = buf[i];
      s->command[s->command_len] = 0;
      /* The question for the model needs no return. */
      if (!end && strcmp (s->command, "~#") != 0)
        continue;
      tablet_command (s, s->command);
      s->command_len = 0;
    }
  return len;
}

static const VmChardevClass wctablet_class = {
  .backend = "wctablet",
  .open = pointer_open,
  .close = pointer_close,
  .write = tablet_write,
  .accept_input = pointer_accept_input,
};

const VmType vm_chardev_wctablet_type = {
  .name = "chardev-wctablet",
  .parent = &vm_chardev_type,
  .size = sizeof (PointerChar),
  .help = "a Wacom serial tablet",
  .klass = &wctablet_class,
};

void
vm_chardev_pointer (VmChardev *chr, int x, int y, unsigned buttons)
{
  PointerChar *s = (PointerChar *) chr;

  if (chr->parent.type == &vm_chardev_msmouse_type)
    mouse_move (s, x, y, buttons);
  else if (chr->parent.type == &vm_chardev_wctablet_type)
    tablet_move (s, x, y, buttons);
}
