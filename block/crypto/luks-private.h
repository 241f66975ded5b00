/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files about LUKS share. Numbers in headers are big-endian. */
#pragma once

#include "block/crypto/luks.h"

enum
{
  LUKS_HEADER = 592,
  LUKS_AT_VERSION = 6,
  LUKS_AT_CIPHER = 8,
  LUKS_AT_MODE = 40,
  LUKS_AT_HASH = 72,
  LUKS_NAME = 32,
  LUKS_AT_PAYLOAD = 104,
  LUKS_AT_KEY_LEN = 108,
  LUKS_AT_DIGEST = 112,
  LUKS_DIGEST = 20,
  LUKS_AT_SALT = 132,
  LUKS_SALT = 32,
  LUKS_AT_ITERATIONS = 164,
  LUKS_AT_UUID = 168,
  LUKS_UUID = 40,
  LUKS_AT_SLOTS = 208,
  LUKS_SLOT = 48,
  LUKS_SLOTS = 8,
  SLOT_ITERATIONS = 4,
  SLOT_SALT = 8,
  SLOT_MATERIAL = 40,
  SLOT_STRIPES = 44,
  LUKS_STRIPES = 4000,
  LUKS_ALIGN = 4096,
  LUKS_MIN_ITERATIONS = 1000,
  LUKS_MAX_ITERATIONS = 1 << 26, /* a minute or so for each slot: strangers write headers, too */
  LUKS_MAX_KEY = 128,
};
#define LUKS_MAGIC "LUKS\xba\xbe"
#define SLOT_ENABLED 0x00ac71f3u
#define SLOT_DISABLED 0x0000deadu

struct VmLuks
{
  uint8_t header[LUKS_HEADER];
  char cipher[LUKS_NAME + 1], mode[LUKS_NAME + 1], hash[LUKS_NAME + 1]; /* of the header; MODE up to the first '-' */
  char ivgen[LUKS_NAME + 1], ivgen_hash[LUKS_NAME + 1];                 /* "" : none */
  uint8_t key[LUKS_MAX_KEY];
  size_t key_len;
  VmSectorCipher *data; /* NULL: locked */
  GPtrArray *material;  /* of slots that are not written yet: GBytes by slot, or NULL */
};

static inline uint8_t *
luks_slot (const VmLuks *luks, unsigned slot)
{
  return (uint8_t *) luks->header + LUKS_AT_SLOTS + slot * LUKS_SLOT;
}

static inline bool
luks_slot_enabled (const VmLuks *luks, unsigned slot)
{
  return vm_load_be32 (luks_slot (luks, slot)) == SLOT_ENABLED;
}

static inline uint64_t
luks_slot_offset (const VmLuks *luks, unsigned slot)
{
  return vm_load_be32 (luks_slot (luks, slot) + SLOT_MATERIAL) * UINT64_C (512);
}

VmSectorCipher *luks_cipher (const VmLuks *luks, const uint8_t *key, GError **error);
/* PBKDF2 on a worker. */
bool luks_derive (const char *hash, const void *pass, size_t pass_len, const uint8_t *salt, uint32_t iterations,
                  uint8_t *to, size_t len);
/* As many iterations as take MS milliseconds here for LEN bytes. */
uint32_t luks_iterations (const char *hash, size_t len, uint64_t ms);
/* Anti-forensic splitting: KEY_LEN bytes to and from LUKS_STRIPES times as many. */
void luks_split (const char *hash, const uint8_t *key, size_t key_len, uint8_t *to);
void luks_merge (const char *hash, const uint8_t *from, size_t key_len, uint8_t *key);

/* Tries PASS on a slot: 1 when it fits (KEY is the disk's key then), 0 when not, negative on errors. */
int luks_try_slot (const VmLuks *luks, const VmLuksIo *io, unsigned slot, const uint8_t *pass, size_t pass_len,
                   uint8_t *key, GError **error);
/* Puts the disk's key under PASS into SLOT of the header in memory; the slot's material, encrypted. */
GBytes *luks_fill_slot (VmLuks *luks, unsigned slot, const uint8_t *pass, size_t pass_len, uint64_t iter_time,
                        GError **error);
