/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hand on images for scripts of tests: one command to a line of the standard input, one answer to a line.
 *   create FORMAT SIZE PATH [OPTIONS]       open PATH [FORMAT [ro] [JSON members...]]   close
 *   write OFFSET LEN SEED | wc ... (compressed) | zero OFFSET LEN [unmap] | discard OFFSET LEN | flush
 *   read OFFSET LEN (answers with a checksum) | snap create|apply|delete NAME | snap rename NAME NEW | snap list
 *   resize SIZE [MODE] | check [leaks|all] | amend OPTIONS | info | map | save OFFSET LEN SEED | load OFFSET LEN
 *   bitmap add NAME GRANULARITY | bitmap remove NAME | bitmap list
 * "&" before a command: it runs beside those that follow, until "wait". Data of SEED: bytes by offset and seed. */
#include "block/bitmap.h"
#include "block/create.h"
#include "engine/crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Io
{
  VmBlockGraph *graph;
  VmNode *node;
  unsigned running;
  VmFiberQueue waiting;
} Io;

static void answer (const char *format, ...) G_GNUC_PRINTF (1, 2);

static void
answer (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vprintf (format, args);
  va_end (args);
  putchar ('\n');
  fflush (stdout);
}

static void
answer_status (const char *what, int status)
{
  if (status < 0)
    answer ("%s failed: %s", what, g_strerror (-status));
  else
    answer ("%s ok", what);
}

static void
answer_error (const char *what, GError *error)
{
  if (error)
    answer ("%s failed: %s", what, error->message);
  else
    answer ("%s ok", what);
  g_clear_error (&error);
}

static uint64_t
number (char **words, unsigned n, unsigned i)
{
  return i < n ? strtoull (words[i], NULL, 0) : 0;
}

static void
pattern (uint8_t *data, uint64_t offset, uint64_t len, uint64_t seed)
{
  for (uint64_t i = 0; i < len; i++)
    data[i] = (uint8_t) (seed ? seed * 131 + ((offset + i) >> 9) * 7 + ((offset + i) & (seed & 15)) : 0);
}

static void
write_data (Io *io, char **w, unsigned n)
{
  uint64_t offset = number (w, n, 1), len = number (w, n, 2);
  g_autofree uint8_t *data = g_malloc (len + 1);
  struct iovec iov;

  pattern (data, offset, len, number (w, n, 3));
  if (!strcmp (w[0], "save"))
    answer_status (w[0], io->node->driver->vmstate_write (io->node, offset, vm_vec_buffer (&iov, data, len)));
  else
    answer_status (w[0], vm_node_write (io->node, offset, vm_vec_buffer (&iov, data, len),
                                        strcmp (w[0], "wc") ? 0 : VM_REQ_COMPRESSED));
}

static void
read_data (Io *io, char **w, unsigned n)
{
  uint64_t offset = number (w, n, 1), len = number (w, n, 2);
  g_autofree uint8_t *data = g_malloc (len + 1);
  g_autofree char *sum = NULL;
  struct iovec iov;
  VmVec vec = vm_vec_buffer (&iov, data, len);
  int status = strcmp (w[0], "load") ? vm_node_read (io->node, offset, vec, 0)
                                     : io->node->driver->vmstate_read (io->node, offset, vec);

  sum = g_compute_checksum_for_data (G_CHECKSUM_MD5, data, len);
  if (status < 0)
    answer_status (w[0], status);
  else
    answer ("%s %s", w[0], sum);
}

static void
open_image (Io *io, char **w, unsigned n)
{
  json_object *options = json_object_new_object (), *file = json_object_new_object ();
  GError *error = NULL;

  json_object_object_add (file, "driver", json_object_new_string ("file"));
  json_object_object_add (file, "filename", json_object_new_string (w[1]));
  json_object_object_add (options, "driver", json_object_new_string (n > 2 ? w[2] : "qcow2"));
  json_object_object_add (options, "discard", json_object_new_string ("unmap"));
  json_object_object_add (options, "file", file);
  for (unsigned i = 3; i < n; i++)
    {
      char *equals = strchr (w[i], '=');

      if (!strcmp (w[i], "ro"))
        json_object_object_add (options, "read-only", json_object_new_string ("true"));
      else if (equals)
        {
          *equals = 0;
          json_object_object_add (options, w[i], json_object_new_string (equals + 1));
        }
    }
  io->node = vm_node_open (io->graph, options, VM_SCHEMA_TEXT, getenv ("BLKIO_CHECK") ? VM_OPEN_CHECK : 0, &error);
  json_object_put (options);
  answer_error ("open", error);
}

static void
create_image (Io *io, char **w, unsigned n)
{
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  VmImageCreate spec = { .name = w[3], .format = w[1], .size = number (w, n, 2), .has_size = true, .options = lists };
  GError *error = NULL;

  if (n > 4)
    g_ptr_array_add (lists, w[4]);
  vm_image_create (io->graph, &spec, &error);
  answer_error ("create", error);
}

static void
snapshot (Io *io, char **w, unsigned n)
{
  const VmBlockDriver *d = io->node->driver;
  GError *error = NULL;

  if (n > 2 && !strcmp (w[1], "create"))
    {
      VmSnapshotInfo info = { .name = w[2], .vm_state_size = number (w, n, 3), .date_sec = 1, .icount = UINT64_MAX };

      d->snapshot_create (io->node, &info, &error);
      g_free (info.id);
    }
  else if (n > 2 && !strcmp (w[1], "apply"))
    d->snapshot_apply (io->node, w[2], &error);
  else if (n > 2 && !strcmp (w[1], "delete"))
    d->snapshot_delete (io->node, NULL, w[2], &error);
  else if (n > 3 && !strcmp (w[1], "rename"))
    {
      g_autoptr (GPtrArray) list = d->snapshot_list (io->node);

      for (guint i = 0; i < list->len; i++)
        if (!strcmp (((VmSnapshotInfo *) list->pdata[i])->name, w[2]))
          d->snapshot_rename (io->node, ((VmSnapshotInfo *) list->pdata[i])->id, w[3], &error);
    }
  else if (n > 2 && !strcmp (w[1], "load"))
    d->snapshot_load (io->node, NULL, w[2], &error);
  else
    {
      g_autoptr (GPtrArray) list = d->snapshot_list (io->node);

      for (guint i = 0; i < list->len; i++)
        answer ("%s %s", ((VmSnapshotInfo *) list->pdata[i])->id, ((VmSnapshotInfo *) list->pdata[i])->name);
    }
  answer_error ("snap", error);
}

static void
print_finding (void *opaque, const char *line)
{
  answer ("%s", line);
}

static void
check (Io *io, char **w, unsigned n)
{
  VmCheckResult r = { .print = print_finding };
  unsigned fix = n < 2 ? 0 : strcmp (w[1], "all") ? VM_CHECK_FIX_LEAKS : VM_CHECK_FIX_LEAKS | VM_CHECK_FIX_ERRORS;
  int status = io->node->driver->check (io->node, &r, fix);

  answer ("corruptions=%" PRIu64 " leaks=%" PRIu64 " errors=%" PRIu64 " corruptions_fixed=%" PRIu64
          " leaks_fixed=%" PRIu64 " end=%" PRIu64 " allocated=%" PRIu64 "/%" PRIu64 " fragmented=%" PRIu64
          " compressed=%" PRIu64,
          r.corruptions, r.leaks, r.check_errors, r.corruptions_fixed, r.leaks_fixed, r.image_end, r.allocated_clusters,
          r.total_clusters, r.fragmented_clusters, r.compressed_clusters);
  answer_status ("check", status);
}

static void
amend (Io *io, char **w, unsigned n)
{
  GError *error = NULL;
  g_autoptr (VmCreateValues) values = vm_create_values_new (io->node->driver, NULL, true);

  if (n > 1 && vm_create_values_parse (values, w[1], &error))
    io->node->driver->amend (io->node, values, false, NULL, NULL, &error);
  answer_error ("amend", error);
}

static void
resize (Io *io, char **w, unsigned n)
{
  VmPreallocation mode = n < 3                        ? VM_PREALLOC_OFF
                         : !strcmp (w[2], "metadata") ? VM_PREALLOC_METADATA
                         : !strcmp (w[2], "falloc")   ? VM_PREALLOC_FALLOC
                                                      : VM_PREALLOC_FULL;
  GError *error = NULL;

  vm_node_truncate (io->node, number (w, n, 1), true, mode, 0, &error);
  answer_error ("resize", error);
}

static void
show_map (Io *io)
{
  for (uint64_t at = 0; at < io->node->size;)
    {
      VmExtent e;
      int status = vm_node_status (io->node, at, io->node->size - at, &e);

      if (status < 0)
        {
          answer_status ("map", status);
          return;
        }
      answer ("%" PRIx64 " %" PRIx64 " %u %" PRIx64, at, e.len, e.flags,
              e.flags & VM_EXTENT_HAS_OFFSET ? e.file_offset : 0);
      at += e.len;
    }
  answer ("map ok");
}

static void
bitmap (Io *io, char **w, unsigned n)
{
  VmNode *node = io->node;
  GError *error = NULL;

  if (n > 3 && !strcmp (w[1], "add")
      && node->driver->bitmap_can_store (node, w[2], (uint32_t) number (w, n, 3), &error))
    {
      VmDirtyBitmap *b = vm_bitmap_new (w[2], node->size, number (w, n, 3));

      b->persistent = true;
      if (!node->bitmaps)
        node->bitmaps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_bitmap_free);
      g_ptr_array_add (node->bitmaps, b);
    }
  else if (n > 2 && !strcmp (w[1], "remove"))
    {
      for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
        if (!strcmp (((VmDirtyBitmap *) node->bitmaps->pdata[i])->name, w[2]))
          g_ptr_array_remove_index (node->bitmaps, i--);
      node->driver->bitmap_remove (node, w[2], &error);
    }
  else if (!strcmp (w[1], "list"))
    for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
      {
        const VmDirtyBitmap *b = node->bitmaps->pdata[i];

        answer ("%s %" PRIu64 " dirty=%" PRIu64 "%s%s%s", b->name, vm_bitmap_granularity (b), vm_bitmap_count (b),
                b->recording ? " recording" : "", b->persistent ? " persistent" : "",
                b->inconsistent ? " inconsistent" : "");
      }
  answer_error ("bitmap", error);
}

static void
command (Io *io, char **w, unsigned n)
{
  if (!strcmp (w[0], "create") && n > 3)
    create_image (io, w, n);
  else if (!strcmp (w[0], "open") && n > 1)
    open_image (io, w, n);
  else if (!io->node)
    answer ("%s failed: nothing is open", w[0]);
  else if (!strcmp (w[0], "close"))
    {
      vm_node_unref (g_steal_pointer (&io->node));
      answer ("close ok");
    }
  else if (!strcmp (w[0], "write") || !strcmp (w[0], "wc") || !strcmp (w[0], "save"))
    write_data (io, w, n);
  else if (!strcmp (w[0], "read") || !strcmp (w[0], "load"))
    read_data (io, w, n);
  else if (!strcmp (w[0], "zero"))
    answer_status (w[0], vm_node_write_zeroes (io->node, number (w, n, 1), number (w, n, 2), n > 3 ? VM_REQ_UNMAP : 0));
  else if (!strcmp (w[0], "discard"))
    answer_status (w[0], vm_node_discard (io->node, number (w, n, 1), number (w, n, 2)));
  else if (!strcmp (w[0], "flush"))
    answer_status (w[0], vm_node_flush (io->node));
  else if (!strcmp (w[0], "empty"))
    answer_status (w[0], io->node->driver->make_empty (io->node));
  else if (!strcmp (w[0], "snap"))
    snapshot (io, w, n);
  else if (!strcmp (w[0], "check"))
    check (io, w, n);
  else if (!strcmp (w[0], "amend"))
    amend (io, w, n);
  else if (!strcmp (w[0], "resize"))
    resize (io, w, n);
  else if (!strcmp (w[0], "bitmap") && n > 1)
    bitmap (io, w, n);
  else if (!strcmp (w[0], "map"))
    show_map (io);
  else if (!strcmp (w[0], "info"))
    {
      json_object *info = io->node->driver->describe (io->node);

      answer ("%s", json_object_to_json_string (info));
      json_object_put (info);
    }
  else
    answer ("%s failed: no such command", w[0]);
}

typedef struct Line
{
  Io *io;
  char *text;
} Line;

static void
run_line (void *opaque)
{
  Line *line = opaque;
  g_auto (GStrv) words = g_strsplit_set (g_strstrip (line->text), " ", -1);

  if (words[0] && *words[0])
    command (line->io, words, g_strv_length (words));
}

static void
run_beside (void *opaque)
{
  Line *line = opaque;
  Io *io = line->io;

  run_line (line);
  g_free (line->text);
  g_free (line);
  io->running--;
  vm_fiber_queue_wake_all (&io->waiting);
}

/* In a fiber; the reading of a line holds up the loop, so lines come in before others are run beside. */
static void
run_script (void *opaque)
{
  Io *io = opaque;
  char text[4096];

  while (fgets (text, sizeof text, stdin))
    {
      if (text[0] == '&')
        {
          Line *line = g_new (Line, 1);

          *line = (Line){ io, g_strdup (text + 1) };
          io->running++;
          vm_fiber_spawn (vm_graph_loop (io->graph), run_beside, line);
        }
      else if (g_str_has_prefix (text, "wait"))
        while (io->running)
          vm_fiber_queue_wait (&io->waiting);
      else
        run_line (&(Line){ io, text });
    }
  while (io->running)
    vm_fiber_queue_wait (&io->waiting);
  if (io->node)
    vm_node_unref (g_steal_pointer (&io->node));
}

extern const VmType vm_secret_type;

/* The secret "sec0" of images that want one. */
static void
add_secret (VmObject *root)
{
  g_autoptr (VmObject) secret = vm_object_new (&vm_secret_type);
  const VmUserObjectClass *klass = vm_type_klass (&vm_secret_type);

  secret->scope = root;
  vm_object_set (secret, "data", "open-sesame", NULL);
  vm_object_add_child (vm_object_container (root, "objects"), "sec0", secret);
  klass->complete (secret, NULL, NULL);
}

int
main (void)
{
  g_autoptr (VmObject) root = vm_object_new (&vm_container_type);
  Io io = { .graph = vm_graph_new (vm_block_drivers, root) };

  add_secret (root);
  vm_graph_call (io.graph, run_script, &io);
  vm_graph_free (io.graph);
  return 0;
}
