/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files about VHDX share ("[MS-VHDX]: Virtual Hard Disk v2 (VHDX) File Format"). Little-endian. */
#pragma once

#include "block/formats/format.h"

enum
{
  VHDX_HEADER_1 = 64 << 10,
  VHDX_HEADER_2 = 128 << 10,
  VHDX_HEADER = 4096,
  VHDX_AT_CRC = 4,
  VHDX_AT_SEQUENCE = 8,
  VHDX_AT_FILE_GUID = 16,
  VHDX_AT_DATA_GUID = 32,
  VHDX_AT_LOG_GUID = 48,
  VHDX_AT_LOG_VERSION = 64,
  VHDX_AT_VERSION = 66,
  VHDX_AT_LOG_LEN = 68,
  VHDX_AT_LOG = 72,
  VHDX_REGIONS_1 = 192 << 10,
  VHDX_REGIONS_2 = 256 << 10,
  VHDX_REGIONS = 64 << 10,
  VHDX_UNIT = 1 << 20, /* of all offsets of regions and blocks */
};

typedef struct Vhdx
{
  VmMap map;
  uint8_t header[VHDX_HEADER]; /* the current one */
  unsigned current;            /* which of both it is: 0 or 1 */
  bool written;                /* the headers say that the image has changed */
  uint64_t bat, bat_len, metadata, metadata_len, log, log_len;
  uint64_t chunk; /* payload blocks to a block of sector bitmaps */
  uint64_t end;   /* where the next block comes */
  uint32_t logical_sector;
} Vhdx;

uint32_t vm_vhdx_crc (const void *data, size_t len, size_t crc_at); /* the four bytes at CRC_AT as zeros */
bool vm_vhdx_write_header (VmNode *node, GError **error);           /* as the other of both, with the next number */
/* Writes what the log still holds. REPLAYED: it was not empty. */
bool vm_vhdx_replay (VmNode *node, bool *replayed, GError **error);

extern const VmCreateOption vm_vhdx_create_options[];
bool vm_vhdx_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                     GError **error);

/* GUIDs as they lie in files. */
#define VHDX_GUID_BAT "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
#define VHDX_GUID_METADATA "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
#define VHDX_GUID_PARAMETERS "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
#define VHDX_GUID_SIZE "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
#define VHDX_GUID_PAGE83 "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46"
#define VHDX_GUID_LOGICAL "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"
#define VHDX_GUID_PHYSICAL "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56"

typedef enum VhdxState
{ /* of a block, in its entry */
  VHDX_NOT_PRESENT = 0,
  VHDX_UNDEFINED = 1,
  VHDX_ZERO = 2,
  VHDX_UNMAPPED = 3,
  VHDX_UNMAPPED_OLD = 5, /* of drafts of the format */
  VHDX_PRESENT = 6,
  VHDX_PARTIAL = 7,
} VhdxState;
