/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that the kernel works on by itself: io_uring and Linux AIO, one queue of each per graph. */
#pragma once

#include "block/node.h"

/* Makes the queue when there is none yet. */
bool vm_aio_prepare (VmBlockGraph *graph, bool uring, GError **error);
int vm_aio_transfer (VmBlockGraph *graph, bool uring, int fd, bool write, uint64_t offset, VmVec vec);
