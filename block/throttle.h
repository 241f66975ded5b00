/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Limits of bytes and requests in time: leaky buckets, which drives and filters of one group share. In fibers of the
 * graph's loop unless it says otherwise. */
#pragma once

#include "block/graph.h"

typedef enum VmThrottleBucketKind
{
  VM_THROTTLE_BPS_TOTAL,
  VM_THROTTLE_BPS_READ,
  VM_THROTTLE_BPS_WRITE,
  VM_THROTTLE_OPS_TOTAL,
  VM_THROTTLE_OPS_READ,
  VM_THROTTLE_OPS_WRITE,
  VM_THROTTLE_BUCKET_N
} VmThrottleBucketKind;

typedef struct VmThrottleLimit
{
  uint64_t avg;          /* units in a second; 0: no limit */
  uint64_t max;          /* of a burst, in a second; 0: none */
  uint64_t burst_length; /* seconds that MAX may last; at least 1 */
} VmThrottleLimit;

typedef struct VmThrottleConfig
{
  VmThrottleLimit limits[VM_THROTTLE_BUCKET_N];
  uint64_t op_size; /* a request of more counts as several; 0: never */
} VmThrottleConfig;

typedef struct VmThrottleGroup VmThrottleGroup;
typedef struct VmThrottleMember VmThrottleMember;

extern const char *const vm_throttle_names[VM_THROTTLE_BUCKET_N + 1]; /* "bps-total" ... */

void vm_throttle_config_init (VmThrottleConfig *config);
bool vm_throttle_config_is_set (const VmThrottleConfig *config);
/* Any thread. */
bool vm_throttle_config_check (const VmThrottleConfig *config, GError **error);

/* What "-object throttle-group" of this name says; NULL: there is none. */
const VmThrottleConfig *vm_throttle_object_config (VmObject *root, const char *name);
/* By name; made when there is none. The reference is the caller's. */
VmThrottleGroup *vm_throttle_group_get (VmBlockGraph *graph, const char *name);
VmThrottleGroup *vm_throttle_group_find (VmBlockGraph *graph, const char *name); /* no new reference */
void vm_throttle_group_unref (VmThrottleGroup *group);
void vm_throttle_group_configure (VmThrottleGroup *group, const VmThrottleConfig *config);
const VmThrottleConfig *vm_throttle_group_config (const VmThrottleGroup *group);
const char *vm_throttle_group_name (const VmThrottleGroup *group);

VmThrottleMember *vm_throttle_member_new (VmThrottleGroup *group);
void vm_throttle_member_free (VmThrottleMember *member);
VmThrottleGroup *vm_throttle_member_group (const VmThrottleMember *member);
/* In drained sections nothing of MEMBER waits. May be nested. */
void vm_throttle_member_drain (VmThrottleMember *member, bool begin);
/* Until LEN bytes may go. Members take turns. */
void vm_throttle_wait (VmThrottleMember *member, bool write, uint64_t len);
