/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dirty bitmaps in memory. */
#include "block/bitmap.h"

static uint64_t
word_count (uint64_t size, unsigned shift)
{
  uint64_t bits = size ? ((size - 1) >> shift) + 1 : 0;

  return (bits + 63) / 64;
}

VmDirtyBitmap *
vm_bitmap_new (const char *name, uint64_t size, uint64_t granularity)
{
  g_autofree VmDirtyBitmap *b = g_new0 (VmDirtyBitmap, 1);

  g_assert (vm_is_pow2 (granularity));
  b->shift = (uint8_t) __builtin_ctzll (granularity);
  if (!vm_bitmap_resize (b, size))
    return NULL;
  b->name = g_strdup (name);
  b->recording = true;
  return g_steal_pointer (&b);
}

void
vm_bitmap_free (VmDirtyBitmap *b)
{
  if (!b)
    return;
  g_free (b->words);
  g_free (b->summary);
  g_free (b->name);
  g_free (b);
}

static void
set_word (VmDirtyBitmap *b, uint64_t i, uint64_t value)
{
  b->n_dirty += (uint64_t) __builtin_popcountll (value);
  b->n_dirty -= (uint64_t) __builtin_popcountll (b->words[i]);
  b->words[i] = value;
  b->modified = true;
  if (value)
    b->summary[i / 64] |= VM_BIT (i % 64);
  else
    b->summary[i / 64] &= ~VM_BIT (i % 64);
}

bool
vm_bitmap_resize (VmDirtyBitmap *b, uint64_t size)
{
  uint64_t old = b->words ? word_count (b->size, b->shift) : 0, n = word_count (size, b->shift), bits;
  g_autofree uint64_t *words = NULL;
  uint64_t *summary;

  if (n > VM_BITMAP_MAX_BITS / 64 || !(words = g_try_malloc0_n (n + 1, sizeof *words))
      || !(summary = g_try_malloc0_n (n / 64 + 1, sizeof *summary)))
    return false;
  if (old)
    memcpy (words, b->words, MIN (old, n) * sizeof *words);
  g_free (b->words);
  g_free (b->summary);
  b->words = g_steal_pointer (&words);
  b->summary = summary;
  b->size = size;
  bits = vm_bitmap_bits (b);
  if (n && bits % 64)
    b->words[n - 1] &= VM_BIT (bits % 64) - 1;
  b->n_dirty = 0;
  for (uint64_t i = 0; i < n; i++)
    {
      uint64_t word = b->words[i];

      b->words[i] = 0;
      set_word (b, i, word);
    }
  return true;
}

static void
change (VmDirtyBitmap *b, uint64_t offset, uint64_t len, bool set)
{
  uint64_t first, last;

  if (!len || offset >= b->size)
    return;
  len = MIN (len, b->size - offset);
  first = offset >> b->shift;
  last = (offset + len - 1) >> b->shift;
  for (uint64_t i = first / 64; i <= last / 64; i++)
    {
      uint64_t mask = UINT64_MAX;

      if (i == first / 64)
        mask &= UINT64_MAX << (first % 64);
      if (i == last / 64)
        mask &= UINT64_MAX >> (63 - last % 64);
      set_word (b, i, set ? b->words[i] | mask : b->words[i] & ~mask);
    }
}

void
vm_bitmap_set (VmDirtyBitmap *b, uint64_t offset, uint64_t len)
{
  change (b, offset, len, true);
}

void
vm_bitmap_clear (VmDirtyBitmap *b, uint64_t offset, uint64_t len)
{
  change (b, offset, len, false);
}

bool
vm_bitmap_get (const VmDirtyBitmap *b, uint64_t offset)
{
  uint64_t bit = offset >> b->shift;

  return offset < b->size && (b->words[bit / 64] & VM_BIT (bit % 64));
}

uint64_t
vm_bitmap_next (const VmDirtyBitmap *b, uint64_t offset, uint64_t end, bool dirty)
{
  uint64_t bit, n, word;

  end = MIN (end, b->size);
  if (offset >= end)
    return end;
  bit = offset >> b->shift;
  n = word_count (b->size, b->shift);
  word = (dirty ? b->words[bit / 64] : ~b->words[bit / 64]) & (UINT64_MAX << (bit % 64));
  for (uint64_t i = bit / 64;;)
    {
      if (word)
        {
          uint64_t found = (i * 64 + (uint64_t) __builtin_ctzll (word)) << b->shift;

          return MIN (MAX (found, offset), end);
        }
      i++;
      while (dirty && i < n && i % 64 == 0 && !b->summary[i / 64])
        i += 64;
      if (i >= n || (i * 64) << b->shift >= end)
        return end;
      word = dirty ? b->words[i] : ~b->words[i];
    }
}

bool
vm_bitmap_next_dirty (const VmDirtyBitmap *b, uint64_t *offset, uint64_t end, uint64_t max, uint64_t *len)
{
  uint64_t from, to;

  end = MIN (end, b->size);
  from = vm_bitmap_next (b, *offset, end, true);
  if (from >= end)
    return false;
  end = max < end - from ? from + max : end;
  to = vm_bitmap_next (b, from, end, false);
  *offset = from;
  *len = to - from;
  return true;
}

void
vm_bitmap_merge (VmDirtyBitmap *into, const VmDirtyBitmap *from)
{
  uint64_t len;

  for (uint64_t offset = 0; vm_bitmap_next_dirty (from, &offset, from->size, UINT64_MAX, &len); offset += len)
    vm_bitmap_set (into, offset, len);
}

void
vm_bitmap_save (const VmDirtyBitmap *b, uint64_t first, uint8_t *to, size_t len)
{
  uint64_t n = word_count (b->size, b->shift);

  for (size_t i = 0; i < len; i++)
    {
      uint64_t word = (first + i) / 8;

      to[i] = word < n ? (uint8_t) (b->words[word] >> ((first + i) % 8 * 8)) : 0;
    }
}

void
vm_bitmap_restore (VmDirtyBitmap *b, uint64_t first, const uint8_t *from, size_t len)
{
  uint64_t n = word_count (b->size, b->shift), bits = vm_bitmap_bits (b);

  for (size_t i = 0; i < len; i++)
    {
      uint64_t word = (first + i) / 8, mask = UINT64_C (0xff) << ((first + i) % 8 * 8), value;

      if (word >= n)
        return;
      value = (b->words[word] & ~mask) | (uint64_t) from[i] << ((first + i) % 8 * 8);
      if (word == n - 1 && bits % 64)
        value &= VM_BIT (bits % 64) - 1;
      set_word (b, word, value);
    }
}
