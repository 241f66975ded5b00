/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "sd-card": SDSC up to 2 GiB, SDHC and SDXC above (SD Specifications Part 1, Physical Layer Simplified Specification
 * 3.01, chapters 4 and 5). */
#include "devices/sd/sd.h"

enum { STATE_IDLE, STATE_READY, STATE_IDENT, STATE_STBY, STATE_TRAN, STATE_DATA, STATE_RCV, STATE_PRG, STATE_DIS,
       STATE_INACTIVE };
enum { /* card status (4.10.1) */
  ST_OUT_OF_RANGE = 1u << 31, ST_ADDRESS = 1 << 30, ST_BLOCK_LEN = 1 << 29, ST_ERASE_SEQ = 1 << 28,
  ST_ERASE_PARAM = 1 << 27, ST_WP_VIOLATION = 1 << 26, ST_ILLEGAL = 1 << 22, ST_ERROR = 1 << 19,
  ST_CSD_OVERWRITE = 1 << 16, ST_READY_FOR_DATA = 1 << 8, ST_APP_CMD = 1 << 5,
};
#define ST_CLEARED_BY_READ (ST_OUT_OF_RANGE | ST_ADDRESS | ST_BLOCK_LEN | ST_ERASE_SEQ | ST_ERASE_PARAM \
                            | ST_WP_VIOLATION | ST_ILLEGAL | ST_ERROR | ST_CSD_OVERWRITE)
#define OCR_POWERED  (1u << 31)
#define OCR_HIGH_CAPACITY (1u << 30)
#define OCR_VOLTAGES 0x00ff8000u
enum { SOURCE_MEDIUM, SOURCE_BUFFER, SOURCE_CSD, SOURCE_N }; /* where data of the transfer is */
#define SC_MAX       (2 * VM_GIB)
#define XC_MIN       (32 * VM_GIB)
#define ERASE_WORD   UINT32_MAX

struct VmSdCard {
  VmDevice parent;
  /* properties */
  VmBlockConf conf;
  uint8_t  spec_version;
  bool     spi;
  /* wiring */
  bool     busy;        /* a block request is out */
  struct iovec iov;
  /* guest state */
  uint8_t  state, source, data;
  bool     app, powered, high_speed, protected_csd;
  uint16_t rca;
  uint32_t status, block_len, block_count, erase_from, erase_to, written_blocks;
  uint64_t at;          /* byte on the medium */
  bool     single;      /* one block only */
  bool     counted;     /* CMD23 said how many: */
  uint32_t blocks_left;
  uint32_t buffer_at, buffer_n, buffer_size;
  uint8_t *buffer;
};

extern const VmType vm_sd_card_type;

static VmSdBus *
bus_of (const VmSdCard *c)
{
  return (VmSdBus *) c->parent.bus;
}

static VmBlock *
medium (const VmSdCard *c)
{
  return c->conf.drive ? c->conf.drive->block : NULL;
}

static uint64_t
card_size (const VmSdCard *c)
{
  return medium (c) ? vm_block_size (medium (c)) : 0;
}

static bool
is_high_capacity (const VmSdCard *c)
{
  return card_size (c) > SC_MAX;
}

bool
vm_sd_is_protected (const VmSdCard *c)
{
  return !medium (c) || vm_block_readonly (medium (c));
}

/* --- registers ----------------------------------------------------------------------------------------- */

static uint8_t
crc7 (const uint8_t *bytes, unsigned n)
{
  uint8_t crc = 0;

  for (unsigned i = 0; i < n; i++)
    for (int bit = 7; bit >= 0; bit--)
      {
        bool in = (bytes[i] >> bit ^ crc >> 6) & 1;

        crc = (uint8_t) (crc << 1 & 0x7f) ^ (in ? 0x09 : 0);
      }
  return (uint8_t) (crc << 1 | 1);
}

static void
make_cid (const VmSdCard *c, uint8_t r[16])
{
  static const uint8_t cid[15] = { 0xaa, 'V', 'T', 'V', 'T', 'R', 'S', 'D', 0x10, 0xde, 0xad, 0xbe, 0xef, 0x01, 0x81 };

  memcpy (r, cid, sizeof cid);
  r[15] = crc7 (r, 15);
}

/* LEN bits of VALUE with their lowest at bit AT, counted from the end as the specification does. */
static void
put_bits (uint8_t r[16], unsigned at, unsigned len, uint32_t value)
{
  for (unsigned i = 0; i < len; i++)
    if (value >> i & 1)
      r[15 - (at + i) / 8] |= (uint8_t) (1u << (at + i) % 8);
}

static void
make_csd (const VmSdCard *c, uint8_t r[16])
{
  bool high = is_high_capacity (c);
  unsigned read_len = !high && card_size (c) > VM_GIB ? 10 : 9;

  memset (r, 0, 16);
  put_bits (r, 126, 2, high);
  put_bits (r, 112, 8, high ? 0x0e : 0x26);   /* 1 ms, 1.5 ms */
  put_bits (r, 96, 8, c->high_speed ? 0x5a : 0x32);
  put_bits (r, 84, 12, 0x535);                /* classes 0, 2, 4, 5, 8, 10 */
  put_bits (r, 80, 4, high ? 9 : read_len);
  if (high)
    put_bits (r, 48, 22, (uint32_t) (card_size (c) / (512 * VM_KIB) - 1));
  else
    {
      unsigned mult = 9;

      while (mult > 2 && card_size (c) >> read_len >> mult == 0)
        mult--;
      put_bits (r, 79, 1, 1);                 /* partial reads */
      put_bits (r, 62, 12, (uint32_t) ((card_size (c) >> read_len >> mult) - 1));
      put_bits (r, 50, 12, 0xdb6);            /* currents */
      put_bits (r, 47, 3, mult - 2);
    }
  put_bits (r, 46, 1, 1);                     /* single blocks are erased */
  put_bits (r, 39, 7, 127);
  put_bits (r, 26, 3, 2);
  put_bits (r, 22, 4, high ? 9 : read_len);
  put_bits (r, 12, 1, c->protected_csd);      /* temporary write protection */
  r[15] = crc7 (r, 15);
}

static void
make_scr (const VmSdCard *c, uint8_t r[8])
{
  memset (r, 0, 8);
  r[0] = MIN (c->spec_version, 2);
  r[1] = (uint8_t) ((is_high_capacity (c) ? card_size (c) > XC_MIN ? 4 : 3 : 2) << 4 | 5); /* buses of 1 and 4 bits */
  if (c->spec_version >= 3)
    {
      r[2] = 0x80;
      r[3] = 0x02; /* CMD23 */
    }
}

/* --- ends ---------------------------------------------------------------------------------------------- */

static void
end_data (VmSdCard *c)
{
  c->data = VM_SD_NO_DATA;
  c->buffer_at = c->buffer_n = 0;
  c->block_count = c->blocks_left = 0;
  c->counted = false;
  if (c->state == STATE_DATA || c->state == STATE_RCV)
    c->state = STATE_TRAN;
}

static unsigned
answer_r1 (VmSdCard *c, uint32_t state, uint8_t *answer)
{
  vm_store_be32 (answer, c->status | state << 9 | (c->state == STATE_TRAN ? ST_READY_FOR_DATA : 0)
                           | (c->app ? ST_APP_CMD : 0));
  c->status &= ~(uint32_t) ST_CLEARED_BY_READ;
  return 4;
}

static unsigned
illegal (VmSdCard *c)
{
  c->status |= ST_ILLEGAL;
  return 0;
}

/* --- data ---------------------------------------------------------------------------------------------- */

VmSdData
vm_sd_data (const VmSdCard *c)
{
  return c->data;
}

uint32_t
vm_sd_left (const VmSdCard *c)
{
  return c->data == VM_SD_TO_HOST ? c->buffer_n - c->buffer_at : 0;
}

/* Whole blocks, up to the buffer's size. */
static uint32_t
transfer_room (const VmSdCard *c)
{
  uint64_t left = card_size (c) - MIN (c->at, card_size (c));

  if (c->single)
    left = MIN (left, c->block_len);
  else if (c->counted)
    left = MIN (left, (uint64_t) c->blocks_left * VM_SD_BLOCK);
  return (uint32_t) MIN (left, VM_SD_BUFFER);
}

uint32_t
vm_sd_room (const VmSdCard *c)
{
  uint32_t size = c->source == SOURCE_CSD ? 16 : transfer_room (c);

  return c->data == VM_SD_FROM_HOST && !c->busy && size > c->buffer_n ? size - c->buffer_n : 0;
}

static void
give_buffer (VmSdCard *c, uint32_t len)
{
  c->state = STATE_DATA;
  c->data = VM_SD_TO_HOST;
  c->source = SOURCE_BUFFER;
  c->buffer_at = 0;
  c->buffer_n = len;
}

static void
ready (VmSdCard *c, bool ok)
{
  if (!ok)
    {
      c->status |= ST_ERROR;
      end_data (c);
    }
  if (bus_of (c))
    bus_of (c)->ops->ready (bus_of (c), ok);
}

static void
moved (VmSdCard *c, uint32_t len)
{
  c->at += len;
  c->written_blocks += len / VM_SD_BLOCK;
  c->blocks_left -= MIN (c->blocks_left, len / VM_SD_BLOCK);
}

/* All that the command was for has moved. */
static bool
is_through (const VmSdCard *c)
{
  return c->source != SOURCE_MEDIUM || c->single || (c->counted && !c->blocks_left);
}

static void
fetched (void *opaque, int status)
{
  VmSdCard *c = opaque;

  c->busy = false;
  if (!status)
    {
      c->buffer_at = 0;
      c->buffer_n = (uint32_t) c->iov.iov_len;
      moved (c, c->buffer_n);
    }
  ready (c, status == 0);
}

void
vm_sd_fetch (VmSdCard *c, uint32_t len)
{
  len = MIN (len, transfer_room (c));
  if (c->data != VM_SD_TO_HOST || c->busy)
    return;
  if (vm_sd_left (c))
    {
      ready (c, true);
      return;
    }
  if (c->source != SOURCE_MEDIUM || !len)
    {
      c->status |= ST_OUT_OF_RANGE;
      ready (c, false);
      return;
    }
  c->iov = (struct iovec) { c->buffer, len };
  c->busy = true;
  vm_block_read (medium (c), c->at, &c->iov, 1, fetched, c);
}

void
vm_sd_take (VmSdCard *c, void *data, uint32_t len)
{
  uint32_t part = MIN (len, vm_sd_left (c));

  memcpy (data, c->buffer + c->buffer_at, part);
  memset ((uint8_t *) data + part, 0, len - part);
  c->buffer_at += part;
  if (!vm_sd_left (c) && is_through (c))
    end_data (c);
}

void
vm_sd_put (VmSdCard *c, const void *data, uint32_t len)
{
  len = MIN (len, vm_sd_room (c));
  memcpy (c->buffer + c->buffer_n, data, len);
  c->buffer_n += len;
}

static void
stored (void *opaque, int status)
{
  VmSdCard *c = opaque;

  c->busy = false;
  if (!status)
    {
      moved (c, c->buffer_n);
      c->buffer_n = 0;
      if (is_through (c))
        end_data (c);
    }
  ready (c, status == 0);
}

/* CMD27: all but the bits for copies and protection is as it was. */
static void
store_csd (VmSdCard *c)
{
  uint8_t csd[16];

  make_csd (c, csd);
  csd[14] = c->buffer[14];
  if (c->buffer_n < 16 || memcmp (csd, c->buffer, 14) != 0)
    c->status |= ST_CSD_OVERWRITE;
  else
    c->protected_csd = c->buffer[14] >> 4 & 1;
  end_data (c);
  ready (c, true);
}

void
vm_sd_store (VmSdCard *c)
{
  if (c->data != VM_SD_FROM_HOST || c->busy)
    return;
  if (c->source == SOURCE_CSD)
    {
      store_csd (c);
      return;
    }
  if (!c->buffer_n || vm_sd_is_protected (c) || c->protected_csd)
    {
      c->status |= c->buffer_n ? ST_WP_VIOLATION : ST_OUT_OF_RANGE;
      ready (c, false);
      return;
    }
  c->iov = (struct iovec) { c->buffer, c->buffer_n };
  c->busy = true;
  vm_block_write (medium (c), c->at, &c->iov, 1, stored, c);
}

void
vm_sd_drain (VmSdCard *c)
{
  if (medium (c))
    vm_block_drain (medium (c));
}

/* --- commands ------------------------------------------------------------------------------------------ */

/* Where ARGUMENT points to; false: outside, or crooked. */
static bool
set_place (VmSdCard *c, uint32_t argument)
{
  uint64_t at = is_high_capacity (c) ? (uint64_t) argument * VM_SD_BLOCK : argument;

  if (at >= card_size (c) || c->block_len > card_size (c) - at)
    {
      c->status |= ST_OUT_OF_RANGE;
      return false;
    }
  if (at % VM_SD_BLOCK + c->block_len > VM_SD_BLOCK)
    {
      c->status |= ST_ADDRESS;
      return false;
    }
  c->at = at;
  return true;
}

static unsigned
begin_transfer (VmSdCard *c, uint32_t argument, bool to_host, bool single, uint8_t *answer)
{
  uint32_t count = c->block_count;

  if (c->state != STATE_TRAN)
    return illegal (c);
  if (!single && c->block_len != VM_SD_BLOCK)
    c->status |= ST_BLOCK_LEN;
  else if (!to_host && c->block_len != VM_SD_BLOCK)
    c->status |= ST_BLOCK_LEN;
  else if (!to_host && (vm_sd_is_protected (c) || c->protected_csd))
    c->status |= ST_WP_VIOLATION;
  else if (set_place (c, argument))
    {
      c->single = single;
      c->source = SOURCE_MEDIUM;
      c->data = to_host ? VM_SD_TO_HOST : VM_SD_FROM_HOST;
      c->state = to_host ? STATE_DATA : STATE_RCV;
      c->buffer_at = c->buffer_n = c->written_blocks = 0;
      c->counted = !single && count;
      c->blocks_left = count;
    }
  c->block_count = 0;
  return answer_r1 (c, STATE_TRAN, answer);
}

static unsigned
give_data (VmSdCard *c, uint32_t len, uint8_t *answer)
{
  unsigned n = answer_r1 (c, STATE_TRAN, answer);

  give_buffer (c, len);
  return n;
}

/* CMD6 (4.3.10): of six groups only the first, the speed, has a choice. */
static unsigned
switch_function (VmSdCard *c, uint32_t argument, uint8_t *answer)
{
  uint8_t *b = c->buffer, speed = argument & 15;

  if (c->state != STATE_TRAN || c->spec_version < 1)
    return illegal (c);
  memset (b, 0, 64);
  b[1] = 100; /* mA */
  for (unsigned i = 2; i < 12; i += 2)
    b[i] = 0x80, b[i + 1] = 0x01;
  b[12] = 0x80;
  b[13] = 0x03;
  b[16] = speed == 15 ? c->high_speed : speed <= 1 ? speed : 15;
  if (argument >> 31 && speed <= 1)
    c->high_speed = speed;
  return give_data (c, 64, answer);
}

static void
erase_done (void *opaque, int status)
{
  VmSdCard *c = opaque;

  c->busy = false;
  c->state = c->state == STATE_PRG ? STATE_TRAN : c->state;
  if (status)
    c->status |= ST_ERROR;
}

static unsigned
erase (VmSdCard *c, uint8_t *answer)
{
  uint64_t unit = is_high_capacity (c) ? VM_SD_BLOCK : 1;
  uint64_t from = VM_ALIGN_DOWN (c->erase_from * unit, VM_SD_BLOCK);
  uint64_t to = VM_ALIGN_DOWN (c->erase_to * unit, VM_SD_BLOCK) + VM_SD_BLOCK;
  unsigned n;

  if (c->state != STATE_TRAN)
    return illegal (c);
  if (c->erase_from == ERASE_WORD || c->erase_to == ERASE_WORD)
    c->status |= ST_ERASE_SEQ;
  else if (from >= to || to > card_size (c))
    c->status |= ST_ERASE_PARAM;
  else if (vm_sd_is_protected (c) || c->protected_csd)
    c->status |= ST_WP_VIOLATION;
  else
    {
      n = answer_r1 (c, STATE_TRAN, answer);
      c->state = STATE_PRG;
      c->busy = true;
      vm_block_write_zeroes (medium (c), from, to - from, VM_BLOCK_UNMAP, erase_done, c);
      c->erase_from = c->erase_to = ERASE_WORD;
      return n;
    }
  c->erase_from = c->erase_to = ERASE_WORD;
  return answer_r1 (c, STATE_TRAN, answer);
}

static void
go_idle (VmSdCard *c)
{
  end_data (c);
  c->state = STATE_IDLE;
  c->app = c->powered = c->high_speed = false;
  c->rca = 0;
  c->status = 0;
  c->block_len = VM_SD_BLOCK;
  c->erase_from = c->erase_to = ERASE_WORD;
  c->written_blocks = 0;
}

static unsigned
app_command (VmSdCard *c, uint8_t index, uint32_t argument, uint8_t *answer)
{
  uint8_t state = c->state;

  switch (index)
    {
    case 6:  /* SET_BUS_WIDTH */
    case 23: /* SET_WR_BLK_ERASE_COUNT */
    case 42: /* SET_CLR_CARD_DETECT */
      return state == STATE_TRAN ? answer_r1 (c, state, answer) : illegal (c);
    case 13: /* SD_STATUS */
      if (state != STATE_TRAN)
        return illegal (c);
      memset (c->buffer, 0, 64);
      c->buffer[0] = 0x80; /* 4 bits */
      return give_data (c, 64, answer);
    case 22: /* SEND_NUM_WR_BLOCKS */
      if (state != STATE_TRAN)
        return illegal (c);
      vm_store_be32 (c->buffer, c->written_blocks);
      return give_data (c, 4, answer);
    case 41: /* SD_SEND_OP_COND */
      if (state != STATE_IDLE)
        return illegal (c);
      if (argument & OCR_VOLTAGES)
        {
          /* A host that knows no high capacity gets no further with such a card. */
          c->powered = !is_high_capacity (c) || argument & OCR_HIGH_CAPACITY;
          c->state = c->powered ? STATE_READY : STATE_IDLE;
        }
      vm_store_be32 (answer, OCR_VOLTAGES | (c->powered ? OCR_POWERED : 0)
                               | (c->powered && is_high_capacity (c) ? OCR_HIGH_CAPACITY : 0));
      return 4;
    case 51: /* SEND_SCR */
      if (state != STATE_TRAN)
        return illegal (c);
      make_scr (c, c->buffer);
      return give_data (c, 8, answer);
    default:
      return illegal (c);
    }
}

static unsigned
select_card (VmSdCard *c, uint32_t argument, uint8_t *answer)
{
  uint8_t state = c->state;

  if (argument >> 16 == c->rca && (state == STATE_STBY || state == STATE_DIS))
    {
      c->state = state == STATE_DIS ? STATE_PRG : STATE_TRAN;
      return answer_r1 (c, state, answer);
    }
  if (argument >> 16 != c->rca && state >= STATE_TRAN && state <= STATE_PRG)
    {
      end_data (c);
      c->state = STATE_STBY;
      return 0; /* who is not meant is silent */
    }
  return argument >> 16 == c->rca ? illegal (c) : 0;
}

static unsigned
identify (VmSdCard *c, uint8_t index, uint32_t argument, uint8_t *answer)
{
  uint8_t state = c->state;

  switch (index)
    {
    case 0:
      go_idle (c);
      return 0;
    case 2: /* ALL_SEND_CID */
      if (state != STATE_READY)
        return illegal (c);
      c->state = STATE_IDENT;
      make_cid (c, answer);
      return 16;
    case 3: /* SEND_RELATIVE_ADDR */
      if (state != STATE_IDENT && state != STATE_STBY)
        return illegal (c);
      c->state = STATE_STBY;
      c->rca += 0x4567;
      c->rca += !c->rca;
      vm_store_be32 (answer, (uint32_t) c->rca << 16 | (c->status >> 8 & 0xc000) | (c->status >> 6 & 0x2000)
                               | (uint32_t) state << 9);
      return 4;
    case 8: /* SEND_IF_COND */
      if (state != STATE_IDLE || c->spec_version < 2)
        return illegal (c);
      vm_store_be32 (answer, argument & 0xfff);
      return argument >> 8 & 1 ? 4 : 0; /* 2.7 to 3.6 V */
    case 9: case 10: /* SEND_CSD, SEND_CID */
      if (argument >> 16 != c->rca)
        return 0;
      if (state != STATE_STBY)
        return illegal (c);
      (index == 9 ? make_csd : make_cid) (c, answer);
      return 16;
    default:
      return illegal (c);
    }
}

static unsigned
plain_command (VmSdCard *c, uint8_t index, uint32_t argument, uint8_t *answer)
{
  uint8_t state = c->state;

  switch (index)
    {
    case 4: /* SET_DSR: there is none */
      return 0;
    case 6:
      return switch_function (c, argument, answer);
    case 7:
      return select_card (c, argument, answer);
    case 12: /* STOP_TRANSMISSION */
      if (state != STATE_DATA && state != STATE_RCV)
        return illegal (c);
      end_data (c);
      return answer_r1 (c, state, answer);
    case 13: /* SEND_STATUS */
      return argument >> 16 == c->rca && state >= STATE_STBY ? answer_r1 (c, state, answer) : 0;
    case 15: /* GO_INACTIVE_STATE */
      if (argument >> 16 == c->rca)
        {
          end_data (c);
          c->state = STATE_INACTIVE;
        }
      return 0;
    case 16: /* SET_BLOCKLEN */
      if (state != STATE_TRAN)
        return illegal (c);
      if (argument == 0 || argument > VM_SD_BLOCK)
        c->status |= ST_BLOCK_LEN;
      else if (!is_high_capacity (c)) /* else it is for locking only */
        c->block_len = argument;
      return answer_r1 (c, state, answer);
    case 17: case 18:
      return begin_transfer (c, argument, true, index == 17, answer);
    case 23: /* SET_BLOCK_COUNT */
      if (state != STATE_TRAN || c->spec_version < 3)
        return illegal (c);
      c->block_count = argument & 0xffff;
      return answer_r1 (c, state, answer);
    case 24: case 25:
      return begin_transfer (c, argument, false, index == 24, answer);
    case 27: /* PROGRAM_CSD */
      if (state != STATE_TRAN)
        return illegal (c);
      c->state = STATE_RCV;
      c->data = VM_SD_FROM_HOST;
      c->source = SOURCE_CSD;
      c->buffer_n = 0;
      return answer_r1 (c, STATE_TRAN, answer);
    case 32: case 33: /* ERASE_WR_BLK_START, END */
      if (state != STATE_TRAN)
        return illegal (c);
      *(index == 32 ? &c->erase_from : &c->erase_to) = argument;
      return answer_r1 (c, state, answer);
    case 38:
      return erase (c, answer);
    case 55: /* APP_CMD; who has no address yet is meant by 0 */
      if (argument >> 16 != c->rca)
        return 0;
      c->app = true;
      return answer_r1 (c, state, answer);
    default:
      return identify (c, index, argument, answer);
    }
}

unsigned
vm_sd_command (VmSdCard *c, uint8_t index, uint32_t argument, uint8_t answer[16])
{
  bool app = c->app;

  if (c->state == STATE_INACTIVE || !medium (c))
    return 0;
  if (c->busy && c->state == STATE_PRG && index != 0 && index != 15) /* erasing: only its status can be had */
    return index == 13 && argument >> 16 == c->rca ? answer_r1 (c, STATE_PRG, answer) : 0;
  if (c->busy)
    vm_sd_drain (c);
  c->app = false;
  if (app && (index == 6 || index == 13 || index == 22 || index == 23 || index == 41 || index == 42 || index == 51))
    {
      unsigned n = app_command (c, index, argument, answer);

      if (n == 4 && index != 41)
        answer[3] |= ST_APP_CMD;
      return n;
    }
  return plain_command (c, index, argument, answer);
}

/* --- the bus ------------------------------------------------------------------------------------------- */

void
vm_sd_bus_init (VmSdBus *bus, VmDevice *owner, const VmSdBusOps *ops, void *opaque)
{
  vm_bus_init (&bus->parent, VM_SD_BUS_TYPE, owner, NULL);
  bus->parent.max_devices = 1;
  bus->parent.hotplug = true;
  bus->ops = ops;
  bus->opaque = opaque;
}

VmSdCard *
vm_sd_bus_card (VmSdBus *bus)
{
  VmSdCard *c = bus->parent.devices->len ? g_ptr_array_index (bus->parent.devices, 0) : NULL;

  return c && c->parent.realized && medium (c) ? c : NULL;
}

/* --- life ---------------------------------------------------------------------------------------------- */

/* A size that the registers cannot say would cut off the end of the disk. */
static bool
check_size (const VmSdCard *c, GError **error)
{
  uint64_t size = card_size (c);

  if (!medium (c) || (vm_is_pow2 (size) && size >= 512 * VM_KIB && size <= 2048 * VM_GIB))
    return true;
  return vm_fail (error, "Invalid SD card size: %" G_GUINT64_FORMAT " bytes; it has to be a power of 2, from 512 KiB "
                         "to 2 TiB", size);
}

static void
card_changed (void *device)
{
  VmSdCard *c = device;

  go_idle (c);
  c->protected_csd = false;
  if (!check_size (c, NULL))
    c->state = STATE_INACTIVE;
  if (bus_of (c))
    bus_of (c)->ops->changed (bus_of (c));
}

static bool
card_realize (VmDevice *dev, GError **error)
{
  VmSdCard *c = (VmSdCard *) dev;
  bool readonly = c->conf.drive && c->conf.drive->block && vm_block_readonly (c->conf.drive->block);

  if (c->spi)
    return vm_fail (error, "spi=on: no host here speaks SPI");
  if (c->spec_version < 1 || c->spec_version > 3)
    return vm_fail (error, "Invalid SD card Spec version: %u", c->spec_version);
  if (c->conf.drive && !vm_block_conf_claim (&c->conf, &dev->parent, readonly, card_changed, error))
    return false;
  if (!check_size (c, error))
    {
      vm_drive_release (c->conf.drive);
      return false;
    }
  c->buffer_size = VM_SD_BUFFER;
  c->buffer = g_malloc0 (VM_SD_BUFFER);
  go_idle (c);
  return true;
}

static void
card_plugged (VmSdCard *c)
{
  bus_of (c)->ops->changed (bus_of (c));
}

static void
card_unrealize (VmDevice *dev)
{
  VmSdCard *c = (VmSdCard *) dev;

  vm_sd_drain (c);
  dev->realized = false; /* no card any more */
  card_plugged (c);
  dev->realized = true;
  if (c->conf.drive)
    vm_drive_release (c->conf.drive);
  g_clear_pointer (&c->buffer, g_free);
}

static void
card_reset (VmDevice *dev, VmResetKind kind)
{
  VmSdCard *c = (VmSdCard *) dev;

  vm_sd_drain (c);
  c->protected_csd = false;
  go_idle (c);
  card_plugged (c);
}

static bool
card_pre_save (VmDevice *dev, GError **error)
{
  return vm_drive_settle (((VmSdCard *) dev)->conf.drive, &dev->parent, error);
}

static bool
card_post_load (VmDevice *dev, GError **error)
{
  VmSdCard *c = (VmSdCard *) dev;

  if (c->state > STATE_INACTIVE || c->source >= SOURCE_N || c->data > VM_SD_FROM_HOST || c->buffer_n > VM_SD_BUFFER
      || c->buffer_at > c->buffer_n || !c->block_len || c->block_len > VM_SD_BLOCK
      || (medium (c) && c->data && c->at > card_size (c)))
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  return true;
}

static const VmProp card_props[] = {
  VM_PROP_CUSTOM_KIND ("drive", VmSdCard, conf.drive, &vm_prop_drive, NULL, "drive or block node"),
  VM_PROP ("spec_version", VmSdCard, spec_version, 2, "of the physical layer: 1 to 3"),
  VM_PROP ("spi", VmSdCard, spi, false, "on an SPI bus"),
  { 0 },
};

static const VmField card_state[] = {
  VM_FIELD (VmSdCard, state), VM_FIELD (VmSdCard, source), VM_FIELD (VmSdCard, data), VM_FIELD (VmSdCard, app),
  VM_FIELD (VmSdCard, powered), VM_FIELD (VmSdCard, high_speed), VM_FIELD (VmSdCard, protected_csd),
  VM_FIELD (VmSdCard, rca), VM_FIELD (VmSdCard, status), VM_FIELD (VmSdCard, block_len),
  VM_FIELD (VmSdCard, block_count), VM_FIELD (VmSdCard, erase_from), VM_FIELD (VmSdCard, erase_to),
  VM_FIELD (VmSdCard, written_blocks), VM_FIELD (VmSdCard, at), VM_FIELD (VmSdCard, single),
  VM_FIELD (VmSdCard, counted), VM_FIELD (VmSdCard, blocks_left), VM_FIELD (VmSdCard, buffer_at),
  VM_FIELD (VmSdCard, buffer_n),
  VM_FIELD_HEAP (VmSdCard, buffer, buffer_size), { 0 },
};

static const VmDeviceClass card_class = {
  .realize = card_realize, .unrealize = card_unrealize, .reset = card_reset, .pre_save = card_pre_save,
  .post_load = card_post_load, .bus_type = VM_SD_BUS_TYPE, .category = "Storage", .user_creatable = true,
  .hotpluggable = true,
};

const VmType vm_sd_card_type = {
  .name = "sd-card", .parent = &vm_device_type, .size = sizeof (VmSdCard), .help = "SD card", .props = card_props,
  .state = card_state, .klass = &card_class,
};
