/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the QMP commands that start jobs have in common. */
#pragma once

#include "block/qmp-call.h"

/* What all of them may say. */
typedef struct VmJobCommon
{
  const char *id, *device, *filter;
  bool has_speed, has_finalize, finalize, has_dismiss, dismiss;
  int64_t speed;
} VmJobCommon;
#define VM_JOB_COMMON(a, filter_name)                                                                                  \
  (VmJobCommon)                                                                                                        \
  {                                                                                                                    \
    (a)->job_id, (a)->device, filter_name, (a)->has_speed, (a)->has_auto_finalize, (a)->auto_finalize,                 \
        (a)->has_auto_dismiss, (a)->auto_dismiss, (a)->speed                                                           \
  }
#define VM_JOB_POLICY(a, which) ((a)->has_##which ? (VmJobOnError) (a)->which : VM_JOB_REPORT)

bool vm_job_take_common (VmBlockCall *call, VmJobOptions *o, VmJobCommon common, GError **error);
bool vm_job_begin (VmJob *job); /* starts it; false: there is none */

/* An image that a job writes to, made for it unless it exists. */
typedef struct VmJobTarget
{
  const char *name, *format, *node_name;
  bool existing, top; /* TOP: it lies on what SOURCE lies on */
} VmJobTarget;
VmNode *vm_job_open_target (VmBlockCall *call, const VmJobTarget *target, VmNode *source, GError **error);
