/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a secret's text means: base64 (RFC 4648), AES-256 in CBC mode with the padding of RFC 5652, section 6.3. */
#include "engine/crypto/secret.h"

#include <gnutls/crypto.h>

#include "engine/base/log.h"

static uint8_t *
decode_base64 (const uint8_t *input, size_t input_len, size_t *len, GError **error)
{
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n\r";
  g_autofree char *text = g_strndup ((const char *) input, input_len);
  uint8_t *bytes = NULL;

  if (strlen (text) != input_len)
    vm_fail (error, "Base64 data holds a zero byte");
  else if (strspn (text, letters) != input_len)
    vm_fail (error, "Base64 data contains invalid characters");
  else if ((bytes = g_base64_decode (text, len)) == NULL) /* of the empty text */
    bytes = g_malloc0 (1);
  explicit_bzero (text, strlen (text));
  return bytes;
}

/* In place; the new length, or -1 with ERROR set. */
static ssize_t
decrypt (uint8_t *bytes, size_t len, const uint8_t *key, size_t key_len, const char *iv, GError **error)
{
  gnutls_cipher_hd_t cipher;
  size_t iv_len = 0;
  ssize_t left = -1;

  if (key_len != VM_SECRET_KEY_SIZE)
    return vm_fail (error, "Key should be %d bytes in length", VM_SECRET_KEY_SIZE), -1;
  if (!iv)
    return vm_fail (error, "IV is required to decrypt secret"), -1;
  g_autofree uint8_t *vector = decode_base64 ((const uint8_t *) iv, strlen (iv), &iv_len, error);
  if (!vector)
    return -1;
  if (iv_len != VM_SECRET_IV_SIZE)
    return vm_fail (error, "IV should be %d bytes in length not %zu", VM_SECRET_IV_SIZE, iv_len), -1;
  if (len == 0 || len % VM_SECRET_IV_SIZE != 0)
    return vm_fail (error, "Length %zu must be a multiple of block size %d", len, VM_SECRET_IV_SIZE), -1;

  const gnutls_datum_t k = { (uint8_t *) key, key_len }, v = { vector, iv_len };
  int err = gnutls_cipher_init (&cipher, GNUTLS_CIPHER_AES_256_CBC, &k, &v);
  if (err == 0)
    {
      err = gnutls_cipher_decrypt (cipher, bytes, len);
      gnutls_cipher_deinit (cipher);
    }
  if (err != 0)
    return vm_fail (error, "Unable to decrypt secret: %s", gnutls_strerror (err)), -1;

  unsigned padding = bytes[len - 1];
  bool fits = padding >= 1 && padding <= VM_SECRET_IV_SIZE;
  for (unsigned i = 1; fits && i <= padding; i++)
    fits = bytes[len - i] == padding;
  if (fits)
    left = len - padding;
  else
    vm_fail (error, "Incorrect number of padding bytes (%u) found on decrypted data", padding);
  return left;
}

uint8_t *
vm_secret_decode (const uint8_t *input, size_t input_len, VmSecretFormat format, const uint8_t *key, size_t key_len,
                  const char *iv, size_t *len, GError **error)
{
  size_t n = input_len;
  uint8_t *bytes;

  if (format == VM_SECRET_BASE64)
    bytes = decode_base64 (input, input_len, &n, error);
  else
    {
      bytes = g_malloc0 (input_len + 1);
      if (input_len)
        memcpy (bytes, input, input_len);
    }
  ssize_t left = bytes && key ? decrypt (bytes, n, key, key_len, iv, error) : (ssize_t) n;
  if (left >= 0)
    {
      *len = left;
      return bytes;
    }
  vm_secret_free (bytes, n);
  return NULL;
}
