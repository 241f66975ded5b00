/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State of the 82574 beyond that of its family. */
#pragma once

#include "devices/net/e1000.h"
#include "devices/net/eeprom25xx.h"

#define E1000E_VECTORS 5
#define E1000E_TIME    0xb600 /* registers of the clock for IEEE 1588 */
#define E1000E_TIME_N  16

typedef struct E1000e E1000e;

typedef struct E1000eVector {
  E1000e  *card;
  VmTimer  timer; /* not before it the vector speaks again */
} E1000eVector;

struct E1000e {
  E1000    base;
  /* properties */
  uint16_t subsys_ven, subsys;
  uint8_t  disable_vnet_hdr;
  /* wiring */
  VmRegion flash, msix;
  E1000eVector vectors[E1000E_VECTORS];
  VmTimer  ack_timer;   /* an acknowledgement came, and is told when it fires */
  /* guest state */
  uint32_t owed;        /* a bit for each vector that waits for its timer; bit 31: the one of MSI */
  uint32_t time[E1000E_TIME_N];
  uint64_t clock_value; /* of the clock at the instant CLOCK_AT */
  int64_t  clock_at;
  VmEeprom25xx spi;     /* the words of BASE, by wires */
};

/* e1000e.c */
uint64_t e1000e_clock (const E1000e *self);
/* e1000e-rx.c */
uint32_t e1000e_store (E1000 *base, const VmNetPacket *packet, E1000Frame *frame);
/* e1000e-int.c */
void e1000e_update (E1000 *base, uint32_t causes);
uint32_t e1000e_read_icr (E1000 *base);
void e1000e_write_icr (E1000 *base, uint32_t value);
void e1000e_vector_ready (void *vector);
void e1000e_ack_told (void *card);
