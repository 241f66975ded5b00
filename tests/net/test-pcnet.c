/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Am79C970A on the bench, as its data sheet describes it, in its styles of 16 and 32 bits. */
#include "devices/net/pcnet.h"
#include "tests/net/card-bench.h"

#include <string.h>

extern const VmType vm_pcnet_type;

#define BLOCK 0x8000u
#define TX_RING 0x10000u
#define RX_RING 0x20000u
#define BUFFERS 0x100000u
#define SIZE 1536u

static Pcnet *
chip (const Bench *b)
{
  return (Pcnet *) b->rig.dev;
}

static void
set_up (Bench *b)
{
  set_up_card (b, &vm_pcnet_type, 1, offsetof (Pcnet, card));
}

static void
set_csr (Bench *b, unsigned n, uint16_t value)
{
  out (b, 0x12, n, 2);
  out (b, 0x10, value, 2);
}

static uint16_t
csr (Bench *b, unsigned n)
{
  out (b, 0x12, n, 2);
  return in (b, 0x10, 2);
}

static void
set_bcr (Bench *b, unsigned n, uint16_t value)
{
  out (b, 0x12, n, 2);
  out (b, 0x16, value, 2);
}

static uint16_t
bcr (Bench *b, unsigned n)
{
  out (b, 0x12, n, 2);
  return in (b, 0x16, 2);
}

/* --- registers -------------------------------------------------------------------------------------------------------
 */

static void
test_registers (void)
{
  Bench b;
  unsigned sum = 0;

  set_up (&b);
  g_assert_cmphex (csr (&b, 0), ==, CSR0_STOP);
  g_assert_cmphex (csr (&b, 88), ==, 0x1003);
  g_assert_cmphex (csr (&b, 89), ==, 0x0262);
  g_assert_cmphex (bcr (&b, 4), ==, 0x80c0);
  vm_net_card_set_link (&chip (&b)->card, false);
  g_assert_cmphex (bcr (&b, 4), ==, 0x00c0);
  for (unsigned i = 0; i < 6; i++)
    g_assert_cmphex (in (&b, i, 1), ==, mac[i]);
  for (unsigned i = 0; i < 16; i++)
    if (i != 12 && i != 13)
      sum += in (&b, i, 1);
  g_assert_cmpuint (in (&b, 12, 2), ==, sum);
  g_assert_cmphex (in (&b, 14, 2), ==, 0x5757);
  /* Styles bring their flags along. */
  set_bcr (&b, 20, 2);
  g_assert_cmphex (bcr (&b, 20), ==, 0x0302);
  g_assert_cmphex (csr (&b, 58), ==, 0x0302);
  set_csr (&b, 58, 0);
  g_assert_cmphex (bcr (&b, 20), ==, 0x0200);
  /* Reading the reset register resets; the style stays. */
  set_bcr (&b, 20, 3);
  set_csr (&b, 15, MODE_PROM);
  in (&b, 0x14, 2);
  g_assert_cmphex (csr (&b, 15), ==, 0);
  g_assert_cmphex (bcr (&b, 20), ==, 0x0303);
  /* Four bytes change to registers that lie four bytes apart. */
  out (&b, 0x10, 0, 4);
  out (&b, 0x14, 88, 4);
  g_assert_cmphex (in (&b, 0x10, 4), ==, 0x1003);
  g_assert_cmphex (in (&b, 0x18, 4), ==, 0);
  out (&b, 0x14, 18, 4);
  g_assert_cmphex (in (&b, 0x1c, 4), ==, 0x9081);
  tear_down (&b);
}

static void
clock_bit (Bench *b, bool bit)
{
  uint16_t lines = BCR19_EEN | BCR19_CS | (bit ? BCR19_DATA : 0);

  set_bcr (b, 19, lines);
  set_bcr (b, 19, lines | BCR19_SK);
  set_bcr (b, 19, lines);
}

static void
test_eeprom (void)
{
  Bench b;
  uint16_t value = 0;

  set_up (&b);
  set_bcr (&b, 19, BCR19_EEN);
  set_bcr (&b, 19, BCR19_EEN | BCR19_CS);
  for (int i = 8; i >= 0; i--)
    clock_bit (&b, (6u << 6 | 2) >> i & 1);
  for (int i = 0; i < 16; i++)
    {
      set_bcr (&b, 19, BCR19_EEN | BCR19_CS | BCR19_SK);
      value = value << 1 | (bcr (&b, 19) & BCR19_DATA);
      set_bcr (&b, 19, BCR19_EEN | BCR19_CS);
    }
  g_assert_cmphex (value, ==, 0x9934);
  set_bcr (&b, 2, BCR2_APROMWE);
  out (&b, 0, 0, 1);
  g_assert_cmphex (in (&b, 0, 1), ==, 0);
  set_bcr (&b, 19, BCR19_PREAD);
  g_assert_true (bcr (&b, 19) & BCR19_PVALID);
  g_assert_cmphex (in (&b, 0, 1), ==, 0x52);
  tear_down (&b);
}

/* --- rings: four descriptors each ------------------------------------------------------------- */

static void
put_descriptor (Bench *b, uint32_t ring, unsigned index, uint16_t flags, uint32_t buffer, unsigned size)
{
  uint8_t d[16] = { 0 };

  if (b->style == 0)
    {
      vm_store_le32 (d, buffer);
      d[3] = flags >> 8;
      vm_store_le16 (d + 4, -size);
      disk_rig_poke (&b->rig, ring + index * 8, d, 8);
    }
  else
    {
      vm_store_le32 (b->style == 3 ? d + 8 : d, buffer);
      vm_store_le16 (d + 4, -size);
      vm_store_le16 (d + 6, flags);
      disk_rig_poke (&b->rig, ring + index * 16, d, 16);
    }
}

static uint16_t
flags_of (Bench *b, uint32_t ring, unsigned index)
{
  if (b->style == 0)
    return rig_load (&b->rig.rig, ring + index * 8 + 3, 1) << 8;
  return rig_load (&b->rig.rig, ring + index * 16 + 6, 2);
}

static unsigned
received (Bench *b, unsigned index)
{
  if (b->style == 0)
    return rig_load (&b->rig.rig, RX_RING + index * 8 + 6, 2);
  return rig_load (&b->rig.rig, RX_RING + index * 16 + (b->style == 3 ? 0 : 8), 4) & 0xfff;
}

static void
start (Bench *b, unsigned style, uint16_t mode, uint16_t filter)
{
  uint8_t block[28] = { 0 };

  b->style = style;
  set_bcr (b, 20, style);
  vm_store_le16 (block, mode);
  if (style == 0)
    {
      memcpy (block + 2, mac, 6);
      vm_store_le16 (block + 8, filter);
      vm_store_le32 (block + 16, RX_RING | 2u << 29);
      vm_store_le32 (block + 20, TX_RING | 2u << 29);
    }
  else
    {
      block[2] = block[3] = 2 << 4;
      memcpy (block + 4, mac, 6);
      vm_store_le16 (block + 12, filter);
      vm_store_le32 (block + 20, RX_RING);
      vm_store_le32 (block + 24, TX_RING);
    }
  disk_rig_poke (&b->rig, BLOCK, block, sizeof block);
  for (unsigned i = 0; i < 4; i++)
    {
      put_descriptor (b, RX_RING, i, i < 2 ? MD_OWN : 0, BUFFERS + i * SIZE, i == 0 ? 1536 : 100);
      put_descriptor (b, TX_RING, i, 0, 0, 0);
    }
  set_csr (b, 1, BLOCK);
  set_csr (b, 2, 0);
  set_csr (b, 0, CSR0_INIT);
  g_assert_cmphex (csr (b, 0), ==, CSR0_INIT | CSR0_IDON | CSR0_INTR);
  set_csr (b, 0, CSR0_STRT | CSR0_IENA | CSR0_IDON);
  g_assert_cmphex (csr (b, 0), ==, CSR0_INIT | CSR0_STRT | CSR0_TXON | CSR0_RXON | CSR0_IENA);
}

static void
check_transmit (gconstpointer style)
{
  uint8_t frame[200];
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b);
  start (&b, GPOINTER_TO_UINT (style), 0, 0);
  for (unsigned i = 0; i < sizeof frame; i++)
    frame[i] = i;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  put_descriptor (&b, TX_RING, 0, MD_OWN | MD_STP, BUFFERS, 30);
  put_descriptor (&b, TX_RING, 1, MD_OWN | MD_ENP, BUFFERS + 30, 170);
  put_descriptor (&b, TX_RING, 2, MD_OWN | MD_STP | MD_ENP, BUFFERS, 20);
  set_csr (&b, 0, CSR0_TDMD | CSR0_IENA);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  got = wire_frame (&b.wire, 1, &len);
  g_assert_cmpuint (len, ==, 60);
  g_assert_cmphex (flags_of (&b, TX_RING, 0), ==, MD_STP);
  g_assert_cmphex (flags_of (&b, TX_RING, 1), ==, MD_ENP);
  g_assert_true (csr (&b, 0) & CSR0_TINT);
  g_assert_true (chip (&b)->parent.irq_level);
  set_csr (&b, 0, CSR0_TINT | CSR0_IENA);
  g_assert_false (chip (&b)->parent.irq_level);
  /* Around, by the chip's own polling. */
  put_descriptor (&b, TX_RING, 3, MD_OWN | MD_STP | MD_ENP, BUFFERS, 61);
  put_descriptor (&b, TX_RING, 0, MD_OWN | MD_STP | MD_ENP, BUFFERS, 62);
  rig_advance (&b.rig.rig, 40 * VM_NS_PER_MS);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  /* A back end without room. */
  b.wire.full = true;
  put_descriptor (&b, TX_RING, 1, MD_OWN | MD_STP | MD_ENP, BUFFERS, 61);
  put_descriptor (&b, TX_RING, 2, MD_OWN | MD_STP | MD_ENP, BUFFERS, 62);
  set_csr (&b, 0, CSR0_TDMD | CSR0_IENA);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (b.wire.got->len, ==, 6);
  tear_down (&b);
}

static void
check_receive (gconstpointer style)
{
  uint8_t frame[150] = { 0 }, bytes[SIZE * 4];
  bool wide = style != NULL;
  unsigned hash;
  Bench b;

  set_up (&b);
  start (&b, GPOINTER_TO_UINT (style), 0, 0);
  memcpy (frame, mac, 6);
  frame[12] = 8;
  for (unsigned i = 14; i < sizeof frame; i++)
    frame[i] = i;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (flags_of (&b, RX_RING, 0), ==, MD_STP | MD_ENP | (wide ? RMD_PAM : 0));
  g_assert_cmpuint (received (&b, 0), ==, 154);
  disk_rig_peek (&b.rig, BUFFERS, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof frame, frame, sizeof frame);
  g_assert_cmphex (vm_load_le32 (bytes + 150), ==, vm_net_crc32 (frame, sizeof frame));
  g_assert_true (csr (&b, 0) & CSR0_RINT);
  /* Another's and a group's are not taken. */
  frame[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  memcpy (frame, "\x01\0\x5e\0\0\x01", 6);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (flags_of (&b, RX_RING, 1), ==, MD_OWN);
  /* The group is joined while the chip is suspended. A chain needs a second descriptor: it waits. */
  hash = ~vm_net_crc32 (frame, 6) >> 26;
  set_csr (&b, 5, CSR5_SPND);
  g_assert_true (csr (&b, 5) & CSR5_SPND);
  set_csr (&b, 8 + hash / 16, 1u << (hash & 15));
  set_csr (&b, 5, 0);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_false (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (flags_of (&b, RX_RING, 1), ==, MD_OWN);
  put_descriptor (&b, RX_RING, 2, MD_OWN, BUFFERS + 2 * SIZE, 100);
  rig_advance (&b.rig.rig, 40 * VM_NS_PER_MS); /* nobody told it */
  g_assert_true (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (flags_of (&b, RX_RING, 1), ==, MD_STP);
  g_assert_cmphex (flags_of (&b, RX_RING, 2), ==, MD_ENP | (wide ? RMD_LAFM : 0));
  g_assert_cmpuint (received (&b, 2), ==, 154);
  disk_rig_peek (&b.rig, BUFFERS, bytes, sizeof bytes);
  g_assert_cmpmem (bytes + SIZE, 100, frame, 100);
  g_assert_cmpmem (bytes + 2 * SIZE, 50, frame + 100, 50);
  /* Everyone's, short. */
  put_descriptor (&b, RX_RING, 3, MD_OWN, BUFFERS + 3 * SIZE, SIZE);
  memset (frame, 0xff, 6);
  vm_net_send_bytes (&b.wire.port, frame, 20, NULL);
  g_assert_cmphex (flags_of (&b, RX_RING, 3), ==, MD_STP | MD_ENP | (wide ? RMD_BAM : 0));
  g_assert_cmpuint (received (&b, 3), ==, 64);
  tear_down (&b);
}

static void
test_loopback (void)
{
  uint8_t frame[100] = { 0 }, bytes[104];
  Bench b;

  set_up (&b);
  memcpy (frame, mac, 6);
  frame[12] = 8;
  start (&b, 2, MODE_LOOP | 1 << 6, 0);
  disk_rig_poke (&b.rig, BUFFERS + 0x8000, frame, sizeof frame);
  put_descriptor (&b, TX_RING, 0, MD_OWN | MD_STP | MD_ENP, BUFFERS + 0x8000, sizeof frame);
  set_csr (&b, 0, CSR0_TDMD);
  g_assert_cmpuint (b.wire.got->len, ==, 0);
  g_assert_cmphex (csr (&b, 0) & (CSR0_TINT | CSR0_RINT), ==, CSR0_TINT | CSR0_RINT);
  disk_rig_peek (&b.rig, BUFFERS, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof frame, frame, sizeof frame);
  tear_down (&b);
}

/* Buffers hold words of a big-endian machine. */
static void
test_swapped (void)
{
  uint8_t frame[62], bytes[72];
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b);
  set_csr (&b, 3, CSR3_BSWP);
  start (&b, 2, 0, 0);
  memcpy (frame, mac, 6);
  for (unsigned i = 6; i < sizeof frame; i++)
    frame[i] = i;
  for (unsigned i = 0; i < sizeof frame; i++)
    bytes[(2 + i) ^ 3] = frame[i];
  disk_rig_poke (&b.rig, BUFFERS + 0x8000, bytes, 64);
  put_descriptor (&b, TX_RING, 0, MD_OWN | MD_STP | MD_ENP, BUFFERS + 0x8002, sizeof frame);
  set_csr (&b, 0, CSR0_TDMD);
  g_assert_cmpuint (b.wire.got->len, ==, 1);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  /* What lies beside a buffer that begins within a word stays. */
  rig_store (&b.rig.rig, BUFFERS, 0x11223344, 4);
  put_descriptor (&b, RX_RING, 0, MD_OWN, BUFFERS + 1, 1536);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (flags_of (&b, RX_RING, 0), ==, MD_STP | MD_ENP | RMD_PAM);
  disk_rig_peek (&b.rig, BUFFERS, bytes, sizeof bytes);
  g_assert_cmphex (bytes[3], ==, 0x11);
  for (unsigned i = 0; i < sizeof frame; i++)
    g_assert_cmphex (bytes[(1 + i) ^ 3], ==, frame[i]);
  tear_down (&b);
}

/* The driver is told of the beginning and then says where the rest goes. */
static void
test_look_ahead (void)
{
  uint8_t frame[300], bytes[300];
  Bench b;

  set_up (&b);
  start (&b, 2, 0, 0);
  set_csr (&b, 3, CSR3_LAPPEN);
  memcpy (frame, mac, 6);
  for (unsigned i = 6; i < sizeof frame; i++)
    frame[i] = i;
  put_descriptor (&b, RX_RING, 0, MD_OWN, BUFFERS, 100); /* not a beginning */
  put_descriptor (&b, RX_RING, 1, MD_OWN | MD_STP, BUFFERS, 100);
  put_descriptor (&b, RX_RING, 2, 0, BUFFERS, 100);
  put_descriptor (&b, RX_RING, 3, MD_OWN, BUFFERS + 0x3000, 100);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (flags_of (&b, RX_RING, 0), ==, 0);
  g_assert_cmphex (flags_of (&b, RX_RING, 1), ==, MD_STP);
  g_assert_true (csr (&b, 0) & CSR0_RINT);
  set_csr (&b, 0, CSR0_RINT | CSR0_IENA);
  g_assert_false (vm_net_can_send (&b.wire.port));
  put_descriptor (&b, RX_RING, 2, MD_OWN, BUFFERS + 0x2000, 1000);
  rig_advance (&b.rig.rig, 40 * VM_NS_PER_MS);
  g_assert_cmphex (flags_of (&b, RX_RING, 2), ==, MD_ENP | RMD_PAM);
  g_assert_cmpuint (received (&b, 2), ==, 304);
  g_assert_true (csr (&b, 0) & CSR0_RINT);
  disk_rig_peek (&b.rig, BUFFERS, bytes, 100);
  disk_rig_peek (&b.rig, BUFFERS + 0x2000, bytes + 100, 200);
  g_assert_cmpmem (bytes, sizeof bytes, frame, sizeof frame);
  /* The one that was not needed goes back with the next frame, which has no room behind its beginning. */
  put_descriptor (&b, RX_RING, 0, MD_OWN | MD_STP, BUFFERS, 100);
  put_descriptor (&b, RX_RING, 1, MD_OWN | MD_STP, BUFFERS + 0x1000, 1536);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (flags_of (&b, RX_RING, 3), ==, 0);
  g_assert_cmphex (flags_of (&b, RX_RING, 0), ==, MD_STP);
  g_assert_true (csr (&b, 0) & CSR0_MISS);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (flags_of (&b, RX_RING, 1), ==, MD_STP | MD_ENP | RMD_PAM);
  tear_down (&b);
}

/* The rings, and all they name, are the card's own registers. */
static void
test_itself (void)
{
  Bench b;

  set_up (&b);
  start (&b, 2, 0, 0);
  set_csr (&b, 0, CSR0_STOP);
  set_csr (&b, 30, 0x10);
  set_csr (&b, 31, DISK_RIG_BAR >> 16);
  set_csr (&b, 24, 0x10);
  set_csr (&b, 25, DISK_RIG_BAR >> 16);
  set_csr (&b, 78, 0);
  set_csr (&b, 0, CSR0_STRT | CSR0_TDMD);
  vm_net_send_bytes (&b.wire.port, "\xff\xff\xff\xff\xff\xff abcdefghijklmnopqrstuvwxyz", 30, NULL);
  rig_advance (&b.rig.rig, 100 * VM_NS_PER_MS);
  g_assert_cmpuint (b.wire.got->len, ==, 0);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pcnet/registers", test_registers);
  g_test_add_func ("/pcnet/eeprom", test_eeprom);
  g_test_add_data_func ("/pcnet/transmit/0", GUINT_TO_POINTER (0), check_transmit);
  g_test_add_data_func ("/pcnet/transmit/2", GUINT_TO_POINTER (2), check_transmit);
  g_test_add_data_func ("/pcnet/transmit/3", GUINT_TO_POINTER (3), check_transmit);
  g_test_add_data_func ("/pcnet/receive/0", GUINT_TO_POINTER (0), check_receive);
  g_test_add_data_func ("/pcnet/receive/2", GUINT_TO_POINTER (2), check_receive);
  g_test_add_data_func ("/pcnet/receive/3", GUINT_TO_POINTER (3), check_receive);
  g_test_add_func ("/pcnet/loopback", test_loopback);
  g_test_add_func ("/pcnet/swapped", test_swapped);
  g_test_add_func ("/pcnet/look-ahead", test_look_ahead);
  g_test_add_func ("/pcnet/itself", test_itself);
  return g_test_run ();
}
