/* SPDX-License-Identifier: GPL-3.0-or-later */
/* New VMDK images (VMware "Virtual Disk Format" 1.1): descriptor, headers, directories and tables of grains. */
#include "block/formats/vmdk-private.h"

#include <inttypes.h>

enum
{
  GRAIN = 128, /* sectors */
  DESCRIPTOR_AT = 1,
  DESCRIPTOR_LEN = 20,
  TABLE = VMDK_ENTRIES * 4 / 512,
};
#define SPLIT (2 * VM_GIB)

const VmCreateOption vm_vmdk_create_options[] = {
  { "adapter_type", 's', NULL, "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX",
    false },
  { "backing_file", 's', NULL, "File name of a base image", false },
  { "backing_fmt", 's', NULL, "Must be 'vmdk' if present", false },
  { "compat6", 'b', "off", "VMDK version 6 image", false },
  { "hwversion", 's', "undefined", "VMDK hardware version", false },
  { "toolsversion", 's', NULL, "VMware guest tools version", false },
  { "subformat", 's', NULL,
    "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | twoGbMaxExtentSparse | "
    "twoGbMaxExtentFlat | streamOptimized} ",
    false },
  { "zeroed_grain", 'b', NULL, "Enable efficient zero writes using the zeroed-grain GTE feature", false },
  { 0 },
};

typedef struct Plan
{
  VmBlockGraph *graph;
  const VmCreateValues *values;
  const char *subformat, *adapter, *backing;
  const char *hwversion, *toolsversion;
  bool flat, split, compressed, zeroed;
  uint64_t size;
  uint32_t parent_cid;
} Plan;

static uint32_t
flags_of (const Plan *p)
{
  return VMDK_FLAG_LINE_ENDS | VMDK_FLAG_REDUNDANT | (p->zeroed ? VMDK_FLAG_ZEROED : 0)
         | (p->compressed ? VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS : 0);
}

/* Tables of grains for a disk of SIZE bytes. */
static uint64_t
tables_of (uint64_t size)
{
  return (size / 512 + GRAIN * VMDK_ENTRIES - 1) / (GRAIN * VMDK_ENTRIES);
}

/* The directory at sector AT of the COUNT tables that follow it. */
static bool
write_directory (VmNode *file, uint64_t at, uint64_t count, GError **error)
{
  uint64_t sectors = (count * 4 + 511) / 512;
  g_autofree uint8_t *directory = g_try_malloc0 (sectors * 512);

  if (!directory)
    return vm_fail (error, "VMDK image too large");
  for (uint64_t i = 0; i < count; i++)
    vm_store_le32 (directory + 4 * i, at + sectors + i * TABLE);
  return vm_file_write_header (file, at * 512, directory, sectors * 512, error);
}

/* An empty sparse extent of SIZE bytes; DESCRIPTOR NULL: in a file of its own. */
static bool
write_sparse (VmNode *file, const Plan *p, uint64_t size, const char *descriptor, GError **error)
{
  uint64_t sectors = (size + 511) / 512, tables = tables_of (size), directory_len = (tables * 4 + 511) / 512;
  uint64_t redundant = DESCRIPTOR_AT + DESCRIPTOR_LEN, directory = redundant + directory_len + tables * TABLE;
  uint64_t overhead = VM_ALIGN_UP (directory + directory_len + tables * TABLE, GRAIN);
  uint8_t h[VMDK_HEADER] = VMDK_MAGIC;

  vm_store_le32 (h + VMDK_AT_VERSION, p->compressed ? 3 : p->zeroed ? 2 : 1);
  vm_store_le32 (h + VMDK_AT_FLAGS, flags_of (p));
  vm_store_le64 (h + VMDK_AT_CAPACITY, sectors);
  vm_store_le64 (h + VMDK_AT_GRAIN, GRAIN);
  vm_store_le64 (h + VMDK_AT_DESCRIPTOR, DESCRIPTOR_AT);
  vm_store_le64 (h + VMDK_AT_DESCRIPTOR_LEN, DESCRIPTOR_LEN);
  vm_store_le32 (h + VMDK_AT_ENTRIES, VMDK_ENTRIES);
  vm_store_le64 (h + VMDK_AT_REDUNDANT, redundant);
  vm_store_le64 (h + VMDK_AT_DIRECTORY, directory);
  vm_store_le64 (h + VMDK_AT_OVERHEAD, overhead);
  memcpy (h + VMDK_AT_LINE_ENDS, VMDK_LINE_ENDS, 4);
  vm_store_le16 (h + VMDK_AT_ALGORITHM, p->compressed);
  int err = vm_file_zero (file, 0, overhead * 512);
  if (err)
    return vm_fail (error, "Could not write the image: %s", g_strerror (-err));
  if (descriptor && strlen (descriptor) > DESCRIPTOR_LEN * 512)
    return vm_fail (error, "The descriptor of the VMDK image is too long");
  return write_directory (file, redundant, tables, error) && write_directory (file, directory, tables, error)
         && (!descriptor || vm_file_write_header (file, DESCRIPTOR_AT * 512, descriptor, strlen (descriptor), error))
         && vm_file_write_header (file, 0, h, VMDK_HEADER, error);
}

static char *
make_descriptor (const Plan *p, const char *extents)
{
  unsigned heads = strcmp (p->adapter, "ide") ? 255 : 16;
  g_autofree char *parent = p->backing ? g_strdup_printf ("parentFileNameHint=\"%s\"\n", p->backing) : g_strdup ("");

  return g_strdup_printf ("# Disk DescriptorFile\n"
                          "version=1\n"
                          "CID=%08x\n"
                          "parentCID=%08x\n"
                          "createType=\"%s\"\n"
                          "%s\n"
                          "# Extent description\n"
                          "%s\n"
                          "# The Disk Data Base\n"
                          "#DDB\n\n"
                          "ddb.virtualHWVersion = \"%s\"\n"
                          "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
                          "ddb.geometry.heads = \"%u\"\n"
                          "ddb.geometry.sectors = \"63\"\n"
                          "ddb.adapterType = \"%s\"\n"
                          "ddb.toolsVersion = \"%s\"\n",
                          (unsigned) g_random_int_range (1, INT32_MAX), p->parent_cid, p->subformat, parent, extents,
                          p->hwversion, p->size / 512 / 63 / heads, heads, p->adapter, p->toolsversion);
}

static bool
make_extent (const Plan *p, const char *path, uint64_t size, GError **error)
{
  const VmBlockDriver *driver = vm_graph_find_driver (p->graph, "file");

  if (!driver->create (p->graph, NULL, path, p->flat ? size : 0, p->values, error))
    return false;
  if (p->flat)
    return true;
  json_object *options = json_object_new_object ();
  json_object_object_add (options, "driver", json_object_new_string ("file"));
  json_object_object_add (options, "filename", json_object_new_string (path));
  VmNode *file = vm_node_open (p->graph, options, VM_SCHEMA_JSON, 0, error);
  json_object_put (options);
  if (!file)
    return false;
  /* Whoever writes to it has to be known to it. */
  static const VmRootClass root = { .kind = "job" };
  VmEdge *edge = vm_node_attach_root (file, "create", &root, NULL, VM_PERM_WRITE | VM_PERM_RESIZE, VM_PERM_ALL, error);
  bool ok = edge && write_sparse (file, p, size, NULL, error);
  if (edge)
    vm_node_detach (edge);
  vm_node_unref (file);
  return ok;
}

/* The files beside the descriptor, and the lines that name them. */
static char *
make_extents (const Plan *p, const char *name, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (name), *base = g_path_get_basename (name);
  g_autoptr (GString) lines = g_string_new (NULL);

  if (g_str_has_suffix (base, ".vmdk"))
    base[strlen (base) - 5] = 0;
  if (strpbrk (base, "\"\n\r"))
    {
      vm_fail (error, "The name of a split VMDK image must not have quotes or line ends");
      return NULL;
    }
  uint64_t done = 0;
  for (unsigned i = 1; done < p->size || i == 1; i++)
    {
      uint64_t size = p->split ? MIN (SPLIT, p->size - done) : p->size;
      g_autofree char *extent = p->split ? g_strdup_printf ("%s-%c%03u.vmdk", base, p->flat ? 'f' : 's', i)
                                         : g_strdup_printf ("%s-flat.vmdk", base);
      g_autofree char *path = g_build_filename (dir, extent, NULL);
      if (!make_extent (p, path, size, error))
        return NULL;
      g_string_append_printf (lines, "RW %" PRIu64 " %s \"%s\"%s\n", (size + 511) / 512, p->flat ? "FLAT" : "SPARSE",
                              extent, p->flat ? " 0" : "");
      done += size;
    }
  return g_string_free (g_steal_pointer (&lines), FALSE);
}

static bool
find_parent (Plan *p, const char *name, GError **error)
{
  p->parent_cid = VMDK_NO_PARENT;
  if (!p->backing)
    return true;
  if (strpbrk (p->backing, "\"\n\r"))
    return vm_fail (error, "The name of the backing file must not have quotes or line ends");
  /* Relative names are seen from the folder of the image. */
  g_autofree char *dir = g_path_get_dirname (name);
  g_autofree char *path = g_path_is_absolute (p->backing) || strchr (p->backing, ':')
                              ? g_strdup (p->backing)
                              : g_build_filename (dir, p->backing, NULL);
  VmNode *parent = vm_node_open_name (p->graph, path, NULL, NULL, VM_OPEN_READONLY | VM_OPEN_NO_BACKING, error);
  if (!parent)
    return false;
  bool ok = !strcmp (parent->driver->name, "vmdk");
  if (ok)
    p->parent_cid = ((const Vmdk *) parent->state)->cid;
  vm_node_unref (parent);
  return ok || vm_fail (error, "backing_file must be a vmdk image");
}

static bool
make_plan (Plan *p, GError **error)
{
  static const char *const subformats[]
      = { "monolithicFlat", "monolithicSparse", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", NULL };
  static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", NULL };
  const char *subformat = vm_create_text (p->values, "subformat"),
             *adapter = vm_create_text (p->values, "adapter_type");
  const char *hwversion = vm_create_text (p->values, "hwversion"), *tools = vm_create_text (p->values, "toolsversion");
  bool compat6 = vm_create_bool (p->values, "compat6");
  bool has_hwversion = hwversion && strcmp (hwversion, "undefined");

  p->subformat = subformat ? subformat : "monolithicSparse";
  p->adapter = adapter ? adapter : "ide";
  p->toolsversion = tools ? tools : "2147483647";
  p->backing = vm_create_text (p->values, "backing_file");
  p->zeroed = vm_create_bool (p->values, "zeroed_grain");
  if (!g_strv_contains (subformats, p->subformat))
    return vm_fail (error, "invalid parameter value: %s", p->subformat);
  if (!g_strv_contains (adapters, p->adapter))
    return vm_fail (error, "invalid parameter value: %s", p->adapter);
  if (compat6 && has_hwversion)
    return vm_fail (error, "compat6 cannot be enabled with hwversion set");
  if (strpbrk (p->toolsversion, "\"\n\r") || (hwversion && strpbrk (hwversion, "\"\n\r")))
    return vm_fail (error, "invalid parameter value: %s", p->toolsversion);
  p->hwversion = compat6 ? "6" : has_hwversion ? hwversion : "4";
  p->split = g_str_has_prefix (p->subformat, "twoGb");
  p->flat = g_str_has_suffix (p->subformat, "Flat");
  p->compressed = !strcmp (p->subformat, "streamOptimized");
  if (p->flat && p->backing)
    return vm_fail (error, "Flat image can't have backing file");
  if (p->flat && p->zeroed)
    return vm_fail (error, "Flat image can't enable zeroed grain");
  if ((p->flat || p->split) && p->size > 1000 * SPLIT)
    return vm_fail (error, "The VMDK image would have too many extents");
  /* The first grain's sector has 32 bits, and two directories with their tables lie before it. */
  if (!p->flat && !p->split && tables_of (p->size) > UINT32_MAX / (2 * (TABLE + 1)))
    return vm_fail (error, "L1 size too big");
  return true;
}

bool
vm_vmdk_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                GError **error)
{
  Plan p = { .graph = graph, .values = values, .size = VM_ALIGN_UP (size, 512) };
  g_autofree char *extents = NULL, *descriptor = NULL;

  if (!make_plan (&p, error) || !find_parent (&p, name, error))
    return false;
  if (!file)
    return true;
  if (p.flat || p.split)
    {
      extents = make_extents (&p, name, error);
      if (!extents)
        return false;
      descriptor = make_descriptor (&p, extents);
      return vm_file_write_header (file, 0, descriptor, strlen (descriptor), error);
    }
  g_autofree char *base = g_path_get_basename (name);
  extents = g_strdup_printf ("RW %" PRIu64 " SPARSE \"%s\"\n", p.size / 512, base);
  descriptor = make_descriptor (&p, extents);
  return write_sparse (file, &p, p.size, descriptor, error);
}
