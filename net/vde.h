/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the VDE back end and its module, which knows libvdeplug, share. */
#pragma once

#include "engine/base/base.h"

#include <sys/types.h>

typedef struct VmVdeApi
{
  void *(*open) (const char *switch_url, unsigned port, const char *group, unsigned mode); /* NULL: errno says why */
  ssize_t (*receive) (void *plug, void *frame, size_t size);                               /* both never block */
  ssize_t (*send) (void *plug, const void *frame, size_t len);
  int (*data_fd) (void *plug);
  int (*control_fd) (void *plug); /* reads as ended when the switch has gone */
  void (*close) (void *plug);
} VmVdeApi;

/* In the module. */
extern const VmVdeApi vm_vde_plug;
