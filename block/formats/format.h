/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small things all image formats need. */
#pragma once

#include "block/formats/map.h"

#include <json-c/json.h>
#include <sys/types.h>

bool vm_format_open_file (VmNode *node, GError **error); /* the child "file" */
bool vm_format_readonly (VmNode *node, GError **error);  /* the driver cannot write */
void vm_format_uuid (uint8_t uuid[16]);                  /* a random one */
void vm_check_say (VmCheckResult *result, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* zlib, on a worker. BITS as zlib has them: -15 for bare deflate streams, 15 with zlib's header. Unpacking stops at the
 * end of either side and gives the bytes made, or -EIO; packing gives -ENOSPC when TO is too small. */
ssize_t vm_inflate (const void *from, size_t from_len, void *to, size_t to_len, int bits);
ssize_t vm_deflate (const void *from, size_t from_len, void *to, size_t to_len, int bits);

/* A check of blocks that each take one unit of the file: finds those who share one. Zero is the initial state. */
typedef struct VmUnitMap
{
  GHashTable *seen;
} VmUnitMap;
bool vm_units_add (VmUnitMap *map, uint64_t unit); /* false: it was there */
void vm_units_free (VmUnitMap *map);
