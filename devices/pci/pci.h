/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PCI buses and functions (PCI Local Bus 3.0): configuration space, base address registers, interrupts.
 *
 * A PCI type names PCI as its bus_type by having vm_pci_device_type as parent and a VmPciClass as klass.
 * When its realize runs, the function has its place on the bus and a configuration space with the header
 * filled in from the class; realize adds capabilities and BARs. What it added goes away by itself. */
#pragma once

#include "devices/pci/pci-regs.h"
#include "engine/bus/device.h"

#include <sys/uio.h>

typedef struct VmPciBus    VmPciBus;
typedef struct VmPciDevice VmPciDevice;

#define VM_PCI_BUS_TYPE "PCI"
#define VM_PCI_SLOTS    32
#define VM_PCI_DEVFNS   256
#define VM_PCI_DEVFN(slot, func) ((slot) << 3 | (func))
#define VM_PCI_SLOT(devfn)       ((devfn) >> 3 & 31)
#define VM_PCI_FUNC(devfn)       ((devfn) & 7)

typedef struct VmPciClass {
  VmDeviceClass parent;
  uint16_t vendor, device;
  uint16_t class_id;             /* PCI_CLASS_* */
  uint8_t  prog_if, revision;
  uint16_t subsystem_vendor, subsystem; /* both 0: 1af4:1100 */
  bool     is_bridge;            /* header type 1 */
  bool     express;              /* 4 KiB of configuration space */
  const char *romfile;           /* when the user names none */
  /* Instead of, and usually calling, vm_pci_default_config_read/write. SIZE 1, 2 or 4, inside the space. */
  uint32_t (*config_read) (VmPciDevice *dev, uint32_t addr, unsigned size);
  void     (*config_write) (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size);
} VmPciClass;

typedef struct VmPciBar {
  VmRegion *region;    /* the device's; NULL: register not implemented */
  uint64_t  size;      /* power of two */
  uint64_t  addr;      /* where it is mapped now; UINT64_MAX: nowhere */
  uint8_t   flags;     /* PCI_BAR_* */
} VmPciBar;
#define VM_PCI_ROM_BAR 6
#define VM_PCI_N_BARS  7

struct VmPciDevice {
  VmDevice parent;
  /* properties */
  int32_t  addr;              /* devfn; -1 until one is chosen */
  char    *romfile, *failover_pair_id;
  uint32_t romsize, rombar, acpi_index;
  bool     multifunction, x_pcie_lnksta_dllla, x_pcie_extcap_init;
  /* wiring */
  VmPciBar       bar[VM_PCI_N_BARS];
  VmRegion       rom, dma_root, dma_window;
  VmAddressSpace dma_as;      /* what it sees as bus master; empty while bus mastering is off */
  uint8_t       *wmask;       /* bits of CONFIG the guest may write */
  uint8_t       *w1cmask;     /* bits it clears by writing 1 */
  uint8_t       *used;        /* bytes taken by the header and capabilities */
  uint32_t       config_size; /* 256 or 4096 */
  uint8_t        msi_cap, msix_cap; /* offset of the capability; 0: none */
  VmRegion       msix_table_region, msix_pba_region, msix_bar;
  void         (*msix_changed) (VmPciDevice *dev, unsigned vector, bool masked);
  uint32_t       msix_table_size, msix_pba_size; /* bytes */
  bool           has_rom, has_msix_bar;
  bool           default_rom; /* the type's: it is given the function's identity */
  /* guest state */
  uint8_t       *config;
  uint8_t       *msix_table, *msix_pba;
  bool           irq_level;   /* what the device wants of its pin */
  bool           irq_asserted; /* after the disable bit; what the bus counts */
};

extern const VmType vm_pci_device_type;
#define VM_PCI_DEVICE(obj) ((VmPciDevice *) (obj))

/* "addr": SLOT[.FUNC] in hexadecimal. */
extern const VmPropCustom vm_prop_pci_devfn;

/* --- buses ------------------------------------------------------------------------------------- */

/* How INTA..INTD of the functions of a root bus reach the interrupt controller. Lines are levels: they
 * are wired-or, the bus counts. */
typedef struct VmPciRouting {
  unsigned (*map) (void *opaque, unsigned devfn, unsigned pin); /* PIN 0..3 -> line */
  void     (*set) (void *opaque, unsigned line, int level);
  unsigned n_lines; /* at most 16 */
} VmPciRouting;

struct VmPciBus {
  VmBus        parent;
  VmPciBus    *up;           /* NULL: a root bus */
  VmPciDevice *bridge;       /* of a secondary bus */
  VmRegion    *memory, *io;  /* where BARs go */
  VmRegion    *dma_memory;   /* what bus masters see: a container */
  VmPciDevice *devices[VM_PCI_DEVFNS];
  uint8_t      devfn_min;    /* slots below are never chosen automatically */
  uint32_t     slots_reserved; /* a bit per slot: as above */
  const VmPciRouting *routing; /* root only */
  void        *routing_opaque;
  uint32_t     line_count[16]; /* root only: raised pins per line */
  void        *hotplug_opaque; /* of who serves parent.plugged and parent.request_unplug: ACPI, SHPC */
};
#define VM_PCI_BUS(bus) ((VmPciBus *) (bus))

void vm_pci_bus_init_root (VmPciBus *bus, VmDevice *owner, const char *name, VmRegion *memory, VmRegion *io,
                           VmRegion *dma_memory);
void vm_pci_bus_init_secondary (VmPciBus *bus, VmPciDevice *bridge, const char *name, VmRegion *memory,
                                VmRegion *io);
void vm_pci_bus_destroy (VmPciBus *bus);
extern const VmField vm_pci_bus_state[]; /* of a root bus, for its owner's table */
void vm_pci_bus_set_routing (VmPciBus *bus, const VmPciRouting *routing, void *opaque);
/* The level of LINE of a root bus: any pin raised? */
bool vm_pci_bus_line_level (const VmPciBus *bus, unsigned line);
unsigned  vm_pci_bus_number (const VmPciBus *bus);
VmPciBus *vm_pci_bus_find (VmPciBus *root, unsigned number);
VmPciDevice *vm_pci_bus_device (VmPciBus *root, unsigned bus_number, unsigned devfn);

/* One configuration cycle anywhere below ROOT; absent functions read ones. SIZE 1, 2 or 4, not crossing
 * a dword. */
uint32_t vm_pci_config_cycle_read (VmPciBus *root, unsigned bus_number, unsigned devfn, uint32_t reg, unsigned size);
void     vm_pci_config_cycle_write (VmPciBus *root, unsigned bus_number, unsigned devfn, uint32_t reg,
                                    uint32_t value, unsigned size);

/* --- functions --------------------------------------------------------------------------------- */

VmPciDevice *vm_pci_new (const VmType *type, int devfn, bool multifunction); /* for boards; -1: any slot */

static inline VmPciBus *
vm_pci_bus (const VmPciDevice *dev)
{
  return (VmPciBus *) dev->parent.bus;
}
/* Bus number << 8 | devfn: the requester of its memory accesses. */
uint16_t vm_pci_requester (const VmPciDevice *dev);

uint32_t vm_pci_default_config_read (VmPciDevice *dev, uint32_t addr, unsigned size);
void     vm_pci_default_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size);
/* After CONFIG was changed other than by the default write (load of state, a bridge's windows). */
void     vm_pci_update_mappings (VmPciDevice *dev);
/* Has the access ADDR, SIZE touched the LEN bytes at REG? */
static inline bool
vm_pci_range_touched (uint32_t addr, unsigned size, uint32_t reg, unsigned len)
{
  return addr < reg + len && reg < addr + size;
}

/* In realize, for identities that the class cannot know. */
void     vm_pci_set_id (VmPciDevice *dev, uint16_t vendor, uint16_t device);

/* REGION, initialised by the device, at BAR N (0..5). Its size must be a power of two, at least 4 (I/O) or
 * 16 (memory). A 64-bit BAR also takes N + 1. */
void     vm_pci_add_bar (VmPciDevice *dev, unsigned n, uint8_t flags, VmRegion *region);
uint64_t vm_pci_bar_address (const VmPciDevice *dev, unsigned n); /* UINT64_MAX: not mapped */

/* A capability of SIZE bytes at OFFSET (0: first free place from 0x40), linked in; the rest of it is zero and
 * read-only. Returns its offset, 0 with ERROR set when there is no room. */
uint8_t  vm_pci_add_capability (VmPciDevice *dev, uint8_t id, uint8_t offset, uint8_t size, GError **error);
uint8_t  vm_pci_find_capability (const VmPciDevice *dev, uint8_t id);
/* Power management capability: D0 and D3hot. */
uint8_t  vm_pci_add_pm_capability (VmPciDevice *dev, uint8_t offset, GError **error);

/* Interrupt pin of the header: 1 = INTA; 0: none. */
void  vm_pci_set_interrupt_pin (VmPciDevice *dev, uint8_t pin);
void  vm_pci_set_irq (VmPciDevice *dev, int level);            /* honours the command register's disable bit */
VmIrq vm_pci_irq (VmPciDevice *dev);                           /* the same as a line */

/* Message-signalled interrupts. VECTORS a power of two up to 32. */
bool  vm_pci_msi_init (VmPciDevice *dev, uint8_t offset, unsigned vectors, bool is64, bool maskable, GError **error);
bool  vm_pci_msi_enabled (const VmPciDevice *dev);
void  vm_pci_msi_notify (VmPciDevice *dev, unsigned vector);

/* MSI-X with table and pending bits in regions of the device. */
bool  vm_pci_msix_init (VmPciDevice *dev, unsigned n, VmRegion *table, unsigned table_bar, uint32_t table_offset,
                        VmRegion *pba, unsigned pba_bar, uint32_t pba_offset, uint8_t cap_offset, GError **error);
/* The same in a BAR of its own, made here. */
bool  vm_pci_msix_init_exclusive_bar (VmPciDevice *dev, unsigned n, unsigned bar, GError **error);
bool  vm_pci_msix_enabled (const VmPciDevice *dev);
bool  vm_pci_msix_masked (const VmPciDevice *dev, unsigned vector);
void  vm_pci_msix_notify (VmPciDevice *dev, unsigned vector);
void  vm_pci_msix_clear_pending (VmPciDevice *dev, unsigned vector);
/* CHANGED is told when a vector becomes masked or usable: for back ends that send interrupts themselves. */
void  vm_pci_msix_set_notify (VmPciDevice *dev, void (*changed) (VmPciDevice *dev, unsigned vector, bool masked));
/* The message VECTOR would send now (MSI-X, else MSI); false when neither is enabled. */
bool  vm_pci_message (const VmPciDevice *dev, unsigned vector, uint64_t *address, uint32_t *data);

/* DMA by the function; nothing happens (reads give ones) while bus mastering is off. */
VmMemAttrs  vm_pci_attrs (const VmPciDevice *dev);
VmMemResult vm_pci_dma_read (VmPciDevice *dev, uint64_t addr, void *buf, uint64_t len);
VmMemResult vm_pci_dma_write (VmPciDevice *dev, uint64_t addr, const void *buf, uint64_t len);
/* The same for LEN bytes from OFFSET of N pieces: fewer when there are no more. */
void        vm_pci_dma_write_iov (VmPciDevice *dev, uint64_t addr, const struct iovec *iov, unsigned n, size_t offset,
                                  size_t len);

/* Calls FUNC for every function below ROOT, depth first. */
void vm_pci_foreach (VmPciBus *root, void (*func) (VmPciDevice *dev, void *opaque), void *opaque);
/* "info pci" */
char *vm_pci_describe (VmPciBus *root);
