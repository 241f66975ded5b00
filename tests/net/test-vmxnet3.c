/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware's network card on the bench, as its driver's interface describes it. */
#include "devices/net/vmxnet3.h"
#include "tests/devices/disk-rig.h"
#include "tests/net/wire.h"

#include <string.h>

extern const VmType vm_vmxnet3_type;

#define QUEUES (DISK_RIG_BAR + 0x1000) /* BAR 0; BAR 1 is at DISK_RIG_BAR */
#define SHARED 0x8000u
#define TABLE 0x9000u
#define HASH 0xa000u
#define GROUPS 0xa800u
#define TX_RING 0x10000u
#define TX_COMP 0x12000u
#define RX_RING(queue) (0x20000u + (queue) *0x4000u)
#define RX_RING2(queue) (RX_RING (queue) + 0x1000u)
#define RX_COMP(queue) (RX_RING (queue) + 0x2000u)
#define BUFFERS 0x100000u
#define N 8

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x99 };

typedef struct Bench
{
  DiskRig rig;
  Vmxnet3 *card;
  Wire wire;
  unsigned n_rx;
} Bench;

static void
put (Bench *b, uint32_t addr, uint64_t value, unsigned size)
{
  value = GUINT64_TO_LE (value);
  disk_rig_poke (&b->rig, addr, &value, size);
}

static uint64_t
get (Bench *b, uint32_t addr, unsigned size)
{
  uint64_t value = 0;

  disk_rig_peek (&b->rig, addr, &value, size);
  return GUINT64_FROM_LE (value);
}

static uint32_t
command (Bench *b, uint32_t code)
{
  disk_rig_write (&b->rig, VMXNET3_CMD, code);
  return disk_rig_read (&b->rig, VMXNET3_CMD);
}

static void
bell (Bench *b, unsigned reg)
{
  rig_store (&b->rig.rig, QUEUES + reg, 0, 4);
}

/* One queue to send, N_RX to receive; all tell on vector 0, link changes on vector 1. */
static void
set_up (Bench *b, unsigned n_rx, uint64_t features)
{
  disk_rig_init (&b->rig);
  disk_rig_add (&b->rig, &vm_vmxnet3_type, 1, (const char *const[]){ "mac", "52:54:00:12:34:99", "romfile", "", NULL });
  disk_rig_set_config (&b->rig, 0x10, QUEUES, 4);
  b->card = (Vmxnet3 *) b->rig.dev;
  b->n_rx = n_rx;
  wire_init (&b->wire, &b->card->card, 0);
  put (b, SHARED + SHARED_MAGIC, VMXNET3_MAGIC, 4);
  put (b, SHARED + SHARED_FEATURES, features, 8);
  put (b, SHARED + SHARED_QUEUES, TABLE, 8);
  put (b, SHARED + SHARED_N_TX, 1, 1);
  put (b, SHARED + SHARED_N_RX, n_rx, 1);
  put (b, SHARED + SHARED_AUTO_MASK, 1, 1);
  put (b, SHARED + SHARED_N_INTRS, 2, 1);
  put (b, SHARED + SHARED_EVENT_INTR, 1, 1);
  put (b, SHARED + SHARED_RX_MODE, MODE_UCAST | MODE_BCAST | MODE_MCAST, 4);
  put (b, TABLE + QUEUE_RING, TX_RING, 8);
  put (b, TABLE + QUEUE_COMP, TX_COMP, 8);
  put (b, TABLE + QUEUE_RING_N, N, 4);
  put (b, TABLE + QUEUE_COMP_N, N, 4);
  for (unsigned i = 0; i < n_rx; i++)
    {
      uint32_t at = TABLE + (1 + i) * QUEUE_SIZE;
      put (b, at + QUEUE_RING, RX_RING (i), 8);
      put (b, at + QUEUE_RING2, RX_RING2 (i), 8);
      put (b, at + QUEUE_COMP, RX_COMP (i), 8);
      put (b, at + QUEUE_RING_N, N, 4);
      put (b, at + QUEUE_RING2_N, N, 4);
      put (b, at + QUEUE_COMP_N, 2 * N, 4);
    }
}

static void
start (Bench *b)
{
  disk_rig_write (&b->rig, VMXNET3_DSAL, SHARED);
  disk_rig_write (&b->rig, VMXNET3_DSAH, 0);
  g_assert_cmphex (command (b, CMD_ACTIVATE), ==, 0);
}

static void
tear_down (Bench *b)
{
  wire_clear (&b->wire);
  disk_rig_clear (&b->rig);
}

static void
give_buffer (Bench *b, uint32_t ring, unsigned index, uint32_t addr, unsigned len, bool body)
{
  put (b, ring + index * 16, addr, 8);
  put (b, ring + index * 16 + 8, len | (body ? RX_BODY : 0) | RX_GEN, 4);
}

static void
put_tx (Bench *b, unsigned index, uint32_t addr, uint32_t dword2, uint32_t dword3)
{
  put (b, TX_RING + index * 16, addr, 8);
  put (b, TX_RING + index * 16 + 12, dword3, 4);
  put (b, TX_RING + index * 16 + 8, dword2, 4);
}

/* --- what the card is --------------------------------------------------------------------------------------------- */

static void
test_identity (void)
{
  Bench b;

  set_up (&b, 1, 0);
  g_assert_cmphex (disk_rig_config (&b.rig, 0, 4), ==, 0x07b015ad);
  g_assert_cmphex (disk_rig_config (&b.rig, 0x34, 1), ==, 0x9c);
  g_assert_cmphex (disk_rig_config (&b.rig, 0x9c, 4), ==, 0x00188411);
  g_assert_cmphex (disk_rig_config (&b.rig, 0x84, 4), ==, 0x00800005);
  g_assert_cmphex (disk_rig_read (&b.rig, VMXNET3_VRRS), ==, 1);
  g_assert_cmphex (command (&b, CMD_MAC_LOW), ==, 0x12005452);
  g_assert_cmphex (command (&b, CMD_MAC_HIGH), ==, 0x9934);
  g_assert_cmphex (command (&b, CMD_LINK) & 1, ==, 1);
  g_assert_cmphex (command (&b, CMD_DID_LOW), ==, 0x07b0);
  /* Nothing there that could be a driver's; then numbers no ring has. */
  g_assert_cmphex (command (&b, CMD_ACTIVATE), !=, 0);
  disk_rig_write (&b.rig, VMXNET3_DSAL, SHARED);
  disk_rig_write (&b.rig, VMXNET3_DSAH, 0);
  put (&b, TABLE + QUEUE_RING_N, 5000, 4);
  g_assert_cmphex (command (&b, CMD_ACTIVATE), !=, 0);
  put (&b, TABLE + QUEUE_RING_N, N, 4);
  put (&b, TABLE + QUEUE_INTR, 25, 1);
  g_assert_cmphex (command (&b, CMD_ACTIVATE), !=, 0);
  tear_down (&b);
}

/* --- sending -------------------------------------------------------------------------------------------------------
 */

static uint8_t tcp[54 + 3000] = { 0x52, 0x55, 0x0a, 0, 2,  2, 0x52, 0x54, 0,  0x12, 0x34, 0x99, 8,  0, 0x45, 0, 0,    0,
                                  0x12, 0x34, 0x40, 0, 64, 6, 0,    0,    10, 0,    2,    15,   10, 0, 2,    2, 0x10, 0,
                                  0,    80,   0,    0, 0,  1, 0,    0,    0,  2,    0x50, 0x18, 1,  0 };

static void
test_transmit (void)
{
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b, 1, 0);
  start (&b);
  disk_rig_poke (&b.rig, BUFFERS, tcp, sizeof tcp);
  bell (&b, VMXNET3_TXPROD); /* nothing */
  g_assert_cmpuint (b.wire.got->len, ==, 0);
  /* In two pieces, with a tag. */
  put_tx (&b, 0, BUFFERS, 60 | TX_GEN, TX_TI | 0x20050000);
  put_tx (&b, 1, BUFFERS + 60, 40 | TX_GEN, TX_EOP | TX_CQ);
  bell (&b, VMXNET3_TXPROD);
  g_assert_cmpuint (b.wire.got->len, ==, 1);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpuint (len, ==, 104);
  g_assert_cmpmem (got, 12, tcp, 12);
  g_assert_cmpmem (got + 12, 4, "\x81\x00\x20\x05", 4);
  g_assert_cmpmem (got + 16, 88, tcp + 12, 88);
  g_assert_cmphex (get (&b, TX_COMP, 4), ==, 1);
  g_assert_cmphex (get (&b, TX_COMP + 12, 4), ==, DONE_GEN);
  /* Three segments of 1448 bytes. */
  put_tx (&b, 2, BUFFERS, 54 | TX_GEN | 1448u << 18, 54 | TX_OM_TSO);
  put_tx (&b, 3, BUFFERS + 54, 3000 | TX_GEN, TX_EOP | TX_CQ);
  bell (&b, VMXNET3_TXPROD);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  for (guint i = 1; i < 4; i++)
    {
      got = wire_frame (&b.wire, i, &len);
      struct iovec iov = { (void *) got, len };
      g_assert_cmpuint (len, ==, i < 3 ? 1502 : 158);
      g_assert_cmpuint (vm_net_checksum (&iov, 1, 14, 20, 0), ==, 0);
      g_assert_cmpuint (vm_net_checksum (&iov, 1, 34, len - 34, vm_net_pseudo_sum (got + 14, 4, 6, len - 34)), ==, 0);
    }
  g_assert_cmphex (command (&b, CMD_STATS), ==, 0);
  g_assert_cmpuint (get (&b, TABLE + QUEUE_STATS, 8), ==, 3);
  g_assert_cmpuint (get (&b, TABLE + QUEUE_STATS + STAT_UNICAST * 8, 8), ==, 2);
  /* A back end without room, around the end of the ring: generations turn. */
  b.wire.full = true;
  for (unsigned i = 4; i < 8; i++)
    put_tx (&b, i, BUFFERS, 60 | TX_GEN, TX_EOP | TX_CQ);
  put_tx (&b, 0, BUFFERS, 60, TX_EOP | TX_CQ);
  bell (&b, VMXNET3_TXPROD);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (b.wire.got->len, ==, 9);
  tear_down (&b);
}

/* A packet that never ends stops the queue, and says so. */
static void
test_no_end (void)
{
  Bench b;

  set_up (&b, 1, 0);
  start (&b);
  for (unsigned i = 0; i < N; i++)
    put_tx (&b, i, BUFFERS, TX_GEN, 0);
  bell (&b, VMXNET3_TXPROD);
  g_assert_cmphex (get (&b, SHARED + SHARED_ECR, 4), ==, EVENT_TQERR);
  disk_rig_write (&b.rig, VMXNET3_ECR, EVENT_TQERR);
  g_assert_cmphex (get (&b, SHARED + SHARED_ECR, 4), ==, 0);
  command (&b, CMD_QUEUE_STATUS);
  g_assert_cmpuint (get (&b, TABLE + QUEUE_STOPPED, 1), ==, 1);
  g_assert_cmphex (get (&b, TABLE + QUEUE_ERROR, 4), ==, ERROR_NOEOP);
  tear_down (&b);
}

/* --- receiving ------------------------------------------------------------------------------------------------------
 */

static void
test_receive (void)
{
  uint8_t frame[3000], bytes[3000];
  Bench b;

  set_up (&b, 1, FEATURE_RXVLAN | FEATURE_RXCSUM);
  start (&b);
  memcpy (frame, mac, 6);
  for (unsigned i = 6; i < sizeof frame; i++)
    frame[i] = i * 5;
  frame[12] = 0x88;
  give_buffer (&b, RX_RING (0), 0, BUFFERS, 1536, false);
  give_buffer (&b, RX_RING (0), 1, BUFFERS + 0x1000, 1536, false);
  give_buffer (&b, RX_RING2 (0), 0, BUFFERS + 0x2000, 4096, true);
  g_assert_true (vm_net_send_bytes (&b.wire.port, frame, 200, NULL));
  g_assert_cmphex (get (&b, RX_COMP (0), 4), ==, DONE_EOP | DONE_SOP | DONE_CNC);
  g_assert_cmphex (get (&b, RX_COMP (0) + 8, 4), ==, 200);
  g_assert_cmphex (get (&b, RX_COMP (0) + 12, 4), ==, DONE_GEN | DONE_RX | DONE_FCS);
  disk_rig_peek (&b.rig, BUFFERS, bytes, 200);
  g_assert_cmpmem (bytes, 200, frame, 200);
  /* A large one goes on in the second ring. */
  vm_net_send_bytes (&b.wire.port, frame, 3000, NULL);
  g_assert_cmphex (get (&b, RX_COMP (0) + 16, 4), ==, 1 | DONE_SOP);
  g_assert_cmphex (get (&b, RX_COMP (0) + 24, 4), ==, 1536);
  g_assert_cmphex (get (&b, RX_COMP (0) + 32, 4), ==, DONE_EOP | DONE_CNC | 1 << 16);
  g_assert_cmphex (get (&b, RX_COMP (0) + 40, 4), ==, 3000 - 1536);
  disk_rig_peek (&b.rig, BUFFERS + 0x2000, bytes, 1464);
  g_assert_cmpmem (bytes, 1464, frame + 1536, 1464);
  /* No buffer: the driver is asked to ring. */
  vm_net_send_bytes (&b.wire.port, frame, 200, NULL);
  g_assert_false (vm_net_can_send (&b.wire.port));
  g_assert_cmpuint (get (&b, TABLE + QUEUE_SIZE + QUEUE_UPDATE, 1), ==, 1);
  /* A body that is left over comes before it. */
  give_buffer (&b, RX_RING (0), 2, BUFFERS, 1536, true);
  give_buffer (&b, RX_RING (0), 3, BUFFERS + 0x4000, 1536, false);
  bell (&b, VMXNET3_RXPROD);
  g_assert_true (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (get (&b, RX_COMP (0) + 48, 4) & 0xfff, ==, 3);
  g_assert_cmpuint (get (&b, TABLE + QUEUE_SIZE + QUEUE_UPDATE, 1), ==, 0);
  tear_down (&b);
}

/* Long segments to those who want them: in one piece, whole with their check sum; to others cut. */
static void
test_large (void)
{
  uint8_t frame[sizeof tcp], bytes[sizeof tcp];
  struct iovec iov = { frame, sizeof frame };
  VmNetPacket packet = { &iov, 1, sizeof frame,
                         { .flags = VM_NET_NEEDS_CSUM, .gso_type = VM_NET_GSO_TCPV4, .hdr_len = 54, .gso_size = 1448,
                           .csum_start = 34, .csum_offset = 16 } };
  VmNetLayers l;
  Bench b;

  memcpy (frame, tcp, sizeof frame);
  memcpy (frame, mac, 6);
  vm_store_be16 (frame + 16, sizeof frame - 14);
  g_assert_true (vm_net_layers (&packet, &l));
  vm_net_start_sum (frame, &l);
  set_up (&b, 1, FEATURE_RXCSUM | FEATURE_LRO);
  g_assert_cmphex (vm_net_port_peer_takes (&b.wire.port), ==, 0);
  start (&b);
  g_assert_cmphex (vm_net_port_peer_takes (&b.wire.port), ==,
                   VM_NET_TAKES_CSUM | VM_NET_TAKES_TSO4 | VM_NET_TAKES_TSO6);
  for (unsigned i = 0; i < N; i++)
    {
      give_buffer (&b, RX_RING (0), i, BUFFERS + i * 2048, 1536, false);
      give_buffer (&b, RX_RING2 (0), i, BUFFERS + 0x8000 + i * 4096, 4096, true);
    }
  g_assert_true (vm_net_send (&b.wire.port, &packet, NULL));
  g_assert_cmphex (get (&b, RX_COMP (0), 4), ==, DONE_SOP);
  g_assert_cmpuint (get (&b, RX_COMP (0) + 8, 4), ==, 1536);
  g_assert_cmphex (get (&b, RX_COMP (0) + 16, 4) & DONE_EOP, ==, DONE_EOP);
  g_assert_cmpuint (get (&b, RX_COMP (0) + 24, 4), ==, sizeof frame - 1536);
  g_assert_cmphex (get (&b, RX_COMP (0) + 28, 4) & (DONE_TCP | DONE_TUC), ==, DONE_TCP | DONE_TUC);
  disk_rig_peek (&b.rig, BUFFERS, bytes, 1536);
  disk_rig_peek (&b.rig, BUFFERS + 0x8000, bytes + 1536, sizeof bytes - 1536);
  g_assert_cmpmem (bytes + 54, sizeof bytes - 54, frame + 54, sizeof frame - 54);
  iov.iov_base = bytes;
  g_assert_cmphex (vm_net_checksum (&iov, 1, 34, sizeof bytes - 34,
                                    vm_net_pseudo_sum (bytes + 14, 4, 6, sizeof bytes - 34)), ==, 0);
  iov.iov_base = frame;
  /* It has changed its mind. */
  put (&b, SHARED + SHARED_FEATURES, FEATURE_RXCSUM, 8);
  g_assert_cmphex (command (&b, CMD_FEATURE), ==, 0);
  g_assert_true (vm_net_send (&b.wire.port, &packet, NULL));
  g_assert_cmphex (get (&b, RX_COMP (0) + 32, 4) & (DONE_SOP | DONE_EOP), ==, DONE_SOP | DONE_EOP);
  g_assert_cmpuint (get (&b, RX_COMP (0) + 40, 4), ==, 1502);
  tear_down (&b);
}

static void
test_filters (void)
{
  uint8_t group[100] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 0x88, 0xb5 };
  uint8_t tagged[100] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x99, 1, 2, 3, 4, 5, 6, 0x81, 0x00, 0x20, 0x05, 0x88, 0xb5, 9 };
  uint8_t bytes[96];
  Bench b;

  set_up (&b, 1, FEATURE_RXVLAN);
  start (&b);
  for (unsigned i = 0; i < N; i++)
    give_buffer (&b, RX_RING (0), i, BUFFERS + i * 2048, 2048, false);
  vm_net_send_bytes (&b.wire.port, group, sizeof group, NULL);
  vm_net_send_bytes (&b.wire.port, tagged, sizeof tagged, NULL);
  g_assert_cmphex (get (&b, RX_COMP (0) + 12, 4), ==, 0);
  disk_rig_poke (&b.rig, GROUPS, group, 6);
  put (&b, SHARED + SHARED_MF, GROUPS, 8);
  put (&b, SHARED + SHARED_MF_LEN, 6, 2);
  put (&b, SHARED + SHARED_VLANS, 1 << 5, 4);
  g_assert_cmphex (command (&b, CMD_MAC_FILTERS), ==, 0);
  g_assert_cmphex (command (&b, CMD_VLAN_FILTERS), ==, 0);
  vm_net_send_bytes (&b.wire.port, group, sizeof group, NULL);
  g_assert_cmphex (get (&b, RX_COMP (0) + 12, 4) & DONE_GEN, ==, DONE_GEN);
  vm_net_send_bytes (&b.wire.port, tagged, sizeof tagged, NULL);
  g_assert_cmphex (get (&b, RX_COMP (0) + 24, 4), ==, 96 | DONE_TS | 0x20050000);
  disk_rig_peek (&b.rig, BUFFERS + 2048, bytes, 96);
  g_assert_cmpmem (bytes, 12, tagged, 12);
  g_assert_cmpmem (bytes + 12, 84, tagged + 16, 84);
  /* Another's address, until all pass. */
  tagged[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, tagged, sizeof tagged, NULL);
  g_assert_cmphex (get (&b, RX_COMP (0) + 44, 4), ==, 0);
  put (&b, SHARED + SHARED_RX_MODE, MODE_PROMISC, 4);
  command (&b, CMD_RX_MODE);
  vm_net_send_bytes (&b.wire.port, tagged, sizeof tagged, NULL);
  g_assert_cmphex (get (&b, RX_COMP (0) + 44, 4), !=, 0);
  tear_down (&b);
}

/* Microsoft's example of the hash: 66.9.149.187:2794 to 161.142.100.80:1766 is 51ccc178. */
static void
test_hash (void)
{
  static const uint8_t key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
  };
  static const uint8_t frame[74] = {
    0x52, 0x54, 0x00, 0x12, 0x34, 0x99, 2, 2, 3,  4, 5,    6,    8,   0,   0x45, 0,  0,    60,
    0x12, 0x34, 0x40, 0,    64,   6,    0, 0, 66, 9, 149,  187,  161, 142, 100,  80, 0x0a, 0xea,
    0x06, 0xe6, 0,    0,    0,    1,    0, 0, 0,  2, 0x50, 0x18, 1,   0,   0,    0,  0,    0,
  };
  Bench b;

  set_up (&b, 4, FEATURE_RSS | FEATURE_RXCSUM);
  put (&b, HASH, 0xf, 2);
  put (&b, HASH + 2, 1, 2);
  put (&b, HASH + 4, 40, 2);
  put (&b, HASH + 6, 128, 2);
  disk_rig_poke (&b.rig, HASH + 8, key, 40);
  for (unsigned i = 0; i < 128; i++)
    put (&b, HASH + 48 + i, i == 0x78 ? 2 : 0, 1);
  put (&b, SHARED + SHARED_RSS, HASH, 8);
  put (&b, SHARED + SHARED_RSS_LEN, 176, 4);
  start (&b);
  give_buffer (&b, RX_RING (2), 0, BUFFERS, 1536, false);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (get (&b, RX_COMP (2), 4), ==, DONE_EOP | DONE_SOP | 2 << 16 | 2 << 26);
  g_assert_cmphex (get (&b, RX_COMP (2) + 4, 4), ==, 0x51ccc178);
  /* The sums are wrong, and said to be. */
  g_assert_cmphex (get (&b, RX_COMP (2) + 12, 4), ==, DONE_GEN | DONE_RX | DONE_FCS | DONE_V4 | DONE_TCP);
  tear_down (&b);
}

static void
test_interrupts (void)
{
  Bench b;

  set_up (&b, 1, 0);
  start (&b);
  /* Masked at first; auto-masked with each. */
  vm_net_card_set_link (&b.card->card, false);
  g_assert_cmphex (get (&b, SHARED + SHARED_ECR, 4), ==, EVENT_LINK);
  g_assert_cmphex (command (&b, CMD_LINK), ==, 0);
  g_assert_false (b.card->parent.irq_level);
  bell (&b, VMXNET3_IMR + 8);
  g_assert_true (b.card->parent.irq_level);
  g_assert_cmphex (disk_rig_read (&b.rig, VMXNET3_ICR), ==, 1);
  g_assert_cmphex (disk_rig_read (&b.rig, VMXNET3_ICR), ==, 0);
  g_assert_false (b.card->parent.irq_level);
  g_assert_cmphex (rig_load (&b.rig.rig, QUEUES + VMXNET3_IMR + 8, 4), ==, 1);
  vm_net_card_set_link (&b.card->card, true);
  g_assert_false (b.card->parent.irq_level);
  command (&b, CMD_QUIESCE);
  bell (&b, VMXNET3_IMR + 8);
  g_assert_false (b.card->parent.irq_level);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vmxnet3/identity", test_identity);
  g_test_add_func ("/vmxnet3/transmit", test_transmit);
  g_test_add_func ("/vmxnet3/no-end", test_no_end);
  g_test_add_func ("/vmxnet3/receive", test_receive);
  g_test_add_func ("/vmxnet3/large", test_large);
  g_test_add_func ("/vmxnet3/filters", test_filters);
  g_test_add_func ("/vmxnet3/hash", test_hash);
  g_test_add_func ("/vmxnet3/interrupts", test_interrupts);
  return g_test_run ();
}
