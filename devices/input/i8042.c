/* SPDX-License-Identifier: GPL-3.0-or-later */
/* 8042 keyboard controller of the AT and PS/2 (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device Controller"), ports 60h and 64h. */
#include "devices/input/i8042.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"

enum { /* status */
  STATUS_OBF = 1 << 0, STATUS_SYS = 1 << 2, STATUS_COMMAND = 1 << 3, STATUS_UNLOCKED = 1 << 4, STATUS_AUX = 1 << 5,
};
enum { /* command byte */
  MODE_KBD_INT = 1 << 0, MODE_MOUSE_INT = 1 << 1, MODE_SYS = 1 << 2, MODE_DISABLE_KBD = 1 << 4,
  MODE_DISABLE_MOUSE = 1 << 5, MODE_TRANSLATE = 1 << 6,
};
enum { /* output port */
  OUT_RESET = 1 << 0, OUT_A20 = 1 << 1, OUT_OBF = 1 << 4, OUT_MOUSE_OBF = 1 << 5, OUT_ONES = 0xcc,
};
enum { /* what the output buffer holds; it stays until it is read, whoever has news meanwhile */
  SOURCE_NONE, SOURCE_CONTROLLER, SOURCE_CONTROLLER_AUX, SOURCE_KBD, SOURCE_MOUSE,
};

struct VmI8042 {
  VmIsaDevice parent;
  /* properties */
  uint8_t  kbd_irq_number, mouse_irq_number;
  bool     extended_state, kbd_throttle;
  /* wiring */
  VmIrq      kbd_irq, mouse_irq, a20;
  VmRegion   data_region, command_region;
  VmPs2Kbd   kbd;
  VmPs2Mouse mouse;
  /* guest state */
  uint8_t  status, mode, outport, source, reply;
  int32_t  command;  /* waits for its parameter at port 60h; -1: none */
  uint8_t  ram[32];
};

static void
i8042_drive_irqs (VmI8042 *kbc)
{
  bool aux = kbc->source == SOURCE_MOUSE || kbc->source == SOURCE_CONTROLLER_AUX;
  bool full = kbc->source != SOURCE_NONE;

  kbc->status &= ~(STATUS_OBF | STATUS_AUX);
  kbc->outport &= ~(OUT_OBF | OUT_MOUSE_OBF);
  if (full)
    {
      kbc->status |= STATUS_OBF | (aux ? STATUS_AUX : 0);
      kbc->outport |= aux ? OUT_MOUSE_OBF : OUT_OBF;
    }
  vm_irq_set (&kbc->kbd_irq, full && !aux && (kbc->mode & MODE_KBD_INT));
  vm_irq_set (&kbc->mouse_irq, full && aux && (kbc->mode & MODE_MOUSE_INT));
}

/* An empty output buffer takes what is next. */
static void
i8042_update (VmI8042 *kbc)
{
  if (kbc->source == SOURCE_NONE)
    {
      if (vm_ps2_port_ready (&kbc->kbd.port) && !(kbc->mode & MODE_DISABLE_KBD))
        kbc->source = SOURCE_KBD;
      else if (vm_ps2_port_ready (&kbc->mouse.port) && !(kbc->mode & MODE_DISABLE_MOUSE))
        kbc->source = SOURCE_MOUSE;
    }
  i8042_drive_irqs (kbc);
}

static void
i8042_port_changed (void *opaque, int n, int level)
{
  if (level)
    i8042_update (opaque);
}

static void
i8042_reply (VmI8042 *kbc, uint8_t byte, bool aux)
{
  kbc->reply = byte;
  kbc->source = aux ? SOURCE_CONTROLLER_AUX : SOURCE_CONTROLLER;
  i8042_drive_irqs (kbc);
}

static void
i8042_write_outport (VmI8042 *kbc, uint8_t value)
{
  kbc->outport = (value & (OUT_A20 | OUT_RESET)) | (kbc->outport & ~(OUT_A20 | OUT_RESET));
  vm_irq_set (&kbc->a20, !!(value & OUT_A20));
  if (!(value & OUT_RESET))
    kbc->parent.parent.env->request_reset (kbc->parent.parent.env->machine, VM_RESET_COLD);
}

static uint64_t
i8042_data_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI8042 *kbc = opaque;
  uint8_t byte = kbc->reply;
  uint8_t source = kbc->source;

  kbc->source = SOURCE_NONE;
  vm_irq_lower (&kbc->kbd_irq);
  vm_irq_lower (&kbc->mouse_irq);
  if (source == SOURCE_KBD)
    byte = vm_ps2_port_read (&kbc->kbd.port);
  else if (source == SOURCE_MOUSE)
    byte = vm_ps2_port_read (&kbc->mouse.port);
  kbc->reply = byte; /* an empty buffer reads the same again */
  i8042_update (kbc);
  return byte;
}

static void
i8042_write_mode (VmI8042 *kbc, uint8_t value)
{
  kbc->mode = kbc->ram[0] = value;
  kbc->status = (kbc->status & ~STATUS_SYS) | (value & MODE_SYS);
  vm_ps2_kbd_set_translation (&kbc->kbd, value & MODE_TRANSLATE);
  i8042_update (kbc);
}

static void
i8042_data_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8042 *kbc = opaque;
  int32_t command = kbc->command;

  kbc->command = -1;
  kbc->status &= ~STATUS_COMMAND;
  switch (command)
    {
    case -1:
      /* A byte for the keyboard turns its interface on. */
      kbc->mode &= ~MODE_DISABLE_KBD;
      vm_ps2_kbd_write (&kbc->kbd, value);
      break;
    case 0x60:
      i8042_write_mode (kbc, value);
      break;
    case 0xd1:
      i8042_write_outport (kbc, value);
      break;
    case 0xd2:
      i8042_reply (kbc, value, false);
      break;
    case 0xd3:
      i8042_reply (kbc, value, true);
      break;
    case 0xd4:
      kbc->mode &= ~MODE_DISABLE_MOUSE;
      vm_ps2_mouse_write (&kbc->mouse, value);
      break;
    default:
      if (command > 0x60 && command < 0x80)
        kbc->ram[command & 31] = value;
      break;
    }
}

static uint64_t
i8042_status_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((VmI8042 *) opaque)->status;
}

static void
i8042_command_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8042 *kbc = opaque;

  vm_trace (KBD_WRITE_COMMAND, "value 0x%02x", (unsigned) value);
  kbc->status |= STATUS_COMMAND;
  kbc->command = -1;
  switch (value)
    {
    case 0x20:
      i8042_reply (kbc, kbc->mode, false);
      break;
    case 0x21 ... 0x3f:
      i8042_reply (kbc, kbc->ram[value & 31], false);
      break;
    case 0x60 ... 0x7f:
    case 0xd1: /* output port */
    case 0xd2: /* as if from the keyboard */
    case 0xd3: /* as if from the mouse */
    case 0xd4: /* to the mouse */
      kbc->command = value;
      break;
    case 0xa7:
      kbc->mode |= MODE_DISABLE_MOUSE;
      break;
    case 0xa8:
      kbc->mode &= ~MODE_DISABLE_MOUSE;
      i8042_update (kbc);
      break;
    case 0xa9: /* interface test: no fault */
    case 0xab:
      i8042_reply (kbc, 0, false);
      break;
    case 0xaa:
      kbc->status |= STATUS_SYS;
      i8042_reply (kbc, 0x55, false);
      break;
    case 0xad:
      kbc->mode |= MODE_DISABLE_KBD;
      break;
    case 0xae:
      kbc->mode &= ~MODE_DISABLE_KBD;
      i8042_update (kbc);
      break;
    case 0xc0: /* input port: keyboard not inhibited */
      i8042_reply (kbc, 0x80, false);
      break;
    case 0xd0:
      i8042_reply (kbc, kbc->outport, false);
      break;
    case 0xdd: /* A20 off and on, of some chipsets */
      i8042_write_outport (kbc, kbc->outport & ~OUT_A20);
      break;
    case 0xdf:
      i8042_write_outport (kbc, kbc->outport | OUT_A20);
      break;
    case 0xf0 ... 0xff: /* pulses low the output bits that are zero */
      if (!(value & OUT_RESET))
        kbc->parent.parent.env->request_reset (kbc->parent.parent.env->machine, VM_RESET_COLD);
      break;
    default:
      vm_guest_error ("i8042", "unknown command %02x", (unsigned) value);
      break;
    }
}

static const VmRegionOps i8042_data_ops = {
  .read = i8042_data_read,
  .write = i8042_data_write,
  .impl = { .min = 1, .max = 1 },
};

static const VmRegionOps i8042_command_ops = {
  .read = i8042_status_read,
  .write = i8042_command_write,
  .impl = { .min = 1, .max = 1 },
};

static void
i8042_reset (VmDevice *dev, VmResetKind kind)
{
  VmI8042 *kbc = (VmI8042 *) dev;

  kbc->mode = kbc->ram[0] = MODE_KBD_INT | MODE_MOUSE_INT;
  kbc->status = STATUS_UNLOCKED;
  kbc->outport = OUT_RESET | OUT_A20 | OUT_ONES;
  kbc->source = SOURCE_NONE;
  kbc->reply = 0;
  kbc->command = -1;
  vm_ps2_kbd_reset (&kbc->kbd);
  vm_ps2_mouse_reset (&kbc->mouse);
  i8042_drive_irqs (kbc);
  vm_irq_raise (&kbc->a20);
}

static bool
i8042_post_load (VmDevice *dev, GError **error)
{
  VmI8042 *kbc = (VmI8042 *) dev;
  VmPs2Queue *queues[] = { &kbc->kbd.port.queue, &kbc->mouse.port.queue };

  for (size_t i = 0; i < G_N_ELEMENTS (queues); i++)
    if (queues[i]->head >= VM_PS2_QUEUE || queues[i]->count > VM_PS2_QUEUE)
      return vm_fail (error, "i8042: impossible queue of %u bytes", queues[i]->count);
  if (kbc->source > SOURCE_MOUSE || kbc->kbd.scan_set > 3 || kbc->mouse.type > 4)
    return vm_fail (error, "i8042: impossible state");
  return true;
}

static bool
i8042_realize (VmDevice *dev, GError **error)
{
  VmI8042 *kbc = (VmI8042 *) dev;
  VmEnv *env = dev->env;

  if (kbc->kbd_irq_number >= VM_ISA_IRQS || kbc->mouse_irq_number >= VM_ISA_IRQS)
    return vm_fail (error, "Maximum value for \"kbd-irq\" and \"mouse-irq\" is 15");
  kbc->kbd_irq = vm_isa_irq (dev, kbc->kbd_irq_number);
  kbc->mouse_irq = vm_isa_irq (dev, kbc->mouse_irq_number);
  vm_region_init_io (&kbc->data_region, env->memory, &i8042_data_ops, kbc, "i8042-data", 1);
  vm_region_init_io (&kbc->command_region, env->memory, &i8042_command_ops, kbc, "i8042-cmd", 1);
  if (!vm_isa_add_io (dev, 0x60, &kbc->data_region, error) || !vm_isa_add_io (dev, 0x64, &kbc->command_region, error))
    return false;
  kbc->kbd.port.changed = (VmIrq) { i8042_port_changed, kbc, 0 };
  kbc->mouse.port.changed = (VmIrq) { i8042_port_changed, kbc, 1 };
  vm_ps2_kbd_attach (&kbc->kbd, env->input);
  vm_ps2_mouse_attach (&kbc->mouse, env->input);
  return true;
}

static void
i8042_unrealize (VmDevice *dev)
{
  VmI8042 *kbc = (VmI8042 *) dev;

  vm_ps2_kbd_detach (&kbc->kbd);
  vm_ps2_mouse_detach (&kbc->mouse);
}

void
vm_i8042_set_a20 (VmI8042 *kbc, VmIrq a20)
{
  kbc->a20 = a20;
}

VmPs2Mouse *
vm_i8042_mouse (VmI8042 *kbc)
{
  return &kbc->mouse;
}

static const VmProp i8042_props[] = {
  VM_PROP ("extended-state", VmI8042, extended_state, true, "save the whole state of the controller"),
  VM_PROP ("kbd-throttle", VmI8042, kbd_throttle, false, "accepted for old machine types"),
  VM_PROP ("kbd-irq", VmI8042, kbd_irq_number, 1, "ISA interrupt line of the keyboard"),
  VM_PROP ("mouse-irq", VmI8042, mouse_irq_number, 12, "ISA interrupt line of the mouse"),
  { 0 },
};

static const VmField i8042_state[] = {
  VM_FIELD (VmI8042, status),
  VM_FIELD (VmI8042, mode),
  VM_FIELD (VmI8042, outport),
  VM_FIELD (VmI8042, source),
  VM_FIELD (VmI8042, reply),
  VM_FIELD (VmI8042, command),
  VM_FIELD_ARRAY (VmI8042, ram),
  VM_FIELD_EMBED (VmI8042, kbd, vm_ps2_kbd_state),
  VM_FIELD_EMBED (VmI8042, mouse, vm_ps2_mouse_state),
  { 0 },
};

static const VmDeviceClass i8042_class = {
  .realize = i8042_realize,
  .unrealize = i8042_unrealize,
  .reset = i8042_reset,
  .post_load = i8042_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Input",
};

const VmType vm_i8042_type = {
  .name = "i8042",
  .parent = &vm_isa_device_type,
  .size = sizeof (VmI8042),
  .help = "Keyboard controller with PS/2 keyboard and mouse",
  .props = i8042_props,
  .state = i8042_state,
  .klass = &i8042_class,
};
