/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guests that write a folder's FAT disk as they like: whatever they do, nothing beside the folder changes. The input:
 * one byte for the kind of disk, then writes: one byte where, four of place, eight of contents; 255 is a flush. */
#include "block/node.h"
#include "tests/fuzz/fuzz.h"

#include <glib/gstdio.h>
#include <json-c/json.h>
#include <unistd.h>

enum
{
  STEP = 13
};

typedef struct Run
{
  VmBlockGraph *graph;
  char *dir;
  const uint8_t *data;
  size_t size;
} Run;

static void
put (const char *dir, const char *name, unsigned len)
{
  g_autofree char *path = g_build_filename (dir, name, NULL), *bytes = g_malloc (len + 1);

  memset (bytes, *name, len);
  g_assert_true (g_file_set_contents (path, bytes, len, NULL));
}

static VmNode *
open_disk (const Run *run)
{
  static const char *const kinds[] = { "", "12:", "floppy:", "32:" };
  g_autofree char *name = g_strdup_printf ("fat:%srw:%s/folder", kinds[run->data[0] % 4], run->dir);
  g_autoptr (GError) error = NULL;
  VmNode *node = vm_node_open_name (run->graph, name, "raw", NULL, 0, &error);

  g_assert_no_error (error);
  return node;
}

/* The FAT, the root folder and the first clusters matter most. */
static uint64_t
place (VmNode *node, uint8_t how, uint32_t at)
{
  uint8_t boot[512];
  uint64_t start = node->size > 4 * VM_MIB ? 63 * 512 : 0;

  vm_node_pread (node, start, boot, sizeof boot);
  uint64_t fat = start + vm_load_le16 (boot + 14) * UINT64_C (512);
  uint64_t len = (vm_load_le16 (boot + 22) ? vm_load_le16 (boot + 22) : vm_load_le32 (boot + 36)) * UINT64_C (512);
  uint64_t root = fat + 2 * len;
  uint64_t offset = how % 8 == 0   ? start + at % 512
                    : how % 8 == 1 ? fat + at % 64
                    : how % 8 < 7  ? root + at % (how % 8 < 5 ? 1024 : 65536)
                                   : at;
  return offset % (node->size - 1024);
}

static void
run_disk (void *opaque)
{
  const Run *run = opaque;
  VmNode *node = open_disk (run);

  for (size_t i = 1; i + STEP <= run->size; i += STEP)
    {
      const uint8_t *step = run->data + i;
      uint64_t offset = place (node, step[0], vm_load_be32 (step + 1));
      unsigned len = 1 + step[5] % 7;
      vm_node_pwrite (node, offset, step + 6, len);
      if (step[0] % 8 == 1)
        { /* both copies */
          uint8_t boot[512];
          uint64_t start = node->size > 4 * VM_MIB ? 63 * 512 : 0;
          vm_node_pread (node, start, boot, sizeof boot);
          vm_node_pwrite (node, (offset + vm_load_le16 (boot + 22) * UINT64_C (512)) % (node->size - 1024), step + 6,
                          len);
        }
      if (step[0] == 255)
        vm_node_flush (node);
    }
  vm_node_flush (node);
  vm_node_unref (node);
}

static void
remove_tree (const char *path)
{
  GDir *dir = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *sub = g_build_filename (path, name, NULL);
      remove_tree (sub);
    }
  if (dir)
    g_dir_close (dir);
  g_remove (path);
}

/* The folder and the file beside it, and nothing else. */
static void
look_around (const Run *run)
{
  g_autofree char *beside = g_build_filename (run->dir, "beside", NULL), *bytes = NULL;
  g_autoptr (GDir) dir = g_dir_open (run->dir, 0, NULL);
  unsigned n = 0;

  g_assert_true (g_file_get_contents (beside, &bytes, NULL, NULL));
  g_assert_cmpstr (bytes, ==, "bbbb");
  while (g_dir_read_name (dir))
    n++;
  g_assert_cmpuint (n, ==, 2);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  const char *base = g_file_test ("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : "/tmp";
  Run run = { .dir = g_strdup_printf ("%s/fuzz-vvfat-%d", base, (int) getpid ()), .data = data, .size = size };
  g_autofree char *folder = g_build_filename (run.dir, "folder", NULL), *sub = g_build_filename (folder, "sub", NULL);
  g_autofree char *link = g_build_filename (folder, "link", NULL);

  if (size)
    {
      g_mkdir_with_parents (sub, 0700);
      put (run.dir, "beside", 4);
      put (folder, "README.TXT", 3000);
      put (folder, "A long name", 20000);
      put (sub, "inner", 700);
      g_assert_cmpint (symlink ("../beside", link), ==, 0);
      run.graph = vm_graph_new (vm_block_drivers, NULL);
      vm_graph_call (run.graph, run_disk, &run);
      vm_graph_free (run.graph);
      look_around (&run);
      remove_tree (run.dir);
    }
  g_free (run.dir);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_byte_array_set_size (input, 1 + STEP * (guint) g_rand_int_range (rand, 1, 20));
  for (guint i = 0; i < input->len; i++)
    input->data[i] = (guint8) g_rand_int (rand);
  /* Names and places of folders rather than anything. */
  for (guint i = 1; i + STEP <= input->len; i += STEP)
    if (g_rand_int_range (rand, 0, 2))
      {
        static const char *const bytes[]
            = { "..\0/", "./../x", "\0\0\0\0\0\0\2", "\xff\xff\xff\xff", "A~1", "\x20\x10\x08\x0f" };
        memcpy (input->data + i + 6, bytes[g_rand_int_range (rand, 0, G_N_ELEMENTS (bytes))], 4);
      }
}
