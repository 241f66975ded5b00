/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory back ends: where their bytes come from, on which host nodes they lie, whether they are there at once. */
#include "engine/machine/memory-backend.h"

#include "engine/base/log.h"
#include "engine/machine/number-list.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif
#define MAX_THREADS 1024

const char *const vm_host_mem_policy_names[] = { "default", "preferred", "bind", "interleave", NULL };

/* --- host-nodes: "0-3" or a list of such --- */

static bool
add_nodes (VmMemoryBackend *self, const char *text, GError **error)
{
  return vm_number_list_add (self->host_nodes, VM_HOST_NODES, "host-nodes", text, error);
}

static bool
nodes_set (VmObject *obj, void *field, const char *text, GError **error)
{
  VmMemoryBackend *self = (VmMemoryBackend *) obj;

  memset (self->host_nodes, 0, sizeof self->host_nodes);
  return add_nodes (self, text, error);
}

static char *
nodes_get (VmObject *obj, const void *field)
{
  return vm_number_list_text (field, VM_HOST_NODES);
}

static void
nodes_clear (VmObject *obj, void *field)
{
}

static const VmPropCustom nodes_prop
    = { .type_name = "int", .set = nodes_set, .get = nodes_get, .clear = nodes_clear };

/* "host-nodes.0": the dotted form of a list. */
static bool
memory_set (VmObject *obj, const char *key, const char *value, bool *mine, GError **error)
{
  *mine = g_str_has_prefix (key, "host-nodes.");
  return !*mine || add_nodes ((VmMemoryBackend *) obj, value, error);
}

/* --- properties --- */

static const VmProp memory_props[] = {
  VM_PROP_BYTES ("size", VmMemoryBackend, size, 0, "bytes"),
  VM_PROP ("share", VmMemoryBackend, share, false, "other processes see what is written"),
  VM_PROP ("prealloc", VmMemoryBackend, prealloc, false, "take all host memory at once"),
  VM_PROP ("prealloc-threads", VmMemoryBackend, prealloc_threads, 1, "threads that do so"),
  VM_PROP_LINK_TO ("prealloc-context", VmMemoryBackend, prealloc_context, &vm_thread_context_type,
                   "where those threads come from"),
  VM_PROP ("merge", VmMemoryBackend, merge, true, "the host may merge equal pages"),
  VM_PROP ("dump", VmMemoryBackend, dump, true, "part of core dumps of the host"),
  VM_PROP ("reserve", VmMemoryBackend, reserve, true, "reserve swap space"),
  VM_PROP_CUSTOM_KIND ("host-nodes", VmMemoryBackend, host_nodes, &nodes_prop, NULL, "host NUMA nodes"),
  VM_PROP_ENUMERATED ("policy", VmMemoryBackend, policy, MPOL_DEFAULT, vm_host_mem_policy_names, "host NUMA policy"),
  VM_PROP ("x-use-canonical-path-for-ramblock-id", VmMemoryBackend, canonical_name, false,
           "the block is named by the object's path"),
  { 0 }
};

static const VmProp file_props[] = {
  VM_PROP_STRING ("mem-path", VmMemoryBackend, mem_path, NULL, "file, or folder for an unnamed file"),
  VM_PROP_BYTES ("align", VmMemoryBackend, align, 0, "alignment of the mapping"),
  VM_PROP_BYTES ("offset", VmMemoryBackend, offset, 0, "where in the file it begins"),
  VM_PROP ("discard-data", VmMemoryBackend, discard_data, false, "nothing of it needs to last: drop it at the end"),
  VM_PROP ("pmem", VmMemoryBackend, pmem, false, "the file is persistent memory"),
  VM_PROP ("readonly", VmMemoryBackend, readonly, false, "open the file for reading only"),
  VM_PROP_AUTO ("rom", VmMemoryBackend, rom, VM_ONOFFAUTO_AUTO, "the guest cannot write it; auto: as readonly"),
  { 0 }
};

static const VmProp memfd_props[] = {
  VM_PROP ("share", VmMemoryBackend, share, true, "other processes see what is written"),
  VM_PROP ("hugetlb", VmMemoryBackend, hugetlb, false, "of huge pages"),
  VM_PROP_BYTES ("hugetlbsize", VmMemoryBackend, hugetlbsize, 0, "their size"),
  VM_PROP ("seal", VmMemoryBackend, seal, true, "its size cannot change any more"),
  { 0 }
};

static const VmProp shm_props[] = {
  VM_PROP ("share", VmMemoryBackend, share, true, "other processes see what is written"), { 0 }
};

bool
vm_memory_backend_is_rom (const VmMemoryBackend *self)
{
  return self->rom == VM_ONOFFAUTO_ON || (self->rom == VM_ONOFFAUTO_AUTO && self->readonly);
}

/* --- descriptors --- */

/* A file that is too short grows, one with contents is kept. */
static int
file_open (const VmMemoryBackend *self, GError **error)
{
  bool folder = g_file_test (self->mem_path, G_FILE_TEST_IS_DIR);
  int access = self->readonly ? O_RDONLY : O_RDWR;
  int fd = folder && !self->readonly ? open (self->mem_path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                                     : open (self->mem_path, access | (self->readonly ? 0 : O_CREAT) | O_CLOEXEC, 0644);
  off_t end = fd >= 0 ? lseek (fd, 0, SEEK_END) : -1;
  bool ok = fd >= 0 || vm_fail (error, "can't open backing store %s for guest RAM: %s", self->mem_path,
                                g_strerror (errno));

  if (ok && end > 0 && (uint64_t) end < self->offset + self->size)
    ok = vm_fail (error,
                  "backing store size 0x%" G_GINT64_MODIFIER "x does not match 'size' option 0x%" G_GINT64_MODIFIER "x",
                  (uint64_t) end, self->size);
  else if (ok && end <= 0 && ftruncate (fd, (off_t) (self->offset + self->size)) != 0)
    ok = vm_fail (error, "can't resize backing store %s for guest RAM: %s", self->mem_path, g_strerror (errno));
  if (ok)
    return fd;
  if (fd >= 0)
    close (fd);
  return -1;
}

static int
memfd_open (const VmMemoryBackend *self, GError **error)
{
  unsigned flags = MFD_CLOEXEC | (self->seal ? MFD_ALLOW_SEALING : 0) | (self->hugetlb ? MFD_HUGETLB : 0);

  if (self->hugetlb && self->hugetlbsize)
    {
      if (self->hugetlbsize & (self->hugetlbsize - 1))
        {
          vm_fail (error, "Hugepage size must be a power of 2");
          return -1;
        }
      flags |= (unsigned) __builtin_ctzll (self->hugetlbsize) << MFD_HUGE_SHIFT;
    }
  int fd = memfd_create (self->parent.type->name, flags);
  if (fd < 0)
    vm_fail (error, "failed to create memfd: %s", g_strerror (errno));
  else if (ftruncate (fd, (off_t) self->size) != 0)
    vm_fail (error, "failed to resize memfd to %" G_GUINT64_FORMAT ": %s", self->size, g_strerror (errno));
  else if (self->seal && fcntl (fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    vm_fail (error, "failed to add seals 0x%x: %s", F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, g_strerror (errno));
  else
    return fd;
  if (fd >= 0)
    close (fd);
  return -1;
}

/* POSIX shared memory whose name is gone before anybody could guess it. */
static int
shm_open_unnamed (const VmMemoryBackend *self, GError **error)
{
  g_autofree char *name = g_strdup_printf ("/vitrine-%d-%08x", (int) getpid (), g_random_int ());
  int fd = shm_open (name, O_RDWR | O_CREAT | O_EXCL, 0600);

  if (fd < 0)
    {
      vm_fail (error, "failed to create POSIX shared memory: %s", g_strerror (errno));
      return -1;
    }
  shm_unlink (name);
  if (ftruncate (fd, (off_t) self->size) == 0)
    return fd;
  vm_fail (error, "failed to resize POSIX shared memory to %" G_GUINT64_FORMAT ": %s", self->size, g_strerror (errno));
  close (fd);
  return -1;
}

/* --- host nodes and preallocation --- */

static bool
check_policy (const VmMemoryBackend *self, GError **error)
{
  bool any = self->host_nodes[0] | self->host_nodes[1];

  if (any && self->policy == MPOL_DEFAULT)
    return vm_fail (error, "host-nodes must be empty for policy default, or you should explicitly specify a policy "
                           "other than default");
  if (!any && self->policy != MPOL_DEFAULT)
    return vm_fail (error, "host-nodes must be set for policy %s", vm_host_mem_policy_names[self->policy]);
  return true;
}

static bool
bind_to_nodes (const VmMemoryBackend *self, GError **error)
{
  _Static_assert (sizeof (unsigned long) == sizeof (uint64_t), "the mask is handed over as it is");

  if (self->policy == MPOL_DEFAULT
      || syscall (SYS_mbind, self->block->host, self->block->size, self->policy, self->host_nodes,
                  (unsigned long) VM_HOST_NODES + 1, MPOL_MF_STRICT | MPOL_MF_MOVE) == 0)
    return true;
  return vm_fail (error, "cannot bind memory to host NUMA nodes: %s", g_strerror (errno));
}

typedef struct Slice
{
  uint8_t *host;
  size_t size;
  int error;
} Slice;

static gpointer
populate (gpointer data)
{
  Slice *s = data;

#ifdef MADV_POPULATE_WRITE
  if (madvise (s->host, s->size, MADV_POPULATE_WRITE) == 0)
    return NULL;
  s->error = errno;
  if (errno != EINVAL)
    return NULL;
#endif
  /* An older kernel: a write of what is there already brings the page in. */
  s->error = 0;
  for (size_t at = 0; at < s->size; at += VM_PAGE_SIZE)
    __atomic_fetch_or (s->host + at, 0, __ATOMIC_RELAXED);
  return NULL;
}

static bool
preallocate (const VmMemoryBackend *self, GError **error)
{
  uint64_t pages = self->block->size / VM_PAGE_SIZE;
  unsigned n = (unsigned) MIN (MIN (self->prealloc_threads, MAX_THREADS), pages);
  g_autofree Slice *slices = g_new0 (Slice, n);
  g_autofree GThread **threads = g_new0 (GThread *, n);
  int failed = 0;

  for (unsigned i = 0; i < n; i++)
    {
      uint64_t from = pages * i / n * VM_PAGE_SIZE, to = pages * (i + 1) / n * VM_PAGE_SIZE;
      slices[i] = (Slice){ .host = self->block->host + from, .size = to - from };
      if (self->prealloc_context)
        threads[i] = vm_thread_context_spawn (self->prealloc_context, populate, &slices[i]);
      else
        threads[i] = n > 1 ? g_thread_try_new (NULL, populate, &slices[i], NULL) : NULL;
      if (!threads[i])
        populate (&slices[i]);
    }
  for (unsigned i = 0; i < n; i++)
    {
      if (threads[i])
        g_thread_join (threads[i]);
      failed = failed ? failed : slices[i].error;
    }
  return !failed || vm_fail (error, "qemu_prealloc_mem: preallocating memory failed: %s", g_strerror (failed));
}

/* --- making it --- */

/* What the pages of a persistent memory device promise can be had only from such a device. */
static void
warn_of_pmem (const VmMemoryBackend *self, int fd)
{
  void *page = self->pmem && self->share
                   ? mmap (NULL, VM_PAGE_SIZE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, (off_t) self->offset)
                   : NULL;

  if (page == MAP_FAILED)
    vm_report_warning ("requesting persistence across crashes for backend file %s failed. Proceeding without "
                       "persistence, data might become corrupted in case of host crash.",
                       self->mem_path);
  else if (page)
    munmap (page, VM_PAGE_SIZE);
}

static bool
check_file (const VmMemoryBackend *self, GError **error)
{
  if (!self->mem_path)
    return vm_fail (error, "Parameter 'mem-path' is missing");
  if (self->align % VM_PAGE_SIZE)
    return vm_fail (error, "alignment 0x%" G_GINT64_MODIFIER "x must be multiples of page size 0x%x", self->align,
                    (unsigned) VM_PAGE_SIZE);
  if (self->align & (self->align - 1))
    return vm_fail (error, "alignment 0x%" G_GINT64_MODIFIER "x must be a power of two", self->align);
  if (self->offset % VM_PAGE_SIZE)
    return vm_fail (error, "offset 0x%" G_GINT64_MODIFIER "x must be multiples of page size 0x%x", self->offset,
                    (unsigned) VM_PAGE_SIZE);
  if (self->offset > INT64_MAX - self->size)
    return vm_fail (error, "offset 0x%" G_GINT64_MODIFIER "x is too big", self->offset);
  if (self->readonly && self->rom == VM_ONOFFAUTO_OFF && self->share)
    return vm_fail (error, "Cannot create writable RAM backed by share=on readonly memory");
  if (!self->readonly && self->rom == VM_ONOFFAUTO_ON)
    return vm_fail (error, "property 'rom' = 'on' is not supported with 'readonly' = 'off'");
  return true;
}

/* -1 without ERROR: anonymous memory. */
static bool
open_source (VmMemoryBackend *self, VmMachine *m, int *fd, GError **error)
{
  const char *name = self->parent.type->name;

  *fd = -1;
  if (!strcmp (name, "memory-backend-file"))
    *fd = check_file (self, error) ? file_open (self, error) : -1;
  else if (!strcmp (name, "memory-backend-shm"))
    *fd = self->share ? shm_open_unnamed (self, error)
                      : (vm_fail (error, "'%s' objects require 'share' option to be 'on'", name), -1);
  else if (!strcmp (name, "memory-backend-memfd"))
    *fd = memfd_open (self, error);
  else
    return !self->share || (*fd = memfd_create (name, MFD_CLOEXEC)) < 0 || ftruncate (*fd, (off_t) self->size) == 0
           || (close (*fd), vm_fail (error, "cannot set up guest memory '%s': %s", self->parent.id, g_strerror (errno)));
  return *fd >= 0;
}

static bool
memory_complete (VmObject *obj, VmMachine *m, GError **error)
{
  VmMemoryBackend *self = (VmMemoryBackend *) obj;
  int fd;

  if (!self->size)
    return vm_fail (error, "Parameter 'size' is missing");
  if (self->size > INT64_MAX - VM_PAGE_SIZE)
    return vm_fail (error, "cannot set up guest memory '%s': invalid size", obj->id);
  if (!self->prealloc_threads)
    return vm_fail (error, "property 'prealloc-threads' of %s doesn't take value '0'", obj->type->name);
  if (self->prealloc && !self->reserve)
    return vm_fail (error, "'prealloc=on' and 'reserve=off' are incompatible");
  if (!check_policy (self, error))
    return false;
  self->size = VM_ALIGN_UP (self->size, VM_PAGE_SIZE);
  if (!open_source (self, m, &fd, error))
    return false;
  /* A file that is only read is mapped privately: whatever loads something there changes the guest's copy. */
  const VmRamMap map
      = { .shared = self->share && !self->readonly, .reserve = self->reserve, .offset = self->offset, .align = self->align };
  g_autofree char *path = self->canonical_name ? vm_object_path (obj) : g_strdup (obj->id);
  self->block = vm_ram_block_new_map (m->env.memory, path, fd, self->size, &map, error);
  if (!self->block)
    {
      if (fd >= 0)
        close (fd);
      return false;
    }
  if (!self->dump)
    (void) madvise (self->block->host, self->block->size, MADV_DONTDUMP);
  if (self->merge)
    (void) madvise (self->block->host, self->block->size, MADV_MERGEABLE);
  warn_of_pmem (self, fd);
  return bind_to_nodes (self, error) && (!self->prealloc || preallocate (self, error));
}

static void
memory_finalize (VmObject *obj)
{
  VmMemoryBackend *self = (VmMemoryBackend *) obj;

  if (self->block && self->discard_data && self->block->shared)
    (void) madvise (self->block->host, self->block->size, MADV_REMOVE);
  g_clear_pointer (&self->block, vm_ram_block_unref);
}

static bool
memory_can_go (VmObject *obj)
{
  return !((VmMemoryBackend *) obj)->in_use;
}

static const VmUserObjectClass memory_class
    = { .complete = memory_complete, .can_go = memory_can_go, .set = memory_set };

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
  .props = memfd_props,
};

const VmType vm_memory_backend_shm_type = {
  .name = "memory-backend-shm",
  .parent = &vm_memory_backend_type,
  .size = sizeof (VmMemoryBackend),
  .help = "POSIX shared memory",
  .props = shm_props,
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
      vm_fail (error, "memory backend %s can't be used multiple times.", id);
      return NULL;
    }
  self->in_use = true;
  return self;
}

void
vm_memory_backend_release (VmMemoryBackend *self)
{
  self->in_use = false;
}
