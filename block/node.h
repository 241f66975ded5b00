/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Block nodes and the drivers behind them. In fibers of the graph's loop ("block/graph.h").
 *
 * Functions that return int give 0 (or a count) and a negative errno value. Offsets and lengths are in bytes; the core
 * checks them against the node's size and limits, turns what a driver has no function for into what it has, and does
 * the reads that requests not aligned to limits.alignment need. A driver may be asked for several things at once: each
 * request is a fiber. */
#pragma once

#include "block/graph.h"
#include "block/vec.h"

/* --- permissions: what a parent does with a node, and what it lets other parents do ---------------------- */

typedef enum VmPerm {
  VM_PERM_READ      = 1 << 0, /* reads see a consistent picture */
  VM_PERM_WRITE     = 1 << 1,
  VM_PERM_UNCHANGED = 1 << 2, /* writes that do not change what is read */
  VM_PERM_RESIZE    = 1 << 3,
} VmPerm;
#define VM_PERM_ALL 15

typedef enum VmRole {
  VM_ROLE_DATA     = 1 << 0, /* guest data lies there */
  VM_ROLE_METADATA = 1 << 1,
  VM_ROLE_FILTERED = 1 << 2, /* the parent is a filter over it */
  VM_ROLE_COW      = 1 << 3, /* read where the parent has nothing: a backing file */
  VM_ROLE_PRIMARY  = 1 << 4,
} VmRole;

/* From a parent to a node. Parents are nodes, and roots: devices, jobs, exports. */
struct VmEdge {
  VmNode     *node;
  VmNode     *parent;    /* NULL: a root */
  char       *name;      /* "file", "backing", "children.0"; of a root, who it is: "virtio0" */
  unsigned    role;
  unsigned    perm, shared;
  const struct VmRootClass *root; /* of a root */
  void       *opaque;
};

typedef struct VmRootClass {
  const char *kind;                       /* "device", "job", "export": for messages */
  void (*drain_begin) (void *opaque);     /* submit nothing more until drain_end; may be called nested */
  bool (*drain_busy) (void *opaque);      /* has requests under way (or NULL: no) */
  void (*drain_end) (void *opaque);
  void (*resized) (void *opaque);         /* the node has another size */
} VmRootClass;

/* --- requests ------------------------------------------------------------------------------------------- */

typedef enum VmRequestFlags {
  VM_REQ_FUA         = 1 << 0, /* on stable storage when done */
  VM_REQ_UNMAP       = 1 << 1, /* write_zeroes: may deallocate */
  VM_REQ_NO_FALLBACK = 1 << 2, /* write_zeroes: -ENOTSUP rather than writing zeros */
  VM_REQ_COMPRESSED  = 1 << 3, /* write: compressed where the format can */
  VM_REQ_UNCHANGED   = 1 << 4, /* what is read does not change: needs no VM_PERM_WRITE */
  VM_REQ_PREFETCH    = 1 << 5, /* read: only so that it is cached or copied up; the vector may be empty */
} VmRequestFlags;

typedef enum VmExtentFlags {
  VM_EXTENT_ALLOCATED  = 1 << 0, /* this node's layer decides what is read, not its backing file */
  VM_EXTENT_ZERO       = 1 << 1, /* reads as zeros */
  VM_EXTENT_DATA       = 1 << 2, /* takes place */
  VM_EXTENT_COMPRESSED = 1 << 3,
  VM_EXTENT_HAS_OFFSET = 1 << 4, /* lies raw at FILE_OFFSET of FILE */
  VM_EXTENT_RECURSE    = 1 << 5, /* of a driver: FILE may know more about zeros there, ask it */
} VmExtentFlags;

typedef struct VmExtent {
  uint64_t len;         /* > 0, may be more than was asked for */
  unsigned flags;
  uint64_t file_offset;
  VmNode  *file;
} VmExtent;

typedef enum VmPreallocation {
  VM_PREALLOC_OFF, VM_PREALLOC_METADATA, VM_PREALLOC_FALLOC, VM_PREALLOC_FULL
} VmPreallocation;

int vm_node_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int vm_node_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int vm_node_pread (VmNode *node, uint64_t offset, void *buffer, size_t len);
int vm_node_pwrite (VmNode *node, uint64_t offset, const void *buffer, size_t len);
int vm_node_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags);
/* VM_ZEROS_SIZE zeros from a page's boundary on. The kernel's copy of memory nobody has touched stops at a page's end,
 * for good where the program is killed, and a sector is to be old or new. */
#define VM_ZEROS_SIZE (512 * VM_KIB)
extern const uint8_t *const vm_zeros;
int vm_node_discard (VmNode *node, uint64_t offset, uint64_t len);
int vm_node_flush (VmNode *node); /* down to stable storage */
/* An ioctl of the host's device that NODE shows as it is; -ENOTTY: there is none. */
int vm_node_control (VmNode *node, unsigned long request, void *arg);
/* What is known of the bytes from OFFSET, below the size, by this layer alone. */
int vm_node_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent);
/* The same through all layers down to (not into) BASE, NULL: all; ALLOCATED is set when a layer above BASE has it. */
int vm_node_status_above (VmNode *node, VmNode *base, uint64_t offset, uint64_t len, VmExtent *extent);
/* EXACT false: a protocol that cannot shrink or a device may stay bigger. */
int vm_node_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags,
                      GError **error);

/* --- nodes ------------------------------------------------------------------------------------------------ */

struct VmNode {
  VmBlockGraph *graph;
  const VmBlockDriver *driver;
  int       refs;
  char     *name;           /* "#block123" when nobody gave one */
  bool      named;
  void     *state;          /* the driver's, driver->state_size bytes, zeroed before open */
  char     *filename;       /* as messages show it: a path, a URL, "json:{...}" */
  json_object *options;     /* as opened, nested, with defaults left out */
  uint64_t  size;           /* bytes as read by parents; the driver sets it in open and truncate */
  VmBlockLimits limits;     /* the driver sets what it cares for in open; alignment 0 means 1 */
  unsigned  open_flags;     /* VmOpenFlags */
  bool      readonly;       /* nothing can be written now */
  bool      auto_readonly;  /* may become so, or the contrary, by what parents ask for */
  bool      cache_direct, cache_no_flush; /* cache.direct, cache.no-flush, handed down to children */
  bool      discard_unmap;  /* discard=unmap */
  uint8_t   detect_zeroes;  /* VmqBlockdevDetectZeroesOptions */
  bool      encrypted;
  bool      implicit;       /* made by a job for itself: not shown */
  unsigned  write_flags, zero_flags; /* VmRequestFlags the driver handles itself; FUA is done by a flush otherwise */
  VmEdge   *file, *backing; /* shortcuts to the children of these names, or NULL */
  GPtrArray *children, *parents; /* VmEdge * */
  char     *backing_name, *backing_format; /* as the image names them; NULL: none */
  bool      backing_from_image; /* the backing file in use is that */
  bool      monitor_owned;  /* blockdev-add and -blockdev hold a reference */
  bool      guessed;        /* nobody said that this is raw: see raw.c */
  bool      dead;           /* damaged beyond use: every request fails */
  VmSchemaSource source;    /* of OPTIONS */
  VmNode   *opened_file;    /* what probing has opened already, until the driver asks for its child "file" */
  unsigned  in_flight;      /* requests */
  unsigned  quiesced;       /* drained sections */
  VmFiberQueue idle;        /* wait for in_flight 0 */
  VmBlockStats stats;
  uint64_t  write_threshold;
  void     *core;           /* of node-io.c: what serialises overlapping unaligned requests */
  GPtrArray *bitmaps;       /* VmDirtyBitmap *, or NULL */
  bool      backing_written; /* a job writes into the backing file: parents' wishes do not forbid it */
  /* A job looks at each change before it is made, and another after it was; they may wait. NULL: none. */
  int     (*before_write) (void *opaque, uint64_t offset, uint64_t len);
  void     *before_write_opaque;
  void    (*after_write) (void *opaque, uint64_t offset, uint64_t len);
  void     *after_write_opaque;
};

/* For drivers: adds a child from the member NAME of the options they are opened with. A string names a node, an object
 * opens one inline, with defaults (cache, read-only) inherited from NODE. REQUIRED: its absence is an error, else
 * NULL without ERROR. */
VmEdge *vm_node_open_child (VmNode *node, const char *name, unsigned role, bool required, GError **error);
/* Other children, by nodes that are open already; the edge takes a reference. */
VmEdge *vm_node_attach (VmNode *parent, const char *name, VmNode *node, unsigned role, GError **error);
void    vm_node_detach (VmEdge *edge);
VmEdge *vm_node_attach_root (VmNode *node, const char *who, const VmRootClass *klass, void *opaque, unsigned perm,
                             unsigned shared, GError **error);
bool    vm_edge_set_perms (VmEdge *edge, unsigned perm, unsigned shared, GError **error);
/* All who come by FROM come to TO instead (jobs that end, filters put in). */
bool    vm_node_replace (VmNode *from, VmNode *to, GError **error);
bool    vm_node_set_backing (VmNode *node, VmNode *backing, GError **error); /* in the graph; not in the image */

typedef enum VmBreak {
  VM_BREAK_SET,     /* the next request that says EVENT stops and is called TAG; once */
  VM_BREAK_REMOVE,  /* those of TAG; what they have stopped goes on */
  VM_BREAK_RESUME,  /* one request that stopped under TAG */
  VM_BREAK_REACHED, /* whether there is one */
} VmBreak;

/* Nothing is under way and nothing starts, in NODE and what stands above and below it, between the two. */
void vm_node_drain_begin (VmNode *node);
void vm_node_drain_end (VmNode *node);

/* The node that holds the data of NODE when filters are looked through; and its layers. */
VmNode *vm_node_skip_filters (VmNode *node);
VmNode *vm_node_backing (VmNode *node);        /* below, filters looked through; NULL: none */
bool    vm_node_chain_contains (VmNode *top, VmNode *base);
bool    vm_node_has_job (const VmNode *node); /* works on it */
/* An image is damaged: marks it so (when the format can), makes it read-only and tells who watches. OFFSET and SIZE:
 * -1 unknown. FATAL: no further requests. */
void    vm_node_corrupt (VmNode *node, bool fatal, int64_t offset, int64_t size, const char *format, ...)
  G_GNUC_PRINTF (5, 6);
/* Drivers say what they are about to do, for a blkdebug node that stands at NODE or below it. */
void    vm_node_event (VmNode *node, VmqBlkdebugEvent event);
/* For tests: a request that says EVENT to the blkdebug node at NODE or below it stops there. 0, -ENOENT, or -ENOTSUP:
 * there is none. */
int     vm_node_break (VmNode *node, VmBreak what, VmqBlkdebugEvent event, const char *tag);
void    vm_node_resized (VmNode *node); /* the driver has set another size by itself */
char   *vm_node_backing_path (VmNode *node); /* backing_name, seen from the image's folder; NULL: none */
char   *vm_node_json_name (VmNode *node); /* "json:{...}" that opens the same */

/* --- drivers ------------------------------------------------------------------------------------------------ */

typedef enum VmDriverKind {
  VM_DRIVER_PROTOCOL, VM_DRIVER_FORMAT, VM_DRIVER_FILTER
} VmDriverKind;

/* An option of creating (and some of amending) an image: "-o cluster_size=64k". */
typedef struct VmCreateOption {
  const char *name;
  char        kind;          /* 's' text, 'b' on/off, 'z' size, 'n' number */
  const char *initial;       /* NULL: none */
  const char *help;
  bool        amend;
  bool        amend_only;    /* not of new images */
} VmCreateOption;
#define VM_CREATE_SIZE { "size", 'z', NULL, "Virtual disk size", true, false }
/* The values given, by name, checked against the driver's table and with the initial ones filled in. */
typedef struct VmCreateValues VmCreateValues;
const char *vm_create_text (const VmCreateValues *values, const char *name); /* NULL: not given */
bool        vm_create_bool (const VmCreateValues *values, const char *name);
uint64_t    vm_create_number (const VmCreateValues *values, const char *name); /* of 'z' and 'n' */
bool        vm_create_has (const VmCreateValues *values, const char *name);    /* given by the user */

typedef struct VmSnapshotInfo {
  char    *id, *name;
  uint64_t vm_state_size, disk_size;
  int64_t  date_sec; uint32_t date_nsec;
  uint64_t vm_clock_ns;
  uint64_t icount; /* UINT64_MAX: none */
} VmSnapshotInfo;

typedef struct VmCheckResult { /* as "vitrine-img check" reports it */
  uint64_t corruptions, leaks, check_errors, corruptions_fixed, leaks_fixed;
  uint64_t image_end, total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
  void   (*print) (void *opaque, const char *line); /* each finding; NULL: silent */
  void    *opaque;
} VmCheckResult;
enum { VM_CHECK_FIX_LEAKS = 1, VM_CHECK_FIX_ERRORS = 2 };

struct VmBlockDriver {
  const char  *name;       /* as "driver=" takes it */
  /* The rest is in this module, by the symbol "vm_block_NAME", and needs the library NEEDS; NULL: it is all here. */
  const char  *module, *needs;
  const char  *help;
  VmDriverKind kind;
  size_t       state_size;
  bool         has_backing; /* images may name a backing file */
  bool         can_compress; /* writes may be VM_REQ_COMPRESSED */
  bool         flushes_children; /* by itself: the core does not */
  bool         grows;       /* writes past the end make it bigger (filters: when what they are over does) */
  /* Protocols: names that begin with one of these and ":" are for parse_name; ends with NULL. */
  const char *const *schemes;

  /* 0: not mine, 100: certainly. HEAD has N (at most 2,048) bytes of the beginning, the rest of the file is FILE's. */
  int   (*probe) (const uint8_t *head, size_t n, VmNode *file);
  /* Puts what NAME says into OPTIONS (nested). */
  bool  (*parse_name) (const char *name, json_object *options, GError **error);

  /* OPTIONS: the variant of VmqBlockdevOptions for this driver (VmqBlockdevOptionsQcow2 * ...). Sets size and limits.
   * close follows a successful open only; it has written back what it holds unless NODE is read-only. */
  bool  (*open) (VmNode *node, const void *options, GError **error);
  void  (*close) (VmNode *node);
  /* node->readonly has changed (written back before); NULL: so what. */
  void  (*set_readonly) (VmNode *node, bool readonly);
  /* What NODE needs of EDGE's node when its own parents want PERM and share SHARED. NULL: by role (a format wants to
   * read, and to write and resize when it may be written; a filter wants what its parents want). */
  void  (*child_perms) (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                        unsigned *child_shared);
  /* Permissions have changed (protocols: take or drop locks, reopen for writing). COMMIT false: only ask. */
  bool  (*set_perms) (VmNode *node, unsigned perm, unsigned shared, bool commit, GError **error);

  int   (*read) (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
  int   (*write) (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
  /* -ENOTSUP: write zeros instead. */
  int   (*write_zeroes) (VmNode *node, uint64_t offset, uint64_t len, unsigned flags);
  int   (*discard) (VmNode *node, uint64_t offset, uint64_t len);
  /* The host copies from SOURCE, a node of this driver, too. -ENOTSUP: read and write instead. */
  int   (*copy_from) (VmNode *node, uint64_t offset, VmNode *source, uint64_t source_offset, uint64_t len);
  /* BEGIN: what is written from now on goes up from the beginning of the file and is not read soon, so it need not stay in
   * the host's memory. End: the status of what went to storage. Formats have none: theirs is their file's. */
  int   (*bulk) (VmNode *node, bool begin);
  int   (*flush) (VmNode *node); /* own caches into the children, which the core flushes then; a protocol: to storage */
  int   (*status) (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent); /* NULL: all data */
  int   (*truncate) (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error);
  uint64_t (*allocated) (VmNode *node); /* bytes kept on the host; NULL: of the child "file" */
  /* A drained section begins and ends: nothing may wait for anything but children. */
  void  (*drain) (VmNode *node, bool begin);
  void  (*event) (VmNode *node, VmqBlkdebugEvent event); /* of vm_node_event() */
  int   (*breakpoint) (VmNode *node, VmBreak what, VmqBlkdebugEvent event, const char *tag); /* of vm_node_break() */
  bool  (*add_child) (VmNode *node, VmNode *child, GError **error); /* x-blockdev-change */
  bool  (*remove_child) (VmNode *node, VmEdge *edge, GError **error);
  void (*yank) (VmNode *node);          /* ends its connection for good; never waits */
  void  (*refresh_size) (VmNode *node); /* protocols whose size others may change */
  int   (*make_empty) (VmNode *node);   /* drop all data of this layer; NULL: by discards */
  int   (*control) (VmNode *node, unsigned long request, void *arg); /* an ioctl of the host's device; may wait */

  /* Makes an image of SIZE bytes in FILE (formats: open for writing, empty) or at NAME (protocols). A format is called
   * twice: first with FILE NULL, when the file of before is still whole, to say whether SIZE and VALUES will do. */
  bool  (*create) (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                   GError **error);
  const VmCreateOption *create_options; /* ends with a NULL name; VM_CREATE_SIZE, in front if not given, is implied */
  bool  (*amend) (VmNode *node, const VmCreateValues *values, bool force,
                  void (*progress) (void *opaque, uint64_t done, uint64_t total), void *opaque, GError **error);
  bool  (*change_backing) (VmNode *node, const char *name, const char *format, GError **error);
  int   (*check) (VmNode *node, VmCheckResult *result, unsigned fix);
  /* Bytes an image would need: REQUIRED for the allocated ones of SOURCE (NULL: SIZE, nothing known), FULLY for all. */
  bool  (*measure) (const VmCreateValues *values, uint64_t size, VmNode *source, uint64_t *required, uint64_t *fully,
                    uint64_t *bitmaps, GError **error);
  /* "format-specific" of query-block and "vitrine-img info": an object {"type": ..., "data": {...}}; NULL: nothing. */
  json_object *(*describe) (VmNode *node);
  uint32_t (*cluster_size) (VmNode *node); /* NULL or 0: none */
  bool  (*is_dirty) (VmNode *node);        /* "dirty-flag" */

  bool  (*snapshot_create) (VmNode *node, VmSnapshotInfo *info, GError **error); /* fills in id */
  bool  (*snapshot_apply) (VmNode *node, const char *id_or_name, GError **error);
  bool  (*snapshot_delete) (VmNode *node, const char *id, const char *name, GError **error); /* either may be NULL */
  bool  (*snapshot_rename) (VmNode *node, const char *id, const char *name, GError **error); /* NAME: the new one */
  GPtrArray *(*snapshot_list) (VmNode *node); /* VmSnapshotInfo *; free with its element function */
  bool  (*snapshot_load) (VmNode *node, const char *id, const char *name, GError **error); /* read-only view of one */
  int   (*vmstate_read) (VmNode *node, uint64_t offset, VmVec vec);
  int   (*vmstate_write) (VmNode *node, uint64_t offset, VmVec vec);

  /* Bitmaps kept in the image: see "block/bitmap.h". */
  bool  (*bitmap_can_store) (VmNode *node, const char *name, uint32_t granularity, GError **error);
  int   (*bitmap_remove) (VmNode *node, const char *name, GError **error);
};

void vm_snapshot_info_free (VmSnapshotInfo *info);
/* DRIVER, or what its module has of it. */
const VmBlockDriver *vm_block_driver_load (const VmBlockDriver *driver, GError **error);
