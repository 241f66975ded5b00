/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMART and the general purpose logs of a disk (ATA8-ACS, 4.18, 7.52 and annex A). */
#include "devices/storage/ide.h"

enum
{
  SMART_READ_DATA = 0xd0,
  SMART_READ_THRESHOLDS = 0xd1,
  SMART_AUTOSAVE = 0xd2,
  SMART_SAVE = 0xd3,
  SMART_TEST = 0xd4,
  SMART_READ_LOG = 0xd5,
  SMART_ENABLE = 0xd8,
  SMART_DISABLE = 0xd9,
  SMART_STATUS = 0xda
};
enum
{
  LOG_DIRECTORY = 0x00,
  LOG_SUMMARY_ERRORS = 0x01,
  LOG_SELF_TEST = 0x06,
  LOG_EXTENDED_SELF_TEST = 0x07,
  LOG_NCQ_ERROR = 0x10
};
enum
{
  CMD_READ_LOG_DMA = 0x47
};

/* A block's bytes sum up to zero with the last one. */
static void
put_checksum (uint8_t *block)
{
  uint8_t sum = 0;

  for (unsigned i = 0; i < VM_IDE_SECTOR - 1; i++)
    sum += block[i];
  block[VM_IDE_SECTOR - 1] = (uint8_t) -sum;
}

static uint16_t
power_on_hours (const VmIdeDevice *dev)
{
  return (uint16_t) (vm_clock_now (dev->parent.env->clocks, VM_CLOCK_VIRTUAL) / (3600 * VM_NS_PER_SEC));
}

/* --- SMART data ------------------------------------------------------------------------------- */

/* What drives are asked for most; a medium that is a file neither wears nor warms. */
static const struct
{
  uint8_t id, flags, threshold;
} attributes[] = {
  { 1, 0x0f, 6 },   /* read error rate */
  { 3, 0x03, 0 },   /* spin-up time */
  { 4, 0x32, 20 },  /* starts and stops */
  { 5, 0x33, 36 },  /* reallocated sectors */
  { 9, 0x32, 0 },   /* hours */
  { 12, 0x32, 20 }, /* power cycles */
};

static uint64_t
attribute_value (const VmIdeDevice *dev, uint8_t id)
{
  switch (id)
    {
    case 4:
    case 12:
      return dev->starts;
    case 9:
      return power_on_hours (dev);
    default:
      return 0;
    }
}

static void
smart_read_data (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer, *p = b + 2;

  memset (b, 0, VM_IDE_SECTOR);
  b[0] = 1; /* version */
  for (size_t i = 0; i < G_N_ELEMENTS (attributes); i++, p += 12)
    {
      uint64_t value = attribute_value (dev, attributes[i].id);

      p[0] = attributes[i].id;
      p[1] = attributes[i].flags;
      p[3] = p[4] = 100; /* normalized: now, worst */
      vm_store_le32 (p + 5, (uint32_t) value);
    }
  b[362] = 0x02 | (dev->smart_autosave ? 0x80 : 0); /* off-line collection has ended well */
  b[367] = 1 << 4 | 1 << 3 | 1 << 1;                /* self-tests; off-line reads; autosave can be switched */
  b[368] = 3;                                       /* saves before it sleeps, and by itself */
  b[370] = 1;                                       /* keeps an error log */
  b[372] = 1;                                       /* minutes of a short self-test */
  b[373] = 1;                                       /* of an extended one */
  put_checksum (b);
  ide_reply_pio (dev, VM_IDE_SECTOR);
}

static void
smart_read_thresholds (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;

  memset (b, 0, VM_IDE_SECTOR);
  b[0] = 1;
  for (size_t i = 0; i < G_N_ELEMENTS (attributes); i++)
    {
      b[2 + 12 * i] = attributes[i].id;
      b[3 + 12 * i] = attributes[i].threshold;
    }
  put_checksum (b);
  ide_reply_pio (dev, VM_IDE_SECTOR);
}

/* --- self-tests: the medium is a file whose errors show when it is used; a test ends at once and well --- */

static void
smart_test (VmIdeDevice *dev)
{
  uint8_t kind = dev->regs.lba_low;
  unsigned at = dev->n_self_tests % VM_IDE_SELF_TESTS;

  switch (kind)
    {
    case 0:    /* off-line collection */
    case 0x7f: /* end of what runs */
      break;
    case 1: /* short, extended, conveyance; with 80: while the host waits */
    case 2:
    case 3:
    case 0x81:
    case 0x82:
    case 0x83:
      dev->self_test[at] = kind;
      dev->self_test_hour[at] = power_on_hours (dev);
      dev->n_self_tests++;
      break;
    default:
      ide_abort (dev);
      return;
    }
  ide_finish (dev, 0);
}

/* Entries of the short log are 24 bytes, of the extended one 26. */
static void
fill_self_tests (const VmIdeDevice *dev, uint8_t *b, unsigned first, unsigned entry, unsigned max)
{
  unsigned kept = MIN (dev->n_self_tests, VM_IDE_SELF_TESTS);

  for (unsigned i = 0; i < MIN (kept, max); i++)
    {
      unsigned at = (dev->n_self_tests - MIN (kept, max) + i) % VM_IDE_SELF_TESTS;
      uint8_t *p = b + first + entry * i;

      p[0] = dev->self_test[at];
      p[1] = 0; /* no error, nothing remains */
      vm_store_le16 (p + 2, dev->self_test_hour[at]);
    }
}

/* --- logs ----------------------------------------------------------------------------------------------------------
 */

static unsigned
log_blocks (const VmIdeDevice *dev, uint8_t log, bool smart)
{
  switch (log)
    {
    case LOG_DIRECTORY:
      return 1;
    case LOG_SUMMARY_ERRORS:
    case LOG_SELF_TEST:
      return smart;
    case LOG_EXTENDED_SELF_TEST:
      return !smart;
    case LOG_NCQ_ERROR:
      return !smart && dev->bus->transport && dev->bus->transport->sata;
    default:
      return 0;
    }
}

static void
fill_log (VmIdeDevice *dev, uint8_t log, bool smart)
{
  uint8_t *b = dev->buffer;

  memset (b, 0, VM_IDE_SECTOR);
  switch (log)
    {
    case LOG_DIRECTORY:
      vm_store_le16 (b, 1);
      for (unsigned i = 1; i < 256; i++)
        vm_store_le16 (b + 2 * i, (uint16_t) log_blocks (dev, (uint8_t) i, smart));
      break;
    case LOG_SUMMARY_ERRORS:
      b[0] = 1;
      put_checksum (b);
      break;
    case LOG_SELF_TEST:
      vm_store_le16 (b, 1);
      fill_self_tests (dev, b, 2, 24, 21);
      b[508] = (uint8_t) MIN (dev->n_self_tests, VM_IDE_SELF_TESTS);
      put_checksum (b);
      break;
    case LOG_EXTENDED_SELF_TEST:
      b[0] = 1;
      fill_self_tests (dev, b, 4, 26, 19);
      vm_store_le16 (b + 2, (uint16_t) MIN (dev->n_self_tests, 19));
      put_checksum (b);
      break;
    case LOG_NCQ_ERROR:
      memcpy (b, dev->ncq_error, VM_IDE_SECTOR);
      memset (dev->ncq_error, 0, VM_IDE_SECTOR);
      dev->ncq_error[0] = 0x80; /* no queued command to tell of */
      put_checksum (b);
      break;
    }
}

void
ide_read_log (VmIdeDevice *dev)
{
  uint8_t log = dev->regs.lba_low;
  unsigned page = dev->previous.lba_mid << 8 | dev->regs.lba_mid, n = dev->previous.count << 8 | dev->regs.count;

  if (page != 0 || n != 1 || !log_blocks (dev, log, false))
    {
      ide_abort (dev);
      return;
    }
  fill_log (dev, log, false);
  if (dev->command == CMD_READ_LOG_DMA)
    ide_reply_dma (dev, VM_IDE_SECTOR);
  else
    ide_reply_pio (dev, VM_IDE_SECTOR);
}

static void
smart_read_log (VmIdeDevice *dev)
{
  if (dev->regs.count != 1 || !log_blocks (dev, dev->regs.lba_low, true))
    {
      ide_abort (dev);
      return;
    }
  fill_log (dev, dev->regs.lba_low, true);
  ide_reply_pio (dev, VM_IDE_SECTOR);
}

void
ide_smart (VmIdeDevice *dev)
{
  uint8_t what = dev->regs.feature;

  if (dev->regs.lba_high != 0xc2 || dev->regs.lba_mid != 0x4f || (!dev->smart_on && what != SMART_ENABLE))
    {
      ide_abort (dev);
      return;
    }
  switch (what)
    {
    case SMART_READ_DATA:
      smart_read_data (dev);
      break;
    case SMART_READ_THRESHOLDS:
      smart_read_thresholds (dev);
      break;
    case SMART_TEST:
      smart_test (dev);
      break;
    case SMART_READ_LOG:
      smart_read_log (dev);
      break;
    case SMART_ENABLE:
    case SMART_DISABLE:
      dev->smart_on = what == SMART_ENABLE;
      ide_finish (dev, 0);
      break;
    case SMART_AUTOSAVE:
      dev->smart_autosave = dev->regs.count == 0xf1;
      ide_finish (dev, 0);
      break;
    case SMART_SAVE:
    case SMART_STATUS: /* the signature unchanged says healthy */
      ide_finish (dev, 0);
      break;
    default:
      ide_abort (dev);
      break;
    }
}
