/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Windows of SDL 2. Everything here is on the main thread, except that the engine's wakes it by an event of SDL. */
#include "config.h"

#include "ui/sdl/ui-sdl.h"

#include <SDL.h>
#include <locale.h>

#include "ui/sdl/sdl-keys.h"

#define RECTS_MAX 64
#define INTERVAL_MS 16
#define SMALLEST    64 /* a card that is not set up has a few pixels */

typedef enum GrabMod
{
  GRAB_CTRL_ALT,
  GRAB_SHIFT_CTRL_ALT,
  GRAB_RCTRL
} GrabMod;

typedef struct Options
{
  GrabMod grab_mod;
  bool gl, show_cursor, window_close, full_screen;
} Options;

typedef struct Ui Ui;

/* A graphic console. */
typedef struct Screen
{
  Ui *ui;
  VmConsole *console;
  unsigned index; /* its place in the display's list */
  VmListener listener;
  SDL_Window *window;
  SDL_Renderer *renderer;
  SDL_Texture *texture;
  int width, height; /* of the picture; 0: none yet */
  SDL_Cursor *cursor;
} Screen;

struct Ui
{
  VmSession *session;
  Options options;
  Uint32 wake;        /* the event that the engine sends */
  int woken;          /* atomic: one is on its way */
  GPtrArray *screens; /* Screen * */
  bool quit, grabbed;
  bool chord; /* a combination of ours is held: its keys are not the guest's */
};

/* --- from the engine's threads --------------------------------------------------------------------- */

static void
screen_poke (VmListener *listener, VmConsole *console)
{
  Ui *ui = VM_CONTAINER_OF (listener, Screen, listener)->ui;

  if (g_atomic_int_compare_and_exchange (&ui->woken, 0, 1))
    SDL_PushEvent (&(SDL_Event){ .type = ui->wake });
}

static const VmListenerOps listener_ops = { .damaged = screen_poke, .cursor_changed = screen_poke };

/* --- pictures -------------------------------------------------------------------------------------- */

static const char *
ui_grab_keys (const Ui *ui)
{
  static const char *const names[] = { "Ctrl-Alt-G", "Ctrl-Alt-Shift-G", "Right-Ctrl-G" };

  return names[ui->options.grab_mod];
}

static void
ui_update_titles (Ui *ui)
{
  const char *name = vm_session_name (ui->session);
  g_autofree char *base = name ? g_strdup_printf ("Vitrine (%s)", name) : g_strdup ("Vitrine");
  g_autofree char *release = g_strdup_printf (" - Press %s to exit grab", ui_grab_keys (ui));

  for (guint i = 0; i < ui->screens->len; i++)
    {
      Screen *screen = ui->screens->pdata[i];
      g_autofree char *title
          = g_strconcat (base, i ? ": " : "", i ? vm_console_name (screen->console) : "",
                         vm_session_is_running (ui->session) ? "" : " [Paused]", ui->grabbed ? release : "", NULL);

      SDL_SetWindowTitle (screen->window, title);
    }
}

static bool
screen_is_there (const Screen *screen)
{
  return vm_display_console (vm_session_display (screen->ui->session), screen->index) == screen->console;
}

static bool
screen_resize (Screen *screen, int width, int height)
{
  bool natural = !(SDL_GetWindowFlags (screen->window) & (SDL_WINDOW_FULLSCREEN | SDL_WINDOW_MAXIMIZED));

  g_clear_pointer (&screen->texture, SDL_DestroyTexture);
  screen->texture
      = SDL_CreateTexture (screen->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, width, height);
  if (!screen->texture)
    return false;
  screen->width = width;
  screen->height = height;
  if (natural && width >= SMALLEST && height >= SMALLEST)
    SDL_SetWindowSize (screen->window, width, height);
  SDL_RenderSetLogicalSize (screen->renderer, width, height);
  return true;
}

static void
screen_present (Screen *screen)
{
  SDL_SetRenderDrawColor (screen->renderer, 0, 0, 0, 255);
  SDL_RenderClear (screen->renderer);
  if (screen->texture)
    SDL_RenderCopy (screen->renderer, screen->texture, NULL, NULL);
  SDL_RenderPresent (screen->renderer);
}

static void
screen_pull (Screen *screen)
{
  VmRect rects[RECTS_MAX];
  unsigned n;
  bool changed;
  VmSurface *surface = vm_listener_pull (&screen->listener, screen->console, rects, RECTS_MAX, &n, &changed);

  if (!surface)
    return;
  if (surface->width != screen->width || surface->height != screen->height)
    {
      if (!screen_resize (screen, surface->width, surface->height))
        n = 0;
      else
        {
          rects[0] = (VmRect){ 0, 0, surface->width, surface->height };
          n = 1;
        }
    }
  vm_console_lock (screen->console);
  for (unsigned i = 0; i < n; i++)
    {
      const SDL_Rect rect = { rects[i].x, rects[i].y, rects[i].width, rects[i].height };

      SDL_UpdateTexture (screen->texture, &rect, surface->data + (size_t) rect.y * surface->stride + rect.x * 4,
                         surface->stride);
    }
  vm_console_unlock (screen->console);
  vm_surface_unref (surface);
  if (n)
    screen_present (screen);
}

static void
ui_show_pointer (Ui *ui, Screen *screen)
{
  bool absolute = vm_input_is_absolute (vm_session_input (ui->session), screen->console);

  if (screen->cursor)
    SDL_SetCursor (screen->cursor);
  SDL_ShowCursor (ui->options.show_cursor || (!ui->grabbed && !absolute) || screen->cursor ? SDL_ENABLE : SDL_DISABLE);
}

static void
screen_pull_cursor (Screen *screen)
{
  int x, y;
  bool visible, changed;
  VmCursor *cursor = vm_listener_cursor (&screen->listener, screen->console, &x, &y, &visible, &changed);

  if (changed)
    {
      SDL_Surface *picture = cursor
                                 ? SDL_CreateRGBSurfaceWithFormatFrom (cursor->data, cursor->width, cursor->height, 32,
                                                                       cursor->width * 4, SDL_PIXELFORMAT_ARGB8888)
                                 : NULL;
      SDL_Cursor *was = screen->cursor;

      screen->cursor = picture ? SDL_CreateColorCursor (picture, cursor->hot_x, cursor->hot_y) : NULL;
      ui_show_pointer (screen->ui, screen);
      g_clear_pointer (&picture, SDL_FreeSurface);
      g_clear_pointer (&was, SDL_FreeCursor);
    }
  vm_cursor_unref (cursor);
}

static void
ui_pull_all (Ui *ui)
{
  g_atomic_int_set (&ui->woken, 0);
  for (guint i = 0; i < ui->screens->len; i++)
    {
      Screen *screen = ui->screens->pdata[i];

      if (!screen_is_there (screen))
        continue;
      screen_pull (screen);
      screen_pull_cursor (screen);
    }
}

/* --- screens come and go --------------------------------------------------------------------------- */

static void
screen_set_shown (Screen *screen, bool shown)
{
  if (shown)
    SDL_ShowWindow (screen->window);
  else
    SDL_HideWindow (screen->window);
  vm_listener_set_interval (vm_session_display (screen->ui->session), &screen->listener, shown ? INTERVAL_MS * 1000 : 0);
}

static void
screen_free (gpointer data)
{
  Screen *screen = data;

  vm_listener_remove (vm_session_display (screen->ui->session), &screen->listener);
  g_clear_pointer (&screen->texture, SDL_DestroyTexture);
  g_clear_pointer (&screen->cursor, SDL_FreeCursor);
  SDL_DestroyRenderer (screen->renderer);
  SDL_DestroyWindow (screen->window);
  g_free (screen);
}

static void
ui_add_screen (Ui *ui, VmConsole *console)
{
  Screen *screen = g_new0 (Screen, 1);
  Uint32 flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_HIDDEN;

  screen->ui = ui;
  screen->console = console;
  screen->index = vm_console_index (console);
  screen->listener.ops = &listener_ops;
  if (ui->options.full_screen && !ui->screens->len)
    flags |= SDL_WINDOW_FULLSCREEN_DESKTOP;
  screen->window = SDL_CreateWindow ("Vitrine", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 640, 480, flags);
  if (screen->window)
    screen->renderer
        = SDL_CreateRenderer (screen->window, -1, ui->options.gl ? SDL_RENDERER_ACCELERATED : SDL_RENDERER_SOFTWARE);
  if (screen->window && !screen->renderer) /* a host without OpenGL */
    screen->renderer = SDL_CreateRenderer (screen->window, -1, SDL_RENDERER_SOFTWARE);
  if (!screen->renderer)
    {
      g_printerr ("vitrine: -display sdl: %s\n", SDL_GetError ());
      g_clear_pointer (&screen->window, SDL_DestroyWindow);
      g_free (screen);
      return;
    }
  g_ptr_array_add (ui->screens, screen);
  vm_listener_add (vm_session_display (ui->session), &screen->listener, console);
  screen_set_shown (screen, ui->screens->len == 1);
}

static void
ui_sync_screens (Ui *ui)
{
  VmDisplay *display = vm_session_display (ui->session);

  for (guint i = ui->screens->len; i-- > 0;)
    if (!screen_is_there (ui->screens->pdata[i]))
      g_ptr_array_remove_index (ui->screens, i);
  for (unsigned i = 0; i < vm_display_n_consoles (display); i++)
    {
      VmConsole *console = vm_display_console (display, i);
      bool known = !console;

      for (guint j = 0; j < ui->screens->len && !known; j++)
        known = ((Screen *) ui->screens->pdata[j])->console == console;
      if (!known)
        ui_add_screen (ui, console);
    }
  ui_update_titles (ui);
}

static Screen *
ui_find (Ui *ui, Uint32 window)
{
  for (guint i = 0; i < ui->screens->len; i++)
    if (SDL_GetWindowID (((Screen *) ui->screens->pdata[i])->window) == window)
      return ui->screens->pdata[i];
  return NULL;
}

/* --- keys ------------------------------------------------------------------------------------------ */

static void
ui_grab (Ui *ui, Screen *screen, bool on)
{
  bool absolute = vm_input_is_absolute (vm_session_input (ui->session), screen->console);

  if (ui->grabbed == on)
    return;
  ui->grabbed = on;
  SDL_SetRelativeMouseMode (on && !absolute);
  SDL_SetWindowKeyboardGrab (screen->window, on);
  SDL_SetWindowMouseGrab (screen->window, on);
  ui_show_pointer (ui, screen);
  ui_update_titles (ui);
}

static bool
ui_is_chord (const Ui *ui, Uint16 mod)
{
  switch (ui->options.grab_mod)
    {
    case GRAB_RCTRL:
      return mod & KMOD_RCTRL;
    case GRAB_SHIFT_CTRL_ALT:
      return mod & KMOD_LSHIFT && mod & KMOD_LCTRL && mod & KMOD_LALT;
    default:
      return mod & KMOD_LCTRL && mod & KMOD_LALT && !(mod & KMOD_SHIFT);
    }
}

/* The keys that the manual has for SDL's window; false: it is none. */
static bool
ui_take_chord (Ui *ui, Screen *screen, SDL_Scancode key)
{
  unsigned n = key - SDL_SCANCODE_1;

  if (key == SDL_SCANCODE_F)
    SDL_SetWindowFullscreen (screen->window, SDL_GetWindowFlags (screen->window) & SDL_WINDOW_FULLSCREEN
                                                 ? 0
                                                 : SDL_WINDOW_FULLSCREEN_DESKTOP);
  else if (key == SDL_SCANCODE_G)
    ui_grab (ui, screen, !ui->grabbed);
  else if (key == SDL_SCANCODE_U && screen->width)
    SDL_SetWindowSize (screen->window, screen->width, screen->height);
  else if (key >= SDL_SCANCODE_2 && key <= SDL_SCANCODE_9)
    {
      if (n < ui->screens->len)
        screen_set_shown (ui->screens->pdata[n],
                          !(SDL_GetWindowFlags (((Screen *) ui->screens->pdata[n])->window) & SDL_WINDOW_SHOWN));
    }
  else
    return false;
  return true;
}

static void
ui_key (Ui *ui, Screen *screen, const SDL_KeyboardEvent *event)
{
  VmInput *input = vm_session_input (ui->session);
  bool down = event->type == SDL_KEYDOWN;
  uint16_t key = vm_sdl_key (event->keysym.scancode);

  if (down && !event->repeat && ui_is_chord (ui, event->keysym.mod)
      && ui_take_chord (ui, screen, event->keysym.scancode))
    {
      /* The guest has seen the modifiers go down. */
      vm_input_release_all (input);
      ui->chord = true;
      return;
    }
  if (ui->chord && (SDL_GetModState () & (KMOD_CTRL | KMOD_ALT)))
    return;
  ui->chord = false;
  if (key)
    vm_input_key (input, screen->console, key, down);
}

/* --- pointer --------------------------------------------------------------------------------------- */

static void
ui_motion (Ui *ui, Screen *screen, const SDL_MouseMotionEvent *event)
{
  VmInput *input = vm_session_input (ui->session);

  if (vm_input_is_absolute (input, screen->console))
    vm_input_position (input, screen->console, event->x, event->y, screen->width, screen->height);
  else if (ui->grabbed)
    vm_input_motion (input, screen->console, event->xrel, event->yrel);
}

static void
ui_button (Ui *ui, Screen *screen, const SDL_MouseButtonEvent *event)
{
  static const VmButton buttons[] = {
    [SDL_BUTTON_LEFT] = VM_BUTTON_LEFT, [SDL_BUTTON_MIDDLE] = VM_BUTTON_MIDDLE, [SDL_BUTTON_RIGHT] = VM_BUTTON_RIGHT,
    [SDL_BUTTON_X1] = VM_BUTTON_SIDE,   [SDL_BUTTON_X2] = VM_BUTTON_EXTRA,
  };
  VmInput *input = vm_session_input (ui->session);
  bool down = event->type == SDL_MOUSEBUTTONDOWN;

  if (!ui->grabbed && !vm_input_is_absolute (input, screen->console))
    {
      if (down && event->button == SDL_BUTTON_LEFT) /* the click that grabs is not the guest's */
        ui_grab (ui, screen, true);
      return;
    }
  if (event->button > 0 && event->button < G_N_ELEMENTS (buttons))
    vm_input_button (input, screen->console, buttons[event->button], down);
}

static void
ui_wheel (Ui *ui, Screen *screen, const SDL_MouseWheelEvent *event)
{
  VmInput *input = vm_session_input (ui->session);
  const struct
  {
    int clicks;
    VmButton button;
  } ways[] = {
    { event->y, VM_BUTTON_WHEEL_UP },
    { -event->y, VM_BUTTON_WHEEL_DOWN },
    { event->x, VM_BUTTON_WHEEL_RIGHT },
    { -event->x, VM_BUTTON_WHEEL_LEFT },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (ways); i++)
    for (int n = 0; n < MIN (ways[i].clicks, 10); n++)
      {
        vm_input_button (input, screen->console, ways[i].button, true);
        vm_input_button (input, screen->console, ways[i].button, false);
      }
}

/* --- events ---------------------------------------------------------------------------------------- */

static void
ui_window_event (Ui *ui, Screen *screen, Uint8 event)
{
  switch (event)
    {
    case SDL_WINDOWEVENT_CLOSE:
      if (screen != ui->screens->pdata[0])
        screen_set_shown (screen, false);
      else if (ui->options.window_close)
        vm_session_quit (ui->session);
      break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
      ui_grab (ui, screen, false);
      vm_input_release_all (vm_session_input (ui->session));
      break;
    case SDL_WINDOWEVENT_ENTER:
    case SDL_WINDOWEVENT_FOCUS_GAINED:
      ui_show_pointer (ui, screen);
      break;
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SIZE_CHANGED:
      screen_present (screen);
      break;
    default:
      break;
    }
}

/* The guest's screen follows the window, where a person has drawn it to a size. */
static void
ui_resized (Screen *screen, int width, int height)
{
  if (vm_console_wants_ui_info (screen->console) && (width != screen->width || height != screen->height))
    vm_console_request_ui_info (screen->console, &(VmUiInfo){ .width = width, .height = height });
}

static void
ui_event (Ui *ui, const SDL_Event *event)
{
  Screen *screen = event->type == SDL_QUIT || event->type == ui->wake ? NULL : ui_find (ui, event->window.windowID);

  if (event->type == ui->wake)
    ui_pull_all (ui);
  else if (event->type == SDL_QUIT && ui->options.window_close)
    vm_session_quit (ui->session);
  if (!screen || !screen_is_there (screen))
    return;
  switch (event->type)
    {
    case SDL_WINDOWEVENT:
      if (event->window.event == SDL_WINDOWEVENT_RESIZED)
        ui_resized (screen, event->window.data1, event->window.data2);
      else
        ui_window_event (ui, screen, event->window.event);
      break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
      ui_key (ui, screen, &event->key);
      break;
    case SDL_MOUSEMOTION:
      ui_motion (ui, screen, &event->motion);
      break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
      ui_button (ui, screen, &event->button);
      break;
    case SDL_MOUSEWHEEL:
      ui_wheel (ui, screen, &event->wheel);
      break;
    default:
      break;
    }
}

static void
ui_session_event (VmSession *session, VmSessionEvent event, const char *name, const char *data, void *opaque)
{
  Ui *ui = opaque;

  if (event == VM_SESSION_QUIT)
    ui->quit = true;
  else if (event == VM_SESSION_CONSOLES)
    ui_sync_screens (ui);
  else if (event == VM_SESSION_STATE)
    ui_update_titles (ui);
}

/* --- start and end ---------------------------------------------------------------------------------- */

static bool
options_read (Options *options, const VmSettings *settings, GError **error)
{
  static const char *const mods[] = { "lctrl-lalt", "lshift-lctrl-lalt", "rctrl", NULL };
  static const char *const gl_names[] = { "off", "on", "core", "es", NULL };
  const VmKeyVals *list = settings->display_opts;
  int gl = 0, mod = 0;

  *options = (Options){ .window_close = true };
  vm_keyvals_get (list, "type");
  if (!vm_keyvals_enum (list, "grab-mod", mods, &mod, error) || !vm_keyvals_enum (list, "gl", gl_names, &gl, error)
      || !vm_keyvals_bool (list, "show-cursor", &options->show_cursor, error)
      || !vm_keyvals_bool (list, "window-close", &options->window_close, error)
      || !vm_keyvals_bool (list, "full-screen", &options->full_screen, error) || !vm_keyvals_check_used (list, error))
    return false;
  options->grab_mod = mod;
  options->gl = gl;
  options->full_screen |= settings->full_screen;
  return true;
}

static bool
ui_probe (const VmSettings *settings, GError **error)
{
  Options options;

  if (!options_read (&options, settings, error))
    return false;
  SDL_SetHint (SDL_HINT_NO_SIGNAL_HANDLERS, "1"); /* the program has its own */
  SDL_SetHint (SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
  SDL_SetHint (SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
  SDL_SetHint (SDL_HINT_GRAB_KEYBOARD, "1");
  if (SDL_Init (SDL_INIT_VIDEO) < 0)
    return vm_fail (error, "Could not initialize SDL(%s) - exiting", SDL_GetError ());
  setlocale (LC_NUMERIC, "C");
  return true;
}

static void
ui_run (VmMachine *machine, void (*started) (void *opaque), void *opaque)
{
  Ui ui = { .wake = SDL_RegisterEvents (1) };

  ui.screens = g_ptr_array_new_with_free_func (screen_free);
  ui.session = vm_session_new (machine, NULL, ui_session_event, &ui);
  options_read (&ui.options, vm_session_settings (ui.session), NULL); /* said and checked by probe */
  if (started)
    started (opaque);
  ui_sync_screens (&ui);
  while (!ui.quit)
    {
      SDL_Event event;

      /* SDL waits for its own events; the machine's come to a context that has to be looked at. */
      for (bool more = SDL_WaitEventTimeout (&event, INTERVAL_MS); more; more = SDL_PollEvent (&event))
        ui_event (&ui, &event);
      while (!ui.quit && g_main_context_iteration (NULL, FALSE))
        ;
    }
  g_ptr_array_unref (ui.screens);
  vm_session_free (ui.session);
  SDL_Quit ();
}

const VmUiModule vm_ui_sdl = { .probe = ui_probe, .run = ui_run };
