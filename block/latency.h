/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long requests take: histograms by bounds that users set. The device's loop. */
#pragma once

#include "block/block.h"
#include "engine/schema/types.h"

/* BOUNDS as users give them; NULL: none any more. */
bool vm_histogram_set (VmHistogram *histogram, const GArray *bounds, GError **error);
void vm_histogram_add (VmHistogram *histogram, uint64_t ns);
VmqBlockLatencyHistogramInfo *vm_histogram_describe (const VmHistogram *histogram); /* NULL: there is none */
