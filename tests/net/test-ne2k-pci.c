/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The DP8390 of NE2000 cards on the bench, as its data sheet describes it, as RTL8029AS. */
#include "devices/net/dp8390-regs.h"
#include "devices/net/ne2k-pci.h"
#include "tests/devices/disk-rig.h"
#include "tests/net/wire.h"

#include <string.h>

extern const VmType vm_ne2k_pci_type;

#define PORTS 0xc000

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x99 };

typedef struct Bench
{
  DiskRig rig;
  Ne2kPci *card;
  Wire wire;
} Bench;

static void
set_up (Bench *b)
{
  disk_rig_init (&b->rig);
  disk_rig_add (&b->rig, &vm_ne2k_pci_type, 0,
                (const char *const[]){ "mac", "52:54:00:12:34:99", "romfile", "", NULL });
  disk_rig_set_config (&b->rig, PCI_BAR0, PORTS, 4);
  b->card = (Ne2kPci *) b->rig.dev;
  wire_init (&b->wire, &b->card->chip.card, 0);
}

static void
tear_down (Bench *b)
{
  wire_clear (&b->wire);
  disk_rig_clear (&b->rig);
}

static void
out (Bench *b, unsigned reg, uint8_t value)
{
  rig_outb (&b->rig.rig, PORTS + reg, value);
}

static uint8_t
in (Bench *b, unsigned reg)
{
  return rig_inb (&b->rig.rig, PORTS + reg);
}

static void
remote (Bench *b, uint16_t at, uint16_t len, uint8_t how)
{
  out (b, 8, at);
  out (b, 9, at >> 8);
  out (b, 10, len);
  out (b, 11, len >> 8);
  out (b, 0, CR_STA | how);
}

/* Two bytes at a time. */
static void
put (Bench *b, uint16_t at, const uint8_t *bytes, uint16_t len)
{
  out (b, 14, DCR_WTS | DCR_LS);
  remote (b, at, len, CR_RD_WRITE);
  for (uint16_t i = 0; i < len; i += 2)
    rig_out (&b->rig.rig, PORTS + NE_DATA, vm_load_le16 (bytes + i), 2);
  g_assert_true (in (b, 7) & ISR_RDC);
  out (b, 7, ISR_RDC);
}

/* Four at a time. */
static void
get (Bench *b, uint16_t at, uint8_t *bytes, uint16_t len)
{
  out (b, 14, DCR_WTS | DCR_LS);
  remote (b, at, len, CR_RD_READ);
  for (uint16_t i = 0; i < len; i += 4)
    vm_store_le32 (bytes + i, rig_in (&b->rig.rig, PORTS + NE_DATA, 4));
  g_assert_true (in (b, 7) & ISR_RDC);
  out (b, 7, ISR_RDC);
}

/* A ring of pages 0x46 to 0x7f, six for sending before it. */
static void
start (Bench *b, uint8_t rcr)
{
  out (b, 0, CR_STP | CR_RD_ABORT);
  out (b, 14, DCR_WTS | DCR_LS);
  out (b, 12, rcr);
  out (b, 1, 0x46);
  out (b, 2, 0x80);
  out (b, 3, 0x7f);
  out (b, 4, 0x40);
  out (b, 0, CR_STP | CR_RD_ABORT | 1 << 6);
  for (unsigned i = 0; i < 6; i++)
    out (b, 1 + i, mac[i]);
  out (b, 7, 0x46);
  out (b, 0, CR_STA | CR_RD_ABORT);
}

static uint8_t
current (Bench *b)
{
  uint8_t page;

  out (b, 0, CR_STA | CR_RD_ABORT | 1 << 6);
  page = in (b, 7);
  out (b, 0, CR_STA | CR_RD_ABORT);
  return page;
}

static void
test_registers (void)
{
  uint8_t prom[32];
  Bench b;

  set_up (&b);
  g_assert_cmphex (in (&b, 0), ==, CR_STP | CR_RD_ABORT);
  g_assert_true (in (&b, 7) & ISR_RST);
  g_assert_cmphex (in (&b, 10), ==, 0x50);
  g_assert_cmphex (in (&b, 11), ==, 0x43);
  /* Byte by byte it is there twice; in words the bus has a byte of two. */
  out (&b, 14, DCR_LS);
  remote (&b, 0, 32, CR_RD_READ);
  for (unsigned i = 0; i < 32; i++)
    prom[i] = in (&b, NE_DATA);
  for (unsigned i = 0; i < 6; i++)
    {
      g_assert_cmphex (prom[2 * i], ==, mac[i]);
      g_assert_cmphex (prom[2 * i + 1], ==, mac[i]);
    }
  g_assert_cmphex (prom[28], ==, 0x57);
  out (&b, 14, DCR_LS | DCR_WTS);
  remote (&b, 0, 32, CR_RD_READ);
  for (unsigned i = 0; i < 16; i++)
    prom[i] = in (&b, NE_DATA);
  g_assert_cmpmem (prom, 6, mac, 6);
  g_assert_true (in (&b, 7) & ISR_RDC);
  g_assert_cmphex (in (&b, NE_DATA), ==, 0xff);
  /* Written in page 0, read in page 2. */
  start (&b, RCR_AB);
  out (&b, 0, CR_STA | CR_RD_ABORT | 2 << 6);
  g_assert_cmphex (in (&b, 1), ==, 0x46);
  g_assert_cmphex (in (&b, 12), ==, 0xc0 | RCR_AB);
  out (&b, 0, CR_STA | CR_RD_ABORT | 3 << 6);
  g_assert_cmphex (in (&b, 14), ==, 0x29);
  g_assert_cmphex (in (&b, 15), ==, 0x80);
  /* What the link test finds. */
  g_assert_cmphex (in (&b, 3), ==, 0);
  vm_net_card_set_link (&b.card->chip.card, false);
  g_assert_cmphex (in (&b, 3), ==, CONFIG0_BNC);
  vm_net_card_set_link (&b.card->chip.card, true);
  g_assert_cmphex (in (&b, 3), ==, 0);
  out (&b, 6, 0x40);
  g_assert_cmphex (in (&b, 6), ==, 0);
  out (&b, 1, EE_CONFIG);
  out (&b, 6, 0x40);
  g_assert_cmphex (in (&b, 6), ==, 0x40);
  in (&b, NE_RESET + 7);
  g_assert_cmphex (in (&b, 0), ==, CR_STP | CR_RD_ABORT);
  tear_down (&b);
}

static void
clock_bit (Bench *b, bool bit)
{
  uint8_t lines = EE_PROGRAM | EE_CS | (bit ? EE_DI : 0);

  out (b, 1, lines);
  out (b, 1, lines | EE_SK);
  out (b, 1, lines);
}

static void
test_eeprom (void)
{
  uint16_t value = 0;
  Bench b;

  set_up (&b);
  out (&b, 0, CR_STP | CR_RD_ABORT | 3 << 6);
  out (&b, 1, EE_PROGRAM);
  out (&b, 1, EE_PROGRAM | EE_CS);
  for (int i = 8; i >= 0; i--)
    clock_bit (&b, (6u << 6 | 2) >> i & 1);
  for (int i = 0; i < 16; i++)
    {
      out (&b, 1, EE_PROGRAM | EE_CS | EE_SK);
      value = value << 1 | (in (&b, 1) & EE_DO);
      out (&b, 1, EE_PROGRAM | EE_CS);
    }
  g_assert_cmphex (value, ==, 0x5452);
  tear_down (&b);
}

static void
send (Bench *b, uint16_t len)
{
  out (b, 4, 0x40);
  out (b, 5, len);
  out (b, 6, len >> 8);
  out (b, 0, CR_STA | CR_RD_ABORT | CR_TXP);
}

static void
test_transmit (void)
{
  uint8_t frame[100];
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b);
  start (&b, 0);
  for (unsigned i = 0; i < sizeof frame; i++)
    frame[i] = i;
  put (&b, 0x4000, frame, sizeof frame);
  out (&b, 15, ISR_PTX);
  send (&b, sizeof frame);
  g_assert_cmpuint (b.wire.got->len, ==, 1);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  g_assert_cmphex (in (&b, 4), ==, TSR_PTX);
  g_assert_false (in (&b, 0) & CR_TXP);
  g_assert_true (b.card->parent.irq_level);
  out (&b, 7, ISR_PTX);
  g_assert_false (b.card->parent.irq_level);
  b.wire.full = true;
  send (&b, 60);
  g_assert_true (in (&b, 0) & CR_TXP);
  g_assert_cmphex (in (&b, 7), ==, 0);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  g_assert_false (in (&b, 0) & CR_TXP);
  g_assert_true (in (&b, 7) & ISR_PTX);
  tear_down (&b);
}

static void
test_receive (void)
{
  uint8_t frame[1000] = { 0 }, bytes[1024];
  Bench b;

  set_up (&b);
  start (&b, RCR_AB);
  memcpy (frame, mac, 6);
  for (unsigned i = 14; i < sizeof frame; i++)
    frame[i] = i * 7;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (in (&b, 7), ==, ISR_PRX);
  g_assert_cmphex (current (&b), ==, 0x4a);
  get (&b, 0x4600, bytes, 1008);
  g_assert_cmphex (bytes[0], ==, RSR_PRX);
  g_assert_cmphex (bytes[1], ==, 0x4a);
  g_assert_cmpuint (vm_load_le16 (bytes + 2), ==, 1004);
  g_assert_cmpmem (bytes + 4, sizeof frame, frame, sizeof frame);
  g_assert_cmphex (vm_load_le32 (bytes + 1004), ==, vm_net_crc32 (frame, sizeof frame));
  /* Filters. */
  frame[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  memcpy (frame, "\x01\0\x5e\0\0\x01", 6);
  out (&b, 12, RCR_AB | RCR_AM);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (current (&b), ==, 0x4a);
  unsigned hash = vm_net_crc32_be (frame, 6) >> 26;
  out (&b, 0, CR_STA | CR_RD_ABORT | 1 << 6);
  out (&b, 8 + hash / 8, 1u << (hash & 7));
  out (&b, 0, CR_STA | CR_RD_ABORT);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (current (&b), ==, 0x4e);
  g_assert_cmphex (in (&b, 12), ==, RSR_PRX | RSR_PHY);
  out (&b, 12, RCR_MON | RCR_PRO);
  frame[0] = 0;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmpuint (in (&b, 15), ==, 1);
  g_assert_cmpuint (in (&b, 15), ==, 0);
  out (&b, 12, RCR_PRO);
  /* Twelve fill the ring of 58 pages up to the one before BNRY; the thirteenth waits, and goes around the end. */
  for (int i = 0; i < 13; i++)
    vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (current (&b), ==, 0x7e);
  g_assert_false (vm_net_can_send (&b.wire.port));
  frame[0] = 2;
  out (&b, 3, 0x4d);
  g_assert_true (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (current (&b), ==, 0x48);
  /* Read around the end too. */
  get (&b, 0x7e00, bytes, 1008);
  frame[0] = 0;
  g_assert_cmpmem (bytes + 4, sizeof frame, frame, sizeof frame);
  g_assert_cmphex (bytes[1], ==, 0x48);
  /* "Send packet" reads what BNRY shows, and gives it free. */
  out (&b, 3, 0x7e);
  out (&b, 0, CR_STA | CR_RD_SEND);
  for (int i = 0; i < 1004; i += 4)
    vm_store_le32 (bytes + i, rig_in (&b.rig.rig, PORTS + NE_DATA, 4));
  g_assert_cmpmem (bytes + 4, 996, frame, 996);
  g_assert_cmphex (in (&b, 3), ==, 0x48);
  tear_down (&b);
}

static void
test_loopback (void)
{
  uint8_t frame[60] = { 0 }, fifo[8];
  Bench b;

  set_up (&b);
  start (&b, RCR_AB);
  memcpy (frame, mac, 6);
  frame[59] = 0x77;
  put (&b, 0x4000, frame, sizeof frame);
  out (&b, 13, 1 << 1);
  send (&b, 60);
  g_assert_cmpuint (b.wire.got->len, ==, 0);
  g_assert_true (in (&b, 7) & ISR_PTX);
  for (int i = 0; i < 8; i++)
    fifo[i] = in (&b, 6);
  g_assert_cmphex (fifo[0], ==, 0x77);
  g_assert_cmphex (vm_load_le32 (fifo + 1), ==, vm_net_crc32 (frame, 60));
  g_assert_cmpuint (fifo[5], ==, 64);
  g_assert_cmphex (current (&b), ==, 0x46);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ne2k/registers", test_registers);
  g_test_add_func ("/ne2k/eeprom", test_eeprom);
  g_test_add_func ("/ne2k/transmit", test_transmit);
  g_test_add_func ("/ne2k/receive", test_receive);
  g_test_add_func ("/ne2k/loopback", test_loopback);
  return g_test_run ();
}
