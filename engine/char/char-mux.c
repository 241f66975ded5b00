/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The multiplexer: up to four front ends share a back end. All may write; one has the keyboard. A key after
 * the escape character (Ctrl+A unless told otherwise) is for the multiplexer itself. */
#include "engine/char/char-private.h"

#define MUX_FES   4
#define MUX_QUEUE 32 /* bytes typed ahead for a front end that takes none */

typedef struct Mux {
  VmChardev parent;
  VmCharFe  base;
  VmCharFe *fes[MUX_FES];
  uint8_t   typed[MUX_FES][MUX_QUEUE];
  unsigned  n_typed[MUX_FES];
  int       focus; /* -1: nobody */
  bool      escaped, flushing;
  bool      timestamps, line_begun;
  int64_t   timestamps_since;
} Mux;

static void
fe_event (VmCharFe *fe, VmCharEvent event)
{
  if (fe && fe->ops && fe->ops->event)
    fe->ops->event (fe->opaque, event);
}

/* --- input ------------------------------------------------------------------------------------- */

static void
mux_flush (Mux *m)
{
  VmCharFe *fe = m->focus >= 0 ? m->fes[m->focus] : NULL;

  while (fe && fe->ops && fe->ops->can_receive && fe->ops->receive && m->n_typed[m->focus])
    {
      size_t n = MIN (fe->ops->can_receive (fe->opaque), m->n_typed[m->focus]);
      uint8_t bytes[MUX_QUEUE];

      if (n == 0)
        return;
      memcpy (bytes, m->typed[m->focus], n);
      m->n_typed[m->focus] -= n;
      memmove (m->typed[m->focus], m->typed[m->focus] + n, m->n_typed[m->focus]);
      fe->ops->receive (fe->opaque, bytes, n);
      fe = m->focus >= 0 ? m->fes[m->focus] : NULL; /* receiving may detach it */
    }
}

static void
flush_later (void *opaque)
{
  Mux *m = opaque;

  m->flushing = false;
  mux_flush (m);
  vm_char_fe_accept_input (&m->base);
  vm_object_unref (&m->parent.parent);
}

/* Called by device code in the midst of a register access: input comes later, from the loop. */
static void
mux_accept_input (VmChardev *chr)
{
  Mux *m = (Mux *) chr;

  if (m->flushing)
    return;
  m->flushing = true;
  vm_object_ref (&chr->parent);
  vm_loop_post (chr->env->loop, flush_later, m);
}

static void
mux_switch (Mux *m, int focus)
{
  if (focus == m->focus)
    return;
  if (m->focus >= 0 && m->fes[m->focus] && !m->fes[m->focus]->announce)
    fe_event (m->fes[m->focus], VM_CHAR_MUX_OUT);
  m->focus = focus;
  if (focus >= 0 && m->fes[focus] && !m->fes[focus]->announce)
    fe_event (m->fes[focus], VM_CHAR_MUX_IN);
  if (focus >= 0)
    mux_accept_input (&m->parent);
}

/* To the front end that comes after place FROM. */
static void
mux_next (Mux *m, int from)
{
  for (int i = 1; i <= MUX_FES; i++)
    {
      int slot = (from + i) % MUX_FES;
      if (m->fes[slot])
        {
          mux_switch (m, slot);
          return;
        }
    }
}

static void
say (Mux *m, const char *text)
{
  vm_char_fe_write (&m->base, text, strlen (text));
}

static uint8_t
escape_of (Mux *m)
{
  return m->parent.env->escape ? m->parent.env->escape : 1;
}

static void
help (Mux *m)
{
  static const char *const lines[][2] = {
    { "h", "print this help" },
    { "x", "exit emulator" },
    { "s", "save disk data back to file (if -snapshot)" },
    { "t", "toggle console timestamps" },
    { "b", "send break (magic sysrq)" },
    { "c", "switch between console and monitor" },
  };
  uint8_t escape = escape_of (m);
  g_autofree char *name = escape < 27 ? g_strdup_printf ("C-%c", escape - 1 + 'a')
                                      : g_strdup_printf ("0x%02x", escape);

  say (m, "\n\r");
  for (unsigned i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      g_autofree char *line = g_strdup_printf ("%s %s    %s\n\r", name, lines[i][0], lines[i][1]);
      say (m, line);
    }
  g_autofree char *last = g_strdup_printf ("%s %s  sends %s\n\r", name, name, name);
  say (m, last);
}

/* The key after the escape character; true when it is for the front end after all. */
static bool
mux_key (Mux *m, uint8_t key)
{
  VmCharEnv *env = m->parent.env;

  m->escaped = false;
  if (key == escape_of (m))
    return true;
  switch (key)
    {
    case 'h':
    case '?':
      help (m);
      break;
    case 'x':
      say (m, "QEMU: Terminated\n\r"); /* the words that scripts wait for */
      if (env->quit)
        env->quit (env->opaque);
      break;
    case 's':
      if (env->commit)
        env->commit (env->opaque);
      break;
    case 'b':
      mux_flush (m); /* what was typed before it comes before it */
      if (m->focus >= 0)
        fe_event (m->fes[m->focus], VM_CHAR_BREAK);
      break;
    case 'c':
      mux_next (m, MAX (m->focus, 0));
      break;
    case 't':
      m->timestamps = !m->timestamps;
      m->timestamps_since = -1;
      m->line_begun = false;
      break;
    }
  return false;
}

static size_t
base_can_receive (void *opaque)
{
  Mux *m = opaque;

  return m->focus >= 0 ? MUX_QUEUE - m->n_typed[m->focus] : MUX_QUEUE;
}

static void
base_receive (void *opaque, const uint8_t *buf, size_t len)
{
  Mux *m = opaque;

  for (; len; buf++, len--)
    {
      if (!m->escaped && *buf == escape_of (m))
        {
          m->escaped = true;
          continue;
        }
      if (m->escaped && !mux_key (m, *buf))
        continue;
      if (m->focus >= 0 && m->n_typed[m->focus] < MUX_QUEUE)
        m->typed[m->focus][m->n_typed[m->focus]++] = *buf;
    }
  mux_flush (m);
}

static void
base_event (void *opaque, VmCharEvent event)
{
  Mux *m = opaque;

  if (event == VM_CHAR_BREAK)
    {
      if (m->focus >= 0)
        fe_event (m->fes[m->focus], event);
      return;
    }
  m->parent.open = event == VM_CHAR_OPENED;
  for (unsigned i = 0; i < MUX_FES; i++)
    if (m->fes[i] && !m->fes[i]->announce)
      fe_event (m->fes[i], event);
}

static void
base_writable (void *opaque)
{
  Mux *m = opaque;

  for (unsigned i = 0; i < MUX_FES; i++)
    {
      VmCharFe *fe = m->fes[i];

      if (!fe || !fe->blocked)
        continue;
      fe->blocked = false;
      if (fe->ops && fe->ops->writable)
        fe->ops->writable (fe->opaque);
    }
}

static const VmCharFeOps base_ops = {
  .can_receive = base_can_receive, .receive = base_receive, .event = base_event, .writable = base_writable,
};

/* --- output ------------------------------------------------------------------------------------ */

static void
stamp (Mux *m)
{
  VmCharEnv *env = m->parent.env;
  int64_t now = vm_clock_now (env->clocks, VM_CLOCK_REALTIME) / VM_NS_PER_MS;

  if (m->timestamps_since < 0)
    m->timestamps_since = now;
  int64_t ms = now - m->timestamps_since, s = ms / 1000;
  g_autofree char *text = g_strdup_printf ("[%02d:%02d:%02d.%03d] ", (int) (s / 3600), (int) (s / 60 % 60),
                                           (int) (s % 60), (int) (ms % 1000));
  say (m, text);
}

static size_t
mux_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  Mux *m = (Mux *) chr;
  size_t done = 0;

  if (!m->timestamps || !chr->env->clocks)
    return vm_char_fe_write (&m->base, buf, len);
  while (done < len)
    {
      const uint8_t *end = memchr (buf + done, '\n', len - done);
      size_t n = end ? (size_t) (end - buf) + 1 - done : len - done;

      if (!m->line_begun)
        stamp (m);
      m->line_begun = true;
      size_t taken = vm_char_fe_write (&m->base, buf + done, n);
      done += taken;
      if (taken < n)
        break;
      m->line_begun = !end;
    }
  return done;
}

/* --- front ends -------------------------------------------------------------------------------- */

bool
vm_char_mux_attach (VmChardev *chr, VmCharFe *fe)
{
  Mux *m = (Mux *) chr;

  for (unsigned i = 0; i < MUX_FES; i++)
    if (!m->fes[i])
      {
        m->fes[i] = fe;
        m->n_typed[i] = 0;
        fe->slot = i;
        return true;
      }
  return false;
}

void
vm_char_mux_detach (VmChardev *chr, VmCharFe *fe)
{
  Mux *m = (Mux *) chr;

  m->fes[fe->slot] = NULL;
  if (m->focus != (int) fe->slot)
    return;
  m->focus = -1;
  mux_next (m, (int) fe->slot);
}

void
vm_char_mux_focus (VmChardev *chr, VmCharFe *fe)
{
  mux_switch ((Mux *) chr, fe->slot);
}

bool
vm_char_mux_frontend_open (VmChardev *chr)
{
  Mux *m = (Mux *) chr;

  for (unsigned i = 0; i < MUX_FES; i++)
    if (m->fes[i])
      return true;
  return false;
}

void
vm_char_mux_announce (VmChardev *chr)
{
  Mux *m = (Mux *) chr;

  for (int i = 0; i < MUX_FES; i++)
    {
      VmCharFe *fe = m->fes[i];

      if (!fe || !fe->announce)
        continue;
      fe->announce = false;
      fe_event (fe, i == m->focus ? VM_CHAR_MUX_IN : VM_CHAR_MUX_OUT);
      if (chr->open && m->fes[i] == fe)
        fe_event (fe, VM_CHAR_OPENED);
    }
}

VmChardev *
vm_char_mux_base (VmChardev *chr)
{
  return ((Mux *) chr)->base.chr;
}

VmChardev *
vm_char_mux_over (VmChardev *base)
{
  return base->fe && base->fe->ops == &base_ops ? base->fe->opaque : NULL;
}

/* --- making ------------------------------------------------------------------------------------ */

bool
vm_char_mux_open (VmChardev *chr, VmChardev *base, GError **error)
{
  Mux *m = (Mux *) chr;

  m->focus = -1;
  if (!vm_char_fe_attach_to (&m->base, base, &base_ops, m, error))
    return false;
  m->base.announce = false; /* known already */
  chr->open = base->open;
  return true;
}

static bool
mux_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  const char *id = vm_char_require (options, "chardev", "mux", "no chardev given", error);
  VmChardev *base = id ? vm_chardev_find (chr->env->root, id) : NULL;

  if (!id)
    return false;
  if (!base)
    return vm_fail (error, "mux: base chardev %s not found", id);
  if (vm_chardev_is_mux (base))
    return vm_fail (error, "mux: chardev %s is a multiplexer itself", id);
  return vm_char_mux_open (chr, base, error);
}

static void
mux_close (VmChardev *chr)
{
  vm_char_fe_detach (&((Mux *) chr)->base);
}

static const VmChardevClass mux_class = {
  .backend = "mux", .open = mux_open, .close = mux_close, .write = mux_write, .accept_input = mux_accept_input,
};

const VmType vm_chardev_mux_type = {
  .name = "chardev-mux", .parent = &vm_chardev_type, .size = sizeof (Mux), .help = "shares a back end",
  .klass = &mux_class,
};
