/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtio block device. */
#pragma once

#include "block/block.h"
#include "devices/virtio/virtio-vq-mapping.h"

typedef struct VmVirtioBlk {
  VmVirtio parent;
  /* properties */
  VmBlockConf conf;
  uint32_t cyls, heads, secs, lcyls, lheads, lsecs;
  uint32_t max_discard_sectors, max_write_zeroes_sectors;
  uint16_t num_queues, queue_size;
  int32_t  bootindex;
  char *serial;
  VmIothread *iothread;
  VmVqMapping *vq_mapping;
  bool     config_wce, scsi, request_merging, seg_max_adjust, discard, write_zeroes, report_discard_granularity;
  bool     x_enable_wce;
  /* guest state */
  bool     write_cache; /* as the driver set it */
} VmVirtioBlk;

#define VM_VIRTIO_BLK_QUEUES_AUTO UINT16_MAX

extern const VmType vm_virtio_blk_type;
extern const VmProp vm_virtio_blk_props[];
