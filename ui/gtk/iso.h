/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A CD image of some files, all in its root (ECMA-119, with Joliet names). */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/* Writes FD, which is empty. PATHS ends with NULL. LABEL: at most 16 characters are kept. Any thread. */
bool vm_iso_write (int fd, const char *const *paths, const char *label, GCancellable *cancellable, GError **error);
