/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 82574 on the bench, in what its data sheet has beyond the 8254x. */
#include "devices/net/e1000e.h"
#include "tests/devices/disk-rig.h"
#include "tests/net/wire.h"

#include <string.h>

extern const VmType vm_e1000e_type;

#define TX_RING 0x10000u
#define RX_RING 0x20000u
#define BUFFERS 0x100000u
#define TABLE UINT64_C (0xe1000000) /* of MSI-X, once it is mapped */

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x99 };

typedef struct Bench
{
  DiskRig rig;
  E1000e *card;
  Wire wire;
} Bench;

static void
set_up (Bench *b, const char *plain)
{
  disk_rig_init (&b->rig);
  disk_rig_add (&b->rig, &vm_e1000e_type, 0,
                (const char *const[]){ "mac", "52:54:00:12:34:99", "romfile", "", "subsys", "0x1234",
                                       "disable_vnet_hdr", plain, NULL });
  b->card = (E1000e *) b->rig.dev;
  wire_init (&b->wire, &b->card->base.card, 0);
}

static void
tear_down (Bench *b)
{
  wire_clear (&b->wire);
  disk_rig_clear (&b->rig);
}

static uint32_t
get (Bench *b, unsigned reg)
{
  return disk_rig_read (&b->rig, reg);
}

static void
set (Bench *b, unsigned reg, uint32_t value)
{
  disk_rig_write (&b->rig, reg, value);
}

/* --- what the card is ------------------------------------------------------------------------------------------- */

static void
test_identity (void)
{
  uint16_t sum = 0;
  Bench b;

  set_up (&b, "0");
  g_assert_cmphex (disk_rig_config (&b.rig, 0, 4), ==, 0x10d38086);
  g_assert_cmphex (disk_rig_config (&b.rig, 0x2c, 4), ==, 0x12348086);
  g_assert_cmphex (disk_rig_config (&b.rig, 0x34, 1), ==, 0xc8);
  g_assert_cmphex (disk_rig_config (&b.rig, 0xa0, 4), ==, 0x00040011);
  g_assert_cmphex (disk_rig_config (&b.rig, 0xc8, 4), ==, 0x0022d001);
  g_assert_cmphex (disk_rig_config (&b.rig, 0xd0, 4), ==, 0x0080e005);
  g_assert_cmphex (disk_rig_config (&b.rig, 0xe0, 4), ==, 0x0001a010);
  g_assert_cmphex (vm_load_le32 (b.card->base.parent.config + 0x100), ==, 0x14010001);
  g_assert_cmphex (vm_load_le32 (b.card->base.parent.config + 0x140), ==, 0x00010003);
  for (unsigned i = 0; i < E1000_EEPROM_N; i++)
    {
      set (&b, E1000_EERD, i << 2 | NVM_START);
      g_assert_true (get (&b, E1000_EERD) & NVM_DONE);
      sum += get (&b, E1000_EERD) >> 16;
    }
  g_assert_cmphex (sum, ==, 0xbaba);
  set (&b, E1000_EEWR, 0xabcd0000 | 5 << 2 | NVM_START);
  set (&b, E1000_EERD, 5 << 2 | NVM_START);
  g_assert_cmphex (get (&b, E1000_EERD) >> 16, ==, 0xabcd);
  set (&b, E1000_MDIC, 1 << 21 | PHY_ID2 << 16 | MDIC_OP_READ);
  g_assert_cmphex (get (&b, E1000_MDIC) & 0xffff, ==, 0x0cb1);
  g_assert_cmphex (get (&b, 0x40), ==, get (&b, E1000_RA)); /* a second place */
  g_assert_cmphex (get (&b, E1000_SWSM), ==, 0);
  g_assert_cmphex (get (&b, E1000_SWSM), ==, SWSM_SMBI);
  set (&b, E1000_CTRL, get (&b, E1000_CTRL) | CTRL_NO_MASTER);
  g_assert_false (get (&b, E1000_STATUS) & STATUS_MASTER);
  tear_down (&b);
}

/* --- the EEPROM by its wires ---------------------------------------------------------------------------------------- */

static void
wires (Bench *b, uint32_t lines)
{
  set (b, E1000_EECD, EECD_REQ | lines);
}

static uint8_t
shift (Bench *b, uint8_t out)
{
  uint8_t in = 0;

  for (int i = 7; i >= 0; i--)
    {
      uint32_t bit = out >> i & 1 ? EECD_DI : 0;
      wires (b, bit);
      wires (b, bit | EECD_SK);
      in = in << 1 | !!(get (b, E1000_EECD) & EECD_DO);
      wires (b, bit);
    }
  return in;
}

static void
test_wires (void)
{
  uint16_t sum = 0;
  Bench b;

  set_up (&b, "0");
  g_assert_false (get (&b, E1000_EECD) & EECD_GNT);
  wires (&b, EECD_CS);
  g_assert_true (get (&b, E1000_EECD) & EECD_GNT);
  wires (&b, 0);
  shift (&b, 3);
  shift (&b, 0);
  for (unsigned i = 0; i < 2 * E1000_EEPROM_N; i++)
    {
      uint8_t byte = shift (&b, 0);
      if (i < 6)
        g_assert_cmphex (byte, ==, mac[i]);
      sum += i % 2 ? byte << 8 : byte;
    }
  g_assert_cmphex (sum, ==, 0xbaba);
  g_assert_cmphex (shift (&b, 0), ==, mac[0]); /* around */
  wires (&b, EECD_CS);
  /* Writing wants permission, each time. */
  for (unsigned round = 0; round < 3; round++)
    {
      if (round)
        {
          wires (&b, 0);
          shift (&b, 6);
          wires (&b, EECD_CS);
        }
      wires (&b, 0);
      shift (&b, 5);
      g_assert_cmphex (shift (&b, 0), ==, round ? 2 : 0);
      wires (&b, EECD_CS);
      wires (&b, 0);
      shift (&b, 2);
      shift (&b, 0x2f); /* the last byte of a page: on with its first */
      shift (&b, 0x10 + round);
      shift (&b, 0x20 + round);
      wires (&b, EECD_CS);
      wires (&b, 0);
      shift (&b, 5);
      g_assert_cmphex (shift (&b, 0), ==, 0);
      wires (&b, EECD_CS);
      set (&b, E1000_EERD, 0x17 << 2 | NVM_START);
      g_assert_cmphex (get (&b, E1000_EERD) >> 24, ==, round ? 0x10 + round : 0x27);
      set (&b, E1000_EERD, 0x10 << 2 | NVM_START);
      g_assert_cmphex (get (&b, E1000_EERD) >> 16 & 0xff, ==, round ? 0x20 + round : 0);
    }
  /* Nobody asked for the wires: they are not heard. */
  set (&b, E1000_EECD, 0);
  set (&b, E1000_EECD, EECD_SK);
  g_assert_true (get (&b, E1000_EECD) & EECD_DO);
  tear_down (&b);
}

static void
test_clock (void)
{
  Bench b;

  set_up (&b, "0");
  g_assert_cmphex (get (&b, E1000_SYSTIML), ==, 0);
  set (&b, E1000_TIMINCA, 1u << 24 | 40);
  rig_advance (&b.rig.rig, 1000000);
  g_assert_cmpuint (get (&b, E1000_SYSTIML), ==, 1000000);
  set (&b, E1000_SYSTIMH, 5);
  get (&b, E1000_SYSTIML);
  g_assert_cmpuint (get (&b, E1000_SYSTIMH), ==, 5);
  tear_down (&b);
}

/* --- transmit ---------------------------------------------------------------------------------------------------- */

static void
put_tx (Bench *b, uint32_t ring, unsigned index, uint64_t low, uint64_t high)
{
  uint64_t desc[2] = { GUINT64_TO_LE (low), GUINT64_TO_LE (high) };

  disk_rig_poke (&b->rig, ring + index * 16, desc, sizeof desc);
}

static void
start_transmitter (Bench *b, unsigned queue, uint32_t ring, unsigned n)
{
  unsigned at = queue * E1000_QUEUE;

  set (b, E1000_TDBAL + at, ring);
  set (b, E1000_TDLEN + at, n * 16);
  set (b, E1000_TDH + at, 0);
  set (b, E1000_TDT + at, 0);
  set (b, E1000_TCTL, TCTL_EN | TCTL_PSP);
}

/* Two queues, and a back end that is full while both have something. */
static void
test_two_queues (void)
{
  uint8_t frame[64];
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b, "0");
  memset (frame, 0x11, sizeof frame);
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  memset (frame, 0x22, sizeof frame);
  disk_rig_poke (&b.rig, BUFFERS + 64, frame, sizeof frame);
  start_transmitter (&b, 0, TX_RING, 8);
  start_transmitter (&b, 1, TX_RING + 0x1000, 8);
  put_tx (&b, TX_RING, 0, BUFFERS, TXD_EOP | TXD_RS | 64);
  put_tx (&b, TX_RING + 0x1000, 0, BUFFERS + 64, TXD_EOP | TXD_RS | 64);
  b.wire.full = true;
  set (&b, E1000_TDT, 1);
  set (&b, E1000_TDT + E1000_QUEUE, 1);
  g_assert_cmpuint (get (&b, E1000_TDH), ==, 1);
  g_assert_cmpuint (get (&b, E1000_TDH + E1000_QUEUE), ==, 0);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (get (&b, E1000_TDH + E1000_QUEUE), ==, 1);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  got = wire_frame (&b.wire, 1, &len);
  g_assert_cmphex (got[0], ==, 0x22);
  g_assert_cmphex (get (&b, E1000_ICR) & (INT_TXQ0 * 3), ==, INT_TXQ0 * 3);
  /* A queue that is switched off. */
  set (&b, E1000_TARC, 0);
  put_tx (&b, TX_RING, 1, BUFFERS, TXD_EOP | TXD_RS | 64);
  set (&b, E1000_TDT, 2);
  g_assert_cmpuint (get (&b, E1000_TDH), ==, 1);
  set (&b, E1000_TARC, TARC_ENABLE);
  g_assert_cmpuint (get (&b, E1000_TDH), ==, 2);
  tear_down (&b);
}

/* More than is done at once: the rest follows. */
static void
test_long_ring (void)
{
  Bench b;

  set_up (&b, "0");
  for (unsigned i = 0; i < 400; i++)
    put_tx (&b, TX_RING, i, BUFFERS, TXD_EOP | TXD_RS | 0xf000);
  start_transmitter (&b, 0, TX_RING, 512);
  set (&b, E1000_TDT, 400);
  g_assert_cmpuint (b.wire.got->len, <, 400);
  rig_advance (&b.rig.rig, 1);
  for (unsigned i = 0; i < 10; i++)
    rig_advance (&b.rig.rig, 1000);
  g_assert_cmpuint (b.wire.got->len, ==, 400);
  tear_down (&b);
}

/* disable_vnet_hdr: the segments are cut although the wire would take the work. */
static void
test_plain (void)
{
  uint8_t frame[54 + 3000] = { 0x52, 0x55, 0x0a, 0,    2, 2,  0x52, 0x54, 0, 0x12, 0x34, 0x99, 8,  0,  0x45, 0, 0,
                               0,    0x12, 0x34, 0x40, 0, 64, 6,    0,    0, 10,   0,    2,    15, 10, 0,    2, 2 };

  memcpy (frame + 34, (const uint8_t[]){ 0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0 }, 16);
  for (unsigned plain = 0; plain < 2; plain++)
    {
      Bench b;

      set_up (&b, plain ? "1" : "0");
      vm_net_port_set_takes (&b.wire.port, VM_NET_TAKES_ALL);
      disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
      start_transmitter (&b, 0, TX_RING, 8);
      put_tx (&b, TX_RING, 0, 14u | 24u << 8 | 33u << 16 | (uint64_t) 34 << 32 | (uint64_t) 50 << 40,
              (uint64_t) (uint32_t) (TXD_DEXT | TXD_TSE | TXD_TUCMD_TCP | TXD_TUCMD_IP) | 3000 | (uint64_t) 54 << 40
                  | (uint64_t) 1448 << 48);
      put_tx (&b, TX_RING, 1, BUFFERS,
              (uint64_t) (uint32_t) (TXD_DEXT | TXD_TSE | TXD_DTYP_DATA | TXD_EOP | TXD_RS) | sizeof frame
                  | (uint64_t) 3 << 40);
      set (&b, E1000_TDT, 2);
      g_assert_cmpuint (b.wire.got->len, ==, plain ? 3 : 1);
      tear_down (&b);
    }
}

/* --- receive ------------------------------------------------------------------------------------------------------ */

static void
start_receiver (Bench *b, unsigned queue, unsigned size, unsigned buffers)
{
  unsigned at = queue * E1000_QUEUE;
  uint32_t ring = RX_RING + queue * 0x1000;

  for (unsigned i = 0; i < 8; i++)
    {
      uint64_t desc[4] = { 0 };
      for (unsigned k = 0; k < size / 8; k++)
        desc[k] = GUINT64_TO_LE (BUFFERS + queue * 0x80000 + i * 0x10000 + k * 0x4000);
      if (size == 16)
        desc[1] = 0;
      disk_rig_poke (&b->rig, ring + i * size, desc, size);
    }
  set (b, E1000_RDBAL + at, ring);
  set (b, E1000_RDLEN + at, 8 * size);
  set (b, E1000_RDH + at, 0);
  set (b, E1000_RDT + at, buffers * size / 16);
}

static const uint8_t tcp[] = {
  0x52, 0x54, 0x00, 0x12, 0x34, 0x99, 2,    2, 3,  4,  5,  6,  8,    0, /* Ethernet */
  0x45, 0,    0,    60,   0x12, 0x34, 0x40, 0, 64, 6,  0,  0,  66,   9,
  149,  187,  161,  142,  100,  80, /* IP */
  0x0a, 0xea, 0x06, 0xe6, 0,    0,    0,    1, 0,  0,  0,  2,  0x50, 0x18,
  1,    0,    0,    0,    0,    0, /* TCP: 2794 to 1766 */
  1,    2,    3,    4,    5,    6,    7,    8, 9,  10, 11, 12, 13,   14,
  15,   16,   17,   18,   19,   20,
};

static bool
ack_told (Bench *b, const uint8_t *frame)
{
  g_assert_true (vm_net_send_bytes (&b->wire.port, frame, sizeof tcp, NULL));
  bool told = get (b, E1000_ICS) & INT_ACK;
  set (b, E1000_ICR, 0xffffffff);
  return told;
}

static void
test_acknowledgements (void)
{
  uint8_t frame[sizeof tcp], empty[sizeof tcp];
  Bench b;

  set_up (&b, "0");
  memcpy (frame, tcp, sizeof tcp);
  memcpy (empty, tcp, sizeof tcp);
  empty[17] = 40; /* what follows is padding */
  start_receiver (&b, 0, 16, 8);
  set (&b, E1000_RCTL, RCTL_EN | RCTL_SECRC);
  g_assert_false (ack_told (&b, frame));
  set (&b, E1000_IMS, INT_ACK);
  g_assert_true (ack_told (&b, frame));
  set (&b, E1000_RFCTL, RFCTL_ACKD_DIS);
  g_assert_false (ack_told (&b, frame));
  g_assert_true (ack_told (&b, empty));
  set (&b, E1000_RFCTL, RFCTL_ACKDIS);
  g_assert_false (ack_told (&b, frame));
  set (&b, E1000_RFCTL, 0);
  set (&b, E1000_RAID, 10);
  g_assert_false (ack_told (&b, frame));
  rig_advance (&b.rig.rig, 10240);
  g_assert_true (get (&b, E1000_ICR) & INT_ACK);
  tear_down (&b);
}

/* The hash of Microsoft's example: 66.9.149.187:2794 to 161.142.100.80:1766 is 51ccc178. */
static void
test_hash (void)
{
  static const uint8_t key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
  };
  E1000RxExtended desc;
  uint8_t bytes[128];
  Bench b;

  set_up (&b, "0");
  start_receiver (&b, 0, 16, 4);
  start_receiver (&b, 1, 16, 4);
  for (unsigned i = 0; i < 40; i += 4)
    set (&b, E1000_RSSRK + i, vm_load_le32 (key + i));
  set (&b, E1000_MRQC, 1 | 1 << 16);
  set (&b, E1000_RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL | RXCSUM_PCSD);
  set (&b, E1000_RFCTL, RFCTL_EXSTEN);
  set (&b, E1000_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC);
  g_assert_true (vm_net_send_bytes (&b.wire.port, tcp, sizeof tcp, NULL));
  disk_rig_peek (&b.rig, RX_RING, &desc, sizeof desc);
  g_assert_cmphex (GUINT32_FROM_LE (desc.hash), ==, 0x51ccc178);
  g_assert_cmphex (GUINT32_FROM_LE (desc.mrq), ==, 1);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.length), ==, sizeof tcp);
  g_assert_cmphex (GUINT32_FROM_LE (desc.status) & 0xff, ==, RXD_DD | RXD_EOP | RXD_TCPCS | RXD_IPCS);
  g_assert_cmphex (GUINT32_FROM_LE (desc.status) >> 24, ==, RXE_IPE | RXE_TCPE); /* there are no sums */
  disk_rig_peek (&b.rig, BUFFERS, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof tcp, tcp, sizeof tcp);
  /* The other queue: entry 0x78 of the table. */
  set (&b, E1000_RETA + 0x78, 0x80);
  vm_net_send_bytes (&b.wire.port, tcp, sizeof tcp, NULL);
  g_assert_cmpuint (get (&b, E1000_RDH), ==, 1);
  g_assert_cmpuint (get (&b, E1000_RDH + E1000_QUEUE), ==, 1);
  disk_rig_peek (&b.rig, RX_RING + 0x1000, &desc, sizeof desc);
  g_assert_cmphex (GUINT32_FROM_LE (desc.mrq), ==, 1 | 1 << 8);
  g_assert_cmphex (get (&b, E1000_ICR) & (INT_RXQ0 * 3), ==, INT_RXQ0 * 3);
  /* Identification and sum in its place; buffers by FLXBUF. */
  set (&b, E1000_MRQC, 0);
  set (&b, E1000_RXCSUM, 14);
  set (&b, E1000_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC | 1 << 27);
  vm_net_send_bytes (&b.wire.port, tcp, sizeof tcp, NULL);
  disk_rig_peek (&b.rig, RX_RING + 16, &desc, sizeof desc);
  g_assert_cmphex (GUINT32_FROM_LE (desc.hash) & 0xffff, ==, 0x1234);
  struct iovec iov = { (void *) tcp, sizeof tcp };
  g_assert_cmphex (GUINT32_FROM_LE (desc.hash) >> 16, ==,
                   (uint16_t) ~vm_net_checksum (&iov, 1, 14, sizeof tcp - 14, 0));
  tear_down (&b);
}

static void
test_split (void)
{
  uint8_t big[6000] = { 0 }, bytes[2048];
  E1000RxSplit desc;
  Bench b;

  set_up (&b, "0");
  start_receiver (&b, 0, 32, 4);
  set (&b, E1000_RFCTL, RFCTL_EXSTEN);
  set (&b, E1000_PSRCTL, 2 | 1 << 8 | 1 << 16); /* 256, 1024, 1024, none */
  set (&b, E1000_RCTL, RCTL_EN | RCTL_LPE | RCTL_BAM | RCTL_SECRC | RCTL_DTYP_SPLIT);
  vm_net_send_bytes (&b.wire.port, tcp, sizeof tcp, NULL);
  g_assert_cmpuint (get (&b, E1000_RDH), ==, 2);
  disk_rig_peek (&b.rig, RX_RING, &desc, sizeof desc);
  g_assert_cmphex (GUINT16_FROM_LE (desc.header), ==, RXX_HEADER_SPLIT | 54);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.first.length), ==, 54);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.lengths[0]), ==, 20);
  disk_rig_peek (&b.rig, BUFFERS + 0x4000, bytes, 20);
  g_assert_cmpmem (bytes, 20, tcp + 54, 20);
  /* No headers known: all in line, over two descriptors. */
  memcpy (big, mac, 6);
  for (unsigned i = 14; i < sizeof big; i++)
    big[i] = i * 7;
  big[12] = 0x88;
  vm_net_send_bytes (&b.wire.port, big, 3000, NULL);
  g_assert_cmpuint (get (&b, E1000_RDH), ==, 6);
  disk_rig_peek (&b.rig, RX_RING + 64, &desc, sizeof desc);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.first.length), ==, 0);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.lengths[0]), ==, 3000 - 256 - 2048);
  g_assert_true (GUINT32_FROM_LE (desc.first.status) & RXD_EOP);
  disk_rig_peek (&b.rig, BUFFERS + 2 * 0x10000 + 0x4000, bytes, 696);
  g_assert_cmpmem (bytes, 696, big + 2304, 696);
  /* More than there is: it waits. */
  vm_net_send_bytes (&b.wire.port, big, 6000, NULL);
  g_assert_cmpuint (get (&b, E1000_RDH), ==, 6);
  g_assert_false (vm_net_can_send (&b.wire.port));
  set (&b, E1000_RDT, 14);
  g_assert_cmpuint (get (&b, E1000_RDH), ==, 12);
  tear_down (&b);
}

/* --- interrupts ------------------------------------------------------------------------------------------------------
 */

static uint32_t
messages (Bench *b)
{
  uint32_t got = 0;

  for (unsigned v = 0; v < E1000E_VECTORS; v++)
    {
      uint32_t word = 0;
      disk_rig_peek (&b->rig, DISK_RIG_MESSAGE + v * 4, &word, 4);
      if (word)
        got |= 1u << v;
      word = 0;
      disk_rig_poke (&b->rig, DISK_RIG_MESSAGE + v * 4, &word, 4);
    }
  return got;
}

static void
test_vectors (void)
{
  Bench b;

  set_up (&b, "0");
  disk_rig_set_config (&b.rig, 0x1c, TABLE, 4);
  for (unsigned v = 0; v < E1000E_VECTORS; v++)
    {
      rig_store (&b.rig.rig, TABLE + v * 16, DISK_RIG_MESSAGE + v * 4, 4);
      rig_store (&b.rig.rig, TABLE + v * 16 + 4, 0, 4);
      rig_store (&b.rig.rig, TABLE + v * 16 + 8, 0x77, 4);
      rig_store (&b.rig.rig, TABLE + v * 16 + 12, 0, 4);
    }
  disk_rig_set_config (&b.rig, 0xa2, 0x8000, 2);
  /* RXQ0 and RXQ1 to vector 0, TXQ0 to 1, other things to 4; the receive queue clears itself. */
  set (&b, E1000_IVAR, 8 | 8 << 4 | 9 << 8 | 12 << 16);
  set (&b, E1000_EIAC, INT_RXQ0);
  set (&b, E1000_IMS, INT_RXQ0 | INT_TXQ0 | INT_OTHER | INT_LSC);
  messages (&b);
  set (&b, E1000_ICS, INT_RXQ0);
  g_assert_cmphex (messages (&b), ==, 1);
  g_assert_cmphex (get (&b, E1000_ICS) & INT_RXQ0, ==, 0);
  set (&b, E1000_ICS, INT_RXQ0 << 1); /* masked */
  g_assert_cmphex (messages (&b), ==, 0);
  set (&b, E1000_IMS, INT_RXQ0 << 1); /* and told when it no longer is */
  g_assert_cmphex (messages (&b), ==, 1);
  set (&b, E1000_ICS, INT_TXQ0);
  g_assert_cmphex (messages (&b), ==, 2);
  /* The mask closes with the message. */
  set (&b, E1000_IAM, INT_OTHER);
  set (&b, E1000_CTRL_EXT, CTRL_EXT_EIAME);
  vm_net_card_set_link (&b.card->base.card, false);
  g_assert_cmphex (messages (&b), ==, 16);
  g_assert_false (get (&b, E1000_IMS) & INT_OTHER);
  g_assert_true (get (&b, E1000_ICR) & INT_LSC);
  /* Not too often. */
  set (&b, E1000_EITR, 1000);
  set (&b, E1000_ICS, INT_RXQ0);
  g_assert_cmphex (messages (&b), ==, 1);
  set (&b, E1000_ICS, INT_RXQ0);
  g_assert_cmphex (messages (&b), ==, 0);
  rig_advance (&b.rig.rig, 256001);
  g_assert_cmphex (messages (&b), ==, 1);
  tear_down (&b);
}

static void
test_pin (void)
{
  Bench b;

  set_up (&b, "0");
  set (&b, E1000_IMS, INT_LSC);
  g_assert_false (b.card->base.parent.irq_level);
  set (&b, E1000_ICS, INT_RXT0); /* masked: reading does not clear */
  get (&b, E1000_ICR);
  g_assert_true (get (&b, E1000_ICR) & INT_RXT0);
  set (&b, E1000_IAM, INT_LSC);
  set (&b, E1000_CTRL_EXT, CTRL_EXT_IAME);
  set (&b, E1000_ICS, INT_LSC);
  g_assert_true (b.card->base.parent.irq_level);
  g_assert_true (get (&b, E1000_ICR) & INT_ASSERTED);
  g_assert_false (b.card->base.parent.irq_level);
  g_assert_cmphex (get (&b, E1000_IMS), ==, 0);
  g_assert_cmphex (get (&b, E1000_ICR), ==, 0);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/e1000e/identity", test_identity);
  g_test_add_func ("/e1000e/wires", test_wires);
  g_test_add_func ("/e1000e/acknowledgements", test_acknowledgements);
  g_test_add_func ("/e1000e/clock", test_clock);
  g_test_add_func ("/e1000e/two-queues", test_two_queues);
  g_test_add_func ("/e1000e/long-ring", test_long_ring);
  g_test_add_func ("/e1000e/plain", test_plain);
  g_test_add_func ("/e1000e/hash", test_hash);
  g_test_add_func ("/e1000e/split", test_split);
  g_test_add_func ("/e1000e/vectors", test_vectors);
  g_test_add_func ("/e1000e/pin", test_pin);
  return g_test_run ();
}
