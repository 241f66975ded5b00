/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guest is taken to have the layout of -k, or that of the host: then the same keys make the same characters. */
#include "ui/gtk/type-text.h"

#include <linux/input-event-codes.h>

#include "engine/input/layout.h"

#define STEP_MS 12 /* between a press and a release: a keyboard controller has room for few */

struct VmTyping
{
  VmSession *session;
  VmConsole *console;
  GArray *keys; /* Stroke */
  guint at;
  bool down;
  guint timer;
  unsigned missing;
  void (*done) (gpointer opaque, unsigned missing);
  gpointer opaque;
};

typedef struct Stroke
{
  guint16 key;
  guint8 level;
} Stroke;

static guint
keyval_of (gunichar c)
{
  return c == '\n' ? GDK_KEY_Return : c == '\t' ? GDK_KEY_Tab : gdk_unicode_to_keyval (c);
}

static bool
find_stroke_of_layout (const VmLayout *keyboard, gunichar c, Stroke *stroke)
{
  unsigned needs;
  uint16_t key = vm_layout_find (keyboard, keyval_of (c), 0, &needs);

  *stroke = (Stroke){ key, needs == UINT_MAX ? 0 : (guint8) needs };
  return key != 0;
}

/* The keys of a layout's first two shifts and, behind the third, the next two. */
static bool
find_stroke (GdkKeymap *keymap, gunichar c, Stroke *stroke)
{
  guint keyval = keyval_of (c);
  g_autofree GdkKeymapKey *keys = NULL;
  int n = 0, best = -1;

  if (!gdk_keymap_get_entries_for_keyval (keymap, keyval, &keys, &n))
    return false;
  for (int i = 0; i < n; i++)
    if (keys[i].keycode > 8 && keys[i].level < 4
        && (best < 0 || keys[i].group < keys[best].group
            || (keys[i].group == keys[best].group && keys[i].level < keys[best].level)))
      best = i;
  if (best < 0)
    return false;
  *stroke = (Stroke){ (guint16) (keys[best].keycode - 8), (guint8) keys[best].level };
  return true;
}

static void
typing_end (VmTyping *self)
{
  VmTyping kept = *self;

  g_array_unref (self->keys);
  g_free (self);
  kept.done (kept.opaque, kept.missing);
}

static void
typing_modifiers (VmTyping *self, guint8 level, bool down)
{
  if (level & VM_LEVEL_SHIFT)
    vm_input_key (vm_session_input (self->session), self->console, KEY_LEFTSHIFT, down);
  if (level & VM_LEVEL_ALTGR)
    vm_input_key (vm_session_input (self->session), self->console, KEY_RIGHTALT, down);
}

static void
typing_step (VmTyping *self)
{
  const Stroke *stroke = &g_array_index (self->keys, Stroke, self->at);

  self->down = !self->down;
  if (self->down)
    typing_modifiers (self, stroke->level, true);
  vm_input_key (vm_session_input (self->session), self->console, stroke->key, self->down);
  if (self->down)
    return;
  typing_modifiers (self, stroke->level, false);
  self->at++;
}

static gboolean
typing_tick (gpointer user_data)
{
  VmTyping *self = user_data;

  if (self->at < self->keys->len && vm_session_is_running (self->session))
    {
      typing_step (self);
      return G_SOURCE_CONTINUE;
    }
  self->timer = 0;
  typing_end (self);
  return G_SOURCE_REMOVE;
}

VmTyping *
vm_typing_start (VmSession *session, VmConsole *console, const char *text,
                 void (*done) (gpointer opaque, unsigned missing), gpointer opaque)
{
  VmTyping *self = g_new0 (VmTyping, 1);
  GdkKeymap *keymap = gdk_keymap_get_for_display (gdk_display_get_default ());
  const char *layout = vm_session_settings (session)->keyboard_layout;
  VmLayout *keyboard = layout ? vm_layout_new (layout, NULL) : NULL; /* else the host's will have to do */
  unsigned n = 0;

  self->session = session;
  self->console = console;
  self->done = done;
  self->opaque = opaque;
  self->keys = g_array_new (FALSE, FALSE, sizeof (Stroke));
  for (const char *p = text; *p && n < VM_TYPE_CHARS_MAX; p = g_utf8_next_char (p), n++)
    {
      gunichar c = g_utf8_get_char (p);
      Stroke stroke;
      if (c == '\r')
        continue;
      if (keyboard ? find_stroke_of_layout (keyboard, c, &stroke) : find_stroke (keymap, c, &stroke))
        g_array_append_val (self->keys, stroke);
      else
        self->missing++;
    }
  vm_layout_free (keyboard);
  self->timer = g_timeout_add (STEP_MS, typing_tick, self);
  return self;
}

void
vm_typing_stop (VmTyping *self)
{
  /* No key stays down. */
  if (self->down && self->at < self->keys->len)
    typing_step (self);
  g_clear_handle_id (&self->timer, g_source_remove);
  typing_end (self);
}
