/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -sandbox: system calls that this process and its threads give up for good (seccomp(2), libseccomp). */
#include "app/app.h"
#include "engine/base/log.h"

#include "engine/base/log.h"

#ifdef VM_HAVE_SECCOMP
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Old, administrative or never used: no machine needs one of them. */
static const char *const obsolete[] = {
  "_sysctl",       "acct",         "afs_syscall", "bdflush",         "break",      "clock_settime", "create_module",
  "delete_module", "finit_module", "ftime",       "get_kernel_syms", "getpmsg",    "gtty",          "idle",
  "init_module",   "ioperm",       "iopl",        "kexec_file_load", "kexec_load", "lock",          "lookup_dcookie",
  "mount",         "mpx",          "nfsservctl",  "pivot_root",      "prof",       "profil",        "putpmsg",
  "query_module",  "quotactl",     "readdir",     "reboot",          "security",   "setdomainname", "sethostname",
  "settimeofday",  "sgetmask",     "ssetmask",    "stime",           "stty",       "swapoff",       "swapon",
  "sysfs",         "syslog",       "tuxcall",     "ulimit",          "umount",     "umount2",       "uselib",
  "ustat",         "vhangup",      "vserver",
};
/* Of a host's administration, or long gone: neither this program nor what it starts calls one, so that they may be
 * missing without a word. */
static const char *const foreign[] = {
  "_sysctl",    "acct",            "afs_syscall",     "bdflush",       "break",           "create_module",
  "delete_module", "finit_module", "ftime",           "get_kernel_syms", "getpmsg",       "gtty",
  "idle",       "init_module",     "ioperm",          "iopl",          "kexec_file_load", "kexec_load",
  "lock",       "lookup_dcookie",  "mpx",             "nfsservctl",    "pivot_root",      "prof",
  "profil",     "putpmsg",         "query_module",    "reboot",        "security",        "sgetmask",
  "ssetmask",   "stime",           "stty",            "swapoff",       "swapon",          "sysfs",
  "tuxcall",    "ulimit",          "uselib",          "ustat",         "vhangup",         "vm86",
  "vm86old",    "vserver",
};
static const char *const elevation[] = { "setuid",    "setgid",   "setreuid", "setregid",  "setresuid",
                                         "setresgid", "setfsuid", "setfsgid", "setgroups", "setpgid" };
static const char *const spawning[] = { "fork", "vfork", "execve", "execveat" };
/* Libraries call these when it suits them, so they fail and do not kill. */
static const char *const resources[]
    = { "setpriority",   "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr", "ioprio_set",
        "set_mempolicy", "mbind",          "migrate_pages" };

/* What a thread that runs a guest's code never has a reason to call: other processes, the kernel's keys and programs,
 * name spaces, identities. The devices that it reaches do work with files and sockets. */
static const char *const not_of_guests[] = {
  "add_key",     "bpf",      "chroot",           "fsconfig",         "fsmount",        "fsopen",            "fspick",
  "kcmp",        "keyctl",   "mount",            "mount_setattr",    "move_mount",     "move_pages",        "name_to_handle_at",
  "open_tree",   "setns",    "perf_event_open",  "open_by_handle_at", "personality",   "pidfd_getfd",       "process_madvise",
  "ptrace",      "setuid",   "process_vm_readv", "process_vm_writev", "request_key",   "setdomainname",     "setfsgid",
  "setfsuid",    "setgid",   "setgroups",        "sethostname",      "setregid",       "setresgid",         "setresuid",
  "setreuid",    "umount2",  "unshare",          "userfaultfd",
};

static bool
add_rules (scmp_filter_ctx filter, const char *const *names, size_t n, uint32_t action)
{
  for (size_t i = 0; i < n; i++)
    {
      int call = seccomp_syscall_resolve_name (names[i]);
      if (call >= 0 && seccomp_rule_add (filter, action, call, 0) != 0) /* negative: this host has no such call */
        return false;
    }
  return true;
}

/* Threads are made by clone(); the structure of clone3() cannot be looked into, so the C library is told that there
 * is none. */
static bool
add_spawn_rules (scmp_filter_ctx filter)
{
  return add_rules (filter, spawning, G_N_ELEMENTS (spawning), SCMP_ACT_KILL_PROCESS)
         && seccomp_rule_add (filter, SCMP_ACT_ERRNO (ENOSYS), SCMP_SYS (clone3), 0) == 0
         && seccomp_rule_add (filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS (clone), 1,
                              SCMP_A0 (SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0))
                == 0;
}

static bool
fill (scmp_filter_ctx filter, const VmSandbox *box)
{
  return (box->obsolete_allowed || add_rules (filter, obsolete, G_N_ELEMENTS (obsolete), SCMP_ACT_KILL_PROCESS))
         && (!box->no_elevation || add_rules (filter, elevation, G_N_ELEMENTS (elevation), SCMP_ACT_KILL_PROCESS))
         && (!box->no_spawn || add_spawn_rules (filter))
         && (!box->no_resource_control
             || add_rules (filter, resources, G_N_ELEMENTS (resources), SCMP_ACT_ERRNO (EPERM)));
}

/* Without -sandbox. Only where it takes nothing away from children that are allowed to gain privileges: without the
 * privilege to do so the kernel wants no_new_privs. */
static void
enter_quietly (void)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);

  if (filter && seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0
      && seccomp_attr_set (filter, SCMP_FLTATR_CTL_NNP, 0) == 0
      && add_rules (filter, foreign, G_N_ELEMENTS (foreign), SCMP_ACT_ERRNO (ENOSYS)))
    seccomp_load (filter); /* or not: nobody asked for it */
  if (filter)
    seccomp_release (filter);
}

bool
app_enter_sandbox (const VmSandbox *box, GError **error)
{
  if (!box->enable)
    {
      enter_quietly ();
      return true;
    }
  if (box->no_elevation_of_children && prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return vm_fail (error, "failed to set no_new_privs: %s", g_strerror (errno));
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);
  int status = filter ? 0 : -ENOMEM;
  if (!status)
    status = seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1);
  /* Without it the kernel wants no_new_privs, which only elevateprivileges=children or a missing privilege asks for. */
  if (!status && box->enable && !box->no_elevation_of_children && geteuid () == 0)
    status = seccomp_attr_set (filter, SCMP_FLTATR_CTL_NNP, 0);
  if (!status && !fill (filter, box))
    status = -EINVAL;
  if (!status)
    status = seccomp_load (filter);
  if (filter)
    seccomp_release (filter);
  return !status || vm_fail (error, "failed to install seccomp syscall filter in the kernel: %s", g_strerror (-status));
}

void
app_confine_vcpu (void)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);

  if (!filter || (geteuid () == 0 && seccomp_attr_set (filter, SCMP_FLTATR_CTL_NNP, 0) != 0)
      || !add_rules (filter, not_of_guests, G_N_ELEMENTS (not_of_guests), SCMP_ACT_KILL_PROCESS)
      || seccomp_load (filter) != 0)
    vm_report_warning ("-sandbox: the thread of a vCPU has no more than the filter of the whole process");
  if (filter)
    seccomp_release (filter);
}

#else

void
app_confine_vcpu (void)
{
}

bool
app_enter_sandbox (const VmSandbox *box, GError **error)
{
  return !box->enable || vm_fail (error, "-sandbox on: not available in this build");
}

#endif
