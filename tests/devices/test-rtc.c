/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real-time clock by its data sheet: formats, setting, update, alarm and periodic interrupts. */
#include "devices/timer/mc146818.h"
#include "tests/devices/isa-rig.h"

typedef struct Bench {
  IsaRig      isa;
  VmMc146818 *rtc;
} Bench;

static uint8_t
get (Bench *b, uint8_t index)
{
  rig_outb (&b->isa.rig, 0x70, index);
  return rig_inb (&b->isa.rig, 0x71);
}

static void
put (Bench *b, uint8_t index, uint8_t value)
{
  rig_outb (&b->isa.rig, 0x70, index);
  rig_outb (&b->isa.rig, 0x71, value);
}

/* The clock runs on the host's time; here it is put on the virtual one, at 2024-02-28 23:59:58. */
static void
bench_init (Bench *b)
{
  static const int64_t start = INT64_C (1709164798);

  memset (b, 0, sizeof *b);
  isa_rig_init (&b->isa, 0);
  b->rtc = (VmMc146818 *) vm_device_new (&vm_mc146818_type);
  b->rtc->base_year = 0;
  rig_add (&b->isa.rig, b->rtc, &b->isa.bus->parent);
  vm_timer_cancel (&b->rtc->update_timer);
  b->rtc->clock = VM_CLOCK_VIRTUAL;
  b->rtc->update_timer.type = VM_CLOCK_VIRTUAL;
  b->rtc->offset_seconds = start - rig_now (&b->isa.rig) / VM_NS_PER_SEC;
  b->rtc->offset_ns = 0;
  b->rtc->last_second = start;
}

static void
seconds (Bench *b, int64_t n)
{
  rig_advance (&b->isa.rig, n * VM_NS_PER_SEC);
}

static void
test_calendar (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  g_assert_cmphex (get (b, 0x00), ==, 0x58);
  g_assert_cmphex (get (b, 0x02), ==, 0x59);
  g_assert_cmphex (get (b, 0x04), ==, 0x23);
  g_assert_cmphex (get (b, 0x06), ==, 4); /* Wednesday */
  g_assert_cmphex (get (b, 0x07), ==, 0x28);
  g_assert_cmphex (get (b, 0x08), ==, 0x02);
  g_assert_cmphex (get (b, 0x09), ==, 0x24);
  g_assert_cmphex (get (b, 0x32), ==, 0x20);
  seconds (b, 2); /* a leap year */
  g_assert_cmphex (get (b, 0x07), ==, 0x29);
  seconds (b, 86400);
  g_assert_cmphex (get (b, 0x07), ==, 0x01);
  g_assert_cmphex (get (b, 0x08), ==, 0x03);
  put (b, 0x0b, 0x06); /* binary, 24 hours */
  seconds (b, 13 * 3600 + 45);
  g_assert_cmpint (get (b, 0x04), ==, 13);
  g_assert_cmpint (get (b, 0x00), ==, 45);
  put (b, 0x0b, 0x04); /* 12 hours */
  g_assert_cmphex (get (b, 0x04), ==, 0x81);
  put (b, 0x0b, 0x02);
  isa_rig_clear (&b->isa);
}

static void
test_set (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  put (b, 0x0b, 0x82); /* SET: the clock stands */
  put (b, 0x00, 0x30);
  put (b, 0x02, 0x15);
  put (b, 0x04, 0x07);
  put (b, 0x07, 0x31);
  put (b, 0x08, 0x12);
  put (b, 0x09, 0x99);
  put (b, 0x32, 0x19);
  seconds (b, 100);
  g_assert_cmphex (get (b, 0x00), ==, 0x30);
  put (b, 0x0b, 0x02);
  g_assert_cmphex (get (b, 0x00), ==, 0x30);
  seconds (b, 86400);
  g_assert_cmphex (get (b, 0x32), ==, 0x20);
  g_assert_cmphex (get (b, 0x37), ==, 0x20);
  g_assert_cmphex (get (b, 0x09), ==, 0x00);
  g_assert_cmphex (get (b, 0x07), ==, 0x01);
  /* The divider in reset stops it too; the first update comes half a second later. */
  put (b, 0x0a, 0x66);
  g_assert_cmphex (get (b, 0x00), ==, 0x30);
  seconds (b, 10);
  g_assert_cmphex (get (b, 0x00), ==, 0x30);
  put (b, 0x0a, 0x26);
  rig_advance (&b->isa.rig, 501 * VM_NS_PER_MS);
  g_assert_cmphex (get (b, 0x00), ==, 0x31);
  isa_rig_clear (&b->isa);
}

static void
test_update (void)
{
  Bench bench, *b = &bench;
  Probe *line = &b->isa.line[8];

  bench_init (b);
  get (b, 0x0c);
  g_assert_cmphex (get (b, 0x0c), ==, 0);
  rig_advance (&b->isa.rig, VM_NS_PER_SEC - 100 * VM_NS_PER_US);
  g_assert_cmphex (get (b, 0x0a) & 0x80, ==, 0x80);
  rig_advance (&b->isa.rig, 200 * VM_NS_PER_US);
  g_assert_cmphex (get (b, 0x0a) & 0x80, ==, 0);
  g_assert_cmphex (get (b, 0x0c) & 0x90, ==, 0x10); /* the flag comes without an interrupt too */
  put (b, 0x0b, 0x12);
  seconds (b, 1);
  g_assert_cmpint (line->level, ==, 1);
  g_assert_cmphex (get (b, 0x0c) & 0x90, ==, 0x90);
  g_assert_cmpint (line->level, ==, 0);
  seconds (b, 1);
  g_assert_cmpint (line->level, ==, 1);
  isa_rig_clear (&b->isa);
}

static void
test_alarm (void)
{
  Bench bench, *b = &bench;
  Probe *line = &b->isa.line[8];

  bench_init (b);
  put (b, 0x01, 0x05);
  put (b, 0x03, 0x01);
  put (b, 0x05, 0x00);
  get (b, 0x0c);
  put (b, 0x0b, 0x22);
  seconds (b, 66);
  g_assert_cmpint (line->level, ==, 0);
  seconds (b, 1);
  g_assert_cmpint (line->level, ==, 1);
  g_assert_cmpint (b->isa.rig.wakeups, ==, 1);
  g_assert_cmphex (get (b, 0x0c) & 0xa0, ==, 0xa0);
  put (b, 0x03, 0xff); /* each minute */
  put (b, 0x05, 0xff);
  seconds (b, 59);
  g_assert_cmpint (line->level, ==, 0);
  seconds (b, 1);
  g_assert_cmpint (line->level, ==, 1);
  get (b, 0x0c);
  put (b, 0x01, 0x77); /* never */
  seconds (b, 7200);
  g_assert_cmpint (line->level, ==, 0);
  isa_rig_clear (&b->isa);
}

static void
test_periodic (void)
{
  Bench bench, *b = &bench;
  Probe *line = &b->isa.line[8];
  int n = 0;

  bench_init (b);
  put (b, 0x0b, 0x42); /* 1024 Hz */
  for (int i = 0; i < 2000; i++)
    {
      rig_advance (&b->isa.rig, VM_NS_PER_MS / 2);
      if (line->level)
        {
          n++;
          g_assert_cmphex (get (b, 0x0c) & 0xc0, ==, 0xc0);
        }
    }
  g_assert_cmpint (n, >=, 1022);
  g_assert_cmpint (n, <=, 1024);
  /* Slew: those that were not taken come afterwards. */
  b->rtc->lost_tick_policy = VM_LOST_TICK_SLEW;
  rig_advance (&b->isa.rig, 10 * VM_NS_PER_MS);
  for (n = 0; line->level && n < 100; n++)
    get (b, 0x0c);
  g_assert_cmpint (n, >=, 9);
  g_assert_cmpint (n, <=, 12);
  isa_rig_clear (&b->isa);
}

static void
test_cmos (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  vm_mc146818_set_cmos (b->rtc, 0x10, 0x40);
  g_assert_cmphex (get (b, 0x10), ==, 0x40);
  put (b, 0x8f, 0xa5); /* the NMI bit is no address */
  g_assert_cmphex (get (b, 0x0f), ==, 0xa5);
  vm_device_reset (&b->rtc->parent.parent, VM_RESET_COLD);
  g_assert_cmphex (get (b, 0x0f), ==, 0xa5);
  g_assert_cmphex (get (b, 0x0d), ==, 0x80);
  isa_rig_clear (&b->isa);
}

static void
test_random (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  for (int i = 0; i < 20000; i++)
    {
      uint8_t index = (uint8_t) (g_test_rand_int_range (0, 4) ? g_test_rand_int_range (0, 14) : g_test_rand_int ());

      if (g_test_rand_int_range (0, 2))
        put (b, index, (uint8_t) g_test_rand_int ());
      else
        get (b, index);
      if (i % 8 == 0)
        rig_advance (&b->isa.rig, g_test_rand_int_range (0, 300000000));
    }
  isa_rig_clear (&b->isa);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rtc/calendar", test_calendar);
  g_test_add_func ("/rtc/set", test_set);
  g_test_add_func ("/rtc/update", test_update);
  g_test_add_func ("/rtc/alarm", test_alarm);
  g_test_add_func ("/rtc/periodic", test_periodic);
  g_test_add_func ("/rtc/cmos", test_cmos);
  g_test_add_func ("/rtc/random", test_random);
  return g_test_run ();
}
