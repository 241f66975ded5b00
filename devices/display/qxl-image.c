/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL: pictures in the guest's memory as lines of pixels (spice/qxl_dev.h: QXLImage, QXLBitmap, QXLPalette). Compressed
 * ones are for guests that trust the viewer to undo it; this card does not offer that, and draws none. */
#include "devices/display/qxl.h"

#include <spice/enums.h>

#define OPAQUE 0xff000000u

unsigned
qxl_bytes_of (uint32_t format)
{
  switch (format)
    {
    case SPICE_SURFACE_FMT_8_A:
      return 1;
    case SPICE_SURFACE_FMT_16_555:
    case SPICE_SURFACE_FMT_16_565:
      return 2;
    case SPICE_SURFACE_FMT_32_xRGB:
    case SPICE_SURFACE_FMT_32_ARGB:
      return 4;
    default:
      return 0;
    }
}

static unsigned
bits_of (uint8_t format)
{
  switch (format)
    {
    case SPICE_BITMAP_FMT_1BIT_LE:
    case SPICE_BITMAP_FMT_1BIT_BE:
      return 1;
    case SPICE_BITMAP_FMT_4BIT_LE:
    case SPICE_BITMAP_FMT_4BIT_BE:
      return 4;
    case SPICE_BITMAP_FMT_8BIT:
    case SPICE_BITMAP_FMT_8BIT_A:
      return 8;
    case SPICE_BITMAP_FMT_16BIT:
      return 16;
    case SPICE_BITMAP_FMT_24BIT:
      return 24;
    case SPICE_BITMAP_FMT_32BIT:
    case SPICE_BITMAP_FMT_RGBA:
      return 32;
    default:
      return 0;
    }
}

/* --- opening ---------------------------------------------------------------------------------------- */

static bool
read_palette (Qxl *s, QXLPHYSICAL addr, QxlImage *image)
{
  QXLPalette head;

  if (!addr)
    return true; /* a mask has none */
  if (!qxl_read (s, addr, &head, sizeof head))
    return false;
  unsigned n = MIN (head.num_ents, G_N_ELEMENTS (image->palette));
  if (!qxl_read (s, addr + sizeof head, image->palette, n * sizeof image->palette[0]))
    return false;
  for (unsigned i = 0; i < n; i++)
    image->palette[i] |= OPAQUE;
  return true;
}

static bool
open_bitmap (Qxl *s, const QXLBitmap *b, QxlImage *image)
{
  uint64_t bytes = (uint64_t) b->stride * b->y;
  unsigned bits = bits_of (b->format);
  QxlMem mem;

  if (!bits || !b->x || !b->y || b->x > QXL_SIDE_MAX || b->y > QXL_SIDE_MAX
      || b->stride < ((uint64_t) b->x * bits + 7) / 8 || bytes > s->main_size + s->vram.size)
    {
      qxl_complain (s, "a bitmap that makes no sense, of format", b->format);
      return false;
    }
  *image = (QxlImage){ .width = (int) b->x,
                       .height = (int) b->y,
                       .format = b->format,
                       .alpha = b->format == SPICE_BITMAP_FMT_RGBA || b->format == SPICE_BITMAP_FMT_8BIT_A };
  if (bits <= 8 && b->format != SPICE_BITMAP_FMT_8BIT_A && !read_palette (s, b->palette, image))
    return false;
  if (b->flags & QXL_BITMAP_DIRECT)
    {
      if (!qxl_find (s, b->data, bytes, &mem))
        return false;
      image->rows = mem.at;
    }
  else
    {
      uint64_t got = bytes;
      image->own = qxl_gather (s, b->data, &got);
      if (!image->own || got < bytes)
        {
          g_clear_pointer (&image->own, g_free);
          return false;
        }
      image->rows = image->own;
    }
  image->stride = (ptrdiff_t) b->stride;
  if (!(b->flags & QXL_BITMAP_TOP_DOWN))
    {
      image->rows += (ptrdiff_t) (b->y - 1) * image->stride;
      image->stride = -image->stride;
    }
  return true;
}

bool
qxl_open_surface (Qxl *s, uint32_t id, QxlImage *image)
{
  static const uint8_t formats[] = {
    [SPICE_SURFACE_FMT_8_A] = SPICE_BITMAP_FMT_8BIT_A,    [SPICE_SURFACE_FMT_16_555] = SPICE_BITMAP_FMT_16BIT,
    [SPICE_SURFACE_FMT_32_xRGB] = SPICE_BITMAP_FMT_32BIT, [SPICE_SURFACE_FMT_16_565] = SPICE_BITMAP_FMT_ENUM_END,
    [SPICE_SURFACE_FMT_32_ARGB] = SPICE_BITMAP_FMT_RGBA,
  };

  if (id >= QXL_SURFACES || !s->surface_format[id])
    {
      qxl_complain (s, "there is no surface", id);
      return false;
    }
  VmRegion *region = s->surface_bar[id] ? &s->vram : &s->vga.vram;
  int32_t stride = (int32_t) s->surface_stride[id];
  uint8_t *low = region->ram->host + s->surface_start[id];
  *image = (QxlImage){
    .width = (int) s->surface_width[id],
    .height = (int) s->surface_height[id],
    .format = formats[s->surface_format[id]],
    .alpha = s->surface_format[id] == SPICE_SURFACE_FMT_32_ARGB || s->surface_format[id] == SPICE_SURFACE_FMT_8_A,
    .stride = stride,
  };
  image->rows = stride < 0 ? low - (ptrdiff_t) stride * (image->height - 1) : low;
  return true;
}

bool
qxl_open_image (Qxl *s, QXLPHYSICAL addr, QxlImage *image)
{
  QXLImageDescriptor d;
  QXLBitmap bitmap;
  QXLSurfaceId surface;

  *image = (QxlImage){ 0 };
  if (!qxl_read (s, addr, &d, sizeof d))
    return false;
  switch (d.type)
    {
    case SPICE_IMAGE_TYPE_BITMAP:
      return qxl_read (s, addr + sizeof d, &bitmap, sizeof bitmap) && open_bitmap (s, &bitmap, image);
    case SPICE_IMAGE_TYPE_SURFACE:
      return qxl_read (s, addr + sizeof d, &surface, sizeof surface) && qxl_open_surface (s, surface.surface_id, image);
    default:
      qxl_complain (s, "not drawn: an image of type", d.type);
      return false;
    }
}

void
qxl_close_image (QxlImage *image)
{
  g_clear_pointer (&image->own, g_free);
}

/* --- pixels ----------------------------------------------------------------------------------------- */

static uint32_t
expand_555 (unsigned v)
{
  unsigned r = v >> 10 & 31, g = v >> 5 & 31, b = v & 31;

  return OPAQUE | (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static uint32_t
expand_565 (unsigned v)
{
  unsigned r = v >> 11 & 31, g = v >> 5 & 63, b = v & 31;

  return OPAQUE | (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

static unsigned
index_at (const QxlImage *image, const uint8_t *row, int x)
{
  switch (image->format)
    {
    case SPICE_BITMAP_FMT_1BIT_LE:
      return row[x / 8] >> (x % 8) & 1;
    case SPICE_BITMAP_FMT_1BIT_BE:
      return row[x / 8] >> (7 - x % 8) & 1;
    case SPICE_BITMAP_FMT_4BIT_LE:
      return row[x / 2] >> (x % 2 * 4) & 15;
    case SPICE_BITMAP_FMT_4BIT_BE:
      return row[x / 2] >> (4 - x % 2 * 4) & 15;
    default:
      return row[x];
    }
}

static uint32_t
pixel_at (const QxlImage *image, const uint8_t *row, int x)
{
  switch (image->format)
    {
    case SPICE_BITMAP_FMT_8BIT_A:
      return (uint32_t) row[x] << 24;
    case SPICE_BITMAP_FMT_16BIT:
      return expand_555 (vm_load_le16 (row + 2 * x));
    case SPICE_BITMAP_FMT_ENUM_END: /* a surface's 565 */
      return expand_565 (vm_load_le16 (row + 2 * x));
    case SPICE_BITMAP_FMT_24BIT:
      return OPAQUE | (uint32_t) row[3 * x + 2] << 16 | (uint32_t) row[3 * x + 1] << 8 | row[3 * x];
    case SPICE_BITMAP_FMT_32BIT:
      return OPAQUE | vm_load_le32 (row + 4 * x);
    case SPICE_BITMAP_FMT_RGBA:
      return vm_load_le32 (row + 4 * x);
    default:
      return image->palette[index_at (image, row, x)];
    }
}

void
qxl_image_line (const QxlImage *image, int x, int y, int n, uint32_t *out)
{
  const uint8_t *row = image->rows + (ptrdiff_t) y * image->stride;

  if (y < 0 || y >= image->height)
    {
      memset (out, 0, (size_t) n * sizeof *out);
      return;
    }
  if (x >= 0 && n <= image->width - x && image->format == SPICE_BITMAP_FMT_32BIT)
    {
      for (int i = 0; i < n; i++)
        out[i] = OPAQUE | vm_load_le32 (row + 4 * (x + i));
      return;
    }
  for (int i = 0; i < n; i++)
    out[i] = x + i >= 0 && x + i < image->width ? pixel_at (image, row, x + i) : 0;
}

bool
qxl_image_bit (const QxlImage *image, int x, int y)
{
  if (x < 0 || y < 0 || x >= image->width || y >= image->height)
    return false;
  const uint8_t *row = image->rows + (ptrdiff_t) y * image->stride;
  if (image->format == SPICE_BITMAP_FMT_1BIT_LE || image->format == SPICE_BITMAP_FMT_1BIT_BE)
    return index_at (image, row, x);
  return pixel_at (image, row, x) & 0xffffff;
}

void
qxl_store_line (uint32_t format, uint8_t *row, int x, int n, const uint32_t *pixels)
{
  switch (format)
    {
    case SPICE_SURFACE_FMT_8_A:
      for (int i = 0; i < n; i++)
        row[x + i] = pixels[i] >> 24;
      break;
    case SPICE_SURFACE_FMT_16_555:
      for (int i = 0; i < n; i++)
        vm_store_le16 (row + 2 * (x + i),
                       (pixels[i] >> 9 & 0x7c00) | (pixels[i] >> 6 & 0x3e0) | (pixels[i] >> 3 & 0x1f));
      break;
    case SPICE_SURFACE_FMT_16_565:
      for (int i = 0; i < n; i++)
        vm_store_le16 (row + 2 * (x + i),
                       (pixels[i] >> 8 & 0xf800) | (pixels[i] >> 5 & 0x7e0) | (pixels[i] >> 3 & 0x1f));
      break;
    default:
      for (int i = 0; i < n; i++)
        vm_store_le32 (row + 4 * (x + i), pixels[i]);
      break;
    }
}
