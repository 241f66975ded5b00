/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the gdb server share. Threads are vCPUs; gdb counts them from 1. */
#pragma once

#include "engine/char/char.h"
#include "engine/debug/gdb-packet.h"
#include "engine/debug/gdb.h"

#define GDB_POINTS_MAX 1024

enum
{ /* Qqemu.sstep: how single steps go */
  GDB_STEP_ENABLE = 1,
  GDB_STEP_NO_IRQ = 2,
  GDB_STEP_NO_TIMER = 4,
};

/* A break instruction of ours in memory while the machine runs. */
typedef struct GdbPatch
{
  VmAddressSpace *as;
  uint64_t phys;
  uint8_t original[16];
} GdbPatch;

typedef struct VmGdb
{
  VmMachine *machine;
  const VmGdbArch *arch;
  VmCharFe fe;
  GdbFramer framer;
  GString *out;  /* not yet taken by the back end */
  GString *last; /* the last reply, for "-" */
  bool no_ack;
  bool busy;                           /* a packet is being carried out */
  bool multiprocess, swbreak, hwbreak; /* gdb knows of them */
  bool resumed;                        /* gdb waits to hear why the machine stopped */
  unsigned current;                    /* vCPU that registers and memory are of ("Hg"), the one that stopped last */
  int resume_only;                     /* vCPU of "Hc"; -1: all */
  unsigned listed;                     /* vCPUs of qfThreadInfo told already */
  bool physical;                       /* addresses are physical */
  unsigned step_flags;                 /* GDB_STEP_* */
  GArray *points;                      /* VmDebugPoint: as gdb wants them */
  bool points_changed;
  unsigned points_cpus; /* so many vCPUs know them */
  GArray *patches;      /* GdbPatch */
  VmDebugPoint stop;    /* why the machine stopped */
} VmGdb;

/* gdb.c: connection, replies */
void gdb_reply (VmGdb *g, const char *format, ...) G_GNUC_PRINTF (2, 3);
void gdb_reply_bytes (VmGdb *g, const char *data, size_t len);
void gdb_reply_ok (VmGdb *g);
void gdb_reply_error (VmGdb *g); /* E22: invalid argument */
void gdb_reply_stop (VmGdb *g);
VmVcpu *gdb_vcpu (VmGdb *g); /* the current one; NULL: the machine has none */
void gdb_forget (VmGdb *g);  /* what the debugger set up */

/* Packets: P is behind the name. */
typedef void (*GdbFunc) (VmGdb *g, const char *p, size_t len);
#define GDB_PACKET(name) void gdb_##name (VmGdb *g, const char *p, size_t len)

/* gdb-state.c: registers and memory */
GDB_PACKET (read_registers);
GDB_PACKET (write_registers);
GDB_PACKET (read_register);
GDB_PACKET (write_register);
GDB_PACKET (read_memory);
GDB_PACKET (write_memory);
GDB_PACKET (write_memory_binary);
GDB_PACKET (read_features);
void gdb_set_pc (VmGdb *g, VmVcpu *vcpu, uint64_t pc);
/* Physical address of LINEAR as VCPU sees it, and the space it is in. */
bool gdb_translate (VmGdb *g, VmVcpu *vcpu, uint64_t linear, uint64_t *phys, VmAddressSpace **as);

/* gdb-threads.c */
GDB_PACKET (select_thread);
GDB_PACKET (thread_alive);
GDB_PACKET (first_threads);
GDB_PACKET (next_threads);
GDB_PACKET (thread_info);
GDB_PACKET (current_thread);
GDB_PACKET (cont);
GDB_PACKET (cont_signal);
GDB_PACKET (step);
GDB_PACKET (step_signal);
GDB_PACKET (vcont);
GDB_PACKET (vcont_query);
void gdb_append_thread (VmGdb *g, GString *text, unsigned index);

/* gdb-points.c */
GDB_PACKET (insert_point);
GDB_PACKET (remove_point);
void gdb_points_apply (VmGdb *g); /* the machine is about to run */
void gdb_points_stopped (VmGdb *g);
void gdb_points_clear (VmGdb *g);
/* The stop of one vCPU, which becomes the current one. False: none stopped for us. */
bool gdb_points_collect (VmGdb *g);

/* gdb-monitor.c: the human monitor's line and the packets "qqemu.*" */
GDB_PACKET (run_monitor);
GDB_PACKET (step_bits);
GDB_PACKET (get_step);
GDB_PACKET (set_step);
GDB_PACKET (get_physical);
GDB_PACKET (set_physical);
