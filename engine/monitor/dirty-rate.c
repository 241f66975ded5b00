/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How fast the guest changes its memory: some pages, chosen by chance, are looked at twice; or all, by the log of what
 * is written. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

#define SAMPLES_DEFAULT 512 /* pages of a GiB */
#define SMALL_BLOCK (128 * VM_MIB)

typedef struct Sample
{
  VmRamBlock *block;
  uint64_t page;
  uint64_t hash;
} Sample;

typedef struct VmDirtyRate
{
  VmMachine *machine;
  VmTimer timer;
  VmqDirtyRateInfo info;
  GPtrArray *blocks; /* VmRamBlock *, references; the samples' */
  GArray *samples;
} VmDirtyRate;

static uint64_t
page_hash (const Sample *s)
{
  const uint64_t *word = (const uint64_t *) (const void *) (s->block->host + (s->page << VM_PAGE_SHIFT));
  uint64_t hash = UINT64_C (0xcbf29ce484222325);

  for (unsigned i = 0; i < VM_PAGE_SIZE / sizeof *word; i++)
    {
      hash = (hash ^ __atomic_load_n (&word[i], __ATOMIC_RELAXED)) * UINT64_C (0x100000001b3);
      hash ^= hash >> 29;
    }
  return hash;
}

static void
take_samples (VmDirtyRate *d)
{
  d->blocks = vm_memory_ram_blocks (d->machine->env.memory);
  d->samples = g_array_new (FALSE, FALSE, sizeof (Sample));
  for (guint i = 0; i < d->blocks->len; i++)
    {
      VmRamBlock *block = g_ptr_array_index (d->blocks, i);
      uint64_t pages = block->size >> VM_PAGE_SHIFT;
      uint64_t n = vm_muldiv64 (block->size, (uint64_t) d->info.sample_pages, UINT64_C (1) << 30);

      if (block->size < SMALL_BLOCK && d->blocks->len > 1 && block != d->machine->ram->ram)
        continue; /* firmware and frame buffers say little of the whole */
      for (uint64_t k = 0; k < MAX (n, 1); k++)
        {
          Sample s = { block, ((uint64_t) g_random_int () << 32 | g_random_int ()) % pages, 0 };
          s.hash = page_hash (&s);
          g_array_append_val (d->samples, s);
        }
    }
}

/* MiB that changed, of all that the samples stand for. */
static uint64_t
compare_samples (VmDirtyRate *d)
{
  uint64_t changed = 0, total = 0;

  for (guint i = 0; i < d->samples->len; i++)
    {
      const Sample *s = &g_array_index (d->samples, Sample, i);
      changed += page_hash (s) != s->hash;
      if (!i || s->block != g_array_index (d->samples, Sample, i - 1).block)
        total += s->block->size;
    }
  return d->samples->len ? vm_muldiv64 (total / VM_MIB, changed, d->samples->len) : 0;
}

static uint64_t
count_logged (VmDirtyRate *d)
{
  VmRegion *ram = d->machine->ram;
  size_t words = (size_t) (ram->size >> VM_PAGE_SHIFT) / (8 * sizeof (unsigned long)) + 1;
  g_autofree unsigned long *bitmap = g_new0 (unsigned long, words);
  uint64_t pages = 0;

  vm_region_sync_dirty (ram);
  vm_region_take_dirty (ram, VM_DIRTY_MIGRATION, 0, ram->size, bitmap);
  for (size_t i = 0; i < words; i++)
    pages += (unsigned) __builtin_popcountl (bitmap[i]);
  return pages >> (20 - VM_PAGE_SHIFT);
}

static void
drop_samples (VmDirtyRate *d)
{
  g_clear_pointer (&d->samples, g_array_unref);
  g_clear_pointer (&d->blocks, g_ptr_array_unref);
}

static void
measured (void *opaque)
{
  VmDirtyRate *d = opaque;
  uint64_t mib;

  if (d->samples)
    mib = compare_samples (d);
  else
    {
      mib = count_logged (d);
      vm_region_set_dirty_log (d->machine->ram, VM_DIRTY_MIGRATION, false);
    }
  drop_samples (d);
  d->info.has_dirty_rate = true;
  d->info.dirty_rate = (int64_t) mib / d->info.calc_time;
  d->info.status = VMQ_DIRTY_RATE_STATUS_MEASURED;
}

static VmDirtyRate *
dirty_rate_of (VmMonitor *mon)
{
  VmMonitors *all = mon->all;

  if (!all->dirty_rate)
    {
      all->dirty_rate = g_new0 (VmDirtyRate, 1);
      all->dirty_rate->machine = all->machine;
      vm_timer_init (&all->dirty_rate->timer, all->machine->env.clocks, VM_CLOCK_REALTIME, measured, all->dirty_rate);
    }
  return all->dirty_rate;
}

void
vm_dirty_rate_free (VmMonitors *all)
{
  if (!all->dirty_rate)
    return;
  vm_timer_cancel (&all->dirty_rate->timer);
  drop_samples (all->dirty_rate);
  g_clear_pointer (&all->dirty_rate, g_free);
}

static bool
check (VmMonitor *mon, const VmqCalcDirtyRateArg *args, VmqDirtyRateMeasureMode mode, GError **error)
{
  const VmRegion *ram = mon->machine->ram;

  if (args->calc_time < 1 || args->calc_time > 60)
    return vm_fail (error, "calc-time is out of range[1, 60].");
  if (args->has_sample_pages && mode != VMQ_DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING)
    return vm_fail (error, "sample-pages is used only in page-sampling mode");
  if (args->has_sample_pages && (args->sample_pages < 128 || args->sample_pages > 4096))
    return vm_fail (error, "sample-pages is out of range[128, 4096].");
  if (mode == VMQ_DIRTY_RATE_MEASURE_MODE_DIRTY_RING)
    return vm_fail (error, "mode dirty-ring is not available: KVM's dirty ring is not in use");
  if (!ram || (mode == VMQ_DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP && ram->kind != VM_REGION_RAM))
    return vm_fail (error, "mode %s is not available for this machine's memory",
                    vmq_type_dirtyratemeasuremode.names[mode]);
  return true;
}

bool
vm_qmp_calc_dirty_rate (VmMonitor *mon, const VmqCalcDirtyRateArg *args, GError **error)
{
  VmqDirtyRateMeasureMode mode = args->has_mode ? args->mode : VMQ_DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING;
  VmDirtyRate *d = dirty_rate_of (mon);

  if (d->info.status == VMQ_DIRTY_RATE_STATUS_MEASURING)
    return vm_fail (error, "the dirty rate is already being measured");
  if (!check (mon, args, mode, error))
    return false;
  d->info
      = (VmqDirtyRateInfo){ .status = VMQ_DIRTY_RATE_STATUS_MEASURING,
                            .start_time = vm_clock_now (mon->machine->env.clocks, VM_CLOCK_REALTIME) / VM_NS_PER_SEC,
                            .calc_time = args->calc_time,
                            .sample_pages = args->has_sample_pages ? args->sample_pages : SAMPLES_DEFAULT,
                            .mode = mode };
  if (mode == VMQ_DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING)
    take_samples (d);
  else
    {
      vm_region_set_dirty_log (mon->machine->ram, VM_DIRTY_MIGRATION, true);
      count_logged (d); /* what was written before */
    }
  vm_timer_set (&d->timer,
                vm_clock_now (mon->machine->env.clocks, VM_CLOCK_REALTIME) + args->calc_time * VM_NS_PER_SEC);
  return true;
}

VmqDirtyRateInfo *
vm_qmp_query_dirty_rate (VmMonitor *mon, GError **error)
{
  VmqDirtyRateInfo *info = g_new (VmqDirtyRateInfo, 1);

  *info = dirty_rate_of (mon)->info;
  return info;
}
