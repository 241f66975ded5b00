/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gdb server of a machine with two processors under packets of a hostile peer. Packets end with
 * byte 255 and get their frame here, other input than that is raw. No monitor: its commands write files. */
#include "devices/board/board.h"
#include "engine/char/char.h"
#include "engine/debug/gdb-packet.h"
#include "engine/debug/gdb.h"
#include "engine/options/options.h"
#include "engine/tcg/exec.h"
#include "engine/x86/gdb.h"
#include "tests/fuzz/fuzz.h"

extern const VmType *const vm_all_types[]; /* generated */
extern const size_t vm_n_all_types;

static const char *const command_line[]
    = { "fuzz-gdb", "-nodefaults", "-display", "none", "-S", "-smp", "2", "-m", "16", "-machine", "pc" };

static const VmAccelOps *const accels[] = { &vm_tcg_accel_ops, NULL };

typedef struct Rig
{
  VmMachine *machine;
  VmChardev *chr;
} Rig;

static bool
translate (VmVcpu *vcpu, uint64_t virt, uint64_t *phys)
{
  *phys = vm_x86_debug_translate ((VmX86Cpu *) vcpu, virt);
  return *phys != UINT64_MAX;
}

static const VmArchOps arch = { .name = "x86_64", .address_bytes = 8, .translate = translate, .gdb = &vm_x86_gdb };

/* Replies are well-formed whatever was asked. */
static size_t
swallow (void *opaque, const uint8_t *buf, size_t len)
{
  return len;
}

static const VmCharSink sink = { .write = swallow };

static Rig
build (void)
{
  VmSettings *settings = vm_settings_new ();
  VmTypeList *types = vm_type_list_new (vm_all_types, vm_n_all_types);
  g_autoptr (GError) error = NULL;
  VmMachine *m = NULL;

  g_assert_cmpint (vm_options_parse (G_N_ELEMENTS (command_line), (char *const *) command_line, settings, &error), ==,
                   VM_OPTIONS_RUN);
  const VmBoard *board = vm_board_find (vm_boards, settings->machine);
  if (!vm_settings_complete (settings, board, types, &error)
      || !(m = vm_machine_new (board, settings, types, vm_boards, &error)))
    g_error ("%s", error->message);
  m->arch = &arch;
  if (!vm_machine_create_backends (m, &error) || !vm_machine_init_accel (m, accels, &error)
      || !vm_machine_create_ram (m, &error) || !vm_machine_init_board (m, &error)
      || !vm_machine_create_devices (m, &error))
    g_error ("%s", error->message);

  bool taken = vm_lock_enter (m->lock);
  VmChardev *chr = vm_chardev_new_sink (vm_machine_char_env (m), "gdb0", "fuzz", &error);
  g_assert_no_error (error);
  vm_chardev_set_sink (chr, &sink, NULL);
  m->gdb_chardev = g_strdup ("gdb0");
  vm_gdb_start (m, &error);
  g_assert_no_error (error);
  vm_lock_leave (m->lock, taken);
  return (Rig){ m, chr };
}

static void
send_bytes (Rig *rig, const char *bytes, size_t len)
{
  while (len)
    {
      size_t part = MIN (len, vm_chardev_can_receive (rig->chr));

      g_assert_cmpuint (part, >, 0);
      vm_chardev_receive (rig->chr, (const uint8_t *) bytes, part);
      bytes += part;
      len -= part;
    }
}

static void
send_packet (Rig *rig, const char *data, size_t len)
{
  g_autoptr (GString) packet = g_string_new (NULL);

  gdb_packet_append (packet, data, len);
  send_bytes (rig, packet->str, packet->len);
}

void
fuzz_one (const uint8_t *data, size_t len)
{
  static Rig the_rig;
  Rig *rig = &the_rig;

  if (!rig->machine)
    *rig = build ();
  bool taken = vm_lock_enter (rig->machine->lock);

  while (len)
    {
      const uint8_t *end = memchr (data, 255, len);

      if (!end)
        {
          send_bytes (rig, (const char *) data, len);
          break;
        }
      send_packet (rig, (const char *) data, end - data);
      len -= end + 1 - data;
      data = end + 1;
    }
  /* What one input left does not change the next. */
  send_bytes (rig, "#00\3", 4);
  vm_gdb_stop (rig->machine);
  if (!vm_gdb_start (rig->machine, NULL))
    g_error ("the server does not start again");
  vm_lock_leave (rig->machine->lock, taken);
}

static const char *const seeds[] = {
  "?",
  "g",
  "G0011",
  "p10",
  "P10=1234567800000000",
  "P13=10000000",
  "P1f=00",
  "m0,10",
  "mffffffffffffffff,100",
  "m100000000,ffffffffffffffff",
  "M1000,2:1234",
  "X1000,4:abcd",
  "c",
  "c1000",
  "s",
  "s100",
  "C05",
  "S05;1000",
  "vCont;c",
  "vCont;s:p1.1;c",
  "vCont;s:1",
  "vCont?",
  "vCont;c:p1.-1",
  "Z0,1000,1",
  "Z1,ffffffffffffffff,1",
  "Z2,1000,8",
  "Z3,fffffffffffffff8,ffff",
  "Z4,0,ffffffffffffffff",
  "z0,1000,1",
  "z2,1000,8",
  "Hg1",
  "Hgp1.2",
  "Hc-1",
  "Hc2",
  "T1",
  "qC",
  "qfThreadInfo",
  "qsThreadInfo",
  "qThreadExtraInfo,2",
  "qSupported:multiprocess+;swbreak+",
  "qXfer:features:read:target.xml:0,fff",
  "qXfer:features:read:target.xml:200,ffffffffffffffff",
  "D;1",
  "QStartNoAckMode",
  "qRcmd,696e",
  "Qqemu.PhyMemMode:1",
  "qqemu.sstep",
  "Qqemu.sstep=1",
  "P39=ffffffffffffffff",
  "P3c=8000000000000000",
  "P3d=0000000000000000",
  "P40=ffffffffffffffff",
  "P12=ffffffff",
  "P11=ffffffff",
  "P20=00000000",
};

static void
mutate (GRand *rand, GString *text)
{
  static const char interesting[] = "0123456789abcdef,;:=-.pcsZz}#$*\3\xff";

  for (int n = g_rand_int_range (rand, 0, 4); n > 0; n--)
    {
      gsize at = text->len ? (gsize) g_rand_int_range (rand, 0, (gint32) text->len) : 0;
      char byte = interesting[g_rand_int_range (rand, 0, sizeof interesting - 1)];

      switch (g_rand_int_range (rand, 0, 4))
        {
        case 0:
          g_string_insert_c (text, (gssize) at, byte);
          break;
        case 1:
          if (text->len)
            text->str[at] = byte;
          break;
        case 2:
          g_string_truncate (text, at);
          break;
        default:
          for (int k = g_rand_int_range (rand, 0, 40); k > 0; k--)
            g_string_append_c (text, byte);
          break;
        }
    }
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_autoptr (GString) packets = g_string_new (NULL);

  for (int n = g_rand_int_range (rand, 1, 30); n > 0; n--)
    {
      g_autoptr (GString) text = g_string_new (seeds[g_rand_int_range (rand, 0, G_N_ELEMENTS (seeds))]);

      if (g_rand_boolean (rand))
        mutate (rand, text);
      g_string_append_len (packets, text->str, (gssize) text->len);
      g_string_append_c (packets, '\xff');
    }
  mutate (rand, packets);
  g_byte_array_append (input, (const uint8_t *) packets->str, (guint) packets->len);
}
