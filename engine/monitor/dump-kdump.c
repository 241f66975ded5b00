/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The compressed dump format of makedumpfile and crash (makedumpfile, IMPLEMENTATION): a header, one with the notes,
 * two bitmaps of page frames, a table of pages, the pages. "Flattened", each piece says where in the file it belongs,
 * so that a pipe will do. */
#include "engine/monitor/dump-private.h"

#include <errno.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

enum
{
  HEADER_SIZE = 464,
  HEADER_VERSION = 8,
  HEADER_UTSNAME = 12, /* six texts of 65 bytes */
  HEADER_STATUS = 424,
  HEADER_BLOCK_SIZE = 428,
  HEADER_SUB_SIZE = 432,
  HEADER_BITMAP_BLOCKS = 436,
  HEADER_MAX_MAPNR = 440,
  HEADER_NR_CPUS = 460,
  SUB_SIZE = 104,
  SUB_DUMP_LEVEL = 8,
  SUB_OFFSET_NOTE = 48,
  SUB_SIZE_NOTE = 56,
  SUB_MAX_MAPNR = 96,
  DESC_SIZE = 24,
  PACKED_ZLIB = 1,
  PACKED_LZO = 2,
  PACKED_SNAPPY = 4,
};
#define BLOCK VM_PAGE_SIZE
#define PAGES_A_TURN 512
#define FLAT_HEADER 4096

struct VmKdump
{
  bool flat;
  unsigned method;      /* PACKED_ZLIB ... */
  uint64_t frames;      /* one more than the highest */
  uint64_t table, data; /* where the next entries and pages go */
  uint64_t zero;        /* where a page of zeros lies; 0: not yet */
  GByteArray *out, *descs;
};

void
kdump_free (VmKdump *k)
{
  if (!k)
    return;
  g_byte_array_unref (k->out);
  g_byte_array_unref (k->descs);
  g_free (k);
}

static bool
write_at (VmDump *d, uint64_t offset, const void *data, size_t len)
{
  uint8_t head[16];

  vm_store_be64 (head, offset);
  vm_store_be64 (head + 8, len);
  if (d->kdump->flat)
    return dump_write (d, head, sizeof head) && dump_write (d, data, len);
  if (lseek (d->fd, (off_t) offset, SEEK_SET) < 0)
    return vm_fail (&d->error, "dump: failed to save memory: %s", g_strerror (errno));
  return dump_write (d, data, len);
}

/* --- before the pages --------------------------------------------------------------------------------------------- */

static bool
write_flat_header (VmDump *d)
{
  uint8_t header[FLAT_HEADER] = "makedumpfile";

  vm_store_be64 (header + 16, 1);
  vm_store_be64 (header + 24, 1);
  return !d->kdump->flat || dump_write (d, header, sizeof header);
}

static uint64_t
bitmap_blocks (const VmKdump *k)
{
  return (k->frames / 8 + BLOCK) / BLOCK;
}

static bool
write_header (VmDump *d, uint64_t sub_blocks)
{
  const VmKdump *k = d->kdump;
  uint8_t header[HEADER_SIZE] = "KDUMP   ";
  struct utsname host;

  vm_store_le32 (header + HEADER_VERSION, 6);
  if (uname (&host) == 0) /* there is no better name than "x86_64" for the guest's */
    g_strlcpy ((char *) header + HEADER_UTSNAME + 4 * 65, host.machine, 65);
  vm_store_le32 (header + HEADER_STATUS, k->method);
  vm_store_le32 (header + HEADER_BLOCK_SIZE, BLOCK);
  vm_store_le32 (header + HEADER_SUB_SIZE, (uint32_t) sub_blocks);
  vm_store_le32 (header + HEADER_BITMAP_BLOCKS, (uint32_t) (2 * bitmap_blocks (k)));
  vm_store_le32 (header + HEADER_MAX_MAPNR, (uint32_t) MIN (k->frames, UINT32_MAX));
  vm_store_le32 (header + HEADER_NR_CPUS, vm_vcpu_set_count (d->all->machine->vcpus));
  return write_at (d, 0, header, sizeof header);
}

static bool
write_sub_header (VmDump *d, const GByteArray *notes)
{
  uint8_t sub[SUB_SIZE] = { 0 };

  vm_store_le32 (sub + SUB_DUMP_LEVEL, 1); /* no pages of zeros */
  vm_store_le64 (sub + SUB_OFFSET_NOTE, BLOCK + SUB_SIZE);
  vm_store_le64 (sub + SUB_SIZE_NOTE, notes->len);
  vm_store_le64 (sub + SUB_MAX_MAPNR, d->kdump->frames);
  return write_at (d, BLOCK, sub, sizeof sub) && write_at (d, BLOCK + SUB_SIZE, notes->data, notes->len);
}

/* The pages there are, and those that are in the file: the same ones. */
static bool
write_bitmaps (VmDump *d, uint64_t offset, uint64_t *pages)
{
  uint64_t len = bitmap_blocks (d->kdump) * BLOCK;
  g_autofree uint8_t *bits = g_try_malloc0 (len);

  if (!bits)
    return vm_fail (&d->error, "dump: not enough memory");
  for (guint i = 0; i < d->segments->len; i++)
    {
      const DumpSegment *s = &g_array_index (d->segments, DumpSegment, i);
      for (uint64_t at = 0; at < s->size; at += BLOCK, (*pages)++)
        bits[(s->addr + at) / BLOCK / 8] |= (uint8_t) (1u << ((s->addr + at) / BLOCK % 8));
    }
  return write_at (d, offset, bits, len) && write_at (d, offset + len, bits, len);
}

/* Frames that are there as a whole. */
static void
trim_segments (VmDump *d)
{
  for (guint i = d->segments->len; i-- > 0;)
    {
      DumpSegment *s = &g_array_index (d->segments, DumpSegment, i);
      uint64_t from = VM_ALIGN_UP (s->addr, BLOCK), to = (s->addr + s->size) & ~(uint64_t) (BLOCK - 1);
      if (from >= to)
        {
          g_array_remove_index (d->segments, i);
          continue;
        }
      s->host += from - s->addr;
      s->addr = from;
      s->size = to - from;
      d->kdump->frames = MAX (d->kdump->frames, to / BLOCK);
    }
}

bool
kdump_begin (VmDump *d)
{
  static const unsigned methods[] = { [VMQ_DUMP_GUEST_MEMORY_FORMAT_KDUMP_ZLIB] = PACKED_ZLIB,
                                      [VMQ_DUMP_GUEST_MEMORY_FORMAT_KDUMP_LZO] = PACKED_LZO,
                                      [VMQ_DUMP_GUEST_MEMORY_FORMAT_KDUMP_SNAPPY] = PACKED_SNAPPY,
                                      [VMQ_DUMP_GUEST_MEMORY_FORMAT_KDUMP_RAW_ZLIB] = PACKED_ZLIB,
                                      [VMQ_DUMP_GUEST_MEMORY_FORMAT_KDUMP_RAW_LZO] = PACKED_LZO,
                                      [VMQ_DUMP_GUEST_MEMORY_FORMAT_KDUMP_RAW_SNAPPY] = PACKED_SNAPPY };
  g_autoptr (GByteArray) notes = dump_notes (d);
  VmKdump *k = d->kdump = g_new0 (VmKdump, 1);
  uint64_t pages = 0, sub_blocks = (SUB_SIZE + notes->len + BLOCK - 1) / BLOCK, bitmaps = (1 + sub_blocks) * BLOCK;

  k->method = methods[d->format];
  k->flat = d->format < VMQ_DUMP_GUEST_MEMORY_FORMAT_KDUMP_RAW_ZLIB;
  k->out = g_byte_array_new ();
  k->descs = g_byte_array_new ();
  trim_segments (d);
  if (!k->flat && lseek (d->fd, 0, SEEK_CUR) < 0)
    return vm_fail (&d->error, "dump: this format needs a file that can be written anywhere");
  if (!write_flat_header (d) || !write_header (d, sub_blocks) || !write_sub_header (d, notes)
      || !write_bitmaps (d, bitmaps, &pages))
    return false;
  k->table = bitmaps + 2 * bitmap_blocks (k) * BLOCK;
  k->data = k->table + pages * DESC_SIZE;
  return true;
}

/* --- pages ----------------------------------------------------------------------------------------------------------
 */

static size_t
pack (unsigned method, const uint8_t *page, uint8_t *out)
{
  uLongf len = DUMP_PACKED_MAX;

  if (method == PACKED_ZLIB)
    return compress2 (out, &len, page, BLOCK, Z_BEST_SPEED) == Z_OK ? len : DUMP_PACKED_MAX;
  return method == PACKED_LZO ? dump_pack_lzo (page, out) : dump_pack_snappy (page, out);
}

static void
add_desc (VmKdump *k, uint64_t offset, size_t size, unsigned flags)
{
  uint8_t desc[DESC_SIZE] = { 0 };

  vm_store_le64 (desc, offset);
  vm_store_le32 (desc + 8, (uint32_t) size);
  vm_store_le32 (desc + 12, flags);
  g_byte_array_append (k->descs, desc, sizeof desc);
}

static void
add_page (VmKdump *k, const uint8_t *page)
{
  uint8_t packed[DUMP_PACKED_MAX];
  bool zero = page[0] == 0 && memcmp (page, page + 1, BLOCK - 1) == 0;
  uint64_t offset = k->data + k->out->len;

  if (zero && k->zero)
    {
      add_desc (k, k->zero, BLOCK, 0);
      return;
    }
  if (zero)
    k->zero = offset;
  size_t size = zero ? BLOCK : pack (k->method, page, packed);
  bool smaller = size < BLOCK;
  g_byte_array_append (k->out, smaller ? packed : page, smaller ? (guint) size : BLOCK);
  add_desc (k, offset, smaller ? size : BLOCK, smaller ? k->method : 0);
}

static bool
flush (VmDump *d)
{
  VmKdump *k = d->kdump;

  if (!write_at (d, k->data, k->out->data, k->out->len) || !write_at (d, k->table, k->descs->data, k->descs->len))
    return false;
  k->data += k->out->len;
  k->table += k->descs->len;
  g_byte_array_set_size (k->out, 0);
  g_byte_array_set_size (k->descs, 0);
  return true;
}

static bool
write_end (VmDump *d)
{
  uint8_t end[16];

  memset (end, 0xff, sizeof end);
  return !d->kdump->flat || dump_write (d, end, sizeof end);
}

bool
kdump_piece (VmDump *d)
{
  for (unsigned n = 0; n < PAGES_A_TURN && d->at < d->segments->len; n++)
    {
      const DumpSegment *s = &g_array_index (d->segments, DumpSegment, d->at);
      add_page (d->kdump, s->host + d->done);
      d->done += BLOCK;
      d->completed += BLOCK;
      if (d->done == s->size)
        {
          d->at++;
          d->done = 0;
        }
    }
  if (!flush (d))
    return false;
  if (d->at < d->segments->len)
    return true;
  write_end (d);
  return false;
}
