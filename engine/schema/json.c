/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing JSON the way clients know it: "key": value, nothing inside the brackets, ASCII only (RFC 8259). */
#include "engine/schema/schema.h"

typedef struct Writer
{
  GString *out;
  bool pretty;
} Writer;

static void write_value (Writer *w, json_object *json, unsigned depth);

static void
new_line (Writer *w, unsigned depth)
{
  if (w->pretty)
    g_string_append_printf (w->out, "\n%*s", (int) depth * 4, "");
}

static void
write_escape (Writer *w, gunichar c)
{
  if (c > 0xffff)
    {
      c -= 0x10000;
      g_string_append_printf (w->out, "\\u%04X", 0xd800 + (c >> 10));
      c = 0xdc00 + (c & 0x3ff);
    }
  g_string_append_printf (w->out, "\\u%04X", c);
}

static void
write_string (Writer *w, const char *text, size_t len)
{
  static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  g_autofree char *valid = g_utf8_make_valid (text, len);

  g_string_append_c (w->out, '"');
  for (const char *p = valid; *p; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      const char *special = c < 128 ? strchr (plain, (int) c) : NULL;
      if (special)
        g_string_append_printf (w->out, "\\%c", letters[special - plain]);
      else if (c >= 32 && c < 127)
        g_string_append_c (w->out, (char) c);
      else
        write_escape (w, c);
    }
  g_string_append_c (w->out, '"');
}

static void
write_object (Writer *w, json_object *json, unsigned depth)
{
  bool first = true;

  g_string_append_c (w->out, '{');
  json_object_object_foreach (json, key, value)
  {
    if (!first)
      g_string_append (w->out, w->pretty ? "," : ", ");
    first = false;
    new_line (w, depth + 1);
    write_string (w, key, strlen (key));
    g_string_append (w->out, ": ");
    write_value (w, value, depth + 1);
  }
  new_line (w, depth);
  g_string_append_c (w->out, '}');
}

static void
write_array (Writer *w, json_object *json, unsigned depth)
{
  size_t n = json_object_array_length (json);

  g_string_append_c (w->out, '[');
  for (size_t i = 0; i < n; i++)
    {
      if (i)
        g_string_append (w->out, w->pretty ? "," : ", ");
      new_line (w, depth + 1);
      write_value (w, json_object_array_get_idx (json, i), depth + 1);
    }
  new_line (w, depth);
  g_string_append_c (w->out, ']');
}

/* Depth is bounded by the reader's: values made here are shallower. */
static void
write_value (Writer *w, json_object *json, unsigned depth)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  switch (json_object_get_type (json))
    {
    case json_type_null:
      g_string_append (w->out, "null");
      break;
    case json_type_boolean:
      g_string_append (w->out, json_object_get_boolean (json) ? "true" : "false");
      break;
    case json_type_int:
      if (json_object_get_int64 (json) < 0)
        g_string_append_printf (w->out, "%" G_GINT64_FORMAT, (gint64) json_object_get_int64 (json));
      else
        g_string_append_printf (w->out, "%" G_GUINT64_FORMAT, (guint64) json_object_get_uint64 (json));
      break;
    case json_type_double:
      g_string_append (w->out, g_ascii_dtostr (number, sizeof number, json_object_get_double (json)));
      break;
    case json_type_string:
      write_string (w, json_object_get_string (json), json_object_get_string_len (json));
      break;
    case json_type_object:
      write_object (w, json, depth);
      break;
    case json_type_array:
      write_array (w, json, depth);
      break;
    }
}

char *
vm_json_to_string (json_object *json, bool pretty)
{
  Writer w = { g_string_new (NULL), pretty };

  write_value (&w, json, 0);
  return g_string_free (w.out, FALSE);
}
