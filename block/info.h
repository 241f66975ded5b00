/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of an image, as query-block, query-named-block-nodes and "vitrine-img info" tell it. */
#pragma once

#include "block/node.h"

typedef enum VmInfoFlags
{
  VM_INFO_CHILDREN = 1 << 0, /* "children": what the image lies on */
  VM_INFO_BACKING = 1 << 1,  /* "backing-image": the image below, and so on down */
} VmInfoFlags;

/* The members of ImageInfo and BlockGraphInfo of the schema. */
json_object *vm_node_info (VmNode *node, unsigned flags);
/* "1.5 GiB" */
char *vm_format_size (uint64_t size);
/* The lines of "Format specific information" of what a driver describes. */
void vm_info_specific_text (json_object *specific, unsigned indent, GString *text);
/* A line of a table of snapshots, whose first is the head. */
#define VM_SNAPSHOT_HEAD "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT\n"
char *vm_snapshot_row (const VmSnapshotInfo *snapshot);
json_object *vm_snapshot_info (const VmSnapshotInfo *info); /* SnapshotInfo */
/* The path of the backing file as the image names it, made absolute or relative to where the program runs; NULL: none.
 */
char *vm_node_full_backing_name (VmNode *node);
