/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The terminal of text consoles: any bytes, on screens of several sizes, looked at in between. */
#include "engine/display/terminal.h"
#include "tests/fuzz/fuzz.h"

static void
count_answer (void *opaque, const uint8_t *bytes, size_t len)
{
  *(size_t *) opaque += len;
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Input in = { data, size };
  size_t answered = 0;
  unsigned columns = take (&in, 1) % 132, rows = take (&in, 1) % 50;
  VmTerminal *t = vm_terminal_new (columns, rows, count_answer, &answered);

  while (in.left)
    {
      size_t n = MIN (in.left, 64);
      uint8_t key[VM_TERMINAL_KEY_MAX];

      vm_terminal_feed (t, in.data, n);
      vm_terminal_key (t, in.data[0] << 8 | in.data[n - 1], in.data[0], key);
      vm_terminal_scroll (t, (int8_t) in.data[n - 1]);
      if (in.data[0] == 'L')
        vm_terminal_lost (t);
      in.data += n;
      in.left -= n;
      VmCells *cells = vm_terminal_cells (t);
      g_assert_cmpint (cells->cursor_x, <, (int) cells->columns);
      g_assert_cmpint (cells->cursor_y, <, (int) cells->rows);
      for (size_t i = 0; i < (size_t) cells->columns * cells->rows; i++)
        {
          g_assert_cmpuint (cells->cells[i].c, <=, 0x10ffff);
          vm_cell_rgb (cells->cells[i].foreground);
        }
      vm_font_glyph (cells->cells[0].c, key);
      vm_cells_unref (cells);
    }
  vm_terminal_free (t);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  static const char finals[] = "@ABCDEFGHIJKLMPSTXZ`abcdefghlmnprstu";
  static const char *const others[]
      = { "\0337",    "\0338",       "\033D",       "\033E",      "\033M",    "\033H",        "\033c",
          "\033(0",   "\033(B",      "\033#8",      "\033]0;t\a", "\033P",    "\033\\",       "\n",
          "\r",       "\t",          "\b",          "\016",       "\017",     "\xe6\xbc\xa2", "\xc3",
          "\xcc\x81", "\033[?1049h", "\033[?1049l", "\033[?6h",   "\033[?7l", "\033[4h",      "\033[!p" };

  for (int i = g_rand_int_range (rand, 2, 400); i > 0; i--)
    {
      g_autofree char *text = NULL;
      int kind = g_rand_int_range (rand, 0, 8);

      if (kind < 4)
        text = g_strdup_printf ("\033[%s%d%s%d%c", kind == 3 ? "?" : "", g_rand_int_range (rand, 0, 60),
                                kind == 2 ? ":" : ";", g_rand_int_range (rand, 0, 12000),
                                finals[g_rand_int_range (rand, 0, sizeof finals - 1)]);
      else if (kind < 6)
        text = g_strdup (others[g_rand_int_range (rand, 0, G_N_ELEMENTS (others))]);
      else if (kind == 6)
        text = g_strnfill ((gsize) g_rand_int_range (rand, 0, 200), (char) g_rand_int_range (rand, 33, 127));
      else
        text = g_strdup_printf ("%c%c", g_rand_int_range (rand, 1, 256), g_rand_int_range (rand, 1, 256));
      g_byte_array_append (input, (const uint8_t *) text, (guint) strlen (text));
    }
}
