/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL: text and lines (spice/qxl_dev.h: QXLText, QXLStroke). Glyphs come as pictures of what they cover; a line is one
 * pixel wide, and its last one belongs to the next. */
#include "devices/display/qxl-draw.h"

#include <spice/enums.h>

#define DATA_MAX (1u << 20)           /* bytes of a string or a path */
#define WORK_MAX (UINT64_C (1) << 24) /* about so many pixels of one command, and not more */
#define CURVE_STEPS 32

typedef struct Box
{
  int left, top, right, bottom;
} Box;

static Box
box_of (const QxlDraw *d)
{
  return (Box){ d->left, d->top, d->right, d->bottom };
}

/* A part of BOX; what is outside it or surfaces is left out. */
static void
draw_part (QxlDraw *d, const Box *box, int64_t left, int64_t top, int64_t right, int64_t bottom)
{
  d->left = (int) CLAMP (left, box->left, box->right);
  d->top = (int) CLAMP (top, box->top, box->bottom);
  d->right = (int) CLAMP (right, box->left, box->right);
  d->bottom = (int) CLAMP (bottom, box->top, box->bottom);
  d->pixels += 1 + d->n_clips;
  if (d->left < d->right && d->top < d->bottom)
    qxl_draw_area (d);
}

/* --- text ------------------------------------------------------------------------------------------------------- */

/* What a glyph covers, a byte a pixel, from the top. */
static uint8_t *
expand_glyph (const uint8_t *rows, int width, int height, unsigned bits, bool top_down)
{
  size_t stride = ((size_t) width * bits + 7) / 8;
  unsigned most = (1u << bits) - 1;
  uint8_t *out = g_try_malloc ((size_t) width * height);

  for (int y = 0; out && y < height; y++)
    {
      const uint8_t *row = rows + stride * (size_t) (top_down ? y : height - 1 - y);
      for (int x = 0; x < width; x++)
        {
          size_t at = (size_t) x * bits;
          out[(size_t) y * width + x] = (uint8_t) ((row[at / 8] >> (8 - bits - at % 8) & most) * 255 / most);
        }
    }
  return out;
}

static void
draw_glyph (QxlDraw *d, const Box *box, const QXLRasterGlyph *glyph, const uint8_t *rows, unsigned bits, bool top_down)
{
  int64_t x = (int64_t) glyph->render_pos.x + glyph->glyph_origin.x,
          y = (int64_t) glyph->render_pos.y + glyph->glyph_origin.y;
  int width = glyph->width, height = glyph->height;

  if (x >= box->right || y >= box->bottom || x + width <= box->left || y + height <= box->top)
    return;
  uint8_t *covered = expand_glyph (rows, width, height, bits, top_down);
  if (!covered)
    return;
  d->mask = (QxlImage){ .width = width,
                        .height = height,
                        .rows = covered,
                        .stride = width,
                        .format = SPICE_BITMAP_FMT_8BIT_A,
                        .alpha = true,
                        .own = covered };
  d->mask_x = (int) MAX (box->left - x, 0);
  d->mask_y = (int) MAX (box->top - y, 0);
  draw_part (d, box, x, y, x + width, y + height);
  qxl_close_image (&d->mask);
}

static void
draw_string (QxlDraw *d, const Box *box, QXLPHYSICAL addr)
{
  QXLString head;

  if (!qxl_read (d->s, addr, &head, sizeof head))
    return;
  uint64_t size = MIN (head.data_size, DATA_MAX);
  g_autofree uint8_t *data = qxl_gather (d->s, addr + offsetof (QXLString, chunk), &size);
  unsigned bits = head.flags & SPICE_STRING_FLAGS_RASTER_A8 ? 8 : head.flags & SPICE_STRING_FLAGS_RASTER_A4 ? 4 : 1;
  const uint8_t *at = data;
  for (unsigned i = 0; data && i < head.length && d->pixels < WORK_MAX; i++)
    {
      QXLRasterGlyph glyph;
      if (size < sizeof glyph)
        return;
      memcpy (&glyph, at, sizeof glyph);
      uint64_t bytes = ((uint64_t) glyph.width * bits + 7) / 8 * glyph.height;
      if (bytes > size - sizeof glyph)
        return;
      draw_glyph (d, box, &glyph, at + sizeof glyph, bits, head.flags & SPICE_STRING_FLAGS_RASTER_TOP_DOWN);
      d->pixels += bytes;
      at += sizeof glyph + bytes;
      size -= sizeof glyph + bytes;
    }
}

void
qxl_draw_text (QxlDraw *d, const QXLText *t)
{
  Box box = box_of (d);

  if (qxl_take_brush (d, &t->back_brush) && !d->brush.none)
    {
      d->rop = t->back_mode;
      d->combine = qxl_combine_brush;
      draw_part (d, &box, t->back_area.left, t->back_area.top, t->back_area.right, t->back_area.bottom);
    }
  qxl_close_image (&d->brush.pattern);
  d->brush = (QxlBrush){ .none = true };
  if (!qxl_take_brush (d, &t->fore_brush) || d->brush.none)
    return;
  d->rop = t->fore_mode;
  d->has_mask = d->mask_alpha = true;
  d->combine = qxl_combine_glyph;
  draw_string (d, &box, t->str);
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

typedef struct Pen
{
  QxlDraw *d;
  Box box;
  unsigned n_dashes; /* 0: no gaps */
  uint32_t dashes[256];
  bool gap_first;
  uint64_t period, done; /* pixels: of the dashes, and of the line so far */
} Pen;

static bool
pen_is_down (const Pen *pen, uint64_t at)
{
  unsigned i = 0;

  if (!pen->n_dashes)
    return true;
  for (at %= pen->period; at >= pen->dashes[i]; i++)
    at -= pen->dashes[i];
  return (i & 1) == pen->gap_first;
}

/* Pixels from FIRST to END along x, or along y, in the row or column OTHER. */
static void
pen_run (Pen *pen, bool steep, int64_t first, int64_t end, int64_t other)
{
  if (steep)
    draw_part (pen->d, &pen->box, other, first, other + 1, end);
  else
    draw_part (pen->d, &pen->box, first, other, end, other + 1);
}

/* Pixel by pixel along the longer axis, within the box; those in a row are drawn at once. */
static void
pen_line (Pen *pen, int64_t x0, int64_t y0, int64_t x1, int64_t y1)
{
  bool steep = ABS (y1 - y0) > ABS (x1 - x0);
  int64_t from = steep ? y0 : x0, to = steep ? y1 : x1, at = steep ? x0 : y0, slope = (steep ? x1 : y1) - at;
  int64_t length = ABS (to - from), low = steep ? pen->box.top : pen->box.left,
          high = steep ? pen->box.bottom : pen->box.right, run = -1, row = 0;
  int step = to < from ? -1 : 1;

  int64_t first = MAX (step > 0 ? low - from : from - high + 1, 0),
          end = MIN (step > 0 ? high - from : from - low + 1, length);
  for (int64_t i = first; i < end && pen->d->pixels < WORK_MAX; i++)
    {
      int64_t twice = 2 * i * slope + length, other = at + (twice >= 0 ? twice : twice - 2 * length + 1) / (2 * length);
      bool down = pen_is_down (pen, pen->done + (uint64_t) i);
      if (run >= 0 && (!down || other != row))
        {
          pen_run (pen, steep, MIN (from + step * run, from + step * (i - 1)),
                   MAX (from + step * run, from + step * (i - 1)) + 1, row);
          run = -1;
        }
      if (down && run < 0)
        run = i;
      row = other;
    }
  if (run >= 0)
    pen_run (pen, steep, MIN (from + step * run, from + step * (end - 1)),
             MAX (from + step * run, from + step * (end - 1)) + 1, row);
  pen->done += (uint64_t) length;
  pen->d->pixels += 1 + (uint64_t) MAX (end - first, 0);
}

static int64_t
pixel_of (int64_t fix)
{
  return (fix + 8) >> 4;
}

static void
pen_to (Pen *pen, QXLPointFix *from, QXLPointFix to)
{
  pen_line (pen, pixel_of (from->x), pixel_of (from->y), pixel_of (to.x), pixel_of (to.y));
  *from = to;
}

static int64_t
curve (int64_t a, int64_t b, int64_t c, int64_t e, int64_t t)
{
  int64_t u = CURVE_STEPS - t;

  return (a * u * u * u + 3 * b * u * u * t + 3 * c * u * t * t + e * t * t * t)
         / (CURVE_STEPS * CURVE_STEPS * CURVE_STEPS);
}

static void
pen_curve (Pen *pen, QXLPointFix *from, const QXLPointFix *p)
{
  QXLPointFix start = *from;

  for (int t = 1; t <= CURVE_STEPS; t++)
    pen_to (pen, from,
            (QXLPointFix){ (QXLFIXED) curve (start.x, p[0].x, p[1].x, p[2].x, t),
                           (QXLFIXED) curve (start.y, p[0].y, p[1].y, p[2].y, t) });
}

static void
pen_path (Pen *pen, const uint8_t *data, uint64_t size)
{
  QXLPointFix start = { 0 }, at = { 0 };
  QXLPathSeg head;

  while (size >= sizeof head && pen->d->pixels < WORK_MAX)
    {
      memcpy (&head, data, sizeof head);
      data += sizeof head;
      size -= sizeof head;
      if (head.count > size / sizeof (QXLPointFix))
        return;
      g_autofree QXLPointFix *points = g_memdup2 (data, (size_t) head.count * sizeof *points);
      uint32_t i = 0;
      if (head.flags & QXL_PATH_BEGIN && head.count)
        {
          start = at = points[i++];
          pen->done = 0;
        }
      if (head.flags & QXL_PATH_BEZIER)
        for (; head.count - i >= 3; i += 3)
          pen_curve (pen, &at, points + i);
      else
        for (; i < head.count; i++)
          pen_to (pen, &at, points[i]);
      if (head.flags & QXL_PATH_CLOSE)
        pen_to (pen, &at, start);
      data += (size_t) head.count * sizeof *points;
      size -= (uint64_t) head.count * sizeof *points;
    }
}

static bool
pen_take_style (Pen *pen, const QXLLineAttr *attr)
{
  QXLFIXED style[256];

  if (!(attr->flags & SPICE_LINE_FLAGS_STYLED) || !attr->style_nseg)
    return true;
  if (!qxl_read (pen->d->s, attr->style, style, attr->style_nseg * sizeof *style))
    return false;
  pen->gap_first = attr->flags & SPICE_LINE_FLAGS_START_WITH_GAP;
  /* An odd number of them goes on the other way round. */
  unsigned times = attr->style_nseg & 1 ? 2 : 1;
  for (unsigned i = 0; i < attr->style_nseg * times && i < G_N_ELEMENTS (pen->dashes); i++)
    {
      pen->dashes[i] = (uint32_t) MAX (pixel_of (style[i % attr->style_nseg]), 0);
      pen->period += pen->dashes[i];
      pen->n_dashes++;
    }
  if (!pen->period)
    pen->n_dashes = 0;
  return true;
}

void
qxl_draw_stroke (QxlDraw *d, const QXLStroke *stroke)
{
  Pen pen = { .d = d, .box = box_of (d) };
  QXLPath path;

  if (!qxl_take_brush (d, &stroke->brush) || d->brush.none || !pen_take_style (&pen, &stroke->attr)
      || !qxl_read (d->s, stroke->path, &path, sizeof path))
    return;
  d->rop = stroke->fore_mode;
  d->combine = qxl_combine_brush;
  uint64_t size = MIN (path.data_size, DATA_MAX);
  g_autofree uint8_t *data = qxl_gather (d->s, stroke->path + offsetof (QXLPath, chunk), &size);
  if (data)
    pen_path (&pen, data, size);
}
