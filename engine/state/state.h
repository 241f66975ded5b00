/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Saving and loading a machine by the field tables of its types.
 *
 * A stream is a header, sections and an end mark. All numbers are little-endian.
 *   header   "VTRNSAVE", uint32 format (1), uint32 flags (0)
 *   section  uint8 length + kind ("object", "clock", "ram", ...), uint16 length + name,
 *            uint32 length + data; a kind of length 0 is the end mark and has nothing after it
 *   object   per type that saves something, parents first: uint8 length + type name, uint8 version,
 *            uint32 length + fields
 *   field    uint8 length + name, uint32 length + value: numbers as they are; a timer as int64 (-1: idle);
 *            structs each as uint32 length + fields
 *
 * What is loaded is taken for hostile: it is checked and kept aside field by field, and put in place only
 * when all of it fits. If a post_load refuses then, the machine is put back as it was. */
#pragma once

#include "engine/bus/device.h"

#define VM_STATE_MAX_SECTION (64u << 20) /* data of one section; longer things take several */

typedef bool (*VmStateWriteFunc) (void *opaque, const void *data, size_t size, GError **error);
/* Reads exactly SIZE bytes; an early end is an error. */
typedef bool (*VmStateReadFunc) (void *opaque, void *data, size_t size, GError **error);

/* --- saving: the machine must be stopped and its lock held ------------------------------------ */

typedef struct VmStateWriter {
  VmStateWriteFunc write;
  void            *opaque;
} VmStateWriter;

bool vm_state_write_header (const VmStateWriter *writer, GError **error);
bool vm_state_write_section (const VmStateWriter *writer, const char *kind, const char *name,
                             const void *data, size_t size, GError **error);
/* A section for a struct that is no object: uint8 version + fields. */
bool vm_state_write_table (const VmStateWriter *writer, const char *kind, const char *name,
                           const void *base, const VmField *fields, uint8_t version, GError **error);
/* Virtual time and every object of the tree that has fields, in the order of the tree. */
bool vm_state_write_objects (const VmStateWriter *writer, const VmEnv *env, GError **error);
/* All RAM, whether the guest sees it now or not. */
bool vm_state_write_ram (const VmStateWriter *writer, VmMemory *memory, GError **error);
bool vm_state_write_end (const VmStateWriter *writer, GError **error);

/* --- loading: into a stopped machine built the same way, lock held ---------------------------- */

typedef struct VmStateLoad VmStateLoad; /* what has been read and is not yet in place */

typedef struct VmStateSection {
  const char    *kind, *name;
  const uint8_t *data; /* until the next section */
  size_t         size;
} VmStateSection;

/* Sections of kinds that vm_state_load() does not know, as they come. What it puts in place
 * itself cannot be taken back (RAM); tables are best given to vm_state_load_table(). */
typedef bool (*VmStateSectionFunc) (VmStateLoad *load, const VmStateSection *section, void *opaque,
                                    GError **error);

/* Reads a whole stream. OTHER may be NULL: then such sections are an error. */
bool vm_state_load (VmStateReadFunc read, void *read_opaque, const VmEnv *env, VmStateSectionFunc other,
                    void *other_opaque, GError **error);
/* The counterpart of vm_state_write_table(), for OTHER; VERSION is the newest that FIELDS
 * describe. */
bool vm_state_load_table (VmStateLoad *load, const VmStateSection *section, void *base,
                          const VmField *fields, uint8_t version, GError **error);

/* RAM, for OTHER: sections of this kind go in place at once. Freeing tells those who keep things derived from it. */
#define VM_STATE_KIND_RAM "ram"
typedef struct VmStateRam VmStateRam;
VmStateRam *vm_state_ram_new (VmMemory *memory);
void        vm_state_ram_free (VmStateRam *ram);
bool        vm_state_ram_load (VmStateRam *ram, const VmStateSection *section, GError **error);
bool        vm_state_ram_complete (const VmStateRam *ram); /* its last section was there */

/* --- streams in memory ------------------------------------------------------------------------ */

bool vm_state_write_array (void *array, const void *data, size_t size, GError **error); /* GByteArray */

typedef struct VmStateCursor {
  const uint8_t *data;
  size_t         left;
} VmStateCursor;
bool vm_state_read_cursor (void *cursor, void *data, size_t size, GError **error);
