/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding what only went elsewhere: text that scrolls, a window that is dragged. Strips of the old picture are looked
 * for in the new one; where most of them agree about how far, cells are checked one by one. */
#include "ui/vnc/vnc-private.h"

#define STRIP 32 /* pixels, in a row */
#define ANCHORS 64
#define VOTES_MIN 4
#define MOVES_MAX 64
#define MOVE_CELLS_MIN 4
#define WAIT_MAX 32
#define HITS_MAX 20000 /* of a search: patterns that repeat tell nothing */

typedef struct Anchor
{
  int x, y;
  uint32_t first, hash;
} Anchor;

typedef struct Vote
{
  int dx, dy;
  unsigned n;
} Vote;

typedef struct Search
{
  const VncScreen *s;
  VmRect box;
  Anchor anchors[ANCHORS];
  unsigned n_anchors;
  Vote votes[ANCHORS];
  unsigned n_votes;
  uint64_t filter[64]; /* of hashes */
  unsigned hits;
} Search;

static const uint32_t *
old_at (const VncScreen *s, int x, int y)
{
  return s->now + (size_t) y * s->width + x;
}

static const uint32_t *
new_at (const VncScreen *s, int x, int y)
{
  return s->next + (size_t) y * s->width + x;
}

#define FACTOR 0x01000193u

static uint32_t
hash_of (const uint32_t *p)
{
  uint32_t hash = 0;

  for (unsigned i = 0; i < STRIP; i++)
    hash = hash * FACTOR + p[i];
  return hash;
}

/* A strip of plain colour is everywhere. */
static bool
is_telling (const uint32_t *p)
{
  unsigned changes = 0;

  for (unsigned i = 1; i < STRIP; i++)
    changes += p[i] != p[i - 1];
  return changes >= 4;
}

static unsigned
filter_bit (uint32_t hash)
{
  return (hash * 0x9e3779b1u) >> 20;
}

/* Spread over the box; each where, going down from its place, something is to be seen that is new. */
static void
choose_anchors (Search *q)
{
  int across = 8, down = 8;

  for (int i = 0; i < across * down; i++)
    {
      int x = q->box.x + (q->box.width - STRIP) * (i % across) / (across - 1);
      int y = q->box.y + q->box.height * (i / across) / down, end = MIN (y + q->box.height / down, y + 32);
      for (; y < end; y++)
        if (is_telling (old_at (q->s, x, y)) && memcmp (old_at (q->s, x, y), new_at (q->s, x, y), STRIP * 4) != 0)
          {
            uint32_t hash = hash_of (old_at (q->s, x, y));
            unsigned bit = filter_bit (hash);
            q->anchors[q->n_anchors++] = (Anchor){ x, y, *old_at (q->s, x, y), hash };
            q->filter[bit >> 6] |= UINT64_C (1) << (bit & 63);
            break;
          }
    }
}

static void
vote (Search *q, int dx, int dy)
{
  unsigned i;

  if (!dx && !dy)
    return;
  for (i = 0; i < q->n_votes; i++)
    if (q->votes[i].dx == dx && q->votes[i].dy == dy)
      break;
  if (i == ANCHORS)
    return;
  if (i == q->n_votes)
    q->votes[q->n_votes++] = (Vote){ dx, dy, 0 };
  q->votes[i].n++;
}

static const Vote *
winner (const Search *q)
{
  const Vote *best = NULL;

  for (unsigned i = 0; i < q->n_votes; i++)
    if (!best || q->votes[i].n > best->n)
      best = &q->votes[i];
  return best && best->n >= MAX (VOTES_MIN, q->n_anchors / 4) ? best : NULL;
}

/* As far as last time: cheapest. */
static void
search_again (Search *q)
{
  int dx = q->s->move_dx, dy = q->s->move_dy;

  for (unsigned i = 0; i < q->n_anchors; i++)
    {
      const Anchor *a = &q->anchors[i];
      int x = a->x - dx, y = a->y - dy;
      if (x < 0 || y < 0 || x + STRIP > q->s->width || y >= q->s->height)
        continue;
      if (memcmp (new_at (q->s, x, y), old_at (q->s, a->x, a->y), STRIP * 4) == 0)
        vote (q, dx, dy);
    }
}

/* Up and down: cheap. */
static void
search_column (Search *q)
{
  for (int y = q->box.y; y < q->box.y + q->box.height; y++)
    for (unsigned i = 0; i < q->n_anchors; i++)
      {
        const Anchor *a = &q->anchors[i];
        const uint32_t *there = new_at (q->s, a->x, y);
        if (there[0] == a->first && memcmp (there, old_at (q->s, a->x, a->y), STRIP * 4) == 0)
          vote (q, 0, a->y - y);
      }
}

static void
check_hit (Search *q, uint32_t hash, int x, int y)
{
  q->hits++;
  for (unsigned i = 0; i < q->n_anchors; i++)
    if (q->anchors[i].hash == hash
        && memcmp (old_at (q->s, q->anchors[i].x, q->anchors[i].y), new_at (q->s, x, y), STRIP * 4) == 0)
      vote (q, q->anchors[i].x - x, q->anchors[i].y - y);
}

static void
search_everywhere (Search *q)
{
  uint32_t high = 1;

  for (unsigned i = 1; i < STRIP; i++)
    high *= FACTOR;
  for (int y = q->box.y; y < q->box.y + q->box.height && q->hits < HITS_MAX; y++)
    {
      const uint32_t *row = new_at (q->s, q->box.x, y);
      uint32_t hash = hash_of (row);

      for (int x = 0; x + STRIP <= q->box.width; x++)
        {
          unsigned bit = filter_bit (hash);
          if (q->filter[bit >> 6] & UINT64_C (1) << (bit & 63))
            check_hit (q, hash, q->box.x + x, y);
          if (x + STRIP < q->box.width)
            hash = (hash - row[x] * high) * FACTOR + row[x + STRIP];
        }
    }
}

/* --- from a direction to rectangles ----------------------------------------------------------------------- */

/* Pixels of a row of a cell. */
static bool
same_pixels (const uint32_t *a, const uint32_t *b, int n)
{
  if (n != VNC_CELL)
    return memcmp (a, b, (size_t) n * 4) == 0;
  return !vnc_is_any ((vnc_load_four (a) ^ vnc_load_four (b)) | (vnc_load_four (a + 4) ^ vnc_load_four (b + 4))
                      | (vnc_load_four (a + 8) ^ vnc_load_four (b + 8))
                      | (vnc_load_four (a + 12) ^ vnc_load_four (b + 12)));
}

/* Row by row of pixels, as memory likes it. */
void
vnc_screen_mark_moved (VncScreen *s, int row, int from, int end)
{
  unsigned left = (unsigned) from / VNC_CELL, right = (unsigned) (end - 1) / VNC_CELL;
  unsigned first = (unsigned) row * s->columns;
  int dx = s->move_dx, dy = s->move_dy;
  uint8_t *marks = s->marks;
  VmRect r = { 0 };

  for (unsigned column = left; column <= right; column++)
    {
      r = vnc_screen_cell (s, first + column);
      marks[first + column]
          = r.x + dx >= 0 && r.y + dy >= 0 && r.x + dx + r.width <= s->width && r.y + dy + r.height <= s->height;
    }
  for (int y = r.y; y < r.y + r.height; y++)
    for (unsigned column = left; column <= right; column++)
      if (marks[first + column])
        {
          int x = (int) column * VNC_CELL;
          const uint32_t *new = new_at (s, x, y), *old = old_at (s, x + dx, y + dy);

          __builtin_prefetch (new + s->width); /* the next page, as in take_pixels() */
          __builtin_prefetch (old + s->width);
          marks[first + column] = same_pixels (new, old, MIN (VNC_CELL, s->width - x));
        }
}

static bool
meet (VmRect a, VmRect b)
{
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/* The biggest rectangle of marked cells that has the cell at COLUMN, ROW as its corner, going right, then down. */
static VmRect
take_block (const VncScreen *s, uint8_t *marks, unsigned column, unsigned row, unsigned *cells)
{
  unsigned right = column, bottom = row + 1;

  while (right < s->columns && marks[row * s->columns + right])
    right++;
  for (bool whole = true; bottom < s->rows; bottom++)
    {
      for (unsigned i = column; i < right && whole; i++)
        whole = marks[bottom * s->columns + i];
      if (!whole)
        break;
    }
  for (unsigned y = row; y < bottom; y++)
    memset (marks + y * s->columns + column, 0, right - column);
  *cells = (right - column) * (bottom - row);
  VmRect r = { (int) column * VNC_CELL, (int) row * VNC_CELL, 0, 0 };
  r.width = MIN ((int) right * VNC_CELL, s->width) - r.x;
  r.height = MIN ((int) bottom * VNC_CELL, s->height) - r.y;
  return r;
}

/* The client copies one after the other: what one overwrites none of the later ones may need. */
static bool
may_follow (const VncScreen *s, VncMove move)
{
  VmRect from = { move.to.x + move.dx, move.to.y + move.dy, move.to.width, move.to.height };

  for (guint i = 0; i < s->moves->len; i++)
    if (meet (g_array_index (s->moves, VncMove, i).to, from))
      return false;
  return true;
}

static unsigned
add_move (VncScreen *s, VncMove move)
{
  unsigned changed = 0;

  if (s->moves->len >= MOVES_MAX || !may_follow (s, move))
    return 0;
  g_array_append_val (s->moves, move);
  for (int y = move.to.y; y < move.to.y + move.to.height; y += VNC_CELL)
    for (int x = move.to.x; x < move.to.x + move.to.width; x += VNC_CELL)
      {
        unsigned cell = (unsigned) (y / VNC_CELL) * s->columns + (unsigned) (x / VNC_CELL);
        s->moved[cell] = (uint8_t) s->moves->len;
        changed += s->serials[cell] == s->serial;
      }
  return changed;
}

static unsigned
count_changed (const VncScreen *s, VmRect box)
{
  unsigned n = 0;

  for (int y = box.y; y < box.y + box.height; y += VNC_CELL)
    for (int x = box.x; x < box.x + box.width; x += VNC_CELL)
      n += s->serials[(unsigned) (y / VNC_CELL) * s->columns + (unsigned) (x / VNC_CELL)] == s->serial;
  return n;
}

/* From marks to moves, unless they explain less of what changed than one in SHARE. */
static bool
collect (VncScreen *s, VmRect box, unsigned share)
{
  uint8_t *marks = s->marks;
  int dx = s->move_dx, dy = s->move_dy;
  unsigned left = (unsigned) box.x / VNC_CELL, right = (unsigned) (box.x + box.width - 1) / VNC_CELL;
  unsigned top = (unsigned) box.y / VNC_CELL, bottom = (unsigned) (box.y + box.height - 1) / VNC_CELL, explained = 0;

  /* From where the picture goes to, so that sources are still there. */
  for (unsigned i = 0; i <= bottom - top; i++)
    for (unsigned column = left; column <= right; column++)
      {
        unsigned row = dy >= 0 ? top + i : bottom - i, cells;
        if (!marks[row * s->columns + column])
          continue;
        if (dy < 0) /* blocks grow downwards: begin at the top of this one */
          while (row > top && marks[(row - 1) * s->columns + column])
            row--;
        VmRect to = take_block (s, marks, column, row, &cells);
        if (cells >= MOVE_CELLS_MIN)
          explained += add_move (s, (VncMove){ to, dx, dy });
      }
  if (explained >= MAX (16, count_changed (s, box) / share))
    return true;
  g_array_set_size (s->moves, 0);
  memset (s->moved, 0, (size_t) s->columns * s->rows);
  return false;
}

static bool
try_moves (VncScreen *s, VmRect box)
{
  void (*const searches[]) (Search *) = { search_again, search_column, search_everywhere };
  Search q = { .s = s, .box = box };
  const Vote *best = NULL;

  choose_anchors (&q);
  for (unsigned i = 0; q.n_anchors >= VOTES_MIN && i < G_N_ELEMENTS (searches) && !best; i++)
    {
      q.n_votes = 0;
      searches[i](&q);
      best = winner (&q);
    }
  if (!best)
    return false;
  s->move_dx = best->dx;
  s->move_dy = best->dy;
  for (int y = box.y; y < box.y + box.height; y += VNC_CELL)
    vnc_screen_mark_moved (s, y / VNC_CELL, box.x, box.x + box.width);
  return collect (s, box, 4);
}

void
vnc_screen_find_moves (VncScreen *s, VmRect box, bool marked)
{
  if (box.width < 2 * STRIP || box.height < 2 * VNC_CELL)
    return;
  if (s->move_pause)
    {
      s->move_pause--;
      return;
    }
  if ((marked && collect (s, box, 2)) || try_moves (s, box))
    {
      s->move_box = box;
      s->move_wait = 0;
    }
  else
    { /* a film never moves as a whole: look less often */
      s->move_wait = MIN (WAIT_MAX, s->move_wait * 2 + 1);
      s->move_pause = s->move_wait;
    }
}
