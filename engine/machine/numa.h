/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-numa": which memory and which processors are near each other, and how far the rest is. */
#pragma once

#include "engine/machine/memory-backend.h"

#define VM_NUMA_NODES       128
#define VM_NUMA_DISTANCE    20 /* of nodes about which nothing was said */
#define VM_NUMA_CACHE_LEVELS 3

typedef enum VmHmatData
{ /* order of the ACPI table's data types */
  VM_HMAT_ACCESS_LATENCY,
  VM_HMAT_READ_LATENCY,
  VM_HMAT_WRITE_LATENCY,
  VM_HMAT_ACCESS_BANDWIDTH,
  VM_HMAT_READ_BANDWIDTH,
  VM_HMAT_WRITE_BANDWIDTH,
  VM_HMAT_DATA_N,
} VmHmatData;
#define VM_HMAT_HIERARCHIES 4 /* memory itself and three levels of side caches */

typedef struct VmNumaCache
{
  uint64_t size; /* 0: none of this level */
  int associativity, policy; /* as the ACPI table codes them */
  uint16_t line;
} VmNumaCache;

typedef struct VmNumaNode
{
  bool present, has_cpu;
  uint64_t mem;
  VmMemoryBackend *memdev; /* NULL: the node's part of the machine's one block */
  int initiator;           /* -1: nothing was said */
  uint8_t distance[VM_NUMA_NODES];
  VmNumaCache cache[VM_NUMA_CACHE_LEVELS + 1];
  uint8_t given; /* HMAT: latency (1) and bandwidth (2) of the node as a target */
} VmNumaNode;

typedef struct VmHmatEntry
{
  unsigned initiator, target;
  uint64_t value; /* nanoseconds, or MiB/s */
} VmHmatEntry;

/* Values of one table: each is a multiple of BASE that fits 16 bits. */
typedef struct VmHmatTable
{
  GArray *entries; /* VmHmatEntry; NULL: none */
  uint64_t base;
} VmHmatTable;

typedef struct VmNuma
{
  unsigned n; /* nodes, 0 to n - 1 once complete */
  VmNumaNode nodes[VM_NUMA_NODES];
  bool have_distances;
  int16_t *cpu_node; /* of each possible processor; -1: not said */
  unsigned n_cpus;
  VmHmatTable hmat[VM_HMAT_HIERARCHIES][VM_HMAT_DATA_N];
} VmNuma;

VmNuma *vm_numa_new (void);
void vm_numa_free (VmNuma *numa);
/* One "-numa" or set-numa-node. The back ends exist. */
bool vm_numa_add (VmMachine *machine, const VmKeyVals *options, GError **error);
/* Nothing more comes: checks the whole and fills in what was left out. */
bool vm_numa_complete (VmMachine *machine, GError **error);
/* Of the INDEXth possible processor; 0 when there are no nodes. */
unsigned vm_numa_cpu_node (const VmNuma *numa, unsigned index);
bool vm_numa_cpu_is_assigned (const VmNuma *numa, unsigned index);
/* "info numa" */
char *vm_numa_describe (VmMachine *machine);
