/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images of format FUZZ_FORMAT that somebody has damaged, by accident or with intent: opening, reading, writing,
 * checking and mending them may fail, but nothing else. The input: one byte of choices, then changes: four bytes of
 * place, eight of contents. */
#include "block/create.h"
#include "engine/object/user-object.h"
#include "tests/block/foreign-images.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

enum
{
  DISK = 640 << 10,
  READ_MAX = 2 << 20,
  CHANGE = 12,
};

typedef struct Format
{
  const char *name, *driver;
  const char *options; /* of the new image; NULL: none */
  GByteArray *(*make) (const uint8_t *data, gsize size);
  const char *beside; /* text of a file that names the image, and is what is opened; %s: its name */
  bool secret;        /* it is opened with the secret "sec0" */
} Format;

static const char se_descriptor[]
    = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"seSparse\"\n\n"
      "RW 1280 SESPARSE \"%s\"\n";

static const Format formats[] = {
  { "vdi", "vdi", NULL, NULL },
  { "vpc", "vpc", NULL, NULL },
  { "vpc-fixed", "vpc", "subformat=fixed", NULL },
  { "vhdx", "vhdx", "block_size=1M", NULL },
  { "parallels", "parallels", "cluster_size=64k", NULL },
  { "qed", "qed", "cluster_size=4k,table_size=2", NULL },
  { "qcow", "qcow", NULL, NULL },
  { "vmdk", "vmdk", NULL, NULL },
  { "vmdk-stream", "vmdk", "subformat=streamOptimized", NULL },
  { "vmdk-flat", "vmdk", "subformat=monolithicFlat", NULL },
  { "vmdk-sesparse", "vmdk", NULL, foreign_vmdk_se, se_descriptor },
  { "luks", "luks", "key-secret=sec0,iter-time=1", NULL, NULL, true },
  { "bochs", "bochs", NULL, foreign_bochs },
  { "cloop", "cloop", NULL, foreign_cloop },
  { "dmg", "dmg", NULL, foreign_dmg },
};

typedef struct Run
{
  VmBlockGraph *graph;
  const Format *format;
  const char *path, *opened; /* the image, and what stands for it */
  const char *flat;          /* a file that the image may name, with its data */
  const uint8_t *data;
  size_t size;
} Run;

static VmNode *
open_image (const Run *run, unsigned flags)
{
  json_object *options = json_object_new_object (), *file = json_object_new_object ();
  g_autoptr (GError) error = NULL;

  json_object_object_add (file, "driver", json_object_new_string ("file"));
  json_object_object_add (file, "filename", json_object_new_string (run->opened));
  json_object_object_add (options, "driver", json_object_new_string (run->format->driver));
  json_object_object_add (options, "file", file);
  json_object_object_add (options, "discard", json_object_new_string ("unmap"));
  if (run->format->secret)
    json_object_object_add (options, "key-secret", json_object_new_string ("sec0"));
  if (flags & VM_OPEN_READONLY)
    json_object_object_add (options, "read-only", json_object_new_boolean (true));
  VmNode *node = vm_node_open (run->graph, options, VM_SCHEMA_JSON, flags | VM_OPEN_NO_BACKING, &error);
  g_assert_true (node || (error && *error->message));
  json_object_put (options);
  return node;
}

/* Data, zeros, holes. */
static void
fill (const Run *run)
{
  VmNode *node = open_image (run, 0);
  g_autofree uint8_t *data = g_malloc (70000);
  struct iovec iov;

  g_assert_nonnull (node);
  for (unsigned i = 0; i < 70000; i++)
    data[i] = i / 300 + 1;
  vm_node_pwrite (node, 0, data, 70000);
  vm_node_pwrite (node, 300000, data, 9000);
  vm_node_write_zeroes (node, 16384, 8192, 0);
  if (node->driver->can_compress)
    vm_node_write (node, 131072, vm_vec_buffer (&iov, data, 65536), VM_REQ_COMPRESSED);
  vm_node_unref (node);
}

static char *
make_base (const Run *run, gsize *size)
{
  if (run->format->make)
    {
      g_autofree uint8_t *data = g_malloc0 (DISK);
      for (unsigned i = 0; i < DISK / 2; i++)
        data[i] = i / 300 + 1;
      GByteArray *bytes = run->format->make (data, DISK);
      *size = bytes->len;
      return (char *) g_byte_array_free (bytes, FALSE);
    }
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  VmImageCreate spec
      = { .name = run->path, .format = run->format->driver, .size = DISK, .has_size = true, .options = lists };
  g_autoptr (GError) error = NULL;
  char *bytes = NULL;
  if (run->format->options)
    g_ptr_array_add (lists, (char *) (uintptr_t) run->format->options);
  vm_image_create (run->graph, &spec, &error);
  g_assert_no_error (error);
  fill (run);
  g_assert_true (g_file_get_contents (run->path, &bytes, size, NULL));
  return bytes;
}

/* The image before it is damaged; made once, which takes longer than all the rest. */
static char *
base_image (const Run *run, gsize *size)
{
  static char *bytes;
  static gsize length;

  if (!bytes)
    bytes = make_base (run, &length);
  *size = length;
  return g_memdup2 (bytes, length);
}

/* Where something stands that is not data: a word that is not zero, in its beginning or anywhere. */
static uint64_t
aim (const char *bytes, gsize size, uint64_t place, unsigned how)
{
  uint64_t at = how < 80 ? place % MIN (size, 1024) : place % size;

  if (how < 200)
    for (unsigned i = 0; i < 65536 && !bytes[at]; i++)
      at = (at + 1) % size;
  return at;
}

static void
damage (const Run *run, char *bytes, gsize size)
{
  for (size_t at = 1; at + CHANGE <= run->size; at += CHANGE)
    {
      uint64_t offset = aim (bytes, size, vm_load_be32 (run->data + at + 1) >> 4, run->data[at]);
      unsigned len = 1 + (run->data[at + 1] & 7);

      memcpy (bytes + offset, run->data + at + 4, MIN (len, size - offset));
    }
}

/* Sums that keep accidents out do not keep out intent. */
static uint32_t
vpc_sum (const uint8_t *data, size_t len, size_t at)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < len; i++)
    sum += i - at < 4 ? 0 : data[i];
  return ~sum;
}

static uint32_t
crc32c (const uint8_t *data, size_t len)
{
  uint32_t crc = UINT32_MAX;

  for (size_t i = 0; i < len; i++)
    {
      crc ^= i - 4 < 4 ? 0 : data[i];
      for (unsigned bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
  return ~crc;
}

static void
make_sums_right (const Format *format, uint8_t *bytes, gsize size)
{
  if (!strcmp (format->driver, "vpc"))
    {
      vm_store_be32 (bytes + size - 512 + 64, vpc_sum (bytes + size - 512, 512, 64));
      if (!memcmp (bytes, "conectix", 8))
        vm_store_be32 (bytes + 64, vpc_sum (bytes, 512, 64));
      uint64_t header = vm_load_be64 (bytes + 16);
      if (header < size && size - header >= 1024)
        vm_store_be32 (bytes + header + 36, vpc_sum (bytes + header, 1024, 36));
    }
  if (!strcmp (format->driver, "luks"))
    { /* counts that are allowed and take long are made short; slots that look right are tried */
      static const unsigned counts[] = { 164, 208 + 4, 208 + 48 + 4, 208 + 7 * 48 + 4 };
      for (size_t i = 0; i < G_N_ELEMENTS (counts); i++)
        if (bytes[counts[i]] < 8)
          vm_store_be32 (bytes + counts[i], vm_load_be32 (bytes + counts[i]) % 2000);
    }
  if (!strcmp (format->driver, "vhdx") && size > 320 << 10)
    {
      static const struct
      {
        uint32_t at, len;
      } parts[] = { { 64 << 10, 4096 }, { 128 << 10, 4096 }, { 192 << 10, 65536 }, { 256 << 10, 65536 } };
      for (size_t i = 0; i < G_N_ELEMENTS (parts); i++)
        vm_store_le32 (bytes + parts[i].at + 4, crc32c (bytes + parts[i].at, parts[i].len));
    }
}

static void
use (VmNode *node, bool write)
{
  uint64_t size = MIN (node->size, READ_MAX);
  g_autofree uint8_t *buffer = g_malloc0 (READ_MAX);
  struct iovec iov;
  VmExtent extent;

  if (node->driver->describe)
    json_object_put (node->driver->describe (node));
  for (uint64_t at = 0; at < size; at += 65536 + 512)
    vm_node_pread (node, at, buffer, MIN (size - at, 65536));
  if (node->size > size)
    vm_node_pread (node, node->size - 512, buffer, 512);
  for (uint64_t at = 0; at < size && vm_node_status (node, at, size - at, &extent) >= 0; at += extent.len)
    ;
  if (!write)
    return;
  vm_node_pwrite (node, 1000, buffer, MIN (size, 20000));
  vm_node_write_zeroes (node, 0, MIN (size, 40000), VM_REQ_UNMAP);
  vm_node_pwrite (node, 500000, buffer, 1);
  vm_node_discard (node, 0, MIN (size, 131072));
  if (node->driver->can_compress)
    vm_node_write (node, 196608, vm_vec_buffer (&iov, buffer, 65536), VM_REQ_COMPRESSED);
  if (node->size > size)
    vm_node_pwrite (node, node->size - 512, buffer, 512);
  vm_node_flush (node);
}

static void
run_image (void *opaque)
{
  Run *run = opaque;
  gsize size;
  g_autofree char *bytes = base_image (run, &size);

  if (!strcmp (run->format->name, "vmdk-flat"))
    {
      int fd = g_open (run->flat, O_RDWR | O_CREAT, 0600);
      g_assert_cmpint (ftruncate (fd, DISK), ==, 0);
      close (fd);
    }
  damage (run, bytes, size);
  if (run->data[0] % 2 || run->format->secret)
    make_sums_right (run->format, (uint8_t *) bytes, size);
  if (run->data[0] % 16 == 2)
    size -= size / 3;
  for (unsigned way = 0; way < 4; way++)
    {
      VmCheckResult result = { 0 };

      g_assert_true (g_file_set_contents (run->path, bytes, size, NULL));
      VmNode *node = open_image (run, way == 0 ? VM_OPEN_READONLY : way == 1 ? 0 : VM_OPEN_CHECK);
      if (!node)
        continue;
      if (way < 2)
        use (node, way == 1);
      else if (node->driver->check && node->size < VM_GIB)
        node->driver->check (node, &result, way == 2 ? 0 : VM_CHECK_FIX_LEAKS | VM_CHECK_FIX_ERRORS);
      vm_node_unref (node);
      g_assert_cmpint (truncate (run->path, 0), ==, 0);
    }
}

static const Format *
this_format (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
    if (!strcmp (formats[i].name, FUZZ_FORMAT))
      return &formats[i];
  g_assert_not_reached ();
}

extern const VmType vm_secret_type;

static VmObject *
make_objects (void)
{
  VmObject *root = vm_object_new (&vm_container_type);
  g_autoptr (VmObject) secret = vm_object_new (&vm_secret_type);
  const VmUserObjectClass *klass = vm_type_klass (&vm_secret_type);

  secret->scope = root;
  vm_object_set (secret, "data", "open-sesame", NULL);
  vm_object_add_child (vm_object_container (root, "objects"), "sec0", secret);
  klass->complete (secret, NULL, NULL);
  return root;
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  const char *dir = g_file_test ("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : "/tmp";
  g_autofree char *path = g_strdup_printf ("%s/fuzz-" FUZZ_FORMAT "-%d", dir, (int) getpid ());
  g_autofree char *flat = g_strconcat (path, "-flat.vmdk", NULL);
  g_autofree char *beside = g_strconcat (path, ".vmdk", NULL);
  Run run = { .format = this_format (), .path = path, .opened = path, .flat = flat, .data = data, .size = size };
  g_autoptr (VmObject) objects = run.format->secret ? make_objects () : NULL;

  if (!size)
    return;
  if (run.format->beside)
    {
      g_autofree char *name = g_path_get_basename (path);
      g_auto (GStrv) parts = g_strsplit (run.format->beside, "%s", 2);
      g_autofree char *text = g_strconcat (parts[0], name, parts[1], NULL);
      g_assert_true (g_file_set_contents (beside, text, -1, NULL));
      run.opened = beside;
    }
  run.graph = vm_graph_new (vm_block_drivers, objects);
  vm_graph_call (run.graph, run_image, &run);
  vm_graph_free (run.graph);
  g_unlink (path);
  g_unlink (flat);
  g_unlink (beside);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_byte_array_set_size (input, 1 + CHANGE * (guint) g_rand_int_range (rand, 1, 6));
  for (guint i = 0; i < input->len; i++)
    input->data[i] = g_rand_int_range (rand, 0, 3) ? g_rand_int (rand) : 0;
}
