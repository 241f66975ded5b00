/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command FIFO of VMware SVGA II (VMware SVGA Device Developer Kit): a ring of words in memory the guest writes at
 * any time, so every word is read once and believed for what it says then. */
#include "devices/display/vmware.h"

#include "engine/base/log.h"

enum
{ /* commands, and the words that follow them */
  CMD_UPDATE = 1,
  CMD_RECT_FILL = 2,
  CMD_RECT_COPY = 3,
  CMD_DEFINE_CURSOR = 19,
  CMD_DISPLAY_CURSOR = 20,
  CMD_MOVE_CURSOR = 21,
  CMD_DEFINE_ALPHA_CURSOR = 22,
  CMD_UPDATE_VERBOSE = 25,
  CMD_FRONT_ROP_FILL = 29,
  CMD_FENCE = 30,
  CMD_ESCAPE = 33,
};
enum
{
  ROP_COPY = 3,
  MAX_ARGS = 7
};
#define WORK_AT_ONCE (64 * VM_MIB) /* bytes of pixels */
#define CURSOR_GREY 0xff808080u    /* where the screen would be inverted */

typedef struct Ring
{ /* bytes from the FIFO's start */
  VmwareSvga *s;
  uint32_t min, max, next, at;
  uint64_t work;
} Ring;

uint32_t
svga_fifo_read (const VmwareSvga *s, unsigned index)
{
  const uint32_t *word = (const uint32_t *) s->fifo.ram->host + index;

  return GUINT32_FROM_LE (__atomic_load_n (word, __ATOMIC_RELAXED));
}

void
svga_fifo_write (VmwareSvga *s, unsigned index, uint32_t value)
{
  uint32_t *word = (uint32_t *) s->fifo.ram->host + index;

  __atomic_store_n (word, GUINT32_TO_LE (value), __ATOMIC_RELEASE);
  vm_ram_written (s->vga.dev->env->memory, s->fifo.ram, index * 4, 4);
}

static bool
ring_load (VmwareSvga *s, Ring *r)
{
  *r = (Ring){ s,
               svga_fifo_read (s, FIFO_MIN),
               svga_fifo_read (s, FIFO_MAX),
               svga_fifo_read (s, FIFO_NEXT_CMD),
               svga_fifo_read (s, FIFO_STOP),
               0 };
  __atomic_thread_fence (__ATOMIC_ACQUIRE);
  return r->min >= 4 * (FIFO_STOP + 1) && r->max <= SVGA_FIFO_SIZE && r->min < r->max
         && !((r->min | r->max | r->next | r->at) & 3) && r->next >= r->min && r->next < r->max && r->at >= r->min
         && r->at < r->max;
}

static uint32_t
words_left (const Ring *r)
{
  return (r->next >= r->at ? r->next - r->at : r->max - r->min - (r->at - r->next)) / 4;
}

static uint32_t
take_word (Ring *r)
{
  uint32_t word = svga_fifo_read (r->s, r->at / 4);

  r->at += 4;
  if (r->at == r->max)
    r->at = r->min;
  return word;
}

static void
skip_words (Ring *r, uint32_t n)
{
  r->at += n * 4;
  if (r->at >= r->max)
    r->at -= r->max - r->min;
}

/* --- rectangles -------------------------------------------------------------------------------------------- */

/* The part of a rectangle that is on the screen; false: none. */
static bool
clip (const VmwareSvga *s, uint32_t x, uint32_t y, uint32_t *width, uint32_t *height)
{
  if (!svga_active (s) || x >= s->width || y >= s->height)
    return false;
  *width = MIN (*width, s->width - x);
  *height = MIN (*height, s->height - y);
  return *width && *height;
}

static void
rect_written (VmwareSvga *s, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
  uint32_t pitch = svga_pitch (s);

  vga_mark_written (&s->vga, y * pitch + x * 4, (height - 1) * pitch + width * 4);
}

static void
rect_fill (Ring *r, uint32_t color, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
  VmwareSvga *s = r->s;
  uint32_t pitch = svga_pitch (s);

  if (!clip (s, x, y, &width, &height))
    return;
  r->work += (uint64_t) width * height * 4;
  for (uint32_t row = y; row < y + height; row++)
    {
      uint8_t *at = (uint8_t *) s->vga.vram.ram->host + row * pitch + x * 4;

      for (uint32_t i = 0; i < width; i++)
        vm_store_le32 (at + 4 * i, color);
    }
  rect_written (s, x, y, width, height);
}

static void
rect_copy (Ring *r, uint32_t from_x, uint32_t from_y, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
  VmwareSvga *s = r->s;
  uint32_t pitch = svga_pitch (s);
  uint8_t *vram = s->vga.vram.ram->host;

  if (!clip (s, from_x, from_y, &width, &height) || !clip (s, x, y, &width, &height))
    return;
  r->work += (uint64_t) width * height * 4;
  for (uint32_t i = 0; i < height; i++)
    {
      uint32_t row = y > from_y ? height - 1 - i : i;

      memmove (vram + (y + row) * pitch + x * 4, vram + (from_y + row) * pitch + from_x * 4, width * 4);
    }
  rect_written (s, x, y, width, height);
}

/* --- cursors ------------------------------------------------------------------------------------------------ */

static uint32_t
mask_words (uint32_t width, uint32_t height, uint32_t depth)
{
  return (width * depth + 31) / 32 * height;
}

static bool
depth_known (uint32_t depth)
{
  return depth == 1 || depth == 8 || depth == 16 || depth == 24 || depth == 32;
}

/* Pixel X of a line of a mask as a colour; masks of one bit are black and white. */
static uint32_t
mask_pixel (const uint8_t *line, uint32_t x, uint32_t depth)
{
  switch (depth)
    {
    case 1:
      return line[x / 8] >> (7 - x % 8) & 1 ? 0xffffff : 0;
    case 8:
      return line[x] * 0x010101u;
    case 16:
      return vga_rgb565 (vm_load_le16 (line + 2 * x));
    case 24:
      return line[3 * x] | (uint32_t) line[3 * x + 1] << 8 | (uint32_t) line[3 * x + 2] << 16;
    default:
      return vm_load_le32 (line + 4 * x) & 0xffffff;
    }
}

/* A: what cursors begin with: number, hot spot, size. */
static void
begin_cursor (VmwareSvga *s, const uint32_t *a)
{
  s->cursor_id = a[0];
  s->hot_x = a[1];
  s->hot_y = a[2];
  s->cursor_width = a[3];
  s->cursor_height = a[4];
}

static uint8_t *
take_bytes (Ring *r, uint32_t words)
{
  uint8_t *data = g_malloc (words * 4 + 4);

  for (uint32_t i = 0; i < words; i++)
    vm_store_le32 (data + 4 * i, take_word (r));
  return data;
}

/* The cursor is the screen AND the first mask, XOR the second. */
static void
define_cursor (Ring *r, const uint32_t *a)
{
  uint32_t width = a[3], height = a[4], and_depth = a[5], xor_depth = a[6];
  uint32_t and_pitch = mask_words (width, 1, and_depth) * 4, xor_pitch = mask_words (width, 1, xor_depth) * 4;
  g_autofree uint8_t *and_mask = take_bytes (r, mask_words (width, height, and_depth));
  g_autofree uint8_t *xor_mask = take_bytes (r, mask_words (width, height, xor_depth));

  begin_cursor (r->s, a);
  for (uint32_t y = 0; y < height; y++)
    for (uint32_t x = 0; x < width; x++)
      {
        bool keep = mask_pixel (and_mask + y * and_pitch, x, and_depth) != 0;
        uint32_t color = mask_pixel (xor_mask + y * xor_pitch, x, xor_depth);

        vm_store_le32 (r->s->cursor_data + (y * width + x) * 4, !keep ? 0xff000000 | color : color ? CURSOR_GREY : 0);
      }
  svga_show_cursor (r->s);
}

static void
define_alpha_cursor (Ring *r, const uint32_t *a)
{
  begin_cursor (r->s, a);
  for (uint32_t i = 0; i < a[3] * a[4]; i++)
    vm_store_le32 (r->s->cursor_data + 4 * i, take_word (r));
  svga_show_cursor (r->s);
}

/* --- commands ------------------------------------------------------------------------------------------------ */

static const int8_t n_args[] = {
  [CMD_UPDATE] = 4,
  [CMD_RECT_FILL] = 5,
  [CMD_RECT_COPY] = 6,
  [CMD_DEFINE_CURSOR] = 7,
  [CMD_DISPLAY_CURSOR] = 2,
  [CMD_MOVE_CURSOR] = 2,
  [CMD_DEFINE_ALPHA_CURSOR] = 5,
  [CMD_UPDATE_VERBOSE] = 5,
  [CMD_FRONT_ROP_FILL] = 6,
  [CMD_FENCE] = 1,
  [CMD_ESCAPE] = 2,
};

/* Words after the arguments; UINT32_MAX: that cannot be. */
static uint32_t
data_words (uint32_t command, const uint32_t *a)
{
  switch (command)
    {
    case CMD_DEFINE_CURSOR:
      if (a[3] - 1 >= SVGA_MAX_CURSOR || a[4] - 1 >= SVGA_MAX_CURSOR || !depth_known (a[5]) || !depth_known (a[6]))
        return UINT32_MAX;
      return mask_words (a[3], a[4], a[5]) + mask_words (a[3], a[4], a[6]);
    case CMD_DEFINE_ALPHA_CURSOR:
      return a[3] - 1 >= SVGA_MAX_CURSOR || a[4] - 1 >= SVGA_MAX_CURSOR ? UINT32_MAX : a[3] * a[4];
    case CMD_ESCAPE:
      return a[1] > SVGA_FIFO_SIZE ? UINT32_MAX : (a[1] + 3) / 4;
    default:
      return 0;
    }
}

static void
obey (Ring *r, uint32_t command, const uint32_t *a, uint32_t data)
{
  VmwareSvga *s = r->s;

  switch (command)
    {
    case CMD_RECT_FILL:
      rect_fill (r, a[0], a[1], a[2], a[3], a[4]);
      break;
    case CMD_FRONT_ROP_FILL:
      if (a[5] == ROP_COPY)
        rect_fill (r, a[0], a[1], a[2], a[3], a[4]);
      break;
    case CMD_RECT_COPY:
      rect_copy (r, a[0], a[1], a[2], a[3], a[4], a[5]);
      break;
    case CMD_DEFINE_CURSOR:
      define_cursor (r, a);
      break;
    case CMD_DEFINE_ALPHA_CURSOR:
      define_alpha_cursor (r, a);
      break;
    case CMD_DISPLAY_CURSOR:
      svga_move_cursor (s, s->cursor_x, s->cursor_y, a[1] & 1);
      break;
    case CMD_MOVE_CURSOR:
      svga_move_cursor (s, a[0], a[1], s->cursor_on);
      break;
    case CMD_FENCE:
      svga_fifo_write (s, FIFO_FENCE, a[0]);
      svga_raise (s, SVGA_IRQ_ANY_FENCE | (a[0] == svga_fifo_read (s, FIFO_FENCE_GOAL) ? SVGA_IRQ_FENCE_GOAL : 0));
      break;
    case CMD_ESCAPE:
      skip_words (r, data);
      break;
    default: /* UPDATE: what was written to VRAM is known already */
      break;
    }
}

/* One command; false: it is not whole yet, or the rest makes no sense. */
static bool
ring_step (Ring *r)
{
  uint32_t left = words_left (r), begin = r->at, a[MAX_ARGS] = { 0 }, command = take_word (r), data;

  if (command >= G_N_ELEMENTS (n_args) || !n_args[command])
    {
      vm_guest_error (vm_device_path (r->s->vga.dev), "the FIFO has a command %u, which there is not", command);
      r->at = r->next;
      return false;
    }
  if (left < 1 + (uint32_t) n_args[command])
    {
      r->at = begin;
      return false;
    }
  for (int i = 0; i < n_args[command]; i++)
    a[i] = take_word (r);
  data = data_words (command, a);
  if (data >= (r->max - r->min) / 4)
    {
      vm_guest_error (vm_device_path (r->s->vga.dev), "the FIFO's command %u has impossible data", command);
      r->at = r->next;
      return false;
    }
  if (left < 1 + (uint32_t) n_args[command] + data)
    {
      r->at = begin;
      return false;
    }
  obey (r, command, a, data);
  return true;
}

bool
svga_fifo_run (VmwareSvga *s)
{
  Ring r;
  bool more;

  if (!s->config_done)
    return false;
  if (!ring_load (s, &r))
    {
      vm_guest_error (vm_device_path (s->vga.dev), "the FIFO is not where it can be");
      s->config_done = 0;
      return false;
    }
  uint32_t before = r.at;
  while (r.at != r.next && r.work < WORK_AT_ONCE && ring_step (&r))
    ;
  more = r.at != r.next && r.work >= WORK_AT_ONCE;
  if (r.at != before)
    {
      svga_fifo_write (s, FIFO_STOP, r.at);
      svga_raise (s, SVGA_IRQ_PROGRESS);
    }
  if (r.min >= 4 * FIFO_NUM_REGS && !more)
    svga_fifo_write (s, FIFO_BUSY, 0);
  return more;
}
