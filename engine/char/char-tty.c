/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back ends on terminals: stdio, pty, and a host's serial line. */
#include "engine/char/char-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* --- stdio ------------------------------------------------------------------------------------- */

typedef struct StdioChar {
  VmChardev      parent;
  VmCharStream   stream;
  bool           is_tty;
  struct termios saved;
  int            saved_flags[2]; /* of descriptors 0 and 1, -1: not touched */
} StdioChar;

/* A description of our own, so that "do not block" does not hit whoever shares the terminal or pipe; where that
 * cannot be (a socket) the flag of the shared one is set and put back at the end. */
static int
own_description (StdioChar *s, int fd, int access)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  struct stat st;
  int own;

  s->saved_flags[fd] = -1;
  if (fstat (fd, &st) < 0)
    return -1;
  if (S_ISREG (st.st_mode)) /* never blocks, and has a position that others share */
    return fcntl (fd, F_DUPFD_CLOEXEC, 3);
  own = open (path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (own >= 0)
    return own;
  s->saved_flags[fd] = fcntl (fd, F_GETFL);
  fcntl (fd, F_SETFL, s->saved_flags[fd] | O_NONBLOCK);
  return fcntl (fd, F_DUPFD_CLOEXEC, 3);
}

static void
stdio_raw (StdioChar *s, bool signals)
{
  struct termios t;

  s->is_tty = tcgetattr (0, &s->saved) == 0;
  if (!s->is_tty)
    return;
  t = s->saved;
  t.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  t.c_oflag |= OPOST;
  t.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
  if (!signals)
    t.c_lflag &= ~ISIG;
  t.c_cflag = (t.c_cflag & ~(CSIZE | PARENB)) | CS8;
  t.c_cc[VMIN] = 1;
  t.c_cc[VTIME] = 0;
  tcsetattr (0, TCSANOW, &t);
}

static void
stdio_close (VmChardev *chr)
{
  StdioChar *s = (StdioChar *) chr;

  if (!s->stream.chr)
    return;
  vm_char_stream_close (&s->stream);
  if (s->is_tty)
    tcsetattr (0, TCSANOW, &s->saved);
  for (int fd = 0; fd < 2; fd++)
    if (s->saved_flags[fd] >= 0)
      fcntl (fd, F_SETFL, s->saved_flags[fd]);
}

/* Input has ended; output goes on. */
static void
stdio_eof (VmChardev *chr)
{
  StdioChar *s = (StdioChar *) chr;

  vm_source_clear (&s->stream.hup_source);
  close (s->stream.in);
  s->stream.in = -1;
  if (chr->fe && chr->fe->ops && chr->fe->ops->event)
    chr->fe->ops->event (chr->fe->opaque, VM_CHAR_CLOSED);
}

static void
look_for_stdio (VmChardev *chr, void *opaque)
{
  *(bool *) opaque |= chr->parent.type == &vm_chardev_stdio_type;
}

static bool
stdio_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  StdioChar *s = (StdioChar *) chr;
  bool signals = true, taken = false;

  vm_chardev_foreach (chr->env->root, look_for_stdio, &taken);
  if (taken)
    return vm_fail (error, "cannot use stdio by multiple character devices");
  if (!vm_keyvals_bool (options, "signal", &signals, error))
    return false;
  stdio_raw (s, signals);
  s->stream.eof = stdio_eof;
  chr->open = true;
  vm_chardev_set_filename (chr, "stdio");
  int in = own_description (s, 0, O_RDONLY), out = own_description (s, 1, O_WRONLY);
  vm_char_stream_open (&s->stream, chr, in, out);
  return true;
}

static size_t
stdio_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  return vm_char_stream_write (&((StdioChar *) chr)->stream, buf, len);
}

static void
stdio_accept_input (VmChardev *chr)
{
  vm_char_stream_accept_input (&((StdioChar *) chr)->stream);
}

static const VmChardevClass stdio_class = {
  .backend = "stdio", .open = stdio_open, .close = stdio_close, .write = stdio_write,
  .accept_input = stdio_accept_input,
};

const VmType vm_chardev_stdio_type = {
  .name = "chardev-stdio", .parent = &vm_chardev_type, .size = sizeof (StdioChar),
  .help = "standard input and output", .klass = &stdio_class,
};

/* --- pty --------------------------------------------------------------------------------------- */

typedef struct PtyChar {
  VmChardev    parent;
  VmCharStream stream; /* on the master, while somebody has the slave open */
  int          master, notify;
  GSource     *notify_source;
  char        *link;
} PtyChar;

static void
pty_look (PtyChar *s)
{
  VmChardev *chr = &s->parent;
  struct pollfd p = { .fd = s->master };
  bool connected = poll (&p, 1, 0) >= 0 && !(p.revents & POLLHUP);

  if (connected && !chr->open)
    {
      vm_char_stream_open (&s->stream, chr, s->master, s->master);
      vm_chardev_event (chr, VM_CHAR_OPENED);
    }
  if (!connected && chr->open)
    {
      s->stream.in = s->stream.out = -1; /* the master stays open */
      vm_char_stream_close (&s->stream);
      vm_chardev_event (chr, VM_CHAR_CLOSED);
    }
}

static void
pty_eof (VmChardev *chr)
{
  pty_look ((PtyChar *) chr);
  if (chr->open) /* somebody else still has it */
    vm_char_stream_accept_input (&((PtyChar *) chr)->stream);
}

/* The slave was opened or closed. */
static bool
pty_notified (int fd, GIOCondition condition, void *opaque)
{
  PtyChar *s = opaque;
  char events[4096];

  while (read (fd, events, sizeof events) > 0)
    continue;
  vm_object_ref (&s->parent.parent);
  /* What the one who left has sent is read first: the end of input follows by itself. */
  if (!s->parent.open)
    pty_look (s);
  else
    vm_char_stream_accept_input (&s->stream);
  vm_object_unref (&s->parent.parent);
  return true;
}

static void
pty_close (VmChardev *chr)
{
  PtyChar *s = (PtyChar *) chr;

  s->stream.in = s->stream.out = -1;
  vm_char_stream_close (&s->stream);
  vm_source_clear (&s->notify_source);
  if (s->notify > 0)
    close (s->notify);
  if (s->master > 0)
    close (s->master);
  if (s->link)
    unlink (s->link);
  g_clear_pointer (&s->link, g_free);
}

/* The slave begins without echo and translation, and nobody has it open. */
static bool
pty_prepare (PtyChar *s, const char *name)
{
  struct termios t;
  int slave = open (name, O_RDWR | O_NOCTTY | O_CLOEXEC);

  if (slave < 0)
    return false;
  bool ok = tcgetattr (slave, &t) == 0;
  cfmakeraw (&t);
  ok = ok && tcsetattr (slave, TCSAFLUSH, &t) == 0;
  close (slave);
  s->notify = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
  return ok && s->notify >= 0 && inotify_add_watch (s->notify, name, IN_OPEN | IN_CLOSE) >= 0;
}

static bool
pty_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  PtyChar *s = (PtyChar *) chr;
  const char *link = vm_keyvals_get (options, "path");
  char name[128];

  s->master = posix_openpt (O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (s->master < 0 || grantpt (s->master) < 0 || unlockpt (s->master) < 0 ||
      ptsname_r (s->master, name, sizeof name) != 0 || !pty_prepare (s, name) ||
      fcntl (s->master, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
    return vm_fail (error, "Failed to create PTY: %s", g_strerror (errno));
  if (link && *link)
    {
      if (symlink (name, link) < 0)
        return vm_fail (error, "Failed to create PTY symlink '%s': %s", link, g_strerror (errno));
      s->link = g_strdup (link);
    }
  vm_chardev_set_filename (chr, "pty:%s", name);
  s->stream.eof = pty_eof;
  s->notify_source = vm_loop_watch_fd (chr->env->loop, s->notify, G_IO_IN, pty_notified, s);
  return true;
}

static size_t
pty_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  return vm_char_stream_write (&((PtyChar *) chr)->stream, buf, len);
}

static void
pty_accept_input (VmChardev *chr)
{
  if (chr->open)
    vm_char_stream_accept_input (&((PtyChar *) chr)->stream);
}

static const VmChardevClass pty_class = {
  .backend = "pty", .open = pty_open, .close = pty_close, .write = pty_write, .accept_input = pty_accept_input,
};

const VmType vm_chardev_pty_type = {
  .name = "chardev-pty", .parent = &vm_chardev_type, .size = sizeof (PtyChar), .help = "a new pseudo-terminal",
  .klass = &pty_class,
};

/* --- serial ------------------------------------------------------------------------------------ */

typedef struct SerialChar {
  VmChardev    parent;
  VmCharStream stream;
} SerialChar;

static const struct {
  uint32_t speed;
  speed_t  code;
} speeds[] = {
  { 50, B50 },         { 75, B75 },         { 110, B110 },       { 134, B134 },       { 150, B150 },
  { 200, B200 },       { 300, B300 },       { 600, B600 },       { 1200, B1200 },     { 1800, B1800 },
  { 2400, B2400 },     { 4800, B4800 },     { 9600, B9600 },     { 19200, B19200 },   { 38400, B38400 },
  { 57600, B57600 },   { 115200, B115200 }, { 230400, B230400 }, { 460800, B460800 }, { 500000, B500000 },
  { 576000, B576000 }, { 921600, B921600 }, { 1000000, B1000000 }, { 1152000, B1152000 }, { 1500000, B1500000 },
  { 2000000, B2000000 }, { 2500000, B2500000 }, { 3000000, B3000000 }, { 3500000, B3500000 }, { 4000000, B4000000 },
};

/* The nearest speed the host has: divisors do not give round numbers. */
static speed_t
speed_code (uint32_t speed)
{
  unsigned best = 0;

  for (unsigned i = 1; i < G_N_ELEMENTS (speeds); i++)
    if (ABS ((int64_t) speeds[i].speed - speed) < ABS ((int64_t) speeds[best].speed - speed))
      best = i;
  return speeds[best].code;
}

static bool
serial_set_line (VmChardev *chr, const VmCharLine *line)
{
  static const tcflag_t sizes[] = { CS5, CS6, CS7, CS8 };
  int fd = ((SerialChar *) chr)->stream.in;
  struct termios t;

  if (tcgetattr (fd, &t) < 0)
    return false;
  cfmakeraw (&t);
  cfsetspeed (&t, speed_code (line->speed));
  t.c_cflag &= ~(CSIZE | CSTOPB | PARENB | PARODD | CRTSCTS);
  t.c_cflag |= CLOCAL | CREAD | sizes[CLAMP (line->data_bits, 5, 8) - 5];
  if (line->stop_bits == 2)
    t.c_cflag |= CSTOPB;
  if (line->parity != 'N')
    t.c_cflag |= PARENB | (line->parity == 'O' ? PARODD : 0);
  t.c_cc[VMIN] = 1;
  t.c_cc[VTIME] = 0;
  return tcsetattr (fd, TCSANOW, &t) == 0;
}

static bool
serial_set_break (VmChardev *chr, bool on)
{
  return ioctl (((SerialChar *) chr)->stream.in, on ? TIOCSBRK : TIOCCBRK) == 0;
}

static const struct {
  unsigned line;
  int      host;
} modem_lines[] = {
  { VM_CHAR_CTS, TIOCM_CTS }, { VM_CHAR_DCD, TIOCM_CAR }, { VM_CHAR_RI, TIOCM_RI },
  { VM_CHAR_DSR, TIOCM_DSR }, { VM_CHAR_DTR, TIOCM_DTR }, { VM_CHAR_RTS, TIOCM_RTS },
};

static bool
serial_get_modem (VmChardev *chr, unsigned *lines)
{
  int host;

  if (ioctl (((SerialChar *) chr)->stream.in, TIOCMGET, &host) < 0)
    return false;
  *lines = 0;
  for (unsigned i = 0; i < G_N_ELEMENTS (modem_lines); i++)
    if (host & modem_lines[i].host)
      *lines |= modem_lines[i].line;
  return true;
}

static bool
serial_set_modem (VmChardev *chr, unsigned lines)
{
  int fd = ((SerialChar *) chr)->stream.in, host;

  if (ioctl (fd, TIOCMGET, &host) < 0)
    return false;
  host &= ~(TIOCM_DTR | TIOCM_RTS);
  host |= (lines & VM_CHAR_DTR ? TIOCM_DTR : 0) | (lines & VM_CHAR_RTS ? TIOCM_RTS : 0);
  return ioctl (fd, TIOCMSET, &host) == 0;
}

static bool
serial_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  static const VmCharLine line = { .speed = 115200, .parity = 'N', .data_bits = 8, .stop_bits = 1 };
  SerialChar *s = (SerialChar *) chr;
  const char *path = vm_char_require (options, "path", "serial/tty", "no device path given", error);
  int fd = path ? vm_char_open_path (path, O_RDWR, error) : -1;

  if (fd < 0)
    return false;
  chr->open = true;
  vm_chardev_set_filename (chr, "serial");
  vm_char_stream_open (&s->stream, chr, fd, fd);
  serial_set_line (chr, &line); /* what is no terminal has no line */
  return true;
}

static void
serial_close (VmChardev *chr)
{
  vm_char_stream_close (&((SerialChar *) chr)->stream);
}

static size_t
serial_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  return vm_char_stream_write (&((SerialChar *) chr)->stream, buf, len);
}

static void
serial_accept_input (VmChardev *chr)
{
  vm_char_stream_accept_input (&((SerialChar *) chr)->stream);
}

#define SERIAL_CLASS(name)                                                                       \
  {                                                                                              \
    .backend = name, .open = serial_open, .close = serial_close, .write = serial_write,          \
    .accept_input = serial_accept_input, .set_line = serial_set_line,                            \
    .set_break = serial_set_break, .get_modem = serial_get_modem, .set_modem = serial_set_modem, \
  }
static const VmChardevClass serial_class = SERIAL_CLASS ("serial");
static const VmChardevClass tty_class = SERIAL_CLASS ("tty");

const VmType vm_chardev_serial_type = {
  .name = "chardev-serial", .parent = &vm_chardev_type, .size = sizeof (SerialChar),
  .help = "a serial line of the host", .klass = &serial_class,
};
const VmType vm_chardev_tty_type = {
  .name = "chardev-tty", .parent = &vm_chardev_type, .size = sizeof (SerialChar),
  .help = "old name of serial", .klass = &tty_class,
};
