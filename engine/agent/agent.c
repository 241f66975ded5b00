/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's side of the vdagent protocol (spice/vd_agent.h): life of the connection, capabilities, sizes of screens,
 * the pointer. Everything the guest says may be a lie; what it cannot do by lying is make us remember much of it. */
#include "engine/agent/agent-private.h"

#define IN_MAX (64 * 1024)
#define MESSAGE_MAX (64 * 1024) /* but for a content that was asked for */
#define QUEUE_MAX 64            /* messages that wait for a guest that does not read */
#define DEPTH 32

static void agent_kick (VmAgent *agent);

VmAgent *
vd_agent_ref (VmAgent *agent)
{
  agent->refs++;
  return agent;
}

void
vd_agent_unref (VmAgent *agent)
{
  if (--agent->refs)
    return;
  vd_wire_clear (&agent->wire);
  g_byte_array_unref (agent->in);
  g_free (agent);
}

void
vd_agent_send (VmAgent *agent, uint32_t port, uint32_t type, const void *head, size_t head_len, GBytes *body,
               VdSentFunc sent, void *opaque)
{
  vd_wire_send (&agent->wire, port, type, head, head_len, body, sent, opaque);
  agent_kick (agent);
}

/* --- screens ----------------------------------------------------------------------------------- */

/* As wide and high as viewers wish; those of which nobody said anything stay as they are. */
static void
agent_send_sizes (VmAgent *agent)
{
  unsigned n = MIN (vm_display_n_consoles (agent->display), VD_HEADS_MAX), used = 0;
  uint8_t list[8 + VD_HEADS_MAX * sizeof (VDAgentMonConfig)];
  bool wished = false, placed = false;
  int right = 0;

  for (unsigned i = 0; i < n; i++)
    {
      VmConsole *console = vm_display_console (agent->display, i);
      uint8_t *entry = list + 8 + used * sizeof (VDAgentMonConfig);
      VmUiInfo info = { 0 };
      int width, height;

      if (!console || vm_console_is_text (console))
        continue;
      vm_console_size (console, &width, &height);
      if (vm_console_ui_info (console, &info))
        {
          wished = true;
          width = MIN (info.width, INT16_MAX);
          height = MIN (info.height, INT16_MAX);
        }
      if (!width || !height)
        continue;
      placed |= info.xoff || info.yoff;
      vm_store_le32 (entry + offsetof (VDAgentMonConfig, height), height);
      vm_store_le32 (entry + offsetof (VDAgentMonConfig, width), width);
      vm_store_le32 (entry + offsetof (VDAgentMonConfig, depth), DEPTH);
      vm_store_le32 (entry + offsetof (VDAgentMonConfig, x), placed ? info.xoff : right);
      vm_store_le32 (entry + offsetof (VDAgentMonConfig, y), placed ? info.yoff : 0);
      right += width;
      used++;
    }
  if (!wished || !used || !vd_agent_can (agent, VD_AGENT_CAP_MONITORS_CONFIG))
    return;
  vm_store_le32 (list, used);
  vm_store_le32 (list + 4, vd_agent_can (agent, VD_AGENT_CAP_MONITORS_CONFIG_POSITION)
                               ? VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS
                               : 0);
  vd_agent_send (agent, VDP_CLIENT_PORT, VD_AGENT_MONITORS_CONFIG, NULL, 0,
                 g_bytes_new (list, 8 + used * sizeof (VDAgentMonConfig)), NULL, NULL);
}

/* --- pointer ----------------------------------------------------------------------------------- */

static void
pointer_send (VdPointer *pointer)
{
  VmAgent *agent = pointer->agent;
  uint8_t state[sizeof (VDAgentMouseState)];
  int width, height;

  pointer->moved = pointer->waits = false;
  if (vm_display_console (agent->display, pointer->index) != pointer->console)
    return; /* it went, and we will hear of it */
  /* The newest place counts; it is sent when there is room again. */
  pointer->waits = vd_wire_waiting (&agent->wire, VDP_SERVER_PORT) >= QUEUE_MAX;
  if (pointer->waits)
    return;
  vm_console_size (pointer->console, &width, &height);
  vm_store_le32 (state, (int64_t) pointer->x * MAX (width - 1, 0) / VM_ABS_MAX);
  vm_store_le32 (state + 4, (int64_t) pointer->y * MAX (height - 1, 0) / VM_ABS_MAX);
  vm_store_le32 (state + 8, agent->buttons);
  state[12] = pointer - agent->pointers;
  vd_agent_send (agent, VDP_SERVER_PORT, VD_AGENT_MOUSE_STATE, state, sizeof state, NULL, NULL, NULL);
}

static void
pointer_event (void *opaque, const VmInputEvent *event)
{
  static const uint8_t bits[VM_BUTTON_N] = {
    [VM_BUTTON_LEFT] = VD_AGENT_LBUTTON_MASK,       [VM_BUTTON_MIDDLE] = VD_AGENT_MBUTTON_MASK,
    [VM_BUTTON_RIGHT] = VD_AGENT_RBUTTON_MASK,      [VM_BUTTON_WHEEL_UP] = VD_AGENT_UBUTTON_MASK,
    [VM_BUTTON_WHEEL_DOWN] = VD_AGENT_DBUTTON_MASK, [VM_BUTTON_SIDE] = VD_AGENT_SBUTTON_MASK,
    [VM_BUTTON_EXTRA] = VD_AGENT_EBUTTON_MASK,
  };
  VdPointer *pointer = opaque;

  if (event->kind == VM_INPUT_ABS)
    *(event->code == VM_AXIS_X ? &pointer->x : &pointer->y) = CLAMP (event->value, 0, VM_ABS_MAX);
  else if (event->kind != VM_INPUT_BUTTON || event->code >= VM_BUTTON_N)
    return;
  else if (event->down)
    pointer->agent->buttons |= bits[event->code];
  else
    {
      /* A press and its release in one group are two states. */
      if (pointer->moved)
        pointer_send (pointer);
      pointer->agent->buttons &= ~bits[event->code];
    }
  pointer->moved = true;
}

static void
pointer_sync (void *opaque)
{
  VdPointer *pointer = opaque;

  if (pointer->moved)
    pointer_send (pointer);
}

static void
agent_drop_pointers (VmAgent *agent)
{
  while (agent->n_pointers)
    vm_input_unregister (agent->pointers[--agent->n_pointers].handler);
  agent->buttons = 0;
}

/* One for each console there is: the guest wants to know over which of its screens. */
static void
agent_make_pointers (VmAgent *agent)
{
  static const VmInputHandlerOps ops = {
    .name = "vdagent mouse",
    .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_ABS,
    .event = pointer_event,
    .sync = pointer_sync,
  };
  unsigned n = MIN (vm_display_n_consoles (agent->display), VD_HEADS_MAX);

  agent_drop_pointers (agent);
  if (!agent->mouse || !vd_agent_can (agent, VD_AGENT_CAP_MOUSE_STATE))
    return;
  for (unsigned i = 0; i < n; i++)
    {
      VmConsole *console = vm_display_console (agent->display, i);
      VdPointer *pointer = &agent->pointers[agent->n_pointers];

      if (!console || vm_console_is_text (console))
        continue;
      *pointer = (VdPointer){ .agent = agent, .console = console, .index = i };
      pointer->handler = vm_input_register (agent->input, &ops, pointer, console);
      vm_input_activate (pointer->handler);
      agent->n_pointers++;
    }
}

/* --- the connection ----------------------------------------------------------------------------- */

static void
agent_publish (VmAgent *agent)
{
  const VmAgentState state = {
    .present = true,
    .connected = agent->connected,
    .clipboard = agent->clipboard && vd_agent_can (agent, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND),
    .resize = vd_agent_can (agent, VD_AGENT_CAP_MONITORS_CONFIG),
    .mouse = agent->n_pointers > 0,
    .files = agent->connected && !vd_agent_can (agent, VD_AGENT_CAP_FILE_XFER_DISABLED),
  };

  /* Of several the one that speaks is the display's. */
  if (agent->connected || !vm_display_agent (agent->display) || vm_display_agent (agent->display) == agent)
    vm_display_set_agent (agent->display, agent, &state);
}

static void
agent_announce (VmAgent *agent, bool request)
{
  uint64_t caps = 1u << VD_AGENT_CAP_MONITORS_CONFIG | 1u << VD_AGENT_CAP_REPLY
                  | 1u << VD_AGENT_CAP_MONITORS_CONFIG_POSITION | 1u << VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS;
  uint8_t list[8];

  if (agent->mouse)
    caps |= 1u << VD_AGENT_CAP_MOUSE_STATE;
  if (agent->clipboard)
    caps |= 1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND | 1u << VD_AGENT_CAP_CLIPBOARD_SELECTION
            | 1u << VD_AGENT_CAP_MAX_CLIPBOARD | 1u << VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB
            | 1u << VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL;
  memset (agent->serials, 0, sizeof agent->serials); /* the other side begins anew with this, too */
  vm_store_le32 (list, request);
  vm_store_le32 (list + 4, caps);
  vd_agent_send (agent, VDP_CLIENT_PORT, VD_AGENT_ANNOUNCE_CAPABILITIES, list, sizeof list, NULL, NULL, NULL);
}

static void
agent_take_capabilities (VmAgent *agent, GBytes *data)
{
  gsize size;
  const uint8_t *bytes = g_bytes_get_data (data, &size);

  if (size < 8)
    return;
  agent->connected = true;
  agent->caps = vm_load_le (bytes + 4, MIN (size - 4, 8) & ~3u);
  if (vm_load_le32 (bytes) && vd_wire_waiting (&agent->wire, VDP_CLIENT_PORT) < QUEUE_MAX)
    agent_announce (agent, false);
  agent_make_pointers (agent);
  if (agent->clipboard && vd_agent_can (agent, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND))
    vd_clipboard_start (agent);
  else
    vd_clipboard_stop (agent);
  agent->sizes_changed = true;
  agent_kick (agent);
  agent_publish (agent);
}

static size_t
wire_limit (void *opaque, uint32_t type)
{
  return type == VD_AGENT_CLIPBOARD ? vd_clipboard_limit (opaque) : MESSAGE_MAX;
}

static void
wire_message (void *opaque, uint32_t type, GBytes *data)
{
  VmAgent *agent = opaque;

  switch (type)
    {
    case VD_AGENT_ANNOUNCE_CAPABILITIES:
      agent_take_capabilities (agent, data);
      break;
    case VD_AGENT_CLIPBOARD:
    case VD_AGENT_CLIPBOARD_GRAB:
    case VD_AGENT_CLIPBOARD_REQUEST:
    case VD_AGENT_CLIPBOARD_RELEASE:
      vd_clipboard_message (agent, type, data);
      break;
    case VD_AGENT_FILE_XFER_STATUS:
      vd_files_status (agent, data);
      break;
    default: /* replies that say nothing, and what we never asked for */
      break;
    }
}

static size_t
wire_room (void *opaque)
{
  VmAgent *agent = opaque;

  return agent->chr && agent->open ? vm_chardev_can_receive (agent->chr) : 0;
}

static void
wire_put (void *opaque, const uint8_t *bytes, size_t len)
{
  vm_chardev_receive (((VmAgent *) opaque)->chr, bytes, len);
}

static const VdWireOps wire_ops = {
  .room = wire_room,
  .put = wire_put,
  .limit = wire_limit,
  .message = wire_message,
};

/* The loop's turn: what came, what has changed, what can go. */
static void
agent_work (void *opaque)
{
  VmAgent *agent = opaque;

  agent->kicked = false;
  if (agent->open && agent->in->len)
    {
      g_autoptr (GByteArray) in = g_steal_pointer (&agent->in);

      agent->in = g_byte_array_new ();
      vd_wire_receive (&agent->wire, in->data, in->len);
      if (agent->chr)
        vm_chardev_writable (agent->chr);
    }
  if (agent->connected && agent->heads_changed)
    {
      agent->heads_changed = false;
      agent_make_pointers (agent);
      agent_publish (agent);
    }
  if (agent->connected && agent->sizes_changed && vd_wire_waiting (&agent->wire, VDP_CLIENT_PORT) < QUEUE_MAX)
    {
      agent->sizes_changed = false;
      agent_send_sizes (agent);
    }
  if (vd_wire_pump (&agent->wire))
    agent_kick (agent);
  for (unsigned i = 0; i < agent->n_pointers; i++)
    if (agent->pointers[i].waits && !vd_wire_waiting (&agent->wire, VDP_SERVER_PORT))
      pointer_send (&agent->pointers[i]);
  vd_agent_unref (agent);
}

static void
agent_kick (VmAgent *agent)
{
  if (agent->kicked)
    return;
  agent->kicked = true;
  vm_loop_post (vm_display_loop (agent->display), agent_work, vd_agent_ref (agent));
}

/* --- the back end's side ------------------------------------------------------------------------ */

static void
agent_disconnect (VmAgent *agent)
{
  agent->open = agent->connected = false;
  agent->caps = 0;
  g_byte_array_set_size (agent->in, 0);
  vd_wire_clear (&agent->wire);
  vd_clipboard_stop (agent);
  vd_files_stop (agent);
  agent_drop_pointers (agent);
}

static void
sink_listen (void *opaque, bool open)
{
  VmAgent *agent = opaque;

  if (agent->open == open)
    return;
  agent_disconnect (agent);
  agent->open = open;
  if (open)
    {
      agent->session++;
      agent_announce (agent, true);
    }
  agent_publish (agent);
}

static size_t
sink_write (void *opaque, const uint8_t *bytes, size_t len)
{
  VmAgent *agent = opaque;
  size_t n = MIN (len, IN_MAX - agent->in->len);

  if (!agent->open)
    return len;
  g_byte_array_append (agent->in, bytes, n);
  agent_kick (agent);
  return n;
}

static void
sink_accept_input (void *opaque)
{
  agent_kick (opaque);
}

static void
sink_closed (void *opaque)
{
  VmAgent *agent = opaque;

  agent->chr = NULL;
  agent_disconnect (agent);
  vm_listener_remove (agent->display, &agent->listener);
  if (vm_display_agent (agent->display) == agent)
    vm_display_set_agent (agent->display, NULL, NULL);
  vd_agent_unref (agent);
}

static const VmCharSink sink = {
  .write = sink_write,
  .accept_input = sink_accept_input,
  .closed = sink_closed,
  .listen = sink_listen,
};

static void
on_consoles_changed (VmListener *listener)
{
  VmAgent *agent = VM_CONTAINER_OF (listener, VmAgent, listener);

  agent->heads_changed = true;
  agent_kick (agent);
}

static void
on_ui_info_changed (VmListener *listener, VmConsole *console)
{
  VmAgent *agent = VM_CONTAINER_OF (listener, VmAgent, listener);

  agent->sizes_changed = true;
  agent_kick (agent);
}

static const VmListenerOps listener_ops = {
  .consoles_changed = on_consoles_changed,
  .ui_info_changed = on_ui_info_changed,
};

VmAgent *
vm_agent_new (VmDisplay *display, VmInput *input, VmChardev *chr, bool mouse, bool clipboard)
{
  VmAgent *agent = g_new0 (VmAgent, 1);

  agent->refs = 1;
  agent->display = display;
  agent->input = input;
  agent->chr = chr;
  agent->mouse = mouse;
  agent->clipboard = clipboard;
  agent->in = g_byte_array_new ();
  g_queue_init (&agent->transfers);
  vd_wire_init (&agent->wire, &wire_ops, agent);
  agent->listener.ops = &listener_ops;
  vm_listener_add (display, &agent->listener, NULL);
  vm_chardev_set_sink (chr, &sink, agent);
  agent_publish (agent);
  return agent;
}
