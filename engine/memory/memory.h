/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guest-physical memory and I/O ports: a tree of regions, flattened per address space.
 *
 * Regions are embedded in device structs. Changing the tree needs the machine lock; each change (or
 * each outermost transaction) makes a new flat view, which listeners and accelerators are told about.
 * RAM is accessed without locks. Device callbacks run under the machine lock, which the dispatch takes. */
#pragma once

#include "engine/base/base.h"
#include "engine/io/lock.h"

typedef struct VmRegion       VmRegion;
typedef struct VmAddressSpace VmAddressSpace;
typedef struct VmFlatView     VmFlatView;
typedef struct VmRamBlock     VmRamBlock;
typedef struct VmMemory       VmMemory; /* what the address spaces of a machine share */

typedef enum VmMemResult {
  VM_MEM_OK           = 0,
  VM_MEM_DECODE_ERROR = 1, /* nothing there: reads give ones, writes go nowhere */
  VM_MEM_DEVICE_ERROR = 2, /* refused by the device or by the access-size rules */
} VmMemResult;

/* Who makes the access. */
typedef struct VmMemAttrs {
  uint16_t requester; /* PCI bus/devfn of a DMA master */
  bool     smm;       /* the CPU is in system management mode */
  bool     user;      /* unprivileged */
  bool     dma;       /* not by a CPU: re-entering the device that issued it is refused */
} VmMemAttrs;
#define VM_MEM_ATTRS_NONE ((VmMemAttrs) { 0 })

/* --- device registers -------------------------------------------------------------------------- */

/* An access that is wider than valid.max or not aligned (without valid.unaligned) is cut into aligned parts
 * like a bus cuts it; one that has a part below valid.min is refused whole. A read below impl.min reads the
 * aligned impl.min bytes around it; a write below it has zeros in the other bytes. */
typedef struct VmAccessRules {
  uint8_t min, max;  /* bytes; 0 means 1 and 8 (valid) or 1 and 4 (impl) */
  bool    unaligned;
} VmAccessRules;

typedef struct VmRegionOps {
  /* OFFSET from the region's start; VALUE in its low SIZE bytes. */
  uint64_t (*read) (void *opaque, uint64_t offset, unsigned size);
  void     (*write) (void *opaque, uint64_t offset, uint64_t value, unsigned size);
  /* Instead of the above where the outcome or the requester matters. */
  VmMemResult (*read_attrs) (void *opaque, uint64_t offset, uint64_t *value, unsigned size, VmMemAttrs attrs);
  VmMemResult (*write_attrs) (void *opaque, uint64_t offset, uint64_t value, unsigned size, VmMemAttrs attrs);
  bool          big_endian;
  VmAccessRules valid; /* what the bus lets through; the rest is VM_MEM_DEVICE_ERROR */
  VmAccessRules impl;  /* what the callbacks want; the bus splits and widens to it */
} VmRegionOps;

typedef enum VmRegionKind {
  VM_REGION_CONTAINER,
  VM_REGION_IO,
  VM_REGION_RAM,
  VM_REGION_ROM,        /* RAM the guest cannot write; writes vanish */
  VM_REGION_ROM_DEVICE, /* reads like RAM in ROM mode, writes (and reads in command mode) go to ops: flash */
  VM_REGION_ALIAS,
} VmRegionKind;

struct VmRegion {
  const char        *name;
  VmRegionKind       kind;
  bool               enabled, readonly, mapped, romd;
  bool               ram_device;   /* host-mapped device memory: no direct instruction fetch */
  uint8_t            dirty_clients; /* VM_DIRTY_*: who asked for logging here */
  int                priority;     /* among overlapping siblings, higher wins */
  uint64_t           addr, size;   /* size 0 means 2^64 */
  VmMemory          *memory;
  VmRegion          *container;
  GPtrArray         *subregions;   /* by falling priority */
  const VmRegionOps *ops;
  void              *opaque;
  const void        *reentry_owner; /* accesses into regions of one owner do not nest; NULL: opaque */
  VmRamBlock        *ram;
  uint64_t           ram_offset;
  VmRegion          *alias;
  uint64_t           alias_offset;
  GArray            *eventfds;
  bool               coalesced;
};

VmMemory *vm_memory_new (VmLock *machine_lock);
void      vm_memory_free (VmMemory *memory);

/* Initialisers. NAME must outlive the region. The region must be removed before it is freed. */
void vm_region_init (VmRegion *r, VmMemory *m, const char *name, uint64_t size);
void vm_region_init_io (VmRegion *r, VmMemory *m, const VmRegionOps *ops, void *opaque, const char *name, uint64_t size);
bool vm_region_init_ram (VmRegion *r, VmMemory *m, const char *name, uint64_t size, GError **error);
bool vm_region_init_rom (VmRegion *r, VmMemory *m, const char *name, uint64_t size, GError **error);
bool vm_region_init_rom_device (VmRegion *r, VmMemory *m, const VmRegionOps *ops, void *opaque,
                                const char *name, uint64_t size, GError **error);
/* RAM whose bytes come from elsewhere (a memory backend); the region takes a reference. */
void vm_region_init_ram_block (VmRegion *r, VmMemory *m, const char *name, VmRamBlock *block);
void vm_region_init_alias (VmRegion *r, const char *name, VmRegion *target, uint64_t offset, uint64_t size);
void vm_region_destroy (VmRegion *r); /* removes it, drops its RAM */

void vm_region_add (VmRegion *parent, uint64_t addr, VmRegion *child);             /* priority 0 */
void vm_region_add_overlap (VmRegion *parent, uint64_t addr, VmRegion *child, int priority);
void vm_region_remove (VmRegion *child);
void vm_region_set_enabled (VmRegion *r, bool enabled);
void vm_region_set_address (VmRegion *r, uint64_t addr);
void vm_region_set_size (VmRegion *r, uint64_t size);
void vm_region_set_readonly (VmRegion *r, bool readonly);
void vm_region_set_romd (VmRegion *r, bool rom_mode);
void vm_region_set_alias_offset (VmRegion *r, uint64_t offset);
/* Several changes, one new view. Nests. */
void vm_memory_begin (VmMemory *m);
void vm_memory_commit (VmMemory *m);

/* --- RAM --------------------------------------------------------------------------------------- */

/* Flags of one 4 KiB page. An accelerator that keeps derived things (translated code) sets and honours
 * the first two; every writer that bypasses it calls vm_ram_written(). */
enum {
  VM_PAGE_CODE      = 1 << 0, /* instructions translated or decoded from here */
  VM_PAGE_TABLE     = 1 << 1, /* reserved for page-table tracking */
  VM_DIRTY_VGA      = 1 << 2, /* written since the display last looked */
  VM_DIRTY_MIGRATION = 1 << 3,
};

struct VmRamBlock {
  char              *name;
  uint8_t           *host;       /* page-aligned */
  uint64_t           size;
  uint64_t           page_base;  /* number of its first page in the machine-wide RAM page numbering */
  int                fd;         /* memfd or file, -1 when anonymous */
  bool               shared;
  int                refs;
  uint8_t           *page_flags; /* one per page; atomic bit operations only */
  uint64_t           fd_offset;  /* of byte 0 in FD */
  VmMemory          *memory;     /* NULL: gone before its RAM */
};

VmRamBlock *vm_ram_block_new (VmMemory *m, const char *name, uint64_t size, GError **error); /* memfd */
VmRamBlock *vm_ram_block_new_fd (VmMemory *m, const char *name, int fd, uint64_t size, bool shared, GError **error);
/* The same with more to say. FD -1: anonymous memory. */
typedef struct VmRamMap {
  bool     shared, reserve; /* RESERVE: the host refuses now what it could not give later */
  uint64_t offset, align;   /* of byte 0 in the file; of the host address, a power of two; 0: any */
} VmRamMap;
VmRamBlock *vm_ram_block_new_map (VmMemory *m, const char *name, int fd, uint64_t size, const VmRamMap *map,
                                  GError **error);
/* All there are, in the order they were made; a list of references. Any thread. */
GPtrArray  *vm_memory_ram_blocks (VmMemory *m);
VmRamBlock *vm_ram_block_ref (VmRamBlock *block);
void        vm_ram_block_unref (VmRamBlock *block);
void       *vm_region_ram_ptr (VmRegion *r); /* host address of byte 0 of a RAM or ROM region */

/* Tells code and dirty tracking that bytes changed behind the CPU's back (DMA, loaders, debugger). */
void vm_ram_written (VmMemory *m, VmRamBlock *block, uint64_t offset, uint64_t len);
/* The accelerator's hook for writes that hit VM_PAGE_CODE pages, from any thread. */
typedef void (*VmCodeWrittenFunc) (void *opaque, VmRamBlock *block, uint64_t offset, uint64_t len);
void vm_memory_set_code_hook (VmMemory *m, VmCodeWrittenFunc func, void *opaque);

/* Dirty logging of a RAM region for one client (VM_DIRTY_*). vm_region_take_dirty() fills BITMAP (a bit a
 * page from the region's first; those of OFFSET..OFFSET+LEN are set or cleared) with what was written since
 * the last call; returns whether any. */
void vm_region_set_dirty_log (VmRegion *r, unsigned client, bool on);
bool vm_region_take_dirty (VmRegion *r, unsigned client, uint64_t offset, uint64_t len, unsigned long *bitmap);

/* --- address spaces ---------------------------------------------------------------------------- */

typedef struct VmFlatRange {
  uint64_t  start, last;  /* in the address space, inclusive */
  VmRegion *region;       /* a leaf: RAM, ROM, ROM device or IO */
  uint64_t  offset;       /* of START in the region */
  uint8_t  *host;         /* address of START when reads are direct; else NULL */
  bool      readonly;     /* writes are not direct although reads are */
  uint8_t   dirty_clients;
  VmRamBlock *block;      /* of RAM, ROM and ROM devices; the view keeps it alive */
} VmFlatRange;

/* The first range of each of 256 equal pieces of the low addresses (the whole space when it is small, 4 GiB
 * when not), so that a look-up searches few ranges. */
#define VM_FLAT_MAP 256
struct VmFlatView {
  int          refs;
  size_t       n;
  VmFlatRange *ranges; /* sorted by start, no overlaps */
  unsigned     map_shift;
  uint32_t     map[VM_FLAT_MAP + 1];
};

struct VmAddressSpace {
  const char *name;
  VmMemory   *memory;
  VmRegion   *root;
  VmFlatView *view;       /* current one; take it by vm_address_space_view() */
  unsigned    generation; /* atomic; grows with each new view */
  GArray     *eventfds;   /* as the listeners know them */
  GArray     *coalesced;
};

void        vm_address_space_init (VmAddressSpace *as, VmMemory *m, VmRegion *root, const char *name);
void        vm_address_space_destroy (VmAddressSpace *as);
VmFlatView *vm_address_space_view (VmAddressSpace *as); /* a reference; any thread */
VmFlatView *vm_flat_view_ref (VmFlatView *view);
void        vm_flat_view_unref (VmFlatView *view);
/* The range that holds ADDR, or NULL. */
const VmFlatRange *vm_flat_view_find (const VmFlatView *view, uint64_t addr);

/* Access by anyone but generated code. RAM directly (with dirty marking), registers through the rules,
 * taking the machine lock. May span ranges. The result is the worst of the parts; bytes of failed reads are
 * ones. */
VmMemResult vm_as_read (VmAddressSpace *as, uint64_t addr, VmMemAttrs attrs, void *buf, uint64_t len);
VmMemResult vm_as_write (VmAddressSpace *as, uint64_t addr, VmMemAttrs attrs, const void *buf, uint64_t len);
VmMemResult vm_as_fill (VmAddressSpace *as, uint64_t addr, VmMemAttrs attrs, uint8_t byte, uint64_t len);
/* Little-endian numbers of SIZE 1, 2, 4 or 8 bytes, as one access. */
uint64_t    vm_as_load (VmAddressSpace *as, uint64_t addr, unsigned size, VmMemAttrs attrs, VmMemResult *result);
VmMemResult vm_as_store (VmAddressSpace *as, uint64_t addr, uint64_t value, unsigned size, VmMemAttrs attrs);
/* Writes even into ROM: loaders and debuggers. */
VmMemResult vm_as_write_rom (VmAddressSpace *as, uint64_t addr, const void *buf, uint64_t len);

/* One register access on a leaf found in a view: what a CPU does after its own look-up. Takes the lock. R must
 * still be there: whoever kept it from an earlier look-up takes the machine lock, compares the address
 * space's generation with the one of the look-up, and only then calls. */
VmMemResult vm_region_read (VmRegion *r, uint64_t offset, uint64_t *value, unsigned size, VmMemAttrs attrs);
VmMemResult vm_region_write (VmRegion *r, uint64_t offset, uint64_t value, unsigned size, VmMemAttrs attrs);

/* A device's callback is running (dispatch says so itself; a bus does it around DMA that a device starts from
 * a timer): until _leave, accesses by this thread to regions of OWNER are refused. Lock held. */
typedef struct VmReentry {
  const void       *owner;
  uintptr_t         thread;
  struct VmReentry *prev, *next;
} VmReentry;
void vm_memory_owner_enter (VmMemory *m, VmReentry *mark, const void *owner);
void vm_memory_owner_leave (VmMemory *m, VmReentry *mark);

/* Direct host access for bulk DMA: *LEN shrinks to what is contiguous. NULL when it is no RAM (use
 * vm_as_read/write then). Unmap tells how much was written. Holds the RAM alive in between. */
void *vm_as_map (VmAddressSpace *as, uint64_t addr, uint64_t *len, bool for_write, VmRamBlock **block);
void  vm_as_unmap (VmAddressSpace *as, void *host, uint64_t written, VmRamBlock *block);

/* --- listeners --------------------------------------------------------------------------------- */

/* Told about each change of one address space, under the machine lock: what goes first, then what comes. On
 * registration the whole present view is announced with add, on removal it is taken back with del. */
typedef struct VmMemoryListener {
  void (*begin) (struct VmMemoryListener *l);
  void (*add) (struct VmMemoryListener *l, const VmFlatRange *range);
  void (*del) (struct VmMemoryListener *l, const VmFlatRange *range);
  void (*dirty_changed) (struct VmMemoryListener *l, const VmFlatRange *range); /* dirty_clients differ */
  void (*commit) (struct VmMemoryListener *l); /* a new view is in place */
  /* Pulls the accelerator's own dirty bits (KVM) into page_flags before they are read. */
  void (*sync_dirty) (struct VmMemoryListener *l, const VmFlatRange *range);
  /* Bits of a client were cleared: direct writes to these pages must be caught again. An accelerator that
   * can do so only later calls vm_ram_written() for the pages it let through until then. */
  void (*dirty_cleared) (struct VmMemoryListener *l, VmRamBlock *block, uint64_t offset, uint64_t len);
  void (*eventfd_add) (struct VmMemoryListener *l, uint64_t addr, unsigned size, bool match, uint64_t data, int fd);
  void (*eventfd_del) (struct VmMemoryListener *l, uint64_t addr, unsigned size, bool match, uint64_t data, int fd);
  void (*coalesced_add) (struct VmMemoryListener *l, uint64_t addr, uint64_t len);
  void (*coalesced_del) (struct VmMemoryListener *l, uint64_t addr, uint64_t len);
  int             priority; /* lower is told first of additions */
  VmAddressSpace *as;       /* set by the registration */
} VmMemoryListener;

void vm_memory_listener_add (VmMemoryListener *l, VmAddressSpace *as);
void vm_memory_listener_remove (VmMemoryListener *l);

/* A write of SIZE bytes (0: any) of DATA (with MATCH; else any) at OFFSET signals FD instead of reaching ops. */
void vm_region_add_eventfd (VmRegion *r, uint64_t offset, unsigned size, bool match, uint64_t data, int fd);
void vm_region_del_eventfd (VmRegion *r, uint64_t offset, unsigned size, bool match, uint64_t data, int fd);
void vm_region_set_coalesced (VmRegion *r, bool on);
/* Called before device registers that other code may have buffered writes for; set by KVM. */
void vm_memory_set_flush_hook (VmMemory *m, void (*func) (void *opaque), void *opaque);

/* Pulls the accelerators' dirty bits of R in, as vm_region_take_dirty() does. */
void vm_region_sync_dirty (VmRegion *r);

/* "info mtree": the trees and, with FLAT, the flat views. */
char *vm_memory_describe (VmMemory *m, bool flat);
