/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host side of the 440FX chip set: configuration ports, memory map of the lowest megabyte. */
#pragma once

#include "devices/pci/pci.h"

#define VM_I440FX_PAM_REGIONS 13

/* The bridge from the processor to the root bus: CF8/CFC and what belongs to the machine's memory map. */
typedef struct VmI440fxHost {
  VmDevice parent;
  /* properties */
  uint64_t pci_hole64_size;
  uint32_t short_root_bus;
  bool     x_pci_hole64_fix, x_config_reg_migration_enabled, bypass_iommu;
  /* wiring, set before realize */
  VmRegion *ram;           /* main memory; may be NULL */
  uint64_t reserved_end;   /* of what comes after RAM, before PCI devices above 4 GiB; 0: nothing */
  VmRegion *low_ram;       /* the RAM behind its first MiB; NULL: it is that itself */
  /* Byte accesses to port CF9, which lies inside CONFADD: the reset control of the ISA bridge. */
  const VmRegionOps *cf9;
  void     *cf9_opaque;
  uint64_t  below_4g;      /* how much of it lies below 4 GiB */
  /* made by realize */
  VmPciBus  bus;           /* pci.0 */
  VmRegion  pci_memory;    /* shows wherever there is no RAM */
  VmRegion  master_abort;  /* below 1 MiB RAM lies underneath: where no device answers there, ones */
  VmRegion  config_address, config_data;
  VmRegion  smm_memory;    /* what a processor in SMM sees: memory with SMRAM on top */
  VmAddressSpace smm_as;
  VmRegion  smm_system, smram;
  /* guest state */
  uint32_t  address;       /* CONFADD */
} VmI440fxHost;

typedef struct VmI440fxPam {
  VmRegion to_pci;     /* nothing of the segment is in RAM */
  VmRegion read_only;  /* reads from RAM */
  VmRegion shadow;     /* reads as the ROM does, writes to RAM */
  bool     has_shadow;
  struct VmI440fx *owner;
  uint32_t start;
} VmI440fxPam;

/* Function 0.0. */
typedef struct VmI440fx {
  VmPciDevice    parent;
  VmI440fxHost  *host;
  VmAddressSpace pci_as;
  VmI440fxPam    pam[VM_I440FX_PAM_REGIONS];
  VmRegion       smram_window; /* A0000-BFFFF to the bus: the graphics adapter */
} VmI440fx;

extern const VmType vm_i440fx_host_type, vm_i440fx_type;

/* 64-bit window for BARs above RAM, as firmware should use it: start and last byte. */
void vm_i440fx_hole64 (VmI440fxHost *host, uint64_t *start, uint64_t *end);
