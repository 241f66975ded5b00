/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the NBD server. After "The NBD protocol" of the NBD project. */
#pragma once

#include "block/bitmap.h"
#include "block/export/nbd-server.h"

enum
{
  NBD_MAX_REQUEST = 32 * 1024 * 1024,
  NBD_MAX_OPTION = 65536,
  NBD_MAX_NAME = 4096,
  NBD_MAX_CONTEXTS = 64,
  NBD_MAX_IN_FLIGHT = 16,
};

enum
{
  NBD_CONTEXT_ALLOCATION = 0,
  NBD_CONTEXT_DEPTH = 1,
  NBD_CONTEXT_BITMAP = 2, /* and those after it */
};

typedef struct NbdExport
{
  VmNbdServer *server;
  char *name, *description;
  VmEdge *root;
  bool writable, shared, depth;
  GPtrArray *bitmap_names;
  GPtrArray *bitmaps; /* VmDirtyBitmap *, of the node */
  unsigned in_flight, drains;
  VmFiberQueue wake;
} NbdExport;

typedef struct NbdConnection
{
  VmNbdServer *server;
  int fd;
  bool structured, no_zeroes, closing;
  NbdExport *export;
  uint64_t contexts; /* bits, of those asked for */
  unsigned in_flight;
  VmFiberMutex sending;
  VmFiberQueue wake;
} NbdConnection;

struct VmNbdServer
{
  VmBlockGraph *graph;
  unsigned limit;
  void (*changed) (void *opaque);
  void *opaque;
  GPtrArray *exports; /* NbdExport * */
  GPtrArray *connections;
  int listener;
  GSource *watch;
  VmFiberQueue empty;
};

/* All of it, or false: the connection is over. */
bool nbd_read (NbdConnection *c, void *buffer, size_t len);
bool nbd_write (NbdConnection *c, const void *buffer, size_t len);
/* True: requests follow. */
bool nbd_negotiate (NbdConnection *c);
void nbd_serve (NbdConnection *c);
NbdExport *nbd_find_export (VmNbdServer *server, const char *name, size_t len);
