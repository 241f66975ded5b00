/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The families tls-creds-anon and tls-creds-psk, and tls-cipher-suites. */
#include "engine/crypto/tls-private.h"

#include <errno.h>
#include <unistd.h>

/* --- the family ---------------------------------------------------------------------------------- */

VmTlsCreds *
vm_tls_creds_find (VmObject *root, const char *id, VmTlsEndpoint endpoint, GError **error)
{
  VmObject *obj = vm_user_object_find (root, id);
  VmTlsCreds *creds = (VmTlsCreds *) obj;

  if (!obj)
    vm_fail (error, "No TLS credentials with id '%s'", id);
  else if (!vm_object_is_a (obj, &vm_tls_creds_type))
    vm_fail (error, "Object with id '%s' is not TLS credentials", id);
  else if (creds->endpoint != (int) endpoint)
    vm_fail (error, "Expected TLS credentials for a %s endpoint", endpoint == VM_TLS_SERVER ? "server" : "client");
  else
    return creds;
  return NULL;
}

bool
vm_tls_creds_are_x509 (const VmTlsCreds *creds)
{
  return vm_object_is_a (&creds->parent, &vm_tls_creds_x509_type);
}

bool
vm_tls_creds_reload (VmTlsCreds *creds, GError **error)
{
  const VmTlsCredsClass *klass = vm_type_klass (creds->parent.type);

  return klass->reload ? klass->reload (creds, error)
                       : vm_fail (error, "'%s' has no certificates to read again", creds->parent.id);
}

bool
vm_tls_creds_check (int err, const char *what, GError **error)
{
  return err >= 0 || vm_fail (error, "%s: %s", what, gnutls_strerror (err));
}

bool
vm_tls_creds_check_priority (const VmTlsCreds *creds, GError **error)
{
  gnutls_priority_t cache;

  if (!creds->priority)
    return true;
  int err = gnutls_priority_init (&cache, creds->priority, NULL);
  if (err < 0)
    return vm_fail (error, "Unable to use priority string '%s': %s", creds->priority, gnutls_strerror (err));
  gnutls_priority_deinit (cache);
  return true;
}

char *
vm_tls_creds_file (const VmTlsCreds *creds, const char *name, bool required, GError **error)
{
  if (!creds->dir)
    {
      vm_fail (error, "Missing 'dir' property value");
      return NULL;
    }
  g_autofree char *path = g_build_filename (creds->dir, name, NULL);
  if (access (path, R_OK) == 0)
    return g_steal_pointer (&path);
  if (required || errno != ENOENT)
    vm_fail (error, "Unable to access credentials %s: %s", path, g_strerror (errno));
  return NULL;
}

bool
vm_tls_creds_read (const char *path, gnutls_datum_t *text, GError **error)
{
  g_autoptr (GError) failed = NULL;
  char *bytes;
  size_t len;

  if (!g_file_get_contents (path, &bytes, &len, &failed))
    return vm_fail (error, "Cannot load credentials %s: %s", path, failed->message);
  text->data = (unsigned char *) bytes;
  text->size = len;
  return true;
}

bool
vm_tls_creds_load_dh (VmTlsCreds *creds, GError **error)
{
  g_autoptr (GError) failed = NULL;
  g_autofree char *path = creds->dir ? vm_tls_creds_file (creds, "dh-params.pem", false, &failed) : NULL;
  gnutls_datum_t text;

  if (failed)
    return g_propagate_error (error, g_steal_pointer (&failed)), false;
  if (!path || creds->endpoint != VM_TLS_SERVER)
    return true;
  if (!vm_tls_creds_read (path, &text, error))
    return false;
  int err = gnutls_dh_params_init (&creds->dh);
  if (err >= 0)
    err = gnutls_dh_params_import_pkcs3 (creds->dh, &text, GNUTLS_X509_FMT_PEM);
  g_free (text.data);
  return vm_tls_creds_check (err, "Unable to load DH parameters", error);
}

static void
creds_finalize (VmObject *obj)
{
  VmTlsCreds *creds = (VmTlsCreds *) obj;

  if (creds->dh)
    gnutls_dh_params_deinit (creds->dh);
}

static const char *const endpoints[] = { "client", "server", NULL };

static const VmProp creds_props[]
    = { VM_PROP_ENUMERATED ("endpoint", VmTlsCreds, endpoint, VM_TLS_CLIENT, endpoints, "end of the connection"),
        VM_PROP_STRING ("dir", VmTlsCreds, dir, NULL, "folder of the files"),
        VM_PROP ("verify-peer", VmTlsCreds, verify_peer, true, "the other end must show a valid certificate"),
        VM_PROP_STRING ("priority", VmTlsCreds, priority, NULL, "GnuTLS priority string"),
        { .name = "loaded",
          .help = "the files have been read",
          .kind = VM_PROP_BOOL,
          .flags = VM_PROP_READONLY,
          VM_PROP_COMMON (VmTlsCreds, loaded) },
        { 0 } };

const VmType vm_tls_creds_type = {
  .name = "tls-creds",
  .parent = &vm_user_object_type,
  .size = sizeof (VmTlsCreds),
  .abstract = true,
  .help = "TLS credentials",
  .props = creds_props,
  .finalize = creds_finalize,
};

/* --- tls-creds-anon: encrypted, nobody shows who he is ------------------------------------------- */

typedef struct AnonCreds
{
  VmTlsCreds parent;
  gnutls_anon_server_credentials_t server;
  gnutls_anon_client_credentials_t client;
} AnonCreds;

static bool
anon_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  AnonCreds *s = (AnonCreds *) obj;
  VmTlsCreds *creds = &s->parent;

  if (!vm_tls_creds_check_priority (creds, error))
    return false;
  if (creds->endpoint == VM_TLS_CLIENT)
    creds->loaded = vm_tls_creds_check (gnutls_anon_allocate_client_credentials (&s->client),
                                        "Cannot allocate credentials", error);
  else if (vm_tls_creds_load_dh (creds, error)
           && vm_tls_creds_check (gnutls_anon_allocate_server_credentials (&s->server), "Cannot allocate credentials",
                                  error))
    {
      if (creds->dh)
        gnutls_anon_set_server_dh_params (s->server, creds->dh);
      else
        gnutls_anon_set_server_known_dh_params (s->server, GNUTLS_SEC_PARAM_MEDIUM);
      creds->loaded = true;
    }
  return creds->loaded;
}

static int
anon_apply (VmTlsCreds *creds, gnutls_session_t session)
{
  AnonCreds *s = (AnonCreds *) creds;

  return s->server ? gnutls_credentials_set (session, GNUTLS_CRD_ANON, s->server)
                   : gnutls_credentials_set (session, GNUTLS_CRD_ANON, s->client);
}

static void
anon_finalize (VmObject *obj)
{
  AnonCreds *s = (AnonCreds *) obj;

  if (s->server)
    gnutls_anon_free_server_credentials (s->server);
  if (s->client)
    gnutls_anon_free_client_credentials (s->client);
}

static const VmTlsCredsClass anon_class = {
  .user = { .complete = anon_complete },
  .priority = "+ANON-ECDH:+ANON-DH",
  .apply = anon_apply,
};

const VmType vm_tls_creds_anon_type = {
  .name = "tls-creds-anon",
  .parent = &vm_tls_creds_type,
  .size = sizeof (AnonCreds),
  .help = "encrypts without saying who is there",
  .klass = &anon_class,
  .finalize = anon_finalize,
};

/* --- tls-creds-psk: a key that both ends know ---------------------------------------------------- */

#define PSK_FILE "keys.psk" /* lines NAME:KEY, the key in hexadecimal */

typedef struct PskCreds
{
  VmTlsCreds parent;
  char *username;
  gnutls_psk_server_credentials_t server;
  gnutls_psk_client_credentials_t client;
} PskCreds;

/* The key of NAME in TEXT, or NULL. */
static char *
psk_find (const char *text, const char *name)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  size_t len = strlen (name);

  for (unsigned i = 0; lines[i]; i++)
    if (!strncmp (lines[i], name, len) && lines[i][len] == ':')
      return g_strstrip (g_strdup (lines[i] + len + 1));
  return NULL;
}

static bool
psk_load_client (PskCreds *s, const char *path, GError **error)
{
  gnutls_datum_t text;

  if (!vm_tls_creds_read (path, &text, error))
    return false;
  char *hex = psk_find ((char *) text.data, s->username);
  explicit_bzero (text.data, text.size);
  g_free (text.data);
  if (!hex)
    return vm_fail (error, "Username %s not found in PSK file %s", s->username, path);

  const gnutls_datum_t key = { (unsigned char *) hex, strlen (hex) };
  int err = gnutls_psk_allocate_client_credentials (&s->client);
  if (err >= 0)
    err = gnutls_psk_set_client_credentials (s->client, s->username, &key, GNUTLS_PSK_KEY_HEX);
  explicit_bzero (hex, key.size);
  g_free (hex);
  return vm_tls_creds_check (err, "Unable to use the key", error);
}

static bool
psk_load_server (PskCreds *s, const char *path, GError **error)
{
  VmTlsCreds *creds = &s->parent;

  if (!vm_tls_creds_load_dh (creds, error)
      || !vm_tls_creds_check (gnutls_psk_allocate_server_credentials (&s->server), "Cannot allocate credentials", error)
      || !vm_tls_creds_check (gnutls_psk_set_server_credentials_file (s->server, path), "Cannot set PSK server keys",
                              error))
    return false;
  if (creds->dh)
    gnutls_psk_set_server_dh_params (s->server, creds->dh);
  else
    gnutls_psk_set_server_known_dh_params (s->server, GNUTLS_SEC_PARAM_MEDIUM);
  return true;
}

static bool
psk_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  PskCreds *s = (PskCreds *) obj;
  bool server = s->parent.endpoint == VM_TLS_SERVER;

  if (!vm_tls_creds_check_priority (&s->parent, error))
    return false;
  if (server && s->username)
    return vm_fail (error, "username should not be set when endpoint=server");
  if (!server && !s->username)
    s->username = g_strdup ("qemu");
  g_autofree char *path = vm_tls_creds_file (&s->parent, PSK_FILE, true, error);
  s->parent.loaded = path && (server ? psk_load_server (s, path, error) : psk_load_client (s, path, error));
  return s->parent.loaded;
}

static int
psk_apply (VmTlsCreds *creds, gnutls_session_t session)
{
  PskCreds *s = (PskCreds *) creds;

  return s->server ? gnutls_credentials_set (session, GNUTLS_CRD_PSK, s->server)
                   : gnutls_credentials_set (session, GNUTLS_CRD_PSK, s->client);
}

static void
psk_finalize (VmObject *obj)
{
  PskCreds *s = (PskCreds *) obj;

  if (s->server)
    gnutls_psk_free_server_credentials (s->server);
  if (s->client)
    gnutls_psk_free_client_credentials (s->client);
}

static const VmTlsCredsClass psk_class = {
  .user = { .complete = psk_complete },
  .priority = "+ECDHE-PSK:+DHE-PSK:+PSK",
  .apply = psk_apply,
};

static const VmProp psk_props[]
    = { VM_PROP_STRING ("username", PskCreds, username, NULL, "whose key a client uses; qemu when not given"), { 0 } };

const VmType vm_tls_creds_psk_type = {
  .name = "tls-creds-psk",
  .parent = &vm_tls_creds_type,
  .size = sizeof (PskCreds),
  .help = "a key that both ends know",
  .props = psk_props,
  .klass = &psk_class,
  .finalize = psk_finalize,
};

/* --- tls-cipher-suites --------------------------------------------------------------------------- */

static bool
suites_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  VmTlsCreds *s = (VmTlsCreds *) obj;

  if (!s->priority)
    return vm_fail (error, "'priority' property is not set");
  s->loaded = vm_tls_creds_check_priority (s, error);
  return s->loaded;
}

static const VmTlsCredsClass suites_class = { .user = { .complete = suites_complete } };

const VmType vm_tls_cipher_suites_type = {
  .name = "tls-cipher-suites",
  .parent = &vm_tls_creds_type,
  .size = sizeof (VmTlsCreds),
  .help = "the cipher suites firmware may use",
  .klass = &suites_class,
};

uint8_t *
vm_tls_cipher_suites (VmObject *root, const char *id, size_t *len, GError **error)
{
  VmTlsCreds *s = (VmTlsCreds *) vm_user_object_find (root, id);
  gnutls_priority_t cache;
  unsigned index;

  if (!s || !vm_object_is_a (&s->parent, &vm_tls_cipher_suites_type))
    {
      vm_fail (error, "No cipher suites with id '%s'", id);
      return NULL;
    }
  if (!vm_tls_creds_check (gnutls_priority_init (&cache, s->priority, NULL), "Cannot use the priority string", error))
    return NULL;
  GByteArray *list = g_byte_array_new ();
  int err = 0;
  for (unsigned i = 0; err != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++)
    {
      uint8_t suite[2];

      err = gnutls_priority_get_cipher_suite_index (cache, i, &index);
      if (err == 0 && gnutls_cipher_suite_info (index, suite, NULL, NULL, NULL, NULL))
        g_byte_array_append (list, suite, sizeof suite);
    }
  gnutls_priority_deinit (cache);
  *len = list->len;
  return g_byte_array_free (list, FALSE);
}
