/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One connection of a socket: TLS when wanted, then what the bytes look like, then the front end. */
#pragma once

#include "engine/char/char-private.h"
#include "engine/char/char-wire.h"
#include "engine/crypto/tls-session.h"

typedef struct VmCharLink
{
  VmChardev *chr;
  int fd; /* -1: no connection */
  VmCharWireKind kind;
  VmTlsSession *tls;
  VmCharWire *wire; /* NULL: hands are still being shaken */
  VmCharStream stream;
  GByteArray *out;  /* on its way to the peer */
  GByteArray *text; /* of the peer, not taken by the front end yet */
  GArray *fds;      /* came in, not taken yet */
  void (*opened) (VmChardev *chr);
  void (*gone) (VmChardev *chr, const char *why); /* WHY: TLS refused it; NULL: the end */
} VmCharLink;

void vm_char_link_init (VmCharLink *link, VmChardev *chr);
void vm_char_link_clear (VmCharLink *link);
/* Takes the descriptor, and TLS, which may be NULL. */
void vm_char_link_begin (VmCharLink *link, int fd, VmCharWireKind kind, VmTlsSession *tls);
void vm_char_link_drop (VmCharLink *link); /* no callback; may be called twice */
size_t vm_char_link_write (VmCharLink *link, const uint8_t *buf, size_t len);
int vm_char_link_take_fd (VmCharLink *link);

/* What a back end that uses a link begins with. */
typedef struct VmLinkChar
{
  VmChardev parent;
  VmCharLink link;
} VmLinkChar;
