/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A little machine with every kind of saved field. */
#include "tests/engine/state-machine.h"

static const VmField fifo_state[] = {
  VM_FIELD_ARRAY (Fifo, data),
  VM_FIELD (Fifo, head),
  { 0 }
};

#define GADGET_FIELDS                                                                            \
  VM_FIELD (Gadget, mode), VM_FIELD (Gadget, on), VM_FIELD_ARRAY (Gadget, flags),                \
  VM_FIELD (Gadget, big), VM_FIELD_ARRAY (Gadget, table),                                        \
  VM_FIELD_EMBED (Gadget, fifo, fifo_state), VM_FIELD_EMBED_ARRAY (Gadget, fifos, fifo_state),   \
  VM_FIELD_TIMER_OF (Gadget, timer), VM_FIELD_TIMER_OF (Gadget, real_timer),                     \
  VM_FIELD_HEAP (Gadget, heap, heap_size)

static const VmField gadget_v1_state[] = { GADGET_FIELDS, { 0 } };
static const VmField gadget_state[] = { GADGET_FIELDS, VM_FIELD_SINCE (Gadget, newer, 2), { 0 } };

static const VmProp gadget_props[] = {
  VM_PROP ("heap", Gadget, heap_size, 8, "bytes of heap"),
  { 0 }
};

static void
ignore (void *opaque)
{
}

static bool
gadget_realize (VmDevice *dev, GError **error)
{
  Gadget *self = (Gadget *) dev;

  self->heap = g_malloc0 (self->heap_size);
  vm_timer_init (&self->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, ignore, self);
  vm_timer_init (&self->real_timer, dev->env->clocks, VM_CLOCK_REALTIME, ignore, self);
  return true;
}

static void
gadget_unrealize (VmDevice *dev)
{
  Gadget *self = (Gadget *) dev;

  vm_timer_cancel (&self->timer);
  vm_timer_cancel (&self->real_timer);
  g_clear_pointer (&self->heap, g_free);
}

static bool
gadget_post_load (VmDevice *dev, GError **error)
{
  Gadget *self = (Gadget *) dev;

  if (self->mode > 100)
    return vm_fail (error, "mode %u does not exist", self->mode);
  self->derived = self->mode * 2u;
  return true;
}

static const VmDeviceClass gadget_class = {
  .realize = gadget_realize, .unrealize = gadget_unrealize, .post_load = gadget_post_load,
};

const VmType gadget_type = {
  .name = "gadget", .parent = &vm_device_type, .size = sizeof (Gadget), .version = 2,
  .props = gadget_props, .state = gadget_state, .klass = &gadget_class,
};

const VmType gadget_v1_type = {
  .name = "gadget", .parent = &vm_device_type, .size = sizeof (Gadget),
  .props = gadget_props, .state = gadget_v1_state, .klass = &gadget_class,
};

static Gadget *
add_gadget (SmallMachine *machine, const VmType *type, const char *id)
{
  VmDevice *dev = vm_device_new (type);
  bool ok;

  vm_object_set_id (&dev->parent, id);
  ok = vm_device_realize (dev, &machine->env, NULL, NULL);
  g_assert (ok);
  vm_object_unref (&dev->parent);
  return (Gadget *) dev;
}

void
small_machine_init (SmallMachine *machine, const VmType *type)
{
  *machine = (SmallMachine) { 0 };
  machine->env.root = vm_object_new (&vm_container_type);
  machine->env.loop = vm_loop_new ("small", NULL);
  machine->env.clocks = vm_clocks_new (machine->env.loop);
  machine->a = add_gadget (machine, type, "a");
  machine->b = add_gadget (machine, type, "b");
}

void
small_machine_clear (SmallMachine *machine)
{
  vm_device_unrealize (&machine->a->dev);
  vm_device_unrealize (&machine->b->dev);
  vm_clocks_free (machine->env.clocks);
  vm_loop_free (machine->env.loop);
  vm_object_unref (machine->env.root);
}

GByteArray *
small_machine_save (SmallMachine *machine)
{
  GByteArray *array = g_byte_array_new ();
  VmStateWriter writer = { vm_state_write_array, array };
  bool ok = vm_state_write_header (&writer, NULL) &&
            vm_state_write_table (&writer, "fifo", "extra", &machine->extra, fifo_state, 1, NULL) &&
            vm_state_write_objects (&writer, &machine->env, NULL) && vm_state_write_end (&writer, NULL);

  g_assert (ok);
  return array;
}

static bool
load_other (VmStateLoad *load, const VmStateSection *section, void *opaque, GError **error)
{
  SmallMachine *machine = opaque;

  if (strcmp (section->kind, "fifo") != 0)
    return vm_fail (error, "what is this");
  return vm_state_load_table (load, section, &machine->extra, fifo_state, 1, error);
}

bool
small_machine_load (SmallMachine *machine, const uint8_t *data, size_t size, GError **error)
{
  VmStateCursor cursor = { data, size };

  return vm_state_load (vm_state_read_cursor, &cursor, &machine->env, load_other, machine, error);
}
