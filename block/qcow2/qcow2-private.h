/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2 images, for the files of this folder. After the public specification of the format ("qcow2", interop); names of
 * fields are the specification's.
 *
 * What is in memory (L1, refcount table, the two caches) changes only under Qcow2.lock, and so do allocations; data is
 * read and written outside of it. Whoever finds an L2 slice in the cache may look at it without the lock as long as it
 * does not wait.
 *
 * Order on the disk, at any moment: a cluster is in use by the refcounts before anything points to it, and what it
 * holds is there before too; it is free only after what pointed to it is gone. So references are added to the refcounts
 * at once and written before the L2 tables (qcow2_write_back), and dropped references wait in Qcow2.freed until the L2
 * tables without them are on stable storage (qcow2_barrier). */
#pragma once

#include "block/bitmap.h"
#include "block/node.h"

#include <errno.h>

#define QCOW2_MAGIC 0x514649fbu

/* Bytes of the header. */
enum
{
  HEADER_BACKING_OFFSET = 8,
  HEADER_BACKING_SIZE = 16,
  HEADER_CLUSTER_BITS = 20,
  HEADER_SIZE = 24,
  HEADER_CRYPT_METHOD = 32,
  HEADER_L1_SIZE = 36,
  HEADER_L1_OFFSET = 40,
  HEADER_REFCOUNT_TABLE = 48,
  HEADER_REFCOUNT_CLUSTERS = 56,
  HEADER_NB_SNAPSHOTS = 60,
  HEADER_SNAPSHOTS_OFFSET = 64,
  HEADER_V2_LENGTH = 72,
  HEADER_INCOMPATIBLE = 72,
  HEADER_COMPATIBLE = 80,
  HEADER_AUTOCLEAR = 88,
  HEADER_REFCOUNT_ORDER = 96,
  HEADER_LENGTH = 100,
  HEADER_V3_LENGTH = 104,
  HEADER_COMPRESSION = 104,
  HEADER_OUR_LENGTH = 112,
};

#define INCOMPATIBLE_DIRTY 1u
#define INCOMPATIBLE_CORRUPT 2u
#define INCOMPATIBLE_DATA_FILE 4u
#define INCOMPATIBLE_COMPRESSION 8u
#define INCOMPATIBLE_EXTENDED_L2 16u
#define INCOMPATIBLE_KNOWN 31u
#define COMPATIBLE_LAZY 1u
#define AUTOCLEAR_BITMAPS 1u
#define AUTOCLEAR_RAW 2u
#define AUTOCLEAR_KNOWN 3u

enum
{
  EXT_END = 0,
  EXT_BACKING_FORMAT = 0xe2792aca,
  EXT_FEATURES = 0x6803f857,
  EXT_BITMAPS = 0x23852875,
  EXT_CRYPT = 0x0537be77,
  EXT_DATA_FILE = 0x44415441,
};

#define ENTRY_OFFSET UINT64_C (0x00fffffffffffe00) /* of L1, L2 and bitmap table entries */
#define ENTRY_COPIED (UINT64_C (1) << 63)
#define ENTRY_COMPRESSED (UINT64_C (1) << 62)
#define ENTRY_ZERO UINT64_C (1)
#define ENTRY_L1_RESERVED UINT64_C (0x7f000000000001ff)
#define ENTRY_L2_RESERVED UINT64_C (0x3f000000000001fe)

#define MAX_L1_BYTES (32 * VM_MIB)
#define MAX_REFCOUNT_TABLE_BYTES (8 * VM_MIB)
#define MAX_SNAPSHOTS UINT64_C (65536)
#define MAX_SNAPSHOT_BYTES (64 * VM_MIB) /* of the table */
#define MAX_SNAPSHOT_EXTRA 1024
#define MAX_HOST (UINT64_C (1) << 56)

enum
{
  CRYPT_NONE,
  CRYPT_AES,
  CRYPT_LUKS
};

/* What metadata writes must not run into (overlap-check). */
enum
{
  OVERLAP_MAIN_HEADER = 1 << 0,
  OVERLAP_ACTIVE_L1 = 1 << 1,
  OVERLAP_ACTIVE_L2 = 1 << 2,
  OVERLAP_REFCOUNT_TABLE = 1 << 3,
  OVERLAP_REFCOUNT_BLOCK = 1 << 4,
  OVERLAP_SNAPSHOT_TABLE = 1 << 5,
  OVERLAP_INACTIVE_L1 = 1 << 6,
  OVERLAP_INACTIVE_L2 = 1 << 7,
  OVERLAP_BITMAP_DIRECTORY = 1 << 8,
  OVERLAP_CONSTANT = OVERLAP_MAIN_HEADER | OVERLAP_ACTIVE_L1 | OVERLAP_REFCOUNT_TABLE | OVERLAP_SNAPSHOT_TABLE
                     | OVERLAP_BITMAP_DIRECTORY,
  OVERLAP_CACHED = OVERLAP_CONSTANT | OVERLAP_ACTIVE_L2 | OVERLAP_REFCOUNT_BLOCK | OVERLAP_INACTIVE_L1,
  OVERLAP_ALL = OVERLAP_CACHED | OVERLAP_INACTIVE_L2,
};

typedef struct Qcow2 Qcow2;

/* Pieces of metadata in memory: slices of L2 tables, refcount blocks. */
typedef struct Qcow2Cached
{
  uint64_t offset;
  bool dirty, used; /* USED since the last cleaning */
  unsigned pins;
  GList link; /* in the order of use, the most recent first */
  uint8_t *data;
} Qcow2Cached;

typedef struct Qcow2Cache
{
  Qcow2 *s;
  size_t piece;   /* bytes each */
  unsigned limit; /* how many */
  unsigned dirty;
  unsigned kind; /* OVERLAP_ACTIVE_L2 or OVERLAP_REFCOUNT_BLOCK */
  GHashTable *by_offset;
  GQueue order;
} Qcow2Cache;

typedef struct Qcow2Extension
{ /* one that this program does not know */
  uint32_t type;
  GBytes *data;
} Qcow2Extension;

typedef struct Qcow2Snapshot
{
  uint64_t l1_offset;
  uint32_t l1_size;
  uint64_t disk_size, vm_state_size, vm_clock_ns, icount;
  uint32_t date_sec, date_nsec;
  uint32_t extra_len; /* as the table has it */
  GBytes *extra;      /* beyond what is known, or NULL */
  char *id, *name;
} Qcow2Snapshot;

/* A stored bitmap. */
typedef struct Qcow2Bitmap
{
  uint64_t table_offset;
  uint32_t table_size; /* entries */
  uint32_t flags;
  uint8_t granularity_bits;
  char *name;
  GBytes *extra; /* or NULL */
} Qcow2Bitmap;
enum
{
  BITMAP_IN_USE = 1,
  BITMAP_AUTO = 2,
  BITMAP_EXTRA_COMPATIBLE = 4,
};

typedef struct Qcow2Freed
{ /* references to drop: one of each of N clusters */
  uint64_t cluster, n;
  int kind; /* Qcow2Free */
} Qcow2Freed;

typedef enum Qcow2Free
{
  FREE_ALWAYS, /* never given back to the host */
  FREE_REQUEST,
  FREE_SNAPSHOT,
  FREE_OTHER,
} Qcow2Free;

struct Qcow2
{
  VmNode *node;                /* NULL while an image is being made */
  VmNode *new_file, *new_data; /* then */
  VmEdge *data_edge;           /* the external data file, or NULL */
  VmFiberMutex lock;
  VmFiberRwLock gate; /* requests are readers; what needs the image for itself writes */

  /* --- header */
  unsigned version, cluster_bits, refcount_order, l2_bits, sub_bits, sub_n;
  unsigned entry_size; /* bytes of an L2 entry */
  uint64_t cluster_size, size;
  uint64_t incompatible, compatible, autoclear;
  uint32_t crypt_method;
  uint8_t compression;
  GBytes *header_rest; /* fields behind those that are known */
  GArray *extensions;  /* Qcow2Extension */
  char *backing_name, *backing_format, *data_name;
  uint64_t backing_offset; /* of its name */
  uint64_t crypt_offset, crypt_len;
  uint32_t n_bitmaps;
  uint64_t bitmap_directory, bitmap_directory_len;

  /* --- tables; entries in host order */
  uint64_t *l1, l1_offset;
  uint32_t l1_size, l1_vm_state;       /* L1_VM_STATE: the first entry behind the disk */
  uint32_t l1_dirty_from, l1_dirty_to; /* equal: clean */
  uint64_t *refcounts, refcount_table;
  uint32_t refcount_n, refcount_clusters;
  uint32_t refcount_used; /* entries from here on are 0 */
  uint32_t refcount_dirty_from, refcount_dirty_to;
  Qcow2Cache l2, blocks;
  bool unflushed; /* L2 tables may only be written after a flush */

  GPtrArray *snapshots; /* Qcow2Snapshot */
  uint64_t snapshots_offset, snapshots_len;
  GPtrArray *bitmaps; /* Qcow2Bitmap; NULL: none or not consistent */

  /* --- allocation */
  uint64_t free_hint;  /* no cluster below is free */
  uint64_t high;       /* nothing was ever written at and above this offset */
  uint64_t bytes_next; /* where the next compressed data may go on; 0: nowhere */
  GQueue allocations;  /* Qcow2Allocation, under way */
  GArray *freed[2];    /* Qcow2Freed: of now, and of the epoch before */
  unsigned epoch;
  unsigned users[2]; /* requests for data under way, by epoch */
  uint64_t freed_clusters;
  bool dirty_marked; /* INCOMPATIBLE_DIRTY was set by us */

  /* --- options */
  bool lazy, discard_no_unref;
  bool pass_discard[FREE_OTHER + 1];
  unsigned overlap;
  GHashTable *named;      /* clusters of tables that tables name: OVERLAP_ bits; NULL: not made yet, */
  unsigned named_changes; /* which sets that are being made miss */
  VmWakeup *cleaner;
  int64_t clean_interval; /* s */
  uint64_t l2_cache_bytes, l2_piece, refcount_cache_bytes;

  struct Qcow2Crypt *crypt;
  uint8_t *plain;       /* the last compressed cluster that was read, or NULL, */
  uint64_t plain_entry; /* of this L2 entry; 0: none */
  bool sparse_known, sparse; /* the file has holes: clusters in use may be zeros */
  bool broken;          /* no further requests */
  bool changed;         /* since it was opened */
  bool opened_readonly;
};

static inline VmNode *
qcow2_file (const Qcow2 *s)
{
  return s->node ? s->node->file->node : s->new_file;
}

/* Where guest data lies. */
static inline VmNode *
qcow2_data (const Qcow2 *s)
{
  return s->data_edge ? s->data_edge->node : s->new_data ? s->new_data : qcow2_file (s);
}

static inline bool
qcow2_external (const Qcow2 *s)
{
  return s->incompatible & INCOMPATIBLE_DATA_FILE;
}

static inline uint64_t
qcow2_clusters (const Qcow2 *s, uint64_t bytes)
{
  return (bytes >> s->cluster_bits) + !!(bytes & (s->cluster_size - 1));
}

/* The backing file, or NULL. */
static inline VmNode *
qcow2_backing (const Qcow2 *s)
{
  return s->node && s->node->backing ? s->node->backing->node : NULL;
}

/* --- header.c */
bool qcow2_header_read (Qcow2 *s, unsigned flags, GError **error);
int qcow2_header_write (Qcow2 *s); /* all of it; -ENOSPC: does not fit into a cluster */
int qcow2_mark_dirty (Qcow2 *s);
int qcow2_mark_clean (Qcow2 *s);
void qcow2_extensions_free (Qcow2 *s);

/* --- open.c */
bool qcow2_load (Qcow2 *s, unsigned flags, GError **error); /* with new_file or node set */
int qcow2_close_tables (Qcow2 *s);                          /* written back */
void qcow2_unload (Qcow2 *s);
bool qcow2_make_caches (Qcow2 *s, GError **error);
/* Marks the image; FATAL as vm_node_corrupt(). */
void qcow2_corrupt (Qcow2 *s, bool fatal, int64_t offset, int64_t size, const char *format, ...) G_GNUC_PRINTF (5, 6);
/* TABLE of N entries of SIZE bytes lies at OFFSET: aligned, without overflow. */
bool qcow2_check_table (const Qcow2 *s, uint64_t offset, uint64_t n, size_t size, uint64_t max, const char *name,
                        GError **error);
/* Before the first change of an opened image. With the lock. */
int qcow2_begin_changes (Qcow2 *s);
bool qcow2_open (VmNode *node, const void *options, GError **error);
void qcow2_close (VmNode *node);
void qcow2_set_readonly (VmNode *node, bool readonly);

/* --- cache.c */
int qcow2_meta_read (Qcow2 *s, uint64_t offset, void *buffer, size_t len); /* zeros behind the end */
void qcow2_event (Qcow2 *s, VmqBlkdebugEvent which); /* for blkdebug below */
/* KIND: what may be overwritten (OVERLAP_). */
int qcow2_meta_write (Qcow2 *s, uint64_t offset, const void *buffer, size_t len, unsigned kind);
int qcow2_meta_flush (Qcow2 *s);
void qcow2_cache_init (Qcow2Cache *cache, Qcow2 *s, size_t piece, unsigned limit, unsigned kind);
void qcow2_cache_free (Qcow2Cache *cache);
/* The piece at OFFSET, pinned. FRESH: not read, zeros. */
int qcow2_cache_get (Qcow2Cache *cache, uint64_t offset, bool fresh, Qcow2Cached **out);
Qcow2Cached *qcow2_cache_peek (Qcow2Cache *cache, uint64_t offset); /* not pinned; NULL: not there */
void qcow2_cache_put (Qcow2Cached *entry);
void qcow2_cache_dirty (Qcow2Cache *cache, Qcow2Cached *entry);
void qcow2_cache_drop (Qcow2Cache *cache, uint64_t offset, uint64_t len); /* what they hold is void */
int qcow2_cache_write (Qcow2Cache *cache);                                /* all that is dirty */
void qcow2_cache_clean (Qcow2Cache *cache);                               /* forgets what was not used for long */
/* All metadata into the file, in an order that is right at any time. With the lock. */
int qcow2_write_back (Qcow2 *s);
/* The same, on stable storage, after which clusters set free before are so. */
int qcow2_barrier (Qcow2 *s);

/* --- overlap.c */
int qcow2_check_overlap (Qcow2 *s, unsigned kind, uint64_t offset, uint64_t len);
/* An L2 table or refcount block (KIND) at OFFSET is named from now on. */
void qcow2_overlap_named (Qcow2 *s, unsigned kind, uint64_t offset);
void qcow2_overlap_forget (Qcow2 *s); /* another L1 or refcount table, other snapshots */

/* --- refcount.c */
uint64_t qcow2_refcount_max (const Qcow2 *s);
uint64_t qcow2_block_get (const Qcow2 *s, const uint8_t *block, uint64_t index);
void qcow2_block_set (const Qcow2 *s, uint8_t *block, uint64_t index, uint64_t value);
int qcow2_refcount (Qcow2 *s, uint64_t cluster, uint64_t *count);
/* Whether CLUSTER is counted at all; without a block for it, it is free. */
bool qcow2_has_refcounts (const Qcow2 *s, uint64_t cluster);
/* Adds DELTA (1 or -1) to those of N clusters. */
int qcow2_refcount_add (Qcow2 *s, uint64_t cluster, uint64_t n, int delta);
/* From 1 to N clusters that follow each other, N when EXACT, referenced once; the offset into *OFFSET, how many into
 * *GOT. *FRESH: they have never been written and read as zeros. */
int qcow2_allocate (Qcow2 *s, uint64_t n, bool exact, uint64_t *offset, uint64_t *got, bool *fresh);
/* LEN bytes (less than a cluster... or more) for compressed data. */
int qcow2_allocate_bytes (Qcow2 *s, uint64_t len, uint64_t *offset);
/* Drops a reference of each, at the next barrier. */
void qcow2_free (Qcow2 *s, uint64_t offset, uint64_t n, Qcow2Free kind);
/* Nothing has ever pointed to them. */
void qcow2_free_now (Qcow2 *s, uint64_t offset, uint64_t n);
int qcow2_apply_freed (Qcow2 *s, GArray *list);

/* --- map.c */
typedef enum Qcow2Kind
{
  KIND_UNALLOCATED,
  KIND_ZERO,
  KIND_NORMAL,
  KIND_COMPRESSED,
} Qcow2Kind;

typedef struct Qcow2Map
{
  Qcow2Kind kind;
  uint64_t len;
  uint64_t host; /* of the first byte, when HAS_HOST */
  bool has_host;
  uint64_t entry; /* compressed */
} Qcow2Map;

/* An L2 entry in one form: bit I of the low half of BITMAP says that subcluster I is allocated, of the high half that
 * it reads as zeros; without extended entries there is one. */
typedef struct Qcow2Entry
{
  uint64_t entry, bitmap;
} Qcow2Entry;

/* What LEN bytes at OFFSET are, as far as they are alike. Without the lock. */
int qcow2_map (Qcow2 *s, uint64_t offset, uint64_t len, Qcow2Map *map);
/* The slice with the entry of OFFSET, pinned, and its index in it. WRITE: the table is made or copied when needed.
 * *SLICE NULL: no table. With the lock. */
int qcow2_l2_get (Qcow2 *s, uint64_t offset, bool write, Qcow2Cached **slice, unsigned *index);
Qcow2Entry qcow2_entry_load (const Qcow2 *s, const uint8_t *slice, unsigned index);
void qcow2_entry_store (const Qcow2 *s, uint8_t *slice, unsigned index, Qcow2Entry entry);
/* Clusters that compressed data takes. */
void qcow2_compressed_place (const Qcow2 *s, uint64_t entry, uint64_t *offset, uint64_t *len);
int qcow2_entry_check (Qcow2 *s, Qcow2Entry entry, uint64_t offset);
void qcow2_entry_free (Qcow2 *s, Qcow2Entry entry, Qcow2Free kind); /* what it points to */
int qcow2_l1_write (Qcow2 *s);
int qcow2_l1_grow (Qcow2 *s, uint64_t n); /* at least N entries */
static inline uint64_t
qcow2_l1_index (const Qcow2 *s, uint64_t offset)
{
  return offset >> (s->cluster_bits + s->l2_bits);
}

/* --- read.c */
int qcow2_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int qcow2_read_at (Qcow2 *s, uint64_t offset, VmVec vec); /* anywhere, below the vmstate too */
int qcow2_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent);
int qcow2_vmstate_read (VmNode *node, uint64_t offset, VmVec vec);
bool qcow2_reads_zero (Qcow2 *s, uint64_t offset, uint64_t len); /* for certain */
/* Groups of fibers that do parts of one request. */
typedef struct Qcow2Group
{
  int status;
  unsigned running;
  VmFiberQueue waiting;
} Qcow2Group;
void qcow2_group_run (Qcow2Group *group, VmFiberFunc func, void *opaque); /* FUNC ends with qcow2_group_done() */
void qcow2_group_done (Qcow2Group *group, int status);
int qcow2_group_wait (Qcow2Group *group);

/* --- write.c */
typedef struct Qcow2Allocation
{
  uint64_t offset, len; /* of the guest, whole clusters */
  VmFiberQueue waiting;
  GList link;
} Qcow2Allocation;
int qcow2_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int qcow2_write_at (Qcow2 *s, uint64_t offset, VmVec vec);
int qcow2_vmstate_write (VmNode *node, uint64_t offset, VmVec vec);
/* Waits, without the lock that it has and will have again, for allocations at OFFSET; then cuts *LEN off before the
 * next. True when it has waited. */
bool qcow2_wait_allocations (Qcow2 *s, uint64_t offset, uint64_t *len);
unsigned qcow2_enter (Qcow2 *s); /* a request for data begins; to qcow2_leave */
void qcow2_leave (Qcow2 *s, unsigned epoch);
int qcow2_usable (const Qcow2 *s, bool write);
void qcow2_reclaim (Qcow2 *s);

/* --- zero.c */
int qcow2_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags);
int qcow2_discard (VmNode *node, uint64_t offset, uint64_t len);
int qcow2_zero_at (Qcow2 *s, uint64_t offset, uint64_t len, bool unmap);
int qcow2_discard_at (Qcow2 *s, uint64_t offset, uint64_t len, Qcow2Free kind, bool full);
int qcow2_make_empty (VmNode *node);

/* --- compress.c */
int qcow2_read_compressed (Qcow2 *s, uint64_t entry, uint64_t in_cluster, VmVec vec);
int qcow2_write_compressed (Qcow2 *s, uint64_t offset, VmVec vec);

/* --- snapshot.c */
bool qcow2_snapshots_read (Qcow2 *s, uint32_t n, uint64_t offset, bool check, GError **error);
/* How many entries of the table lack something or have too much; tells of them. And the table anew. */
unsigned qcow2_snapshots_check (Qcow2 *s, VmCheckResult *result, bool fix);
int qcow2_snapshots_mend (Qcow2 *s);
bool qcow2_snapshot_create (VmNode *node, VmSnapshotInfo *info, GError **error);
bool qcow2_snapshot_apply (VmNode *node, const char *id_or_name, GError **error);
bool qcow2_snapshot_delete (VmNode *node, const char *id, const char *name, GError **error);
bool qcow2_snapshot_rename (VmNode *node, const char *id, const char *name, GError **error);
GPtrArray *qcow2_snapshot_list (VmNode *node);
bool qcow2_snapshot_load (VmNode *node, const char *id, const char *name, GError **error);
int qcow2_snapshots_write (Qcow2 *s); /* a new table */
/* Sets COPIED in the L1 table TABLE and the L2 tables below by the refcounts, after adding DELTA to all of them. */
int qcow2_update_references (Qcow2 *s, uint64_t *table, uint32_t n, int delta);

/* --- check.c */
bool qcow2_change_refcount_width (Qcow2 *s, unsigned order, GError **error);
int qcow2_check (VmNode *node, VmCheckResult *result, unsigned fix);
int qcow2_check_image (Qcow2 *s, VmCheckResult *result, unsigned fix);

/* --- create.c, resize.c, amend.c */
bool qcow2_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                   GError **error);
bool qcow2_measure (const VmCreateValues *values, uint64_t size, VmNode *source, uint64_t *required, uint64_t *fully,
                    uint64_t *bitmaps, GError **error);
extern const VmCreateOption qcow2_create_options[];
int qcow2_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error);
bool qcow2_resize (Qcow2 *s, uint64_t size, VmPreallocation prealloc, GError **error);
bool qcow2_amend (VmNode *node, const VmCreateValues *values, bool force,
                  void (*progress) (void *opaque, uint64_t done, uint64_t total), void *opaque, GError **error);
bool qcow2_change_backing (VmNode *node, const char *name, const char *format, GError **error);

/* --- bitmaps.c */
bool qcow2_bitmaps_load (Qcow2 *s, GError **error);
bool qcow2_bitmaps_open (Qcow2 *s, GError **error); /* into node->bitmaps */
int qcow2_bitmaps_store (Qcow2 *s);                 /* those of the node that are persistent */
int qcow2_bitmaps_mark_in_use (Qcow2 *s);
bool qcow2_bitmap_can_store (VmNode *node, const char *name, uint32_t granularity, GError **error);
int qcow2_bitmap_remove (VmNode *node, const char *name, GError **error);
void qcow2_bitmap_free (gpointer bitmap);

/* --- crypt.c */
bool qcow2_crypt_open (Qcow2 *s, const VmqBlockdevOptionsQcow2 *options, unsigned flags, GError **error);
bool qcow2_crypt_create (Qcow2 *s, VmBlockGraph *graph, const VmCreateValues *values, GError **error);
bool qcow2_crypt_amend (Qcow2 *s, const VmCreateValues *values, bool force, GError **error);
void qcow2_crypt_close (Qcow2 *s);
json_object *qcow2_crypt_describe (const Qcow2 *s); /* NULL: not encrypted */
/* In place, whole sectors; on a worker when it is much. HOST and GUEST: where they lie and what they are. */
int qcow2_encrypt (Qcow2 *s, uint64_t host, uint64_t guest, void *data, size_t len);
int qcow2_decrypt (Qcow2 *s, uint64_t host, uint64_t guest, void *data, size_t len);

/* --- describe.c */
json_object *qcow2_describe (VmNode *node);
