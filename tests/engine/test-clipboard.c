/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine's clipboard: two viewers and an agent that write down what they are told. */
#include "engine/display/clipboard.h"

typedef struct Peer
{
  VmClipPeer peer;
  char name;
  GString *log;
  GBytes *content; /* NULL: delivers later */
} Peer;

typedef struct Fixture
{
  VmLoop *loop;
  VmClocks *clocks;
  VmClipboard *clipboard;
  GString *log;
  Peer a, b, guest;
} Fixture;

static void
peer_offered (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
  Peer *p = VM_CONTAINER_OF (peer, Peer, peer);

  g_string_append_printf (p->log, "%c%s%u ", p->name, selection == VM_CLIP_PRIMARY ? "'" : "", types);
}

static void
peer_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  Peer *p = VM_CONTAINER_OF (peer, Peer, peer);

  g_string_append_printf (p->log, "%c? ", p->name);
  if (p->content)
    vm_clip_deliver (peer, selection, type, p->content);
}

static void
peer_received (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  Peer *p = VM_CONTAINER_OF (peer, Peer, peer);
  gsize size = 0;
  const char *text = data ? g_bytes_get_data (data, &size) : "-";

  g_string_append_printf (p->log, "%c=%.*s ", p->name, data ? (int) MIN (size, 20) : 1, text);
}

static const VmClipPeerOps peer_ops = { peer_offered, peer_request, peer_received };

static void
peer_init (Fixture *f, Peer *p, char name, bool guest, const char *content)
{
  p->peer = (VmClipPeer){ .ops = &peer_ops, .guest = guest };
  p->name = name;
  p->log = f->log;
  p->content = content ? g_bytes_new (content, strlen (content)) : NULL;
  vm_clip_peer_add (f->clipboard, &p->peer);
}

static void
fixture_set_up (Fixture *f, gconstpointer data)
{
  f->loop = vm_loop_new ("test", NULL);
  f->clocks = vm_clocks_new (f->loop);
  f->log = g_string_new (NULL);
  f->clipboard = vm_clipboard_new (f->clocks);
  peer_init (f, &f->a, 'a', false, "host");
  peer_init (f, &f->b, 'b', false, NULL);
  peer_init (f, &f->guest, 'g', true, "guest");
}

static void
fixture_tear_down (Fixture *f, gconstpointer data)
{
  Peer *const peers[] = { &f->a, &f->b, &f->guest };

  for (unsigned i = 0; i < G_N_ELEMENTS (peers); i++)
    {
      vm_clip_peer_remove (&peers[i]->peer);
      g_clear_pointer (&peers[i]->content, g_bytes_unref);
    }
  vm_clipboard_free (f->clipboard);
  vm_clocks_free (f->clocks);
  vm_loop_free (f->loop);
  g_string_free (f->log, TRUE);
}

static void
expect (Fixture *f, const char *log)
{
  g_assert_cmpstr (f->log->str, ==, log);
  g_string_truncate (f->log, 0);
}

static void
grab (Peer *p, unsigned types)
{
  vm_clip_grab (&p->peer, VM_CLIP_CLIPBOARD, types);
}

static void
ask (Peer *p, VmClipType type)
{
  vm_clip_request (&p->peer, VM_CLIP_CLIPBOARD, type);
}

static void
test_both_ways (Fixture *f, gconstpointer data)
{
  grab (&f->a, 1);
  expect (f, "g1 ");
  ask (&f->guest, VM_CLIP_TEXT);
  expect (f, "a? g=host ");
  ask (&f->guest, VM_CLIP_PNG); /* not offered */
  expect (f, "g=- ");
  grab (&f->guest, 3); /* the last grab wins; all viewers hear of it */
  expect (f, "a3 b3 ");
  ask (&f->b, VM_CLIP_PNG);
  expect (f, "g? b=guest ");
  ask (&f->guest, VM_CLIP_TEXT); /* its own */
  expect (f, "g=- ");
  grab (&f->guest, 3); /* another content of the same types */
  expect (f, "a3 b3 ");
  vm_clip_release (&f->a.peer, VM_CLIP_CLIPBOARD); /* not its own any more */
  expect (f, "");
  vm_clip_release (&f->guest.peer, VM_CLIP_CLIPBOARD);
  expect (f, "a0 b0 ");
  g_assert_cmpuint (vm_clipboard_serial (f->clipboard, VM_CLIP_CLIPBOARD), ==, 4);
}

/* One viewer's clipboard is none of another's business. */
static void
test_viewers_apart (Fixture *f, gconstpointer data)
{
  grab (&f->a, 1);
  expect (f, "g1 ");
  ask (&f->b, VM_CLIP_TEXT);
  expect (f, "b=- ");
  grab (&f->guest, 1);
  expect (f, "a1 b1 ");
  grab (&f->a, 1); /* overtakes the guest's, which B loses sight of */
  expect (f, "b0 g1 ");
}

static void
test_under_way (Fixture *f, gconstpointer data)
{
  grab (&f->b, 1);
  expect (f, "g1 ");
  ask (&f->guest, VM_CLIP_TEXT);
  ask (&f->guest, VM_CLIP_TEXT); /* asked once */
  expect (f, "b? ");
  g_assert_true (vm_clip_is_wanted (&f->b.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT));
  vm_clip_deliver (&f->a.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT, f->a.content); /* not the owner */
  expect (f, "");
  vm_clip_deliver (&f->b.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT, f->a.content);
  expect (f, "g=host ");
  vm_clip_deliver (&f->b.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT, f->a.content); /* nobody waits */
  expect (f, "");
  ask (&f->guest, VM_CLIP_TEXT);
  grab (&f->b, 1); /* what was asked for is gone */
  expect (f, "b? g=- g1 ");
  ask (&f->guest, VM_CLIP_TEXT);
  vm_clip_peer_remove (&f->b.peer);
  expect (f, "b? g=- g0 ");
  vm_clip_deliver (&f->b.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT, f->a.content);
  vm_clip_grab (&f->b.peer, VM_CLIP_CLIPBOARD, 1);
  expect (f, "");
  /* A late comer hears what there is. */
  grab (&f->guest, 2);
  expect (f, "a2 ");
  vm_clip_peer_add (f->clipboard, &f->b.peer);
  expect (f, "b2 ");
}

static void
test_modes (Fixture *f, gconstpointer data)
{
  grab (&f->b, 1);
  ask (&f->guest, VM_CLIP_TEXT);
  expect (f, "g1 b? ");
  vm_clipboard_set_mode (f->clipboard, VM_CLIP_TO_HOST);
  expect (f, "g=- g0 ");
  ask (&f->guest, VM_CLIP_TEXT);
  expect (f, "g=- ");
  vm_clipboard_set_mode (f->clipboard, VM_CLIP_TO_GUEST);
  expect (f, "g1 ");
  grab (&f->guest, 1);
  expect (f, ""); /* nobody may see it */
  ask (&f->a, VM_CLIP_TEXT);
  expect (f, "a=- ");
  vm_clipboard_set_mode (f->clipboard, VM_CLIP_BOTH);
  expect (f, "a1 b1 ");
  vm_clipboard_set_mode (f->clipboard, VM_CLIP_OFF);
  expect (f, "a0 b0 ");
  g_assert_cmpint (vm_clipboard_mode (f->clipboard), ==, VM_CLIP_OFF);
}

static void
test_primary (Fixture *f, gconstpointer data)
{
  vm_clip_grab (&f->a.peer, VM_CLIP_PRIMARY, 1);
  vm_clip_request (&f->guest.peer, VM_CLIP_PRIMARY, VM_CLIP_TEXT);
  expect (f, "g=- ");
  vm_clipboard_set_primary (f->clipboard, true);
  expect (f, "g'1 ");
  vm_clip_request (&f->guest.peer, VM_CLIP_PRIMARY, VM_CLIP_TEXT);
  expect (f, "a? g=host ");
  vm_clipboard_set_primary (f->clipboard, false);
  expect (f, "g'0 ");
}

static void
test_limits (Fixture *f, gconstpointer data)
{
  GBytes *large = g_bytes_new_take (g_malloc0 (VM_CLIP_MAX + 1), VM_CLIP_MAX + 1);
  int64_t start = g_get_monotonic_time ();

  grab (&f->b, 1);
  ask (&f->guest, VM_CLIP_TEXT);
  expect (f, "g1 b? ");
  vm_clip_deliver (&f->b.peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT, large);
  expect (f, "g=- ");
  g_bytes_unref (large);
  ask (&f->guest, VM_CLIP_TEXT);
  expect (f, "b? ");
  while (!f->log->len)
    vm_loop_iterate (f->loop, true);
  expect (f, "g=- ");
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 4900 * 1000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/clipboard/" #name, Fixture, NULL, fixture_set_up, test_##name, fixture_tear_down)
  TEST (both_ways);
  TEST (viewers_apart);
  TEST (under_way);
  TEST (modes);
  TEST (primary);
  TEST (limits);
  return g_test_run ();
}
