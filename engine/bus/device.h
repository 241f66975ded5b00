/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices and the buses they sit on; realize, hot-plug and reset phases. */
#pragma once

#include "engine/clock/clock.h"
#include "engine/irq/irq.h"
#include "engine/memory/memory.h"
#include "engine/object/object.h"

typedef struct VmDevice  VmDevice;
typedef struct VmBus     VmBus;
typedef struct VmDisplay VmDisplay;
typedef struct VmInput   VmInput;

typedef enum VmResetKind {
  VM_RESET_COLD,   /* power on, system_reset, triple fault, keyboard controller, port CF9 */
  VM_RESET_WAKEUP, /* leaving suspend to RAM */
  VM_RESET_BUS,    /* one bus or function: secondary bus reset, FLR */
} VmResetKind;

/* What a machine gives to each of its devices; found as dev->env from realize on. Functions may be called
 * from device code (lock held); they post to the engine loop where they must not run at once. */
typedef struct VmEnv {
  VmLoop         *loop;
  VmClocks       *clocks;
  VmIcountOptions icount;
  VmMemory       *memory;
  VmRegion       *system_memory; /* root container: guest-physical memory */
  VmRegion       *system_io;     /* root container: I/O ports */
  VmAddressSpace *memory_as;
  VmAddressSpace *io_as;
  VmDisplay      *display;
  VmInput        *input;
  VmObject       *root;          /* "/" of the object tree */
  void           *machine;       /* VmMachine *, for boards */
  bool            name_threads;  /* for the host's lists of threads */
  bool            cpu_pm;        /* the guest may put the host's processors to sleep */
  void (*request_reset) (void *machine, VmResetKind kind);  /* guest asked for it */
  void (*request_shutdown) (void *machine);                 /* guest powers off */
  void (*request_suspend) (void *machine);                  /* guest enters S3 */
  void (*request_wakeup) (void *machine);                   /* a wake event of a device */
  void (*request_panic) (void *machine, bool crashload);    /* guest says it crashed */
  void (*request_exit) (void *machine, int status);         /* isa-debug-exit */
  /* NULL or called once in each vCPU thread before it first runs guest code; no lock is held. */
  void (*confine_vcpu) (void);
} VmEnv;

typedef struct VmDeviceClass {
  bool (*realize) (VmDevice *dev, GError **error); /* undoes its own work on failure */
  void (*unrealize) (VmDevice *dev);
  void (*reset) (VmDevice *dev, VmResetKind kind); /* to the state after power-on; irq lines fall */
  /* Before its fields are saved: what is under way outside of them ends or is undone. False: it cannot be saved. */
  bool (*pre_save) (VmDevice *dev, GError **error);
  bool (*post_load) (VmDevice *dev, GError **error);
  const char *bus_type;   /* name of the bus family it needs: "ISA", "PCI", "i2c-bus", "IDE"; NULL: none */
  const char *category;   /* heading in "-device help": "Controller/Bridge/Hub", "Storage", ... */
  bool user_creatable;    /* -device and device_add accept it */
  bool hotpluggable;
  bool unmigratable;      /* its state cannot be saved */
  /* Of the family's base type: called around the type's own realize (PCI registers the function, ...). */
  bool (*bus_realize) (VmDevice *dev, GError **error);
  void (*bus_unrealize) (VmDevice *dev);
} VmDeviceClass;

struct VmDevice {
  VmObject  parent;
  VmBus    *bus;       /* where it sits; NULL for system devices */
  VmEnv    *env;
  GPtrArray *buses;    /* those it provides; not owned twice: each is freed with the device */
  bool      realized;
  bool      hotplugged;
  bool      pending_unplug;
};

/* A device type's klass must be a VmDeviceClass or begin with one. Its parent chain ends here. */
extern const VmType vm_device_type;
#define VM_DEVICE(obj) ((VmDevice *) (obj))

/* New, with defaults, not in the tree, not realized. */
VmDevice *vm_device_new (const VmType *type);
/* Puts DEV on BUS (NULL for system devices) and under its parent in the tree, runs bus_realize and realize,
 * parent type first. On failure DEV is taken off again. The tree owns it afterwards; the caller's reference
 * is its own to drop. One that is not in the tree yet goes to /machine/peripheral when it has an id
 * (vm_object_set_id()), else to /machine/unattached. One that is hotplugged is reset at the end.
 * A function that a type and its parent share runs once. */
bool      vm_device_realize (VmDevice *dev, VmEnv *env, VmBus *bus, GError **error);
void      vm_device_unrealize (VmDevice *dev); /* children buses first; takes it out of bus and tree */
const char *vm_device_path (VmDevice *dev);    /* for messages; owned by the device's id or type name */
const char *vm_device_user_id (VmDevice *dev); /* as given with -device; NULL when none was */
/* Of the type's class or of the nearest parent's that says: may be NULL. */
const char *vm_device_bus_type (const VmType *type);
const VmDeviceClass *vm_device_class (const VmDevice *dev);

struct VmBus {
  VmObject     parent;
  char        *name;      /* "pci.0", "isa.0", "ide.1" */
  const char  *type_name; /* the family, matched with VmDeviceClass.bus_type */
  VmDevice    *owner;     /* who provides it */
  GPtrArray   *devices;   /* in order of arrival */
  unsigned     max_devices; /* 0: no limit */
  bool         hotplug;   /* may devices come and go while running */
  VmLock      *lock;      /* of who works on it without the machine lock: taken to change what is on it; or NULL */
  /* Checks an address and claims it; may fail. NULL: anything goes. */
  bool (*attach) (VmBus *bus, VmDevice *dev, GError **error);
  void (*detach) (VmBus *bus, VmDevice *dev);
  /* A hot-plugged device is whole and reset: the guest may be told. NULL: nothing to tell. */
  void (*plugged) (VmBus *bus, VmDevice *dev);
  /* Asks the guest to let go (ACPI, PCIe button); NULL: unplug at once. */
  void (*request_unplug) (VmBus *bus, VmDevice *dev);
  char *(*device_path) (VmBus *bus, VmDevice *dev); /* "ide@1,1": for bootorder */
  /* What "info qtree" says beyond properties, in lines; NULL: nothing. */
  char *(*describe) (VmBus *bus, VmDevice *dev);
};

/* BUS is embedded in the owner's struct (or allocated by it) and lives as long. NAME NULL: generated from
 * the family, "pci.0". */
void   vm_bus_init (VmBus *bus, const char *type_name, VmDevice *owner, const char *name);
void   vm_bus_destroy (VmBus *bus); /* left out, it happens after the owner's unrealize */
extern const VmType vm_bus_type;
/* By name, or the first with room of the family, in the whole machine. */
VmBus *vm_bus_find (VmEnv *env, const char *name);
VmBus *vm_bus_find_type (VmEnv *env, const char *type_name);

/* Runs pre_save of DEV and, before, of what hangs off it; of all devices. */
bool vm_device_pre_save (VmDevice *dev, GError **error);
bool vm_devices_pre_save (const VmEnv *env, GError **error);
/* Runs post_load of DEV's class and its parents'. */
bool vm_device_post_load (VmDevice *dev, GError **error);

/* Calls FUNC for each realized device below ROOT in the order they were made; stops when it returns false. */
bool vm_device_foreach (VmObject *root, bool (*func) (VmDevice *dev, void *opaque), void *opaque);

/* All of them, children first. */
void vm_devices_reset (VmEnv *env, VmResetKind kind);
/* Resets DEV and all that hangs off its buses, children first. */
void vm_device_reset (VmDevice *dev, VmResetKind kind);
void vm_bus_reset (VmBus *bus, VmResetKind kind);

/* "info qtree" */
char *vm_device_describe_tree (VmEnv *env);
