/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this folder share. */
#pragma once

#include "engine/char/char.h"
#include "engine/monitor/monitor.h"

typedef struct VmLine VmLine;

typedef struct VmTap
{
  VmMonitorsTap func;
  void *opaque;
} VmTap;

typedef struct VmProgress /* progress.h; each member is atomic */
{
  uint64_t done, total;
  bool under_way, cancellable, cancelled;
} VmProgress;

struct VmMonitors
{
  VmMachine *machine;
  GPtrArray *open; /* VmMonitor * */
  bool started;
  GArray *taps;          /* VmTap */
  GHashTable *throttles; /* key -> Throttle * of events held back */
  char x_format;         /* of the last x, xp, i or o; 0: none yet */
  unsigned x_size;
  GHashTable *fds;       /* name -> fd + 1, of getfd */
  struct VmDump *dump;   /* the last one; NULL: none yet */
  struct VmDirtyRate *dirty_rate; /* NULL: nobody asked yet */
  bool migration_events; /* somebody wants to hear of migrations */
  VmProgress progress;
  char *client_protocol; /* whose connections of add_client client_func takes; NULL: none */
  void (*client_func) (void *opaque, int fd);
  void *client_opaque;
};

struct VmMonitor
{
  VmMonitors *all;
  VmMachine *machine;
  VmCharFe fe;
  bool control;
  GString *out;  /* not yet taken by the back end */
  bool overrun;  /* text was dropped because nobody reads */
  bool focused;  /* of a multiplexer: has the keyboard */
  bool held;     /* of a multiplexer: somebody else has the screen */
  int cpu_index; /* the one commands look at */
  /* QMP */
  bool pretty, negotiated, oob;
  json_tokener *tokener;
  size_t message_len;
  bool skipping; /* after broken input, until the line ends */
  /* human */
  VmLine *line;
  bool echo; /* drives a terminal */
};

#define VM_MONITOR_INPUT_MAX (64 * VM_MIB)  /* of one message */
#define VM_MONITOR_OUTPUT_MAX (16 * VM_MIB) /* waiting for a client that does not read */

void vm_monitor_write (VmMonitor *mon, const char *text, size_t len);
void vm_monitor_puts (VmMonitor *mon, const char *text); /* "\n" becomes "\r\n" on a terminal */
void vm_monitor_printf (VmMonitor *mon, const char *format, ...) G_GNUC_PRINTF (2, 3);

json_object *vm_monitor_execute (VmMonitor *mon, const char *name, json_object *arguments, GError **error);
/* What -compat lets a QMP client do; NULL: this is none. */
const VmCompatPolicy *vm_monitor_policy (const VmMonitor *mon);
void vm_qmp_attach (VmMonitor *mon);
void vm_qmp_opened (VmMonitor *mon);
void vm_qmp_closed (VmMonitor *mon);
void vm_qmp_receive (VmMonitor *mon, const uint8_t *buf, size_t len);
void vm_qmp_send (VmMonitor *mon, json_object *message); /* takes the reference */
json_object *vm_qmp_version (void);

void vm_events_sink (void *monitors, const char *name, const char *data_json);
void vm_events_free (VmMonitors *all);

void vm_fds_init (VmMonitors *all);
void vm_fds_free (VmMonitors *all);
/* Takes the descriptor NAME that getfd kept; -1 with ERROR set: there is none. */
int vm_fds_take (VmMonitors *all, const char *name, GError **error);
void vm_dump_free (VmMonitors *all);
void vm_dirty_rate_free (VmMonitors *all);

/* The JSON of a property's value as vm_object_get() writes it. */
json_object *vm_qom_value_to_json (const VmProp *prop, const char *text);

/* The human monitor. */
void vm_hmp_opened (VmMonitor *mon);
void vm_hmp_receive (VmMonitor *mon, const uint8_t *buf, size_t len);
void vm_hmp_free (VmMonitor *mon);
void vm_hmp_run (VmMonitor *mon, const char *line);
/* The processor that commands look at; NULL: none. */
VmVcpu *vm_monitor_cpu (VmMonitor *mon);
