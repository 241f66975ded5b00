/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -spice says, read and checked. Values of lists have been held against the documented ones already. */
#include "ui/spice/spice-private.h"

#include "engine/base/log.h"
#include "engine/crypto/secret.h"

#include <unistd.h>

#define PORT_MAX 65535
#define INTERVAL_MS 33
#define REFRESH_MAX 1000

void
spice_options_clear (SpiceOptions *o)
{
  g_free (o->addr);
  if (o->secret)
    vm_secret_free (o->secret, strlen (o->secret));
  g_free (o->key);
  g_free (o->key_password);
  g_free (o->cert);
  g_free (o->cacert);
  g_free (o->dh_key);
  g_free (o->ciphers);
  g_free (o->video_codecs);
  g_free (o->display);
  *o = (SpiceOptions){ 0 };
}

const char *
spice_options_auth (const SpiceOptions *o)
{
  return o->sasl ? "sasl" : o->disable_ticketing ? "none" : "spice";
}

static bool
read_port (const VmKeyVals *list, const char *key, const char *what, int *port, GError **error)
{
  int64_t value = 0;

  if (!vm_keyvals_int (list, key, &value, error))
    return false;
  if (value < 0 || value > PORT_MAX)
    return vm_fail (error, "spice %s is out of range", what);
  *port = (int) value;
  return true;
}

static bool
read_address (SpiceOptions *o, const VmKeyVals *list, GError **error)
{
  const char *addr = vm_keyvals_get (list, "addr");

  if (!read_port (list, "port", "port", &o->port, error)
      || !read_port (list, "tls-port", "tls-port", &o->tls_port, error)
      || !vm_keyvals_bool (list, "unix", &o->path, error) || !vm_keyvals_bool (list, "ipv4", &o->ipv4, error)
      || !vm_keyvals_bool (list, "ipv6", &o->ipv6, error))
    return false;
  if (o->path && (!addr || !*addr))
    return vm_fail (error, "spice: unix=on needs the path of a socket: addr=PATH");
  if (o->path && (o->port || o->tls_port))
    return vm_fail (error, "spice: unix=on and a port exclude each other");
  bool not_four = vm_keyvals_has (list, "ipv4") && !o->ipv4, not_six = vm_keyvals_has (list, "ipv6") && !o->ipv6;
  if (not_four && not_six)
    return vm_fail (error, "spice: ipv4=off and ipv6=off leave no way to listen");
  if (o->ipv4 && o->ipv6)
    o->ipv4 = o->ipv6 = false;
  o->ipv4 |= not_six;
  o->ipv6 |= not_four;
  o->addr = g_strdup (addr && *addr ? addr : NULL);
  return true;
}

/* FILE, or what is called NAME in DIR; it must be there, or the library would only say that it did not work. */
static bool
read_file (char **path, const char *file, const char *dir, const char *name, const char *what, GError **error)
{
  *path = file ? g_strdup (file) : g_build_filename (dir, name, NULL);
  return access (*path, R_OK) == 0 || vm_fail (error, "spice: cannot read the %s '%s'", what, *path);
}

static bool
read_tls (SpiceOptions *o, const VmKeyVals *list, GError **error)
{
  const char *dir = vm_keyvals_get (list, "x509-dir"), *key = vm_keyvals_get (list, "x509-key-file"),
             *cert = vm_keyvals_get (list, "x509-cert-file"), *cacert = vm_keyvals_get (list, "x509-cacert-file"),
             *dh = vm_keyvals_get (list, "x509-dh-key-file");

  o->key_password = g_strdup (vm_keyvals_get (list, "x509-key-password"));
  o->ciphers = g_strdup (vm_keyvals_get (list, "tls-ciphers"));
  if (!o->tls_port)
    return !vm_keyvals_has (list, "tls-channel")
           || vm_fail (error, "spice: tried to setup tls-channel without specifying a TLS port");
  return read_file (&o->key, key, dir ? dir : ".", "server-key.pem", "key", error)
         && read_file (&o->cert, cert, dir ? dir : ".", "server-cert.pem", "certificate", error)
         && read_file (&o->cacert, cacert, dir ? dir : ".", "ca-cert.pem", "CA certificate", error)
         && (!dh || read_file (&o->dh_key, dh, NULL, NULL, "DH parameters", error));
}

static bool
read_security (SpiceOptions *o, VmMachine *machine, const VmKeyVals *list, GError **error)
{
  const char *secret = vm_keyvals_get (list, "password-secret");

  if (vm_keyvals_has (list, "password"))
    return vm_fail (error, "spice: password= is no more, everybody on this host could read it: use password-secret=ID");
  if (!vm_keyvals_bool (list, "sasl", &o->sasl, error)
      || !vm_keyvals_bool (list, "disable-ticketing", &o->disable_ticketing, error)
      || !vm_keyvals_bool (list, "disable-copy-paste", &o->disable_copy_paste, error)
      || !vm_keyvals_bool (list, "disable-agent-file-xfer", &o->disable_agent_file_xfer, error))
    return false;
  return !secret || (o->secret = vm_secret_get_text (machine->env.root, secret, error));
}

/* Leaves *VALUE alone when nothing was said. NUMBERS are the library's, in the order of NAMES. */
static bool
read_choice (const VmKeyVals *list, const char *key, const char *const *names, const int *numbers, int *value,
             GError **error)
{
  const char *text = vm_keyvals_get (list, key);

  for (int i = 0; text && names[i]; i++)
    if (!strcmp (names[i], text))
      {
        *value = numbers[i];
        return true;
      }
  return !text || vm_fail (error, "spice: invalid %s: %s", key, text);
}

static bool
read_picture (SpiceOptions *o, const VmKeyVals *list, GError **error)
{
  static const char *const images[] = { "off", "auto_glz", "auto_lz", "quic", "glz", "lz", "lz4", NULL };
  static const int image_numbers[] = { 1, 2, 3, 4, 5, 6, 7 };
  static const char *const wans[] = { "auto", "always", "never", NULL };
  static const int wan_numbers[] = { 1, 2, 3 };
  static const char *const streams[] = { "off", "all", "filter", NULL };
  static const int stream_numbers[] = { 1, 2, 3 };
  uint64_t rate = 0;
  bool gl = false;

  o->image_compression = 2;
  o->jpeg = o->zlib_glz = o->streaming = 1;
  if (!read_choice (list, "image-compression", images, image_numbers, &o->image_compression, error)
      || !read_choice (list, "jpeg-wan-compression", wans, wan_numbers, &o->jpeg, error)
      || !read_choice (list, "zlib-glz-wan-compression", wans, wan_numbers, &o->zlib_glz, error)
      || !read_choice (list, "streaming-video", streams, stream_numbers, &o->streaming, error)
      || !vm_keyvals_bool (list, "gl", &gl, error)
      || !vm_keyvals_uint (list, "max-refresh-rate", &rate, REFRESH_MAX, error))
    return false;
  if (!gl && vm_keyvals_has (list, "rendernode"))
    return vm_fail (error, "spice: rendernode= is for gl=on, which is not available in this build");
  if (gl && (o->port || o->tls_port))
    return vm_fail (error, "SPICE GL support is local-only for now and incompatible with -spice port/tls-port");
  if (gl)
    return vm_fail (error, "spice: gl=on is not available in this build: pictures are sent, not textures");
  o->interval_ms = rate ? MAX (1000 / (unsigned) rate, 1) : INTERVAL_MS;
  o->video_codecs = g_strdup (vm_keyvals_get (list, "video-codecs"));
  return true;
}

static bool
read_behaviour (SpiceOptions *o, const VmKeyVals *list, GError **error)
{
  uint64_t head = 0;

  o->agent_mouse = o->playback_compression = true;
  if (!vm_keyvals_bool (list, "agent-mouse", &o->agent_mouse, error)
      || !vm_keyvals_bool (list, "playback-compression", &o->playback_compression, error)
      || !vm_keyvals_bool (list, "seamless-migration", &o->seamless_migration, error)
      || !vm_keyvals_uint (list, "head", &head, 255, error))
    return false;
  o->display = g_strdup (vm_keyvals_get (list, "display"));
  o->head = (unsigned) head;
  return true;
}

/* In words, because a port of any address and no password is soon written. */
static void
warn_if_open (const SpiceOptions *o)
{
  bool here
      = o->path || !(o->port || o->tls_port)
        || (o->addr
            && (!strcmp (o->addr, "localhost") || !strcmp (o->addr, "::1") || g_str_has_prefix (o->addr, "127.")));

  if (here)
    return;
  if (o->disable_ticketing && !o->sasl)
    vm_report_warning ("SPICE lets everybody in who can reach this host: they see and operate the guest. Use "
                       "addr=127.0.0.1, or a password (password-secret=ID) instead of disable-ticketing=on");
  else if (o->port)
    vm_report_warning ("SPICE sends what the guest shows and what is typed in the clear at port=%d: use tls-port=, or "
                       "addr=127.0.0.1",
                       o->port);
}

bool
spice_options_read (SpiceOptions *o, VmMachine *machine, const VmKeyVals *list, GError **error)
{
  *o = (SpiceOptions){ .list = list };
  if (!read_address (o, list, error) || !read_tls (o, list, error) || !read_security (o, machine, list, error)
      || !read_picture (o, list, error) || !read_behaviour (o, list, error))
    return false;
  warn_if_open (o);
  return true;
}
