/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMBIOS structures (DMTF DSP0134, version 2.8 or 3.0 entry point) for firmware to place. */
#pragma once

#include "devices/firmware/fw-cfg.h"

typedef struct VmSmbiosInfo { /* what the board knows */
  uint64_t low_ram, high_ram;    /* bytes below and above 4 GiB */
  uint32_t cpuid_signature, cpuid_features; /* leaf 1: EAX, EDX */
  const char *product, *version; /* "Standard PC (i440FX + PIIX, 1996)", "pc-i440fx-9.1" */
  bool     entry64;              /* SMBIOS 3.0 entry point */
} VmSmbiosInfo;

/* Builds the structures, with -smbios of the settings, and adds the fw_cfg files. */
bool vm_smbios_install (VmMachine *machine, VmFwCfg *fw, const VmSmbiosInfo *info, GError **error);
