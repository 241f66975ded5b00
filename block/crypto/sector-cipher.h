/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ciphers over the sectors of a disk, each sector with a vector made of its number. Any fiber of one loop. */
#pragma once

#include "block/node.h"

enum
{
  VM_CIPHER_SECTOR = 512
};

typedef struct VmSectorCipherSpec
{
  const char *cipher; /* as LUKS names them: "aes", "serpent", "twofish", "cast5" */
  const char *mode;   /* "xts", "cbc", "ecb", "ctr" */
  const char *ivgen;  /* "plain", "plain64", "essiv"; of "ecb": NULL */
  const char *ivgen_hash;
} VmSectorCipherSpec;

typedef struct VmSectorCipher VmSectorCipher;
VmSectorCipher *vm_sector_cipher_new (const VmSectorCipherSpec *spec, const uint8_t *key, size_t key_len,
                                      GError **error);
void vm_sector_cipher_free (VmSectorCipher *cipher);
/* LEN bytes, whole sectors from number SECTOR, in place. On a worker when they are many. */
int vm_sector_cipher_run (VmSectorCipher *cipher, uint64_t sector, void *data, size_t len, bool encrypt);

int vm_hash_algorithm (const char *name); /* libgcrypt's number; 0: unknown */
void vm_crypto_init (void);
