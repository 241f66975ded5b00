/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a client is sent: FramebufferUpdate (RFC 6143, 7.6.1), when it has asked for it, when what it was sent before is
 * on its way, and when there is something to say. */
#include "ui/vnc/vnc-private.h"

#include "engine/display/damage.h"

#define PIXELS_MAX (1u << 22)   /* of one update; the rest comes with the next */
#define PIXELS_MIN (1u << 14)   /* likewise, for the slowest of clients */
#define WHOLE_MAX (1u << 24)    /* of an update for who asked for all: some look at no more than one */
#define QUICK_US 200000         /* an update that is gone by then could have been larger */
#define SLOW_US 500000          /* what is on its way for longer is old when it comes */
#define PIECE_MAX (1 << 17)     /* pixels of one rectangle: others have their turn after a few */
#define FEW_PIXELS 8192         /* done sooner than told another thread */
#define LIGHT_PIXELS (1u << 19) /* of hextiles: a millisecond or two */
#define TURN_US 8000
#define HOT 128
#define REFRESH_MS 400
#define CURSOR (-239)
#define ALPHA_CURSOR (-314)
#define DESKTOP_SIZE (-223)
#define EXTENDED_SIZE (-308)
#define POINTER_MODE (-257)
#define KEY_CODES (-258)
#define SOUND (-259)
#define LEDS (-261)
#define MORE_BUTTONS (-316)

/* --- sending ------------------------------------------------------------------------------------------------ */

static void
begin_update (VncClient *c)
{
  static const uint8_t head[4] = { 0 };

  g_byte_array_set_size (c->update, 0);
  g_byte_array_append (c->update, head, sizeof head);
  c->n_rects = 0;
}

static void
end_update (VncClient *c)
{
  vm_store_be16 (c->update->data + 2, (uint16_t) c->n_rects);
  c->sent_at = g_get_monotonic_time ();
  vnc_wire_give_picture (&c->wire, &c->update);
}

/* Who reads slowly is sent less at a time, so that it is not shown what was there long ago. */
static void
set_pace (VncClient *c)
{
  unsigned sent = c->sent_pixels;
  int64_t took = g_get_monotonic_time () - c->sent_at;

  c->sent_pixels = 0;
  if (sent && took > SLOW_US)
    c->pixels_max = (unsigned) CLAMP ((int64_t) sent * QUICK_US / took, PIXELS_MIN, PIXELS_MAX);
  else if (sent >= c->pixels_max && took < QUICK_US)
    c->pixels_max = MIN (c->pixels_max * 2, PIXELS_MAX);
}

void
vnc_client_drained (VncClient *c)
{
  if (!c->busy) /* else what has gone was sound or other news */
    set_pace (c);
  vnc_client_update (c);
}

static void
put_news (VncClient *c, unsigned x, unsigned y, unsigned width, unsigned height, int32_t encoding)
{
  vnc_put_rect (c->update, x, y, width, height, encoding);
  c->n_rects++;
}

/* --- sizes -------------------------------------------------------------------------------------------------- */

static void
put_extended_size (VncClient *c, unsigned reason, unsigned status, unsigned width, unsigned height)
{
  put_news (c, reason, status, width, height, EXTENDED_SIZE);
  vnc_put_u32 (c->update, 1 << 24); /* one output and padding */
  vnc_put_u32 (c->update, 1);       /* its number (of a screen 0 LibVNCClient knows nothing), place, size, flags */
  vnc_put_u32 (c->update, 0);
  vnc_put_u16 (c->update, (uint16_t) width);
  vnc_put_u16 (c->update, (uint16_t) height);
  vnc_put_u32 (c->update, 0);
}

/* An update of their own: pictures must not be in it. */
static bool
send_sizes (VncClient *c)
{
  bool changed = c->width != (unsigned) c->screen->width || c->height != (unsigned) c->screen->height;
  bool news = c->news & VNC_NEWS_SIZE;

  c->news &= ~(unsigned) VNC_NEWS_SIZE;
  if (!(c->features & (VNC_HAS_DESKTOP_SIZE | VNC_HAS_EXTENDED_SIZE)))
    {
      g_array_set_size (c->size_answers, 0);
      return false;
    }
  if (!(c->features & VNC_HAS_EXTENDED_SIZE) ? !changed : !news && !changed && !c->size_answers->len)
    return false;
  begin_update (c);
  for (guint i = 0; i < c->size_answers->len; i++)
    {
      const VncSizeAnswer *a = &g_array_index (c->size_answers, VncSizeAnswer, i);
      put_extended_size (c, a->reason, a->status, a->width, a->height);
    }
  g_array_set_size (c->size_answers, 0);
  if (changed)
    { /* what it has is lost */
      c->width = (unsigned) c->screen->width;
      c->height = (unsigned) c->screen->height;
      vnc_client_dirty (c, (VmRect){ 0, 0, c->screen->width, c->screen->height });
    }
  if (!(c->features & VNC_HAS_EXTENDED_SIZE))
    put_news (c, 0, 0, c->width, c->height, DESKTOP_SIZE);
  else if (changed || news)
    put_extended_size (c, 0, 0, c->width, c->height);
  end_update (c);
  return true;
}

/* --- the pointer --------------------------------------------------------------------------------------------- */

static void
put_alpha_cursor (VncClient *c, const VmCursor *cursor)
{
  size_t n = (size_t) cursor->width * cursor->height;

  vnc_put_u32 (c->update, VNC_RAW);
  uint8_t *to = vnc_grow (c->update, n * 4);
  for (size_t i = 0; i < n; i++, to += 4)
    {
      to[0] = cursor->data[i] >> 16 & 0xff;
      to[1] = cursor->data[i] >> 8 & 0xff;
      to[2] = cursor->data[i] & 0xff;
      to[3] = cursor->data[i] >> 24;
    }
}

static void
put_plain_cursor (VncClient *c, const VmCursor *cursor)
{
  const VncFormat *f = &c->encoder.format;
  size_t n = (size_t) cursor->width * cursor->height;
  unsigned row_bytes = (unsigned) (cursor->width + 7) / 8;

  vnc_format_put (f, cursor->data, n, vnc_grow (c->update, n * f->bytes));
  uint8_t *mask = vnc_grow (c->update, (size_t) row_bytes * cursor->height);
  memset (mask, 0, (size_t) row_bytes * cursor->height);
  for (int y = 0; y < cursor->height; y++, mask += row_bytes)
    for (int x = 0; x < cursor->width; x++)
      if (cursor->data[(size_t) y * cursor->width + x] >> 31) /* more there than not */
        mask[x / 8] |= (uint8_t) (0x80 >> x % 8);
}

static void
put_cursor (VncClient *c)
{
  const VncScreen *s = c->screen;
  bool alpha = c->features & VNC_HAS_ALPHA_CURSOR;
  const VmCursor *cursor = s->cursor_visible ? s->cursor : NULL;

  c->cursor_serial = s->cursor_serial;
  if (!cursor && !s->cursor && !c->cursor_sent)
    return; /* the guest draws its own, or none: the viewer's may stay */
  c->cursor_sent = cursor != NULL;
  if (!cursor)
    {
      put_news (c, 0, 0, 0, 0, alpha ? ALPHA_CURSOR : CURSOR);
      if (alpha)
        vnc_put_u32 (c->update, VNC_RAW);
      return;
    }
  put_news (c, (unsigned) CLAMP (cursor->hot_x, 0, cursor->width - 1),
            (unsigned) CLAMP (cursor->hot_y, 0, cursor->height - 1), (unsigned) cursor->width,
            (unsigned) cursor->height, alpha ? ALPHA_CURSOR : CURSOR);
  if (alpha)
    put_alpha_cursor (c, cursor);
  else
    put_plain_cursor (c, cursor);
}

static VmRect
cursor_rect (const VncScreen *s)
{
  if (!s->cursor || !s->cursor_visible)
    return (VmRect){ 0 };
  return (VmRect){ s->cursor_x, s->cursor_y, s->cursor->width, s->cursor->height };
}

/* A client that draws no pointer gets it in the picture. */
static void
follow_cursor (VncClient *c)
{
  if (c->cursor_moves == c->screen->cursor_moves)
    return;
  c->cursor_moves = c->screen->cursor_moves;
  if (c->drawn_cursor.width)
    vnc_client_dirty (c, c->drawn_cursor);
  c->drawn_cursor = (VmRect){ 0 };
  if (c->features & (VNC_HAS_CURSOR | VNC_HAS_ALPHA_CURSOR))
    return;
  c->drawn_cursor = cursor_rect (c->screen);
  if (c->drawn_cursor.width)
    vnc_client_dirty (c, c->drawn_cursor);
}

static uint32_t
blend (uint32_t under, uint32_t over)
{
  uint32_t rest = 255 - (over >> 24), out = 0;

  for (unsigned shift = 0; shift < 24; shift += 8)
    {
      uint32_t v = (over >> shift & 0xff) + ((under >> shift & 0xff) * rest + 127) / 255;
      out |= MIN (v, 255) << shift;
    }
  return out;
}

static void
draw_cursor (const VncClient *c, const VncPiece *piece)
{
  const VmCursor *cursor = c->screen->cursor;
  VmRect r = piece->rect;

  if (!c->drawn_cursor.width || !cursor)
    return;
  for (int y = 0; y < cursor->height; y++)
    for (int x = 0; x < cursor->width; x++)
      {
        int at_x = c->drawn_cursor.x + x - r.x, at_y = c->drawn_cursor.y + y - r.y;
        if (at_x < 0 || at_y < 0 || at_x >= r.width || at_y >= r.height)
          continue;
        uint32_t *p = c->pixels + piece->at + (size_t) at_y * r.width + at_x;
        *p = blend (*p, cursor->data[(size_t) y * cursor->width + x]);
      }
}

/* --- small news ------------------------------------------------------------------------------------------------ */

static void
put_small_news (VncClient *c)
{
  VmInput *input = c->server->vnc->machine->env.input;
  unsigned news = c->news;

  c->news = 0;
  if (news & VNC_NEWS_KEY_CODES)
    put_news (c, 0, 0, c->width, c->height, KEY_CODES);
  if (news & VNC_NEWS_MORE_BUTTONS)
    put_news (c, 0, 0, c->width, c->height, MORE_BUTTONS);
  if (news & VNC_NEWS_SOUND)
    put_news (c, 0, 0, c->width, c->height, SOUND);
  if (news & VNC_NEWS_POINTER_MODE)
    {
      c->absolute_told = vm_input_is_absolute (input, c->screen->console);
      put_news (c, c->absolute_told, 0, c->width, c->height, POINTER_MODE);
    }
  if (news & VNC_NEWS_LEDS)
    {
      c->leds_told = vm_input_leds (input);
      put_news (c, 0, 0, 1, 1, LEDS);
      vnc_put_u8 (c->update, (uint8_t) c->leds_told);
    }
  if (news & VNC_NEWS_CURSOR)
    put_cursor (c);
}

/* --- what is to be sent ------------------------------------------------------------------------------------------ */

static bool
meet (VmRect a, VmRect b, VmRect *both)
{
  int right = MIN (a.x + a.width, b.x + b.width), bottom = MIN (a.y + a.height, b.y + b.height);

  *both = (VmRect){ MAX (a.x, b.x), MAX (a.y, b.y), 0, 0 };
  both->width = right - both->x;
  both->height = bottom - both->y;
  return both->width > 0 && both->height > 0;
}

void
vnc_client_dirty (VncClient *c, VmRect area)
{
  VmRect all = { 0, 0, c->screen->width, c->screen->height }, r;

  if (!meet (area, all, &r))
    return;
  for (int y = r.y / VNC_CELL; y <= (r.y + r.height - 1) / VNC_CELL; y++)
    for (int x = r.x / VNC_CELL; x <= (r.x + r.width - 1) / VNC_CELL; x++)
      {
        unsigned cell = (unsigned) y * c->screen->columns + (unsigned) x;
        c->cells[cell] |= VNC_CELL_DIRTY;
        c->boxes[cell] = VNC_BOX_ALL;
      }
}

void
vnc_client_resized (VncClient *c)
{
  const VncScreen *s = c->screen;

  if (!s) /* joining it */
    return;
  g_free (c->cells);
  c->cells = g_new (uint8_t, MAX (s->columns * s->rows, 1));
  memset (c->cells, VNC_CELL_DIRTY, (size_t) s->columns * s->rows);
  g_free (c->boxes);
  c->boxes = g_new (VncBox, MAX (s->columns * s->rows, 1));
  for (unsigned i = 0; i < s->columns * s->rows; i++)
    c->boxes[i] = VNC_BOX_ALL;
  c->serial = s->serial;
  c->drawn_cursor = (VmRect){ 0 };
  c->cursor_moves = UINT64_MAX;
  if (c->initialized)
    c->news |= VNC_NEWS_SIZE;
}

static bool
is_clean (const VncClient *c, VmRect r)
{
  for (int y = r.y / VNC_CELL; y <= (r.y + r.height - 1) / VNC_CELL; y++)
    for (int x = r.x / VNC_CELL; x <= (r.x + r.width - 1) / VNC_CELL; x++)
      if (c->cells[(unsigned) y * c->screen->columns + (unsigned) x])
        return false;
  return true;
}

static bool
inside (VmRect a, VmRect b)
{
  return a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height;
}

/* Whether the client can do move I by itself, which puts it into the update. */
static bool
put_move (VncClient *c, const VncMove *m)
{
  VmRect from = { m->to.x + m->dx, m->to.y + m->dy, m->to.width, m->to.height };
  VmRect known = { 0, 0, (int) c->width, (int) c->height };

  if (!is_clean (c, from) || !inside (from, known) || !inside (m->to, known) || !inside (m->to, c->area))
    return false;
  put_news (c, (unsigned) m->to.x, (unsigned) m->to.y, (unsigned) m->to.width, (unsigned) m->to.height, VNC_COPY_RECT);
  vnc_put_u16 (c->update, (uint16_t) from.x);
  vnc_put_u16 (c->update, (uint16_t) from.y);
  return true;
}

/* What of CELL, which has changed since the client was last told, it is to be sent. */
static VncBox
changed_box (const VncClient *c, unsigned cell)
{
  const VncScreen *s = c->screen;

  /* Of changes before the last one nobody knows any more what they were. */
  if (c->serial < s->before[cell] || c->cells[cell] & VNC_CELL_LOSSY)
    return VNC_BOX_ALL;
  return c->cells[cell] & VNC_CELL_DIRTY ? vnc_join_boxes (c->boxes[cell], s->boxes[cell]) : s->boxes[cell];
}

/* Takes the screen's changes into the client's cells. */
static void
take_changes (VncClient *c)
{
  const VncScreen *s = c->screen;
  bool done[256] = { false };
  bool moves = s->moves->len && c->serial + 1 == s->serial && (c->features & VNC_HAS_COPY_RECT)
               && !c->drawn_cursor.width && !c->encoding_changed;

  if (c->serial == s->serial)
    return;
  for (guint i = 0; moves && i < s->moves->len; i++)
    done[i + 1] = put_move (c, &g_array_index (s->moves, VncMove, i));
  for (unsigned cell = 0; cell < s->columns * s->rows; cell++)
    if (s->serials[cell] > c->serial && !(moves && s->moved[cell] && done[s->moved[cell]]))
      {
        c->boxes[cell] = changed_box (c, cell);
        c->cells[cell] = (c->cells[cell] | VNC_CELL_DIRTY) & ~VNC_CELL_EXACT;
      }
  c->serial = s->serial;
}

static bool
may_be_lossy (const VncClient *c, unsigned cell)
{
  const VncOptions *o = &c->server->options;

  if (c->cells[cell] & VNC_CELL_EXACT)
    return false;
  return o->lossy || (o->adaptive && c->screen->heat[cell] >= HOT);
}

/* Runs of dirty cells that are as wide as one of the row above become one with it. */
static void
add_piece (VncClient *c, VncPiece piece, guint above)
{
  for (guint i = above; i < c->pieces->len; i++)
    {
      VncPiece *other = &g_array_index (c->pieces, VncPiece, i);
      if (other->cells.x == piece.cells.x && other->cells.width == piece.cells.width && other->lossy == piece.lossy
          && other->cells.y + other->cells.height == piece.cells.y
          && other->rect.width * (other->rect.height + VNC_CELL) <= PIECE_MAX)
        {
          other->cells.height += piece.cells.height;
          other->rect = vm_rect_union (other->rect, piece.rect);
          return;
        }
    }
  g_array_append_val (c->pieces, piece);
}

/* The cells from FIRST to END of ROW: what of them is dirty. */
static VmRect
dirty_rect (const VncClient *c, unsigned row, unsigned first, unsigned end)
{
  const VncBox *boxes = c->boxes + row * c->screen->columns;
  int left = (int) first * VNC_CELL + boxes[first].left, right = (int) (end - 1) * VNC_CELL + boxes[end - 1].right;
  int top = VNC_CELL, bottom = 0;

  for (unsigned i = first; i < end; i++)
    {
      top = MIN (top, boxes[i].top);
      bottom = MAX (bottom, boxes[i].bottom);
    }
  return (VmRect){ left, (int) row * VNC_CELL + top, right - left, bottom - top };
}

static unsigned
collect_row (VncClient *c, unsigned row, VmRect clip, bool lossy_client, guint above)
{
  const VncScreen *s = c->screen;
  unsigned pixels = 0;
  unsigned first = (unsigned) clip.x / VNC_CELL, end = (unsigned) (clip.x + clip.width - 1) / VNC_CELL + 1;

  for (unsigned column = first; column < end; column++)
    {
      uint8_t *cells = c->cells + row * s->columns;
      unsigned begin = column;
      if (!(cells[column] & VNC_CELL_DIRTY))
        continue;
      bool lossy = lossy_client && may_be_lossy (c, row * s->columns + column);
      while (column < end && cells[column] & VNC_CELL_DIRTY
             && lossy == (lossy_client && may_be_lossy (c, row * s->columns + column)))
        {
          cells[column] = 0;
          column++;
        }
      VncPiece piece = { .cells = { (int) begin, (int) row, (int) (column - begin), 1 }, .lossy = lossy };
      VmRect known = { 0, 0, MIN ((int) c->width, s->width), MIN ((int) c->height, s->height) };
      bool shown = meet (dirty_rect (c, row, begin, column), known, &piece.rect);
      column--;
      if (!shown)
        continue;
      pixels += (unsigned) (piece.rect.width * piece.rect.height);
      add_piece (c, piece, above);
    }
  return pixels;
}

static void
collect (VncClient *c)
{
  const VncScreen *s = c->screen;
  VmRect all = { 0, 0, s->width, s->height }, clip;
  bool lossy = c->encoder.quality && (c->encoding == VNC_TIGHT || c->encoding == VNC_TIGHT_PNG);
  unsigned pixels = 0, most = c->whole ? WHOLE_MAX : c->pixels_max;
  guint above = 0;

  g_array_set_size (c->pieces, 0);
  if (!meet (c->area, all, &clip))
    return;
  unsigned first = (unsigned) clip.y / VNC_CELL, end = (unsigned) (clip.y + clip.height - 1) / VNC_CELL + 1;
  unsigned row = c->next_row >= first && c->next_row < end ? c->next_row : first, left = end - first;
  for (; left && pixels < most; left--, row = row + 1 < end ? row + 1 : first)
    {
      guint before = c->pieces->len;
      pixels += collect_row (c, row, clip, lossy, above);
      above = before > 64 ? before - 64 : 0; /* how far back a run is looked for */
    }
  c->next_row = left ? row : 0; /* else what changes all the time above would be all that is sent */
  c->sent_pixels = pixels;
}

/* Returns how many. */
static size_t
copy_pixels (VncClient *c)
{
  const VncScreen *s = c->screen;
  size_t n = 0;

  for (guint i = 0; i < c->pieces->len; i++)
    {
      VncPiece *p = &g_array_index (c->pieces, VncPiece, i);
      p->at = n;
      n += (size_t) p->rect.width * p->rect.height;
    }
  if (n > c->pixels_room || n < c->pixels_room / 16)
    {
      g_free (c->pixels);
      c->pixels = g_new (uint32_t, n);
      c->pixels_room = n;
    }
  for (guint i = 0; i < c->pieces->len; i++)
    {
      const VncPiece *p = &g_array_index (c->pieces, VncPiece, i);
      uint32_t *to = c->pixels + p->at;
      for (int y = p->rect.y; y < p->rect.y + p->rect.height; y++, to += p->rect.width)
        memcpy (to, s->now + (size_t) y * s->width + p->rect.x, (size_t) p->rect.width * 4);
      draw_cursor (c, p);
    }
  c->pixels_serial = s->serial;
  return n;
}

/* --- exact again ---------------------------------------------------------------------------------------------------
 */

static gboolean refresh (gpointer opaque);

static void
refresh_later (VncClient *c)
{
  c->refresh = g_timeout_source_new (REFRESH_MS);
  g_source_set_callback (c->refresh, refresh, c, NULL);
  g_source_attach (c->refresh, vm_loop_context (c->wire.loop));
}

static gboolean
refresh (gpointer opaque)
{
  VncClient *c = opaque;
  unsigned left = 0;

  vm_source_clear (&c->refresh);
  if (!c->screen)
    return G_SOURCE_REMOVE;
  g_atomic_int_set (&c->screen->damaged, true); /* an update also lets cells cool */
  vnc_screen_update (c->screen);
  for (unsigned i = 0; i < c->screen->columns * c->screen->rows; i++)
    if (c->cells[i] & VNC_CELL_LOSSY)
      {
        if (c->screen->heat[i] < HOT / 2)
          {
            c->cells[i] |= VNC_CELL_DIRTY | VNC_CELL_EXACT;
            c->boxes[i] = VNC_BOX_ALL;
          }
        else
          left++;
      }
  if (left)
    refresh_later (c);
  vnc_client_update (c);
  return G_SOURCE_REMOVE;
}

/* Remembers what the last update did not tell exactly, to do so once it stands still. */
static void
note_inexact (VncClient *c)
{
  const GArray *list = c->encoder.inexact;
  const VncScreen *s = c->screen;

  if (!list->len || !s)
    return;
  for (guint i = 0; i < list->len; i++)
    {
      const VncPicture *p = &g_array_index (list, VncPicture, i);
      VmRect all = { 0, 0, s->width, s->height }, r;
      if (!meet ((VmRect){ (int) p->x, (int) p->y, (int) p->width, (int) p->height }, all, &r))
        continue; /* another size meanwhile */
      for (int y = r.y / VNC_CELL; y <= (r.y + r.height - 1) / VNC_CELL; y++)
        for (int x = r.x / VNC_CELL; x <= (r.x + r.width - 1) / VNC_CELL; x++)
          c->cells[(unsigned) y * s->columns + (unsigned) x] |= VNC_CELL_LOSSY;
    }
  g_array_set_size (c->encoder.inexact, 0);
  if (!c->refresh)
    refresh_later (c);
}

/* --- the update -----------------------------------------------------------------------------------------------------
 */

/* On an encoder thread: the client's encoder, pieces, pixels and update are ours meanwhile. */
static bool
encode (void *opaque)
{
  VncClient *c = opaque;
  int64_t end = g_get_monotonic_time () + TURN_US;

  do
    {
      const VncPiece *p = &g_array_index (c->pieces, VncPiece, c->next_piece++);
      VncPicture picture = { (unsigned) p->rect.x,      (unsigned) p->rect.y, (unsigned) p->rect.width,
                             (unsigned) p->rect.height, c->pixels + p->at,    (size_t) p->rect.width };
      c->n_rects += vnc_encode (&c->encoder, &picture, p->lossy, c->update);
    }
  while (c->next_piece < c->pieces->len && g_get_monotonic_time () < end);
  return c->next_piece == c->pieces->len;
}

static void
finish (VncClient *c)
{
  c->busy = false;
  if (!c->wire.over && !c->closing)
    {
      note_inexact (c);
      end_update (c);
      vnc_client_update (c);
    }
  else /* it waits for us */
    vnc_wire_poke (&c->wire);
}

static void
encoded (void *opaque)
{
  VncClient *c = opaque;
  g_autoptr (GPtrArray) followers = g_steal_pointer (&c->followers);

  c->followers = g_ptr_array_new ();
  for (guint i = 0; i < followers->len; i++)
    {
      VncClient *f = g_ptr_array_index (followers, i);
      g_byte_array_append (f->update, c->update->data + c->own_bytes, c->update->len - c->own_bytes);
      f->n_rects += c->n_rects - c->own_rects;
    }
  finish (c);
  for (guint i = 0; i < followers->len; i++)
    finish (g_ptr_array_index (followers, i));
}

void
vnc_client_init_update (VncClient *c)
{
  c->pixels_max = PIXELS_MAX;
  c->job = (VncJob){ .turn = encode, .done = encoded, .opaque = c };
}

static bool
same_format (const VncFormat *a, const VncFormat *b)
{
  uint8_t as_sent[2][VNC_FORMAT_SIZE];

  vnc_format_write (a, as_sent[0]);
  vnc_format_write (b, as_sent[1]);
  return memcmp (as_sent[0], as_sent[1], VNC_FORMAT_SIZE) == 0;
}

static bool
same_pieces (const GArray *a, const GArray *b)
{
  if (a->len != b->len)
    return false;
  for (guint i = 0; i < a->len; i++)
    {
      VmRect x = g_array_index (a, VncPiece, i).rect, y = g_array_index (b, VncPiece, i).rect;
      if (x.x != y.x || x.y != y.y || x.width != y.width || x.height != y.height)
        return false;
    }
  return true;
}

/* Whoever is being sent just the same, where no dictionary is kept that belongs to one connection. */
static VncClient *
find_leader (const VncClient *c)
{
  const VncEncoder *e = &c->encoder;

  if ((e->encoding != VNC_RAW && e->encoding != VNC_HEXTILE) || c->drawn_cursor.width)
    return NULL;
  for (guint i = 0; i < c->screen->clients->len; i++)
    {
      VncClient *other = g_ptr_array_index (c->screen->clients, i);
      if (other->busy && other->pixels_serial == c->screen->serial && other->encoder.encoding == e->encoding
          && !other->drawn_cursor.width && same_format (&other->encoder.format, &e->format)
          && same_pieces (other->pieces, c->pieces))
        return other;
    }
  return NULL;
}

static void
send_pictures (VncClient *c)
{
  VncJobs *jobs = c->server->vnc->jobs;
  VncClient *leader = find_leader (c);

  c->next_piece = 0;
  c->own_bytes = c->update->len;
  c->own_rects = c->n_rects;
  c->pixels_serial = 0;
  c->encoder.jpegs = c->screen->clients->len > 1 ? c->server->vnc->jpegs : NULL;
  if (leader)
    {
      c->busy = true;
      g_ptr_array_add (leader->followers, c);
    }
  else if (copy_pixels (c) > FEW_PIXELS || !vnc_jobs_are_idle (jobs))
    {
      c->busy = true;
      vnc_jobs_push (jobs, &c->job);
    }
  else
    {
      while (!encode (c))
        ;
      note_inexact (c);
      end_update (c);
    }
}

/* Copying pixels for a thread and telling it would be as much work. */
static bool
is_light (const VncClient *c)
{
  size_t pixels = 0;

  if (c->drawn_cursor.width || !vnc_jobs_are_idle (c->server->vnc->jobs))
    return false;
  for (guint i = 0; i < c->pieces->len; i++)
    {
      const VmRect *r = &g_array_index (c->pieces, VncPiece, i).rect;
      pixels += (size_t) r->width * r->height;
    }
  /* The same hextiles for several are made once: see find_leader(). */
  return c->encoder.encoding == VNC_RAW
         || (c->encoder.encoding == VNC_HEXTILE && c->screen->clients->len == 1 && pixels <= LIGHT_PIXELS);
}

static void
put_pieces (VncClient *c)
{
  const VncScreen *s = c->screen;

  for (guint i = 0; i < c->pieces->len; i++)
    {
      const VmRect *r = &g_array_index (c->pieces, VncPiece, i).rect;
      VncPicture picture = { (unsigned) r->x,
                             (unsigned) r->y,
                             (unsigned) r->width,
                             (unsigned) r->height,
                             s->now + (size_t) r->y * s->width + r->x,
                             (size_t) s->width };
      c->n_rects += vnc_encode (&c->encoder, &picture, false, c->update);
    }
}

static void
prepare_encoder (VncClient *c)
{
  if (!c->encoding_changed)
    return;
  c->encoding_changed = false;
  c->encoder.format = c->format;
  c->encoder.encoding = c->encoding;
  c->encoder.level = c->level;
  c->encoder.quality = c->quality;
  c->encoder.subsampling = c->subsampling;
}

/* First said, then looked: what comes in between is told. */
static void
set_awaited (VncScreen *s)
{
  bool awaited = false;

  for (guint i = 0; i < s->clients->len && !awaited; i++)
    awaited = ((VncClient *) g_ptr_array_index (s->clients, i))->requested;
  g_atomic_int_set (&s->awaited, awaited);
}

static void
make_update (VncClient *c)
{
  if (c->requested) /* what nobody waits for may change again */
    {
      set_awaited (c->screen);
      vnc_screen_update (c->screen);
    }
  prepare_encoder (c);
  if (send_sizes (c) && vnc_wire_pending (&c->wire))
    return;
  if (c->features & (VNC_HAS_CURSOR | VNC_HAS_ALPHA_CURSOR) && c->cursor_serial != c->screen->cursor_serial)
    c->news |= VNC_NEWS_CURSOR;
  begin_update (c);
  put_small_news (c);
  unsigned news = c->n_rects;
  g_array_set_size (c->pieces, 0);
  if (c->requested)
    {
      follow_cursor (c);
      take_changes (c);
      collect (c);
    }
  if (!c->n_rects && !c->pieces->len)
    return;
  /* News alone do not answer a request for pictures. */
  if (c->pieces->len || c->n_rects > news)
    {
      c->requested = c->whole = false;
      set_awaited (c->screen);
    }
  if (!c->pieces->len)
    {
      end_update (c);
      return;
    }
  if (is_light (c))
    {
      put_pieces (c);
      end_update (c);
    }
  else
    send_pictures (c);
}

void
vnc_client_update (VncClient *c)
{
  if (!c->initialized || c->busy || c->updating || c->closing || c->wire.over || vnc_wire_pending (&c->wire)
      || !c->asked)
    return;
  c->updating = true; /* what is sent may be gone at once, which calls us */
  make_update (c);
  c->updating = false;
}
