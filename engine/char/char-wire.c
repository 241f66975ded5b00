/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telnet (RFC 854, 855, 856, 857, 858), TN3270 over it (RFC 1576: binary, end of record of RFC 885, terminal type of
 * RFC 1091), WebSocket (RFC 6455). */
#include "engine/char/char-wire.h"

#include <libtelnet.h>

#include "engine/io/websocket.h"

struct VmCharWire
{
  VmCharWireKind kind;
  telnet_t *telnet;
  VmWebsocket *websocket;
  /* during a call */
  GByteArray *text, *out;
  unsigned *breaks;
  bool failed;
  /* TN3270: what has been agreed */
  bool binary_in, binary_out, eor_in, eor_out, type_known;
};

static const telnet_telopt_t telnet_options[] = {
  { TELNET_TELOPT_ECHO, TELNET_WILL, TELNET_DONT },
  { TELNET_TELOPT_SGA, TELNET_WILL, TELNET_DO },
  { TELNET_TELOPT_BINARY, TELNET_WILL, TELNET_DO },
  { -1, 0, 0 },
};

static const telnet_telopt_t tn3270_options[] = {
  { TELNET_TELOPT_TTYPE, TELNET_WONT, TELNET_DO },
  { TELNET_TELOPT_EOR, TELNET_WILL, TELNET_DO },
  { TELNET_TELOPT_BINARY, TELNET_WILL, TELNET_DO },
  { -1, 0, 0 },
};

/* TN3270: which halves of the options stand. */
static void
note_option (VmCharWire *w, const telnet_event_t *event)
{
  bool on = event->type == TELNET_EV_WILL || event->type == TELNET_EV_DO;
  bool theirs = event->type == TELNET_EV_WILL || event->type == TELNET_EV_WONT;

  if (event->neg.telopt == TELNET_TELOPT_BINARY)
    *(theirs ? &w->binary_in : &w->binary_out) = on;
  else if (event->neg.telopt == TELNET_TELOPT_EOR)
    *(theirs ? &w->eor_in : &w->eor_out) = on;
  else if (event->neg.telopt == TELNET_TELOPT_TTYPE && theirs && on)
    telnet_ttype_send (w->telnet);
}

/* The front end of TN3270 sees records as they are on the wire: 255 doubled, IAC EOR at the end. */
static void
take_text (VmCharWire *w, const uint8_t *buf, size_t len)
{
  if (w->kind != VM_CHAR_WIRE_TN3270)
    {
      g_byte_array_append (w->text, buf, len);
      return;
    }
  for (size_t i = 0; i < len; i++)
    {
      const uint8_t twice[2] = { buf[i], buf[i] };
      g_byte_array_append (w->text, twice, buf[i] == TELNET_IAC ? 2 : 1);
    }
}

static void
telnet_handler (telnet_t *telnet, telnet_event_t *event, void *opaque)
{
  static const uint8_t end_of_record[2] = { TELNET_IAC, TELNET_EOR };
  VmCharWire *w = opaque;

  switch (event->type)
    {
    case TELNET_EV_DATA:
      if (w->text)
        take_text (w, (const uint8_t *) event->data.buffer, event->data.size);
      break;
    case TELNET_EV_SEND:
      g_byte_array_append (w->out, (const uint8_t *) event->data.buffer, event->data.size);
      break;
    case TELNET_EV_IAC:
      if (event->iac.cmd == TELNET_BREAK && w->breaks)
        ++*w->breaks;
      if (event->iac.cmd == TELNET_EOR && w->kind == VM_CHAR_WIRE_TN3270 && w->text)
        g_byte_array_append (w->text, end_of_record, sizeof end_of_record);
      break;
    case TELNET_EV_WILL:
    case TELNET_EV_WONT:
    case TELNET_EV_DO:
    case TELNET_EV_DONT:
      note_option (w, event);
      break;
    case TELNET_EV_TTYPE:
      w->type_known |= event->ttype.cmd == TELNET_TTYPE_IS;
      break;
    case TELNET_EV_ERROR:
      w->failed = true;
      break;
    default: /* warnings, and what other sub-negotiations say */
      break;
    }
}

static void
telnet_begin (VmCharWire *w)
{
  const telnet_telopt_t *options = w->kind == VM_CHAR_WIRE_TELNET ? telnet_options : tn3270_options;

  w->telnet = telnet_init (options, telnet_handler, 0, w);
  for (const telnet_telopt_t *o = options; o->telopt >= 0; o++)
    {
      if (o->us == TELNET_WILL)
        telnet_negotiate (w->telnet, TELNET_WILL, o->telopt);
      /* A client that suppresses go-ahead says so itself. */
      if (o->him == TELNET_DO && o->telopt != TELNET_TELOPT_SGA)
        telnet_negotiate (w->telnet, TELNET_DO, o->telopt);
    }
}

VmCharWire *
vm_char_wire_new (VmCharWireKind kind, GByteArray *out)
{
  VmCharWire *w = g_new0 (VmCharWire, 1);

  w->kind = kind;
  w->out = out;
  if (kind == VM_CHAR_WIRE_WEBSOCKET)
    w->websocket = vm_websocket_new ();
  else if (kind != VM_CHAR_WIRE_PLAIN)
    telnet_begin (w);
  return w;
}

void
vm_char_wire_free (VmCharWire *w)
{
  if (!w)
    return;
  if (w->telnet)
    telnet_free (w->telnet);
  vm_websocket_free (w->websocket);
  g_free (w);
}

bool
vm_char_wire_is_open (const VmCharWire *w)
{
  if (w->kind == VM_CHAR_WIRE_WEBSOCKET)
    return vm_websocket_is_open (w->websocket);
  return w->kind != VM_CHAR_WIRE_TN3270 || (w->binary_in && w->binary_out && w->eor_in && w->eor_out && w->type_known);
}

bool
vm_char_wire_decode (VmCharWire *w, const uint8_t *buf, size_t len, GByteArray *text, GByteArray *out, unsigned *breaks)
{
  if (w->websocket)
    return vm_websocket_receive (w->websocket, buf, len, text, out);
  if (!w->telnet)
    {
      g_byte_array_append (text, buf, len);
      return true;
    }
  w->text = text;
  w->out = out;
  w->breaks = breaks;
  telnet_recv (w->telnet, (const char *) buf, len);
  w->text = NULL;
  w->breaks = NULL;
  return !w->failed;
}

void
vm_char_wire_encode (VmCharWire *w, const uint8_t *buf, size_t len, GByteArray *out)
{
  w->out = out;
  if (w->websocket)
    vm_websocket_send (buf, len, out);
  else if (w->kind == VM_CHAR_WIRE_TELNET)
    telnet_send (w->telnet, (const char *) buf, len);
  else
    g_byte_array_append (out, buf, len);
}

void
vm_char_wire_end (VmCharWire *w, GByteArray *out)
{
  if (w->websocket)
    vm_websocket_close (w->websocket, out);
}
