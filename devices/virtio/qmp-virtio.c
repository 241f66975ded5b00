/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x-query-virtio and what is like it: what devices and drivers agreed on, where queues are, what lies in them. Names of
 * features after OASIS Virtual I/O Device 1.2, chapters 5 and 6. */
#include "devices/virtio/virtio-pci.h"
#include "devices/virtio/virtio-private.h"

#include "engine/monitor/hmp.h"
#include "engine/monitor/qmp-handlers.h"

#include <inttypes.h>

typedef struct BitName
{
  unsigned bit;
  const char *name;
} BitName;

static const BitName transport_names[] = {
  { VIRTIO_F_RING_RESET, "VIRTIO_F_RING_RESET: Driver can reset a queue individually" },
  { VIRTIO_F_NOTIFICATION_DATA, "VIRTIO_F_NOTIFICATION_DATA: Driver passes extra data in notifications" },
  { VIRTIO_F_SR_IOV, "VIRTIO_F_SR_IOV: Device supports single root I/O virtualization" },
  { VIRTIO_F_ORDER_PLATFORM, "VIRTIO_F_ORDER_PLATFORM: Memory accesses ordered by platform" },
  { VIRTIO_F_IN_ORDER, "VIRTIO_F_IN_ORDER: Device uses buffers in the order they were made available" },
  { VIRTIO_F_EVENT_IDX, "VIRTIO_RING_F_EVENT_IDX: Used & avail. event fields enabled" },
  { VIRTIO_F_INDIRECT_DESC, "VIRTIO_RING_F_INDIRECT_DESC: Indirect descriptors supported" },
  { VIRTIO_F_RING_PACKED, "VIRTIO_F_RING_PACKED: Device supports packed VQ layout" },
  { VIRTIO_F_ACCESS_PLATFORM, "VIRTIO_F_IOMMU_PLATFORM: Device can be used on IOMMU platform" },
  { VIRTIO_F_VERSION_1, "VIRTIO_F_VERSION_1: Device compliant for v1 spec (legacy)" },
  { VIRTIO_F_ANY_LAYOUT, "VIRTIO_F_ANY_LAYOUT: Device accepts arbitrary desc. layouts" },
  { VIRTIO_F_NOTIFY_ON_EMPTY, "VIRTIO_F_NOTIFY_ON_EMPTY: Notify when device runs out of avail. descs. on VQ" },
  { 0, NULL },
};
static const BitName status_names[] = {
  { 0, "VIRTIO_CONFIG_S_ACKNOWLEDGE: Valid virtio device found" },
  { 1, "VIRTIO_CONFIG_S_DRIVER: Guest OS compatible with device" },
  { 3, "VIRTIO_CONFIG_S_FEATURES_OK: Feature negotiation complete" },
  { 2, "VIRTIO_CONFIG_S_DRIVER_OK: Driver setup and ready" },
  { 6, "VIRTIO_CONFIG_S_NEEDS_RESET: Irrecoverable error, device needs reset" },
  { 7, "VIRTIO_CONFIG_S_FAILED: Error in guest, device failed" },
  { 0, NULL },
};
static const BitName blk_names[] = {
  { 14, "VIRTIO_BLK_F_WRITE_ZEROES: Write zeroes command supported" },
  { 13, "VIRTIO_BLK_F_DISCARD: Discard command supported" },
  { 12, "VIRTIO_BLK_F_MQ: Multiqueue supported" },
  { 11, "VIRTIO_BLK_F_CONFIG_WCE: Cache writeback and writethrough modes supported" },
  { 10, "VIRTIO_BLK_F_TOPOLOGY: Topology information available" },
  { 9, "VIRTIO_BLK_F_FLUSH: Flush command supported" },
  { 7, "VIRTIO_BLK_F_SCSI: SCSI packet commands supported" },
  { 6, "VIRTIO_BLK_F_BLK_SIZE: Block size of disk available" },
  { 5, "VIRTIO_BLK_F_RO: Device is read-only" },
  { 4, "VIRTIO_BLK_F_GEOMETRY: Legacy geometry available" },
  { 2, "VIRTIO_BLK_F_SEG_MAX: Max segments in a request is seg_max" },
  { 1, "VIRTIO_BLK_F_SIZE_MAX: Max segment size is size_max" },
  { 0, NULL },
};
static const BitName console_names[] = {
  { 2, "VIRTIO_CONSOLE_F_EMERG_WRITE: Emergency write supported" },
  { 1, "VIRTIO_CONSOLE_F_MULTIPORT: Multiple ports for device supported" },
  { 0, "VIRTIO_CONSOLE_F_SIZE: Host providing console size" },
  { 0, NULL },
};
static const BitName balloon_names[] = {
  { 5, "VIRTIO_BALLOON_F_REPORTING: Page reporting VQ enabled" },
  { 4, "VIRTIO_BALLOON_F_PAGE_POISON: Guest page poisoning enabled" },
  { 3, "VIRTIO_BALLOON_F_FREE_PAGE_HINT: VQ reporting free pages enabled" },
  { 2, "VIRTIO_BALLOON_F_DEFLATE_ON_OOM: Deflate balloon when guest OOM" },
  { 1, "VIRTIO_BALLOON_F_STATS_VQ: Guest memory stats VQ available" },
  { 0, "VIRTIO_BALLOON_F_MUST_TELL_HOST: Tell host before reclaiming pages" },
  { 0, NULL },
};
static const BitName scsi_names[] = {
  { 3, "VIRTIO_SCSI_F_T10_PI: T10 info included in request header" },
  { 2, "VIRTIO_SCSI_F_CHANGE: Reporting and handling LUN changes supported" },
  { 1, "VIRTIO_SCSI_F_HOTPLUG: Reporting and handling hot-plug events supported" },
  { 0, "VIRTIO_SCSI_F_INOUT: Requests including read and writable data buffers supported" },
  { 0, NULL },
};
static const BitName gpu_names[] = {
  { 3, "VIRTIO_GPU_F_RESOURCE_BLOB: Resource blobs supported" },
  { 1, "VIRTIO_GPU_F_EDID: EDID metadata supported" },
  { 0, NULL },
};
static const BitName no_names[] = { { 0, NULL } };

static const struct
{
  unsigned id;
  const char *name;
  const BitName *features;
} device_kinds[] = {
  { VIRTIO_ID_NET, "virtio-net", no_names },
  { VIRTIO_ID_BLOCK, "virtio-blk", blk_names },
  { VIRTIO_ID_CONSOLE, "virtio-serial", console_names },
  { VIRTIO_ID_RNG, "virtio-rng", no_names },
  { VIRTIO_ID_BALLOON, "virtio-balloon", balloon_names },
  { VIRTIO_ID_SCSI, "virtio-scsi", scsi_names },
  { VIRTIO_ID_9P, "virtio-9p", no_names },
  { VIRTIO_ID_GPU, "virtio-gpu", gpu_names },
  { VIRTIO_ID_INPUT, "virtio-input", no_names },
  { VIRTIO_ID_CRYPTO, "virtio-crypto", no_names },
};

static unsigned
device_id (const VmVirtio *v)
{
  return ((const VmVirtioClass *) vm_device_class (&v->parent))->id;
}

static const char *
device_name (const VmVirtio *v)
{
  for (size_t i = 0; i < G_N_ELEMENTS (device_kinds); i++)
    if (device_kinds[i].id == device_id (v))
      return device_kinds[i].name;
  return v->parent.parent.type->name;
}

static const BitName *
feature_names (const VmVirtio *v)
{
  for (size_t i = 0; i < G_N_ELEMENTS (device_kinds); i++)
    if (device_kinds[i].id == device_id (v))
      return device_kinds[i].features;
  return no_names;
}

/* Texts of the bits of *BITS that have one; the others stay. */
static GPtrArray *
take_names (uint64_t *bits, const BitName *names)
{
  GPtrArray *list = g_ptr_array_new ();

  for (; names->name; names++)
    if (*bits >> names->bit & 1)
      {
        g_ptr_array_add (list, g_strdup (names->name));
        *bits &= ~VM_BIT (names->bit);
      }
  return list;
}

static VmqVirtioDeviceFeatures *
describe_features (const VmVirtio *v, uint64_t bits)
{
  VmqVirtioDeviceFeatures *f = g_new0 (VmqVirtioDeviceFeatures, 1);

  f->transports = take_names (&bits, transport_names);
  f->dev_features = take_names (&bits, feature_names (v));
  f->has_unknown_dev_features = bits != 0;
  f->unknown_dev_features = (int64_t) bits;
  return f;
}

static VmVirtio *
find_virtio (VmMonitor *mon, const char *path, GError **error)
{
  VmObject *obj = vm_object_resolve (vm_monitor_machine (mon)->env.root, path);

  if (obj && vm_object_is_a (obj, &vm_virtio_type) && VM_DEVICE (obj)->realized)
    return VM_VIRTIO (obj);
  vm_fail (error, "Path %s is not a VirtIODevice", path);
  return NULL;
}

static VmVirtqueue *
find_queue (VmMonitor *mon, const char *path, int64_t queue, GError **error)
{
  VmVirtio *v = find_virtio (mon, path, error);

  if (v && queue >= 0 && queue < v->n_queues)
    return v->queues[queue];
  if (v)
    vm_fail (error, "Invalid virtqueue number %" PRId64, queue);
  return NULL;
}

/* --- QMP ------------------------------------------------------------------------------------------------------------
 */

static bool
add_virtio (VmDevice *dev, void *opaque)
{
  GPtrArray *list = opaque;

  if (vm_object_is_a (&dev->parent, &vm_virtio_type))
    {
      VmqVirtioInfo *info = g_new0 (VmqVirtioInfo, 1);
      info->path = vm_object_path (&dev->parent);
      info->name = g_strdup (device_name (VM_VIRTIO (dev)));
      g_ptr_array_add (list, info);
    }
  return true;
}

GPtrArray *
vm_qmp_x_query_virtio (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  vm_device_foreach (vm_monitor_machine (mon)->env.root, add_virtio, list);
  return list;
}

VmqVirtioStatus *
vm_qmp_x_query_virtio_status (VmMonitor *mon, const VmqXQueryVirtioStatusArg *args, GError **error)
{
  VmVirtio *v = find_virtio (mon, args->path, error);
  VmqVirtioStatus *s;
  uint64_t status;

  if (!v)
    return NULL;
  const VmVirtioBus *bus = vm_virtio_bus (v);
  VmObject *owner = &bus->parent.owner->parent;
  const VmVirtioPci *pci = vm_object_is_a (owner, &vm_virtio_pci_type) ? (VmVirtioPci *) owner : NULL;
  const VmBus *below = v->parent.buses && v->parent.buses->len ? v->parent.buses->pdata[0] : NULL;
  s = g_new0 (VmqVirtioStatus, 1);
  s->name = g_strdup (device_name (v));
  s->device_id = device_id (v);
  s->device_endian = g_strdup ("little");
  s->guest_features = describe_features (v, v->features);
  s->host_features = describe_features (v, v->host_features);
  s->backend_features = describe_features (v, 0);
  s->num_vqs = v->n_queues;
  s->status = g_new0 (VmqVirtioDeviceStatus, 1);
  status = v->status;
  s->status->statuses = take_names (&status, status_names);
  s->status->has_unknown_statuses = status != 0;
  s->status->unknown_statuses = (int64_t) status;
  s->isr = pci ? pci->isr : 0;
  s->queue_sel = pci ? pci->queue_select : 0;
  s->vm_running = vm_machine_is_running (vm_monitor_machine (mon));
  s->broken = v->broken;
  s->disabled = bus->disabled;
  s->use_started = v->use_started;
  s->started = vm_virtio_running (v);
  s->disable_legacy_check = v->x_disable_legacy_check;
  s->bus_name = g_strdup (below ? below->name : "");
  s->use_guest_notifier_mask = true;
  return s;
}

VmqVirtQueueStatus *
vm_qmp_x_query_virtio_queue_status (VmMonitor *mon, const VmqXQueryVirtioQueueStatusArg *args, GError **error)
{
  const VmVirtqueue *q = find_queue (mon, args->path, args->queue, error);
  VmqVirtQueueStatus *s;

  if (!q)
    return NULL;
  s = g_new0 (VmqVirtQueueStatus, 1);
  s->name = g_strdup (device_name (q->v));
  s->queue_index = q->index;
  s->inuse = q->in_flight;
  s->vring_num = q->s->num;
  s->vring_num_default = q->max;
  s->vring_align = VM_PAGE_SIZE;
  s->vring_desc = q->s->desc;
  s->vring_avail = q->s->driver;
  s->vring_used = q->s->device;
  s->has_last_avail_idx = s->has_shadow_avail_idx = true;
  s->last_avail_idx = s->shadow_avail_idx = q->s->next_avail;
  s->used_idx = q->s->next_used;
  s->signalled_used = (uint16_t) (q->s->next_used - q->pushed);
  s->signalled_used_valid = vm_virtqueue_ready (q);
  return s;
}

VmqVirtVhostQueueStatus *
vm_qmp_x_query_virtio_vhost_queue_status (VmMonitor *mon, const VmqXQueryVirtioVhostQueueStatusArg *args,
                                          GError **error)
{
  if (find_queue (mon, args->path, args->queue, error))
    vm_fail (error, "vhost device has not started yet");
  return NULL;
}

/* --- an element ------------------------------------------------------------------------------- */

static uint64_t
load (const VmVirtqueue *q, uint64_t addr, unsigned size)
{
  const VmVirtioBus *bus = vm_virtio_bus (q->v);

  return vm_as_load (bus->as, addr, size, bus->attrs, NULL);
}

static void
add_flag (GPtrArray *list, unsigned flags, unsigned flag, const char *name)
{
  if (flags & flag)
    g_ptr_array_add (list, g_strdup (name));
}

/* The chain that begins with descriptor I of the N at TABLE. */
static GPtrArray *
describe_chain (const VmVirtqueue *q, uint64_t table, unsigned n, unsigned i)
{
  GPtrArray *list = g_ptr_array_new ();

  for (unsigned steps = 0; i < n && steps < VM_VIRTQUEUE_MAX; steps++)
    {
      uint64_t at = table + (uint64_t) i * DESC_SIZE, addr = load (q, at, 8);
      uint32_t len = (uint32_t) load (q, at + 8, 4);
      unsigned flags = (unsigned) load (q, at + 12, 2);

      if ((flags & DESC_INDIRECT) && table == q->s->desc)
        {
          table = addr;
          n = MIN (len / DESC_SIZE, VM_VIRTQUEUE_MAX);
          i = 0;
          continue;
        }
      VmqVirtioRingDesc *desc = g_new0 (VmqVirtioRingDesc, 1);
      desc->addr = addr;
      desc->len = len;
      desc->flags = g_ptr_array_new ();
      add_flag (desc->flags, flags, DESC_NEXT, "next");
      add_flag (desc->flags, flags, DESC_WRITE, "write");
      add_flag (desc->flags, flags, DESC_INDIRECT, "indirect");
      g_ptr_array_add (list, desc);
      if (!(flags & DESC_NEXT))
        break;
      i = (unsigned) load (q, at + 14, 2);
    }
  return list;
}

VmqVirtioQueueElement *
vm_qmp_x_query_virtio_queue_element (VmMonitor *mon, const VmqXQueryVirtioQueueElementArg *args, GError **error)
{
  const VmVirtqueue *q = find_queue (mon, args->path, args->queue, error);
  VmqVirtioQueueElement *e;

  if (!q)
    return NULL;
  if (!q->s->enabled || !q->s->num || vm_virtio_has (q->v, VIRTIO_F_RING_PACKED))
    {
      vm_fail (error,
               q->s->enabled && q->s->num ? "Packed queues are not described by element"
                                          : "Virtqueue %" PRId64 " is not set up",
               args->queue);
      return NULL;
    }
  const VmVirtqueueState *s = q->s;
  unsigned index = args->has_index ? (unsigned) args->index % s->num : s->next_avail % s->num;
  unsigned head = (unsigned) load (q, s->driver + 4 + 2 * (uint64_t) index, 2);
  e = g_new0 (VmqVirtioQueueElement, 1);
  e->name = g_strdup (device_name (q->v));
  e->index = head;
  e->descs = describe_chain (q, s->desc, s->num, head);
  e->avail = g_new0 (VmqVirtioRingAvail, 1);
  e->avail->flags = (int64_t) load (q, s->driver, 2);
  e->avail->idx = (int64_t) load (q, s->driver + 2, 2);
  e->avail->ring = head;
  e->used = g_new0 (VmqVirtioRingUsed, 1);
  e->used->flags = (int64_t) load (q, s->device, 2);
  e->used->idx = (int64_t) load (q, s->device + 2, 2);
  return e;
}

/* --- for people ------------------------------------------------------------------------------- */

/* The query about the path that was typed, or about a queue of it. */
static json_object *
ask (VmMonitor *mon, const VmHmpArgs *args, const char *command, bool queue)
{
  g_autofree char *path = vm_hmp_quote (vm_hmp_text (args, "path"));
  g_autoptr (GString) query = g_string_new (NULL);

  g_string_append_printf (query, "{\"path\": %s", path);
  if (queue)
    g_string_append_printf (query, ", \"queue\": %" PRId64, vm_hmp_number (args, "queue", 0));
  if (vm_hmp_arg (args, "index"))
    g_string_append_printf (query, ", \"index\": %" PRId64, vm_hmp_number (args, "index", 0));
  g_string_append_c (query, '}');
  json_object *answer = vm_hmp_qmp (mon, command, "%s", query->str);
  if (answer)
    vm_monitor_printf (mon, "%s:\n", vm_hmp_text (args, "path"));
  return answer;
}

static void
print_pair (VmMonitor *mon, const char *indent, int width, json_object *from, const char *key, const char *label)
{
  g_autofree char *name = g_strdelimit (g_strconcat (label ? label : key, ":", NULL), "-", '_');

  vm_monitor_printf (mon, "%s%-*s %s\n", indent, width, name, vm_hmp_member (from, key));
}

static void
print_address (VmMonitor *mon, json_object *from, const char *key, const char *label)
{
  json_object *value;

  if (json_object_object_get_ex (from, key, &value))
    vm_monitor_printf (mon, "    %-12s 0x%016" PRIx64 "\n", label, json_object_get_uint64 (value));
}

static void
print_list (VmMonitor *mon, json_object *from, const char *key)
{
  json_object *list;

  if (json_object_object_get_ex (from, key, &list))
    for (size_t i = 0; i < json_object_array_length (list); i++)
      vm_monitor_printf (mon, "\t%s\n", json_object_get_string (json_object_array_get_idx (list, i)));
}

static void
print_features (VmMonitor *mon, json_object *status, const char *key, const char *heading)
{
  json_object *features, *unknown;

  vm_monitor_printf (mon, "  %s:\n", heading);
  if (!json_object_object_get_ex (status, key, &features))
    return;
  print_list (mon, features, "transports");
  print_list (mon, features, "dev-features");
  if (json_object_object_get_ex (features, "unknown-dev-features", &unknown))
    vm_monitor_printf (mon, "  unknown-features(0x%016" PRIx64 ")\n", json_object_get_uint64 (unknown));
}

static void
print_virtio (VmMonitor *mon, json_object *item)
{
  vm_monitor_printf (mon, "%s [%s]\n", vm_hmp_member (item, "path"), vm_hmp_member (item, "name"));
}

void
vm_hmp_info_virtio (VmMonitor *mon, const VmHmpArgs *args)
{
  GPtrArray *list = vm_qmp_x_query_virtio (mon, NULL);

  if (!list->len)
    vm_monitor_puts (mon, "No VirtIO devices\n");
  for (guint i = 0; i < list->len; i++)
    {
      VmqVirtioInfo *info = g_ptr_array_index (list, i);
      g_free (info->path);
      g_free (info->name);
      g_free (info);
    }
  g_ptr_array_unref (list);
  vm_hmp_each (mon, "x-query-virtio", print_virtio);
}

void
vm_hmp_info_virtio_status (VmMonitor *mon, const VmHmpArgs *args)
{
  static const char *const keys[] = { "device-id",     "vhost-started",
                                      "bus-name",      "broken",
                                      "disabled",      "disable-legacy-check",
                                      "started",       "use-started",
                                      "start-on-kick", "use-guest-notifier-mask",
                                      "vm-running",    "num-vqs",
                                      "queue-sel",     "isr" };
  json_object *s = ask (mon, args, "x-query-virtio-status", false), *status;

  if (!s)
    return;
  print_pair (mon, "  ", 24, s, "name", "device_name");
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    print_pair (mon, "  ", 24, s, keys[i], NULL);
  print_pair (mon, "  ", 24, s, "device-endian", "endianness");
  vm_monitor_puts (mon, "  status:\n");
  if (json_object_object_get_ex (s, "status", &status))
    print_list (mon, status, "statuses");
  print_features (mon, s, "guest-features", "Guest features");
  print_features (mon, s, "host-features", "Host features");
  print_features (mon, s, "backend-features", "Backend features");
  json_object_put (s);
}

void
vm_hmp_info_virtio_queue_status (VmMonitor *mon, const VmHmpArgs *args)
{
  static const char *const keys[] = { "queue-index",          "inuse",          "used-idx",        "signalled-used",
                                      "signalled-used-valid", "last-avail-idx", "shadow-avail-idx" };
  json_object *s = ask (mon, args, "x-query-virtio-queue-status", true);

  if (!s)
    return;
  print_pair (mon, "  ", 21, s, "name", "device_name");
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    print_pair (mon, "  ", 21, s, keys[i], NULL);
  vm_monitor_puts (mon, "  VRing:\n");
  print_pair (mon, "    ", 12, s, "vring-num", "num");
  print_pair (mon, "    ", 12, s, "vring-num-default", "num_default");
  print_pair (mon, "    ", 12, s, "vring-align", "align");
  print_address (mon, s, "vring-desc", "desc:");
  print_address (mon, s, "vring-avail", "avail:");
  print_address (mon, s, "vring-used", "used:");
  json_object_put (s);
}

void
vm_hmp_info_virtio_vhost_queue_status (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object_put (ask (mon, args, "x-query-virtio-vhost-queue-status", true));
}

static void
print_part (VmMonitor *mon, json_object *element, const char *part, const char *const *keys)
{
  json_object *s;

  vm_monitor_printf (mon, "  %s:\n", part);
  if (json_object_object_get_ex (element, part, &s))
    for (; *keys; keys++)
      print_pair (mon, "    ", 6, s, *keys, NULL);
}

void
vm_hmp_info_virtio_queue_element (VmMonitor *mon, const VmHmpArgs *args)
{
  static const char *const avail[] = { "flags", "idx", "ring", NULL }, *const used[] = { "flags", "idx", NULL };
  json_object *e = ask (mon, args, "x-query-virtio-queue-element", true), *descs, *flags;

  if (!e)
    return;
  print_pair (mon, "  ", 12, e, "name", "device_name");
  print_pair (mon, "  ", 12, e, "index", NULL);
  vm_monitor_puts (mon, "  desc:\n    descs:\n");
  for (size_t i = 0; json_object_object_get_ex (e, "descs", &descs) && i < json_object_array_length (descs); i++)
    {
      json_object *d = json_object_array_get_idx (descs, i), *addr = NULL;
      json_object_object_get_ex (d, "addr", &addr);
      vm_monitor_printf (mon, "        addr 0x%" PRIx64 " len %s", json_object_get_uint64 (addr),
                         vm_hmp_member (d, "len"));
      for (size_t k = 0; json_object_object_get_ex (d, "flags", &flags) && k < json_object_array_length (flags); k++)
        vm_monitor_printf (mon, "%s%s", k ? ", " : " (", json_object_get_string (json_object_array_get_idx (flags, k)));
      vm_monitor_puts (mon, json_object_array_length (flags) ? ")\n" : "\n");
    }
  print_part (mon, e, "avail", avail);
  print_part (mon, e, "used", used);
  json_object_put (e);
}
