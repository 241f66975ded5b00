/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scattered guest memory for the requests of PCI adapters that know all of it from the start. */
#pragma once

#include "devices/pci/pci.h"
#include "devices/scsi/scsi.h"
#include "devices/storage/dma-sg.h"

typedef struct VmScsiDma {
  VmDmaSg  sg;
  VmDmaMap map;
  uint64_t begun;  /* bytes moved when the present window was mapped */
  bool     mapped;
} VmScsiDma;

/* Zeroed and initialised; then vm_dma_sg_add() for each piece. */
void vm_scsi_dma_init (VmScsiDma *dma, VmPciDevice *dev);
void vm_scsi_dma_clear (VmScsiDma *dma); /* after "released" */
/* What an adapter's "transfer" and "released" do. Requests are started without memory. */
void vm_scsi_dma_transfer (VmScsiDma *dma, VmScsiRequest *req);
void vm_scsi_dma_released (VmScsiDma *dma, VmScsiRequest *req);
