/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text for targets that eat it, out of the words they know. */
#include "tests/fuzz/fuzz.h"

void
fuzz_make (GRand *rand, GByteArray *input)
{
  int n = 0;

  while (fuzz_words[n])
    n++;
  for (int i = g_rand_int_range (rand, 0, 30); i > 0; i--)
    {
      const char *word = fuzz_words[g_rand_int_range (rand, 0, n)];
      uint8_t byte = (uint8_t) g_rand_int (rand);

      g_byte_array_append (input, (const uint8_t *) word, strlen (word));
      if (g_rand_int_range (rand, 0, 8) == 0)
        g_byte_array_append (input, &byte, 1);
    }
}
