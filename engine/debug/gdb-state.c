/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gdb server's view of registers and memory. */
#include "engine/debug/gdb-private.h"

/* --- on the vCPU's thread, with its registers at hand --------------------------------------------- */

typedef struct Job
{
  VmGdb *g;
  void (*func) (struct Job *job, VmVcpu *vcpu);
  bool changes; /* the registers */
  bool ok;
  unsigned n;
  GString *text;
  const uint8_t *bytes;
  size_t len;
  uint64_t linear, phys;
  VmAddressSpace *as;
} Job;

static void
do_job (VmVcpu *vcpu, void *opaque)
{
  Job *job = opaque;
  const VmAccelOps *ops = vcpu->accel->ops;

  if (ops->state_fetch)
    ops->state_fetch (vcpu);
  job->func (job, vcpu);
  if (job->changes && ops->state_store)
    ops->state_store (vcpu);
}

static bool
run_job (VmVcpu *vcpu, Job *job)
{
  if (!vcpu)
    return false;
  vm_vcpu_run (vcpu, do_job, job);
  return job->ok;
}

/* --- registers ------------------------------------------------------------------------------------- */

static void
read_one (Job *job, VmVcpu *vcpu)
{
  uint8_t bytes[VM_GDB_REGISTER_MAX] = { 0 };
  unsigned size = job->g->arch->size (vcpu, job->n);

  if (size == 0)
    return;
  job->g->arch->read (vcpu, job->n, bytes);
  gdb_hex_append (job->text, bytes, size);
  job->ok = true;
}

static void
read_all (Job *job, VmVcpu *vcpu)
{
  for (job->n = 0; job->g->arch->size (vcpu, job->n); job->n++)
    read_one (job, vcpu);
}

/* Whatever the bytes hold: the last register may be missing, one that cannot be is left as it was. */
static void
write_all (Job *job, VmVcpu *vcpu)
{
  size_t done = 0;

  for (unsigned n = 0, size; (size = job->g->arch->size (vcpu, n)) && done + size <= job->len; n++, done += size)
    job->g->arch->write (vcpu, n, job->bytes + done);
  job->ok = true;
}

static void
write_one (Job *job, VmVcpu *vcpu)
{
  job->ok = job->g->arch->size (vcpu, job->n) == job->len && job->g->arch->write (vcpu, job->n, job->bytes);
}

void
gdb_read_registers (VmGdb *g, const char *p, size_t len)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Job job = { .g = g, .func = read_all, .text = text };

  if (run_job (gdb_vcpu (g), &job))
    gdb_reply_bytes (g, text->str, text->len);
  else
    gdb_reply_error (g);
}

void
gdb_write_registers (VmGdb *g, const char *p, size_t len)
{
  g_autofree uint8_t *bytes = g_malloc (len / 2 + 1);
  Job job = { .g = g, .func = write_all, .changes = true, .bytes = bytes, .len = len / 2 };

  if (len && len % 2 == 0 && gdb_hex_parse (p, bytes, len / 2) && run_job (gdb_vcpu (g), &job))
    gdb_reply_ok (g);
  else
    gdb_reply_error (g);
}

void
gdb_read_register (VmGdb *g, const char *p, size_t len)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Job job = { .g = g, .func = read_one, .text = text };
  uint64_t n;

  bool ok = gdb_number_parse (&p, &n) && n < UINT32_MAX;
  job.n = ok ? n : 0;
  if (ok && run_job (gdb_vcpu (g), &job))
    gdb_reply_bytes (g, text->str, text->len);
  else
    gdb_reply_error (g);
}

void
gdb_write_register (VmGdb *g, const char *p, size_t len)
{
  uint8_t bytes[VM_GDB_REGISTER_MAX];
  Job job = { .g = g, .func = write_one, .changes = true, .bytes = bytes };
  uint64_t n;

  bool ok = gdb_number_parse (&p, &n) && n < UINT32_MAX && *p == '=';
  size_t digits = ok ? strlen (p + 1) : 0;
  ok = ok && digits <= 2 * sizeof bytes && gdb_hex_parse (p + 1, bytes, digits / 2);
  job.n = ok ? n : 0;
  job.len = digits / 2;
  if (ok && run_job (gdb_vcpu (g), &job))
    gdb_reply_ok (g);
  else
    gdb_reply_error (g);
}

static void
write_pc (Job *job, VmVcpu *vcpu)
{
  job->g->arch->set_pc (vcpu, job->linear);
}

void
gdb_set_pc (VmGdb *g, VmVcpu *vcpu, uint64_t pc)
{
  Job job = { .g = g, .func = write_pc, .changes = true, .linear = pc };

  run_job (vcpu, &job);
}

/* --- the target description ------------------------------------------------------------------------ */

static void
get_description (Job *job, VmVcpu *vcpu)
{
  g_autofree char *xml = job->g->arch->description (vcpu);

  g_string_append (job->text, xml);
  job->ok = true;
}

/* ANNEX:OFFSET,LENGTH */
void
gdb_read_features (VmGdb *g, const char *p, size_t len)
{
  g_autoptr (GString) xml = g_string_new (NULL);
  Job job = { .g = g, .func = get_description, .text = xml };
  uint64_t offset, length;

  if (!g_str_has_prefix (p, "target.xml:"))
    {
      gdb_reply (g, "E00"); /* there is no such annex */
      return;
    }
  p += strlen ("target.xml:");
  if (!gdb_number_parse (&p, &offset) || *p++ != ',' || !gdb_number_parse (&p, &length) || !run_job (gdb_vcpu (g), &job)
      || offset > xml->len)
    {
      gdb_reply_error (g);
      return;
    }
  length = MIN (length, GDB_PACKET_MAX / 2);
  bool last = length >= xml->len - offset;
  length = MIN (length, xml->len - offset);
  g_string_erase (xml, 0, offset);
  g_string_truncate (xml, length);
  g_string_prepend_c (xml, last ? 'l' : 'm');
  gdb_reply_bytes (g, xml->str, xml->len);
}

/* --- memory ---------------------------------------------------------------------------------------- */

static void
translate (Job *job, VmVcpu *vcpu)
{
  VmMachine *m = job->g->machine;

  job->ok = job->g->physical || m->arch->translate (vcpu, job->linear, &job->phys);
  if (job->g->arch->memory)
    job->as = job->g->arch->memory (vcpu);
}

bool
gdb_translate (VmGdb *g, VmVcpu *vcpu, uint64_t linear, uint64_t *phys, VmAddressSpace **as)
{
  Job job = { .g = g, .func = translate, .linear = linear, .phys = linear };

  if (!run_job (vcpu, &job))
    return false;
  *phys = job.phys;
  *as = job.as ? job.as : &g->machine->memory_as;
  return true;
}

/* Registers of devices are written by their physical addresses only; read-only memory always. */
static VmMemResult
write_part (VmGdb *g, VmAddressSpace *as, uint64_t phys, const uint8_t *bytes, size_t len)
{
  VmMemResult result = vm_as_write_rom (as, phys, bytes, len);

  return g->physical ? vm_as_write (as, phys, VM_MEM_ATTRS_NONE, bytes, len) : result;
}

/* How many of the LEN bytes could be moved. */
static size_t
transfer (VmGdb *g, uint64_t address, uint8_t *bytes, size_t len, bool is_write)
{
  size_t done = 0;

  while (done < len)
    {
      uint64_t linear = address + done, phys;
      size_t part = MIN (len - done, VM_PAGE_SIZE - (linear & ~VM_PAGE_MASK));
      VmAddressSpace *as;

      if (!gdb_translate (g, gdb_vcpu (g), linear, &phys, &as))
        break;
      VmMemResult result = is_write ? write_part (g, as, phys, bytes + done, part)
                                    : vm_as_read (as, phys, VM_MEM_ATTRS_NONE, bytes + done, part);
      if (result != VM_MEM_OK)
        break;
      done += part;
    }
  return done;
}

/* ADDRESS,LENGTH: fewer bytes than asked for are an answer. */
void
gdb_read_memory (VmGdb *g, const char *p, size_t len)
{
  g_autofree uint8_t *bytes = g_malloc0 (GDB_PACKET_MAX / 2);
  g_autoptr (GString) text = g_string_new (NULL);
  uint64_t address, length;

  if (!gdb_number_parse (&p, &address) || *p++ != ',' || !gdb_number_parse (&p, &length))
    {
      gdb_reply_error (g);
      return;
    }
  length = MIN (length, GDB_PACKET_MAX / 2);
  size_t done = transfer (g, address, bytes, length, false);
  if (done == 0 && length)
    {
      gdb_reply (g, "E14"); /* bad address */
      return;
    }
  gdb_hex_append (text, bytes, done);
  gdb_reply_bytes (g, text->str, text->len);
}

static void
write_bytes (VmGdb *g, uint64_t address, uint8_t *bytes, size_t len)
{
  if (transfer (g, address, bytes, len, true) == len)
    gdb_reply_ok (g);
  else
    gdb_reply (g, "E14");
}

/* ADDRESS,LENGTH:HEX */
void
gdb_write_memory (VmGdb *g, const char *p, size_t len)
{
  const char *end = p + len;
  g_autofree uint8_t *bytes = g_malloc (GDB_PACKET_MAX / 2 + 1);
  uint64_t address, length;

  if (!gdb_number_parse (&p, &address) || *p++ != ',' || !gdb_number_parse (&p, &length) || *p++ != ':'
      || length != (size_t) (end - p) / 2 || !gdb_hex_parse (p, bytes, length))
    gdb_reply_error (g);
  else
    write_bytes (g, address, bytes, length);
}

/* ADDRESS,LENGTH:BYTES */
void
gdb_write_memory_binary (VmGdb *g, const char *p, size_t len)
{
  const char *end = p + len;
  uint64_t address, length;

  if (!gdb_number_parse (&p, &address) || *p++ != ',' || !gdb_number_parse (&p, &length) || *p++ != ':'
      || length != (size_t) (end - p))
    gdb_reply_error (g);
  else
    write_bytes (g, address, (uint8_t *) p, length);
}
