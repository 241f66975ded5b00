/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The human monitor's "qemu-io": commands of vitrine-io on a drive or node of the running machine. */
#include "block/io.h"
#include "block/qmp-call.h"
#include "engine/monitor/hmp.h"

#include <errno.h>

typedef struct Count
{
  bool write;
  uint64_t len, ns;
  int status;
} Count;

typedef struct HmpIo
{
  VmIo io;
  const char *name, *line;
  VmDrive *drive; /* NULL: NAME is a node */
  GString *text;
  GArray *counts; /* Count, for the drive's statistics */
} HmpIo;

static void
keep_text (VmIo *io, bool complaint, const char *text)
{
  g_string_append (((HmpIo *) io)->text, text);
}

static void
keep_count (VmIo *io, bool write, uint64_t len, uint64_t ns, int status)
{
  Count count = { write, len, ns, status };

  g_array_append_val (((HmpIo *) io)->counts, count);
}

static const VmRootClass monitor_root = { .kind = "monitor" };

/* In the name of the drive's user, who is given what a command needs; a node gets a parent for as long. */
static bool
run_line (HmpIo *h, unsigned perm, GError **error)
{
  VmEdge *root = h->io.root;
  unsigned before = root ? root->perm : 0;

  if (root)
    {
      if (!vm_edge_set_perms (root, before | perm, root->shared, error))
        return false;
    }
  else if (!(h->io.root = vm_node_attach_root (h->io.node, "qemu-io", &monitor_root, h, perm, VM_PERM_ALL, error)))
    return false;
  vm_io_run_line (&h->io, h->line);
  vm_io_wait (&h->io);
  if (root)
    vm_edge_set_perms (root, before, root->shared, NULL); /* less is always allowed */
  else
    vm_node_detach (h->io.root);
  return true;
}

static bool
run (VmBlockCall *call, GError **error)
{
  HmpIo *h = (HmpIo *) (uintptr_t) call->args;
  VmBlock *block = h->drive ? h->drive->block : NULL;

  h->io.node = block ? vm_block_node (block) : vm_node_find (call->graph, h->name);
  if (!h->io.node)
    {
      if (h->drive)
        return vm_fail (error, "Device '%s' has no medium", h->name);
      g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Cannot find device='%s' nor node-name='%s'", h->name,
                   h->name);
      return false;
    }
  vm_node_ref (h->io.node);
  h->io.graph = call->graph;
  h->io.root = block ? block->root : NULL;
  h->io.writable = !h->io.node->readonly;
  bool writes = h->io.writable && vm_io_line_writes (&h->io, h->line);
  bool ok = run_line (h, VM_PERM_READ | (writes ? VM_PERM_WRITE : 0), error);
  vm_node_unref (h->io.node);
  return ok;
}

void
vm_hmp_qemu_io (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GArray) counts = g_array_new (FALSE, FALSE, sizeof (Count));
  g_autoptr (GError) error = NULL;
  HmpIo h = { .io = { .prefix = "Error: ", .print = keep_text, .account = keep_count },
              .name = vm_hmp_text (args, "device"),
              .line = vm_hmp_text (args, "command"),
              .text = text,
              .counts = counts };
  VmMachine *machine = vm_monitor_machine (mon);
  VmBlockCall call = { .func = run, .args = &h };

  vm_drives_bind (machine);
  h.drive = vm_hmp_flag (args, "qdev") ? vm_drive_find_named (machine, NULL, h.name, &error)
                                       : vm_drive_find (machine->env.root, h.name);
  if (!error)
    vm_block_call (mon, &call, &error);
  for (guint i = 0; h.drive && h.drive->block && i < counts->len; i++)
    {
      const Count *c = &g_array_index (counts, Count, i);
      vm_block_account (h.drive->block, c->write ? VM_BLOCK_WRITE : VM_BLOCK_READ, c->len, c->ns, c->status == -EINVAL,
                        c->status);
    }
  vm_monitor_puts (mon, text->str);
  if (error)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
}
