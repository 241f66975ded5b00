/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NUMA nodes from the command line: rules and defaults. */
#include "engine/machine/numa.h"

#include "engine/base/log.h"

#define HMAT_SPAN 65534 /* between the smallest and the biggest number of one HMAT table */

VmNuma *
vm_numa_new (void)
{
  return g_new0 (VmNuma, 1);
}

void
vm_numa_free (VmNuma *numa)
{
  if (!numa)
    return;
  for (unsigned h = 0; h < VM_HMAT_HIERARCHIES; h++)
    for (unsigned d = 0; d < VM_HMAT_DATA_N; d++)
      g_clear_pointer (&numa->hmat[h][d].entries, g_array_unref);
  g_free (numa->cpu_node);
  g_free (numa);
}

static bool
read_uint (const VmKeyVals *list, const char *key, uint64_t max, uint64_t *value, GError **error)
{
  if (!vm_keyvals_has (list, key))
    return vm_fail (error, "Parameter '%s' is missing", key);
  return vm_keyvals_uint (list, key, value, max, error);
}

/* --- processors --- */

static unsigned
socket_of (const VmSmp *smp, unsigned index)
{
  return index / (smp->threads * smp->cores * smp->modules * smp->clusters * smp->dies);
}

/* "CPU 1 [socket-id: 0, core-id: 1, thread-id: 0]" */
static void
describe_cpu (const VmSmp *smp, unsigned index, GString *out)
{
  unsigned rest = index / smp->threads;

  g_string_append_printf (out, "CPU %u [socket-id: %u, ", index, socket_of (smp, index));
  if (smp->dies > 1)
    g_string_append_printf (out, "die-id: %u, ", rest / smp->cores / smp->modules % smp->dies);
  if (smp->modules > 1)
    g_string_append_printf (out, "module-id: %u, ", rest / smp->cores % smp->modules);
  g_string_append_printf (out, "core-id: %u, thread-id: %u]", rest % smp->cores, index % smp->threads);
}

static bool
assign_cpu (VmNuma *numa, unsigned index, unsigned node, GError **error)
{
  if (numa->cpu_node[index] >= 0 && numa->cpu_node[index] != (int) node)
    return vm_fail (error, "CPU is already assigned to node-id: %d", numa->cpu_node[index]);
  numa->cpu_node[index] = (int16_t) node;
  numa->nodes[node].has_cpu = true;
  return true;
}

static bool
add_cpu_range (VmNuma *numa, const char *text, unsigned node, GError **error)
{
  g_auto (GStrv) ends = g_strsplit (text, "-", 2);
  guint64 first, last;

  if (!ends[0] || !g_ascii_string_to_unsigned (ends[0], 10, 0, UINT16_MAX, &first, NULL)
      || !g_ascii_string_to_unsigned (ends[1] ? ends[1] : ends[0], 10, first, UINT16_MAX, &last, NULL))
    return vm_fail (error, "Parameter 'cpus' expects a uint64 value or range");
  for (; first <= last; first++)
    {
      if (first >= numa->n_cpus)
        return vm_fail (error, "CPU index (%" G_GUINT64_FORMAT ") should be smaller than maxcpus (%u)", first,
                        numa->n_cpus);
      if (!assign_cpu (numa, (unsigned) first, node, error))
        return false;
    }
  return true;
}

/* --- node --- */

static bool
check_hmat (const VmMachine *m, GError **error)
{
  return m->hmat
         || vm_fail (error, "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with "
                            "-machine hmat=on before using any of hmat specific options");
}

static bool
set_node_memory (VmMachine *m, VmNumaNode *node, const VmKeyVals *list, GError **error)
{
  VmNuma *numa = m->numa;
  const char *id = vm_keyvals_get (list, "memdev");
  bool mem = vm_keyvals_has (list, "mem"), memdevs = id != NULL, mems = mem;

  for (unsigned i = 0; i < VM_NUMA_NODES; i++)
    {
      memdevs |= numa->nodes[i].memdev != NULL;
      mems |= numa->nodes[i].mem && !numa->nodes[i].memdev;
    }
  if (mems && memdevs)
    return vm_fail (error, "numa configuration should use either mem= or memdev=,mixing both is not allowed");
  if (mem && !m->board->numa_mem_supported)
    return vm_fail (error, "Parameter -numa node,mem is not supported by this machine type\n"
                           "Use -numa node,memdev instead");
  if (mem)
    {
      if (!vm_keyvals_size (list, "mem", 'B', &node->mem, error))
        return false;
      vm_report_warning ("Parameter -numa node,mem is deprecated, use -numa node,memdev instead");
    }
  if (!id)
    return true;
  VmObject *obj = vm_object_child (m->objects, id);
  if (!obj || !vm_object_is_a (obj, &vm_memory_backend_type))
    return vm_fail (error, "memdev=%s is ambiguous", id);
  node->memdev = (VmMemoryBackend *) obj;
  node->mem = node->memdev->size;
  return true;
}

static bool
add_node (VmMachine *m, const VmKeyVals *list, GError **error)
{
  VmNuma *numa = m->numa;
  uint64_t id = numa->n, initiator = 0;

  if (!vm_keyvals_uint (list, "nodeid", &id, UINT16_MAX, error))
    return false;
  if (id >= VM_NUMA_NODES)
    return vm_fail (error, "Max number of NUMA nodes reached: %" G_GUINT64_FORMAT, id);
  VmNumaNode *node = &numa->nodes[id];
  if (node->present)
    return vm_fail (error, "Duplicate NUMA nodeid: %" G_GUINT64_FORMAT, id);
  if (!m->board->hotpluggable_cpus)
    return vm_fail (error, "NUMA is not supported by this machine-type");
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      bool cpus = !strcmp (pair->key, "cpus") || g_str_has_prefix (pair->key, "cpus.");
      if (cpus && !add_cpu_range (numa, pair->value, (unsigned) id, error))
        return false;
    }
  node->initiator = -1;
  if (vm_keyvals_has (list, "initiator"))
    {
      if (!check_hmat (m, error) || !vm_keyvals_uint (list, "initiator", &initiator, UINT16_MAX, error))
        return false;
      if (node->has_cpu && initiator != id)
        return vm_fail (error,
                        "The initiator of CPU NUMA node %" G_GUINT64_FORMAT " should be itself (got %" G_GUINT64_FORMAT ")",
                        id, initiator);
      node->initiator = (int) initiator;
    }
  if (!set_node_memory (m, node, list, error))
    return false;
  node->present = true;
  numa->n++;
  return true;
}

/* --- dist --- */

static bool
add_distance (VmMachine *m, const VmKeyVals *list, GError **error)
{
  VmNuma *numa = m->numa;
  uint64_t src = 0, dst = 0, val = 0;

  if (!read_uint (list, "src", UINT16_MAX, &src, error) || !read_uint (list, "dst", UINT16_MAX, &dst, error)
      || !read_uint (list, "val", UINT8_MAX, &val, error))
    return false;
  if (src >= VM_NUMA_NODES)
    return vm_fail (error, "Parameter 'src' expects an integer between 0 and 127");
  if (dst >= VM_NUMA_NODES)
    return vm_fail (error, "Parameter 'dst' expects an integer between 0 and 127");
  if (!numa->nodes[src].present || !numa->nodes[dst].present)
    return vm_fail (error, "Source/Destination NUMA node is missing. Please use '-numa node' option to declare it first.");
  if (val < 10)
    return vm_fail (error, "NUMA distance (%u) is invalid, it shouldn't be less than 10.", (unsigned) val);
  if (src == dst && val != 10)
    return vm_fail (error, "Local distance of node %u should be 10.", (unsigned) src);
  numa->nodes[src].distance[dst] = (uint8_t) val;
  numa->have_distances = true;
  return true;
}

/* --- cpu --- */

static bool
add_cpu (VmMachine *m, const VmKeyVals *list, GError **error)
{
  VmNuma *numa = m->numa;
  const VmSmp *smp = &m->settings->smp;
  /* From the inner level to the outer. */
  const struct
  {
    const char *key;
    unsigned size;
    bool supported;
  } levels[] = {
    { "thread-id", smp->threads, true },           { "core-id", smp->cores, true },
    { "module-id", smp->modules, smp->modules > 1 }, { "cluster-id", smp->clusters, false },
    { "die-id", smp->dies, smp->dies > 1 },        { "socket-id", smp->sockets, true },
  };
  uint64_t node = 0, wanted[G_N_ELEMENTS (levels)] = { 0 };
  bool matched = false;

  if (!vm_keyvals_has (list, "node-id"))
    return vm_fail (error, "Missing mandatory node-id property");
  if (!vm_keyvals_uint (list, "node-id", &node, INT32_MAX, error))
    return false;
  if (node >= VM_NUMA_NODES || !numa->nodes[node].present)
    return vm_fail (error,
                    "Invalid node-id=%" G_GUINT64_FORMAT ", NUMA node must be defined with -numa node,nodeid=ID before "
                    "it's used with -numa cpu,node-id=ID",
                    node);
  for (size_t i = 0; i < G_N_ELEMENTS (levels); i++)
    {
      if (vm_keyvals_has (list, levels[i].key) && !levels[i].supported)
        return vm_fail (error, "%s is not supported", levels[i].key);
      if (!vm_keyvals_uint (list, levels[i].key, &wanted[i], INT32_MAX, error))
        return false;
    }
  for (unsigned index = 0; index < numa->n_cpus; index++)
    {
      unsigned rest = index;
      bool fits = true;
      for (size_t i = 0; i < G_N_ELEMENTS (levels); i++)
        {
          fits = fits && (!vm_keyvals_has (list, levels[i].key) || wanted[i] == rest % levels[i].size);
          rest /= levels[i].size;
        }
      matched |= fits;
      if (fits && !assign_cpu (numa, index, (unsigned) node, error))
        return false;
    }
  return matched || vm_fail (error, "no match found");
}

/* --- hmat-lb --- */

/* The biggest unit of which all values are multiples: any for latencies, powers of two for bandwidths. */
static uint64_t
common_unit (uint64_t base, uint64_t value, bool latency)
{
  if (!latency)
    value &= -value;
  while (value)
    {
      uint64_t rest = base % value;
      base = value;
      value = rest;
    }
  return base;
}

static bool
add_hmat_value (VmNuma *numa, VmHmatTable *table, const VmHmatEntry *e, bool latency, uint64_t typed, GError **error)
{
  uint64_t biggest = e->value, base = e->value ? common_unit (table->base, e->value, latency) : table->base;

  if (!table->entries)
    table->entries = g_array_new (FALSE, FALSE, sizeof (VmHmatEntry));
  for (guint i = 0; i < table->entries->len; i++)
    {
      const VmHmatEntry *other = &g_array_index (table->entries, VmHmatEntry, i);
      if (other->initiator == e->initiator && other->target == e->target)
        return vm_fail (error, "Duplicate configuration of the %s for initiator=%u and target=%u",
                        latency ? "latency" : "bandwidth", e->initiator, e->target);
      biggest = MAX (biggest, other->value);
    }
  if (biggest && biggest / base > HMAT_SPAN)
    return vm_fail (error,
                    "%s %" G_GUINT64_FORMAT " between initiator=%u and target=%u should not differ from previously "
                    "entered %svalues on more than %d",
                    latency ? "Latency" : "Bandwidth", typed, e->initiator, e->target, latency ? "min or max " : "",
                    HMAT_SPAN);
  table->base = base;
  g_array_append_vals (table->entries, e, 1);
  numa->nodes[e->target].given |= latency ? 1 : 2;
  return true;
}

static bool
add_hmat_lb (VmMachine *m, const VmKeyVals *list, GError **error)
{
  static const char *const hierarchies[] = { "memory", "first-level", "second-level", "third-level", NULL };
  static const char *const types[] = { "access-latency",  "read-latency",   "write-latency", "access-bandwidth",
                                       "read-bandwidth", "write-bandwidth", NULL };
  VmNuma *numa = m->numa;
  uint64_t initiator = 0, target = 0, typed = 0;
  int hierarchy = 0, type = 0;

  if (!check_hmat (m, error) || !read_uint (list, "initiator", UINT16_MAX, &initiator, error)
      || !read_uint (list, "target", UINT16_MAX, &target, error))
    return false;
  if (!vm_keyvals_has (list, "hierarchy") || !vm_keyvals_has (list, "data-type"))
    return vm_fail (error, "Parameter '%s' is missing", vm_keyvals_has (list, "hierarchy") ? "data-type" : "hierarchy");
  if (!vm_keyvals_enum (list, "hierarchy", hierarchies, &hierarchy, error)
      || !vm_keyvals_enum (list, "data-type", types, &type, error))
    return false;
  if (initiator >= VM_NUMA_NODES || !numa->nodes[initiator].has_cpu)
    return vm_fail (error, "Invalid initiator=%u, it isn't an initiator proximity domain", (unsigned) initiator);
  if (target >= VM_NUMA_NODES || !numa->nodes[target].present)
    return vm_fail (error, "The target=%u should point to an existing node", (unsigned) target);

  bool latency = type < VM_HMAT_ACCESS_BANDWIDTH;
  const char *key = latency ? "latency" : "bandwidth", *other = latency ? "bandwidth" : "latency";
  if (!vm_keyvals_has (list, key))
    return vm_fail (error, "Missing '%s' option", key);
  if (vm_keyvals_has (list, other))
    return vm_fail (error, "Invalid option '%s' since the data type is %s", other, key);
  if (!(latency ? vm_keyvals_uint (list, key, &typed, UINT64_MAX / 1000, error)
                : vm_keyvals_size (list, key, 'B', &typed, error)))
    return false;
  if (!latency && typed % VM_MIB)
    return vm_fail (error, "Bandwidth %" G_GUINT64_FORMAT " between initiator=%u and target=%u should be 1MB aligned",
                    typed, (unsigned) initiator, (unsigned) target);
  VmHmatEntry e = { (unsigned) initiator, (unsigned) target, latency ? typed : typed / VM_MIB };
  return add_hmat_value (numa, &numa->hmat[hierarchy][type], &e, latency, typed, error);
}

/* --- hmat-cache --- */

static bool
check_cache_sizes (const VmNumaNode *node, uint64_t id, unsigned level, uint64_t size, GError **error)
{
  if (node->cache[level].size)
    return vm_fail (error, "Duplicate configuration of the side cache for node-id=%u and level=%u", (unsigned) id, level);
  if (level > 1 && !node->cache[level - 1].size)
    return vm_fail (error, "Cache level=%u shall be defined first", level - 1);
  if (level > 1 && size <= node->cache[level - 1].size)
    return vm_fail (error,
                    "Invalid size=%" G_GUINT64_FORMAT ", the size of level=%u should be larger than the "
                    "size(%" G_GUINT64_FORMAT ") of level=%u",
                    size, level, node->cache[level - 1].size, level - 1);
  if (level < VM_NUMA_CACHE_LEVELS && node->cache[level + 1].size && size >= node->cache[level + 1].size)
    return vm_fail (error,
                    "Invalid size=%" G_GUINT64_FORMAT ", the size of level=%u should be less than the "
                    "size(%" G_GUINT64_FORMAT ") of level=%u",
                    size, level, node->cache[level + 1].size, level + 1);
  return true;
}

static bool
add_hmat_cache (VmMachine *m, const VmKeyVals *list, GError **error)
{
  static const char *const associativities[] = { "none", "direct", "complex", NULL };
  static const char *const policies[] = { "none", "write-back", "write-through", NULL };
  static const char *const needed[] = { "associativity", "policy", "line" };
  VmNuma *numa = m->numa;
  uint64_t id = 0, level = 0, line = 0;
  VmNumaCache cache = { 0 };

  if (!check_hmat (m, error) || !read_uint (list, "node-id", UINT32_MAX, &id, error))
    return false;
  if (!vm_keyvals_has (list, "size"))
    return vm_fail (error, "Parameter 'size' is missing");
  if (!vm_keyvals_size (list, "size", 'B', &cache.size, error) || !read_uint (list, "level", UINT8_MAX, &level, error))
    return false;
  for (size_t i = 0; i < G_N_ELEMENTS (needed); i++)
    if (!vm_keyvals_has (list, needed[i]))
      return vm_fail (error, "Parameter '%s' is missing", needed[i]);
  if (!vm_keyvals_enum (list, "associativity", associativities, &cache.associativity, error)
      || !vm_keyvals_enum (list, "policy", policies, &cache.policy, error)
      || !vm_keyvals_uint (list, "line", &line, UINT16_MAX, error))
    return false;
  cache.line = (uint16_t) line;
  if (id >= numa->n)
    return vm_fail (error, "Invalid node-id=%u, it should be less than %u", (unsigned) id, numa->n);
  if (level < 1 || level > VM_NUMA_CACHE_LEVELS)
    return vm_fail (error, "Invalid level=%u, it should be larger than 0 and less than or equal to %d",
                    (unsigned) level, VM_NUMA_CACHE_LEVELS);
  if (numa->nodes[id].given != 3)
    return vm_fail (error,
                    "The latency and bandwidth information of node-id=%u should be provided before memory side cache "
                    "attributes",
                    (unsigned) id);
  if (!check_cache_sizes (&numa->nodes[id], id, (unsigned) level, cache.size, error))
    return false;
  numa->nodes[id].cache[level] = cache;
  return true;
}

bool
vm_numa_add (VmMachine *m, const VmKeyVals *list, GError **error)
{
  static const struct
  {
    const char *type;
    bool (*add) (VmMachine *m, const VmKeyVals *list, GError **error);
  } kinds[] = { { "node", add_node },
                { "dist", add_distance },
                { "cpu", add_cpu },
                { "hmat-lb", add_hmat_lb },
                { "hmat-cache", add_hmat_cache } };
  const char *type = vm_keyvals_get (list, "type");
  VmNuma *numa = m->numa;

  if (!numa->cpu_node)
    {
      numa->n_cpus = MAX (m->settings->smp.max_cpus, 1);
      numa->cpu_node = g_new (int16_t, numa->n_cpus);
      memset (numa->cpu_node, 0xff, numa->n_cpus * sizeof *numa->cpu_node);
    }
  for (size_t i = 0; type && i < G_N_ELEMENTS (kinds); i++)
    if (!strcmp (type, kinds[i].type))
      return kinds[i].add (m, list, error);
  return type ? vm_fail (error, "Parameter 'type' does not accept value '%s'", type)
              : vm_fail (error, "Parameter 'type' is missing");
}

/* --- the whole --- */

/* Nothing was said: the processors of a socket stay together. */
static void
complete_cpus (VmMachine *m)
{
  VmNuma *numa = m->numa;
  g_autoptr (GString) missing = g_string_new (NULL);
  bool any = false;

  for (unsigned i = 0; i < numa->n_cpus; i++)
    any |= numa->cpu_node[i] >= 0;
  for (unsigned i = 0; i < numa->n_cpus; i++)
    {
      if (numa->cpu_node[i] >= 0)
        continue;
      if (any)
        {
          g_string_append (missing, missing->len ? ", " : "");
          describe_cpu (&m->settings->smp, i, missing);
          continue;
        }
      unsigned node = socket_of (&m->settings->smp, i) % numa->n;
      numa->cpu_node[i] = (int16_t) node;
      numa->nodes[node].has_cpu = true;
    }
  if (!missing->len)
    return;
  vm_report_warning ("CPU(s) not present in any NUMA nodes: %s", missing->str);
  vm_report_warning ("All CPU(s) up to maxcpus should be described in NUMA config, ability to start up with partial "
                     "NUMA mappings is obsoleted and will be removed in future");
}

static bool
check_initiators (const VmNuma *numa, GError **error)
{
  for (unsigned i = 0; i < numa->n; i++)
    {
      int initiator = numa->nodes[i].initiator;
      if (initiator < 0)
        continue;
      if (numa->nodes[i].has_cpu && initiator != (int) i)
        return vm_fail (error, "The initiator of CPU NUMA node %u should be itself (got %d)", i, initiator);
      if (initiator >= VM_NUMA_NODES || !numa->nodes[initiator].present)
        return vm_fail (error, "NUMA node %d is missing, use '-numa node' option to declare it first", initiator);
      if (!numa->nodes[initiator].has_cpu)
        return vm_fail (error, "The initiator of NUMA node %u is invalid", i);
    }
  return true;
}

static bool
complete_distances (VmNuma *numa, GError **error)
{
  bool asymmetric = false, one_way = false;

  for (unsigned i = 0; i < numa->n; i++)
    for (unsigned k = i + 1; k < numa->n; k++)
      {
        uint8_t there = numa->nodes[i].distance[k], back = numa->nodes[k].distance[i];
        if (!there && !back)
          return vm_fail (error,
                          "The distance between node %u and %u is missing, at least one distance value between each "
                          "nodes should be provided.",
                          i, k);
        one_way |= !there || !back;
        asymmetric |= there && back && there != back;
      }
  if (asymmetric && one_way)
    return vm_fail (error, "At least one asymmetrical pair of distances is given, please provide distances for both "
                           "directions of all node pairs.");
  for (unsigned i = 0; i < numa->n; i++)
    for (unsigned k = 0; k < numa->n; k++)
      if (!numa->nodes[i].distance[k])
        numa->nodes[i].distance[k] = i == k ? 10 : numa->nodes[k].distance[i];
  return true;
}

static bool
check_memory (VmMachine *m, GError **error)
{
  VmNuma *numa = m->numa;
  uint64_t total = 0;

  for (unsigned i = 0; i < numa->n; i++)
    total += numa->nodes[i].mem;
  if (total != m->ram_size)
    return vm_fail (error,
                    "total memory for NUMA nodes (0x%" G_GINT64_MODIFIER "x) should equal RAM size (0x%" G_GINT64_MODIFIER
                    "x)",
                    total, m->ram_size);
  for (unsigned i = 0; i < numa->n; i++)
    if (numa->nodes[i].memdev && !vm_memory_backend_claim (m, numa->nodes[i].memdev->parent.id, error))
      return false;
  return true;
}

bool
vm_numa_complete (VmMachine *m, GError **error)
{
  VmNuma *numa = m->numa;

  for (unsigned i = 0; i < VM_NUMA_NODES && numa->n; i++)
    if (i < numa->n && !numa->nodes[i].present)
      return vm_fail (error, "numa: Node ID missing: %u", i);
  if (!numa->n)
    return true;
  complete_cpus (m);
  for (unsigned i = 0; i < numa->n && m->hmat; i++)
    if (numa->nodes[i].has_cpu && numa->nodes[i].initiator < 0)
      numa->nodes[i].initiator = (int) i;
  if (!check_initiators (numa, error) || (numa->have_distances && !complete_distances (numa, error)))
    return false;
  if (m->memory_backend && numa->nodes[0].memdev)
    return vm_fail (error, "'-machine memory-backend' and '-numa memdev' properties are mutually exclusive");
  return check_memory (m, error);
}

unsigned
vm_numa_cpu_node (const VmNuma *numa, unsigned index)
{
  return vm_numa_cpu_is_assigned (numa, index) ? (unsigned) numa->cpu_node[index] : 0;
}

bool
vm_numa_cpu_is_assigned (const VmNuma *numa, unsigned index)
{
  return numa->n && index < numa->n_cpus && numa->cpu_node[index] >= 0;
}

char *
vm_numa_describe (VmMachine *m)
{
  const VmNuma *numa = m->numa;
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "%u nodes\n", numa->n);
  for (unsigned i = 0; i < numa->n; i++)
    {
      g_string_append_printf (out, "node %u cpus:", i);
      for (unsigned k = 0; k < vm_vcpu_set_count (m->vcpus); k++)
        if (vm_numa_cpu_node (numa, vm_vcpu_set_get (m->vcpus, k)->index) == i)
          g_string_append_printf (out, " %u", vm_vcpu_set_get (m->vcpus, k)->index);
      uint64_t plugged = m->plugged_memory ? m->plugged_memory (m, (int) i) : 0;
      g_string_append_printf (out, "\nnode %u size: %" G_GUINT64_FORMAT " MB\n", i,
                              (numa->nodes[i].mem + plugged) / VM_MIB);
      g_string_append_printf (out, "node %u plugged: %" G_GUINT64_FORMAT " MB\n", i, plugged / VM_MIB);
    }
  return g_string_free (out, FALSE);
}
