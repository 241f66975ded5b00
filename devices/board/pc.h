/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every PC has, whatever its chip set. */
#pragma once

#include "devices/acpi/hotplug.h"
#include "devices/intc/i8259.h"
#include "devices/intc/ioapic.h"
#include "devices/timer/i8254.h"
#include "devices/timer/mc146818.h"
#include "engine/cpu/irqchip.h"
#include "engine/machine/machine.h"

#define VM_PC_GSIS 24
#define VM_PC_COM_PORTS 4

typedef struct VmFwCfg VmFwCfg;
typedef struct VmPc    VmPc;
typedef struct VmPcDimm VmPcDimm;

/* Who may drive an interrupt line; each source is a wire of its own, or-ed into the line. */
enum { VM_PC_IRQ_ISA, VM_PC_IRQ_PIRQ, VM_PC_IRQ_SCI, VM_PC_IRQ_HPET, VM_PC_IRQ_FERR, VM_PC_IRQ_SMBUS,
       VM_PC_IRQ_IDE };

struct VmPc {
  VmMachine parent;
  /* properties */
  uint64_t    max_ram_below_4g, max_fw_size;
  int         vmport, smm, acpi, pic_wanted, pit_wanted; /* VmOnOffAuto */
  bool        hpet, smbus, sata, i8042_wanted, fd_bootchk, bus_bypass_iommu;
  char       *oem_id, *oem_table_id, *smbios_entry_point, *pcspk_audiodev;
  char       *pflash[2];        /* drives or block nodes with firmware */
  /* parts; NULL where the board has none */
  VmIsaBus   *isa;
  VmIrqchipMode irqchip;        /* which of these are inside the accelerator */
  VmI8259    *pic[2];
  VmIoapic   *ioapic;
  VmLapicBus  lapics;
  VmI8254    *pit;
  VmMc146818 *rtc;
  VmFwCfg    *fw_cfg;
  VmRegion    ram_low, ram_high;
  VmRegion    bios, bios_low;   /* top of the 4 GiB, and its end below 1 MiB */
  VmRegion    ferr_port;
  uint64_t    below_4g, above_4g;
  char       *bios_data;        /* isapc: what the writable BIOS begins with */
  gsize       bios_size;
  bool        closing;          /* chips are going: interrupt lines lead nowhere */
  unsigned    resets;           /* seen so far: -boot once */
  uint32_t    apic_ids[512];    /* of all possible processors, enabled ones first */
  unsigned    n_possible;
  VmX86Cpu   *cpus[512];        /* in their places; NULL: not there */
  bool        cpu_ejected[512]; /* the guest let it go; the loop takes it away */
  VmAddressSpace *smm_as;       /* what processors see in SMM */
  /* where memory modules go; no region, no slots: there are none */
  VmRegion    device_memory;
  uint64_t    device_memory_start, device_memory_limit; /* LIMIT: of all modules together */
  VmPcDimm   *dimms[VM_ACPI_MAX_MEMORY_SLOTS];
  /* of the power management chip; NULL: nothing comes or goes */
  VmAcpiCpuHotplug    *cpu_hotplug;
  VmAcpiMemoryHotplug *memory_hotplug;
  /* guest state that belongs to no chip */
  uint32_t    irq_levels[VM_PC_GSIS]; /* a bit per source */
  uint64_t    irq_count[VM_PC_GSIS];
};
#define VM_PC(machine) ((VmPc *) (machine))

extern const VmType vm_pc_machine_type;

/* pc-irq.c */
VmIrq vm_pc_irq (VmPc *pc, unsigned gsi, unsigned source);
bool  vm_pc_make_pics (VmPc *pc, GError **error);
char *vm_pc_describe_irq (VmMachine *machine, bool pic);
void  vm_pc_set_irq (VmMachine *machine, unsigned n, int level);
void  vm_pc_inject_nmi (VmMachine *machine);

/* pc-cpu.c */
bool  vm_pc_make_cpus (VmPc *pc, VmAddressSpace *smm_as, GError **error);
/* Gives a processor its place and its local APIC and starts its thread. */
bool  vm_pc_attach_cpu (VmPc *pc, VmX86Cpu *cpu, unsigned index, GError **error);
void  vm_pc_detach_cpu (VmPc *pc, VmX86Cpu *cpu); /* its local APIC goes */
VmIrq vm_pc_smi (VmPc *pc);  /* to the first processor */
VmIrq vm_pc_a20 (VmPc *pc);
VmIrq vm_pc_plain_intr (VmPc *pc); /* of a processor without a local APIC */

/* pc-hotplug.c: processors and memory modules; NULL: this board has none of the kind. */
void  vm_pc_serve_hotplug (VmPc *pc, VmAcpiCpuHotplug *cpus, VmAcpiMemoryHotplug *memory);

/* pc-dimm.c */
bool  vm_pc_make_device_memory (VmPc *pc, GError **error);
void  vm_pc_serve_dimms (VmPc *pc, VmAcpiMemoryHotplug *chip);
bool  vm_pc_plug_dimm (VmPc *pc, VmDevice *dev, GError **error);
bool  vm_pc_request_dimm_unplug (VmPc *pc, VmDevice *dev, GError **error);

/* pc-memory.c */
void  vm_pc_map_ram (VmPc *pc);
/* The BIOS image in ROM space. WRITABLE: it is RAM, filled again at each reset. */
bool  vm_pc_map_bios (VmPc *pc, VmRegion *rom_space, const char *default_file, bool writable, GError **error);

/* pc-flash.c: firmware in flash chips, if the user wants it so. */
bool  vm_pc_map_flash (VmPc *pc, VmRegion *rom_space, bool *mapped, GError **error);

/* pc-isa.c: the chips on the ISA bus and the ports of the back of the case. */
bool  vm_pc_make_isa_chips (VmPc *pc, GError **error);
bool  vm_pc_make_isa_ports (VmPc *pc, GError **error);
/* A type by name, which may be missing from this build; NULL then. */
const VmType *vm_pc_type (VmPc *pc, const char *name);
/* pc-nic.c: all cards of machine->nics. PCI NULL: has none. */
bool vm_pc_make_nics (VmPc *pc, VmBus *pci, VmBus *isa, GError **error);
VmDevice *vm_pc_add (VmPc *pc, const char *type, VmBus *bus, GError **error);
bool  vm_pc_add_drives (VmPc *pc, GError **error); /* IDE and floppy drives of the settings */
bool  vm_pc_add_vga (VmPc *pc, VmBus *bus, bool pci, GError **error);

/* pc-cmos.c */
void  vm_pc_fill_cmos (VmPc *pc);
void  vm_pc_count_cpus (VmPc *pc); /* firmware waits for as many */
bool  vm_pc_set_boot_order (VmMachine *machine, const char *order, GError **error);
void  vm_pc_watch_machine (VmPc *pc);

/* pc-firmware.c: the fw_cfg device with what it says about the board. */
bool  vm_pc_make_fw_cfg (VmPc *pc, GError **error);
/* pc-roms.c */
bool  vm_pc_add_vga_rom (VmPc *pc, const char *file, GError **error);
bool  vm_pc_add_user_files (VmPc *pc, GError **error); /* -option-rom and -fw_cfg */
/* Once all devices exist. */
bool  vm_pc_finish_fw_cfg (VmPc *pc, GError **error);
