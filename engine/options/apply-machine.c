/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options about the board, its processors, memory, firmware and clock. */
#include "engine/options/documented.h"
#include "engine/options/options-private.h"
#include "engine/schema/types.h"

#include "engine/base/log.h"

#include <errno.h>
#include <unistd.h>

static void
set_string (char **slot, const char *value)
{
  g_free (*slot);
  *slot = g_strdup (value);
}

/* --- -machine and what is rewritten to it --- */

static bool
apply_machine (VmParser *p, const char *arg, GError **error)
{
  if (!vm_parser_list (p, p->s->machine_props, arg, "type", VM_KEYVALS_STRICT, error))
    return false;
  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "machine", NULL);
  if (vm_keyvals_has (p->s->machine_props, "help"))
    return vm_parser_want_help (p, "machine", vm_keyvals_get (p->s->machine_props, "type"));
  return true;
}

/* Options that are one machine property under another name. */
static bool
apply_machine_prop (VmParser *p, const char *arg, GError **error)
{
  static const struct
  {
    const char *option, *key, *value;
  } rewrites[] = {
    { "kernel", "kernel", NULL }, { "initrd", "initrd", NULL }, { "append", "append", NULL },
    { "dtb", "dtb", NULL },       { "bios", "firmware", NULL }, { "no-acpi", "acpi", "off" },
    { "no-hpet", "hpet", "off" }, { "usb", "usb", "on" },       { "no-fd-bootchk", "fd-bootchk", "off" },
  };
  const char *name = p->option + strspn (p->option, "-");

  for (size_t i = 0; i < G_N_ELEMENTS (rewrites); i++)
    if (!strcmp (name, rewrites[i].option))
      vm_keyvals_set (p->s->machine_props, rewrites[i].key, arg ? arg : rewrites[i].value);
  return true;
}

static bool
apply_accel (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, "accel", 0, error))
    return false;
  const char *name = vm_keyvals_get (list, "accel");
  if (!name || vm_parser_is_help (name))
    return name ? vm_parser_want_help (p, "accel", NULL) : vm_fail (error, "Parameter 'accel' is missing");
  if (strchr (name, ':'))
    {
      g_auto (GStrv) names = g_strsplit (name, ":", -1);
      for (char **n = names; *n; n++)
        {
          VmKeyVals *one = vm_keyvals_new ();
          vm_keyvals_add (one, "accel", *n);
          g_ptr_array_add (p->s->accels, one);
        }
    }
  else
    {
      g_ptr_array_add (p->s->accels, g_steal_pointer (&list));
    }
  p->s->accel_given = true;
  return true;
}

static bool
apply_enable_kvm (VmParser *p, const char *arg, GError **error)
{
  return apply_accel (p, "kvm", error);
}

/* Removed in favour of "-accel tcg,one-insn-per-tb=on", which it still means. */
static bool
apply_singlestep (VmParser *p, const char *arg, GError **error)
{
  return apply_accel (p, "tcg,one-insn-per-tb=on", error);
}

static bool
apply_cpu (VmParser *p, const char *arg, GError **error)
{
  set_string (&p->s->cpu, arg);
  return !vm_parser_is_help (arg) || vm_parser_want_help (p, "cpu", NULL);
}

static bool
apply_smp (VmParser *p, const char *arg, GError **error)
{
  if (!vm_parser_list (p, p->s->smp_props, arg, "cpus", VM_KEYVALS_STRICT, error))
    return false;
  return !vm_parser_is_help (arg) || vm_parser_want_help (p, "keys", "smp");
}

static bool
apply_m (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "size", "slots", "maxmem", NULL };
  uint64_t value;

  return vm_parser_list (p, p->memory, arg, "size", 0, error) && vm_parser_check_keys (p->memory, keys, error)
         && vm_keyvals_size (p->memory, "size", 'M', &value, error)
         && vm_keyvals_size (p->memory, "maxmem", 'B', &value, error)
         && vm_keyvals_uint (p->memory, "slots", &value, 256, error);
}

static bool
apply_mem_path (VmParser *p, const char *arg, GError **error)
{
  set_string (&p->s->mem_path, arg);
  return true;
}

static bool
apply_mem_prealloc (VmParser *p, const char *arg, GError **error)
{
  p->s->mem_prealloc = true;
  return true;
}

/* "driver.prop=value", or the long form for type names with a dot. */
static bool
apply_global (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "driver", "property", "value", NULL };
  size_t driver = strcspn (arg, ".=,");
  size_t property = arg[driver] == '.' ? strcspn (arg + driver + 1, "=,") : 0;
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "keys!", "global");
  if (driver && property && arg[driver + 1 + property] == '=')
    {
      g_autofree char *d = g_strndup (arg, driver), *q = g_strndup (arg + driver + 1, property);
      vm_keyvals_add (list, "driver", d);
      vm_keyvals_add (list, "property", q);
      vm_keyvals_add (list, "value", arg + driver + 1 + property + 1);
    }
  else if (!vm_parser_list (p, list, arg, NULL, 0, error) || !vm_parser_check_keys (list, keys, error))
    {
      return false;
    }
  for (int i = 0; keys[i]; i++)
    if (!vm_keyvals_has (list, keys[i]))
      return vm_fail (error, "Parameter '%s' is missing", keys[i]);
  VmGlobal *global = g_new0 (VmGlobal, 1);
  global->driver = g_strdup (vm_keyvals_get (list, "driver"));
  global->property = g_strdup (vm_keyvals_get (list, "property"));
  global->value = g_strdup (vm_keyvals_get (list, "value"));
  g_ptr_array_add (p->s->globals, global);
  return true;
}

static bool
apply_win2k_hack (VmParser *p, const char *arg, GError **error)
{
  return vm_parser_unavailable (p); /* -global ide-device.win2k-install-hack=on, which drives do not have yet */
}

/* --- start --- */

static bool
apply_boot (VmParser *p, const char *arg, GError **error)
{
  if (!vm_parser_list (p, p->boot, arg, "order", VM_KEYVALS_STRICT, error))
    return false;
  return !vm_parser_is_help (arg) || vm_parser_want_help (p, "keys", "boot");
}

static bool
apply_fw_cfg (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "name", "file", "string", "gen_id", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, "name", 0, error) || !vm_parser_check_keys (list, keys, error))
    return false;
  VmFwCfgSpec *spec = g_new0 (VmFwCfgSpec, 1);
  spec->name = g_strdup (vm_keyvals_get (list, "name"));
  spec->file = g_strdup (vm_keyvals_get (list, "file"));
  spec->string = g_strdup (vm_keyvals_get (list, "string"));
  spec->gen_id = g_strdup (vm_keyvals_get (list, "gen_id"));
  spec->text = g_strdup (p->typed);
  g_ptr_array_add (p->s->fw_cfg, spec);
  if (!spec->name || !!spec->file + !!spec->string + !!spec->gen_id != 1)
    return vm_fail (error, "name, plus exactly one of file, string and gen_id, are needed");
  if (strlen (spec->name) > 55)
    return vm_fail (error, "name too long (max. 55 char)");
  if (!g_str_has_prefix (spec->name, "opt/"))
    vm_report_error ("%s: warning: externally provided fw_cfg item names should be prefixed with \"opt/\"", p->typed);
  return true;
}

static bool
apply_option_rom (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "romfile", "bootindex", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  int64_t bootindex = -1;

  if (!vm_parser_list (p, list, arg, "romfile", 0, error) || !vm_parser_check_keys (list, keys, error)
      || !vm_keyvals_int (list, "bootindex", &bootindex, error))
    return false;
  if (!vm_keyvals_has (list, "romfile"))
    return vm_fail (error, "Option ROM file is not specified");
  VmOptionRom *rom = g_new0 (VmOptionRom, 1);
  rom->file = g_strdup (vm_keyvals_get (list, "romfile"));
  rom->bootindex = CLAMP (bootindex, -1, G_MAXINT32);
  g_ptr_array_add (p->s->option_roms, rom);
  return true;
}

static bool
apply_smbios (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, NULL, 0, error))
    return false;
  if (!vm_keyvals_has (list, "type") && !vm_keyvals_has (list, "file"))
    return vm_fail (error, "Must specify type= or file=");
  const char *file = vm_keyvals_get (list, "file");
  if (file && access (file, R_OK) != 0)
    return vm_fail (error, "Cannot read SMBIOS file %s", file);
  if (!vm_keyvals_has (list, "file"))
    {
      static const int known[] = { 0, 1, 2, 3, 4, 8, 9, 11, 17, 41 };
      uint64_t type = 0;
      bool found = false;
      if (!vm_keyvals_uint (list, "type", &type, 255, error))
        return false;
      for (size_t i = 0; i < G_N_ELEMENTS (known); i++)
        found |= type == known[i];
      if (!found)
        return vm_fail (error, "Don't know how to build fields for SMBIOS type %d", (int) type);
      /* The documented keys of "-smbios type=N" are the only ones. */
      g_autofree char *row = g_strdup_printf ("smbios type=%d", (int) type);
      const char *const options[] = { row, NULL };
      g_autoptr (VmKeyVals) rest = vm_keyvals_copy (list);
      vm_keyvals_remove (rest, "type");
      if (!vm_documented_check (rest, options, VM_DIALECT_OLD, NULL, error))
        return false;
    }
  g_ptr_array_add (p->s->smbios, g_steal_pointer (&list));
  return true;
}

static bool
apply_acpitable (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = {
    "sig", "rev", "oem_id", "oem_table_id", "oem_rev", "asl_compiler_id", "asl_compiler_rev", "data", "file", NULL
  };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, "file", 0, error) || !vm_parser_check_keys (list, keys, error))
    return false;
  if (vm_keyvals_has (list, "data") == vm_keyvals_has (list, "file"))
    return vm_fail (error, "'-acpitable' requires one of 'data' or 'file'");
  g_auto (GStrv) files
      = g_strsplit (vm_keyvals_get (list, vm_keyvals_has (list, "data") ? "data" : "file"), ":", -1);
  for (guint i = 0; files[i]; i++)
    if (access (files[i], R_OK) != 0)
      return vm_fail (error, "can't open file %s: %s", files[i], g_strerror (errno));
  g_ptr_array_add (p->s->acpi_tables, g_steal_pointer (&list));
  return true;
}

static bool
apply_L (VmParser *p, const char *arg, GError **error)
{
  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "L", NULL);
  g_ptr_array_add (p->s->data_dirs, g_strdup (arg));
  return true;
}

/* --- identity and time --- */

static bool
apply_name (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "guest", "process", "debug-threads", NULL };

  return vm_parser_list (p, p->name, arg, "guest", 0, error) && vm_parser_check_keys (p->name, keys, error)
         && vm_keyvals_bool (p->name, "debug-threads", &p->s->debug_threads, error);
}

static bool
apply_uuid (VmParser *p, const char *arg, GError **error)
{
  unsigned n = 0;

  for (const char *c = arg; *c; c++)
    {
      bool dash = n == 8 || n == 12 || n == 16 || n == 20;
      if (*c == '-' && dash && c[-1] != '-')
        continue;
      if (!g_ascii_isxdigit (*c) || n >= 32 || (dash && c[-1] != '-'))
        return vm_fail (error, "failed to parse UUID string: wrong format");
      uint8_t *byte = &p->s->uuid[n / 2];
      *byte = (n & 1 ? *byte << 4 : 0) | g_ascii_xdigit_value (*c);
      n++;
    }
  if (n != 32)
    return vm_fail (error, "failed to parse UUID string: wrong format");
  p->s->uuid_given = true;
  return true;
}

static bool
apply_rtc (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "base", "clock", "driftfix", NULL };

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "keys!", "rtc");
  return vm_parser_list (p, p->rtc, arg, NULL, 0, error) && vm_parser_check_keys (p->rtc, keys, error);
}

static bool
apply_seed (VmParser *p, const char *arg, GError **error)
{
  char *end;

  errno = 0;
  p->s->seed = g_ascii_strtoull (arg, &end, 0);
  if (errno || end == arg || *end)
    return vm_fail (error, "Invalid seed number: %s", arg);
  p->s->seed_given = true;
  return true;
}

/* --- at the end --- */

static bool
finish_memory (VmParser *p, GError **error)
{
  VmSettings *s = p->s;
  uint64_t slots = 0, size = 0, max = 0;

  if (!vm_keyvals_size (p->memory, "size", 'M', &size, error)
      || !vm_keyvals_size (p->memory, "maxmem", 'B', &max, error)
      || !vm_keyvals_uint (p->memory, "slots", &slots, 256, error))
    return false;
  if (size > UINT64_MAX - 8191)
    return vm_fail (error, "ram size too large");
  size = VM_ALIGN_UP (size, 8192);
  bool has_max = vm_keyvals_has (p->memory, "maxmem");
  if (slots && !has_max)
    return vm_fail (error, "slots specified but no max-size");
  uint64_t now = size ? size : 128 * VM_MIB;
  if (has_max && max < now)
    return vm_fail (error,
                    "invalid value of maxmem: maximum memory size (0x%" G_GINT64_MODIFIER
                    "x) must be at least the initial memory size (0x%" G_GINT64_MODIFIER "x)",
                    max, now);
  s->ram_size = size;
  s->max_ram_size = has_max ? max : size;
  s->ram_slots = slots;
  return true;
}

static bool
check_boot_letters (const char *letters, GError **error)
{
  for (const char *c = letters; *c; c++)
    {
      if (*c < 'a' || *c > 'p')
        return vm_fail (error, "Invalid boot device '%c'", *c);
      if (strchr (c + 1, *c))
        return vm_fail (error, "Boot device '%c' was given twice", *c);
    }
  return true;
}

static json_object *
to_json (const VmKeyVals *list)
{
  json_object *json = json_object_new_object ();

  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      json_object_object_add (json, pair->key, json_object_new_string (pair->value));
    }
  return json;
}

static bool
finish_boot (VmParser *p, GError **error)
{
  VmSettings *s = p->s;
  json_object *json = to_json (p->boot);
  g_autoptr (VmqBootConfiguration) boot
      = vm_schema_read (&vmq_type_bootconfiguration, json, VM_SCHEMA_TEXT, "boot", error);

  json_object_put (json);
  if (!boot)
    return false;
  if ((boot->order && !check_boot_letters (boot->order, error))
      || (boot->once && !check_boot_letters (boot->once, error)))
    return false;
  if (boot->has_splash_time && (boot->splash_time < 0 || boot->splash_time > 65535))
    return vm_fail (error, "splash-time is invalid, it should be a value between 0 and 65535");
  if (boot->has_reboot_timeout && (boot->reboot_timeout < -1 || boot->reboot_timeout > 65535))
    return vm_fail (error, "reboot timeout is invalid,it should be a value between -1 and 65535");
  s->boot_order = g_strdup (boot->order);
  s->boot_once = g_strdup (boot->once);
  s->boot_splash = g_strdup (boot->splash);
  s->boot_menu_given = boot->has_menu;
  s->boot_menu = boot->menu;
  s->boot_strict = boot->strict;
  if (boot->has_splash_time)
    s->boot_splash_time = boot->splash_time;
  if (boot->has_reboot_timeout)
    s->boot_reboot_timeout = boot->reboot_timeout;
  return true;
}

static bool
finish_rtc (VmParser *p, GError **error)
{
  static const char *const clocks[] = { "host", "rt", "vm" };
  VmSettings *s = p->s;
  const char *base = vm_keyvals_get (p->rtc, "base");
  const char *clock = vm_keyvals_get (p->rtc, "clock");
  const char *drift = vm_keyvals_get (p->rtc, "driftfix");

  if (base && !strcmp (base, "localtime"))
    {
      s->rtc_base = VM_RTC_LOCALTIME;
    }
  else if (base && strcmp (base, "utc") != 0)
    {
      g_autoptr (GTimeZone) utc = g_time_zone_new_utc ();
      g_autofree char *whole = strchr (base, 'T') ? g_strdup (base) : g_strdup_printf ("%sT00:00:00", base);
      g_autoptr (GDateTime) date = g_date_time_new_from_iso8601 (whole, utc);
      if (!date)
        return vm_fail (error, "invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'");
      s->rtc_base = VM_RTC_DATETIME;
      s->rtc_start = g_date_time_to_unix (date);
    }
  if (clock)
    {
      size_t i = 0;
      while (i < G_N_ELEMENTS (clocks) && strcmp (clock, clocks[i]) != 0)
        i++;
      if (i == G_N_ELEMENTS (clocks))
        return vm_fail (error, "invalid option value '%s'", clock);
      s->rtc_clock = i;
    }
  if (drift && strcmp (drift, "slew") != 0 && strcmp (drift, "none") != 0)
    return vm_fail (error, "invalid option value '%s'", drift);
  s->rtc_slew = drift && !strcmp (drift, "slew");
  return true;
}

static void
take_prop (VmSettings *s, const char *key, char **slot)
{
  const char *value = vm_keyvals_get (s->machine_props, key);

  if (value)
    set_string (slot, value);
  vm_keyvals_remove (s->machine_props, key);
}

/* Choices that boards keep as text. */
static bool
check_choices (const VmKeyVals *props, GError **error)
{
  static const char *const keys[] = { "smbios-entry-point-type", NULL };
  static const char *const options[] = { "machine", NULL };

  for (size_t i = 0; keys[i]; i++)
    {
      g_autoptr (VmKeyVals) one = vm_keyvals_new ();
      const char *value = vm_keyvals_get (props, keys[i]);
      if (value)
        vm_keyvals_add (one, keys[i], value);
      if (!vm_documented_check (one, options, VM_DIALECT_VISITOR, NULL, error))
        return false;
    }
  return true;
}

static bool
finish_machine_props (VmParser *p, GError **error)
{
  VmSettings *s = p->s;
  g_autofree char *accel = NULL;
  bool graphics = true;

  take_prop (s, "type", &s->machine);
  take_prop (s, "kernel", &s->kernel);
  take_prop (s, "initrd", &s->initrd);
  take_prop (s, "append", &s->append);
  take_prop (s, "dtb", &s->dtb);
  take_prop (s, "firmware", &s->firmware);
  take_prop (s, "accel", &accel);
  if (!vm_keyvals_bool (s->machine_props, "usb", &s->usb, error)
      || !vm_keyvals_bool (s->machine_props, "graphics", &graphics, error))
    return false;
  vm_keyvals_remove (s->machine_props, "usb");
  vm_keyvals_remove (s->machine_props, "graphics");
  if (!graphics)
    s->nographic = true;
  if (s->usb)
    return vm_fail (error, "-machine usb=on: not available in this build");
  if (vm_keyvals_has (s->machine_props, "dumpdtb"))
    return vm_fail (error, "This machine doesn't have a FDT");
  if (accel && s->accel_given)
    return vm_fail (error, "The -accel and \"-machine accel=\" options are incompatible");
  if (accel)
    {
      if (!apply_accel (p, accel, error))
        return false;
      s->accel_given = false; /* messages do not name an option that was not typed */
    }
  if (!check_choices (s->machine_props, error))
    return false;
  if (s->append && !s->kernel)
    return vm_fail (error, "-append only allowed with -kernel option");
  if (s->initrd && !s->kernel)
    return vm_fail (error, "-initrd only allowed with -kernel option");
  return true;
}

bool
vm_parser_finish_machine (VmParser *p, GError **error)
{
  VmSettings *s = p->s;

  if (s->mem_prealloc && !s->mem_path)
    vm_report_warning ("-mem-prealloc has no effect without -mem-path");
  set_string (&s->name, vm_keyvals_get (p->name, "guest"));
  set_string (&s->process_name, vm_keyvals_get (p->name, "process"));
  return finish_machine_props (p, error) && finish_memory (p, error) && finish_boot (p, error) && finish_rtc (p, error);
}

const VmApply vm_apply_machine[] = { { "machine", apply_machine },
                                     { "M", apply_machine },
                                     { "kernel", apply_machine_prop },
                                     { "initrd", apply_machine_prop },
                                     { "append", apply_machine_prop },
                                     { "dtb", apply_machine_prop },
                                     { "bios", apply_machine_prop },
                                     { "no-acpi", apply_machine_prop },
                                     { "no-hpet", apply_machine_prop },
                                     { "usb", apply_machine_prop },
                                     { "no-fd-bootchk", apply_machine_prop },
                                     { "accel", apply_accel },
                                     { "enable-kvm", apply_enable_kvm },
                                     { "singlestep", apply_singlestep },
                                     { "cpu", apply_cpu },
                                     { "smp", apply_smp },
                                     { "m", apply_m },
                                     { "mem-path", apply_mem_path },
                                     { "mem-prealloc", apply_mem_prealloc },
                                     { "global", apply_global },
                                     { "win2k-hack", apply_win2k_hack },
                                     { "boot", apply_boot },
                                     { "fw_cfg", apply_fw_cfg },
                                     { "option-rom", apply_option_rom },
                                     { "smbios", apply_smbios },
                                     { "acpitable", apply_acpitable },
                                     { "L", apply_L },
                                     { "name", apply_name },
                                     { "uuid", apply_uuid },
                                     { "rtc", apply_rtc },
                                     { "seed", apply_seed },
                                     { 0 } };
