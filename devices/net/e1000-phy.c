/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What hangs on the 8254x: its serial EEPROM (microwire, 93C46), and the M88E1011 behind MDIC. */
#include "devices/net/e1000.h"

#define NEGOTIATION_NS (500 * VM_NS_PER_MS)

/* --- EEPROM ------------------------------------------------------------------------------------------------ */

/* Words the drivers look at (8254x manual, 5.6): address, device id, sum 0xbaba. */
void
e1000_eeprom_fill (E1000 *self)
{
  static const uint16_t words[E1000_EEPROM_N] = {
    [3] = 0x0000, [8] = 0x3000, [9] = 0x1000, [10] = 0x6403, [12] = 0x8086, [14] = 0x8086, [15] = 0x3040,
    [16] = 0x0008, [17] = 0x2000, [18] = 0x7e14, [19] = 0x0048, [20] = 0x1000, [21] = 0x00d8, [22] = 0x0000,
    [23] = 0x2700, [24] = 0x6cc9, [25] = 0x3150, [26] = 0x0722, [27] = 0x040b, [28] = 0x0984, [30] = 0xc000,
    [31] = 0x0706, [32] = 0x1008, [34] = 0x0f04, [35] = 0x7fff, [36] = 0x4d01,
  };
  const VmPciClass *klass = vm_type_klass (self->parent.parent.parent.type);
  const uint8_t *mac = self->card.mac.byte;
  uint16_t *to = self->eeprom.words, sum = 0;

  vm_eeprom93xx_init (&self->eeprom, E1000_EEPROM_N);
  for (int i = 0; i < E1000_EEPROM_N; i++)
    to[i] = words[i] ? words[i] : 0xffff;
  for (int i = 0; i < 3; i++)
    to[i] = mac[2 * i + 1] << 8 | mac[2 * i];
  to[3] = 0x0420; /* LAN on motherboard, no compatibility bits */
  to[11] = to[13] = klass->device;
  for (int i = 0; i < E1000_EEPROM_N - 1; i++)
    sum += to[i];
  to[E1000_EEPROM_N - 1] = 0xbaba - sum;
}

uint32_t
e1000_eecd_read (E1000 *self)
{
  uint32_t value = self->regs[E1000_EECD / 4] & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ);

  if (value & EECD_REQ)
    value |= EECD_GNT;
  if (vm_eeprom93xx_read (&self->eeprom))
    value |= EECD_DO;
  return value | EECD_PRES | EECD_FWE_DIS;
}

void
e1000_eecd_write (E1000 *self, uint32_t value)
{
  *e1000_reg (self, E1000_EECD) = value & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ);
  vm_eeprom93xx_write (&self->eeprom, value & EECD_CS, value & EECD_SK, value & EECD_DI);
}

/* --- PHY ----------------------------------------------------------------------------------------------------------- */

void
e1000_phy_reset (E1000 *self)
{
  const VmPciClass *klass = vm_type_klass (self->parent.parent.parent.type);

  for (int i = 0; i < 32; i++)
    self->phy[i] = 0;
  self->phy[PHY_CTRL] = 0x1140; /* full duplex, 1000 Mb/s, negotiates */
  self->phy[PHY_STATUS] = 0x7949;
  self->phy[PHY_ID1] = 0x0141;
  self->phy[PHY_ID2] = klass->device == 0x10d3 ? 0x0cb1 : klass->device == 0x1008 ? 0x0c30 : 0x0c20;
  self->phy[PHY_ANA] = 0x0de1;
  self->phy[PHY_LPA] = 0x01e0;
  self->phy[PHY_1000T_CTRL] = 0x0e00;
  self->phy[PHY_1000T_STATUS] = 0x3c00;
  self->phy[PHY_EXT_STATUS] = 0x3000;
  self->phy[PHY_M88_CTRL] = 0x0360;
  self->phy[PHY_M88_STATUS] = 0xac00;
  self->phy[PHY_M88_EXT_CTRL] = 0x0d60;
}

void
e1000_link_update (E1000 *self, bool up)
{
  if (up)
    {
      self->regs[E1000_STATUS / 4] |= STATUS_LU;
      self->phy[PHY_STATUS] |= PHY_STATUS_LINK;
      self->phy[PHY_M88_STATUS] |= PHY_M88_LINK;
    }
  else
    {
      self->regs[E1000_STATUS / 4] &= ~(uint32_t) STATUS_LU;
      self->phy[PHY_STATUS] &= ~(PHY_STATUS_LINK | PHY_STATUS_AN_DONE);
      self->phy[PHY_M88_STATUS] &= ~PHY_M88_LINK;
      self->phy[PHY_LPA] &= ~PHY_LPA_ACK;
    }
}

void
e1000_start_negotiation (E1000 *self)
{
  if (!self->autonegotiation || !(self->phy[PHY_CTRL] & PHY_CTRL_ANEN))
    return;
  e1000_link_update (self, false);
  if (vm_net_card_link_up (&self->card))
    vm_timer_set (&self->link_timer, vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + NEGOTIATION_NS);
}

static void
phy_write (E1000 *self, unsigned reg, uint16_t value)
{
  switch (reg)
    {
    case PHY_CTRL:
      if (value & PHY_CTRL_RESET)
        {
          bool link = self->phy[PHY_STATUS] & PHY_STATUS_LINK;
          e1000_phy_reset (self);
          e1000_link_update (self, link);
          value = self->phy[PHY_CTRL] | PHY_CTRL_RESTART;
        }
      self->phy[PHY_CTRL] = value & ~(PHY_CTRL_RESET | PHY_CTRL_RESTART | 0x3f);
      if (value & PHY_CTRL_RESTART)
        e1000_start_negotiation (self);
      break;
    case PHY_ANA:
    case PHY_1000T_CTRL:
    case PHY_NPT:
    case PHY_M88_CTRL:
    case PHY_M88_EXT_CTRL:
    case PHY_M88_INT_EN:
    case PHY_BM_PAGE:
    case PHY_M88_PAGE:
    case PHY_M88_GEN:
      self->phy[reg] = value;
      break;
    default:
      break;
    }
}

/* The PHY of the 82574 has pages from register 16 on, of which only the first means something here. */
static bool
phy_is_paged_out (const E1000 *self, unsigned reg)
{
  return self->model->queues > 1 && self->phy[PHY_BM_PAGE] && reg >= 16 && reg < 29 && reg != PHY_BM_PAGE;
}

void
e1000_mdic_write (E1000 *self, uint32_t value)
{
  uint32_t *mdic = e1000_reg (self, E1000_MDIC);
  unsigned phy = value >> 21 & 31, reg = value >> 16 & 31;

  if (phy != 1)
    *mdic = value | MDIC_READY | MDIC_ERROR;
  else if ((value & (3u << 26)) == MDIC_OP_READ)
    {
      *mdic = (value & 0xffff0000) | (phy_is_paged_out (self, reg) ? 0 : self->phy[reg]) | MDIC_READY;
      if (reg == PHY_M88_INT_STATUS)
        self->phy[reg] = 0;
    }
  else if ((value & (3u << 26)) == MDIC_OP_WRITE)
    {
      if (!phy_is_paged_out (self, reg))
        phy_write (self, reg, value);
      *mdic = value | MDIC_READY;
    }
  else
    *mdic = value | MDIC_READY | MDIC_ERROR;
  if (value & MDIC_INT)
    e1000_interrupt (self, INT_MDAC);
}
