/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text consoles: a ring of what was said, a queue of what was typed. */
#include "engine/char/text.h"

#include <string.h>

#define TYPED_MAX (64 * 1024) /* bytes that wait for the front end */

typedef struct Watch
{
  VmTextFunc func;
  void *opaque;
} Watch;

struct VmText
{
  int refs; /* atomic */
  VmLoop *loop;
  char *id, *stream;
  unsigned columns, rows;
  VmChardev *chr;    /* engine loop; NULL: gone */
  GByteArray *typed; /* engine loop */
  VmTextFunc closed;
  void *opaque;
  GMutex mutex;  /* of all below */
  uint8_t *ring; /* VM_TEXT_KEPT */
  uint64_t said; /* bytes in all */
  size_t waiting; /* that were typed and have not been passed on; TYPED_MAX at most */
  bool refused;   /* somebody wants to be told of room */
  GArray *watches;
};

/* --- the back end's side; engine loop -------------------------------------------------------------------- */

/* The mutex is held. */
static void
text_call_watches (VmText *text)
{
  for (guint i = 0; i < text->watches->len; i++)
    {
      const Watch *watch = &g_array_index (text->watches, Watch, i);
      watch->func (text, watch->opaque);
    }
}

static size_t
text_said (void *opaque, const uint8_t *bytes, size_t len)
{
  VmText *text = opaque;

  g_mutex_lock (&text->mutex);
  for (size_t done = 0; done < len;)
    {
      size_t at = text->said % VM_TEXT_KEPT, n = MIN (len - done, VM_TEXT_KEPT - at);
      memcpy (text->ring + at, bytes + done, n);
      text->said += n;
      done += n;
    }
  text_call_watches (text);
  g_mutex_unlock (&text->mutex);
  return len;
}

/* N bytes that were typed do not wait any more. */
static void
text_typed_gone (VmText *text, size_t n)
{
  g_mutex_lock (&text->mutex);
  text->waiting -= n;
  if (text->refused && text->waiting <= TYPED_MAX / 2)
    {
      text->refused = false;
      text_call_watches (text);
    }
  g_mutex_unlock (&text->mutex);
}

static void
text_pass_on (void *opaque)
{
  VmText *text = opaque;

  while (text->chr && text->typed->len)
    {
      size_t n = MIN (vm_chardev_can_receive (text->chr), text->typed->len);
      if (!n)
        return;
      g_autofree uint8_t *bytes = g_memdup2 (text->typed->data, n);
      g_byte_array_remove_range (text->typed, 0, n);
      vm_chardev_receive (text->chr, bytes, n);
      text_typed_gone (text, n);
    }
}

static void
text_closed (void *opaque)
{
  VmText *text = opaque;

  text->chr = NULL;
  text_typed_gone (text, text->typed->len);
  g_byte_array_set_size (text->typed, 0);
  if (text->closed)
    text->closed (text, text->opaque);
  vm_text_unref (text);
}

static const VmCharSink sink = { .write = text_said, .accept_input = text_pass_on, .closed = text_closed };

VmText *
vm_text_new (VmLoop *loop, VmChardev *chr, unsigned columns, unsigned rows, VmTextFunc closed, void *opaque)
{
  VmText *text = g_new0 (VmText, 1);

  text->refs = 2; /* the caller's, and the back end's */
  text->loop = loop;
  text->id = g_strdup (vm_chardev_id (chr));
  text->columns = columns;
  text->rows = rows;
  text->chr = chr;
  text->typed = g_byte_array_new ();
  text->closed = closed;
  text->opaque = opaque;
  g_mutex_init (&text->mutex);
  text->ring = g_malloc (VM_TEXT_KEPT);
  text->watches = g_array_new (FALSE, FALSE, sizeof (Watch));
  vm_chardev_set_sink (chr, &sink, text);
  return text;
}

VmText *
vm_text_ref (VmText *text)
{
  g_atomic_int_inc (&text->refs);
  return text;
}

void
vm_text_unref (VmText *text)
{
  if (!g_atomic_int_dec_and_test (&text->refs))
    return;
  g_free (text->id);
  g_free (text->stream);
  g_byte_array_unref (text->typed);
  g_mutex_clear (&text->mutex);
  g_free (text->ring);
  g_array_unref (text->watches);
  g_free (text);
}

const char *
vm_text_id (const VmText *text)
{
  return text->id;
}

const char *
vm_text_stream (const VmText *text)
{
  return text->stream;
}

void
vm_text_set_stream (VmText *text, const char *name)
{
  g_free (text->stream);
  text->stream = g_strdup (name);
}

void
vm_text_size (const VmText *text, unsigned *columns, unsigned *rows)
{
  *columns = text->columns;
  *rows = text->rows;
}

/* --- viewers --------------------------------------------------------------------------------------------- */

size_t
vm_text_read (VmText *text, uint64_t *position, uint8_t *bytes, size_t size, bool *lost)
{
  size_t done = 0;

  g_mutex_lock (&text->mutex);
  bool gone = text->said - *position > VM_TEXT_KEPT;
  if (gone)
    *position = text->said - VM_TEXT_KEPT;
  if (lost)
    *lost = gone;
  while (done < size && *position < text->said)
    {
      size_t at = *position % VM_TEXT_KEPT, n = MIN (size - done, VM_TEXT_KEPT - at);
      n = MIN (n, text->said - *position);
      memcpy (bytes + done, text->ring + at, n);
      *position += n;
      done += n;
    }
  g_mutex_unlock (&text->mutex);
  return done;
}

typedef struct Typed
{
  VmText *text;
  GBytes *bytes;
} Typed;

static void
take_typed (void *opaque)
{
  Typed *typed = opaque;
  VmText *text = typed->text;
  gsize len;
  const uint8_t *bytes = g_bytes_get_data (typed->bytes, &len);

  if (text->chr)
    g_byte_array_append (text->typed, bytes, len);
  else
    text_typed_gone (text, len);
  text_pass_on (text);
  g_bytes_unref (typed->bytes);
  vm_text_unref (text);
  g_free (typed);
}

size_t
vm_text_write (VmText *text, const uint8_t *bytes, size_t len)
{
  g_mutex_lock (&text->mutex);
  size_t n = MIN (len, TYPED_MAX - text->waiting);
  text->waiting += n;
  text->refused |= n < len;
  g_mutex_unlock (&text->mutex);
  if (!n)
    return 0;

  Typed *typed = g_new (Typed, 1);
  *typed = (Typed){ vm_text_ref (text), g_bytes_new (bytes, n) };
  vm_loop_post (text->loop, take_typed, typed);
  return n;
}

static void
take_break (void *opaque)
{
  VmText *text = opaque;

  if (text->chr)
    vm_chardev_send_break (text->chr);
  vm_text_unref (text);
}

void
vm_text_send_break (VmText *text)
{
  vm_loop_post (text->loop, take_break, vm_text_ref (text));
}

void
vm_text_watch (VmText *text, VmTextFunc func, void *opaque)
{
  Watch watch = { func, opaque };

  g_mutex_lock (&text->mutex);
  g_array_append_val (text->watches, watch);
  g_mutex_unlock (&text->mutex);
}

void
vm_text_unwatch (VmText *text, VmTextFunc func, void *opaque)
{
  g_mutex_lock (&text->mutex);
  for (guint i = text->watches->len; i-- > 0;)
    {
      const Watch *watch = &g_array_index (text->watches, Watch, i);
      if (watch->func == func && watch->opaque == opaque)
        g_array_remove_index (text->watches, i);
    }
  g_mutex_unlock (&text->mutex);
}

unsigned
vm_text_watches (VmText *text)
{
  g_mutex_lock (&text->mutex);
  unsigned n = text->watches->len;
  g_mutex_unlock (&text->mutex);
  return n;
}
