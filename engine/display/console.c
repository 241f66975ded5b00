/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Consoles and their listeners. The display's mutex guards the lists and the damage record; the console's
 * pixel mutex is what vm_console_lock() takes. Order: machine lock, pixel mutex, display mutex. */
#include "engine/display/address.h"
#include "engine/display/cells.h"
#include "engine/display/clipboard.h"
#include "engine/display/damage.h"

#define SLOWEST_TICK_US 1000000
#define TYPED_MAX       1024 /* keys that wait: a viewer cannot fill memory while the engine is stuck */

struct VmConsole {
  int                 refs; /* atomic: the device's, and those of viewers */
  VmDisplay          *display;
  VmDevice           *device;
  unsigned            head, index;
  char               *name;
  char *address; /* vm_console_address() */
  const VmConsoleOps *ops;
  void               *opaque;
  GMutex              pixels;

  /* under display->mutex */
  VmSurface *surface;
  uint64_t   surface_serial; /* damage serial at which the surface was set */
  VmDamage   damage;
  VmCursor  *cursor;
  uint64_t   cursor_serial;
  int        cursor_x, cursor_y;
  bool       cursor_visible;
  VmUiInfo   ui_info; /* wished */
  VmUiInfo   granted; /* told the device */
  bool       ui_info_waiting, was_granted;
  VmTimer    ui_info_timer;
  VmCells   *cells;
  unsigned   typed; /* keys on their way */
};

struct VmDisplay {
  VmLoop   *loop;
  VmClocks *clocks;
  GMutex    mutex;
  GPtrArray *consoles;  /* VmConsole *, holes are NULL so that indices stay */
  GPtrArray *listeners; /* VmListener * */
  VmClipboard *clipboard;
  VmAgent     *agent;       /* engine loop only */
  VmAgentState agent_state; /* under the mutex */
  VmTimer   tick;
  uint32_t  interval_us; /* of the fastest visible listener; 0: nobody looks */
  int64_t   due;         /* when the next tick is wanted, of VM_CLOCK_REALTIME */
};

static void
display_notify (VmDisplay *display, void (*call) (VmListener *listener, VmConsole *console), VmConsole *console)
{
  /* Listeners only post, so calling them under the mutex cannot come back here. */
  for (unsigned i = 0; i < display->listeners->len; i++)
    {
      VmListener *listener = display->listeners->pdata[i];

      if (!console || !listener->console || listener->console == console)
        call (listener, console);
    }
}

static void
listener_consoles_changed (VmListener *listener, VmConsole *console)
{
  if (listener->ops->consoles_changed)
    listener->ops->consoles_changed (listener);
}

static void
listener_damaged (VmListener *listener, VmConsole *console)
{
  if (listener->notified || !listener->ops->damaged)
    return;
  listener->notified = true;
  listener->ops->damaged (listener, console);
}

static void
listener_cursor_changed (VmListener *listener, VmConsole *console)
{
  if (listener->ops->cursor_changed)
    listener->ops->cursor_changed (listener, console);
}

static void
listener_ui_info_changed (VmListener *listener, VmConsole *console)
{
  if (listener->ops->ui_info_changed)
    listener->ops->ui_info_changed (listener, console);
}

static void
listener_agent_changed (VmListener *listener, VmConsole *console)
{
  if (listener->ops->agent_changed)
    listener->ops->agent_changed (listener);
}

/* --- refresh ----------------------------------------------------------------------------------- */

static bool
display_is_looked_at (VmDisplay *display, const VmConsole *console)
{
  bool seen = false;

  g_mutex_lock (&display->mutex);
  for (unsigned i = 0; i < display->listeners->len && !seen; i++)
    {
      const VmListener *listener = display->listeners->pdata[i];

      seen = listener->interval_us && (!listener->console || listener->console == console);
    }
  g_mutex_unlock (&display->mutex);
  return seen;
}

static void
display_tick (void *opaque)
{
  VmDisplay *display = opaque;

  for (unsigned i = 0; i < display->consoles->len; i++)
    {
      VmConsole *console = display->consoles->pdata[i];

      if (console && console->ops->refresh && display_is_looked_at (display, console))
        console->ops->refresh (console->opaque);
    }
  if (!display->interval_us)
    return;
  /* From when this one was due: the time that looking takes would lose frames of a guest that draws as often. */
  int64_t now = vm_clock_now (display->clocks, VM_CLOCK_REALTIME);
  int64_t interval = display->interval_us * INT64_C (1000);
  display->due = MAX (display->due + interval, now + interval / 4);
  vm_timer_set (&display->tick, display->due);
}

/* On the engine loop: the rate may have changed. */
static void
display_retime (void *opaque)
{
  VmDisplay *display = opaque;
  uint32_t fastest = 0;

  g_mutex_lock (&display->mutex);
  for (unsigned i = 0; i < display->listeners->len; i++)
    {
      VmListener *listener = display->listeners->pdata[i];
      uint32_t wanted = MIN (listener->interval_us, SLOWEST_TICK_US);

      if (wanted && (!fastest || wanted < fastest))
        fastest = wanted;
    }
  g_mutex_unlock (&display->mutex);

  if (fastest == display->interval_us)
    return;
  display->interval_us = fastest;
  if (fastest)
    {
      display->due = vm_clock_now (display->clocks, VM_CLOCK_REALTIME);
      display_tick (display);
    }
  else
    vm_timer_cancel (&display->tick);
}

void
vm_console_refresh_now (VmConsole *console)
{
  if (console->ops->refresh)
    console->ops->refresh (console->opaque);
}

void
vm_console_refresh_if_there (VmConsole *console)
{
  g_mutex_lock (&console->display->mutex);
  bool alive = g_ptr_array_find (console->display->consoles, console, NULL);
  g_mutex_unlock (&console->display->mutex);
  if (alive)
    vm_console_refresh_now (console);
}

/* --- the display ------------------------------------------------------------------------------- */

VmDisplay *
vm_display_new (VmLoop *loop, VmClocks *clocks)
{
  VmDisplay *display = g_new0 (VmDisplay, 1);

  display->loop = loop;
  display->clocks = clocks;
  g_mutex_init (&display->mutex);
  display->consoles = g_ptr_array_new ();
  display->listeners = g_ptr_array_new ();
  vm_timer_init (&display->tick, clocks, VM_CLOCK_REALTIME, display_tick, display);
  display->clipboard = vm_clipboard_new (clocks);
  return display;
}

void
vm_display_free (VmDisplay *display)
{
  vm_timer_cancel (&display->tick);
  vm_clipboard_free (display->clipboard);
  g_ptr_array_free (display->consoles, TRUE);
  g_ptr_array_free (display->listeners, TRUE);
  g_mutex_clear (&display->mutex);
  g_free (display);
}

VmLoop *
vm_display_loop (VmDisplay *display)
{
  return display->loop;
}

VmClocks *
vm_display_clocks (VmDisplay *display)
{
  return display->clocks;
}

VmClipboard *
vm_display_clipboard (VmDisplay *display)
{
  return display->clipboard;
}

VmAgent *
vm_display_agent (VmDisplay *display)
{
  return display->agent;
}

VmAgentState
vm_display_agent_state (VmDisplay *display)
{
  g_mutex_lock (&display->mutex);
  VmAgentState state = display->agent_state;
  g_mutex_unlock (&display->mutex);
  return state;
}

void
vm_display_set_agent (VmDisplay *display, VmAgent *agent, const VmAgentState *state)
{
  display->agent = agent;
  g_mutex_lock (&display->mutex);
  display->agent_state = agent ? *state : (VmAgentState) { 0 };
  display_notify (display, listener_agent_changed, NULL);
  g_mutex_unlock (&display->mutex);
}

unsigned
vm_display_n_consoles (VmDisplay *display)
{
  g_mutex_lock (&display->mutex);
  unsigned n = display->consoles->len;
  g_mutex_unlock (&display->mutex);
  return n;
}

VmConsole *
vm_display_console (VmDisplay *display, unsigned index)
{
  g_mutex_lock (&display->mutex);
  VmConsole *console = index < display->consoles->len ? display->consoles->pdata[index] : NULL;
  g_mutex_unlock (&display->mutex);
  return console;
}

VmConsole *
vm_display_ref_console (VmDisplay *display, unsigned index)
{
  g_mutex_lock (&display->mutex);
  VmConsole *console = index < display->consoles->len ? display->consoles->pdata[index] : NULL;
  if (console)
    vm_console_ref (console);
  g_mutex_unlock (&display->mutex);
  return console;
}

VmConsole *
vm_display_find_console (VmDisplay *display, const char *device_id, unsigned head)
{
  for (unsigned i = 0; i < vm_display_n_consoles (display); i++)
    {
      VmConsole *console = vm_display_console (display, i);

      if (console && console->device && console->head == head
          && (!device_id || g_strcmp0 (console->device->parent.id, device_id) == 0))
        return console;
    }
  return NULL;
}

/* --- consoles ---------------------------------------------------------------------------------- */

static void
console_send_ui_info (void *opaque)
{
  VmConsole *console = opaque;

  g_mutex_lock (&console->display->mutex);
  VmUiInfo info = console->ui_info;
  bool waiting = console->ui_info_waiting;
  console->ui_info_waiting = false;
  if (waiting)
    {
      console->granted = info;
      console->was_granted = true;
      display_notify (console->display, listener_ui_info_changed, console);
    }
  g_mutex_unlock (&console->display->mutex);
  if (waiting && console->ops->ui_info)
    console->ops->ui_info (console->opaque, &info);
}

static VmConsole *
console_new (VmDisplay *display, char *name, const VmConsoleOps *ops, void *opaque)
{
  VmConsole *console = g_new0 (VmConsole, 1);

  console->refs = 1;
  console->display = display;
  console->ops = ops;
  console->opaque = opaque;
  console->name = name;
  g_mutex_init (&console->pixels);
  vm_timer_init (&console->ui_info_timer, display->clocks, VM_CLOCK_REALTIME, console_send_ui_info, console);
  return console;
}

static void
console_publish (VmConsole *console)
{
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  console->index = display->consoles->len;
  g_ptr_array_add (display->consoles, console);
  display_notify (display, listener_consoles_changed, NULL);
  g_mutex_unlock (&display->mutex);
}

/* Slots and functions on the way from the root, as the buses name them for firmware: "pci@i0cf8/display@2", "x@1,3". */
static char *
address_of (VmDevice *device)
{
  g_autofree char *below = g_strdup ("");

  for (VmDevice *dev = device; dev && dev->bus && dev->bus->device_path && !strcmp (dev->bus->type_name, "PCI");
       dev = dev->bus->owner)
    {
      g_autofree char *name = dev->bus->device_path (dev->bus, dev);
      const char *at = name ? strrchr (name, '@') : NULL;
      char *rest;
      if (!at)
        break;
      guint64 slot = g_ascii_strtoull (at + 1, &rest, 16),
              function = *rest == ',' ? g_ascii_strtoull (rest + 1, NULL, 16) : 0;
      g_autofree char *all = g_strdup_printf ("/%02x.%x%s", (unsigned) slot, (unsigned) function, below);
      if (g_str_has_prefix (name, "pci@"))
        return g_strconcat ("pci/0000", all, NULL);
      g_free (below);
      below = g_steal_pointer (&all);
    }
  return g_strdup ("");
}

VmConsole *
vm_console_new (VmDisplay *display, VmDevice *device, unsigned head, const VmConsoleOps *ops, void *opaque)
{
  const char *id = device ? device->parent.id : NULL;

  /* Board-made devices have generated ids ("VGA[0]"): the type name is what people know. */
  if (device && (!id || strchr (id, '[')))
    id = device->parent.type->name;
  char *name = head ? g_strdup_printf ("%s.%u", id ? id : "vc", head) : g_strdup (id ? id : "vc");
  VmConsole *console = console_new (display, name, ops, opaque);
  console->device = device;
  console->address = address_of (device);
  console->head = head;
  console_publish (console);
  return console;
}

VmConsole *
vm_console_new_text (VmDisplay *display, const char *name, const VmConsoleOps *ops, void *opaque)
{
  VmConsole *console = console_new (display, g_strdup (name), ops, opaque);

  console_publish (console);
  return console;
}

void
vm_console_free (VmConsole *console)
{
  VmDisplay *display = console->display;

  vm_timer_cancel (&console->ui_info_timer);
  g_mutex_lock (&display->mutex);
  display->consoles->pdata[console->index] = NULL;
  for (unsigned i = 0; i < display->listeners->len; i++)
    {
      VmListener *listener = display->listeners->pdata[i];

      if (listener->console == console)
        listener->interval_us = 0;
    }
  display_notify (display, listener_consoles_changed, NULL);
  VmSurface *surface = g_steal_pointer (&console->surface);
  VmCursor *cursor = g_steal_pointer (&console->cursor);
  VmCells *cells = g_steal_pointer (&console->cells);
  vm_damage_clear (&console->damage);
  g_mutex_unlock (&display->mutex);

  vm_surface_unref (surface);
  vm_cursor_unref (cursor);
  vm_cells_unref (cells);
  vm_console_unref (console);
}

VmConsole *
vm_console_ref (VmConsole *console)
{
  g_atomic_int_inc (&console->refs);
  return console;
}

void
vm_console_unref (VmConsole *console)
{
  if (!g_atomic_int_dec_and_test (&console->refs))
    return;
  g_mutex_clear (&console->pixels);
  g_free (console->name);
  g_free (console->address);
  g_free (console);
}

const char *
vm_console_address (VmConsole *console)
{
  return console->address ? console->address : "";
}

const char *
vm_console_name (VmConsole *console)
{
  return console->name;
}

unsigned
vm_console_index (VmConsole *console)
{
  return console->index;
}

unsigned
vm_console_head (VmConsole *console)
{
  return console->head;
}

bool
vm_console_wants_ui_info (VmConsole *console)
{
  return console->ops->ui_info || (!console->ops->type && vm_display_agent_state (console->display).resize);
}

bool
vm_console_ui_info (VmConsole *console, VmUiInfo *info)
{
  g_mutex_lock (&console->display->mutex);
  bool was = console->was_granted;
  *info = console->granted;
  g_mutex_unlock (&console->display->mutex);
  return was;
}

void
vm_console_size (VmConsole *console, int *width, int *height)
{
  g_mutex_lock (&console->display->mutex);
  *width = console->surface ? console->surface->width : 0;
  *height = console->surface ? console->surface->height : 0;
  g_mutex_unlock (&console->display->mutex);
}

void
vm_console_lock (VmConsole *console)
{
  g_mutex_lock (&console->pixels);
}

void
vm_console_unlock (VmConsole *console)
{
  g_mutex_unlock (&console->pixels);
}

void
vm_console_set_surface (VmConsole *console, VmSurface *surface)
{
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  VmSurface *old = console->surface;
  console->surface = surface;
  if (surface)
    {
      vm_damage_resize (&console->damage, surface->width, surface->height);
      console->surface_serial = console->damage.serial;
      display_notify (display, listener_damaged, console);
    }
  g_mutex_unlock (&display->mutex);
  vm_surface_unref (old);
}

VmSurface *
vm_console_surface (VmConsole *console)
{
  return console->surface;
}

void
vm_console_damage (VmConsole *console, int x, int y, int width, int height)
{
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  vm_damage_add (&console->damage, x, y, width, height);
  display_notify (display, listener_damaged, console);
  g_mutex_unlock (&display->mutex);
}

void
vm_console_set_cursor (VmConsole *console, VmCursor *cursor)
{
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  VmCursor *old = console->cursor;
  console->cursor = cursor;
  console->cursor_serial++;
  display_notify (display, listener_cursor_changed, console);
  g_mutex_unlock (&display->mutex);
  vm_cursor_unref (old);
}

void
vm_console_move_cursor (VmConsole *console, int x, int y, bool visible)
{
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  console->cursor_x = x;
  console->cursor_y = y;
  console->cursor_visible = visible;
  display_notify (display, listener_cursor_changed, console);
  g_mutex_unlock (&display->mutex);
}

/* --- text -------------------------------------------------------------------------------------- */

void
vm_console_set_cells (VmConsole *console, VmCells *cells)
{
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  VmCells *old = console->cells;
  console->cells = cells;
  if (old || cells)
    display_notify (display, listener_damaged, console);
  g_mutex_unlock (&display->mutex);
  vm_cells_unref (old);
}

VmCells *
vm_console_cells (VmConsole *console)
{
  g_mutex_lock (&console->display->mutex);
  VmCells *cells = console->cells ? vm_cells_ref (console->cells) : NULL;
  g_mutex_unlock (&console->display->mutex);
  return cells;
}

bool
vm_console_is_text (VmConsole *console)
{
  return console->ops->type != NULL;
}

typedef struct Typed {
  VmConsole *console;
  uint32_t   keysym;
  unsigned   modifiers;
} Typed;

static void
console_take_typed (void *opaque)
{
  g_autofree Typed *typed = opaque;
  VmConsole *console = typed->console;
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  bool alive = g_ptr_array_find (display->consoles, console, NULL);
  console->typed--;
  g_mutex_unlock (&display->mutex);
  if (alive)
    console->ops->type (console->opaque, typed->keysym, typed->modifiers);
  vm_console_unref (console);
}

void
vm_console_type (VmConsole *console, uint32_t keysym, unsigned modifiers)
{
  g_mutex_lock (&console->display->mutex);
  bool room = vm_console_is_text (console) && console->typed < TYPED_MAX;
  if (room)
    console->typed++;
  g_mutex_unlock (&console->display->mutex);
  if (!room)
    return;
  Typed *typed = g_new (Typed, 1);
  *typed = (Typed) { vm_console_ref (console), keysym, modifiers };
  vm_loop_post (console->display->loop, console_take_typed, typed);
}

/* --- wishes ------------------------------------------------------------------------------------ */

typedef struct UiInfoRequest {
  VmConsole *console;
  VmDisplay *display;
  VmUiInfo   info;
} UiInfoRequest;

static void
console_take_ui_info (void *opaque)
{
  g_autofree UiInfoRequest *request = opaque;
  VmDisplay *display = request->display;
  bool alive;

  /* The device may have gone between the viewer's wish and now. */
  g_mutex_lock (&display->mutex);
  alive = g_ptr_array_find (display->consoles, request->console, NULL);
  if (alive)
    {
      request->console->ui_info = request->info;
      request->console->ui_info_waiting = true;
    }
  g_mutex_unlock (&display->mutex);
  if (alive)
    vm_timer_set (&request->console->ui_info_timer,
                  vm_clock_now (display->clocks, VM_CLOCK_REALTIME) + 200 * VM_NS_PER_MS);
}

void
vm_console_request_ui_info (VmConsole *console, const VmUiInfo *info)
{
  UiInfoRequest *request = g_new (UiInfoRequest, 1);

  *request = (UiInfoRequest) { console, console->display, *info };
  vm_loop_post (console->display->loop, console_take_ui_info, request);
}

/* --- listeners --------------------------------------------------------------------------------- */

void
vm_listener_add (VmDisplay *display, VmListener *listener, VmConsole *console)
{
  listener->console = console;
  listener->serial = listener->cursor_serial = 0;
  listener->notified = false;
  g_mutex_lock (&display->mutex);
  g_ptr_array_add (display->listeners, listener);
  g_mutex_unlock (&display->mutex);
  vm_loop_post (display->loop, display_retime, display);
}

void
vm_listener_remove (VmDisplay *display, VmListener *listener)
{
  g_mutex_lock (&display->mutex);
  g_ptr_array_remove (display->listeners, listener);
  g_mutex_unlock (&display->mutex);
  vm_loop_post (display->loop, display_retime, display);
}

void
vm_listener_set_interval (VmDisplay *display, VmListener *listener, uint32_t interval_us)
{
  g_mutex_lock (&display->mutex);
  listener->interval_us = interval_us;
  g_mutex_unlock (&display->mutex);
  vm_loop_post (display->loop, display_retime, display);
}

VmSurface *
vm_listener_pull (VmListener *listener, VmConsole *console, VmRect *rects, unsigned max_rects,
                  unsigned *n_rects, bool *changed)
{
  VmDisplay *display = console->display;
  VmSurface *surface = NULL;

  *n_rects = 0;
  *changed = false;
  g_mutex_lock (&display->mutex);
  listener->notified = false;
  if (console->surface)
    {
      surface = vm_surface_ref (console->surface);
      *changed = listener->serial < console->surface_serial;
      *n_rects = vm_damage_since (&console->damage, listener->serial, rects, max_rects);
      listener->serial = console->damage.serial;
    }
  g_mutex_unlock (&display->mutex);
  return surface;
}

VmCursor *
vm_listener_cursor (VmListener *listener, VmConsole *console, int *x, int *y, bool *visible, bool *changed)
{
  VmDisplay *display = console->display;

  g_mutex_lock (&display->mutex);
  VmCursor *cursor = console->cursor;
  if (cursor)
    g_atomic_int_inc (&cursor->refs);
  *x = console->cursor_x;
  *y = console->cursor_y;
  *visible = console->cursor_visible;
  *changed = listener->cursor_serial != console->cursor_serial;
  listener->cursor_serial = console->cursor_serial;
  g_mutex_unlock (&display->mutex);
  return cursor;
}
