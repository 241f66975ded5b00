/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The property "iothread-vq-mapping": [{"iothread": "a", "vqs": [0, 1]}, {"iothread": "b", "vqs": [2]}], or without
 * "vqs", when the iothreads take the queues by turns. */
#pragma once

#include "devices/virtio/virtio.h"
#include "engine/machine/iothread.h"

typedef struct VmVqMapping VmVqMapping;
extern const VmPropCustom vm_prop_vq_mapping; /* the field is a VmVqMapping * */

/* In realize, after the queues: they are served as MAPPING says. *FIRST: the loop of its first iothread. */
bool vm_vq_mapping_apply (VmVqMapping *mapping, VmVirtio *v, VmLoop **first, GError **error);
void vm_vq_mapping_leave (VmVqMapping *mapping); /* after vm_virtio_leave_loops() */
