/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An NBD server: nodes for clients elsewhere. In fibers of the graph's loop. */
#pragma once

#include "block/export/export.h"
#include "block/protocols/socket.h"

typedef struct VmNbdServer VmNbdServer;

typedef struct VmNbdServerOptions
{
  unsigned limit;                 /* connections at a time, 0: any number */
  unsigned handshake_s;           /* it must be over after so many seconds; 0: takes its time */
  VmTlsCreds *creds;              /* NULL: in the clear; a reference is taken */
  const char *authz;              /* the object that is asked about clients' names; NULL: all may come */
  VmLoop *authz_loop;             /* where objects may be asked; NULL: here */
  void (*changed) (void *opaque); /* a connection comes or goes; or NULL */
  void *opaque;
} VmNbdServerOptions;

typedef struct VmNbdBitmap
{
  const char *node, *name; /* NODE NULL: the exported one and those below it */
} VmNbdBitmap;

typedef struct VmNbdExportOptions
{
  const char *id;                 /* for monitors; NULL: none */
  const char *name, *description; /* NULL: "", none */
  VmNode *node;
  bool writable, writethrough;
  unsigned share;             /* VmPerm: what others may do with NODE */
  bool allocation_depth;      /* offers "qemu:allocation-depth" */
  const VmNbdBitmap *bitmaps; /* that are offered */
  unsigned n_bitmaps;
} VmNbdExportOptions;

VmNbdServer *vm_nbd_server_new (VmBlockGraph *graph, const VmNbdServerOptions *options);
/* Closes the connections and waits for their requests; the exports are gone then. NULL is fine. */
void vm_nbd_server_free (VmNbdServer *server);
/* A socket that listens; it becomes the server's. ADDR (taken, or NULL): its file is removed at the end. */
void vm_nbd_server_listen (VmNbdServer *server, int fd, VmSocketAddr *addr);
bool vm_nbd_server_add (VmNbdServer *server, const VmNbdExportOptions *options, GError **error);
/* A client at the other end of FD, which does not block and becomes the server's. */
void vm_nbd_server_accept (VmNbdServer *server, int fd);
unsigned vm_nbd_server_connections (const VmNbdServer *server);
