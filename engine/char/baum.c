/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets of Baum braille displays: an escape byte, what it is, and its bytes, of which escapes are doubled. */
#include "engine/char/baum.h"

#define ESC 0x1b

enum
{
  REQ_DISPLAY = 0x01,
  REQ_VERSION = 0x05,
  REQ_KEYS = 0x08,
  REQ_IDENTITY = 0x84,
  REQ_SERIAL = 0x8a,
  RSP_CELLS = 0x01,
  RSP_VERSION = 0x05,
  RSP_ROUTING = 0x22,
  RSP_DISPLAY_KEYS = 0x24,
  RSP_IDENTITY = 0x84,
  RSP_SERIAL = 0x8a,
};

static void
answer (GByteArray *out, uint8_t kind, const uint8_t *bytes, size_t len)
{
  const uint8_t head[2] = { ESC, kind }, escape[2] = { ESC, ESC };

  g_byte_array_append (out, head, sizeof head);
  for (size_t i = 0; i < len; i++)
    g_byte_array_append (out, bytes[i] == ESC ? escape : bytes + i, bytes[i] == ESC ? 2 : 1);
}

static void
answer_cells (VmBaum *b, GByteArray *out)
{
  const uint8_t n = b->cells;

  answer (out, RSP_CELLS, &n, 1);
}

void
vm_baum_display_keys (VmBaum *b, unsigned keys, GByteArray *out)
{
  const uint8_t down = keys, up = 0;

  answer (out, RSP_DISPLAY_KEYS, &down, 1);
  answer (out, RSP_DISPLAY_KEYS, &up, 1);
}

void
vm_baum_routing_key (VmBaum *b, unsigned cell, GByteArray *out)
{
  uint8_t mask[(VM_BAUM_CELLS_MAX + 7) / 8] = { 0 };
  size_t len = (b->cells + 7) / 8;

  if (cell >= b->cells)
    return;
  mask[cell / 8] = 1 << cell % 8;
  answer (out, RSP_ROUTING, mask, len);
  mask[cell / 8] = 0;
  answer (out, RSP_ROUTING, mask, len);
}

/* How many bytes follow the first one of a packet. Those of kinds that are of no interest end with the next. */
static unsigned
packet_size (const VmBaum *b)
{
  return b->packet[0] == REQ_DISPLAY ? b->cells : 0;
}

static bool
take_packet (VmBaum *b, GByteArray *out)
{
  static const uint8_t version = 0x33;

  switch (b->packet[0])
    {
    case REQ_DISPLAY:
      memcpy (b->dots, b->packet + 1, b->cells);
      return true;
    case REQ_VERSION:
      answer (out, RSP_VERSION, &version, 1);
      answer_cells (b, out);
      break;
    case REQ_KEYS:
      answer (out, RSP_DISPLAY_KEYS, (const uint8_t[]){ 0 }, 1);
      break;
    case REQ_IDENTITY:
      answer (out, RSP_IDENTITY, (const uint8_t *) "Baum Vario40    ", 16);
      answer_cells (b, out);
      break;
    case REQ_SERIAL:
      answer (out, RSP_SERIAL, (const uint8_t *) "00000000", 8);
      break;
    default: /* modes and protocols that change nothing here */
      break;
    }
  return false;
}

bool
vm_baum_receive (VmBaum *b, const uint8_t *buf, size_t len, GByteArray *out)
{
  bool changed = false;

  for (size_t i = 0; i < len; i++)
    {
      bool was_escaped = b->escaped;

      b->escaped = buf[i] == ESC && !was_escaped;
      if (b->escaped)
        continue;
      if (was_escaped && buf[i] != ESC) /* a new packet, whatever was before */
        {
          b->inside = true;
          b->len = 0;
        }
      if (!b->inside)
        continue;
      b->packet[b->len++] = buf[i];
      if (b->len < 1 + packet_size (b))
        continue;
      b->inside = false;
      changed |= take_packet (b, out);
    }
  return changed;
}
