/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RAM in streams: what was saved comes back; damaged streams are refused or load something, and touch nothing else. */
#include "engine/state/state.h"
#include "tests/fuzz/fuzz.h"

#define PAGES 16

typedef struct SmallRam
{
  VmLock *lock;
  VmMemory *memory;
  VmRamBlock *blocks[3]; /* two of one name */
  VmObject *root;
  VmEnv env;
} SmallRam;

static void
ram_init (SmallRam *r)
{
  static const char *const names[] = { "one", "two", "one" };

  *r = (SmallRam){ 0 };
  r->lock = vm_lock_new ();
  r->memory = vm_memory_new (r->lock);
  for (unsigned i = 0; i < 3; i++)
    r->blocks[i] = vm_ram_block_new (r->memory, names[i], PAGES * VM_PAGE_SIZE, NULL);
  r->env.loop = vm_loop_new ("ram", NULL);
  r->env.clocks = vm_clocks_new (r->env.loop);
  r->env.root = vm_object_new (&vm_container_type);
}

static void
ram_clear (SmallRam *r)
{
  for (unsigned i = 0; i < 3; i++)
    vm_ram_block_unref (r->blocks[i]);
  vm_object_unref (r->env.root);
  vm_clocks_free (r->env.clocks);
  vm_loop_free (r->env.loop);
  vm_memory_free (r->memory);
  vm_lock_free (r->lock);
}

static GByteArray *
ram_save (SmallRam *r)
{
  GByteArray *out = g_byte_array_new ();
  VmStateWriter writer = { vm_state_write_array, out };
  bool ok = vm_state_write_header (&writer, NULL) && vm_state_write_ram (&writer, r->memory, NULL)
            && vm_state_write_end (&writer, NULL);

  g_assert (ok);
  return out;
}

static bool
load_section (VmStateLoad *load, const VmStateSection *section, void *opaque, GError **error)
{
  return strcmp (section->kind, VM_STATE_KIND_RAM) == 0 && vm_state_ram_load (opaque, section, error);
}

static bool
ram_load (SmallRam *r, const uint8_t *data, size_t size)
{
  VmStateCursor cursor = { data, size };
  VmStateRam *ram = vm_state_ram_new (r->memory);
  bool ok
      = vm_state_load (vm_state_read_cursor, &cursor, &r->env, load_section, ram, NULL) && vm_state_ram_complete (ram);

  vm_state_ram_free (ram);
  return ok;
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  SmallRam r;

  ram_init (&r);
  /* Something is there before. */
  for (unsigned i = 0; i < 3; i++)
    for (unsigned page = 0; page < PAGES; page += i + 1)
      memset (r.blocks[i]->host + page * VM_PAGE_SIZE, (int) (i + page + 1), VM_PAGE_SIZE);
  if (ram_load (&r, data, size))
    {
      g_autoptr (GByteArray) saved = ram_save (&r);
      if (!ram_load (&r, saved->data, saved->len))
        g_error ("what was loaded cannot be loaded again");
      g_autoptr (GByteArray) again = ram_save (&r);
      if (saved->len != again->len || memcmp (saved->data, again->data, saved->len) != 0)
        g_error ("what was loaded is not what was saved");
    }
  ram_clear (&r);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  SmallRam r;

  ram_init (&r);
  for (unsigned n = (unsigned) g_rand_int_range (rand, 0, 12); n > 0; n--)
    r.blocks[n % 3]->host[g_rand_int_range (rand, 0, PAGES * VM_PAGE_SIZE)] = (uint8_t) g_rand_int (rand);
  g_autoptr (GByteArray) good = ram_save (&r);
  ram_clear (&r);
  for (int n = g_rand_int_range (rand, 0, 5); n > 0; n--)
    good->data[g_rand_int_range (rand, 0, MIN (good->len, 4096))] = (uint8_t) g_rand_int (rand);
  g_byte_array_append (input, good->data,
                       g_rand_int_range (rand, 0, 4) ? good->len : 1 + g_rand_int (rand) % good->len);
}
