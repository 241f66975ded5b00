/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PS/2 keyboard and mouse protocols. */
#include "devices/input/ps2.h"

#include <linux/input-event-codes.h>

enum { ACK = 0xfa, RESEND = 0xfe, SELF_TEST_OK = 0xaa, ECHO = 0xee };
/* Room kept for answers to commands: key strokes never fill it. */
#define EVENT_LIMIT 16

/* --- port --------------------------------------------------------------------------------------- */

static void
port_put (VmPs2Port *port, uint8_t byte)
{
  VmPs2Queue *q = &port->queue;

  if (q->count == VM_PS2_QUEUE)
    return;
  q->data[(q->head + q->count++) % VM_PS2_QUEUE] = byte;
}

static void
port_update (VmPs2Port *port)
{
  vm_irq_set (&port->changed, port->queue.count > 0);
}

static void
port_clear (VmPs2Port *port)
{
  port->queue.head = port->queue.count = 0;
}

static bool
port_has_room (const VmPs2Port *port, unsigned n)
{
  return port->queue.count + n <= EVENT_LIMIT;
}

uint8_t
vm_ps2_port_read (VmPs2Port *port)
{
  VmPs2Queue *q = &port->queue;
  uint8_t byte;

  if (q->count == 0)
    return q->data[(q->head + VM_PS2_QUEUE - 1) % VM_PS2_QUEUE]; /* some old BIOSes read twice */
  byte = q->data[q->head];
  q->head = (q->head + 1) % VM_PS2_QUEUE;
  q->count--;
  /* An edge for each byte: the line falls before it rises for the next. */
  vm_irq_lower (&port->changed);
  port_update (port);
  return byte;
}

/* --- keyboard ------------------------------------------------------------------------------------- */

static void
kbd_event (void *opaque, const VmInputEvent *event)
{
  VmPs2Kbd *kbd = opaque;
  uint8_t bytes[8];
  unsigned n;

  if (!kbd->scan_enabled)
    return;
  n = vm_key_to_ps2 (event->code, event->down, kbd->translate ? 1 : kbd->scan_set, bytes);
  /* A real keyboard says "overrun"; losing the whole key is kinder to guests than half of one. */
  if (n == 0 || !port_has_room (&kbd->port, n))
    return;
  for (unsigned i = 0; i < n; i++)
    port_put (&kbd->port, bytes[i]);
  port_update (&kbd->port);
}

static const VmInputHandlerOps kbd_handler_ops = {
  .name = "PS/2 keyboard",
  .kinds = 1 << VM_INPUT_KEY,
  .event = kbd_event,
};

static void
kbd_set_leds (VmPs2Kbd *kbd, uint8_t leds)
{
  kbd->leds = leds & 7;
  vm_input_set_leds (kbd->input, kbd->leds);
}

static void
kbd_defaults (VmPs2Kbd *kbd)
{
  kbd->scan_enabled = true;
  kbd->scan_set = 2;
  kbd->typematic = 0x2b;
  kbd->port.command = -1;
  kbd_set_leds (kbd, 0);
}

void
vm_ps2_kbd_reset (VmPs2Kbd *kbd)
{
  port_clear (&kbd->port);
  kbd->translate = false;
  kbd_defaults (kbd);
  port_update (&kbd->port);
}

void
vm_ps2_kbd_set_translation (VmPs2Kbd *kbd, bool on)
{
  kbd->translate = on;
}

static void
kbd_parameter (VmPs2Kbd *kbd, uint8_t command, uint8_t byte)
{
  switch (command)
    {
    case 0xed:
      kbd_set_leds (kbd, byte);
      break;
    case 0xf0:
      if (byte == 0)
        {
          static const uint8_t translated[] = { 0, 0x43, 0x41, 0x3f };

          port_put (&kbd->port, ACK);
          port_put (&kbd->port, kbd->translate ? translated[kbd->scan_set & 3] : kbd->scan_set);
          return;
        }
      if (byte > 3)
        {
          port_put (&kbd->port, RESEND);
          return;
        }
      kbd->scan_set = byte;
      break;
    case 0xf3:
      kbd->typematic = byte;
      break;
    }
  port_put (&kbd->port, ACK);
}

void
vm_ps2_kbd_write (VmPs2Kbd *kbd, uint8_t byte)
{
  VmPs2Port *port = &kbd->port;

  if (port->command >= 0 && byte < 0xed)
    {
      uint8_t command = port->command;

      port->command = -1;
      kbd_parameter (kbd, command, byte);
      port_update (port);
      return;
    }
  port->command = -1;
  switch (byte)
    {
    case 0x00:
      port_put (port, ACK);
      break;
    case 0x05:
      port_put (port, RESEND);
      break;
    case 0xed: /* LEDs */
    case 0xf0: /* scan code set */
    case 0xf3: /* typematic rate and delay */
    case 0xfb: /* set 3: key types */
    case 0xfc:
    case 0xfd:
      port->command = byte;
      port_put (port, ACK);
      break;
    case 0xee:
      port_put (port, ECHO);
      break;
    case 0xf2: /* identify: MF2 keyboard */
      port_put (port, ACK);
      port_put (port, 0xab);
      port_put (port, kbd->translate ? 0x41 : 0x83);
      break;
    case 0xf4:
      kbd->scan_enabled = true;
      port_put (port, ACK);
      break;
    case 0xf5:
      kbd_defaults (kbd);
      port_clear (port);
      kbd->scan_enabled = false;
      port_put (port, ACK);
      break;
    case 0xf6:
      kbd_defaults (kbd);
      port_clear (port);
      port_put (port, ACK);
      break;
    case 0xf7: /* set 3: all keys typematic, make/break ... */
    case 0xf8:
    case 0xf9:
    case 0xfa:
      port_put (port, ACK);
      break;
    case 0xfe:
      port_put (port, port->queue.data[(port->queue.head + VM_PS2_QUEUE - 1) % VM_PS2_QUEUE]);
      break;
    case 0xff:
      port_clear (port);
      kbd_defaults (kbd);
      port_put (port, ACK);
      port_put (port, SELF_TEST_OK);
      break;
    default:
      port_put (port, RESEND);
      break;
    }
  port_update (port);
}

void
vm_ps2_kbd_attach (VmPs2Kbd *kbd, VmInput *input)
{
  kbd->input = input;
  kbd->handler = vm_input_register (input, &kbd_handler_ops, kbd, NULL);
}

void
vm_ps2_kbd_detach (VmPs2Kbd *kbd)
{
  vm_input_unregister (kbd->handler);
}

/* --- mouse ----------------------------------------------------------------------------------------- */

enum { MOUSE_REMOTE = 0x40, MOUSE_ENABLED = 0x20, MOUSE_SCALE21 = 0x10 };

/* One packet of at most what it can hold; the rest of the movement stays. */
static bool
mouse_send_packet (VmPs2Mouse *mouse)
{
  int dx = CLAMP (mouse->dx, -255, 255), dy = CLAMP (mouse->dy, -255, 255), dz = CLAMP (mouse->dz, -8, 7);
  VmPs2Port *port = &mouse->port;

  if (!port_has_room (port, mouse->type ? 4 : 3))
    return false;
  if (mouse->type == 0)
    dz = 0;
  else if (mouse->type == 3)
    dz = CLAMP (mouse->dz, -127, 127);

  port_put (port, 0x08 | (dx < 0) << 4 | (dy < 0) << 5 | (mouse->buttons & 7));
  port_put (port, dx);
  port_put (port, dy);
  if (mouse->type == 3)
    port_put (port, dz);
  else if (mouse->type == 4)
    port_put (port, (dz & 15) | (mouse->buttons & 0x18) << 1);
  mouse->dx -= dx;
  mouse->dy -= dy;
  mouse->dz = mouse->type ? mouse->dz - dz : 0;
  mouse->sent_buttons = mouse->buttons;
  return true;
}

static bool
mouse_streams (const VmPs2Mouse *mouse)
{
  return (mouse->status & MOUSE_ENABLED) && !(mouse->status & MOUSE_REMOTE);
}

static void
mouse_event (void *opaque, const VmInputEvent *event)
{
  static const uint8_t bits[VM_BUTTON_N] = {
    [VM_BUTTON_LEFT] = 1, [VM_BUTTON_RIGHT] = 2, [VM_BUTTON_MIDDLE] = 4, [VM_BUTTON_SIDE] = 8,
    [VM_BUTTON_EXTRA] = 16,
  };
  VmPs2Mouse *mouse = opaque;

  if (!(mouse->status & MOUSE_ENABLED))
    {
      mouse->dx = mouse->dy = mouse->dz = 0;
      mouse->buttons = 0;
      return;
    }
  if (event->kind == VM_INPUT_REL)
    {
      int32_t *axis = event->code == VM_AXIS_X ? &mouse->dx : &mouse->dy;

      *axis = CLAMP (*axis + (event->code == VM_AXIS_X ? event->value : -event->value), -4096, 4096);
    }
  else if (event->code == VM_BUTTON_WHEEL_UP || event->code == VM_BUTTON_WHEEL_DOWN)
    {
      if (event->down)
        mouse->dz = CLAMP (mouse->dz + (event->code == VM_BUTTON_WHEEL_UP ? -1 : 1), -127, 127);
    }
  else if (event->down)
    mouse->buttons |= bits[event->code];
  else
    mouse->buttons &= ~bits[event->code];
}

static void
mouse_sync (void *opaque)
{
  VmPs2Mouse *mouse = opaque;

  if (!mouse_streams (mouse))
    return;
  while (mouse->dx || mouse->dy || mouse->dz || mouse->buttons != mouse->sent_buttons)
    if (!mouse_send_packet (mouse))
      break;
  port_update (&mouse->port);
}

static const VmInputHandlerOps mouse_handler_ops = {
  .name = "PS/2 Mouse",
  .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_REL,
  .event = mouse_event,
  .sync = mouse_sync,
};

void
vm_ps2_mouse_fake_event (VmPs2Mouse *mouse)
{
  if (!mouse_streams (mouse) || !port_has_room (&mouse->port, 4))
    return;
  mouse->dx++;
  mouse_send_packet (mouse);
  port_update (&mouse->port);
}

static void
mouse_defaults (VmPs2Mouse *mouse)
{
  mouse->status = 0;
  mouse->resolution = 2;
  mouse->sample_rate = 100;
  mouse->dx = mouse->dy = mouse->dz = 0;
  mouse->buttons = mouse->sent_buttons = 0;
}

void
vm_ps2_mouse_reset (VmPs2Mouse *mouse)
{
  port_clear (&mouse->port);
  mouse->port.command = -1;
  mouse->wrap = mouse->type = mouse->detect = 0;
  mouse_defaults (mouse);
  port_update (&mouse->port);
}

/* Drivers find a wheel by setting the sample rates 200, 100, 80, and two more buttons by 200, 200, 80. */
static void
mouse_set_sample_rate (VmPs2Mouse *mouse, uint8_t rate)
{
  mouse->sample_rate = rate;
  switch (mouse->detect)
    {
    case 0:
      mouse->detect = rate == 200 ? 1 : 0;
      break;
    case 1:
      mouse->detect = rate == 100 ? 2 : rate == 200 ? 3 : 0;
      break;
    case 2:
      if (rate == 80)
        mouse->type = 3;
      mouse->detect = 0;
      break;
    case 3:
      if (rate == 80)
        mouse->type = 4;
      mouse->detect = 0;
      break;
    }
}

static void
mouse_command (VmPs2Mouse *mouse, uint8_t byte)
{
  VmPs2Port *port = &mouse->port;

  switch (byte)
    {
    case 0xe6:
      mouse->status &= ~MOUSE_SCALE21;
      port_put (port, ACK);
      break;
    case 0xe7:
      mouse->status |= MOUSE_SCALE21;
      port_put (port, ACK);
      break;
    case 0xe8: /* resolution */
    case 0xf3: /* sample rate */
      port->command = byte;
      port_put (port, ACK);
      break;
    case 0xe9:
      port_put (port, ACK);
      port_put (port, mouse->status | (mouse->buttons & 1) << 2 | (mouse->buttons & 2) >> 1
                        | (mouse->buttons & 4) >> 1);
      port_put (port, mouse->resolution);
      port_put (port, mouse->sample_rate);
      break;
    case 0xea:
      mouse->status &= ~MOUSE_REMOTE;
      port_put (port, ACK);
      break;
    case 0xeb:
      port_put (port, ACK);
      mouse_send_packet (mouse);
      break;
    case 0xec:
      mouse->wrap = false;
      port_put (port, ACK);
      break;
    case 0xee:
      mouse->wrap = true;
      port_put (port, ACK);
      break;
    case 0xf0:
      mouse->status |= MOUSE_REMOTE;
      port_put (port, ACK);
      break;
    case 0xf2:
      port_put (port, ACK);
      port_put (port, mouse->type);
      break;
    case 0xf4:
      mouse->status |= MOUSE_ENABLED;
      vm_input_activate (mouse->handler);
      port_put (port, ACK);
      break;
    case 0xf5:
      mouse->status &= ~MOUSE_ENABLED;
      port_put (port, ACK);
      break;
    case 0xf6:
      mouse_defaults (mouse);
      port_put (port, ACK);
      break;
    case 0xff:
      port_clear (port);
      mouse_defaults (mouse);
      mouse->type = mouse->detect = 0;
      port_put (port, ACK);
      port_put (port, SELF_TEST_OK);
      port_put (port, mouse->type);
      break;
    default:
      port_put (port, RESEND);
      break;
    }
}

void
vm_ps2_mouse_write (VmPs2Mouse *mouse, uint8_t byte)
{
  VmPs2Port *port = &mouse->port;

  if (port->command >= 0)
    {
      if (port->command == 0xf3)
        mouse_set_sample_rate (mouse, byte);
      else
        mouse->resolution = byte & 3;
      port->command = -1;
      port_put (port, ACK);
    }
  else if (mouse->wrap && byte != 0xec && byte != 0xff)
    port_put (port, byte);
  else
    mouse_command (mouse, byte);
  port_update (port);
}

void
vm_ps2_mouse_attach (VmPs2Mouse *mouse, VmInput *input)
{
  mouse->input = input;
  mouse->handler = vm_input_register (input, &mouse_handler_ops, mouse, NULL);
}

void
vm_ps2_mouse_detach (VmPs2Mouse *mouse)
{
  vm_input_unregister (mouse->handler);
}

/* --- saved state ------------------------------------------------------------------------------------ */

static const VmField queue_state[] = {
  VM_FIELD_ARRAY (VmPs2Queue, data),
  VM_FIELD (VmPs2Queue, head),
  VM_FIELD (VmPs2Queue, count),
  { 0 },
};

static const VmField port_state[] = {
  VM_FIELD_EMBED (VmPs2Port, queue, queue_state),
  VM_FIELD (VmPs2Port, command),
  { 0 },
};

const VmField vm_ps2_kbd_state[] = {
  VM_FIELD_EMBED (VmPs2Kbd, port, port_state),
  VM_FIELD (VmPs2Kbd, scan_enabled),
  VM_FIELD (VmPs2Kbd, scan_set),
  VM_FIELD (VmPs2Kbd, leds),
  VM_FIELD (VmPs2Kbd, typematic),
  VM_FIELD (VmPs2Kbd, translate),
  { 0 },
};

const VmField vm_ps2_mouse_state[] = {
  VM_FIELD_EMBED (VmPs2Mouse, port, port_state),
  VM_FIELD (VmPs2Mouse, status),
  VM_FIELD (VmPs2Mouse, resolution),
  VM_FIELD (VmPs2Mouse, sample_rate),
  VM_FIELD (VmPs2Mouse, wrap),
  VM_FIELD (VmPs2Mouse, type),
  VM_FIELD (VmPs2Mouse, detect),
  VM_FIELD (VmPs2Mouse, dx),
  VM_FIELD (VmPs2Mouse, dy),
  VM_FIELD (VmPs2Mouse, dz),
  VM_FIELD (VmPs2Mouse, buttons),
  VM_FIELD (VmPs2Mouse, sent_buttons),
  { 0 },
};
