/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about exports and the NBD server. */
#include "block/drives.h"
#include "block/export/nbd-server.h"
#include "block/graph-private.h"
#include "block/machine.h"
#include "engine/monitor/qmp-handlers.h"

enum
{
  DEFAULT_CONNECTIONS = 100,
  DEFAULT_HANDSHAKE_S = 10
};

/* Each command is carried out in a fiber of the graph. */
typedef struct Call
{
  VmBlockGraph *graph;
  VmObject *root;
  VmBlock *block; /* of the drive that was named */
  const void *args;
  bool (*func) (struct Call *call, GError **error);
  GPtrArray *list;
  GError **error;
  bool ok;
} Call;

static void
enter (void *opaque)
{
  Call *call = opaque;

  call->ok = call->func (call, call->error);
}

static bool
call_graph (VmMonitor *mon, Call *call, GError **error)
{
  VmMachine *machine = vm_monitor_machine (mon);

  vm_drives_bind (machine);
  call->root = machine->env.root;
  call->graph = vm_drives_find (call->root)->graph;
  call->error = error;
  vm_graph_call (call->graph, enter, call);
  return call->ok;
}

/* --- the NBD server --------------------------------------------------------------------------------------------------
 */

static bool
start_server (Call *call, GError **error)
{
  const VmqNbdServerStartArg *args = call->args;
  VmNbdServerOptions o
      = { .limit = args->has_max_connections ? (unsigned) args->max_connections : DEFAULT_CONNECTIONS,
          .handshake_s = args->has_handshake_max_seconds ? (unsigned) args->handshake_max_seconds : DEFAULT_HANDSHAKE_S,
          .authz = args->tls_authz,
          .authz_loop = vm_drives_find (call->root)->loop };
  g_autoptr (VmSocketAddr) addr = NULL;
  int fd;

  if (call->graph->nbd)
    return vm_fail (error, "NBD server already running");
  if (args->has_max_connections && (args->max_connections < 0 || args->max_connections > UINT32_MAX))
    return vm_fail (error, "Parameter 'max-connections' expects uint32");
  if (args->has_handshake_max_seconds && (args->handshake_max_seconds < 0 || args->handshake_max_seconds > UINT32_MAX))
    return vm_fail (error, "Parameter 'handshake-max-seconds' expects uint32");
  if (args->tls_authz && !args->tls_creds)
    return vm_fail (error, "tls-authz without tls-creds has no meaning");
  if (args->tls_creds)
    {
      o.creds = vm_tls_creds_find (call->root, args->tls_creds, VM_TLS_SERVER, error);
      if (!o.creds)
        return false;
    }
  addr = vm_socket_addr_new_legacy (args->addr, error);
  fd = addr ? vm_socket_listen (addr, error) : -1;
  if (fd < 0)
    return false;
  call->graph->nbd = vm_nbd_server_new (call->graph, &o);
  vm_nbd_server_listen (call->graph->nbd, fd, g_steal_pointer (&addr));
  return true;
}

bool
vm_qmp_nbd_server_start (VmMonitor *mon, const VmqNbdServerStartArg *args, GError **error)
{
  return call_graph (mon, &(Call){ .args = args, .func = start_server }, error);
}

static bool
stop_server (Call *call, GError **error)
{
  if (!call->graph->nbd)
    return vm_fail (error, "NBD server not running");
  vm_nbd_server_free (g_steal_pointer (&call->graph->nbd));
  return true;
}

bool
vm_qmp_nbd_server_stop (VmMonitor *mon, GError **error)
{
  return call_graph (mon, &(Call){ .func = stop_server }, error);
}

static bool
add_to_server (Call *call, VmNbdExportOptions *o, GError **error)
{
  if (!call->graph->nbd)
    return vm_fail (error, "NBD server not running");
  if (vm_export_find (call->graph, o->id))
    return vm_fail (error, "Block export id '%s' is already in use", o->id);
  o->share = VM_PERM_ALL;
  return vm_nbd_server_add (call->graph->nbd, o, error);
}

static bool
add_device (Call *call, GError **error)
{
  const VmqNbdServerAddArg *args = call->args;
  VmNbdBitmap bitmap = { NULL, args->bitmap };
  VmNbdExportOptions o = { .name = args->name ? args->name : args->device,
                           .description = args->description,
                           .bitmaps = &bitmap,
                           .n_bitmaps = args->bitmap != NULL };

  o.id = o.name;
  o.node = call->block ? vm_block_node (call->block) : vm_node_find (call->graph, args->device);
  if (!o.node)
    {
      g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Cannot find device='%s' nor node-name='%s'",
                   args->device, args->device);
      return false;
    }
  /* This command has always taken a node that cannot be written. */
  o.writable = args->has_writable && args->writable && !o.node->readonly;
  return add_to_server (call, &o, error);
}

bool
vm_qmp_nbd_server_add (VmMonitor *mon, const VmqNbdServerAddArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find (vm_monitor_machine (mon)->env.root, args->device);

  if (drive && !drive->block)
    return vm_fail (error, "Device '%s' has no medium", args->device);
  return call_graph (mon, &(Call){ .args = args, .func = add_device, .block = drive ? drive->block : NULL }, error);
}

/* --- exports of all kinds --------------------------------------------------------------------- */

static bool
add_nbd (Call *call, VmNode *node, const VmqBlockExportAddArg *args, GError **error)
{
  const VmqBlockExportOptionsNbd *nbd = args->u.nbd;
  g_autoptr (GArray) bitmaps = g_array_new (FALSE, FALSE, sizeof (VmNbdBitmap));
  VmNbdExportOptions o = { .id = args->id,
                           .name = nbd->name ? nbd->name : args->node_name,
                           .description = nbd->description,
                           .node = node,
                           .writable = args->has_writable && args->writable,
                           .writethrough = args->has_writethrough && args->writethrough,
                           .allocation_depth = nbd->has_allocation_depth && nbd->allocation_depth };

  for (guint i = 0; nbd->bitmaps && i < nbd->bitmaps->len; i++)
    {
      json_object *given = g_ptr_array_index (nbd->bitmaps, i), *member;
      VmNbdBitmap bitmap = { NULL, NULL };
      if (json_object_is_type (given, json_type_string))
        bitmap.name = json_object_get_string (given);
      else
        {
          bitmap.node = json_object_object_get_ex (given, "node", &member) ? json_object_get_string (member) : "";
          bitmap.name = json_object_object_get_ex (given, "name", &member) ? json_object_get_string (member) : "";
        }
      g_array_append_val (bitmaps, bitmap);
    }
  o.bitmaps = (const VmNbdBitmap *) (void *) bitmaps->data;
  o.n_bitmaps = bitmaps->len;
  return add_to_server (call, &o, error);
}

typedef VmExport *FuseNew (VmNode *node, const VmqBlockExportAddArg *options, GError **error);

static bool
add_fuse (VmNode *node, const VmqBlockExportAddArg *args, GError **error)
{
  union
  { /* ISO C has no cast between the two */
    void *symbol;
    FuseNew *func;
  } module = { vm_graph_load ("block/export", "vitrine-export-fuse", "vm_export_fuse_new", error) };

  if (module.symbol)
    return module.func (node, args, error) != NULL;
  g_prefix_error (error, "An export of type fuse needs libfuse 3, but ");
  return false;
}

static bool
id_is_well_formed (const char *id)
{
  if (!g_ascii_isalpha (*id))
    return false;
  while (*id && (g_ascii_isalnum (*id) || strchr ("-._", *id)))
    id++;
  return !*id;
}

static bool
add_export (Call *call, GError **error)
{
  const VmqBlockExportAddArg *args = call->args;
  VmNode *node;

  if (!id_is_well_formed (args->id))
    return vm_fail (error, "Invalid block export id");
  if (vm_export_find (call->graph, args->id))
    return vm_fail (error, "Block export id '%s' is already in use", args->id);
  if (args->iothread)
    return vm_fail (error, "iothread=%s: not available in this build", args->iothread);
  node = vm_node_find (call->graph, args->node_name);
  if (!node)
    return vm_fail (error, "Cannot find device='' nor node-name='%s'", args->node_name);
  switch (args->type)
    {
    case VMQ_BLOCK_EXPORT_TYPE_NBD:
      return add_nbd (call, node, args, error);
    case VMQ_BLOCK_EXPORT_TYPE_FUSE:
      return add_fuse (node, args, error);
    default:
      return vm_fail (error, "type=%s: not available in this build", vmq_type_blockexporttype.names[args->type]);
    }
}

bool
vm_qmp_block_export_add (VmMonitor *mon, const VmqBlockExportAddArg *args, GError **error)
{
  return call_graph (mon, &(Call){ .args = args, .func = add_export }, error);
}

static bool
del_export (Call *call, GError **error)
{
  const VmqBlockExportDelArg *args = call->args;
  VmExport *e = vm_export_find (call->graph, args->id);

  if (!e)
    return vm_fail (error, "Export '%s' is not found", args->id);
  if (e->shutting_down)
    return vm_fail (error, "Export '%s' is already shutting down", args->id);
  if (!(args->has_mode && args->mode == VMQ_BLOCK_EXPORT_REMOVE_MODE_HARD) && e->kind->in_use (e))
    return vm_fail (error, "export '%s' still in use\nUse mode='hard' to force client disconnect", args->id);
  vm_export_shut_down (e);
  return true;
}

bool
vm_qmp_block_export_del (VmMonitor *mon, const VmqBlockExportDelArg *args, GError **error)
{
  return call_graph (mon, &(Call){ .args = args, .func = del_export }, error);
}

static bool
remove_nbd (Call *call, GError **error)
{
  const VmqBlockExportDelArg *args = call->args;
  VmExport *e = vm_export_find (call->graph, args->id);

  if (e && e->kind->type != VMQ_BLOCK_EXPORT_TYPE_NBD)
    return vm_fail (error, "Block export '%s' is not an NBD export", args->id);
  return del_export (call, error);
}

bool
vm_qmp_nbd_server_remove (VmMonitor *mon, const VmqNbdServerRemoveArg *args, GError **error)
{
  VmqBlockExportDelArg same = { .id = args->name, .has_mode = args->has_mode, .mode = args->mode };

  return call_graph (mon, &(Call){ .args = &same, .func = remove_nbd }, error);
}

static bool
list_exports (Call *call, GError **error)
{
  for (guint i = 0; call->graph->exports && i < call->graph->exports->len; i++)
    {
      const VmExport *e = g_ptr_array_index (call->graph->exports, i);
      VmqBlockExportInfo *info = g_new0 (VmqBlockExportInfo, 1);
      info->id = g_strdup (e->id ? e->id : "");
      info->type = (VmqBlockExportType) e->kind->type;
      info->node_name = g_strdup (e->root->node->name);
      info->shutting_down = e->shutting_down;
      g_ptr_array_add (call->list, info);
    }
  return true;
}

GPtrArray *
vm_qmp_query_block_exports (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  call_graph (mon, &(Call){ .func = list_exports, .list = list }, error);
  return list;
}
