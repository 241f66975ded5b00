/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loading streams, among them damaged good ones. */
#include "tests/engine/state-machine.h"
#include "tests/fuzz/fuzz.h"

void
fuzz_one (const uint8_t *data, size_t size)
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
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  SmallMachine machine;

  small_machine_init (&machine, &gadget_type);
  g_autoptr (GByteArray) good = small_machine_save (&machine);
  small_machine_clear (&machine);
  for (int n = g_rand_int_range (rand, 1, 6); n > 0; n--)
    good->data[g_rand_int_range (rand, 0, good->len)] = (uint8_t) g_rand_int (rand);
  g_byte_array_append (input, good->data, g_rand_int_range (rand, 0, 4) ? good->len : 1 + g_rand_int (rand) % good->len);
}
