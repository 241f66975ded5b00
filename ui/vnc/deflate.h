/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DEFLATE for pictures that cannot wait: several times as fast as zlib's quick levels, for a tenth more bytes. */
#pragma once

#include "engine/base/base.h"

typedef struct VncDeflate VncDeflate;

VncDeflate *vnc_deflate_new (void);
void vnc_deflate_free (VncDeflate *deflate);
/* Appends blocks that end with a byte, and from which all of BYTES can be read by who has read what came before. */
void vnc_deflate_put (VncDeflate *deflate, const uint8_t *bytes, size_t len, GByteArray *out);
