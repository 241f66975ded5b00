/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exports: nodes for clients outside of the program, of whatever kind. In fibers of the graph's loop. */
#pragma once

#include "block/node.h"

typedef struct VmExport VmExport;

typedef struct VmExportKind
{
  int type; /* VmqBlockExportType */
  bool (*in_use) (const VmExport *e);
  void (*shut_down) (VmExport *e); /* nobody new; those who are there drop their references soon */
  void (*free) (VmExport *e);      /* what is the kind's own, and E itself */
} VmExportKind;

struct VmExport
{
  const VmExportKind *kind;
  VmBlockGraph *graph;
  char *id; /* NULL: no monitor knows it */
  VmEdge *root;
  bool writable, writethrough, shutting_down;
  int refs; /* one for being there, one for each client */
  unsigned in_flight, drains;
  VmFiberQueue wake;
};

/* Takes a place in the graph. SHARE: VmPerm, what others may do with NODE. On failure nothing is left. */
bool vm_export_init (VmExport *e, const VmExportKind *kind, VmNode *node, const char *id, bool writable, unsigned share,
                     GError **error);
void vm_export_ref (VmExport *e);
void vm_export_unref (VmExport *e);
void vm_export_shut_down (VmExport *e);
VmExport *vm_export_find (VmBlockGraph *graph, const char *id);
/* All of the graph, and the NBD server: waits until they are gone. */
void vm_exports_end (VmBlockGraph *graph);

/* Around each request: waits while the node is drained. */
void vm_export_begin (VmExport *e);
void vm_export_end (VmExport *e);
/* What a write of E's clients asks of the node besides its own flags. */
unsigned vm_export_write_flags (const VmExport *e);
