/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 21143 on the bench, as its manual describes it. */
#include "devices/net/tulip.h"
#include "tests/net/card-bench.h"

#include <string.h>

extern const VmType vm_tulip_type;

#define TX_LIST 0x10000u
#define RX_LIST 0x20000u
#define SETUP 0x30000u
#define BUFFERS 0x100000u
#define RUN (CSR6_ST | CSR6_SR | CSR6_PS)

static Tulip *
chip (const Bench *b)
{
  return (Tulip *) b->rig.dev;
}

static void
set_up (Bench *b)
{
  set_up_card (b, &vm_tulip_type, 1, offsetof (Tulip, card));
}

static uint32_t
get (Bench *b, unsigned csr)
{
  return disk_rig_read (&b->rig, csr * 8);
}

static void
set (Bench *b, unsigned csr, uint32_t value)
{
  disk_rig_write (&b->rig, csr * 8, value);
}

static uint32_t
word (Bench *b, uint32_t at)
{
  return (uint32_t) rig_load (&b->rig.rig, at, 4);
}

static void
put_desc (Bench *b, uint32_t at, uint32_t des0, uint32_t des1, uint32_t des2, uint32_t des3)
{
  const uint32_t des[4] = { GUINT32_TO_LE (des0), GUINT32_TO_LE (des1), GUINT32_TO_LE (des2), GUINT32_TO_LE (des3) };

  disk_rig_poke (&b->rig, at, des, sizeof des);
}

/* --- serial ROM and PHY ---------------------------------------------------------------------------------------- */

static uint16_t
srom_read (Bench *b, unsigned address)
{
  const uint32_t base = CSR9_SR | 1 << 14;
  unsigned command = 6u << 6 | address;
  uint16_t value = 0;

  set (b, 9, base);
  set (b, 9, base | CSR9_CS);
  for (int i = 8; i >= 0; i--)
    {
      uint32_t bit = command >> i & 1 ? CSR9_DI : 0;
      set (b, 9, base | CSR9_CS | bit);
      set (b, 9, base | CSR9_CS | bit | CSR9_CLK);
    }
  for (int i = 0; i < 16; i++)
    {
      set (b, 9, base | CSR9_CS);
      set (b, 9, base | CSR9_CS | CSR9_CLK);
      value = value << 1 | !!(get (b, 9) & CSR9_DO);
    }
  set (b, 9, base);
  return value;
}

static void
test_srom (void)
{
  uint8_t rom[128];
  Bench b;

  set_up (&b);
  for (unsigned i = 0; i < 64; i++)
    vm_store_le16 (rom + 2 * i, srom_read (&b, i));
  g_assert_cmpmem (rom + 20, 6, mac, 6);
  g_assert_cmphex (vm_load_le16 (rom + 126), ==, vm_net_crc32 (rom, 126) & 0xffff);
  /* Media: negotiated; one block, of 13 bytes, for an MII PHY. */
  g_assert_cmpuint (rom[rom[27] + 2], ==, 1);
  g_assert_cmphex (rom[rom[27] + 3], ==, 0x8d);
  g_assert_cmphex (rom[rom[27] + 4], ==, 3);
  tear_down (&b);
}

static void
mdio_bit (Bench *b, bool bit)
{
  set (b, 9, bit ? CSR9_MDO : 0);
  set (b, 9, (bit ? CSR9_MDO : 0) | CSR9_MDC);
}

static uint16_t
mdio (Bench *b, bool read, unsigned phy, unsigned reg, uint16_t data)
{
  uint16_t value = 0, command = 1 << 14 | (read ? 2 : 1) << 12 | phy << 7 | reg << 2 | 2;

  for (int i = 0; i < 32; i++)
    mdio_bit (b, true);
  for (int i = 15; i >= (read ? 2 : 0); i--)
    mdio_bit (b, command >> i & 1);
  for (int i = 15; !read && i >= 0; i--)
    mdio_bit (b, data >> i & 1);
  /* To turn around, then the value: each is there before the edge that takes it away. */
  for (int i = 0; read && i < 18; i++)
    {
      set (b, 9, CSR9_MII);
      if (i >= 2)
        value = value << 1 | !!(get (b, 9) & CSR9_MDI);
      set (b, 9, CSR9_MII | CSR9_MDC);
    }
  return value;
}

static void
test_phy (void)
{
  Bench b;

  set_up (&b);
  g_assert_cmphex (mdio (&b, true, 1, 2, 0), ==, 0x2000);
  g_assert_cmphex (mdio (&b, true, 1, 1, 0), ==, 0x782d);
  g_assert_cmphex (mdio (&b, true, 2, 1, 0), ==, 0xffff); /* nobody there */
  mdio (&b, false, 1, 4, 0x0081);
  g_assert_cmphex (mdio (&b, true, 1, 4, 0), ==, 0x0081);
  g_assert_cmphex (mdio (&b, true, 1, 5, 0), ==, 0x41e1);
  vm_net_card_set_link (&chip (&b)->card, false);
  g_assert_cmphex (mdio (&b, true, 1, 1, 0), ==, 0x7809);
  tear_down (&b);
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static void
test_transmit (void)
{
  uint8_t frame[100];
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b);
  for (unsigned i = 0; i < sizeof frame; i++)
    frame[i] = i;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  /* Two buffers of one descriptor, a chained one, and the end of the ring. */
  put_desc (&b, TX_LIST, DES0_OWN, TDES1_FS | TDES1_LS | TDES1_IC | 40u << 11 | 60, BUFFERS, BUFFERS + 60);
  put_desc (&b, TX_LIST + 16, DES0_OWN, TDES1_FS | DES1_CHAINED | 30, BUFFERS, TX_LIST + 0x100);
  put_desc (&b, TX_LIST + 0x100, DES0_OWN, TDES1_LS | DES1_END | 10, BUFFERS + 30, 0);
  set (&b, 4, TX_LIST);
  set (&b, 7, CSR5_TI | CSR5_NIS);
  set (&b, 6, RUN);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  got = wire_frame (&b.wire, 1, &len);
  g_assert_cmpuint (len, ==, 60);
  g_assert_cmpmem (got, 40, frame, 40);
  g_assert_cmphex (word (&b, TX_LIST), ==, 0);
  /* Back at the first, which is the driver's. */
  g_assert_cmphex (get (&b, 5) & CSR5_TS, ==, CSR5_TS_SUSPENDED);
  g_assert_cmphex (get (&b, 5) & (CSR5_TU | CSR5_TI | CSR5_NIS), ==, CSR5_TU | CSR5_TI | CSR5_NIS);
  g_assert_true (chip (&b)->parent.irq_level);
  set (&b, 5, CSR5_TU | CSR5_TI | CSR5_NIS);
  g_assert_false (chip (&b)->parent.irq_level);
  /* A back end without room. */
  b.wire.full = true;
  put_desc (&b, TX_LIST, DES0_OWN, TDES1_FS | TDES1_LS | 60, BUFFERS, 0);
  put_desc (&b, TX_LIST + 16, DES0_OWN, TDES1_FS | TDES1_LS | 61, BUFFERS, 0);
  set (&b, 1, 1);
  g_assert_cmphex (word (&b, TX_LIST + 16), ==, DES0_OWN);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  g_assert_cmphex (word (&b, TX_LIST + 16), ==, 0);
  /* Stopped is stopped, and said. */
  set (&b, 6, CSR6_PS);
  g_assert_cmphex (get (&b, 5) & (CSR5_TS | CSR5_RS), ==, 0);
  rig_advance (&b.rig.rig, VM_NS_PER_MS);
  g_assert_cmphex (get (&b, 5) & (CSR5_TPS | CSR5_RPS), ==, CSR5_TPS | CSR5_RPS);
  g_assert_cmphex (get (&b, 6), ==, CSR6_PS);
  tear_down (&b);
}

/* Descriptors that are the chip's whatever it writes: in its own registers, and one that points at itself. */
static void
test_hostile (void)
{
  Bench b;

  set_up (&b);
  set (&b, 4, (uint32_t) DISK_RIG_BAR + 0x20);
  set (&b, 6, RUN);
  set (&b, 6, 0);
  put_desc (&b, TX_LIST, DES0_OWN, TDES1_FS | TDES1_LS | DES1_CHAINED | 60, BUFFERS, TX_LIST);
  set (&b, 4, TX_LIST);
  set (&b, 6, RUN);
  g_assert_cmpuint (b.wire.got->len, <=, 1);
  tear_down (&b);
}

/* --- receiving ------------------------------------------------------------------------------------------------------
 */

static void
send_setup (Bench *b, const uint8_t setup[192], uint32_t kind)
{
  disk_rig_poke (&b->rig, SETUP, setup, 192);
  put_desc (b, TX_LIST, DES0_OWN, TDES1_SET | DES1_END | TDES1_IC | kind | 192, SETUP, 0);
  set (b, 4, TX_LIST);
  set (b, 1, 1);
  g_assert_cmphex (word (b, TX_LIST), ==, 0x7fffffff);
}

static void
put_address (uint8_t setup[192], unsigned dword, const uint8_t *address)
{
  for (unsigned i = 0; i < 3; i++)
    memcpy (setup + (dword + i) * 4, address + 2 * i, 2);
}

static void
give_buffers (Bench *b, unsigned n, unsigned size)
{
  for (unsigned i = 0; i < 8; i++)
    put_desc (b, RX_LIST + i * 16, i < n ? DES0_OWN : 0, (i == 7 ? DES1_END : 0) | size, BUFFERS + i * 2048, 0);
  set (b, 3, RX_LIST);
}

static void
test_receive (void)
{
  uint8_t frame[1000], bytes[1024], setup[192] = { 0 };
  Bench b;

  set_up (&b);
  give_buffers (&b, 3, 1600);
  set (&b, 6, RUN);
  put_address (setup, 0, mac);
  send_setup (&b, setup, 0);
  for (unsigned i = 0; i < sizeof frame; i++)
    frame[i] = i * 3;
  memcpy (frame, mac, 6);
  frame[12] = 0x08;
  g_assert_true (vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL));
  g_assert_cmphex (word (&b, RX_LIST), ==, 1004u << 16 | RDES0_FS | RDES0_LS | RDES0_FT);
  disk_rig_peek (&b.rig, BUFFERS, bytes, 1004);
  g_assert_cmpmem (bytes, 1000, frame, 1000);
  g_assert_cmphex (vm_load_le32 (bytes + 1000), ==, vm_net_crc32 (frame, 1000));
  g_assert_true (get (&b, 5) & CSR5_RI);
  /* In three pieces; then there is no buffer. */
  give_buffers (&b, 3, 400);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST), ==, RDES0_FS);
  g_assert_cmphex (word (&b, RX_LIST + 16), ==, 0);
  g_assert_cmphex (word (&b, RX_LIST + 32), ==, 1004u << 16 | RDES0_LS | RDES0_FT);
  vm_net_send_bytes (&b.wire.port, frame, 100, NULL);
  g_assert_true (get (&b, 5) & CSR5_RU);
  g_assert_cmphex (get (&b, 5) & CSR5_RS, ==, CSR5_RS_SUSPENDED);
  g_assert_false (vm_net_can_send (&b.wire.port));
  put_desc (&b, RX_LIST + 48, DES0_OWN, 400, BUFFERS, 0);
  rig_advance (&b.rig.rig, 2 * VM_NS_PER_MS);
  g_assert_true (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (word (&b, RX_LIST + 48), ==, 104u << 16 | RDES0_FS | RDES0_LS | RDES0_FT);
  tear_down (&b);
}

static void
test_filters (void)
{
  uint8_t frame[100] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 0x08, 0x00 }, setup[192] = { 0 };
  unsigned hash = ~vm_net_crc32 (frame, 6) & 0x1ff, got = 0;
  Bench b;

  set_up (&b);
  give_buffers (&b, 8, 1600);
  set (&b, 6, RUN);
  send_setup (&b, setup, 0);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST), ==, DES0_OWN);
  /* A hash for groups, one address beside. */
  setup[(hash >> 4) * 4 + (hash >> 3 & 1)] |= 1 << (hash & 7);
  put_address (setup, 39, mac);
  send_setup (&b, setup, TDES1_FT0);
  g_assert_cmphex (get (&b, 6) & (CSR6_HP | CSR6_HO | CSR6_IF), ==, CSR6_HP);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST + 16 * got++), ==, 104u << 16 | RDES0_FS | RDES0_LS | RDES0_FT | RDES0_MF);
  memcpy (frame, mac, 6);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST + 16 * got++) & DES0_OWN, ==, 0);
  frame[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST + 16 * got), ==, DES0_OWN);
  /* All but those named. */
  memset (setup, 0, sizeof setup);
  put_address (setup, 0, mac);
  send_setup (&b, setup, TDES1_FT1);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST + 16 * got++) & DES0_OWN, ==, 0);
  frame[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST + 16 * got), ==, DES0_OWN);
  /* All, and what would have been left out is marked. */
  set (&b, 6, RUN | (uint32_t) CSR6_RA);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (word (&b, RX_LIST + 16 * got) & (DES0_OWN | RDES0_FF), ==, RDES0_FF);
  tear_down (&b);
}

static void
test_timer (void)
{
  Bench b;

  set_up (&b);
  set (&b, 7, CSR5_GTE | CSR5_NIS);
  set (&b, 11, 100);
  rig_advance (&b.rig.rig, 50 * 81920);
  g_assert_cmpuint (get (&b, 11) & 0xffff, ==, 50);
  g_assert_false (chip (&b)->parent.irq_level);
  rig_advance (&b.rig.rig, 51 * 81920);
  g_assert_true (chip (&b)->parent.irq_level);
  set (&b, 0, CSR0_SWR);
  g_assert_cmphex (get (&b, 5), ==, 0xf0000000);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tulip/srom", test_srom);
  g_test_add_func ("/tulip/phy", test_phy);
  g_test_add_func ("/tulip/transmit", test_transmit);
  g_test_add_func ("/tulip/hostile", test_hostile);
  g_test_add_func ("/tulip/receive", test_receive);
  g_test_add_func ("/tulip/filters", test_filters);
  g_test_add_func ("/tulip/timer", test_timer);
  return g_test_run ();
}
