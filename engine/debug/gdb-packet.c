/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets of gdb's remote serial protocol (gdb manual, E.1). */
#include "engine/debug/gdb-packet.h"

static GdbFrame
feed_idle (GdbFramer *f, uint8_t byte)
{
  switch (byte)
    {
    case '$':
      f->state = GDB_DATA;
      f->len = f->sum = 0;
      f->too_long = false;
      return GDB_FRAME_MORE;
    case 3:
      return GDB_FRAME_BREAK;
    case '-':
      return GDB_FRAME_NAK;
    default: /* "+", and noise */
      return GDB_FRAME_MORE;
    }
}

static void
add_byte (GdbFramer *f, uint8_t byte)
{
  if (f->len < GDB_PACKET_MAX)
    f->data[f->len++] = (char) byte;
  else
    f->too_long = true;
}

static GdbFrame
end_packet (GdbFramer *f)
{
  f->state = GDB_IDLE;
  f->data[f->len] = 0;
  if (f->bad_digit || f->sent_sum != f->sum)
    return GDB_FRAME_BAD;
  return f->too_long ? GDB_FRAME_LONG : GDB_FRAME_PACKET;
}

GdbFrame
gdb_framer_feed (GdbFramer *f, uint8_t byte)
{
  int digit;

  switch (f->state)
    {
    case GDB_IDLE:
      return feed_idle (f, byte);
    case GDB_DATA:
      if (byte == '$') /* the rest of the one before was lost */
        return feed_idle (f, byte);
      if (byte == '#')
        {
          f->state = GDB_SUM_HIGH;
          return GDB_FRAME_MORE;
        }
      f->sum += byte;
      if (byte == '}')
        f->state = GDB_ESCAPED;
      else
        add_byte (f, byte);
      return GDB_FRAME_MORE;
    case GDB_ESCAPED:
      f->sum += byte;
      f->state = GDB_DATA;
      add_byte (f, byte ^ 0x20);
      return GDB_FRAME_MORE;
    case GDB_SUM_HIGH:
      digit = g_ascii_xdigit_value ((char) byte);
      f->bad_digit = digit < 0;
      f->sent_sum = (digit & 15) << 4;
      f->state = GDB_SUM_LOW;
      return GDB_FRAME_MORE;
    case GDB_SUM_LOW:
      digit = g_ascii_xdigit_value ((char) byte);
      f->bad_digit |= digit < 0;
      f->sent_sum |= digit & 15;
      return end_packet (f);
    }
  return GDB_FRAME_MORE;
}

void
gdb_packet_append (GString *out, const char *data, size_t len)
{
  static const char digits[] = "0123456789abcdef";
  uint8_t sum = 0;

  g_string_append_c (out, '$');
  size_t start = out->len;
  for (size_t i = 0; i < len; i++)
    {
      if (memchr ("#$}*", data[i], 4))
        {
          g_string_append_c (out, '}');
          g_string_append_c (out, data[i] ^ 0x20);
        }
      else
        g_string_append_c (out, data[i]);
    }
  for (size_t i = start; i < out->len; i++)
    sum += (uint8_t) out->str[i];
  g_string_append_c (out, '#');
  g_string_append_c (out, digits[sum >> 4]);
  g_string_append_c (out, digits[sum & 15]);
}

void
gdb_hex_append (GString *out, const uint8_t *bytes, size_t len)
{
  static const char digits[] = "0123456789abcdef";

  for (size_t i = 0; i < len; i++)
    {
      g_string_append_c (out, digits[bytes[i] >> 4]);
      g_string_append_c (out, digits[bytes[i] & 15]);
    }
}

bool
gdb_hex_parse (const char *text, uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    {
      int high = g_ascii_xdigit_value (text[2 * i]);
      int low = high < 0 ? -1 : g_ascii_xdigit_value (text[2 * i + 1]);

      if (low < 0)
        return false;
      bytes[i] = high << 4 | low;
    }
  return true;
}

bool
gdb_number_parse (const char **p, uint64_t *value)
{
  const char *start = *p;

  *value = 0;
  for (; g_ascii_isxdigit (**p); (*p)++)
    {
      if (*value >> 60)
        return false;
      *value = *value << 4 | g_ascii_xdigit_value (**p);
    }
  return *p != start;
}
