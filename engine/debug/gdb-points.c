/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gdb server's break and watch points. They go to the vCPUs when the machine begins to run. */
#include "engine/debug/gdb-private.h"

/* TYPE,ADDRESS,KIND[;...]: KIND is the length of what is watched. */
static bool
parse_point (const char *p, VmDebugPoint *point)
{
  static const VmDebugKind kinds[] = { VM_DEBUG_SOFT, VM_DEBUG_HARD, VM_DEBUG_WRITE, VM_DEBUG_READ, VM_DEBUG_ACCESS };
  uint64_t type;

  if (!gdb_number_parse (&p, &type) || *p++ != ',' || !gdb_number_parse (&p, &point->address) || *p++ != ','
      || !gdb_number_parse (&p, &point->length) || type >= G_N_ELEMENTS (kinds))
    return false;
  point->kind = kinds[type];
  if (point->kind < VM_DEBUG_WRITE)
    point->length = 1; /* "kind" is the break instruction's, which has one form */
  return point->length > 0;
}

static int
find_point (VmGdb *g, const VmDebugPoint *point)
{
  for (guint i = 0; i < g->points->len; i++)
    {
      const VmDebugPoint *other = &g_array_index (g->points, VmDebugPoint, i);
      if (other->address == point->address && other->length == point->length && other->kind == point->kind)
        return (int) i;
    }
  return -1;
}

/* --- break instructions in memory ------------------------------------------------------------------ */

/* Where a break instruction for POINT goes. */
static bool
place_of (VmGdb *g, const VmDebugPoint *point, GdbPatch *patch)
{
  bool physical = g->physical;
  unsigned len = g->arch->break_insn_len;

  g->physical = false;
  bool ok = len && len <= sizeof patch->original
            && gdb_translate (g, gdb_vcpu (g), point->address, &patch->phys, &patch->as)
            && vm_as_read (patch->as, patch->phys, VM_MEM_ATTRS_NONE, patch->original, len) == VM_MEM_OK;
  g->physical = physical;
  return ok;
}

static void
patch_memory (VmGdb *g)
{
  for (guint i = 0; i < g->points->len; i++)
    {
      const VmDebugPoint *point = &g_array_index (g->points, VmDebugPoint, i);
      GdbPatch patch;

      if (point->kind != VM_DEBUG_SOFT || !place_of (g, point, &patch))
        continue;
      vm_as_write_rom (patch.as, patch.phys, g->arch->break_insn, g->arch->break_insn_len);
      g_array_append_val (g->patches, patch);
    }
}

/* Backwards: two may be at one place. Memory that the guest has written since is left alone. */
static void
restore_memory (VmGdb *g)
{
  unsigned len = g->arch->break_insn_len;

  for (guint i = g->patches->len; i-- > 0;)
    {
      const GdbPatch *patch = &g_array_index (g->patches, GdbPatch, i);
      uint8_t now[sizeof patch->original];

      if (vm_as_read (patch->as, patch->phys, VM_MEM_ATTRS_NONE, now, len) == VM_MEM_OK
          && !memcmp (now, g->arch->break_insn, len))
        vm_as_write_rom (patch->as, patch->phys, patch->original, len);
    }
  g_array_set_size (g->patches, 0);
}

/* --- to the vCPUs and back ------------------------------------------------------------------------- */

/* False: not all can be caught. */
static bool
hand_out (VmGdb *g)
{
  unsigned n = vm_vcpu_set_count (g->machine->vcpus);
  bool ok = true;

  for (unsigned i = 0; i < n; i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (g->machine->vcpus, i);
      if (vcpu)
        ok &= vm_vcpu_set_points (vcpu, (const VmDebugPoint *) (void *) g->points->data, g->points->len);
    }
  g->points_changed = false;
  g->points_cpus = n;
  return ok;
}

void
gdb_points_apply (VmGdb *g)
{
  if (g->points_changed || (g->points->len && g->points_cpus != vm_vcpu_set_count (g->machine->vcpus)))
    hand_out (g);
  if (g->machine->accel->ops->debug_patches && g->patches->len == 0)
    patch_memory (g);
}

void
gdb_points_stopped (VmGdb *g)
{
  restore_memory (g);
}

void
gdb_points_clear (VmGdb *g)
{
  bool had_some = g->points->len > 0;

  restore_memory (g);
  g_array_set_size (g->points, 0);
  if (had_some || g->points_changed)
    hand_out (g);
}

/* A breakpoint of another vCPU will be met again, a step that was overtaken is over; a watched access is not
 * repeated and waits for the next turn. */
bool
gdb_points_collect (VmGdb *g)
{
  unsigned n = vm_vcpu_set_count (g->machine->vcpus);
  bool found = false;

  for (unsigned i = 0; i < n; i++)
    {
      unsigned index = (g->current + i) % n;
      VmVcpu *vcpu = vm_vcpu_set_get (g->machine->vcpus, index);

      if (!vcpu || !vcpu->debug_stop.kind || (found && vcpu->debug_stop.kind >= VM_DEBUG_WRITE))
        continue;
      if (!found)
        {
          g->stop = vcpu->debug_stop;
          g->current = index;
          found = true;
        }
      vcpu->debug_stop.kind = VM_DEBUG_NONE;
    }
  return found;
}

/* --- packets --------------------------------------------------------------------------------------- */

void
gdb_insert_point (VmGdb *g, const char *p, size_t len)
{
  const VmAccelOps *ops = g->machine->accel->ops;
  VmDebugPoint point;
  GdbPatch patch;

  if (!ops->debug_update)
    {
      gdb_reply (g, "%s", ""); /* not to be had */
      return;
    }
  if (!parse_point (p, &point) || g->points->len >= GDB_POINTS_MAX
      || (point.kind == VM_DEBUG_SOFT && ops->debug_patches && !place_of (g, &point, &patch)))
    {
      gdb_reply_error (g);
      return;
    }
  if (find_point (g, &point) < 0)
    {
      g_array_append_val (g->points, point);
      g->points_changed = true;
      /* Of the others a processor may have too few, or not this kind. */
      if (point.kind != VM_DEBUG_SOFT && !hand_out (g))
        {
          g_array_set_size (g->points, g->points->len - 1);
          g->points_changed = true;
          gdb_reply_error (g);
          return;
        }
    }
  gdb_reply_ok (g);
}

void
gdb_remove_point (VmGdb *g, const char *p, size_t len)
{
  VmDebugPoint point;

  if (!parse_point (p, &point))
    {
      gdb_reply_error (g);
      return;
    }
  int index = find_point (g, &point);
  if (index >= 0)
    {
      g_array_remove_index (g->points, index);
      g->points_changed = true; /* the vCPUs stand */
    }
  gdb_reply_ok (g);
}
