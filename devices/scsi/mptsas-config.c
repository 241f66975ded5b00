/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration pages of the LSI SAS1068 (Fusion-MPT Message Passing Interface 1.5). */
#include "devices/scsi/mptsas.h"

enum { ACTION_HEADER, ACTION_READ, ACTION_WRITE, ACTION_DEFAULT, ACTION_WRITE_NVRAM, ACTION_READ_DEFAULT,
       ACTION_READ_NVRAM };
enum { TYPE_IO_UNIT = 0, TYPE_IOC = 1, TYPE_BIOS = 2, TYPE_MANUFACTURING = 9, TYPE_EXTENDED = 15,
       TYPE_SAS_IO_UNIT = 0x10, TYPE_SAS_DEVICE = 0x12, TYPE_SAS_PHY = 0x13 };
enum { DEVICE_END = 0x1, DEVICE_SSP_INITIATOR = 0x40, DEVICE_SSP_TARGET = 0x400, DEVICE_DIRECT = 0x800 };
enum { LINK_RATE_3_0 = 0x09 };
#define HOST_HANDLE 1u /* phys of the adapter: each its own, from here on; what is attached follows */
#define PAGE_MAX 256

uint16_t
mptsas_handle (unsigned port)
{
  return (uint16_t) (HOST_HANDLE + MPT_PORTS + port);
}

VmScsiDevice *
mptsas_device (Mptsas *s, unsigned port)
{
  return port < MPT_PORTS ? vm_scsi_bus_find (&s->bus, 0, port, VM_SCSI_LUN_NONE) : NULL;
}

uint64_t
mptsas_device_address (const Mptsas *s, unsigned port)
{
  VmScsiDevice *dev = mptsas_device ((Mptsas *) s, port);

  return dev && dev->wwn ? dev->wwn : s->sas_address + MPT_PORTS + port;
}

uint32_t
mptsas_device_info (const VmScsiDevice *dev)
{
  return dev ? DEVICE_END | DEVICE_SSP_TARGET | DEVICE_DIRECT : 0;
}

/* A page under construction; the header comes last. */
typedef struct Page {
  uint8_t  data[PAGE_MAX];
  unsigned n;
} Page;

static void
put (Page *page, unsigned bytes, uint64_t value)
{
  vm_store_le (page->data + page->n, value, bytes);
  page->n += bytes;
}

static void
put_text (Page *page, unsigned bytes, const char *text)
{
  memcpy (page->data + page->n, text, MIN (strlen (text), bytes));
  page->n += bytes;
}

static void
pad_to (Page *page, unsigned n)
{
  page->n = MAX (page->n, n);
}

/* --- plain pages ----------------------------------------------------------------------------------- */

typedef bool (*MakePage) (Mptsas *s, Page *page, uint32_t address);

static bool
manufacturing_0 (Mptsas *s, Page *page, uint32_t address)
{
  put_text (page, 16, "Vitrine");
  put_text (page, 8, "B0");
  put_text (page, 16, "SAS1068");
  put_text (page, 16, "1");
  put_text (page, 16, "0");
  return true;
}

static bool
io_unit_0 (Mptsas *s, Page *page, uint32_t address)
{
  put (page, 8, s->sas_address);
  return true;
}

static bool
io_unit_1 (Mptsas *s, Page *page, uint32_t address)
{
  put (page, 4, 0x41); /* multi-function, single port */
  return true;
}

static bool
ioc_0 (Mptsas *s, Page *page, uint32_t address)
{
  put (page, 8, 0); /* non-volatile store */
  put (page, 2, vm_load_le16 (s->parent.config + PCI_VENDOR_ID));
  put (page, 2, vm_load_le16 (s->parent.config + PCI_DEVICE_ID));
  put (page, 4, s->parent.config[PCI_REVISION_ID]);
  put (page, 4, (uint32_t) vm_load_le16 (s->parent.config + PCI_CLASS_DEVICE) << 16);
  put (page, 2, vm_load_le16 (s->parent.config + PCI_SUBSYSTEM_VENDOR_ID));
  put (page, 2, vm_load_le16 (s->parent.config + PCI_SUBSYSTEM_ID));
  return true;
}

static bool
ioc_1 (Mptsas *s, Page *page, uint32_t address)
{
  pad_to (page, 16); /* no coalescing */
  page->data[13] = 0xff; /* slot number unknown */
  return true;
}

static bool
ioc_2 (Mptsas *s, Page *page, uint32_t address)
{
  pad_to (page, 12); /* no RAID */
  return true;
}

static bool
ioc_3 (Mptsas *s, Page *page, uint32_t address)
{
  pad_to (page, 8); /* no RAID disks */
  return true;
}

/* --- SAS pages ------------------------------------------------------------------------------------- */

static bool
sas_io_unit_0 (Mptsas *s, Page *page, uint32_t address)
{
  pad_to (page, 12);
  put (page, 4, MPT_PORTS);
  for (unsigned i = 0; i < MPT_PORTS; i++)
    {
      VmScsiDevice *dev = mptsas_device (s, i);

      put (page, 1, i); /* port */
      put (page, 2, 0);
      put (page, 1, dev ? LINK_RATE_3_0 : 0);
      put (page, 4, DEVICE_END | DEVICE_SSP_INITIATOR);
      put (page, 2, dev ? mptsas_handle (i) : 0);
      put (page, 2, HOST_HANDLE + i);
      put (page, 4, 0);
    }
  return true;
}

static bool
sas_io_unit_1 (Mptsas *s, Page *page, uint32_t address)
{
  pad_to (page, 16);
  put (page, 4, MPT_PORTS);
  for (unsigned i = 0; i < MPT_PORTS; i++)
    {
      put (page, 1, i);
      put (page, 2, 0);
      put (page, 1, LINK_RATE_3_0 << 4 | 8); /* at most 3 Gbit/s, at least 1.5 */
      put (page, 4, DEVICE_END | DEVICE_SSP_INITIATOR);
      put (page, 4, 0);
    }
  return true;
}

static bool
sas_io_unit_2 (Mptsas *s, Page *page, uint32_t address)
{
  put (page, 4, 1); /* a device an enclosure */
  put (page, 4, MPT_PORTS);
  pad_to (page, 28);
  return true;
}

static bool
sas_io_unit_3 (Mptsas *s, Page *page, uint32_t address)
{
  pad_to (page, 44); /* no limits of errors */
  return true;
}

static bool
sas_phy_0 (Mptsas *s, Page *page, uint32_t address)
{
  unsigned phy = address & 0xff;
  VmScsiDevice *dev = mptsas_device (s, phy);

  if (address >> 28 > 1 || phy >= MPT_PORTS)
    return false;
  put (page, 4, HOST_HANDLE + phy);
  put (page, 8, s->sas_address + phy);
  put (page, 2, dev ? mptsas_handle (phy) : 0);
  put (page, 2, 0); /* the other side's phy */
  put (page, 4, mptsas_device_info (dev));
  put (page, 1, LINK_RATE_3_0 << 4 | 8);
  put (page, 1, LINK_RATE_3_0 << 4 | 8);
  put (page, 2, 0);
  put (page, 4, 0);
  return true;
}

static bool
sas_phy_1 (Mptsas *s, Page *page, uint32_t address)
{
  pad_to (page, 28); /* no errors */
  return address >> 28 <= 1 && (address & 0xff) < MPT_PORTS;
}

/* Which port a device page is about; ports of the adapter itself are MPT_PORTS and following. False: none. */
static bool
find_device (Mptsas *s, uint32_t address, unsigned *port)
{
  uint16_t handle = (uint16_t) address;

  switch (address >> 28)
    {
    case 0: /* the next after that handle */
      for (unsigned next = handle == 0xffff ? HOST_HANDLE : handle + 1u; next < mptsas_handle (MPT_PORTS); next++)
        if (next < mptsas_handle (0) || mptsas_device (s, next - mptsas_handle (0)))
          {
            *port = next < mptsas_handle (0) ? next - HOST_HANDLE + MPT_PORTS : next - mptsas_handle (0);
            return true;
          }
      return false;
    case 1: /* bus and target */
      *port = address & 0xff;
      return (address >> 8 & 0xff) == 0 && mptsas_device (s, *port);
    case 2:
      if (handle >= HOST_HANDLE && handle < mptsas_handle (0))
        {
          *port = handle - HOST_HANDLE + MPT_PORTS;
          return true;
        }
      *port = handle - (unsigned) mptsas_handle (0);
      return handle >= mptsas_handle (0) && mptsas_device (s, *port);
    default:
      return false;
    }
}

static bool
sas_device_0 (Mptsas *s, Page *page, uint32_t address)
{
  unsigned port;

  if (!find_device (s, address, &port))
    return false;
  bool own = port >= MPT_PORTS;
  unsigned phy = port % MPT_PORTS;
  put (page, 4, own ? 0 : phy); /* slot, no enclosure */
  put (page, 8, own ? s->sas_address + phy : mptsas_device_address (s, phy));
  put (page, 2, own ? 0 : HOST_HANDLE + phy);
  put (page, 2, phy);
  put (page, 2, own ? HOST_HANDLE + phy : mptsas_handle (phy));
  put (page, 2, own ? 0 : phy); /* target, bus */
  put (page, 4, own ? DEVICE_END | DEVICE_SSP_INITIATOR : mptsas_device_info (mptsas_device (s, phy)));
  put (page, 2, own ? 0 : 3); /* present, mapped */
  put (page, 2, phy);
  return true;
}

static bool
sas_device_1 (Mptsas *s, Page *page, uint32_t address)
{
  unsigned port;

  if (!find_device (s, address, &port))
    return false;
  put (page, 4, 0);
  put (page, 8, port >= MPT_PORTS ? s->sas_address + port % MPT_PORTS : mptsas_device_address (s, port));
  put (page, 4, 0);
  put (page, 2, port >= MPT_PORTS ? HOST_HANDLE + port % MPT_PORTS : mptsas_handle (port));
  put (page, 2, port % MPT_PORTS);
  pad_to (page, 48); /* no FIS: no SATA */
  return true;
}

static const struct PageKind {
  uint8_t  type, number, version;
  MakePage make;
} pages[] = {
  { TYPE_MANUFACTURING, 0, 0, manufacturing_0 }, { TYPE_IO_UNIT, 0, 0, io_unit_0 }, { TYPE_IO_UNIT, 1, 1, io_unit_1 },
  { TYPE_IOC, 0, 1, ioc_0 },           { TYPE_IOC, 1, 1, ioc_1 },           { TYPE_IOC, 2, 4, ioc_2 },
  { TYPE_IOC, 3, 0, ioc_3 },           { TYPE_SAS_IO_UNIT, 0, 4, sas_io_unit_0 },
  { TYPE_SAS_IO_UNIT, 1, 7, sas_io_unit_1 },   { TYPE_SAS_IO_UNIT, 2, 6, sas_io_unit_2 },
  { TYPE_SAS_IO_UNIT, 3, 6, sas_io_unit_3 },   { TYPE_SAS_PHY, 0, 1, sas_phy_0 }, { TYPE_SAS_PHY, 1, 0, sas_phy_1 },
  { TYPE_SAS_DEVICE, 0, 5, sas_device_0 }, { TYPE_SAS_DEVICE, 1, 0, sas_device_1 },
};

/* --- requests -------------------------------------------------------------------------------------- */

static const struct PageKind *
find_kind (uint8_t type, uint8_t number, bool *known_type)
{
  *known_type = false;
  for (size_t i = 0; i < G_N_ELEMENTS (pages); i++)
    if (pages[i].type == type)
      {
        *known_type = true;
        if (pages[i].number == number)
          return &pages[i];
      }
  return NULL;
}

static uint16_t
send_page (Mptsas *s, const uint8_t *request, const Page *page)
{
  VmScsiDma dma = { 0 };
  bool ok;

  vm_scsi_dma_init (&dma, &s->parent);
  ok = mptsas_read_sgl (s, &dma.sg, request, CONFIG_SGE, 0);
  if (ok)
    vm_dma_sg_copy (&dma.sg, 0, (void *) (uintptr_t) page->data, page->n, true);
  vm_scsi_dma_clear (&dma);
  return ok ? MPT_OK : MPT_INVALID_SGL;
}

void
mptsas_config (Mptsas *s, const uint8_t *request, uint8_t *reply)
{
  const uint8_t *header = request + CONFIG_HEADER;
  uint8_t action = request[CONFIG_ACTION], plain = header[3] & 15;
  bool extended = plain == TYPE_EXTENDED, known;
  const struct PageKind *kind = find_kind (extended ? request[CONFIG_EXT_TYPE] : plain, header[2], &known);
  unsigned head = extended ? 8 : 4, words;
  Page page = { .n = head };
  uint16_t status = MPT_OK;

  reply[CONFIG_ACTION] = action;
  reply[CONFIG_EXT_TYPE] = request[CONFIG_EXT_TYPE];
  memcpy (reply + CONFIG_HEADER, header, 4);
  if (!kind)
    {
      vm_store_le16 (reply + M_IOC_STATUS, known ? MPT_CONFIG_INVALID_PAGE : MPT_CONFIG_INVALID_TYPE);
      return;
    }
  /* The length is the same for all addresses, and asked for without one. */
  if (!kind->make (s, &page, vm_load_le32 (request + CONFIG_ADDRESS)) && action != ACTION_HEADER)
    status = MPT_CONFIG_INVALID_PAGE;
  if (status == MPT_OK && page.n == head)
    {
      page.n = head;
      kind->make (s, &page, 2u << 28 | HOST_HANDLE);
    }
  words = VM_ALIGN_UP (page.n, 4) / 4;
  page.n = words * 4;
  reply[CONFIG_HEADER] = page.data[0] = kind->version;
  reply[CONFIG_HEADER + 1] = extended ? 0 : (uint8_t) words;
  reply[CONFIG_HEADER + 3] = (uint8_t) plain; /* read only */
  memcpy (page.data + 1, reply + CONFIG_HEADER + 1, 3);
  if (extended)
    {
      vm_store_le16 (reply + CONFIG_EXT_LENGTH, (uint16_t) words);
      vm_store_le16 (page.data + 4, (uint16_t) words);
      page.data[6] = kind->type;
    }
  if (status == MPT_OK)
    switch (action)
      {
      case ACTION_HEADER:
        break;
      case ACTION_READ: case ACTION_READ_DEFAULT: case ACTION_READ_NVRAM:
        status = send_page (s, request, &page);
        break;
      case ACTION_WRITE: case ACTION_DEFAULT: case ACTION_WRITE_NVRAM:
        status = MPT_CONFIG_CANT_COMMIT;
        break;
      default:
        status = MPT_CONFIG_INVALID_ACTION;
        break;
      }
  vm_store_le16 (reply + M_IOC_STATUS, status);
}
