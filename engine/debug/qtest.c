/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The qtest protocol server: one command a line, "OK ...", "FAIL ..." or "ERR ..." back, "IRQ raise N" and
 * "IRQ lower N" in between for lines that are watched. */
#include "engine/debug/qtest.h"

#include "engine/char/char.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_BYTES (64 * VM_MIB) /* of a hexadecimal write */
#define TRANSFER_MAX (16 * VM_MIB)

struct VmQtest
{
  VmMachine *machine;
  VmCharFe fe;
  GString *in, *out;
  FILE *log;
  bool close_log;
  gint64 started;
  int levels[256]; /* of watched lines, so that only changes are told */
};

/* --- talking --- */

static void
log_line (VmQtest *q, char who, const char *text)
{
  if (q->log)
    fprintf (q->log, "[%c +%.6f] %s\n", who, (g_get_monotonic_time () - q->started) / 1e6, text);
}

static void
flush_out (VmQtest *q)
{
  g_string_erase (q->out, 0, vm_char_fe_write (&q->fe, q->out->str, q->out->len));
}

static void reply (VmQtest *q, const char *format, ...) G_GNUC_PRINTF (2, 3);
static void
reply (VmQtest *q, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  log_line (q, 'S', text);
  g_string_append (q->out, text);
  g_string_append_c (q->out, '\n');
  flush_out (q);
}

/* --- commands: WORDS[0] is the name --- */

typedef struct Command
{
  const char *name;
  unsigned n_args; /* at least */
  void (*func) (VmQtest *q, char **words);
} Command;

static bool
number (VmQtest *q, const char *text, uint64_t *value)
{
  char *end;

  errno = 0;
  *value = g_ascii_strtoull (text, &end, 0);
  if (errno || end == text || *end)
    {
      reply (q, "FAIL Invalid number '%s'", text);
      return false;
    }
  return true;
}

static unsigned
size_of_letter (char letter)
{
  return letter == 'b' ? 1 : letter == 'w' ? 2 : letter == 'l' ? 4 : 8;
}

static void
cmd_out (VmQtest *q, char **words)
{
  uint64_t addr, value;

  if (!number (q, words[1], &addr) || !number (q, words[2], &value))
    return;
  vm_as_store (q->machine->env.io_as, addr & 0xffff, value, size_of_letter (words[0][3]), VM_MEM_ATTRS_NONE);
  reply (q, "OK");
}

static void
cmd_in (VmQtest *q, char **words)
{
  uint64_t addr;

  if (!number (q, words[1], &addr))
    return;
  uint64_t value
      = vm_as_load (q->machine->env.io_as, addr & 0xffff, size_of_letter (words[0][2]), VM_MEM_ATTRS_NONE, NULL);
  reply (q, "OK 0x%04x", (unsigned) value);
}

static void
cmd_store (VmQtest *q, char **words)
{
  uint64_t addr, value;

  if (!number (q, words[1], &addr) || !number (q, words[2], &value))
    return;
  vm_as_store (q->machine->env.memory_as, addr, value, size_of_letter (words[0][5]), VM_MEM_ATTRS_NONE);
  reply (q, "OK");
}

static void
cmd_load (VmQtest *q, char **words)
{
  uint64_t addr;

  if (!number (q, words[1], &addr))
    return;
  uint64_t value = vm_as_load (q->machine->env.memory_as, addr, size_of_letter (words[0][4]), VM_MEM_ATTRS_NONE, NULL);
  reply (q, "OK 0x%016" G_GINT64_MODIFIER "x", value);
}

/* Address and size of a transfer; the buffer, zeroed, or NULL when something was wrong and has been told. */
static uint8_t *
transfer (VmQtest *q, char **words, uint64_t *addr, uint64_t *len)
{
  if (!number (q, words[1], addr) || !number (q, words[2], len))
    return NULL;
  if (*len == 0 || *len > TRANSFER_MAX)
    {
      reply (q, "FAIL Invalid size '%s'", words[2]);
      return NULL;
    }
  return g_malloc0 (*len);
}

static void
cmd_read (VmQtest *q, char **words)
{
  uint64_t addr, len;
  g_autofree uint8_t *data = transfer (q, words, &addr, &len);

  if (!data)
    return;
  vm_as_read (q->machine->env.memory_as, addr, VM_MEM_ATTRS_NONE, data, len);
  GString *hex = g_string_sized_new (2 * len + 8);
  g_string_append (hex, "OK 0x");
  for (uint64_t i = 0; i < len; i++)
    g_string_append_printf (hex, "%02x", data[i]);
  reply (q, "%s", hex->str);
  g_string_free (hex, TRUE);
}

static void
cmd_write (VmQtest *q, char **words)
{
  uint64_t addr, len;
  g_autofree uint8_t *data = transfer (q, words, &addr, &len);
  const char *hex = words[3];

  if (!data)
    return;
  if (!g_str_has_prefix (hex, "0x"))
    {
      reply (q, "FAIL Data must be hexadecimal");
      return;
    }
  /* Too little data leaves zeros at the end. */
  hex += 2;
  for (uint64_t i = 0; i < len && g_ascii_isxdigit (hex[0]) && g_ascii_isxdigit (hex[1]); i++, hex += 2)
    data[i] = g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]);
  vm_as_write (q->machine->env.memory_as, addr, VM_MEM_ATTRS_NONE, data, len);
  reply (q, "OK");
}

static void
cmd_b64read (VmQtest *q, char **words)
{
  uint64_t addr, len;
  g_autofree uint8_t *data = transfer (q, words, &addr, &len);

  if (!data)
    return;
  vm_as_read (q->machine->env.memory_as, addr, VM_MEM_ATTRS_NONE, data, len);
  g_autofree char *text = g_base64_encode (data, len);
  reply (q, "OK %s", text);
}

static void
cmd_b64write (VmQtest *q, char **words)
{
  uint64_t addr, len;
  gsize have;
  g_autofree uint8_t *data = transfer (q, words, &addr, &len);

  if (!data)
    return;
  g_autofree guchar *given = g_base64_decode (words[3], &have);
  memcpy (data, given, MIN (have, len));
  vm_as_write (q->machine->env.memory_as, addr, VM_MEM_ATTRS_NONE, data, len);
  reply (q, "OK");
}

static void
cmd_memset (VmQtest *q, char **words)
{
  uint64_t addr, len, byte;

  if (!number (q, words[1], &addr) || !number (q, words[2], &len) || !number (q, words[3], &byte))
    return;
  if (len)
    vm_as_fill (q->machine->env.memory_as, addr, VM_MEM_ATTRS_NONE, byte, len);
  reply (q, "OK");
}

static void
cmd_endianness (VmQtest *q, char **words)
{
  reply (q, "OK little");
}

/* --- time --- */

static void
advance (VmQtest *q, int64_t to)
{
  reply (q, "OK %" G_GINT64_FORMAT, (gint64) vm_clocks_advance_to (q->machine->env.clocks, to));
}

static bool
clock_is_ours (VmQtest *q)
{
  bool ours = !strcmp (q->machine->accel->ops->name, "qtest");

  if (!ours)
    reply (q, "FAIL The clock is moved by the guest: use -accel qtest");
  return ours;
}

static void
cmd_clock_step (VmQtest *q, char **words)
{
  VmClocks *clocks = q->machine->env.clocks;
  int64_t now = vm_clock_now (clocks, VM_CLOCK_VIRTUAL);
  uint64_t step;

  if (!clock_is_ours (q))
    return;
  if (words[1])
    {
      if (number (q, words[1], &step))
        advance (q, step > (uint64_t) (INT64_MAX - now) ? INT64_MAX : now + (int64_t) step);
      return;
    }
  int64_t next = vm_clocks_next_deadline (clocks, VM_CLOCK_VIRTUAL);
  advance (q, next < 0 ? now : MAX (next, now));
}

static void
cmd_clock_set (VmQtest *q, char **words)
{
  uint64_t to;

  if (clock_is_ours (q) && number (q, words[1], &to))
    advance (q, MIN (to, (uint64_t) INT64_MAX));
}

/* --- interrupt lines --- */

static void
on_irq (void *opaque, unsigned n, int level)
{
  VmQtest *q = opaque;

  if (n >= G_N_ELEMENTS (q->levels) || q->levels[n] == level)
    return;
  q->levels[n] = level;
  reply (q, "IRQ %s %u", level ? "raise" : "lower", n);
}

/* The board has one set of lines; any object on the way that exists may name it. */
static void
cmd_irq_intercept (VmQtest *q, char **words)
{
  if (!vm_object_resolve (q->machine->env.root, words[1]))
    {
      reply (q, "FAIL Unknown device '%s'", words[1]);
      return;
    }
  q->machine->irq_tap = on_irq;
  q->machine->irq_tap_opaque = q;
  reply (q, "OK");
}

static void
cmd_set_irq_in (VmQtest *q, char **words)
{
  uint64_t n, level;

  if (!number (q, words[3], &n) || !number (q, words[4], &level))
    return;
  if (!q->machine->set_irq || n >= G_N_ELEMENTS (q->levels))
    {
      reply (q, "FAIL The board has no such line");
      return;
    }
  q->machine->set_irq (q->machine, n, level != 0);
  reply (q, "OK");
}

/* --- dispatch --- */

static const Command commands[] = {
  { "outb", 2, cmd_out },
  { "outw", 2, cmd_out },
  { "outl", 2, cmd_out },
  { "inb", 1, cmd_in },
  { "inw", 1, cmd_in },
  { "inl", 1, cmd_in },
  { "writeb", 2, cmd_store },
  { "writew", 2, cmd_store },
  { "writel", 2, cmd_store },
  { "writeq", 2, cmd_store },
  { "readb", 1, cmd_load },
  { "readw", 1, cmd_load },
  { "readl", 1, cmd_load },
  { "readq", 1, cmd_load },
  { "read", 2, cmd_read },
  { "write", 3, cmd_write },
  { "b64read", 2, cmd_b64read },
  { "b64write", 3, cmd_b64write },
  { "memset", 3, cmd_memset },
  { "endianness", 0, cmd_endianness },
  { "clock_step", 0, cmd_clock_step },
  { "clock_set", 1, cmd_clock_set },
  { "irq_intercept_in", 1, cmd_irq_intercept },
  { "irq_intercept_out", 1, cmd_irq_intercept },
  { "set_irq_in", 4, cmd_set_irq_in },
};

static void
run_line (VmQtest *q, const char *line)
{
  g_auto (GStrv) all = g_strsplit_set (line, " \t\r", -1);
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  log_line (q, 'R', line);
  for (char **w = all; *w; w++)
    if (**w)
      g_ptr_array_add (words, *w);
  guint n = words->len;
  if (!n)
    return;
  g_ptr_array_add (words, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      if (strcmp (commands[i].name, g_ptr_array_index (words, 0)) != 0)
        continue;
      if (n - 1 < commands[i].n_args)
        reply (q, "FAIL %s: arguments are missing", commands[i].name);
      else
        commands[i].func (q, (char **) words->pdata);
      return;
    }
  reply (q, "FAIL Unknown command '%s'", (char *) g_ptr_array_index (words, 0));
}

static size_t
can_receive (void *opaque)
{
  return ((VmQtest *) opaque)->out->len > VM_MIB ? 0 : 65536;
}

static void
receive (void *opaque, const uint8_t *buf, size_t len)
{
  VmQtest *q = opaque;
  char *newline;

  g_string_append_len (q->in, (const char *) buf, len);
  while ((newline = memchr (q->in->str, '\n', q->in->len)))
    {
      g_autofree char *line = g_strndup (q->in->str, newline - q->in->str);
      g_string_erase (q->in, 0, newline + 1 - q->in->str);
      run_line (q, line);
    }
  if (q->in->len > LINE_MAX_BYTES)
    {
      reply (q, "ERR line is too long");
      g_string_truncate (q->in, 0);
    }
}

static void
on_event (void *opaque, VmCharEvent event)
{
  VmQtest *q = opaque;

  if (event == VM_CHAR_OPENED || event == VM_CHAR_CLOSED)
    {
      g_string_truncate (q->in, 0);
      g_string_truncate (q->out, 0);
      memset (q->levels, 0, sizeof q->levels);
      q->machine->irq_tap = NULL;
      log_line (q, 'I', event == VM_CHAR_OPENED ? "OPENED" : "CLOSED");
    }
}

static void
writable (void *opaque)
{
  VmQtest *q = opaque;

  flush_out (q);
  vm_char_fe_accept_input (&q->fe);
}

static const VmCharFeOps fe_ops = { can_receive, receive, on_event, writable };

VmQtest *
vm_qtest_new (VmMachine *machine, GError **error)
{
  return vm_qtest_serve (machine, machine->qtest_chardev, machine->settings->qtest_log, error);
}

VmQtest *
vm_qtest_serve (VmMachine *machine, const char *chardev, const char *log, GError **error)
{
  VmQtest *q = g_new0 (VmQtest, 1);

  q->machine = machine;
  q->fe.owner = "qtest";
  q->in = g_string_new (NULL);
  q->out = g_string_new (NULL);
  q->started = g_get_monotonic_time ();
  q->log = stderr;
  if (log && !strcmp (log, "none"))
    q->log = NULL;
  else if (log)
    {
      q->log = fopen (log, "we");
      q->close_log = q->log != NULL;
      if (q->log)
        setvbuf (q->log, NULL, _IOLBF, 0);
      if (!q->log)
        vm_fail (error, "cannot write the log of qtest '%s': %s", log, g_strerror (errno));
    }
  VmChardev *chr = vm_chardev_find (machine->env.root, chardev);
  bool ok = (!log || q->log || !strcmp (log, "none")) && vm_char_fe_attach_to (&q->fe, chr, &fe_ops, q, error);
  if (!ok)
    g_clear_pointer (&q, vm_qtest_free);
  return q;
}

void
vm_qtest_free (VmQtest *q)
{
  bool taken = vm_lock_enter (q->machine->lock);

  if (q->machine->irq_tap_opaque == q)
    q->machine->irq_tap = NULL;
  if (vm_char_fe_connected (&q->fe))
    vm_char_fe_detach (&q->fe);
  vm_lock_leave (q->machine->lock, taken);
  if (q->close_log)
    fclose (q->log);
  g_string_free (q->in, TRUE);
  g_string_free (q->out, TRUE);
  g_free (q);
}
