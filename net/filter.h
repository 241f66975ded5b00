/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filters: user objects ("-object filter-dump,netdev=n0,...") that see the packets of a netdev. */
#pragma once

#include "engine/object/user-object.h"
#include "net/net.h"

typedef struct VmNetFilter VmNetFilter;

typedef enum VmNetDirection { VM_NET_ALL, VM_NET_RX, VM_NET_TX } VmNetDirection; /* seen from the netdev */

/* A filter type's klass. */
typedef struct VmNetFilterClass {
  VmUserObjectClass user; /* vm_net_filter_class() */
  bool (*start) (VmNetFilter *filter, GError **error); /* the properties are set; may be NULL */
  void (*stop) (VmNetFilter *filter);                  /* after a successful start */
  /* True: the filter has dealt with the packet. It copies what it keeps. */
  bool (*receive) (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet);
  void (*switched) (VmNetFilter *filter); /* status=on|off was set; NULL: nothing to do */
} VmNetFilterClass;

struct VmNetFilter {
  VmObject  parent;
  /* properties */
  char     *netdev_id, *position, *insert;
  int       queue;     /* VmNetDirection */
  bool      on;        /* status */
  VmNetdev *netdev;    /* NULL: not complete */
};

extern const VmType vm_net_filter_type; /* abstract */
bool vm_net_filter_complete (VmObject *obj, VmMachine *machine, GError **error);
#define VM_NET_FILTER_USER .user = { .complete = vm_net_filter_complete, .late = true }

/* PACKET goes on behind FILTER as if it had never stopped there. */
void vm_net_filter_pass (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet);
