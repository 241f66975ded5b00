/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes, bits and sizes: the few helpers every folder needs beyond GLib. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VM_KIB (UINT64_C (1) << 10)
#define VM_MIB (UINT64_C (1) << 20)
#define VM_GIB (UINT64_C (1) << 30)
#define VM_TIB (UINT64_C (1) << 40)

#define VM_PAGE_SIZE  4096u
#define VM_PAGE_SHIFT 12
#define VM_PAGE_MASK  (~UINT64_C (0xfff))

#define VM_BIT(n)           (UINT64_C (1) << (n))
/* Mask of bits LO..HI, both included. */
#define VM_MASK(hi, lo)     ((~UINT64_C (0) >> (63 - (hi))) & (~UINT64_C (0) << (lo)))
/* Bits LO..HI of V, shifted down. */
#define VM_FIELD_GET(v, hi, lo) (((uint64_t) (v) & VM_MASK (hi, lo)) >> (lo))

#define VM_CONTAINER_OF(ptr, type, member) ((type *) (void *) ((char *) (ptr) - offsetof (type, member)))

#define VM_ALIGN_DOWN(v, a) ((v) & ~((uint64_t) (a) - 1))
#define VM_ALIGN_UP(v, a)   (((v) + (uint64_t) (a) - 1) & ~((uint64_t) (a) - 1))

static inline bool
vm_is_pow2 (uint64_t v)
{
  return v != 0 && (v & (v - 1)) == 0;
}

/* Unaligned little-endian (LE) and big-endian (BE) access to bytes in memory. */
#define VM_DEFINE_BYTES(bits)                                                                    \
  static inline uint##bits##_t vm_load_le##bits (const void *p)                                  \
  {                                                                                              \
    uint##bits##_t v;                                                                            \
    memcpy (&v, p, sizeof v);                                                                    \
    return GUINT##bits##_FROM_LE (v);                                                            \
  }                                                                                              \
  static inline uint##bits##_t vm_load_be##bits (const void *p)                                  \
  {                                                                                              \
    uint##bits##_t v;                                                                            \
    memcpy (&v, p, sizeof v);                                                                    \
    return GUINT##bits##_FROM_BE (v);                                                            \
  }                                                                                              \
  static inline void vm_store_le##bits (void *p, uint##bits##_t v)                               \
  {                                                                                              \
    v = GUINT##bits##_TO_LE (v);                                                                 \
    memcpy (p, &v, sizeof v);                                                                    \
  }                                                                                              \
  static inline void vm_store_be##bits (void *p, uint##bits##_t v)                               \
  {                                                                                              \
    v = GUINT##bits##_TO_BE (v);                                                                 \
    memcpy (p, &v, sizeof v);                                                                    \
  }
VM_DEFINE_BYTES (16)
VM_DEFINE_BYTES (32)
VM_DEFINE_BYTES (64)
#undef VM_DEFINE_BYTES

/* Little-endian load of 1 to 8 bytes. */
static inline uint64_t
vm_load_le (const void *p, unsigned size)
{
  uint64_t v = 0;

  memcpy (&v, p, size);
  return GUINT64_FROM_LE (v);
}

static inline void
vm_store_le (void *p, uint64_t v, unsigned size)
{
  v = GUINT64_TO_LE (v);
  memcpy (p, &v, size);
}

/* One error domain for what the host or the user did wrong; programs tell kinds by code. */
#define VM_ERROR (vm_error_quark ())
typedef enum VmErrorCode {
  VM_ERROR_FAILED,           /* everything without a kind of its own */
  VM_ERROR_COMMAND_NOT_FOUND,
  VM_ERROR_DEVICE_NOT_FOUND,
  VM_ERROR_DEVICE_NOT_ACTIVE,
  VM_ERROR_KVM_MISSING_CAP,
  VM_ERROR_NOT_AVAILABLE,    /* a documented thing this build does not have */
} VmErrorCode;
GQuark vm_error_quark (void);

/* Sets ERROR (which may be NULL) and returns false, so that "return vm_fail (error, ...)" reads well. */
bool vm_fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* Parses a size ("64.5M", "0x1000", "4G") after section 5 of the option rules. DEFAULT_SUFFIX is the
 * unit of a bare number: 'B', 'K', 'M', ... Returns false with ERROR set on a malformed or too big number. */
bool vm_parse_size (const char *text, char default_suffix, uint64_t *bytes, GError **error);
/* The same for the parameter NAME, which errors mention (above it is "size"). */
bool vm_parse_size_param (const char *name, const char *text, char default_suffix, uint64_t *bytes,
                          GError **error);
