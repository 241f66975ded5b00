/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other end of a card on the bench: keeps what the card sends, sends what a test wants. */
#pragma once

#include "net/net.h"

typedef struct Wire {
  VmNetPort  port;
  GPtrArray *got;  /* GBytes *: frames the card sent */
  bool       full; /* takes none */
} Wire;

void wire_init (Wire *wire, VmNetCard *card, unsigned queue); /* plugs it in */
void wire_clear (Wire *wire);
/* The frame number I. */
const uint8_t *wire_frame (const Wire *wire, guint i, size_t *len);
