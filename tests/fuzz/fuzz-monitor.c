/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes for a monitor of a machine without parts; FUZZ_MONITOR says which: "qmp" or "hmp". While they are handled no
 * descriptor can be had, so that no command reaches a file or a socket of the host. */
#include "block/graph.h"
#include "devices/board/board.h"
#include "engine/debug/qtest.h"
#include "engine/monitor/hmp.h"
#include "engine/options/options.h"
#include "tests/fuzz/fuzz.h"

#include <sys/resource.h>
#include <unistd.h>

extern const VmType *const vm_all_types[]; /* generated */
extern const size_t vm_n_all_types;

static const VmAccelOps *const accels[] = { &vm_qtest_accel_ops, NULL };
static const char *const command_line[]
    = { "fuzz-monitor", "-nodefaults", "-display", "none", "-S", "-accel", "qtest", "-machine", "none" };

static bool
is_qmp (void)
{
  return !strcmp (FUZZ_MONITOR, "qmp");
}

static size_t
swallow (void *opaque, const uint8_t *buf, size_t len)
{
  return len;
}

typedef struct Bench
{
  VmSettings *settings;
  VmTypeList *types;
  VmMachine *machine;
  VmMonitors *monitors;
  VmChardev *chr;
} Bench;

static void
set_up (Bench *b)
{
  static const VmCharSink sink = { .write = swallow };
  VmMonSpec spec = { .chardev = (char *) "wire", .option = (char *) "-mon", .control = is_qmp () };
  g_autoptr (GError) error = NULL;
  const VmBoard *board;
  VmMachine *m;

  b->settings = vm_settings_new ();
  b->types = vm_type_list_new (vm_all_types, vm_n_all_types);
  g_assert_cmpint (vm_options_parse (G_N_ELEMENTS (command_line), (char *const *) command_line, b->settings, &error),
                   ==, VM_OPTIONS_RUN);
  board = vm_board_find (vm_boards, b->settings->machine);
  if (!vm_settings_complete (b->settings, board, b->types, &error)
      || !(m = vm_machine_new (board, b->settings, b->types, vm_boards, &error))
      || !vm_machine_create_backends (m, &error) || !vm_machine_init_accel (m, accels, &error)
      || !vm_machine_create_ram (m, &error) || !vm_machine_init_board (m, &error)
      || !vm_machine_create_devices (m, &error))
    g_error ("%s", error->message);
  b->machine = m;
  b->monitors = vm_monitors_new (m);
  vm_lock_enter (m->lock);
  b->chr = vm_chardev_new_sink (vm_machine_char_env (m), "wire", "wire", &error);
  vm_chardev_set_sink (b->chr, &sink, NULL);
  if (!vm_monitors_open (b->monitors, &spec, &error))
    g_error ("%s", error->message);
  vm_monitors_start (b->monitors);
  vm_graph_loop (vm_drives_graph (m->env.root, m->env.loop)); /* needs descriptors to begin */
  while (vm_loop_iterate (m->env.loop, false))
    ;
}

static void
tear_down (Bench *b)
{
  vm_lock_leave (b->machine->lock, true);
  vm_monitors_free (b->monitors);
  vm_machine_free (b->machine);
  vm_type_list_free (b->types);
  vm_settings_free (b->settings);
}

/* Sets how many descriptors there may be; the old limit. */
static rlim_t
limit_descriptors (rlim_t n)
{
  struct rlimit limit;

  getrlimit (RLIMIT_NOFILE, &limit);
  rlim_t old = limit.rlim_cur;
  limit.rlim_cur = n;
  setrlimit (RLIMIT_NOFILE, &limit);
  return old;
}

static void
feed (Bench *b, const uint8_t *data, size_t size)
{
  while (size)
    {
      size_t part = MIN (vm_chardev_can_receive (b->chr), size);
      if (!part)
        return;
      vm_chardev_receive (b->chr, data, part);
      data += part;
      size -= part;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  static const char hello[] = "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}\n";
  Bench bench = { 0 }, *b = &bench;

  set_up (b);
  if (is_qmp ())
    feed (b, (const uint8_t *) hello, strlen (hello));
  int next = dup (0);
  close (next);
  rlim_t old = limit_descriptors (next);
  feed (b, data, size);
  feed (b, (const uint8_t *) "\n", 1);
  for (int i = 0; i < 8 && vm_loop_iterate (b->machine->env.loop, false); i++)
    ;
  limit_descriptors (old);
  tear_down (b);
}

/* A value for a member of TYPE, now and then of another kind. */
static void
add_value (GString *out, const VmSchemaType *type, GRand *rand, int depth)
{
  static const char *const odd[]
      = { "null", "[]", "{}", "true", "-1", "1e400", "\"\"", "18446744073709551616", "[[[[" };

  if (depth > 6 || g_rand_int_range (rand, 0, 12) == 0)
    {
      g_string_append (out, odd[g_rand_int_range (rand, 0, G_N_ELEMENTS (odd))]);
      return;
    }
  switch (type->kind)
    {
    case VM_SCHEMA_ENUM:
      {
        unsigned n = g_strv_length ((char **) type->names);
        g_string_append_printf (out, "\"%s\"", type->names[g_rand_int_range (rand, 0, n)]);
        break;
      }
    case VM_SCHEMA_STRUCT:
      g_string_append_c (out, '{');
      for (const VmSchemaMember *m = type->members; m->name; m++)
        if (*m->name && (!m->optional || g_rand_boolean (rand)))
          {
            g_string_append_printf (out, "%s\"%s\": ", out->str[out->len - 1] == '{' ? "" : ", ", m->name);
            add_value (out, m->type, rand, depth + 1);
          }
      g_string_append_c (out, '}');
      break;
    case VM_SCHEMA_LIST:
      g_string_append_c (out, '[');
      add_value (out, type->element, rand, depth + 1);
      g_string_append_c (out, ']');
      break;
    case VM_SCHEMA_STR:
      g_string_append (out, g_rand_boolean (rand) ? "\"/machine\"" : "\"x\"");
      break;
    case VM_SCHEMA_BOOL:
      g_string_append (out, g_rand_boolean (rand) ? "true" : "false");
      break;
    default:
      g_string_append_printf (out, "%d", g_rand_int_range (rand, -2, 300));
    }
}

static void
add_qmp_line (GString *out, GRand *rand)
{
  unsigned n = 0;

  while (vm_schema_commands[n].name)
    n++;
  const VmSchemaCommand *c = &vm_schema_commands[g_rand_int_range (rand, 0, n)];
  g_string_append_printf (out, "{\"%s\": \"%s\"", g_rand_int_range (rand, 0, 8) ? "execute" : "exec-oob", c->name);
  if (c->arguments)
    {
      g_string_append (out, ", \"arguments\": ");
      add_value (out, c->arguments, rand, 0);
    }
  g_string_append (out, "}\n");
}

static void
add_hmp_line (GString *out, GRand *rand)
{
  static const char *const words[]
      = { "0",        "1",         "-1",      "/8xb",    "/x",     "$rip",   "(1+2)*3", "0xffffffffffffffff",
          "/machine", "null,id=a", "on",      "\"a b\"", "\"\\n",  "-f",     "-j",      "x",
          "help",     "type",      "1/0",     "1%0",     "\t",     "\033[A", "\001",    "\027",
          "#",        "info ",     "9999999", "'x'",     "ctrl-a", "~-5" };
  bool info = g_rand_boolean (rand);
  const VmHmpCommand *table = info ? vm_hmp_info_commands : vm_hmp_commands;
  unsigned n = 0;

  while (table[n].name)
    n++;
  g_string_append (out, info ? "info " : "");
  g_string_append_len (out, table[g_rand_int_range (rand, 0, n)].name, -1);
  char *bar = strrchr (out->str, '|');
  if (bar)
    g_string_truncate (out, bar - out->str);
  for (int i = g_rand_int_range (rand, 0, 4); i > 0; i--)
    g_string_append_printf (out, " %s", words[g_rand_int_range (rand, 0, G_N_ELEMENTS (words))]);
  g_string_append_c (out, '\n');
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (int n = 0; n < 30; n++)
    if (is_qmp ())
      add_qmp_line (text, rand);
    else
      add_hmp_line (text, rand);
  for (int n = g_rand_int_range (rand, 0, 4); n > 0; n--)
    text->str[g_rand_int_range (rand, 0, text->len)] = (char) g_rand_int (rand);
  g_byte_array_append (input, (const uint8_t *) text->str, (guint) text->len);
}
