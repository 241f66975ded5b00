/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "iothread-vq-mapping": which iothread serves which queue of a device. */
#include "devices/virtio/virtio-vq-mapping.h"

#include <json-c/json.h>

typedef struct Entry
{
  char *name;
  GArray *queues; /* unsigned; NULL: all iothreads take turns */
} Entry;

struct VmVqMapping
{
  char *text;
  GArray *entries; /* Entry */
  GPtrArray *used; /* VmIothread *, while the device is realized */
};

static void
entry_clear (void *opaque)
{
  Entry *e = opaque;

  g_free (e->name);
  g_clear_pointer (&e->queues, g_array_unref);
}

static void
mapping_free (VmVqMapping *m)
{
  g_array_unref (m->entries);
  g_free (m->text);
  g_free (m);
}

/* --- the property ------------------------------------------------------------------------------------------ */

static bool
take_queues (Entry *e, json_object *list, GError **error)
{
  if (!json_object_is_type (list, json_type_array) || !json_object_array_length (list))
    return vm_fail (error, "iothread-vq-mapping: vqs expects a list of queues");
  e->queues = g_array_new (FALSE, FALSE, sizeof (unsigned));
  for (size_t i = 0; i < json_object_array_length (list); i++)
    {
      const char *text = json_object_get_string (json_object_array_get_idx (list, i));
      guint64 n;
      if (!text || !g_ascii_string_to_unsigned (text, 10, 0, UINT16_MAX, &n, NULL))
        return vm_fail (error, "iothread-vq-mapping: vqs expects a list of queues");
      unsigned queue = n;
      g_array_append_val (e->queues, queue);
    }
  return true;
}

static bool
take_entry (VmVqMapping *m, json_object *json, GError **error)
{
  Entry e = { NULL, NULL };
  bool ok = true;

  if (!json_object_is_type (json, json_type_object))
    return vm_fail (error, "iothread-vq-mapping expects a list of objects");
  json_object_object_foreach (json, key, value)
  {
    if (!ok)
      break;
    if (!strcmp (key, "iothread") && json_object_is_type (value, json_type_string))
      e.name = g_strdup (json_object_get_string (value));
    else if (!strcmp (key, "vqs"))
      ok = take_queues (&e, value, error);
    else
      ok = vm_fail (error, "Parameter 'iothread-vq-mapping.%s' is unexpected", key);
  }
  if (ok && !e.name)
    ok = vm_fail (error, "Parameter 'iothread' is missing");
  g_array_append_val (m->entries, e);
  return ok;
}

static void
mapping_clear (VmObject *obj, void *field)
{
  g_clear_pointer ((VmVqMapping **) field, mapping_free);
}

static bool
mapping_set (VmObject *obj, void *field, const char *text, GError **error)
{
  json_object *list = json_tokener_parse (text);
  VmVqMapping *m = g_new0 (VmVqMapping, 1);
  bool ok = json_object_is_type (list, json_type_array) && json_object_array_length (list);

  m->text = g_strdup (text);
  m->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
  g_array_set_clear_func (m->entries, entry_clear);
  if (!ok)
    vm_fail (error, "iothread-vq-mapping expects a list of objects");
  for (size_t i = 0; ok && i < json_object_array_length (list); i++)
    ok = take_entry (m, json_object_array_get_idx (list, i), error);
  json_object_put (list);
  if (!ok)
    {
      mapping_free (m);
      return false;
    }
  mapping_clear (obj, field);
  *(VmVqMapping **) field = m;
  return true;
}

static char *
mapping_get (VmObject *obj, const void *field)
{
  const VmVqMapping *m = *(VmVqMapping *const *) field;

  return g_strdup (m ? m->text : "[]");
}

const VmPropCustom vm_prop_vq_mapping = {
  .type_name = "list",
  .set = mapping_set,
  .get = mapping_get,
  .clear = mapping_clear,
  .json = true,
};

/* --- use ------------------------------------------------------------------------------------------------------ */

static bool
find_threads (VmVqMapping *m, VmDevice *dev, GPtrArray *threads, GError **error)
{
  for (guint i = 0; i < m->entries->len; i++)
    {
      const Entry *e = &g_array_index (m->entries, Entry, i);
      VmObject *obj = vm_object_resolve (dev->env->root, e->name);
      if (!obj || !vm_object_is_a (obj, &vm_iothread_type))
        return vm_fail (error, "IOThread \"%s\" object does not exist", e->name);
      if (g_ptr_array_find (threads, obj, NULL))
        return vm_fail (error, "duplicate IOThread name \"%s\"", e->name);
      if (!e->queues != !g_array_index (m->entries, Entry, 0).queues)
        return vm_fail (error, "either all items in iothread-vq-mapping must have vqs or none of them must have it");
      g_ptr_array_add (threads, obj);
    }
  return true;
}

static bool
assign (const VmVqMapping *m, const GPtrArray *threads, unsigned n, VmLoop **loops, GError **error)
{
  for (guint i = 0; i < threads->len; i++)
    {
      const Entry *e = &g_array_index (m->entries, Entry, i);
      VmLoop *loop = vm_iothread_loop (g_ptr_array_index (threads, i));
      for (unsigned q = i; !e->queues && q < n; q += threads->len)
        loops[q] = loop;
      for (guint k = 0; e->queues && k < e->queues->len; k++)
        {
          unsigned q = g_array_index (e->queues, unsigned, k);
          if (q >= n)
            return vm_fail (error, "vq index %u for IOThread \"%s\" must be less than num_queues %u", q, e->name, n);
          if (loops[q])
            return vm_fail (error, "cannot assign vq %u to IOThread \"%s\" because it is already assigned", q, e->name);
          loops[q] = loop;
        }
    }
  for (unsigned q = 0; q < n; q++)
    if (!loops[q])
      return vm_fail (error, "missing vq %u IOThread assignment in iothread-vq-mapping", q);
  return true;
}

bool
vm_vq_mapping_apply (VmVqMapping *m, VmVirtio *v, VmLoop **first, GError **error)
{
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();
  g_autofree VmLoop **loops = g_new0 (VmLoop *, v->n_queues);
  unsigned batch = 0;

  if (!find_threads (m, &v->parent, threads, error) || !assign (m, threads, v->n_queues, loops, error))
    return false;
  for (guint i = 0; i < threads->len; i++)
    {
      unsigned most = vm_iothread_max_batch (vm_iothread_use (g_ptr_array_index (threads, i)));
      batch = !batch ? most : most ? MIN (batch, most) : batch;
    }
  *first = vm_iothread_loop (g_ptr_array_index (threads, 0));
  vm_virtio_set_loops (v, loops, v->n_queues, batch);
  m->used = g_steal_pointer (&threads);
  return true;
}

void
vm_vq_mapping_leave (VmVqMapping *m)
{
  for (guint i = 0; m->used && i < m->used->len; i++)
    vm_iothread_unuse (g_ptr_array_index (m->used, i));
  g_clear_pointer (&m->used, g_ptr_array_unref);
}
