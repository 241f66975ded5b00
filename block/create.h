/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making images: what a user may say of a new one ("-o cluster_size=64k"), and the steps from a name to an image that
 * can be opened. */
#pragma once

#include "block/node.h"

/* The options of FORMAT and of the PROTOCOL the image will lie on (NULL: of FORMAT alone), nothing given yet. AMEND:
 * those that can be changed later. */
VmCreateValues *vm_create_values_new (const VmBlockDriver *format, const VmBlockDriver *protocol, bool amend);
void vm_create_values_free (VmCreateValues *values);
bool vm_create_values_set (VmCreateValues *values, const char *name, const char *value, GError **error);
/* "a=1,b=2" with ",," for a comma in a value. */
bool vm_create_values_parse (VmCreateValues *values, const char *list, GError **error);
bool vm_create_values_knows (const VmCreateValues *values, const char *name);
/* One line to an option, sorted, and the size. */
char *vm_create_help (const VmBlockDriver *format, const VmBlockDriver *protocol, bool amend);
/* "size=1048576 cluster_size=65536 ...": what is given or has an initial value. */
char *vm_create_values_to_string (const VmCreateValues *values, uint64_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmCreateValues, vm_create_values_free)

typedef struct VmImageCreate
{
  const char *name, *format;
  const GPtrArray *options;             /* char *: lists as "-o" takes them; NULL: none */
  const char *backing, *backing_format; /* NULL: none, or as the options say */
  uint64_t size;
  bool has_size;
  bool unsafe;                    /* do not look for the backing file */
  void (*say) (const char *text); /* is told what will be made; NULL: silent */
} VmImageCreate;
bool vm_image_create (VmBlockGraph *graph, const VmImageCreate *spec, GError **error);
/* The two steps of it that are left when all values are known. SIZE stands for itself. FLAGS: VM_OPEN_UNSAFE, or 0. */
bool vm_image_create_values (VmBlockGraph *graph, const char *name, const VmBlockDriver *format,
                             const VmBlockDriver *protocol, uint64_t size, const VmCreateValues *values, unsigned flags,
                             GError **error);
/* The driver that NAME is reached by. */
const VmBlockDriver *vm_image_protocol (VmBlockGraph *graph, const char *name, GError **error);
/* BACKING as an image called IMAGE names it: paths are relative to the image's folder. NULL with ERROR: there is no
 * such folder. */
char *vm_image_backing_path (const char *image, const char *backing, GError **error);
