/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the braille back end and its module, which knows BrlAPI, share. */
#pragma once

#include "engine/base/base.h"

typedef enum VmBrailleKey
{
  VM_BRAILLE_NONE,
  VM_BRAILLE_DISPLAY,
  VM_BRAILLE_ROUTING
} VmBrailleKey;

typedef struct VmBrailleApi
{
  /* A display of the host: the cells of its first line, and what to poll for keys. NULL: there is none. */
  void *(*open) (unsigned *cells, int *fd, GError **error);
  void (*show) (void *display, const uint8_t *dots, unsigned cells);
  /* A key, as far as the guest's display has it; false: none is waiting; *GONE: the server is. */
  bool (*read_key) (void *display, VmBrailleKey *key, unsigned *value, bool *gone);
  void (*close) (void *display);
} VmBrailleApi;

/* In the module. */
extern const VmBrailleApi vm_braille_brlapi;
