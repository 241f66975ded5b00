/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 8254 by its data sheet: all modes, latches, read-back, BCD, gate; port 61h. */
#include "devices/audio/pcspk.h"
#include "tests/devices/isa-rig.h"

typedef struct Bench {
  IsaRig   isa;
  VmI8254 *pit;
} Bench;

#define IN(port) rig_inb (&b->isa.rig, (port))
#define OUT(port, value) rig_outb (&b->isa.rig, (port), (value))

static void
bench_init (Bench *b)
{
  VmPcspk *speaker;

  memset (b, 0, sizeof *b);
  isa_rig_init (&b->isa, 0);
  b->pit = (VmI8254 *) vm_device_new (&vm_i8254_type);
  b->pit->iobase = 0x40;
  b->pit->irq = vm_isa_irq (&b->pit->parent.parent, 0);
  rig_add (&b->isa.rig, b->pit, &b->isa.bus->parent);
  speaker = (VmPcspk *) vm_device_new (&vm_pcspk_type);
  speaker->pit = vm_object_ref (&b->pit->parent.parent.parent);
  rig_add (&b->isa.rig, speaker, &b->isa.bus->parent);
}

/* Advances by whole clock pulses of the counter. */
static void
pulses (Bench *b, uint64_t n)
{
  static const uint64_t hz = 1193182;

  rig_advance (&b->isa.rig, (int64_t) (n * VM_NS_PER_SEC / hz) + 1);
}

static unsigned
read_two (Bench *b, unsigned n)
{
  unsigned low = IN (0x40 + n);

  return low | IN (0x40 + n) << 8;
}

static unsigned
count_of (Bench *b, unsigned n)
{
  OUT (0x43, (uint8_t) (n << 6));
  return read_two (b, n);
}

static void
load (Bench *b, unsigned n, uint8_t mode, unsigned count)
{
  OUT (0x43, (uint8_t) (n << 6 | 0x30 | mode << 1));
  OUT (0x40 + n, (uint8_t) count);
  OUT (0x40 + n, (uint8_t) (count >> 8));
}

static void
test_rate (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  load (b, 0, 2, 11932); /* 100 Hz */
  rig_advance (&b->isa.rig, VM_NS_PER_SEC + VM_NS_PER_MS);
  g_assert_cmpint (b->isa.line[0].falls, ==, 99 + (b->isa.line[0].falls == 100));
  load (b, 0, 3, 0); /* 65536: 18.2 Hz */
  b->isa.line[0].rises = 0;
  rig_advance (&b->isa.rig, 10 * VM_NS_PER_SEC);
  g_assert_cmpint (b->isa.line[0].rises, >=, 181);
  g_assert_cmpint (b->isa.line[0].rises, <=, 183);
  isa_rig_clear (&b->isa);
}

static void
test_one_shot (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  load (b, 0, 0, 1000);
  g_assert_cmpint (b->isa.line[0].level, ==, 0);
  pulses (b, 400);
  g_assert_cmpint (count_of (b, 0), ==, 600);
  pulses (b, 590);
  g_assert_cmpint (b->isa.line[0].level, ==, 0);
  pulses (b, 20);
  g_assert_cmpint (b->isa.line[0].level, ==, 1);
  g_assert_cmpint (count_of (b, 0), >, 65500); /* goes on below zero */
  /* The first byte of a new count stops it, with the output low. */
  OUT (0x40, 100);
  g_assert_cmpint (b->isa.line[0].level, ==, 0);
  OUT (0x40, 0);
  pulses (b, 101);
  g_assert_cmpint (b->isa.line[0].level, ==, 1);
  load (b, 0, 4, 50); /* strobe: one low pulse */
  g_assert_cmpint (b->isa.line[0].level, ==, 1);
  b->isa.line[0].falls = 0;
  pulses (b, 100);
  g_assert_cmpint (b->isa.line[0].falls, ==, 1);
  g_assert_cmpint (b->isa.line[0].level, ==, 1);
  isa_rig_clear (&b->isa);
}

static void
test_latches (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  load (b, 0, 2, 10000);
  pulses (b, 1000);
  OUT (0x43, 0x00);
  pulses (b, 1000);
  OUT (0x43, 0x00); /* ignored: the first latch is unread */
  g_assert_cmpint (read_two (b, 0), ==, 9000);
  g_assert_cmpint (count_of (b, 0), ==, 8000);
  OUT (0x43, 0xe2); /* read back: status of counter 0 */
  g_assert_cmphex (IN (0x40), ==, 0x80 | 0x34);
  OUT (0x43, 0xc2); /* both: status comes first */
  g_assert_cmphex (IN (0x40), ==, 0x80 | 0x34);
  g_assert_cmpint (read_two (b, 0), ==, 8000);
  OUT (0x43, 0x34); /* a mode without a count */
  OUT (0x43, 0xe2);
  g_assert_cmphex (IN (0x40) & 0x40, ==, 0x40);
  OUT (0x43, 0x14); /* low byte only */
  OUT (0x40, 200);
  pulses (b, 50);
  g_assert_cmpint (IN (0x40), ==, 150);
  g_assert_cmpint (IN (0x40), ==, 150);
  isa_rig_clear (&b->isa);
}

static void
test_bcd (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  OUT (0x43, 0x35);
  OUT (0x40, 0x00);
  OUT (0x40, 0x12); /* 1200 */
  pulses (b, 201);
  g_assert_cmphex (count_of (b, 0), ==, 0x0999);
  isa_rig_clear (&b->isa);
}

static void
test_next_count (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  load (b, 0, 2, 10000);
  pulses (b, 4000);
  OUT (0x40, 0xe8); /* 1000, when the period is over */
  OUT (0x40, 0x03);
  OUT (0x43, 0xe2);
  g_assert_cmphex (IN (0x40) & 0x40, ==, 0x40);
  pulses (b, 1000);
  g_assert_cmpint (count_of (b, 0), ==, 5000);
  pulses (b, 5100);
  g_assert_cmpint (count_of (b, 0), <=, 1000);
  OUT (0x43, 0xe2);
  g_assert_cmphex (IN (0x40) & 0x40, ==, 0);
  isa_rig_clear (&b->isa);
}

static void
test_gate (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  g_assert_cmphex (IN (0x61) & 3, ==, 0);
  load (b, 2, 0, 1000);
  pulses (b, 500);
  g_assert_cmpint (count_of (b, 2), ==, 1000); /* gate low: stands */
  OUT (0x61, 1);
  pulses (b, 300);
  OUT (0x61, 0);
  pulses (b, 300);
  g_assert_cmpint (count_of (b, 2), ==, 700);
  g_assert_cmphex (IN (0x61) & 0x20, ==, 0);
  OUT (0x61, 1);
  pulses (b, 701);
  g_assert_cmphex (IN (0x61) & 0x20, ==, 0x20);
  /* Mode 1: a rise of the gate starts it. */
  OUT (0x61, 0);
  load (b, 2, 1, 100);
  pulses (b, 10);
  g_assert_cmphex (IN (0x61) & 0x20, ==, 0x20);
  OUT (0x61, 1);
  g_assert_cmphex (IN (0x61) & 0x20, ==, 0);
  pulses (b, 101);
  g_assert_cmphex (IN (0x61) & 0x20, ==, 0x20);
  g_assert_cmphex (IN (0x61) & 3, ==, 1);
  isa_rig_clear (&b->isa);
}

static void
test_refresh (void)
{
  Bench bench, *b = &bench;
  int changes = 0;
  uint8_t last;

  bench_init (b);
  last = IN (0x61) & 0x10;
  for (int i = 0; i < 1000; i++)
    {
      rig_advance (&b->isa.rig, VM_NS_PER_US);
      changes += (IN (0x61) & 0x10) != last;
      last = IN (0x61) & 0x10;
    }
  g_assert_cmpint (changes, ==, 66);
  isa_rig_clear (&b->isa);
}

static void
test_random (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  for (int i = 0; i < 20000; i++)
    {
      uint16_t port = (uint16_t) (g_test_rand_int_range (0, 8) ? 0x40 + g_test_rand_int_range (0, 4) : 0x61);

      if (g_test_rand_int_range (0, 2))
        OUT (port, (uint8_t) g_test_rand_int ());
      else
        IN (port);
      if (g_test_rand_int_range (0, 16) == 0)
        rig_advance (&b->isa.rig, g_test_rand_int_range (0, 50000));
    }
  isa_rig_clear (&b->isa);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/i8254/rate", test_rate);
  g_test_add_func ("/i8254/one-shot", test_one_shot);
  g_test_add_func ("/i8254/latches", test_latches);
  g_test_add_func ("/i8254/bcd", test_bcd);
  g_test_add_func ("/i8254/next-count", test_next_count);
  g_test_add_func ("/i8254/gate", test_gate);
  g_test_add_func ("/i8254/refresh", test_refresh);
  g_test_add_func ("/i8254/random", test_random);
  return g_test_run ();
}
