/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "am53c974", the PCscsi chip with its DMA engine (AMD Am53C974 data sheet), and "dc390", a board with it and an EEPROM
 * (93C46) behind configuration space. */
#include "devices/pci/pci.h"
#include "devices/scsi/esp.h"

enum { DMA_CMD = 0x40, DMA_STC = 0x44, DMA_SPA = 0x48, DMA_WBC = 0x4c, DMA_WAC = 0x50, DMA_STATUS = 0x54,
       DMA_SMDLA = 0x58, DMA_WMAC = 0x5c, DMA_SBAC = 0x70, DMA_FIRST = DMA_CMD, DMA_LAST = 0x7f };
enum { CMD_START = 0x03, CMD_ABORT = 0x02, CMD_BLAST = 0x01, CMD_WHAT = 0x03, CMD_MDL = 0x10, CMD_INTE_P = 0x20,
       CMD_INTE_D = 0x40, CMD_DIR = 0x80 };
enum { STATUS_ERROR = 0x02, STATUS_ABORT = 0x04, STATUS_DONE = 0x08, STATUS_SCSI = 0x10, STATUS_BLASTED = 0x20 };
#define SBAC_KEEP_STATUS (1u << 24)
#define MDL_PAGE         4096u

enum { EEPROM_WORDS = 64, EEPROM_SUM = 0x1234, EEPROM_PORT = 0x80, EEPROM_OFF = 0xc0 };
enum { EEPROM_CLOCK = 0x80, EEPROM_DATA = 0x40, EEPROM_READ = 6 };

typedef struct Am53c974 {
  VmPciDevice parent;
  VmEsp       esp;
  VmRegion    io;
  /* guest state */
  uint32_t    dma[16];      /* DMA_CMD to DMA_WMAC and SBAC, by (offset - 0x40) / 4 */
  bool        scsi_level;
  uint16_t    eeprom[EEPROM_WORDS];
  uint16_t    eeprom_in;    /* bits clocked in, with a leading one */
  uint32_t    eeprom_out;   /* bits to clock out */
  uint8_t     eeprom_left, eeprom_port;
} Am53c974;

#define REG(s, offset) ((s)->dma[((offset) - DMA_FIRST) / 4])

static void
pcscsi_update_irq (Am53c974 *s)
{
  uint32_t cmd = REG (s, DMA_CMD), status = REG (s, DMA_STATUS);
  bool done = (cmd & CMD_INTE_D) && (status & (STATUS_DONE | STATUS_ERROR | STATUS_ABORT));

  vm_pci_set_irq (&s->parent, s->scsi_level || done);
}

static void
pcscsi_interrupt (void *opaque, bool level)
{
  Am53c974 *s = opaque;

  s->scsi_level = level;
  pcscsi_update_irq (s);
}

/* --- DMA ------------------------------------------------------------------------------------------- */

/* Guest address of the next byte, and how many follow it there; a descriptor list has a page each. */
static uint64_t
pcscsi_place (Am53c974 *s, uint32_t *len)
{
  uint32_t at = REG (s, DMA_WAC);
  uint8_t entry[4];

  if (!(REG (s, DMA_CMD) & CMD_MDL))
    return at;
  *len = MIN (*len, MDL_PAGE - at % MDL_PAGE);
  if (vm_pci_dma_read (&s->parent, REG (s, DMA_WMAC), entry, 4) != VM_MEM_OK)
    memset (entry, 0, 4);
  return (vm_load_le32 (entry) & ~(MDL_PAGE - 1)) | at % MDL_PAGE;
}

static uint32_t
pcscsi_dma (void *opaque, uint8_t *buf, uint32_t len, bool to_memory)
{
  Am53c974 *s = opaque;
  uint32_t cmd = REG (s, DMA_CMD), left = REG (s, DMA_WBC), done = 0;

  if ((cmd & CMD_WHAT) != CMD_START || !(cmd & CMD_DIR) == to_memory)
    return 0;
  if (!len)
    return left != 0; /* would it take a byte? */
  while (done < len && left)
    {
      uint32_t n = MIN (len - done, left);
      uint64_t addr = pcscsi_place (s, &n);

      if (to_memory)
        vm_pci_dma_write (&s->parent, addr, buf + done, n);
      else
        vm_pci_dma_read (&s->parent, addr, buf + done, n);
      REG (s, DMA_WAC) += n;
      if ((cmd & CMD_MDL) && REG (s, DMA_WAC) % MDL_PAGE == 0)
        REG (s, DMA_WMAC) += 4;
      done += n;
      left -= n;
    }
  REG (s, DMA_WBC) = left;
  if (!left)
    {
      REG (s, DMA_STATUS) |= STATUS_DONE;
      pcscsi_update_irq (s);
    }
  return done;
}

static const VmEspOps pcscsi_esp_ops = { .dma = pcscsi_dma, .interrupt = pcscsi_interrupt };

static void
pcscsi_write_command (Am53c974 *s, uint32_t value)
{
  REG (s, DMA_CMD) = value & 0xff;
  switch (value & CMD_WHAT)
    {
    case CMD_START:
      REG (s, DMA_WBC) = REG (s, DMA_STC) & 0xffffff;
      REG (s, DMA_WAC) = REG (s, DMA_SPA);
      REG (s, DMA_WMAC) = REG (s, DMA_SMDLA);
      REG (s, DMA_STATUS) &= ~(STATUS_BLASTED | STATUS_DONE | STATUS_ABORT | STATUS_ERROR);
      vm_esp_dma_ready (&s->esp);
      break;
    case CMD_ABORT:
      REG (s, DMA_STATUS) |= STATUS_ABORT;
      REG (s, DMA_CMD) &= ~CMD_WHAT;
      break;
    case CMD_BLAST: /* nothing is ever left in the FIFO */
      REG (s, DMA_STATUS) |= STATUS_BLASTED;
      break;
    default:
      break;
    }
  pcscsi_update_irq (s);
}

/* --- registers ------------------------------------------------------------------------------------- */

static uint32_t
pcscsi_read_dma (Am53c974 *s, unsigned offset)
{
  uint32_t value = offset == DMA_SBAC ? s->dma[15] : offset <= DMA_WMAC ? REG (s, offset) : 0;

  if (offset == DMA_STATUS)
    {
      value |= s->scsi_level ? STATUS_SCSI : 0;
      if (!(s->dma[15] & SBAC_KEEP_STATUS))
        {
          REG (s, DMA_STATUS) &= ~(STATUS_ERROR | STATUS_ABORT | STATUS_DONE);
          pcscsi_update_irq (s);
        }
    }
  return value;
}

static uint64_t
pcscsi_read (void *opaque, uint64_t offset, unsigned size)
{
  Am53c974 *s = opaque;

  if (offset < DMA_FIRST)
    return offset & 3 ? 0 : vm_esp_read (&s->esp, offset / 4);
  return pcscsi_read_dma (s, offset & ~3ull) >> 8 * (offset & 3);
}

static void
pcscsi_write_dma (Am53c974 *s, unsigned offset, uint32_t value)
{
  switch (offset)
    {
    case DMA_CMD:
      pcscsi_write_command (s, value);
      break;
    case DMA_STC:
    case DMA_SPA:
    case DMA_SMDLA:
      REG (s, offset) = value;
      break;
    case DMA_STATUS:
      if (s->dma[15] & SBAC_KEEP_STATUS)
        REG (s, DMA_STATUS) &= ~(value & (STATUS_ERROR | STATUS_ABORT | STATUS_DONE));
      pcscsi_update_irq (s);
      break;
    case DMA_SBAC:
      s->dma[15] = value;
      break;
    default:
      break;
    }
}

static void
pcscsi_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Am53c974 *s = opaque;

  if (offset < DMA_FIRST)
    {
      if (!(offset & 3))
        vm_esp_write (&s->esp, offset / 4, (uint8_t) value);
      return;
    }
  if (size < 4)
    {
      unsigned at = offset & ~3u, shift = 8 * (offset & 3);
      uint32_t mask = (size == 2 ? 0xffffu : 0xffu) << shift;
      uint32_t old = at == DMA_SBAC ? s->dma[15] : at == DMA_STATUS || at > DMA_WMAC ? 0 : REG (s, at);

      pcscsi_write_dma (s, at, (old & ~mask) | ((uint32_t) value << shift & mask));
      return;
    }
  pcscsi_write_dma (s, (unsigned) offset, (uint32_t) value);
}

static const VmRegionOps pcscsi_ops = { .read = pcscsi_read, .write = pcscsi_write };

/* --- the EEPROM of the DC-390 ---------------------------------------------------------------------- */

/* What the board's own configuration program leaves: adapter 7, parity, synchronous and tagged transfers. */
static void
dc390_fill_eeprom (Am53c974 *s)
{
  uint8_t *bytes = g_malloc0 (2 * EEPROM_WORDS);
  uint16_t sum = 0;

  for (unsigned target = 0; target < 16; target++)
    {
      bytes[4 * target] = 0x57; /* parity, synchronous, disconnection, start, tags */
      bytes[4 * target + 1] = 0;
    }
  bytes[64] = 7;    /* adapter's number */
  bytes[65] = 0x0f; /* modes: more than two drives, more than 1 GB, reset at power on, active negation */
  bytes[66] = 4;    /* commands at a time: 1 << N */
  for (unsigned i = 0; i < EEPROM_WORDS - 1; i++)
    {
      s->eeprom[i] = vm_load_le16 (bytes + 2 * i);
      sum += s->eeprom[i];
    }
  s->eeprom[EEPROM_WORDS - 1] = EEPROM_SUM - sum;
  g_free (bytes);
}

static void
dc390_clock (Am53c974 *s, bool bit)
{
  if (s->eeprom_left)
    {
      s->eeprom_left--;
      s->eeprom_out <<= 1;
      return;
    }
  if (!s->eeprom_in && !bit)
    return; /* before the start bit */
  s->eeprom_in = s->eeprom_in << 1 | bit;
  if (!(s->eeprom_in & 0x100))
    return;
  if (s->eeprom_in >> 6 == EEPROM_READ)
    {
      s->eeprom_out = s->eeprom[s->eeprom_in & (EEPROM_WORDS - 1)];
      s->eeprom_left = 16 + 1;
    }
  s->eeprom_in = 0;
}

static void
dc390_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  Am53c974 *s = (Am53c974 *) dev;

  if (addr == EEPROM_PORT)
    {
      if ((value & EEPROM_CLOCK) && !(s->eeprom_port & EEPROM_CLOCK))
        dc390_clock (s, value & EEPROM_DATA);
      s->eeprom_port = (uint8_t) value;
    }
  else if (addr == EEPROM_OFF)
    {
      s->eeprom_in = 0;
      s->eeprom_left = 0;
      s->eeprom_out = 0;
    }
  else
    vm_pci_default_config_write (dev, addr, value, size);
}

/* While a word is read out, its bits change the first byte of the vendor's number. */
static uint32_t
dc390_config_read (VmPciDevice *dev, uint32_t addr, unsigned size)
{
  Am53c974 *s = (Am53c974 *) dev;

  if (addr == 0 && size == 1 && s->eeprom_left)
    return s->eeprom_out & 1u << 16 ? 0x22 : 0;
  return vm_pci_default_config_read (dev, addr, size);
}

/* --- life ------------------------------------------------------------------------------------------ */

static void
pcscsi_reset (VmDevice *dev, VmResetKind kind)
{
  Am53c974 *s = (Am53c974 *) dev;

  memset (s->dma, 0, sizeof s->dma);
  s->eeprom_in = s->eeprom_left = s->eeprom_port = 0;
  s->eeprom_out = 0;
  vm_esp_reset (&s->esp);
}

static void
pcscsi_take_down (Am53c974 *s)
{
  vm_esp_destroy (&s->esp);
  vm_bus_destroy (&s->esp.link.bus.parent);
  vm_region_destroy (&s->io);
}

static bool
pcscsi_realize (VmDevice *dev, GError **error)
{
  Am53c974 *s = (Am53c974 *) dev;

  vm_pci_set_interrupt_pin (&s->parent, 1);
  vm_region_init_io (&s->io, dev->env->memory, &pcscsi_ops, s, "am53c974-io", 0x80);
  vm_pci_add_bar (&s->parent, 0, PCI_BAR_IO, &s->io);
  dc390_fill_eeprom (s);
  vm_esp_init (&s->esp, dev, &pcscsi_esp_ops, s);
  vm_esp_reset (&s->esp);
  if (dev->hotplugged || vm_scsi_create_drives (&s->esp.link.bus, -1, error))
    return true;
  pcscsi_take_down (s);
  return false;
}

static void
pcscsi_unrealize (VmDevice *dev)
{
  pcscsi_take_down ((Am53c974 *) dev);
}

static bool
pcscsi_post_load (VmDevice *dev, GError **error)
{
  Am53c974 *s = (Am53c974 *) dev;

  if (s->eeprom_left > 17 || !vm_esp_loaded (&s->esp))
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  pcscsi_update_irq (s);
  return true;
}

static const VmField pcscsi_state[] = {
  VM_FIELD_EMBED (Am53c974, esp, vm_esp_state),
  VM_FIELD_ARRAY (Am53c974, dma),
  VM_FIELD (Am53c974, scsi_level),
  VM_FIELD (Am53c974, eeprom_in),
  VM_FIELD (Am53c974, eeprom_out),
  VM_FIELD (Am53c974, eeprom_left),
  VM_FIELD (Am53c974, eeprom_port),
  { 0 },
};

#define PCSCSI_DEVICE_CLASS                                                                                            \
  {                                                                                                                    \
    .realize = pcscsi_realize, .unrealize = pcscsi_unrealize, .reset = pcscsi_reset, .post_load = pcscsi_post_load,    \
    .category = "Storage", .user_creatable = true, .hotpluggable = true,                                               \
  }

static const VmPciClass am53c974_class = {
  .parent = PCSCSI_DEVICE_CLASS,
  .vendor = 0x1022, .device = 0x2020, .class_id = PCI_CLASS_STORAGE_SCSI, .revision = 0x10,
};

static const VmPciClass dc390_class = {
  .parent = PCSCSI_DEVICE_CLASS,
  .vendor = 0x1022, .device = 0x2020, .class_id = PCI_CLASS_STORAGE_SCSI, .revision = 0x10,
  .config_read = dc390_config_read, .config_write = dc390_config_write,
};

const VmType vm_am53c974_type = {
  .name = "am53c974", .parent = &vm_pci_device_type, .size = sizeof (Am53c974),
  .help = "AMD Am53C974 PCscsi SCSI adapter", .state = pcscsi_state, .klass = &am53c974_class,
};

const VmType vm_dc390_type = {
  .name = "dc390", .parent = &vm_am53c974_type, .size = sizeof (Am53c974),
  .help = "Tekram DC-390 SCSI adapter", .klass = &dc390_class,
};
