/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NVMe: admin and I/O queues as a driver uses them, data by PRPs and SGLs, namespaces that come, and what goes wrong.
 */
#include "devices/nvme/nvme.h"
#include "tests/devices/disk-rig.h"

#define ASQ 0x10000u
#define ACQ 0x11000u
#define SQ 0x12000u
#define CQ 0x14000u
#define LISTS 0x20000u
#define DATA 0x100000u
#define ENTRIES 64u
#define BLOCKS 8192u

typedef struct Queue
{
  uint32_t sq, cq;
  unsigned id, tail, head, phase;
} Queue;

typedef struct Bench
{
  DiskRig r;
  Queue admin, io;
  uint32_t result;
} Bench;

typedef struct Cmd
{
  uint8_t op, flags;
  uint32_t nsid;
  uint64_t prp1, prp2;
  uint32_t c10, c11, c12, c13, c14;
} Cmd;

static void
submit (Bench *b, Queue *q, const Cmd *cmd, uint16_t cid)
{
  uint8_t e[64] = { cmd->op, cmd->flags };

  vm_store_le16 (e + 2, cid);
  vm_store_le32 (e + 4, cmd->nsid);
  vm_store_le64 (e + 24, cmd->prp1);
  vm_store_le64 (e + 32, cmd->prp2);
  vm_store_le32 (e + 40, cmd->c10);
  vm_store_le32 (e + 44, cmd->c11);
  vm_store_le32 (e + 48, cmd->c12);
  vm_store_le32 (e + 52, cmd->c13);
  vm_store_le32 (e + 56, cmd->c14);
  disk_rig_poke (&b->r, q->sq + 64 * q->tail, e, sizeof e);
  q->tail = (q->tail + 1) % ENTRIES;
}

static void
ring (Bench *b, Queue *q)
{
  disk_rig_write (&b->r, 0x1000 + 8 * q->id, q->tail);
  disk_rig_settle (&b->r);
}

/* The next completion's status; -1: there is none. */
static int
reap (Bench *b, Queue *q, uint16_t *cid)
{
  uint8_t e[16];

  disk_rig_peek (&b->r, q->cq + 16 * q->head, e, sizeof e);
  if ((e[14] & 1) != q->phase)
    return -1;
  q->head = (q->head + 1) % ENTRIES;
  if (q->head == 0)
    q->phase ^= 1;
  disk_rig_write (&b->r, 0x1004 + 8 * q->id, q->head);
  b->result = vm_load_le32 (e);
  if (cid)
    *cid = vm_load_le16 (e + 12);
  return vm_load_le16 (e + 14) >> 1 & 0x7ff;
}

static int
run (Bench *b, Queue *q, const Cmd *cmd)
{
  uint16_t cid = 0;
  int status;

  submit (b, q, cmd, (uint16_t) (q->tail + 100));
  ring (b, q);
  status = reap (b, q, &cid);
  return status;
}

static int
admin (Bench *b, uint8_t op, uint32_t nsid, uint64_t prp1, uint32_t c10, uint32_t c11)
{
  return run (b, &b->admin, &(Cmd){ .op = op, .nsid = nsid, .prp1 = prp1, .c10 = c10, .c11 = c11 });
}

static int
io (Bench *b, uint8_t op, uint64_t lba, uint32_t blocks, uint64_t prp1, uint64_t prp2)
{
  return run (b, &b->io,
              &(Cmd){ .op = op,
                      .nsid = 1,
                      .prp1 = prp1,
                      .prp2 = prp2,
                      .c10 = (uint32_t) lba,
                      .c11 = (uint32_t) (lba >> 32),
                      .c12 = blocks - 1 });
}

static void
start (Bench *b)
{
  static const uint8_t zeros[0x8000];

  disk_rig_poke (&b->r, ASQ, zeros, sizeof zeros);
  disk_rig_write (&b->r, 0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
  disk_rig_write (&b->r, 0x28, ASQ);
  disk_rig_write (&b->r, 0x30, ACQ);
  disk_rig_write (&b->r, 0x14, 0x00460001);
  g_assert_cmphex (disk_rig_read (&b->r, 0x1c), ==, 1);
  b->admin = (Queue){ ASQ, ACQ, 0, 0, 0, 1 };
  b->io = (Queue){ SQ, CQ, 1, 0, 0, 1 };
  g_assert_cmphex (admin (b, 5, 0, CQ, 1 | (ENTRIES - 1) << 16, 3), ==, 0);
  g_assert_cmphex (admin (b, 1, 0, SQ, 1 | (ENTRIES - 1) << 16, 1 | 1 << 16), ==, 0);
}

static void
set_up (Bench *b)
{
  memset (b, 0, sizeof *b);
  disk_rig_init (&b->r);
  disk_rig_drive (&b->r, "d", BLOCKS * 512, false);
  disk_rig_drive (&b->r, "e", VM_MIB, false);
  disk_rig_add (&b->r, &vm_nvme_type, 0,
                (const char *const[]){ "serial", "NV1", "drive", "d", "cmb_size_mb", "1", "max_ioqpairs", "4", NULL });
  start (b);
}

static void
test_identify (void)
{
  uint8_t page[4096];
  Bench bench, *b = &bench;

  set_up (b);
  g_assert_cmphex (admin (b, 6, 0, DATA, 1, 0), ==, 0);
  disk_rig_peek (&b->r, DATA, page, sizeof page);
  g_assert_cmpmem (page + 4, 4, "NV1 ", 4);
  g_assert_cmpuint (vm_load_le32 (page + 516), ==, 256);
  g_assert_cmphex (admin (b, 6, 1, DATA, 0, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA, 8), ==, BLOCKS);
  g_assert_cmphex (admin (b, 6, 0xffffffff, DATA, 0, 0), ==, NVME_INVALID_NAMESPACE);
  g_assert_cmphex (admin (b, 6, 0, DATA, 0x77, 0), ==, NVME_INVALID_FIELD);
  g_assert_cmphex (admin (b, 6, 0, DATA, 2, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA, 8), ==, 1);
  g_assert_cmphex (admin (b, 0x0a, 0, 0, 7, 0), ==, 0);
  g_assert_cmphex (b->result, ==, 0x00030003);
  disk_rig_clear (&b->r);
}

static void
test_transfers (void)
{
  g_autofree uint8_t *bytes = NULL;
  Bench bench, *b = &bench;

  set_up (b);
  g_assert_cmphex (io (b, 2, 10, 2, DATA + 0x100, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA + 0x100 + 512, 4), ==, 11);
  /* Two pages, then a list that begins at an odd place of the first page. */
  g_assert_cmphex (io (b, 2, 0, 16, DATA + 0x800, DATA + 0x3001), ==, NVME_INVALID_PRP_OFFSET); /* of a list */
  g_assert_cmphex (io (b, 2, 0, 12, DATA + 0x800, DATA + 0x3000), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA + 0x3000, 4), ==, 4);
  for (unsigned i = 0; i < 8; i++)
    rig_store (&b->r.rig, LISTS + 8 * i, DATA + 0x2000 * (i + 1), 8);
  g_assert_cmphex (io (b, 2, 100, 64, DATA, LISTS), ==, 0);
  for (unsigned i = 0; i < 8; i++)
    g_assert_cmpuint (rig_load (&b->r.rig, DATA + 0x2000 * i, 4), ==, 100 + 8 * i);
  rig_store (&b->r.rig, DATA, 0xdecafbad, 4);
  g_assert_cmphex (io (b, 1, 5, 1, DATA, 0), ==, 0);
  g_assert_cmphex (io (b, 0, 0, 1, 0, 0), ==, 0);
  bytes = disk_rig_bytes (&b->r, "d", 5 * 512, 4);
  g_assert_cmphex (vm_load_le32 (bytes), ==, 0xdecafbad);
  g_assert_cmphex (io (b, 5, 5, 1, DATA, 0), ==, 0);
  rig_store (&b->r.rig, DATA, 0, 4);
  g_assert_cmphex (io (b, 5, 5, 1, DATA, 0), ==, NVME_COMPARE_FAILURE);
  g_assert_cmphex (io (b, 0x0c, 5, 100, 0, 0), ==, 0);
  g_assert_cmphex (io (b, 8, 5, 1, 0, 0), ==, 0);
  g_assert_cmphex (io (b, 2, 5, 1, DATA, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA, 4), ==, 0);
  g_assert_cmphex (io (b, 2, BLOCKS, 1, DATA, 0), ==, NVME_LBA_RANGE);
  g_assert_cmphex (io (b, 2, BLOCKS - 1, 2, DATA, 0), ==, NVME_LBA_RANGE);
  g_assert_cmphex (io (b, 2, 0, 2048, DATA, LISTS), ==, NVME_INVALID_FIELD); /* more than mdts */
  g_assert_cmphex (io (b, 0x55, 0, 1, DATA, 0), ==, NVME_INVALID_OPCODE);
  disk_rig_clear (&b->r);
}

static void
put_sgl (Bench *b, uint64_t at, uint64_t addr, uint32_t len, uint8_t type)
{
  uint8_t d[16] = { 0 };

  vm_store_le64 (d, addr);
  vm_store_le32 (d + 8, len);
  d[15] = (uint8_t) (type << 4);
  disk_rig_poke (&b->r, at, d, sizeof d);
}

static int
sgl (Bench *b, uint64_t addr, uint32_t len, uint8_t type)
{
  return run (
      b, &b->io,
      &(Cmd){
          .op = 2, .flags = 0x40, .nsid = 1, .prp1 = addr, .prp2 = len | (uint64_t) type << 60, .c10 = 20, .c12 = 1 });
}

static void
test_sgl (void)
{
  Bench bench, *b = &bench;

  set_up (b);
  g_assert_cmphex (sgl (b, DATA + 3, 1024, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA + 3 + 512, 4), ==, 21);
  put_sgl (b, LISTS, DATA + 0x1001, 600, 0);
  put_sgl (b, LISTS + 16, LISTS + 0x100, 16, 3);
  put_sgl (b, LISTS + 0x100, DATA + 0x2000, 424, 0);
  g_assert_cmphex (sgl (b, LISTS, 32, 2), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA + 0x1001 + 512, 4), ==, 21);
  put_sgl (b, LISTS + 16, LISTS, 32, 2); /* round and round */
  g_assert_cmphex (sgl (b, LISTS, 32, 2), ==, NVME_SGL_LENGTH);
  put_sgl (b, LISTS, DATA, 0, 0);
  g_assert_cmphex (sgl (b, LISTS, 32, 2), ==, NVME_INVALID_SGL_COUNT);
  g_assert_cmphex (sgl (b, DATA, 1024, 5), ==, NVME_SGL_TYPE);
  disk_rig_clear (&b->r);
}

static void
test_ranges (void)
{
  uint8_t ranges[64] = { 0 };
  Bench bench, *b = &bench;

  set_up (b);
  /* Deallocate blocks 8 to 15 and 100. */
  vm_store_le32 (ranges + 4, 8);
  vm_store_le64 (ranges + 8, 8);
  vm_store_le32 (ranges + 20, 1);
  vm_store_le64 (ranges + 24, 100);
  disk_rig_poke (&b->r, DATA, ranges, 32);
  g_assert_cmphex (run (b, &b->io, &(Cmd){ .op = 9, .nsid = 1, .prp1 = DATA, .c10 = 1, .c11 = 4 }), ==, 0);
  vm_store_le64 (ranges + 24, BLOCKS);
  disk_rig_poke (&b->r, DATA, ranges, 32);
  g_assert_cmphex (run (b, &b->io, &(Cmd){ .op = 9, .nsid = 1, .prp1 = DATA, .c10 = 1, .c11 = 4 }), ==, NVME_LBA_RANGE);
  /* Copy blocks 50, 51 and 60 to 1000. */
  memset (ranges, 0, sizeof ranges);
  vm_store_le64 (ranges + 8, 50);
  vm_store_le16 (ranges + 16, 1);
  vm_store_le64 (ranges + 40, 60);
  disk_rig_poke (&b->r, DATA, ranges, 64);
  g_assert_cmphex (run (b, &b->io, &(Cmd){ .op = 0x19, .nsid = 1, .prp1 = DATA, .c10 = 1000, .c12 = 1 }), ==, 0);
  g_assert_cmphex (io (b, 2, 1000, 3, DATA, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA + 512, 4), ==, 51);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA + 1024, 4), ==, 60);
  disk_rig_clear (&b->r);
}

/* A namespace comes, and the guest hears of it. */
static void
test_events (void)
{
  uint16_t cid;
  VmDevice *ns;
  Bench bench, *b = &bench;

  set_up (b);
  g_assert_cmphex (admin (b, 9, 0, 0, 0x0b, 0x100), ==, 0);
  submit (b, &b->admin, &(Cmd){ .op = 0x0c }, 77);
  ring (b, &b->admin);
  g_assert_cmpint (reap (b, &b->admin, NULL), ==, -1);
  ns = disk_rig_plug (
      &b->r, &vm_nvme_ns_type, 0,
      (const char *const[]){ "drive", "e", "nsid", "9", "uuid", "00112233-4455-6677-8899-aabbccddeeff", NULL });
  g_assert_cmphex (reap (b, &b->admin, &cid), ==, 0);
  g_assert_cmpuint (cid, ==, 77);
  g_assert_cmphex (b->result, ==, 0x00040002);
  g_assert_cmphex (admin (b, 2, 0, DATA, 4 | 1023 << 16, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA, 8), ==, 9);
  g_assert_cmphex (admin (b, 6, 9, DATA, 3, 0), ==, 0);
  g_assert_cmphex (rig_load (&b->r.rig, DATA + 4, 4), ==, 0x33221100);
  /* It is given blocks of 4 KiB, and is empty then. */
  g_assert_cmphex (admin (b, 0x80, 9, 0, 1, 0), ==, 0);
  g_assert_cmphex (admin (b, 6, 9, DATA, 0, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA, 8), ==, VM_MIB / 4096);
  g_assert_cmphex (run (b, &b->io, &(Cmd){ .op = 2, .nsid = 9, .prp1 = DATA, .c10 = 1 }), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA, 4), ==, 0);
  rig_remove (ns);
  g_assert_cmphex (run (b, &b->io, &(Cmd){ .op = 2, .nsid = 9, .prp1 = DATA, .c10 = 1 }), ==, NVME_INVALID_FIELD);
  disk_rig_clear (&b->r);
}

/* Doorbells in memory: the guest writes there and rings once. */
static void
test_doorbells (void)
{
  Bench bench, *b = &bench;

  set_up (b);
  g_assert_cmphex (run (b, &b->admin, &(Cmd){ .op = 0x7c, .prp1 = LISTS, .prp2 = LISTS + 0x1000 }), ==, 0);
  submit (b, &b->io, &(Cmd){ .op = 2, .nsid = 1, .prp1 = DATA, .c10 = 3 }, 1);
  submit (b, &b->io, &(Cmd){ .op = 2, .nsid = 1, .prp1 = DATA + 0x1000, .c10 = 4 }, 2);
  rig_store (&b->r.rig, LISTS + 8, 2, 4);
  disk_rig_write (&b->r, 0x1008, 1);
  disk_rig_settle (&b->r);
  g_assert_cmphex (reap (b, &b->io, NULL), ==, 0);
  g_assert_cmphex (reap (b, &b->io, NULL), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA + 0x1000, 4), ==, 4);
  g_assert_cmpuint (rig_load (&b->r.rig, LISTS + 0x1008, 4), ==, 2);
  disk_rig_clear (&b->r);
}

/* A completion queue of two entries: commands wait, none is lost. */
static void
test_throttle (void)
{
  Bench bench, *b = &bench;
  uint32_t seen = 0;

  set_up (b);
  g_assert_cmphex (admin (b, 5, 0, CQ + 0x1000, 2 | 1 << 16, 3), ==, 0);
  g_assert_cmphex (admin (b, 1, 0, SQ + 0x1000, 2 | (ENTRIES - 1) << 16, 1 | 2 << 16), ==, 0);
  Queue q = { SQ + 0x1000, CQ + 0x1000, 2, 0, 0, 1 };
  for (unsigned i = 0; i < 20; i++)
    submit (b, &q, &(Cmd){ .op = 2, .nsid = 1, .prp1 = DATA + 0x1000 * i, .c10 = i }, (uint16_t) i);
  ring (b, &q);
  for (unsigned i = 0; i < 20; i++)
    {
      uint8_t e[16];

      disk_rig_settle (&b->r);
      disk_rig_peek (&b->r, q.cq + 16 * (i % 2), e, sizeof e);
      g_assert_cmpuint (e[14] & 1, ==, !(i / 2 % 2));
      seen |= 1u << vm_load_le16 (e + 12);
      disk_rig_write (&b->r, 0x1014, (i + 1) % 2);
    }
  g_assert_cmphex (seen, ==, 0xfffff);
  disk_rig_clear (&b->r);
}

static void
test_registers (void)
{
  Bench bench, *b = &bench;

  set_up (b);
  g_assert_cmphex (disk_rig_read (&b->r, 0), ==, 0x0f0107ff);
  g_assert_cmphex (disk_rig_read (&b->r, 8), ==, 0x00010400);
  disk_rig_write (&b->r, 0x14, 0x00464001); /* a shutdown */
  disk_rig_settle (&b->r);
  g_assert_cmphex (disk_rig_read (&b->r, 0x1c), ==, 1 | 2 << 2);
  disk_rig_write (&b->r, 0x14, 0);
  g_assert_cmphex (disk_rig_read (&b->r, 0x1c), ==, 0);
  disk_rig_write (&b->r, 0x24, 0);
  disk_rig_write (&b->r, 0x14, 0x00460001); /* queues of one entry */
  g_assert_cmphex (disk_rig_read (&b->r, 0x1c), ==, 2);
  disk_rig_write (&b->r, 0x14, 0);
  /* The memory buffer, where the controller is told to see it. */
  disk_rig_write (&b->r, 0x50, 1);
  g_assert_cmphex (disk_rig_read (&b->r, 0x3c), ==, 1 << 12 | 2 << 8 | 0x1f);
  disk_rig_write (&b->r, 0x54, 2);
  disk_rig_write (&b->r, 0x50, 3);
  start (b);
  g_assert_cmphex (io (b, 2, 40, 1, UINT64_C (0x200000000), 0), ==, 0);
  g_assert_cmphex (io (b, 1, 41, 1, UINT64_C (0x200000000), 0), ==, 0);
  g_assert_cmphex (io (b, 2, 41, 1, DATA, 0), ==, 0);
  g_assert_cmpuint (rig_load (&b->r.rig, DATA, 4), ==, 40);
  g_assert_cmphex (io (b, 2, 41, 1, UINT64_C (0x300000000), 0), ==, NVME_DATA_TRANSFER_ERROR);
  disk_rig_set_config (&b->r, 0x88, 1 << 15, 2); /* function level reset */
  disk_rig_set_config (&b->r, PCI_BAR0, (uint32_t) DISK_RIG_BAR, 4);
  disk_rig_set_config (&b->r, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
  g_assert_cmphex (disk_rig_read (&b->r, 0x14), ==, 0);
  disk_rig_clear (&b->r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/nvme/registers", test_registers);
  g_test_add_func ("/nvme/identify", test_identify);
  g_test_add_func ("/nvme/transfers", test_transfers);
  g_test_add_func ("/nvme/sgl", test_sgl);
  g_test_add_func ("/nvme/ranges", test_ranges);
  g_test_add_func ("/nvme/events", test_events);
  g_test_add_func ("/nvme/doorbells", test_doorbells);
  g_test_add_func ("/nvme/throttle", test_throttle);
  return g_test_run ();
}
