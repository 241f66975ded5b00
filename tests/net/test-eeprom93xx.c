/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wires of a 93C46 and a 93C66, bit by bit. */
#include "devices/net/eeprom93xx.h"

static void
send_bits (VmEeprom93xx *e, uint32_t bits, unsigned n)
{
  while (n--)
    {
      bool di = bits >> n & 1;

      vm_eeprom93xx_write (e, true, false, di);
      vm_eeprom93xx_write (e, true, true, di);
      vm_eeprom93xx_write (e, true, false, di);
    }
}

static uint16_t
get_word (VmEeprom93xx *e)
{
  uint16_t value = 0;

  for (int i = 0; i < 16; i++)
    {
      vm_eeprom93xx_write (e, true, true, false);
      value = value << 1 | vm_eeprom93xx_read (e);
      vm_eeprom93xx_write (e, true, false, false);
    }
  return value;
}

/* Start bit, operation and address; chip select stays. */
static void
command (VmEeprom93xx *e, unsigned operation, unsigned address)
{
  unsigned bits = e->n > 64 ? 8 : 6;

  vm_eeprom93xx_write (e, false, false, false);
  vm_eeprom93xx_write (e, true, false, false);
  send_bits (e, 0, 2); /* zeros before the start bit do not count */
  send_bits (e, 4 | operation, 3);
  send_bits (e, address >> 1, bits - 1);
  g_assert_true (vm_eeprom93xx_read (e));
  send_bits (e, address & 1, 1);
}

static uint16_t
read_word (VmEeprom93xx *e, unsigned address)
{
  command (e, 2, address);
  g_assert_false (vm_eeprom93xx_read (e)); /* drivers find out the size by this zero */
  return get_word (e);
}

static void
write_word (VmEeprom93xx *e, unsigned address, uint16_t value)
{
  command (e, 1, address);
  send_bits (e, value, 16);
  vm_eeprom93xx_write (e, false, false, false);
  vm_eeprom93xx_write (e, true, false, false);
  g_assert_true (vm_eeprom93xx_read (e)); /* ready */
}

static void
check (unsigned n)
{
  VmEeprom93xx e;
  unsigned enable = n > 64 ? 0xc0 : 0x30;

  vm_eeprom93xx_init (&e, n);
  for (unsigned i = 0; i < n; i++)
    e.words[i] = i * 0x0101 ^ 0x8001;
  for (unsigned i = 0; i < n; i++)
    g_assert_cmphex (read_word (&e, i), ==, (uint16_t) (i * 0x0101 ^ 0x8001));
  /* On and around. */
  g_assert_cmphex (read_word (&e, n - 1), ==, e.words[n - 1]);
  g_assert_cmphex (get_word (&e), ==, e.words[0]);
  g_assert_cmphex (get_word (&e), ==, e.words[1]);
  /* Written only when allowed. */
  write_word (&e, 5, 0x1234);
  g_assert_cmphex (read_word (&e, 5), !=, 0x1234);
  command (&e, 0, enable);
  write_word (&e, 5, 0x1234);
  g_assert_cmphex (read_word (&e, 5), ==, 0x1234);
  command (&e, 3, 5);
  g_assert_cmphex (read_word (&e, 5), ==, 0xffff);
  command (&e, 0, enable / 3); /* all of them */
  send_bits (&e, 0x5678, 16);
  g_assert_cmphex (read_word (&e, 0), ==, 0x5678);
  g_assert_cmphex (read_word (&e, n - 1), ==, 0x5678);
  command (&e, 0, 0);
  write_word (&e, 5, 0x1234);
  g_assert_cmphex (read_word (&e, 5), ==, 0x5678);
  command (&e, 0, enable);
  command (&e, 0, enable / 3 * 2);
  g_assert_cmphex (read_word (&e, 9), ==, 0xffff);
}

static void
test_93c46 (void)
{
  check (64);
}

static void
test_93c66 (void)
{
  check (256);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/eeprom93xx/93c46", test_93c46);
  g_test_add_func ("/eeprom93xx/93c66", test_93c66);
  return g_test_run ();
}
