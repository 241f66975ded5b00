/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets and their way between a card and a host back end.
 *
 *   card queue <-> [filters of the netdev] <-> back end queue        each end is a VmNetPort
 *
 * Everything here belongs to the engine loop and is called with the machine lock held, as device code and loop
 * dispatch always do. Nothing blocks. A packet is handed over as pointers to where it lies; who takes it copies what it
 * wants to keep. Headers of checksums and segments yet to be made travel with it and are carried out by the core when
 * the other end cannot take them: a card may always leave them to others. */
#pragma once

#include "engine/clock/clock.h"
#include "engine/io/loop.h"
#include "engine/object/object.h"

#include <sys/uio.h>

struct VmEnv;
struct VmKeyVals;
struct json_object;
typedef struct VmMachine VmMachine;
typedef struct VmMonitor VmMonitor;
typedef struct VmNet     VmNet;
typedef struct VmNetdev  VmNetdev;
typedef struct VmNetPort VmNetPort;
typedef struct VmNetCard VmNetCard;

#define VM_NET_FRAME_MAX  (65536 + 18 + 4) /* bytes of the largest packet: 64 KiB of IP, Ethernet header, VLAN tag */
#define VM_NET_FRAME_MIN  60               /* Ethernet, without the check sequence */
#define VM_NET_IOV_MAX    1024             /* pieces of a packet */
#define VM_NET_QUEUES     1024             /* of one netdev or card */

/* --- packets -------------------------------------------------------------------------------------------- */

enum { VM_NET_NEEDS_CSUM = 1, VM_NET_DATA_VALID = 2 };                                       /* VmNetHeader.flags */
enum { VM_NET_GSO_NONE = 0, VM_NET_GSO_TCPV4 = 1, VM_NET_GSO_UDP = 3, VM_NET_GSO_TCPV6 = 4, VM_NET_GSO_UDP_L4 = 5,
       VM_NET_GSO_ECN = 0x80 };                                                              /* VmNetHeader.gso_type */

/* What is left to do: the layout and meaning of struct virtio_net_hdr (OASIS virtio 1.2, 5.1.6) in host order, which
 * Linux' tap takes as it is. */
typedef struct VmNetHeader {
  uint8_t  flags, gso_type;
  uint16_t hdr_len, gso_size, csum_start, csum_offset;
} VmNetHeader;
G_STATIC_ASSERT (sizeof (VmNetHeader) == 10);

/* What an end takes undone. */
typedef enum VmNetOffload {
  VM_NET_TAKES_CSUM = 1 << 0,
  VM_NET_TAKES_TSO4 = 1 << 1,
  VM_NET_TAKES_TSO6 = 1 << 2,
  VM_NET_TAKES_ECN  = 1 << 3, /* with one of the two before */
  VM_NET_TAKES_UFO  = 1 << 4,
  VM_NET_TAKES_USO  = 1 << 5,
  VM_NET_TAKES_ALL  = (1 << 6) - 1,
} VmNetOffload;

typedef struct VmNetPacket {
  const struct iovec *iov; /* an Ethernet frame without its check sequence */
  unsigned     n;
  size_t       len;
  VmNetHeader  header;     /* all zero: nothing */
} VmNetPacket;

/* Copies at most SIZE bytes from OFFSET; returns how many there were. */
size_t vm_net_packet_copy (const VmNetPacket *packet, size_t offset, void *buffer, size_t size);

/* --- ports ------------------------------------------------------------------------------------------------ */

/* The packet that vm_net_send() kept has been taken, or has been given up. */
typedef void (*VmNetSent) (void *opaque);

typedef struct VmNetPortOps {
  /* Takes the packet (dropping it is taking it); false: there is no room, vm_net_port_ready() will be called. */
  bool (*receive) (void *opaque, const VmNetPacket *packet);
  /* The link came or went: of the peer's side, or because the peer did; may be NULL. */
  void (*link_changed) (void *opaque, bool up);
  /* The peer takes other offloads now, or another peer came; may be NULL. */
  void (*offload_changed) (void *opaque, unsigned takes);
  /* The copies that waited for the peer are gone; may be NULL. */
  void (*drained) (void *opaque);
  /* Where the next frame may be written at once, 10 bytes of VmNetHeader apart: fills at most MAX entries of IOV with at
   * least SIZE bytes together and returns how many; 0: no room now (as receive() says false), or the port would rather
   * have receive(). Either window_done() follows with the frame's LEN bytes in place, 0: none came, or the window is
   * never used. May be NULL. */
  unsigned (*window) (void *opaque, struct iovec *iov, unsigned max, size_t size);
  void     (*window_done) (void *opaque, const VmNetHeader *header, size_t len);
} VmNetPortOps;

struct VmNetPort {
  const VmNetPortOps *ops;
  void       *opaque;
  VmNetdev   *netdev;    /* whose queue it is; NULL: a card's */
  VmNetCard  *card;      /* NULL: a netdev's */
  VmNetPort  *peer;      /* NULL: none */
  unsigned    index;     /* of the queue */
  unsigned    takes;     /* VmNetOffload */
  bool        link_down; /* by set_link; the peer is told */
  bool        stalled;   /* receive() said no: nothing is offered until vm_net_port_ready() */
  bool        delivering;
  bool        plain;     /* what it sends has nothing left to do when the peer sees it */
  struct VmNetHeld *held, **held_tail, *current; /* packets for this port, in order; the one in delivery */
  size_t      held_bytes, held_n;
  uint64_t    dropped;   /* packets it could have got, for want of room */
  uint64_t sent;         /* bytes that went to the peer, or wait there */
};

void vm_net_port_init (VmNetPort *port, const VmNetPortOps *ops, void *opaque);
/* Drops what waits, here and at the peer, and lets go of it. */
void vm_net_port_close (VmNetPort *port);
void vm_net_port_connect (VmNetPort *a, VmNetPort *b);
void vm_net_port_disconnect (VmNetPort *port);

/* FROM's packet goes to its peer, through the filters. True: it is gone (taken, copied, or dropped because the link is
 * down or nobody is there). False: there is no room; only with SENT, which is called once there was, and until then
 * the packet's bytes stay as they are and FROM sends nothing more. Without SENT it is copied and kept, in bounds: then
 * the newest are dropped. */
bool vm_net_send (VmNetPort *from, const VmNetPacket *packet, VmNetSent sent);
/* The same for plain bytes in one piece. */
bool vm_net_send_bytes (VmNetPort *from, const void *frame, size_t len, VmNetSent sent);
/* Whether the peer has room, as far as is known: for back ends that can leave packets where they are. */
bool vm_net_can_send (const VmNetPort *from);
/* PORT has room again: what waits is delivered. */
void vm_net_port_ready (VmNetPort *port);
/* What waits for PORT's peer is given up: the card was reset. SENT is not called. */
void vm_net_port_forget (VmNetPort *port);
void vm_net_port_set_takes (VmNetPort *port, unsigned takes);
/* What may be sent undone without costing host time: the peer's takes. */
unsigned vm_net_port_peer_takes (const VmNetPort *port);
bool vm_net_port_link_up (const VmNetPort *port); /* has a peer, and neither end is down */

/* A direct way into the peer's memory when it has one now and no filter wants to see packets: see VmNetPortOps. */
unsigned vm_net_window (VmNetPort *from, struct iovec *iov, unsigned max, size_t size);
void vm_net_window_done (VmNetPort *from, const VmNetHeader *header, size_t len);

/* --- rings that are served elsewhere --------------------------------------------------------------------------- */

/* Another process or the kernel works on the rings of a virtio card itself: no packet comes by here. Guest memory it may
 * see, by descriptors; HOST is where we have it. */
typedef struct VmVhostRegion {
  uint64_t guest, size, offset; /* OFFSET of the first byte in FD */
  uint8_t *host;
  int      fd;
} VmVhostRegion;

typedef struct VmVhostRing {
  uint16_t num, base;           /* entries; the next one of the driver's */
  const uint8_t *desc, *driver, *device;
  int      kick, call;          /* eventfds: there is something for it; something for the driver */
  bool     enabled;
} VmVhostRing;

/* Each call is short: a partner that does not answer is given up. */
typedef struct VmVhostOps {
  bool in_process; /* it uses our addresses: memory needs no descriptors */
  uint64_t (*features) (VmNetdev *netdev); /* feature bits of virtio that it has */
  bool (*start) (VmNetdev *netdev, uint64_t features, const VmVhostRegion *regions, unsigned n_regions,
                 const VmVhostRing *rings, unsigned n_rings, GError **error);
  bool (*set_memory) (VmNetdev *netdev, const VmVhostRegion *regions, unsigned n, GError **error);
  void (*enable) (VmNetdev *netdev, unsigned ring, bool on);
  void (*announce) (VmNetdev *netdev, const uint8_t mac[6]); /* the guest cannot do it itself */
  /* Fills BASE of the rings; false: the partner is gone and nobody knows. */
  bool (*stop) (VmNetdev *netdev, VmVhostRing *rings, unsigned n_rings);
} VmVhostOps;

/* --- netdevs: host back ends ------------------------------------------------------------------------------- */

typedef struct VmNetdevClass {
  const char *name; /* "tap", as "type=" has it */
  const char *help;
  size_t      state_size;
  /* OPTIONS: the variant of VmqNetdev for this type. Opens it and adds its ports, with vm_netdev_add_port(). */
  bool (*open) (VmNetdev *netdev, const void *options, GError **error);
  void (*close) (VmNetdev *netdev); /* follows a successful open, or a failed one */
  void (*set_link) (VmNetdev *netdev, bool up); /* NULL: the core drops packets, that is all */
  char *(*describe) (VmNetdev *netdev);         /* "net=10.0.2.0,restrict=off": for "info network"; NULL: info */
  bool vhost; /* packets go by the kernel or another process: nobody here sees them */
} VmNetdevClass;

struct VmNetdev {
  VmObject  parent;    /* /netdevs/ID */
  VmNet    *net;
  const VmNetdevClass *klass;
  void     *state;     /* the class's */
  GPtrArray *ports;    /* VmNetPort *, owned: one per queue */
  GPtrArray *filters;  /* VmNetFilter *, those nearest the back end first; NULL: none */
  char     *info;      /* what "info network" says after the type */
  struct VmqNetdev *options; /* as given */
  bool      implicit;  /* of -nic and -net: goes with its card */
  bool      link_down; /* set_link of the netdev */
  bool      no_carrier; /* nobody is at the other end */
  VmNetCard *card;     /* who uses it; NULL: nobody */
  const VmVhostOps *vhost; /* its rings are served elsewhere; NULL: packets go by the ports */
};
extern const VmType vm_netdev_type;

VmNetPort *vm_netdev_add_port (VmNetdev *netdev, const VmNetPortOps *ops, void *opaque);
void       vm_netdev_set_info (VmNetdev *netdev, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* The engine's networks: one per machine, made with the first use. */
struct VmNet {
  VmObject  parent;    /* /netdevs */
  VmLoop   *loop;
  VmClocks *clocks;
  VmObject *root;
  VmMachine *machine;  /* NULL: a bench */
  GPtrArray *hubs;     /* VmNetHub * */
  GPtrArray *cards;    /* VmNetCard *, in order of realize */
  VmMonitor *monitor;  /* whose netdev_add is carried out; NULL: none */
  GPtrArray *netdevs;  /* VmNetdev *, in order */
  GPtrArray *announcements; /* under way; NULL: none yet */
  unsigned  mac_users[256]; /* of the addresses 52:54:00:12:34:xx */
};

VmNet    *vm_net_get (struct VmEnv *env);
VmNetdev *vm_netdev_find (VmObject *root, const char *id);
/* -netdev, netdev_add. Takes OPTIONS. */
VmNetdev *vm_netdev_new (VmMachine *machine, struct VmqNetdev *options, GError **error);
/* The same from "type=user,hostfwd=..."; ID when the list has none. */
VmNetdev *vm_netdev_new_from_list (VmMachine *machine, const struct VmKeyVals *list, const char *id, GError **error);
/* Takes JSON. SOURCE: VmSchemaSource. */
VmNetdev *vm_netdev_new_from_json (VmMachine *machine, struct json_object *json, int source, GError **error);
bool vm_netdev_in_use (const VmNetdev *netdev); /* by a card, or by a port of a hub */
/* netdev_del: a card that uses it keeps working, without a link. */
bool      vm_netdev_delete (VmMachine *machine, const char *id, GError **error);
void      vm_netdev_set_link (VmNetdev *netdev, bool up);
/* By the back end: whether anybody is at the other end. The card's link goes down while nobody is. */
void      vm_netdev_set_carrier (VmNetdev *netdev, bool there);
char     *vm_netdev_kinds (void); /* a line each */
char     *vm_net_describe (VmMachine *machine); /* "info network" */
void vm_net_warn (VmMachine *machine);          /* of ends that lead nowhere, at the start */

/* --- cards ------------------------------------------------------------------------------------------------- */

typedef struct VmMac { uint8_t byte[6]; bool set; } VmMac;
extern const VmPropCustom vm_prop_mac;    /* field: VmMac */
extern const VmPropCustom vm_prop_netdev; /* field: char *, an id; checked in vm_net_card_attach() */

typedef struct VmNetRxFilter { /* query-rx-filter */
  bool promiscuous, broadcast_allowed, multicast_overflow, unicast_overflow;
  int  multicast, unicast, vlan; /* RxState: 0 normal, 1 none, 2 all */
  const uint8_t (*unicast_table)[6], (*multicast_table)[6];
  unsigned n_unicast, n_multicast;
  const uint32_t *vlan_bits; /* a bit for each of 4096; NULL: no table */
} VmNetRxFilter;

typedef struct VmNetCardOps {
  VmNetPortOps port;   /* opaque is the VmNetPort's: the queue's state, see vm_net_card_attach() */
  bool (*rx_filter) (VmObject *device, VmNetRxFilter *filter); /* NULL: the card cannot say */
  void (*link_changed) (VmObject *device, bool up); /* once for all queues */
  void (*announce) (VmObject *device); /* the guest itself announces (virtio); NULL: the core does */
  bool vhost; /* it is a virtio card, whose rings others may serve */
} VmNetCardOps;

/* Embedded in the device. */
struct VmNetCard {
  /* properties */
  char     *netdev_id;
  VmMac     mac;
  int32_t   bootindex;
  /* between attach and detach */
  VmObject *device;
  char     *name;      /* id, or "e1000.0" */
  const char *model;
  uint8_t   permanent[6]; /* the address it was made with: its EEPROM's */
  int       permanent_last; /* which of the usual addresses it holds; -1: none */
  const VmNetCardOps *ops;
  VmNet    *net;
  VmNetdev *netdev;    /* NULL: not plugged in anywhere */
  VmNetPort *ports;    /* n */
  unsigned  n;
  bool      link_down; /* set_link of the card */
  bool      unplugged; /* its netdev went away */
  char     *info;      /* "model=e1000,macaddr=..." */
  bool      rx_filter_told; /* NIC_RX_FILTER_CHANGED was sent and not yet queried */
};

#define VM_NET_CARD_PROPS(Type, field)                                                                                \
  VM_PROP_CUSTOM_KIND ("netdev", Type, field.netdev_id, &vm_prop_netdev, NULL, "host back end"),                       \
    VM_PROP_CUSTOM_KIND ("mac", Type, field.mac, &vm_prop_mac, NULL, "hardware address"),                              \
    VM_PROP ("bootindex", Type, field.bootindex, -1, "place in the boot order")

/* In realize: finds the netdev and claims it ("netdev 'x' is already in use by another device"), picks a free hardware
 * address when none was given, and connects up to N queues (as many as the back end has). OPAQUES: N pointers for the
 * ports' functions; NULL: the device. MODEL is the type's name. ports[0] is there even without a netdev: packets then
 * go nowhere. */
bool vm_net_card_attach (VmNetCard *card, VmObject *device, const char *model, const VmNetCardOps *ops, unsigned n,
                         void *const *opaques, GError **error);
void vm_net_card_detach (VmNetCard *card);
/* What monitors call the card that DEVICE has. */
void vm_net_card_rename (struct VmEnv *env, VmObject *device, const char *name);
bool vm_net_card_link_up (const VmNetCard *card);
void vm_net_card_set_link (VmNetCard *card, bool up);
/* The guest gave the card another address: "info network" shows it. */
void vm_net_card_set_mac (VmNetCard *card, const uint8_t mac[6]);
/* The guest changed what is received: NIC_RX_FILTER_CHANGED, once until somebody looks. */
void vm_net_card_rx_filter_changed (VmNetCard *card);

/* --- what cards share ------------------------------------------------------------------------------------------- */

uint32_t vm_net_crc32 (const uint8_t *bytes, size_t len);     /* the Ethernet check sequence, reflected */
uint32_t vm_net_frame_crc (const VmNetPacket *packet);
uint32_t vm_net_crc32_be (const uint8_t *bytes, size_t len);  /* most significant bit first: multicast hashes */
uint16_t vm_net_checksum (const struct iovec *iov, unsigned n, size_t offset, size_t len, uint32_t sum); /* folded, inverted */
static inline bool
vm_net_is_broadcast (const uint8_t *mac)
{
  return (mac[0] & mac[1] & mac[2] & mac[3] & mac[4] & mac[5]) == 0xff;
}
static inline bool
vm_net_is_multicast (const uint8_t *mac)
{
  return mac[0] & 1;
}

/* FRAME, with HEADER's work done as far as check sums go; a long segment stays one. */
void vm_net_finish (uint8_t *frame, size_t len, const VmNetHeader *header);
/* Of the words of an IP pseudo header: addresses, protocol, length. Not inverted. */
uint32_t vm_net_pseudo_sum (const uint8_t *ip, unsigned version, unsigned protocol, uint32_t len);

/* Where the parts of a frame lie, as far as it is IP in Ethernet with at most two VLAN tags. All offsets from the start;
 * lengths are checked against the frame. */
typedef struct VmNetLayers {
  uint16_t ethertype;             /* after tags */
  uint8_t  l2, l3, l4;            /* bytes of Ethernet with tags, IP with options or extension headers, TCP or UDP */
  uint8_t  ip_version, protocol;  /* 0: not IP */
  bool     fragment;              /* no l4 then */
  uint16_t ip_len;                /* of the IP packet, as it says */
} VmNetLayers;
bool vm_net_layers (const VmNetPacket *packet, VmNetLayers *layers); /* false: too short for what it says */
/* The check sum of TCP or UDP in FRAME is begun as VM_NET_NEEDS_CSUM wants it: the pseudo header alone. */
void vm_net_start_sum (uint8_t *frame, const VmNetLayers *layers);
/* A whole IP packet goes out of FROM in fragments that fit into MTU (RFC 791, 3.2; RFC 8200, 4.5). */
void vm_net_fragment (const VmNetPacket *packet, const VmNetLayers *layers, unsigned mtu, VmNetPort *from);
