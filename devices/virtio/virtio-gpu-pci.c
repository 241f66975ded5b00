/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The GPU device on PCI: as a display controller, and as a VGA card whose picture it takes over when its driver comes.
 * The VGA has its frame buffer in BAR 0, and its registers as the standard VGA has them at the start of BAR 2. */
#include "devices/display/vga-mmio.h"
#include "devices/virtio/virtio-gpu.h"
#include "devices/virtio/virtio-pci.h"

enum
{
  PCI_CLASS_DISPLAY = 0x0380,
  PCI_CLASS_VGA = 0x0300,
  VECTORS = 3,
  VGA_MEMORY_MB = 8
};
enum
{
  VGA_BAR_MODERN = 2,
  VGA_BAR_MSIX = 4,
  VGA_BAR_PIO = 5
};

typedef struct GpuPci
{
  VmVirtioPci parent;
  VirtioGpu gpu;
} GpuPci;

typedef struct GpuVga
{
  VmVirtioPci parent;
  VirtioGpu gpu;
  VgaMmio mmio;
} GpuVga;

static void
gpu_pci_init (VmObject *obj)
{
  vm_virtio_pci_init ((VmVirtioPci *) obj, &((GpuPci *) obj)->gpu.parent, &vm_virtio_gpu_type);
}

static const VmProp gpu_pci_props[] = { VM_VIRTIO_PCI_GENERIC_PROPS,
                                        VM_PROP ("ioeventfd", VmVirtioPci, ioeventfd, false, "doorbells by eventfd"),
                                        VM_VIRTIO_PCI_VECTORS_PROP (VECTORS),
                                        VM_PROP_EMBED (GpuPci, gpu, vm_virtio_props),
                                        VM_PROP_EMBED (GpuPci, gpu, virtio_gpu_props),
                                        { 0 } };

static const VmVirtioPciClass gpu_pci_class = {
  .pci = { .parent = { .category = "Display", .user_creatable = true },
           .vendor = PCI_VENDOR_REDHAT_QUMRANET,
           .class_id = PCI_CLASS_DISPLAY,
           .config_read = vm_virtio_pci_config_read,
           .config_write = vm_virtio_pci_config_write },
  .kind = VM_VIRTIO_PCI_GENERIC,
};

const VmType vm_virtio_gpu_pci_type = {
  .name = "virtio-gpu-pci",
  .parent = &vm_virtio_pci_type,
  .size = sizeof (GpuPci),
  .help = "Virtio GPU on PCI",
  .props = gpu_pci_props,
  .klass = &gpu_pci_class,
  .init = gpu_pci_init,
};

/* --- with a VGA -------------------------------------------------------------------------------------------- */

static void
gpu_vga_init (VmObject *obj)
{
  vm_virtio_pci_init ((VmVirtioPci *) obj, &((GpuVga *) obj)->gpu.parent, &vm_virtio_gpu_type);
}

static void
gpu_vga_prepare (VmVirtioPci *p)
{
  GpuVga *self = (GpuVga *) p;

  p->modern_bar = VGA_BAR_MODERN;
  p->msix_bar = VGA_BAR_MSIX;
  p->pio_bar = VGA_BAR_PIO;
  self->mmio.extended_regs = true;
  vga_mmio_init (&self->mmio, p->parent.parent.env->memory, "vga.mmio");
  p->beside = &self->mmio.region;
}

static bool
gpu_vga_realize (VmDevice *dev, GError **error)
{
  GpuVga *self = (GpuVga *) dev;
  VmPciBus *bus = vm_pci_bus (&self->parent.parent);
  VgaCore *vga = &self->mmio.vga;

  vga->vgamem_mb = VGA_MEMORY_MB;
  vga->console = self->gpu.output[0].console;
  if (!vga_core_realize (vga, dev, bus->memory, bus->io, NULL, error))
    return false;
  self->gpu.vga = vga;
  vm_pci_add_bar (&self->parent.parent, 0, PCI_BAR_PREFETCH, &vga->vram);
  return true;
}

static void
gpu_vga_unrealize (VmDevice *dev)
{
  GpuVga *self = (GpuVga *) dev;

  self->gpu.vga = NULL;
  vga_core_unrealize (&self->mmio.vga);
}

static void
gpu_vga_reset (VmDevice *dev, VmResetKind kind)
{
  vga_core_reset (&((GpuVga *) dev)->mmio.vga);
}

static bool
gpu_vga_post_load (VmDevice *dev, GError **error)
{
  return vga_core_loaded (&((GpuVga *) dev)->mmio.vga, error);
}

static const VmProp gpu_vga_props[] = { VM_VIRTIO_PCI_GENERIC_PROPS,
                                        VM_PROP ("ioeventfd", VmVirtioPci, ioeventfd, false, "doorbells by eventfd"),
                                        VM_VIRTIO_PCI_VECTORS_PROP (VECTORS),
                                        VM_PROP_EMBED (GpuVga, gpu, vm_virtio_props),
                                        VM_PROP_EMBED (GpuVga, gpu, virtio_gpu_props),
                                        VGA_BIG_ENDIAN_PROP (GpuVga, mmio.vga),
                                        { 0 } };

static const VmField gpu_vga_state[] = { VM_FIELD_EMBED (GpuVga, mmio.vga, vga_core_state), { 0 } };

static const VmVirtioPciClass gpu_vga_class = {
  .pci = { .parent = { .realize = gpu_vga_realize,
                       .unrealize = gpu_vga_unrealize,
                       .reset = gpu_vga_reset,
                       .post_load = gpu_vga_post_load,
                       .category = "Display",
                       .user_creatable = true },
           .vendor = PCI_VENDOR_REDHAT_QUMRANET,
           .class_id = PCI_CLASS_VGA,
           .romfile = "vgabios-virtio.bin",
           .config_read = vm_virtio_pci_config_read,
           .config_write = vm_virtio_pci_config_write },
  .kind = VM_VIRTIO_PCI_GENERIC,
  .prepare = gpu_vga_prepare,
};

const VmType vm_virtio_vga_type = {
  .name = "virtio-vga",
  .parent = &vm_virtio_pci_type,
  .size = sizeof (GpuVga),
  .help = "Virtio GPU with a VGA",
  .props = gpu_vga_props,
  .state = gpu_vga_state,
  .klass = &gpu_vga_class,
  .init = gpu_vga_init,
};
