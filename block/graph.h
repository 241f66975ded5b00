/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The graph of block nodes: images, what they lie on, and filters between them.
 *
 * A graph has a thread and a loop of its own, made when the first node is opened. Everything here and in "block/node.h"
 * is called in fibers of that loop, unless it says otherwise: no locks, every wait is a fiber's, and the machine never
 * has to move for a disk to. Devices stand outside and use "block/block.h"; monitors and programs enter by
 * vm_graph_call(). */
#pragma once

#include "block/block.h"
#include "engine/io/fiber.h"
#include "engine/schema/types.h"

typedef struct VmBlockGraph VmBlockGraph;
typedef struct VmBlockDriver VmBlockDriver;
typedef struct VmNode VmNode;
typedef struct VmEdge VmEdge;

/* DRIVERS: every driver of the program, ends with NULL. OBJECTS (or NULL): where secrets, TLS credentials and throttle
 * groups are named. Any thread. */
VmBlockGraph *vm_graph_new (const VmBlockDriver *const *drivers, VmObject *objects);
/* Nothing else than one user's requests runs on its thread: what the page cache of the host takes a moment for is not
 * given to other threads. */
void          vm_graph_set_patient (VmBlockGraph *graph);
void          vm_graph_free (VmBlockGraph *graph); /* closes all that is open, flushed */
VmLoop       *vm_graph_loop (VmBlockGraph *graph);
VmObject     *vm_graph_objects (VmBlockGraph *graph);

/* Runs FUNC (OPAQUE) in a fiber of the graph and waits for its end. Threads other than the graph's; inside the graph's
 * fibers it just runs. */
void vm_graph_call (VmBlockGraph *graph, VmFiberFunc func, void *opaque);

const VmBlockDriver *vm_graph_find_driver (VmBlockGraph *graph, const char *name); /* NULL: none */
const VmBlockDriver *const *vm_graph_drivers (VmBlockGraph *graph);
extern const VmBlockDriver *const vm_block_drivers[]; /* all there are, ends with NULL; generated */

/* Events of nodes as clients of monitors know them; EVENT takes DATA and is called on the graph's thread. */
void vm_graph_set_event_func (VmBlockGraph *graph, void (*event) (void *opaque, const char *name, json_object *data),
                              void *opaque);
void vm_graph_event (VmBlockGraph *graph, const char *name, json_object *data); /* takes DATA */

/* --- opening ----------------------------------------------------------------------------------- */

typedef enum VmOpenFlags {
  VM_OPEN_READONLY  = 1 << 0,
  VM_OPEN_PROBE     = 1 << 1,  /* no "driver" given: guess the format over the protocol */
  VM_OPEN_NO_BACKING = 1 << 2, /* leave the backing file alone */
  VM_OPEN_CHECK     = 1 << 3,  /* for check and repair: do not refuse damaged metadata */
  VM_OPEN_UNSAFE    = 1 << 4,  /* flushes may be left out */
  VM_OPEN_FORCE_SHARE = 1 << 5,
  VM_OPEN_NO_IO     = 1 << 6,  /* only metadata will be read (a missing key is no error) */
  VM_OPEN_INACTIVE  = 1 << 7,
} VmOpenFlags;

/* Opens a node from what blockdev-add takes, a json_object of nested members (SOURCE VM_SCHEMA_TEXT: its scalars are
 * strings). The reference is the caller's. Errors are worded as users of the command line know them. */
VmNode *vm_node_open (VmBlockGraph *graph, json_object *options, VmSchemaSource source, unsigned flags, GError **error);
/* By a file name as -drive and image tools take it ("disk.qcow2", "nbd://host", "json:{...}"), FORMAT NULL: probe.
 * OPTIONS (or NULL): more members. */
VmNode *vm_node_open_name (VmBlockGraph *graph, const char *name, const char *format, json_object *options,
                           unsigned flags, GError **error);
/* The members that FILE NAME stands for: {"driver": "nbd", "server.host": ...} in nested form; a plain path gives
 * driver file, host_device or host_cdrom by what it is. */
json_object *vm_graph_parse_name (VmBlockGraph *graph, const char *name, GError **error);
const char *vm_graph_probe (VmNode *file); /* the format that FILE seems to hold */
VmNode *vm_node_find (VmBlockGraph *graph, const char *name); /* no new reference; NULL: none */
VmNode *vm_node_ref (VmNode *node);
void    vm_node_unref (VmNode *node); /* the last one closes */
/* Nodes in the order they were made. */
const GPtrArray *vm_graph_nodes (VmBlockGraph *graph);

/* --- devices' side, called by the front (block.c) --------------------------------------------------- */

/* A medium on top of NODE for a device whose loop is LOOP. Any thread; the front attaches with the permissions that
 * vm_block_attach() is given later. Takes a reference. */
VmBlock *vm_block_new (VmLoop *loop, VmNode *node);
VmNode  *vm_block_node (VmBlock *block);
/* What the device wants and what it lets others do (VmPerm). Any thread. WHO names it in errors. */
bool     vm_block_attach (VmBlock *block, const char *who, unsigned perm, unsigned shared, GError **error);

/* --- with drives ----------------------------------------------------------------------------------------- */

/* The graph of the drives below ROOT, made when there is none; LOOP is that of devices that name nodes. */
VmBlockGraph *vm_drives_graph (VmObject *root, VmLoop *loop);
/* What blockdev-add and -blockdev do: a node by name that stays until vm_graph_remove_node(). Any thread. */
bool vm_graph_add_node (VmBlockGraph *graph, json_object *options, VmSchemaSource source, GError **error);
bool vm_graph_remove_node (VmBlockGraph *graph, const char *name, GError **error);
