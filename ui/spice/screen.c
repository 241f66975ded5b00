/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A console as a display of the library: what changed is compared with what was sent, and goes out as pictures to be
 * copied into the primary surface (spice/qxl_dev.h). The library takes commands on a thread of its own when its clients
 * have room; only then more is looked at, so that a slow client gets fewer frames and nothing piles up. */
#include "ui/spice/server-private.h"

#define MAX_RECTS 128
#define BAND 64 /* rows that are compared at a time: the device waits no longer than that */
#define CELL_WIDTH 32
#define CELL_HEIGHT 16
#define BLANK_WIDTH 640
#define BLANK_HEIGHT 480
#define IDLE_MS 200
#define IDLE_AFTER_US (5 * G_USEC_PER_SEC)

typedef struct Command
{
  union
  { /* both begin with the word that comes back */
    QXLDrawable draw;
    QXLCursorCmd cursor;
  };
  QXLImage image;
  QXLCommandExt ext;
  union
  {
    QXLCursor shape;
    uint32_t pixels[1];
  } data; /* to the end */
} Command;

struct SpiceScreen
{
  QXLInstance qxl; /* first: what the library hands back */
  int refs;        /* atomic */
  SpiceHere *here;
  VmConsole *console; /* a reference */
  VmListener listener;
  bool gone;  /* freed but for messages under way */
  int posted; /* atomic */
  unsigned interval_ms;
  int64_t changed_at;
  GSource *pace;
  /* the picture */
  int width, height; /* 0: no primary surface yet */
  uint32_t *shown;   /* what was sent; rows are WIDTH apart */
  uint8_t *primary;  /* the library's */
  uint8_t *cells;    /* those that changed */
  unsigned columns, rows;
  uint32_t unique;
  bool cursor_due;
  int cursor_x, cursor_y;
  bool cursor_visible;
  GMutex mutex;          /* what the worker thread has, too: */
  GQueue draws, cursors; /* Command * */
  bool later;            /* there is more to look at */
};

static void
screen_unref (SpiceScreen *s)
{
  if (!g_atomic_int_dec_and_test (&s->refs))
    return;
  vm_console_unref (s->console);
  g_mutex_clear (&s->mutex);
  g_free (s->shown);
  g_free (s->primary);
  g_free (s->cells);
  g_free (s);
}

static void update (SpiceScreen *s);

static void
told (void *opaque)
{
  SpiceScreen *s = opaque;

  g_atomic_int_set (&s->posted, 0);
  if (!s->gone)
    update (s);
  screen_unref (s);
}

/* Any thread. */
static void
tell (SpiceScreen *s)
{
  if (!g_atomic_int_compare_and_exchange (&s->posted, 0, 1))
    return;
  g_atomic_int_inc (&s->refs);
  vm_loop_post (s->here->spice->loop, told, s);
}

/* --- how often --------------------------------------------------------------------------------------------------- */

static void
set_interval (SpiceScreen *s, unsigned ms)
{
  if (s->interval_ms == ms)
    return;
  s->interval_ms = ms;
  vm_listener_set_interval (s->here->spice->machine->env.display, &s->listener, ms * 1000);
}

static gboolean
slow_down (gpointer opaque)
{
  SpiceScreen *s = opaque;
  unsigned fast = s->here->spice->options.interval_ms;
  int64_t idle = g_get_monotonic_time () - s->changed_at;

  vm_source_clear (&s->pace);
  if (idle >= IDLE_AFTER_US)
    {
      set_interval (s, MAX (fast, IDLE_MS));
      return G_SOURCE_REMOVE;
    }
  set_interval (s, fast);
  s->pace = g_timeout_source_new ((guint) ((IDLE_AFTER_US - idle) / 1000) + 1);
  g_source_set_callback (s->pace, slow_down, s, NULL);
  g_source_attach (s->pace, vm_loop_context (s->here->spice->loop));
  return G_SOURCE_REMOVE;
}

void
spice_screen_hurry (SpiceScreen *s)
{
  s->changed_at = g_get_monotonic_time ();
  if (!s->here->streams)
    return;
  if (!s->interval_ms)
    tell (s);
  if (s->interval_ms != s->here->spice->options.interval_ms || !s->pace)
    slow_down (s);
}

void
spice_screen_rest (SpiceScreen *s)
{
  vm_source_clear (&s->pace);
  set_interval (s, 0);
}

/* --- the library's worker thread --------------------------------------------------------------------------------- */

static void
get_init_info (QXLInstance *qin, QXLDevInitInfo *info)
{
  *info = (QXLDevInitInfo){
    .num_memslots_groups = 1, .num_memslots = 1, .memslot_gen_bits = 8, .memslot_id_bits = 8, .n_surfaces = 1
  };
}

static int
take_command (SpiceScreen *s, GQueue *queue, QXLCommandExt *ext)
{
  g_mutex_lock (&s->mutex);
  Command *command = g_queue_pop_head (queue);
  bool more = s->later && !s->draws.length;
  if (more)
    s->later = false;
  g_mutex_unlock (&s->mutex);
  if (more)
    tell (s);
  if (!command)
    return 0;
  *ext = command->ext;
  return 1;
}

static int
get_command (QXLInstance *qin, QXLCommandExt *ext)
{
  return take_command ((SpiceScreen *) qin, &((SpiceScreen *) qin)->draws, ext);
}

static int
get_cursor_command (QXLInstance *qin, QXLCommandExt *ext)
{
  return take_command ((SpiceScreen *) qin, &((SpiceScreen *) qin)->cursors, ext);
}

static int
is_empty (SpiceScreen *s, GQueue *queue)
{
  g_mutex_lock (&s->mutex);
  int empty = queue->length == 0;
  g_mutex_unlock (&s->mutex);
  return empty;
}

static int
req_cmd_notification (QXLInstance *qin)
{
  return is_empty ((SpiceScreen *) qin, &((SpiceScreen *) qin)->draws);
}

static int
req_cursor_notification (QXLInstance *qin)
{
  return is_empty ((SpiceScreen *) qin, &((SpiceScreen *) qin)->cursors);
}

static void
release_resource (QXLInstance *qin, QXLReleaseInfoExt info)
{
  g_free ((Command *) (uintptr_t) info.info->id);
}

static void
attached_worker (QXLInstance *qin)
{
}

static void
set_compression_level (QXLInstance *qin, int level)
{
}

static void
notify_update (QXLInstance *qin, uint32_t id)
{
}

static int
flush_resources (QXLInstance *qin)
{
  return 0;
}

static void
async_complete (QXLInstance *qin, uint64_t cookie)
{
}

static void
update_area_complete (QXLInstance *qin, uint32_t surface, QXLRect *rects, uint32_t n)
{
}

static void
set_client_capabilities (QXLInstance *qin, uint8_t present, uint8_t caps[SPICE_CAPABILITIES_SIZE])
{
}

/* What a client wants its windows to show: its monitors are ours in order. */
static int
client_monitors_config (QXLInstance *qin, VDAgentMonitorsConfig *config)
{
  SpiceScreen *s = (SpiceScreen *) qin;
  guint index = 0;

  if (!vm_console_wants_ui_info (s->console))
    return 0;
  if (!config || !g_ptr_array_find (s->here->screens, s, &index) || index >= config->num_of_monitors)
    return 1;
  const VDAgentMonConfig *m = &config->monitors[index];
  VmUiInfo info = { .width = m->width, .height = m->height, .xoff = m->x, .yoff = m->y };
  if (config->flags & VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE)
    {
      const VDAgentMonitorMM *mm = (const VDAgentMonitorMM *) &config->monitors[config->num_of_monitors] + index;
      info.width_mm = mm->width;
      info.height_mm = mm->height;
    }
  vm_console_request_ui_info (s->console, &info);
  return 1;
}

static const QXLInterface screen_interface = {
  .base = { .type = SPICE_INTERFACE_QXL,
            .description = "a console",
            .major_version = SPICE_INTERFACE_QXL_MAJOR,
            .minor_version = SPICE_INTERFACE_QXL_MINOR },
  .attached_worker = attached_worker,
  .set_compression_level = set_compression_level,
  .get_init_info = get_init_info,
  .get_command = get_command,
  .req_cmd_notification = req_cmd_notification,
  .release_resource = release_resource,
  .get_cursor_command = get_cursor_command,
  .req_cursor_notification = req_cursor_notification,
  .notify_update = notify_update,
  .flush_resources = flush_resources,
  .async_complete = async_complete,
  .update_area_complete = update_area_complete,
  .set_client_capabilities = set_client_capabilities,
  .client_monitors_config = client_monitors_config,
};

/* --- commands ---------------------------------------------------------------------------------------------------- */

/* With BYTES of data, not all of it cleared. NULL: no memory. */
static Command *
new_command (uint32_t type, size_t bytes)
{
  Command *c = g_try_malloc (sizeof *c + bytes);

  if (!c)
    return NULL;
  memset (c, 0, sizeof *c);
  c->draw.release_info.id = (uintptr_t) c;
  c->ext.cmd.type = type;
  c->ext.cmd.data = (uintptr_t) c;
  return c;
}

static void
push (SpiceScreen *s, GQueue *queue, Command *c)
{
  g_mutex_lock (&s->mutex);
  g_queue_push_tail (queue, c);
  g_mutex_unlock (&s->mutex);
}

static void
drop_all (SpiceScreen *s, GQueue *queue)
{
  g_mutex_lock (&s->mutex);
  g_queue_clear_full (queue, g_free);
  g_mutex_unlock (&s->mutex);
}

static void
draw (SpiceScreen *s, VmRect r)
{
  Command *c = new_command (QXL_CMD_DRAW, (size_t) r.width * r.height * 4);

  if (!c)
    return;
  c->draw.bbox = (QXLRect){ .left = r.x, .top = r.y, .right = r.x + r.width, .bottom = r.y + r.height };
  c->draw.clip.type = SPICE_CLIP_TYPE_NONE;
  c->draw.effect = QXL_EFFECT_OPAQUE;
  c->draw.mm_time = (uint32_t) (g_get_monotonic_time () / 1000);
  c->draw.type = QXL_DRAW_COPY;
  for (unsigned i = 0; i < G_N_ELEMENTS (c->draw.surfaces_dest); i++)
    c->draw.surfaces_dest[i] = -1;
  c->draw.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
  c->draw.u.copy.src_bitmap = (uintptr_t) &c->image;
  c->draw.u.copy.src_area = (QXLRect){ .right = r.width, .bottom = r.height };
  QXL_SET_IMAGE_ID (&c->image, QXL_IMAGE_GROUP_DEVICE, ++s->unique);
  c->image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
  c->image.descriptor.width = r.width;
  c->image.descriptor.height = r.height;
  c->image.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
  c->image.bitmap.format = SPICE_BITMAP_FMT_32BIT;
  c->image.bitmap.x = r.width;
  c->image.bitmap.y = r.height;
  c->image.bitmap.stride = r.width * 4;
  c->image.bitmap.data = (uintptr_t) c->data.pixels;
  for (int y = 0; y < r.height; y++)
    memcpy (c->data.pixels + (size_t) y * r.width, s->shown + (size_t) (r.y + y) * s->width + r.x,
            (size_t) r.width * 4);
  push (s, &s->draws, c);
}

/* Runs of cells, and those below that are as wide, become one picture. */
static void
draw_cells (SpiceScreen *s)
{
  g_autoptr (GArray) rects = g_array_new (FALSE, FALSE, sizeof (VmRect));
  guint before = 0; /* the first that may still grow */

  for (unsigned row = 0; row < s->rows; row++)
    {
      const uint8_t *cells = s->cells + row * s->columns;
      int y = (int) row * CELL_HEIGHT, height = MIN (CELL_HEIGHT, s->height - y);
      guint here = rects->len;
      for (unsigned column = 0; column < s->columns; column++)
        {
          unsigned first = column;
          if (!cells[column])
            continue;
          while (column < s->columns && cells[column])
            column++;
          int x = (int) first * CELL_WIDTH, width = MIN ((int) column * CELL_WIDTH, s->width) - x;
          bool grown = false;
          for (guint i = before; i < here && !grown; i++)
            {
              VmRect *above = &g_array_index (rects, VmRect, i);
              grown = above->x == x && above->width == width && above->y + above->height == y;
              if (grown)
                above->height += height;
            }
          if (!grown)
            g_array_append_val (rects, ((VmRect){ x, y, width, height }));
        }
      while (before < here
             && g_array_index (rects, VmRect, before).y + g_array_index (rects, VmRect, before).height <= y)
        before++;
    }
  for (guint i = 0; i < rects->len; i++)
    draw (s, g_array_index (rects, VmRect, i));
  if (rects->len)
    spice_screen_hurry (s);
}

/* --- pixels ------------------------------------------------------------------------------------------------------ */

static bool
set_primary (SpiceScreen *s, int width, int height)
{
  size_t pixels = (size_t) width * height;
  uint32_t *shown = g_try_new0 (uint32_t, pixels);
  uint8_t *primary = g_try_malloc0_n (pixels, 4);
  unsigned columns = (unsigned) (width + CELL_WIDTH - 1) / CELL_WIDTH,
           rows = (unsigned) (height + CELL_HEIGHT - 1) / CELL_HEIGHT;

  if (!shown || !primary)
    {
      g_free (shown);
      g_free (primary);
      return false;
    }
  drop_all (s, &s->draws);
  drop_all (s, &s->cursors);
  if (s->width)
    spice_qxl_destroy_primary_surface (&s->qxl, 0);
  g_free (s->shown);
  g_free (s->primary);
  g_free (s->cells);
  s->shown = shown;
  s->primary = primary;
  s->cells = g_new0 (uint8_t, columns * rows);
  s->columns = columns;
  s->rows = rows;
  s->width = width;
  s->height = height;
  QXLDevSurfaceCreate surface = {
    .width = (uint32_t) width,
    .height = (uint32_t) height,
    .stride = width * 4,
    .format = SPICE_SURFACE_FMT_32_xRGB,
    .mouse_mode = true,
    .type = QXL_SURF_TYPE_PRIMARY,
    .mem = (uintptr_t) primary,
  };
  spice_qxl_create_primary_surface (&s->qxl, 0, &surface);
  s->cursor_due = true;
  return true;
}

static void
compare_row (SpiceScreen *s, const uint32_t *from, int y, int x, int end)
{
  uint32_t *to = s->shown + (size_t) y * s->width;
  uint8_t *cells = s->cells + (unsigned) (y / CELL_HEIGHT) * s->columns;

  while (x < end)
    {
      int column = x / CELL_WIDTH, stop = MIN ((column + 1) * CELL_WIDTH, end);
      uint32_t differs = 0;
      for (; x < stop; x++)
        {
          uint32_t pixel = GUINT32_FROM_LE (from[x]) & 0xffffff;
          differs |= to[x] ^ pixel;
          to[x] = pixel;
        }
      if (differs)
        cells[column] = 1;
    }
}

static void
compare (SpiceScreen *s, const VmSurface *surface, VmRect r)
{
  int right = MIN (r.x + r.width, s->width), bottom = MIN (r.y + r.height, s->height);

  for (int top = r.y; top < bottom; top += BAND)
    {
      vm_console_lock (s->console);
      for (int y = top; y < MIN (top + BAND, bottom); y++)
        compare_row (s, (const uint32_t *) (surface->data + (size_t) y * surface->stride), y, r.x, right);
      vm_console_unlock (s->console);
    }
}

static void
update_picture (SpiceScreen *s)
{
  VmRect rects[MAX_RECTS];
  unsigned n = 0;
  bool changed = false;
  VmSurface *surface = vm_listener_pull (&s->listener, s->console, rects, MAX_RECTS, &n, &changed);

  if (!surface)
    return;
  if (surface->width != s->width || surface->height != s->height)
    {
      changed = true;
      if (!set_primary (s, surface->width, surface->height))
        {
          vm_surface_unref (surface);
          return;
        }
    }
  if (changed)
    {
      rects[0] = (VmRect){ 0, 0, s->width, s->height };
      n = 1;
    }
  memset (s->cells, 0, s->columns * s->rows);
  for (unsigned i = 0; i < n; i++)
    compare (s, surface, rects[i]);
  vm_surface_unref (surface);
  draw_cells (s);
}

/* --- the pointer of the guest ------------------------------------------------------------------------------------ */

static Command *
shape_command (SpiceScreen *s, const VmCursor *cursor)
{
  size_t bytes = (size_t) cursor->width * cursor->height * 4;
  Command *c = new_command (QXL_CMD_CURSOR, sizeof (QXLCursor) + bytes);

  if (!c)
    return NULL;
  c->cursor.type = QXL_CURSOR_SET;
  c->cursor.u.set.shape = (uintptr_t) &c->data.shape;
  c->data.shape.header = (QXLCursorHeader){
    .unique = ++s->unique,
    .type = SPICE_CURSOR_TYPE_ALPHA,
    .width = (uint16_t) cursor->width,
    .height = (uint16_t) cursor->height,
    .hot_spot_x = (uint16_t) cursor->hot_x,
    .hot_spot_y = (uint16_t) cursor->hot_y,
  };
  c->data.shape.data_size = (uint32_t) bytes;
  c->data.shape.chunk.data_size = (uint32_t) bytes;
  memcpy (c->data.shape.chunk.data, cursor->data, bytes);
  return c;
}

static void
update_cursor (SpiceScreen *s)
{
  bool visible, changed;
  int x, y;
  VmCursor *cursor = vm_listener_cursor (&s->listener, s->console, &x, &y, &visible, &changed);
  Command *c = NULL;

  changed |= s->cursor_due || (visible && !s->cursor_visible);
  visible = visible && cursor;
  if (visible && changed)
    {
      c = shape_command (s, cursor);
      if (c)
        {
          c->cursor.u.set.position = (QXLPoint16){ (int16_t) x, (int16_t) y };
          c->cursor.u.set.visible = true;
        }
    }
  else if (visible && (x != s->cursor_x || y != s->cursor_y))
    {
      c = new_command (QXL_CMD_CURSOR, 0);
      if (c)
        {
          c->cursor.type = QXL_CURSOR_MOVE;
          c->cursor.u.position = (QXLPoint16){ (int16_t) x, (int16_t) y };
        }
    }
  else if (!visible && (s->cursor_visible || s->cursor_due))
    {
      c = new_command (QXL_CMD_CURSOR, 0);
      if (c)
        c->cursor.type = QXL_CURSOR_HIDE;
    }
  vm_cursor_unref (cursor);
  s->cursor_due = false;
  s->cursor_x = x;
  s->cursor_y = y;
  s->cursor_visible = visible;
  if (c)
    push (s, &s->cursors, c);
}

static void
update (SpiceScreen *s)
{
  if (!s->here->streams)
    return;
  g_mutex_lock (&s->mutex);
  bool busy = s->draws.length || s->cursors.length;
  s->later = busy;
  g_mutex_unlock (&s->mutex);
  if (busy)
    return;
  update_picture (s);
  update_cursor (s);
  spice_qxl_wakeup (&s->qxl);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static void
on_damaged (VmListener *listener, VmConsole *console)
{
  tell (VM_CONTAINER_OF (listener, SpiceScreen, listener));
}

static const VmListenerOps listener_ops = { .damaged = on_damaged, .cursor_changed = on_damaged };

VmConsole *
spice_screen_console (SpiceScreen *s)
{
  return s->console;
}

int
spice_screen_id (SpiceScreen *s)
{
  return s->qxl.id;
}

SpiceScreen *
spice_screen_new (SpiceHere *here, VmConsole *console, int id)
{
  SpiceScreen *s = g_new0 (SpiceScreen, 1);
  QXLDevMemSlot slot = { .virt_end = UINTPTR_MAX, .qxl_ram_size = UINT32_MAX }; /* addresses are ours as they are */
  int width, height;

  s->refs = 1;
  s->here = here;
  s->console = vm_console_ref (console);
  s->listener.ops = &listener_ops;
  s->qxl.base.sif = &screen_interface.base;
  s->qxl.id = id;
  g_mutex_init (&s->mutex);
  if (spice_server_add_interface (here->server, &s->qxl.base) != 0)
    {
      screen_unref (s);
      return NULL;
    }
  spice_qxl_add_memslot (&s->qxl, &slot);
  vm_console_size (console, &width, &height);
  set_primary (s, width ? width : BLANK_WIDTH, height ? height : BLANK_HEIGHT);
  vm_listener_add (here->spice->machine->env.display, &s->listener, console);
  spice_screen_hurry (s);
  return s;
}

void
spice_screen_free (SpiceScreen *s)
{
  vm_source_clear (&s->pace);
  vm_listener_remove (s->here->spice->machine->env.display, &s->listener);
  spice_server_remove_interface (&s->qxl.base);
  drop_all (s, &s->draws);
  drop_all (s, &s->cursors);
  s->gone = true;
  screen_unref (s);
}
