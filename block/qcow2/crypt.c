/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encryption of guest data in qcow2 images. After the qcow2 specification, "Data encryption": LUKS, with vectors from
 * where data lies in the file, and the old method "aes", whose key is the password itself (AES-128 in CBC, vectors from
 * the sector of the disk). */
#include "block/crypto/luks.h"
#include "block/qcow2/qcow2-private.h"
#include "engine/crypto/secret.h"

struct Qcow2Crypt
{
  VmSectorCipher *aes; /* one of the two */
  VmLuks *luks;
};

static bool
fail (GError **error, const char *text)
{
  g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, text);
  return false;
}

/* --- aes ------------------------------------------------------------------------------------------------------------
 */

static bool
aes_open (Qcow2 *s, VmBlockGraph *graph, const char *secret, GError **error)
{
  static const VmSectorCipherSpec spec = { .cipher = "aes", .mode = "cbc", .ivgen = "plain64" };
  uint8_t key[16] = { 0 };
  size_t len;
  uint8_t *bytes = vm_secret_get (vm_graph_objects (graph), secret, &len, error);
  VmSectorCipher *aes;

  if (!bytes)
    return false;
  memcpy (key, bytes, MIN (len, sizeof key));
  vm_secret_free (bytes, len);
  aes = vm_sector_cipher_new (&spec, key, sizeof key, error);
  explicit_bzero (key, sizeof key);
  if (!aes)
    return false;
  s->crypt = g_new0 (struct Qcow2Crypt, 1);
  s->crypt->aes = aes;
  return true;
}

/* --- LUKS ------------------------------------------------------------------------------------------------------------
 */

static int
luks_read (void *opaque, uint64_t offset, void *to, size_t len)
{
  Qcow2 *s = opaque;

  if (len > s->crypt_len || offset > s->crypt_len - len)
    return -EINVAL;
  return qcow2_meta_read (s, s->crypt_offset + offset, to, len);
}

static int
luks_write (void *opaque, uint64_t offset, const void *from, size_t len)
{
  Qcow2 *s = opaque;

  if (len > s->crypt_len || offset > s->crypt_len - len)
    return -EINVAL;
  return qcow2_meta_write (s, s->crypt_offset + offset, from, len, 0);
}

static bool
luks_open (Qcow2 *s, const char *secret, GError **error)
{
  VmLuks *luks
      = vm_luks_open (&(VmLuksIo){ luks_read, luks_write, s }, vm_graph_objects (s->node->graph), secret, error);

  if (!luks)
    return false;
  s->crypt = g_new0 (struct Qcow2Crypt, 1);
  s->crypt->luks = luks;
  return true;
}

/* The header lies in clusters of its own, zeros where it has nothing. */
static bool
luks_place (Qcow2 *s, VmLuks *luks, GError **error)
{
  uint64_t clusters, got;
  g_autofree uint8_t *zeros = g_malloc0 (s->cluster_size);
  int status;

  s->crypt_len = vm_luks_payload (luks);
  clusters = qcow2_clusters (s, s->crypt_len);
  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_allocate (s, clusters, true, &s->crypt_offset, &got, NULL);
  for (uint64_t i = 0; i < clusters && status >= 0; i++)
    status = qcow2_meta_write (s, s->crypt_offset + i * s->cluster_size, zeros, s->cluster_size, 0);
  vm_fiber_mutex_unlock (&s->lock);
  if (status < 0)
    {
      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (-status), "Could not write encryption header: %s",
                   g_strerror (-status));
      return false;
    }
  return vm_luks_write (luks, &(VmLuksIo){ luks_read, luks_write, s }, error);
}

static bool
luks_create (Qcow2 *s, VmBlockGraph *graph, const VmCreateValues *values, const char *secret, GError **error)
{
  VmLuksParams params;
  VmLuks *luks;

  if (!vm_luks_take_params (&params, values, "encrypt.", error))
    return false;
  if (!s->new_file)
    return vm_luks_check (&params, vm_graph_objects (graph), secret, error);
  if (!(luks = vm_luks_new (&params, vm_graph_objects (graph), secret, error)))
    return false;
  s->crypt_method = CRYPT_LUKS;
  s->crypt = g_new0 (struct Qcow2Crypt, 1);
  s->crypt->luks = luks;
  return luks_place (s, luks, error);
}

/* --- both ------------------------------------------------------------------------------------- */

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
  secret = encrypt && encrypt->u.any ? luks ? encrypt->u.luks->key_secret : encrypt->u.aes->key_secret : NULL;
  if (flags & VM_OPEN_NO_IO)
    return !luks || luks_open (s, NULL, error); /* only to be described */
  if (!secret)
    return fail (error, "Parameter 'encrypt.key-secret' is required for cipher");
  return luks ? luks_open (s, secret, error) : aes_open (s, s->node->graph, secret, error);
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
    return luks_create (s, graph, values, secret, error);
  s->crypt_method = CRYPT_AES;
  return aes_open (s, graph, secret, error);
}

bool
qcow2_crypt_amend (Qcow2 *s, const VmCreateValues *values, bool force, GError **error)
{
  VmLuksAmend amend;

  if (!s->crypt || !s->crypt->luks)
    return fail (error, "encrypt options can be amended only in images that are encrypted with LUKS");
  if (!vm_luks_take_amend (&amend, values, "encrypt.", error))
    return false;
  amend.force = force;
  return vm_luks_amend (s->crypt->luks, &(VmLuksIo){ luks_read, luks_write, s }, vm_graph_objects (s->node->graph),
                        &amend, error);
}

void
qcow2_crypt_close (Qcow2 *s)
{
  if (!s->crypt)
    return;
  g_clear_pointer (&s->crypt->aes, vm_sector_cipher_free);
  g_clear_pointer (&s->crypt->luks, vm_luks_free);
  g_clear_pointer (&s->crypt, g_free);
}

json_object *
qcow2_crypt_describe (const Qcow2 *s)
{
  json_object *out;

  if (s->crypt_method == CRYPT_NONE)
    return NULL;
  out = s->crypt && s->crypt->luks ? vm_luks_describe (s->crypt->luks) : NULL;
  out = out ? out : json_object_new_object ();
  json_object_object_add (out, "format", json_object_new_string (s->crypt_method == CRYPT_AES ? "aes" : "luks"));
  return out;
}

/* --- sectors ------------------------------------------------------------------------------------------------------ */

static int
run (Qcow2 *s, uint64_t host, uint64_t guest, void *data, size_t len, bool encrypt)
{
  if (s->crypt->luks)
    return vm_luks_unlocked (s->crypt->luks) ? vm_luks_run (s->crypt->luks, host, data, len, encrypt) : -EPERM;
  return vm_sector_cipher_run (s->crypt->aes, guest / VM_CIPHER_SECTOR, data, len, encrypt);
}

int
qcow2_encrypt (Qcow2 *s, uint64_t host, uint64_t guest, void *data, size_t len)
{
  return run (s, host, guest, data, len, true);
}

int
qcow2_decrypt (Qcow2 *s, uint64_t host, uint64_t guest, void *data, size_t len)
{
  return run (s, host, guest, data, len, false);
}
