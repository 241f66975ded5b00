/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bench: see rig.h. */
#include "tests/devices/rig.h"

static Rig *bench; /* requests carry the machine, and here is none */

static void
on_reset (void *machine, VmResetKind kind)
{
  bench->resets++;
}

static void
on_shutdown (void *machine)
{
  bench->shutdowns++;
}

static void
on_suspend (void *machine)
{
  bench->suspends++;
}

static void
on_wakeup (void *machine)
{
  bench->wakeups++;
}

static void
probe_set (void *opaque, int n, int level)
{
  Probe *probe = opaque;

  if (level && !probe->level)
    probe->rises++;
  if (!level && probe->level)
    probe->falls++;
  probe->level = level != 0;
}

VmIrq
probe_irq (Probe *probe)
{
  return (VmIrq) { .func = probe_set, .opaque = probe };
}

void
rig_init (Rig *rig, uint64_t ram_size)
{
  VmEnv *env = &rig->env;

  memset (rig, 0, sizeof *rig);
  bench = rig;
  rig->lock = vm_lock_new ();
  rig->locked = vm_lock_enter (rig->lock);
  env->loop = vm_loop_new ("test", rig->lock);
  env->clocks = vm_clocks_new (env->loop);
  vm_clocks_set_manual (env->clocks, true);
  env->memory = vm_memory_new (rig->lock);
  env->root = vm_object_new (&vm_container_type);
  vm_region_init (&rig->system_memory, env->memory, "system", 0);
  vm_region_init (&rig->system_io, env->memory, "io", 0x10000);
  vm_address_space_init (&rig->memory_as, env->memory, &rig->system_memory, "memory");
  vm_address_space_init (&rig->io_as, env->memory, &rig->system_io, "I/O");
  env->system_memory = &rig->system_memory;
  env->system_io = &rig->system_io;
  env->memory_as = &rig->memory_as;
  env->io_as = &rig->io_as;
  env->request_reset = on_reset;
  env->request_shutdown = on_shutdown;
  env->request_suspend = on_suspend;
  env->request_wakeup = on_wakeup;
  if (ram_size == 0)
    return;
  g_assert_true (vm_region_init_ram (&rig->ram, env->memory, "ram", ram_size, NULL));
  vm_region_add (&rig->system_memory, 0, &rig->ram);
}

void
rig_clear (Rig *rig)
{
  if (rig->ram.memory)
    vm_region_destroy (&rig->ram);
  vm_address_space_destroy (&rig->memory_as);
  vm_address_space_destroy (&rig->io_as);
  vm_region_destroy (&rig->system_memory);
  vm_region_destroy (&rig->system_io);
  vm_object_unref (rig->env.root);
  vm_memory_free (rig->env.memory);
  vm_clocks_free (rig->env.clocks);
  vm_lock_leave (rig->lock, rig->locked);
  vm_loop_free (rig->env.loop);
  vm_lock_free (rig->lock);
}

int64_t
rig_now (Rig *rig)
{
  return vm_clock_now (rig->env.clocks, VM_CLOCK_VIRTUAL);
}

void
rig_advance (Rig *rig, int64_t ns)
{
  vm_clocks_advance_to (rig->env.clocks, rig_now (rig) + ns);
}

void
rig_add (Rig *rig, void *dev, VmBus *bus)
{
  g_autoptr (GError) error = NULL;
  bool ok = vm_device_realize (dev, &rig->env, bus, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
  vm_device_reset (dev, VM_RESET_COLD);
  vm_object_unref (dev);
}

void
rig_remove (void *dev)
{
  vm_device_unrealize (dev);
}

uint32_t
rig_in (Rig *rig, uint16_t port, unsigned size)
{
  return (uint32_t) vm_as_load (&rig->io_as, port, size, VM_MEM_ATTRS_NONE, NULL);
}

void
rig_out (Rig *rig, uint16_t port, uint32_t value, unsigned size)
{
  vm_as_store (&rig->io_as, port, value, size, VM_MEM_ATTRS_NONE);
}

uint64_t
rig_load (Rig *rig, uint64_t addr, unsigned size)
{
  return vm_as_load (&rig->memory_as, addr, size, VM_MEM_ATTRS_NONE, NULL);
}

void
rig_store (Rig *rig, uint64_t addr, uint64_t value, unsigned size)
{
  vm_as_store (&rig->memory_as, addr, value, size, VM_MEM_ATTRS_NONE);
}
