/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Leaky buckets: each request pours in what it moves, the limit leaks out, and who finds the bucket too full waits. */
#include "block/throttle.h"

#include "block/graph-private.h"

#define NS_PER_S 1e9

typedef struct Bucket
{
  double level;       /* of what leaks at the average rate */
  double burst_level; /* of what leaks at the rate of bursts */
} Bucket;

struct VmThrottleGroup
{
  VmBlockGraph *graph;
  unsigned refs;
  char *name;
  VmThrottleConfig config;
  Bucket buckets[VM_THROTTLE_BUCKET_N];
  int64_t leaked_ns; /* when that was last done */
  GQueue lines[2];   /* Waiter *: of reads and writes; the first waits for the buckets, the others in line */
};

struct VmThrottleMember
{
  VmThrottleGroup *group;
  unsigned drained;
};

typedef struct Waiter
{
  GList link; /* data is this */
  VmThrottleMember *member;
  VmFiberQueue wake;
} Waiter;

const char *const vm_throttle_names[VM_THROTTLE_BUCKET_N + 1]
    = { "bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write", NULL };

/* --- what is allowed ------------------------------------------------------------------------------------ */

void
vm_throttle_config_init (VmThrottleConfig *config)
{
  *config = (VmThrottleConfig){ 0 };
  for (unsigned i = 0; i < VM_THROTTLE_BUCKET_N; i++)
    config->limits[i].burst_length = 1;
}

bool
vm_throttle_config_is_set (const VmThrottleConfig *config)
{
  for (unsigned i = 0; i < VM_THROTTLE_BUCKET_N; i++)
    if (config->limits[i].avg)
      return true;
  return false;
}

static bool
are_mixed (const VmThrottleConfig *config, unsigned total, bool max)
{
  const VmThrottleLimit *l = config->limits + total;

  return max ? l[0].max && (l[1].max || l[2].max) : l[0].avg && (l[1].avg || l[2].avg);
}

bool
vm_throttle_config_check (const VmThrottleConfig *config, GError **error)
{
  if (are_mixed (config, VM_THROTTLE_BPS_TOTAL, false) || are_mixed (config, VM_THROTTLE_OPS_TOTAL, false)
      || are_mixed (config, VM_THROTTLE_BPS_TOTAL, true) || are_mixed (config, VM_THROTTLE_OPS_TOTAL, true))
    return vm_fail (error, "bps/iops/max total values and read/write values cannot be used at the same time");
  if (config->op_size && !config->limits[VM_THROTTLE_OPS_TOTAL].avg && !config->limits[VM_THROTTLE_OPS_READ].avg
      && !config->limits[VM_THROTTLE_OPS_WRITE].avg)
    return vm_fail (error, "iops size requires an iops value to be set");
  for (unsigned i = 0; i < VM_THROTTLE_BUCKET_N; i++)
    {
      const VmThrottleLimit *l = &config->limits[i];
      if (l->avg > UINT64_C (1000000000000000) || l->max > UINT64_C (1000000000000000))
        return vm_fail (error, "bps/iops/max values must be within [0, 1000000000000000]");
      if (!l->burst_length)
        return vm_fail (error, "the burst length cannot be 0");
      if (l->burst_length > 1 && !l->max)
        return vm_fail (error, "burst length set without burst rate");
      if (l->max && l->burst_length > UINT64_C (1000000000000000) / l->max)
        return vm_fail (error, "burst length too high for this burst rate");
      if (l->max && !l->avg)
        return vm_fail (error, "bps_max/iops_max require corresponding bps/iops values");
      if (l->max && l->max < l->avg)
        return vm_fail (error, "bps_max/iops_max cannot be lower than bps/iops");
    }
  return true;
}

/* --- groups ------------------------------------------------------------------------------------------------- */

VmThrottleGroup *
vm_throttle_group_find (VmBlockGraph *graph, const char *name)
{
  for (GList *l = graph->throttle_groups.head; l; l = l->next)
    if (!strcmp (((VmThrottleGroup *) l->data)->name, name))
      return l->data;
  return NULL;
}

VmThrottleGroup *
vm_throttle_group_get (VmBlockGraph *graph, const char *name)
{
  VmThrottleGroup *group = vm_throttle_group_find (graph, name);

  if (!group)
    {
      group = g_new0 (VmThrottleGroup, 1);
      group->graph = graph;
      group->name = g_strdup (name);
      vm_throttle_config_init (&group->config);
      g_queue_push_tail (&graph->throttle_groups, group);
    }
  group->refs++;
  return group;
}

void
vm_throttle_group_unref (VmThrottleGroup *group)
{
  if (--group->refs)
    return;
  g_queue_remove (&group->graph->throttle_groups, group);
  g_free (group->name);
  g_free (group);
}

void
vm_throttle_group_configure (VmThrottleGroup *group, const VmThrottleConfig *config)
{
  group->config = *config;
  memset (group->buckets, 0, sizeof group->buckets);
}

const VmThrottleConfig *
vm_throttle_group_config (const VmThrottleGroup *group)
{
  return &group->config;
}

const char *
vm_throttle_group_name (const VmThrottleGroup *group)
{
  return group->name;
}

VmThrottleMember *
vm_throttle_member_new (VmThrottleGroup *group)
{
  VmThrottleMember *member = g_new0 (VmThrottleMember, 1);

  member->group = group;
  group->refs++;
  return member;
}

void
vm_throttle_member_free (VmThrottleMember *member)
{
  vm_throttle_group_unref (member->group);
  g_free (member);
}

VmThrottleGroup *
vm_throttle_member_group (const VmThrottleMember *member)
{
  return member->group;
}

/* --- buckets ---------------------------------------------------------------------------------------------------- */

static void
leak (VmThrottleGroup *group)
{
  int64_t now = g_get_monotonic_time () * 1000;
  double seconds = (double) (now - group->leaked_ns) / NS_PER_S;

  group->leaked_ns = now;
  for (unsigned i = 0; i < VM_THROTTLE_BUCKET_N; i++)
    {
      const VmThrottleLimit *l = &group->config.limits[i];
      Bucket *b = &group->buckets[i];
      b->level = MAX (b->level - (double) l->avg * seconds, 0);
      b->burst_level = MAX (b->burst_level - (double) l->max * seconds, 0);
    }
}

/* Nanoseconds until the bucket has room again. Without bursts it holds what runs in a tenth of a second. */
static double
wait_of (const VmThrottleLimit *l, const Bucket *b)
{
  double size = l->max ? (double) l->max * (double) l->burst_length : (double) l->avg / 10, wait = 0;

  if (!l->avg)
    return 0;
  if (b->level > size)
    wait = (b->level - size) / (double) l->avg;
  if (l->max && b->burst_level > (double) l->max / 10)
    wait = MAX (wait, (b->burst_level - (double) l->max / 10) / (double) l->max);
  return wait * NS_PER_S;
}

static const VmThrottleBucketKind kinds_of[2][4] = {
  { VM_THROTTLE_BPS_TOTAL, VM_THROTTLE_BPS_READ, VM_THROTTLE_OPS_TOTAL, VM_THROTTLE_OPS_READ },
  { VM_THROTTLE_BPS_TOTAL, VM_THROTTLE_BPS_WRITE, VM_THROTTLE_OPS_TOTAL, VM_THROTTLE_OPS_WRITE },
};

static int64_t
longest_wait (VmThrottleGroup *group, bool write)
{
  double wait = 0;

  leak (group);
  for (unsigned i = 0; i < 4; i++)
    {
      VmThrottleBucketKind kind = kinds_of[write][i];
      wait = MAX (wait, wait_of (&group->config.limits[kind], &group->buckets[kind]));
    }
  return (int64_t) MIN (wait, 1e18);
}

static void
pour (VmThrottleGroup *group, bool write, uint64_t len)
{
  uint64_t op_size = group->config.op_size;
  double operations = op_size && len > op_size ? (double) len / (double) op_size : 1;

  for (unsigned i = 0; i < 4; i++)
    {
      Bucket *b = &group->buckets[kinds_of[write][i]];
      double units = i < 2 ? (double) len : operations;
      b->level += units;
      b->burst_level += units;
    }
}

static void
waiter_rings (void *opaque)
{
  vm_fiber_queue_wake_all (&((Waiter *) opaque)->wake);
}

static void
wake_first (const VmThrottleGroup *group, bool write)
{
  if (group->lines[write].head)
    waiter_rings (group->lines[write].head->data);
}

void
vm_throttle_member_drain (VmThrottleMember *member, bool begin)
{
  if (!begin)
    {
      member->drained--;
      return;
    }
  member->drained++;
  for (unsigned i = 0; i < 2; i++)
    for (GList *l = member->group->lines[i].head; l; l = l->next)
      if (((Waiter *) l->data)->member == member)
        waiter_rings (l->data);
}

void
vm_throttle_wait (VmThrottleMember *member, bool write, uint64_t len)
{
  VmThrottleGroup *group = member->group;
  GQueue *line = &group->lines[write];
  Waiter self = { .link.data = &self, .member = member };
  VmWakeup *wakeup = NULL;
  int64_t wait;

  if (!vm_throttle_config_is_set (&group->config))
    return;
  g_queue_push_tail_link (line, &self.link);
  while (!member->drained)
    {
      if (line->head == &self.link)
        {
          if ((wait = longest_wait (group, write)) <= 0)
            break;
          if (!wakeup)
            wakeup = vm_wakeup_new (vm_graph_loop (group->graph), waiter_rings, &self);
          /* Limits may change meanwhile: no sleep is longer than a second. */
          vm_wakeup_arm (wakeup, g_get_monotonic_time () * 1000 + MIN (wait, (int64_t) NS_PER_S));
        }
      vm_fiber_queue_wait (&self.wake);
    }
  if (wakeup)
    vm_wakeup_free (wakeup);
  g_queue_unlink (line, &self.link);
  pour (group, write, len);
  wake_first (group, write);
}
