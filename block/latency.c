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
