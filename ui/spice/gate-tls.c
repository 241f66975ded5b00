/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS of the gate's lines, from bytes to bytes. It is OpenSSL's, as the library's: tls-ciphers= is in its words. */
#include "ui/spice/server-private.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define PIECE 16384

struct SpiceTls
{
  SSL *ssl;
  GByteArray *unsaid; /* until hands are shaken */
};

/* --- contexts ---------------------------------------------------------------------------------------------------- */

static int
give_password (char *buf, int size, int writing, void *opaque)
{
  const SpiceOptions *o = opaque;

  return o->key_password ? (int) MIN (g_strlcpy (buf, o->key_password, (gsize) size), (gsize) size - 1) : 0;
}

static bool
use_dh_file (SSL_CTX *context, const char *file)
{
  BIO *in = BIO_new_file (file, "r");
  EVP_PKEY *params = in ? PEM_read_bio_Parameters (in, NULL) : NULL;
  bool ok = params && SSL_CTX_set0_tmp_dh_pkey (context, params) == 1;

  if (!ok)
    EVP_PKEY_free (params);
  BIO_free (in);
  return ok;
}

SSL_CTX *
spice_tls_server (const SpiceOptions *o, GError **error)
{
  SSL_CTX *context = SSL_CTX_new (TLS_server_method ());

  SSL_CTX_set_min_proto_version (context, TLS1_2_VERSION);
  SSL_CTX_set_options (context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_default_passwd_cb (context, give_password);
  SSL_CTX_set_default_passwd_cb_userdata (context, (void *) o);
  if (SSL_CTX_use_certificate_chain_file (context, o->cert) == 1
      && SSL_CTX_use_PrivateKey_file (context, o->key, SSL_FILETYPE_PEM) == 1
      && SSL_CTX_check_private_key (context) == 1 && (!o->ciphers || SSL_CTX_set_cipher_list (context, o->ciphers) == 1)
      && (!o->dh_key || use_dh_file (context, o->dh_key)))
    return context;
  vm_fail (error, "spice: cannot use the certificate: %s", ERR_reason_error_string (ERR_peek_last_error ()));
  ERR_clear_error ();
  SSL_CTX_free (context);
  return NULL;
}

/* For the way on to the library, which has not left the process: who is there need not be proved. */
SSL_CTX *
spice_tls_client (const SpiceOptions *o)
{
  SSL_CTX *context = SSL_CTX_new (TLS_client_method ());

  SSL_CTX_set_security_level (context, 0);
  if (o->ciphers)
    SSL_CTX_set_cipher_list (context, o->ciphers);
  return context;
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

SpiceTls *
spice_tls_new (SSL_CTX *context, bool server)
{
  SpiceTls *t = g_new0 (SpiceTls, 1);

  t->ssl = SSL_new (context);
  t->unsaid = g_byte_array_new ();
  SSL_set_bio (t->ssl, BIO_new (BIO_s_mem ()), BIO_new (BIO_s_mem ()));
  if (server)
    SSL_set_accept_state (t->ssl);
  else
    SSL_set_connect_state (t->ssl);
  return t;
}

void
spice_tls_free (SpiceTls *t)
{
  SSL_free (t->ssl);
  g_byte_array_unref (t->unsaid);
  g_free (t);
}

static bool
waits (SpiceTls *t, int result)
{
  int why = SSL_get_error (t->ssl, result);

  ERR_clear_error ();
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static void
collect (SpiceTls *t, GByteArray *out)
{
  char *sealed;
  long n = BIO_get_mem_data (SSL_get_wbio (t->ssl), &sealed);

  g_byte_array_append (out, (const uint8_t *) sealed, (guint) n);
  (void) BIO_reset (SSL_get_wbio (t->ssl));
}

bool
spice_tls_say (SpiceTls *t, const uint8_t *bytes, size_t len, GByteArray *out)
{
  int result = 1;

  g_byte_array_append (t->unsaid, bytes, (guint) len);
  if (!SSL_is_init_finished (t->ssl))
    result = SSL_do_handshake (t->ssl);
  if (result == 1 && t->unsaid->len && (result = SSL_write (t->ssl, t->unsaid->data, (int) t->unsaid->len)) > 0)
    g_byte_array_set_size (t->unsaid, 0);
  bool ok = result > 0 || waits (t, result);
  collect (t, out);
  return ok;
}

bool
spice_tls_hear (SpiceTls *t, const uint8_t *bytes, size_t len, GByteArray *plain, GByteArray *out)
{
  uint8_t piece[PIECE];
  int n;

  BIO_write (SSL_get_rbio (t->ssl), bytes, (int) len);
  while ((n = SSL_read (t->ssl, piece, sizeof piece)) > 0)
    g_byte_array_append (plain, piece, (guint) n);
  bool ok = waits (t, n);
  return spice_tls_say (t, NULL, 0, out) && ok;
}
