/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A CD image of files whose names and sizes the bytes give; it is read back, and all must be where both trees say. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ui/gtk/iso.h"

#define SECTOR 2048
#define FILES_MAX 6
#define SIZE_MAX_ 70000

static char *
file_name (Input *in)
{
  unsigned len = 1 + take (in, 1) % 40;
  GString *name = g_string_new (NULL);

  for (unsigned i = 0; i < len && in->left; i++)
    {
      /* Mostly letters, dots and a few that need more than a byte; any byte at times. */
      static const char *const some[] = { "a", "B", ".", "é", "漢", "😀", "_", "~", " ", "0" };
      uint32_t byte = take (in, 1);
      if (byte & 0x80)
        g_string_append_c (name, (char) (byte & 0x7f ? byte : 1));
      else
        g_string_append (name, some[byte % G_N_ELEMENTS (some)]);
    }
  for (char *p = name->str; *p; p++)
    if (*p == '/')
      *p = '-';
  if (name->len > 200)
    g_string_truncate (name, 200);
  if (!name->len || g_str_equal (name->str, ".") || g_str_equal (name->str, ".."))
    g_string_assign (name, "x");
  return g_string_free (name, FALSE);
}

static uint32_t
number (const uint8_t *at)
{
  return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t) at[3] << 24;
}

/* How many files the tree of the descriptor at SECTOR_ has; each byte of one is its first. */
static unsigned
count_files (const uint8_t *image, uint64_t size, unsigned sector)
{
  const uint8_t *descriptor = image + sector * SECTOR;
  uint64_t root = number (descriptor + 158) * (uint64_t) SECTOR, len = number (descriptor + 166);
  unsigned n = 0;

  g_assert (memcmp (descriptor + 1, "CD001\1", 6) == 0 && number (descriptor + 80) * (uint64_t) SECTOR == size);
  g_assert (len % SECTOR == 0 && root + len <= size);
  for (uint64_t at = 0; at < len;)
    {
      const uint8_t *record = image + root + at;
      if (!record[0])
        {
          at = (at / SECTOR + 1) * SECTOR;
          continue;
        }
      uint64_t data = number (record + 2) * (uint64_t) SECTOR, bytes = number (record + 10);
      g_assert (record[0] >= 33 + record[32] && at % SECTOR + record[0] <= SECTOR && record[32] > 0);
      g_assert (data + bytes <= size);
      if (!(record[25] & 2))
        {
          n++;
          for (uint64_t i = 0; i < bytes; i++)
            g_assert (image[data + i] == image[data]);
        }
      at += record[0];
    }
  return n;
}

static void
check_image (int fd, unsigned n)
{
  uint64_t size = (uint64_t) lseek (fd, 0, SEEK_END);
  uint8_t *image = mmap (NULL, size, PROT_READ, MAP_SHARED, fd, 0);

  g_assert (image != MAP_FAILED && size % SECTOR == 0 && size >= 20 * SECTOR);
  g_assert (count_files (image, size, 16) == n && count_files (image, size, 17) == n);
  munmap (image, size);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Input in = { data, size };
  g_autofree char *folder = g_dir_make_tmp ("vitrine-fuzz-XXXXXX", NULL);
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autofree char *label = file_name (&in), *shown = g_utf8_make_valid (label, -1);

  for (unsigned i = 1 + take (&in, 1) % FILES_MAX; i > 0; i--)
    {
      /* A folder each: names may come twice. */
      g_autofree char *name = file_name (&in), *place = g_strdup_printf ("%s/%u", folder, i);
      char *path = g_build_filename (place, name, NULL);
      uint32_t bytes = take (&in, 3) % SIZE_MAX_;
      g_autofree char *content = g_malloc (bytes + 1);
      g_mkdir (place, 0700);
      memset (content, (int) ('a' + i), bytes);
      if (g_file_set_contents (path, content, bytes, NULL))
        g_ptr_array_add (paths, path);
      else
        g_free (path);
    }
  unsigned n = paths->len;
  g_ptr_array_add (paths, NULL);
  int fd = memfd_create ("image", MFD_CLOEXEC);
  if (n)
    {
      g_assert (vm_iso_write (fd, (const char *const *) paths->pdata, shown, NULL, &error));
      check_image (fd, n);
    }
  close (fd);
  for (unsigned i = 0; i < n; i++)
    g_remove (paths->pdata[i]);
  for (unsigned i = 1; i <= FILES_MAX; i++)
    {
      g_autofree char *place = g_strdup_printf ("%s/%u", folder, i);
      g_rmdir (place);
    }
  g_rmdir (folder);
}
