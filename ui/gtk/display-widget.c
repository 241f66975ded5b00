/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a console's damage to pixels on the screen.
 *
 * The engine pokes a waker when something was damaged; that asks for a frame tick; the tick pulls the rectangles and
 * redraws what they cover. Between damage nothing runs. */
#include "config.h"

#include "ui/gtk/display-widget.h"

#include <epoxy/gl.h>
#include <glib/gi18n-lib.h>
#include <math.h>

#include "engine/base/log.h"
#include "ui/gtk/cairo-painter.h"
#include "ui/gtk/gl-painter.h"
#include "ui/gtk/waker.h"

#define MAX_RECTS  64
#define DIM        0.4 /* brightness of the last picture of a stopped machine */
#define DEFAULT_HZ 60

struct _VmDisplayWidget {
  GtkEventBox    parent_instance;
  VmSession     *session;
  VmConsole     *console;
  unsigned       index;  /* the console's place in the display's list, while it is alive */
  VmUiOptions    options;
  VmListener     listener;
  GSource       *waker;
  guint          tick; /* frame tick callback; 0: none */

  GtkWidget     *canvas; /* GtkGLArea or GtkDrawingArea; NULL until realized */
  bool           use_gl;
  VmGlPainter   *gl;
  VmCairoPainter cairo;
  bool           redraw_all; /* the painter lost or never had the picture */

  VmGuestView    view;
  bool           agent_resizes; /* the guest's agent has been told what size is wanted */
  bool           dimmed;
  VmPointerLook  look;
  VmCursor      *cursor;
  int            cursor_x, cursor_y;
  bool           cursor_visible;
};

G_DEFINE_TYPE (VmDisplayWidget, vm_display_widget, GTK_TYPE_EVENT_BOX)

enum { RESIZED, N_SIGNALS };
static guint signals[N_SIGNALS];

/* --- listener: the engine's threads ---------------------------------------------------------------- */

static VmDisplayWidget *
display_of_listener (VmListener *listener)
{
  return VM_CONTAINER_OF (listener, VmDisplayWidget, listener);
}

static void
display_damaged (VmListener *listener, VmConsole *console)
{
  vm_waker_poke (display_of_listener (listener)->waker);
}

static void
display_agent_changed (VmListener *listener)
{
  vm_waker_poke (display_of_listener (listener)->waker);
}

static const VmListenerOps display_listener_ops = {
  .damaged = display_damaged,
  .cursor_changed = display_damaged,
  .agent_changed = display_agent_changed,
};

/* --- geometry -------------------------------------------------------------------------------------- */

static int
display_scale (VmDisplayWidget *self)
{
  return gtk_widget_get_scale_factor (GTK_WIDGET (self));
}

static void
display_layout (VmDisplayWidget *self)
{
  int scale = display_scale (self);

  self->view.area_width = gtk_widget_get_allocated_width (GTK_WIDGET (self)) * scale;
  self->view.area_height = gtk_widget_get_allocated_height (GTK_WIDGET (self)) * scale;
  vm_guest_view_layout (&self->view);
  if (self->canvas)
    gtk_widget_queue_draw (self->canvas);
}

/* At a fixed zoom the widget asks for the room it needs; the window or its scroll bars do the rest. */
static void
display_request_size (VmDisplayWidget *self)
{
  int width = -1, height = -1, scale = display_scale (self);

  self->view.unit = self->view.zoom.logical ? scale : 1;
  if (self->view.zoom.mode == VM_ZOOM_FIXED && self->view.guest_width)
    {
      vm_guest_view_wanted (&self->view, &width, &height);
      width = (width + scale - 1) / scale;
      height = (height + scale - 1) / scale;
    }
  gtk_widget_set_size_request (GTK_WIDGET (self), width, height);
}

/* The engine may have taken the console away already; the word of it is on its way to the window. */
static bool
display_console_is_there (VmDisplayWidget *self)
{
  return vm_display_console (vm_session_display (self->session), self->index) == self->console;
}

/* Tells the guest how big the picture would best be. */
static void
display_request_mode (VmDisplayWidget *self)
{
  GdkWindow *window = gtk_widget_get_window (GTK_WIDGET (self));

  if (self->view.zoom.mode == VM_ZOOM_FIXED || !self->view.zoom.hints || !window || !display_console_is_there (self)
      || !vm_console_wants_ui_info (self->console) || self->view.area_width < 64 || self->view.area_height < 64)
    return;

  GdkMonitor *monitor = gdk_display_get_monitor_at_window (gdk_window_get_display (window), window);
  int scale = display_scale (self), unit = self->view.zoom.logical ? scale : 1;
  VmUiInfo info = { .width = self->view.area_width / unit, .height = self->view.area_height / unit };
  GdkRectangle whole;

  gdk_monitor_get_geometry (monitor, &whole);
  if (whole.width > 0 && whole.height > 0)
    {
      info.width_mm = (int64_t) gdk_monitor_get_width_mm (monitor) * self->view.area_width / (whole.width * scale);
      info.height_mm = (int64_t) gdk_monitor_get_height_mm (monitor) * self->view.area_height / (whole.height * scale);
    }
  info.refresh_mhz = gdk_monitor_get_refresh_rate (monitor);
  vm_console_request_ui_info (self->console, &info);
}

/* --- pulling --------------------------------------------------------------------------------------- */

static void display_replace_canvas (VmDisplayWidget *self, bool use_gl);

/* Whether the painter is there and has room for the guest's picture. */
static bool
display_prepare_painter (VmDisplayWidget *self, const VmSurface *surface)
{
  if (!self->use_gl)
    return true;
  if (!self->gl)
    return false;
  gtk_gl_area_make_current (GTK_GL_AREA (self->canvas));
  if (vm_gl_painter_resize (self->gl, surface->width, surface->height))
    return true;
  vm_report_warning ("the picture is too big for OpenGL here: drawing without it");
  display_replace_canvas (self, false);
  return true;
}

static void
display_take (VmDisplayWidget *self, VmSurface *surface, const VmRect *rects, unsigned n)
{
  if (!self->use_gl)
    {
      vm_cairo_painter_set_surface (&self->cairo, gtk_widget_get_window (GTK_WIDGET (self)), surface);
      return;
    }
  vm_console_lock (self->console);
  vm_gl_painter_upload (self->gl, surface, rects, n);
  vm_console_unlock (self->console);
}

static void
display_queue_draw (VmDisplayWidget *self, const VmRect *rects, unsigned n)
{
  double scale = display_scale (self);

  if (self->use_gl)
    {
      gtk_widget_queue_draw (self->canvas);
      return;
    }
  for (unsigned i = 0; i < n; i++)
    {
      VmRect rect = vm_guest_view_from_guest (&self->view, rects[i]);
      int x = floor (rect.x / scale), y = floor (rect.y / scale);

      gtk_widget_queue_draw_area (self->canvas, x, y, ceil ((rect.x + rect.width) / scale) - x,
                                  ceil ((rect.y + rect.height) / scale) - y);
    }
}

static void
display_set_guest_size (VmDisplayWidget *self, int width, int height)
{
  if (self->view.guest_width == width && self->view.guest_height == height)
    return;
  self->view.guest_width = width;
  self->view.guest_height = height;
  display_request_size (self);
  display_layout (self);
  g_signal_emit (self, signals[RESIZED], 0);
}

static void
display_pull (VmDisplayWidget *self)
{
  VmRect rects[MAX_RECTS];
  unsigned n;
  bool changed;

  if (!self->canvas)
    return;
  if (self->redraw_all)
    self->listener.serial = 0;
  VmSurface *surface = vm_listener_pull (&self->listener, self->console, rects, MAX_RECTS, &n, &changed);
  if (!surface || surface->placeholder)
    {
      display_set_guest_size (self, 0, 0);
    }
  else if (display_prepare_painter (self, surface))
    {
      if (changed || self->redraw_all)
        {
          rects[0] = (VmRect) { 0, 0, surface->width, surface->height };
          n = 1;
        }
      self->redraw_all = false;
      display_set_guest_size (self, surface->width, surface->height);
      display_take (self, surface, rects, n);
      display_queue_draw (self, rects, n);
    }
  vm_surface_unref (surface);
}

/* --- the pointer ----------------------------------------------------------------------------------- */

static GdkCursor *
display_guest_cursor (VmDisplayWidget *self, GdkDisplay *host)
{
  if (!self->cursor || !self->cursor_visible)
    return gdk_cursor_new_for_display (host, self->options.show_cursor ? GDK_LEFT_PTR : GDK_BLANK_CURSOR);

  double scale = display_scale (self);
  cairo_surface_t *surface = vm_cairo_cursor_surface (self->cursor);
  cairo_surface_set_device_scale (surface, scale, scale);
  GdkCursor *cursor = gdk_cursor_new_from_surface (host, surface, CLAMP (self->cursor->hot_x, 0, self->cursor->width - 1) / scale,
                                                   CLAMP (self->cursor->hot_y, 0, self->cursor->height - 1) / scale);
  cairo_surface_destroy (surface);
  return cursor;
}

static void
display_show_pointer (VmDisplayWidget *self)
{
  GdkWindow *window = gtk_widget_get_window (GTK_WIDGET (self));

  if (!window)
    return;
  GdkDisplay *host = gdk_window_get_display (window);
  g_autoptr (GdkCursor) cursor = NULL;
  if (self->look == VM_POINTER_GUEST)
    cursor = display_guest_cursor (self, host);
  else if (self->look == VM_POINTER_DRAWN)
    cursor = gdk_cursor_new_for_display (host, GDK_BLANK_CURSOR);
  gdk_window_set_cursor (window, cursor);
}

static void
display_pull_cursor (VmDisplayWidget *self)
{
  bool changed, visible, was_visible = self->cursor_visible;
  int x, y;
  VmCursor *cursor = vm_listener_cursor (&self->listener, self->console, &x, &y, &visible, &changed);

  vm_cursor_unref (self->cursor);
  self->cursor = cursor;
  if (self->look == VM_POINTER_DRAWN && self->canvas
      && (changed || visible != was_visible || (visible && (x != self->cursor_x || y != self->cursor_y))))
    gtk_widget_queue_draw (self->canvas);
  self->cursor_x = x;
  self->cursor_y = y;
  self->cursor_visible = visible;
  if (changed || visible != was_visible)
    display_show_pointer (self);
}

/* --- frame tick ------------------------------------------------------------------------------------ */

static gboolean
display_tick (GtkWidget *widget, GdkFrameClock *clock, gpointer user_data)
{
  VmDisplayWidget *self = VM_DISPLAY_WIDGET (widget);

  self->tick = 0;
  if (display_console_is_there (self))
    {
      display_pull (self);
      display_pull_cursor (self);
    }
  return G_SOURCE_REMOVE;
}

static gboolean
display_wake (gpointer user_data)
{
  VmDisplayWidget *self = user_data;
  bool resizes = vm_display_agent_state (vm_session_display (self->session)).resize;

  /* An agent that has come has not heard of the size. */
  if (resizes && !self->agent_resizes)
    display_request_mode (self);
  self->agent_resizes = resizes;
  if (!self->tick && gtk_widget_get_mapped (GTK_WIDGET (self)))
    self->tick = gtk_widget_add_tick_callback (GTK_WIDGET (self), display_tick, NULL, NULL);
  return G_SOURCE_CONTINUE;
}

/* --- drawing --------------------------------------------------------------------------------------- */

static const VmCursor *
display_drawn_cursor (VmDisplayWidget *self)
{
  return self->look == VM_POINTER_DRAWN && self->cursor_visible ? self->cursor : NULL;
}

static gboolean
display_draw (GtkWidget *canvas, cairo_t *cr, VmDisplayWidget *self)
{
  double scale = display_scale (self);

  cairo_scale (cr, 1 / scale, 1 / scale);
  vm_cairo_painter_draw (&self->cairo, cr, &self->view, self->dimmed ? DIM : 1, display_drawn_cursor (self),
                         self->cursor_x, self->cursor_y);
  return TRUE;
}

static gboolean
display_render (GtkGLArea *area, GdkGLContext *context, VmDisplayWidget *self)
{
  if (self->gl)
    vm_gl_painter_draw (self->gl, &self->view, self->dimmed ? DIM : 1, display_drawn_cursor (self), self->cursor_x,
                        self->cursor_y);
  return TRUE;
}

static void
display_gl_realize (GtkGLArea *area, VmDisplayWidget *self)
{
  g_autoptr (GError) error = NULL;

  gtk_gl_area_make_current (area);
  if (!gtk_gl_area_get_error (area))
    self->gl = vm_gl_painter_new (gtk_gl_area_get_use_es (area), &error);
  self->redraw_all = true;
  vm_waker_poke (self->waker);
}

static void
display_gl_unrealize (GtkGLArea *area, VmDisplayWidget *self)
{
  gtk_gl_area_make_current (area);
  g_clear_pointer (&self->gl, vm_gl_painter_free);
}

static void
display_replace_canvas (VmDisplayWidget *self, bool use_gl)
{
  if (self->canvas)
    gtk_widget_destroy (self->canvas);
  self->use_gl = use_gl;
  if (use_gl)
    {
      self->canvas = gtk_gl_area_new ();
      gtk_gl_area_set_use_es (GTK_GL_AREA (self->canvas), self->options.gl == VM_GL_ES);
      g_signal_connect_after (self->canvas, "realize", G_CALLBACK (display_gl_realize), self);
      g_signal_connect (self->canvas, "unrealize", G_CALLBACK (display_gl_unrealize), self);
      g_signal_connect (self->canvas, "render", G_CALLBACK (display_render), self);
    }
  else
    {
      self->canvas = gtk_drawing_area_new ();
      g_signal_connect (self->canvas, "draw", G_CALLBACK (display_draw), self);
    }
  self->redraw_all = true;
  gtk_container_add (GTK_CONTAINER (self), self->canvas);
  gtk_widget_show (self->canvas);
  vm_waker_poke (self->waker);
}

/* Tries OpenGL once, before a widget depends on it. ERROR says why not. */
static bool
display_probe_gl (VmDisplayWidget *self, GError **error)
{
  g_autoptr (GdkGLContext) context = gdk_window_create_gl_context (gtk_widget_get_window (GTK_WIDGET (self)), error);
  bool es = self->options.gl == VM_GL_ES;

  if (!context)
    return false;
  gdk_gl_context_set_use_es (context, es);
  if (es)
    gdk_gl_context_set_required_version (context, 3, 0);
  if (!gdk_gl_context_realize (context, error))
    return false;
  gdk_gl_context_make_current (context);

  const char *renderer = (const char *) glGetString (GL_RENDERER);
  bool software = !renderer || strstr (renderer, "llvmpipe") || strstr (renderer, "softpipe") || strstr (renderer, "SWR");
  bool ok = false;
  if (gdk_gl_context_is_legacy (context))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("the driver is older than OpenGL 3.2"));
    }
  else if (self->options.gl == VM_GL_AUTO && software)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("OpenGL is done in software"));
    }
  else
    {
      /* Shaders may fail where a context does not. */
      VmGlPainter *painter = vm_gl_painter_new (es, error);
      ok = painter != NULL;
      g_clear_pointer (&painter, vm_gl_painter_free);
    }
  gdk_gl_context_clear_current ();
  return ok;
}

/* --- widget ---------------------------------------------------------------------------------------- */

static void
display_realize (GtkWidget *widget)
{
  VmDisplayWidget *self = VM_DISPLAY_WIDGET (widget);
  g_autoptr (GError) error = NULL;

  GTK_WIDGET_CLASS (vm_display_widget_parent_class)->realize (widget);
  display_show_pointer (self);
  if (self->canvas)
    return;

  bool use_gl = self->options.gl != VM_GL_OFF && display_probe_gl (self, &error);
  if (!use_gl && self->options.gl > VM_GL_OFF)
    vm_report_warning ("-display gtk,gl=on: %s: drawing without OpenGL", error->message);
  display_replace_canvas (self, use_gl);
}

static void
display_map (GtkWidget *widget)
{
  VmDisplayWidget *self = VM_DISPLAY_WIDGET (widget);

  GTK_WIDGET_CLASS (vm_display_widget_parent_class)->map (widget);
  GdkWindow *window = gtk_widget_get_window (widget);
  GdkMonitor *monitor = gdk_display_get_monitor_at_window (gdk_window_get_display (window), window);
  int mhz = monitor ? gdk_monitor_get_refresh_rate (monitor) : 0;
  vm_listener_set_interval (vm_session_display (self->session), &self->listener,
                            1000000000 / CLAMP (mhz > 0 ? mhz : DEFAULT_HZ * 1000, 20000, 250000));
  vm_waker_poke (self->waker);
}

static void
display_unmap (GtkWidget *widget)
{
  VmDisplayWidget *self = VM_DISPLAY_WIDGET (widget);

  vm_listener_set_interval (vm_session_display (self->session), &self->listener, 0);
  if (self->tick)
    gtk_widget_remove_tick_callback (widget, self->tick);
  self->tick = 0;
  GTK_WIDGET_CLASS (vm_display_widget_parent_class)->unmap (widget);
}

static void
display_size_allocate (GtkWidget *widget, GtkAllocation *allocation)
{
  VmDisplayWidget *self = VM_DISPLAY_WIDGET (widget);
  VmGuestView before = self->view;

  GTK_WIDGET_CLASS (vm_display_widget_parent_class)->size_allocate (widget, allocation);
  display_layout (self);
  if (before.area_width != self->view.area_width || before.area_height != self->view.area_height)
    display_request_mode (self);
}

static void
display_scale_changed (VmDisplayWidget *self)
{
  display_request_size (self);
  display_layout (self);
}

static void
display_dispose (GObject *object)
{
  VmDisplayWidget *self = VM_DISPLAY_WIDGET (object);

  if (self->session)
    {
      vm_listener_remove (vm_session_display (self->session), &self->listener);
      vm_waker_free (self->waker);
      self->session = NULL;
    }
  G_OBJECT_CLASS (vm_display_widget_parent_class)->dispose (object);
  vm_cairo_painter_clear (&self->cairo);
  vm_cursor_unref (self->cursor);
  self->cursor = NULL;
  self->canvas = NULL;
}

static void
vm_display_widget_class_init (VmDisplayWidgetClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->dispose = display_dispose;
  widget_class->realize = display_realize;
  widget_class->map = display_map;
  widget_class->unmap = display_unmap;
  widget_class->size_allocate = display_size_allocate;
  gtk_widget_class_set_accessible_role (widget_class, ATK_ROLE_CANVAS);
  gtk_widget_class_set_css_name (widget_class, "guest-display");
  signals[RESIZED] = g_signal_new ("resized", VM_TYPE_DISPLAY_WIDGET, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 0);
}

static void
vm_display_widget_init (VmDisplayWidget *self)
{
  self->view.zoom = (VmZoom) { .percent = 100 };
  self->view.unit = 1;
  gtk_widget_set_can_focus (GTK_WIDGET (self), TRUE);
  /* All events are ours, whatever draws below. */
  gtk_event_box_set_above_child (GTK_EVENT_BOX (self), TRUE);
  g_signal_connect (self, "notify::scale-factor", G_CALLBACK (display_scale_changed), NULL);
}

GtkWidget *
vm_display_widget_new (VmSession *session, VmConsole *console, const VmUiOptions *options)
{
  VmDisplayWidget *self = g_object_new (VM_TYPE_DISPLAY_WIDGET, NULL);

  self->session = session;
  self->console = console;
  self->index = vm_console_index (console);
  self->options = *options;
  self->listener.ops = &display_listener_ops;
  self->waker = vm_waker_new (display_wake, self);
  vm_listener_add (vm_session_display (session), &self->listener, console);

  AtkObject *accessible = gtk_widget_get_accessible (GTK_WIDGET (self));
  /* Translators: %s is the name of a graphics card or output, such as "VGA". */
  g_autofree char *name = g_strdup_printf (_("Screen of %s"), vm_console_name (console));
  atk_object_set_name (accessible, name);
  return GTK_WIDGET (self);
}

VmConsole *
vm_display_widget_console (VmDisplayWidget *self)
{
  return self->console;
}

VmSession *
vm_display_widget_session (VmDisplayWidget *self)
{
  return self->session;
}

bool
vm_display_widget_has_picture (VmDisplayWidget *self)
{
  return self->view.guest_width > 0;
}

void
vm_display_widget_guest_size (VmDisplayWidget *self, int *width, int *height)
{
  *width = self->view.guest_width;
  *height = self->view.guest_height;
}

void
vm_display_widget_set_zoom (VmDisplayWidget *self, const VmZoom *zoom)
{
  VmZoom before = self->view.zoom;

  self->view.zoom = *zoom;
  self->view.zoom.percent = CLAMP (zoom->percent, VM_ZOOM_MIN, VM_ZOOM_MAX);
  display_request_size (self);
  display_layout (self);
  if ((before.mode == VM_ZOOM_FIXED) != (zoom->mode == VM_ZOOM_FIXED) || before.logical != zoom->logical
      || before.hints != zoom->hints)
    display_request_mode (self);
}

void
vm_display_widget_set_dimmed (VmDisplayWidget *self, bool dimmed)
{
  if (self->dimmed == dimmed)
    return;
  self->dimmed = dimmed;
  if (self->canvas)
    gtk_widget_queue_draw (self->canvas);
}

void
vm_display_widget_set_pointer (VmDisplayWidget *self, VmPointerLook look)
{
  if (self->look == look)
    return;
  self->look = look;
  display_show_pointer (self);
  if (self->canvas)
    gtk_widget_queue_draw (self->canvas);
}

bool
vm_display_widget_to_guest (VmDisplayWidget *self, double x, double y, int *guest_x, int *guest_y)
{
  int scale = display_scale (self);

  return vm_guest_view_to_guest (&self->view, x * scale, y * scale, guest_x, guest_y);
}

double
vm_display_widget_pixel_ratio (VmDisplayWidget *self)
{
  return display_scale (self) / vm_guest_view_scale (&self->view);
}

void
vm_display_widget_abandon (VmDisplayWidget *self)
{
  vm_listener_remove (vm_session_display (self->session), &self->listener);
}

void
vm_display_widget_describe (VmDisplayWidget *self, const char *state)
{
  g_autofree char *text = NULL;

  if (vm_display_widget_has_picture (self))
    /* Translators: width and height in pixels, then the machine's state, such as "running". */
    text = g_strdup_printf (_("%d by %d, %s"), self->view.guest_width, self->view.guest_height, state);
  else
    text = g_strdup (state);
  atk_object_set_description (gtk_widget_get_accessible (GTK_WIDGET (self)), text);
}
