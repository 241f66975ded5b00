/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One console at a time, as text, in the terminal. All of it is on the main thread; the engine's wakes it. */
#include "config.h"

#define NCURSES_WIDECHAR 1
#include "ui/curses/ui-curses.h"

#include <curses.h>
#include <glib-unix.h>
#include <linux/input-event-codes.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/display/cells.h"
#include "engine/input/layout.h"
#include "ui/curses/curses-keys.h"

#define INTERVAL_MS 33
#define ESCAPE_MS 200    /* after which an Esc is that key, and not the begin of a combination */
#define ESCAPE_ALT_MS 30 /* until which the terminal has sent the rest of Alt and a key */

typedef struct Ui
{
  VmSession *session;
  GMainLoop *loop;
  VmLayout *layout;
  wchar_t font[256];  /* what characters of the guest's font look like */
  VmConsole *console; /* NULL: none; a reference */
  VmListener listener;
  int woken;          /* atomic: a look is on its way */
  int colors;         /* 16, 8; 0: none */
  guint escape_timer; /* 0: no Esc waits */
  gint64 escape_at;
  unsigned typed_at_once; /* keys of this burst */
} Ui;

/* --- from the engine's threads ------------------------------------------------------------------------------------ */

static gboolean ui_look (gpointer data);

static void
on_damaged (VmListener *listener, VmConsole *console)
{
  Ui *ui = VM_CONTAINER_OF (listener, Ui, listener);

  if (g_atomic_int_compare_and_exchange (&ui->woken, 0, 1))
    g_idle_add (ui_look, ui);
}

static const VmListenerOps listener_ops = { .damaged = on_damaged };

/* --- drawing ------------------------------------------------------------------------------------------------------ */

/* The place of a colour among the sixteen that terminals agree on. */
static int
nearest_of_16 (uint32_t color)
{
  uint32_t rgb = vm_cell_rgb (color);
  int best = 0, best_distance = INT_MAX;

  if (color < 16)
    return (int) color;
  for (int i = 0; i < 16; i++)
    {
      uint32_t other = vm_cell_rgb ((uint32_t) i);
      int distance = 0;
      for (int shift = 0; shift < 24; shift += 8)
        {
          int d = (int) (rgb >> shift & 0xff) - (int) (other >> shift & 0xff);
          distance += d * d;
        }
      if (distance < best_distance)
        {
          best = i;
          best_distance = distance;
        }
    }
  return best;
}

/* Pair 0 is what the terminal has by itself: light on dark. */
static short
pair_of (const Ui *ui, int foreground, int background)
{
  if (ui->colors == 16)
    return (short) (1 + background * 16 + foreground);
  return ui->colors ? (short) ((background & 7) * 8 + (7 - (foreground & 7))) : 0;
}

static void
ui_make_colors (Ui *ui)
{
  if (!has_colors () || start_color () == ERR)
    return;
  ui->colors = COLORS >= 16 && COLOR_PAIRS > 256 ? 16 : 8;
  for (int background = 0; background < ui->colors; background++)
    for (int foreground = 0; foreground < ui->colors; foreground++)
      if (pair_of (ui, foreground, background))
        init_pair (pair_of (ui, foreground, background), (short) foreground, (short) background);
}

/* What the host's character set does not have becomes something like it. */
static wchar_t
showable (wchar_t c)
{
  char bytes[MB_LEN_MAX];
  mbstate_t state = { 0 };

  if (c < 0x20 || (c >= 0x7f && c < 0xa0))
    return L' ';
  if (c < 0x80 || wcrtomb (bytes, c, &state) != (size_t) -1)
    return c;
  if (c == 0x2502 || c == 0x2551)
    return L'|';
  if (c == 0x2500 || c == 0x2550)
    return L'-';
  return c > 0x2500 && c < 0x2580 ? L'+' : c >= 0x2580 && c < 0x25a0 ? L'#' : L'?';
}

static void
ui_draw_cell (Ui *ui, const VmCell *cell, bool code_page, int y, int x)
{
  static const struct
  {
    uint32_t from;
    attr_t to;
  } map[] = {
    { VM_CELL_DIM, A_DIM },     { VM_CELL_ITALIC, A_ITALIC },   { VM_CELL_UNDERLINE, A_UNDERLINE },
    { VM_CELL_BLINK, A_BLINK }, { VM_CELL_REVERSE, A_REVERSE }, { VM_CELL_HIDDEN, A_INVIS },
  };
  int foreground = nearest_of_16 (cell->foreground), background = nearest_of_16 (cell->background);
  wchar_t text[] = { showable (code_page ? ui->font[cell->c & 0xff] : cell->c ? (wchar_t) cell->c : L' '), 0 };
  attr_t attributes = 0;
  cchar_t c;

  for (size_t i = 0; i < G_N_ELEMENTS (map); i++)
    if (cell->attributes & map[i].from)
      attributes |= map[i].to;
  if (cell->attributes & VM_CELL_BOLD && foreground < 8)
    foreground += 8;
  if (ui->colors != 16 && foreground >= 8)
    attributes |= A_BOLD;
  if (setcchar (&c, text, attributes, pair_of (ui, foreground, background), NULL) == OK)
    mvadd_wch (y, x, &c);
}

/* Where the first of SIZE goes in ROOM: a smaller screen is in the middle, of a bigger one the part with the cursor is
 * seen. */
static int
place (int size, int room, int cursor)
{
  if (size <= room)
    return (room - size) / 2;
  return -CLAMP (cursor - room / 2, 0, size - room);
}

static void
ui_draw_cells (Ui *ui, const VmCells *cells)
{
  int left = place ((int) cells->columns, COLS, cells->cursor_x),
      top = place ((int) cells->rows, LINES, cells->cursor_y);
  int x = left + cells->cursor_x, y = top + cells->cursor_y;
  bool shown = cells->cursor_x >= 0 && x >= 0 && x < COLS && y >= 0 && y < LINES;

  for (int row = MAX (0, -top); row < (int) cells->rows && top + row < LINES; row++)
    for (int column = MAX (0, -left); column < (int) cells->columns && left + column < COLS; column++)
      {
        const VmCell *cell = &cells->cells[(size_t) row * cells->columns + column];
        if (!(cell->attributes & VM_CELL_RIGHT))
          ui_draw_cell (ui, cell, cells->code_page, top + row, left + column);
      }
  curs_set (shown);
  if (shown)
    move (y, x);
}

static void
ui_say (const char *text)
{
  mvaddnstr (LINES / 2, MAX (0, (COLS - (int) strlen (text)) / 2), text, COLS);
  curs_set (0);
}

static void
ui_draw (Ui *ui)
{
  VmCells *cells = ui->console ? vm_console_cells (ui->console) : NULL;
  int width = 0, height = 0;

  erase ();
  if (cells)
    ui_draw_cells (ui, cells);
  else
    {
      g_autofree char *text = NULL;
      if (ui->console)
        vm_console_size (ui->console, &width, &height);
      text = width ? g_strdup_printf ("%d x %d Graphic mode", width, height) : g_strdup ("Nothing is shown yet");
      ui_say (text);
    }
  vm_cells_unref (cells);
  refresh ();
}

static gboolean
ui_look (gpointer data)
{
  Ui *ui = data;
  VmRect rect;
  unsigned n;
  bool changed;

  g_atomic_int_set (&ui->woken, 0);
  if (ui->console) /* the damage is what is in the way of being told again */
    vm_surface_unref (vm_listener_pull (&ui->listener, ui->console, &rect, 1, &n, &changed));
  ui_draw (ui);
  return G_SOURCE_REMOVE;
}

/* --- consoles ----------------------------------------------------------------------------------------------------- */

static void
ui_drop_console (Ui *ui)
{
  if (!ui->console)
    return;
  vm_listener_remove (vm_session_display (ui->session), &ui->listener);
  g_clear_pointer (&ui->console, vm_console_unref);
}

static void
ui_show (Ui *ui, unsigned index)
{
  VmDisplay *display = vm_session_display (ui->session);
  VmConsole *console = vm_display_ref_console (display, index);

  if (!console)
    return;
  ui_drop_console (ui);
  ui->console = console;
  vm_listener_add (display, &ui->listener, console);
  vm_listener_set_interval (display, &ui->listener, INTERVAL_MS * 1000);
  ui_look (ui);
}

/* The one that is shown may have gone. */
static void
ui_check_console (Ui *ui)
{
  VmDisplay *display = vm_session_display (ui->session);

  if (ui->console && vm_display_console (display, vm_console_index (ui->console)) == ui->console)
    return;
  ui_drop_console (ui);
  for (unsigned i = 0; i < vm_display_n_consoles (display) && !ui->console; i++)
    ui_show (ui, i);
  if (!ui->console)
    ui_draw (ui);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void
ui_type (Ui *ui, uint32_t keysym, unsigned modifiers)
{
  VmInput *input = vm_session_input (ui->session);
  unsigned needs;

  if (!ui->console)
    return;
  if (vm_console_is_text (ui->console))
    {
      vm_console_type (ui->console, keysym, modifiers);
      return;
    }
  uint16_t key = vm_layout_find (ui->layout, keysym, 0, &needs);
  if (!key)
    return;
  if (needs == UINT_MAX)
    needs = 0;
  const struct
  {
    bool held;
    uint16_t key;
  } holds[] = {
    { modifiers & VM_TYPE_SHIFT || needs & VM_LEVEL_SHIFT, KEY_LEFTSHIFT },
    { modifiers & VM_TYPE_CTRL, KEY_LEFTCTRL },
    { modifiers & VM_TYPE_ALT, KEY_LEFTALT },
    { needs & VM_LEVEL_ALTGR, KEY_RIGHTALT },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (holds); i++)
    if (holds[i].held)
      vm_input_key (input, ui->console, holds[i].key, true);
  vm_input_key (input, ui->console, key, true);
  vm_input_key (input, ui->console, key, false);
  for (size_t i = G_N_ELEMENTS (holds); i-- > 0;)
    if (holds[i].held)
      vm_input_key (input, ui->console, holds[i].key, false);
}

static gboolean
ui_escape_alone (gpointer data)
{
  Ui *ui = data;

  ui->escape_timer = 0;
  ui_type (ui, 0xff1b, 0);
  return G_SOURCE_REMOVE;
}

static void
ui_take_key (Ui *ui, uint32_t keysym, unsigned modifiers)
{
  gint64 now = g_get_monotonic_time ();

  if (!ui->escape_timer && keysym == 0xff1b)
    {
      ui->escape_at = now;
      ui->escape_timer = g_timeout_add (ESCAPE_MS, ui_escape_alone, ui);
      return;
    }
  if (ui->escape_timer)
    {
      g_clear_handle_id (&ui->escape_timer, g_source_remove);
      if (keysym >= '1' && keysym <= '9')
        {
          ui_show (ui, keysym - '1');
          return;
        }
      if (now - ui->escape_at <= ESCAPE_ALT_MS * 1000)
        modifiers |= VM_TYPE_ALT;
      else
        ui_type (ui, 0xff1b, 0);
    }
  ui_type (ui, keysym, modifiers);
}

static gboolean
ui_typed (int fd, GIOCondition condition, gpointer data)
{
  Ui *ui = data;
  wint_t code;
  int kind;

  if (condition & (G_IO_HUP | G_IO_ERR) && !(condition & G_IO_IN)) /* the terminal is gone */
    {
      vm_session_quit (ui->session);
      return G_SOURCE_REMOVE;
    }
  while ((kind = get_wch (&code)) != ERR)
    {
      unsigned modifiers;
      uint32_t keysym = vm_curses_key (code, kind == KEY_CODE_YES, &modifiers);
      if (keysym)
        ui_take_key (ui, keysym, modifiers);
    }
  return G_SOURCE_CONTINUE;
}

static gboolean
ui_resized (gpointer data)
{
  struct winsize size;

  if (ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
    resizeterm (size.ws_row, size.ws_col);
  clearok (curscr, TRUE);
  ui_draw (data);
  return G_SOURCE_CONTINUE;
}

/* --- start and end ------------------------------------------------------------------------------------------------ */

static bool
font_fill (wchar_t font[256], const char *charset, GError **error)
{
  /* Code page 437 has pictures where others have control characters. */
  static const uint16_t first[32] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
    0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
    0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
  };
  GIConv conv = g_iconv_open ("UTF-8", charset);

  if (conv == (GIConv) -1)
    return vm_fail (error, "-display curses: the character set '%s' is not known", charset);
  for (unsigned i = 0; i < 256; i++)
    {
      const char byte = (char) i;
      g_autofree char *text = i < 32 ? NULL : g_convert_with_iconv (&byte, 1, conv, NULL, NULL, NULL);
      font[i] = i < 32 ? first[i] : i == 0x7f ? 0x2302 : text && *text ? (wchar_t) g_utf8_get_char (text) : L'?';
    }
  g_iconv_close (conv);
  return true;
}

static bool
options_read (wchar_t font[256], const VmSettings *settings, GError **error)
{
  const VmKeyVals *list = settings->display_opts;
  const char *charset = vm_keyvals_get (list, "charset");

  vm_keyvals_get (list, "type");
  return vm_keyvals_check_used (list, error) && font_fill (font, charset ? charset : "CP437", error);
}

static bool
ui_probe (const VmSettings *settings, GError **error)
{
  wchar_t font[256];

  if (!options_read (font, settings, error))
    return false;
  if (!isatty (STDIN_FILENO) || !isatty (STDOUT_FILENO))
    return vm_fail (error, "-display curses needs a terminal for input and output");
  if (!vm_curses_knows_terminal ())
    return vm_fail (error, "-display curses: the terminal type '%s' is not known",
                    g_getenv ("TERM") ? g_getenv ("TERM") : "");
  VmLayout *layout = vm_layout_new (settings->keyboard_layout, error);
  vm_layout_free (layout);
  return layout != NULL;
}

static void
ui_session_event (VmSession *session, VmSessionEvent event, const char *name, const char *data, void *opaque)
{
  Ui *ui = opaque;

  if (event == VM_SESSION_QUIT)
    g_main_loop_quit (ui->loop);
  else if (event == VM_SESSION_CONSOLES)
    ui_check_console (ui);
}

static void
ui_run (VmMachine *machine, void (*started) (void *opaque), void *opaque)
{
  Ui ui = { .loop = g_main_loop_new (NULL, FALSE), .listener.ops = &listener_ops };

  setlocale (LC_CTYPE, "");
  ui.session = vm_session_new (machine, NULL, ui_session_event, &ui);
  options_read (ui.font, vm_session_settings (ui.session), NULL); /* said and checked by probe, as the layout is */
  ui.layout = vm_layout_new (vm_session_settings (ui.session)->keyboard_layout, NULL);

  SCREEN *screen = newterm (NULL, stdout, stdin);
  set_escdelay (ESCAPE_ALT_MS - 5);
  raw ();
  noecho ();
  nonl ();
  nodelay (stdscr, TRUE);
  keypad (stdscr, TRUE);
  vm_curses_define_keys ();
  ui_make_colors (&ui);
  guint typed = g_unix_fd_add (STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, ui_typed, &ui);
  guint resized = g_unix_signal_add (SIGWINCH, ui_resized, &ui);

  if (started)
    started (opaque);
  ui_check_console (&ui);
  g_main_loop_run (ui.loop);

  ui_drop_console (&ui);
  g_source_remove (resized);
  g_source_remove (typed);
  if (ui.escape_timer)
    g_source_remove (ui.escape_timer);
  while (g_idle_remove_by_data (&ui))
    ;
  endwin ();
  delscreen (screen);
  vm_layout_free (ui.layout);
  vm_session_free (ui.session);
  g_main_loop_unref (ui.loop);
}

const VmUiModule vm_ui_curses = { .probe = ui_probe, .run = ui_run };
