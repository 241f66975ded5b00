/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An NBD server: nodes for clients elsewhere. In fibers of the graph's loop. */
#pragma once

#include "block/node.h"

typedef struct VmNbdServer VmNbdServer;

typedef struct VmNbdExportOptions
{
  const char *name, *description; /* NULL: "", none */
  VmNode *node;
  bool writable, shared;      /* SHARED: several clients at a time see each other's writes */
  unsigned share;             /* VmPerm: what others may do with NODE */
  bool allocation_depth;      /* offers "qemu:allocation-depth" */
  const char *const *bitmaps; /* names of NODE's that are offered; ends with NULL; or NULL */
} VmNbdExportOptions;

/* LIMIT: connections at a time, 0: any number. CHANGED (or NULL) is told when one comes or goes. */
VmNbdServer *vm_nbd_server_new (VmBlockGraph *graph, unsigned limit, void (*changed) (void *opaque), void *opaque);
/* Closes the connections and waits for their requests. */
void vm_nbd_server_free (VmNbdServer *server);
/* A socket that listens; it becomes the server's. */
void vm_nbd_server_listen (VmNbdServer *server, int fd);
bool vm_nbd_server_add (VmNbdServer *server, const VmNbdExportOptions *options, GError **error);
unsigned vm_nbd_server_connections (const VmNbdServer *server);
