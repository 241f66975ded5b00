/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target: loading a stream. Built plain it reads the files named as arguments, or makes
 * streams of its own by damaging a good one when there are none; clang's -fsanitize=fuzzer with
 * -DVM_LIBFUZZER drives it. */
#include "tests/engine/state-machine.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  SmallMachine machine;

  small_machine_init (&machine, &gadget_type);
  g_autoptr (GByteArray) before = small_machine_save (&machine);
  bool ok = small_machine_load (&machine, data, size, NULL);
  g_autoptr (GByteArray) after = small_machine_save (&machine);
  if (!ok && (before->len != after->len || memcmp (before->data, after->data, after->len) != 0))
    g_error ("a refused stream changed the machine");
  /* What was accepted can be saved and loaded again. */
  if (ok && !small_machine_load (&machine, after->data, after->len, NULL))
    g_error ("what was loaded cannot be loaded again");
  small_machine_clear (&machine);
  return 0;
}

#ifndef VM_LIBFUZZER
static void
run_damaged (unsigned rounds)
{
  SmallMachine machine;
  g_autoptr (GRand) rand = g_rand_new_with_seed (20);

  small_machine_init (&machine, &gadget_type);
  g_autoptr (GByteArray) good = small_machine_save (&machine);
  small_machine_clear (&machine);
  for (unsigned i = 0; i < rounds; i++)
    {
      g_autofree uint8_t *copy = g_memdup2 (good->data, good->len);
      size_t size = g_rand_int_range (rand, 0, 4) ? good->len : g_rand_int_range (rand, 1, good->len);

      for (int n = g_rand_int_range (rand, 1, 6); n > 0; n--)
        copy[g_rand_int_range (rand, 0, good->len)] = g_rand_int_range (rand, 0, 256);
      LLVMFuzzerTestOneInput (copy, size);
    }
}

int
main (int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    {
      g_autofree char *data = NULL;
      gsize size;

      if (!g_file_get_contents (argv[i], &data, &size, NULL))
        return 1;
      LLVMFuzzerTestOneInput ((const uint8_t *) data, size);
    }
  if (argc == 1)
    run_damaged (3000);
  return 0;
}
#endif
