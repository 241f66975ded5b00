/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sources of entropy for guests: rng-random, rng-builtin, rng-egd. One loop owns each. */
#pragma once

#include "engine/io/loop.h"
#include "engine/object/user-object.h"

#define VM_RNG_REQUEST_MAX (64 * 1024)

typedef struct VmRng VmRng;
typedef struct VmRngRequest VmRngRequest;

extern const VmType vm_rng_type; /* abstract */
extern const VmType vm_rng_builtin_type;

/* BUF is the callee's only for the call. LEN is at least 1 and at most what was asked for. */
typedef void (*VmRngDeliver) (void *opaque, const uint8_t *buf, size_t len);

VmRng *vm_rng_find (VmObject *root, const char *id, GError **error);
/* Asks for up to SIZE bytes (at most VM_RNG_REQUEST_MAX). FUNC comes once, from LOOP, when there are some; never
 * before this returns. Requests are answered in order. NULL when there are too many already: ask again after an
 * answer. */
VmRngRequest *vm_rng_request (VmRng *rng, VmLoop *loop, size_t size, VmRngDeliver func, void *opaque);
/* FUNC no longer comes. Only before it has come. */
void vm_rng_cancel (VmRngRequest *request);
