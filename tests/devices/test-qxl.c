/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The QXL card, driven as its drivers do: what it says of itself, drawing, what is given back, the pointer, and that
 * nothing outside its slots is reached. */
#include "tests/devices/qxl-bench.h"

static QXLDrawable *
new_drawable (QxlBench *b, uint8_t type, int left, int top, int right, int bottom, QXLPHYSICAL *at)
{
  QXLDrawable *d = qxl_bench_alloc (b, sizeof *d, at);

  d->release_info.id = *at;
  d->type = type;
  d->bbox = (QXLRect){ .left = left, .top = top, .right = right, .bottom = bottom };
  return d;
}

static void
fill (QxlBench *b, uint32_t color, unsigned rop, int left, int top, int right, int bottom)
{
  QXLPHYSICAL at;
  QXLDrawable *d = new_drawable (b, QXL_DRAW_FILL, left, top, right, bottom, &at);

  d->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
  d->u.fill.brush.u.color = color;
  d->u.fill.rop_descriptor = rop;
  qxl_bench_push (b, QXL_CMD_DRAW, at);
}

static QXLPHYSICAL
new_bitmap (QxlBench *b, uint8_t format, uint32_t width, uint32_t height, uint32_t stride, const void *data,
            size_t size, QXLImage **image)
{
  QXLPHYSICAL at, bytes;
  QXLImage *i = qxl_bench_alloc (b, sizeof *i, &at);

  memcpy (qxl_bench_alloc (b, size, &bytes), data, size);
  i->descriptor = (QXLImageDescriptor){ .type = SPICE_IMAGE_TYPE_BITMAP, .width = width, .height = height };
  i->bitmap = (QXLBitmap){ .format = format,
                           .flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN,
                           .x = width,
                           .y = height,
                           .stride = stride,
                           .data = bytes };
  if (image)
    *image = i;
  return at;
}

static void
copy (QxlBench *b, QXLPHYSICAL image, int width, int height, int left, int top)
{
  QXLPHYSICAL at;
  QXLDrawable *d = new_drawable (b, QXL_DRAW_COPY, left, top, left + width, top + height, &at);

  d->u.copy.src_bitmap = image;
  d->u.copy.src_area = (QXLRect){ .right = width, .bottom = height };
  d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
  qxl_bench_push (b, QXL_CMD_DRAW, at);
}

static void
test_rom (void)
{
  QxlBench b;

  qxl_bench_init (&b);
  const QXLRom *rom = qxl_rom (b.card);
  const QXLModes *modes = (const QXLModes *) ((const uint8_t *) rom + rom->modes_offset);
  g_assert_cmphex (rig_load (&b.rig.rig, QXL_BENCH_ROM, 4), ==, QXL_ROM_MAGIC);
  g_assert_cmpuint (rom->ram_header_offset, ==, 8 * VM_MIB - 8192);
  g_assert_cmpuint (rom->surface0_area_size, ==, 4 * VM_MIB);
  g_assert_cmpuint (rom->n_surfaces, ==, 1024);
  g_assert_cmphex (b.header->magic, ==, QXL_RAM_MAGIC);
  g_assert_cmpuint (modes->modes[0].x_res, ==, 640);
  g_assert_cmpuint (modes->modes[1].x_mili, ==, 187);
  for (uint32_t i = 0; i < modes->n_modes; i++)
    g_assert_cmpuint (modes->modes[i].stride * modes->modes[i].y_res, <=, 4 * VM_MIB);
  rig_store (&b.rig.rig, QXL_BENCH_ROM, 0, 4);
  g_assert_cmphex (rom->magic, ==, QXL_ROM_MAGIC);
  qxl_bench_clear (&b);
}

static void
test_fill (void)
{
  QxlBench b;

  qxl_bench_init (&b);
  g_assert_cmphex (qxl_bench_pixel (&b, 0, 0), ==, 0);
  fill (&b, 0x123456, SPICE_ROPD_OP_PUT, 2, 3, 10, 20);
  g_assert_cmphex (qxl_bench_pixel (&b, 2, 3), ==, 0x123456);
  g_assert_cmphex (qxl_bench_pixel (&b, 9, 19), ==, 0x123456);
  g_assert_cmphex (qxl_bench_pixel (&b, 10, 19), ==, 0);
  g_assert_cmphex (qxl_bench_pixel (&b, 9, 20), ==, 0);
  fill (&b, 0xff00ff, SPICE_ROPD_OP_XOR, 0, 0, 5, 5);
  g_assert_cmphex (qxl_bench_pixel (&b, 3, 3), ==, 0x123456 ^ 0xff00ff);
  g_assert_cmphex (qxl_bench_pixel (&b, 0, 0), ==, 0xff00ff);
  fill (&b, 0xf0f0f0, SPICE_ROPD_OP_AND | SPICE_ROPD_INVERS_BRUSH, 2, 10, 3, 11);
  g_assert_cmphex (qxl_bench_pixel (&b, 2, 10), ==, 0x123456 & 0x0f0f0f);
  QXLPHYSICAL at;
  new_drawable (&b, QXL_DRAW_WHITENESS, 20, 20, 30, 30, &at);
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 25, 25), ==, 0xffffff);
  new_drawable (&b, QXL_DRAW_INVERS, 2, 3, 3, 20, &at);
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 2, 15), ==, 0xffffff ^ 0x123456);
  new_drawable (&b, QXL_DRAW_BLACKNESS, 22, 22, 30, 30, &at);
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 25, 25), ==, 0);
  qxl_bench_clear (&b);
}

static void
test_clip (void)
{
  QxlBench b;
  QXLPHYSICAL at, clip;

  qxl_bench_init (&b);
  QXLDrawable *d = new_drawable (&b, QXL_DRAW_FILL, 0, 0, 40, 40, &at);
  struct
  {
    QXLClipRects head;
    QXLRect rects[2];
  } __attribute__ ((packed)) *list = qxl_bench_alloc (&b, sizeof *list, &clip);
  list->head.num_rects = 2;
  list->head.chunk.data_size = sizeof list->rects;
  list->rects[0] = (QXLRect){ .left = 1, .top = 1, .right = 3, .bottom = 3 };
  list->rects[1] = (QXLRect){ .left = 30, .top = 30, .right = INT32_MAX, .bottom = INT32_MAX };
  d->clip = (QXLClip){ .type = SPICE_CLIP_TYPE_RECTS, .data = clip };
  d->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
  d->u.fill.brush.u.color = 0xabcdef;
  d->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 2, 2), ==, 0xabcdef);
  g_assert_cmphex (qxl_bench_pixel (&b, 3, 3), ==, 0);
  g_assert_cmphex (qxl_bench_pixel (&b, 39, 39), ==, 0xabcdef);
  g_assert_cmphex (qxl_bench_pixel (&b, 40, 40), ==, 0);
  qxl_bench_clear (&b);
}

static void
test_bitmaps (void)
{
  static const uint32_t full[4] = { 0x112233, 0x445566, 0x778899, 0xaabbcc };
  static const uint16_t half[2] = { 0x7c00, 0x03e0 };
  static const uint8_t bits[8] = { 0x80, 0, 0, 0, 0x40, 0, 0, 0 };
  static const uint8_t bytes[2] = { 1, 0 };
  QxlBench b;
  QXLImage *image;
  QXLPHYSICAL at, palette;

  qxl_bench_init (&b);
  copy (&b, new_bitmap (&b, SPICE_BITMAP_FMT_32BIT, 2, 2, 8, full, sizeof full, NULL), 2, 2, 10, 10);
  g_assert_cmphex (qxl_bench_pixel (&b, 10, 10), ==, 0x112233);
  g_assert_cmphex (qxl_bench_pixel (&b, 11, 11), ==, 0xaabbcc);
  at = new_bitmap (&b, SPICE_BITMAP_FMT_32BIT, 2, 2, 8, full, sizeof full, &image);
  image->bitmap.flags = QXL_BITMAP_DIRECT;
  copy (&b, at, 2, 2, 20, 10);
  g_assert_cmphex (qxl_bench_pixel (&b, 20, 10), ==, 0x778899);
  copy (&b, new_bitmap (&b, SPICE_BITMAP_FMT_16BIT, 2, 1, 4, half, sizeof half, NULL), 2, 1, 0, 0);
  g_assert_cmphex (qxl_bench_pixel (&b, 0, 0), ==, 0xff0000);
  g_assert_cmphex (qxl_bench_pixel (&b, 1, 0), ==, 0x00ff00);
  struct
  {
    QXLPalette head;
    uint32_t ents[2];
  } __attribute__ ((packed)) *p = qxl_bench_alloc (&b, sizeof *p, &palette);
  p->head.num_ents = 2;
  p->ents[0] = 0x010203;
  p->ents[1] = 0xfefefe;
  at = new_bitmap (&b, SPICE_BITMAP_FMT_8BIT, 2, 1, 2, bytes, sizeof bytes, &image);
  image->bitmap.palette = palette;
  copy (&b, at, 2, 1, 4, 0);
  g_assert_cmphex (qxl_bench_pixel (&b, 4, 0), ==, 0xfefefe);
  g_assert_cmphex (qxl_bench_pixel (&b, 5, 0), ==, 0x010203);
  at = new_bitmap (&b, SPICE_BITMAP_FMT_1BIT_BE, 2, 2, 4, bits, sizeof bits, &image);
  image->bitmap.palette = palette;
  copy (&b, at, 2, 2, 8, 0);
  g_assert_cmphex (qxl_bench_pixel (&b, 8, 0), ==, 0xfefefe);
  g_assert_cmphex (qxl_bench_pixel (&b, 9, 0), ==, 0x010203);
  g_assert_cmphex (qxl_bench_pixel (&b, 9, 1), ==, 0xfefefe);
  /* in chunks of a line each */
  struct
  {
    QXLDataChunk head;
    uint8_t data[8];
  } __attribute__ ((packed)) * chunks[2];
  QXLPHYSICAL places[2];
  for (int i = 0; i < 2; i++)
    {
      chunks[i] = qxl_bench_alloc (&b, sizeof *chunks[i], &places[i]);
      chunks[i]->head.data_size = 8;
      memcpy (chunks[i]->data, full + 2 * i, 8);
    }
  chunks[0]->head.next_chunk = places[1];
  at = new_bitmap (&b, SPICE_BITMAP_FMT_32BIT, 2, 2, 8, full, 4, &image);
  image->bitmap.flags = QXL_BITMAP_TOP_DOWN;
  image->bitmap.data = places[0];
  copy (&b, at, 2, 2, 30, 30);
  g_assert_cmphex (qxl_bench_pixel (&b, 31, 30), ==, 0x445566);
  g_assert_cmphex (qxl_bench_pixel (&b, 30, 31), ==, 0x778899);
  qxl_bench_clear (&b);
}

static void
test_moves (void)
{
  QxlBench b;
  QXLPHYSICAL at;

  qxl_bench_init (&b);
  for (int i = 0; i < 16; i++)
    fill (&b, 0x101010u * (uint32_t) i, SPICE_ROPD_OP_PUT, i, 0, i + 1, 16);
  QXLDrawable *d = new_drawable (&b, QXL_COPY_BITS, 3, 1, 19, 17, &at);
  d->u.copy_bits.src_pos = (QXLPoint){ 0, 0 };
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  for (int i = 0; i < 16; i++)
    g_assert_cmphex (qxl_bench_pixel (&b, i + 3, 16), ==, 0x101010u * (uint32_t) i);
  g_assert_cmphex (qxl_bench_pixel (&b, 2, 5), ==, 0x202020);
  qxl_bench_clear (&b);
}

static void
test_blends (void)
{
  static const uint32_t pixels[2] = { 0x80400000, 0xff0000ff };
  QxlBench b;
  QXLPHYSICAL at, image;

  qxl_bench_init (&b);
  fill (&b, 0x0000fe, SPICE_ROPD_OP_PUT, 0, 0, 64, 48);
  image = new_bitmap (&b, SPICE_BITMAP_FMT_RGBA, 2, 1, 8, pixels, sizeof pixels, NULL);
  QXLDrawable *d = new_drawable (&b, QXL_DRAW_ALPHA_BLEND, 0, 0, 2, 1, &at);
  d->u.alpha_blend.alpha = 255;
  d->u.alpha_blend.src_bitmap = image;
  d->u.alpha_blend.src_area = (QXLRect){ .right = 2, .bottom = 1 };
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 0, 0), ==, 0x40007f);
  g_assert_cmphex (qxl_bench_pixel (&b, 1, 0), ==, 0x0000ff);
  d = new_drawable (&b, QXL_DRAW_TRANSPARENT, 10, 0, 12, 1, &at);
  d->u.transparent.src_bitmap = image;
  d->u.transparent.src_area = (QXLRect){ .right = 2, .bottom = 1 };
  d->u.transparent.true_color = 0x400000;
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 10, 0), ==, 0x0000fe);
  g_assert_cmphex (qxl_bench_pixel (&b, 11, 0), ==, 0x0000ff);
  d = new_drawable (&b, QXL_DRAW_COMPOSITE, 20, 0, 22, 1, &at);
  d->u.composite.flags = QXL_OP_OVER;
  d->u.composite.src = image;
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 20, 0), ==, 0x40007f);
  d = new_drawable (&b, QXL_DRAW_ROP3, 30, 0, 32, 1, &at);
  d->u.rop3.src_bitmap = image;
  d->u.rop3.src_area = (QXLRect){ .right = 2, .bottom = 1 };
  d->u.rop3.rop3 = 0x66; /* source xor destination */
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (qxl_bench_pixel (&b, 30, 0), ==, 0x4000fe);
  qxl_bench_clear (&b);
}

/* A picture of four pixels turned, mirrored, repeated and enlarged; colours with masks of their own. */
static void
test_transforms (void)
{
  static const uint32_t four[4] = { 0xff000010, 0xff000020, 0xff000030, 0xff000040 };
  static const uint32_t one = 0xff204080, mask = 0xffff0080;
  static const struct
  {
    unsigned flags;
    int32_t matrix[6];
    uint32_t want[4];
  } cases[] = {
    { 0, { 0x10000, 0, 0, 0, 0x10000, 0 }, { 0x10, 0x20, 0x30, 0x40 } },
    { 0, { -0x10000, 0, 0x20000, 0, 0x10000, 0 }, { 0x20, 0x10, 0x40, 0x30 } }, /* mirrored */
    { 0, { 0, 0x10000, 0, 0x10000, 0, 0 }, { 0x10, 0x30, 0x20, 0x40 } },        /* turned */
    { 0, { 0x10000, 0, 0x10000, 0, 0x10000, 0 }, { 0x20, 0, 0x40, 0 } },        /* past its edge there is nothing */
    { 1 << 14, { 0x10000, 0, 0x10000, 0, 0x10000, 0 }, { 0x20, 0x10, 0x40, 0x30 } },
    { 2 << 14, { 0x10000, 0, 0x10000, 0, 0x10000, 0 }, { 0x20, 0x20, 0x40, 0x40 } },
    { 3 << 14, { 0x10000, 0, 0x20000, 0, 0x10000, 0x10000 }, { 0x40, 0x30, 0x40, 0x30 } },
    { 0, { 0x8000, 0, 0, 0, 0x8000, 0 }, { 0x10, 0x10, 0x10, 0x10 } },                       /* twice as large */
    { 1 << 8 | 1 << 14, { 0x10000, 0, 0x8000, 0, 0x10000, 0 }, { 0x18, 0x18, 0x38, 0x38 } }, /* smooth: half way */
  };
  QxlBench b;
  QXLPHYSICAL at, image, transform;

  qxl_bench_init (&b);
  image = new_bitmap (&b, SPICE_BITMAP_FMT_RGBA, 2, 2, 8, four, sizeof four, NULL);
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      int x = 4 * (int) i;
      memcpy (qxl_bench_alloc (&b, sizeof (QXLTransform), &transform), cases[i].matrix, sizeof (QXLTransform));
      QXLDrawable *d = new_drawable (&b, QXL_DRAW_COMPOSITE, x, 5, x + 2, 7, &at);
      d->u.composite.flags = QXL_OP_OVER | cases[i].flags;
      d->u.composite.src = image;
      d->u.composite.src_transform = transform;
      qxl_bench_push (&b, QXL_CMD_DRAW, at);
      b.header->release_ring.cons = b.header->release_ring.prod;
      for (int k = 0; k < 4; k++)
        g_assert_cmphex (qxl_bench_pixel (&b, x + (k & 1), 5 + k / 2), ==, cases[i].want[k]);
    }
  fill (&b, 0x404040, SPICE_ROPD_OP_PUT, 0, 20, 8, 21);
  QXLDrawable *d = new_drawable (&b, QXL_DRAW_COMPOSITE, 0, 20, 8, 21, &at);
  d->u.composite.flags = QXL_OP_OVER | 1 << 14 | 1 << 16 | 1 << 18;
  d->u.composite.src = new_bitmap (&b, SPICE_BITMAP_FMT_RGBA, 1, 1, 4, &one, sizeof one, NULL);
  d->u.composite.mask = new_bitmap (&b, SPICE_BITMAP_FMT_RGBA, 1, 1, 4, &mask, sizeof mask, NULL);
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  for (int x = 0; x < 8; x++)
    g_assert_cmphex (qxl_bench_pixel (&b, x, 20), ==, 0x204060);
  qxl_bench_clear (&b);
}

static QXLPHYSICAL
new_string (QxlBench *b, unsigned flags, unsigned width, unsigned height, const void *bits, size_t size, int x, int y)
{
  QXLPHYSICAL at;
  struct
  {
    QXLString head;
    QXLRasterGlyph glyph;
    uint8_t data[];
  } __attribute__ ((packed)) *s = qxl_bench_alloc (b, sizeof *s + size, &at);

  s->head.data_size = s->head.chunk.data_size = (uint32_t) (sizeof s->glyph + size);
  s->head.length = 1;
  s->head.flags = (uint16_t) flags;
  s->glyph.render_pos = (QXLPoint){ x + 10, y + 10 };
  s->glyph.glyph_origin = (QXLPoint){ -10, -10 };
  s->glyph.width = (uint16_t) width;
  s->glyph.height = (uint16_t) height;
  memcpy (s->data, bits, size);
  return at;
}

static void
write_text (QxlBench *b, QXLPHYSICAL string, bool background)
{
  QXLPHYSICAL at;
  QXLDrawable *d = new_drawable (b, QXL_DRAW_TEXT, 10, 10, 20, 20, &at);

  d->u.text.str = string;
  d->u.text.fore_brush.type = SPICE_BRUSH_TYPE_SOLID;
  d->u.text.fore_brush.u.color = 0xff0000;
  d->u.text.fore_mode = d->u.text.back_mode = SPICE_ROPD_OP_PUT;
  if (background)
    {
      d->u.text.back_brush.type = SPICE_BRUSH_TYPE_SOLID;
      d->u.text.back_brush.u.color = 0x0000ff;
      d->u.text.back_area = (QXLRect){ .left = 0, .top = 10, .right = 15, .bottom = 20 };
    }
  qxl_bench_push (b, QXL_CMD_DRAW, at);
}

static void
test_text (void)
{
  static const uint8_t bits[] = { 0x80, 0x40 }, nibbles[] = { 0xf0, 0x08 }, bytes[] = { 0xff, 0x80, 0, 0x40 };
  QxlBench b;

  qxl_bench_init (&b);
  write_text (&b,
              new_string (&b, SPICE_STRING_FLAGS_RASTER_A1 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN, 2, 2, bits, 2, 12, 12),
              true);
  g_assert_cmphex (qxl_bench_pixel (&b, 12, 12), ==, 0xff0000);
  g_assert_cmphex (qxl_bench_pixel (&b, 13, 12), ==, 0x0000ff);
  g_assert_cmphex (qxl_bench_pixel (&b, 13, 13), ==, 0xff0000);
  g_assert_cmphex (qxl_bench_pixel (&b, 15, 12), ==, 0);
  g_assert_cmphex (qxl_bench_pixel (&b, 9, 12), ==, 0); /* outside the command's box */
  write_text (&b, new_string (&b, SPICE_STRING_FLAGS_RASTER_A1, 2, 2, bits, 2, 16, 12), false);
  g_assert_cmphex (qxl_bench_pixel (&b, 16, 13), ==, 0xff0000); /* from the bottom */
  g_assert_cmphex (qxl_bench_pixel (&b, 16, 12), ==, 0);
  write_text (
      &b, new_string (&b, SPICE_STRING_FLAGS_RASTER_A4 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN, 2, 2, nibbles, 2, 12, 16),
      false);
  g_assert_cmphex (qxl_bench_pixel (&b, 12, 16), ==, 0xff0000);
  g_assert_cmphex (qxl_bench_pixel (&b, 13, 17), ==, 0x880077);
  write_text (
      &b, new_string (&b, SPICE_STRING_FLAGS_RASTER_A8 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN, 2, 2, bytes, 4, 16, 16),
      false);
  g_assert_cmphex (qxl_bench_pixel (&b, 17, 16), ==, 0x800000);
  g_assert_cmphex (qxl_bench_pixel (&b, 17, 17), ==, 0x400000);
  /* half outside */
  write_text (&b,
              new_string (&b, SPICE_STRING_FLAGS_RASTER_A1 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN, 2, 2, bits, 2, 9, 9),
              false);
  g_assert_cmphex (qxl_bench_pixel (&b, 10, 10), ==, 0xff0000);
  g_assert_cmphex (qxl_bench_pixel (&b, 9, 9), ==, 0);
  qxl_bench_clear (&b);
}

/* POINTS in pixels; DASHES of those as pixels, N of them. */
static void
stroke (QxlBench *b, unsigned flags, const int *points, unsigned n, unsigned n_dashes, unsigned line_flags,
        uint32_t color)
{
  QXLPHYSICAL at, path, style;
  struct
  {
    QXLPath head;
    QXLPathSeg segment;
    QXLPointFix points[];
  } __attribute__ ((packed)) *p = qxl_bench_alloc (b, sizeof *p + n * sizeof (QXLPointFix), &path);
  QXLFIXED *dashes = qxl_bench_alloc (b, sizeof *dashes * 4, &style);
  QXLDrawable *d = new_drawable (b, QXL_DRAW_STROKE, 0, 0, 64, 48, &at);

  p->head.data_size = p->head.chunk.data_size = (uint32_t) (sizeof p->segment + n * sizeof (QXLPointFix));
  p->segment.flags = flags;
  p->segment.count = n;
  for (unsigned i = 0; i < n; i++)
    p->points[i] = (QXLPointFix){ points[2 * i] * 16, points[2 * i + 1] * 16 };
  for (unsigned i = 0; i < n_dashes; i++)
    dashes[i] = (QXLFIXED) (i + 1) * 16;
  d->u.stroke.path = path;
  d->u.stroke.attr = (QXLLineAttr){ .flags = (uint8_t) line_flags, .style_nseg = (uint8_t) n_dashes, .style = style };
  d->u.stroke.brush.type = SPICE_BRUSH_TYPE_SOLID;
  d->u.stroke.brush.u.color = color;
  d->u.stroke.fore_mode = SPICE_ROPD_OP_PUT;
  qxl_bench_push (b, QXL_CMD_DRAW, at);
  b->header->release_ring.cons = b->header->release_ring.prod;
}

static void
test_strokes (void)
{
  static const int square[] = { 2, 2, 10, 2, 10, 10, 2, 10 }, slope[] = { 20, 0, 24, 2 }, back[] = { 34, 2, 30, 0 },
                   far[] = { -100000, 20, 100000, 20 }, steep[] = { 40, -50, 40, 1000 }, dashed[] = { 0, 30, 12, 30 },
                   curve[] = { 50, 40, 50, 30, 60, 30, 60, 40 };
  QxlBench b;

  qxl_bench_init (&b);
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END | QXL_PATH_CLOSE, square, 4, 0, 0, 0x111111);
  for (int i = 2; i <= 10; i++)
    {
      g_assert_cmphex (qxl_bench_pixel (&b, i, 2), ==, 0x111111);
      g_assert_cmphex (qxl_bench_pixel (&b, i, 10), ==, 0x111111);
      g_assert_cmphex (qxl_bench_pixel (&b, 2, i), ==, 0x111111);
      g_assert_cmphex (qxl_bench_pixel (&b, 10, i), ==, 0x111111);
    }
  g_assert_cmphex (qxl_bench_pixel (&b, 5, 5), ==, 0);
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END, slope, 2, 0, 0, 0x222222);
  g_assert_cmphex (qxl_bench_pixel (&b, 20, 0), ==, 0x222222);
  g_assert_cmphex (qxl_bench_pixel (&b, 22, 1), ==, 0x222222);
  g_assert_cmphex (qxl_bench_pixel (&b, 24, 2), ==, 0); /* the last belongs to the next */
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END, back, 2, 0, 0, 0x222222);
  g_assert_cmphex (qxl_bench_pixel (&b, 34, 2), ==, 0x222222);
  g_assert_cmphex (qxl_bench_pixel (&b, 32, 1), ==, 0x222222);
  g_assert_cmphex (qxl_bench_pixel (&b, 30, 0), ==, 0);
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END, far, 2, 0, 0, 0x333333);
  g_assert_cmphex (qxl_bench_pixel (&b, 0, 20), ==, 0x333333);
  g_assert_cmphex (qxl_bench_pixel (&b, 63, 20), ==, 0x333333);
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END, steep, 2, 0, 0, 0x444444);
  g_assert_cmphex (qxl_bench_pixel (&b, 40, 0), ==, 0x444444);
  g_assert_cmphex (qxl_bench_pixel (&b, 40, 47), ==, 0x444444);
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END, dashed, 2, 2, SPICE_LINE_FLAGS_STYLED, 0x555555); /* one, then two not */
  for (int x = 0; x < 12; x++)
    g_assert_cmphex (qxl_bench_pixel (&b, x, 30), ==, x % 3 ? 0 : 0x555555);
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END, dashed, 2, 2, SPICE_LINE_FLAGS_STYLED | SPICE_LINE_FLAGS_START_WITH_GAP,
          0x666666);
  for (int x = 0; x < 12; x++)
    g_assert_cmphex (qxl_bench_pixel (&b, x, 30), ==, x % 3 ? 0x666666 : 0x555555);
  stroke (&b, QXL_PATH_BEGIN | QXL_PATH_END | QXL_PATH_BEZIER, curve, 4, 0, 0, 0x777777);
  g_assert_cmphex (qxl_bench_pixel (&b, 50, 40), ==, 0x777777);
  g_assert_cmphex (qxl_bench_pixel (&b, 55, 33) | qxl_bench_pixel (&b, 55, 32), ==,
                   0x777777); /* its top: 40 - 10 * 3/4 */
  g_assert_cmphex (qxl_bench_pixel (&b, 55, 36), ==, 0);
  qxl_bench_clear (&b);
}

static void
test_surfaces (void)
{
  QxlBench b;
  QXLPHYSICAL at;

  qxl_bench_init (&b);
  QXLSurfaceCmd *c = qxl_bench_alloc (&b, sizeof *c, &at);
  c->surface_id = 5;
  c->type = QXL_SURFACE_CMD_CREATE;
  c->u.surface_create = (QXLSurface){
    .format = SPICE_SURFACE_FMT_32_xRGB, .width = 8, .height = 4, .stride = -32, .data = QXL_BENCH_AT (2, 0x100)
  };
  qxl_bench_push (&b, QXL_CMD_SURFACE, at);
  QXLDrawable *d = new_drawable (&b, QXL_DRAW_FILL, 1, 0, 2, 1, &at);
  d->surface_id = 5;
  d->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
  d->u.fill.brush.u.color = 0x5a5a5a;
  d->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  g_assert_cmphex (vm_load_le32 (b.vram + 0x100 + 3 * 32 + 4) & 0xffffff, ==, 0x5a5a5a); /* upside down */
  QXLImage *image = qxl_bench_alloc (&b, sizeof *image, &at);
  image->descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
  image->surface_image.surface_id = 5;
  copy (&b, at, 8, 4, 12, 12);
  g_assert_cmphex (qxl_bench_pixel (&b, 13, 12), ==, 0x5a5a5a);
  g_assert_cmphex (qxl_bench_pixel (&b, 12, 12), ==, 0);
  qxl_bench_out (&b, QXL_IO_DESTROY_SURFACE_WAIT, 5);
  g_assert_cmpuint (b.card->surface_format[5], ==, 0);
  fill (&b, 0x777777, SPICE_ROPD_OP_PUT, 13, 12, 14, 13);
  copy (&b, at, 8, 4, 12, 12); /* from nowhere */
  g_assert_cmphex (qxl_bench_pixel (&b, 13, 12), ==, 0x777777);
  qxl_bench_clear (&b);
}

static void
test_giving_back (void)
{
  QxlBench b;
  QXLPHYSICAL first, second;

  qxl_bench_init (&b);
  g_assert_cmphex (b.header->int_pending & QXL_INTERRUPT_IO_CMD, ==,
                   QXL_INTERRUPT_IO_CMD); /* of the asynchronous port */
  b.header->int_pending = 0;
  qxl_bench_out (&b, QXL_IO_UPDATE_IRQ, 0);
  g_assert_false (b.card->parent.irq_level);
  QXLDrawable *d = new_drawable (&b, QXL_DRAW_NOP, 0, 0, 1, 1, &first),
              *e = new_drawable (&b, QXL_DRAW_NOP, 0, 0, 1, 1, &second);
  d->release_info.id = 111;
  e->release_info.id = 222;
  QXLCommandRing *ring = &b.header->cmd_ring;
  ring->items[ring->prod % 32].el = (QXLCommand){ .data = first, .type = QXL_CMD_DRAW };
  ring->items[(ring->prod + 1) % 32].el = (QXLCommand){ .data = second, .type = QXL_CMD_DRAW };
  ring->prod += 2;
  b.header->release_ring.notify_on_prod = b.header->release_ring.prod + 1;
  qxl_bench_out (&b, QXL_IO_NOTIFY_CMD, 0);
  const QXLReleaseRing *back = &b.header->release_ring;
  g_assert_cmpuint (back->prod - back->cons, ==, 1);
  g_assert_cmpuint (back->items[back->cons % 8].el, ==, 111);
  g_assert_cmpuint (d->release_info.next, ==, 222);
  g_assert_cmpuint (e->release_info.next, ==, 0);
  g_assert_cmphex (b.header->int_pending, ==, QXL_INTERRUPT_DISPLAY);
  g_assert_true (b.card->parent.irq_level);
  g_assert_cmpuint (ring->notify_on_prod, ==, ring->prod + 1); /* to be told of the next */
  /* A full ring waits. */
  for (int i = 0; i < 12; i++)
    {
      QXLPHYSICAL at;
      new_drawable (&b, QXL_DRAW_NOP, 0, 0, 1, 1, &at);
      qxl_bench_push (&b, QXL_CMD_DRAW, at);
    }
  g_assert_cmpuint (back->prod - back->cons, ==, 8);
  b.header->release_ring.cons += 3;
  qxl_bench_out (&b, QXL_IO_NOTIFY_OOM, 0);
  g_assert_cmpuint (back->prod - back->cons, ==, 6);
  qxl_bench_clear (&b);
}

static void
test_pointer (void)
{
  QxlBench b;
  QXLPHYSICAL at, shape;
  VmListener listener = { 0 };
  int x, y;
  bool visible, changed;

  qxl_bench_init (&b);
  struct
  {
    QXLCursor head;
    uint32_t pixels[4];
  } __attribute__ ((packed)) *c = qxl_bench_alloc (&b, sizeof *c, &shape);
  c->head.header = (QXLCursorHeader){ .type = SPICE_CURSOR_TYPE_ALPHA, .width = 2, .height = 2, .hot_spot_x = 1 };
  c->head.chunk.data_size = 16;
  c->pixels[3] = 0xff123456;
  QXLCursorCmd *cmd = qxl_bench_alloc (&b, sizeof *cmd, &at);
  cmd->type = QXL_CURSOR_SET;
  cmd->u.set.shape = shape;
  cmd->u.set.visible = 1;
  cmd->u.set.position = (QXLPoint16){ 7, 8 };
  qxl_bench_push_cursor (&b, at);
  VmCursor *cursor = vm_listener_cursor (&listener, b.card->vga.console, &x, &y, &visible, &changed);
  g_assert_true (cursor && visible && x == 7 && y == 8 && cursor->hot_x == 1 && cursor->data[3] == 0xff123456);
  vm_cursor_unref (cursor);
  cmd->type = QXL_CURSOR_HIDE;
  qxl_bench_push_cursor (&b, at);
  cursor = vm_listener_cursor (&listener, b.card->vga.console, &x, &y, &visible, &changed);
  g_assert_false (visible);
  vm_cursor_unref (cursor);
  qxl_bench_clear (&b);
}

static void
test_monitors (void)
{
  QxlBench b;

  qxl_bench_init (&b);
  b.header->int_pending = 0;
  b.card->console_ops.ui_info (&b.card->vga, &(VmUiInfo){ .width = 1111, .height = 777 });
  const QXLRom *rom = qxl_rom (b.card);
  g_assert_cmpuint (rom->client_monitors_config.count, ==, 1);
  g_assert_cmpuint (rom->client_monitors_config.heads[0].right, ==, 1111);
  g_assert_cmpuint (rom->client_monitors_config.heads[0].bottom, ==, 777);
  g_assert_cmphex (b.header->int_pending, ==, QXL_INTERRUPT_CLIENT_MONITORS_CONFIG);
  qxl_bench_clear (&b);
}

static void
test_hostile (void)
{
  QxlBench b;
  QXLPHYSICAL at;

  qxl_bench_init (&b);
  fill (&b, 0x333333, SPICE_ROPD_OP_PUT, 0, 0, 64, 48);
  const QXLPHYSICAL bad[] = { 0,
                              0x100,
                              QXL_BENCH_AT (0, 0),
                              QXL_BENCH_AT (3, 0),
                              QXL_BENCH_AT (9, 0),
                              QXL_BENCH_AT (1, b.card->header - 8),
                              QXL_BENCH_AT (1, (UINT64_C (1) << 48) - 1),
                              QXL_BENCH_AT (2, 4 * VM_MIB - 1),
                              UINT64_MAX,
                              QXL_BENCH_AT (1, 0) | UINT64_C (1) << 48 };
  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    for (uint32_t type = 0; type < 8; type++)
      {
        qxl_bench_push (&b, type, bad[i]);
        b.header->release_ring.cons = b.header->release_ring.prod;
      }
  QXLDrawable *d = new_drawable (&b, QXL_DRAW_COPY, 0, 0, 64, 48, &at);
  d->u.copy.src_area = (QXLRect){ .right = 64, .bottom = 48 };
  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      d->u.copy.src_bitmap = bad[i];
      qxl_bench_push (&b, QXL_CMD_DRAW, at);
      b.header->release_ring.cons = b.header->release_ring.prod;
    }
  d->bbox.right = INT32_MAX;
  qxl_bench_push (&b, QXL_CMD_DRAW, at);
  b.header->cmd_ring.prod += 1000; /* more than there is */
  qxl_bench_out (&b, QXL_IO_NOTIFY_CMD, 0);
  b.header->create_surface.height = UINT32_MAX;
  qxl_bench_out (&b, QXL_IO_CREATE_PRIMARY, 0);
  for (unsigned port = 0; port < 32; port++)
    {
      if (port != QXL_IO_RESET && port != QXL_IO_DESTROY_PRIMARY && port != QXL_IO_DESTROY_PRIMARY_ASYNC
          && port != QXL_IO_DESTROY_ALL_SURFACES && port != QXL_IO_DESTROY_ALL_SURFACES_ASYNC)
        qxl_bench_out (&b, port, 0xff);
      g_assert_cmphex (rig_inb (&b.rig.rig, (uint16_t) (QXL_BENCH_PORTS + port)), ==, 0xff);
    }
  g_assert_cmphex (qxl_bench_pixel (&b, 5, 5), ==, 0x333333);
  qxl_bench_out (&b, QXL_IO_RESET, 0);
  g_assert_cmpuint (b.card->mode, ==, QXL_IN_VGA);
  g_assert_cmpuint (b.header->cmd_ring.prod, ==, 0);
  qxl_bench_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qxl/rom", test_rom);
  g_test_add_func ("/qxl/fill", test_fill);
  g_test_add_func ("/qxl/clip", test_clip);
  g_test_add_func ("/qxl/bitmaps", test_bitmaps);
  g_test_add_func ("/qxl/moves", test_moves);
  g_test_add_func ("/qxl/blends", test_blends);
  g_test_add_func ("/qxl/transforms", test_transforms);
  g_test_add_func ("/qxl/text", test_text);
  g_test_add_func ("/qxl/strokes", test_strokes);
  g_test_add_func ("/qxl/surfaces", test_surfaces);
  g_test_add_func ("/qxl/giving-back", test_giving_back);
  g_test_add_func ("/qxl/pointer", test_pointer);
  g_test_add_func ("/qxl/monitors", test_monitors);
  g_test_add_func ("/qxl/hostile", test_hostile);
  return g_test_run ();
}
