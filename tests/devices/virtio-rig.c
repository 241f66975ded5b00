/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bench of virtio devices: see virtio-rig.h. */
#include "tests/devices/virtio-rig.h"

#include "engine/display/display.h"

#include <glib/gstdio.h>
#include <unistd.h>

enum { DESC = 0, DRIVER = 0x4000, DEVICE = 0x8000, TABLES = 0xc000 }; /* in a queue's memory; page by page for legacy */

void
virtio_rig_init (VirtioRig *r)
{
  memset (r, 0, sizeof *r);
  rig_init (&r->rig, VIRTIO_RIG_RAM);
  r->rig.env.display = vm_display_new (r->rig.env.loop, r->rig.env.clocks);
  r->host = (VmI440fxHost *) vm_device_new (&vm_i440fx_host_type);
  r->host->ram = &r->rig.ram;
  r->host->below_4g = VIRTIO_RIG_RAM;
  rig_add (&r->rig, r->host, NULL);
  r->bridge = (VmI440fx *) vm_pci_new (&vm_i440fx_type, 0, false);
  rig_add (&r->rig, r->bridge, &r->host->bus.parent);
  r->piix3 = (VmPiix3 *) vm_pci_new (&vm_piix3_type, VM_PCI_DEVFN (1, 0), true);
  rig_add (&r->rig, r->piix3, &r->host->bus.parent);
}

void
virtio_rig_make_drive (VirtioRig *r, uint64_t size)
{
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("vitrine-virtio-XXXXXX", &r->path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  close (fd);
  VmDriveOptions options = { .id = "d", .file = r->path, .format = "raw" };
  r->drive = vm_drive_new (r->rig.env.root, r->rig.env.loop, &options, &error);
  g_assert_no_error (error);
}

uint32_t
virtio_rig_config (VirtioRig *r, unsigned reg, unsigned size)
{
  rig_out (&r->rig, 0xcf8, 0x80000000 | VIRTIO_RIG_DEVFN << 8 | (reg & 0xfc), 4);
  return rig_in (&r->rig, (uint16_t) (0xcfc + (reg & 3)), size);
}

void
virtio_rig_set_config (VirtioRig *r, unsigned reg, uint32_t value, unsigned size)
{
  rig_out (&r->rig, 0xcf8, 0x80000000 | VIRTIO_RIG_DEVFN << 8 | (reg & 0xfc), 4);
  rig_out (&r->rig, (uint16_t) (0xcfc + (reg & 3)), value, size);
}

void
virtio_rig_add (VirtioRig *r, const VmType *type, const char *const *props)
{
  g_autoptr (GError) error = NULL;
  VmPciDevice *dev = vm_pci_new (type, VIRTIO_RIG_DEVFN, false);

  dev->parent.parent.scope = r->rig.env.root;
  for (; props && *props; props += 2)
    {
      vm_object_set (&dev->parent.parent, props[0], props[1], &error);
      g_assert_no_error (error);
    }
  rig_add (&r->rig, dev, &r->host->bus.parent);
  r->dev = (VmVirtioPci *) dev;
  virtio_rig_set_config (r, PCI_BAR0, VIRTIO_RIG_LEGACY, 4);
  virtio_rig_set_config (r, PCI_BAR0 + 4, 0xfe000000, 4);
  virtio_rig_set_config (r, PCI_BAR0 + 16, (uint32_t) VIRTIO_RIG_MODERN, 4);
  virtio_rig_set_config (r, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

void
virtio_rig_settle (VirtioRig *r)
{
  for (int i = 0; i < 3; i++)
    {
      if (r->drive && r->drive->block)
        vm_block_drain (r->drive->block);
      while (vm_loop_iterate (r->rig.env.loop, false))
        ;
    }
}

void
virtio_rig_clear (VirtioRig *r)
{
  rig_remove (r->dev);
  virtio_rig_settle (r);
  rig_remove (r->host);
  vm_display_free (r->rig.env.display);
  rig_clear (&r->rig);
  if (r->path)
    g_unlink (r->path);
  g_free (r->path);
}

uint32_t
virtio_rig_read (VirtioRig *r, unsigned reg, unsigned size)
{
  return (uint32_t) rig_load (&r->rig, VIRTIO_RIG_MODERN + reg, size);
}

void
virtio_rig_write (VirtioRig *r, unsigned reg, uint32_t value, unsigned size)
{
  rig_store (&r->rig, VIRTIO_RIG_MODERN + reg, value, size);
}

/* --- a driver ------------------------------------------------------------------------------------------- */

static bool
has (const VirtioRig *r, unsigned feature)
{
  return r->features >> feature & 1;
}

static void
legacy_set_queue (VirtioRig *r, unsigned n)
{
  rig_out (&r->rig, VIRTIO_RIG_LEGACY + 14, n, 2);
  r->queue[n].num = (uint16_t) rig_in (&r->rig, VIRTIO_RIG_LEGACY + 12, 2);
  rig_out (&r->rig, VIRTIO_RIG_LEGACY + 8, r->queue[n].base >> 12, 4);
}

/* Where the three areas are. */
static uint32_t
area (const VirtioRig *r, const VirtioRigQueue *q, uint32_t which)
{
  if (!r->legacy)
    return q->base + which;
  if (which == DESC)
    return q->base;
  return which == DRIVER ? q->base + 16u * q->num : (uint32_t) VM_ALIGN_UP (q->base + 18u * q->num + 6, 4096);
}

void
virtio_rig_set_queue (VirtioRig *r, unsigned n, uint16_t num)
{
  VirtioRigQueue *q = &r->queue[n];
  static const uint32_t registers[] = { MODERN_Q_DESC, MODERN_Q_DRIVER, MODERN_Q_DEVICE };

  *q = (VirtioRigQueue) { .base = VIRTIO_RIG_QUEUE (n), .num = num, .wrap = true, .used_wrap = true };
  for (uint32_t at = 0; at < 0x10000; at += 8)
    rig_store (&r->rig, q->base + at, 0, 8);
  if (r->legacy)
    {
      legacy_set_queue (r, n);
      return;
    }
  virtio_rig_write (r, MODERN_Q_SELECT, n, 2);
  virtio_rig_write (r, MODERN_Q_SIZE, num, 2);
  for (unsigned i = 0; i < 3; i++)
    {
      virtio_rig_write (r, registers[i], q->base + 0x4000 * i, 4);
      virtio_rig_write (r, registers[i] + 4, 0, 4);
    }
  virtio_rig_write (r, MODERN_Q_ENABLE, 1, 2);
}

static void
set_status (VirtioRig *r, uint8_t status)
{
  if (r->legacy)
    rig_outb (&r->rig, VIRTIO_RIG_LEGACY + 18, status);
  else
    virtio_rig_write (r, MODERN_STATUS, status, 1);
}

static void
negotiate (VirtioRig *r, uint64_t wanted)
{
  if (r->legacy)
    {
      r->features = wanted & rig_in (&r->rig, VIRTIO_RIG_LEGACY, 4);
      rig_out (&r->rig, VIRTIO_RIG_LEGACY + 4, (uint32_t) r->features, 4);
      return;
    }
  r->features = 0;
  for (unsigned i = 0; i < 2; i++)
    {
      virtio_rig_write (r, MODERN_DF_SELECT, i, 4);
      r->features |= (uint64_t) virtio_rig_read (r, MODERN_DF, 4) << 32 * i;
    }
  r->features &= wanted | VM_BIT (VIRTIO_F_VERSION_1);
  for (unsigned i = 0; i < 2; i++)
    {
      virtio_rig_write (r, MODERN_GF_SELECT, i, 4);
      virtio_rig_write (r, MODERN_GF, (uint32_t) (r->features >> 32 * i), 4);
    }
  set_status (r, 11);
}

void
virtio_rig_start (VirtioRig *r, uint64_t wanted, unsigned n, uint16_t num)
{
  set_status (r, 0);
  set_status (r, 3);
  negotiate (r, wanted);
  for (unsigned i = 0; i < n; i++)
    virtio_rig_set_queue (r, i, num);
  set_status (r, r->legacy ? 7 : 15);
}

static void
put_desc (VirtioRig *r, uint32_t at, const VirtioRigPiece *piece, uint16_t third, uint16_t fourth)
{
  rig_store (&r->rig, at, piece->addr, 8);
  rig_store (&r->rig, at + 8, piece->len, 4);
  rig_store (&r->rig, at + 12, third, 2);
  rig_store (&r->rig, at + 14, fourth, 2);
}

/* A table of its own; the piece that stands for it. */
static VirtioRigPiece
put_table (VirtioRig *r, const VirtioRigQueue *q, const VirtioRigPiece *pieces, unsigned n)
{
  uint32_t table = q->base + TABLES + 256u * (q->next % 32u);

  for (unsigned i = 0; i < n; i++)
    {
      uint16_t flags = (uint16_t) ((pieces[i].write ? 2 : 0) | (i + 1 < n && !has (r, VIRTIO_F_RING_PACKED) ? 1 : 0));

      if (has (r, VIRTIO_F_RING_PACKED))
        put_desc (r, table + 16 * i, &pieces[i], 0, flags);
      else
        put_desc (r, table + 16 * i, &pieces[i], flags, (uint16_t) (i + 1));
    }
  return (VirtioRigPiece) { table, 16 * n, false };
}

static void
add_packed (VirtioRig *r, VirtioRigQueue *q, const VirtioRigPiece *pieces, unsigned n, bool indirect)
{
  uint16_t first = q->next, first_flags = 0;

  q->chains[q->last++] = (uint8_t) n;
  for (unsigned i = 0; i < n; i++)
    {
      uint16_t flags = (uint16_t) ((pieces[i].write ? 2 : 0) | (i + 1 < n ? 1 : 0) | (indirect ? 4 : 0)
                                   | (q->wrap ? 1 << 7 : 1 << 15));

      if (i == 0)
        first_flags = flags;
      put_desc (r, area (r, q, DESC) + 16u * q->next, &pieces[i], (uint16_t) (0x100 + first), i ? flags : 0);
      if (++q->next == q->num)
        {
          q->next = 0;
          q->wrap = !q->wrap;
        }
    }
  rig_store (&r->rig, area (r, q, DESC) + 16u * first + 14, first_flags, 2);
}

static void
add_split (VirtioRig *r, VirtioRigQueue *q, const VirtioRigPiece *pieces, unsigned n, bool indirect)
{
  uint32_t avail = area (r, q, DRIVER);
  uint16_t idx = (uint16_t) rig_load (&r->rig, avail + 2, 2), head = q->next;

  for (unsigned i = 0; i < n; i++)
    {
      uint16_t at = q->next, following = (uint16_t) ((at + 1) % q->num);
      uint16_t flags = (uint16_t) ((pieces[i].write ? 2 : 0) | (i + 1 < n ? 1 : 0) | (indirect ? 4 : 0));

      put_desc (r, area (r, q, DESC) + 16u * at, &pieces[i], flags, following);
      q->next = following;
    }
  rig_store (&r->rig, avail + 4 + 2u * (idx % q->num), head, 2);
  rig_store (&r->rig, avail + 2, (uint16_t) (idx + 1), 2);
}

void
virtio_rig_add_chain (VirtioRig *r, unsigned queue, const VirtioRigPiece *pieces, unsigned n, bool indirect)
{
  VirtioRigQueue *q = &r->queue[queue];
  VirtioRigPiece table;

  if (indirect)
    {
      table = put_table (r, q, pieces, n);
      pieces = &table;
      n = 1;
    }
  if (has (r, VIRTIO_F_RING_PACKED))
    add_packed (r, q, pieces, n, indirect);
  else
    add_split (r, q, pieces, n, indirect);
}

void
virtio_rig_ring (VirtioRig *r, unsigned queue)
{
  if (r->legacy)
    rig_out (&r->rig, VIRTIO_RIG_LEGACY + 16, queue, 2);
  else
    virtio_rig_write (r, MODERN_NOTIFY + 4 * queue, queue, 2);
  virtio_rig_settle (r);
}

/* Chains come back in the order given, as far as this driver looks: the slots of the oldest are the next ones. */
int64_t
virtio_rig_take (VirtioRig *r, unsigned queue)
{
  VirtioRigQueue *q = &r->queue[queue];
  uint32_t at;
  uint16_t flags;

  if (!has (r, VIRTIO_F_RING_PACKED))
    {
      uint32_t used = area (r, q, DEVICE);

      if ((uint16_t) rig_load (&r->rig, used + 2, 2) == q->used)
        return -1;
      return (int64_t) rig_load (&r->rig, used + 4 + 8u * (q->used++ % q->num) + 4, 4);
    }
  at = area (r, q, DESC) + 16u * q->used;
  flags = (uint16_t) rig_load (&r->rig, at + 14, 2);
  if ((flags >> 7 & 1) != q->used_wrap || (flags >> 15 & 1) != q->used_wrap)
    return -1;
  q->used += q->chains[q->first++];
  if (q->used >= q->num)
    {
      q->used -= q->num;
      q->used_wrap = !q->used_wrap;
    }
  return (int64_t) rig_load (&r->rig, at + 8, 4);
}
