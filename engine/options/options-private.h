/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that read the command line share. */
#pragma once

#include "engine/options/options.h"

typedef struct VmParser
{
  VmSettings *s;
  const char *option; /* "-hda", as typed */
  const char *arg;    /* NULL: takes none */
  const char *typed;  /* "-hda FILE": what messages begin with */
  /* Merged over repeats, read at the end. */
  VmKeyVals *memory, *boot, *name, *rtc, *action;
  bool serial_given, parallel_given, monitor_given;
  bool snapshot, accel_in_machine;
  bool machine_help;
  const char *process_exit; /* not NULL: printed all there is, the status is 0 */
} VmParser;

typedef bool (*VmApplyFunc) (VmParser *p, const char *arg, GError **error);
typedef struct VmApply
{
  const char *name;
  VmApplyFunc func;
} VmApply;

extern const VmApply vm_apply_machine[], vm_apply_backends[], vm_apply_process[]; /* end with a NULL name */

/* Parses ARG into LIST and warns of old-style booleans. */
bool vm_parser_list (VmParser *p, VmKeyVals *list, const char *arg, const char *implied, VmKeyValsFlags flags,
                     GError **error);
/* "Invalid parameter 'x'" for a key that is none of KEYS (ends with NULL). */
bool vm_parser_check_keys (const VmKeyVals *list, const char *const *keys, GError **error);
bool vm_parser_is_help (const char *arg);
/* Remembers that the list of TOPIC was asked for; the first wins. */
bool vm_parser_want_help (VmParser *p, const char *topic, const char *argument);
bool vm_parser_unavailable (GError **error);
/* Once all is read: the merged lists become settings, what excludes each other is refused. */
bool vm_parser_finish_machine (VmParser *p, GError **error);
bool vm_parser_finish_backends (VmParser *p, GError **error);

void vm_options_print_help (void);
void vm_options_print_version (const char *argv0);
