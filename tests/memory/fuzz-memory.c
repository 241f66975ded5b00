/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target: the memory model run by libFuzzer, or (built plain) over the files named as arguments. */
#include "tests/memory/memory-model.h"

#include <glib.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
  memory_model_run (data, len);
  return 0;
}

#ifndef VM_LIBFUZZER
int
main (int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    {
      char *data;
      gsize len;

      if (!g_file_get_contents (argv[i], &data, &len, NULL))
        return 1;
      LLVMFuzzerTestOneInput ((uint8_t *) data, len);
      g_free (data);
    }
  return 0;
}
#endif
