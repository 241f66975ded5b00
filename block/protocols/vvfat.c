/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder of the host as a FAT disk, partitioned or a floppy (Microsoft "FAT: General Overview of On-Disk
 * Format" 1.03). Files keep their contents where they are; everything else is made when it is asked for. */
#include "block/protocols/vvfat-private.h"

#include "engine/base/log.h"

#include "engine/schema/types.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the shape of the volume -------------------------------------------------------------------------------- */

static void
choose_geometry (Vvfat *s, bool has_type)
{
  if (s->floppy)
    {
      s->cylinders = 80;
      s->heads = 2;
      s->sectors = s->type == 12 && has_type ? 18 : 36;
    }
  else
    {
      s->cylinders = s->type == 12 ? 64 : 1024;
      s->heads = 16;
      s->sectors = 63;
    }
  uint64_t all = (uint64_t) s->cylinders * s->heads * s->sectors;
  s->start = s->floppy ? 0 : PARTITION;
  s->total = all - s->start;
  s->reserved = s->type == 32 ? 32 : 1;
  s->root_sectors = s->type == 32 ? 0 : (s->floppy ? FLOPPY_ROOT_ENTRIES : ROOT_ENTRIES) * ENTRY / SECTOR;
  s->per_cluster = s->floppy ? (s->type == 12 && !has_type ? 2 : 1) : s->type == 32 ? 4 : 16;
  /* The FAT covers what it does not take itself: settled after a few rounds. */
  for (unsigned i = 0; i < 8; i++)
    {
      uint64_t data = s->total - s->reserved - s->root_sectors - FATS * (uint64_t) s->fat_sectors;
      s->clusters = data / s->per_cluster;
      s->fat_sectors = ((s->clusters + 2) * (uint64_t) s->type + 8 * SECTOR - 1) / (8 * SECTOR);
    }
}

/* --- names ----------------------------------------------------------------------------------------------------- */

static char
short_char (char c)
{
  c = g_ascii_toupper (c);
  return g_ascii_isalnum (c) || (c && strchr ("!#$%&'()-@^_`{}~", c)) ? c : (unsigned char) c > 127 ? '_' : 0;
}

/* The 8.3 name; true when NAME is nothing else. */
static bool
make_short (const char *name, char to[11])
{
  const char *dot = strrchr (name, '.');
  bool exact = true;
  unsigned n = 0;

  memset (to, ' ', 11);
  if (dot == name)
    dot = NULL;
  for (const char *c = name; *c && c != dot; c++)
    {
      char s = short_char (*c);
      exact &= s == *c && n < 8;
      if (s && n < 8)
        to[n++] = s;
    }
  if (!n)
    to[0] = '_';
  n = 8;
  for (const char *c = dot ? dot + 1 : ""; *c; c++)
    {
      char s = short_char (*c);
      exact &= s == *c && n < 11;
      if (s && n < 11)
        to[n++] = s;
    }
  return exact;
}

/* Another one when it is taken: "LONGNA~1". */
static void
make_unique (GHashTable *taken, char name[11])
{
  char base[11];
  g_autofree char *key = g_strndup (name, 11);

  memcpy (base, name, 11);
  for (unsigned i = 1; g_hash_table_contains (taken, key); i++)
    {
      g_autofree char *tail = g_strdup_printf ("~%u", i);
      size_t len = strlen (tail), at = 8 - len;
      memcpy (name, base, 11);
      while (at && base[at - 1] == ' ')
        at--;
      memset (name + at, ' ', 8 - at);
      memcpy (name + at, tail, len);
      g_free (key);
      key = g_strndup (name, 11);
    }
  g_hash_table_add (taken, g_steal_pointer (&key));
}

static uint8_t
short_checksum (const char name[11])
{
  uint8_t sum = 0;

  for (unsigned i = 0; i < 11; i++)
    sum = (sum >> 1 | sum << 7) + (uint8_t) name[i];
  return sum;
}

/* The entries with a long name, before the one they belong to, last piece first. */
static void
add_long_name (GByteArray *entries, const char *name, const char short_name[11])
{
  static const uint8_t places[LFN_CHARS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
  glong len = 0;
  g_autofree gunichar2 *wide = g_utf8_to_utf16 (name, -1, NULL, &len, NULL);

  if (!wide || !len || len > MAX_NAME)
    return;
  unsigned pieces = (len + LFN_CHARS - 1) / LFN_CHARS;
  for (unsigned piece = pieces; piece-- > 0;)
    {
      uint8_t e[ENTRY] = { (piece + 1) | (piece + 1 == pieces ? 0x40 : 0) };
      e[11] = ATTR_LFN;
      e[13] = short_checksum (short_name);
      for (unsigned i = 0; i < LFN_CHARS; i++)
        {
          glong at = (glong) piece * LFN_CHARS + i;
          vm_store_le16 (e + places[i], at < len ? wide[at] : at == len ? 0 : 0xffff);
        }
      g_byte_array_append (entries, e, ENTRY);
    }
}

static void
add_entry (GByteArray *entries, const char name[11], unsigned attributes, time_t when, uint32_t first, uint32_t size)
{
  uint8_t e[ENTRY] = { 0 };
  struct tm tm = { 0 };

  localtime_r (&when, &tm);
  int year = CLAMP (tm.tm_year - 80, 0, 127);
  uint16_t date = year << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday;
  uint16_t clock = tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2;
  memcpy (e, name, 11);
  e[11] = attributes;
  vm_store_le16 (e + 14, clock);
  vm_store_le16 (e + 16, date);
  vm_store_le16 (e + 18, date);
  vm_store_le16 (e + 20, first >> 16);
  vm_store_le16 (e + 22, clock);
  vm_store_le16 (e + 24, date);
  vm_store_le16 (e + 26, first);
  vm_store_le32 (e + 28, size);
  g_byte_array_append (entries, e, ENTRY);
}

/* --- the folder -------------------------------------------------------------------------------------------------- */

static void
item_free (void *opaque)
{
  Item *item = opaque;

  if (item->entries)
    g_byte_array_unref (item->entries);
  g_free (item->path);
  g_free (item);
}

static int
compare_names (const void *a, const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* What is in a folder: regular files and folders. Links are left out: they may lead anywhere. */
static bool
scan_folder (Vvfat *s, Item *folder)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  DIR *dir = opendir (folder->path);
  struct dirent *d;

  if (!dir)
    {
      s->error = g_strdup_printf ("Could not read directory %s", folder->path);
      return false;
    }
  while ((d = readdir (dir)))
    if (vvfat_name_is_good (d->d_name) && names->len <= MAX_ITEMS)
      g_ptr_array_add (names, g_strdup (d->d_name));
  closedir (dir);
  g_ptr_array_sort (names, compare_names);
  for (unsigned i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename (folder->path, names->pdata[i], NULL);
      struct stat st;
      if (lstat (path, &st) || (!S_ISREG (st.st_mode) && !S_ISDIR (st.st_mode)))
        continue;
      if (S_ISREG (st.st_mode) && st.st_size > UINT32_MAX)
        {
          s->error = g_strdup_printf ("File %s is larger than 4GB", path);
          return false;
        }
      if (s->items->len >= MAX_ITEMS || folder->depth >= MAX_DEPTH)
        {
          s->error = g_strdup_printf ("Directory %s has too many entries", s->dir);
          return false;
        }
      Item *item = g_new0 (Item, 1);
      item->path = g_steal_pointer (&path);
      item->parent = folder;
      item->depth = folder->depth + 1;
      item->folder = S_ISDIR (st.st_mode);
      item->size = item->folder ? 0 : st.st_size;
      item->time = st.st_mtime;
      g_ptr_array_add (s->items, item);
    }
  return true;
}

/* Short names, and how long each folder becomes; the entries themselves come when all clusters are known. */
static void
name_items (Vvfat *s)
{
  g_autoptr (GHashTable) folders = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_hash_table_unref);

  for (unsigned i = 1; i < s->items->len; i++)
    {
      Item *item = s->items->pdata[i];
      GHashTable *taken = g_hash_table_lookup (folders, item->parent);
      g_autofree char *name = g_path_get_basename (item->path);
      if (!taken)
        {
          taken = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
          g_hash_table_insert (folders, item->parent, taken);
        }
      char plain[11];
      bool exact = make_short (name, plain);
      memcpy (item->short_name, plain, 11);
      make_unique (taken, item->short_name);
      exact &= !memcmp (plain, item->short_name, 11);
      /* Counted in entries. */
      item->parent->size += 1 + (exact ? 0 : (g_utf8_strlen (name, -1) * 2 + LFN_CHARS - 1) / LFN_CHARS);
    }
}

static bool
place_items (Vvfat *s)
{
  uint32_t next = 2;
  uint64_t cluster = vvfat_cluster_bytes (s);

  for (unsigned i = 0; i < s->items->len; i++)
    {
      Item *item = s->items->pdata[i];
      uint64_t bytes = item->folder ? (item->size + 2) * (uint64_t) ENTRY : item->size;
      if (!i && s->type != 32)
        {
          if (bytes > s->root_sectors * SECTOR)
            {
              s->error = g_strdup_printf ("Too many entries in the root directory of %s", s->dir);
              return false;
            }
          continue;
        }
      item->clusters = (bytes + cluster - 1) / cluster;
      item->first = item->clusters ? next : 0;
      if (item->clusters > s->clusters + 2 - next)
        {
          s->error = g_strdup_printf ("Directory does not fit in FAT%u (capacity %.2f MB)", s->type,
                                      s->clusters * (double) cluster / VM_MIB);
          return false;
        }
      next += item->clusters;
    }
  return true;
}

static void
fill_folders (Vvfat *s)
{
  Item *root = s->items->pdata[0];
  char label[11];

  for (unsigned i = 0; i < s->items->len; i++)
    {
      Item *item = s->items->pdata[i];
      if (item->folder)
        item->entries = g_byte_array_new ();
    }
  memset (label, ' ', 11);
  memcpy (label, s->label, strlen (s->label));
  add_entry (root->entries, label, ATTR_LABEL, root->time, 0, 0);
  for (unsigned i = 1; i < s->items->len; i++)
    {
      Item *item = s->items->pdata[i];
      if (!item->folder)
        continue;
      add_entry (item->entries, ".          ", ATTR_FOLDER, item->time, item->first, 0);
      add_entry (item->entries, "..         ", ATTR_FOLDER, item->parent->time,
                 item->parent == root ? 0 : item->parent->first, 0);
    }
  for (unsigned i = 1; i < s->items->len; i++)
    {
      Item *item = s->items->pdata[i];
      g_autofree char *name = g_path_get_basename (item->path);
      char plain[11];
      if (!make_short (name, plain) || memcmp (plain, item->short_name, 11))
        add_long_name (item->parent->entries, name, item->short_name);
      add_entry (item->parent->entries, item->short_name, item->folder ? ATTR_FOLDER : 0x20, item->time, item->first,
                 item->folder ? 0 : item->size);
    }
}

static void
scan_work (void *opaque)
{
  Vvfat *s = opaque;
  Item *root = g_new0 (Item, 1);
  struct stat st;

  root->path = g_strdup (s->dir);
  root->folder = true;
  root->time = !stat (s->dir, &st) ? st.st_mtime : 0;
  g_ptr_array_add (s->items, root);
  for (unsigned i = 0; i < s->items->len; i++)
    {
      Item *item = s->items->pdata[i];
      if (item->folder && !scan_folder (s, item))
        return;
    }
  name_items (s);
  if (place_items (s))
    fill_folders (s);
}

/* --- sectors ----------------------------------------------------------------------------------------------------- */

/* The item that CLUSTER belongs to; NULL: free. */
static Item *
item_of (const Vvfat *s, uint32_t cluster)
{
  unsigned low = 0, high = s->items->len;

  /* Items without clusters have nothing; those with some are in order, but may have others between. */
  while (low < high)
    {
      unsigned mid = (low + high) / 2, probe = mid;
      while (probe < high && !((Item *) s->items->pdata[probe])->clusters)
        probe++;
      if (probe == high)
        {
          high = mid;
          continue;
        }
      Item *item = s->items->pdata[probe];
      if (cluster < item->first)
        high = mid;
      else if (cluster >= item->first + item->clusters)
        low = probe + 1;
      else
        return item;
    }
  return NULL;
}

static uint32_t
fat_entry (const Vvfat *s, uint32_t cluster)
{
  uint32_t end = s->type == 12 ? 0xfff : s->type == 16 ? 0xffff : 0x0fffffff;

  if (cluster < 2)
    return cluster ? end : (end & ~UINT32_C (0xff)) | (s->floppy ? 0xf0 : 0xf8);
  const Item *item = item_of (s, cluster);
  return !item ? 0 : cluster + 1 == item->first + item->clusters ? end : cluster + 1;
}

static void
fat_sector (const Vvfat *s, uint32_t sector, uint8_t *to)
{
  uint32_t first_bit = sector * SECTOR * 8;

  /* Twelve bits may lie across the border. */
  for (uint32_t i = first_bit / s->type; i * s->type < first_bit + SECTOR * 8 && i < s->clusters + 2; i++)
    {
      uint32_t value = fat_entry (s, i);
      for (unsigned bit = 0; bit < s->type; bit += 4)
        {
          uint32_t at = i * s->type + bit;
          if (at >= first_bit && at < first_bit + SECTOR * 8)
            to[(at - first_bit) / 8] |= (value >> bit & 15) << at % 8;
        }
    }
}

static void
chs (const Vvfat *s, uint64_t sector, uint8_t *to)
{
  uint64_t cylinder = sector / s->sectors / s->heads;

  to[0] = cylinder > 1023 ? 0xff : sector / s->sectors % s->heads;
  to[1] = cylinder > 1023 ? 0xff : (sector % s->sectors + 1) | (cylinder >> 8) << 6;
  to[2] = cylinder > 1023 ? 0xff : cylinder;
}

static void
master_boot_record (const Vvfat *s, uint8_t *to)
{
  uint8_t *p = to + 446;

  vm_store_le32 (to + 440, 0xbe1afdfa);
  p[0] = 0x80;
  chs (s, s->start, p + 1);
  p[4] = s->type == 12 ? 0x01 : s->type == 16 ? 0x06 : 0x0c;
  chs (s, s->start + s->total - 1, p + 5);
  vm_store_le32 (p + 8, s->start);
  vm_store_le32 (p + 12, s->total);
  vm_store_le16 (to + 510, 0xaa55);
}

void
vvfat_boot_sector (const Vvfat *s, uint8_t to[SECTOR])
{
  static const uint8_t jump[] = { 0xeb, 0x58, 0x90 };
  bool big = s->type == 32;
  uint8_t *tail = to + (big ? 64 : 36);

  memcpy (to, jump, 3);
  memcpy (to + 3, "MSWIN4.1", 8);
  vm_store_le16 (to + 11, SECTOR);
  to[13] = s->per_cluster;
  vm_store_le16 (to + 14, s->reserved);
  to[16] = FATS;
  vm_store_le16 (to + 17, s->root_sectors * SECTOR / ENTRY);
  vm_store_le16 (to + 19, !big && s->total < 65536 ? s->total : 0);
  to[21] = s->floppy ? 0xf0 : 0xf8;
  vm_store_le16 (to + 22, big ? 0 : s->fat_sectors);
  vm_store_le16 (to + 24, s->sectors);
  vm_store_le16 (to + 26, s->heads);
  vm_store_le32 (to + 28, s->start);
  vm_store_le32 (to + 32, !big && s->total < 65536 ? 0 : s->total);
  if (big)
    {
      vm_store_le32 (to + 36, s->fat_sectors);
      vm_store_le32 (to + 44, ((Item *) s->items->pdata[0])->first);
      vm_store_le16 (to + 48, 1);
      vm_store_le16 (to + 50, 6);
    }
  tail[0] = s->floppy ? 0 : 0x80;
  tail[2] = 0x29;
  vm_store_le32 (tail + 3, 0xfabe1afd);
  memset (tail + 7, ' ', 11);
  memcpy (tail + 7, s->label, strlen (s->label));
  memcpy (tail + 18, big ? "FAT32   " : s->type == 16 ? "FAT16   " : "FAT12   ", 8);
  vm_store_le16 (to + 510, 0xaa55);
}

static void
reserved_sector (const Vvfat *s, uint32_t sector, uint8_t *to)
{
  if (sector % 6 == 0)
    vvfat_boot_sector (s, to);
  else if (sector % 6 == 1)
    { /* of FAT32: nothing is known of free clusters */
      vm_store_le32 (to, 0x41615252);
      vm_store_le32 (to + 484, 0x61417272);
      vm_store_le32 (to + 488, UINT32_MAX);
      vm_store_le32 (to + 492, UINT32_MAX);
      vm_store_le32 (to + 508, 0xaa550000);
    }
}

static void
folder_bytes (const Item *folder, uint64_t offset, uint8_t *to, size_t len)
{
  if (offset < folder->entries->len)
    memcpy (to, folder->entries->data + offset, MIN (len, folder->entries->len - offset));
}

static int
file_bytes (const Item *item, uint64_t offset, uint8_t *to, size_t len)
{
  if (offset >= item->size || item->gone)
    return 0;
  int fd = open (item->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return -errno;
  size_t n = MIN (len, item->size - offset), done = 0;
  int err = 0;
  while (done < n)
    {
      ssize_t got = pread (fd, to + done, n - done, offset + done);
      if (got < 0 && errno != EINTR)
        err = -errno;
      if (!got || err)
        break; /* shorter than it was: zeros */
      done += MAX (got, 0);
    }
  close (fd);
  return err;
}

/* As many bytes from sector SECTOR of the volume as are of one kind. */
static int
volume_bytes (const Vvfat *s, uint64_t sector, uint8_t *to, size_t *len)
{
  uint64_t fats = s->reserved, root = fats + FATS * (uint64_t) s->fat_sectors, data = root + s->root_sectors;

  if (sector >= data)
    {
      uint64_t cluster = (sector - data) / s->per_cluster + 2;
      const Item *item = cluster < s->clusters + UINT64_C (2) ? item_of (s, cluster) : NULL;
      if (!item)
        {
          *len = SECTOR;
          return 0;
        }
      uint64_t offset = (sector - data) * SECTOR - (item->first - 2) * vvfat_cluster_bytes (s);
      *len = MIN (*len, item->clusters * vvfat_cluster_bytes (s) - offset);
      if (item->folder)
        folder_bytes (item, offset, to, *len);
      return item->folder ? 0 : file_bytes (item, offset, to, *len);
    }
  *len = SECTOR;
  if (sector < fats)
    reserved_sector (s, sector, to);
  else if (sector < root)
    fat_sector (s, (sector - fats) % s->fat_sectors, to);
  else
    folder_bytes (s->items->pdata[0], (sector - root) * SECTOR, to, SECTOR);
  return 0;
}

int
vvfat_make_sectors (const Vvfat *s, uint64_t sector, uint8_t *to, size_t n)
{
  int err = 0;

  memset (to, 0, n * SECTOR);
  for (size_t done = 0; done < n * SECTOR && !err;)
    {
      uint64_t at = sector + done / SECTOR;
      size_t len = SECTOR;
      if (at >= s->start)
        {
          len = n * SECTOR - done;
          err = volume_bytes (s, at - s->start, to + done, &len);
        }
      else if (!at)
        master_boot_record (s, to + done);
      done += len;
    }
  return err;
}

typedef struct Work
{
  Vvfat *s;
  uint64_t sector;
  uint8_t *data;
  size_t n;
  bool whole;
  int err;
} Work;

static void
read_work (void *opaque)
{
  Work *w = opaque;

  w->err = w->s->writes ? vvfat_read_sectors (w->s, w->sector, w->data, w->n)
                        : vvfat_make_sectors (w->s, w->sector, w->data, w->n);
}

static int
vvfat_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  Vvfat *s = node->state;
  g_autofree uint8_t *buffer = g_try_malloc (vec.size);
  Work w = { .s = s, .sector = offset / SECTOR, .data = buffer, .n = vec.size / SECTOR };

  if (!buffer)
    return -ENOMEM;
  vm_fiber_rw_read (&s->gate);
  vm_fiber_work (read_work, &w);
  vm_fiber_rw_unlock (&s->gate);
  if (!w.err)
    vm_vec_write (vec, 0, buffer, vec.size);
  return w.err;
}

static void
write_work (void *opaque)
{
  Work *w = opaque;

  w->err = vvfat_write_sectors (w->s, w->sector, w->data, w->n);
}

static int
vvfat_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  Vvfat *s = node->state;
  g_autofree uint8_t *buffer = g_try_malloc (vec.size);
  Work w = { .s = s, .sector = offset / SECTOR, .data = buffer, .n = vec.size / SECTOR };

  if (!s->writes)
    return -EACCES;
  if (!buffer)
    return -ENOMEM;
  vm_vec_read (vec, 0, buffer, vec.size);
  vm_fiber_rw_write (&s->gate);
  vm_fiber_work (write_work, &w);
  vm_fiber_rw_unlock (&s->gate);
  return w.err;
}

static void
commit_work (void *opaque)
{
  Work *w = opaque;

  w->err = vvfat_commit (w->s, &w->whole);
}

/* A file system in the middle of a change is left for the next time. */
static int
vvfat_flush (VmNode *node)
{
  Vvfat *s = node->state;
  Work w = { .s = s };

  if (!s->writes)
    return 0;
  vm_fiber_rw_write (&s->gate);
  vm_fiber_work (commit_work, &w);
  vm_fiber_rw_unlock (&s->gate);
  return w.err;
}

/* --- opening -------------------------------------------------------------------------------------------------------
 */

/* "fat:32:floppy:rw:FOLDER" */
static bool
vvfat_parse_name (const char *name, json_object *options, GError **error)
{
  const char *at = name + strlen ("fat:");
  static const char *const types[] = { "12:", "16:", "32:" };

  for (bool more = true; more;)
    {
      more = false;
      for (size_t i = 0; i < G_N_ELEMENTS (types); i++)
        if (g_str_has_prefix (at, types[i]))
          {
            json_object_object_add (options, "fat-type", json_object_new_int (atoi (at)));
            at += 3;
            more = true;
          }
      if (g_str_has_prefix (at, "floppy:"))
        {
          json_object_object_add (options, "floppy", json_object_new_boolean (true));
          at += strlen ("floppy:");
          more = true;
        }
      if (g_str_has_prefix (at, "rw:"))
        {
          json_object_object_add (options, "rw", json_object_new_boolean (true));
          at += strlen ("rw:");
          more = true;
        }
    }
  json_object_object_add (options, "driver", json_object_new_string ("vvfat"));
  json_object_object_add (options, "dir", json_object_new_string (at));
  return true;
}

static void
vvfat_close (VmNode *node)
{
  Vvfat *s = node->state;
  Work w = { .s = s, .whole = true };

  if (s->writes)
    vm_fiber_work (commit_work, &w);
  if (w.err < 0)
    vm_report_warning ("vvfat: not all that the guest wrote is in the folder: %s", g_strerror (-w.err));
  else if (!w.whole)
    vm_report_warning ("vvfat: the guest's file system is damaged: what it wrote last is not in the folder");
  vvfat_writes_free (s);
  g_ptr_array_unref (s->items);
  g_free (s->error);
}

static bool
vvfat_open (VmNode *node, const void *opaque, GError **error)
{
  Vvfat *s = node->state;
  const VmqBlockdevOptionsVVFAT *options = opaque;

  bool writable = options->has_rw && options->rw && !node->readonly;
  if (!writable && !vm_format_readonly (node, error))
    return false;
  s->floppy = options->has_floppy && options->floppy;
  bool has_type = options->has_fat_type && options->fat_type;
  s->type = has_type ? options->fat_type : s->floppy ? 12 : 16;
  if (s->type != 12 && s->type != 16 && s->type != 32)
    return vm_fail (error, "Valid FAT types are only 12, 16 and 32");
  if (options->label && strlen (options->label) > 11)
    return vm_fail (error, "vvfat label cannot be longer than 11 bytes");
  g_strlcpy (s->label, options->label ? options->label : "VVFAT", sizeof s->label);
  if (s->floppy && s->type == 32)
    return vm_fail (error, "FAT32 does not fit on a floppy disk");
  choose_geometry (s, has_type);
  s->items = g_ptr_array_new_with_free_func (item_free);
  s->dir = options->dir;
  vm_fiber_work (scan_work, s);
  s->dir = NULL; /* it was the options' */
  if (s->error)
    vm_fail (error, "%s", s->error);
  if (s->error || (writable && !vvfat_writes_begin (s, options->dir, error)))
    {
      vvfat_close (node);
      return false;
    }
  node->size = (s->start + s->total) * SECTOR;
  node->limits.alignment = SECTOR;
  node->limits.max_transfer = VM_MIB;
  return true;
}

static const char *const vvfat_schemes[] = { "fat", NULL };

const VmBlockDriver vm_vvfat_driver = {
  .name = "vvfat",
  .help = "a folder of the host as a FAT disk",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (Vvfat),
  .schemes = vvfat_schemes,
  .parse_name = vvfat_parse_name,
  .open = vvfat_open,
  .close = vvfat_close,
  .read = vvfat_read,
  .write = vvfat_write,
  .flush = vvfat_flush,
};
