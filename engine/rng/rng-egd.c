/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rng-egd: an entropy gathering daemon behind a character back end. Its protocol (EGD 0.8, "Non-blocking" and
 * "blocking read"): the command byte 2 and a count ask for that many bytes, which then come without a header. */
#include "engine/char/char.h"
#include "engine/rng/rng-private.h"

#define COMMAND_READ 0x02
#define COUNT_MAX 255

typedef struct RngEgd
{
  VmRng parent;
  char *chardev;
  VmCharFe fe;
  size_t asked; /* bytes the daemon still owes us */
  bool posted;
} RngEgd;

static size_t
egd_can_receive (void *opaque)
{
  RngEgd *s = opaque;

  return vm_rng_wanted (&s->parent) ? VM_RNG_REQUEST_MAX : 0;
}

/* Asks for what is wanted and not asked for yet, command by command. */
static void
egd_ask (RngEgd *s)
{
  size_t wanted = vm_rng_wanted (&s->parent);

  while (s->asked < wanted)
    {
      size_t n = MIN (wanted - s->asked, COUNT_MAX);
      const uint8_t command[2] = { COMMAND_READ, (uint8_t) n };

      if (vm_char_fe_write (&s->fe, command, sizeof command) < sizeof command)
        return; /* the daemon does not listen: the next event begins anew */
      s->asked += n;
    }
}

static void
egd_receive (void *opaque, const uint8_t *buf, size_t len)
{
  RngEgd *s = opaque;

  vm_object_ref (&s->parent.parent);
  for (size_t at = 0; at < len && vm_rng_wanted (&s->parent);)
    at += vm_rng_deliver (&s->parent, buf + at, len - at);
  s->asked -= MIN (s->asked, len);
  egd_ask (s);
  vm_object_unref (&s->parent.parent);
}

static void
egd_event (void *opaque, VmCharEvent event)
{
  RngEgd *s = opaque;

  if (event != VM_CHAR_OPENED && event != VM_CHAR_CLOSED)
    return;
  s->asked = 0;
  if (event == VM_CHAR_OPENED)
    egd_ask (s);
}

static void
egd_writable (void *opaque)
{
  egd_ask (opaque);
}

static const VmCharFeOps egd_ops = { egd_can_receive, egd_receive, egd_event, egd_writable };

static void
egd_begin (void *opaque)
{
  RngEgd *s = opaque;

  s->posted = false;
  if (vm_char_fe_connected (&s->fe))
    {
      egd_ask (s);
      vm_char_fe_accept_input (&s->fe);
    }
  vm_object_unref (&s->parent.parent);
}

/* From the loop, because what the daemon has sent before may be there at once. */
static void
egd_start (VmRng *rng, size_t size)
{
  RngEgd *s = (RngEgd *) rng;

  if (s->posted)
    return;
  s->posted = true;
  vm_object_ref (&rng->parent);
  vm_loop_post (rng->loop, egd_begin, s);
}

static bool
egd_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  RngEgd *s = (RngEgd *) obj;
  VmObject *root = vm_object_root (obj);

  if (!s->chardev)
    return vm_fail (error, "Parameter 'chardev' is missing");
  VmChardev *chr = vm_chardev_find (root, s->chardev);
  if (!chr)
    return vm_fail (error, "Device '%s' not found", s->chardev);
  s->fe.owner = obj->type->name;
  s->parent.opened = vm_char_fe_attach_to (&s->fe, chr, &egd_ops, s, error);
  return s->parent.opened;
}

static bool
egd_can_go (VmObject *obj)
{
  return vm_rng_wanted ((VmRng *) obj) == 0;
}

static void
egd_finalize (VmObject *obj)
{
  vm_char_fe_detach (&((RngEgd *) obj)->fe);
}

static const VmRngClass egd_class = {
  .user = { .complete = egd_complete, .can_go = egd_can_go, .late = true },
  .start = egd_start,
};

static const VmProp egd_props[]
    = { VM_PROP_STRING ("chardev", RngEgd, chardev, NULL, "character back end that leads to the daemon"), { 0 } };

const VmType vm_rng_egd_type = {
  .name = "rng-egd",
  .parent = &vm_rng_type,
  .size = sizeof (RngEgd),
  .help = "entropy of a daemon",
  .props = egd_props,
  .klass = &egd_class,
  .finalize = egd_finalize,
};
