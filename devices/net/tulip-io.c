/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames of the 21143: lists of descriptors, setup frames, address filters (manual, 4.2 and 4.3). */
#include "devices/net/frame.h"
#include "devices/net/tulip.h"

#include <string.h>

#define ROUNDS 1024 /* descriptors handled in one go; a list that never ends is gone on with later */
#define PIECES 64   /* descriptors of one received frame */
#define POLL_NS (1 * VM_NS_PER_MS)

/* --- filters ------------------------------------------------------------------------------------------------ */

/* Of each dword the lower half counts. */
static uint16_t
setup_word (const Tulip *s, unsigned i)
{
  return vm_load_le16 (s->setup + i * 4);
}

static bool
is_address (const Tulip *s, unsigned word, const uint8_t *mac)
{
  for (unsigned i = 0; i < 3; i++)
    if (setup_word (s, word + i) != vm_load_le16 (mac + 2 * i))
      return false;
  return true;
}

static bool
is_one_of_sixteen (const Tulip *s, const uint8_t *mac)
{
  for (unsigned i = 0; i < 16; i++)
    if (is_address (s, 3 * i, mac))
      return true;
  return false;
}

static bool
is_in_hash (const Tulip *s, const uint8_t *mac)
{
  unsigned hash = ~vm_net_crc32 (mac, 6) & 0x1ff;

  return setup_word (s, hash >> 4) >> (hash & 15) & 1;
}

/* Table 4-5 of the manual. */
static bool
passes (const Tulip *s, const uint8_t *mac)
{
  uint32_t csr6 = s->csr[6];
  bool group = vm_net_is_multicast (mac);

  if (csr6 & CSR6_PR || (csr6 & CSR6_PM && group))
    return true;
  if (!(csr6 & CSR6_HP))
    return is_one_of_sixteen (s, mac) != !!(csr6 & CSR6_IF);
  return group || csr6 & CSR6_HO ? is_in_hash (s, mac) : is_address (s, 39, mac);
}

bool
tulip_rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  static const uint8_t everyone[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
  const Tulip *s = (const Tulip *) device;

  filter->promiscuous = s->csr[6] & CSR6_PR;
  filter->broadcast_allowed = passes (s, everyone);
  filter->multicast = s->csr[6] & (CSR6_PR | CSR6_PM) ? 2 : 0;
  filter->unicast = s->csr[6] & CSR6_PR ? 2 : 0;
  filter->vlan = 2;
  return true;
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

static bool
read_desc (Tulip *s, uint32_t at, TulipDesc *d)
{
  uint32_t own = 0;

  /* The driver writes the owner last. */
  if (vm_pci_dma_read (&s->parent, at, &own, sizeof own) != VM_MEM_OK)
    return false;
  __atomic_thread_fence (__ATOMIC_ACQUIRE);
  if (vm_pci_dma_read (&s->parent, at, d, sizeof *d) != VM_MEM_OK)
    return false;
  for (int i = 1; i < 4; i++)
    d->des[i] = GUINT32_FROM_LE (d->des[i]);
  d->des[0] = GUINT32_FROM_LE (own);
  return true;
}

static void
give_back (Tulip *s, uint32_t at, uint32_t status)
{
  status = GUINT32_TO_LE (status);
  __atomic_thread_fence (__ATOMIC_RELEASE);
  vm_pci_dma_write (&s->parent, at, &status, sizeof status);
}

static uint32_t
next_desc (const Tulip *s, uint32_t at, const TulipDesc *d, uint32_t base)
{
  if (d->des[1] & DES1_END)
    return base;
  return d->des[1] & DES1_CHAINED ? d->des[3] & ~3u : at + 16 + (s->csr[0] & CSR0_DSL);
}

static uint32_t
second_size (const TulipDesc *d)
{
  return d->des[1] & DES1_CHAINED ? 0 : d->des[1] >> 11 & 0x7ff;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void
take_setup (Tulip *s, const TulipDesc *d)
{
  s->csr[6] &= ~(uint32_t) (CSR6_HP | CSR6_HO | CSR6_IF);
  if (d->des[1] & TDES1_FT0)
    s->csr[6] |= CSR6_HP | (d->des[1] & TDES1_FT1 ? CSR6_HO : 0);
  else if (d->des[1] & TDES1_FT1)
    s->csr[6] |= CSR6_IF;
  if ((d->des[1] & 0x7ff) >= TULIP_SETUP)
    vm_pci_dma_read (&s->parent, d->des[2], s->setup, TULIP_SETUP);
  vm_net_card_rx_filter_changed (&s->card);
}

static void
add_data (Tulip *s, uint32_t addr, uint32_t len)
{
  uint32_t part = MIN (len, s->tx_data_size - s->tx_len);

  vm_pci_dma_read (&s->parent, addr, s->tx_data + s->tx_len, part);
  s->tx_len += part;
}

static void
packet_sent (void *card)
{
  Tulip *s = card;

  s->sending = false;
  tulip_transmit (s);
}

/* The frame is whole. False: there is no room, packet_sent() will come. */
static bool
send_frame (Tulip *s)
{
  struct iovec iov = { s->tx_data, 0 };
  VmNetPacket packet = { .iov = &iov, .n = 1 };

  if (s->tx_how & TDES1_AC)
    s->tx_len -= MIN (s->tx_len, 4); /* it brought its check sequence */
  else if (!(s->tx_how & TDES1_DPD) && s->tx_len < VM_NET_FRAME_MIN)
    {
      memset (s->tx_data + s->tx_len, 0, VM_NET_FRAME_MIN - s->tx_len);
      s->tx_len = VM_NET_FRAME_MIN;
    }
  iov.iov_len = packet.len = s->tx_len;
  if (s->tx_len < 14 || s->tx_len >= s->tx_data_size)
    return true; /* too short for anything, or too long */
  if (s->csr[6] & CSR6_OM)
    {
      tulip_receive (s, &packet);
      return true;
    }
  return vm_net_send (&s->card.ports[0], &packet, packet_sent);
}

/* One descriptor; its status. */
static uint32_t
send_desc (Tulip *s, const TulipDesc *d)
{
  if (d->des[1] & TDES1_SET)
    {
      take_setup (s, d);
      return 0x7fffffff;
    }
  if (d->des[1] & TDES1_FS)
    {
      s->tx_len = 0;
      s->tx_how = d->des[1];
    }
  add_data (s, d->des[2], d->des[1] & 0x7ff);
  add_data (s, d->des[3], second_size (d));
  if (d->des[1] & TDES1_LS)
    s->sending = !send_frame (s);
  return 0;
}

void
tulip_transmit (void *card)
{
  Tulip *s = card;
  uint32_t causes = 0, rounds;
  VmReentry mark;

  if (s->running || s->sending || !(s->csr[6] & CSR6_ST))
    return;
  s->running = true;
  vm_memory_owner_enter (s->parent.parent.env->memory, &mark, s);
  tulip_set_state (s, CSR5_TS, CSR5_TS_RUNNING);
  for (rounds = 0; rounds < ROUNDS && !s->sending; rounds++)
    {
      TulipDesc d;
      if (!read_desc (s, s->tx_at, &d))
        {
          causes |= CSR5_FBE;
          s->csr[6] &= ~(uint32_t) CSR6_ST;
          tulip_set_state (s, CSR5_TS, 0);
          break;
        }
      if (!(d.des[0] & DES0_OWN))
        {
          causes |= CSR5_TU;
          tulip_set_state (s, CSR5_TS, CSR5_TS_SUSPENDED);
          break;
        }
      uint32_t status = send_desc (s, &d);
      give_back (s, s->tx_at, status);
      s->tx_at = next_desc (s, s->tx_at, &d, s->csr[4]);
      if (d.des[1] & TDES1_IC && d.des[1] & (TDES1_LS | TDES1_SET))
        causes |= CSR5_TI;
    }
  vm_memory_owner_leave (s->parent.parent.env->memory, &mark);
  s->running = false;
  if (rounds == ROUNDS)
    vm_timer_set (&s->tx_timer, vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL));
  if (causes)
    tulip_interrupt (s, causes);
}

void
tulip_tx_reset (Tulip *s)
{
  if (s->sending && s->card.ports)
    vm_net_port_forget (&s->card.ports[0]);
  s->sending = false;
  s->tx_len = s->tx_how = 0;
  vm_timer_cancel (&s->tx_timer);
}

/* --- receiving -----------------------------------------------------------------------------------------------------
 */

/* Whether the driver's descriptors hold LEN bytes; with ones too small for that the frame is cut. */
static bool
has_room (Tulip *s, size_t len)
{
  uint32_t at = s->rx_at;
  size_t room = 0;
  TulipDesc d;

  for (unsigned i = 0; i < PIECES && room < len; i++)
    {
      if (!read_desc (s, at, &d) || !(d.des[0] & DES0_OWN))
        return false;
      room += (d.des[1] & 0x7ff) + second_size (&d);
      at = next_desc (s, at, &d, s->csr[3]);
    }
  return true;
}

static void
store (Tulip *s, const uint8_t *frame, size_t len, uint32_t status)
{
  size_t at = 0;

  for (unsigned i = 0; i < PIECES; i++)
    {
      TulipDesc d;
      uint32_t here = s->rx_at, say = i == 0 ? RDES0_FS : 0;
      if (!read_desc (s, here, &d) || !(d.des[0] & DES0_OWN))
        return; /* the driver took it away meanwhile */
      uint32_t first = MIN (d.des[1] & 0x7ff, len - at), second = MIN (second_size (&d), len - at - first);
      vm_pci_dma_write (&s->parent, d.des[2], frame + at, first);
      vm_pci_dma_write (&s->parent, d.des[3], frame + at + first, second);
      at += first + second;
      if (at == len)
        say |= RDES0_LS | status;
      else if (i == PIECES - 1)
        say |= RDES0_LS | RDES0_DE | RDES0_ES | status;
      s->rx_at = next_desc (s, here, &d, s->csr[3]);
      give_back (s, here, say);
      if (at == len)
        return;
    }
}

bool
tulip_receive (void *card, const VmNetPacket *packet)
{
  Tulip *s = card;
  uint8_t frame[TULIP_FRAME];
  uint32_t status;
  VmReentry mark;
  size_t len;

  if (!(s->csr[6] & CSR6_SR) || !vm_net_card_link_up (&s->card) || packet->len < 14)
    return true;
  len = vm_net_wire_frame (packet, frame, sizeof frame);
  if (!len)
    {
      tulip_interrupt (s, CSR5_RWT);
      return true;
    }
  bool wanted = passes (s, frame);
  if (!wanted && !(s->csr[6] & CSR6_RA))
    return true;
  status = (uint32_t) len << 16 | (wanted ? 0 : RDES0_FF) | (vm_net_is_multicast (frame) ? RDES0_MF : 0)
           | ((frame[12] << 8 | frame[13]) > 1500 ? RDES0_FT : 0) | (len > 1518 ? RDES0_TL : 0);
  vm_memory_owner_enter (s->parent.parent.env->memory, &mark, s);
  bool room = has_room (s, len);
  if (room)
    store (s, frame, len, status);
  vm_memory_owner_leave (s->parent.parent.env->memory, &mark);
  if (!room)
    {
      /* The chip looks again with each frame; here the frame waits. */
      tulip_set_state (s, CSR5_RS, CSR5_RS_SUSPENDED);
      vm_timer_set (&s->rx_timer, vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + POLL_NS);
      if ((s->csr[5] & CSR5_RU) == 0)
        tulip_interrupt (s, CSR5_RU);
      return false;
    }
  tulip_set_state (s, CSR5_RS, CSR5_RS_RUNNING);
  tulip_interrupt (s, CSR5_RI);
  return true;
}
