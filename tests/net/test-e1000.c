/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 8254x on the bench, as its manual describes it. */
#include "devices/net/e1000.h"
#include "tests/devices/disk-rig.h"
#include "tests/net/wire.h"

#include <string.h>

extern const VmType vm_e1000_type;

#define TX_RING 0x10000u
#define RX_RING 0x20000u
#define BUFFERS 0x100000u

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x99 };

typedef struct Bench
{
  DiskRig rig;
  E1000 *card;
  Wire wire;
} Bench;

static void
set_up (Bench *b)
{
  disk_rig_init (&b->rig);
  disk_rig_add (&b->rig, &vm_e1000_type, 0,
                (const char *const[]){ "mac", "52:54:00:12:34:99", "mitigation", "off", "romfile", "", NULL });
  b->card = (E1000 *) b->rig.dev;
  wire_init (&b->wire, &b->card->card, 0);
}

static void
tear_down (Bench *b)
{
  wire_clear (&b->wire);
  disk_rig_clear (&b->rig);
}

/* --- EEPROM and PHY -------------------------------------------------------------------------------------------- */

static void
clock_bit (Bench *b, bool bit)
{
  uint32_t eecd = EECD_CS | EECD_REQ | (bit ? EECD_DI : 0);

  disk_rig_write (&b->rig, E1000_EECD, eecd);
  disk_rig_write (&b->rig, E1000_EECD, eecd | EECD_SK);
  disk_rig_write (&b->rig, E1000_EECD, eecd);
}

static uint16_t
microwire_read (Bench *b, unsigned word)
{
  uint16_t value = 0;

  disk_rig_write (&b->rig, E1000_EECD, EECD_REQ);
  g_assert_true (disk_rig_read (&b->rig, E1000_EECD) & EECD_GNT);
  disk_rig_write (&b->rig, E1000_EECD, EECD_REQ | EECD_CS);
  for (int i = 8; i >= 0; i--)
    clock_bit (b, (6u << 6 | word) >> i & 1);
  for (int i = 0; i < 16; i++)
    {
      disk_rig_write (&b->rig, E1000_EECD, EECD_CS | EECD_REQ | EECD_SK);
      value = value << 1 | !!(disk_rig_read (&b->rig, E1000_EECD) & EECD_DO);
      disk_rig_write (&b->rig, E1000_EECD, EECD_CS | EECD_REQ);
    }
  disk_rig_write (&b->rig, E1000_EECD, 0);
  return value;
}

static void
test_eeprom (void)
{
  Bench b;
  uint16_t sum = 0;

  set_up (&b);
  for (unsigned i = 0; i < E1000_EEPROM_N; i++)
    {
      uint16_t word = microwire_read (&b, i);
      disk_rig_write (&b.rig, E1000_EERD, i << 8 | EERD_START);
      uint32_t eerd = disk_rig_read (&b.rig, E1000_EERD);
      g_assert_true (eerd & EERD_DONE);
      g_assert_cmphex (eerd >> 16, ==, word);
      if (i < 3)
        g_assert_cmphex (word, ==, mac[2 * i] | mac[2 * i + 1] << 8);
      sum += word;
    }
  g_assert_cmphex (sum, ==, 0xbaba);
  g_assert_cmphex (disk_rig_read (&b.rig, E1000_RA), ==, 0x12005452);
  g_assert_cmphex (disk_rig_read (&b.rig, E1000_RA + 4), ==, 0x80009934);
  tear_down (&b);
}

static uint16_t
phy_read (Bench *b, unsigned reg)
{
  disk_rig_write (&b->rig, E1000_MDIC, 1 << 21 | reg << 16 | MDIC_OP_READ);
  uint32_t mdic = disk_rig_read (&b->rig, E1000_MDIC);
  g_assert_true (mdic & MDIC_READY);
  g_assert_false (mdic & MDIC_ERROR);
  return mdic;
}

static void
test_link (void)
{
  Bench b;

  set_up (&b);
  g_assert_cmphex (phy_read (&b, PHY_ID1), ==, 0x0141);
  g_assert_true (disk_rig_read (&b.rig, E1000_STATUS) & STATUS_LU);
  disk_rig_write (&b.rig, E1000_MDIC, 2 << 21 | MDIC_OP_READ); /* nobody there */
  g_assert_true (disk_rig_read (&b.rig, E1000_MDIC) & MDIC_ERROR);
  disk_rig_write (&b.rig, E1000_MDIC,
                  1 << 21 | PHY_CTRL << 16 | MDIC_OP_WRITE | PHY_CTRL_ANEN | PHY_CTRL_RESTART | 0x140);
  g_assert_false (disk_rig_read (&b.rig, E1000_STATUS) & STATUS_LU);
  rig_advance (&b.rig.rig, 600 * VM_NS_PER_MS);
  g_assert_true (disk_rig_read (&b.rig, E1000_STATUS) & STATUS_LU);
  g_assert_true (phy_read (&b, PHY_STATUS) & PHY_STATUS_AN_DONE);
  g_assert_true (disk_rig_read (&b.rig, E1000_ICR) & INT_LSC);
  g_assert_cmphex (disk_rig_read (&b.rig, E1000_ICR), ==, 0);
  vm_net_card_set_link (&b.card->card, false);
  g_assert_false (disk_rig_read (&b.rig, E1000_STATUS) & STATUS_LU);
  tear_down (&b);
}

/* --- transmit --------------------------------------------------------------------------------------------------- */

static void
put_descriptor (Bench *b, unsigned index, uint64_t low, uint64_t high)
{
  uint64_t desc[2] = { GUINT64_TO_LE (low), GUINT64_TO_LE (high) };

  disk_rig_poke (&b->rig, TX_RING + index * 16, desc, sizeof desc);
}

static void
start_transmitter (Bench *b)
{
  disk_rig_write (&b->rig, E1000_TDBAL, TX_RING);
  disk_rig_write (&b->rig, E1000_TDLEN, 128);
  disk_rig_write (&b->rig, E1000_TDH, 0);
  disk_rig_write (&b->rig, E1000_TDT, 0);
  disk_rig_write (&b->rig, E1000_TCTL, TCTL_EN | TCTL_PSP);
}

#define COMMAND(flags, len) ((uint64_t) (uint32_t) (flags) | (len))

static void
test_transmit (void)
{
  uint8_t frame[100], desc[16];
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b);
  start_transmitter (&b);
  for (unsigned i = 0; i < sizeof frame; i++)
    frame[i] = i;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  /* In two pieces, and a short one that is padded. */
  put_descriptor (&b, 0, BUFFERS, COMMAND (0, 30));
  put_descriptor (&b, 1, BUFFERS + 30, COMMAND (TXD_EOP | TXD_RS, 70));
  put_descriptor (&b, 2, BUFFERS, COMMAND (TXD_EOP | TXD_RS, 20));
  disk_rig_write (&b.rig, E1000_TDT, 3);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  got = wire_frame (&b.wire, 1, &len);
  g_assert_cmpuint (len, ==, 60);
  g_assert_cmpmem (got, 20, frame, 20);
  g_assert_cmpuint (got[59], ==, 0);
  disk_rig_peek (&b.rig, TX_RING + 16, desc, 16);
  g_assert_cmpuint (desc[12] & TXD_STAT_DD, ==, 1);
  disk_rig_peek (&b.rig, TX_RING, desc, 16);
  g_assert_cmpuint (desc[12], ==, 0); /* was not to be told */
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_TDH), ==, 3);
  g_assert_true (disk_rig_read (&b.rig, E1000_ICR) & INT_TXDW);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_GPTC), ==, 2);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_GPTC), ==, 0); /* cleared by reading */

  /* A back end without room holds the ring up. */
  b.wire.full = true;
  put_descriptor (&b, 3, BUFFERS, COMMAND (TXD_EOP | TXD_RS, 60));
  put_descriptor (&b, 4, BUFFERS, COMMAND (TXD_EOP | TXD_RS, 61));
  disk_rig_write (&b.rig, E1000_TDT, 5);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_TDH), ==, 5);
  tear_down (&b);
}

/* Three segments out of one packet (3.5), as Linux' driver writes the descriptors. */
static void
test_segmentation (void)
{
  uint8_t frame[54 + 3000] = { 0x52, 0x55, 0x0a, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x99, 8, 0, 0x45, 0, 0, 0,
                               0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2 };
  const uint8_t *got;
  size_t len, at = 0;
  Bench b;

  set_up (&b);
  start_transmitter (&b);
  memcpy (frame + 34, (const uint8_t[]){ 0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0 }, 16);
  for (unsigned i = 54; i < sizeof frame; i++)
    frame[i] = i * 13;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  /* Context: IP's sum from 14 to 33 at 24, TCP's from 34 at 50, 54 bytes of headers, segments of 1448. */
  put_descriptor (&b, 0, 14u | 24u << 8 | 33u << 16 | (uint64_t) 34 << 32 | (uint64_t) 50 << 40,
                  COMMAND (TXD_DEXT | TXD_TSE | TXD_TUCMD_TCP | TXD_TUCMD_IP, 3000) | (uint64_t) 54 << 40
                    | (uint64_t) 1448 << 48);
  put_descriptor (&b, 1, BUFFERS, COMMAND (TXD_DEXT | TXD_TSE | TXD_DTYP_DATA, 54) | (uint64_t) 3 << 40);
  put_descriptor (&b, 2, BUFFERS + 54,
                  COMMAND (TXD_DEXT | TXD_TSE | TXD_DTYP_DATA | TXD_EOP | TXD_RS, 3000) | (uint64_t) 3 << 40);
  disk_rig_write (&b.rig, E1000_TDT, 3);
  g_assert_cmpuint (b.wire.got->len, ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      struct iovec iov;
      got = wire_frame (&b.wire, i, &len);
      iov = (struct iovec){ (void *) got, len };
      g_assert_cmpuint (len, ==, i < 2 ? 1502 : 158);
      g_assert_cmpuint (got[16] << 8 | got[17], ==, len - 14);
      g_assert_cmpuint (got[18] << 8 | got[19], ==, 0x1234 + i);
      g_assert_cmpuint (got[40] << 8 | got[41], ==, 1 + at);
      g_assert_cmphex (got[47], ==, i < 2 ? 0x10 : 0x18);
      g_assert_cmpuint (vm_net_checksum (&iov, 1, 14, 20, 0), ==, 0);
      g_assert_cmpuint (vm_net_checksum (&iov, 1, 34, len - 34, vm_net_pseudo_sum (got + 14, 4, 6, len - 34)), ==, 0);
      g_assert_cmpmem (got + 54, len - 54, frame + 54 + at, MIN (1448, 3000 - at));
      at += len - 54;
    }
  tear_down (&b);
}

/* --- receive ------------------------------------------------------------------------------------------------------ */

static void
start_receiver (Bench *b, unsigned buffers)
{
  for (unsigned i = 0; i < 8; i++)
    {
      uint64_t desc[2] = { GUINT64_TO_LE (BUFFERS + i * 2048), 0 };
      disk_rig_poke (&b->rig, RX_RING + i * 16, desc, sizeof desc);
    }
  disk_rig_write (&b->rig, E1000_RDBAL, RX_RING);
  disk_rig_write (&b->rig, E1000_RDLEN, 128);
  disk_rig_write (&b->rig, E1000_RDH, 0);
  disk_rig_write (&b->rig, E1000_RDT, buffers);
  disk_rig_write (&b->rig, E1000_RCTL, RCTL_EN | RCTL_BAM);
}

static void
test_receive (void)
{
  uint8_t frame[200] = { 0 }, bytes[2048];
  E1000RxDesc desc;
  Bench b;

  set_up (&b);
  start_receiver (&b, 2);
  memcpy (frame, mac, 6);
  frame[12] = 0x08;
  frame[13] = 0x06;
  g_assert_true (vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL));
  disk_rig_peek (&b.rig, RX_RING, &desc, sizeof desc);
  g_assert_cmphex (desc.status, ==, RXD_DD | RXD_EOP | RXD_IXSM);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.length), ==, sizeof frame + 4);
  disk_rig_peek (&b.rig, BUFFERS, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof frame, frame, sizeof frame);
  uint32_t fcs = bytes[200] | bytes[201] << 8 | bytes[202] << 16 | (uint32_t) bytes[203] << 24;
  g_assert_cmphex (fcs, ==, vm_net_crc32 (frame, sizeof frame));
  g_assert_true (disk_rig_read (&b.rig, E1000_ICR) & INT_RXT0);

  /* Another's, then everyone's. */
  frame[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_RDH), ==, 1);
  memset (frame, 0xff, 6);
  vm_net_send_bytes (&b.wire.port, frame, 20, NULL);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_RDH), ==, 2);
  disk_rig_peek (&b.rig, RX_RING + 16, &desc, sizeof desc);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.length), ==, 64); /* padded */

  /* The ring is empty: the packet waits for the tail. */
  g_assert_true (vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL));
  g_assert_true (disk_rig_read (&b.rig, E1000_ICR) & INT_RXO);
  g_assert_false (vm_net_can_send (&b.wire.port));
  disk_rig_write (&b.rig, E1000_RDT, 7);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_RDH), ==, 3);
  g_assert_true (vm_net_can_send (&b.wire.port));
  tear_down (&b);
}

/* A tag is taken out and told in the descriptor; multicast goes by the table. */
static void
test_filters (void)
{
  uint8_t frame[100] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 0x81, 0x00, 0x20, 0x05, 0x08, 0x00 };
  uint8_t bytes[100];
  unsigned hash = ((0x01 << 8 | 0x00) >> 4) & 0xfff;
  E1000RxDesc desc;
  Bench b;

  set_up (&b);
  start_receiver (&b, 7);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_RDH), ==, 0);
  disk_rig_write (&b.rig, E1000_MTA + (hash >> 5) * 4, 1u << (hash & 31));
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_RDH), ==, 1);
  disk_rig_write (&b.rig, E1000_CTRL, disk_rig_read (&b.rig, E1000_CTRL) | CTRL_VME);
  disk_rig_write (&b.rig, E1000_RCTL, RCTL_EN | RCTL_MPE | RCTL_VFE);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmpuint (disk_rig_read (&b.rig, E1000_RDH), ==, 1);
  disk_rig_write (&b.rig, E1000_VFTA, 1 << 5);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  disk_rig_peek (&b.rig, RX_RING + 16, &desc, sizeof desc);
  g_assert_true (desc.status & RXD_VP);
  g_assert_cmphex (GUINT16_FROM_LE (desc.special), ==, 0x2005);
  g_assert_cmpuint (GUINT16_FROM_LE (desc.length), ==, 100);
  disk_rig_peek (&b.rig, BUFFERS + 2048, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, 12, frame, 12);
  g_assert_cmpmem (bytes + 12, 84, frame + 16, 84);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/e1000/eeprom", test_eeprom);
  g_test_add_func ("/e1000/link", test_link);
  g_test_add_func ("/e1000/transmit", test_transmit);
  g_test_add_func ("/e1000/segmentation", test_segmentation);
  g_test_add_func ("/e1000/receive", test_receive);
  g_test_add_func ("/e1000/filters", test_filters);
  return g_test_run ();
}
