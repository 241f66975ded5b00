/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A little machine with every kind of saved field, for the test and the fuzz target. */
#pragma once

#include "engine/state/state.h"

typedef struct Fifo {
  uint8_t  data[4];
  uint16_t head;
} Fifo;

typedef struct Gadget {
  VmDevice  dev;
  uint32_t  heap_size; /* a property */
  uint8_t   mode;
  bool      on, flags[3];
  uint64_t  big;
  int16_t   table[5];
  Fifo      fifo, fifos[2];
  VmTimer   timer, real_timer;
  uint8_t  *heap;
  uint32_t  newer;
  unsigned  derived; /* by post_load, from mode */
} Gadget;

typedef struct SmallMachine {
  VmEnv   env;
  Gadget *a, *b;
  Fifo    extra; /* no object: a section of its own */
} SmallMachine;

extern const VmType gadget_type;    /* version 2 */
extern const VmType gadget_v1_type; /* the same of an older build */

void        small_machine_init (SmallMachine *machine, const VmType *type);
void        small_machine_clear (SmallMachine *machine);
GByteArray *small_machine_save (SmallMachine *machine);
bool        small_machine_load (SmallMachine *machine, const uint8_t *data, size_t size, GError **error);
