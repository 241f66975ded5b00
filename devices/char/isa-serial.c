/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A 16550A on the ISA bus: COM1 to COM4. */
#include "devices/char/uart16550.h"
#include "devices/isa/isa.h"

typedef struct IsaSerial {
  VmIsaDevice parent;
  /* properties */
  uint32_t    index, iobase, irq; /* all ones: by index, index by what is free */
  Uart16550   uart;
} IsaSerial;

static const uint16_t com_port[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
static const uint8_t  com_irq[4] = { 4, 3, 4, 3 };

extern const VmType vm_isa_serial_type;

/* The first of COM1 to COM4 that no other serial port on the bus has. */
static uint32_t
isa_serial_free_index (VmDevice *dev)
{
  uint32_t used = 0;

  for (unsigned i = 0; i < dev->bus->devices->len; i++)
    {
      VmDevice *other = dev->bus->devices->pdata[i];

      if (other != dev && other->realized && other->parent.type == &vm_isa_serial_type
          && ((IsaSerial *) other)->index < 32)
        used |= 1u << ((IsaSerial *) other)->index;
    }
  for (uint32_t i = 0; i < 32; i++)
    if (!(used & 1u << i))
      return i;
  return 32;
}

static bool
isa_serial_realize (VmDevice *dev, GError **error)
{
  IsaSerial *self = (IsaSerial *) dev;

  if (self->index == UINT32_MAX)
    self->index = isa_serial_free_index (dev);
  if (self->index >= G_N_ELEMENTS (com_port))
    return vm_fail (error, "Max. supported number of ISA serial ports is %d.", (int) G_N_ELEMENTS (com_port));
  if (self->iobase == UINT32_MAX)
    self->iobase = com_port[self->index];
  if (self->irq == UINT32_MAX)
    self->irq = com_irq[self->index];

  if (!uart16550_attach (&self->uart, dev, vm_isa_irq (dev, self->irq), error))
    return false;
  if (vm_isa_map_io (dev, self->iobase, 8, &uart16550_ops, &self->uart, error))
    return true;
  uart16550_detach (&self->uart);
  return false;
}

static void
isa_serial_unrealize (VmDevice *dev)
{
  uart16550_detach (&((IsaSerial *) dev)->uart);
}

static void
isa_serial_reset (VmDevice *dev, VmResetKind kind)
{
  uart16550_reset (&((IsaSerial *) dev)->uart);
}

static bool
isa_serial_post_load (VmDevice *dev, GError **error)
{
  return uart16550_post_load (&((IsaSerial *) dev)->uart, error);
}

static const VmProp isa_serial_props[] = {
  VM_PROP ("index", IsaSerial, index, UINT32_MAX, "0 for COM1 ... 3 for COM4"),
  VM_PROP ("iobase", IsaSerial, iobase, UINT32_MAX, "first I/O port"),
  VM_PROP ("irq", IsaSerial, irq, UINT32_MAX, "ISA interrupt line"),
  VM_PROP_EMBED (IsaSerial, uart, uart16550_props),
  { 0 },
};

static const VmField isa_serial_state[] = {
  VM_FIELD_EMBED (IsaSerial, uart, uart16550_state),
  { 0 },
};

static const VmDeviceClass isa_serial_class = {
  .realize = isa_serial_realize,
  .unrealize = isa_serial_unrealize,
  .reset = isa_serial_reset,
  .post_load = isa_serial_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Input",
  .user_creatable = true,
};

const VmType vm_isa_serial_type = {
  .name = "isa-serial",
  .parent = &vm_isa_device_type,
  .size = sizeof (IsaSerial),
  .help = "16550A UART on the ISA bus",
  .props = isa_serial_props,
  .state = isa_serial_state,
  .klass = &isa_serial_class,
};
