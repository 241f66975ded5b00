/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the image tools share: a graph of their own, objects, opening images as their options say, progress. The work is
 * done in a fiber of the graph, which may wait for anything. */
#pragma once

#include "block/node.h"

#include <getopt.h>

typedef struct VmTool VmTool;
typedef int (*VmToolFunc) (VmTool *tool, int argc, char **argv); /* gives the exit status */

typedef struct VmToolProgress
{
  bool shown;       /* -p */
  bool running;     /* SIGUSR1 shows it too */
  double now, last; /* per cent */
} VmToolProgress;

struct VmTool
{
  const char *name;    /* "img" */
  const char *program; /* as called */
  bool known_name;     /* called by the name that scripts know: "qemu-img" */
  VmBlockGraph *graph;
  VmObject *root;
  VmTypeList *types;
  VmToolProgress progress;
  int argc;
  char **argv;
  VmToolFunc func;
  void *opaque; /* FUNC's */
  int status;
};

/* Runs FUNC in a fiber of a new graph, closes all, and gives the exit status. */
int vm_tool_main (const char *name, int argc, char **argv, VmToolFunc func, void *opaque);
void vm_tool_print_version (const VmTool *tool);

/* "PROGRAM: message", and what is in ERROR (taken, may be NULL) behind ": ". False, for returning. */
bool vm_tool_error (VmTool *tool, GError *error, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* The same of the command line: tells where to find help. Gives 1. */
int vm_tool_usage (VmTool *tool, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* As getopt_long(3); what is wrong has been told when it gives '?'. */
int vm_tool_getopt (VmTool *tool, int argc, char **argv, const char *letters, const struct option *options);

/* "secret,id=sec0,file=...", or JSON. */
bool vm_tool_add_object (VmTool *tool, const char *text);
/* "[enable=]PATTERN,events=FILE,file=FILE". */
bool vm_tool_trace (VmTool *tool, const char *text);
/* A size for "Invalid WHAT specified"; between MIN and MAX. */
bool vm_tool_size (VmTool *tool, const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *size);
/* "none", "writethrough", ... */
typedef struct VmToolCache
{
  bool direct, no_flush, writethrough;
} VmToolCache;
bool vm_tool_parse_cache (const char *name, VmToolCache *cache);

/* --- images ------------------------------------------------------------------------------------------------- */

typedef struct VmToolOpen
{
  const char *name, *format; /* NULL: probe */
  bool image_opts;           /* the name is "driver=qcow2,file.filename=..." */
  VmToolCache cache;
  unsigned flags; /* VmOpenFlags besides those that follow from the others */
  bool write, resize, force_share;
  const char *aio;      /* NULL: as the file is opened by itself */
  json_object *options; /* more members; borrowed; NULL: none */
} VmToolOpen;

typedef struct VmToolImage
{
  VmNode *node;
  VmEdge *root;
  unsigned write_flags; /* of each write: FUA with a writethrough cache */
} VmToolImage;

/* Tells what is wrong. */
bool vm_tool_open (VmTool *tool, const VmToolOpen *how, VmToolImage *image);
/* The same in silence. */
bool vm_tool_try_open (VmTool *tool, const VmToolOpen *how, VmToolImage *image, GError **error);
void vm_tool_close (VmToolImage *image);
/* "ID_OR_NAME" or "snapshot.id=...,snapshot.name=..."; makes the read-only NODE show that snapshot. */
bool vm_tool_load_snapshot (VmTool *tool, VmNode *node, const char *text);
/* An overlay that is gone when it is closed takes what is written. */
VmNode *vm_tool_put_overlay (VmTool *tool, VmNode *below, GError **error);
/* A list of "a.b=c" as nested members. */
json_object *vm_tool_nest (const char *list, GError **error);

/* --- progress, parallel work, memory ------------------------------------------------------------------------- */

void vm_tool_progress_start (VmTool *tool, bool shown);
void vm_tool_progress (VmTool *tool, uint64_t done, uint64_t total);
void vm_tool_progress_end (VmTool *tool);
/* N fibers of FUNC (OPAQUE), until all have ended. */
void vm_tool_parallel (VmTool *tool, unsigned n, VmFiberFunc func, void *opaque);
/* Page-aligned; NULL with a message when there is no memory. */
void *vm_tool_buffer (VmTool *tool, size_t size);
bool vm_tool_is_zero (const void *buffer, size_t len);
/* "64 MiB". */
/* A JSON value, indented. */
void vm_tool_print_json (json_object *json);
/* The lines of "Format specific information". */
void vm_tool_print_specific (json_object *specific, unsigned indent);
