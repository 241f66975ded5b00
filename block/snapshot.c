/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots of a whole machine. What concerns images runs in fibers of the graph; the machine is saved and loaded on
 * the engine loop, which hands each piece of the stream over. */
#include "block/snapshot.h"

#include "block/drives.h"
#include "block/info.h"
#include "engine/monitor/progress.h"

#include <errno.h>

#define PIECE VM_MIB /* of the stream, gathered before it goes to the image */

typedef struct Image
{
  VmNode *node;
  char *label; /* as users know it */
} Image;

typedef struct Work
{
  VmMachine *machine;
  VmBlockGraph *graph;
  const VmSnapshotPlace *place;
  const char *tag, *name; /* NAME: what TAG is to become */
  bool (*func) (struct Work *work, GError **error);
  GPtrArray *images; /* Image * */
  VmNode *vmstate;   /* of the images */
  VmSnapshotInfo info;
  GError **error;
  bool ok;
  GString *text; /* a description */
  /* the stream */
  GByteArray *buffer;
  size_t taken; /* of BUFFER, when reading */
  uint64_t offset, end;
  int status;
} Work;

static void
image_free (gpointer data)
{
  Image *image = data;

  vm_node_unref (image->node);
  g_free (image->label);
  g_free (image);
}

static void
enter (void *opaque)
{
  Work *w = opaque;

  w->ok = w->func (w, w->error);
}

static bool
in_graph (Work *w, bool (*func) (Work *work, GError **error), GError **error)
{
  w->func = func;
  w->error = error;
  vm_graph_call (w->graph, enter, w);
  return w->ok;
}

/* --- which images ------------------------------------------------------------------------------------------------ */

static void
add_image (Work *w, VmNode *node, const char *label)
{
  Image *image = g_new (Image, 1);

  image->node = vm_node_ref (vm_node_skip_filters (node));
  image->label = g_strdup (label);
  g_ptr_array_add (w->images, image);
}

static const char *
label_of (Work *w, VmNode *node)
{
  VmDrives *drives = vm_drives_find (w->machine->env.root);

  for (guint i = 0; drives->parent.children && i < drives->parent.children->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives->parent.children, i);
      if (drive->block && drive->block->root && drive->block->root->node == node && !drive->anonymous)
        return drive->parent.id;
    }
  return node->name;
}

static bool
add_named (Work *w, GError **error)
{
  const GPtrArray *names = w->place->devices;

  if (!names->len)
    return vm_fail (error, "At least one device is required for snapshot");
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);
      VmNode *node = vm_node_find (w->graph, name);
      if (!node)
        return vm_fail (error, "No block device node '%s'", name);
      if (node->readonly)
        return vm_fail (error, "Device '%s' is read-only", label_of (w, node));
      add_image (w, node, label_of (w, node));
    }
  return true;
}

/* What devices have, and what users keep for devices to come. */
static void
add_writable (Work *w)
{
  VmDrives *drives = vm_drives_find (w->machine->env.root);
  const GPtrArray *nodes = vm_graph_nodes (w->graph);

  for (guint i = 0; drives->parent.children && i < drives->parent.children->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives->parent.children, i);
      VmNode *node = drive->block && drive->block->root ? drive->block->root->node : NULL;
      if (node && !node->readonly && !vm_block_readonly (drive->block))
        add_image (w, node, drive->anonymous ? node->name : drive->parent.id);
    }
  for (guint i = 0; i < nodes->len; i++)
    {
      VmNode *node = g_ptr_array_index (nodes, i);
      if (node->monitor_owned && !node->parents->len && !node->readonly)
        add_image (w, node, node->name);
    }
}

static bool
find_vmstate (Work *w, GError **error)
{
  const char *name = w->place ? w->place->vmstate : NULL;

  for (guint i = 0; i < w->images->len && !w->vmstate; i++)
    {
      const Image *image = g_ptr_array_index (w->images, i);
      if (image->node->driver->vmstate_write && (!name || !strcmp (image->node->name, name)))
        w->vmstate = image->node;
    }
  if (w->vmstate)
    return true;
  return name ? vm_fail (error, "vmstate block device '%s' does not exist", name)
              : vm_fail (error, "no block device can store vmstate for snapshot");
}

static bool
find_images (Work *w, GError **error)
{
  if (w->place && !add_named (w, error))
    return false;
  if (!w->place)
    add_writable (w);
  for (guint i = 0; i < w->images->len; i++)
    {
      const Image *image = g_ptr_array_index (w->images, i);
      if (!image->node->driver->snapshot_create)
        return vm_fail (error, "Device '%s' is writable but does not support snapshots", image->label);
      if (vm_node_has_job (image->node))
        return vm_fail (error, "Node '%s' is busy: a job works on it", image->label);
    }
  return true;
}

/* --- snapshots of an image ------------------------------------------------------------------------------------------
 */

/* By its name; BY_ID: else by its number. Newly allocated. */
static VmSnapshotInfo *
find_snapshot (VmNode *node, const char *tag, bool by_id)
{
  g_autoptr (GPtrArray) list = node->driver->snapshot_list (node);

  for (unsigned id = 0; id <= by_id; id++)
    for (guint i = 0; i < list->len; i++)
      {
        const VmSnapshotInfo *s = g_ptr_array_index (list, i);
        if (!strcmp (id ? s->id : s->name, tag))
          {
            VmSnapshotInfo *found = g_new (VmSnapshotInfo, 1);
            *found = *s;
            found->id = g_strdup (s->id);
            found->name = g_strdup (s->name);
            return found;
          }
      }
  return NULL;
}

static bool
has_snapshot (VmNode *node, const char *tag, bool by_id)
{
  VmSnapshotInfo *found = find_snapshot (node, tag, by_id);

  vm_snapshot_info_free (found);
  return found != NULL;
}

static bool
delete_all (Work *w, GError **error)
{
  for (guint i = 0; i < w->images->len; i++)
    {
      const Image *image = g_ptr_array_index (w->images, i);
      if (has_snapshot (image->node, w->tag, false)
          && !image->node->driver->snapshot_delete (image->node, NULL, w->tag, error))
        {
          g_prefix_error (error, "Could not delete snapshot '%s' on '%s': ", w->tag, image->label);
          return false;
        }
    }
  return true;
}

static bool
check_new (Work *w, GError **error)
{
  for (guint i = 0; i < w->images->len; i++)
    if (has_snapshot (((Image *) w->images->pdata[i])->node, w->tag, false))
      return vm_fail (error, "Snapshot '%s' already exists in one or more devices", w->tag);
  return true;
}

static bool
check_name (Work *w, GError **error)
{
  bool found = false;

  if (!*w->name)
    return vm_fail (error, "A snapshot needs a name");
  for (guint i = 0; i < w->images->len; i++)
    {
      const Image *image = g_ptr_array_index (w->images, i);
      if (!image->node->driver->snapshot_rename)
        return vm_fail (error, "Device '%s' has snapshots that keep their names", image->label);
      if (has_snapshot (image->node, w->name, false))
        return vm_fail (error, "Snapshot '%s' already exists in one or more devices", w->name);
      found |= has_snapshot (image->node, w->tag, false);
    }
  return found || vm_fail (error, "Snapshot '%s' does not exist in any device", w->tag);
}

static bool
rename_one (const Image *image, const char *from, const char *to, GError **error)
{
  VmSnapshotInfo *found = find_snapshot (image->node, from, false);
  bool ok = !found || image->node->driver->snapshot_rename (image->node, found->id, to, error);

  vm_snapshot_info_free (found);
  if (!ok)
    g_prefix_error (error, "Could not rename snapshot '%s' on '%s': ", from, image->label);
  return ok;
}

/* The first N: also the last of these, which may have failed when all was written. */
static void
rename_back (Work *w, guint n, GError **error)
{
  g_autoptr (GString) left = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    {
      const Image *image = g_ptr_array_index (w->images, i);
      if (!rename_one (image, w->name, w->tag, NULL))
        g_string_append_printf (left, "%s'%s'", left->len ? ", " : "", image->label);
    }
  g_autoptr (GError) why = g_steal_pointer (error);
  if (left->len)
    vm_fail (error, "%s. It has the new name on %s now and the old one on the others", why->message, left->str);
  else
    vm_fail (error, "%s. It has its old name on all disks", why->message);
}

static bool
rename_all (Work *w, GError **error)
{
  GError *why = NULL;

  if (!check_name (w, error))
    return false;
  for (guint i = 0; i < w->images->len; i++)
    if (!rename_one (g_ptr_array_index (w->images, i), w->tag, w->name, &why))
      {
        rename_back (w, i + 1, &why);
        g_propagate_error (error, why);
        return false;
      }
  return true;
}

static bool
create_one (Work *w, const Image *image, GError **error)
{
  VmSnapshotInfo info = w->info;
  bool ok;

  info.vm_state_size = image->node == w->vmstate ? w->offset : 0;
  info.disk_size = image->node->size;
  vm_node_drain_begin (image->node);
  ok = image->node->driver->snapshot_create (image->node, &info, error);
  vm_node_drain_end (image->node);
  g_free (info.id);
  if (!ok)
    g_prefix_error (error, "Error while creating snapshot on '%s': ", image->label);
  return ok;
}

static bool
create_all (Work *w, GError **error)
{
  for (guint i = 0; i < w->images->len; i++)
    if (!create_one (w, g_ptr_array_index (w->images, i), error))
      {
        delete_all (w, NULL); /* of those before; the error is that of this one */
        return false;
      }
  return true;
}

static bool
apply_one (Work *w, const Image *image, GError **error)
{
  VmSnapshotInfo *found = find_snapshot (image->node, w->tag, true);
  bool ok;

  vm_node_drain_begin (image->node);
  ok = image->node->driver->snapshot_apply (image->node, found->id, error);
  vm_node_drain_end (image->node);
  vm_snapshot_info_free (found);
  if (!ok)
    g_prefix_error (error, "Error while reverting '%s' to snapshot '%s': ", image->label, w->tag);
  return ok;
}

static bool
apply_all (Work *w, GError **error)
{
  for (guint i = 0; i < w->images->len; i++)
    if (!apply_one (w, g_ptr_array_index (w->images, i), error))
      return false;
  return true;
}

static bool
check_loadable (Work *w, GError **error)
{
  VmSnapshotInfo *found;

  for (guint i = 0; i < w->images->len; i++)
    if (!has_snapshot (((Image *) w->images->pdata[i])->node, w->tag, true))
      return vm_fail (error, "Snapshot '%s' does not exist in one or more devices", w->tag);
  found = find_snapshot (w->vmstate, w->tag, true);
  w->end = found->vm_state_size;
  vm_snapshot_info_free (found);
  return w->end || vm_fail (error, "This is a disk-only snapshot. Revert to it offline using vitrine-img");
}

/* --- the stream --------------------------------------------------------------------------------------------------- */

static bool
flush_piece (Work *w, GError **error)
{
  struct iovec iov = { w->buffer->data, w->buffer->len };

  if (!w->buffer->len)
    return true;
  w->status = w->vmstate->driver->vmstate_write (w->vmstate, w->offset, vm_vec (&iov, 1));
  w->offset += w->buffer->len;
  g_byte_array_set_size (w->buffer, 0);
  return w->status >= 0 || vm_fail (error, "Error while writing VM state: %s", g_strerror (-w->status));
}

static bool
write_state (void *opaque, const void *data, size_t size, GError **error)
{
  Work *w = opaque;

  g_byte_array_append (w->buffer, data, (guint) size);
  if (w->buffer->len < PIECE)
    return true;
  if (!vm_progress_step (w->machine, w->offset))
    return vm_fail (error, "Saving was cancelled");
  return in_graph (w, flush_piece, error);
}

static bool
fetch_piece (Work *w, GError **error)
{
  struct iovec iov;

  g_byte_array_set_size (w->buffer, (guint) MIN (PIECE, w->end - w->offset));
  iov = (struct iovec){ w->buffer->data, w->buffer->len };
  w->taken = 0;
  w->status = w->vmstate->driver->vmstate_read (w->vmstate, w->offset, vm_vec (&iov, 1));
  w->offset += w->buffer->len;
  return w->status >= 0 || vm_fail (error, "Error while reading VM state: %s", g_strerror (-w->status));
}

static bool
read_state (void *opaque, void *data, size_t size, GError **error)
{
  Work *w = opaque;
  uint8_t *to = data;

  while (size)
    {
      size_t n = MIN (size, w->buffer->len - w->taken);
      if (n)
        memcpy (to, w->buffer->data + w->taken, n);
      w->taken += n;
      to += n;
      size -= n;
      if (size && w->offset == w->end)
        return vm_fail (error, "the saved state ends early");
      if (size && !in_graph (w, fetch_piece, error))
        return false;
      if (size)
        vm_progress_step (w->machine, w->offset);
    }
  return true;
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

/* Disks have done what they were asked, and devices have taken note of it. */
static bool
settle (VmMachine *machine, GError **error)
{
  VmDrives *drives = vm_drives_find (machine->env.root);

  for (guint i = 0; drives->parent.children && i < drives->parent.children->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives->parent.children, i);
      if (drive->block && drive->block->held.length)
        return vm_fail (error, "Device '%s' waits to try again what failed", drive->parent.id);
    }
  for (unsigned round = 0; round < 2; round++) /* what completes may begin something */
    {
      for (guint i = 0; drives->parent.children && i < drives->parent.children->len; i++)
        {
          const VmDrive *drive = g_ptr_array_index (drives->parent.children, i);
          if (drive->block)
            vm_block_drain (drive->block);
        }
      vm_loop_run_posted (machine->env.loop);
    }
  return true;
}

/* WAS: whether it ran. */
static bool
halt (VmMachine *machine, VmRunState state, bool *was, GError **error)
{
  *was = vm_machine_is_running (machine);
  if (machine->state == VM_RUN_SUSPENDED)
    return vm_fail (error, "The machine is suspended; it can be woken up by system_wakeup");
  if (*was)
    vm_machine_stop (machine, state);
  if (settle (machine, error))
    return true;
  if (*was)
    vm_machine_cont (machine, NULL);
  return false;
}

static bool
begin (Work *w, VmMachine *machine, const char *tag, const VmSnapshotPlace *place, GError **error)
{
  vm_drives_bind (machine);
  *w = (Work){ .machine = machine, .graph = vm_drives_find (machine->env.root)->graph, .place = place, .tag = tag };
  w->images = g_ptr_array_new_with_free_func (image_free);
  w->buffer = g_byte_array_new ();
  return in_graph (w, find_images, error);
}

static bool
drop_images (Work *w, GError **error)
{
  g_ptr_array_unref (w->images);
  return true;
}

static void
end (Work *w)
{
  in_graph (w, drop_images, NULL);
  g_byte_array_unref (w->buffer);
}

static bool
finish_save (Work *w, GError **error)
{
  return flush_piece (w, error) && create_all (w, error);
}

static bool
save_halted (Work *w, GError **error)
{
  int64_t now = g_get_real_time ();

  w->info = (VmSnapshotInfo){ .name = (char *) (uintptr_t) w->tag,
                              .date_sec = now / G_USEC_PER_SEC,
                              .date_nsec = (uint32_t) (now % G_USEC_PER_SEC * 1000),
                              .vm_clock_ns = (uint64_t) vm_clock_now (w->machine->env.clocks, VM_CLOCK_VIRTUAL),
                              .icount = UINT64_MAX };
  return vm_machine_save (w->machine, write_state, w, error) && in_graph (w, finish_save, error);
}

bool
vm_snapshot_save (VmMachine *machine, const char *tag, bool replace, const VmSnapshotPlace *place, GError **error)
{
  g_autoptr (GDateTime) date = g_date_time_new_now_local ();
  g_autofree char *own = g_date_time_format (date, "vm-%Y%m%d%H%M%S");
  Work w;
  bool ok = begin (&w, machine, tag ? tag : own, place, error) && in_graph (&w, find_vmstate, error)
            && in_graph (&w, replace ? delete_all : check_new, error);
  bool was;

  if (ok && (ok = halt (machine, VM_RUN_SAVE_VM, &was, error)))
    {
      vm_progress_begin (machine, machine->ram_size, true);
      ok = save_halted (&w, error);
      vm_progress_end (machine);
      if (was)
        vm_machine_cont (machine, NULL);
    }
  end (&w);
  return ok;
}

bool
vm_snapshot_load (VmMachine *machine, const char *tag, const VmSnapshotPlace *place, GError **error)
{
  Work w;
  bool was;
  bool ok = begin (&w, machine, tag, place, error) && in_graph (&w, find_vmstate, error)
            && in_graph (&w, check_loadable, error);

  if (ok && (ok = halt (machine, VM_RUN_RESTORE_VM, &was, error)))
    {
      vm_progress_begin (machine, w.end, false);
      ok = in_graph (&w, apply_all, error) && vm_machine_load (machine, read_state, &w, error);
      vm_progress_end (machine);
      if (was && ok)
        vm_machine_cont (machine, NULL);
    }
  end (&w);
  return ok;
}

bool
vm_snapshot_delete (VmMachine *machine, const char *tag, const VmSnapshotPlace *place, GError **error)
{
  Work w;
  bool ok = begin (&w, machine, tag, place, error) && in_graph (&w, delete_all, error);

  end (&w);
  return ok;
}

bool
vm_snapshot_rename (VmMachine *machine, const char *tag, const char *name, const VmSnapshotPlace *place, GError **error)
{
  Work w;
  bool ok = begin (&w, machine, tag, place, error);

  w.name = name;
  ok = ok && in_graph (&w, rename_all, error);
  end (&w);
  return ok;
}

/* --- for people -----------------------------------------------------------------------------------------------------
 */

static bool
is_everywhere (Work *w, const char *name)
{
  for (guint i = 0; i < w->images->len; i++)
    if (!has_snapshot (((Image *) w->images->pdata[i])->node, name, false))
      return false;
  return true;
}

static void
describe_common (Work *w, GString *out, guint *n)
{
  g_autoptr (GPtrArray) list = w->vmstate->driver->snapshot_list (w->vmstate);

  for (guint i = 0; i < list->len; i++)
    {
      const VmSnapshotInfo *s = g_ptr_array_index (list, i);
      VmSnapshotInfo shown = *s;
      if (!is_everywhere (w, s->name))
        continue;
      shown.id = (char *) "--"; /* each image has its own */
      g_autofree char *row = vm_snapshot_row (&shown);
      if (!(*n)++)
        g_string_append (out, VM_SNAPSHOT_HEAD);
      g_string_append (out, row);
    }
}

static void
describe_partial (Work *w, const Image *image, GString *out)
{
  g_autoptr (GPtrArray) list = image->node->driver->snapshot_list (image->node);
  unsigned n = 0;

  for (guint i = 0; i < list->len; i++)
    {
      const VmSnapshotInfo *s = g_ptr_array_index (list, i);
      if (is_everywhere (w, s->name))
        continue;
      g_autofree char *row = vm_snapshot_row (s);
      if (!n++)
        g_string_append_printf (out, "\nList of partial (non-loadable) snapshots on '%s':\n%s", image->label,
                                VM_SNAPSHOT_HEAD);
      g_string_append (out, row);
    }
}

static bool
describe (Work *w, GError **error)
{
  GString *out = w->text;
  guint n = 0;

  if (!find_vmstate (w, error))
    return false;
  g_string_append (out, "List of snapshots present on all disks:\n");
  describe_common (w, out, &n);
  if (!n)
    g_string_append (out, "None\n");
  gsize before = out->len;
  for (guint i = 0; i < w->images->len; i++)
    describe_partial (w, g_ptr_array_index (w->images, i), out);
  if (!n && out->len == before)
    g_string_assign (out, "There is no snapshot available.\n");
  return true;
}

char *
vm_snapshot_describe (VmMachine *machine, GError **error)
{
  Work w;
  bool ok = begin (&w, machine, NULL, NULL, error);

  w.text = g_string_new (NULL);
  ok = ok && in_graph (&w, describe, error);
  end (&w);
  return g_string_free (w.text, !ok);
}

static bool
list_tags (Work *w, GError **error)
{
  if (!find_vmstate (w, error))
    return false;
  g_autoptr (GPtrArray) list = w->vmstate->driver->snapshot_list (w->vmstate);
  for (guint i = 0; i < list->len; i++)
    g_string_append_printf (w->text, "%s%s", i ? "\n" : "", ((VmSnapshotInfo *) list->pdata[i])->name);
  return true;
}

char **
vm_snapshot_tags (VmMachine *machine)
{
  Work w;
  bool ok = begin (&w, machine, NULL, NULL, NULL);

  w.text = g_string_new (NULL);
  if (ok)
    in_graph (&w, list_tags, NULL);
  end (&w);
  char **tags = g_strsplit (w.text->str, "\n", -1);
  g_string_free (w.text, TRUE);
  return tags;
}
