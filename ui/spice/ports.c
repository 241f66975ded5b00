/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Character back ends as the library's character devices: the agent, USB devices, smart cards, ports. A port is there
 * all the time; the others while a guest listens. */
#include "ui/spice/server-private.h"

#include <spice/protocol.h>

typedef struct Port
{
  SpiceCharDeviceInstance sin; /* first: what the library hands back */
  SpicePipe *pipe;
  SpiceHere *here;
  bool there;     /* the library has it */
  bool listening; /* what it was told */
} Port;

static int
port_write (SpiceCharDeviceInstance *sin, const uint8_t *buf, int len)
{
  return len > 0 ? (int) spice_pipe_write (((Port *) sin)->pipe, buf, (size_t) len) : 0;
}

static int
port_read (SpiceCharDeviceInstance *sin, uint8_t *buf, int len)
{
  return len > 0 ? (int) spice_pipe_read (((Port *) sin)->pipe, buf, (size_t) len) : 0;
}

static void
port_state (SpiceCharDeviceInstance *sin, int connected)
{
  spice_pipe_set_connected (((Port *) sin)->pipe, connected != 0);
}

static void
port_event (SpiceCharDeviceInstance *sin, uint8_t event)
{
  if (event == SPICE_PORT_EVENT_BREAK)
    spice_pipe_break (((Port *) sin)->pipe);
}

static const SpiceCharDeviceInterface port_interface = {
  .base = { .type = SPICE_INTERFACE_CHAR_DEVICE,
            .description = "a character device",
            .major_version = SPICE_INTERFACE_CHAR_DEVICE_MAJOR,
            .minor_version = SPICE_INTERFACE_CHAR_DEVICE_MINOR },
  .state = port_state,
  .write = port_write,
  .read = port_read,
  .event = port_event,
  .flags = SPICE_CHAR_DEVICE_NOTIFY_WRITABLE,
};

static void
set_there (Port *port, bool there)
{
  if (port->there == there)
    return;
  port->there = there;
  if (there)
    {
      port->there = spice_server_add_interface (port->here->server, &port->sin.base) == 0;
      return;
    }
  spice_server_remove_interface (&port->sin.base);
  spice_pipe_set_connected (port->pipe, false);
}

void
spice_pipe_changed (SpicePipe *pipe)
{
  Port *port = pipe->instance;
  bool listening = spice_pipe_listening (pipe);

  if (!pipe->portname)
    set_there (port, listening);
  else if (listening != port->listening && port->there)
    spice_server_port_event (&port->sin, listening ? SPICE_PORT_EVENT_OPENED : SPICE_PORT_EVENT_CLOSED);
  port->listening = listening;
  if (port->there)
    spice_server_char_device_wakeup (&port->sin);
}

void
spice_pipe_added (VmSpice *spice, SpicePipe *pipe)
{
  Port *port = g_new0 (Port, 1);

  *port = (Port){
    .sin = { .base = { .sif = &port_interface.base }, .subtype = pipe->subtype, .portname = pipe->portname },
    .pipe = pipe,
    .here = spice->server,
  };
  pipe->instance = port;
  if (pipe->portname)
    set_there (port, true);
  spice_pipe_changed (pipe);
}

void
spice_pipe_removed (SpicePipe *pipe)
{
  Port *port = pipe->instance;

  set_there (port, false);
  pipe->instance = NULL;
  g_free (port);
}
