/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives: what -drive makes, what devices claim by id and media are put into. */
#include "block/block.h"
#include "engine/base/fdset.h"
#include "engine/base/log.h"

#include <fcntl.h>
#include <unistd.h>

/* Formats that have a magic number: an image of these given as raw would be misread, so it is refused by name. */
static const struct {
  const char *name, *magic;
  uint8_t     size;
} formats[] = {
  { "qcow2", "QFI\xfb", 4 }, { "qed", "QED\0", 4 },  { "vmdk", "KDMV", 4 },    { "vhdx", "vhdxfile", 8 },
  { "vpc", "conectix", 8 },  { "luks", "LUKS\xba\xbe", 6 }, { "parallels", "WithoutFreeSpace", 16 },
};

static const char *
drive_probe_format (const char *path)
{
  char head[16] = { 0 };
  int fd = vm_open (path, O_RDONLY, 0);

  if (fd < 0) /* a handed-over descriptor may only do both */
    fd = vm_open (path, O_RDWR, 0);
  if (fd < 0)
    return NULL; /* opening it for good says why */
  ssize_t n = pread (fd, head, sizeof head, 0);
  close (fd);
  for (size_t i = 0; n > 0 && i < G_N_ELEMENTS (formats); i++)
    if (memcmp (head, formats[i].magic, formats[i].size) == 0)
      return formats[i].name;
  return "raw";
}

VmBlock *
vm_drive_open (VmDrive *drive, const VmDriveOptions *options, GError **error)
{
  unsigned flags = options->readonly ? VM_BLOCK_READONLY : 0;
  const char *format = options->format;

  if (!format)
    {
      format = drive_probe_format (options->file);
      if (g_strcmp0 (format, "raw") == 0 && !options->readonly)
        {
          vm_report_warning ("Image format was not specified for '%s' and probing guessed raw.\n"
                             "         Automatically detecting the format is dangerous for raw images, write operations "
                             "on block 0 will be restricted.\n"
                             "         Specify the 'raw' format explicitly to remove the restrictions.",
                             options->file);
          flags |= VM_BLOCK_PROTECT_FIRST;
        }
    }
  if (format && strcmp (format, "raw") != 0)
    {
      vm_fail (error, "image format '%s' of '%s': not available in this build", format, options->file);
      return NULL;
    }
  return vm_block_open (drive->loop, options->file, flags, error);
}

VmDrive *
vm_drive_new (VmObject *root, VmLoop *loop, const VmDriveOptions *options, GError **error)
{
  VmDrive *drive = (VmDrive *) vm_object_new (&vm_drive_type);

  drive->loop = loop;
  drive->cdrom = options->cdrom;
  drive->readonly = options->readonly;
  if (options->file && !(drive->block = vm_drive_open (drive, options, error)))
    {
      vm_object_unref (&drive->parent);
      return NULL;
    }
  vm_object_add_child (vm_object_container (root, "/drives"), options->id, &drive->parent);
  vm_object_unref (&drive->parent);
  return drive;
}

VmDrive *
vm_drive_find (VmObject *root, const char *id)
{
  VmObject *drives = vm_object_child (root, "drives");

  return drives ? (VmDrive *) vm_object_child (drives, id) : NULL;
}

void
vm_drive_set_block (VmDrive *drive, VmBlock *block)
{
  if (drive->block)
    vm_block_drain (drive->block);
  vm_block_unref (drive->block);
  drive->block = block;
  if (drive->changed)
    drive->changed (drive->device);
}

bool
vm_drive_claim (VmDrive *drive, void *device, void (*changed) (void *device), GError **error)
{
  if (drive->device)
    return vm_fail (error, "Drive '%s' is already in use by another device", drive->parent.id);
  drive->device = device;
  drive->changed = changed;
  return true;
}

void
vm_drive_release (VmDrive *drive)
{
  if (drive->block)
    vm_block_drain (drive->block);
  drive->device = NULL;
  drive->changed = NULL;
  drive->locked = drive->tray_open = false;
}

/* --- property ------------------------------------------------------------------------------------- */

static bool
prop_drive_set (VmObject *obj, void *field, const char *text, GError **error)
{
  VmDrive **place = field;
  VmObject *root = obj->scope ? obj->scope : vm_object_root (obj);
  VmDrive *drive = *text ? vm_drive_find (root, text) : NULL;

  if (*text && !drive)
    return vm_fail (error, "Property '%s.drive' can't find value '%s'", obj->type->name, text);
  *place = drive;
  return true;
}

static char *
prop_drive_get (VmObject *obj, const void *field)
{
  VmDrive *const *place = field;

  return *place ? g_strdup ((*place)->parent.id) : NULL;
}

static void
prop_drive_clear (VmObject *obj, void *field)
{
  *(VmDrive **) field = NULL;
}

const VmPropCustom vm_prop_drive = {
  .type_name = "str",
  .set = prop_drive_set,
  .get = prop_drive_get,
  .clear = prop_drive_clear,
};

/* --- type ------------------------------------------------------------------------------------------ */

static void
drive_finalize (VmObject *obj)
{
  VmDrive *drive = (VmDrive *) obj;

  if (drive->block)
    vm_block_drain (drive->block);
  vm_block_unref (drive->block);
}

const VmType vm_drive_type = {
  .name = "drive",
  .parent = &vm_object_type,
  .size = sizeof (VmDrive),
  .help = "A place for a medium",
  .finalize = drive_finalize,
};
