/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Regions, views, access rules, listeners, dirty log. */
#include "engine/memory/memory.h"
#include "tests/memory/memory-model.h"

#include <sys/eventfd.h>
#include <unistd.h>

typedef struct Call {
  uint64_t offset, value;
  unsigned size;
  bool     is_write;
} Call;

typedef struct Fixture {
  VmLock        *lock;
  bool           taken;
  VmMemory      *memory;
  VmRegion       root, io, ram;
  VmAddressSpace as;
  GArray        *calls;
  uint64_t       answer;
  /* what to do from within a callback */
  bool           reenter;
  VmMemResult    reentered;
} Fixture;

static uint64_t
io_read (void *opaque, uint64_t offset, unsigned size)
{
  Fixture *f = opaque;
  Call call = { offset, 0, size, false };

  g_array_append_val (f->calls, call);
  if (f->reenter)
    vm_as_load (&f->as, 0x1000, 4, VM_MEM_ATTRS_NONE, &f->reentered);
  return f->answer;
}

static void
io_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Fixture *f = opaque;
  Call call = { offset, value, size, true };

  g_array_append_val (f->calls, call);
}

static VmRegionOps io_ops; /* set by each test before use: tests run one after the other */

static void
set_up (Fixture *f, const void *data)
{
  f->lock = vm_lock_new ();
  f->taken = vm_lock_enter (f->lock);
  f->memory = vm_memory_new (f->lock);
  f->calls = g_array_new (FALSE, FALSE, sizeof (Call));
  io_ops = (VmRegionOps) { .read = io_read, .write = io_write };
  vm_region_init (&f->root, f->memory, "root", 0);
  vm_region_init_io (&f->io, f->memory, &io_ops, f, "io", 0x100);
  g_assert_true (vm_region_init_ram (&f->ram, f->memory, "ram", 0x4000, NULL));
  vm_region_add (&f->root, 0x1000, &f->io);
  vm_region_add (&f->root, 0x8000, &f->ram);
  vm_address_space_init (&f->as, f->memory, &f->root, "memory");
}

static void
tear_down (Fixture *f, const void *data)
{
  vm_address_space_destroy (&f->as);
  vm_region_destroy (&f->io);
  vm_region_destroy (&f->ram);
  vm_region_destroy (&f->root);
  vm_memory_free (f->memory);
  g_array_unref (f->calls);
  vm_lock_leave (f->lock, f->taken);
  vm_lock_free (f->lock);
}

static void
expect_call (Fixture *f, unsigned i, bool is_write, uint64_t offset, unsigned size, uint64_t value)
{
  const Call *call = &g_array_index (f->calls, Call, i);

  g_assert_cmpuint (i, <, f->calls->len);
  g_assert_cmpint (call->is_write, ==, is_write);
  g_assert_cmphex (call->offset, ==, offset);
  g_assert_cmpuint (call->size, ==, size);
  g_assert_cmphex (call->value, ==, value);
}

/* --- access rules ------------------------------------------------------------------------------ */

static void
test_wide_is_cut (Fixture *f, const void *data)
{
  io_ops.valid = (VmAccessRules) { 1, 2 };
  g_assert_cmpint (vm_as_store (&f->as, 0x1004, 0x44332211, 4, VM_MEM_ATTRS_NONE), ==, VM_MEM_OK);
  g_assert_cmpuint (f->calls->len, ==, 2);
  expect_call (f, 0, true, 4, 2, 0x2211);
  expect_call (f, 1, true, 6, 2, 0x4433);
}

static void
test_unaligned_is_cut (Fixture *f, const void *data)
{
  g_assert_cmpint (vm_as_store (&f->as, 0x1003, 0x44332211, 4, VM_MEM_ATTRS_NONE), ==, VM_MEM_OK);
  g_assert_cmpuint (f->calls->len, ==, 3);
  expect_call (f, 0, true, 3, 1, 0x11);
  expect_call (f, 1, true, 4, 2, 0x3322);
  expect_call (f, 2, true, 6, 1, 0x44);
}

static void
test_too_narrow_is_refused (Fixture *f, const void *data)
{
  VmMemResult result;

  io_ops.valid = (VmAccessRules) { 4, 4 };
  f->answer = 0x12345678;
  g_assert_cmphex (vm_as_load (&f->as, 0x1001, 1, VM_MEM_ATTRS_NONE, &result), ==, 0xff);
  g_assert_cmpint (result, ==, VM_MEM_DEVICE_ERROR);
  g_assert_cmpint (vm_as_store (&f->as, 0x1002, 0, 4, VM_MEM_ATTRS_NONE), ==, VM_MEM_DEVICE_ERROR);
  g_assert_cmpuint (f->calls->len, ==, 0);
  g_assert_cmphex (vm_as_load (&f->as, 0x1004, 4, VM_MEM_ATTRS_NONE, &result), ==, 0x12345678);
  g_assert_cmpint (result, ==, VM_MEM_OK);
}

static void
test_narrow_is_widened (Fixture *f, const void *data)
{
  io_ops.impl = (VmAccessRules) { 4, 4 };
  f->answer = 0x44332211;
  g_assert_cmphex (vm_as_load (&f->as, 0x1006, 1, VM_MEM_ATTRS_NONE, NULL), ==, 0x33);
  expect_call (f, 0, false, 4, 4, 0);
  vm_as_store (&f->as, 0x1006, 0xabcd, 2, VM_MEM_ATTRS_NONE);
  expect_call (f, 1, true, 4, 4, 0xabcd0000);
}

static void
test_big_endian (Fixture *f, const void *data)
{
  io_ops.big_endian = true;
  io_ops.impl = (VmAccessRules) { 1, 2 };
  vm_as_store (&f->as, 0x1000, 0x44332211, 4, VM_MEM_ATTRS_NONE);
  expect_call (f, 0, true, 0, 2, 0x1122);
  expect_call (f, 1, true, 2, 2, 0x3344);
  f->answer = 0x1122;
  g_assert_cmphex (vm_as_load (&f->as, 0x1000, 2, VM_MEM_ATTRS_NONE, NULL), ==, 0x2211);
}

static void
test_nothing_there (Fixture *f, const void *data)
{
  VmMemResult result;
  uint8_t buf[16];

  g_assert_cmphex (vm_as_load (&f->as, 0x5000, 4, VM_MEM_ATTRS_NONE, &result), ==, 0xffffffff);
  g_assert_cmpint (result, ==, VM_MEM_DECODE_ERROR);
  g_assert_cmpint (vm_as_store (&f->as, 0x5000, 1, 8, VM_MEM_ATTRS_NONE), ==, VM_MEM_DECODE_ERROR);
  /* Over the top of the address space. */
  g_assert_cmpint (vm_as_read (&f->as, UINT64_MAX - 3, VM_MEM_ATTRS_NONE, buf, sizeof buf), ==, VM_MEM_DECODE_ERROR);
  g_assert_cmphex (buf[15], ==, 0xff);
  VmRegion top;
  vm_region_init_io (&top, f->memory, &io_ops, f, "top", 16);
  vm_region_add (&f->root, UINT64_MAX - 15, &top);
  f->answer = 0x11;
  g_assert_cmphex (vm_as_load (&f->as, UINT64_MAX - 1, 4, VM_MEM_ATTRS_NONE, &result), ==, 0xffff0011);
  g_assert_cmpint (result, ==, VM_MEM_DECODE_ERROR);
  vm_region_destroy (&top);
  /* From a register into the void. */
  f->answer = 0;
  g_assert_cmphex (vm_as_load (&f->as, 0x10fe, 4, VM_MEM_ATTRS_NONE, &result), ==, 0xffff0000);
  g_assert_cmpint (result, ==, VM_MEM_DECODE_ERROR);
}

static void
test_reentry (Fixture *f, const void *data)
{
  VmMemResult result;

  f->reenter = true;
  vm_as_load (&f->as, 0x1000, 4, VM_MEM_ATTRS_NONE, &result);
  g_assert_cmpint (result, ==, VM_MEM_OK);
  g_assert_cmpint (f->reentered, ==, VM_MEM_DEVICE_ERROR);
  g_assert_cmpuint (f->calls->len, ==, 1);

  VmReentry mark;
  f->reenter = false;
  vm_memory_owner_enter (f->memory, &mark, f);
  vm_as_load (&f->as, 0x1000, 4, VM_MEM_ATTRS_NONE, &result);
  g_assert_cmpint (result, ==, VM_MEM_DEVICE_ERROR);
  vm_memory_owner_leave (f->memory, &mark);
  vm_as_load (&f->as, 0x1000, 4, VM_MEM_ATTRS_NONE, &result);
  g_assert_cmpint (result, ==, VM_MEM_OK);
}

/* --- RAM, ROM ---------------------------------------------------------------------------------- */

static void
test_rom (Fixture *f, const void *data)
{
  VmRegion rom, flash;
  static const char hello[] = "hello";

  g_assert_true (vm_region_init_rom (&rom, f->memory, "rom", 0x1000, NULL));
  g_assert_true (vm_region_init_rom_device (&flash, f->memory, &io_ops, f, "flash", 0x1000, NULL));
  vm_region_add (&f->root, 0x20000, &rom);
  vm_region_add (&f->root, 0x30000, &flash);
  g_assert_cmpint (vm_as_store (&f->as, 0x20000, 1, 4, VM_MEM_ATTRS_NONE), ==, VM_MEM_OK);
  g_assert_cmphex (vm_as_load (&f->as, 0x20000, 4, VM_MEM_ATTRS_NONE, NULL), ==, 0);
  g_assert_cmpint (vm_as_write_rom (&f->as, 0x20000, hello, sizeof hello), ==, VM_MEM_OK);
  g_assert_cmpstr (vm_region_ram_ptr (&rom), ==, hello);

  vm_as_write_rom (&f->as, 0x30000, hello, sizeof hello);
  g_assert_cmphex (vm_as_load (&f->as, 0x30000, 1, VM_MEM_ATTRS_NONE, NULL), ==, 'h');
  vm_as_store (&f->as, 0x30000, 0x90, 1, VM_MEM_ATTRS_NONE);
  expect_call (f, 0, true, 0, 1, 0x90);
  vm_region_set_romd (&flash, false);
  f->answer = 0x55;
  g_assert_cmphex (vm_as_load (&f->as, 0x30000, 1, VM_MEM_ATTRS_NONE, NULL), ==, 0x55);
  vm_region_set_romd (&flash, true);
  g_assert_cmphex (vm_as_load (&f->as, 0x30000, 1, VM_MEM_ATTRS_NONE, NULL), ==, 'h');
  vm_region_destroy (&rom);
  vm_region_destroy (&flash);
}

static void
test_ram_limits (Fixture *f, const void *data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (vm_ram_block_new (f->memory, "huge", UINT64_MAX - 100, &error));
  g_assert_nonnull (strstr (error->message, "huge"));
  g_assert_null (vm_ram_block_new (f->memory, "none", 0, NULL));
  /* Address space only: no host memory is taken for it. */
  VmRamBlock *big = vm_ram_block_new (f->memory, "big", 64 * VM_GIB, NULL);
  if (big)
    {
      big->host[63 * VM_GIB] = 1;
      vm_ram_block_unref (big);
    }
}

static void
test_map (Fixture *f, const void *data)
{
  uint64_t len = 0x10000;
  VmRamBlock *block;
  uint8_t *host = vm_as_map (&f->as, 0x9000, &len, true, &block);

  g_assert_nonnull (host);
  g_assert_cmphex (len, ==, 0x3000);
  host[0] = 0x77;
  vm_as_unmap (&f->as, host, 1, block);
  g_assert_cmphex (vm_as_load (&f->as, 0x9000, 1, VM_MEM_ATTRS_NONE, NULL), ==, 0x77);
  g_assert_cmphex (f->ram.ram->page_flags[1] & VM_DIRTY_VGA, ==, VM_DIRTY_VGA);
  g_assert_null (vm_as_map (&f->as, 0x1000, &len, false, &block));
}

typedef struct Written {
  uint64_t offset, len;
  unsigned times;
} Written;

static void
code_written (void *opaque, VmRamBlock *block, uint64_t offset, uint64_t len)
{
  Written *w = opaque;

  w->offset = offset;
  w->len = len;
  w->times++;
}

static void
test_code_hook (Fixture *f, const void *data)
{
  Written w = { 0 };
  uint8_t bytes[0x2000] = { 0 };

  vm_memory_set_code_hook (f->memory, code_written, &w);
  vm_as_write (&f->as, 0x8ff0, VM_MEM_ATTRS_NONE, bytes, 0x20);
  g_assert_cmpuint (w.times, ==, 0);
  f->ram.ram->page_flags[1] |= VM_PAGE_CODE;
  vm_as_write (&f->as, 0x8ff0, VM_MEM_ATTRS_NONE, bytes, sizeof bytes);
  g_assert_cmpuint (w.times, ==, 1);
  g_assert_cmphex (w.offset, ==, 0x1000);
  g_assert_cmphex (w.len, ==, 0x1000);
  vm_as_store (&f->as, 0x9004, 1, 4, VM_MEM_ATTRS_NONE);
  g_assert_cmpuint (w.times, ==, 2);
  g_assert_cmphex (w.offset, ==, 0x1004);
  vm_memory_set_code_hook (f->memory, NULL, NULL);
}

/* --- listeners --------------------------------------------------------------------------------- */

typedef struct Ear {
  VmMemoryListener l;
  GString         *heard;
} Ear;

static void
hear (VmMemoryListener *l, const char *what, const VmFlatRange *range)
{
  g_string_append_printf (((Ear *) l)->heard, "%s %s %" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x; ", what,
                          range->region->name, range->start, range->last);
}

static void
hear_add (VmMemoryListener *l, const VmFlatRange *range)
{
  hear (l, "add", range);
}

static void
hear_del (VmMemoryListener *l, const VmFlatRange *range)
{
  hear (l, "del", range);
}

static void
hear_dirty (VmMemoryListener *l, const VmFlatRange *range)
{
  hear (l, range->dirty_clients ? "log" : "nolog", range);
}

static void
hear_sync (VmMemoryListener *l, const VmFlatRange *range)
{
  hear (l, "sync", range);
  range->block->page_flags[3] |= VM_DIRTY_VGA;
}

static void
hear_cleared (VmMemoryListener *l, VmRamBlock *block, uint64_t offset, uint64_t len)
{
  g_string_append_printf (((Ear *) l)->heard, "cleared %u+%u; ", (unsigned) offset, (unsigned) len);
}

static void
hear_eventfd_add (VmMemoryListener *l, uint64_t addr, unsigned size, bool match, uint64_t data, int fd)
{
  g_string_append_printf (((Ear *) l)->heard, "eventfd+ %x/%u; ", (unsigned) addr, size);
}

static void
hear_eventfd_del (VmMemoryListener *l, uint64_t addr, unsigned size, bool match, uint64_t data, int fd)
{
  g_string_append_printf (((Ear *) l)->heard, "eventfd- %x/%u; ", (unsigned) addr, size);
}

static void
hear_coalesced_add (VmMemoryListener *l, uint64_t addr, uint64_t len)
{
  g_string_append_printf (((Ear *) l)->heard, "coalesced+ %x+%x; ", (unsigned) addr, (unsigned) len);
}

static void
hear_coalesced_del (VmMemoryListener *l, uint64_t addr, uint64_t len)
{
  g_string_append_printf (((Ear *) l)->heard, "coalesced- %x+%x; ", (unsigned) addr, (unsigned) len);
}

static void
hear_commit (VmMemoryListener *l)
{
  g_string_append (((Ear *) l)->heard, "commit");
}

static void
expect_heard (Ear *ear, const char *want)
{
  g_assert_cmpstr (ear->heard->str, ==, want);
  g_string_truncate (ear->heard, 0);
}

static void
test_listener (Fixture *f, const void *data)
{
  Ear ear = { .l = { .add = hear_add, .del = hear_del, .dirty_changed = hear_dirty, .commit = hear_commit,
                     .sync_dirty = hear_sync, .dirty_cleared = hear_cleared, .eventfd_add = hear_eventfd_add,
                     .eventfd_del = hear_eventfd_del, .coalesced_add = hear_coalesced_add,
                     .coalesced_del = hear_coalesced_del },
              .heard = g_string_new (NULL) };
  unsigned long bitmap = 0;

  vm_memory_listener_add (&ear.l, &f->as);
  expect_heard (&ear, "add io 1000-10ff; add ram 8000-bfff; commit");
  vm_region_set_address (&f->io, 0x9000);
  expect_heard (&ear, "del io 1000-10ff; del ram 8000-bfff; add ram 8000-8fff; add io 9000-90ff; "
                      "add ram 9100-bfff; commit");
  vm_memory_begin (f->memory);
  vm_region_set_address (&f->io, 0x1000);
  vm_region_add_eventfd (&f->io, 0x10, 4, false, 0, 5);
  vm_region_set_coalesced (&f->io, true);
  g_assert_cmpstr (ear.heard->str, ==, "");
  vm_memory_commit (f->memory);
  expect_heard (&ear, "del ram 8000-8fff; del io 9000-90ff; del ram 9100-bfff; add io 1000-10ff; "
                      "add ram 8000-bfff; eventfd+ 1010/4; coalesced+ 1000+100; commit");
  vm_region_del_eventfd (&f->io, 0x10, 4, false, 0, 5);
  expect_heard (&ear, "eventfd- 1010/4; commit");
  vm_region_set_coalesced (&f->io, false);
  expect_heard (&ear, "coalesced- 1000+100; commit");

  vm_region_set_dirty_log (&f->ram, VM_DIRTY_VGA, true);
  expect_heard (&ear, "log ram 8000-bfff; commit");
  vm_as_store (&f->as, 0x8000, 1, 4, VM_MEM_ATTRS_NONE);
  g_assert_true (vm_region_take_dirty (&f->ram, VM_DIRTY_VGA, 0, 0x4000, &bitmap));
  g_assert_cmphex (bitmap, ==, 9); /* page 0, and page 3 by sync */
  expect_heard (&ear, "sync ram 8000-bfff; cleared 0+4096; cleared 12288+4096; ");
  g_assert_false (vm_region_take_dirty (&f->ram, VM_DIRTY_VGA, 0x1000, 0x1000, &bitmap));
  expect_heard (&ear, "sync ram 8000-bfff; ");
  vm_memory_listener_remove (&ear.l);
  expect_heard (&ear, "del ram 8000-bfff; del io 1000-10ff; commit");
  g_string_free (ear.heard, TRUE);
}

static void
test_eventfd (Fixture *f, const void *data)
{
  int fd = eventfd (0, EFD_NONBLOCK);
  uint64_t count = 0;

  vm_region_add_eventfd (&f->io, 0x10, 2, true, 7, fd);
  vm_as_store (&f->as, 0x1010, 7, 2, VM_MEM_ATTRS_NONE);
  vm_as_store (&f->as, 0x1010, 8, 2, VM_MEM_ATTRS_NONE);
  vm_as_store (&f->as, 0x1010, 7, 4, VM_MEM_ATTRS_NONE);
  vm_as_store (&f->as, 0x1012, 7, 2, VM_MEM_ATTRS_NONE);
  g_assert_cmpuint (f->calls->len, ==, 3);
  g_assert_cmpint (read (fd, &count, sizeof count), ==, sizeof count);
  g_assert_cmpuint (count, ==, 1);
  vm_region_del_eventfd (&f->io, 0x10, 2, true, 7, fd);
  vm_as_store (&f->as, 0x1010, 7, 2, VM_MEM_ATTRS_NONE);
  g_assert_cmpuint (f->calls->len, ==, 4);
  close (fd);
}

static void
test_describe (Fixture *f, const void *data)
{
  VmRegion alias;

  vm_region_init_alias (&alias, "low", &f->ram, 0x1000, 0x1000);
  vm_region_set_readonly (&alias, true);
  vm_region_add_overlap (&f->root, 0x8800, &alias, 2);
  g_autofree char *tree = vm_memory_describe (f->memory, false);
  g_assert_cmpstr (tree, ==,
                   "address-space: memory\n"
                   "  0000000000000000-ffffffffffffffff (prio 0, i/o): root\n"
                   "    0000000000001000-00000000000010ff (prio 0, i/o): io\n"
                   "    0000000000008000-000000000000bfff (prio 0, ram): ram\n"
                   "    0000000000008800-00000000000097ff (prio 2, rom): alias low @ram 0000000000001000-0000000000001fff\n"
                   "\n"
                   "memory-region: ram\n"
                   "  0000000000008000-000000000000bfff (prio 0, ram): ram\n"
                   "\n");
  g_autofree char *flat = vm_memory_describe (f->memory, true);
  g_assert_cmpstr (flat, ==,
                   "FlatView #0\n"
                   " AS \"memory\", root: root\n"
                   " Root memory region: root\n"
                   "  0000000000001000-00000000000010ff (prio 0, i/o): io\n"
                   "  0000000000008000-00000000000087ff (prio 0, ram): ram\n"
                   "  0000000000008800-00000000000097ff (prio 0, rom): ram @0000000000001000\n"
                   "  0000000000009800-000000000000bfff (prio 0, ram): ram @0000000000001800\n"
                   "\n");
  vm_region_destroy (&alias);
}

/* --- threads ----------------------------------------------------------------------------------- */

typedef struct Race {
  Fixture *f;
  int      stop;
  unsigned index;
} Race;

static void *
race_access (void *opaque)
{
  Race *race = opaque;
  uint64_t base = 0x8000 + race->index * 0x1000, seen = 0;

  while (!g_atomic_int_get (&race->stop))
    {
      uint64_t v = ++seen;

      vm_as_store (&race->f->as, base, v, 8, VM_MEM_ATTRS_NONE);
      uint64_t got = vm_as_load (&race->f->as, base, 8, VM_MEM_ATTRS_NONE, NULL);
      g_assert (got == v);
      vm_as_load (&race->f->as, 0x1000, 4, VM_MEM_ATTRS_NONE, NULL);
    }
  return NULL;
}

static void
test_threads (Fixture *f, const void *data)
{
  Race races[3];
  GThread *threads[3];

  vm_lock_leave (f->lock, f->taken);
  for (unsigned i = 0; i < 3; i++)
    {
      races[i] = (Race) { .f = f, .index = i };
      threads[i] = g_thread_new ("race", race_access, &races[i]);
    }
  for (unsigned i = 0; i < 2000; i++)
    {
      bool taken = vm_lock_enter (f->lock);

      g_array_set_size (f->calls, 0);
      vm_region_set_enabled (&f->io, i & 1);
      vm_lock_leave (f->lock, taken);
    }
  for (unsigned i = 0; i < 3; i++)
    {
      g_atomic_int_set (&races[i].stop, 1);
      g_thread_join (threads[i]);
    }
  f->taken = vm_lock_enter (f->lock);
}

/* --- the model --------------------------------------------------------------------------------- */

static void
test_model (void)
{
  uint8_t data[6000];

  for (unsigned round = 0; round < 150; round++)
    {
      for (unsigned i = 0; i < sizeof data; i++)
        data[i] = g_test_rand_int ();
      memory_model_run (data, sizeof data);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/memory/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("rules/wide-is-cut", test_wide_is_cut);
  ADD ("rules/unaligned-is-cut", test_unaligned_is_cut);
  ADD ("rules/too-narrow-is-refused", test_too_narrow_is_refused);
  ADD ("rules/narrow-is-widened", test_narrow_is_widened);
  ADD ("rules/big-endian", test_big_endian);
  ADD ("nothing-there", test_nothing_there);
  ADD ("reentry", test_reentry);
  ADD ("rom", test_rom);
  ADD ("ram-limits", test_ram_limits);
  ADD ("map", test_map);
  ADD ("code-hook", test_code_hook);
  ADD ("listener", test_listener);
  ADD ("eventfd", test_eventfd);
  ADD ("describe", test_describe);
  ADD ("threads", test_threads);
  g_test_add_func ("/memory/model", test_model);
  return g_test_run ();
}
