/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A network card on the bench, a driver out of its mind and a wire full of noise: FUZZ_CARD says which card. */
#include "tests/devices/disk-rig.h"
#include "tests/fuzz/fuzz.h"
#include "tests/net/wire.h"

#include "devices/net/e1000e.h"
#include "devices/net/eepro100.h"
#include "devices/net/ne2k-pci.h"
#include "devices/net/pcnet.h"
#include "devices/net/rtl8139.h"
#include "devices/net/tulip.h"
#include "devices/net/vmxnet3.h"

extern const VmType vm_e1000_type, vm_e1000e_type, vm_i82551_type, vm_ne2k_pci_type, vm_pcnet_type, vm_rtl8139_type,
  vm_tulip_type, vm_vmxnet3_type;

#define PORTS 0xc000

typedef struct Target
{
  const char *name;
  const VmType *type;
  size_t card; /* offset of its VmNetCard */
  unsigned bar;       /* where its registers are */
  bool ports;         /* they are I/O ports */
  unsigned registers; /* bytes that matter */
  uint16_t hot[16];   /* registers that make it move */
  void (*start) (DiskRig *r); /* brings it to where a driver would have; NULL: nothing */
  uint16_t command;   /* of the hot ones: what is written there is one of few codes; 0: none is so */
} Target;

/* Two queues each way between rings that the descriptors below go to, and both BARs in a row. */
static void
start_vmxnet3 (DiskRig *r)
{
  const uint32_t at = 0x8000, table = 0x9000;

  disk_rig_set_config (r, 0x14, (uint32_t) DISK_RIG_BAR + 0x1000, 4);
  rig_store (&r->rig, at + SHARED_MAGIC, VMXNET3_MAGIC, 4);
  rig_store (&r->rig, at + SHARED_FEATURES, 15, 4);
  rig_store (&r->rig, at + SHARED_QUEUES, table, 4);
  rig_store (&r->rig, at + SHARED_N_TX, 0x0202, 2);
  rig_store (&r->rig, at + SHARED_RX_MODE, MODE_PROMISC, 4);
  for (unsigned i = 0; i < 4; i++)
    {
      uint32_t queue = table + i * QUEUE_SIZE;
      rig_store (&r->rig, queue + QUEUE_RING, 0x10000 * i, 4);
      rig_store (&r->rig, queue + QUEUE_RING2, 0x10000 * (3 - i) + 0x80, 4);
      rig_store (&r->rig, queue + QUEUE_COMP, 0x41000 + i * 0x1000, 4);
      rig_store (&r->rig, queue + QUEUE_RING_N, 16, 4);
      rig_store (&r->rig, queue + QUEUE_RING2_N, i < 2 ? 16 : 8, 4);
      rig_store (&r->rig, queue + QUEUE_COMP_N, 32, 4);
    }
  disk_rig_write (r, 0x1000 + VMXNET3_DSAL, at);
  disk_rig_write (r, 0x1000 + VMXNET3_DSAH, 0);
  disk_rig_write (r, 0x1000 + VMXNET3_CMD, CMD_ACTIVATE);
}

static const Target targets[] = {
  { "e1000", &vm_e1000_type, offsetof (E1000, card), 0, false, 0x6000,
    { E1000_TDBAL, E1000_TDLEN, E1000_TDH, E1000_TDT, E1000_RDBAL, E1000_RDLEN, E1000_RDH, E1000_RDT, E1000_TCTL,
      E1000_RCTL, E1000_CTRL, E1000_EECD, E1000_IMS, E1000_MDIC, E1000_TDT, E1000_RDT } },
  { "e1000e", &vm_e1000e_type, offsetof (E1000e, base.card), 0, false, 0x6000,
    { E1000_TDBAL + E1000_QUEUE, E1000_TDLEN + E1000_QUEUE, E1000_TDT + E1000_QUEUE, E1000_TDT, E1000_TDLEN,
      E1000_RDBAL + E1000_QUEUE, E1000_RDLEN, E1000_RDT, E1000_RDT + E1000_QUEUE, E1000_TCTL, E1000_RCTL, E1000_RFCTL,
      E1000_PSRCTL, E1000_MRQC, E1000_RXCSUM, E1000_IVAR } },
  { "rtl8139", &vm_rtl8139_type, offsetof (Rtl8139, card), 1, false, 0x100,
    { RTL_TSD, RTL_TSAD, RTL_RBSTART, RTL_CR & ~3, RTL_CAPR & ~3, RTL_TCR, RTL_RCR, RTL_9346CR, RTL_CPCR, RTL_RDSAR,
      RTL_TPPOLL & ~3, RTL_TIMERINT } },
  { "eepro100", &vm_i82551_type, offsetof (Eepro100, card), 0, false, 0x40,
    { CSR_STATUS, CSR_POINTER, CSR_PORT, CSR_STATUS, CSR_FLASH, CSR_MDI, CSR_STATUS, CSR_POINTER } },
  { "ne2k-pci", &vm_ne2k_pci_type, offsetof (Ne2kPci, chip.card), 0, true, 0x20, { 0, 4, 8, 12, 16, 16, 0 } },
  { "pcnet", &vm_pcnet_type, offsetof (Pcnet, card), 1, false, 0x20, { 0x10, 0x14, 0x1c, 0x10, 0x14 } },
  { "tulip", &vm_tulip_type, offsetof (Tulip, card), 1, false, 0x80,
    { 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x30, 0x48, 0x08, 0x10, 0x58, 0x00, 0x18, 0x20, 0x30, 0x38 } },
  { "vmxnet3", &vm_vmxnet3_type, offsetof (Vmxnet3, card), 0, false, 0x2000,
    { VMXNET3_TXPROD, VMXNET3_TXPROD + 8, VMXNET3_RXPROD, VMXNET3_RXPROD + 8, VMXNET3_RXPROD2, VMXNET3_IMR, 0x1000 + VMXNET3_CMD,
      0x1000 + VMXNET3_ECR, 0x1000 + VMXNET3_ICR, VMXNET3_TXPROD, VMXNET3_TXPROD, VMXNET3_RXPROD, 0x1000 + VMXNET3_CMD },
    start_vmxnet3, 0x1000 + VMXNET3_CMD },
};

static void
write_reg (DiskRig *r, const Target *t, unsigned reg, uint32_t value, unsigned size)
{
  if (t->ports)
    rig_out (&r->rig, (uint16_t) (PORTS + reg), value, size);
  else
    rig_store (&r->rig, DISK_RIG_BAR + reg, value, size);
}

static void
read_reg (DiskRig *r, const Target *t, unsigned reg, unsigned size)
{
  if (t->ports)
    rig_in (&r->rig, (uint16_t) (PORTS + reg), size);
  else
    rig_load (&r->rig, DISK_RIG_BAR + reg, size);
}

/* A place that may mean something. */
static uint32_t
place (Input *in)
{
  uint32_t kind = take (in, 1), at = take (in, 2);

  switch (kind & 7)
    {
    case 0:
      return (uint32_t) DISK_RIG_BAR + (at & 0x7fff); /* itself */
    case 1:
      return DISK_RIG_RAM - (at & 0xfff);
    default:
      return 0x10000 * (kind >> 3 & 3) + (at & 0xfff0);
    }
}

static void
send_noise (Wire *wire, Input *in)
{
  static uint8_t frame[9000];
  uint8_t how = (uint8_t) take (in, 1);
  size_t len = take (in, 2) % sizeof frame, from_input = MIN (len, 64);

  memset (frame, how, len);
  for (size_t i = 0; i < from_input; i++)
    frame[i] = (uint8_t) take (in, 1);
  if (how & 1)
    memcpy (frame, "\x52\x54\0\x12\x34\x56", 6);
  struct iovec iov[2] = { { frame, len / 2 }, { frame + len / 2, len - len / 2 } };
  VmNetPacket packet = { iov, 2, len, { 0 } };
  if (how & 2)
    packet.header = (VmNetHeader){ how >> 2 & 3, how >> 4, (uint16_t) take (in, 1), (uint16_t) take (in, 2),
                                   (uint16_t) take (in, 1), (uint16_t) take (in, 1) };
  vm_net_send (&wire->port, &packet, NULL);
}

static void
step (DiskRig *r, const Target *t, Wire *wire, VmNetCard *card, Input *in)
{
  uint8_t op = (uint8_t) take (in, 1);
  unsigned size = 1u << ((op >> 3 & 3) % 3);

  switch (op & 7)
    {
    case 0:
      write_reg (r, t, take (in, 2) % t->registers & ~(size - 1), take (in, 4), size);
      break;
    case 1:
      read_reg (r, t, take (in, 2) % t->registers & ~(size - 1), size);
      break;
    case 2:
    case 3:
      {
        unsigned reg = t->hot[(op >> 3) % G_N_ELEMENTS (t->hot)] & ~3u;
        uint32_t value = op & 0x80 ? take (in, 1) : take (in, 4);
        if (t->command && reg == t->command)
          value = (value & 16 ? CMD_QUEUE_STATUS : CMD_ACTIVATE) | (value & 15);
        write_reg (r, t, reg, value, 4);
        break;
      }
    case 4:
      rig_store (&r->rig, place (in), take (in, 4), 4);
      break;
    case 5:
      {
        /* A descriptor of which most is likely. */
        uint32_t at = 0x10000 * (op >> 3 & 3) + (take (in, 1) & 15) * 16;
        rig_store (&r->rig, at, place (in), 4);
        rig_store (&r->rig, at + 8, take (in, 4), 4);
        rig_store (&r->rig, at + 12, take (in, 2), 4);
        break;
      }
    case 6:
      send_noise (wire, in);
      break;
    case 7:
      if (op & 0x40)
        vm_net_card_set_link (card, op & 0x80);
      wire->full = (op & 0x30) == 0x30;
      if (!wire->full)
        vm_net_port_ready (&wire->port);
      rig_advance (&r->rig, (int64_t) take (in, 2) * VM_NS_PER_US * 10);
      break;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  const Target *t = targets;
  Input in = { data, size };
  DiskRig rig, *r = &rig;
  Wire wire;

  while (strcmp (t->name, FUZZ_CARD) != 0)
    t++;
  disk_rig_init (r);
  disk_rig_add (r, t->type, t->bar, (const char *const[]){ "romfile", "", NULL });
  if (t->ports)
    disk_rig_set_config (r, PCI_BAR0 + 4 * t->bar, PORTS, 4);
  VmNetCard *card = (VmNetCard *) (void *) ((char *) r->dev + t->card);
  wire_init (&wire, card, 0);
  if (t->start)
    t->start (r);
  while (in.left)
    step (r, t, &wire, card, &in);
  wire_clear (&wire);
  disk_rig_clear (r);
}
