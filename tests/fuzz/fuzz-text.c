/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driving the text fuzzers. */
#include "tests/fuzz/fuzz-text.h"

#include <glib.h>
#include <stdlib.h>

#ifdef VM_LIBFUZZER
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  fuzz_one ((const char *) data, size);
  return 0;
}
#else
int
main (int argc, char **argv)
{
  unsigned rounds = argc > 1 ? (unsigned) atoi (argv[1]) : 1000;
  guint32 seed = argc > 2 ? (guint32) atoi (argv[2]) : 1;
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  int n = 0;

  while (fuzz_words[n])
    n++;
  for (unsigned i = 0; i < rounds; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      for (int j = g_rand_int_range (rand, 0, 30); j > 0; j--)
        {
          g_string_append (text, fuzz_words[g_rand_int_range (rand, 0, n)]);
          if (g_rand_int_range (rand, 0, 8) == 0)
            g_string_append_c (text, (char) g_rand_int_range (rand, 0, 256));
        }
      fuzz_one (text->str, text->len);
    }
  return 0;
}
#endif
