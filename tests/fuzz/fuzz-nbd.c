/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other end of an NBD connection is anybody: as server it says what it likes in the handshake and to requests, as
 * client it asks for anything. The input: what it sends, for the client in parts, two bytes of length before each. */
#include "block/export/nbd-server.h"
#include "block/protocols/nbd-protocol.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define IS_CLIENT (FUZZ_NBD[0] == 'c')

typedef struct Run
{
  VmBlockGraph *graph;
  const uint8_t *data;
  size_t size;
  int ends[2];
  bool over;
} Run;

static VmNode *
open_node (Run *run, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_strdelimit (text, "'", '"');
  json_object *options = json_tokener_parse (text);
  g_autoptr (GError) error = NULL;
  VmNode *node = vm_node_open (run->graph, options, VM_SCHEMA_JSON, 0, &error);

  g_assert_true (node || (error && *error->message));
  json_object_put (options);
  return node;
}

/* --- a server that is none --------------------------------------------------------------------------------------- */

static void
use_node (void *opaque)
{
  Run *run = opaque;
  VmNode *node
      = open_node (run, "{'driver': 'nbd', 'export': 'e', 'server': {'type': 'fd', 'str': '%d'}}", run->ends[0]);
  g_autofree uint8_t *buffer = g_malloc0 (65536);
  VmExtent extent;

  if (node)
    {
      uint64_t size = MIN (node->size, 65536);
      vm_node_pread (node, 0, buffer, size);
      vm_node_status (node, 0, MAX (size, 1), &extent);
      vm_node_pwrite (node, 0, buffer, MIN (size, 4096));
      vm_node_write_zeroes (node, 0, size, VM_REQ_UNMAP);
      vm_node_discard (node, 0, size);
      vm_node_pread (node, node->size - MIN (size, 512), buffer, MIN (size, 512));
      vm_node_flush (node);
      vm_node_unref (node);
    }
  run->over = true;
}

static void
run_client (void *opaque)
{
  Run *run = opaque;

  vm_fiber_spawn (vm_graph_loop (run->graph), use_node, run);
  for (size_t at = 0; !run->over && at + 2 <= run->size;)
    {
      size_t len = MIN (vm_load_be16 (run->data + at), run->size - at - 2);
      if (send (run->ends[1], run->data + at + 2, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        break;
      at += 2 + len;
      for (unsigned i = 0; i < 4; i++)
        vm_fiber_yield ();
    }
  shutdown (run->ends[1], SHUT_RDWR);
  while (!run->over)
    vm_fiber_yield ();
  close (run->ends[1]); /* the other is the node's */
}

/* --- a client that is none -------------------------------------------------------------------- */

static void
say (void *opaque)
{
  Run *run = opaque;

  for (size_t at = 0; at < run->size && !run->over;)
    {
      ssize_t n = send (run->ends[1], run->data + at, run->size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0)
        at += (size_t) n;
      else if (errno != EAGAIN)
        break;
      vm_fiber_yield ();
    }
  shutdown (run->ends[1], SHUT_WR);
  run->over = true;
}

static void
run_server (void *opaque)
{
  Run *run = opaque;
  VmNode *node = open_node (run, "{'driver': 'null-co', 'size': 1000000, 'read-zeroes': true, 'node-name': 'n'}");
  VmNbdServerOptions how = { .limit = 4 };
  VmNbdExportOptions o
      = { .name = "e", .description = "words", .node = node, .writable = true, .allocation_depth = true };
  VmNbdServer *server = vm_nbd_server_new (run->graph, &how);
  VmStream ears;
  uint8_t byte;

  o.share = VM_PERM_ALL;
  g_assert_true (vm_nbd_server_add (server, &o, NULL));
  vm_nbd_server_accept (server, run->ends[0]);
  vm_fiber_spawn (vm_graph_loop (run->graph), say, run);
  vm_stream_init (&ears, vm_graph_loop (run->graph), run->ends[1]);
  while (vm_stream_read (&ears, &byte, 1))
    ;
  run->over = true;
  vm_fiber_yield ();
  vm_nbd_server_free (server);
  vm_stream_clear (&ears);
  vm_node_unref (node);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Run run = { .data = data, .size = size };

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, run.ends), ==, 0);
  run.graph = vm_graph_new (vm_block_drivers, NULL);
  vm_graph_call (run.graph, IS_CLIENT ? run_client : run_server, &run);
  vm_graph_free (run.graph);
}

/* --- input that gets somewhere ---------------------------------------------------------------- */

static void
put (GByteArray *out, unsigned bytes, uint64_t value)
{
  uint8_t data[8];

  vm_store_be64 (data, value);
  g_byte_array_append (out, data + 8 - bytes, bytes);
}

static void
put_reply (GByteArray *out, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
  put (out, 8, NBD_MAGIC_OPTION_REPLY);
  put (out, 4, option);
  put (out, 4, type);
  put (out, 4, len);
  g_byte_array_append (out, data, len);
}

/* One part, its length before it, some of its bytes changed. */
static void
put_part (GRand *rand, GByteArray *out, GByteArray *part, unsigned damage)
{
  for (unsigned i = 0; part->len && i < damage; i++)
    part->data[g_rand_int_range (rand, 0, (gint32) part->len)] = (uint8_t) g_rand_int (rand);
  put (out, 2, part->len);
  g_byte_array_append (out, part->data, part->len);
  g_byte_array_set_size (part, 0);
}

static void
make_server (GRand *rand, GByteArray *out)
{
  static const uint8_t context[] = "\0\0\0\1base:allocation";
  static const uint8_t export[] = { 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x0d, 0xed };
  static const uint8_t blocks[] = { 0, 3, 0, 0, 0, 1, 0, 0, 16, 0, 2, 0, 0, 0 };
  unsigned damage = (unsigned) g_rand_int_range (rand, 0, 3);
  g_autoptr (GByteArray) part = g_byte_array_new ();

  put (part, 8, NBD_MAGIC_INIT);
  put (part, 8, NBD_MAGIC_OPTION);
  put (part, 2, 3);
  put_reply (part, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK, "", 0);
  put_reply (part, NBD_OPT_SET_META_CONTEXT, NBD_REP_META_CONTEXT, context, sizeof context - 1);
  put_reply (part, NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK, "", 0);
  put_reply (part, NBD_OPT_GO, NBD_REP_INFO, export, sizeof export);
  put_reply (part, NBD_OPT_GO, NBD_REP_INFO, blocks, sizeof blocks);
  put_reply (part, NBD_OPT_GO, NBD_REP_ACK, "", 0);
  put_part (rand, out, part, g_rand_int_range (rand, 0, 4) ? 0 : damage);
  for (unsigned i = 0; i < 7; i++)
    {
      static const uint16_t types[]
          = { NBD_CHUNK_NONE, NBD_CHUNK_DATA, NBD_CHUNK_HOLE, NBD_CHUNK_STATUS, NBD_CHUNK_ERROR };
      unsigned type = types[g_rand_int_range (rand, 0, G_N_ELEMENTS (types))];
      put (part, 4, g_rand_int_range (rand, 0, 4) ? NBD_MAGIC_STRUCTURED : NBD_MAGIC_SIMPLE);
      put (part, 2, (unsigned) g_rand_int_range (rand, 0, 2));
      put (part, 2, type);
      put (part, 8, i * 16);
      put (part, 4, type == NBD_CHUNK_DATA ? 8 + 65536 : type == NBD_CHUNK_NONE ? 0 : 12);
      put (part, 8, type == NBD_CHUNK_STATUS ? UINT64_C (1) << 32 | 4096 : 0);
      put (part, 4, 65536);
      put_part (rand, out, part, damage);
    }
}

static void
make_client (GRand *rand, GByteArray *out)
{
  put (out, 4, 3);
  for (int i = g_rand_int_range (rand, 0, 5); i >= 0; i--)
    {
      static const uint8_t options[] = { 2, 3, 5, 6, 7, 8, 9, 10, 99 };
      unsigned option = i ? options[g_rand_int_range (rand, 0, sizeof options)] : NBD_OPT_GO;
      bool named = option == 6 || option == 7;
      put (out, 8, NBD_MAGIC_OPTION);
      put (out, 4, option);
      put (out, 4, named ? 7 : option == 9 || option == 10 ? 9 + 4 + 15 : 0);
      if (named || option == 9 || option == 10)
        {
          put (out, 4, 1);
          put (out, 1, 'e');
        }
      if (named)
        put (out, 2, 0);
      else if (option == 9 || option == 10)
        {
          put (out, 4, 1);
          put (out, 4, 15);
          g_byte_array_append (out, (const guint8 *) "base:allocation", 15);
        }
    }
  for (int i = g_rand_int_range (rand, 1, 20); i > 0; i--)
    {
      uint16_t type = (uint16_t) g_rand_int_range (rand, 0, 9);
      uint32_t len = g_rand_int_range (rand, 0, 10) ? (uint32_t) g_rand_int_range (rand, 0, 70000) : g_rand_int (rand);
      put (out, 4, NBD_MAGIC_REQUEST);
      put (out, 2, g_rand_int_range (rand, 0, 3) ? 0 : g_rand_int (rand) & 31);
      put (out, 2, type);
      put (out, 8, (uint64_t) i);
      put (out, 8, (uint64_t) g_rand_int_range (rand, 0, 1000000));
      put (out, 4, len);
      if (type == NBD_CALL_WRITE)
        g_byte_array_set_size (out, out->len + MIN (len, 100000));
    }
  for (int i = g_rand_int_range (rand, 0, 3); i > 0; i--)
    out->data[g_rand_int_range (rand, 0, (gint32) out->len)] = (uint8_t) g_rand_int (rand);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  if (IS_CLIENT)
    make_server (rand, input);
  else
    make_client (rand, input);
}
