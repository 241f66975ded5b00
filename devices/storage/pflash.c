/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NOR flash with Intel's command set (Intel StrataFlash Memory J3 data sheet; JEDEC JESD68, common flash interface):
 * the chips that hold firmware and its variables. As long as nothing but data is read it is memory, which code runs
 * from. */
#include "devices/storage/pflash.h"
#include "engine/base/log.h"

enum
{
  CMD_ARRAY = 0xff,
  CMD_ARRAY_AMD = 0xf0,
  CMD_PROGRAM = 0x40,
  CMD_PROGRAM_ALT = 0x10,
  CMD_ERASE = 0x20,
  CMD_CLEAR_STATUS = 0x50,
  CMD_LOCK = 0x60,
  CMD_READ_STATUS = 0x70,
  CMD_READ_ID = 0x90,
  CMD_QUERY = 0x98,
  CMD_BUFFER = 0xe8,
  CMD_CONFIRM = 0xd0,
  CMD_NONE = 0x00
};
enum
{
  STATUS_PROTECTED = 1 << 1,
  STATUS_PROGRAM_FAILED = 1 << 4,
  STATUS_ERASE_FAILED = 1 << 5,
  STATUS_READY = 1 << 7
};
enum
{
  LOCK_SET = 0x01
};
#define BUFFER_MAX 2048u /* of a bank of words; a byte-wide one has less */
#define BUFFER_BYTES 256u

/* --- the drive -------------------------------------------------------------------------------- */

static void save_next (VmPflash *flash);

static void
save_done (void *opaque, int status)
{
  VmPflash *flash = opaque;

  flash->writing_from = flash->writing_to = 0;
  if (status && !flash->warned)
    {
      vm_report_warning ("%s: could not write to drive '%s': %s", flash->name, flash->drive->parent.id,
                         g_strerror (-status));
      flash->warned = true;
    }
  save_next (flash);
}

/* One request at a time: what changes meanwhile goes with the next. */
static void
save_next (VmPflash *flash)
{
  if (flash->writing_to || !flash->dirty_to || !flash->drive->block)
    return;
  flash->writing_from = VM_ALIGN_DOWN (flash->dirty_from, 512);
  flash->writing_to = MIN (VM_ALIGN_UP (flash->dirty_to, 512), flash->region.size);
  flash->dirty_from = flash->dirty_to = 0;
  flash->iov.iov_base = (uint8_t *) vm_region_ram_ptr (&flash->region) + flash->writing_from;
  flash->iov.iov_len = flash->writing_to - flash->writing_from;
  vm_block_write (flash->drive->block, flash->writing_from, &flash->iov, 1, save_done, flash);
}

/* LEN bytes at OFFSET have changed. */
static void
flash_changed (VmPflash *flash, uint64_t offset, uint64_t len)
{
  vm_ram_written (flash->region.memory, flash->region.ram, flash->region.ram_offset + offset, len);
  flash->dirty_from = flash->dirty_to ? MIN (flash->dirty_from, offset) : offset;
  flash->dirty_to = MAX (flash->dirty_to, offset + len);
  save_next (flash);
}

/* --- the array -------------------------------------------------------------------------------- */

static uint8_t *
flash_bytes (VmPflash *flash, uint64_t offset)
{
  return (uint8_t *) vm_region_ram_ptr (&flash->region) + offset;
}

static void
flash_read_array (VmPflash *flash)
{
  flash->command = CMD_ARRAY;
  flash->cycle = 0;
  vm_region_set_romd (&flash->region, true);
}

static void
flash_erase (VmPflash *flash, uint64_t offset)
{
  uint64_t from = offset - offset % flash->sector_length;

  if (flash->readonly)
    flash->status |= STATUS_ERASE_FAILED | STATUS_PROTECTED;
  else
    {
      memset (flash_bytes (flash, from), 0xff, flash->sector_length);
      flash_changed (flash, from, flash->sector_length);
    }
}

/* A real chip only ever clears bits here. Firmware erases first, so that it cannot tell; what was made for this
 * machine and does not, expects to find what it wrote. */
static void
flash_program (VmPflash *flash, uint64_t offset, const uint8_t *bytes, uint32_t len)
{
  if (flash->readonly)
    flash->status |= STATUS_PROGRAM_FAILED | STATUS_PROTECTED;
  else
    {
      memcpy (flash_bytes (flash, offset), bytes, len);
      flash_changed (flash, offset, len);
    }
}

static void
put_value (const VmPflash *flash, uint8_t *bytes, uint64_t value, unsigned size)
{
  if (flash->big_endian)
    for (unsigned i = 0; i < size; i++)
      bytes[i] = (uint8_t) (value >> 8 * (size - 1 - i));
  else
    vm_store_le (bytes, value, size);
}

/* --- a buffered write: command, count - 1, the data, confirmation ----------------------------------------------------
 */

static void
buffer_begin (VmPflash *flash, uint64_t offset, uint32_t units, unsigned size)
{
  flash->buffer_at = offset - offset % flash->buffer_size;
  flash->count = MIN (units * size, flash->buffer_size);
  memcpy (flash->buffer, flash_bytes (flash, flash->buffer_at), flash->buffer_size);
}

static void
buffer_put (VmPflash *flash, uint64_t offset, uint64_t value, unsigned size)
{
  if (offset < flash->buffer_at || offset - flash->buffer_at > flash->buffer_size - size)
    flash->status |= STATUS_PROGRAM_FAILED; /* crosses a boundary */
  else
    put_value (flash, flash->buffer + (offset - flash->buffer_at), value, size);
  flash->count -= MIN (flash->count, size);
}

static void
buffer_end (VmPflash *flash, bool confirmed)
{
  if (confirmed && !(flash->status & STATUS_PROGRAM_FAILED))
    flash_program (flash, flash->buffer_at, flash->buffer, flash->buffer_size);
  if (!confirmed || (flash->status & STATUS_PROGRAM_FAILED))
    flash_read_array (flash);
}

/* --- commands --------------------------------------------------------------------------------- */

static void
flash_begin (VmPflash *flash, uint8_t command)
{
  flash->command = command;
  flash->cycle = 0;
  switch (command)
    {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
    case CMD_ERASE:
    case CMD_LOCK:
    case CMD_BUFFER:
      flash->status |= STATUS_READY;
      flash->cycle = 1;
      vm_region_set_romd (&flash->region, false);
      break;
    case CMD_READ_STATUS:
    case CMD_READ_ID:
    case CMD_QUERY:
      vm_region_set_romd (&flash->region, false);
      break;
    case CMD_CLEAR_STATUS:
      flash->status = 0;
      flash_read_array (flash);
      break;
    default:
      if (command != CMD_ARRAY && command != CMD_ARRAY_AMD && command != CMD_NONE)
        vm_guest_error (flash->name, "unknown flash command %02x", command);
      flash_read_array (flash);
      break;
    }
}

static void
flash_second (VmPflash *flash, uint64_t offset, uint64_t value, unsigned size)
{
  uint8_t bytes[8];

  flash->cycle = 0;
  switch (flash->command)
    {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
      put_value (flash, bytes, value, size);
      flash_program (flash, offset, bytes, size);
      flash->status |= STATUS_READY;
      break;
    case CMD_ERASE:
      if ((uint8_t) value == CMD_CONFIRM)
        flash_erase (flash, offset);
      else
        flash_read_array (flash);
      flash->status |= STATUS_READY;
      break;
    case CMD_LOCK: /* blocks are as free as the drive is */
      if ((uint8_t) value != CMD_CONFIRM && (uint8_t) value != LOCK_SET)
        flash_read_array (flash);
      flash->status |= STATUS_READY;
      break;
    case CMD_BUFFER:
      buffer_begin (flash, offset, (uint32_t) (value & 0xffff) + 1, flash->device_width ? flash->width : size);
      flash->cycle = 2;
      break;
    }
}

static void
flash_write (VmPflash *flash, uint64_t offset, uint64_t value, unsigned size)
{
  if (flash->cycle == 0)
    flash_begin (flash, (uint8_t) value);
  else if (flash->cycle == 1)
    flash_second (flash, offset, value, size);
  else if (flash->count)
    buffer_put (flash, offset, value, size);
  else
    {
      flash->cycle = 0;
      flash->status |= STATUS_READY;
      buffer_end (flash, (uint8_t) value == CMD_CONFIRM);
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* What each chip of the bank says, side by side. */
static uint64_t
replicate (const VmPflash *flash, uint64_t value, unsigned size)
{
  unsigned chip = flash->device_width ? flash->device_width : flash->width;
  uint64_t out = 0;

  value &= chip >= 8 ? UINT64_MAX : (UINT64_C (1) << 8 * chip) - 1;
  for (unsigned i = 0; i < size; i += chip)
    out |= value << 8 * i;
  return out;
}

/* Number of the chip's register at OFFSET of the bank. */
static uint64_t
register_at (const VmPflash *flash, uint64_t offset)
{
  unsigned chip = flash->device_width ? flash->device_width : flash->width;
  unsigned widest = flash->max_device_width ? flash->max_device_width : chip;

  return offset / (flash->width / chip * widest);
}

static uint64_t
flash_answer (VmPflash *flash, uint64_t offset, unsigned size)
{
  uint64_t reg = register_at (flash, offset);

  switch (flash->command)
    {
    case CMD_READ_ID:
      reg &= 0xff;
      if (reg < 2)
        return replicate (flash,
                          flash->device_width ? (uint64_t) flash->id[reg] << 8 | flash->id[reg + 2]
                                              : (uint64_t) (flash->id[2 * reg] << 8 | flash->id[2 * reg + 1]),
                          size);
      return 0; /* not locked */
    case CMD_QUERY:
      return replicate (flash, reg < sizeof flash->query ? flash->query[reg] : 0, size);
    case CMD_LOCK:
      return flash->cycle ? 0 : replicate (flash, flash->status, size);
    case CMD_ARRAY:
    case CMD_NONE:
      {
        uint8_t *bytes = flash_bytes (flash, offset);

        return flash->big_endian && size > 1 ? GUINT64_SWAP_LE_BE (vm_load_le (bytes, size)) >> (64 - 8 * size)
                                             : vm_load_le (bytes, size);
      }
    default:
      return replicate (flash, flash->status, size);
    }
}

static VmMemResult
flash_read_attrs (void *opaque, uint64_t offset, uint64_t *value, unsigned size, VmMemAttrs attrs)
{
  VmPflash *flash = opaque;

  /* Behind a locked door there is only data to be seen. */
  *value = flash->secure && !attrs.smm ? vm_load_le (flash_bytes (flash, offset), size)
                                       : flash_answer (flash, offset, size);
  return VM_MEM_OK;
}

static VmMemResult
flash_write_attrs (void *opaque, uint64_t offset, uint64_t value, unsigned size, VmMemAttrs attrs)
{
  VmPflash *flash = opaque;

  if (flash->secure && !attrs.smm)
    return VM_MEM_DEVICE_ERROR;
  flash_write (flash, offset, value, size);
  return VM_MEM_OK;
}

static const VmRegionOps flash_ops = {
  .read_attrs = flash_read_attrs,
  .write_attrs = flash_write_attrs,
  .valid = { .min = 1, .max = 8 },
  .impl = { .min = 1, .max = 8 },
};

/* --- life ------------------------------------------------------------------------------------- */

static void
fill_query (VmPflash *flash)
{
  uint64_t chips = flash->device_width ? flash->width / flash->device_width : 1;
  uint64_t block = flash->old_multiple_chip_handling ? flash->sector_length : flash->sector_length / chips;
  uint32_t blocks = flash->old_multiple_chip_handling ? flash->num_blocks / (uint32_t) chips : flash->num_blocks;
  uint8_t *q = flash->query;

  memcpy (q + 0x10, "QRY\1\0\x31", 6); /* Intel extended command set, its table at 31 */
  q[0x1b] = 0x45;                      /* supply, 4.5 to 5.5 V */
  q[0x1c] = 0x55;
  q[0x1f] = q[0x20] = 0x07; /* typical times: of a byte and of a buffer, 128 us; of a block, 1 s */
  q[0x21] = 0x0a;
  q[0x23] = q[0x24] = q[0x25] = 0x04; /* and at most 16 times as long */
  q[0x27] = (uint8_t) g_bit_nth_msf (block * blocks, -1);
  q[0x28] = 0x02; /* 8 and 16 bits */
  q[0x2a] = (uint8_t) g_bit_nth_msf (flash->buffer_size, -1);
  q[0x2c] = 1; /* all blocks are alike */
  vm_store_le16 (q + 0x2d, (uint16_t) (blocks - 1));
  vm_store_le16 (q + 0x2f, (uint16_t) (block >> 8));
  memcpy (q + 0x31, "PRI10", 5);
  q[0x3f] = 1; /* one protection register */
}

static bool
flash_check (VmPflash *flash, GError **error)
{
  unsigned chip = flash->device_width ? flash->device_width : flash->width;

  if (!flash->sector_length || !flash->num_blocks)
    return vm_fail (error, "attribute \"%s\" not specified or zero.",
                    flash->num_blocks ? "sector-length" : "num-blocks");
  if (!flash->name || !*flash->name)
    return vm_fail (error, "attribute \"name\" not specified.");
  if (!vm_is_pow2 (flash->width) || flash->width > 8 || !vm_is_pow2 (chip) || chip > flash->width
      || (flash->max_device_width && (!vm_is_pow2 (flash->max_device_width) || flash->max_device_width < chip)))
    return vm_fail (error, "%s: no bank of width %u is made of chips of width %u", flash->name, flash->width, chip);
  if (flash->sector_length % 512 || flash->sector_length > UINT32_MAX || flash->num_blocks > 65536)
    return vm_fail (error, "%s: no chip has %u blocks of %" G_GUINT64_FORMAT " bytes", flash->name, flash->num_blocks,
                    flash->sector_length);
  return true;
}

static void
load_done (void *opaque, int status)
{
  *(int *) opaque = status;
}

static bool
flash_load (VmPflash *flash, GError **error)
{
  VmBlock *block = flash->drive->block;
  struct iovec iov = { vm_region_ram_ptr (&flash->region), flash->region.size };
  int status = 1;

  if (vm_block_size (block) < flash->region.size)
    return vm_fail (
        error, "device '%s' requires %" G_GUINT64_FORMAT " bytes, block backend provides %" G_GUINT64_FORMAT " bytes",
        flash->name, flash->region.size, vm_block_size (block));
  vm_block_read (block, 0, &iov, 1, load_done, &status);
  vm_block_drain (block);
  if (status)
    return vm_fail (error, "device '%s' can't read its drive '%s': %s", flash->name, flash->drive->parent.id,
                    g_strerror (-status));
  return true;
}

static bool
flash_realize (VmDevice *dev, GError **error)
{
  VmPflash *flash = (VmPflash *) dev;
  uint64_t size = flash->sector_length * flash->num_blocks;

  if (!flash_check (flash, error)
      || !vm_region_init_rom_device (&flash->region, dev->env->memory, &flash_ops, flash, flash->name, size, error))
    return false;
  flash->buffer_size = (uint32_t) MIN (flash->width == 1 ? BUFFER_BYTES : BUFFER_MAX, flash->sector_length);
  if (flash->drive && flash->drive->block)
    {
      flash->readonly = vm_block_readonly (flash->drive->block);
      if (!vm_drive_claim (flash->drive, flash, NULL, error))
        {
          vm_region_destroy (&flash->region);
          return false;
        }
      if (!flash_load (flash, error))
        {
          vm_drive_release (flash->drive);
          vm_region_destroy (&flash->region);
          return false;
        }
    }
  else
    memset (vm_region_ram_ptr (&flash->region), 0xff, size);
  flash->buffer = g_malloc0 (flash->buffer_size);
  fill_query (flash);
  return true;
}

static void
flash_unrealize (VmDevice *dev)
{
  VmPflash *flash = (VmPflash *) dev;

  if (flash->drive && flash->drive->device == flash)
    {
      while (flash->writing_to || flash->dirty_to)
        {
          save_next (flash);
          vm_block_drain (flash->drive->block);
        }
      vm_drive_release (flash->drive);
    }
  vm_region_destroy (&flash->region);
  g_clear_pointer (&flash->buffer, g_free);
}

static void
flash_reset (VmDevice *dev, VmResetKind kind)
{
  VmPflash *flash = (VmPflash *) dev;

  flash->status = STATUS_READY;
  flash->count = 0;
  flash_read_array (flash);
}

static bool
flash_post_load (VmDevice *dev, GError **error)
{
  VmPflash *flash = (VmPflash *) dev;

  if (flash->buffer_at > flash->region.size - flash->buffer_size || flash->count > flash->buffer_size)
    return vm_fail (error, "%s: impossible state", flash->name);
  vm_region_set_romd (&flash->region, flash->command == CMD_ARRAY);
  return true;
}

static const VmProp flash_props[] = {
  VM_PROP_CUSTOM_KIND ("drive", VmPflash, drive, &vm_prop_drive, NULL, "what it holds; none: nothing, and forgets"),
  VM_PROP ("num-blocks", VmPflash, num_blocks, 0, "blocks that are erased at once"),
  VM_PROP ("sector-length", VmPflash, sector_length, 0, "bytes of such a block"),
  VM_PROP ("width", VmPflash, width, 1, "of the bank, in bytes"),
  VM_PROP ("device-width", VmPflash, device_width, 0, "of each chip; 0: one chip"),
  VM_PROP ("max-device-width", VmPflash, max_device_width, 0, "of a chip in its widest mode; 0: this one"),
  VM_PROP ("big-endian", VmPflash, big_endian, false, "order of bytes on the bus"),
  VM_PROP ("secure", VmPflash, secure, false, "only system management mode gives commands"),
  VM_PROP ("id0", VmPflash, id[0], 0, "manufacturer"),
  VM_PROP ("id1", VmPflash, id[1], 0, "manufacturer, low part"),
  VM_PROP ("id2", VmPflash, id[2], 0, "chip"),
  VM_PROP ("id3", VmPflash, id[3], 0, "chip, low part"),
  VM_PROP_STRING ("name", VmPflash, name, NULL, "of the memory region"),
  VM_PROP ("old-multiple-chip-handling", VmPflash, old_multiple_chip_handling, false,
           "sizes in the query are the bank's"),
  { 0 },
};

static bool
flash_pre_save (VmDevice *dev, GError **error)
{
  return vm_drive_settle (((VmPflash *) dev)->drive, &dev->parent, error);
}

static const VmField flash_state[] = {
  VM_FIELD (VmPflash, command),
  VM_FIELD (VmPflash, cycle),
  VM_FIELD (VmPflash, status),
  VM_FIELD (VmPflash, count),
  VM_FIELD (VmPflash, buffer_at),
  VM_FIELD_HEAP (VmPflash, buffer, buffer_size),
  { 0 },
};

static const VmDeviceClass flash_class = {
  .realize = flash_realize,
  .unrealize = flash_unrealize,
  .reset = flash_reset,
  .pre_save = flash_pre_save,
  .post_load = flash_post_load,
  .category = "Storage",
};

const VmType vm_pflash_type = {
  .name = "cfi.pflash01",
  .parent = &vm_device_type,
  .size = sizeof (VmPflash),
  .help = "NOR flash with Intel's command set",
  .props = flash_props,
  .state = flash_state,
  .klass = &flash_class,
};
