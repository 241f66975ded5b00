/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images that are LUKS volumes, the header in front of the data or in a file of its own. */
#include "block/crypto/luks.h"

#include "block/formats/meta.h"

#include <errno.h>

enum
{
  BOUNCE = 1 << 20
};

typedef struct LuksNode
{
  VmLuks *luks;
  VmNode *header; /* that it lies in: "file", or "header" */
  uint64_t payload;
} LuksNode;

static int
node_read (void *opaque, uint64_t offset, void *to, size_t len)
{
  VmNode *node = opaque;

  if (len > node->size || offset > node->size - len)
    return -EIO;
  return vm_node_pread (node, offset, to, len);
}

static int
node_write (void *opaque, uint64_t offset, const void *from, size_t len)
{
  int err = vm_file_grow (opaque, offset, len);

  return err ? err : vm_node_pwrite (opaque, offset, from, len);
}

static int
luks_probe (const uint8_t *head, size_t n, VmNode *file)
{
  return vm_luks_probe (head, n) ? 100 : 0;
}

static bool
luks_open (VmNode *node, const void *opaque, GError **error)
{
  LuksNode *s = node->state;
  const VmqBlockdevOptionsLUKS *options = opaque;
  g_autoptr (GError) why = NULL;

  if (!vm_node_open_child (node, "file", VM_ROLE_DATA | VM_ROLE_METADATA | VM_ROLE_PRIMARY, true, error))
    return false;
  VmEdge *header = vm_node_open_child (node, "header", VM_ROLE_METADATA, false, &why);
  if (why)
    {
      g_propagate_error (error, g_steal_pointer (&why));
      return false;
    }
  s->header = header ? header->node : node->file->node;
  bool io = !(node->open_flags & VM_OPEN_NO_IO);
  if (io && !options->key_secret)
    return vm_fail (error, "Parameter 'key-secret' is required for cipher");
  s->luks = vm_luks_open (&(VmLuksIo){ node_read, node_write, s->header }, vm_graph_objects (node->graph),
                          options->key_secret, error);
  if (!s->luks)
    return false;
  s->payload = vm_luks_payload (s->luks);
  /* A header of its own may say where data would lie behind it. */
  if (header)
    s->payload = 0;
  node->size = node->file->node->size;
  if (node->size < s->payload)
    {
      g_clear_pointer (&s->luks, vm_luks_free);
      return vm_fail (error, "The LUKS volume is cut off: its data begins behind the end");
    }
  node->size = (node->size - s->payload) / VM_CIPHER_SECTOR * VM_CIPHER_SECTOR;
  node->limits.alignment = VM_CIPHER_SECTOR;
  node->encrypted = true;
  return true;
}

static void
luks_close (VmNode *node)
{
  LuksNode *s = node->state;

  vm_luks_free (s->luks);
}

static int
luks_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  LuksNode *s = node->state;
  g_autofree uint8_t *bounce = g_malloc (MIN (BOUNCE, vec.size));

  for (size_t done = 0; done < vec.size;)
    {
      size_t n = MIN (BOUNCE, vec.size - done);
      int err = vm_node_pread (node->file->node, s->payload + offset + done, bounce, n);
      if (err >= 0)
        err = vm_luks_run (s->luks, offset + done, bounce, n, false);
      if (err < 0)
        return err;
      vm_vec_write (vec, done, bounce, n);
      done += n;
    }
  return 0;
}

static int
luks_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  LuksNode *s = node->state;
  g_autofree uint8_t *bounce = g_malloc (MIN (BOUNCE, vec.size));

  for (size_t done = 0; done < vec.size;)
    {
      size_t n = MIN (BOUNCE, vec.size - done);
      vm_vec_read (vec, done, bounce, n);
      int err = vm_luks_run (s->luks, offset + done, bounce, n, true);
      if (err >= 0)
        err = vm_node_pwrite (node->file->node, s->payload + offset + done, bounce, n);
      if (err < 0)
        return err;
      done += n;
    }
  return 0;
}

static int
luks_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  LuksNode *s = node->state;

  if (size > INT64_MAX - s->payload)
    return vm_fail (error, "The requested file size is too large"), -EFBIG;
  int err = vm_node_truncate (node->file->node, size + s->payload, exact, prealloc, flags, error);
  if (err >= 0)
    node->size = size;
  return err;
}

static json_object *
luks_describe (VmNode *node)
{
  LuksNode *s = node->state;
  json_object *result = json_object_new_object ();

  json_object_object_add (result, "type", json_object_new_string ("luks"));
  json_object_object_add (result, "data", vm_luks_describe (s->luks));
  return result;
}

static bool
luks_amend (VmNode *node, const VmCreateValues *values, bool force,
            void (*progress) (void *opaque, uint64_t done, uint64_t total), void *opaque, GError **error)
{
  LuksNode *s = node->state;
  VmLuksAmend amend;

  if (!vm_luks_take_amend (&amend, values, "", error))
    return false;
  amend.force = force;
  return vm_luks_amend (s->luks, &(VmLuksIo){ node_read, node_write, s->header }, vm_graph_objects (node->graph),
                        &amend, error);
}

static const VmCreateOption luks_create_options[] = {
  { "key-secret", 's', NULL, "ID of the secret that provides the keyslot passphrase", false },
  { "cipher-alg", 's', NULL, "Name of encryption cipher algorithm", false },
  { "cipher-mode", 's', NULL, "Name of encryption cipher mode", false },
  { "ivgen-alg", 's', NULL, "Name of IV generator algorithm", false },
  { "ivgen-hash-alg", 's', NULL, "Name of IV generator hash algorithm", false },
  { "hash-alg", 's', NULL, "Name of encryption hash algorithm", false },
  { "detached-header", 'b', NULL, "Create a detached LUKS header", false },
  { "iter-time", 'n', NULL, "Time to spend in PBKDF in milliseconds", true },
  { "keyslot", 'n', NULL, "Select a single keyslot to modify explicitly", true, true },
  { "state", 's', NULL, "Select new state of affected keyslots (active/inactive)", true, true },
  { "new-secret", 's', NULL, "New secret to set in the matching keyslots. Empty string to erase", true, true },
  { "old-secret", 's', NULL, "Select all keyslots that match this password", true, true },
  { 0 },
};

static bool
luks_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
             GError **error)
{
  VmLuksParams params;

  uint64_t payload;

  if (!vm_luks_take_params (&params, values, "", error) || !(payload = vm_luks_measure (&params, error)))
    return false;
  if (size > INT64_MAX - payload)
    return vm_fail (error, "The requested file size is too large");
  const char *secret = vm_create_text (values, "key-secret");
  if (!file)
    return vm_luks_check (&params, vm_graph_objects (graph), secret, error);
  VmLuks *luks = vm_luks_new (&params, vm_graph_objects (graph), secret, error);
  bool ok = luks != NULL;
  if (ok)
    {
      bool detached = vm_create_bool (values, "detached-header");
      uint64_t data = detached ? 0 : VM_ALIGN_UP (size, VM_CIPHER_SECTOR);
      int err = vm_file_grow (file, 0, vm_luks_payload (luks) + data);
      if (detached)
        vm_luks_detach (luks);
      ok = !err || vm_fail (error, "Could not make the LUKS volume: %s", g_strerror (-err));
    }
  ok = ok && vm_luks_write (luks, &(VmLuksIo){ node_read, node_write, file }, error);
  vm_luks_free (luks);
  return ok;
}

static bool
luks_measure (const VmCreateValues *values, uint64_t size, VmNode *source, uint64_t *required, uint64_t *fully,
              uint64_t *bitmaps, GError **error)
{
  VmLuksParams params;
  uint64_t header;

  if (!vm_create_has (values, "key-secret"))
    return vm_fail (error, "Parameter 'key-secret' is required for cipher");
  if (!vm_luks_take_params (&params, values, "", error) || !(header = vm_luks_measure (&params, error)))
    return false;
  size = vm_create_bool (values, "detached-header") ? 0 : VM_ALIGN_UP (source ? source->size : size, VM_CIPHER_SECTOR);
  if (size > INT64_MAX - header)
    return vm_fail (error, "The requested file size is too large");
  *required = *fully = header + size;
  return true;
}

const VmBlockDriver vm_luks_driver = {
  .name = "luks",
  .help = "LUKS encrypted volume",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (LuksNode),
  .probe = luks_probe,
  .open = luks_open,
  .close = luks_close,
  .read = luks_read,
  .write = luks_write,
  .truncate = luks_truncate,
  .create = luks_create,
  .create_options = luks_create_options,
  .measure = luks_measure,
  .amend = luks_amend,
  .describe = luks_describe,
};
