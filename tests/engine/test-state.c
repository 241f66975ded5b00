/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Saving and loading: round trip, versions, everything that can be wrong with a stream. */
#include "tests/engine/state-machine.h"

static void
fill (Gadget *self, unsigned seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  self->mode = g_rand_int_range (rand, 0, 100);
  self->on = seed & 1;
  self->flags[1] = true;
  self->big = (uint64_t) g_rand_int (rand) << 32 | g_rand_int (rand);
  for (unsigned i = 0; i < G_N_ELEMENTS (self->table); i++)
    self->table[i] = (int16_t) g_rand_int (rand);
  self->fifo.head = 3;
  self->fifos[1].data[2] = 77;
  self->newer = g_rand_int (rand);
  memset (self->heap, seed, self->heap_size);
  vm_timer_set (&self->timer, 5000 + seed);
}

static void
check_same (SmallMachine *machine, const GByteArray *expected)
{
  g_autoptr (GByteArray) now = small_machine_save (machine);

  g_assert_cmpmem (now->data, now->len, expected->data, expected->len);
}

static void
test_round_trip (void)
{
  SmallMachine from, to;
  g_autoptr (GError) error = NULL;

  small_machine_init (&from, &gadget_type);
  small_machine_init (&to, &gadget_type);
  fill (from.a, 1);
  fill (from.b, 2);
  from.extra.head = 999;
  vm_clocks_set_virtual (from.env.clocks, 123456789);
  vm_timer_set (&to.b->timer, 1);
  g_autoptr (GByteArray) stream = small_machine_save (&from);
  g_assert_true (small_machine_load (&to, stream->data, stream->len, &error));
  g_assert_no_error (error);
  check_same (&to, stream);
  g_assert_cmpuint (to.a->big, ==, from.a->big);
  g_assert_cmpint (to.b->timer.expire, ==, 5002);
  g_assert_cmpint (vm_clocks_next_deadline (to.env.clocks, VM_CLOCK_VIRTUAL), ==, 5001);
  g_assert_cmpuint (to.a->derived, ==, from.a->mode * 2u);
  g_assert_cmpint (vm_clock_now (to.env.clocks, VM_CLOCK_VIRTUAL), ==, 123456789);
  small_machine_clear (&from);
  small_machine_clear (&to);
}

static void
test_real_timer_keeps_what_is_left (void)
{
  SmallMachine from, to;

  small_machine_init (&from, &gadget_type);
  small_machine_init (&to, &gadget_type);
  int64_t now = vm_clock_now (from.env.clocks, VM_CLOCK_REALTIME);
  vm_timer_set (&from.a->real_timer, now + VM_NS_PER_SEC);
  g_autoptr (GByteArray) stream = small_machine_save (&from);
  g_usleep (2000);
  g_assert_true (small_machine_load (&to, stream->data, stream->len, NULL));
  g_assert_cmpint (to.a->real_timer.expire, >, now + VM_NS_PER_SEC);
  g_assert_cmpint (to.a->real_timer.expire, <, now + 20 * VM_NS_PER_SEC);
  g_assert_false (vm_timer_pending (&to.b->real_timer));
  small_machine_clear (&from);
  small_machine_clear (&to);
}

static void
test_versions (void)
{
  SmallMachine old, new;
  g_autoptr (GError) error = NULL;

  small_machine_init (&old, &gadget_v1_type);
  small_machine_init (&new, &gadget_type);
  fill (old.a, 3);
  new.a->newer = 1234;
  g_autoptr (GByteArray) stream = small_machine_save (&old);
  g_assert_true (small_machine_load (&new, stream->data, stream->len, &error));
  g_assert_cmpuint (new.a->newer, ==, 1234);
  g_assert_cmpuint (new.a->big, ==, old.a->big);
  g_autoptr (GByteArray) newer = small_machine_save (&new);
  g_assert_false (small_machine_load (&old, newer->data, newer->len, &error));
  g_assert_cmpstr (error->message, ==, "/machine/peripheral/a: version 2 of 'gadget' is not supported, "
                                       "the newest known is 1");
  small_machine_clear (&old);
  small_machine_clear (&new);
}

static void
check_refused (SmallMachine *machine, const uint8_t *data, size_t size, const char *message)
{
  g_autoptr (GByteArray) before = small_machine_save (machine);
  g_autoptr (GError) error = NULL;

  g_assert_false (small_machine_load (machine, data, size, &error));
  g_assert_nonnull (error);
  if (message)
    g_assert_cmpstr (error->message, ==, message);
  check_same (machine, before);
}

/* The stream with the bytes of FROM replaced by those of TO, of the same length. */
static void
check_refused_with (SmallMachine *machine, const GByteArray *stream, const char *from, const char *to,
                    size_t size, const char *message)
{
  g_autofree uint8_t *copy = g_memdup2 (stream->data, stream->len);
  uint8_t *at = memmem (copy, stream->len, from, size);

  g_assert_nonnull (at);
  memcpy (at, to, size);
  check_refused (machine, copy, stream->len, message);
}

static void
test_refusals (void)
{
  SmallMachine machine;

  small_machine_init (&machine, &gadget_type);
  fill (machine.a, 4);
  machine.a->on = true;
  g_autoptr (GByteArray) stream = small_machine_save (&machine);
  fill (machine.a, 5); /* so that a change would show */
#define WITH(from, to, message)                                                                  \
  check_refused_with (&machine, stream, from, to, sizeof (from) - 1, message)
  WITH ("VTRN", "QEVM", "this is not a saved machine");
  WITH ("VTRNSAVE\1", "VTRNSAVE\2", "the machine was saved in a format that is not supported (2)");
  WITH ("\3big", "\3bug", "/machine/peripheral/a: saved field 'bug' is unknown");
  WITH ("\5fifos", "\5flags", "/machine/peripheral/a: saved field 'flags' is there twice");
  WITH ("/peripheral/a", "/peripheral/z", "/machine/peripheral/z: saved, but not part of this machine");
  WITH ("/peripheral/a", "/peripheral/b", NULL);
  WITH ("/peripheral/b", "/peripheral/a", "/machine/peripheral/a: saved twice");
  WITH ("\6gadget\2", "\6gadgut\2", "/machine/peripheral/a: saved as 'gadgut', but here it is 'gadget'");
  WITH ("\6gadget\2", "\6gadget\1", "/machine/peripheral/a: saved field 'newer' is unknown");
#undef WITH
  small_machine_clear (&machine);
}

static void
test_field_values (void)
{
  SmallMachine machine;

  small_machine_init (&machine, &gadget_type);
  machine.a->on = true;
  machine.a->mode = 7;
  g_autoptr (GByteArray) stream = small_machine_save (&machine);
  machine.a->mode = 8;
  machine.a->derived = 16;
#define WITH(from, to, message)                                                                  \
  check_refused_with (&machine, stream, from, to, sizeof (from) - 1, message)
  WITH ("\2on\1\0\0\0\1", "\2on\1\0\0\0\2",
        "/machine/peripheral/a: saved field 'on' is neither true nor false");
  WITH ("\4mode\1\0\0\0\7", "\4mode\1\0\0\0\xf0", "mode 240 does not exist");
  WITH ("\5timer\10\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", "\5timer\10\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff",
        "/machine/peripheral/a: saved timer 'timer' has an impossible value");
  WITH ("virtual\10\0\0\0", "virtual\7\0\0\0", NULL);
  WITH ("virtual", "virtuax", "clock: saved state is damaged");
#undef WITH
  g_assert_cmpuint (machine.a->derived, ==, 16);
  /* A heap of another size. */
  SmallMachine other;
  small_machine_init (&other, &gadget_type);
  other.a->heap = g_realloc (other.a->heap, 9);
  other.a->heap_size = 9;
  other.a->heap[8] = 0;
  check_refused (&other, stream->data, stream->len,
                 "/machine/peripheral/a: saved field 'heap' has 8 bytes instead of 9");
  small_machine_clear (&other);
  small_machine_clear (&machine);
}

static void
test_missing (void)
{
  SmallMachine machine;
  GByteArray *array = g_byte_array_new ();
  VmStateWriter writer = { vm_state_write_array, array };

  small_machine_init (&machine, &gadget_type);
  vm_state_write_header (&writer, NULL);
  vm_state_write_end (&writer, NULL);
  check_refused (&machine, array->data, array->len, "/machine/peripheral/a: no saved state for it");
  g_byte_array_set_size (array, 16);
  vm_state_write_section (&writer, "weird", "x", "", 0, NULL);
  check_refused (&machine, array->data, array->len, "what is this");
  g_byte_array_set_size (array, 16);
  vm_state_write_section (&writer, "object", "/machine/peripheral/a", "\6gadget\2\0\0\0\0", 12, NULL);
  check_refused (&machine, array->data, array->len, "/machine/peripheral/a: saved field 'mode' is missing");
  g_byte_array_unref (array);
  small_machine_clear (&machine);
}

/* Every shorter stream is refused; with any one byte changed nothing bad happens. */
static void
test_damage (void)
{
  SmallMachine machine;

  small_machine_init (&machine, &gadget_type);
  fill (machine.a, 6);
  fill (machine.b, 7);
  g_autoptr (GByteArray) stream = small_machine_save (&machine);
  for (size_t size = 0; size < stream->len; size++)
    {
      g_autofree uint8_t *copy = g_memdup2 (stream->data, MAX (size, 1));

      check_refused (&machine, copy, size, size >= 16 ? NULL : "saved state ends early");
    }
  for (size_t i = 0; i < stream->len; i++)
    for (unsigned bit = 0; bit < 8; bit += 7)
      {
        g_autoptr (GByteArray) before = small_machine_save (&machine);
        g_autofree uint8_t *copy = g_memdup2 (stream->data, stream->len);

        copy[i] ^= 1u << bit;
        if (!small_machine_load (&machine, copy, stream->len, NULL))
          check_same (&machine, before);
        /* What is left of these shrinks while we compare. */
        vm_timer_cancel (&machine.a->real_timer);
        vm_timer_cancel (&machine.b->real_timer);
      }
  g_assert_true (small_machine_load (&machine, stream->data, stream->len, NULL));
  check_same (&machine, stream);
  small_machine_clear (&machine);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/state/round-trip", test_round_trip);
  g_test_add_func ("/state/real-timer", test_real_timer_keeps_what_is_left);
  g_test_add_func ("/state/versions", test_versions);
  g_test_add_func ("/state/refusals", test_refusals);
  g_test_add_func ("/state/field-values", test_field_values);
  g_test_add_func ("/state/missing", test_missing);
  g_test_add_func ("/state/damage", test_damage);
  return g_test_run ();
}
