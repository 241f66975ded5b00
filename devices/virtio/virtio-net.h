/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtio network device (OASIS Virtual I/O Device 1.2, 5.1): what its files share. */
#pragma once

#include "devices/virtio/virtio.h"
#include "net/net.h"

#define VM_VIRTIO_NET_MACS    64    /* of the filter table */
#define VM_VIRTIO_NET_VLANS   4096
#define VM_VIRTIO_NET_KEY     40    /* bytes of the RSS key */
#define VM_VIRTIO_NET_TABLE   128   /* entries of its indirection table */

enum { /* feature bits (5.1.3) */
  VIRTIO_NET_F_CSUM = 0, VIRTIO_NET_F_GUEST_CSUM = 1, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2, VIRTIO_NET_F_MTU = 3,
  VIRTIO_NET_F_MAC = 5, VIRTIO_NET_F_GSO = 6, VIRTIO_NET_F_GUEST_TSO4 = 7, VIRTIO_NET_F_GUEST_TSO6 = 8,
  VIRTIO_NET_F_GUEST_ECN = 9, VIRTIO_NET_F_GUEST_UFO = 10, VIRTIO_NET_F_HOST_TSO4 = 11, VIRTIO_NET_F_HOST_TSO6 = 12,
  VIRTIO_NET_F_HOST_ECN = 13, VIRTIO_NET_F_HOST_UFO = 14, VIRTIO_NET_F_MRG_RXBUF = 15, VIRTIO_NET_F_STATUS = 16,
  VIRTIO_NET_F_CTRL_VQ = 17, VIRTIO_NET_F_CTRL_RX = 18, VIRTIO_NET_F_CTRL_VLAN = 19, VIRTIO_NET_F_CTRL_RX_EXTRA = 20,
  VIRTIO_NET_F_GUEST_ANNOUNCE = 21, VIRTIO_NET_F_MQ = 22, VIRTIO_NET_F_CTRL_MAC_ADDR = 23,
  VIRTIO_NET_F_HASH_REPORT = 57, VIRTIO_NET_F_RSS = 60, VIRTIO_NET_F_STANDBY = 62,
  VIRTIO_NET_F_SPEED_DUPLEX = 63,
};
enum { VIRTIO_NET_S_LINK_UP = 1, VIRTIO_NET_S_ANNOUNCE = 2 };
enum { /* hash types (5.1.6.4.3.1) */
  VIRTIO_NET_HASH_IPV4 = 1 << 0, VIRTIO_NET_HASH_TCPV4 = 1 << 1, VIRTIO_NET_HASH_UDPV4 = 1 << 2,
  VIRTIO_NET_HASH_IPV6 = 1 << 3, VIRTIO_NET_HASH_TCPV6 = 1 << 4, VIRTIO_NET_HASH_UDPV6 = 1 << 5,
  VIRTIO_NET_HASH_ALL = 0x3f,
};

typedef struct VmVirtioNet VmVirtioNet;

/* A pair of queues and its way to the back end. */
typedef struct VmVirtioNetPair {
  VmVirtioNet    *s;
  unsigned        index;
  VmVirtqElement *held;    /* its packet waits for the back end */
} VmVirtioNetPair;

typedef struct VmVirtioNetRss {
  uint8_t  enabled, report; /* spread over queues; tell the hash */
  uint16_t unclassified, n_table, n_key;
  uint32_t types;
  uint16_t table[VM_VIRTIO_NET_TABLE];
  uint8_t  key[VM_VIRTIO_NET_KEY];
} VmVirtioNetRss;

struct VmVirtioNet {
  VmVirtio parent;
  /* properties */
  VmNetCard card;
  bool     csum, gso, guest_csum, guest_tso4, guest_tso6, guest_ecn, guest_ufo, guest_announce, host_tso4, host_tso6,
           host_ecn, host_ufo, mrg_rxbuf, status, ctrl_vq, ctrl_rx, ctrl_vlan, ctrl_rx_extra, ctrl_mac_addr,
           ctrl_guest_offloads, mq, rss, hash, guest_rsc_ext, failover, x_mtu_bypass_backend;
  uint16_t rx_queue_size, tx_queue_size, host_mtu;
  uint32_t x_txtimer, rsc_interval;
  int32_t  x_txburst, speed;
  char    *tx, *duplex;
  /* wiring */
  unsigned pairs;          /* that there are */
  VmVirtioNetPair *pair;
  struct VmVirtioNetVhost *vhost; /* others serve the rings; NULL: we do */
  VmTimer  tx_timer;       /* tx=timer */
  bool     tx_timed;
  struct iovec *slice;     /* VM_VIRTQUEUE_MAX */
  /* guest state */
  uint8_t  mac[6];
  uint8_t  promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
  uint8_t  multicast_overflow, unicast_overflow;
  uint8_t  announce;       /* the guest is asked to */
  uint16_t active_pairs;
  uint16_t n_unicast, n_multicast;
  uint8_t  macs[VM_VIRTIO_NET_MACS][6]; /* unicast first */
  uint32_t vlans[VM_VIRTIO_NET_VLANS / 32];
  uint64_t guest_offloads; /* feature bits in force */
  VmVirtioNetRss hashing;
};

extern const VmType vm_virtio_net_type;
extern const VmProp vm_virtio_net_props[];

/* virtio-net.c */
void vm_virtio_net_update_takes (VmVirtioNet *s);
unsigned vm_virtio_net_max_pairs (const VmVirtioNet *s); /* that the driver may use */
/* virtio-net-vhost.c */
bool vm_virtio_net_vhost_attach (VmVirtioNet *s, GError **error);
void vm_virtio_net_vhost_detach (VmVirtioNet *s);
void vm_virtio_net_vhost_update (VmVirtioNet *s); /* driver, machine or link changed */
void vm_virtio_net_vhost_stop (VmVirtioNet *s);
void vm_virtio_net_vhost_pairs (VmVirtioNet *s);  /* other pairs are in use */
bool vm_virtio_net_vhost_kick (VmVirtioNet *s, const VmVirtqueue *q); /* true: it is not ours to serve */
uint64_t vm_virtio_net_vhost_features (const VmVirtioNet *s, uint64_t bits);
/* virtio-net-ctrl.c */
void vm_virtio_net_control (VmVirtio *v, VmVirtqueue *q);
bool vm_virtio_net_passes (const VmVirtioNet *s, const uint8_t *frame); /* at least 18 bytes */
bool vm_virtio_net_rx_filter (VmObject *device, VmNetRxFilter *filter);
void vm_virtio_net_reset_filters (VmVirtioNet *s);
/* virtio-net-io.c */
void vm_virtio_net_transmit (VmVirtio *v, VmVirtqueue *q);
bool vm_virtio_net_receive (void *opaque, const VmNetPacket *packet);
void vm_virtio_net_give_up (VmVirtioNet *s); /* what is held */
