/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking a list against the documented keys and values of its option: what options.tsv says, in the words of
 * sections 3 to 5 of the option rules. */
#pragma once

#include "engine/options/options.h"

/* Which family of sentences an option uses. */
typedef enum VmDialect
{
  VM_DIALECT_OLD,     /* "Invalid parameter 'x'", "expects a number" */
  VM_DIALECT_VISITOR, /* "Invalid parameter 'x'", "expects a uint64 value" */
  VM_DIALECT_SCHEMA,  /* "Parameter 'x' is unexpected", "expects integer" */
} VmDialect;

typedef enum VmValueKind
{
  VM_VALUE_FREE,
  VM_VALUE_BOOL,
  VM_VALUE_AUTO, /* on|off|auto */
  VM_VALUE_ENUM,
  VM_VALUE_NUMBER,
  VM_VALUE_SIZE,
} VmValueKind;

VmValueKind vm_documented_kind (const char *values);
/* The words of "a|b|c (note)"; free with g_strfreev(). NULL: not a choice between words. */
char **vm_documented_words (const char *values);

/* The row of KEY in one of OPTIONS ("netdev", "netdev user", ...; ends with NULL). "N" in a documented key stands for
 * a number, "<child>" for any word, and "X.sub" is one when X is documented as a "<node>". NULL: no such key. */
const VmOptionKey *vm_documented_key (const char *const *options, const char *key);
/* Keys and values of LIST. ENUM_ERROR is a sentence with "%k" and "%v" where an option words it by itself (NULL: that of
 * the dialect; "": values of choices are not looked at here). */
bool vm_documented_check (const VmKeyVals *list, const char *const *options, VmDialect dialect, const char *enum_error,
                          GError **error);
/* The keys the row of OPTION itself calls for: "driver=throttle,file=" needs file. Without ID_TOO
 * an id may be missing. */
bool vm_documented_check_required (const VmKeyVals *list, const char *option, bool id_too, GError **error);

/* OPTION ("machine", "object iothread") documents KEY, which is not there yet: the sentence for VALUE, which may be
 * wrong all the same. False and no error: the key is not documented for a PC. */
bool vm_documented_explain (const char *option, const char *key, const char *value, GError **error);
/* The documentation has a kind of that name: "device intel-iommu". */
bool vm_documented_kind_of (const char *option, const char *kind);
