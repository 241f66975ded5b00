/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Saving and loading machines that have every disk controller and virtio device: after any traffic the state goes into
 * another machine of the same build, which then says the same and goes on; damaged state is refused or taken, and
 * leaves a machine that works. Without processors (the qtest accelerator). */
#include "audio/audio.h"
#include "block/block.h"
#include "devices/board/board.h"
#include "engine/debug/qtest.h"
#include "engine/machine/machine-private.h"
#include "engine/options/keyvals.h"
#include "engine/options/options.h"
#include "engine/state/state.h"

#include <json-c/json.h>

extern const VmType *const vm_all_types[]; /* generated */
extern const size_t vm_n_all_types;

#define RAM_SIZE (16 * VM_MIB)
#define MEMORY_BASE UINT64_C (0xe0000000)
#define IO_BASE 0xc000u
#define N_WINDOWS 128

typedef struct Window {
  bool     memory;
  uint64_t base, size;
} Window;

typedef struct Bench {
  VmSettings *settings;
  VmTypeList *types;
  VmMachine  *m;
  Window      windows[N_WINDOWS];
  unsigned    n;
} Bench;

/* clang-format off */
static const char *const command_line[] = {
  "test-state", "-nodefaults", "-display", "none", "-S", "-accel", "qtest", "-machine", "pc", "-m", "16",
  "-no-shutdown",
  "-device", "ide-hd,drive=ide0,bus=ide.0",
  "-device", "ide-cd,drive=ide1,bus=ide.1",
  "-device", "floppy,drive=fl0",
  "-device", "virtio-blk-pci,drive=vb0,num-queues=2",
  "-device", "virtio-blk-pci,drive=vb1,packed=on",
  "-device", "virtio-scsi-pci,id=vs", "-device", "scsi-hd,drive=vs0,bus=vs.0",
  "-device", "scsi-cd,drive=vs1,bus=vs.0",
  "-device", "virtio-rng-pci", "-device", "virtio-balloon-pci",
  "-device", "virtio-serial-pci,id=vser", "-chardev", "null,id=c0", "-device", "virtconsole,chardev=c0,bus=vser.0",
  "-chardev", "null,id=c1", "-device", "virtserialport,chardev=c1,bus=vser.0,name=p",
  "-device", "virtio-keyboard-pci", "-device", "virtio-tablet-pci", "-device", "virtio-multitouch-pci",
  "-device", "ich9-ahci,id=ah", "-device", "ide-hd,drive=ah0,bus=ah.0",
  "-device", "ide-cd,drive=ah1,bus=ah.1",
  "-device", "nvme,drive=nv0,serial=1",
  "-device", "nvme,id=nv,serial=2", "-device", "nvme-ns,drive=nv1,bus=nv",
  "-device", "lsi53c895a,id=lsi", "-device", "scsi-hd,drive=lsi0,bus=lsi.0",
  "-device", "am53c974,id=am", "-device", "scsi-hd,drive=am0,bus=am.0",
  "-device", "pvscsi,id=pv", "-device", "scsi-hd,drive=pv0,bus=pv.0",
  "-device", "mptsas1068,id=mpt", "-device", "scsi-hd,drive=mpt0,bus=mpt.0",
  "-device", "sdhci-pci,id=sd", "-device", "sd-card,drive=sd0,bus=sd.0",
  "-object", "iothread,id=io", "-device", "virtio-blk-pci,drive=vb2,iothread=io",
  "-device", "virtio-scsi-pci,id=vi,iothread=io", "-device", "scsi-hd,drive=vi0,bus=vi.0",
  "-device", "cirrus-vga", "-device", "vmware-svga", "-device", "bochs-display", "-device", "secondary-vga",
  "-device", "virtio-gpu-pci,max_outputs=2,blob=on",
  "-device", "megasas,id=mega", "-device", "scsi-hd,drive=mega0,bus=mega.0",
  "-machine", "pcspk-audiodev=snd",
  "-device", "intel-hda,id=hda", "-device", "hda-duplex,bus=hda.0,audiodev=snd",
  "-device", "hda-micro,bus=hda.0,audiodev=snd,use-timer=off",
  "-device", "AC97,audiodev=snd", "-device", "ES1370,audiodev=snd", "-device", "virtio-sound-pci,audiodev=snd,jacks=2",
  "-device", "sb16,audiodev=snd", "-device", "adlib,audiodev=snd", "-device", "cs4231a,audiodev=snd",
  "-device", "gus,audiodev=snd,dma=7",
};
/* clang-format on */

static const struct {
  const char *id;
  uint64_t    size;
  bool        cdrom;
} drives[] = {
  { "fl0", 1440 * VM_KIB, false }, { "ide0", 4 * VM_MIB, false }, { "vb0", 4 * VM_MIB, false },
  { "vb1", 4 * VM_MIB, false }, { "vs0", 4 * VM_MIB, false }, { "ah0", 4 * VM_MIB, false },
  { "nv0", 4 * VM_MIB, false }, { "nv1", 4 * VM_MIB, false }, { "lsi0", 4 * VM_MIB, false },
  { "am0", 4 * VM_MIB, false }, { "pv0", 4 * VM_MIB, false }, { "mpt0", 4 * VM_MIB, false },
  { "sd0", 4 * VM_MIB, false }, { "vb2", 4 * VM_MIB, false }, { "vi0", 4 * VM_MIB, false },
  { "mega0", 4 * VM_MIB, false }, { "ide1", 4 * VM_MIB, true }, { "vs1", 4 * VM_MIB, true },
  { "ah1", 4 * VM_MIB, true },
};

/* Sound cards, the speaker, the DMA controllers. */
static const Window isa_windows[] = {
  { false, 0x220, 16 }, { false, 0x240, 16 }, { false, 0x340, 8 }, { false, 0x388, 4 }, { false, 0x534, 4 },
  { false, 0x61, 1 },   { false, 0x40, 4 },   { false, 0x00, 16 }, { false, 0xc0, 32 },
};

static const VmAccelOps *const accels[] = { &vm_qtest_accel_ops, NULL };

/* --- machines -------------------------------------------------------------------------------------------- */

static void
store (VmMachine *m, bool memory, uint64_t addr, uint64_t value, unsigned size)
{
  vm_as_store (memory ? m->env.memory_as : m->env.io_as, addr, value, size, VM_MEM_ATTRS_NONE);
}

static uint64_t
load (VmMachine *m, bool memory, uint64_t addr, unsigned size)
{
  return vm_as_load (memory ? m->env.memory_as : m->env.io_as, addr, size, VM_MEM_ATTRS_NONE, NULL);
}

static void
pci_write (VmMachine *m, unsigned slot, unsigned offset, uint32_t value, unsigned size)
{
  store (m, false, 0xcf8, 0x80000000 | slot << 11 | (offset & 0xfc), 4);
  store (m, false, 0xcfc + (offset & 3), value, size);
}

static uint32_t
pci_read (VmMachine *m, unsigned slot, unsigned offset)
{
  store (m, false, 0xcf8, 0x80000000 | slot << 11 | (offset & 0xfc), 4);
  return (uint32_t) load (m, false, 0xcfc, 4);
}

/* As firmware would: each BAR has its place. */
static void
place_bars (Bench *b)
{
  uint64_t memory = MEMORY_BASE, io = IO_BASE;

  for (unsigned slot = 2; slot < 32; slot++)
    {
      if ((pci_read (b->m, slot, 0) & 0xffff) == 0xffff)
        continue;
      for (unsigned bar = 0x10; bar < 0x28; bar += 4)
        {
          pci_write (b->m, slot, bar, UINT32_MAX, 4);
          uint32_t mask = pci_read (b->m, slot, bar);
          bool is_io = mask & 1, wide = !is_io && (mask & 6) == 4;
          uint64_t size = mask ? -(uint64_t) (int32_t) (mask & (is_io ? ~3u : ~15u)) & UINT32_MAX : 0;
          uint64_t *next = is_io ? &io : &memory;

          if (!size)
            continue;
          *next = VM_ALIGN_UP (*next, size);
          pci_write (b->m, slot, bar, (uint32_t) *next, 4);
          if (wide)
            pci_write (b->m, slot, bar + 4, 0, 4);
          g_assert_cmpuint (b->n, <, N_WINDOWS);
          b->windows[b->n++] = (Window) { !is_io, *next, size };
          *next += size;
          bar += wide ? 4 : 0;
        }
      pci_write (b->m, slot, 4, 7, 2);
    }
  pci_write (b->m, 1, 4, 7, 2);
  for (size_t i = 0; i < G_N_ELEMENTS (isa_windows); i++)
    b->windows[b->n++] = isa_windows[i];
}

/* Of zeros. */
static void
make_drives (VmMachine *m)
{
  for (size_t i = 0; i < G_N_ELEMENTS (drives); i++)
    {
      g_autofree char *text = g_strdup_printf (
        "{\"driver\": \"null-co\", \"read-zeroes\": \"on\", \"size\": \"%" G_GUINT64_FORMAT "\"}", drives[i].size);
      g_autoptr (GError) error = NULL;
      VmDriveOptions options = { .id = drives[i].id, .cdrom = drives[i].cdrom, .readonly = drives[i].cdrom };

      options.options = json_tokener_parse (text);
      vm_drive_new (m->env.root, m->env.loop, &options, &error);
      g_assert_no_error (error);
      json_object_put (options.options);
    }
}

/* What sound cards play to. */
static void
make_sound (VmMachine *m)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_autoptr (GError) error = NULL;

  vm_keyvals_set (list, "driver", "none");
  vm_keyvals_set (list, "id", "snd");
  if (!vm_audiodev_new_from_list (m, list, false, &error))
    g_error ("%s", error->message);
}

static void
bench_init (Bench *b)
{
  static const Window fixed[] = { { false, 0x1f0, 8 }, { false, 0x170, 8 }, { false, 0x376, 1 }, { false, 0x3f0, 8 },
                                  { false, 0, 16 },    { true, 0, 0x20000 } };
  g_autoptr (GError) error = NULL;
  const VmBoard *board;

  *b = (Bench) { .settings = vm_settings_new (), .types = vm_type_list_new (vm_all_types, vm_n_all_types) };
  g_assert_cmpint (vm_options_parse (G_N_ELEMENTS (command_line), (char *const *) command_line, b->settings, &error),
                   ==, VM_OPTIONS_RUN);
  board = vm_board_find (vm_boards, b->settings->machine);
  if (!vm_settings_complete (b->settings, board, b->types, &error)
      || !(b->m = vm_machine_new (board, b->settings, b->types, vm_boards, &error))
      || !vm_machine_create_backends (b->m, &error) || !vm_machine_init_accel (b->m, accels, &error)
      || !vm_machine_create_ram (b->m, &error))
    g_error ("%s", error->message);
  make_drives (b->m);
  make_sound (b->m);
  if (!vm_machine_init_board (b->m, &error) || !vm_machine_create_devices (b->m, &error))
    g_error ("%s", error->message);
  vm_lock_enter (b->m->lock);
  for (size_t i = 0; i < G_N_ELEMENTS (fixed); i++)
    b->windows[b->n++] = fixed[i];
  place_bars (b);
}

static void
bench_clear (Bench *b)
{
  vm_lock_leave (b->m->lock, true);
  vm_machine_free (b->m);
  vm_type_list_free (b->types);
  vm_settings_free (b->settings);
}

static void
settle (Bench *b)
{
  g_assert_true (vm_devices_pre_save (&b->m->env, NULL));
  while (vm_loop_iterate (b->m->env.loop, false))
    ;
}

/* Anything, at places that are devices. Mostly the low registers, where the effects are. */
static void
traffic (Bench *b, GRand *rand, unsigned steps)
{
  for (unsigned i = 0; i < steps; i++)
    {
      const Window *w = &b->windows[g_rand_int_range (rand, 0, (gint32) b->n)];
      unsigned size = 1u << g_rand_int_range (rand, 0, 3);
      uint64_t span = g_rand_boolean (rand) ? w->size : MIN (w->size, 128);
      uint64_t at = w->base + (g_rand_int (rand) % span & ~(uint64_t) (size - 1));
      uint32_t value = g_rand_int (rand);

      switch (g_rand_int_range (rand, 0, 8))
        {
        case 0:
          load (b->m, w->memory, at, size);
          break;
        case 1:
          settle (b);
          break;
        case 2:
          value &= 0x1ffc0;
          store (b->m, w->memory, at, value, size);
          break;
        case 3:
          value &= 15;
          store (b->m, w->memory, at, value, size);
          break;
        case 4: /* an IDE command of some use: IDENTIFY, PACKET, READ, WRITE, DMA */
          store (b->m, false, g_rand_boolean (rand) ? 0x1f7 : 0x177, "\xec\xa0\x20\x30\xc8\xca\xc4\x25"[value & 7], 1);
          break;
        default:
          store (b->m, w->memory, at, value, size);
          break;
        }
    }
}

/* --- states ---------------------------------------------------------------------------------------------- */

static GByteArray *
save (Bench *b)
{
  GByteArray *out = g_byte_array_new ();
  VmStateWriter writer = { vm_state_write_array, out };
  g_autoptr (GError) error = NULL;

  if (!vm_state_write_header (&writer, &error) || !vm_state_write_objects (&writer, &b->m->env, &error)
      || !vm_state_write_end (&writer, &error))
    g_error ("%s", error->message);
  return out;
}

static bool
restore (Bench *b, const GByteArray *state, GError **error)
{
  VmStateCursor cursor = { state->data, state->len };

  return vm_state_load (vm_state_read_cursor, &cursor, &b->m->env, NULL, NULL, error);
}

/* Which section differs. */
static void
compare (const GByteArray *a, const GByteArray *b, guint32 seed)
{
  const uint8_t *p = a->data + 16;
  size_t at = 0, begin = 16;

  if (a->len == b->len && memcmp (a->data, b->data, a->len) == 0)
    return;
  while (at < MIN (a->len, b->len) && a->data[at] == b->data[at])
    at++;
  g_autofree char *name = NULL;
  while (*p)
    {
      size_t kind = p[0], n = vm_load_le16 (p + 1 + kind), data = vm_load_le32 (p + 3 + kind + n);

      if ((size_t) (p - a->data) > at)
        break;
      g_free (name);
      name = g_strndup ((const char *) p + 3 + kind, n);
      begin = (size_t) (p - a->data);
      p += 7 + kind + n + data;
    }
  for (size_t i = at > 64 ? at - 64 : 0; i < at + 16; i++)
    g_printerr ("%c", g_ascii_isprint (a->data[i]) ? a->data[i] : '.');
  g_error ("seed %u: %s differs at %zu of its section: %02x %02x", seed, name, at - begin, a->data[at], b->data[at]);
}

static void
copy_ram (Bench *to, Bench *from)
{
  memcpy (vm_region_ram_ptr (to->m->ram), vm_region_ram_ptr (from->m->ram), RAM_SIZE);
}

/* --- tests ----------------------------------------------------------------------------------------------- */

static void
test_round_trip (void)
{
  Bench a, b;

  bench_init (&a);
  bench_init (&b);
  for (guint32 seed = 0; seed < 24; seed++)
    {
      GRand *rand = g_rand_new_with_seed (seed);
      g_autoptr (GError) error = NULL;

      traffic (&a, rand, 2000);
      g_autoptr (GByteArray) first = save (&a);
      copy_ram (&b, &a);
      if (!restore (&b, first, &error))
        g_error ("seed %u: %s", seed, error->message);
      g_autoptr (GByteArray) second = save (&b);
      compare (first, second, seed);
      /* It goes on from there, and is the next to be copied. */
      settle (&b);
      traffic (&b, rand, 200);
      g_autoptr (GByteArray) third = save (&b);
      copy_ram (&a, &b);
      if (!restore (&a, third, &error))
        g_error ("seed %u, back: %s", seed, error->message);
      g_autoptr (GByteArray) fourth = save (&a);
      compare (third, fourth, seed);
      if (seed % 4 == 3)
        {
          vm_machine_reset_now (a.m, VM_RESET_COLD);
          place_bars (&(Bench) { .m = a.m });
        }
      g_rand_free (rand);
    }
  bench_clear (&a);
  bench_clear (&b);
}

/* Where section data is: only there is damage worth while. */
static void
damage (GByteArray *state, GRand *rand)
{
  for (int n = g_rand_int_range (rand, 1, 12); n; n--)
    {
      guint at = (guint) g_rand_int_range (rand, 16, (gint32) state->len);

      switch (g_rand_int_range (rand, 0, 4))
        {
        case 0:
          state->data[at] ^= (uint8_t) (1u << g_rand_int_range (rand, 0, 8));
          break;
        case 1:
          state->data[at] = 0xff;
          break;
        case 2:
          state->data[at] = 1;
          break;
        default:
          state->data[at] = (uint8_t) g_rand_int (rand);
          break;
        }
    }
}

static void
test_damage (void)
{
  unsigned taken = 0, refused = 0;
  Bench b;

  bench_init (&b);
  for (guint32 seed = 0; seed < 60; seed++)
    {
      GRand *rand = g_rand_new_with_seed (seed);

      traffic (&b, rand, 20);
      g_autoptr (GByteArray) state = save (&b);
      g_autoptr (GError) error = NULL;
      damage (state, rand);
      if (restore (&b, state, &error))
        taken++;
      else
        {
          g_assert_nonnull (error);
          refused++;
        }
      settle (&b);
      traffic (&b, rand, 100);
      vm_machine_reset_now (b.m, VM_RESET_COLD);
      place_bars (&(Bench) { .m = b.m });
      g_rand_free (rand);
    }
  g_test_message ("%u taken, %u refused", taken, refused);
  bench_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/state/round-trip", test_round_trip);
  g_test_add_func ("/state/damage", test_damage);
  return g_test_run ();
}
