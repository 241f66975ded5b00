/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of strangers: FUZZ_BYTES says who reads them. The same bytes in one piece and in many must mean the same. */
#include "engine/char/baum.h"
#include "engine/char/char-wire.h"
#include "engine/crypto/secret.h"
#include "tests/fuzz/fuzz.h"

typedef struct Target
{
  const char *name;
  void (*run) (const uint8_t *data, size_t size);
} Target;

/* --- sockets ------------------------------------------------------------------------------------- */

typedef struct Outcome
{
  GByteArray *text, *out;
  unsigned breaks;
  bool fine;
} Outcome;

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

static Outcome
decode (VmCharWireKind kind, const uint8_t *data, size_t size, size_t piece)
{
  Outcome o = { g_byte_array_new (), g_byte_array_new (), 0, true };
  VmCharWire *wire = vm_char_wire_new (kind, o.out);

  if (kind == VM_CHAR_WIRE_WEBSOCKET && size && (data[0] & 1)) /* past the request */
    g_assert_true (vm_char_wire_decode (wire, (const uint8_t *) request, strlen (request), o.text, o.out, &o.breaks));
  for (size_t at = 0, n; at < size && o.fine; at += n)
    {
      guint before = o.text->len;

      n = MIN (piece, size - at);
      o.fine = vm_char_wire_decode (wire, data + at, n, o.text, o.out, &o.breaks);
      g_assert_cmpuint (o.text->len - before, <=, n * 2);
      vm_char_wire_encode (wire, data + at, 0, o.out);
    }
  vm_char_wire_end (wire, o.out);
  vm_char_wire_free (wire);
  return o;
}

static void
run_wire (VmCharWireKind kind, const uint8_t *data, size_t size)
{
  Outcome whole = decode (kind, data, size, SIZE_MAX), pieces = decode (kind, data, size, size ? data[0] % 13 + 1 : 1);

  g_assert_cmpmem (whole.text->data, whole.text->len, pieces.text->data, pieces.text->len);
  g_assert_cmpmem (whole.out->data, whole.out->len, pieces.out->data, pieces.out->len);
  g_assert_cmpuint (whole.breaks, ==, pieces.breaks);
  g_byte_array_unref (whole.text);
  g_byte_array_unref (whole.out);
  g_byte_array_unref (pieces.text);
  g_byte_array_unref (pieces.out);
}

static void
run_telnet (const uint8_t *data, size_t size)
{
  run_wire (VM_CHAR_WIRE_TELNET, data, size);
}

static void
run_tn3270 (const uint8_t *data, size_t size)
{
  run_wire (VM_CHAR_WIRE_TN3270, data, size);
}

static void
run_websocket (const uint8_t *data, size_t size)
{
  run_wire (VM_CHAR_WIRE_WEBSOCKET, data, size);
}

/* --- secrets ------------------------------------------------------------------------------------- */

/* The first byte chooses the form, the next 32 are the key; an iv of two kinds. */
static void
run_secret (const uint8_t *data, size_t size)
{
  static const char *const ivs[] = { "AAAAAAAAAAAAAAAAAAAAAA==", "!", NULL, "AAAA" };
  g_autoptr (GError) error = NULL;
  size_t len = 0;

  if (size < 33)
    return;
  const uint8_t *key = data[0] & 2 ? data + 1 : NULL;
  size_t key_len = data[0] & 4 ? 31 : VM_SECRET_KEY_SIZE;
  uint8_t *bytes = vm_secret_decode (data + 33, size - 33, data[0] & 1 ? VM_SECRET_BASE64 : VM_SECRET_RAW, key, key_len,
                                     ivs[data[0] >> 3 & 3], &len, &error);
  g_assert_true ((bytes == NULL) == (error != NULL));
  g_assert_cmpuint (len, <=, size);
  vm_secret_free (bytes, bytes ? len : 0);
}

/* --- braille ------------------------------------------------------------------------------------- */

static void
run_baum (const uint8_t *data, size_t size)
{
  VmBaum baum = { .cells = size ? data[0] % VM_BAUM_CELLS_MAX + 1 : 1 };
  g_autoptr (GByteArray) out = g_byte_array_new ();

  vm_baum_receive (&baum, data, size, out);
  g_assert_cmpuint (out->len, <=, size * 16);
}

static const Target targets[] = {
  { "baum", run_baum },           { "telnet", run_telnet }, { "tn3270", run_tn3270 },
  { "websocket", run_websocket }, { "secret", run_secret },
};

void
fuzz_one (const uint8_t *data, size_t size)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (targets); i++)
    if (!strcmp (targets[i].name, FUZZ_BYTES))
      targets[i].run (data, size);
}

/* Half of the bytes are such as mean something to somebody. */
static uint8_t
likely_byte (GRand *rand)
{
  static const uint8_t favourites[] = { 0xff, 0xfa, 0xf0, 0xfb, 0xfd, 0xfe, 0xef, 0xf3, 0x00, 0x18, 0x19, 0x01,
                                        0x81, 0x82, 0x80, 0x89, 0x88, 0x8a, 0xfe, 0x7e, 0x84, 'A',  'b',  '=' };

  return g_rand_boolean (rand) ? (uint8_t) g_rand_int (rand)
                               : favourites[g_rand_int_range (rand, 0, G_N_ELEMENTS (favourites))];
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_byte_array_set_size (input, (guint) g_rand_int_range (rand, 0, 2048));
  for (guint i = 0; i < input->len; i++)
    input->data[i] = likely_byte (rand);
}
