/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Windows of scattered guest memory: all of it at once where it is RAM, pieces through a buffer where it is not. */
#include "devices/scsi/scsi-dma.h"

void
vm_scsi_dma_init (VmScsiDma *dma, VmPciDevice *dev)
{
  dma->sg.as = &dev->dma_as;
  dma->sg.attrs = vm_pci_attrs (dev);
}

static void
dma_unmap (VmScsiDma *dma, VmScsiRequest *req)
{
  bool written = req->direction == VM_SCSI_FROM_DEVICE;

  if (!dma->mapped)
    return;
  dma->mapped = false;
  /* Only what the device has filled may reach what is no RAM. */
  dma->map.len = MIN (dma->map.len, req->moved - dma->begun);
  vm_dma_unmap (&dma->map, written);
}

void
vm_scsi_dma_transfer (VmScsiDma *dma, VmScsiRequest *req)
{
  uint64_t left;

  dma_unmap (dma, req);
  left = MIN (dma->sg.size > req->moved ? dma->sg.size - req->moved : 0, req->length - MIN (req->length, req->moved));
  if (!left)
    {
      vm_scsi_request_continue (req, NULL, 0);
      return;
    }
  dma->begun = req->moved;
  dma->mapped = true;
  vm_dma_map (&dma->map, &dma->sg, req->moved, left, req->direction == VM_SCSI_FROM_DEVICE);
  vm_scsi_request_continue (req, dma->map.iov, dma->map.n);
}

void
vm_scsi_dma_released (VmScsiDma *dma, VmScsiRequest *req)
{
  dma_unmap (dma, req);
}

void
vm_scsi_dma_clear (VmScsiDma *dma)
{
  vm_dma_map_clear (&dma->map);
  vm_dma_sg_clear (&dma->sg);
}
