/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dump-guest-memory: the guest's memory and registers as an ELF core file (System V ABI, chapters 4 and 5; notes
 * as Linux writes them). Memory is written in pieces from the loop, at once or while clients go on. */
#include "engine/monitor/dump-private.h"
#include "engine/monitor/qmp-handlers.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIECE (4 * VM_MIB)

/* struct elf_prstatus of 64-bit Linux. */
enum
{
  PRSTATUS_PID = 32,
  PRSTATUS_REGISTERS = 112,
  PRSTATUS_SIZE = 336,
};

static void
dump_close (VmDump *d)
{
  if (d->fd >= 0 && close (d->fd) != 0 && !d->error)
    vm_fail (&d->error, "dump: failed to save memory: %s", g_strerror (errno));
  d->fd = -1;
  g_clear_pointer (&d->view, vm_flat_view_unref);
  if (d->idle)
    g_source_destroy (d->idle);
  g_clear_pointer (&d->idle, g_source_unref);
}

static void
dump_free (VmDump *d)
{
  dump_close (d);
  g_clear_error (&d->error);
  g_array_unref (d->segments);
  if (d->mappings)
    g_array_unref (d->mappings);
  kdump_free (d->kdump);
  g_free (d);
}

void
vm_dump_free (VmMonitors *all)
{
  g_clear_pointer (&all->dump, dump_free);
}

bool
dump_write (VmDump *d, const void *data, size_t len)
{
  const char *p = data;

  while (len)
    {
      ssize_t n = write (d->fd, p, len);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return vm_fail (&d->error, "dump: failed to save memory: %s", g_strerror (errno));
      p += n;
      len -= n;
    }
  return true;
}

/* --- what is dumped --- */

static void
collect_segments (VmDump *d, uint64_t begin, uint64_t length)
{
  uint64_t end = length > UINT64_MAX - begin ? UINT64_MAX : begin + length;

  for (size_t i = 0; i < d->view->n; i++)
    {
      const VmFlatRange *r = &d->view->ranges[i];
      uint64_t from = MAX (r->start, begin), past = r->last < end ? r->last + 1 : end;
      if (!r->block || !r->host || from >= past)
        continue;
      DumpSegment segment = { from, past - from, r->host + (from - r->start) };
      g_array_append_val (d->segments, segment);
      d->total += segment.size;
    }
}

/* --- notes --- */

typedef struct Registers
{
  const VmArchOps *arch;
  uint8_t *out;
} Registers;

static void
save_registers (VmVcpu *vcpu, void *opaque)
{
  Registers *r = opaque;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  for (unsigned i = 0; r->arch->core_registers[i]; i++)
    {
      uint64_t value = 0;
      r->arch->register_value (vcpu, r->arch->core_registers[i], &value);
      vm_store_le64 (r->out + i * 8, value);
    }
}

static void
append_status (GByteArray *notes, const VmArchOps *arch, VmVcpu *vcpu)
{
  static const char name[8] = "CORE";
  Elf64_Nhdr header = { sizeof "CORE", PRSTATUS_SIZE, NT_PRSTATUS };
  uint8_t status[PRSTATUS_SIZE] = { 0 };
  Registers r = { arch, status + PRSTATUS_REGISTERS };

  vm_store_le32 (status + PRSTATUS_PID, vcpu->index + 1);
  vm_vcpu_run (vcpu, save_registers, &r);
  g_byte_array_append (notes, (const uint8_t *) &header, sizeof header);
  g_byte_array_append (notes, (const uint8_t *) name, sizeof name);
  g_byte_array_append (notes, status, sizeof status);
}

GByteArray *
dump_notes (VmDump *d)
{
  VmMachine *m = d->all->machine;
  GByteArray *notes = g_byte_array_new ();

  for (unsigned i = 0; m->arch && i < vm_vcpu_set_count (m->vcpus); i++)
    append_status (notes, m->arch, vm_vcpu_set_get (m->vcpus, i));
  return notes;
}

/* --- program headers --- */

/* Where virtual addresses are wanted, what page tables map comes first, then the memory that they do not; else all of
 * it as it lies. Offsets in the file count from the first segment. */
static void
add_header (GArray *headers, uint64_t virt, uint64_t phys, uint64_t offset, uint64_t size)
{
  Elf64_Phdr head
      = { .p_type = PT_LOAD, .p_offset = offset, .p_vaddr = virt, .p_paddr = phys, .p_filesz = size, .p_memsz = size };

  g_array_append_val (headers, head);
}

/* The parts of MAPPING that are in the dump; their pages are noted in SEEN. */
static void
add_mapping (VmDump *d, GArray *headers, const VmMapping *m, GHashTable *seen)
{
  uint64_t offset = 0;

  for (guint i = 0; i < d->segments->len; i++)
    {
      const DumpSegment *s = &g_array_index (d->segments, DumpSegment, i);
      uint64_t from = MAX (s->addr, m->physical), to = MIN (s->addr + s->size, m->physical + m->size);
      if (from < to)
        add_header (headers, m->linear + (from - m->physical), from, offset + (from - s->addr), to - from);
      for (uint64_t at = from; at < to; at += VM_PAGE_SIZE)
        g_hash_table_add (seen, GSIZE_TO_POINTER (at >> VM_PAGE_SHIFT));
      offset += s->size;
    }
}

/* What of S, whose bytes are at OFFSET, no page table leads to. */
static void
add_unmapped (GArray *headers, const DumpSegment *s, uint64_t offset, GHashTable *seen)
{
  uint64_t begin = 0;

  for (uint64_t at = 0; at < s->size; at += VM_PAGE_SIZE)
    {
      if (!g_hash_table_contains (seen, GSIZE_TO_POINTER ((s->addr + at) >> VM_PAGE_SHIFT)))
        continue;
      if (at > begin)
        add_header (headers, 0, s->addr + begin, offset + begin, at - begin);
      begin = at + VM_PAGE_SIZE;
    }
  if (begin < s->size)
    add_header (headers, 0, s->addr + begin, offset + begin, s->size - begin);
}

static GArray *
program_headers (VmDump *d)
{
  GArray *headers = g_array_new (FALSE, FALSE, sizeof (Elf64_Phdr));
  g_autoptr (GHashTable) seen = d->mappings ? g_hash_table_new (NULL, NULL) : NULL;
  uint64_t offset = 0;

  for (guint i = 0; d->mappings && i < d->mappings->len; i++)
    add_mapping (d, headers, &g_array_index (d->mappings, VmMapping, i), seen);
  for (guint i = 0; i < d->segments->len; i++)
    {
      const DumpSegment *s = &g_array_index (d->segments, DumpSegment, i);
      if (seen)
        add_unmapped (headers, s, offset, seen);
      else
        add_header (headers, s->addr, s->addr, offset, s->size);
      offset += s->size;
    }
  return headers;
}

static bool
write_headers (VmDump *d)
{
  VmMachine *m = d->all->machine;
  g_autoptr (GByteArray) notes = dump_notes (d);
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autoptr (GArray) headers = program_headers (d);
  unsigned n = headers->len + 1;
  bool many = n >= PN_XNUM; /* then the first section header says how many */
  Elf64_Ehdr file = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                      .e_type = ET_CORE,
                      .e_machine = m->arch ? m->arch->elf_machine : EM_NONE,
                      .e_version = EV_CURRENT,
                      .e_phoff = sizeof file,
                      .e_ehsize = sizeof file,
                      .e_phentsize = sizeof (Elf64_Phdr),
                      .e_phnum = many ? PN_XNUM : n };
  Elf64_Shdr section = { .sh_info = n };
  uint64_t offset = sizeof file + (uint64_t) n * sizeof (Elf64_Phdr);

  if (many)
    {
      file.e_shoff = offset;
      file.e_shentsize = sizeof section;
      file.e_shnum = 1;
      offset += sizeof section;
    }
  Elf64_Phdr head = { .p_type = PT_NOTE, .p_offset = offset, .p_filesz = notes->len, .p_memsz = notes->len };
  offset += notes->len;
  g_byte_array_append (out, (const uint8_t *) &file, sizeof file);
  g_byte_array_append (out, (const uint8_t *) &head, sizeof head);
  for (guint i = 0; i < headers->len; i++)
    g_array_index (headers, Elf64_Phdr, i).p_offset += offset;
  g_byte_array_append (out, (const uint8_t *) headers->data, headers->len * (guint) sizeof (Elf64_Phdr));
  if (many)
    g_byte_array_append (out, (const uint8_t *) &section, sizeof section);
  g_byte_array_append (out, notes->data, notes->len);
  return dump_write (d, out->data, out->len);
}

/* --- writing --- */

/* False: nothing is left to do, well or badly. */
static bool
write_piece (VmDump *d)
{
  if (d->kdump)
    return kdump_piece (d);
  if (d->at == d->segments->len)
    return false;
  const DumpSegment *s = &g_array_index (d->segments, DumpSegment, d->at);
  uint64_t part = MIN (s->size - d->done, PIECE);
  if (!dump_write (d, s->host + d->done, part))
    return false;
  d->done += part;
  d->completed += part;
  if (d->done == s->size)
    {
      d->at++;
      d->done = 0;
    }
  return true;
}

static void
finish (VmDump *d)
{
  VmMachine *m = d->all->machine;

  dump_close (d);
  d->status = d->error ? VMQ_DUMP_STATUS_FAILED : VMQ_DUMP_STATUS_COMPLETED;
  if (d->stopped && m->state == VM_RUN_PAUSED)
    vm_machine_cont (m, NULL); /* it ran before: cannot fail */
  if (!d->detached)
    return;
  json_object *why = json_object_new_string (d->error ? d->error->message : "");
  vm_machine_emit (m, "DUMP_COMPLETED",
                   "{\"result\": {\"status\": \"%s\", \"completed\": %" G_GUINT64_FORMAT
                   ", \"total\": %" G_GUINT64_FORMAT "}%s%s}",
                   vmq_type_dumpstatus.names[d->status], d->completed, d->total, d->error ? ", \"error\": " : "",
                   d->error ? json_object_to_json_string (why) : "");
  json_object_put (why);
}

static gboolean
on_idle (gpointer data)
{
  VmDump *d = data;
  bool taken = vm_lock_enter (d->all->machine->lock);
  bool more = write_piece (d);

  if (!more)
    finish (d);
  vm_lock_leave (d->all->machine->lock, taken);
  return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static int
open_target (VmMonitor *mon, const char *protocol, GError **error)
{
  if (g_str_has_prefix (protocol, "fd:"))
    return vm_fds_take (mon->all, protocol + strlen ("fd:"), error);
  if (!g_str_has_prefix (protocol, "file:"))
    {
      vm_fail (error, "Invalid parameter 'protocol'");
      return -1;
    }
  const char *path = protocol + strlen ("file:");
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    vm_fail (error, "Could not open '%s': %s", path, g_strerror (errno));
  return fd;
}

static bool
check_arguments (VmMonitor *mon, const VmqDumpGuestMemoryArg *args, GError **error)
{
  if (mon->all->dump && mon->all->dump->status == VMQ_DUMP_STATUS_ACTIVE)
    return vm_fail (error, "There is a dump in process, please wait.");
  if (args->has_begin && !args->has_length)
    return vm_fail (error, "Parameter 'length' is missing");
  if (args->has_length && !args->has_begin)
    return vm_fail (error, "Parameter 'begin' is missing");
  if (args->has_begin && (args->begin < 0 || args->length <= 0))
    return vm_fail (error, "Parameter '%s' expects a positive size", args->begin < 0 ? "begin" : "length");
  if (args->has_format && args->format != VMQ_DUMP_GUEST_MEMORY_FORMAT_ELF && (args->paging || args->has_begin)
      && args->format != VMQ_DUMP_GUEST_MEMORY_FORMAT_WIN_DMP)
    return vm_fail (error, "kdump-compressed format doesn't support paging or filter");
  if (args->has_format && args->format == VMQ_DUMP_GUEST_MEMORY_FORMAT_WIN_DMP)
    return vm_fail (error, "dump: format 'win-dmp' is not available in this build");
  if (args->paging && !(mon->machine->arch && mon->machine->arch->list_mappings))
    return vm_fail (error, "dump: this machine has no page tables");
  return true;
}

static void
list_mappings (VmVcpu *vcpu, void *opaque)
{
  VmDump *d = opaque;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  d->all->machine->arch->list_mappings (vcpu, d->mappings);
}

/* What the first processor's tables say, that of the others is the same in a kernel. */
static void
find_mappings (VmDump *d)
{
  VmVcpu *vcpu = vm_vcpu_set_count (d->all->machine->vcpus) ? vm_vcpu_set_get (d->all->machine->vcpus, 0) : NULL;

  d->mappings = g_array_new (FALSE, FALSE, sizeof (VmMapping));
  if (vcpu)
    vm_vcpu_run (vcpu, list_mappings, d);
}

bool
vm_qmp_dump_guest_memory (VmMonitor *mon, const VmqDumpGuestMemoryArg *args, GError **error)
{
  if (!check_arguments (mon, args, error))
    return false;
  VmDump *d = g_new0 (VmDump, 1);
  d->all = mon->all;
  d->fd = -1;
  d->segments = g_array_new (FALSE, FALSE, sizeof (DumpSegment));
  d->view = vm_address_space_view (mon->machine->env.memory_as);
  collect_segments (d, args->has_begin ? args->begin : 0, args->has_begin ? args->length : UINT64_MAX);
  if (!d->segments->len)
    vm_fail (error, "dump: no guest memory to dump");
  else
    d->fd = open_target (mon, args->protocol, error);
  if (d->fd < 0)
    {
      dump_free (d);
      return false;
    }
  vm_dump_free (mon->all);
  mon->all->dump = d;
  d->status = VMQ_DUMP_STATUS_ACTIVE;
  d->stopped = vm_machine_is_running (mon->machine);
  if (d->stopped)
    vm_machine_stop (mon->machine, VM_RUN_PAUSED);
  d->format = args->has_format ? args->format : VMQ_DUMP_GUEST_MEMORY_FORMAT_ELF;
  if (args->paging)
    find_mappings (d);
  bool begun = d->format == VMQ_DUMP_GUEST_MEMORY_FORMAT_ELF ? write_headers (d) : kdump_begin (d);
  d->detached = begun && args->has_detach && args->detach;
  if (d->detached)
    {
      d->idle = g_idle_source_new ();
      g_source_set_callback (d->idle, on_idle, d, NULL);
      g_source_attach (d->idle, vm_loop_context (mon->machine->env.loop));
      return true;
    }
  while (begun && write_piece (d))
    ;
  finish (d);
  return !d->error || vm_fail (error, "%s", d->error->message);
}

/* --- how far it is --- */

VmqDumpQueryResult *
vm_qmp_query_dump (VmMonitor *mon, GError **error)
{
  VmqDumpQueryResult *info = g_new0 (VmqDumpQueryResult, 1);
  const VmDump *d = mon->all->dump;

  if (!d)
    return info;
  info->status = d->status;
  info->completed = d->completed;
  info->total = d->total;
  return info;
}

VmqDumpGuestMemoryCapability *
vm_qmp_query_dump_guest_memory_capability (VmMonitor *mon, GError **error)
{
  VmqDumpGuestMemoryCapability *info = g_new0 (VmqDumpGuestMemoryCapability, 1);

  info->formats = g_array_new (FALSE, FALSE, sizeof (int));
  for (int format = 0; format < VMQ_DUMP_GUEST_MEMORY_FORMAT_WIN_DMP; format++)
    g_array_append_val (info->formats, format);
  return info;
}
