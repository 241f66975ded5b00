/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that act: life cycle, input, devices, objects, character back ends, logging. */
#include "engine/monitor/hmp.h"

#include "engine/debug/gdb.h"
#include "engine/input/input.h"
#include "engine/machine/user-object.h"

static void
run (VmMonitor *mon, const char *command)
{
  json_object_put (vm_hmp_qmp (mon, command, NULL));
}

/* One string argument, passed on. */
static void
run_with (VmMonitor *mon, const char *command, const char *key, const char *value)
{
  g_autofree char *quoted = vm_hmp_quote (value);

  json_object_put (vm_hmp_qmp (mon, command, "{\"%s\": %s}", key, quoted));
}

static void
report (VmMonitor *mon, const GError *error)
{
  if (error)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
}

void
vm_hmp_stop (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "stop");
}

void
vm_hmp_cont (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "cont");
}

void
vm_hmp_quit (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "quit");
}

void
vm_hmp_system_reset (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "system_reset");
}

void
vm_hmp_system_powerdown (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "system_powerdown");
}

void
vm_hmp_system_wakeup (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "system_wakeup");
}

void
vm_hmp_nmi (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "inject-nmi");
}

void
vm_hmp_exit_preconfig (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "x-exit-preconfig");
}

void
vm_hmp_gdbserver (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *device = vm_hmp_text (args, "device");
  g_autoptr (GError) error = NULL;

  if (!device)
    device = "tcp::1234";
  if (!vm_gdb_listen (mon->machine, device, &error))
    vm_monitor_printf (mon, "Could not open gdbserver on device '%s': %s\n", device, error->message);
  else if (!strcmp (device, "none"))
    vm_monitor_puts (mon, "Disabled gdbserver\n");
  else
    vm_monitor_printf (mon, "Waiting for gdb connection on device '%s'\n", device);
}

void
vm_hmp_cpu (VmMonitor *mon, const VmHmpArgs *args)
{
  int64_t index = vm_hmp_number (args, "index", 0);

  if (index < 0 || index >= vm_vcpu_set_count (mon->machine->vcpus))
    vm_monitor_puts (mon, "invalid CPU index\n");
  else
    mon->cpu_index = index;
}

void
vm_hmp_watchdog_action (VmMonitor *mon, const VmHmpArgs *args)
{
  run_with (mon, "watchdog-set-action", "action", vm_hmp_text (args, "action"));
}

void
vm_hmp_boot_set (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *order = vm_hmp_text (args, "bootdevice");
  g_autoptr (GError) error = NULL;

  for (const char *c = order; *c; c++)
    if (*c < 'a' || *c > 'p')
      {
        vm_monitor_printf (mon, "Invalid boot device '%c'\n", *c);
        return;
      }
  if (!mon->machine->set_boot_order)
    vm_monitor_puts (mon, "Error: no function defined to set boot device list for this architecture\n");
  else if (mon->machine->set_boot_order (mon->machine, order, &error))
    vm_monitor_printf (mon, "boot device list now set to %s\n", order);
  else
    report (mon, error);
}

/* --- input and display --- */

/* "ctrl-alt-f1"; "0x1e" is a key by number. */
void
vm_hmp_sendkey (VmMonitor *mon, const VmHmpArgs *args)
{
  g_auto (GStrv) names = g_strsplit (vm_hmp_text (args, "keys"), "-", -1);
  uint16_t keys[16];
  unsigned n = 0;

  for (char **name = names; *name; name++)
    {
      const char *known = !strcmp (*name, "<") ? "less" : *name; /* old spelling */
      int code = g_str_has_prefix (known, "0x") ? vm_key_from_number (g_ascii_strtoull (known, NULL, 16))
                                                : vm_key_from_name (known);
      if (code <= 0)
        {
          vm_monitor_printf (mon, "invalid parameter: %s\n", *name);
          return;
        }
      if (n == G_N_ELEMENTS (keys))
        {
          vm_monitor_puts (mon, "too many keys\n");
          return;
        }
      keys[n++] = code;
    }
  int64_t hold = vm_hmp_number (args, "hold-time", 100);
  vm_input_send_chord (mon->machine->env.input, mon->machine->env.clocks, keys, n, CLAMP (hold, 0, 3600 * 1000));
}

void
vm_hmp_screendump (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = json_object_new_object ();
  const char *device = vm_hmp_text (args, "device"), *format = vm_hmp_text (args, "format");
  g_autoptr (GError) error = NULL;

  json_object_object_add (arguments, "filename", json_object_new_string (vm_hmp_text (args, "filename")));
  if (device)
    json_object_object_add (arguments, "device", json_object_new_string (device));
  if (vm_hmp_arg (args, "head"))
    json_object_object_add (arguments, "head", json_object_new_int64 (vm_hmp_number (args, "head", 0)));
  if (format)
    json_object_object_add (arguments, "format", json_object_new_string (format));
  json_object_put (vm_monitor_execute (mon, "screendump", arguments, &error));
  json_object_put (arguments);
  report (mon, error);
}

static int
to_int (const char *text)
{
  return text ? (int) CLAMP (g_ascii_strtoll (text, NULL, 0), -32768, 32767) : 0;
}

void
vm_hmp_mouse_move (VmMonitor *mon, const VmHmpArgs *args)
{
  VmInput *input = mon->machine->env.input;
  int dz = to_int (vm_hmp_text (args, "dz_str"));

  vm_input_motion (input, NULL, to_int (vm_hmp_text (args, "dx_str")), to_int (vm_hmp_text (args, "dy_str")));
  if (dz)
    {
      VmButton button = dz > 0 ? VM_BUTTON_WHEEL_UP : VM_BUTTON_WHEEL_DOWN;
      vm_input_button (input, NULL, button, true);
      vm_input_button (input, NULL, button, false);
    }
}

void
vm_hmp_mouse_button (VmMonitor *mon, const VmHmpArgs *args)
{
  static const VmButton buttons[] = { VM_BUTTON_LEFT, VM_BUTTON_MIDDLE, VM_BUTTON_RIGHT };
  unsigned state = vm_hmp_number (args, "button_state", 0);

  for (size_t i = 0; i < G_N_ELEMENTS (buttons); i++)
    vm_input_button (mon->machine->env.input, NULL, buttons[i], state >> i & 1);
}

void
vm_hmp_mouse_set (VmMonitor *mon, const VmHmpArgs *args)
{
  int64_t index = vm_hmp_number (args, "index", 0);

  if (index < 0 || !vm_input_select_pointer (mon->machine->env.input, index))
    vm_monitor_printf (mon, "Mouse at index '%d' not found\n", (int) index);
}

/* --- devices and objects --- */

void
vm_hmp_device_add (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_autoptr (GError) error = NULL;

  if (!vm_keyvals_parse (list, vm_hmp_text (args, "device"), "driver", 0, &error))
    {
      report (mon, error);
      return;
    }
  const char *driver = vm_keyvals_get (list, "driver");
  if (!driver)
    {
      vm_monitor_puts (mon, "Error: Parameter 'driver' is missing\n");
      return;
    }
  if (!strcmp (driver, "help"))
    {
      vm_hmp_info_qdm (mon, args);
      return;
    }
  VmDeviceSpec *spec = vm_device_spec_new (list, "driver", NULL);
  vm_machine_plug (mon->machine, spec, &error);
  vm_device_spec_free (spec);
  report (mon, error);
}

void
vm_hmp_device_del (VmMonitor *mon, const VmHmpArgs *args)
{
  run_with (mon, "device_del", "id", vm_hmp_text (args, "id"));
}

void
vm_hmp_object_add (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_autoptr (GError) error = NULL;

  if (vm_keyvals_parse (list, vm_hmp_text (args, "object"), "qom-type", VM_KEYVALS_STRICT, &error))
    {
      const char *id = vm_keyvals_get (list, "id");
      if (!vm_keyvals_get (list, "qom-type"))
        vm_fail (&error, "Parameter 'qom-type' is missing");
      else if (!id || !vm_id_well_formed (id))
        vm_fail (&error, id ? "Parameter 'id' expects an identifier" : "Parameter 'id' is missing");
      else
        {
          VmDeviceSpec *spec = vm_device_spec_new (list, "qom-type", NULL);
          vm_machine_add_object (mon->machine, spec, &error);
          vm_device_spec_free (spec);
        }
    }
  report (mon, error);
}

void
vm_hmp_object_del (VmMonitor *mon, const VmHmpArgs *args)
{
  run_with (mon, "object-del", "id", vm_hmp_text (args, "id"));
}

/* --- character back ends --- */

void
vm_hmp_chardev_add (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VmCharOptions) options = vm_char_options_parse (vm_hmp_text (args, "args"), &error);

  if (options)
    vm_chardev_new (vm_machine_char_env (mon->machine), options, &error);
  report (mon, error);
}

void
vm_hmp_chardev_change (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *id = vm_hmp_text (args, "id");
  VmChardev *chr = vm_chardev_find (mon->machine->env.root, id);
  g_autofree char *text = g_strdup_printf ("%s,id=%s", vm_hmp_text (args, "args"), id);
  g_autoptr (GError) error = NULL;
  g_autoptr (VmCharOptions) options = NULL;

  if (!chr)
    vm_fail (&error, "Chardev '%s' does not exist", id);
  else if ((options = vm_char_options_parse (text, &error)))
    vm_chardev_change (vm_machine_char_env (mon->machine), chr, options, &error);
  report (mon, error);
}

void
vm_hmp_chardev_remove (VmMonitor *mon, const VmHmpArgs *args)
{
  run_with (mon, "chardev-remove", "id", vm_hmp_text (args, "id"));
}

void
vm_hmp_chardev_send_break (VmMonitor *mon, const VmHmpArgs *args)
{
  run_with (mon, "chardev-send-break", "id", vm_hmp_text (args, "id"));
}

void
vm_hmp_ringbuf_read (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *device = vm_hmp_quote (vm_hmp_text (args, "device"));
  json_object *data = vm_hmp_qmp (mon, "ringbuf-read", "{\"device\": %s, \"size\": %" G_GINT64_FORMAT "}", device,
                                  (gint64) vm_hmp_number (args, "size", 0));
  if (!data)
    return;
  /* What would disturb a terminal is shown by number. */
  for (const char *p = json_object_get_string (data); *p; p++)
    {
      if (*p == '\\')
        vm_monitor_puts (mon, "\\\\");
      else if (g_ascii_iscntrl (*p) && *p != '\n')
        vm_monitor_printf (mon, "\\u%04X", (unsigned) *p);
      else
        vm_monitor_printf (mon, "%c", *p);
    }
  vm_monitor_puts (mon, "\n");
  json_object_put (data);
}

void
vm_hmp_ringbuf_write (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *device = vm_hmp_quote (vm_hmp_text (args, "device"));
  g_autofree char *data = vm_hmp_quote (vm_hmp_text (args, "data"));

  json_object_put (vm_hmp_qmp (mon, "ringbuf-write", "{\"device\": %s, \"data\": %s}", device, data));
}

void
vm_hmp_closefd (VmMonitor *mon, const VmHmpArgs *args)
{
  run_with (mon, "closefd", "fdname", vm_hmp_text (args, "fdname"));
}

void
vm_hmp_getfd (VmMonitor *mon, const VmHmpArgs *args)
{
  run_with (mon, "getfd", "fdname", vm_hmp_text (args, "fdname"));
}

/* --- properties --- */

void
vm_hmp_qom_list (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *path = vm_hmp_text (args, "path");

  if (!path)
    {
      vm_monitor_puts (mon, "/\n");
      return;
    }
  g_autofree char *quoted = vm_hmp_quote (path);
  json_object *list = vm_hmp_qmp (mon, "qom-list", "{\"path\": %s}", quoted);
  for (size_t i = 0; list && i < json_object_array_length (list); i++)
    {
      json_object *item = json_object_array_get_idx (list, i);
      vm_monitor_printf (mon, "%s (%s)\n", json_object_get_string (json_object_object_get (item, "name")),
                         json_object_get_string (json_object_object_get (item, "type")));
    }
  json_object_put (list);
}

void
vm_hmp_qom_get (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *path = vm_hmp_quote (vm_hmp_text (args, "path"));
  g_autofree char *property = vm_hmp_quote (vm_hmp_text (args, "property"));
  json_object *value = vm_hmp_qmp (mon, "qom-get", "{\"path\": %s, \"property\": %s}", path, property);

  if (value)
    {
      g_autofree char *text = vm_json_to_string (value, true);
      vm_monitor_printf (mon, "%s\n", text);
    }
  json_object_put (value);
}

void
vm_hmp_qom_set (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *value = vm_hmp_text (args, "value");
  g_autofree char *path = vm_hmp_quote (vm_hmp_text (args, "path"));
  g_autofree char *property = vm_hmp_quote (vm_hmp_text (args, "property"));
  g_autoptr (GError) error = NULL;

  if (vm_hmp_flag (args, "json"))
    {
      json_object_put (
          vm_hmp_qmp (mon, "qom-set", "{\"path\": %s, \"property\": %s, \"value\": %s}", path, property, value));
      return;
    }
  VmObject *obj = vm_object_resolve (mon->machine->env.root, vm_hmp_text (args, "path"));
  if (!obj)
    vm_fail (&error, "Device '%s' not found", vm_hmp_text (args, "path"));
  else
    vm_object_set (obj, vm_hmp_text (args, "property"), value, &error);
  report (mon, error);
}
