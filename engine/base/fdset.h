/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sets of file descriptors that were handed over by -add-fd or a monitor: opening "/dev/fdset/N" duplicates the one
 * whose access mode fits. Descriptors belong to the process, and so do the sets. Any thread. */
#pragma once

#include "engine/base/base.h"

/* Takes FD over. SET below 0: a new set. Returns the set. */
int64_t vm_fdset_add (int64_t set, int fd, const char *opaque);
/* A descriptor this process inherited; refused when it is closed or one of the program's own. It is duplicated. */
bool vm_fdset_add_own (int64_t set, int fd, const char *opaque, GError **error);
/* FD below 0: all of the set. */
bool vm_fdset_remove (int64_t set, int fd, GError **error);
typedef void (*VmFdSetFunc) (int64_t set, int fd, const char *opaque, void *data);
void vm_fdset_foreach (VmFdSetFunc func, void *data); /* sorted by set */

/* As open(2) with O_CLOEXEC, for paths people gave: knows "/dev/fdset/N". */
int vm_open (const char *path, int flags, int mode);
