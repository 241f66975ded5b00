/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LUKS version 1 headers ("LUKS On-Disk Format Specification" 1.2): reading, making and changing them. */
#include "block/crypto/luks-private.h"

#include "engine/crypto/secret.h"

#include <errno.h>
#include <gcrypt.h>
#include <inttypes.h>

VmSectorCipher *
luks_cipher (const VmLuks *luks, const uint8_t *key, GError **error)
{
  VmSectorCipherSpec spec
      = { luks->cipher, luks->mode, *luks->ivgen ? luks->ivgen : NULL, *luks->ivgen_hash ? luks->ivgen_hash : NULL };

  return vm_sector_cipher_new (&spec, key, luks->key_len, error);
}

static bool
unlock (VmLuks *luks, GError **error)
{
  luks->data = luks_cipher (luks, luks->key, error);
  return luks->data != NULL;
}

void
vm_luks_free (VmLuks *luks)
{
  if (!luks)
    return;
  vm_sector_cipher_free (luks->data);
  if (luks->material)
    g_ptr_array_unref (luks->material);
  explicit_bzero (luks, sizeof *luks);
  g_free (luks);
}

uint64_t
vm_luks_payload (const VmLuks *luks)
{
  return vm_load_be32 (luks->header + LUKS_AT_PAYLOAD) * UINT64_C (512);
}

void
vm_luks_detach (VmLuks *luks)
{
  vm_store_be32 (luks->header + LUKS_AT_PAYLOAD, 0);
}

bool
vm_luks_unlocked (const VmLuks *luks)
{
  return luks->data != NULL;
}

int
vm_luks_run (VmLuks *luks, uint64_t offset, void *data, size_t len, bool encrypt)
{
  return luks->data ? vm_sector_cipher_run (luks->data, offset / VM_CIPHER_SECTOR, data, len, encrypt) : -EPERM;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

bool
vm_luks_probe (const uint8_t *head, size_t n)
{
  return n >= LUKS_HEADER && !memcmp (head, LUKS_MAGIC, 6) && vm_load_be16 (head + LUKS_AT_VERSION) == 1;
}

/* "xts-plain64", "cbc-essiv:sha256", "ecb" */
static bool
split_mode (VmLuks *luks, GError **error)
{
  char *dash = strchr (luks->mode, '-');

  if (!dash)
    return !strcmp (luks->mode, "ecb") || vm_fail (error, "Unexpected cipher mode string format '%s'", luks->mode);
  g_strlcpy (luks->ivgen, dash + 1, sizeof luks->ivgen);
  *dash = 0;
  char *colon = strchr (luks->ivgen, ':');
  if (colon)
    {
      g_strlcpy (luks->ivgen_hash, colon + 1, sizeof luks->ivgen_hash);
      *colon = 0;
    }
  return true;
}

static bool
check_slots (const VmLuks *luks, GError **error)
{
  uint64_t len = VM_ALIGN_UP (luks->key_len * LUKS_STRIPES, 512), payload = vm_luks_payload (luks);

  for (unsigned i = 0; i < LUKS_SLOTS; i++)
    {
      const uint8_t *s = luks_slot (luks, i);
      uint64_t at = luks_slot_offset (luks, i);
      uint32_t active = vm_load_be32 (s), iterations = vm_load_be32 (s + SLOT_ITERATIONS);
      if (active != SLOT_ENABLED && active != SLOT_DISABLED)
        return vm_fail (error, "Keyslot %u state (active/disable) is corrupted", i);
      if (vm_load_be32 (s + SLOT_STRIPES) != LUKS_STRIPES)
        return vm_fail (error, "Keyslot %u is corrupted (stripes %u != %u)", i, vm_load_be32 (s + SLOT_STRIPES),
                        LUKS_STRIPES);
      if (at < LUKS_HEADER)
        return vm_fail (error, "Keyslot %u is overlapping the LUKS header", i);
      if (payload && at + len > payload)
        return vm_fail (error, "Keyslot %u is overlapping with the encrypted payload", i);
      if (active == SLOT_ENABLED && (!iterations || iterations > LUKS_MAX_ITERATIONS))
        return vm_fail (error, "Keyslot %u iteration count is out of range", i);
      for (unsigned k = 0; k < i; k++)
        if (at < luks_slot_offset (luks, k) + len && luks_slot_offset (luks, k) < at + len)
          return vm_fail (error, "Keyslots %u and %u are overlapping in the header", k, i);
    }
  return true;
}

static bool
parse (VmLuks *luks, GError **error)
{
  const uint8_t *h = luks->header;
  uint32_t iterations = vm_load_be32 (h + LUKS_AT_ITERATIONS);

  if (memcmp (h, LUKS_MAGIC, 6))
    return vm_fail (error, "Volume is not in LUKS format");
  if (vm_load_be16 (h + LUKS_AT_VERSION) != 1)
    return vm_fail (error, "LUKS version %u is not supported", vm_load_be16 (h + LUKS_AT_VERSION));
  memcpy (luks->cipher, h + LUKS_AT_CIPHER, LUKS_NAME);
  memcpy (luks->mode, h + LUKS_AT_MODE, LUKS_NAME);
  memcpy (luks->hash, h + LUKS_AT_HASH, LUKS_NAME);
  luks->key_len = vm_load_be32 (h + LUKS_AT_KEY_LEN);
  if (!luks->key_len || luks->key_len > LUKS_MAX_KEY)
    return vm_fail (error, "LUKS key length %zu is not supported", luks->key_len);
  if (!vm_hash_algorithm (luks->hash))
    return vm_fail (error, "Hash algorithm '%s' is not supported", luks->hash);
  if (!iterations || iterations > LUKS_MAX_ITERATIONS)
    return vm_fail (error, "LUKS key iteration count is out of range");
  return split_mode (luks, error) && check_slots (luks, error);
}

static bool
find_key (VmLuks *luks, const VmLuksIo *io, VmObject *objects, const char *secret, GError **error)
{
  size_t len;
  uint8_t *pass = vm_secret_get (objects, secret, &len, error);
  int found = 0;

  for (unsigned i = 0; pass && i < LUKS_SLOTS && !found; i++)
    found = luks_try_slot (luks, io, i, pass, len, luks->key, error);
  vm_secret_free (pass, len);
  if (!pass || found < 0)
    return false;
  if (!found)
    return vm_fail (error, "Invalid password, cannot unlock any keyslot");
  return unlock (luks, error);
}

VmLuks *
vm_luks_open (const VmLuksIo *io, VmObject *objects, const char *secret, GError **error)
{
  VmLuks *luks = g_new0 (VmLuks, 1);
  int err = io->read (io->opaque, 0, luks->header, LUKS_HEADER);
  bool ok;

  vm_crypto_init ();
  if (err < 0)
    ok = vm_fail (error, "Unable to read LUKS header: %s", g_strerror (-err));
  else
    ok = parse (luks, error) && (!secret || find_key (luks, io, objects, secret, error));
  if (!ok)
    g_clear_pointer (&luks, vm_luks_free);
  return luks;
}

json_object *
vm_luks_describe (const VmLuks *luks)
{
  json_object *data = json_object_new_object (), *slots = json_object_new_array ();
  bool xts = !strcmp (luks->mode, "xts");
  g_autofree char *alg = g_strdup_printf ("%s-%zu", luks->cipher, luks->key_len * 8 / (xts ? 2 : 1));
  char uuid[LUKS_UUID + 1] = { 0 };

  memcpy (uuid, luks->header + LUKS_AT_UUID, LUKS_UUID);
  for (unsigned i = 0; i < LUKS_SLOTS; i++)
    {
      json_object *slot = json_object_new_object ();
      bool active = luks_slot_enabled (luks, i);
      json_object_object_add (slot, "active", json_object_new_boolean (active));
      if (active)
        json_object_object_add (slot, "iters",
                                json_object_new_uint64 (vm_load_be32 (luks_slot (luks, i) + SLOT_ITERATIONS)));
      json_object_object_add (slot, "key-offset", json_object_new_uint64 (luks_slot_offset (luks, i)));
      if (active)
        json_object_object_add (slot, "stripes", json_object_new_uint64 (LUKS_STRIPES));
      json_object_array_add (slots, slot);
    }
  if (*luks->ivgen)
    json_object_object_add (data, "ivgen-alg", json_object_new_string (luks->ivgen));
  if (*luks->ivgen_hash)
    json_object_object_add (data, "ivgen-hash-alg", json_object_new_string (luks->ivgen_hash));
  json_object_object_add (data, "hash-alg", json_object_new_string (luks->hash));
  json_object_object_add (data, "cipher-alg", json_object_new_string (alg));
  json_object_object_add (data, "uuid", json_object_new_string (uuid));
  json_object_object_add (data, "cipher-mode", json_object_new_string (luks->mode));
  json_object_object_add (data, "slots", slots);
  json_object_object_add (data, "payload-offset", json_object_new_uint64 (vm_luks_payload (luks)));
  json_object_object_add (data, "master-key-iters",
                          json_object_new_uint64 (vm_load_be32 (luks->header + LUKS_AT_ITERATIONS)));
  return data;
}

/* --- making ---------------------------------------------------------------------------------------------------- */

static const struct
{
  const char *name, *cipher;
  unsigned bytes;
} cipher_algs[] = {
  { "aes-128", "aes", 16 },         { "aes-192", "aes", 24 },         { "aes-256", "aes", 32 },
  { "cast5-128", "cast5", 16 },     { "serpent-128", "serpent", 16 }, { "serpent-192", "serpent", 24 },
  { "serpent-256", "serpent", 32 }, { "twofish-128", "twofish", 16 }, { "twofish-256", "twofish", 32 },
};

static const char *
text_of (const VmCreateValues *values, const char *prefix, const char *name)
{
  g_autofree char *whole = g_strconcat (prefix, name, NULL);

  return vm_create_text (values, whole);
}

bool
vm_luks_take_params (VmLuksParams *params, const VmCreateValues *values, const char *prefix, GError **error)
{
  g_autofree char *iter_time = g_strconcat (prefix, "iter-time", NULL);

  *params = (VmLuksParams){
    .cipher_alg = text_of (values, prefix, "cipher-alg"),
    .cipher_mode = text_of (values, prefix, "cipher-mode"),
    .ivgen_alg = text_of (values, prefix, "ivgen-alg"),
    .ivgen_hash_alg = text_of (values, prefix, "ivgen-hash-alg"),
    .hash_alg = text_of (values, prefix, "hash-alg"),
  };
  if (!vm_create_has (values, iter_time))
    return true;
  params->iter_time = vm_create_number (values, iter_time);
  if (!params->iter_time)
    return vm_fail (error, "iter-time must be non-zero");
  return params->iter_time <= 3600000 || vm_fail (error, "iter-time must be at most an hour");
}

static bool
check_choice (const char *name, const char *value, const char *const *choices, GError **error)
{
  return g_strv_contains (choices, value) || vm_fail (error, "Parameter '%s' does not accept value '%s'", name, value);
}

static bool
take_names (VmLuks *luks, const VmLuksParams *p, GError **error)
{
  static const char *const modes[] = { "ecb", "cbc", "xts", "ctr", NULL };
  static const char *const ivgens[] = { "plain", "plain64", "essiv", NULL };
  const char *alg = p->cipher_alg ? p->cipher_alg : "aes-256", *mode = p->cipher_mode ? p->cipher_mode : "xts";
  const char *ivgen = p->ivgen_alg ? p->ivgen_alg : "plain64", *hash = p->hash_alg ? p->hash_alg : "sha256";
  size_t i = 0;

  while (i < G_N_ELEMENTS (cipher_algs) && strcmp (cipher_algs[i].name, alg))
    i++;
  if (i == G_N_ELEMENTS (cipher_algs))
    return vm_fail (error, "Parameter 'cipher-alg' does not accept value '%s'", alg);
  if (!check_choice ("cipher-mode", mode, modes, error) || !check_choice ("ivgen-alg", ivgen, ivgens, error))
    return false;
  if (!vm_hash_algorithm (hash))
    return vm_fail (error, "Parameter 'hash-alg' does not accept value '%s'", hash);
  bool essiv = !strcmp (ivgen, "essiv");
  if (p->ivgen_hash_alg && !vm_hash_algorithm (p->ivgen_hash_alg))
    return vm_fail (error, "Parameter 'ivgen-hash-alg' does not accept value '%s'", p->ivgen_hash_alg);
  if (p->ivgen_hash_alg && !essiv)
    return vm_fail (error, "ivgen-hash-alg is only for ivgen-alg=essiv");
  g_strlcpy (luks->cipher, cipher_algs[i].cipher, sizeof luks->cipher);
  g_strlcpy (luks->mode, mode, sizeof luks->mode);
  g_strlcpy (luks->ivgen, ivgen, sizeof luks->ivgen);
  g_strlcpy (luks->ivgen_hash, essiv ? p->ivgen_hash_alg ? p->ivgen_hash_alg : "sha256" : "", sizeof luks->ivgen_hash);
  g_strlcpy (luks->hash, hash, sizeof luks->hash);
  luks->key_len = cipher_algs[i].bytes * (strcmp (mode, "xts") ? 1 : 2);
  return true;
}

/* What the material of one slot takes. */
static uint64_t
slot_room (const VmLuks *luks)
{
  return VM_ALIGN_UP (luks->key_len * LUKS_STRIPES, LUKS_ALIGN);
}

uint64_t
vm_luks_measure (const VmLuksParams *params, GError **error)
{
  g_autofree VmLuks *luks = g_new0 (VmLuks, 1);

  return take_names (luks, params, error) ? LUKS_ALIGN + LUKS_SLOTS * slot_room (luks) : 0;
}

static bool
make_header (VmLuks *luks, uint64_t iter_time, GError **error)
{
  uint8_t *h = luks->header;
  g_autofree char *mode = g_strconcat (luks->mode, *luks->ivgen ? "-" : "", luks->ivgen, *luks->ivgen_hash ? ":" : "",
                                       luks->ivgen_hash, NULL);
  g_autofree char *uuid = g_uuid_string_random ();
  uint64_t at = LUKS_ALIGN;

  memcpy (h, LUKS_MAGIC, 6);
  vm_store_be16 (h + LUKS_AT_VERSION, 1);
  g_strlcpy ((char *) h + LUKS_AT_CIPHER, luks->cipher, LUKS_NAME);
  g_strlcpy ((char *) h + LUKS_AT_MODE, mode, LUKS_NAME);
  g_strlcpy ((char *) h + LUKS_AT_HASH, luks->hash, LUKS_NAME);
  vm_store_be32 (h + LUKS_AT_KEY_LEN, luks->key_len);
  g_strlcpy ((char *) h + LUKS_AT_UUID, uuid, LUKS_UUID);
  gcry_randomize (luks->key, luks->key_len, GCRY_VERY_STRONG_RANDOM);
  gcry_randomize (h + LUKS_AT_SALT, LUKS_SALT, GCRY_STRONG_RANDOM);
  vm_store_be32 (h + LUKS_AT_ITERATIONS, luks_iterations (luks->hash, LUKS_DIGEST, MAX (iter_time / 8, 1)));
  if (!luks_derive (luks->hash, luks->key, luks->key_len, h + LUKS_AT_SALT, vm_load_be32 (h + LUKS_AT_ITERATIONS),
                    h + LUKS_AT_DIGEST, LUKS_DIGEST))
    return vm_fail (error, "Hash algorithm '%s' is not supported", luks->hash);
  for (unsigned i = 0; i < LUKS_SLOTS; i++)
    {
      vm_store_be32 (luks_slot (luks, i), SLOT_DISABLED);
      vm_store_be32 (luks_slot (luks, i) + SLOT_MATERIAL, at / 512);
      vm_store_be32 (luks_slot (luks, i) + SLOT_STRIPES, LUKS_STRIPES);
      at += slot_room (luks);
    }
  vm_store_be32 (h + LUKS_AT_PAYLOAD, at / 512);
  return true;
}

/* The password of LUKS, whose names are those of PARAMS now; for vm_secret_free(). */
static uint8_t *
begin (VmLuks *luks, const VmLuksParams *params, VmObject *objects, const char *secret, size_t *len, GError **error)
{
  vm_crypto_init ();
  if (!secret)
    {
      vm_fail (error, "Parameter 'key-secret' is required for cipher");
      return NULL;
    }
  return take_names (luks, params, error) ? vm_secret_get (objects, secret, len, error) : NULL;
}

bool
vm_luks_check (const VmLuksParams *params, VmObject *objects, const char *secret, GError **error)
{
  g_autofree VmLuks *luks = g_new0 (VmLuks, 1);
  size_t len;
  uint8_t *pass = begin (luks, params, objects, secret, &len, error);

  if (pass)
    vm_secret_free (pass, len);
  return pass != NULL;
}

VmLuks *
vm_luks_new (const VmLuksParams *params, VmObject *objects, const char *secret, GError **error)
{
  VmLuks *luks = g_new0 (VmLuks, 1);
  uint64_t iter_time = params->iter_time ? params->iter_time : 2000;
  size_t len = 0;
  uint8_t *pass = begin (luks, params, objects, secret, &len, error);
  bool ok = pass && make_header (luks, iter_time, error) && unlock (luks, error);

  if (ok)
    {
      luks->material = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
      GBytes *material = luks_fill_slot (luks, 0, pass, len, iter_time, error);
      ok = material != NULL;
      if (ok)
        g_ptr_array_add (luks->material, material);
    }
  if (pass)
    vm_secret_free (pass, len);
  if (!ok)
    g_clear_pointer (&luks, vm_luks_free);
  return luks;
}

static bool
write_slot (const VmLuks *luks, const VmLuksIo *io, unsigned slot, GBytes *material, GError **error)
{
  gsize len;
  const void *bytes = g_bytes_get_data (material, &len);
  int err = io->write (io->opaque, luks_slot_offset (luks, slot), bytes, len);

  return err >= 0 || vm_fail (error, "Unable to write key material: %s", g_strerror (-err));
}

static bool
write_header (const VmLuks *luks, const VmLuksIo *io, GError **error)
{
  int err = io->write (io->opaque, 0, luks->header, LUKS_HEADER);

  return err >= 0 || vm_fail (error, "Unable to write LUKS header: %s", g_strerror (-err));
}

bool
vm_luks_write (VmLuks *luks, const VmLuksIo *io, GError **error)
{
  return write_slot (luks, io, 0, luks->material->pdata[0], error) && write_header (luks, io, error);
}

/* --- changing ---------------------------------------------------------------------------------------------------- */

bool
vm_luks_take_amend (VmLuksAmend *amend, const VmCreateValues *values, const char *prefix, GError **error)
{
  const char *state = text_of (values, prefix, "state");
  g_autofree char *slot = g_strconcat (prefix, "keyslot", NULL), *iter_time = g_strconcat (prefix, "iter-time", NULL);

  *amend = (VmLuksAmend){
    .slot = -1,
    .old_secret = text_of (values, prefix, "old-secret"),
    .new_secret = text_of (values, prefix, "new-secret"),
  };
  if (!state)
    return vm_fail (error, "Parameter 'state' is missing");
  if (strcmp (state, "active") && strcmp (state, "inactive"))
    return vm_fail (error, "Parameter 'state' does not accept value '%s'", state);
  amend->active = !strcmp (state, "active");
  if (vm_create_has (values, slot))
    {
      uint64_t n = vm_create_number (values, slot);
      if (n >= LUKS_SLOTS)
        return vm_fail (error, "Invalid keyslot %" PRIu64 ". Must be between 0 and %u", n, LUKS_SLOTS - 1);
      amend->slot = n;
    }
  if (vm_create_has (values, iter_time))
    amend->iter_time = vm_create_number (values, iter_time);
  return true;
}

static unsigned
count_enabled (const VmLuks *luks)
{
  unsigned n = 0;

  for (unsigned i = 0; i < LUKS_SLOTS; i++)
    n += luks_slot_enabled (luks, i);
  return n;
}

/* The slots that the password fits, as bits; negative on errors. */
static int
slots_of (const VmLuks *luks, const VmLuksIo *io, VmObject *objects, const char *secret, GError **error)
{
  uint8_t key[LUKS_MAX_KEY];
  size_t len;
  uint8_t *pass = vm_secret_get (objects, secret, &len, error);
  int slots = 0;

  if (!pass)
    return -1;
  for (unsigned i = 0; i < LUKS_SLOTS && slots >= 0; i++)
    {
      int fits = luks_try_slot (luks, io, i, pass, len, key, error);
      slots = fits < 0 ? fits : fits ? slots | 1 << i : slots;
    }
  vm_secret_free (pass, len);
  explicit_bzero (key, sizeof key);
  return slots;
}

static bool
erase_slot (VmLuks *luks, const VmLuksIo *io, unsigned slot, GError **error)
{
  size_t len = VM_ALIGN_UP (luks->key_len * LUKS_STRIPES, 512);
  g_autofree uint8_t *noise = g_malloc (len);
  uint8_t *s = luks_slot (luks, slot);

  vm_store_be32 (s, SLOT_DISABLED);
  vm_store_be32 (s + SLOT_ITERATIONS, 0);
  memset (s + SLOT_SALT, 0, LUKS_SALT);
  if (!write_header (luks, io, error))
    return false;
  gcry_randomize (noise, len, GCRY_WEAK_RANDOM);
  int err = io->write (io->opaque, luks_slot_offset (luks, slot), noise, len);
  return err >= 0 || vm_fail (error, "Unable to erase key material: %s", g_strerror (-err));
}

static bool
erase_slots (VmLuks *luks, const VmLuksIo *io, VmObject *objects, const VmLuksAmend *a, GError **error)
{
  int slots = a->slot >= 0 ? 1 << a->slot : 0;

  if (a->new_secret)
    return vm_fail (error, "'new-secret' must not be given when erasing keyslots");
  if (a->iter_time)
    return vm_fail (error, "'iter-time' must not be given when erasing keyslots");
  if (!a->old_secret && a->slot < 0)
    return vm_fail (error, "To erase keyslot(s), either explicit keyslot index or the password currently contained in "
                           "them must be given");
  if (a->old_secret)
    {
      int fitting = slots_of (luks, io, objects, a->old_secret, error);
      if (fitting < 0)
        return false;
      slots = a->slot >= 0 ? slots & fitting : fitting;
      if (!slots)
        return vm_fail (error, a->slot >= 0 ? "This keyslot doesn't contain a password that matches 'old-secret'"
                                            : "No keyslots match given (old) password for erase operation");
    }
  if (a->slot >= 0 && !luks_slot_enabled (luks, a->slot))
    return a->force || vm_fail (error, "Keyslot %i is already erased (inactive)", a->slot);
  if (!a->force && count_enabled (luks) <= (unsigned) __builtin_popcount (slots))
    return a->slot >= 0
               ? vm_fail (error,
                          "Attempt to erase the only active keyslot %i which will erase all the data in the image "
                          "irreversibly - refusing operation",
                          a->slot)
               : vm_fail (error,
                          "All the active keyslots match the (old) password that was given and erasing them will "
                          "erase all the data in the image irreversibly - refusing operation");
  for (unsigned i = 0; i < LUKS_SLOTS; i++)
    if (slots >> i & 1 && !erase_slot (luks, io, i, error))
      return false;
  return true;
}

static bool
add_slot (VmLuks *luks, const VmLuksIo *io, VmObject *objects, const VmLuksAmend *a, GError **error)
{
  int slot = a->slot;
  size_t len;

  if (!a->new_secret)
    return vm_fail (error, "'new-secret' is required to activate a keyslot");
  if (a->old_secret)
    return vm_fail (error, "'old-secret' must not be given when activating keyslots");
  if (!luks->data)
    return vm_fail (error, "Parameter 'key-secret' is required for cipher");
  if (slot >= 0 && luks_slot_enabled (luks, slot) && !a->force)
    return vm_fail (error, "Refusing to overwrite active keyslot %i - please erase it first", slot);
  for (unsigned i = 0; slot < 0 && i < LUKS_SLOTS; i++)
    if (!luks_slot_enabled (luks, i))
      slot = i;
  if (slot < 0)
    return vm_fail (error, "Can't add a keyslot - all keyslots are in use");
  uint8_t *pass = vm_secret_get (objects, a->new_secret, &len, error);
  if (!pass)
    return false;
  g_autoptr (GBytes) material = luks_fill_slot (luks, slot, pass, len, a->iter_time, error);
  vm_secret_free (pass, len);
  /* The slot is named by the header when its material is there. */
  return material && write_slot (luks, io, slot, material, error) && write_header (luks, io, error);
}

bool
vm_luks_amend (VmLuks *luks, const VmLuksIo *io, VmObject *objects, const VmLuksAmend *amend, GError **error)
{
  return amend->active ? add_slot (luks, io, objects, amend, error) : erase_slots (luks, io, objects, amend, error);
}
