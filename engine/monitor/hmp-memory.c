/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking at memory, ports and registers: x, xp, print, i, o, sum, memsave, gva2gpa; expressions. */
#include "engine/monitor/hmp.h"

#include <errno.h>
#include <stdio.h>

/* --- expressions: sums of products of bit operations, as in C without precedence surprises --- */

typedef struct Parser
{
  VmMonitor *mon;
  const char *p;
  GError **error;
  unsigned depth;
} Parser;

static bool sum_of (Parser *e, int64_t *value);

static void
skip (Parser *e)
{
  while (g_ascii_isspace (*e->p))
    e->p++;
}

typedef struct RegisterQuery
{
  const VmArchOps *arch;
  const char *name;
  uint64_t value;
  bool found;
} RegisterQuery;

static void
read_register (VmVcpu *vcpu, void *opaque)
{
  RegisterQuery *q = opaque;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  q->found = q->arch->register_value (vcpu, q->name, &q->value);
}

static bool
register_of (Parser *e, int64_t *value)
{
  char name[32];
  unsigned n = 0;
  VmVcpu *cpu = vm_monitor_cpu (e->mon);

  e->p++;
  while ((g_ascii_isalnum (*e->p) || strchr ("_.", *e->p)) && *e->p && n + 1 < sizeof name)
    name[n++] = *e->p++;
  name[n] = 0;
  skip (e);
  RegisterQuery q = { e->mon->machine->arch, name, 0, false };
  if (!cpu || !q.arch || !q.arch->register_value)
    return vm_fail (e->error, "no CPU available");
  vm_vcpu_run (cpu, read_register, &q);
  if (!q.found)
    return vm_fail (e->error, "unknown register");
  *value = q.value;
  return true;
}

static bool
unary (Parser *e, int64_t *value)
{
  char op = *e->p;

  if (++e->depth > 200)
    return vm_fail (e->error, "expression is nested too deeply");
  switch (op)
    {
    case '+':
    case '-':
    case '~':
      e->p++;
      skip (e);
      if (!unary (e, value))
        return false;
      *value = op == '-' ? (int64_t) - (uint64_t) *value : op == '~' ? ~*value : *value;
      return true;
    case '(':
      e->p++;
      skip (e);
      if (!sum_of (e, value))
        return false;
      if (*e->p != ')')
        return vm_fail (e->error, "')' expected");
      e->p++;
      skip (e);
      return true;
    case '\'':
      if (!e->p[1])
        return vm_fail (e->error, "character constant expected");
      *value = (uint8_t) e->p[1];
      if (e->p[2] != '\'')
        return vm_fail (e->error, "missing terminating \' character");
      e->p += 3;
      skip (e);
      return true;
    case '$':
      return register_of (e, value);
    case '\0':
      return vm_fail (e->error, "unexpected end of expression");
    default:
      break;
    }
  char *end;
  errno = 0;
  *value = (int64_t) g_ascii_strtoull (e->p, &end, 0);
  if (end == e->p || !g_ascii_isdigit (op))
    return vm_fail (e->error, "invalid char '%c' in expression", op);
  if (errno == ERANGE)
    return vm_fail (e->error, "number too large");
  e->p = end;
  skip (e);
  return true;
}

static bool
product_of (Parser *e, int64_t *value)
{
  if (!unary (e, value))
    return false;
  while (*e->p && strchr ("*/%", *e->p))
    {
      char op = *e->p++;
      int64_t right;
      skip (e);
      if (!unary (e, &right))
        return false;
      if (op == '*')
        {
          *value = (int64_t) ((uint64_t) *value * (uint64_t) right);
          continue;
        }
      if (right == 0)
        return vm_fail (e->error, "division by zero");
      if (right == -1) /* the one overflow of division */
        *value = op == '/' ? (int64_t) - (uint64_t) *value : 0;
      else
        *value = op == '/' ? *value / right : *value % right;
    }
  return true;
}

static bool
bits_of (Parser *e, int64_t *value)
{
  if (!product_of (e, value))
    return false;
  while (*e->p && strchr ("&|^", *e->p))
    {
      char op = *e->p++;
      int64_t right;
      skip (e);
      if (!product_of (e, &right))
        return false;
      *value = op == '&' ? *value & right : op == '|' ? *value | right : *value ^ right;
    }
  return true;
}

static bool
sum_of (Parser *e, int64_t *value)
{
  if (!bits_of (e, value))
    return false;
  while (*e->p == '+' || *e->p == '-')
    {
      char op = *e->p++;
      int64_t right;
      skip (e);
      if (!bits_of (e, &right))
        return false;
      *value = (int64_t) (op == '+' ? (uint64_t) *value + (uint64_t) right : (uint64_t) *value - (uint64_t) right);
    }
  return true;
}

bool
vm_hmp_expression (VmMonitor *mon, const char **p, int64_t *value, GError **error)
{
  Parser e = { mon, *p, error, 0 };

  skip (&e);
  bool ok = sum_of (&e, value);
  *p = e.p;
  return ok;
}

/* --- reading memory --- */

typedef struct Translate
{
  const VmArchOps *arch;
  uint64_t virt, phys;
  bool mapped;
} Translate;

static void
translate (VmVcpu *vcpu, void *opaque)
{
  Translate *t = opaque;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  t->mapped = t->arch->translate (vcpu, t->virt, &t->phys);
}

static bool
to_physical (VmMonitor *mon, uint64_t virt, uint64_t *phys)
{
  VmVcpu *cpu = vm_monitor_cpu (mon);
  Translate t = { mon->machine->arch, virt, 0, false };

  if (!cpu || !t.arch)
    return false;
  vm_vcpu_run (cpu, translate, &t);
  *phys = t.phys;
  return t.mapped;
}

/* Without side effects on devices: only RAM and ROM are read. */
static bool
read_physical (VmMonitor *mon, uint64_t addr, uint8_t *buf, size_t len)
{
  VmFlatView *view = vm_address_space_view (mon->machine->env.memory_as);
  bool ok = true;

  for (size_t done = 0; ok && done < len;)
    {
      const VmFlatRange *range = vm_flat_view_find (view, addr + done);
      if (!range || !range->host)
        {
          ok = false;
          break;
        }
      uint64_t room = range->last - (addr + done) + 1;
      size_t part = room && room < len - done ? (size_t) room : len - done;
      memcpy (buf + done, range->host + (addr + done - range->start), part);
      done += part;
    }
  vm_flat_view_unref (view);
  return ok;
}

static bool
read_virtual (VmMonitor *mon, uint64_t addr, uint8_t *buf, size_t len)
{
  for (size_t done = 0; done < len;)
    {
      size_t part = MIN (len - done, VM_PAGE_SIZE - ((addr + done) & (VM_PAGE_SIZE - 1)));
      uint64_t phys;
      if (!to_physical (mon, addr + done, &phys) || !read_physical (mon, phys, buf + done, part))
        return false;
      done += part;
    }
  return true;
}

/* --- x and xp --- */

static void
append_value (GString *out, uint64_t value, char format, unsigned size)
{
  static const unsigned octal_digits[] = { [1] = 3, [2] = 6, [4] = 11, [8] = 22 };
  static const unsigned decimal_digits[] = { [1] = 3, [2] = 5, [4] = 10, [8] = 20 };
  int64_t number = (int64_t) (value << (64 - size * 8)) >> (64 - size * 8);

  switch (format)
    {
    case 'o':
      g_string_append_printf (out, " 0%0*" G_GINT64_MODIFIER "o", (int) octal_digits[size], value);
      break;
    case 'x':
      g_string_append_printf (out, " 0x%0*" G_GINT64_MODIFIER "x", (int) size * 2, value);
      break;
    case 'u':
      g_string_append_printf (out, " %*" G_GUINT64_FORMAT, (int) decimal_digits[size], value);
      break;
    case 'd':
      g_string_append_printf (out, " %*" G_GINT64_FORMAT, (int) decimal_digits[size], number);
      break;
    default:
      if (value < 128 && g_ascii_isprint ((char) value) && value != '\'' && value != '\\')
        g_string_append_printf (out, " '%c'", (char) value);
      else if (value == '\n' || value == '\r' || value == '\'' || value == '\\')
        g_string_append_printf (out, " '\\%c'", value == '\n' ? 'n' : value == '\r' ? 'r' : (char) value);
      else
        g_string_append_printf (out, " '\\x%02x'", (unsigned) value & 0xff);
      break;
    }
}

typedef bool (*ReadFunc) (VmMonitor *mon, uint64_t addr, uint8_t *buf, size_t len);

static void
dump_numbers (VmMonitor *mon, const VmHmpArgs *args, uint64_t addr, ReadFunc read)
{
  char format = args->format;
  unsigned size = format == 'c' ? 1 : args->size;
  unsigned per_line = format == 'c' ? 8 : size == 1 ? 8 : size == 2 ? 8 : size == 4 ? 4 : 2;

  for (unsigned i = 0; i < args->count; i += per_line)
    {
      g_autoptr (GString) out = g_string_new (NULL);
      unsigned n = MIN (per_line, args->count - i);
      uint8_t buf[64];
      g_string_append_printf (out, "%016" G_GINT64_MODIFIER "x:", addr);
      if (!read (mon, addr, buf, (size_t) n * size))
        {
          vm_monitor_printf (mon, "%s Cannot access memory\n", out->str);
          return;
        }
      for (unsigned k = 0; k < n; k++)
        append_value (out, vm_load_le (buf + (size_t) k * size, size), format, size);
      vm_monitor_printf (mon, "%s\n", out->str);
      addr += (uint64_t) n * size;
    }
}

typedef struct Disassembly
{
  const VmArchOps *arch;
  uint64_t pc;
  const uint8_t *bytes;
  size_t len;
  unsigned used;
  char *text;
} Disassembly;

static void
disassemble (VmVcpu *vcpu, void *opaque)
{
  Disassembly *d = opaque;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  d->text = d->arch->disassemble (vcpu, d->pc, d->bytes, d->len, &d->used);
}

static void
dump_instructions (VmMonitor *mon, unsigned count, uint64_t addr, ReadFunc read)
{
  VmVcpu *cpu = vm_monitor_cpu (mon);
  Disassembly d = { .arch = mon->machine->arch };

  if (!cpu || !d.arch || !d.arch->disassemble)
    {
      vm_monitor_puts (mon, "no disassembler for this processor\n");
      return;
    }
  for (unsigned i = 0; i < count; i++)
    {
      uint8_t bytes[15];
      size_t len = sizeof bytes;
      while (len && !read (mon, addr, bytes, len))
        len--;
      if (!len)
        {
          vm_monitor_printf (mon, "0x%08" G_GINT64_MODIFIER "x: unable to read memory\n", addr);
          return;
        }
      d.pc = addr;
      d.bytes = bytes;
      d.len = len;
      d.used = 0;
      vm_vcpu_run (cpu, disassemble, &d);
      g_autoptr (GString) hex = g_string_new (NULL);
      for (unsigned k = 0; k < MAX (d.used, 1); k++)
        g_string_append_printf (hex, "%02x ", bytes[k]);
      vm_monitor_printf (mon, "0x%08" G_GINT64_MODIFIER "x:  %-24s %s\n", addr, hex->str, d.text ? d.text : "(bad)");
      g_clear_pointer (&d.text, g_free);
      addr += MAX (d.used, 1);
    }
}

void
vm_hmp_x (VmMonitor *mon, const VmHmpArgs *args)
{
  uint64_t addr = vm_hmp_number (args, "addr", 0);

  if (args->format == 'i')
    dump_instructions (mon, args->count, addr, read_virtual);
  else
    dump_numbers (mon, args, addr, read_virtual);
}

void
vm_hmp_xp (VmMonitor *mon, const VmHmpArgs *args)
{
  uint64_t addr = vm_hmp_number (args, "addr", 0);

  if (args->format == 'i')
    dump_instructions (mon, args->count, addr, read_physical);
  else
    dump_numbers (mon, args, addr, read_physical);
}

void
vm_hmp_print (VmMonitor *mon, const VmHmpArgs *args)
{
  uint64_t value = vm_hmp_number (args, "val", 0);

  switch (args->format)
    {
    case 'o':
      vm_monitor_printf (mon, "%#" G_GINT64_MODIFIER "o\n", value);
      break;
    case 'x':
      vm_monitor_printf (mon, "%#" G_GINT64_MODIFIER "x\n", value);
      break;
    case 'u':
      vm_monitor_printf (mon, "%" G_GUINT64_FORMAT "\n", value);
      break;
    case 'c':
      {
        g_autoptr (GString) out = g_string_new (NULL);
        append_value (out, value, 'c', 1);
        vm_monitor_printf (mon, "%s\n", out->str + 1);
        break;
      }
    default:
      vm_monitor_printf (mon, "%" G_GINT64_FORMAT "\n", (gint64) value);
    }
}

/* --- ports --- */

static char
size_letter (unsigned size)
{
  return size == 4 ? 'l' : size == 2 ? 'w' : 'b';
}

static unsigned
port_size (const VmHmpArgs *args)
{
  return MIN (args->size, 4);
}

void
vm_hmp_port_in (VmMonitor *mon, const VmHmpArgs *args)
{
  uint16_t port = vm_hmp_number (args, "addr", 0);
  unsigned size = port_size (args);
  uint64_t value = vm_as_load (mon->machine->env.io_as, port, size, VM_MEM_ATTRS_NONE, NULL);

  vm_monitor_printf (mon, "port%c[0x%04x] = 0x%0*" G_GINT64_MODIFIER "x\n", size_letter (size), port, (int) size * 2,
                     value);
}

void
vm_hmp_port_out (VmMonitor *mon, const VmHmpArgs *args)
{
  uint16_t port = vm_hmp_number (args, "addr", 0);

  vm_as_store (mon->machine->env.io_as, port, vm_hmp_number (args, "val", 0), port_size (args), VM_MEM_ATTRS_NONE);
}

/* --- the rest --- */

void
vm_hmp_sum (VmMonitor *mon, const VmHmpArgs *args)
{
  uint64_t start = vm_hmp_number (args, "start", 0);
  uint32_t size = vm_hmp_number (args, "size", 0);
  uint16_t sum = 0;

  for (uint32_t i = 0; i < size; i++)
    {
      uint8_t byte = 0;
      if (!read_physical (mon, start + i, &byte, 1))
        break;
      sum = (uint16_t) ((sum >> 1) | (sum << 15));
      sum += byte;
    }
  vm_monitor_printf (mon, "%05d\n", sum);
}

static void
save (VmMonitor *mon, const VmHmpArgs *args, const char *command)
{
  g_autofree char *name = vm_hmp_quote (vm_hmp_text (args, "filename"));
  json_object *done
      = vm_hmp_qmp (mon, command, "{\"val\": %" G_GINT64_FORMAT ", \"size\": %" G_GINT64_FORMAT ", \"filename\": %s}",
                    (gint64) vm_hmp_number (args, "val", 0), (gint64) vm_hmp_number (args, "size", 0), name);

  json_object_put (done);
}

void
vm_hmp_memsave (VmMonitor *mon, const VmHmpArgs *args)
{
  save (mon, args, "memsave");
}

void
vm_hmp_pmemsave (VmMonitor *mon, const VmHmpArgs *args)
{
  save (mon, args, "pmemsave");
}

static void
print_host (VmMonitor *mon, const VmHmpArgs *args, bool physical)
{
  uint64_t addr = vm_hmp_number (args, "addr", 0);
  VmFlatView *view = vm_address_space_view (mon->machine->env.memory_as);
  const VmFlatRange *range = vm_flat_view_find (view, addr);

  if (!range)
    {
      vm_monitor_printf (mon, "Error: No memory is mapped at address 0x%" G_GINT64_MODIFIER "x\n", addr);
    }
  else if (!range->host)
    {
      vm_monitor_printf (mon, "Error: Memory at address 0x%" G_GINT64_MODIFIER "x is not RAM\n", addr);
    }
  else
    {
      uint64_t host = (uintptr_t) range->host + (addr - range->start), entry = 0;
      if (!physical)
        {
          vm_monitor_printf (mon,
                             "Host virtual address for 0x%" G_GINT64_MODIFIER "x (%s) is 0x%" G_GINT64_MODIFIER "x\n",
                             addr, range->region->name, host);
        }
      else
        {
          /* Linux: one 64-bit word a page, frame number in bits 0..54, present in bit 63. */
          FILE *file = fopen ("/proc/self/pagemap", "re");
          bool ok = file && fseeko (file, (off_t) (host / VM_PAGE_SIZE * 8), SEEK_SET) == 0
                    && fread (&entry, sizeof entry, 1, file) == 1;
          if (file)
            fclose (file);
          if (!ok || !(entry >> 63) || !(entry & VM_MASK (54, 0)))
            vm_monitor_puts (mon, "Error: the host does not tell where this page is\n");
          else
            vm_monitor_printf (
                mon, "Host physical address for 0x%" G_GINT64_MODIFIER "x (%s) is 0x%" G_GINT64_MODIFIER "x\n", addr,
                range->region->name, (entry & VM_MASK (54, 0)) * VM_PAGE_SIZE + host % VM_PAGE_SIZE);
        }
    }
  vm_flat_view_unref (view);
}

void
vm_hmp_gpa2hva (VmMonitor *mon, const VmHmpArgs *args)
{
  print_host (mon, args, false);
}

void
vm_hmp_gpa2hpa (VmMonitor *mon, const VmHmpArgs *args)
{
  print_host (mon, args, true);
}

void
vm_hmp_gva2gpa (VmMonitor *mon, const VmHmpArgs *args)
{
  uint64_t phys;

  if (to_physical (mon, vm_hmp_number (args, "addr", 0), &phys))
    vm_monitor_printf (mon, "gpa: 0x%" G_GINT64_MODIFIER "x\n", phys);
  else
    vm_monitor_puts (mon, "Unmapped\n");
}
