/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Apple's disk images (UDIF), to read: a trailer, tables of chunks in a property list or a resource fork, chunks plain
 * or packed with zlib or bzip2. Numbers are big-endian. */
#include "block/formats/format.h"

#include <bzlib.h>
#include <errno.h>
#include <inttypes.h>

enum
{
  TRAILER = 512,
  AT_DATA_FORK = 0x18,
  AT_DATA_LEN = 0x20,
  AT_RESOURCES = 0x28,
  AT_RESOURCES_LEN = 0x30,
  AT_PLIST = 0xd8,
  AT_PLIST_LEN = 0xe0,
  AT_SECTORS = 0x1ec,
  TABLE_HEADER = 204,
  TABLE_SECTOR = 8,
  TABLE_DATA = 0x18,
  TABLE_CHUNKS = 200,
  CHUNK = 40,
  MAX_LIST = 16 << 20,
  MAX_PACKED = 64 << 20,
  MAX_SECTORS = (64 << 20) / 512, /* of a packed chunk */
};

typedef enum ChunkType
{
  CHUNK_ZERO = 0,
  CHUNK_RAW = 1,
  CHUNK_IGNORE = 2,
  CHUNK_COMMENT = 0x7ffffffe,
} ChunkType;
#define CHUNK_ADC 0x80000004u
#define CHUNK_ZLIB 0x80000005u
#define CHUNK_BZIP2 0x80000006u
#define CHUNK_LZFSE 0x80000007u
#define CHUNK_LZMA 0x80000008u
#define CHUNK_END 0xffffffffu

typedef struct Chunk
{
  uint32_t type;
  uint64_t start, len;     /* bytes of the disk */
  uint64_t offset, packed; /* in the file */
} Chunk;

typedef struct Dmg
{
  VmMap map;
  GArray *chunks; /* Chunk, by start */
  VmFiberMutex lock;
  unsigned current; /* the chunk in PLAIN */
  uint8_t *plain;
  size_t plain_size;
} Dmg;

/* --- reading --------------------------------------------------------------------------------------------- */

/* The chunk that holds OFFSET or, where there is none, the next one. */
static unsigned
find_chunk (const Dmg *s, uint64_t offset)
{
  unsigned low = 0, high = s->chunks->len;

  while (low < high)
    {
      unsigned mid = (low + high) / 2;
      const Chunk *c = &g_array_index (s->chunks, Chunk, mid);
      if (offset >= c->start + c->len)
        low = mid + 1;
      else
        high = mid;
    }
  return low;
}

static int
dmg_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Dmg *s = node->state;
  unsigned i = find_chunk (s, offset);

  if (i == s->chunks->len || g_array_index (s->chunks, Chunk, i).start > offset)
    {
      m->len = (i == s->chunks->len ? node->size : g_array_index (s->chunks, Chunk, i).start) - offset;
      return 0;
    }
  const Chunk *c = &g_array_index (s->chunks, Chunk, i);
  m->len = c->start + c->len - offset;
  if (c->type == CHUNK_ZERO || c->type == CHUNK_IGNORE)
    {
      m->kind = VM_MAP_ZERO;
      return 0;
    }
  m->kind = c->type == CHUNK_RAW ? VM_MAP_DATA : VM_MAP_PACKED;
  m->file = node->file->node;
  m->offset = c->type == CHUNK_RAW ? c->offset + (offset - c->start) : i;
  return 0;
}

typedef struct Bunzip
{
  uint8_t *from, *to;
  size_t from_len, to_len;
  bool ok;
} Bunzip;

static void
bunzip_work (void *opaque)
{
  Bunzip *b = opaque;
  unsigned len = b->to_len;

  b->ok = BZ2_bzBuffToBuffDecompress ((char *) b->to, &len, (char *) b->from, b->from_len, 0, 0) == BZ_OK
          && len == b->to_len;
}

static int
unpack_chunk (VmNode *node, unsigned index)
{
  Dmg *s = node->state;
  const Chunk *c = &g_array_index (s->chunks, Chunk, index);

  if (s->current == index)
    return 0;
  s->current = UINT_MAX;
  g_autofree uint8_t *packed = g_try_malloc (c->packed + 1);
  if (s->plain_size < c->len)
    {
      g_free (s->plain);
      s->plain = g_try_malloc (c->len);
      s->plain_size = s->plain ? c->len : 0;
    }
  if (!packed || !s->plain)
    return -ENOMEM;
  int err = vm_node_pread (node->file->node, c->offset, packed, c->packed);
  if (err < 0)
    return err;
  if (c->type == CHUNK_ZLIB && vm_inflate (packed, c->packed, s->plain, c->len, 15) != (ssize_t) c->len)
    return -EIO;
  if (c->type == CHUNK_BZIP2)
    {
      Bunzip b = { packed, s->plain, c->packed, c->len, false };
      vm_fiber_work (bunzip_work, &b);
      if (!b.ok)
        return -EIO;
    }
  s->current = index;
  return 0;
}

static int
dmg_unpack (VmNode *node, uint64_t offset, const VmMapping *m, VmVec vec)
{
  Dmg *s = node->state;
  const Chunk *c = &g_array_index (s->chunks, Chunk, m->offset);

  vm_fiber_mutex_lock (&s->lock);
  int err = unpack_chunk (node, m->offset);
  if (!err)
    vm_vec_write (vec, 0, s->plain + (offset - c->start), vec.size);
  vm_fiber_mutex_unlock (&s->lock);
  return err;
}

static const VmMapOps dmg_ops = { .lookup = dmg_lookup, .unpack = dmg_unpack };

/* --- opening --------------------------------------------------------------------------------------------- */

static bool
check_chunk (VmNode *node, const Chunk *c, GError **error)
{
  static const struct
  {
    uint32_t type;
    const char *name;
  } missing[] = { { CHUNK_ADC, "ADC" }, { CHUNK_LZFSE, "LZFSE" }, { CHUNK_LZMA, "LZMA" } };
  bool packed = c->type == CHUNK_ZLIB || c->type == CHUNK_BZIP2;

  for (size_t i = 0; i < G_N_ELEMENTS (missing); i++)
    if (c->type == missing[i].type)
      return vm_fail (error, "dmg images compressed with %s: not available in this build", missing[i].name);
  if (!packed && c->type != CHUNK_RAW && c->type != CHUNK_ZERO && c->type != CHUNK_IGNORE)
    return vm_fail (error, "The dmg image has a chunk of an unknown type (0x%x)", c->type);
  if (packed && c->len > MAX_SECTORS * UINT64_C (512))
    return vm_fail (error, "sector count %" PRIu64 " for chunk is larger than max (%u)", c->len / 512, MAX_SECTORS);
  if (packed && c->packed > MAX_PACKED)
    return vm_fail (error, "length %" PRIu64 " for chunk is larger than max (%u)", c->packed, MAX_PACKED);
  if ((packed || c->type == CHUNK_RAW) && !vm_map_within (c->offset, c->packed, node->file->node->size))
    return vm_fail (error, "The dmg image is cut off: a chunk lies behind its end");
  if (c->type == CHUNK_RAW && c->packed < c->len)
    return vm_fail (error, "The dmg image has a chunk shorter than what it holds");
  return true;
}

static bool
add_table (VmNode *node, const uint8_t *t, size_t len, uint64_t data_fork, GError **error)
{
  Dmg *s = node->state;

  if (len < TABLE_HEADER || memcmp (t, "mish", 4))
    return true; /* other resources are of no interest */
  uint32_t n = vm_load_be32 (t + TABLE_CHUNKS);
  if (n > (len - TABLE_HEADER) / CHUNK)
    return vm_fail (error, "The dmg image has a table of chunks that is cut off");
  for (uint32_t i = 0; i < n; i++)
    {
      const uint8_t *raw = t + TABLE_HEADER + i * CHUNK;
      uint64_t sector = vm_load_be64 (raw + 8), sectors = vm_load_be64 (raw + 16),
               first = vm_load_be64 (t + TABLE_SECTOR);
      Chunk c = { .type = vm_load_be32 (raw), .packed = vm_load_be64 (raw + 32) };
      if (c.type == CHUNK_COMMENT || c.type == CHUNK_END || !sectors)
        continue;
      const uint64_t max = INT64_MAX / 512 / 4;
      if (sector > max || sectors > max || first > max)
        return vm_fail (error, "The dmg image has a chunk far outside of any disk");
      c.start = (first + sector) * 512;
      c.len = sectors * 512;
      c.offset = vm_load_be64 (raw + 24) + vm_load_be64 (t + TABLE_DATA);
      if (__builtin_add_overflow (c.offset, data_fork, &c.offset))
        return vm_fail (error, "The dmg image is cut off: a chunk lies behind its end");
      if (!check_chunk (node, &c, error))
        return false;
      g_array_append_val (s->chunks, c);
    }
  return true;
}

/* The base64 text of all <data> elements behind the key "blkx". */
static bool
read_plist (VmNode *node, uint64_t offset, uint64_t len, uint64_t data_fork, GError **error)
{
  if (!len || len > MAX_LIST)
    return vm_fail (error, "The property list of the dmg image has an impossible size");
  g_autofree char *text = g_malloc (len + 1);
  if (!vm_file_read_header (node->file->node, offset, text, len, error))
    return false;
  text[len] = 0;
  char *at = strstr (text, "<key>blkx</key>"), *array_end = at ? strstr (at, "</array>") : NULL;
  if (!at || !array_end)
    return vm_fail (error, "The property list of the dmg image has no tables of chunks");
  *array_end = 0;
  while ((at = strstr (at, "<data>")))
    {
      char *end = strstr (at, "</data>");
      if (!end)
        break;
      *end = 0;
      gsize n;
      g_autofree guchar *table = g_base64_decode (at + 6, &n);
      if (!add_table (node, table, n, data_fork, error))
        return false;
      at = end + 1;
    }
  return true;
}

static bool
read_resources (VmNode *node, uint64_t offset, uint64_t len, uint64_t data_fork, GError **error)
{
  if (len < 16 || len > MAX_LIST)
    return vm_fail (error, "The resource fork of the dmg image has an impossible size");
  g_autofree uint8_t *fork = g_malloc (len);
  if (!vm_file_read_header (node->file->node, offset, fork, len, error))
    return false;
  uint64_t at = vm_load_be32 (fork), n = vm_load_be32 (fork + 8);
  if (!vm_map_within (at, n, len))
    return vm_fail (error, "The resource fork of the dmg image is damaged");
  for (uint64_t end = at + n; at + 4 <= end;)
    {
      uint32_t size = vm_load_be32 (fork + at);
      at += 4;
      if (!size || size > end - at)
        break;
      if (!add_table (node, fork + at, size, data_fork, error))
        return false;
      at += size;
    }
  return true;
}

static int
by_start (const void *a, const void *b)
{
  const Chunk *x = a, *y = b;

  return x->start < y->start ? -1 : x->start > y->start;
}

static int
dmg_probe (const uint8_t *head, size_t n, VmNode *file)
{
  size_t len = file->filename ? strlen (file->filename) : 0;
  (void) head;
  (void) n;
  return len > 4 && !strcmp (file->filename + len - 4, ".dmg") ? 2 : 0;
}

/* The trailer ends the file; some programs put a few bytes behind it. */
static bool
find_trailer (VmNode *file, uint8_t *trailer, uint64_t *at, GError **error)
{
  uint8_t end[2 * TRAILER];
  size_t n = MIN (sizeof end, file->size);

  if (n >= TRAILER && !vm_file_read_header (file, file->size - n, end, n, error))
    return false;
  for (size_t i = n; i-- > 0;)
    if (i + TRAILER <= n && !memcmp (end + i, "koly", 4))
      {
        memcpy (trailer, end + i, TRAILER);
        *at = file->size - n + i;
        return true;
      }
  return vm_fail (error, "Could not locate UDIF trailer in dmg file");
}

static bool
read_tables (VmNode *node, const uint8_t *t, uint64_t trailer, GError **error)
{
  uint64_t data = vm_load_be64 (t + AT_DATA_FORK);
  uint64_t resources = vm_load_be64 (t + AT_RESOURCES), resources_len = vm_load_be64 (t + AT_RESOURCES_LEN);
  uint64_t plist = vm_load_be64 (t + AT_PLIST), plist_len = vm_load_be64 (t + AT_PLIST_LEN);

  if (data > trailer || !vm_map_within (resources, resources_len, trailer)
      || !vm_map_within (plist, plist_len, trailer))
    return vm_fail (error, "The trailer of the dmg image is damaged");
  if (resources_len)
    return read_resources (node, resources, resources_len, data, error);
  if (plist_len)
    return read_plist (node, plist, plist_len, data, error);
  return vm_fail (error, "The dmg image has no tables of chunks");
}

static bool
dmg_open_image (VmNode *node, GError **error)
{
  Dmg *s = node->state;
  uint8_t trailer[TRAILER] = { 0 };
  uint64_t at = 0;

  if (!vm_format_open_file (node, error) || !vm_format_readonly (node, error)
      || !find_trailer (node->file->node, trailer, &at, error))
    return false;
  s->map.ops = &dmg_ops;
  s->map.block = 512;
  s->current = UINT_MAX;
  s->chunks = g_array_new (FALSE, FALSE, sizeof (Chunk));
  bool ok = read_tables (node, trailer, at, error);
  if (ok)
    {
      uint64_t end = 0;
      qsort (s->chunks->data, s->chunks->len, sizeof (Chunk), by_start);
      for (unsigned i = 0; ok && i < s->chunks->len; i++)
        {
          const Chunk *c = &g_array_index (s->chunks, Chunk, i);
          if (c->start < end)
            ok = vm_fail (error, "The dmg image is damaged: its chunks overlap");
          end = c->start + c->len;
        }
      node->size = end;
      uint64_t sectors = vm_load_be64 (trailer + AT_SECTORS);
      if (sectors > end / 512 && sectors < INT64_MAX / 512)
        node->size = sectors * 512;
    }
  if (!ok)
    g_array_unref (s->chunks);
  return ok;
}

static bool
dmg_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, dmg_open_image (node, error));
}

static void
dmg_close (VmNode *node)
{
  Dmg *s = node->state;

  g_array_unref (s->chunks);
  g_free (s->plain);
  vm_meta_free (&s->map.meta);
}

const VmBlockDriver vm_dmg_driver = {
  .name = "dmg",
  .help = "Apple disk image, read-only",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Dmg),
  .probe = dmg_probe,
  .open = dmg_open,
  .close = dmg_close,
  .read = vm_map_read,
  .status = vm_map_status,
};
