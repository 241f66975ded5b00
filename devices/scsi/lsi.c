/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "lsi53c895a" and "lsi53c810": registers, interrupts and memory of the SCSI processors (LSI53C895A PCI to Ultra2 SCSI
 * Controller Technical Manual, chapter 4; SYM53C810A Data Manual). */
#include "devices/scsi/lsi.h"

#define MAX_TARGET 15
#define HOST_ID    7
#define FATAL0     (SIST0_MA | SIST0_SGE | SIST0_UDC | SIST0_RST | SIST0_PAR)
#define FATAL1     SIST1_STO
#define GEN_UNIT   (125 * VM_NS_PER_US) /* STIME1 of 1; each step doubles */

typedef struct LsiClass {
  VmPciClass parent;
  unsigned   max_target;
  uint32_t   ram_size;
} LsiClass;

static const LsiClass *
lsi_class (const Lsi *s)
{
  return vm_type_klass (s->parent.parent.parent.type);
}

/* --- interrupts ------------------------------------------------------------------------------------ */

void
lsi_update_irq (Lsi *s)
{
  uint8_t dma = s->reg[DSTAT] & s->reg[DIEN];
  uint8_t scsi = (s->reg[SIST0] & s->reg[SIEN0]) | (s->reg[SIST1] & s->reg[SIEN1]);
  bool off = (s->reg[ISTAT1] & ISTAT1_SIRQD) || (s->reg[DCNTL] & DCNTL_IRQD);

  s->reg[ISTAT0] &= ~(ISTAT0_SIP | ISTAT0_DIP);
  if (s->reg[DSTAT])
    s->reg[ISTAT0] |= ISTAT0_DIP;
  if ((s->reg[SIST0] & (s->reg[SIEN0] | FATAL0)) || (s->reg[SIST1] & (s->reg[SIEN1] | FATAL1)))
    s->reg[ISTAT0] |= ISTAT0_SIP;
  vm_pci_set_irq (&s->parent, !off && (dma || scsi || (s->reg[ISTAT0] & ISTAT0_INTF)));
}

static void
lsi_halt (Lsi *s)
{
  s->running = false;
  s->wait = LSI_WAIT_NONE;
}

void
lsi_raise_dma (Lsi *s, uint8_t bits)
{
  s->reg[DSTAT] |= bits;
  lsi_halt (s);
  lsi_update_irq (s);
}

void
lsi_raise_scsi (Lsi *s, uint8_t sist0, uint8_t sist1)
{
  s->reg[SIST0] |= sist0;
  s->reg[SIST1] |= sist1;
  /* One that is not fatal is so when it is enabled. */
  if ((sist0 & (FATAL0 | s->reg[SIEN0])) || (sist1 & (FATAL1 | s->reg[SIEN1])))
    lsi_halt (s);
  lsi_update_irq (s);
}

static void
lsi_gen_expired (void *opaque)
{
  lsi_raise_scsi (opaque, 0, SIST1_GEN);
}

/* --- memory ---------------------------------------------------------------------------------------- */

static bool
in_bar (Lsi *s, unsigned bar, uint32_t size, uint64_t addr, uint32_t len)
{
  uint64_t base = vm_pci_bar_address (&s->parent, bar);

  return size && base != UINT64_MAX && addr >= base && len <= size && addr - base <= size - len;
}

bool
lsi_dma (Lsi *s, uint64_t addr, void *buf, uint32_t len, bool to_memory)
{
  uint8_t *bytes = buf;
  VmMemResult result;

  if (in_bar (s, 2, lsi_class (s)->ram_size, addr, len))
    {
      uint8_t *at = s->ram + (addr - vm_pci_bar_address (&s->parent, 2));

      memcpy (to_memory ? at : bytes, to_memory ? bytes : at, len);
      return true;
    }
  if (in_bar (s, 1, 256, addr, len))
    {
      unsigned reg = addr - vm_pci_bar_address (&s->parent, 1);

      for (uint32_t i = 0; i < len; i++)
        if (to_memory)
          lsi_write_reg (s, reg + i, bytes[i]);
        else
          bytes[i] = lsi_read_reg (s, reg + i);
      return true;
    }
  result = to_memory ? vm_pci_dma_write (&s->parent, addr, buf, len) : vm_pci_dma_read (&s->parent, addr, buf, len);
  if (result != VM_MEM_OK)
    lsi_raise_dma (s, DSTAT_BF);
  return result == VM_MEM_OK;
}

/* --- reset ----------------------------------------------------------------------------------------- */

static void
lsi_reset_chip (Lsi *s)
{
  lsi_halt (s);
  vm_timer_cancel (&s->run_timer);
  vm_timer_cancel (&s->gen_timer);
  vm_scsi_link_reset (&s->link, false);
  memset (s->reg, 0, sizeof s->reg);
  s->carry = s->select_failed = s->connected = false;
  s->reg[SCNTL0] = 0xc0;
  s->reg[SCID] = HOST_ID;
  s->reg[CTEST1] = 0xf0;
  s->reg[DMODE] = 0;
  s->reg[GPCNTL] = 0x0f;
  s->reg[GPREG] = 0x1f;
  s->reg[STEST4] = 0xe0; /* LVD bus, frequency locked */
  s->reg[MACNTL] = 0x50;
  lsi_update_irq (s);
}

static void
lsi_write_scntl1 (Lsi *s, uint8_t value)
{
  bool reset = (value & SCNTL1_RST) && !(s->reg[SCNTL1] & SCNTL1_RST);

  s->reg[SCNTL1] = value & ~SCNTL1_CON;
  if (!reset)
    return;
  lsi_halt (s);
  s->connected = false;
  vm_scsi_link_reset (&s->link, true);
  lsi_raise_scsi (s, SIST0_RST, 0);
}

/* --- registers ------------------------------------------------------------------------------------- */

static bool
connected (const Lsi *s)
{
  return s->link.phase != VM_SCSI_PHASE_FREE;
}

static uint8_t
phase_lines (const Lsi *s)
{
  return s->link.phase <= VM_SCSI_PHASE_MESSAGE_IN ? s->link.phase : s->reg[SSTAT1] & 7;
}

static uint8_t
bus_lines (const Lsi *s)
{
  uint8_t lines = 0;

  if (connected (s))
    lines |= 0x20 | phase_lines (s);
  if (s->link.phase <= VM_SCSI_PHASE_MESSAGE_IN)
    lines |= 0x80;
  return lines | (s->link.ack ? 0x40 : 0) | (s->link.atn ? 0x08 : 0);
}

/* With the chip's bit set, scratch registers A and B tell where it sits. */
static uint8_t
read_place (Lsi *s, unsigned reg)
{
  unsigned base = reg >= SCRATCHB ? SCRATCHB : SCRATCHA;
  uint64_t addr = vm_pci_bar_address (&s->parent, base == SCRATCHB ? 2 : 1);

  return s->reg[CTEST2] & CTEST2_PCICIE ? (uint8_t) (addr >> 8 * (reg - base)) : s->reg[reg];
}

uint8_t
lsi_read_reg (Lsi *s, unsigned reg)
{
  uint8_t value = s->reg[reg & 255];

  switch (reg & 255)
    {
    case SCNTL1:
      return value | (connected (s) ? SCNTL1_CON : 0);
    case SBCL:
      return bus_lines (s);
    case SOCL:
      return (s->link.ack ? 0x40 : 0) | (s->link.atn ? 0x08 : 0);
    case DSTAT:
      s->reg[DSTAT] = 0;
      lsi_update_irq (s);
      return value | DSTAT_DFE;
    case SSTAT0:
      return s->reg[SCNTL1] & SCNTL1_RST ? 0x02 : 0;
    case SSTAT1:
      return phase_lines (s);
    case ISTAT0:
      return value | (connected (s) ? ISTAT0_CON : 0);
    case ISTAT1:
      return value | (s->running ? ISTAT1_SRUN : 0);
    case CTEST2:
      value |= s->reg[ISTAT0] & ISTAT0_SIGP ? CTEST2_SIGP : 0;
      s->reg[ISTAT0] &= ~ISTAT0_SIGP;
      return value;
    case DFIFO: /* nothing is left in it */
      return s->reg[DBC];
    case CTEST5:
      return (value & ~3) | (s->reg[DBC + 1] & 3);
    case SCRATCHA ... SCRATCHA + 3:
    case SCRATCHB ... SCRATCHB + 3:
      return read_place (s, reg);
    case SIST0:
      s->reg[SIST0] = 0;
      lsi_update_irq (s);
      return value;
    case SIST1:
      s->reg[SIST1] = 0;
      lsi_update_irq (s);
      return value;
    case SBDL:
      return s->reg[SIDL];
    default:
      return value;
    }
}

static void
lsi_write_istat (Lsi *s, uint8_t value)
{
  if (value & ISTAT0_SRST)
    {
      if (!(s->reg[ISTAT0] & ISTAT0_SRST))
        lsi_reset_chip (s);
      s->reg[ISTAT0] |= ISTAT0_SRST;
      return;
    }
  s->reg[ISTAT0] = (s->reg[ISTAT0] & (ISTAT0_INTF | ISTAT0_SIP | ISTAT0_DIP)) | (value & (ISTAT0_SIGP | ISTAT0_SEM));
  if (value & ISTAT0_INTF)
    s->reg[ISTAT0] &= ~ISTAT0_INTF;
  lsi_update_irq (s);
  if (value & ISTAT0_ABRT)
    lsi_raise_dma (s, DSTAT_ABRT);
  else if ((value & ISTAT0_SIGP) && s->wait == LSI_WAIT_AGAIN)
    lsi_run (s);
}

static void
lsi_write_stime1 (Lsi *s, uint8_t value)
{
  unsigned period = value & 15;

  s->reg[STIME1] = value;
  vm_timer_cancel (&s->gen_timer);
  if (period)
    vm_timer_set (&s->gen_timer, vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL)
                                   + (GEN_UNIT << (period - 1)));
}

void
lsi_write_reg (Lsi *s, unsigned reg, uint8_t value)
{
  switch (reg & 255)
    {
    case SCNTL1:
      lsi_write_scntl1 (s, value);
      break;
    case SCNTL2: /* ones clear the wide residue bits, which are never set */
      s->reg[SCNTL2] = value & 0xf6;
      break;
    case SOCL:
      vm_scsi_link_set_atn (&s->link, value & 0x08);
      break;
    case SSID:
    case SBCL:
    case DSTAT:
    case SSTAT0:
    case SSTAT1:
    case SSTAT2:
    case CTEST0:
    case CTEST1:
    case DFIFO:
    case SIST0:
    case SIST1:
    case SIDL:
    case SIDL + 1:
    case STEST4:
    case SBDL:
    case SBDL + 1:
      break;
    case ISTAT0:
      lsi_write_istat (s, value);
      break;
    case ISTAT1:
      s->reg[ISTAT1] = value & ISTAT1_SIRQD;
      lsi_update_irq (s);
      break;
    case CTEST2:
      s->reg[CTEST2] = value & CTEST2_PCICIE;
      break;
    case CTEST3:
      s->reg[CTEST3] = value & 0x03; /* flushing and clearing take no time */
      break;
    case DIEN:
    case SIEN0:
    case SIEN1:
      s->reg[reg] = value;
      lsi_update_irq (s);
      break;
    case DCNTL:
      s->reg[DCNTL] = value & ~DCNTL_STD;
      lsi_update_irq (s);
      if ((value & DCNTL_STD) && !s->inside)
        lsi_start (s);
      break;
    case DSP + 3:
      s->reg[reg] = value;
      if (!(s->reg[DMODE] & DMODE_MAN) && !s->inside)
        lsi_start (s);
      break;
    case STIME1:
      lsi_write_stime1 (s, value);
      break;
    case STEST3: /* clearing the FIFO takes no time */
      s->reg[STEST3] = value & ~0x02;
      break;
    default:
      s->reg[reg & 255] = value;
      break;
    }
}

static uint64_t
lsi_read (void *opaque, uint64_t offset, unsigned size)
{
  return lsi_read_reg (opaque, offset & 255);
}

static void
lsi_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  lsi_write_reg (opaque, offset & 255, (uint8_t) value);
}

static const VmRegionOps lsi_ops = { .read = lsi_read, .write = lsi_write, .impl = { .min = 1, .max = 1 } };

static uint64_t
lsi_ram_read (void *opaque, uint64_t offset, unsigned size)
{
  return vm_load_le32 (((Lsi *) opaque)->ram + (offset & ~3ull)) >> 8 * (offset & 3);
}

static void
lsi_ram_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, (uint32_t) value);
  memcpy (((Lsi *) opaque)->ram + offset, bytes, size);
}

static const VmRegionOps lsi_ram_ops = { .read = lsi_ram_read, .write = lsi_ram_write };

/* --- life ------------------------------------------------------------------------------------------ */

static void
lsi_link_changed (void *opaque)
{
  lsi_run (opaque);
}

static void
lsi_run_timer (void *opaque)
{
  lsi_run (opaque);
}

static void
lsi_reset (VmDevice *dev, VmResetKind kind)
{
  Lsi *s = (Lsi *) dev;

  lsi_reset_chip (s);
  memset (s->ram, 0, sizeof s->ram);
}

static void
lsi_take_down (Lsi *s)
{
  vm_timer_cancel (&s->run_timer);
  vm_timer_cancel (&s->gen_timer);
  vm_scsi_link_destroy (&s->link);
  vm_bus_destroy (&s->link.bus.parent);
  vm_region_destroy (&s->io);
  vm_region_destroy (&s->mmio);
  if (s->ram_region.memory)
    vm_region_destroy (&s->ram_region);
}

static bool
lsi_realize (VmDevice *dev, GError **error)
{
  Lsi *s = (Lsi *) dev;
  const LsiClass *klass = lsi_class (s);
  VmMemory *memory = dev->env->memory;

  vm_pci_set_interrupt_pin (&s->parent, 1);
  vm_region_init_io (&s->io, memory, &lsi_ops, s, "lsi-io", 256);
  vm_region_init_io (&s->mmio, memory, &lsi_ops, s, "lsi-mmio", klass->ram_size ? 1024 : 256);
  vm_pci_add_bar (&s->parent, 0, PCI_BAR_IO, &s->io);
  vm_pci_add_bar (&s->parent, 1, PCI_BAR_MEM, &s->mmio);
  if (klass->ram_size)
    {
      vm_region_init_io (&s->ram_region, memory, &lsi_ram_ops, s, "lsi-ram", klass->ram_size);
      vm_pci_add_bar (&s->parent, 2, PCI_BAR_MEM, &s->ram_region);
    }
  vm_timer_init (&s->run_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, lsi_run_timer, s);
  vm_timer_init (&s->gen_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, lsi_gen_expired, s);
  vm_scsi_link_init (&s->link, dev, klass->max_target, 7, HOST_ID, lsi_link_changed, s);
  lsi_reset_chip (s);
  if (dev->hotplugged || vm_scsi_create_drives (&s->link.bus, -1, error))
    return true;
  lsi_take_down (s);
  return false;
}

static void
lsi_unrealize (VmDevice *dev)
{
  lsi_take_down ((Lsi *) dev);
}

/* What was under way is lost with its buffers; a reset of the bus tells the guest, which begins again. */
static bool
lsi_post_load (VmDevice *dev, GError **error)
{
  Lsi *s = (Lsi *) dev;
  bool lost;

  if (s->wait >= LSI_WAIT_N || !vm_scsi_link_loaded (&s->link, &lost))
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  if (lost)
    {
      vm_scsi_link_reset (&s->link, true);
      s->connected = false;
      lsi_raise_scsi (s, SIST0_RST, 0);
    }
  lsi_update_irq (s);
  return true;
}

static const VmField lsi_state[] = {
  VM_FIELD_ARRAY (Lsi, reg),
  VM_FIELD_ARRAY (Lsi, ram),
  VM_FIELD (Lsi, running),
  VM_FIELD (Lsi, carry),
  VM_FIELD (Lsi, select_failed),
  VM_FIELD (Lsi, connected),
  VM_FIELD (Lsi, wait),
  VM_FIELD (Lsi, insn),
  VM_FIELD (Lsi, move_addr),
  VM_FIELD (Lsi, move_entry),
  VM_FIELD_EMBED (Lsi, link, vm_scsi_link_state),
  VM_FIELD_TIMER_OF (Lsi, run_timer),
  VM_FIELD_TIMER_OF (Lsi, gen_timer),
  { 0 },
};

#define LSI_DEVICE_CLASS                                                                                               \
  {                                                                                                                    \
    .realize = lsi_realize, .unrealize = lsi_unrealize, .reset = lsi_reset, .post_load = lsi_post_load,                \
    .category = "Storage", .user_creatable = true, .hotpluggable = true,                                               \
  }

static const LsiClass lsi53c895a_class = {
  .parent = {
    .parent = LSI_DEVICE_CLASS,
    .vendor = 0x1000, .device = 0x0012, .class_id = PCI_CLASS_STORAGE_SCSI, .subsystem_vendor = 0x1000,
    .subsystem = 0x1000,
  },
  .max_target = MAX_TARGET, .ram_size = LSI_RAM_SIZE,
};

static const LsiClass lsi53c810_class = {
  .parent = {
    .parent = LSI_DEVICE_CLASS,
    .vendor = 0x1000, .device = 0x0001, .class_id = PCI_CLASS_STORAGE_SCSI, .subsystem_vendor = 0x1000,
    .subsystem = 0x1000, .revision = 0x10,
  },
  .max_target = 7,
};

const VmType vm_lsi53c895a_type = {
  .name = "lsi53c895a", .parent = &vm_pci_device_type, .size = sizeof (Lsi),
  .help = "LSI 53C895A SCSI adapter", .state = lsi_state, .klass = &lsi53c895a_class,
};

const VmType vm_lsi53c810_type = {
  .name = "lsi53c810", .parent = &vm_lsi53c895a_type, .size = sizeof (Lsi),
  .help = "LSI 53C810A SCSI adapter", .klass = &lsi53c810_class,
};
