/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From viewers' threads to the devices on the engine loop. */
#include "engine/input/input.h"

#define KEYS 768               /* evdev codes */
#define MAX_QUEUED 1024        /* groups waiting: a viewer cannot fill memory while the engine is stuck */

struct VmInputHandler {
  VmInput                 *input;
  const VmInputHandlerOps *ops;
  void                    *opaque;
  VmConsole               *console;
};

typedef struct Watch {
  VmInputChanged func;
  void          *opaque;
} Watch;

typedef struct Group {
  VmInput     *input;
  VmConsole   *console;
  bool         apart;
  unsigned     n;
  VmInputEvent events[];
} Group;

typedef struct Chord {
  VmInput  *input;
  VmTimer   timer;
  unsigned  n, hold_ms;
  uint16_t  keys[];
} Chord;

struct VmInput {
  VmLoop  *loop;
  GQueue   handlers; /* most recently activated first; engine loop only */
  GQueue   chords;
  uint32_t leds;     /* atomic */
  bool     enabled;
  bool     absolute; /* atomic copy of "the first pointer handler takes positions" */
  bool touch;        /* atomic copy of "there is a handler for fingers" */
  int      queued;   /* atomic */
  GMutex   mutex;    /* of all below */
  GArray  *watches;
  GPtrArray *apart;  /* VmConsole * */
  bool     down[KEYS];
  VmConsole *down_at[KEYS]; /* which console it was meant for; only compared, it may be gone */
  bool     button_down[VM_BUTTON_N];
  bool finger_down[VM_TOUCH_SLOTS];
};

VmInput *
vm_input_new (VmLoop *loop)
{
  VmInput *input = g_new0 (VmInput, 1);

  input->loop = loop;
  input->enabled = true;
  g_queue_init (&input->handlers);
  g_queue_init (&input->chords);
  g_mutex_init (&input->mutex);
  input->watches = g_array_new (FALSE, FALSE, sizeof (Watch));
  input->apart = g_ptr_array_new ();
  return input;
}

static void
chord_free (Chord *chord)
{
  vm_timer_cancel (&chord->timer);
  g_free (chord);
}

void
vm_input_free (VmInput *input)
{
  g_queue_clear_full (&input->handlers, g_free);
  g_queue_clear_full (&input->chords, (GDestroyNotify) chord_free);
  g_array_free (input->watches, TRUE);
  g_ptr_array_free (input->apart, TRUE);
  g_mutex_clear (&input->mutex);
  g_free (input);
}

static void
input_changed (VmInput *input)
{
  g_mutex_lock (&input->mutex);
  for (unsigned i = 0; i < input->watches->len; i++)
    {
      Watch *watch = &g_array_index (input->watches, Watch, i);

      watch->func (watch->opaque);
    }
  g_mutex_unlock (&input->mutex);
}

/* The handler that gets events of KIND meant for CONSOLE: its own first, then those of no console. */
static VmInputHandler *
input_find (VmInput *input, VmInputKind kind, VmConsole *console, bool apart)
{
  for (int any = 0; any < (apart ? 1 : 2); any++)
    for (GList *l = input->handlers.head; l; l = l->next)
      {
        VmInputHandler *handler = l->data;

        if ((handler->ops->kinds & 1u << kind)
            && (any ? !handler->console : console && handler->console == console))
          return handler;
      }
  return NULL;
}

static void
input_update_absolute (VmInput *input)
{
  bool absolute = false;

  __atomic_store_n (&input->touch, input_find (input, VM_INPUT_TOUCH, NULL, false) != NULL, __ATOMIC_RELAXED);
  for (GList *l = input->handlers.head; l; l = l->next)
    {
      VmInputHandler *handler = l->data;
      uint32_t kinds = handler->ops->kinds & (1u << VM_INPUT_REL | 1u << VM_INPUT_ABS);

      if (kinds)
        {
          absolute = kinds & 1u << VM_INPUT_ABS;
          break;
        }
    }
  if (__atomic_exchange_n (&input->absolute, absolute, __ATOMIC_RELAXED) != absolute)
    input_changed (input);
}

VmInputHandler *
vm_input_register (VmInput *input, const VmInputHandlerOps *ops, void *opaque, VmConsole *console)
{
  VmInputHandler *handler = g_new0 (VmInputHandler, 1);

  *handler = (VmInputHandler) { input, ops, opaque, console };
  /* Known, but behind those that are in use, until activated. */
  g_queue_push_tail (&input->handlers, handler);
  input_update_absolute (input);
  return handler;
}

void
vm_input_unregister (VmInputHandler *handler)
{
  VmInput *input = handler->input;

  g_queue_remove (&input->handlers, handler);
  g_free (handler);
  input_update_absolute (input);
}

void
vm_input_activate (VmInputHandler *handler)
{
  VmInput *input = handler->input;

  g_queue_remove (&input->handlers, handler);
  g_queue_push_head (&input->handlers, handler);
  input_update_absolute (input);
}

void
vm_input_set_leds (VmInput *input, uint32_t leds)
{
  if (__atomic_exchange_n (&input->leds, leds, __ATOMIC_RELAXED) != leds)
    input_changed (input);
}

uint32_t
vm_input_leds (VmInput *input)
{
  return __atomic_load_n (&input->leds, __ATOMIC_RELAXED);
}

bool
vm_input_is_absolute (VmInput *input, VmConsole *console)
{
  return __atomic_load_n (&input->absolute, __ATOMIC_RELAXED);
}

bool
vm_input_has_touch (VmInput *input)
{
  return __atomic_load_n (&input->touch, __ATOMIC_RELAXED);
}

void
vm_input_set_apart (VmInput *input, VmConsole *console, bool apart)
{
  g_mutex_lock (&input->mutex);
  g_ptr_array_remove_fast (input->apart, console);
  if (apart)
    g_ptr_array_add (input->apart, console);
  g_mutex_unlock (&input->mutex);
}

void
vm_input_set_enabled (VmInput *input, bool enabled)
{
  __atomic_store_n (&input->enabled, enabled, __ATOMIC_RELAXED);
}

void
vm_input_watch (VmInput *input, VmInputChanged func, void *opaque)
{
  Watch watch = { func, opaque };

  g_mutex_lock (&input->mutex);
  g_array_append_val (input->watches, watch);
  g_mutex_unlock (&input->mutex);
}

void
vm_input_unwatch (VmInput *input, VmInputChanged func, void *opaque)
{
  g_mutex_lock (&input->mutex);
  for (unsigned i = input->watches->len; i-- > 0;)
    {
      Watch *watch = &g_array_index (input->watches, Watch, i);

      if (watch->func == func && watch->opaque == opaque)
        g_array_remove_index (input->watches, i);
    }
  g_mutex_unlock (&input->mutex);
}

/* --- the way of an event ------------------------------------------------------------------------ */

static void
input_deliver (void *opaque)
{
  g_autofree Group *group = opaque;
  VmInput *input = group->input;
  VmInputHandler *touched[VM_INPUT_TOUCH + 1] = { NULL };

  __atomic_fetch_sub (&input->queued, 1, __ATOMIC_RELAXED);
  for (unsigned i = 0; i < group->n; i++)
    {
      const VmInputEvent *event = &group->events[i];
      VmInputHandler *handler = input_find (input, event->kind, group->console, group->apart);

      if (!handler)
        continue;
      handler->ops->event (handler->opaque, event);
      touched[event->kind] = handler;
    }
  for (unsigned kind = 0; kind < G_N_ELEMENTS (touched); kind++)
    {
      bool done = !touched[kind] || !touched[kind]->ops->sync;

      for (unsigned before = 0; before < kind && !done; before++)
        done = touched[before] == touched[kind];
      if (!done)
        touched[kind]->ops->sync (touched[kind]->opaque);
    }
}

/* Keeps what is held down; repeats of a key that is down pass (autorepeat), a release of one that is up does not. */
static bool
input_track (VmInput *input, const VmInputEvent *event)
{
  bool *state = NULL;
  bool pass = true;

  if (event->kind == VM_INPUT_KEY)
    {
      if (event->code >= KEYS)
        return false;
      state = &input->down[event->code];
    }
  else if (event->kind == VM_INPUT_BUTTON)
    {
      if (event->code >= VM_BUTTON_N)
        return false;
      state = &input->button_down[event->code];
    }
  else if (event->kind == VM_INPUT_TOUCH)
    {
      if (event->slot >= VM_TOUCH_SLOTS)
        return false;
      if (event->code == VM_TOUCH_CONTACT)
        state = &input->finger_down[event->slot];
      else
        pass = input->finger_down[event->slot];
    }
  if (state)
    {
      pass = event->down || *state;
      *state = event->down;
    }
  return pass;
}

void
vm_input_events (VmInput *input, VmConsole *console, const VmInputEvent *events, unsigned n)
{
  if (__atomic_load_n (&input->queued, __ATOMIC_RELAXED) >= MAX_QUEUED)
    return;

  Group *group = g_malloc (sizeof *group + n * sizeof *events);
  bool enabled = __atomic_load_n (&input->enabled, __ATOMIC_RELAXED);

  *group = (Group) { .input = input, .console = console };
  g_mutex_lock (&input->mutex);
  group->apart = console && g_ptr_array_find (input->apart, console, NULL);
  enabled |= group->apart;
  for (unsigned i = 0; i < n; i++)
    {
      bool release = !events[i].down
                     && (events[i].kind == VM_INPUT_KEY || events[i].kind == VM_INPUT_BUTTON
                         || (events[i].kind == VM_INPUT_TOUCH && events[i].code == VM_TOUCH_CONTACT));

      /* A stopped machine hears nothing new, but keys pressed before must come up. */
      if (!(enabled || release) || !input_track (input, &events[i]))
        continue;
      if (events[i].kind == VM_INPUT_KEY)
        input->down_at[events[i].code] = console;
      group->events[group->n++] = events[i];
    }
  g_mutex_unlock (&input->mutex);

  if (!group->n)
    {
      g_free (group);
      return;
    }
  __atomic_fetch_add (&input->queued, 1, __ATOMIC_RELAXED);
  vm_loop_post (input->loop, input_deliver, group);
}

void
vm_input_key (VmInput *input, VmConsole *console, uint16_t key, bool down)
{
  VmInputEvent event = { .kind = VM_INPUT_KEY, .code = key, .down = down };

  vm_input_events (input, console, &event, 1);
}

void
vm_input_button (VmInput *input, VmConsole *console, VmButton button, bool down)
{
  VmInputEvent event = { .kind = VM_INPUT_BUTTON, .code = button, .down = down };

  vm_input_events (input, console, &event, 1);
}

void
vm_input_motion (VmInput *input, VmConsole *console, int dx, int dy)
{
  VmInputEvent events[] = { { .kind = VM_INPUT_REL, .code = VM_AXIS_X, .value = dx },
                            { .kind = VM_INPUT_REL, .code = VM_AXIS_Y, .value = dy } };

  vm_input_events (input, console, events, 2);
}

static int32_t
input_scale (int value, int size)
{
  if (size < 2)
    return 0;
  return (int64_t) CLAMP (value, 0, size - 1) * VM_ABS_MAX / (size - 1);
}

void
vm_input_position (VmInput *input, VmConsole *console, int x, int y, int width, int height)
{
  VmInputEvent events[] = { { .kind = VM_INPUT_ABS, .code = VM_AXIS_X, .value = input_scale (x, width) },
                            { .kind = VM_INPUT_ABS, .code = VM_AXIS_Y, .value = input_scale (y, height) } };

  vm_input_events (input, console, events, 2);
}

void
vm_input_touch (VmInput *input, VmConsole *console, unsigned slot, bool first, bool last, int x, int y, int width,
                int height)
{
  VmInputEvent events[3] = { { .kind = VM_INPUT_TOUCH, .code = VM_TOUCH_CONTACT, .slot = slot, .down = first } };
  unsigned n = first || last;

  if (slot >= VM_TOUCH_SLOTS)
    return;
  if (!last)
    {
      events[n++]
          = (VmInputEvent){ .kind = VM_INPUT_TOUCH, .code = VM_AXIS_X, .slot = slot, .value = input_scale (x, width) };
      events[n++]
          = (VmInputEvent){ .kind = VM_INPUT_TOUCH, .code = VM_AXIS_Y, .slot = slot, .value = input_scale (y, height) };
    }
  vm_input_events (input, console, events, n);
}

void
vm_input_release_all (VmInput *input)
{
  g_autoptr (GArray) events = g_array_new (FALSE, TRUE, sizeof (VmInputEvent)), apart = g_array_new (FALSE, TRUE, sizeof (uint16_t));
  g_autoptr (GPtrArray) consoles = g_ptr_array_new ();

  g_mutex_lock (&input->mutex);
  for (unsigned key = 0; key < KEYS; key++)
    if (input->down[key] && g_ptr_array_find (input->apart, input->down_at[key], NULL))
      {
        uint16_t code = (uint16_t) key;
        g_array_append_val (apart, code);
        g_ptr_array_add (consoles, input->down_at[key]);
      }
    else if (input->down[key])
      g_array_append_val (events, ((VmInputEvent) { .kind = VM_INPUT_KEY, .code = key }));
  for (unsigned button = 0; button < VM_BUTTON_N; button++)
    if (input->button_down[button])
      g_array_append_val (events, ((VmInputEvent) { .kind = VM_INPUT_BUTTON, .code = button }));
  g_mutex_unlock (&input->mutex);
  if (events->len)
    vm_input_events (input, NULL, (const VmInputEvent *) events->data, events->len);
  for (unsigned i = 0; i < apart->len; i++)
    vm_input_key (input, consoles->pdata[i], g_array_index (apart, uint16_t, i), false);
}

static void
chord_press (Chord *chord)
{
  for (unsigned i = 0; i < chord->n; i++)
    vm_input_key (chord->input, NULL, chord->keys[i], true);
  vm_timer_set (&chord->timer,
                vm_clock_now (chord->timer.clocks, VM_CLOCK_VIRTUAL) + chord->hold_ms * VM_NS_PER_MS);
}

static void
chord_release (void *opaque)
{
  Chord *chord = opaque;
  VmInput *input = chord->input;

  for (unsigned i = chord->n; i-- > 0;)
    vm_input_key (input, NULL, chord->keys[i], false);
  g_queue_remove (&input->chords, chord);
  chord_free (chord);
  if (input->chords.head)
    chord_press (input->chords.head->data);
}

/* One after the other: what is typed while keys are down waits until they are up. */
void
vm_input_send_chord (VmInput *input, VmClocks *clocks, const uint16_t *keys, unsigned n, unsigned hold_ms)
{
  Chord *chord = g_malloc0 (sizeof *chord + n * sizeof *keys);

  chord->input = input;
  chord->n = n;
  chord->hold_ms = hold_ms;
  memcpy (chord->keys, keys, n * sizeof *keys);
  vm_timer_init (&chord->timer, clocks, VM_CLOCK_VIRTUAL, chord_release, chord);
  g_queue_push_tail (&input->chords, chord);
  if (input->chords.length == 1)
    chord_press (chord);
}

static VmInputHandler *
pointer_at (VmInput *input, unsigned n)
{
  const uint32_t pointing = 1u << VM_INPUT_REL | 1u << VM_INPUT_ABS;

  for (GList *l = input->handlers.head; l; l = l->next)
    {
      VmInputHandler *handler = l->data;

      if ((handler->ops->kinds & pointing) && n-- == 0)
        return handler;
    }
  return NULL;
}

unsigned
vm_input_n_pointers (VmInput *input)
{
  unsigned n = 0;

  while (pointer_at (input, n))
    n++;
  return n;
}

const char *
vm_input_pointer (VmInput *input, unsigned n, bool *current, bool *absolute)
{
  const VmInputHandler *handler = pointer_at (input, n);

  if (!handler)
    return NULL;
  *current = n == 0;
  *absolute = (handler->ops->kinds & 1u << VM_INPUT_ABS) != 0;
  return handler->ops->name;
}

bool
vm_input_select_pointer (VmInput *input, unsigned n)
{
  VmInputHandler *handler = pointer_at (input, n);

  if (handler)
    vm_input_activate (handler);
  return handler != NULL;
}
