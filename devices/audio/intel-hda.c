/* SPDX-License-Identifier: GPL-3.0-or-later */
/* High Definition Audio controller (High Definition Audio Specification 1.0a, chapters 3 and 4; ICH6 data sheet 301473
 * and ICH9 data sheet 316972 for what PCI shows). Streams are in intel-hda-stream.c. */
#include "devices/audio/intel-hda.h"

#include "engine/base/log.h"

#define MMIO_SIZE 0x4000u
#define RING_MASK 0xffu /* rings have 256 entries, the only size offered */
#define RING_SIZE 0x42u
#define WALCLK_MHZ 24

/* --- interrupts (3.3.14, 3.3.15) -------------------------------------------------------------------------------------
 */

static uint32_t
hda_intsts (const IntelHda *self)
{
  uint32_t status = 0;

  for (unsigned n = 0; n < HDA_STREAMS; n++)
    {
      const HdaStream *s = &self->stream[n];
      uint8_t enabled = (uint8_t) (s->ctl & (SDCTL_IOCE | SDCTL_FEIE | SDCTL_DEIE));

      if (s->sts & enabled) /* a status bit and what enables it have the same place */
        status |= 1u << n;
    }
  if ((self->rirbsts & self->rirbctl & (RIRBSTS_INT | RIRBSTS_OIS)) || (self->corbsts & self->corbctl & CORBSTS_MEI)
      || (self->statests & self->wakeen))
    status |= 1u << INT_CONTROLLER;
  if (status & self->intctl)
    status |= 1u << INT_GLOBAL;
  return status;
}

/* A message says that something came up; it is repeated for what the driver leaves standing. */
void
intel_hda_update_irq (IntelHda *self)
{
  uint32_t status = hda_intsts (self),
           due = self->intctl >> INT_GLOBAL ? status & self->intctl & ~(1u << INT_GLOBAL) : 0;

  if (!vm_pci_msi_enabled (&self->parent))
    vm_pci_set_irq (&self->parent, due != 0);
  else if (due & ~self->raised)
    vm_pci_msi_notify (&self->parent, 0);
  self->raised = due;
}

/* --- commands and responses (4.4) ------------------------------------------------------------------------------------
 */

static void
rirb_put (IntelHda *self, uint32_t response, uint32_t extended)
{
  uint64_t base = (uint64_t) self->rirb_ubase << 32 | self->rirb_lbase;
  uint8_t raw[8];

  if (!(self->rirbctl & RIRBCTL_RUN))
    return;
  self->rirbwp = (self->rirbwp + 1) & RING_MASK;
  vm_store_le32 (raw, response);
  vm_store_le32 (raw + 4, extended);
  vm_pci_dma_write (&self->parent, base + self->rirbwp * 8u, raw, sizeof raw);
  if (++self->responses >= (self->rintcnt ? self->rintcnt : 256))
    {
      self->rirbsts |= RIRBSTS_INT;
      self->responses = 0;
    }
}

/* Whether a codec answers. */
static bool
hda_command (const IntelHda *self, uint32_t command, uint32_t *response)
{
  bool answers = vm_hda_bus_command (&self->bus, command, response);

  if (self->debug >= 2 && answers)
    vm_log_print ("%s: codec %u node %u command %05x: %08x\n", self->parent.parent.parent.type->name,
                  (unsigned) (command >> 28), (unsigned) (command >> 20 & 0x7f), (unsigned) (command & 0xfffff),
                  *response);
  return answers;
}

/* At most one turn of the ring: the codecs answer at once. After the last command the link is idle, which is as good
 * as the count of responses for an interrupt. */
static void
corb_run (IntelHda *self)
{
  uint64_t base = (uint64_t) self->corb_ubase << 32 | self->corb_lbase;
  uint8_t raw[4];

  while ((self->corbctl & CORBCTL_RUN) && (self->gctl & GCTL_CRST) && !(self->corbrp & CORBRP_RST)
         && (self->corbrp & RING_MASK) != (self->corbwp & RING_MASK))
    {
      uint16_t at = (self->corbrp + 1) & RING_MASK;
      uint32_t response;

      if (vm_pci_dma_read (&self->parent, base + at * 4u, raw, sizeof raw) != VM_MEM_OK)
        {
          self->corbsts |= CORBSTS_MEI;
          self->corbctl &= (uint8_t) ~CORBCTL_RUN;
          break;
        }
      self->corbrp = at;
      if (hda_command (self, vm_load_le32 (raw), &response))
        rirb_put (self, response, vm_load_le32 (raw) >> 28);
    }
  if (self->responses)
    {
      self->rirbsts |= RIRBSTS_INT;
      self->responses = 0;
    }
}

static void
immediate_command (IntelHda *self, uint16_t value)
{
  uint32_t response;

  self->icis &= (uint16_t) ~(value & ICIS_IRV);
  if (!(value & ICIS_ICB) || !(self->gctl & GCTL_CRST))
    return;
  if (hda_command (self, self->icoi, &response))
    {
      self->icii = response;
      self->icis |= ICIS_IRV;
    }
}

/* --- registers ------------------------------------------------------------------------------------------------------
 */

static int64_t
hda_now (const IntelHda *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

static uint32_t
hda_wall_clock (const IntelHda *self)
{
  return (uint32_t) vm_muldiv64 ((uint64_t) (hda_now (self) - self->wall_start), WALCLK_MHZ, VM_NS_PER_US);
}

static uint32_t
hda_read_dword (const IntelHda *self, unsigned reg)
{
  switch (reg)
    {
    case HDA_GCAP: /* no bidirectional streams, 64-bit addresses, version 1.0 */
      return HDA_STREAMS_OUT << 12 | HDA_STREAMS_IN << 8 | 1 | 1u << 24;
    case HDA_OUTPAY:
      return 0x3c | 0x1d << 16;
    case HDA_GCTL:
      return self->gctl;
    case HDA_WAKEEN:
      return self->wakeen | (uint32_t) self->statests << 16;
    case HDA_GSTS:
      return self->gsts;
    case HDA_OUTSTRMPAY:
      return 0x30 | 0x18 << 16;
    case HDA_INTCTL:
      return self->intctl;
    case HDA_INTSTS:
      return hda_intsts (self);
    case HDA_WALCLK:
      return self->gctl & GCTL_CRST ? hda_wall_clock (self) : 0;
    case HDA_SSYNC_ICH:
    case HDA_SSYNC:
      return self->ssync;
    case HDA_CORBLBASE:
      return self->corb_lbase;
    case HDA_CORBUBASE:
      return self->corb_ubase;
    case HDA_CORBWP:
      return self->corbwp | (uint32_t) self->corbrp << 16;
    case HDA_CORBCTL:
      return self->corbctl | (uint32_t) self->corbsts << 8 | RING_SIZE << 16;
    case HDA_RIRBLBASE:
      return self->rirb_lbase;
    case HDA_RIRBUBASE:
      return self->rirb_ubase;
    case HDA_RIRBWP:
      return self->rirbwp | (uint32_t) self->rintcnt << 16;
    case HDA_RIRBCTL:
      return self->rirbctl | (uint32_t) self->rirbsts << 8 | RING_SIZE << 16;
    case HDA_ICOI:
      return self->icoi;
    case HDA_ICII:
      return self->icii;
    case HDA_ICIS:
      return self->icis;
    case HDA_DPLBASE:
      return self->dp_lbase;
    case HDA_DPUBASE:
      return self->dp_ubase;
    default:
      break;
    }
  if (reg >= HDA_SD && reg < HDA_SD + HDA_STREAMS * HDA_SD_STEP)
    return intel_hda_stream_read (self, (reg - HDA_SD) / HDA_SD_STEP, reg % HDA_SD_STEP);
  return 0;
}

/* Only what concerns waking up stays (3.3.7). */
static void
hda_enter_reset (IntelHda *self)
{
  intel_hda_streams_reset (self);
  self->gctl = self->intctl = self->ssync = 0;
  self->corb_lbase = self->corb_ubase = self->rirb_lbase = self->rirb_ubase = 0;
  self->icoi = self->icii = self->dp_lbase = self->dp_ubase = 0;
  self->gsts = self->corbwp = self->corbrp = self->rirbwp = self->rintcnt = self->icis = self->responses = 0;
  self->corbctl = self->corbsts = self->rirbctl = self->rirbsts = 0;
  vm_bus_reset (&self->bus.parent, VM_RESET_BUS);
}

static void
hda_write_gctl (IntelHda *self, uint32_t value)
{
  if (self->debug && (value ^ self->gctl) & GCTL_CRST)
    vm_log_print ("%s: %s reset\n", self->parent.parent.parent.type->name, value & GCTL_CRST ? "out of" : "in");
  if (!(value & GCTL_CRST))
    hda_enter_reset (self);
  else if (!(self->gctl & GCTL_CRST)) /* out of reset: the codecs speak up */
    {
      self->statests |= vm_hda_bus_present (&self->bus);
      self->wall_start = hda_now (self);
    }
  self->gctl = value & (GCTL_CRST | GCTL_UNSOL);
  if (value & GCTL_FCNTRL)
    self->gsts |= GSTS_FSTS;
}

static void
hda_write_rings (IntelHda *self, unsigned reg, uint32_t value, uint32_t lanes)
{
  uint32_t both;

  switch (reg)
    {
    case HDA_CORBWP:
      both = (uint32_t) self->corbrp << 16 | self->corbwp;
      both = (both & ~lanes) | (value & lanes);
      self->corbwp = both & RING_MASK;
      if (lanes >> 31) /* a reset is seen until the driver takes it back */
        self->corbrp = (uint16_t) (both >> 31 ? CORBRP_RST : self->corbrp & ~CORBRP_RST);
      break;
    case HDA_CORBCTL:
      self->corbctl = (uint8_t) ((self->corbctl & ~lanes) | (value & lanes)) & (CORBCTL_MEIE | CORBCTL_RUN);
      self->corbsts &= (uint8_t) ~((value & lanes) >> 8 & CORBSTS_MEI);
      break;
    case HDA_RIRBWP:
      if (value & lanes & RIRBWP_RST)
        self->rirbwp = self->responses = 0;
      self->rintcnt = (uint16_t) ((self->rintcnt & ~(lanes >> 16)) | (value & lanes) >> 16) & 0xff;
      break;
    default:
      self->rirbctl
          = (uint8_t) ((self->rirbctl & ~lanes) | (value & lanes)) & (RIRBCTL_INT | RIRBCTL_RUN | RIRBCTL_OIC);
      self->rirbsts &= (uint8_t) ~((value & lanes) >> 8 & (RIRBSTS_INT | RIRBSTS_OIS));
      break;
    }
  corb_run (self);
}

static uint32_t *
hda_plain_register (IntelHda *self, unsigned reg, uint32_t *writable)
{
  *writable = UINT32_MAX;
  switch (reg)
    {
    case HDA_INTCTL:
      *writable = 1u << INT_GLOBAL | 1u << INT_CONTROLLER | ((1u << HDA_STREAMS) - 1);
      return &self->intctl;
    case HDA_CORBLBASE:
      *writable = ~0x7fu;
      return &self->corb_lbase;
    case HDA_CORBUBASE:
      return &self->corb_ubase;
    case HDA_RIRBLBASE:
      *writable = ~0x7fu;
      return &self->rirb_lbase;
    case HDA_RIRBUBASE:
      return &self->rirb_ubase;
    case HDA_ICOI:
      return &self->icoi;
    case HDA_DPLBASE:
      *writable = ~0x7eu;
      return &self->dp_lbase;
    case HDA_DPUBASE:
      return &self->dp_ubase;
    default:
      return NULL;
    }
}

static void
hda_write_dword (IntelHda *self, unsigned reg, uint32_t value, uint32_t lanes)
{
  uint32_t writable, *plain = hda_plain_register (self, reg, &writable);

  if (plain)
    *plain = (*plain & ~(lanes & writable)) | (value & lanes & writable);
  else if (reg >= HDA_SD && reg < HDA_SD + HDA_STREAMS * HDA_SD_STEP)
    intel_hda_stream_write (self, (reg - HDA_SD) / HDA_SD_STEP, reg % HDA_SD_STEP, value, lanes);
  else
    switch (reg)
      {
      case HDA_WAKEEN:
        self->wakeen = (uint16_t) ((self->wakeen & ~lanes) | (value & lanes)) & 0x7fff;
        self->statests &= (uint16_t) ~((value & lanes) >> 16);
        break;
      case HDA_SSYNC_ICH:
      case HDA_SSYNC:
        intel_hda_write_ssync (self, ((self->ssync & ~lanes) | (value & lanes)) & ((1u << HDA_STREAMS) - 1));
        break;
      case HDA_GSTS:
        self->gsts &= (uint16_t) ~(value & lanes & GSTS_FSTS);
        break;
      case HDA_CORBWP:
      case HDA_CORBCTL:
      case HDA_RIRBWP:
      case HDA_RIRBCTL:
        hda_write_rings (self, reg, value, lanes);
        break;
      case HDA_ICIS:
        immediate_command (self, (uint16_t) (value & lanes));
        break;
      default:
        break;
      }
}

/* The positions and the wall clock are there twice. */
static unsigned
hda_unalias (uint64_t offset)
{
  return (unsigned) (offset >= HDA_ALIAS ? offset - HDA_ALIAS : offset) & ~3u;
}

static uint64_t
hda_read (void *opaque, uint64_t offset, unsigned size)
{
  return hda_read_dword (opaque, hda_unalias (offset)) >> (offset & 3) * 8;
}

static void
hda_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  IntelHda *self = opaque;
  unsigned reg = hda_unalias (offset), shift = (offset & 3) * 8;
  uint32_t lanes = (uint32_t) VM_MASK (size * 8 - 1, 0) << shift;

  if (offset >= HDA_ALIAS)
    return;
  if (reg == HDA_GCTL)
    hda_write_gctl (self, (uint32_t) ((self->gctl & ~lanes) | ((uint32_t) value << shift & lanes)));
  else if ((self->gctl & GCTL_CRST) || reg == HDA_WAKEEN)
    hda_write_dword (self, reg, (uint32_t) value << shift, lanes);
  intel_hda_update_irq (self);
}

static const VmRegionOps hda_ops = {
  .read = hda_read,
  .write = hda_write,
  .impl = { .min = 1, .max = 4 },
};

/* --- life ------------------------------------------------------------------------------------------------------------
 */

static void
hda_reset (VmDevice *dev, VmResetKind kind)
{
  IntelHda *self = (IntelHda *) dev;

  hda_enter_reset (self);
  self->wakeen = self->statests = 0;
  intel_hda_update_irq (self);
}

static bool
hda_realize (VmDevice *dev, GError **error)
{
  IntelHda *self = (IntelHda *) dev;

  vm_pci_set_interrupt_pin (&self->parent, 1);
  self->parent.config[0x40] = 1; /* this link is in its High Definition Audio mode */
  if (self->msi != VM_ONOFFAUTO_OFF
      && !vm_pci_msi_init (&self->parent, self->old_msi_addr ? 0x50 : 0x60, 1, true, false, error))
    return false;
  vm_region_init_io (&self->mmio, dev->env->memory, &hda_ops, self, "intel-hda", MMIO_SIZE);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_MEM, &self->mmio);
  vm_hda_bus_init (&self->bus, dev, &intel_hda_link_ops);
  return true;
}

static void
hda_unrealize (VmDevice *dev)
{
  vm_region_destroy (&((IntelHda *) dev)->mmio);
}

static bool
hda_post_load (VmDevice *dev, GError **error)
{
  IntelHda *self = (IntelHda *) dev;

  for (unsigned n = 0; n < HDA_STREAMS; n++)
    if (self->stream[n].loaded && self->stream[n].offset >= self->stream[n].len)
      return vm_fail (error, "a position is behind the end of its buffer");
  return true;
}

static const VmProp hda_props[]
    = { VM_PROP ("old_msi_addr", IntelHda, old_msi_addr, false, "the capability of MSI at its former place"),
        VM_PROP_AUTO ("msi", IntelHda, msi, VM_ONOFFAUTO_AUTO, "message-signalled interrupts"),
        VM_PROP ("debug", IntelHda, debug, 0, "what is logged: 1 resets, 2 commands to codecs too"),
        { 0 } };

static const VmField hda_state[] = { VM_FIELD (IntelHda, gctl),
                                     VM_FIELD (IntelHda, intctl),
                                     VM_FIELD (IntelHda, ssync),
                                     VM_FIELD (IntelHda, corb_lbase),
                                     VM_FIELD (IntelHda, corb_ubase),
                                     VM_FIELD (IntelHda, rirb_lbase),
                                     VM_FIELD (IntelHda, rirb_ubase),
                                     VM_FIELD (IntelHda, icoi),
                                     VM_FIELD (IntelHda, icii),
                                     VM_FIELD (IntelHda, dp_lbase),
                                     VM_FIELD (IntelHda, dp_ubase),
                                     VM_FIELD (IntelHda, wakeen),
                                     VM_FIELD (IntelHda, statests),
                                     VM_FIELD (IntelHda, gsts),
                                     VM_FIELD (IntelHda, corbwp),
                                     VM_FIELD (IntelHda, corbrp),
                                     VM_FIELD (IntelHda, rirbwp),
                                     VM_FIELD (IntelHda, rintcnt),
                                     VM_FIELD (IntelHda, icis),
                                     VM_FIELD (IntelHda, responses),
                                     VM_FIELD (IntelHda, corbctl),
                                     VM_FIELD (IntelHda, corbsts),
                                     VM_FIELD (IntelHda, rirbctl),
                                     VM_FIELD (IntelHda, rirbsts),
                                     VM_FIELD (IntelHda, wall_start),
                                     VM_FIELD (IntelHda, raised),
                                     VM_FIELD_EMBED_ARRAY (IntelHda, stream, intel_hda_stream_state),
                                     { 0 } };

#define HDA_CLASS(device_id, revision_id)                                                                              \
  {                                                                                                                    \
    .parent = { .realize = hda_realize,                                                                                \
                .unrealize = hda_unrealize,                                                                            \
                .reset = hda_reset,                                                                                    \
                .post_load = hda_post_load,                                                                            \
                .category = "Sound",                                                                                   \
                .user_creatable = true,                                                                                \
                .hotpluggable = true },                                                                                \
    .vendor = PCI_VENDOR_INTEL, .device = (device_id), .revision = (revision_id), .class_id = PCI_CLASS_MULTIMEDIA_HDA \
  }

static const VmPciClass ich6_class = HDA_CLASS (0x2668, 1);
static const VmPciClass ich9_class = HDA_CLASS (0x293e, 3);

const VmType vm_intel_hda_generic_type = {
  .name = "intel-hda-generic",
  .parent = &vm_pci_device_type,
  .size = sizeof (IntelHda),
  .abstract = true,
  .help = "Intel HD Audio controller",
  .props = hda_props,
  .state = hda_state,
  .klass = &ich6_class,
};

const VmType vm_intel_hda_type = {
  .name = "intel-hda",
  .parent = &vm_intel_hda_generic_type,
  .size = sizeof (IntelHda),
  .help = "Intel HD Audio Controller (ich6)",
  .klass = &ich6_class,
};

const VmType vm_ich9_intel_hda_type = {
  .name = "ich9-intel-hda",
  .parent = &vm_intel_hda_generic_type,
  .size = sizeof (IntelHda),
  .help = "Intel HD Audio Controller (ich9)",
  .klass = &ich9_class,
};
