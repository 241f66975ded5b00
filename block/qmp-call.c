/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From monitors into the graph; transactions. */
#include "block/qmp-call.h"

#include "engine/monitor/qmp-handlers.h"

/* --- calls ------------------------------------------------------------------------------------------------- */

static void
enter (void *opaque)
{
  VmBlockCall *call = opaque;

  call->ok = call->func (call, call->error);
}

bool
vm_block_call (VmMonitor *mon, VmBlockCall *call, GError **error)
{
  call->machine = vm_monitor_machine (mon);
  vm_drives_bind (call->machine);
  call->graph = vm_drives_find (call->machine->env.root)->graph;
  call->error = error;
  vm_graph_call (call->graph, enter, call);
  return call->ok;
}

/* The thread of the drives waits for us: they do not change. */
static VmBlock *
find_block (VmBlockCall *call, const char *device)
{
  VmDrive *drive = vm_drive_find (call->machine->env.root, device);

  return drive ? drive->block : NULL;
}

bool
vm_block_call_is_drive (VmBlockCall *call, const char *device)
{
  return find_block (call, device) != NULL;
}

VmNode *
vm_block_call_device (VmBlockCall *call, const char *device, GError **error)
{
  VmBlock *block = find_block (call, device);
  VmNode *node = block ? vm_block_node (block) : vm_node_find (call->graph, device);

  if (!node)
    g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Cannot find device='%s' nor node-name='%s'", device,
                 device);
  return node;
}

VmNode *
vm_block_call_node (VmBlockCall *call, const char *name, GError **error)
{
  VmNode *node = vm_node_find (call->graph, name);

  if (!node)
    vm_fail (error, "Cannot find device='' nor node-name='%s'", name);
  return node;
}

/* --- actions ------------------------------------------------------------------------------------------------ */

void
vm_action_drain (VmAction *action, VmNode *node)
{
  vm_node_drain_begin (node);
  g_ptr_array_add (action->drained, vm_node_ref (node));
}

static void
action_init (VmAction *action, const VmActionKind *kind, VmBlockCall *call, const void *args, VmJobGroup *group)
{
  *action = (VmAction){ kind, call, args, g_malloc0 (MAX (kind->size, 1)), g_ptr_array_new (), group };
}

static void
action_clear (VmAction *action)
{
  if (action->kind->clean)
    action->kind->clean (action);
  while (action->drained->len)
    {
      VmNode *node = g_ptr_array_steal_index (action->drained, action->drained->len - 1);
      vm_node_drain_end (node);
      vm_node_unref (node);
    }
  g_ptr_array_unref (action->drained);
  g_free (action->state);
}

static bool
run_all (VmAction *actions, guint n, GError **error)
{
  guint prepared = 0;
  bool ok = true;

  while (prepared < n && (ok = actions[prepared].kind->prepare (&actions[prepared], error)))
    prepared++;
  for (guint i = 0; ok && i < n; i++)
    if (actions[i].kind->commit)
      actions[i].kind->commit (&actions[i]);
  while (!ok && prepared-- > 0)
    if (actions[prepared].kind->abort)
      actions[prepared].kind->abort (&actions[prepared]);
  for (guint i = n; i-- > 0;)
    action_clear (&actions[i]);
  return ok;
}

static bool
run_one (VmBlockCall *call, GError **error)
{
  VmAction action;

  action_init (&action, call->result, call, call->args, NULL);
  return run_all (&action, 1, error);
}

bool
vm_action_run (VmMonitor *mon, const VmActionKind *kind, const void *args, GError **error)
{
  VmBlockCall call = { .func = run_one, .args = args, .result = (void *) (uintptr_t) kind };

  return vm_block_call (mon, &call, error);
}

/* --- transaction ------------------------------------------------------------------------------------------------ */

static bool
abort_prepare (VmAction *action, GError **error)
{
  return vm_fail (error, "Transaction aborted using Abort action");
}

static const VmActionKind abort_kind = { .prepare = abort_prepare };

static const VmActionKind *const kinds[] = {
  [VMQ_TRANSACTION_ACTION_KIND_ABORT] = &abort_kind,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_ADD] = &vm_action_bitmap_add,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_REMOVE] = &vm_action_bitmap_remove,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_CLEAR] = &vm_action_bitmap_clear,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_ENABLE] = &vm_action_bitmap_enable,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_DISABLE] = &vm_action_bitmap_disable,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCK_DIRTY_BITMAP_MERGE] = &vm_action_bitmap_merge,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCKDEV_BACKUP] = &vm_action_blockdev_backup,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCKDEV_SNAPSHOT] = &vm_action_snapshot,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCKDEV_SNAPSHOT_INTERNAL_SYNC] = &vm_action_snapshot_internal,
  [VMQ_TRANSACTION_ACTION_KIND_BLOCKDEV_SNAPSHOT_SYNC] = &vm_action_snapshot_sync,
  [VMQ_TRANSACTION_ACTION_KIND_DRIVE_BACKUP] = &vm_action_drive_backup,
};

static bool
run_transaction (VmBlockCall *call, GError **error)
{
  const VmqTransactionArg *args = call->args;
  bool grouped = args->properties && args->properties->has_completion_mode
                 && args->properties->completion_mode == VMQ_ACTION_COMPLETION_MODE_GROUPED;
  VmJobGroup *group = grouped ? vm_job_group_new () : NULL;
  g_autofree VmAction *actions = g_new0 (VmAction, args->actions->len + 1);
  bool ok;

  for (guint i = 0; i < args->actions->len; i++)
    {
      const VmqTransactionAction *a = g_ptr_array_index (args->actions, i);
      /* Each variant has one member: the arguments. */
      action_init (&actions[i], kinds[a->type], call, *(void **) a->u.any, group);
    }
  ok = run_all (actions, args->actions->len, error);
  if (group)
    vm_job_group_unref (group);
  return ok;
}

bool
vm_qmp_transaction (VmMonitor *mon, const VmqTransactionArg *args, GError **error)
{
  const VmqTransactionProperties *p = args->properties;
  bool grouped = p && p->has_completion_mode && p->completion_mode == VMQ_ACTION_COMPLETION_MODE_GROUPED;
  VmBlockCall call = { .func = run_transaction, .args = args };

  for (guint i = 0; grouped && i < args->actions->len; i++)
    {
      const VmqTransactionAction *a = g_ptr_array_index (args->actions, i);
      if (a->type != VMQ_TRANSACTION_ACTION_KIND_ABORT && a->type != VMQ_TRANSACTION_ACTION_KIND_BLOCKDEV_BACKUP
          && a->type != VMQ_TRANSACTION_ACTION_KIND_DRIVE_BACKUP)
        return vm_fail (error, "Action '%s' does not support transaction property completion-mode = grouped",
                        vmq_type_transactionactionkind.names[a->type]);
    }
  return vm_block_call (mon, &call, error);
}
