/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL: the pointer (spice/qxl_dev.h: QXLCursorCmd, QXLCursor). */
#include "devices/display/qxl.h"

#include "engine/base/log.h"

#include <spice/enums.h>

#define SIDE_MAX 256
#define OPAQUE 0xff000000u

static bool
bit_at (const uint8_t *bits, unsigned stride, unsigned x, unsigned y)
{
  return bits[y * stride + x / 8] >> (7 - x % 8) & 1;
}

/* An AND and an XOR mask, one below the other; what inverts is shown black. */
static void
read_mono (VmCursor *cursor, const uint8_t *data)
{
  unsigned width = (unsigned) cursor->width, height = (unsigned) cursor->height, stride = (width + 7) / 8;

  for (unsigned y = 0; y < height; y++)
    for (unsigned x = 0; x < width; x++)
      {
        bool keep = bit_at (data, stride, x, y), set = bit_at (data + stride * height, stride, x, y);
        cursor->data[y * width + x] = keep ? (set ? OPAQUE : 0) : set ? 0xffffffffu : OPAQUE;
      }
}

/* Colours, and a mask of where there are none. */
static void
read_color32 (VmCursor *cursor, const uint8_t *data)
{
  unsigned width = (unsigned) cursor->width, height = (unsigned) cursor->height, stride = (width + 7) / 8;
  const uint8_t *mask = data + width * height * 4;

  for (unsigned y = 0; y < height; y++)
    for (unsigned x = 0; x < width; x++)
      {
        uint32_t pixel = vm_load_le32 (data + (y * width + x) * 4) & 0xffffff;
        bool keep = bit_at (mask, stride, x, y);
        cursor->data[y * width + x] = keep && !pixel ? 0 : OPAQUE | pixel;
      }
}

static void
read_alpha (VmCursor *cursor, const uint8_t *data)
{
  for (int i = 0; i < cursor->width * cursor->height; i++)
    cursor->data[i] = vm_load_le32 (data + 4 * i);
}

static VmCursor *
read_shape (Qxl *s, QXLPHYSICAL addr)
{
  QXLCursor head;

  if (!qxl_read (s, addr, &head, sizeof head))
    return NULL;
  unsigned width = head.header.width, height = head.header.height, mask = (width + 7) / 8 * height;
  void (*read) (VmCursor * cursor, const uint8_t *data) = NULL;
  uint64_t want = 0;
  switch (head.header.type)
    {
    case SPICE_CURSOR_TYPE_ALPHA:
      read = read_alpha;
      want = (uint64_t) width * height * 4;
      break;
    case SPICE_CURSOR_TYPE_MONO:
      read = read_mono;
      want = 2 * (uint64_t) mask;
      break;
    case SPICE_CURSOR_TYPE_COLOR32:
      read = read_color32;
      want = (uint64_t) width * height * 4 + mask;
      break;
    default:
      break;
    }
  if (!read || !width || !height || width > SIDE_MAX || height > SIDE_MAX)
    {
      qxl_complain (s, "not shown: a pointer of type", head.header.type);
      return NULL;
    }
  uint64_t got = want;
  g_autofree uint8_t *data = qxl_gather (s, addr + offsetof (QXLCursor, chunk), &got);
  VmCursor *cursor = data && got == want ? vm_cursor_new ((int) width, (int) height) : NULL;
  if (!cursor)
    return NULL;
  cursor->hot_x = MIN (head.header.hot_spot_x, width - 1);
  cursor->hot_y = MIN (head.header.hot_spot_y, height - 1);
  read (cursor, data);
  return cursor;
}

void
qxl_cursor_command (Qxl *s, QXLPHYSICAL addr)
{
  QXLCursorCmd cmd;

  if (!qxl_read (s, addr, &cmd, sizeof cmd))
    return;
  switch (cmd.type)
    {
    case QXL_CURSOR_SET:
      s->cursor_x = cmd.u.set.position.x;
      s->cursor_y = cmd.u.set.position.y;
      s->cursor_visible = cmd.u.set.visible;
      vm_console_set_cursor (s->vga.console, read_shape (s, cmd.u.set.shape));
      break;
    case QXL_CURSOR_MOVE:
      s->cursor_x = cmd.u.position.x;
      s->cursor_y = cmd.u.position.y;
      s->cursor_visible = true;
      break;
    case QXL_CURSOR_HIDE:
      s->cursor_visible = false;
      break;
    default:
      break;
    }
  vm_console_move_cursor (s->vga.console, s->cursor_x, s->cursor_y, s->cursor_visible);
}
