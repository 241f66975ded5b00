/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the graph: what its files have of each other. */
#pragma once

#include "block/node.h"

struct VmBlockGraph
{
  const VmBlockDriver *const *drivers;
  VmObject *objects;
  GMutex mutex; /* guards the making of the loop */
  VmLoop *loop; /* NULL until somebody enters */
  GThread *thread;
  GPtrArray *nodes; /* VmNode *, in the order they were made */
  GQueue drains;    /* DrainSection *, the latest first */
  GQueue throttle_groups; /* VmThrottleGroup * */
  unsigned next_id;
  bool patient; /* see vm_graph_set_patient() */
  unsigned watched; /* blkdebug nodes: somebody hears of events */
  struct VmJobs *jobs; /* NULL until one starts */
  GPtrArray *exports;  /* VmExport *, or NULL */
  VmFiberQueue exports_gone;
  json_object *iscsi; /* a list of what -iscsi said; NULL: nothing */
  struct VmNbdServer *nbd; /* of nbd-server-start; NULL: none */
  struct VmAio *aio[2]; /* Linux AIO, io_uring; NULL until somebody asks for it */
  void (*aio_free[2]) (void *aio);
  void (*event) (void *opaque, const char *name, json_object *data);
  void *event_opaque;
};

/* A write under way, or a read that others must not change under. */
typedef struct VmTracked
{
  GList link; /* data is this */
  uint64_t start, end;
  bool serialising; /* no overlapping request runs at the same time */
  VmFiberQueue waiting;
} VmTracked;

typedef struct VmNodeCore
{
  GQueue tracked;
  uint64_t write_generation, flushed_generation; /* a flush without writes before is none */
  bool flushing;
  VmFiberQueue flush_waiting;
} VmNodeCore;

/* Waits for what was tracked before and overlaps, if either side serialises. */
void vm_node_track (VmNode *node, VmTracked *tracked, uint64_t start, uint64_t end, bool serialising);
void vm_node_untrack (VmNode *node, VmTracked *tracked);

void vm_node_begin (VmNode *node); /* a request is under way: in_flight */
void vm_node_end (VmNode *node);

/* A root or child is about to go: whoever drained it is told to go on. */
void vm_node_drain_forget (VmEdge *edge);
/* Takes the name out of the graph and frees all that the core keeps. */
void vm_node_free (VmNode *node);
/* Whether what the parents want is possible all the way down, and then makes it so. */
bool vm_node_update_perms (VmNode *node, GError **error);

/* The same as vm_module_symbol(), from a fiber. */
void *vm_graph_load (const char *folder, const char *module, const char *symbol, GError **error);
/* A node called NAME (NULL: nobody needs to know it) that passes all on to BELOW. */
VmNode *vm_node_new_filter (VmNode *below, const VmBlockDriver *driver, const char *name, GError **error);

/* What -iscsi says about the target of OPTIONS. */
void vm_graph_complete_iscsi (VmBlockGraph *graph, json_object *options);
bool vm_graph_name_has_scheme (const char *name); /* "nbd:...", not a path */
