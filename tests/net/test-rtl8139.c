/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The RTL8139C+ on the bench, as its data sheet describes it. */
#include "devices/net/rtl8139.h"
#include "tests/net/card-bench.h"

#include <string.h>

extern const VmType vm_rtl8139_type;

#define RING 0x10000u
#define TX_RING 0x20000u
#define RX_RING 0x21000u
#define BUFFERS 0x100000u

static Rtl8139 *
chip (const Bench *b)
{
  return (Rtl8139 *) b->rig.dev;
}

static void
set_up (Bench *b)
{
  set_up_card (b, &vm_rtl8139_type, 1, offsetof (Rtl8139, card));
}

/* --- EEPROM, PHY, timer ---------------------------------------------------------------------------------------- */

static void
clock_bit (Bench *b, bool bit)
{
  uint8_t lines = EECR_PROGRAM | EECR_CS | (bit ? EECR_DI : 0);

  out (b, RTL_9346CR, lines, 1);
  out (b, RTL_9346CR, lines | EECR_SK, 1);
  out (b, RTL_9346CR, lines, 1);
}

static uint16_t
read_word (Bench *b, unsigned word)
{
  uint16_t value = 0;

  out (b, RTL_9346CR, EECR_PROGRAM, 1);
  out (b, RTL_9346CR, EECR_PROGRAM | EECR_CS, 1);
  for (int i = 8; i >= 0; i--)
    clock_bit (b, (6u << 6 | word) >> i & 1);
  for (int i = 0; i < 16; i++)
    {
      out (b, RTL_9346CR, EECR_PROGRAM | EECR_CS | EECR_SK, 1);
      value = value << 1 | (in (b, RTL_9346CR, 1) & EECR_DO);
      out (b, RTL_9346CR, EECR_PROGRAM | EECR_CS, 1);
    }
  out (b, RTL_9346CR, 0, 1);
  return value;
}

static void
test_eeprom (void)
{
  Bench b;

  set_up (&b);
  g_assert_cmphex (read_word (&b, 0), ==, 0x8129);
  g_assert_cmphex (read_word (&b, 1), ==, 0x10ec);
  for (unsigned i = 0; i < 3; i++)
    g_assert_cmphex (read_word (&b, 7 + i), ==, mac[2 * i] | mac[2 * i + 1] << 8);
  g_assert_cmphex (in (&b, RTL_IDR, 4), ==, 0x12005452);
  g_assert_cmphex (in (&b, RTL_IDR + 4, 2), ==, 0x9934);
  /* Another address, and the EEPROM's again. */
  out (&b, RTL_IDR, 0x04030201, 4);
  g_assert_cmphex (in (&b, RTL_IDR, 1), ==, 1);
  out (&b, RTL_9346CR, EECR_LOAD, 1);
  g_assert_cmphex (in (&b, RTL_9346CR, 1), ==, 0);
  g_assert_cmphex (in (&b, RTL_IDR, 4), ==, 0x12005452);
  /* What is locked. */
  out (&b, RTL_CONFIG3, 0x20, 1);
  g_assert_cmphex (in (&b, RTL_CONFIG3, 1), ==, 0);
  out (&b, RTL_9346CR, EECR_CONFIG, 1);
  out (&b, RTL_CONFIG3, 0x20, 1);
  g_assert_cmphex (in (&b, RTL_CONFIG3, 1), ==, 0x20);
  g_assert_cmphex (in (&b, RTL_TCR, 4), ==, 0x74800000);
  tear_down (&b);
}

static void
test_link_and_timer (void)
{
  Bench b;

  set_up (&b);
  g_assert_cmphex (in (&b, RTL_MSR, 1) & MSR_LINKB, ==, 0);
  g_assert_true (in (&b, RTL_BMSR, 2) & BMSR_LINK);
  out (&b, RTL_IMR, ISR_LINK | ISR_TIMEOUT, 2);
  vm_net_card_set_link (&chip (&b)->card, false);
  g_assert_true (in (&b, RTL_MSR, 1) & MSR_LINKB);
  g_assert_false (in (&b, RTL_BMSR, 2) & BMSR_LINK);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_LINK);
  g_assert_true (chip (&b)->parent.irq_level);
  out (&b, RTL_ISR, ISR_LINK, 2);
  g_assert_false (chip (&b)->parent.irq_level);
  /* 33 ticks are a microsecond. */
  out (&b, RTL_TIMERINT, 33000, 4);
  out (&b, RTL_TCTR, 0, 4);
  rig_advance (&b.rig.rig, 900 * VM_NS_PER_US);
  g_assert_cmpuint (in (&b, RTL_TCTR, 4), ==, 29700);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, 0);
  rig_advance (&b.rig.rig, 101 * VM_NS_PER_US);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_TIMEOUT);
  out (&b, RTL_ISR, ISR_TIMEOUT, 2);
  rig_advance (&b.rig.rig, VM_NS_PER_SEC);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, 0); /* it has to go around first */
  tear_down (&b);
}

/* --- C mode ------------------------------------------------------------------------------------------------------ */

static void
test_c_transmit (void)
{
  uint8_t frame[100];
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b);
  for (unsigned i = 0; i < sizeof frame; i++)
    frame[i] = i;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  g_assert_cmphex (in (&b, RTL_TSAD_ALL, 2), ==, 0x000f);
  out (&b, RTL_CR, CR_TE, 1);
  for (unsigned i = 0; i < 4; i++)
    out (&b, RTL_TSAD + 4 * i, BUFFERS, 4);
  /* The second waits for the first. */
  out (&b, RTL_TSD + 4, 70, 4);
  g_assert_cmpuint (b.wire.got->len, ==, 0);
  out (&b, RTL_TSD, 100, 4);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  wire_frame (&b.wire, 1, &len);
  g_assert_cmpuint (len, ==, 70);
  g_assert_cmphex (in (&b, RTL_TSD, 4), ==, TSD_OWN | TSD_TOK | 100);
  g_assert_cmphex (in (&b, RTL_TSAD_ALL, 2), ==, 0x300f);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_TOK);
  out (&b, RTL_TSD + 8, 70, 4);
  out (&b, RTL_TSD + 12, 70, 4);
  out (&b, RTL_TSD, 71, 4); /* around */
  g_assert_cmpuint (b.wire.got->len, ==, 5);

  /* A back end without room. */
  b.wire.full = true;
  out (&b, RTL_TSD + 4, 72, 4);
  out (&b, RTL_TSD + 8, 73, 4);
  g_assert_cmpuint (b.wire.got->len, ==, 5);
  g_assert_false (in (&b, RTL_TSD + 8, 4) & TSD_OWN);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (b.wire.got->len, ==, 7);
  g_assert_true (in (&b, RTL_TSD + 8, 4) & TSD_OWN);
  tear_down (&b);
}

static void
start_ring (Bench *b, uint32_t rcr)
{
  out (b, RTL_RBSTART, RING, 4);
  out (b, RTL_RCR, rcr, 4);
  out (b, RTL_CR, CR_RE | CR_TE, 1);
  g_assert_true (in (b, RTL_CR, 1) & CR_BUFE);
}

static void
test_c_receive (void)
{
  uint8_t frame[1000] = { 0 }, bytes[8192 + 2048];
  Bench b;

  set_up (&b);
  memcpy (frame, mac, 6);
  for (unsigned i = 14; i < sizeof frame; i++)
    frame[i] = i * 7;
  start_ring (&b, RCR_APM | RCR_AB);
  g_assert_true (vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL));
  g_assert_false (in (&b, RTL_CR, 1) & CR_BUFE);
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 1008);
  disk_rig_peek (&b.rig, RING, bytes, 8192);
  g_assert_cmphex (vm_load_le16 (bytes), ==, RXH_ROK | RXH_PAM);
  g_assert_cmpuint (vm_load_le16 (bytes + 2), ==, 1004);
  g_assert_cmpmem (bytes + 4, sizeof frame, frame, sizeof frame);
  g_assert_cmphex (vm_load_le32 (bytes + 1004), ==, vm_net_crc32 (frame, sizeof frame));
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_ROK);
  /* Filters: another's, everyone's, a group's. */
  frame[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 1008);
  memset (frame, 0xff, 6);
  vm_net_send_bytes (&b.wire.port, frame, 20, NULL);
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 1008 + 68);
  disk_rig_peek (&b.rig, RING + 1008, bytes, 4);
  g_assert_cmphex (vm_load_le32 (bytes), ==, 64u << 16 | RXH_ROK | RXH_BAR);
  memcpy (frame, "\x01\0\x5e\0\0\x01", 6);
  out (&b, RTL_RCR, RCR_APM | RCR_AB | RCR_AM, 4);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 1076);
  unsigned hash = vm_net_crc32_be (frame, 6) >> 26;
  out (&b, RTL_MAR + hash / 8, 1u << (hash & 7), 1);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 1076 + 1008);
  /* Until the ring of 8 KiB is full: then packets wait. */
  for (int i = 0; i < 7; i++)
    vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 2084 + 6 * 1008);
  g_assert_true (in (&b, RTL_ISR, 2) & ISR_RXOVW);
  g_assert_false (vm_net_can_send (&b.wire.port));
  /* The driver has read the first three: the frame goes over the end. */
  out (&b, RTL_CAPR, 2084 - 16, 2);
  g_assert_true (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 2084 + 7 * 1008 - 8192);
  disk_rig_peek (&b.rig, RING, bytes, 8192);
  memcpy (bytes + 8192, bytes, 2048);
  g_assert_cmpmem (bytes + 2084 + 6 * 1008 + 4, sizeof frame, frame, sizeof frame);
  tear_down (&b);
}

/* With WRAP set a frame goes on behind the ring's end. */
static void
test_c_wrap (void)
{
  uint8_t frame[1500] = { 0 }, bytes[1504];
  Bench b;

  set_up (&b);
  memset (frame, 0xff, 6);
  start_ring (&b, RCR_AB | RCR_WRAP);
  for (unsigned i = 0; i < 5; i++)
    {
      vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
      out (&b, RTL_CAPR, (i + 1) * 1508 - 16, 2);
    }
  for (unsigned i = 14; i < sizeof frame; i++)
    frame[i] = i * 11;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  disk_rig_peek (&b.rig, RING + 5 * 1508, bytes, sizeof bytes);
  g_assert_cmpmem (bytes + 4, sizeof frame, frame, sizeof frame);
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 6 * 1508 - 8192);
  tear_down (&b);
}

static void
test_loopback (void)
{
  uint8_t frame[100] = { 0 }, bytes[104];
  Bench b;

  set_up (&b);
  memcpy (frame, mac, 6);
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  start_ring (&b, RCR_APM);
  out (&b, RTL_TCR, TCR_LOOPBACK, 4);
  out (&b, RTL_TSAD, BUFFERS, 4);
  out (&b, RTL_TSD, sizeof frame, 4);
  g_assert_cmpuint (b.wire.got->len, ==, 0);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_TOK | ISR_ROK);
  disk_rig_peek (&b.rig, RING, bytes, sizeof bytes);
  g_assert_cmpmem (bytes + 4, sizeof frame, frame, sizeof frame);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL); /* the wire is off */
  g_assert_cmphex (in (&b, RTL_CBR, 2), ==, 108);
  tear_down (&b);
}

/* --- C+ mode ---------------------------------------------------------------------------------------------------------
 */

static void
put_descriptor (Bench *b, uint32_t at, uint32_t word, uint32_t second, uint64_t buffer)
{
  uint8_t bytes[16];

  vm_store_le32 (bytes, word);
  vm_store_le32 (bytes + 4, second);
  vm_store_le64 (bytes + 8, buffer);
  disk_rig_poke (&b->rig, at, bytes, sizeof bytes);
}

static uint32_t
peek32 (Bench *b, uint32_t at)
{
  return (uint32_t) rig_load (&b->rig.rig, at, 4);
}

static void
start_plus (Bench *b, uint16_t cpcr)
{
  out (b, RTL_CPCR, CPCR_TX | CPCR_RX | cpcr, 2);
  out (b, RTL_CR, CR_TE | CR_RE, 1);
  out (b, RTL_RCR, RCR_APM | RCR_AB, 4);
  out (b, RTL_THPDS, 0, 4);
  out (b, RTL_THPDS + 4, 0, 4);
  out (b, RTL_RDSAR, RX_RING, 4);
  out (b, RTL_RDSAR + 4, 0, 4);
  out (b, RTL_TNPDS, TX_RING, 4);
  out (b, RTL_TNPDS + 4, 0, 4);
}

static void
test_plus_transmit (void)
{
  uint8_t frame[54 + 3000] = { 0x52, 0x55, 0x0a, 0,    2, 2,  0x52, 0x54, 0,    0x12, 0x34, 0x99, 8,  0,  0x45, 0, 0x0b,
                               0xe0, 0x12, 0x34, 0x40, 0, 64, 6,    0xde, 0xad, 10,   0,    2,    15, 10, 0,    2, 2 };
  const uint8_t *got;
  size_t len, at = 0;
  Bench b;

  set_up (&b);
  start_plus (&b, 0);
  memcpy (frame + 34, (const uint8_t[]){ 0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0 }, 16);
  for (unsigned i = 54; i < sizeof frame; i++)
    frame[i] = i * 13;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  put_descriptor (&b, TX_RING, CP_OWN | CP_FS | CPTX_LGSEN | 1448u << 16 | 54, 0, BUFFERS);
  put_descriptor (&b, TX_RING + 16, CP_OWN | CP_LS | CPTX_LGSEN | 1448u << 16 | 3000, 0, BUFFERS + 54);
  put_descriptor (&b, TX_RING + 32, CP_OWN | CP_FS | CP_LS | CP_EOR | 60, CPTX2_TAGC | 0x0520, BUFFERS);
  out (&b, RTL_TPPOLL, TPPOLL_NORMAL, 1);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  for (guint i = 0; i < 3; i++)
    {
      struct iovec iov;
      got = wire_frame (&b.wire, i, &len);
      iov = (struct iovec){ (void *) got, len };
      g_assert_cmpuint (len, ==, i < 2 ? 1502 : 158);
      g_assert_cmpuint (vm_net_checksum (&iov, 1, 14, 20, 0), ==, 0);
      g_assert_cmpuint (vm_net_checksum (&iov, 1, 34, len - 34, vm_net_pseudo_sum (got + 14, 4, 6, len - 34)), ==, 0);
      g_assert_cmpmem (got + 54, len - 54, frame + 54 + at, MIN (1448, 3000 - at));
      at += len - 54;
    }
  got = wire_frame (&b.wire, 3, &len);
  g_assert_cmpuint (len, ==, 64);
  g_assert_cmphex (vm_load_be32 (got + 12), ==, 0x81002005);
  g_assert_cmphex (peek32 (&b, TX_RING + 32), ==, CP_FS | CP_LS | CP_EOR | 60);
  g_assert_cmphex (peek32 (&b, TX_RING), ==, CP_FS | 54);
  g_assert_cmphex (in (&b, RTL_TPPOLL, 1), ==, 0);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_TOK | ISR_TDU);
  /* The ring starts over: sums of one frame alone. */
  frame[16] = 0;
  frame[17] = 100 - 14;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  put_descriptor (&b, TX_RING, CP_OWN | CP_FS | CP_LS | CPTX_IPCS | CPTX_TCPCS | 100, 0, BUFFERS);
  out (&b, RTL_TPPOLL, TPPOLL_NORMAL, 1);
  got = wire_frame (&b.wire, 4, &len);
  struct iovec iov = { (void *) got, len };
  g_assert_cmpuint (vm_net_checksum (&iov, 1, 14, 20, 0), ==, 0);
  g_assert_cmpuint (vm_net_checksum (&iov, 1, 34, len - 34, vm_net_pseudo_sum (got + 14, 4, 6, len - 34)), ==, 0);
  tear_down (&b);
}

/* A ring that cannot be written gives its frames for ever: the guest has its turn now and then. */
static void
test_endless (void)
{
  Bench b;

  set_up (&b);
  start_plus (&b, 0);
  /* The descriptor is where it writes its frame: in the card's own registers nothing is read either. */
  out (&b, RTL_TNPDS, (uint32_t) DISK_RIG_BAR, 4);
  out (&b, RTL_TPPOLL, TPPOLL_NORMAL, 1);
  g_assert_cmpuint (b.wire.got->len, <=, 512);
  rig_advance (&b.rig.rig, VM_NS_PER_MS);
  tear_down (&b);
}

static void
test_plus_receive (void)
{
  uint8_t frame[200] = { 0 }, bytes[256];
  Bench b;

  set_up (&b);
  start_plus (&b, CPCR_RXVLAN | CPCR_RXCHKSUM);
  put_descriptor (&b, RX_RING, CP_OWN | 1536, 0, BUFFERS);
  put_descriptor (&b, RX_RING + 16, CP_OWN | 100, 0, BUFFERS + 0x1000);
  put_descriptor (&b, RX_RING + 32, CP_OWN | CP_EOR | 1536, 0, BUFFERS + 0x2000);
  memcpy (frame, mac, 6);
  vm_store_be32 (frame + 12, 0x81002005);
  vm_store_be16 (frame + 16, 0x0806);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (peek32 (&b, RX_RING), ==, CP_FS | CP_LS | CPRX_PAM | 200);
  g_assert_cmphex (peek32 (&b, RX_RING + 4), ==, CPRX2_TAVA | 0x0520);
  disk_rig_peek (&b.rig, BUFFERS, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, 12, frame, 12);
  g_assert_cmpmem (bytes + 12, 184, frame + 16, 184);
  /* UDP with a wrong sum, in two pieces. */
  memcpy (frame + 12, (const uint8_t[]){ 8, 0, 0x45, 0,  0, 186, 0,  0, 0, 0, 64, 17, 0,   0,    10,
                                         0, 2, 2,    10, 0, 2,   15, 0, 1, 0, 2,  0,  166, 0x12, 0x34 },
          30);
  struct iovec iov = { frame, sizeof frame };
  vm_store_be16 (frame + 24, vm_net_checksum (&iov, 1, 14, 20, 0));
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (peek32 (&b, RX_RING + 16) & ~0x1fffu, ==,
                   CP_FS | CPRX_PAM | CPRX_PID_UDP << CPRX_PID_SHIFT | CPRX_UDPF);
  g_assert_cmphex (peek32 (&b, RX_RING + 32), ==,
                   CP_LS | CP_EOR | CPRX_PAM | CPRX_PID_UDP << CPRX_PID_SHIFT | CPRX_UDPF | 204);
  /* None left: it waits. */
  out (&b, RTL_ISR, 0xffff, 2);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_RXOVW);
  g_assert_false (vm_net_can_send (&b.wire.port));
  put_descriptor (&b, RX_RING, CP_OWN | 1536, 0, BUFFERS);
  out (&b, RTL_ISR, ISR_RXOVW, 2);
  g_assert_true (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (in (&b, RTL_ISR, 2), ==, ISR_ROK);
  /* Counters. */
  out (&b, RTL_DTCCR + 4, 0, 4);
  out (&b, RTL_DTCCR, 0x30000 | 8, 4);
  g_assert_cmphex (in (&b, RTL_DTCCR, 4), ==, 0x30000);
  disk_rig_peek (&b.rig, 0x30000, bytes, 64);
  g_assert_cmpuint (vm_load_le64 (bytes + 8), ==, 3);
  g_assert_cmpuint (vm_load_le64 (bytes + 40), ==, 3);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rtl8139/eeprom", test_eeprom);
  g_test_add_func ("/rtl8139/link-and-timer", test_link_and_timer);
  g_test_add_func ("/rtl8139/c-transmit", test_c_transmit);
  g_test_add_func ("/rtl8139/c-receive", test_c_receive);
  g_test_add_func ("/rtl8139/c-wrap", test_c_wrap);
  g_test_add_func ("/rtl8139/loopback", test_loopback);
  g_test_add_func ("/rtl8139/plus-transmit", test_plus_transmit);
  g_test_add_func ("/rtl8139/plus-receive", test_plus_receive);
  g_test_add_func ("/rtl8139/endless", test_endless);
  return g_test_run ();
}
