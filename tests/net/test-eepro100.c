/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 8255x on the bench, as its manual describes it. */
#include "devices/net/eepro100.h"
#include "tests/net/card-bench.h"

#include <string.h>

extern const VmType vm_i82551_type, vm_i82557a_type, vm_i82559c_type, vm_i82801_type;

#define LIST 0x10000u
#define FRAMES 0x20000u
#define BUFFERS 0x100000u
#define STEP 0x40u

static Eepro100 *
chip (const Bench *b)
{
  return (Eepro100 *) b->rig.dev;
}

static void
set_up_type (Bench *b, const VmType *type)
{
  set_up_card (b, type, 0, offsetof (Eepro100, card));
}

static void
set_up (Bench *b)
{
  set_up_type (b, &vm_i82559c_type);
}

static void
scb (Bench *b, uint8_t command, uint32_t pointer)
{
  out (b, CSR_POINTER, pointer, 4);
  out (b, CSR_COMMAND, command, 1);
  g_assert_cmphex (in (b, CSR_COMMAND, 1), ==, 0);
}

/* Command block N, with a link to the next. */
static void
put_command (Bench *b, unsigned n, uint16_t command, const void *bytes, size_t len)
{
  uint8_t head[8] = { 0 };

  vm_store_le16 (head + 2, command);
  vm_store_le32 (head + 4, (n + 1) * STEP);
  disk_rig_poke (&b->rig, LIST + n * STEP, head, sizeof head);
  if (len)
    disk_rig_poke (&b->rig, LIST + n * STEP + 8, bytes, len);
}

static uint16_t
status (Bench *b, unsigned n)
{
  return rig_load (&b->rig.rig, LIST + n * STEP, 2);
}

/* --- registers --------------------------------------------------------------------------------------------------- */

static void
clock_bit (Bench *b, bool bit)
{
  uint8_t lines = EE_CS | (bit ? EE_DI : 0);

  out (b, CSR_EEPROM, lines, 1);
  out (b, CSR_EEPROM, lines | EE_SK, 1);
  out (b, CSR_EEPROM, lines, 1);
}

static void
check_eeprom (const VmType *type, unsigned bits)
{
  uint16_t sum = 0;
  Bench b;

  set_up_type (&b, type);
  for (unsigned word = 0; word < 1u << bits; word++)
    {
      uint16_t value = 0;
      out (&b, CSR_EEPROM, 0, 1);
      out (&b, CSR_EEPROM, EE_CS, 1);
      for (int i = bits + 2; i >= 0; i--)
        {
          g_assert_true (in (&b, CSR_EEPROM, 1) & EE_DO); /* a zero tells how many bits it wants */
          clock_bit (&b, (6u << bits | word) >> i & 1);
        }
      g_assert_false (in (&b, CSR_EEPROM, 1) & EE_DO);
      for (int i = 0; i < 16; i++)
        {
          out (&b, CSR_EEPROM, EE_CS | EE_SK, 1);
          value = value << 1 | !!(in (&b, CSR_EEPROM, 1) & EE_DO);
          out (&b, CSR_EEPROM, EE_CS, 1);
        }
      if (word < 3)
        g_assert_cmphex (value, ==, mac[2 * word] | mac[2 * word + 1] << 8);
      sum += value;
    }
  g_assert_cmphex (sum, ==, 0xbaba);
  tear_down (&b);
}

static void
test_eeprom (void)
{
  check_eeprom (&vm_i82557a_type, 6);
  check_eeprom (&vm_i82559c_type, 8);
}

static uint16_t
phy_read (Bench *b, unsigned phy, unsigned reg)
{
  out (b, CSR_MDI, phy << 21 | reg << 16 | 2u << 26, 4);
  uint32_t mdi = in (b, CSR_MDI, 4);
  g_assert_true (mdi & MDI_READY);
  return mdi;
}

static void
test_family (void)
{
  Bench b;

  set_up_type (&b, &vm_i82557a_type);
  g_assert_cmphex (disk_rig_config (&b.rig, 0, 4), ==, 0x12298086);
  g_assert_cmphex (disk_rig_config (&b.rig, 8, 1), ==, 1);
  g_assert_cmphex (disk_rig_config (&b.rig, 4, 4) >> 16, ==, 0x0280);
  tear_down (&b);
  set_up_type (&b, &vm_i82801_type);
  g_assert_cmphex (disk_rig_config (&b.rig, 0, 4), ==, 0x24498086);
  g_assert_cmphex (disk_rig_config (&b.rig, 0xdc, 4), ==, 0x7e210001);
  g_assert_cmphex (phy_read (&b, 1, 2), ==, 0x02a8);
  g_assert_cmphex (phy_read (&b, 2, 2), ==, 0xffff);
  g_assert_true (phy_read (&b, 1, 1) & 4);
  vm_net_card_set_link (&chip (&b)->card, false);
  g_assert_false (phy_read (&b, 1, 1) & 4);
  g_assert_cmphex (in (&b, CSR_GENERAL_STATUS, 1), ==, 0);
  tear_down (&b);
}

static void
test_self_test (void)
{
  Bench b;

  set_up (&b);
  rig_store (&b.rig.rig, BUFFERS, 0, 4);
  rig_store (&b.rig.rig, BUFFERS + 4, 0xffffffff, 4);
  out (&b, CSR_PORT, BUFFERS | PORT_SELF_TEST, 4);
  g_assert_cmphex (rig_load (&b.rig.rig, BUFFERS, 4), !=, 0);
  g_assert_cmphex (rig_load (&b.rig.rig, BUFFERS + 4, 4), ==, 0);
  out (&b, CSR_PORT, BUFFERS | PORT_DUMP, 4);
  g_assert_cmphex (rig_load (&b.rig.rig, BUFFERS, 2), ==, 0x0816);
  /* An interrupt of the driver's own, acknowledged. */
  out (&b, CSR_MASK, MASK_SI, 1);
  g_assert_true (chip (&b)->parent.irq_level);
  g_assert_cmphex (in (&b, CSR_ACK, 1), ==, ACK_SWI);
  out (&b, CSR_MASK, MASK_ALL, 1);
  g_assert_false (chip (&b)->parent.irq_level);
  out (&b, CSR_ACK, ACK_SWI, 1);
  g_assert_cmphex (in (&b, CSR_ACK, 1), ==, 0);
  tear_down (&b);
}

/* --- commands -------------------------------------------------------------------------------------------------------
 */

static void
test_commands (void)
{
  static const uint8_t other[6] = { 2, 4, 6, 8, 10, 12 };
  uint8_t config[22] = { 22, [6] = 0x32, [10] = 0x2e, [15] = 0x01 };
  uint8_t dump_at[4];
  Bench b;

  set_up (&b);
  vm_store_le32 (dump_at, BUFFERS);
  put_command (&b, 0, CB_ADDRESS, other, 6);
  put_command (&b, 1, CB_CONFIGURE, config, sizeof config);
  put_command (&b, 2, CB_NOP | CB_I | CB_S, NULL, 0);
  put_command (&b, 3, CB_DUMP, dump_at, 4);
  put_command (&b, 4, CB_DIAGNOSE | CB_EL, NULL, 0);
  scb (&b, CUC_BASE << 4, LIST);
  scb (&b, CUC_START << 4, 0);
  g_assert_cmphex (status (&b, 0), ==, CB_C | CB_OK);
  g_assert_cmphex (status (&b, 2), ==, CB_C | CB_OK);
  g_assert_cmphex (status (&b, 3), ==, 0);
  g_assert_cmphex (in (&b, CSR_STATUS, 2), ==, (ACK_CX | ACK_CNA) << 8 | CU_SUSPENDED << 6);
  g_assert_cmpmem (chip (&b)->ia, 6, other, 6);
  VmNetRxFilter filter = { 0 };
  eepro100_rx_filter (&chip (&b)->parent.parent.parent, &filter);
  g_assert_true (filter.promiscuous);
  out (&b, CSR_ACK, 0xff, 1);
  scb (&b, CUC_RESUME << 4, 0);
  g_assert_cmphex (status (&b, 4), ==, CB_C | CB_OK);
  g_assert_cmphex (in (&b, CSR_STATUS, 2), ==, ACK_CNA << 8 | CU_IDLE << 6);
  g_assert_cmphex (rig_load (&b.rig.rig, BUFFERS + 15, 1), ==, 0x01);
  tear_down (&b);
}

static void
put_transmit (Bench *b, unsigned n, uint16_t command, uint32_t array, uint16_t inside, uint8_t buffers)
{
  uint8_t bytes[8] = { 0 };

  vm_store_le32 (bytes, array);
  vm_store_le16 (bytes + 4, inside | 1u << 15);
  bytes[7] = buffers;
  put_command (b, n, CB_TRANSMIT | command, bytes, sizeof bytes);
}

static void
put_buffer (Bench *b, uint32_t at, uint32_t buffer, uint32_t size)
{
  rig_store (&b->rig.rig, at, buffer, 4);
  rig_store (&b->rig.rig, at + 4, size, 4);
}

static void
test_transmit (void)
{
  uint8_t frame[200], config[22] = { 22, [6] = 0x22, [10] = 0x2e };
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up (&b);
  for (unsigned i = 0; i < sizeof frame; i++)
    frame[i] = i;
  disk_rig_poke (&b.rig, BUFFERS, frame, sizeof frame);
  scb (&b, CUC_BASE << 4, LIST);
  /* Simplified: all of it behind the block, which is short of room here but for a small one; flexible, of three. */
  put_transmit (&b, 0, 0, 0xffffffff, 40, 0);
  disk_rig_poke (&b.rig, LIST + 16, frame, 40);
  put_transmit (&b, 1, CB_SF | CB_S, LIST + 0x1000, 0, 3);
  put_buffer (&b, LIST + 0x1000, BUFFERS, 14);
  put_buffer (&b, LIST + 0x1008, BUFFERS + 14, 86);
  put_buffer (&b, LIST + 0x1010, BUFFERS + 100, 100);
  scb (&b, CUC_START << 4, 0);
  g_assert_cmpuint (b.wire.got->len, ==, 2);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpuint (len, ==, 60);
  g_assert_cmpmem (got, 40, frame, 40);
  got = wire_frame (&b.wire, 1, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  /* Extended blocks have two buffers inside. */
  put_command (&b, 2, CB_CONFIGURE, config, sizeof config);
  put_transmit (&b, 3, CB_SF | CB_S, LIST + 0x1010, 0, 3);
  put_buffer (&b, LIST + 3 * STEP + 16, BUFFERS, 14);
  put_buffer (&b, LIST + 3 * STEP + 24, BUFFERS + 14, 86);
  scb (&b, CUC_RESUME << 4, 0);
  g_assert_cmpuint (b.wire.got->len, ==, 3);
  got = wire_frame (&b.wire, 2, &len);
  g_assert_cmpmem (got, len, frame, sizeof frame);
  /* A back end without room; the driver goes on meanwhile. */
  b.wire.full = true;
  put_transmit (&b, 4, 0, 0xffffffff, 30, 0);
  put_transmit (&b, 5, CB_S, 0xffffffff, 30, 0);
  scb (&b, CUC_RESUME << 4, 0);
  g_assert_cmphex (status (&b, 5), ==, 0);
  b.wire.full = false;
  vm_net_port_ready (&b.wire.port);
  g_assert_cmpuint (b.wire.got->len, ==, 5);
  g_assert_cmphex (status (&b, 5), ==, CB_C | CB_OK);
  /* Counters. */
  scb (&b, CUC_DUMP_ADDRESS << 4, BUFFERS);
  scb (&b, CUC_DUMP_RESET << 4, 0);
  g_assert_cmpuint (rig_load (&b.rig.rig, BUFFERS, 4), ==, 5);
  g_assert_cmphex (rig_load (&b.rig.rig, BUFFERS + 64, 4), ==, 0xa007);
  scb (&b, CUC_DUMP << 4, 0);
  g_assert_cmpuint (rig_load (&b.rig.rig, BUFFERS, 4), ==, 0);
  tear_down (&b);
}

/* A list that links to itself keeps the card busy, not the machine; one in the card's own registers is none. */
static void
test_endless (void)
{
  Bench b;

  set_up (&b);
  put_command (&b, 0, CB_NOP, NULL, 0);
  rig_store (&b.rig.rig, LIST + 4, LIST, 4);
  scb (&b, CUC_START << 4, LIST);
  g_assert_cmphex (in (&b, CSR_STATUS, 1) >> 6, ==, CU_ACTIVE);
  rig_advance (&b.rig.rig, VM_NS_PER_MS);
  g_assert_cmphex (in (&b, CSR_STATUS, 1) >> 6, ==, CU_ACTIVE);
  rig_store (&b.rig.rig, LIST + 2, CB_EL, 2);
  rig_advance (&b.rig.rig, VM_NS_PER_MS);
  g_assert_cmphex (in (&b, CSR_STATUS, 1) >> 6, ==, CU_IDLE);
  scb (&b, CUC_START << 4, (uint32_t) DISK_RIG_BAR);
  rig_advance (&b.rig.rig, VM_NS_PER_MS);
  out (&b, CSR_PORT, PORT_RESET, 4);
  g_assert_cmphex (in (&b, CSR_STATUS, 2), ==, 0);
  tear_down (&b);
}

/* --- reception -------------------------------------------------------------------------------- */

static void
put_frame (Bench *b, unsigned n, uint16_t command, uint16_t size)
{
  uint8_t rfd[16] = { 0 };

  vm_store_le16 (rfd + 2, command);
  vm_store_le32 (rfd + 4, (n + 1) * 0x800);
  vm_store_le16 (rfd + 14, size);
  disk_rig_poke (&b->rig, FRAMES + n * 0x800, rfd, sizeof rfd);
}

static uint32_t
frame_word (Bench *b, unsigned n, unsigned at)
{
  return rig_load (&b->rig.rig, FRAMES + n * 0x800 + at, 2);
}

static void
test_receive (void)
{
  uint8_t frame[200] = { 0 }, bytes[200], group[8] = { 6, 0, 0x01, 0, 0x5e, 0, 0, 1 };
  Bench b;

  set_up (&b);
  memcpy (frame, mac, 6);
  frame[12] = 8;
  for (unsigned i = 14; i < sizeof frame; i++)
    frame[i] = i;
  put_frame (&b, 0, 0, 1536);
  put_frame (&b, 1, 0, 1536);
  put_frame (&b, 2, CB_EL, 0);
  scb (&b, CUC_BASE << 4, LIST);
  scb (&b, RUC_BASE, FRAMES);
  scb (&b, RUC_START, 0);
  g_assert_cmphex (in (&b, CSR_STATUS, 1), ==, RU_READY << 2);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (frame_word (&b, 0, 0), ==, CB_C | CB_OK | RFD_TYPE);
  g_assert_cmphex (frame_word (&b, 0, 12), ==, RFD_EOF | RFD_F | 200);
  disk_rig_peek (&b.rig, FRAMES + 16, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof bytes, frame, sizeof frame);
  g_assert_cmphex (in (&b, CSR_ACK, 1), ==, ACK_FR);
  out (&b, CSR_ACK, 0xff, 1);
  /* Another's, and a group's; then it is joined. */
  frame[5] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  memcpy (frame, group + 2, 6);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (frame_word (&b, 1, 0), ==, 0);
  put_command (&b, 0, CB_MULTICAST | CB_EL, group, sizeof group);
  scb (&b, CUC_START << 4, 0);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (frame_word (&b, 1, 0), ==, CB_C | CB_OK | RFD_TYPE | RFD_NOT_IA);
  /* The list has ended: frames wait until it is started again. */
  out (&b, CSR_ACK, 0xff, 1);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (in (&b, CSR_STATUS, 2), ==, ACK_RNR << 8 | RU_NO_RESOURCES << 2);
  g_assert_cmphex (frame_word (&b, 2, 0), ==, 0);
  g_assert_false (vm_net_can_send (&b.wire.port));
  put_frame (&b, 2, CB_S, 100);
  put_frame (&b, 3, CB_EL, 1536);
  scb (&b, RUC_START, 2 * 0x800);
  g_assert_true (vm_net_can_send (&b.wire.port));
  g_assert_cmphex (frame_word (&b, 2, 0), ==, CB_C | RFD_NO_SPACE | RFD_TYPE | RFD_NOT_IA);
  g_assert_cmphex (in (&b, CSR_STATUS, 1), ==, RU_SUSPENDED << 2);
  memset (frame, 0xff, 6);
  vm_net_send_bytes (&b.wire.port, frame, 20, NULL);
  g_assert_cmphex (frame_word (&b, 3, 0), ==, 0);
  scb (&b, RUC_RESUME, 0);
  g_assert_cmphex (frame_word (&b, 3, 12), ==, RFD_EOF | RFD_F | 60);
  g_assert_cmphex (in (&b, CSR_STATUS, 1), ==, RU_NO_RESOURCES << 2);
  scb (&b, RUC_ABORT, 0);
  g_assert_cmphex (in (&b, CSR_STATUS, 1), ==, 0);
  tear_down (&b);
}

static void
test_loopback (void)
{
  uint8_t frame[40] = { 0x52, 0x54, 0, 0x12, 0x34, 0x99, 1, 2, 3, 4, 5, 6, 8 }, bytes[40];
  uint8_t config[22] = { 22, [6] = 0x32, [10] = 0x6e, [18] = 0x04 };
  Bench b;

  set_up (&b);
  put_frame (&b, 0, CB_EL, 1536);
  put_command (&b, 0, CB_CONFIGURE, config, sizeof config);
  put_transmit (&b, 1, CB_EL, 0xffffffff, 40, 0);
  disk_rig_poke (&b.rig, LIST + STEP + 16, frame, 40);
  scb (&b, RUC_START, FRAMES);
  scb (&b, CUC_BASE << 4, LIST);
  scb (&b, CUC_START << 4, 0);
  g_assert_cmpuint (b.wire.got->len, ==, 0);
  g_assert_cmphex (frame_word (&b, 0, 12), ==, RFD_EOF | RFD_F | 64); /* with its check sequence */
  disk_rig_peek (&b.rig, FRAMES + 16, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof bytes, frame, sizeof frame);
  tear_down (&b);
}

/* --- IP, of the 82551 --------------------------------------------------------------------------------------------- */

static uint8_t tcp[54 + 3000] = { 0x52, 0x55, 0x0a, 0, 2,  2, 0x52, 0x54, 0,  0x12, 0x34, 0x99, 8,  0, 0x45, 0, 0,    0,
                                  0x12, 0x34, 0x40, 0, 64, 6, 0,    0,    10, 0,    2,    15,   10, 0, 2,    2, 0x10, 0,
                                  0,    80,   0,    0, 0,  1, 0,    0,    0,  2,    0x50, 0x18, 1,  0 };

static void
put_ip_transmit (Bench *b, unsigned n, uint8_t schedule, uint8_t activation, uint16_t mss, uint32_t len)
{
  uint32_t cb = LIST + n * STEP;
  uint8_t bytes[16] = { 0 };

  vm_store_le32 (bytes, cb + 32);
  vm_store_le16 (bytes + 6, schedule & SCHEDULE_LARGE ? mss : 0xff00);
  bytes[8 + IPCB_SCHEDULE] = schedule;
  bytes[8 + IPCB_ACTIVATION] = activation;
  vm_store_be16 (bytes + 8 + IPCB_VLAN, 0x2005);
  put_command (b, n, CB_IP_TRANSMIT | CB_S, bytes, sizeof bytes);
  put_buffer (b, cb + 24, BUFFERS, 54 | (schedule & SCHEDULE_LARGE ? (len - 54) << 16 : 0));
  put_buffer (b, cb + 32, BUFFERS + 54, (len - 54) | 0x8000);
}

static void
test_ip_transmit (void)
{
  uint8_t config[32] = { 32, [6] = 0x22, [7] = 0x20, [10] = 0x2e };
  struct iovec iov = { tcp, sizeof tcp };
  VmNetLayers l;
  const uint8_t *got;
  size_t len;
  Bench b;

  set_up_type (&b, &vm_i82551_type);
  for (unsigned i = 54; i < sizeof tcp; i++)
    tcp[i] = i;
  scb (&b, CUC_BASE << 4, LIST);
  put_command (&b, 0, CB_CONFIGURE | CB_S, config, sizeof config);
  scb (&b, CUC_START << 4, 0);
  /* Both sums, and a tag. The driver began the one of TCP. */
  vm_store_be16 (tcp + 16, 186);
  g_assert_true (vm_net_layers (&(VmNetPacket){ &iov, 1, 200, { 0 } }, &l));
  vm_net_start_sum (tcp, &l);
  disk_rig_poke (&b.rig, BUFFERS, tcp, sizeof tcp);
  put_ip_transmit (&b, 1, SCHEDULE_IP_SUM | SCHEDULE_SUM, ACTIVATION_VLAN, 0, 200);
  scb (&b, CUC_RESUME << 4, 0);
  g_assert_cmpuint (b.wire.got->len, ==, 1);
  got = wire_frame (&b.wire, 0, &len);
  g_assert_cmpuint (len, ==, 204);
  g_assert_cmpmem (got, 6, tcp, 6);
  g_assert_cmpmem (got + 12, 4, "\x81\0\x20\x05", 4);
  iov.iov_base = (void *) got;
  g_assert_cmphex (vm_net_checksum (&iov, 1, 18, 20, 0), ==, 0);
  g_assert_cmphex (vm_net_checksum (&iov, 1, 38, len - 38, vm_net_pseudo_sum (got + 18, 4, 6, len - 38)), ==, 0);
  /* Three segments of 1448 bytes; the length is that of one. */
  vm_store_be16 (tcp + 16, 40 + 1448);
  disk_rig_poke (&b.rig, BUFFERS, tcp, sizeof tcp);
  put_ip_transmit (&b, 2, SCHEDULE_LARGE | SCHEDULE_IP_SUM | SCHEDULE_SUM, 0, 1448, sizeof tcp);
  scb (&b, CUC_RESUME << 4, 0);
  g_assert_cmpuint (b.wire.got->len, ==, 4);
  for (guint i = 1; i < 4; i++)
    {
      got = wire_frame (&b.wire, i, &len);
      iov = (struct iovec){ (void *) got, len };
      g_assert_cmpuint (len, ==, i < 3 ? 1502 : 158);
      g_assert_cmphex (vm_net_checksum (&iov, 1, 14, 20, 0), ==, 0);
      g_assert_cmphex (vm_net_checksum (&iov, 1, 34, len - 34, vm_net_pseudo_sum (got + 14, 4, 6, len - 34)), ==, 0);
    }
  g_assert_cmphex (status (&b, 2), ==, CB_C | CB_OK);
  /* Nonsense: a large one of segments without size. */
  put_ip_transmit (&b, 3, SCHEDULE_LARGE, 0, 0, 200);
  scb (&b, CUC_RESUME << 4, 0);
  g_assert_cmpuint (b.wire.got->len, ==, 5);
  tear_down (&b);
}

static void
test_ip_receive (void)
{
  uint8_t config[32] = { 32, [6] = 0x32, [7] = 0x20, [10] = 0x2e, [15] = 0x48, [22] = 0x02 };
  uint8_t frame[204], bytes[200];
  Bench b;

  set_up_type (&b, &vm_i82551_type);
  put_command (&b, 0, CB_CONFIGURE | CB_EL, config, sizeof config);
  scb (&b, CUC_START << 4, LIST);
  memcpy (frame, mac, 6);
  memcpy (frame + 6, tcp + 6, 6);
  memcpy (frame + 12, "\x81\0\x20\x05", 4);
  memcpy (frame + 16, tcp + 12, 188);
  vm_store_be16 (frame + 20, 186);
  vm_net_finish (frame, sizeof frame, &(VmNetHeader){ .flags = VM_NET_NEEDS_CSUM, .gso_type = VM_NET_GSO_TCPV4,
                                                      .gso_size = 1448, .csum_start = 38, .csum_offset = 16 });
  put_frame (&b, 0, 0, 1536);
  put_frame (&b, 1, 0, 1536);
  put_frame (&b, 2, CB_EL, 1536);
  scb (&b, RUC_BASE, FRAMES);
  scb (&b, RUC_START, 0);
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (frame_word (&b, 0, 0), ==, CB_C | CB_OK | RFD_VLAN | RFD_TYPE | RFD_PARSED);
  g_assert_cmphex (frame_word (&b, 0, 12), ==, RFD_EOF | RFD_F | 200);
  g_assert_cmphex (frame_word (&b, 0, 16), ==, 0x0520);
  g_assert_cmphex (frame_word (&b, 0, 18), ==, PARSER_DONE | PARSER_TCP);
  g_assert_cmphex (frame_word (&b, 0, 22), ==, SUMS_IP_CHECKED | SUMS_IP_GOOD | SUMS_CHECKED | SUMS_GOOD);
  disk_rig_peek (&b.rig, FRAMES + 32, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, 12, frame, 12);
  g_assert_cmpmem (bytes + 12, 188, frame + 16, 188);
  /* Damaged on its way; and no IP. */
  frame[100] ^= 1;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (frame_word (&b, 1, 22), ==, SUMS_IP_CHECKED | SUMS_IP_GOOD | SUMS_CHECKED);
  frame[12] = 0x88;
  vm_net_send_bytes (&b.wire.port, frame, sizeof frame, NULL);
  g_assert_cmphex (frame_word (&b, 2, 0), ==, CB_C | CB_OK | RFD_TYPE);
  g_assert_cmphex (frame_word (&b, 2, 12), ==, RFD_EOF | RFD_F | 204);
  g_assert_cmphex (frame_word (&b, 2, 18), ==, 0);
  tear_down (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/eepro100/eeprom", test_eeprom);
  g_test_add_func ("/eepro100/family", test_family);
  g_test_add_func ("/eepro100/self-test", test_self_test);
  g_test_add_func ("/eepro100/commands", test_commands);
  g_test_add_func ("/eepro100/transmit", test_transmit);
  g_test_add_func ("/eepro100/endless", test_endless);
  g_test_add_func ("/eepro100/receive", test_receive);
  g_test_add_func ("/eepro100/loopback", test_loopback);
  g_test_add_func ("/eepro100/ip-transmit", test_ip_transmit);
  g_test_add_func ("/eepro100/ip-receive", test_ip_receive);
  return g_test_run ();
}
