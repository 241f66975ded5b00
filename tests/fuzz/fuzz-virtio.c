/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A virtio device on the bench and a driver out of its mind: FUZZ_VIRTIO says which. Anything in registers, rings,
 * descriptors and buffers, with enough sense that requests get through now and then. */
#include "engine/display/display.h"
#include "tests/devices/audio-double.h"
#include "tests/devices/virtio-rig.h"
#include "tests/fuzz/fuzz.h"

extern const VmType vm_virtio_blk_pci_type, vm_virtio_rng_pci_type, vm_virtio_balloon_pci_type,
  vm_virtio_serial_pci_type, vm_virtio_scsi_pci_type, vm_virtio_gpu_pci_type, vm_virtio_sound_pci_type,
  vm_virtserialport_type, vm_virtconsole_type, vm_scsi_hd_type;

typedef struct Target {
  const char   *name;
  const VmType *type;
  void        (*fit) (VirtioRig *r, VmDevice *vdev);
  const char   *props[7];
} Target;

static void
plug (VirtioRig *r, VmDevice *vdev, const VmType *type, const char *drive)
{
  VmDevice *dev = vm_device_new (type);

  dev->parent.scope = r->rig.env.root;
  if (drive)
    g_assert_true (vm_object_set (&dev->parent, "drive", drive, NULL));
  rig_add (&r->rig, dev, g_ptr_array_index (vdev->buses, 0));
}

static void
fit_serial (VirtioRig *r, VmDevice *vdev)
{
  plug (r, vdev, &vm_virtconsole_type, NULL);
  plug (r, vdev, &vm_virtserialport_type, NULL);
}

static void
fit_scsi (VirtioRig *r, VmDevice *vdev)
{
  plug (r, vdev, &vm_scsi_hd_type, "d");
}

static const Target targets[] = {
  { "blk", &vm_virtio_blk_pci_type, NULL, { "drive", "d", "packed", "on", "num-queues", "2", NULL } },
  { "rng", &vm_virtio_rng_pci_type, NULL, { "packed", "on", NULL } },
  { "balloon", &vm_virtio_balloon_pci_type, NULL, { "packed", "on", "free-page-reporting", "on", NULL } },
  { "serial", &vm_virtio_serial_pci_type, fit_serial, { "packed", "on", NULL } },
  { "scsi", &vm_virtio_scsi_pci_type, fit_scsi, { "packed", "on", NULL } },
  { "sound", &vm_virtio_sound_pci_type, NULL, { "packed", "on", "jacks", "2", "chmaps", "2", NULL } },
  { "gpu", &vm_virtio_gpu_pci_type, NULL, { "packed", "on", "max_outputs", "3", "blob", "on", NULL } },
};

static const Target *
find_target (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (targets); i++)
    if (!strcmp (targets[i].name, FUZZ_VIRTIO))
      return &targets[i];
  g_assert_not_reached ();
}

/* A place that may mean something. */
static uint32_t
place (Input *in)
{
  uint32_t kind = take (in, 1), at = take (in, 2);

  switch (kind & 7)
    {
    case 0:
      return (uint32_t) VIRTIO_RIG_MODERN + (at & 0x3fff); /* itself */
    case 1:
      return 0xfee00000 + (at & 0xfff);
    case 2:
      return VIRTIO_RIG_RAM - (at & 0xfff);
    case 3:
      return VIRTIO_RIG_QUEUE (kind >> 3 & 7) + at;
    default:
      return 0x200000 + at;
    }
}

/* What begins like a command of a GPU, with numbers that are small. */
static void
write_command (VirtioRig *r, Input *in, uint32_t at)
{
  uint8_t op = (uint8_t) take (in, 1);

  rig_store (&r->rig, at, op < 0xc0 ? 0x100u + op % 14 : 0x300u + op % 2, 4);
  rig_store (&r->rig, at + 4, take (in, 1) & 1, 4);
  for (unsigned word = 6; word < 24; word++)
    {
      uint32_t value = take (in, 1);

      rig_store (&r->rig, at + 4 * word, value & 0x80 ? place (in) : value & 0x40 ? value & 7 : value, 4);
    }
}

enum { OP_START, OP_CHAIN, OP_CHAIN_AGAIN, OP_RING, OP_REGISTER, OP_MEMORY, OP_CONFIG, OP_WAIT };

static void
step (VirtioRig *r, Input *in)
{
  uint8_t op = (uint8_t) take (in, 1);
  unsigned size = 1u << (op >> 3 & 3) % 3, n = op >> 4 & 7;
  VirtioRigPiece pieces[8];

  switch (op & 7)
    {
    case OP_START:
      r->legacy = op & 8;
      virtio_rig_start (r, take (in, 4) | (uint64_t) take (in, 2) << 32, MIN (n, r->dev->vdev->n_queues),
                        (uint16_t) (1u << (take (in, 1) & 7)));
      break;
    case OP_CHAIN: case OP_CHAIN_AGAIN:
      if (!r->queue[n].num)
        break;
      for (unsigned i = 0; i < 4; i++)
        pieces[i] = (VirtioRigPiece) { place (in), take (in, 1) * (op & 8 ? 1u : 16u), i >= 2 };
      if (!strcmp (FUZZ_VIRTIO, "gpu"))
        {
          pieces[0] = (VirtioRigPiece) { 0x200000, 0x100, false };
          write_command (r, in, 0x200000);
        }
      virtio_rig_add_chain (r, n, pieces, 4, take (in, 1) & 1);
      virtio_rig_ring (r, n);
      break;
    case OP_RING:
      virtio_rig_ring (r, n);
      break;
    case OP_REGISTER:
      if (op & 0x80)
        rig_out (&r->rig, (uint16_t) (VIRTIO_RIG_LEGACY + (take (in, 1) & 0x7f)), take (in, size), size);
      else
        {
          unsigned reg = (take (in, 1) & 3) * 0x1000 + (take (in, 1) & 0x3f);

          virtio_rig_write (r, reg, take (in, size), size);
          virtio_rig_read (r, reg, size);
        }
      break;
    case OP_MEMORY:
      rig_store (&r->rig, place (in), take (in, size), size);
      break;
    case OP_CONFIG:
      virtio_rig_set_config (r, take (in, 1) & 0xfc, take (in, 4), 4);
      break;
    case OP_WAIT:
      rig_advance (&r->rig, (int64_t) take (in, 2) * VM_NS_PER_MS);
      if (vm_display_console (r->rig.env.display, 0))
        vm_console_refresh_now (vm_display_console (r->rig.env.display, 0));
      audio_double_tick_all (op >> 3 & 31);
      virtio_rig_settle (r);
      break;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  const Target *target = find_target ();
  Input in = { data, size };
  VirtioRig rig, *r = &rig;

  virtio_rig_init (r);
  virtio_rig_make_drive (r, 2 * VM_MIB);
  virtio_rig_add (r, target->type, target->props);
  if (target->fit)
    target->fit (r, &r->dev->vdev->parent);
  virtio_rig_start (r, UINT64_MAX, MIN (6, r->dev->vdev->n_queues), 16);
  while (in.left)
    step (r, &in);
  virtio_rig_settle (r);
  virtio_rig_clear (r);
}
