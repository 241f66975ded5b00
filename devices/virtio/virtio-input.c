/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keyboard, mouse, tablet and touch screen (OASIS Virtual I/O Device 1.2, 5.8), with their fronts on PCI. */
#include "devices/virtio/virtio-pci.h"

#include "engine/display/display.h"
#include "engine/input/input.h"

#include <linux/input.h>

enum { QUEUE_SIZE = 64, EVENT_SIZE = 8, EVENTS_MAX = 32, DATA_MAX = 128 };
enum { CFG_SELECT = 0, CFG_SUBSEL = 1, CFG_LENGTH = 2, CFG_DATA = 8 };
enum { ID_NAME = 1, ID_SERIAL = 2, ID_DEVIDS = 3, PROP_BITS = 0x10, EV_BITS = 0x11, ABS_INFO = 0x12 };
enum { PCI_CLASS_KEYBOARD = 0x0900, PCI_CLASS_MOUSE = 0x0902, PCI_CLASS_INPUT = 0x0980 };

typedef enum InputKind
{
  INPUT_KEYBOARD,
  INPUT_MOUSE,
  INPUT_TABLET,
  INPUT_MULTITOUCH
} InputKind;

typedef struct VirtioInput {
  VmVirtio parent;
  /* properties */
  char    *serial, *display;
  uint32_t head;
  bool     wheel_axis;
  /* wiring */
  VmVirtqueue    *events;
  VmInputHandler *handler;  /* while a driver listens */
  VmConsole      *console;  /* NULL: any */
  uint8_t         group[EVENTS_MAX][EVENT_SIZE];
  unsigned        n_group;
  bool            overflow; /* the group is too big */
  uint32_t fingers;         /* bits of the slots that touch */
  /* guest state */
  uint8_t  select, subsel;
  uint32_t leds;
} VirtioInput;

extern const VmType vm_virtio_keyboard_type, vm_virtio_mouse_type, vm_virtio_tablet_type, vm_virtio_multitouch_type;

static InputKind
kind_of (const VirtioInput *s)
{
  const VmType *type = s->parent.parent.parent.type;

  return type == &vm_virtio_keyboard_type ? INPUT_KEYBOARD
         : type == &vm_virtio_mouse_type  ? INPUT_MOUSE
         : type == &vm_virtio_tablet_type ? INPUT_TABLET
                                          : INPUT_MULTITOUCH;
}

/* --- what it says of itself ------------------------------------------------------------------------------ */

static void
set_bit (uint8_t *bits, unsigned bit)
{
  bits[bit / 8] |= (uint8_t) (1 << bit % 8);
}

static void
key_bits (const VirtioInput *s, uint8_t *bits)
{
  static const uint16_t buttons[] = { BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA, BTN_GEAR_UP,
                                      BTN_GEAR_DOWN };

  if (kind_of (s) == INPUT_KEYBOARD)
    {
      for (unsigned key = 1; key < 256; key++)
        if (vm_key_name ((uint16_t) key))
          set_bit (bits, key);
      return;
    }
  for (size_t i = 0; i < G_N_ELEMENTS (buttons) && kind_of (s) != INPUT_MULTITOUCH; i++)
    set_bit (bits, buttons[i]);
  if (kind_of (s) == INPUT_MULTITOUCH)
    set_bit (bits, BTN_TOUCH);
}

static void
event_bits (const VirtioInput *s, uint8_t subsel, uint8_t *bits)
{
  InputKind kind = kind_of (s);

  if (subsel == EV_KEY)
    key_bits (s, bits);
  else if (subsel == EV_LED && kind == INPUT_KEYBOARD)
    bits[0] = 1 << LED_NUML | 1 << LED_CAPSL | 1 << LED_SCROLLL;
  else if (subsel == EV_REP && kind == INPUT_KEYBOARD)
    bits[0] = 1 << REP_DELAY | 1 << REP_PERIOD;
  else if (subsel == EV_ABS && kind == INPUT_TABLET)
    bits[0] = 1 << ABS_X | 1 << ABS_Y;
  else if (subsel == EV_ABS && kind == INPUT_MULTITOUCH)
    {
      set_bit (bits, ABS_MT_SLOT);
      set_bit (bits, ABS_MT_TRACKING_ID);
      set_bit (bits, ABS_MT_POSITION_X);
      set_bit (bits, ABS_MT_POSITION_Y);
    }
  else if (subsel == EV_REL && (kind == INPUT_MOUSE || kind == INPUT_TABLET))
    {
      if (kind == INPUT_MOUSE)
        bits[0] = 1 << REL_X | 1 << REL_Y;
      if (s->wheel_axis)
        {
          set_bit (bits, REL_WHEEL);
          set_bit (bits, REL_HWHEEL);
        }
    }
}

static size_t
put_text (uint8_t *data, const char *text)
{
  size_t len = text ? MIN (strlen (text), DATA_MAX) : 0;

  memcpy (data, text ? text : "", len);
  return len;
}

/* The greatest value of an axis; 0: there is no such axis. */
static uint32_t
axis_max (const VirtioInput *s, uint8_t axis)
{
  if (kind_of (s) == INPUT_TABLET)
    return axis <= ABS_Y ? VM_ABS_MAX : 0;
  if (kind_of (s) != INPUT_MULTITOUCH)
    return 0;
  if (axis == ABS_MT_SLOT || axis == ABS_MT_TRACKING_ID)
    return VM_TOUCH_SLOTS - 1;
  return axis == ABS_MT_POSITION_X || axis == ABS_MT_POSITION_Y ? VM_ABS_MAX : 0;
}

/* What SELECT and SUBSEL ask for; its length. */
static size_t
answer (const VirtioInput *s, uint8_t select, uint8_t subsel, uint8_t data[DATA_MAX])
{
  static const char *const names[]
      = { "Vitrine Virtio Keyboard", "Vitrine Virtio Mouse", "Vitrine Virtio Tablet", "Vitrine Virtio MultiTouch" };
  size_t len = DATA_MAX;

  memset (data, 0, DATA_MAX);
  switch (select)
    {
    case ID_NAME:
      return put_text (data, names[kind_of (s)]);
    case ID_SERIAL:
      return put_text (data, s->serial);
    case ID_DEVIDS:
      vm_store_le16 (data, BUS_VIRTUAL);
      vm_store_le16 (data + 2, 0x0627);
      vm_store_le16 (data + 4, (uint16_t) (1 + kind_of (s)));
      vm_store_le16 (data + 6, 1);
      return 8;
    case EV_BITS:
      event_bits (s, subsel, data);
      while (len && !data[len - 1])
        len--;
      return len;
    case PROP_BITS:
      if (kind_of (s) != INPUT_MULTITOUCH)
        return 0;
      set_bit (data, INPUT_PROP_DIRECT);
      return 1;
    case ABS_INFO:
      if (!axis_max (s, subsel))
        return 0;
      vm_store_le32 (data + 4, axis_max (s, subsel)); /* from 0 */
      return 20;
    default:
      return 0;
    }
}

static void
input_config_get (VmVirtio *v, uint8_t *config)
{
  const VirtioInput *s = (const VirtioInput *) v;

  config[CFG_SELECT] = s->select;
  config[CFG_SUBSEL] = s->subsel;
  config[CFG_LENGTH] = (uint8_t) answer (s, s->select, s->subsel, config + CFG_DATA);
}

static void
input_config_set (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size)
{
  VirtioInput *s = (VirtioInput *) v;

  s->select = config[CFG_SELECT];
  s->subsel = config[CFG_SUBSEL];
}

/* --- events ------------------------------------------------------------------------------------------------ */

static void
group_add (VirtioInput *s, uint16_t type, uint16_t code, int32_t value)
{
  uint8_t *event = s->group[s->n_group];

  s->overflow |= s->n_group == EVENTS_MAX;
  if (s->overflow)
    return;
  vm_store_le16 (event, type);
  vm_store_le16 (event + 2, code);
  vm_store_le32 (event + 4, (uint32_t) value);
  s->n_group++;
}

static void
button_event (VirtioInput *s, uint16_t button, bool down)
{
  static const uint16_t codes[VM_BUTTON_N] = {
    [VM_BUTTON_LEFT] = BTN_LEFT, [VM_BUTTON_MIDDLE] = BTN_MIDDLE, [VM_BUTTON_RIGHT] = BTN_RIGHT,
    [VM_BUTTON_WHEEL_UP] = BTN_GEAR_UP, [VM_BUTTON_WHEEL_DOWN] = BTN_GEAR_DOWN, [VM_BUTTON_SIDE] = BTN_SIDE,
    [VM_BUTTON_EXTRA] = BTN_EXTRA,
  };

  if (button >= VM_BUTTON_N)
    return;
  if (s->wheel_axis && (button == VM_BUTTON_WHEEL_UP || button == VM_BUTTON_WHEEL_DOWN))
    {
      if (down)
        group_add (s, EV_REL, REL_WHEEL, button == VM_BUTTON_WHEEL_UP ? 1 : -1);
    }
  else if (s->wheel_axis && (button == VM_BUTTON_WHEEL_LEFT || button == VM_BUTTON_WHEEL_RIGHT))
    {
      if (down)
        group_add (s, EV_REL, REL_HWHEEL, button == VM_BUTTON_WHEEL_RIGHT ? 1 : -1);
    }
  else if (codes[button])
    group_add (s, EV_KEY, codes[button], down);
}

/* A finger goes by the second protocol of Linux: its slot, then what changed of it. */
static void
touch_event (VirtioInput *s, const VmInputEvent *event)
{
  bool was = s->fingers != 0;

  group_add (s, EV_ABS, ABS_MT_SLOT, event->slot);
  if (event->code != VM_TOUCH_CONTACT)
    {
      group_add (s, EV_ABS, event->code == VM_AXIS_X ? ABS_MT_POSITION_X : ABS_MT_POSITION_Y, event->value);
      return;
    }
  s->fingers = event->down ? s->fingers | 1u << event->slot : s->fingers & ~(1u << event->slot);
  group_add (s, EV_ABS, ABS_MT_TRACKING_ID, event->down ? event->slot : -1);
  if (was != (s->fingers != 0))
    group_add (s, EV_KEY, BTN_TOUCH, event->down);
}

static void
on_event (void *opaque, const VmInputEvent *event)
{
  VirtioInput *s = opaque;

  switch (event->kind)
    {
    case VM_INPUT_KEY:
      group_add (s, EV_KEY, event->code, event->down);
      break;
    case VM_INPUT_BUTTON:
      button_event (s, event->code, event->down);
      break;
    case VM_INPUT_REL:
      group_add (s, EV_REL, event->code == VM_AXIS_X ? REL_X : REL_Y, event->value);
      break;
    case VM_INPUT_ABS:
      group_add (s, EV_ABS, event->code == VM_AXIS_X ? ABS_X : ABS_Y, event->value);
      break;
    case VM_INPUT_TOUCH:
      touch_event (s, event);
      break;
    default:
      break;
    }
}

/* All of a group, or nothing: half of it would say something else. */
static void
on_sync (void *opaque)
{
  VirtioInput *s = opaque;
  VmVirtqElement *elements[EVENTS_MAX + 1];
  unsigned n = 0, wanted;

  wanted = s->overflow || !s->n_group ? 0 : s->n_group + 1;
  while (n < wanted && (elements[n] = vm_virtqueue_pop (s->events, sizeof *elements[n])))
    n++;
  if (n < wanted)
    while (n > 0)
      vm_virtqueue_unpop (elements[--n]);
  for (unsigned i = 0; i < n; i++)
    {
      static const uint8_t end[EVENT_SIZE]; /* EV_SYN, SYN_REPORT */
      VmVirtqElement *e = elements[i];
      size_t size = vm_iov_put (vm_virtq_in (e), e->n_in, 0, i + 1 < n ? s->group[i] : end, EVENT_SIZE);

      vm_virtqueue_push (e, (uint32_t) size);
    }
  s->n_group = 0;
  s->overflow = false;
}

static const VmInputHandlerOps keyboard_ops = {
  .name = "Virtio keyboard", .kinds = 1 << VM_INPUT_KEY, .event = on_event, .sync = on_sync,
};
static const VmInputHandlerOps mouse_ops = {
  .name = "Virtio mouse", .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_REL, .event = on_event, .sync = on_sync,
};
static const VmInputHandlerOps tablet_ops = {
  .name = "Virtio tablet", .kinds = 1 << VM_INPUT_BUTTON | 1 << VM_INPUT_ABS, .event = on_event, .sync = on_sync,
};
static const VmInputHandlerOps multitouch_ops = {
  .name = "Virtio MultiTouch",
  .kinds = 1 << VM_INPUT_TOUCH,
  .event = on_event,
  .sync = on_sync,
};

/* The lights. */
static void
handle_status (VmVirtio *v, VmVirtqueue *q)
{
  static const uint32_t lights[] = { [LED_NUML] = VM_LED_NUM, [LED_CAPSL] = VM_LED_CAPS,
                                     [LED_SCROLLL] = VM_LED_SCROLL };
  VirtioInput *s = (VirtioInput *) v;
  VmVirtqElement *e;

  vm_virtqueue_set_notification (q, false);
  while ((e = vm_virtqueue_next (q, sizeof *e)))
    {
      uint8_t event[EVENT_SIZE] = { 0 };
      uint16_t code;

      vm_iov_get (vm_virtq_out (e), e->n_out, 0, event, sizeof event);
      vm_virtqueue_push (e, 0);
      code = vm_load_le16 (event + 2);
      if (vm_load_le16 (event) != EV_LED || code >= G_N_ELEMENTS (lights) || kind_of (s) != INPUT_KEYBOARD)
        continue;
      s->leds = vm_load_le32 (event + 4) ? s->leds | lights[code] : s->leds & ~lights[code];
      vm_input_set_leds (v->parent.env->input, s->leds);
    }
}

static void
listen (VirtioInput *s, bool on)
{
  static const VmInputHandlerOps *const ops[] = { &keyboard_ops, &mouse_ops, &tablet_ops, &multitouch_ops };
  VmInput *input = s->parent.parent.env->input;

  if (!input || on == (s->handler != NULL))
    return;
  s->n_group = 0;
  s->overflow = false;
  s->fingers = 0;
  if (on)
    {
      s->handler = vm_input_register (input, ops[kind_of (s)], s, s->console);
      vm_input_activate (s->handler);
    }
  else
    {
      vm_input_unregister (s->handler);
      s->handler = NULL;
    }
}

static void
input_status_set (VmVirtio *v, uint8_t old)
{
  VirtioInput *s = (VirtioInput *) v;

  if (!v->status)
    {
      s->select = s->subsel = 0;
      s->leds = 0;
    }
  listen (s, v->status & VIRTIO_STATUS_DRIVER_OK);
}

/* --- life -------------------------------------------------------------------------------------------------- */

static void
handle_events (VmVirtio *v, VmVirtqueue *q)
{
}

static bool
input_realize (VmDevice *dev, GError **error)
{
  VirtioInput *s = (VirtioInput *) dev;
  uint8_t data[DATA_MAX];

  if (s->display && *s->display)
    {
      s->console = dev->env->display ? vm_display_find_console (dev->env->display, s->display, s->head) : NULL;
      if (!s->console)
        return vm_fail (error, "display=%s: there is no such display with head %u", s->display, s->head);
    }
  /* As much as its longest answer needs. */
  for (unsigned select = ID_NAME; select <= ABS_INFO; select++)
    for (unsigned subsel = 0; subsel < EV_CNT; subsel++)
      s->parent.config_size = MAX (s->parent.config_size,
                                   CFG_DATA + (uint32_t) answer (s, (uint8_t) select, (uint8_t) subsel, data));
  s->events = vm_virtio_add_queue (&s->parent, QUEUE_SIZE, handle_events);
  vm_virtio_add_queue (&s->parent, QUEUE_SIZE, handle_status);
  return true;
}

static void
input_unrealize (VmDevice *dev)
{
  vm_virtio_shut_down (&((VirtioInput *) dev)->parent);
}

static bool
input_post_load (VmDevice *dev, GError **error)
{
  VirtioInput *s = (VirtioInput *) dev;

  listen (s, s->parent.status & VIRTIO_STATUS_DRIVER_OK);
  if (kind_of (s) == INPUT_KEYBOARD && dev->env->input && s->handler)
    vm_input_set_leds (dev->env->input, s->leds);
  return true;
}

static const VmProp input_props[] = {
  VM_PROP_STRING ("serial", VirtioInput, serial, NULL, "serial number"),
  VM_PROP_STRING ("display", VirtioInput, display, NULL, "device whose viewers it hears; none: all"),
  VM_PROP ("head", VirtioInput, head, 0, "of that device"),
  { 0 }
};

static const VmProp wheel_props[] = {
  VM_PROP ("wheel-axis", VirtioInput, wheel_axis, true, "the wheel is an axis, not two buttons"),
  { 0 }
};

static const VmField input_state[] = {
  VM_FIELD (VirtioInput, select),
  VM_FIELD (VirtioInput, subsel),
  VM_FIELD (VirtioInput, leds),
  { 0 }
};

static const VmVirtioClass input_class = {
  .parent = { .realize = input_realize, .unrealize = input_unrealize, .post_load = input_post_load,
              .category = "Input", .user_creatable = true, .hotpluggable = true },
  .id = VIRTIO_ID_INPUT, .modern_only = true, .config_get = input_config_get, .config_set = input_config_set,
  .status_set = input_status_set,
};

const VmType vm_virtio_input_type = {
  .name = "virtio-input-device", .parent = &vm_virtio_type, .size = sizeof (VirtioInput), .abstract = true,
  .help = "Virtio input device", .props = input_props, .state = input_state, .klass = &input_class,
};
const VmType vm_virtio_keyboard_type = {
  .name = "virtio-keyboard-device", .parent = &vm_virtio_input_type, .size = sizeof (VirtioInput),
  .help = "Virtio keyboard",
};
const VmType vm_virtio_mouse_type = {
  .name = "virtio-mouse-device", .parent = &vm_virtio_input_type, .size = sizeof (VirtioInput),
  .help = "Virtio mouse", .props = wheel_props,
};
const VmType vm_virtio_tablet_type = {
  .name = "virtio-tablet-device", .parent = &vm_virtio_input_type, .size = sizeof (VirtioInput),
  .help = "Virtio tablet", .props = wheel_props,
};
const VmType vm_virtio_multitouch_type = {
  .name = "virtio-multitouch-device",
  .parent = &vm_virtio_input_type,
  .size = sizeof (VirtioInput),
  .help = "Virtio touch screen",
};

/* --- on PCI ------------------------------------------------------------------------------------------------ */

typedef struct InputPci {
  VmVirtioPci parent;
  VirtioInput input;
} InputPci;

static void
keyboard_pci_init (VmObject *obj)
{
  vm_virtio_pci_init ((VmVirtioPci *) obj, &((InputPci *) obj)->input.parent, &vm_virtio_keyboard_type);
}

static void
mouse_pci_init (VmObject *obj)
{
  vm_virtio_pci_init ((VmVirtioPci *) obj, &((InputPci *) obj)->input.parent, &vm_virtio_mouse_type);
}

static void
tablet_pci_init (VmObject *obj)
{
  vm_virtio_pci_init ((VmVirtioPci *) obj, &((InputPci *) obj)->input.parent, &vm_virtio_tablet_type);
}

static void
multitouch_pci_init (VmObject *obj)
{
  vm_virtio_pci_init ((VmVirtioPci *) obj, &((InputPci *) obj)->input.parent, &vm_virtio_multitouch_type);
}

static const VmProp input_pci_props[] = {
  VM_VIRTIO_PCI_GENERIC_PROPS,
  VM_VIRTIO_PCI_VECTORS_PROP (2),
  VM_PROP_EMBED (InputPci, input, vm_virtio_props),
  VM_PROP_EMBED (InputPci, input, input_props),
  { 0 }
};

static const VmProp wheel_pci_props[] = {
  VM_PROP_EMBED (InputPci, input, wheel_props),
  { 0 }
};

static const VmVirtioPciClass keyboard_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_KEYBOARD, VM_VIRTIO_PCI_GENERIC, NULL, "Input");
static const VmVirtioPciClass mouse_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_MOUSE, VM_VIRTIO_PCI_GENERIC, NULL, "Input");
static const VmVirtioPciClass tablet_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_INPUT, VM_VIRTIO_PCI_GENERIC, NULL, "Input");

const VmType vm_virtio_input_pci_type = {
  .name = "virtio-input-pci", .parent = &vm_virtio_pci_type, .size = sizeof (InputPci), .abstract = true,
  .help = "Virtio input device on PCI", .props = input_pci_props,
};
const VmType vm_virtio_keyboard_pci_type = {
  .name = "virtio-keyboard-pci", .parent = &vm_virtio_input_pci_type, .size = sizeof (InputPci),
  .help = "Virtio keyboard on PCI", .klass = &keyboard_class, .init = keyboard_pci_init,
};
const VmType vm_virtio_mouse_pci_type = {
  .name = "virtio-mouse-pci", .parent = &vm_virtio_input_pci_type, .size = sizeof (InputPci),
  .help = "Virtio mouse on PCI", .props = wheel_pci_props, .klass = &mouse_class, .init = mouse_pci_init,
};
const VmType vm_virtio_tablet_pci_type = {
  .name = "virtio-tablet-pci", .parent = &vm_virtio_input_pci_type, .size = sizeof (InputPci),
  .help = "Virtio tablet on PCI", .props = wheel_pci_props, .klass = &tablet_class, .init = tablet_pci_init,
};
const VmType vm_virtio_multitouch_pci_type = {
  .name = "virtio-multitouch-pci",
  .parent = &vm_virtio_input_pci_type,
  .size = sizeof (InputPci),
  .help = "Virtio touch screen on PCI",
  .klass = &tablet_class,
  .init = multitouch_pci_init,
};
