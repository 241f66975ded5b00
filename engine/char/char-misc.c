/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small back ends: the Microsoft serial mouse, the test device, the host's parallel port. */
#include "engine/char/char-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/parport.h>
#include <linux/ppdev.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- msmouse: three bytes of 7 bits a movement, a fourth for the middle button (Logitech) -------- */

#define MOUSE_QUEUE 64

typedef struct MouseChar {
  VmChardev parent;
  uint8_t   queue[MOUSE_QUEUE];
  unsigned  n;
  unsigned  modem, buttons;
  bool      flushing;
} MouseChar;

static void
mouse_flush (void *opaque)
{
  MouseChar *s = opaque;
  VmChardev *chr = &s->parent;

  s->flushing = false;
  for (size_t n; s->n && (n = MIN (vm_chardev_can_receive (chr), s->n)) > 0;)
    {
      uint8_t bytes[MOUSE_QUEUE];

      memcpy (bytes, s->queue, n);
      s->n -= n;
      memmove (s->queue, s->queue + n, s->n);
      vm_chardev_receive (chr, bytes, n);
    }
  vm_object_unref (&chr->parent);
}

static void
mouse_accept_input (VmChardev *chr)
{
  MouseChar *s = (MouseChar *) chr;

  if (s->flushing || !s->n)
    return;
  s->flushing = true;
  vm_object_ref (&chr->parent);
  vm_loop_post (chr->env->loop, mouse_flush, s);
}

static void
mouse_send (MouseChar *s, const uint8_t *bytes, unsigned len)
{
  if (len > MOUSE_QUEUE - s->n)
    return; /* nobody reads: the oldest movements count */
  memcpy (s->queue + s->n, bytes, len);
  s->n += len;
  mouse_accept_input (&s->parent);
}

void
vm_chardev_msmouse (VmChardev *chr, int dx, int dy, int wheel, unsigned buttons)
{
  MouseChar *s = (MouseChar *) chr;
  unsigned old = s->buttons;
  uint8_t bytes[4];

  g_assert (chr->parent.type == &vm_chardev_msmouse_type);
  s->buttons = buttons;
  if ((s->modem & (VM_CHAR_DTR | VM_CHAR_RTS)) != (VM_CHAR_DTR | VM_CHAR_RTS))
    return; /* no power */
  dx = CLAMP (dx, -128, 127);
  dy = CLAMP (dy, -128, 127);
  bytes[0] = 0x40 | (buttons & 1) << 5 | (buttons & 2) << 3 | (dy & 0xc0) >> 4 | (dx & 0xc0) >> 6;
  bytes[1] = dx & 0x3f;
  bytes[2] = dy & 0x3f;
  bytes[3] = (buttons & 4) << 3;
  mouse_send (s, bytes, (old ^ buttons) & 4 || buttons & 4 ? 4 : 3);
}

/* The mouse lives on the two lines; when both have come up it says its name. */
static bool
mouse_set_modem (VmChardev *chr, unsigned lines)
{
  MouseChar *s = (MouseChar *) chr;
  const unsigned power = VM_CHAR_DTR | VM_CHAR_RTS;
  bool was = (s->modem & power) == power;

  s->modem = lines;
  if ((lines & power) != power)
    s->n = 0;
  else if (!was)
    mouse_send (s, (const uint8_t *) "M", 1);
  return true;
}

static bool
mouse_get_modem (VmChardev *chr, unsigned *lines)
{
  *lines = (((MouseChar *) chr)->modem & (VM_CHAR_DTR | VM_CHAR_RTS)) | VM_CHAR_CTS | VM_CHAR_DSR;
  return true;
}

static bool
mouse_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  chr->open = true;
  vm_chardev_set_filename (chr, "msmouse");
  if (chr->env->msmouse_added)
    chr->env->msmouse_added (chr->env->opaque, chr, true);
  return true;
}

static void
mouse_close (VmChardev *chr)
{
  if (chr->open && chr->env->msmouse_added)
    chr->env->msmouse_added (chr->env->opaque, chr, false);
}

static const VmChardevClass msmouse_class = {
  .backend = "msmouse", .open = mouse_open, .close = mouse_close, .accept_input = mouse_accept_input,
  .set_modem = mouse_set_modem, .get_modem = mouse_get_modem,
};

const VmType vm_chardev_msmouse_type = {
  .name = "chardev-msmouse", .parent = &vm_chardev_type, .size = sizeof (MouseChar),
  .help = "a Microsoft serial mouse", .klass = &msmouse_class,
};

/* --- testdev: "NUMBERq" ends the program with status NUMBER*2+1 ------------------------------------ */

#define TESTDEV_DIGITS 9

typedef struct TestChar {
  VmChardev parent;
  unsigned  number, digits;
} TestChar;

static size_t
testdev_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  TestChar *s = (TestChar *) chr;

  for (size_t i = 0; i < len; i++)
    if (g_ascii_isdigit (buf[i]) && s->digits < TESTDEV_DIGITS)
      {
        s->number = s->number * 10 + (buf[i] - '0');
        s->digits++;
      }
    else
      {
        if (buf[i] == 'q' && chr->env->exit)
          chr->env->exit (chr->env->opaque, (int) (s->number << 1 | 1));
        s->number = s->digits = 0;
      }
  return len;
}

static bool
testdev_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  chr->open = true;
  vm_chardev_set_filename (chr, "testdev");
  return true;
}

static const VmChardevClass testdev_class = { .backend = "testdev", .open = testdev_open, .write = testdev_write };

const VmType vm_chardev_testdev_type = {
  .name = "chardev-testdev", .parent = &vm_chardev_type, .size = sizeof (TestChar),
  .help = "lets test guests end the program", .klass = &testdev_class,
};

/* --- parallel: /dev/parportN ---------------------------------------------------------------------- */

typedef struct ParportChar {
  VmChardev parent;
  int       fd; /* -1: none */
} ParportChar;

static bool
parport_access (VmChardev *chr, VmCharParport op, uint8_t *value)
{
  static const unsigned long requests[] = {
    [VM_CHAR_PP_READ_DATA] = PPRDATA,       [VM_CHAR_PP_WRITE_DATA] = PPWDATA,
    [VM_CHAR_PP_READ_CONTROL] = PPRCONTROL, [VM_CHAR_PP_WRITE_CONTROL] = PPWCONTROL,
    [VM_CHAR_PP_READ_STATUS] = PPRSTATUS,
  };
  int fd = ((ParportChar *) chr)->fd;

  if (op == VM_CHAR_PP_WRITE_DATA) /* the driver must know which way the wires go */
    {
      int reverse = 0;
      ioctl (fd, PPDATADIR, &reverse);
    }
  return ioctl (fd, requests[op], value) == 0;
}

static void
parport_init (VmObject *obj)
{
  ((ParportChar *) obj)->fd = -1;
}

static bool
parport_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  ParportChar *s = (ParportChar *) chr;
  const char *path = vm_char_require (options, "path", "parallel", "no device path given", error);

  s->fd = path ? vm_char_open_path (path, O_RDWR, error) : -1;
  if (s->fd < 0)
    return false;
  if (ioctl (s->fd, PPCLAIM) < 0)
    return vm_fail (error, "'%s' is not a parallel port that can be claimed: %s", path, g_strerror (errno));
  chr->open = true;
  vm_chardev_set_filename (chr, "parallel");
  return true;
}

static void
parport_close (VmChardev *chr)
{
  ParportChar *s = (ParportChar *) chr;

  if (s->fd < 0)
    return;
  if (chr->open)
    ioctl (s->fd, PPRELEASE);
  close (s->fd);
  s->fd = -1;
}

#define PARPORT_CLASS(name)                                                                      \
  { .backend = name, .open = parport_open, .close = parport_close, .parport = parport_access }
static const VmChardevClass parallel_class = PARPORT_CLASS ("parallel");
static const VmChardevClass parport_class = PARPORT_CLASS ("parport");

const VmType vm_chardev_parallel_type = {
  .name = "chardev-parallel", .parent = &vm_chardev_type, .size = sizeof (ParportChar),
  .help = "a parallel port of the host", .init = parport_init, .klass = &parallel_class,
};
const VmType vm_chardev_parport_type = {
  .name = "chardev-parport", .parent = &vm_chardev_type, .size = sizeof (ParportChar),
  .help = "old name of parallel", .init = parport_init, .klass = &parport_class,
};
