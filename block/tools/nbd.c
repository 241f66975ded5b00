/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-nbd: serves an image to NBD clients, on a TCP port or a UNIX socket. */
#include "block/protocols/nbd-protocol.h"
#include "block/tools/nbd-client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum
{
  HANDSHAKE_S = 10,
  FIRST_INHERITED_FD = 3 /* sd_listen_fds(3) */
};

typedef struct Nbd
{
  VmTool *tool;
  VmToolOpen how;
  const char *port, *address, *socket, *name, *description, *pid_file, *snapshot, *device;
  const char *tls_creds, *tls_hostname, *tls_authz, *selinux_label;
  GArray *bitmaps; /* VmNbdBitmap */
  VmTlsCreds *creds;
  unsigned shared;
  uint64_t offset;
  bool readonly, persistent, overlay, depth, verbose, list, disconnect, inherited, cache_given;
  VmNbdDevice *kernel;
  VmNbdServer *server;
  bool served, stop; /* SERVED: there was a client */
  VmFiber *waiting;
} Nbd;

enum
{
  OPTION_OBJECT = 256,
  OPTION_IMAGE_OPTS,
  OPTION_CACHE,
  OPTION_AIO,
  OPTION_DISCARD,
  OPTION_DETECT_ZEROES,
  OPTION_FORK,
  OPTION_PID_FILE,
  OPTION_TLS_CREDS,
  OPTION_TLS_HOSTNAME,
  OPTION_TLS_AUTHZ,
  OPTION_SELINUX_LABEL,
};

static void
print_usage (VmTool *tool)
{
  printf ("Usage: %s [OPTIONS] FILE\n"
          "Disk Network Block Device Utility\n\n"
          "  -h, --help                display this help and exit\n"
          "  -V, --version             output version information and exit\n\n"
          "Connection properties:\n"
          "  -p, --port=PORT           port to listen on (default '" NBD_PORT "')\n"
          "  -b, --bind=IFACE          interface to bind to (default '0.0.0.0')\n"
          "  -k, --socket=PATH         path to the unix socket\n"
          "  -e, --shared=NUM          device can be shared by NUM clients (default '1', 0: any number)\n"
          "  -t, --persistent          don't exit on the last connection\n"
          "  -v, --verbose             tell of clients\n"
          "  -x, --export-name=NAME    expose export by name (default is empty string)\n"
          "  -D, --description=TEXT    export a human-readable description\n\n"
          "Exposing part of the image:\n"
          "  -o, --offset=OFFSET       offset into the image\n"
          "  -A, --allocation-depth    expose the allocation depth\n"
          "  -B, --bitmap=NAME         expose a persistent dirty bitmap\n\n"
          "Kernel NBD client support:\n"
          "  -c, --connect=DEV         connect FILE to the local NBD device DEV\n"
          "  -d, --disconnect          disconnect the specified device\n\n"
          "General purpose options:\n"
          "  -L, --list                list exports available from another NBD server\n"
          "  --object type,id=ID,...   define an object such as 'secret' for providing\n"
          "                            passwords and/or encryption keys\n"
          "  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
          "                            specify tracing options\n"
          "  --tls-creds=ID            use id of an earlier --object to provide TLS\n"
          "  --tls-authz=ID            use id of an earlier --object to provide authorization\n"
          "  --tls-hostname=HOSTNAME   override hostname used to check x509 certificate\n"
          "  --fork                    fork off the server process and exit the parent\n"
          "                            once the server is running\n"
          "  --pid-file=PATH           store the server's process ID in the given file\n"
          "  --selinux-label=LABEL     set SELinux process label on listening socket\n\n"
          "Block device options:\n"
          "  -f, --format=FORMAT       set image format (raw, qcow2, ...)\n"
          "  -r, --read-only           export read-only\n"
          "  -s, --snapshot            use FILE as an external snapshot: what is written is dropped\n"
          "  -l, --load-snapshot=SNAPSHOT_PARAM\n"
          "                            export an internal snapshot, by id or name\n"
          "  -n, --nocache             disable host cache\n"
          "      --cache=MODE          set cache mode used to access the disk image\n"
          "      --aio=MODE            set AIO mode (native, io_uring or threads)\n"
          "      --discard=MODE        set discard mode (ignore, unmap)\n"
          "      --detect-zeroes=MODE  set detect-zeroes mode (off, on, unmap)\n"
          "      --image-opts          treat FILE as a full set of image options\n",
          tool->program);
}

/* --- serving ---------------------------------------------------------------------------------------------------------
 */

static void
on_change (void *opaque)
{
  Nbd *n = opaque;
  unsigned clients = vm_nbd_server_connections (n->server);

  n->served |= clients > 0;
  if (n->verbose)
    fprintf (stderr, "%s: %u clients\n", n->tool->program, clients);
  if (!clients && n->served && !n->persistent && !n->device && !n->stop)
    {
      n->stop = true;
      vm_fiber_wake (n->waiting);
    }
}

static void
on_kernel_gone (void *opaque)
{
  Nbd *n = opaque;

  if (n->stop)
    return;
  n->stop = true;
  vm_fiber_wake (n->waiting);
}

static bool
on_signal (int fd, GIOCondition condition, void *opaque)
{
  struct signalfd_siginfo info;
  Nbd *n = opaque;

  if (read (fd, &info, sizeof info) == sizeof info && !n->stop)
    {
      n->stop = true;
      vm_fiber_wake (n->waiting);
    }
  return true;
}

static void
end_signals (sigset_t *set)
{
  sigemptyset (set);
  sigaddset (set, SIGTERM);
  sigaddset (set, SIGINT);
  sigaddset (set, SIGHUP);
}

static bool
write_pid (Nbd *n)
{
  g_autofree char *text = g_strdup_printf ("%d\n", (int) getpid ());
  GError *error = NULL;

  return g_file_set_contents (n->pid_file, text, -1, &error)
         || vm_tool_error (n->tool, error, "Could not create '%s'", n->pid_file);
}

/* The parent of --fork may go. */
static void
say_ready (VmTool *tool)
{
  int *ready = tool->opaque, null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  if (*ready < 0)
    return;
  if (write (*ready, "", 1) != 1)
    g_warning ("the parent has gone");
  close (*ready);
  *ready = -1;
  for (int fd = 0; null >= 0 && fd < 3; fd++)
    dup2 (null, fd);
  if (null >= 0)
    close (null);
}

static VmSocketAddr *
address_of (const Nbd *n)
{
  return n->socket ? vm_socket_addr_new_unix (n->socket)
                   : vm_socket_addr_new_inet (n->address ? n->address
                                              : n->list  ? "localhost"
                                                         : "0.0.0.0",
                                              n->port ? n->port : NBD_PORT);
}

/* The label of the sockets that this thread makes from now on (proc(5), "attr/sockcreate"); "": its own again. */
static bool
label_sockets (const Nbd *n, const char *label)
{
  int fd = open ("/proc/thread-self/attr/sockcreate", O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write (fd, label, strlen (label)) == (ssize_t) strlen (label);
  int why = errno;

  if (fd >= 0)
    close (fd);
  return ok
         || vm_tool_error (n->tool, NULL, "Cannot set SELinux socket create context to '%s': %s", label,
                           g_strerror (why));
}

/* Those who may come: whoever connects, or the kernel. */
static bool
open_doors (Nbd *n)
{
  g_autoptr (VmSocketAddr) addr = NULL;
  GError *error = NULL;
  int fd;

  if (n->device)
    {
      n->kernel = vm_nbd_device_connect (n->tool, n->server, n->name, n->device, on_kernel_gone, n);
      return n->kernel != NULL;
    }
  if (n->inherited)
    {
      fcntl (FIRST_INHERITED_FD, F_SETFL, fcntl (FIRST_INHERITED_FD, F_GETFL) | O_NONBLOCK);
      vm_nbd_server_listen (n->server, FIRST_INHERITED_FD, NULL);
      return true;
    }
  addr = address_of (n);
  if (n->selinux_label && !label_sockets (n, n->selinux_label))
    return false;
  fd = vm_socket_listen (addr, &error);
  if (fd < 0)
    return vm_tool_error (n->tool, error, "%s", "");
  if (n->selinux_label && !label_sockets (n, ""))
    {
      close (fd);
      return false;
    }
  vm_nbd_server_listen (n->server, fd, g_steal_pointer (&addr));
  return true;
}

static int
serve (Nbd *n, VmNode *node)
{
  VmNbdServerOptions how = { .limit = n->shared,
                             .handshake_s = HANDSHAKE_S,
                             .creds = n->creds,
                             .authz = n->tls_authz,
                             .changed = on_change,
                             .opaque = n };
  VmNbdExportOptions o = { .name = n->name,
                           .description = n->description,
                           .node = node,
                           .writable = !n->readonly,
                           .share = VM_PERM_READ | VM_PERM_UNCHANGED,
                           .allocation_depth = n->depth,
                           .bitmaps = (const VmNbdBitmap *) (void *) n->bitmaps->data,
                           .n_bitmaps = n->bitmaps->len };
  GError *error = NULL;
  sigset_t set;

  n->server = vm_nbd_server_new (n->tool->graph, &how);
  if (!vm_nbd_server_add (n->server, &o, &error))
    return !vm_tool_error (n->tool, error, "%s", "");
  n->waiting = vm_fiber_self ();
  end_signals (&set);
  int signals = signalfd (-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  GSource *watch = vm_loop_watch_fd (vm_graph_loop (n->tool->graph), signals, G_IO_IN, on_signal, n);
  bool ok = open_doors (n), has_pid = ok && n->pid_file && write_pid (n);
  ok = ok && (!n->pid_file || has_pid);
  if (ok)
    {
      say_ready (n->tool);
      while (!n->stop)
        vm_fiber_suspend ();
    }
  vm_source_clear (&watch);
  close (signals);
  n->stop = true;
  if (n->kernel)
    vm_nbd_device_disconnect (n->kernel);
  if (has_pid)
    unlink (n->pid_file);
  return !ok;
}

/* A window on the image from an offset. */
static VmNode *
put_window (Nbd *n, VmNode *node, GError **error)
{
  json_object *options = json_object_new_object ();
  g_autofree char *offset = g_strdup_printf ("%" G_GUINT64_FORMAT, n->offset);
  VmNode *window;

  json_object_object_add (options, "driver", json_object_new_string ("raw"));
  json_object_object_add (options, "offset", json_object_new_string (offset));
  json_object_object_add (options, "file", json_object_new_string (node->name));
  window = vm_node_open (n->tool->graph, options, VM_SCHEMA_TEXT, n->readonly ? VM_OPEN_READONLY : 0, error);
  json_object_put (options);
  return window;
}

static int
run_nbd (Nbd *n)
{
  VmToolImage image = { NULL };
  VmNode *node, *window = NULL;
  GError *error = NULL;
  int status = 1;

  n->how.write = !n->readonly && !n->overlay;
  if (!vm_tool_try_open (n->tool, &n->how, &image, &error))
    return !vm_tool_error (n->tool, error, "Failed to blk_new_open '%s'", n->how.name);
  node = image.node;
  if (n->snapshot && !vm_tool_load_snapshot (n->tool, node, n->snapshot))
    goto out;
  vm_edge_set_perms (image.root, 0, VM_PERM_ALL, NULL); /* the export wants them */
  if (n->overlay)
    node = window = vm_tool_put_overlay (n->tool, node, &error);
  else if (n->offset)
    node = window = put_window (n, node, &error);
  if (!node)
    {
      vm_tool_error (n->tool, error, "%s", "");
      goto out;
    }
  status = serve (n, node);
  vm_nbd_server_free (n->server);
out:
  if (window)
    vm_node_unref (window);
  vm_tool_close (&image);
  return status;
}

/* --- the command line ------------------------------------------------------------------------- */

static int
take_shared (Nbd *n, const char *text)
{
  char *end;
  guint64 number = g_ascii_strtoull (text, &end, 0);

  if (!*text || *end || number > INT32_MAX)
    return !vm_tool_error (n->tool, NULL, "Invalid shared device number '%s'", text);
  n->shared = (unsigned) number;
  return -1;
}

static int
take_member (Nbd *n, const char *name, const char *text)
{
  if (!n->how.options)
    n->how.options = json_object_new_object ();
  json_object_object_add (n->how.options, name, json_object_new_string (text));
  return -1;
}

static int
take_cache (Nbd *n, const char *text)
{
  if (n->cache_given)
    return !vm_tool_error (n->tool, NULL, "-n and --cache can only be specified once");
  n->cache_given = true;
  return vm_tool_parse_cache (text, &n->how.cache)
             ? -1
             : !vm_tool_error (n->tool, NULL, "Invalid cache mode `%s'", text);
}

static int
take_discard (Nbd *n, const char *text)
{
  const char *mode = !strcmp (text, "on") ? "unmap" : !strcmp (text, "off") ? "ignore" : text;

  return !strcmp (mode, "unmap") || !strcmp (mode, "ignore")
             ? take_member (n, "discard", mode)
             : !vm_tool_error (n->tool, NULL, "Invalid discard mode `%s'", text);
}

static int
take_offset (Nbd *n, const char *text)
{
  g_autoptr (GError) why = NULL;

  return vm_parse_size_param ("offset", text, 'B', &n->offset, &why) && n->offset <= INT64_MAX
             ? -1
             : !vm_tool_error (n->tool, NULL, "Invalid offset '%s'", text);
}

/* -1: go on; else the exit status. */
static int
take_option (Nbd *n, int c)
{
  switch (c)
    {
    case 'h':
      print_usage (n->tool);
      return 0;
    case 'V':
      vm_tool_print_version (n->tool);
      return 0;
    case 's':
      n->overlay = true;
      return -1;
    case 'l':
      n->snapshot = optarg;
      n->readonly = true;
      return -1;
    case 'n':
      return take_cache (n, "none");
    case OPTION_CACHE:
      return take_cache (n, optarg);
    case OPTION_AIO:
      n->how.aio = optarg;
      return !strcmp (optarg, "threads") || !strcmp (optarg, "native") || !strcmp (optarg, "io_uring")
                 ? -1
                 : !vm_tool_error (n->tool, NULL, "Invalid aio mode '%s'", optarg);
    case OPTION_DISCARD:
      return take_discard (n, optarg);
    case OPTION_DETECT_ZEROES:
      return take_member (n, "detect-zeroes", optarg);
    case 'b':
      n->address = optarg;
      return -1;
    case 'p':
      n->port = optarg;
      return -1;
    case 'o':
      return take_offset (n, optarg);
    case 'k':
      n->socket = optarg;
      return -1;
    case 'r':
      n->readonly = true;
      return -1;
    case 'A':
      n->depth = true;
      return -1;
    case 'B':
      g_array_append_val (n->bitmaps, ((VmNbdBitmap){ NULL, optarg }));
      return -1;
    case 'e':
      return take_shared (n, optarg);
    case 'f':
      n->how.format = optarg;
      return -1;
    case 't':
      n->persistent = true;
      return -1;
    case 'x':
      n->name = optarg;
      return -1;
    case 'D':
      n->description = optarg;
      return -1;
    case 'v':
      n->verbose = true;
      return -1;
    case 'T':
      return vm_tool_trace (n->tool, optarg) ? -1 : 1;
    case OPTION_OBJECT:
      return vm_tool_add_object (n->tool, optarg) ? -1 : 1;
    case OPTION_IMAGE_OPTS:
      n->how.image_opts = true;
      return -1;
    case OPTION_PID_FILE:
      n->pid_file = optarg;
      return -1;
    case OPTION_FORK: /* main() has done it */
      return -1;
    case 'c':
      n->device = optarg;
      return -1;
    case 'd':
      n->disconnect = true;
      return -1;
    case 'L':
      n->list = true;
      return -1;
    case OPTION_TLS_CREDS:
      n->tls_creds = optarg;
      return -1;
    case OPTION_TLS_HOSTNAME:
      n->tls_hostname = optarg;
      return -1;
    case OPTION_TLS_AUTHZ:
      n->tls_authz = optarg;
      return -1;
    case OPTION_SELINUX_LABEL:
      n->selinux_label = optarg;
      return -1;
    default:
      return 1;
    }
}

static const struct option long_options[] = { { "help", no_argument, NULL, 'h' },
                                              { "version", no_argument, NULL, 'V' },
                                              { "port", required_argument, NULL, 'p' },
                                              { "bind", required_argument, NULL, 'b' },
                                              { "socket", required_argument, NULL, 'k' },
                                              { "offset", required_argument, NULL, 'o' },
                                              { "read-only", no_argument, NULL, 'r' },
                                              { "allocation-depth", no_argument, NULL, 'A' },
                                              { "bitmap", required_argument, NULL, 'B' },
                                              { "connect", required_argument, NULL, 'c' },
                                              { "disconnect", no_argument, NULL, 'd' },
                                              { "list", no_argument, NULL, 'L' },
                                              { "snapshot", no_argument, NULL, 's' },
                                              { "load-snapshot", required_argument, NULL, 'l' },
                                              { "nocache", no_argument, NULL, 'n' },
                                              { "cache", required_argument, NULL, OPTION_CACHE },
                                              { "aio", required_argument, NULL, OPTION_AIO },
                                              { "discard", required_argument, NULL, OPTION_DISCARD },
                                              { "detect-zeroes", required_argument, NULL, OPTION_DETECT_ZEROES },
                                              { "shared", required_argument, NULL, 'e' },
                                              { "format", required_argument, NULL, 'f' },
                                              { "persistent", no_argument, NULL, 't' },
                                              { "verbose", no_argument, NULL, 'v' },
                                              { "object", required_argument, NULL, OPTION_OBJECT },
                                              { "export-name", required_argument, NULL, 'x' },
                                              { "description", required_argument, NULL, 'D' },
                                              { "tls-creds", required_argument, NULL, OPTION_TLS_CREDS },
                                              { "tls-hostname", required_argument, NULL, OPTION_TLS_HOSTNAME },
                                              { "tls-authz", required_argument, NULL, OPTION_TLS_AUTHZ },
                                              { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
                                              { "trace", required_argument, NULL, 'T' },
                                              { "fork", no_argument, NULL, OPTION_FORK },
                                              { "pid-file", required_argument, NULL, OPTION_PID_FILE },
                                              { "selinux-label", required_argument, NULL, OPTION_SELINUX_LABEL },
                                              { NULL } };

/* A socket that whoever started the program listens on; -1: more than one. */
static int
inherited_sockets (void)
{
  const char *pid = g_getenv ("LISTEN_PID"), *count = g_getenv ("LISTEN_FDS");

  if (!pid || !count || g_ascii_strtoull (pid, NULL, 10) != (guint64) getpid () || !strcmp (count, "0"))
    return 0;
  return strcmp (count, "1") ? -1 : 1;
}

/* What does not go together; -1: all is well. */
static int
check_options (Nbd *n, int n_names)
{
  VmTool *tool = n->tool;
  int inherited = inherited_sockets ();
  bool address = n->address || n->port;

  if (n->list && n_names)
    return !vm_tool_error (tool, NULL, "List mode is incompatible with a file name");
  if (n->list
      && (n->name || n->description || n->readonly || n->overlay || n->device || n->disconnect || n->how.format
          || n->snapshot || n->pid_file || n->bitmaps->len))
    return !vm_tool_error (tool, NULL, "List mode is incompatible with options of exports");
  if (!n->list && n_names != 1)
    return vm_tool_usage (tool, "Invalid number of arguments");
  if (n->selinux_label && !n->socket)
    return !vm_tool_error (tool, NULL, "--selinux-label is not permitted without --socket");
  if (!n->tls_creds && (n->tls_authz || n->tls_hostname))
    return !vm_tool_error (tool, NULL, "--tls-%s is not permitted without --tls-creds",
                           n->tls_authz ? "authz" : "hostname");
  if (n->tls_creds && n->device)
    return !vm_tool_error (tool, NULL, "TLS is not supported with a host device");
  if (n->tls_authz && n->list)
    return !vm_tool_error (tool, NULL, "TLS authorization is incompatible with export list");
  if (n->tls_hostname && !n->list)
    return !vm_tool_error (tool, NULL, "TLS hostname is only supported with export list");
  if (n->device && n->disconnect)
    return !vm_tool_error (tool, NULL, "-c and -d are mutually exclusive");
  if ((n->device && n->name) || (n->device && (address || n->socket)))
    return !vm_tool_error (tool, NULL, "-c is incompatible with an address and an export name");
  if (n->socket && address)
    return !vm_tool_error (tool, NULL, "A UNIX socket is incompatible with an interface and a port");
  if (inherited && (n->socket || address || n->list || n->device))
    return !vm_tool_error (tool, NULL, "Socket activation is incompatible with an address");
  if (inherited < 0)
    return !vm_tool_error (tool, NULL, "Socket activation with more than one socket is not supported");
  if (n->how.image_opts && n->how.format)
    return !vm_tool_error (tool, NULL, "--image-opts and -f are mutually exclusive");
  if (n->overlay && n->offset)
    return !vm_tool_error (tool, NULL, "--snapshot and --offset are mutually exclusive");
  n->inherited = inherited > 0;
  return -1;
}

static int
find_creds (Nbd *n)
{
  GError *error = NULL;

  if (!n->tls_creds)
    return -1;
  n->creds = vm_tls_creds_find (n->tool->root, n->tls_creds, n->list ? VM_TLS_CLIENT : VM_TLS_SERVER, &error);
  return n->creds ? -1 : !vm_tool_error (n->tool, error, "Failed to get TLS creds");
}

static int
run_list (Nbd *n)
{
  g_autoptr (VmSocketAddr) addr = address_of (n);

  return vm_nbd_list (n->tool, addr, n->creds, n->tls_hostname);
}

static int
run (VmTool *tool, int argc, char **argv)
{
  Nbd n = { .tool = tool, .shared = 1, .bitmaps = g_array_new (FALSE, FALSE, sizeof (VmNbdBitmap)) };
  int c, status = -1;

  while (status < 0
         && (c = vm_tool_getopt (tool, argc, argv, ":hVb:o:p:k:rsnc:dve:f:tl:x:T:D:AB:L", long_options)) != -1)
    status = take_option (&n, c);
  if (status < 0)
    status = check_options (&n, argc - optind);
  if (status < 0)
    status = find_creds (&n);
  if (status < 0 && n.disconnect)
    status = vm_nbd_device_clear (tool, argv[optind]);
  if (status < 0 && n.list)
    status = run_list (&n);
  if (status < 0)
    {
      n.how.name = argv[optind];
      status = run_nbd (&n);
    }
  json_object_put (n.how.options);
  g_array_unref (n.bitmaps);
  return status;
}

/* --- --fork: before there are threads --------------------------------------------------------- */

static bool
wants_fork (int argc, char **argv)
{
  bool fork = false, verbose = false;

  /* With the kernel as client the program goes to the background by itself. */
  for (int i = 1; i < argc && strcmp (argv[i], "--") != 0; i++)
    {
      fork
          |= !strcmp (argv[i], "--fork") || g_str_has_prefix (argv[i], "--connect") || g_str_has_prefix (argv[i], "-c");
      verbose |= !strcmp (argv[i], "--verbose") || !strcmp (argv[i], "-v");
      if (!strcmp (argv[i], "--fork"))
        return true;
    }
  return fork && !verbose;
}

/* The parent ends here, with the child's status or with 0 once it serves. */
static void
fork_off (int *ready)
{
  int ends[2], status = 1;
  char byte;

  if (pipe (ends))
    return;
  pid_t child = fork ();
  if (child)
    {
      close (ends[1]);
      if (child > 0 && read (ends[0], &byte, 1) == 1)
        _exit (0);
      if (child > 0 && waitpid (child, &status, 0) == child)
        _exit (WIFEXITED (status) ? WEXITSTATUS (status) : 1);
      _exit (1);
    }
  close (ends[0]);
  fcntl (ends[1], F_SETFD, FD_CLOEXEC);
  setsid ();
  *ready = ends[1];
}

int
main (int argc, char **argv)
{
  int ready = -1;
  sigset_t set;

  end_signals (&set);
  sigprocmask (SIG_BLOCK, &set, NULL); /* a descriptor takes them */
  if (wants_fork (argc, argv))
    fork_off (&ready);
  return vm_tool_main ("nbd", argc, argv, run, &ready);
}
