/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Work for threads that stand behind the guest: in turns, so that each viewer gets as much of their time as the others,
 * whatever its encoding costs. */
#pragma once

#include "engine/io/loop.h"

typedef struct VncJob
{
  bool (*turn) (void *opaque); /* on one of the threads, for some milliseconds; true: that was all */
  VmPostFunc done;             /* then, on the loop */
  void *opaque;
  int64_t spent; /* ns of processor time that its owner has had, or would have if it had been there all the time */
} VncJob;

typedef struct VncJobs VncJobs;

VncJobs *vnc_jobs_new (VmLoop *loop, unsigned threads, bool named);
/* There are none any more. */
void vnc_jobs_free (VncJobs *jobs);
/* A job is pushed again when it is done, not before. */
void vnc_jobs_push (VncJobs *jobs, VncJob *job);
/* The calling thread is to stand so far behind those of the guest. */
void vnc_step_back (int steps);
/* Nobody has a turn or waits for one. */
bool vnc_jobs_are_idle (VncJobs *jobs);
