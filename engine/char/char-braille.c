/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The braille back end: the guest sees a Baum display on its serial line, the user reads on the host's. */
#include "engine/char/char-braille.h"

#include "engine/base/module.h"
#include "engine/char/baum.h"
#include "engine/char/char-private.h"

#define OUT_MAX 4096 /* a guest that asks and does not read gets no more answers */

typedef struct BrailleChar
{
  VmChardev parent;
  const VmBrailleApi *api;
  void *display;
  GSource *source;
  VmBaum baum;
  GByteArray *out; /* for the front end */
  bool flushing;
} BrailleChar;

static void
braille_flush (void *opaque)
{
  BrailleChar *s = opaque;
  VmChardev *chr = &s->parent;

  s->flushing = false;
  for (size_t n; s->out->len && (n = MIN (vm_chardev_can_receive (chr), s->out->len)) > 0;)
    {
      uint8_t bytes[256];

      n = MIN (n, sizeof bytes);
      memcpy (bytes, s->out->data, n);
      g_byte_array_remove_range (s->out, 0, n);
      vm_chardev_receive (chr, bytes, n);
    }
  vm_object_unref (&chr->parent);
}

static void
braille_accept_input (VmChardev *chr)
{
  BrailleChar *s = (BrailleChar *) chr;

  if (s->flushing || !s->out->len)
    return;
  s->flushing = true;
  vm_object_ref (&chr->parent);
  vm_loop_post (chr->env->loop, braille_flush, s);
}

static size_t
braille_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  BrailleChar *s = (BrailleChar *) chr;
  guint before = s->out->len;

  if (vm_baum_receive (&s->baum, buf, len, s->out) && s->display)
    s->api->show (s->display, s->baum.dots, s->baum.cells);
  if (s->out->len > OUT_MAX)
    g_byte_array_set_size (s->out, MIN (before, OUT_MAX));
  braille_accept_input (chr);
  return len;
}

static bool
braille_key (int fd, GIOCondition condition, void *opaque)
{
  BrailleChar *s = opaque;
  VmBrailleKey key;
  unsigned value;
  bool gone = false;

  while (s->api->read_key (s->display, &key, &value, &gone))
    if (s->out->len > OUT_MAX / 2)
      continue;
    else if (key == VM_BRAILLE_DISPLAY)
      vm_baum_display_keys (&s->baum, value, s->out);
    else if (key == VM_BRAILLE_ROUTING)
      vm_baum_routing_key (&s->baum, value, s->out);
  if (gone)
    vm_source_clear (&s->source);
  braille_accept_input (&s->parent);
  return true;
}

static bool
braille_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  BrailleChar *s = (BrailleChar *) chr;
  int fd;

  s->api = vm_module_symbol ("engine/char", "vitrine-braille", "vm_braille_brlapi", error);
  s->display = s->api ? s->api->open (&s->baum.cells, &fd, error) : NULL;
  if (!s->display)
    return false;
  s->baum.cells = MIN (s->baum.cells, VM_BAUM_CELLS_MAX);
  s->source = vm_loop_watch_fd (chr->env->loop, fd, G_IO_IN | G_IO_HUP, braille_key, s);
  chr->open = true;
  vm_chardev_set_filename (chr, "braille");
  return true;
}

static void
braille_close (VmChardev *chr)
{
  BrailleChar *s = (BrailleChar *) chr;

  vm_source_clear (&s->source);
  if (s->display)
    s->api->close (g_steal_pointer (&s->display));
}

static void
braille_init (VmObject *obj)
{
  ((BrailleChar *) obj)->out = g_byte_array_new ();
}

static void
braille_finalize (VmObject *obj)
{
  BrailleChar *s = (BrailleChar *) obj;

  vm_chardev_ensure_closed (&s->parent);
  g_byte_array_unref (s->out);
}

static const VmChardevClass braille_class = {
  .backend = "braille",
  .open = braille_open,
  .close = braille_close,
  .write = braille_write,
  .accept_input = braille_accept_input,
};

const VmType vm_chardev_braille_type = {
  .name = "chardev-braille",
  .parent = &vm_chardev_type,
  .size = sizeof (BrailleChar),
  .help = "a braille display of the host",
  .init = braille_init,
  .finalize = braille_finalize,
  .klass = &braille_class,
};
