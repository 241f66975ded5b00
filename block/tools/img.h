/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands of vitrine-img; each gets its arguments with its own name first and gives the exit status. */
#pragma once

#include "block/tools/tool.h"

int vm_img_amend (VmTool *tool, int argc, char **argv);
int vm_img_bench (VmTool *tool, int argc, char **argv);
int vm_img_bitmap (VmTool *tool, int argc, char **argv);
int vm_img_check (VmTool *tool, int argc, char **argv);
int vm_img_commit (VmTool *tool, int argc, char **argv);
int vm_img_compare (VmTool *tool, int argc, char **argv);
int vm_img_convert (VmTool *tool, int argc, char **argv);
int vm_img_create (VmTool *tool, int argc, char **argv);
int vm_img_dd (VmTool *tool, int argc, char **argv);
int vm_img_info (VmTool *tool, int argc, char **argv);
int vm_img_map (VmTool *tool, int argc, char **argv);
int vm_img_measure (VmTool *tool, int argc, char **argv);
int vm_img_rebase (VmTool *tool, int argc, char **argv);
int vm_img_resize (VmTool *tool, int argc, char **argv);
int vm_img_snapshot (VmTool *tool, int argc, char **argv);

/* Prints all there is to say; gives 0. */
int vm_img_help (VmTool *tool);
/* The options of a command, and what those are for that many commands have. */
typedef struct VmImgArgs
{
  int argc;
  char **argv;
  const char *letters;
  const struct option *options;
  VmToolOpen *how; /* -f, -U and --image-opts; NULL: the command's own */
  bool *json;      /* --output; NULL: the command's own */
  int status;
} VmImgArgs;
/* As getopt_long(): the next that is the command's own. '?': nothing more, and args->status is the exit status. */
int vm_img_next (VmTool *tool, VmImgArgs *args);
/* The options of FORMAT, and of what NAME (or NULL) is reached by; gives the exit status. */
int vm_img_option_help (VmTool *tool, const char *format, const char *name);
/* Whether an "-o" list asks for help. */
bool vm_img_wants_help (const char *list);

/* Long options without a letter. */
enum
{
  IMG_OBJECT = 256,
  IMG_IMAGE_OPTS,
  IMG_OUTPUT,
  IMG_BACKING_CHAIN,
  IMG_START_OFFSET,
  IMG_MAX_LENGTH,
  IMG_SIZE,
  IMG_PREALLOCATION,
  IMG_SHRINK,
  IMG_FORCE,
  IMG_TARGET_IMAGE_OPTS,
  IMG_TARGET_IS_ZERO,
  IMG_SALVAGE,
  IMG_BITMAPS,
  IMG_SKIP_BROKEN,
  IMG_FLUSH_INTERVAL,
  IMG_NO_DRAIN,
  IMG_PATTERN,
  IMG_ADD,
  IMG_REMOVE,
  IMG_CLEAR,
  IMG_ENABLE,
  IMG_DISABLE,
  IMG_MERGE,
};
#define IMG_COMMON_OPTIONS                                                                                             \
  { "help", no_argument, NULL, 'h' }, { "object", required_argument, NULL, IMG_OBJECT },                               \
  {                                                                                                                    \
    "image-opts", no_argument, NULL, IMG_IMAGE_OPTS                                                                    \
  }
