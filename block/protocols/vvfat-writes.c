/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder as a FAT disk that is written: sectors are kept in a file without a name, and when the guest wants them on
 * storage, what its file system says has become of files goes into the folder. Every name of the guest is looked up
 * from the folder on, one component at a time, and links are not followed: nothing else can be reached. */
#include "block/protocols/vvfat-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct VvfatWrites
{
  int dir_fd, store_fd;
  uint8_t *kept;    /* a bit for each sector: it lies in the store */
  uint8_t *changed; /* and was written since the folder had all of it */
  bool dirty;
  GPtrArray *known;  /* VvfatEntry *: what is in the folder */
  GHashTable *items; /* by path: Item * of the folder as it was, borrowed */
} VvfatWrites;

static bool
bit (const uint8_t *bits, uint64_t n)
{
  return bits[n / 8] >> n % 8 & 1;
}

/* --- sectors --------------------------------------------------------------------------------------------------- */

static int
move (int fd, bool write, uint64_t offset, uint8_t *data, size_t len)
{
  for (size_t done = 0; done < len;)
    {
      ssize_t n = write ? pwrite (fd, data + done, len - done, (off_t) (offset + done))
                        : pread (fd, data + done, len - done, (off_t) (offset + done));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return n ? -errno : write ? -ENOSPC : -EIO;
      done += (size_t) n;
    }
  return 0;
}

int
vvfat_read_sectors (const Vvfat *s, uint64_t sector, uint8_t *to, size_t n)
{
  const VvfatWrites *w = s->writes;
  int err = 0;

  for (size_t at = 0, run; at < n && err >= 0; at += run)
    {
      bool kept = bit (w->kept, sector + at);
      for (run = 1; at + run < n && bit (w->kept, sector + at + run) == kept; run++)
        ;
      err = kept ? move (w->store_fd, false, (sector + at) * SECTOR, to + at * SECTOR, run * SECTOR)
                 : vvfat_make_sectors (s, sector + at, to + at * SECTOR, run);
    }
  return err;
}

static int
keep (VvfatWrites *w, uint64_t sector, const uint8_t *from, size_t n)
{
  int err = move (w->store_fd, true, sector * SECTOR, (uint8_t *) (uintptr_t) from, n * SECTOR);

  for (size_t i = 0; i < n && err >= 0; i++)
    w->kept[(sector + i) / 8] |= (uint8_t) (1 << (sector + i) % 8);
  return err;
}

int
vvfat_write_sectors (Vvfat *s, uint64_t sector, const uint8_t *from, size_t n)
{
  VvfatWrites *w = s->writes;
  int err = keep (w, sector, from, n);

  w->dirty = true;
  for (size_t i = 0; i < n && err >= 0; i++)
    w->changed[(sector + i) / 8] |= (uint8_t) (1 << (sector + i) % 8);
  return err;
}

/* --- names in the folder ----------------------------------------------------------------------------------------- */

/* The folder that PATH is in, and its last component; negative errno. */
static int
open_parent (const VvfatWrites *w, const char *path, const char **name)
{
  int fd = fcntl (w->dir_fd, F_DUPFD_CLOEXEC, 0);
  const char *slash;

  while (fd >= 0 && (slash = strchr (path, '/')))
    {
      g_autofree char *part = g_strndup (path, slash - path);
      int next = openat (fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      int err = errno;
      close (fd);
      errno = err;
      fd = next;
      path = slash + 1;
    }
  *name = path;
  return fd < 0 ? -errno : fd;
}

static int
remove_path (const VvfatWrites *w, const VvfatEntry *e)
{
  const char *name;
  int fd = open_parent (w, e->path, &name);

  if (fd < 0)
    return fd == -ENOENT ? 0 : fd;
  int err = unlinkat (fd, name, e->folder ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
  close (fd);
  /* It is gone already, or the host has things in it that the guest does not see. */
  return err == -ENOENT || (e->folder && (err == -ENOTEMPTY || err == -EEXIST)) ? 0 : err;
}

static int
make_folder (const VvfatWrites *w, const VvfatEntry *e)
{
  const char *name;
  int fd = open_parent (w, e->path, &name);

  if (fd < 0)
    return fd;
  struct stat st;
  int err = mkdirat (fd, name, 0777) < 0 ? -errno : 0;
  if (err == -EEXIST && !fstatat (fd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR (st.st_mode))
    err = 0;
  close (fd);
  return err;
}

/* The contents of E into FD. */
static int
write_contents (const Vvfat *s, const VvfatEntry *e, int fd)
{
  uint64_t cluster = vvfat_cluster_bytes (s);
  g_autofree uint8_t *data = g_malloc (cluster);
  int err = 0;

  for (uint32_t i = 0; i < e->n && err >= 0; i++)
    {
      err = vvfat_read_sectors (s, vvfat_cluster_sector (s, e->chain[i]), data, s->per_cluster);
      if (err >= 0)
        err = move (fd, true, i * cluster, data, MIN (cluster, e->size - i * cluster));
    }
  struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = e->time } };
  if (err >= 0)
    futimens (fd, times); /* a file system that knows no times is none the worse */
  return err < 0 || fsync (fd) == 0 ? err : -errno;
}

/* Whole or not at all. KNOWN: the folder's file of this name is what the guest has changed; another is not touched. */
static int
write_file (const Vvfat *s, const VvfatEntry *e, bool known)
{
  const VvfatWrites *w = s->writes;
  const char *name;
  int dir = open_parent (w, e->path, &name), fd = -1, err = 0;
  g_autofree char *temporary = NULL;
  struct stat st = { .st_mode = 0666 };

  if (dir < 0)
    return dir;
  bool there = !fstatat (dir, name, &st, AT_SYMLINK_NOFOLLOW);
  if (there && (!known || !S_ISREG (st.st_mode)))
    err = -EEXIST;
  for (unsigned i = 0; i < 100 && fd < 0 && !err; i++)
    {
      g_free (temporary);
      temporary = g_strdup_printf (".vvfat-%08x", g_random_int ());
      fd = openat (dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
      if (fd < 0 && errno != EEXIST)
        err = -errno;
    }
  if (fd >= 0)
    {
      err = write_contents (s, e, fd);
      if (!err && there && fchmod (fd, st.st_mode & 0777) < 0)
        err = -errno;
      close (fd);
      if (!err)
        err = (known ? renameat (dir, temporary, dir, name) : renameat2 (dir, temporary, dir, name, RENAME_NOREPLACE))
                      < 0
                  ? -errno
                  : 0;
      if (err)
        unlinkat (dir, temporary, 0);
    }
  close (dir);
  return err;
}

/* --- from the guest's file system into the folder --------------------------------------------------------------------
 */

/* What the guest may still read of the file at PATH as it was is kept, before that changes. */
static int
keep_old (Vvfat *s, const char *path, const uint8_t *used)
{
  VvfatWrites *w = s->writes;
  Item *item = g_hash_table_lookup (w->items, path);
  g_autofree uint8_t *data = g_malloc (SECTOR);
  int err = 0;

  if (!item || item->gone)
    return 0;
  for (uint32_t c = item->first; c < item->first + item->clusters && err >= 0; c++)
    for (uint32_t i = 0; i < s->per_cluster && used[c] && err >= 0; i++)
      {
        uint64_t sector = vvfat_cluster_sector (s, c) + i;
        if (bit (w->kept, sector))
          continue;
        err = vvfat_make_sectors (s, sector, data, 1);
        if (err >= 0)
          err = keep (w, sector, data, 1);
      }
  item->gone = err >= 0;
  return err;
}

static bool
file_changed (const Vvfat *s, const VvfatEntry *now, const VvfatEntry *before)
{
  if (now->size != before->size || now->n != before->n
      || (now->n && memcmp (now->chain, before->chain, now->n * sizeof *now->chain)))
    return true;
  for (uint32_t i = 0; i < now->n; i++)
    for (uint32_t k = 0; k < s->per_cluster; k++)
      if (bit (s->writes->changed, vvfat_cluster_sector (s, now->chain[i]) + k))
        return true;
  return false;
}

static GHashTable *
by_path (const GPtrArray *entries)
{
  GHashTable *table = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < entries->len; i++)
    g_hash_table_insert (table, ((VvfatEntry *) entries->pdata[i])->path, entries->pdata[i]);
  return table;
}

static bool
above_is_file (GHashTable *now, const char *path)
{
  g_autofree char *copy = g_strdup (path);

  for (char *slash; (slash = strrchr (copy, '/'));)
    {
      *slash = 0;
      const VvfatEntry *above = g_hash_table_lookup (now, copy);
      if (above && !above->folder)
        return true;
    }
  return false;
}

/* Those of the folder that are no more; what is in folders goes before them. IN_THE_WAY: only where something new takes
 * the name, or that of a folder above. */
static int
remove_old (Vvfat *s, GHashTable *now, const uint8_t *used, bool in_the_way)
{
  GPtrArray *known = s->writes->known;
  int err = 0;

  for (guint i = known->len; i-- > 0 && err >= 0;)
    {
      const VvfatEntry *e = known->pdata[i], *stays = g_hash_table_lookup (now, e->path);
      if (stays ? stays->folder == e->folder : in_the_way && !above_is_file (now, e->path))
        continue;
      if (!e->folder)
        err = keep_old (s, e->path, used);
      if (err >= 0)
        err = remove_path (s->writes, e);
      if (err >= 0)
        g_ptr_array_remove_index (known, i);
    }
  return err;
}

static VvfatEntry *
entry_copy (const VvfatEntry *e)
{
  VvfatEntry *copy = g_new (VvfatEntry, 1);

  *copy = *e;
  copy->path = g_strdup (e->path);
  copy->chain = g_memdup2 (e->chain, e->n * sizeof *e->chain);
  return copy;
}

/* In the order of TREE folders come before what is in them. */
static int
write_new (Vvfat *s, GPtrArray *tree, const uint8_t *used)
{
  GHashTable *known = by_path (s->writes->known);
  int err = 0;

  for (guint i = 0; i < tree->len && err >= 0; i++)
    {
      const VvfatEntry *e = tree->pdata[i], *before = g_hash_table_lookup (known, e->path);
      if (e->folder)
        err = before ? 0 : make_folder (s->writes, e);
      else if (!before || file_changed (s, e, before))
        {
          err = before ? keep_old (s, e->path, used) : 0;
          if (err >= 0)
            err = write_file (s, e, before != NULL);
        }
      if (!before && err >= 0) /* should the next one fail */
        g_ptr_array_add (s->writes->known, entry_copy (e));
    }
  g_hash_table_unref (known);
  return err;
}

int
vvfat_commit (Vvfat *s, bool *whole)
{
  VvfatWrites *w = s->writes;
  g_autofree uint8_t *used = NULL;
  int err;

  *whole = true;
  if (!w->dirty)
    return 0;
  GPtrArray *tree = vvfat_tree_read (s, &used, &err);
  *whole = tree || err;
  if (!tree)
    return err;
  GHashTable *now = by_path (tree);
  err = remove_old (s, now, used, true);
  if (err >= 0)
    err = write_new (s, tree, used);
  if (err >= 0)
    err = remove_old (s, now, used, false);
  g_hash_table_unref (now);
  if (err < 0)
    {
      g_ptr_array_unref (tree);
      return err;
    }
  g_ptr_array_unref (w->known);
  w->known = tree;
  memset (w->changed, 0, (s->start + s->total + 7) / 8);
  w->dirty = false;
  return 0;
}

/* --- beginning and end ------------------------------------------------------------------------ */

static int
open_store (GError **error)
{
  const char *dir = g_getenv ("TMPDIR");
  g_autofree char *path = g_build_filename (dir && *dir ? dir : "/var/tmp", "vitrine-XXXXXX", NULL);
  int fd = g_mkstemp_full (path, O_RDWR | O_CLOEXEC, 0600);

  if (fd < 0)
    vm_fail (error, "Could not make the temporary file '%s': %s", path, g_strerror (errno));
  else
    unlink (path);
  return fd;
}

bool
vvfat_writes_begin (Vvfat *s, const char *dir, GError **error)
{
  VvfatWrites *w = g_new0 (VvfatWrites, 1);
  uint64_t bytes = (s->start + s->total + 7) / 8;
  g_autofree uint8_t *used = NULL;
  int err = 0;

  s->writes = w;
  w->kept = g_malloc0 (bytes);
  w->changed = g_malloc0 (bytes);
  w->items = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  w->store_fd = -1;
  w->dir_fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (w->dir_fd < 0)
    return vm_fail (error, "Could not open directory '%s': %s", dir, g_strerror (errno));
  w->store_fd = open_store (error);
  if (w->store_fd < 0)
    return false;
  const Item *root = s->items->pdata[0];
  for (guint i = 1; i < s->items->len; i++)
    {
      Item *item = s->items->pdata[i];
      if (!item->folder)
        g_hash_table_insert (w->items,
                             g_strdup (item->path + strlen (root->path) + !g_str_has_suffix (root->path, "/")), item);
    }
  w->known = vvfat_tree_read (s, &used, &err);
  return w->known || vm_fail (error, "The folder '%s' has names that a FAT disk cannot have", dir);
}

void
vvfat_writes_free (Vvfat *s)
{
  VvfatWrites *w = s->writes;

  if (!w)
    return;
  s->writes = NULL;
  if (w->store_fd >= 0)
    close (w->store_fd);
  if (w->dir_fd >= 0)
    close (w->dir_fd);
  g_clear_pointer (&w->known, g_ptr_array_unref);
  g_hash_table_unref (w->items);
  g_free (w->kept);
  g_free (w->changed);
  g_free (w);
}
