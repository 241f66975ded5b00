/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 8259 pair by its data sheet: initialisation, priorities, ends of interrupt, poll, edge and level. */
#include "devices/intc/i8259.h"
#include "tests/devices/isa-rig.h"

typedef struct Pair {
  IsaRig    isa;
  VmI8259  *pic[2];
  Probe     intr;
} Pair;

static VmI8259 *
make_pic (Pair *p, bool master)
{
  VmI8259 *pic = (VmI8259 *) vm_device_new (&vm_i8259_type);

  pic->iobase = master ? 0x20 : 0xa0;
  pic->elcr_addr = master ? 0x4d0 : 0x4d1;
  pic->elcr_mask = master ? 0xf8 : 0xde;
  pic->master = master;
  rig_add (&p->isa.rig, pic, &p->isa.bus->parent);
  return pic;
}

static void
init_pic (Pair *p, uint16_t port, uint8_t vector, uint8_t cascade, uint8_t icw4)
{
  rig_outb (&p->isa.rig, port, 0x11);
  rig_outb (&p->isa.rig, port + 1, vector);
  rig_outb (&p->isa.rig, port + 1, cascade);
  rig_outb (&p->isa.rig, port + 1, icw4);
}

static void
pair_init (Pair *p)
{
  memset (p, 0, sizeof *p);
  isa_rig_init (&p->isa, 0);
  p->pic[0] = make_pic (p, true);
  p->pic[1] = make_pic (p, false);
  p->pic[0]->slave = p->pic[1];
  p->pic[0]->intr = probe_irq (&p->intr);
  p->pic[1]->intr = vm_i8259_input (p->pic[0], 2);
  init_pic (p, 0x20, 0x08, 4, 1);
  init_pic (p, 0xa0, 0x70, 2, 1);
}

static void
set (Pair *p, unsigned n, int level)
{
  VmIrq irq = vm_i8259_input (p->pic[n / 8], n & 7);

  vm_irq_set (&irq, level);
}

#define IN(port) rig_inb (&p->isa.rig, (port))
#define OUT(port, value) rig_outb (&p->isa.rig, (port), (value))

static void
test_basic (void)
{
  Pair pair, *p = &pair;

  pair_init (p);
  set (p, 4, 1);
  g_assert_cmpint (p->intr.level, ==, 1);
  OUT (0x21, 0x10);
  g_assert_cmpint (p->intr.level, ==, 0);
  g_assert_cmphex (IN (0x21), ==, 0x10);
  OUT (0x21, 0);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x0c);
  g_assert_cmpint (p->intr.level, ==, 0);
  OUT (0x20, 0x0b);
  g_assert_cmphex (IN (0x20), ==, 0x10); /* in service */
  set (p, 5, 1);
  g_assert_cmpint (p->intr.level, ==, 0); /* lower */
  set (p, 1, 1);
  g_assert_cmpint (p->intr.level, ==, 1); /* higher */
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x09);
  OUT (0x20, 0x20);
  g_assert_cmphex (IN (0x20), ==, 0x10);
  OUT (0x20, 0x64); /* specific */
  g_assert_cmphex (IN (0x20), ==, 0);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x0d);
  OUT (0x20, 0x20);
  /* Edge: the line still high does not ask again. */
  g_assert_cmpint (p->intr.level, ==, 0);
  set (p, 4, 0);
  set (p, 4, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x0c);
  isa_rig_clear (&p->isa);
}

static void
test_cascade (void)
{
  Pair pair, *p = &pair;

  pair_init (p);
  set (p, 12, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x74);
  OUT (0xa0, 0x0b);
  OUT (0x20, 0x0b);
  g_assert_cmphex (IN (0xa0), ==, 0x10);
  g_assert_cmphex (IN (0x20), ==, 0x04);
  /* Without the special fully nested mode, a higher slave input waits. */
  set (p, 8, 1);
  g_assert_cmpint (p->intr.level, ==, 0);
  OUT (0xa0, 0x20);
  OUT (0x20, 0x20);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x70);
  OUT (0xa0, 0x20);
  OUT (0x20, 0x20);
  /* With it, it does not. */
  init_pic (p, 0x20, 0x08, 4, 0x11);
  set (p, 12, 0);
  set (p, 8, 0);
  set (p, 12, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x74);
  set (p, 8, 1);
  g_assert_cmpint (p->intr.level, ==, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x70);
  isa_rig_clear (&p->isa);
}

static void
test_spurious (void)
{
  Pair pair, *p = &pair;

  pair_init (p);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x0f);
  OUT (0x20, 0x0b);
  g_assert_cmphex (IN (0x20), ==, 0);
  /* Of the slave: the master has it in service, the slave has not. */
  set (p, 10, 1);
  OUT (0xa1, 0x04);
  set (p, 2, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x77);
  g_assert_cmphex (IN (0x20), ==, 0x04);
  isa_rig_clear (&p->isa);
}

static void
test_level (void)
{
  Pair pair, *p = &pair;

  pair_init (p);
  OUT (0x4d1, 0xff);
  g_assert_cmphex (IN (0x4d1), ==, 0xde);
  OUT (0x4d0, 0xff);
  g_assert_cmphex (IN (0x4d0), ==, 0xf8);
  set (p, 11, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x73);
  OUT (0xa0, 0x20);
  OUT (0x20, 0x20);
  g_assert_cmpint (p->intr.level, ==, 1); /* still asking */
  set (p, 11, 0);
  g_assert_cmpint (p->intr.level, ==, 0);
  isa_rig_clear (&p->isa);
}

static void
test_rotate (void)
{
  Pair pair, *p = &pair;

  pair_init (p);
  OUT (0x20, 0xc0 | 3); /* 3 is lowest, so 4 highest */
  set (p, 0, 1);
  set (p, 5, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x0d);
  OUT (0x20, 0xa0); /* rotate on non-specific EOI: 5 becomes lowest */
  set (p, 6, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x0e);
  OUT (0x20, 0xe6); /* rotate on specific */
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x08);
  OUT (0x20, 0x20);
  /* Automatic EOI with rotation. */
  init_pic (p, 0x20, 0x08, 4, 3);
  OUT (0x20, 0x80);
  set (p, 0, 0);
  set (p, 1, 0);
  set (p, 0, 1);
  set (p, 1, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x08);
  OUT (0x20, 0x0b);
  g_assert_cmphex (IN (0x20), ==, 0);
  set (p, 0, 0);
  set (p, 0, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x09);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x08);
  isa_rig_clear (&p->isa);
}

static void
test_special_mask_and_poll (void)
{
  Pair pair, *p = &pair;

  pair_init (p);
  set (p, 1, 1);
  g_assert_cmpint (vm_i8259_acknowledge (p->pic[0]), ==, 0x09);
  set (p, 4, 1);
  g_assert_cmpint (p->intr.level, ==, 0);
  OUT (0x21, 0x02);
  OUT (0x20, 0x68); /* special mask on: a masked one in service holds nobody up */
  g_assert_cmpint (p->intr.level, ==, 1);
  OUT (0x20, 0x0c); /* poll */
  g_assert_cmphex (IN (0x20), ==, 0x84);
  OUT (0x20, 0x0c);
  g_assert_cmphex (IN (0x20), ==, 0x00);
  OUT (0x20, 0x48);
  OUT (0x20, 0x0a);
  isa_rig_clear (&p->isa);
}

/* Any sequence of writes and lines: no crash, and the output tells what an acknowledge gives. */
static void
test_random (void)
{
  Pair pair, *p = &pair;
  static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };

  pair_init (p);
  for (int i = 0; i < 20000; i++)
    switch (g_test_rand_int_range (0, 4))
      {
      case 0:
        OUT (ports[g_test_rand_int_range (0, 6)], (uint8_t) g_test_rand_int ());
        break;
      case 1:
        IN (ports[g_test_rand_int_range (0, 6)]);
        break;
      case 2:
        set (p, (unsigned) g_test_rand_int_range (0, 16), g_test_rand_int_range (0, 2));
        break;
      default:
        if (p->intr.level)
          vm_i8259_acknowledge (p->pic[0]);
        break;
      }
  isa_rig_clear (&p->isa);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/i8259/basic", test_basic);
  g_test_add_func ("/i8259/cascade", test_cascade);
  g_test_add_func ("/i8259/spurious", test_spurious);
  g_test_add_func ("/i8259/level", test_level);
  g_test_add_func ("/i8259/rotate", test_rotate);
  g_test_add_func ("/i8259/special-mask-and-poll", test_special_mask_and_poll);
  g_test_add_func ("/i8259/random", test_random);
  return g_test_run ();
}
