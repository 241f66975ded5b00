/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Direct kernel boot: what -kernel, -initrd and -append name, prepared for the boot ROMs in resources/roms. */
#pragma once

#include "devices/firmware/fw-cfg.h"

/* Recognises Multiboot 1, ELF with a PVH entry and bzImage, and puts the parts into FW. LOW_RAM_TOP is the end of
 * RAM below 4 GiB. True and nothing done when the settings name no kernel. */
bool vm_kernel_load (VmMachine *machine, VmFwCfg *fw, uint64_t low_ram_top, GError **error);
