/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about consoles, input and character back ends. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

#include "engine/display/display.h"
#include "engine/input/input.h"
#include "engine/options/settings.h"

/* --- display --- */

static VmConsole *
find_console (VmMonitor *mon, const char *device, bool has_head, int64_t head, GError **error)
{
  VmDisplay *display = mon->machine->env.display;
  VmConsole *console;

  if (!device)
    {
      if (has_head)
        {
          vm_fail (error, "'head' must be specified together with 'device'");
          return NULL;
        }
      console = vm_display_console (display, 0);
      if (!console)
        vm_fail (error, "There is no console to take a screendump from");
      return console;
    }
  console = vm_display_find_console (display, device, has_head ? head : 0);
  if (!console)
    g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
  return console;
}

bool
vm_qmp_screendump (VmMonitor *mon, const VmqScreendumpArg *args, GError **error)
{
  VmConsole *console = find_console (mon, args->device, args->has_head, args->head, error);

  if (!console)
    return false;
  vm_console_refresh_now (console);
  return vm_console_screendump (console, args->filename,
                                args->has_format && args->format == VMQ_IMAGE_FORMAT_PNG ? "png" : "ppm", error);
}

VmqDisplayOptions *
vm_qmp_query_display_options (VmMonitor *mon, GError **error)
{
  const VmSettings *s = mon->machine->settings;
  json_object *json = json_object_new_object ();

  for (guint i = 0; i < s->display_opts->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (s->display_opts->pairs, i);
      json_object_object_add (json, pair->key, json_object_new_string (pair->value));
    }
  json_object_object_add (json, "type", json_object_new_string (s->display ? s->display : "default"));
  if (s->full_screen)
    json_object_object_add (json, "full-screen", json_object_new_string ("on"));
  VmqDisplayOptions *options = vm_schema_read (&vmq_type_displayoptions, json, VM_SCHEMA_TEXT, NULL, error);
  json_object_put (json);
  return options;
}

/* --- input --- */

static int
key_code (const VmqKeyValue *key)
{
  if (key->type == VMQ_KEY_VALUE_KIND_NUMBER)
    return vm_key_from_number (key->u.number->data);
  return vm_key_from_name (vmq_type_qkeycode.names[key->u.qcode->data]);
}

bool
vm_qmp_send_key (VmMonitor *mon, const VmqSendKeyArg *args, GError **error)
{
  uint16_t keys[16];
  guint n = args->keys->len;

  if (n > G_N_ELEMENTS (keys))
    return vm_fail (error, "Too many keys");
  if (args->has_hold_time && (args->hold_time < 0 || args->hold_time > 3600 * 1000))
    return vm_fail (error, "Parameter 'hold-time' expects a time in milliseconds of at most an hour");
  for (guint i = 0; i < n; i++)
    {
      int code = key_code (g_ptr_array_index (args->keys, i));
      if (code <= 0)
        return vm_fail (error, "Parameter 'keys[%u]' names no key", i);
      keys[i] = code;
    }
  vm_input_send_chord (mon->machine->env.input, mon->machine->env.clocks, keys, n,
                       args->has_hold_time ? args->hold_time : 100);
  return true;
}

static bool
to_event (const VmqInputEvent *in, VmInputEvent *out, GError **error)
{
  int code;

  *out = (VmInputEvent){ 0 };
  switch (in->type)
    {
    case VMQ_INPUT_EVENT_KIND_KEY:
      code = key_code (in->u.key->data->key);
      if (code < 0)
        return vm_fail (error, "Parameter 'key' names no key");
      *out = (VmInputEvent){ .kind = VM_INPUT_KEY, .code = code, .down = in->u.key->data->down };
      return true;
    case VMQ_INPUT_EVENT_KIND_BTN:
      {
        static const VmButton buttons[]
            = { VM_BUTTON_LEFT, VM_BUTTON_MIDDLE, VM_BUTTON_RIGHT,      VM_BUTTON_WHEEL_UP,   VM_BUTTON_WHEEL_DOWN,
                VM_BUTTON_SIDE, VM_BUTTON_EXTRA,  VM_BUTTON_WHEEL_LEFT, VM_BUTTON_WHEEL_RIGHT };
        *out = (VmInputEvent){ .kind = VM_INPUT_BUTTON,
                               .code = buttons[in->u.btn->data->button],
                               .down = in->u.btn->data->down };
        return true;
      }
    case VMQ_INPUT_EVENT_KIND_REL:
    case VMQ_INPUT_EVENT_KIND_ABS:
      {
        const VmqInputMoveEvent *move = in->u.rel->data;
        bool abs = in->type == VMQ_INPUT_EVENT_KIND_ABS;
        int64_t low = abs ? 0 : -32768, high = abs ? VM_ABS_MAX : 32767;
        *out = (VmInputEvent){ .kind = abs ? VM_INPUT_ABS : VM_INPUT_REL,
                               .code = move->axis == VMQ_INPUT_AXIS_X ? VM_AXIS_X : VM_AXIS_Y,
                               .value = CLAMP (move->value, low, high) };
        return true;
      }
    default:
      g_assert_not_reached ();
    }
}

bool
vm_qmp_input_send_event (VmMonitor *mon, const VmqInputSendEventArg *args, GError **error)
{
  guint n = args->events->len;
  g_autofree VmInputEvent *events = g_new0 (VmInputEvent, MAX (n, 1));
  VmConsole *console = NULL;

  if (args->device && !(console = find_console (mon, args->device, args->has_head, args->head, error)))
    return false;
  if (!vm_machine_is_running (mon->machine))
    return vm_fail (error, "VM not running");
  for (guint i = 0; i < n; i++)
    if (!to_event (g_ptr_array_index (args->events, i), &events[i], error))
      return false;
  vm_input_events (mon->machine->env.input, console, events, n);
  return true;
}

GPtrArray *
vm_qmp_query_mice (VmMonitor *mon, GError **error)
{
  VmInput *input = mon->machine->env.input;
  GPtrArray *list = g_ptr_array_new ();

  for (unsigned i = 0; i < vm_input_n_pointers (input); i++)
    {
      VmqMouseInfo *info = g_new0 (VmqMouseInfo, 1);
      info->name = g_strdup (vm_input_pointer (input, i, &info->current, &info->absolute));
      info->index = i;
      g_ptr_array_add (list, info);
    }
  return list;
}
