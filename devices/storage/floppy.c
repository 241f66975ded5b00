/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Floppy drives: the medium's geometry is guessed from its size. */
#include "devices/storage/fdc.h"

static const char *const kind_names[] = { "auto", "144", "288", "120", "none", NULL };

static const struct { /* formats in use, most common first */
  uint8_t kind, tracks, heads, sectors;
} formats[] = {
  { VM_FLOPPY_144, 80, 2, 18 }, { VM_FLOPPY_288, 80, 2, 36 }, { VM_FLOPPY_144, 80, 2, 20 }, { VM_FLOPPY_144, 80, 2, 21 },
  { VM_FLOPPY_144, 82, 2, 21 }, { VM_FLOPPY_144, 83, 2, 21 }, { VM_FLOPPY_144, 80, 2, 22 }, { VM_FLOPPY_144, 80, 2, 23 },
  { VM_FLOPPY_144, 80, 2, 24 }, { VM_FLOPPY_288, 80, 2, 39 }, { VM_FLOPPY_288, 80, 2, 40 }, { VM_FLOPPY_288, 80, 2, 44 },
  { VM_FLOPPY_288, 80, 2, 48 }, { VM_FLOPPY_144, 80, 2, 9 },  { VM_FLOPPY_144, 80, 2, 10 }, { VM_FLOPPY_144, 82, 2, 10 },
  { VM_FLOPPY_144, 83, 2, 10 }, { VM_FLOPPY_144, 80, 2, 13 }, { VM_FLOPPY_144, 80, 2, 14 }, { VM_FLOPPY_120, 80, 2, 15 },
  { VM_FLOPPY_120, 80, 2, 18 }, { VM_FLOPPY_120, 40, 2, 9 },  { VM_FLOPPY_120, 40, 1, 9 },  { VM_FLOPPY_120, 40, 2, 8 },
  { VM_FLOPPY_120, 40, 1, 8 },
};

/* The format of the medium's exact size; any other size is read with the drive's usual geometry. */
static void
floppy_find_geometry (VmFloppy *f)
{
  uint64_t sectors;

  f->tracks = f->heads = f->sectors = 0;
  f->medium_kind = VM_FLOPPY_AUTO;
  if (!f->conf.drive || !f->conf.drive->block)
    return;
  sectors = vm_block_size (f->conf.drive->block) / 512;
  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
    if (sectors == (uint64_t) formats[i].tracks * formats[i].heads * formats[i].sectors
        && (f->kind == VM_FLOPPY_AUTO || f->kind == formats[i].kind || f->kind == VM_FLOPPY_288))
      {
        f->tracks = formats[i].tracks;
        f->heads = formats[i].heads;
        f->sectors = formats[i].sectors;
        f->medium_kind = formats[i].kind;
        return;
      }
  f->tracks = 80;
  f->heads = 2;
  f->sectors = f->kind == VM_FLOPPY_120 ? 15 : f->kind == VM_FLOPPY_144 ? 18 : 36;
}

static void
floppy_medium_changed (void *opaque)
{
  VmFloppy *f = opaque;

  f->changed = true;
  floppy_find_geometry (f);
}

static bool
floppy_realize (VmDevice *dev, GError **error)
{
  VmFloppy *f = (VmFloppy *) dev;

  if ((f->conf.logical_block_size && f->conf.logical_block_size != 512)
      || (f->conf.physical_block_size && f->conf.physical_block_size != 512))
    return vm_fail (error, "Physical and logical block size must be 512 for floppy");
  if (f->conf.drive && !vm_block_conf_claim (&f->conf, &dev->parent, false, floppy_medium_changed, error))
    return false;
  floppy_find_geometry (f);
  f->changed = true;
  return true;
}

static void
floppy_unrealize (VmDevice *dev)
{
  VmFloppy *f = (VmFloppy *) dev;

  if (f->conf.drive)
    vm_drive_release (f->conf.drive);
}

static void
floppy_reset (VmDevice *dev, VmResetKind kind)
{
  ((VmFloppy *) dev)->track = 0;
}

static const VmProp floppy_props[] = {
  VM_BLOCK_CONF_PROPS (VmFloppy, conf),
  VM_PROP ("unit", VmFloppy, unit, UINT32_MAX, "0 for A:, 1 for B:"),
  VM_PROP_ENUMERATED ("drive-type", VmFloppy, kind, VM_FLOPPY_AUTO, kind_names,
                      "3.5 inch 1.44M or 2.88M, 5.25 inch 1.2M"),
  { 0 },
};

static bool
floppy_pre_save (VmDevice *dev, GError **error)
{
  return vm_drive_settle (((VmFloppy *) dev)->conf.drive, &dev->parent, error);
}

static const VmField floppy_state[] = {
  VM_FIELD (VmFloppy, track),
  VM_FIELD (VmFloppy, changed),
  { 0 },
};

static const VmDeviceClass floppy_class = {
  .realize = floppy_realize,
  .unrealize = floppy_unrealize,
  .reset = floppy_reset,
  .pre_save = floppy_pre_save,
  .bus_type = VM_FLOPPY_BUS_TYPE,
  .category = "Storage",
  .user_creatable = true,
};

const VmType vm_floppy_type = {
  .name = "floppy",
  .parent = &vm_device_type,
  .size = sizeof (VmFloppy),
  .help = "virtual floppy drive",
  .props = floppy_props,
  .state = floppy_state,
  .klass = &floppy_class,
};
