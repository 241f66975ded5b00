/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small back ends: the test device, the host's parallel port. */
#include "engine/char/char-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/parport.h>
#include <linux/ppdev.h>
#include <sys/ioctl.h>
#include <unistd.h>

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
