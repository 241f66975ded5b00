/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Defaults that differed in older releases of the pc machine type, as running them shows ("info qtree"). */
#include "devices/board/pc-compat.h"

const VmCompat vm_pc_compat_7_1[] = {
  { "virtio-device", "queue_reset", "off" },
  { "virtio-rng-pci-base", "vectors", "0" },
  { 0 }
};
const VmCompat vm_pc_compat_6_2[] = {
  { "PIIX4_PM", "x-not-migrate-acpi-index", "on" },
  { 0 }
};
const VmCompat vm_pc_compat_6_0[] = {
  { "e1000", "init-vet", "off" },
  { "e1000e", "init-vet", "off" },
  { "i8042", "extended-state", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_5_2[] = {
  { "PIIX4_PM", "smm-compat", "on" },
  { "virtio-blk-device", "report-discard-granularity", "off" },
  { "virtio-net-pci", "vectors", "3" },
  { 0 }
};
const VmCompat vm_pc_compat_5_1[] = {
  { "pvpanic", "events", "1" },
  { "virtio-blk-device", "num-queues", "1" },
  { "virtio-scsi-device", "num_queues", "1" },
  { "virtio-pci", "x-ats-page-aligned", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_5_0[] = {
  { "i440FX-pcihost", "x-config-reg-migration-enabled", "off" },
  { "virtio-balloon-device", "page-poison", "off" },
  { "virtio-device", "x-disable-legacy-check", "on" },
  { "vmport", "x-read-set-eax", "off" },
  { "vmport", "x-signal-unsupported-cmd", "off" },
  { "vmport", "x-report-vmx-type", "off" },
  { "vmport", "x-cmds-v2", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_4_2[] = {
  { "fw_cfg_io", "acpi-mr-restore", "off" },
  { "virtio-blk-device", "queue-size", "128" },
  { "virtio-blk-device", "seg-max-adjust", "off" },
  { "virtio-blk-device", "x-enable-wce-if-config-wce", "off" },
  { "virtio-device", "use-disabled-flag", "off" },
  { "virtio-scsi-device", "virtqueue_size", "128" },
  { "virtio-scsi-device", "seg_max_adjust", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_4_1[] = {
  { "virtio-pci", "x-pcie-flr-init", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_4_0[] = {
  { "VGA", "edid", "off" },
  { "VGA", "xres", "0" },
  { "VGA", "yres", "0" },
  { "bochs-display", "edid", "off" },
  { "secondary-vga", "edid", "off" },
  { "virtio-gpu-device", "edid", "off" },
  { "virtio-gpu-pci", "edid", "off" },
  { "virtio-vga", "edid", "off" },
  { "virtio-balloon-device", "qemu-4-0-config-size", "on" },
  { "virtio-device", "use-started", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_3_1[] = {
  { "virtio-balloon-device", "qemu-4-0-config-size", "off" },
  { "virtio-blk-device", "discard", "off" },
  { "virtio-blk-device", "write-zeroes", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_2_12[] = {
  { "VGA", "global-vmstate", "on" },
  { "cirrus-vga", "global-vmstate", "on" },
  { "vmware-svga", "global-vmstate", "on" },
  { 0 }
};
const VmCompat vm_pc_compat_2_11[] = {
  { "e1000", "migrate_tso_props", "off" },
  { "hpet", "hpet-offset-saved", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_2_10[] = {
  { "i440FX-pcihost", "x-pci-hole64-fix", "off" },
  { "virtio-mouse-device", "wheel-axis", "off" },
  { "virtio-tablet-device", "wheel-axis", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_2_9[] = {
  { "virtio-net-device", "x-mtu-bypass-backend", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_2_8[] = {
  { "cirrus-vga", "vgamem_mb", "8" },
  { "pci-device", "x-pcie-extcap-init", "off" },
  { "fw_cfg_io", "x-file-slots", "16" },
  { "virtio-pci", "x-pcie-deverr-init", "off" },
  { "virtio-pci", "x-pcie-lnkctl-init", "off" },
  { "virtio-pci", "x-pcie-pm-init", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_2_7[] = {
  { "ioapic", "version", "17" },
  { "isa-pcspk", "migrate", "off" },
  { "virtio-pci", "page-per-vq", "on" },
  { "virtio-serial-device", "emergency-write", "off" },
  { "virtio-pci", "x-ignore-backend-features", "on" },
  { 0 }
};
const VmCompat vm_pc_compat_2_6[] = {
  { "virtio-blk-device", "any_layout", "off" },
  { "virtio-pci", "disable-modern", "on" },
  { "vmxnet3", "romfile", "" },
  { 0 }
};
const VmCompat vm_pc_compat_2_5[] = {
  { "isa-fdc", "fallback", "144" },
  { "vmxnet3", "x-disable-pcie", "on" },
  { "vmxnet3", "x-old-msi-offsets", "on" },
  { 0 }
};
const VmCompat vm_pc_compat_2_4[] = {
  { "e1000", "extra_mac_registers", "off" },
  { "fw_cfg_io", "dma_enabled", "off" },
  { "ide-device", "ver", "2.4.0" },
  { "virtio-blk-device", "scsi", "on" },
  { "virtio-pci", "migrate-extra", "off" },
  { "virtio-pci", "x-disable-pcie", "on" },
  { 0 }
};
const VmCompat vm_pc_compat_2_3[] = {
  { "pci-device", "x-pcie-lnksta-dllla", "off" },
  { "ide-device", "ver", "2.3.0" },
  { "virtio-balloon-device", "any_layout", "off" },
  { "virtio-rng-device", "any_layout", "off" },
  { "virtio-serial-device", "any_layout", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_2_2[] = {
  { "ide-device", "ver", "2.2.0" },
  { 0 }
};
const VmCompat vm_pc_compat_2_1[] = {
  { "VGA", "qemu-extended-regs", "off" },
  { "secondary-vga", "qemu-extended-regs", "off" },
  { "ide-device", "ver", "2.1.0" },
  { "virtio-scsi-device", "any_layout", "off" },
  { "virtio-pci", "virtio-pci-bus-master-bug-migration", "on" },
  { 0 }
};
const VmCompat vm_pc_compat_2_0[] = {
  { "PIIX4_PM", "memory-hotplug-support", "off" },
  { "ide-device", "ver", "2.0.0" },
  { "virtio-net-device", "guest_announce", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_1_7[] = {
  { "PIIX4_PM", "acpi-pci-hotplug-with-bridge-support", "off" },
  { "ide-device", "ver", "1.7.0" },
  { "usb-device", "msos-desc", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_1_6[] = {
  { "e1000", "mitigation", "off" },
  { "i440FX-pcihost", "short_root_bus", "1" },
  { "ide-device", "ver", "1.6.0" },
  { 0 }
};
const VmCompat vm_pc_compat_1_5[] = {
  { "i440FX-pcihost", "short_root_bus", "0" },
  { "ide-device", "ver", "1.5.0" },
  { "virtio-device", "any_layout", "off" },
  { 0 }
};
const VmCompat vm_pc_compat_1_4[] = {
  { "e1000", "romfile", "pxe-e1000.rom" },
  { "e1000", "romsize", "131072" },
  { "ide-hd", "discard_granularity", "0" },
  { "ide-device", "ver", "1.4.0" },
  { "rtl8139", "romfile", "pxe-rtl8139.rom" },
  { "rtl8139", "romsize", "131072" },
  { "virtio-blk-device", "discard_granularity", "0" },
  { "virtio-net-device", "ctrl_guest_offloads", "off" },
  { "virtio-net-pci", "romfile", "pxe-virtio.rom" },
  { "virtio-net-pci", "romsize", "131072" },
  { 0 }
};
