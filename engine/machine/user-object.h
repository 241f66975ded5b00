/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What "-object" makes: memory back ends and other things that are no devices. */
#pragma once

#include "engine/machine/machine.h"
#include "engine/object/user-object.h"

/* By -object or object-add: makes it, sets its properties, completes it, puts it under /objects. */
VmObject *vm_machine_add_object (VmMachine *machine, const VmDeviceSpec *spec, GError **error);

typedef struct VmMemoryBackend
{
  VmObject parent;
  uint64_t size;
  bool share, prealloc, merge, dump, reserve;
  char *mem_path; /* memory-backend-file */
  VmRamBlock *block;
  bool in_use;
} VmMemoryBackend;

extern const VmType vm_memory_backend_type;
/* NULL with ERROR when there is no such back end or somebody has it. */
VmMemoryBackend *vm_memory_backend_claim (VmMachine *machine, const char *id, GError **error);
