/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chords by name. The names of keys are those on their caps and are not translated. */
#include "ui/gtk/send-keys.h"

typedef struct Chord {
  const char *label, *keys;
} Chord;

static const Chord common[] = {
  { "Ctrl+Alt+_Del", "ctrl-alt-delete" },
  { "Ctrl+Alt+_Backspace", "ctrl-alt-backspace" },
  { "Ctrl+Alt+_Esc", "ctrl-alt-esc" },
  { "_Print", "print" },
  { "_Super", "meta_l" },
  { "_Alt+Tab", "alt-tab" },
  { "Alt+F_4", "alt-f4" },
  { "_Menu", "menu" },
};

/* Linux: Documentation/admin-guide/sysrq. */
static const Chord sysrq[] = {
  { "Alt+SysRq+R", "alt-sysrq-r" }, { "Alt+SysRq+E", "alt-sysrq-e" }, { "Alt+SysRq+I", "alt-sysrq-i" },
  { "Alt+SysRq+S", "alt-sysrq-s" }, { "Alt+SysRq+U", "alt-sysrq-u" }, { "Alt+SysRq+B", "alt-sysrq-b" },
};

static void
append (GMenu *section, const char *label, const char *keys)
{
  g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);

  g_menu_item_set_action_and_target (item, "win.send-keys", "s", keys);
  g_menu_append_item (section, item);
}

static void
append_section (GMenu *menu, const Chord *chords, unsigned n)
{
  g_autoptr (GMenu) section = g_menu_new ();

  for (unsigned i = 0; i < n; i++)
    append (section, chords[i].label, chords[i].keys);
  g_menu_append_section (menu, NULL, G_MENU_MODEL (section));
}

void
vm_send_keys_fill (GMenu *menu)
{
  g_autoptr (GMenu) functions = g_menu_new ();

  append_section (menu, common, G_N_ELEMENTS (common));
  for (unsigned i = 1; i <= 12; i++)
    {
      g_autofree char *label = g_strdup_printf ("Ctrl+Alt+F%u", i), *keys = g_strdup_printf ("ctrl-alt-f%u", i);
      append (functions, label, keys);
    }
  g_menu_append_section (menu, NULL, G_MENU_MODEL (functions));
  append_section (menu, sysrq, G_N_ELEMENTS (sysrq));
}
