/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Histograms of how long requests take. */
#include "block/latency.h"

#define MAX_BOUNDS 1024

bool
vm_histogram_set (VmHistogram *h, const GArray *bounds, GError **error)
{
  int64_t before = 0;

  if (bounds && (!bounds->len || bounds->len > MAX_BOUNDS))
    return vm_fail (error, "A histogram has from 1 to %d boundaries", MAX_BOUNDS);
  for (guint i = 0; bounds && i < bounds->len; i++)
    {
      int64_t bound = g_array_index (bounds, int64_t, i);
      if (bound <= before)
        return vm_fail (error, "Boundaries of a histogram ascend from above 0");
      before = bound;
    }
  g_clear_pointer (&h->bounds, g_array_unref);
  g_clear_pointer (&h->bins, g_free);
  if (!bounds)
    return true;
  h->bounds = g_array_sized_new (FALSE, FALSE, sizeof (int64_t), bounds->len);
  g_array_append_vals (h->bounds, bounds->data, bounds->len);
  h->bins = g_new0 (uint64_t, bounds->len + 1);
  return true;
}

void
vm_histogram_add (VmHistogram *h, uint64_t ns)
{
  guint bin = 0;

  if (!h->bounds)
    return;
  while (bin < h->bounds->len && ns >= (uint64_t) g_array_index (h->bounds, int64_t, bin))
    bin++;
  h->bins[bin]++;
}

VmqBlockLatencyHistogramInfo *
vm_histogram_describe (const VmHistogram *h)
{
  VmqBlockLatencyHistogramInfo *info;

  if (!h->bounds)
    return NULL;
  info = g_new0 (VmqBlockLatencyHistogramInfo, 1);
  info->boundaries = g_array_new (FALSE, FALSE, sizeof (int64_t));
  info->bins = g_array_new (FALSE, FALSE, sizeof (int64_t));
  g_array_append_vals (info->boundaries, h->bounds->data, h->bounds->len);
  for (guint i = 0; i <= h->bounds->len; i++)
    {
      int64_t n = (int64_t) h->bins[i];
      g_array_append_val (info->bins, n);
    }
  return info;
}

/* --- of late ----------------------------------------------------------------------------------------------------- */

enum
{
  SLOTS = 8 /* the interval moves on by one of them at a time */
};
#define TIMED_KINDS (VM_BLOCK_FLUSH + 1)

typedef struct Slot
{
  int64_t number; /* of this many slots since the clock began */
  struct
  {
    uint64_t n, sum, min, max;
  } of[TIMED_KINDS];
} Slot;

struct VmTimedStats
{
  uint32_t seconds;
  int64_t begun_us;
  Slot slots[SLOTS];
};

static int64_t
slot_us (const VmTimedStats *s)
{
  return s->seconds * INT64_C (1000000) / SLOTS;
}

GPtrArray *
vm_timed_stats_list (const GArray *seconds)
{
  GPtrArray *list = seconds && seconds->len ? g_ptr_array_new_with_free_func (g_free) : NULL;

  for (guint i = 0; list && i < seconds->len; i++)
    {
      VmTimedStats *s = g_new0 (VmTimedStats, 1);
      s->seconds = g_array_index (seconds, uint32_t, i);
      s->begun_us = g_get_monotonic_time ();
      g_ptr_array_add (list, s);
    }
  return list;
}

void
vm_drive_account_time (VmDrive *drive, VmBlockRequestKind kind, uint64_t ns, int64_t now_us)
{
  for (guint i = 0; drive->timed && kind < TIMED_KINDS && i < drive->timed->len; i++)
    {
      VmTimedStats *s = g_ptr_array_index (drive->timed, i);
      int64_t number = now_us / slot_us (s);
      Slot *slot = &s->slots[number % SLOTS];
      if (slot->number != number)
        *slot = (Slot){ .number = number };
      slot->of[kind].min = slot->of[kind].n ? MIN (slot->of[kind].min, ns) : ns;
      slot->of[kind].max = MAX (slot->of[kind].max, ns);
      slot->of[kind].sum += ns;
      slot->of[kind].n++;
    }
}

VmqBlockDeviceTimedStats *
vm_timed_stats_describe (const VmTimedStats *s, int64_t now_us)
{
  VmqBlockDeviceTimedStats *out = g_new0 (VmqBlockDeviceTimedStats, 1);
  int64_t *const fields[TIMED_KINDS][3]
      = { { &out->min_rd_latency_ns, &out->max_rd_latency_ns, &out->avg_rd_latency_ns },
          { &out->min_wr_latency_ns, &out->max_wr_latency_ns, &out->avg_wr_latency_ns },
          { &out->min_flush_latency_ns, &out->max_flush_latency_ns, &out->avg_flush_latency_ns } };
  double *const depths[] = { &out->avg_rd_queue_depth, &out->avg_wr_queue_depth };
  int64_t last = now_us / slot_us (s), first = last - SLOTS + 1;
  double window_ns = (double) (now_us - MAX (s->begun_us, first * slot_us (s))) * 1000;

  out->interval_length = s->seconds;
  for (unsigned kind = 0; kind < TIMED_KINDS; kind++)
    {
      uint64_t n = 0, sum = 0, min = UINT64_MAX, max = 0;
      for (unsigned i = 0; i < SLOTS; i++)
        if (s->slots[i].number >= first && s->slots[i].of[kind].n)
          {
            n += s->slots[i].of[kind].n;
            sum += s->slots[i].of[kind].sum;
            min = MIN (min, s->slots[i].of[kind].min);
            max = MAX (max, s->slots[i].of[kind].max);
          }
      if (!n)
        continue;
      *fields[kind][0] = (int64_t) min;
      *fields[kind][1] = (int64_t) max;
      *fields[kind][2] = (int64_t) (sum / n);
      /* So many were under way at once, on average. */
      if (kind < G_N_ELEMENTS (depths) && window_ns > 0)
        *depths[kind] = (double) sum / window_ns;
    }
  return out;
}
