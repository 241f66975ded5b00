/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sending what is written to storage at once, and out of the host's memory: of files that are written from the
 * beginning to the end and not read soon. */
#pragma once

#include <stdint.h>

typedef struct VmWriteBehind VmWriteBehind;

/* Of the file FD; NULL: there is no thread for it. */
VmWriteBehind *vm_write_behind_new (int fd);
/* LEN bytes have been written, as all before them; never waits. */
void vm_write_behind_note (VmWriteBehind *w, uint64_t offset, uint64_t len);
/* Waits for a request or two. -errno: what the host could not write. */
int vm_write_behind_free (VmWriteBehind *w);
