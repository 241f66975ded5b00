/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The console device (OASIS Virtual I/O Device 1.2, 5.3): its bus of ports, the control queues, its front on PCI. */
#include "devices/virtio/virtio-pci.h"
#include "devices/virtio/virtio-serial.h"

#include "engine/base/log.h"

enum { F_MULTIPORT = 1, F_EMERG_WRITE = 2 };
enum { CFG_MAX_PORTS = 4, CFG_EMERG_WRITE = 8, CFG_SIZE = 12 };
enum { DEVICE_READY, DEVICE_ADD, DEVICE_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };
enum { MESSAGE_SIZE = 8, QUEUE_SIZE = 128, CONTROL_SIZE = 32 };
#define MESSAGES_MAX 4096 /* that wait: a driver that asks and does not listen loses the rest */

/* --- control --------------------------------------------------------------------------------------------- */

static void
flush_messages (VmVirtioSerial *s)
{
  VmVirtqElement *e;

  while (!g_queue_is_empty (&s->messages) && (e = vm_virtqueue_pop (s->control_in, sizeof *e)))
    {
      g_autoptr (GBytes) message = g_queue_pop_head (&s->messages);
      gsize size;
      const void *data = g_bytes_get_data (message, &size);

      vm_virtqueue_push (e, (uint32_t) vm_iov_put (vm_virtq_in (e), e->n_in, 0, data, size));
    }
}

static void
send_message (VmVirtioSerial *s, uint32_t port, uint16_t event, uint16_t value, const char *text)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  uint8_t message[MESSAGE_SIZE];

  if (!s->ready || !vm_virtio_has (&s->parent, F_MULTIPORT) || g_queue_get_length (&s->messages) >= MESSAGES_MAX)
    return;
  vm_store_le32 (message, port);
  vm_store_le16 (message + 4, event);
  vm_store_le16 (message + 6, value);
  g_byte_array_append (bytes, message, sizeof message);
  if (text)
    g_byte_array_append (bytes, (const uint8_t *) text, (guint) strlen (text) + 1);
  g_queue_push_tail (&s->messages, g_byte_array_free_to_bytes (g_steal_pointer (&bytes)));
  flush_messages (s);
}

static VmVirtioSerial *
serial_of (const VmVirtioSerialPort *port)
{
  return (VmVirtioSerial *) port->parent.bus->owner;
}

void
virtio_serial_tell_open (VmVirtioSerialPort *port)
{
  if (!serial_of (port)->ready) /* it is told when it is */
    return;
  port->host_told = port->host_open;
  send_message (serial_of (port), port->nr, PORT_OPEN, port->host_open, NULL);
}

bool
vm_virtio_serial_is_console (const VmVirtioSerialPort *port)
{
  return strcmp (port->parent.parent.type->name, "virtconsole") == 0;
}

bool
vm_virtio_serial_listening (const VmVirtioSerialPort *port)
{
  const VmVirtioSerial *s = serial_of (port);

  return vm_virtio_running (&s->parent) && (port->guest_open || !vm_virtio_has (&s->parent, F_MULTIPORT));
}

static void
port_is_ready (VmVirtioSerial *s, VmVirtioSerialPort *port)
{
  if (vm_virtio_serial_is_console (port))
    send_message (s, port->nr, CONSOLE_PORT, 1, NULL);
  if (port->name && *port->name)
    send_message (s, port->nr, PORT_NAME, 1, port->name);
  if (port->host_open)
    virtio_serial_tell_open (port);
}

static void
handle_message (VmVirtioSerial *s, const uint8_t message[MESSAGE_SIZE])
{
  uint32_t nr = vm_load_le32 (message);
  uint16_t event = vm_load_le16 (message + 4), value = vm_load_le16 (message + 6);
  VmVirtioSerialPort *port = nr < s->max_ports ? s->port[nr] : NULL;

  if (event == DEVICE_READY)
    {
      s->ready = value == 1;
      for (unsigned i = 0; i < s->max_ports; i++)
        if (s->port[i])
          send_message (s, i, DEVICE_ADD, 1, NULL);
      return;
    }
  if (!port)
    vm_guest_error ("virtio-serial", "a control message for port %u, which is not there", nr);
  else if (event == PORT_READY && value)
    port_is_ready (s, port);
  else if (event == PORT_OPEN)
    virtio_serial_port_guest_open (port, value != 0);
}

static void
handle_control_out (VmVirtio *v, VmVirtqueue *q)
{
  uint8_t message[MESSAGE_SIZE];
  VmVirtqElement *e;

  vm_virtqueue_set_notification (q, false);
  while ((e = vm_virtqueue_next (q, sizeof *e)))
    {
      bool whole = vm_iov_get (vm_virtq_out (e), e->n_out, 0, message, sizeof message) == sizeof message;

      vm_virtqueue_push (e, 0);
      if (whole)
        handle_message ((VmVirtioSerial *) v, message);
    }
}

static void
handle_control_in (VmVirtio *v, VmVirtqueue *q)
{
  flush_messages ((VmVirtioSerial *) v);
}

/* --- data ------------------------------------------------------------------------------------------------ */

static VmVirtioSerialPort *
port_of_queue (const VmVirtioSerial *s, const VmVirtqueue *q)
{
  return s->port[q->index < 2 ? 0 : q->index / 2 - 1];
}

static void
handle_input (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtioSerialPort *port = port_of_queue ((VmVirtioSerial *) v, q);

  if (port)
    virtio_serial_port_input (port);
}

static void
handle_output (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtioSerialPort *port = port_of_queue ((VmVirtioSerial *) v, q);
  VmVirtqElement *e;

  if (port)
    {
      virtio_serial_port_output (port);
      return;
    }
  while ((e = vm_virtqueue_next (q, sizeof *e))) /* nobody there */
    vm_virtqueue_push (e, 0);
}

/* --- configuration --------------------------------------------------------------------------------------- */

static uint64_t
serial_features (VmVirtio *v)
{
  const VmVirtioSerial *s = (const VmVirtioSerial *) v;

  return (s->max_ports > 1 ? VM_BIT (F_MULTIPORT) : 0) | (s->emergency_write ? VM_BIT (F_EMERG_WRITE) : 0);
}

static void
serial_config_get (VmVirtio *v, uint8_t *config)
{
  vm_store_le32 (config + CFG_MAX_PORTS, ((const VmVirtioSerial *) v)->max_ports);
}

/* A character of a kernel that has nothing else yet. */
static void
serial_config_set (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size)
{
  VmVirtioSerial *s = (VmVirtioSerial *) v;

  if (!s->emergency_write || offset > CFG_EMERG_WRITE || offset + size <= CFG_EMERG_WRITE)
    return;
  for (unsigned i = 0; i < s->max_ports; i++)
    if (s->port[i] && vm_virtio_serial_is_console (s->port[i]))
      {
        vm_char_fe_write (&s->port[i]->chr, config + CFG_EMERG_WRITE, 1);
        return;
      }
}

static void
forget_messages (VmVirtioSerial *s)
{
  while (!g_queue_is_empty (&s->messages))
    g_bytes_unref (g_queue_pop_head (&s->messages));
}

static void
serial_stop (VmVirtio *v)
{
  VmVirtioSerial *s = (VmVirtioSerial *) v;

  s->ready = false;
  forget_messages (s);
  for (unsigned i = 0; i < s->max_ports; i++)
    if (s->port[i])
      {
        s->port[i]->sent = 0;
        virtio_serial_port_guest_open (s->port[i], false);
      }
}

static void
serial_stop_queue (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtioSerialPort *port = port_of_queue ((VmVirtioSerial *) v, q);

  if (port && q == port->out)
    port->sent = 0;
}

static void
serial_status_set (VmVirtio *v, uint8_t old)
{
  VmVirtioSerial *s = (VmVirtioSerial *) v;

  if (!(v->status & ~old & VIRTIO_STATUS_DRIVER_OK))
    return;
  for (unsigned i = 0; i < s->max_ports; i++)
    if (s->port[i])
      virtio_serial_port_input (s->port[i]);
}

/* --- the bus --------------------------------------------------------------------------------------------- */

static uint32_t
free_port (const VmVirtioSerial *s, bool console)
{
  for (uint32_t i = console ? 0 : 1; i < s->max_ports; i++)
    if (!s->port[i])
      return i;
  return UINT32_MAX;
}

static bool
bus_attach (VmBus *bus, VmDevice *dev, GError **error)
{
  VmVirtioSerial *s = (VmVirtioSerial *) bus->owner;
  VmVirtioSerialPort *port = (VmVirtioSerialPort *) dev;
  bool console = vm_virtio_serial_is_console (port);

  for (unsigned i = 0; port->name && i < s->max_ports; i++)
    if (s->port[i] && !g_strcmp0 (s->port[i]->name, port->name))
      return vm_fail (error, "virtio-serial-bus: A port already exists by name %s", port->name);
  if (port->nr == UINT32_MAX && s->max_ports > 1)
    {
      port->nr = free_port (s, console);
      if (port->nr == UINT32_MAX)
        return vm_fail (error, "virtio-serial-bus: Maximum port limit for this device reached");
    }
  else if (port->nr == UINT32_MAX)
    port->nr = console ? 0 : 1;
  if (port->nr == 0 && !console)
    return vm_fail (error, "Port number 0 on virtio-serial devices reserved for virtconsole devices for backward "
                           "compatibility.");
  if (port->nr >= s->max_ports)
    return vm_fail (error, "virtio-serial-bus: Out-of-range port id specified, max. allowed: %u", s->max_ports - 1);
  if (s->port[port->nr])
    return vm_fail (error, "virtio-serial-bus: A port already exists at id %u", port->nr);
  s->port[port->nr] = port;
  port->in = s->parent.queues[port->nr ? 2 * port->nr + 2 : 0];
  port->out = s->parent.queues[port->nr ? 2 * port->nr + 3 : 1];
  return true;
}

static void
bus_detach (VmBus *bus, VmDevice *dev)
{
  VmVirtioSerial *s = (VmVirtioSerial *) bus->owner;
  VmVirtioSerialPort *port = (VmVirtioSerialPort *) dev;

  s->port[port->nr] = NULL;
  send_message (s, port->nr, DEVICE_REMOVE, 1, NULL);
}

static void
bus_plugged (VmBus *bus, VmDevice *dev)
{
  send_message ((VmVirtioSerial *) bus->owner, ((VmVirtioSerialPort *) dev)->nr, DEVICE_ADD, 1, NULL);
}

static char *
bus_describe (VmBus *bus, VmDevice *dev)
{
  const VmVirtioSerialPort *port = (const VmVirtioSerialPort *) dev;

  return g_strdup_printf ("port %u, guest %s, host %s, throttle off\n", port->nr, port->guest_open ? "on" : "off",
                          port->host_open ? "on" : "off");
}

/* --- life ------------------------------------------------------------------------------------------------ */

static bool
serial_realize (VmDevice *dev, GError **error)
{
  VmVirtioSerial *s = (VmVirtioSerial *) dev;
  const char *id = vm_device_user_id (dev->bus->owner);
  g_autofree char *name = id ? g_strdup_printf ("%s.0", id) : NULL;

  if (s->max_ports == 0)
    return vm_fail (error, "Maximum number of serial ports not specified");
  if (s->max_ports > VM_VIRTIO_SERIAL_MAX_PORTS)
    return vm_fail (error, "maximum ports supported: %d", VM_VIRTIO_SERIAL_MAX_PORTS);
  s->parent.config_size = s->emergency_write ? CFG_SIZE : CFG_EMERG_WRITE;
  vm_bus_init (&s->bus, VM_VIRTIO_SERIAL_BUS_TYPE, dev, name);
  s->bus.hotplug = true;
  s->bus.attach = bus_attach;
  s->bus.detach = bus_detach;
  s->bus.plugged = bus_plugged;
  s->bus.describe = bus_describe;
  g_queue_init (&s->messages);
  vm_virtio_add_queue (&s->parent, QUEUE_SIZE, handle_input);
  vm_virtio_add_queue (&s->parent, QUEUE_SIZE, handle_output);
  s->control_in = vm_virtio_add_queue (&s->parent, CONTROL_SIZE, handle_control_in);
  s->control_out = vm_virtio_add_queue (&s->parent, CONTROL_SIZE, handle_control_out);
  for (unsigned i = 1; i < s->max_ports; i++)
    {
      vm_virtio_add_queue (&s->parent, QUEUE_SIZE, handle_input);
      vm_virtio_add_queue (&s->parent, QUEUE_SIZE, handle_output);
    }
  return true;
}

static void
serial_unrealize (VmDevice *dev)
{
  VmVirtioSerial *s = (VmVirtioSerial *) dev;

  vm_virtio_shut_down (&s->parent);
  forget_messages (s);
}

const VmProp vm_virtio_serial_props[] = {
  VM_PROP ("max_ports", VmVirtioSerial, max_ports, 31, "ports it can have"),
  VM_PROP ("emergency-write", VmVirtioSerial, emergency_write, true, "a register that prints a character"),
  { 0 }
};

static const VmField serial_state[] = {
  VM_FIELD (VmVirtioSerial, ready),
  { 0 }
};

static const VmVirtioClass serial_class = {
  .parent = { .realize = serial_realize, .unrealize = serial_unrealize, .category = "Input", .user_creatable = true,
              .hotpluggable = true },
  .id = VIRTIO_ID_CONSOLE, .features = serial_features, .config_get = serial_config_get,
  .config_set = serial_config_set, .status_set = serial_status_set, .stop = serial_stop,
  .stop_queue = serial_stop_queue,
};

const VmType vm_virtio_serial_type = {
  .name = "virtio-serial-device", .parent = &vm_virtio_type, .size = sizeof (VmVirtioSerial),
  .help = "Virtio serial ports", .props = vm_virtio_serial_props, .state = serial_state, .klass = &serial_class,
};

/* --- on PCI ---------------------------------------------------------------------------------------------- */

typedef struct SerialPci {
  VmVirtioPci    parent;
  VmVirtioSerial serial;
} SerialPci;

static void
serial_pci_init (VmObject *obj)
{
  SerialPci *self = (SerialPci *) obj;

  vm_virtio_pci_init (&self->parent, &self->serial.parent, &vm_virtio_serial_type);
}

static void
serial_pci_prepare (VmVirtioPci *p)
{
  if (p->vectors == UINT32_MAX)
    p->vectors = ((SerialPci *) p)->serial.max_ports + 1;
}

static const VmProp serial_pci_props[] = {
  VM_VIRTIO_PCI_CLASS_PROP,
  VM_VIRTIO_PCI_IOEVENTFD_PROP,
  VM_VIRTIO_PCI_VECTORS_PROP (2),
  VM_PROP_EMBED (SerialPci, serial, vm_virtio_props),
  VM_PROP_EMBED (SerialPci, serial, vm_virtio_serial_props),
  { 0 }
};

const VmType vm_virtio_serial_pci_base_type = {
  .name = "virtio-serial-pci-base", .parent = &vm_virtio_pci_type, .size = sizeof (SerialPci), .abstract = true,
  .help = "Virtio serial ports on PCI", .props = serial_pci_props, .init = serial_pci_init,
};

static const VmVirtioPciClass generic_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_COMMUNICATION_OTHER, VM_VIRTIO_PCI_GENERIC, serial_pci_prepare, "Input");
static const VmVirtioPciClass transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_COMMUNICATION_OTHER, VM_VIRTIO_PCI_TRANSITIONAL, serial_pci_prepare, "Input");
static const VmVirtioPciClass non_transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_COMMUNICATION_OTHER, VM_VIRTIO_PCI_NON_TRANSITIONAL, serial_pci_prepare, "Input");

const VmType vm_virtio_serial_pci_type = {
  .name = "virtio-serial-pci", .parent = &vm_virtio_serial_pci_base_type, .size = sizeof (SerialPci),
  .help = "Virtio serial ports on PCI", .props = vm_virtio_pci_generic_props, .klass = &generic_class,
};

const VmType vm_virtio_serial_pci_transitional_type = {
  .name = "virtio-serial-pci-transitional", .parent = &vm_virtio_serial_pci_base_type, .size = sizeof (SerialPci),
  .help = "Virtio serial ports on PCI, both interfaces", .klass = &transitional_class,
};

const VmType vm_virtio_serial_pci_non_transitional_type = {
  .name = "virtio-serial-pci-non-transitional", .parent = &vm_virtio_serial_pci_base_type,
  .size = sizeof (SerialPci), .help = "Virtio serial ports on PCI, modern interface only",
  .klass = &non_transitional_class,
};
