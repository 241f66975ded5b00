/* SPDX-License-Identifier: GPL-3.0-or-later */
/* WebSocket (RFC 6455): the opening handshake (section 4.2), framing (5.2), control frames (5.5). Data is a stream
 * here, as the "binary" sub-protocol has it: where messages begin and end does not matter. */
#include "engine/io/websocket.h"

#define REQUEST_MAX 8192
#define CONTROL_MAX 125 /* 5.5 */
#define HEADER_MAX 14
#define PROTOCOL "binary"
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum
{
  OP_CONTINUATION = 0,
  OP_TEXT = 1,
  OP_BINARY = 2,
  OP_CLOSE = 8,
  OP_PING = 9,
  OP_PONG = 10
};
enum
{
  FIN = 0x80,
  RESERVED = 0x70,
  OPCODE = 0x0f,
  MASKED = 0x80,
  LENGTH = 0x7f
};

struct VmWebsocket
{
  GString *request; /* until it is granted */
  bool open, ended, fragmented;
  /* the frame that comes in */
  uint8_t header[HEADER_MAX];
  unsigned header_len;
  uint64_t left; /* of its payload */
  unsigned mask_at;
  bool in_payload;
  uint8_t control[CONTROL_MAX];
  unsigned control_len;
};

VmWebsocket *
vm_websocket_new (void)
{
  VmWebsocket *w = g_new0 (VmWebsocket, 1);

  w->request = g_string_new (NULL);
  return w;
}

void
vm_websocket_free (VmWebsocket *w)
{
  if (!w)
    return;
  g_string_free (w->request, TRUE);
  g_free (w);
}

bool
vm_websocket_is_open (const VmWebsocket *w)
{
  return w->open;
}

/* --- sending ------------------------------------------------------------------------------------- */

static void
add_frame (unsigned opcode, const uint8_t *buf, size_t len, GByteArray *out)
{
  uint8_t header[10] = { FIN | opcode };
  unsigned n = 2;

  if (len < 126)
    header[1] = len;
  else if (len <= UINT16_MAX)
    {
      header[1] = 126;
      vm_store_be16 (header + 2, len);
      n = 4;
    }
  else
    {
      header[1] = 127;
      vm_store_be64 (header + 2, len);
      n = 10;
    }
  g_byte_array_append (out, header, n);
  if (len)
    g_byte_array_append (out, buf, len);
}

void
vm_websocket_send (const uint8_t *buf, size_t len, GByteArray *out)
{
  if (len)
    add_frame (OP_BINARY, buf, len, out);
}

static bool
end_with (VmWebsocket *w, unsigned code, GByteArray *out)
{
  uint8_t bytes[2];

  w->ended = true;
  vm_store_be16 (bytes, code);
  add_frame (OP_CLOSE, bytes, sizeof bytes, out);
  return false;
}

void
vm_websocket_close (VmWebsocket *w, GByteArray *out)
{
  if (w->open && !w->ended)
    end_with (w, 1000, out);
}

/* --- the handshake ------------------------------------------------------------------------------- */

/* The values of field NAME, those of several lines joined; NULL: it is not there. */
static char *
header_field (char *const *lines, const char *name)
{
  GString *value = NULL;
  size_t len = strlen (name);

  for (unsigned i = 1; lines[i]; i++)
    {
      if (g_ascii_strncasecmp (lines[i], name, len) != 0 || lines[i][len] != ':')
        continue;
      if (value)
        g_string_append (value, ", ");
      else
        value = g_string_new (NULL);
      g_string_append (value, lines[i] + len + 1);
    }
  return value ? g_strstrip (g_string_free (value, FALSE)) : NULL;
}

static bool
has_token (const char *list, const char *token)
{
  g_auto (GStrv) items = g_strsplit (list ? list : "", ",", -1);

  for (unsigned i = 0; items[i]; i++)
    if (!g_ascii_strcasecmp (g_strstrip (items[i]), token))
      return true;
  return false;
}

static void
say (GByteArray *out, const char *text)
{
  g_byte_array_append (out, (const uint8_t *) text, strlen (text));
}

static bool
refuse (GByteArray *out, const char *status)
{
  g_autofree char *text = g_strdup_printf ("HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n"
                                           "Sec-WebSocket-Version: 13\r\n\r\n",
                                           status);

  say (out, text);
  return false;
}

static bool
key_is_valid (const char *key)
{
  if (!key || strlen (key) != 24
      || strspn (key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") != 24)
    return false;
  size_t len = 0;
  g_autofree uint8_t *nonce = g_base64_decode (key, &len);
  return nonce && len == 16;
}

static bool
grant (VmWebsocket *w, GByteArray *out)
{
  g_auto (GStrv) lines = g_strsplit (w->request->str, "\r\n", -1);
  g_auto (GStrv) words = g_strsplit (lines[0], " ", -1);
  g_autofree char *host = header_field (lines, "Host"), *upgrade = header_field (lines, "Upgrade");
  g_autofree char *connection = header_field (lines, "Connection"), *key = header_field (lines, "Sec-WebSocket-Key");
  g_autofree char *version = header_field (lines, "Sec-WebSocket-Version");
  g_autofree char *protocol = header_field (lines, "Sec-WebSocket-Protocol");

  if (g_strv_length (words) != 3 || strcmp (words[0], "GET") != 0 || strcmp (words[2], "HTTP/1.1") != 0)
    return refuse (out, "400 Bad Request");
  if (!host || !has_token (upgrade, "websocket") || !has_token (connection, "upgrade") || !key_is_valid (key))
    return refuse (out, "400 Bad Request");
  if (!version || strcmp (version, "13") != 0)
    return refuse (out, "426 Upgrade Required");
  if (protocol && !has_token (protocol, PROTOCOL))
    return refuse (out, "400 Bad Request");

  g_autofree char *joined = g_strconcat (key, GUID, NULL);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA1);
  uint8_t digest[20];
  gsize len = sizeof digest;
  g_checksum_update (sum, (const guchar *) joined, -1);
  g_checksum_get_digest (sum, digest, &len);
  g_autofree char *answer = g_base64_encode (digest, len);
  g_autofree char *text
      = g_strdup_printf ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: %s\r\n%s\r\n",
                         answer, protocol ? "Sec-WebSocket-Protocol: " PROTOCOL "\r\n" : "");
  say (out, text);
  w->open = true;
  g_string_truncate (w->request, 0);
  return true;
}

/* Takes bytes up to the empty line that ends the request. */
static bool
receive_request (VmWebsocket *w, const uint8_t **buf, size_t *len, GByteArray *out)
{
  while (*len && !w->open)
    {
      uint8_t c = *(*buf)++;

      --*len;
      if (c == 0 || w->request->len >= REQUEST_MAX)
        return refuse (out, c ? "431 Request Header Fields Too Large" : "400 Bad Request");
      g_string_append_c (w->request, c);
      if (c == '\n' && g_str_has_suffix (w->request->str, "\r\n\r\n") && !grant (w, out))
        return false;
    }
  return true;
}

/* --- frames -------------------------------------------------------------------------------------- */

static unsigned
header_size (const VmWebsocket *w)
{
  unsigned length = w->header_len < 2 ? 0 : w->header[1] & LENGTH;

  return w->header_len < 2 ? 2 : 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + 4;
}

/* The header is whole. */
static bool
begin_frame (VmWebsocket *w, GByteArray *out)
{
  unsigned opcode = w->header[0] & OPCODE, length = w->header[1] & LENGTH;
  bool control = opcode >= OP_CLOSE, fin = w->header[0] & FIN;

  w->left = length == 126 ? vm_load_be16 (w->header + 2) : length == 127 ? vm_load_be64 (w->header + 2) : length;
  if ((w->header[0] & RESERVED) || w->left > INT64_MAX)
    return end_with (w, 1002, out);
  if (control && (!fin || w->left > CONTROL_MAX || opcode > OP_PONG))
    return end_with (w, 1002, out);
  if (!control && (opcode > OP_BINARY || (opcode == OP_CONTINUATION) != w->fragmented))
    return end_with (w, 1002, out);
  if (!control)
    w->fragmented = !fin;
  w->mask_at = 0;
  w->control_len = 0;
  w->in_payload = true;
  return true;
}

static bool
end_frame (VmWebsocket *w, GByteArray *out)
{
  unsigned opcode = w->header[0] & OPCODE;

  w->in_payload = false;
  w->header_len = 0;
  if (opcode == OP_PING)
    add_frame (OP_PONG, w->control, w->control_len, out);
  if (opcode != OP_CLOSE)
    return true;
  w->ended = true;
  add_frame (OP_CLOSE, w->control, MIN (w->control_len, 2), out); /* the same code back */
  return false;
}

static void
take_payload (VmWebsocket *w, const uint8_t *buf, size_t len, GByteArray *payload)
{
  const uint8_t *mask = w->header + header_size (w) - 4;
  bool control = (w->header[0] & OPCODE) >= OP_CLOSE;
  guint at = payload->len;
  uint8_t *to = w->control + w->control_len;

  if (control)
    w->control_len += len;
  else
    {
      g_byte_array_set_size (payload, at + len);
      to = payload->data + at;
    }
  for (size_t i = 0; i < len; i++)
    to[i] = buf[i] ^ mask[w->mask_at++ & 3];
  w->left -= len;
}

bool
vm_websocket_receive (VmWebsocket *w, const uint8_t *buf, size_t len, GByteArray *payload, GByteArray *out)
{
  if (!w->open && !receive_request (w, &buf, &len, out))
    return false;
  while (len)
    {
      if (!w->in_payload)
        {
          w->header[w->header_len++] = *buf++;
          len--;
          if (w->header_len == 2 && !(w->header[1] & MASKED)) /* 5.1: each frame of a client is */
            return end_with (w, 1002, out);
          if (w->header_len == header_size (w) && !begin_frame (w, out))
            return false;
        }
      else
        {
          size_t n = MIN (len, w->left);

          take_payload (w, buf, n, payload);
          buf += n;
          len -= n;
        }
      if (w->in_payload && w->left == 0 && !end_frame (w, out))
        return false;
    }
  return true;
}
