/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Floppy disk controller (Intel 82077AA data sheet, 1991). The FIFO is one sector deep: data moves by DMA, or byte by
 * byte with an interrupt each sector. */
#include "devices/storage/fdc.h"
#include "engine/base/log.h"

#define SECTOR 512u
#define DRIVES 2

enum { REG_SRA, REG_SRB, REG_DOR, REG_TDR, REG_MSR, REG_FIFO, REG_DIR = 7 };
enum { DOR_SELECT = 3, DOR_NOT_RESET = 1 << 2, DOR_DMA = 1 << 3, DOR_MOTOR_A = 1 << 4 };
enum { MSR_BUSY = 1 << 4, MSR_NON_DMA = 1 << 5, MSR_DIO = 1 << 6, MSR_RQM = 1 << 7 };
enum { DSR_RESET = 1 << 7 };
enum { SR0_HEAD = 1 << 2, SR0_SEEK_END = 1 << 5, SR0_ABNORMAL = 0x40, SR0_INVALID = 0x80, SR0_POLLED = 0xc0 };
enum { SR1_MISSING = 1 << 0, SR1_NOT_WRITABLE = 1 << 1, SR1_NO_DATA = 1 << 2, SR1_END = 1 << 7 };
enum { SR3_WRITE_PROTECTED = 1 << 6, SR3_TRACK0 = 1 << 4, SR3_READY = 1 << 5, SR3_TWO_SIDED = 1 << 3 };
enum { CFG_IMPLIED_SEEK = 1 << 6 };

typedef enum Phase { PHASE_COMMAND, PHASE_EXECUTION, PHASE_RESULT } Phase;
typedef enum Transfer { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_VERIFY, TRANSFER_FORMAT } Transfer;

struct VmFdc {
  VmIsaDevice parent;
  /* properties */
  uint32_t iobase, irq_number, dma_channel;
  int      kind[DRIVES], fallback;
  int32_t  bootindex[DRIVES];
  /* wiring */
  VmIrq    irq;
  VmBus    bus;
  VmFloppy *drive[DRIVES];
  struct iovec iov;
  /* guest state */
  uint8_t  dor, tdr, dsr, config, precomp_track, lock;
  uint8_t  timer0, timer1, perpendicular;
  uint8_t  phase, transfer;
  uint8_t  fifo[16], fifo_at, fifo_len; /* command or result bytes */
  uint8_t  status0;           /* for SENSE INTERRUPT STATUS */
  uint8_t  reset_sense;       /* after a reset, one for each of four drives */
  bool     irq_pending, busy_io, dma_ready, data_ready;
  bool     multi_track, skip_last;
  uint8_t  unit, cylinder, head, sector, last_sector, size_code;
  uint8_t  data[SECTOR];
  uint32_t data_at;
};

static VmFloppy *
fdc_drive (VmFdc *fdc, unsigned unit)
{
  return unit < DRIVES ? fdc->drive[unit] : NULL;
}

static void
fdc_raise (VmFdc *fdc)
{
  fdc->irq_pending = true;
  if (fdc->dor & DOR_DMA)
    vm_irq_raise (&fdc->irq);
}

static void
fdc_lower (VmFdc *fdc)
{
  fdc->irq_pending = false;
  vm_irq_lower (&fdc->irq);
}

static bool
fdc_uses_dma (const VmFdc *fdc)
{
  return !(fdc->timer1 & 1) && fdc->dma_channel < 8;
}

/* --- results ---------------------------------------------------------------------------------------------- */

static void
fdc_idle (VmFdc *fdc)
{
  fdc->phase = PHASE_COMMAND;
  fdc->fifo_at = 0;
  fdc->fifo_len = 0;
}

static void
fdc_result (VmFdc *fdc, const uint8_t *bytes, unsigned n)
{
  memcpy (fdc->fifo, bytes, n);
  fdc->fifo_at = 0;
  fdc->fifo_len = n;
  fdc->phase = PHASE_RESULT;
}

/* The seven result bytes of a data command, with its interrupt. */
static void
fdc_end_transfer (VmFdc *fdc, uint8_t sr0, uint8_t sr1, uint8_t sr2)
{
  uint8_t result[7] = { sr0 | fdc->unit | (fdc->head ? SR0_HEAD : 0), sr1, sr2, fdc->cylinder, fdc->head, fdc->sector,
                        fdc->size_code };

  fdc->status0 = result[0];
  fdc->dma_ready = fdc->data_ready = false;
  if (fdc_uses_dma (fdc))
    vm_isa_dma_request (&fdc->parent.parent, fdc->dma_channel, false);
  fdc_result (fdc, result, sizeof result);
  fdc_raise (fdc);
}

/* --- transfers ------------------------------------------------------------------------------------------------ */

static uint64_t
fdc_lba (const VmFdc *fdc, const VmFloppy *f)
{
  return ((uint64_t) fdc->cylinder * f->heads + fdc->head) * f->sectors + fdc->sector - 1;
}

/* To the next sector; false: that was the last one. Multi-track goes on with the other side. */
static bool
fdc_next_sector (VmFdc *fdc, const VmFloppy *f)
{
  if (fdc->sector < fdc->last_sector && fdc->sector < f->sectors)
    {
      fdc->sector++;
      return true;
    }
  fdc->sector = 1;
  if (fdc->multi_track && !fdc->head && f->heads > 1)
    {
      fdc->head = 1;
      return true;
    }
  fdc->cylinder++;
  if (fdc->multi_track)
    fdc->head = 0;
  return false;
}

static void fdc_start_sector (VmFdc *fdc);

/* The sector in DATA is done with: written, or taken by the host. */
static void
fdc_sector_finished (VmFdc *fdc, bool terminal)
{
  VmFloppy *f = fdc_drive (fdc, fdc->unit);
  bool more = f && f->sectors && fdc_next_sector (fdc, f);

  if (terminal || !more)
    /* Without terminal count the controller stops at the track's end and says so. */
    fdc_end_transfer (fdc, terminal || !fdc_uses_dma (fdc) ? 0 : SR0_ABNORMAL,
                      terminal || !fdc_uses_dma (fdc) ? 0 : SR1_END, 0);
  else
    fdc_start_sector (fdc);
}

static void
fdc_write_done (void *opaque, int status)
{
  VmFdc *fdc = opaque;

  fdc->busy_io = false;
  if (fdc->phase != PHASE_EXECUTION)
    return;
  if (status)
    fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_NOT_WRITABLE, 0);
  else
    fdc_sector_finished (fdc, fdc->skip_last);
}

static void
fdc_write_sector (VmFdc *fdc, bool last)
{
  VmFloppy *f = fdc_drive (fdc, fdc->unit);

  if (!f || !f->sectors)
    {
      fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_MISSING, 0);
      return;
    }
  fdc->skip_last = last;
  fdc->dma_ready = fdc->data_ready = false;
  fdc->busy_io = true;
  fdc->iov = (struct iovec) { fdc->data, SECTOR };
  vm_block_write (f->conf.drive->block, fdc_lba (fdc, f) * SECTOR, &fdc->iov, 1, fdc_write_done, fdc);
}

/* The DMA channel can move data now. */
static void
fdc_dma_service (void *opaque, unsigned channel)
{
  VmFdc *fdc = opaque;
  bool terminal = false;

  if (!fdc->dma_ready || fdc->busy_io)
    return;
  fdc->data_at
      += vm_isa_dma_move (&fdc->parent.parent, channel, fdc->data + fdc->data_at, SECTOR - fdc->data_at, &terminal);
  if (fdc->data_at < SECTOR && !terminal)
    return;
  fdc->dma_ready = false;
  vm_isa_dma_request (&fdc->parent.parent, channel, false);
  if (fdc->transfer == TRANSFER_WRITE)
    {
      memset (fdc->data + fdc->data_at, 0, SECTOR - fdc->data_at);
      fdc_write_sector (fdc, terminal);
    }
  else
    fdc_sector_finished (fdc, terminal);
}

/* Offers the sector (or asks for it). */
static void
fdc_open_data (VmFdc *fdc)
{
  fdc->data_at = 0;
  if (fdc_uses_dma (fdc))
    {
      fdc->dma_ready = true;
      vm_isa_dma_request (&fdc->parent.parent, fdc->dma_channel, true);
    }
  else
    {
      fdc->data_ready = true;
      fdc_raise (fdc);
    }
}

static void
fdc_read_done (void *opaque, int status)
{
  VmFdc *fdc = opaque;

  fdc->busy_io = false;
  if (fdc->phase != PHASE_EXECUTION)
    return;
  if (status)
    fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_NO_DATA, 0);
  else if (fdc->transfer == TRANSFER_VERIFY)
    fdc_sector_finished (fdc, false);
  else
    fdc_open_data (fdc);
}

static void
fdc_start_sector (VmFdc *fdc)
{
  VmFloppy *f = fdc_drive (fdc, fdc->unit);

  if (!f || !f->sectors || !f->conf.drive->block)
    fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_MISSING, 0);
  else if (fdc->cylinder >= f->tracks || fdc->head >= f->heads || !fdc->sector || fdc->sector > f->sectors
           || fdc->size_code != 2)
    fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_NO_DATA, 0);
  else if (fdc->transfer == TRANSFER_WRITE)
    {
      if (vm_block_readonly (f->conf.drive->block))
        fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_NOT_WRITABLE, 0);
      else
        fdc_open_data (fdc);
    }
  else
    {
      fdc->busy_io = true;
      fdc->iov = (struct iovec) { fdc->data, SECTOR };
      vm_block_read (f->conf.drive->block, fdc_lba (fdc, f) * SECTOR, &fdc->iov, 1, fdc_read_done, fdc);
    }
}

static void
fdc_cmd_transfer (VmFdc *fdc, Transfer transfer)
{
  VmFloppy *f;

  fdc->transfer = transfer;
  fdc->multi_track = fdc->fifo[0] & 0x80;
  fdc->unit = fdc->fifo[1] & DOR_SELECT;
  fdc->cylinder = fdc->fifo[2];
  fdc->head = fdc->fifo[3] & 1;
  fdc->sector = fdc->fifo[4];
  fdc->size_code = fdc->fifo[5];
  fdc->last_sector = fdc->fifo[6];
  fdc->phase = PHASE_EXECUTION;
  f = fdc_drive (fdc, fdc->unit);
  if (f)
    {
      if (fdc->config & CFG_IMPLIED_SEEK)
        f->track = fdc->cylinder;
      f->changed = false;
    }
  fdc_start_sector (fdc);
}

/* FORMAT TRACK fills the track; the identifiers the host sends say nothing an image could keep. */
static void
fdc_format_done (void *opaque, int status)
{
  VmFdc *fdc = opaque;
  VmFloppy *f = fdc_drive (fdc, fdc->unit);

  fdc->busy_io = false;
  if (fdc->phase != PHASE_EXECUTION)
    return;
  if (status || !f || !f->sectors)
    fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_NOT_WRITABLE, 0);
  else if (fdc->sector++ < MIN (fdc->last_sector, f->sectors))
    vm_block_write (f->conf.drive->block, (fdc_lba (fdc, f) - 1) * SECTOR, &fdc->iov, 1, fdc_format_done, fdc);
  else
    fdc_end_transfer (fdc, 0, 0, 0);
}

static void
fdc_cmd_format (VmFdc *fdc)
{
  VmFloppy *f;

  fdc->transfer = TRANSFER_FORMAT;
  fdc->unit = fdc->fifo[1] & DOR_SELECT;
  fdc->head = fdc->fifo[1] >> 2 & 1;
  fdc->size_code = fdc->fifo[2];
  fdc->last_sector = fdc->fifo[3];
  fdc->sector = 1;
  fdc->phase = PHASE_EXECUTION;
  f = fdc_drive (fdc, fdc->unit);
  if (!f || !f->sectors || f->track >= f->tracks || fdc->head >= f->heads || vm_block_readonly (f->conf.drive->block))
    {
      fdc_end_transfer (fdc, SR0_ABNORMAL, f && f->sectors ? SR1_NOT_WRITABLE : SR1_MISSING, 0);
      return;
    }
  fdc->cylinder = f->track;
  memset (fdc->data, fdc->fifo[5], SECTOR);
  fdc->iov = (struct iovec) { fdc->data, SECTOR };
  fdc->busy_io = true;
  fdc_format_done (fdc, 0);
}

/* --- other commands ----------------------------------------------------------------------------------------------- */

static void
fdc_seek_to (VmFdc *fdc, unsigned unit, int track)
{
  VmFloppy *f = fdc_drive (fdc, unit);

  if (f)
    {
      f->track = CLAMP (track, 0, f->tracks ? f->tracks - 1 : 79);
      if (f->conf.drive && f->conf.drive->block)
        f->changed = false;
    }
  fdc->status0 = SR0_SEEK_END | unit | (f ? 0 : SR0_ABNORMAL);
  fdc_idle (fdc);
  fdc_raise (fdc);
}

static void
fdc_cmd_sense_interrupt (VmFdc *fdc)
{
  uint8_t result[2] = { SR0_INVALID, 0 };

  if (fdc->reset_sense)
    {
      unsigned unit = 4 - fdc->reset_sense--;

      result[0] = SR0_POLLED | unit;
      result[1] = fdc_drive (fdc, unit) ? fdc->drive[unit]->track : 0;
    }
  else if (fdc->irq_pending)
    {
      VmFloppy *f = fdc_drive (fdc, fdc->status0 & DOR_SELECT);

      result[0] = fdc->status0;
      result[1] = f ? f->track : 0;
    }
  else
    {
      fdc_result (fdc, result, 1);
      return;
    }
  fdc_lower (fdc);
  fdc_result (fdc, result, 2);
}

static void
fdc_cmd_sense_drive (VmFdc *fdc)
{
  VmFloppy *f = fdc_drive (fdc, fdc->fifo[1] & DOR_SELECT);
  uint8_t sr3 = (fdc->fifo[1] & 7) | SR3_READY | SR3_TWO_SIDED;

  if (f && f->track == 0)
    sr3 |= SR3_TRACK0;
  if (f && f->conf.drive && f->conf.drive->block && vm_block_readonly (f->conf.drive->block))
    sr3 |= SR3_WRITE_PROTECTED;
  fdc_result (fdc, &sr3, 1);
}

static void
fdc_cmd_read_id (VmFdc *fdc)
{
  VmFloppy *f;

  fdc->unit = fdc->fifo[1] & DOR_SELECT;
  fdc->head = fdc->fifo[1] >> 2 & 1;
  fdc->size_code = 2;
  fdc->sector = 1;
  f = fdc_drive (fdc, fdc->unit);
  fdc->cylinder = f ? f->track : 0;
  if (!f || !f->sectors || fdc->head >= f->heads)
    fdc_end_transfer (fdc, SR0_ABNORMAL, SR1_MISSING, 0);
  else
    fdc_end_transfer (fdc, 0, 0, 0);
}

static void
fdc_cmd_dump (VmFdc *fdc)
{
  uint8_t result[10] = { 0 };

  for (unsigned i = 0; i < DRIVES; i++)
    result[i] = fdc->drive[i] ? fdc->drive[i]->track : 0;
  result[4] = fdc->timer0;
  result[5] = fdc->timer1;
  result[6] = fdc->last_sector;
  result[7] = fdc->lock << 7 | (fdc->perpendicular & 0x3f);
  result[8] = fdc->config;
  result[9] = fdc->precomp_track;
  fdc_result (fdc, result, sizeof result);
}

/* Bytes of a command, its own included (data sheet, table 5-1); 1 for what is not known. */
static unsigned
fdc_command_length (uint8_t command)
{
  switch (command & 0x1f)
    {
    case 0x05:
    case 0x06:
    case 0x09:
    case 0x0c:
    case 0x11:
    case 0x16:
    case 0x19:
    case 0x1d:
    case 0x02:
      return 9;
    case 0x0d:
      return 6;
    case 0x0f:
      return 3;
    case 0x03:
      return 3;
    case 0x13:
      return 4;
    case 0x04:
    case 0x07:
    case 0x0a:
    case 0x12:
      return 2;
    default:
      return command == 0x8e ? 6 : 1;
    }
}

static void
fdc_run_command (VmFdc *fdc)
{
  const uint8_t *c = fdc->fifo;
  uint8_t byte;

  switch (c[0] & 0x1f)
    {
    case 0x03: /* SPECIFY */
      fdc->timer0 = c[1];
      fdc->timer1 = c[2];
      fdc_idle (fdc);
      break;
    case 0x04:
      fdc_cmd_sense_drive (fdc);
      break;
    case 0x05: /* WRITE DATA, WRITE DELETED DATA */
    case 0x09:
      fdc_cmd_transfer (fdc, TRANSFER_WRITE);
      break;
    case 0x02: /* READ TRACK, READ DATA, READ DELETED DATA */
    case 0x06:
    case 0x0c:
      fdc_cmd_transfer (fdc, TRANSFER_READ);
      break;
    case 0x16: /* VERIFY, and the scans, which compare nothing here */
    case 0x11:
    case 0x19:
    case 0x1d:
      fdc_cmd_transfer (fdc, TRANSFER_VERIFY);
      break;
    case 0x07: /* RECALIBRATE */
      fdc_seek_to (fdc, c[1] & DOR_SELECT, 0);
      break;
    case 0x08:
      fdc_cmd_sense_interrupt (fdc);
      break;
    case 0x0a:
      fdc_cmd_read_id (fdc);
      break;
    case 0x0d:
      fdc_cmd_format (fdc);
      break;
    case 0x0e:
      if (c[0] == 0x8e) /* DRIVE SPECIFICATION */
        fdc_idle (fdc);
      else
        fdc_cmd_dump (fdc);
      break;
    case 0x0f: /* SEEK, RELATIVE SEEK */
      {
        VmFloppy *f = fdc_drive (fdc, c[1] & DOR_SELECT);
        int from = f ? f->track : 0;

        fdc_seek_to (fdc, c[1] & DOR_SELECT, !(c[0] & 0x80) ? c[2] : c[0] & 0x40 ? from + c[2] : from - c[2]);
        break;
      }
    case 0x10: /* VERSION: 82077AA */
      byte = 0x90;
      fdc_result (fdc, &byte, 1);
      break;
    case 0x12:
      fdc->perpendicular = c[1];
      fdc_idle (fdc);
      break;
    case 0x13:
      fdc->config = c[2];
      fdc->precomp_track = c[3];
      fdc_idle (fdc);
      break;
    case 0x14: /* LOCK */
      fdc->lock = c[0] >> 7;
      byte = fdc->lock << 4;
      fdc_result (fdc, &byte, 1);
      break;
    default:
      byte = SR0_INVALID;
      fdc_result (fdc, &byte, 1);
      break;
    }
}

/* --- registers -----------------------------------------------------------------------------------------------------
 */

/* What a reset by DOR or DSR does; DOR itself and (when locked) the configuration stay. */
static void
fdc_soft_reset (VmFdc *fdc, bool interrupt)
{
  for (unsigned i = 0; i < DRIVES; i++)
    if (fdc->drive[i] && fdc->drive[i]->conf.drive && fdc->drive[i]->conf.drive->block)
      vm_block_drain (fdc->drive[i]->conf.drive->block);
  fdc_lower (fdc);
  if (fdc->dma_channel < 8)
    vm_isa_dma_request (&fdc->parent.parent, fdc->dma_channel, false);
  if (!fdc->lock)
    {
      fdc->config = 0x20;
      fdc->precomp_track = 0;
    }
  fdc->busy_io = fdc->dma_ready = fdc->data_ready = false;
  fdc->status0 = SR0_POLLED;
  fdc->reset_sense = 0;
  fdc_idle (fdc);
  if (interrupt)
    {
      fdc->reset_sense = 4;
      fdc_raise (fdc);
    }
}

static uint8_t
fdc_read_msr (VmFdc *fdc)
{
  uint8_t msr = 0;

  if (!(fdc->dor & DOR_NOT_RESET))
    return 0;
  switch (fdc->phase)
    {
    case PHASE_COMMAND:
      msr = MSR_RQM | (fdc->fifo_at ? MSR_BUSY : 0);
      break;
    case PHASE_EXECUTION:
      msr = MSR_BUSY;
      if (fdc->data_ready)
        msr |= MSR_RQM | MSR_NON_DMA | (fdc->transfer == TRANSFER_WRITE ? 0 : MSR_DIO);
      break;
    case PHASE_RESULT:
      msr = MSR_RQM | MSR_DIO | MSR_BUSY;
      break;
    }
  return msr;
}

static uint8_t
fdc_read_fifo (VmFdc *fdc)
{
  uint8_t byte;

  if (fdc->phase == PHASE_EXECUTION && fdc->data_ready && fdc->transfer != TRANSFER_WRITE)
    {
      byte = fdc->data[fdc->data_at++];
      if (fdc->data_at == SECTOR)
        {
          fdc->data_ready = false;
          fdc_lower (fdc);
          fdc_sector_finished (fdc, false);
        }
      return byte;
    }
  if (fdc->phase != PHASE_RESULT)
    return 0;
  fdc_lower (fdc);
  byte = fdc->fifo[fdc->fifo_at++];
  if (fdc->fifo_at >= fdc->fifo_len)
    fdc_idle (fdc);
  return byte;
}

static void
fdc_write_fifo (VmFdc *fdc, uint8_t value)
{
  if (!(fdc->dor & DOR_NOT_RESET))
    return;
  if (fdc->phase == PHASE_EXECUTION && fdc->data_ready && fdc->transfer == TRANSFER_WRITE)
    {
      fdc->data[fdc->data_at++] = value;
      if (fdc->data_at == SECTOR)
        {
          fdc_lower (fdc);
          fdc_write_sector (fdc, false);
        }
      return;
    }
  if (fdc->phase != PHASE_COMMAND)
    {
      vm_guest_error ("isa-fdc", "command byte %02x while busy", value);
      return;
    }
  fdc->fifo[fdc->fifo_at++] = value;
  if (fdc->fifo_at >= fdc_command_length (fdc->fifo[0]))
    fdc_run_command (fdc);
}

static void
fdc_write_dor (VmFdc *fdc, uint8_t value)
{
  bool leaves = !(fdc->dor & DOR_NOT_RESET) && (value & DOR_NOT_RESET);
  bool enters = (fdc->dor & DOR_NOT_RESET) && !(value & DOR_NOT_RESET);

  fdc->dor = value;
  if (enters)
    fdc_soft_reset (fdc, false);
  else if (leaves)
    fdc_soft_reset (fdc, true);
  else if (fdc->irq_pending)
    vm_irq_set (&fdc->irq, !!(value & DOR_DMA));
}

static uint8_t
fdc_read_dir (VmFdc *fdc)
{
  unsigned unit = fdc->dor & DOR_SELECT;
  VmFloppy *f = fdc_drive (fdc, unit);

  /* The disk change line of the selected drive, while its motor runs. */
  return f && (fdc->dor & DOR_MOTOR_A << unit) && f->changed ? 0x80 : 0;
}

static uint64_t
fdc_read (void *opaque, uint64_t offset, unsigned size)
{
  VmFdc *fdc = opaque;

  switch (offset)
    {
    case REG_DOR:
      return fdc->dor;
    case REG_TDR:
      return fdc->tdr;
    case REG_MSR:
      return fdc_read_msr (fdc);
    case REG_FIFO:
      return fdc_read_fifo (fdc);
    case REG_DIR:
      return fdc_read_dir (fdc);
    default:
      return 0xff; /* status registers A and B belong to PS/2 mode */
    }
}

static void
fdc_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmFdc *fdc = opaque;

  switch (offset)
    {
    case REG_DOR:
      fdc_write_dor (fdc, value);
      break;
    case REG_TDR:
      fdc->tdr = value & 3;
      break;
    case REG_MSR: /* data rate select */
      fdc->dsr = value & ~DSR_RESET;
      if ((value & DSR_RESET) && (fdc->dor & DOR_NOT_RESET))
        fdc_soft_reset (fdc, true);
      break;
    case REG_FIFO:
      fdc_write_fifo (fdc, value);
      break;
    case REG_DIR: /* configuration control: data rate */
      fdc->dsr = (fdc->dsr & ~3) | (value & 3);
      break;
    }
}

static const VmRegionOps fdc_ops = { .read = fdc_read, .write = fdc_write, .impl = { .min = 1, .max = 1 } };

/* Port 3F7 alone; 3F6 between the two belongs to the disk controller. */
static uint64_t
fdc_read_last (void *opaque, uint64_t offset, unsigned size)
{
  return fdc_read (opaque, REG_DIR, size);
}

static void
fdc_write_last (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  fdc_write (opaque, REG_DIR, value, size);
}

static const VmRegionOps fdc_last_ops
    = { .read = fdc_read_last, .write = fdc_write_last, .impl = { .min = 1, .max = 1 } };

/* --- life ------------------------------------------------------------------------------------- */

static bool
fdc_bus_attach (VmBus *bus, VmDevice *dev, GError **error)
{
  VmFdc *fdc = (VmFdc *) bus->owner;
  VmFloppy *f = (VmFloppy *) dev;

  if (f->unit == UINT32_MAX)
    f->unit = fdc->drive[0] ? 1 : 0;
  if (f->unit >= DRIVES)
    return vm_fail (error, "Can't create floppy unit %u, bus supports only %d units", f->unit, DRIVES);
  if (fdc->drive[f->unit])
    return vm_fail (error, "Floppy unit %u is in use", f->unit);
  if (f->kind == VM_FLOPPY_AUTO && fdc->kind[f->unit] != VM_FLOPPY_AUTO)
    f->kind = fdc->kind[f->unit];
  fdc->drive[f->unit] = f;
  return true;
}

static void
fdc_bus_detach (VmBus *bus, VmDevice *dev)
{
  VmFdc *fdc = (VmFdc *) bus->owner;

  for (unsigned i = 0; i < DRIVES; i++)
    if (fdc->drive[i] == (VmFloppy *) dev)
      fdc->drive[i] = NULL;
}

VmFloppyKind
vm_fdc_drive_kind (VmFdc *fdc, unsigned unit)
{
  VmFloppy *f = fdc_drive (fdc, unit);

  if (!f)
    return VM_FLOPPY_NONE;
  if (f->kind != VM_FLOPPY_AUTO)
    return f->kind;
  return (VmFloppyKind) (f->medium_kind != VM_FLOPPY_AUTO ? f->medium_kind : fdc->fallback);
}

static bool
fdc_add_boot_devices (VmFdc *fdc, GError **error)
{
  static const char *const suffixes[DRIVES] = { "/floppy@0", "/floppy@1" };
  VmDevice *dev = &fdc->parent.parent;
  VmMachine *machine = dev->env->machine;

  for (unsigned i = 0; machine && i < DRIVES; i++)
    if (fdc->bootindex[i] >= 0 && !vm_machine_add_boot_device (machine, fdc->bootindex[i], dev, suffixes[i], error))
      {
        vm_machine_remove_boot_device (machine, dev);
        return false;
      }
  return true;
}

static bool
fdc_realize (VmDevice *dev, GError **error)
{
  VmFdc *fdc = (VmFdc *) dev;
  VmIsaDmaClient client = { fdc_dma_service, fdc };

  fdc->irq = vm_isa_irq (dev, fdc->irq_number);
  if (fdc->dma_channel < 8 && !vm_isa_dma_attach (dev, fdc->dma_channel, client, error))
    return false;
  vm_bus_init (&fdc->bus, VM_FLOPPY_BUS_TYPE, dev, NULL);
  fdc->bus.max_devices = DRIVES;
  fdc->bus.attach = fdc_bus_attach;
  fdc->bus.detach = fdc_bus_detach;
  if (vm_isa_map_io (dev, fdc->iobase, 6, &fdc_ops, fdc, error)
      && vm_isa_map_io (dev, fdc->iobase + 7, 1, &fdc_last_ops, fdc, error) && fdc_add_boot_devices (fdc, error))
    return true;
  vm_bus_destroy (&fdc->bus);
  if (fdc->dma_channel < 8)
    vm_isa_dma_detach (dev, fdc->dma_channel);
  return false;
}

static void
fdc_unrealize (VmDevice *dev)
{
  VmFdc *fdc = (VmFdc *) dev;

  if (dev->env->machine)
    vm_machine_remove_boot_device (dev->env->machine, dev);
  vm_bus_destroy (&fdc->bus);
  if (fdc->dma_channel < 8)
    vm_isa_dma_detach (dev, fdc->dma_channel);
}

static void
fdc_reset (VmDevice *dev, VmResetKind kind)
{
  VmFdc *fdc = (VmFdc *) dev;

  fdc->dor = DOR_NOT_RESET | DOR_DMA;
  fdc->tdr = fdc->lock = fdc->perpendicular = fdc->timer0 = fdc->timer1 = 0;
  fdc->dsr = 0x02; /* 250 kbit/s */
  fdc_soft_reset (fdc, false);
}

static bool
fdc_post_load (VmDevice *dev, GError **error)
{
  VmFdc *fdc = (VmFdc *) dev;

  if (fdc->phase > PHASE_RESULT || fdc->transfer > TRANSFER_FORMAT || fdc->fifo_len > sizeof fdc->fifo
      || fdc->fifo_at >= sizeof fdc->fifo || fdc->data_at >= SECTOR || fdc->reset_sense > 4)
    return vm_fail (error, "isa-fdc: impossible state");
  return true;
}

static const char *const kind_names[] = { "auto", "144", "288", "120", "none", NULL };

static const VmProp fdc_props[] = {
  VM_PROP ("iobase", VmFdc, iobase, 0x3f0, "first I/O port"),
  VM_PROP ("irq", VmFdc, irq_number, 6, "ISA interrupt line"),
  VM_PROP ("dma", VmFdc, dma_channel, 2, "DMA channel"),
  VM_PROP_ENUMERATED ("fdtypeA", VmFdc, kind[0], VM_FLOPPY_AUTO, kind_names, "drive A:"),
  VM_PROP_ENUMERATED ("fdtypeB", VmFdc, kind[1], VM_FLOPPY_AUTO, kind_names, "drive B:"),
  VM_PROP_ENUMERATED ("fallback", VmFdc, fallback, VM_FLOPPY_288, kind_names, "of an empty drive"),
  VM_PROP ("bootindexA", VmFdc, bootindex[0], -1, "place in the boot order"),
  VM_PROP ("bootindexB", VmFdc, bootindex[1], -1, "place in the boot order"),
  { 0 },
};

static const VmField fdc_state[] = {
  VM_FIELD (VmFdc, dor),          VM_FIELD (VmFdc, tdr),           VM_FIELD (VmFdc, dsr),
  VM_FIELD (VmFdc, config),       VM_FIELD (VmFdc, precomp_track), VM_FIELD (VmFdc, lock),
  VM_FIELD (VmFdc, timer0),       VM_FIELD (VmFdc, timer1),        VM_FIELD (VmFdc, perpendicular),
  VM_FIELD (VmFdc, phase),        VM_FIELD (VmFdc, transfer),      VM_FIELD_ARRAY (VmFdc, fifo),
  VM_FIELD (VmFdc, fifo_at),      VM_FIELD (VmFdc, fifo_len),      VM_FIELD (VmFdc, status0),
  VM_FIELD (VmFdc, reset_sense),  VM_FIELD (VmFdc, irq_pending),   VM_FIELD (VmFdc, dma_ready),
  VM_FIELD (VmFdc, data_ready),   VM_FIELD (VmFdc, multi_track),   VM_FIELD (VmFdc, unit),
  VM_FIELD (VmFdc, cylinder),     VM_FIELD (VmFdc, head),          VM_FIELD (VmFdc, sector),
  VM_FIELD (VmFdc, last_sector),  VM_FIELD (VmFdc, size_code),     VM_FIELD_ARRAY (VmFdc, data),
  VM_FIELD (VmFdc, data_at),      { 0 },
};

static const VmDeviceClass fdc_class = {
  .realize = fdc_realize,
  .unrealize = fdc_unrealize,
  .reset = fdc_reset,
  .post_load = fdc_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Storage",
  .user_creatable = true,
};

const VmType vm_isa_fdc_type = {
  .name = "isa-fdc",
  .parent = &vm_isa_device_type,
  .size = sizeof (VmFdc),
  .help = "Floppy disk controller",
  .props = fdc_props,
  .state = fdc_state,
  .klass = &fdc_class,
};
