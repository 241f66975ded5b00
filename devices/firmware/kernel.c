/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Direct kernel boot: Linux x86 boot protocol (bzImage), Multiboot Specification 0.6.96, and the PVH entry of Xen's
 * x86/HVM direct boot ABI. The guest's BIOS runs first; a boot ROM then copies what is prepared here. */
#include "devices/firmware/kernel.h"
#include "devices/firmware/elf-image.h"
#include "resources/resources.h"

#include <errno.h>

/* The BIOS puts its tables at the top of low RAM: initial RAM disks keep away. */
#define BIOS_RESERVE VM_MIB
#define INFO_ADDRESS 0x10000u       /* boot information of Multiboot and PVH */
#define INFO_MAX     0x70000u
#define MMAP_ENTRIES 64
#define MMAP_ENTRY   24

/* --- files -------------------------------------------------------------------------------------- */

static GBytes *
kernel_map_file (const char *path, GError **error)
{
  g_autoptr (GMappedFile) mapped = g_mapped_file_new (path, FALSE, error);

  return mapped ? g_mapped_file_get_bytes (mapped) : NULL;
}

static GBytes *
kernel_open (const char *path, GError **error)
{
  g_autoptr (GError) local = NULL;
  GBytes *bytes;

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    {
      vm_fail (error, "qemu: could not load kernel '%s': %s", path, g_strerror (EISDIR));
      return NULL;
    }
  bytes = kernel_map_file (path, &local);
  if (!bytes)
    {
      int saved = errno;

      /* GLib's sentence repeats the path; the reason alone is what people know. */
      const char *why = g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT)    ? g_strerror (ENOENT)
                        : g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_ACCES) ? g_strerror (EACCES)
                        : saved                                                     ? g_strerror (saved)
                                                                                    : local->message;
      vm_fail (error, "qemu: could not open kernel file '%s': %s", path, why);
    }
  return bytes;
}

static GBytes *
initrd_open (const char *path, GError **error)
{
  g_autoptr (GError) local = NULL;
  GBytes *bytes = kernel_map_file (path, &local);

  if (!bytes)
    vm_fail (error, "qemu: error reading initrd %s: %s", path, local->message);
  return bytes;
}

static bool
kernel_add_rom (VmMachine *machine, VmFwCfg *fw, const char *name, GError **error)
{
  const VmResource *rom = vm_resource_find (name);
  g_autofree char *file = g_strdup_printf ("genroms/%s", name);
  g_autofree char *path = g_strdup_printf ("/rom@%s", file);

  g_assert (rom);
  return vm_fw_cfg_add_file (fw, file, rom->data, rom->size, error)
         && vm_machine_add_boot_device (machine, 0, NULL, path, error);
}

static void
kernel_add_part (VmFwCfg *fw, uint16_t addr_key, uint32_t addr, uint16_t size_key, uint16_t data_key, GBytes *data)
{
  vm_fw_cfg_add_u32 (fw, addr_key, addr);
  vm_fw_cfg_add_u32 (fw, size_key, g_bytes_get_size (data));
  vm_fw_cfg_add_shared (fw, data_key, data);
}

/* --- bzImage ------------------------------------------------------------------------------------- */

enum { /* offsets in the setup header */
  HDR_SETUP_SECTS = 0x1f1, HDR_VID_MODE = 0x1fa, HDR_BOOT_FLAG = 0x1fe, HDR_MAGIC = 0x202, HDR_VERSION = 0x206,
  HDR_TYPE_OF_LOADER = 0x210, HDR_LOADFLAGS = 0x211, HDR_RAMDISK_IMAGE = 0x218, HDR_RAMDISK_SIZE = 0x21c,
  HDR_HEAP_END_PTR = 0x224, HDR_CMD_LINE_PTR = 0x228, HDR_INITRD_ADDR_MAX = 0x22c, HDR_CMDLINE_SIZE = 0x238,
};
enum { LOADED_HIGH = 1, CAN_USE_HEAP = 0x80 };
#define LOADER_UNDEFINED 0xff

typedef struct LinuxPlan { /* where the parts go */
  uint32_t setup, cmdline, kernel;
} LinuxPlan;

/* "vga=ask|normal|ext|NUMBER" is for the boot loader. */
static void
linux_take_vga_mode (uint8_t *setup, const char *cmdline)
{
  const char *value = cmdline;
  unsigned long mode;

  while ((value = strstr (value, "vga=")) && value != cmdline && value[-1] != ' ')
    value++;
  if (!value)
    return;
  value += 4;
  if (g_str_has_prefix (value, "normal"))
    mode = 0xffff;
  else if (g_str_has_prefix (value, "ext"))
    mode = 0xfffe;
  else if (g_str_has_prefix (value, "ask"))
    mode = 0xfffd;
  else
    mode = strtoul (value, NULL, 0);
  vm_store_le16 (setup + HDR_VID_MODE, mode);
}

static bool
linux_place_initrd (VmFwCfg *fw, uint8_t *setup, GBytes *initrd, uint32_t max, uint64_t floor, GError **error)
{
  uint64_t size = g_bytes_get_size (initrd);
  uint64_t addr;

  if (size == 0)
    return true;
  if (size > max || (addr = (max - size + 1) & VM_PAGE_MASK) < floor)
    return vm_fail (error, "qemu: initrd is too large, cannot support. (max: %" G_GUINT64_FORMAT
                           ", need %" G_GUINT64_FORMAT ")", max > floor ? max - floor : 0, size);
  kernel_add_part (fw, VM_FW_CFG_INITRD_ADDR, addr, VM_FW_CFG_INITRD_SIZE, VM_FW_CFG_INITRD_DATA, initrd);
  vm_store_le32 (setup + HDR_RAMDISK_IMAGE, addr);
  vm_store_le32 (setup + HDR_RAMDISK_SIZE, size);
  return true;
}

static bool
linux_load (VmMachine *machine, VmFwCfg *fw, GBytes *file, uint64_t low_ram_top, GError **error)
{
  const VmSettings *settings = machine->settings;
  const char *cmdline = settings->append ? settings->append : "";
  size_t size;
  const uint8_t *data = g_bytes_get_data (file, &size);

  if (size < 0x268 || vm_load_le16 (data + HDR_BOOT_FLAG) != 0xaa55 || memcmp (data + HDR_MAGIC, "HdrS", 4) != 0)
    return vm_fail (error, "qemu: invalid kernel header");

  unsigned version = vm_load_le16 (data + HDR_VERSION);
  size_t setup_size = ((data[HDR_SETUP_SECTS] ? data[HDR_SETUP_SECTS] : 4) + 1) * 512u;
  bool high = data[HDR_LOADFLAGS] & LOADED_HIGH;

  if (version < 0x200 || setup_size >= size)
    return vm_fail (error, "qemu: invalid kernel header");

  size_t cmdline_size = strlen (cmdline) + 1;
  size_t cmdline_max = version >= 0x206 ? vm_load_le32 (data + HDR_CMDLINE_SIZE) : 255;

  if (cmdline_size > cmdline_max + 1)
    return vm_fail (error, "the kernel command line is %zu bytes long, the kernel takes %zu", cmdline_size - 1,
                    cmdline_max);

  LinuxPlan plan = { .setup = 0x10000, .cmdline = 0x20000, .kernel = 0x100000 };

  if (!high)
    plan = (LinuxPlan) { 0x90000, (0x9a000 - cmdline_size) & ~15u, 0x10000 };

  uint32_t initrd_max = version >= 0x203 ? vm_load_le32 (data + HDR_INITRD_ADDR_MAX) : 0x37ffffff;
  uint64_t ram_max = low_ram_top > BIOS_RESERVE ? low_ram_top - BIOS_RESERVE - 1 : 0;

  initrd_max = MIN (initrd_max, ram_max);

  g_autofree uint8_t *setup = g_memdup2 (data, setup_size);
  g_autoptr (GBytes) kernel = g_bytes_new_from_bytes (file, setup_size, size - setup_size);
  g_autoptr (GBytes) initrd = NULL;

  setup[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
  if (version >= 0x201)
    {
      setup[HDR_LOADFLAGS] |= CAN_USE_HEAP;
      vm_store_le16 (setup + HDR_HEAP_END_PTR, plan.cmdline - plan.setup - 0x200 > 0xffff
                                                 ? 0xfe00 : plan.cmdline - plan.setup - 0x200);
    }
  if (version >= 0x202)
    vm_store_le32 (setup + HDR_CMD_LINE_PTR, plan.cmdline);
  else
    {
      vm_store_le16 (setup + 0x20, 0xa33f); /* the old protocol: magic and offset */
      vm_store_le16 (setup + 0x22, plan.cmdline - plan.setup);
    }
  linux_take_vga_mode (setup, cmdline);

  if (settings->initrd)
    {
      initrd = initrd_open (settings->initrd, error);
      if (!initrd
          || !linux_place_initrd (fw, setup, initrd, initrd_max,
                                  (uint64_t) plan.kernel + g_bytes_get_size (kernel), error))
        return false;
    }

  g_autoptr (GBytes) setup_bytes = g_bytes_new_take (g_steal_pointer (&setup), setup_size);
  g_autoptr (GBytes) cmdline_bytes = g_bytes_new (cmdline, cmdline_size);

  kernel_add_part (fw, VM_FW_CFG_KERNEL_ADDR, plan.kernel, VM_FW_CFG_KERNEL_SIZE, VM_FW_CFG_KERNEL_DATA, kernel);
  kernel_add_part (fw, VM_FW_CFG_CMDLINE_ADDR, plan.cmdline, VM_FW_CFG_CMDLINE_SIZE, VM_FW_CFG_CMDLINE_DATA,
                   cmdline_bytes);
  kernel_add_part (fw, VM_FW_CFG_SETUP_ADDR, plan.setup, VM_FW_CFG_SETUP_SIZE, VM_FW_CFG_SETUP_DATA, setup_bytes);
  return kernel_add_rom (machine, fw, "linuxboot.rom", error);
}

/* --- a growing block with known physical address ---------------------------------------------------- */

static uint32_t
block_append (GByteArray *block, uint32_t base, const void *data, size_t size, unsigned align)
{
  static const uint8_t zeros[VM_PAGE_SIZE];
  size_t pad = VM_ALIGN_UP (block->len, align) - block->len;

  g_byte_array_append (block, zeros, pad);
  uint32_t addr = base + block->len;
  if (data)
    g_byte_array_append (block, data, size);
  else
    for (; size; size -= MIN (size, sizeof zeros))
      g_byte_array_append (block, zeros, MIN (size, sizeof zeros));
  return addr;
}

/* "NAME ARGS" with the kernel's own file name, as boot loaders give it. */
static char *
kernel_command_line (const VmSettings *settings)
{
  return settings->append ? g_strdup_printf ("%s %s", settings->kernel, settings->append)
                          : g_strdup (settings->kernel);
}

/* --- Multiboot ----------------------------------------------------------------------------------- */

#define MULTIBOOT_HEADER_MAGIC 0x1badb002
enum { MBH_MEMORY_MAP = 1 << 1, MBH_VIDEO = 1 << 2, MBH_ADDRESSES = 1 << 16 };
enum { MBI_MEMORY = 1 << 0, MBI_CMDLINE = 1 << 2, MBI_MODS = 1 << 3, MBI_MMAP = 1 << 6, MBI_LOADER = 1 << 9 };
enum { MBI_FLAGS = 0, MBI_CMDLINE_AT = 16, MBI_MODS_COUNT = 20, MBI_MODS_ADDR = 24, MBI_MMAP_ADDR = 48,
       MBI_LOADER_AT = 64, MBI_SIZE = 120 };

/* Offset of the header, which lies 4-aligned in the first 8 KiB; -1: no Multiboot kernel. */
static int
multiboot_find (const uint8_t *data, size_t size)
{
  for (size_t at = 0; at + 12 <= MIN (size, 8192); at += 4)
    if (vm_load_le32 (data + at) == MULTIBOOT_HEADER_MAGIC
        && vm_load_le32 (data + at) + vm_load_le32 (data + at + 4) + vm_load_le32 (data + at + 8) == 0)
      return at;
  return -1;
}

/* The kernel by the addresses in its header instead of ELF. */
static bool
multiboot_load_flat (const uint8_t *data, size_t size, int header, uint64_t ram, VmElfImage *image, GError **error)
{
  if ((size_t) header + 32 > size)
    return vm_fail (error, "the multiboot header is cut off");

  uint32_t header_addr = vm_load_le32 (data + header + 12), load_addr = vm_load_le32 (data + header + 16);
  uint32_t load_end = vm_load_le32 (data + header + 20), bss_end = vm_load_le32 (data + header + 24);

  if (header_addr < load_addr || header_addr - load_addr > (uint32_t) header)
    return vm_fail (error, "invalid load address in the multiboot header");

  size_t from = header - (header_addr - load_addr);
  uint64_t load_size = load_end ? (uint64_t) load_end - load_addr : size - from;
  uint64_t memory = bss_end ? (uint64_t) bss_end - load_addr : load_size;

  if ((load_end && load_end < load_addr) || load_size > size - from || (bss_end && bss_end < load_addr)
      || MAX (memory, load_size) > ram)
    return vm_fail (error, "invalid load address in the multiboot header");

  image->start = load_addr;
  image->entry = vm_load_le32 (data + header + 28);
  image->data = g_byte_array_new ();
  g_byte_array_append (image->data, data + from, load_size);
  block_append (image->data, 0, NULL, memory > load_size ? memory - load_size : 0, 1);
  return true;
}

/* Modules follow the kernel, page-aligned; "FILE ARGS,FILE ARGS" with ",," for a comma. */
static bool
multiboot_add_modules (const char *list, VmElfImage *image, GByteArray *info, uint64_t ram, GError **error)
{
  g_autoptr (GArray) records = g_array_new (FALSE, FALSE, sizeof (uint32_t));
  g_autoptr (GString) item = g_string_new (NULL);

  for (const char *p = list;; p++)
    {
      if (*p == ',' && p[1] == ',')
        p++;
      else if (*p == ',' || *p == '\0')
        {
          g_autofree char *path = g_strndup (item->str, strcspn (item->str, " "));
          g_autoptr (GBytes) file = initrd_open (path, error);
          size_t size;

          if (!file)
            return false;
          const void *bytes = g_bytes_get_data (file, &size);
          if (size > ram || image->data->len > ram - size)
            return vm_fail (error, "qemu: initrd is too large, cannot support. (module %s)", path);

          uint32_t start = block_append (image->data, image->start, bytes, size, VM_PAGE_SIZE);
          uint32_t record[4] = { start, start + size,
                                 block_append (info, INFO_ADDRESS, item->str, item->len + 1, 1), 0 };

          g_array_append_vals (records, record, 4);
          g_string_truncate (item, 0);
          if (*p == '\0')
            break;
          continue;
        }
      g_string_append_c (item, *p);
    }

  uint32_t at = block_append (info, INFO_ADDRESS, records->data, records->len * 4, 16);

  vm_store_le32 (info->data + MBI_MODS_COUNT, records->len / 4);
  vm_store_le32 (info->data + MBI_MODS_ADDR, at);
  return true;
}

static bool
multiboot_load (VmMachine *machine, VmFwCfg *fw, GBytes *file, int header, uint64_t low_ram_top, GError **error)
{
  const VmSettings *settings = machine->settings;
  size_t size;
  const uint8_t *data = g_bytes_get_data (file, &size);
  uint32_t flags = vm_load_le32 (data + header + 4);
  g_auto (VmElfImage) image = { 0 };
  g_autoptr (GByteArray) info = g_byte_array_new ();
  g_autofree char *cmdline = kernel_command_line (settings);

  if (flags & MBH_ADDRESSES)
    {
      if (!multiboot_load_flat (data, size, header, low_ram_top, &image, error))
        return false;
    }
  else if (!vm_elf_is (file))
    return vm_fail (error, "invalid multiboot kernel: neither load addresses nor ELF");
  else if (!vm_elf_load (file, low_ram_top, &image, error))
    return false;
  else if (image.is64)
    return vm_fail (error, "qemu: Cannot load x86-64 image, give a 32bit one.");

  block_append (info, INFO_ADDRESS, NULL, MBI_SIZE, 1);
  uint32_t mmap = block_append (info, INFO_ADDRESS, NULL, MMAP_ENTRIES * MMAP_ENTRY, 16);
  uint32_t cmdline_at = block_append (info, INFO_ADDRESS, cmdline, strlen (cmdline) + 1, 1);
  uint32_t loader_at = block_append (info, INFO_ADDRESS, "vitrine", 8, 1);

  if (settings->initrd && !multiboot_add_modules (settings->initrd, &image, info, low_ram_top, error))
    return false;
  if (info->len > INFO_MAX)
    return vm_fail (error, "the kernel command line and module arguments are too long");
  if (image.start + image.data->len > low_ram_top)
    return vm_fail (error, "the kernel does not fit into the machine's memory");

  vm_store_le32 (info->data + MBI_FLAGS, MBI_MEMORY | MBI_CMDLINE | MBI_MMAP | MBI_LOADER
                                           | (settings->initrd ? MBI_MODS : 0));
  vm_store_le32 (info->data + MBI_CMDLINE_AT, cmdline_at);
  vm_store_le32 (info->data + MBI_LOADER_AT, loader_at);
  vm_store_le32 (info->data + MBI_MMAP_ADDR, mmap);

  g_autoptr (GBytes) image_bytes = g_byte_array_free_to_bytes (g_steal_pointer (&image.data));
  g_autoptr (GBytes) info_bytes = g_byte_array_free_to_bytes (g_steal_pointer (&info));

  kernel_add_part (fw, VM_FW_CFG_KERNEL_ADDR, image.start, VM_FW_CFG_KERNEL_SIZE, VM_FW_CFG_KERNEL_DATA, image_bytes);
  kernel_add_part (fw, VM_FW_CFG_INITRD_ADDR, INFO_ADDRESS, VM_FW_CFG_INITRD_SIZE, VM_FW_CFG_INITRD_DATA, info_bytes);
  vm_fw_cfg_add_u32 (fw, VM_FW_CFG_KERNEL_ENTRY, image.entry);
  return kernel_add_rom (machine, fw, "multiboot.rom", error);
}

/* --- PVH ----------------------------------------------------------------------------------------- */

#define PVH_MAGIC 0x336ec578
enum { PVH_VERSION_AT = 4, PVH_NR_MODULES = 12, PVH_MODLIST = 16, PVH_CMDLINE = 24, PVH_MEMMAP = 40, PVH_SIZE = 56 };

static bool
pvh_load (VmMachine *machine, VmFwCfg *fw, VmElfImage *image, uint64_t low_ram_top, GError **error)
{
  const VmSettings *settings = machine->settings;
  const char *cmdline = settings->append ? settings->append : "";
  g_autoptr (GByteArray) info = g_byte_array_new ();

  if (image->start + image->data->len > low_ram_top)
    return vm_fail (error, "the kernel does not fit into the machine's memory");

  block_append (info, INFO_ADDRESS, NULL, PVH_SIZE, 1);
  uint32_t memmap = block_append (info, INFO_ADDRESS, NULL, MMAP_ENTRIES * MMAP_ENTRY, 16);
  uint32_t cmdline_at = block_append (info, INFO_ADDRESS, cmdline, strlen (cmdline) + 1, 1);

  if (settings->initrd)
    {
      g_autoptr (GBytes) initrd = initrd_open (settings->initrd, error);
      uint64_t size, top = low_ram_top - MIN (low_ram_top, BIOS_RESERVE);
      uint64_t module[4] = { 0 };

      if (!initrd)
        return false;
      size = g_bytes_get_size (initrd);
      if (size > top || ((top - size) & VM_PAGE_MASK) < image->start + image->data->len)
        return vm_fail (error, "qemu: initrd is too large, cannot support. (need %" G_GUINT64_FORMAT ")", size);
      module[0] = (top - size) & VM_PAGE_MASK;
      module[1] = size;
      vm_store_le32 (info->data + PVH_NR_MODULES, 1);
      uint32_t at = block_append (info, INFO_ADDRESS, module, sizeof module, 16);
      vm_store_le64 (info->data + PVH_MODLIST, at);
      kernel_add_part (fw, VM_FW_CFG_INITRD_ADDR, module[0], VM_FW_CFG_INITRD_SIZE, VM_FW_CFG_INITRD_DATA, initrd);
    }
  if (info->len > INFO_MAX)
    return vm_fail (error, "the kernel command line is too long");
  vm_store_le32 (info->data, PVH_MAGIC);
  vm_store_le32 (info->data + PVH_VERSION_AT, 1);
  vm_store_le64 (info->data + PVH_CMDLINE, cmdline_at);
  vm_store_le64 (info->data + PVH_MEMMAP, memmap);

  g_autoptr (GBytes) image_bytes = g_byte_array_free_to_bytes (g_steal_pointer (&image->data));
  g_autoptr (GBytes) info_bytes = g_byte_array_free_to_bytes (g_steal_pointer (&info));

  kernel_add_part (fw, VM_FW_CFG_KERNEL_ADDR, image->start, VM_FW_CFG_KERNEL_SIZE, VM_FW_CFG_KERNEL_DATA, image_bytes);
  kernel_add_part (fw, VM_FW_CFG_SETUP_ADDR, INFO_ADDRESS, VM_FW_CFG_SETUP_SIZE, VM_FW_CFG_SETUP_DATA, info_bytes);
  vm_fw_cfg_add_u32 (fw, VM_FW_CFG_KERNEL_ENTRY, image->pvh_entry);
  return kernel_add_rom (machine, fw, "pvh.rom", error);
}

/* --- entry ----------------------------------------------------------------------------------------- */

bool
vm_kernel_load (VmMachine *machine, VmFwCfg *fw, uint64_t low_ram_top, GError **error)
{
  const VmSettings *settings = machine->settings;

  if (!settings->kernel)
    return true;

  g_autoptr (GBytes) file = kernel_open (settings->kernel, error);

  if (!file)
    return false;

  size_t size;
  const uint8_t *data = g_bytes_get_data (file, &size);
  int header = multiboot_find (data, size);

  if (header >= 0)
    return multiboot_load (machine, fw, file, header, low_ram_top, error);
  if (vm_elf_is (file))
    {
      g_auto (VmElfImage) image = { 0 };

      if (!vm_elf_load (file, low_ram_top, &image, error))
        return false;
      if (!image.has_pvh)
        return vm_fail (error, "Error loading uncompressed kernel without PVH ELF Note");
      return pvh_load (machine, fw, &image, low_ram_top, error);
    }
  return linux_load (machine, fw, file, low_ram_top, error);
}
