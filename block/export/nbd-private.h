/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the NBD server. After "The NBD protocol" of the NBD project. */
#pragma once

#include "block/bitmap.h"
#include "block/export/nbd-server.h"
#include "block/protocols/nbd-protocol.h"

enum
{
  NBD_MAX_CONTEXTS = 64,
  NBD_MAX_IN_FLIGHT = 16,
  NBD_MAX_HELD = 2 * NBD_MAX_REQUEST, /* bytes of requests under way, of one connection */
};

enum
{
  NBD_CONTEXT_ALLOCATION = 0,
  NBD_CONTEXT_DEPTH = 1,
  NBD_CONTEXT_BITMAP = 2, /* and those after it */
};

typedef struct NbdExport
{
  VmExport parent;
  VmNbdServer *server;
  char *name, *description;
  bool depth;
  GPtrArray *bitmap_names;
  GPtrArray *bitmaps; /* VmDirtyBitmap * */
} NbdExport;

typedef struct NbdConnection
{
  VmNbdServer *server;
  VmStream stream;
  bool structured, no_zeroes, closing;
  NbdExport *export; /* a reference */
  uint64_t contexts; /* bits, of those asked for */
  unsigned in_flight;
  size_t held;
  VmFiberMutex sending;
  VmFiberQueue wake;
  struct NbdQuestion *question; /* asked of the objects' loop, or NULL */
} NbdConnection;

struct VmNbdServer
{
  VmBlockGraph *graph;
  VmNbdServerOptions options; /* its own copies */
  GPtrArray *exports;         /* NbdExport *; not those that shut down */
  GPtrArray *connections;
  int listener;
  VmSocketAddr *addr;
  GSource *watch;
  VmFiberQueue empty;
};

/* True: requests follow. */
bool nbd_negotiate (NbdConnection *c);
void nbd_serve (NbdConnection *c);
void nbd_give_up_question (NbdConnection *c); /* nobody waits for its answer any more: it is no */
NbdExport *nbd_find_export (VmNbdServer *server, const char *name, size_t len);
