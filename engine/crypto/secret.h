/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets: passwords and keys under an id, given in the clear, by file, by the kernel's key ring, or encrypted
 * with another secret. */
#pragma once

#include "engine/object/user-object.h"

typedef enum VmSecretFormat
{
  VM_SECRET_RAW,
  VM_SECRET_BASE64
} VmSecretFormat;

#define VM_SECRET_KEY_SIZE 32 /* AES-256 */
#define VM_SECRET_IV_SIZE 16

/* The bytes of secret ID, followed by a 0 that LEN does not count; give them to vm_secret_free(). */
uint8_t *vm_secret_get (VmObject *root, const char *id, size_t *len, GError **error);
/* The same as text, which it must be. */
char *vm_secret_get_text (VmObject *root, const char *id, GError **error);
/* Overwrites first. */
void vm_secret_free (void *bytes, size_t len);

/* What INPUT means. KEY may be NULL: not encrypted; otherwise IV, in base64, is needed. */
uint8_t *vm_secret_decode (const uint8_t *input, size_t input_len, VmSecretFormat format, const uint8_t *key,
                           size_t key_len, const char *iv, size_t *len, GError **error);

extern const VmType vm_secret_common_type; /* abstract */
