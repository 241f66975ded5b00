/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What saving and loading agree on. */
#pragma once

#include "engine/state/state.h"

#define STATE_MAGIC  "VTRNSAVE"
#define STATE_FORMAT 1

#define KIND_OBJECT "object"
#define KIND_CLOCK  "clock"
#define KIND_RAM    VM_STATE_KIND_RAM

/* Bytes of a field's value before any framing; not for structs and timers. */
static inline size_t
field_bytes (const VmField *field, const void *base)
{
  if (field->kind == VM_FIELD_BUFFER)
    return *(const uint32_t *) (const void *) ((const char *) base + field->length_offset);
  return (size_t) field->size * field->count;
}

/* Where they are. */
static inline void *
field_data (const VmField *field, void *base)
{
  char *at = (char *) base + field->offset;

  return field->kind == VM_FIELD_BUFFER ? *(void **) (void *) at : at;
}

static inline unsigned
type_version (const VmType *type)
{
  return MAX (type->version, 1);
}
