/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the program's own files share. */
#pragma once

#include "engine/machine/machine.h"

#include <sys/types.h>

extern const VmType *const vm_all_types[]; /* generated */
extern const size_t vm_n_all_types;

extern const VmArchOps app_arch_x86;
extern const VmAccelOps *const app_accels[]; /* ends with NULL */

/* lists.c: what "-machine help" and its kin print; the exit status. */
int app_print_list (const VmSettings *settings, const VmTypeList *types, const VmBoard *const *boards);

/* process.c: before any thread exists. */
bool app_daemonize (GError **error); /* returns in the child; the parent waits for app_daemon_ready() */
void app_daemon_ready (void);        /* lets the parent exit with status 0 */
bool app_write_pidfile (const char *path, GError **error);
void app_remove_pidfile (const char *path);
void app_name_process (const char *name);

/* drives.c */
bool app_open_drives (VmMachine *machine, GError **error);
bool app_load_snapshot (VmMachine *machine, GError **error); /* -loadvm */
/* networks.c */
bool app_open_networks (VmMachine *machine, GError **error);
/* sound.c */
bool app_open_sound (VmMachine *machine, GError **error);

/* privileges.c */
typedef struct AppUser
{
  bool given;
  uid_t uid;
  gid_t gid;
  char *name; /* NULL: numbers only */
} AppUser;
bool app_find_user (const VmSettings *settings, AppUser *user, GError **error);
bool app_drop_privileges (const VmSettings *settings, const AppUser *user, GError **error);
bool app_lock_memory (GError **error);
/* A process of its own keeps the address space until after this one has ended. */
bool app_start_teardown (GError **error);

/* sandbox.c: nothing more is set up afterwards; all threads are bound. */
bool app_enter_sandbox (const VmSandbox *sandbox, GError **error);
/* The calling thread runs a guest from now on: it gives up more. Only after app_enter_sandbox() with a sandbox that is
 * enabled. */
void app_confine_vcpu (void);
