/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What copy-before-write keeps of the time before, for snapshot-access nodes. */
#pragma once

#include "block/node.h"

/* The disk that NODE, a copy-before-write, keeps; NULL: it is none. Fibers wait where a copy is under way. */
bool vm_cbw_is (const VmNode *node);
int vm_cbw_snapshot_read (VmNode *node, uint64_t offset, VmVec vec);
int vm_cbw_snapshot_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent);
/* Nobody will read these bytes again. */
int vm_cbw_snapshot_discard (VmNode *node, uint64_t offset, uint64_t len);
