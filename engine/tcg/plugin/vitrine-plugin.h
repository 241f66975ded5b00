/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plugins for Vitrine's translator: shared objects that see what a guest executes.
 *
 * "-plugin file=libcount.so,limit=5" loads libcount.so and calls its vitrine_plugin_install() with the arguments
 * "limit=5". That fills in the callbacks it wants and returns 0, or anything else to end the program. A plugin sees
 * everything and changes nothing.
 *
 * This header needs nothing but the C library, and is compatible in both directions: structures only grow at their end,
 * and each begins with its size as the one who filled it in knew it.
 *
 * Threads: callbacks of a virtual processor come on its thread, those of several at the same time. Counters and what the
 * plugin keeps for each processor need no lock; what processors share does. A callback must not wait for long, nor call
 * into the program except by the functions of VitrineHost. */
#ifndef VITRINE_PLUGIN_H
#define VITRINE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VITRINE_PLUGIN_API 1

/* An instruction, each time before it is executed. */
typedef struct VitrineInsn {
  size_t         size;    /* of this structure */
  uint64_t       address; /* linear */
  const uint8_t *bytes;   /* while the callback runs */
  unsigned       length;
} VitrineInsn;

/* A run of instructions in one page, up to the first that may go elsewhere, each time before it is executed. An
 * exception may end it before its last instruction. */
typedef struct VitrineBlock {
  size_t   size;
  uint64_t address;      /* linear, of the first instruction */
  unsigned instructions; /* how many it has */
  unsigned bytes;
} VitrineBlock;

/* A load or store that was made; instruction fetches and the walk of page tables are none. One that is atomic is
 * told once, as a store. */
typedef struct VitrineAccess {
  size_t   size;
  uint64_t address; /* linear */
  unsigned bytes;
  int      is_store;
} VitrineAccess;

/* What a plugin wants. All may be left NULL; USER is handed to each. Instructions and blocks are interpreted one by one
 * when somebody wants to hear of them: expect the guest to be some ten times slower. */
typedef struct VitrineCallbacks {
  size_t size; /* set by the program, what it knows of */
  void  *user;
  void (*vcpu_init) (void *user, unsigned vcpu);
  void (*vcpu_exit) (void *user, unsigned vcpu);
  void (*block) (void *user, unsigned vcpu, const VitrineBlock *block);
  void (*insn) (void *user, unsigned vcpu, const VitrineInsn *insn);
  void (*access) (void *user, unsigned vcpu, const VitrineAccess *access);
  void (*exit) (void *user); /* last of all, no processor runs any more */
  /* Counters that are kept without a call: one number for each processor, by its index, for max_vcpus of them. */
  uint64_t *count_blocks;
  uint64_t *count_insns;
  uint64_t *count_accesses;
} VitrineCallbacks;

/* The program's side. */
typedef struct VitrineHost {
  size_t      size;
  int         api;       /* VITRINE_PLUGIN_API of the program */
  const char *target;    /* "x86_64" */
  unsigned    vcpus;     /* at the start */
  unsigned    max_vcpus; /* indices stay below */
  /* A line for the log, shown by "-d plugin". Any thread. */
  void (*log) (const char *text);
} VitrineHost;

/* What a plugin has to define. ARGV has ARGC texts "name=value". 0: it is in. */
int vitrine_plugin_install (const VitrineHost *host, VitrineCallbacks *callbacks, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
