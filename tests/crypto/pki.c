/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: certificates made by GnuTLS, objects without a machine. */
#include "tests/crypto/pki.h"

#include <glib/gstdio.h>
#include <gnutls/x509.h>
#include <time.h>

#include "engine/options/keyvals.h"

#define DAY 86400
#define CHECK(call) g_assert_cmpint (call, >=, 0)

/* The same in each run, so that folders made apart trust each other. */
static const char ca_key_pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
                                 "MHcCAQEEIFqskxKaeIwIX6WxUyYFjNWui1lpBN4eNklVAMJfAQkGoAoGCCqGSM49\n"
                                 "AwEHoUQDQgAEZuxxwcYfptb4phR/0QJj8JtC0uk9mYC44fgF2EZszAZDJOauc6SV\n"
                                 "YsxN4B1ak56Pl+UZ4bncoRcLi8jvynSULA==\n"
                                 "-----END EC PRIVATE KEY-----\n";

static gnutls_x509_privkey_t
new_key (void)
{
  gnutls_x509_privkey_t key;

  CHECK (gnutls_x509_privkey_init (&key));
  CHECK (gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0));
  return key;
}

static gnutls_x509_privkey_t
ca_key (void)
{
  gnutls_datum_t text = { (unsigned char *) ca_key_pem, strlen (ca_key_pem) };
  gnutls_x509_privkey_t key;

  CHECK (gnutls_x509_privkey_init (&key));
  CHECK (gnutls_x509_privkey_import (key, &text, GNUTLS_X509_FMT_PEM));
  return key;
}

static void
save (const char *dir, const char *name, const gnutls_datum_t *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, (char *) text->data, text->size, NULL));
}

static gnutls_x509_crt_t
new_cert (const char *cn, unsigned char serial, gnutls_x509_privkey_t key, bool is_ca, time_t from, time_t to)
{
  gnutls_x509_crt_t cert;

  CHECK (gnutls_x509_crt_init (&cert));
  CHECK (gnutls_x509_crt_set_version (cert, 3));
  CHECK (gnutls_x509_crt_set_serial (cert, &serial, 1));
  CHECK (gnutls_x509_crt_set_dn_by_oid (cert, GNUTLS_OID_X520_COMMON_NAME, 0, cn, strlen (cn)));
  CHECK (gnutls_x509_crt_set_key (cert, key));
  CHECK (gnutls_x509_crt_set_activation_time (cert, from));
  CHECK (gnutls_x509_crt_set_expiration_time (cert, to));
  CHECK (gnutls_x509_crt_set_basic_constraints (cert, is_ca, -1));
  return cert;
}

static void
save_cert (const char *dir, const char *name, gnutls_x509_crt_t cert)
{
  gnutls_datum_t text;

  CHECK (gnutls_x509_crt_export2 (cert, GNUTLS_X509_FMT_PEM, &text));
  save (dir, name, &text);
  gnutls_free (text.data);
}

void
pki_make (const char *dir, const PkiSpec *spec)
{
  time_t now = time (NULL), from = now - DAY, to = now + DAY;
  gnutls_x509_privkey_t authority = spec->other_ca ? new_key () : ca_key (), key = new_key ();
  gnutls_datum_t text;

  g_mkdir (dir, 0700);
  gnutls_x509_crt_t ca = new_cert ("Test Authority", 1, authority, true, from, to);
  CHECK (gnutls_x509_crt_set_key_usage (ca, GNUTLS_KEY_KEY_CERT_SIGN));
  CHECK (gnutls_x509_crt_sign2 (ca, ca, authority, GNUTLS_DIG_SHA256, 0));
  save_cert (dir, "ca-cert.pem", ca);

  if (spec->expired)
    to = now - DAY / 2;
  if (spec->not_yet)
    from = now + DAY / 2;
  gnutls_x509_crt_t cert = new_cert (spec->cn, 2, key, spec->is_ca, from, to);
  CHECK (gnutls_x509_crt_set_key_usage (cert, GNUTLS_KEY_DIGITAL_SIGNATURE));
  CHECK (gnutls_x509_crt_set_key_purpose_oid (cert, spec->client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER,
                                              1));
  CHECK (gnutls_x509_crt_set_subject_alt_name (cert, GNUTLS_SAN_DNSNAME, spec->cn, strlen (spec->cn), 0));
  CHECK (gnutls_x509_crt_sign2 (cert, ca, authority, GNUTLS_DIG_SHA256, 0));
  save_cert (dir, spec->client ? "client-cert.pem" : "server-cert.pem", cert);
  if (spec->password)
    CHECK (
        gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, spec->password, GNUTLS_PKCS_PBES2_AES_256, &text));
  else
    CHECK (gnutls_x509_privkey_export2 (key, GNUTLS_X509_FMT_PEM, &text));
  if (!spec->no_key)
    save (dir, spec->client ? "client-key.pem" : "server-key.pem", &text);
  gnutls_free (text.data);
  gnutls_x509_crt_deinit (cert);
  gnutls_x509_crt_deinit (ca);
  gnutls_x509_privkey_deinit (key);
  gnutls_x509_privkey_deinit (authority);
}

void
pki_remove (const char *path)
{
  GDir *dir = g_dir_open (path, 0, NULL);

  for (const char *name; dir && (name = g_dir_read_name (dir));)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      g_unlink (file);
    }
  if (dir)
    g_dir_close (dir);
  g_rmdir (path);
}

extern const VmType vm_secret_type, vm_secret_keyring_type, vm_authz_simple_type, vm_authz_list_type,
    vm_authz_list_file_type, vm_authz_listfile_type, vm_authz_pam_type, vm_tls_creds_anon_type, vm_tls_creds_psk_type,
    vm_tls_creds_x509_type, vm_tls_cipher_suites_type, vm_rng_builtin_type, vm_rng_random_type, vm_rng_egd_type;

static const VmType *
find_type (const char *name)
{
  static const VmType *const types[] = {
    &vm_secret_type,          &vm_secret_keyring_type, &vm_authz_simple_type,      &vm_authz_list_type,
    &vm_authz_list_file_type, &vm_authz_listfile_type, &vm_authz_pam_type,         &vm_tls_creds_anon_type,
    &vm_tls_creds_psk_type,   &vm_tls_creds_x509_type, &vm_tls_cipher_suites_type, &vm_rng_builtin_type,
    &vm_rng_random_type,      &vm_rng_egd_type,
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (types); i++)
    if (!strcmp (types[i]->name, name))
      return types[i];
  g_assert_not_reached ();
}

VmObject *
pki_object (VmObject *root, const char *text, GError **error)
{
  g_autoptr (VmKeyVals) pairs = vm_keyvals_new ();

  g_assert_true (vm_keyvals_parse (pairs, text, "qom-type", 0, NULL));
  const VmType *type = find_type (vm_keyvals_get (pairs, "qom-type"));
  const VmUserObjectClass *klass = vm_type_klass (type);
  g_autoptr (VmObject) obj = vm_object_new (type);

  obj->scope = root;
  for (guint i = 0; i < pairs->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (pairs->pairs, i);
      bool mine = false;

      if (!strcmp (pair->key, "qom-type") || !strcmp (pair->key, "id"))
        continue;
      if ((klass->set && !klass->set (obj, pair->key, pair->value, &mine, error))
          || (!mine && !vm_object_set (obj, pair->key, pair->value, error)))
        return NULL;
    }
  vm_object_add_child (vm_object_container (root, "/objects"), vm_keyvals_get (pairs, "id"), obj);
  if (!klass->complete (obj, NULL, error))
    {
      vm_object_remove_child (obj);
      return NULL;
    }
  obj->frozen = true;
  return obj;
}
