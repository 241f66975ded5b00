/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine object: what it is made of, and the order in which start-up makes it. */
#include "engine/machine/machine-private.h"
#include "engine/machine/numa.h"
#include "engine/machine/user-object.h"

#include "engine/base/log.h"
#include "engine/char/text.h"
#include "engine/display/display.h"
#include "engine/input/input.h"
#include "engine/options/documented.h"

#include <errno.h>
#include <sys/mman.h>

const char *const vm_run_state_names[VM_RUN_N + 1] = {
  "debug",     "inmigrate",      "internal-error", "io-error", "paused",  "postmigrate",
  "prelaunch", "finish-migrate", "restore-vm",     "running",  "save-vm", "shutdown",
  "suspended", "watchdog",       "guest-panicked", "colo",     NULL,
};
const char *const vm_shutdown_cause_names[VM_CAUSE_N + 1] = {
  "none",           "host-error",  "host-qmp-quit", "host-qmp-system-reset", "host-signal",   "host-ui",
  "guest-shutdown", "guest-reset", "guest-panic",   "subsystem-reset",       "snapshot-load", NULL,
};

static const VmProp machine_props[]
    = { VM_PROP ("dump-guest-core", VmMachine, dump_guest_core, true, "guest RAM is part of core dumps of the host"),
        VM_PROP ("mem-merge", VmMachine, mem_merge, true, "the host may merge equal pages of guest RAM"),
        VM_PROP ("hmat", VmMachine, hmat, false, "Enable the ACPI heterogeneous memory attribute table"),
        VM_PROP_STRING ("memory-backend", VmMachine, memory_backend, NULL, "id of the memory object that is main RAM"),
        { 0 } };

const VmBoard *
vm_board_find (const VmBoard *const *boards, const char *name)
{
  for (; *boards; boards++)
    if (name ? !strcmp ((*boards)->name, name) || !g_strcmp0 ((*boards)->alias, name) : (*boards)->is_default)
      return *boards;
  return NULL;
}

static void
watch_free (gpointer data)
{
  g_free (data);
}

static void
boot_device_free (gpointer data)
{
  g_free (((VmBootDevice *) data)->suffix);
  g_free (data);
}

static void
mon_spec_free (gpointer data)
{
  VmMonSpec *spec = data;

  g_free (spec->chardev);
  g_free (spec->option);
  g_free (spec);
}

static VmMachinePrivate *
private_new (const VmSettings *settings)
{
  VmMachinePrivate *priv = g_new0 (VmMachinePrivate, 1);

  priv->watches = g_ptr_array_new_with_free_func (watch_free);
  priv->boot_devices = g_ptr_array_new_with_free_func (boot_device_free);
  priv->globals_bad = g_ptr_array_new_with_free_func (g_free);
  priv->on_reboot = settings->on_reboot;
  priv->on_shutdown = settings->on_shutdown;
  priv->on_panic = settings->on_panic;
  priv->on_watchdog = settings->on_watchdog;
  return priv;
}

static VmObject *
new_folder (VmObject *parent, const char *id)
{
  VmObject *folder = vm_object_new (&vm_container_type);

  vm_object_add_child (parent, id, folder);
  vm_object_unref (folder); /* the tree keeps it */
  return folder;
}

/* The memory, clocks and tree that devices find in their env. */
static void
make_env (VmMachine *m)
{
  VmEnv *env = &m->env;

  m->lock = vm_lock_new ();
  env->loop = vm_loop_new ("engine", m->lock);
  env->clocks = vm_clocks_new (env->loop);
  env->memory = vm_memory_new (m->lock);
  vm_region_init (&m->system_memory, env->memory, "system", 0);
  vm_region_init (&m->system_io, env->memory, "io", 65536);
  vm_address_space_init (&m->memory_as, env->memory, &m->system_memory, "memory");
  vm_address_space_init (&m->io_as, env->memory, &m->system_io, "I/O");
  env->system_memory = &m->system_memory;
  env->system_io = &m->system_io;
  env->memory_as = &m->memory_as;
  env->io_as = &m->io_as;
  env->display = vm_display_new (env->loop, env->clocks);
  env->input = vm_input_new (env->loop);
  env->root = vm_object_new (&vm_container_type);
  env->machine = m;
  vm_machine_init_env (m);
  vm_machine_init_chars (m);
  m->chardevs = new_folder (env->root, "chardevs");
  m->objects = new_folder (env->root, "objects");
  vm_object_add_child (env->root, "machine", &m->parent);
  m->peripheral = new_folder (&m->parent, "peripheral");
  m->peripheral_anon = new_folder (&m->parent, "peripheral-anon");
  m->unattached = new_folder (&m->parent, "unattached");
}

static bool
set_machine_props (VmMachine *m, GError **error)
{
  const VmKeyVals *props = m->settings->machine_props;

  for (guint i = 0; i < props->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (props->pairs, i);
      if (!vm_type_find_prop (m->parent.type, pair->key, NULL))
        return !vm_documented_explain ("machine", pair->key, pair->value, error)
               && vm_fail (error, "Property '%s-machine.%s' not found", m->board->name, pair->key);
      if (!vm_object_set (&m->parent, pair->key, pair->value, error))
        return false;
    }
  return true;
}

VmMachine *
vm_machine_new (const VmBoard *board, const VmSettings *settings, const VmTypeList *types, const VmBoard *const *boards,
                GError **error)
{
  VmMachine *m = VM_MACHINE (vm_object_new (board->type));

  m->board = board;
  m->settings = settings;
  m->types = types;
  m->boards = boards;
  m->priv = private_new (settings);
  m->serials = g_ptr_array_new_with_free_func (g_free);
  m->nics = g_ptr_array_new_with_free_func (vm_nic_spec_free);
  m->parallels = g_ptr_array_new_with_free_func (g_free);
  m->debugcons = g_ptr_array_new_with_free_func (g_free);
  m->texts = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_text_unref);
  m->monitors = g_ptr_array_new_with_free_func (mon_spec_free);
  m->cpus_to_reset = g_ptr_array_new ();
  m->state = VM_RUN_PRELAUNCH;
  m->ram_size = settings->ram_size;
  m->numa = vm_numa_new ();
  bool taken;
  make_env (m);
  m->env.name_threads = settings->debug_threads;
  m->env.cpu_pm = settings->cpu_pm;
  taken = vm_lock_enter (m->lock);
  vm_machine_apply_defaults (m, &m->parent);
  bool ok = set_machine_props (m, error);
  vm_lock_leave (m->lock, taken);
  if (!ok)
    g_clear_pointer (&m, vm_machine_free);
  return m;
}

/* --- accelerators --- */

static void
on_triple_fault (void *opaque, VmVcpu *vcpu)
{
  vm_machine_request_reset (opaque, VM_CAUSE_GUEST_RESET);
}

static void
on_debug (void *opaque, VmVcpu *vcpu)
{
  vm_machine_stop (opaque, VM_RUN_DEBUG);
}

static void
on_failed (void *opaque, VmVcpu *vcpu)
{
  vm_machine_stop (opaque, VM_RUN_INTERNAL_ERROR);
}

static const VmVcpuSetEvents vcpu_events = { on_triple_fault, on_debug, on_failed };

/* Only the translator counts instructions, and only on one thread. */
static bool
check_icount (VmMachine *m, const VmAccelChoice *choices, size_t n, GError **error)
{
  const VmSettings *s = m->settings;

  if (!s->icount)
    return true;
  for (size_t i = 0; i < n; i++)
    {
      const char *thread = choices[i].props ? vm_keyvals_get (choices[i].props, "thread") : NULL;

      if (strcmp (choices[i].name, "tcg") != 0)
        return vm_fail (error, "-icount is not allowed with hardware virtualization");
      if (g_strcmp0 (thread, "multi") == 0)
        {
          g_autofree char *text = vm_keyvals_to_string (choices[i].props);
          return vm_fail (error, "-accel %s: No MTTCG when icount is enabled", text + strlen ("accel="));
        }
    }
  m->env.icount = (VmIcountOptions) { .enabled = true, .automatic = s->icount_auto, .align = s->icount_align,
                                      .sleep = s->icount_sleep, .shift = s->icount_auto ? 3 : s->icount_shift };
  return true;
}

bool
vm_machine_init_accel (VmMachine *m, const VmAccelOps *const *accels, GError **error)
{
  const GPtrArray *wanted = m->settings->accels;
  size_t n = MAX (wanted->len, 1);
  g_autofree VmAccelChoice *choices = g_new0 (VmAccelChoice, n);
  bool taken = vm_lock_enter (m->lock);

  m->accels = accels;
  choices[0].name = "tcg";
  for (guint i = 0; i < wanted->len; i++)
    {
      choices[i].props = g_ptr_array_index (wanted, i);
      choices[i].name = vm_keyvals_get (choices[i].props, "accel");
    }
  bool counts = check_icount (m, choices, n, error);
  m->accel = counts ? vm_accel_choose (accels, choices, n, &m->env, error) : NULL;
  if (!m->accel && counts && m->settings->accel_given && n == 1)
    {
      g_autofree char *text = vm_keyvals_to_string (choices[0].props);
      g_prefix_error (error, "-accel %s: ", text + strlen ("accel="));
    }
  if (m->accel)
    {
      vm_object_add_child (m->env.root, "accel", &m->accel->parent);
      m->vcpus = vm_vcpu_set_new (&m->env, m->accel);
      vm_vcpu_set_events (m->vcpus, &vcpu_events, m);
      if (m->env.cpu_pm && strcmp (m->accel->ops->name, "kvm") != 0)
        vm_report_warning ("-overcommit cpu-pm=on does nothing without KVM");
      if (!strcmp (m->accel->ops->name, "qtest"))
        vm_clocks_set_manual (m->env.clocks, true);
    }
  vm_lock_leave (m->lock, taken);
  return m->accel != NULL;
}

/* --- memory, board, devices --- */

void
vm_nic_spec_free (void *data)
{
  VmNicSpec *nic = data;

  g_free (nic->model);
  g_free (nic->netdev);
  g_free (nic->mac);
  g_free (nic->addr);
  g_free (nic->vectors);
  g_free (nic->name);
  g_free (nic->text);
  g_free (nic);
}

bool
vm_machine_create_backends (VmMachine *m, GError **error)
{
  bool taken = vm_lock_enter (m->lock);
  bool ok = vm_machine_create_objects (m, false, error) && vm_machine_create_chars (m, error)
            && (!m->open_networks || m->open_networks (m, error)) && (!m->open_sound || m->open_sound (m, error))
            && vm_machine_create_objects (m, true, error);

  vm_lock_leave (m->lock, taken);
  return ok;
}

static void
node_ram_free (gpointer data)
{
  vm_region_destroy (data);
  g_free (data);
}

/* Each node brings its memory: one after the other they are the machine's. */
static bool
make_node_ram (VmMachine *m, const char *name, GError **error)
{
  VmMachinePrivate *priv = m->priv;
  uint64_t at = 0;

  vm_region_init (&priv->ram, m->env.memory, name, m->ram_size);
  priv->node_ram = g_ptr_array_new_with_free_func (node_ram_free);
  for (unsigned i = 0; i < m->numa->n; i++)
    {
      const VmMemoryBackend *backend = m->numa->nodes[i].memdev;
      if (!backend)
        continue;
      VmRegion *part = g_new0 (VmRegion, 1);
      vm_region_init_ram_block (part, m->env.memory, backend->parent.id, backend->block);
      vm_region_set_readonly (part, vm_memory_backend_is_rom (backend));
      vm_region_add (&priv->ram, at, part);
      g_ptr_array_add (priv->node_ram, part);
      at += backend->size;
    }
  m->low_ram = g_ptr_array_index (priv->node_ram, 0);
  return m->low_ram->size >= VM_MIB
         || vm_fail (error, "the first NUMA node with memory needs at least 1 MiB of it");
}

static bool
make_backend_ram (VmMachine *m, const char *name, GError **error)
{
  VmMemoryBackend *backend = vm_memory_backend_claim (m, m->memory_backend, error);

  if (!backend)
    return false;
  if (m->settings->ram_size_given && backend->size != m->ram_size)
    return vm_fail (error, "Machine memory size does not match the size of the memory backend");
  m->ram_size = backend->size;
  vm_region_init_ram_block (&m->priv->ram, m->env.memory, name, backend->block);
  vm_region_set_readonly (&m->priv->ram, vm_memory_backend_is_rom (backend));
  return true;
}

static bool
has_node_ram (const VmMachine *m)
{
  for (unsigned i = 0; i < m->numa->n; i++)
    if (m->numa->nodes[i].memdev)
      return true;
  return false;
}

static bool
make_ram (VmMachine *m, GError **error)
{
  VmMachinePrivate *priv = m->priv;
  const char *name = m->board->default_ram_id ? m->board->default_ram_id : "ram";
  const VmSettings *s = m->settings;

  if (has_node_ram (m))
    return make_node_ram (m, name, error);
  if (m->memory_backend)
    return make_backend_ram (m, name, error);
  if (s->mem_path)
    {
      VmKeyVals *list = vm_keyvals_new ();
      g_autofree char *size = g_strdup_printf ("%" G_GUINT64_FORMAT, m->ram_size);
      vm_keyvals_add (list, "qom-type", "memory-backend-file");
      vm_keyvals_add (list, "id", name);
      vm_keyvals_add (list, "size", size);
      vm_keyvals_add (list, "mem-path", s->mem_path);
      vm_keyvals_add (list, "prealloc", s->mem_prealloc ? "on" : "off");
      VmDeviceSpec *spec = vm_device_spec_new (list, "qom-type", NULL);
      VmObject *obj = vm_machine_add_object (m, spec, error);
      vm_device_spec_free (spec);
      vm_keyvals_free (list);
      VmMemoryBackend *backend = obj ? vm_memory_backend_claim (m, name, error) : NULL;
      if (!backend)
        return false;
      vm_region_init_ram_block (&priv->ram, m->env.memory, name, backend->block);
    }
  else if (!vm_region_init_ram (&priv->ram, m->env.memory, name, m->ram_size, error))
    {
      g_prefix_error (error, "cannot set up guest memory '%s': ", name);
      return false;
    }
  return true;
}

bool
vm_machine_take_numa (VmMachine *m, GError **error)
{
  if (m->priv->numa_taken)
    return true;
  m->priv->numa_taken = true;
  for (guint i = 0; i < m->settings->numa->len; i++)
    {
      const VmNumaSpec *spec = g_ptr_array_index (m->settings->numa, i);
      if (vm_numa_add (m, spec->options, error))
        continue;
      g_prefix_error (error, "%s: ", spec->text);
      return false;
    }
  return true;
}

bool
vm_machine_create_ram (VmMachine *m, GError **error)
{
  if (!m->ram_size && !m->memory_backend)
    return true;
  bool taken = vm_lock_enter (m->lock);
  bool ok = vm_machine_take_numa (m, error) && vm_numa_complete (m, error);
  if (ok)
    {
      ok = make_ram (m, error);
      m->priv->ram_made = m->priv->ram.memory != NULL;
    }
  if (ok)
    m->ram = &m->priv->ram;
  if (ok && !m->low_ram)
    {
      void *host = vm_region_ram_ptr (&m->priv->ram);
      m->low_ram = m->ram;
      /* Wishes: a host that cannot fulfil them goes on without. */
      if (!m->dump_guest_core)
        (void) madvise (host, m->ram_size, MADV_DONTDUMP);
      if (m->mem_merge)
        (void) madvise (host, m->ram_size, MADV_MERGEABLE);
    }
  vm_lock_leave (m->lock, taken);
  return ok;
}

/* Something the user wanted on an interface that the board does not have. SCSI adapters come with -device. */
static bool
check_drives_taken (VmMachine *m, bool scsi, GError **error)
{
  for (guint i = 0; i < m->settings->drives->len; i++)
    {
      const VmDriveSpec *d = g_ptr_array_index (m->settings->drives, i);
      if (!d->claimed && !d->is_default && d->interface != VM_IF_NONE && (d->interface == VM_IF_SCSI) == scsi)
        return vm_fail (error, "%s: machine type does not support if=%s,bus=%d,unit=%d", d->text,
                        vm_drive_if_names[d->interface], d->bus, d->unit);
    }
  return true;
}

static bool
check_globals (VmMachine *m, GError **error)
{
  if (m->priv->globals_bad->len)
    return vm_fail (error, "%s", (char *) g_ptr_array_index (m->priv->globals_bad, 0));
  return true;
}

bool
vm_machine_init_board (VmMachine *m, GError **error)
{
  bool taken = vm_lock_enter (m->lock);

  vm_memory_begin (m->env.memory);
  bool ok = m->board->init (m, error);
  vm_memory_commit (m->env.memory);
  ok = ok && check_globals (m, error) && check_drives_taken (m, false, error);
  m->parent.frozen = true;
  vm_lock_leave (m->lock, taken);
  return ok;
}

/* A user creatable device may sit on a bus that a later one provides only if it names it; order is kept. */
static bool
plug_all (VmMachine *m, GError **error)
{
  for (guint i = 0; i < m->settings->devices->len; i++)
    {
      const VmDeviceSpec *spec = g_ptr_array_index (m->settings->devices, i);
      if (!vm_machine_plug (m, spec, error))
        {
          g_prefix_error (error, "%s: ", spec->text);
          return false;
        }
    }
  return check_globals (m, error) && check_drives_taken (m, true, error);
}

static void
warn_of_unused_globals (VmMachine *m)
{
  for (guint i = 0; i < m->settings->globals->len; i++)
    {
      const VmGlobal *g = g_ptr_array_index (m->settings->globals, i);
      if (g->used)
        continue;
      const VmType *type = vm_type_find (m->types, g->driver);
      const VmDeviceClass *klass = type && vm_type_is_a (type, &vm_device_type) ? vm_type_klass (type) : NULL;
      if (!type)
        vm_report_warning ("global %s.%s has invalid class name", g->driver, g->property);
      else if (!klass || !klass->user_creatable) /* others may still come */
        vm_report_warning ("global %s.%s=%s not used", g->driver, g->property, g->value);
    }
}

bool
vm_machine_create_devices (VmMachine *m, GError **error)
{
  bool taken = vm_lock_enter (m->lock);
  bool ok = plug_all (m, error);

  if (ok)
    {
      warn_of_unused_globals (m);
      vm_failover_warn (m);
      vm_machine_tell (m, VM_MACHINE_READY);
      ok = !m->ready_error;
      if (!ok)
        g_propagate_error (error, g_steal_pointer (&m->ready_error));
    }
  if (ok)
    {
      m->priv->devices_made = true;
      vm_machine_show_texts (m);
      vm_machine_reset_now (m, VM_RESET_COLD);
    }
  vm_lock_leave (m->lock, taken);
  return ok;
}

/* --- the end --- */

static bool
collect_device (VmDevice *dev, void *opaque)
{
  if (!dev->parent.embedded) /* it goes with the one it is part of */
    g_ptr_array_add (opaque, vm_object_ref (&dev->parent));
  return true;
}

/* Devices made later may sit on those made earlier: the last goes first. All of them stay in memory until none is
 * realized, because one that goes still lowers its lines into others. */
static void
unrealize_all (VmMachine *m)
{
  g_autoptr (GPtrArray) devices = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_object_unref);

  vm_device_foreach (m->env.root, collect_device, devices);
  for (guint i = devices->len; i-- > 0;)
    {
      VmDevice *dev = g_ptr_array_index (devices, i);
      if (!dev->bus)
        vm_device_unrealize (dev);
    }
}

static void
free_private (VmMachinePrivate *priv)
{
  vm_source_clear (&priv->sigint);
  vm_source_clear (&priv->sigterm);
  vm_source_clear (&priv->sighup);
  g_ptr_array_unref (priv->watches);
  g_ptr_array_unref (priv->boot_devices);
  g_ptr_array_unref (priv->globals_bad);
  vm_failover_free (priv->failover);
  g_free (priv);
}

static void
machine_finalize (VmObject *obj)
{
  VmMachine *m = VM_MACHINE (obj);

  if (!m->priv)
    return; /* made only to look at its defaults */
  if (m->priv->ram_made)
    vm_region_destroy (&m->priv->ram);
  g_clear_pointer (&m->priv->node_ram, g_ptr_array_unref);
  vm_numa_free (m->numa);
  vm_address_space_destroy (&m->io_as);
  vm_address_space_destroy (&m->memory_as);
  vm_region_destroy (&m->system_io);
  vm_region_destroy (&m->system_memory);
  g_ptr_array_unref (m->serials);
  g_ptr_array_unref (m->nics);
  g_ptr_array_unref (m->parallels);
  g_ptr_array_unref (m->debugcons);
  g_ptr_array_unref (m->texts);
  g_ptr_array_unref (m->monitors);
  g_ptr_array_unref (m->cpus_to_reset);
  g_free (m->qtest_chardev);
  g_free (m->gdb_chardev);
  free_private (m->priv);
}

const VmType vm_machine_type = {
  .name = "machine",
  .parent = &vm_object_type,
  .size = sizeof (VmMachine),
  .help = "a machine: one board and all on it",
  .abstract = true,
  .props = machine_props,
  .finalize = machine_finalize,
};

void
vm_machine_free (VmMachine *m)
{
  VmEnv env = m->env;
  VmLock *lock = m->lock;
  bool taken = vm_lock_enter (lock);

  vm_machine_tell (m, VM_MACHINE_EXIT);
  vm_lock_leave (lock, taken);
  g_clear_pointer (&m->vcpus, vm_vcpu_set_free); /* joins the threads: the lock must be free */
  taken = vm_lock_enter (lock);
  unrealize_all (m);
  vm_chardev_remove_all (&m->priv->chars);
  g_clear_pointer (&m->priv->text_consoles, g_ptr_array_unref);
  if (m->accel)
    {
      vm_object_remove_child (&m->accel->parent);
      g_clear_pointer (&m->accel, vm_accel_free);
    }
  vm_object_unref (env.root);   /* drops all but the caller's reference to the machine */
  vm_object_unref (&m->parent); /* the board's regions go first, then those they were in */
  vm_display_free (env.display);
  vm_input_free (env.input);
  vm_memory_free (env.memory);
  vm_clocks_free (env.clocks);
  vm_lock_leave (lock, taken);
  vm_loop_free (env.loop);
  vm_lock_free (lock);
}
