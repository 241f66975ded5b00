/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Viewers that are none. FUZZ_VNC says what the bytes are: "login" from the first on, "inside" messages of one who is
 * in, "websocket" what comes before and around that. */
#include "tests/fuzz/fuzz.h"
#include "tests/vnc/double.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define WIDTH 200
#define HEIGHT 120

static bool
is (const char *what)
{
  return !strcmp (FUZZ_VNC, what);
}

/* Sends all, reading what comes back so that nobody waits for us. */
static void
talk (VncDouble *d, int fd, const uint8_t *data, size_t size)
{
  static uint8_t answers[65536];

  while (size)
    {
      ssize_t n = send (fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN)
        return;
      if (n > 0)
        {
          data += n;
          size -= (size_t) n;
        }
      if (recv (fd, answers, sizeof answers, MSG_DONTWAIT) == 0)
        return;
      while (vm_loop_iterate (d->machine.env.loop, false))
        ;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  static VncDouble *d; /* what one viewer leaves behind the next must live with */
  static const char hello[] = "RFB 003.008\n\1\1";

  if (!d)
    d = vnc_double_new (is ("login") ? "none,password=on" : "none,power-control=on,lossy=on,audiodev=a", WIDTH, HEIGHT);
  int fd = vnc_double_connect (d, false, is ("websocket"));
  if (is ("inside"))
    talk (d, fd, (const uint8_t *) hello, sizeof hello - 1);
  vm_console_damage (d->console, 3, 5, 100, 70);
  talk (d, fd, data, size);
  vm_console_lock (d->console);
  for (size_t i = 0; i < size && i < WIDTH * HEIGHT; i++)
    d->surface->data[i * 4] ^= data[i];
  vm_console_unlock (d->console);
  vm_console_damage (d->console, 0, 0, WIDTH, HEIGHT);
  shutdown (fd, SHUT_WR);
  g_usleep (200);
  close (fd);
  vnc_double_settle (d);
}

/* --- input that gets somewhere ------------------------------------------------------------------------------------ */

static void
put (GByteArray *out, unsigned bytes, uint32_t value)
{
  uint8_t data[4];

  vm_store_be32 (data, value);
  g_byte_array_append (out, data + 4 - bytes, bytes);
}

static void
put_encodings (GRand *rand, GByteArray *out)
{
  static const int32_t codes[] = { 0,    1,    5,    6,    7,    16,   -260, -223, -224, -239, -257,
                                   -258, -261, -308, -309, -314, -316, -32,  -25,  -247, -250, (int32_t) 0xc0a1e5ce };
  unsigned n = (unsigned) g_rand_int_range (rand, 0, 12);

  put (out, 2, 0x200);
  put (out, 2, n);
  while (n--)
    put (out, 4, (uint32_t) codes[g_rand_int_range (rand, 0, G_N_ELEMENTS (codes))]);
}

static void
put_format (GRand *rand, GByteArray *out)
{
  static const uint8_t formats[][13] = {
    { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 },
    { 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 },
    { 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6 },
    { 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
  };

  put (out, 4, 0);
  g_byte_array_append (out, formats[g_rand_int_range (rand, 0, G_N_ELEMENTS (formats))], 13);
  put (out, 3, 0);
}

static void
put_message (GRand *rand, GByteArray *out)
{
  unsigned n;

  switch (g_rand_int_range (rand, 0, 9))
    {
    case 0:
      put_format (rand, out);
      break;
    case 1:
    case 2:
      put_encodings (rand, out);
      break;
    case 3:
      put (out, 4, 0x04010000);
      put (out, 4, g_rand_boolean (rand) ? (uint32_t) g_rand_int_range (rand, 0, 256) : g_rand_int (rand));
      break;
    case 4:
      put (out, 2, 0x500 | (g_rand_int (rand) & 0xff));
      put (out, 4, g_rand_int (rand));
      break;
    case 5:
      put (out, 4, 0x06000000);
      n = (unsigned) g_rand_int_range (rand, 0, 40);
      put (out, 4, g_rand_boolean (rand) ? n : 0u - n);
      while (n--)
        put (out, 1, g_rand_int (rand));
      break;
    case 6:
      put (out, 2, 0xff00);
      put (out, 2, 1);
      put (out, 4, 'a');
      put (out, 4, g_rand_int (rand) & 0x1ff);
      break;
    case 7:
      put (out, 4, 0xfb000000 | (g_rand_int (rand) & 0xff));
      put (out, 4, g_rand_int (rand) & 0x00ff0100);
      for (unsigned i = 0; i < 4; i++)
        put (out, 4, g_rand_int (rand) & 0xff);
      break;
    default:
      put (out, 2, 0x300 | (g_rand_int (rand) & 1));
      put (out, 4, g_rand_int (rand) & 0x003f003f);
      put (out, 4, g_rand_boolean (rand) ? 0x00ff00ff : g_rand_int (rand));
      break;
    }
}

static void
make_login (GRand *rand, GByteArray *out)
{
  static const char *const versions[] = { "RFB 003.003\n", "RFB 003.007\n", "RFB 003.008\n", "RFB 003.889\n" };
  const char *version = versions[g_rand_int_range (rand, 0, G_N_ELEMENTS (versions))];

  g_byte_array_append (out, (const guint8 *) version, 12);
  put (out, 1, (uint32_t) g_rand_int_range (rand, 0, 4));
  for (unsigned i = 0; i < 24; i++)
    put (out, 1, g_rand_int (rand));
}

static void
make_websocket (GRand *rand, GByteArray *out)
{
  static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  g_autoptr (GByteArray) inner = g_byte_array_new ();

  g_byte_array_append (out, (const guint8 *) request, sizeof request - 1);
  g_byte_array_append (inner, (const guint8 *) "RFB 003.008\n\1\1", 14);
  for (int i = g_rand_int_range (rand, 0, 12); i > 0; i--)
    put_message (rand, inner);
  for (guint at = 0; at < inner->len;)
    {
      guint most = (guint) g_rand_int_range (rand, 1, 120), n = MIN (most, inner->len - at);
      put (out, 1, g_rand_int_range (rand, 0, 8) ? 0x82 : 0x89);
      put (out, 1, 0x80 | n);
      put (out, 4, 0);
      g_byte_array_append (out, inner->data + at, n);
      at += n;
    }
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  if (is ("login"))
    make_login (rand, input);
  else if (is ("websocket"))
    make_websocket (rand, input);
  else
    for (int i = g_rand_int_range (rand, 1, 30); i > 0; i--)
      put_message (rand, input);
  for (int i = g_rand_int_range (rand, 0, 3); i > 0 && input->len; i--)
    input->data[g_rand_int_range (rand, 0, (gint32) input->len)] = (uint8_t) g_rand_int (rand);
}
