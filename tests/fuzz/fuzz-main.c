/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driving fuzz targets. */
#include "tests/fuzz/fuzz.h"

#ifdef VM_LIBFUZZER

/* What a thread of GLib's pools that is about to end still holds looks like a leak: none ends. */
int LLVMFuzzerInitialize (int *argc, char ***argv);
int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  g_thread_pool_set_max_unused_threads (-1);
  g_thread_pool_set_max_idle_time (0);
  return 0;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  fuzz_one (data, size);
  return 0;
}

#else

#define DEFAULT_ROUNDS 100

__attribute__ ((weak)) void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_byte_array_set_size (input, 4096);
  for (guint i = 0; i < input->len; i++)
    input->data[i] = (uint8_t) g_rand_int (rand);
}

static bool
run_files (char **names)
{
  for (; *names; names++)
    {
      g_autofree char *data = NULL;
      gsize size;

      if (!g_file_get_contents (*names, &data, &size, NULL))
        return false;
      fuzz_one ((const uint8_t *) data, size);
    }
  return true;
}

int
main (int argc, char **argv)
{
  guint64 rounds = DEFAULT_ROUNDS, seed = 1;

  if (argc > 1 && !g_ascii_string_to_unsigned (argv[1], 10, 0, G_MAXUINT32, &rounds, NULL))
    return run_files (argv + 1) ? 0 : 1;
  if (argc > 2 && !g_ascii_string_to_unsigned (argv[2], 10, 0, G_MAXUINT32, &seed, NULL))
    return 1;
  for (guint64 i = 0; i < rounds; i++)
    {
      g_autoptr (GRand) rand = g_rand_new_with_seed ((guint32) (seed + i));
      g_autoptr (GByteArray) input = g_byte_array_new ();

      fuzz_make (rand, input);
      g_byte_array_append (input, (const uint8_t *) "", 1); /* there is an address when it is empty, too */
      fuzz_one (input->data, input->len - 1);
    }
  return 0;
}

#endif
