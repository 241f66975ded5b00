/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that read the command line share. */
#pragma once

#include "engine/options/options.h"

typedef struct VmParser
{
  VmSettings *s;
  const char *name_of_option; /* "hda" */
  const char *option;         /* "-hda", as typed */
  const char *arg;            /* NULL: takes none */
  const char *typed;          /* "-hda FILE": what messages begin with */
  /* Merged over repeats, read at the end. */
  VmKeyVals *memory, *boot, *name, *rtc;
  GHashTable *ids; /* "netdev x": those taken, by kind */
  bool serial_given, parallel_given, monitor_given;
  bool snapshot, incoming;
  char *unavailable; /* the first line that cannot take effect in this build */
} VmParser;

typedef bool (*VmApplyFunc) (VmParser *p, const char *arg, GError **error);
typedef struct VmApply
{
  const char *name;
  VmApplyFunc func;
} VmApply;

extern const VmApply vm_apply_machine[], vm_apply_backends[], vm_apply_process[],
    vm_apply_later[]; /* end with a NULL name */

/* Parses ARG into LIST and warns of old-style booleans. */
bool vm_parser_list (VmParser *p, VmKeyVals *list, const char *arg, const char *implied, VmKeyValsFlags flags,
                     GError **error);
/* "Invalid parameter 'x'" for a key that is none of KEYS (ends with NULL). */
bool vm_parser_check_keys (const VmKeyVals *list, const char *const *keys, GError **error);
bool vm_parser_is_help (const char *arg);
/* Remembers that the list of TOPIC was asked for; the first wins. */
bool vm_parser_want_help (VmParser *p, const char *topic, const char *argument);
/* True; the line is refused once all others are found to be good. */
bool vm_parser_unavailable (VmParser *p);
/* An id is well formed and the first of its kind. */
bool vm_parser_claim_id (VmParser *p, const char *kind, const char *id, GError **error);
bool vm_parser_check_display (VmParser *p, const char *type, const VmKeyVals *list, GError **error);
bool vm_parser_check_chardev (VmParser *p, const char *arg, GError **error);
bool vm_parser_check_vnc (VmParser *p, const char *arg, GError **error);
/* Once all is read: the merged lists become settings, what excludes each other is refused. */
bool vm_parser_finish_machine (VmParser *p, GError **error);
bool vm_parser_finish_backends (VmParser *p, GError **error);
bool vm_parser_finish_process (VmParser *p, GError **error);

void vm_options_print_help (void);
void vm_options_print_version (const char *argv0);
