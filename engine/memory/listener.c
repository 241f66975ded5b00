/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Address spaces: replacing their view, and telling listeners the difference. */
#include "engine/memory/memory-private.h"

/* --- what the eventfds and coalesced ranges of a view are -------------------------------------- */

static int
compare_eventfd (const void *pa, const void *pb)
{
  const VmEventfd *a = pa, *b = pb;

#define COMPARE(field)                                                                           \
  if (a->field != b->field)                                                                      \
    return a->field < b->field ? -1 : 1
  COMPARE (addr);
  COMPARE (size);
  COMPARE (match);
  COMPARE (data);
  COMPARE (fd);
#undef COMPARE
  return 0;
}

static GArray *
view_eventfds (const VmFlatView *view)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (VmEventfd));

  for (size_t i = 0; i < view->n; i++)
    {
      const VmFlatRange *range = &view->ranges[i];
      GArray *fds = range->region->eventfds;

      for (unsigned k = 0; fds && k < fds->len; k++)
        {
          VmEventfd e = g_array_index (fds, VmEventfd, k);

          if (e.addr < range->offset || e.addr - range->offset > range->last - range->start)
            continue;
          e.addr = e.addr - range->offset + range->start;
          g_array_append_val (list, e);
        }
    }
  g_array_sort (list, compare_eventfd);
  return list;
}

static GArray *
view_coalesced (const VmFlatView *view)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (VmCoalesced));

  for (size_t i = 0; i < view->n; i++)
    if (view->ranges[i].region->coalesced)
      {
        const VmFlatRange *range = &view->ranges[i];
        VmCoalesced c = { range->start, range->last - range->start + 1 };
        g_array_append_val (list, c);
      }
  return list;
}

static int
compare_coalesced (const void *pa, const void *pb)
{
  const VmCoalesced *a = pa, *b = pb;

  if (a->addr != b->addr)
    return a->addr < b->addr ? -1 : 1;
  return a->len < b->len ? -1 : a->len > b->len;
}

/* Calls GONE for elements of sorted OLD that are not in NEW, then CAME for those only in NEW. */
static void
diff_lists (GArray *old, GArray *new, int (*compare) (const void *, const void *),
            void (*gone) (VmMemoryListener *, const void *), void (*came) (VmMemoryListener *, const void *),
            VmMemoryListener *l)
{
  size_t size = g_array_get_element_size (old);

  for (unsigned pass = 0; pass < 2; pass++)
    {
      unsigned i = 0, k = 0;

      while (i < old->len || k < new->len)
        {
          const char *a = i < old->len ? old->data + i * size : NULL;
          const char *b = k < new->len ? new->data + k * size : NULL;
          int order = !a ? 1 : !b ? -1 : compare (a, b);

          if (order < 0 && pass == 0)
            gone (l, a);
          if (order > 0 && pass == 1)
            came (l, b);
          i += order <= 0;
          k += order >= 0;
        }
    }
}

static void
tell_eventfd_gone (VmMemoryListener *l, const void *element)
{
  const VmEventfd *e = element;

  if (l->eventfd_del)
    l->eventfd_del (l, e->addr, e->size, e->match, e->data, e->fd);
}

static void
tell_eventfd_came (VmMemoryListener *l, const void *element)
{
  const VmEventfd *e = element;

  if (l->eventfd_add)
    l->eventfd_add (l, e->addr, e->size, e->match, e->data, e->fd);
}

static void
tell_coalesced_gone (VmMemoryListener *l, const void *element)
{
  const VmCoalesced *c = element;

  if (l->coalesced_del)
    l->coalesced_del (l, c->addr, c->len);
}

static void
tell_coalesced_came (VmMemoryListener *l, const void *element)
{
  const VmCoalesced *c = element;

  if (l->coalesced_add)
    l->coalesced_add (l, c->addr, c->len);
}

/* --- ranges ------------------------------------------------------------------------------------ */

static bool
same_place (const VmFlatRange *a, const VmFlatRange *b)
{
  return a->start == b->start && a->last == b->last && a->region == b->region && a->offset == b->offset &&
         a->host == b->host && a->readonly == b->readonly;
}

static bool
view_has (const VmFlatView *view, const VmFlatRange *range, const VmFlatRange **found)
{
  const VmFlatRange *other = vm_flat_view_find (view, range->start);

  *found = other;
  return other && same_place (other, range);
}

static void
tell_gone (VmMemoryListener *l, const VmFlatView *old, const VmFlatView *new)
{
  const VmFlatRange *other;

  for (size_t i = 0; l->del && i < old->n; i++)
    if (!view_has (new, &old->ranges[i], &other))
      l->del (l, &old->ranges[i]);
}

static void
tell_came (VmMemoryListener *l, const VmFlatView *old, const VmFlatView *new)
{
  const VmFlatRange *other;

  for (size_t i = 0; i < new->n; i++)
    {
      const VmFlatRange *range = &new->ranges[i];

      if (!view_has (old, range, &other))
        {
          if (l->add)
            l->add (l, range);
        }
      else if (other->dirty_clients != range->dirty_clients && l->dirty_changed)
        l->dirty_changed (l, range);
    }
}

static bool
views_equal (const VmFlatView *a, const VmFlatView *b)
{
  if (a->n != b->n)
    return false;
  for (size_t i = 0; i < a->n; i++)
    if (!same_place (&a->ranges[i], &b->ranges[i]) || a->ranges[i].dirty_clients != b->ranges[i].dirty_clients)
      return false;
  return true;
}

static bool
arrays_equal (GArray *a, GArray *b)
{
  return a->len == b->len && (a->len == 0 || !memcmp (a->data, b->data, a->len * g_array_get_element_size (a)));
}

void
vm_address_space_update (VmAddressSpace *as, VmFlatView *view)
{
  VmMemory *m = as->memory;
  VmFlatView *old = as->view;
  GArray *eventfds = view_eventfds (view), *coalesced = view_coalesced (view);
  GArray *old_eventfds = as->eventfds, *old_coalesced = as->coalesced;
  g_autoptr (GPtrArray) told = g_ptr_array_new ();

  for (unsigned i = 0; i < m->listeners->len; i++)
    if (((VmMemoryListener *) m->listeners->pdata[i])->as == as)
      g_ptr_array_add (told, m->listeners->pdata[i]);
  if (views_equal (old, view) && arrays_equal (old_eventfds, eventfds) && arrays_equal (old_coalesced, coalesced))
    {
      vm_flat_view_unref (view);
      g_array_unref (eventfds);
      g_array_unref (coalesced);
      return;
    }

  for (unsigned i = 0; i < told->len; i++)
    {
      VmMemoryListener *l = told->pdata[i];
      if (l->begin)
        l->begin (l);
    }
  for (unsigned i = told->len; i-- > 0;)
    tell_gone (told->pdata[i], old, view);
  for (unsigned i = 0; i < told->len; i++)
    tell_came (told->pdata[i], old, view);

  pthread_mutex_lock (&m->view_mutex);
  as->view = view;
  pthread_mutex_unlock (&m->view_mutex);
  as->eventfds = eventfds;
  as->coalesced = coalesced;
  __atomic_fetch_add (&as->generation, 1, __ATOMIC_RELEASE);

  for (unsigned i = 0; i < told->len; i++)
    {
      VmMemoryListener *l = told->pdata[i];

      diff_lists (old_eventfds, eventfds, compare_eventfd, tell_eventfd_gone, tell_eventfd_came, l);
      diff_lists (old_coalesced, coalesced, compare_coalesced, tell_coalesced_gone, tell_coalesced_came, l);
      if (l->commit)
        l->commit (l);
    }
  g_array_unref (old_eventfds);
  g_array_unref (old_coalesced);
  vm_flat_view_unref (old);
}

/* --- registration ------------------------------------------------------------------------------ */

void
vm_memory_listener_add (VmMemoryListener *l, VmAddressSpace *as)
{
  VmMemory *m = as->memory;
  unsigned at = 0;

  l->as = as;
  while (at < m->listeners->len && ((VmMemoryListener *) m->listeners->pdata[at])->priority <= l->priority)
    at++;
  g_ptr_array_insert (m->listeners, at, l);

  if (l->begin)
    l->begin (l);
  for (size_t i = 0; l->add && i < as->view->n; i++)
    l->add (l, &as->view->ranges[i]);
  for (unsigned i = 0; i < as->eventfds->len; i++)
    tell_eventfd_came (l, &g_array_index (as->eventfds, VmEventfd, i));
  for (unsigned i = 0; i < as->coalesced->len; i++)
    tell_coalesced_came (l, &g_array_index (as->coalesced, VmCoalesced, i));
  if (l->commit)
    l->commit (l);
}

void
vm_memory_listener_remove (VmMemoryListener *l)
{
  VmAddressSpace *as = l->as;

  if (!as || !g_ptr_array_remove (as->memory->listeners, l))
    return;
  if (l->begin)
    l->begin (l);
  for (unsigned i = 0; i < as->coalesced->len; i++)
    tell_coalesced_gone (l, &g_array_index (as->coalesced, VmCoalesced, i));
  for (unsigned i = 0; i < as->eventfds->len; i++)
    tell_eventfd_gone (l, &g_array_index (as->eventfds, VmEventfd, i));
  for (size_t i = as->view->n; l->del && i-- > 0;)
    l->del (l, &as->view->ranges[i]);
  if (l->commit)
    l->commit (l);
  l->as = NULL;
}

void
vm_address_space_init (VmAddressSpace *as, VmMemory *m, VmRegion *root, const char *name)
{
  *as = (VmAddressSpace) { .name = name, .memory = m, .root = root };
  as->view = vm_flat_view_new (root);
  as->eventfds = view_eventfds (as->view);
  as->coalesced = view_coalesced (as->view);
  g_ptr_array_add (m->spaces, as);
}

void
vm_address_space_destroy (VmAddressSpace *as)
{
  if (!as->memory)
    return;
  for (unsigned i = 0; i < as->memory->listeners->len; i++)
    g_assert (((VmMemoryListener *) as->memory->listeners->pdata[i])->as != as);
  g_ptr_array_remove (as->memory->spaces, as);
  g_clear_pointer (&as->view, vm_flat_view_unref);
  g_clear_pointer (&as->eventfds, g_array_unref);
  g_clear_pointer (&as->coalesced, g_array_unref);
  as->memory = NULL;
}

VmFlatView *
vm_address_space_view (VmAddressSpace *as)
{
  VmFlatView *view;

  /* Whoever holds the machine lock is the only one who could replace it. */
  if (vm_lock_held (as->memory->lock))
    return vm_flat_view_ref (as->view);
  pthread_mutex_lock (&as->memory->view_mutex);
  view = vm_flat_view_ref (as->view);
  pthread_mutex_unlock (&as->memory->view_mutex);
  return view;
}
