/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a file is, by what is in it; its name plays no part. Formats of disk images are the block layer's to tell. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef enum VmFileKind
{
  VM_FILE_UNREADABLE, /* ERROR says why */
  VM_FILE_FOLDER,
  VM_FILE_ISO,     /* ISO 9660 or UDF */
  VM_FILE_IMAGE,   /* a disk image of some format */
  VM_FILE_RAW,     /* a disk image without a format: partitions or a file system */
  VM_FILE_FLOPPY,  /* the same, as big as a floppy disk */
  VM_FILE_KERNEL,  /* Linux */
  VM_FILE_ARCHIVE, /* packed, or an appliance: nothing to attach as it is */
  VM_FILE_OTHER,
} VmFileKind;

typedef struct VmFileInfo
{
  char *path;
  VmFileKind kind;
  char *format; /* of an image: as the block layer calls it; of an archive: what it is */
  char *error;
  int64_t size;
} VmFileInfo;

void vm_file_info_free (gpointer info);
/* Looks at HEAD, the first N of SIZE bytes: everything but VM_FILE_IMAGE. */
VmFileKind vm_file_kind_of (const guint8 *head, gsize n, guint64 size, const char **format);
/* The bytes that this needs. */
#define VM_FILE_HEAD (34 * 1024 + 16 * 2048)
/* Reads in a thread of its own; GTask with a VmFileInfo. */
void vm_file_look_async (const char *path, GCancellable *cancellable, GAsyncReadyCallback done, gpointer data);
VmFileInfo *vm_file_look_finish (GAsyncResult *result);
/* "ISO image", "disk image (qcow2)": for people. Free the result. */
char *vm_file_describe (const VmFileInfo *info);
