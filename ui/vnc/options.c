/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -vnc says, read and checked. */
#include "ui/vnc/vnc-private.h"

#include "engine/base/log.h"
#include "engine/crypto/secret.h"

#define PORT 5900
#define WEBSOCKET_PORT 5700

void
vnc_options_clear (VncOptions *o)
{
  g_free (o->id);
  vm_address_clear (&o->address);
  vm_address_clear (&o->websocket);
  if (o->secret)
    vm_secret_free (o->secret, strlen (o->secret));
  if (o->creds)
    vm_object_unref ((VmObject *) o->creds);
  g_free (o->tls_authz);
  g_free (o->sasl_authz);
  g_free (o->display);
  *o = (VncOptions){ 0 };
}

/* "host:number": the number is added to BASE unless that is 0. Brackets around IPv6 go. */
static bool
read_inet (VmAddress *a, const char *text, unsigned base, GError **error)
{
  const char *colon = strrchr (text, ':');
  guint64 number;

  if (!colon)
    return vm_fail (error, "no vnc port specified");
  if (!g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535 - base, &number, NULL))
    return vm_fail (error, "can't convert to a number: %s", colon + 1);
  a->kind = VM_ADDRESS_INET;
  if (*text == '[' && colon > text + 1 && colon[-1] == ']')
    a->host = g_strndup (text + 1, (gsize) (colon - text - 2));
  else
    a->host = g_strndup (text, (gsize) (colon - text));
  a->port = g_strdup_printf ("%u", (unsigned) number + base);
  return true;
}

bool
vnc_options_address (VmAddress *a, const char *text, unsigned base, GError **error)
{
  *a = (VmAddress){ 0 };
  if (!g_str_has_prefix (text, "unix:"))
    return read_inet (a, text, base, error);
  if (!text[5])
    return vm_fail (error, "vnc: 'unix:' needs the path of a socket");
  a->kind = VM_ADDRESS_UNIX;
  a->host = g_strdup (text + 5);
  return true;
}

static int
read_family (const VmKeyVals *list, GError **error)
{
  bool four = false, six = false;

  if (!vm_keyvals_bool (list, "ipv4", &four, error) || !vm_keyvals_bool (list, "ipv6", &six, error))
    return -1;
  bool not_four = vm_keyvals_has (list, "ipv4") && !four, not_six = vm_keyvals_has (list, "ipv6") && !six;
  if (not_four && not_six)
    {
      vm_fail (error, "vnc: ipv4=off and ipv6=off leave no way to listen");
      return -1;
    }
  if (four == six)
    return not_four ? AF_INET6 : not_six ? AF_INET : AF_UNSPEC;
  return four ? AF_INET : AF_INET6;
}

static bool
read_address (VncOptions *o, const VmKeyVals *list, GError **error)
{
  const char *where = vm_keyvals_get (list, "vnc");
  uint64_t to = 0;
  int family = read_family (list, error);

  if (family < 0 || !vm_keyvals_uint (list, "to", &to, 65535 - PORT, error)
      || !vm_keyvals_bool (list, "reverse", &o->reverse, error))
    return false;
  o->none = where && !strcmp (where, "none");
  if (o->none)
    return true;
  if (!where)
    return vm_fail (error, "no vnc port specified");
  if (!vnc_options_address (&o->address, where, o->reverse ? 0 : PORT, error))
    return false;
  o->address.family = family;
  if (to)
    o->address.to = (unsigned) to + PORT;
  return true;
}

static bool
read_websocket (VncOptions *o, const VmKeyVals *list, GError **error)
{
  const char *where = vm_keyvals_get (list, "websocket");
  bool inet = o->address.kind == VM_ADDRESS_INET && !o->none;

  if (!where || !strcmp (where, "off"))
    return true;
  if (o->reverse)
    return vm_fail (error, "websocket is not supported with reverse connections");
  o->has_websocket = true;
  if (g_str_has_prefix (where, "unix:"))
    return vnc_options_address (&o->websocket, where, 0, error);
  o->websocket = (VmAddress){ .kind = VM_ADDRESS_INET, .family = o->address.family };
  if (!strcmp (where, "on"))
    {
      if (!inet)
        return vm_fail (error, "websocket=on needs a display number: write websocket=[host]:port");
      unsigned display = (unsigned) g_ascii_strtoull (o->address.port, NULL, 10) - PORT;
      o->websocket.host = g_strdup (o->address.host);
      o->websocket.port = g_strdup_printf ("%u", WEBSOCKET_PORT + display);
      o->websocket.to = o->address.to ? o->address.to - PORT + WEBSOCKET_PORT : 0;
      return true;
    }
  if (strchr (where, ':'))
    {
      int family = o->websocket.family;
      bool ok = vnc_options_address (&o->websocket, where, 0, error);
      o->websocket.family = family;
      return ok;
    }
  guint64 port;
  if (!g_ascii_string_to_unsigned (where, 10, 0, 65535, &port, NULL))
    return vm_fail (error, "can't convert to a number: %s", where);
  o->websocket.host = g_strdup (inet ? o->address.host : "");
  o->websocket.port = g_strdup (where);
  return true;
}

static bool
read_security (VncOptions *o, VmMachine *machine, const VmKeyVals *list, GError **error)
{
  const char *secret = vm_keyvals_get (list, "password-secret"), *creds = vm_keyvals_get (list, "tls-creds");
  const char *tls_authz = vm_keyvals_get (list, "tls-authz"), *sasl_authz = vm_keyvals_get (list, "sasl-authz");
  VmObject *root = machine->env.root;

  if (!vm_keyvals_bool (list, "password", &o->password, error) || !vm_keyvals_bool (list, "sasl", &o->sasl, error))
    return false;
  if (secret && vm_keyvals_has (list, "password"))
    return vm_fail (error, "'password' flag is redundant with 'password-secret'");
  if (secret && !(o->secret = vm_secret_get_text (root, secret, error)))
    return false;
  o->password |= secret != NULL;
  if (creds)
    {
      o->creds = vm_tls_creds_find (root, creds, VM_TLS_SERVER, error);
      if (!o->creds)
        return false;
      vm_object_ref ((VmObject *) o->creds);
    }
  if (tls_authz && !creds)
    return vm_fail (error, "'tls-authz' provided but TLS is not enabled");
  if (sasl_authz && !o->sasl)
    return vm_fail (error, "'sasl-authz' provided but SASL auth is not enabled");
  if (o->sasl && o->password)
    return vm_fail (error, "'sasl' and a password exclude each other");
  o->tls_authz = g_strdup (tls_authz);
  o->sasl_authz = g_strdup (sasl_authz);
  return true;
}

static bool
read_behaviour (VncOptions *o, const VmKeyVals *list, GError **error)
{
  static const char *const shares[] = { "allow-exclusive", "force-shared", "ignore", NULL };
  const char *share = vm_keyvals_get (list, "share");
  uint64_t delay = 10, connections = 32;
  bool non_adaptive = false;

  o->lock_key_sync = true;
  if (!vm_keyvals_bool (list, "lossy", &o->lossy, error)
      || !vm_keyvals_bool (list, "non-adaptive", &non_adaptive, error)
      || !vm_keyvals_bool (list, "power-control", &o->power_control, error)
      || !vm_keyvals_bool (list, "lock-key-sync", &o->lock_key_sync, error)
      || !vm_keyvals_uint (list, "key-delay-ms", &delay, 10000, error)
      || !vm_keyvals_uint (list, "connections", &connections, 10000, error))
    return false;
  o->adaptive = !non_adaptive;
  o->key_delay_ms = (unsigned) delay;
  o->connections = (unsigned) connections;
  for (int i = 0; share && shares[i]; i++)
    if (!strcmp (share, shares[i]))
      {
        o->share = (VncShare) i;
        return true;
      }
  return !share || vm_fail (error, "unknown vnc share= option");
}

static bool
read_console (VncOptions *o, const VmKeyVals *list, GError **error)
{
  uint64_t head = 0;

  if (!vm_keyvals_uint (list, "head", &head, 255, error))
    return false;
  o->display = g_strdup (vm_keyvals_get (list, "display"));
  o->head = (unsigned) head;
  return true;
}

bool
vnc_options_read (VncOptions *o, VmMachine *machine, const VmKeyVals *list, GError **error)
{
  const char *id = vm_keyvals_get (list, "id"), *audiodev = vm_keyvals_get (list, "audiodev");

  *o = (VncOptions){ .id = g_strdup (id ? id : "default") };
  if (audiodev && !(o->audiodev = vm_audiodev_find (&machine->env, audiodev)))
    return vm_fail (error, "audiodev=%s: there is no -audiodev of this id", audiodev);
  if (vm_keyvals_has (list, "acl"))
    return vm_fail (error, "acl= is no more: use tls-authz= and sasl-authz=");
  return read_address (o, list, error) && read_websocket (o, list, error) && read_security (o, machine, list, error)
         && read_behaviour (o, list, error) && read_console (o, list, error);
}
