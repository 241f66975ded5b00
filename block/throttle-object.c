/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object throttle-group: the limits that drives and filters of this name share. */
#include "block/drives.h"
#include "block/throttle.h"

#include "engine/object/user-object.h"

typedef struct ThrottleObject
{
  VmObject parent;
  VmThrottleConfig config;
} ThrottleObject;

extern const VmType vm_throttle_group_type;

const VmThrottleConfig *
vm_throttle_object_config (VmObject *root, const char *name)
{
  VmObject *obj = vm_user_object_find (root, name);

  return obj && obj->type == &vm_throttle_group_type ? &((ThrottleObject *) obj)->config : NULL;
}

static bool
throttle_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  return vm_throttle_config_check (&((ThrottleObject *) obj)->config, error);
}

typedef struct Search
{
  VmBlockGraph *graph;
  const char *name;
  bool found;
} Search;

static void
search (void *opaque)
{
  Search *s = opaque;

  s->found = vm_throttle_group_find (s->graph, s->name);
}

/* Who names the group has it, and finds it by this name again. */
static bool
throttle_can_go (VmObject *obj)
{
  VmDrives *drives = vm_drives_find (vm_object_root (obj));
  Search s = { .graph = drives ? drives->graph : NULL, .name = obj->id };

  if (s.graph)
    vm_graph_call (s.graph, search, &s);
  return !s.found;
}

/* "limits.bps-total" is "x-bps-total". */
static bool
throttle_set (VmObject *obj, const char *key, const char *value, bool *mine, GError **error)
{
  *mine = g_str_has_prefix (key, "limits.");
  if (!*mine)
    return true;
  g_autofree char *name = g_strconcat ("x-", key + strlen ("limits."), NULL);
  return vm_object_set (obj, name, value, error);
}

#define LIMIT(i, name)                                                                                                 \
  VM_PROP ("x-" name, ThrottleObject, config.limits[i].avg, 0, "units a second"),                                      \
      VM_PROP ("x-" name "-max", ThrottleObject, config.limits[i].max, 0, "units a second in a burst"),                \
      VM_PROP ("x-" name "-max-length", ThrottleObject, config.limits[i].burst_length, 1,                              \
               "seconds that a burst may last")

static const VmProp throttle_props[] = {
  LIMIT (VM_THROTTLE_BPS_TOTAL, "bps-total"),
  LIMIT (VM_THROTTLE_BPS_READ, "bps-read"),
  LIMIT (VM_THROTTLE_BPS_WRITE, "bps-write"),
  LIMIT (VM_THROTTLE_OPS_TOTAL, "iops-total"),
  LIMIT (VM_THROTTLE_OPS_READ, "iops-read"),
  LIMIT (VM_THROTTLE_OPS_WRITE, "iops-write"),
  VM_PROP ("x-iops-size", ThrottleObject, config.op_size, 0, "bytes from which a request counts as several"),
  { 0 },
};

static const VmUserObjectClass throttle_class
    = { .complete = throttle_complete, .can_go = throttle_can_go, .set = throttle_set };

const VmType vm_throttle_group_type = {
  .name = "throttle-group",
  .parent = &vm_user_object_type,
  .size = sizeof (ThrottleObject),
  .help = "Limits that drives share",
  .props = throttle_props,
  .klass = &throttle_class,
};
