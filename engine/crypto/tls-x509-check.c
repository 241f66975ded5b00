/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks certificates over when they are loaded (RFC 5280, 4.2.1), so that what is wrong with them is said here and
 * not by the first peer that is refused. */
#include <gnutls/x509.h>
#include <time.h>

#include "engine/base/log.h"
#include "engine/crypto/tls-private.h"

typedef struct CertList
{
  gnutls_x509_crt_t *certs;
  unsigned n;
} CertList;

static void
certs_clear (CertList *list)
{
  for (unsigned i = 0; i < list->n; i++)
    gnutls_x509_crt_deinit (list->certs[i]);
  gnutls_free (list->certs);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CertList, certs_clear)

static bool
certs_load (CertList *list, const char *path, const char *what, GError **error)
{
  gnutls_datum_t text;

  if (!vm_tls_creds_read (path, &text, error))
    return false;
  int err = gnutls_x509_crt_list_import2 (&list->certs, &list->n, &text, GNUTLS_X509_FMT_PEM, 0);
  g_free (text.data);
  return err >= 0 || vm_fail (error, "Unable to import %s %s: %s", what, path, gnutls_strerror (err));
}

static bool
check_times (gnutls_x509_crt_t cert, const char *path, const char *what, GError **error)
{
  time_t now = time (NULL);

  if (gnutls_x509_crt_get_expiration_time (cert) < now)
    return vm_fail (error, "The %s certificate %s has expired", what, path);
  if (gnutls_x509_crt_get_activation_time (cert) > now)
    return vm_fail (error, "The %s certificate %s is not yet active", what, path);
  return true;
}

static bool
check_constraints (gnutls_x509_crt_t cert, const char *path, const char *what, bool want_ca, GError **error)
{
  unsigned is_ca = 0;
  int err = gnutls_x509_crt_get_basic_constraints (cert, NULL, &is_ca, NULL);

  if (err < 0 && err != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
    return vm_fail (error, "Unable to query certificate %s basic constraints: %s", path, gnutls_strerror (err));
  if (want_ca && err < 0)
    return vm_fail (error, "The certificate %s is missing basic constraints for a CA", path);
  if (want_ca && !is_ca)
    return vm_fail (error, "The certificate %s basic constraints do not show a CA", path);
  if (!want_ca && err >= 0 && is_ca)
    return vm_fail (error, "The certificate %s basic constraints show a CA, but we need one for a %s", path, what);
  return true;
}

/* A usage that is not marked critical is advice. */
static bool
check_usage (gnutls_x509_crt_t cert, const char *path, bool is_ca, GError **error)
{
  unsigned usage = 0, critical = 0;
  int err = gnutls_x509_crt_get_key_usage (cert, &usage, &critical);
  const unsigned wanted = is_ca ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE;
  const char *name = is_ca ? "certificate signing" : "digital signature";

  if (err == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
    return true;
  if (err < 0)
    return vm_fail (error, "Unable to query certificate %s key usage: %s", path, gnutls_strerror (err));
  if (usage & wanted)
    return true;
  if (critical)
    return vm_fail (error, "Certificate %s usage does not permit %s", path, name);
  vm_report_warning ("Certificate %s usage does not permit %s", path, name);
  return true;
}

static bool
check_purpose (gnutls_x509_crt_t cert, const char *path, bool server, GError **error)
{
  const char *wanted = server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
  bool allowed = false, any_critical = false;

  for (unsigned i = 0; !allowed; i++)
    {
      char purpose[128];
      size_t size = sizeof purpose;
      unsigned critical = 0;
      int err = gnutls_x509_crt_get_key_purpose_oid (cert, i, purpose, &size, &critical);

      if (err == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
        {
          if (i == 0) /* for anything */
            return true;
          break;
        }
      if (err < 0 && err != GNUTLS_E_SHORT_MEMORY_BUFFER)
        return vm_fail (error, "Unable to query certificate %s key purpose: %s", path, gnutls_strerror (err));
      any_critical |= critical != 0;
      allowed = err >= 0 && (!strcmp (purpose, wanted) || !strcmp (purpose, GNUTLS_KP_ANY));
    }
  if (allowed)
    return true;
  if (any_critical)
    return vm_fail (error, "Certificate %s purpose does not allow use with a TLS %s", path,
                    server ? "server" : "client");
  vm_report_warning ("Certificate %s purpose does not allow use with a TLS %s", path, server ? "server" : "client");
  return true;
}

static bool
check_chain (const CertList *cert, const char *path, const CertList *ca, const char *ca_path, GError **error)
{
  static const struct
  {
    unsigned bit;
    const char *reason;
  } reasons[] = {
    { GNUTLS_CERT_REVOKED, "The certificate has been revoked" },
    { GNUTLS_CERT_SIGNER_NOT_FOUND, "The certificate hasn't got a known issuer" },
    { GNUTLS_CERT_INSECURE_ALGORITHM, "The certificate uses an insecure algorithm" },
    { GNUTLS_CERT_INVALID, "The certificate is not trusted" },
  };
  unsigned status = 0;
  int err = gnutls_x509_crt_list_verify (cert->certs, cert->n, ca->certs, ca->n, NULL, 0, 0, &status);

  if (err < 0)
    return vm_fail (error, "Unable to verify certificate %s against CA certificate %s: %s", path, ca_path,
                    gnutls_strerror (err));
  for (unsigned i = 0; i < G_N_ELEMENTS (reasons); i++)
    if (status & reasons[i].bit)
      return vm_fail (error, "Our own certificate %s failed validation against %s: %s", path, ca_path,
                      reasons[i].reason);
  return true;
}

bool
vm_tls_x509_check_files (const char *ca, const char *cert, bool server, GError **error)
{
  const char *what = server ? "server" : "client";
  g_auto (CertList) cas = { 0 };
  g_auto (CertList) own = { 0 };

  if (!certs_load (&cas, ca, "CA certificate list", error))
    return false;
  for (unsigned i = 0; i < cas.n; i++)
    if (!check_times (cas.certs[i], ca, "CA", error) || !check_constraints (cas.certs[i], ca, "CA", true, error)
        || !check_usage (cas.certs[i], ca, true, error))
      return false;
  if (!cert)
    return true;
  if (!certs_load (&own, cert, what, error))
    return false;
  return own.n > 0 && check_times (own.certs[0], cert, what, error)
         && check_constraints (own.certs[0], cert, what, false, error) && check_usage (own.certs[0], cert, false, error)
         && check_purpose (own.certs[0], cert, server, error) && check_chain (&own, cert, &cas, ca, error);
}
