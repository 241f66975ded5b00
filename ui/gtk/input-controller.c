/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keyboard and mouse of the guest. Key codes are evdev's (linux/input-event-codes.h): X11 and Wayland both deliver
 * them plus 8. */
#include "config.h"

#include "ui/gtk/input-controller.h"

#include <linux/input-event-codes.h>
#include <math.h>
#ifdef GDK_WINDOWING_WAYLAND
#include <gdk/gdkwayland.h>
#endif

#include "ui/gtk/waker.h"
#include "ui/gtk/x11-focus.h"

#define KEYS      768
#define EVDEV_OF(keycode) ((keycode) - 8)
#define MAX_STALE 8  /* events from before the pointer was put back, at most */
#define LOCK_US 300000 /* the guest may take as long to show a lock */
#define TAP_US 500000 /* Ctrl and Alt held longer are not tapped */
#define HOLD_MS 50
#define HOLD_TRIES 20
#define MIN_WARP  40 /* logical pixels from the centre at which a captured pointer is put back */

struct _VmInputController {
  GObject          parent_instance;
  VmDisplayWidget *widget;
  VmInput         *input;
  VmConsole       *console;
  GSource         *waker;
  bool             show_cursor, hover;

  bool grabbed;         /* by the user */
  bool pointer_grabbed; /* the pointer too */
  bool hover_grabbed;   /* the keyboard, by hovering */
  bool hold;            /* the keyboard shall be grabbed while it is here */
  bool held;            /* so it is */
  bool let_go;          /* the user would not have it, until it comes again */
  guint holding;        /* a timer: it is about to be; 0: it is not */
  unsigned hold_tries;
  VmX11Focus *focus;
  guint losing;         /* an idle function: the keyboard has gone elsewhere; 0: it has not */

  /* What the guest believes to be down: releases go only to keys whose press went there. */
  bool     keys[KEYS];
  uint32_t buttons;

  /* Captured pointer: where it was, and what less than a guest pixel is left over. */
  double   last_x, last_y;
  double   rest_x, rest_y;
  unsigned warp_wait; /* events until the pointer should have arrived at the centre; 0: it has */
  double   wheel_x, wheel_y;
  gint64 tap; /* since when Ctrl and Alt are down, and nothing else was; 0: that is not so */

  uint32_t first_leds; /* what the guest's keyboard showed at the beginning */
  gint64 locked_at;    /* when a lock was set to the desktop's */
  gint shows_leds;     /* atomic: it has shown something else since, if only for a moment: a guest that drives them */

  GdkEventSequence *fingers[VM_TOUCH_SLOTS]; /* NULL: does not touch */
};

G_DEFINE_TYPE (VmInputController, vm_input_controller, G_TYPE_OBJECT)

enum { CHANGED, TAPPED, N_SIGNALS };
static guint signals[N_SIGNALS];

static bool
controller_is_absolute (VmInputController *self)
{
  return vm_input_is_absolute (self->input, self->console);
}

/* --- grabs ----------------------------------------------------------------------------------------- */

static GdkWindow *
controller_window (VmInputController *self)
{
  return gtk_widget_get_window (GTK_WIDGET (self->widget));
}

static GdkSeat *
controller_seat (VmInputController *self)
{
  return gdk_display_get_default_seat (gtk_widget_get_display (GTK_WIDGET (self->widget)));
}

static void
controller_centre (VmInputController *self, double *x, double *y)
{
  *x = gtk_widget_get_allocated_width (GTK_WIDGET (self->widget)) / 2;
  *y = gtk_widget_get_allocated_height (GTK_WIDGET (self->widget)) / 2;
}

static void
controller_warp (VmInputController *self, GdkDevice *pointer)
{
  GdkWindow *window = controller_window (self);
  double x, y;
  int root_x, root_y;

#ifdef GDK_WINDOWING_WAYLAND
  if (GDK_IS_WAYLAND_DISPLAY (gdk_window_get_display (window)))
    return; /* it has no such thing */
#endif
  controller_centre (self, &x, &y);
  gdk_window_get_root_coords (window, x, y, &root_x, &root_y);
  gdk_device_warp (pointer, gdk_window_get_screen (window), root_x, root_y);
  self->warp_wait = MAX_STALE;
}

static void
controller_show_pointer (VmInputController *self)
{
  VmPointerLook look = VM_POINTER_HOST;

  if (self->pointer_grabbed)
    look = self->show_cursor ? VM_POINTER_HOST : VM_POINTER_DRAWN;
  else if (controller_is_absolute (self))
    look = VM_POINTER_GUEST;
  vm_display_widget_set_pointer (self->widget, look);
}

/* Makes the seat's grab what the flags say it should be. */
static void
controller_apply_grab (VmInputController *self)
{
  GdkSeat *seat = controller_seat (self);
  GdkWindow *window = controller_window (self);

  controller_show_pointer (self);
  if (!window)
    return;
  if (!self->grabbed && !self->hover_grabbed && !self->held)
    {
      gdk_seat_ungrab (seat);
      return;
    }
  /* Wayland hands over the host's shortcuts only when the keyboard alone is asked for: widen afterwards. */
  if (gdk_seat_grab (seat, window, GDK_SEAT_CAPABILITY_KEYBOARD, TRUE, NULL, NULL, NULL, NULL) != GDK_GRAB_SUCCESS)
    self->grabbed = self->hover_grabbed = self->pointer_grabbed = self->held = false;
  else if (self->pointer_grabbed
           && gdk_seat_grab (seat, window, GDK_SEAT_CAPABILITY_KEYBOARD | GDK_SEAT_CAPABILITY_ALL_POINTING, FALSE,
                             gdk_window_get_cursor (window), NULL, NULL, NULL)
                != GDK_GRAB_SUCCESS)
    self->pointer_grabbed = false;
  GdkDevice *pointer = gdk_seat_get_pointer (seat);
  if (self->pointer_grabbed && pointer)
    {
      gdk_window_get_device_position_double (window, pointer, &self->last_x, &self->last_y, NULL);
      self->rest_x = self->rest_y = 0;
      controller_warp (self, pointer);
    }
}

void
vm_input_controller_release_keys (VmInputController *self)
{
  self->tap = 0;
  for (unsigned key = 0; key < KEYS; key++)
    if (self->keys[key])
      {
        self->keys[key] = false;
        vm_input_key (self->input, self->console, key, false);
      }
  for (unsigned button = 0; button < VM_BUTTON_N; button++)
    if (self->buttons & 1u << button)
      vm_input_button (self->input, self->console, button, false);
  self->buttons = 0;
  for (unsigned slot = 0; slot < VM_TOUCH_SLOTS; slot++)
    if (self->fingers[slot])
      {
        self->fingers[slot] = NULL;
        vm_input_touch (self->input, self->console, slot, false, true, 0, 0, 0, 0);
      }
}

void
vm_input_controller_set_grab (VmInputController *self, bool grab)
{
  self->let_go |= !grab && vm_input_controller_has_grab (self);
  if (self->grabbed == grab && (grab || !self->held))
    return;
  vm_input_controller_release_keys (self);
  self->grabbed = grab;
  self->pointer_grabbed = grab && !controller_is_absolute (self);
  if (!grab)
    self->hover_grabbed = self->held = false;
  controller_apply_grab (self);
  g_signal_emit (self, signals[CHANGED], 0);
}

bool
vm_input_controller_has_grab (VmInputController *self)
{
  return self->grabbed || self->held;
}

bool
vm_input_controller_has_pointer (VmInputController *self)
{
  return self->pointer_grabbed;
}

static void
controller_hover (VmInputController *self, bool inside)
{
  if (self->grabbed || self->hover_grabbed == inside)
    return;
  self->hover_grabbed = inside;
  if (!inside)
    vm_input_controller_release_keys (self);
  controller_apply_grab (self);
}

void
vm_input_controller_set_grab_on_hover (VmInputController *self, bool grab)
{
  self->hover = grab;
  if (!grab)
    controller_hover (self, false);
}

/* --- the keyboard, held while it is here --------------------------------------------------------- */

static bool
controller_may_hold (VmInputController *self)
{
  return self->hold && !self->let_go && !self->grabbed && gtk_widget_has_focus (GTK_WIDGET (self->widget))
         && !gtk_grab_get_current ();
}

/* Whoever gave the keyboard away, a window manager or a menu, may have it grabbed for a moment yet. */
static gboolean
controller_try_hold (gpointer user_data)
{
  VmInputController *self = user_data;

  if (controller_may_hold (self) && !self->held)
    {
      self->held = true;
      controller_apply_grab (self);
      if (self->held)
        g_signal_emit (self, signals[CHANGED], 0);
      else if (self->hold_tries--)
        return G_SOURCE_CONTINUE;
    }
  self->holding = 0;
  return G_SOURCE_REMOVE;
}

static void
controller_hold (VmInputController *self)
{
  if (!controller_may_hold (self) || self->held || self->holding)
    return;
  self->hold_tries = HOLD_TRIES;
  self->holding = g_timeout_add (HOLD_MS, controller_try_hold, self);
}

static void
controller_end_hold (VmInputController *self)
{
  g_clear_handle_id (&self->holding, g_source_remove);
  if (!self->held)
    return;
  self->held = false;
  vm_input_controller_release_keys (self);
  controller_apply_grab (self);
  g_signal_emit (self, signals[CHANGED], 0);
}

void
vm_input_controller_set_hold (VmInputController *self, bool hold)
{
  if (self->hold == hold)
    return;
  self->hold = hold;
  self->let_go = false;
  if (hold)
    controller_hold (self);
  else
    controller_end_hold (self);
}

static gboolean
controller_lost (gpointer user_data)
{
  VmInputController *self = user_data;

  self->losing = 0;
  controller_end_hold (self);
  controller_hold (self); /* if it was to ourselves: GTK knows by then */
  return G_SOURCE_REMOVE;
}

static void
controller_losing (gpointer user_data)
{
  VmInputController *self = user_data;

  if (self->held && !self->grabbed && !self->losing)
    self->losing = g_idle_add (controller_lost, self);
}

/* A menu or a dialog of ours closed. */
static void
controller_grab_notify (GtkWidget *widget, gboolean was_grabbed, VmInputController *self)
{
  if (was_grabbed)
    controller_hold (self);
}

/* The engine said that the guest's pointer changed its kind. */
static gboolean
controller_pointer_changed (gpointer user_data)
{
  VmInputController *self = user_data;

  if (self->grabbed && self->pointer_grabbed == controller_is_absolute (self))
    {
      self->pointer_grabbed = !self->pointer_grabbed;
      gdk_seat_ungrab (controller_seat (self));
      controller_apply_grab (self);
      g_signal_emit (self, signals[CHANGED], 0);
    }
  controller_show_pointer (self);
  return G_SOURCE_CONTINUE;
}

static void
controller_input_changed (void *opaque)
{
  VmInputController *self = opaque;

  if (vm_input_leds (self->input) != self->first_leds)
    g_atomic_int_set (&self->shows_leds, TRUE);
  vm_waker_poke (self->waker);
}

/* --- keyboard -------------------------------------------------------------------------------------- */

void
vm_input_controller_spoil_tap (VmInputController *self)
{
  self->tap = 0;
}

/* Ctrl and Alt alone mean nothing to guests, which get them nevertheless. */
static void
controller_look_for_tap (VmInputController *self, unsigned key, bool down)
{
  bool tapped = !down && g_get_monotonic_time () - self->tap < TAP_US && (key == KEY_LEFTCTRL || key == KEY_LEFTALT);
  unsigned n = 0;

  for (unsigned i = 0; i < KEYS; i++)
    n += self->keys[i];
  self->tap = down && n == 2 && self->keys[KEY_LEFTCTRL] && self->keys[KEY_LEFTALT] ? g_get_monotonic_time () : 0;
  if (tapped)
    g_signal_emit (self, signals[TAPPED], 0);
}

static gboolean
controller_key (GtkWidget *widget, GdkEventKey *event, VmInputController *self)
{
  unsigned key = EVDEV_OF (event->hardware_keycode);
  bool down = event->type == GDK_KEY_PRESS;

  if (event->hardware_keycode < 8 || key == 0 || key >= KEYS || (!down && !self->keys[key]))
    return TRUE;
  self->keys[key] = down;
  vm_input_key (self->input, self->console, key, down);
  controller_look_for_tap (self, key, down);
  return TRUE;
}

static void
controller_tap (VmInputController *self, uint16_t key)
{
  vm_input_key (self->input, self->console, key, true);
  vm_input_key (self->input, self->console, key, false);
}

/* Locks that were switched while somebody else had the keyboard; a guest that does not show its own is left alone. */
static gboolean
controller_focus_in (GtkWidget *widget, GdkEventFocus *event, VmInputController *self)
{
  GdkKeymap *keymap = gdk_keymap_get_for_display (gtk_widget_get_display (widget));

  self->let_go = false;
  controller_hold (self);
  uint32_t leds = vm_input_leds (self->input);
  if (!g_atomic_int_get (&self->shows_leds) || g_get_monotonic_time () - self->locked_at < LOCK_US)
    return FALSE;
  self->locked_at = g_get_monotonic_time ();
  if (gdk_keymap_get_caps_lock_state (keymap) != !!(leds & VM_LED_CAPS))
    controller_tap (self, KEY_CAPSLOCK);
  if (gdk_keymap_get_num_lock_state (keymap) != !!(leds & VM_LED_NUM))
    controller_tap (self, KEY_NUMLOCK);
  return FALSE;
}

static gboolean
controller_focus_out (GtkWidget *widget, GdkEventFocus *event, VmInputController *self)
{
  controller_end_hold (self);
  vm_input_controller_release_keys (self);
  return FALSE;
}

static void
controller_unmap (GtkWidget *widget, VmInputController *self)
{
  vm_input_controller_set_grab (self, false);
  controller_hover (self, false);
  vm_input_controller_release_keys (self);
}

/* Somebody else took the keyboard or the pointer. */
static gboolean
controller_grab_broken (GtkWidget *widget, GdkEventGrabBroken *event, VmInputController *self)
{
  if (event->grab_window == controller_window (self))
    return FALSE; /* our own grab, widened */
  self->hover_grabbed = false;
  bool let_go = self->let_go;
  vm_input_controller_set_grab (self, false);
  self->let_go = let_go; /* that was not the user */
  return FALSE;
}

/* --- buttons and wheel ----------------------------------------------------------------------------- */

static int
controller_button_of (guint button)
{
  switch (button)
    {
    case GDK_BUTTON_PRIMARY:
      return VM_BUTTON_LEFT;
    case GDK_BUTTON_MIDDLE:
      return VM_BUTTON_MIDDLE;
    case GDK_BUTTON_SECONDARY:
      return VM_BUTTON_RIGHT;
    case 8:
      return VM_BUTTON_SIDE;
    case 9:
      return VM_BUTTON_EXTRA;
    default:
      return -1;
    }
}

/* Sends where the pointer is; false when that is outside the picture. */
static bool
controller_send_position (VmInputController *self, double x, double y)
{
  int guest_x, guest_y, width, height;
  bool inside = vm_display_widget_to_guest (self->widget, x, y, &guest_x, &guest_y);

  vm_display_widget_guest_size (self->widget, &width, &height);
  /* A drag goes on outside, along the edge. */
  if (width && (inside || self->buttons))
    vm_input_position (self->input, self->console, guest_x, guest_y, width, height);
  return inside;
}

static gboolean
controller_button (GtkWidget *widget, GdkEventButton *event, VmInputController *self)
{
  int button = controller_button_of (event->button);
  bool down = event->type == GDK_BUTTON_PRESS;

  if (event->type != GDK_BUTTON_PRESS && event->type != GDK_BUTTON_RELEASE)
    return TRUE; /* double clicks are the guest's to find */
  self->tap = 0;
  if (down)
    gtk_widget_grab_focus (widget);
  if (button < 0 || (!down && !(self->buttons & 1u << button)))
    return TRUE;

  if (controller_is_absolute (self))
    {
      bool inside = controller_send_position (self, event->x, event->y);
      if (down && !inside)
        return TRUE;
    }
  else if (!self->pointer_grabbed)
    {
      /* This click only captures the pointer. */
      if (down && button == VM_BUTTON_LEFT)
        {
          self->grabbed = false;
          vm_input_controller_set_grab (self, true);
        }
      return TRUE;
    }
  self->buttons = down ? self->buttons | 1u << button : self->buttons & ~(1u << button);
  vm_input_button (self->input, self->console, button, down);
  return TRUE;
}

static void
controller_wheel (VmInputController *self, double *sum, double delta, VmButton less, VmButton more)
{
  /* Turning back starts afresh. */
  if (*sum * delta < 0)
    *sum = 0;
  *sum += delta;
  for (; fabs (*sum) >= 1; *sum -= copysign (1, *sum))
    {
      VmButton button = *sum < 0 ? less : more;

      vm_input_button (self->input, self->console, button, true);
      vm_input_button (self->input, self->console, button, false);
    }
}

static gboolean
controller_scroll (GtkWidget *widget, GdkEventScroll *event, VmInputController *self)
{
  double dx = 0, dy = 0;

  self->tap = 0;
  if (!controller_is_absolute (self) && !self->pointer_grabbed)
    return FALSE; /* scrolls the window when the picture is bigger */
  switch (event->direction)
    {
    case GDK_SCROLL_UP:
      dy = -1;
      break;
    case GDK_SCROLL_DOWN:
      dy = 1;
      break;
    case GDK_SCROLL_LEFT:
      dx = -1;
      break;
    case GDK_SCROLL_RIGHT:
      dx = 1;
      break;
    case GDK_SCROLL_SMOOTH:
      /* A bad driver must not keep us in the loop above. */
      dx = CLAMP (event->delta_x, -32, 32);
      dy = CLAMP (event->delta_y, -32, 32);
      break;
    }
  controller_wheel (self, &self->wheel_y, dy, VM_BUTTON_WHEEL_UP, VM_BUTTON_WHEEL_DOWN);
  controller_wheel (self, &self->wheel_x, dx, VM_BUTTON_WHEEL_LEFT, VM_BUTTON_WHEEL_RIGHT);
  return TRUE;
}

/* --- fingers --------------------------------------------------------------------------------------- */

/* Which of FINGERS does SEQUENCE; NULL asks for a free one. -1: none. */
static int
controller_find_finger (VmInputController *self, GdkEventSequence *sequence)
{
  for (unsigned slot = 0; slot < VM_TOUCH_SLOTS; slot++)
    if (self->fingers[slot] == sequence)
      return (int) slot;
  return -1;
}

/* Where there is no device for fingers the first one is a pointer with its button down. */
static gboolean
controller_touch_as_pointer (VmInputController *self, GdkEventTouch *event)
{
  if (!event->emulating_pointer)
    return TRUE;
  if (!controller_is_absolute (self))
    {
      if (event->type == GDK_TOUCH_BEGIN)
        vm_input_controller_set_grab (self, true);
      return TRUE;
    }
  bool down = event->type == GDK_TOUCH_BEGIN || event->type == GDK_TOUCH_UPDATE;
  bool inside = controller_send_position (self, event->x, event->y), was = self->buttons & 1u << VM_BUTTON_LEFT;
  if (down == was || (down && !inside))
    return TRUE;
  self->buttons ^= 1u << VM_BUTTON_LEFT;
  vm_input_button (self->input, self->console, VM_BUTTON_LEFT, down);
  return TRUE;
}

static gboolean
controller_touch (GtkWidget *widget, GdkEventTouch *event, VmInputController *self)
{
  bool first = event->type == GDK_TOUCH_BEGIN, last = event->type == GDK_TOUCH_END || event->type == GDK_TOUCH_CANCEL;
  int x, y, width, height;

  if (first)
    gtk_widget_grab_focus (widget);
  if (!vm_input_has_touch (self->input))
    return controller_touch_as_pointer (self, event);

  bool inside = vm_display_widget_to_guest (self->widget, event->x, event->y, &x, &y);
  int slot = controller_find_finger (self, first ? NULL : event->sequence);
  if (slot < 0 || (first && !inside))
    return TRUE;
  self->fingers[slot] = last ? NULL : event->sequence;
  vm_display_widget_guest_size (self->widget, &width, &height);
  vm_input_touch (self->input, self->console, (unsigned) slot, first, last, x, y, width, height);
  return TRUE;
}

/* --- motion ---------------------------------------------------------------------------------------- */

static void
controller_send_motion (VmInputController *self, double dx, double dy)
{
  double ratio = vm_display_widget_pixel_ratio (self->widget);

  self->rest_x += dx * ratio;
  self->rest_y += dy * ratio;
  int whole_x = trunc (self->rest_x), whole_y = trunc (self->rest_y);
  self->rest_x -= whole_x;
  self->rest_y -= whole_y;
  if (whole_x || whole_y)
    vm_input_motion (self->input, self->console, whole_x, whole_y);
}

/* The captured pointer is put back to the centre whenever it is far from there. Until that shows, events from before
 * may still arrive: each is counted from whichever of its last place and the centre is nearer. */
static void
controller_relative_motion (VmInputController *self, GdkDevice *pointer, double x, double y)
{
  double centre_x, centre_y;

  controller_centre (self, &centre_x, &centre_y);
  if (self->warp_wait && hypot (x - centre_x, y - centre_y) < hypot (x - self->last_x, y - self->last_y))
    {
      self->last_x = centre_x;
      self->last_y = centre_y;
      self->warp_wait = 0;
    }
  double dx = x - self->last_x, dy = y - self->last_y;
  self->last_x = x;
  self->last_y = y;
  controller_send_motion (self, dx, dy);
  if (self->warp_wait)
    self->warp_wait--;
  else if (fabs (x - centre_x) > MAX (MIN_WARP, centre_x / 2) || fabs (y - centre_y) > MAX (MIN_WARP, centre_y / 2))
    controller_warp (self, pointer);
}

static gboolean
controller_motion (GtkWidget *widget, GdkEventMotion *event, VmInputController *self)
{
  if (self->pointer_grabbed)
    controller_relative_motion (self, event->device, event->x, event->y);
  else if (controller_is_absolute (self))
    controller_send_position (self, event->x, event->y);
  return TRUE;
}

static gboolean
controller_crossing (GtkWidget *widget, GdkEventCrossing *event, VmInputController *self)
{
  if (self->hover && event->mode == GDK_CROSSING_NORMAL)
    {
      if (event->type == GDK_ENTER_NOTIFY)
        gtk_widget_grab_focus (widget);
      controller_hover (self, event->type == GDK_ENTER_NOTIFY);
    }
  return FALSE;
}

/* --- object ---------------------------------------------------------------------------------------- */

static void
controller_dispose (GObject *object)
{
  VmInputController *self = VM_INPUT_CONTROLLER (object);

  if (self->waker)
    {
      vm_input_controller_set_grab (self, false);
      controller_hover (self, false);
      g_clear_handle_id (&self->holding, g_source_remove);
      g_clear_handle_id (&self->losing, g_source_remove);
      g_clear_pointer (&self->focus, vm_x11_focus_unwatch);
      vm_input_controller_release_keys (self);
      vm_input_unwatch (self->input, controller_input_changed, self);
      g_clear_pointer (&self->waker, vm_waker_free);
      g_signal_handlers_disconnect_by_data (self->widget, self);
    }
  G_OBJECT_CLASS (vm_input_controller_parent_class)->dispose (object);
}

static void
vm_input_controller_class_init (VmInputControllerClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = controller_dispose;
  signals[CHANGED] = g_signal_new ("changed", VM_TYPE_INPUT_CONTROLLER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 0);
  signals[TAPPED] = g_signal_new ("tapped", VM_TYPE_INPUT_CONTROLLER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                  G_TYPE_NONE, 0);
}

static void
vm_input_controller_init (VmInputController *self)
{
}

VmInputController *
vm_input_controller_new (VmDisplayWidget *widget, const VmUiOptions *options)
{
  VmInputController *self = g_object_new (VM_TYPE_INPUT_CONTROLLER, NULL);

  self->widget = widget;
  self->input = vm_session_input (vm_display_widget_session (widget));
  self->console = vm_display_widget_console (widget);
  self->show_cursor = options->show_cursor;
  self->hover = options->grab_on_hover;
  self->waker = vm_waker_new (controller_pointer_changed, self);
  self->first_leds = vm_input_leds (self->input);
  vm_input_watch (self->input, controller_input_changed, self);
  self->focus = vm_x11_focus_watch (gtk_widget_get_display (GTK_WIDGET (widget)), controller_losing, self);

  gtk_widget_add_events (GTK_WIDGET (widget), GDK_KEY_PRESS_MASK | GDK_KEY_RELEASE_MASK | GDK_FOCUS_CHANGE_MASK
                                                  | GDK_BUTTON_PRESS_MASK | GDK_BUTTON_RELEASE_MASK | GDK_SCROLL_MASK
                                                  | GDK_SMOOTH_SCROLL_MASK | GDK_POINTER_MOTION_MASK | GDK_TOUCH_MASK
                                                  | GDK_ENTER_NOTIFY_MASK | GDK_LEAVE_NOTIFY_MASK);
  g_signal_connect (widget, "key-press-event", G_CALLBACK (controller_key), self);
  g_signal_connect (widget, "key-release-event", G_CALLBACK (controller_key), self);
  g_signal_connect (widget, "focus-in-event", G_CALLBACK (controller_focus_in), self);
  g_signal_connect (widget, "focus-out-event", G_CALLBACK (controller_focus_out), self);
  g_signal_connect (widget, "button-press-event", G_CALLBACK (controller_button), self);
  g_signal_connect (widget, "button-release-event", G_CALLBACK (controller_button), self);
  g_signal_connect (widget, "scroll-event", G_CALLBACK (controller_scroll), self);
  g_signal_connect (widget, "touch-event", G_CALLBACK (controller_touch), self);
  g_signal_connect (widget, "motion-notify-event", G_CALLBACK (controller_motion), self);
  g_signal_connect (widget, "enter-notify-event", G_CALLBACK (controller_crossing), self);
  g_signal_connect (widget, "leave-notify-event", G_CALLBACK (controller_crossing), self);
  g_signal_connect (widget, "grab-broken-event", G_CALLBACK (controller_grab_broken), self);
  g_signal_connect (widget, "grab-notify", G_CALLBACK (controller_grab_notify), self);
  g_signal_connect (widget, "unmap", G_CALLBACK (controller_unmap), self);
  controller_show_pointer (self);
  return self;
}
