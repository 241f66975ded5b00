/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object thread-context. */
#include "engine/machine/thread-context.h"

#include "engine/machine/number-list.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#define NODES 1024

struct VmThreadContext
{
  VmObject parent;
  uint64_t cpus[CPU_SETSIZE / 64], nodes[NODES / 64]; /* a bit each; none: those of the main thread */
  int64_t thread_id;
  GThread *thread;
  GAsyncQueue *orders, *made; /* Order *; the same, done */
};

typedef struct Order
{
  GThreadFunc func; /* NULL: the last one */
  gpointer data;
  GThread *thread;
} Order;

static gpointer
context_main (gpointer data)
{
  VmThreadContext *c = data;
  cpu_set_t set;
  Order *order;

  c->thread_id = gettid ();
  CPU_ZERO (&set);
  for (unsigned n = 0; n < CPU_SETSIZE; n++)
    if (c->cpus[n / 64] >> n % 64 & 1)
      CPU_SET (n, &set);
  int failed = CPU_COUNT (&set) && sched_setaffinity (0, sizeof set, &set) ? errno : 0;
  g_async_queue_push (c->made, GINT_TO_POINTER (failed + 1));
  while ((order = g_async_queue_pop (c->orders))->func)
    {
      order->thread = g_thread_new (c->parent.id, order->func, order->data);
      g_async_queue_push (c->made, order);
    }
  return NULL;
}

GThread *
vm_thread_context_spawn (VmThreadContext *context, GThreadFunc func, gpointer data)
{
  Order order = { .func = func, .data = data };

  g_async_queue_push (context->orders, &order);
  g_async_queue_pop (context->made);
  return order.thread;
}

/* The processors of host node N. */
static bool
add_node (VmThreadContext *c, unsigned n, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/sys/devices/system/node/node%u/cpulist", n), *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return vm_fail (error, "Invalid node-affinity value: %u", n);
  g_strstrip (text);
  return !*text || vm_number_list_add (c->cpus, CPU_SETSIZE, "node-affinity", text, error);
}

static bool
context_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  VmThreadContext *c = (VmThreadContext *) obj;

  if (!vm_number_list_is_empty (c->cpus, CPU_SETSIZE) && !vm_number_list_is_empty (c->nodes, NODES))
    return vm_fail (error, "'cpu-affinity' and 'node-affinity' are mutually exclusive");
  for (unsigned n = 0; n < NODES; n++)
    if ((c->nodes[n / 64] >> n % 64 & 1) && !add_node (c, n, error))
      return false;
  c->orders = g_async_queue_new ();
  c->made = g_async_queue_new ();
  c->thread = g_thread_new (obj->id, context_main, c);
  int failed = GPOINTER_TO_INT (g_async_queue_pop (c->made)) - 1;
  return !failed || vm_fail (error, "Setting CPU affinity failed: %s", g_strerror (failed));
}

static void
context_finalize (VmObject *obj)
{
  VmThreadContext *c = (VmThreadContext *) obj;
  Order last = { 0 };

  if (!c->thread)
    return;
  g_async_queue_push (c->orders, &last);
  g_thread_join (c->thread);
  g_async_queue_unref (c->orders);
  g_async_queue_unref (c->made);
}

/* --- properties --- */

static bool
cpus_set (VmObject *obj, void *field, const char *text, GError **error)
{
  memset (field, 0, CPU_SETSIZE / 8);
  return vm_number_list_add (field, CPU_SETSIZE, "cpu-affinity", text, error);
}

static char *
cpus_get (VmObject *obj, const void *field)
{
  return vm_number_list_text (field, CPU_SETSIZE);
}

static bool
nodes_set (VmObject *obj, void *field, const char *text, GError **error)
{
  memset (field, 0, NODES / 8);
  return vm_number_list_add (field, NODES, "node-affinity", text, error);
}

static char *
nodes_get (VmObject *obj, const void *field)
{
  return vm_number_list_text (field, NODES);
}

static void
list_clear (VmObject *obj, void *field)
{
}

static const VmPropCustom cpus_prop = { .type_name = "int", .set = cpus_set, .get = cpus_get, .clear = list_clear };
static const VmPropCustom nodes_prop = { .type_name = "int", .set = nodes_set, .get = nodes_get, .clear = list_clear };

static const VmProp context_props[]
    = { VM_PROP_CUSTOM_KIND ("cpu-affinity", VmThreadContext, cpus, &cpus_prop, NULL, "host processors it runs on"),
        VM_PROP_CUSTOM_KIND ("node-affinity", VmThreadContext, nodes, &nodes_prop, NULL,
                             "host nodes whose processors it runs on"),
        { .name = "thread-id",
          .help = "the thread, for the host",
          .kind = VM_PROP_I64,
          .flags = VM_PROP_READONLY,
          .offset = offsetof (VmThreadContext, thread_id) },
        { 0 } };

/* "cpu-affinity.0": the dotted form of a list. */
static bool
context_set (VmObject *obj, const char *key, const char *value, bool *mine, GError **error)
{
  VmThreadContext *c = (VmThreadContext *) obj;
  bool cpus = g_str_has_prefix (key, "cpu-affinity.");

  *mine = cpus || g_str_has_prefix (key, "node-affinity.");
  return !*mine
         || (cpus ? vm_number_list_add (c->cpus, CPU_SETSIZE, "cpu-affinity", value, error)
                  : vm_number_list_add (c->nodes, NODES, "node-affinity", value, error));
}

static const VmUserObjectClass context_class = { .complete = context_complete, .set = context_set };

const VmType vm_thread_context_type = {
  .name = "thread-context",
  .parent = &vm_user_object_type,
  .size = sizeof (VmThreadContext),
  .help = "a thread whose threads run on some host processors",
  .props = context_props,
  .klass = &context_class,
  .finalize = context_finalize,
};
