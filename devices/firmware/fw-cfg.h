/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The firmware configuration device: numbered and named blobs that firmware and guests read (and a few that
 * they write). Interface: the published "fw_cfg" hardware specification. */
#pragma once

#include "engine/machine/machine.h"

typedef struct VmFwCfg VmFwCfg;

enum { /* items of the specification; numbers are little-endian */
  VM_FW_CFG_SIGNATURE = 0x00, VM_FW_CFG_ID = 0x01, VM_FW_CFG_UUID = 0x02, VM_FW_CFG_RAM_SIZE = 0x03,
  VM_FW_CFG_NOGRAPHIC = 0x04, VM_FW_CFG_NB_CPUS = 0x05, VM_FW_CFG_MACHINE_ID = 0x06,
  VM_FW_CFG_KERNEL_ADDR = 0x07, VM_FW_CFG_KERNEL_SIZE = 0x08, VM_FW_CFG_INITRD_ADDR = 0x0a,
  VM_FW_CFG_INITRD_SIZE = 0x0b, VM_FW_CFG_BOOT_DEVICE = 0x0c, VM_FW_CFG_NUMA = 0x0d,
  VM_FW_CFG_BOOT_MENU = 0x0e, VM_FW_CFG_MAX_CPUS = 0x0f, VM_FW_CFG_KERNEL_ENTRY = 0x10,
  VM_FW_CFG_KERNEL_DATA = 0x11, VM_FW_CFG_INITRD_DATA = 0x12, VM_FW_CFG_CMDLINE_ADDR = 0x13,
  VM_FW_CFG_CMDLINE_SIZE = 0x14, VM_FW_CFG_CMDLINE_DATA = 0x15, VM_FW_CFG_SETUP_ADDR = 0x16,
  VM_FW_CFG_SETUP_SIZE = 0x17, VM_FW_CFG_SETUP_DATA = 0x18, VM_FW_CFG_FILE_DIR = 0x19,
  VM_FW_CFG_FILE_FIRST = 0x20,
  /* x86 */
  VM_FW_CFG_ACPI_TABLES = 0x8000, VM_FW_CFG_SMBIOS_ENTRIES = 0x8001, VM_FW_CFG_IRQ0_OVERRIDE = 0x8002,
  VM_FW_CFG_E820_TABLE = 0x8003, VM_FW_CFG_HPET = 0x8004,
};

extern const VmType vm_fw_cfg_io_type; /* "fw_cfg_io": ports 0x510..0x51b */

/* The machine's device; NULL when the board has none. */
VmFwCfg *vm_fw_cfg_find (VmMachine *machine);

/* Items by number; bytes are copied. Before the machine runs, or (files) from SELECT. */
void vm_fw_cfg_add_bytes (VmFwCfg *fw, uint16_t key, const void *data, size_t size);
void vm_fw_cfg_add_u16 (VmFwCfg *fw, uint16_t key, uint16_t value);
void vm_fw_cfg_add_u32 (VmFwCfg *fw, uint16_t key, uint32_t value);
void vm_fw_cfg_add_u64 (VmFwCfg *fw, uint16_t key, uint64_t value);
void vm_fw_cfg_add_string (VmFwCfg *fw, uint16_t key, const char *text); /* with its final NUL */
/* Takes a reference instead of a copy: kernels and initial RAM disks. */
void vm_fw_cfg_add_shared (VmFwCfg *fw, uint16_t key, GBytes *bytes);

bool vm_fw_cfg_has_file (const VmFwCfg *fw, const char *name);
/* A named file (at most 55 characters); replaces one of that name. Fails when the directory is full. */
bool vm_fw_cfg_add_file (VmFwCfg *fw, const char *name, const void *data, size_t size, GError **error);
bool vm_fw_cfg_add_file_shared (VmFwCfg *fw, const char *name, GBytes *bytes, GError **error);
/* A file the guest may write by DMA. WRITTEN is told after each write. */
typedef void (*VmFwCfgWritten) (void *opaque, const uint8_t *data, size_t size);
bool vm_fw_cfg_add_writable_file (VmFwCfg *fw, const char *name, const void *data, size_t size,
                                  VmFwCfgWritten written, void *opaque, GError **error);
/* SELECT runs when the guest selects the file at offset 0, and may replace its contents (ACPI tables). */
typedef void (*VmFwCfgSelect) (void *opaque);
bool vm_fw_cfg_add_file_callback (VmFwCfg *fw, const char *name, const void *data, size_t size,
                                  VmFwCfgSelect select, void *opaque, GError **error);
