/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of LUKS version 1: derived from passwords, split into stripes, tried and put into slots. */
#include "block/crypto/luks-private.h"

#include <errno.h>
#include <gcrypt.h>
#include <time.h>

typedef struct Derive
{
  int hash;
  const void *pass;
  size_t pass_len, len;
  const uint8_t *salt;
  uint32_t iterations;
  uint8_t *to;
  bool ok;
  int64_t ns;
} Derive;

static void
derive_work (void *opaque)
{
  Derive *d = opaque;
  struct timespec before, after;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &before);
  d->ok = !gcry_kdf_derive (d->pass, d->pass_len, GCRY_KDF_PBKDF2, d->hash, d->salt, LUKS_SALT, d->iterations, d->len,
                            d->to);
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &after);
  d->ns = (after.tv_sec - before.tv_sec) * INT64_C (1000000000) + after.tv_nsec - before.tv_nsec;
}

bool
luks_derive (const char *hash, const void *pass, size_t pass_len, const uint8_t *salt, uint32_t iterations, uint8_t *to,
             size_t len)
{
  Derive d = { vm_hash_algorithm (hash), pass, pass_len, len, salt, iterations, to, false, 0 };

  vm_fiber_work (derive_work, &d);
  return d.ok;
}

uint32_t
luks_iterations (const char *hash, size_t len, uint64_t ms)
{
  static const uint8_t salt[LUKS_SALT] = { 1 };
  uint8_t key[LUKS_MAX_KEY];
  Derive d = { vm_hash_algorithm (hash), "password", 8, len, salt, LUKS_MIN_ITERATIONS, key, false, 0 };

  for (; d.iterations < LUKS_MAX_ITERATIONS / 2; d.iterations *= 2)
    {
      vm_fiber_work (derive_work, &d);
      if (!d.ok || d.ns > 20000000)
        break;
    }
  double n = d.ns > 0 ? (double) d.iterations / d.ns * 1e6 * ms : 0;
  return CLAMP (n, LUKS_MIN_ITERATIONS, LUKS_MAX_ITERATIONS - 1);
}

/* --- stripes ------------------------------------------------------------------------------------------------- */

/* Each digest's length of DATA becomes the digest of its number and itself. */
static void
diffuse (int hash, uint8_t *data, size_t len)
{
  size_t digest = gcry_md_get_algo_dlen (hash);
  uint8_t input[4 + 64], output[64];

  for (size_t at = 0, i = 0; at < len; at += digest, i++)
    {
      size_t n = MIN (digest, len - at);
      vm_store_be32 (input, i);
      memcpy (input + 4, data + at, n);
      gcry_md_hash_buffer (hash, output, input, 4 + n);
      memcpy (data + at, output, n);
    }
}

static void
mix (uint8_t *to, const uint8_t *from, size_t len)
{
  for (size_t i = 0; i < len; i++)
    to[i] ^= from[i];
}

void
luks_split (const char *hash, const uint8_t *key, size_t key_len, uint8_t *to)
{
  int algorithm = vm_hash_algorithm (hash);
  uint8_t block[LUKS_MAX_KEY] = { 0 };
  const size_t last = (LUKS_STRIPES - 1) * key_len;

  gcry_randomize (to, last, GCRY_STRONG_RANDOM);
  for (unsigned i = 0; i < LUKS_STRIPES - 1; i++)
    {
      mix (block, to + i * key_len, key_len);
      diffuse (algorithm, block, key_len);
    }
  memcpy (to + last, block, key_len);
  mix (to + last, key, key_len);
}

void
luks_merge (const char *hash, const uint8_t *from, size_t key_len, uint8_t *key)
{
  int algorithm = vm_hash_algorithm (hash);

  memset (key, 0, key_len);
  for (unsigned i = 0; i < LUKS_STRIPES - 1; i++)
    {
      mix (key, from + i * key_len, key_len);
      diffuse (algorithm, key, key_len);
    }
  mix (key, from + (LUKS_STRIPES - 1) * key_len, key_len);
}

/* --- slots ---------------------------------------------------------------------------------------------------- */

static size_t
material_len (const VmLuks *luks)
{
  return VM_ALIGN_UP (luks->key_len * LUKS_STRIPES, VM_CIPHER_SECTOR);
}

int
luks_try_slot (const VmLuks *luks, const VmLuksIo *io, unsigned slot, const uint8_t *pass, size_t pass_len,
               uint8_t *key, GError **error)
{
  const uint8_t *s = luks_slot (luks, slot);
  uint8_t slot_key[LUKS_MAX_KEY], digest[LUKS_DIGEST];
  size_t len = material_len (luks);

  if (!luks_slot_enabled (luks, slot))
    return 0;
  g_autofree uint8_t *material = g_malloc (len);
  int err = io->read (io->opaque, luks_slot_offset (luks, slot), material, len);
  if (err < 0)
    return vm_fail (error, "Unable to read the key material of slot %u: %s", slot, g_strerror (-err)), err;
  if (!luks_derive (luks->hash, pass, pass_len, s + SLOT_SALT, vm_load_be32 (s + SLOT_ITERATIONS), slot_key,
                    luks->key_len))
    return vm_fail (error, "The password cannot be turned into a key"), -EINVAL;
  VmSectorCipher *cipher = luks_cipher (luks, slot_key, error);
  if (!cipher)
    return -EINVAL;
  err = vm_sector_cipher_run (cipher, 0, material, len, false);
  vm_sector_cipher_free (cipher);
  if (err < 0)
    return vm_fail (error, "Unable to decrypt the key material of slot %u", slot), err;
  luks_merge (luks->hash, material, luks->key_len, key);
  explicit_bzero (material, len);
  if (!luks_derive (luks->hash, key, luks->key_len, luks->header + LUKS_AT_SALT,
                    vm_load_be32 (luks->header + LUKS_AT_ITERATIONS), digest, LUKS_DIGEST))
    return vm_fail (error, "The disk's key cannot be checked"), -EINVAL;
  return !memcmp (digest, luks->header + LUKS_AT_DIGEST, LUKS_DIGEST);
}

GBytes *
luks_fill_slot (VmLuks *luks, unsigned slot, const uint8_t *pass, size_t pass_len, uint64_t iter_time, GError **error)
{
  uint8_t *s = luks_slot (luks, slot), slot_key[LUKS_MAX_KEY];
  size_t len = material_len (luks);

  vm_store_be32 (s + SLOT_ITERATIONS, luks_iterations (luks->hash, luks->key_len, iter_time ? iter_time : 2000));
  gcry_randomize (s + SLOT_SALT, LUKS_SALT, GCRY_STRONG_RANDOM);
  if (!luks_derive (luks->hash, pass, pass_len, s + SLOT_SALT, vm_load_be32 (s + SLOT_ITERATIONS), slot_key,
                    luks->key_len))
    {
      vm_fail (error, "The password cannot be turned into a key");
      return NULL;
    }
  VmSectorCipher *cipher = luks_cipher (luks, slot_key, error);
  explicit_bzero (slot_key, sizeof slot_key);
  if (!cipher)
    return NULL;
  uint8_t *material = g_malloc0 (len);
  luks_split (luks->hash, luks->key, luks->key_len, material);
  vm_sector_cipher_run (cipher, 0, material, len, true);
  vm_sector_cipher_free (cipher);
  vm_store_be32 (s, SLOT_ENABLED);
  return g_bytes_new_take (material, len);
}
