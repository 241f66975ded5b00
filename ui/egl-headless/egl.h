/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OpenGL of a render node, or of Mesa's software renderer, without any surface. */
#pragma once

#include <epoxy/egl.h>

#include "engine/base/base.h"

typedef struct Egl
{
  EGLDisplay display;
  EGLContext context;
} Egl;

/* NODE: a render node, "/dev/dri/renderD128"; NULL: the first there is, else software. */
bool vm_egl_open (Egl *egl, const char *node, GError **error);
void vm_egl_close (Egl *egl);
