/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line as a list of options, once -readconfig and --machine are replaced by what their files say and -set
 * has edited what came before. */
#pragma once

#include "engine/options/options.h"

typedef struct VmToken
{
  const char *name; /* of the table: "device"; "disk_image" for a bare argument */
  char *option;     /* as typed: "-device" */
  char *arg;        /* NULL: takes none */
  char *typed;      /* what messages begin with: "-device isa-serial"; ":FILE:LINE" in a configuration file */
  GError *error;    /* not NULL: reading it failed; told when its turn comes */
} VmToken;

void vm_token_free (VmToken *token);
/* Fills TOKENS (VmToken *). Fails for unknown names and missing arguments, which win over everything else.
 * *MACHINE_FILE becomes the path of the last machine file, if there is one. */
bool vm_tokens_from_argv (GPtrArray *tokens, int argc, char *const *argv, VmReadFile read, char **machine_file,
                          GError **error);
/* The groups of a -readconfig file (section 12 of the option rules) as options. */
void vm_tokens_from_config (GPtrArray *tokens, const char *path, const char *text, gsize len);
/* The lines of a machine file; PATH is for messages. */
bool vm_tokens_from_machine_file (GPtrArray *tokens, const char *path, const char *text, gsize len, GError **error);
/* Carries out -set and -readconfig, whose paths are relative to MACHINE_FILE's folder (NULL: to the current one). */
void vm_tokens_expand (GPtrArray *tokens, const char *machine_file, VmReadFile read);
bool vm_token_is_machine_file (const char *option, const char *arg);
