/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each back end against its other end, the multiplexer, options and their errors. */
#include "tests/char/rig.h"

#include "engine/char/baum.h"
#include "engine/char/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* --- files ------------------------------------------------------------------------------------- */

static void
test_file (Fixture *f, const void *data)
{
  g_autofree char *input = in_dir (f, "%/input");
  Front front;

  g_assert_true (g_file_set_contents (input, "typed", -1, NULL));
  front_attach (&front, make (f, "file,id=a,path=%/out,input-path=%/input,logfile=%/log"));
  front_write (&front, "hello\n");
  expect (f, &front, "<open>typed");
  expect_file (f, "%/out", "hello\n");
  expect_file (f, "%/log", "hello\n");
  front_end (&front);
  front_attach (&front, make (f, "file,id=b,path=%/out,append=on"));
  front_write (&front, "more");
  expect_file (f, "%/out", "hello\nmore");
  front_end (&front);
  expect_error (f, "file,id=c", "chardev: file: no filename given");
  expect_error (f, "file,id=c,path=/nonexistent/y", "Could not open '/nonexistent/y': No such file or directory");
}

static void
test_pipe (Fixture *f, const void *data)
{
  g_autofree char *in = in_dir (f, "%/p.in"), *out = in_dir (f, "%/p.out");
  Front front;

  mkfifo (in, 0600);
  mkfifo (out, 0600);
  front_attach (&front, make (f, "pipe,id=a,path=%/p"));
  int to = open (in, O_WRONLY), from = open (out, O_RDONLY | O_NONBLOCK);
  put (to, "in");
  expect (f, &front, "<open>in");
  front_write (&front, "out");
  expect_read (f, from, "out");
  close (to);
  close (from);
  front_end (&front);
  expect_error (f, "pipe,id=b,path=%/none", "Could not open '%/none': No such file or directory");
}

static void
test_ringbuf (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "ringbuf,id=r,size=8");
  g_autoptr (GError) error = NULL;
  size_t len;
  Front front;

  front_attach (&front, chr);
  front_write (&front, "abcdefghij");
  g_autofree uint8_t *text = vm_chardev_ringbuf_read (chr, 3, &len, NULL);
  g_assert_cmpstr ((char *) text, ==, "cde");
  g_assert_true (vm_chardev_ringbuf_write (chr, (const uint8_t *) "Z", 1, NULL));
  g_autofree uint8_t *rest = vm_chardev_ringbuf_read (chr, 100, &len, NULL);
  g_assert_cmpstr ((char *) rest, ==, "fghijZ");
  front_end (&front);
  g_assert_null (vm_chardev_ringbuf_read (make (f, "null,id=n"), 3, &len, &error));
  g_assert_cmpstr (error->message, ==, "n is not a ringbuf device");
  expect_error (f, "ringbuf,id=x,size=1000", "size of ringbuf chardev must be power of two");
}

/* --- terminals --------------------------------------------------------------------------------- */

static void
test_pty (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "pty,id=p,path=%/link");
  g_autofree char *link = in_dir (f, "%/link");
  Front front;

  g_assert_true (g_str_has_prefix (vm_chardev_filename (chr), "pty:/dev/pts/"));
  front_attach (&front, chr);
  front_write (&front, "nobody there");
  for (unsigned round = 0; round < 3; round++)
    {
      int fd = open (link, O_RDWR | O_NOCTTY);

      g_assert_cmpint (fd, >=, 0);
      expect (f, &front, "<open>");
      put (fd, "typed\r");
      expect (f, &front, "typed\r");
      front_write (&front, "shown\n");
      expect_read (f, fd, "shown\n");
      put (fd, "last words");
      close (fd);
      expect (f, &front, "last words<closed>");
    }
  /* Nobody reads, then the other side leaves. */
  front.room = 0;
  int fd = open (link, O_RDWR | O_NOCTTY);
  expect (f, &front, "<open>");
  close (fd);
  expect (f, &front, "<closed>");
  front_end (&front);
  g_assert_true (vm_chardev_remove (chr, NULL));
  g_assert_false (g_file_test (link, G_FILE_TEST_IS_SYMLINK));
}

static void
test_serial (Fixture *f, const void *data)
{
  /* A pty's slave is as good a line as there is without hardware. */
  int master = posix_openpt (O_RDWR | O_NOCTTY);
  const VmCharLine line = { .speed = 9590, .parity = 'E', .data_bits = 7, .stop_bits = 2 };
  struct termios t;
  Front front;

  grantpt (master);
  unlockpt (master);
  g_autofree char *text = g_strdup_printf ("serial,id=s,path=%s", ptsname (master));
  front_attach (&front, make (f, text));
  put (master, "x\r");
  expect (f, &front, "<open>x\r");
  front_write (&front, "y");
  expect_read (f, master, "y");
  g_assert_true (vm_char_fe_set_line (&front.fe, &line));
  g_assert_cmpint (tcgetattr (master, &t), ==, 0);
  g_assert_cmpuint (cfgetospeed (&t), ==, B9600);
  front_end (&front);
  close (master);
  expect_error (f, "serial,id=x", "chardev: serial/tty: no device path given");
  expect_error (f, "parallel,id=x,path=/nonexistent", "Could not open '/nonexistent': No such file or directory");
}

static void
test_stdio (Fixture *f, const void *data)
{
  int in[2], out[2], saved[2] = { dup (0), dup (1) };
  Front front;

  g_assert_cmpint (pipe (in) | pipe (out), ==, 0);
  fflush (stdout);
  dup2 (in[0], 0);
  dup2 (out[1], 1);
  front_attach (&front, make (f, "stdio,id=s"));
  expect_error (f, "stdio,id=t", "cannot use stdio by multiple character devices");
  put (in[1], "typed");
  expect (f, &front, "<open>typed");
  front_write (&front, "said");
  expect_read (f, out[0], "said");
  close (in[1]);
  expect (f, &front, "<closed>");
  front_write (&front, "still");
  expect_read (f, out[0], "still");
  g_assert_false (fcntl (1, F_GETFL) & O_NONBLOCK);
  front_end (&front);
  vm_chardev_remove (vm_chardev_find (f->root, "s"), NULL);
  dup2 (saved[0], 0);
  dup2 (saved[1], 1);
  close (saved[0]);
  close (saved[1]);
  close (in[0]);
  close (out[0]);
  close (out[1]);
}

/* --- sockets ----------------------------------------------------------------------------------- */

static int
connect_unix (Fixture *f, const char *name)
{
  struct sockaddr_un addr = { .sun_family = AF_UNIX };
  g_autofree char *path = in_dir (f, name);
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  g_strlcpy (addr.sun_path, path, sizeof addr.sun_path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &addr, sizeof addr), ==, 0);
  return fd;
}

static void
test_unix (Fixture *f, const void *data)
{
  g_autofree char *name = in_dir (f, "disconnected:unix:%/s,server=on"), *on = in_dir (f, "unix:%/s,server=on");
  VmChardev *chr = make (f, "socket,id=s,path=%/s,server=on,wait=off");
  Front front;

  g_assert_cmpstr (vm_chardev_filename (chr), ==, name);
  front_attach (&front, chr);
  front_write (&front, "to nobody");
  for (unsigned round = 0; round < 3; round++)
    {
      int fd = connect_unix (f, "%/s");

      expect (f, &front, "<open>");
      g_assert_cmpstr (vm_chardev_filename (chr), ==, on);
      put (fd, "in");
      expect (f, &front, "in");
      front_write (&front, "out");
      expect_read (f, fd, "out");
      /* A front end that takes little gets it all, although the client has left. */
      front.room = 3;
      put (fd, "0123456789");
      close (fd);
      expect (f, &front, "0123456789<closed>");
      front.room = 1000;
    }
  front_end (&front);
  g_autofree char *path = in_dir (f, "%/s");
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_true (vm_chardev_remove (chr, NULL));
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

static void
test_tcp (Fixture *f, const void *data)
{
  VmChardev *server = make (f, "socket,id=s,host=127.0.0.1,port=0,server=on,wait=off");
  g_autofree char *port = g_strdup (strrchr (vm_chardev_filename (server), ':') + 1);
  Front a, b;

  *strchr (port, ',') = 0;
  front_attach (&a, server);
  g_autofree char *text = g_strdup_printf ("socket,id=c,host=localhost,ipv4=on,port=%s,nodelay=on", port);
  VmChardev *client = make (f, text); /* a name: looked up by a thread */
  g_assert_true (vm_chardev_wait (client, NULL));
  front_attach (&b, client);
  expect (f, &a, "<open>");
  front_write (&a, "to client");
  expect (f, &b, "<open>to client");
  front_write (&b, "to server");
  expect (f, &a, "to server");
  g_assert_nonnull (strstr (vm_chardev_filename (client), " <-> 127.0.0.1:"));
  front_end (&b);
  g_assert_true (vm_chardev_remove (client, NULL));
  expect (f, &a, "<closed>");

  /* The port is in use; the range has another one. */
  g_autofree char *again = g_strdup_printf ("socket,id=x,host=127.0.0.1,port=%s,server=on,wait=off", port);
  expect_error (f, again, "Failed to find an available port: Address already in use");
  g_autofree char *range = g_strdup_printf ("%s,to=65535", again);
  make (f, range);
  front_end (&a);

  g_assert_true (vm_chardev_remove (server, NULL));
  g_autofree char *refused = g_strdup_printf ("socket,id=y,host=127.0.0.1,port=%s", port);
  g_autofree char *message = g_strdup_printf ("Failed to connect to '127.0.0.1:%s': Connection refused", port);
  g_autoptr (GError) error = NULL;
  VmChardev *late = try_new (f, refused, &error);
  if (late)
    g_assert_false (vm_chardev_wait (late, &error));
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_back_pressure (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "socket,id=s,path=%/s,server=on,wait=off");
  int fd = connect_unix (f, "%/s");
  uint8_t block[4096];
  size_t sent = 0, read_back = 0, n;
  Front front;

  front_attach (&front, chr);
  expect (f, &front, "<open>");
  do
    {
      for (size_t i = 0; i < sizeof block; i++)
        block[i] = (sent + i) % 251;
      n = vm_char_fe_write (&front.fe, block, sizeof block);
      sent += n;
    }
  while (n == sizeof block && sent < 64 << 20);
  g_assert_cmpuint (sent, <, 64 << 20);
  spin (f);
  g_assert_cmpint (front.writable, ==, 0);
  while (read_back < sent)
    {
      ssize_t got = recv (fd, block, sizeof block, MSG_DONTWAIT);

      vm_loop_iterate (f->loop, false);
      for (ssize_t i = 0; i < got; i++)
        g_assert_cmpuint (block[i], ==, (read_back + i) % 251);
      read_back += MAX (got, 0);
    }
  spin (f);
  g_assert_cmpint (front.writable, ==, 1);
  /* Whoever leaves with a full queue lets the writer go on. */
  do
    n = vm_char_fe_write (&front.fe, block, sizeof block);
  while (n == sizeof block);
  close (fd);
  expect (f, &front, "<closed>");
  g_assert_cmpint (front.writable, ==, 2);
  front_write (&front, "to nobody");
  front_end (&front);
}

static void
test_reconnect (Fixture *f, const void *data)
{
  VmChardev *client = make (f, "socket,id=c,path=%/s,reconnect-ms=30"), *server;
  Front a, b;

  front_attach (&a, client);
  g_assert_true (vm_chardev_wait (client, NULL));
  for (unsigned round = 0; round < 2; round++)
    {
      server = make (f, "socket,id=s,path=%/s,server=on");
      g_assert_true (vm_chardev_wait (server, NULL));
      front_attach (&b, server);
      front_write (&b, "hello");
      expect (f, &a, "<open>hello");
      front_end (&b);
      g_assert_true (vm_chardev_remove (server, NULL));
      expect (f, &a, "<closed>");
    }
  front_end (&a);
}

static void
test_telnet (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "socket,id=t,host=127.0.0.1,port=0,server=on,wait=off,telnet=on");
  static const char greeting[] = "\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00";
  uint8_t got[12];
  Front front;

  front_attach (&front, chr);
  int fd = connect_tcp (chr);
  expect (f, &front, "<open>");
  g_assert_cmpint (recv (fd, got, sizeof got, MSG_WAITALL), ==, 12);
  g_assert_cmpmem (got, 12, greeting, 12);
  put (fd, "a\xff\xff" "b\xff\xf3" "c"); /* escaped 255, break */
  expect (f, &front, "a\xff" "bc<break>");
  front_write (&front, "1\xff" "2");
  expect_read (f, fd, "1\xff\xff" "2");
  close (fd);
  expect (f, &front, "<closed>");
  front_end (&front);
}

static void
test_fd_passing (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "socket,id=s,path=%/s,server=on,wait=off");
  int fd = connect_unix (f, "%/s"), ends[2];
  char control[CMSG_SPACE (sizeof (int))] = { 0 };
  struct iovec iov = { .iov_base = "x", .iov_len = 1 };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  struct cmsghdr *c = CMSG_FIRSTHDR (&msg);
  Front front;

  g_assert_cmpint (pipe (ends), ==, 0);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN (sizeof (int));
  memcpy (CMSG_DATA (c), &ends[1], sizeof (int));
  front_attach (&front, chr);
  expect (f, &front, "<open>");
  g_assert_cmpint (sendmsg (fd, &msg, 0), ==, 1);
  expect (f, &front, "x");
  int got = vm_char_fe_take_fd (&front.fe);
  g_assert_cmpint (got, >=, 0);
  g_assert_cmpint (vm_char_fe_take_fd (&front.fe), ==, -1);
  put (got, "through");
  expect_read (f, ends[0], "through");
  close (got);
  close (ends[0]);
  close (ends[1]);
  close (fd);
  front_end (&front);
}

static void
test_udp (Fixture *f, const void *data)
{
  struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  int fd = socket (AF_INET, SOCK_DGRAM, 0);
  socklen_t len = sizeof addr;
  Front front;

  bind (fd, (struct sockaddr *) &addr, sizeof addr);
  getsockname (fd, (struct sockaddr *) &addr, &len);
  g_autofree char *text = g_strdup_printf ("udp,id=u,host=127.0.0.1,port=%u,localaddr=127.0.0.1", ntohs (addr.sin_port));
  front_attach (&front, make (f, text));
  front_write (&front, "ping");
  char buf[16] = "";
  g_assert_cmpint (recvfrom (fd, buf, sizeof buf, 0, (struct sockaddr *) &addr, &len), ==, 4);
  front.room = 2;
  sendto (fd, "pong!", 5, 0, (struct sockaddr *) &addr, len);
  expect (f, &front, "<open>pong!");
  close (fd);
  front_end (&front);
  expect_error (f, "udp,id=x", "chardev: udp: remote port not specified");
}

/* --- the multiplexer --------------------------------------------------------------------------- */

typedef struct Screen {
  VmChardev *chr;
  GString   *shown;
} Screen;

static size_t
screen_write (void *opaque, const uint8_t *buf, size_t len)
{
  g_string_append_len (((Screen *) opaque)->shown, (const char *) buf, len);
  return len;
}

static const VmCharSink screen_sink = { .write = screen_write };

static void
type_keys (Fixture *f, Screen *screen, const char *keys)
{
  vm_chardev_receive (screen->chr, (const uint8_t *) keys, strlen (keys));
  spin (f);
}

static void
test_mux (Fixture *f, const void *data)
{
  VmChardev *mux = make (f, "vc,id=m,mux=on");
  Screen screen = { f->vc, g_string_new (NULL) };
  Front serial, monitor, third, fourth, fifth = { 0 };

  g_assert_cmpstr (vm_chardev_id (f->vc), ==, "m-base");
  vm_chardev_set_sink (f->vc, &screen_sink, &screen);
  g_assert_false (vm_chardev_frontend_open (f->vc));
  g_assert_false (vm_chardev_remove (f->vc, NULL));
  front_attach (&monitor, mux);
  g_assert_true (vm_chardev_frontend_open (f->vc));
  front_attach (&serial, mux); /* the newest has the keyboard */
  expect (f, &serial, "<in><open>");
  expect (f, &monitor, "<out><open>");
  type_keys (f, &screen, "a");
  expect (f, &serial, "a");
  type_keys (f, &screen, "\001cb");
  expect (f, &serial, "<out>");
  expect (f, &monitor, "<in>b");
  type_keys (f, &screen, "\001\001\001b\001z!");
  expect (f, &monitor, "\001<break>!");
  front_write (&serial, "both");
  front_write (&monitor, " write");
  g_assert_cmpstr (screen.shown->str, ==, "both write");
  g_string_truncate (screen.shown, 0);
  type_keys (f, &screen, "\001h");
  g_assert_cmpstr (screen.shown->str, ==,
                   "\n\rC-a h    print this help\n\rC-a x    exit emulator\n\r"
                   "C-a s    save disk data back to file (if -snapshot)\n\rC-a t    toggle console timestamps\n\r"
                   "C-a b    send break (magic sysrq)\n\rC-a c    switch between console and monitor\n\r"
                   "C-a C-a  sends C-a\n\r");
  type_keys (f, &screen, "\001s\001x");
  g_assert_cmpint (f->commits, ==, 1);
  g_assert_cmpint (f->quits, ==, 1);
  g_string_truncate (screen.shown, 0);
  type_keys (f, &screen, "\001t");
  front_write (&serial, "one\ntwo");
  front_write (&serial, " more\n");
  type_keys (f, &screen, "\001t");
  front_write (&serial, "plain\n");
  g_assert_true (g_regex_match_simple ("^\\[00:00:00\\.\\d{3}\\] one\n\\[00:00:00\\.\\d{3}\\] two more\nplain\n$",
                                       screen.shown->str, 0, 0));

  /* Typed ahead: 32 bytes, then it stops. */
  monitor.room = 0;
  type_keys (f, &screen, "0123456789abcdef0123456789abcdef");
  g_assert_cmpuint (vm_chardev_can_receive (f->vc), ==, 0);
  monitor.room = 20;
  vm_char_fe_accept_input (&monitor.fe);
  g_assert_cmpstr (monitor.got->str, ==, ""); /* not from within the call */
  expect (f, &monitor, "0123456789abcdef0123456789abcdef");

  front_attach (&third, mux);
  front_attach (&fourth, mux);
  g_autoptr (GError) error = NULL;
  g_assert_false (vm_char_fe_attach_to (&fifth.fe, mux, &front_ops, &fifth, &error));
  g_assert_cmpstr (error->message, ==, "Device 'm' is in use");
  front_end (&fourth); /* it had the keyboard: the next one gets it */
  spin (f);
  type_keys (f, &screen, "k");
  expect (f, &monitor, "<out><in>k");
  front_end (&third);
  front_end (&serial);
  g_clear_error (&error);
  g_assert_false (vm_chardev_remove (mux, &error));
  g_assert_cmpstr (error->message, ==, "Chardev 'm' is busy");
  front_end (&monitor);
  g_assert_true (vm_chardev_remove (mux, NULL));
  g_assert_null (vm_chardev_find (f->root, "m-base"));
  g_string_free (screen.shown, TRUE);
  expect_error (f, "mux,id=q", "chardev: mux: no chardev given");
}

/* --- small ones -------------------------------------------------------------------------------- */

static void
test_testdev (Fixture *f, const void *data)
{
  Front front;

  front_attach (&front, make (f, "testdev,id=t"));
  front_write (&front, "x12y99999999999999999999q");
  front_write (&front, "21q");
  g_assert_cmpint (f->exit_status, ==, 43);
  front_end (&front);
}

static void
test_msmouse (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "msmouse,id=m");
  Front front;

  front_attach (&front, chr);
  vm_chardev_pointer (chr, 1, 1, 0); /* no power yet */
  g_assert_true (vm_char_fe_set_modem (&front.fe, VM_CHAR_DTR | VM_CHAR_RTS));
  expect (f, &front, "<open>M");
  vm_chardev_pointer (chr, 5, -1, 1);
  expect (f, &front, "\x6c\x05\x3f");
  for (unsigned i = 0; i < 1000; i++) /* nobody reads */
    vm_chardev_pointer (chr, 5, 5, 0);
  front_end (&front);
}

static void
test_wctablet (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "wctablet,id=w");
  Front front;

  front_attach (&front, chr);
  front_write (&front, "\r#noise and more noise than a command has~#");
  expect (f, &front, "<open>~#CT-0045R,V1.3-5,\r");
  front_write (&front, "~C\r~R\r");
  expect (f, &front, "~C05040,03779\r~RE202C900,000,02,1270,1270\r");
  vm_chardev_pointer (chr, VM_CHAR_POINTER_MAX, VM_CHAR_POINTER_MAX, 1);
  expect (f, &front, "\xe8\x27\x30\x08\x1d\x43\x3f");
  front_write (&front, "SP\r");
  vm_chardev_pointer (chr, 0, 0, 0);
  spin (f);
  g_assert_cmpstr (front.got->str, ==, "");
  front_end (&front);
}

/* The display a screen reader sees; the host's own is the module's business. */
static void
test_baum (Fixture *f, const void *data)
{
  static const uint8_t questions[] = "\x1b\x84\x1b\x8a\x1b\x15\x04\x1b\x05\x1b\x08";
  static const char answers[] = "\x1b\x84" "Baum Vario40    \x1b\x01\x1b\x1b" "\x1b\x8a" "00000000" "\x1b\x05\x33"
                                "\x1b\x01\x1b\x1b" "\x1b\x24\0";
  static const uint8_t cut[] = "noise\x1b\x01" "abc\x1b\x01";
  static const uint8_t shown[] = "\x1b\x01\x1b\x1b" "bcdefghijklmnopqrstuvwxyz{";
  g_autoptr (GByteArray) out = g_byte_array_new ();
  VmBaum baum = { .cells = 27 }; /* the number of an escape */

  g_assert_false (vm_baum_receive (&baum, questions, sizeof questions - 1, out));
  g_assert_cmpmem (out->data, out->len, answers, sizeof answers - 1);
  g_assert_false (vm_baum_receive (&baum, cut, sizeof cut - 1, out));
  g_assert_true (vm_baum_receive (&baum, shown, sizeof shown - 1, out));
  g_assert_cmpmem (baum.dots, 27, "\x1b" "bcdefghijklmnopqrstuvwxyz{", 27);
  g_byte_array_set_size (out, 0);
  vm_baum_routing_key (&baum, 9, out);
  vm_baum_routing_key (&baum, 27, out);
  vm_baum_display_keys (&baum, 2, out);
  g_assert_cmpmem (out->data, out->len, "\x1b\x22\0\2\0\0\x1b\x22\0\0\0\0\x1b\x24\2\x1b\x24\0", 18);
}

static void
test_life (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "null,id=a");
  g_autoptr (GError) error = NULL;
  Front front, other = { 0 };

  front_attach (&front, chr);
  g_assert_false (vm_char_fe_attach_to (&other.fe, chr, &front_ops, &other, &error));
  g_assert_cmpstr (error->message, ==, "Device 'a' is in use");
  expect (f, &front, "<open>");

  g_autoptr (VmCharOptions) options = vm_char_options_new ("ringbuf", NULL);
  chr = vm_chardev_change (&f->env, chr, options, NULL);
  expect (f, &front, "<closed><open>");
  front_write (&front, "kept");
  size_t len;
  g_autofree uint8_t *text = vm_chardev_ringbuf_read (chr, 10, &len, NULL);
  g_assert_cmpstr ((char *) text, ==, "kept");

  g_autofree char *list = vm_chardev_describe (f->root);
  g_assert_cmpstr (list, ==, "a: filename=ringbuf\n");
  vm_chardev_remove_all (&f->env); /* the front end is still there, with nothing behind it */
  front_write (&front, "nothing");
  front_end (&front);

  VmCharFe named = { .id = "gone", .owner = "isa-serial" };
  g_clear_error (&error);
  g_assert_false (vm_char_fe_attach (&named, f->root, NULL, NULL, &error));
  g_assert_cmpstr (error->message, ==, "Property 'isa-serial.chardev' can't find value 'gone'");
  VmCharFe unnamed = { 0 };
  g_assert_true (vm_char_fe_attach (&unnamed, f->root, NULL, NULL, NULL));
  g_assert_cmpuint (vm_char_fe_write (&unnamed, "x", 1), ==, 1);
}

/* --- options ----------------------------------------------------------------------------------- */

static void
test_errors (Fixture *f, const void *data)
{
  static const char *const cases[][2] = {
    { "foo,id=a", "'foo' is not a valid char driver name" },
    { "console,id=a", "'console' is not a valid char driver name" },
    { "spicevmc,id=a,name=vdagent", "'spicevmc' is not available in this build" },
    { "id=a", "chardev: \"a\" missing backend" },
    { "null", "chardev: no id specified" },
    { "null,id=1a", "Parameter 'id' expects an identifier\n"
                    "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter." },
    { "null,id=a,foo=1", "Invalid parameter 'foo'" },
    { "socket,id=a,host=127.0.0.1", "chardev: socket: no port given" },
    { "socket,id=a,path=/nonexistent/x", "Failed to connect to '/nonexistent/x': No such file or directory" },
    { "socket,id=a,path=/nonexistent/x,server=on,wait=off",
      "Failed to bind socket to /nonexistent/x: No such file or directory" },
    { "socket,id=a,path=%/x,server=on,reconnect=1",
      "'reconnect' option is incompatible with socket in server listen mode" },
    { "socket,id=a,path=%/x,wait=on", "'wait' option is incompatible with socket in client connect mode" },
    { "socket,id=a,path=%/x,server=1", "Parameter 'server' expects 'on' or 'off'" },
    { "socket,id=a,host=h,port=1,websocket=on", "Websocket client is not implemented" },
    { "socket,id=a,host=h,port=1,tls-creds=t", "No TLS credentials with id 't'" },
    { "socket,id=a,host=h,port=1,tls-authz=t", "'tls_authz' option requires 'tls_creds' option" },
    { "socket,id=a,path=/x,tls-creds=t", "'tls_creds' option is incompatible with 'unix' address type" },
    { "socket,id=a,path=/x,host=h,port=1", "None or one of 'path', 'fd' or 'host' option required." },
    { "socket,id=a,fd=foo", "Unable to parse FD number foo" },
    { "socket,id=a,fd=777", "File descriptor '777' is not a socket" },
    { "udp,id=a,port=foo", "address resolution failed for localhost:foo: Servname not supported for ai_socktype" },
    { "null,id=a,logfile=/nonexistent/l", "Could not create '/nonexistent/l': No such file or directory" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    expect_error (f, cases[i][0], cases[i][1]);
  make (f, "null,id=a");
  expect_error (f, "null,id=a", "Duplicate ID 'a' for chardev");
}

static void
test_legacy (Fixture *f, const void *data)
{
  static const struct {
    const char *text, *want; /* "reuse ID", "none", the settings, or an error with ! */
  } cases[] = {
    { "none", "none" },
    { "chardev:x", "reuse x" },
    { "null", "backend=null" },
    { "vc", "backend=vc" },
    { "vc:80Cx24C", "backend=vc,cols=80,rows=24" },
    { "vc:800x600", "backend=vc,width=800,height=600" },
    { "vc:80Cx24", "!'vc:80Cx24': a size like 800x600 or 80Cx24C is expected" },
    { "vc:99999999999999999999x1", "!'vc:99999999999999999999x1': a size like 800x600 or 80Cx24C is expected" },
    { "file:/a,b", "backend=file,path=/a,,b" },
    { "pipe:/p", "backend=pipe,path=/p" },
    { "pty", "backend=pty" },
    { "pty:/l", "backend=pty,path=/l" },
    { "stdio", "backend=stdio" },
    { "mon:stdio", "monitor backend=stdio,mux=on,signal=off" },
    { "mon:telnet:h:1", "monitor telnet=on,backend=socket,host=h,port=1,mux=on" },
    { "tcp:localhost:4444,server=on,wait=off", "backend=socket,host=localhost,port=4444,server=on,wait=off" },
    { "tcp:[::1]:4444", "backend=socket,host=::1,port=4444" },
    { "tcp::4444", "backend=socket,host=,port=4444" },
    { "tcp:4444", "!'tcp:4444' has no port: HOST:PORT is expected" },
    { "unix:/s,server=on", "backend=socket,path=/s,server=on" },
    { "unix:", "!chardev: socket: no path given" },
    { "udp::1", "backend=udp,port=1" },
    { "udp:h:1@:2", "backend=udp,host=h,port=1,localport=2" },
    { "udp:h:1@l:2", "backend=udp,host=h,port=1,localaddr=l,localport=2" },
    { "/dev/ttyS0", "backend=serial,path=/dev/ttyS0" },
    { "/dev/parport0", "backend=parallel,path=/dev/parport0" },
    { "COM1", "backend=serial,path=COM1" },
    { "con:", "backend=console" },
    { "msmouse", "backend=msmouse" },
    { "wctablet", "backend=wctablet" },
    { "braille", "backend=braille" },
    { "testdev", "backend=testdev" },
    { "tn3270:h:1,server=on", "tn3270=on,backend=socket,host=h,port=1,server=on" },
    { "websocket::1,server=on,wait=off", "websocket=on,backend=socket,host=,port=1,server=on,wait=off" },
    { "tcp:h:1,reconnect-ms=5,nodelay=on,telnet=on",
      "backend=socket,host=h,port=1,reconnect-ms=5,nodelay=on,telnet=on" },
    { "tcp:h:1,server,nowait", "backend=socket,host=h,port=1,server=on,wait=off" },
    { "nonsense", "!'nonsense' is not a valid char driver" },
    { "stdio:x", "!'stdio:x' is not a valid char driver" },
    { "", "!'' is not a valid char driver" },
    { "mon:none", "!'none' is not a valid char driver" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *got = NULL;
      VmCharLegacy legacy;

      if (!vm_chardev_parse_legacy (cases[i].text, true, &legacy, &error))
        got = g_strconcat ("!", error->message, NULL);
      else if (legacy.reuse)
        got = g_strconcat ("reuse ", legacy.reuse, NULL);
      else if (!legacy.options)
        got = g_strdup ("none");
      else
        {
          g_autofree char *settings = vm_keyvals_to_string (legacy.options);
          got = g_strconcat (legacy.monitor ? "monitor " : "", settings, NULL);
        }
      g_assert_cmpstr (got, ==, cases[i].want);
      vm_char_legacy_clear (&legacy);
    }
  VmCharLegacy legacy;
  g_assert_false (vm_chardev_parse_legacy ("mon:stdio", false, &legacy, NULL));
}

/* --- terminals ----------------------------------------------------------------------------------- */

static void
count_calls (VmText *text, void *opaque)
{
  ++*(unsigned *) opaque;
}

/* What the front end has no room for is kept, then refused; who was refused is told when there is room again. */
static void
test_text (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "vc,id=t");
  VmText *text = vm_text_new (f->loop, f->vc, 80, 24, NULL, NULL);
  g_autofree uint8_t *bytes = g_malloc (100000);
  unsigned calls = 0;
  Front front;

  memset (bytes, 'x', 100000);
  front_attach (&front, chr);
  spin (f);
  g_string_truncate (front.got, 0);
  front.room = 0;
  vm_text_watch (text, count_calls, &calls);
  g_assert_cmpuint (vm_text_write (text, bytes, 50000), ==, 50000);
  size_t more = vm_text_write (text, bytes, 50000);
  g_assert_cmpuint (more, >, 0);
  g_assert_cmpuint (more, <, 50000);
  g_assert_cmpuint (vm_text_write (text, bytes, 1), ==, 0);
  spin (f);
  g_assert_cmpuint (calls, ==, 0);
  g_assert_cmpuint (front.got->len, ==, 0);
  front.room = 1000;
  vm_char_fe_accept_input (&front.fe);
  spin (f);
  g_assert_cmpuint (calls, ==, 1);
  g_assert_cmpuint (front.got->len, ==, 50000 + more);
  g_assert_cmpuint (vm_text_write (text, bytes, 1), ==, 1);
  spin (f);
  g_assert_cmpuint (calls, ==, 1);
  /* Bytes on their way when the back end goes are gone, and whoever writes need not wait. */
  front.room = 0;
  g_assert_cmpuint (vm_text_write (text, bytes, 100000), <, 100000);
  front_end (&front);
  g_assert_true (vm_chardev_remove (chr, NULL));
  spin (f);
  g_assert_cmpuint (calls, ==, 2);
  g_assert_cmpuint (vm_text_write (text, bytes, 60000), ==, 60000);
  spin (f);
  g_assert_cmpuint (vm_text_write (text, bytes, 60000), ==, 60000);
  spin (f);
  vm_text_unwatch (text, count_calls, &calls);
  vm_text_unref (text);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/char/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("file", test_file);
  ADD ("pipe", test_pipe);
  ADD ("ringbuf", test_ringbuf);
  ADD ("pty", test_pty);
  ADD ("serial", test_serial);
  ADD ("stdio", test_stdio);
  ADD ("unix", test_unix);
  ADD ("tcp", test_tcp);
  ADD ("back-pressure", test_back_pressure);
  ADD ("reconnect", test_reconnect);
  ADD ("telnet", test_telnet);
  ADD ("fd-passing", test_fd_passing);
  ADD ("udp", test_udp);
  ADD ("mux", test_mux);
  ADD ("text", test_text);
  ADD ("testdev", test_testdev);
  ADD ("msmouse", test_msmouse);
  ADD ("wctablet", test_wctablet);
  ADD ("baum", test_baum);
  ADD ("life", test_life);
  ADD ("errors", test_errors);
  ADD ("legacy", test_legacy);
  return g_test_run ();
}
