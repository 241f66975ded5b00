/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cut text of clients (RFC 6143, 7.5.6) and the Extended Clipboard of the community's protocol document. */
#include "ui/vnc/vnc-private.h"

void
vnc_clipboard_features (VncClient *c)
{
  c->features &= ~(unsigned) VNC_HAS_CLIPBOARD;
}

/* Nobody here has a clipboard to put it on. */
bool
vnc_clipboard_text (VncClient *c, const uint8_t *text, size_t len)
{
  return true;
}

bool
vnc_clipboard_extended (VncClient *c, const uint8_t *message, size_t len)
{
  return false;
}

void
vnc_clipboard_free (VncClient *c)
{
}
