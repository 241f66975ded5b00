/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ECMA-119 (ISO 9660) level 1 for everybody and, beside it, the Joliet Specification of 1995 for names as they are. The
 * two trees share the files' data. */
#include "config.h"

#include "ui/gtk/iso.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 2048
#define FIRST 16 /* volume descriptors begin here */
#define JOLIET_CHARS 64
#define FILES_MAX 10000
#define CHUNK (1u << 20)

enum
{
  PRIMARY,
  JOLIET,
  N_TREES
};

typedef struct File
{
  const char *path;
  char *base; /* UTF-8 */
  guint64 size;
  time_t time;
  guint32 sector;
  guint8 name[N_TREES][2 * JOLIET_CHARS + 4]; /* as they stand in the tree */
  guint8 len[N_TREES];
} File;

typedef struct Iso
{
  GPtrArray *files; /* File * */
  GByteArray *root[N_TREES];
  guint32 root_sector[N_TREES], path_sector[N_TREES];
  guint32 end;
} Iso;

static void
file_free (gpointer data)
{
  File *file = data;

  g_free (file->base);
  g_free (file);
}

/* --- numbers: both ways round, as the format has them ------------------------------------------------------------- */

static void
put_both32 (guint8 *at, guint32 value)
{
  for (unsigned i = 0; i < 4; i++)
    at[i] = at[7 - i] = (guint8) (value >> 8 * i);
}

static void
put_both16 (guint8 *at, guint16 value)
{
  at[0] = at[3] = (guint8) value;
  at[1] = at[2] = (guint8) (value >> 8);
}

static guint32
sectors_of (guint64 size)
{
  return (guint32) ((size + SECTOR - 1) / SECTOR);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* Letters, digits and underscores, at most MAX; where there are none, an underscore. */
static gsize
put_plain (guint8 *at, const char *text, gsize len, gsize max)
{
  gsize n = 0;

  for (gsize i = 0; i < len && n < max; i++)
    if (g_ascii_isalnum (text[i]))
      at[n++] = (guint8) g_ascii_toupper (text[i]);
    else if ((text[i] & 0xc0) != 0x80) /* one for each character */
      at[n++] = '_';
  if (!n)
    at[n++] = '_';
  return n;
}

/* "README.TXT;1"; ROUND > 0: "README01.TXT;1", so that no two are the same. */
static void
name_primary (File *file, unsigned round)
{
  const char *dot = strrchr (file->base, '.');
  gsize stem = dot && dot != file->base ? (gsize) (dot - file->base) : strlen (file->base);
  guint8 *at = file->name[PRIMARY];
  char number[8] = "";

  if (round)
    g_snprintf (number, sizeof number, "%02u", round);
  gsize n = put_plain (at, file->base, stem, 8 - strlen (number));
  memcpy (at + n, number, strlen (number));
  n += strlen (number);
  at[n++] = '.';
  if (file->base[stem] && file->base[stem + 1])
    n += put_plain (at + n, file->base + stem + 1, strlen (file->base + stem + 1), 3);
  at[n++] = ';';
  at[n++] = '1';
  file->len[PRIMARY] = (guint8) n;
}

/* UCS-2, most significant byte first. */
static void
name_joliet (File *file, unsigned round)
{
  g_autofree char *number = round ? g_strdup_printf ("~%u", round) : g_strdup ("");
  const char *dot = strrchr (file->base, '.');
  glong tail = dot && dot != file->base && g_utf8_strlen (dot, -1) < 16 ? g_utf8_strlen (dot, -1) : 0;
  glong all = g_utf8_strlen (file->base, -1), stem = MIN (all - tail, JOLIET_CHARS - tail - (glong) strlen (number));
  g_autofree char *head = g_utf8_substring (file->base, 0, stem), *end = g_utf8_substring (file->base, all - tail, all);
  g_autofree char *name = g_strconcat (head, number, end, NULL);
  gsize n = 0;

  for (const char *p = name; *p; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (c > 0xffff || c < 0x20 || (c < 0x80 && strchr ("*/:;?\\", (int) c)))
        c = '_';
      file->name[JOLIET][n++] = (guint8) (c >> 8);
      file->name[JOLIET][n++] = (guint8) c;
    }
  file->len[JOLIET] = (guint8) n;
}

static void
unref_bytes (gpointer bytes)
{
  g_bytes_unref (bytes);
}

static void
name_all (Iso *iso, unsigned tree, void (*make) (File *file, unsigned round))
{
  g_autoptr (GHashTable) taken = g_hash_table_new_full (g_bytes_hash, g_bytes_equal, unref_bytes, NULL);

  for (guint i = 0; i < iso->files->len; i++)
    {
      File *file = iso->files->pdata[i];
      for (unsigned round = 0;; round++)
        {
          make (file, round);
          if (g_hash_table_add (taken, g_bytes_new (file->name[tree], file->len[tree])))
            break;
        }
    }
}

static gint
compare_names (gconstpointer a, gconstpointer b, gpointer data)
{
  const File *x = *(File *const *) a, *y = *(File *const *) b;
  unsigned tree = GPOINTER_TO_UINT (data);
  int order = memcmp (x->name[tree], y->name[tree], MIN (x->len[tree], y->len[tree]));

  return order ? order : x->len[tree] - y->len[tree];
}

/* --- folders --------------------------------------------------------------------------------------------------------
 */

static void
put_time (guint8 *at, time_t time)
{
  struct tm tm;

  gmtime_r (&time, &tm);
  at[0] = (guint8) CLAMP (tm.tm_year, 0, 255);
  at[1] = (guint8) (tm.tm_mon + 1);
  at[2] = (guint8) tm.tm_mday;
  at[3] = (guint8) tm.tm_hour;
  at[4] = (guint8) tm.tm_min;
  at[5] = (guint8) tm.tm_sec;
  at[6] = 0;
}

/* 9.1: a directory record, which crosses no sector's end. */
static void
append_record (GByteArray *out, const guint8 *name, guint8 len, guint32 sector, guint32 size, time_t time, bool folder)
{
  guint8 record[256] = { 0 };
  unsigned n = (33u + len + 1) & ~1u;

  record[0] = (guint8) n;
  put_both32 (record + 2, sector);
  put_both32 (record + 10, size);
  put_time (record + 18, time);
  record[25] = folder ? 2 : 0;
  put_both16 (record + 28, 1);
  record[32] = len;
  memcpy (record + 33, name, len);
  if (out->len % SECTOR + n > SECTOR)
    g_byte_array_set_size (out, (out->len / SECTOR + 1) * SECTOR);
  g_byte_array_append (out, record, n);
}

static void
pad (GByteArray *out)
{
  guint before = out->len, after = sectors_of (before) * SECTOR;

  g_byte_array_set_size (out, after);
  memset (out->data + before, 0, after - before);
}

/* Its size does not depend on the sectors, so the first round finds that. */
static void
make_root (Iso *iso, unsigned tree, guint32 size)
{
  GByteArray *out = iso->root[tree];
  time_t now = time (NULL);

  g_byte_array_set_size (out, 0);
  append_record (out, (const guint8 *) "\0", 1, iso->root_sector[tree], size, now, true);
  append_record (out, (const guint8 *) "\1", 1, iso->root_sector[tree], size, now, true);
  g_ptr_array_sort_with_data (iso->files, compare_names, GUINT_TO_POINTER (tree));
  for (guint i = 0; i < iso->files->len; i++)
    {
      const File *file = iso->files->pdata[i];
      guint before = out->len;
      append_record (out, file->name[tree], file->len[tree], file->sector, (guint32) file->size, file->time, false);
      /* What lies before a record that begins a sector is nothing. */
      guint gap = out->len - before - ((33u + file->len[tree] + 1) & ~1u);
      memset (out->data + before, 0, gap);
    }
  pad (out);
}

static void
lay_out (Iso *iso)
{
  guint32 at = FIRST + 3; /* primary, Joliet, the end of them */

  for (unsigned tree = 0; tree < N_TREES; tree++)
    {
      iso->path_sector[tree] = at;
      at += 2; /* either way round */
      make_root (iso, tree, 0);
    }
  for (unsigned tree = 0; tree < N_TREES; tree++)
    {
      iso->root_sector[tree] = at;
      at += sectors_of (iso->root[tree]->len);
    }
  for (guint i = 0; i < iso->files->len; i++)
    {
      File *file = iso->files->pdata[i];
      file->sector = at;
      at += sectors_of (file->size);
    }
  iso->end = at;
  for (unsigned tree = 0; tree < N_TREES; tree++)
    make_root (iso, tree, iso->root[tree]->len);
}

/* --- volume descriptors ------------------------------------------------------------------------------------------- */

static void
put_text (guint8 *at, gsize size, const char *text, unsigned tree)
{
  gsize n = 0;

  if (tree == PRIMARY)
    {
      memset (at, ' ', size);
      for (const char *p = text; *p && n < size; p++)
        if ((*p & 0xc0) != 0x80)
          at[n++] = (guint8) (g_ascii_isalnum (*p) ? g_ascii_toupper (*p) : '_');
      return;
    }
  for (gsize i = 0; i + 1 < size; i += 2)
    {
      at[i] = 0;
      at[i + 1] = ' ';
    }
  for (const char *p = text; *p && n + 1 < size; p = g_utf8_next_char (p), n += 2)
    {
      gunichar c = g_utf8_get_char (p);
      at[n] = (guint8) (c > 0xffff ? 0 : c >> 8);
      at[n + 1] = (guint8) (c > 0xffff ? '_' : c);
    }
}

/* 8.4 and 8.5. */
static void
make_descriptor (const Iso *iso, guint8 *at, unsigned tree, const char *label)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *stamp = g_date_time_format (now, "%Y%m%d%H%M%S00");

  memset (at, 0, SECTOR);
  at[0] = tree == PRIMARY ? 1 : 2;
  memcpy (at + 1, "CD001\1", 6);
  put_text (at + 8, 32, "LINUX", tree);
  put_text (at + 40, 32, label, tree);
  put_both32 (at + 80, iso->end);
  if (tree == JOLIET)
    memcpy (at + 88, "%/E", 3); /* UCS-2 level 3 */
  put_both16 (at + 120, 1);
  put_both16 (at + 124, 1);
  put_both16 (at + 128, SECTOR);
  put_both32 (at + 132, 10); /* bytes of a path table with nothing but the root */
  for (unsigned i = 0; i < 4; i++)
    {
      at[140 + i] = (guint8) (iso->path_sector[tree] >> 8 * i);
      at[151 - i] = (guint8) ((iso->path_sector[tree] + 1) >> 8 * i);
    }
  g_autoptr (GByteArray) root = g_byte_array_new ();
  append_record (root, (const guint8 *) "\0", 1, iso->root_sector[tree], iso->root[tree]->len, time (NULL), true);
  memcpy (at + 156, root->data, 34);
  static const struct
  {
    guint16 at, size;
  } texts[] = { { 190, 128 }, { 318, 128 }, { 446, 128 }, { 574, 128 }, { 702, 37 }, { 739, 37 }, { 776, 37 } };
  for (unsigned i = 0; i < G_N_ELEMENTS (texts); i++)
    put_text (at + texts[i].at, texts[i].size, i == 3 ? "VITRINE" : "", tree);
  memcpy (at + 813, stamp, 16);
  memcpy (at + 830, stamp, 16);
  memset (at + 847, '0', 16);
  memset (at + 864, '0', 16);
  at[881] = 1;
}

/* 9.4: LITTLE: which way round its numbers are. */
static void
make_path_table (const Iso *iso, guint8 *at, unsigned tree, bool little)
{
  memset (at, 0, SECTOR);
  at[0] = 1;
  for (unsigned i = 0; i < 4; i++)
    at[2 + (little ? i : 3 - i)] = (guint8) (iso->root_sector[tree] >> 8 * i);
  at[little ? 6 : 7] = 1;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static bool
fail (GError **error, int code, const char *what)
{
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: %s", what, g_strerror (code));
  return false;
}

static bool
write_at (int fd, guint64 at, const guint8 *bytes, gsize n, GError **error)
{
  while (n)
    {
      ssize_t done = pwrite (fd, bytes, n, (off_t) at);
      if (done < 0 && errno == EINTR)
        continue;
      if (done < 0)
        return fail (error, errno, _ ("The image could not be written"));
      bytes += done;
      at += (guint64) done;
      n -= (gsize) done;
    }
  return true;
}

static bool
copy_bytes (int fd, int from, const File *file, guint8 *buffer, GCancellable *cancellable, GError **error)
{
  guint64 at = 0;

  while (at < file->size)
    {
      ssize_t n = pread (from, buffer, (gsize) MIN (CHUNK, file->size - at), (off_t) at);
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return false;
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return fail (error, n < 0 ? errno : EIO, file->base);
      if (!write_at (fd, (guint64) file->sector * SECTOR + at, buffer, (gsize) n, error))
        return false;
      at += (guint64) n;
    }
  return true;
}

static bool
copy_file (int fd, const File *file, guint8 *buffer, GCancellable *cancellable, GError **error)
{
  int from = open (file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  bool ok = from >= 0 ? copy_bytes (fd, from, file, buffer, cancellable, error) : fail (error, errno, file->base);

  if (from >= 0)
    close (from);
  return ok;
}

static bool
write_all (Iso *iso, int fd, const char *label, GCancellable *cancellable, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (CHUNK);
  bool ok = ftruncate (fd, (off_t) iso->end * SECTOR) == 0 || fail (error, errno, _ ("The image could not be written"));

  for (unsigned tree = 0; ok && tree < N_TREES; tree++)
    {
      make_descriptor (iso, buffer, tree, label);
      ok = write_at (fd, (FIRST + tree) * (guint64) SECTOR, buffer, SECTOR, error);
      for (unsigned way = 0; ok && way < 2; way++)
        {
          make_path_table (iso, buffer, tree, way == 0);
          ok = write_at (fd, (iso->path_sector[tree] + way) * (guint64) SECTOR, buffer, SECTOR, error);
        }
      ok = ok
           && write_at (fd, iso->root_sector[tree] * (guint64) SECTOR, iso->root[tree]->data, iso->root[tree]->len,
                        error);
    }
  memset (buffer, 0, SECTOR);
  memcpy (buffer, "\377CD001\1", 7);
  ok = ok && write_at (fd, (FIRST + N_TREES) * (guint64) SECTOR, buffer, SECTOR, error);
  for (guint i = 0; ok && i < iso->files->len; i++)
    ok = copy_file (fd, iso->files->pdata[i], buffer, cancellable, error);
  return ok;
}

static bool
add_file (Iso *iso, const char *path, guint64 *total, GError **error)
{
  File *file = g_new0 (File, 1);
  g_autofree char *base = g_path_get_basename (path);
  struct stat st;

  g_ptr_array_add (iso->files, file);
  file->base = g_filename_display_name (base);
  file->path = path;
  if (stat (path, &st) < 0)
    return fail (error, errno, file->base);
  if (!S_ISREG (st.st_mode))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE, _ ("“%s” is not a file."), file->base);
      return false;
    }
  file->size = (guint64) st.st_size;
  file->time = st.st_mtime;
  *total += file->size;
  if (file->size > G_MAXUINT32)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                   _ ("“%s” is bigger than the 4 GiB a file on a CD can have."), file->base);
      return false;
    }
  return true;
}

bool
vm_iso_write (int fd, const char *const *paths, const char *label, GCancellable *cancellable, GError **error)
{
  Iso iso
      = { .files = g_ptr_array_new_with_free_func (file_free), .root = { g_byte_array_new (), g_byte_array_new () } };
  guint64 total = 0;
  bool ok = true;

  for (; ok && *paths; paths++)
    ok = add_file (&iso, *paths, &total, error);
  if (ok && (iso.files->len > FILES_MAX || total / SECTOR > G_MAXINT32))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _ ("That is more than a CD can hold."));
      ok = false;
    }
  if (ok)
    {
      name_all (&iso, PRIMARY, name_primary);
      name_all (&iso, JOLIET, name_joliet);
      lay_out (&iso);
      ok = write_all (&iso, fd, label, cancellable, error);
    }
  g_ptr_array_unref (iso.files);
  g_byte_array_unref (iso.root[PRIMARY]);
  g_byte_array_unref (iso.root[JOLIET]);
  return ok;
}
