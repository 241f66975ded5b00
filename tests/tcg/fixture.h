/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A processor with some RAM and nothing else: guest code runs without a machine. Long mode page tables map
 * what vm_fixture_map() is told; the segments make it 64-, 32- or 16-bit code. */
#pragma once

#include "engine/tcg/decode/table.h"
#include "engine/tcg/interp/interp.h"

typedef struct VmFixture {
  VmLock         *lock;
  VmMemory       *memory;
  VmRegion        root, ram_region;
  VmAddressSpace  as;
  VmX86Cpu       *cpu;
  VmX86Env       *env;     /* of cpu */
  uint8_t        *ram;     /* host address of physical 0 */
  uint64_t        ram_size;
  VmRamBlock     *block;
  uint64_t        next_table; /* physical page of the next page table */
} VmFixture;

/* RAM_SIZE of RAM at physical 0; page tables grow down from its end. Paging on, nothing mapped. */
VmFixture *vm_fixture_new (uint64_t ram_size);
void       vm_fixture_free (VmFixture *f);

/* Maps SIZE bytes at LINEAR to physical memory at PHYS, for the user too. */
enum { VM_FIXTURE_WRITE = 1, VM_FIXTURE_EXECUTE = 2 };
void vm_fixture_map (VmFixture *f, uint64_t linear, uint64_t phys, uint64_t size, unsigned rights);
/* Flat 64- or 32-bit segments, or 16-bit ones with bases CS_BASE and DATA_BASE and limit 0xffff, at privilege CPL.
 * General registers and flags become 0 (and bit 1). */
void vm_fixture_set_mode (VmFixture *f, unsigned bits, unsigned cpl, uint64_t cs_base, uint64_t data_base);
/* Puts bytes into RAM as a device would: translated code notices. */
void vm_fixture_write (VmFixture *f, uint64_t phys, const void *bytes, size_t len);

/* One instruction by the interpreter. Returns the vector it raised (env->exc_error, env->exc_addr), or -1. */
int vm_fixture_step (VmFixture *f);
/* Instructions until one raises, at most LIMIT; -1 when none did. */
int vm_fixture_run (VmFixture *f, unsigned limit);
