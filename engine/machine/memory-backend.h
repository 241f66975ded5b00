/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-object memory-backend-*": memory that boards and devices give to the guest. */
#pragma once

#include "engine/machine/machine.h"
#include "engine/machine/thread-context.h"
#include "engine/object/user-object.h"

#define VM_HOST_NODES 128

typedef struct VmMemoryBackend
{
  VmObject parent;
  uint64_t size;
  bool share, prealloc, merge, dump, reserve, canonical_name;
  uint32_t prealloc_threads;
  VmThreadContext *prealloc_context;
  int policy;                          /* index of vm_host_mem_policy_names */
  uint64_t host_nodes[VM_HOST_NODES / 64]; /* a bit per host node */
  /* memory-backend-file and -shm */
  char *mem_path;
  bool discard_data, pmem, readonly;
  int rom; /* VmOnOffAuto */
  uint64_t align, offset;
  /* memory-backend-memfd */
  bool hugetlb, seal;
  uint64_t hugetlbsize;
  VmRamBlock *block;
  bool in_use;
} VmMemoryBackend;

extern const VmType vm_memory_backend_type;
extern const char *const vm_host_mem_policy_names[];
/* The guest cannot write it. */
bool vm_memory_backend_is_rom (const VmMemoryBackend *self);
/* NULL with ERROR when there is no such back end or somebody has it. */
VmMemoryBackend *vm_memory_backend_claim (VmMachine *machine, const char *id, GError **error);
void vm_memory_backend_release (VmMemoryBackend *self);
