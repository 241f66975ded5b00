/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key names and PS/2 scan codes of the evdev key codes (IBM PS/2 Technical Reference, keyboard; Microsoft
 * "Keyboard Scan Code Specification" 1.3a for the E0 multimedia keys). */
#include "engine/input/input.h"

#include <linux/input-event-codes.h>

typedef struct KeyRow {
  uint16_t    key;
  const char *name;
  uint16_t    set[3];
} KeyRow;

static const KeyRow key_rows[] = {
#define ROW(key, name, set1, set2, set3) { key, name, { set1, set2, set3 } }
#include "engine/input/keys.inc"
#undef ROW
};

/* Further names that QMP knows for the same keys. */
static const struct {
  const char *name;
  uint16_t    key;
} key_aliases[] = {
  { "sysrq", KEY_SYSRQ }, { "menu", KEY_COMPOSE }, { "lf", KEY_LINEFEED }, { "asterisk", KEY_KPASTERISK },
};

static const KeyRow *
key_find (uint16_t key)
{
  size_t low = 0, high = G_N_ELEMENTS (key_rows);

  while (low < high)
    {
      size_t middle = (low + high) / 2;

      if (key_rows[middle].key < key)
        low = middle + 1;
      else
        high = middle;
    }
  return low < G_N_ELEMENTS (key_rows) && key_rows[low].key == key ? &key_rows[low] : NULL;
}

int
vm_key_from_name (const char *name)
{
  for (size_t i = 0; i < G_N_ELEMENTS (key_rows); i++)
    if (strcmp (key_rows[i].name, name) == 0)
      return key_rows[i].key;
  for (size_t i = 0; i < G_N_ELEMENTS (key_aliases); i++)
    if (strcmp (key_aliases[i].name, name) == 0)
      return key_aliases[i].key;
  return -1;
}

const char *
vm_key_name (uint16_t key)
{
  const KeyRow *row = key_find (key);

  return row ? row->name : NULL;
}

uint16_t
vm_key_from_number (unsigned number)
{
  uint16_t code = number & 0x80 ? 0xe000 | (number & 0x7f) : number;

  if (number == 0 || number > 0xff)
    return 0;
  if (number == 0xc6) /* the number form of Pause, which has no single code */
    return KEY_PAUSE;
  for (size_t i = 0; i < G_N_ELEMENTS (key_rows); i++)
    if (key_rows[i].set[0] == code)
      return key_rows[i].key;
  return 0;
}

unsigned
vm_key_to_number (uint16_t key)
{
  const KeyRow *row = key_find (key);

  if (key == KEY_PAUSE)
    return 0xc6;
  if (!row || !row->set[0])
    return 0;
  return (row->set[0] & 0x7f) | (row->set[0] >> 8 == 0xe0 ? 0x80 : 0);
}

/* Pause sends make and break at once, and nothing on release, in sets 1 and 2. */
static unsigned
key_pause_ps2 (bool down, unsigned set, uint8_t out[8])
{
  static const uint8_t set1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
  static const uint8_t set2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };

  if (!down)
    return 0;
  memcpy (out, set == 1 ? set1 : set2, set == 1 ? sizeof set1 : sizeof set2);
  return set == 1 ? sizeof set1 : sizeof set2;
}

unsigned
vm_key_to_ps2 (uint16_t key, bool down, unsigned set, uint8_t out[8])
{
  const KeyRow *row = key_find (key);
  unsigned n = 0;

  if (set < 1 || set > 3)
    return 0;
  if (key == KEY_PAUSE && set != 3)
    return key_pause_ps2 (down, set, out);
  if (!row || !row->set[set - 1])
    return 0;

  uint16_t code = row->set[set - 1];

  if (code >> 8)
    out[n++] = code >> 8;
  if (!down && set != 1)
    out[n++] = 0xf0;
  out[n++] = (code & 0xff) | (!down && set == 1 ? 0x80 : 0);
  return n;
}
