/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VNC Authentication: DES with the first eight characters as its key, the bits of each the other way round. */
#include "ui/vnc/des.h"

#include <nettle/des.h>

void
vnc_des_answer (const char *password, const uint8_t challenge[VNC_CHALLENGE], uint8_t answer[VNC_CHALLENGE])
{
  uint8_t key[DES_KEY_SIZE] = { 0 };
  struct des_ctx des;

  for (unsigned i = 0; i < DES_KEY_SIZE && password[i]; i++)
    for (unsigned bit = 0; bit < 8; bit++)
      if ((uint8_t) password[i] & 1u << bit)
        key[i] |= (uint8_t) (0x80 >> bit);
  des_set_key (&des, key); /* whether it is a weak one does not matter here */
  des_encrypt (&des, VNC_CHALLENGE, answer, challenge);
}
