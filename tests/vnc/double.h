/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: VNC servers of a machine that has nothing but a screen and hands that nobody watches. */
#pragma once

#include "ui/vnc/vnc-private.h"

typedef struct VncDouble
{
  VmMachine machine;
  VmSettings settings;
  VmVnc *vnc;
  VmConsole *console;
  VmSurface *surface;
} VncDouble;

/* SERVER as -vnc has it. Events are forgotten. */
VncDouble *vnc_double_new (const char *server, int width, int height);
void vnc_double_free (VncDouble *d);
/* A connection; the other end is the caller's. */
int vnc_double_connect (VncDouble *d, bool skip_auth, bool websocket);
/* Waits until nobody is connected any more, running the engine's loop meanwhile. */
void vnc_double_settle (VncDouble *d);
