/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files about VMDK share (VMware "Virtual Disk Format" 1.1 and 5.0). Numbers are little-endian. */
#pragma once

#include "block/formats/format.h"

enum
{
  VMDK_HEADER = 512,
  VMDK_AT_VERSION = 4,
  VMDK_AT_FLAGS = 8,
  VMDK_AT_CAPACITY = 12,
  VMDK_AT_GRAIN = 20,
  VMDK_AT_DESCRIPTOR = 28,
  VMDK_AT_DESCRIPTOR_LEN = 36,
  VMDK_AT_ENTRIES = 44, /* of a grain table */
  VMDK_AT_REDUNDANT = 48,
  VMDK_AT_DIRECTORY = 56,
  VMDK_AT_OVERHEAD = 64,
  VMDK_AT_LINE_ENDS = 73,
  VMDK_AT_ALGORITHM = 77,
  VMDK_ENTRIES = 512,
  VMDK_MAX_DESCRIPTOR = 1 << 20,

  COWD_AT_SECTORS = 12,
  COWD_AT_GRAIN = 16,
  COWD_AT_DIRECTORY = 20,
  COWD_AT_DIRECTORY_LEN = 24,
  COWD_ENTRIES = 4096,
};
#define VMDK_MAGIC "KDMV"
#define COWD_MAGIC "COWD"
#define VMDK_LINE_ENDS "\n \r\n"
#define VMDK_DIRECTORY_AT_END UINT64_MAX
#define VMDK_NO_PARENT 0xffffffffu

typedef enum VmdkFlags
{
  VMDK_FLAG_LINE_ENDS = 1,
  VMDK_FLAG_REDUNDANT = 2,
  VMDK_FLAG_ZEROED = 4, /* entry 1: a grain of zeros */
  VMDK_FLAG_COMPRESSED = 1 << 16,
  VMDK_FLAG_MARKERS = 1 << 17,
} VmdkFlags;

typedef enum VmdkKind
{
  VMDK_FLAT,
  VMDK_SPARSE,
  VMDK_SE, /* "seSparse" */
  VMDK_ALL_ZERO
} VmdkKind;

typedef struct VmdkExtent
{
  VmdkKind kind;
  VmNode *file;
  char *filename, *type; /* as the descriptor names it; "" for a file with its own descriptor */
  uint64_t start, size;  /* of the disk, in bytes */
  uint64_t offset;       /* flat: in FILE */
  /* sparse */
  uint64_t grain, entries, directory, redundant; /* bytes; REDUNDANT 0: none */
  uint64_t tables;                               /* in the directory */
  uint64_t end;                                  /* where the next grain comes */
  bool compressed, markers, zeroed;
  uint64_t tables_at, n_tables, grains_at, n_grains; /* seSparse: what entries count from, and how far */
} VmdkExtent;

typedef struct Vmdk
{
  VmMap map;
  GArray *extents;  /* VmdkExtent, by start */
  char *descriptor; /* its text; NULL: none */
  uint64_t descriptor_at, descriptor_room;
  char *create_type;
  uint32_t cid, parent_cid;
  bool readonly_extents, se_sparse;
  bool cid_changed; /* since it was opened */
  enum
  {
    VMDK_PARENT_UNKNOWN,
    VMDK_PARENT_RIGHT,
    VMDK_PARENT_WRONG
  } parent;
} Vmdk;

/* The value of NAME in a descriptor, without quotes; NULL: not there. */
char *vm_vmdk_value (const char *descriptor, const char *name);
bool vm_vmdk_id (const char *descriptor, const char *name, uint32_t *id);
/* Opens what the descriptor's lines of extents name, as children "extents.N". */
bool vm_vmdk_open_extents (VmNode *node, GError **error);
/* Adds the sparse extent in FILE, of SIZE bytes (0: as its header says). */
bool vm_vmdk_add_sparse (VmNode *node, VmNode *file, const char *filename, const char *type, uint64_t size,
                         GError **error);
/* seSparse extents: the same, and where OFFSET of one lies (a hole leaves MAPPING's kind), and its check. */
bool vm_vmdk_add_se (VmNode *node, VmNode *file, const char *filename, uint64_t size, GError **error);
int vm_vmdk_se_lookup (VmNode *node, const VmdkExtent *extent, uint64_t offset, VmMapping *mapping);
int vm_vmdk_se_check (VmNode *node, const VmdkExtent *extent, VmCheckResult *result);
bool vm_vmdk_is_descriptor (const char *text, size_t len);
/* The text with another CID, or parentCID and parent, in the image. */
int vm_vmdk_write_descriptor (VmNode *node, const char *text);
/* TEXT with the line NAME=VALUE in the place of the one it has, or added behind the line AFTER. VALUE NULL: none. */
char *vm_vmdk_set_value (const char *text, const char *name, const char *value, const char *after);

extern const VmCreateOption vm_vmdk_create_options[];
bool vm_vmdk_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                     GError **error);
