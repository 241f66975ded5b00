/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An ordered list of key=value pairs: what one option argument says, whichever way it was written. */
#pragma once

#include "engine/base/base.h"

typedef struct VmKeyValue
{
  char *key;
  char *value;
  bool used;    /* somebody took it: vm_keyvals_check_used() reports the others */
  bool implied; /* the key was not written */
  bool flag;    /* written as "key" or "nokey" without "=" */
} VmKeyValue;

typedef struct VmKeyVals
{
  GPtrArray *pairs; /* VmKeyValue *, in the order written */
} VmKeyVals;

typedef enum VmKeyValsFlags
{
  VM_KEYVALS_STRICT = 1 << 0, /* "key" without "=" is an error, not a boolean */
} VmKeyValsFlags;

VmKeyVals *vm_keyvals_new (void);
void vm_keyvals_free (VmKeyVals *list);
VmKeyVals *vm_keyvals_copy (const VmKeyVals *list);
/* "a,k=v,,w,k2=v": splits at single commas. IMPLIED is the key of a first item without "=" (NULL: none).
 * In the older, not strict, lists a bare "key" is on and "nokey" off (a warning is printed). */
bool vm_keyvals_parse (VmKeyVals *list, const char *text, const char *implied, VmKeyValsFlags flags, GError **error);
/* {"a": {"b": 1}} -> a.b=1; list elements become a.0, a.1. */
bool vm_keyvals_parse_json (VmKeyVals *list, const char *text, GError **error);

void vm_keyvals_add (VmKeyVals *list, const char *key, const char *value);
void vm_keyvals_set (VmKeyVals *list, const char *key, const char *value); /* replaces earlier ones */
void vm_keyvals_remove (VmKeyVals *list, const char *key);
void vm_keyvals_merge (VmKeyVals *list, const VmKeyVals *later); /* later values win */
/* The last value of KEY or NULL; marks every pair of that key as used. */
const char *vm_keyvals_get (const VmKeyVals *list, const char *key);
bool vm_keyvals_has (const VmKeyVals *list, const char *key); /* does not mark */
/* Typed: leave *VALUE alone when the key is absent; fail with the wording of the option rules. */
bool vm_keyvals_bool (const VmKeyVals *list, const char *key, bool *value, GError **error);
bool vm_keyvals_uint (const VmKeyVals *list, const char *key, uint64_t *value, uint64_t max, GError **error);
bool vm_keyvals_int (const VmKeyVals *list, const char *key, int64_t *value, GError **error);
bool vm_keyvals_size (const VmKeyVals *list, const char *key, char default_suffix, uint64_t *value, GError **error);
bool vm_keyvals_enum (const VmKeyVals *list, const char *key, const char *const *names, int *value, GError **error);
/* A key nobody asked for: "Invalid parameter 'x'". */
bool vm_keyvals_check_used (const VmKeyVals *list, GError **error);
/* The list as it could be typed: for messages, and for info commands. */
char *vm_keyvals_to_string (const VmKeyVals *list);

/* Letters, digits, '-', '.', '_', beginning with a letter. */
bool vm_id_well_formed (const char *id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmKeyVals, vm_keyvals_free)
