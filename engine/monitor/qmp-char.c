/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about character back ends. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"
#include "engine/monitor/yank.h"

static void
add_chardev (VmChardev *chr, void *opaque)
{
  VmqChardevInfo *info = g_new0 (VmqChardevInfo, 1);

  info->label = g_strdup (vm_chardev_id (chr));
  info->filename = g_strdup (vm_chardev_filename (chr));
  info->frontend_open = vm_chardev_frontend_open (chr);
  g_ptr_array_add (opaque, info);
}

GPtrArray *
vm_qmp_query_chardev (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  vm_chardev_foreach (mon->machine->env.root, add_chardev, list);
  return list;
}

GPtrArray *
vm_qmp_query_chardev_backends (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  for (const char *const *name = vm_chardev_backends (); *name; name++)
    {
      VmqChardevBackendInfo *info = g_new0 (VmqChardevBackendInfo, 1);
      info->name = g_strdup (*name);
      g_ptr_array_add (list, info);
    }
  return list;
}

static VmChardev *
find_chardev (VmMonitor *mon, const char *kind, const char *id, GError **error)
{
  VmChardev *chr = vm_chardev_find (mon->machine->env.root, id);

  if (!chr)
    vm_fail (error, "%s '%s' not found", kind, id);
  return chr;
}

bool
vm_qmp_chardev_remove (VmMonitor *mon, const VmqChardevRemoveArg *args, GError **error)
{
  VmChardev *chr = find_chardev (mon, "Chardev", args->id, error);

  return chr && vm_chardev_remove (chr, error);
}

bool
vm_qmp_chardev_send_break (VmMonitor *mon, const VmqChardevSendBreakArg *args, GError **error)
{
  VmChardev *chr = find_chardev (mon, "Chardev", args->id, error);

  if (chr)
    vm_chardev_send_break (chr);
  return chr != NULL;
}

char *
vm_qmp_ringbuf_read (VmMonitor *mon, const VmqRingbufReadArg *args, GError **error)
{
  VmChardev *chr = find_chardev (mon, "Device", args->device, error);
  size_t len = 0;

  if (!chr)
    return NULL;
  if (args->size <= 0)
    {
      vm_fail (error, "size must be greater than zero");
      return NULL;
    }
  g_autofree uint8_t *data = vm_chardev_ringbuf_read (chr, MIN (args->size, 64 << 20), &len, error);
  if (!data)
    return NULL;
  if (args->has_format && args->format == VMQ_DATA_FORMAT_BASE64)
    return g_base64_encode (data, len);
  return g_utf8_make_valid ((const char *) data, len); /* JSON carries nothing else */
}

bool
vm_qmp_ringbuf_write (VmMonitor *mon, const VmqRingbufWriteArg *args, GError **error)
{
  VmChardev *chr = find_chardev (mon, "Device", args->device, error);

  if (!chr)
    return false;
  if (!args->has_format || args->format == VMQ_DATA_FORMAT_UTF8)
    return vm_chardev_ringbuf_write (chr, (const uint8_t *) args->data, strlen (args->data), error);
  gsize len;
  g_autofree guchar *data = g_base64_decode (args->data, &len);
  return vm_chardev_ringbuf_write (chr, data, len, error);
}

/* --- new ones --- */

static void
set_scalar (VmCharOptions *options, const char *key, json_object *value)
{
  if (json_object_is_type (value, json_type_boolean))
    vm_char_options_set (options, key, json_object_get_boolean (value) ? "on" : "off");
  else
    vm_char_options_set (options, key, json_object_get_string (value));
}

/* A descriptor is named by getfd or by its number. */
static bool
set_fd (VmMonitor *mon, VmCharOptions *options, const char *name, GError **error)
{
  int fd = g_ascii_isdigit (*name) ? (int) CLAMP (g_ascii_strtoll (name, NULL, 10), 0, G_MAXINT)
                                   : vm_fds_take (mon->all, name, error);
  g_autofree char *number = g_strdup_printf ("%d", fd);

  if (fd < 0)
    return false;
  vm_char_options_set (options, "fd", number);
  return true;
}

/* {"type": "inet", "data": {...}} */
static bool
set_address (VmMonitor *mon, VmCharOptions *options, json_object *address, bool local, GError **error)
{
  const char *type = json_object_get_string (json_object_object_get (address, "type"));
  json_object *data = json_object_object_get (address, "data");

  if (!strcmp (type, "vsock"))
    return vm_fail (error, "socket address type 'vsock' is not available in this build");
  json_object_object_foreach (data, key, value)
  {
    if (!strcmp (type, "fd"))
      return set_fd (mon, options, json_object_get_string (value), error);
    if (local && !strcmp (key, "host"))
      key = "localaddr";
    else if (local && !strcmp (key, "port"))
      key = "localport";
    set_scalar (options, key, value);
  }
  return true;
}

static bool
set_member (VmMonitor *mon, VmCharOptions *options, const char *key, json_object *value, GError **error)
{
  static const char *const renamed[][2] = { { "out", "path" }, { "in", "input-path" }, { "device", "path" }, { "type", "name" },
                                          { "fqdn", "name" } };

  if (!strcmp (key, "addr") || !strcmp (key, "remote") || !strcmp (key, "local"))
    return set_address (mon, options, value, !strcmp (key, "local"), error);
  for (size_t i = 0; i < G_N_ELEMENTS (renamed); i++)
    if (!strcmp (key, renamed[i][0]))
      key = renamed[i][1];
  set_scalar (options, key, value);
  return true;
}

/* The settings of -chardev that say the same. */
static VmCharOptions *
to_options (VmMonitor *mon, const char *id, const VmqChardevBackend *backend, GError **error)
{
  json_object *json = vm_schema_write (&vmq_type_chardevbackend, &backend);
  const char *kind = json_object_get_string (json_object_object_get (json, "type"));
  g_autoptr (VmCharOptions) options = vm_char_options_new (!strcmp (kind, "memory") ? "ringbuf" : kind, id);
  bool ok = true;

  if (!strcmp (kind, "mux"))
    ok = vm_fail (error, "a multiplexer is made by -chardev with mux=on only");
  else if (!g_strv_contains (vm_chardev_backends (), vm_char_options_backend (options)))
    ok = vm_fail (error, "chardev backend '%s' is not available in this build", kind);
  if (!strcmp (kind, "socket")) /* what the schema documents differs from the command line */
    {
      vm_char_options_set (options, "server", "on");
      vm_char_options_set (options, "wait", "off");
    }
  json_object_object_foreach (json_object_object_get (json, "data"), key, value)
  {
    if (ok)
      ok = set_member (mon, options, key, value, error);
  }
  if (!g_strcmp0 (vm_char_options_get (options, "server"), "off"))
    vm_keyvals_remove (options, "wait");
  json_object_put (json);
  return ok ? g_steal_pointer (&options) : NULL;
}

static VmqChardevReturn *
describe_new (VmChardev *chr)
{
  VmqChardevReturn *info = g_new0 (VmqChardevReturn, 1);
  const char *name = vm_chardev_filename (chr);

  if (g_str_has_prefix (name, "pty:"))
    info->pty = g_strdup (name + strlen ("pty:"));
  return info;
}

VmqChardevReturn *
vm_qmp_chardev_add (VmMonitor *mon, const VmqChardevAddArg *args, GError **error)
{
  if (vm_chardev_find (mon->machine->env.root, args->id))
    {
      vm_fail (error, "Chardev with id '%s' already exists", args->id);
      return NULL;
    }
  g_autoptr (VmCharOptions) options = to_options (mon, args->id, args->backend, error);
  VmChardev *chr = options ? vm_chardev_new (vm_machine_char_env (mon->machine), options, error) : NULL;
  return chr ? describe_new (chr) : NULL;
}

VmqChardevReturn *
vm_qmp_chardev_change (VmMonitor *mon, const VmqChardevChangeArg *args, GError **error)
{
  VmChardev *chr = vm_chardev_find (mon->machine->env.root, args->id);

  if (!chr)
    {
      vm_fail (error, "Chardev '%s' does not exist", args->id);
      return NULL;
    }
  g_autoptr (VmCharOptions) options = to_options (mon, args->id, args->backend, error);
  if (options)
    chr = vm_chardev_change (vm_machine_char_env (mon->machine), chr, options, error);
  return options && chr ? describe_new (chr) : NULL;
}

/* --- connections that hang --- */

static const VmType yank_source = { .name = "yank-source", .parent = &vm_object_type, .size = sizeof (VmYankSource) };

VmYankSource *
vm_yank_source_add (VmObject *root, const char *name)
{
  VmObject *source = vm_object_new (&yank_source);

  vm_object_add_child (vm_object_container (root, "yank"), name, source);
  vm_object_unref (source);
  return (VmYankSource *) source;
}

static GPtrArray *
yank_sources (VmMonitor *mon)
{
  VmObject *folder = vm_object_child (mon->machine->env.root, "yank");

  return folder ? folder->children : NULL;
}

static void
add_socket (VmChardev *chr, void *opaque)
{
  if (strcmp (((const VmObject *) chr)->type->name, "chardev-socket") != 0)
    return;
  VmqYankInstance *instance = g_new0 (VmqYankInstance, 1);
  instance->type = VMQ_YANK_INSTANCE_TYPE_CHARDEV;
  instance->u.chardev = g_new0 (VmqYankInstanceChardev, 1);
  instance->u.chardev->id = g_strdup (vm_chardev_id (chr));
  g_ptr_array_add (opaque, instance);
}

GPtrArray *
vm_qmp_query_yank (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new (), *sources = yank_sources (mon);

  vm_chardev_foreach (mon->machine->env.root, add_socket, list);
  for (guint i = 0; sources && i < sources->len; i++)
    {
      const VmYankSource *s = g_ptr_array_index (sources, i);
      s->list (s->opaque, list);
    }
  return list;
}

static VmChardev *
find_yankable (VmMonitor *mon, const VmqYankInstance *instance)
{
  VmChardev *chr = instance->type == VMQ_YANK_INSTANCE_TYPE_CHARDEV
                       ? vm_chardev_find (mon->machine->env.root, instance->u.chardev->id)
                       : NULL;

  return chr && !strcmp (((const VmObject *) chr)->type->name, "chardev-socket") ? chr : NULL;
}

/* END false: only asks whether it is there. */
static bool
yank_one (VmMonitor *mon, const VmqYankInstance *instance, bool end)
{
  VmChardev *chr = find_yankable (mon, instance);
  GPtrArray *sources = yank_sources (mon);

  if (chr && end)
    vm_chardev_yank (chr);
  for (guint i = 0; !chr && sources && i < sources->len; i++)
    {
      const VmYankSource *s = g_ptr_array_index (sources, i);
      if (s->yank (s->opaque, instance, end))
        return true;
    }
  return chr != NULL;
}

/* All of them or none. */
bool
vm_qmp_yank (VmMonitor *mon, const VmqYankArg *args, GError **error)
{
  for (guint i = 0; i < args->instances->len; i++)
    if (!yank_one (mon, g_ptr_array_index (args->instances, i), false))
      {
        g_set_error_literal (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Instance not found");
        return false;
      }
  for (guint i = 0; i < args->instances->len; i++)
    yank_one (mon, g_ptr_array_index (args->instances, i), true);
  return true;
}
