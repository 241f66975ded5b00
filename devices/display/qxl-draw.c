/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL: drawing commands (spice/qxl_dev.h: QXLDrawable), a line at a time. Pictures are scaled to the nearest pixel. */
#include "devices/display/qxl-draw.h"

#include "engine/base/log.h"

#include <spice/enums.h>

#define CLIP_MAX 4096

enum
{
  LINE_DEST,
  LINE_SOURCE,
  LINE_BRUSH,
  LINE_MASK
};

enum
{
  REPEAT_NONE,
  REPEAT_NORMAL,
  REPEAT_PAD,
  REPEAT_REFLECT
};

/* --- what becomes of a pixel ---------------------------------------------------------------------------- */

static uint32_t
scale_pixel (uint32_t pixel, unsigned by)
{
  uint32_t out = 0;

  for (unsigned shift = 0; shift < 32; shift += 8)
    {
      unsigned v = (pixel >> shift & 0xff) * by + 128;
      out |= (v + (v >> 8)) >> 8 << shift;
    }
  return out;
}

static uint32_t
add_pixels (uint32_t a, uint32_t b)
{
  uint32_t out = 0;

  for (unsigned shift = 0; shift < 32; shift += 8)
    out |= MIN ((a >> shift & 0xff) + (b >> shift & 0xff), 255u) << shift;
  return out;
}

static uint32_t
rop_descriptor (unsigned rop, uint32_t s, uint32_t d)
{
  uint32_t r;

  if (rop & (SPICE_ROPD_INVERS_SRC | SPICE_ROPD_INVERS_BRUSH))
    s = ~s;
  if (rop & SPICE_ROPD_INVERS_DEST)
    d = ~d;
  if (rop & SPICE_ROPD_OP_PUT)
    r = s;
  else if (rop & SPICE_ROPD_OP_OR)
    r = s | d;
  else if (rop & SPICE_ROPD_OP_AND)
    r = s & d;
  else if (rop & SPICE_ROPD_OP_XOR)
    r = s ^ d;
  else if (rop & SPICE_ROPD_OP_BLACKNESS)
    r = 0;
  else if (rop & SPICE_ROPD_OP_WHITENESS)
    r = QXL_COLOR;
  else if (rop & SPICE_ROPD_OP_INVERS)
    r = ~d;
  else
    r = d;
  return rop & SPICE_ROPD_INVERS_RES ? ~r : r;
}

/* ROP says what is to be done with LINE and the destination. The plain copy, which is nearly all there is, is fast. */
static void
combine_line (QxlDraw *d, unsigned line, unsigned rop, int n)
{
  uint32_t *dest = d->s->lines[LINE_DEST];
  const uint32_t *from = d->s->lines[line];

  if (rop == SPICE_ROPD_OP_PUT)
    {
      memcpy (dest, from, (size_t) n * sizeof *dest);
      return;
    }
  for (int i = 0; i < n; i++)
    dest[i] = QXL_OPAQUE | rop_descriptor (rop, from[i], dest[i]);
}

static void
combine_source (QxlDraw *d, int n)
{
  combine_line (d, LINE_SOURCE, d->rop & ~(unsigned) SPICE_ROPD_INVERS_BRUSH, n);
}

void
qxl_combine_brush (QxlDraw *d, int n)
{
  combine_line (d, LINE_BRUSH, d->rop & ~(unsigned) SPICE_ROPD_INVERS_SRC, n);
}

/* The source, and the brush over it. */
static void
combine_opaque (QxlDraw *d, int n)
{
  combine_line (d, LINE_SOURCE, SPICE_ROPD_OP_PUT, n);
  qxl_combine_brush (d, n);
}

/* The brush where the mask covers, in part where it does in part. */
void
qxl_combine_glyph (QxlDraw *d, int n)
{
  uint32_t *dest = d->s->lines[LINE_DEST];

  for (int i = 0; i < n; i++)
    {
      unsigned covered = d->s->lines[LINE_MASK][i] >> 24;
      uint32_t drawn
          = QXL_OPAQUE
            | rop_descriptor (d->rop & ~(unsigned) SPICE_ROPD_INVERS_SRC, d->s->lines[LINE_BRUSH][i], dest[i]);
      if (covered)
        dest[i] = add_pixels (scale_pixel (drawn, covered), scale_pixel (dest[i], 255 - covered));
    }
}

/* Bit by bit: of pattern, source and destination, in this order, as GDI numbers them. */
static void
combine_rop3 (QxlDraw *d, int n)
{
  uint32_t *dest = d->s->lines[LINE_DEST];

  for (int i = 0; i < n; i++)
    {
      uint32_t p = d->s->lines[LINE_BRUSH][i], s = d->s->lines[LINE_SOURCE][i], t = dest[i], r = 0;
      for (unsigned k = 0; k < 8; k++)
        if (d->rop >> k & 1)
          r |= (k & 4 ? p : ~p) & (k & 2 ? s : ~s) & (k & 1 ? t : ~t);
      dest[i] = QXL_OPAQUE | r;
    }
}

static void
combine_key (QxlDraw *d, int n)
{
  uint32_t *dest = d->s->lines[LINE_DEST];

  for (int i = 0; i < n; i++)
    if ((d->s->lines[LINE_SOURCE][i] & QXL_COLOR) != d->key)
      dest[i] = d->s->lines[LINE_SOURCE][i];
}

/* Sources are premultiplied. */
static void
combine_alpha (QxlDraw *d, int n)
{
  uint32_t *dest = d->s->lines[LINE_DEST];

  for (int i = 0; i < n; i++)
    {
      uint32_t s = d->s->lines[LINE_SOURCE][i];
      s = scale_pixel (d->src_alpha ? s : s | QXL_OPAQUE, d->alpha);
      uint32_t r = add_pixels (s, scale_pixel (d->dest_alpha ? dest[i] : dest[i] | QXL_OPAQUE, 255 - (s >> 24)));
      dest[i] = d->dest_alpha ? r : r | QXL_OPAQUE;
    }
}

/* Porter and Duff: how much of source and destination there is in the result. */
static bool
factors (unsigned op, unsigned sa, unsigned da, unsigned *fs, unsigned *fd)
{
  const unsigned one = 255, not_s = 255 - sa, not_d = 255 - da;
  const unsigned table[][2] = {
    [QXL_OP_CLEAR] = { 0, 0 },
    [QXL_OP_SOURCE] = { one, 0 },
    [QXL_OP_DST] = { 0, one },
    [QXL_OP_OVER] = { one, not_s },
    [QXL_OP_OVER_REVERSE] = { not_d, one },
    [QXL_OP_IN] = { da, 0 },
    [QXL_OP_IN_REVERSE] = { 0, sa },
    [QXL_OP_OUT] = { not_d, 0 },
    [QXL_OP_OUT_REVERSE] = { 0, not_s },
    [QXL_OP_ATOP] = { da, not_s },
    [QXL_OP_ATOP_REVERSE] = { not_d, sa },
    [QXL_OP_XOR] = { not_d, not_s },
    [QXL_OP_ADD] = { one, one },
    [QXL_OP_SATURATE] = { sa > not_d ? not_d * 255 / sa : one, one },
  };

  if (op >= G_N_ELEMENTS (table))
    return false;
  *fs = table[op][0];
  *fd = table[op][1];
  return true;
}

/* Each colour has a mask of its own: letters smoothed for the colours of a screen. */
static void
combine_components (QxlDraw *d, int n)
{
  uint32_t *dest = d->s->lines[LINE_DEST];

  for (int i = 0; i < n; i++)
    {
      uint32_t s = d->s->lines[LINE_SOURCE][i], mask = d->s->lines[LINE_MASK][i];
      uint32_t t = d->dest_alpha ? dest[i] : dest[i] | QXL_OPAQUE, r = 0;
      for (unsigned shift = 0; shift < 32; shift += 8)
        {
          unsigned fs = 0, fd = 0, m = mask >> shift & 0xff;
          factors (d->op, scale_pixel (s >> 24, m), t >> 24, &fs, &fd);
          r |= add_pixels (scale_pixel (scale_pixel (s >> shift & 0xff, m), fs), scale_pixel (t >> shift & 0xff, fd))
               << shift;
        }
      dest[i] = d->dest_alpha ? r : r | QXL_OPAQUE;
    }
}

static void
combine_composite (QxlDraw *d, int n)
{
  uint32_t *dest = d->s->lines[LINE_DEST];

  for (int i = 0; i < n; i++)
    {
      uint32_t s = d->s->lines[LINE_SOURCE][i], t = d->dest_alpha ? dest[i] : dest[i] | QXL_OPAQUE;
      unsigned fs = 0, fd = 0;
      if (d->has_mask)
        s = scale_pixel (s, d->s->lines[LINE_MASK][i] >> 24);
      factors (d->op, s >> 24, t >> 24, &fs, &fd);
      uint32_t r = add_pixels (scale_pixel (s, fs), scale_pixel (t, fd));
      dest[i] = d->dest_alpha ? r : r | QXL_OPAQUE;
    }
}

/* --- lines ------------------------------------------------------------------------------------------- */

static int
modulo (int64_t a, int b)
{
  int64_t r = a % b;

  return (int) (r < 0 ? r + b : r);
}

/* The pixel that a place beyond the edges means; false: none. */
static bool
fold (int64_t *at, int size, unsigned repeat)
{
  switch (repeat)
    {
    case REPEAT_NONE:
      return *at >= 0 && *at < size;
    case REPEAT_NORMAL:
      *at = modulo (*at, size);
      return true;
    case REPEAT_PAD:
      *at = CLAMP (*at, 0, size - 1);
      return true;
    default:
      *at = modulo (*at, 2 * size);
      *at = *at < size ? *at : 2 * size - 1 - *at;
      return true;
    }
}

static uint32_t
folded_pixel (const QxlImage *image, unsigned repeat, int64_t x, int64_t y)
{
  uint32_t pixel = 0;

  if (fold (&x, image->width, repeat) && fold (&y, image->height, repeat))
    qxl_image_line (image, (int) x, (int) y, 1, &pixel);
  return pixel;
}

static uint32_t
mix (uint32_t a, uint32_t b, unsigned part)
{
  return add_pixels (scale_pixel (a, 255 - part), scale_pixel (b, part));
}

/* X and Y of the picture before it is transformed. */
static void
sample_line (const QxlImage *image, const QxlSampler *p, int x, int y, int n, uint32_t *out)
{
  const int32_t *m = p->matrix;

  for (int i = 0; i < n; i++)
    { /* 16.16, of the middle of the pixel */
      int64_t twice_x = 2 * ((int64_t) x + i) + 1, twice_y = 2 * (int64_t) y + 1;
      int64_t sx = ((m[0] * twice_x + m[1] * twice_y) >> 1) + m[2],
              sy = ((m[3] * twice_x + m[4] * twice_y) >> 1) + m[5];
      if (!p->smooth)
        {
          out[i] = folded_pixel (image, p->repeat, (sx - 1) >> 16, (sy - 1) >> 16);
          continue;
        }
      sx -= 0x8000;
      sy -= 0x8000;
      int64_t left = sx >> 16, top = sy >> 16;
      unsigned part_x = sx >> 8 & 0xff, part_y = sy >> 8 & 0xff;
      uint32_t upper
          = mix (folded_pixel (image, p->repeat, left, top), folded_pixel (image, p->repeat, left + 1, top), part_x),
          lower = mix (folded_pixel (image, p->repeat, left, top + 1),
                       folded_pixel (image, p->repeat, left + 1, top + 1), part_x);
      out[i] = mix (upper, lower, part_y);
    }
}

static void
source_line (QxlDraw *d, int x, int y, int n)
{
  int width = d->right - d->left, height = d->bottom - d->top;
  uint32_t *out = d->s->lines[LINE_SOURCE];

  if (d->source_sampler.on)
    {
      sample_line (&d->source, &d->source_sampler, d->src_x + (x - d->left), d->src_y + (y - d->top), n, out);
      return;
    }
  if (width == d->src_width && height == d->src_height)
    {
      qxl_image_line (&d->source, d->src_x + (x - d->left), d->src_y + (y - d->top), n, out);
      return;
    }
  int from_y = d->src_y + (int) ((int64_t) (y - d->top) * d->src_height / height);
  for (int i = 0; i < n; i++)
    qxl_image_line (&d->source, d->src_x + (int) ((int64_t) (x + i - d->left) * d->src_width / width), from_y, 1,
                    out + i);
}

static void
brush_line (QxlDraw *d, int x, int y, int n)
{
  const QxlBrush *b = &d->brush;
  uint32_t *out = d->s->lines[LINE_BRUSH];

  for (int i = 0; i < n; i++)
    if (!b->is_pattern)
      out[i] = b->color;
    else
      qxl_image_line (&b->pattern, modulo ((int64_t) x + i - b->x, b->pattern.width),
                      modulo ((int64_t) y - b->y, b->pattern.height), 1, out + i);
}

static void
draw_line (QxlDraw *d, int x, int y, int n)
{
  uint8_t *row = d->rows + (ptrdiff_t) y * d->stride;
  uint32_t *dest = d->s->lines[LINE_DEST], *before = d->s->lines[LINE_MASK];
  QxlImage surface = { 0 };
  bool by_bits = d->has_mask && !d->mask_alpha;

  if (!qxl_open_surface (d->s, d->id, &surface))
    return;
  qxl_image_line (&surface, x, y, n, dest);
  if (d->has_source)
    source_line (d, x, y, n);
  if (d->brush.is_pattern || !d->brush.none)
    brush_line (d, x, y, n);
  if (by_bits)
    memcpy (before, dest, (size_t) n * sizeof *dest);
  else if (d->mask_sampler.on)
    sample_line (&d->mask, &d->mask_sampler, d->mask_x + (x - d->left), d->mask_y + (y - d->top), n, before);
  else if (d->has_mask)
    qxl_image_line (&d->mask, d->mask_x + (x - d->left), d->mask_y + (y - d->top), n, before);
  d->combine (d, n);
  for (int i = 0; by_bits && i < n; i++)
    if (qxl_image_bit (&d->mask, d->mask_x + (x + i - d->left), d->mask_y + (y - d->top)) == d->mask_inverse)
      dest[i] = before[i];
  qxl_store_line (d->format, row, x, n, dest);
}

static void
draw_rect (QxlDraw *d, int64_t left, int64_t top, int64_t right, int64_t bottom)
{
  int x = (int) CLAMP (MAX (left, d->left), 0, d->width), y = (int) CLAMP (MAX (top, d->top), 0, d->height);
  int x2 = (int) CLAMP (MIN (right, d->right), 0, d->width), y2 = (int) CLAMP (MIN (bottom, d->bottom), 0, d->height);

  if (x >= x2 || y >= y2)
    return;
  for (int line = y; line < y2; line++)
    draw_line (d, x, line, x2 - x);
  d->pixels += (uint64_t) (x2 - x) * (y2 - y);
  uint64_t row = (uint64_t) ABS (d->stride);
  uint64_t first = d->stride < 0 ? (uint64_t) (d->height - y2) : (uint64_t) y;
  qxl_written (d->s, d->s->surface_bar[d->id], d->s->surface_start[d->id] + first * row, row * (uint64_t) (y2 - y));
  if (d->id == 0)
    qxl_dirty (d->s, (VmRect){ x, y, x2 - x, y2 - y });
}

void
qxl_draw_area (QxlDraw *d)
{
  for (size_t i = 0; i < d->n_clips; i++)
    draw_rect (d, d->clips[i].left, d->clips[i].top, d->clips[i].right, d->clips[i].bottom);
}

/* The rectangles within which is drawn, *N of them; NULL: none. */
static QXLRect *
read_clips (Qxl *s, const QXLClip *clip, const QXLRect *all, size_t *n)
{
  uint32_t said;

  *n = 1;
  if (clip->type == SPICE_CLIP_TYPE_NONE)
    return g_memdup2 (all, sizeof *all);
  if (clip->type != SPICE_CLIP_TYPE_RECTS || !qxl_read (s, clip->data, &said, sizeof said))
    return NULL;
  uint64_t size = (uint64_t) MIN (said, CLIP_MAX) * sizeof (QXLRect);
  QXLRect *rects = (QXLRect *) (void *) qxl_gather (s, clip->data + offsetof (QXLClipRects, chunk), &size);
  *n = size / sizeof *rects;
  return rects;
}

/* --- parts of a command ------------------------------------------------------------------------------- */

static bool
take_source (QxlDraw *d, QXLPHYSICAL addr, const QXLRect *area)
{
  if (!qxl_open_image (d->s, addr, &d->source))
    return false;
  int64_t width = (int64_t) area->right - area->left, height = (int64_t) area->bottom - area->top;
  d->has_source = true;
  d->src_x = area->left;
  d->src_y = area->top;
  d->src_width = (int) width;
  d->src_height = (int) height;
  return area->left >= 0 && area->top >= 0 && width > 0 && height > 0 && area->right <= d->source.width
         && area->bottom <= d->source.height;
}

bool
qxl_take_brush (QxlDraw *d, const QXLBrush *b)
{
  d->brush.none = b->type == SPICE_BRUSH_TYPE_NONE;
  if (b->type == SPICE_BRUSH_TYPE_SOLID)
    d->brush.color = b->u.color | QXL_OPAQUE;
  if (b->type != SPICE_BRUSH_TYPE_PATTERN)
    return true;
  d->brush.is_pattern = qxl_open_image (d->s, b->u.pattern.pat, &d->brush.pattern);
  d->brush.x = b->u.pattern.pos.x;
  d->brush.y = b->u.pattern.pos.y;
  return d->brush.is_pattern;
}

static bool
take_mask (QxlDraw *d, const QXLQMask *m)
{
  if (!m->bitmap)
    return true;
  d->has_mask = qxl_open_image (d->s, m->bitmap, &d->mask);
  d->mask_inverse = m->flags & SPICE_MASK_FLAGS_INVERS;
  d->mask_x = m->pos.x;
  d->mask_y = m->pos.y;
  return d->has_mask && ABS ((int64_t) d->mask_x) < QXL_SIDE_MAX && ABS ((int64_t) d->mask_y) < QXL_SIDE_MAX;
}

/* --- the kinds ---------------------------------------------------------------------------------------- */

/* Within a surface, perhaps over itself: by way of a copy of what is there. */
static bool
prepare_copy_bits (QxlDraw *d, const QXLPoint *from)
{
  int width = d->right - d->left, height = d->bottom - d->top;
  QxlImage surface;

  if (!qxl_open_surface (d->s, d->id, &surface) || from->x < 0 || from->y < 0 || from->x > d->width - width
      || from->y > d->height - height)
    return false;
  uint32_t *copy = g_try_new (uint32_t, (size_t) width * height);
  if (!copy)
    return false;
  for (int y = 0; y < height; y++)
    qxl_image_line (&surface, from->x, from->y + y, width, copy + (size_t) y * width);
  d->source = (QxlImage){ .width = width,
                          .height = height,
                          .rows = (uint8_t *) copy,
                          .stride = (ptrdiff_t) width * 4,
                          .format = SPICE_BITMAP_FMT_RGBA,
                          .alpha = true,
                          .own = (uint8_t *) copy };
  d->has_source = true;
  d->src_width = width;
  d->src_height = height;
  d->rop = SPICE_ROPD_OP_PUT;
  d->combine = combine_source;
  return true;
}

static bool
take_sampler (QxlDraw *d, QxlSampler *p, QXLPHYSICAL transform, unsigned filter, unsigned repeat)
{
  static const int32_t identity[6] = { 0x10000, 0, 0, 0, 0x10000, 0 };
  QXLTransform t;

  memcpy (p->matrix, identity, sizeof identity);
  p->on = transform || repeat;
  p->smooth = filter && transform;
  p->repeat = repeat;
  if (!transform)
    return true;
  if (!qxl_read (d->s, transform, &t, sizeof t))
    return false;
  memcpy (p->matrix, &t, sizeof t);
  return true;
}

static bool
prepare_composite (QxlDraw *d, const QXLComposite *c)
{
  unsigned unused;
  int width = d->right - d->left, height = d->bottom - d->top;

  d->op = c->flags & 0xff;
  if (!factors (d->op, 0, 0, &unused, &unused))
    {
      qxl_complain (d->s, "not drawn: a composite with", c->flags);
      return false;
    }
  if (!qxl_open_image (d->s, c->src, &d->source)
      || !take_sampler (d, &d->source_sampler, c->src_transform, c->flags >> 8 & 7, c->flags >> 14 & 3))
    return false;
  d->has_source = true;
  d->src_x = c->src_origin.x;
  d->src_y = c->src_origin.y;
  d->src_width = width;
  d->src_height = height;
  d->combine = combine_composite;
  d->mask_alpha = true;
  if (!c->mask)
    return true;
  d->mask_x = c->mask_origin.x;
  d->mask_y = c->mask_origin.y;
  d->has_mask = qxl_open_image (d->s, c->mask, &d->mask);
  if (c->flags >> 18 & 1 && d->mask.format != SPICE_BITMAP_FMT_8BIT_A)
    d->combine = combine_components;
  return d->has_mask && take_sampler (d, &d->mask_sampler, c->mask_transform, c->flags >> 11 & 7, c->flags >> 16 & 3);
}

static bool
prepare_solid (QxlDraw *d, const QXLQMask *mask, unsigned rop)
{
  d->brush.color = QXL_OPAQUE;
  d->brush.none = false;
  d->rop = rop;
  d->combine = qxl_combine_brush;
  return take_mask (d, mask);
}

/* Whether there is an area to be drawn now. */
static bool
prepare (QxlDraw *d, const QXLDrawable *c)
{
  switch (c->type)
    {
    case QXL_DRAW_FILL:
      d->rop = c->u.fill.rop_descriptor;
      d->combine = qxl_combine_brush;
      return qxl_take_brush (d, &c->u.fill.brush) && !d->brush.none && take_mask (d, &c->u.fill.mask);
    case QXL_DRAW_OPAQUE:
      d->rop = c->u.opaque.rop_descriptor;
      d->combine = combine_opaque;
      return take_source (d, c->u.opaque.src_bitmap, &c->u.opaque.src_area) && qxl_take_brush (d, &c->u.opaque.brush)
             && take_mask (d, &c->u.opaque.mask);
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
      d->rop = c->u.copy.rop_descriptor;
      d->combine = combine_source;
      return take_source (d, c->u.copy.src_bitmap, &c->u.copy.src_area) && take_mask (d, &c->u.copy.mask);
    case QXL_COPY_BITS:
      return prepare_copy_bits (d, &c->u.copy_bits.src_pos);
    case QXL_DRAW_BLACKNESS:
      return prepare_solid (d, &c->u.blackness.mask, SPICE_ROPD_OP_BLACKNESS);
    case QXL_DRAW_WHITENESS:
      return prepare_solid (d, &c->u.whiteness.mask, SPICE_ROPD_OP_WHITENESS);
    case QXL_DRAW_INVERS:
      return prepare_solid (d, &c->u.invers.mask, SPICE_ROPD_OP_INVERS);
    case QXL_DRAW_ROP3:
      d->rop = c->u.rop3.rop3;
      d->combine = combine_rop3;
      return take_source (d, c->u.rop3.src_bitmap, &c->u.rop3.src_area) && qxl_take_brush (d, &c->u.rop3.brush)
             && take_mask (d, &c->u.rop3.mask);
    case QXL_DRAW_TRANSPARENT:
      d->key = c->u.transparent.true_color & QXL_COLOR;
      d->combine = combine_key;
      return take_source (d, c->u.transparent.src_bitmap, &c->u.transparent.src_area);
    case QXL_DRAW_ALPHA_BLEND:
      d->alpha = c->u.alpha_blend.alpha;
      d->combine = combine_alpha;
      if (!take_source (d, c->u.alpha_blend.src_bitmap, &c->u.alpha_blend.src_area))
        return false;
      d->src_alpha = d->source.alpha || (c->u.alpha_blend.alpha_flags & SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA);
      d->dest_alpha &= (c->u.alpha_blend.alpha_flags & SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA) != 0;
      return true;
    case QXL_DRAW_COMPOSITE:
      return prepare_composite (d, &c->u.composite);
    case QXL_DRAW_TEXT:
      qxl_draw_text (d, &c->u.text);
      return false;
    case QXL_DRAW_STROKE:
      qxl_draw_stroke (d, &c->u.stroke);
      return false;
    case QXL_DRAW_NOP:
      return false;
    default:
      qxl_complain (d->s, "not drawn: a drawable of type", c->type);
      return false;
    }
}

uint64_t
qxl_draw (Qxl *s, QXLPHYSICAL addr)
{
  QXLDrawable c;
  QxlImage surface;

  if (!qxl_read (s, addr, &c, sizeof c) || !qxl_open_surface (s, c.surface_id, &surface))
    return 0;
  QxlDraw d = { .s = s,
                .id = c.surface_id,
                .format = s->surface_format[c.surface_id],
                .rows = (uint8_t *) surface.rows,
                .stride = surface.stride,
                .width = surface.width,
                .height = surface.height,
                .dest_alpha = surface.alpha,
                .left = c.bbox.left,
                .top = c.bbox.top,
                .right = c.bbox.right,
                .bottom = c.bbox.bottom };
  d.brush.none = true;
  if (d.left < 0 || d.top < 0 || d.right > d.width || d.bottom > d.height || d.left >= d.right || d.top >= d.bottom)
    qxl_complain (s, "a drawable that leaves surface", c.surface_id);
  else
    {
      g_autofree QXLRect *clips = read_clips (s, &c.clip, &c.bbox, &d.n_clips);
      d.clips = clips;
      if (clips && prepare (&d, &c))
        qxl_draw_area (&d);
    }
  qxl_close_image (&d.source);
  qxl_close_image (&d.mask);
  qxl_close_image (&d.brush.pattern);
  return d.pixels + 1;
}
