/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Character back ends of the command line: whom each is for, and the machine's answers to what they ask. */
#include "engine/agent/agent.h"
#include "engine/machine/machine-private.h"

/* Of the terminal that width= and height= are documented for, in pixels. */
#define GLYPH_WIDTH  8
#define GLYPH_HEIGHT 16

static void
on_quit (void *opaque)
{
  vm_machine_quit (opaque, 0, VM_CAUSE_HOST_UI);
}

static void
on_exit_status (void *opaque, int status)
{
  vm_machine_quit (opaque, status, VM_CAUSE_GUEST_SHUTDOWN);
}

void
vm_machine_show_texts (VmMachine *m)
{
  m->priv->text_consoles = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_text_console_free);
  for (guint i = 0; i < m->texts->len; i++)
    if (!vm_text_stream (g_ptr_array_index (m->texts, i)))
      g_ptr_array_add (m->priv->text_consoles, vm_text_console_new (m, g_ptr_array_index (m->texts, i)));
}

static void
on_text_closed (VmText *text, void *opaque)
{
  VmMachine *m = opaque;
  GPtrArray *consoles = m->priv->text_consoles;

  for (guint i = consoles ? consoles->len : 0; i-- > 0;)
    if (vm_text_console_text (g_ptr_array_index (consoles, i)) == text)
      g_ptr_array_remove_index (consoles, i);
  if (g_ptr_array_remove (m->texts, text))
    vm_machine_tell (m, VM_MACHINE_TEXTS);
}

/* KEY, or WIDER in pixels of PER each. The back end has checked them. */
static unsigned
cells (const VmCharOptions *options, const char *key, const char *wider, unsigned per)
{
  uint64_t n = 0, pixels = 0;

  vm_keyvals_uint (options, wider, &pixels, UINT16_MAX + 1, NULL);
  n = pixels / per;
  vm_keyvals_uint (options, key, &n, UINT16_MAX + 1, NULL);
  return (unsigned) n;
}

/* As viewers of SPICE look for them to show a terminal. */
static char *
port_name (const char *id)
{
  if (g_str_has_prefix (id, "compat_monitor"))
    return g_strconcat ("org.qemu.monitor.hmp.", id + strlen ("compat_monitor"), NULL);
  if (g_str_has_prefix (id, "serial") && g_ascii_isdigit (id[strlen ("serial")]))
    return g_strconcat ("org.qemu.console.serial.", id + strlen ("serial"), NULL);
  return g_strconcat ("org.qemu.console.", id, NULL);
}

/* -display spice-app: the viewer has the text consoles. */
static bool
give_to_viewer (VmMachine *m, VmChardev *chr)
{
  g_autofree char *name = port_name (vm_chardev_id (chr));

  if (!m->spice_added || g_strcmp0 (m->settings->display, "spice-app") != 0
      || !m->spice_added (m, chr, true, name, NULL))
    return false;
  vm_chardev_set_connected (chr, false); /* nobody is there yet */
  return true;
}

static void
on_vc_added (void *opaque, VmChardev *chr, const VmCharOptions *options)
{
  VmMachine *m = opaque;

  if (give_to_viewer (m, chr))
    return;
  VmText *text = vm_text_new (m->env.loop, chr, cells (options, "cols", "width", GLYPH_WIDTH),
                              cells (options, "rows", "height", GLYPH_HEIGHT), on_text_closed, m);

  g_ptr_array_add (m->texts, text);
  if (!strcmp (vm_char_options_backend (options), "dbus"))
    vm_text_set_stream (text, vm_char_options_get (options, "name"));
  else if (m->priv->text_consoles)
    g_ptr_array_add (m->priv->text_consoles, vm_text_console_new (m, text));
  vm_machine_tell (m, VM_MACHINE_TEXTS);
}

static void
on_agent_added (void *opaque, VmChardev *chr, bool mouse, bool clipboard)
{
  VmMachine *m = opaque;

  vm_agent_new (m->env.display, m->env.input, chr, mouse, clipboard);
}

static bool
on_spice_added (void *opaque, VmChardev *chr, bool port, const char *name, GError **error)
{
  VmMachine *m = opaque;

  return m->spice_added ? m->spice_added (m, chr, port, name, error)
                        : vm_fail (error, "SPICE is not available in this build");
}

void
vm_machine_init_chars (VmMachine *m)
{
  m->priv->chars = (VmCharEnv){
    .loop = m->env.loop,
    .clocks = m->env.clocks,
    .root = m->env.root,
    .escape = m->settings->escape_char,
    .opaque = m,
    .quit = on_quit,
    .exit = on_exit_status,
    .vc_added = on_vc_added,
    .agent_added = on_agent_added,
    .spice_added = on_spice_added,
    .pointer_added = vm_machine_pointer_added,
    .pointer_gone = vm_machine_pointer_gone,
  };
}

struct VmCharEnv *
vm_machine_char_env (VmMachine *m)
{
  return &m->priv->chars;
}

static void
add_monitor (VmMachine *m, const char *chardev, const VmCharSpec *spec)
{
  VmMonSpec *mon = g_new0 (VmMonSpec, 1);

  *mon = (VmMonSpec){
    .chardev = g_strdup (chardev),
    .option = g_strdup (spec->option ? spec->option : spec->text),
    .control = spec->use == VM_CHAR_USE_QMP || spec->use == VM_CHAR_USE_QMP_PRETTY,
    .pretty = spec->use == VM_CHAR_USE_QMP_PRETTY,
  };
  g_ptr_array_add (m->monitors, mon);
}

/* An id no back end has yet. */
static char *
fresh_id (VmMachine *m, VmCharUse use, unsigned n)
{
  static const char *const names[] = {
    [VM_CHAR_USE_SERIAL] = "serial%u",
    [VM_CHAR_USE_PARALLEL] = "parallel%u",
    [VM_CHAR_USE_MONITOR] = "compat_monitor%u",
    [VM_CHAR_USE_QMP] = "compat_monitor%u",
    [VM_CHAR_USE_QMP_PRETTY] = "compat_monitor%u",
    [VM_CHAR_USE_DEBUGCON] = "debugcon%u",
    [VM_CHAR_USE_GDB] = "gdb%u",
    [VM_CHAR_USE_QTEST] = "qtest%u",
  };
  const char *format = names[use];
  g_autofree char *stem = g_strndup (format, strlen (format) - 2);

  for (;; n++)
    {
      char *id = g_strdup_printf ("%s%u", stem, n);
      if (!vm_chardev_find (m->env.root, id))
        return id;
      g_free (id);
    }
}

static void
hand_out (VmMachine *m, const VmCharSpec *spec, const char *id)
{
  switch (spec->use)
    {
    case VM_CHAR_USE_SERIAL:
      g_ptr_array_add (m->serials, g_strdup (id));
      break;
    case VM_CHAR_USE_PARALLEL:
      g_ptr_array_add (m->parallels, g_strdup (id));
      break;
    case VM_CHAR_USE_DEBUGCON:
      g_ptr_array_add (m->debugcons, g_strdup (id));
      break;
    case VM_CHAR_USE_MONITOR:
    case VM_CHAR_USE_QMP:
    case VM_CHAR_USE_QMP_PRETTY:
      add_monitor (m, id, spec);
      break;
    case VM_CHAR_USE_QTEST:
      g_free (m->qtest_chardev);
      m->qtest_chardev = g_strdup (id);
      break;
    case VM_CHAR_USE_GDB:
      g_free (m->gdb_chardev);
      m->gdb_chardev = g_strdup (id);
      m->gdb_chardev_own = !g_str_has_prefix (spec->text, "chardev:");
      break;
    case VM_CHAR_USE_ID:
      break;
    }
}

static bool
no_such_chardev (const VmCharSpec *spec, const char *id, GError **error)
{
  if (spec->use == VM_CHAR_USE_SERIAL || spec->use == VM_CHAR_USE_PARALLEL)
    return vm_fail (error, "could not connect %s device to character backend '%s'",
                    spec->use == VM_CHAR_USE_SERIAL ? "serial" : "parallel", spec->text);
  return vm_fail (error, "chardev \"%s\" not found", id);
}

/* A device string of -serial and its kin; "none" makes a gap among serial and parallel ports. */
static bool
create_legacy (VmMachine *m, const VmCharSpec *spec, unsigned n, GError **error)
{
  VmCharLegacy legacy = { 0 };
  bool mon_ok
      = spec->use == VM_CHAR_USE_SERIAL || spec->use == VM_CHAR_USE_PARALLEL || spec->use == VM_CHAR_USE_DEBUGCON;
  g_autofree char *id = NULL, *text = NULL;
  /* gdb comes by itself when it likes, and its packets are small. */
  if (spec->use == VM_CHAR_USE_GDB && (g_str_has_prefix (spec->text, "tcp:") || g_str_has_prefix (spec->text, "unix:")))
    text = g_strconcat (spec->text, *spec->text == 't' ? ",nodelay=on" : "", ",wait=off,server=on", NULL);
  bool ok = vm_chardev_parse_legacy (text ? text : spec->text, mon_ok, &legacy, error);

  if (ok && legacy.reuse)
    {
      id = g_strdup (legacy.reuse);
      ok = vm_chardev_find (m->env.root, id) || no_such_chardev (spec, id, error);
    }
  else if (ok && legacy.options)
    {
      id = fresh_id (m, spec->use, n);
      vm_char_options_set_id (legacy.options, id);
      VmChardev *chr = vm_chardev_new (&m->priv->chars, legacy.options, error);
      ok = chr && vm_chardev_wait (chr, error);
    }
  bool port = spec->use == VM_CHAR_USE_SERIAL || spec->use == VM_CHAR_USE_PARALLEL;
  if (ok && (id || port))
    hand_out (m, spec, id);
  if (ok && legacy.monitor)
    add_monitor (m, id, spec);
  vm_char_legacy_clear (&legacy);
  return ok;
}

static bool
create_named (VmMachine *m, const VmCharSpec *spec, GError **error)
{
  g_autoptr (VmCharOptions) options = vm_char_options_parse (spec->text, error);

  if (!options)
    return false;
  const char *id = vm_char_options_id (options);
  if (id && vm_chardev_find (m->env.root, id))
    return vm_fail (error, "Duplicate ID '%s' for chardev", id);
  VmChardev *chr = vm_chardev_new (&m->priv->chars, options, error);
  return chr && vm_chardev_wait (chr, error);
}

static bool
open_monitors (VmMachine *m, GError **error)
{
  for (guint i = 0; i < m->settings->monitors->len; i++)
    {
      const VmMonSpec *spec = g_ptr_array_index (m->settings->monitors, i);
      if (!vm_chardev_find (m->env.root, spec->chardev))
        return vm_fail (error, "%s: chardev \"%s\" not found", spec->option, spec->chardev);
      VmMonSpec *copy = g_new0 (VmMonSpec, 1);
      *copy = *spec;
      copy->chardev = g_strdup (spec->chardev);
      copy->option = g_strdup (spec->option);
      g_ptr_array_add (m->monitors, copy);
    }
  return true;
}

static int
rank_of (VmCharUse use)
{
  switch (use)
    {
    case VM_CHAR_USE_ID:
      return 0;
    case VM_CHAR_USE_MONITOR:
    case VM_CHAR_USE_QMP:
    case VM_CHAR_USE_QMP_PRETTY:
      return 1;
    default:
      return 2;
    }
}

bool
vm_machine_create_chars (VmMachine *m, GError **error)
{
  const GPtrArray *specs = m->settings->char_specs;
  unsigned counts[VM_CHAR_USE_QTEST + 1] = { 0 };

  /* Those with an id first: the others may name them. Then monitors, which come before ports for the terminal. */
  for (int rank = 0; rank < 3; rank++)
    for (guint i = 0; i < specs->len; i++)
      {
        const VmCharSpec *spec = g_ptr_array_index (specs, i);
        if (rank_of (spec->use) != rank)
          continue;
        bool ok = rank == 0 ? create_named (m, spec, error) : create_legacy (m, spec, counts[spec->use], error);
        if (!ok)
          {
            if (spec->option)
              g_prefix_error (error, "%s: ", spec->option);
            return false;
          }
        counts[spec->use]++;
      }
  return open_monitors (m, error);
}

bool
vm_machine_open_gdb_chardev (VmMachine *m, const char *device, GError **error)
{
  VmCharSpec spec = { .use = VM_CHAR_USE_GDB, .text = (char *) device };

  g_clear_pointer (&m->gdb_chardev, g_free);
  return create_legacy (m, &spec, 0, error);
}
