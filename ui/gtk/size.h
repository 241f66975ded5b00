/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How sizes are said: "1.5 GiB", as disks and memory are counted. */
#pragma once

#include <glib.h>

static inline char *
vm_format_size (guint64 bytes)
{
  return g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS);
}
