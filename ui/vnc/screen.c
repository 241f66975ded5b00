/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Screens: what a console shows is copied once for all of its viewers, and compared with what it showed before, so that
 * only cells that really changed are sent. Each viewer takes what is newer than its serial when it is ready to. */
#include "ui/vnc/vnc-private.h"

#define MAX_RECTS 128
#define BAND 64 /* rows that are copied at a time: the device waits no longer than that */

#define FAST_MS 33
#define SLOW_MS 66
#define IDLE_MS 200
#define FAST_FOR_US G_USEC_PER_SEC
#define SLOW_FOR_US (5 * G_USEC_PER_SEC)

#define BLANK_WIDTH 640
#define BLANK_HEIGHT 480

#define WARMER 32 /* a cell that changed */
#define COOLING_US 250000

#define MOVE_PIXELS_MIN 8192

/* --- how often ------------------------------------------------------------------------------------------- */

static void
set_interval (VncScreen *s, unsigned ms)
{
  if (s->interval_ms == ms)
    return;
  s->interval_ms = ms;
  vm_listener_set_interval (s->vnc->machine->env.display, &s->listener, ms * 1000);
}

static gboolean
slow_down (gpointer opaque)
{
  VncScreen *s = opaque;
  int64_t idle = g_get_monotonic_time () - s->changed_at, next;

  vm_source_clear (&s->pace);
  if (idle >= SLOW_FOR_US)
    {
      set_interval (s, IDLE_MS);
      return G_SOURCE_REMOVE;
    }
  set_interval (s, idle >= FAST_FOR_US ? SLOW_MS : FAST_MS);
  next = (idle >= FAST_FOR_US ? SLOW_FOR_US : FAST_FOR_US) - idle;
  s->pace = g_timeout_source_new ((guint) (next / 1000) + 1);
  g_source_set_callback (s->pace, slow_down, s, NULL);
  g_source_attach (s->pace, vm_loop_context (s->vnc->loop));
  return G_SOURCE_REMOVE;
}

void
vnc_screen_hurry (VncScreen *s)
{
  s->changed_at = g_get_monotonic_time ();
  if (s->interval_ms != FAST_MS || !s->pace)
    slow_down (s);
}

/* --- the engine's word ------------------------------------------------------------------------------------- */

static void
screen_free (VncScreen *s)
{
  vm_cursor_unref (s->cursor);
  if (s->console)
    vm_console_unref (s->console);
  g_ptr_array_unref (s->clients);
  g_array_unref (s->moves);
  g_free (s->now);
  g_free (s->next);
  g_free (s->serials);
  g_free (s->before);
  g_free (s->boxes);
  g_free (s->across);
  g_free (s->down);
  g_free (s->heat);
  g_free (s->moved);
  g_free (s->marks);
  g_free (s->stale);
  g_free (s);
}

static void
take_cursor (VncScreen *s)
{
  bool visible, changed;
  int x, y;

  if (!s->console)
    return;
  VmCursor *cursor = vm_listener_cursor (&s->listener, s->console, &x, &y, &visible, &changed);
  if (changed || visible != s->cursor_visible)
    s->cursor_serial++;
  if (changed || visible != s->cursor_visible || x != s->cursor_x || y != s->cursor_y)
    s->cursor_moves++;
  vm_cursor_unref (s->cursor);
  s->cursor = cursor;
  s->cursor_x = x;
  s->cursor_y = y;
  s->cursor_visible = visible;
}

/* The console may be gone: whoever may look at another one does. */
static void
look_elsewhere (VncScreen *s)
{
  VmDisplay *display = s->vnc->machine->env.display;
  unsigned index = s->console ? vm_console_index (s->console) : 0;

  if (s->console && vm_display_console (display, index) == s->console)
    return;
  for (guint i = s->clients->len; i-- > 0;)
    {
      VncClient *c = g_ptr_array_index (s->clients, i);
      VmConsole *console = c->server->console ? NULL : vm_display_ref_console (display, 0);
      if (!console)
        continue;
      vnc_client_show (c, console);
      vm_console_unref (console);
    }
}

static void
told (void *opaque)
{
  VncScreen *s = opaque;

  g_atomic_int_set (&s->posted, 0);
  s->telling = true;
  if (s->clients->len)
    {
      take_cursor (s);
      look_elsewhere (s);
    }
  for (guint i = s->clients->len; i-- > 0;)
    if (i < s->clients->len)
      vnc_client_update (g_ptr_array_index (s->clients, i));
  s->telling = false;
  if (!s->clients->len && !g_atomic_int_get (&s->posted)) /* nobody looks any more, and the listener is gone */
    screen_free (s);
}

static void
tell (VncScreen *s)
{
  if (g_atomic_int_compare_and_exchange (&s->posted, 0, 1))
    vm_loop_post (s->vnc->loop, told, s);
}

/* Waking a thread is much of what a picture costs: who asks for the next one looks here himself. */
static void
on_damaged (VmListener *listener, VmConsole *console)
{
  VncScreen *s = VM_CONTAINER_OF (listener, VncScreen, listener);

  g_atomic_int_set (&s->damaged, true);
  if (g_atomic_int_get (&s->awaited))
    tell (s);
}

static void
on_cursor (VmListener *listener, VmConsole *console)
{
  tell (VM_CONTAINER_OF (listener, VncScreen, listener));
}

static void
on_consoles (VmListener *listener)
{
  tell (VM_CONTAINER_OF (listener, VncScreen, listener));
}

static const VmListenerOps listener_ops = {
  .damaged = on_damaged,
  .cursor_changed = on_cursor,
  .consoles_changed = on_consoles,
};

/* --- coming and going ----------------------------------------------------------------------------------------- */

VncScreen *
vnc_screen_join (VmVnc *vnc, VmConsole *console, VncClient *client)
{
  VncScreen *s = NULL;

  for (guint i = 0; i < vnc->screens->len && !s; i++)
    {
      VncScreen *other = g_ptr_array_index (vnc->screens, i);
      if (other->console == console)
        s = other;
    }
  if (!s)
    {
      s = g_new0 (VncScreen, 1);
      s->vnc = vnc;
      s->clients = g_ptr_array_new ();
      s->moves = g_array_new (FALSE, FALSE, sizeof (VncMove));
      s->listener.ops = &listener_ops;
      s->damaged = true;
      s->console = console ? vm_console_ref (console) : NULL;
      g_ptr_array_add (vnc->screens, s);
      /* Without a console of its own it hears of all, and so of the first to come. */
      vm_listener_add (vnc->machine->env.display, &s->listener, console);
    }
  g_ptr_array_add (s->clients, client);
  vnc_screen_hurry (s);
  take_cursor (s);
  vnc_screen_update (s);
  return s;
}

void
vnc_screen_leave (VncScreen *s, VncClient *client)
{
  g_ptr_array_remove (s->clients, client);
  if (s->clients->len)
    return;
  vm_source_clear (&s->pace);
  vm_listener_remove (s->vnc->machine->env.display, &s->listener);
  g_ptr_array_remove (s->vnc->screens, s);
  if (!g_atomic_int_get (&s->posted) && !s->telling) /* else when that arrives, or ends */
    screen_free (s);
}

/* --- pixels ---------------------------------------------------------------------------------------------------- */

static void
resize (VncScreen *s, int width, int height)
{
  size_t pixels = (size_t) width * height;

  s->width = width;
  s->height = height;
  s->columns = (unsigned) (width + VNC_CELL - 1) / VNC_CELL;
  s->rows = (unsigned) (height + VNC_CELL - 1) / VNC_CELL;
  unsigned cells = s->columns * s->rows;
  g_free (s->now);
  g_free (s->next);
  s->now = g_new0 (uint32_t, pixels);
  s->next = g_new0 (uint32_t, pixels);
  g_free (s->serials);
  g_free (s->before);
  g_free (s->boxes);
  g_free (s->heat);
  g_free (s->moved);
  g_free (s->marks);
  g_free (s->stale);
  s->serials = g_new (uint64_t, cells);
  s->before = g_new (uint64_t, cells);
  s->boxes = g_new (VncBox, cells);
  g_free (s->across);
  g_free (s->down);
  s->across = g_new (uint32_t, s->columns * VNC_CELL);
  s->down = g_new (uint32_t, s->columns * VNC_CELL);
  s->heat = g_new0 (uint8_t, cells);
  s->moved = g_new0 (uint8_t, cells);
  s->marks = g_new0 (uint8_t, cells);
  s->stale = g_new (uint8_t, cells);
  g_array_set_size (s->moves, 0);
  s->serial++;
  for (unsigned i = 0; i < cells; i++)
    {
      s->serials[i] = s->before[i] = s->serial;
      s->boxes[i] = VNC_BOX_ALL;
      s->stale[i] = true;
    }
}

static inline void
store_four (uint32_t *at, VncFour four)
{
  memcpy (at, &four, sizeof four);
}

static inline void
add_bits (uint32_t *at, VncFour bits)
{
  store_four (at, vnc_load_four (at) | bits);
}

/* Compares a row of cells with NOW, and takes what differs there, or all that NEXT does not have: what has been
 * compared is what is kept, whatever the guest draws meanwhile. What differs is left in columns of pixels (ACROSS) and
 * in each cell's rows (DOWN), as something other than 0. Row by row, as memory likes it. */
static void
take_pixels (VncScreen *s, const VmSurface *surface, VmRect r, uint32_t *to)
{
  unsigned cells = (unsigned) (r.width + VNC_CELL - 1) / VNC_CELL;
  const uint8_t *stale = s->stale + (unsigned) (r.y / VNC_CELL) * s->columns + (unsigned) r.x / VNC_CELL;

  memset (s->across, 0, cells * VNC_CELL * sizeof *s->across);
  memset (s->down, 0, cells * VNC_CELL * sizeof *s->down);
  for (int y = 0; y < r.height; y++)
    {
      size_t at = (size_t) (r.y + y) * s->width + r.x;
      const uint32_t *from = (const uint32_t *) (surface->data + (size_t) (r.y + y) * surface->stride) + r.x;
      const uint32_t *now = s->now + at;
      uint32_t *across = s->across, *down = s->down + y, *row = to + at;
      int x = 0;

      for (; G_BYTE_ORDER == G_LITTLE_ENDIAN && x + VNC_CELL <= r.width; x += VNC_CELL, down += VNC_CELL)
        {
          VncFour a = vnc_load_four (from + x) & 0xffffff, b = vnc_load_four (from + x + 4) & 0xffffff;
          VncFour c = vnc_load_four (from + x + 8) & 0xffffff, d = vnc_load_four (from + x + 12) & 0xffffff;
          VncFour in_a = a ^ vnc_load_four (now + x), in_b = b ^ vnc_load_four (now + x + 4);
          VncFour in_c = c ^ vnc_load_four (now + x + 8), in_d = d ^ vnc_load_four (now + x + 12);

          /* The guest has just written it, on another processor; and rows are pages, where the processor's own guessing
           * ends. */
          __builtin_prefetch (from + x + surface->stride / 4);
          __builtin_prefetch (now + x + s->width);
          *down = vnc_is_any (in_a | in_b | in_c | in_d);
          if (*down)
            {
              add_bits (across + x, in_a);
              add_bits (across + x + 4, in_b);
              add_bits (across + x + 8, in_c);
              add_bits (across + x + 12, in_d);
            }
          if (*down || (to != s->now && stale[x / VNC_CELL]))
            {
              store_four (row + x, a);
              store_four (row + x + 4, b);
              store_four (row + x + 8, c);
              store_four (row + x + 12, d);
            }
        }
      for (; x < r.width; x++)
        {
          uint32_t pixel = GUINT32_FROM_LE (from[x]) & 0xffffff, differ = pixel ^ now[x];
          across[x] |= differ;
          s->down[x / VNC_CELL * VNC_CELL + y] |= differ;
          row[x] = pixel;
        }
    }
}

/* From the first to the last that is not 0; false: there is none. */
static bool
extent (const uint32_t *bits, int n, uint8_t *first, uint8_t *end)
{
  int i = 0;

  while (i < n && !bits[i])
    i++;
  if (i == n)
    return false;
  while (!bits[n - 1])
    n--;
  *first = (uint8_t) i;
  *end = (uint8_t) n;
  return true;
}

static void
copy_all (VncScreen *s, const VmSurface *surface)
{
  for (int top = 0; top < s->height; top += BAND)
    {
      vm_console_lock (s->console);
      for (int y = top; y < MIN (top + BAND, s->height); y++)
        {
          const uint32_t *from = (const uint32_t *) (surface->data + (size_t) y * surface->stride);
          uint32_t *row = s->now + (size_t) y * s->width;

          for (int x = 0; x < s->width; x++)
            row[x] = GUINT32_FROM_LE (from[x]) & 0xffffff;
        }
      vm_console_unlock (s->console);
    }
}

static void
freshen (VncScreen *s, unsigned cell)
{
  VmRect r = vnc_screen_cell (s, cell);

  for (int y = r.y; y < r.y + r.height; y++)
    {
      size_t at = (size_t) y * s->width + r.x;
      memcpy (s->next + at, s->now + at, (size_t) r.width * 4);
    }
}

/* Cells that nobody looked at are to be the same in NEXT; those that changed will be stale when it is the old one. */
static void
settle (VncScreen *s)
{
  for (unsigned cell = 0; cell < s->columns * s->rows; cell++)
    {
      if (s->stale[cell])
        freshen (s, cell);
      s->stale[cell] = s->serials[cell] > s->serial;
    }
}

static void
cool (VncScreen *s)
{
  int64_t now = g_get_monotonic_time (), steps = (now - s->cooled_at) / COOLING_US;

  if (!steps)
    return;
  s->cooled_at = now;
  for (unsigned i = 0; i < s->columns * s->rows; i++)
    s->heat[i] = steps > 7 ? 0 : s->heat[i] >> steps;
}

static VmRect
join (VmRect a, VmRect b)
{
  int right = MAX (a.x + a.width, b.x + b.width), bottom = MAX (a.y + a.height, b.y + b.height);
  VmRect u = { MIN (a.x, b.x), MIN (a.y, b.y), 0, 0 };

  if (!a.width)
    return b;
  u.width = right - u.x;
  u.height = bottom - u.y;
  return u;
}

/* Takes a row of cells, and gives those that differ the next serial. */
static VmRect
take_row (VncScreen *s, const VmSurface *surface, VmRect cells, uint32_t *to)
{
  VmRect changed = { 0 };
  uint64_t serial = s->serial + 1;
  unsigned first = (unsigned) (cells.y / VNC_CELL) * s->columns + (unsigned) cells.x / VNC_CELL;

  take_pixels (s, surface, cells, to);
  for (unsigned i = 0; i * VNC_CELL < (unsigned) cells.width; i++)
    {
      unsigned cell = first + i;
      VmRect r = vnc_screen_cell (s, cell);
      VncBox box;
      bool differs = extent (s->down + i * VNC_CELL, r.height, &box.top, &box.bottom);

      s->stale[cell] = to == s->now && (differs || s->stale[cell]);
      if (!differs)
        continue;
      extent (s->across + i * VNC_CELL, r.width, &box.left, &box.right);
      /* Where rectangles overlap and the guest draws on, twice the same serial: all of the cell is sent. */
      s->before[cell] = s->serials[cell];
      s->serials[cell] = serial;
      s->boxes[cell] = box;
      s->heat[cell] = (uint8_t) MIN (255, s->heat[cell] + WARMER);
      changed = join (changed, r);
    }
  return changed;
}

/* MOVING: what moved last time may go on; whether it does is seen while its pixels are at hand. */
static VmRect
mark_changed (VncScreen *s, const VmSurface *surface, VmRect rect, uint32_t *to, bool moving)
{
  VmRect changed = { 0 };
  int left = rect.x / VNC_CELL * VNC_CELL, top = rect.y / VNC_CELL * VNC_CELL;
  int right = MIN (s->width, (rect.x + rect.width + VNC_CELL - 1) / VNC_CELL * VNC_CELL);

  for (int y = top; y < rect.y + rect.height; y += VNC_CELL)
    {
      vm_console_lock (s->console);
      VmRect row = take_row (s, surface, (VmRect){ left, y, right - left, MIN (VNC_CELL, s->height - y) }, to);
      vm_console_unlock (s->console);
      if (row.width)
        changed = join (changed, row);
      if (moving && changed.width)
        {
          VmRect both = join (s->move_box, changed); /* but only what has been taken */
          vnc_screen_mark_moved (s, y / VNC_CELL, MAX (left, both.x), MIN (right, both.x + both.width));
        }
    }
  return changed;
}

static bool
somebody_copies (const VncScreen *s)
{
  for (guint i = 0; i < s->clients->len; i++)
    {
      const VncClient *c = g_ptr_array_index (s->clients, i);
      if (c->features & VNC_HAS_COPY_RECT)
        return true;
    }
  return false;
}

static void
take_changes (VncScreen *s, const VmSurface *surface, const VmRect *rects, unsigned n)
{
  VmRect box = { 0 };
  bool copies = somebody_copies (s);
  /* What was there before is needed by those who look where it went; else one picture does. */
  bool twice = copies && !s->move_pause, moving = twice && s->moves->len;

  if (twice)
    memset (s->marks, 0, (size_t) s->columns * s->rows);
  for (unsigned i = 0; i < n; i++)
    {
      VmRect changed = mark_changed (s, surface, rects[i], twice ? s->next : s->now, moving);
      if (changed.width)
        box = join (box, changed);
    }
  if (!box.width)
    return;
  if (twice)
    settle (s);
  if (s->moves->len)
    memset (s->moved, 0, (size_t) s->columns * s->rows);
  g_array_set_size (s->moves, 0);
  s->serial++;
  if (box.width * box.height >= MOVE_PIXELS_MIN && copies)
    vnc_screen_find_moves (s, box, moving);
  for (unsigned cell = 0; s->moves->len && cell < s->columns * s->rows; cell++)
    if (s->moved[cell] && s->serials[cell] == s->serial) /* what moves is no film */
      s->heat[cell] = (uint8_t) MAX (0, s->heat[cell] - WARMER);
  if (twice)
    {
      uint32_t *old = s->now;
      s->now = s->next;
      s->next = old;
    }
  vnc_screen_hurry (s);
}

static void
show_size (VncScreen *s, int width, int height)
{
  resize (s, width, height);
  for (guint i = 0; i < s->clients->len; i++)
    vnc_client_resized (g_ptr_array_index (s->clients, i));
}

void
vnc_screen_update (VncScreen *s)
{
  VmRect rects[MAX_RECTS];
  unsigned n = 0;
  bool changed = false;

  if (!g_atomic_int_compare_and_exchange (&s->damaged, true, false))
    return;
  VmSurface *surface = s->console ? vm_listener_pull (&s->listener, s->console, rects, MAX_RECTS, &n, &changed) : NULL;
  if (!surface)
    {
      if (!s->now)
        show_size (s, BLANK_WIDTH, BLANK_HEIGHT);
      return;
    }
  bool resized = !s->now || surface->width != s->width || surface->height != s->height;
  if (resized)
    show_size (s, surface->width, surface->height);
  if (resized || changed)
    {
      rects[0] = (VmRect){ 0, 0, s->width, s->height };
      n = 1;
    }
  cool (s);
  if (resized) /* all of it is new as it is */
    {
      copy_all (s, surface);
      vnc_screen_hurry (s);
    }
  else
    take_changes (s, surface, rects, n);
  vm_surface_unref (surface);
}
