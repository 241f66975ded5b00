/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memory balloon (OASIS Virtual I/O Device 1.2, 5.5), with its front on PCI. */
#include "devices/virtio/virtio-pci.h"

#include "engine/machine/machine.h"

#include <sys/mman.h>

enum {
  F_STATS_VQ = 1, F_DEFLATE_ON_OOM = 2, F_FREE_PAGE_HINT = 3, F_PAGE_POISON = 4, F_REPORTING = 5,
};
enum { CFG_NUM_PAGES = 0, CFG_ACTUAL = 4, CFG_HINT = 8, CFG_POISON = 12, CFG_SIZE = 16 };
enum { STAT_SIZE = 10, N_STATS = 10 };
enum { QUEUE_SIZE = 128, REPORTING_SIZE = 32 };
#define PAGES_MAX 65536 /* of one element: 256 MiB */

static const char *const stat_names[N_STATS] = {
  "stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults", "stat-free-memory", "stat-total-memory",
  "stat-available-memory", "stat-disk-caches", "stat-htlb-pgalloc", "stat-htlb-pgfail",
};

typedef struct VirtioBalloon {
  VmVirtio parent;
  /* properties */
  bool     deflate_on_oom, page_poison, free_page_reporting, free_page_hint, config_size_4_0;
  int64_t  polling_interval;     /* in seconds; 0: never */
  char    *iothread;
  uint64_t guest_stats;          /* nothing: the property is read only */
  /* wiring */
  VmVirtqueue *stats_queue;
  /* guest state */
  uint32_t num_pages, actual, poison;
  uint64_t stats[N_STATS];       /* all ones: never told */
  uint64_t last_update;          /* seconds since 1970 */
  bool     stats_wanted;         /* and no buffer was there to ask with */
  VmTimer  timer;
} VirtioBalloon;

/* --- memory that comes and goes -------------------------------------------------------------------------- */

/* Gives the host its pages back; the guest finds zeros there if it looks. */
static void
discard (VirtioBalloon *s, VmRamBlock *block, uint8_t *host, uint64_t len)
{
  uint64_t skip = (uintptr_t) host % VM_PAGE_SIZE ? VM_PAGE_SIZE - (uintptr_t) host % VM_PAGE_SIZE : 0;

  if (len < skip + VM_PAGE_SIZE)
    return;
  host += skip;
  len = VM_ALIGN_DOWN (len - skip, VM_PAGE_SIZE);
  /* A host that cannot (huge pages, locked memory) keeps them: a wish, not a duty. */
  if (madvise (host, len, block->fd >= 0 && block->shared ? MADV_REMOVE : MADV_DONTNEED) == 0)
    vm_ram_written (s->parent.parent.env->memory, block, (uint64_t) (host - block->host), len);
}

static void
inflate_page (VirtioBalloon *s, uint32_t pfn)
{
  VmAddressSpace *as = s->parent.parent.env->memory_as;
  uint64_t len = VM_PAGE_SIZE;
  VmRamBlock *block;
  uint8_t *host = vm_as_map (as, (uint64_t) pfn << VM_PAGE_SHIFT, &len, true, &block);

  if (!host)
    return;
  discard (s, block, host, len);
  vm_as_unmap (as, host, 0, block);
}

static void
balloon_pages (VmVirtio *v, VmVirtqueue *q)
{
  VirtioBalloon *s = (VirtioBalloon *) v;
  VmVirtqElement *e;

  vm_virtqueue_set_notification (q, false);
  while ((e = vm_virtqueue_next (q, sizeof *e)))
    {
      size_t size = vm_iov_size (vm_virtq_out (e), e->n_out);
      uint8_t pfn[4];

      if (size > PAGES_MAX * sizeof pfn)
        {
          vm_virtio_break (v, "more than %d pages at once", PAGES_MAX);
          vm_virtqueue_drop (e);
          return;
        }
      /* Pages that come back need nothing: the host makes them when they are touched. */
      for (size_t at = 0; q->index == 0 && at + sizeof pfn <= size; at += sizeof pfn)
        if (vm_iov_get (vm_virtq_out (e), e->n_out, at, pfn, sizeof pfn) == sizeof pfn)
          inflate_page (s, vm_load_le32 (pfn));
      vm_virtqueue_push (e, 0);
    }
}

static void
balloon_reporting (VmVirtio *v, VmVirtqueue *q)
{
  VirtioBalloon *s = (VirtioBalloon *) v;
  VmVirtqElement *e;

  vm_virtqueue_set_notification (q, false);
  while ((e = vm_virtqueue_next (q, sizeof *e)))
    {
      /* A driver that fills free pages with something must find it there again. */
      for (unsigned i = 0; i < e->n_in && !s->poison; i++)
        if (e->pieces[e->n_out + i].block)
          discard (s, e->pieces[e->n_out + i].block, vm_virtq_in (e)[i].iov_base, vm_virtq_in (e)[i].iov_len);
      vm_virtqueue_push (e, 0);
    }
}

/* --- statistics ------------------------------------------------------------------------------------------ */

static void
forget_stats (VirtioBalloon *s)
{
  memset (s->stats, 0xff, sizeof s->stats);
  s->last_update = 0;
}

/* The driver's only buffer goes back to it as the wish for new numbers. */
static void
ask_for_stats (VirtioBalloon *s)
{
  VmVirtqElement *e = vm_virtqueue_pop (s->stats_queue, sizeof *e);

  s->stats_wanted = !e;
  if (e)
    vm_virtqueue_push (e, 0);
}

static void
arm_timer (VirtioBalloon *s)
{
  VmClocks *clocks = s->parent.parent.env->clocks;

  if (s->polling_interval)
    vm_timer_set (&s->timer, vm_clock_now (clocks, VM_CLOCK_VIRTUAL) + s->polling_interval * VM_NS_PER_SEC);
  else
    vm_timer_cancel (&s->timer);
}

static void
on_poll (void *opaque)
{
  VirtioBalloon *s = opaque;

  if (vm_virtio_has (&s->parent, F_STATS_VQ))
    ask_for_stats (s);
  arm_timer (s);
}

/* New numbers: read, and left in the queue until the next wish. */
static void
balloon_stats (VmVirtio *v, VmVirtqueue *q)
{
  VirtioBalloon *s = (VirtioBalloon *) v;
  VmVirtqElement *e = vm_virtqueue_pop (q, sizeof *e);
  uint8_t stat[STAT_SIZE];

  if (!e)
    return;
  for (size_t i = 0; i < 2 * N_STATS; i++)
    if (vm_iov_get (vm_virtq_out (e), e->n_out, i * STAT_SIZE, stat, sizeof stat) == sizeof stat
        && vm_load_le16 (stat) < N_STATS)
      s->stats[vm_load_le16 (stat)] = vm_load_le64 (stat + 2);
  s->last_update = (uint64_t) (vm_clock_now (v->parent.env->clocks, VM_CLOCK_HOST) / VM_NS_PER_SEC);
  vm_virtqueue_unpop (e);
  if (s->stats_wanted)
    ask_for_stats (s);
}

static char *
stats_get (VmObject *obj, const void *field)
{
  const VirtioBalloon *s = (const VirtioBalloon *) vm_virtio_of (obj);
  GString *out = g_string_new ("{\"stats\": {");

  for (unsigned i = 0; i < N_STATS; i++)
    g_string_append_printf (out, s->stats[i] == UINT64_MAX ? "%s\"%s\": -1" : "%s\"%s\": %" G_GUINT64_FORMAT,
                            i ? ", " : "", stat_names[i], s->stats[i]);
  g_string_append_printf (out, "}, \"last-update\": %" G_GUINT64_FORMAT "}", s->last_update);
  return g_string_free (out, FALSE);
}

static char *
interval_get (VmObject *obj, const void *field)
{
  return g_strdup_printf ("%" G_GINT64_FORMAT, *(const int64_t *) field);
}

static bool
interval_set (VmObject *obj, void *field, const char *text, GError **error)
{
  VirtioBalloon *s = (VirtioBalloon *) vm_virtio_of (obj);
  char *end;
  int64_t value = g_ascii_strtoll (text, &end, 0);

  if (end == text || *end)
    return vm_fail (error, "Parameter 'guest-stats-polling-interval' expects integer");
  if (value < 0)
    return vm_fail (error, "timer value must be greater than zero");
  if (value > UINT32_MAX)
    return vm_fail (error, "timer value is too big");
  *(int64_t *) field = value;
  if (obj->frozen && s->parent.parent.realized)
    {
      arm_timer (s);
      if (value && vm_virtio_has (&s->parent, F_STATS_VQ))
        ask_for_stats (s);
    }
  return true;
}

static const VmPropCustom stats_prop = { .type_name = "guest statistics", .get = stats_get, .json = true };
static const VmPropCustom interval_prop = {
  .type_name = "int", .set = interval_set, .get = interval_get, .json = true,
};

/* --- what the monitor wants ------------------------------------------------------------------------------ */

static uint64_t
ram_size (const VirtioBalloon *s)
{
  VmMachine *machine = s->parent.parent.env->machine;

  if (!machine)
    return 0;
  return machine->ram_size + (machine->plugged_memory ? machine->plugged_memory (machine, -1) : 0);
}

static uint64_t
actual_size (const VirtioBalloon *s)
{
  uint64_t size = ram_size (s), taken = (uint64_t) s->actual << VM_PAGE_SHIFT;

  return size - MIN (taken, size);
}

static uint64_t
on_query (VmDevice *dev)
{
  return actual_size ((VirtioBalloon *) dev);
}

static void
on_target (VmDevice *dev, uint64_t target)
{
  VirtioBalloon *s = (VirtioBalloon *) dev;
  uint64_t size = ram_size (s);

  s->num_pages = (uint32_t) ((size - MIN (target, size)) >> VM_PAGE_SHIFT);
  vm_virtio_config_changed (&s->parent);
}

/* --- configuration --------------------------------------------------------------------------------------- */

static uint64_t
balloon_features (VmVirtio *v)
{
  const VirtioBalloon *s = (const VirtioBalloon *) v;

  return VM_BIT (F_STATS_VQ) | (s->deflate_on_oom ? VM_BIT (F_DEFLATE_ON_OOM) : 0)
         | (s->page_poison ? VM_BIT (F_PAGE_POISON) : 0) | (s->free_page_reporting ? VM_BIT (F_REPORTING) : 0);
}

static void
balloon_config_get (VmVirtio *v, uint8_t *config)
{
  const VirtioBalloon *s = (const VirtioBalloon *) v;

  vm_store_le32 (config + CFG_NUM_PAGES, s->num_pages);
  vm_store_le32 (config + CFG_ACTUAL, s->actual);
  vm_store_le32 (config + CFG_POISON, s->poison);
}

static void
balloon_config_set (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size)
{
  VirtioBalloon *s = (VirtioBalloon *) v;
  VmMachine *machine = v->parent.env->machine;
  uint32_t actual = vm_load_le32 (config + CFG_ACTUAL);

  if (vm_virtio_has (v, F_PAGE_POISON) && offset + size > CFG_POISON)
    s->poison = vm_load_le32 (config + CFG_POISON);
  if (actual == s->actual)
    return;
  s->actual = actual;
  if (machine)
    vm_machine_emit (machine, "BALLOON_CHANGE", "{\"actual\": %" G_GUINT64_FORMAT "}", actual_size (s));
}

static void
balloon_status_set (VmVirtio *v, uint8_t old)
{
  VirtioBalloon *s = (VirtioBalloon *) v;

  if (v->status)
    return;
  forget_stats (s);
  s->poison = 0;
  s->stats_wanted = false;
}

/* --- life ------------------------------------------------------------------------------------------------ */

static bool
balloon_realize (VmDevice *dev, GError **error)
{
  VirtioBalloon *s = (VirtioBalloon *) dev;
  VmMachine *machine = dev->env->machine;

  if (s->free_page_hint)
    return vm_fail (error, "free-page-hint=on: not available in this build");
  if (s->iothread && *s->iothread)
    return vm_fail (error, "iothread=%s: not available in this build", s->iothread);
  if (machine && machine->balloon)
    return vm_fail (error, "Only one balloon device is supported");
  if (machine)
    {
      machine->balloon = dev;
      machine->balloon_actual = on_query;
      machine->balloon_set = on_target;
    }
  s->parent.config_size = s->config_size_4_0 || s->page_poison ? CFG_SIZE : CFG_HINT;
  vm_timer_init (&s->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, on_poll, s);
  vm_virtio_add_queue (&s->parent, QUEUE_SIZE, balloon_pages);
  vm_virtio_add_queue (&s->parent, QUEUE_SIZE, balloon_pages);
  s->stats_queue = vm_virtio_add_queue (&s->parent, QUEUE_SIZE, balloon_stats);
  if (s->free_page_reporting)
    vm_virtio_add_queue (&s->parent, REPORTING_SIZE, balloon_reporting);
  forget_stats (s);
  arm_timer (s);
  return true;
}

static void
balloon_unrealize (VmDevice *dev)
{
  VirtioBalloon *s = (VirtioBalloon *) dev;
  VmMachine *machine = dev->env->machine;

  vm_virtio_shut_down (&s->parent);
  vm_timer_cancel (&s->timer);
  if (machine)
    machine->balloon = NULL;
}

static const VmProp balloon_props[] = {
  VM_PROP ("deflate-on-oom", VirtioBalloon, deflate_on_oom, false, "a guest without memory takes some back"),
  VM_PROP ("free-page-hint", VirtioBalloon, free_page_hint, false, "free pages are not migrated"),
  VM_PROP ("page-poison", VirtioBalloon, page_poison, true, "the driver tells what it fills free pages with"),
  VM_PROP ("free-page-reporting", VirtioBalloon, free_page_reporting, false, "free pages go back to the host"),
  VM_PROP ("qemu-4-0-config-size", VirtioBalloon, config_size_4_0, false, "all registers, whatever the features"),
  VM_PROP_STRING ("iothread", VirtioBalloon, iothread, NULL, "thread for free-page-hint"),
  { .name = "guest-stats", .help = "what the guest told last", .kind = VM_PROP_CUSTOM,
    .flags = VM_PROP_RUNTIME | VM_PROP_READONLY, .custom = &stats_prop, VM_PROP_COMMON (VirtioBalloon, guest_stats) },
  { .name = "guest-stats-polling-interval", .help = "seconds between two questions; 0: none", .kind = VM_PROP_CUSTOM,
    .flags = VM_PROP_RUNTIME, .custom = &interval_prop, VM_PROP_COMMON (VirtioBalloon, polling_interval) },
  { 0 }
};

static const VmField balloon_state[] = {
  VM_FIELD (VirtioBalloon, num_pages),
  VM_FIELD (VirtioBalloon, actual),
  VM_FIELD (VirtioBalloon, poison),
  VM_FIELD_ARRAY (VirtioBalloon, stats),
  VM_FIELD (VirtioBalloon, last_update),
  VM_FIELD (VirtioBalloon, stats_wanted),
  { 0 }
};

static const VmVirtioClass balloon_class = {
  .parent = { .realize = balloon_realize, .unrealize = balloon_unrealize, .category = "Misc", .user_creatable = true,
              .hotpluggable = true },
  .id = VIRTIO_ID_BALLOON, .features = balloon_features, .config_get = balloon_config_get,
  .config_set = balloon_config_set, .status_set = balloon_status_set,
};

const VmType vm_virtio_balloon_type = {
  .name = "virtio-balloon-device", .parent = &vm_virtio_type, .size = sizeof (VirtioBalloon),
  .help = "Virtio memory balloon", .props = balloon_props, .state = balloon_state, .klass = &balloon_class,
};

/* --- on PCI ---------------------------------------------------------------------------------------------- */

typedef struct BalloonPci {
  VmVirtioPci   parent;
  VirtioBalloon balloon;
} BalloonPci;

static void
balloon_pci_init (VmObject *obj)
{
  BalloonPci *self = (BalloonPci *) obj;

  vm_virtio_pci_init (&self->parent, &self->balloon.parent, &vm_virtio_balloon_type);
  self->parent.ioeventfd = true;
}

static const VmProp balloon_pci_props[] = {
  VM_PROP_EMBED (BalloonPci, balloon, vm_virtio_props),
  VM_PROP_EMBED (BalloonPci, balloon, balloon_props),
  { 0 }
};

const VmType vm_virtio_balloon_pci_base_type = {
  .name = "virtio-balloon-pci-base", .parent = &vm_virtio_pci_type, .size = sizeof (BalloonPci), .abstract = true,
  .help = "Virtio memory balloon on PCI", .props = balloon_pci_props, .init = balloon_pci_init,
};

static const VmVirtioPciClass generic_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_OTHERS, VM_VIRTIO_PCI_GENERIC, NULL, "Misc");
static const VmVirtioPciClass transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_OTHERS, VM_VIRTIO_PCI_TRANSITIONAL, NULL, "Misc");
static const VmVirtioPciClass non_transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_OTHERS, VM_VIRTIO_PCI_NON_TRANSITIONAL, NULL, "Misc");

const VmType vm_virtio_balloon_pci_type = {
  .name = "virtio-balloon-pci", .parent = &vm_virtio_balloon_pci_base_type, .size = sizeof (BalloonPci),
  .help = "Virtio memory balloon on PCI", .props = vm_virtio_pci_generic_props, .klass = &generic_class,
};

const VmType vm_virtio_balloon_pci_transitional_type = {
  .name = "virtio-balloon-pci-transitional", .parent = &vm_virtio_balloon_pci_base_type, .size = sizeof (BalloonPci),
  .help = "Virtio memory balloon on PCI, both interfaces", .klass = &transitional_class,
};

const VmType vm_virtio_balloon_pci_non_transitional_type = {
  .name = "virtio-balloon-pci-non-transitional", .parent = &vm_virtio_balloon_pci_base_type,
  .size = sizeof (BalloonPci), .help = "Virtio memory balloon on PCI, modern interface only",
  .klass = &non_transitional_class,
};
