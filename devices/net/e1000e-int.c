/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interrupts of the 82574 (data sheet, 7.4 and 10.2.4): causes, vectors, their least distance. */
#include "devices/net/e1000e.h"

#define MSI_OWED (1u << 31)

/* What vector V tells: IVAR has four bits for each of the causes RXQ0, RXQ1, TXQ0, TXQ1 and OTHER. */
static uint32_t
causes_of_vector (const E1000e *self, unsigned v)
{
  uint32_t ivar = self->base.regs[E1000_IVAR / 4], causes = 0;

  for (unsigned i = 0; i < E1000E_VECTORS; i++)
    if ((ivar >> 4 * i & 15) == (8 | v))
      causes |= INT_RXQ0 << i;
  return causes;
}

/* With the message the causes clear themselves where EIAC says so, and are masked where IAM does. */
static void
send_vector (E1000e *self, unsigned v)
{
  E1000 *base = &self->base;
  uint32_t told = causes_of_vector (self, v) & base->regs[E1000_ICR / 4] & base->regs[E1000_IMS / 4];
  uint32_t eitr = base->regs[E1000_EITR / 4 + v];

  self->owed &= ~(1u << v);
  if (!told)
    return;
  vm_pci_msix_notify (&base->parent, v);
  if (base->regs[E1000_CTRL_EXT / 4] & CTRL_EXT_EIAME)
    base->regs[E1000_IMS / 4] &= ~(base->regs[E1000_IAM / 4] & told);
  base->regs[E1000_ICR / 4] &= ~(base->regs[E1000_EIAC / 4] & told);
  if (eitr)
    vm_timer_set (&self->vectors[v].timer, e1000_now (base) + eitr * INT64_C (256));
}

void
e1000e_vector_ready (void *vector)
{
  E1000eVector *v = vector;
  unsigned n = (unsigned) (v - v->card->vectors);

  if (v->card->owed >> n & 1)
    send_vector (v->card, n);
}

/* Acknowledgements, for drivers that wait for them: those that come while one waits to be told are told with it (7.4.1;
 * RAID). */
void
e1000e_ack_told (void *card)
{
  e1000_interrupt (card, INT_ACK);
}

/* The pin and MSI are told of all causes, ITR * 256 ns apart. */
static void
tell_one (E1000e *self, uint32_t causes)
{
  E1000 *base = &self->base;
  uint32_t itr = base->regs[E1000_ITR / 4] & 0xffff;
  bool pending = base->regs[E1000_ICR / 4] & base->regs[E1000_IMS / 4], msi = vm_pci_msi_enabled (&base->parent);

  if (msi && (causes & base->regs[E1000_IMS / 4]))
    self->owed |= MSI_OWED;
  if (!pending || msi)
    vm_pci_set_irq (&base->parent, 0);
  if (!pending || vm_timer_pending (&base->int_timer) || !(msi ? self->owed & MSI_OWED : !base->parent.irq_level))
    return;
  self->owed &= ~MSI_OWED;
  if (msi)
    vm_pci_msi_notify (&base->parent, 0);
  else
    vm_pci_set_irq (&base->parent, 1);
  if (itr)
    vm_timer_set (&base->int_timer, e1000_now (base) + itr * INT64_C (256));
}

void
e1000e_update (E1000 *base, uint32_t causes)
{
  E1000e *self = (E1000e *) base;

  if (causes & INT_OTHERS)
    {
      base->regs[E1000_ICR / 4] |= INT_OTHER;
      causes |= INT_OTHER;
    }
  if (!vm_pci_msix_enabled (&base->parent))
    {
      tell_one (self, causes);
      return;
    }
  vm_pci_set_irq (&base->parent, 0);
  for (unsigned v = 0; v < E1000E_VECTORS; v++)
    if (causes_of_vector (self, v) & causes & base->regs[E1000_IMS / 4])
      {
        self->owed |= 1u << v;
        if (!vm_timer_pending (&self->vectors[v].timer))
          send_vector (self, v);
      }
}

/* Reading clears when an interrupt is under way or none can be, and masks with IAME (10.2.4.1). */
uint32_t
e1000e_read_icr (E1000 *base)
{
  uint32_t value = base->regs[E1000_ICR / 4], asserted = value & base->regs[E1000_IMS / 4];

  if (asserted || !base->regs[E1000_IMS / 4] || vm_pci_msix_enabled (&base->parent))
    e1000e_write_icr (base, value);
  return value | (asserted ? INT_ASSERTED : 0);
}

void
e1000e_write_icr (E1000 *base, uint32_t value)
{
  base->regs[E1000_ICR / 4] &= ~value;
  if (base->regs[E1000_CTRL_EXT / 4] & CTRL_EXT_IAME)
    base->regs[E1000_IMS / 4] &= ~base->regs[E1000_IAM / 4];
  e1000e_update (base, 0);
}
