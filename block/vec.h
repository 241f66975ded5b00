/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A window on scattered memory: SIZE bytes from the SKIPth of a list of pieces. Windows are values; narrowing one
 * copies three words. The list and the memory are somebody else's and outlive it. */
#pragma once

#include "engine/base/base.h"

#include <sys/uio.h>

typedef struct VmVec {
  const struct iovec *iov;
  size_t skip, size;
} VmVec;

static inline VmVec
vm_vec (const struct iovec *iov, unsigned n)
{
  VmVec v = { iov, 0, 0 };

  for (unsigned i = 0; i < n; i++)
    v.size += iov[i].iov_len;
  return v;
}

/* The LEN bytes of V from OFFSET. */
static inline VmVec
vm_vec_slice (VmVec v, size_t offset, size_t len)
{
  g_assert (offset <= v.size && len <= v.size - offset);
  v.skip += offset;
  v.size = len;
  while (v.size && v.skip >= v.iov->iov_len)
    v.skip -= (v.iov++)->iov_len;
  return v;
}

/* The pieces of V, clipped, into OUT, at most N; returns how many. V then begins behind them. */
unsigned vm_vec_take (VmVec *v, struct iovec *out, unsigned n);
void vm_vec_read (VmVec v, size_t offset, void *to, size_t len);          /* out of the vector */
void vm_vec_write (VmVec v, size_t offset, const void *from, size_t len); /* into it */
void vm_vec_copy (VmVec to, VmVec from);                                  /* of the same size */
void vm_vec_fill (VmVec v, size_t offset, int byte, size_t len);
bool vm_vec_is_zero (VmVec v, size_t offset, size_t len);
bool vm_vec_is_aligned (VmVec v, size_t alignment); /* addresses and sizes of all pieces */
/* The address of LEN contiguous bytes at OFFSET, or NULL when they are not. */
void *vm_vec_flat (VmVec v, size_t offset, size_t len);

/* One buffer as a vector: "struct iovec iov; vm_vec_buffer (&iov, p, n)". */
static inline VmVec
vm_vec_buffer (struct iovec *iov, const void *buffer, size_t len)
{
  *iov = (struct iovec) { (void *) (uintptr_t) buffer, len };
  return (VmVec) { iov, 0, len };
}
