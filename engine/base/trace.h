/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trace events of -trace, -d trace:PATTERN and the monitors: named places in the program that say, when switched
 * on, what passes them. One that is off costs a load and a branch that is never taken. Where a widely used program
 * has an event of the same meaning, ours has its name. */
#pragma once

#include "engine/base/base.h"

/* X (SYMBOL, "name"), in the order of "-trace help". */
#define VM_TRACE_EVENTS(X)                                                                       \
  X (RUNSTATE_SET, "runstate_set")                                                               \
  X (MACHINE_RESET, "machine_reset")                                                             \
  X (SHUTDOWN_REQUEST, "qemu_system_shutdown_request")                                           \
  X (POWERDOWN_REQUEST, "qemu_system_powerdown_request")                                         \
  X (WAKEUP_REQUEST, "system_wakeup_request")                                                    \
  X (QDEV_RESET, "qdev_reset")                                                                   \
  X (CPU_RESET, "guest_cpu_reset")                                                               \
  X (VCPU_RUN, "vcpu_run")                                                                       \
  X (VCPU_LEAVE, "vcpu_leave")                                                                   \
  X (VCPU_HALT, "vcpu_halt")                                                                     \
  X (REGION_READ, "memory_region_ops_read")                                                      \
  X (REGION_WRITE, "memory_region_ops_write")                                                    \
  X (UNASSIGNED_READ, "memory_unassigned_read")                                                  \
  X (UNASSIGNED_WRITE, "memory_unassigned_write")                                                \
  X (PCI_CFG_READ, "pci_cfg_read")                                                               \
  X (PCI_CFG_WRITE, "pci_cfg_write")                                                             \
  X (PIC_SET_IRQ, "pic_set_irq")                                                                 \
  X (PIC_INTERRUPT, "pic_interrupt")                                                             \
  X (IOAPIC_SET_IRQ, "ioapic_set_irq")                                                           \
  X (APIC_DELIVER_IRQ, "apic_deliver_irq")                                                       \
  X (IDE_EXEC_CMD, "ide_exec_cmd")                                                               \
  X (IDE_STATUS_READ, "ide_status_read")                                                         \
  X (IDE_RESET, "ide_reset")                                                                     \
  X (FW_CFG_SELECT, "fw_cfg_select")                                                             \
  X (SERIAL_WRITE, "serial_write")                                                               \
  X (KBD_WRITE_COMMAND, "pckbd_kbd_write_command")                                               \
  X (CHARDEV_OPEN, "chardev_open")                                                               \
  X (CHARDEV_CLOSE, "chardev_close")                                                             \
  X (HMP_COMMAND, "handle_hmp_command")                                                          \
  X (QMP_COMMAND, "handle_qmp_command")                                                          \
  X (QMP_EVENT, "monitor_protocol_event_emit")

#define VM_TRACE_SYMBOL(symbol, name) VM_TRACE_##symbol,
typedef enum VmTraceEvent {
  VM_TRACE_EVENTS (VM_TRACE_SYMBOL)
  VM_TRACE_N
} VmTraceEvent;
#undef VM_TRACE_SYMBOL

extern uint8_t vm_trace_states[VM_TRACE_N]; /* read-only outside trace.c */
void vm_trace_write (VmTraceEvent event, const char *format, ...) G_GNUC_PRINTF (2, 3);
#define vm_trace_enabled(symbol)                                                                 \
  G_UNLIKELY (__atomic_load_n (&vm_trace_states[VM_TRACE_##symbol], __ATOMIC_RELAXED))
/* Writes a line "name FORMATTED" to the log: vm_trace (IDE_RESET, "%s", name). Any thread. */
#define vm_trace(symbol, ...)                                                                    \
  do {                                                                                           \
    if (vm_trace_enabled (symbol))                                                               \
      vm_trace_write (VM_TRACE_##symbol, __VA_ARGS__);                                           \
  } while (0)

const char *vm_trace_name (VmTraceEvent event);
/* Does event N match PATTERN, a name or a glob of "*" and "?"? */
bool vm_trace_matches (VmTraceEvent event, const char *pattern);
bool vm_trace_is_pattern (const char *text);
/* The events that match: on or off. Says how many there were. */
unsigned vm_trace_set (const char *pattern, bool enable);
/* A PATTERN of the command line: with "-" before it, off. WHERE ("-trace foo: ") begins the warning that a plain
 * name is none's. */
void vm_trace_enable (const char *where, const char *pattern);
/* A file of such patterns, one a line; "#" begins a comment. */
bool vm_trace_enable_file (const char *path, GError **error);
void vm_trace_print (void); /* -trace help */
