/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports of the virtio console device: "virtserialport", a channel with a name, and "virtconsole", a terminal
 * (OASIS Virtual I/O Device 1.2, 5.3.6). */
#include "devices/virtio/virtio-serial.h"

#include "engine/machine/machine.h"

/* --- from the guest -------------------------------------------------------------------------------------- */

/* An element stays in the queue until all of it is through: what is left is the guest's state alone. */
void
virtio_serial_port_output (VmVirtioSerialPort *port)
{
  VmVirtqElement *e;

  port->out->budget = MAX (port->out->budget, 1);
  while ((e = vm_virtqueue_next (port->out, sizeof *e)))
    {
      bool there = vm_char_fe_connected (&port->chr) && (port->host_open || vm_virtio_serial_is_console (port));

      for (unsigned i = 0; i < e->n_out && there; i++)
        {
          const struct iovec *iov = &vm_virtq_out (e)[i];
          size_t before = vm_iov_size (vm_virtq_out (e), i), skip;

          if (port->sent >= before + iov->iov_len)
            continue;
          skip = port->sent - before;
          port->sent += vm_char_fe_write (&port->chr, (const uint8_t *) iov->iov_base + skip, iov->iov_len - skip);
          if (port->sent < before + iov->iov_len)
            {
              vm_virtqueue_unpop (e); /* until there is room */
              return;
            }
        }
      port->sent = 0;
      vm_virtqueue_push (e, 0);
    }
}

static void
on_writable (void *opaque)
{
  virtio_serial_port_output (opaque);
}

void
virtio_serial_port_guest_open (VmVirtioSerialPort *port, bool open)
{
  VmMachine *machine = port->parent.env->machine;
  const char *id = vm_device_user_id (&port->parent);

  if (port->guest_open == open)
    return;
  port->guest_open = open;
  vm_char_fe_set_open (&port->chr, open || vm_virtio_serial_is_console (port));
  if (machine && id && !vm_virtio_serial_is_console (port))
    vm_machine_emit (machine, "VSERPORT_CHANGE", "{\"id\": \"%s\", \"open\": %s}", id, open ? "true" : "false");
  if (open)
    vm_char_fe_accept_input (&port->chr);
}

/* --- to the guest ---------------------------------------------------------------------------------------- */

void
virtio_serial_port_input (VmVirtioSerialPort *port)
{
  vm_char_fe_accept_input (&port->chr);
}

static size_t
on_can_receive (void *opaque)
{
  VmVirtioSerialPort *port = opaque;
  VmVirtqElement *e;
  size_t room;

  if (!vm_virtio_serial_listening (port) || !(e = vm_virtqueue_pop (port->in, sizeof *e)))
    return 0;
  room = vm_iov_size (vm_virtq_in (e), e->n_in);
  if (room)
    vm_virtqueue_unpop (e);
  else
    vm_virtqueue_push (e, 0);
  return room;
}

static void
on_receive (void *opaque, const uint8_t *buf, size_t len)
{
  VmVirtioSerialPort *port = opaque;
  VmVirtqElement *e;

  while (len && (e = vm_virtqueue_pop (port->in, sizeof *e)))
    {
      size_t n = vm_iov_put (vm_virtq_in (e), e->n_in, 0, buf, len);

      buf += n;
      len -= n;
      vm_virtqueue_push (e, (uint32_t) n);
    }
}

static void
on_event (void *opaque, VmCharEvent event)
{
  VmVirtioSerialPort *port = opaque;

  if (vm_virtio_serial_is_console (port) || (event != VM_CHAR_OPENED && event != VM_CHAR_CLOSED)
      || port->host_open == (event == VM_CHAR_OPENED))
    return;
  port->host_open = event == VM_CHAR_OPENED;
  virtio_serial_tell_open (port);
  virtio_serial_port_output (port); /* with nobody there what waits is for nobody */
}

static const VmCharFeOps port_ops = {
  .can_receive = on_can_receive, .receive = on_receive, .event = on_event, .writable = on_writable,
};

/* --- life ------------------------------------------------------------------------------------------------ */

static bool
port_realize (VmDevice *dev, GError **error)
{
  VmVirtioSerialPort *port = (VmVirtioSerialPort *) dev;

  port->host_open = vm_virtio_serial_is_console (port);
  port->chr.owner = dev->parent.type->name;
  if (!vm_char_fe_attach (&port->chr, dev->env->root, &port_ops, port, error))
    return false;
  vm_char_fe_set_open (&port->chr, vm_virtio_serial_is_console (port));
  return true;
}

static void
port_unrealize (VmDevice *dev)
{
  VmVirtioSerialPort *port = (VmVirtioSerialPort *) dev;

  virtio_serial_port_guest_open (port, false);
  vm_char_fe_detach (&port->chr);
}

/* The other end may have come or gone since the state was saved. */
static bool
port_post_load (VmDevice *dev, GError **error)
{
  VmVirtioSerialPort *port = (VmVirtioSerialPort *) dev;

  vm_char_fe_set_open (&port->chr, port->guest_open || vm_virtio_serial_is_console (port));
  if (port->host_told != port->host_open)
    virtio_serial_tell_open (port);
  vm_char_fe_accept_input (&port->chr);
  return true;
}

static const VmProp port_props[] = {
  VM_PROP ("nr", VmVirtioSerialPort, nr, UINT32_MAX, "number of the port; 4294967295: the first free one"),
  VM_PROP_STRING ("name", VmVirtioSerialPort, name, NULL, "what the guest finds it by"),
  VM_PROP_CUSTOM_KIND ("chardev", VmVirtioSerialPort, chr, &vm_prop_chardev, NULL, "character back end"),
  { 0 }
};

static const VmField port_state[] = {
  VM_FIELD (VmVirtioSerialPort, guest_open),
  VM_FIELD (VmVirtioSerialPort, host_told),
  VM_FIELD (VmVirtioSerialPort, sent),
  { 0 }
};

static const VmDeviceClass port_class = {
  .realize = port_realize, .unrealize = port_unrealize, .post_load = port_post_load,
  .bus_type = VM_VIRTIO_SERIAL_BUS_TYPE, .category = "Input", .user_creatable = true, .hotpluggable = true,
};

const VmType vm_virtio_serial_port_type = {
  .name = "virtio-serial-port", .parent = &vm_device_type, .size = sizeof (VmVirtioSerialPort), .abstract = true,
  .help = "A port of a virtio serial device", .props = port_props, .state = port_state, .klass = &port_class,
};

const VmType vm_virtserialport_type = {
  .name = "virtserialport", .parent = &vm_virtio_serial_port_type, .size = sizeof (VmVirtioSerialPort),
  .help = "A channel to the guest",
};

const VmType vm_virtconsole_type = {
  .name = "virtconsole", .parent = &vm_virtio_serial_port_type, .size = sizeof (VmVirtioSerialPort),
  .help = "A terminal of the guest",
};
