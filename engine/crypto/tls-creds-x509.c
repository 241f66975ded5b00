/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls-creds-x509: certificates in a folder, under fixed names. */
#include "engine/crypto/secret.h"
#include "engine/crypto/tls-private.h"

typedef struct X509Creds
{
  VmTlsCreds parent;
  bool sanity_check;
  char *passwordid;
  gnutls_certificate_credentials_t cert; /* atomic: sessions are made on any thread */
  gnutls_certificate_credentials_t loading;
  GPtrArray *former; /* what sessions made before a reload still look at */
} X509Creds;

/* The pair of NAME-cert.pem and NAME-key.pem: a server must have it, a client may. */
static bool
load_pair (X509Creds *s, const char *cert, const char *key, GError **error)
{
  g_autofree char *password = NULL;

  if (s->passwordid)
    {
      password = vm_secret_get_text (vm_object_root (&s->parent.parent), s->passwordid, error);
      if (!password)
        return false;
    }
  int err = gnutls_certificate_set_x509_key_file2 (s->loading, cert, key, GNUTLS_X509_FMT_PEM, password, 0);
  if (password)
    explicit_bzero (password, strlen (password));
  return err >= 0 || vm_fail (error, "Cannot load certificate '%s' & key '%s': %s", cert, key, gnutls_strerror (err));
}

static bool
load_ca (X509Creds *s, const char *ca, const char *crl, GError **error)
{
  int err = gnutls_certificate_set_x509_trust_file (s->loading, ca, GNUTLS_X509_FMT_PEM);

  if (err <= 0)
    return vm_fail (error, "Cannot load CA certificate '%s': %s", ca,
                    err < 0 ? gnutls_strerror (err) : "there is none in it");
  err = crl ? gnutls_certificate_set_x509_crl_file (s->loading, crl, GNUTLS_X509_FMT_PEM) : 0;
  return err >= 0 || vm_fail (error, "Cannot load CRL '%s': %s", crl, gnutls_strerror (err));
}

static bool
load_dh (X509Creds *s, GError **error)
{
  VmTlsCreds *creds = &s->parent;

  if (creds->endpoint != VM_TLS_SERVER)
    return true;
  if (!creds->dh && !vm_tls_creds_load_dh (creds, error))
    return false;
  if (creds->dh)
    gnutls_certificate_set_dh_params (s->loading, creds->dh);
  else
    gnutls_certificate_set_known_dh_params (s->loading, GNUTLS_SEC_PARAM_MEDIUM);
  return true;
}

static bool
x509_load (X509Creds *s, GError **error)
{
  VmTlsCreds *creds = &s->parent;
  bool server = creds->endpoint == VM_TLS_SERVER;
  g_autoptr (GError) failed = NULL;

  if (!vm_tls_creds_check_priority (creds, error))
    return false;
  g_autofree char *ca = vm_tls_creds_file (creds, "ca-cert.pem", true, &failed);
  g_autofree char *crl = failed ? NULL : vm_tls_creds_file (creds, "ca-crl.pem", false, &failed);
  g_autofree char *cert
      = failed ? NULL : vm_tls_creds_file (creds, server ? "server-cert.pem" : "client-cert.pem", server, &failed);
  g_autofree char *key
      = failed ? NULL : vm_tls_creds_file (creds, server ? "server-key.pem" : "client-key.pem", server, &failed);
  if (failed)
    return g_propagate_error (error, g_steal_pointer (&failed)), false;

  return (!s->sanity_check || vm_tls_x509_check_files (ca, cert, server, error))
         && vm_tls_creds_check (gnutls_certificate_allocate_credentials (&s->loading), "Cannot allocate credentials",
                                error)
         && load_ca (s, ca, crl, error) && (!cert || !key || load_pair (s, cert, key, error)) && load_dh (s, error);
}

static bool
x509_reload (VmTlsCreds *creds, GError **error)
{
  X509Creds *s = (X509Creds *) creds;
  bool ok = x509_load (s, error);

  if (ok)
    {
      gnutls_certificate_credentials_t before = __atomic_exchange_n (&s->cert, s->loading, __ATOMIC_ACQ_REL);
      if (before)
        g_ptr_array_add (s->former, before);
    }
  else if (s->loading)
    gnutls_certificate_free_credentials (s->loading);
  s->loading = NULL;
  return ok;
}

static bool
x509_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  X509Creds *s = (X509Creds *) obj;

  s->former = g_ptr_array_new_with_free_func ((GDestroyNotify) gnutls_certificate_free_credentials);
  s->parent.loaded = x509_reload (&s->parent, error);
  return s->parent.loaded;
}

static int
x509_apply (VmTlsCreds *creds, gnutls_session_t session)
{
  if (creds->endpoint == VM_TLS_SERVER)
    gnutls_certificate_server_set_request (session, creds->verify_peer ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE);
  return gnutls_credentials_set (session, GNUTLS_CRD_CERTIFICATE,
                                 __atomic_load_n (&((X509Creds *) creds)->cert, __ATOMIC_ACQUIRE));
}

static void
x509_finalize (VmObject *obj)
{
  X509Creds *s = (X509Creds *) obj;

  if (s->cert)
    gnutls_certificate_free_credentials (s->cert);
  g_clear_pointer (&s->former, g_ptr_array_unref);
}

static const VmTlsCredsClass x509_class = { .user = { .complete = x509_complete }, .apply = x509_apply,
                                           .reload = x509_reload };

static const VmProp x509_props[]
    = { VM_PROP ("sanity-check", X509Creds, sanity_check, true, "look whether the certificates are fit for use"),
        VM_PROP_STRING ("passwordid", X509Creds, passwordid, NULL, "secret that opens the key file"),
        { 0 } };

const VmType vm_tls_creds_x509_type = {
  .name = "tls-creds-x509",
  .parent = &vm_tls_creds_type,
  .size = sizeof (X509Creds),
  .help = "certificates",
  .props = x509_props,
  .klass = &x509_class,
  .finalize = x509_finalize,
};
