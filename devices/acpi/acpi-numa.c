/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables about places of processors and memory (ACPI 6.4): SRAT (5.2.16), SLIT (5.2.17), HMAT (5.2.28). */
#include "devices/acpi/acpi-private.h"

#include "engine/machine/numa.h"

enum { SRAT_APIC = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2 };
enum { SRAT_ENABLED = 1 << 0, SRAT_HOT_PLUGGABLE = 1 << 1 };
enum { HMAT_DOMAIN = 0, HMAT_LATENCY_BANDWIDTH = 1, HMAT_CACHE = 2 };
#define ISA_HOLE_START UINT64_C (0xa0000)
#define ISA_HOLE_END   UINT64_C (0x100000)

/* --- SRAT ---------------------------------------------------------------------------------------- */

static void
srat_processor (GByteArray *t, uint32_t apic_id, unsigned node)
{
  if (apic_id < 255)
    {
      put (t, SRAT_APIC, 1);
      put (t, 16, 1);
      put (t, node & 0xff, 1);
      put (t, apic_id, 1);
      put (t, SRAT_ENABLED, 4);
      put (t, 0, 1);
      put (t, node >> 8, 3);
      put (t, 0, 4);
      return;
    }
  put (t, SRAT_X2APIC, 1);
  put (t, 24, 1);
  put (t, 0, 2);
  put (t, node, 4);
  put (t, apic_id, 4);
  put (t, SRAT_ENABLED, 4);
  put_zeros (t, 8);
}

static void
srat_memory (GByteArray *t, uint64_t start, uint64_t size, unsigned node, uint32_t flags)
{
  if (size == 0)
    return;
  put (t, SRAT_MEMORY, 1);
  put (t, 40, 1);
  put (t, node, 4);
  put (t, 0, 2);
  put (t, start, 8);
  put (t, size, 8);
  put (t, 0, 4);
  put (t, flags, 4);
  put (t, 0, 8);
}

/* Bytes FROM..TO of RAM as they lie in the address space: around the ISA hole and the one below 4 GiB. */
static void
srat_ram (GByteArray *t, const VmAcpiPc *pc, uint64_t from, uint64_t to, unsigned node)
{
  uint64_t low_end = MIN (to, pc->below_4g), high = MAX (from, pc->below_4g);

  if (from < MIN (low_end, ISA_HOLE_START))
    srat_memory (t, from, MIN (low_end, ISA_HOLE_START) - from, node, SRAT_ENABLED);
  if (MAX (from, ISA_HOLE_END) < low_end)
    srat_memory (t, MAX (from, ISA_HOLE_END), low_end - MAX (from, ISA_HOLE_END), node, SRAT_ENABLED);
  if (high < to)
    srat_memory (t, 4 * VM_GIB + high - pc->below_4g, to - high, node, SRAT_ENABLED);
}

static void
acpi_write_srat (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  const VmNuma *numa = pc->numa;
  uint32_t offset = vm_acpi_table_begin (blob, pc, "SRAT", 3);
  GByteArray *t = blob->tables;
  uint64_t at = 0;

  put (t, 1, 4);
  put (t, 0, 8);
  for (unsigned i = 0; i < pc->n_possible; i++)
    srat_processor (t, pc->apic_ids[i], vm_numa_cpu_node (numa, i));
  for (unsigned i = 0; i < numa->n; i++)
    {
      srat_ram (t, pc, at, at + numa->nodes[i].mem, i);
      at += numa->nodes[i].mem;
    }
  if (numa->n == 0)
    srat_ram (t, pc, 0, pc->below_4g + pc->above_4g, 0);
  if (pc->device_memory_size)
    srat_memory (t, pc->device_memory_start, pc->device_memory_size, numa->n ? numa->n - 1 : 0,
                 SRAT_ENABLED | SRAT_HOT_PLUGGABLE);
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

/* --- SLIT ---------------------------------------------------------------------------------------- */

static void
acpi_write_slit (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  const VmNuma *numa = pc->numa;
  uint32_t offset = vm_acpi_table_begin (blob, pc, "SLIT", 1);

  put (blob->tables, numa->n, 8);
  for (unsigned i = 0; i < numa->n; i++)
    for (unsigned k = 0; k < numa->n; k++)
      put (blob->tables, numa->nodes[i].distance[k], 1);
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

/* --- HMAT ---------------------------------------------------------------------------------------- */

static void
hmat_domain (GByteArray *t, const VmNumaNode *node, unsigned id)
{
  put (t, HMAT_DOMAIN, 2);
  put (t, 0, 2);
  put (t, 40, 4);
  put (t, node->initiator >= 0, 2); /* the initiator's domain is valid */
  put (t, 0, 2);
  put (t, node->initiator >= 0 ? (uint64_t) node->initiator : 0, 4);
  put (t, id, 4);
  put_zeros (t, 20);
}

static uint64_t
hmat_value (const VmHmatTable *table, unsigned initiator, unsigned target)
{
  for (guint i = 0; i < table->entries->len; i++)
    {
      const VmHmatEntry *e = &g_array_index (table->entries, VmHmatEntry, i);

      if (e->initiator == initiator && e->target == target)
        return e->value / MAX (table->base, 1);
    }
  return 0; /* nothing is known */
}

static void
hmat_latency_bandwidth (GByteArray *t, const VmNuma *numa, unsigned hierarchy, unsigned type)
{
  const VmHmatTable *table = &numa->hmat[hierarchy][type];
  uint64_t unit = MAX (table->base, 1) * (type < VM_HMAT_ACCESS_BANDWIDTH ? 1000 : 1); /* ps; MiB/s */
  unsigned initiators[VM_NUMA_NODES], n = 0;

  for (unsigned i = 0; i < numa->n; i++)
    if (numa->nodes[i].has_cpu)
      initiators[n++] = i;
  put (t, HMAT_LATENCY_BANDWIDTH, 2);
  put (t, 0, 2);
  put (t, 32 + 4 * n + 4 * numa->n + 2 * n * numa->n, 4);
  put (t, hierarchy, 1);
  put (t, type, 1);
  put (t, 0, 2);
  put (t, n, 4);
  put (t, numa->n, 4);
  put (t, 0, 4);
  put (t, unit, 8);
  for (unsigned i = 0; i < n; i++)
    put (t, initiators[i], 4);
  for (unsigned i = 0; i < numa->n; i++)
    put (t, i, 4);
  for (unsigned i = 0; i < n; i++)
    for (unsigned k = 0; k < numa->n; k++)
      put (t, hmat_value (table, initiators[i], k), 2);
}

static void
hmat_caches (GByteArray *t, const VmNumaNode *node, unsigned id)
{
  unsigned levels = 0;

  while (levels < VM_NUMA_CACHE_LEVELS && node->cache[levels + 1].size)
    levels++;
  for (unsigned level = 1; level <= levels; level++)
    {
      const VmNumaCache *c = &node->cache[level];

      put (t, HMAT_CACHE, 2);
      put (t, 0, 2);
      put (t, 32, 4);
      put (t, id, 4);
      put (t, 0, 4);
      put (t, c->size, 8);
      put (t, levels | level << 4 | (unsigned) c->associativity << 8 | (unsigned) c->policy << 12
                | (uint32_t) c->line << 16, 4);
      put (t, 0, 4);
    }
}

static void
acpi_write_hmat (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  const VmNuma *numa = pc->numa;
  uint32_t offset = vm_acpi_table_begin (blob, pc, "HMAT", 2);

  put (blob->tables, 0, 4);
  /* Domains that the SRAT does not name make systems drop the whole table. */
  for (unsigned i = 0; i < numa->n; i++)
    if (numa->nodes[i].mem || (i == numa->n - 1 && pc->device_memory_size))
      hmat_domain (blob->tables, &numa->nodes[i], i);
  for (unsigned h = 0; h < VM_HMAT_HIERARCHIES; h++)
    for (unsigned d = 0; d < VM_HMAT_DATA_N; d++)
      if (numa->hmat[h][d].entries)
        hmat_latency_bandwidth (blob->tables, numa, h, d);
  for (unsigned i = 0; i < numa->n; i++)
    hmat_caches (blob->tables, &numa->nodes[i], i);
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

void
vm_acpi_write_numa (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  if (pc->numa->n || pc->device_memory_size)
    acpi_write_srat (blob, pc);
  if (pc->numa->n && pc->numa->have_distances)
    acpi_write_slit (blob, pc);
  if (pc->hmat)
    acpi_write_hmat (blob, pc);
}
