/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long requests take: histograms by bounds that users set, and what they took lately. The device's loop. */
#pragma once

#include "block/block.h"
#include "engine/schema/types.h"

/* BOUNDS as users give them; NULL: none any more. */
bool vm_histogram_set (VmHistogram *histogram, const GArray *bounds, GError **error);
void vm_histogram_add (VmHistogram *histogram, uint64_t ns);
VmqBlockLatencyHistogramInfo *vm_histogram_describe (const VmHistogram *histogram); /* NULL: there is none */

/* VmTimedStats * for each of SECONDS (uint32_t); NULL: none are wanted. */
GPtrArray *vm_timed_stats_list (const GArray *seconds);
void vm_drive_account_time (VmDrive *drive, VmBlockRequestKind kind, uint64_t ns, int64_t now_us);
VmqBlockDeviceTimedStats *vm_timed_stats_describe (const VmTimedStats *stats, int64_t now_us);
