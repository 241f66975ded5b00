/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtio console device and the ports on its bus. */
#pragma once

#include "devices/virtio/virtio.h"
#include "engine/char/char.h"

typedef struct VmVirtioSerial     VmVirtioSerial;
typedef struct VmVirtioSerialPort VmVirtioSerialPort;

#define VM_VIRTIO_SERIAL_BUS_TYPE  "virtio-serial-bus"
#define VM_VIRTIO_SERIAL_MAX_PORTS 511

struct VmVirtioSerial {
  VmVirtio parent;
  /* properties */
  uint32_t max_ports;
  bool     emergency_write;
  /* wiring */
  VmBus        bus;
  VmVirtqueue *control_in, *control_out;
  VmVirtioSerialPort *port[VM_VIRTIO_SERIAL_MAX_PORTS];
  GQueue       messages; /* GBytes: control messages the driver has no buffers for yet */
  /* guest state */
  bool         ready;    /* the driver knows of ports */
};

struct VmVirtioSerialPort {
  VmDevice  parent;
  /* properties */
  VmCharFe  chr;
  char     *name;
  uint32_t  nr;
  /* wiring */
  VmVirtqueue *in, *out;
  bool      host_open;   /* somebody is at the other end */
  /* guest state */
  bool      guest_open;
  bool      host_told;   /* what the guest knows of host_open */
  uint64_t  sent;        /* bytes of the first element of OUT that are through */
};

extern const VmType vm_virtio_serial_type, vm_virtio_serial_port_type;
extern const VmProp vm_virtio_serial_props[];

bool vm_virtio_serial_is_console (const VmVirtioSerialPort *port);
/* Whether the guest listens at PORT. */
bool vm_virtio_serial_listening (const VmVirtioSerialPort *port);

/* Between the device and the ports. */
void virtio_serial_port_output (VmVirtioSerialPort *port); /* the guest has something to say, or may go on */
void virtio_serial_port_input (VmVirtioSerialPort *port);  /* the guest has room */
void virtio_serial_port_guest_open (VmVirtioSerialPort *port, bool open);
void virtio_serial_tell_open (VmVirtioSerialPort *port);   /* the host's end opened or closed */
