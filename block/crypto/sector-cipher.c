/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ciphers over the sectors of a disk, by libgcrypt; vectors after the LUKS on-disk format and dm-crypt's names. */
#include "block/crypto/sector-cipher.h"

#include <errno.h>
#include <gcrypt.h>

enum
{
  MAX_BLOCK = 16,
  MAX_KEY = 128,
  BIG = 16 * VM_CIPHER_SECTOR, /* more than this goes to a worker */
};

typedef enum IvKind
{
  IV_NONE,
  IV_PLAIN,
  IV_PLAIN64,
  IV_ESSIV
} IvKind;

typedef struct Context
{
  gcry_cipher_hd_t data, iv;
} Context;

struct VmSectorCipher
{
  int algorithm, mode, iv_algorithm;
  IvKind iv;
  uint8_t key[MAX_KEY], iv_key[MAX_KEY];
  size_t key_len, iv_key_len, block;
  GQueue idle; /* Context *: each is used by one thread at a time */
};

static const struct
{
  const char *name;
  size_t key;
  int algorithm;
} algorithms[] = {
  { "aes", 16, GCRY_CIPHER_AES128 },         { "aes", 24, GCRY_CIPHER_AES192 },
  { "aes", 32, GCRY_CIPHER_AES256 },         { "serpent", 16, GCRY_CIPHER_SERPENT128 },
  { "serpent", 24, GCRY_CIPHER_SERPENT192 }, { "serpent", 32, GCRY_CIPHER_SERPENT256 },
  { "twofish", 16, GCRY_CIPHER_TWOFISH128 }, { "twofish", 32, GCRY_CIPHER_TWOFISH },
  { "cast5", 16, GCRY_CIPHER_CAST5 },
};

void
vm_crypto_init (void)
{
  if (gcry_control (GCRYCTL_INITIALIZATION_FINISHED_P))
    return;
  gcry_check_version (NULL);
  gcry_control (GCRYCTL_DISABLE_SECMEM, 0);
  gcry_control (GCRYCTL_INITIALIZATION_FINISHED, 0);
}

int
vm_hash_algorithm (const char *name)
{
  static const char *const known[]
      = { "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160", "whirlpool", NULL };

  vm_crypto_init ();
  return name && g_strv_contains (known, name) ? gcry_md_map_name (name) : 0;
}

static int
find_algorithm (const char *name, size_t key)
{
  for (size_t i = 0; i < G_N_ELEMENTS (algorithms); i++)
    if (!strcmp (algorithms[i].name, name) && algorithms[i].key == key)
      return algorithms[i].algorithm;
  return 0;
}

static int
find_mode (const char *name)
{
  return !strcmp (name, "xts")   ? GCRY_CIPHER_MODE_XTS
         : !strcmp (name, "cbc") ? GCRY_CIPHER_MODE_CBC
         : !strcmp (name, "ecb") ? GCRY_CIPHER_MODE_ECB
         : !strcmp (name, "ctr") ? GCRY_CIPHER_MODE_CTR
                                 : 0;
}

static bool
set_iv (VmSectorCipher *c, const VmSectorCipherSpec *spec, GError **error)
{
  if (c->mode == GCRY_CIPHER_MODE_ECB)
    return true;
  if (!spec->ivgen)
    return vm_fail (error, "An IV generator is needed for cipher mode '%s'", spec->mode);
  c->iv = !strcmp (spec->ivgen, "plain")     ? IV_PLAIN
          : !strcmp (spec->ivgen, "plain64") ? IV_PLAIN64
          : !strcmp (spec->ivgen, "essiv")   ? IV_ESSIV
                                             : IV_NONE;
  if (c->iv == IV_NONE)
    return vm_fail (error, "IV generator '%s' is not supported", spec->ivgen);
  if (c->iv != IV_ESSIV)
    return true;
  int hash = vm_hash_algorithm (spec->ivgen_hash);
  c->iv_key_len = hash ? gcry_md_get_algo_dlen (hash) : 0;
  c->iv_algorithm = hash ? find_algorithm (spec->cipher, c->iv_key_len) : 0;
  if (!c->iv_algorithm)
    return vm_fail (error, "Hash '%s' does not fit cipher '%s' for an ESSIV key",
                    spec->ivgen_hash ? spec->ivgen_hash : "", spec->cipher);
  gcry_md_hash_buffer (hash, c->iv_key, c->key, c->key_len);
  return true;
}

static void
context_free (void *opaque)
{
  Context *x = opaque;

  gcry_cipher_close (x->data);
  gcry_cipher_close (x->iv);
  g_free (x);
}

static Context *
context_new (const VmSectorCipher *c)
{
  Context *x = g_new0 (Context, 1);
  bool ok = !gcry_cipher_open (&x->data, c->algorithm, c->mode, 0) && !gcry_cipher_setkey (x->data, c->key, c->key_len);

  if (ok && c->iv == IV_ESSIV)
    ok = !gcry_cipher_open (&x->iv, c->iv_algorithm, GCRY_CIPHER_MODE_ECB, 0)
         && !gcry_cipher_setkey (x->iv, c->iv_key, c->iv_key_len);
  if (!ok)
    g_clear_pointer (&x, context_free);
  return x;
}

VmSectorCipher *
vm_sector_cipher_new (const VmSectorCipherSpec *spec, const uint8_t *key, size_t key_len, GError **error)
{
  VmSectorCipher *c = g_new0 (VmSectorCipher, 1);
  Context *first = NULL;

  vm_crypto_init ();
  c->mode = find_mode (spec->mode);
  c->algorithm = find_algorithm (spec->cipher, c->mode == GCRY_CIPHER_MODE_XTS ? key_len / 2 : key_len);
  c->block = c->algorithm ? gcry_cipher_get_algo_blklen (c->algorithm) : 0;
  bool ok = c->mode && c->algorithm && key_len <= MAX_KEY && (c->mode != GCRY_CIPHER_MODE_XTS || c->block == 16);
  if (!ok)
    vm_fail (error, "Algorithm '%s' with a key of %zu bits in mode '%s' is not supported", spec->cipher, key_len * 8,
             spec->mode);
  else
    {
      memcpy (c->key, key, key_len);
      c->key_len = key_len;
      ok = set_iv (c, spec, error);
    }
  if (ok && !(first = context_new (c)))
    ok = vm_fail (error, "The key does not suit cipher '%s'", spec->cipher);
  if (ok)
    g_queue_push_tail (&c->idle, first);
  else
    g_clear_pointer (&c, vm_sector_cipher_free);
  return c;
}

void
vm_sector_cipher_free (VmSectorCipher *c)
{
  if (!c)
    return;
  g_queue_clear_full (&c->idle, context_free);
  explicit_bzero (c, sizeof *c);
  g_free (c);
}

static bool
run_sector (const VmSectorCipher *c, Context *x, uint64_t sector, uint8_t *data, bool encrypt)
{
  uint8_t iv[MAX_BLOCK] = { 0 };

  vm_store_le64 (iv, c->iv == IV_PLAIN ? (uint32_t) sector : sector);
  if (c->iv == IV_ESSIV && gcry_cipher_encrypt (x->iv, iv, c->block, NULL, 0))
    return false;
  if (c->mode == GCRY_CIPHER_MODE_CTR && gcry_cipher_setctr (x->data, iv, c->block))
    return false;
  if (c->mode != GCRY_CIPHER_MODE_CTR && c->iv != IV_NONE && gcry_cipher_setiv (x->data, iv, c->block))
    return false;
  return !(encrypt ? gcry_cipher_encrypt (x->data, data, VM_CIPHER_SECTOR, NULL, 0)
                   : gcry_cipher_decrypt (x->data, data, VM_CIPHER_SECTOR, NULL, 0));
}

typedef struct Run
{
  const VmSectorCipher *cipher;
  Context *context;
  uint64_t sector;
  uint8_t *data;
  size_t len;
  bool encrypt, ok;
} Run;

static void
run_work (void *opaque)
{
  Run *r = opaque;

  r->ok = true;
  for (size_t at = 0; r->ok && at + VM_CIPHER_SECTOR <= r->len; at += VM_CIPHER_SECTOR)
    r->ok = run_sector (r->cipher, r->context, r->sector + at / VM_CIPHER_SECTOR, r->data + at, r->encrypt);
}

int
vm_sector_cipher_run (VmSectorCipher *c, uint64_t sector, void *data, size_t len, bool encrypt)
{
  Context *x = g_queue_pop_tail (&c->idle);
  Run r = { c, x ? x : context_new (c), sector, data, len, encrypt, false };

  if (!r.context)
    return -ENOMEM;
  if (len > BIG)
    vm_fiber_work (run_work, &r);
  else
    run_work (&r);
  g_queue_push_tail (&c->idle, r.context);
  return r.ok ? 0 : -EIO;
}
