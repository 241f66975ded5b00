/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Putting files into the machine: media into drives, disks and folders onto its buses. What the menu and what is
 * dropped on the window go through. The block layer finds out what an image is, with nothing but reading; what it found
 * is said when the image is attached, so that a guest cannot make its disk another format later. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/devices.h"

/* What all of these act on; the window has one. */
typedef struct VmAttach
{
  GtkWindow *parent;
  VmSession *session;
  VmDevices *devices;
  GSettings *preferences;
  GtkWidget *bars; /* where it is said what was done */
  unsigned serial; /* of names */
  GPtrArray *made; /* char *: images that go when the window goes */
} VmAttach;

/* FORMAT NULL: ERROR says why it cannot be opened. */
typedef void (*VmProbed) (gpointer data, const char *format, int64_t size, const char *error);
/* Which format PATH has, by the block layer's own probe; the image is neither locked nor written. */
void vm_attach_probe (VmAttach *attach, const char *path, VmProbed func, gpointer data);

/* FORMAT NULL: probed. A drive that the guest has locked or, with ASK, one that is full is asked about first. */
void vm_attach_insert (VmAttach *attach, const char *qdev, const char *path, const char *format, bool ask);
void vm_attach_eject (VmAttach *attach, const char *qdev);
/* FORMAT NULL: probed. Falls back to reading when the image cannot be written. */
void vm_attach_disk (VmAttach *attach, const char *path, const char *format);
/* PATH's files as a FAT disk to read. */
void vm_attach_folder (VmAttach *attach, const char *path);
/* Makes a CD image of the files, which ends with NULL, and puts that into a drive. */
void vm_attach_send (VmAttach *attach, const char *const *paths);
/* By the agent in the guest. */
void vm_attach_copy (VmAttach *attach, const char *const *paths);
/* A new CD drive with PATH in it, for machines that can have one more. */
void vm_attach_cd_drive (VmAttach *attach, const char *path);
/* Why disks (CD: drives) cannot be added; NULL: they can. */
const char *vm_attach_no_disk (VmAttach *attach);
const char *vm_attach_no_cd (VmAttach *attach);
