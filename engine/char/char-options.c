/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options of back ends, and the short device strings that stand for them ("tcp:host:port,server=on"). */
#include "engine/char/char-private.h"

VmCharOptions *
vm_char_options_new (const char *backend, const char *id)
{
  VmKeyVals *list = vm_keyvals_new ();

  vm_keyvals_set (list, "backend", backend);
  if (id)
    vm_keyvals_set (list, "id", id);
  return list;
}

void
vm_char_options_free (VmCharOptions *options)
{
  if (options)
    vm_keyvals_free (options);
}

void
vm_char_options_set (VmCharOptions *options, const char *key, const char *value)
{
  vm_keyvals_set (options, key, value);
}

const char *
vm_char_options_get (const VmCharOptions *options, const char *key)
{
  return vm_keyvals_get (options, key);
}

const char *
vm_char_options_backend (const VmCharOptions *options)
{
  return vm_keyvals_get (options, "backend");
}

const char *
vm_char_options_id (const VmCharOptions *options)
{
  return vm_keyvals_get (options, "id");
}

void
vm_char_options_set_id (VmCharOptions *options, const char *id)
{
  vm_keyvals_set (options, "id", id);
}

VmCharOptions *
vm_char_options_parse (const char *text, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  return vm_keyvals_parse (list, text, "backend", 0, error) ? g_steal_pointer (&list) : NULL;
}

/* --- device strings ---------------------------------------------------------------------------- */

static bool
legacy_bad (const char *text, GError **error)
{
  return vm_fail (error, "'%s' is not a valid char driver", text);
}

/* "[HOST]:PORT" up to END (NULL: the end); an address in brackets may hold colons. */
static bool
split_host_port (const char *text, const char *end, char **host, char **port)
{
  size_t len = end ? (size_t) (end - text) : strlen (text);
  const char *colon = NULL;

  if (len && *text == '[')
    {
      const char *close = memchr (text, ']', len);
      if (!close || close + 1 >= text + len || close[1] != ':')
        return false;
      *host = g_strndup (text + 1, close - text - 1);
      colon = close + 1;
    }
  else
    {
      colon = memchr (text, ':', len);
      if (!colon)
        return false;
      *host = g_strndup (text, colon - text);
    }
  *port = g_strndup (colon + 1, text + len - colon - 1);
  return **port != 0;
}

static void
set_if (VmKeyVals *list, const char *key, const char *value)
{
  if (value && *value)
    vm_keyvals_set (list, key, value);
}

/* The ",key=value" tail of tcp: and unix:. */
static bool
parse_tail (VmKeyVals *list, const char *comma, GError **error)
{
  return !comma || vm_keyvals_parse (list, comma + 1, NULL, 0, error);
}

static bool
parse_tcp (VmKeyVals *list, const char *text, const char *rest, GError **error)
{
  const char *comma = strchr (rest, ',');
  g_autofree char *host = NULL, *port = NULL;

  if (!split_host_port (rest, comma, &host, &port))
    return vm_fail (error, "'%s' has no port: HOST:PORT is expected", text);
  vm_keyvals_set (list, "backend", "socket");
  vm_keyvals_set (list, "host", host);
  vm_keyvals_set (list, "port", port);
  return parse_tail (list, comma, error);
}

static bool
parse_unix (VmKeyVals *list, const char *rest, GError **error)
{
  const char *comma = strchr (rest, ',');
  g_autofree char *path = comma ? g_strndup (rest, comma - rest) : g_strdup (rest);

  if (!*path)
    return vm_fail (error, "chardev: socket: no path given");
  vm_keyvals_set (list, "backend", "socket");
  vm_keyvals_set (list, "path", path);
  return parse_tail (list, comma, error);
}

/* udp:[HOST]:PORT[@[LOCALHOST]:LOCALPORT] */
static bool
parse_udp (VmKeyVals *list, const char *text, const char *rest, GError **error)
{
  const char *at = strchr (rest, '@');
  g_autofree char *host = NULL, *port = NULL, *local = NULL, *local_port = NULL;

  vm_keyvals_set (list, "backend", "udp");
  if (!split_host_port (rest, at, &host, &port))
    return vm_fail (error, "'%s' has no port: [HOST]:PORT is expected", text);
  set_if (list, "host", host);
  vm_keyvals_set (list, "port", port);
  if (!at)
    return true;
  if (!split_host_port (at + 1, NULL, &local, &local_port))
    return vm_fail (error, "'%s' has no local port: @[HOST]:PORT is expected", text);
  set_if (list, "localaddr", local);
  vm_keyvals_set (list, "localport", local_port);
  return true;
}

/* WIDTHxHEIGHT in pixels, or with a C after each in characters. */
static bool
parse_vc (VmKeyVals *list, const char *text, const char *rest, GError **error)
{
  char *end;
  uint64_t width = g_ascii_strtoull (rest, &end, 10);
  bool cols = end != rest && *end == 'C', rows;
  g_autofree char *first = g_strndup (rest, end - rest);

  end += cols;
  if (end == rest || width == 0 || width > 65536 || *end != 'x')
    return vm_fail (error, "'%s': a size like 800x600 or 80Cx24C is expected", text);
  const char *second = end + 1;
  uint64_t height = g_ascii_strtoull (second, &end, 10);
  g_autofree char *other = g_strndup (second, end - second);
  rows = end != second && *end == 'C';
  end += rows;
  if (end == second || height == 0 || height > 65536 || *end || rows != cols)
    return vm_fail (error, "'%s': a size like 800x600 or 80Cx24C is expected", text);
  vm_keyvals_set (list, cols ? "cols" : "width", first);
  vm_keyvals_set (list, rows ? "rows" : "height", other);
  return true;
}

/* Those that are the name of a back end and nothing else. */
static const char *
plain_backend (const char *text)
{
  static const char *const names[] = { "braille", "null", "pty", "msmouse", "stdio", "testdev", "vc", "wctablet", NULL };

  for (unsigned i = 0; names[i]; i++)
    if (!strcmp (text, names[i]))
      return names[i];
  return NULL;
}

static bool
parse_device (VmKeyVals *list, const char *text, GError **error)
{
  static const struct {
    const char *prefix, *backend, *key;
  } paths[] = {
    { "file:", "file", "path" }, { "pipe:", "pipe", "path" }, { "pty:", "pty", "path" },
  };
  static const struct {
    const char *prefix, *flag;
  } sockets[] = {
    { "tcp:", NULL }, { "telnet:", "telnet" }, { "tn3270:", "tn3270" }, { "websocket:", "websocket" },
  };
  const char *plain = plain_backend (text);

  if (plain)
    {
      vm_keyvals_set (list, "backend", plain);
      return true;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (paths); i++)
    if (g_str_has_prefix (text, paths[i].prefix))
      {
        vm_keyvals_set (list, "backend", paths[i].backend);
        vm_keyvals_set (list, paths[i].key, text + strlen (paths[i].prefix));
        return true;
      }
  for (unsigned i = 0; i < G_N_ELEMENTS (sockets); i++)
    if (g_str_has_prefix (text, sockets[i].prefix))
      {
        if (sockets[i].flag)
          vm_keyvals_set (list, sockets[i].flag, "on");
        return parse_tcp (list, text, text + strlen (sockets[i].prefix), error);
      }
  if (g_str_has_prefix (text, "unix:"))
    return parse_unix (list, text + strlen ("unix:"), error);
  if (g_str_has_prefix (text, "udp:"))
    return parse_udp (list, text, text + strlen ("udp:"), error);
  if (g_str_has_prefix (text, "vc:"))
    {
      vm_keyvals_set (list, "backend", "vc");
      return parse_vc (list, text, text + strlen ("vc:"), error);
    }
  if (!strcmp (text, "con:")) /* a window of another system: its name says what is wrong */
    {
      vm_keyvals_set (list, "backend", "console");
      return true;
    }
  if (g_str_has_prefix (text, "/dev/") || g_str_has_prefix (text, "COM"))
    {
      bool parallel = g_str_has_prefix (text, "/dev/parport") || g_str_has_prefix (text, "/dev/ppi");
      vm_keyvals_set (list, "backend", parallel ? "parallel" : "serial");
      vm_keyvals_set (list, "path", text);
      return true;
    }
  return legacy_bad (text, error);
}

bool
vm_chardev_parse_legacy (const char *text, bool mon_ok, VmCharLegacy *legacy, GError **error)
{
  *legacy = (VmCharLegacy) { 0 };
  if (!strcmp (text, "none"))
    return true;
  if (g_str_has_prefix (text, "chardev:"))
    {
      const char *id = text + strlen ("chardev:");
      legacy->reuse = *id ? g_strdup (id) : NULL;
      return *id || legacy_bad (text, error);
    }

  bool monitor = g_str_has_prefix (text, "mon:");
  const char *device = monitor ? text + strlen ("mon:") : text;
  if (monitor && !mon_ok)
    return vm_fail (error, "'%s': a monitor cannot share this device", text);
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  if (!parse_device (list, device, error))
    return false;
  if (monitor)
    {
      vm_keyvals_set (list, "mux", "on");
      if (!strcmp (device, "stdio"))
        vm_keyvals_set (list, "signal", "off"); /* Ctrl+C goes to the guest */
    }
  legacy->options = g_steal_pointer (&list);
  legacy->monitor = monitor;
  return true;
}

void
vm_char_legacy_clear (VmCharLegacy *legacy)
{
  g_clear_pointer (&legacy->options, vm_char_options_free);
  g_clear_pointer (&legacy->reuse, g_free);
  legacy->monitor = false;
}
