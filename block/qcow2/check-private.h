/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A check under way, for "block/qcow2/check.c" and "block/qcow2/repair.c". */
#pragma once

#include "block/qcow2/qcow2-private.h"

typedef struct Qcow2Check
{
  Qcow2 *s;
  VmCheckResult *result;
  unsigned fix;
  uint64_t file_size;
  uint32_t *count; /* references found, by cluster */
  uint64_t n;
  uint32_t times;     /* that a reference found now counts */
  GHashTable *tables; /* offset of an L2 table -> how often it is referred to */
  uint64_t left;      /* bytes of tables that are still believed: in a sound image each has a place of its own */
  uint8_t *table;     /* a cluster's worth of room */
  uint64_t next_host; /* where the next cluster lies when the disk is not fragmented */
  bool rebuild;       /* refcount blocks cannot be used, or there are clusters that look free */
  bool rebuilt, repairing, found;
  bool new_width; /* the header must say more than where the table is */
} Qcow2Check;

void qcow2_check_say (Qcow2Check *c, const char *format, ...) G_GNUC_PRINTF (2, 3);
int qcow2_check_set (Qcow2Check *c, uint64_t cluster, uint64_t value);
int qcow2_check_rebuild (Qcow2Check *c);
