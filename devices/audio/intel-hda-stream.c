/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Streams of the High Definition Audio controller: their registers (High Definition Audio Specification 1.0a, 3.3.35 to
 * 3.3.42), lists of buffers (3.6.3) and positions in memory (3.6.1). */
#include "devices/audio/intel-hda.h"

#define SDCTL_WRITABLE 0xff001fu
#define SDSTS_CLEARED (SDSTS_BCIS | SDSTS_FIFOE | SDSTS_DESE)
#define BDL_ENTRY 16u

static unsigned
stream_tag (const HdaStream *s)
{
  return s->ctl >> SDCTL_TAG_SHIFT & 15;
}

static bool
stream_runs (const HdaStream *s)
{
  return (s->ctl & (SDCTL_RUN | SDCTL_SRST)) == SDCTL_RUN;
}

/* --- moving data ---------------------------------------------------------------------------------------------------
 */

static const HdaStream *
find_stream (const IntelHda *self, unsigned tag, bool output, unsigned *n)
{
  unsigned first = output ? HDA_STREAMS_IN : 0, end = output ? HDA_STREAMS : HDA_STREAMS_IN;

  for (*n = first; *n < end; ++*n)
    {
      const HdaStream *s = &self->stream[*n];

      if (stream_runs (s) && stream_tag (s) == tag && !(self->ssync >> *n & 1))
        return s;
    }
  return NULL;
}

static bool
link_running (const VmHdaBus *bus, unsigned tag, bool output)
{
  const IntelHda *self = VM_CONTAINER_OF (bus, IntelHda, bus);
  unsigned n;

  return (self->gctl & GCTL_CRST) && find_stream (self, tag, output, &n);
}

/* The buffer the stream is in. Lists of nothing but empty buffers are errors of the driver: the stream stops. */
static bool
stream_load (IntelHda *self, HdaStream *s)
{
  uint64_t list = (uint64_t) s->bdpu << 32 | s->bdpl;
  uint8_t raw[BDL_ENTRY];

  for (unsigned tries = 0; !s->loaded && tries <= s->lvi; tries++)
    {
      if (vm_pci_dma_read (&self->parent, list + s->entry * BDL_ENTRY, raw, sizeof raw) != VM_MEM_OK)
        break;
      s->addr = vm_load_le64 (raw);
      s->len = vm_load_le32 (raw + 8);
      s->flags = vm_load_le32 (raw + 12);
      s->offset = 0;
      s->loaded = s->len > 0;
      if (!s->loaded)
        s->entry = s->entry >= s->lvi ? 0 : s->entry + 1;
    }
  if (!s->loaded)
    {
      s->sts |= SDSTS_DESE;
      s->ctl &= ~(uint32_t) SDCTL_RUN;
    }
  return s->loaded;
}

static void
stream_advance (HdaStream *s, uint32_t n)
{
  s->offset += n;
  s->lpib += n;
  if (s->cbl && s->lpib >= s->cbl)
    s->lpib = 0;
  if (s->offset < s->len)
    return;
  if (s->flags & BDL_IOC)
    s->sts |= SDSTS_BCIS;
  s->entry = s->entry >= s->lvi ? 0 : s->entry + 1;
  s->loaded = false;
}

static void
store_position (IntelHda *self, unsigned n)
{
  uint64_t base = (uint64_t) self->dp_ubase << 32 | (self->dp_lbase & ~0x7fu);
  uint8_t raw[4];

  if (!(self->dp_lbase & 1))
    return;
  vm_store_le32 (raw, self->stream[n].lpib);
  vm_pci_dma_write (&self->parent, base + 8 * n, raw, sizeof raw);
}

static uint32_t
link_transfer (VmHdaBus *bus, unsigned tag, bool output, void *buf, uint32_t len)
{
  IntelHda *self = VM_CONTAINER_OF (bus, IntelHda, bus);
  uint32_t done = 0, step;
  unsigned n;

  if (!(self->gctl & GCTL_CRST) || !find_stream (self, tag, output, &n))
    return 0;
  HdaStream *s = &self->stream[n];
  while (done < len && stream_load (self, s))
    {
      uint8_t *at = (uint8_t *) buf + done;

      step = MIN (len - done, s->len - s->offset);
      if (s->cbl > s->lpib)
        step = MIN (step, s->cbl - s->lpib);
      if (output)
        vm_pci_dma_read (&self->parent, s->addr + s->offset, at, step);
      else
        vm_pci_dma_write (&self->parent, s->addr + s->offset, at, step);
      stream_advance (s, step);
      done += step;
    }
  store_position (self, n);
  intel_hda_update_irq (self);
  return done;
}

const VmHdaLinkOps intel_hda_link_ops = { .transfer = link_transfer, .running = link_running };

/* --- registers -----------------------------------------------------------------------------------------------------
 */

uint32_t
intel_hda_stream_read (const IntelHda *self, unsigned n, unsigned reg)
{
  const HdaStream *s = &self->stream[n];

  switch (reg)
    {
    case HDA_SD_CTL:
      return s->ctl | (uint32_t) (s->sts | (stream_runs (s) ? SDSTS_FIFORDY : 0)) << 24;
    case HDA_SD_LPIB:
      return s->lpib;
    case HDA_SD_CBL:
      return s->cbl;
    case HDA_SD_LVI:
      return s->lvi;
    case HDA_SD_FIFOS:
      return (hda_stream_is_output (n) ? 0xbfu : 0x77u) | (uint32_t) s->fmt << 16;
    case HDA_SD_BDPL:
      return s->bdpl;
    case HDA_SD_BDPU:
      return s->bdpu;
    default:
      return 0;
    }
}

static void
stream_write_ctl (IntelHda *self, unsigned n, uint32_t value, uint32_t lanes)
{
  HdaStream *s = &self->stream[n];
  bool ran = stream_runs (s), output = hda_stream_is_output (n);
  unsigned tag = stream_tag (s);

  s->sts &= (uint8_t) ~((value & lanes) >> 24 & SDSTS_CLEARED);
  s->ctl = ((s->ctl & ~lanes) | (value & lanes)) & SDCTL_WRITABLE;
  if (s->ctl & SDCTL_SRST)
    *s = (HdaStream){ .ctl = SDCTL_SRST };
  if (ran && (!stream_runs (s) || stream_tag (s) != tag))
    vm_hda_bus_stream (&self->bus, tag, output);
  if (stream_runs (s) && (!ran || stream_tag (s) != tag))
    vm_hda_bus_stream (&self->bus, stream_tag (s), output);
}

void
intel_hda_stream_write (IntelHda *self, unsigned n, unsigned reg, uint32_t value, uint32_t lanes)
{
  HdaStream *s = &self->stream[n];

  switch (reg)
    {
    case HDA_SD_CTL:
      stream_write_ctl (self, n, value, lanes);
      break;
    case HDA_SD_CBL:
      s->cbl = (s->cbl & ~lanes) | (value & lanes);
      break;
    case HDA_SD_LVI:
      s->lvi = (uint16_t) ((s->lvi & ~lanes) | (value & lanes)) & 0xff;
      break;
    case HDA_SD_FIFOS:
      s->fmt = (uint16_t) ((s->fmt & ~(lanes >> 16)) | (value & lanes) >> 16) & 0x7f7f;
      break;
    case HDA_SD_BDPL:
      s->bdpl = ((s->bdpl & ~lanes) | (value & lanes)) & ~0x7fu;
      break;
    case HDA_SD_BDPU:
      s->bdpu = (s->bdpu & ~lanes) | (value & lanes);
      break;
    default:
      break;
    }
}

/* Streams with a bit here stand although they run, so that several can start as one (3.3.17). */
void
intel_hda_write_ssync (IntelHda *self, uint32_t ssync)
{
  uint32_t changed = self->ssync ^ ssync;

  self->ssync = ssync;
  for (unsigned n = 0; n < HDA_STREAMS; n++)
    if ((changed >> n & 1) && stream_runs (&self->stream[n]))
      vm_hda_bus_stream (&self->bus, stream_tag (&self->stream[n]), hda_stream_is_output (n));
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

void
intel_hda_streams_reset (IntelHda *self)
{
  for (unsigned n = 0; n < HDA_STREAMS; n++)
    {
      bool ran = stream_runs (&self->stream[n]);
      unsigned tag = stream_tag (&self->stream[n]);

      self->stream[n] = (HdaStream){ 0 };
      if (ran)
        vm_hda_bus_stream (&self->bus, tag, hda_stream_is_output (n));
    }
}

const VmField intel_hda_stream_state[]
    = { VM_FIELD (HdaStream, ctl),    VM_FIELD (HdaStream, lpib),   VM_FIELD (HdaStream, cbl),
        VM_FIELD (HdaStream, bdpl),   VM_FIELD (HdaStream, bdpu),   VM_FIELD (HdaStream, lvi),
        VM_FIELD (HdaStream, fmt),    VM_FIELD (HdaStream, sts),    VM_FIELD (HdaStream, entry),
        VM_FIELD (HdaStream, loaded), VM_FIELD (HdaStream, addr),   VM_FIELD (HdaStream, len),
        VM_FIELD (HdaStream, flags),  VM_FIELD (HdaStream, offset), { 0 } };
