/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's side of the vdagent protocol against an agent that is none: every message byte by byte. */
#include "tests/agent/rig.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <spice/vd_agent.h>

#define BIT(cap) (1u << VD_AGENT_CAP_##cap)
#define CLIPBOARD_CAPS (BIT (CLIPBOARD_BY_DEMAND) | BIT (CLIPBOARD_SELECTION) | BIT (CLIPBOARD_GRAB_SERIAL))

typedef struct Message
{
  uint32_t port, type;
  GByteArray *data;
} Message;

typedef struct Fixture
{
  AgentRig rig;
  VmCharFe fe;
  size_t room;        /* what the guest takes at a time */
  GByteArray *stream; /* chunks not taken apart yet */
  GByteArray *parts[VDP_END_PORT];
  GQueue messages; /* Message * */
  /* A viewer. */
  VmClipPeer viewer;
  GString *log;
  GBytes *content;
  /* Files. */
  GMainContext *context;
  GString *told;
  bool ended;
} Fixture;

/* --- the guest ---------------------------------------------------------------------------------- */

static size_t
guest_can_receive (void *opaque)
{
  return ((Fixture *) opaque)->room;
}

static void
guest_take_apart (Fixture *f, uint32_t port)
{
  GByteArray *part = f->parts[port];

  while (part->len >= 20 && part->len >= 20 + vm_load_le32 (part->data + 16))
    {
      uint32_t size = vm_load_le32 (part->data + 16);
      Message *message = g_new (Message, 1);

      g_assert_cmpuint (vm_load_le32 (part->data), ==, VD_AGENT_PROTOCOL);
      *message = (Message){ port, vm_load_le32 (part->data + 4), g_byte_array_new () };
      g_byte_array_append (message->data, part->data + 20, size);
      g_byte_array_remove_range (part, 0, 20 + size);
      g_queue_push_tail (&f->messages, message);
    }
}

static void
guest_receive (void *opaque, const uint8_t *bytes, size_t len)
{
  Fixture *f = opaque;

  g_assert_cmpuint (len, <=, f->room);
  g_byte_array_append (f->stream, bytes, len);
  while (f->stream->len >= 8 && f->stream->len >= 8 + vm_load_le32 (f->stream->data + 4))
    {
      uint32_t port = vm_load_le32 (f->stream->data), size = vm_load_le32 (f->stream->data + 4);

      g_assert_cmpuint (size, <=, VD_AGENT_MAX_DATA_SIZE);
      g_assert_true (port == VDP_CLIENT_PORT || port == VDP_SERVER_PORT);
      g_byte_array_append (f->parts[port], f->stream->data + 8, size);
      g_byte_array_remove_range (f->stream, 0, 8 + size);
      guest_take_apart (f, port);
    }
}

static const VmCharFeOps guest_ops = { .can_receive = guest_can_receive, .receive = guest_receive };

static void
guest_write (Fixture *f, const void *bytes, size_t len)
{
  const uint8_t *at = bytes;

  while (len)
    {
      size_t n = vm_char_fe_write (&f->fe, at, len);

      at += n;
      len -= n;
      agent_rig_spin (&f->rig);
    }
}

/* A message of 32-bit words and bytes, in chunks. */
static void
guest_say (Fixture *f, uint32_t type, const uint32_t *words, unsigned n, const void *bytes, size_t len)
{
  g_autoptr (GByteArray) all = g_byte_array_new ();
  uint8_t header[20] = { 0 };

  vm_store_le32 (header, VD_AGENT_PROTOCOL);
  vm_store_le32 (header + 4, type);
  vm_store_le32 (header + 16, n * 4 + len);
  g_byte_array_append (all, header, sizeof header);
  for (unsigned i = 0; i < n; i++)
    {
      uint8_t word[4];

      vm_store_le32 (word, words[i]);
      g_byte_array_append (all, word, 4);
    }
  if (len)
    g_byte_array_append (all, bytes, len);
  for (size_t at = 0, part; at < all->len; at += part)
    {
      uint8_t chunk[8];

      part = MIN (all->len - at, VD_AGENT_MAX_DATA_SIZE);
      vm_store_le32 (chunk, VDP_CLIENT_PORT);
      vm_store_le32 (chunk + 4, part);
      guest_write (f, chunk, sizeof chunk);
      guest_write (f, all->data + at, part);
    }
  agent_rig_spin (&f->rig);
}

#define SAY(f, type, bytes, len, ...)                                                                                  \
  guest_say (f, type, (const uint32_t[]){ __VA_ARGS__ }, sizeof ((const uint32_t[]){ __VA_ARGS__ }) / 4, bytes, len)

static void
message_free (Message *message)
{
  g_byte_array_unref (message->data);
  g_free (message);
}

static Message *
guest_next (Fixture *f)
{
  for (unsigned i = 0; i < 5000 && g_queue_is_empty (&f->messages); i++)
    {
      vm_char_fe_accept_input (&f->fe);
      agent_rig_spin (&f->rig);
      while (g_main_context_iteration (f->context, FALSE))
        ;
      if (i > 100)
        g_usleep (500);
    }
  g_assert_false (g_queue_is_empty (&f->messages));
  return g_queue_pop_head (&f->messages);
}

/* The next message is TYPE with these words and then BYTES. */
static void
guest_expect_words (Fixture *f, uint32_t type, const uint32_t *words, unsigned n, const void *bytes, size_t len)
{
  Message *message = guest_next (f);

  g_assert_cmpuint (message->type, ==, type);
  g_assert_cmpuint (message->data->len, ==, n * 4 + len);
  for (unsigned i = 0; i < n; i++)
    g_assert_cmpuint (vm_load_le32 (message->data->data + i * 4), ==, words[i]);
  if (len)
    g_assert_true (memcmp (message->data->data + n * 4, bytes, len) == 0);
  message_free (message);
}

#define EXPECT(f, type, bytes, len, ...)                                                                               \
  guest_expect_words (f, type, (const uint32_t[]){ __VA_ARGS__ }, sizeof ((const uint32_t[]){ __VA_ARGS__ }) / 4,      \
                      bytes, len)

static void
guest_expect_nothing (Fixture *f)
{
  vm_char_fe_accept_input (&f->fe);
  agent_rig_spin (&f->rig);
  g_assert_true (g_queue_is_empty (&f->messages));
}

/* Past the first words. */
static void
guest_shake_hands (Fixture *f, uint32_t caps)
{
  Message *message = guest_next (f);

  g_assert_cmpuint (message->type, ==, VD_AGENT_ANNOUNCE_CAPABILITIES);
  g_assert_cmpuint (vm_load_le32 (message->data->data), ==, 1);
  message_free (message);
  SAY (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 0, caps);
  if (caps & BIT (MAX_CLIPBOARD))
    EXPECT (f, VD_AGENT_MAX_CLIPBOARD, NULL, 0, VM_CLIP_MAX);
}

/* --- the viewer ----------------------------------------------------------------------------------- */

static void
viewer_offered (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
  Fixture *f = VM_CONTAINER_OF (peer, Fixture, viewer);

  g_string_append_printf (f->log, "%u:%u ", selection, types);
}

static void
viewer_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  Fixture *f = VM_CONTAINER_OF (peer, Fixture, viewer);

  g_string_append (f->log, "? ");
  if (f->content)
    vm_clip_deliver (peer, selection, type, f->content);
}

static void
viewer_received (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  Fixture *f = VM_CONTAINER_OF (peer, Fixture, viewer);
  gsize size = 0;
  const char *text = data ? g_bytes_get_data (data, &size) : "-";
  g_autofree char *plain = g_strndup (text, data ? MIN (size, 40) : 1), *escaped = g_strescape (plain, NULL);

  g_string_append_printf (f->log, "=%s", escaped);
  if (size > 40)
    g_string_append_printf (f->log, "..%zu", size);
  g_string_append_c (f->log, ' ');
}

static const VmClipPeerOps viewer_ops = { viewer_offered, viewer_request, viewer_received };

static void
viewer_expect (Fixture *f, const char *log)
{
  for (unsigned i = 0; i < 2000 && f->log->len < strlen (log); i++)
    {
      agent_rig_spin (&f->rig);
      g_usleep (500);
    }
  g_assert_cmpstr (f->log->str, ==, log);
  g_string_truncate (f->log, 0);
}

static void
viewer_offer (Fixture *f, const char *content)
{
  g_clear_pointer (&f->content, g_bytes_unref);
  f->content = g_bytes_new (content, strlen (content));
  vm_clip_grab (&f->viewer, VM_CLIP_CLIPBOARD, VM_CLIP_BIT (VM_CLIP_TEXT));
}

static void
viewer_ask (Fixture *f, VmClipType type)
{
  vm_clip_request (&f->viewer, VM_CLIP_CLIPBOARD, type);
}

static void
fixture_set_up (Fixture *f, gconstpointer data)
{
  agent_rig_init (&f->rig, true, true);
  f->room = 1000;
  f->stream = g_byte_array_new ();
  for (unsigned i = 0; i < VDP_END_PORT; i++)
    f->parts[i] = g_byte_array_new ();
  f->log = g_string_new (NULL);
  f->told = g_string_new (NULL);
  f->context = g_main_context_new ();
  f->viewer = (VmClipPeer){ .ops = &viewer_ops };
  vm_clip_peer_add (vm_display_clipboard (f->rig.display), &f->viewer);
  g_assert_true (vm_display_agent_state (f->rig.display).present);
  g_assert_true (vm_char_fe_attach_to (&f->fe, f->rig.chr, &guest_ops, f, NULL));
}

static void
fixture_tear_down (Fixture *f, gconstpointer data)
{
  vm_char_fe_detach (&f->fe);
  vm_clip_peer_remove (&f->viewer);
  g_assert_false (vm_display_agent_state (f->rig.display).connected);
  agent_rig_clear (&f->rig);
  g_byte_array_unref (f->stream);
  for (unsigned i = 0; i < VDP_END_PORT; i++)
    g_byte_array_unref (f->parts[i]);
  g_queue_clear_full (&f->messages, (GDestroyNotify) message_free);
  g_string_free (f->log, TRUE);
  g_string_free (f->told, TRUE);
  g_clear_pointer (&f->content, g_bytes_unref);
  g_main_context_unref (f->context);
}

/* --- the connection -------------------------------------------------------------------------------- */

static void
test_hello (Fixture *f, gconstpointer data)
{
  const uint32_t ours = BIT (MOUSE_STATE) | BIT (MONITORS_CONFIG) | BIT (REPLY) | BIT (CLIPBOARD_BY_DEMAND)
                        | BIT (CLIPBOARD_SELECTION) | BIT (MAX_CLIPBOARD) | BIT (MONITORS_CONFIG_POSITION)
                        | BIT (FILE_XFER_DETAILED_ERRORS) | BIT (CLIPBOARD_NO_RELEASE_ON_REGRAB)
                        | BIT (CLIPBOARD_GRAB_SERIAL);
  VmAgentState state;

  EXPECT (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 1, ours);
  state = vm_display_agent_state (f->rig.display);
  g_assert_true (state.present && !state.connected && !state.files);
  SAY (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 1, CLIPBOARD_CAPS | BIT (MONITORS_CONFIG) | BIT (MAX_CLIPBOARD));
  EXPECT (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 0, ours);
  EXPECT (f, VD_AGENT_MAX_CLIPBOARD, NULL, 0, VM_CLIP_MAX);
  state = vm_display_agent_state (f->rig.display);
  g_assert_true (state.connected && state.clipboard && state.resize && state.files && !state.mouse);
  SAY (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 0, BIT (FILE_XFER_DISABLED));
  state = vm_display_agent_state (f->rig.display);
  g_assert_true (state.connected && !state.clipboard && !state.resize && !state.files);
  vm_char_fe_set_open (&f->fe, false);
  g_assert_false (vm_display_agent_state (f->rig.display).connected);
  vm_char_fe_set_open (&f->fe, true);
  EXPECT (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 1, ours);
  guest_expect_nothing (f);
}

/* Nothing of this does anything. */
static void
test_garbage (Fixture *f, gconstpointer data)
{
  static const uint8_t port[] = { 9, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5 };
  static const uint8_t empty[] = { 1, 0, 0, 0, 0, 0, 0, 0 };
  static const uint8_t protocol[]
      = { 1, 0, 0, 0, 21, 0, 0, 0, 7, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9 };
  g_autofree uint8_t *much = g_malloc0 (300000);

  guest_write (f, port, sizeof port);
  guest_write (f, empty, sizeof empty);
  guest_write (f, protocol, sizeof protocol);
  SAY (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 1);
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 1, 2, 3);
  SAY (f, 99, much, 300000, 1);
  g_assert_false (vm_display_agent_state (f->rig.display).connected);
  guest_shake_hands (f, CLIPBOARD_CAPS);
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0);                                  /* no serial */
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 7, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT); /* no such selection */
  SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0);
  SAY (f, VD_AGENT_CLIPBOARD, much, 300000, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT); /* nobody asked */
  SAY (f, VD_AGENT_FILE_XFER_STATUS, NULL, 0, 0, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
  viewer_expect (f, "");
  guest_expect_nothing (f);
  /* A chunk that begins a message of 4 GiB; then the guest's end is closed. */
  static const uint8_t huge[]
      = { 1, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 9 };
  guest_write (f, huge, sizeof huge);
  guest_write (f, much, 300000);
}

/* --- clipboard -------------------------------------------------------------------------------------- */

static void
test_to_guest (Fixture *f, gconstpointer data)
{
  guest_shake_hands (f, CLIPBOARD_CAPS | BIT (MAX_CLIPBOARD));
  viewer_offer (f, "one\ntwo");
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "? ");
  EXPECT (f, VD_AGENT_CLIPBOARD, "one\ntwo", 7, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG); /* not offered */
  EXPECT (f, VD_AGENT_CLIPBOARD, NULL, 0, 0, VD_AGENT_CLIPBOARD_NONE);
  vm_clip_grab (&f->viewer, VM_CLIP_CLIPBOARD, 3);
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 1, VD_AGENT_CLIPBOARD_UTF8_TEXT, VD_AGENT_CLIPBOARD_IMAGE_PNG);
  vm_clip_release (&f->viewer, VM_CLIP_CLIPBOARD);
  EXPECT (f, VD_AGENT_CLIPBOARD_RELEASE, NULL, 0, 0);
  vm_clipboard_set_mode (vm_display_clipboard (f->rig.display), VM_CLIP_TO_HOST);
  viewer_offer (f, "secret");
  guest_expect_nothing (f);
  SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  EXPECT (f, VD_AGENT_CLIPBOARD, NULL, 0, 0, VD_AGENT_CLIPBOARD_NONE);
  viewer_expect (f, "");
}

static void
test_to_host (Fixture *f, gconstpointer data)
{
  guest_shake_hands (f, CLIPBOARD_CAPS);
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 0, VD_AGENT_CLIPBOARD_IMAGE_BMP, VD_AGENT_CLIPBOARD_UTF8_TEXT,
       VD_AGENT_CLIPBOARD_IMAGE_PNG);
  viewer_expect (f, "0:3 ");
  viewer_ask (f, VM_CLIP_TEXT);
  EXPECT (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD, "gr\303\274n\r\n\0rest", 12, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "=gr\\303\\274n\\r\\n ");
  viewer_ask (f, VM_CLIP_PNG);
  EXPECT (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG);
  SAY (f, VD_AGENT_CLIPBOARD, "PNG", 3, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG);
  viewer_expect (f, "=PNG ");
  viewer_ask (f, VM_CLIP_TEXT); /* not UTF-8 */
  EXPECT (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD, "\377", 1, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "=- ");
  viewer_ask (f, VM_CLIP_TEXT); /* the agent has none */
  EXPECT (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD, NULL, 0, 0, VD_AGENT_CLIPBOARD_NONE);
  viewer_expect (f, "=- ");
  viewer_ask (f, VM_CLIP_TEXT); /* the agent goes */
  EXPECT (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  vm_char_fe_set_open (&f->fe, false);
  viewer_expect (f, "=- 0:0 ");
  vm_char_fe_set_open (&f->fe, true);
  guest_shake_hands (f, CLIPBOARD_CAPS);
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD_RELEASE, NULL, 0, 0);
  viewer_expect (f, "0:1 0:0 ");
}

/* Agents of old know neither selections nor serials; that of Windows wants CRLF. */
static void
test_plain (Fixture *f, gconstpointer data)
{
  guest_shake_hands (f, BIT (CLIPBOARD_BY_DEMAND) | BIT (GUEST_LINEEND_CRLF));
  viewer_offer (f, "a\nb\r\n\n");
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  EXPECT (f, VD_AGENT_CLIPBOARD, "a\r\nb\r\n\r\n", 8, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "? ");
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_ask (f, VM_CLIP_TEXT);
  EXPECT (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD, "x\r\ny\rz\n", 7, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "0:1 =x\\ny\\rz\\n ");
}

static void
test_primary (Fixture *f, gconstpointer data)
{
  guest_shake_hands (f, CLIPBOARD_CAPS);
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 1, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "");
  vm_clipboard_set_primary (vm_display_clipboard (f->rig.display), true);
  viewer_expect (f, "1:1 ");
  vm_clip_grab (&f->viewer, VM_CLIP_PRIMARY, 1);
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 1, 1, VD_AGENT_CLIPBOARD_UTF8_TEXT);
}

static void
test_serials (Fixture *f, gconstpointer data)
{
  guest_shake_hands (f, CLIPBOARD_CAPS);
  viewer_offer (f, "0");
  viewer_offer (f, "1");
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 1, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT); /* from before our second */
  viewer_expect (f, "");
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 1, VD_AGENT_CLIPBOARD_UTF8_TEXT); /* at the same time */
  viewer_expect (f, "0:1 ");
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 9, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "0:1 ");
  viewer_offer (f, "10");
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 10, VD_AGENT_CLIPBOARD_UTF8_TEXT);
}

static void
test_large (Fixture *f, gconstpointer data)
{
  const size_t size = 3 << 20;
  g_autofree char *text = g_malloc (size);

  for (size_t i = 0; i < size; i++)
    text[i] = 'a' + i % 26;
  guest_shake_hands (f, CLIPBOARD_CAPS);
  f->room = 5000;
  g_clear_pointer (&f->content, g_bytes_unref);
  f->content = g_bytes_new (text, size);
  vm_clip_grab (&f->viewer, VM_CLIP_CLIPBOARD, 1);
  EXPECT (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  EXPECT (f, VD_AGENT_CLIPBOARD, text, size, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "? ");
  SAY (f, VD_AGENT_CLIPBOARD_GRAB, NULL, 0, 0, 1, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_ask (f, VM_CLIP_TEXT);
  EXPECT (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  SAY (f, VD_AGENT_CLIPBOARD, text, size, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
  viewer_expect (f, "0:1 =abcdefghijklmnopqrstuvwxyzabcdefghijklmn..3145728 ");
}

/* Who asks and does not read gets one answer, whatever it asks for. */
static void
test_flood (Fixture *f, gconstpointer data)
{
  unsigned answers = 0;

  guest_shake_hands (f, CLIPBOARD_CAPS);
  viewer_offer (f, "much");
  f->room = 0;
  for (unsigned i = 0; i < 500; i++)
    {
      SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_UTF8_TEXT);
      SAY (f, VD_AGENT_CLIPBOARD_REQUEST, NULL, 0, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG);
      SAY (f, VD_AGENT_ANNOUNCE_CAPABILITIES, NULL, 0, 1, CLIPBOARD_CAPS | BIT (MOUSE_STATE));
      vm_input_button (f->rig.input, NULL, VM_BUTTON_LEFT, i % 2);
    }
  f->room = 1000;
  while (vm_char_fe_accept_input (&f->fe), agent_rig_spin (&f->rig), !g_queue_is_empty (&f->messages))
    {
      message_free (g_queue_pop_head (&f->messages));
      answers++;
    }
  g_assert_cmpuint (answers, <=, 150);
}

/* --- screens and pointer ---------------------------------------------------------------------------- */

static const VmConsoleOps no_ops = { 0 };

static void
test_sizes (Fixture *f, gconstpointer data)
{
  VmConsole *first = vm_console_new (f->rig.display, NULL, 0, &no_ops, NULL);
  VmConsole *second = vm_console_new (f->rig.display, NULL, 1, &no_ops, NULL);
  const VmUiInfo wish = { .width = 1111, .height = 777 };

  vm_console_set_surface (second, vm_surface_new (640, 480));
  guest_shake_hands (f, BIT (MONITORS_CONFIG) | BIT (MONITORS_CONFIG_POSITION));
  g_assert_true (vm_console_wants_ui_info (first));
  guest_expect_nothing (f); /* nobody has said a size */
  vm_console_request_ui_info (first, &(VmUiInfo){ .width = 900, .height = 600 });
  vm_console_request_ui_info (first, &wish);
  EXPECT (f, VD_AGENT_MONITORS_CONFIG, NULL, 0, 2, 1, 777, 1111, 32, 0, 0, 480, 640, 32, 1111, 0);
  SAY (f, VD_AGENT_REPLY, NULL, 0, VD_AGENT_MONITORS_CONFIG, VD_AGENT_SUCCESS);
  /* An agent that comes again is told. */
  vm_char_fe_set_open (&f->fe, false);
  vm_char_fe_set_open (&f->fe, true);
  vm_console_free (second);
  guest_shake_hands (f, BIT (MONITORS_CONFIG));
  EXPECT (f, VD_AGENT_MONITORS_CONFIG, NULL, 0, 1, 0, 777, 1111, 32, 0, 0);
  guest_expect_nothing (f);
  vm_console_free (first);
}

static void
expect_pointer (Fixture *f, uint32_t x, uint32_t y, uint32_t buttons, uint8_t screen)
{
  Message *message = guest_next (f);
  const uint8_t *bytes = message->data->data;

  g_assert_cmpuint (message->port, ==, VDP_SERVER_PORT);
  g_assert_cmpuint (message->type, ==, VD_AGENT_MOUSE_STATE);
  g_assert_cmpuint (message->data->len, ==, 13);
  g_assert_cmpuint (vm_load_le32 (bytes), ==, x);
  g_assert_cmpuint (vm_load_le32 (bytes + 4), ==, y);
  g_assert_cmpuint (vm_load_le32 (bytes + 8), ==, buttons);
  g_assert_cmpuint (bytes[12], ==, screen);
  message_free (message);
}

static void
test_pointer (Fixture *f, gconstpointer data)
{
  VmConsole *first = vm_console_new (f->rig.display, NULL, 0, &no_ops, NULL);
  VmConsole *second = vm_console_new (f->rig.display, NULL, 1, &no_ops, NULL);

  vm_console_set_surface (first, vm_surface_new (800, 600));
  vm_console_set_surface (second, vm_surface_new (320, 200));
  g_assert_false (vm_input_is_absolute (f->rig.input, first));
  guest_shake_hands (f, BIT (MOUSE_STATE));
  g_assert_true (vm_input_is_absolute (f->rig.input, first));
  vm_input_position (f->rig.input, first, 799, 599, 800, 600);
  expect_pointer (f, 799, 599, 0, 0);
  vm_input_button (f->rig.input, first, VM_BUTTON_RIGHT, true);
  expect_pointer (f, 799, 599, VD_AGENT_RBUTTON_MASK, 0);
  vm_input_button (f->rig.input, first, VM_BUTTON_RIGHT, false);
  expect_pointer (f, 799, 599, 0, 0);
  vm_input_position (f->rig.input, second, 319, 0, 320, 200);
  expect_pointer (f, 319, 0, 0, 1);
  const VmInputEvent click[] = { { .kind = VM_INPUT_BUTTON, .code = VM_BUTTON_WHEEL_UP, .down = true },
                                 { .kind = VM_INPUT_BUTTON, .code = VM_BUTTON_WHEEL_UP } };
  vm_input_events (f->rig.input, second, click, 2);
  expect_pointer (f, 319, 0, VD_AGENT_UBUTTON_MASK, 1);
  expect_pointer (f, 319, 0, 0, 1);
  /* While the guest does not read, places that were overtaken are not kept. */
  f->room = 0;
  for (unsigned i = 0; i < 500; i++)
    {
      vm_input_position (f->rig.input, first, i, 1, 800, 600);
      agent_rig_spin (&f->rig);
    }
  f->room = 1000;
  unsigned n = 0;
  uint32_t x = 0;
  while (x < 498)
    {
      Message *message = guest_next (f);
      x = vm_load_le32 (message->data->data);
      message_free (message);
      n++;
    }
  g_assert_cmpuint (n, <, 100);
  vm_char_fe_set_open (&f->fe, false);
  g_assert_false (vm_input_is_absolute (f->rig.input, first));
  vm_console_free (first);
  vm_console_free (second);
}

/* --- files ------------------------------------------------------------------------------------------- */

static void
files_told (VmAgentFiles *files, const VmAgentProgress *progress, void *opaque)
{
  Fixture *f = opaque;

  if (f->ended)
    return; /* another one's */
  g_assert_cmpuint (progress->sent, <=, progress->total);
  f->ended = progress->ended;
  g_string_printf (f->told, "%u/%u %s %zu/%zu %s", progress->file, progress->n_files,
                   progress->name ? progress->name : "-", (size_t) progress->sent, (size_t) progress->total,
                   progress->error ? progress->error->message : "fine");
}

static void
expect_end (Fixture *f, const char *told)
{
  for (unsigned i = 0; i < 4000 && !f->ended; i++)
    {
      agent_rig_spin (&f->rig);
      while (g_main_context_iteration (f->context, FALSE))
        ;
      g_usleep (500);
    }
  g_assert_true (f->ended);
  g_assert_cmpstr (f->told->str, ==, told);
  f->ended = false;
}

static char *
make_file (const char *folder, const char *name, size_t size)
{
  char *path = g_build_filename (folder, name, NULL);
  g_autofree char *bytes = g_malloc (MAX (size, 1));

  for (size_t i = 0; i < size; i++)
    bytes[i] = (char) (i * 7);
  g_assert_true (g_file_set_contents (path, bytes, size, NULL));
  return path;
}

static uint32_t
expect_start (Fixture *f, const char *name, size_t size)
{
  Message *message = guest_next (f);
  g_autoptr (GKeyFile) description = g_key_file_new ();

  g_assert_cmpuint (message->type, ==, VD_AGENT_FILE_XFER_START);
  g_assert_cmpuint (message->data->data[message->data->len - 1], ==, 0);
  g_assert_true (g_key_file_load_from_data (description, (char *) message->data->data + 4, -1, 0, NULL));
  g_autofree char *got = g_key_file_get_string (description, "vdagent-file-xfer", "name", NULL);
  g_assert_cmpstr (got, ==, name);
  g_assert_cmpuint (g_key_file_get_uint64 (description, "vdagent-file-xfer", "size", NULL), ==, size);
  uint32_t id = vm_load_le32 (message->data->data);
  message_free (message);
  return id;
}

static void
expect_bytes (Fixture *f, uint32_t id, const char *path)
{
  g_autofree char *want = NULL;
  g_autoptr (GByteArray) got = g_byte_array_new ();
  gsize size;

  g_assert_true (g_file_get_contents (path, &want, &size, NULL));
  do
    {
      Message *message = guest_next (f);

      g_assert_cmpuint (message->type, ==, VD_AGENT_FILE_XFER_DATA);
      g_assert_cmpuint (vm_load_le32 (message->data->data), ==, id);
      g_assert_cmpuint (vm_load_le64 (message->data->data + 4), ==, message->data->len - 12);
      g_byte_array_append (got, message->data->data + 12, message->data->len - 12);
      message_free (message);
    }
  while (got->len < size);
  g_assert_cmpmem (got->data, got->len, want, size);
}

static void
say_status (Fixture *f, uint32_t id, uint32_t result)
{
  SAY (f, VD_AGENT_FILE_XFER_STATUS, NULL, 0, id, result);
}

static void
test_files (Fixture *f, gconstpointer data)
{
  g_autofree char *folder = g_dir_make_tmp ("test-agent-XXXXXX", NULL);
  g_autofree char *a = make_file (folder, "a file", 200000), *b = make_file (folder, "empty", 0);
  const char *const paths[] = { a, b, NULL }, *const one[] = { a, NULL }, *const bad[] = { folder, NULL },
                    *const none[] = { "/nonexistent/x", NULL };
  VmAgentFiles *files = vm_agent_send_files (f->rig.display, one, f->context, files_told, f);

  expect_end (f, "0/1 a file 0/0 There is no agent in the guest that could take files");
  vm_agent_files_free (files);
  guest_shake_hands (f, BIT (FILE_XFER_DETAILED_ERRORS));

  files = vm_agent_send_files (f->rig.display, paths, f->context, files_told, f);
  uint32_t id = expect_start (f, "a file", 200000);
  say_status (f, id + 5, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
  guest_expect_nothing (f);
  say_status (f, id, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
  expect_bytes (f, id, a);
  while (g_main_context_iteration (f->context, FALSE))
    ;
  g_assert_cmpstr (f->told->str, ==, "0/2 a file 200000/200000 fine");
  say_status (f, id, VD_AGENT_FILE_XFER_STATUS_SUCCESS);
  id = expect_start (f, "empty", 0);
  say_status (f, id, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
  expect_bytes (f, id, b);
  say_status (f, id, VD_AGENT_FILE_XFER_STATUS_SUCCESS);
  expect_end (f, "2/2 - 200000/200000 fine");
  vm_agent_files_free (files);

  /* Two at a time wait for each other; the first is cancelled on its way. */
  files = vm_agent_send_files (f->rig.display, one, f->context, files_told, f);
  VmAgentFiles *second = vm_agent_send_files (f->rig.display, one, f->context, files_told, f);
  id = expect_start (f, "a file", 200000);
  f->room = 0; /* the first piece waits */
  say_status (f, id, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
  for (unsigned i = 0; i < 100; i++)
    {
      agent_rig_spin (&f->rig);
      g_usleep (1000);
    }
  vm_agent_files_cancel (files);
  expect_end (f, "0/1 a file 65536/200000 Cancelled");
  f->room = 1000;
  for (Message *message = guest_next (f);; message = guest_next (f))
    {
      bool data_again = message->type == VD_AGENT_FILE_XFER_DATA;

      if (!data_again)
        {
          g_assert_cmpuint (message->type, ==, VD_AGENT_FILE_XFER_STATUS);
          g_assert_cmpuint (vm_load_le32 (message->data->data), ==, id);
          g_assert_cmpuint (vm_load_le32 (message->data->data + 4), ==, VD_AGENT_FILE_XFER_STATUS_CANCELLED);
        }
      message_free (message);
      if (!data_again)
        break;
    }
  vm_agent_files_free (files);
  id = expect_start (f, "a file", 200000);
  SAY (f, VD_AGENT_FILE_XFER_STATUS, NULL, 0, id, VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE, 1000, 0);
  g_autofree char *room = g_format_size (1000), *size = g_format_size (200000);
  g_autofree char *text = g_strdup_printf (
      "0/1 a file 0/200000 The guest has no room for 'a file': it is %s, there are %s left", size, room);
  expect_end (f, text);
  vm_agent_files_free (second);

  files = vm_agent_send_files (f->rig.display, bad, f->context, files_told, f);
  g_autofree char *base = g_path_get_basename (folder);
  g_autofree char *is_folder = g_strdup_printf ("0/1 %s 0/0 '%s' is a folder", base, folder);
  expect_end (f, is_folder);
  vm_agent_files_free (files);
  files = vm_agent_send_files (f->rig.display, none, f->context, files_told, f);
  expect_end (f, "0/1 x 0/0 Could not open '/nonexistent/x': No such file or directory");
  vm_agent_files_free (files);

  files = vm_agent_send_files (f->rig.display, one, f->context, files_told, f);
  expect_start (f, "a file", 200000);
  vm_char_fe_set_open (&f->fe, false);
  expect_end (f, "0/1 a file 0/200000 The agent in the guest went away");
  vm_agent_files_free (files);

  g_unlink (a);
  g_unlink (b);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/agent/" #name, Fixture, NULL, fixture_set_up, test_##name, fixture_tear_down)
  TEST (hello);
  TEST (garbage);
  TEST (to_guest);
  TEST (to_host);
  TEST (plain);
  TEST (primary);
  TEST (serials);
  TEST (large);
  TEST (flood);
  TEST (sizes);
  TEST (pointer);
  TEST (files);
  return g_test_run ();
}
