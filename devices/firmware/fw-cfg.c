/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The firmware configuration device at I/O ports 0x510 (selector), 0x511 (data) and 0x514 (DMA address), after
 * the published "fw_cfg" hardware specification. */
#include "devices/firmware/fw-cfg.h"

#include "engine/base/trace.h"

#define PORT_BASE     0x510
#define MAX_FILES     1024
#define NAME_SIZE     56
#define WRITE_CHANNEL 0x4000
#define ARCH_LOCAL    0x8000
#define ENTRY_MASK    0x3fff
#define NUMBERED      (VM_FW_CFG_FILE_FIRST + MAX_FILES)

enum { ID_TRADITIONAL = 1 << 0, ID_DMA = 1 << 1 };
enum { DMA_ERROR = 1 << 0, DMA_READ = 1 << 1, DMA_SKIP = 1 << 2, DMA_SELECT = 1 << 3, DMA_WRITE = 1 << 4 };

typedef struct Item {
  GBytes        *bytes;   /* read-only contents, or */
  GByteArray    *buffer;  /* those the guest may write */
  VmFwCfgWritten written;
  VmFwCfgSelect  select;
  void          *opaque;
} Item;

typedef struct File {
  char     name[NAME_SIZE];
  uint16_t key;
} File;

struct VmFwCfg {
  VmDevice parent;
  /* properties */
  bool     dma_enabled;
  uint16_t file_slots;
  /* wiring */
  VmRegion selector_region, dma_region;
  Item     items[2][NUMBERED]; /* generic and architecture-specific */
  File     files[MAX_FILES];   /* by name */
  unsigned n_files;
  /* guest state */
  uint16_t selected;
  uint32_t offset;
  uint64_t dma_address;
};

static Item *
fw_cfg_item (VmFwCfg *fw, uint16_t key)
{
  unsigned index = key & ENTRY_MASK;

  return index < NUMBERED ? &fw->items[!!(key & ARCH_LOCAL)][index] : NULL;
}

static const uint8_t *
item_data (const Item *item, size_t *size)
{
  if (item->buffer)
    {
      *size = item->buffer->len;
      return item->buffer->data;
    }
  if (item->bytes)
    return g_bytes_get_data (item->bytes, size);
  *size = 0;
  return NULL;
}

static void
item_clear (Item *item)
{
  g_clear_pointer (&item->bytes, g_bytes_unref);
  g_clear_pointer (&item->buffer, g_byte_array_unref);
  memset (item, 0, sizeof *item);
}

/* --- the guest's side --------------------------------------------------------------------------- */

static void
fw_cfg_select (VmFwCfg *fw, uint16_t key)
{
  Item *item = fw_cfg_item (fw, key);

  vm_trace (FW_CFG_SELECT, "key 0x%04x %s", key, item ? "found" : "not found");
  fw->selected = key;
  fw->offset = 0;
  if (item && item->select)
    item->select (item->opaque);
}

/* The next bytes of the selected item; past its end, zeros. */
static void
fw_cfg_take (VmFwCfg *fw, uint8_t *out, uint32_t len)
{
  Item *item = fw_cfg_item (fw, fw->selected);
  size_t size = 0;
  const uint8_t *data = item ? item_data (item, &size) : NULL;
  uint32_t have = fw->offset < size ? MIN (len, size - fw->offset) : 0;

  if (have)
    memcpy (out, data + fw->offset, have);
  memset (out + have, 0, len - have);
  fw->offset += have;
}

static uint64_t
fw_cfg_port_read (void *opaque, uint64_t offset, unsigned size)
{
  VmFwCfg *fw = opaque;
  uint8_t byte = 0xff;

  /* The selector cannot be read; the data port is one byte wide. */
  if (offset == 1)
    fw_cfg_take (fw, &byte, 1);
  return byte;
}

static void
fw_cfg_port_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  if (offset == 0 && size == 2)
    fw_cfg_select (opaque, value);
  /* Writes to the data port do nothing since the interface's second version. */
}

static const VmRegionOps fw_cfg_port_ops = {
  .read = fw_cfg_port_read,
  .write = fw_cfg_port_write,
  .valid = { .min = 1, .max = 2 },
  .impl = { .min = 1, .max = 2 },
};

static bool
fw_cfg_dma_copy_out (VmFwCfg *fw, uint64_t address, uint32_t len)
{
  uint8_t chunk[4096];

  while (len)
    {
      uint32_t n = MIN (len, sizeof chunk);

      fw_cfg_take (fw, chunk, n);
      if (vm_as_write (fw->parent.env->memory_as, address, VM_MEM_ATTRS_NONE, chunk, n) != VM_MEM_OK)
        return false;
      address += n;
      len -= n;
    }
  return true;
}

static bool
fw_cfg_dma_copy_in (VmFwCfg *fw, uint64_t address, uint32_t len)
{
  Item *item = fw_cfg_item (fw, fw->selected);

  if (!item || !item->buffer || fw->offset > item->buffer->len || len > item->buffer->len - fw->offset)
    return false;
  if (vm_as_read (fw->parent.env->memory_as, address, VM_MEM_ATTRS_NONE, item->buffer->data + fw->offset, len)
      != VM_MEM_OK)
    return false;
  fw->offset += len;
  if (item->written)
    item->written (item->opaque, item->buffer->data, item->buffer->len);
  return true;
}

static void
fw_cfg_dma_run (VmFwCfg *fw)
{
  VmAddressSpace *as = fw->parent.env->memory_as;
  uint64_t command_address = fw->dma_address;
  uint8_t command[16];
  bool ok = true;

  fw->dma_address = 0;
  if (vm_as_read (as, command_address, VM_MEM_ATTRS_NONE, command, sizeof command) != VM_MEM_OK)
    {
      uint8_t error[4];

      vm_store_be32 (error, DMA_ERROR);
      vm_as_write (as, command_address, VM_MEM_ATTRS_NONE, error, sizeof error);
      return;
    }

  uint32_t control = vm_load_be32 (command);
  uint32_t len = vm_load_be32 (command + 4);
  uint64_t address = vm_load_be64 (command + 8);
  size_t size;

  if (control & DMA_SELECT)
    fw_cfg_select (fw, control >> 16);

  Item *item = fw_cfg_item (fw, fw->selected);

  if (control & DMA_READ)
    {
      /* Bytes past the end are zeros; nobody needs more of them than the largest item is long. */
      size = 0;
      if (item)
        item_data (item, &size);
      size = fw->offset < size ? size - fw->offset : 0;
      ok = len <= size + VM_MIB && fw_cfg_dma_copy_out (fw, address, len);
    }
  else if (control & DMA_WRITE)
    ok = fw_cfg_dma_copy_in (fw, address, len);
  else if (control & DMA_SKIP)
    fw->offset = len > UINT32_MAX - fw->offset ? UINT32_MAX : fw->offset + len;

  uint8_t status[4];

  vm_store_be32 (status, ok ? 0 : DMA_ERROR);
  vm_as_write (as, command_address, VM_MEM_ATTRS_NONE, status, sizeof status);
}

/* Big-endian register: the high half at offset 0, the low half at 4, whose write starts the transfer. */
static uint64_t
fw_cfg_dma_read (void *opaque, uint64_t offset, unsigned size)
{
  static const uint8_t signature[8] = { 'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G' };
  uint64_t value = 0;

  for (unsigned i = 0; i < size && offset + i < sizeof signature; i++)
    value = value << 8 | signature[offset + i];
  return value;
}

static void
fw_cfg_dma_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmFwCfg *fw = opaque;

  if (size == 8 && offset == 0)
    fw->dma_address = value;
  else if (size == 4 && offset == 0)
    {
      fw->dma_address = value << 32;
      return;
    }
  else if (size == 4 && offset == 4)
    fw->dma_address = (fw->dma_address & ~UINT64_C (0xffffffff)) | (uint32_t) value;
  else
    return;
  fw_cfg_dma_run (fw);
}

static const VmRegionOps fw_cfg_dma_ops = {
  .read = fw_cfg_dma_read,
  .write = fw_cfg_dma_write,
  .big_endian = true,
  .valid = { .min = 1, .max = 8 },
  .impl = { .min = 1, .max = 8 },
};

static void
fw_cfg_reset (VmDevice *dev, VmResetKind kind)
{
  VmFwCfg *fw = (VmFwCfg *) dev;

  fw->selected = 0;
  fw->offset = 0;
  fw->dma_address = 0;
}

/* --- the machine's side -------------------------------------------------------------------------- */

void
vm_fw_cfg_add_shared (VmFwCfg *fw, uint16_t key, GBytes *bytes)
{
  Item *item = fw_cfg_item (fw, key);

  g_assert (item);
  g_bytes_ref (bytes);
  g_clear_pointer (&item->bytes, g_bytes_unref);
  item->bytes = bytes;
}

void
vm_fw_cfg_add_bytes (VmFwCfg *fw, uint16_t key, const void *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  vm_fw_cfg_add_shared (fw, key, bytes);
}

void
vm_fw_cfg_add_u16 (VmFwCfg *fw, uint16_t key, uint16_t value)
{
  value = GUINT16_TO_LE (value);
  vm_fw_cfg_add_bytes (fw, key, &value, sizeof value);
}

void
vm_fw_cfg_add_u32 (VmFwCfg *fw, uint16_t key, uint32_t value)
{
  value = GUINT32_TO_LE (value);
  vm_fw_cfg_add_bytes (fw, key, &value, sizeof value);
}

void
vm_fw_cfg_add_u64 (VmFwCfg *fw, uint16_t key, uint64_t value)
{
  value = GUINT64_TO_LE (value);
  vm_fw_cfg_add_bytes (fw, key, &value, sizeof value);
}

void
vm_fw_cfg_add_string (VmFwCfg *fw, uint16_t key, const char *text)
{
  vm_fw_cfg_add_bytes (fw, key, text, strlen (text) + 1);
}

/* The directory item: count, then size, key, reserved, name for each, big-endian, sorted by name. */
static void
fw_cfg_write_directory (VmFwCfg *fw)
{
  g_autoptr (GByteArray) dir = g_byte_array_new ();
  uint8_t head[4];

  vm_store_be32 (head, fw->n_files);
  g_byte_array_append (dir, head, sizeof head);
  for (unsigned i = 0; i < fw->n_files; i++)
    {
      uint8_t entry[8 + NAME_SIZE] = { 0 };
      size_t size;

      item_data (fw_cfg_item (fw, fw->files[i].key), &size);
      vm_store_be32 (entry, size);
      vm_store_be16 (entry + 4, fw->files[i].key);
      memcpy (entry + 8, fw->files[i].name, NAME_SIZE);
      g_byte_array_append (dir, entry, sizeof entry);
    }
  vm_fw_cfg_add_bytes (fw, VM_FW_CFG_FILE_DIR, dir->data, dir->len);
}

/* The item of file NAME, made when there is none; NULL when the directory is full. */
static Item *
fw_cfg_file_item (VmFwCfg *fw, const char *name, GError **error)
{
  unsigned place = 0;

  if (strlen (name) >= NAME_SIZE)
    {
      vm_fail (error, "fw_cfg file name '%s' is longer than %d characters", name, NAME_SIZE - 1);
      return NULL;
    }
  for (; place < fw->n_files; place++)
    {
      int order = strcmp (name, fw->files[place].name);

      if (order == 0)
        return fw_cfg_item (fw, fw->files[place].key);
      if (order < 0)
        break;
    }
  if (fw->n_files >= MIN (fw->file_slots, MAX_FILES))
    {
      vm_fail (error, "no room for fw_cfg file '%s': all %u places are taken", name, fw->n_files);
      return NULL;
    }

  /* Keys stay with their files once the guest may have seen them: a new one takes the next free. */
  memmove (&fw->files[place + 1], &fw->files[place], (fw->n_files - place) * sizeof fw->files[0]);
  memset (&fw->files[place], 0, sizeof fw->files[0]);
  g_strlcpy (fw->files[place].name, name, NAME_SIZE);
  fw->files[place].key = VM_FW_CFG_FILE_FIRST + fw->n_files++;
  return fw_cfg_item (fw, fw->files[place].key);
}

bool
vm_fw_cfg_has_file (const VmFwCfg *fw, const char *name)
{
  for (unsigned i = 0; i < fw->n_files; i++)
    if (!strcmp (fw->files[i].name, name))
      return true;
  return false;
}

bool
vm_fw_cfg_add_file_shared (VmFwCfg *fw, const char *name, GBytes *bytes, GError **error)
{
  Item *item = fw_cfg_file_item (fw, name, error);

  if (!item)
    return false;
  g_bytes_ref (bytes);
  g_clear_pointer (&item->bytes, g_bytes_unref);
  item->bytes = bytes;
  fw_cfg_write_directory (fw);
  return true;
}

bool
vm_fw_cfg_add_file (VmFwCfg *fw, const char *name, const void *data, size_t size, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  return vm_fw_cfg_add_file_shared (fw, name, bytes, error);
}

bool
vm_fw_cfg_add_writable_file (VmFwCfg *fw, const char *name, const void *data, size_t size,
                             VmFwCfgWritten written, void *opaque, GError **error)
{
  Item *item = fw_cfg_file_item (fw, name, error);

  if (!item)
    return false;
  item_clear (item);
  item->buffer = g_byte_array_sized_new (size);
  g_byte_array_append (item->buffer, data, size);
  item->written = written;
  item->opaque = opaque;
  fw_cfg_write_directory (fw);
  return true;
}

bool
vm_fw_cfg_add_file_callback (VmFwCfg *fw, const char *name, const void *data, size_t size,
                             VmFwCfgSelect select, void *opaque, GError **error)
{
  if (!vm_fw_cfg_add_file (fw, name, data, size, error))
    return false;

  Item *item = fw_cfg_file_item (fw, name, error);

  item->select = select;
  item->opaque = opaque;
  return true;
}

static bool
is_fw_cfg (VmDevice *dev, void *opaque)
{
  VmFwCfg **found = opaque;

  if (dev->parent.type == &vm_fw_cfg_io_type)
    *found = (VmFwCfg *) dev;
  return !*found;
}

VmFwCfg *
vm_fw_cfg_find (VmMachine *machine)
{
  VmFwCfg *found = NULL;

  vm_device_foreach (machine->env.root, is_fw_cfg, &found);
  return found;
}

/* --- the type ----------------------------------------------------------------------------------- */

static bool
fw_cfg_realize (VmDevice *dev, GError **error)
{
  VmFwCfg *fw = (VmFwCfg *) dev;
  VmEnv *env = dev->env;

  if (fw->file_slots < 16 || fw->file_slots > MAX_FILES)
    return vm_fail (error, "\"x-file-slots\" must be between 16 and %d", MAX_FILES);

  vm_region_init_io (&fw->selector_region, env->memory, &fw_cfg_port_ops, fw, "fwcfg", 2);
  vm_region_add (env->system_io, PORT_BASE, &fw->selector_region);
  if (fw->dma_enabled)
    {
      vm_region_init_io (&fw->dma_region, env->memory, &fw_cfg_dma_ops, fw, "fwcfg.dma", 8);
      vm_region_add (env->system_io, PORT_BASE + 4, &fw->dma_region);
    }
  vm_fw_cfg_add_bytes (fw, VM_FW_CFG_SIGNATURE, "QEMU", 4);
  vm_fw_cfg_add_u32 (fw, VM_FW_CFG_ID, ID_TRADITIONAL | (fw->dma_enabled ? ID_DMA : 0));
  fw_cfg_write_directory (fw);
  return true;
}

static void
fw_cfg_unrealize (VmDevice *dev)
{
  VmFwCfg *fw = (VmFwCfg *) dev;

  vm_region_destroy (&fw->selector_region);
  if (fw->dma_enabled)
    vm_region_destroy (&fw->dma_region);
}

static void
fw_cfg_finalize (VmObject *obj)
{
  VmFwCfg *fw = (VmFwCfg *) obj;

  for (unsigned arch = 0; arch < 2; arch++)
    for (unsigned i = 0; i < NUMBERED; i++)
      item_clear (&fw->items[arch][i]);
}

static const VmProp fw_cfg_props[] = {
  VM_PROP ("dma_enabled", VmFwCfg, dma_enabled, true, "offer the DMA interface"),
  VM_PROP ("x-file-slots", VmFwCfg, file_slots, 0x20, "files the directory has room for"),
  { 0 },
};

static const VmField fw_cfg_state[] = {
  VM_FIELD (VmFwCfg, selected),
  VM_FIELD (VmFwCfg, offset),
  VM_FIELD (VmFwCfg, dma_address),
  { 0 },
};

static const VmDeviceClass fw_cfg_class = {
  .realize = fw_cfg_realize,
  .unrealize = fw_cfg_unrealize,
  .reset = fw_cfg_reset,
  .category = "Misc",
};

const VmType vm_fw_cfg_io_type = {
  .name = "fw_cfg_io",
  .parent = &vm_device_type,
  .size = sizeof (VmFwCfg),
  .help = "Firmware configuration interface",
  .props = fw_cfg_props,
  .state = fw_cfg_state,
  .klass = &fw_cfg_class,
  .finalize = fw_cfg_finalize,
};
