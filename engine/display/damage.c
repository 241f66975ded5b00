/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tile record of damage. */
#include "engine/display/damage.h"

void
vm_damage_clear (VmDamage *damage)
{
  g_clear_pointer (&damage->serials, g_free);
  damage->columns = damage->rows = damage->width = damage->height = 0;
}

void
vm_damage_resize (VmDamage *damage, int width, int height)
{
  vm_damage_clear (damage);
  damage->width = width;
  damage->height = height;
  damage->columns = (width + VM_DAMAGE_TILE - 1) / VM_DAMAGE_TILE;
  damage->rows = (height + VM_DAMAGE_TILE - 1) / VM_DAMAGE_TILE;
  damage->serials = g_new0 (uint64_t, (size_t) damage->columns * damage->rows);
  vm_damage_add (damage, 0, 0, width, height);
}

void
vm_damage_add (VmDamage *damage, int x, int y, int width, int height)
{
  int64_t right = MIN ((int64_t) x + width, damage->width);
  int64_t bottom = MIN ((int64_t) y + height, damage->height);

  x = MAX (x, 0);
  y = MAX (y, 0);
  if (x >= right || y >= bottom)
    return;

  damage->serial++;
  for (int row = y / VM_DAMAGE_TILE; row <= (bottom - 1) / VM_DAMAGE_TILE; row++)
    for (int column = x / VM_DAMAGE_TILE; column <= (right - 1) / VM_DAMAGE_TILE; column++)
      damage->serials[row * damage->columns + column] = damage->serial;
}

static VmRect
damage_tiles_rect (const VmDamage *damage, int column, int row, int columns)
{
  VmRect rect = { column * VM_DAMAGE_TILE, row * VM_DAMAGE_TILE, columns * VM_DAMAGE_TILE, VM_DAMAGE_TILE };

  rect.width = MIN (rect.width, damage->width - rect.x);
  rect.height = MIN (rect.height, damage->height - rect.y);
  return rect;
}

VmRect
vm_rect_union (VmRect a, VmRect b)
{
  int right = MAX (a.x + a.width, b.x + b.width), bottom = MAX (a.y + a.height, b.y + b.height);
  VmRect u = { MIN (a.x, b.x), MIN (a.y, b.y), 0, 0 };

  u.width = right - u.x;
  u.height = bottom - u.y;
  return u;
}

unsigned
vm_damage_since (const VmDamage *damage, uint64_t serial, VmRect *rects, unsigned max)
{
  unsigned n = 0, above = 0; /* rects[above..] are those of the row before */

  for (int row = 0; row < damage->rows; row++)
    {
      const uint64_t *tiles = damage->serials + (size_t) row * damage->columns;
      unsigned first = n;

      for (int column = 0; column < damage->columns; column++)
        {
          int end = column;

          while (end < damage->columns && tiles[end] > serial)
            end++;
          if (end == column)
            continue;

          VmRect rect = damage_tiles_rect (damage, column, row, end - column);
          bool joined = false;

          column = end;
          for (unsigned i = above; i < first && !joined; i++)
            if (rects[i].x == rect.x && rects[i].width == rect.width
                && rects[i].y + rects[i].height == rect.y)
              {
                /* Grows downwards; move it to the end so that the next row finds it. */
                rect = vm_rect_union (rects[i], rect);
                memmove (rects + i, rects + i + 1, (n - i - 1) * sizeof *rects);
                n--;
                first--;
                joined = true;
              }
          if (n == max)
            rects[n - 1] = vm_rect_union (rects[n - 1], rect);
          else
            rects[n++] = rect;
        }
      above = MIN (first, n);
    }
  return n;
}
