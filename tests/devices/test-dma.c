/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 8237 pair: addresses, counts, flip-flop, masks, terminal count, auto-initialise, both widths. */
#include "devices/timer/i8257.h"
#include "tests/devices/isa-rig.h"

typedef struct Bench {
  IsaRig       isa;
  VmI8257     *dma[2];
  VmIsaDevice *dev;
  int          served;
} Bench;

#define IN(port) rig_inb (&b->isa.rig, (port))
#define OUT(port, value) rig_outb (&b->isa.rig, (port), (value))

static const VmDeviceClass client_class = { 0 };
static const VmType client_type = {
  .name = "test-dma-client", .parent = &vm_isa_device_type, .size = sizeof (VmIsaDevice), .klass = &client_class,
};

static void
on_service (void *opaque, unsigned channel)
{
  ((Bench *) opaque)->served++;
}

static void
bench_init (Bench *b)
{
  memset (b, 0, sizeof *b);
  isa_rig_init (&b->isa, 4 * VM_MIB);
  for (int i = 0; i < 2; i++)
    {
      b->dma[i] = (VmI8257 *) vm_device_new (&vm_i8257_type);
      b->dma[i]->base = i ? 0xc0 : 0;
      b->dma[i]->page_base = i ? 0x88 : 0x80;
      b->dma[i]->pageh_base = -1;
      b->dma[i]->dshift = i;
      rig_add (&b->isa.rig, b->dma[i], &b->isa.bus->parent);
    }
  b->dev = (VmIsaDevice *) vm_device_new (&client_type);
  rig_add (&b->isa.rig, b->dev, &b->isa.bus->parent);
}

static void
test_byte_channel (void)
{
  Bench bench, *b = &bench;
  VmDevice *dev;
  uint8_t buf[64];
  bool terminal;

  bench_init (b);
  dev = &b->dev->parent;
  g_assert_true (vm_isa_dma_attach (dev, 2, (VmIsaDmaClient) { on_service, b }, NULL));
  g_assert_false (vm_isa_dma_attach (dev, 2, (VmIsaDmaClient) { on_service, b }, NULL));
  OUT (0x0c, 0);
  OUT (0x04, 0x00);
  OUT (0x04, 0x10);
  OUT (0x81, 0x12); /* 0x121000 */
  OUT (0x05, 0x27);
  OUT (0x05, 0x00); /* 40 bytes */
  OUT (0x0b, 0x46); /* to memory */
  g_assert_cmpint (vm_isa_dma_mode (dev, 2), ==, VM_ISA_DMA_TO_MEMORY);
  vm_isa_dma_request (dev, 2, true);
  g_assert_cmpint (b->served, ==, 0);
  OUT (0x0a, 0x02);
  g_assert_cmpint (b->served, ==, 1);
  memset (buf, 0xab, sizeof buf);
  g_assert_cmpint (vm_isa_dma_move (dev, 2, buf, 30, &terminal), ==, 30);
  g_assert_false (terminal);
  OUT (0x0c, 0);
  g_assert_cmphex (IN (0x04), ==, 0x1e);
  g_assert_cmphex (IN (0x04), ==, 0x10);
  g_assert_cmphex (IN (0x05), ==, 9);
  g_assert_cmphex (IN (0x05), ==, 0);
  g_assert_cmpint (vm_isa_dma_move (dev, 2, buf, 64, &terminal), ==, 10);
  g_assert_true (terminal);
  g_assert_cmphex (rig_load (&b->isa.rig, 0x121027, 1), ==, 0xab);
  g_assert_cmphex (rig_load (&b->isa.rig, 0x121028, 1), ==, 0);
  g_assert_cmphex (IN (0x08), ==, 0x44);
  g_assert_cmphex (IN (0x08), ==, 0x40);
  g_assert_cmphex (IN (0x0f) & 0xf, ==, 0xf); /* masked itself */
  g_assert_cmpint (vm_isa_dma_move (dev, 2, buf, 1, &terminal), ==, 0);
  vm_isa_dma_detach (dev, 2);
  isa_rig_clear (&b->isa);
}

static void
test_word_channel (void)
{
  Bench bench, *b = &bench;
  uint8_t buf[16];
  bool terminal;

  bench_init (b);
  for (unsigned i = 0; i < 16; i++)
    rig_store (&b->isa.rig, 0x30000 + i, i + 1, 1);
  OUT (0xd8, 0);
  OUT (0xc4, 0x00); /* channel 5: word address 0x8000 of page 2 */
  OUT (0xc4, 0x80);
  OUT (0x8b, 0x02);
  OUT (0xc6, 0x07);
  OUT (0xc6, 0x00);
  OUT (0xd6, 0x59); /* auto-initialise, from memory */
  OUT (0xd4, 0x01);
  g_assert_true (vm_isa_dma_autoinit (&b->dev->parent, 5));
  g_assert_cmpint (vm_isa_dma_move (&b->dev->parent, 5, buf, 16, &terminal), ==, 16);
  g_assert_true (terminal);
  g_assert_cmphex (buf[15], ==, 16);
  memset (buf, 0, sizeof buf);
  g_assert_cmpint (vm_isa_dma_move (&b->dev->parent, 5, buf, 5, &terminal), ==, 4);
  g_assert_cmphex (buf[3], ==, 4);
  /* Downwards. */
  OUT (0xd6, 0x69);
  OUT (0xd8, 0);
  OUT (0xc4, 0x03);
  OUT (0xc4, 0x80);
  g_assert_cmpint (vm_isa_dma_move (&b->dev->parent, 5, buf, 4, NULL), ==, 4);
  g_assert_cmphex (buf[0], ==, 7);
  g_assert_cmphex (buf[2], ==, 5);
  OUT (0x80, 0x5c); /* the register of no channel keeps its value */
  g_assert_cmphex (IN (0x80), ==, 0x5c);
  isa_rig_clear (&b->isa);
}

static void
test_random (void)
{
  Bench bench, *b = &bench;
  uint8_t buf[256];

  bench_init (b);
  for (int i = 0; i < 20000; i++)
    switch (g_test_rand_int_range (0, 3))
      {
      case 0:
        OUT ((uint16_t) g_test_rand_int_range (0, 0x10), (uint8_t) g_test_rand_int ());
        break;
      case 1:
        OUT ((uint16_t) g_test_rand_int_range (0x80, 0xe0), (uint8_t) g_test_rand_int ());
        break;
      default:
        vm_isa_dma_move (&b->dev->parent, (unsigned) g_test_rand_int_range (0, 9), buf, sizeof buf, NULL);
        break;
      }
  isa_rig_clear (&b->isa);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dma/bytes", test_byte_channel);
  g_test_add_func ("/dma/words", test_word_channel);
  g_test_add_func ("/dma/random", test_random);
  return g_test_run ();
}
