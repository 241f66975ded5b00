/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LUKS version 1 headers ("LUKS On-Disk Format Specification" 1.2): a disk's key, kept under passwords in eight slots.
 * For images that are LUKS volumes, and for formats that keep such a header inside. In fibers. */
#pragma once

#include "block/crypto/sector-cipher.h"

/* Where the header lies: OFFSET counts from its beginning. 0, or a negative errno value. */
typedef struct VmLuksIo
{
  int (*read) (void *opaque, uint64_t offset, void *to, size_t len);
  int (*write) (void *opaque, uint64_t offset, const void *from, size_t len);
  void *opaque;
} VmLuksIo;

typedef struct VmLuksParams
{ /* NULL: the usual */
  const char *cipher_alg, *cipher_mode, *ivgen_alg, *ivgen_hash_alg, *hash_alg;
  uint64_t iter_time; /* milliseconds; 0: 2,000 */
} VmLuksParams;
/* The options PREFIX "cipher-alg" and so on. */
bool vm_luks_take_params (VmLuksParams *params, const VmCreateValues *values, const char *prefix, GError **error);

typedef struct VmLuks VmLuks;
bool vm_luks_probe (const uint8_t *head, size_t n);
/* SECRET: the id of the object that holds a password; NULL: the header is read, the data stays locked. */
VmLuks *vm_luks_open (const VmLuksIo *io, VmObject *objects, const char *secret, GError **error);
/* Whether vm_luks_new() would take them. */
bool vm_luks_check (const VmLuksParams *params, VmObject *objects, const char *secret, GError **error);
/* The bytes that the header of a new one takes; 0: an error. */
uint64_t vm_luks_measure (const VmLuksParams *params, GError **error);
/* A new header in memory, with one password. */
VmLuks *vm_luks_new (const VmLuksParams *params, VmObject *objects, const char *secret, GError **error);
bool vm_luks_write (VmLuks *luks, const VmLuksIo *io, GError **error); /* of a new one, once */
void vm_luks_free (VmLuks *luks);

void vm_luks_detach (VmLuks *luks); /* a new one: the data will lie elsewhere, from its beginning */
uint64_t vm_luks_payload (const VmLuks *luks); /* where data begins: the bytes the header takes */
bool vm_luks_unlocked (const VmLuks *luks);
/* Whole sectors of data in place; OFFSET counts from the payload or whatever numbers the sectors. */
int vm_luks_run (VmLuks *luks, uint64_t offset, void *data, size_t len, bool encrypt);
json_object *vm_luks_describe (const VmLuks *luks);

typedef struct VmLuksAmend
{
  bool active; /* add a password; else erase */
  int slot;    /* -1: by OLD_SECRET, or the first free one */
  const char *old_secret, *new_secret;
  uint64_t iter_time;
  bool force;
} VmLuksAmend;
bool vm_luks_amend (VmLuks *luks, const VmLuksIo *io, VmObject *objects, const VmLuksAmend *amend, GError **error);
/* From the options PREFIX "state" and so on. */
bool vm_luks_take_amend (VmLuksAmend *amend, const VmCreateValues *values, const char *prefix, GError **error);
