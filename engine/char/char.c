/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back ends as a whole: making, finding, removing; the way of bytes and events between the two ends. */
#include "engine/char/char-private.h"

#include "engine/base/fdset.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* In the order of "-chardev help". */
static const VmType *const backend_types[] = {
  &vm_chardev_braille_type, &vm_chardev_dbus_type, &vm_chardev_file_type, &vm_chardev_memory_type, &vm_chardev_msmouse_type, &vm_chardev_mux_type,
  &vm_chardev_null_type, &vm_chardev_parallel_type, &vm_chardev_parport_type, &vm_chardev_pipe_type,
  &vm_chardev_pty_type, &vm_chardev_agent_type, &vm_chardev_ringbuf_type, &vm_chardev_serial_type, &vm_chardev_socket_type,
  &vm_chardev_spiceport_type, &vm_chardev_spicevmc_type, &vm_chardev_stdio_type, &vm_chardev_testdev_type, &vm_chardev_tty_type, &vm_chardev_udp_type,
  &vm_chardev_vc_type, &vm_chardev_wctablet_type,
};

static const char *const backend_names[] = {
  "braille", "dbus", "file", "memory", "msmouse", "mux", "null", "parallel", "parport", "pipe", "pty", "qemu-vdagent", "ringbuf", "serial", "socket",
  "spiceport", "spicevmc", "stdio", "testdev", "tty", "udp", "vc", "wctablet", NULL,
};
G_STATIC_ASSERT (G_N_ELEMENTS (backend_names) == G_N_ELEMENTS (backend_types) + 1);

const char *const *
vm_chardev_backends (void)
{
  return backend_names;
}

static void
chardev_init (VmObject *obj)
{
  VmChardev *chr = (VmChardev *) obj;

  chr->queue = g_byte_array_new ();
  chr->log_fd = -1;
}

void
vm_chardev_ensure_closed (VmChardev *chr)
{
  if (chr->closed)
    return;
  chr->closed = true;
  if (vm_chardev_class (chr)->close)
    vm_chardev_class (chr)->close (chr);
  if (chr->sink && chr->sink->closed)
    chr->sink->closed (chr->sink_opaque);
  chr->sink = NULL;
  if (chr->log_fd >= 0)
    close (chr->log_fd);
  chr->log_fd = -1;
}

static void
chardev_finalize (VmObject *obj)
{
  VmChardev *chr = (VmChardev *) obj;

  vm_chardev_ensure_closed (chr);
  g_byte_array_unref (chr->queue);
  g_clear_error (&chr->failed);
  g_free (chr->filename);
}

const VmType vm_chardev_type = {
  .name = "chardev", .parent = &vm_object_type, .size = sizeof (VmChardev), .abstract = true,
  .help = "character back end", .init = chardev_init, .finalize = chardev_finalize,
};

/* --- bytes and events -------------------------------------------------------------------------- */

void
vm_chardev_set_filename (VmChardev *chr, const char *format, ...)
{
  va_list args;

  g_free (chr->filename);
  va_start (args, format);
  chr->filename = g_strdup_vprintf (format, args);
  va_end (args);
}

static void
log_output (VmChardev *chr, const uint8_t *buf, size_t len)
{
  while (chr->log_fd >= 0 && len)
    {
      ssize_t n = write (chr->log_fd, buf, len);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return; /* a full disk costs the record, not the connection */
      buf += n;
      len -= n;
    }
}

size_t
vm_chardev_write (VmChardev *chr, const void *buf, size_t len)
{
  const VmChardevClass *klass = vm_chardev_class (chr);
  size_t taken = 0;

  if (!chr->open || chr->closed || !klass->write)
    taken = len; /* nobody listens */
  else
    {
      if (chr->queue->len == 0)
        taken = klass->write (chr, buf, len);
      /* A multiplexer leaves the queue to the back end below. */
      size_t rest = vm_chardev_is_mux (chr) ? 0 : MIN (len - taken, VM_CHAR_QUEUE_MAX - chr->queue->len);
      g_byte_array_append (chr->queue, (const uint8_t *) buf + taken, rest);
      taken += rest;
    }
  log_output (chr, buf, taken);
  return taken;
}

void
vm_chardev_writable (VmChardev *chr)
{
  VmCharFe *fe = chr->fe;

  if (chr->queue->len && chr->open && !chr->closed)
    {
      size_t n = vm_chardev_class (chr)->write (chr, chr->queue->data, chr->queue->len);
      g_byte_array_remove_range (chr->queue, 0, n);
    }
  if (chr->queue->len < VM_CHAR_QUEUE_MAX / 2 && fe && fe->blocked)
    {
      fe->blocked = false;
      if (fe->ops && fe->ops->writable)
        fe->ops->writable (fe->opaque);
    }
}

size_t
vm_chardev_can_receive (VmChardev *chr)
{
  VmCharFe *fe = chr->fe;

  return fe && fe->ops && fe->ops->can_receive && fe->ops->receive ? fe->ops->can_receive (fe->opaque) : 0;
}

void
vm_chardev_receive (VmChardev *chr, const uint8_t *buf, size_t len)
{
  VmCharFe *fe = chr->fe;

  if (fe && fe->ops && fe->ops->receive && len)
    fe->ops->receive (fe->opaque, buf, len);
}

void
vm_chardev_event (VmChardev *chr, VmCharEvent event)
{
  VmCharFe *fe = chr->fe;

  if (event == VM_CHAR_OPENED || event == VM_CHAR_CLOSED)
    {
      if (chr->open == (event == VM_CHAR_OPENED))
        return;
      chr->open = event == VM_CHAR_OPENED;
      if (chr->open)
        vm_trace (CHARDEV_OPEN, "%s", chr->parent.id);
      else
        vm_trace (CHARDEV_CLOSE, "%s", chr->parent.id);
      if (!chr->open)
        g_byte_array_set_size (chr->queue, 0);
      if (fe)
        fe->announce = false;
    }
  if (fe && fe->ops && fe->ops->event)
    fe->ops->event (fe->opaque, event);
  if (!chr->open)
    vm_chardev_writable (chr); /* from now on everything is taken */
}

static void
announce (void *opaque)
{
  VmChardev *chr = opaque;
  VmCharFe *fe = chr->fe;

  chr->announcing = false;
  if (vm_chardev_is_mux (chr))
    vm_char_mux_announce (chr);
  else if (fe && fe->announce)
    {
      fe->announce = false;
      if (chr->open && fe->ops && fe->ops->event)
        fe->ops->event (fe->opaque, VM_CHAR_OPENED);
    }
  vm_object_unref (&chr->parent);
}

void
vm_chardev_announce (VmChardev *chr)
{
  if (chr->announcing)
    return;
  chr->announcing = true;
  vm_object_ref (&chr->parent);
  vm_loop_post (chr->env->loop, announce, chr);
}

void
vm_chardev_send_break (VmChardev *chr)
{
  vm_chardev_event (vm_chardev_is_mux (chr) ? vm_char_mux_base (chr) : chr, VM_CHAR_BREAK);
}

/* --- making ------------------------------------------------------------------------------------ */

const char *
vm_char_require (const VmCharOptions *options, const char *key, const char *backend, const char *what, GError **error)
{
  const char *value = vm_keyvals_get (options, key);

  if (!value || !*value)
    {
      vm_fail (error, "chardev: %s: %s", backend, what);
      return NULL;
    }
  return value;
}

static VmObject *
chardevs_folder (VmObject *root)
{
  return vm_object_child (root, "chardevs");
}

static const VmType *
find_backend (const char *name)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (backend_types); i++)
    if (!strcmp (backend_names[i], name))
      return backend_types[i];
  return NULL;
}

static bool
open_log (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  const char *path = vm_keyvals_get (options, "logfile");
  bool append = false;

  if (!vm_keyvals_bool (options, "logappend", &append, error))
    return false;
  if (!path)
    return true;
  chr->log_fd = vm_open (path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0666);
  return chr->log_fd >= 0 || vm_fail (error, "Could not create '%s': %s", path, g_strerror (errno));
}

/* The keys of all back ends share one list, as they always have: those of another kind are no error. */
static bool
check_keys (const VmCharOptions *options, GError **error)
{
  static const char *const known[] = {
    "abstract", "append", "backend", "chardev", "clipboard", "cols", "debug", "delay", "fd", "height", "host", "id", "input-path", "ipv4",
    "ipv6", "localaddr", "localport", "logappend", "logfile", "mouse", "mux", "name", "nodelay", "path", "port", "reconnect",
    "reconnect-ms", "rows", "server", "signal", "size", "telnet", "tight", "tls-authz", "tls-creds", "tn3270", "to",
    "wait", "websocket", "width", NULL,
  };

  for (unsigned i = 0; known[i]; i++)
    vm_keyvals_get (options, known[i]);
  return vm_keyvals_check_used (options, error);
}

/* Opened, not in the tree. */
static VmChardev *
chardev_make (VmCharEnv *env, const VmType *type, const char *id, const VmCharOptions *options, GError **error)
{
  VmChardev *chr = (VmChardev *) vm_object_new (type);

  chr->env = env;
  vm_object_set_id (&chr->parent, id);
  if (!open_log (chr, options, error) || !vm_chardev_class (chr)->open (chr, options, error))
    {
      vm_object_unref (&chr->parent);
      return NULL;
    }
  return chr;
}

static VmChardev *
chardev_add (VmCharEnv *env, VmChardev *chr)
{
  g_autofree char *id = g_strdup (chr->parent.id);

  vm_object_add_child (chardevs_folder (env->root), id, &chr->parent);
  vm_object_unref (&chr->parent);
  return chr;
}

static bool
check_id (VmCharEnv *env, const char *id, GError **error)
{
  if (!id)
    return vm_fail (error, "chardev: no id specified");
  if (!vm_id_well_formed (id))
    return vm_fail (error, "Parameter 'id' expects an identifier\n"
                           "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
  if (vm_chardev_find (env->root, id))
    return vm_fail (error, "Duplicate ID '%s' for chardev", id);
  return true;
}

static const VmType *
check_options (const VmCharOptions *options, bool *mux, GError **error)
{
  const char *id = vm_char_options_id (options), *backend = vm_char_options_backend (options);
  const VmType *type = backend ? find_backend (backend) : NULL;

  *mux = false;
  if (!check_keys (options, error) || !vm_keyvals_bool (options, "mux", mux, error))
    return NULL;
  if (!backend)
    vm_fail (error, "chardev: \"%s\" missing backend", id);
  else if (!type)
    vm_fail (error, "'%s' is not a valid char driver name", backend);
  return type;
}

VmChardev *
vm_chardev_new (VmCharEnv *env, const VmCharOptions *options, GError **error)
{
  const char *id = vm_char_options_id (options);
  bool mux;

  if (!chardevs_folder (env->root))
    vm_object_container (env->root, "/chardevs");
  if (!check_id (env, id, error))
    return NULL;
  const VmType *type = check_options (options, &mux, error);
  g_autofree char *base_id = mux && type ? g_strdup_printf ("%s-base", id) : NULL;
  if (!type || (mux && !check_id (env, base_id, error)))
    return NULL;

  VmChardev *chr = chardev_make (env, type, mux ? base_id : id, options, error);
  if (!chr)
    return NULL;
  chardev_add (env, chr);
  const char *pty = chr->parent.type == &vm_chardev_pty_type ? chr->filename + strlen ("pty:") : NULL;
  if (pty) /* on standard output, where scripts look for it */
    {
      g_print ("char device redirected to %s (label %s)\n", pty, id);
      fflush (stdout);
    }
  if (!mux)
    return chr;

  VmChardev *top = (VmChardev *) vm_object_new (&vm_chardev_mux_type);
  top->env = env;
  vm_object_set_id (&top->parent, id);
  if (!vm_char_mux_open (top, chr, error)) /* the base is ours alone: it cannot be in use */
    g_assert_not_reached ();
  return chardev_add (env, top);
}

VmChardev *
vm_chardev_new_sink (VmCharEnv *env, const char *id, const char *filename, GError **error)
{
  g_autoptr (VmCharOptions) options = vm_char_options_new ("sink", id);

  if (!chardevs_folder (env->root))
    vm_object_container (env->root, "/chardevs");
  if (!check_id (env, id, error))
    return NULL;
  VmChardev *chr = chardev_make (env, &vm_chardev_sink_type, id, options, error);
  vm_chardev_set_filename (chr, "%s", filename);
  return chardev_add (env, chr);
}

void
vm_chardev_set_sink (VmChardev *chr, const VmCharSink *sink, void *opaque)
{
  chr->sink = sink;
  chr->sink_opaque = opaque;
  if (sink)
    vm_chardev_writable (chr);
}

void
vm_chardev_set_connected (VmChardev *chr, bool connected)
{
  vm_chardev_event (chr, connected ? VM_CHAR_OPENED : VM_CHAR_CLOSED);
}

bool
vm_chardev_wait (VmChardev *chr, GError **error)
{
  VmChardev *base = vm_chardev_is_mux (chr) ? vm_char_mux_base (chr) : chr;
  const VmChardevClass *klass = vm_chardev_class (base);
  bool told = false;

  while (klass->pending && !base->failed && klass->pending (base))
    {
      if (!told && strstr (base->filename, ",server=on"))
        vm_report_info ("QEMU waiting for connection on: %s", base->filename);
      told = true;
      vm_loop_iterate (base->env->loop, true);
    }
  if (!base->failed)
    return true;
  g_propagate_error (error, g_steal_pointer (&base->failed));
  return false;
}

/* --- the tree ---------------------------------------------------------------------------------- */

VmChardev *
vm_chardev_find (VmObject *root, const char *id)
{
  VmObject *folder = chardevs_folder (root);

  return folder ? (VmChardev *) vm_object_child (folder, id) : NULL;
}

static void
chardev_drop (VmChardev *chr)
{
  VmChardev *base = vm_chardev_is_mux (chr) ? vm_char_mux_base (chr) : NULL;
  bool own_base = false;

  if (base && base->parent.id && chr->parent.id)
    {
      g_autofree char *base_id = g_strdup_printf ("%s-base", chr->parent.id);
      own_base = !strcmp (base_id, base->parent.id);
    }
  vm_object_ref (&chr->parent);
  vm_chardev_ensure_closed (chr);
  vm_object_remove_child (&chr->parent);
  vm_object_unref (&chr->parent);
  if (own_base)
    chardev_drop (base);
}

bool
vm_chardev_remove (VmChardev *chr, GError **error)
{
  if (chr->fe || vm_chardev_frontend_open (chr))
    return vm_fail (error, "Chardev '%s' is busy", chr->parent.id);
  chardev_drop (chr);
  return true;
}

VmChardev *
vm_chardev_change (VmCharEnv *env, VmChardev *chr, const VmCharOptions *options, GError **error)
{
  VmCharFe *fe = chr->fe;
  bool mux;
  const VmType *type = check_options (options, &mux, error);

  if (!type)
    return NULL;
  if (mux || vm_chardev_is_mux (chr) || vm_char_mux_over (chr))
    {
      vm_fail (error, "Mux device hotswap not supported yet");
      return NULL;
    }
  VmChardev *fresh = chardev_make (env, type, chr->parent.id, options, error);
  if (!fresh)
    return NULL;

  const VmCharFeOps *ops = fe ? fe->ops : NULL;
  void *opaque = fe ? fe->opaque : NULL;
  if (fe)
    {
      if (chr->open && ops && ops->event)
        ops->event (opaque, VM_CHAR_CLOSED);
      vm_char_fe_detach (fe);
    }
  chardev_drop (chr);
  chardev_add (env, fresh);
  if (fe)
    vm_char_fe_attach_to (fe, fresh, ops, opaque, NULL); /* new: nobody else has it */
  return fresh;
}

bool
vm_chardev_add_client (VmChardev *chr, int fd, GError **error)
{
  const VmChardevClass *klass = vm_chardev_class (chr);

  return klass->add_client ? klass->add_client (chr, fd, error)
                           : vm_fail (error, "Chardev '%s' does not take clients", chr->parent.id);
}

bool
vm_chardev_yank (VmChardev *chr)
{
  VmChardev *base = vm_chardev_is_mux (chr) ? vm_char_mux_base (chr) : chr;
  const VmChardevClass *klass = vm_chardev_class (base);

  if (klass->yank)
    klass->yank (base);
  return klass->yank != NULL;
}

void
vm_chardev_foreach (VmObject *root, void (*func) (VmChardev *chr, void *opaque), void *opaque)
{
  VmObject *folder = chardevs_folder (root);

  for (unsigned i = 0; folder && folder->children && i < folder->children->len; i++)
    func (folder->children->pdata[i], opaque);
}

void
vm_chardev_remove_all (VmCharEnv *env)
{
  VmObject *folder = chardevs_folder (env->root);

  while (folder && folder->children && folder->children->len)
    chardev_drop (folder->children->pdata[folder->children->len - 1]);
}

const char *
vm_chardev_id (const VmChardev *chr)
{
  return chr->parent.id;
}

const char *
vm_chardev_filename (VmChardev *chr)
{
  return chr->filename ? chr->filename : vm_chardev_class (chr)->backend;
}

bool
vm_chardev_is_mux (const VmChardev *chr)
{
  return chr->parent.type == &vm_chardev_mux_type;
}

bool
vm_chardev_frontend_open (VmChardev *chr)
{
  if (vm_chardev_is_mux (chr))
    return vm_char_mux_frontend_open (chr);
  VmChardev *mux = vm_char_mux_over (chr);
  return mux ? vm_char_mux_frontend_open (mux) : chr->fe != NULL && !chr->fe->shut;
}

static void
describe_one (VmChardev *chr, void *opaque)
{
  g_string_append_printf (opaque, "%s: filename=%s\n", vm_chardev_id (chr), vm_chardev_filename (chr));
}

char *
vm_chardev_describe (VmObject *root)
{
  GString *out = g_string_new (NULL);

  vm_chardev_foreach (root, describe_one, out);
  return g_string_free (out, FALSE);
}
