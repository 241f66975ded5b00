/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Layouts, by libxkbcommon and the X keyboard database: what each key makes at each level, the other way round. */
#include "engine/input/layout.h"

#include <linux/input-event-codes.h>
#include <xkbcommon/xkbcommon.h>

#define XKB_OF_EVDEV 8
#define LEVELS 4 /* plain, shift, AltGr, both */
#define KEYS   256

typedef struct Place
{
  uint16_t key[LEVELS]; /* 0: not there */
} Place;

struct VmLayout
{
  GHashTable *symbols; /* keysym -> Place * */
  uint32_t made[KEYS][LEVELS];
};

static void
add (VmLayout *k, uint32_t keysym, uint16_t key, unsigned level)
{
  Place *place = g_hash_table_lookup (k->symbols, GUINT_TO_POINTER (keysym));

  if (!place)
    {
      place = g_new0 (Place, 1);
      g_hash_table_insert (k->symbols, GUINT_TO_POINTER (keysym), place);
    }
  if (!place->key[level])
    place->key[level] = key;
}

/* What viewers send whatever the layout is; keys of the pad by what they are with and without Num Lock. */
static void
add_fixed (VmLayout *k)
{
  static const struct
  {
    uint16_t keysym, key;
  } fixed[] = {
    { 0xff08, KEY_BACKSPACE },  { 0xff09, KEY_TAB },       { 0xfe20, KEY_TAB },        { 0xff0d, KEY_ENTER },
    { 0xff13, KEY_PAUSE },      { 0xff6b, KEY_PAUSE },     { 0xff14, KEY_SCROLLLOCK }, { 0xff15, KEY_SYSRQ },
    { 0xff61, KEY_SYSRQ },      { 0xff1b, KEY_ESC },       { 0xff20, KEY_COMPOSE },    { 0xff50, KEY_HOME },
    { 0xff51, KEY_LEFT },       { 0xff52, KEY_UP },        { 0xff53, KEY_RIGHT },      { 0xff54, KEY_DOWN },
    { 0xff55, KEY_PAGEUP },     { 0xff56, KEY_PAGEDOWN },  { 0xff57, KEY_END },        { 0xff63, KEY_INSERT },
    { 0xff67, KEY_COMPOSE },    { 0xff7f, KEY_NUMLOCK },   { 0xff8d, KEY_KPENTER },    { 0xff95, KEY_KP7 },
    { 0xff96, KEY_KP4 },        { 0xff97, KEY_KP8 },       { 0xff98, KEY_KP6 },        { 0xff99, KEY_KP2 },
    { 0xff9a, KEY_KP9 },        { 0xff9b, KEY_KP3 },       { 0xff9c, KEY_KP1 },        { 0xff9d, KEY_KP5 },
    { 0xff9e, KEY_KP0 },        { 0xff9f, KEY_KPDOT },     { 0xffaa, KEY_KPASTERISK }, { 0xffab, KEY_KPPLUS },
    { 0xffac, KEY_KPDOT },      { 0xffad, KEY_KPMINUS },   { 0xffae, KEY_KPDOT },      { 0xffaf, KEY_KPSLASH },
    { 0xffb0, KEY_KP0 },        { 0xffb1, KEY_KP1 },       { 0xffb2, KEY_KP2 },        { 0xffb3, KEY_KP3 },
    { 0xffb4, KEY_KP4 },        { 0xffb5, KEY_KP5 },       { 0xffb6, KEY_KP6 },        { 0xffb7, KEY_KP7 },
    { 0xffb8, KEY_KP8 },        { 0xffb9, KEY_KP9 },       { 0xffbd, KEY_KPEQUAL },    { 0xffbe, KEY_F1 },
    { 0xffbf, KEY_F2 },         { 0xffc0, KEY_F3 },        { 0xffc1, KEY_F4 },         { 0xffc2, KEY_F5 },
    { 0xffc3, KEY_F6 },         { 0xffc4, KEY_F7 },        { 0xffc5, KEY_F8 },         { 0xffc6, KEY_F9 },
    { 0xffc7, KEY_F10 },        { 0xffc8, KEY_F11 },       { 0xffc9, KEY_F12 },        { 0xffe1, KEY_LEFTSHIFT },
    { 0xffe2, KEY_RIGHTSHIFT }, { 0xffe3, KEY_LEFTCTRL },  { 0xffe4, KEY_RIGHTCTRL },  { 0xffe5, KEY_CAPSLOCK },
    { 0xffe7, KEY_LEFTMETA },   { 0xffe8, KEY_RIGHTMETA }, { 0xffe9, KEY_LEFTALT },    { 0xffea, KEY_RIGHTALT },
    { 0xffeb, KEY_LEFTMETA },   { 0xffec, KEY_RIGHTMETA }, { 0xfe03, KEY_RIGHTALT },   { 0xff7e, KEY_RIGHTALT },
    { 0xffff, KEY_DELETE },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (fixed); i++)
    for (unsigned level = 0; level < LEVELS; level++)
      add (k, fixed[i].keysym, fixed[i].key, level);
}

static void
add_key (struct xkb_keymap *map, xkb_keycode_t code, void *opaque)
{
  VmLayout *k = opaque;

  if (code <= XKB_OF_EVDEV || code - XKB_OF_EVDEV > KEY_MAX)
    return;
  for (xkb_level_index_t level = 0; level < MIN (LEVELS, xkb_keymap_num_levels_for_key (map, code, 0)); level++)
    {
      const xkb_keysym_t *symbols;
      int n = xkb_keymap_key_get_syms_by_level (map, code, 0, level, &symbols);
      if (n != 1 || symbols[0] == XKB_KEY_NoSymbol)
        continue;
      if (code - XKB_OF_EVDEV < KEYS)
        k->made[code - XKB_OF_EVDEV][level] = symbols[0];
      add (k, symbols[0], (uint16_t) (code - XKB_OF_EVDEV), level);
    }
}

/* Names of -k that the database has otherwise. */
static void
layout_name (const char *layout, const char **name, const char **variant)
{
  static const char *const names[][3] = {
    { "ar", "ara" }, { "da", "dk" },    { "de-ch", "ch" }, { "en-gb", "gb" }, { "en-us", "us" },
    { "et", "ee" },  { "fr-be", "be" }, { "nl-be", "be" }, { "fr-ca", "ca" }, { "fr-ch", "ch", "fr" },
    { "ja", "jp" },  { "pt-br", "br" }, { "sl", "si" },    { "sv", "se" },
  };

  *name = layout;
  *variant = NULL;
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    if (!strcmp (layout, names[i][0]))
      {
        *name = names[i][1];
        *variant = names[i][2];
      }
}

VmLayout *
vm_layout_new (const char *layout, GError **error)
{
  struct xkb_context *context = xkb_context_new (XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
  struct xkb_rule_names names = { .rules = "evdev", .model = "pc105" };
  struct xkb_keymap *map;
  VmLayout *k;

  layout_name (layout ? layout : "en-us", &names.layout, &names.variant);
  map = context ? xkb_keymap_new_from_names (context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS) : NULL;
  if (!map)
    {
      vm_fail (error, "the keyboard layout '%s' cannot be loaded: is the package xkb-data installed?",
               layout ? layout : "en-us");
      xkb_context_unref (context);
      return NULL;
    }
  k = g_new0 (VmLayout, 1);
  k->symbols = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  add_fixed (k);
  xkb_keymap_key_for_each (map, add_key, k);
  xkb_keymap_unref (map);
  xkb_context_unref (context);
  return k;
}

void
vm_layout_free (VmLayout *k)
{
  if (!k)
    return;
  g_hash_table_unref (k->symbols);
  g_free (k);
}

/* Symbols of letters beyond Latin-1 have a second form, that of Unicode. */
static const Place *
find_place (const VmLayout *k, uint32_t keysym)
{
  const Place *place = g_hash_table_lookup (k->symbols, GUINT_TO_POINTER (keysym));

  if (!place && keysym > 0x01000000 && keysym <= 0x0110ffff)
    place = g_hash_table_lookup (k->symbols, GUINT_TO_POINTER (xkb_utf32_to_keysym (keysym - 0x01000000)));
  return place;
}

uint16_t
vm_layout_find (const VmLayout *k, uint32_t keysym, unsigned held, unsigned *needs)
{
  const Place *place = find_place (k, keysym);

  *needs = UINT_MAX;
  if (!place)
    return 0;
  if (place->key[held & 3])
    return place->key[held & 3];
  for (unsigned level = 0; level < LEVELS; level++)
    if (place->key[level])
      {
        *needs = level;
        return place->key[level];
      }
  return 0;
}

uint32_t
vm_layout_symbol (const VmLayout *k, uint16_t key, unsigned level)
{
  if (key >= KEYS)
    return 0;
  /* A key that has no such level makes what it does without. */
  for (; level; level &= level - 1)
    if (k->made[key][level & 3])
      return k->made[key][level & 3];
  return k->made[key][0];
}
