/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metadata of image files through a small cache of pages: tables of any size cost a fixed amount of memory. All
 * metadata of a file must be written through it. Zero is the initial state. */
#pragma once

#include "block/node.h"

typedef struct VmMeta
{
  struct VmMetaPage *pages;  /* NULL until the first use */
  struct VmMetaBatch *batch; /* NULL: none is open */
  uint64_t clock;
  unsigned last;
  VmFiberMutex lock;
} VmMeta;

/* Bytes past the end of FILE read as zeros. */
int vm_meta_read (VmMeta *meta, VmNode *file, uint64_t offset, void *to, size_t len);
/* Down to FILE, and into what is cached of it. FILE grows when it must. */
int vm_meta_write (VmMeta *meta, VmNode *file, uint64_t offset, const void *from, size_t len);
/* Until the end of the batch, writes may be kept back to be written with others that lie beside them; each of them may
 * reach the file before those that were made earlier, but not after those that come behind the batch. */
void vm_meta_batch_begin (VmMeta *meta);
int vm_meta_batch_end (VmMeta *meta);
void vm_meta_forget (VmMeta *meta); /* all that is cached */
void vm_meta_free (VmMeta *meta);

/* Of FILE: grown, when it is smaller, so that LEN bytes at OFFSET are there; the new ones read as zeros. */
int vm_file_grow (VmNode *file, uint64_t offset, uint64_t len);
/* Bytes past the end of FILE read as zeros when OFFSET itself is below it; else the image is cut off: -EIO. */
int vm_file_read (VmNode *file, uint64_t offset, VmVec vec);
int vm_file_zero (VmNode *file, uint64_t offset, uint64_t len); /* grows it */
/* Sentences for what cannot be read or written. */
bool vm_file_read_header (VmNode *file, uint64_t offset, void *to, size_t len, GError **error);
bool vm_file_write_header (VmNode *file, uint64_t offset, const void *from, size_t len, GError **error);
