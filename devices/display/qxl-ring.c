/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL: the rings of commands and of what is given back, surfaces, interrupts (spice/qxl_dev.h, spice/ipc_ring.h). A
 * ring's counters are the guest's memory: each is read once, and a ring that claims more than it can hold is taken as
 * empty. */
#include "devices/display/qxl.h"

#include "engine/base/log.h"

#include <spice/enums.h>

#define PIXELS_MAX (UINT64_C (1) << 25) /* of one round: others want the lock, too */
#define ROUND_NS VM_NS_PER_MS

/* --- interrupts -------------------------------------------------------------------------------------- */

static uint32_t
load (const uint32_t *at)
{
  return GUINT32_FROM_LE (__atomic_load_n (at, __ATOMIC_SEQ_CST));
}

static void
store (uint32_t *at, uint32_t value)
{
  __atomic_store_n (at, GUINT32_TO_LE (value), __ATOMIC_SEQ_CST);
}

/* A member of a packed structure that lies at a multiple of four all the same. */
#define WORD(at, Type, member) ((uint32_t *) (void *) ((uint8_t *) (at) + offsetof (Type, member)))
#define RAM(ram, member) WORD (ram, QXLRam, member)
/* The rings begin alike. */
#define RING(ring, member) WORD (ring, QXLCommandRing, member)

void
qxl_update_irq (Qxl *s)
{
  QXLRam *ram = qxl_ram (s);

  vm_pci_set_irq (&s->parent, (load (RAM (ram, int_pending)) & load (RAM (ram, int_mask))) != 0);
}

void
qxl_raise (Qxl *s, uint32_t events)
{
  QXLRam *ram = qxl_ram (s);

  __atomic_fetch_or (RAM (ram, int_pending), GUINT32_TO_LE (events), __ATOMIC_SEQ_CST);
  qxl_written (s, 0, s->header, sizeof *ram);
  qxl_update_irq (s);
}

void
qxl_init_rings (Qxl *s)
{
  QXLRam *ram = qxl_ram (s);

  memset (ram, 0, sizeof *ram);
  ram->magic = GUINT32_TO_LE (QXL_RAM_MAGIC);
  SPICE_RING_INIT (&ram->cmd_ring);
  SPICE_RING_INIT (&ram->cursor_ring);
  SPICE_RING_INIT (&ram->release_ring);
  qxl_written (s, 0, s->header, sizeof *ram);
}

/* --- giving back ------------------------------------------------------------------------------------- */

/* What begins at ADDR is no longer of use: it joins the chain that goes into the ring in one piece. */
static void
release (Qxl *s, QXLPHYSICAL addr)
{
  QXLReleaseInfo *info;
  QxlMem mem, last;

  if (!qxl_find (s, addr, sizeof *info, &mem))
    return;
  info = (QXLReleaseInfo *) mem.at;
  uint64_t id = info->id;
  if (s->free_any && qxl_find (s, s->free_last, sizeof *info, &last))
    {
      ((QXLReleaseInfo *) last.at)->next = id;
      qxl_written (s, last.bar, last.offset, sizeof *info);
    }
  else
    s->free_first = id;
  info->next = 0;
  qxl_written (s, mem.bar, mem.offset, sizeof *info);
  s->free_any = true;
  s->free_last = addr;
}

void
qxl_flush_releases (Qxl *s)
{
  QXLReleaseRing *ring = &qxl_ram (s)->release_ring;
  uint32_t prod = load (RING (ring, prod)), cons = load (RING (ring, cons));

  if (!s->free_any || prod - cons >= QXL_RELEASE_RING_SIZE)
    return;
  ring->items[prod % QXL_RELEASE_RING_SIZE].el = GUINT64_TO_LE (s->free_first);
  store (RING (ring, prod), prod + 1);
  qxl_written (s, 0, s->header, sizeof (QXLRam));
  s->free_any = false;
  if (load (RING (ring, notify_on_prod)) == prod + 1)
    qxl_raise (s, QXL_INTERRUPT_DISPLAY);
}

/* --- surfaces ---------------------------------------------------------------------------------------- */

bool
qxl_create_surface (Qxl *s, uint32_t id, uint32_t format, uint32_t width, uint32_t height, int32_t stride,
                    QXLPHYSICAL data)
{
  uint64_t row = stride < 0 ? -(int64_t) stride : stride;
  QxlMem mem;

  if (id >= QXL_SURFACES || !qxl_bytes_of (format) || !width || !height || width > QXL_SIDE_MAX || height > QXL_SIDE_MAX
      || row < (uint64_t) width * qxl_bytes_of (format))
    {
      qxl_complain (s, "a surface that makes no sense:", id);
      return false;
    }
  if (!qxl_find (s, data, row * height, &mem))
    return false;
  s->surface_format[id] = format;
  s->surface_width[id] = width;
  s->surface_height[id] = height;
  s->surface_stride[id] = (uint32_t) stride;
  s->surface_bar[id] = (uint8_t) mem.bar;
  s->surface_start[id] = mem.offset;
  return true;
}

void
qxl_destroy_surface (Qxl *s, uint32_t id)
{
  if (id < QXL_SURFACES)
    s->surface_format[id] = 0;
}

static void
surface_command (Qxl *s, QXLPHYSICAL addr)
{
  QXLSurfaceCmd cmd;

  if (!qxl_read (s, addr, &cmd, sizeof cmd))
    return;
  if (!cmd.surface_id) /* the primary has ports of its own */
    qxl_complain (s, "a surface command for surface", 0);
  else if (cmd.type == QXL_SURFACE_CMD_CREATE)
    {
      const QXLSurface *c = &cmd.u.surface_create;
      qxl_create_surface (s, cmd.surface_id, c->format, c->width, c->height, c->stride, c->data);
    }
  else if (cmd.type == QXL_SURFACE_CMD_DESTROY)
    qxl_destroy_surface (s, cmd.surface_id);
}

/* --- commands ---------------------------------------------------------------------------------------- */

static uint64_t
carry_out (Qxl *s, const QXLCommand *cmd)
{
  uint64_t pixels = 0;

  if (s->cmdlog)
    vm_report_info ("%s: command of type %u at 0x%" G_GINT64_MODIFIER "x", vm_device_path (&s->parent.parent),
                    cmd->type, (guint64) cmd->data);
  switch (cmd->type)
    {
    case QXL_CMD_DRAW:
      pixels = qxl_draw (s, cmd->data);
      break;
    case QXL_CMD_CURSOR:
      qxl_cursor_command (s, cmd->data);
      break;
    case QXL_CMD_SURFACE:
      surface_command (s, cmd->data);
      break;
    case QXL_CMD_UPDATE: /* what is drawn is in the guest's memory already */
    case QXL_CMD_MESSAGE:
      break;
    default:
      qxl_complain (s, "an unknown command", cmd->type);
      return 0;
    }
  release (s, cmd->data);
  return pixels;
}

/* Both rings of commands look alike. */
static bool
pop (Qxl *s, QXLCommandRing *ring, uint32_t event, QXLCommand *cmd)
{
  uint32_t cons = load (RING (ring, cons)), prod = load (RING (ring, prod));

  if (prod == cons)
    { /* to be told of the next; it may have come just now */
      store (RING (ring, notify_on_prod), cons + 1);
      prod = load (RING (ring, prod));
    }
  if (prod - cons - 1 >= QXL_COMMAND_RING_SIZE)
    {
      if (prod != cons)
        qxl_complain (s, "a ring has more than it can:", prod - cons);
      return false;
    }
  memcpy (cmd, &ring->items[cons % QXL_COMMAND_RING_SIZE].el, sizeof *cmd);
  store (RING (ring, cons), cons + 1);
  if (load (RING (ring, notify_on_cons)) == cons + 1)
    qxl_raise (s, event);
  return true;
}

G_STATIC_ASSERT (sizeof (QXLCommandRing) == sizeof (QXLCursorRing));

void
qxl_run (Qxl *s)
{
  QXLRam *ram = qxl_ram (s);
  uint64_t pixels = 0;
  unsigned n = 0;
  bool any = true;
  QXLCommand cmd;

  if (s->mode == QXL_IN_VGA)
    return;
  while (any && pixels < PIXELS_MAX && n < 4 * QXL_COMMAND_RING_SIZE)
    {
      any = false;
      if (pop (s, (QXLCommandRing *) (void *) &ram->cursor_ring, QXL_INTERRUPT_CURSOR, &cmd))
        {
          any = true;
          pixels += carry_out (s, &cmd);
        }
      if (pop (s, &ram->cmd_ring, QXL_INTERRUPT_DISPLAY, &cmd))
        {
          any = true;
          pixels += carry_out (s, &cmd);
        }
      n++;
    }
  if (n)
    qxl_written (s, 0, s->header, sizeof *ram);
  qxl_flush_releases (s);
  if (any)
    vm_timer_set (&s->timer, vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + ROUND_NS);
}
