/* SPDX-License-Identifier: GPL-3.0-or-later */
/* IDENTIFY DEVICE and IDENTIFY PACKET DEVICE data (ATA8-ACS, 7.16 and 7.17). */
#include "devices/storage/ide.h"

/* Strings are space-padded, two characters a word, first one in the high byte. */
static void
identify_string (uint16_t *words, unsigned n, const char *text)
{
  size_t len = strlen (text);

  for (unsigned i = 0; i < n; i++)
    {
      uint8_t a = 2 * i < len ? text[2 * i] : ' ', b = 2 * i + 1 < len ? text[2 * i + 1] : ' ';

      words[i] = a << 8 | b;
    }
}

static void
identify_common (VmIdeDevice *dev, uint16_t *w)
{
  identify_string (w + 10, 10, dev->serial);
  identify_string (w + 23, 4, dev->version);
  identify_string (w + 27, 20, dev->model);
  w[49] = 1 << 11 | 1 << 9 | 1 << 8; /* IORDY, LBA, DMA */
  w[53] = 7;                         /* words 54-58, 64-70 and 88 are valid */
  w[62] = w[63] = 7;                 /* multiword DMA 0-2 */
  w[64] = 3;                         /* PIO 3 and 4 */
  w[65] = w[66] = w[67] = w[68] = 120; /* ns */
  w[88] = 0x3f;                      /* ultra DMA 0-5 */
  if ((dev->xfer_mode & 0xf8) == 0x20)
    w[63] |= 1u << ((dev->xfer_mode & 7) + 8);
  else if ((dev->xfer_mode & 0xf8) == 0x40)
    w[88] |= 1u << ((dev->xfer_mode & 7) + 8);
  w[80] = 0x1f0;                     /* ATA/ATAPI-4 to ATA8-ACS */
  w[81] = 0x16;
  if (dev->bus->transport && dev->bus->transport->sata)
    w[76] = 1 << 1 | (dev->is_cd ? 0 : 1 << 8); /* generation 1; queued commands */
  else
    w[93] = 0x600b;                  /* hardware reset result: device 0, 80-wire cable */
}

void
ide_fill_identify (VmIdeDevice *dev)
{
  uint16_t *w = dev->identify;
  uint64_t sectors = ide_total_sectors (dev);
  uint32_t sectors28 = MIN (sectors, 0x0fffffff);
  uint32_t chs = dev->lcyls * dev->lheads * dev->lsecs;
  bool sata = dev->bus->transport && dev->bus->transport->sata;

  memset (w, 0, sizeof dev->identify);
  w[0] = 0x0040;
  w[1] = MIN (dev->cyls, 16383);
  w[3] = dev->heads;
  w[6] = dev->secs;
  w[20] = 3;
  w[21] = VM_IDE_SECTOR;
  w[22] = 4;
  identify_common (dev, w);
  w[47] = 0x8000 | 16;               /* at most 16 sectors per interrupt */
  w[48] = 1;
  w[50] = 0x4000;
  w[51] = w[52] = 0x200;
  w[54] = dev->lcyls;
  w[55] = dev->lheads;
  w[56] = dev->lsecs;
  w[57] = chs;
  w[58] = chs >> 16;
  w[59] = dev->multiple ? 0x100 | dev->multiple : 0;
  w[60] = sectors28;
  w[61] = sectors28 >> 16;
  w[75] = sata ? 31 : 0;             /* queue of 32 */
  /* NOP, host protected area, look-ahead, write cache, power management, SMART */
  w[82] = 1 << 14 | 1 << 10 | 1 << 6 | 1 << 5 | 1 << 3 | 1;
  w[83] = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10 | 1 << 3; /* flush ext, flush, 48-bit, advanced power management */
  w[84] = 1 << 14 | (dev->wwn ? 1 << 8 : 0) | 1 << 6 | 1 << 5 | 3; /* FUA, logs, self-test, error log */
  w[85] = 1 << 14 | 1 << 10 | (dev->look_ahead_on ? 1 << 6 : 0) | (dev->write_cache_on ? 1 << 5 : 0) | 1 << 3
          | dev->smart_on;
  w[86] = 1 << 13 | 1 << 12 | 1 << 10 | (dev->apm ? 1 << 3 : 0);
  w[87] = w[84];
  w[91] = dev->apm;
  for (unsigned i = 0; i < 4; i++)
    w[100 + i] = sectors >> 16 * i;
  if (dev->conf.physical_block_size > VM_IDE_SECTOR)
    w[106] = 0x6000 | (__builtin_ctzll (dev->conf.physical_block_size) - 9);
  for (unsigned i = 0; dev->wwn && i < 4; i++)
    w[108 + i] = dev->wwn >> 16 * (3 - i);
  if (dev->conf.discard_granularity)
    {
      w[105] = VM_IDE_BUFFER / VM_IDE_SECTOR; /* blocks of ranges in one command */
      w[169] = 1;                    /* TRIM */
    }
  w[217] = dev->rotation_rate;
}

void
atapi_fill_identify (VmIdeDevice *dev)
{
  uint16_t *w = dev->identify;

  memset (w, 0, sizeof dev->identify);
  w[0] = 0x8580;                     /* ATAPI CD-ROM, removable, DRQ within 50 us, 12-byte packets */
  w[20] = 3;
  w[21] = VM_IDE_SECTOR;
  w[22] = 4;
  identify_common (dev, w);
  w[71] = 30;
  w[72] = 30;
  w[82] = 1 << 14 | 1 << 9 | 1 << 4; /* NOP, DEVICE RESET, PACKET */
  w[83] = 1 << 14;
  w[84] = 1 << 14 | (dev->wwn ? 1 << 8 : 0);
  w[85] = w[82];
  w[87] = w[84];
  for (unsigned i = 0; dev->wwn && i < 4; i++)
    w[108 + i] = dev->wwn >> 16 * (3 - i);
}
