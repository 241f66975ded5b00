/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Front ends: attaching to a back end, and the calls that reach it. */
#include "engine/char/char-private.h"

#define DRAIN_US (2 * G_USEC_PER_SEC) /* for a reader to read on */

/* --- the property ------------------------------------------------------------------------------ */

static bool
prop_set (VmObject *obj, void *field, const char *text, GError **error)
{
  VmCharFe *fe = field;

  g_free (fe->id);
  fe->id = text && *text ? g_strdup (text) : NULL;
  fe->owner = obj->type->name;
  return true;
}

static char *
prop_get (VmObject *obj, const void *field)
{
  return g_strdup (((const VmCharFe *) field)->id);
}

static void
prop_clear (VmObject *obj, void *field)
{
  VmCharFe *fe = field;

  vm_char_fe_detach (fe);
  g_clear_pointer (&fe->id, g_free);
}

const VmPropCustom vm_prop_chardev = { .type_name = "chardev", .set = prop_set, .get = prop_get, .clear = prop_clear };

static void
chardev_listen (VmChardev *chr, bool on)
{
  if (vm_chardev_class (chr)->listen && !chr->closed)
    vm_chardev_class (chr)->listen (chr, on);
}

/* --- attaching --------------------------------------------------------------------------------- */

bool
vm_char_fe_attach (VmCharFe *fe, VmObject *root, const VmCharFeOps *ops, void *opaque, GError **error)
{
  const char *owner = fe->owner ? fe->owner : "device";
  g_autoptr (GError) why = NULL;

  if (!fe->id)
    return true;
  VmChardev *chr = vm_chardev_find (root, fe->id);
  if (!chr)
    return vm_fail (error, "Property '%s.chardev' can't find value '%s'", owner, fe->id);
  if (!vm_char_fe_attach_to (fe, chr, ops, opaque, &why))
    return vm_fail (error, "Property '%s.chardev' can't take value '%s': %s", owner, fe->id, why->message);
  return true;
}

bool
vm_char_fe_attach_to (VmCharFe *fe, VmChardev *chr, const VmCharFeOps *ops, void *opaque, GError **error)
{
  g_assert (!fe->chr);
  if (vm_chardev_is_mux (chr) ? !vm_char_mux_attach (chr, fe) : chr->fe != NULL)
    return vm_fail (error, "Device '%s' is in use", chr->parent.id);

  fe->ops = ops;
  fe->opaque = opaque;
  fe->chr = chr;
  fe->blocked = false;
  fe->announce = true;
  fe->shut = false;
  vm_object_ref (&chr->parent);
  if (vm_chardev_is_mux (chr))
    vm_char_mux_focus (chr, fe);
  else
    chr->fe = fe;
  if (vm_chardev_class (chr)->frontend)
    vm_chardev_class (chr)->frontend (chr, true);
  chardev_listen (chr, true);
  vm_chardev_announce (chr);
  vm_char_fe_accept_input (fe);
  return true;
}

void
vm_char_fe_set_open (VmCharFe *fe, bool open)
{
  fe->shut = !open;
  if (fe->chr)
    chardev_listen (fe->chr, open);
}

void
vm_char_fe_detach (VmCharFe *fe)
{
  VmChardev *chr = fe->chr;

  if (!chr)
    return;
  fe->chr = NULL;
  fe->announce = fe->blocked = false;
  if (vm_chardev_is_mux (chr))
    vm_char_mux_detach (chr, fe);
  else
    chr->fe = NULL;
  if (vm_chardev_class (chr)->frontend && !chr->closed)
    vm_chardev_class (chr)->frontend (chr, false);
  chardev_listen (chr, false);
  vm_object_unref (&chr->parent);
}

/* --- calls ------------------------------------------------------------------------------------- */

size_t
vm_char_fe_write (VmCharFe *fe, const void *buf, size_t len)
{
  if (!fe->chr)
    return len;
  size_t taken = vm_chardev_write (fe->chr, buf, len);
  fe->blocked |= taken < len;
  return taken;
}

void
vm_char_fe_accept_input (VmCharFe *fe)
{
  if (fe->chr && !fe->chr->closed && vm_chardev_class (fe->chr)->accept_input)
    vm_chardev_class (fe->chr)->accept_input (fe->chr);
}

void
vm_char_fe_take_focus (VmCharFe *fe)
{
  if (fe->chr && vm_chardev_is_mux (fe->chr))
    vm_char_mux_focus (fe->chr, fe);
}

bool
vm_char_fe_is_open (VmCharFe *fe)
{
  return fe->chr && fe->chr->open;
}

/* What a front end of a multiplexer asks goes to the back end below. */
static VmChardev *
hardware (VmCharFe *fe)
{
  VmChardev *chr = fe->chr;

  if (chr && vm_chardev_is_mux (chr))
    chr = vm_char_mux_base (chr);
  return chr && !chr->closed ? chr : NULL;
}

void
vm_char_fe_drain (VmCharFe *fe)
{
  VmChardev *chr = hardware (fe);
  size_t before = SIZE_MAX;
  int64_t end = 0;

  while (chr && chr->open && (chr->queue->len || fe->blocked))
    {
      if (chr->queue->len != before)
        end = g_get_monotonic_time () + DRAIN_US;
      else if (g_get_monotonic_time () > end)
        return;
      before = chr->queue->len;
      g_usleep (1000);
      vm_chardev_writable (chr);
    }
}

int
vm_char_fe_take_fd (VmCharFe *fe)
{
  VmChardev *chr = hardware (fe);

  return chr && vm_chardev_class (chr)->take_fd ? vm_chardev_class (chr)->take_fd (chr) : -1;
}

bool
vm_char_fe_passes_fds (VmCharFe *fe)
{
  VmChardev *chr = hardware (fe);
  int fd;

  return chr && vm_chardev_class (chr)->passes_fds && vm_chardev_class (chr)->passes_fds (chr, &fd);
}

int
vm_char_fe_socket (VmCharFe *fe)
{
  VmChardev *chr = hardware (fe);
  int fd = -1;

  return chr && vm_chardev_class (chr)->passes_fds && vm_chardev_class (chr)->passes_fds (chr, &fd) ? fd : -1;
}

bool
vm_char_fe_set_line (VmCharFe *fe, const VmCharLine *line)
{
  VmChardev *chr = hardware (fe);

  return chr && vm_chardev_class (chr)->set_line && vm_chardev_class (chr)->set_line (chr, line);
}

bool
vm_char_fe_set_break (VmCharFe *fe, bool on)
{
  VmChardev *chr = hardware (fe);

  return chr && vm_chardev_class (chr)->set_break && vm_chardev_class (chr)->set_break (chr, on);
}

bool
vm_char_fe_get_modem (VmCharFe *fe, unsigned *lines)
{
  VmChardev *chr = hardware (fe);

  return chr && vm_chardev_class (chr)->get_modem && vm_chardev_class (chr)->get_modem (chr, lines);
}

bool
vm_char_fe_set_modem (VmCharFe *fe, unsigned lines)
{
  VmChardev *chr = hardware (fe);

  return chr && vm_chardev_class (chr)->set_modem && vm_chardev_class (chr)->set_modem (chr, lines);
}

bool
vm_char_fe_parport (VmCharFe *fe, VmCharParport op, uint8_t *value)
{
  VmChardev *chr = hardware (fe);

  return chr && vm_chardev_class (chr)->parport && vm_chardev_class (chr)->parport (chr, op, value);
}
