/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the sources of entropy share. */
#pragma once

#include "engine/rng/rng.h"

typedef struct VmRngClass
{
  VmUserObjectClass user;
  void (*start) (VmRng *rng, size_t size); /* there is something to do: a new request of SIZE bytes */
  void (*cancelled) (VmRng *rng);          /* the queue is empty again. NULL: of no interest */
} VmRngClass;

struct VmRng
{
  VmObject parent;
  bool opened;
  GQueue requests; /* of VmRngRequest, the oldest first */
  VmLoop *loop;    /* of the last request */
};

/* The size of the oldest request; 0: there is none. */
size_t vm_rng_wanted (const VmRng *rng);
/* Answers the oldest request with what it takes of BUF: that many bytes. */
size_t vm_rng_deliver (VmRng *rng, const uint8_t *buf, size_t len);
