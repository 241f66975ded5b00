/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings: documented defaults, look-ups, and freeing. */
#include "engine/options/settings.h"

const char *const vm_drive_if_names[VM_IF_N + 1]
    = { "none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", NULL };

static void
global_free (gpointer data)
{
  VmGlobal *global = data;

  g_free (global->driver);
  g_free (global->property);
  g_free (global->value);
  g_free (global);
}

static void
fw_cfg_free (gpointer data)
{
  VmFwCfgSpec *spec = data;

  g_free (spec->name);
  g_free (spec->file);
  g_free (spec->string);
  g_free (spec->gen_id);
  g_free (spec->text);
  g_free (spec);
}

static void
fd_free (gpointer data)
{
  g_free (((VmFdSpec *) data)->opaque);
  g_free (((VmFdSpec *) data)->text);
  g_free (data);
}

static void
option_rom_free (gpointer data)
{
  g_free (((VmOptionRom *) data)->file);
  g_free (data);
}

static void
char_spec_free (gpointer data)
{
  VmCharSpec *spec = data;

  g_free (spec->text);
  g_free (spec->option);
  g_free (spec);
}

static void
mon_spec_free (gpointer data)
{
  VmMonSpec *spec = data;

  g_free (spec->chardev);
  g_free (spec->option);
  g_free (spec);
}

void
vm_drive_spec_free (VmDriveSpec *spec)
{
  g_free (spec->id);
  g_free (spec->file);
  g_free (spec->format);
  g_free (spec->text);
  vm_keyvals_free (spec->options);
  g_free (spec);
}

VmDeviceSpec *
vm_device_spec_new (const VmKeyVals *list, const char *type_key, const char *text)
{
  VmDeviceSpec *spec = g_new0 (VmDeviceSpec, 1);

  spec->driver = g_strdup (vm_keyvals_get (list, type_key));
  spec->id = g_strdup (vm_keyvals_get (list, "id"));
  spec->bus = g_strdup (vm_keyvals_get (list, "bus"));
  spec->text = g_strdup (text);
  spec->props = vm_keyvals_copy (list);
  vm_keyvals_remove (spec->props, type_key);
  vm_keyvals_remove (spec->props, "id");
  vm_keyvals_remove (spec->props, "bus");
  return spec;
}

void
vm_device_spec_free (VmDeviceSpec *spec)
{
  g_free (spec->driver);
  g_free (spec->id);
  g_free (spec->bus);
  g_free (spec->text);
  vm_keyvals_free (spec->props);
  g_free (spec);
}

static void
blockdev_free (gpointer data)
{
  VmBlockdevSpec *spec = data;

  vm_keyvals_free (spec->options);
  g_free (spec->json);
  g_free (spec->text);
  g_free (spec);
}

static void
numa_free (gpointer data)
{
  VmNumaSpec *spec = data;

  vm_keyvals_free (spec->options);
  g_free (spec->text);
  g_free (spec);
}

VmTraceSpec *
vm_trace_spec_new (const char *where, const char *enable, const char *events, const char *file)
{
  VmTraceSpec *spec = g_new0 (VmTraceSpec, 1);

  *spec = (VmTraceSpec){ .where = g_strdup (where), .enable = g_strdup (enable), .events = g_strdup (events),
                         .file = g_strdup (file) };
  return spec;
}

static void
plugin_free (gpointer data)
{
  VmPluginSpec *plugin = data;

  g_free (plugin->file);
  g_strfreev (plugin->args);
  g_free (plugin);
}

static void
trace_free (gpointer data)
{
  VmTraceSpec *spec = data;

  g_free (spec->where);
  g_free (spec->enable);
  g_free (spec->events);
  g_free (spec->file);
  g_free (spec);
}

static void
net_free (gpointer data)
{
  VmNetSpec *spec = data;

  vm_keyvals_free (spec->options);
  g_free (spec->json);
  g_free (spec->text);
  g_free (spec);
}

static void
audio_free (gpointer data)
{
  VmAudioSpec *spec = data;

  vm_keyvals_free (spec->options);
  g_free (spec->json);
  g_free (spec->text);
  g_free (spec);
}

static void
vnc_free (gpointer data)
{
  VmVncSpec *spec = data;

  vm_keyvals_free (spec->options);
  g_free (spec->text);
  g_free (spec);
}

VmVncSpec *
vm_vnc_spec_new (const VmKeyVals *options, const char *text)
{
  VmVncSpec *spec = g_new0 (VmVncSpec, 1);

  spec->options = vm_keyvals_copy (options);
  spec->text = g_strdup (text);
  return spec;
}

VmSettings *
vm_settings_new (void)
{
  VmSettings *s = g_new0 (VmSettings, 1);

  s->machine_props = vm_keyvals_new ();
  s->smp_props = vm_keyvals_new ();
  s->display_opts = vm_keyvals_new ();
  s->accels = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_keyvals_free);
  s->numa = g_ptr_array_new_with_free_func (numa_free);
  s->iscsi = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_keyvals_free);
  s->globals = g_ptr_array_new_with_free_func (global_free);
  s->fw_cfg = g_ptr_array_new_with_free_func (fw_cfg_free);
  s->option_roms = g_ptr_array_new_with_free_func (option_rom_free);
  s->smbios = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_keyvals_free);
  s->acpi_tables = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_keyvals_free);
  s->data_dirs = g_ptr_array_new_with_free_func (g_free);
  s->drives = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_drive_spec_free);
  s->blockdevs = g_ptr_array_new_with_free_func (blockdev_free);
  s->nets = g_ptr_array_new_with_free_func (net_free);
  s->audios = g_ptr_array_new_with_free_func (audio_free);
  s->devices = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_device_spec_free);
  s->objects = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_device_spec_free);
  s->char_specs = g_ptr_array_new_with_free_func (char_spec_free);
  s->monitors = g_ptr_array_new_with_free_func (mon_spec_free);
  s->fds = g_ptr_array_new_with_free_func (fd_free);
  s->traces = g_ptr_array_new_with_free_func (trace_free);
  s->plugins = g_ptr_array_new_with_free_func (plugin_free);
  s->vncs = g_ptr_array_new_with_free_func (vnc_free);
  s->smp = (VmSmp){ 1, 1, 1, 1, 1, 1, 1, 1 };
  s->boot_splash_time = s->boot_reboot_timeout = -1;
  s->on_panic = VM_PANIC_SHUTDOWN;
  s->escape_char = 1;
  s->default_nic = s->default_vga = true;
  return s;
}

void
vm_settings_free (VmSettings *s)
{
  char *const strings[] = {
    s->machine,      s->cpu,        s->mem_path,      s->kernel,          s->initrd,      s->append,
    s->dtb,          s->firmware,   s->boot_order,    s->boot_once,       s->boot_splash, s->name,
    s->process_name, s->qtest_log,  s->vga,           s->keyboard_layout, s->display,     s->pidfile,
    s->log_file,     s->help_topic, s->help_argument, s->machine_file,    s->run_as,      s->run_as_option,
    s->chroot,       s->loadvm,
  };
  GPtrArray *const lists[] = {
    s->accels, s->globals, s->fw_cfg,    s->option_roms, s->smbios,   s->acpi_tables, s->data_dirs,
    s->drives, s->devices, s->objects,   s->char_specs,  s->monitors, s->fds,         s->numa,
    s->iscsi,  s->traces,  s->blockdevs, s->plugins,     s->nets,     s->vncs,        s->audios,
  };

  for (size_t i = 0; i < G_N_ELEMENTS (strings); i++)
    g_free (strings[i]);
  for (size_t i = 0; i < G_N_ELEMENTS (lists); i++)
    g_ptr_array_unref (lists[i]);
  g_clear_pointer (&s->log_filter, g_array_unref);
  vm_keyvals_free (s->machine_props);
  vm_keyvals_free (s->smp_props);
  vm_keyvals_free (s->display_opts);
  g_clear_pointer (&s->spice, vm_keyvals_free);
  g_free (s);
}

VmDriveSpec *
vm_settings_find_drive (const VmSettings *settings, VmDriveIf interface, int bus, int unit)
{
  for (guint i = 0; i < settings->drives->len; i++)
    {
      VmDriveSpec *d = g_ptr_array_index (settings->drives, i);
      if (d->interface == interface && d->bus == bus && d->unit == unit)
        return d;
    }
  return NULL;
}

VmDriveSpec *
vm_settings_find_drive_id (const VmSettings *settings, const char *id)
{
  for (guint i = 0; i < settings->drives->len; i++)
    {
      VmDriveSpec *d = g_ptr_array_index (settings->drives, i);
      if (!strcmp (d->id, id))
        return d;
    }
  return NULL;
}
