/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An example of a plugin: counts what a guest executes, by callbacks and by counters, and says so at the end.
 *
 *   vitrine -plugin file=plugin-count.so,report=counts.txt ...     refuse=on: does not want to be installed */
#include "engine/tcg/plugin/vitrine-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Count
{
  char *report;
  unsigned vcpus;
  unsigned begun, ended; /* processors; changed under the machine's own order: one begins after the other */
  uint64_t *insns, *blocks, *accesses, *in_blocks, *stores, *first; /* of each processor */
  uint64_t *count_insns, *count_blocks, *count_accesses;
  void (*log) (const char *text);
} Count;

static void
vcpu_init (void *user, unsigned vcpu)
{
  (void) vcpu;
  ((Count *) user)->begun++;
}

static void
vcpu_exit (void *user, unsigned vcpu)
{
  (void) vcpu;
  ((Count *) user)->ended++;
}

static void
insn (void *user, unsigned vcpu, const VitrineInsn *i)
{
  Count *c = user;

  if (c->insns[vcpu]++ == 0)
    c->first[vcpu] = (uint64_t) i->bytes[0] << 56 | i->address;
}

static void
block (void *user, unsigned vcpu, const VitrineBlock *b)
{
  Count *c = user;

  c->blocks[vcpu]++;
  c->in_blocks[vcpu] += b->instructions;
}

static void
access_made (void *user, unsigned vcpu, const VitrineAccess *a)
{
  Count *c = user;

  c->accesses[vcpu]++;
  c->stores[vcpu] += a->is_store != 0;
}

static uint64_t
sum (const Count *c, const uint64_t *numbers)
{
  uint64_t total = 0;

  for (unsigned i = 0; i < c->vcpus; i++)
    total += numbers[i];
  return total;
}

static void
report (void *user)
{
  Count *c = user;
  FILE *file = c->report ? fopen (c->report, "w") : NULL;
  const struct
  {
    const char *name;
    const uint64_t *numbers;
  } rows[] = { { "insns", c->insns },
               { "blocks", c->blocks },
               { "accesses", c->accesses },
               { "in-blocks", c->in_blocks },
               { "stores", c->stores },
               { "first", c->first },
               { "counted-insns", c->count_insns },
               { "counted-blocks", c->count_blocks },
               { "counted-accesses", c->count_accesses } };

  if (file)
    {
      for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fprintf (file, "%s %llu\n", rows[i].name, (unsigned long long) sum (c, rows[i].numbers));
      fprintf (file, "begun %u\nended %u\n", c->begun, c->ended);
      fclose (file);
    }
  c->log ("plugin-count: done\n");
  free (c->report);
  free (c->insns);
  free (c);
}

int
vitrine_plugin_install (const VitrineHost *host, VitrineCallbacks *callbacks, int argc, char **argv)
{
  Count *c = calloc (1, sizeof *c);
  uint64_t *numbers = calloc (host->max_vcpus, 9 * sizeof *numbers);
  uint64_t **fields[9];

  if (!c || !numbers)
    return 1;
  for (int i = 0; i < argc; i++)
    if (!strncmp (argv[i], "report=", 7))
      c->report = strdup (argv[i] + 7);
    else
      return 2;
  fields[0] = &c->insns, fields[1] = &c->blocks, fields[2] = &c->accesses, fields[3] = &c->in_blocks;
  fields[4] = &c->stores, fields[5] = &c->first, fields[6] = &c->count_insns, fields[7] = &c->count_blocks;
  fields[8] = &c->count_accesses;
  for (unsigned i = 0; i < 9; i++)
    *fields[i] = numbers + i * host->max_vcpus;
  c->vcpus = host->max_vcpus;
  c->log = host->log;
  callbacks->user = c;
  callbacks->vcpu_init = vcpu_init;
  callbacks->vcpu_exit = vcpu_exit;
  callbacks->insn = insn;
  callbacks->block = block;
  callbacks->access = access_made;
  callbacks->exit = report;
  callbacks->count_insns = c->count_insns;
  callbacks->count_blocks = c->count_blocks;
  callbacks->count_accesses = c->count_accesses;
  return 0;
}
