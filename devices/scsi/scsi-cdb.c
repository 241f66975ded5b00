/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a command block says of its own length and of the data it moves (SPC-4, SBC-3, SSC-3, MMC-6, SAT-3). */
#include "devices/scsi/scsi.h"

/* Where the count is, and in what. */
typedef enum Count {
  NOTHING,
  BYTE4, BYTES3_2, BYTES6_2, BYTES7_2, BYTES8_2, BYTES9_1, BYTES2_3, BYTES6_3, BYTES6_4, BYTES5_4, BYTES10_4,
  BLOCKS4, BLOCKS7_2, BLOCKS6_4, BLOCKS10_4, ONE_BLOCK,
  EIGHT, COMPARED_10, COMPARED_12, COMPARED_16, TAPE, RAW_SECTORS, RAW_SECTORS_MSF, PAIRS, ATA_12, ATA_16,
  LONG_32, FORMAT,
} Count;

typedef struct Shape {
  uint8_t opcode, direction, count;
} Shape;

static const Shape shapes[] = {
  { 0x03, VM_SCSI_FROM_DEVICE, BYTE4 },       /* REQUEST SENSE */
  { 0x04, VM_SCSI_TO_DEVICE, FORMAT },        /* FORMAT UNIT */
  { 0x05, VM_SCSI_FROM_DEVICE, NOTHING },     /* READ BLOCK LIMITS: set below */
  { 0x07, VM_SCSI_TO_DEVICE, NOTHING },       /* REASSIGN BLOCKS */
  { 0x08, VM_SCSI_FROM_DEVICE, BLOCKS4 },     /* READ (6) */
  { 0x0a, VM_SCSI_TO_DEVICE, BLOCKS4 },       /* WRITE (6) */
  { 0x12, VM_SCSI_FROM_DEVICE, BYTES3_2 },    /* INQUIRY */
  { 0x15, VM_SCSI_TO_DEVICE, BYTE4 },         /* MODE SELECT (6) */
  { 0x1a, VM_SCSI_FROM_DEVICE, BYTE4 },       /* MODE SENSE (6) */
  { 0x1c, VM_SCSI_FROM_DEVICE, BYTES3_2 },    /* RECEIVE DIAGNOSTIC RESULTS */
  { 0x1d, VM_SCSI_TO_DEVICE, BYTES3_2 },      /* SEND DIAGNOSTIC */
  { 0x23, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* READ FORMAT CAPACITIES */
  { 0x25, VM_SCSI_FROM_DEVICE, EIGHT },       /* READ CAPACITY (10) */
  { 0x28, VM_SCSI_FROM_DEVICE, BLOCKS7_2 },   /* READ (10) */
  { 0x2a, VM_SCSI_TO_DEVICE, BLOCKS7_2 },     /* WRITE (10) */
  { 0x2e, VM_SCSI_TO_DEVICE, BLOCKS7_2 },     /* WRITE AND VERIFY (10) */
  { 0x2f, VM_SCSI_TO_DEVICE, COMPARED_10 },   /* VERIFY (10) */
  { 0x37, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* READ DEFECT DATA (10) */
  { 0x3b, VM_SCSI_TO_DEVICE, BYTES6_3 },      /* WRITE BUFFER */
  { 0x3c, VM_SCSI_FROM_DEVICE, BYTES6_3 },    /* READ BUFFER */
  { 0x41, VM_SCSI_TO_DEVICE, ONE_BLOCK },     /* WRITE SAME (10) */
  { 0x42, VM_SCSI_NO_DATA, BYTES7_2 },        /* UNMAP, READ SUB-CHANNEL: after the type */
  { 0x43, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* READ TOC/PMA/ATIP */
  { 0x44, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* READ HEADER */
  { 0x46, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* GET CONFIGURATION */
  { 0x4a, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* GET EVENT STATUS NOTIFICATION */
  { 0x4c, VM_SCSI_TO_DEVICE, BYTES7_2 },      /* LOG SELECT */
  { 0x4d, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* LOG SENSE */
  { 0x51, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* READ DISC INFORMATION */
  { 0x52, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* READ TRACK INFORMATION */
  { 0x54, VM_SCSI_TO_DEVICE, BYTES7_2 },      /* SEND OPC INFORMATION */
  { 0x55, VM_SCSI_TO_DEVICE, BYTES7_2 },      /* MODE SELECT (10) */
  { 0x5a, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* MODE SENSE (10) */
  { 0x5c, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* READ BUFFER CAPACITY */
  { 0x5d, VM_SCSI_TO_DEVICE, BYTES7_2 },      /* SEND CUE SHEET */
  { 0x5e, VM_SCSI_FROM_DEVICE, BYTES7_2 },    /* PERSISTENT RESERVE IN */
  { 0x5f, VM_SCSI_TO_DEVICE, BYTES5_4 },      /* PERSISTENT RESERVE OUT */
  { 0x7f, VM_SCSI_NO_DATA, LONG_32 },         /* commands of 32 bytes */
  { 0x85, VM_SCSI_NO_DATA, ATA_16 },          /* ATA PASS-THROUGH (16) */
  { 0x88, VM_SCSI_FROM_DEVICE, BLOCKS10_4 },  /* READ (16) */
  { 0x89, VM_SCSI_TO_DEVICE, PAIRS },         /* COMPARE AND WRITE */
  { 0x8a, VM_SCSI_TO_DEVICE, BLOCKS10_4 },    /* WRITE (16) */
  { 0x8c, VM_SCSI_FROM_DEVICE, BYTES10_4 },   /* READ ATTRIBUTE */
  { 0x8d, VM_SCSI_TO_DEVICE, BYTES10_4 },     /* WRITE ATTRIBUTE */
  { 0x8e, VM_SCSI_TO_DEVICE, BLOCKS10_4 },    /* WRITE AND VERIFY (16) */
  { 0x8f, VM_SCSI_TO_DEVICE, COMPARED_16 },   /* VERIFY (16) */
  { 0x93, VM_SCSI_TO_DEVICE, ONE_BLOCK },     /* WRITE SAME (16) */
  { 0x9e, VM_SCSI_FROM_DEVICE, BYTES10_4 },   /* SERVICE ACTION IN (16) */
  { 0xa0, VM_SCSI_FROM_DEVICE, BYTES6_4 },    /* REPORT LUNS */
  { 0xa1, VM_SCSI_NO_DATA, ATA_12 },          /* ATA PASS-THROUGH (12) */
  { 0xa2, VM_SCSI_FROM_DEVICE, BYTES6_4 },    /* SECURITY PROTOCOL IN */
  { 0xa3, VM_SCSI_FROM_DEVICE, BYTES6_4 },    /* MAINTENANCE IN; on CDs SEND KEY */
  { 0xa4, VM_SCSI_TO_DEVICE, BYTES6_4 },      /* MAINTENANCE OUT; on CDs REPORT KEY */
  { 0xa8, VM_SCSI_FROM_DEVICE, BLOCKS6_4 },   /* READ (12) */
  { 0xaa, VM_SCSI_TO_DEVICE, BLOCKS6_4 },     /* WRITE (12) */
  { 0xac, VM_SCSI_FROM_DEVICE, BYTES9_1 },    /* GET PERFORMANCE: 8 + 16 each */
  { 0xad, VM_SCSI_FROM_DEVICE, BYTES8_2 },    /* READ DISC STRUCTURE */
  { 0xae, VM_SCSI_TO_DEVICE, BLOCKS6_4 },     /* WRITE AND VERIFY (12) */
  { 0xaf, VM_SCSI_TO_DEVICE, COMPARED_12 },   /* VERIFY (12) */
  { 0xb5, VM_SCSI_TO_DEVICE, BYTES6_4 },      /* SECURITY PROTOCOL OUT */
  { 0xb6, VM_SCSI_TO_DEVICE, BYTES9_1 },      /* SET STREAMING */
  { 0xb7, VM_SCSI_FROM_DEVICE, BYTES6_4 },    /* READ DEFECT DATA (12) */
  { 0xb8, VM_SCSI_FROM_DEVICE, BYTES6_3 },    /* READ ELEMENT STATUS */
  { 0xb9, VM_SCSI_FROM_DEVICE, RAW_SECTORS_MSF }, /* READ CD MSF */
  { 0xbd, VM_SCSI_FROM_DEVICE, BYTES8_2 },    /* MECHANISM STATUS */
  { 0xbe, VM_SCSI_FROM_DEVICE, RAW_SECTORS }, /* READ CD */
  { 0xbf, VM_SCSI_TO_DEVICE, BYTES8_2 },      /* SEND DISC STRUCTURE */
};

enum { TYPE_TAPE = 1, TYPE_CD = 5 };
#define RAW_SECTOR 2646u /* with C2 and sub-channels: the most READ CD can ask for */

static uint32_t
load_be24 (const uint8_t *p)
{
  return (uint32_t) p[0] << 16 | p[1] << 8 | p[2];
}

unsigned
vm_scsi_cdb_length (const uint8_t *cdb)
{
  switch (cdb[0] >> 5)
    {
    case 0:
      return 6;
    case 1:
    case 2:
      return 10;
    case 3:
      return cdb[0] == 0x7f ? 8 + (cdb[7] & 0xfcu) : 0;
    case 4:
      return 16;
    case 5:
      return 12;
    default:
      return 0;
    }
}

static uint64_t
count_ata (VmScsiRequest *req, uint32_t block_size)
{
  const uint8_t *c = req->cdb;
  bool ext = c[0] == 0x85 && (c[1] & 1);
  uint32_t features = c[0] == 0x85 ? (ext ? c[3] << 8 : 0) | c[4] : c[3];
  uint32_t sectors = c[0] == 0x85 ? (ext ? c[5] << 8 : 0) | c[6] : c[4];
  uint32_t units = c[2] & 4 ? ((c[2] & 0x10) ? block_size : 512) : 1;

  switch (c[2] & 3) /* T_LENGTH */
    {
    case 1:
      return (uint64_t) features * units;
    case 2:
      return (uint64_t) sectors * units;
    default:
      return 0;
    }
}

static uint64_t
count_compared (const uint8_t *cdb, uint64_t blocks, uint32_t block_size)
{
  switch (cdb[1] >> 1 & 3) /* BYTCHK */
    {
    case 1:
      return blocks * block_size;
    case 3:
      return block_size;
    default:
      return 0;
    }
}

static uint64_t
count_long (VmScsiRequest *req, uint32_t block_size)
{
  uint16_t action = vm_load_be16 (req->cdb + 8);

  switch (action)
    {
    case 0x09: /* READ (32) */
      req->direction = VM_SCSI_FROM_DEVICE;
      return (uint64_t) vm_load_be32 (req->cdb + 28) * block_size;
    case 0x0b: /* WRITE (32) */
    case 0x0c: /* WRITE AND VERIFY (32) */
      req->direction = VM_SCSI_TO_DEVICE;
      return (uint64_t) vm_load_be32 (req->cdb + 28) * block_size;
    case 0x0d: /* WRITE SAME (32) */
      req->direction = VM_SCSI_TO_DEVICE;
      return block_size;
    default:
      return 0;
    }
}

static uint64_t
count_tape (const VmScsiRequest *req, uint32_t block_size)
{
  return (uint64_t) load_be24 (req->cdb + 2) * (req->cdb[1] & 1 ? block_size : 1);
}

static uint64_t
count_msf (const uint8_t *cdb)
{
  int64_t from = (cdb[3] * 60 + cdb[4]) * 75 + cdb[5], to = (cdb[6] * 60 + cdb[7]) * 75 + cdb[8];

  return to > from ? to - from : 0;
}

static uint64_t
count_bytes (VmScsiRequest *req, Count count, uint32_t block_size)
{
  const uint8_t *c = req->cdb;
  uint64_t block = block_size;

  switch (count)
    {
    case NOTHING:
      return c[0] == 0x05 ? 6 : 0;
    case BYTE4:
      return c[4];
    case BYTES3_2:
      return vm_load_be16 (c + 3);
    case BYTES6_2:
      return vm_load_be16 (c + 6);
    case BYTES7_2:
      return vm_load_be16 (c + 7);
    case BYTES8_2:
      return vm_load_be16 (c + 8);
    case BYTES9_1:
      return c[0] == 0xac ? 8 + 16 * (uint64_t) vm_load_be16 (c + 8) : vm_load_be16 (c + 9);
    case BYTES2_3:
      return load_be24 (c + 2);
    case BYTES6_3:
      return c[0] == 0xb8 ? load_be24 (c + 7) : load_be24 (c + 6);
    case BYTES6_4:
      return vm_load_be32 (c + 6);
    case BYTES5_4:
      return vm_load_be32 (c + 5);
    case BYTES10_4:
      return vm_load_be32 (c + 10);
    case BLOCKS4:
      return (c[4] ? c[4] : 256) * block;
    case BLOCKS7_2:
      return vm_load_be16 (c + 7) * block;
    case BLOCKS6_4:
      return vm_load_be32 (c + 6) * block;
    case BLOCKS10_4:
      return vm_load_be32 (c + 10) * block;
    case ONE_BLOCK:
      return c[0] == 0x93 && (c[1] & 1) ? 0 : block; /* NDOB: no data-out buffer */
    case EIGHT:
      return 8;
    case COMPARED_10:
      return count_compared (c, vm_load_be16 (c + 7), block_size);
    case COMPARED_12:
      return count_compared (c, vm_load_be32 (c + 6), block_size);
    case COMPARED_16:
      return count_compared (c, vm_load_be32 (c + 10), block_size);
    case TAPE:
      return count_tape (req, block_size);
    case RAW_SECTORS:
      return (uint64_t) load_be24 (c + 6) * RAW_SECTOR;
    case RAW_SECTORS_MSF:
      return count_msf (c) * RAW_SECTOR;
    case PAIRS:
      return 2 * (uint64_t) c[13] * block;
    case ATA_12:
    case ATA_16:
      return count_ata (req, block_size);
    case LONG_32:
      return count_long (req, block_size);
    case FORMAT:
      return c[1] & 0x10 ? (c[1] & 0x20 ? 8 : 4) : 0; /* FMTDATA: the header */
    }
  return 0;
}

static VmScsiDirection
direction_of (const VmScsiRequest *req, const Shape *shape)
{
  uint8_t type = req->dev->peripheral;

  switch (req->cdb[0])
    {
    case 0x42:
      return type == TYPE_CD ? VM_SCSI_FROM_DEVICE : VM_SCSI_TO_DEVICE;
    case 0x85:
    case 0xa1:
      return type == TYPE_CD && req->cdb[0] == 0xa1 ? VM_SCSI_NO_DATA
             : req->cdb[2] & 8                      ? VM_SCSI_FROM_DEVICE
                                                    : VM_SCSI_TO_DEVICE;
    case 0xa3:
      return type == TYPE_CD ? VM_SCSI_TO_DEVICE : VM_SCSI_FROM_DEVICE;
    case 0xa4:
      return type == TYPE_CD ? VM_SCSI_FROM_DEVICE : VM_SCSI_TO_DEVICE;
    default:
      return shape->direction;
    }
}

void
vm_scsi_request_parse (VmScsiRequest *req, uint32_t block_size)
{
  const uint8_t *c = req->cdb;
  uint8_t type = req->dev->peripheral;

  req->direction = VM_SCSI_NO_DATA;
  req->length = 0;
  for (unsigned i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      const Shape *shape = &shapes[i];
      Count count = shape->count;

      if (shape->opcode != c[0])
        continue;
      if (type == TYPE_TAPE && (c[0] == 0x08 || c[0] == 0x0a))
        count = TAPE;
      else if (type == TYPE_CD && (c[0] == 0xa3 || c[0] == 0xa4))
        count = BYTES8_2;
      req->direction = direction_of (req, shape);
      req->length = count_bytes (req, count, block_size);
      break;
    }
  if (req->length == 0)
    req->direction = VM_SCSI_NO_DATA;
}
