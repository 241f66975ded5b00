/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A QXL card and a driver out of its mind: structures that are nearly right, anywhere, while it draws. */
#include "tests/devices/qxl-bench.h"
#include "tests/fuzz/fuzz.h"

/* Structures live in a small part of both BARs, so that they meet. */
static QXLPHYSICAL
place (Input *in)
{
  unsigned kind = take (in, 1);

  if (kind >= 0xf0)
    return (QXLPHYSICAL) take (in, 4) << 32 | take (in, 4);
  if (kind >= 0xe0)
    return QXL_BENCH_AT (1, 8 * VM_MIB - 8192 - (kind & 15) * 16);
  return QXL_BENCH_AT (kind & 8 ? 2 : 1, (kind & 7) * 0x400 + VM_MIB);
}

static void
draw (QxlBench *b, Input *in)
{
  QXLPHYSICAL at = QXL_BENCH_AT (1, VM_MIB + 0x8000);
  QXLDrawable *d = (QXLDrawable *) (void *) (b->ram + VM_MIB + 0x8000);
  uint8_t *raw = (uint8_t *) &d->u;

  memset (d, 0, sizeof *d);
  d->type = take (in, 1) % 16;
  d->surface_id = take (in, 1) & 3;
  d->bbox = (QXLRect){ .left = (int) take (in, 1) & 63,
                       .top = (int) take (in, 1) & 31,
                       .right = (int) take (in, 1) & 63,
                       .bottom = (int) take (in, 1) & 47 };
  if (take (in, 1) & 1)
    d->clip = (QXLClip){ .type = SPICE_CLIP_TYPE_RECTS, .data = place (in) };
  for (unsigned i = 0; i < sizeof d->u; i++)
    raw[i] = take (in, 1) & 1 ? (uint8_t) take (in, 1) : 0;
  QXLPHYSICAL source = place (in);
  switch (d->type)
    {
    case QXL_DRAW_FILL:
      d->u.fill.brush.type = take (in, 1) & 3;
      if (d->u.fill.brush.type == SPICE_BRUSH_TYPE_PATTERN)
        d->u.fill.brush.u.pattern.pat = source;
      d->u.fill.mask.bitmap = take (in, 1) & 1 ? place (in) : 0;
      break;
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
    case QXL_DRAW_OPAQUE:
    case QXL_DRAW_TRANSPARENT:
    case QXL_DRAW_ROP3:
      d->u.copy.src_bitmap = source;
      d->u.copy.src_area = (QXLRect){ .right = (int) take (in, 1) & 31, .bottom = (int) take (in, 1) & 31 };
      if (d->type == QXL_DRAW_COPY)
        d->u.copy.mask.bitmap = take (in, 1) & 1 ? place (in) : 0;
      break;
    case QXL_DRAW_ALPHA_BLEND:
      d->u.alpha_blend.src_bitmap = source;
      d->u.alpha_blend.src_area = (QXLRect){ .right = (int) take (in, 1) & 31, .bottom = (int) take (in, 1) & 31 };
      break;
    case QXL_DRAW_COMPOSITE:
      d->u.composite.src = source;
      d->u.composite.mask = take (in, 1) & 1 ? place (in) : 0;
      d->u.composite.flags &= 0x7ffff;
      d->u.composite.src_transform = take (in, 1) & 1 ? place (in) : 0;
      d->u.composite.mask_transform = take (in, 1) & 1 ? place (in) : 0;
      break;
    case QXL_DRAW_TEXT:
      d->u.text.str = source;
      d->u.text.fore_brush.type = take (in, 1) & 1;
      d->u.text.back_brush.type = take (in, 1) & 3;
      d->u.text.back_brush.u.pattern.pat = place (in);
      break;
    case QXL_DRAW_STROKE:
      d->u.stroke.path = source;
      d->u.stroke.attr.style = place (in);
      d->u.stroke.brush.type = SPICE_BRUSH_TYPE_SOLID;
      break;
    default:
      break;
    }
  qxl_bench_push (b, QXL_CMD_DRAW, at);
}

/* Letters, or a line from place to place. */
static void
scribble (QxlBench *b, Input *in)
{
  uint8_t *at = b->ram + VM_MIB + (take (in, 1) & 7) * 0x400;
  unsigned n = take (in, 1) & 31;

  if (n & 1)
    {
      QXLString *s = (QXLString *) (void *) at;
      *s = (QXLString){ .data_size = take (in, 2), .length = take (in, 1), .flags = take (in, 1) & 15 };
      s->chunk.data_size = s->data_size;
      at += sizeof *s;
    }
  else
    {
      QXLPath *p = (QXLPath *) (void *) at;
      *p = (QXLPath){ .data_size = take (in, 2) };
      p->chunk.data_size = p->data_size;
      at += sizeof *p;
    }
  for (unsigned i = 0; i < n; i++, at += 4)
    vm_store_le32 (at, take (in, 1) & 3 ? take (in, 1) : take (in, 4));
}

/* A picture, a chain of chunks, rectangles, a palette: by turns at one of few places. */
static void
scatter (QxlBench *b, Input *in)
{
  unsigned kind = take (in, 1);
  uint8_t *at = (kind & 8 ? b->vram : b->ram) + (kind & 7) * 0x400 + VM_MIB;
  QXLImage *image = (QXLImage *) (void *) at;

  if (kind & 0x80)
    {
      QXLDataChunk *chunk = (QXLDataChunk *) (void *) at;
      *chunk = (QXLDataChunk){ .data_size = take (in, kind & 0x40 ? 4 : 1), .next_chunk = place (in) };
      return;
    }
  memset (image, 0, sizeof *image);
  image->descriptor.type = kind & 0x40 ? SPICE_IMAGE_TYPE_SURFACE : take (in, 1) & 0x1f ? SPICE_IMAGE_TYPE_BITMAP : 101;
  if (kind & 0x40)
    image->surface_image.surface_id = take (in, 1) & 7;
  else
    image->bitmap = (QXLBitmap){ .format = take (in, 1) % 12,
                                 .flags = take (in, 1) & 7,
                                 .x = take (in, 1),
                                 .y = take (in, 1),
                                 .stride = take (in, 2),
                                 .palette = place (in),
                                 .data = place (in) };
}

static void
surface (QxlBench *b, Input *in)
{
  static const uint32_t formats[] = { 32, 96, 16, 80, 8, 1, 0, 77 };
  QXLSurfaceCmd *c = (QXLSurfaceCmd *) (void *) (b->ram + VM_MIB + 0x9000);

  memset (c, 0, sizeof *c);
  c->surface_id = take (in, 1) & 3;
  c->type = take (in, 1) & 1;
  c->u.surface_create = (QXLSurface){ .format = formats[take (in, 1) & 7],
                                      .width = take (in, 1) & 127,
                                      .height = take (in, 1),
                                      .stride = (int32_t) take (in, 4) >> 20,
                                      .data = place (in) };
  qxl_bench_push (b, QXL_CMD_SURFACE, QXL_BENCH_AT (1, VM_MIB + 0x9000));
}

static void
cursor (QxlBench *b, Input *in)
{
  QXLCursorCmd *c = (QXLCursorCmd *) (void *) (b->ram + VM_MIB + 0xa000);
  QXLCursor *shape = (QXLCursor *) (void *) (b->ram + VM_MIB + 0xb000);

  c->type = take (in, 1) & 3;
  c->u.set.shape = take (in, 1) & 7 ? QXL_BENCH_AT (1, VM_MIB + 0xb000) : place (in);
  shape->header = (QXLCursorHeader){ .type = take (in, 1) & 7,
                                     .width = take (in, 1),
                                     .height = take (in, 1) & 63,
                                     .hot_spot_x = take (in, 2),
                                     .hot_spot_y = take (in, 2) };
  shape->chunk.data_size = take (in, 2);
  shape->chunk.next_chunk = take (in, 1) & 1 ? place (in) : 0;
  qxl_bench_push_cursor (b, QXL_BENCH_AT (1, VM_MIB + 0xa000));
}

static void
step (QxlBench *b, Input *in)
{
  unsigned op = take (in, 1);

  switch (op & 7)
    {
    case 0:
    case 1:
      draw (b, in);
      break;
    case 2:
    case 3:
      (op & 0xc0 ? scatter : scribble) (b, in);
      break;
    case 4:
      surface (b, in);
      break;
    case 5:
      cursor (b, in);
      break;
    case 6:
      if (op & 0x80) /* the header itself */
        b->ram[b->card->header + (op & 0x40 ? take (in, 2) % sizeof (QXLRam) : 4108 + take (in, 1))]
            = (uint8_t) take (in, 1);
      else if (op & 0x40)
        qxl_bench_push (b, take (in, 1) & 7, place (in));
      else
        qxl_bench_out (b, take (in, 1) & 31, (uint8_t) take (in, 1));
      break;
    case 7:
      vm_console_refresh_now (b->card->vga.console);
      rig_advance (&b->rig.rig, (int64_t) take (in, 1) * VM_NS_PER_MS);
      b->header->release_ring.cons = b->header->release_ring.prod;
      break;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Input in = { data, size };
  QxlBench b;

  qxl_bench_init (&b);
  while (in.left)
    step (&b, &in);
  qxl_bench_clear (&b);
}
