/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A port of an AHCI controller: command lists, the FISes that come and go, the data of commands that are not queued
 * (AHCI 1.3.1, chapters 4, 5 and 9; Serial ATA 3.2, clause 10). */
#include "devices/storage/ahci.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"

enum
{
  FIS_REGISTER_H2D = 0x27,
  FIS_REGISTER_D2H = 0x34,
  FIS_PIO_SETUP = 0x5f
};
enum
{
  RECEIVED_PIO_SETUP = 0x20,
  RECEIVED_REGISTER = 0x40
};
enum
{
  FIS_INTERRUPT = 1 << 6,
  FIS_TO_HOST = 1 << 5,
  FIS_IS_COMMAND = 1 << 7
};
enum
{
  CONTROL_SRST = 1 << 2
};
enum
{
  CMD_DEVICE_RESET = 0x08,
  CMD_PACKET = 0xa0
};
#define HEADER_SIZE 32
#define PRD_SIZE 16
#define PRD_OFFSET 0x80
#define ATAPI_OFFSET 0x40
#define SIGNATURE_NONE 0xffffffffu
#define TFD_NONE 0x7f
#define SSTS_UP 0x113 /* active, first generation, device present */

/* --- FISes from the device -------------------------------------------------------------------- */

void
ahci_post (AhciPort *port, unsigned offset, const uint8_t *fis, unsigned len)
{
  if (port->cmd & CMD_FRE)
    vm_pci_dma_write (&port->hba->parent, port->fb + offset, fis, len);
}

static void
put_registers (const VmIdeDevice *dev, uint8_t *fis)
{
  const VmIdeRegs *r = &dev->regs, *p = &dev->previous;

  fis[2] = dev->status;
  fis[3] = dev->error;
  fis[4] = r->lba_low;
  fis[5] = r->lba_mid;
  fis[6] = r->lba_high;
  fis[7] = r->device;
  fis[8] = p->lba_low;
  fis[9] = p->lba_mid;
  fis[10] = p->lba_high;
  fis[12] = r->count;
  fis[13] = p->count;
}

static void
take_status (AhciPort *port)
{
  const VmIdeDevice *dev = ahci_port_device (port);

  port->tfd = dev->error << 8 | dev->status;
}

void
ahci_send_register (AhciPort *port, bool interrupt)
{
  VmIdeDevice *dev = ahci_port_device (port);
  uint8_t fis[20] = { FIS_REGISTER_D2H, interrupt ? FIS_INTERRUPT : 0 };

  put_registers (dev, fis);
  ahci_post (port, RECEIVED_REGISTER, fis, sizeof fis);
  take_status (port);
  ahci_port_interrupt (port, (interrupt ? IS_DHRS : 0) | (dev->status & VM_IDE_ERR ? (uint32_t) IS_TFES : 0));
}

static void
send_pio_setup (AhciPort *port, uint32_t len, bool to_host, bool interrupt)
{
  VmIdeDevice *dev = ahci_port_device (port);
  uint8_t fis[20] = { FIS_PIO_SETUP, (to_host ? FIS_TO_HOST : 0) | (interrupt ? FIS_INTERRUPT : 0) };

  put_registers (dev, fis);
  fis[15] = VM_IDE_DRDY | VM_IDE_DSC; /* status at the end of the data */
  vm_store_le16 (fis + 16, (uint16_t) len);
  ahci_post (port, RECEIVED_PIO_SETUP, fis, sizeof fis);
  take_status (port);
  if (interrupt)
    ahci_port_interrupt (port, IS_PSS);
}

/* The signature, once the guest can receive it. */
void
ahci_port_receive (AhciPort *port)
{
  VmIdeDevice *dev = ahci_port_device (port);
  const VmIdeRegs *r;

  if (!port->signature_due || !(port->cmd & CMD_FRE) || !dev)
    return;
  port->signature_due = false;
  r = &dev->regs;
  port->sig = (uint32_t) r->lba_high << 24 | r->lba_mid << 16 | r->lba_low << 8 | r->count;
  dev->status = VM_IDE_DRDY | VM_IDE_DSC; /* a packet device, too, is ready on this kind of link */
  ahci_send_register (port, false);
}

/* --- the data of a command -------------------------------------------------------------------- */

bool
ahci_read_header (AhciPort *port, unsigned slot, uint8_t *header)
{
  return vm_pci_dma_read (&port->hba->parent, port->clb + slot * HEADER_SIZE, header, 16) == VM_MEM_OK;
}

static uint64_t
table_address (const uint8_t *header)
{
  return vm_load_le64 (header + 8) & ~UINT64_C (0x7f);
}

void
ahci_table (AhciPort *port, const uint8_t *header, uint32_t *prd, uint32_t *at, VmDmaSg *sg, uint64_t len)
{
  uint32_t n = vm_load_le16 (header + 2);

  while (len && *prd < n)
    {
      uint8_t entry[PRD_SIZE];
      uint64_t part;

      if (vm_pci_dma_read (&port->hba->parent, table_address (header) + PRD_OFFSET + *prd * PRD_SIZE, entry, PRD_SIZE)
          != VM_MEM_OK)
        {
          ahci_port_interrupt (port, IS_HBFS);
          break;
        }
      part = ((vm_load_le32 (entry + 12) & 0x3fffff) | 1) + UINT64_C (1) - *at;
      if (part > len)
        {
          vm_dma_sg_add (sg, (vm_load_le64 (entry) & ~UINT64_C (1)) + *at, len);
          *at += (uint32_t) len;
          return;
        }
      vm_dma_sg_add (sg, (vm_load_le64 (entry) & ~UINT64_C (1)) + *at, part);
      len -= part;
      *at = 0;
      ++*prd;
    }
}

static bool
transport_running (void *opaque)
{
  return true;
}

static void
transport_table (void *opaque, VmDmaSg *sg, uint64_t len)
{
  AhciPort *port = opaque;

  sg->attrs = vm_pci_attrs (&port->hba->parent);
  ahci_table (port, port->header, &port->prd, &port->prd_at, sg, len);
}

static void
transport_finished (void *opaque, bool error)
{
  AhciPort *port = opaque;

  if (error && port->bus.sg.failed)
    ahci_port_interrupt (port, (uint32_t) IS_HBDS);
}

/* What the data register would move, between the buffer and the table (or, of a packet, the command's own bytes). */
static bool
pio_block (AhciPort *port)
{
  VmIdeDevice *dev = ahci_port_device (port);
  VmDmaSg *sg = &port->bus.sg;
  uint32_t len = dev->data_end - dev->data_at;
  uint8_t *data = dev->buffer + dev->data_at;

  dev->data_at = dev->data_end;
  if (dev->command == CMD_PACKET && dev->data_done == atapi_packet)
    return vm_pci_dma_read (&port->hba->parent, table_address (port->header) + ATAPI_OFFSET, data, len) == VM_MEM_OK;
  vm_dma_sg_reset (sg);
  transport_table (port, sg, len);
  if (vm_dma_sg_copy (sg, 0, data, len, !dev->data_out) < len)
    ahci_port_interrupt (port, IS_OFS);
  dev->transferred += (uint32_t) MIN (sg->size, len);
  return true;
}

/* --- beginning and end of a command ----------------------------------------------------------- */

static void
put_byte_count (AhciPort *port)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, ahci_port_device (port)->transferred);
  vm_pci_dma_write (&port->hba->parent, port->clb + port->slot * HEADER_SIZE + 4, bytes, sizeof bytes);
}

/* A failed one stays in PxCI, and the port stands until the guest has dealt with it. */
static void
end_command (AhciPort *port)
{
  put_byte_count (port);
  port->active = false;
  if (ahci_port_device (port)->status & VM_IDE_ERR)
    port->halted = true;
  else
    port->ci &= ~(UINT32_C (1) << port->slot);
}

static void
transport_interrupt (void *opaque)
{
  AhciPort *port = opaque;

  if (!port->active)
    return;
  end_command (port);
  ahci_send_register (port, true);
  ahci_port_run (port);
}

/* A command that ended without an interrupt of its own: its data was the end, or it was a reset. */
static void
end_quietly (AhciPort *port)
{
  end_command (port);
  if (ahci_port_device (port)->command == CMD_DEVICE_RESET)
    ahci_send_register (port, false);
  else
    take_status (port);
}

static bool
device_is_idle (const VmIdeDevice *dev)
{
  return !dev->busy_io && !dev->dma_wanted && !(dev->status & (VM_IDE_BSY | VM_IDE_DRQ));
}

static void
transport_pio (void *opaque, bool interrupt)
{
  AhciPort *port = opaque;
  VmIdeDevice *dev = ahci_port_device (port);
  bool announced = interrupt;

  if (port->moving)
    return; /* the round below goes on */
  port->moving = true;
  while (port->active && (dev->status & VM_IDE_DRQ) && dev->data_done && !dev->dma_wanted)
    {
      send_pio_setup (port, dev->data_end - dev->data_at, !dev->data_out, announced);
      announced = true;
      pio_block (port);
      dev->status &= ~VM_IDE_DRQ;
      dev->data_done (dev);
    }
  port->moving = false;
  if (port->active && device_is_idle (dev))
    {
      end_quietly (port);
      ahci_port_run (port);
    }
}

const VmIdeTransport ahci_transport = {
  .sata = true,
  .running = transport_running,
  .table = transport_table,
  .finished = transport_finished,
  .interrupt = transport_interrupt,
  .pio = transport_pio,
};

/* --- commands from the guest -----------------------------------------------------------------------------------------
 */

static void
load_registers (VmIdeDevice *dev, const uint8_t *fis)
{
  VmIdeRegs *r = &dev->regs, *p = &dev->previous;

  r->feature = fis[3];
  r->lba_low = fis[4];
  r->lba_mid = fis[5];
  r->lba_high = fis[6];
  r->device = fis[7];
  p->lba_low = fis[8];
  p->lba_mid = fis[9];
  p->lba_high = fis[10];
  p->feature = fis[11];
  r->count = fis[12];
  p->count = fis[13];
}

/* A FIS without a command: software reset begins with one and ends with another. */
static void
take_control (AhciPort *port, unsigned slot, const uint8_t *fis)
{
  VmIdeDevice *dev = ahci_port_device (port);
  bool reset = fis[15] & CONTROL_SRST;

  port->ci &= ~(UINT32_C (1) << slot);
  if (!reset && port->soft_reset)
    {
      ide_device_reset (dev);
      port->signature_due = true;
      ahci_port_receive (port);
    }
  port->soft_reset = reset;
}

static void
fail_link (AhciPort *port, uint32_t bit)
{
  port->halted = true;
  ahci_port_interrupt (port, bit);
}

static void
take_command (AhciPort *port, unsigned slot)
{
  VmIdeDevice *dev = ahci_port_device (port);
  uint8_t fis[20];

  if (!ahci_read_header (port, slot, port->header)
      || vm_pci_dma_read (&port->hba->parent, table_address (port->header), fis, sizeof fis) != VM_MEM_OK)
    {
      fail_link (port, IS_HBFS);
      return;
    }
  if (fis[0] != FIS_REGISTER_H2D || (port->header[0] & 0x1f) < 2)
    {
      vm_guest_error ("ahci", "port %u: command FIS of type %02x, %u double words", port->n, fis[0],
                      port->header[0] & 0x1f);
      fail_link (port, IS_IFS);
      return;
    }
  port->slot = (uint8_t) slot;
  if (!(fis[1] & FIS_IS_COMMAND))
    {
      take_control (port, slot, fis);
      return;
    }
  if (ahci_is_queued (fis[2]) && !dev->is_cd)
    {
      ahci_queue (port, slot, port->header, fis);
      return;
    }
  port->active = true;
  port->prd = port->prd_at = 0;
  port->tfd = (port->tfd & ~0xffu) | VM_IDE_BSY;
  load_registers (dev, fis);
  dev->transferred = 0;
  ide_run_command (dev, fis[2]);
  if (port->active && device_is_idle (dev))
    end_quietly (port);
}

/* The offered slot that comes next after the last one; -1: none that may start. */
static int
next_slot (const AhciPort *port)
{
  for (unsigned i = 1; i <= AHCI_SLOTS; i++)
    {
      unsigned slot = (port->slot + i) % AHCI_SLOTS;

      if (!(port->ci & UINT32_C (1) << slot))
        continue;
      if ((port->sact & UINT32_C (1) << slot) || !ahci_queue_busy (port))
        return (int) slot;
    }
  return -1;
}

void
ahci_port_run (AhciPort *port)
{
  int slot;

  if (port->running)
    return;
  port->running = true;
  while ((port->cmd & CMD_ST) && !port->halted && !port->active && ahci_port_device (port) && (port->ssts & 15) == 3
         && (slot = next_slot (port)) >= 0)
    take_command (port, (unsigned) slot);
  port->running = false;
}

void
ahci_port_stop (AhciPort *port)
{
  VmIdeDevice *dev = ahci_port_device (port);

  port->cmd &= ~(uint32_t) CMD_ST;
  if (dev && dev->conf.drive->block)
    vm_block_drain (dev->conf.drive->block); /* nothing is written into memory any more */
  port->active = port->halted = false;
  port->ci = port->sact = 0;
  port->slot = 0;
}

void
ahci_port_reset (AhciPort *port)
{
  VmIdeDevice *dev = ahci_port_device (port);

  if (dev)
    ide_device_reset (dev);
  port->active = port->halted = port->soft_reset = false;
  port->ci = port->sact = 0;
  port->slot = 0;
  port->tfd = TFD_NONE;
  port->sig = SIGNATURE_NONE;
  port->ssts = dev ? SSTS_UP : 0;
  port->signature_due = dev != NULL;
  ahci_port_receive (port);
}
