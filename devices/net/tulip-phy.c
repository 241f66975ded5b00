/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What hangs on the 21143: its serial ROM (Digital Semiconductor 21X4 Serial ROM Format, version 4.05) and a DP83840A
 * behind MII.
 *
 * That PHY has no interrupt, and the 21143 raises its own for links (CSR5) only for the wires of its serial interface,
 * which are not used here: CSR12 says nothing of MII. Whoever wants to know of the link reads the PHY's
 * status, as drivers do from time to time: Linux' once in a minute. */
#include "devices/net/tulip.h"

#include <string.h>

#define PHY_ADDRESS 1
#define LEAF 30 /* where the ROM describes the media */

enum
{
  MDIO_IDLE,
  MDIO_COMMAND,
  MDIO_READ,
  MDIO_WRITE,
  MDIO_SKIP
};
enum
{
  PHY_CTRL,
  PHY_STATUS,
  PHY_ID1,
  PHY_ID2,
  PHY_ADVERTISE,
  PHY_PARTNER,
  PHY_EXPANSION
};
enum
{
  PHY_CTRL_RESET = 1 << 15,
  PHY_CTRL_RESTART = 1 << 9,
  PHY_STATUS_DONE = 1 << 5,
  PHY_STATUS_LINK = 1 << 2
};

/* --- serial ROM ---------------------------------------------------------------------------------------------- */

/* One controller with one way out: the PHY, 10 and 100 Mb/s in either duplex. */
void
tulip_srom_fill (Tulip *s)
{
  static const uint8_t leaf[] = {
    0x00, 0x08, 1,                    /* selected: what negotiation finds; one block */
    0x8d, 3,    PHY_ADDRESS, 0,    0, /* 13 more bytes, MII for the 21142 and 21143, no sequences */
    0x00, 0x78, 0xe0,        0x01, 0x00, 0x50, 0x00, 0x18, 0, /* capabilities, advertised, full duplex, threshold */
  };
  const VmPciClass *klass = vm_type_klass (s->parent.parent.parent.type);
  uint8_t rom[128] = { 0 };

  vm_store_le16 (rom, klass->subsystem_vendor);
  vm_store_le16 (rom + 2, klass->subsystem);
  rom[18] = 4; /* version */
  rom[19] = 1; /* controllers */
  memcpy (rom + 20, s->card.mac.byte, 6);
  rom[27] = LEAF;
  memcpy (rom + LEAF, leaf, sizeof leaf);
  /* The check sequence of what is before it, the lower half. */
  vm_store_le16 (rom + 126, vm_net_crc32 (rom, 126));
  vm_eeprom93xx_init (&s->srom, 64);
  for (unsigned i = 0; i < 64; i++)
    s->srom.words[i] = vm_load_le16 (rom + 2 * i);
}

/* --- PHY ----------------------------------------------------------------------------------------------------- */

void
tulip_phy_link (Tulip *s, bool up)
{
  if (up)
    {
      s->phy[PHY_STATUS] |= PHY_STATUS_LINK | PHY_STATUS_DONE;
      s->phy[PHY_PARTNER] = 0x41e1;
      s->phy[PHY_EXPANSION] = 1;
    }
  else
    {
      s->phy[PHY_STATUS] &= ~(PHY_STATUS_LINK | PHY_STATUS_DONE);
      s->phy[PHY_PARTNER] = s->phy[PHY_EXPANSION] = 0;
    }
}

void
tulip_phy_reset (Tulip *s)
{
  memset (s->phy, 0, sizeof s->phy);
  s->phy[PHY_CTRL] = 0x3100;
  s->phy[PHY_STATUS] = 0x7809;
  s->phy[PHY_ID1] = 0x2000;
  s->phy[PHY_ID2] = 0x5c01;
  s->phy[PHY_ADVERTISE] = 0x01e1;
  tulip_phy_link (s, vm_net_card_link_up (&s->card));
}

static void
phy_write (Tulip *s, unsigned reg, uint16_t value)
{
  if (reg == PHY_CTRL && value & PHY_CTRL_RESET)
    tulip_phy_reset (s);
  else if (reg == PHY_CTRL)
    s->phy[reg] = value & ~PHY_CTRL_RESTART;
  else if (reg == PHY_ADVERTISE)
    s->phy[reg] = value;
}

/* --- MII management -------------------------------------------------------------------------------------------- */

/* A zero begins: a one, two bits of operation, five of the PHY, five of the register, two to turn around, the value. */
static void
mdio_edge (Tulip *s, bool bit)
{
  TulipMdio *m = &s->mdio;

  m->bits++;
  switch (m->phase)
    {
    case MDIO_IDLE:
      m->bits = 0;
      m->command = 0;
      m->out = true;
      if (!bit)
        m->phase = MDIO_COMMAND;
      break;
    case MDIO_COMMAND:
      m->command = m->command << 1 | bit;
      if (m->bits < 13)
        break;
      m->bits = 0;
      m->phase = !(m->command >> 12 & 1)                 ? MDIO_IDLE
                 : (m->command >> 5 & 31) != PHY_ADDRESS ? MDIO_SKIP
                 : (m->command >> 10 & 3) == 2           ? MDIO_READ
                 : (m->command >> 10 & 3) == 1           ? MDIO_WRITE
                                                         : MDIO_IDLE;
      m->data = m->phase == MDIO_READ ? s->phy[m->command & 31] : 0;
      break;
    case MDIO_READ:
      m->out = m->bits >= 2 && m->bits <= 17 ? m->data >> (17 - m->bits) & 1 : m->bits > 17;
      break;
    case MDIO_WRITE:
      m->data = m->data << 1 | bit;
      if (m->bits == 18)
        phy_write (s, m->command & 31, m->data);
      break;
    default:
      break;
    }
  if (m->phase > MDIO_COMMAND && m->bits >= 18)
    m->phase = MDIO_IDLE;
}

uint32_t
tulip_csr9_read (const Tulip *s)
{
  uint32_t value = s->csr[9] & ~(uint32_t) (CSR9_DO | CSR9_MDI);

  if (vm_eeprom93xx_read (&s->srom) || !(value & CSR9_SR))
    value |= CSR9_DO;
  return value | (s->mdio.out ? CSR9_MDI : 0);
}

void
tulip_csr9_write (Tulip *s, uint32_t value)
{
  bool clock = value & CSR9_MDC;

  s->csr[9] = value | 0xfff00000;
  vm_eeprom93xx_write (&s->srom, value & CSR9_SR && value & CSR9_CS, value & CSR9_CLK, value & CSR9_DI);
  if (clock && !s->mdio.clock)
    mdio_edge (s, value & CSR9_MII || value & CSR9_MDO);
  s->mdio.clock = clock;
}
