/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of the VNC servers with a machine's double: clipboards, the guest's pointer, screens. */
#include "tests/vnc/double.h"

#include "engine/display/clipboard.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a viewer ----------------------------------------------------------------------------------------------------- */

typedef struct Viewer
{
  VncDouble *d;
  int fd;
} Viewer;

static void
turn (VncDouble *d)
{
  while (vm_loop_iterate (d->machine.env.loop, false))
    ;
}

static void
say (Viewer *v, const void *data, size_t len)
{
  g_assert_cmpint (send (v->fd, data, len, MSG_NOSIGNAL), ==, (ssize_t) len);
}

static void
hear (Viewer *v, void *data, size_t len)
{
  int64_t end = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;

  for (uint8_t *to = data; len;)
    {
      ssize_t n = recv (v->fd, to, len, MSG_DONTWAIT);
      g_assert_cmpint (n, !=, 0);
      g_assert_true (n > 0 || errno == EAGAIN);
      if (n > 0)
        {
          to += n;
          len -= (size_t) n;
          continue;
        }
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      turn (v->d);
      g_usleep (200);
    }
}

static uint32_t
hear_u32 (Viewer *v)
{
  uint8_t b[4];

  hear (v, b, 4);
  return vm_load_be32 (b);
}

static void
log_in (Viewer *v, VncDouble *d)
{
  uint8_t b[64];

  v->d = d;
  v->fd = vnc_double_connect (d, false, false);
  say (v, "RFB 003.008\n\1\1", 14);
  hear (v, b, 12 + 2 + 4 + 20);
  uint32_t len = hear_u32 (v);
  g_assert_cmpint (len, <, sizeof b);
  hear (v, b, len);
}

static void
set_encoding (Viewer *v, uint32_t code)
{
  uint8_t m[12] = { 2, 0, 0, 2 };

  vm_store_be32 (m + 8, code);
  say (v, m, sizeof m);
}

/* --- a guest's end of the clipboard ---------------------------------------------------------------------------------
 */

typedef struct Guest
{
  VmClipPeer peer;
  unsigned types, tellings;
  GBytes *text;
  unsigned answers;
  const char *has;
} Guest;

static void
guest_offered (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
  Guest *g = (Guest *) peer;

  if (selection != VM_CLIP_CLIPBOARD)
    return;
  g->types = types;
  g->tellings++;
}

static void
guest_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  g_autoptr (GBytes) bytes = g_bytes_new (((Guest *) peer)->has, strlen (((Guest *) peer)->has));

  vm_clip_deliver (peer, selection, type, bytes);
}

static void
guest_received (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  Guest *g = (Guest *) peer;

  g_clear_pointer (&g->text, g_bytes_unref);
  g->text = data ? g_bytes_ref (data) : NULL;
  g->answers++;
}

static const VmClipPeerOps guest_ops
    = { .offered = guest_offered, .request = guest_request, .received = guest_received };

static void
wait_until (VncDouble *d, const unsigned *counter, unsigned n)
{
  int64_t end = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;

  while (*counter < n)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      turn (d);
      g_usleep (200);
    }
}

static void
check_text (const Guest *g, const char *text)
{
  g_assert_nonnull (g->text);
  g_assert_cmpmem (g_bytes_get_data (g->text, NULL), g_bytes_get_size (g->text), text, strlen (text));
}

static void
ask (VncDouble *d, Guest *g)
{
  unsigned before = g->answers;

  vm_clip_request (&g->peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT);
  wait_until (d, &g->answers, before + 1);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void
test_plain (void)
{
  VncDouble *d = vnc_double_new ("none", 64, 48);
  Guest g = { .peer = { .ops = &guest_ops, .guest = true }, .has = "h\xc3\xa4ll\xe2\x82\xac" };
  Viewer v;
  uint8_t b[16];

  vm_clip_peer_add (vm_display_clipboard (d->machine.env.display), &g.peer);
  log_in (&v, d);
  set_encoding (&v, 0);
  unsigned before = g.tellings;
  say (&v, "\6\0\0\0\0\0\0\5a\344\r\nb", 13);
  wait_until (d, &g.tellings, before + 1);
  g_assert_cmpint (g.types, ==, VM_CLIP_BIT (VM_CLIP_TEXT));
  ask (d, &g);
  check_text (&g, "a\xc3\xa4\nb");
  vm_clip_grab (&g.peer, VM_CLIP_CLIPBOARD, VM_CLIP_BIT (VM_CLIP_TEXT));
  hear (&v, b, 8);
  g_assert_cmpmem (b, 8, "\3\0\0\0\0\0\0\5", 8);
  hear (&v, b, 5);
  g_assert_cmpmem (b, 5, "h\344ll?", 5);
  close (v.fd);
  vnc_double_settle (d);
  vm_clip_peer_remove (&g.peer);
  g_clear_pointer (&g.text, g_bytes_unref);
  vnc_double_free (d);
}

/* Flags and the rest of an extended message; *LEN its length. */
static uint32_t
hear_extended (Viewer *v, uint8_t *data, size_t *len)
{
  g_assert_cmphex (hear_u32 (v), ==, 3u << 24);
  uint32_t n = 0u - hear_u32 (v);
  g_assert_cmpint (n, >=, 4);
  g_assert_cmpint (n, <, 4096);
  uint32_t flags = hear_u32 (v);
  *len = n - 4;
  hear (v, data, *len);
  return flags;
}

static void
say_extended (Viewer *v, uint32_t flags, const void *data, size_t len)
{
  g_autoptr (GByteArray) m = g_byte_array_new ();

  vnc_put_u32 (m, 6u << 24);
  vnc_put_u32 (m, 0u - (uint32_t) (len + 4));
  vnc_put_u32 (m, flags);
  if (len)
    g_byte_array_append (m, data, (guint) len);
  say (v, m->data, m->len);
}

static void
test_extended (void)
{
  static const char words[] = "\0\0\0\7a\r\nb\342\x82\xac"; /* a length, then text */
  VncDouble *d = vnc_double_new ("none", 64, 48);
  Guest g = { .peer = { .ops = &guest_ops, .guest = true }, .has = "one\ntwo \xe2\x82\xac" };
  Viewer v;
  uint8_t data[4096], plain[256];
  size_t len;

  vm_clip_peer_add (vm_display_clipboard (d->machine.env.display), &g.peer);
  log_in (&v, d);
  set_encoding (&v, 0xc0a1e5ce);
  g_assert_cmphex (hear_extended (&v, data, &len), ==, 0x1f000001);
  g_assert_cmpint (len, ==, 4);
  /* The guest has something. */
  vm_clip_grab (&g.peer, VM_CLIP_CLIPBOARD, VM_CLIP_BIT (VM_CLIP_TEXT));
  g_assert_cmphex (hear_extended (&v, data, &len), ==, 0x08000001);
  say_extended (&v, 0x02000001, NULL, 0);
  g_assert_cmphex (hear_extended (&v, data, &len), ==, 0x10000001);
  uLongf plain_len = sizeof plain;
  g_assert_cmpint (uncompress (plain, &plain_len, data, len), ==, Z_OK);
  g_assert_cmpmem (plain, plain_len, "\0\0\0\15one\r\ntwo \xe2\x82\xac", 4 + 13);
  /* The client has something. */
  unsigned before = g.tellings;
  say_extended (&v, 0x08000001, NULL, 0);
  wait_until (d, &g.tellings, before + 1);
  g_assert_cmpint (g.types, ==, VM_CLIP_BIT (VM_CLIP_TEXT));
  vm_clip_request (&g.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT);
  g_assert_cmphex (hear_extended (&v, data, &len), ==, 0x02000001);
  uLongf packed_len = sizeof data;
  g_assert_cmpint (compress (data, &packed_len, (const Bytef *) words, sizeof words), ==, Z_OK);
  say_extended (&v, 0x10000001, data, packed_len);
  wait_until (d, &g.answers, 1);
  check_text (&g, "a\nb\xe2\x82\xac");
  /* It goes without an answer. */
  before = g.tellings;
  say_extended (&v, 0x08000001, NULL, 0);
  wait_until (d, &g.tellings, before + 1);
  vm_clip_request (&g.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT);
  close (v.fd);
  wait_until (d, &g.answers, 2);
  g_assert_null (g.text);
  vnc_double_settle (d);
  vm_clip_peer_remove (&g.peer);
  vnc_double_free (d);
}

/* --- the pointer ------------------------------------------------------------------------------ */

static void
request (Viewer *v, unsigned width, unsigned height)
{
  uint8_t m[10] = { 3, 0 };

  vm_store_be16 (m + 6, (uint16_t) width);
  vm_store_be16 (m + 8, (uint16_t) height);
  say (v, m, sizeof m);
}

static VmCursor *
make_cursor (void)
{
  VmCursor *cursor = vm_cursor_new (8, 4);

  cursor->hot_x = 2;
  cursor->hot_y = 1;
  for (unsigned i = 0; i < 32; i++)
    cursor->data[i] = i % 2 ? 0xff112233 : 0;
  return cursor;
}

static void
test_cursor (void)
{
  VncDouble *d = vnc_double_new ("none", 64, 48);
  Viewer v;
  uint8_t b[64 * 48 * 4];

  vm_console_set_cursor (d->console, make_cursor ());
  vm_console_move_cursor (d->console, 10, 5, true);
  /* As it is. */
  log_in (&v, d);
  set_encoding (&v, 0u - 314);
  request (&v, 64, 48);
  hear (&v, b, 4 + 12 + 4 + 8 * 4 * 4);
  g_assert_cmpmem (b + 4, 12, "\0\2\0\1\0\10\0\4\xff\xff\xfe\xc6", 12);
  g_assert_cmpmem (b + 20, 8, "\0\0\0\0\x11\x22\x33\xff", 8);
  close (v.fd);
  vnc_double_settle (d);
  /* With a mask. */
  log_in (&v, d);
  set_encoding (&v, 0u - 239);
  request (&v, 64, 48);
  hear (&v, b, 4 + 12 + 8 * 4 * 4 + 4);
  g_assert_cmpmem (b + 4 + 12 + 128, 4, "\x55\x55\x55\x55", 4);
  close (v.fd);
  vnc_double_settle (d);
  /* In the picture. */
  log_in (&v, d);
  set_encoding (&v, 0);
  request (&v, 64, 48);
  hear (&v, b, 4 + 12);
  hear (&v, b, 64 * 48 * 4);
  for (int y = 0; y < 48; y++)
    for (int x = 0; x < 64; x++)
      {
        bool there = y >= 5 && y < 9 && x >= 10 && x < 18 && (x - 10) % 2;
        g_assert_cmphex (vm_load_le32 (b + (y * 64 + x) * 4), ==, there ? 0x112233 : 0);
      }
  close (v.fd);
  vnc_double_settle (d);
  vnc_double_free (d);
}

/* A console that goes while somebody looks at it. */
static void
test_console_goes (void)
{
  VncDouble *d = vnc_double_new ("none", 64, 48);
  static const VmConsoleOps ops = { 0 };
  Viewer v;
  uint8_t b[64 * 48 * 4];

  log_in (&v, d);
  set_encoding (&v, 0);
  request (&v, 64, 48);
  hear (&v, b, 4 + 12);
  hear (&v, b, 64 * 48 * 4);
  vm_console_free (d->console);
  turn (d);
  d->console = vm_console_new (d->machine.env.display, NULL, 0, &ops, NULL);
  request (&v, 64, 48);
  g_usleep (20000);
  turn (d);
  close (v.fd);
  vnc_double_settle (d);
  vnc_double_free (d);
}

static void
request_changes (Viewer *v, int width, int height)
{
  uint8_t m[10] = { 3, 1 };

  vm_store_be16 (m + 6, (uint16_t) width);
  vm_store_be16 (m + 8, (uint16_t) height);
  say (v, m, sizeof m);
}

typedef struct Change
{
  VncDouble *d;
  bool awaited, draw, done, told;
} Change;

/* While the servers' thread is ours: would the guest's drawing wake it? */
static void
do_change (void *opaque)
{
  Change *change = opaque;
  VncScreen *s = g_ptr_array_index (change->d->vnc->screens, 0);

  change->done = g_atomic_int_get (&s->awaited) == change->awaited && !g_atomic_int_get (&s->posted);
  if (!change->done || !change->draw)
    return;
  change->d->surface->data[0] ^= 0xff;
  vm_console_damage (change->d->console, 0, 0, 1, 1);
  change->told = g_atomic_int_get (&s->posted);
}

/* Once it is so whether somebody waits. */
static bool
change_tells (VncDouble *d, bool awaited, bool draw)
{
  Change change = { .d = d, .awaited = awaited, .draw = draw };

  for (int64_t end = g_get_monotonic_time () + 10 * G_USEC_PER_SEC; !change.done; g_usleep (200))
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      vm_loop_call (d->vnc->loop, do_change, &change);
    }
  return change.told;
}

/* Who went to a console by keys is back at the first one when it goes, and is shown it if he has asked. */
static void
test_shown_console_goes (void)
{
  static const VmConsoleOps ops = { 0 };
  const uint32_t keys[] = { 0xffe3, 0xffe9, '2' }; /* Ctrl+Alt+2 */
  VncDouble *d = vnc_double_new ("none", 64, 48);
  VmConsole *other = vm_console_new (d->machine.env.display, NULL, 0, &ops, NULL);
  VmSurface *surface = vm_surface_new (64, 48);
  uint8_t b[4 + 12 + 64 * 48 * 4];
  Viewer v;

  memset (surface->data, 0x11, surface->size);
  vm_console_set_surface (other, surface);
  log_in (&v, d);
  for (unsigned i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      uint8_t m[8] = { 4, 1 };
      vm_store_be32 (m + 4, keys[i]);
      say (&v, m, sizeof m);
    }
  request (&v, 64, 48);
  hear (&v, b, sizeof b);
  g_assert_cmphex (vm_load_le32 (b + 16), ==, 0x111111);
  request_changes (&v, 64, 48);
  change_tells (d, true, false);
  vm_console_free (other);
  hear (&v, b, sizeof b);
  g_assert_cmphex (vm_load_le32 (b + 16), ==, 0);
  close (v.fd);
  vnc_double_settle (d);
  vnc_double_free (d);
}

/* Nobody is woken for what nobody waits for; it is there when somebody asks. */
static void
test_told_when_asked (void)
{
  VncDouble *d = vnc_double_new ("none", 64, 48);
  Viewer v;
  uint8_t b[4 + 12 + 64 * 48 * 4];

  log_in (&v, d);
  request (&v, 64, 48);
  hear (&v, b, 4 + 12 + 64 * 48 * 4);
  for (int i = 0; i < 3; i++)
    {
      g_assert_false (change_tells (d, false, true));
      request_changes (&v, 64, 48);
      hear (&v, b, 4 + 12 + 4);
      request_changes (&v, 64, 48);
      g_assert_true (change_tells (d, true, true));
      hear (&v, b, 4 + 12 + 4);
    }
  close (v.fd);
  vnc_double_settle (d);
  vnc_double_free (d);
}

/* The double plays a hundred frames to everybody who begins to listen. */
static void
test_sound (void)
{
  VncDouble *d = vnc_double_new ("none,audiodev=a", 64, 48);
  Viewer v, deaf;
  uint8_t b[64 * 48 * 4];

  log_in (&v, d);
  set_encoding (&v, (uint32_t) -259);
  request (&v, 64, 48);
  hear (&v, b, 4 + 12);
  g_assert_cmpint ((int32_t) vm_load_be32 (b + 12), ==, -259);
  if (vm_load_be16 (b + 2) == 1) /* the picture comes in the next update */
    hear (&v, b, 4);
  hear (&v, b, 12);
  hear (&v, b, 64 * 48 * 4);
  say (&v, "\377\1\0\2\0\1\0\0\x1f\x40", 10); /* U8, mono, 8000 */
  say (&v, "\377\1\0\0", 4);
  hear (&v, b, 4 + 8);
  g_assert_cmpmem (b, 12, "\377\1\0\1\377\1\0\2\0\0\0\144", 12);
  hear (&v, b, 100);
  say (&v, "\377\1\0\2\3\2\0\0\xac\x44", 10); /* S16, stereo, 44100: begins anew */
  hear (&v, b, 4 + 8);
  g_assert_cmpmem (b, 12, "\377\1\0\1\377\1\0\2\0\0\1\220", 12);
  hear (&v, b, 400);
  say (&v, "\377\1\0\1", 4);
  close (v.fd);
  log_in (&deaf, d);
  say (&deaf, "\377\1\0\2\6\2\0\0\xac\x44", 10); /* no such format: the end */
  while (recv (deaf.fd, b, 1, MSG_DONTWAIT) != 0)
    turn (d);
  close (deaf.fd);
  vnc_double_settle (d);
  vnc_double_free (d);
}

/* --- a guest that draws while it is looked at ----------------------------------------------------------------- */

#define SIDE 1030   /* no multiple of a cell */
#define OVERLAP 896 /* below it what await_update() tells of is too much: one rectangle is over others */

typedef struct Painter
{
  VncDouble *d;
  GRand *rand;
  int stop; /* atomic */
} Painter;

static uint32_t *
painted_row (const VncDouble *d, int y)
{
  return (uint32_t *) (void *) (d->surface->data + (size_t) y * d->surface->stride);
}

/* One of three pictures: often what was there before. */
static void
paint (Painter *p, int x, int y, int width, int height)
{
  uint32_t which = g_rand_int (p->rand) % 3;

  for (int row = y; row < y + height; row++)
    for (int column = x; column < x + width; column++)
      painted_row (p->d, row)[column] = ((uint32_t) (row * SIDE + column) * 3 + which) * 0x9e3779b1u;
}

static void
scroll (Painter *p, VmRect r, int lines)
{
  for (int y = r.y; y < r.y + r.height - lines; y++)
    memcpy (painted_row (p->d, y) + r.x, painted_row (p->d, y + lines) + r.x, (size_t) r.width * 4);
  for (int y = r.y + r.height - lines; y < r.y + r.height; y++)
    for (int x = r.x; x < r.x + r.width; x++)
      painted_row (p->d, y)[x] = g_rand_int (p->rand);
}

static gpointer
paint_on (gpointer data)
{
  Painter *p = data;

  while (!g_atomic_int_get (&p->stop))
    {
      bool over = g_rand_boolean (p->rand);
      int width = g_rand_int_range (p->rand, 1, over ? 8 : 60), height = g_rand_int_range (p->rand, 1, over ? 8 : 60);
      int x = g_rand_int_range (p->rand, 0, SIDE - width);

      paint (p, x, g_rand_int_range (p->rand, over ? OVERLAP : 0, SIDE - height), width, height);
    }
  return NULL;
}

/* Half of all is told of, in pieces, until there is an update: once, if the painter had begun. */
static void
await_update (Viewer *v, int half)
{
  int64_t end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  uint8_t byte;

  for (int i = 0; recv (v->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0; i++)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      for (int row = 0; row * 64 < SIDE && i % 250 == 0; row++)
        for (int column = (row + half) % 2; column * 64 < SIDE; column += 2)
          vm_console_damage (v->d->console, column * 64, row * 64, 64, 64);
      turn (v->d);
      g_usleep (200);
    }
}

/* Into PICTURE; returns how many rectangles were copies. */
static unsigned
hear_update (Viewer *v, uint32_t *picture)
{
  g_autofree uint8_t *pixels = g_malloc (SIDE * SIDE * 4);
  uint8_t head[12];
  unsigned copies = 0;

  hear (v, head, 4);
  g_assert_cmpint (head[0], ==, 0);
  for (unsigned n = vm_load_be16 (head + 2); n; n--)
    {
      hear (v, head, 12);
      unsigned x = vm_load_be16 (head), y = vm_load_be16 (head + 2);
      unsigned w = vm_load_be16 (head + 4), h = vm_load_be16 (head + 6);
      bool is_copy = vm_load_be32 (head + 8) == VNC_COPY_RECT;
      g_assert_cmpint (x + w, <=, SIDE);
      g_assert_cmpint (y + h, <=, SIDE);
      hear (v, is_copy ? head : pixels, is_copy ? 4 : (size_t) w * h * 4);
      for (unsigned i = 0; is_copy && i < h; i++)
        memcpy (pixels + (size_t) i * w * 4, picture + (vm_load_be16 (head + 2) + i) * SIDE + vm_load_be16 (head),
                (size_t) w * 4);
      for (unsigned i = 0; i < h; i++)
        memcpy (picture + (y + i) * SIDE + x, pixels + (size_t) i * w * 4, (size_t) w * 4);
      copies += is_copy;
    }
  return copies;
}

static bool
shows_all (const VncDouble *d, const uint32_t *picture)
{
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      if (GUINT32_FROM_LE (picture[y * SIDE + x]) != (GUINT32_FROM_LE (painted_row (d, y)[x]) & 0xffffff))
        return false;
  return true;
}

/* All that is told of changed; what comes until nothing is missing. */
static unsigned
catch_up (Viewer *v, uint32_t *picture)
{
  unsigned copies = 0;

  while (!shows_all (v->d, picture))
    {
      vm_console_damage (v->d->console, 0, 0, SIDE, SIDE);
      copies += hear_update (v, picture);
      request_changes (v, SIDE, SIDE);
    }
  return copies;
}

static const VmRect scrolled = { 100, 200, 600, 400 };

/* Until it is told as copies: who found none for a while looks for them again, in the end. */
static void
scroll_in_copies (Viewer *v, Painter *p, uint32_t *picture)
{
  int n = 0;

  do
    {
      g_assert_cmpint (n++, <, 50);
      scroll (p, scrolled, 16);
    }
  while (!catch_up (v, picture));
}

/* Beside what scrolls: what once went as far, too little to be a move, stays where it is in the next one. */
static void
test_small_moves (void)
{
  const VmRect small = { 704, 208, 64, 64 };
  g_autofree uint32_t *picture = g_new0 (uint32_t, SIDE * SIDE);
  VncDouble *d = vnc_double_new ("none", SIDE, SIDE);
  Painter p = { .d = d, .rand = g_rand_new_with_seed (g_test_rand_int ()) };
  Viewer v;

  scroll (&p, scrolled, scrolled.height);
  scroll (&p, small, small.height);
  log_in (&v, d);
  set_encoding (&v, VNC_COPY_RECT);
  request (&v, SIDE, SIDE);
  hear_update (&v, picture);
  request_changes (&v, SIDE, SIDE);
  scroll_in_copies (&v, &p, picture);
  scroll (&p, small, 16);
  g_assert_cmpint (catch_up (&v, picture), ==, 0);
  scroll (&p, scrolled, 16);
  g_assert_cmpint (catch_up (&v, picture), >, 0);
  close (v.fd);
  vnc_double_settle (d);
  g_rand_free (p.rand);
  vnc_double_free (d);
}

static void
test_draws_meanwhile (void)
{
  g_autofree uint32_t *picture = g_new0 (uint32_t, SIDE * SIDE);
  VncDouble *d = vnc_double_new ("none", SIDE, SIDE);
  Painter p = { .d = d, .rand = g_rand_new_with_seed (g_test_rand_int ()) };
  Viewer v;

  log_in (&v, d);
  request (&v, SIDE, SIDE);
  hear_update (&v, picture);
  request_changes (&v, SIDE, SIDE);
  for (int i = 0; i < 80; i++)
    {
      bool copies = i % 8 == 0;

      set_encoding (&v, copies ? VNC_COPY_RECT : VNC_RAW);
      if (copies)
        scroll_in_copies (&v, &p, picture);
      p.stop = 0;
      GThread *thread = g_thread_new ("painter", paint_on, &p);
      for (int n = 0; n < 5; n++)
        {
          await_update (&v, n);
          hear_update (&v, picture);
          request_changes (&v, SIDE, SIDE);
        }
      g_atomic_int_set (&p.stop, 1);
      g_thread_join (thread);
      catch_up (&v, picture);
    }
  close (v.fd);
  vnc_double_settle (d);
  g_rand_free (p.rand);
  vnc_double_free (d);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vnc/clipboard/plain", test_plain);
  g_test_add_func ("/vnc/clipboard/extended", test_extended);
  g_test_add_func ("/vnc/cursor", test_cursor);
  g_test_add_func ("/vnc/console-goes", test_console_goes);
  g_test_add_func ("/vnc/shown-console-goes", test_shown_console_goes);
  g_test_add_func ("/vnc/told-when-asked", test_told_when_asked);
  g_test_add_func ("/vnc/sound", test_sound);
  g_test_add_func ("/vnc/small-moves", test_small_moves);
  g_test_add_func ("/vnc/draws-meanwhile", test_draws_meanwhile);
  return g_test_run ();
}
