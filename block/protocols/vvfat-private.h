/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder as a FAT disk: what its parts share. */
#pragma once

#include "block/formats/format.h"

#include <time.h>

enum
{
  SECTOR = 512,
  PARTITION = 63, /* where it begins on a hard disk */
  FATS = 2,
  ENTRY = 32,
  ROOT_ENTRIES = 512,
  FLOPPY_ROOT_ENTRIES = 224,
  MAX_ITEMS = 65536,
  MAX_DEPTH = 32,
  LFN_CHARS = 13,
  MAX_NAME = 255,
  ATTR_LABEL = 0x08,
  ATTR_FOLDER = 0x10,
  ATTR_LFN = 0x0f,
};

typedef struct Item
{
  char *path;
  struct Item *parent; /* NULL: the root */
  unsigned depth;
  bool folder;
  char short_name[11];
  uint32_t size, first, clusters; /* of a folder: of its entries */
  GByteArray *entries;            /* of a folder */
  time_t time;
  bool gone; /* the file is another by now: what the guest may still read of it has been kept */
} Item;

typedef struct Vvfat
{
  unsigned type; /* 12, 16, 32 */
  bool floppy;
  char label[12];
  uint32_t cylinders, heads, sectors;
  uint64_t start, total; /* of the volume, in sectors */
  uint32_t reserved, fat_sectors, root_sectors, per_cluster, clusters;
  GPtrArray *items; /* Item *, by first cluster, the root at 0 */
  const char *dir;
  char *error;                /* of scanning */
  struct VvfatWrites *writes; /* NULL: read-only */
  VmFiberRwLock gate;
} Vvfat;

static inline uint64_t
vvfat_cluster_bytes (const Vvfat *s)
{
  return s->per_cluster * SECTOR;
}

/* The sector (of the disk) where the data of CLUSTER begins. */
static inline uint64_t
vvfat_cluster_sector (const Vvfat *s, uint32_t cluster)
{
  return s->start + s->reserved + FATS * (uint64_t) s->fat_sectors + s->root_sectors
         + (cluster - 2) * (uint64_t) s->per_cluster;
}

/* All on a worker. As the folder has it; N sectors of the disk. */
int vvfat_make_sectors (const Vvfat *s, uint64_t sector, uint8_t *to, size_t n);
void vvfat_boot_sector (const Vvfat *s, uint8_t to[SECTOR]);

/* --- vvfat-writes.c: what the guest wrote, and back into the folder with it */
bool vvfat_writes_begin (Vvfat *s, const char *dir, GError **error);
void vvfat_writes_free (Vvfat *s);
/* As the guest sees them. */
int vvfat_read_sectors (const Vvfat *s, uint64_t sector, uint8_t *to, size_t n);
int vvfat_write_sectors (Vvfat *s, uint64_t sector, const uint8_t *from, size_t n);
/* What the guest's file system says goes into the folder, if it is whole. *WHOLE false: it is not, and nothing was
 * done. A negative errno value: the host would not have something of it. */
int vvfat_commit (Vvfat *s, bool *whole);

/* --- vvfat-tree.c: what the guest's file system says */
typedef struct VvfatEntry
{
  char *path; /* below the folder, "a/b" */
  bool folder;
  uint32_t size;
  time_t time;
  uint32_t *chain; /* clusters */
  uint32_t n;
} VvfatEntry;
void vvfat_entry_free (void *entry);
/* Of a file in a folder, here and on FAT disks: it leads nowhere else. */
bool vvfat_name_is_good (const char *name);
/* The file system on the disk: VvfatEntry *, folders before what is in them; and one byte for each cluster, whether it
 * is in use. NULL: it is damaged, or in the middle of a change; or *STATUS is a negative errno value. */
GPtrArray *vvfat_tree_read (const Vvfat *s, uint8_t **used, int *status);
