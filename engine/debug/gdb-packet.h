/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets of gdb's remote serial protocol (gdb manual, E.1): "$data#sum", and bytes as hexadecimal digits. */
#pragma once

#include "engine/base/base.h"

#define GDB_PACKET_MAX 0x4000 /* bytes of data, escapes resolved: what qSupported promises */

typedef enum GdbFrame
{
  GDB_FRAME_MORE,   /* nothing is whole yet */
  GDB_FRAME_PACKET, /* DATA has LEN bytes and a 0 after them */
  GDB_FRAME_BAD,    /* a wrong checksum: it should come again */
  GDB_FRAME_LONG,   /* a packet that is too long, received and dropped */
  GDB_FRAME_BREAK,  /* the byte 3 between packets: Ctrl+C */
  GDB_FRAME_NAK,    /* "-": the last reply should be sent again */
} GdbFrame;

/* All zero: between packets. */
typedef struct GdbFramer
{
  enum
  {
    GDB_IDLE,
    GDB_DATA,
    GDB_ESCAPED,
    GDB_SUM_HIGH,
    GDB_SUM_LOW
  } state;
  bool too_long;
  uint8_t sum, sent_sum;
  bool bad_digit;
  unsigned len;
  char data[GDB_PACKET_MAX + 1];
} GdbFramer;

GdbFrame gdb_framer_feed (GdbFramer *framer, uint8_t byte);

/* "$", DATA with its special bytes escaped, "#", sum. */
void gdb_packet_append (GString *out, const char *data, size_t len);

void gdb_hex_append (GString *out, const uint8_t *bytes, size_t len);
/* Exactly 2 * LEN digits at TEXT. */
bool gdb_hex_parse (const char *text, uint8_t *bytes, size_t len);
/* A hexadecimal number at *P, which moves behind it. False: there is none, or it has more than 64 bits. */
bool gdb_number_parse (const char **p, uint64_t *value);
