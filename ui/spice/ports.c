/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Character back ends as the library's character devices: the agent, USB devices, smart cards, ports. A port is there
 * all the time; the others while a guest listens. */
#include "ui/spice/server-private.h"

#include <spice/protocol.h>
#include <spice/vd_agent.h>

typedef struct Port
{
  SpiceCharDeviceInstance sin; /* first: what the library hands back */
  SpicePipe *pipe;
  SpiceHere *here;
  bool there;     /* the library has it */
  bool listening; /* what it was told */
  size_t tail;    /* bytes at the end of what the library has yet to write that do not go on */
} Port;

/* Sizes of monitors in millimetres, behind those of their windows: spice-vdagent 0.22 takes no message that has them.
 * Returns how many bytes they are, of a chunk that is such a message. */
static size_t
find_millimetres (const uint8_t *buf, size_t len)
{
  const size_t head = sizeof (VDIChunkHeader) + sizeof (VDAgentMessage);
  VDIChunkHeader chunk;
  VDAgentMessage message;
  VDAgentMonitorsConfig config;

  if (len < head + sizeof config)
    return 0;
  memcpy (&chunk, buf, sizeof chunk);
  memcpy (&message, buf + sizeof chunk, sizeof message);
  memcpy (&config, buf + head, sizeof config);
  size_t n = GUINT32_FROM_LE (config.num_of_monitors), tail = n * sizeof (VDAgentMonitorMM);
  bool has = GUINT32_FROM_LE (chunk.port) == VDP_CLIENT_PORT
             && GUINT32_FROM_LE (message.type) == VD_AGENT_MONITORS_CONFIG
             && GUINT32_FROM_LE (config.flags) & VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE
             && GUINT32_FROM_LE (chunk.size) == len - sizeof chunk && GUINT32_FROM_LE (message.size) == len - head
             && len == head + sizeof config + n * sizeof (VDAgentMonConfig) + tail;
  return has ? tail : 0;
}

static void
subtract (uint8_t *number, size_t n)
{
  vm_store_le32 (number, vm_load_le32 (number) - (uint32_t) n);
}

static size_t
write_without_tail (Port *port, const uint8_t *buf, size_t len, bool first)
{
  g_autofree uint8_t *chunk = g_memdup2 (buf, len);
  size_t tail = port->tail;

  if (first)
    {
      subtract (chunk + offsetof (VDIChunkHeader, size), tail);
      subtract (chunk + sizeof (VDIChunkHeader) + offsetof (VDAgentMessage, size), tail);
      subtract (chunk + sizeof (VDIChunkHeader) + sizeof (VDAgentMessage) + offsetof (VDAgentMonitorsConfig, flags),
                VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE);
    }
  size_t n = spice_pipe_write (port->pipe, chunk, len - tail);
  if (n == len - tail)
    n = len;
  if (n == len || (first && !n))
    port->tail = 0;
  return n;
}

static int
port_write (SpiceCharDeviceInstance *sin, const uint8_t *buf, int len)
{
  Port *port = (Port *) sin;
  bool first = !port->tail;

  if (len <= 0)
    return 0;
  if (first && !strcmp (port->pipe->subtype, "vdagent"))
    port->tail = find_millimetres (buf, (size_t) len);
  return (int) (port->tail ? write_without_tail (port, buf, (size_t) len, first)
                           : spice_pipe_write (port->pipe, buf, (size_t) len));
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
  port->tail = 0;
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
