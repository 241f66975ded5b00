/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The human monitor: tables of commands, arguments after their specification, help and completion. */
#include "engine/monitor/hmp.h"

#include "engine/base/trace.h"

#include <stdarg.h>

const VmHmpCommand vm_hmp_commands[] = {
  { "announce_self", "interfaces:s? id:s?", "[interfaces] [id]", "Trigger GARP/RARP announcements",
    vm_hmp_announce_self, vm_complete_link },
  { "balloon", "value:M", "target", "request VM to change its memory allocation (in MB)", vm_hmp_balloon },
  { "block_job_cancel", "force:-f device:B", "[-f] device",
    "stop an active background block operation (use -f if you want to abort the operation immediately instead of keep "
    "running until data is in sync)",
    vm_hmp_block_job_cancel, vm_complete_drive },
  { "block_job_complete", "device:B", "device", "stop an active background block operation", vm_hmp_block_job_complete,
    vm_complete_drive },
  { "block_job_pause", "device:B", "device", "pause an active background block operation", vm_hmp_block_job_pause,
    vm_complete_drive },
  { "block_job_resume", "device:B", "device", "resume a paused background block operation", vm_hmp_block_job_resume,
    vm_complete_drive },
  { "block_job_set_speed", "device:B speed:M", "device speed", "set maximum speed for a background block operation",
    vm_hmp_block_job_set_speed, vm_complete_drive },
  { "block_resize", "device:B size:M", "device size", "resize a block image", vm_hmp_block_resize, vm_complete_drive },
  { "block_set_io_throttle", "device:B bps:l bps_rd:l bps_wr:l iops:l iops_rd:l iops_wr:l",
    "device bps bps_rd bps_wr iops iops_rd iops_wr", "change I/O throttle limits for a block drive",
    vm_hmp_block_set_io_throttle, vm_complete_drive },
  { "block_stream", "device:B speed:M? base:s?", "device [speed [base]]",
    "copy data from a backing file into a block "
    "device",
    vm_hmp_block_stream, vm_complete_drive },
  { "boot_set", "bootdevice:s", "bootdevice", "define new values for the boot device list", vm_hmp_boot_set },
  { "calc_dirty_rate", "dirty_ring:-r dirty_bitmap:-b second:l sample_pages_per_GB:l?",
    "[-r] [-b] second [sample_pages_per_GB]",
    "start a round of guest dirty rate measurement (using -r to\n\t\t\t specify dirty ring as the method of "
    "calculation "
    "and\n\t\t\t -b to specify dirty bitmap as method of calculation)",
    vm_hmp_calc_dirty_rate },
  { "cancel_vcpu_dirty_limit", "cpu_index:l?", "[cpu_index]",
    "cancel dirty page rate limit, use cpu_index to cancel\n\t\t\t\t\t limit on a specified virtual cpu",
    vm_hmp_cancel_vcpu_dirty_limit },
  { "change", "force:-f device:B target:F arg:s? read-only-mode:s?", "device [-f] filename [format [read-only-mode]]",
    "change a removable medium, optional format, use -f to force the operation", vm_hmp_change, vm_complete_drive },
  { "chardev-add", "args:S", "args", "add chardev", vm_hmp_chardev_add, vm_complete_chardev_kind },
  { "chardev-change", "id:s args:S", "id args", "change chardev", vm_hmp_chardev_change, vm_complete_chardev },
  { "chardev-remove", "id:s", "id", "remove chardev", vm_hmp_chardev_remove, vm_complete_chardev },
  { "chardev-send-break", "id:s", "id", "send a break on chardev", vm_hmp_chardev_send_break, vm_complete_chardev },
  { "client_migrate_info", "protocol:s hostname:s port:i? tls-port:i? cert-subject:s?",
    "protocol hostname port tls-port cert-subject", "set migration information for remote display",
    vm_hmp_client_migrate_info },
  { "closefd", "fdname:s", "closefd name", "close a file descriptor previously passed via SCM rights", vm_hmp_closefd },
  { "commit", "device:B", "device|all", "commit changes to the disk images (if -snapshot is used) or backing files",
    vm_hmp_commit, vm_complete_drive },
  { "cont|c", "", "", "resume emulation", vm_hmp_cont },
  { "cpu", "index:i", "index", "set the default CPU", vm_hmp_cpu },
  { "delvm", "name:s", "tag", "delete a VM snapshot from its tag", vm_hmp_delvm, vm_complete_snapshot },
  { "device_add", "device:S", "driver[,prop=value][,...]", "add device, like -device on the command line",
    vm_hmp_device_add, vm_complete_device_type },
  { "device_del", "id:s", "device", "remove device", vm_hmp_device_del, vm_complete_device },
  { "drive_add", "node:-n pci_addr:s opts:s",
    "[-n] [[<domain>:]<bus>:]<slot>\n[file=file][,if=type][,bus=n]\n[,unit=m][,media=d][,index=i]\n"
    "[,snapshot=on|off][,cache=on|off]\n[,readonly=on|off][,copy-on-read=on|off]",
    "add drive to PCI storage controller", vm_hmp_drive_add },
  { "drive_backup", "reuse:-n full:-f compress:-c device:B target:F format:s?", "[-n] [-f] [-c] device target [format]",
    "initiates a point-in-time copy for a device", vm_hmp_drive_backup, vm_complete_drive },
  { "drive_del", "id:B", "device", "remove host block device", vm_hmp_drive_del, vm_complete_drive },
  { "drive_mirror", "reuse:-n full:-f device:B target:F format:s?", "[-n] [-f] device target [format]",
    "initiates live storage migration for a device", vm_hmp_drive_mirror, vm_complete_drive },
  { "dump-guest-memory", "paging:-p detach:-d windmp:-w zlib:-z lzo:-l snappy:-s filename:F begin:l? length:l?",
    "[-p] [-d] [-z|-l|-s|-w] filename [begin length]",
    "dump guest memory into file 'filename'.\n\t\t\t-p: do paging to get guest's memory mapping."
    "\n\t\t\t-d: return immediately (do not wait for completion)."
    "\n\t\t\t-z, -l, -s: dump in kdump-compressed format, with zlib, lzo or snappy compression."
    "\n\t\t\t-w: dump in Windows crashdump format (can be used instead of ELF-dump converting),"
    "\n\t\t\t    for Windows x86 and x64 guests with vmcoreinfo driver only."
    "\n\t\t\tbegin: the starting physical address.\n\t\t\tlength: the memory size, in bytes.",
    vm_hmp_dump_guest_memory },
  { "dumpdtb", "filename:F", "filename", "dump the FDT in dtb format to 'filename'", vm_hmp_dumpdtb },
  { "eject", "force:-f device:B", "[-f] device", "eject a removable medium (use -f to force it)", vm_hmp_eject,
    vm_complete_drive },
  { "exit_preconfig", "", "", "exit the preconfig state", vm_hmp_exit_preconfig },
  { "expire_password", "protocol:s time:s display:-ds", "protocol time [-d display]",
    "set spice/vnc password expire-time", vm_hmp_expire_password },
  { "gdbserver", "device:S?", "[device]", "start gdbserver on given device (default 'tcp::1234'), stop with 'none'",
    vm_hmp_gdbserver },
  { "getfd", "fdname:s", "getfd name", "receive a file descriptor via SCM rights and assign it a name", vm_hmp_getfd },
  { "gpa2hpa", "addr:l", "addr", "print the host physical address corresponding to a guest physical address",
    vm_hmp_gpa2hpa },
  { "gpa2hva", "addr:l", "addr", "print the host virtual address corresponding to a guest physical address",
    vm_hmp_gpa2hva },
  { "gva2gpa", "addr:l", "addr", "print the guest physical address corresponding to a guest virtual address",
    vm_hmp_gva2gpa },
  { "help|?", "name:S?", "[cmd]", "show the help", vm_hmp_help, vm_complete_command },
  { "hostfwd_add", "arg1:s arg2:s?", "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
    "redirect TCP or UDP connections from host to guest (requires -net user)", vm_hmp_hostfwd_add, vm_complete_netdev },
  { "hostfwd_remove", "arg1:s arg2:s?", "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
    "remove host-to-guest TCP or UDP redirection", vm_hmp_hostfwd_remove, vm_complete_netdev },
  { "i", "fmt:/ addr:i", "/fmt addr", "I/O port read", vm_hmp_port_in },
  { "info", "item:S?", "[subcommand]", "show various information about the system state", vm_hmp_info,
    vm_complete_info },
  { "loadvm", "name:s", "tag", "restore a VM snapshot from its tag", vm_hmp_loadvm, vm_complete_snapshot },
  { "log", "items:s", "item1[,...]", "activate logging of the specified items", vm_hmp_log },
  { "logfile", "filename:F", "filename", "output logs to 'filename'", vm_hmp_logfile },
  { "mce", "broadcast:-b cpu_index:i bank:i status:l mcg_status:l addr:l misc:l",
    "[-b] cpu bank status mcgstatus addr misc",
    "inject a MCE on the given CPU [and broadcast to other CPUs with -b option]", vm_hmp_mce },
  { "memsave", "val:l size:i filename:F", "addr size file",
    "save to disk virtual memory dump starting at 'addr' of size 'size'", vm_hmp_memsave },
  { "migrate", "detach:-d blk:-b inc:-i resume:-r uri:s", "[-d] [-b] [-i] [-r] uri", "migrate to URI", vm_hmp_migrate },
  { "migrate_cancel", "", "", "cancel the current VM migration", vm_hmp_migrate_cancel },
  { "migrate_incoming", "uri:s", "uri", "Continue an incoming migration from an -incoming defer",
    vm_hmp_migrate_incoming },
  { "migrate_set_capability", "capability:s state:b", "capability state",
    "Enable/Disable the usage of a capability for migration", vm_hmp_migrate_set_capability, vm_complete_capability },
  { "mouse_button", "button_state:i", "state", "change mouse button state (1=L, 2=M, 4=R)", vm_hmp_mouse_button },
  { "mouse_move", "dx_str:s dy_str:s dz_str:s?", "dx dy [dz]", "send mouse move events", vm_hmp_mouse_move },
  { "mouse_set", "index:i", "index", "set which mouse device receives events", vm_hmp_mouse_set },
  { "nbd_server_add", "writable:-w device:B name:s?", "[-w] device [name]", "export a block device via NBD",
    vm_hmp_nbd_server_add, vm_complete_drive },
  { "nbd_server_remove", "force:-f name:s", "[-f] name", "remove an export previously exposed via NBD",
    vm_hmp_nbd_server_remove },
  { "nbd_server_start", "all:-a writable:-w uri:s", "[-a] [-w] host:port",
    "serve block devices on the given host and port", vm_hmp_nbd_server_start },
  { "nbd_server_stop", "", "", "stop serving block devices using the NBD protocol", vm_hmp_nbd_server_stop },
  { "netdev_add", "netdev:S",
    "[user|tap|socket|stream|dgram|vde|bridge|hubport|netmap|vhost-user],id=str[,prop=value][,...]",
    "add host network device", vm_hmp_netdev_add, vm_complete_netdev_kind },
  { "netdev_del", "id:s", "id", "remove host network device", vm_hmp_netdev_del, vm_complete_netdev },
  { "nmi", "", "", "inject an NMI", vm_hmp_nmi },
  { "o", "fmt:/ addr:i val:i", "/fmt addr value", "I/O port write", vm_hmp_port_out },
  { "object_add", "object:S", "[qom-type=]type,id=str[,prop=value][,...]", "create QOM object", vm_hmp_object_add,
    vm_complete_object_type },
  { "object_del", "id:s", "id", "destroy QOM object", vm_hmp_object_del, vm_complete_object },
  { "pmemsave", "val:l size:i filename:F", "addr size file",
    "save to disk physical memory dump starting at 'addr' of size 'size'", vm_hmp_pmemsave },
  { "print|p", "fmt:/ val:l", "/fmt expr", "print expression value (use $reg for CPU register access)", vm_hmp_print },
  { "qemu-io", "qdev:-d device:B command:s", "[-d] [device] \"[command]\"",
    "run a qemu-io command on a block device\n\t\t\t-d: [device] is a device ID rather than a drive ID", vm_hmp_qemu_io,
    vm_complete_drive },
  { "qom-get", "path:s property:s", "path property", "print QOM property", vm_hmp_qom_get, vm_complete_path },
  { "qom-list", "path:s?", "path", "list QOM properties", vm_hmp_qom_list, vm_complete_path },
  { "qom-set", "json:-j path:s property:s value:S", "[-j] path property value",
    "set QOM property.\n\t\t\t -j: the value is specified in json format.", vm_hmp_qom_set, vm_complete_path },
  { "quit|q", "", "", "quit the emulator", vm_hmp_quit },
  { "replay_break", "icount:l", "icount", "set breakpoint at the specified instruction count", vm_hmp_replay_break },
  { "replay_delete_break", "", "", "remove replay breakpoint", vm_hmp_replay_delete_break },
  { "replay_seek", "icount:l", "icount", "replay execution to the specified instruction count", vm_hmp_replay_seek },
  { "ringbuf_read", "device:s size:i", "device size", "Read from a ring buffer character device", vm_hmp_ringbuf_read,
    vm_complete_chardev },
  { "ringbuf_write", "device:s data:s", "device data", "Write to a ring buffer character device", vm_hmp_ringbuf_write,
    vm_complete_chardev },
  { "savevm", "name:s?", "tag", "save a VM snapshot. If no tag is provided, a new snapshot is created", vm_hmp_savevm,
    vm_complete_snapshot },
  { "screendump", "filename:F format:-fs device:s? head:i?", "filename [-f format] [device [head]]",
    "save screen from head 'head' of display device 'device'in specified format 'format' as image 'filename'."
    "Currently only 'png' and 'ppm' formats are supported.",
    vm_hmp_screendump },
  { "sendkey", "keys:s hold-time:i?", "keys [hold_ms]",
    "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)", vm_hmp_sendkey, vm_complete_key },
  { "set_link", "name:s up:b", "name on|off", "change the link status of a network adapter", vm_hmp_set_link,
    vm_complete_link },
  { "set_password", "protocol:s password:s display:-ds connected:s?",
    "protocol password [-d display] [action-if-connected]", "set spice/vnc password", vm_hmp_set_password },
  { "set_vcpu_dirty_limit", "dirty_rate:l cpu_index:l?", "dirty_rate [cpu_index]",
    "set dirty page rate limit, use cpu_index to set limit\n\t\t\t\t\t on a specified virtual cpu",
    vm_hmp_set_vcpu_dirty_limit },
  { "singlestep|one-insn-per-tb", "option:s?", "[on|off]", "run emulation in singlestep mode or switch to normal mode",
    vm_hmp_singlestep },
  { "snapshot_blkdev", "reuse:-n device:B snapshot-file:F? format:s?", "[-n] device [new-image-file] [format]",
    "initiates a live snapshot of device", vm_hmp_snapshot_blkdev, vm_complete_drive },
  { "snapshot_blkdev_internal", "device:B name:s", "device name", "take an internal snapshot of device",
    vm_hmp_snapshot_blkdev_internal, vm_complete_drive },
  { "snapshot_delete_blkdev_internal", "device:B name:s id:s?", "device name [id]",
    "delete an internal snapshot of device", vm_hmp_snapshot_delete_blkdev_internal, vm_complete_drive },
  { "stop|s", "", "", "stop emulation", vm_hmp_stop },
  { "stopcapture", "n:i", "capture index", "stop capture", vm_hmp_stopcapture },
  { "sum", "start:i size:i", "addr size", "compute the checksum of a memory region", vm_hmp_sum },
  { "system_powerdown", "", "", "send system power down event", vm_hmp_system_powerdown },
  { "system_reset", "", "", "reset the system", vm_hmp_system_reset },
  { "system_wakeup", "", "", "wakeup guest from suspend", vm_hmp_system_wakeup },
  { "trace-event", "name:s option:b vcpu:i?", "name on|off [vcpu]",
    "changes status of a specific trace event (vcpu: vCPU to set, default is all)", vm_hmp_trace_event },
  { "watchdog_action", "action:s", "[reset|shutdown|poweroff|pause|debug|none]", "change watchdog action",
    vm_hmp_watchdog_action, vm_complete_watchdog },
  { "wavcapture", "path:F audiodev:s freq:i? bits:i? nchannels:i?", "path audiodev [frequency [bits [channels]]]",
    "capture audio to a wave file (default frequency=44100 bits=16 channels=2)", vm_hmp_wavcapture },
  { "x", "fmt:/ addr:l", "/fmt addr", "virtual memory dump starting at 'addr'", vm_hmp_x },
  { "x_colo_lost_heartbeat", "", "", "Tell COLO that heartbeat is lost,\n\t\t\ta failover or takeover is needed.",
    vm_hmp_x_colo_lost_heartbeat },
  { "xp", "fmt:/ addr:l", "/fmt addr", "physical memory dump starting at 'addr'", vm_hmp_xp },
  { 0 }
};

const VmHmpCommand vm_hmp_info_commands[]
    = { { "balloon", "", "", "show balloon information", vm_hmp_info_balloon },
        { "block", "nodes:-n verbose:-v device:B?", "[-n] [-v] [device]",
          "show info of one block device or all block devices (-n: show named nodes; -v: show details)",
          vm_hmp_info_block, vm_complete_drive },
        { "block-jobs", "", "", "show progress of ongoing block device operations", vm_hmp_info_block_jobs },
        { "blockstats", "", "", "show block device statistics", vm_hmp_info_blockstats },
        { "capture", "", "", "show capture information", vm_hmp_info_capture },
        { "chardev", "", "", "show the character devices", vm_hmp_info_chardev },
        { "cpus", "", "", "show infos for each CPU", vm_hmp_info_cpus },
        { "dirty_rate", "", "", "show dirty rate information", vm_hmp_info_dirty_rate },
        { "dump", "", "", "Display the latest dump status", vm_hmp_info_dump },
        { "history", "", "", "show the command line history", vm_hmp_info_history },
        { "hotpluggable-cpus", "", "", "Show information about hotpluggable CPUs", vm_hmp_info_hotpluggable },
        { "iothreads", "", "", "show iothreads", vm_hmp_info_iothreads },
        { "irq", "", "", "show the interrupts statistics (if available)", vm_hmp_info_irq },
        { "jit", "", "", "show dynamic compiler info", vm_hmp_info_jit },
        { "kvm", "", "", "show KVM information", vm_hmp_info_kvm },
        { "lapic", "apic-id:i?", "[apic-id]",
          "show local apic state (apic-id: local apic to read, default is which of current CPU)", vm_hmp_info_lapic },
        { "mem", "", "", "show the active virtual memory mappings", vm_hmp_info_mem },
        { "memdev", "", "", "show memory backends", vm_hmp_info_memdev },
        { "memory-devices", "", "", "show memory devices", vm_hmp_info_memory_devices },
        { "memory_size_summary", "", "",
          "show the amount of initially allocated and present hotpluggable (if enabled) memory in bytes.",
          vm_hmp_info_memory_size },
        { "mice", "", "", "show which guest mouse is receiving events", vm_hmp_info_mice },
        { "migrate", "", "", "show migration status", vm_hmp_info_migrate },
        { "migrate_capabilities", "", "", "show current migration capabilities", vm_hmp_info_migrate_capabilities },
        { "mtree", "flatview:-f dispatch_tree:-d owner:-o disabled:-D", "[-f][-d][-o][-D]",
          "show memory tree (-f: dump flat view for address spaces)", vm_hmp_info_mtree },
        { "name", "", "", "show the current VM name", vm_hmp_info_name },
        { "network", "", "", "show the network state", vm_hmp_info_network },
        { "numa", "", "", "show NUMA information", vm_hmp_info_numa },
        { "pci", "", "", "show PCI info", vm_hmp_info_pci },
        { "pic", "", "", "show PIC state", vm_hmp_info_pic },
        { "qdm", "", "", "show qdev device model list", vm_hmp_info_qdm },
        { "qom-tree", "path:s?", "[path]", "show QOM composition tree", vm_hmp_info_qom_tree, vm_complete_path },
        { "qtree", "", "", "show device tree", vm_hmp_info_qtree },
        { "ramblock", "", "", "Display system ramblock information", vm_hmp_info_ramblock },
        { "registers", "cpustate_all:-a vcpu:i?", "[-a|vcpu]",
          "show the cpu registers (-a: show register info for all cpus; vcpu: specific vCPU to query; show the current "
          "CPU's registers if no argument is specified)",
          vm_hmp_info_registers },
        { "replay", "", "", "show record/replay information", vm_hmp_info_replay },
        { "roms", "", "", "show roms", vm_hmp_info_roms },
        { "sev", "", "", "show SEV information", vm_hmp_info_sev },
        { "sgx", "", "", "show intel SGX information", vm_hmp_info_sgx },
        { "snapshots", "", "", "show the currently saved VM snapshots", vm_hmp_info_snapshots },
        { "spice", "", "", "show the spice server status", vm_hmp_info_spice },
        { "stats", "target:s names:s? provider:s?", "target [names] [provider]",
          "show statistics for the given target (vm or vcpu); optionally filter byname (comma-separated list, or * for "
          "all) and provider",
          vm_hmp_info_stats },
        { "status", "", "", "show the current VM status (running|paused)", vm_hmp_info_status },
        { "tlb", "", "", "show virtual to physical memory mappings", vm_hmp_info_tlb },
        { "tpm", "", "", "show the TPM device", vm_hmp_info_tpm },
        { "trace-events", "name:s? vcpu:i?", "[name] [vcpu]",
          "show available trace-events & their state (name: event name pattern; vcpu: vCPU to query, default is any)",
          vm_hmp_info_trace_events },
        { "usernet", "", "", "show user network stack connection states", vm_hmp_info_usernet },
        { "uuid", "", "", "show the current VM UUID", vm_hmp_info_uuid },
        { "vcpu_dirty_limit", "", "", "show dirty page limit information of all vCPU", vm_hmp_info_vcpu_dirty_limit },
        { "version", "", "", "show the version", vm_hmp_info_version },
        { "virtio", "", "", "List all available virtio devices", vm_hmp_info_virtio },
        { "virtio-queue-element", "path:s queue:i index:i?", "path queue [index]",
          "Display element of a given virtio queue", vm_hmp_info_virtio_queue_element, vm_complete_path },
        { "virtio-queue-status", "path:s queue:i", "path queue", "Display status of a given virtio queue",
          vm_hmp_info_virtio_queue_status, vm_complete_path },
        { "virtio-status", "path:s", "path", "Display status of a given virtio device", vm_hmp_info_virtio_status,
          vm_complete_path },
        { "virtio-vhost-queue-status", "path:s queue:i", "path queue", "Display status of a given vhost queue",
          vm_hmp_info_virtio_vhost_queue_status, vm_complete_path },
        { "vm-generation-id", "", "", "Show Virtual Machine Generation ID", vm_hmp_info_generation_id },
        { "vnc", "", "", "show the vnc server status", vm_hmp_info_vnc },
        { 0 } };

/* --- look-ups --- */

static bool
name_matches (const char *names, const char *name)
{
  g_auto (GStrv) all = g_strsplit (names, "|", -1);

  return g_strv_contains ((const char *const *) all, name);
}

const VmHmpCommand *
vm_hmp_find (const VmHmpCommand *table, const char *name)
{
  for (; table->name; table++)
    if (name_matches (table->name, name))
      return table;
  return NULL;
}

const VmHmpArg *
vm_hmp_arg (const VmHmpArgs *args, const char *name)
{
  for (unsigned i = 0; i < args->n; i++)
    {
      const VmHmpArg *a = &args->args[i];
      if (a->given && strlen (name) == a->name_len && !strncmp (a->name, name, a->name_len))
        return a;
    }
  return NULL;
}

const char *
vm_hmp_text (const VmHmpArgs *args, const char *name)
{
  const VmHmpArg *a = vm_hmp_arg (args, name);

  return a ? a->text : NULL;
}

int64_t
vm_hmp_number (const VmHmpArgs *args, const char *name, int64_t otherwise)
{
  const VmHmpArg *a = vm_hmp_arg (args, name);

  return a ? a->number : otherwise;
}

bool
vm_hmp_flag (const VmHmpArgs *args, const char *name)
{
  return vm_hmp_arg (args, name) != NULL;
}

/* --- arguments --- */

static const char *
skip_space (const char *p)
{
  while (g_ascii_isspace (*p))
    p++;
  return p;
}

/* A word, or a quoted string with backslash escapes. */
static char *
take_word (const char **text, GError **error)
{
  const char *p = skip_space (*text);
  GString *out = g_string_new (NULL);

  if (*p == '"')
    {
      for (p++; *p && *p != '"'; p++)
        {
          if (*p == '\\')
            {
              p++;
              if (!*p || !strchr ("nr\\'\"", *p))
                {
                  vm_fail (error, "unsupported escape code: '\\%c'", *p ? *p : ' ');
                  g_string_free (out, TRUE);
                  return NULL;
                }
              g_string_append_c (out, *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p);
            }
          else
            {
              g_string_append_c (out, *p);
            }
        }
      if (*p != '"')
        {
          vm_fail (error, "unterminated string");
          g_string_free (out, TRUE);
          return NULL;
        }
      p++;
    }
  else
    {
      while (*p && !g_ascii_isspace (*p))
        g_string_append_c (out, *p++);
    }
  *text = p;
  return g_string_free (out, FALSE);
}

/* "/4xw": count, format letter and size letter in any order. */
static bool
take_format (VmMonitor *mon, const char *command, const char **text, VmHmpArgs *args, GError **error)
{
  const char *p = skip_space (*text);

  args->count = 1;
  args->format = 0;
  args->size = 0;
  if (*p == '/')
    {
      p++;
      if (g_ascii_isdigit (*p))
        {
          guint64 count = g_ascii_strtoull (p, (char **) &p, 10);
          args->count = CLAMP (count, 1, 1 << 20);
        }
      for (; *p && !g_ascii_isspace (*p); p++)
        {
          if (strchr ("oduxci", *p))
            args->format = *p;
          else if (strchr ("bhwgL", *p))
            args->size = *p == 'b' ? 1 : *p == 'h' ? 2 : *p == 'w' ? 4 : 8;
          else
            return vm_fail (error, "invalid char in format: '%c'", *p);
        }
    }
  *text = p;
  /* "print" stands for itself; the others go on with what the last one used. */
  if (*command == 'p')
    return true;
  if (args->format)
    mon->all->x_format = args->format;
  if (args->size)
    mon->all->x_size = args->size;
  args->format = mon->all->x_format ? mon->all->x_format : 'x';
  args->size = mon->all->x_size ? mon->all->x_size : 4;
  return true;
}

static bool
take_number (VmMonitor *mon, const char **text, const char *kind, VmHmpArg *a, GError **error)
{
  if (!vm_hmp_expression (mon, text, &a->number, error))
    return false;
  if (*kind == 'i' && (a->number >> 32) != 0 && (a->number >> 31) != -1)
    return vm_fail (error, "integer is for 32-bit values");
  return true;
}

/* A size with an optional suffix; a bare number counts MiB. */
static bool
take_megabytes (const char **text, VmHmpArg *a, GError **error)
{
  g_autofree char *word = take_word (text, error);
  uint64_t size;

  if (!word || !vm_parse_size (word, 'M', &size, NULL) || size > INT64_MAX)
    return word ? vm_fail (error, "invalid size") : false;
  a->number = (int64_t) size;
  return true;
}

static bool
take_switch (const char **text, VmHmpArg *a, GError **error)
{
  g_autofree char *word = take_word (text, error);

  if (!word)
    return false;
  if (strcmp (word, "on") != 0 && strcmp (word, "off") != 0)
    return vm_fail (error, "Expected 'on' or 'off'");
  a->number = !strcmp (word, "on");
  return true;
}

static bool
take_flag (const char **text, const char *kind, VmHmpArg *a, GError **error)
{
  const char *p = skip_space (*text);

  if (p[0] != '-' || p[1] != kind[1] || (p[2] && !g_ascii_isspace (p[2])))
    return true;
  *text = p + 2;
  a->given = true;
  if (kind[2] != 's')
    return true;
  *text = skip_space (*text);
  return **text ? (a->text = take_word (text, error)) != NULL : vm_fail (error, "-%c needs an argument", kind[1]);
}

static bool
take_arg (VmMonitor *mon, const char *command, const char **text, const char *kind, bool optional, VmHmpArgs *args,
          VmHmpArg *a, GError **error)
{
  if (*kind == '/')
    return take_format (mon, command, text, args, error);
  if (*kind == '-')
    return take_flag (text, kind, a, error);
  *text = skip_space (*text);
  bool is_text = strchr ("sSFB", *kind) != NULL;
  if (!**text && (optional || is_text))
    {
      if (optional)
        return true;
      return vm_fail (error, "%s: %s expected", command, *kind == 'F' ? "filename" : *kind == 'B' ? "block device name" : "string");
    }
  a->given = true;
  switch (*kind)
    {
    case 'S':
      a->text = g_strdup (*text);
      *text += strlen (*text);
      return true;
    case 'b':
      return take_switch (text, a, error);
    case 'M':
      return take_megabytes (text, a, error);
    case 'i':
    case 'l':
      return take_number (mon, text, kind, a, error);
    default:
      return (a->text = take_word (text, error)) != NULL;
    }
}

static bool
parse_args (VmMonitor *mon, const VmHmpCommand *command, const char *name, const char *text, VmHmpArgs *args,
            GError **error)
{
  g_auto (GStrv) items = g_strsplit (command->spec, " ", -1);

  for (char **item = items; *item && **item; item++)
    {
      const char *kind = strchr (*item, ':') + 1;
      VmHmpArg *a = &args->args[args->n++];
      a->name = strstr (command->spec, *item); /* lives as long as the table */
      a->name_len = kind - 1 - *item;
      if (!take_arg (mon, name, &text, kind, g_str_has_suffix (*item, "?"), args, a, error))
        return false;
    }
  text = skip_space (text);
  return !*text || vm_fail (error, "%s: extraneous characters at the end of line", name);
}

/* Needs no machine. */
static bool
is_early (const char *prefix, const char *name)
{
  static const char *const commands[] = { "closefd", "exit_preconfig", "getfd", "help", "?", "info", "object_add",
                                          "object_del", "qom-get", "qom-list", "qom-set", "quit", "q", NULL };
  static const char *const items[] = { "chardev", "history", "hotpluggable-cpus", "iothreads", "memdev", "name",
                                       "qdm", "qom-tree", "status", "uuid", "version", NULL };

  return g_strv_contains (*prefix ? items : commands, name);
}

static void
run_in_table (VmMonitor *mon, const VmHmpCommand *table, const char *prefix, const char *line)
{
  const char *p = skip_space (line);
  size_t len = 0;

  while (p[len] && !g_ascii_isspace (p[len]) && (p[len] != '/' || !len))
    len++;
  if (!len)
    return;
  g_autofree char *name = g_strndup (p, len);
  const VmHmpCommand *command = vm_hmp_find (table, name);
  if (!command)
    {
      vm_monitor_printf (mon, "unknown command: '%s%s'\n", prefix, name);
      return;
    }
  if (vm_machine_in_preconfig (mon->machine) && !is_early (prefix, name))
    {
      vm_monitor_printf (mon, "Command '%s%s' not available until machine initialization has completed.\n", prefix, name);
      return;
    }
  g_autoptr (GError) error = NULL;
  VmHmpArgs args = { 0 };
  if (parse_args (mon, command, name, p + len, &args, &error))
    command->func (mon, &args);
  else
    vm_monitor_printf (mon, "%s\nTry \"help %s%s\" for more information\n", error->message, prefix, name);
  for (unsigned i = 0; i < args.n; i++)
    g_free (args.args[i].text);
}

void
vm_hmp_run (VmMonitor *mon, const char *line)
{
  vm_trace (HMP_COMMAND, "%s", line);
  if (*skip_space (line) != '#')
    run_in_table (mon, vm_hmp_commands, "", line);
}

void
vm_hmp_info (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *item = vm_hmp_text (args, "item");

  if (item)
    run_in_table (mon, vm_hmp_info_commands, "info ", item);
  else
    vm_hmp_run (mon, "help info");
}

/* --- help --- */

static void
print_help (VmMonitor *mon, const VmHmpCommand *c, const char *prefix)
{
  vm_monitor_printf (mon, "%s%s %s -- %s\n", prefix, c->name, c->params, c->help);
}

void
vm_hmp_help (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *topic = vm_hmp_text (args, "name");
  g_auto (GStrv) words = g_strsplit (topic ? topic : "", " ", 2);
  bool info = words[0] && !strcmp (words[0], "info");

  if (!topic || (info && !words[1]))
    {
      const char *prefix = topic ? "info " : "";
      for (const VmHmpCommand *c = topic ? vm_hmp_info_commands : vm_hmp_commands; c->name; c++)
        print_help (mon, c, prefix);
      return;
    }
  const char *name = info ? words[1] : words[0];
  const VmHmpCommand *c = vm_hmp_find (info ? vm_hmp_info_commands : vm_hmp_commands, name);
  if (c)
    print_help (mon, c, info ? "info " : "");
  else
    vm_monitor_printf (mon, "unknown command: '%s'\n", topic);
}

/* --- for the commands --- */

char *
vm_hmp_quote (const char *text)
{
  json_object *string = json_object_new_string (text);
  char *out = g_strdup (json_object_to_json_string_ext (string, JSON_C_TO_STRING_NOSLASHESCAPE));

  json_object_put (string);
  return out;
}

json_object *
vm_hmp_qmp (VmMonitor *mon, const char *command, const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  json_object *arguments = NULL;

  if (format)
    {
      va_list args;
      va_start (args, format);
      g_autofree char *text = g_strdup_vprintf (format, args);
      va_end (args);
      arguments = json_tokener_parse (text);
    }
  json_object *result = vm_monitor_execute (mon, command, arguments, &error);
  json_object_put (arguments);
  if (!result)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
  return result;
}

/* --- a terminal --- */

void
vm_hmp_opened (VmMonitor *mon)
{
  vm_monitor_printf (mon, "QEMU 9.1.50 monitor - type 'help' for more information\n");
  if (!mon->line)
    mon->line = vm_line_new ();
  vm_line_show_prompt (mon->line, mon);
}

void
vm_hmp_receive (VmMonitor *mon, const uint8_t *buf, size_t len)
{
  if (!mon->line)
    mon->line = vm_line_new ();
  for (size_t i = 0; i < len; i++)
    {
      g_autofree char *line = vm_line_input (mon->line, mon, buf[i]);
      if (!line)
        continue;
      vm_hmp_run (mon, line);
      vm_line_show_prompt (mon->line, mon);
    }
}

void
vm_hmp_free (VmMonitor *mon)
{
  vm_line_free (mon->line);
}
