/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder as a FAT disk: what the guest's file system says by now (Microsoft "FAT: General Overview of On-Disk Format"
 * 1.03). It is believed when all of it fits together, and not at all otherwise. */
#include "block/protocols/vvfat-private.h"

#include <errno.h>

enum
{
  DELETED = 0xe5,
  STANDS_FOR_DELETED = 0x05,
  LFN_LAST = 0x40,
  LFN_PIECES = 20,
  CASE_BASE = 0x08,
  CASE_EXTENSION = 0x10,
  MAX_FOLDER = 65536 * ENTRY,
  MAX_PATH = 4096,
};

typedef struct Reader
{
  const Vvfat *s;
  uint32_t *fat; /* an entry for each cluster, from 0 */
  uint8_t *used;
  GPtrArray *entries;
  GHashTable *paths;
  int status; /* of reading */
} Reader;

/* A long name, as its pieces come. */
typedef struct LongName
{
  gunichar2 text[LFN_PIECES * LFN_CHARS + 1];
  unsigned next; /* piece that must come; 0: the name itself */
  uint8_t sum;
  bool valid;
} LongName;

void
vvfat_entry_free (void *opaque)
{
  VvfatEntry *e = opaque;

  g_free (e->path);
  g_free (e->chain);
  g_free (e);
}

/* --- the FAT ------------------------------------------------------------------------------------------------- */

static bool
read_sectors (Reader *r, uint64_t sector, uint8_t *to, size_t n)
{
  r->status = vvfat_read_sectors (r->s, sector, to, n);
  return r->status >= 0;
}

/* Both copies alike. */
static bool
read_fat (Reader *r)
{
  const Vvfat *s = r->s;
  size_t len = (size_t) s->fat_sectors * SECTOR;
  g_autofree uint8_t *fat = g_malloc (len), *copy = g_malloc (len);
  uint64_t at = s->start + s->reserved;

  if (!read_sectors (r, at, fat, s->fat_sectors) || !read_sectors (r, at + s->fat_sectors, copy, s->fat_sectors)
      || memcmp (fat, copy, len))
    return false;
  r->fat = g_new (uint32_t, s->clusters + 2);
  for (uint32_t i = 0; i < s->clusters + 2; i++)
    if (s->type == 12)
      r->fat[i] = vm_load_le16 (fat + i + i / 2) >> (i % 2 ? 4 : 0) & 0xfff;
    else if (s->type == 16)
      r->fat[i] = vm_load_le16 (fat + 2 * (size_t) i);
    else
      r->fat[i] = vm_load_le32 (fat + 4 * (size_t) i) & 0x0fffffff;
  r->used = g_malloc0 (s->clusters + 2);
  return true;
}

/* The clusters from FIRST on, which nobody else has. False: they are not in order. */
static bool
take_chain (Reader *r, uint32_t first, uint32_t **chain, uint32_t *n)
{
  const Vvfat *s = r->s;
  uint32_t end = s->type == 12 ? 0xff8 : s->type == 16 ? 0xfff8 : 0x0ffffff8;
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (uint32_t));

  for (uint32_t at = first; at < end; at = r->fat[at])
    {
      if (at < 2 || at >= s->clusters + 2 || r->used[at] == 2)
        return false;
      r->used[at] = 2;
      g_array_append_val (list, at);
    }
  *n = list->len;
  *chain = (uint32_t *) (void *) g_array_free (g_steal_pointer (&list), FALSE);
  return true;
}

/* --- names --------------------------------------------------------------------------------------------------- */

static bool
take_piece (LongName *name, const uint8_t *e)
{
  static const uint8_t places[LFN_CHARS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
  unsigned piece = e[0] & (LFN_LAST - 1);

  if (e[0] & LFN_LAST && piece && piece <= LFN_PIECES)
    {
      memset (name, 0, sizeof *name);
      name->valid = true;
      name->next = piece;
      name->sum = e[13];
    }
  if (!name->valid || piece != name->next || e[13] != name->sum)
    return name->valid = false;
  name->next--;
  for (unsigned i = 0; i < LFN_CHARS; i++)
    {
      gunichar2 c = vm_load_le16 (e + places[i]);
      name->text[name->next * LFN_CHARS + i] = c == 0xffff ? 0 : c;
    }
  return true;
}

static uint8_t
short_checksum (const uint8_t *name)
{
  uint8_t sum = 0;

  for (unsigned i = 0; i < 11; i++)
    sum = (sum >> 1 | sum << 7) + name[i];
  return sum;
}

static char *
short_name (const uint8_t *e)
{
  char text[13];
  unsigned n = 0, base = 8, extension = 3;

  while (base && e[base - 1] == ' ')
    base--;
  while (extension && e[8 + extension - 1] == ' ')
    extension--;
  for (unsigned i = 0; i < base + extension; i++)
    {
      bool in_base = i < base;
      uint8_t c = in_base ? e[i] : e[8 + i - base];
      if (!i && c == STANDS_FOR_DELETED)
        c = DELETED;
      if (i == base)
        text[n++] = '.';
      text[n++] = (char) (e[12] & (in_base ? CASE_BASE : CASE_EXTENSION) ? g_ascii_tolower (c) : c);
    }
  text[n] = 0;
  return g_strdup (text);
}

bool
vvfat_name_is_good (const char *name)
{
  size_t len = strlen (name);

  if (!len || len > MAX_NAME || !strcmp (name, ".") || !strcmp (name, "..") || !g_utf8_validate (name, -1, NULL))
    return false;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char) name[i] < ' ' || name[i] == '/' || name[i] == '\\' || name[i] == 127)
      return false;
  return true;
}

/* NULL: none that is allowed. */
static char *
name_of (LongName *name, const uint8_t *e)
{
  g_autofree char *text = NULL;

  if (name->valid && !name->next && name->sum == short_checksum (e))
    text = g_utf16_to_utf8 (name->text, -1, NULL, NULL, NULL);
  else
    text = short_name (e);
  name->valid = false;
  return text && vvfat_name_is_good (text) ? g_steal_pointer (&text) : NULL;
}

/* --- folders ------------------------------------------------------------------------------------------------- */

static time_t
time_of (const uint8_t *e)
{
  uint16_t date = vm_load_le16 (e + 24), clock = vm_load_le16 (e + 22);
  struct tm tm = { .tm_year = 80 + (date >> 9),
                   .tm_mon = (date >> 5 & 15) - 1,
                   .tm_mday = date & 31,
                   .tm_hour = clock >> 11,
                   .tm_min = clock >> 5 & 63,
                   .tm_sec = (clock & 31) * 2,
                   .tm_isdst = -1 };

  return mktime (&tm);
}

static bool
take_entry (Reader *r, const VvfatEntry *folder, LongName *name, const uint8_t *e)
{
  g_autofree char *text = name_of (name, e);
  VvfatEntry *entry;
  uint32_t first = (uint32_t) vm_load_le16 (e + 20) << 16 | vm_load_le16 (e + 26);

  if (!text || r->entries->len >= MAX_ITEMS)
    return false;
  if (r->s->type != 32)
    first &= 0xffff;
  entry = g_new0 (VvfatEntry, 1);
  g_ptr_array_add (r->entries, entry);
  entry->path = folder ? g_strconcat (folder->path, "/", text, NULL) : g_steal_pointer (&text);
  entry->folder = e[11] & ATTR_FOLDER;
  entry->size = entry->folder ? 0 : vm_load_le32 (e + 28);
  entry->time = time_of (e);
  if (!g_hash_table_add (r->paths, entry->path))
    return false;
  if ((first || entry->folder) && !take_chain (r, first, &entry->chain, &entry->n))
    return false;
  uint64_t cluster = vvfat_cluster_bytes (r->s);
  return entry->folder || entry->n == (entry->size + cluster - 1) / cluster;
}

static bool
take_folder (Reader *r, const VvfatEntry *folder, const uint8_t *data, size_t len)
{
  LongName name = { .valid = false };

  for (size_t at = 0; at + ENTRY <= len && data[at]; at += ENTRY)
    {
      const uint8_t *e = data + at;
      if (e[0] == DELETED)
        name.valid = false;
      else if ((e[11] & 0x3f) == ATTR_LFN)
        take_piece (&name, e);
      else if (e[11] & ATTR_LABEL || (folder && at < 2 * ENTRY && e[0] == '.'))
        name.valid = false;
      else if (!take_entry (r, folder, &name, e))
        return false;
    }
  return true;
}

static bool
read_chain (Reader *r, const uint32_t *chain, uint32_t n, uint8_t *to)
{
  for (uint32_t i = 0; i < n; i++)
    if (!read_sectors (r, vvfat_cluster_sector (r->s, chain[i]), to + i * vvfat_cluster_bytes (r->s),
                       r->s->per_cluster))
      return false;
  return true;
}

static bool
read_folder (Reader *r, const VvfatEntry *folder, const uint32_t *chain, uint32_t n)
{
  uint64_t len = n * vvfat_cluster_bytes (r->s);

  if (len > MAX_FOLDER || (folder && strlen (folder->path) > MAX_PATH))
    return false;
  g_autofree uint8_t *data = g_malloc (len);
  return read_chain (r, chain, n, data) && take_folder (r, folder, data, len);
}

static bool
read_root (Reader *r)
{
  const Vvfat *s = r->s;

  if (s->type == 32)
    {
      g_autofree uint32_t *chain = NULL;
      uint32_t n;
      return take_chain (r, ((const Item *) s->items->pdata[0])->first, &chain, &n) && read_folder (r, NULL, chain, n);
    }
  g_autofree uint8_t *data = g_malloc ((size_t) s->root_sectors * SECTOR);
  uint64_t at = s->start + s->reserved + FATS * (uint64_t) s->fat_sectors;
  return read_sectors (r, at, data, s->root_sectors) && take_folder (r, NULL, data, (size_t) s->root_sectors * SECTOR);
}

/* --- all of it ------------------------------------------------------------------------------------------------- */

/* A file system made anew, of another shape, is none of ours. */
static bool
same_shape (Reader *r)
{
  uint8_t ours[SECTOR] = { 0 }, now[SECTOR];

  vvfat_boot_sector (r->s, ours);
  return read_sectors (r, r->s->start, now, 1) && !memcmp (ours + 11, now + 11, r->s->type == 32 ? 41 : 25);
}

static unsigned
depth_of (const char *path)
{
  unsigned depth = 0;

  for (; *path; path++)
    depth += *path == '/';
  return depth;
}

static bool
read_all (Reader *r)
{
  if (!same_shape (r) || !read_fat (r) || !read_root (r))
    return false;
  for (guint i = 0; i < r->entries->len; i++) /* which grows meanwhile */
    {
      const VvfatEntry *e = r->entries->pdata[i];
      if (e->folder && (depth_of (e->path) >= MAX_DEPTH || !read_folder (r, e, e->chain, e->n)))
        return false;
    }
  for (uint32_t i = 2; i < r->s->clusters + 2; i++)
    if (r->fat[i] && !r->used[i])
      r->used[i] = 1; /* nobody's: a file that is being made */
  return true;
}

GPtrArray *
vvfat_tree_read (const Vvfat *s, uint8_t **used, int *status)
{
  Reader r = { .s = s,
               .entries = g_ptr_array_new_with_free_func (vvfat_entry_free),
               .paths = g_hash_table_new (g_str_hash, g_str_equal) };
  bool ok = read_all (&r);

  *status = MIN (r.status, 0);
  g_hash_table_unref (r.paths);
  g_free (r.fat);
  if (!ok)
    {
      g_ptr_array_unref (r.entries);
      g_free (r.used);
      return NULL;
    }
  *used = r.used;
  return r.entries;
}
