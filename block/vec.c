/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Windows on scattered memory. */
#include "block/vec.h"

/* The first piece of V, clipped; V then begins behind it. V is not empty. */
static struct iovec
take_piece (VmVec *v)
{
  while (v->skip >= v->iov->iov_len)
    v->skip -= (v->iov++)->iov_len;

  size_t len = MIN (v->iov->iov_len - v->skip, v->size);
  struct iovec piece = { (char *) v->iov->iov_base + v->skip, len };

  v->skip += len;
  v->size -= len;
  return piece;
}

unsigned
vm_vec_take (VmVec *v, struct iovec *out, unsigned n)
{
  unsigned count = 0;

  while (count < n && v->size)
    out[count++] = take_piece (v);
  return count;
}

void
vm_vec_read (VmVec v, size_t offset, void *to, size_t len)
{
  char *p = to;

  for (VmVec rest = vm_vec_slice (v, offset, len); rest.size;)
    {
      struct iovec piece = take_piece (&rest);
      memcpy (p, piece.iov_base, piece.iov_len);
      p += piece.iov_len;
    }
}

void
vm_vec_write (VmVec v, size_t offset, const void *from, size_t len)
{
  const char *p = from;

  for (VmVec rest = vm_vec_slice (v, offset, len); rest.size;)
    {
      struct iovec piece = take_piece (&rest);
      memcpy (piece.iov_base, p, piece.iov_len);
      p += piece.iov_len;
    }
}

void
vm_vec_copy (VmVec to, VmVec from)
{
  size_t offset = 0;

  g_assert (to.size == from.size);
  while (from.size)
    {
      struct iovec piece = take_piece (&from);
      vm_vec_write (to, offset, piece.iov_base, piece.iov_len);
      offset += piece.iov_len;
    }
}

void
vm_vec_fill (VmVec v, size_t offset, int byte, size_t len)
{
  for (VmVec rest = vm_vec_slice (v, offset, len); rest.size;)
    {
      struct iovec piece = take_piece (&rest);
      memset (piece.iov_base, byte, piece.iov_len);
    }
}

static bool
is_zero (const char *p, size_t len)
{
  /* The first bytes are compared with nothing, the rest with those before them. */
  for (size_t i = 0; i < MIN (len, 16); i++)
    if (p[i])
      return false;
  return len <= 16 || memcmp (p, p + 16, len - 16) == 0;
}

bool
vm_vec_is_zero (VmVec v, size_t offset, size_t len)
{
  for (VmVec rest = vm_vec_slice (v, offset, len); rest.size;)
    {
      struct iovec piece = take_piece (&rest);
      if (!is_zero (piece.iov_base, piece.iov_len))
        return false;
    }
  return true;
}

bool
vm_vec_is_aligned (VmVec v, size_t alignment)
{
  while (v.size)
    {
      struct iovec piece = take_piece (&v);
      if (((uintptr_t) piece.iov_base | piece.iov_len) & (alignment - 1))
        return false;
    }
  return true;
}

void *
vm_vec_flat (VmVec v, size_t offset, size_t len)
{
  VmVec part = vm_vec_slice (v, offset, len);

  if (!len)
    return NULL;
  struct iovec piece = take_piece (&part);
  return part.size ? NULL : piece.iov_base;
}
