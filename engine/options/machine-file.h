/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine file: the command line with one option to a line. What is not edited keeps every byte.
 *
 *   #!/usr/bin/env -S vitrine --machine
 *   #: title = Debian 12            for the window; the engine skips it, as every line that begins with "#"
 *   -m 4G                           the argument is the rest of the line, taken literally
 *   -append root=/dev/sda1 \        a backslash at the end of a line continues it: both vanish
 *   quiet
 *   disk.img                        a line without a dash is the disk image
 */
#pragma once

#include "engine/base/base.h"

typedef struct VmMachineFile VmMachineFile;

VmMachineFile *vm_machine_file_new (void);
/* Errors begin with the number of the line. */
VmMachineFile *vm_machine_file_parse (const char *text, gsize len, GError **error);
VmMachineFile *vm_machine_file_load (const char *path, GError **error);
/* Replaces PATH by a file written beside it; what it links to stays a link, and its mode stays. */
bool vm_machine_file_save (const VmMachineFile *file, const char *path, GError **error);
void vm_machine_file_free (VmMachineFile *file);
char *vm_machine_file_to_text (const VmMachineFile *file);

/* Lines are numbered from 0 and may hold several lines of the text. */
guint vm_machine_file_n_lines (const VmMachineFile *file);
unsigned vm_machine_file_line_number (const VmMachineFile *file, guint line); /* in the text, from 1 */
/* "-m"; "" for the disk image; NULL: a comment or an empty line. */
const char *vm_machine_file_option (const VmMachineFile *file, guint line);
const char *vm_machine_file_argument (const VmMachineFile *file, guint line); /* NULL: none */
/* The first line at or after FROM with that option ("m", one or two dashes alike); -1: none. */
int vm_machine_file_find (const VmMachineFile *file, const char *name, guint from);

/* OPTION as above. Fails when the text has no way to say it: line breaks, blanks at the beginning. */
bool vm_machine_file_set (VmMachineFile *file, guint line, const char *option, const char *argument, GError **error);
bool vm_machine_file_insert (VmMachineFile *file, guint before, const char *option, const char *argument,
                             GError **error);
void vm_machine_file_remove (VmMachineFile *file, guint line);

/* "#: key = value" lines. A NULL value removes the key. */
char *vm_machine_file_get_key (const VmMachineFile *file, const char *key);
bool vm_machine_file_set_key (VmMachineFile *file, const char *key, const char *value, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmMachineFile, vm_machine_file_free)
