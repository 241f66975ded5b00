/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Framing of gdb's packets. */
#include "engine/debug/gdb-packet.h"

static GdbFrame
feed (GdbFramer *f, const char *bytes, size_t len)
{
  GdbFrame last = GDB_FRAME_MORE;

  for (size_t i = 0; i < len; i++)
    {
      GdbFrame frame = gdb_framer_feed (f, (uint8_t) bytes[i]);
      if (frame != GDB_FRAME_MORE)
        last = frame;
    }
  return last;
}

#define FEED(f, text) feed (f, text, sizeof text - 1)

static void
test_frames (void)
{
  g_autofree GdbFramer *f = g_new0 (GdbFramer, 1);

  g_assert_cmpint (FEED (f, "++noise$?#3f"), ==, GDB_FRAME_PACKET);
  g_assert_cmpstr (f->data, ==, "?");
  g_assert_cmpint (FEED (f, "$?#3F"), ==, GDB_FRAME_PACKET);
  g_assert_cmpint (FEED (f, "$?#3e"), ==, GDB_FRAME_BAD);
  g_assert_cmpint (FEED (f, "$?#3x"), ==, GDB_FRAME_BAD);
  g_assert_cmpint (FEED (f, "$?#x3"), ==, GDB_FRAME_BAD);
  g_assert_cmpint (FEED (f, "$lost$?#3f"), ==, GDB_FRAME_PACKET);
  g_assert_cmpuint (f->len, ==, 1);
  g_assert_cmpint (FEED (f, "-"), ==, GDB_FRAME_NAK);
  g_assert_cmpint (FEED (f, "\3"), ==, GDB_FRAME_BREAK);
  g_assert_cmpint (FEED (f, "$a\3"), ==, GDB_FRAME_MORE); /* inside it is data */
  g_assert_cmpint (FEED (f, "#64"), ==, GDB_FRAME_PACKET);
  g_assert_cmpint (FEED (f, "$#00"), ==, GDB_FRAME_PACKET);
  g_assert_cmpuint (f->len, ==, 0);
}

static void
test_escapes (void)
{
  static const char data[] = "a#b$c}d*e\0f\3";
  g_autofree GdbFramer *f = g_new0 (GdbFramer, 1);
  g_autoptr (GString) out = g_string_new (NULL);

  gdb_packet_append (out, data, sizeof data);
  g_assert_cmpint (feed (f, out->str, out->len), ==, GDB_FRAME_PACKET);
  g_assert_cmpmem (f->data, f->len, data, sizeof data);
  g_assert_cmpint (f->data[f->len], ==, 0);
  g_string_assign (out, "");
  gdb_packet_append (out, "OK", 2);
  g_assert_cmpstr (out->str, ==, "$OK#9a");
}

static void
test_long (void)
{
  g_autofree GdbFramer *f = g_new0 (GdbFramer, 1);
  g_autofree char *data = g_strnfill (GDB_PACKET_MAX + 1, 'x');
  g_autoptr (GString) out = g_string_new (NULL);

  gdb_packet_append (out, data, GDB_PACKET_MAX);
  g_assert_cmpint (feed (f, out->str, out->len), ==, GDB_FRAME_PACKET);
  g_assert_cmpuint (f->len, ==, GDB_PACKET_MAX);
  g_string_assign (out, "");
  gdb_packet_append (out, data, GDB_PACKET_MAX + 1);
  g_assert_cmpint (feed (f, out->str, out->len), ==, GDB_FRAME_LONG);
  g_assert_cmpint (FEED (f, "$?#3f"), ==, GDB_FRAME_PACKET);
}

static void
test_numbers (void)
{
  static const struct
  {
    const char *text;
    bool ok;
    uint64_t value;
    const char *rest;
  } cases[] = {
    { "0", true, 0, "" },
    { "1f,2", true, 0x1f, ",2" },
    { "FFFFFFFFFFFFFFFF", true, UINT64_MAX, "" },
    { "0000000000000000001", true, 1, "" },
    { "10000000000000000", false, 0, NULL },
    { "", false, 0, NULL },
    { "x", false, 0, NULL },
  };
  uint8_t bytes[3] = { 0 };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *p = cases[i].text;
      uint64_t value;

      g_assert_cmpint (gdb_number_parse (&p, &value), ==, cases[i].ok);
      if (!cases[i].ok)
        continue;
      g_assert_cmphex (value, ==, cases[i].value);
      g_assert_cmpstr (p, ==, cases[i].rest);
    }
  g_assert_true (gdb_hex_parse ("00fFa5", bytes, 3));
  g_assert_cmpmem (bytes, 3, "\0\xff\xa5", 3);
  g_assert_false (gdb_hex_parse ("00f", bytes, 2));
  g_assert_false (gdb_hex_parse ("0g", bytes, 1));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gdb/packet/frames", test_frames);
  g_test_add_func ("/gdb/packet/escapes", test_escapes);
  g_test_add_func ("/gdb/packet/long", test_long);
  g_test_add_func ("/gdb/packet/numbers", test_numbers);
  return g_test_run ();
}
