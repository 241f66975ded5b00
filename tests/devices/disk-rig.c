/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bench of disk controllers: see disk-rig.h. */
#include "tests/devices/disk-rig.h"

#include <glib/gstdio.h>
#include <unistd.h>

void
disk_rig_init (DiskRig *r)
{
  memset (r, 0, sizeof *r);
  rig_init (&r->rig, DISK_RIG_RAM);
  r->paths = g_ptr_array_new_with_free_func (g_free);
  r->host = (VmI440fxHost *) vm_device_new (&vm_i440fx_host_type);
  r->host->ram = &r->rig.ram;
  r->host->below_4g = DISK_RIG_RAM;
  rig_add (&r->rig, r->host, NULL);
  r->bridge = (VmI440fx *) vm_pci_new (&vm_i440fx_type, 0, false);
  rig_add (&r->rig, r->bridge, &r->host->bus.parent);
  r->piix3 = (VmPiix3 *) vm_pci_new (&vm_piix3_type, VM_PCI_DEVFN (1, 0), true);
  rig_add (&r->rig, r->piix3, &r->host->bus.parent);
}

VmDrive *
disk_rig_drive (DiskRig *r, const char *id, uint64_t size, bool cdrom)
{
  g_autofree uint8_t *bytes = g_malloc0 (size);
  g_autoptr (GError) error = NULL;
  char *path;
  int fd = g_file_open_tmp ("vitrine-disk-XXXXXX", &path, &error);

  g_assert_no_error (error);
  for (uint64_t at = 0; at < size; at += DISK_RIG_BLOCK)
    vm_store_le32 (bytes + at, (uint32_t) (at / DISK_RIG_BLOCK));
  g_assert_cmpint (write (fd, bytes, size), ==, (ssize_t) size);
  close (fd);

  VmDriveOptions options = { .id = id, .file = path, .format = "raw", .cdrom = cdrom, .readonly = cdrom };
  VmDrive *drive = vm_drive_new (r->rig.env.root, r->rig.env.loop, &options, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (r->paths->len, <, G_N_ELEMENTS (r->drives));
  r->drives[r->paths->len] = drive;
  g_ptr_array_add (r->paths, path);
  return drive;
}

uint8_t *
disk_rig_bytes (DiskRig *r, const char *id, uint64_t offset, size_t len)
{
  uint8_t *bytes = g_malloc (len);

  for (guint i = 0; i < r->paths->len; i++)
    if (!strcmp (r->drives[i]->parent.id, id))
      {
        FILE *file = fopen (g_ptr_array_index (r->paths, i), "rb");

        g_assert_nonnull (file);
        g_assert_cmpint (fseek (file, (long) offset, SEEK_SET), ==, 0);
        g_assert_cmpuint (fread (bytes, 1, len, file), ==, len);
        fclose (file);
      }
  return bytes;
}

static void
set_props (DiskRig *r, VmObject *obj, const char *const *props)
{
  g_autoptr (GError) error = NULL;

  obj->scope = r->rig.env.root;
  for (; props && *props; props += 2)
    {
      vm_object_set (obj, props[0], props[1], &error);
      g_assert_no_error (error);
    }
}

void
disk_rig_add (DiskRig *r, const VmType *type, unsigned bar, const char *const *props)
{
  VmPciDevice *dev = vm_pci_new (type, DISK_RIG_DEVFN, false);

  set_props (r, &dev->parent.parent, props);
  rig_add (&r->rig, dev, &r->host->bus.parent);
  r->dev = dev;
  disk_rig_set_config (r, PCI_BAR0 + 4 * bar, (uint32_t) DISK_RIG_BAR, 4);
  disk_rig_set_config (r, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

VmDevice *
disk_rig_plug (DiskRig *r, const VmType *type, unsigned bus, const char *const *props)
{
  VmDevice *dev = vm_device_new (type);

  set_props (r, &dev->parent, props);
  rig_add (&r->rig, dev, g_ptr_array_index (r->dev->parent.buses, bus));
  return dev;
}

void
disk_rig_settle (DiskRig *r)
{
  for (int i = 0; i < 4; i++)
    {
      for (size_t n = 0; n < G_N_ELEMENTS (r->drives); n++)
        if (r->drives[n] && r->drives[n]->block)
          vm_block_drain (r->drives[n]->block);
      rig_advance (&r->rig, VM_NS_PER_US);
      while (vm_loop_iterate (r->rig.env.loop, false))
        ;
    }
}

void
disk_rig_clear (DiskRig *r)
{
  if (r->dev)
    rig_remove (r->dev);
  disk_rig_settle (r);
  rig_remove (r->host);
  rig_clear (&r->rig);
  for (guint i = 0; i < r->paths->len; i++)
    g_unlink (g_ptr_array_index (r->paths, i));
  g_ptr_array_unref (r->paths);
}

uint32_t
disk_rig_config (DiskRig *r, unsigned reg, unsigned size)
{
  rig_out (&r->rig, 0xcf8, 0x80000000 | DISK_RIG_DEVFN << 8 | (reg & 0xfc), 4);
  return rig_in (&r->rig, (uint16_t) (0xcfc + (reg & 3)), size);
}

void
disk_rig_set_config (DiskRig *r, unsigned reg, uint32_t value, unsigned size)
{
  rig_out (&r->rig, 0xcf8, 0x80000000 | DISK_RIG_DEVFN << 8 | (reg & 0xfc), 4);
  rig_out (&r->rig, (uint16_t) (0xcfc + (reg & 3)), value, size);
}

void
disk_rig_poke (DiskRig *r, uint64_t addr, const void *data, size_t len)
{
  g_assert_cmpint (vm_as_write (&r->rig.memory_as, addr, VM_MEM_ATTRS_NONE, data, len), ==, VM_MEM_OK);
}

void
disk_rig_peek (DiskRig *r, uint64_t addr, void *data, size_t len)
{
  g_assert_cmpint (vm_as_read (&r->rig.memory_as, addr, VM_MEM_ATTRS_NONE, data, len), ==, VM_MEM_OK);
}
