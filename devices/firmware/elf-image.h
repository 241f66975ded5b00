/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An ELF executable for x86 laid out as it stands in physical memory. */
#pragma once

#include "engine/base/base.h"

typedef struct VmElfImage {
  bool        is64;
  uint64_t    start;     /* lowest physical address of a loaded segment */
  GByteArray *data;      /* from there to the highest, gaps and .bss zero */
  uint64_t    entry;     /* e_entry as a physical address */
  bool        has_pvh;
  uint32_t    pvh_entry; /* of the Xen note PHYS32_ENTRY */
} VmElfImage;

bool vm_elf_is (GBytes *file);
/* MAX_SIZE bounds what the segments may span. */
bool vm_elf_load (GBytes *file, uint64_t max_size, VmElfImage *image, GError **error);
void vm_elf_image_clear (VmElfImage *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VmElfImage, vm_elf_image_clear)
