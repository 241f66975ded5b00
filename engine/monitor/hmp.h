/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of the human monitor: tables and parsed arguments. */
#pragma once

#include "engine/monitor/monitor-private.h"

#define VM_HMP_ARGS 10

typedef struct VmHmpArg
{
  const char *name; /* as in the command's specification, not terminated: compare NAME_LEN */
  size_t name_len;
  char *text;     /* strings */
  int64_t number; /* numbers, flags, booleans */
  bool given;
} VmHmpArg;

typedef struct VmHmpArgs
{
  VmHmpArg args[VM_HMP_ARGS];
  unsigned n;
  /* "/fmt": count, letter, bytes. As given, or what the last command of its kind used. */
  unsigned count;
  char format;
  unsigned size;
} VmHmpArgs;

typedef struct VmHmpCommand
{
  const char *name; /* "stop|s": all names it has */
  /* Arguments, one word each: NAME:KIND, KIND one of s (word), S (rest of the line), F (file name), B (drive),
   * i and l (32 and 64-bit expressions), M (size, in MiB without a suffix), b (on|off), / (format), -x (flag), -xs (flag with a word); "?" at the end:
   * may be left out. */
  const char *spec;
  const char *params; /* for help */
  const char *help;
  void (*func) (VmMonitor *mon, const VmHmpArgs *args);
  /* Candidates for argument N (flags do not count) of which START is typed; file names come by themselves. */
  char **(*complete) (VmMonitor *mon, unsigned n, const char *start);
} VmHmpCommand;

extern const VmHmpCommand vm_hmp_commands[]; /* sorted by first name; end with a NULL name */
extern const VmHmpCommand vm_hmp_info_commands[];

const VmHmpArg *vm_hmp_arg (const VmHmpArgs *args, const char *name); /* NULL: not given */
const char *vm_hmp_text (const VmHmpArgs *args, const char *name);
int64_t vm_hmp_number (const VmHmpArgs *args, const char *name, int64_t otherwise);
bool vm_hmp_flag (const VmHmpArgs *args, const char *name);
const VmHmpCommand *vm_hmp_find (const VmHmpCommand *table, const char *name);

/* An expression at *P: numbers, 'c', $registers, + - * / % & | ^ ~ ( ). Prints what is wrong. */
bool vm_hmp_expression (VmMonitor *mon, const char **p, int64_t *value, GError **error);

/* What KEY of a JSON object holds, as text; "" when it is not there. */
const char *vm_hmp_member (json_object *object, const char *key);
/* Calls FUNC for each element of a query's list. */
void vm_hmp_each (VmMonitor *mon, const char *command, void (*func) (VmMonitor *mon, json_object *item));
/* Runs a QMP command and prints "Error: ..." when it fails; NULL then. */
json_object *vm_hmp_qmp (VmMonitor *mon, const char *command, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* A JSON string literal of TEXT, newly allocated. */
char *vm_hmp_quote (const char *text);

/* hmp-complete.c */
#define VM_COMPLETE_FUNC(name) char **vm_complete_##name (VmMonitor *mon, unsigned n, const char *start)
VM_COMPLETE_FUNC (capability);
VM_COMPLETE_FUNC (chardev);
VM_COMPLETE_FUNC (chardev_kind);
VM_COMPLETE_FUNC (command);
VM_COMPLETE_FUNC (device);
VM_COMPLETE_FUNC (device_type);
VM_COMPLETE_FUNC (drive);
VM_COMPLETE_FUNC (info);
VM_COMPLETE_FUNC (key);
VM_COMPLETE_FUNC (link);
VM_COMPLETE_FUNC (netdev);
VM_COMPLETE_FUNC (netdev_kind);
VM_COMPLETE_FUNC (object);
VM_COMPLETE_FUNC (object_type);
VM_COMPLETE_FUNC (path);
VM_COMPLETE_FUNC (snapshot);
VM_COMPLETE_FUNC (watchdog);

/* hmp-info.c, hmp-memory.c, hmp-control.c, hmp-devices.c, devices; in the order of the tables. */
#define VM_HMP_FUNC(name) void vm_hmp_##name (VmMonitor *mon, const VmHmpArgs *args)
VM_HMP_FUNC (help);
VM_HMP_FUNC (info);
VM_HMP_FUNC (x);
VM_HMP_FUNC (xp);
VM_HMP_FUNC (print);
VM_HMP_FUNC (port_in);
VM_HMP_FUNC (port_out);
VM_HMP_FUNC (sum);
VM_HMP_FUNC (memsave);
VM_HMP_FUNC (pmemsave);
VM_HMP_FUNC (gpa2hva);
VM_HMP_FUNC (gpa2hpa);
VM_HMP_FUNC (gva2gpa);
VM_HMP_FUNC (stop);
VM_HMP_FUNC (stopcapture);
VM_HMP_FUNC (wavcapture);
VM_HMP_FUNC (info_capture);
VM_HMP_FUNC (cont);
VM_HMP_FUNC (quit);
VM_HMP_FUNC (system_reset);
VM_HMP_FUNC (system_powerdown);
VM_HMP_FUNC (system_wakeup);
VM_HMP_FUNC (nbd_server_add);
VM_HMP_FUNC (nbd_server_remove);
VM_HMP_FUNC (nbd_server_start);
VM_HMP_FUNC (nbd_server_stop);
VM_HMP_FUNC (nmi);
VM_HMP_FUNC (gdbserver);
VM_HMP_FUNC (cpu);
VM_HMP_FUNC (sendkey);
VM_HMP_FUNC (screendump);
VM_HMP_FUNC (mouse_move);
VM_HMP_FUNC (mouse_button);
VM_HMP_FUNC (mouse_set);
VM_HMP_FUNC (boot_set);
VM_HMP_FUNC (device_add);
VM_HMP_FUNC (device_del);
VM_HMP_FUNC (object_add);
VM_HMP_FUNC (object_del);
VM_HMP_FUNC (chardev_add);
VM_HMP_FUNC (chardev_remove);
VM_HMP_FUNC (chardev_change);
VM_HMP_FUNC (chardev_send_break);
VM_HMP_FUNC (ringbuf_read);
VM_HMP_FUNC (ringbuf_write);
VM_HMP_FUNC (qom_list);
VM_HMP_FUNC (qom_get);
VM_HMP_FUNC (qom_set);
VM_HMP_FUNC (log);
VM_HMP_FUNC (logfile);
VM_HMP_FUNC (trace_event);
VM_HMP_FUNC (info_trace_events);
VM_HMP_FUNC (watchdog_action);
VM_HMP_FUNC (exit_preconfig);
VM_HMP_FUNC (closefd);
VM_HMP_FUNC (balloon);
VM_HMP_FUNC (block_job_cancel);
VM_HMP_FUNC (block_job_complete);
VM_HMP_FUNC (block_job_pause);
VM_HMP_FUNC (block_job_resume);
VM_HMP_FUNC (block_job_set_speed);
VM_HMP_FUNC (block_resize);
VM_HMP_FUNC (block_set_io_throttle);
VM_HMP_FUNC (block_stream);
VM_HMP_FUNC (change);
VM_HMP_FUNC (commit);
VM_HMP_FUNC (drive_backup);
VM_HMP_FUNC (drive_add);
VM_HMP_FUNC (qemu_io);
VM_HMP_FUNC (drive_del);
VM_HMP_FUNC (drive_mirror);
VM_HMP_FUNC (snapshot_blkdev);
VM_HMP_FUNC (snapshot_blkdev_internal);
VM_HMP_FUNC (snapshot_delete_blkdev_internal);
VM_HMP_FUNC (dump_guest_memory);
VM_HMP_FUNC (eject);
VM_HMP_FUNC (getfd);
VM_HMP_FUNC (migrate);
VM_HMP_FUNC (migrate_cancel);
VM_HMP_FUNC (migrate_incoming);
VM_HMP_FUNC (migrate_set_capability);
VM_HMP_FUNC (calc_dirty_rate);
VM_HMP_FUNC (cancel_vcpu_dirty_limit);
VM_HMP_FUNC (delvm);
VM_HMP_FUNC (dumpdtb);
VM_HMP_FUNC (loadvm);
VM_HMP_FUNC (mce);
VM_HMP_FUNC (replay_break);
VM_HMP_FUNC (replay_delete_break);
VM_HMP_FUNC (replay_seek);
VM_HMP_FUNC (savevm);
VM_HMP_FUNC (set_vcpu_dirty_limit);
VM_HMP_FUNC (singlestep);
VM_HMP_FUNC (x_colo_lost_heartbeat);
VM_HMP_FUNC (info_dirty_rate);
VM_HMP_FUNC (info_jit);
VM_HMP_FUNC (info_replay);
VM_HMP_FUNC (info_snapshots);
VM_HMP_FUNC (info_stats);
VM_HMP_FUNC (info_vcpu_dirty_limit);
VM_HMP_FUNC (info_virtio);
VM_HMP_FUNC (info_virtio_queue_element);
VM_HMP_FUNC (info_virtio_queue_status);
VM_HMP_FUNC (info_virtio_status);
VM_HMP_FUNC (info_virtio_vhost_queue_status);
VM_HMP_FUNC (announce_self);
VM_HMP_FUNC (hostfwd_add);
VM_HMP_FUNC (hostfwd_remove);
VM_HMP_FUNC (netdev_add);
VM_HMP_FUNC (netdev_del);
VM_HMP_FUNC (set_link);
VM_HMP_FUNC (set_password);
VM_HMP_FUNC (expire_password);
VM_HMP_FUNC (client_migrate_info);
VM_HMP_FUNC (info_spice);
VM_HMP_FUNC (info_vnc);
VM_HMP_FUNC (info_network);
VM_HMP_FUNC (info_usernet);
VM_HMP_FUNC (info_balloon);
VM_HMP_FUNC (info_block);
VM_HMP_FUNC (info_block_jobs);
VM_HMP_FUNC (info_blockstats);
VM_HMP_FUNC (info_dump);
VM_HMP_FUNC (info_generation_id);
VM_HMP_FUNC (info_memory_devices);
VM_HMP_FUNC (info_migrate);
VM_HMP_FUNC (info_migrate_capabilities);
VM_HMP_FUNC (info_pci);
VM_HMP_FUNC (info_roms);
VM_HMP_FUNC (info_sev);
VM_HMP_FUNC (info_sgx);
VM_HMP_FUNC (info_tpm);
VM_HMP_FUNC (info_chardev);
VM_HMP_FUNC (info_cpus);
VM_HMP_FUNC (info_history);
VM_HMP_FUNC (info_hotpluggable);
VM_HMP_FUNC (info_iothreads);
VM_HMP_FUNC (info_irq);
VM_HMP_FUNC (info_kvm);
VM_HMP_FUNC (info_lapic);
VM_HMP_FUNC (info_mem);
VM_HMP_FUNC (info_memdev);
VM_HMP_FUNC (info_memory_size);
VM_HMP_FUNC (info_mice);
VM_HMP_FUNC (info_mtree);
VM_HMP_FUNC (info_name);
VM_HMP_FUNC (info_numa);
VM_HMP_FUNC (info_pic);
VM_HMP_FUNC (info_qdm);
VM_HMP_FUNC (info_qom_tree);
VM_HMP_FUNC (info_qtree);
VM_HMP_FUNC (info_ramblock);
VM_HMP_FUNC (info_registers);
VM_HMP_FUNC (info_status);
VM_HMP_FUNC (info_tlb);
VM_HMP_FUNC (info_uuid);
VM_HMP_FUNC (info_version);

/* ui/vnc: "change vnc" */
void vm_hmp_change_vnc (VmMonitor *mon, const char *target, const char *password);

/* hmp-line.c */
VmLine *vm_line_new (void);
void vm_line_free (VmLine *line);
/* Takes a byte; echoes through MON. A finished line, newly allocated, or NULL. */
char *vm_line_input (VmLine *line, VmMonitor *mon, uint8_t byte);
void vm_line_show_prompt (VmLine *line, VmMonitor *mon);
void vm_line_print_history (VmLine *line, VmMonitor *mon);
/* Candidates for the last word of TEXT (up to the cursor); *WORD is where it begins. */
char **vm_hmp_complete (VmMonitor *mon, const char *text, size_t *word);
