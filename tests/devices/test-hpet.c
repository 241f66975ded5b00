/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The HPET by its specification: counter, one-shot and periodic comparators, levels, legacy routes. */
#include "devices/timer/hpet.h"
#include "tests/devices/rig.h"

#define BASE UINT64_C (0xfed00000)

typedef struct Bench {
  Rig     rig;
  VmHpet *hpet;
  Probe   irq[32], pit, rtc;
} Bench;

#define GET(reg, size) rig_load (&b->rig, BASE + (reg), (size))
#define PUT(reg, value, size) rig_store (&b->rig, BASE + (reg), (value), (size))

static void
bench_init (Bench *b, bool msi)
{
  memset (b, 0, sizeof *b);
  rig_init (&b->rig, VM_MIB);
  b->hpet = (VmHpet *) vm_device_new (&vm_hpet_type);
  b->hpet->intcap = 1 << 2;
  b->hpet->msi = msi;
  for (int i = 0; i < 32; i++)
    b->hpet->irq[i] = probe_irq (&b->irq[i]);
  b->hpet->pit_disable = probe_irq (&b->pit);
  b->hpet->rtc_disable = probe_irq (&b->rtc);
  rig_add (&b->rig, b->hpet, NULL);
  vm_region_add (&b->rig.system_memory, BASE, &b->hpet->region);
}

static void
bench_clear (Bench *b)
{
  rig_remove (b->hpet);
  rig_clear (&b->rig);
}

static void
test_counter (void)
{
  Bench bench, *b = &bench;

  bench_init (b, false);
  g_assert_cmphex (GET (0, 8), ==, UINT64_C (0x009896808086a201));
  PUT (0xf0, UINT64_C (0xfffffff0), 8);
  rig_advance (&b->rig, 1000);
  g_assert_cmphex (GET (0xf0, 8), ==, 0xfffffff0);
  PUT (0x10, 1, 4);
  rig_advance (&b->rig, 1000);
  g_assert_cmphex (GET (0xf0, 8), ==, UINT64_C (0x100000054));
  g_assert_cmphex (GET (0xf4, 4), ==, 1);
  PUT (0x10, 0, 4);
  rig_advance (&b->rig, 1000);
  g_assert_cmphex (GET (0xf0, 8), ==, UINT64_C (0x100000054));
  bench_clear (b);
}

static void
test_one_shot (void)
{
  Bench bench, *b = &bench;

  bench_init (b, false);
  PUT (0x10, 1, 4);
  PUT (0x100, 2 << 9 | 1 << 2, 4);
  g_assert_cmphex (GET (0x104, 4), ==, 4);
  PUT (0x108, 100000, 8); /* 1 ms */
  rig_advance (&b->rig, 999000);
  g_assert_cmpint (b->irq[2].rises, ==, 0);
  rig_advance (&b->rig, 2000);
  g_assert_cmpint (b->irq[2].rises, ==, 1);
  rig_advance (&b->rig, VM_NS_PER_SEC);
  g_assert_cmpint (b->irq[2].rises, ==, 1);
  /* Level: stays until acknowledged. */
  PUT (0x120, 2 << 9 | 1 << 2 | 1 << 1, 4);
  PUT (0x128, GET (0xf0, 8) + 5000, 8);
  rig_advance (&b->rig, 60000);
  g_assert_cmpint (b->irq[2].level, ==, 1);
  g_assert_cmphex (GET (0x20, 4), ==, 2);
  PUT (0x20, 2, 4);
  g_assert_cmpint (b->irq[2].level, ==, 0);
  bench_clear (b);
}

static void
test_periodic_legacy (void)
{
  Bench bench, *b = &bench;

  bench_init (b, false);
  PUT (0x10, 3, 4);
  g_assert_cmpint (b->pit.level, ==, 1);
  g_assert_cmpint (b->rtc.level, ==, 1);
  PUT (0x100, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8, 4);
  PUT (0x108, GET (0xf0, 4) + 100000, 4);
  PUT (0x108, 100000, 4);
  rig_advance (&b->rig, 100 * VM_NS_PER_MS + 100);
  g_assert_cmpint (b->irq[0].rises, ==, 100);
  PUT (0x10, 1, 4);
  g_assert_cmpint (b->pit.level, ==, 0);
  vm_device_reset (&b->hpet->parent, VM_RESET_COLD);
  rig_advance (&b->rig, VM_NS_PER_SEC);
  g_assert_cmpint (b->irq[0].rises, ==, 100);
  bench_clear (b);
}

/* A comparator that ticks for nobody costs no timer each period, and nothing that the guest sees tells. */
static void
test_silent (void)
{
  Bench bench, *b = &bench;

  for (int wide = 0; wide < 2; wide++)
    {
      unsigned size = wide ? 8 : 4, mode = 1 << 3 | (wide ? 0 : 1 << 8);

      bench_init (b, false);
      PUT (0xf0, UINT64_C (0xffff0000), 8); /* soon at the end of 32 bits */
      PUT (0x10, 1, 4);
      PUT (0x100, mode | 1 << 6, 4);
      PUT (0x108, GET (0xf0, size) + 300000, size);
      PUT (0x108, 100000, size);
      uint64_t first = GET (0x108, size);
      int64_t begin = rig_now (&b->rig);
      for (int i = 0; i < 200; i++)
        {
          int64_t step = g_test_rand_int_range (0, 400 * VM_NS_PER_MS);

          g_assert_cmpint (b->hpet->timer[0].timer.expire, >, rig_now (&b->rig) + VM_NS_PER_MS / 2);
          rig_advance (&b->rig, step);
          int64_t ticks = (rig_now (&b->rig) - begin) / 10;
          uint64_t want = first + (ticks < 300000 ? 0 : (uint64_t) (ticks - 300000) / 100000 * 100000 + 100000);
          if (i % 3 == 0)
            g_assert_cmphex (GET (0x108, size), ==, wide ? want : (uint32_t) want);
        }
      /* Not one timer a period. */
      uint64_t slept = (uint64_t) (b->hpet->timer[0].timer.expire - rig_now (&b->rig));
      rig_advance (&b->rig, 5 * VM_NS_PER_SEC);
      rig_advance (&b->rig, 5 * VM_NS_PER_SEC);
      g_assert_cmpuint (slept, >, VM_NS_PER_SEC);
      /* Seen again, it is in phase. */
      uint64_t next = GET (0x108, size);
      if ((uint32_t) (next - GET (0xf0, size)) < 2000) /* too soon to be told in time */
        {
          rig_advance (&b->rig, 20000);
          next = GET (0x108, size);
        }
      g_assert_cmpint (b->irq[2].rises, ==, 0);
      PUT (0x100, 2 << 9 | mode | 1 << 2, 4);
      g_assert_cmphex (GET (0x108, size), ==, next);
      rig_advance (&b->rig, (int64_t) (uint32_t) (next - GET (0xf0, size)) * 10 - 10);
      g_assert_cmpint (b->irq[2].rises, ==, 0);
      rig_advance (&b->rig, 20);
      g_assert_cmpint (b->irq[2].rises, ==, 1);
      rig_advance (&b->rig, 100 * VM_NS_PER_MS);
      g_assert_cmpint (b->irq[2].rises, ==, 101);
      /* Halted, the comparator stands. */
      PUT (0x100, 2 << 9 | mode, 4);
      rig_advance (&b->rig, VM_NS_PER_SEC);
      PUT (0x10, 0, 4);
      next = GET (0x108, size);
      g_assert_cmpuint ((uint32_t) (next - GET (0xf0, size)), <=, 100000);
      rig_advance (&b->rig, VM_NS_PER_SEC);
      g_assert_cmphex (GET (0x108, size), ==, next);
      bench_clear (b);
    }
}

static void
test_messages (void)
{
  Bench bench, *b = &bench;

  bench_init (b, true);
  g_assert_cmphex (GET (0x100, 4) & 0x8000, ==, 0x8000);
  PUT (0x110, UINT64_C (0x0000100000004321), 8);
  PUT (0x10, 1, 4);
  PUT (0x100, 1 << 14 | 1 << 2, 4);
  PUT (0x108, 5000, 8);
  rig_advance (&b->rig, 60000);
  g_assert_cmphex (rig_load (&b->rig, 0x1000, 4), ==, 0x4321);
  bench_clear (b);
}

static void
test_random (void)
{
  Bench bench, *b = &bench;

  bench_init (b, true);
  for (int i = 0; i < 10000; i++)
    {
      unsigned size = 1u << g_test_rand_int_range (2, 4), reg = (unsigned) g_test_rand_int_range (0, 0x180) & ~(size - 1);
      uint64_t value = (uint64_t) (uint32_t) g_test_rand_int () << (g_test_rand_int_range (0, 5) * 8) | (uint32_t) g_test_rand_int ();

      if (g_test_rand_int_range (0, 2))
        PUT (reg, value, size);
      else
        GET (reg, size);
      if (i % 8 == 0)
        rig_advance (&b->rig, g_test_rand_int_range (0, 50000));
    }
  bench_clear (b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hpet/counter", test_counter);
  g_test_add_func ("/hpet/one-shot", test_one_shot);
  g_test_add_func ("/hpet/periodic-legacy", test_periodic_legacy);
  g_test_add_func ("/hpet/silent", test_silent);
  g_test_add_func ("/hpet/messages", test_messages);
  g_test_add_func ("/hpet/random", test_random);
  return g_test_run ();
}
