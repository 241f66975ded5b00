/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options about drives, devices, objects, character back ends and displays. */
#include "engine/options/documented.h"
#include "engine/options/options-private.h"

#include "engine/base/log.h"

/* --- drives --- */

static bool
is_drive_key (const char *key)
{
  if (strchr (key, '.') && (g_str_has_prefix (key, "file.") || g_str_has_prefix (key, "backing.")))
    return true;
  for (const VmOptionKey *k = vm_option_keys; k->option; k++)
    if (!strcmp (k->option, "drive") && !strcmp (k->key, key))
      return true;
  return false;
}

static int
drive_interface (const char *name, bool *known)
{
  *known = true;
  if (!name)
    return VM_IF_N;
  for (int i = 0; i < VM_IF_N; i++)
    if (!strcmp (name, vm_drive_if_names[i]))
      return i;
  *known = false;
  return VM_IF_N;
}

static char *
take (VmKeyVals *list, const char *key)
{
  char *value = g_strdup (vm_keyvals_get (list, key));

  vm_keyvals_remove (list, key);
  return value;
}

static bool
take_place (VmDriveSpec *d, GError **error)
{
  uint64_t index = 0, bus = 0, unit = 0;
  bool has_index = vm_keyvals_has (d->options, "index");
  bool has_bus = vm_keyvals_has (d->options, "bus"), has_unit = vm_keyvals_has (d->options, "unit");

  if (!vm_keyvals_uint (d->options, "index", &index, 65535, error)
      || !vm_keyvals_uint (d->options, "bus", &bus, 65535, error)
      || !vm_keyvals_uint (d->options, "unit", &unit, 65535, error))
    return false;
  if (has_index && (has_bus || has_unit))
    return vm_fail (error, "index cannot be used with bus and unit");
  d->index = has_index ? (int) index : -1;
  d->bus = has_bus ? (int) bus : -1;
  d->unit = has_unit ? (int) unit : -1;
  vm_keyvals_remove (d->options, "index");
  vm_keyvals_remove (d->options, "bus");
  vm_keyvals_remove (d->options, "unit");
  return true;
}

/* The keys that mean the same are made one: read-only, format. */
static bool
take_drive_values (VmDriveSpec *d, GError **error)
{
  static const char *const caches[] = { "none", "writeback", "unsafe", "directsync", "writethrough", "off", NULL };
  static const char *const write_errors[] = { "ignore", "stop", "report", "enospc", NULL };
  VmKeyVals *list = d->options;
  g_autofree char *driver = take (list, "driver");
  g_autofree char *interface = take (list, "if"), *media = take (list, "media");
  bool known;

  d->id = take (list, "id");
  if (d->id && !vm_id_well_formed (d->id))
    return vm_fail (error, "Parameter 'id' expects an identifier\n"
                           "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
  d->interface = drive_interface (interface, &known);
  if (!known)
    return vm_fail (error, "unsupported bus type '%s'", interface);
  if (media && strcmp (media, "disk") != 0 && strcmp (media, "cdrom") != 0)
    return vm_fail (error, "'%s' invalid media", media);
  d->media = media && !strcmp (media, "cdrom") ? VM_MEDIA_CDROM : VM_MEDIA_DISK;
  d->file = take (list, "file");
  d->format = take (list, "format");
  g_autofree char *readonly = take (list, "readonly");
  if (readonly)
    vm_keyvals_set (list, "read-only", readonly);
  if (!d->format)
    d->format = g_steal_pointer (&driver);
  if (!vm_keyvals_bool (list, "read-only", &d->readonly, error)
      || !vm_keyvals_bool (list, "snapshot", &d->snapshot, error))
    return false;
  vm_keyvals_remove (list, "read-only");
  vm_keyvals_remove (list, "snapshot");
  if (d->media == VM_MEDIA_CDROM)
    d->readonly = true;
  const char *cache = vm_keyvals_get (list, "cache");
  if (cache && !g_strv_contains (caches, cache))
    return vm_fail (error, "invalid cache option");
  const char *werror = vm_keyvals_get (list, "werror"), *rerror = vm_keyvals_get (list, "rerror");
  if (werror && !g_strv_contains (write_errors, werror))
    return vm_fail (error, "'%s' invalid write error action", werror);
  if (rerror && (!g_strv_contains (write_errors, rerror) || !strcmp (rerror, "enospc")))
    return vm_fail (error, "'%s' invalid read error action", rerror);
  return take_place (d, error);
}

static bool
add_drive (VmParser *p, VmKeyVals *list, GError **error)
{
  VmDriveSpec *d = g_new0 (VmDriveSpec, 1);

  d->options = vm_keyvals_copy (list);
  d->text = g_strdup (p->typed);
  g_ptr_array_add (p->s->drives, d);
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      /* Others are for the format: opening it knows them. */
      if (!is_drive_key (pair->key) && !vm_keyvals_has (list, "file") && !vm_keyvals_has (list, "driver")
          && !vm_keyvals_has (list, "file.driver") && !vm_keyvals_has (list, "file.filename"))
        return vm_fail (error, "Must specify either driver or file");
    }
  if (!take_drive_values (d, error))
    return false;
  for (guint i = 0; d->id && i + 1 < p->s->drives->len; i++)
    if (!g_strcmp0 (((VmDriveSpec *) g_ptr_array_index (p->s->drives, i))->id, d->id))
      return vm_fail (error, "Duplicate ID '%s' for drive", d->id);
  return true;
}

static bool
apply_drive (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, NULL, 0, error))
    return false;
  const char *format = vm_keyvals_get (list, "format");
  if (format && vm_parser_is_help (format))
    return vm_parser_want_help (p, "drive-format", NULL);
  return add_drive (p, list, error);
}

/* -hda and its kin, and the positional argument: raw text, no list. */
static bool
apply_disk (VmParser *p, const char *arg, GError **error)
{
  static const struct
  {
    const char *option, *interface, *index, *media;
  } rewrites[] = {
    { "hda", NULL, "0", "disk" },      { "hdb", NULL, "1", "disk" },       { "hdc", NULL, "2", "disk" },
    { "hdd", NULL, "3", "disk" },      { "cdrom", NULL, "2", "cdrom" },    { "fda", "floppy", "0", "disk" },
    { "fdb", "floppy", "1", "disk" },  { "pflash", "pflash", NULL, NULL }, { "sd", "sd", NULL, NULL },
    { "mtdblock", "mtd", NULL, NULL },
  };
  const char *name = *p->option == '-' ? p->option + strspn (p->option, "-") : "hda";
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  for (size_t i = 0; i < G_N_ELEMENTS (rewrites); i++)
    {
      if (strcmp (name, rewrites[i].option) != 0)
        continue;
      if (rewrites[i].interface)
        vm_keyvals_add (list, "if", rewrites[i].interface);
      if (rewrites[i].index)
        vm_keyvals_add (list, "index", rewrites[i].index);
      if (rewrites[i].media)
        vm_keyvals_add (list, "media", rewrites[i].media);
    }
  vm_keyvals_add (list, "file", arg);
  return add_drive (p, list, error);
}

static bool
apply_snapshot (VmParser *p, const char *arg, GError **error)
{
  p->snapshot = true;
  return true;
}

/* --- devices and objects --- */

static bool
check_id (VmParser *p, const GPtrArray *specs, const char *id, const char *kind, GError **error)
{
  if (!id)
    return true;
  if (!vm_id_well_formed (id))
    return vm_fail (error, "Parameter 'id' expects an identifier\n"
                           "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
  for (guint i = 0; i < specs->len; i++)
    if (!g_strcmp0 (((const VmDeviceSpec *) g_ptr_array_index (specs, i))->id, id))
      return vm_fail (error, "Duplicate ID '%s' for %s", id, kind);
  return true;
}

static bool
apply_device (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (*arg == '{' ? !vm_keyvals_parse_json (list, arg, error) : !vm_parser_list (p, list, arg, "driver", 0, error))
    return false;
  const char *driver = vm_keyvals_get (list, "driver");
  if (driver && vm_parser_is_help (driver))
    return vm_parser_want_help (p, "device", NULL);
  if (vm_keyvals_has (list, "help") || vm_keyvals_has (list, "?"))
    return vm_parser_want_help (p, "device", driver);
  if (!driver)
    return vm_fail (error, "Parameter 'driver' is missing");
  if (!check_id (p, p->s->devices, vm_keyvals_get (list, "id"), "device", error))
    return false;
  g_ptr_array_add (p->s->devices, vm_device_spec_new (list, "driver", p->typed));
  return true;
}

static bool
apply_object (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (*arg == '{' ? !vm_keyvals_parse_json (list, arg, error)
                  : !vm_parser_list (p, list, arg, "qom-type", VM_KEYVALS_STRICT, error))
    return false;
  const char *type = vm_keyvals_get (list, "qom-type"), *id = vm_keyvals_get (list, "id");
  if (type && vm_parser_is_help (type))
    return vm_parser_want_help (p, "object", NULL);
  if (vm_keyvals_has (list, "help"))
    return vm_parser_want_help (p, "object", type);
  if (!type)
    return vm_fail (error, "Parameter 'qom-type' is missing");
  if (id && !vm_id_well_formed (id))
    return vm_fail (error, "Parameter 'id' expects an identifier");
  if (!check_id (p, p->s->objects, id, "object", error))
    return false;
  g_ptr_array_add (p->s->objects, vm_device_spec_new (list, "qom-type", p->typed));
  return true;
}

/* --- character back ends --- */

static bool
add_char (VmParser *p, VmCharUse use, const char *text)
{
  VmCharSpec *spec = g_new0 (VmCharSpec, 1);

  spec->use = use;
  spec->text = g_strdup (text);
  spec->option = g_strdup (p->typed);
  g_ptr_array_add (p->s->char_specs, spec);
  return true;
}

static bool
apply_chardev (VmParser *p, const char *arg, GError **error)
{
  if (vm_parser_is_help (arg) || g_str_has_prefix (arg, "help,") || g_str_has_prefix (arg, "backend=help"))
    return vm_parser_want_help (p, "chardev", NULL);
  return vm_parser_check_chardev (p, arg, error) && add_char (p, VM_CHAR_USE_ID, arg);
}

static bool
apply_serial (VmParser *p, const char *arg, GError **error)
{
  p->serial_given = true;
  return add_char (p, VM_CHAR_USE_SERIAL, arg);
}

static bool
apply_parallel (VmParser *p, const char *arg, GError **error)
{
  unsigned n = 0;

  for (guint i = 0; i < p->s->char_specs->len; i++)
    n += ((const VmCharSpec *) g_ptr_array_index (p->s->char_specs, i))->use == VM_CHAR_USE_PARALLEL;
  if (n == 3)
    return vm_fail (error, "too many parallel ports");
  p->parallel_given = true;
  return add_char (p, VM_CHAR_USE_PARALLEL, arg);
}

static bool
apply_monitor (VmParser *p, const char *arg, GError **error)
{
  p->monitor_given = true;
  return add_char (p, VM_CHAR_USE_MONITOR, arg);
}

/* Either form of QMP counts as "the monitor was redirected". */
static bool
apply_qmp (VmParser *p, const char *arg, GError **error)
{
  p->monitor_given = true;
  return add_char (p, g_str_has_suffix (p->option, "pretty") ? VM_CHAR_USE_QMP_PRETTY : VM_CHAR_USE_QMP, arg);
}

static bool
apply_debugcon (VmParser *p, const char *arg, GError **error)
{
  return add_char (p, VM_CHAR_USE_DEBUGCON, arg);
}

static bool
apply_gdb (VmParser *p, const char *arg, GError **error)
{
  return add_char (p, VM_CHAR_USE_GDB, arg);
}

static bool
apply_s (VmParser *p, const char *arg, GError **error)
{
  return add_char (p, VM_CHAR_USE_GDB, "tcp::1234");
}

static bool
apply_qtest (VmParser *p, const char *arg, GError **error)
{
  return add_char (p, VM_CHAR_USE_QTEST, arg);
}

static bool
apply_qtest_log (VmParser *p, const char *arg, GError **error)
{
  g_free (p->s->qtest_log);
  p->s->qtest_log = g_strdup (arg);
  return true;
}

static bool
apply_mon (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "chardev", "mode", "pretty", "id", NULL };
  static const char *const modes[] = { "readline", "control", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  int mode = 0;
  bool pretty = false;

  if (!vm_parser_list (p, list, arg, "chardev", 0, error) || !vm_parser_check_keys (list, keys, error)
      || !vm_keyvals_enum (list, "mode", modes, &mode, error) || !vm_keyvals_bool (list, "pretty", &pretty, error))
    return false;
  if (!vm_keyvals_has (list, "chardev"))
    return vm_fail (error, "Parameter 'chardev' is missing");
  if (mode == 0 && vm_keyvals_has (list, "pretty"))
    vm_report_error ("%s: warning: 'pretty' is deprecated for HMP monitors, it has no effect and will be removed",
                     p->typed);
  VmMonSpec *spec = g_new0 (VmMonSpec, 1);
  spec->chardev = g_strdup (vm_keyvals_get (list, "chardev"));
  spec->option = g_strdup (p->typed);
  spec->control = mode == 1;
  spec->pretty = pretty;
  g_ptr_array_add (p->s->monitors, spec);
  p->monitor_given = true;
  return true;
}

static bool
apply_echr (VmParser *p, const char *arg, GError **error)
{
  char *end;
  gint64 code = g_ascii_strtoll (arg, &end, 0);

  if (end == arg || *end || code < 0 || code > 255)
    return vm_fail (error, "Bad argument to echr");
  p->s->escape_char = code;
  return true;
}

/* --- display --- */

static bool
apply_display (VmParser *p, const char *arg, GError **error)
{
  static const char *const known[] = { "none", "gtk", "sdl", "curses", "dbus", "egl-headless", "spice-app", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "display", NULL);
  if (g_str_has_prefix (arg, "vnc="))
    {
      if (!vm_parser_check_vnc (p, arg + strlen ("vnc="), error))
        return false;
      arg = "none"; /* the server is all of it */
    }
  if (*arg == '{' ? !vm_keyvals_parse_json (list, arg, error)
                  : !vm_parser_list (p, list, arg, "type", VM_KEYVALS_STRICT, error))
    return false;
  const char *type = vm_keyvals_get (list, "type");
  if (!type)
    return vm_fail (error, "Parameter 'type' is missing");
  if (!g_strv_contains (known, type))
    return vm_fail (error, "Parameter 'type' does not accept value '%s'", type);
  if (!vm_parser_check_display (p, type, list, error))
    return false;
  g_free (p->s->display);
  p->s->display = g_strdup (type);
  vm_keyvals_free (p->s->display_opts);
  p->s->display_opts = g_steal_pointer (&list);
  p->s->display_given = true;
  return true;
}

static bool
apply_nographic (VmParser *p, const char *arg, GError **error)
{
  p->s->nographic = true;
  return true;
}

static bool
apply_full_screen (VmParser *p, const char *arg, GError **error)
{
  p->s->full_screen = true;
  return true;
}

static bool
apply_vga (VmParser *p, const char *arg, GError **error)
{
  if (!strcmp (arg, "help"))
    return vm_parser_want_help (p, "vga", NULL);
  g_free (p->s->vga);
  p->s->vga = g_strdup (arg);
  p->s->default_vga = false;
  return true;
}

/* The layouts of the documentation are those there are. */
static bool
apply_k (VmParser *p, const char *arg, GError **error)
{
  g_auto (GStrv) layouts = vm_documented_words (vm_option_find ("k")->values);

  if (!g_strv_contains ((const char *const *) layouts, arg))
    return vm_fail (error, "could not read keymap file: '%s'", arg);
  g_free (p->s->keyboard_layout);
  p->s->keyboard_layout = g_strdup (arg);
  return true;
}

static void
add_default_char (VmParser *p, VmCharUse use, const char *text)
{
  VmCharSpec *spec = g_new0 (VmCharSpec, 1);

  spec->use = use;
  spec->text = g_strdup (text);
  spec->is_default = true;
  g_ptr_array_add (p->s->char_specs, spec);
}

static bool
names_device (const VmSettings *s, const char *driver)
{
  for (guint i = 0; i < s->devices->len; i++)
    if (!g_strcmp0 (((const VmDeviceSpec *) g_ptr_array_index (s->devices, i))->driver, driver))
      return true;
  return false;
}

/* Sections 10 and 11: what is there without being asked for. */
static void
add_default_chars (VmParser *p)
{
  VmSettings *s = p->s;
  bool serial = !p->serial_given && !names_device (s, "isa-serial") && !s->nodefaults;
  bool parallel = !p->parallel_given && !names_device (s, "isa-parallel") && !s->nodefaults;
  bool monitor = !p->monitor_given && !s->nodefaults;

  if (s->nographic)
    {
      if (serial)
        add_default_char (p, VM_CHAR_USE_SERIAL, monitor ? "mon:stdio" : "stdio");
      else if (monitor)
        add_default_char (p, VM_CHAR_USE_MONITOR, "stdio");
      if (parallel)
        add_default_char (p, VM_CHAR_USE_PARALLEL, "null");
      return;
    }
  /* The order of the window's tabs. */
  if (monitor)
    add_default_char (p, VM_CHAR_USE_MONITOR, "vc:80Cx24C");
  if (serial)
    add_default_char (p, VM_CHAR_USE_SERIAL, "vc:80Cx24C");
  if (parallel)
    add_default_char (p, VM_CHAR_USE_PARALLEL, "vc:80Cx24C");
}

bool
vm_parser_finish_backends (VmParser *p, GError **error)
{
  VmSettings *s = p->s;

  if (s->nodefaults)
    s->default_nic = s->default_vga = false;
  if (s->daemonize && s->nographic && !s->nodefaults && !(p->serial_given && p->parallel_given && p->monitor_given))
    return vm_fail (error, "-nographic cannot be used with -daemonize");
  if (s->nographic && !s->display_given)
    {
      g_free (s->display);
      s->display = g_strdup ("none");
    }
  for (guint i = 0; i < s->drives->len; i++)
    {
      VmDriveSpec *d = g_ptr_array_index (s->drives, i);
      g_autofree char *node = g_strconcat ("node ", d->id, NULL);
      if (d->id && g_hash_table_contains (p->ids, node))
        return vm_fail (error, "%s: Device name '%s' conflicts with an existing node name", d->text, d->id);
      d->snapshot |= p->snapshot;
    }
  add_default_chars (p);
  return true;
}

const VmApply vm_apply_backends[] = { { "disk_image", apply_disk },
                                      { "hda", apply_disk },
                                      { "hdb", apply_disk },
                                      { "hdc", apply_disk },
                                      { "hdd", apply_disk },
                                      { "cdrom", apply_disk },
                                      { "fda", apply_disk },
                                      { "fdb", apply_disk },
                                      { "pflash", apply_disk },
                                      { "sd", apply_disk },
                                      { "mtdblock", apply_disk },
                                      { "drive", apply_drive },
                                      { "snapshot", apply_snapshot },
                                      { "device", apply_device },
                                      { "object", apply_object },
                                      { "chardev", apply_chardev },
                                      { "serial", apply_serial },
                                      { "parallel", apply_parallel },
                                      { "monitor", apply_monitor },
                                      { "qmp", apply_qmp },
                                      { "qmp-pretty", apply_qmp },
                                      { "debugcon", apply_debugcon },
                                      { "gdb", apply_gdb },
                                      { "s", apply_s },
                                      { "qtest", apply_qtest },
                                      { "qtest-log", apply_qtest_log },
                                      { "mon", apply_mon },
                                      { "echr", apply_echr },
                                      { "display", apply_display },
                                      { "nographic", apply_nographic },
                                      { "full-screen", apply_full_screen },
                                      { "vga", apply_vga },
                                      { "k", apply_k },
                                      { 0 } };
