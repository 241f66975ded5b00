/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that are part of the program itself: the boot ROMs. */
#pragma once

#include <stddef.h>
#include <string.h>

typedef struct VmResource {
  const char          *name; /* "linuxboot.rom" */
  const unsigned char *data;
  size_t               size;
} VmResource;

extern const VmResource vm_resources[]; /* ends with a NULL name */

static inline const VmResource *
vm_resource_find (const char *name)
{
  for (const VmResource *r = vm_resources; r->name; r++)
    if (strcmp (r->name, name) == 0)
      return r;
  return NULL;
}
