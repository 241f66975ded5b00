/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answer that a client with the right password gives to a challenge (RFC 6143, 7.2.2). */
#pragma once

#include "engine/base/base.h"

#define VNC_CHALLENGE 16

void vnc_des_answer (const char *password, const uint8_t challenge[VNC_CHALLENGE], uint8_t answer[VNC_CHALLENGE]);
