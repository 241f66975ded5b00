/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back ends that live in memory: the ring buffer, and sinks (vc, and what other parts stand behind). */
#include "engine/char/char-private.h"

#define RINGBUF_DEFAULT (64 * 1024)
#define RINGBUF_MAX     (UINT64_C (1) << 30)

/* --- ring buffer ------------------------------------------------------------------------------- */

typedef struct RingChar {
  VmChardev parent;
  uint8_t  *bytes;
  size_t    size; /* a power of two */
  uint64_t  written, read; /* ever; the newest SIZE bytes are kept */
} RingChar;

static size_t
ring_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  RingChar *s = (RingChar *) chr;

  for (size_t i = 0; i < len; i++)
    s->bytes[s->written++ & (s->size - 1)] = buf[i];
  if (s->written - s->read > s->size)
    s->read = s->written - s->size;
  return len;
}

static bool
ring_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  RingChar *s = (RingChar *) chr;
  uint64_t size = RINGBUF_DEFAULT;

  if (!vm_keyvals_size (options, "size", 'B', &size, error))
    return false;
  if (!vm_is_pow2 (size))
    return vm_fail (error, "size of ringbuf chardev must be power of two");
  s->bytes = size <= RINGBUF_MAX ? g_try_malloc0 (size) : NULL;
  if (!s->bytes)
    return vm_fail (error, "no memory for a ringbuf of %" G_GUINT64_FORMAT " bytes", size);
  s->size = size;
  chr->open = true;
  vm_chardev_set_filename (chr, "ringbuf");
  return true;
}

static void
ring_close (VmChardev *chr)
{
  g_clear_pointer (&((RingChar *) chr)->bytes, g_free);
}

static const VmChardevClass ringbuf_class = {
  .backend = "ringbuf", .open = ring_open, .close = ring_close, .write = ring_write,
};
static const VmChardevClass memory_class = {
  .backend = "memory", .open = ring_open, .close = ring_close, .write = ring_write,
};

const VmType vm_chardev_ringbuf_type = {
  .name = "chardev-ringbuf", .parent = &vm_chardev_type, .size = sizeof (RingChar),
  .help = "a ring buffer in memory", .klass = &ringbuf_class,
};
const VmType vm_chardev_memory_type = {
  .name = "chardev-memory", .parent = &vm_chardev_type, .size = sizeof (RingChar),
  .help = "old name of ringbuf", .klass = &memory_class,
};

static RingChar *
ring_of (VmChardev *chr, GError **error)
{
  const VmType *type = chr->parent.type;

  if (type == &vm_chardev_ringbuf_type || type == &vm_chardev_memory_type)
    return (RingChar *) chr;
  vm_fail (error, "%s is not a ringbuf device", chr->parent.id);
  return NULL;
}

uint8_t *
vm_chardev_ringbuf_read (VmChardev *chr, size_t size, size_t *len, GError **error)
{
  RingChar *s = ring_of (chr, error);

  if (!s)
    return NULL;
  *len = MIN (size, s->written - s->read);
  uint8_t *out = g_malloc (*len + 1);
  for (size_t i = 0; i < *len; i++)
    out[i] = s->bytes[s->read++ & (s->size - 1)];
  out[*len] = 0; /* also a string */
  return out;
}

bool
vm_chardev_ringbuf_write (VmChardev *chr, const uint8_t *buf, size_t len, GError **error)
{
  return ring_of (chr, error) && ring_write (chr, buf, len) == len;
}

/* --- sinks ------------------------------------------------------------------------------------- */

static size_t
sink_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  return chr->sink && chr->sink->write ? chr->sink->write (chr->sink_opaque, buf, len) : len;
}

static void
sink_accept_input (VmChardev *chr)
{
  if (chr->sink && chr->sink->accept_input)
    chr->sink->accept_input (chr->sink_opaque);
}

static bool
sink_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  chr->open = true;
  return true;
}

static bool
vc_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  static const char *const keys[] = { "width", "height", "cols", "rows" };

  for (unsigned i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      uint64_t value = 0;
      if (!vm_keyvals_uint (options, keys[i], &value, 65536, error))
        return false;
    }
  chr->open = true;
  vm_chardev_set_filename (chr, "vc");
  if (chr->env->vc_added)
    chr->env->vc_added (chr->env->opaque, chr, options);
  return true;
}

/* A vc that nobody draws. */
static bool
dbus_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  if (!vm_char_require (options, "name", "dbus", "no name given", error))
    return false;
  chr->open = true;
  vm_chardev_set_filename (chr, "dbus");
  if (chr->env->vc_added)
    chr->env->vc_added (chr->env->opaque, chr, options);
  return true;
}

static void
sink_listen (VmChardev *chr, bool on)
{
  if (chr->sink && chr->sink->listen)
    chr->sink->listen (chr->sink_opaque, on);
}

static bool
agent_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  bool mouse = true, clipboard = false;

  if (!vm_keyvals_bool (options, "mouse", &mouse, error) || !vm_keyvals_bool (options, "clipboard", &clipboard, error))
    return false;
  chr->open = true;
  vm_chardev_set_filename (chr, "qemu-vdagent");
  if (chr->env->agent_added)
    chr->env->agent_added (chr->env->opaque, chr, mouse, clipboard);
  return true;
}

/* --- SPICE: who stands behind them comes later, or never -------------------------------------------- */

static bool
spice_open (VmChardev *chr, const VmCharOptions *options, bool port, const char *name, GError **error)
{
  const char *backend = vm_chardev_class (chr)->backend;
  uint64_t debug = 0; /* there is nothing it would say */

  if (!vm_keyvals_uint (options, "debug", &debug, UINT32_MAX, error))
    return false;

  vm_chardev_set_filename (chr, "%s", backend);
  if (!chr->env->spice_added)
    return vm_fail (error, "'%s' is not available in this build", backend);
  return chr->env->spice_added (chr->env->opaque, chr, port, name, error);
}

static bool
spicevmc_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  static const char *const names[] = { "vdagent", "smartcard", "usbredir", NULL };
  const char *name = vm_char_require (options, "name", "spice channel", "no name given", error);

  if (name && !g_strv_contains (names, name))
    return vm_fail (error, "unsupported type name: %s\nallowed spice char type names: vdagent, smartcard, usbredir", name);
  return name && spice_open (chr, options, false, name, error);
}

static bool
spiceport_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  const char *name = vm_char_require (options, "name", "spice port", "no name given", error);

  return name && spice_open (chr, options, true, name, error);
}

static const VmChardevClass spicevmc_class = {
  .backend = "spicevmc", .open = spicevmc_open, .write = sink_write, .accept_input = sink_accept_input, .listen = sink_listen,
};
static const VmChardevClass spiceport_class = {
  .backend = "spiceport", .open = spiceport_open, .write = sink_write, .accept_input = sink_accept_input, .listen = sink_listen,
};

static const VmChardevClass sink_class = {
  .open = sink_open, .write = sink_write, .accept_input = sink_accept_input,
};
static const VmChardevClass vc_class = {
  .backend = "vc",
  .open = vc_open,
  .write = sink_write,
  .accept_input = sink_accept_input,
  .listen = sink_listen,
};

static const VmChardevClass dbus_class = {
  .backend = "dbus", .open = dbus_open, .write = sink_write, .accept_input = sink_accept_input,
};

static const VmChardevClass agent_class = {
  .backend = "qemu-vdagent", .open = agent_open, .write = sink_write, .accept_input = sink_accept_input, .listen = sink_listen,
};

const VmType vm_chardev_agent_type = {
  .name = "chardev-qemu-vdagent", .parent = &vm_chardev_type, .size = sizeof (VmChardev),
  .help = "the agent in the guest: clipboard, pointer, sizes of screens, files", .klass = &agent_class,
};
const VmType vm_chardev_dbus_type = {
  .name = "chardev-dbus", .parent = &vm_chardev_type, .size = sizeof (VmChardev), .help = "a stream on D-Bus",
  .klass = &dbus_class,
};
const VmType vm_chardev_spicevmc_type = {
  .name = "chardev-spicevmc", .parent = &vm_chardev_type, .size = sizeof (VmChardev),
  .help = "a channel of SPICE viewers: agent, smart cards, USB devices", .klass = &spicevmc_class,
};
const VmType vm_chardev_spiceport_type = {
  .name = "chardev-spiceport", .parent = &vm_chardev_type, .size = sizeof (VmChardev),
  .help = "a named port of SPICE viewers", .klass = &spiceport_class,
};
const VmType vm_chardev_sink_type = {
  .name = "chardev-sink", .parent = &vm_chardev_type, .size = sizeof (VmChardev),
  .help = "another part of the program", .klass = &sink_class,
};
const VmType vm_chardev_vc_type = {
  .name = "chardev-vc", .parent = &vm_chardev_type, .size = sizeof (VmChardev), .help = "a text console",
  .klass = &vc_class,
};
