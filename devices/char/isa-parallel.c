/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The PC's parallel port (IBM PC/AT Technical Reference, "Printer Adapter"; IEEE 1284 SPP and PS/2 modes). */
#include "devices/isa/isa.h"
#include "engine/char/char.h"

enum { STATUS_NOT_BUSY = 0x80, STATUS_NOT_ACK = 0x40, STATUS_SELECTED = 0x10, STATUS_NOT_ERROR = 0x08, STATUS_ONES = 0x07 };
enum { CONTROL_STROBE = 0x01, CONTROL_NOT_INIT = 0x04, CONTROL_SELECT = 0x08, CONTROL_IRQ = 0x10, CONTROL_INPUT = 0x20,
       CONTROL_ONES = 0xc0 };

typedef struct IsaParallel {
  VmIsaDevice parent;
  /* properties */
  VmCharFe chr;
  uint32_t index, iobase, irq_number;
  /* wiring */
  VmIrq    irq;
  bool     hardware;   /* the back end is a real port: registers go there */
  /* guest state */
  uint8_t  data, status, control;
  bool     irq_pending;
} IsaParallel;

static const uint16_t lpt_port[3] = { 0x378, 0x278, 0x3bc };

static void
parallel_update_irq (IsaParallel *p)
{
  vm_irq_set (&p->irq, p->irq_pending);
}

/* A character leaves on the strobe's edge; the printer is busy until it has taken it. */
static void
parallel_strobe (IsaParallel *p)
{
  bool taken = vm_char_fe_write (&p->chr, &p->data, 1) == 1;

  if (taken)
    {
      p->status |= STATUS_NOT_BUSY;
      p->status &= ~STATUS_NOT_ACK;
      p->irq_pending = p->control & CONTROL_IRQ;
    }
  else
    p->status &= ~STATUS_NOT_BUSY;
  parallel_update_irq (p);
}

static void
parallel_writable (void *opaque)
{
  IsaParallel *p = opaque;

  if (!(p->status & STATUS_NOT_BUSY))
    parallel_strobe (p);
}

static void
parallel_write_control (IsaParallel *p, uint8_t value)
{
  uint8_t old = p->control;

  p->control = value & 0x3f;
  if (!(value & CONTROL_NOT_INIT))
    p->status = STATUS_NOT_BUSY | STATUS_NOT_ACK | STATUS_SELECTED | STATUS_NOT_ERROR | STATUS_ONES;
  else if ((value & CONTROL_SELECT) && (value & CONTROL_STROBE) && !(old & CONTROL_STROBE))
    parallel_strobe (p);
  if (!(value & CONTROL_IRQ))
    p->irq_pending = false;
  parallel_update_irq (p);
}

static uint64_t
parallel_read (void *opaque, uint64_t offset, unsigned size)
{
  static const VmCharParport ops[3] = { VM_CHAR_PP_READ_DATA, VM_CHAR_PP_READ_STATUS, VM_CHAR_PP_READ_CONTROL };
  IsaParallel *p = opaque;
  uint8_t value = 0xff;

  if (offset > 2)
    return 0xff;
  if (p->hardware)
    {
      vm_char_fe_parport (&p->chr, ops[offset], &value);
      return value;
    }
  switch (offset)
    {
    case 0:
      return p->control & CONTROL_INPUT ? 0xff : p->data;
    case 1:
      value = p->status;
      p->irq_pending = false;
      /* The acknowledge pulse is over once somebody saw it. */
      p->status |= STATUS_NOT_ACK;
      parallel_update_irq (p);
      return value;
    default:
      return p->control | CONTROL_ONES;
    }
}

static void
parallel_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  IsaParallel *p = opaque;
  uint8_t byte = value;

  if (p->hardware && offset == 0)
    vm_char_fe_parport (&p->chr, VM_CHAR_PP_WRITE_DATA, &byte);
  else if (p->hardware && offset == 2)
    vm_char_fe_parport (&p->chr, VM_CHAR_PP_WRITE_CONTROL, &byte);
  else if (offset == 0)
    p->data = byte;
  else if (offset == 2)
    parallel_write_control (p, byte);
}

static const VmRegionOps parallel_ops = {
  .read = parallel_read,
  .write = parallel_write,
  .impl = { .min = 1, .max = 1 },
};

static const VmCharFeOps parallel_char_ops = { .writable = parallel_writable };

static void
parallel_reset (VmDevice *dev, VmResetKind kind)
{
  IsaParallel *p = (IsaParallel *) dev;

  p->data = 0xff;
  p->status = STATUS_NOT_BUSY | STATUS_NOT_ACK | STATUS_SELECTED | STATUS_NOT_ERROR | STATUS_ONES;
  p->control = CONTROL_SELECT | CONTROL_NOT_INIT;
  p->irq_pending = false;
  parallel_update_irq (p);
}

static uint32_t
parallel_free_index (VmDevice *dev)
{
  uint32_t index = 0;

  for (unsigned i = 0; i < dev->bus->devices->len; i++)
    {
      VmDevice *other = dev->bus->devices->pdata[i];

      if (other != dev && other->realized && other->parent.type == dev->parent.type)
        index = MAX (index, ((IsaParallel *) other)->index + 1);
    }
  return index;
}

static bool
parallel_realize (VmDevice *dev, GError **error)
{
  IsaParallel *p = (IsaParallel *) dev;
  uint8_t probe;

  if (p->index == UINT32_MAX)
    p->index = parallel_free_index (dev);
  if (p->index >= G_N_ELEMENTS (lpt_port))
    return vm_fail (error, "Max. supported number of parallel ports is %d.", (int) G_N_ELEMENTS (lpt_port));
  if (p->iobase == UINT32_MAX)
    p->iobase = lpt_port[p->index];
  p->irq = vm_isa_irq (dev, p->irq_number);

  if (!vm_char_fe_attach (&p->chr, dev->env->root, &parallel_char_ops, p, error))
    return false;
  p->hardware = vm_char_fe_parport (&p->chr, VM_CHAR_PP_READ_STATUS, &probe);
  if (vm_isa_map_io (dev, p->iobase, 8, &parallel_ops, p, error))
    return true;
  vm_char_fe_detach (&p->chr);
  return false;
}

static void
parallel_unrealize (VmDevice *dev)
{
  vm_char_fe_detach (&((IsaParallel *) dev)->chr);
}

static const VmProp parallel_props[] = {
  VM_PROP ("index", IsaParallel, index, UINT32_MAX, "0 for LPT1 ... 2 for LPT3"),
  VM_PROP ("iobase", IsaParallel, iobase, UINT32_MAX, "first I/O port"),
  VM_PROP ("irq", IsaParallel, irq_number, 7, "ISA interrupt line"),
  VM_PROP_CUSTOM_KIND ("chardev", IsaParallel, chr, &vm_prop_chardev, NULL, "character back end"),
  { 0 },
};

static const VmField parallel_state[] = {
  VM_FIELD (IsaParallel, data),
  VM_FIELD (IsaParallel, status),
  VM_FIELD (IsaParallel, control),
  VM_FIELD (IsaParallel, irq_pending),
  { 0 },
};

static const VmDeviceClass parallel_class = {
  .realize = parallel_realize,
  .unrealize = parallel_unrealize,
  .reset = parallel_reset,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Input",
  .user_creatable = true,
};

const VmType vm_isa_parallel_type = {
  .name = "isa-parallel",
  .parent = &vm_isa_device_type,
  .size = sizeof (IsaParallel),
  .help = "Parallel port",
  .props = parallel_props,
  .state = parallel_state,
  .klass = &parallel_class,
};
