/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What lies between the bytes of a socket and those of the front end: nothing, telnet, TN3270, WebSocket. */
#pragma once

#include "engine/base/base.h"

typedef enum VmCharWireKind
{
  VM_CHAR_WIRE_PLAIN,
  VM_CHAR_WIRE_TELNET,
  VM_CHAR_WIRE_TN3270,
  VM_CHAR_WIRE_WEBSOCKET,
} VmCharWireKind;

typedef struct VmCharWire VmCharWire;

/* What a connection begins with is in OUT. */
VmCharWire *vm_char_wire_new (VmCharWireKind kind, GByteArray *out);
void vm_char_wire_free (VmCharWire *wire);
/* May the front end be told that somebody is there. */
bool vm_char_wire_is_open (const VmCharWire *wire);
/* Bytes of the peer: its text is appended to TEXT (at most LEN bytes, for TN3270 twice that), answers to OUT, *BREAKS
 * counts breaks. False: the peer has ended it or makes no sense; what is in OUT may still go. */
bool vm_char_wire_decode (VmCharWire *wire, const uint8_t *buf, size_t len, GByteArray *text, GByteArray *out,
                          unsigned *breaks);
void vm_char_wire_encode (VmCharWire *wire, const uint8_t *buf, size_t len, GByteArray *out);
void vm_char_wire_end (VmCharWire *wire, GByteArray *out); /* the last words */
