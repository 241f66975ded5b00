/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands on one node, as vitrine-io and the human monitor's "qemu-io" have them: "write -P 7 0 4k". In a fiber. */
#pragma once

#include "block/node.h"

typedef struct VmIo VmIo;

/* Arguments with the command's name first; false: failed, and that was told. */
typedef bool (*VmIoFunc) (VmIo *io, int argc, char **argv);

typedef struct VmIoCommand
{
  const char *name, *alias;
  VmIoFunc func;
  int min, max; /* arguments; max -1: any number */
  bool anytime; /* without an image too */
  bool writes;
  const char *args, *summary, *help;
} VmIoCommand;

struct VmIo
{
  VmBlockGraph *graph;
  const char *prefix; /* of some complaints: "vitrine-io: " */
  VmNode *node;       /* NULL: none is open */
  VmEdge *root;
  unsigned write_flags; /* of each write */
  bool writable;
  bool misalign;     /* buffers, on purpose */
  bool tell_options; /* which are not known, on stderr, too */
  unsigned pending;  /* asynchronous requests */
  VmFiberQueue idle;
  const VmIoCommand *more; /* beside those here; ends with a NULL name; NULL: none */
  void (*print) (VmIo *io, bool complaint, const char *text);
  /* Told of asynchronous requests; -EINVAL: it was not valid. NULL: nobody counts. */
  void (*account) (VmIo *io, bool write, uint64_t len, uint64_t ns, int status);
};

/* Whether the command in LINE is one that writes. */
bool vm_io_line_writes (const VmIo *io, const char *line);
/* One command; false: failed, and that was told. */
bool vm_io_run_line (VmIo *io, const char *line);
void vm_io_wait (VmIo *io); /* for asynchronous requests */

/* --- for commands ------------------------------------------------------------------------------------------- */

extern const VmIoCommand vm_io_requests[]; /* of all; ends with a NULL name */
void vm_io_print (VmIo *io, const char *format, ...) G_GNUC_PRINTF (2, 3);
void vm_io_complain (VmIo *io, const char *format, ...) G_GNUC_PRINTF (2, 3);
bool vm_io_usage (VmIo *io, const char *name); /* false */
/* "0x1000", "4k"; false: told. */
bool vm_io_number (VmIo *io, const char *text, uint64_t *number);
/* "64 KiB", "512 bytes". */
char *vm_io_size_text (double value);
