/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chords to actions. GTK's own accelerators are not used: they would leave the guest a release without a press. */
#include "config.h"

#include "ui/gtk/shortcuts.h"

#include <glib/gi18n-lib.h>
#include <linux/input-event-codes.h>
#include <stdbool.h>
#include <string.h>

typedef struct Shortcut {
  guint       keyval;
  guint16     evdev;  /* the same place on the keyboard, for layouts without that letter; 0: by keyval only */
  const char *action; /* detailed name */
} Shortcut;

static const Shortcut shortcuts[] = {
  { GDK_KEY_q, KEY_Q, "win.quit" },
  { GDK_KEY_f, KEY_F, "win.fullscreen" },
  { GDK_KEY_plus, 0, "win.zoom-in" },
  { GDK_KEY_equal, 0, "win.zoom-in" },
  { GDK_KEY_KP_Add, KEY_KPPLUS, "win.zoom-in" },
  { GDK_KEY_minus, 0, "win.zoom-out" },
  { GDK_KEY_KP_Subtract, KEY_KPMINUS, "win.zoom-out" },
  { GDK_KEY_0, KEY_0, "win.best-fit" },
  { GDK_KEY_KP_0, KEY_KP0, "win.best-fit" },
  { GDK_KEY_m, KEY_M, "win.show-menubar" },
  { GDK_KEY_1, KEY_1, "win.console(0)" },
  { GDK_KEY_2, KEY_2, "win.console(1)" },
  { GDK_KEY_3, KEY_3, "win.console(2)" },
  { GDK_KEY_4, KEY_4, "win.console(3)" },
  { GDK_KEY_5, KEY_5, "win.console(4)" },
  { GDK_KEY_6, KEY_6, "win.console(5)" },
  { GDK_KEY_7, KEY_7, "win.console(6)" },
  { GDK_KEY_8, KEY_8, "win.console(7)" },
  { GDK_KEY_9, KEY_9, "win.console(8)" },
};

static bool
shortcut_matches (const Shortcut *shortcut, const GdkEventKey *event)
{
  guint keyval = gdk_keyval_to_lower (event->keyval);

  if (keyval == shortcut->keyval)
    return true;
  /* Digits are shifted on some layouts, letters missing on others, and Ctrl+Alt makes something else of the keypad. A
   * Latin letter is what its cap says. */
  bool latin = keyval >= GDK_KEY_a && keyval <= GDK_KEY_z;
  return shortcut->evdev && !latin && event->hardware_keycode == shortcut->evdev + 8;
}

VmGrabKeys
vm_grab_keys_parse (const char *keys)
{
  VmGrabKeys grab = { 0 };

  gtk_accelerator_parse (keys, &grab.keyval, &grab.modifiers);
  if (!grab.keyval)
    gtk_accelerator_parse (VM_GRAB_KEYS, &grab.keyval, &grab.modifiers);
  return grab;
}

char *
vm_grab_keys_label (const VmGrabKeys *keys)
{
  if (!keys->modifiers && keys->keyval == GDK_KEY_Control_R)
    return g_strdup (C_ ("keyboard", "Right Ctrl"));
  return gtk_accelerator_get_label (keys->keyval, keys->modifiers);
}

char *
vm_grab_keys_accelerator (const VmGrabKeys *keys)
{
  return gtk_accelerator_name (keys->keyval, keys->modifiers);
}

static bool
grab_keys_match (const VmGrabKeys *grab, const GdkEventKey *event)
{
  const GdkModifierType known = GDK_CONTROL_MASK | GDK_MOD1_MASK | GDK_SHIFT_MASK | GDK_MOD4_MASK | GDK_SUPER_MASK;
  guint keyval = gdk_keyval_to_lower (event->keyval);
  bool latin = keyval >= GDK_KEY_a && keyval <= GDK_KEY_z;

  if ((event->state & known) != (grab->modifiers & known))
    return false;
  /* "G" is where it is elsewhere on layouts without it. */
  return keyval == grab->keyval || (grab->keyval == GDK_KEY_g && !latin && event->hardware_keycode == KEY_G + 8);
}

gboolean
vm_shortcuts_activate (GtkWidget *window, const GdkEventKey *event, const VmGrabKeys *grab)
{
  GdkModifierType chord = GDK_CONTROL_MASK | GDK_MOD1_MASK;
  GActionGroup *group = gtk_widget_get_action_group (window, "win");

  if (grab_keys_match (grab, event))
    {
      g_action_group_activate_action (group, "grab-input", NULL);
      return TRUE;
    }
  /* Shift is needed for plus on many layouts; Super and the like make it another chord. */
  if ((event->state & (chord | GDK_MOD4_MASK)) != chord)
    return FALSE;

  for (unsigned i = 0; i < G_N_ELEMENTS (shortcuts); i++)
    if (shortcut_matches (&shortcuts[i], event))
      {
        g_autofree char *name = NULL;
        g_autoptr (GVariant) target = NULL;

        if (!g_action_parse_detailed_name (shortcuts[i].action + strlen ("win."), &name, &target, NULL))
          return FALSE;
        g_action_group_activate_action (group, name, target);
        return TRUE;
      }
  return FALSE;
}
