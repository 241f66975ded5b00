/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-io: commands on one open image. */
#pragma once

#include "block/tools/tool.h"

typedef struct VmIo
{
  VmTool *tool;
  VmToolImage image; /* NODE NULL: none is open */
  VmToolOpen how;    /* as it was opened */
  char *name;        /* owned, of HOW */
  bool snapshot, copy_on_read;
  bool misalign; /* buffers, on purpose */
  bool quit, prompt;
  unsigned pending; /* asynchronous requests */
  VmFiberQueue idle;
} VmIo;

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

extern const VmIoCommand vm_io_requests[];     /* end with a NULL name */
bool vm_io_usage (VmIo *io, const char *name); /* false */
/* "0x1000", "4k"; false: told. */
bool vm_io_number (const char *text, uint64_t *number);
/* "64 KiB", "512 bytes". */
char *vm_io_size_text (double value);
