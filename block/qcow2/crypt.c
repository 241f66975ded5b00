/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encryption of guest data in qcow2 images. After the qcow2 specification, "Data encryption": the old method "aes",
 * whose key is the password itself (AES-128 in CBC, vectors from the sector of the disk). */
#include "block/qcow2/qcow2-private.h"
#include "engine/crypto/secret.h"

#include <gnutls/crypto.h>

#define SECTOR 512

struct Qcow2Crypt
{
  gnutls_cipher_hd_t cipher;
};

static bool
fail (GError **error, const char *text)
{
  g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, text);
  return false;
}

static bool
aes_open (Qcow2 *s, VmBlockGraph *graph, const char *secret, GError **error)
{
  uint8_t key[16] = { 0 }, iv[16] = { 0 };
  gnutls_datum_t key_datum = { key, sizeof key }, iv_datum = { iv, sizeof iv };
  size_t len;
  uint8_t *bytes = vm_secret_get (vm_graph_objects (graph), secret, &len, error);
  int status;

  if (!bytes)
    return false;
  memcpy (key, bytes, MIN (len, sizeof key));
  vm_secret_free (bytes, len);
  s->crypt = g_new0 (struct Qcow2Crypt, 1);
  status = gnutls_cipher_init (&s->crypt->cipher, GNUTLS_CIPHER_AES_128_CBC, &key_datum, &iv_datum);
  gnutls_memset (key, 0, sizeof key);
  if (status >= 0)
    return true;
  g_clear_pointer (&s->crypt, g_free);
  return fail (error, gnutls_strerror (status));
}

bool
qcow2_crypt_open (Qcow2 *s, const VmqBlockdevOptionsQcow2 *options, unsigned flags, GError **error)
{
  const VmqBlockdevQcow2Encryption *encrypt = options->encrypt;
  bool luks = s->crypt_method == CRYPT_LUKS;
  const char *secret;

  if (s->crypt_method == CRYPT_NONE)
    return !encrypt || fail (error, "No encryption in image header, but options specified format");
  if (encrypt && luks != (encrypt->format == VMQ_BLOCKDEV_QCOW2_ENCRYPTION_FORMAT_LUKS))
    return fail (error, luks ? "Header reported 'luks' encryption format but options specify 'aes'"
                             : "Header reported 'aes' encryption format but options specify 'luks'");
  if (flags & VM_OPEN_NO_IO)
    return true;
  secret = encrypt && encrypt->u.any ? luks ? encrypt->u.luks->key_secret : encrypt->u.aes->key_secret : NULL;
  if (!secret)
    return fail (error, "Parameter 'encrypt.key-secret' is required for cipher");
  if (luks)
    return fail (error, "LUKS encryption of qcow2 images: not available in this build");
  return aes_open (s, s->node->graph, secret, error);
}

bool
qcow2_crypt_create (Qcow2 *s, VmBlockGraph *graph, const VmCreateValues *values, GError **error)
{
  const char *format = vm_create_text (values, "encrypt.format"),
             *secret = vm_create_text (values, "encrypt.key-secret");
  bool old = vm_create_bool (values, "encryption");

  if (old && format)
    return fail (error, "'encrypt.format' and its alias 'encryption' can't be used at the same time");
  if (!format && !old)
    return !secret || fail (error, "Parameter 'encrypt.format' is missing");
  if (format && !g_str_equal (format, "aes") && !g_str_equal (format, "luks"))
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "Parameter 'format' does not accept value '%s'", format);
      return false;
    }
  if (!secret)
    return fail (error, "Parameter 'encrypt.key-secret' is required for cipher");
  if (format && g_str_equal (format, "luks"))
    return fail (error, "LUKS encryption of qcow2 images: not available in this build");
  s->crypt_method = CRYPT_AES;
  return aes_open (s, graph, secret, error);
}

void
qcow2_crypt_close (Qcow2 *s)
{
  if (!s->crypt)
    return;
  gnutls_cipher_deinit (s->crypt->cipher);
  g_clear_pointer (&s->crypt, g_free);
}

json_object *
qcow2_crypt_describe (const Qcow2 *s)
{
  json_object *out;

  if (s->crypt_method == CRYPT_NONE)
    return NULL;
  out = json_object_new_object ();
  json_object_object_add (out, "format", json_object_new_string (s->crypt_method == CRYPT_AES ? "aes" : "luks"));
  return out;
}

/* --- sectors ------------------------------------------------------------------------------------------------------ */

static int
cipher_sectors (Qcow2 *s, uint64_t guest, uint8_t *data, size_t len, bool encrypt)
{
  for (size_t at = 0; at + SECTOR <= len; at += SECTOR)
    {
      uint8_t iv[16] = { 0 };

      vm_store_le64 (iv, (guest + at) / SECTOR);
      gnutls_cipher_set_iv (s->crypt->cipher, iv, sizeof iv);
      if ((encrypt ? gnutls_cipher_encrypt (s->crypt->cipher, data + at, SECTOR)
                   : gnutls_cipher_decrypt (s->crypt->cipher, data + at, SECTOR))
          < 0)
        return -EIO;
    }
  return 0;
}

int
qcow2_encrypt (Qcow2 *s, uint64_t host, uint64_t guest, void *data, size_t len)
{
  return cipher_sectors (s, guest, data, len, true);
}

int
qcow2_decrypt (Qcow2 *s, uint64_t host, uint64_t guest, void *data, size_t len)
{
  return cipher_sectors (s, guest, data, len, false);
}
