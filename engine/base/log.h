/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the program says: errors and warnings for the person, -d items for the curious, and the
 * rate-limited record of what guests do wrong. The only process-wide state below app/. */
#pragma once

#include "engine/base/base.h"

typedef enum VmLogItem {
  VM_LOG_OUT_ASM     = 1 << 0,
  VM_LOG_IN_ASM      = 1 << 1,
  VM_LOG_OP          = 1 << 2,
  VM_LOG_OP_OPT      = 1 << 3,
  VM_LOG_INT         = 1 << 4,
  VM_LOG_EXEC        = 1 << 5,
  VM_LOG_CPU         = 1 << 6,
  VM_LOG_MMU         = 1 << 7,
  VM_LOG_PCALL       = 1 << 8,
  VM_LOG_CPU_RESET   = 1 << 9,
  VM_LOG_UNIMP       = 1 << 10,
  VM_LOG_GUEST_ERROR = 1 << 11,
  VM_LOG_PAGE        = 1 << 12,
  VM_LOG_NOCHAIN     = 1 << 13,
  VM_LOG_FPU         = 1 << 14,
  VM_LOG_PLUGIN      = 1 << 15,
  VM_LOG_STRACE      = 1 << 16,
  VM_LOG_TID         = 1 << 17,
  VM_LOG_OP_IND      = 1 << 18,
  VM_LOG_OP_PLUGIN   = 1 << 19,
  VM_LOG_VPU         = 1 << 20,
} VmLogItem;

/* The name errors begin with: argv[0] as typed, without its folder. Called once by main(). */
void vm_log_set_program (const char *argv0);
const char *vm_log_program (void);
/* What precedes the name in messages: the time, and a guest's name unless NULL. */
void vm_log_set_prefix (bool timestamp, const char *guest_name);

/* "PROG: message" and "PROG: warning: message" on stderr. Any thread. */
void vm_report_error (const char *format, ...) G_GNUC_PRINTF (1, 2);
void vm_report_warning (const char *format, ...) G_GNUC_PRINTF (1, 2);
void vm_report_info (const char *format, ...) G_GNUC_PRINTF (1, 2);

void     vm_log_set_mask (uint32_t items);
/* -D; "%d" is the process id, or with VM_LOG_TID set before, the thread's. NULL: stderr again. */
bool     vm_log_set_file (const char *path, GError **error);
/* "int,cpu_reset" or "all" -> items; unknown names fail. "trace:PATTERN" is added to TRACES (char *), or fails when
 * that is NULL. */
bool     vm_log_parse_items (const char *list, uint32_t *items, GPtrArray *traces, GError **error);
/* The table of -d help; OPTION names what "trace:help" is said to. */
char    *vm_log_describe_items (const char *option);

/* -dfilter: guest addresses that the items about guest code (in_asm, out_asm, op, op_opt, exec, cpu) are written
 * for. FIRST and LAST belong to each range. */
typedef struct VmLogRange {
  uint64_t first, last;
} VmLogRange;
/* "START+SIZE", "START-SIZE" (the SIZE bytes up to START) or "START..END", by commas -> VmLogRange. */
GArray  *vm_log_parse_filter (const char *list, GError **error);
/* Takes RANGES; NULL: everything. Before any vCPU runs. */
void     vm_log_set_filter (GArray *ranges);
bool     vm_log_covers (uint64_t address);

extern uint32_t vm_log_mask; /* read-only outside log.c; tested before the cost of formatting */
#define vm_log_enabled(item) (G_UNLIKELY ((vm_log_mask & (item)) != 0))
/* For text in several lines that must stay together: whether vm_log() writes it is the caller's to ask. */
void vm_log_print (const char *format, ...) G_GNUC_PRINTF (1, 2);
bool vm_log_has_timestamp (void);
void vm_log_write (uint32_t item, const char *format, ...) G_GNUC_PRINTF (2, 3);
#define vm_log(item, ...)                                                                        \
  do {                                                                                           \
    if (vm_log_enabled (item))                                                                   \
      vm_log_write (item, __VA_ARGS__);                                                          \
  } while (0)

/* The guest did something the data sheet forbids. WHO is the device's path or type name. Written with
 * -d guest_errors, at most a hundred lines a second. Afterwards do what the hardware would do. */
void vm_guest_error (const char *who, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* The guest asked for something hardware has and this build does not: -d unimp. */
void vm_guest_unimp (const char *who, const char *format, ...) G_GNUC_PRINTF (2, 3);
