/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-device loader": puts a number or a file into memory, or sets where a processor begins, at each reset. */
#include "devices/firmware/elf-image.h"

#include "engine/machine/machine.h"
#include "engine/x86/cpu.h"

#define IMAGE_MAX (1 * VM_GIB)

typedef struct Loader {
  VmDevice parent;
  /* properties */
  uint64_t addr, data;
  uint32_t cpu_num; /* UINT32_MAX: none */
  uint8_t  data_len;
  bool     data_be, force_raw;
  char    *file;
  /* what is loaded */
  GBytes  *bytes;
  uint64_t at, entry;
  bool     set_entry;
} Loader;

static bool
take_number (Loader *self, GError **error)
{
  uint8_t out[8];

  if (self->file || self->force_raw)
    return vm_fail (error, "Specifying %s is not supported when loading memory values",
                    self->file ? "a file" : "force-raw");
  if (!self->data_len)
    return vm_fail (error, "Both data and data-len must be specified");
  if (self->data_len > 8)
    return vm_fail (error, "data-len cannot be greater then 8 bytes");
  vm_store_le64 (out, self->data_be ? GUINT64_SWAP_LE_BE (self->data) >> (64 - 8 * self->data_len) : self->data);
  self->bytes = g_bytes_new (out, self->data_len);
  self->at = self->addr;
  return true;
}

/* ELF says itself where it goes; anything else is put at addr. */
static bool
take_file (Loader *self, GError **error)
{
  VmMachine *machine = self->parent.env->machine;
  g_autofree char *path = vm_machine_find_file (machine, self->file);
  g_autofree char *contents = NULL;
  gsize size;

  if (!path || !g_file_get_contents (path, &contents, &size, NULL) || size > IMAGE_MAX)
    return vm_fail (error, "Cannot load specified image %s", self->file);
  self->bytes = g_bytes_new_take (g_steal_pointer (&contents), size);
  self->at = self->entry = self->addr;
  self->set_entry = self->cpu_num != UINT32_MAX;
  if (self->force_raw || !vm_elf_is (self->bytes))
    return true;

  g_auto (VmElfImage) image = { 0 };
  if (!vm_elf_load (self->bytes, IMAGE_MAX, &image, error))
    {
      g_prefix_error (error, "Cannot load specified image %s: ", self->file);
      return false;
    }
  g_bytes_unref (self->bytes);
  self->bytes = g_bytes_new (image.data->data, image.data->len);
  self->at = image.start;
  self->entry = image.entry;
  return true;
}

static void
set_entry (VmVcpu *vcpu, void *opaque)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  cpu->env.rip = ((Loader *) opaque)->entry;
  if (vcpu->accel->ops->state_store)
    vcpu->accel->ops->state_store (vcpu);
}

static void
on_reset (VmMachine *machine, void *opaque)
{
  Loader *self = opaque;

  if (self->bytes)
    vm_as_write_rom (machine->env.memory_as, self->at, g_bytes_get_data (self->bytes, NULL),
                     g_bytes_get_size (self->bytes));
  if (!self->set_entry)
    return;
  for (unsigned i = 0; i < vm_vcpu_set_count (machine->vcpus); i++)
    if (vm_vcpu_set_get (machine->vcpus, i)->index == self->cpu_num)
      vm_vcpu_run (vm_vcpu_set_get (machine->vcpus, i), set_entry, self);
}

static bool
loader_realize (VmDevice *dev, GError **error)
{
  Loader *self = (Loader *) dev;
  VmMachine *machine = dev->env->machine;
  bool ok, found = self->cpu_num == UINT32_MAX;

  for (unsigned i = 0; !found && i < vm_vcpu_set_count (machine->vcpus); i++)
    found = vm_vcpu_set_get (machine->vcpus, i)->index == self->cpu_num;
  if (self->data || self->data_len || self->data_be)
    ok = take_number (self, error);
  else if (self->file)
    ok = take_file (self, error);
  else if (!self->addr)
    ok = vm_fail (error, "please include valid arguments");
  else if (self->cpu_num == UINT32_MAX)
    ok = vm_fail (error, "cpu_num must be specified when setting a program counter");
  else
    {
      ok = self->set_entry = true;
      self->entry = self->addr;
    }
  if (ok && !found)
    ok = vm_fail (error, "Specified boot CPU#%u is nonexistent", self->cpu_num);
  if (ok)
    vm_machine_watch (machine, VM_MACHINE_RESET, on_reset, self);
  else
    g_clear_pointer (&self->bytes, g_bytes_unref);
  return ok;
}

static void
loader_unrealize (VmDevice *dev)
{
  Loader *self = (Loader *) dev;

  vm_machine_unwatch (dev->env->machine, VM_MACHINE_RESET, on_reset, self);
  g_clear_pointer (&self->bytes, g_bytes_unref);
}

static const VmProp loader_props[] = {
  VM_PROP ("addr", Loader, addr, 0, "where to"),
  VM_PROP ("data", Loader, data, 0, "a number"),
  VM_PROP ("data-len", Loader, data_len, 0, "its bytes, 1 to 8"),
  VM_PROP ("data-be", Loader, data_be, false, "the most significant byte comes first"),
  VM_PROP ("cpu-num", Loader, cpu_num, UINT32_MAX, "the processor that begins there"),
  VM_PROP ("force-raw", Loader, force_raw, false, "the file is no image of any kind: its bytes are loaded"),
  VM_PROP_STRING ("file", Loader, file, NULL, "image file"),
  { 0 }
};

static const VmDeviceClass loader_class = {
  .realize = loader_realize, .unrealize = loader_unrealize, .category = "Misc", .user_creatable = true,
};

const VmType vm_loader_type = {
  .name = "loader", .parent = &vm_device_type, .size = sizeof (Loader), .help = "Generic Loader",
  .props = loader_props, .klass = &loader_class,
};
