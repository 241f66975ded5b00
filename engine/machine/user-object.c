/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object: making them, and the memory back ends. */
#include "engine/machine/user-object.h"

#include "engine/machine/machine-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static bool
set_props (VmObject *obj, const VmKeyVals *props, GError **error)
{
  const VmUserObjectClass *klass = vm_type_klass (obj->type);

  for (guint i = 0; i < props->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (props->pairs, i);
      bool mine = false;
      if (klass->set && !klass->set (obj, pair->key, pair->value, &mine, error))
        return false;
      if (mine)
        continue;
      if (!vm_type_find_prop (obj->type, pair->key, NULL))
        return vm_fail (error, "Parameter '%s' is unexpected", pair->key);
      if (!vm_object_set (obj, pair->key, pair->value, error))
        return false;
    }
  return true;
}

VmObject *
vm_machine_add_object (VmMachine *m, const VmDeviceSpec *spec, GError **error)
{
  const VmType *type = vm_type_find (m->types, spec->driver);

  if (!type || type->abstract || !vm_type_is_a (type, &vm_user_object_type))
    {
      vm_fail (error, "Parameter 'qom-type' does not accept value '%s'", spec->driver);
      return NULL;
    }
  if (!spec->id)
    {
      vm_fail (error, "Parameter 'id' is missing");
      return NULL;
    }
  if (vm_object_child (m->objects, spec->id))
    {
      vm_fail (error, "attempt to add duplicate property '%s' to object (type 'container')", spec->id);
      return NULL;
    }
  const VmUserObjectClass *klass = vm_type_klass (type);
  g_autoptr (VmObject) obj = vm_object_new (type);
  obj->scope = m->env.root;
  vm_machine_apply_defaults (m, obj);
  if (!set_props (obj, spec->props, error))
    return NULL;
  vm_object_add_child (m->objects, spec->id, obj);
  if (klass->complete && !klass->complete (obj, m, error))
    {
      vm_object_remove_child (obj);
      return NULL;
    }
  obj->frozen = true;
  return obj;
}

static bool
is_late (const VmType *type)
{
  const VmUserObjectClass *klass = type && vm_type_is_a (type, &vm_user_object_type) ? vm_type_klass (type) : NULL;

  return klass && klass->late;
}

bool
vm_machine_create_objects (VmMachine *m, bool late, GError **error)
{
  static const char *const documented[] = {
    "iommufd",
    "rng-builtin",
    "rng-random",
    "rng-egd",
    "tls-creds-anon",
    "tls-creds-psk",
    "tls-creds-x509",
    "tls-cipher-suites",
    "filter-buffer",
    "filter-mirror",
    "filter-redirector",
    "filter-rewriter",
    "filter-dump",
    "filter-replay",
    "colo-compare",
    "cryptodev-backend-builtin",
    "cryptodev-backend-lkcf",
    "cryptodev-vhost-user",
    "secret",
    "secret_keyring",
    "sev-guest",
    "sev-snp-guest",
    "authz-simple",
    "authz-list",
    "authz-listfile",
    "authz-pam",
    "iothread",
    "main-loop",
    "throttle-group",
    "thread-context",
    "input-linux",
    "input-barrier",
    "can-bus",
    "can-host-socketcan",
    "dbus-vmstate",
    "pr-manager-helper",
    "qtest",
    "x-remote-object",
    "memory-backend-shm",
    "memory-backend-epc",
    NULL,
  };

  for (guint i = 0; i < m->settings->objects->len; i++)
    {
      const VmDeviceSpec *spec = g_ptr_array_index (m->settings->objects, i);
      bool known = g_strv_contains (documented, spec->driver);
      const VmType *type = vm_type_find (m->types, spec->driver);
      if (is_late (type) != late)
        continue;
      bool ok = type || !known ? vm_machine_add_object (m, spec, error) != NULL
                                                                : vm_fail (error, "not available in this build");
      if (!ok)
        {
          g_prefix_error (error, "%s: ", spec->text);
          return false;
        }
    }
  return true;
}

/* --- memory back ends --- */

static const VmProp memory_props[]
    = { VM_PROP_BYTES ("size", VmMemoryBackend, size, 0, "bytes"),
        VM_PROP ("share", VmMemoryBackend, share, false, "other processes see what is written"),
        VM_PROP ("prealloc", VmMemoryBackend, prealloc, false, "take all host memory at once"),
        VM_PROP ("merge", VmMemoryBackend, merge, true, "the host may merge equal pages"),
        VM_PROP ("dump", VmMemoryBackend, dump, true, "part of core dumps of the host"),
        VM_PROP ("reserve", VmMemoryBackend, reserve, true, "reserve swap space"),
        { 0 } };

static const VmProp file_props[]
    = { VM_PROP_STRING ("mem-path", VmMemoryBackend, mem_path, NULL, "file, or folder for an unnamed file"), { 0 } };

static int
open_backing (const VmMemoryBackend *self, GError **error)
{
  bool folder = g_file_test (self->mem_path, G_FILE_TEST_IS_DIR);
  int fd = folder ? open (self->mem_path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                  : open (self->mem_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  off_t end = fd >= 0 ? lseek (fd, 0, SEEK_END) : -1;

  if (fd < 0 || (end < (off_t) self->size && ftruncate (fd, self->size) != 0))
    {
      vm_fail (error, "can't open backing store %s for guest RAM: %s", self->mem_path, g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return -1;
    }
  return fd;
}

static bool
memory_complete (VmObject *obj, VmMachine *m, GError **error)
{
  VmMemoryBackend *self = (VmMemoryBackend *) obj;

  if (!self->size)
    return vm_fail (error, "Parameter 'size' is missing");
  self->size = VM_ALIGN_UP (self->size, VM_PAGE_SIZE);
  if (vm_type_find_prop (obj->type, "mem-path", NULL))
    {
      if (!self->mem_path)
        return vm_fail (error, "Parameter 'mem-path' is missing");
      int fd = open_backing (self, error);
      if (fd < 0)
        return false;
      self->block = vm_ram_block_new_fd (m->env.memory, obj->id, fd, self->size, self->share, error);
    }
  else
    {
      self->block = vm_ram_block_new (m->env.memory, obj->id, self->size, error);
    }
  if (!self->block)
    return false;
  if (!self->dump)
    (void) madvise (self->block->host, self->size, MADV_DONTDUMP);
  if (self->merge)
    (void) madvise (self->block->host, self->size, MADV_MERGEABLE);
#ifdef MADV_POPULATE_WRITE
  if (self->prealloc && madvise (self->block->host, self->size, MADV_POPULATE_WRITE) != 0 && errno != EINVAL)
    return vm_fail (error, "cannot preallocate memory: %s", g_strerror (errno));
#endif
  return true;
}

static void
memory_finalize (VmObject *obj)
{
  VmMemoryBackend *self = (VmMemoryBackend *) obj;

  g_clear_pointer (&self->block, vm_ram_block_unref);
}

static bool
memory_can_go (VmObject *obj)
{
  return !((VmMemoryBackend *) obj)->in_use;
}

static const VmUserObjectClass memory_class = { .complete = memory_complete, .can_go = memory_can_go };

const VmType vm_memory_backend_type = {
  .name = "memory-backend",
  .parent = &vm_user_object_type,
  .size = sizeof (VmMemoryBackend),
  .help = "memory for guests",
  .abstract = true,
  .props = memory_props,
  .klass = &memory_class,
  .finalize = memory_finalize,
};

const VmType vm_memory_backend_ram_type = {
  .name = "memory-backend-ram",
  .parent = &vm_memory_backend_type,
  .size = sizeof (VmMemoryBackend),
  .help = "anonymous memory",
};

const VmType vm_memory_backend_memfd_type = {
  .name = "memory-backend-memfd",
  .parent = &vm_memory_backend_type,
  .size = sizeof (VmMemoryBackend),
  .help = "memory of a memfd",
};

const VmType vm_memory_backend_file_type = {
  .name = "memory-backend-file",
  .parent = &vm_memory_backend_type,
  .size = sizeof (VmMemoryBackend),
  .help = "memory of a file",
  .props = file_props,
};

VmMemoryBackend *
vm_memory_backend_claim (VmMachine *m, const char *id, GError **error)
{
  VmObject *obj = vm_object_child (m->objects, id);

  if (!obj || !vm_object_is_a (obj, &vm_memory_backend_type))
    {
      vm_fail (error, "Memory backend '%s' not found", id);
      return NULL;
    }
  VmMemoryBackend *self = (VmMemoryBackend *) obj;
  if (self->in_use)
    {
      vm_fail (error, "memory backend '%s' can't be used multiple times", id);
      return NULL;
    }
  self->in_use = true;
  return self;
}
