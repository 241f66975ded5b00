/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What sockets carry besides plain bytes: WebSocket, TN3270, TLS. */
#include "tests/char/rig.h"
#include "tests/crypto/pki.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void
put_bytes (int fd, const void *bytes, size_t len)
{
  g_assert_cmpint (write (fd, bytes, len), ==, len);
}

/* Exactly these bytes come. */
static void
expect_bytes (Fixture *f, int fd, const void *want, size_t len)
{
  g_autofree uint8_t *got = g_malloc (len);
  size_t n = 0;

  for (unsigned i = 0; i < 2000 && n < len; i++)
    {
      struct pollfd p = { .fd = fd, .events = POLLIN };

      vm_loop_iterate (f->loop, false);
      if (poll (&p, 1, 1) <= 0)
        continue;
      ssize_t more = read (fd, got + n, len - n);
      if (more <= 0)
        break;
      n += more;
    }
  g_assert_cmpmem (got, n, want, len);
}

static void
expect_end (Fixture *f, int fd)
{
  char byte;

  for (unsigned i = 0; i < 2000; i++)
    {
      ssize_t n = recv (fd, &byte, 1, MSG_DONTWAIT);

      if (n == 0 || (n < 0 && errno == ECONNRESET))
        return;
      vm_loop_iterate (f->loop, false);
      g_usleep (500);
    }
  g_assert_not_reached ();
}

/* --- WebSocket ----------------------------------------------------------------------------------- */

#define REQUEST_END                                                                                                    \
  "Host: localhost\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"                                       \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, binary\r\n"
#define REQUEST "GET / HTTP/1.1\r\n" REQUEST_END "Sec-WebSocket-Version: 13\r\n\r\n"
/* The example of RFC 6455, section 1.3. */
#define ANSWER                                                                                                         \
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                  \
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: binary\r\n\r\n"

static void
put_frame (int fd, unsigned head, const char *text)
{
  static const uint8_t mask[4] = { 0x12, 0x34, 0x56, 0x78 };
  size_t len = strlen (text), n = len < 126 ? 2 : 4;
  uint8_t frame[1024] = { head, 0x80 | (len < 126 ? len : 126) };

  if (len >= 126)
    vm_store_be16 (frame + 2, len);
  memcpy (frame + n, mask, 4);
  n += 4;
  for (size_t i = 0; i < len; i++)
    frame[n++] = text[i] ^ mask[i & 3];
  put_bytes (fd, frame, n);
}

static void
test_websocket (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "socket,id=w,host=127.0.0.1,port=0,server=on,wait=off,websocket=on");
  g_autofree char *name = g_strdup (vm_chardev_filename (chr));
  Front front;

  g_assert_true (g_str_has_prefix (name, "disconnected:websocket:127.0.0.1:"));
  front_attach (&front, chr);
  front.room = 0; /* the request is answered all the same */
  int fd = connect_tcp (chr);
  put (fd, "GET /some/where HTTP/1.1\r\n" REQUEST_END);
  spin (f);
  g_assert_cmpstr (front.got->str, ==, "");
  put (fd, "Sec-WebSocket-Version: 13\r\n\r\n\x82\x84\1\2\3\4```f"); /* a frame in the same breath */
  expect (f, &front, "<open>");
  expect_bytes (f, fd, ANSWER, strlen (ANSWER));
  spin (f);
  front.room = 2;
  vm_char_fe_accept_input (&front.fe);
  expect (f, &front, "abcb");
  close (fd);
  expect (f, &front, "<closed>");
  front_end (&front);
}

static void
websocket_open (Fixture *f, Front *front, VmChardev *chr, int *fd)
{
  *fd = connect_tcp (chr);
  put (*fd, REQUEST);
  expect (f, front, "<open>");
  expect_bytes (f, *fd, ANSWER, strlen (ANSWER));
}

static void
test_websocket_frames (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "socket,id=w,host=127.0.0.1,port=0,server=on,wait=off,websocket=on");
  g_autofree char *long_text = g_strnfill (300, 'x');
  Front front;
  int fd;

  front_attach (&front, chr);
  websocket_open (f, &front, chr, &fd);
  put_frame (fd, 0x82, "hello");
  expect (f, &front, "hello");
  put_frame (fd, 0x01, "frag"); /* in three, with a ping between */
  put_frame (fd, 0x89, "are you there");
  put_frame (fd, 0x00, "men");
  put_frame (fd, 0x80, "ted");
  expect (f, &front, "fragmented");
  expect_bytes (f, fd,
                "\x8a\x0d"
                "are you there",
                15);
  put_frame (fd, 0x82, long_text);
  expect (f, &front, long_text);
  front_write (&front, "answer");
  expect_bytes (f, fd,
                "\x82\x06"
                "answer",
                8);
  front_write (&front, long_text);
  expect_bytes (f, fd, "\x82\x7e\x01\x2c", 4);
  expect_bytes (f, fd, long_text, 300);
  put_frame (fd, 0x88,
             "\x03\xe8"
             "bye");
  expect_bytes (f, fd, "\x88\x02\x03\xe8", 4);
  expect (f, &front, "<closed>");
  expect_end (f, fd);
  close (fd);
  /* What RFC 6455 forbids ends the connection with 1002. */
  static const char *const wrong[] = {
    "\x82\x01z",                          /* not masked */
    "\xc2\x80\0\0\0\0",                   /* a reserved bit */
    "\x80\x80\0\0\0\0",                   /* nothing to continue */
    "\x83\x80\0\0\0\0",                   /* no such kind */
    "\x89\xfe\0\x7e\0\0\0\0",             /* a long ping */
    "\x09\x80\0\0\0\0",                   /* a ping in parts */
    "\x82\xff\xff\0\0\0\0\0\0\0\0\0\0\0", /* longer than can be */
  };
  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      websocket_open (f, &front, chr, &fd);
      put_bytes (fd, wrong[i], i == 0 ? 3 : i == 6 ? 14 : i == 4 ? 8 : 6);
      expect_bytes (f, fd, "\x88\x02\x03\xea", 4);
      expect (f, &front, "<closed>");
      expect_end (f, fd);
      close (fd);
    }
  front_end (&front);
}

static void
test_websocket_refused (Fixture *f, const void *data)
{
  static const struct
  {
    const char *request, *status;
  } cases[] = {
    { "POST / HTTP/1.1\r\n" REQUEST_END "Sec-WebSocket-Version: 13\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
    { "GET / HTTP/1.1\r\n" REQUEST_END "Sec-WebSocket-Version: 8\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\n" },
    { "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
    { "\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
    { "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: short\r\n"
      "Sec-WebSocket-Version: 13\r\n\r\n",
      "HTTP/1.1 400 Bad Request\r\n" },
  };
  VmChardev *chr = make (f, "socket,id=w,host=127.0.0.1,port=0,server=on,wait=off,websocket=on");
  Front front;

  front_attach (&front, chr);
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      int fd = connect_tcp (chr);
      put (fd, cases[i].request);
      expect_bytes (f, fd, cases[i].status, strlen (cases[i].status));
      expect_end (f, fd);
      close (fd);
    }
  g_autofree char *long_text = g_strnfill (9000, 'x');
  int fd = connect_tcp (chr);
  put (fd, long_text);
  expect_bytes (f, fd, "HTTP/1.1 431", 12);
  expect_end (f, fd);
  close (fd);
  g_assert_cmpstr (front.got->str, ==, "");
  front_end (&front);
}

/* A client that asks and asks and does not listen is let go, and we do not grow. */
static void
test_websocket_flood (Fixture *f, const void *data)
{
  VmChardev *chr = make (f, "socket,id=w,host=127.0.0.1,port=0,server=on,wait=off,websocket=on");
  uint8_t pings[131 * 100];
  bool over = false;
  Front front;
  int fd;

  front_attach (&front, chr);
  websocket_open (f, &front, chr, &fd);
  memset (pings, 0, sizeof pings);
  for (unsigned i = 0; i < 100; i++)
    {
      pings[i * 131] = 0x89;
      pings[i * 131 + 1] = 0x80 | 125;
    }
  for (unsigned i = 0; i < 20000 && !over; i++)
    {
      ssize_t n = send (fd, pings, sizeof pings, MSG_DONTWAIT | MSG_NOSIGNAL);
      over = n < 0 && errno != EAGAIN;
      vm_loop_iterate (f->loop, false);
      over |= strstr (front.got->str, "<closed>") != NULL;
    }
  g_assert_true (over);
  close (fd);
  front_end (&front);
}

/* --- TN3270 -------------------------------------------------------------------------------------- */

static void
test_tn3270 (Fixture *f, const void *data)
{
  static const char offers[] = "\xff\xfd\x18\xff\xfb\x19\xff\xfd\x19\xff\xfb\x00\xff\xfd\x00";
  static const char answers[] = "\xff\xfb\x18\xff\xfd\x19\xff\xfb\x19\xff\xfd\x00\xff\xfb\x00";
  VmChardev *chr = make (f, "socket,id=t,host=127.0.0.1,port=0,server=on,wait=off,tn3270=on");
  Front front;

  front_attach (&front, chr);
  int fd = connect_tcp (chr);
  expect_bytes (f, fd, offers, sizeof offers - 1);
  put_bytes (fd, answers, sizeof answers - 1);
  expect_bytes (f, fd, "\xff\xfa\x18\x01\xff\xf0", 6);
  g_assert_cmpstr (front.got->str, ==, "");
  put_bytes (fd,
             "\xff\xfa\x18\x00"
             "IBM-3278-2\xff\xf0",
             16);
  expect (f, &front, "<open>");
  put_bytes (fd,
             "A\xff\xff"
             "B\xff\xef",
             6); /* a record, as it is */
  expect (f, &front,
          "A\xff\xff"
          "B\xff\xef");
  front_write (&front, "C\xff\xef");
  expect_bytes (f, fd, "C\xff\xef", 3);
  close (fd);
  expect (f, &front, "<closed>");
  front_end (&front);
}

/* --- TLS ----------------------------------------------------------------------------------------- */

static void
creds (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *full = in_dir (f, text);

  g_assert_nonnull (pki_object (f->root, full, &error));
  g_assert_no_error (error);
}

static VmChardev *
tls_client (Fixture *f, VmChardev *server, const char *id, const char *more)
{
  const char *port = strrchr (vm_chardev_filename (server), ':') + 1;
  g_autofree char *text = g_strdup_printf ("socket,id=%s,host=localhost,ipv4=on,port=%d,%s", id, atoi (port), more);

  return make (f, text);
}

static void
tls_server_creds (Fixture *f)
{
  pki_make (f->dir, &(PkiSpec){ .cn = "localhost" });
  pki_make (f->dir, &(PkiSpec){ .cn = "otto", .client = true });
  creds (f, "tls-creds-x509,id=server,dir=%,endpoint=server");
  creds (f, "tls-creds-x509,id=client,dir=%");
  creds (f, "authz-simple,id=otto,identity=CN=otto");
  creds (f, "authz-simple,id=anna,identity=CN=anna");
}

static void
test_tls (Fixture *f, const void *data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *big = g_strnfill (200000, 'z');
  Front server, client;

  tls_server_creds (f);
  VmChardev *s = make (f, "socket,id=s,host=127.0.0.1,port=0,server=on,wait=off,tls-creds=server,tls-authz=otto");
  front_attach (&server, s);
  VmChardev *c = tls_client (f, s, "c", "tls-creds=client");
  g_assert_true (vm_chardev_wait (c, &error)); /* until the hands are shaken */
  g_assert_no_error (error);
  front_attach (&client, c);
  expect (f, &client, "<open>");
  expect (f, &server, "<open>");
  front_write (&client, "to the server");
  expect (f, &server, "to the server");
  front_write (&server, "to the client");
  expect (f, &client, "to the client");

  /* The front end takes three bytes at a time of records it cannot see. */
  server.room = 3;
  front_write (&client, "0123456789abcdef");
  expect (f, &server, "0123456789abcdef");
  server.room = 0;
  front_write (&client, "later");
  spin (f);
  g_assert_cmpstr (server.got->str, ==, "");
  server.room = 2;
  vm_char_fe_accept_input (&server.fe);
  expect (f, &server, "later");

  server.room = 1000;
  for (size_t at = 0; at < strlen (big);)
    {
      at += vm_char_fe_write (&client.fe, big + at, strlen (big) - at);
      vm_loop_iterate (f->loop, false);
    }
  expect (f, &server, big);
  g_assert_true (vm_chardev_yank (c));
  expect (f, &client, "<closed>");
  expect (f, &server, "<closed>");
  front_end (&server);
  front_end (&client);
}

static void
test_tls_refused (Fixture *f, const void *data)
{
  g_autoptr (GError) error = NULL;
  Front server;

  tls_server_creds (f);
  creds (f, "tls-creds-anon,id=anon");
  VmChardev *s = make (f, "socket,id=s,host=127.0.0.1,port=0,server=on,wait=off,tls-creds=server,tls-authz=anna");
  front_attach (&server, s);
  expect_error (f, "socket,id=x,host=h,port=1,tls-creds=server", "Expected TLS credentials for a client endpoint");
  expect_error (f, "socket,id=x,host=h,port=1,tls-creds=anna", "Object with id 'anna' is not TLS credentials");

  VmChardev *c = tls_client (f, s, "c", "tls-creds=anon");
  g_assert_false (vm_chardev_wait (c, &error));
  g_assert_true (g_str_has_prefix (error->message, "TLS handshake failed: "));
  VmChardev *d = tls_client (f, s, "d", "tls-creds=client"); /* otto */
  vm_chardev_wait (d, NULL);
  int fd = connect_tcp (s);
  put (fd, "no TLS at all, just bytes of a plain client\r\n");
  expect_end (f, fd);
  close (fd);
  spin (f);
  g_assert_cmpstr (server.got->str, ==, "");
  /* The object is asked each time. */
  vm_object_remove_child (vm_object_resolve (f->root, "anna"));
  creds (f, "authz-simple,id=anna,identity=CN=otto");
  VmChardev *e = tls_client (f, s, "e", "tls-creds=client");
  g_assert_true (vm_chardev_wait (e, NULL));
  expect (f, &server, "<open>");
  front_end (&server);
}

/* Another program's idea of TLS. */
static void
test_tls_peer (Fixture *f, const void *data)
{
  g_autofree char *program = g_find_program_in_path ("gnutls-cli"), *ca = in_dir (f, "%/ca-cert.pem");
  g_autofree char *cert = in_dir (f, "%/client-cert.pem"), *key = in_dir (f, "%/client-key.pem");
  Front server;
  GPid pid;
  int in, out;

  if (!program)
    {
      g_test_skip ("no gnutls-cli here");
      return;
    }
  tls_server_creds (f);
  VmChardev *s = make (f, "socket,id=s,host=127.0.0.1,port=0,server=on,wait=off,tls-creds=server,websocket=on");
  front_attach (&server, s);
  g_autofree char *port = g_strdup_printf ("%d", atoi (strrchr (vm_chardev_filename (s), ':') + 1));
  char *argv[]
      = { program, "--logfile=/dev/null",         "--x509cafile", ca,   "--x509certfile", cert, "--x509keyfile",
          key,     "--verify-hostname=localhost", "-p",           port, "127.0.0.1",      NULL };
  g_assert_true (g_spawn_async_with_pipes (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL,
                                           NULL, NULL, &pid, &in, &out, NULL, NULL));
  put (in, REQUEST);
  expect (f, &server, "<open>");
  expect_bytes (f, out, ANSWER, strlen (ANSWER));
  put_frame (in, 0x82, "both at once");
  expect (f, &server, "both at once");
  front_write (&server, "indeed");
  expect_bytes (f, out, "\x82\x06indeed", 8);
  close (in);
  close (out);
  kill (pid, SIGTERM);
  waitpid (pid, NULL, 0);
  expect (f, &server, "<closed>");
  front_end (&server);
}

int
main (int argc, char **argv)
{
  signal (SIGPIPE, SIG_IGN);
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/sockets/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("websocket", test_websocket);
  ADD ("websocket-frames", test_websocket_frames);
  ADD ("websocket-refused", test_websocket_refused);
  ADD ("websocket-flood", test_websocket_flood);
  ADD ("tn3270", test_tn3270);
  ADD ("tls", test_tls);
  ADD ("tls-refused", test_tls_refused);
  ADD ("tls-peer", test_tls_peer);
  return g_test_run ();
}
