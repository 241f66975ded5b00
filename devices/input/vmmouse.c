/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The absolute pointer of the VMware backdoor: commands 39 (data), 40 (status) and 41 (command), after the
 * published guest drivers' description of the protocol. */
#include "devices/input/vmmouse.h"
#include "engine/base/log.h"

#define QUEUE 1024 /* words; a packet has four */
#define PACKET 4
#define VERSION_ID 0x3442554au

enum { CMD_DATA = 39, CMD_STATUS = 40, CMD_COMMAND = 41 };
enum { COMMAND_READ_ID = 0x45414552, COMMAND_DISABLE = 0xf5, COMMAND_RELATIVE = 0x4c455252, COMMAND_ABSOLUTE = 0x53424152 };
enum { BUTTON_MIDDLE = 0x08, BUTTON_RIGHT = 0x10, BUTTON_LEFT = 0x20, PACKET_RELATIVE = 0x00010000 };
#define STATUS_DISABLED 0xffff0000u

struct VmVmmouse {
  VmIsaDevice parent;
  /* wiring */
  VmVmport       *port;
  VmI8042        *kbc;
  VmInputHandler *handler;
  /* guest state */
  uint32_t queue[QUEUE];
  uint32_t n, status;
  bool     absolute;
  uint8_t  buttons;
  int32_t  x, y, dz;
};


static void
vmmouse_set_handler (VmVmmouse *mouse, const VmInputHandlerOps *ops)
{
  if (mouse->handler)
    vm_input_unregister (mouse->handler);
  mouse->handler = NULL;
  if (ops)
    {
      mouse->handler = vm_input_register (mouse->parent.parent.env->input, ops, mouse, NULL);
      vm_input_activate (mouse->handler);
    }
}

static void
vmmouse_event (void *opaque, const VmInputEvent *event)
{
  static const uint8_t bits[VM_BUTTON_N] = {
    [VM_BUTTON_LEFT] = BUTTON_LEFT, [VM_BUTTON_RIGHT] = BUTTON_RIGHT, [VM_BUTTON_MIDDLE] = BUTTON_MIDDLE,
  };
  VmVmmouse *mouse = opaque;

  switch (event->kind)
    {
    case VM_INPUT_ABS:
      *(event->code == VM_AXIS_X ? &mouse->x : &mouse->y) = event->value * 2;
      break;
    case VM_INPUT_REL:
      {
        int32_t *axis = event->code == VM_AXIS_X ? &mouse->x : &mouse->y;

        *axis = CLAMP (*axis + event->value, -4096, 4096);
        break;
      }
    case VM_INPUT_BUTTON:
      if (event->code == VM_BUTTON_WHEEL_UP || event->code == VM_BUTTON_WHEEL_DOWN)
        mouse->dz += !event->down ? 0 : event->code == VM_BUTTON_WHEEL_UP ? -1 : 1;
      else if (event->down)
        mouse->buttons |= bits[event->code];
      else
        mouse->buttons &= ~bits[event->code];
      break;
    default:
      break;
    }
}

static void
vmmouse_sync (void *opaque)
{
  VmVmmouse *mouse = opaque;

  /* A guest that does not listen misses the oldest news least. */
  if (mouse->n + PACKET <= QUEUE)
    {
      uint32_t *packet = mouse->queue + mouse->n;

      packet[0] = mouse->buttons | (mouse->absolute ? 0 : PACKET_RELATIVE);
      packet[1] = mouse->x;
      packet[2] = mouse->absolute ? mouse->y : -mouse->y;
      packet[3] = mouse->dz;
      mouse->n += PACKET;
      mouse->dz = 0;
      if (!mouse->absolute)
        mouse->x = mouse->y = 0;
    }
  vm_ps2_mouse_fake_event (vm_i8042_mouse (mouse->kbc));
}

static const VmInputHandlerOps vmmouse_absolute_ops = {
  .name = "vmmouse",
  .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_ABS,
  .event = vmmouse_event,
  .sync = vmmouse_sync,
};

static const VmInputHandlerOps vmmouse_relative_ops = {
  .name = "vmmouse",
  .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_REL,
  .event = vmmouse_event,
  .sync = vmmouse_sync,
};

static void
vmmouse_disable (VmVmmouse *mouse)
{
  mouse->status = STATUS_DISABLED;
  mouse->n = 0;
  vmmouse_set_handler (mouse, NULL);
}

static uint32_t
vmmouse_status (void *opaque, VmX86Env *env)
{
  VmVmmouse *mouse = opaque;

  return mouse->status | mouse->n;
}

static uint32_t
vmmouse_data (void *opaque, VmX86Env *env)
{
  VmVmmouse *mouse = opaque;
  uint32_t words = env->gpr[VM_RBX];
  uint32_t out[6] = { 0 };
  static const uint8_t place[6] = { VM_RAX, VM_RBX, VM_RCX, VM_RDX, VM_RSI, VM_RDI };

  if (words == 0 || words > G_N_ELEMENTS (out) || words > mouse->n)
    {
      vm_guest_error ("vmmouse", "reads %u words of %u", words, mouse->n);
      vmmouse_disable (mouse);
      return UINT32_MAX;
    }
  memcpy (out, mouse->queue, words * sizeof out[0]);
  mouse->n -= words;
  memmove (mouse->queue, mouse->queue + words, mouse->n * sizeof mouse->queue[0]);
  for (unsigned i = 1; i < words; i++)
    env->gpr[place[i]] = out[i];
  return out[0];
}

static uint32_t
vmmouse_command (void *opaque, VmX86Env *env)
{
  VmVmmouse *mouse = opaque;

  switch ((uint32_t) env->gpr[VM_RBX])
    {
    case COMMAND_READ_ID:
      mouse->status = 0;
      if (mouse->n < QUEUE)
        mouse->queue[mouse->n++] = VERSION_ID;
      break;
    case COMMAND_DISABLE:
      vmmouse_disable (mouse);
      break;
    case COMMAND_RELATIVE:
    case COMMAND_ABSOLUTE:
      mouse->absolute = (uint32_t) env->gpr[VM_RBX] == COMMAND_ABSOLUTE;
      mouse->x = mouse->y = mouse->dz = 0;
      vmmouse_set_handler (mouse, mouse->absolute ? &vmmouse_absolute_ops : &vmmouse_relative_ops);
      break;
    default:
      vm_guest_error ("vmmouse", "unknown command %08x", (uint32_t) env->gpr[VM_RBX]);
      break;
    }
  return env->gpr[VM_RAX];
}

void
vm_vmmouse_connect (VmVmmouse *mouse, VmVmport *port, VmI8042 *kbc)
{
  mouse->port = port;
  mouse->kbc = kbc;
}

static bool
vmmouse_realize (VmDevice *dev, GError **error)
{
  VmVmmouse *mouse = (VmVmmouse *) dev;

  if (!mouse->port || !mouse->kbc)
    return vm_fail (error, "'i8042' link is not set");
  vm_vmport_register (mouse->port, CMD_DATA, vmmouse_data, mouse);
  vm_vmport_register (mouse->port, CMD_STATUS, vmmouse_status, mouse);
  vm_vmport_register (mouse->port, CMD_COMMAND, vmmouse_command, mouse);
  return true;
}

static void
vmmouse_unrealize (VmDevice *dev)
{
  vmmouse_set_handler ((VmVmmouse *) dev, NULL);
}

static void
vmmouse_reset (VmDevice *dev, VmResetKind kind)
{
  VmVmmouse *mouse = (VmVmmouse *) dev;

  vmmouse_disable (mouse);
  mouse->absolute = false;
  mouse->buttons = 0;
}

static bool
vmmouse_post_load (VmDevice *dev, GError **error)
{
  VmVmmouse *mouse = (VmVmmouse *) dev;

  if (mouse->n > QUEUE)
    return vm_fail (error, "vmmouse: impossible queue of %u words", mouse->n);
  vmmouse_set_handler (mouse, mouse->status ? NULL
                              : mouse->absolute ? &vmmouse_absolute_ops : &vmmouse_relative_ops);
  return true;
}

static const VmField vmmouse_state[] = {
  VM_FIELD_ARRAY (VmVmmouse, queue),
  VM_FIELD (VmVmmouse, n),
  VM_FIELD (VmVmmouse, status),
  VM_FIELD (VmVmmouse, absolute),
  VM_FIELD (VmVmmouse, buttons),
  VM_FIELD (VmVmmouse, x),
  VM_FIELD (VmVmmouse, y),
  VM_FIELD (VmVmmouse, dz),
  { 0 },
};

static const VmDeviceClass vmmouse_class = {
  .realize = vmmouse_realize,
  .unrealize = vmmouse_unrealize,
  .reset = vmmouse_reset,
  .post_load = vmmouse_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Input",
};

const VmType vm_vmmouse_type = {
  .name = "vmmouse",
  .parent = &vm_isa_device_type,
  .size = sizeof (VmVmmouse),
  .help = "VMware absolute pointer",
  .state = vmmouse_state,
  .klass = &vmmouse_class,
};
