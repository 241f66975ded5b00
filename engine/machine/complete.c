/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings that depend on the board: processor topology, where drives go, default drives, the VGA card. */
#include "engine/machine/machine.h"
#include "engine/schema/types.h"

/* --- topology --- */

static json_object *
to_json (const VmKeyVals *list)
{
  json_object *json = json_object_new_object ();

  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      json_object_object_add (json, pair->key, json_object_new_string (pair->value));
    }
  return json;
}

static bool
check_levels (const VmqSMPConfiguration *c, GError **error)
{
  const struct
  {
    const char *name;
    bool given, supported;
    int64_t value;
  } levels[] = {
    { "cpus", c->has_cpus, true, c->cpus },          { "drawers", c->has_drawers, false, c->drawers },
    { "books", c->has_books, false, c->books },      { "sockets", c->has_sockets, true, c->sockets },
    { "dies", c->has_dies, true, c->dies },          { "clusters", c->has_clusters, false, c->clusters },
    { "modules", c->has_modules, true, c->modules }, { "cores", c->has_cores, true, c->cores },
    { "threads", c->has_threads, true, c->threads }, { "maxcpus", c->has_maxcpus, true, c->maxcpus },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (levels); i++)
    {
      if (!levels[i].given)
        continue;
      if (levels[i].value <= 0)
        return vm_fail (error, "Invalid CPU topology: CPU topology parameters must be greater than zero");
      if (levels[i].value > G_MAXINT16)
        return vm_fail (error, "Invalid CPU topology: '%s' is too big", levels[i].name);
      if (!levels[i].supported && levels[i].value > 1)
        return vm_fail (error, "%s not supported by this machine's CPU topology", levels[i].name);
    }
  return true;
}

/* What was left out follows from the rest: cores first, then sockets. */
static void
fill_topology (VmSmp *s)
{
  unsigned inner;

  s->dies = MAX (s->dies, 1);
  s->modules = MAX (s->modules, 1);
  s->clusters = 1;
  inner = s->dies * s->modules;
  if (!s->cpus && !s->max_cpus)
    {
      s->sockets = MAX (s->sockets, 1);
      s->cores = MAX (s->cores, 1);
      s->threads = MAX (s->threads, 1);
    }
  else
    {
      unsigned max = s->max_cpus ? s->max_cpus : s->cpus;
      if (!s->cores)
        {
          s->sockets = MAX (s->sockets, 1);
          s->threads = MAX (s->threads, 1);
          s->cores = max / (s->sockets * inner * s->threads);
        }
      else if (!s->sockets)
        {
          s->threads = MAX (s->threads, 1);
          s->sockets = max / (inner * s->cores * s->threads);
        }
      if (!s->threads)
        s->threads = max / (s->sockets * inner * s->cores);
    }
  if (!s->max_cpus)
    s->max_cpus = s->cpus ? s->cpus : s->sockets * inner * s->cores * s->threads;
  if (!s->cpus)
    s->cpus = s->max_cpus;
}

static bool
complete_smp (VmSettings *settings, const VmBoard *board, GError **error)
{
  json_object *json = to_json (settings->smp_props);
  g_autoptr (VmqSMPConfiguration) c = vm_schema_read (&vmq_type_smpconfiguration, json, VM_SCHEMA_TEXT, "smp", error);

  json_object_put (json);
  if (!c || !check_levels (c, error))
    return false;
  VmSmp s = {
    .cpus = c->cpus,
    .max_cpus = c->maxcpus,
    .sockets = c->sockets,
    .dies = c->dies,
    .modules = c->modules,
    .cores = c->cores,
    .threads = c->threads,
  };
  if (!s.cpus && !s.max_cpus && !s.sockets && !s.cores && !s.threads && !s.dies && !s.modules)
    s.cpus = 1;
  fill_topology (&s);
  uint64_t total = (uint64_t) s.sockets * s.dies * s.modules * s.cores * s.threads;
  g_autofree char *product = g_strdup_printf ("sockets (%u) * dies (%u) * modules (%u) * cores (%u) * threads (%u)",
                                              s.sockets, s.dies, s.modules, s.cores, s.threads);
  if (total != s.max_cpus)
    return vm_fail (error, "Invalid CPU topology: product of the hierarchy must match maxcpus: %s != maxcpus (%u)",
                    product, s.max_cpus);
  if (s.max_cpus < s.cpus)
    return vm_fail (error,
                    "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
                    "%s == maxcpus (%u) < smp_cpus (%u)",
                    product, s.max_cpus, s.cpus);
  if (s.cpus > board->max_cpus || s.max_cpus > board->max_cpus)
    return vm_fail (error, "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %u",
                    MAX (s.cpus, s.max_cpus), board->name, board->max_cpus);
  settings->smp = s;
  return true;
}

/* --- drives --- */

static int
units_of (const VmBoard *board, VmDriveIf interface)
{
  static const unsigned usual[VM_IF_N] = { [VM_IF_IDE] = 2, [VM_IF_SCSI] = 7, [VM_IF_FLOPPY] = 2 };

  return board->drive_units[interface] ? board->drive_units[interface] : usual[interface];
}

static bool
is_placed_before (const VmSettings *s, const VmDriveSpec *self)
{
  for (guint i = 0; i < s->drives->len; i++)
    {
      const VmDriveSpec *d = g_ptr_array_index (s->drives, i);
      if (d == self)
        return false;
      if (d->interface == self->interface && d->bus == self->bus && d->unit == self->unit)
        return true;
    }
  return false;
}

static void
find_place (const VmSettings *s, VmDriveSpec *d, int units)
{
  bool free_choice = d->unit < 0 && d->index < 0;

  if (d->index >= 0)
    {
      d->bus = units ? d->index / units : 0;
      d->unit = units ? d->index % units : d->index;
    }
  else
    {
      d->bus = MAX (d->bus, 0);
      d->unit = MAX (d->unit, 0);
    }
  while (free_choice && is_placed_before (s, d))
    if (++d->unit >= units && units)
      {
        d->unit = 0;
        d->bus++;
      }
  d->index = units ? d->bus * units + d->unit : d->unit;
}

static char *
default_drive_id (const VmDriveSpec *d)
{
  const char *name = vm_drive_if_names[d->interface];

  if (d->interface == VM_IF_IDE || d->interface == VM_IF_SCSI)
    return g_strdup_printf ("%s%d-%s%d", name, d->bus, d->media == VM_MEDIA_CDROM ? "cd" : "hd", d->unit);
  return g_strdup_printf ("%s%d", name, d->unit);
}

/* A disk on if=virtio is a device like those of -device, after them. */
static void
add_virtio_disk (VmSettings *s, VmDriveSpec *d)
{
  VmDeviceSpec *spec = g_new0 (VmDeviceSpec, 1);

  *spec = (VmDeviceSpec){ .driver = g_strdup ("virtio-blk-pci"), .props = vm_keyvals_new (), .text = g_strdup (d->text) };
  vm_keyvals_add (spec->props, "drive", d->id);
  g_ptr_array_add (s->devices, spec);
  d->claimed = true;
}

static bool
place_drive (VmSettings *s, VmDriveSpec *d, const VmBoard *board, GError **error)
{
  if (d->interface == VM_IF_N)
    d->interface = board->default_drive_if;
  int units = units_of (board, d->interface);

  if (units && d->unit >= units)
    return vm_fail (error, "%s: unit %d too big (max is %d)", d->text, d->unit, units - 1);
  find_place (s, d, units);
  if (is_placed_before (s, d))
    return vm_fail (error, "%s: drive with bus=%d, unit=%d (index=%d) exists", d->text, d->bus, d->unit, d->index);
  if (!d->id)
    d->id = default_drive_id (d);
  if (d->interface == VM_IF_VIRTIO)
    add_virtio_disk (s, d);
  return true;
}

static bool
names_device (const VmSettings *s, const char *const *drivers)
{
  for (guint i = 0; i < s->devices->len; i++)
    if (g_strv_contains (drivers, ((const VmDeviceSpec *) g_ptr_array_index (s->devices, i))->driver))
      return true;
  return false;
}

static void
add_default_drive (VmSettings *s, VmDriveIf interface, int bus, int unit, VmMedia media, const char *id)
{
  if (vm_settings_find_drive (s, interface, bus, unit))
    return;
  VmDriveSpec *d = g_new0 (VmDriveSpec, 1);
  *d = (VmDriveSpec){
    .id = g_strdup (id),
    .interface = interface,
    .bus = bus,
    .unit = unit,
    .media = media,
    .is_default = true,
    .readonly = media == VM_MEDIA_CDROM,
    .options = vm_keyvals_new (),
  };
  g_ptr_array_add (s->drives, d);
}

static bool
complete_drives (VmSettings *s, const VmBoard *board, GError **error)
{
  static const char *const discs[] = { "ide-cd", "ide-hd", "ide-drive", "scsi-cd", "scsi-hd", NULL };
  static const char *const floppies[] = { "isa-fdc", "floppy", NULL };

  for (guint i = 0; i < s->drives->len; i++)
    if (!place_drive (s, g_ptr_array_index (s->drives, i), board, error))
      return false;
  if (s->nodefaults)
    return true;
  int units = units_of (board, VM_IF_IDE);
  if (!board->no_cdrom && !names_device (s, discs) && units && board->default_drive_if == VM_IF_IDE)
    {
      g_autofree char *id = g_strdup_printf ("ide%d-cd%d", 2 / units, 2 % units);
      add_default_drive (s, VM_IF_IDE, 2 / units, 2 % units, VM_MEDIA_CDROM, id);
    }
  if (!board->no_floppy && !names_device (s, floppies))
    add_default_drive (s, VM_IF_FLOPPY, 0, 0, VM_MEDIA_DISK, "floppy0");
  return true;
}

/* --- display card --- */

static bool
complete_vga (VmSettings *s, const VmBoard *board, const VmTypeList *types, GError **error)
{
  static const struct
  {
    const char *name, *type;
  } cards[] = {
    { "none", NULL },     { "std", "VGA" },           { "cirrus", "cirrus-vga" }, { "vmware", "vmware-svga" },
    { "qxl", "qxl-vga" }, { "virtio", "virtio-vga" }, { "xenfb", "xenfb" },       { "tcx", "SUNW,tcx" },
    { "cg3", "cgthree" },
  };
  static const char *const drivers[] = { "VGA",     "cirrus-vga", "isa-vga",       "isa-cirrus-vga", "vmware-svga",
                                         "qxl-vga", "virtio-vga", "virtio-vga-gl", "vhost-user-vga", NULL };

  if (!s->vga)
    {
      bool wanted = s->default_vga && board->default_vga && !names_device (s, drivers);
      s->vga = g_strdup (wanted ? board->default_vga : "none");
      return true;
    }
  for (size_t i = 0; i < G_N_ELEMENTS (cards); i++)
    {
      if (strcmp (s->vga, cards[i].name) != 0)
        continue;
      return !cards[i].type || vm_type_find (types, cards[i].type)
             || vm_fail (error, "-vga %s: not available in this build", s->vga);
    }
  return vm_fail (error, "unknown vga type: %s", s->vga);
}

bool
vm_settings_complete (VmSettings *settings, const VmBoard *board, const VmTypeList *types, GError **error)
{
  settings->ram_size_given = settings->ram_size != 0;
  if (!settings->ram_size)
    settings->ram_size = board->default_ram_size ? board->default_ram_size : 128 * VM_MIB;
  if (!settings->max_ram_size)
    settings->max_ram_size = settings->ram_size;
  if (!board->memory_slots && (settings->ram_slots || settings->max_ram_size > settings->ram_size))
    return vm_fail (error, "\"-memory 'slots|maxmem'\" is not supported by: %s", board->name);
  return complete_smp (settings, board, error) && complete_drives (settings, board, error)
         && complete_vga (settings, board, types, error);
}
