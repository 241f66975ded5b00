/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Consoles: what a graphics device shows and what viewers see.
 *
 * A device publishes a surface (pixels in shared memory) and damages rectangles of it. Each viewer, the local
 * window included, is a listener that PULLS on its own frame tick: it takes the damage since its last serial
 * under the surface's short lock and copies just those rectangles. Slow viewers skip frames; none slows the
 * guest. The device's refresh runs on the engine loop at the rate of the fastest visible listener and not at all
 * when nobody looks. */
#pragma once

#include "engine/bus/device.h"

typedef struct VmConsole  VmConsole;
typedef struct VmSurface  VmSurface;
typedef struct VmListener VmListener;
typedef struct VmAgent    VmAgent; /* engine/agent/agent.h */
typedef struct VmCells    VmCells; /* engine/display/cells.h */

typedef struct VmRect {
  int x, y, width, height;
} VmRect;

/* --- surfaces ---------------------------------------------------------------------------------- */

/* Pixel formats by their 32-bit little-endian word; viewers see only X8R8G8B8, devices convert. */
typedef enum VmPixelFormat { VM_PIXEL_X8R8G8B8 } VmPixelFormat;

#define VM_SURFACE_MAX 16384
struct VmSurface {
  int      refs;          /* atomic */
  int width, height;      /* pixels, 1..VM_SURFACE_MAX */
  int      stride;        /* bytes */
  uint8_t *data;          /* of memory shared with nobody outside the process, or with FD */
  size_t   size;
  int      fd;            /* memfd for viewers in other processes; -1 */
  uint64_t fd_offset;     /* of DATA in it */
  void (*release) (VmSurface *surface); /* NULL: DATA is unmapped */
  VmRamBlock *ram;        /* a part of this, where the guest draws at any time; NULL: the engine alone draws */
  bool     placeholder;   /* "guest has not initialised the display yet" text picture */
};

VmSurface *vm_surface_new (int width, int height); /* zeroed (black); NULL when out of bounds or memory */
/* Pixels that the guest keeps as viewers want them, from OFFSET of RAM on. What one does with them may not depend on
 * their staying the same, whatever is locked. NULL when they are not all there. */
VmSurface *vm_surface_new_ram (VmRamBlock *ram, uint64_t offset, int width, int height, int stride);
VmSurface *vm_surface_ref (VmSurface *surface);
void       vm_surface_unref (VmSurface *surface);

/* --- the device's side (engine loop or vCPU, machine lock held) ----------------------------------- */

typedef struct VmUiInfo { /* what a viewer would like the output to be */
  uint32_t width, height;       /* pixels; 0: output off */
  uint16_t width_mm, height_mm; /* 0: not known */
  int32_t  xoff, yoff;
  uint32_t refresh_mhz;         /* millihertz */
} VmUiInfo;

typedef struct VmConsoleOps {
  /* Bring the surface up to date: convert what the guest changed, damage it. Called before listeners' ticks. */
  void (*refresh) (void *opaque);
  /* Everything must be drawn again on the next refresh. */
  void (*invalidate) (void *opaque);
  /* A wish; the device may tell the guest (EDID, config interrupt). NULL: cannot. */
  void (*ui_info) (void *opaque, const VmUiInfo *info);
  /* Of text consoles alone: a key was typed at it. vm_console_type() */
  void (*type) (void *opaque, uint32_t keysym, unsigned modifiers);
} VmConsoleOps;

VmConsole *vm_console_new (VmDisplay *display, VmDevice *device, unsigned head, const VmConsoleOps *ops, void *opaque);
/* A text console; its name is that of its back end. */
VmConsole *vm_console_new_text (VmDisplay *display, const char *name, const VmConsoleOps *ops, void *opaque);
void       vm_console_free (VmConsole *console);
/* The console takes over the caller's reference; the old surface goes when its last viewer let go. */
void       vm_console_set_surface (VmConsole *console, VmSurface *surface);
VmSurface *vm_console_surface (VmConsole *console); /* borrowed; device's side only */
void       vm_console_damage (VmConsole *console, int x, int y, int width, int height); /* clipped */
/* The same as text, for viewers of characters: takes over the reference. NULL: what is shown is no text. */
void       vm_console_set_cells (VmConsole *console, VmCells *cells);
/* Held by the device while it writes pixels, by a listener while it reads them. Short. */
void       vm_console_lock (VmConsole *console);
void       vm_console_unlock (VmConsole *console);

/* A hardware cursor: premultiplied ARGB, or NULL for none. VISIBLE and place separately. */
typedef struct VmCursor {
  int      refs;
  int      width, height, hot_x, hot_y;
  uint32_t data[];
} VmCursor;
VmCursor *vm_cursor_new (int width, int height); /* at most 512 x 512; NULL otherwise */
void      vm_cursor_unref (VmCursor *cursor);
void      vm_console_set_cursor (VmConsole *console, VmCursor *cursor); /* takes the reference */
void      vm_console_move_cursor (VmConsole *console, int x, int y, bool visible);

/* --- the viewers' side (any thread) -------------------------------------------------------------- */

VmDisplay  *vm_display_new (VmLoop *loop, VmClocks *clocks);
void        vm_display_free (VmDisplay *display);
unsigned    vm_display_n_consoles (VmDisplay *display);
VmConsole  *vm_display_console (VmDisplay *display, unsigned index);  /* NULL past the end */
VmConsole  *vm_display_find_console (VmDisplay *display, const char *device_id, unsigned head);
const char *vm_console_name (VmConsole *console);   /* for tabs: the device's id or type name, ".head" when many */
unsigned    vm_console_index (VmConsole *console);
unsigned    vm_console_head (VmConsole *console);   /* of its device */
bool        vm_console_wants_ui_info (VmConsole *console); /* its device or an agent in the guest does */
void        vm_console_size (VmConsole *console, int *width, int *height); /* of the picture now; 0: none */
VmLoop     *vm_display_loop (VmDisplay *display);   /* the engine's */
VmClocks   *vm_display_clocks (VmDisplay *display);
/* A viewer on another thread than the engine's keeps a reference: a console whose device has gone has no surface and
 * hears no wishes, but may still be asked. */
VmConsole  *vm_console_ref (VmConsole *console);
void        vm_console_unref (VmConsole *console);
VmConsole  *vm_display_ref_console (VmDisplay *display, unsigned index); /* NULL: there is none */

/* Told when there may be something to pull or a console came or went; called on the engine loop, must only
 * post to its own. */
typedef struct VmListenerOps {
  void (*damaged) (VmListener *listener, VmConsole *console);        /* at most once until the next pull */
  void (*cursor_changed) (VmListener *listener, VmConsole *console);
  void (*consoles_changed) (VmListener *listener);
  void (*ui_info_changed) (VmListener *listener, VmConsole *console); /* vm_console_ui_info() */
  void (*agent_changed) (VmListener *listener);                       /* vm_display_agent_state() */
} VmListenerOps;

struct VmListener {
  const VmListenerOps *ops;
  VmConsole           *console;     /* NULL: hears of all consoles */
  uint64_t             serial;      /* damage already taken */
  uint64_t             cursor_serial;
  uint32_t             interval_us; /* wanted refresh: 16667 for 60 Hz, 0: not visible */
  bool                 notified;
};

void vm_listener_add (VmDisplay *display, VmListener *listener, VmConsole *console);
void vm_listener_remove (VmDisplay *display, VmListener *listener);
void vm_listener_set_interval (VmDisplay *display, VmListener *listener, uint32_t interval_us);

/* Takes the damage since the listener's last pull. Returns the present surface with a reference and fills RECTS
 * (at most N, merged to fit) and *N_RECTS; *CHANGED: it is another surface than last time (draw all). Read pixels only
 * between vm_console_lock and _unlock. NULL when the console has no surface. */
VmSurface *vm_listener_pull (VmListener *listener, VmConsole *console, VmRect *rects, unsigned max_rects,
                             unsigned *n_rects, bool *changed);
/* The cursor now; *CHANGED since the listener's last call. Reference is the caller's; NULL: none. */
VmCursor  *vm_listener_cursor (VmListener *listener, VmConsole *console, int *x, int *y, bool *visible, bool *changed);
/* A viewer's wish for the output size; posted to the engine, the last of quick repeats wins after 200 ms. */
void       vm_console_request_ui_info (VmConsole *console, const VmUiInfo *info);
/* Text consoles ("vc" character back ends) come after those of graphics devices. They hear keys of vm_input_key(), too, while
 * viewers that know the symbol type that. Terminals of a viewer's own read engine/char/text.h instead. */
bool       vm_console_is_text (VmConsole *console);
enum { VM_TYPE_SHIFT = 1, VM_TYPE_CTRL = 2, VM_TYPE_ALT = 4 };
/* KEYSYM as the X protocol has it (Latin-1 as it is, other characters 0x01000000 + Unicode). Shift that is in the symbol
 * already does no harm. */
void       vm_console_type (VmConsole *console, uint32_t keysym, unsigned modifiers);
/* What it shows as text, with a reference; NULL: no text. A listener's damaged() tells of changes. */
VmCells   *vm_console_cells (VmConsole *console);
/* The wish that was granted last; false: there was none. */
bool       vm_console_ui_info (VmConsole *console, VmUiInfo *info);
/* Refreshes once now and calls DONE on the engine loop: screenshots and tests. Engine loop only. */
void       vm_console_refresh_now (VmConsole *console);
/* The same of a reference to one whose device may have gone. */
void       vm_console_refresh_if_there (VmConsole *console);

/* Writes the present picture; FORMAT "ppm" or "png". Engine loop; the surface is copied first. */
bool       vm_console_screendump (VmConsole *console, const char *path, const char *format, GError **error);

/* --- the agent in the guest -------------------------------------------------------------------- */

typedef struct VmAgentState {
  bool present;   /* the machine has a channel for one */
  bool connected; /* it has said what it can: */
  bool clipboard, resize, mouse, files;
} VmAgentState;

VmAgentState vm_display_agent_state (VmDisplay *display); /* any thread */
VmAgent     *vm_display_agent (VmDisplay *display);       /* engine loop; NULL: none */
/* Engine loop. AGENT NULL: there is none any more. */
void         vm_display_set_agent (VmDisplay *display, VmAgent *agent, const VmAgentState *state);
