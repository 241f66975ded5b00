/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "bench ROW AMOUNT": says "@ready", waits for a line, works, says "@done HASH", waits for a line. */
#include "tests/bench/guest/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const BenchRow *const tables[] = {
  bench_integer, bench_code, bench_memory, bench_float, bench_system,
#ifdef __x86_64__
  bench_simd,
#endif
};

static const BenchRow *
find_row (const char *name)
{
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const BenchRow *row = tables[i]; row->name != NULL; row++)
      if (strcmp (row->name, name) == 0)
        return row;
  return NULL;
}

static void
say (const char *text)
{
  if (write (STDOUT_FILENO, text, strlen (text)) < 0)
    exit (1);
}

static void
wait_line (void)
{
  char byte;

  do
    if (read (STDIN_FILENO, &byte, 1) != 1)
      exit (1);
  while (byte != '\n');
}

int
main (int argc, char **argv)
{
  const BenchRow *row;
  char text[64];
  uint64_t hash;

  if (argc == 2 && strcmp (argv[1], "nothing") == 0) /* what the row "exec" starts */
    return 0;
  row = argc == 3 ? find_row (argv[1]) : NULL;
  if (row == NULL)
    {
      say ("@unknown row\n");
      return 1;
    }
  say ("@ready\n");
  wait_line ();
  hash = row->work (strtoull (argv[2], NULL, 10));
  snprintf (text, sizeof text, "@done %016llx\n", (unsigned long long) hash);
  say (text);
  wait_line ();
  return 0;
}
