/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: tokens, the table of documented options, and what each does to the settings. */
#pragma once

#include "engine/options/settings.h"

typedef struct VmOptionInfo
{                   /* a documented option, from options.tsv */
  const char *name; /* without dashes */
  bool has_arg;
  bool foreign; /* for other targets than a PC */
  const char *section;
  const char *values;
  const char *help;
} VmOptionInfo;

typedef struct VmOptionKey
{ /* a documented key of an option's list */
  const char *option, *key, *values, *def, *help;
  bool foreign; /* for other targets than a PC */
} VmOptionKey;

extern const VmOptionInfo vm_option_infos[]; /* ends with a NULL name */
extern const VmOptionKey vm_option_keys[];   /* ends with a NULL option */
extern const VmOptionKey vm_option_rows[];   /* kinds of an option's list: "netdev user"; no keys */

typedef enum VmOptionsResult
{
  VM_OPTIONS_RUN,  /* go on with the settings */
  VM_OPTIONS_DONE, /* something was printed (help, version): exit with status 0 */
  VM_OPTIONS_FAIL, /* ERROR is set ("-opt value: why"): report it and exit with status 1 */
} VmOptionsResult;

/* Reads the whole command line. ARGV[0] decides which name -version gives. */
VmOptionsResult vm_options_parse (int argc, char *const *argv, VmSettings *settings, GError **error);
/* The same, reading the files it needs through READ: for tests and fuzzers. */
typedef bool (*VmReadFile) (const char *path, char **text, gsize *len, GError **error);
VmOptionsResult vm_options_parse_with (int argc, char *const *argv, VmSettings *settings, VmReadFile read,
                                       GError **error);
/* The key names of "-drive help" and the like, one to a line. */
void vm_options_print_keys (const char *option);
const VmOptionInfo *vm_option_find (const char *name);
