/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The terminal of text consoles: what programs send, the cells that come of it, keys, and the font. */
#include "engine/display/terminal.h"

#include <string.h>

static GString *answers;

static void
take_answer (void *opaque, const uint8_t *bytes, size_t len)
{
  g_string_append_len (opaque, (const char *) bytes, (gssize) len);
}

static VmTerminal *
terminal (unsigned columns, unsigned rows, const char *text)
{
  VmTerminal *t = vm_terminal_new (columns, rows, take_answer, answers);

  vm_terminal_feed (t, (const uint8_t *) text, strlen (text));
  return t;
}

static void
feed (VmTerminal *t, const char *text)
{
  vm_terminal_feed (t, (const uint8_t *) text, strlen (text));
}

/* The rows as text, trailing spaces cut, joined by "|". */
static char *
screen (VmTerminal *t)
{
  VmCells *cells = vm_terminal_cells (t);
  g_autoptr (GString) text = g_string_new (NULL);

  for (unsigned y = 0; y < cells->rows; y++)
    {
      if (y)
        g_string_append_c (text, '|');
      for (unsigned x = 0; x < cells->columns; x++)
        {
          const VmCell *cell = &cells->cells[y * cells->columns + x];
          if (!(cell->attributes & VM_CELL_RIGHT))
            g_string_append_unichar (text, cell->c ? cell->c : ' ');
        }
      while (text->len && text->str[text->len - 1] == ' ')
        g_string_truncate (text, text->len - 1);
    }
  vm_cells_unref (cells);
  return g_strdup (text->str);
}

/* What TEXT makes on a fresh screen of 10 by 4. */
static void
expect (const char *text, const char *want)
{
  VmTerminal *t = terminal (10, 4, text);
  g_autofree char *is = screen (t);

  g_assert_cmpstr (is, ==, want);
  vm_terminal_free (t);
}

static void
test_text (void)
{
  expect ("hello", "hello|||");
  expect ("one\r\ntwo\r\nthree", "one|two|three|");
  expect ("0123456789ab", "0123456789|ab||");
  expect ("0123456789\r\nab", "0123456789|ab||");
  expect ("1\r\n2\r\n3\r\n4\r\n5", "2|3|4|5");
  expect ("abc\b\bX", "aXc|||");
  expect ("a\tb", "a       b|||");
  expect ("\033[?7l0123456789xyz", "012345678z|||");
  expect ("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80!", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80!|||");
  expect ("\xe6\xbc\xa2\xe5\xad\x97", "\xe6\xbc\xa2\xe5\xad\x97|||");
  expect ("\xe6\xbc\xa2\rx", "x|||");
  expect ("\xff\xc3(\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd(|||");
  expect ("\xe2\x82\033[mA", "\xef\xbf\xbd"
                             "A|||");
  expect ("\033(0lqk\033(Bq", "\xe2\x94\x8c\xe2\x94\x80\xe2\x94\x90q|||");
  expect ("\033)0\016x\017x", "\xe2\x94\x82x|||");
}

static void
test_cursor (void)
{
  expect ("\033[3;4HX", "||   X|");
  expect ("\033[99;99HX", "|||         X");
  expect ("abc\033[2DX\033[B\033[DY", "aXc| Y||");
  expect ("\033[2;2H\0337\033[HX\0338Y", "X| Y||");
  expect ("\033[3GX\033[2dY\033[4`Z", "  X|   Z||");
  expect ("a\033[2EX\033[FY", "a|Y|X|");
  expect ("\033[20CX\033[5ZY\033[IZ", "Y       ZX|||");
  expect ("\033[6n\033[3;5H\033[6n\033[5n\033[c\033[18t", "|||");
  g_assert_cmpstr (answers->str, ==, "\033[1;1R\033[3;5R\033[0n\033[?62;22c\033[8;4;10t");
  g_string_truncate (answers, 0);
}

static void
test_erase (void)
{
#define FULL "0123456789\r\nabcdefghij\r\nABCDEFGHIJ\r\nklmnopqrst\033[2;5H"
  expect (FULL "\033[K", "0123456789|abcd|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[1K", "0123456789|     fghij|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[2K", "0123456789||ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[J", "0123456789|abcd||");
  expect (FULL "\033[1J", "|     fghij|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[2J", "|||");
  expect (FULL "\033[2P", "0123456789|abcdghij|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[2@", "0123456789|abcd  efgh|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[3X", "0123456789|abcd   hij|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[4hXY", "0123456789|abcdXYefgh|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[L", "0123456789||abcdefghij|ABCDEFGHIJ");
  expect (FULL "\033[M", "0123456789|ABCDEFGHIJ|klmnopqrst|");
  expect (FULL "\033[2;3r\033[99;1H\n", "0123456789|abcdefghij|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[2;3r\033[3;1H\n", "0123456789|ABCDEFGHIJ||klmnopqrst");
  expect (FULL "\033[2;3r\033[2;1H\033M", "0123456789||abcdefghij|klmnopqrst");
  expect (FULL "\033[2;3r\033[?6h\033[HX", "0123456789|Xbcdefghij|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033[S", "abcdefghij|ABCDEFGHIJ|klmnopqrst|");
  expect (FULL "\033[T", "|0123456789|abcdefghij|ABCDEFGHIJ");
  expect (FULL "\033[?1049hmore\033[?1049lX", "0123456789|abcdXfghij|ABCDEFGHIJ|klmnopqrst");
  expect (FULL "\033c", "|||");
  expect ("-\033[4b", "-----|||");
  expect ("\033#8", "EEEEEEEEEE|EEEEEEEEEE|EEEEEEEEEE|EEEEEEEEEE");
}

static void
test_strings (void)
{
  expect ("a\033]0;a title\ab", "ab|||");
  expect ("a\033]0;a title\033\\b", "ab|||");
  expect ("a\033P1$rdata\033\\b", "ab|||");
  expect ("a\033]P1ff00ffb", "ab|||");
  expect ("a\033]Rb", "ab|||");
  expect ("a\033[1;2\030b", "ab|||");
  expect ("a\033[<5;1zb\033[>1qc", "abc|||");
  expect ("a\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mb", "ab|||");
}

static void
expect_cell (const char *text, uint32_t attributes, uint32_t foreground, uint32_t background)
{
  VmTerminal *t = terminal (10, 4, text);
  VmCells *cells = vm_terminal_cells (t);

  g_assert_cmphex (cells->cells[0].attributes, ==, attributes);
  g_assert_cmphex (cells->cells[0].foreground, ==, foreground);
  g_assert_cmphex (cells->cells[0].background, ==, background);
  vm_cells_unref (cells);
  vm_terminal_free (t);
}

static void
test_colors (void)
{
  expect_cell ("x", 0, 7, 0);
  expect_cell ("\033[1;31;44mx", VM_CELL_BOLD, 1, 4);
  expect_cell ("\033[1;4;7;22;24mx", VM_CELL_REVERSE, 7, 0);
  expect_cell ("\033[95;103mx", 0, 13, 11);
  expect_cell ("\033[38;5;200;48;5;17mx", 0, 200, 17);
  expect_cell ("\033[38;2;1;2;3;4mx", VM_CELL_UNDERLINE, VM_CELL_RGB | 0x010203, 0);
  expect_cell ("\033[38:2::1:2:3;48:5:9;1mx", VM_CELL_BOLD, VM_CELL_RGB | 0x010203, 9);
  expect_cell ("\033[38:2:1:2:3mx", 0, VM_CELL_RGB | 0x010203, 0);
  expect_cell ("\033[4:3mx", VM_CELL_UNDERLINE, 7, 0);
  expect_cell ("\033[4m\033[4:0mx", 0, 7, 0);
  expect_cell ("\033[31;42m\033[39;49mx", 0, 7, 0);
  expect_cell ("\033[41m\033[2J", 0, 7, 1);
  expect_cell ("\033[38;5mx", 0, 7, 0);
  expect_cell ("\033[38mx", 0, 7, 0);
  expect_cell ("\033[?5hx", VM_CELL_REVERSE, 7, 0);
  g_assert_cmphex (vm_cell_rgb (1), ==, 0xaa0000);
  g_assert_cmphex (vm_cell_rgb (16 + 36 * 5), ==, 0xff0000);
  g_assert_cmphex (vm_cell_rgb (255), ==, 0xeeeeee);
  g_assert_cmphex (vm_cell_rgb (VM_CELL_RGB | 0x123456), ==, 0x123456);
}

static void
test_scrollback (void)
{
  VmTerminal *t = vm_terminal_new (10, 3, NULL, NULL);
  g_autofree char *back = NULL, *further = NULL, *kept = NULL, *now = NULL, *other = NULL, *cleared = NULL;

  for (unsigned i = 0; i < 100; i++)
    {
      g_autofree char *line = g_strdup_printf ("%u\r\n", i);
      feed (t, line);
    }
  vm_terminal_scroll (t, 2);
  back = screen (t);
  g_assert_cmpstr (back, ==, "96|97|98");
  feed (t, "new\r\n"); /* what is looked at stays */
  kept = screen (t);
  g_assert_cmpstr (kept, ==, "96|97|98");
  vm_terminal_scroll (t, 10000);
  further = screen (t);
  g_assert_cmpstr (further, ==, "0|1|2");
  vm_terminal_scroll (t, -10000);
  now = screen (t);
  g_assert_cmpstr (now, ==, "99|new|");
  feed (t, "\033[?1049h\r\n\r\n\r\n\r\n"); /* the alternate screen keeps nothing */
  vm_terminal_scroll (t, 1);
  feed (t, "\033[?1049l\033[3J");
  vm_terminal_scroll (t, 5);
  cleared = screen (t);
  g_assert_cmpstr (cleared, ==, "99|new|");
  vm_terminal_free (t);

  /* Far more than is kept. */
  t = vm_terminal_new (512, 2, NULL, NULL);
  for (unsigned i = 0; i < 3000; i++)
    feed (t, "x\r\n");
  vm_terminal_scroll (t, INT_MAX);
  other = screen (t);
  g_assert_cmpstr (other, ==, "x|x");
  vm_terminal_free (t);
}

static void
expect_key (const char *modes, uint32_t keysym, unsigned modifiers, const char *want)
{
  VmTerminal *t = terminal (10, 4, modes);
  uint8_t bytes[VM_TERMINAL_KEY_MAX];
  size_t n = vm_terminal_key (t, keysym, modifiers, bytes);
  g_autofree char *is = g_strndup ((char *) bytes, n);

  g_assert_cmpstr (is, ==, want);
  vm_terminal_free (t);
}

static void
test_keys (void)
{
  expect_key ("", 'a', 0, "a");
  expect_key ("", 'A', VM_TYPE_SHIFT, "A");
  expect_key ("", 0xe4, 0, "\xc3\xa4");
  expect_key ("", 0x01000000 + 0x20ac, 0, "\xe2\x82\xac");
  expect_key ("", 'c', VM_TYPE_CTRL, "\003");
  expect_key ("", 'x', VM_TYPE_ALT, "\033x");
  expect_key ("", '[', VM_TYPE_CTRL, "\033");
  expect_key ("", 0xff08, 0, "\177");
  expect_key ("", 0xff0d, 0, "\r");
  expect_key ("\033[20h", 0xff0d, 0, "\r\n");
  expect_key ("", 0xff52, 0, "\033[A");
  expect_key ("\033[?1h", 0xff52, 0, "\033OA");
  expect_key ("", 0xff53, VM_TYPE_CTRL, "\033[1;5C");
  expect_key ("", 0xffff, 0, "\033[3~");
  expect_key ("", 0xffc9, VM_TYPE_SHIFT, "\033[24;2~");
  expect_key ("", 0xffbe, 0, "\033OP");
  expect_key ("", 0xff09, VM_TYPE_SHIFT, "\033[Z");
  expect_key ("", 0xffb5, 0, "5");
  expect_key ("", 0xffe1, 0, "");
  expect_key ("", 0, 0, "");
}

static void
test_font (void)
{
  uint8_t rows[VM_FONT_HEIGHT], other[VM_FONT_HEIGHT];

  g_assert_true (vm_font_glyph ('A', rows));
  g_assert_true (vm_font_glyph (0x2500, other));
  g_assert_cmpmem (other + 7, 1, "\xff", 1);
  g_assert_true (vm_font_glyph (0x2502, other));
  for (unsigned y = 0; y < VM_FONT_HEIGHT; y++)
    g_assert_cmphex (other[y], ==, 0x10);
  g_assert_true (vm_font_glyph (0x2588, other));
  for (unsigned y = 0; y < VM_FONT_HEIGHT; y++)
    g_assert_cmphex (other[y], ==, 0xff);
  for (uint32_t c = 0x20; c < 0x180; c++)
    g_assert_true (vm_font_glyph (c, other) || c < 0xa0);
  g_assert_false (vm_font_glyph (0x6f22, other));
  g_assert_false (vm_font_glyph (0x10ffff, other));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  answers = g_string_new (NULL);
  g_test_add_func ("/terminal/text", test_text);
  g_test_add_func ("/terminal/cursor", test_cursor);
  g_test_add_func ("/terminal/erase", test_erase);
  g_test_add_func ("/terminal/strings", test_strings);
  g_test_add_func ("/terminal/colors", test_colors);
  g_test_add_func ("/terminal/scrollback", test_scrollback);
  g_test_add_func ("/terminal/keys", test_keys);
  g_test_add_func ("/terminal/font", test_font);
  int status = g_test_run ();
  g_string_free (answers, TRUE);
  return status;
}
